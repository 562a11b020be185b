"""Text that a student hands in is read, judged and shown in a time that does not grow with the square of its length.

No time is measured: without the limits, each of these would take hours.
"""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from grading import shortcuts
from grading.canonical import MAX_PARTS, Unreadable, canonical_submission, read
from grading.course import Course
from grading.pipeline import HideHidden, MakeInert
from grading.results import key_of

MANY = 40_000


def inert(*cells):
    """What is left of a student's cells before they are shown."""
    nb = nbformat.v4.new_notebook(cells=[*cells])
    for index, cell in enumerate(nb.cells):
        cell.id = f"extra-{index:03d}"
    return MakeInert().preprocess(nb, {})[0]


def test_a_file_full_of_conflict_markers_is_damaged():
    with pytest.raises(Unreadable, match="not a whole Jupyter notebook"):
        read(b"<<<<<<< a\n" * MANY + b"=======\n" * MANY)


def test_the_common_ancestor_of_a_conflict_is_left_out():
    mine, base, theirs = (f'{{"cell_type": "code", "source": "x = {number}"}}' for number in (1, 2, 3))
    text = f'{{"cells": [\n<<<<<<< a\n{mine}\n||||||| b\n{base}\n=======\n{theirs}\n>>>>>>> c\n]}}'
    cells, notes = read(text.encode())
    assert [cell.source for cell in cells] == ["x = 1"]
    assert notes == ["The file has git's conflict markers; the first version of each conflict was taken."]


def test_a_file_of_countless_small_parts_is_refused():
    with pytest.raises(Unreadable, match="far too many parts"):
        read(b'{"cells": [' + b"[]," * (MAX_PARTS + 1) + b"0]}")


@pytest.mark.parametrize("text", ["# BEGIN HIDDEN TESTS\n", "BEGIN HIDDEN TESTS ", "=== BEGIN MARK SCHEME ===\n"])
def test_markers_in_an_answer_mean_nothing(built, text):
    (notebook,) = Course().select(None)
    release = notebook.read_release()
    nb = nbformat.v4.new_notebook(cells=[new_code_cell(text * MANY)])
    graded = canonical_submission(release, nbformat.writes(nb).encode())
    assert len(key_of(graded, notebook, {})) == 64
    shown, _ = HideHidden().preprocess(graded, {})
    assert text.strip() in shown.cells[0].source


def test_code_between_markers_counts_for_the_key(built):
    (notebook,) = Course().select(None)
    keys = set()
    for body in ("a = 1", "a = 2"):
        code = new_code_cell(f"# BEGIN HIDDEN TESTS\n{body}\n# END HIDDEN TESTS")
        nb = canonical_submission(
            notebook.read_release(), nbformat.writes(nbformat.v4.new_notebook(cells=[code])).encode()
        )
        keys.add(key_of(nb, notebook, {}))
    assert len(keys) == 2


@pytest.mark.parametrize("text", ["a" + " " * 10**6 + "b", "\\begin{a}" * 10**5, "\\\\(" * 10**5])
def test_a_text_that_is_slow_to_render_is_shown_as_it_is(text):
    (cell,) = inert(new_markdown_cell(text)).cells
    assert cell.source.startswith("<div><pre>")


def test_a_long_plain_answer_stays_inert():
    text = "<script>alert(1)</script>\n\n[go](javascript:alert)\n\n" * 1000
    (cell,) = inert(new_markdown_cell(text)).cells
    assert "<script>" not in cell.source
    assert "\n\n" not in cell.source


def test_html_that_is_slow_to_clean_is_not_shown():
    bold = "".join(f"<b id={number}>" for number in range(MANY)) + "<p>" * MANY
    (cell,) = inert(
        new_code_cell("", outputs=[new_output("display_data", data={"text/html": bold, "text/plain": "x"})])
    ).cells
    assert cell.outputs[0].data == {"text/plain": "x"}


@pytest.mark.parametrize(
    "source",
    [
        "def double(x):\n    return a" + ".a" * 10**6,
        "a0 = b.c\n" + "".join(f"a{n + 1} = a{n}.c\n" for n in range(MANY)) + "def double(x): return a9",
        "import a as b\n" * MANY + "".join(f"def f{n}(): return f{n + 1}()\n" for n in range(MANY)) + "double = f0",
    ],
    ids=["attributes", "aliases", "functions"],
)
def test_shortcuts_are_looked_for_in_any_source(source):
    assert shortcuts.uses("double", [source], ["numpy.multiply"]) == []
