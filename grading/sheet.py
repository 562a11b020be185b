"""What a grading run says about a class: each student's points, how tasks behave, what went wrong, when it came in."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nbgrader.api import Assignment, SubmittedAssignment
from sqlalchemy import select

from grading.course import Notebook, tasks
from grading.grade import Run, Score
from grading.similarity import Pair, alike, given, graded_sources

TIMES = select(SubmittedAssignment.timestamp, Assignment.name, Assignment.duedate).join(Assignment)
MOST_BINS = 60
UNITS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}


@dataclass
class Student:
    """A student's row: what each task earned, and the sum."""

    name: str
    scores: dict[str, Score] = field(default_factory=dict)

    @property
    def points(self) -> float:
        """Points without those of bonus tasks."""
        return round(sum(score.score or 0 for score in self.scores.values() if score.max_score), 2)

    @property
    def bonus(self) -> float:
        return round(sum(score.score or 0 for score in self.scores.values() if not score.max_score), 2)

    @property
    def reachable(self) -> float:
        """Points that could be reached so far; written answers that wait to be graded do not count yet."""
        return sum(score.max_score for score in self.scores.values() if score.score is not None)

    @property
    def waiting(self) -> int:
        return sum(score.status == "needs grading" for score in self.scores.values())

    @property
    def share(self) -> float:
        return self.points / self.reachable if self.reachable else 0.0


@dataclass(frozen=True)
class Item:
    """How a task behaves as a question.

    Attributes:
        states: How many students passed it, failed it, ...
        mean: Mean share of its points: the higher, the easier.
        discrimination: Correlation of its points with those of all other tasks; None if nobody differs.
    """

    name: str
    worth: float
    states: Counter
    mean: float
    discrimination: float | None


@dataclass(frozen=True)
class Finding:
    """Something that went wrong for some students: a hint or a failed check."""

    task: str
    words: str
    students: tuple[str, ...]


@dataclass(frozen=True)
class TimeCourse:
    """When submissions came in (UTC), counted in equal steps.

    Attributes:
        unit: `hour`, `day` or `week`.
        counts: The beginning of each step, and how many came in during it.
        late: How many came after the due date.
        earlier: How many came before the first step that is shown.
    """

    unit: str
    counts: list[tuple[datetime, int]]
    due: datetime | None
    late: int
    earlier: int


@dataclass
class Sheet:
    """One assignment's results."""

    notebook: Notebook
    students: list[Student]
    items: list[Item]
    misconceptions: list[Finding] = field(default_factory=list)
    failed_checks: list[Finding] = field(default_factory=list)
    course: TimeCourse | None = None
    pairs: list[Pair] = field(default_factory=list)

    @property
    def tasks(self) -> list[str]:
        return [item.name for item in self.items]

    @property
    def bins(self) -> list[int]:
        """How many students have 0-10 %, 10-20 %, ... of the points."""
        counts = [0] * 10
        for student in self.students:
            counts[min(9, int(student.share * 10))] += 1
        return counts

    @property
    def median(self) -> float:
        return statistics.median(student.share for student in self.students)


def sheets(run: Run) -> list[Sheet]:
    """A grading run's points, an assignment at a time; `complete` adds what takes longer."""
    students: dict[str, dict[str, Student]] = {notebook.assignment: {} for notebook in run.notebooks}
    for row in run.scores():
        students[row.assignment].setdefault(row.student, Student(row.student)).scores[row.task] = row
    found = []
    for notebook in run.notebooks:
        if rows := list(students[notebook.assignment].values()):
            worth = {name: task.worth for name, task in tasks(notebook.read_release()).items()}
            found.append(Sheet(notebook, rows, [item(name, worth[name], rows) for name in worth]))
    return found


def complete(sheet: Sheet, run: Run) -> None:
    """Add to a sheet what went wrong, when submissions came in, and which are alike."""
    sheet.misconceptions, sheet.failed_checks = _findings(run, sheet.notebook)
    sheet.course = _course(run, sheet.notebook)
    mine = [submission for submission in run.submissions if submission.notebook == sheet.notebook]
    code = {submission.student: graded_sources(run.graded(submission)) for submission in mine}
    sheet.pairs = alike(code, given(sheet.notebook))


def item(name: str, worth: float, students: list[Student]) -> Item:
    """How a task behaves; files that could not be read say nothing about it, but are counted."""
    rows = [student for student in students if name in student.scores]
    states = Counter(student.scores[name].status for student in rows)
    read = [student for student in rows if student.scores[name].status != "unreadable"]
    points = [student.scores[name].score or 0.0 for student in read]
    rest = [
        sum(score.score or 0.0 for task, score in student.scores.items() if task != name and score.max_score)
        for student in read
    ]
    mean = statistics.fmean(points) / worth if points and worth else 0.0
    return Item(name, worth, states, mean, _correlation(points, rest))


def _correlation(one: list[float], other: list[float]) -> float | None:
    try:
        return statistics.correlation(one, other)
    except statistics.StatisticsError:  # fewer than two students, or all the same
        return None


def _findings(run: Run, notebook: Notebook) -> tuple[list[Finding], list[Finding]]:
    """Which mistakes were made for sure, by their hints, and which checks failed, most frequent first."""
    hints, checks = defaultdict(list), defaultdict(list)
    for submission in run.submissions:
        if submission.notebook != notebook:
            continue
        for name, verdict in (run.outcome(submission) or {}).get("tasks", {}).items():
            for hint in verdict["hints"] if verdict["sure"] else ():
                hints[name, hint].append(submission.student)
            for outcome in verdict["outcomes"]:
                if not outcome["passed"]:
                    checks[name, outcome["sentence"]].append(submission.student)
    return _ranked(hints), _ranked(checks)


def _ranked(found: dict[tuple[str, str], list[str]]) -> list[Finding]:
    findings = [Finding(task, words, tuple(students)) for (task, words), students in found.items()]
    return sorted(findings, key=lambda finding: (-len(finding.students), finding.task, finding.words))


def _course(run: Run, notebook: Notebook) -> TimeCourse | None:
    """When an assignment's submissions came in, as nbgrader noted it; None if it knows of none."""
    with run.folder.gradebook() as gradebook:
        rows = [row for row in gradebook.db.execute(TIMES) if row.name == notebook.assignment]
    times = [row.timestamp for row in rows if row.timestamp]
    return time_course(times, rows[0].duedate) if times else None


def time_course(times: list[datetime], due: datetime | None) -> TimeCourse:
    """Count submissions by hours, days or weeks, whichever gives few enough steps."""
    first, last = min(times), max(times)
    unit = next((name for name, step in UNITS.items() if (last - first) / step < MOST_BINS), "week")
    step = UNITS[unit]
    start = first.replace(minute=0, second=0, microsecond=0)
    start = start if unit == "hour" else start.replace(hour=0)
    counts = Counter((time - start) // step for time in times)
    steps = [(start + number * step, counts[number]) for number in range(max(counts) + 1)]
    late = sum(due is not None and time > due for time in times)
    shown = steps[-MOST_BINS:]
    return TimeCourse(unit, shown, due, late, len(times) - sum(count for _, count in shown))
