"""The line from the grader to a notebook's kernel: one Unix socket for the checks of one task."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from grading import stub
from grading.student import Student, StudentKilled, StudentProtocolError, StudentTimeout

CALL_SECONDS = 10.0
CONNECT_SECONDS = 30.0

_SERVE = "exec(compile({source!r}, '<lfi>', 'exec'), (_lfi := {{'__name__': 'lfi_stub'}}))\n"
_SERVE += "_lfi['serve']({path!r}, get_ipython().user_ns)"


class Channel:
    """Sends a request frame to the kernel and waits for the reply, at most `seconds`."""

    def __init__(self, connection: socket.socket, seconds: float):
        self._connection = connection
        self._seconds = seconds

    def __call__(self, header: bytes, buffers: list) -> tuple[bytes, list]:
        deadline = time.monotonic() + self._seconds
        try:
            stub.send(self._connection, header, buffers)
            return stub.receive(_Patient(self._connection, deadline))
        except TimeoutError:
            raise StudentTimeout(f"it took longer than {self._seconds:g} seconds") from None
        except (EOFError, OSError):
            raise StudentKilled("it ended the kernel") from None
        except stub.WireError as error:
            raise StudentProtocolError(str(error)) from None


class _Patient:
    """A socket whose reads share one deadline."""

    def __init__(self, connection: socket.socket, deadline: float):
        self._connection, self._deadline = connection, deadline

    def recv_into(self, view) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(view)


@contextmanager
def connected(
    run: Callable[[str], None], alive: Callable[[], bool], seconds: float = CALL_SECONDS
) -> Iterator[Student]:
    """A remote student for as long as the block lasts.

    Args:
        run: Starts a piece of code in the kernel without waiting for its end.
        alive: Whether the kernel still runs.
        seconds: Time limit of each call.
    """
    with tempfile.TemporaryDirectory(prefix="lfi-") as folder, socket.socket(socket.AF_UNIX) as listener:
        path = Path(folder) / "s"
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(0.2)
        run(_SERVE.format(source=Path(stub.__file__).read_text(), path=str(path)))
        deadline = time.monotonic() + CONNECT_SECONDS
        while True:
            try:
                connection, _ = listener.accept()
                break
            except TimeoutError:
                if not alive() or time.monotonic() > deadline:
                    raise StudentKilled("the kernel no longer answers") from None
        with connection:
            yield Student(Channel(connection, seconds))
