"""Library routines that are a whole task: unavailable while it is checked, and reported when its source uses them."""

import contextlib
import functools

import cv2
import numpy as np
import pycocotools.mask
import pytest
import torch
import torchvision

from grading import forbid, shortcuts
from grading.shortcuts import uses
from grading.stub import Stub
from grading.student import Student, StudentError, local

NMS = ("torchvision.ops.nms", "torch.ops.torchvision.nms")
BOXES, SCORES = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2]]), torch.tensor([0.9, 0.8])
IMAGE = np.zeros((5, 5), np.float32)
early_nms, early_match, early_iou = torchvision.ops.nms, cv2.matchTemplate, pycocotools.mask.iou


def with_default(image, template, match=cv2.matchTemplate):
    return match(image, template, 0)


def with_closure():
    match = cv2.matchTemplate
    return lambda image, template: match(image, template, 0)


closed = with_closure()
partial = functools.partial(cv2.matchTemplate, method=0)
held = [cv2.matchTemplate]
named = {"m": cv2.matchTemplate}


class Encoder:
    match = staticmethod(cv2.matchTemplate)


@pytest.fixture
def forbidden():
    """Routines are unavailable until the test ends."""
    with contextlib.ExitStack() as undo:
        yield lambda *routines: forbid.forbid(routines, undo)


def blocked(function, *args, **kwargs):
    with pytest.raises(Exception, match="is the task itself") as caught:
        function(*args, **kwargs)
    return type(caught.value).__name__ == "ForbiddenShortcut"


@pytest.mark.parametrize(
    "nms",
    [
        lambda: torchvision.ops.nms,
        lambda: early_nms,
        lambda: getattr(torchvision.ops, "n" + "ms"),
        lambda: __import__("importlib").import_module("torchvision.ops.boxes").nms,
        lambda: torch.ops.torchvision.nms,
        lambda: torch.ops.torchvision.nms.default,
        lambda: getattr(torch.ops, "torchvision").nms,  # noqa: B009
    ],
)
def test_nms_is_out_of_reach(forbidden, nms):
    before = nms()
    forbidden(*NMS)
    assert blocked(before, BOXES, SCORES, 0.5)
    assert blocked(nms(), BOXES, SCORES, 0.5)


@pytest.mark.parametrize(
    "match",
    [
        lambda: cv2.matchTemplate(IMAGE, IMAGE, 0),
        lambda: early_match(IMAGE, IMAGE, 0),
        lambda: with_default(IMAGE, IMAGE),
        lambda: closed(IMAGE, IMAGE),
        lambda: partial(IMAGE, IMAGE),
        lambda: held[0](IMAGE, IMAGE, 0),
        lambda: named["m"](IMAGE, IMAGE, 0),
        lambda: getattr(__import__("cv2"), "match" + "Template")(IMAGE, IMAGE, 0),
    ],
)
def test_routines_in_c_are_out_of_reach(forbidden, match):
    assert match() is not None
    forbidden("cv2.matchTemplate")
    assert blocked(match)


def test_routines_in_cython_are_out_of_reach(forbidden):
    forbidden("pycocotools.mask.iou")
    assert blocked(early_iou, [], [], [])
    assert blocked(pycocotools.mask.iou, [], [], [])


def test_everything_is_back_afterwards():
    with contextlib.ExitStack() as undo:
        names = (*NMS, "cv2.matchTemplate", "numpy.multiply", "torch.nn.Conv2d", "no.such.thing")
        assert forbid.forbid(names, undo) == list(names[:-1])
    assert early_nms(BOXES, SCORES, 0.5).tolist() == [0]
    assert torch.ops.torchvision.nms(BOXES, SCORES, 0.5).tolist() == [0]
    assert early_match is cv2.matchTemplate
    assert with_default.__defaults__ == (cv2.matchTemplate,)
    assert held == [cv2.matchTemplate]
    assert partial(IMAGE, IMAGE) is not None
    assert closed(IMAGE, IMAGE) is not None
    assert np.multiply(2, 3) == 6
    assert torch.nn.Conv2d(1, 1, 1)(torch.zeros(1, 1, 2, 2)).shape == (1, 1, 2, 2)


def test_classes_cannot_be_made_or_called(forbidden):
    made = torch.nn.Conv2d(1, 1, 1)
    forbidden("torch.nn.Conv2d")
    assert blocked(torch.nn.Conv2d, 1, 1, 1)
    assert blocked(made, torch.zeros(1, 1, 2, 2))


def test_libraries_go_on_working(forbidden):
    forbidden("numpy.multiply")
    x = np.arange(6.0).reshape(2, 3)
    assert (x * 2).sum() == 30
    assert np.cov(x).shape == (2, 2)
    assert np.allclose(x, x)
    assert blocked(np.multiply, 2, 3)


@pytest.mark.parametrize(
    "start",
    [
        lambda: __import__("subprocess").run(["true"], check=False),
        lambda: __import__("os").system("true"),
        lambda: __import__("os").popen("true"),
        lambda: __import__("os").fork(),
        lambda: __import__("os").posix_spawn("/bin/true", ["true"], {}),
        lambda: __import__("multiprocessing").get_context("fork").Process(target=print).start(),
    ],
)
def test_no_further_process_can_do_it(forbidden, start):
    forbidden("cv2.matchTemplate")
    assert blocked(start)


def test_a_fresh_import_cannot_do_it(forbidden):
    import sys

    forbidden("cv2.matchTemplate")
    kept = sys.modules.pop("cv2")
    try:
        with pytest.raises(Exception, match="is the task itself"):
            __import__("cv2")
    finally:
        sys.modules["cv2"] = kept


def test_the_student_reads_which_routine_it_was():
    names = {"nms": lambda b, s, t: torchvision.ops.nms(b, s, t), "iou": lambda a, b: 3}
    stub = Stub(names, forbid.forbid)
    student = Student(stub.answer)
    with stub.undo:
        student.forbid(NMS)
        with pytest.raises(StudentError) as caught:
            student.nms(BOXES, SCORES, 0.5)
        assert student.iou(1, 2) == 3
    assert caught.value.sentence == "it uses torchvision.ops.nms, which is the task itself"


def test_nothing_is_forbidden_in_the_graders_own_process():
    local({}).forbid(NMS)
    assert torchvision.ops.nms(BOXES, SCORES, 0.5).tolist() == [0]


def test_an_invented_routine_is_not_repeated_to_the_student():
    assert shortcuts.sentence(["ForbiddenShortcut", "rm -rf"], NMS) is None


# ---------------------------------------------------------------- the source

USES = {
    "in full": "import torchvision\ndef f(x):\n    return torchvision.ops.nms(x)",
    "from": "from torchvision.ops import nms\ndef f(x):\n    return nms(x)",
    "renamed": "from torchvision.ops import nms as g\ndef f(x):\n    return g(x)",
    "module renamed": "import torchvision.ops as o\ndef f(x):\n    return o.nms(x)",
    "module from": "from torchvision import ops\ndef f(x):\n    return ops.nms(x)",
    "assigned": "import torchvision\ng = torchvision.ops.nms\ndef f(x):\n    return g(x)",
    "inside": "def f(x):\n    from torchvision.ops import nms\n    return nms(x)",
    "getattr": "import torchvision\ndef f(x):\n    return getattr(torchvision.ops, 'nms')(x)",
    "by a helper": "import torchvision\ndef g(x):\n    return torchvision.ops.nms(x)\ndef f(x):\n    return g(x)",
    "as default": "import torchvision\ndef f(x, g=torchvision.ops.nms):\n    return g(x)",
    "by magic": "%matplotlib inline\nimport torchvision\ndef f(x):\n    return torchvision.ops.nms(x)",
    "in a class": "import torchvision\nclass f:\n    def g(self, x):\n        return torchvision.ops.nms(x)",
}
NO_USES = {
    "comment": "def f(x):\n    # not torchvision.ops.nms\n    return x",
    "docstring": "def f(x):\n    'Like torchvision.ops.nms.'\n    return x",
    "comparison": "import torchvision\ndef f(x):\n    return x\nassert f(1) == torchvision.ops.nms(1)",
    "other function": "import torchvision\ndef g(x):\n    return torchvision.ops.nms(x)\ndef f(x):\n    return x",
    "own name": "def nms(x):\n    return x\ndef f(x):\n    return nms(x)",
    "broken": "def f(x:\n    return torchvision.ops.nms(x)",
    "sibling": "import torchvision\ndef f(x):\n    return torchvision.ops.box_area(x)",
}


@pytest.mark.parametrize("name", USES)
def test_uses_are_found(name):
    assert uses("f", [USES[name]], ["torchvision.ops.nms"]) == ["torchvision.ops.nms"]


@pytest.mark.parametrize("name", NO_USES)
def test_mentions_and_comparisons_cost_nothing(name):
    assert uses("f", [NO_USES[name]], ["torchvision.ops.nms"]) == []


def test_a_variable_that_is_called_like_a_function_of_the_notebook_is_no_use_of_it():
    cells = ["from torchvision import ops", "def corners(b):\n    return ops.nms(b)"]
    answer = "def keep(b):\n    corners = b + 1\n    return corners"
    assert uses("keep", [*cells, answer], ["torchvision.ops.nms"]) == []
    assert uses("keep", [*cells, "def keep(b):\n    return corners(b)"], ["torchvision.ops.nms"]) != []
