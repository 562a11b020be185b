"""The command `lfi`: what instructors and authors need. Students have the commands of grading/cli_student.py only."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from grading.cli_student import Interrupted, app, console, errors, main
from grading.course import Course, Notebook, UserError, tasks
from grading.lms import cli as platform

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from grading.grade import Submission

app.add_typer(platform.app)

Assignments = Annotated[list[str] | None, typer.Argument(metavar="[ASSIGNMENT]...", help="Default: all.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes that run submissions. Default: all cores.")]
Unsafe = Annotated[bool, typer.Option("--unsafe", help="Run students' code without the sandbox.")]
Output = Annotated[Path, typer.Option(help="Folder for gradebook.db, autograded/, feedback/ and scores.csv.")]


def progress(unit: str) -> Progress:
    """A progress bar on stderr that counts `unit`."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=errors)


@app.command()
def build(
    assignments: Assignments = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 if anything is stale.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Run notebooks that did not change, too.")] = False,
) -> None:
    """Make the solution notebooks and the students' notebooks from solutions/*/*.py."""
    from grading import build as builder

    broken = False
    for notebook in Course().select(assignments):
        if check:
            faults = builder.check(notebook)
            broken |= bool(faults)
            for fault in faults:
                console.print(f"{notebook.assignment}: {fault}", markup=False, soft_wrap=True)
        else:
            with errors.status(notebook.assignment) as status:
                changed = builder.build(
                    notebook, force=force, say=lambda what, nb=notebook, s=status: s.update(f"{nb.assignment}: {what}")
                )
            for path in changed:
                console.print(f"wrote {path.relative_to(notebook.course.root)}", soft_wrap=True)
            if not changed:
                console.print(f"{notebook.assignment} is up to date")
    if broken:
        console.print("Run `lfi build` to make the generated notebooks anew.")
        raise typer.Exit(1)
    if check:
        console.print("All generated notebooks are up to date.")


@app.command()
def audit(
    assignments: Assignments = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Check the checks: every mutant must be rejected, every variant must get full points."""
    from grading import audit as auditor
    from grading.pool import local_pool

    results = {}
    with progress("answers") as bar, local_pool(os.cpu_count() or 1) as pool:
        for notebook in Course().select(assignments):
            job = bar.add_task(notebook.name, total=len(auditor.read_answers(notebook)))
            results[notebook] = auditor.audit(notebook, pool, lambda job=job: bar.advance(job))
    sound = all(not faults and all(row.sound for row in rows) for rows, faults in results.values())
    if as_json:
        print(json.dumps(auditor.as_json(results), indent=1))
    else:
        for notebook, (rows, faults) in results.items():
            console.print(_audit_table(notebook, rows))
            for fault in faults:
                console.print(f"[red]{fault}[/]")
            console.print(auditor.summary(rows))
    raise typer.Exit(0 if sound else 1)


def _audit_table(notebook: Notebook, rows: list) -> Table:
    table = Table(title=f"{notebook.assignment}: checks against mutants and variants", title_justify="left")
    for column in ("task", "answer", "kind", "verdict", "rejected by"):
        table.add_column(column, overflow="fold")
    order = list(tasks(notebook.read_source()))
    previous = None
    for row in sorted(rows, key=lambda row: (order.index(row.answer.task), not row.answer.is_mutant)):
        kind = "mutant" if row.answer.is_mutant else "variant"
        verdict = ("rejected" if row.failed else "ACCEPTED") if kind == "mutant" else f"{row.fraction:.0%}"
        names = (
            "".join(outcome.sentence for outcome in row.outcomes if outcome.name == row.failed[0]) if row.failed else ""
        )
        names += f" (and {len(row.failed) - 1} more)" if len(row.failed) > 1 else ""
        task = row.answer.task if row.answer.task != previous else ""
        if task and previous:
            table.add_section()
        previous = row.answer.task
        table.add_row(task, row.answer.name, kind, verdict, names, style=None if row.sound else "bold red")
    return table


@app.command()
def measure(
    assignments: Assignments = None,
    seeds: Annotated[int, typer.Option(min=1, help="How often a notebook runs, each time with another seed.")] = 5,
    real: Annotated[bool, typer.Option("--real", help="With the real data that LFI_DATA names.")] = False,
) -> None:
    """Run solutions with several seeds: mean and spread of what their cells tagged `measured` print."""
    from grading.measure import measure as run

    for notebook in Course().select(assignments):
        with progress("seeds") as bar:
            job = bar.add_task(notebook.name, total=seeds)
            found = run(notebook, range(seeds), real=real, done=lambda job=job: bar.advance(job))
        table = Table("figure", "mean", "std", "min", "max", title=f"{notebook.assignment}, {seeds} seeds")
        for name, values in found.items():
            spread = (values.mean(), values.std(), values.min(), values.max())
            table.add_row(name, *(f"{value:.4g}" for value in spread))
        console.print(table)


@app.command()
def grade(
    assignments: Assignments = None,
    submitted: Annotated[Path, typer.Option(help="Folder with <student>/<assignment>/<notebook>.ipynb.")] = Path(
        "grading/work/submitted"
    ),
    output: Output = Path("grading/work"),
    force: Annotated[bool, typer.Option("--force", help="Grade again what has not changed.")] = False,
    changed: Annotated[
        bool, typer.Option("--changed", help="After checks changed: only whom that concerns; who gains or loses.")
    ] = False,
    workers: Workers = None,
    cluster: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Run submissions on Dask workers.")] = None,
    due: Annotated[str | None, typer.Option(help="Due date, such as '2026-11-30 23:59 Europe/Berlin'.")] = None,
    late: Annotated[str | None, typer.Option(help="What lateness costs: none, zero, 10% (a day), 10%,7.")] = None,
    unsafe: Unsafe = False,
) -> None:
    """Grade submissions into an nbgrader gradebook, with feedback and scores.csv."""
    from grading.grade import Run
    from grading.gradebook import GradingFolder
    from grading.pool import cluster as dask

    folder = GradingFolder(submitted.resolve(), output.resolve())
    run = Run(folder, _with_release(assignments), force, _settings(unsafe), changed)
    platform.before_grading(run, due, late)
    with dask(cluster) if cluster else nullcontext() as pool:
        sound = _grade(run, workers, pool)
    platform.after_grading(run, workers)
    if changed:
        _print_changes(run)
    console.print(f"gradebook, feedback/ and scores.csv are in {output}", soft_wrap=True)
    raise typer.Exit(0 if sound else 1)


def _print_changes(run) -> None:
    """Who gained or lost points when checks changed, and why."""
    changes = list(run.changes())
    for change in changes:
        console.print(str(change), markup=False, soft_wrap=True)
    gained = len({change.student for change in changes if change.after > change.before})
    lost = len({change.student for change in changes if change.after < change.before})
    again = f"{len(run.seconds)} of {len(run.submissions)} submissions were graded again."
    console.print(
        f"{again} Through changed checks {gained} gained points in some task, {lost} lost some.", soft_wrap=True
    )


def _with_release(assignments: list[str] | None) -> list[Notebook]:
    notebooks = Course().select(assignments)
    for notebook in notebooks:
        notebook.read_release()
    return notebooks


def _settings(unsafe: bool) -> dict:
    """Settings of the runner that the command line can change; refuses to run students' code unprotected unasked."""
    from grading.execute import is_unsafe
    from grading.sandbox.host import why_not

    unsafe = unsafe or is_unsafe()
    if not unsafe and (reason := why_not()):
        raise UserError(reason)
    return {"unsafe": unsafe}


def _grade(run, workers: int | None, pool: Executor | None = None) -> bool:
    """Grade with a progress bar, then print incidents and write scores.csv."""
    with progress("submissions") as bar:
        job = bar.add_task("grading", total=len(run.submissions))

        def done(submission: Submission, fresh: bool) -> None:
            bar.update(job, advance=1, description=f"{submission.student} {'graded' if fresh else 'unchanged'}")

        try:
            sound = run.grade(done, workers, pool, lambda words: bar.update(job, description=words))
        except KeyboardInterrupt:
            raise Interrupted("Interrupted. Nothing is lost: run the same command again to go on.") from None
    for incident in run.incidents:
        console.print(str(incident), markup=False, soft_wrap=True)
    run.write_scores()
    return sound


@app.command()
def demo(
    assignments: Assignments = None,
    students: Annotated[int, typer.Option(help="Size of the simulated class.")] = 24,
    output: Output = Path("grading/work/demo"),
    workers: Workers = None,
    unsafe: Unsafe = False,
) -> None:
    """Grade a simulated class and write its report."""
    from grading import build as builder
    from grading.demo import make_class
    from grading.grade import Run
    from grading.gradebook import GradingFolder
    from grading.report import class_table, write_report
    from grading.sandbox.host import why_not

    notebooks = Course().select(assignments)
    for notebook in notebooks:
        with errors.status(f"building {notebook.assignment}"):
            builder.build(notebook)
    folder = GradingFolder(output.resolve() / "submitted", output.resolve())
    make_class(notebooks, folder.submitted, students)
    if reason := why_not():
        errors.print(f"{reason}\nThis class is simulated, so it is graded without the sandbox.", soft_wrap=True)
    run = Run(folder, notebooks, settings=_settings(unsafe or bool(reason)))
    sound = _grade(run, workers)
    console.print(class_table(run))
    pages = write_report(run)
    console.print(f"report:   {pages.page}", soft_wrap=True)
    console.print(f"picture:  {pages.picture}", soft_wrap=True)
    console.print(f"feedback: {folder.output / 'feedback'}/<student>/<assignment>/", markup=False, soft_wrap=True)
    console.print(f"scores:   {folder.output / 'scores.csv'}", soft_wrap=True)
    raise typer.Exit(0 if sound else 1)


@app.command()
def feedback(
    assignments: Assignments = None,
    output: Output = Path("grading/work"),
    workers: Workers = None,
    pack: Annotated[str | None, typer.Option("--zip", metavar="moodle", help="Pack them for upload, too.")] = None,
    roster: platform.RosterFile = None,
) -> None:
    """Write the feedback pages anew, for instance after written answers were graded in formgrader."""
    if pack not in (None, "moodle"):
        raise UserError(f"--zip {pack}: only the shape of moodle is known.")
    people = platform.roster_of(roster)
    run = finished(assignments, output)
    run.apply_lateness()
    with progress("pages") as bar:
        job = bar.add_task("feedback", total=len(run.submissions))
        run.write_feedback(lambda submission: bar.update(job, advance=1, description=submission.student), workers)
    console.print(f"feedback: {output / 'feedback'}/<student>/<assignment>/", markup=False, soft_wrap=True)
    if pack and not platform.pack_feedback(run, people):
        raise typer.Exit(1)


def finished(assignments: list[str] | None, output: Path):
    """The run whose results are in a folder."""
    from grading.grade import Run
    from grading.gradebook import GradingFolder

    if not (output / "gradebook.db").exists():
        raise UserError(f"There is no gradebook in {output}: run `lfi grade --output {output}` first.")
    folder = GradingFolder(output.resolve() / "autograded", output.resolve())
    run = Run(folder, _with_release(assignments))
    run.recall_incidents()
    return run


@app.command()
def report(assignments: Assignments = None, output: Output = Path("grading/work")) -> None:
    """Write the class report of a grading run as one HTML page."""
    from grading.report import write_report

    with errors.status("reading the results"):
        pages = write_report(finished(assignments, output))
    console.print(f"report:  {pages.page}\npicture: {pages.picture}", soft_wrap=True)


@app.command()
def bench(
    assignment: Annotated[str, typer.Argument(help="The assignment to grade.")] = "01_iou_nms",
    students: Annotated[int, typer.Option(min=4, help="Size of the simulated class.")] = 24,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is run, in turn.")] = 3,
    growth: Annotated[str, typer.Option(help="Sizes of the classes that show how time grows; empty: none.")] = (
        "10,40,160"
    ),
    otter: Annotated[bool, typer.Option("--otter", help="Compare with Otter-Grader, too (installs it).")] = False,
    output: Annotated[Path | None, typer.Option(help="Write the report here, too.")] = None,
) -> None:
    """Compare `lfi grade` with plain nbgrader on the same submissions."""
    from grading.bench import Bench

    (notebook,) = _with_release([assignment])
    _settings(unsafe=False)
    if not all(size.isdigit() and int(size) >= 4 for size in growth.split(",") if growth):
        raise UserError(f"--growth {growth!r} is not a list of class sizes (of 4 or more) like 10,40,160.")
    sizes = [int(size) for size in growth.split(",") if growth]
    with errors.status("starting") as status:
        text = Bench(notebook, students, rounds, sizes, otter, status.update).run()
    if output:
        output.write_text(text)
    console.print(text, markup=False, soft_wrap=True)


@app.command()
def bundle(
    output: Annotated[Path, typer.Option(help="The zip file to write.")] = Path("dist/learning-from-images.zip"),
) -> None:
    """Pack what students get: notebooks, helpers, data and how to install them."""
    from grading.bundle import make_bundle

    path = make_bundle(Course(), output)
    console.print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)", soft_wrap=True)


if __name__ == "__main__":
    main()
