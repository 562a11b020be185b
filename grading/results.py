"""What came of running a submission, kept under a hash of everything that it depends on.

Workers make results, nbgrader's autograde uses them: running is the slow part of grading, and it alone is done in
parallel and only once. A result is plain JSON: outputs by cell, verdicts, incidents.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path

from nbformat import NotebookNode, from_dict

from grading.course import HIDDEN, Notebook, is_test

VERSION = 1
KEY_LENGTH = 64  # SHA-256 in hexadecimal
NO_FILES = hashlib.sha256().hexdigest()


@cache
def dependencies(notebook: Notebook) -> str:
    """Hash of what every grade of a notebook depends on: release, checks, hints, helpers, data, packages, grader."""
    return _hash_of([notebook.checks, notebook.mutants], surroundings(notebook))


@cache
def surroundings(notebook: Notebook) -> str:
    """The same without checks and hints."""
    root, harness = notebook.course.root, Path(__file__).parent
    paths = [notebook.release, root / "requirements.txt"]
    paths += [*root.glob("helpers/*.py"), *root.glob("data/*/*"), *harness.glob("*.py"), *harness.glob("sandbox/*.py")]
    return _hash_of(paths, str(VERSION))


def _hash_of(paths: list[Path], more: str) -> str:
    digest = hashlib.sha256(more.encode())
    for path in sorted(set(paths)):
        digest.update(path.name.encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def key_of(nb: NotebookNode, notebook: Notebook, limits: dict) -> str:
    """The key of a canonical notebook's result.

    Args:
        nb: The notebook, with or without hidden tests.
        notebook: Which it is.
        limits: The settings under which it runs.
    """
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    cells = [[c.get("id"), (HIDDEN.sub("", c.source) if is_test(c) else c.source).strip()] for c in code]
    text = json.dumps([dependencies(notebook), cells, nb.metadata["lfi"]["files"], sorted(limits.items())])
    return hashlib.sha256(text.encode()).hexdigest()


def dump(nb: NotebookNode) -> bytes:
    """A result as bytes: what running added to the notebook."""
    outputs = {cell.id: [cell.outputs, cell.execution_count] for cell in nb.cells if cell.cell_type == "code"}
    return json.dumps({"outputs": outputs, "lfi": nb.metadata["lfi"]}).encode()


def apply(data: bytes, nb: NotebookNode) -> None:
    """Put a result into the canonical notebook that it belongs to."""
    found = from_dict(json.loads(data))
    for cell in nb.cells:
        if cell.cell_type == "code" and cell.id in found.outputs:
            cell.outputs, cell.execution_count = found.outputs[cell.id]
    nb.metadata["lfi"] = found.lfi


class Kept:
    """A folder of results."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def path(self, key: str) -> Path:
        """Where a result is kept."""
        return self.folder / f"{key}.json"

    def get(self, key: str) -> bytes | None:
        """A result, or None."""
        try:
            return self.path(key).read_bytes()
        except OSError:
            return None

    def put(self, key: str, data: bytes) -> None:
        """Keep a result; other processes see all of it or nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = self.folder / f".{key}.{os.getpid()}"
        scratch.write_bytes(data)
        scratch.replace(self.path(key))
