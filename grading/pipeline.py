"""Our steps in nbgrader's pipeline; grading/nbgrader_config.py names them.

SubmissionExporter reads a submission and keeps only its answers, grading.execute runs it and writes the verdicts,
SaveExtraCredit enters bonus points, MakeInert defuses HTML that a student wrote, HideHidden takes what is not for
students out of the feedback.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from bleach import ALLOWED_TAGS, clean
from nbconvert.exporters import NotebookExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import compute_checksum

from grading.canonical import Unreadable, canonical_submission, is_extra, read_file
from grading.course import (
    ANSI,
    HIDDEN,
    SCHEME,
    is_answer,
    is_test,
    tasks,
)
from grading.execute import notebook_of
from grading.results import files_digest

HARMLESS = ALLOWED_TAGS | set("p pre h1 h2 h3 h4 h5 h6 hr br div span table thead tbody tr th td del sup sub".split())  # noqa: SIM905, E501


class SubmissionExporter(NotebookExporter):
    """Reads any submitted file as the released notebook with the student's answers in it."""

    def from_filename(self, filename: str, resources: dict | None = None, **kw):
        if not self.parent._sanitizing:
            return super().from_filename(filename, resources=resources, **kw)
        path = Path(filename)
        try:
            submitted = read_file(path)
        except Unreadable as error:
            submitted = error
        release = notebook_of(resources).read_release()
        nb = canonical_submission(release, submitted, files_digest(path.parent))
        return self.from_notebook_node(nb, resources, **kw)


class SaveExtraCredit(NbGraderPreprocessor):
    """Enters what bonus tasks earn as nbgrader's extra credit."""

    def preprocess(self, nb: NotebookNode, resources: dict):
        names = resources["nbgrader"]
        earned = {
            name: nb.metadata["lfi"]["tasks"][name]["score"] for name, task in tasks(nb).items() if task.extra_credit
        }
        with Gradebook(names["db_url"]) as gradebook:
            for name, score in earned.items():
                place = (names["notebook"], names["assignment"], names["student"])
                gradebook.find_grade(f"test_{name}", *place).extra_credit = score
            gradebook.db.commit()
        return nb, resources


class MakeInert(NbGraderPreprocessor):
    """Makes what a student wrote harmless in the browser of whoever reads it, in formgrader and in the feedback."""

    def preprocess(self, nb: NotebookNode, resources: dict):
        self.outputs = SanitizeHTML(tags=list(HARMLESS), sanitized_output_types={"text/html"})
        return super().preprocess(nb, resources)

    def preprocess_cell(self, cell: NotebookNode, resources: dict, index: int):
        if cell.cell_type == "code":
            cell.outputs = self.outputs.sanitize_code_outputs(cell.outputs)
        elif (is_answer(cell) and compute_checksum(cell) != cell.metadata.nbgrader.checksum) or is_extra(cell):
            page = MarkdownWithMath(renderer=IPythonRenderer(escape=True)).render(cell.source)
            cell.source = clean(page, tags=HARMLESS)
        return cell, resources


class HideHidden(NbGraderPreprocessor):
    """Takes hidden tests, marking schemes and tracebacks out of what students get."""

    def preprocess_cell(self, cell: NotebookNode, resources: dict, index: int):
        cell.source = SCHEME.sub("", HIDDEN.sub("", cell.source)).rstrip()
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                output.traceback = [f"{output.ename}: {ANSI.sub('', output.evalue)}"]
        if is_test(cell):
            cell.outputs = [output for output in cell.outputs if output.output_type == "stream"]
        return cell, resources


def read_graded(path: Path) -> NotebookNode:
    """An autograded notebook; `metadata.lfi` holds its verdicts and incidents."""
    return nbformat.read(path, as_version=4)
