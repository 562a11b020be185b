"""Whatever a student hands in, only answers and extra cells of it are graded."""

import copy
import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from grading.canonical import Unreadable, canonical, read, read_file
from grading.course import grade_id

DOUBLE = "def double(x):\n    return 2 * x"


@pytest.fixture
def release(built):
    return nbformat.read(built.release, as_version=4)


def cell(nb, name):
    return next(c for c in nb.cells if grade_id(c) == name)


def answered(release):
    nb = copy.deepcopy(release)
    cell(nb, "double").source = DOUBLE
    cell(nb, "answer_why").source = "Because."
    return nb


def through(release, nb, tmp_path, edit=lambda text: text.encode()):
    path = tmp_path / "mini.ipynb"
    path.write_bytes(edit(nb if isinstance(nb, str) else nbformat.writes(nb)))
    cells, notes = read(path.read_bytes())
    graded, more = canonical(release, cells)
    return graded, notes + more


def test_pictures_pasted_into_text_are_kept_if_they_are_pictures(release, tmp_path):
    nb = answered(release)
    pasted = {"good": {"image/png": "QUJD\n"}, "bad": {"image/png": "<b>"}, "script": {"image/svg+xml": "QUJD"}}
    cell(nb, "answer_why").attachments = pasted | {"odd": {"image/gif": "QU JD"}}
    nb.cells.append(new_markdown_cell("![x](attachment:y)", attachments={"y": {"image/jpeg": "QUJD"}}))
    graded, notes = through(release, nb, tmp_path)
    assert notes == []
    assert cell(graded, "answer_why").attachments == {"good": {"image/png": "QUJD"}, "odd": {"image/gif": "QUJD"}}
    assert graded.cells[-1].attachments == {"y": {"image/jpeg": "QUJD"}}


def test_there_is_room_for_so_many_pictures(release, tmp_path, monkeypatch):
    monkeypatch.setattr("grading.canonical.MAX_PICTURES", 10)
    nb = answered(release)
    for name in ("a", "b"):
        nb.cells.append(new_markdown_cell(name, attachments={name: {"image/png": "QUJDQUJD"}}))
    graded, notes = through(release, nb, tmp_path)
    assert ["attachments" in cell for cell in graded.cells[-2:]] == [True, False]
    assert notes == ["The pasted pictures have more than 0 MB: the last ones were left out."]


def test_answers_are_taken_and_nothing_else_changes(release, tmp_path):
    graded, notes = through(release, answered(release), tmp_path)
    assert notes == []
    assert cell(graded, "double").source == DOUBLE
    assert cell(graded, "answer_why").source == "Because."
    cell(graded, "double").source = cell(release, "double").source
    cell(graded, "answer_why").source = cell(release, "answer_why").source
    assert graded == release


def test_changed_tests_points_flags_and_tags_have_no_effect(release, tmp_path):
    nb = answered(release)
    test = cell(nb, "test_double")
    test.source = "print('all right')\n4.0"
    test.metadata.nbgrader.update(points=400, grade=False, locked=False, solution=True)
    test.metadata.tags = ["skip-execution", "long"]
    nb.metadata.kernelspec = {"name": "evil", "display_name": "Evil", "language": "bash"}
    graded, _ = through(release, nb, tmp_path)
    assert cell(graded, "test_double") == cell(release, "test_double")
    assert graded.metadata == release.metadata


def test_a_deleted_test_cell_comes_back(release, tmp_path):
    nb = answered(release)
    nb.cells.remove(cell(nb, "test_double"))
    graded, _ = through(release, nb, tmp_path)
    assert [grade_id(c) for c in graded.cells] == [grade_id(c) for c in release.cells]


def test_a_deleted_task_is_a_stub_and_is_named(release, tmp_path):
    nb = answered(release)
    nb.cells.remove(cell(nb, "double"))
    graded, notes = through(release, nb, tmp_path)
    assert cell(graded, "double").source == cell(release, "double").source
    assert notes == ["The cell 'double' is missing from the file."]


@pytest.mark.parametrize("stub_last", [True, False])
def test_of_two_cells_with_one_id_the_last_that_is_filled_in_counts(release, tmp_path, stub_last):
    nb = answered(release)
    place = nb.cells.index(cell(nb, "double"))
    other = copy.deepcopy(cell(release if stub_last else nb, "double"))
    other.id = "copied"
    if not stub_last:
        other.source = "def double(x):\n    return x + x"
    nb.cells.insert(place + 1, other)
    graded, notes = through(release, nb, tmp_path)
    assert cell(graded, "double").source == (DOUBLE if stub_last else other.source)
    assert any("2 times" in note for note in notes)


def test_metadata_that_another_program_dropped_are_replaced_by_names(release, tmp_path):
    nb = answered(release)
    for c in nb.cells:
        c.metadata = {}
    graded, notes = through(release, nb, tmp_path)
    assert cell(graded, "double").source == DOUBLE
    assert cell(graded, "answer_why").source == "Because."
    assert any("found by its name" in note for note in notes)
    assert not any(c.source == "Because." for c in graded.cells if not grade_id(c))


def test_a_solution_cell_that_became_markdown_is_code_again(release, tmp_path):
    nb = answered(release)
    index = nb.cells.index(cell(nb, "double"))
    metadata = nb.cells[index].metadata
    nb.cells[index] = new_markdown_cell(DOUBLE, metadata=metadata)
    graded, _ = through(release, nb, tmp_path)
    assert cell(graded, "double").cell_type == "code"
    assert cell(graded, "double").source == DOUBLE


def test_extra_cells_stay_where_they_were_and_lose_their_metadata(release, tmp_path):
    nb = answered(release)
    place = nb.cells.index(cell(nb, "double"))
    extra = new_code_cell("import math", metadata={"tags": ["skip-execution"], "nbgrader": {"grade_id": "new"}})
    nb.cells.insert(place, extra)
    nb.cells.append(new_markdown_cell("my notes"))
    graded, _ = through(release, nb, tmp_path)
    kept = graded.cells[place]
    assert (kept.source, kept.metadata, grade_id(graded.cells[place + 1])) == ("import math", {}, "double")
    assert graded.cells[-1].source == "my notes"


def test_a_changed_set_up_cell_runs_after_ours(release, tmp_path):
    nb = answered(release)
    nb.cells[1].source += "\nimport math"
    graded, _ = through(release, nb, tmp_path)
    assert [c.source for c in graded.cells[1:3]] == ["import numpy as np", "import numpy as np\nimport math"]


def test_reordered_cells_are_put_in_order(release, tmp_path):
    nb = answered(release)
    nb.cells.reverse()
    graded, _ = through(release, nb, tmp_path)
    assert [grade_id(c) for c in graded.cells] == [grade_id(c) for c in release.cells]
    assert cell(graded, "double").source == DOUBLE


@pytest.mark.parametrize(
    ("edit", "note"),
    [
        (lambda text: b"\xef\xbb\xbf" + text.encode(), ""),
        (lambda text: text.replace("\n", "\r\n").encode(), ""),
        (lambda text: text.replace("Because.", "Weil es größer wird").encode("latin-1"), "Latin-1"),
        (lambda text: text.replace('"nbformat": 4', '"nbformat": 5').encode(), ""),
        (lambda text: text.replace('"nbformat": 4', '"x": NaN, "y": "\\ud800", "nbformat": 4').encode(), ""),
        (lambda text: text.replace("Because.", "\\ud800 Because.").encode(), ""),
    ],
    ids=["BOM", "CRLF", "latin-1", "nbformat 5", "NaN", "surrogate"],
)
def test_odd_encodings_are_read(release, tmp_path, edit, note):
    graded, notes = through(release, json.dumps(answered(release), ensure_ascii=False), tmp_path, edit)
    assert cell(graded, "double").source == DOUBLE
    assert any(note in found for found in notes) if note else notes == []
    nbformat.writes(graded).encode()


def test_nbformat_3_is_read(release, tmp_path):
    cells = [{"cell_type": "code", "input": DOUBLE.splitlines(keepends=True), "metadata": {}, "outputs": []}]
    old = {"nbformat": 3, "metadata": {}, "worksheets": [{"cells": cells}]}
    graded, _ = through(release, json.dumps(old), tmp_path)
    assert cell(graded, "double").source == DOUBLE


def test_conflict_markers_leave_the_first_version(release, tmp_path):
    text = nbformat.writes(answered(release))
    line = next(line for line in text.splitlines() if "return 2 * x" in line)
    ours, theirs = line, line.replace("2 * x", "3 * x")
    marked = text.replace(line, f"<<<<<<< HEAD\n{ours}\n=======\n{theirs}\n>>>>>>> other")
    graded, notes = through(release, marked, tmp_path)
    assert cell(graded, "double").source == DOUBLE
    assert "the first version" in notes[0]


def test_huge_outputs_are_dropped(release, tmp_path):
    nb = answered(release)
    cell(nb, "double").outputs = [nbformat.v4.new_output("stream", text="x" * 30_000_000)]
    graded, _ = through(release, nb, tmp_path)
    assert sum(len(json.dumps(c)) for c in graded.cells) < 100_000


@pytest.mark.parametrize(
    "data",
    [b"", b"   ", b"{", b"[]", b"3", b'{"a": 1}', b'{"cells": 5}', b"\x00\x01\xff", b"[" * 100_000, b'{"cells": ["'],
)
def test_what_is_no_notebook_is_said_to_be_none(data):
    with pytest.raises(Unreadable, match=r"^The file"):
        read(data)


def test_strange_cells_are_tolerated(release, tmp_path):
    cells = [None, 5, {}, {"cell_type": 3}, {"cell_type": "code", "source": 7}, {"source": ["a", 1]}, {"metadata": []}]
    cells += [{"cell_type": "code", "source": DOUBLE, "metadata": {"nbgrader": {"grade_id": ["double"]}}}]
    graded, _ = through(release, json.dumps({"cells": cells}), tmp_path)
    assert cell(graded, "double").source == DOUBLE


def test_links_are_not_followed(tmp_path):
    (tmp_path / "real").write_text("{}")
    (tmp_path / "mini.ipynb").symlink_to(tmp_path / "real")
    with pytest.raises(Unreadable, match="a link"):
        read_file(tmp_path / "mini.ipynb")


def test_extra_cells_are_limited(release, tmp_path):
    nb = answered(release)
    nb.cells += [new_code_cell(f"x = {i}") for i in range(1000)]
    graded, notes = through(release, nb, tmp_path)
    assert len(graded.cells) == len(release.cells) + 400
    assert any("left out" in note for note in notes)
