"""What a task earns, and what its student reads about it."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from grading.course import Task
from grading.student import NOT_IMPLEMENTED, Student, StudentStopped
from grading.suite import Outcome, Suite, fraction


def wrap(text: str) -> str:
    """Break a sentence into lines that fit the feedback page."""
    return textwrap.fill(text, 92, initial_indent="  ", subsequent_indent="    ")


@dataclass
class Verdict:
    """The judgement on one task.

    Attributes:
        status: `passed`, `partial`, `failed`, `not started`, `stopped` (the kernel ended) or `unreadable` (the file).
        score: Points, between 0 and the task's worth.
        hints: What the failed checks together look like, from the mutants that fail exactly these.
        notes: Further sentences for the student.
    """

    task: str
    status: str
    score: float
    worth: float
    outcomes: list[Outcome] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The verdict as the student reads it."""
        lines = [f"{self.task}: {self.score:g} of {self.worth:g} points"]
        lines += [wrap(note) for note in self.notes]
        for outcome in self.outcomes:
            why = f" ({outcome.why})" if outcome.why not in ("", "not so") else ""
            lines.append(wrap(f"{'✓ ' if outcome.passed else '✗ not so: '}{outcome.sentence}{why}"))
        lines += [wrap(f"Hint: {hint}") for hint in self.hints]
        return "\n".join(lines) + "\n"

    def as_dict(self) -> dict:
        return asdict(self)


def judge(
    task: Task, suite: Suite, student: Student, hints: dict[tuple[str, ...], list[str]], untouched: bool
) -> Verdict:
    """Run a task's checks against a student's notebook; `untouched`: its cell is as it was released."""
    try:
        outcomes = suite.run(task.name, student)
    except StudentStopped as stopped:
        return lost(task, f"While your function was checked, {stopped.sentence}.")
    if untouched and all(outcome.why == NOT_IMPLEMENTED for outcome in outcomes):
        return Verdict(task.name, "not started", 0.0, task.worth, notes=["Not started yet."])
    share = fraction(outcomes)
    failed = tuple(outcome.name for outcome in outcomes if not outcome.passed)
    status = "passed" if not failed else "partial" if share > 0 else "failed"
    score = min(task.worth, max(0.0, round(share * task.worth, 2)))
    return Verdict(task.name, status, score, task.worth, outcomes, hints.get(failed, []) if failed else [])


def lost(task: Task, note: str, status: str = "stopped") -> Verdict:
    """No points, because the task could not be judged."""
    return Verdict(task.name, status, 0.0, task.worth, notes=[note])


def blame(verdict: Verdict, source: str, earlier: Iterable[Verdict]) -> None:
    """Say so when a task that is not right calls an earlier one that is not right either."""
    if verdict.status in ("passed", "not started"):
        return
    try:
        used = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    wrong = [v.task for v in earlier if v.task in used and v.task != verdict.task and v.status != "passed"]
    if wrong:
        names = " and ".join(f"`{name}`" for name in wrong)
        own = (
            "does not pass its own checks: mend that" if len(wrong) == 1 else "do not pass their own checks: mend them"
        )
        verdict.notes.append(f"Your code calls your {names}, which {own} first.")
