"""The class report: what a class knows, at a glance. A page of HTML without any request, a picture, a table."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
from jinja2 import Environment, FileSystemLoader
from rich.markup import escape
from rich.table import Table

from grading.course import Notebook, tasks
from grading.grade import Run, Score

STATES = ("passed", "partial", "failed", "not started", "stopped", "unreadable")
COLOURS = {
    "passed": "#0072b2",
    "partial": "#56b4e9",
    "failed": "#d55e00",
    "not started": "#d9d9d9",
    "stopped": "#000000",
    "unreadable": "#7f7f7f",
}
MARKS = {"passed": "✓", "partial": "◐", "failed": "✗", "not started": "·", "stopped": "!", "unreadable": "?"}


@dataclass(frozen=True)
class Pages:
    """Where the report was written."""

    page: Path
    picture: Path


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


@dataclass
class Sheet:
    """One assignment's results."""

    notebook: Notebook
    students: list[Student]
    states: dict[str, Counter]
    worth: dict[str, float]
    misconceptions: list[tuple[int, str, str]]
    failed_checks: list[tuple[int, str, str]]

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
    """Collect a grading run's results, an assignment at a time."""
    found = []
    rows = list(run.scores())
    for notebook in run.notebooks:
        students: dict[str, Student] = {}
        states: dict[str, Counter] = {name: Counter() for name in tasks(notebook.read_release())}
        for row in rows:
            if row.assignment == notebook.assignment:
                students.setdefault(row.student, Student(row.student)).scores[row.task] = row
                if row.task in states:
                    states[row.task][row.status] += 1
        worth = {name: task.worth for name, task in tasks(notebook.read_release()).items()}
        wrong, checks = _misconceptions(run, notebook)
        found.append(Sheet(notebook, list(students.values()), states, worth, wrong, checks))
    return [sheet for sheet in found if sheet.students]


def _misconceptions(run: Run, notebook: Notebook) -> tuple[list, list]:
    """Which hints were given and which checks failed, most frequent first: (students, task, words)."""
    hints, checks = defaultdict(int), defaultdict(int)
    for submission in run.submissions:
        if submission.notebook != notebook:
            continue
        for name, verdict in (run.outcome(submission) or {}).get("tasks", {}).items():
            for hint in verdict["hints"]:
                hints[name, hint] += 1
            for outcome in verdict["outcomes"]:
                if not outcome["passed"]:
                    checks[name, outcome["sentence"]] += 1
    return _ranked(hints), _ranked(checks)


def _ranked(counts: dict) -> list[tuple[int, str, str]]:
    return sorted(((count, task, words) for (task, words), count in counts.items()), key=lambda row: (-row[0], row[1:]))


def write_report(run: Run) -> Pages:
    """Write report.html and class.png into the run's output folder."""
    found = sheets(run)
    pages = Pages(run.folder.output / "report.html", run.folder.output / "class.png")
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
    page = environment.get_template("report.html").render(
        sheets=found, incidents=run.incidents, states=STATES, colours=COLOURS, marks=MARKS
    )
    pages.page.write_text(page, encoding="utf-8")
    draw_class(found[0], pages.picture)
    return pages


def draw_class(sheet: Sheet, path: Path) -> None:
    """A picture of the class: students by tasks, best first."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    students = sorted(sheet.students, key=lambda student: -student.share)
    names = list(sheet.states)
    figure, axes = plt.subplots(figsize=(0.62 * len(names) + 3.2, 0.24 * len(students) + 2.2), dpi=110)
    for y, student in enumerate(students):
        for x, name in enumerate(names):
            state = student.scores[name].status if name in student.scores else "not started"
            axes.add_patch(plt.Rectangle((x, y), 0.94, 0.9, color=COLOURS[state], lw=0))
            dark = state in ("passed", "failed", "stopped", "unreadable")
            axes.text(x + 0.47, y + 0.47, MARKS[state], ha="center", va="center", size=8, color="w" if dark else "k")
        axes.text(len(names) + 0.15, y + 0.47, f"{student.points:g}{_plus(student.bonus)}", va="center", size=8)
    axes.set_xlim(0, len(names) + 1)
    axes.set_ylim(len(students), 0)
    axes.set_xticks([x + 0.47 for x in range(len(names))], names, rotation=40, ha="left", size=8)
    axes.set_yticks(
        [y + 0.45 for y in range(len(students))], [student.name for student in students], size=8, parse_math=False
    )
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    used = [state for state in STATES if any(counter[state] for counter in sheet.states.values())]
    handles = [Patch(color=COLOURS[state], label=f"{MARKS[state]} {state}") for state in used]
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncol=len(used), frameon=False, fontsize=8
    )
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)


def _plus(bonus: float) -> str:
    return f" + {bonus:g}" if bonus else ""


def class_table(run: Run) -> Table:
    """The class as a table for the terminal: of one assignment its tasks, of several their points in percent."""
    found = sheets(run)
    alone = len(found) == 1
    table = Table(
        title="the class" if alone else "the class: percent of each assignment's points", title_justify="left"
    )
    table.add_column("student", no_wrap=True)
    for sheet in found:
        name = sheet.notebook.assignment
        table.add_column(name if alone else name.partition("_")[0], justify="left" if alone else "right", no_wrap=True)
    table.add_column("points", justify="right", no_wrap=True)
    by_name: dict[str, list[Student]] = {}
    for index, sheet in enumerate(found):
        for student in sheet.students:
            by_name.setdefault(student.name, [Student(student.name)] * len(found))[index] = student
    for name, rows in by_name.items():
        cells = [_marks(found[0], rows[0])] if alone else [_percent(student) for student in rows]
        points, reachable, bonus = (sum(getattr(s, key) for s in rows) for key in ("points", "reachable", "bonus"))
        table.add_row(escape(name), *cells, f"{points:g} / {reachable:g}{_plus(bonus)}")
    if alone:
        table.caption = "  ".join(f"{mark} {state}" for state, mark in MARKS.items())
    return table


def _marks(sheet: Sheet, student: Student) -> str:
    """How each task of an assignment went, a sign each."""
    return " ".join(
        MARKS.get(student.scores[task].status, "·") if task in student.scores else "-" for task in sheet.states
    )


def _percent(student: Student) -> str:
    return f"{100 * student.share:.0f}" if student.scores else "-"
