"""lfi collect against archives as Moodle, Canvas, `lfi submit` and people make them, and against hostile ones."""

import csv
import io
import os
import struct
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest

from grading.course import CHECKOUT, UserError, grade_id
from grading.lms import archives
from grading.lms import collect as collecting
from grading.lms.collect import collect, read_records
from grading.lms.layouts import platform
from grading.lms.roster import read_roster, read_time
from grading.submit import archive_name

NOW = (2026, 11, 24, 20, 0, 0)
WORKSHEET = (
    "Identifier,Full name,ID number,Email address,Status,Grade,Maximum Grade,Grade can be changed,"
    "Last modified (submission),Last modified (grade),Feedback comments\r\n"
    "Participant 11,Ada Lovelace,s1001,ada@example.org,Submitted for grading,,8.00,Yes,"
    '"Monday, 23 November 2026, 10:15 PM",-,\r\n'
    "Participant 12,Jürgen Groß,s1002,jg@example.org,Submitted for grading,,8.00,Yes,"
    '"Tuesday, 24 November 2026, 12:05 AM",-,\r\n'
    "Participant 13,Nobody Yet,s1003,n@example.org,No submission,,8.00,Yes,-,-,\r\n"
)
GRADEBOOK = (
    "Student,ID,SIS User ID,SIS Login ID,Section,00_mini (4711),Current Score,Final Score\n"
    "    Points Possible,,,,,8,(read only),(read only)\n"
    '"Lovelace, Ada",501,s1001,adal,Lab 1,,,\n'
    '"Groß, Jürgen",502,s1002,jgross,Lab 1,,,\n'
)
ADA = "Ada Lovelace_11_assignsubmission_file_"
JG = "Jürgen Groß_12_assignsubmission_file_"


def answers(notebook, mark=""):
    """A submission's bytes; `mark` tells it from others."""
    nb = nbformat.read(notebook.release, as_version=4)
    for cell in nb.cells:
        if grade_id(cell) == "double":
            cell.source = f"def double(x):\n    return 2 * x  # {mark}"
    return nbformat.writes(nb).encode()


def pack(files, path=None, **entry):
    """A zip with `files` by name; returns its bytes, and writes them to `path`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, date_time=entry.get("when", NOW))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = entry.get("mode", 0o100644) << 16
            archive.writestr(info, data)
    if path:
        path.write_bytes(buffer.getvalue())
    return buffer.getvalue()


def placed(folder):
    """Everything in nbgrader's folder of submissions, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "collected.csv"
    }


@pytest.fixture
def into(tmp_path):
    return tmp_path / "submitted"


@pytest.fixture
def worksheet(tmp_path):
    path = tmp_path / "worksheet.csv"
    path.write_text(WORKSHEET, encoding="utf-8-sig", newline="")
    return path


@pytest.fixture
def take(built, tmp_path, into):
    """Collects an archive with these files."""

    def run(files, roster=None, **entry):
        path = tmp_path / "archive.zip"
        pack(files, path, **entry)
        return collect(path, built, into, read_roster(roster, UTC) if roster else None)

    return run


# ---------------------------------------------------------------- layouts


def test_moodle_folders_with_a_worksheet(built, take, into, worksheet):
    report = take({f"{ADA}/mini.ipynb": answers(built), f"{JG}/mini.ipynb": answers(built, "j")}, worksheet)
    assert not report.troubles
    assert report.counts == {"new": 2}
    assert sorted(placed(into)) == [
        f"{student}/00_mini/{name}" for student in ("s1001", "s1002") for name in ("mini.ipynb", "timestamp.txt")
    ]
    assert placed(into)["s1001/00_mini/timestamp.txt"] == b"2026-11-23 22:15:00 UTC\n"
    assert placed(into)["s1002/00_mini/timestamp.txt"] == b"2026-11-24 00:05:00 UTC\n"
    record = read_records(into)["00_mini", "s1002"]
    assert (record.system, record.id, record.name, record.email) == ("moodle", "12", "Jürgen Groß", "jg@example.org")


@pytest.mark.parametrize(
    "name",
    [
        f"{ADA}/mini.ipynb",
        f"{ADA[:-1]}/mini.ipynb",
        f"{ADA}mini.ipynb",
        f"{ADA}/00_mini/mini.ipynb",
        f"{ADA}/my solution.ipynb",
        f"kurs-00_mini-77/{ADA}/mini.ipynb",
    ],
)
def test_shapes_of_moodle(built, take, into, worksheet, name):
    assert not take({name: answers(built)}, worksheet).troubles
    assert placed(into)["s1001/00_mini/mini.ipynb"] == answers(built)


def test_moodle_without_a_worksheet_goes_by_names(built, take, into):
    twin = ADA.replace("_11_", "_14_")
    report = take({f"{name}/mini.ipynb": answers(built, name) for name in (ADA, JG, twin)})
    students = {path.split("/")[0] for path in placed(into)}
    assert students == {"Ada Lovelace 11", "Ada Lovelace 14", "Jürgen Groß"}
    assert "There are several called Ada Lovelace" in report.notes[0]
    assert report.timed == {"none": 3}


def test_canvas(built, take, into, tmp_path):
    files = {
        "lovelaceada_501_9001_mini.ipynb": answers(built),
        "lovelaceada_501_9002_picture.png": b"png",
        "großjürgen_LATE_502_9003_mini-1.ipynb": answers(built, "j"),
    }
    assert not take(files).troubles
    assert sorted(placed(into)) == [
        "501/00_mini/mini.ipynb", "501/00_mini/picture.png", "502/00_mini/mini.ipynb",
    ]  # fmt: skip
    assert read_records(into)["00_mini", "502"].late == "late"
    assert take(files, write(tmp_path / "canvas.csv", GRADEBOOK)).notes == [
        "adal was collected as 501 and keeps that name.",
        "jgross was collected as 502 and keeps that name.",
    ]


def write(path, text, encoding="utf-8"):
    path.write_text(text, encoding=encoding, newline="")
    return path


def test_canvas_with_its_gradebook_and_names_without_a_utf8_flag(built, tmp_path, into):
    """Canvas writes UTF-8 names without saying so; zipfile then reads code page 437."""
    name = "großjürgen_502_9003_mini.ipynb".encode()
    stand_in = "x" * len(name)
    path = tmp_path / "canvas.zip"
    path.write_bytes(pack({stand_in: answers(built)}).replace(stand_in.encode(), name))
    with zipfile.ZipFile(path) as archive:
        assert "groß" not in archive.namelist()[0]
    roster = read_roster(write(tmp_path / "canvas.csv", GRADEBOOK))
    assert not collect(path, built, into, roster).troubles
    assert list(placed(into)) == ["jgross/00_mini/mini.ipynb"]


def test_names_in_code_page_437(built, tmp_path, into):
    path = tmp_path / "old.zip"
    data = pack({"JXrgen/mini.ipynb": answers(built)})
    path.write_bytes(data.replace(b"JXrgen", "Jürgen".encode("cp437")))
    assert not collect(path, built, into).troubles
    assert list(placed(into)) == ["Jürgen/00_mini/mini.ipynb"]


def test_archives_of_lfi_submit_tell_name_and_time(built, tmp_path, into):
    folder = tmp_path / "inbox"
    folder.mkdir()
    early, late = datetime(2026, 11, 20, 9, tzinfo=UTC), datetime(2026, 11, 21, 9, tzinfo=UTC)
    pack({"mini.ipynb": answers(built, "late")}, folder / archive_name("00_mini", "ada_l", late))
    pack({"mini.ipynb": answers(built, "early")}, folder / archive_name("00_mini", "ada_l", early))
    report = collect(folder, built, into)
    assert placed(into)["ada_l/00_mini/mini.ipynb"] == answers(built, "late")
    assert placed(into)["ada_l/00_mini/timestamp.txt"] == b"2026-11-21 09:00:00 UTC\n"
    assert [path for path in placed(into) if path.startswith(".earlier/ada_l/00_mini/2026-11-20T090000")]
    assert report.timed == {"student": 1}


def test_submit_archives_inside_moodle_the_platform_knows_the_time(built, take, into, worksheet):
    cheat = archive_name("00_mini", "someone", datetime(2026, 1, 1, tzinfo=UTC))
    inner = {"mini.ipynb": answers(built), "timestamp.txt": b"2020-01-01 00:00:00 UTC", "own.py": b"x = 1"}
    assert not take({f"{ADA}/{cheat}": pack(inner)}, worksheet).troubles
    assert placed(into)["s1001/00_mini/timestamp.txt"] == b"2026-11-23 22:15:00 UTC\n"
    assert placed(into)["s1001/00_mini/own.py"] == b"x = 1"


@pytest.mark.parametrize(
    "files",
    [
        ["ada/mini.ipynb", "bob/mini.ipynb"],
        ["ada/00_mini/mini.ipynb", "bob/00_mini/mini.ipynb"],
        ["class/ada/mini.ipynb", "class/bob/mini.ipynb"],
        ["ada/work/mini.ipynb", "bob/mini.ipynb"],
    ],
)
def test_folders_that_people_make(built, take, tmp_path, into, files):
    take({name: answers(built, name) for name in files})
    expected = {f"{student}/00_mini/mini.ipynb" for student in ("ada", "bob")}
    assert set(placed(into)) == expected
    for name in files:
        path = tmp_path / "loose" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(answers(built, name))
    (tmp_path / "loose" / "roster.csv").write_text("a class list")
    report = collect(tmp_path / "loose", built, tmp_path / "again")
    assert set(placed(tmp_path / "again")) == expected
    assert not report.troubles


def test_nested_archives_are_opened(built, take, into, worksheet):
    inner = pack({"work/mini.ipynb": answers(built)})
    take({f"{ADA}/a.zip": pack({"b.zip": inner}), f"{JG}/mini.ipynb": answers(built)}, worksheet)
    assert placed(into)["s1001/00_mini/mini.ipynb"] == answers(built)


def test_downloads_of_two_days_in_one_folder(built, tmp_path, into, worksheet):
    folder = tmp_path / "downloads"
    folder.mkdir()
    pack({f"{ADA}/mini.ipynb": answers(built, 1)}, folder / "a.zip", when=(2026, 11, 23, 1, 0, 0))
    pack({f"{ADA}/mini.ipynb": answers(built, 2)}, folder / "b.zip", when=(2026, 11, 24, 1, 0, 0))
    collect(folder, built, into, read_roster(worksheet))
    assert placed(into)["s1001/00_mini/mini.ipynb"] in (answers(built, 1), answers(built, 2))


def test_names_of_platforms():
    assert platform("Ada_1_assignsubmission_onlinetext_")[0].id == "1"
    assert platform("anon_x7f2k_67890_mini.ipynb")[0].id == "x7f2k"
    assert platform("iou_nms.ipynb") is None
    assert platform("Ada Lovelace") is None


# ---------------------------------------------------------------- again, and again


def test_twice_changes_nothing(built, take, into, worksheet):
    files = {f"{ADA}/mini.ipynb": answers(built), f"{JG}/mini.ipynb": answers(built, "j")}
    take(files, worksheet)
    before = {path: path.stat().st_mtime_ns for path in into.rglob("*.ipynb")}
    table = (into / "collected.csv").read_bytes()
    report = take(files, worksheet)
    assert (report.counts, report.notes) == ({"unchanged": 2}, [])
    assert {path: path.stat().st_mtime_ns for path in into.rglob("*.ipynb")} == before
    assert (into / "collected.csv").read_bytes() == table


def test_a_resubmission_counts_and_the_earlier_one_is_kept(built, take, into):
    name = f"{ADA}/mini.ipynb"
    take({name: answers(built, "first")}, when=(2026, 11, 23, 8, 0, 0))
    report = take({name: answers(built, "second")}, when=(2026, 11, 24, 8, 0, 0))
    assert report.counts == {"newer": 1}
    (earlier,) = (path for path in placed(into) if path.startswith(".earlier"))
    assert placed(into)["Ada Lovelace/00_mini/mini.ipynb"] == answers(built, "second")
    assert placed(into)[earlier] == answers(built, "first")
    after = placed(into)
    report = take({name: answers(built, "first")}, when=(2026, 11, 23, 8, 0, 0))  # the old download once more
    assert report.counts == {"older": 1}
    assert placed(into) == after


def test_a_worksheet_that_comes_later_adds_the_times(built, take, into, worksheet):
    files = {f"{ADA}/mini.ipynb": answers(built)}
    take(files)
    report = take(files, worksheet)
    assert report.counts == {"unchanged": 1}
    assert placed(into)["Ada Lovelace/00_mini/timestamp.txt"] == b"2026-11-23 22:15:00 UTC\n"
    assert report.notes == ["s1001 was collected as Ada Lovelace and keeps that name."]


@pytest.mark.parametrize("after", range(4))
def test_a_run_that_is_killed_is_mended_by_the_next(built, take, into, monkeypatch, after):
    """Killed at any step of putting folders into place: what was there is still there, and what comes comes."""
    take({f"{ADA}/mini.ipynb": answers(built, "first")}, when=(2026, 11, 23, 8, 0, 0))
    left = iter(range(after))
    real = os.replace

    def replace(*args):
        if next(left, None) is None:
            raise KeyboardInterrupt
        real(*args)

    files = {f"{ADA}/mini.ipynb": answers(built, "second"), f"{JG}/mini.ipynb": answers(built, "j")}
    with monkeypatch.context() as patch:
        patch.setattr(collecting.os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            take(files)
    take(files)
    found = placed(into)
    assert found["Ada Lovelace/00_mini/mini.ipynb"] == answers(built, "second")
    assert found["Jürgen Groß/00_mini/mini.ipynb"] == answers(built, "j")
    assert answers(built, "first") in [data for path, data in found.items() if path.startswith(".earlier")]
    assert not (into / ".collecting").exists()


# ---------------------------------------------------------------- what does not belong


def test_who_is_not_in_the_class_list_is_reported(built, take, into, worksheet):
    files = {f"{ADA}/mini.ipynb": answers(built), "Eve X_99_assignsubmission_file_/mini.ipynb": answers(built)}
    report = take(files, worksheet)
    assert report.troubles == ["Eve X (99) is not in worksheet.csv: 'mini.ipynb'; not collected."]
    assert report.counts == {"new": 1}


def test_files_of_nobody_and_without_a_notebook_are_reported(built, take):
    report = take({"mini.ipynb": answers(built), f"{ADA}/report.pdf": b"%PDF", f"{JG}/mini.ipynb": answers(built)})
    assert report.troubles == [
        "Ada Lovelace has handed in no notebook: 'report.pdf'; not collected.",
        "It cannot be told whose they are: 'mini.ipynb'; not collected.",
    ]
    assert report.counts == {"new": 1}


def test_a_broken_notebook_is_collected_so_that_grading_can_tell(take, into):
    take({f"{ADA}/mini.ipynb": b'{"cells": ['})
    assert placed(into)["Ada Lovelace/00_mini/mini.ipynb"] == b'{"cells": ['


def test_a_notebook_inside_does_not_make_one_somebody_else(built, take, into, worksheet):
    take({f"{ADA}/{JG}/mini.ipynb": answers(built)}, worksheet)
    assert {path.split("/")[0] for path in placed(into)} == {"s1001"}


# ---------------------------------------------------------------- hostile and damaged archives


def encrypted(data):
    """The archive with the flag of encryption set on its first entry."""
    data = bytearray(data)
    data[6] |= 1
    place = data.rindex(b"PK\x01\x02")
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert place
    return bytes(data)


def bomb(size):
    return pack({"mini.ipynb": b"0" * size})


def corrupt(data):
    """Wrong bytes in the middle of the first entry."""
    return data[:200] + bytes(40) + data[240:]


def many(count):
    return pack({f"{number}.txt": b"" for number in range(count)})


def deep(data, levels):
    for level in range(levels):
        data = pack({f"{level}.zip": data})
    return data


HOSTILE = {
    "traversal": (lambda nb: pack({"../../../evil.ipynb": nb}), "leads outside of the archive"),
    "absolute": (lambda nb: pack({"/etc/evil.ipynb": nb}), "leads outside of the archive"),
    "backslashes": (lambda nb: pack({"..\\..\\evil.ipynb": nb}), "leads outside of the archive"),
    "drive": (lambda nb: pack({"C:/evil.ipynb": nb}), "leads outside of the archive"),
    "symlink": (lambda nb: pack({"mini.ipynb": b"/etc/passwd"}, mode=0o120777), "is a link or no ordinary file"),
    "device": (lambda nb: pack({"mini.ipynb": b""}, mode=0o020666), "is a link or no ordinary file"),
    "ratio": (lambda nb: bomb(11 << 20), "unpacks to more than 200 times its size"),
    "size": (lambda nb: bomb(archives.MAX_NESTED[1] + 1), "would unpack to 128 MB, more than"),
    "many": (lambda nb: many(1001), "holds more files than the 1000"),
    "bombs": (lambda nb: pack({f"{i}.zip": bomb(9 << 20) for i in range(20)}), "would unpack to"),
    "deep": (lambda nb: deep(pack({"mini.ipynb": nb}), 5), "is an archive in an archive, 3 deep"),
    "encrypted": (lambda nb: encrypted(pack({"mini.ipynb": nb})), "is encrypted"),
    "truncated": (lambda nb: pack({"mini.ipynb": nb})[:300], "is not a whole zip archive"),
    "damaged": (lambda nb: corrupt(pack({"mini.ipynb": nb})), "is damaged"),
    "empty": (lambda nb: b"", "is not a whole zip archive"),
    "text": (lambda nb: b"I am no archive", "is not a whole zip archive"),
    "foreign": (lambda nb: pack({"mini.rar": nb}), "of a kind that is not opened here; ask for a .zip"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_cost_a_sentence_and_nobody_else(built, take, into, tmp_path, kind):
    make, sentence = HOSTILE[kind]
    around = {path for path in tmp_path.parent.rglob("*") if into not in path.parents}
    report = take({f"{ADA}/hand-in.zip": make(answers(built)), f"{JG}/mini.ipynb": answers(built)})
    assert sum(sentence in trouble for trouble in report.troubles) >= 1, report.troubles
    assert all("hand-in.zip" in trouble or "no notebook" in trouble for trouble in report.troubles)
    assert {path for path in placed(into) if kind != "bombs" or "Ada" not in path} == {"Jürgen Groß/00_mini/mini.ipynb"}
    new = {path for path in tmp_path.parent.rglob("*") if into not in path.parents} - around
    assert new <= {into, tmp_path / "archive.zip"}


def test_what_a_students_archive_may_unpack_to_is_counted_through_all_its_levels(built, tmp_path):
    unpacking = archives.Unpacking(tmp_path)
    source = tmp_path / "bombs"
    pack({"student.zip": pack({f"{i}.zip": bomb(9 << 20) for i in range(20)})}, source)
    unpacking.add(source)
    assert sum(file.path.stat().st_size for file in unpacking.files) <= archives.MAX_NESTED[1]


def test_a_size_that_lies_is_not_believed(built, take, into):
    """An entry that claims to be small yields no more than it claims, and fails its checksum."""
    data = bytearray(pack({"mini.ipynb": b"0" * 100_000}))
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, 10)
    report = take({f"{ADA}/hand-in.zip": bytes(data)})
    assert "is damaged" in report.troubles[0]


def test_links_in_a_folder_are_not_followed(built, tmp_path, into):
    folder = tmp_path / "in" / "ada"
    folder.mkdir(parents=True)
    (folder / "mini.ipynb").write_bytes(answers(built))
    (folder / "passwords.txt").symlink_to("/etc/passwd")
    report = collect(tmp_path / "in", built, into)
    assert "is a link" in report.troubles[0]
    assert list(placed(into)) == ["ada/00_mini/mini.ipynb"]


# ---------------------------------------------------------------- class lists


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Monday, 23 November 2026, 10:15 PM", "2026-11-23T22:15"),
        ("Montag, 23. November 2026, 22:15", "2026-11-23T22:15"),
        ("Dienstag, 3. März 2026, 00:05", "2026-03-03T00:05"),
        ("Tuesday, 3 March 2026, 12:05 AM", "2026-03-03T00:05"),
        ("2026-11-23 22:15", "2026-11-23T22:15"),
        ("2026-11-23 23:15 Europe/Berlin", "2026-11-23T22:15"),
        ("20261123T221500Z", "2026-11-23T22:15"),
        ("-", None),
        ("soon", None),
        ("31 February 2026, 10:00", None),
        ("2026-11-23 22:15 Nowhere/Town", None),
    ],
)
def test_times(text, expected):
    when = read_time(text, UTC)
    assert (when and when.strftime("%Y-%m-%dT%H:%M")) == expected


def test_a_german_worksheet_with_semicolons(tmp_path):
    text = (
        "ID;Vollständiger Name;E-Mail-Adresse;Status;Bewertung;Bestwertung;Bewertung kann geändert werden;"
        "Zuletzt geändert (Abgabe);Zuletzt geändert (Bewertung)\n"
        "Teilnehmer/in 12;Jürgen Groß;jg@example.org;Zur Bewertung abgegeben;;8,00;Ja;"
        "Dienstag, 24. November 2026, 00:05;-\n"
    )
    for encoding in ("utf-8", "utf-8-sig", "cp1252", "utf-16"):
        (person,) = read_roster(write(tmp_path / "list.csv", text, encoding), UTC).people
        assert (person.id, person.student, person.name) == ("12", "jg@example.org", "Jürgen Groß")
        assert person.submitted == datetime(2026, 11, 24, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "Student;ID\nx;1\n", "\x00"])
def test_a_list_that_is_none_is_refused(tmp_path, text):
    with pytest.raises(UserError, match=r"is not a class list of Moodle or Canvas"):
        read_roster(write(tmp_path / "list.csv", text))


# ---------------------------------------------------------------- commands


def test_the_command(built, tmp_path, worksheet, into, command):
    pack({f"{ADA}/mini.ipynb": answers(built), "Eve_9_assignsubmission_file_/x.ipynb": b"{}"}, tmp_path / "m.zip")
    words = ["collect", tmp_path / "m.zip", "--assignment", "00_mini", "--output", into]
    code, text = command(*words, "--roster", worksheet, "--timezone", "Europe/Berlin")
    assert code == 1
    assert "Eve (9) is not in worksheet.csv: 'x.ipynb'; not collected." in text
    assert "1 submissions to 00_mini: 1 new, 0 newer, 0 older, 0 unchanged." in text
    assert placed(into)["s1001/00_mini/timestamp.txt"] == b"2026-11-23 21:15:00 UTC\n"
    with (into / "collected.csv").open() as file:
        assert next(csv.DictReader(file))["email"] == "ada@example.org"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere.zip", "--assignment", "00_mini"], "There is no file or folder nowhere.zip."),
        (["text.zip", "--assignment", "00_mini"], "holds no submission that could be collected"),
        (["text.zip", "--assignment", "07_none"], "There is no assignment '07_none'"),
        (["text.zip", "--assignment", "00_mini", "--roster", "none.csv"], "The class list none.csv cannot be read"),
        (["text.zip", "--assignment", "00_mini", "--timezone", "Mars"], "There is no time zone 'Mars'"),
        (["text.zip", "--assignment", "00_mini", "--output", "text.zip/x"], "Cannot write to text.zip/x"),
        ([".", "--assignment", "00_mini", "--output", "here"], "choose an output folder outside"),
    ],
)
def test_bad_words(built, tmp_path, words, sentence, command):
    (tmp_path / "text.zip").write_text("no archive")
    code, text = command("collect", *words, *([] if "--output" in words else ["--output", "out"]), cwd=tmp_path)
    assert (code, sentence in text) == (2, True), text


def test_nbgraders_own_zip_collect(built):
    """With the plug-ins that grading/nbgrader_config.py names."""
    archive = built.course.work / "downloaded" / "00_mini" / "archive"
    archive.mkdir(parents=True)
    pack({f"{ADA}/mini.ipynb": answers(built), f"{JG}/../evil.ipynb": b"{}"}, archive / "moodle.zip")
    write(archive / "worksheet.csv", WORKSHEET)
    words = [Path(sys.executable).parent / "nbgrader", "zip_collect", "00_mini"]
    done = subprocess.run(
        words, cwd=CHECKOUT / "grading", capture_output=True, text=True, env=os.environ | {"TZ": "UTC"}
    )
    assert done.returncode == 0, done.stderr
    assert "leads outside of the archive" in done.stderr
    place = built.course.work / "submitted" / "s1001" / "00_mini"
    assert (place / "mini.ipynb").read_bytes() == answers(built)
    assert (place / "timestamp.txt").read_text().startswith("2026-11-23 22:15:00")
