"""lfi grade on the small course: scores, feedback, resuming, and the stock nbgrader commands on the result."""

import base64
import csv
import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from rich.console import Console

from grading.course import CHECKOUT, UserError, grade_id
from grading.feedback import _text
from grading.grade import Run
from grading.gradebook import GradingFolder
from grading.verdict import Verdict, blame

BIN = Path(sys.executable).parent


def hand_in(notebook, folder, student, **sources):
    """Write a submission: our solution, with the source of some cells, or several parts of a cell, replaced."""
    nb = nbformat.read(notebook.solution, as_version=4)
    for cell in nb.cells:
        change = sources.get(grade_id(cell), {})
        cell.update({"source": change} if isinstance(change, str) else change)
    path = folder / student / notebook.assignment / notebook.release.name
    path.parent.mkdir(parents=True)
    nbformat.write(nb, path)
    return path


FORGED = """
print("4.0")
class Yes:
    def __eq__(self, other): return True
    def __array__(self, *args, **kwargs): return np.ones(3)
def double(x): return Yes()
"""
DOT = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(30)).decode()
PICTURES = {
    "source": "It looks so: ![a <dot>](attachment:a%20dot.png) ![lost](attachment:lost.png)",
    "attachments": {"a dot.png": {"image/png": DOT}},
}
CLASS = {
    "right": {},
    "in place": {"double": "def double(x):\n    x *= 2\n    return x"},
    "warns": {"double": "import sys\ndef double(x):\n    print('careful', file=sys.stderr)\n    return 2 * x"},
    "dies": {"double": "def double(x):\n    import os\n    os._exit(1)"},
    "forges": {"double": FORGED, "test_double": "4.0"},
    "syntax": {"double": "def double(x:\n    return"},
    "absent": {"double": "def duoble(x):\n    return 2 * x"},
    "blames": {"double": "def double(x):\n    return 3 * x"},
    "pictures": {"answer_why": PICTURES},
    "html": {"answer_why": "It **grows**: $x<y$.\n\n<script>alert(1)</script>\n\n[go](javascript:alert)"},
}


@pytest.fixture(scope="session")
def graded(built_course, tmp_path_factory):
    """A graded class: the run and its rows of scores.csv by (student, task)."""
    from grading.course import Course

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LFI_COURSE", str(built_course))
        (notebook,) = Course().select(None)
        submitted = tmp_path_factory.mktemp("submitted")
        for student, sources in CLASS.items():
            hand_in(notebook, submitted, student, **sources)
        hand_in(notebook, submitted, "untouched").write_bytes(notebook.release.read_bytes())
        hand_in(notebook, submitted, "broken").write_text('{"cells": [')
        run = Run(GradingFolder(submitted, tmp_path_factory.mktemp("output")), [notebook])
        assert run.grade(lambda *args: None)
        with run.write_scores().open() as file:
            rows = {(row["student"], row["task"]): row for row in csv.DictReader(file)}
    return run, rows


def feedback(run, student):
    (path,) = (run.folder.output / "feedback" / student).rglob("*.html")
    return path.read_text()


@pytest.mark.parametrize(
    ("student", "task", "score", "status"),
    [
        ("right", "double", "4", "passed"),
        ("right", "quadruple", "2", "passed"),
        ("right", "halve", "3", "passed"),
        ("right", "answer_why", "", "needs grading"),
        ("in place", "double", "3", "partial"),
        ("warns", "double", "4", "passed"),
        ("dies", "double", "0", "stopped"),
        ("dies", "halve", "3", "passed"),
        ("forges", "double", "1", "partial"),
        ("forges", "halve", "3", "passed"),
        ("syntax", "double", "0", "failed"),
        ("syntax", "halve", "3", "passed"),
        ("absent", "double", "0", "failed"),
        ("blames", "quadruple", "0", "failed"),
        ("untouched", "double", "0", "not started"),
        ("untouched", "answer_why", "0", "not answered"),
        ("broken", "double", "0", "unreadable"),
        ("pictures", "double", "4", "passed"),
        ("pictures", "answer_why", "", "needs grading"),
    ],
)
def test_scores(graded, student, task, score, status):
    row = graded[1][student, task]
    assert (row["score"], row["status"]) == (score, status)


def test_a_bonus_counts_beyond_the_full_marks(graded):
    rows = graded[1]
    assert rows["right", "halve"]["max_score"] == "0"
    with graded[0].folder.gradebook() as gradebook:
        submission = gradebook.find_submission("00_mini", "right")
        assert (submission.score, submission.max_score) == (9, 8)


def test_feedback_tells_what_holds_and_hints(graded):
    page = feedback(graded[0], "in place")
    assert "✗ not so: the argument is left alone" in page
    assert "✓ every element is doubled" in page
    assert "Hint: The array that was passed in has changed." in page


def test_feedback_shows_the_visible_test_and_what_it_said(graded):
    page = feedback(graded[0], "blames")
    assert "Expected [2, 4], received [3. 6.]" in page
    assert "Your code calls your `double`, which does not pass its own checks: mend that first." in page


def test_all_earlier_tasks_at_fault_are_named():
    verdict, *earlier = (Verdict(name, "failed", 0, 2) for name in ("last", "first", "second", "unused"))
    blame(verdict, "def last(x):\n    return first(second(x))", earlier)
    assert verdict.notes == [
        "Your code calls your `first` and `second`, which do not pass their own checks: mend them first."
    ]


def test_feedback_of_a_broken_file_says_what_to_do(graded):
    assert "Open it in Jupyter, save it again and hand in the new file." in feedback(graded[0], "broken")


@pytest.mark.parametrize("student", [*CLASS, "untouched", "broken"])
def test_feedback_tells_nothing_that_is_hidden(graded, student):
    page = feedback(graded[0], student)
    for private in ("HIDDEN", "grading import plain", "MARK SCHEME", "speaks of growth", "default_rng", str(CHECKOUT)):
        assert private not in page
    assert "<script>alert(1)" not in page
    assert 'href="javascript:' not in page


def test_a_pasted_picture_is_shown_and_a_lost_one_named(graded):
    page = BeautifulSoup(feedback(graded[0], "pictures"), "html.parser")
    (picture,) = page.find_all("img", alt="a <dot>")
    assert picture["src"] == f"data:image/png;base64,{DOT}"
    assert "(lost: not in the file)" in page.text


def test_what_a_student_writes_is_shown_as_it_was_meant(graded):
    page = feedback(graded[0], "html")
    assert "It <strong>grows</strong>: $x&lt;y$." in page


def test_feedback_is_the_page_that_nbconvert_would_write(graded, tmp_path):
    """Our exporter only saves work: same text, same number of tags, and a text for each picture."""
    from nbconvert.exporters import HTMLExporter
    from nbgrader.converters import GenerateFeedback

    from grading.gradebook import _convert, _converter

    run = graded[0]
    config = run.folder.config(run.notebooks[0])
    config.GenerateFeedback.exporter_class = HTMLExporter
    config.CourseDirectory.feedback_directory = str(tmp_path)
    _convert(_converter(GenerateFeedback, config, force=True), run.notebooks[0], "right")
    (theirs,) = (path.read_text() for path in tmp_path.rglob("*.html"))
    page = feedback(run, "right")
    for nbgraders, own in (("Score: nan /", "not graded yet, of"), ("Score: 3.0 / 0.0", "Bonus: 3.0")):
        assert nbgraders in theirs
        theirs = theirs.replace(nbgraders, own)
    ours, theirs = (BeautifulSoup(text, "html.parser").find(id="notebook") for text in (page, theirs))
    assert ours.get_text().split() == theirs.get_text().split()
    assert len(ours.find_all()) == len(theirs.find_all())
    assert all(image.get("alt") for image in ours.find_all("img"))


def test_a_feedback_page_names_tasks_and_what_waits_and_needs_no_network(graded):
    page = feedback(graded[0], "right")
    assert re.search("<h4>.*</h4>", page)[0] == "<h4>mini (Score: 9.0 / 8.0; 2 more wait to be graded)</h4>"
    assert '<a href="#test_double"><code>double</code></a> (Score: 4.0 / 4.0)' in page
    assert "(not graded yet, of 2.0)" in page
    assert "Score: nan" not in page
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.?https?:", page)


def test_formulas_become_mathml_and_nothing_else_does():
    assert _text("so $x_1 < y$ is").count("<math") == 1
    assert "<msqrt>" in _text("$$\\sqrt{x}$$")
    for evil in (r"$\text{<script>alert(1)</script>}$", r"$\href{javascript:alert(1)}{x}$"):
        assert "<math" not in _text(evil) and "<script" not in _text(evil)


def test_pictures_in_feedback_have_an_alternative_text():
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    from grading.feedback import ALT, FeedbackExporter

    shown = [new_output("display_data", data={"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"})]
    page, _ = FeedbackExporter(template_name="classic").from_notebook_node(
        new_notebook(cells=[new_code_cell("plt.show()", outputs=shown)])
    )
    assert f'alt="{ALT}"' in page


def test_each_part_of_the_time_is_written_down(graded):
    with (graded[0].folder.output / "timings.csv").open() as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert set(rows) == {submission.student for submission in graded[0].submissions}
    assert float(rows["right"]["kernel"]) > 0
    assert float(rows["right"]["bookkeeping"]) > 0
    assert rows["broken"]["kernel"] == ""


def test_incidents_name_the_task_and_the_kind(graded):
    with (graded[0].folder.output / "incidents.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] != "unsafe"]
    assert {(row["student"], row["task"], row["kind"]) for row in rows} == {
        ("broken", "", "file"),
        ("dies", "double", "stopped"),
        ("dies", "quadruple", "stopped"),
    }


def test_incidents_are_sentences(graded):
    found = {
        incident.student: incident.sentence
        for incident in graded[0].incidents
        if not incident.sentence.startswith("UNSAFE")
    }
    assert set(found) == {"broken", "dies"}
    assert found["broken"].startswith("The file is not a whole Jupyter notebook")


def test_the_report_shows_the_class(graded):
    from grading.report import class_table, write_report

    run, _ = graded
    pages = write_report(run)
    text = pages.page.read_text()
    assert "The array that was passed in has changed." in text
    assert "http" not in text.replace("http://www.w3.org", "")
    assert pages.picture.stat().st_size > 5000
    assert class_table(run).row_count == len(CLASS) + 2


def test_a_table_of_eight_assignments_fits_a_terminal(graded, monkeypatch):
    from grading import report

    (sheet,) = report.sheets(graded[0])
    notebooks = [replace(sheet.notebook, assignment=f"{number:02}_mini") for number in range(1, 9)]
    late = replace(sheet, notebook=notebooks[-1], students=sheet.students[:1])
    monkeypatch.setattr(report, "sheets", lambda run: [*(replace(sheet, notebook=nb) for nb in notebooks[:-1]), late])
    console = Console(file=io.StringIO(), width=80)
    console.print(report.class_table(graded[0]))
    lines = console.file.getvalue().splitlines()
    assert all(any(student in line for line in lines) for student in CLASS)
    (right,) = (line for line in lines if "right" in line.split())
    assert "100" in right


def test_what_is_graded_is_not_graded_again_until_it_changes(built, tmp_path):
    submitted = tmp_path / "in"
    path = hand_in(built, submitted, "a")
    hand_in(built, submitted, "b")
    folder = GradingFolder(submitted, tmp_path / "out")

    def grade():
        fresh = []
        assert Run(folder, [built]).grade(lambda done, was_fresh: fresh.append((done.student, was_fresh)))
        return sorted(fresh)

    assert grade() == [("a", True), ("b", True)]
    assert grade() == [("a", False), ("b", False)]
    path.write_text(path.read_text().replace("x + x", "3 * x"))
    assert grade() == [("a", True), ("b", False)]


def test_an_interrupted_run_goes_on_where_it_stopped(built, tmp_path):
    submitted = tmp_path / "in"
    for student in "ab":
        hand_in(built, submitted, student)
    folder = GradingFolder(submitted, tmp_path / "out")

    def stop(submission, fresh):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Run(folder, [built]).grade(stop, workers=1)
    fresh = []
    assert Run(folder, [built]).grade(lambda submission, was_fresh: fresh.append(was_fresh))
    assert sorted(fresh) == [False, True]


def test_a_manual_score_survives_a_regrade(built, tmp_path):
    submitted = tmp_path / "in"
    hand_in(built, submitted, "a")
    folder = GradingFolder(submitted, tmp_path / "out")
    run = Run(folder, [built])
    run.grade(lambda *args: None)
    with folder.gradebook() as gradebook:
        grade = gradebook.find_grade("answer_why", "mini", "00_mini", "a")
        grade.manual_score, grade.needs_manual_grade = 1.5, False
        gradebook.db.commit()
    again = Run(folder, [built], force=True)
    again.grade(lambda *args: None)
    (row,) = (row for row in again.scores() if row.task == "answer_why")
    assert (row.score, row.status) == (1.5, "graded")


@pytest.mark.parametrize(
    "make", [lambda p: None, lambda p: p.mkdir(), lambda p: (p / "a" / "99_other").mkdir(parents=True)]
)
def test_a_folder_without_submissions_is_refused(built, tmp_path, make):
    make(tmp_path / "in")
    with pytest.raises(UserError, match=r"There is no folder|holds no submission"):
        Run(GradingFolder(tmp_path / "in", tmp_path / "out"), [built])


def test_stock_nbgrader_commands_work_on_our_course(built):
    """`nbgrader autograde`, `generate_feedback` and `export`, run by hand in grading/."""
    hand_in(built, built.course.work / "submitted", "mutant", **CLASS["in place"])
    env = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}

    def nbgrader(*words):
        done = subprocess.run(
            [BIN / "nbgrader", *words], cwd=CHECKOUT / "grading", env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    nbgrader("generate_assignment", "00_mini", "--force")
    nbgrader("autograde", "00_mini")
    nbgrader("generate_feedback", "00_mini")
    nbgrader("export", "--to", str(built.course.work / "grades.csv"))
    (row,) = csv.DictReader((built.course.work / "grades.csv").open())
    assert (row["student_id"], float(row["score"]), float(row["max_score"])) == ("mutant", 8.0, 8.0)
    (page,) = (built.course.work / "feedback").rglob("*.html")
    assert "Hint: The array that was passed in has changed." in page.read_text()


def test_the_same_notebook_grades_under_nbgraders_own_settings(built, tmp_path):
    """Without our pipeline the hidden region runs the same checks, and partial credit is the same."""
    from grading import bench

    submitted = tmp_path / "in"
    hand_in(built, submitted, "mutant", **CLASS["in place"])
    hand_in(built, submitted, "right")
    bench.plain_course(built, submitted, tmp_path / "plain")
    seconds, memory = bench.run(["nbgrader", "autograde", built.assignment], tmp_path / "plain")
    assert seconds > 0
    assert memory > 10 << 20
    scores = bench.scores(tmp_path / "plain" / "gradebook.db")
    assert (scores["mutant", "test_double"], scores["right", "test_double"]) == (3, 4)


def test_workers_of_a_dask_cluster_give_the_same_scores(built, tmp_path):
    from distributed import LocalCluster

    submitted = tmp_path / "in"
    for student in ("in place", "right", "dies"):
        hand_in(built, submitted, student, **CLASS[student])
    here = Run(GradingFolder(submitted, tmp_path / "here"), [built])
    here.grade(lambda *args: None)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as machines:
        words = ["--submitted", submitted, "--output", tmp_path / "there", "--cluster", machines.scheduler_address]
        done = subprocess.run([BIN / "lfi", "grade", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "there" / "scores.csv").read_bytes() == here.write_scores().read_bytes()


def test_a_worker_that_dies_costs_only_a_second_try(built, tmp_path, monkeypatch):
    from grading import grade

    submitted = tmp_path / "in"
    for student in "ab":
        hand_in(built, submitted, student)
    (tmp_path / "marker").touch()
    monkeypatch.setenv("LFI_TEST_MARKER", str(tmp_path / "marker"))
    monkeypatch.setattr(grade, "run_submission", die_once)
    run = Run(GradingFolder(submitted, tmp_path / "out"), [built])
    assert run.grade(lambda *args: None, workers=1), run.incidents
    assert {row.status for row in run.scores() if row.task == "double"} == {"passed"}


def die_once(*arguments):
    """Stands for a worker that is killed, by the kernel for lack of memory, say, on its first submission."""
    from grading.pool import run_submission

    marker = Path(os.environ["LFI_TEST_MARKER"])
    if marker.exists():
        marker.unlink()
        os._exit(1)
    return run_submission(*arguments)


def test_no_scheduler_is_said_in_a_sentence(built, tmp_path):
    hand_in(built, tmp_path / "in", "a")
    words = ["--submitted", tmp_path / "in", "--output", tmp_path / "out", "--cluster", "tcp://127.0.0.1:9"]
    done = subprocess.run([BIN / "lfi", "grade", *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert "No Dask scheduler answers at tcp://127.0.0.1:9" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
