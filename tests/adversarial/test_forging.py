"""No trick in a notebook earns points: only values that are compared outside of it count."""

import pytest

ZERO = "def double(x):\n    return x"
RIGHT = (4.0, 2.0, 3.0)

FORGERIES = {
    "prints points": "print(4.0)",
    "last expression": "4.0",
    "execute_result by the display hook": "import sys\nsys.displayhook(4.0)",
    "display": "from IPython.display import display\ndisplay(4.0)",
    "raw message": """
from IPython import get_ipython
k = get_ipython().kernel
for n in range(9):
    content = {"data": {"text/plain": "4.0"}, "metadata": {}, "execution_count": n}
    k.session.send(k.iopub_socket, "execute_result", content, parent=k.get_parent(), ident=b"x")
""",
    "patched numpy.testing": """
import numpy.testing as t
t.assert_allclose = t.assert_array_equal = lambda *a, **k: None
""",
    "patched allclose": "np.allclose = np.array_equal = lambda *a, **k: True",
    "patched builtins": """
import builtins
builtins.all = builtins.any = builtins.isinstance = lambda *a: True
""",
    "equal to everything": """
class Yes:
    def __eq__(self, other): return True
    def __array__(self, *args, **kwargs): return np.ones(3)
    def __bool__(self): return True
def double(x): return Yes()
""",
    "array that is equal to everything": """
class A(np.ndarray):
    def __eq__(self, other): return np.ones(self.shape, bool)
    def __array_function__(self, *a): return True
    def __array_ufunc__(self, *a, **k): return np.zeros(self.shape)
def double(x): return np.zeros_like(x).view(A)
""",
    "lying shape": """
class S:
    shape = (2, 3)
    dtype = np.dtype("f8")
    def __len__(self): return 2
def double(x): return S()
""",
    "stops the asserts": """
import ast
class Strip(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.Pass()
get_ipython().ast_transformers.append(Strip())
""",
    "skips cells": "get_ipython().run_cell = lambda *a, **k: None",
    "plugs pytest": "import sys, types\nsys.modules['pytest'] = types.ModuleType('pytest')",
    "a score in the names": "score = points = total = 4.0\n__lfi__ = _lfi = {'serve': lambda *a: None}",
    "exits with success": "import atexit\natexit.register(lambda: print('4.0'))",
    "error that is not one": "raise type('CellExecutionComplete', (Exception,), {})('4.0')",
    "fake module": """
import sys, types
grading = types.ModuleType("grading")
grading.plain = types.SimpleNamespace(score=lambda *a: 4.0)
sys.modules["grading"] = grading
""",
}

# Against the stub itself, which is in the student's hands: it may answer what it likes, but not know the answers.
STUBS = {
    "socket that says yes": """
import socket
class S(socket.socket):
    def sendall(self, data, *a):
        return super().sendall(b'\\x02\\x00\\x00\\x00\\x00\\x00\\x00\\x00[]')
socket.socket = S
""",
    "socket that says nothing": "import socket\nsocket.socket.connect = lambda *a: None",
    "no socket": "import socket\ndel socket.socket",
    "json that says yes": 'import json\njson.dumps = lambda *a, **k: \'{"d": [["value", true]]}\'',
    "json that fails": "import json\njson.loads = None",
    "struct that lies": "import struct\nstruct.pack = lambda *a: b'\\xff' * 8",
    "exec that does nothing": "import builtins\nbuiltins.exec = lambda *a: None",
    "compile that fails": "import builtins\nbuiltins.compile = None",
    "answers before it is asked": """
import socket
class S(socket.socket):
    def connect(self, *a):
        super().connect(*a)
        self.sendall(b'\\x02\\x00\\x00\\x00\\x00\\x00\\x00\\x00[]' * 100)
socket.socket = S
""",
    "a frame without end": """
import socket
class S(socket.socket):
    def sendall(self, data, *a):
        return super().sendall(b'\\xff\\xff\\xff\\x00\\x00\\x00\\x00\\x00')
socket.socket = S
""",
    "a bomb of small parts": """
import socket, struct
class S(socket.socket):
    def sendall(self, data, *a):
        tree = b'{"l":[' + b'{"l":[]},' * 600000 + b'0]}'
        return super().sendall(struct.pack('<II', len(tree), 0) + tree)
socket.socket = S
""",
    "a helper thread that connects first": """
import threading, socket, os, time
def race():
    while True:
        try:
            s = socket.socket(socket.AF_UNIX); s.connect('/job/s'); s.sendall(b'x' * 100); time.sleep(9)
        except OSError: time.sleep(0.0005)
threading.Thread(target=race, daemon=True).start()
""",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_earns_nothing(grade, name):
    answers = {} if "def double" in FORGERIES[name] else {"double": ZERO}
    graded = grade(last=FORGERIES[name], **answers)
    assert graded.scores[0] <= 2.0  # a function that returns its argument keeps the shape and the argument
    assert graded.verdicts["double"]["status"] in ("failed", "partial", "stopped")


@pytest.mark.parametrize("name", STUBS)
def test_a_forged_stub_earns_nothing(grade, name):
    graded = grade(last=STUBS[name], double=ZERO)
    assert graded.scores[0] <= 2.0
    assert graded.verdicts["double"]["status"] in ("failed", "partial", "stopped")


def test_the_score_of_a_test_cell_is_ours(grade):
    graded = grade(double=ZERO, last="print('double: 4 of 4 points')")
    (cell,) = [
        c for c in graded.notebook.cells if c.get("metadata", {}).get("nbgrader", {}).get("grade_id") == "test_double"
    ]
    assert [output.output_type for output in cell.outputs] == ["stream", "execute_result"]
    assert cell.outputs[1]["data"]["text/plain"] == "2"


def test_a_changed_test_cell_counts_for_nothing(grade):
    assert grade(double=ZERO, test_double="4.0").scores[0] == 2.0


def test_forged_names_of_routines_reach_nobody(grade):
    code = "def double(x):\n    raise type('ForbiddenShortcut', (type('<b>x</b>', (Exception,), {}),), {})"
    graded = grade(double=code)
    assert graded.scores[0] == 0
    assert "<b>" not in str(graded.verdicts)
