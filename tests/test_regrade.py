"""After a check was corrected: who is graded again, who gains or loses and why; and what people entered stays."""

import csv

import pytest
from test_grade import CLASS, hand_in

from grading import results
from grading.course import UserError
from grading.grade import Run
from grading.gradebook import GradingFolder
from grading.regrade import Before, check_hashes, compare

STRICT = "assert np.array_equal(student.call"
KINDER = "assert True or np.array_equal(student.call"


def rewrite(path, old, new):
    """Edit a file of the course, and forget what this process remembers of it."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    for remembered in (results.dependencies, results.surroundings, check_hashes):
        remembered.cache_clear()


@pytest.fixture
def hashes(built):
    """check_hashes of the small course, as its files are now."""

    def now():
        check_hashes.cache_clear()
        return check_hashes(built)

    return now


def changed(before, after):
    return {task for task in before.keys() | after.keys() if before.get(task) != after.get(task)}


@pytest.mark.parametrize(
    ("old", "new", "tasks"),
    [
        ("[0, 4, 8]", "[0.0, 4, 8]", {"quadruple"}),
        ("x = np.ones(3)", "x = np.ones(3)  # a comment", set()),
        ("x = np.ones(3)", "x = np.ones(4)", {"double"}),
        ("weight(2)", "weight(3)", {"double"}),
        ('"numpy.multiply"', '"numpy.add"', {"double"}),
        ("import pytest", "import pytest\n\npytest.seed = 1", {"double", "quadruple", "halve"}),
        ("import pytest", "import pytest\n\nUNUSED = 1", set()),
        ("student.halve(np.arange(3.0))", "student.halve(np.arange(4.0)[:3])", {"halve"}),
    ],
)
def test_a_change_of_the_checks_concerns_its_task(built, hashes, old, new, tasks):
    before = hashes()
    rewrite(built.checks, old, new)
    assert changed(before, hashes()) == tasks


def test_a_helper_concerns_those_who_use_it(built, hashes):
    rewrite(built.checks, "import pytest\n", "import pytest\n\nSIZE = 3\n\n\ndef ones():\n    return np.ones(SIZE)\n")
    rewrite(built.checks, "x = np.ones(3)", "x = ones()")
    before = hashes()
    rewrite(built.checks, "SIZE = 3", "SIZE = 5")
    assert changed(before, hashes()) == {"double"}


def test_a_mutant_concerns_its_task(built, hashes):
    before = hashes()
    rewrite(built.mutants, "This is only twice as much.", "Only twice as much.")
    assert changed(before, hashes()) == {"quadruple"}


def test_broken_checks_are_named_in_a_sentence(built, hashes):
    built.checks.write_text("def broken(:")
    with pytest.raises(UserError, match="cannot be used"):
        hashes()


def test_why_points_changed_is_said():
    def task(score, status="partial", **checks):
        return {"t": {"score": score, "status": status, "checks": checks}}

    assert list(compare(task(1.0, a=True), task(1.0, a=False))) == []
    ((_, old, new, why),) = compare(task(1.0, a=False, b=True, c=True), task(2.0, a=True, b=False, d=True, e=False))
    assert (old, new) == (1, 2)
    assert why == "holds now: a; does not hold now: b; new and holds: d; new and does not hold: e; checked no more: c"
    assert [why for *_, why in compare(task(1.0, a=True), task(2.0, a=True))] == ["the weights of its checks changed"]
    assert [why for *_, why in compare(task(0.0, "stopped"), task(2.0, a=True))] == ["stopped before, partial now"]


def test_what_was_earned_before_outlives_a_kill_but_not_a_new_submission(tmp_path):
    before = Before(tmp_path)
    verdict = {"score": 3.0, "status": "partial", "outcomes": [{"sentence": "it holds", "passed": True}]}
    before.keep("a", "00", {"handed_in": "x", "outcome": {"tasks": {"t": verdict}}})
    before.keep("a", "00", {})  # the run was killed: there is no record now
    assert before.get("a", "00", "x") == {"t": {"score": 3.0, "status": "partial", "checks": {"it holds": True}}}
    assert before.get("a", "00", "y") is None
    before.forget("a", "00")
    assert before.get("a", "00", "x") is None


def grade(folder, notebook, changed=True):
    """Grade; returns the run, and whom it graded."""
    run, fresh = Run(folder, [notebook], changed=changed), set()
    assert run.grade(lambda submission, was_fresh: fresh.add(submission.student) if was_fresh else None)
    run.write_scores()
    return run, fresh


def test_a_corrected_check_is_applied_to_those_concerned_and_manual_work_stays(built, tmp_path):
    submitted = tmp_path / "in"
    for student in ("in place", "right"):
        hand_in(built, submitted, student, **CLASS[student])
    hand_in(built, submitted, "untouched").write_bytes(built.release.read_bytes())
    folder = GradingFolder(submitted, tmp_path / "out")
    grade(folder, built)
    with folder.gradebook() as gradebook:
        answer = gradebook.find_grade("answer_why", "mini", "00_mini", "in place")
        answer.manual_score, answer.needs_manual_grade = 1.5, False
        gradebook.find_comment("answer_why", "mini", "00_mini", "in place").manual_comment = "Nearly."
        gradebook.find_grade("test_quadruple", "mini", "00_mini", "in place").manual_score = 0.5
        gradebook.db.commit()

    rewrite(built.checks, STRICT, KINDER)
    run, fresh = grade(folder, built)
    assert fresh == {"in place", "right"}, "who did not start has nothing to gain"
    (change,) = run.changes()
    assert (change.student, change.task, change.before, change.after) == ("in place", "double", 3, 4)
    assert change.why == "holds now: the argument is left alone"
    assert str(change).startswith("in place, 00_mini, double: 3 -> 4, gains 1")
    with (folder.output / "changes.csv").open() as file:
        assert [row["task"] for row in csv.DictReader(file)] == ["double"]
    scores = {(row.student, row.task): row.score for row in run.scores()}
    assert scores["in place", "double"] == 4
    assert scores["in place", "answer_why"] == 1.5
    assert scores["in place", "quadruple"] == 0.5
    with folder.gradebook() as gradebook:
        assert gradebook.find_comment("answer_why", "mini", "00_mini", "in place").manual_comment == "Nearly."

    run, fresh = grade(folder, built)
    assert fresh == set()
    assert [change.task for change in run.changes()] == ["double"], "it can be read again"
    assert grade(folder, built, changed=False)[1] == set(), "whom no change concerned has a grade of today"

    rewrite(built.checks, "[0, 4, 8]", "[0, 4, 9]")
    run, fresh = grade(folder, built)
    lost = {(change.student, change.task): change for change in run.changes()}
    assert set(lost) == {("in place", "quadruple"), ("right", "quadruple")}
    assert lost["in place", "quadruple"].why.endswith("a manual score stands")
    assert "loses 2: does not hold now" in str(lost["right", "quadruple"])


def test_what_was_handed_in_anew_is_graded_and_is_no_change_of_the_checks(built, tmp_path):
    path = hand_in(built, tmp_path / "in", "a", **CLASS["in place"])
    folder = GradingFolder(tmp_path / "in", tmp_path / "out")
    grade(folder, built)
    path.write_text(path.read_text().replace("x *= 2", "x = 2 * x"))
    run, fresh = grade(folder, built)
    assert fresh == {"a"}
    assert list(run.changes()) == []
