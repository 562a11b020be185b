"""From one source to what everybody reads: solutions/*/*.py -> executed solution notebook -> the student's notebook."""

from __future__ import annotations

import ast
import copy
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from grading.course import (
    Notebook,
    UserError,
    grade_id,
    is_answer,
    is_solution,
    is_test,
    nbgrader_metadata,
)
from grading.gradebook import generate_assignment
from grading.kernels import SocketKernelManager

NBGRADER_KEYS = {"grade", "grade_id", "locked", "schema_version", "solution", "task"}
SHORTEST_LEAK = 20
WIDGET = "application/vnd.jupyter.widget-view+json"


class BuildError(UserError):
    """A notebook's source cannot become a release; the message lists every fault."""


# ---------------------------------------------------------------- guards


def source_faults(nb: NotebookNode) -> list[str]:
    """What is wrong with a source notebook, one sentence each."""
    faults = []
    ids = Counter(grade_id(cell) for cell in nb.cells if grade_id(cell))
    faults += [f"grade_id '{name}' is used {count} times" for name, count in ids.items() if count > 1]
    for index, cell in enumerate(nb.cells):
        where = f"'{grade_id(cell)}'" if grade_id(cell) else f"cell {index}"
        metadata = nbgrader_metadata(cell)
        if metadata and not metadata.keys() >= NBGRADER_KEYS:
            missing = ", ".join(sorted(NBGRADER_KEYS - metadata.keys()))
            faults.append(f"{where}: nbgrader metadata lacks {missing}")
        if is_solution(cell):
            faults += _solution_faults(cell, ids)
        if is_test(cell):
            if grade_id(cell).removeprefix("test_") not in ids or not grade_id(cell).startswith("test_"):
                faults.append(f"{where}: a test cell whose task is missing")
            if "### BEGIN HIDDEN TESTS" not in cell.source:
                faults.append(f"{where}: no hidden tests")
        if metadata.get("grade") and not (metadata.get("points") or cell.metadata.get("extra_credit")):
            faults.append(f"{where}: no points")
        if is_answer(cell) and grade_id(cell).replace("answer_", "question_", 1) not in ids:
            faults.append(f"{where}: a written answer without its question cell")
        if cell.cell_type == "markdown":
            faults += [f"{where}: picture without alt text: {tag}" for tag in pictures_without_alt(cell.source)]
    return faults


def _solution_faults(cell: NotebookNode, ids: Counter) -> list[str]:
    name, faults = grade_id(cell), []
    if f"test_{name}" not in ids:
        faults.append(f"'{name}': a task without a test cell")
    try:
        defined = [n.name for n in ast.parse(cell.source).body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    except SyntaxError as error:
        return [*faults, f"'{name}': {error.msg} in line {error.lineno}"]
    if name not in defined:
        faults.append(f"'{name}': the cell defines no function or class of this name")
    if "### BEGIN SOLUTION" not in cell.source:
        faults.append(f"'{name}': no solution region")
    return faults


def pictures_without_alt(markdown: str) -> list[str]:
    """The picture tags of a markdown text that say nothing to those who cannot see them."""
    found = re.findall(r"!\[\s*\]\([^)]*\)", markdown)
    found += [tag for tag in re.findall(r"<img\b[^>]*>", markdown) if not re.search(r"\balt=[\"']\s*[^\s\"']", tag)]
    return [tag[:80] for tag in found]


def private_lines(nb: NotebookNode) -> set[str]:
    """The telling lines of a source that no student may see: solutions, hidden tests, schemes and model answers."""
    private = set()
    for cell in nb.cells:
        inside = is_answer(cell)
        for line in cell.source.splitlines():
            if re.search(r"\bBEGIN (SOLUTION|HIDDEN TESTS|MARK SCHEME)", line):
                inside = True
            elif re.search(r"\bEND (SOLUTION|HIDDEN TESTS|MARK SCHEME)", line):
                inside = False
            elif inside and len(line.strip()) >= SHORTEST_LEAK and not re.match(r"\s*(import|from)\s", line):
                private.add(line.strip())
    return private


def leaks(private: set[str], folder: Path) -> list[str]:
    """Private lines found in the files of a release folder."""
    faults = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.suffix == ".py":
            faults.append(f"{path.name} must not be released")
        text = path.read_text(errors="replace")
        if path.suffix == ".ipynb":
            text = "\n".join(_strings(json.loads(text)))
        found = {line.strip() for line in text.splitlines()} & private
        faults += [f"a private line is in {path.name}: {line[:60]}" for line in sorted(found)]
    return faults


def _strings(tree) -> Iterable[str]:
    if isinstance(tree, dict):
        if isinstance(tree.get("source"), list):
            tree = tree | {"source": "".join(tree["source"])}
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            yield from _strings(part)
    elif isinstance(tree, str):
        yield tree


def stub_faults(executed: NotebookNode) -> list[str]:
    """What goes wrong when a student runs the release untouched: only NotImplementedError may."""
    faults = []
    for index, cell in enumerate(executed.cells):
        if cell.cell_type != "code":
            continue
        where = f"'{grade_id(cell)}'" if grade_id(cell) else f"cell {index}"
        errors = [out for out in cell.outputs if out.output_type == "error"]
        for error in errors:
            if error.ename != "NotImplementedError":
                faults.append(f"{where} of the release fails with {error.ename}: {error.evalue[:80]}")
        if is_test(cell) and not errors:
            faults.append(f"{where} of the release passes although nothing is implemented")
    return faults


# ---------------------------------------------------------------- steps


def read_source(notebook: Notebook) -> NotebookNode:
    """The source as a notebook with reproducible cell ids."""
    try:
        nb = notebook.read_source()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise BuildError(f"{notebook.source} cannot be read: {error}") from None
    for index, cell in enumerate(nb.cells):
        cell["id"] = (grade_id(cell) or f"cell-{index:03d}")[:64]
        for key in ("lines_to_next_cell", "lines_to_end_of_cell_marker"):
            cell.metadata.pop(key, None)
    nb.metadata.pop("jupytext", None)
    nb.nbformat, nb.nbformat_minor = 4, 5
    return nb


def execute(
    nb: NotebookNode, folder: Path, *, allow_errors: bool = False, timeout: int = 600, environment: dict | None = None
) -> None:
    """Run a notebook in place, in a fresh kernel, with embedded data only and nothing random from outside.

    `environment` holds further variables; LFI_DATA and LFI_SEED are not taken from this process.
    """
    env = {key: value for key, value in os.environ.items() if key not in ("LFI_DATA", "LFI_SEED")} | (environment or {})
    env |= {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    client = NotebookClient(
        nb,
        timeout=timeout,
        kernel_name="python3",
        kernel_manager_class=SocketKernelManager,
        allow_errors=allow_errors,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,
        store_widget_state=False,
        shutdown_kernel="immediate",
    )
    client.execute(env=env)
    nb.metadata.language_info = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if WIDGET not in out.get("data", {})]


def source_digest(notebook: Notebook) -> str:
    """Hash of what a solution's outputs are made from: its source, the helpers that it imports, the embedded data."""
    digest = hashlib.sha256(notebook.source.read_bytes())
    todo, done = [notebook.source], set()
    while todo:
        for module in sorted(_helper_imports(todo.pop().read_text())):
            path = notebook.course.root / "helpers" / f"{module}.py"
            if path.exists() and path not in done:
                done.add(path)
                todo.append(path)
    for path in [*sorted(done), *sorted((notebook.course.root / "data").glob("*/*"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _helper_imports(source: str) -> set[str]:
    found = set(re.findall(r"^\s*(?:from|import) helpers\.(\w+)", source, re.MULTILINE))
    for names in re.findall(r"^\s*from helpers import \(?([\w\s,]+)\)?", source, re.MULTILINE):
        found |= set(re.findall(r"\w+", names))
    return found


def outputs_digest(nb: NotebookNode) -> str:
    """Hash of a notebook's outputs, by which an edit by hand is found."""
    outputs = [cell.get("outputs") for cell in nb.cells]
    return hashlib.sha256(json.dumps(outputs, sort_keys=True).encode()).hexdigest()


def write(nb: NotebookNode, path: Path) -> bool:
    """Write a notebook if that changes it; True if it did."""
    text = to_text(nb)
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".ipynb.part")
    scratch.write_text(text)
    scratch.replace(path)
    return True


def to_text(nb: NotebookNode) -> str:
    """The notebook as its file holds it."""
    return nbformat.writes(nb) + "\n"


def make_release(notebook: Notebook, solution: NotebookNode) -> NotebookNode:
    """The student's notebook, by nbgrader's generate_assignment; raises BuildError if it would tell secrets."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        folder = root / "source" / notebook.assignment
        shutil.copytree(notebook.source.parent, folder, ignore=shutil.ignore_patterns("*.ipynb", "__pycache__"))
        plain = copy.deepcopy(solution)
        plain.metadata.pop("lfi", None)
        nbformat.write(plain, folder / notebook.solution.name)
        generate_assignment(notebook.assignment, root)
        released = root / "release" / notebook.assignment
        faults = leaks(private_lines(solution), released)
        if faults:
            raise BuildError(_listing(notebook, faults))
        release = nbformat.read(released / notebook.release.name, as_version=4)
    for index, cell in enumerate(release.cells):
        cell["id"] = solution.cells[index]["id"]
    return release


def build(notebook: Notebook, *, force: bool = False, say: Callable[[str], None] = lambda text: None) -> list[Path]:
    """Bring a notebook's generated files up to date.

    Args:
        notebook: Which.
        force: Run it again even if nothing changed.
        say: Called with what is being done.

    Returns:
        The files that changed. Raises BuildError with the list of faults.
    """
    source = read_source(notebook)
    faults = source_faults(source)
    if faults:
        raise BuildError(_listing(notebook, faults))
    changed = []
    solution = _current_solution(notebook, source)
    if solution is None or force:
        say("running the solution")
        solution = source
        try:
            execute(solution, notebook.source.parent)
        except CellExecutionError as error:
            raise BuildError(f"{notebook.assignment}: the solution fails.\n{_clean(str(error))}") from None
        solution.metadata["lfi"] = {"source": source_digest(notebook), "outputs": outputs_digest(solution)}
        solution = nbformat.reads(to_text(solution), as_version=4)
    release = make_release(notebook, solution)
    if force or not notebook.release.exists() or notebook.release.read_text() != to_text(release):
        say("running the student's version")
        trial = copy.deepcopy(release)
        execute(trial, notebook.source.parent, allow_errors=True)
        faults = stub_faults(trial)
        if faults:
            raise BuildError(_listing(notebook, faults))
    changed += [notebook.solution] if write(solution, notebook.solution) else []
    changed += [notebook.release] if write(release, notebook.release) else []
    return changed


def _current_solution(notebook: Notebook, source: NotebookNode) -> NotebookNode | None:
    """The executed solution, if it was made from today's source and nobody edited it since."""
    try:
        solution = nbformat.read(notebook.solution, as_version=4)
    except (OSError, ValueError):
        return None
    digests = {"source": source_digest(notebook), "outputs": outputs_digest(solution)}
    same = [(c.cell_type, c.source, c.metadata) for c in solution.cells] == [
        (c.cell_type, c.source, c.metadata) for c in source.cells
    ]
    return solution if same and solution.metadata.get("lfi") == digests else None


def check(notebook: Notebook) -> list[str]:
    """What is stale or broken, without running or changing anything."""
    try:
        source = read_source(notebook)
    except BuildError as error:
        return [str(error)]
    faults = source_faults(source)
    if faults:
        return faults
    solution = _current_solution(notebook, source)
    if solution is None:
        return [f"{notebook.solution.name} in solutions/ is stale"]
    try:
        release = make_release(notebook, solution)
    except BuildError as error:
        return [str(error)]
    faults = leaks(private_lines(source), notebook.release.parent)
    if not notebook.release.exists() or notebook.release.read_text() != to_text(release):
        faults.append(f"{notebook.release.name} in notebooks/ is stale")
    return faults


def _listing(notebook: Notebook, faults: list[str]) -> str:
    return "\n".join([f"{notebook.assignment} has faults:", *(f"  {fault}" for fault in faults)])


def _clean(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)[-3000:]
