"""Our nbgrader course: its configuration, its converters, its gradebook."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbgrader.api
from nbgrader.api import Gradebook
from nbgrader.apps import NbGrader
from nbgrader.converters import Autograde, BaseConverter, GenerateAssignment, GenerateFeedback
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import SaveCells
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import SAWarning
from traitlets.config import Config, PyFileConfigLoader

from grading.canonical import Unreadable
from grading.course import Notebook
from grading.handed_in import HandedIn
from grading.lms.late import read_settings

warnings.filterwarnings("ignore", category=SAWarning, module="nbgrader")

log = logging.getLogger("lfi.nbgrader")
log.addHandler(logging.NullHandler())
log.propagate = False

# nbgrader starts `alembic` by its name.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


# nbgrader opens the gradebook ten times a submission; one engine keeps what SQLAlchemy has compiled.
nbgrader.api.create_engine = cache(create_engine)


@event.listens_for(Engine, "connect")
def _commit_quickly(connection, _) -> None:
    """As safe as SQLite's default, but a commit need not wait for the disk, and formgrader can read meanwhile."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def configuration() -> Config:
    """The settings of grading/nbgrader_config.py."""
    return PyFileConfigLoader("nbgrader_config.py", path=str(Path(__file__).parent)).load_config()


class _Parent(NbGrader):
    """Carries configuration and a quiet log to nbgrader's converters, as its command line does."""

    name = "lfi"

    def _log_default(self):
        return log


def _converter(kind: type[BaseConverter], config: Config, **settings) -> BaseConverter:
    parent = _Parent(config=config)
    return kind(coursedir=CourseDirectory(parent=parent), parent=parent, **settings)


def generate_assignment(assignment: str, root: Path) -> None:
    """nbgrader's generate_assignment from root/source to root/release, without a gradebook."""
    config = configuration()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.source_directory = "source"
    config.CourseDirectory.release_directory = "release"
    config.CourseDirectory.assignment_id = assignment
    converter = _converter(GenerateAssignment, config, no_database=True, force=True)
    converter.preprocessors = [step for step in converter.preprocessors if step is not SaveCells]
    converter.start()


def _convert(converter: BaseConverter, notebook: Notebook, student: str) -> None:
    """Convert one student's notebook. nbgrader would look for the path as a pattern, and names may hold anything."""
    folder = converter._format_source(notebook.assignment, student)
    converter.assignments, converter.notebooks = {folder: [f"{folder}/{notebook.release.name}"]}, []
    converter.init_notebooks = lambda: None
    converter.start()


@dataclass(frozen=True)
class GradingFolder:
    """Where one grading run keeps its gradebook.db, autograded/ and feedback/.

    Args:
        submitted: Folder with `<student>/<assignment>/<notebook>.ipynb`.
        output: Folder for everything that is made.
    """

    submitted: Path
    output: Path

    @property
    def db_url(self) -> str:
        return f"sqlite:///{self.output / 'gradebook.db'}"

    def config(self, notebook: Notebook) -> Config:
        config = configuration()
        directory = config.CourseDirectory
        directory.root = str(notebook.course.root)
        directory.submitted_directory = str(self.submitted)
        directory.autograded_directory = str(self.output / "autograded")
        directory.feedback_directory = str(self.output / "feedback")
        directory.db_url = self.db_url
        directory.assignment_id = notebook.assignment
        config.merge(Config(read_settings(self.output)))
        return config

    def gradebook(self) -> Gradebook:
        return Gradebook(self.db_url)

    def add_assignment(self, notebook: Notebook) -> None:
        """Enter the assignment's cells and points in the gradebook, or update them."""
        config = self.config(notebook)
        config.CourseDirectory.release_directory = str(self.output / ".release")
        _converter(GenerateAssignment, config, force=True).start()

    @property
    def results(self) -> Path:
        """Where results of workers wait to be entered."""
        return self.output / ".results"

    def autograde(self, notebook: Notebook, student: str, handed_in: HandedIn, settings: dict) -> None:
        """nbgrader's autograde of one submission, with the preprocessors of our configuration.

        nbgrader gets a copy of the plain files: it would follow links.
        """
        config = self.config(notebook)
        config.ExecuteAndJudge.update(settings, results=str(self.results))
        copy = self.output / ".submitted"
        config.CourseDirectory.submitted_directory = str(copy)
        place = copy / student / notebook.assignment
        try:
            handed_in.write_files(place)
            place.mkdir(parents=True, exist_ok=True)
            if isinstance(handed_in.notebook, Unreadable):
                config.SubmissionExporter.unreadable = str(handed_in.notebook)
                (place / notebook.release.name).touch()
            else:
                (place / notebook.release.name).write_bytes(handed_in.notebook)
            _convert(_converter(Autograde, config, force=True), notebook, student)
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def feedback(self, notebook: Notebook, student: str) -> None:
        """nbgrader's generate_feedback of one submission."""
        _convert(_converter(GenerateFeedback, self.config(notebook), force=True), notebook, student)


__all__ = ["GradingFolder", "NbGraderException", "configuration", "generate_assignment"]
