"""`lfi check`: run a notebook's visible tests for the student who is writing it."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode

from grading.course import ANSI, HIDDEN, UserError, grade_id, has_tag, is_solution, is_test
from grading.kernels import SocketKernelManager

CELL_SECONDS = 20  # for what a student wrote
OTHER_SECONDS = 300  # above all for imports, which take long on a cold or busy machine
OURS = re.compile(r"cell-\d+")


@dataclass(frozen=True)
class Line:
    """What came of one task. `state` is `done`, `failing` or `not started`; `cell` is the task's cell, from 1."""

    task: str
    state: str
    cell: int
    message: str = ""


def check_notebook(path: Path) -> list[Line]:
    """Run a notebook's tasks and visible tests and tell how each went.

    The course's own pictures are left out, which makes it quick; if a name is missing then, everything is run except
    cells tagged `long`. Raises UserError for a file that is no notebook of this course, and if its imports fail.
    """
    nb = read_notebook(path)
    run = _run(nb, path, lambda cell: _is_ours(cell) and not has_tag(cell, "setup"))
    if any(error.ename == "NameError" for cell in run.cells if (error := _error(cell))):
        run = _run(nb, path, lambda cell: False)
    names = [grade_id(cell) for cell in run.cells if is_solution(cell)]
    names += [name for cell in run.cells if is_test(cell) and (name := _task(cell)) not in names]
    return [_line(run, name) for name in names]


def read_notebook(path: Path) -> NotebookNode:
    """A student's notebook; raises UserError for a file that is none of this course."""
    try:
        nb = nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.") from None
    except (OSError, ValueError, AttributeError, nbformat.ValidationError) as error:
        raise UserError(f"{path} cannot be read as a Jupyter notebook ({type(error).__name__}).") from None
    if not any(is_test(cell) for cell in nb.cells):
        raise UserError(
            f"{path} has no test cells with nbgrader metadata. "
            "Copy your answers into a fresh copy of the released notebook and save it with JupyterLab."
        )
    return nb


def _run(nb: NotebookNode, path: Path, skip: Callable[[NotebookNode], bool]) -> NotebookNode:
    """A copy of the notebook, executed without the cells to skip and without pictures."""
    run = copy.deepcopy(nb)
    for cell in run.cells:
        if cell.cell_type == "code":
            cell.source = "" if skip(cell) or has_tag(cell, "long") else HIDDEN.sub("", cell.source)
            cell.outputs = []
    client = NotebookClient(
        run,
        timeout_func=lambda cell: OTHER_SECONDS if has_tag(cell, "setup") or _is_ours(cell) else CELL_SECONDS,
        interrupt_on_timeout=True,
        allow_errors=True,
        kernel_name="python3",
        kernel_manager_class=SocketKernelManager,
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False,
        shutdown_kernel="immediate",
    )
    try:
        client.execute(env=os.environ | {"MPLBACKEND": "agg", "PYDEVD_DISABLE_FILE_VALIDATION": "1"})
    except DeadKernelError:
        raise UserError(f"{path.name} ends its own kernel while it runs: look for a crash or an exit.") from None
    broken = next((error for cell in run.cells if has_tag(cell, "setup") and (error := _error(cell))), None)
    if broken is not None:
        raise UserError(
            f"The first cells of {path.name}, which import what it needs, fail ({_words(broken)}). "
            "Nothing can be checked before they run: restore them from a fresh copy, or set up the course anew."
        )
    return run


def _is_ours(cell: NotebookNode) -> bool:
    """A cell of the course that holds neither an answer nor a test."""
    return bool(OURS.fullmatch(cell.get("id", "")))


def _task(test: NotebookNode) -> str:
    return grade_id(test).removeprefix("test_")


def _error(cell: NotebookNode) -> NotebookNode | None:
    return next((out for out in cell.get("outputs", []) if out.output_type == "error"), None)


def _line(nb: NotebookNode, task: str) -> Line:
    test = next((i for i, cell in enumerate(nb.cells) if is_test(cell) and _task(cell) == task), None)
    where = next((i for i, cell in enumerate(nb.cells) if is_solution(cell) and grade_id(cell) == task), test)
    if test is None:
        return Line(task, "failing", where + 1, "its test cell was deleted: take it from a fresh copy of the notebook")
    error = _error(nb.cells[test])
    if error is None:
        return Line(task, "done", where + 1)
    if error.ename == "NotImplementedError":
        return Line(task, "not started", where + 1)
    broken = _error(nb.cells[where])
    if broken is not None and where != test:
        return Line(task, "failing", where + 1, f"its cell fails with {_words(broken)}")
    return Line(task, "failing", where + 1, _words(error))


def _words(error: NotebookNode) -> str:
    message = ANSI.sub("", error.evalue)
    if error.ename == "KeyboardInterrupt":
        return f"it ran longer than {CELL_SECONDS} seconds and was stopped: an endless loop?"
    return message if error.ename == "AssertionError" and message else f"{error.ename}: {message}"
