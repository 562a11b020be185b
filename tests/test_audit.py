"""The audit of the checks, on the small course and on the real notebooks."""

import json

import numpy as np
import pytest
import torch

from grading import audit
from grading.course import Course, UserError, tasks
from grading.student import likeness, local
from grading.suite import Outcome, Suite, fraction


def by_name(rows):
    return {row.answer.name: row for row in rows}


def test_mutants_and_variants_are_told_apart(mini):
    rows, _ = audit.audit(mini)
    assert all(row.sound for row in rows)
    found = by_name(rows)
    assert found["doubles_in_place"].failed == ("test_the_argument_is_left_alone",)
    assert found["doubles_in_place"].fraction == 0.75
    assert found["with_a_loop"].fraction == 1


def test_a_check_that_is_too_weak_shows_as_an_accepted_mutant(mini):
    text = mini.checks.read_text()
    mini.checks.write_text(text.replace("assert np.array_equal", "np.array_equal"))
    rows, _ = audit.audit(mini)
    assert not by_name(rows)["doubles_in_place"].sound
    assert audit.as_json({mini: (rows, [])})["00_mini"]["accepted_mutants"] == ["double/doubles_in_place"]
    assert audit.summary(rows).startswith("1 of 4 wrong answers accepted, 0 of 3")


def test_a_check_that_is_too_strict_shows_as_a_refused_variant(mini):
    text = mini.mutants.read_text()
    mini.mutants.write_text(text.replace("return 0.5 * x", "return 0.5001 * x"))
    rows, _ = audit.audit(mini)
    assert audit.as_json({mini: (rows, [])})["00_mini"]["refused_variants"] == ["halve/by_product"]


def test_an_edit_is_our_solution_with_some_places_changed(mini):
    edits = [
        """edit("double", "thrice", {"x + x": "x + x + x"}, hint="One too many.")""",
        """edit("double", "by_factor", {"x + x": "2 * x"})""",
    ]
    mini.mutants.write_text("\n".join([mini.mutants.read_text(), *edits]))
    rows = by_name(audit.audit(mini)[0])
    assert rows["thrice"].sound
    assert rows["thrice"].answer.hint == "One too many."
    assert rows["by_factor"].fraction == 1
    assert "doubled_and_private = x + x + x\n" in rows["thrice"].answer.source


def test_an_edit_of_what_is_not_there_is_refused(mini):
    mini.mutants.write_text("""edit("double", "lost", {"y + y": "y"}, hint="?")""")
    with pytest.raises(UserError, match=r"double/lost: 'y \+ y' stands 0 times in our solution, not once."):
        audit.read_answers(mini)


def test_faults_are_named(mini):
    text = mini.mutants.read_text()
    mini.mutants.write_text(text.replace('@variant("halve")', '@variant("third")').replace("at_once", "with_a_loop"))
    mini.checks.write_text(mini.checks.read_text().replace('task("quadruple")', 'task("fourfold")'))
    _, faults = audit.audit(mini)
    for fault in (
        "fourfold: there are checks but no such task",
        "quadruple: no check",
        "third: there is an answer 'by_product' but no such task",
        "quadruple: the name 'with_a_loop' is used twice",
        "halve: 1 mutants, at least 6 are needed",
    ):
        assert fault in faults


def test_a_failing_solution_is_a_fault(mini):
    mini.source.write_text(mini.source.read_text().replace("x + x", "x + x + 1"))
    _, faults = audit.audit(mini)
    assert any("our own solution fails 'every element is doubled'" in fault for fault in faults)


def test_hints_belong_to_the_checks_that_fail(mini):
    hints = audit.hints(mini)
    (in_place,) = (known for known in hints["double"] if set(known.failed) == {"test_the_argument_is_left_alone"})
    assert in_place.hint == "The array that was passed in has changed."
    kept = list((mini.course.work / "hints").iterdir())
    assert len(kept) == 1
    assert audit.hints(mini) == hints
    mini.mutants.write_text(mini.mutants.read_text().replace("has changed", "is not as before"))
    assert audit.hints(mini)["double"] != hints["double"]


def outcomes(**answers):
    return [Outcome(name, name, 1.0, answer is None, "", answer or 0) for name, answer in answers.items()]


@pytest.mark.parametrize(
    ("found", "hint"),
    [
        (outcomes(a=1, b=2, c=None), ("doubles", True)),
        (outcomes(a=1, b=7, c=None), ("doubles", False)),
        (outcomes(a=3, b=4, c=None), ("squares", True)),
        (outcomes(a=8, b=9, c=None), ("", False)),
        (outcomes(a=8, b=None, c=None), ("alone", False)),
        (outcomes(a=1, b=2, c=3), ("", False)),
        (outcomes(a=None, b=None, c=None), ("", False)),
    ],
)
def test_the_hint_is_that_of_the_likest_mistake(found, hint):
    known = [
        audit.Known({"a": 1, "b": 2}, "doubles"),
        audit.Known({"a": 3, "b": 4}, "squares"),
        audit.Known({"a": 5}, "alone"),
    ]
    assert audit.explain(known, found) == hint


def test_results_are_alike_to_three_digits_whatever_their_type():
    values = np.random.default_rng(0).normal(size=(4, 3))
    same = [values, values.astype(np.float32), torch.tensor(values), values * (1 + 1e-9)]
    assert len({likeness({"x": value, "y": (1, None)}) for value in same}) == 1
    different = [values, values.T, -values, values * 1.1, values[::-1], np.where(values > 1, np.nan, values)]
    different += [values.astype(complex) * 1j, 0 * values, values[:0], "text", None, [values, 1], True]
    assert len({likeness(value) for value in different}) == len(different)
    assert likeness(np.array(10**400)) == likeness(np.array(10**401))  # no number of NumPy's: only the kind counts


@pytest.mark.parametrize("notebook", Course().all(), ids=lambda notebook: notebook.name)
def test_constant_answers_earn_little(notebook):
    """Someone who returns the same for every input, or the input itself, must not collect points."""
    suite = Suite(notebook.checks)

    def zeros(first=None, *a, **k):
        if isinstance(first, torch.Tensor):
            return torch.zeros_like(first)
        return np.zeros(np.shape(first)) if isinstance(first, np.ndarray) else 0

    lazy = {
        "zero": lambda *a, **k: 0.0,
        "nothing": lambda *a, **k: None,
        "empty": lambda *a, **k: np.zeros(0),
        "first": lambda first=None, *a, **k: first,
        "zeros": zeros,
    }
    for task in tasks(notebook.read_source()):
        for name, function in lazy.items():
            share = fraction(suite.run(task, local({task: function})))
            assert share <= 0.25, f"{task}: returning '{name}' earns {share:.0%}"


@pytest.mark.parametrize("notebook", Course().all(), ids=lambda notebook: notebook.name)
def test_every_task_names_its_forbidden_shortcuts(notebook):
    suite = Suite(notebook.checks)
    assert set(suite.forbidden) <= set(suite.tasks)
    assert all("." in name for names in suite.forbidden.values() for name in names)


def test_json_is_json(mini):
    rows, faults = audit.audit(mini)
    assert json.loads(json.dumps(audit.as_json({mini: (rows, faults)})))["00_mini"]["faults"] == faults


def test_warnings_of_what_a_student_returns_reach_nobody(tmp_path, recwarn):
    path = tmp_path / "test_loud.py"
    path.write_text("""
import warnings, pytest

@pytest.mark.task('loud')
def test_it_is_quiet(student):
    warnings.warn('hidden')
""")
    (outcome,) = Suite(path).run("loud", local({}))
    assert outcome.passed
    assert not recwarn.list
