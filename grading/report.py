"""The class report: what a class knows, at a glance. A page of HTML without any request, a picture, a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
from jinja2 import Environment, FileSystemLoader
from rich.markup import escape
from rich.table import Table

from grading.grade import Run
from grading.sheet import Sheet, Student, complete, sheets

STATES = ("passed", "partial", "failed", "not started", "stopped", "unreadable")
COLOURS = {
    "passed": "#0072b2",
    "partial": "#56b4e9",
    "failed": "#d55e00",
    "not started": "#d9d9d9",
    "stopped": "#000000",
    "unreadable": "#7f7f7f",
}
INKS = {state: "#fff" if state in ("passed", "stopped", "unreadable") else "#000" for state in STATES}
MARKS = {"passed": "✓", "partial": "◐", "failed": "✗", "not started": "·", "stopped": "!", "unreadable": "?"}


@dataclass(frozen=True)
class Pages:
    """Where the report was written."""

    page: Path
    picture: Path


def write_report(run: Run) -> Pages:
    """Write report.html and class.png into the run's output folder."""
    found = sheets(run)
    for sheet in found:
        complete(sheet, run)
    pages = Pages(run.folder.output / "report.html", run.folder.output / "class.png")
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
    page = environment.get_template("report.html").render(
        sheets=found, incidents=run.incidents, states=STATES, colours=COLOURS, inks=INKS, marks=MARKS
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
    names = sheet.tasks
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
    used = [state for state in STATES if any(item.states[state] for item in sheet.items)]
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
        MARKS.get(student.scores[task].status, "·") if task in student.scores else "-" for task in sheet.tasks
    )


def _percent(student: Student) -> str:
    return f"{100 * student.share:.0f}" if student.scores else "-"
