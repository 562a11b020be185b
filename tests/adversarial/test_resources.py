"""Whatever a submission does to its kernel costs its own task; the others are graded, in time."""

import time

import pytest

RIGHT = (4.0, 2.0, 3.0)

# What ends or blocks the kernel, as the body of a function or as a cell; in "..." stands what the student is told.
DEADLY = {
    "exit": ("import os; os._exit(0)", "ended the kernel"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "segmentation fault"),
    "abort": ("import os; os.abort()", "ended the kernel|crashed"),
    "stack overflow": ("import sys; sys.setrecursionlimit(10**9); f = lambda x: repr(x); x = []\n"
                       "    for _ in range(10**6): x = [x]\n    repr(x)", "crashed"),
    "memory bomb": ("b = []\n    while True: b.append(b'x' * 50_000_000)", "memory|MemoryError"),
}  # fmt: skip
ENDLESS = {
    "loop": "while True: pass",
    "sleep": "import time; time.sleep(1000)",
    "swallows interrupts": "exec('while True:\\n try:\\n  while True: pass\\n except BaseException: pass')",
    "ignores signals": "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n    while True: pass",
    "holds the interpreter in C": "10 ** 10 ** 9",
    "regex catastrophe": "import re; re.match(r'(a+)+$', 'a' * 60 + 'b')",
    "waits for input": "import sys; sys.__stdin__.read(); __import__('threading').Event().wait()",
    "waits for a lock": "import threading; l = threading.Lock(); l.acquire(); l.acquire()",
}


def function(body):
    return f"def double(x):\n    {body}\n    return 2 * x"


@pytest.mark.parametrize("name", DEADLY)
def test_a_deadly_function_costs_its_task(grade, name):
    body, words = DEADLY[name]
    quadruple = "def quadruple(x):\n    return 4 * x"
    graded = grade(double=function(body), quadruple=quadruple, settings={"timeout": 8, "call_seconds": 8.0})
    assert graded.scores == (0.0, 2.0, 3.0)
    assert graded.verdicts["double"]["status"] in ("stopped", "failed")
    told = graded.notes["double"] + str(graded.verdicts["double"]["outcomes"])
    assert any(word in told for word in words.split("|")), told


@pytest.mark.parametrize("name", ENDLESS)
def test_an_endless_function_costs_its_task(grade, name):
    start = time.monotonic()
    graded = grade(double=function(ENDLESS[name]), quadruple="def quadruple(x):\n    return 4 * x")
    assert graded.scores == (0.0, 2.0, 3.0)
    assert "took longer than" in graded.notes["double"]
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("name", [*DEADLY, "sleep", "swallows interrupts", "holds the interpreter in C"])
def test_a_deadly_cell_costs_no_task(grade, name):
    body = DEADLY[name][0] if name in DEADLY else ENDLESS[name]
    graded = grade(last=body.replace("\n    ", "\n"))
    assert graded.scores == RIGHT
    if name not in ("sleep", "stack overflow", "memory bomb"):
        assert graded.incidents


def test_a_memory_bomb_is_told_as_one(grade):
    code = "x = []\nwhile True: x.append(b'x' * (32 << 20))"
    told = []
    for sandbox in ({"memory": 256 << 20}, {}):
        graded = grade(last=code, sandbox=sandbox, settings={"timeout": 15})
        told.append(graded.everything)
        assert graded.scores == RIGHT
    assert all("MemoryError" in text or "needed more memory" in text for text in told)


def test_many_small_processes_of_memory_are_counted_together(grade):
    code = """
import os, time
for _ in range(20):
    if os.fork() == 0:
        x = bytearray(os.urandom(1 << 20)) * 100
        time.sleep(60)
time.sleep(60)
"""
    graded = grade(last=code, sandbox={"memory": 500 << 20}, settings={"timeout": 10})
    assert graded.scores == RIGHT


def test_a_fork_bomb_ends_with_its_kernel(grade):
    """A copy of the kernel may answer in its place, so that the next cell waits for the bomb: that task may be lost."""
    graded = grade(last="import os\nwhile True:\n    try: os.fork()\n    except OSError: pass")
    assert graded.scores[1:] == RIGHT[1:]


def test_a_thread_bomb_ends_with_its_kernel(grade):
    graded = grade(last="import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()")
    assert graded.scores == RIGHT


def test_a_full_disk_is_the_submissions_own(grade):
    code = """
import itertools, tempfile
try:
    for n in itertools.count():
        open(f'{tempfile.gettempdir()}/{n}', 'wb').write(b'x' * (16 << 20))
except OSError as error: print(n * 16, type(error).__name__, error)
"""
    graded = grade(first=code, settings={"timeout": 20}, sandbox={"disk": 100 << 20})
    assert graded.printed().startswith(("5", "6", "7", "8", "9"))
    assert graded.scores == RIGHT


def test_a_huge_file_is_refused(grade):
    graded = grade(first="import tempfile; f = open(tempfile.gettempdir() + '/x', 'wb'); f.truncate(1 << 40)")
    assert graded.scores == RIGHT


FLOODS = {
    "prints without end": "while True: print('x' * 10000)",
    "prints much at once": "print('x' * 300_000_000)",
    "many outputs": "from IPython.display import display\nfor n in range(20000): display(n)",
    "one huge picture": "from IPython.display import HTML, display\ndisplay(HTML('x' * 100_000_000))",
    "writes to the stream below": "import os\nwhile True: os.write(1, b'x' * 100000)",
    "errors without end": "raise Exception('x' * 100_000_000)",
    "deep output": """
k = get_ipython().kernel; deep = []
for _ in range(900): deep = [deep]
k.session.send(k.iopub_socket, "display_data", {"data": {"application/json": deep}, "metadata": {}}, k.get_parent())
""",
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_output_is_cut(grade, name):
    start = time.monotonic()
    graded = grade(last=FLOODS[name])
    assert graded.scores == RIGHT
    assert len(graded.everything) < 20_000_000
    assert time.monotonic() - start < 60


STRANGE = {
    "closes the kernel's sockets": "get_ipython().kernel.shell_socket.close() if hasattr(get_ipython().kernel, "
    "'shell_socket') else get_ipython().kernel.shell_stream.close()",
    "closes every file": "import os; os.closerange(3, 1000)",
    "closes the standard streams": "import sys, os\nsys.stdout.close(); sys.stderr.close(); os.close(1); os.close(2)",
    "no streams": "import sys\nsys.stdout = sys.stderr = None",
    "deletes its folder": "import shutil, os\nshutil.rmtree(os.getcwd())",
    "leaves its folder": "import os\nos.chdir('/')",
    "empties sys.modules": "import sys\nsys.modules.clear()",
    "deletes all names": "%reset -f",
    "no built-ins": "import builtins\nfor n in list(vars(builtins)):\n    delattr(builtins, n)",
    "forged replies": """
k = get_ipython().kernel
for _ in range(1000):
    k.session.send(k.iopub_socket, "status", {"execution_state": "idle"}, parent=k.get_parent(), ident=b"status")
""",
    "malformed messages": """
k = get_ipython().kernel
for content in ({}, [], None, 3, {"name": 3, "text": []}, {"data": 3}, {"data": {"image/png": {}}, "metadata": 3},
                {"data": {"text/plain": "\\ud800"}, "metadata": {"\\ud800": "\\ud800"}}, {"execution_state": {}},
                {"ename": 1, "evalue": [], "traceback": "x"}, {"traceback": [1, None]}, {"data": {"x": "y"}},
                {"data": {"text/plain": "x"}, "transient": {"display_id": []}}, {"data": {"a/b": 1}, "transient": 3}):
    for kind in ("stream", "display_data", "execute_result", "error", "status", "clear_output", "comm_open",
                 "update_display_data", "nonsense", ""):
        k.session.send(k.iopub_socket, kind, content, parent=k.get_parent())
k.iopub_socket.send_multipart([b"x"] * 3)
k.iopub_socket.send_multipart([b"<IDS|MSG>", b"", b"{", b"{", b"{", b"{"])
""",
    "another key": "get_ipython().kernel.session.key = b'other'",
    "exits": "exit()",
    "sys.exit": "import sys\nsys.exit(4)",
    "quits": "quit",
    "asks": "input('points? ')",
    "magic that asks": "%debug",
    "debugger": "breakpoint()",
    "threads left behind": """
import threading, time
def chatter():
    while True: print('still here'); time.sleep(0.001)
for _ in range(3): threading.Thread(target=chatter, daemon=True).start()
""",
    "timers left behind": "import signal\nsignal.signal(signal.SIGALRM, lambda *a: 1 / 0)\n"
    "signal.setitimer(signal.ITIMER_REAL, 0.3, 0.3)",
    "hooks": "get_ipython().events.register('pre_run_cell', lambda *a: 1 / 0)",
    "post hooks": "get_ipython().events.register('post_run_cell', lambda *a: exit())",
    "tracing": "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)",
    "small recursion limit": "import sys\nsys.setrecursionlimit(60)",
    "an event loop of its own": "import asyncio\nasyncio.get_event_loop().stop()",
    "patched time": "import time\ntime.time = time.monotonic = lambda: 0.0",
}
BREAKS_ITSELF = {
    "no streams",
    "deletes all names",
    "no built-ins",
    "another key",
    "closes the kernel's sockets",
    "small recursion limit",
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_cell_harms_nobody_else(grade, name):
    start = time.monotonic()
    graded = grade(last=STRANGE[name])
    assert time.monotonic() - start < 120
    if name in BREAKS_ITSELF:
        assert set(graded.verdicts) == {"double", "quadruple", "halve"}
    else:
        assert graded.scores == RIGHT, graded.notes


def test_restarts_are_counted(grade):
    deadly = "def {}(x):\n    import os; os._exit(1)"
    answers = {name: deadly.format(name) for name in ("double", "quadruple", "halve")}
    graded = grade(**answers, settings={"max_restarts": 1})
    assert graded.scores == (0.0, 0.0, 0.0)
    assert "too often" in graded.notes["halve"]


def test_a_submission_has_so_much_time_and_no_more(grade):
    start = time.monotonic()
    graded = grade(first="import time; time.sleep(60)", last="time.sleep(60)", settings={"submission_seconds": 3.0})
    assert time.monotonic() - start < 40
    assert graded.scores[2] == 0.0
    assert "used up its 3 seconds" in graded.notes["halve"]


def test_good_cells_run_again_in_the_new_kernel(grade):
    halve = "def halve(x):\n    return np.asarray(x, float) / divisor"
    graded = grade(first="divisor = 2.0", last="import os; os._exit(1)", halve=halve)
    assert graded.scores == RIGHT


def test_a_cell_that_only_fails_when_run_again_is_left_out(grade):
    """It runs once, but not where it has run before: files are fresh in each kernel, so it sees nothing of that."""
    graded = grade(first="import os\nassert not os.path.exists('seen')\nopen('seen', 'w')", last="os._exit(1)")
    assert graded.scores == RIGHT


def test_an_incident_steers_no_terminal(grade):
    graded = grade(last="'\x1b]0;owned\x07\x1b[2J'; import os; os._exit(1)")
    (sentence,) = graded.incidents
    assert sentence.isprintable()
    assert "owned" in sentence
