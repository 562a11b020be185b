"""`lfi bench`: the same submissions through plain nbgrader and through `lfi grade`, in turn, in one run."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from grading.course import Notebook
from grading.demo import make_class

PLAIN = """
c = get_config()
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.py", "*.pyc*", "__pycache__"]
c.ClearMarkScheme.enforce_metadata = False
"""


@dataclass(frozen=True)
class Comparison:
    """Median seconds a submission, and their ratio."""

    plain: float
    ours: float
    students: int
    rounds: int

    @property
    def ratio(self) -> float:
        return self.plain / self.ours


def compare(notebook: Notebook, students: int, rounds: int, say: Callable[[str], None]) -> Comparison:
    """Grade a simulated class with both, `rounds` times in turn."""
    times: dict[str, list[float]] = {"plain nbgrader": [], "lfi grade": []}
    with tempfile.TemporaryDirectory() as scratch:
        submitted = Path(scratch) / "submitted"
        make_class([notebook], submitted, students)
        for number in range(rounds):
            for name, run in (("plain nbgrader", _plain), ("lfi grade", _ours)):
                say(f"round {number + 1} of {rounds}: {name}")
                folder = Path(scratch) / f"{name} {number}"
                times[name].append(run(notebook, submitted, folder) / students)
    return Comparison(*(statistics.median(found) for found in times.values()), students, rounds)


def _plain(notebook: Notebook, submitted: Path, folder: Path) -> float:
    """Seconds of `nbgrader autograde` and `nbgrader generate_feedback` with nbgrader's own settings."""
    shutil.copytree(notebook.solution.parent, folder / "solutions" / notebook.assignment)
    shutil.copytree(submitted, folder / "submitted")
    (folder / "nbgrader_config.py").write_text(PLAIN)
    _run(["nbgrader", "generate_assignment", notebook.assignment], folder)
    start = time.monotonic()
    for step in ("autograde", "generate_feedback"):
        _run(["nbgrader", step, notebook.assignment], folder)
    return time.monotonic() - start


def _ours(notebook: Notebook, submitted: Path, folder: Path) -> float:
    start = time.monotonic()
    _run(["lfi", "grade", notebook.assignment, "--submitted", str(submitted), "--output", str(folder)], None)
    return time.monotonic() - start


def _run(command: list[str], folder: Path | None) -> None:
    """Run a command of our environment. A broken submission makes nbgrader's fail; that is part of the picture."""
    command[0] = str(Path(sys.executable).parent / command[0])
    subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, check=False)
