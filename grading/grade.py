"""`lfi grade`: a folder of submissions in; gradebook, feedback and score table out, through nbgrader.

Submissions are run and judged by a pool of workers; the coordinator, this process, alone writes the gradebook.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path

from nbgrader.api import Assignment, BaseCell, Grade, SubmittedAssignment, SubmittedNotebook
from sqlalchemy import Row, select

from grading.audit import hints
from grading.course import Notebook, UserError, grade_id, incident, nbgrader_metadata
from grading.execute import is_unsafe
from grading.gradebook import GradingFolder, NbGraderException
from grading.handed_in import HandedIn, collect, printable
from grading.lms.late import renew
from grading.pipeline import read_graded
from grading.pool import local_pool, run_submission, start_fork_server, write_feedback
from grading.regrade import Before, Change, check_hashes, compare, essence, is_concerned
from grading.results import KEY_LENGTH, Kept, dependencies, surroundings
from grading.sandbox.host import ADDRESS, Zygote
from grading.tables import write_csv

GRADES = (
    select(
        SubmittedAssignment.student_id,
        Assignment.name.label("assignment"),
        BaseCell.name.label("cell"),
        *(Grade.score, Grade.max_score, Grade.auto_score, Grade.manual_score, Grade.needs_manual_grade),
    )
    .join(SubmittedNotebook, Grade.notebook_id == SubmittedNotebook.id)
    .join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
    .join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
    .join(BaseCell, Grade.cell_id == BaseCell.id)
)
COLUMNS = ("student", "assignment", "task", "score", "max_score", "status")
PARTS = ("kernel", "checks", "grader", "bookkeeping", "feedback")


@dataclass(frozen=True)
class Score:
    """One row of scores.csv. A bonus task's `max_score` is 0; a written answer that waits has an empty `score`."""

    student: str
    assignment: str
    task: str
    score: float | None
    max_score: float
    status: str


@dataclass(frozen=True)
class Incident:
    """One row of incidents.csv; see `grading.course.incident`."""

    student: str
    assignment: str
    task: str
    kind: str
    sentence: str

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.student, self.assignment, self.task))) + f": {self.sentence}"


@dataclass(frozen=True)
class Submission:
    """What one student handed in for one assignment."""

    notebook: Notebook
    student: str
    folder: Path

    def handed_in(self) -> HandedIn:
        return collect(self.folder, self.notebook)

    def fingerprint(self) -> str:
        """Hash of all that the grade depends on."""
        return hashlib.sha256(f"{dependencies(self.notebook)} {self.handed_in().digest()}".encode()).hexdigest()

    def record(self) -> dict:
        """What a grade was made from; in parts, so that one can tell whether more than checks changed since."""
        return {
            "fingerprint": self.fingerprint(),
            "handed_in": self.handed_in().digest(),
            "surroundings": surroundings(self.notebook),
            "checks": check_hashes(self.notebook),
        }


def find_submissions(submitted: Path, notebooks: list[Notebook]) -> list[Submission]:
    """The submissions in `submitted/<student>/<assignment>/`; raises UserError if there is none."""
    if not submitted.is_dir():
        raise UserError(f"There is no folder {submitted}.")
    students = sorted(path for path in submitted.iterdir() if path.is_dir() and not path.name.startswith("."))
    places = [Submission(nb, printable(path.name), path / nb.assignment) for nb in notebooks for path in students]
    found = [place for place in places if place.folder.is_dir()]
    if not found:
        wanted = ", ".join(nb.assignment for nb in notebooks)
        raise UserError(
            f"{submitted} holds no submission to {wanted}. "
            "Expected are files like <student>/<assignment>/<notebook>.ipynb, as nbgrader lays them out."
        )
    return found


class Run:
    """One grading run over a folder of submissions.

    Args:
        folder: Where submissions come from and results go.
        notebooks: The assignments to grade.
        force: Grade again what has not changed.
        settings: Traits of ExecuteAndJudge.
        changed: Where only checks changed, grade again only the submissions that this concerns.
    """

    def __init__(
        self,
        folder: GradingFolder,
        notebooks: list[Notebook],
        force: bool = False,
        settings: dict | None = None,
        changed: bool = False,
    ):
        self.folder, self.notebooks, self.force, self.changed = folder, notebooks, force, changed
        self.before = Before(folder.output / ".before")
        self.settings = {"unsafe": is_unsafe()} | (settings or {})
        self.submissions = find_submissions(folder.submitted, notebooks)
        self.incidents: list[Incident] = []
        self.seconds: dict[Submission, dict[str, float]] = {}
        self.sound = True
        try:
            folder.output.mkdir(parents=True, exist_ok=True)
            (folder.output / ".writable").touch()
            (folder.output / ".writable").unlink()
        except OSError as error:
            raise UserError(f"Cannot write to {folder.output}: {error.strerror}.") from None

    def graded(self, submission: Submission) -> Path:
        """Where the autograded notebook of a submission is."""
        name, notebook = submission.student, submission.notebook
        return self.folder.output / "autograded" / name / notebook.assignment / notebook.release.name

    def grade(
        self,
        done: Callable[[Submission, bool], None],
        workers: int | None = None,
        pool: Executor | None = None,
        say: Callable[[str], None] = lambda words: None,
    ) -> bool:
        """Grade everything; `done` is told each submission and whether it had to be graded.

        Args:
            done: Called after each submission.
            workers: Processes on this machine; all cores unless told.
            pool: Runs submissions elsewhere, with the interface of concurrent.futures.
            say: Told what takes long before the first submission.

        Returns:
            Whether every submission could be graded.
        """
        waiting = []
        for submission in self.submissions:
            if self._needed(submission):
                waiting.append(submission)
            else:
                self._note_incidents(submission)
                done(submission, False)
        if waiting:
            schedule = _Schedule(self, waiting, workers or os.cpu_count() or 1, pool, done)
            for notebook in self.notebooks:
                self.folder.add_assignment(notebook)
            schedule.run(say)
        return self.sound

    def fail(self, submission: Submission, why: str) -> None:
        """Note that a submission could not be graded."""
        self.sound = False
        self._note(submission, incident("not graded", f"It could not be graded: {why}"))

    def _note(self, submission: Submission, found: dict) -> None:
        self.incidents.append(Incident(submission.student, submission.notebook.assignment, **found))

    def book(self, submission: Submission, result: bytes) -> bool:
        """Enter a result into the gradebook through nbgrader's autograde; True if that worked."""
        kept = Kept(self.folder.results)
        key, data = result[:KEY_LENGTH].decode(), result[KEY_LENGTH:]
        kept.put(key, data)
        self.before.keep(submission.student, submission.notebook.assignment, self._recorded(submission))
        self._record(submission).unlink(missing_ok=True)
        began = time.process_time()
        try:
            self.folder.autograde(submission.notebook, submission.student, submission.handed_in(), self.settings)
        except (NbGraderException, OSError) as error:
            self.fail(submission, str(error))
            return False
        finally:
            kept.path(key).unlink(missing_ok=True)
        self.seconds[submission] = {"bookkeeping": time.process_time() - began}
        return True

    def finish(self, submission: Submission, seconds: float) -> None:
        """Note that everything of a submission is done; its feedback took some processor seconds."""
        self.seconds[submission]["feedback"] = seconds
        path, names = self.graded(submission), (submission.student, submission.notebook.assignment)
        record = submission.record() | {"written": path.stat().st_mtime_ns}
        record["outcome"] = read_graded(path).metadata["lfi"]
        record["before"] = self.before.get(*names, record["handed_in"])
        self._write_record(submission, record)
        self.before.forget(*names)
        self._note_incidents(submission)

    def apply_lateness(self) -> list[Submission]:
        """Compute late penalties anew; returns the submissions where they have changed."""
        changed: set[tuple[str, str]] = set()
        with self.folder.gradebook() as gradebook:
            for notebook in self.notebooks:
                changed |= set(renew(gradebook, notebook.assignment, self.folder.config(notebook)))
        return [s for s in self.submissions if (s.student, s.notebook.assignment) in changed]

    def write_feedback(
        self,
        done: Callable[[Submission], None],
        workers: int | None = None,
        submissions: list[Submission] | None = None,
    ) -> None:
        """Write feedback pages anew, all unless told which; `done` is called after each."""
        submissions = self.submissions if submissions is None else submissions
        with local_pool(workers or os.cpu_count() or 1) as pool:
            jobs = [
                pool.submit(write_feedback, self.folder, submission.notebook.assignment, submission.student)
                for submission in submissions
            ]
            for submission, job in zip(submissions, jobs, strict=True):
                job.result()
                done(submission)

    def _record(self, submission: Submission) -> Path:
        """Beside a graded notebook: what it was made from, and what is quicker to read there than in the notebook."""
        return self.graded(submission).with_suffix(".key")

    def _recorded(self, submission: Submission) -> dict:
        """The record, if it belongs to the graded notebook as it is now."""
        try:
            record = json.loads(self._record(submission).read_text())
            current = record["written"] == self.graded(submission).stat().st_mtime_ns
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return record if current else {}

    def _write_record(self, submission: Submission, record: dict) -> None:
        """Write the record; whoever is interrupted leaves the old one or none."""
        path = self._record(submission)
        scratch = path.with_suffix(".part")
        scratch.write_text(json.dumps(record))
        scratch.replace(path)

    def _needed(self, submission: Submission) -> bool:
        record = self._recorded(submission)
        if self.force or record.get("fingerprint") != submission.fingerprint():
            return not (self.changed and self._still_holds(submission, record))
        return False

    def _still_holds(self, submission: Submission, record: dict) -> bool:
        """Whether only checks changed since, and none that concerns this submission; its record then says so."""
        now = submission.record()
        same = all(record.get(part) == now[part] for part in ("handed_in", "surroundings"))
        if self.force or not same or is_concerned(record, submission.notebook):
            return False
        self._write_record(submission, record | now | {"before": None})
        return True

    def changes(self) -> Iterator[Change]:
        """Tasks whose points changed when a submission was last graded again as it was."""
        with self.folder.gradebook() as gradebook:
            rows = gradebook.db.execute(GRADES.where(Grade.manual_score.is_not(None)))
            manual = {(row.student_id, row.assignment, row.cell) for row in rows}
        for submission in self.submissions:
            record, names = self._recorded(submission), (submission.student, submission.notebook.assignment)
            if before := record.get("before"):
                for task, old, new, why in compare(before, essence(record["outcome"])):
                    stands = "; a manual score stands" if (*names, f"test_{task}") in manual else ""
                    yield Change(*names, task, old, new, why + stands)

    def outcome(self, submission: Submission) -> dict | None:
        """What came of a submission: `incidents`, `tasks` (verdicts by name), `seconds`; None if it has no grade."""
        path = self.graded(submission)
        if record := self._recorded(submission):
            return record["outcome"]
        return read_graded(path).metadata["lfi"] if path.exists() else None

    def recall_incidents(self) -> None:
        """Take over the incidents of an earlier run."""
        for submission in self.submissions:
            self._note_incidents(submission)

    def _note_incidents(self, submission: Submission) -> None:
        for found in (self.outcome(submission) or {}).get("incidents", []):
            self._note(submission, found)

    def scores(self) -> Iterator[Score]:
        """The rows of scores.csv, from the gradebook and the verdicts."""
        grades: dict[tuple[str, str], dict[str, Row]] = {}
        with self.folder.gradebook() as gradebook:
            for grade in gradebook.db.execute(GRADES):
                grades.setdefault((grade.student_id, grade.assignment), {})[grade.cell] = grade
        for submission in self.submissions:
            found = grades.get((submission.student, submission.notebook.assignment), {})
            if (outcome := self.outcome(submission)) is not None:
                yield from _scores(submission, outcome["tasks"], found)

    def _timings(self) -> Iterator[tuple]:
        for submission, seconds in self.seconds.items():
            seconds |= (self.outcome(submission) or {}).get("seconds", {})
            parts = (f"{seconds[part]:.3f}" if part in seconds else "" for part in PARTS)
            yield submission.student, submission.notebook.assignment, *parts

    def write_scores(self) -> Path:
        """Write scores.csv, incidents.csv, changes.csv and timings.csv; returns the path of the first."""
        rows = [
            (row.student, row.assignment, row.task, "" if row.score is None else f"{row.score:g}",
             f"{row.max_score:g}", row.status)
            for row in self.scores()
        ]  # fmt: skip
        if self.seconds:
            rows_of_time = sorted(self._timings())
            write_csv(self.folder.output / "timings.csv", ("student", "assignment", *PARTS), rows_of_time)
        changes = [astuple(found) for found in self.changes()]
        write_csv(self.folder.output / "changes.csv", [column.name for column in fields(Change)], changes)
        incidents = [astuple(found) for found in self.incidents]
        write_csv(self.folder.output / "incidents.csv", [column.name for column in fields(Incident)], incidents)
        return write_csv(self.folder.output / "scores.csv", COLUMNS, rows)


class _Schedule:
    """Keeps the workers busy: run a submission, book it here, write its feedback, a few at a time."""

    def __init__(self, run: Run, waiting: list[Submission], workers: int, pool: Executor | None, done: Callable):
        self.grading, self.waiting, self.workers, self.done = run, list(reversed(waiting)), workers, done
        self.remote = pool
        self.suspects: list[Submission] = []
        self.killers: set[Submission] = set()
        self.jobs: dict[Future, tuple[str, Submission]] = {}
        self.local: Executor | None = None
        start_fork_server()  # it imports while the zygote does
        if not run.settings["unsafe"]:
            threading.Thread(target=Zygote.shared, daemon=True).start()

    def run(self, say: Callable[[str], None]) -> None:
        if not self.grading.settings["unsafe"]:
            os.environ[ADDRESS] = Zygote.shared()
        try:
            self.local = local_pool(self.workers)
            for notebook in {submission.notebook: None for submission in self.waiting}:
                say(f"known mistakes of {notebook.name}")
                hints(notebook, self.local)  # once a class: workers find them in a file
            while self.waiting or self.suspects or self.jobs:
                while self.suspects and not self.jobs:
                    self._start(self.suspects.pop())
                while self.waiting and not self.suspects and len(self.jobs) < 2 * self.workers:
                    self._start(self.waiting.pop())
                if self.jobs:
                    future = next(iter(wait(self.jobs, return_when=FIRST_COMPLETED).done))
                    self._proceed(future, *self.jobs.pop(future))
        finally:
            for future in self.jobs:
                future.cancel()
            self.local.shutdown(cancel_futures=True)

    def _start(self, submission: Submission) -> None:
        job = (submission.notebook.assignment, submission.handed_in(), self.grading.settings)
        self._submit(self.remote or self.local, "run", submission, run_submission, *job)

    def _submit(self, pool: Executor, step: str, submission: Submission, function: Callable, *arguments) -> None:
        self.jobs[pool.submit(function, *arguments)] = (step, submission)

    def _proceed(self, future: Future, step: str, submission: Submission) -> None:
        try:
            result = future.result()
        except BrokenExecutor:
            self._retry(submission)
        except UserError:
            raise
        except Exception as error:
            self.grading.fail(submission, f"{type(error).__name__}: {error}")
            self.done(submission, True)
        else:
            if step == "run":
                self._booked(submission, result)
            else:
                self.grading.finish(submission, result)
                self.done(submission, True)

    def _booked(self, submission: Submission, result: bytes) -> None:
        if self.grading.book(submission, result):
            notebook = submission.notebook
            job = (self.grading.folder, notebook.assignment, submission.student)
            self._submit(self.local, "feedback", submission, write_feedback, *job)
        else:
            self.done(submission, True)

    def _retry(self, submission: Submission) -> None:
        """A worker died: run again what was under way, one at a time, to find out what killed it."""
        under_way = [submission, *(other for _, other in self.jobs.values())]
        self.jobs.clear()
        self.local.shutdown(wait=False, cancel_futures=True)
        self.local = local_pool(self.workers)
        if len(under_way) > 1 or submission not in self.killers:
            self.suspects += under_way
            self.killers |= set(under_way) if len(under_way) == 1 else set()
        else:
            self.grading.fail(submission, "the worker that graded it died twice.")
            self.done(submission, True)


@cache
def _graded_cells(notebook: Notebook) -> tuple[str, ...]:
    """The names of the cells that have points, in the notebook's order."""
    cells = notebook.read_release().cells
    return tuple(grade_id(cell) for cell in cells if nbgrader_metadata(cell).get("grade"))


def _scores(submission: Submission, verdicts: dict, grades: dict[str, Row]) -> Iterator[Score]:
    notebook, student = submission.notebook, submission.student
    for name in _graded_cells(notebook):
        grade = grades.get(name)
        if grade is None:
            continue
        task = name.removeprefix("test_")
        waiting = grade.needs_manual_grade and grade.manual_score is None
        if task in verdicts:
            status = verdicts[task]["status"]
        else:
            status = "needs grading" if waiting else "graded" if grade.manual_score is not None else "not answered"
        score = None if waiting and grade.auto_score is None else round(float(grade.score), 2)
        yield Score(student, notebook.assignment, task, score, grade.max_score, status)
