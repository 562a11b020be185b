"""One submission's kernel: runs code in it within limits of time and output, and survives whatever that code does.

It speaks Jupyter's protocol over jupyter_client's sockets, as nbclient does, but believes nothing that comes back:
malformed, forged, missing and endless messages only cost the cell that runs.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import zmq
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from nbformat import NotebookNode
from traitlets.config import Config

from grading.kernels import OrdinaryKernelManager
from grading.outputs import Displays, Outputs

MAX_MESSAGE = 16 << 20  # bytes; a longer one makes zmq drop the connection
QUEUE = 200  # messages that wait unread
START_SECONDS = 60.0
CELLS_OF_OUTPUT = 5  # how many cells with as much output as one may have a notebook may have
REPLY_TO_IDLE = 1.0  # seconds that outputs may come after the reply
log = logging.getLogger("lfi.kernel")
log.addHandler(logging.NullHandler())
log.propagate = False
KERNELSPECS = Path(__file__).parent / "sandbox" / "kernelspecs"


class Stopped(Exception):
    """No kernel could be started."""


@dataclass
class Ran:
    """What came of a cell.

    Attributes:
        end: `ok`, `error`, `interrupted` (out of time or of output; the kernel lives), `ended` (the kernel does not),
            or `lost` (the kernel was lost through no fault of the cell).
        why: Why it was interrupted or ended, as in "it ...".
    """

    outputs: list[NotebookNode]
    execution_count: int | None = None
    end: str = "ok"
    why: str = ""
    failure: dict | None = field(default=None, repr=False)


def sandboxed(config: Config | None = None) -> KernelManager:
    """A manager of kernels in the sandbox."""
    specs = KernelSpecManager(kernel_dirs=[str(KERNELSPECS)])
    return KernelManager(kernel_name="lfi-sandbox", kernel_spec_manager=specs, config=config or Config())


def ordinary(config: Config | None = None) -> KernelManager:
    """A manager of kernels without any protection."""
    return OrdinaryKernelManager(kernel_name="python3", config=config or Config())


class KernelSession:
    """A kernel that is started, used, interrupted and ended.

    Args:
        make_manager: `sandboxed` or `ordinary`.
        config: Settings of the kernel manager and its provisioner.
        folder: The files that the code may need; the sandbox copies them.
        characters: Text kept from one cell.
        size: Bytes of rich output kept from one cell.
        flood: Bytes of messages after which a cell is interrupted.
        grace: Seconds that code has to end after an interrupt.
        prologue: Cells that have run in the sandbox's kernels from the start, where that can be had (see `begun`).
    """

    def __init__(
        self,
        make_manager: Callable[[Config | None], KernelManager],
        config: Config | None = None,
        folder: str | None = None,
        characters: int = 200_000,
        size: int = 16 << 20,
        flood: int = 64 << 20,
        grace: float = 2.0,
        prologue: Sequence[str] = (),
    ):
        self._make_manager, self._config, self._folder = make_manager, config, folder
        self._characters, self._size, self._flood, self._grace = characters, size, flood, grace
        self._more = {"prologue": prologue} if prologue else {}
        self._left = [characters * CELLS_OF_OUTPUT, size * CELLS_OF_OUTPUT]
        self.displays = Displays()
        self.manager: KernelManager | None = None

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Start a kernel and wait until it answers."""
        self.manager = self._make_manager(self._config)
        self.manager.log = log
        context = self.manager.context
        for option, value in (
            (zmq.MAXMSGSIZE, MAX_MESSAGE),
            (zmq.RCVHWM, QUEUE),
            (zmq.LINGER, 0),
            (zmq.RECONNECT_IVL, 10),
        ):
            context.setsockopt(option, value)
        try:
            self.manager.start_kernel(cwd=self._folder, extra_arguments=[], **self._more)
        except OSError as error:
            raise Stopped(f"The kernel could not be started: {error}") from None
        self._shell = self.manager.connect_shell(identity=self.manager.session.bsession)
        self._iopub = self.manager.connect_iopub()
        self._poller = zmq.Poller()
        self._poller.register(self._shell, zmq.POLLIN)
        self._poller.register(self._iopub, zmq.POLLIN)
        self._process = self.manager.provisioner.process
        self._end = self._process.fileno() if hasattr(self._process, "fileno") else None
        if self._end is not None:
            self._poller.register(self._end, zmq.POLLIN)
        self._wait_until_ready()

    def _renew_iopub(self) -> None:
        """zmq has left the line for good after a message beyond MAX_MESSAGE."""
        self._poller.unregister(self._iopub)
        self._iopub.close(linger=0)
        self._iopub = self.manager.connect_iopub()
        self._poller.register(self._iopub, zmq.POLLIN)
        with contextlib.suppress(Stopped):
            self._wait_until_ready(1.0)

    def _wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            request = self._send("kernel_info_request", {})
            replied = heard = False
            again = time.monotonic() + 1.0
            while time.monotonic() < again and not (replied and heard):
                for source, message in self._messages(0.05):
                    if _answers(message, request):
                        replied |= source is self._shell
                        heard |= source is self._iopub
                        again = min(again, time.monotonic() + 0.1)
                if not self.alive:
                    raise Stopped("The kernel ended as soon as it was started.")
            if replied and heard:
                return
        raise Stopped(f"The kernel did not answer within {seconds:g} seconds.")

    @property
    def alive(self) -> bool:
        """Whether the kernel's process runs."""
        if self.manager is None:
            return False
        if self._process.poll() is None:
            return True
        if self._end is not None:
            self._poller.unregister(self._end)
            self._end = None
        return False

    def processor_seconds(self) -> float:
        """Processor time of the kernel and of what it has started so far; 0 if it has ended."""
        with contextlib.suppress(psutil.Error):
            return sum(psutil.Process(self._process.pid).cpu_times()[:4])
        return 0.0

    @property
    def begun(self) -> bool:
        """Whether the prologue has run in the kernel."""
        return getattr(self.manager.provisioner, "begun", False)

    @property
    def lost(self) -> bool:
        """Whether the kernel ended through no fault of the code in it."""
        return getattr(self._process, "lost", False)

    @property
    def inside(self) -> tuple[Path, str] | None:
        """A folder that both sides see: its path here and its path in the kernel. None if all paths are the same."""
        folder = getattr(self.manager.provisioner, "folder", None)
        return (folder.inside, folder.seen_as) if folder is not None else None

    def stop(self) -> None:
        """End the kernel and all that it started, at once."""
        if self.manager is None:
            return
        manager, self.manager = self.manager, None
        for name in ("_shell", "_iopub"):
            with contextlib.suppress(AttributeError, zmq.ZMQError):
                getattr(self, name).close(linger=0)
        with contextlib.suppress(Exception):
            manager.shutdown_kernel(now=True)
        with contextlib.suppress(zmq.ZMQError):
            manager.context.destroy(linger=0)

    def obituary(self, seconds: float = 0.0) -> str:
        """Why the kernel ended, as in "it ..."; waits for its end for some seconds."""
        end = time.monotonic() + seconds
        while self.alive and time.monotonic() < end:
            time.sleep(0.005)
        if self.alive:
            return "closed its line to the grader"
        code, limit = self._process.poll(), getattr(self._process, "limit", None)
        if limit == "memory":
            return "needed more memory than is allowed"
        if limit == "processes":
            return "started more processes than are allowed"
        words = {
            -signal.SIGSEGV: "crashed (segmentation fault)",
            -signal.SIGABRT: "crashed (abort)",
            -signal.SIGBUS: "crashed (bus error)",
            -signal.SIGFPE: "crashed (arithmetic error)",
            -signal.SIGXCPU: "used more processor time than is allowed",
        }
        return words.get(code, "ended the kernel")

    # ------------------------------------------------------------ code

    def run(self, source: str, seconds: float, silent: bool = False) -> Ran:
        """Run a cell to its end, or to the end of its time.

        Args:
            source: The code.
            seconds: Time limit; then it is interrupted, and if that does not help the kernel is ended.
            silent: Keep no output and no history.
        """
        request = self.begin(source, silent)
        limits = [min(limit, left) for limit, left in zip((self._characters, self._size), self._left, strict=True)]
        outputs = Outputs(self.displays, *limits)
        ran = Ran(outputs.nodes)
        deadline, received, replied_at = time.monotonic() + seconds, 0, None
        while True:
            now = time.monotonic()
            if replied_at is not None and now > replied_at + REPLY_TO_IDLE:
                self._renew_iopub()
                break
            if replied_at is None and (now > deadline or received > self._flood):
                if ran.end in ("interrupted", "ended"):
                    self._kill(ran)
                    break
                ran.end = "interrupted"
                ran.why = f"took longer than {seconds:g} seconds" if now > deadline else "wrote too much output"
                received, deadline = 0, now + self._grace
                self._interrupt()
            idle = False
            patience = (deadline if replied_at is None else replied_at + REPLY_TO_IDLE) - now
            for source_socket, message in self._messages(min(0.2, max(0.0, patience)), self._flood * 2):
                received += message.get("size", 0)
                if not _answers(message, request):
                    continue
                kind, content = message["kind"], message["content"]
                if source_socket is self._shell:
                    replied_at = replied_at or time.monotonic()
                    _note_reply(ran, content)
                elif kind == "status":
                    idle |= isinstance(content, dict) and content.get("execution_state") == "idle"
                elif not silent and received <= self._flood:
                    outputs.take(kind, content)
            if idle and replied_at is not None:
                break
            if idle:
                replied_at = self._await_reply(request, ran, deadline)
                if replied_at is not None:
                    break
            if not self.alive:
                for source_socket, message in self._messages(0.0, self._flood):
                    if source_socket is self._iopub and _answers(message, request) and not silent:
                        outputs.take(message["kind"], message["content"])
                ran.end = "lost" if self.lost else "ended"
                ran.why = self.obituary()
                break
        if ran.end == "interrupted":
            self._end_others()
        if ran.failure and not any(output.output_type == "error" for output in ran.outputs):
            outputs.take("error", ran.failure)
        self._left = [left - limit + rest for left, limit, rest in zip(self._left, limits, outputs.left, strict=True)]
        return ran

    def _await_reply(self, request: str, ran: Ran, deadline: float) -> float | None:
        """The reply comes right after the idle status; if it does not, that status was forged."""
        end = min(deadline, time.monotonic() + 0.1)
        while time.monotonic() < end and self.alive:
            for source, message in self._messages(0.02):
                if source is self._shell and _answers(message, request):
                    _note_reply(ran, message["content"])
                    return time.monotonic()
        return None

    def begin(self, source: str, silent: bool = True) -> str:
        """Start code without waiting for it; returns the request's number."""
        content = {
            "code": source,
            "silent": silent,
            "store_history": not silent,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        return self._send("execute_request", content)

    def finished(self, request: str, seconds: float) -> bool:
        """Wait for the end of what `begin` started; interrupt it if need be. False: the kernel had to be ended."""
        deadline, interrupted = time.monotonic() + seconds, False
        while self.alive:
            if time.monotonic() > deadline:
                if interrupted:
                    self._kill()
                    return False
                self._interrupt()
                interrupted, deadline = True, time.monotonic() + self._grace
            for source, message in self._messages(0.05):
                if source is self._shell and _answers(message, request):
                    if interrupted:
                        self._end_others()
                    return True
        return False

    def over(self, request: str) -> bool:
        """Whether what `begin` started has already ended, without waiting."""
        return any(source is self._shell and _answers(message, request) for source, message in self._messages(0.0))

    def _interrupt(self) -> None:
        with contextlib.suppress(Exception):
            self.manager.signal_kernel(signal.SIGINT)

    def _end_others(self) -> None:
        """End processes that interrupted code has left behind, where that can be done."""
        if hasattr(self._process, "end_others"):
            self._process.end_others()

    def _kill(self, ran: Ran | None = None) -> None:
        if ran is not None:
            ran.end = "ended"
            ran.why += " and could not be interrupted"
        with contextlib.suppress(Exception):
            self.manager.signal_kernel(signal.SIGKILL)
        end = time.monotonic() + 5
        while self.alive and time.monotonic() < end:
            time.sleep(0.005)

    # ------------------------------------------------------------ messages

    def _send(self, kind: str, content: dict) -> str:
        message = self.manager.session.msg(kind, content)
        with contextlib.suppress(zmq.ZMQError):
            self.manager.session.send(self._shell, message)
        return message["header"]["msg_id"]

    def _messages(self, seconds: float, limit: int = 1 << 30):
        """What has arrived, as (socket, {parent, kind, content, size}); waits at most `seconds` for the first."""
        ready = dict(self._poller.poll(max(0, int(seconds * 1000))))
        for socket in (self._iopub, self._shell):
            if socket not in ready:
                continue
            for _ in range(QUEUE):
                try:
                    parts = socket.recv_multipart(zmq.NOBLOCK)
                except zmq.ZMQError:
                    break
                message = self._opened(parts)
                limit -= message["size"]
                yield socket, message
                if limit < 0:
                    return

    def _opened(self, parts: list[bytes]) -> dict[str, Any]:
        size = sum(map(len, parts))
        message = {"size": size, "parent": None, "kind": None, "content": None}
        session = self.manager.session
        try:
            _, parts = session.feed_identities(parts)
            opened = session.deserialize(parts)
            message["parent"] = opened["parent_header"]["msg_id"]
            message["kind"] = opened["header"]["msg_type"]
            message["content"] = opened["content"]
        except Exception:  # noqa: BLE001 - whatever a forged message breaks in there
            message["parent"] = None
        return message


def _answers(message: dict, request: str) -> bool:
    return message["parent"] == request


def _note_reply(ran: Ran, content: Any) -> None:
    if not isinstance(content, dict):
        return
    count = content.get("execution_count")
    if isinstance(count, int) and not isinstance(count, bool):
        ran.execution_count = abs(count) % 10**6
    if content.get("status") == "error":
        ran.failure = content
        ran.end = "error" if ran.end == "ok" else ran.end
