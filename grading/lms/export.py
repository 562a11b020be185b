"""`lfi export` and `lfi feedback --zip`: grades and pages in the shape that Moodle and Canvas import.

A class list that the platform exported is given back with nothing changed but the grades, so that ids and names are
what the platform expects. Scores come from nbgrader's gradebook, less nbgrader's late_submission_penalty.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry, SubmittedAssignment

from grading.bundle import timeless
from grading.course import Notebook, UserError
from grading.lms.collect import Record, read_records
from grading.lms.roster import Person, Roster, letters
from grading.tables import write_csv

COLUMNS = (
    *("assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email"),
    *("raw_score", "late_submission_penalty", "score", "max_score"),
)  # those of nbgrader's own export
UNSAFE = re.compile(r'[\\/:*?"<>|_\x00-\x1f]+')


@dataclass(frozen=True)
class Grade:
    """What a student has earned in an assignment. `waits`: a written answer has no grade yet."""

    student: str
    raw: float
    penalty: float
    maximum: float
    waits: bool
    submitted: datetime | None

    @property
    def score(self) -> float:
        return round(max(0.0, self.raw - self.penalty), 2)


def grades(gradebook: Gradebook, assignment: str) -> dict[str, Grade]:
    """The grades of an assignment by student."""
    try:
        gradebook.find_assignment(assignment)
    except MissingEntry:
        raise UserError(f"{assignment} is not in this gradebook: run `lfi grade {assignment}` first.") from None
    return {found.student_id: _grade(found) for found in gradebook.assignment_submissions(assignment)}


def _grade(found: SubmittedAssignment) -> Grade:
    numbers = (found.score, found.late_submission_penalty, found.max_score)
    raw, penalty, maximum = (float(number or 0) for number in numbers)
    return Grade(found.student_id, raw, penalty, maximum, bool(found.needs_manual_grade), found.timestamp)


@dataclass(frozen=True)
class Export:
    """What was written, how many grades or pages are in it, and sentences: what to know, and what is not in it."""

    path: Path
    count: int
    notes: list[str]
    troubles: list[str]


# ---------------------------------------------------------------- who is who


def students(
    roster: Roster, records: Iterable[Record], assignment: str, graded: Iterable[str] = ()
) -> dict[str, Person]:
    """The class list's people by the names that they have in the gradebook."""
    known = {(r.system, r.id): r.student for r in records if r.assignment == assignment or r.system == "canvas"}
    people = {known.get((roster.system, person.id), person.student): person for person in roster.people}
    others = {name: roster.by_name(name) for name in set(graded) - set(people)}
    return people | {name: person for name, person in others.items() if person}


def _unknown(roster: Roster, graded: Iterable[str], known: Iterable[str]) -> list[str]:
    return [f"{name} is not in {roster.path.name}." for name in sorted(set(graded) - set(known))]


def _waiting(found: Iterable[Grade]) -> list[str]:
    names = sorted(grade.student for grade in found if grade.waits)
    if not names:
        return []
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return [f"Written answers of {len(names)} students wait for a grade and count 0 points so far: {shown}."]


# ---------------------------------------------------------------- tables


def to_csv(gradebook: Gradebook, notebooks: list[Notebook], target: Path) -> Export:
    """A row a student and assignment, with the columns of `nbgrader export`."""
    rows, notes = [], []
    for notebook in notebooks:
        found = grades(gradebook, notebook.assignment)
        notes += _waiting(found.values())
        due = gradebook.find_assignment(notebook.assignment).duedate
        for name in sorted(found):
            grade, student = found[name], gradebook.find_student(name)
            who = (name, student.last_name or "", student.first_name or "", student.email or "")
            points = (grade.raw, grade.penalty, grade.score, grade.maximum)
            times = (due or "", grade.submitted or "")
            rows.append((notebook.assignment, *times, *who, *map(number, points)))
    target.parent.mkdir(parents=True, exist_ok=True)
    return Export(write_csv(target, COLUMNS, rows), len(rows), notes, [])


def to_moodle(
    gradebook: Gradebook,
    notebook: Notebook,
    roster: Roster,
    records: Iterable[Record],
    target: Path,
    scale: bool = False,
) -> Export:
    """The grading worksheet with its column Grade filled in; with `scale` in units of Moodle's maximum."""
    if roster.system != "moodle" or "grade" not in roster.columns:
        raise UserError(
            f"{roster.path} is no grading worksheet: in Moodle's assignment, enable the feedback type "
            "'Offline grading worksheet', then choose 'Download grading worksheet'."
        )
    found = grades(gradebook, notebook.assignment)
    people = students(roster, records, notebook.assignment, found)
    notes, troubles, count = _waiting(found.values()), _unknown(roster, found, people), 0
    for student, person in people.items():
        if (grade := found.get(student)) is None:
            continue
        if _cell(roster, person, "changeable").lower() in ("no", "nein"):
            troubles.append(f"Moodle would not change the grade of {person.name or student}; it was left as it is.")
            continue
        top = _number(_cell(roster, person, "maximum"))
        score = _converted(grade, top, scale, "Moodle's maximum grade")
        if top is not None and score > top:
            notes.append(
                f"{person.name or student} has {number(score)} points, but Moodle ignores a grade above its maximum: "
                f"{number(top)} is entered."
            )
            score = top
        roster.rows[person.row][roster.columns["grade"]] = number(score)
        count += 1
    roster.write(target)
    return Export(target, count, notes, troubles)


def _converted(grade: Grade, top: float | None, scale: bool, what: str) -> float:
    """A score in the platform's units; raises UserError if those are others than ours and nobody said to convert."""
    if top is None or top == grade.maximum or not grade.maximum:
        return grade.score
    if not scale:
        raise UserError(
            f"{what} is {number(top)}, but the points are of {number(grade.maximum)}: set it to "
            f"{number(grade.maximum)} there and export the class list again, or give --scale to convert."
        )
    return round(grade.score * top / grade.maximum, 2)


def to_canvas(
    gradebook: Gradebook,
    notebooks: list[Notebook],
    roster: Roster,
    records: list[Record],
    target: Path,
    scale: bool = False,
) -> Export:
    """The gradebook's export with the assignments' columns filled in; with `scale` in units of Points Possible."""
    if roster.system != "canvas":
        raise UserError(f"{roster.path} is no gradebook export of Canvas (Grades > Export).")
    notes, troubles, count = [], [], 0
    for notebook in notebooks:
        column = _column(roster, notebook)
        top = _points_possible(roster, column)
        found = grades(gradebook, notebook.assignment)
        people = students(roster, records, notebook.assignment, found)
        notes += _waiting(found.values())
        troubles += _unknown(roster, found, people)
        for student, person in people.items():
            if student not in found:
                continue
            row = roster.rows[person.row]
            if row[column].strip() in ("EX", "N/A"):
                troubles.append(f"{person.name} is excused or not assigned in Canvas; the cell was left as it is.")
                continue
            what = f"Points Possible of {roster.rows[0][column]} in Canvas"
            row[column] = number(_converted(found[student], top, scale, what))
            count += 1
    roster.write(target)
    return Export(target, count, notes, troubles)


def _column(roster: Roster, notebook: Notebook) -> int:
    """The column of an assignment, which Canvas calls by the assignment's title there and a number."""
    titles = {index: title for index, title in enumerate(roster.rows[0]) if re.search(r" \(\d+\)$", title)}
    wanted = {letters(notebook.assignment), letters(notebook.name)}
    exact = [index for index, title in titles.items() if letters(title.rsplit(" (", 1)[0]) in wanted]
    found = exact or [index for index, title in titles.items() if any(name in letters(title) for name in wanted)]
    if len(found) != 1:
        told = ", ".join(titles.values()) or "none"
        raise UserError(
            f"{roster.path} has {'no' if not found else 'more than one'} column for {notebook.assignment} (assignments "
            f"there: {told}): name the assignment in Canvas '{notebook.assignment}' and export again."
        )
    return found[0]


def _points_possible(roster: Roster, column: int) -> float | None:
    row = next((row for row in roster.rows[1:4] if "Points Possible" in row[0]), None)
    return _number(row[column]) if row else None


# ---------------------------------------------------------------- feedback


def feedback_zip(pages: Path, notebook: Notebook, people: dict[str, tuple[str, str]], target: Path) -> Export:
    """The feedback pages for Moodle's "Upload multiple feedback files in a zip".

    Args:
        pages: The folder feedback/.
        notebook: The assignment.
        people: From students to full names and Moodle's participant numbers.
        target: The archive to write.
    """
    count, troubles = 0, []
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f"{target.name}.part")
    with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder in sorted(pages.glob(f"*/{notebook.assignment}")):
            student = folder.parent.name
            if student not in people:
                troubles.append(f"It is not known who {student} is in Moodle; the feedback was left out.")
                continue
            name, identifier = people[student]
            place = f"{UNSAFE.sub(' ', name).strip() or 'Participant'}_{identifier}_assignsubmission_file_"
            for page in sorted(folder.glob("*.html")):
                archive.writestr(timeless(f"{place}/{page.name}"), page.read_bytes())
                count += 1
    scratch.replace(target)
    return Export(target, count, [], troubles)


def participants(
    output: Path, notebook: Notebook, roster: Roster | None, graded: Iterable[str]
) -> dict[str, tuple[str, str]]:
    """From students to full names and Moodle's numbers, by the worksheet, else by what was collected."""
    records = read_records(output)
    if roster:
        people = students(roster, records.values(), notebook.assignment, graded)
        return {student: (person.name, person.id) for student, person in people.items()}
    mine = [r for r in records.values() if r.assignment == notebook.assignment and r.system == "moodle" and r.id]
    if not mine:
        raise UserError(
            f"Nothing in {output} tells who is who in Moodle: give the grading worksheet (--roster), or collect "
            "Moodle's archive with `lfi collect` and grade it."
        )
    return {record.student: (record.name, record.id) for record in mine}


# ---------------------------------------------------------------- small things


def number(value: float) -> str:
    """A number of points, with at most two decimals and none that are zero."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _number(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None


def _cell(roster: Roster, person: Person, name: str) -> str:
    return roster.rows[person.row][roster.columns[name]].strip() if name in roster.columns else ""
