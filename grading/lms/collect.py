"""`lfi collect`: from what Moodle, Canvas or `lfi submit` give to nbgrader's folder of submissions.

Each student gets `<submitted>/<student>/<assignment>/` with the notebook under its own name. The latest submission
counts, earlier ones lie in `<submitted>/.earlier/`. `<submitted>/collected.csv` remembers who is who on the platform.
A folder is moved to its place in one step, so a run that was killed is mended by the next one.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from nbgrader.api import Gradebook

from grading import handed_in
from grading.canonical import Unreadable
from grading.course import Notebook, UserError
from grading.handed_in import TIMESTAMP, printable
from grading.lms.archives import File, Unpacking, is_zip
from grading.lms.layouts import Owner, owned, submit_zip
from grading.lms.roster import Person, Roster, folder_name, read_time
from grading.tables import plain, write_csv

RECORDS = "collected.csv"
EARLIER = ".earlier"
SCRATCH = ".collecting"
SHOWN = 5  # files that a sentence names


@dataclass(frozen=True)
class Record:
    """One row of collected.csv: what lies in a student's folder, and who the student is on the platform."""

    assignment: str
    student: str
    system: str = ""
    id: str = ""
    name: str = ""
    email: str = ""
    submitted: str = ""
    downloaded: str = ""
    late: str = ""
    digest: str = ""

    def is_older(self, other: Record) -> bool:
        """Whether another one came later, by the platform's time if both have one, else by the archives'."""
        if self.submitted and other.submitted:
            return self.submitted < other.submitted
        return bool(self.downloaded and other.downloaded) and self.downloaded < other.downloaded


def read_records(folder: Path) -> dict[tuple[str, str], Record]:
    """The rows of collected.csv by assignment and student; none if there is no such file."""
    names = [column.name for column in fields(Record)]
    try:
        with (folder / RECORDS).open(newline="", encoding="utf-8") as file:
            rows = [Record(*(plain(row.get(name) or "") for name in names)) for row in csv.DictReader(file)]
    except FileNotFoundError:
        return {}
    except (OSError, csv.Error, UnicodeError) as error:
        raise UserError(f"{folder / RECORDS} cannot be read ({error}): put it aside and collect again.") from None
    return {(row.assignment, row.student): row for row in rows}


@dataclass
class Report:
    """What came of collecting: how many submissions were `new`, `newer`, `older`, `unchanged`, and sentences."""

    counts: Counter = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    timed: Counter = field(default_factory=Counter)


@dataclass(frozen=True)
class Attempt:
    """Files that were handed in together. `told` is the time in the name of `lfi submit`'s archive."""

    files: list[File]
    told: datetime | None = None

    @property
    def when(self) -> datetime | None:
        return max((file.when for file in self.files if file.when), default=None)

    def order(self) -> tuple:
        """What comes later is larger; `lfi submit` knows better than the entries of an archive."""
        return self.told is not None, self.told.timestamp() if self.told else 0.0, self.when or datetime.min

    @property
    def has_notebook(self) -> bool:
        return any(file.parts[-1].endswith(".ipynb") for file in self.files)


def collect(source: Path, notebook: Notebook, submitted: Path, roster: Roster | None = None) -> Report:
    """Collect the submissions in an archive or folder.

    Args:
        source: What the platform gave, or a folder with such archives, or with students' folders.
        notebook: The assignment.
        submitted: nbgrader's folder of submissions; it is made if it is missing.
        roster: Tells who is who, and with Moodle when each submission came.
    """
    if not source.exists():
        raise UserError(f"There is no file or folder {source}.")
    if source.is_dir() and submitted.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{submitted} lies in {source}: choose an output folder outside of what is collected.")
    scratch = submitted / SCRATCH
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        (scratch / "files").mkdir(parents=True)
    except OSError as error:
        raise UserError(f"Cannot write to {submitted}: {error.strerror}.") from None
    try:
        return _Collection(notebook, submitted, roster).run(source, scratch)
    except OSError as error:
        raise UserError(f"Collecting stopped: {error.strerror or error}. Nothing is lost: run it again.") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Collection:
    """One run."""

    def __init__(self, notebook: Notebook, submitted: Path, roster: Roster | None):
        self.notebook, self.submitted, self.roster = notebook, submitted, roster
        self.records = read_records(submitted)
        self.report = Report()

    def run(self, source: Path, scratch: Path) -> Report:
        unpacking = Unpacking(scratch / "files")
        unpacking.add(source)
        self.report.troubles += unpacking.troubles
        owners, unmatched = owned(unpacking.files, self.notebook.assignment)
        namesakes = Counter(folder_name(owner.name) for owner in owners)
        for owner, files in owners.items():
            person = self._person(owner)
            if self.roster and not person:
                who = f"{owner.name} ({owner.id})" if owner.id else owner.name
                self._unmatched(f"{printable(who)} is not in {self.roster.path.name}", files)
                continue
            student = self._student(owner, person, namesakes)
            self._student_files(student, owner, person, files, scratch / "student")
        if unmatched:
            self._unmatched("It cannot be told whose they are", unmatched)
        write_csv(
            self.submitted / RECORDS,
            [column.name for column in fields(Record)],
            [astuple(self.records[key]) for key in sorted(self.records)],
        )
        return self.report

    def _unmatched(self, why: str, files: list[File]) -> None:
        names = [f"'{'/'.join(file.parts)}'" for file in files]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        self.report.troubles.append(f"{why}: {', '.join(names[:SHOWN])}{more}; not collected.")

    def _person(self, owner: Owner) -> Person | None:
        if not self.roster:
            return None
        same = owner.system == self.roster.system
        return (self.roster.by_id(owner.id) if same else None) or self.roster.by_name(owner.name)

    def _student(self, owner: Owner, person: Person | None, namesakes: Counter) -> str:
        """The student's name in the gradebook: whoever was collected under a name keeps it."""
        for record in self.records.values():
            if owner.id and (record.assignment, record.system, record.id) == (
                self.notebook.assignment, owner.system, owner.id,
            ):  # fmt: skip
                if person and person.student != record.student:
                    self.report.notes.append(f"{person.student} was collected as {record.student} and keeps that name.")
                return record.student
        if person:
            return person.student
        name = folder_name(owner.name)
        if owner.system == "canvas":
            return owner.id
        if namesakes[name] > 1 and owner.id:
            self.report.notes.append(f"There are several called {name}: a class list (--roster) tells them apart.")
            return f"{name} {owner.id}"
        return name

    def _student_files(
        self, student: str, owner: Owner, person: Person | None, files: list[File], scratch: Path
    ) -> None:
        """Put what one student handed in into its place."""
        attempts = _attempts(files, self.notebook.assignment)
        chosen = attempts[-1]
        if not chosen.has_notebook:
            self._unmatched(f"{student} has handed in no notebook", files)
            return
        if len(attempts) > 1:
            self.report.notes.append(f"{student} handed in {len(attempts)} times at once; the last one counts.")
        for attempt in attempts:
            when = (person.submitted if person and attempt is chosen else None) or attempt.told
            record = Record(
                self.notebook.assignment,
                student,
                self.roster.system if person else owner.system,
                person.id if person else owner.id,
                person.name if person else owner.name,
                person.email if person else "",
                when.isoformat(timespec="seconds") if when else "",
                attempt.when.isoformat(timespec="seconds") if attempt.when else "",
                "late" if owner.late else "",
            )
            shutil.rmtree(scratch, ignore_errors=True)
            if not self._lay_out(attempt, student, scratch):
                continue
            record = replace(record, digest=self._digest(scratch / "final"))
            if when:
                _write_time(scratch / "final", record)
            if attempt is chosen:
                self._put(record, scratch / "final")
                source = "platform" if person and person.submitted else "student" if when else "none"
                self.report.timed[source] += 1
            else:
                self._set_aside(record, scratch / "final")

    def _lay_out(self, attempt: Attempt, student: str, scratch: Path) -> bool:
        """Write an attempt as it shall lie in nbgrader's folder to scratch/final, without its time."""
        raw, final = scratch / "raw", scratch / "final"
        for file in attempt.files:
            path = raw.joinpath(*file.parts)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.path, path)
            except OSError:
                self.report.troubles.append(f"{student}: '{'/'.join(file.parts)}' cannot be stored; it was left out.")
        found = handed_in.collect(raw, self.notebook)
        notebooks = sorted(raw.rglob("*.ipynb"), key=lambda path: path.stat().st_size)
        if not notebooks:
            return False
        data = notebooks[-1].read_bytes() if isinstance(found.notebook, Unreadable) else found.notebook
        odd = [note for note in found.notes if not note.startswith("There is no notebook")]
        self.report.notes += [f"{student}: {note}" for note in odd]
        if len(notebooks) > 1:
            self.report.notes.append(f"{student} handed in {len(notebooks)} notebooks; one of them counts.")
        found.files.pop(TIMESTAMP, None)  # that is for the platform to say
        found.write_files(final)
        final.mkdir(parents=True, exist_ok=True)
        (final / self.notebook.release.name).write_bytes(data)
        return True

    def _digest(self, folder: Path) -> str:
        """Hash of what was handed in, without when."""
        found = handed_in.collect(folder, self.notebook)
        found.files.pop(TIMESTAMP, None)
        return found.digest()

    def _put(self, record: Record, folder: Path) -> None:
        """Make a folder the student's submission, if it is not older than what is there."""
        key = (record.assignment, record.student)
        place = self.submitted / record.student / record.assignment
        known = self.records.get(key)
        if not place.exists():
            state = "new"
        elif record.digest in (known.digest if known else "", there := self._digest(place)):
            state = "unchanged"
        else:
            before = replace(known or _found(place, record), digest=there)
            state = "older" if record.is_older(before) else "newer"
        if state == "older":
            self._set_aside(record, folder)
        else:
            if state == "newer":
                self._set_aside(before, place)
                self.report.notes.append(f"{record.student} has handed in again; the earlier one is in {EARLIER}/.")
            if state != "unchanged":
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(folder, place)
            elif record.submitted:
                _write_time(place, record)
            elif known:
                record = replace(record, submitted=known.submitted)
            self.records[key] = record
        self.report.counts[state] += 1

    def _set_aside(self, record: Record, folder: Path) -> None:
        when = (record.submitted or record.downloaded or "unknown").replace(":", "").replace("+0000", "Z")
        place = self.submitted / EARLIER / record.student / record.assignment / f"{when} {record.digest[:8]}"
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder, place)
        elif folder.is_relative_to(self.submitted / record.student):
            shutil.rmtree(folder)


def enter_names(gradebook: Gradebook, records: Iterable[Record]) -> None:
    """Enter names, addresses and Canvas's ids in nbgrader's gradebook, where formgrader shows them."""
    students = {student.id: student for student in gradebook.students}
    for record in records:
        if (student := students.get(record.student)) is None or not record.name:
            continue
        last, comma, first = record.name.partition(",")
        if not comma:
            first, _, last = record.name.rpartition(" ")
        student.first_name, student.last_name = first.strip(), last.strip()
        student.email = record.email or student.email
        if record.system == "canvas":
            student.lms_user_id = record.id
    gradebook.db.commit()


def _write_time(folder: Path, record: Record) -> None:
    """Write when it was handed in, as nbgrader reads it."""
    when = datetime.fromisoformat(record.submitted)
    scratch = folder / f".{TIMESTAMP}"
    scratch.write_text(f"{when:%Y-%m-%d %H:%M:%S} UTC\n")
    os.replace(scratch, folder / TIMESTAMP)


def _found(place: Path, record: Record) -> Record:
    """What can be told of a submission that was not collected by us."""
    try:
        when = read_time((place / TIMESTAMP).read_text().strip(), UTC)
    except (OSError, UnicodeError):
        when = None
    stamp = when.isoformat(timespec="seconds") if when else ""
    return Record(record.assignment, record.student, submitted=stamp)


def _attempts(files: list[File], assignment: str) -> list[Attempt]:
    """What was handed in together, the last one last. An archive is an attempt; loose files are one, too."""
    groups: dict[tuple[str, ...], list[File]] = {}
    for file in files:
        depth = next((i + 1 for i, part in enumerate(file.parts[:-1]) if is_zip(part)), 0)
        groups.setdefault(file.parts[:depth], []).append(file.below(depth))
    attempts = []
    for place, mine in groups.items():
        made = submit_zip(place[-1], assignment) if place else None
        attempts.append(Attempt(_without_common_folder(mine), read_time(made["time"]) if made else None))
    with_notebook = [attempt for attempt in attempts if attempt.has_notebook]
    if not with_notebook:
        return attempts[:1]
    rest = [file for attempt in attempts if not attempt.has_notebook for file in attempt.files]
    with_notebook.sort(key=Attempt.order)
    with_notebook[-1].files.extend(rest)
    return with_notebook


def _without_common_folder(files: list[File]) -> list[File]:
    while all(len(file.parts) > 1 for file in files) and len({file.parts[0] for file in files}) == 1:
        files = [file.below(1) for file in files]
    return files
