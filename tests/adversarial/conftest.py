"""Grades hostile and odd submissions to the small course in the sandbox."""

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass

import nbformat
import pytest
from nbformat.v4 import new_code_cell
from traitlets.config import Config

from grading.canonical import canonical_submission
from grading.course import Course, grade_id
from grading.execute import ExecuteAndJudge
from grading.sandbox.host import Zygote, why_not

REASON = why_not()
SECRET = "canary-7f3a9c51"
QUICK = {"call_seconds": 1.0, "timeout": 2, "grace": 0.3, "submission_seconds": 60.0}


def pytest_collection_modifyitems(items):
    if REASON:
        for item in items:
            if "adversarial" in str(item.path):
                item.add_marker(pytest.mark.skip(reason=REASON))


@dataclass
class Graded:
    """What came of a submission: the notebook after grading and its verdicts."""

    notebook: nbformat.NotebookNode
    verdicts: dict

    @property
    def scores(self):
        return tuple(self.verdicts[task]["score"] for task in ("double", "quadruple", "halve"))

    @property
    def notes(self):
        return {task: " ".join(verdict["notes"]) for task, verdict in self.verdicts.items()}

    @property
    def incidents(self):
        return [incident["sentence"] for incident in self.notebook.metadata["lfi"]["incidents"]]

    @property
    def everything(self):
        return json.dumps(self.notebook)

    def printed(self, number=0):
        """What the student's extra cell printed."""
        (cell,) = [cell for cell in self.notebook.cells if cell.id == f"extra-{number:03d}"]
        return "".join(output.get("text", "") for output in cell.outputs)


@pytest.fixture(scope="session")
def grade(built_course, tmp_path_factory):
    """Function that grades our solution with some cells replaced.

    Args of the function: `first`, an extra cell at the top; `last`, one before the first test; answers by task; files
    that are handed in beside the notebook; settings of ExecuteAndJudge and of the sandbox.
    """

    @contextmanager
    def course():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LFI_COURSE", str(built_course))
            patch.setenv("LFI_CANARY", SECRET)
            yield

    with course():
        (notebook,) = Course().select(None)
        Zygote.shared()

    def grade(first="", last="", files=(), settings=None, sandbox=None, keep=None, **answers):
        folder = tmp_path_factory.mktemp("submission")
        nb = nbformat.read(notebook.solution, as_version=4)
        for cell in nb.cells:
            cell.source = answers.get(grade_id(cell), cell.source)
        if first:
            nb.cells.insert(0, new_code_cell(first))
        if last:
            place = next(i for i, cell in enumerate(nb.cells) if grade_id(cell) == "test_double")
            nb.cells.insert(place, new_code_cell(last))
        for name in files:
            (folder / name).write_text(SECRET)
        path = folder / notebook.release.name
        nbformat.write(nb, path)
        nb = canonical_submission(notebook.read_release(), path.read_bytes())
        config = Config()
        config.SandboxProvisioner.update(sandbox or {})
        step = ExecuteAndJudge(config=config, **{**QUICK, **(settings or {})})
        resources = {"nbgrader": {"assignment": notebook.assignment}, "metadata": {"path": str(folder)}}
        with course():
            nb, _ = step.preprocess(nb, resources)
        nbformat.validate(nb)
        nbformat.writes(nb).encode()
        return Graded(nb, nb.metadata["lfi"]["tasks"])

    return grade


@pytest.fixture
def canary(tmp_path):
    """A file and a process with a secret, as a host has many."""
    import subprocess
    import sys

    file = tmp_path / "canary.txt"
    file.write_text(SECRET)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", SECRET], env={"CANARY": SECRET})
    yield file, process
    assert file.read_text() == SECRET
    assert process.poll() is None, "the canary process was ended"
    process.kill()
    process.wait()


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """After each test, none of the sandbox's kernels runs on and no folder of theirs is left."""
    yield
    zygote = Zygote._shared
    if zygote is not None and zygote.owner == os.getpid():
        assert list((zygote.spool / "jobs").iterdir()) == []
        assert list((zygote.spool / "lines").iterdir()) == []
