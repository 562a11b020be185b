"""Our steps in nbgrader's pipeline; grading/nbgrader_config.py names them.

SubmissionExporter reads a submission and keeps only its answers, grading.execute runs it and writes the verdicts,
SaveExtraCredit enters bonus points, MakeInert defuses HTML that a student wrote, HideHidden takes what is not for
students out of the feedback.
"""

from __future__ import annotations

import html
import math
import os
import re
import secrets
from pathlib import Path
from urllib.parse import unquote

import nbformat
import nbgrader.converters.base
import nbgrader.preprocessors
from bleach import ALLOWED_TAGS, clean
from nbconvert.exporters import NotebookExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbformat import NotebookNode, from_dict
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import compute_checksum, find_all_files
from traitlets import Unicode

from grading.canonical import Unreadable, canonical_submission, is_extra
from grading.course import (
    ANSI,
    HIDDEN,
    SCHEME,
    is_answer,
    is_solution,
    is_test,
    tasks,
)
from grading.execute import notebook_of
from grading.handed_in import collect

HARMLESS = ALLOWED_TAGS | set("p pre h1 h2 h3 h4 h5 h6 hr br div span table thead tbody tr th td del sup sub".split())  # noqa: SIM905, E501

MATH_LINK = re.compile(r"\\(href|style|class|cssId|require)(?![A-Za-z])")  # what MathJax makes of these is not inert
BLANK_LINE = re.compile(r"\n(?=[^\S\n]*\n)")
LONGEST_RENDERED, MAX_RENDERED = 10_000, 100_000  # characters of one text and of all texts of a notebook


def _plain_files(path: str, exclude: list[str] | None = None) -> list[str]:
    """What nbgrader copies from beside a notebook: nothing through links, which may lead to other people's files."""
    return [found for found in find_all_files(path, exclude) if os.path.isfile(found) and not os.path.islink(found)]


nbgrader.converters.base.find_all_files = _plain_files


class SubmissionExporter(NotebookExporter):
    """Reads any submitted file as the released notebook with the student's answers in it."""

    unreadable = Unicode(help="Why there is no file to read; empty: there is one.").tag(config=True)

    def from_filename(self, filename: str, resources: dict | None = None, **kw):
        if not self.parent._sanitizing:
            return super().from_filename(filename, resources=resources, **kw)
        notebook = notebook_of(resources)
        found = collect(Path(filename).parent, notebook)
        submitted = Unreadable(self.unreadable) if self.unreadable else found.notebook
        nb = canonical_submission(notebook.read_release(), submitted, found.files_digest(), found.notes)
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
        self.clean_outputs = SanitizeHTML(tags=list(HARMLESS), sanitized_output_types={"text/html"})
        self.left = MAX_RENDERED
        return super().preprocess(nb, resources)

    def preprocess_cell(self, cell: NotebookNode, resources: dict, index: int):
        if cell.cell_type == "code":
            for output in cell.outputs:
                if "data" in output:
                    self._make_inert(output)
            cell.outputs = self.clean_outputs.sanitize_code_outputs(cell.outputs)
        elif (is_answer(cell) and compute_checksum(cell) != cell.metadata.nbgrader.checksum) or is_extra(cell):
            cell.source = self._page(cell.source, cell.pop("attachments", {}))
        return cell, resources

    def _affordable(self, text: str) -> bool:
        """Whether there is time to parse a text: parsers of Markdown and HTML can need the square of its length."""
        if len(text) > min(LONGEST_RENDERED, self.left):
            return False
        self.left -= len(text)
        return True

    def _page(self, source: str, attachments: dict) -> str:
        """The text as HTML that is safe to be taken for Markdown once more: one block, which a blank line would end."""
        renderer = _SetsPicturesAside(escape=True, attachments=attachments)
        if self._affordable(source):
            page = clean(MarkdownWithMath(renderer=renderer).render(source), tags=HARMLESS)
        else:
            page = f"<pre>{html.escape(source)}</pre>"
        page = BLANK_LINE.sub("&#10;", MATH_LINK.sub(r"\\text", page))
        for mark, picture in renderer.pictures.items():
            page = page.replace(mark, picture)
        return f"<div>{page}</div>"

    def _make_inert(self, output: NotebookNode) -> None:
        data = output.data
        if "text/html" in data and not self._affordable(data["text/html"]):
            del data["text/html"]
            data.setdefault("text/plain", "(a table or page that is too large to be shown)")
        if "text/latex" in data:
            data["text/latex"] = MATH_LINK.sub(r"\\text", data["text/latex"])
        sizes = {kind: _size(output.metadata.get(kind)) for kind in data}
        output.metadata = from_dict({kind: size for kind, size in sizes.items() if size})


class _SetsPicturesAside(IPythonRenderer):
    """Renders a student's text, with a mark in place of each pasted picture, which cleaning would take out."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.pictures: dict[str, str] = {}

    def image(self, text: str, url: str, title: str | None = None) -> str:
        if not url.startswith("attachment:"):
            return super().image(text, url, title)
        text = html.escape(html.unescape(text))
        picture = self.attachments.get(unquote(url.removeprefix("attachment:")))
        if not picture:
            return f"({text or 'a picture'}: not in the file)"
        ((kind, data),) = picture.items()
        mark = f"picture-{secrets.token_hex(8)}"
        self.pictures[mark] = f'<img alt="{text}" src="data:{kind};base64,{data}">'
        return mark


def _size(metadata: object) -> dict:
    """The width and height of a picture, the only things in an output's metadata that a page needs."""
    known = metadata.items() if isinstance(metadata, dict) else ()
    return {name: value for name, value in known if name in ("width", "height") and type(value) is int}


class GetGrades(nbgrader.preprocessors.GetGrades):
    """Tells scores to the feedback; what waits for a person has the score nan."""

    def _get_score(self, cell: NotebookNode, resources: dict) -> None:
        super()._get_score(cell, resources)
        place = (self.notebook_id, self.assignment_id, self.student_id)
        grade = self.gradebook.find_grade(cell.metadata.nbgrader.grade_id, *place)
        if grade.needs_manual_grade and grade.manual_score is None:
            cell.metadata.nbgrader["score"] = math.nan


class HideHidden(NbGraderPreprocessor):
    """Takes hidden tests, marking schemes and tracebacks out of what students get."""

    def preprocess_cell(self, cell: NotebookNode, resources: dict, index: int):
        if not (is_solution(cell) or is_answer(cell) or is_extra(cell)):  # these hold what the student wrote
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
