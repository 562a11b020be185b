"""Commands between the course and the learning platform: collect, export."""

from __future__ import annotations

import shutil
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from grading.cli_student import console, errors
from grading.course import Course, Notebook, UserError

if TYPE_CHECKING:
    from grading.grade import Run
    from grading.lms.roster import Roster

app = typer.Typer()

RosterFile = Annotated[
    Path | None, typer.Option("--roster", help="Class list: Moodle's grading worksheet or Canvas's gradebook export.")
]
MAX_LINES = 40


def one(assignment: str) -> Notebook:
    """The notebook of one assignment."""
    (notebook,) = Course().select([assignment])
    notebook.read_release()
    return notebook


def roster_of(path: Path | None, zone: tzinfo | None = None) -> Roster | None:
    """The class list, if one was named."""
    from grading.lms.roster import read_roster

    return read_roster(path, zone) if path else None


def _zone(name: str | None) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):
        raise UserError(f"There is no time zone {name!r}; one is called 'Europe/Berlin', for instance.") from None


def say(sentences: list[str]) -> None:
    """Print sentences, the first of very many."""
    for sentence in sentences[:MAX_LINES]:
        console.print(sentence, markup=False, soft_wrap=True)
    if len(sentences) > MAX_LINES:
        console.print(f"... and {len(sentences) - MAX_LINES} more.")


def before_grading(run: Run, due: str | None, late: str | None) -> None:
    """Keep what was told about lateness, and who is who on the platform, beside the gradebook."""
    from grading.lms.collect import RECORDS
    from grading.lms.late import keep_settings

    output, records = run.folder.output, run.folder.submitted / RECORDS
    if due and len(run.notebooks) != 1:
        raise UserError("--due is for one assignment: name it, or set the dates in grading/nbgrader_config.py.")
    if due or late:
        keep_settings(output, run.notebooks[0], due, late)
    if records.is_file() and output != run.folder.submitted:
        shutil.copyfile(records, output / RECORDS)


def after_grading(run: Run, workers: int | None) -> None:
    """Enter names and late penalties in the gradebook; pages where a penalty has changed are written anew."""
    from grading.lms.collect import enter_names, read_records

    changed = run.apply_lateness()
    if changed:
        run.write_feedback(lambda submission: None, workers, changed)
    with run.folder.gradebook() as gradebook:
        enter_names(gradebook, read_records(run.folder.output).values())
        for notebook in run.notebooks:
            assignment = gradebook.find_assignment(notebook.assignment)
            late = [s for s in gradebook.assignment_submissions(notebook.assignment) if s.total_seconds_late > 0]
            if late:
                lost = sum(s.late_submission_penalty for s in late)
                told = (
                    f"{len(late)} came after {assignment.duedate:%Y-%m-%d %H:%M} UTC and lose {lost:g} points in all."
                )
                console.print(f"{notebook.assignment}: {told}", soft_wrap=True)


def pack_feedback(run: Run, people: Roster | None) -> bool:
    """Write an archive of feedback an assignment, for Moodle; whether everyone's is in it."""
    from grading.lms.export import feedback_zip, participants

    complete = True
    for notebook in run.notebooks:
        graded = {s.student for s in run.submissions if s.notebook == notebook}
        if not graded:
            continue
        who = participants(run.folder.output, notebook, people, graded)
        target = run.folder.output / f"feedback-{notebook.assignment}.zip"
        done = feedback_zip(run.folder.output / "feedback", notebook, who, target)
        say(done.troubles)
        size = done.path.stat().st_size / 1e6
        console.print(f"wrote {done.count} pages to {done.path} ({size:.1f} MB)", markup=False, soft_wrap=True)
        complete &= not done.troubles
    return complete


@app.command()
def collect(
    source: Annotated[Path, typer.Argument(help="What Moodle or Canvas gave, or a folder with such archives.")],
    assignment: Annotated[str, typer.Option(help="Which assignment was handed in.")],
    roster: RosterFile = None,
    output: Annotated[Path, typer.Option(help="Folder for <student>/<assignment>/<notebook>.ipynb.")] = Path(
        "grading/work/submitted"
    ),
    timezone: Annotated[
        str | None, typer.Option(help="Of the times in the class list. Default: this machine's.")
    ] = None,
) -> None:
    """Lay out what Moodle, Canvas or `lfi submit` give as nbgrader's submissions; the latest of each student counts."""
    from grading.lms.collect import collect as run

    notebook, people = one(assignment), roster_of(roster, _zone(timezone))
    with errors.status(f"collecting {source.name}"):
        report = run(source, notebook, output, people)
    say(report.notes + report.troubles)
    told = ", ".join(f"{report.counts[state]} {state}" for state in ("new", "newer", "older", "unchanged"))
    console.print(f"{report.counts.total()} submissions to {notebook.assignment}: {told}.")
    if report.timed["student"]:
        console.print(f"{report.timed['student']} have the time that `lfi submit` wrote, by the student's clock.")
    if report.timed["none"]:
        console.print(f"{report.timed['none']} have no time: the class list tells none, so they cannot be late.")
    console.print(f"They are in {output}.", markup=False, soft_wrap=True)
    if not report.counts:
        raise UserError(f"{source} holds no submission that could be collected.")
    raise typer.Exit(1 if report.troubles else 0)


@app.command()
def export(
    assignments: Annotated[list[str] | None, typer.Argument(metavar="[ASSIGNMENT]...", help="Default: all.")] = None,
    to: Annotated[str, typer.Option(help="moodle, canvas or csv.")] = "csv",
    roster: RosterFile = None,
    output: Annotated[Path, typer.Option(help="Folder of the grading run, with gradebook.db.")] = Path("grading/work"),
    file: Annotated[Path | None, typer.Option(help="The file to write. Default: in that folder.")] = None,
    scale: Annotated[
        bool, typer.Option("--scale", help="Convert points where the platform has another maximum.")
    ] = False,
) -> None:
    """Write grades, less late penalties, as Moodle's worksheet, Canvas's gradebook or a table of all."""
    from grading.cli import finished
    from grading.lms import export as exporter
    from grading.lms.collect import read_records

    if to not in ("moodle", "canvas", "csv"):
        raise UserError(f"--to {to} is none of moodle, canvas and csv.")
    people = roster_of(roster)
    if to != "csv" and not people:
        raise UserError(f"--to {to} needs the class list that {to.capitalize()} exported: --roster FILE.")
    run = finished(assignments, output)
    run.apply_lateness()
    records = list(read_records(output).values())
    with run.folder.gradebook() as gradebook:
        known = {found.name for found in gradebook.assignments}
        notebooks = [nb for nb in run.notebooks if assignments or nb.assignment in known]
        if to == "csv":
            done = exporter.to_csv(gradebook, notebooks, file or output / "grades.csv")
        elif to == "canvas":
            done = exporter.to_canvas(gradebook, notebooks, people, records, file or output / "canvas.csv", scale)
        else:
            if len(notebooks) != 1:
                raise UserError("A worksheet of Moodle belongs to one assignment: name it.")
            target = file or output / f"moodle-{notebooks[0].assignment}.csv"
            done = exporter.to_moodle(gradebook, notebooks[0], people, records, target, scale)
    say(done.notes + done.troubles)
    console.print(f"wrote {done.count} grades to {done.path}", markup=False, soft_wrap=True)
    raise typer.Exit(1 if done.troubles else 0)
