"""Unpacking what people have uploaded, without trusting it.

Every file goes to a place of our own naming; the path that it had is kept beside it as plain text. Links, paths that
lead outside, encrypted and damaged archives and bombs are left out with a sentence each; the rest is still unpacked.
"""

from __future__ import annotations

import stat
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from grading.handed_in import printable

MAX_FILE = 128 << 20  # of one entry
MAX_NESTED = (1000, 128 << 20)  # files and bytes of an archive in an archive and all in it: what one student handed in
MAX_ARCHIVE = (100_000, 32 << 30)  # of the archive that the learning platform made, without those in it
MAX_DEPTH = 3  # archives in archives, the outermost counted
MAX_RATIO, RATIO_MATTERS = 200, 10 << 20  # an entry above this size may not unpack to more than 200 times its size
JUNK = ("__MACOSX", "Thumbs.db", "desktop.ini", "__pycache__")
FOREIGN = (".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class File:
    """One unpacked file.

    Attributes:
        parts: Where it lay: folders and archives from outside to inside, then its own name.
        path: Where its bytes are now.
        when: When its entry was written, by the clock of whoever made the archive; None if that is not known.
    """

    parts: tuple[str, ...]
    path: Path
    when: datetime | None

    def below(self, depth: int) -> File:
        """The same file, its place told from `depth` levels further inside."""
        return File(self.parts[depth:], self.path, self.when)


def is_zip(name: str) -> bool:
    """Whether a file's name is that of an archive which is unpacked."""
    return name.lower().endswith(".zip")


@dataclass
class Budget:
    """How much may still be unpacked."""

    files: int
    size: int

    def refuses(self, entries: list[zipfile.ZipInfo]) -> str:
        """Why these entries are too much; empty: they are not, and are now counted."""
        size = sum(entry.file_size for entry in entries)
        if len(entries) > self.files:
            return f"holds more files than the {self.files} that may be in it"
        if size > self.size:
            return f"would unpack to {size >> 20} MB, more than the {self.size >> 20} that it may"
        self.files, self.size = self.files - len(entries), self.size - size
        return ""


@dataclass
class Unpacking:
    """Unpacks a file or folder into an empty folder of ours. CSV files beside archives are class lists.

    Attributes:
        into: Where the bytes go, as files 1, 2, ...
        files: What was found.
        troubles: Sentences on what was left out.
    """

    into: Path
    files: list[File] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    written: int = 0

    def add(self, source: Path) -> None:
        """Unpack an archive, or everything in a folder."""
        if source.is_dir():
            self._add_folder(source)
        else:
            self._add_archive(source, (), Budget(*MAX_ARCHIVE))

    def _add_folder(self, source: Path) -> None:
        for path in sorted(source.rglob("*")):
            parts = tuple(map(_clean, path.relative_to(source).parts))
            if path.is_symlink():
                self._left_out(parts, "is a link")
            elif path.is_file() and not _is_junk(parts) and (len(parts) > 1 or path.suffix != ".csv"):
                if is_zip(path.name):
                    self._add_archive(path, parts, Budget(*(MAX_ARCHIVE if len(parts) == 1 else MAX_NESTED)))
                else:
                    when = datetime.fromtimestamp(path.stat().st_mtime)
                    self._keep(parts, path, when)

    def _keep(self, parts: tuple[str, ...], path: Path, when: datetime | None) -> None:
        if parts[-1].lower().endswith(FOREIGN):
            self._left_out(parts, "is an archive of a kind that is not opened here; ask for a .zip")
        else:
            self.files.append(File(parts, path, when))

    def _left_out(self, parts: tuple[str, ...], why: str) -> None:
        self.troubles.append(f"'{printable('/'.join(parts))}' {why}; it was left out.")

    def _add_archive(self, source: Path, place: tuple[str, ...], budget: Budget, depth: int = 1) -> None:
        """All of an archive that can be read; nothing of one that is larger than it may be."""
        name = place or (source.name,)
        if depth > MAX_DEPTH:
            self._left_out(name, f"is an archive in an archive, {MAX_DEPTH} deep")
            return
        try:
            with zipfile.ZipFile(source) as archive:
                entries = [entry for entry in archive.infolist() if not entry.is_dir()]
                if why := budget.refuses(entries):
                    self._left_out(name, why)
                    return
                for entry in entries:
                    self._add_entry(archive, entry, place, budget, depth)
        except DAMAGED:
            self._left_out(name, "is not a whole zip archive")

    def _add_entry(
        self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, place: tuple[str, ...], budget: Budget, depth: int
    ) -> None:
        told = _name(entry)
        parts = place + tuple(part for part in map(_clean, told.replace("\\", "/").split("/")) if part not in ("", "."))
        if why := _forbidden(entry, told):
            self._left_out(parts, why)
            return
        if _is_junk(parts):
            return
        self.written += 1
        target = self.into / str(self.written)
        try:
            with archive.open(entry) as packed, target.open("wb") as file:
                while block := packed.read(1 << 20):
                    file.write(block)
        except DAMAGED:
            target.unlink(missing_ok=True)
            self._left_out(parts, "is damaged")
            return
        if is_zip(parts[-1]):
            self._add_archive(target, parts, Budget(*MAX_NESTED) if depth == 1 else budget, depth + 1)
            target.unlink()
        else:
            self._keep(parts, target, _time(entry))


def _name(entry: zipfile.ZipInfo) -> str:
    """An entry's name. Canvas and others write UTF-8 without saying so, which zipfile reads as code page 437."""
    if entry.flag_bits & 0x800:
        return entry.orig_filename
    try:
        return entry.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.orig_filename


def _clean(part: str) -> str:
    """A path's part as one writes it here: composed accents, nothing that cannot be printed."""
    return printable(unicodedata.normalize("NFC", part)).strip()


def _is_junk(parts: tuple[str, ...]) -> bool:
    return any(part in JUNK or part.startswith(".") for part in parts)


def _forbidden(entry: zipfile.ZipInfo, name: str) -> str:
    """Why an entry may not be unpacked; empty: it may."""
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or name.startswith(("/", "\\")) or (parts[0][1:2] == ":" and parts[0][0].isalpha()):
        return "leads outside of the archive"
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link or no ordinary file"
    if entry.flag_bits & 1:
        return "is encrypted"
    if entry.file_size > MAX_FILE:
        return f"is larger than {MAX_FILE >> 20} MB"
    if entry.file_size > RATIO_MATTERS and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
        return f"unpacks to more than {MAX_RATIO} times its size"
    return ""


def _time(entry: zipfile.ZipInfo) -> datetime | None:
    try:
        return datetime(*entry.date_time)
    except ValueError:
        return None
