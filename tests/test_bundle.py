"""What students get works on its own, and holds nothing of solutions, checks and mutants."""

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

from grading.build import private_lines, read_source
from grading.bundle import FOLDER, make_bundle
from grading.course import Course, UserError

TESTS = os.environ | {"COLUMNS": "200", "PYTHONPATH": ""}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The bundle of the real course, unpacked in an empty folder."""
    folder = tmp_path_factory.mktemp("student")
    with zipfile.ZipFile(make_bundle(Course(), folder / "bundle.zip")) as archive:
        archive.extractall(folder)
    return folder / FOLDER


def texts(bundle):
    return {path: path.read_text(errors="replace") for path in bundle.rglob("*") if path.is_file()}


def test_no_file_of_solutions_checks_or_mutants_is_in_it(bundle):
    names = {str(path.relative_to(bundle)) for path in bundle.rglob("*")}
    assert not any(re.match(r"solutions|tests|docs|grading/(checks|mutants|work|lms|sandbox)", name) for name in names)
    assert {name for name in names if name.startswith("grading/")} == {
        f"grading/{name}.py" for name in ("__init__", "check", "cli", "course", "doctor", "kernels", "submit")
    }
    root = Course().root
    private = [*root.glob("solutions/*/*"), *root.glob("grading/checks/*.py"), *root.glob("grading/mutants/*.py")]
    assert private
    contents = set(texts(bundle).values())
    assert not any(path.read_text(errors="replace") in contents for path in private if path.stat().st_size)


def test_no_line_of_a_solution_is_in_it(bundle):
    lines = {path: {line.strip() for line in text.splitlines()} for path, text in texts(bundle).items()}
    for notebook in Course().all():
        private = private_lines(read_source(notebook))
        for path, found in lines.items():
            assert path.parent.name in ("helpers", "grading") or not private & found, path
    everything = "\n".join(texts(bundle).values())
    assert "BEGIN SOLUTION" not in everything.replace("BEGIN SOLUTION|HIDDEN", "")
    assert "BEGIN MARK SCHEME ===" not in everything


def test_a_missing_file_is_named(built, tmp_path):
    with pytest.raises(UserError, match=r"environment.yml is missing; without it there is no bundle"):
        make_bundle(built.course, tmp_path / "bundle.zip")


def test_it_installs_in_a_fresh_environment_and_runs_up_to_the_stubs(bundle):
    """The packages come from here, by a path file; the bundle's own packaging is what is tested."""
    place = bundle.parent / "venv"
    venv.create(place, with_pip=False)  # pip comes from there, too
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "packages.pth").write_text(sysconfig.get_path("purelib"))

    def run(*words, code=0):
        done = subprocess.run(
            [place / "bin" / words[0], *words[1:]], cwd=bundle, env=TESTS, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return done.stdout

    run("python", "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e", ".")
    assert str(bundle) in run("python", "-c", "import grading, helpers; print(grading.__file__, helpers.__file__)")
    commands = set(re.findall(r"^│ (\w+) ", run("lfi", "--help"), re.MULTILINE))
    assert commands == {"check", "submit", "doctor", "data"}
    told = run("lfi", "check", "notebooks/01_iou_nms/iou_nms.ipynb", code=1)
    assert re.search(r"^0 of \d+ tasks pass their visible tests", told, re.MULTILINE)
    assert "failing" not in told
    assert "Not started: xywh_to_xyxy, " in run("lfi", "submit", "01_iou_nms")
    assert len(list(bundle.glob("01_iou_nms_*Z.zip"))) == 1


def test_python_of_these_tests_is_not_the_students(bundle):
    done = subprocess.run([sys.executable, "-c", "import grading.checks"], cwd=bundle.parent, capture_output=True)
    assert done.returncode == 0, "checks are importable here, so their absence in the bundle means something"
