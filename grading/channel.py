"""The line from the grader to a notebook's kernel: one Unix socket for the checks of one task."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from grading import forbid, stub
from grading.student import Student, StudentKilled, StudentProtocolError, StudentTimeout

CALL_SECONDS = 10.0
END_SECONDS = 0.5
BUFFER = 4 << 20

# The sources are compiled once a kernel; nothing of this leaves a name in the notebook.
_SERVE = """(lambda modules, name: (
    name in modules or (
        modules.__setitem__(name, type(__import__('sys'))(name)),
        [exec(compile(source, '<lfi>', 'exec'), vars(modules[name])) for source in {sources!r}],
    ),
    modules[name].serve({path!r}, __import__('IPython').get_ipython().user_ns, modules[name].forbid),
))(__import__('sys').modules, '_lfi')[1]"""


class Kernel(Protocol):
    """What is needed of a grading.session.KernelSession."""

    alive: bool
    inside: tuple[Path, str] | None

    def begin(self, source: str) -> str:
        """Start code."""

    def over(self, request: str) -> bool:
        """Whether it has ended."""

    def finished(self, request: str, seconds: float) -> bool:
        """Wait for its end, or see to it."""

    def obituary(self, seconds: float) -> str:
        """Why the kernel ended."""


class Channel:
    """Sends a request frame to the kernel and waits for the reply.

    Args:
        connection: The socket.
        seconds: Time limit of each call, for sending and receiving together.
        until: When (time.monotonic) all calls must be over.
        obituary: Tells why the other side is gone, as in "it ...".
    """

    def __init__(
        self,
        connection: socket.socket,
        seconds: float,
        until: float = float("inf"),
        obituary: Callable[[], str] = lambda: "ended the kernel",
    ):
        self._connection = connection
        self._seconds = seconds
        self._until = until
        self._obituary = obituary
        self._broken: str | None = None

    def __call__(self, header: bytes, buffers: list) -> tuple[bytes, list]:
        if self._broken:
            raise StudentKilled(self._broken)
        now = time.monotonic()
        patient = _Patient(self._connection, min(now + self._seconds, self._until))
        try:
            self._refuse_unasked()
            stub.send(patient, header, buffers)
            return stub.receive(patient)
        except TimeoutError:
            self._broken = "an earlier call did not end"
            raise StudentTimeout(f"it took longer than {self._seconds:g} seconds") from None
        except (EOFError, OSError):
            self._broken = f"it {self._obituary()}"
            raise StudentKilled(self._broken) from None
        except stub.WireError as error:
            self._broken = "an earlier reply could not be read to its end"
            raise StudentProtocolError(str(error)) from None

    def _refuse_unasked(self) -> None:
        self._connection.settimeout(0)
        with suppress(BlockingIOError):
            if self._connection.recv(1, socket.MSG_PEEK):
                raise stub.WireError("the notebook answered before it was asked")


class _Patient:
    """A socket whose reads and writes share one deadline."""

    def __init__(self, connection: socket.socket, deadline: float):
        self._connection, self._deadline = connection, deadline

    def _arm(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)

    def recv_into(self, view) -> int:
        self._arm()
        return self._connection.recv_into(view)

    def sendall(self, data) -> None:
        self._arm()
        self._connection.sendall(data)


@contextmanager
def connected(kernel: Kernel, seconds: float = CALL_SECONDS, until: float = float("inf")) -> Iterator[Student]:
    """A remote student for as long as the block lasts; then the code that serves it in the kernel ends.

    Args:
        kernel: Where the notebook has run.
        seconds: Time limit of each call, and of the kernel's connecting.
        until: When (time.monotonic) all calls must be over.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        if kernel.inside is None:
            here = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lfi-"))) / "s"
            there = str(here)
        else:
            here, there = kernel.inside[0] / "s", f"{kernel.inside[1]}/s"
            stack.callback(here.unlink, missing_ok=True)
        listener.bind(str(here))
        here.chmod(0o666)
        listener.listen(1)
        sources = [Path(module.__file__).read_text() for module in (stub, forbid)]
        request = kernel.begin(_SERVE.format(sources=sources, path=there))
        try:
            with _accept(listener, kernel, request, min(time.monotonic() + seconds, until)) as connection:
                for direction in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                    connection.setsockopt(socket.SOL_SOCKET, direction, BUFFER)
                yield Student(Channel(connection, seconds, until, lambda: kernel.obituary(1.0)))
        finally:
            kernel.finished(request, END_SECONDS)


def _accept(listener: socket.socket, kernel: Kernel, request: str, until: float) -> socket.socket:
    listener.settimeout(0.05)
    while time.monotonic() < until:
        with suppress(TimeoutError):
            return listener.accept()[0]
        if not kernel.alive:
            break
        if kernel.over(request):
            raise StudentKilled("the notebook had changed what the checks need of Python itself")
    raise StudentKilled("the kernel no longer answered")
