"""`lfi grade`: a folder of submissions in; gradebook, feedback and score table out, through nbgrader."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from grading.course import Notebook, UserError, tasks
from grading.gradebook import GradingFolder, NbGraderException
from grading.pipeline import read_graded

COLUMNS = ("student", "assignment", "task", "score", "max_score", "status")


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
    """Something unusual about a submission, in a sentence."""

    student: str
    assignment: str
    sentence: str


def find_submissions(submitted: Path, notebooks: list[Notebook]) -> list[tuple[Notebook, str]]:
    """The (notebook, student) pairs in `submitted/<student>/<assignment>/`; raises UserError if there is none."""
    if not submitted.is_dir():
        raise UserError(f"There is no folder {submitted}.")
    students = sorted(p.name for p in submitted.iterdir() if p.is_dir() and not p.name.startswith("."))
    found = [
        (nb, student) for nb in notebooks for student in students if (submitted / student / nb.assignment).is_dir()
    ]
    if not found:
        wanted = ", ".join(nb.assignment for nb in notebooks)
        raise UserError(
            f"{submitted} holds no submission to {wanted}. "
            "Expected are files like <student>/<assignment>/<notebook>.ipynb, as nbgrader lays them out."
        )
    return found


def fingerprint(notebook: Notebook, submission: Path) -> str:
    """Hash of all that a grade depends on: the submitted file, the release, the checks and the grader."""
    digest = hashlib.sha256()
    harness = sorted(Path(__file__).parent.glob("*.py"))
    paths = [submission, notebook.release, notebook.checks, notebook.mutants, *harness]
    for path in paths:
        digest.update(path.read_bytes() if path.is_file() and not path.is_symlink() else b"none")
    return digest.hexdigest()


class Run:
    """One grading run over a folder of submissions.

    Args:
        folder: Where submissions come from and results go.
        notebooks: The assignments to grade.
        force: Grade again what has not changed.
    """

    def __init__(self, folder: GradingFolder, notebooks: list[Notebook], force: bool = False):
        self.folder, self.notebooks, self.force = folder, notebooks, force
        self.submissions = find_submissions(folder.submitted, notebooks)
        self.incidents: list[Incident] = []
        try:
            folder.output.mkdir(parents=True, exist_ok=True)
            (folder.output / ".writable").touch()
            (folder.output / ".writable").unlink()
        except OSError as error:
            raise UserError(f"Cannot write to {folder.output}: {error.strerror}.") from None

    def graded(self, notebook: Notebook, student: str) -> Path:
        return self.folder.output / "autograded" / student / notebook.assignment / notebook.release.name

    def grade(self, done: Callable[[Notebook, str, bool], None]) -> bool:
        """Grade everything; `done` is told each submission and whether it had to be graded.

        Returns:
            Whether every submission could be graded.
        """
        for notebook in self.notebooks:
            self.folder.add_assignment(notebook)
        sound = True
        for notebook, student in self.submissions:
            fresh = self._needed(notebook, student)
            if fresh:
                sound &= self._grade(notebook, student)
            self._note_incidents(notebook, student)
            done(notebook, student, fresh)
        return sound

    def _key(self, notebook: Notebook, student: str) -> tuple[Path, str]:
        submission = self.folder.submitted / student / notebook.assignment / notebook.release.name
        return self.graded(notebook, student).with_suffix(".key"), fingerprint(notebook, submission)

    def _needed(self, notebook: Notebook, student: str) -> bool:
        kept, key = self._key(notebook, student)
        feedback = self.folder.output / "feedback" / student / notebook.assignment
        done = kept.exists() and kept.read_text() == key and self.graded(notebook, student).exists()
        return self.force or not done or not any(feedback.glob("*.html"))

    def _grade(self, notebook: Notebook, student: str) -> bool:
        kept, key = self._key(notebook, student)
        kept.unlink(missing_ok=True)
        try:
            self.folder.autograde(notebook, student)
            self.folder.feedback(notebook, student)
        except NbGraderException as error:
            self.incidents.append(Incident(student, notebook.assignment, f"It could not be graded: {error}"))
            return False
        kept.write_text(key)
        return True

    def _note_incidents(self, notebook: Notebook, student: str) -> None:
        path = self.graded(notebook, student)
        if path.exists():
            for sentence in read_graded(path).metadata["lfi"]["incidents"]:
                self.incidents.append(Incident(student, notebook.assignment, sentence))

    def scores(self) -> Iterator[Score]:
        """The rows of scores.csv, from the gradebook and the graded notebooks."""
        with self.folder.gradebook() as gradebook:
            for notebook, student in self.submissions:
                path = self.graded(notebook, student)
                if path.exists():
                    yield from self._scores(gradebook, notebook, student, read_graded(path))

    def _scores(self, gradebook, notebook: Notebook, student: str, graded) -> Iterator[Score]:
        verdicts = graded.metadata["lfi"]["tasks"]
        known = tasks(graded)
        submission = gradebook.find_submission_notebook(notebook.name, notebook.assignment, student)
        grades = {grade.name: grade for grade in submission.grades}
        for cell in notebook.read_release().cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
            grade = grades.get(name)
            if grade is None:
                continue
            task = name.removeprefix("test_")
            waiting = grade.needs_manual_grade and grade.manual_score is None
            if task in known:
                status = verdicts[task]["status"]
            else:
                status = "needs grading" if waiting else "graded" if grade.manual_score is not None else "not answered"
            score = None if waiting and grade.auto_score is None else round(float(grade.score), 2)
            yield Score(student, notebook.assignment, task, score, grade.max_score, status)

    def write_scores(self) -> Path:
        path = self.folder.output / "scores.csv"
        scratch = path.with_suffix(".csv.part")
        with scratch.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for row in self.scores():
                score = "" if row.score is None else f"{row.score:g}"
                writer.writerow([row.student, row.assignment, row.task, score, f"{row.max_score:g}", row.status])
        os.replace(scratch, path)
        return path
