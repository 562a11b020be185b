"""The hidden checks under plain nbgrader, in the student's own kernel: unprotected, and it says so in the docs."""

from __future__ import annotations

from grading.course import Course, tasks
from grading.student import local
from grading.suite import Suite, fraction

_suites: dict[str, Suite] = {}


def score(notebook: str, task: str, names: dict) -> float:
    """Points that the notebook's function earns, for nbgrader's partial credit.

    Args:
        notebook: Name of the notebook, as in `iou_nms`.
        task: Name of the task.
        names: The notebook's `globals()`.
    """
    (found,) = Course().select([notebook])
    if notebook not in _suites:
        _suites[notebook] = Suite(found.checks)
    outcomes = _suites[notebook].run(task, local(names))
    for outcome in outcomes:
        if not outcome.passed:
            print(f"not so: {outcome.sentence}")
    return round(fraction(outcomes) * tasks(found.read_source())[task].points, 2)
