"""What one student handed in, read from a folder that may hold anything: links, pipes, huge files, odd names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nbgrader.utils import parse_utc

from grading.canonical import Unreadable, read, read_file, resemblance
from grading.course import Notebook

MAX_FILES = 1000
MAX_BYTES = 128 << 20
MAX_CANDIDATES = 20
TIMESTAMP = "timestamp.txt"  # nbgrader's: when it was handed in


@dataclass(frozen=True)
class HandedIn:
    """Plain data, whatever the folder held.

    Attributes:
        notebook: The submitted notebook, or why there is none.
        files: The other files by their path; no notebooks, and nothing through links.
        notes: Sentences on what was unusual.
    """

    notebook: bytes | Unreadable
    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def write_files(self, folder: Path, timestamp: bool = True) -> None:
        """Write the other files into a folder, with or without nbgrader's timestamp."""
        for name, data in self.files.items():
            if timestamp or name != TIMESTAMP:
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

    def files_digest(self) -> str:
        """Hash of the other files that a student's code can meet, so without the timestamp."""
        digest = hashlib.sha256()
        for name in sorted(self.files.keys() - {TIMESTAMP}):
            digest.update(os.fsencode(name) + self.files[name])
        return digest.hexdigest()

    def digest(self) -> str:
        """Hash of everything."""
        told = self.notebook if isinstance(self.notebook, bytes) else str(self.notebook).encode()
        rest = self.files.get(TIMESTAMP, b"") + "".join(self.notes).encode()
        return hashlib.sha256(self.files_digest().encode() + told + rest).hexdigest()


def collect(folder: Path, notebook: Notebook) -> HandedIn:
    """Read a submission's folder."""
    if folder.is_symlink():
        return HandedIn(Unreadable("The folder is a link to another one."))
    paths = list(_files_below(folder))
    notes: list[str] = []
    try:
        found: bytes | Unreadable = _notebook(folder, notebook, paths, notes)
    except Unreadable as error:
        found = error
    return HandedIn(found, _others(folder, paths, notes), notes)


def printable(name: str) -> str:
    """A file's or folder's name as it can stand in every table, page and database."""
    name = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _files_below(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here, name) for name in sorted(names))


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _notebook(folder: Path, notebook: Notebook, paths: list[Path], notes: list[str]) -> bytes:
    """The notebook under its own name, else the file that holds most of its tasks."""
    wanted = folder / notebook.release.name
    if os.path.lexists(wanted) and not wanted.is_dir():
        return read_file(wanted)
    release = notebook.read_release()
    best: tuple[int, Path | None, bytes] = (0, None, b"")
    for path in [path for path in paths if path.suffix == ".ipynb" and _is_plain(path)][:MAX_CANDIDATES]:
        try:
            data = read_file(path)
            alike = resemblance(release, read(data)[0])
        except Unreadable:
            continue
        if alike > best[0]:
            best = (alike, path, data)
    _, path, data = best
    if path is None:
        raise Unreadable(f"There is no notebook called {wanted.name}, and no other one that holds its tasks.")
    notes.append(f"There is no notebook called {wanted.name}; '{printable(path.name)}' holds its tasks and was taken.")
    return data


def _others(folder: Path, paths: list[Path], notes: list[str]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    others = [path for path in paths if ".ipynb" not in {part.suffix for part in (path, *path.parents)}]
    plain = [path for path in others if _is_plain(path)]
    if len(plain) < len(others):
        notes.append("Links and what else is no ordinary file were left out.")
    left = MAX_BYTES
    for path in plain:
        left -= path.stat().st_size
        if left < 0 or len(files) == MAX_FILES:
            notes.append(f"Of the other files only {MAX_FILES} and {MAX_BYTES >> 20} MB were taken, the rest left out.")
            break
        try:
            files[str(path.relative_to(folder))] = path.read_bytes()
        except OSError:
            notes.append(f"'{printable(path.name)}' could not be read and was left out.")
    if TIMESTAMP in files and not _is_time(files[TIMESTAMP]):
        notes.append(f"The time in {TIMESTAMP} could not be read.")
        del files[TIMESTAMP]
    return files


def _is_time(data: bytes) -> bool:
    try:
        return not data.strip() or parse_utc(data.decode().strip()) is not None
    except (ValueError, OverflowError, TypeError):
        return False
