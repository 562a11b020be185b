"""From whatever a student hands in to a notebook that is safe to grade.

We start from the released notebook and take from the submission only the source of its answers and the student's own
extra cells. Tags, metadata, points, outputs, kernelspecs and changed test cells of the submission have no effect.
"""

from __future__ import annotations

import ast
import copy
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode, from_dict
from nbformat.v4 import new_code_cell, new_markdown_cell

from grading.course import grade_id, incident, is_answer, is_solution

MAX_FILE = 200 << 20
MAX_SOURCE = 1 << 20
MAX_EXTRA = 400
MAX_EXTRA_TEXT = 1 << 20
MAX_CELLS = 10_000
MAX_SOURCES = 20 << 20  # characters of all cells together
MAX_PICTURES = 6 << 20  # characters of all pasted pictures together
MAX_PARTS = 10_000_000  # of the JSON tree: each takes up to a hundred bytes of memory
EXTRA = "extra-"
PICTURES = ("image/png", "image/jpeg", "image/gif")
BASE64 = re.compile(r"[A-Za-z0-9+/]*=*")


class Unreadable(Exception):
    """The submitted file is no notebook; the text tells the student what it is instead."""


@dataclass(frozen=True)
class Submitted:
    """A cell of the submission: all that we look at."""

    kind: str
    source: str
    id: str | None
    grade_id: str | None
    defines: frozenset[str]
    pictures: dict[str, dict[str, str]]  # pasted into text: MIME type and base64 by name, as nbformat's attachments


# ---------------------------------------------------------------- reading


def read_file(path: Path) -> bytes:
    """The bytes of a submitted file; raises Unreadable for links and for what is too large."""
    try:
        if path.is_symlink() or not path.is_file():
            raise Unreadable("The file is a link or no ordinary file.")
        if path.stat().st_size > MAX_FILE:
            raise Unreadable(f"The file is larger than {MAX_FILE >> 20} MB. Clear all outputs, save and hand in again.")
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"The file could not be read ({error.strerror}).") from None


def read(data: bytes) -> tuple[list[Submitted], list[str]]:
    """Read a submitted file, however it was saved.

    Returns:
        Its cells, and sentences on what had to be mended. Raises Unreadable.
    """
    notes = []
    if max(data.count(b"{") + data.count(b"["), data.count(b'"') // 2) > MAX_PARTS:
        raise Unreadable("The file has far too many parts. Clear all outputs, save and hand in again.")
    try:
        text = data.decode(json.detect_encoding(data[:4]))
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        notes.append("The file is not in UTF-8; it was read as Latin-1.")
    return _cells(_parse(text, notes), notes), notes


def _parse(text: str, notes: list[str]):
    if not text.strip():
        raise Unreadable("The file is empty.")
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        pass
    for side in (1, 2):
        try:
            tree = json.loads(_without_conflicts(text, side), strict=False)
        except (ValueError, RecursionError):
            continue
        which = "first" if side == 1 else "second"
        notes.append(f"The file has git's conflict markers; the {which} version of each conflict was taken.")
        return tree
    raise Unreadable(
        "The file is not a whole Jupyter notebook (its JSON is damaged or cut off). "
        "Open it in Jupyter, save it again and hand in the new file."
    )


def _without_conflicts(text: str, side: int) -> str:
    """The text with one side, 1 or 2, of each of git's conflicts."""
    kept, inside = [], 0
    for line in text.split("\n"):
        if line.startswith("<" * 7) and inside == 0:
            inside = 1
        elif line.startswith("|" * 7) and inside == 1:
            inside = 3  # what both sides began with
        elif line.startswith("=" * 7) and inside in (1, 3):
            inside = 2
        elif line.startswith(">" * 7) and inside == 2:
            inside = 0
        elif inside in (0, side):
            kept.append(line)
    return "\n".join(kept)


def _cells(tree, notes: list[str]) -> list[Submitted]:
    if not isinstance(tree, dict):
        raise Unreadable("The file is JSON, but no Jupyter notebook.")
    cells = tree.get("cells")
    if not isinstance(cells, list):
        sheets = tree.get("worksheets")
        if not isinstance(sheets, list):
            raise Unreadable("The file is JSON, but no Jupyter notebook: it has no cells.")
        cells = [c for s in sheets if isinstance(s, dict) and isinstance(s.get("cells"), list) for c in s["cells"]]
    found, left = [], MAX_SOURCES
    room = MAX_PICTURES
    for cell in [_cell(cell) for cell in cells[:MAX_CELLS] if isinstance(cell, dict)]:
        room -= sum(len(data) for picture in cell.pictures.values() for data in picture.values())
        if room < 0:
            cell.pictures.clear()
        left -= len(cell.source)
        if left >= 0:
            found.append(cell)
    if room < 0:
        notes.append(f"The pasted pictures have more than {MAX_PICTURES >> 20} MB: the last ones were left out.")
    if left < 0 or len(cells) > MAX_CELLS:
        notes.append("The file has far too many cells or characters: the rest was left out.")
    if not found:
        raise Unreadable("The notebook has no cells.")
    return found


def _cell(cell: dict) -> Submitted:
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    source = source if isinstance(source, str) else ""
    source = source.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n")[:MAX_SOURCE]
    metadata = cell.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    kind = cell.get("cell_type")
    kind = kind if kind in ("code", "markdown", "raw") else "markdown"
    own = cell.get("id")
    own, name = (text if isinstance(text, str) else None for text in (own, name))
    return Submitted(kind, source, own, name, defined_names(source), _pictures(cell.get("attachments")))


def _pictures(attachments) -> dict[str, dict[str, str]]:
    found = {}
    for name, kinds in attachments.items() if isinstance(attachments, dict) else ():
        for kind in PICTURES:
            data = kinds.get(kind) if isinstance(kinds, dict) else None
            data = "".join(part for part in data if isinstance(part, str)) if isinstance(data, list) else data
            data = "".join(data.split()) if isinstance(data, str) else ""
            if data and BASE64.fullmatch(data):
                found[name] = {kind: data}
    return found


def defined_names(source: str) -> frozenset[str]:
    """The functions and classes that a cell defines at its top level, also if another line is broken."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset(re.findall(r"^(?:async\s+)?(?:def|class)\s+(\w+)", source, re.MULTILINE))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return frozenset(node.name for node in tree.body if isinstance(node, kinds))


# ---------------------------------------------------------------- putting together


def canonical_submission(
    release: NotebookNode, submitted: bytes | Unreadable, files: str = "", odd: Iterable[str] = ()
) -> NotebookNode:
    """The notebook to grade; an unreadable file gives the release, marked as unreadable.

    Args:
        release: The released notebook.
        submitted: The file's bytes, or why there are none.
        files: Hash of the other files that were handed in.
        odd: Sentences on what else was unusual.
    """
    try:
        if isinstance(submitted, Unreadable):
            raise submitted
        cells, notes = read(submitted)
    except Unreadable as error:
        cells, notes = [], [str(error)]
    nb, more = canonical(release, cells)
    incidents = [incident("file", note) for note in (*notes, *more, *odd)]
    nb.metadata["lfi"] = {"incidents": incidents, "readable": bool(cells), "files": files, "tasks": {}}
    if not cells:
        nb.cells.insert(0, new_markdown_cell(f"**This notebook could not be graded.** {notes[0]}", id="unreadable"))
    return nb


def canonical(release: NotebookNode, cells: list[Submitted]) -> tuple[NotebookNode, list[str]]:
    """The released notebook with the submission's answers and extra cells.

    Args:
        release: The released notebook.
        cells: The submission's cells; empty for an unreadable file.

    Returns:
        The notebook to grade, and sentences on what was unusual.
    """
    nb = copy.deepcopy(release)
    taken, notes = {}, []
    for index, cell in enumerate(nb.cells):
        if is_solution(cell) or is_answer(cell):
            before = nb.cells[index - 1].source.strip()
            chosen = _choose(cell, before, cells, taken, notes)
            if chosen is not None:
                taken[chosen] = index
                cell.source = cells[chosen].source
                _attach(cell, cells[chosen])
            elif cells:
                notes.append(f"The cell '{grade_id(cell)}' is missing from the file.")
    extra = _extra_cells(cells, taken, release, notes)
    ordered = list(extra.get(-1, []))
    for index, cell in enumerate(nb.cells):
        ordered += [cell, *extra.get(index, [])]
    nb.cells = ordered
    return nb, notes


def _choose(cell: NotebookNode, before: str, cells: list[Submitted], taken: dict, notes: list[str]) -> int | None:
    """Which submitted cell answers a released one: by its grade_id, else by what it defines or what stands before."""
    name, stub = grade_id(cell), cell.source.strip()
    free = [index for index in range(len(cells)) if index not in taken]
    same = [index for index in free if cells[index].grade_id == name]
    if is_answer(cell):
        if not same:
            same = [i for i in free if i and cells[i].grade_id is None and cells[i - 1].source.strip() == before]
        return same[-1] if same else None
    defining = [index for index in same if name in cells[index].defines]
    elsewhere = [i for i in free if cells[i].grade_id is None and cells[i].kind == "code" and name in cells[i].defines]
    if len(same) > 1:
        notes.append(f"The cell '{name}' is there {len(same)} times; the last one that is filled in counts.")
    if not same and elsewhere:
        notes.append(f"The cell '{name}' has lost its nbgrader metadata and was found by its name.")
    candidates = defining or same or elsewhere
    filled = [index for index in candidates if cells[index].source.strip() != stub]
    return (filled or candidates or [None])[-1]


def _attach(cell: NotebookNode, submitted: Submitted) -> None:
    if submitted.pictures and cell.cell_type == "markdown":
        cell.attachments = from_dict(submitted.pictures)


def _extra_cells(
    cells: list[Submitted], taken: dict, release: NotebookNode, notes: list[str]
) -> dict[int, list[NotebookNode]]:
    """The student's own cells, by the index of the released cell after which they stand."""
    by_source = {cell.source.strip(): index for index, cell in enumerate(release.cells)}
    by_id = {cell.id: index for index, cell in enumerate(release.cells)}
    tests = {grade_id(cell): index for index, cell in enumerate(release.cells) if grade_id(cell)}
    extra: dict[int, list[NotebookNode]] = {}
    anchor, number, left = -1, 0, MAX_EXTRA_TEXT
    for index, cell in enumerate(cells):
        source = cell.source.strip()
        known = taken.get(index, by_source.get(source, tests.get(cell.grade_id)))
        anchor = by_id.get(cell.id, anchor) if known is None else known
        if known is None and source and cell.kind in ("code", "markdown"):
            left -= len(source)
            if number == MAX_EXTRA or left < 0:
                notes.append(
                    f"More than {MAX_EXTRA} extra cells or {MAX_EXTRA_TEXT} characters: the rest was left out."
                )
                break
            make = new_code_cell if cell.kind == "code" else new_markdown_cell
            extra.setdefault(anchor, []).append(make(cell.source, id=f"{EXTRA}{number:03d}"))
            _attach(extra[anchor][-1], cell)
            number += 1
    return extra


def resemblance(release: NotebookNode, cells: list[Submitted]) -> int:
    """How many of a notebook's tasks are in another one."""
    names = {grade_id(cell) for cell in release.cells if is_solution(cell)}
    return len(names & {name for cell in cells for name in (cell.grade_id, *cell.defines)})


def is_extra(cell: NotebookNode) -> bool:
    """A cell of a canonical notebook that the student added."""
    return cell.get("id", "").startswith(EXTRA)
