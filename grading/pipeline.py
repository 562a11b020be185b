"""Our steps in nbgrader's pipeline; grading/nbgrader_config.py names them.

SubmissionExporter reads a submission and keeps only its answers, ExecuteAndJudge runs it and writes the verdicts,
SaveExtraCredit enters bonus points, MakeInert defuses HTML that a student wrote, HideHidden takes what is not for
students out of the feedback.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import nbformat
from bleach import ALLOWED_TAGS, clean
from nbclient.exceptions import DeadKernelError
from nbclient.util import run_sync
from nbconvert.exporters import NotebookExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from nbgrader.utils import compute_checksum
from traitlets import Float, Integer

from grading import audit
from grading.canonical import Unreadable, canonical, is_extra, read
from grading.channel import connected
from grading.course import (
    ANSI,
    HIDDEN,
    SCHEME,
    Course,
    Notebook,
    Task,
    grade_id,
    has_tag,
    is_answer,
    is_solution,
    is_test,
    tasks,
)
from grading.kernels import SocketKernelManager
from grading.student import StudentKilled
from grading.suite import Suite
from grading.verdict import Verdict, blame, judge, lost, wrap

HARMLESS = ALLOWED_TAGS | set("p pre h1 h2 h3 h4 h5 h6 hr br div span table thead tbody tr th td del sup sub".split())  # noqa: SIM905, E501


@cache
def suite_of(notebook: Notebook) -> Suite:
    """A notebook's checks, collected once a process."""
    return Suite(notebook.checks)


@cache
def hints_of(notebook: Notebook) -> dict:
    """A notebook's hints by failed checks, read once a process."""
    return audit.hints(notebook)


def notebook_of(resources: dict) -> Notebook:
    """The notebook that nbgrader is working on."""
    (notebook,) = Course().select([resources["nbgrader"]["assignment"]])
    return notebook


class SubmissionExporter(NotebookExporter):
    """Reads any submitted file as the released notebook with the student's answers in it."""

    def from_filename(self, filename: str, resources: dict | None = None, **kw):
        if not self.parent._sanitizing:
            return super().from_filename(filename, resources=resources, **kw)
        release = notebook_of(resources).read_release()
        try:
            cells, notes = read(Path(filename))
        except Unreadable as error:
            cells, notes = [], [str(error)]
        nb, more = canonical(release, cells)
        nb.metadata["lfi"] = {"incidents": notes + more, "readable": bool(cells), "tasks": {}}
        if not cells:
            nb.cells.insert(0, new_markdown_cell(f"**This notebook could not be graded.** {notes[0]}", id="unreadable"))
        return self.from_notebook_node(nb, resources, **kw)


class ExecuteAndJudge(Execute):
    """Runs a notebook in a kernel and puts the grader's verdict in the place of each test cell's output."""

    call_seconds = Float(10.0, help="Time limit of one call of a student's function by a check.").tag(config=True)
    store_widget_state = False
    max_output = Integer(200_000, help="Characters of output kept from one cell.").tag(config=True)

    def __init__(self, **settings):
        super().__init__(kernel_manager_class=SocketKernelManager, **settings)

    def preprocess(self, nb: NotebookNode, resources: dict, km=None):
        self.notebook = notebook_of(resources)
        self.suite, self.hints = suite_of(self.notebook), hints_of(self.notebook)
        self.known = tasks(nb)
        self.stubs = {grade_id(c): c.source.strip() for c in self.notebook.read_release().cells if is_solution(c)}
        self.sources = {grade_id(cell): cell.source for cell in nb.cells if is_solution(cell)}
        self.verdicts: list[Verdict] = []
        self.good: list[str] = []
        if nb.metadata["lfi"]["readable"]:
            nb, resources = super().preprocess(nb, resources, km)
        else:
            for cell in filter(is_test, nb.cells):
                self._write(cell, lost(self._task(cell), "The file could not be read.", "unreadable"), "")
        nb.metadata["lfi"]["tasks"] = {verdict.task: verdict.as_dict() for verdict in self.verdicts}
        return nb, resources

    def preprocess_cell(self, cell: NotebookNode, resources: dict, index: int):
        if cell.cell_type != "code" or has_tag(cell, "long"):
            return cell, resources
        if is_test(cell):
            self._test(cell, resources, index)
        else:
            self._run(cell, resources, index)
        return cell, resources

    def _run(self, cell: NotebookNode, resources: dict, index: int) -> None:
        """Run a cell; if that ends the kernel, go on in a new one."""
        try:
            super().preprocess_cell(cell, resources, index)
            self.good.append(cell.source)
        except DeadKernelError:
            cell.outputs.append(new_output("error", ename="KernelDied", evalue="This cell ended the kernel."))
            self._restart()
        cell.outputs = [self._capped(output) for output in cell.outputs]

    def _test(self, cell: NotebookNode, resources: dict, index: int) -> None:
        """Run the visible part of a test cell for the student, then judge the task for the grade."""
        whole, cell.source = cell.source, HIDDEN.sub("", cell.source)
        self._run(cell, resources, index)
        visible, cell.source = _visible_report(cell), whole
        self._write(cell, self._judge(self._task(cell)), visible)

    def _judge(self, task: Task) -> Verdict:
        source = self.sources.get(task.name, "")
        started: list[str] = []

        def run(code: str) -> None:
            started.append(self.kc.execute(code, silent=True, store_history=False, allow_stdin=False))

        try:
            with connected(run, lambda: run_sync(self.km.is_alive)(), self.call_seconds) as student:
                untouched = source.strip() == self.stubs.get(task.name)
                verdict = judge(task, self.suite, student, self.hints.get(task.name, {}), untouched)
        except StudentKilled as killed:
            verdict = lost(task, f"Before your function could be checked, {killed.sentence}.")
        if verdict.status == "stopped":
            self._restart()
        else:
            self.wait_for_reply(started[0])
        blame(verdict, source, self.verdicts)
        return verdict

    def _task(self, cell: NotebookNode) -> Task:
        return self.known[grade_id(cell).removeprefix("test_")]

    def _restart(self) -> None:
        """A fresh kernel in which everything that went well so far has run again."""
        run_sync(self.km.restart_kernel)(now=True)
        run_sync(self.kc.wait_for_ready)(timeout=60)
        for source in self.good:
            self.wait_for_reply(self.kc.execute(source, silent=True, store_history=False, allow_stdin=False))

    def _write(self, cell: NotebookNode, verdict: Verdict, visible: str) -> None:
        self.verdicts.append(verdict)
        task = self.known[verdict.task]
        value = f"{min(verdict.score, task.points):g}"
        cell.outputs = [
            new_output("stream", name="stdout", text=verdict.text() + visible),
            new_output("execute_result", data={"text/plain": value}, execution_count=cell.execution_count),
        ]

    def _capped(self, output: NotebookNode) -> NotebookNode:
        if output.output_type == "stream" and len(output.text) > self.max_output:
            output.text = output.text[: self.max_output] + "\n... the rest of the output was cut off ...\n"
        return output


def _visible_report(cell: NotebookNode) -> str:
    """What the visible part of a test cell said, as text; the student's kernel wrote it, so it counts for nothing."""
    for output in cell.outputs:
        if output.output_type == "error" and output.ename != "NotImplementedError":
            message = ANSI.sub("", f"{output.ename}: {output.evalue}")[:2000]
            return f"\n  The visible test says:\n{wrap(message)}\n"
    return ""


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
