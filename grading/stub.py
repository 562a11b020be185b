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

MAX_BYTES = 256 << 20
MAX_NODES = 200_000
MAX_DEPTH = 32
MAX_DIGITS = 4000
MAX_NAME = 200
NUMPY_DTYPES = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"}
TORCH_DTYPES = {"bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "bfloat16"}
TORCH_DTYPES |= {"complex64", "complex128"}
SIZES = struct.Struct("<II")


class WireError(Exception):
    """A message breaks the format or a limit."""


class Refused:
    """Stands for a value that cannot cross: what it was, in words."""

    def __init__(self, what):
        self.what = str(what)[:MAX_NAME]


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
        if isinstance(value, (bytes, bytearray)):
            buffers.append(bytes(value))
            return {"b": len(buffers) - 1}
        if isinstance(value, np.generic):
            return plain_array("scalar", np.asarray(value))
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            value = int.__int__(value)
            if abs(value) < 1 << 53:
                return value
            if value.bit_length() > 3 * MAX_DIGITS:
                raise WireError("an integer is too long")
            return {"i": str(value)}
        if isinstance(value, float):
            value = float.__float__(value)
            return value if math.isfinite(value) else {"f": repr(value)}
        if isinstance(value, complex):
            return {"c": [node(value.real, depth + 1), node(value.imag, depth + 1)]}
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(value, torch.Tensor):
            return tensor(torch, value)
        if isinstance(value, np.ndarray):
            return plain_array("array", np.array(value, subok=False, copy=None))
        if isinstance(value, list):
            return {"l": [node(item, depth + 1) for item in list.__iter__(value)]}
        if isinstance(value, tuple):
            return {"t": [node(item, depth + 1) for item in tuple.__iter__(value)]}
        if isinstance(value, dict):
            return {"d": [[node(k, depth + 1), node(v, depth + 1)] for k, v in dict.items(value)]}
        if isinstance(value, Refused):
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
        if dtype not in TORCH_DTYPES or value.layout != torch.strided:
            return {"x": "tensor of dtype %s" % dtype[:60]}
        data = value.detach().cpu().contiguous().resolve_conj().resolve_neg()
        data = data.as_subclass(torch.Tensor)
        if dtype == "bfloat16":
            data = data.view(torch.int16)
        flat = data.numpy()
        return array("tensor", dtype, flat.shape, raw_bytes(flat), value.requires_grad)

    tree = node(value, 0)
    return json.dumps(tree, allow_nan=False).encode(), buffers


def unpack(header, buffers, handle):
    """Rebuild the value of a frame; every limit is checked again, because the sender may lie.

    Args:
        header: The JSON tree, bytes.
        buffers: The raw buffers.
        handle: Function (number, type name) -> what stands for an object of the other side.
    """
    count = 0

    def node(tree, depth):
        nonlocal count
        count += 1
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise WireError("the reply is nested too deeply or has too many parts")
        if tree is None or isinstance(tree, (bool, int, float, str)):
            return tree
        if not isinstance(tree, dict) or len(tree) != 1:
            raise WireError("the reply is malformed")
        ((key, body),) = tree.items()
        if key == "l":
            return [node(item, depth + 1) for item in body]
        if key == "t":
            return tuple(node(item, depth + 1) for item in body)
        if key == "d":
            return {node(k, depth + 1): node(v, depth + 1) for k, v in body}
        if key == "f":
            return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[body]
        if key == "i":
            if len(body) > MAX_DIGITS:
                raise WireError("an integer of the reply is too long")
            return int(body)
        if key == "c":
            real, imaginary = (float(node(part, depth + 1)) for part in body)
            return complex(real, imaginary)
        if key == "b":
            return bytes(buffers[body])
        if key == "a":
            return array(*body)
        if key == "h":
            return handle(int(body[0]), str(body[1])[:MAX_NAME])
        if key == "x":
            return Refused(body)
        raise WireError("the reply is malformed")

    def array(kind, dtype, shape, index, grad):
        shape = tuple(int(n) for n in shape)
        if any(n < 0 for n in shape) or len(shape) > 32 or not 0 <= index < len(buffers):
            raise WireError("an array of the reply has an impossible shape")
        if kind == "tensor":
            if dtype not in TORCH_DTYPES:
                raise WireError("a tensor of the reply has a dtype that may not cross")
            import torch

            real = getattr(torch, dtype)
            stored = "int16" if dtype == "bfloat16" else dtype
            value = torch.from_numpy(raw(np.dtype(stored), shape, index))
            value = value.view(real) if dtype == "bfloat16" else value
            return value.requires_grad_(bool(grad) and (real.is_floating_point or real.is_complex))
        if dtype not in NUMPY_DTYPES or kind not in ("array", "scalar"):
            raise WireError("an array of the reply has a dtype that may not cross")
        value = raw(np.dtype(dtype), shape, index)
        return value[()] if kind == "scalar" and shape == () else value

    def raw(dtype, shape, index):
        if math.prod(shape) * dtype.itemsize != len(buffers[index]):
            raise WireError("an array of the reply has the wrong number of bytes")
        return np.frombuffer(bytearray(buffers[index]), dtype=dtype).reshape(shape)

    try:
        return node(json.loads(header), 0)
    except WireError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError) as error:
        raise WireError("the reply is malformed") from error


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
    if header_size > MAX_BYTES or count > MAX_NODES:
        raise WireError("the reply is too large")
    sizes = struct.unpack("<%dQ" % count, exactly(8 * count))
    if header_size + sum(sizes) > MAX_BYTES:
        raise WireError("the reply is too large")
    return bytes(exactly(header_size)), [exactly(size) for size in sizes]


class Stub:
    """Answers the checks' requests from a notebook's names."""

    def __init__(self, names):
        self.names = names
        self.handles = []

    def answer(self, header, buffers):
        """One request frame in, one reply frame out; whatever the student's code raises becomes its name."""
        sink = io.StringIO()
        try:
            with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
                request = unpack(header, buffers, lambda number, _: self.handles[number])
                reply = getattr(self, "do_" + request.pop("do"))(**request)
                return pack({"value": reply}, self.keep)
        except BaseException as error:
            names = [kind.__name__[:MAX_NAME] for kind in type(error).__mro__[:-1]]
            return pack({"error": names, "wire": str(error) if isinstance(error, WireError) else None})

    def keep(self, value):
        self.handles.append(value)
        return len(self.handles) - 1, type(value).__name__[:MAX_NAME]

    def target(self, of):
        if isinstance(of, str):
            if of not in self.names:
                raise Undefined
            return self.names[of]
        return of

    def do_call(self, of, args, kwargs):
        function = self.target(of)
        value = function(*args, **kwargs)
        return {"value": value, "args": tuple(args)}

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


def serve(path, names):
    """Connect to the grader's socket and answer until it closes."""
    stub = Stub(names)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        while True:
            try:
                request = receive(connection)
            except EOFError:
                return
            send(connection, *stub.answer(*request))
