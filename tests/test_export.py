"""Grades and feedback on their way back to Moodle and Canvas, and what lateness costs."""

import csv
import io
import shutil
import zipfile
from datetime import UTC, datetime

import pytest
from test_collect import ADA, GRADEBOOK, JG, WORKSHEET, answers, pack, write
from test_grade import hand_in

from grading.course import Course, UserError
from grading.grade import Run
from grading.gradebook import GradingFolder
from grading.lms import late
from grading.lms.collect import collect, enter_names, read_records
from grading.lms.roster import read_roster
from grading.tables import inert, plain, write_csv

DUE = "2026-11-23 22:00 UTC"  # Ada came a quarter of an hour later, Jürgen two hours and five minutes


@pytest.fixture(scope="module")
def class_of_two(built_course, tmp_path_factory):
    """A grading folder made of Moodle's archive: Ada's answer to one task, Jürgen's solution, and a stranger's."""
    root = tmp_path_factory.mktemp("moodle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LFI_COURSE", str(built_course))
        (notebook,) = Course().select(None)
        files = {f"{ADA}/mini.ipynb": answers(notebook), f"{JG}/mini.ipynb": notebook.solution.read_bytes()}
        pack(files, root / "moodle.zip")
        roster = read_roster(write(root / "worksheet.csv", WORKSHEET, "utf-8-sig"), UTC)
        collect(root / "moodle.zip", notebook, root / "submitted", roster)
        hand_in(notebook, root / "submitted", "=stranger")
        run = Run(GradingFolder(root / "submitted", root / "out"), [notebook])
        assert run.grade(lambda *args: None)
        run.write_scores()
        shutil.copyfile(root / "submitted" / "collected.csv", root / "out" / "collected.csv")
        with run.folder.gradebook() as gradebook:
            enter_names(gradebook, read_records(root / "submitted").values())
    return root


@pytest.fixture
def moodle(class_of_two, built, tmp_path, monkeypatch):
    """A copy of it; the command finds its course. Returns the folder."""
    shutil.copytree(class_of_two, tmp_path / "class")
    return tmp_path / "class"


def rows(path, encoding="utf-8-sig", **dialect):
    return list(csv.reader(io.StringIO(path.read_text(encoding=encoding), newline=""), **dialect))


@pytest.fixture
def export(command):
    return lambda folder, *words: command("export", "00_mini", "--output", folder / "out", *words)


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize(
    "value", ["-1", "+3.5", "-0,5", "1e-3", "ada", "O'Hara", "a=b", "", 3, -1.5, None, "jürgen@x.org"]
)
def test_what_no_spreadsheet_runs_stays_as_it_is(value):
    assert inert(value) == value


@pytest.mark.parametrize("value", ["=1+1", "+cmd", "-cmd", "@SUM(1)", "\t=1", "\r=1", " =1", "\n=1", "=-1", "-1+cmd"])
def test_formulas_are_made_inert_and_can_be_read_back(value):
    assert inert(value) == f"'{value}"
    assert plain(inert(value)) == value


def test_plain_leaves_other_quotes_alone():
    assert plain("'twas") == "'twas"


def test_our_tables_hold_numbers_as_they_are(tmp_path):
    assert write_csv(tmp_path / "t.csv", ["a"], [["-1"], ["=1"]]).read_bytes() == b"a\r\n-1\r\n'=1\r\n"


# ---------------------------------------------------------------- Moodle


def test_moodles_worksheet_comes_back_with_grades_only(moodle, export):
    code, text = export(moodle, "--to", "moodle", "--roster", moodle / "worksheet.csv")
    assert code == 1
    assert "=stranger is not in worksheet.csv." in text
    assert "Written answers of 2 students wait for a grade and count 0 points so far: =stranger, s1002." in text
    target = moodle / "out" / "moodle-00_mini.csv"
    assert f"wrote 2 grades to {target}" in text
    before, after = WORKSHEET, target.read_bytes()
    assert after.startswith(b"\xef\xbb\xbf")
    assert after.count(b"\r\n") == before.count("\r\n")
    original = list(csv.reader(io.StringIO(before, newline="")))
    for old, new in zip(original, rows(target), strict=True):
        assert old[:5] + old[6:] == new[:5] + new[6:]
    assert [row[5] for row in rows(target)] == ["Grade", "4", "8", ""]


def test_a_bonus_above_moodles_maximum_is_capped_because_moodle_would_ignore_it(moodle, export):
    _, text = export(moodle, "--to", "moodle", "--roster", moodle / "worksheet.csv")
    assert "Jürgen Groß has 9 points, but Moodle ignores a grade above its maximum: 8 is entered." in text


def test_locked_grades_other_maxima_and_an_old_encoding(moodle, export):
    changed = WORKSHEET.replace("8.00", "10,00").replace(",", ";").replace("10;00", "10,00").replace("Yes", "No", 1)
    path = write(moodle / "semicolons.csv", changed, "cp1252")
    words = ("--to", "moodle", "--roster", path, "--file", moodle / "back.csv")
    code, text = export(moodle, *words)
    assert code == 2
    assert "Moodle's maximum grade is 10, but the points are of 8: set it to 8 there" in text
    code, text = export(moodle, *words, "--scale")
    assert code == 1
    assert "Moodle would not change the grade of Ada Lovelace; it was left as it is." in text
    assert [row[5] for row in rows(moodle / "back.csv", "cp1252", delimiter=";")] == ["Grade", "", "10", ""]


def test_feedback_in_moodles_shape(moodle, command):
    words = ["feedback", "00_mini", "--output", moodle / "out", "--zip", "moodle"]
    code, text = command(*words)
    assert code == 1
    assert "It is not known who =stranger is in Moodle; the feedback was left out." in text
    with zipfile.ZipFile(moodle / "out" / "feedback-00_mini.zip") as archive:
        assert archive.namelist() == [f"{ADA}/mini.html", f"{JG}/mini.html"]
        assert b"every element is doubled" in archive.read(f"{JG}/mini.html")
    (moodle / "out" / "collected.csv").unlink()
    code, text = command(*words)
    assert (code, "give the grading worksheet (--roster)" in text) == (2, True)
    command(*words, "--roster", moodle / "worksheet.csv")
    with zipfile.ZipFile(moodle / "out" / "feedback-00_mini.zip") as archive:
        assert archive.namelist() == [f"{ADA}/mini.html", f"{JG}/mini.html"]


def test_names_reach_the_gradebook(moodle):
    with GradingFolder(moodle, moodle / "out").gradebook() as gradebook:
        student = gradebook.find_student("s1002")
        assert (student.first_name, student.last_name, student.email) == ("Jürgen", "Groß", "jg@example.org")


# ---------------------------------------------------------------- Canvas


def test_canvas_gradebook_comes_back_with_its_column_filled(moodle, export):
    path = write(moodle / "canvas.csv", GRADEBOOK, "utf-8-sig")
    code, text = export(moodle, "--to", "canvas", "--roster", path)
    assert code == 1
    assert "=stranger is not in canvas.csv." in text
    old, new = list(csv.reader(io.StringIO(GRADEBOOK))), rows(moodle / "out" / "canvas.csv")
    assert [row[:5] + row[6:] for row in old] == [row[:5] + row[6:] for row in new]
    assert [row[5] for row in new] == ["00_mini (4711)", "8", "4", "9"], "matched by the number s1001, s1002"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("00_mini (4711)", "Week 1 (4711)"), "has no column for 00_mini (assignments there: Week 1 (4711))"),
        (("00_mini (4711)", "00_mini (4711),Mini (4712)"), "has more than one column"),
        ((",8,", ",30,"), "Points Possible of 00_mini (4711) in Canvas is 30, but the points are of 8"),
        (("adal,Lab 1,,", "adal,Lab 1,EX,"), "Lovelace, Ada is excused or not assigned in Canvas"),
    ],
)
def test_what_is_odd_in_canvas_is_said(moodle, change, sentence, export):
    path = write(moodle / "canvas.csv", GRADEBOOK.replace(*change))
    code, text = export(moodle, "--to", "canvas", "--roster", path)
    assert code in (1, 2)
    assert sentence in text


# ---------------------------------------------------------------- a table of all


def test_the_table_has_the_columns_of_nbgraders_export(moodle, export):
    code, text = export(moodle)
    assert code == 0, text
    with (moodle / "out" / "grades.csv").open(newline="") as file:
        table = {row["student_id"]: row for row in csv.DictReader(file)}
    assert list(table) == ["'=stranger", "s1001", "s1002"]
    row = table["s1002"]
    assert (row["raw_score"], row["late_submission_penalty"], row["score"], row["max_score"]) == ("9", "0", "9", "8")
    assert (row["first_name"], row["last_name"], row["timestamp"]) == ("Jürgen", "Groß", "2026-11-24 00:05:00")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--to", "blackboard"], "--to blackboard is none of moodle, canvas and csv."),
        (["--to", "moodle"], "--to moodle needs the class list that Moodle exported: --roster FILE."),
        (["--to", "canvas", "--roster", "worksheet.csv"], "worksheet.csv is no gradebook export of Canvas"),
        (["--to", "moodle", "--roster", "canvas.csv"], "canvas.csv is no grading worksheet"),
        (["--output", "nowhere"], "There is no gradebook in nowhere"),
    ],
)
def test_bad_words(moodle, words, sentence, command):
    write(moodle / "canvas.csv", GRADEBOOK)
    code, text = command("export", "00_mini", "--output", "out", *words, cwd=moodle)
    assert (code, sentence in text) == (2, True), text


# ---------------------------------------------------------------- lateness


@pytest.mark.parametrize(
    ("text", "hours", "lost"),
    [
        ("none", 1, None),
        ("zero", 0.01, 10),
        ("10%", 1, 1),
        ("10%", 24, 1),
        ("10%", 24.1, 2),
        ("10%", 24 * 30, 10),
        ("25%,2", 47, 5),
        ("25%,2", 49, 10),
        ("2.5 %", 1, 0.25),
    ],
)
def test_policies(text, hours, lost):
    plugin = late.LatePolicy(**late.policy(text))
    assert plugin.late_submission_penalty("ada", 10.0, hours * 3600) == lost


def test_grace(built):
    plugin = late.LatePolicy(penalty_method="zero", grace_minutes=15)
    assert plugin.late_submission_penalty("ada", 10.0, 15 * 60) is None
    assert plugin.late_submission_penalty("ada", 10.0, 15 * 60 + 1) == 10


@pytest.mark.parametrize("text", ["", "some", "10", "200%", "10%,", "-5%"])
def test_policies_that_are_none(text):
    with pytest.raises(UserError, match=r"is none of: none; zero; 10%"):
        late.policy(text)


def test_due_dates():
    assert late.due_date("2026-11-30 23:59 Europe/Berlin") == datetime(2026, 11, 30, 22, 59, tzinfo=UTC)
    with pytest.raises(UserError, match=r"The due date 'tomorrow' is no time"):
        late.due_date("tomorrow")


def lateness(folder):
    with GradingFolder(folder, folder / "out").gradebook() as gradebook:
        found = gradebook.assignment_submissions("00_mini")
        return {submission.student_id: submission.late_submission_penalty for submission in found}


def test_lateness_is_entered_without_grading_again_and_pages_tell_it(moodle, export, command):
    """A policy that comes after grading: nothing runs again, two pages are written anew, exports subtract."""
    words = ["grade", "00_mini", "--submitted", moodle / "submitted", "--output", moodle / "out"]
    notebooks = {path: path.stat().st_mtime_ns for path in (moodle / "out" / "autograded").rglob("*.ipynb")}
    code, text = command(*words, "--due", DUE, "--late", "10%")
    assert code == 0, text
    assert "00_mini: 2 came after 2026-11-23 22:00 UTC and lose 1.3 points in all." in text
    assert lateness(moodle) == {"s1001": 0.4, "s1002": 0.9, "=stranger": 0}
    assert {path: path.stat().st_mtime_ns for path in notebooks} == notebooks
    (page,) = (moodle / "out" / "feedback" / "s1001").rglob("*.html")
    assert "Late submission penalty (Score: -0.4)" in page.read_text()
    export(moodle, "--to", "moodle", "--roster", moodle / "worksheet.csv")
    assert [row[5] for row in rows(moodle / "out" / "moodle-00_mini.csv")] == ["Grade", "3.6", "8", ""]
    code, text = command(*words, "--late", "none")
    assert lateness(moodle) == {"s1001": 0, "s1002": 0, "=stranger": 0}
    assert "Late submission penalty" not in page.read_text()


def test_a_manual_score_that_comes_later_is_counted(moodle, export):
    late.keep_settings(moodle / "out", Course().select(None)[0], DUE, "10%")
    with GradingFolder(moodle, moodle / "out").gradebook() as gradebook:
        grade = gradebook.find_grade("answer_why", "mini", "00_mini", "s1002")
        grade.manual_score, grade.needs_manual_grade = 2, False
        gradebook.db.commit()
    export(moodle)
    assert lateness(moodle)["s1002"] == 1.1


def test_plain_nbgrader_uses_the_same_policy(moodle):
    """The step that grading/nbgrader_config.py names enters the due date and the penalty by itself."""
    from grading.gradebook import configuration

    config = configuration()
    assert "grading.lms.late.LatePenalties" in config.Autograde.autograde_preprocessors
    config.LatePenalties.due = {"00_mini": DUE}
    config.LatePolicy.penalty_method = "zero"
    folder = GradingFolder(moodle, moodle / "out")
    place = {"notebook": "mini", "assignment": "00_mini", "student": "s1001", "db_url": folder.db_url}
    from nbformat.v4 import new_notebook

    late.LatePenalties(config=config).preprocess(new_notebook(), {"nbgrader": place})
    with folder.gradebook() as gradebook:
        assert gradebook.find_assignment("00_mini").duedate == datetime(2026, 11, 23, 22)
    assert lateness(moodle) == {"s1001": 4, "s1002": 0, "=stranger": 0}


def test_bad_words_about_lateness(moodle, command):
    words = ["grade", "00_mini", "--submitted", moodle / "submitted", "--output", moodle / "out"]
    code, text = command(*words, "--due", "soon")
    assert (code, "The due date 'soon' is no time" in text) == (2, True)
    code, text = command(*words, "--late", "much")
    assert (code, "The late policy 'much' is none of" in text) == (2, True)
    (moodle / "out" / "late.json").write_text("{")
    code, text = command(*words)
    assert (code, "late.json cannot be read: remove it" in text) == (2, True)
