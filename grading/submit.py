"""`lfi submit`: pack a notebook for upload, after looking whether it is what the student means to hand in."""

from __future__ import annotations

import ast
import getpass
import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nbformat import NotebookNode

from grading.check import read_notebook
from grading.course import CHECKOUT, UserError, grade_id, is_answer, is_solution, is_test

MAX_BYTES = 20 << 20
TASKS = "tasks.json"  # in the students' bundle, beside the notebooks: the cells that each must have
LEFT_OUT = {".zip", ".pyc", ".ipynb"}
UNANSWERED = "YOUR ANSWER HERE"


@dataclass(frozen=True)
class Parcel:
    """What `lfi submit` has packed.

    Attributes:
        path: The archive.
        files: The names of the files in it.
        saved: When the notebook was last saved.
        unstarted: Tasks and written answers that are as they were released.
        warnings: Sentences on what may be wrong; it is packed all the same.
    """

    path: Path
    files: list[str]
    saved: datetime
    unstarted: list[str]
    warnings: list[str]


def submit(wanted: str, name: str | None = None, folder: Path | None = None) -> Parcel:
    """Check a notebook and pack it.

    Args:
        wanted: The assignment, or the path of the notebook.
        name: The student; the login name unless told.
        folder: Where to write the archive; here unless told.
    """
    path, assignment = find(wanted)
    nb = read_notebook(path)
    if missing := _missing(nb, assignment):
        raise UserError(
            f"{path} is not complete: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing. Copy your "
            "answers into a fresh copy of the notebook; do not delete its cells."
        )
    files = [path, *(_others(path) if path.parent.name == assignment else ())]
    size = sum(file.stat().st_size for file in files)
    if size > MAX_BYTES:
        raise UserError(
            f"{path.parent} holds {size / 1e6:.0f} MB, more than the {MAX_BYTES / 1e6:.0f} that can be handed in. "
            "Clear the outputs (Edit > Clear Outputs of All Cells), save, and move large files away."
        )
    target = (folder or Path()) / archive_name(assignment, name or default_name(), datetime.now(UTC))
    _pack(target, path.parent, files)
    saved = datetime.fromtimestamp(path.stat().st_mtime)
    names = [str(file.relative_to(path.parent)) for file in files]
    return Parcel(target, names, saved, unstarted(nb), list(_warnings(nb)))


def notebooks_folder() -> Path:
    """The folder notebooks/ of the course: looked for from here upwards, then where the course is installed."""
    here = Path().resolve()
    told = os.environ.get("LFI_COURSE")
    for root in [Path(told)] if told else [here, *here.parents, CHECKOUT]:
        if any((root / "notebooks").glob("*/*.ipynb")):
            return root / "notebooks"
    raise UserError("There is no folder notebooks/ here or above: change into the course's folder.")


def find(wanted: str) -> tuple[Path, str]:
    """A notebook and its assignment, by the name of either or by the notebook's path."""
    known = {path.parent.name: path for path in sorted(notebooks_folder().glob("*/*.ipynb"))}
    names = {path.stem: assignment for assignment, path in known.items()}
    path = Path(wanted)
    if path.suffix == ".ipynb":
        if not path.is_file():
            raise UserError(f"There is no file {wanted}.")
        path = path.resolve()
        assignment = path.parent.name if path.parent.name in known else names.get(path.stem, "")
    else:
        assignment = path.name if path.name in known else names.get(path.name, "")
        path = known.get(assignment, path)
    if not assignment:
        raise UserError(f"There is no assignment '{wanted}'. The assignments are: {', '.join(known)}.")
    return path, assignment


def archive_name(assignment: str, name: str, when: datetime) -> str:
    """The name by which `lfi collect` knows whose archive it is and when it was made."""
    name = re.sub(r"[^\w.@-]+", "-", name).strip("-.") or "student"
    return f"{assignment}_{name[:60]}_{when:%Y%m%dT%H%M%SZ}.zip"


def default_name() -> str:
    """The login name, on a hub the hub's."""
    try:
        return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()
    except (KeyError, OSError):
        return "student"


# ---------------------------------------------------------------- what is in it


def unstarted(nb: NotebookNode) -> list[str]:
    """Tasks that still hold a stub, and written answers that are empty."""
    tasks = [grade_id(cell) for cell in nb.cells if is_solution(cell) and _is_stub(cell.source)]
    return tasks + [grade_id(cell) for cell in nb.cells if is_answer(cell) and cell.source.strip() in ("", UNANSWERED)]


def _is_stub(source: str) -> bool:
    """Whether a function, or a cell, does nothing but `raise NotImplementedError`."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return False
    bodies = [n.body for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return not tree.body or any(_only_raises(body) for body in [tree.body, *bodies])


def _only_raises(body: list[ast.stmt]) -> bool:
    body = [node for node in body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    if len(body) != 1 or not isinstance(body[0], ast.Raise):
        return _calls_super_and_raises(body)
    raised = body[0].exc
    raised = raised.func if isinstance(raised, ast.Call) else raised
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def _calls_super_and_raises(body: list[ast.stmt]) -> bool:
    """A constructor that was released with its first line."""
    first = ast.unparse(body[0]) if len(body) == 2 else ""
    return first == "super().__init__()" and _only_raises(body[1:])


def _missing(nb: NotebookNode, assignment: str) -> list[str]:
    """Cells that a whole notebook has and this one has not."""
    there = {grade_id(cell) for cell in nb.cells}
    try:
        wanted = json.loads((notebooks_folder() / TASKS).read_text())[assignment]
    except (OSError, ValueError, KeyError):
        tests = [grade_id(cell).removeprefix("test_") for cell in nb.cells if is_test(cell)]
        wanted = tests + [f"test_{grade_id(cell)}" for cell in nb.cells if is_solution(cell)]
    return [f"cell '{name}'" for name in wanted if name not in there]


def _warnings(nb: NotebookNode) -> Iterator[str]:
    for number, cell in enumerate(nb.cells, start=1):
        if is_solution(cell):
            try:
                ast.parse(cell.source)
            except (SyntaxError, ValueError, RecursionError) as error:
                line = getattr(error, "lineno", None)
                where = f", line {line}" if line else ""
                yield f"Cell {number} ('{grade_id(cell)}') is no valid Python{where}: {getattr(error, 'msg', error)}."
    names = [grade_id(cell) for cell in nb.cells if is_solution(cell) or is_answer(cell)]
    yield from (
        f"There are {names.count(n)} cells '{n}'; one counts." for n in sorted({n for n in names if names.count(n) > 1})
    )


def _others(path: Path) -> list[Path]:
    """What else lies beside the notebook: modules and pictures of the student's own."""
    found = []
    for other in sorted(path.parent.rglob("*")):
        parts = other.relative_to(path.parent).parts
        hidden = any(part.startswith((".", "__pycache__")) for part in parts)
        if other.is_file() and not other.is_symlink() and not hidden and other.suffix not in LEFT_OUT:
            found.append(other)
    return found


def _pack(target: Path, root: Path, files: list[Path]) -> None:
    scratch = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
                for file in files:
                    archive.write(file, file.relative_to(root))
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"Cannot write to {target.parent.resolve()}: {error.strerror}.") from None


def cells_of(nb: NotebookNode) -> list[str]:
    """The names of the cells that a whole notebook has."""
    return [grade_id(cell) for cell in nb.cells if is_solution(cell) or is_answer(cell) or is_test(cell)]
