"""lfi submit and lfi doctor, as a student meets them."""

import json
import os
import re
import shutil
import zipfile
from datetime import UTC, datetime

import nbformat
import pytest

from grading import doctor, submit
from grading.course import UserError, grade_id
from grading.lms.layouts import submit_zip


@pytest.fixture
def student(built, monkeypatch):
    """A folder as students have it: no solutions/. Returns the course's folder."""
    shutil.rmtree(built.course.root / "solutions")
    monkeypatch.delenv("LFI_COURSE")
    monkeypatch.chdir(built.course.root)
    return built.course.root


def edit(folder, change):
    """Change cells of the student's notebook; a cell for which `change` gives None is deleted."""
    path = folder / "notebooks" / "00_mini" / "mini.ipynb"
    nb = nbformat.read(path, as_version=4)
    for cell in list(nb.cells):
        source = change(grade_id(cell), cell.source)
        if source is None:
            nb.cells.remove(cell)
        else:
            cell.source = source
    nbformat.write(nb, path)


def test_an_untouched_notebook_is_packed_and_all_is_said_to_be_open(student, tmp_path):
    parcel = submit.submit("00_mini", "Ada Lovelace", tmp_path)
    assert parcel.unstarted == ["double", "quadruple", "halve", "answer_why"]
    made = submit_zip(parcel.path.name, "00_mini")
    assert made["name"] == "Ada-Lovelace"
    assert re.fullmatch(r"\d{8}T\d{6}Z", made["time"])
    with zipfile.ZipFile(parcel.path) as archive:
        assert archive.namelist() == ["mini.ipynb"]
        assert archive.read("mini.ipynb") == (student / "notebooks" / "00_mini" / "mini.ipynb").read_bytes()


def test_what_is_begun_counts_as_begun(student, tmp_path):
    sources = {
        "double": "def double(x):\n    '''Twice x.'''\n    raise NotImplementedError",
        "quadruple": "def quadruple(x):\n    if x < 0:\n        raise NotImplementedError\n    return 4 * x",
        "halve": "class Halve:\n    n = 2\n\n    def __call__(self, x):\n        raise NotImplementedError()",
        "answer_why": "Because.",
    }
    edit(student, lambda name, source: sources.get(name, source))
    assert submit.submit("mini", "ada", tmp_path).unstarted == ["double", "halve"]


def test_own_files_go_along_and_hidden_ones_do_not(student, tmp_path):
    folder = student / "notebooks" / "00_mini"
    (folder / "own.py").write_text("x = 1")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "mini.ipynb").write_text("{}")
    (folder / "old.zip").write_text("an earlier archive")
    (folder / "link").symlink_to("/etc/passwd")
    assert submit.submit("00_mini", "ada", tmp_path).files == ["mini.ipynb", "own.py"]


def test_a_notebook_elsewhere_is_packed_without_what_lies_beside_it(student, tmp_path):
    place = tmp_path / "Downloads" / "mini.ipynb"
    place.parent.mkdir()
    place.write_bytes((student / "notebooks" / "00_mini" / "mini.ipynb").read_bytes())
    (place.parent / "diary.txt").write_text("private")
    parcel = submit.submit(str(place), "ada", tmp_path)
    assert parcel.files == ["mini.ipynb"]
    assert parcel.path.name.startswith("00_mini_ada_")


def test_deleted_cells_are_named(student, tmp_path):
    (student / "notebooks" / "tasks.json").write_text(json.dumps({"00_mini": ["double", "test_double", "answer_why"]}))
    edit(student, lambda name, source: None if name in ("double", "test_double") else source)
    with pytest.raises(UserError, match=r"is not complete: cell 'double', cell 'test_double' are missing"):
        submit.submit("00_mini", "ada", tmp_path)
    (student / "notebooks" / "tasks.json").unlink()
    edit(student, lambda name, source: None if name == "halve" else source)
    with pytest.raises(UserError, match=r"is not complete: cell 'halve' is missing"):
        submit.submit("00_mini", "ada", tmp_path)
    assert not list(tmp_path.glob("*.zip"))


def test_broken_python_and_double_cells_are_warnings(student, tmp_path):
    edit(student, lambda name, source: "def double(x:\n    pass" if name == "double" else source)
    path = student / "notebooks" / "00_mini" / "mini.ipynb"
    nb = nbformat.read(path, as_version=4)
    nb.cells.append(next(cell for cell in nb.cells if grade_id(cell) == "halve").copy())
    nb.cells[-1].id = "another"
    nbformat.write(nb, path)
    first, second = submit.submit("00_mini", "ada", tmp_path).warnings
    assert re.match(r"Cell \d+ \('double'\) is no valid Python, line 1: ", first)
    assert second == "There are 2 cells 'halve'; one counts."


def test_what_is_too_large_is_refused(student, tmp_path, monkeypatch):
    monkeypatch.setattr(submit, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match=r"Clear the outputs"):
        submit.submit("00_mini", "ada", tmp_path)


def test_names_survive_the_way_to_collect():
    when = datetime(2026, 11, 24, 19, 37, tzinfo=UTC)
    for name, expected in {"ada_l": "ada_l", "Jürgen Groß": "Jürgen-Groß", "a@b.org": "a@b.org", "../x": "x"}.items():
        made = submit.archive_name("01_iou_nms", name, when)
        for told in (made, made.replace(".zip", " (1).zip"), made.replace(".zip", "-1.zip")):
            assert submit_zip(told, "01_iou_nms")["name"] == expected
        assert submit_zip(made, "02_template_matching") is None


def test_the_command(student, tmp_path, command):
    code, text = command("submit", "00_mini", "--name", "ada", "--output", tmp_path / "out")
    assert code == 0
    assert "Not started: double, quadruple, halve, answer_why." in text
    assert "upload this file" in text
    assert len(list((tmp_path / "out").glob("00_mini_ada_*Z.zip"))) == 1
    for words, sentence in {
        ("00_min",): "There is no assignment '00_min'. The assignments are: 00_mini.",
        ("nowhere.ipynb",): "There is no file nowhere.ipynb.",
        ("00_mini", "--output", str(student / "Makefile" / "x")): "Cannot write to",
    }.items():
        (student / "Makefile").write_text("a file")
        code, text = command("submit", *words)
        assert (code, sentence in text) == (2, True), text
    (student / "notebooks" / "00_mini" / "mini.ipynb").write_text("{")
    code, text = command("submit", "00_mini")
    assert (code, "cannot be read as a Jupyter notebook" in text) == (2, True)


# ---------------------------------------------------------------- doctor


def told(look):
    return [(found.state, found.told, found.advice) for found in look()]


def test_the_doctor_finds_missing_and_old_packages(monkeypatch):
    wanted = {"requires-python": ">=3.99", "dependencies": ["numpy>=999", "no-such-package>=1", "rich>=1"]}
    monkeypatch.setattr(doctor, "_project", lambda: wanted)
    (python,) = told(doctor._python)
    assert python[0] == "wrong"
    assert "Install Python >=3.99" in python[2]
    old, missing = told(doctor._packages)
    assert old[:1] + missing[:1] == ("wrong", "wrong")
    assert ">=999 is needed" in old[1]
    assert missing[1] == "no-such-package is not installed"
    assert "make setup" in missing[2]


def test_the_doctor_tells_an_import_that_fails_and_one_that_is_slow(monkeypatch):
    monkeypatch.setattr(doctor, "IMPORTS", ("no_such_module", "json"))
    monkeypatch.setattr(doctor, "SLOW", 0.0)
    failed, slow, times = told(doctor._imports)
    assert failed[0] == "wrong"
    assert "ModuleNotFoundError" in failed[1]
    assert slow[0] == "note"
    assert times[1].startswith("seconds: json")


def test_the_doctor_finds_a_full_disk_and_another_course(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "DISK", 1e9)
    assert {state for state, *_ in told(doctor._disk)} == {"wrong"}
    (tmp_path / "helpers").mkdir()
    (tmp_path / "helpers" / "seeds.py").touch()
    monkeypatch.chdir(tmp_path)
    ((state, sentence, advice),) = told(doctor._course)
    assert state == "wrong"
    assert f"you are in {tmp_path}" in sentence
    assert "pip install" in advice


def test_the_doctor_survives_what_it_finds(monkeypatch):
    def broken():
        raise RuntimeError("all wrong")

    for name in ("_python", "_packages", "_course", "_imports", "_gpu", "_memory", "_disk", "_kernel", "_data"):
        monkeypatch.setattr(doctor, name, broken)
    found = list(doctor.examine())
    assert len(found) == 9
    assert {one.state for one in found} == {"wrong"}


def test_the_doctor_says_where_data_should_be(monkeypatch, tmp_path):
    monkeypatch.setenv("LFI_DATA", os.fspath(tmp_path / "nowhere"))
    ((state, sentence, _),) = told(doctor._data)
    assert (state, "there is no such folder" in sentence) == ("wrong", True)
