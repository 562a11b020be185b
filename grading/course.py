"""Where everything of the course lies, and what a notebook contains."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

CHECKOUT = Path(__file__).resolve().parent.parent

HIDDEN = re.compile(r"^[^\n]*\bBEGIN HIDDEN TESTS.*?\bEND HIDDEN TESTS[^\n]*\n?", re.MULTILINE | re.DOTALL)
SCHEME = re.compile(r"^[^\n]*\bBEGIN MARK SCHEME.*?\bEND MARK SCHEME[^\n]*\n?", re.MULTILINE | re.DOTALL)
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class UserError(Exception):
    """Something the user can mend; its text is shown as it is, without a traceback."""


@dataclass(frozen=True)
class Task:
    """One function or class that a student implements.

    Attributes:
        name: The function's or class's name, which is also the `grade_id` of its solution cell.
        points: Points of its test cell.
        extra_credit: Points that a bonus task can add; its `points` are 0.
    """

    name: str
    points: float
    extra_credit: float = 0.0

    @property
    def worth(self) -> float:
        return self.points or self.extra_credit


def incident(kind: str, sentence: str, task: str = "") -> dict:
    """Something unusual about a submission, for the instructor; it is kept in the graded notebook's `metadata.lfi`.

    Args:
        kind: `file` (what was odd in what was handed in), `stopped` (code that ended its kernel or did not end),
            `shortcut` (a library routine that is the task itself), `unsafe` (graded without the sandbox) or
            `not graded`.
        sentence: What happened; it may quote the student, but what would steer a terminal is taken out.
        task: The task that it concerns, if it concerns one.
    """
    return {"kind": kind, "task": task, "sentence": "".join(c if c.isprintable() else " " for c in sentence)}


@dataclass(frozen=True)
class Notebook:
    """One assignment and the one notebook in it."""

    course: Course
    assignment: str
    name: str

    @property
    def source(self) -> Path:
        return self.course.solutions / self.assignment / f"{self.name}.py"

    @property
    def solution(self) -> Path:
        return self.course.solutions / self.assignment / f"{self.name}.ipynb"

    @property
    def release(self) -> Path:
        return self.course.notebooks / self.assignment / f"{self.name}.ipynb"

    @property
    def checks(self) -> Path:
        return self.course.root / "grading" / "checks" / f"test_{self.name}.py"

    @property
    def mutants(self) -> Path:
        return self.course.root / "grading" / "mutants" / f"{self.name}.py"

    def read_source(self) -> NotebookNode:
        return jupytext.read(self.source)

    def read_release(self) -> NotebookNode:
        if not self.release.exists():
            raise UserError(f"{self.release} is missing: run `lfi build {self.assignment}` first.")
        return nbformat.read(self.release, as_version=4)


@dataclass(frozen=True)
class Course:
    """The course rooted at a folder: $LFI_COURSE, or this checkout."""

    root: Path = field(default_factory=lambda: Path(os.environ.get("LFI_COURSE") or CHECKOUT).resolve())

    @property
    def solutions(self) -> Path:
        return self.root / "solutions"

    @property
    def notebooks(self) -> Path:
        return self.root / "notebooks"

    @property
    def work(self) -> Path:
        return self.root / "grading" / "work"

    def all(self) -> list[Notebook]:
        """Every notebook of the course, in the order of the assignments."""
        found = []
        for source in sorted(self.solutions.glob("*/*.py")):
            found.append(Notebook(self, source.parent.name, source.stem))
        return found

    def select(self, assignments: list[str] | None) -> list[Notebook]:
        """The notebooks of the named assignments, or all; an assignment or a notebook's name will do."""
        everything = self.all()
        if not everything:
            raise UserError(f"There is no notebook source in {self.solutions}.")
        if not assignments:
            return everything
        chosen = []
        for wanted in assignments:
            wanted = wanted.strip("/")
            match = [nb for nb in everything if wanted in (nb.assignment, nb.name)]
            if not match:
                known = ", ".join(nb.assignment for nb in everything)
                raise UserError(f"There is no assignment '{wanted}'. The assignments are: {known}.")
            chosen += [nb for nb in match if nb not in chosen]
        return chosen


def nbgrader_metadata(cell: NotebookNode) -> dict:
    """What nbgrader knows of a cell; empty for an ordinary one."""
    return cell.metadata.get("nbgrader", {})


def grade_id(cell: NotebookNode) -> str | None:
    """The name under which nbgrader knows a cell."""
    return nbgrader_metadata(cell).get("grade_id")


def is_solution(cell: NotebookNode) -> bool:
    """A code cell in which a student implements a task."""
    return cell.cell_type == "code" and bool(nbgrader_metadata(cell).get("solution"))


def is_test(cell: NotebookNode) -> bool:
    """The autograded test cell of a task."""
    metadata = nbgrader_metadata(cell)
    return cell.cell_type == "code" and bool(metadata.get("grade")) and not metadata.get("solution")


def is_answer(cell: NotebookNode) -> bool:
    """A written, manually graded answer."""
    metadata = nbgrader_metadata(cell)
    return bool(metadata.get("grade") and metadata.get("solution"))


def has_tag(cell: NotebookNode, tag: str) -> bool:
    """Whether a cell has a tag."""
    return tag in cell.metadata.get("tags", [])


def tasks(nb: NotebookNode) -> dict[str, Task]:
    """The tasks of a notebook by name, in their order."""
    found = {}
    for cell in nb.cells:
        if is_test(cell):
            name = grade_id(cell).removeprefix("test_")
            points = float(nbgrader_metadata(cell).get("points", 0))
            found[name] = Task(name, points, float(cell.metadata.get("extra_credit", 0)))
    return found
