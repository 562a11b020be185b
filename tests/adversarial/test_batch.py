"""Whatever a folder of submissions holds, `lfi grade` grades the sound ones and says what is wrong with the others."""

import csv
import io
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from rich.console import Console

from grading.canonical import canonical_submission
from grading.course import Course, grade_id
from grading.grade import Run
from grading.gradebook import GradingFolder
from grading.handed_in import printable
from grading.report import class_table, write_report
from grading.tables import inert

from .conftest import SECRET

RIGHT = {"double": "4", "quadruple": "2", "halve": "3"}
NAMES = (
    "=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "[red]", "*", "?", "[ab]", "a", "x y", "é", "'; DROP TABLE",
    "<img src=x onerror=alert(1)>", "$\\frac{$", "{student_id}", "a,b", '"', "%s", "line\nbreak", " padded ",
)  # fmt: skip


def link(folder, notebook, host):
    (folder / notebook.name).symlink_to(host)


def linked_file(folder, notebook, host):
    (folder / "notes.txt").symlink_to(host)


def linked_timestamp(folder, notebook, host):
    (folder / "timestamp.txt").symlink_to(host)


def odd_timestamp(folder, notebook, host):
    (folder / "timestamp.txt").write_text("the day after tomorrow")


def pipe(folder, notebook, host):
    os.mkfifo(folder / "pipe")


def sparse(folder, notebook, host):
    with (folder / "huge.bin").open("wb") as file:
        file.truncate(1 << 40)


def odd_file_name(folder, notebook, host):
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt")).write_text("x")


def renamed(folder, notebook, host):
    (folder / notebook.name).rename(folder / "mini (2) final.ipynb")
    (folder / "other.ipynb").write_text("{}")


def missing(folder, notebook, host):
    (folder / notebook.name).unlink()


def is_folder(folder, notebook, host):
    (folder / notebook.name).unlink()
    (folder / notebook.name).mkdir()


def foreign(folder, notebook, host):
    (folder / notebook.name).unlink()
    nbformat.write(nbformat.v4.new_notebook(), folder / "other.ipynb")


FOLDERS = {
    "link": (link, False, "link"),
    "linked file": (linked_file, True, "left out"),
    "linked timestamp": (linked_timestamp, True, "left out"),
    "odd timestamp": (odd_timestamp, True, "timestamp.txt"),
    "pipe": (pipe, True, "left out"),
    "sparse": (sparse, True, "left out"),
    "odd file name": (odd_file_name, True, ""),
    "renamed": (renamed, True, "mini (2) final.ipynb"),
    "missing": (missing, False, "There is no notebook"),
    "is folder": (is_folder, False, "There is no notebook"),
    "foreign": (foreign, False, "There is no notebook"),
}


SHOWS = r"""
from IPython.display import display, HTML, Latex
EVIL = "<script>alert(1)</script>"
def show(data, metadata):
    display(data, metadata=metadata, raw=True)
show({"image/png": '"><script>alert(1)</script>'}, {"image/png": 3})
show({"image/png": "AAAA"}, {"image/png": {"width": '1 onload=alert(1)', "alt": EVIL}, "filenames": {"image/png": "http://x.y/evil"}})
show({"image/png": "AAAA"}, {"filenames": 3, "width": EVIL})
show({"image/svg+xml": "<svg onload=alert(1)>"}, {})
show({"application/javascript": "alert(1)", "text/markdown": EVIL}, {})
show({"application/vnd.jupyter.widget-view+json": {"model_id": EVIL}}, {})
show({"text/latex": r"$\href{javascript:alert(1)}{x}$" + EVIL}, {})
show({"text/html": "<img src=x onerror=alert(1)><iframe src=/></iframe><a href='javascript:alert(1)'>x</a>"}, {})
print(EVIL, "\x1b[31m" + EVIL + "\x1b]8;;javascript:alert(1)\x07")
raise type("E" + EVIL, (Exception,), {})(EVIL)
"""
LEAKS = """
def double(x):
    raise type("seen" + "".join(c for c in str(x.tolist()) if c.isalnum()), (ValueError,), {})(str(x))
"""
MARKDOWN = """
[x](javascript:alert(1)) <b onclick=alert(1)>b</b> ![y](data:text/html;base64,AAAA) $\\href{javascript:alert(1)}{z}$

```html
a

<script>alert(1)</script>

[x](javascript:alert(1))
```
"""


def with_cells(notebook, *cells, **answers):
    """Our solution with cells at its top and other answers."""
    nb = nbformat.read(notebook.solution, as_version=4)
    for cell in nb.cells:
        cell.source = answers.get(grade_id(cell), cell.source)
    nb.cells[:0] = cells
    return nbformat.writes(nb).encode()


@pytest.fixture(scope="module")
def batch(built_course, tmp_path_factory):
    """The odd class, graded: the run and the scores by student and task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LFI_COURSE", str(built_course))
        (notebook,) = Course().select(None)
        host = tmp_path_factory.mktemp("host") / "secret.txt"
        host.write_text(SECRET)
        submitted = tmp_path_factory.mktemp("submitted")
        data = notebook.solution.read_bytes()
        for student in (*NAMES, *FOLDERS):
            folder = submitted / student / notebook.assignment
            folder.mkdir(parents=True)
            if student == "link":
                link(folder, notebook.release, host)
                continue
            (folder / notebook.release.name).write_bytes(data)
            if student in FOLDERS:
                FOLDERS[student][0](folder, notebook.release, host)
        pages = {
            "shows": with_cells(notebook, new_code_cell(SHOWS), new_markdown_cell(MARKDOWN), answer_why=MARKDOWN),
            "leaks": with_cells(notebook, double=LEAKS),
        }
        for student, content in pages.items():
            (submitted / student / notebook.assignment).mkdir(parents=True)
            (submitted / student / notebook.assignment / notebook.release.name).write_bytes(content)
        other = submitted / "linked folder"
        other.mkdir()
        (other / notebook.assignment).symlink_to(submitted / "a" / notebook.assignment)
        run = Run(GradingFolder(submitted, tmp_path_factory.mktemp("output")), [notebook])
        run.grade(lambda *args: None, workers=2)
        with run.write_scores().open() as file:
            rows = list(csv.reader(file))
        yield run, rows


def scores(batch, student):
    return {row[2]: row[3] for row in batch[1] if row[0] == printable(student) and row[2] in RIGHT}


def test_every_submission_is_graded(batch):
    assert batch[0].sound, batch[0].incidents


@pytest.mark.parametrize("student", [name for name in NAMES if name[0] not in "=+-@"])
def test_an_odd_name_costs_nothing(batch, student):
    assert scores(batch, student) == RIGHT


@pytest.mark.parametrize("student", FOLDERS)
def test_an_odd_folder_is_graded_or_explained(batch, student):
    _, sound, words = FOLDERS[student]
    assert scores(batch, student) == (RIGHT if sound else dict.fromkeys(RIGHT, "0"))
    told = [incident.sentence for incident in batch[0].incidents if incident.student == student]
    assert any(words in sentence for sentence in told) if words else not told


def test_another_students_folder_is_not_followed(batch):
    assert scores(batch, "linked folder") == dict.fromkeys(RIGHT, "0")


def test_no_file_of_the_host_is_copied(batch):
    output = batch[0].folder.output
    found = [path for path in output.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert found == []
    assert not [path for path in output.rglob("*") if path.is_symlink()]


def test_no_cell_of_a_table_is_a_formula(batch):
    for name in ("scores.csv", "incidents.csv", "timings.csv"):
        with (batch[0].folder.output / name).open() as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if inert(cell) != cell and not cell.startswith("'")]
        assert not [cell for cell in cells if cell.startswith(("=", "@", "\t", "\r"))]


def test_the_report_survives_odd_names(batch):
    pages = write_report(batch[0])
    assert "<img src=x" not in pages.page.read_text()
    console = Console(file=io.StringIO(), width=400)
    console.print(class_table(batch[0]))
    assert "[red]" in console.file.getvalue()


def feedback(batch, student):
    (path,) = (batch[0].folder.output / "feedback" / student).rglob("*.html")
    return path.read_text()


EMPTY = [b'{"cells": []}', b'{"cells": [[], 1, null]}', b'{"worksheets": []}', b'{"cells": null}']


@pytest.mark.parametrize("data", EMPTY)
def test_a_notebook_without_cells_is_told_to_be_one(built, data):
    nb = canonical_submission(built.read_release(), data)
    assert not nb.metadata.lfi["readable"]
    assert "no cells" in nb.cells[0].source


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le", "latin-1"])
def test_a_notebook_in_any_encoding_is_read(built, encoding):
    text = json.dumps({"cells": [{"cell_type": "code", "source": "def double(x): return 'é'"}]}, ensure_ascii=False)
    assert "'é'" in canonical_submission(built.read_release(), text.encode(encoding)).cells[2].source


class Alive(HTMLParser):
    """Collects what could act in a page."""

    def __init__(self, page):
        super().__init__()
        self.found, self.inside = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.inside += [tag] if tag in ("script", "pre", "code") else []
        for name, value in attributes:
            if name.startswith("on") or (value or "").startswith(("javascript:", "data:text", "http://x.y")):
                self.found.append((tag, name, value))

    def handle_endtag(self, tag):
        if tag in self.inside:
            self.inside.remove(tag)

    def handle_data(self, data):
        if ("script" in self.inside and "alert(1)" in data) or (not self.inside and "\\href" in data):
            self.found.append(data)


def test_nothing_that_a_student_shows_is_alive_in_the_feedback(batch):
    page = feedback(batch, "shows")
    assert scores(batch, "shows") == RIGHT
    assert "alert(1)" in page
    assert Alive(page[page.index("<body") :]).found == []


def test_one_students_page_holds_nothing_of_another(batch):
    assert "alert(1)" not in feedback(batch, "a")[feedback(batch, "a").index("<body") :]


def test_a_made_up_exception_carries_nothing_into_the_feedback(batch):
    page = feedback(batch, "leaks")
    assert "it raised an exception of its own, a kind of ValueError" in page
    verdict = page[page.index("double: 0 of 4 points") :]
    assert "seen10" in page  # the visible test's own input
    assert "seen012" not in verdict
    assert not re.search(r"seen\d{12}", page)
