"""Kernels that begin after the same first cells share nothing that a student can change, and no student's secret."""

import pytest

from grading.session import KernelSession, sandboxed

RIGHT = (4.0, 2.0, 3.0)
FLOODING = "display({'image/png': 'A' * 9_000_000}, raw=True)"

CHANGES = {
    "a released name": "np.seen = 'by another'",
    "a module": "import sys, types\nsys.modules['seen'] = types.ModuleType('seen')",
    "an attribute of a library": "import torch\ntorch.seen = 'by another'",
    "matplotlib's settings": "import matplotlib\nmatplotlib.rcParams['lines.linewidth'] = 77",
    "an environment variable": "import os\nos.environ['SEEN'] = '1'",
}
LOOK = """
import sys, os, torch, matplotlib
print('seen' in sys.modules, hasattr(np, 'seen'), hasattr(torch, 'seen'),
      matplotlib.rcParams['lines.linewidth'] == 77, 'SEEN' in os.environ)
"""
JOBS = """
import gc, sys
def jobs():
    frame, found = sys._getframe(), []
    while frame:
        found += [sorted(v.kernels) for v in frame.f_locals.values() if hasattr(v, 'own_processes')]
        frame = frame.f_back
    keys = [x['key'] for x in gc.get_objects() if type(x) is dict and 'key' in x and 'rlimits' in x]
    return [x for x in found if x], [x for x in keys if x != get_ipython().kernel.session.key.decode()]
print(jobs())
"""
PROLOGUES = {"no prologue": (), "a prologue": ("import numpy as np", "box = [0]\ndef peek():\n    return box")}


@pytest.fixture(params=PROLOGUES)
def two_kernels(request):
    """Two kernels that live at once."""
    sessions = [KernelSession(sandboxed, prologue=PROLOGUES[request.param]) for _ in range(2)]
    for session in sessions:
        session.start()
        session.run("import numpy as np", 30)
    yield sessions
    for session in sessions:
        session.stop()


def printed(session, code):
    ran = session.run(code, 30)
    return "".join(output.get("text", output.get("evalue", "")) for output in ran.outputs)


@pytest.mark.parametrize("name", CHANGES)
def test_what_one_changes_another_does_not_see(two_kernels, name):
    first, second = two_kernels
    assert first.run(CHANGES[name] + "\nif 'box' in globals(): peek().append(1)", 30).end == "ok"
    assert printed(second, LOOK) == "False False False False False\n"
    assert printed(second, "print(globals().get('box', [0]))") == "[0]\n"


def test_a_kernel_knows_nothing_of_the_others(two_kernels):
    assert printed(two_kernels[1], JOBS) == "([], [])\n"


ENDS = {
    "forged loss": "import os; os._exit(77)",
    "forged loss in a function": "import atexit, os; atexit.register(os._exit, 77)",
    "stops itself": "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
    "kills its group": "import os, signal; os.killpg(0, signal.SIGKILL)",
    "leaves its session": "import os\ntry: os.setsid()\nexcept OSError: pass",
    "closes the grader's lines": "import os\nfor fd in range(3, 512):\n    try: os.close(fd)\n    except OSError: pass",
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end_that_looks_like_ours_costs_no_task(grade, name):
    assert grade(last=ENDS[name]).scores == RIGHT


def test_a_function_that_fakes_the_loss_of_its_kernel_ends(grade):
    graded = grade(
        double="def double(x):\n    import os; os._exit(77)", quadruple="def quadruple(x):\n    return 4 * x"
    )
    assert graded.scores == (0.0, 2.0, 3.0)
    assert graded.verdicts["double"]["status"] == "stopped"


def test_the_output_of_all_cells_together_has_a_limit(grade):
    """Each of these pictures may be shown; all of them would fill the memory of the grader."""
    functions = {name: f"{FLOODING}\ndef {name}(x):\n    return {code}" for name, code in
                 {"double": "2 * x", "quadruple": "4 * x", "halve": "x / 2"}.items()}  # fmt: skip
    graded = grade(first=FLOODING, last=FLOODING, settings={"max_rich_output": 3 << 20}, **functions)
    assert graded.scores == RIGHT
    assert len(graded.everything) < 16 << 20


TEXT = """
for number in range(300):
    get_ipython().kernel.session.send(get_ipython().kernel.iopub_socket, "error",
        {"ename": "E", "evalue": "v" * 4000, "traceback": []}, parent=get_ipython().kernel.get_parent())
"""


def test_errors_without_number_are_cut(grade):
    graded = grade(last=TEXT, settings={"max_output": 20_000})
    assert graded.scores == RIGHT
    assert graded.everything.count("v" * 1000) < 25
