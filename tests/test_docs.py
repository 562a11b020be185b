"""Every command in the docs is one that is there: all are parsed, and what the small course can run is run.

A command is a line of an indented or fenced block that starts with `lfi`, `make` or `nbgrader` (after `$`, maybe), or a
piece of code in the text. Words in capitals stand for files and folders: the ones in `PLACES` are there, in the small
course; a command that names others is only parsed, as are those in `LONG`.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from nbgrader.apps import NbGraderApp
from test_grade import CLASS, hand_in

from grading.cli import app
from grading.course import CHECKOUT

DOCS = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
BIN = Path(sys.executable).parent
TOOLS = ("lfi", "make", "nbgrader")
LONG = ("demo", "bench", "measure", "data")  # with a class of 24, several seeds, or the network
PLACES = {"SUBMITTED": "grading/work/submitted", "OUTPUT": "grading/work"}
NAMES = {"01_iou_nms": "00_mini", "iou_nms": "mini"}
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:\A|\n[^\S\n]*\n)((?:(?: {4}|\t)[^\n]*(?:\n|\Z)|[^\S\n]*\n)+)")
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def commands(text):
    """The commands in the blocks of a page, and those in its sentences, as lists of words."""
    fenced = [match[1] for match in FENCE.finditer(text)]
    rest = FENCE.sub("\n", text)
    blocks = [line for block in [*fenced, *INDENTED.findall(rest)] for line in block.splitlines()]
    inline = INLINE.findall(INDENTED.sub("\n\n", rest))
    return [found for found in map(words, blocks) if found], [found for found in map(words, inline) if found]


def words(line):
    """A command's words, without a prompt, the folder of the programs, and comments; empty if it is none."""
    line = re.sub(r"^\s*(\$ )?(\.venv/bin/)?", "", line)
    return shlex.split(line, comments=True) if re.match(rf"({'|'.join(TOOLS)})(\s|$)", line) else []


def here(command):
    """The same command in the small course."""
    changed = []
    for word in command:
        for name, ours in NAMES.items():
            word = re.sub(rf"(?<![a-z0-9]){name}\b", ours, word)
        changed.append(PLACES.get(word, word))
    return changed


def fault(command):
    """What click, make or nbgrader says if there is no such command or option; empty if all is well."""
    tool, *rest = command
    if tool == "lfi" and rest:
        return _fault_of_ours(rest)
    if tool == "make":
        done = subprocess.run(["make", "-n", *rest], cwd=CHECKOUT, capture_output=True, text=True)
        return done.stderr if done.returncode else ""
    if tool == "nbgrader" and rest:
        return "" if rest[0] in NbGraderApp().subcommands else f"nbgrader has no command {rest[0]}"
    return ""


def _fault_of_ours(rest):
    """Parse with stand-ins for what the commands do."""
    group = typer.main.get_command(app)
    _stand_in(group)
    quiet = contextlib.redirect_stdout(io.StringIO())
    with contextlib.redirect_stderr(io.StringIO()) as said, quiet, pytest.raises(SystemExit) as end:
        group(rest)
    return said.getvalue() if end.value.code else ""


def _stand_in(command):
    command.callback = lambda **settings: None
    for inner in getattr(command, "commands", {}).values():
        _stand_in(inner)


def is_run(command):
    """Whether the small course has all that a command needs."""
    unknown = [word for word in command if re.search(r"\b[A-Z][A-Z_-]+\b|<|\.\.\.", word)]
    return len(command) > 1 and command[0] != "make" and command[1] not in LONG and not unknown


BLOCKS = {page.name: commands(page.read_text())[0] for page in DOCS}
SENTENCES = {page.name: commands(page.read_text())[1] for page in DOCS}


@pytest.mark.parametrize("page", [page.name for page in DOCS])
def test_commands_in_the_docs_exist_with_their_options(page):
    for command in BLOCKS[page]:
        assert not fault(command), f"{shlex.join(command)}\n{fault(command)}"
    for command in SENTENCES[page]:  # there a command may be named without what it needs
        found = "" if re.search(r"[<…]|\.\.\.", " ".join(command)) else fault(command)
        assert not found or "Missing" in found, f"{shlex.join(command)}\n{found}"


@pytest.mark.parametrize("page", [name for name, found in BLOCKS.items() if any(is_run(here(c)) for c in found)])
def test_commands_in_the_docs_run(page, built):
    """In the page's order, as a reader would; 1 says that something was found, 2 that the command is wrong."""
    root = built.course.root
    for path in filter(Path.is_file, CHECKOUT.iterdir()):
        shutil.copy(path, root)
    for folder in ("helpers", "data", "docs"):
        shutil.copytree(CHECKOUT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "grading" / "nbgrader_config.py", root / "grading")
    hand_in(built, built.course.work / "submitted", "ada", **CLASS["in place"])
    env = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}
    for command in filter(is_run, map(here, BLOCKS[page])):
        folder = root / "grading" if command[0] == "nbgrader" else root
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode in (0, 1), f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr, f"{shlex.join(command)}\n{done.stderr}"


@pytest.mark.parametrize(
    "line",
    [
        "lfi nonsense",
        "lfi grade --nonsense",
        "lfi grade --workers many",
        "lfi check",
        "make nonsense",
        "nbgrader nonsense",
    ],
)
def test_a_wrong_command_in_the_docs_would_be_found(line):
    ((command,), _) = commands(f"# Page\n\nText:\n\n    {line}   # a comment\n")
    assert fault(command)


def test_all_ways_to_write_a_command_are_read():
    text = "Do `lfi build`:\n\n    $ lfi audit 01_iou_nms\n    some output\n\n"
    text += "```sh\nlfi report  # page\n```\n\n- a\n\n    make demo\n"
    assert commands(text) == ([["lfi", "report"], ["lfi", "audit", "01_iou_nms"], ["make", "demo"]], [["lfi", "build"]])
    assert not is_run(here(["lfi", "collect", "MOODLE.zip"]))
    assert is_run(here(["lfi", "grade", "--submitted", "SUBMITTED"]))
