"""Class lists as Moodle and Canvas export them, read and written back as they were.

Moodle: the grading worksheet of an assignment (Download grading worksheet), in English or German. Its participant
numbers belong to one assignment. Canvas: the export of the gradebook.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import dateutil.parser

from grading.course import UserError
from grading.tables import write_rows

NAMES = {
    "identifier": "identifier",
    "full name": "name",
    "vollständiger name": "name",
    "id number": "number",
    "id-nummer": "number",
    "matrikelnummer": "number",
    "username": "login",
    "anmeldename": "login",
    "email address": "email",
    "e-mail-adresse": "email",
    "grade": "grade",
    "bewertung": "grade",
    "maximum grade": "maximum",
    "bestwertung": "maximum",
    "grade can be changed": "changeable",
    "bewertung kann geändert werden": "changeable",
    "last modified (submission)": "submitted",
    "zuletzt geändert (abgabe)": "submitted",
}
CANVAS = {"student": "name", "id": "identifier", "sis user id": "number", "sis login id": "login", "section": "section"}
MONTHS = dict(
    zip(
        "jan feb mar apr may jun jul aug sep oct nov dec mär mai okt dez".split(),  # noqa: SIM905
        [*range(1, 13), 3, 5, 10, 12],
        strict=True,
    )
)
DATE = re.compile(r"(\d{1,2})\.? +(\w{3})\w*\.? +(\d{4}),? +(\d{1,2}):(\d\d)(?::\d\d)? *([AaPp]\.?[Mm])?")
SYSTEMS = {"moodle": "Moodle's grading worksheet", "canvas": "Canvas's gradebook export"}


@dataclass(frozen=True)
class Person:
    """One row of a class list.

    Attributes:
        student: The name under which the gradebook knows the student.
        id: Moodle's participant number for this assignment, Canvas's user id.
        name: Full name, as the platform writes it.
        email: May be empty.
        logins: Everything else by which the student may be known: number, login, e-mail address.
        submitted: When the platform received the submission, if it says so.
        row: Which row of the file.
    """

    student: str
    id: str
    name: str
    email: str
    logins: tuple[str, ...]
    submitted: datetime | None
    row: int


@dataclass
class Roster:
    """A class list.

    Attributes:
        system: `moodle` or `canvas`.
        rows: All cells, the header first.
        columns: Where which of our columns is.
        people: The students in it.
    """

    path: Path
    system: str
    rows: list[list[str]]
    columns: dict[str, int]
    people: list[Person]
    encoding: str
    dialect: dict

    def by_id(self, identifier: str) -> Person | None:
        """The student with a platform's number."""
        return next((person for person in self.people if person.id == identifier), None)

    def by_name(self, name: str) -> Person | None:
        """The only student of this name, number, login or e-mail address."""
        wanted = letters(name) or None
        found = [p for p in self.people if wanted in map(letters, (p.student, p.name, _turned(p.name), *p.logins))]
        return found[0] if len(found) == 1 else None

    def write(self, path: Path) -> None:
        """Write the rows as the file was: separator, line ends, encoding."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_rows(path, self.rows, self.encoding, **self.dialect)


def read_roster(path: Path, zone: tzinfo | None = None) -> Roster:
    """Read a class list.

    Args:
        path: The CSV file.
        zone: The time zone in which the platform showed its times; this machine's unless told.
    """
    text, encoding = _read(path)
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    end = "\r\n" if head.endswith("\r") else "\n"
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise UserError(f"The class list {path} cannot be read as CSV: {error}.") from None
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    canvas = {"student", "id", "section"} <= set(header)
    names = CANVAS if canvas else NAMES
    columns: dict[str, int] = {}
    for index, cell in enumerate(header):
        if cell in names:
            columns.setdefault(names[cell], index)
    if not canvas and "identifier" not in columns and header[:1] == ["id"]:
        columns["identifier"] = 0  # German
    if "identifier" not in columns or not {"name", "grade"} & set(columns):
        raise UserError(
            f"{path} is not a class list of Moodle or Canvas. Expected is {SYSTEMS['moodle']} (columns Identifier, "
            f"Full name, ...) or {SYSTEMS['canvas']} (columns Student, ID, ..., Section)."
        )
    width = len(header)
    for row in rows:
        row += [""] * (width - len(row))
    system = "canvas" if canvas else "moodle"
    people = _people(system, rows, columns, zone)
    return Roster(path, system, rows, columns, people, encoding, {"delimiter": delimiter, "lineterminator": end})


def _read(path: Path) -> tuple[str, str]:
    """The text of a file and how it was encoded."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"The class list {path} cannot be read: {error.strerror}.") from None
    encodings = ["utf-8-sig"] if data.startswith(b"\xef\xbb\xbf") else ["utf-8", "cp1252", "latin-1"]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    for encoding in encodings:
        try:
            return data.decode(encoding), encoding
        except UnicodeError:
            continue
    raise UserError(f"The class list {path} is no text file.")


def _people(system: str, rows: list[list[str]], columns: dict[str, int], zone: tzinfo | None) -> list[Person]:
    found: list[Person] = []
    taken: set[str] = set()
    for number, row in enumerate(rows[1:], start=1):
        cells = {name: row[index].strip() for name, index in columns.items()}
        identifier = re.sub(r".*\D", "", cells["identifier"])
        if not identifier:
            continue
        logins = tuple(cells[key] for key in ("number", "login", "email") if cells.get(key))
        order = ("login", "number") if system == "canvas" else ("number", "login", "email", "name")
        student = next((cells[key] for key in order if cells.get(key)), identifier)
        student = folder_name(student)
        if student in taken:
            student = f"{student} {identifier}"
        taken.add(student)
        when = read_time(cells.get("submitted", ""), zone)
        found.append(Person(student, identifier, cells.get("name", ""), cells.get("email", ""), logins, when, number))
    return found


def folder_name(text: str) -> str:
    """A student's name as a folder's name, which nbgrader takes it for."""
    return "".join("-" if c in '/\\:*?"<>|+' or not c.isprintable() else c for c in text).strip(" .")[:100] or "-"


def read_time(text: str, zone: tzinfo | None = None) -> datetime | None:
    """A time as Moodle writes it in English or German, or in ISO 8601, as UTC; None if it is none.

    Args:
        text: Such as "Tuesday, 24 November 2026, 7:37 PM" or "2026-11-24 19:37 Europe/Berlin".
        zone: The time zone of a time that names none; this machine's unless told.
    """
    text = text.strip()
    try:
        if match := DATE.search(text):
            day, month, year, hour, minute, half = match.groups()
            late = 12 if half and half[0] in "Pp" else 0
            hour = int(hour) % 12 + late if half else int(hour)
            when = datetime(int(year), MONTHS[month.lower()], int(day), hour, int(minute))
        else:
            rest, _, name = text.rpartition(" ")
            if "/" in name or name == "UTC":
                text, zone = rest, ZoneInfo(name)
            if not re.match(r"\d{4}-\d\d-\d\d|\d{8}T\d", text):
                return None
            when = dateutil.parser.isoparse(text.replace(" ", "T", 1))
        if when.tzinfo is None:
            when = when.replace(tzinfo=zone) if zone else when.astimezone()
        return when.astimezone(UTC)
    except (ValueError, OverflowError, KeyError, OSError):
        return None


def letters(text: str) -> str:
    """What of a name is compared: no case, space or punctuation."""
    return "".join(c for c in text.casefold() if c.isalnum())


def _turned(name: str) -> str:
    """ "Lovelace, Ada" as "Ada Lovelace"."""
    last, comma, first = name.partition(",")
    return f"{first} {last}" if comma else name
