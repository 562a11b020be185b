"""The student's side of the line between notebook and checks, and the plain data that may cross it.

This file runs inside the student's kernel (its source is sent there) as well as in the grader. It needs only the
standard library and NumPy, and torch where the notebook has imported it. Nothing it says is trusted: the grader unpacks
every reply with the limits below and compares values on its own side.

A message is one frame: a JSON tree plus raw buffers. Plain data are None, bool, int, float, complex, str, bytes, list,
tuple, dict, NumPy arrays and scalars and torch tensors of numeric dtypes. Anything else stays where it is and crosses
as a handle, a number with a type's name.
"""

import contextlib
import io
import json
import math
import socket
import struct
import sys

import numpy as np

MAX_BYTES = 128 << 20
MAX_HEADER = 8 << 20
MAX_NODES = 200_000
MAX_DEPTH = 32
MAX_DIGITS = 4000
MAX_DIMENSIONS = 32
MAX_NAME = 80
MAX_HANDLE = 1 << 31
SAFE_INT = 1 << 53
NUMPY_DTYPES = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"}
TORCH_DTYPES = {"bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "bfloat16"}
TORCH_DTYPES |= {"complex64", "complex128"}
SIZES = struct.Struct("<II")


class WireError(Exception):
    """A message breaks the format or a limit."""


class Refused:
    """Stands for a value that cannot cross: what it was, in words."""

    def __init__(self, what):
        self.what = printable(what)


def printable(text):
    """A short text that is safe in any file and on any page, whatever was sent."""
    text = text[:MAX_NAME] if isinstance(text, str) else ""
    return "".join(c if c.isascii() and (c.isalnum() or c in " _.,()[]-") else "?" for c in text) or "object"


def raw_bytes(array):
    """An array's bytes in C order."""
    return array.reshape(-1).view(np.uint8).data if array.size else b""


def no_handle(value):
    """Refuse a value that is not plain data."""
    raise WireError("a %s is not plain data" % type(value).__name__)


def pack(value, handle=no_handle):
    """Turn a value into a frame's parts.

    Args:
        value: What to send.
        handle: Function that gives the number and type name under which an object that is not plain data crosses.

    Returns:
        The header (bytes) and the list of buffers.
    """
    buffers = []
    count = 0

    def array(kind, dtype, shape, data, grad=False):
        buffers.append(data)
        return {"a": [kind, dtype, list(shape), len(buffers) - 1, bool(grad)]}

    def node(value, depth):
        nonlocal count
        count += 1
        if depth > MAX_DEPTH:
            raise WireError("the value is nested too deeply")
        if count > MAX_NODES:
            raise WireError("the value has too many parts")
        if value is None or value is True or value is False:
            return value
        kind = type(value)  # not isinstance: an object may lie about its class
        if issubclass(kind, (bytes, bytearray)):
            buffers.append(bytes(memoryview(value)))
            return {"b": len(buffers) - 1}
        if issubclass(kind, str):
            return str.__str__(value)
        if issubclass(kind, np.generic):
            return plain_array("scalar", np.asarray(value))
        if issubclass(kind, int):
            value = int.__int__(value)
            if abs(value) < SAFE_INT:
                return value
            if value.bit_length() > 3 * MAX_DIGITS:
                raise WireError("an integer is too long")
            return {"i": str(value)}
        if issubclass(kind, float):
            value = float.__float__(value)
            return value if math.isfinite(value) else {"f": repr(value)}
        if issubclass(kind, complex):
            real, imaginary = complex.real.__get__(value), complex.imag.__get__(value)
            return {"c": [node(real, depth + 1), node(imaginary, depth + 1)]}
        torch = sys.modules.get("torch")
        if torch is not None and issubclass(kind, torch.Tensor):
            with torch._C.DisableTorchFunctionSubclass():
                return tensor(torch, value)
        if issubclass(kind, np.ma.MaskedArray):
            return {"x": "masked array"}
        if issubclass(kind, np.ndarray):
            return plain_array("array", np.ndarray.view(value, np.ndarray))
        if issubclass(kind, list):
            return {"l": [node(item, depth + 1) for item in list.__iter__(value)]}
        if issubclass(kind, tuple):
            return {"t": [node(item, depth + 1) for item in tuple.__iter__(value)]}
        if issubclass(kind, dict):
            return {"d": [[node(k, depth + 1), node(v, depth + 1)] for k, v in dict.items(value)]}
        if issubclass(kind, Refused):
            return {"x": value.what}
        return {"h": list(handle(value))}

    def plain_array(kind, value):
        dtype = value.dtype.newbyteorder("=")
        if dtype.str[1:] not in NUMPY_DTYPES:
            return {"x": "%s of dtype %s" % (kind, str(dtype)[:60])}
        value = np.ascontiguousarray(value, dtype=dtype).reshape(value.shape)
        return array(kind, dtype.str[1:], value.shape, raw_bytes(value))

    def tensor(torch, value):
        dtype = str(value.dtype).removeprefix("torch.")
        if value.layout != torch.strided or value.device.type == "meta" or value.is_quantized:
            return {"x": "tensor that is sparse, quantized or without values"}
        if dtype not in TORCH_DTYPES:
            return {"x": "tensor of dtype %s" % dtype[:60]}
        data = torch.Tensor.detach(value).cpu().contiguous().resolve_conj().resolve_neg()
        data = data.as_subclass(torch.Tensor)
        if dtype == "bfloat16":
            data = data.view(torch.int16)
        flat = data.numpy()
        return array("tensor", dtype, flat.shape, raw_bytes(flat), value.requires_grad)

    header = json.dumps(node(value, 0), allow_nan=False).encode()
    if len(header) > MAX_HEADER or sum(map(len, buffers)) > MAX_BYTES:
        raise WireError("the value is too large")
    return header, buffers


def malformed():
    """For every reply that our own stub would not have sent."""
    return WireError("the reply is malformed")


def only_pair(pairs):
    """A JSON object must have one key; a repeated key would otherwise hide the first."""
    if len(pairs) != 1:
        raise malformed()
    return pairs[0]


def checked(value, kinds, below=None):
    """The value, if it is exactly of one of the kinds, and not negative and below a bound if there is one."""
    if type(value) not in kinds or (below is not None and not 0 <= value < below):
        raise malformed()
    return value


def is_key(value):
    """Whether a value may be a dict's key: of few kinds, whose hashes cannot be made to collide on purpose."""
    if isinstance(value, tuple):
        return all(map(is_key, value))
    if type(value) is int:
        return abs(value) < SAFE_INT
    return value is None or type(value) in (bool, str, float, bytes) or isinstance(value, (np.integer, np.bool_))


def unpack(header, buffers, handle):
    """Rebuild the value of a frame; every limit is checked again, because the sender may lie.

    Args:
        header: The JSON tree, bytes.
        buffers: The raw buffers; each can be used once.
        handle: Function (number, type name) -> what stands for an object of the other side.
    """
    count = 0
    buffers = list(buffers)

    def node(tree, depth):
        nonlocal count
        count += 1
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise WireError("the reply is nested too deeply or has too many parts")
        if tree is None or type(tree) in (bool, int, float, str):
            return tree
        key, body = checked(tree, (tuple,))
        if key == "l":
            return [node(item, depth + 1) for item in checked(body, (list,))]
        if key == "t":
            return tuple([node(item, depth + 1) for item in checked(body, (list,))])
        if key == "d":
            return table([[node(k, depth + 1), node(v, depth + 1)] for k, v in checked(body, (list,))])
        if key == "f":
            return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[checked(body, (str,))]
        if key == "i":
            if len(checked(body, (str,))) > MAX_DIGITS:
                raise WireError("an integer of the reply is too long")
            return int(body)
        if key == "c":
            real, imaginary = [checked(node(part, depth + 1), (float,)) for part in checked(body, (list,))]
            return complex(real, imaginary)
        if key == "b":
            return bytes(taken(body))
        if key == "a":
            return array(*checked(body, (list,)))
        if key == "h":
            number, name = checked(body, (list,))
            return handle(checked(number, (int,), MAX_HANDLE), printable(name))
        if key == "x":
            return Refused(body)
        raise malformed()

    def table(pairs):
        if not all(is_key(key) for key, _ in pairs):
            raise WireError("a key of a dict in the reply is not plain")
        return dict(pairs)

    def taken(index):
        data, buffers[index] = buffers[checked(index, (int,), len(buffers))], None
        if data is None:
            raise malformed()
        return data

    def array(kind, dtype, shape, index, grad):
        if len(checked(shape, (list,))) > MAX_DIMENSIONS:
            raise WireError("an array of the reply has too many dimensions")
        shape = tuple([checked(size, (int,), MAX_HANDLE) for size in shape])
        known = TORCH_DTYPES if checked(kind, (str,)) == "tensor" else NUMPY_DTYPES
        if checked(dtype, (str,)) not in known or kind not in ("tensor", "array", "scalar"):
            raise WireError("an array of the reply has a dtype that may not cross")
        if kind == "tensor":
            import torch

            real = getattr(torch, dtype)
            value = torch.from_numpy(raw(np.dtype("int16" if dtype == "bfloat16" else dtype), shape, index))
            value = value.view(real) if dtype == "bfloat16" else value
            return value.requires_grad_(grad is True and (real.is_floating_point or real.is_complex))
        value = raw(np.dtype(dtype), shape, index)
        return value[()] if kind == "scalar" and shape == () else value

    def raw(dtype, shape, index):
        data = taken(index)
        full = math.prod([size for size in shape if size]) * dtype.itemsize
        if full > MAX_BYTES or (0 if 0 in shape else full) != len(data):
            raise WireError("an array of the reply has the wrong number of bytes")
        if not len(data):
            return np.zeros(shape, dtype)
        data = data if isinstance(data, bytearray) else bytearray(data)
        if dtype.kind == "b" and np.frombuffer(data, np.uint8).max(initial=0) > 1:
            raise WireError("a bool of the reply is neither true nor false")
        return np.frombuffer(data, dtype=dtype).reshape(shape)

    def no_constant(_):
        raise malformed()

    try:
        tree = json.loads(bytes(header).decode(), object_pairs_hook=only_pair, parse_constant=no_constant)
        return node(tree, 0)
    except WireError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, MemoryError) as error:
        raise malformed() from error


def send(connection, header, buffers):
    """Write one frame to a socket."""
    sizes = [len(buffer) for buffer in buffers]
    head = SIZES.pack(len(header), len(buffers)) + struct.pack("<%dQ" % len(sizes), *sizes) + header
    connection.sendall(head)
    for buffer in buffers:
        connection.sendall(buffer)


def receive(connection):
    """Read one frame from a socket; EOFError when the other side has closed it."""

    def exactly(size):
        data = bytearray(size)
        view, done = memoryview(data), 0
        while done < size:
            got = connection.recv_into(view[done:])
            if not got:
                raise EOFError
            done += got
        return data

    header_size, count = SIZES.unpack(exactly(SIZES.size))
    if header_size > MAX_HEADER or count > MAX_NODES:
        raise WireError("the reply is too large")
    sizes = struct.unpack("<%dQ" % count, exactly(8 * count))
    if sum(sizes) > MAX_BYTES:
        raise WireError("the reply is too large")
    return bytes(exactly(header_size)), [exactly(size) for size in sizes]


class Nowhere(io.TextIOBase):
    """Takes what functions print while they are checked."""

    def writable(self):
        return True

    def write(self, text):
        return len(text)


class Stub:
    """Answers the checks' requests from a notebook's names.

    Args:
        names: The notebook's names.
        forbid: forbid.forbid, which makes library routines unavailable, or None.
    """

    def __init__(self, names, forbid=None):
        self.names = names
        self.handles = []
        self.forbid = forbid
        self.undo = contextlib.ExitStack()

    def answer(self, header, buffers):
        """One request frame in, one reply frame out; whatever the student's code raises becomes its name."""
        sink = Nowhere()
        try:
            with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
                request = unpack(header, buffers, lambda number, _: self.handles[number])
                reply = getattr(self, "do_" + request.pop("do"))(**request)
                return pack({"value": reply}, self.keep)
        except BaseException as error:
            names = [kind.__name__[:MAX_NAME] for kind in type(error).__mro__[:-1]]
            return pack({"error": names, "wire": printable(str(error)) if isinstance(error, WireError) else None})

    def keep(self, value):
        self.handles.append(value)
        return len(self.handles) - 1, type(value).__name__[:MAX_NAME]

    def target(self, of):
        if isinstance(of, str):
            if of not in self.names:
                raise Undefined
            return self.names[of]
        return of

    def do_call(self, of, args, kwargs, changed):
        function = self.target(of)
        value = function(*args, **kwargs)
        return {"value": value, "args": tuple(args) if changed else ()}

    def do_forbid(self, routines):
        return None if self.forbid is None else self.forbid(routines, self.undo)

    def do_get(self, of, name=None):
        target = self.target(of)
        return target if name is None else getattr(target, name)

    def do_seed(self, seed):
        import random

        random.seed(seed)
        np.random.seed(seed)
        if "torch" in sys.modules:
            sys.modules["torch"].manual_seed(seed)

    def do_gradient(self, of, args, wrt, output, cotangent):
        import torch

        args = [a.detach().clone().requires_grad_(i in wrt) if isinstance(a, torch.Tensor) else a
                for i, a in enumerate(args)]  # fmt: skip
        result = self.target(of)(*args)
        result = result if output is None else result[output]
        result = result.sum() if cotangent is None else (result * cotangent).sum()
        gradients = torch.autograd.grad(result, [args[i] for i in wrt], allow_unused=True)
        return tuple(gradients)


class Undefined(Exception):
    """The notebook does not define the name that a check asked for."""


def serve(path, names, forbid=None):
    """Connect to the grader's socket and answer until it closes."""
    stub = Stub(names, forbid)
    with stub.undo, socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        while True:
            try:
                request = receive(connection)
            except EOFError:
                return
            send(connection, *stub.answer(*request))
