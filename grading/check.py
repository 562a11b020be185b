"""`lfi check`: run a notebook's visible tests for the student who is writing it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode

from grading.course import ANSI, HIDDEN, UserError, grade_id, has_tag, is_solution, is_test
from grading.kernels import SocketKernelManager

CELL_SECONDS = 30


@dataclass(frozen=True)
class Line:
    """What came of one task. `state` is `done`, `failing` or `not started`; `cell` counts from 1."""

    task: str
    state: str
    cell: int
    message: str = ""


def check_notebook(path: Path) -> list[Line]:
    """Run a notebook's cells, except those tagged `long`, and tell how each task's visible test went.

    Raises UserError for a file that is no notebook of this course.
    """
    nb = _read(path)
    run = nbformat.from_dict({**nb, "cells": [_quick(cell) for cell in nb.cells]})
    env = os.environ | {"MPLBACKEND": "agg", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    client = NotebookClient(
        run,
        timeout=CELL_SECONDS,
        interrupt_on_timeout=True,
        allow_errors=True,
        kernel_name="python3",
        kernel_manager_class=SocketKernelManager,
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False,
        shutdown_kernel="immediate",
    )
    try:
        client.execute(env=env)
    except DeadKernelError:
        raise UserError(f"{path.name} ends its own kernel while it runs: look for a crash or an exit.") from None
    return [_line(run, index) for index, cell in enumerate(run.cells) if is_test(cell)]


def _read(path: Path) -> NotebookNode:
    try:
        nb = nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.") from None
    except (OSError, ValueError, json.JSONDecodeError, AttributeError, nbformat.ValidationError) as error:
        raise UserError(f"{path} cannot be read as a Jupyter notebook ({type(error).__name__}).") from None
    if not any(is_test(cell) for cell in nb.cells):
        raise UserError(
            f"{path} has no test cells with nbgrader metadata. "
            "Copy your answers into a fresh copy of the released notebook and save it with JupyterLab."
        )
    return nb


def _quick(cell: NotebookNode) -> NotebookNode:
    cell = nbformat.from_dict(cell)
    if cell.cell_type == "code":
        cell.source = "" if has_tag(cell, "long") else HIDDEN.sub("", cell.source)
        cell.outputs = []
    return cell


def _error(cell: NotebookNode) -> NotebookNode | None:
    return next((out for out in cell.get("outputs", []) if out.output_type == "error"), None)


def _line(nb: NotebookNode, index: int) -> Line:
    task = grade_id(nb.cells[index]).removeprefix("test_")
    error = _error(nb.cells[index])
    if error is None:
        return Line(task, "done", index + 1)
    where = next((i for i, c in enumerate(nb.cells) if is_solution(c) and grade_id(c) == task), index)
    if error.ename == "NotImplementedError":
        return Line(task, "not started", where + 1)
    message = ANSI.sub("", error.evalue or error.ename)
    if error.ename != "AssertionError":
        message = f"{error.ename}: {message}"
    broken = _error(nb.cells[where])
    if broken is not None and where != index:
        message = f"its cell fails with {broken.ename}: {ANSI.sub('', broken.evalue)}"
    return Line(task, "failing", where + 1, message)
