"""Runs a submission and judges its tasks: where the student's code, in its kernel, meets the checks, in ours.

Whatever a cell or a function does to its kernel costs its own task: later tasks go on in a new kernel in which the
cells that went well have run again. Time, restarts and output are bounded, so a submission always ends.
"""

from __future__ import annotations

import copy
import os
import platform
import sys
import time
from functools import cache

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.preprocessors import Execute
from traitlets import Bool, Float, Integer, Unicode, default

from grading import audit, shortcuts
from grading.canonical import is_extra
from grading.channel import connected
from grading.course import (
    ANSI,
    HIDDEN,
    Course,
    Notebook,
    Task,
    grade_id,
    has_tag,
    incident,
    is_solution,
    is_test,
    tasks,
)
from grading.outputs import Outputs
from grading.results import NO_FILES, Kept, apply, dump, key_of
from grading.session import KernelSession, Ran, Stopped, ordinary, sandboxed
from grading.student import Student, StudentError, StudentStopped
from grading.suite import Suite
from grading.verdict import Verdict, blame, judge, lost, wrap

UNSAFE = "UNSAFE: this was graded without the sandbox, so the student's code could reach everything on this machine."
LANGUAGE = {
    "name": "python",
    "version": platform.python_version(),
    "mimetype": "text/x-python",
    "file_extension": ".py",
    "pygments_lexer": "ipython3",
    "nbconvert_exporter": "python",
    "codemirror_mode": {"name": "ipython", "version": 3},
}
START_ATTEMPTS = 3
MAX_LOST = 2  # kernels that a submission may lose through no fault of its own


@cache
def suite_of(notebook: Notebook) -> Suite:
    """A notebook's checks, collected once a process."""
    return Suite(notebook.checks)


def prologue(nb: NotebookNode) -> list[NotebookNode]:
    """The cells before a student's first one: the same for all, so they run once, and every kernel begins after them.

    The first is the set-up, which runs in each kernel again. Empty if there are fewer than two, or if what else was
    handed in could change what they do.
    """
    found = []
    for cell in nb.cells:
        if cell.cell_type == "code" and (is_solution(cell) or is_test(cell) or is_extra(cell)):
            break
        if cell.cell_type == "code" and not has_tag(cell, "long") and cell.source.strip():
            found.append(cell)
    alone = nb.metadata["lfi"]["files"] in ("", NO_FILES)
    return found if alone and len(found) > 1 and has_tag(found[0], "setup") else []


@cache
def given_outputs(notebook: Notebook) -> dict[str, tuple]:
    """Outputs and execution counts of the cells of our own run, by cell id."""
    try:
        cells = nbformat.read(notebook.solution, as_version=4).cells
    except (OSError, ValueError):
        return {}
    return {cell.id: (cell.outputs, cell.execution_count) for cell in cells if cell.cell_type == "code"}


@cache
def hints_of(notebook: Notebook) -> dict:
    """A notebook's hints by failed checks, read once a process."""
    return audit.hints(notebook)


def notebook_of(resources: dict) -> Notebook:
    """The notebook that nbgrader is working on."""
    (notebook,) = Course().select([resources["nbgrader"]["assignment"]])
    return notebook


def is_unsafe() -> bool:
    """Whether LFI_UNSAFE asks for running students' code without the sandbox."""
    return os.environ.get("LFI_UNSAFE", "") not in ("", "0")


@cache
def warn_unsafe() -> None:
    """Say it once a process, loudly."""
    print(f"\n*** {UNSAFE} ***\n", file=sys.stderr)


class ExecuteAndJudge(Execute):
    """Runs a notebook in a kernel and puts the grader's verdict in the place of each test cell's output.

    `timeout`, inherited, is the time limit of one cell.
    """

    call_seconds = Float(10.0, help="Time limit of one call of a student's function by a check.").tag(config=True)
    submission_seconds = Float(300.0, help="Time limit of a whole submission.").tag(config=True)
    max_restarts = Integer(3, help="Kernels that a submission may use up before the rest is not run.").tag(config=True)
    max_output = Integer(200_000, help="Characters of text kept from one cell.").tag(config=True)
    max_rich_output = Integer(16 << 20, help="Bytes of pictures and other rich output kept from a cell.").tag(
        config=True
    )
    max_flood = Integer(64 << 20, help="Bytes of output after which a cell is interrupted.").tag(config=True)
    results = Unicode(help="Folder that holds results of workers; empty: none.").tag(config=True)
    fresh = Bool(False, help="Run again what is in the folder of results.").tag(config=True)
    grace = Float(2.0, help="Seconds that code has to end after an interrupt.").tag(config=True)
    unsafe = Bool(help="Run students' code without the sandbox. The default is set by LFI_UNSAFE.").tag(config=True)

    @default("unsafe")
    def _unsafe_default(self) -> bool:
        return is_unsafe()

    def preprocess(self, nb: NotebookNode, resources: dict, km=None):
        """Run the cells in order and judge the tasks; everything that is found out is in `nb.metadata.lfi`."""
        self.notebook = notebook_of(resources)
        kept, key = Kept(self.results), key_of(nb, self.notebook, self.limits())
        if self.results and not self.fresh and (data := kept.get(key)) is not None:
            apply(data, nb)
            return nb, resources
        self.suite, self.hints = suite_of(self.notebook), hints_of(self.notebook)
        self.known = tasks(nb)
        self.stubs = {grade_id(c): c.source.strip() for c in self.notebook.read_release().cells if is_solution(c)}
        self.code = [cell.source for cell in nb.cells if cell.cell_type == "code" and not is_test(cell)]
        self.sources = {grade_id(cell): cell.source for cell in nb.cells if is_solution(cell)}
        self.verdicts: list[Verdict] = []
        self.incidents: list[dict] = nb.metadata["lfi"]["incidents"]
        if self.unsafe:
            warn_unsafe()
            self.incidents.append(incident("unsafe", UNSAFE))
        if nb.metadata["lfi"]["readable"]:
            self._execute(nb, resources)
        else:
            for cell in filter(is_test, nb.cells):
                self._write(cell, lost(self._task(cell), "The file could not be read.", "unreadable"), "")
        nb.metadata["lfi"]["tasks"] = {verdict.task: verdict.as_dict() for verdict in self.verdicts}
        if self.results:
            kept.put(key, dump(nb))
        return nb, resources

    def limits(self) -> dict:
        """The settings that a result depends on."""
        names = ("timeout", "call_seconds", "submission_seconds", "max_restarts", "max_output", "unsafe")
        return {name: getattr(self, name) for name in names}

    def _execute(self, nb: NotebookNode, resources: dict) -> None:
        nb.metadata["language_info"] = LANGUAGE
        self.given = [] if self.unsafe else prologue(nb)
        shown = given_outputs(self.notebook) if self.given else {}
        self.session = KernelSession(
            ordinary if self.unsafe else sandboxed,
            self.config,
            resources.get("metadata", {}).get("path") or None,
            characters=self.max_output,
            size=self.max_rich_output,
            flood=self.max_flood,
            grace=self.grace,
            prologue=[cell.source for cell in self.given],
        )
        self.until = time.monotonic() + self.submission_seconds
        self.seconds = dict.fromkeys(("kernel", "checks", "grader"), 0.0)
        self.born = 0.0
        began = time.process_time()
        self.good: list[NotebookNode] = []
        self.progress = True
        self.kernels = self.lost_kernels = 0
        self.over = ""
        try:
            for cell in nb.cells:
                if cell in self.given[1:] and self._ready() and self.session.begun:
                    cell.outputs, cell.execution_count = copy.deepcopy(shown.get(cell.id, ([], None)))
                elif cell.cell_type == "code" and not has_tag(cell, "long"):
                    (self._test if is_test(cell) else self._run)(cell)
        finally:
            self._stop()
        self.seconds["grader"] += time.process_time() - began - self.seconds["checks"]
        nb.metadata["lfi"]["seconds"] = {part: round(seconds, 3) for part, seconds in self.seconds.items()}

    # ------------------------------------------------------------ the kernel

    def _stop(self) -> None:
        """End the kernel; what it used since it could answer is the student's."""
        if self.session.alive:
            self.seconds["kernel"] += self.session.processor_seconds() - self.born
        self.session.stop()

    def _ready(self) -> bool:
        """See to it that a kernel runs in which all that went well so far has run; False if there can be none."""
        while not self.over and not self.session.alive:
            if self.kernels > self.max_restarts + self.lost_kernels:
                self.over = "the notebook had ended its kernel too often before"
            elif self._left() <= 0:
                break
            else:
                self._start()
        if not self.over and self._left() <= 0:
            self.over = f"the notebook had used up its {self.submission_seconds:g} seconds before"
        return not self.over

    def _start(self) -> None:
        self._stop()
        self.kernels += 1
        self._start_kernel()
        if not self.progress:  # not even one cell went well in the last kernel: some extra cell may have spoilt it
            self.good = [cell for cell in self.good if not is_extra(cell)]
        self.progress = False
        for cell in self._to_repeat():
            ran = self.session.run(cell.source, self._seconds(), silent=True)
            if ran.end in ("ended", "interrupted") and cell in self.good:
                self.good.remove(cell)
            self._note_lost(ran.end == "lost")
            if not self.session.alive:
                return

    def _to_repeat(self) -> list[NotebookNode]:
        """What has to run in a new kernel: all that went well, and the prologue if it does not begin after it."""
        known = {cell.id for cell in self.good}
        missing = [] if self.session.begun else [cell for cell in self.given[1:] if cell.id not in known]
        return [*self.good[:1], *missing, *self.good[1:]] if self.good else []

    def _start_kernel(self) -> None:
        """Start a kernel; that it cannot be started is no fault of the submission, which then is not graded at all."""
        for attempt in range(START_ATTEMPTS):
            try:
                self.session.start()
            except Stopped:
                self.session.stop()
                if attempt == START_ATTEMPTS - 1:
                    raise
            else:
                self.born = self.session.processor_seconds()
                self.seconds["grader"] += self.born
                return

    def _note_lost(self, is_lost: bool) -> bool:
        """Whether what ran is to run again, because its kernel was lost through no fault of its own."""
        if is_lost and self.lost_kernels < MAX_LOST:
            self.lost_kernels += 1
            return True
        return False

    def _left(self) -> float:
        return self.until - time.monotonic()

    def _seconds(self) -> float:
        return max(0.0, min(self.timeout or self._left(), self._left()))

    # ------------------------------------------------------------ cells

    def _run(self, cell: NotebookNode) -> Ran | None:
        if not cell.source.strip():
            return None
        ran = self._try(cell)
        outputs = Outputs(self.session.displays, 10_000, 0)
        if ran is None:
            cell.outputs = []
            outputs.add_error("NotRun", f"This cell was not run, because {self.over}.")
        else:
            cell.outputs, cell.execution_count = ran.outputs, ran.execution_count
            if ran.end in ("interrupted", "ended"):
                outputs.add_error(
                    "CellTimeoutError" if ran.end == "interrupted" else "KernelDied", f"This cell {ran.why}."
                )
                sentence = f"The cell {cell.get('id', '')} {ran.why}: {_first_line(cell.source)}"
                task = (grade_id(cell) or "").removeprefix("test_")
                self.incidents.append(incident("stopped", sentence, task if task in self.known else ""))
        cell.outputs += outputs.nodes
        return ran

    def _try(self, cell: NotebookNode) -> Ran | None:
        """Run a cell; again if its kernel was lost through no fault of its own. None if there can be no kernel."""
        while self._ready():
            ran = self.session.run(cell.source, self._seconds())
            if ran.end in ("ok", "error"):
                self.good.append(copy.copy(cell))
                self.progress = True
            if not self._note_lost(ran.end == "lost"):
                return ran
        return None

    def _test(self, cell: NotebookNode) -> None:
        """Run the visible part of a test cell for the student, then judge the task for the grade."""
        whole, cell.source = cell.source, HIDDEN.sub("", cell.source)
        ran = self._run(cell)
        visible, cell.source = _visible_report(cell), whole
        task = self._task(cell)
        if ran is not None and ran.end == "ended":
            verdict = lost(task, f"While the visible test called your function, it {ran.why}.")
        else:
            verdict = self._judge(task)
        self._write(cell, verdict, visible)

    # ------------------------------------------------------------ tasks

    def _judge(self, task: Task) -> Verdict:
        source = self.sources.get(task.name, "")
        untouched = source.strip() == self.stubs.get(task.name)
        while True:
            if not self._ready():
                return lost(task, f"Your function was not checked, because {self.over}.")
            verdict = self._judge_once(task, untouched)
            if not self._note_lost(not self.session.alive and self.session.lost):
                break
        for routine in shortcuts.uses(task.name, self.code, self.suite.forbidden.get(task.name, ())):
            sentence = f"Its source uses {routine}, which is the task itself. Please review it."
            self.incidents.append(incident("shortcut", sentence, task.name))
        if verdict.status == "stopped":
            self.incidents.append(incident("stopped", verdict.notes[0], task.name))
        blame(verdict, source, self.verdicts)
        return verdict

    def _judge_once(self, task: Task, untouched: bool) -> Verdict:
        began = time.process_time()
        try:
            with connected(self.session, self.call_seconds, self.until) as student:
                self._forbid(task, student)
                return judge(task, self.suite, student, self.hints.get(task.name, []), untouched)
        except StudentStopped as stopped:
            return lost(task, f"Before your function could be checked, {stopped.sentence}.")
        finally:
            self.seconds["checks"] += time.process_time() - began

    def _forbid(self, task: Task, student: Student) -> None:
        routines = self.suite.forbidden.get(task.name, ())
        try:
            if routines:
                student.forbid(routines)
        except StudentStopped:
            raise
        except StudentError as error:
            sentence = f"Shortcuts could not be forbidden, because {error.sentence}."
            self.incidents.append(incident("shortcut", sentence, task.name))

    def _task(self, cell: NotebookNode) -> Task:
        return self.known[grade_id(cell).removeprefix("test_")]

    def _write(self, cell: NotebookNode, verdict: Verdict, visible: str) -> None:
        if self.unsafe:
            verdict.notes.insert(0, UNSAFE)
        self.verdicts.append(verdict)
        task = self.known[verdict.task]
        value = f"{min(verdict.score, task.points):g}"
        cell.outputs = [
            new_output("stream", name="stdout", text=verdict.text() + visible),
            new_output("execute_result", data={"text/plain": value}, execution_count=cell.execution_count),
        ]


def _visible_report(cell: NotebookNode) -> str:
    """What the visible part of a test cell said, as text; the student's kernel wrote it, so it counts for nothing."""
    for output in cell.outputs:
        if output.output_type == "error" and output.ename != "NotImplementedError":
            message = ANSI.sub("", f"{output.ename}: {output.evalue}")[:2000]
            return f"\n  The visible test says:\n{wrap(message)}\n"
    return ""


def _first_line(source: str) -> str:
    return source.strip().splitlines()[0][:80]
