import os
import shutil
import sys
from pathlib import Path

import pytest

from grading.course import Course, Notebook
from grading.sandbox.host import why_not

if why_not():
    os.environ["LFI_UNSAFE"] = "1"  # tests of grading then use ordinary kernels; those of the sandbox are skipped

MINI = Path(__file__).parent / "mini_course"


@pytest.fixture
def mini(tmp_path, monkeypatch) -> Notebook:
    """A copy of the small course, not built yet; `Course()` finds it."""
    root = tmp_path / "course"
    shutil.copytree(MINI, root)
    monkeypatch.setenv("LFI_COURSE", str(root))
    (notebook,) = Course().select(None)
    return notebook


@pytest.fixture(scope="session")
def built_course(tmp_path_factory) -> Path:
    """The small course, built once; tests copy it."""
    from grading.build import build

    root = tmp_path_factory.mktemp("built") / "course"
    shutil.copytree(MINI, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LFI_COURSE", str(root))
        (notebook,) = Course().select(None)
        build(notebook)
    return root


@pytest.fixture
def built(built_course, tmp_path, monkeypatch) -> Notebook:
    """A copy of the small course with its generated notebooks; `Course()` finds it."""
    root = tmp_path / "course"
    shutil.copytree(built_course, root)
    monkeypatch.setenv("LFI_COURSE", str(root))
    (notebook,) = Course().select(None)
    return notebook


@pytest.fixture
def command(capsys, monkeypatch):
    """The command `lfi` in this process, which is quicker; gives the exit code and all that it printed."""
    from grading.cli import main

    def run(*words, cwd=None):
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["lfi", *map(str, words)])
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(cwd or Path())
            with pytest.raises(SystemExit) as ended:
                main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out + printed.err

    return run
