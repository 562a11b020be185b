"""What crosses between notebook and grader: exact round trips, odd objects, and frames from a hostile notebook."""

import contextlib
import json
import re
import socket
import struct
import threading
import time

import numpy as np
import pytest
import torch

from grading import stub
from grading.channel import Channel
from grading.student import (
    Handle,
    Student,
    StudentError,
    StudentKilled,
    StudentProtocolError,
    StudentTimeout,
    local,
)

NAN_WITH_PAYLOAD = struct.unpack("d", struct.pack("Q", 0x7FF8_0000_DEAD_BEEF))[0]


def short(value):
    """A case's name, the same in every process."""
    return re.sub(r" at 0x\w+", "", repr(value))[:40]


def add_to_the_first(x, other=None, rest=()):
    x[0] += 1
    return x


@pytest.mark.parametrize("kind", [np.array, torch.tensor, list], ids=["array", "tensor", "list"])
def test_a_changed_argument_is_found_and_an_unchanged_one_is_not(kind):
    student = local({"changes": add_to_the_first, "copies": lambda x, other, rest: x})
    arguments = (kind([1.0, float("nan")]), None, [np.zeros(2), 3])
    assert student.unchanged("copies", *arguments)[0] == 1
    with pytest.raises(AssertionError):
        student.unchanged("changes", *arguments)


def there_and_back(value):
    return local({"same": lambda x: x}).same(value)


def returned(value):
    """What the grader receives when the notebook's function returns this very object."""
    return local({"give": lambda: value}).give()


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, (np.ndarray, np.generic)):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert found.tobytes() == expected.tobytes()
    elif isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert found.requires_grad == expected.requires_grad
        assert torch.equal(found.isnan(), expected.isnan())
        assert torch.equal(found.nan_to_num(), expected.nan_to_num()) or not expected.dtype.is_floating_point
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        assert_same(list(found.values()), list(expected.values()))
    else:
        assert repr(found) == repr(expected)


# ---------------------------------------------------------------- exact round trips

PLAIN = [
    None, True, False, 0, -1, 2**53, -(2**200), 10**3000, 0.1, -0.0, float("inf"), float("-inf"), float("nan"), 5e-324,
    1 + 2j, complex("nan"), complex("inf"), "", "ü☃\u2028", "\ud800", b"", b"\x00\xff", [], (), {}, [[]],
    [1, (2.0, "x")], {"a": 1, 2: "b", None: 3, True: 4}, {(1, 2): "pair"}, {0.5: [1]},
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=short)
def test_plain_values_are_exact(value):
    assert_same(there_and_back(value), value)


@pytest.mark.parametrize("dtype", sorted(stub.NUMPY_DTYPES))
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 4), (1, 1, 1, 1)], ids=str)
def test_arrays_are_exact(dtype, shape):
    value = np.random.default_rng(0).integers(0, 2, size=shape).astype(dtype)
    assert_same(there_and_back(value), value)


@pytest.mark.parametrize("dtype", sorted(stub.TORCH_DTYPES))
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 4)], ids=str)
def test_tensors_are_exact(dtype, shape):
    value = torch.randint(0, 2, shape).to(getattr(torch, dtype))
    assert_same(there_and_back(value), value)


@pytest.mark.parametrize(
    "value",
    [
        np.array([NAN_WITH_PAYLOAD, np.inf, -np.inf, -0.0]),
        np.arange(12.0).reshape(3, 4)[:, ::2],
        np.arange(12).reshape(3, 4).T,
        np.arange(3, dtype=np.float16),
        np.float64(0.1),
        np.float32(0.1),
        np.int8(-3),
        np.bool_(True),
        np.complex64(1 + 2j),
    ],
    ids=short,
)
def test_numpy_values_are_exact(value):
    assert_same(there_and_back(value), np.ascontiguousarray(value) if np.ndim(value) else value)


def test_big_endian_arrays_arrive_in_native_order():
    value = np.arange(5, dtype=">f8")
    found = there_and_back(value)
    assert found.dtype == np.dtype("f8")
    assert np.array_equal(found, value)


def test_matrices_arrive_as_arrays():
    assert type(returned(np.matrix([[1, 2]]))) is np.ndarray


@pytest.mark.parametrize(
    "value",
    [
        torch.arange(12.0).reshape(3, 4).T,
        torch.tensor([float("nan"), float("inf")], dtype=torch.bfloat16),
        torch.tensor([1.0], requires_grad=True),
        torch.tensor([1 + 2j]).conj(),
        torch.zeros(3).expand(4, 3),
    ],
    ids=["transposed", "bfloat16", "requires_grad", "conjugate", "expanded"],
)
def test_tensor_views_are_exact(value):
    assert_same(there_and_back(value), value.resolve_conj())


def test_parameters_arrive_as_tensors():
    found = returned(torch.nn.Parameter(torch.ones(2)))
    assert type(found) is torch.Tensor
    assert found.requires_grad


def test_changed_arguments_come_back_when_asked_for():
    def change(x, y):
        x += 1
        y.append(3)

    student = local({"change": change})
    call = student.call("change", np.zeros(2), [1])
    assert call.arguments[0].tolist() == [1, 1]
    assert call.arguments[1] == [1, 3]
    assert student.change(np.zeros(2), [1]) is None


# ---------------------------------------------------------------- odd objects


class Yes:
    """Equal to everything, and whatever one asks for."""

    def __eq__(self, other):
        return True

    __hash__ = object.__hash__

    def __bool__(self):
        return True

    def __array__(self, *args, **kwargs):
        return np.ones(3)

    def __float__(self):
        return 1.0


class Liar:
    @property
    def __class__(self):
        return list


class LyingFloat(float):
    def __float__(self):
        return 42.0

    def __eq__(self, other):
        return True

    __hash__ = float.__hash__


class LyingInt(int):
    def __int__(self):
        return 42

    def __index__(self):
        return 42


class LyingText(str):
    def __str__(self):
        return "forged"

    __slots__ = ()


class LyingDict(dict):
    def items(self):
        return [("forged", 1)]

    def __iter__(self):
        return iter(["forged"])


class LyingList(list):
    def __iter__(self):
        return iter([42])

    def __len__(self):
        return 42


class LyingArray(np.ndarray):
    def __array__(self, *args, **kwargs):
        return np.ones(3)

    def __array_finalize__(self, other):
        pass

    def reshape(self, *shape):
        return np.ones(3)

    def __eq__(self, other):
        return True


class LyingTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return torch.ones(3)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (LyingFloat(0.5), 0.5),
        (LyingInt(7), 7),
        (LyingText("true"), "true"),
        (LyingDict(a=1), {"a": 1}),
        (LyingList([1, 2]), [1, 2]),
        (np.zeros(2).view(LyingArray), np.zeros(2)),
        (torch.zeros(2).as_subclass(LyingTensor), torch.zeros(2)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_subclasses_arrive_as_what_they_hold(value, plain):
    assert_same(returned(value), plain)


@pytest.mark.parametrize("value", [Yes(), Liar(), (n for n in range(3)), {1, 2}, print, object()], ids=short)
def test_objects_stay_in_the_notebook(value):
    found = returned(value)
    assert isinstance(found, Handle)
    for use in (bool, len, iter, float, np.asarray, lambda x: x == x, lambda x: x < 1, lambda x: x[0]):
        with pytest.raises(StudentProtocolError):
            use(found)


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, "a", None], dtype=object),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        np.array(["a", "b"]),
        np.zeros(2, dtype=[("a", "f8")]),
        np.ma.masked_array([1, 2], mask=[True, False]),
        np.longdouble(1),
        torch.eye(2).to_sparse(),
        torch.empty(2, device="meta"),
        torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        [1, {"a": np.array([None])}],
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', '')}"[:40],
)
def test_values_that_are_not_plain_are_refused_in_words(value):
    with pytest.raises(StudentProtocolError, match="not plain data"):
        returned(value)


def endless():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (endless(), "nested too deeply"),
        ([0] * 300_000, "too many parts"),
        (10**20_000, "too long"),
        ("x" * (9 << 20), "too large"),
        ({LyingText("a"): 1, ("x", np.zeros(1).tobytes): 1}, "not plain"),
    ],
    ids=["endless", "many", "digits", "text", "keys"],
)
def test_values_beyond_the_limits_are_refused_in_words(value, words):
    with pytest.raises(StudentProtocolError, match=words):
        returned(value)


def test_the_notebooks_errors_cross_as_names_only():
    def fail(x):
        raise ValueError(f"the hidden input is {x}")

    with pytest.raises(StudentError) as caught:
        local({"fail": fail}).fail(123)
    assert caught.value.sentence == "it raised ValueError"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), GeneratorExit(), MemoryError()], ids=short)
def test_every_kind_of_exception_becomes_an_error(error):
    def fail():
        raise error

    with pytest.raises(StudentError):
        local({"fail": fail}).fail()


def test_names_of_exceptions_are_made_harmless():
    kind = type("<script>\u2028" + "x" * 500, (Exception,), {})

    def fail():
        raise kind

    with pytest.raises(StudentError) as caught:
        local({"fail": fail}).fail()
    caught.value.sentence.encode()
    assert "<" not in caught.value.sentence
    assert len(caught.value.sentence) < 120


# ---------------------------------------------------------------- forged replies

ONE = [bytearray(8)]
FORGED = {
    "no json": (b"{", []),
    "not utf-8": (b'"\xff"', []),
    "utf-16": ('{"l": []}'.encode("utf-16"), []),
    "nothing": (b"", []),
    "a list": (b"[]", []),
    "a number": (b"3", []),
    "constants": (b'{"d":[["value",NaN]]}', []),
    "unknown node": (b'{"z":1}', []),
    "two keys": (b'{"l":[],"t":[]}', []),
    "repeated key": (b'{"l":[],"l":[]}', []),
    "empty object": (b"{}", []),
    "deep": (b'{"l":[' * 100 + b"]}" * 100, []),
    "very deep": (b"[" * 100_000, []),
    "wide": (b'{"l":[' + b"0," * 250_000 + b"0]}", []),
    "huge integer": (b'{"d":[["value",' + b"9" * 100_000 + b"]]}", []),
    "long digits": (b'{"i":"' + b"9" * 100_000 + b'"}', []),
    "digits as a list": (b'{"i":[1]}', []),
    "bad float": (b'{"f":"1.0"}', []),
    "unhashable float": (b'{"f":[]}', []),
    "complex of text": (b'{"c":["1","2"]}', []),
    "complex of one": (b'{"c":[1.0]}', []),
    "no such buffer": (b'{"b":0}', []),
    "negative buffer": (b'{"b":-1}', ONE),
    "buffer by truth": (b'{"b":true}', [*ONE, *ONE]),
    "buffer by float": (b'{"b":0.0}', ONE),
    "unhashable key": (b'{"d":[[{"l":[]},1]]}', []),
    "array as key": (b'{"d":[[{"a":["array","f8",[1],0,false]},1]]}', ONE),
    "odd pair": (b'{"d":[[1]]}', []),
    "pairs as text": (b'{"d":["ab"]}', []),
    "colliding keys": (b'{"d":[[{"i":"%d"},1]]}' % (2**61 - 1), []),
    "handle of text": (b'{"h":["0","x"]}', []),
    "negative handle": (b'{"h":[-1,"x"]}', []),
    "short handle": (b'{"h":[0]}', []),
}  # fmt: skip
ARRAYS = {
    "few": [],
    "many": ["array", "f8", [1], 0, False, 0],
    "as text": "array",
    "bad kind": ["matrix", "f8", [1], 0, False],
    "kind as list": [["array"], "f8", [1], 0, False],
    "object": ["array", "O", [1], 0, False],
    "text": ["array", "U2", [1], 0, False],
    "record": ["array", "V8", [1], 0, False],
    "date": ["array", "M8[s]", [1], 0, False],
    "no such dtype": ["array", "f3", [1], 0, False],
    "dtype as list": ["array", ["f8"], [1], 0, False],
    "dtype as expression": ["array", "f8,f8", [1], 0, False],
    "torch dtype for numpy": ["array", "float64", [1], 0, False],
    "numpy dtype for torch": ["tensor", "f8", [1], 0, False],
    "attribute of torch": ["tensor", "save", [1], 0, False],
    "quantized": ["tensor", "qint8", [1], 0, False],
    "negative size": ["array", "f8", [-1], 0, False],
    "two negative sizes": ["array", "f8", [-1, -1], 0, False],
    "too few bytes": ["array", "f8", [2], 0, False],
    "too many bytes": ["array", "f4", [1], 0, False],
    "huge size": ["array", "f8", [2**40], 0, False],
    "huge product": ["array", "f8", [2**30] * 30, 0, False],
    "huge beside zero": ["array", "f8", [0, 2**30, 2**30], 0, False],
    "endless size": ["array", "f8", [10**400], 0, False],
    "size as text": ["array", "f8", ["1"], 0, False],
    "size as truth": ["array", "f8", [True], 0, False],
    "size as float": ["array", "f8", [1.0], 0, False],
    "shape as text": ["array", "f8", "1", 0, False],
    "many dimensions": ["array", "f8", [1] * 33, 0, False],
    "no such buffer": ["array", "f8", [1], 1, False],
    "negative buffer": ["array", "f8", [1], -1, False],
}


def forged(header, buffers=()):
    """A student whose every reply is this frame."""
    return Student(lambda *_: (header, [bytearray(buffer) for buffer in buffers]))


@pytest.mark.parametrize("name", FORGED)
def test_forged_trees_are_protocol_errors(name):
    header, buffers = FORGED[name]
    with pytest.raises(StudentProtocolError):
        forged(header, buffers).double(1)


@pytest.mark.parametrize("name", ARRAYS)
def test_forged_arrays_are_protocol_errors(name):
    header = json.dumps({"d": [["value", {"d": [["value", {"a": ARRAYS[name]}], ["args", {"t": []}]]}]]}).encode()
    with pytest.raises(StudentProtocolError):
        forged(header, ONE).double(1)


def test_a_buffer_counts_once():
    node = {"a": ["array", "u1", [8], 0, False]}
    with pytest.raises(StudentProtocolError):
        forged(json.dumps({"l": [node, node]}).encode(), ONE).double(1)


def test_a_bool_must_be_true_or_false():
    for kind, dtype in (("array", "b1"), ("tensor", "bool")):
        header = json.dumps({"a": [kind, dtype, [8], 0, False]}).encode()
        with pytest.raises(StudentProtocolError, match="neither true nor false"):
            forged(header, [b"\x02" * 8]).double(1)


@pytest.mark.parametrize(
    "reply",
    [
        {"error": []},
        {"error": 3},
        {"error": ["x"] * 1000},
        {"error": [["x"]], "value": stub.Refused("x")},
        {"error": None},
        {},
        {"value": 3},
        {"value": np.zeros(3)},
        {"value": {"value": 1}},
        {"value": {"value": 1, "args": [1]}},
        {"value": {"value": 1, "args": (), "more": 1}},
    ],
    ids=short,
)
def test_forged_answers_are_protocol_errors(reply):
    with pytest.raises(StudentProtocolError):
        forged(*stub.pack(reply)).double(1)
    with pytest.raises(StudentProtocolError):
        forged(*stub.pack(reply)).call("double", 1)


def test_forged_gradients_are_protocol_errors():
    for value in (None, 3, (), (1, 2), [1]):
        with pytest.raises(StudentProtocolError):
            forged(*stub.pack({"value": value})).gradient("loss", (1,), wrt=0)


# ---------------------------------------------------------------- the socket


class Hostile:
    """A channel whose other end does what `act(socket)` does, when it has been asked unless `at_once`."""

    def __init__(self, act, seconds=0.5, at_once=False):
        here, self.there = socket.socketpair()
        self.student = Student(Channel(here, seconds))
        self.thread = threading.Thread(target=self._run, args=(act, at_once), daemon=True)
        self.thread.start()

    def _run(self, act, at_once):
        with contextlib.suppress(OSError):
            if not at_once:
                self.there.recv(1 << 16)
            act(self.there)

    def ask(self):
        start = time.monotonic()
        try:
            return self.student.double(np.zeros(3))
        finally:
            assert time.monotonic() - start < 20


def drip(there):
    for byte in stub.SIZES.pack(100, 0) + b" " * 100:
        there.sendall(bytes([byte]))
        time.sleep(0.5)


def close_after(count):
    def act(there):
        there.sendall((stub.SIZES.pack(100, 0) + b" " * 100)[:count])
        there.close()

    return act


def too_early(there):
    there.sendall(stub.SIZES.pack(2, 0) + b"[]")
    time.sleep(1)


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda there: time.sleep(2), StudentTimeout),
        (drip, StudentTimeout),
        (lambda there: there.close(), StudentKilled),
        (close_after(0), StudentKilled),
        (close_after(5), StudentKilled),
        (close_after(50), StudentKilled),
        (lambda there: there.sendall(stub.SIZES.pack(2**32 - 1, 0)), StudentProtocolError),
        (lambda there: there.sendall(stub.SIZES.pack(0, 2**32 - 1)), StudentProtocolError),
        (lambda there: there.sendall(stub.SIZES.pack(2, 1) + struct.pack("<Q", 2**63)), StudentProtocolError),
        (lambda there: there.sendall(stub.SIZES.pack(2, 2) + struct.pack("<2Q", 2**26, 2**27)), StudentProtocolError),
        (lambda there: there.sendall(b"\x00" * 8), StudentProtocolError),
        (lambda there: there.sendall(b"HTTP/1.1 200 OK\r\n\r\n" * 100), StudentProtocolError),
    ],
)
def test_hostile_sockets_are_typed_errors_in_time(act, error):
    with pytest.raises(error) as caught:
        Hostile(act).ask()
    assert caught.value.sentence


def test_an_answer_before_the_question_is_a_protocol_error():
    hostile = Hostile(too_early, at_once=True)
    hostile.thread.join(0.2)
    with pytest.raises(StudentProtocolError, match="before it was asked"):
        hostile.ask()


def test_nothing_is_believed_after_a_broken_frame():
    hostile = Hostile(lambda there: (there.sendall(stub.SIZES.pack(2**32 - 1, 0)), time.sleep(1)))
    with pytest.raises(StudentProtocolError):
        hostile.ask()
    with pytest.raises(StudentKilled):
        hostile.ask()


def test_a_notebook_that_does_not_read_costs_no_more_than_the_time_of_a_call():
    hostile = Hostile(lambda there: time.sleep(60), at_once=True)
    start = time.monotonic()
    with pytest.raises(StudentTimeout):
        hostile.student.double(np.zeros(10_000_000))
    assert time.monotonic() - start < 30


def test_four_megabytes_cross_and_come_back_quickly():
    here, there = socket.socketpair()
    for end in (here, there):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    notebook = stub.Stub({"same": lambda x: x})

    def serve():
        while True:
            stub.send(there, *notebook.answer(*stub.receive(there)))

    threading.Thread(target=serve, daemon=True).start()
    student = Student(Channel(here, 5))
    value = np.random.default_rng(0).random(1 << 19)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        assert np.array_equal(student.same(value), value)
        times.append(time.perf_counter() - start)
    print(f"4 MB there and back: {sorted(times)[3] * 1e3:.1f} ms")
