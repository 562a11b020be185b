"""A class of 120, killed in the middle and taken up again: nothing is lost, and nothing is done twice."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from grading.demo import make_class

LFI = Path(sys.executable).parent / "lfi"
CLASS = 120
PATIENCE = 900  # seconds; the machine may be busy with other tests


def lfi(*words):
    done = subprocess.run([LFI, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


def start_and_kill(seen, *words):
    """Start a command; kill it and all that it started as soon as `seen()`, or once it has ended by itself."""
    process = subprocess.Popen([LFI, *map(str, words)], stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + PATIENCE
        while not seen() and process.poll() is None:
            assert time.monotonic() < deadline, f"nothing came of lfi {words[0]}"
            time.sleep(0.05)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def times(paths):
    """When each file was written; 0 for one that is being written anew."""
    found = {}
    for path in paths:
        try:
            found[path] = path.stat().st_mtime_ns
        except FileNotFoundError:
            found[path] = 0
    return found


def test_a_class_of_120_survives_kills(built, tmp_path):
    names = make_class([built], tmp_path / "in", CLASS)
    output, where = tmp_path / "out", ("--output", tmp_path / "out")
    words = ("grade", "--submitted", tmp_path / "in", *where)

    def records():
        return list(output.glob("autograded/*/*/*.key"))

    start_and_kill(lambda: len(records()) >= 10, *words)
    kept = times(records())
    assert len(kept) >= 10
    assert f"{CLASS}/{CLASS} submissions" in lfi(*words)
    assert len(records()) == CLASS
    assert kept.items() <= times(records()).items(), "what had a record was not graded again"
    with (output / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted({row["student"] for row in rows}) == sorted(names)
    assert len(rows) == 4 * CLASS
    scores = (output / "scores.csv").read_bytes()

    pages = sorted(output.glob("feedback/*/*/*.html"))
    assert len(pages) == CLASS
    before, written = {page: page.read_text() for page in pages}, times(pages)
    start_and_kill(lambda: times(pages) != written, "feedback", *where)
    assert f"{CLASS}/{CLASS} pages" in lfi("feedback", *where)
    assert {page: page.read_text() for page in pages} == before

    assert "report.html" in lfi("report", *where)
    assert f"{CLASS} submissions, 3 tasks" in (output / "report.html").read_text()
    assert f"{CLASS}/{CLASS} submissions" in lfi(*words)
    assert (output / "scores.csv").read_bytes() == scores
