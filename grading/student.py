"""What a hidden check sees of a student's notebook: the fixture `student`.

    iou = student.box_iou(boxes1, boxes2)               # plain data in, plain data out
    call = student.call("nms", boxes, scores, 0.5)      # call.value, and call.arguments as they are afterwards
    assert student.raises(ValueError, "match_ssd", image, template)
    net = student.UNet(1, 2); logits = net(x)           # an object of the notebook is a handle
    grad = student.gradient("yolo_loss", (pred, target), wrt=0, output="total")
    student.seed(0)

The same interface stands for the solution or a mutant in this process (`local`) and for a notebook in a kernel
(`Remote`): both pass every value through the same frames, so a check cannot use what a remote student could not give.
"""

from __future__ import annotations

import builtins
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grading import shortcuts, stub

NOT_IMPLEMENTED = "it is not implemented yet"
MALFORMED = "the reply is malformed"
MAX_NAMES = 100
MOST_COMPARED = 100_000  # elements of one array
EXCEPTIONS = {name for name, kind in vars(builtins).items() if isinstance(kind, type) and name.endswith("Error")}
EXCEPTIONS |= {"Exception", "StopIteration", "KeyboardInterrupt", "SystemExit", "LinAlgError", "AxisError", "error"}


class StudentError(Exception):
    """The student's code raised an exception. Only the names of its classes cross, never its message."""

    def __init__(self, sentence: str, exceptions: Sequence[str] = ()):
        super().__init__(sentence)
        self.sentence = sentence
        self.exceptions = tuple(exceptions)


class StudentProtocolError(StudentError):
    """The reply is not plain data, or breaks the format or its limits."""


class StudentStopped(StudentError):
    """The kernel can answer no more; the rest of the task cannot be checked."""


class StudentTimeout(StudentStopped):
    """A call took longer than its time limit."""


class StudentKilled(StudentStopped):
    """The kernel ended during a call: a crash, an exit, or a limit on memory or processes."""


@dataclass(frozen=True)
class Call:
    """A finished call: what it returned, and its positional arguments as they are afterwards."""

    value: Any
    arguments: tuple


class Handle:
    """An object that lives in the student's notebook. It can be called and read, not compared."""

    __slots__ = ("_student", "_number", "_kind")
    __hash__ = None

    def __init__(self, student: Student, number: int, kind: str):
        self._student, self._number, self._kind = student, number, kind

    def __call__(self, *args, **kwargs):
        return self._student._call(self, args, kwargs).value

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._student._ask("get", of=self, name=name)

    def _refuse(self, *_):
        raise StudentProtocolError(f"a {self._kind} was returned where plain data was expected")

    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __len__ = __iter__ = __getitem__ = __contains__ = __array__ = __float__ = __int__ = __index__ = _refuse

    def __repr__(self) -> str:
        return f"<{self._kind} in the student's notebook>"


class Student:
    """Names of a notebook, reached through a channel that takes a request frame and returns a reply frame."""

    def __init__(self, channel):
        self._channel = channel
        self._forbidden: tuple[str, ...] = ()
        self._answers = 0  # what was returned so far, in one number: see `likeness`

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._call(name, args, kwargs).value

    def call(self, name: str, *args, **kwargs) -> Call:
        """Call a function or class of the notebook; changed arguments are in the result's `arguments`."""
        return self._call(name, args, kwargs, changed=True)

    def unchanged(self, name: str, *args, **kwargs):
        """The result of a call; AssertionError if one of its arguments is not what it was before."""
        call = self._call(name, args, kwargs, changed=True)
        assert _same(args, call.arguments)
        return call.value

    def _call(self, of, args: tuple, kwargs: dict, changed: bool = False) -> Call:
        reply = self._ask("call", of=of, args=args, kwargs=kwargs, changed=changed)
        if not isinstance(reply, dict) or set(reply) != {"value", "args"} or not isinstance(reply["args"], tuple):
            raise StudentProtocolError(MALFORMED)
        if changed and len(reply["args"]) != len(args):
            raise StudentProtocolError(MALFORMED)
        return Call(reply["value"], reply["args"])

    def value(self, name: str):
        """The value of a name of the notebook."""
        return self._ask("get", of=name)

    def raises(self, exception: type[Exception], name: str, *args, **kwargs) -> bool:
        """Whether the call raises the given built-in exception or a subclass of it."""
        try:
            self.call(name, *args, **kwargs)
        except StudentStopped:
            raise
        except StudentError as error:
            return exception.__name__ in error.exceptions
        return False

    def gradient(self, of, args: Sequence, wrt: int | Sequence[int], output=None, cotangent=None):
        """Gradient of a function's result (summed, or weighted by `cotangent`) with respect to some arguments.

        Args:
            of: A name of the notebook or a handle.
            args: Positional arguments; tensors.
            wrt: Index of the argument, or several.
            output: Key or index of the result, if it is a dict or tuple.
            cotangent: Weights of the result's elements.

        Returns:
            One tensor, or a tuple of them for several indices; None where the result does not depend on an argument.
        """
        several = tuple([wrt] if isinstance(wrt, int) else wrt)
        found = self._ask("gradient", of=of, args=tuple(args), wrt=several, output=output, cotangent=cotangent)
        if not isinstance(found, tuple) or len(found) != len(several):
            raise StudentProtocolError(MALFORMED)
        return found[0] if isinstance(wrt, int) else found

    def seed(self, number: int) -> None:
        """Seed random, NumPy and torch in the notebook."""
        self._ask("seed", seed=number)

    def forbid(self, routines: Sequence[str]) -> None:
        """Make library routines unavailable in the notebook for as long as it is connected; not in this process."""
        self._forbidden = tuple(routines)
        self._ask("forbid", routines=list(routines))

    def _ask(self, do: str, **request):
        reply = self._channel(*stub.pack({"do": do, **request}, _number))
        try:
            reply = stub.unpack(*reply, handle=lambda number, kind: Handle(self, number, kind))
        except stub.WireError as error:
            raise StudentProtocolError(str(error)) from None
        try:
            answer = _opened(reply, self._forbidden)
        except StudentError as error:
            self._answers = zlib.crc32(repr(error.exceptions).encode(), self._answers)
            raise
        self._answers = zlib.crc32(likeness(answer).encode(), self._answers)
        return answer


def _opened(reply, forbidden: Sequence[str]):
    """The value of a reply, or its error raised; the reply may hold anything that can cross."""
    if not isinstance(reply, dict):
        raise StudentProtocolError(MALFORMED)
    if "value" in reply:
        if refused := _find_refused(reply["value"]):
            raise StudentProtocolError(f"the result contains a value that is not plain data: {refused.what}")
        return reply["value"]
    names = reply.get("error")
    if not isinstance(names, list) or not names or len(names) > MAX_NAMES:
        raise StudentProtocolError(MALFORMED)
    names = [stub.printable(name) for name in names]
    if names[0] == "WireError":
        raise StudentProtocolError(stub.printable(reply.get("wire")))
    raise StudentError(shortcuts.sentence(names, forbidden) or _sentence(names), names)


def _sentence(names: Sequence[str]) -> str:
    """What is told of an exception. A name that a student made up could carry a check's input to the feedback."""
    name = names[0]
    if name == "Undefined":
        return "the notebook does not define it (or the cell that should failed)"
    if name == "NotImplementedError":
        return NOT_IMPLEMENTED
    known = next((name for name in names if name in EXCEPTIONS), "Exception")
    return f"it raised {known}" if known == names[0] else f"it raised an exception of its own, a kind of {known}"


def _number(value) -> tuple[int, str]:
    if isinstance(value, Handle):
        return value._number, value._kind
    return stub.no_handle(value)


def _find_refused(value):
    if isinstance(value, stub.Refused):
        return value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return next((found for part in parts if (found := _find_refused(part))), None)


def _same(one, other) -> bool:
    """Whether plain data are equal, nan being equal to nan; an object of the notebook is not looked into."""
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Handle):
        return True
    one, other = (np.asarray(value.detach() if hasattr(value, "detach") else value) for value in (one, other))
    return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")


def likeness(value) -> str:
    """A short text that is the same for results that agree to about three digits, whatever their dtype.

    Two fixed sums with uneven weights stand for the elements, so rounding of single elements changes nothing.
    """
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{likeness(value[key])}" for key in sorted(value, key=str)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(likeness, value)) + "]"
    if isinstance(value, Handle):  # asking it anything would run the student's code
        return repr(value)
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu().resolve_conj().resolve_neg()
        value = value.double().numpy() if not value.is_complex() else value.numpy()
    if not isinstance(value, (bool, int, float, complex, np.ndarray, np.generic)):
        return repr(value)
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        return f"{array.shape}{array.dtype}"
    numbers = np.nan_to_num(array.ravel()[:MOST_COMPARED].astype(complex), nan=12.34, posinf=1e30, neginf=-1e30)
    largest = float(np.abs(numbers).max(initial=0.0))
    if largest < 1e-12:
        return f"{array.shape}0"
    places = np.arange(1, len(numbers) + 1)
    sums = [(numbers / largest * weights).sum() for weights in (np.cos(places), np.sin(1.7 * places))]
    return f"{array.shape}{largest:.3g}" + "".join(f" {part + 0:.3f}" for s in sums for part in (s.real, s.imag))


def local(names: dict) -> Student:
    """A student in this process: the notebook's names are given as a dict. For the audit and for unit tests."""
    return Student(stub.Stub(names).answer)
