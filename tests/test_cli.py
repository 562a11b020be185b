"""The command line as its users meet it, and bad input: a sentence, an exit code, nothing lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from grading import check
from grading.course import CHECKOUT, grade_id, has_tag

LFI = Path(sys.executable).parent / "lfi"


def lfi(*words, cwd=CHECKOUT, **env):
    """Run the command; returns its exit code and all that it printed."""
    done = subprocess.run(
        [LFI, *map(str, words)], cwd=cwd, env=os.environ | {"COLUMNS": "200"} | env, capture_output=True, text=True
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def unreadable_folder(tmp_path):
    path = tmp_path / "file"
    path.write_text("in the way")
    return path / "out"


def test_bad_input_to_build_and_audit():
    for command in ("build", "audit", "grade"):
        code, text = lfi(command, "99_nothing")
        assert code == 2
        assert "There is no assignment '99_nothing'. The assignments are: 01_iou_nms" in text
    code, text = lfi("build", "--nonsense")
    assert code == 2
    assert "No such option" in text


def test_bad_folders_to_grade(built, tmp_path, unreadable_folder):
    code, text = lfi("grade", "--submitted", tmp_path / "nowhere")
    assert (code, "There is no folder" in text) == (2, True)
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "iou_nms.ipynb").write_text("{}")
    code, text = lfi("grade", "--submitted", tmp_path / "flat")
    assert (code, "<student>/<assignment>/<notebook>.ipynb" in text) == (2, True)
    submission = tmp_path / "in" / "a" / "00_mini" / "mini.ipynb"
    submission.parent.mkdir(parents=True)
    submission.write_bytes(built.solution.read_bytes())
    code, text = lfi("grade", "--submitted", tmp_path / "in", "--output", unreadable_folder)
    assert (code, "Cannot write to" in text) == (2, True)


def test_a_report_needs_a_gradebook(tmp_path):
    code, text = lfi("report", "--output", tmp_path)
    assert (code, "run `lfi grade" in text) == (2, True)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "There is no file"),
        ("", "cannot be read as a Jupyter notebook"),
        ("{", "cannot be read as a Jupyter notebook"),
        ("[1, 2]", "cannot be read as a Jupyter notebook"),
        (
            '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
            "has no test cells with nbgrader metadata",
        ),
    ],
)
def test_check_of_a_file_that_is_no_notebook(tmp_path, content, sentence):
    path = tmp_path / "nb.ipynb"
    if content is not None:
        path.write_text(content)
    code, text = lfi("check", path)
    assert (code, sentence in text) == (2, True)


def test_check_tells_done_failing_and_not_started(built, tmp_path):
    nb = nbformat.read(built.release, as_version=4)
    for cell in nb.cells:
        if grade_id(cell) == "double":
            cell.source = "def double(x):\n    return 3 * x"
        if grade_id(cell) == "halve":
            cell.source = "def halve(x):\n    return x / 2"
    path = tmp_path / "mine.ipynb"
    nbformat.write(nb, path)
    code, text = lfi("check", path)
    assert code == 1
    lines = [line for line in text.splitlines() if "cell" in line or "Expected" in line]
    assert [line.split()[1] for line in lines[:1]] == ["failing"]
    assert "Expected [2, 4], received [3. 6.]." in text
    assert "· not started quadruple" in text
    assert "✓ done        halve" in text
    assert "1 of 3 tasks pass their visible tests." in text
    assert lfi("check", built.solution)[0] == 0


def test_check_survives_broken_cells(built, tmp_path):
    nb = nbformat.read(built.solution, as_version=4)
    for cell in nb.cells:
        if grade_id(cell) == "double":
            cell.source = "def double(x:\n    return 2 * x"
    path = tmp_path / "mine.ipynb"
    nbformat.write(nb, path)
    code, text = lfi("check", path)
    assert code == 1
    assert "its cell fails with SyntaxError" in text
    assert "✓ done        halve" in text


def test_check_stops_an_endless_loop_and_misses_a_deleted_test(built, tmp_path):
    nb = nbformat.read(built.solution, as_version=4)
    nb.cells = [cell for cell in nb.cells if grade_id(cell) != "test_halve"]
    for cell in nb.cells:
        if grade_id(cell) == "quadruple":
            cell.source = "def quadruple(x):\n    while True:\n        pass"
    path = tmp_path / "mine.ipynb"
    nbformat.write(nb, path)
    code, text = lfi("check", path)
    assert code == 1
    assert "it ran longer than 20 seconds and was stopped: an endless loop?" in text
    assert "its test cell was deleted" in text
    assert "1 of 3 tasks pass" in text


def with_setup(built, tmp_path, source):
    nb = nbformat.read(built.solution, as_version=4)
    (setup,) = (cell for cell in nb.cells if has_tag(cell, "setup"))
    setup.source = f"{source}\n{setup.source}"
    nbformat.write(nb, tmp_path / "mine.ipynb")
    return tmp_path / "mine.ipynb"


def test_check_gives_imports_time(built, tmp_path, monkeypatch):
    monkeypatch.setattr(check, "CELL_SECONDS", 5)
    lines = check.check_notebook(with_setup(built, tmp_path, "import time\n\ntime.sleep(6)"))
    assert {line.state for line in lines} == {"done"}


def test_check_says_only_that_imports_fail_if_they_do(built, tmp_path):
    code, text = lfi("check", with_setup(built, tmp_path, "import a_package_that_is_not_there"))
    assert code == 2
    assert "No module named 'a_package_that_is_not_there'" in text
    assert "double" not in text


def test_check_runs_our_pictures_only_if_a_name_is_missing(built, tmp_path):
    nb = nbformat.read(built.solution, as_version=4)
    for cell in nb.cells:
        if cell.source.startswith('print("doubled:"'):
            cell.source = "factor = 2"
            nb.cells.insert(2, nb.cells.pop(nb.cells.index(cell)))
        if grade_id(cell) == "double":
            cell.source = "def double(x):\n    return factor * x"
    path = tmp_path / "mine.ipynb"
    nbformat.write(nb, path)
    assert lfi("check", path)[0] == 0


def test_build_reports_faults_and_check_reports_stale_files(mini):
    code, text = lfi("build", "--check")
    assert (code, "is stale" in text) == (1, True)
    mini.source.write_text(mini.source.read_text().replace('"points": 4, ', ""))
    code, text = lfi("build")
    assert (code, "'test_double': no points" in text) == (2, True)
    assert not mini.release.exists()


def test_audit_prints_a_table_or_json(mini):
    code, text = lfi("audit")
    assert code == 1
    assert "doubles_in_place" in text
    assert "0 of 4 wrong answers accepted, 0 of 3 right answers refused (3 tasks)." in text
    done = subprocess.run([LFI, "audit", "--json"], env=os.environ, capture_output=True, text=True)
    table = json.loads(done.stdout)["00_mini"]
    assert table["accepted_mutants"] == table["refused_variants"] == []
    assert table["tasks"]["double"]["mutants"]["squares"]["failed"] == ["test_every_element_is_doubled"]


def test_the_demo_grades_a_class_and_writes_the_report(mini, tmp_path):
    code, text = lfi("demo", "--students", "5", "--output", tmp_path / "demo")
    assert code == 0
    assert "the class" in text
    for name in ("report.html", "class.png", "scores.csv", "gradebook.db", "feedback", "autograded"):
        assert (tmp_path / "demo" / name).exists()
    page = tmp_path / "demo" / "report.html"
    page.unlink()
    assert lfi("report", "--output", tmp_path / "demo")[0] == 0
    assert "not a whole Jupyter notebook" in page.read_text(), "incidents of the earlier run are listed"
    (feedback,) = (tmp_path / "demo" / "feedback" / "ada").rglob("*.html")
    before = feedback.read_text()
    feedback.unlink()
    assert lfi("feedback", "--output", tmp_path / "demo")[0] == 0
    assert feedback.read_text() == before


def test_an_interrupted_run_says_how_to_go_on_and_does(mini, tmp_path):
    words = [LFI, "demo", "--students", "12", "--workers", "1", "--output", tmp_path / "demo"]
    finished = "demo/autograded/*/*/*.key"
    start = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
    process = subprocess.Popen(words, **start)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(finished)) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert "Nothing is lost" in text
    assert "Traceback" not in text
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob(finished)}
    assert 1 <= len(before) < 12
    assert lfi(*words[1:])[0] == 0
    assert len(list(tmp_path.glob(finished))) == 12
    assert all(path.stat().st_mtime_ns == time_then for path, time_then in before.items())


def test_missing_data_folder_is_named(tmp_path):
    code, text = lfi("data", LFI_DATA=str(tmp_path / "nowhere"))
    assert (code, "there is no such folder" in text) == (2, True)
    code, text = lfi("data")
    assert (code, "coco_eval" in text) == (0, True)
