"""The hidden checks: pytest files, collected once and run for as many students as there are."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from _pytest.config import _prepareconfig

from grading.course import UserError
from grading.student import Student, StudentError, StudentStopped

SPELLING = {"iou": "IoU", "nms": "NMS", "ap": "AP", "coco": "COCO", "numpy": "NumPy", "nan": "NaN"}
SPELLING |= {"kl": "KL", "pytorch": "PyTorch", "gaussian": "Gaussian", "bernoulli": "Bernoulli", "python": "Python"}


@dataclass
class Check:
    """One check of one task: a test function with all its parameters."""

    name: str
    weight: float
    items: list[pytest.Item] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """The check's name as students read it."""
        words = self.name.removeprefix("test_").split("_")
        return " ".join(SPELLING.get(word, word) for word in words)


@dataclass(frozen=True)
class Outcome:
    """What came of one check; `why` says it in words that carry nothing hidden."""

    name: str
    sentence: str
    weight: float
    passed: bool
    why: str = ""


class _Plugin:
    """Gives checks the fixture `student` and their markers."""

    student: Student | None = None

    def __init__(self):
        self.errors: list[str] = []

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", "task(name): the task that a check belongs to")
        config.addinivalue_line("markers", "weight(w): share of the task's points, 1 unless told")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(report.longreprtext)

    @pytest.fixture(name="student")
    def student_fixture(self) -> Student:
        return self.student


class Suite:
    """The checks of one notebook, by task.

    Args:
        path: The pytest file with the checks.

    Attributes:
        tasks: The checks of each task, in the file's order.
        forbidden: Names of library routines that do a whole task, by task (the file's FORBIDDEN).
    """

    def __init__(self, path: Path):
        self._plugin = _Plugin()
        arguments = [str(path), "--import-mode=importlib", "--capture=no", "--assert=plain", "--strict-markers"]
        arguments += ["-c", os.devnull, f"--rootdir={path.anchor}"]
        for name in (
            "cacheprovider",
            "terminal",
            "faulthandler",
            "logging",
            "junitxml",
            "pastebin",
            "doctest",
            "warnings",
        ):
            arguments += ["-p", f"no:{name}"]
        self._config = _prepareconfig(["--disable-plugin-autoload", *arguments], plugins=[self._plugin])
        self._config._do_configure()
        self._session = session = pytest.Session.from_config(self._config)
        self._config.hook.pytest_sessionstart(session=session)
        self.tasks: dict[str, list[Check]] = {}
        items = session.perform_collect()
        if self._plugin.errors or not items:
            raise UserError(f"The checks in {path} cannot be used.\n" + "\n".join(self._plugin.errors))
        for item in items:
            self._add(item)
        self.forbidden: dict[str, list[str]] = getattr(items[0].module, "FORBIDDEN", {})

    def _add(self, item: pytest.Item) -> None:
        marker = item.get_closest_marker("task")
        if marker is None:
            raise UserError(f"The check {item.nodeid} has no marker `task`.")
        weight = item.get_closest_marker("weight")
        checks = self.tasks.setdefault(marker.args[0], [])
        name = item.originalname
        check = next((check for check in checks if check.name == name), None)
        if check is None:
            check = Check(name, float(weight.args[0]) if weight else 1.0)
            checks.append(check)
        check.items.append(item)

    def run(self, task: str, student: Student) -> list[Outcome]:
        """Run a task's checks. Raises StudentStopped when the student's kernel can answer no more."""
        self._plugin.student = student
        try:
            with warnings.catch_warnings(action="ignore"):  # of what a student returned, for nobody to read
                whys = [(check, self._run(check)) for check in self.tasks[task]]
        finally:
            self._plugin.student = None
        return [Outcome(check.name, check.sentence, check.weight, not why, why) for check, why in whys]

    def _run(self, check: Check) -> str:
        """Empty if all is well, else why the check failed."""
        setup = self._session._setupstate
        for item in check.items:
            item._initrequest()
            try:
                setup.setup(item)
                item.runtest()
            except StudentStopped:
                raise
            except StudentError as error:
                return error.sentence
            except (Exception, pytest.fail.Exception):
                return "not so"
            finally:
                setup.teardown_exact(None)
        return ""


def fraction(outcomes: Iterable[Outcome]) -> float:
    """The share of a task's points that its outcomes earn, in [0, 1]."""
    outcomes = list(outcomes)
    total = sum(outcome.weight for outcome in outcomes)
    return sum(outcome.weight for outcome in outcomes if outcome.passed) / total if total else 0.0
