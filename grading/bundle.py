"""`lfi bundle`: what students get, as one zip file that is the same for the same content."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from grading.build import leaks, private_lines, read_source
from grading.course import Course, UserError

FOLDER = "learning-from-images"
PRIVATE = ("checks", "mutants", "work", "__pycache__")
FILES = ("environment.yml", "requirements.txt", "pyproject.toml", "LICENSE", "LICENSE-text.md")


def contents(course: Course) -> Iterator[tuple[Path, str]]:
    """The files of the bundle, with their names in it."""
    for name in FILES:
        yield course.root / name, name
    yield course.root / "docs" / "students.md", "README.md"
    for folder in ("notebooks", "helpers", "data", "grading"):
        for path in sorted((course.root / folder).rglob("*")):
            parts = path.relative_to(course.root).parts
            hidden = any(part.startswith(".") or part.endswith(".pyc") for part in parts)
            if path.is_file() and not hidden and not set(parts) & set(PRIVATE):
                yield path, "/".join(parts)


def make_bundle(course: Course, target: Path) -> Path:
    """Write the bundle; raises UserError if a file is missing or a release tells what is private."""
    for notebook in course.all():
        if found := leaks(private_lines(read_source(notebook)), notebook.release.parent):
            raise UserError(f"{notebook.assignment} must not be released: {found[0]}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, name in contents(course):
            if not path.is_file():
                raise UserError(f"{path} is missing; without it there is no bundle.")
            info = zipfile.ZipInfo(f"{FOLDER}/{name}", date_time=(2026, 1, 1, 0, 0, 0))
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, path.read_bytes())
    return target
