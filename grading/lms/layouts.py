"""Whose file is it? Read from where it lies: as Moodle, Canvas, `lfi submit` or a person lays submissions out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from grading.lms.archives import File, is_zip

# Ada Lovelace_12345_assignsubmission_file_/iou_nms.ipynb; before Moodle 3.1 or as told there, all in one folder:
# Ada Lovelace_12345_assignsubmission_file_iou_nms.ipynb. Moodle 4.1 and later leave out the last underscore.
MOODLE = re.compile(r"(?P<name>[^_]*)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)(?:_(?P<file>.*))?", re.DOTALL)
# lovelaceada_LATE_12345_67890_iou_nms-1.ipynb; without names: anon_x7f2k_67890_iou_nms.ipynb
CANVAS = re.compile(r"(?P<name>\w*?)(?P<late>_LATE)?_(?P<id>\d+)_\d+_(?P<file>.+)", re.DOTALL)
CANVAS_ANONYMOUS = re.compile(r"(?P<name>anon)(?P<late>_LATE)?_(?P<id>\w{5})_\d+_(?P<file>.+)", re.DOTALL)
# 01_iou_nms_ada_20261124T193700Z.zip; platforms add " (1)" or "-1"
SUBMIT = re.compile(r"(?P<assignment>\d\d_\w+?)_(?P<name>.+)_(?P<time>\d{8}T\d{6}Z)(?:[ -]?\(?\d+\)?)?\.zip")


@dataclass(frozen=True)
class Owner:
    """Whose file it is, as far as its place tells.

    Attributes:
        system: `moodle`, `canvas` or empty.
        name: Full name, or the name of a folder.
        id: The platform's number.
        late: Canvas says so.
    """

    system: str
    name: str
    id: str = ""
    late: bool = field(default=False, compare=False)


def submit_zip(name: str, assignment: str) -> re.Match | None:
    """What the name of an archive that `lfi submit` made tells: `name`, `time`."""
    pattern = SUBMIT.pattern.replace(r"\d\d_\w+?", re.escape(assignment), 1)
    return re.fullmatch(pattern, name)


def platform(part: str) -> tuple[Owner, str] | None:
    """The owner that Moodle or Canvas tell in a name, and the file's own name if it is in there, too."""
    if match := MOODLE.fullmatch(part):
        return Owner("moodle", match["name"].strip(), match["id"]), match["file"] or ""
    if match := CANVAS_ANONYMOUS.fullmatch(part) or CANVAS.fullmatch(part):
        return Owner("canvas", match["name"], match["id"], bool(match["late"])), match["file"]
    return None


def owned(files: list[File], assignment: str) -> tuple[dict[Owner, list[File]], list[File]]:
    """Files by owner, their places told from the owner's folder on; and those that belong to nobody."""
    files = _without_wrapper([_without_container(file, assignment) for file in files], assignment)
    found: dict[Owner, list[File]] = {}
    unmatched = []
    for file in files:
        told = _owner(file, assignment)
        if told is None:
            unmatched.append(file)
        else:
            owner, mine = told
            found.setdefault(owner, []).append(mine)
    return found, unmatched


def _without_container(file: File, assignment: str) -> File:
    """A file of a downloaded archive that lies in a folder of such archives."""
    first, *rest = file.parts
    if is_zip(first) and not submit_zip(first, assignment) and not platform(first) and rest:
        told = platform(rest[0]) or submit_zip(rest[0], assignment)
        return file.below(1) if told else file
    return file


def _without_wrapper(files: list[File], assignment: str) -> list[File]:
    """Files without the one folder that holds all students' folders, or all that a platform gave."""
    firsts = {file.parts[0] for file in files}
    seconds = {file.parts[1] for file in files if len(file.parts) > 1}
    if len(firsts) != 1 or assignment in seconds or platform(first := firsts.pop()) or is_zip(first):
        return files
    named = all(len(file.parts) > 1 and platform(file.parts[1]) for file in files)
    folders = len(seconds) > 1 and all(len(file.parts) > 2 for file in files)
    return [file.below(1) for file in files] if named or folders else files


def _owner(file: File, assignment: str) -> tuple[Owner, File] | None:
    first, *rest = file.parts
    if told := platform(first):
        owner, name = told
        return owner, File((name, *rest) if name else tuple(rest), file.path, file.when)
    if made := submit_zip(first, assignment):
        return Owner("", made["name"]), file
    if not rest:
        return None
    name = first[:-4] if is_zip(first) else first
    mine = file if is_zip(first) else file.below(1)
    return Owner("", name), mine.below(1) if mine.parts[0] == assignment and len(mine.parts) > 1 else mine
