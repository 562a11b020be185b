"""The command `lfi` as students have it; in their bundle this file is grading/cli.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from grading.course import UserError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


class Interrupted(UserError):
    """Ctrl-C during a long command."""


def main() -> None:
    """Run the command; a mistake of the user ends in a sentence and exit code 2."""
    try:
        app()
    except UserError as error:
        errors.print(f"[bold red]lfi:[/] {escape(str(error))}", soft_wrap=True)
        raise SystemExit(130 if isinstance(error, Interrupted) else 2) from None


@app.callback()
def lfi() -> None:
    """Learning from Images: notebooks on segmentation and object recognition."""


@app.command()
def check(notebook: Annotated[Path, typer.Argument(help="Your notebook.")]) -> None:
    """Run the visible tests of your notebook and say which tasks are done."""
    from grading.check import check_notebook

    with errors.status(f"running {notebook.name}"):
        lines = check_notebook(notebook)
    marks = {"done": "[green]✓ done       [/]", "failing": "[red]✗ failing    [/]", "not started": "· not started"}
    width = max(len(line.task) for line in lines)
    for line in lines:
        console.print(f"{marks[line.state]} {line.task:<{width}}  cell {line.cell}")
        if line.message:
            console.print(f"    {line.message}", markup=False, soft_wrap=True)
    done = sum(line.state == "done" for line in lines)
    console.print(f"{done} of {len(lines)} tasks pass their visible tests.")
    raise typer.Exit(0 if done == len(lines) else 1)


@app.command()
def submit(
    assignment: Annotated[str, typer.Argument(help="The assignment, or the path of your notebook.")],
    name: Annotated[str | None, typer.Option(help="Your name, if it is not your login name.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the archive.")] = Path(),
) -> None:
    """Pack your notebook into one zip file for upload, and say what is not started."""
    from grading.submit import submit as pack

    parcel = pack(assignment, name, output)
    lines = [f"The notebook was last saved {parcel.saved:%Y-%m-%d %H:%M}: save it first if you have worked since."]
    if parcel.unstarted:
        lines.append(f"Not started: {', '.join(parcel.unstarted)}.")
    else:
        lines.append("Every task and answer is started.")
    lines += parcel.warnings
    if len(parcel.files) > 1:
        lines.append(f"With it: {', '.join(parcel.files[1:])}.")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    size = parcel.path.stat().st_size / 1e3
    console.print(f"wrote {parcel.path} ({size:.0f} kB): upload this file.", markup=False, soft_wrap=True)


@app.command()
def doctor() -> None:
    """Look whether this machine is ready for the notebooks, and say what to do about each trouble."""
    from grading.doctor import examine

    marks = {"fine": "[green]✓[/]", "wrong": "[red]✗[/]", "note": "[yellow]·[/]"}
    wrong = 0
    with errors.status("looking") as status:
        for found in examine(status.update):
            wrong += found.state == "wrong"
            console.print(f"{marks[found.state]} {found.subject + ':':<15}{escape(found.told)}", soft_wrap=True)
            if found.advice:
                console.print(f"  {'':<15}{found.advice}", markup=False, soft_wrap=True)
    console.print("Everything that is needed is there." if not wrong else f"{wrong} to be mended.")
    raise typer.Exit(1 if wrong else 0)


@app.command()
def data(download: Annotated[bool, typer.Option("--download", help="Fetch what is missing.")] = False) -> None:
    """List the real data sets, where they are and what licence they have."""
    from helpers import datasets

    table = Table("set", "where", "size", "licence")
    try:
        if download:
            for entry in datasets.available():
                datasets.fetch(entry.name, download=True)
        for entry in datasets.available():
            where = str(entry.where or "not on this machine")
            table.add_row(entry.name, where, f"{entry.size / 1e6:.1f} MB", entry.licence)
    except datasets.DataError as error:
        raise UserError(str(error)) from None
    console.print(table)


if __name__ == "__main__":
    main()
