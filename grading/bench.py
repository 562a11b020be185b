"""`lfi bench`: plain nbgrader, Otter-Grader and `lfi grade` on the same submissions, in turn, in one run.

Everything is measured from outside: whole commands, their wall time, and the memory of all their processes.
"""

from __future__ import annotations

import csv
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import nbformat
import psutil

from grading.audit import hints
from grading.course import CHECKOUT, Notebook, grade_id, is_test, tasks
from grading.demo import make_class
from grading.grade import PARTS

PLAIN = """
c = get_config()
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.py", "*.pyc*", "__pycache__"]
c.ClearMarkScheme.enforce_metadata = False
"""
IMMEDIATE = 'c.Execute.shutdown_kernel = "immediate"\n'
GLANCE = 0.5  # seconds between two looks at the memory


@dataclass
class Measured:
    """What one way of grading took, once a round.

    Attributes:
        submissions: How many were graded.
        seconds: Wall time of each round.
        memory: Peak resident bytes of all processes together, what they share counted once.
    """

    submissions: int
    seconds: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    @property
    def each(self) -> float:
        """Median seconds a submission."""
        return statistics.median(self.seconds) / self.submissions


class Bench:
    """One comparison.

    Args:
        notebook: Which.
        students: Size of the class that all graders get.
        rounds: How often each is run, in turn.
        sizes: Sizes of the classes that show how time grows.
        otter: Compare with Otter-Grader, too; installs it into an environment of its own.
        say: Called with what is being done.
    """

    def __init__(
        self, notebook: Notebook, students: int, rounds: int, sizes: list[int], otter: bool, say: Callable[[str], None]
    ):
        self.notebook, self.students, self.rounds, self.sizes, self.say = notebook, students, rounds, sizes, say
        self.found: dict[str, Measured] = {}
        self.parts: dict[str, list[float]] = defaultdict(list)
        self.differences: Counter = Counter()
        self.same = 0
        self.otter = otter
        self.known = tasks(notebook.read_release())

    def run(self) -> str:
        """Measure everything; returns the report in Markdown."""
        hints(self.notebook)
        with tempfile.TemporaryDirectory(prefix="lfi-bench-") as scratch:
            self.scratch = Path(scratch)
            self.submitted = self._class(self.students)
            otter = self._otter_environment() if self.otter else None
            for number in range(self.rounds):
                self.say(f"round {number + 1} of {self.rounds}")
                self._round(number, otter)
            for size in self.sizes:
                self.say(f"growth: {size} submissions")
                self._ours(f"{size} submissions", self._class(size), self.scratch / "growth", "--workers", "2")
                shutil.rmtree(self.scratch / "growth")
        return self._report()

    def _round(self, number: int, otter: Path | None) -> None:
        plain = self.scratch / f"plain {number}"
        ours = self.scratch / f"ours {number}"
        self._plain("nbgrader autograde", plain, "")
        self._plain("nbgrader autograde, kernels shut down at once", self.scratch / "immediate", IMMEDIATE)
        self._ours("lfi grade, 1 worker", self.submitted, self.scratch / "one", "--workers", "1")
        self._ours("lfi grade, 2 workers", self.submitted, ours, "--workers", "2")
        self._note_parts(ours)
        self._ours("lfi grade, 2 workers, nothing changed", self.submitted, ours, "--workers", "2")
        with dask_workers(2) as address:
            self._ours("lfi grade, 2 Dask workers", self.submitted, self.scratch / "dask", "--cluster", address)
        if otter:
            self._otter(otter)
        self._compare_scores(plain / "gradebook.db", ours / "gradebook.db", plain / "autograded")
        for folder in (plain, ours, *(self.scratch / name for name in ("immediate", "one", "dask"))):
            shutil.rmtree(folder)

    def _class(self, size: int) -> Path:
        folder = self.scratch / f"class of {size}"
        if not folder.exists():
            make_class([self.notebook], folder, size)
        return folder

    def _measure(self, name: str, submissions: int, command: list[str], folder: Path | None = None) -> None:
        seconds, memory = run(command, folder)
        measured = self.found.setdefault(name, Measured(submissions))
        measured.seconds.append(seconds)
        measured.memory.append(memory)

    def _plain(self, name: str, folder: Path, settings: str) -> None:
        """`nbgrader autograde` with nbgrader's own settings."""
        assignment = self.notebook.assignment
        plain_course(self.notebook, self.submitted, folder, settings)
        self._measure(name, self.students, ["nbgrader", "autograde", assignment], folder)
        if not settings:
            feedback = ["nbgrader", "generate_feedback", assignment]
            self._measure("nbgrader generate_feedback", self.students, feedback, folder)

    def _ours(self, name: str, submitted: Path, output: Path, *options: str) -> None:
        command = ["lfi", "grade", self.notebook.assignment, "--submitted", str(submitted), "--output", str(output)]
        self._measure(name, len(list(submitted.iterdir())), [*command, *options])

    def _note_parts(self, output: Path) -> None:
        with (output / "timings.csv").open() as file:
            rows = list(csv.DictReader(file))
        for part in PARTS:
            self.parts[part].append(statistics.mean(float(row[part]) for row in rows if row[part]))

    # ------------------------------------------------------------ scores

    def _compare_scores(self, plain: Path, ours: Path, autograded: Path) -> None:
        """Count the task scores that are the same in both gradebooks, and why the others are not."""
        theirs, mine = scores(plain), scores(ours)
        for (student, cell), score in mine.items():
            other = theirs.get((student, cell))
            if other is not None and abs(score - other) < 0.011:
                self.same += 1
            else:
                self.differences[self._why(autograded / student, cell)] += 1

    def _why(self, folder: Path, name: str) -> str:
        """Why plain nbgrader gives another score than we do."""
        if self.known[name.removeprefix("test_")].extra_credit:
            return "a bonus task: plain nbgrader cannot give more than its cell's 0 points"
        path = folder / self.notebook.assignment / self.notebook.release.name
        if not path.exists():
            return "plain nbgrader could not read the file and has no score at all"
        cells = nbformat.read(path, as_version=4).cells
        outputs = next((cell.get("outputs", []) for cell in cells if grade_id(cell) == name), [])
        if any(output.output_type == "error" for output in outputs):
            return "a visible assert fails: plain nbgrader gives 0, we what the hidden checks give"
        if any(output.get("name") == "stderr" for output in outputs):
            return "there is a warning on stderr: plain nbgrader gives 0"
        return "not explained"

    # ------------------------------------------------------------ Otter-Grader

    def _otter_environment(self) -> Path | None:
        """Otter-Grader in an environment of its own that sees our packages; its tests are our visible ones."""
        self.say("installing Otter-Grader")
        folder = self.scratch / "otter"
        venv.create(folder, with_pip=True)
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "course.pth").write_text(f"{Path(nbformat.__file__).parent.parent}\n{CHECKOUT}\n")
        install = [str(folder / "bin" / "pip"), "install", "--quiet", "otter-grader"]
        if subprocess.run(install, capture_output=True, check=False).returncode:
            return None
        (folder / "tests").mkdir()
        for cell in filter(is_test, self.notebook.read_release().cells):
            name = grade_id(cell).removeprefix("test_")
            code = "\n".join(line for line in cell.source.splitlines() if not line.startswith("print("))
            case = {"code": f">>> exec({code!r}, globals())\n", "hidden": False, "locked": False}
            suite = {"cases": [case], "scored": True, "setup": "", "teardown": "", "type": "doctest"}
            test = {"name": name, "points": 1, "suites": [suite]}
            (folder / "tests" / f"{name}.py").write_text(f"OK_FORMAT = True\n\ntest = {test!r}\n")
        command = [str(folder / "bin" / "otter"), "generate", "-t", "tests", "-o", "autograder.zip"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        return folder if done.returncode == 0 else None

    def _otter(self, folder: Path) -> None:
        """`otter run` on three submissions, one after the other: it takes one at a time."""
        chosen = [path for path in sorted(self.submitted.rglob("*.ipynb")) if path.stat().st_size > 5000][:3]
        script = " && ".join(
            f"'{folder}/bin/otter' run -a '{folder}/autograder.zip' -o '{self.scratch}' '{path}'" for path in chosen
        )
        self._measure("otter run (its tests are our visible ones)", len(chosen), ["/bin/sh", "-c", script])

    # ------------------------------------------------------------ report

    def _command(self) -> str:
        sizes = ",".join(map(str, self.sizes))
        settings = f"--students {self.students} --rounds {self.rounds} --growth '{sizes}'"
        return f"lfi bench {self.notebook.assignment} {settings}{' --otter' if self.otter else ''}"

    def _report(self) -> str:
        base = self.found["nbgrader autograde"].each
        lines = [
            "# Benchmarks",
            "",
            f"Made by `{self._command()}` on {date.today()}: {machine()}. Everything was measured in this one run, in "
            f"turn; numbers are medians of {self.rounds} rounds. Compare ratios, not seconds: the machine is shared.",
            "",
            f"## The same class of {self.students}",
            "",
            "The simulated class of the demo: our solution, the untouched release, a broken file, mixtures of right, "
            "wrong and missing answers. `lfi grade` writes gradebook, scores and feedback pages; plain nbgrader writes "
            "the pages in a further command.",
            "",
            "| grader | s a submission | times as fast as plain autograde | peak memory |",
            "|---|---|---|---|",
        ]
        growth = {f"{size} submissions" for size in self.sizes}
        for name, measured in self.found.items():
            if name not in growth:
                ratio = "" if "feedback" in name else f"{base / measured.each:.1f}"
                memory = statistics.median(measured.memory) / 2**30
                lines.append(f"| {name} | {measured.each:.2f} | {ratio} | {memory:.1f} GiB |")
        pages = base + self.found["nbgrader generate_feedback"].each
        two = self.found["lfi grade, 2 workers"].each
        cached = self.found["lfi grade, 2 workers, nothing changed"].each
        lines += [
            "",
            f"With its feedback pages plain nbgrader takes {pages:.2f} s a submission: `lfi grade` with 2 workers is "
            f"{pages / two:.1f} times as fast. Grading an unchanged class again is {two / cached:.0f} times as fast as "
            "grading it.",
            "",
            "## Where the time goes",
            "",
            "Processor seconds a submission, of `lfi grade` with 2 workers. The kernel runs the student's code, its "
            "figures above all.",
            "",
            "| " + " | ".join(PARTS) + " |",
            "|" + "---|" * len(PARTS),
            "| " + " | ".join(f"{statistics.median(self.parts[part]):.2f}" for part in PARTS) + " |",
        ]
        if self.sizes:
            lines += ["", "## Growth", "", "`lfi grade`, 2 workers, from start to end, measured once.", ""]
            lines += ["| class | s in all | s a submission | peak memory |", "|---|---|---|---|"]
            for size in self.sizes:
                measured = self.found[f"{size} submissions"]
                memory = statistics.median(measured.memory) / 2**30
                seconds = statistics.median(measured.seconds)
                lines.append(f"| {size} | {seconds:.0f} | {measured.each:.2f} | {memory:.1f} GiB |")
        every = self.same + sum(self.differences.values())
        lines += ["", "## The same scores?", "", f"Of {every} task scores {self.same} are the same in both gradebooks."]
        lines += [f"- {count}: {why}." for why, count in self.differences.most_common()]
        return "\n".join(lines) + "\n"


def plain_course(notebook: Notebook, submitted: Path, folder: Path, settings: str = "") -> None:
    """A course with nbgrader's own settings and these submissions, ready for `nbgrader autograde`."""
    shutil.copytree(notebook.solution.parent, folder / "solutions" / notebook.assignment)
    shutil.copytree(submitted, folder / "submitted")
    (folder / "nbgrader_config.py").write_text(PLAIN + settings)
    run(["nbgrader", "generate_assignment", notebook.assignment], folder)


def run(command: list[str], folder: Path | None = None) -> tuple[float, int]:
    """Run a command of our environment; its seconds and the peak memory of all its processes.

    A broken submission makes nbgrader's command fail; that is part of the picture.
    """
    here = Path(sys.executable).parent
    if (here / command[0]).exists():
        command = [str(here / command[0]), *command[1:]]
    environment = os.environ | {"PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}"}
    environment.pop("LFI_ZYGOTE", None)
    start = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        peak = 0
        done = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(GLANCE):
                peak = max(peak, resident(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        process.wait()
        seconds = time.monotonic() - start
        done.set()
        watcher.join()
    return seconds, peak


def resident(pid: int) -> int:
    """Resident bytes of a process and all that it started; what they share counts once."""
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                total += member.memory_full_info().pss
    return total


@contextmanager
def dask_workers(count: int) -> Iterator[str]:
    """Dask workers on this machine, one thread each; gives the scheduler's address."""
    from distributed import LocalCluster

    settings = {"n_workers": count, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**settings, silence_logs=50) as cluster:
        yield cluster.scheduler_address


def scores(gradebook: Path) -> dict[tuple[str, str], float]:
    """The automatic scores of a gradebook by student and cell; bonus points included."""
    query = """
        SELECT submitted_assignment.student_id, base_cell.name, grade.auto_score, grade.extra_credit
        FROM grade JOIN base_cell ON grade.cell_id = base_cell.id
        JOIN submitted_notebook ON grade.notebook_id = submitted_notebook.id
        JOIN submitted_assignment ON submitted_notebook.assignment_id = submitted_assignment.id
        JOIN grade_cells ON grade_cells.id = base_cell.id WHERE grade_cells.cell_type = 'code'
    """
    with sqlite3.connect(gradebook) as connection:
        rows = connection.execute(query).fetchall()
    return {(student, cell): (auto or 0.0) + (extra or 0.0) for student, cell, auto, extra in rows}


def machine() -> str:
    """What it was measured on, in words."""
    versions = f"Python {platform.python_version()}, nbgrader 0.9.6"
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, {versions}"
