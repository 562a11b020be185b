"""`lfi bundle`: what students get, as one zip file that is the same for the same content.

Of grading/ they get what `lfi check`, `submit`, `doctor` and `data` need: nothing that grades, nothing of solutions/.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from grading.build import leaks, private_lines, read_source
from grading.course import CHECKOUT, Course, UserError
from grading.submit import TASKS, cells_of

FOLDER = "learning-from-images"
FILES = ("environment.yml", "requirements.txt", "LICENSE", "LICENSE-text.md")
MODULES = ("__init__.py", "check.py", "course.py", "doctor.py", "kernels.py", "submit.py")
TARGETS = ("help", "$(READY)", "setup", "lab", "check", "submit", "doctor", "data")
NOT_THEIRS = ("project.entry-points", "tool.setuptools.package-data", "tool.ruff", "tool.pytest")
GITIGNORE = ".venv/\n__pycache__/\n*.egg-info/\n.ipynb_checkpoints/\n"


def contents(course: Course) -> Iterator[tuple[str, bytes]]:
    """The files of the bundle by their names in it."""
    root = course.root
    yield from ((name, _read(root / name)) for name in FILES)
    yield "README.md", _read(root / "docs" / "students.md")
    yield "Makefile", _makefile(_read(root / "Makefile").decode()).encode()
    yield "pyproject.toml", _project(_read(root / "pyproject.toml").decode()).encode()
    yield ".gitignore", GITIGNORE.encode()
    cells = {nb.assignment: cells_of(nb.read_release()) for nb in course.all()}
    yield f"notebooks/{TASKS}", json.dumps(cells, indent=1).encode()
    yield "grading/cli.py", _read(CHECKOUT / "grading" / "cli_student.py")
    yield from ((f"grading/{name}", _read(CHECKOUT / "grading" / name)) for name in MODULES)
    for folder in ("notebooks", "helpers", "data"):
        for path in sorted((root / folder).rglob("*")):
            parts = path.relative_to(root).parts
            hidden = any(part.startswith((".", "__pycache__")) or part.endswith(".pyc") for part in parts)
            if path.is_file() and not hidden:
                yield "/".join(parts), path.read_bytes()


def make_bundle(course: Course, target: Path) -> Path:
    """Write the bundle; raises UserError if a file is missing or a release tells what is private."""
    for notebook in course.all():
        if found := leaks(private_lines(read_source(notebook)), notebook.release.parent):
            raise UserError(f"{notebook.assignment} must not be released: {found[0]}")
    files = dict(contents(course))
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(timeless(f"{FOLDER}/{name}"), data)
    return target


def timeless(name: str) -> zipfile.ZipInfo:
    """An entry of an archive that is the same whenever it is made."""
    info = zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0))
    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    return info


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is missing; without it there is no bundle.") from None


def _makefile(text: str) -> str:
    """The Makefile with the students' targets."""
    blocks = re.split(r"\n\n(?=\S)", text)
    kept = [block for block in blocks if _target(block) in (*TARGETS, "")]
    return (
        re.sub(r"^\.PHONY:.*$", f".PHONY: {' '.join(TARGETS[:1] + TARGETS[2:])}", "\n\n".join(kept), flags=re.M) + "\n"
    )


def _target(block: str) -> str:
    """What a block of the Makefile makes; empty: it sets variables."""
    match = re.match(r"([^\s:=]+):(?!=)", block)
    return match[1] if match and not match[1].startswith(".") else ""


def _project(text: str) -> str:
    """pyproject.toml without what belongs to grading."""
    blocks = re.split(r"\n(?=\[)", text)
    return "\n".join(block for block in blocks if not block.startswith(tuple(f"[{name}" for name in NOT_THEIRS)))
