"""Do the checks reject wrong answers and accept right ones? Mutants and variants against every task.

A file in grading/mutants holds, for each task, wrong answers that students really write and right answers that look
different from ours. They are ordinary functions or classes, and they may use every name of the notebook:

    @mutant("box_iou", hint="Width and height look swapped ...")
    def swapped_sides(boxes1, boxes2): ...

    @variant("box_iou")
    def with_loops(boxes1, boxes2): ...

An answer that is ours but for a few characters is written as an edit of our solution:

    edit("box_iou", "areas_not_added", {"area1 + area2 - common": "area1 * area2"}, hint="The union looks ...")
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from pathlib import Path

from grading import student
from grading.course import Notebook, Task, UserError, grade_id, has_tag, is_solution, tasks
from grading.student import local
from grading.suite import Outcome, Suite, fraction

LEAST_MUTANTS = 6
LEAST_VARIANTS = 3


def mutant(task: str, *, hint: str):
    """Mark a function as a wrong answer to a task; `hint` is what a student who errs like this reads."""
    return lambda function: function


def variant(task: str):
    """Mark a function as a right answer to a task."""
    return lambda function: function


def edit(task: str, name: str, changes: dict[str, str], *, hint: str | None = None):
    """Our solution with some places changed: a mutant if there is a hint, else a variant.

    Args:
        task: Which.
        name: What is wrong, as a mutant's function would be called.
        changes: Old text -> new text; each old text stands exactly once in our solution.
        hint: What a student who errs like this reads.
    """


@dataclass(frozen=True)
class Answer:
    """One mutant or variant, as source that defines the task's own name."""

    task: str
    name: str
    source: str
    hint: str | None

    @property
    def is_mutant(self) -> bool:
        return self.hint is not None


def read_answers(notebook: Notebook) -> list[Answer]:
    """A notebook's mutants and variants, as source code with the task's name in place of their own."""
    text = notebook.mutants.read_text()
    ours = {grade_id(cell): cell.source for cell in notebook.read_source().cells if is_solution(cell)}
    answers = []
    for node in ast.parse(text).body:
        call = getattr(node, "value", None)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "edit":
            task, name, changes = (ast.literal_eval(argument) for argument in call.args)
            answers.append(Answer(task, name, _edited(ours.get(task, ""), f"{task}/{name}", changes), _hint(call)))
        for decorator in getattr(node, "decorator_list", []):
            if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") in ("mutant", "variant"):
                task = ast.literal_eval(decorator.args[0])
                body = "\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno])
                answers.append(Answer(task, node.name, re.sub(rf"\b{node.name}\b", task, body), _hint(decorator)))
    return answers


def _hint(call: ast.Call) -> str | None:
    return next((ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg == "hint"), None)


def _edited(source: str, name: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        if source.count(old) != 1:
            raise UserError(f"{name}: {old!r} stands {source.count(old)} times in our solution, not once.")
        source = source.replace(old, new)
    return source


def solution_source(nb) -> Iterator[str]:
    """The source of the cells that define a notebook's tasks: those tagged `setup`, and the solution cells."""
    for cell in nb.cells:
        if cell.cell_type == "code" and (has_tag(cell, "setup") or is_solution(cell)):
            yield cell.source


def define(cells: list[str], name: str) -> dict:
    """Run cells in a fresh namespace and return it."""
    names: dict = {"__name__": name}
    for source in cells:
        exec(compile(source, f"<{name}>", "exec"), names)
    return names


@dataclass(frozen=True)
class Row:
    """One answer against its task's checks."""

    answer: Answer
    outcomes: list[Outcome]

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(outcome.name for outcome in self.outcomes if not outcome.passed)

    @property
    def fraction(self) -> float:
        return fraction(self.outcomes)

    @property
    def sound(self) -> bool:
        """A mutant must fail some check, a variant none."""
        return bool(self.failed) == self.answer.is_mutant


def audit(
    notebook: Notebook, pool: Executor | None = None, done: Callable[[], None] = lambda: None
) -> tuple[list[Row], list[str]]:
    """Run the solution and every mutant and variant of a notebook against its checks.

    Args:
        notebook: Which.
        pool: Runs the answers at the same time; none: here, one after the other.
        done: Called after each answer.

    Returns:
        The rows, and what is wrong besides: tasks without checks, too few mutants or variants, a failing solution.
    """
    digest, known, answers = _digest(notebook), tasks(notebook.read_source()), read_answers(notebook)
    cells, suite = _prepared(notebook, digest)
    faults = _completeness(known, suite, answers)
    solution = local(define(cells, "solution"))
    for task in known:
        for outcome in suite.run(task, solution) if task in suite.tasks else []:
            if not outcome.passed:
                faults.append(f"{task}: our own solution fails '{outcome.sentence}' ({outcome.why})")
    checked = [answer for answer in answers if answer.task in suite.tasks]
    rows = []
    for row in (pool.map if pool else map)(_row, repeat(notebook), repeat(digest), checked):
        rows.append(row)
        done()
    return rows, faults


def _row(notebook: Notebook, digest: str, answer: Answer) -> Row:
    cells, suite = _prepared(notebook, digest)
    return Row(answer, suite.run(answer.task, local(define([*cells, answer.source], answer.name))))


@lru_cache(maxsize=2)
def _prepared(notebook: Notebook, digest: str) -> tuple[list[str], Suite]:
    """The cells that define the solution, and the checks; `digest` tells when they have changed."""
    return list(solution_source(notebook.read_source())), Suite(notebook.checks)


def _digest(notebook: Notebook) -> str:
    """Hash of all that a row depends on."""
    digest = hashlib.sha256()
    for path in (notebook.source, notebook.checks, notebook.mutants, Path(student.__file__), Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _completeness(known: dict[str, Task], suite: Suite, answers: list[Answer]) -> list[str]:
    faults = [f"{task}: there are checks but no such task" for task in suite.tasks if task not in known]
    seen = set()
    for answer in answers:
        if answer.task not in known:
            faults.append(f"{answer.task}: there is an answer '{answer.name}' but no such task")
        if answer.name in seen:
            faults.append(f"{answer.task}: the name '{answer.name}' is used twice")
        seen.add(answer.name)
    for task in known:
        if task not in suite.tasks:
            faults.append(f"{task}: no check")
        mine = [answer for answer in answers if answer.task == task]
        mutants = sum(answer.is_mutant for answer in mine)
        if mutants < LEAST_MUTANTS:
            faults.append(f"{task}: {mutants} mutants, at least {LEAST_MUTANTS} are needed")
        if len(mine) - mutants < LEAST_VARIANTS:
            faults.append(f"{task}: {len(mine) - mutants} variants, at least {LEAST_VARIANTS} are needed")
    return faults


@dataclass(frozen=True)
class Known:
    """A mistake that we know: the checks that fail because of it, what its function returned in each, and the hint."""

    failed: dict[str, int]
    hint: str


def explain(known: list[Known], outcomes: list[Outcome]) -> tuple[str, bool]:
    """The hint of the known mistake that fails the same checks, and whether it returned the same in all of them.

    Of several mistakes that fail the same checks the likest counts. Empty, if there is none or if it is open which.
    """
    failed = {outcome.name: outcome.answers for outcome in outcomes if not outcome.passed}
    alike: dict[str, int] = {}
    for mistake in known:
        if failed and mistake.failed.keys() == failed.keys():
            same = sum(mistake.failed[name] == answers for name, answers in failed.items())
            alike[mistake.hint] = max(same, alike.get(mistake.hint, 0))
    most = max(alike.values(), default=0)
    best = [hint for hint, same in alike.items() if same == most]
    return (best[0], most == len(failed)) if len(best) == 1 else ("", False)


def hints(notebook: Notebook, pool: Executor | None = None) -> dict[str, list[Known]]:
    """The known mistakes of each task, from its mutants.

    Kept in grading/work under a hash of source, checks and mutants, because it runs them all (in a pool, if given).
    """
    kept = notebook.course.work / "hints" / f"{notebook.name}-{_digest(notebook)[:16]}.json"
    if kept.exists():
        table = json.loads(kept.read_text())
    else:
        rows, _ = audit(notebook, pool)
        table = [[row.answer.task, _answers(row), row.answer.hint] for row in rows if row.answer.is_mutant]
        kept.parent.mkdir(parents=True, exist_ok=True)
        scratch = kept.with_suffix(f".{os.getpid()}")
        scratch.write_text(json.dumps(table))
        scratch.replace(kept)
    found: dict[str, list[Known]] = {}
    for task, failed, hint in table:
        found.setdefault(task, []).append(Known(failed, hint))
    return found


def _answers(row: Row) -> dict[str, int]:
    return {outcome.name: outcome.answers for outcome in row.outcomes if not outcome.passed}


def summary(rows: list[Row]) -> str:
    """One sentence with the two numbers that judge the checks."""
    mutants = [row for row in rows if row.answer.is_mutant]
    variants = [row for row in rows if not row.answer.is_mutant]
    accepted = sum(not row.sound for row in mutants)
    refused = sum(not row.sound for row in variants)
    return (
        f"{accepted} of {len(mutants)} wrong answers accepted, {refused} of {len(variants)} right answers refused "
        f"({len({row.answer.task for row in rows})} tasks)."
    )


def as_json(results: dict[Notebook, tuple[list[Row], list[str]]]) -> dict:
    """The audit's results as plain data."""
    found = {}
    for notebook, (rows, faults) in results.items():
        table: dict = {}
        for row in rows:
            entry = {"failed": list(row.failed), "points": round(row.fraction, 4), "sound": row.sound}
            if row.answer.is_mutant:
                entry["hint"] = row.answer.hint
            kind = "mutants" if row.answer.is_mutant else "variants"
            table.setdefault(row.answer.task, {"mutants": {}, "variants": {}})[kind][row.answer.name] = entry
        unsound = [row.answer for row in rows if not row.sound]
        found[notebook.assignment] = {
            "tasks": table,
            "accepted_mutants": [f"{answer.task}/{answer.name}" for answer in unsound if answer.is_mutant],
            "refused_variants": [f"{answer.task}/{answer.name}" for answer in unsound if not answer.is_mutant],
            "faults": faults,
        }
    return found
