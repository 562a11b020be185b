"""The fork server: imports the stack once, then forks one isolated kernel per request.

    python -m grading.sandbox.zygote '{"listener": 3, "ready": 4, "preload": [...], "private_tmp": true, ...}'

It runs inside the allow-list root, in a user namespace where it may make further namespaces. It never runs a student's
code, and no student's process can see it. A request is one datagram on a SOCK_SEQPACKET connection: a job (JSON) and
open files, which are the new kernel's four listening sockets and its birth line:

    kernel -> host  b"H"           it exists; the host reads its process id from the message's credentials
    host -> kernel  b"G"           it has been put under its limits
    kernel -> host  b"R"           it is ready to answer, or b"E" and a traceback

A job {"prologue": [...]} with one listening socket forks another zygote instead, in which these cells of the released
notebook, the same for every student, have run; it serves requests at that socket, and says on the connection whether it
does: {"ready": true}, or {"failed": why}.

On the connection of a kernel, the host sends signals, one byte each; 0 ends what the kernel has started, but not the
kernel. The zygote answers once, {"exit": code, "limit": name}, when the kernel and all that it started have ended. A
closed connection ends the kernel.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from grading.sandbox import isolate, linux, watch

PORTS = 4
LEFT_ITS_LOOP = 77  # exit code of a kernel that stopped waiting for messages
GLANCE = 0.05  # seconds between two looks at kernels without a cgroup
KERNEL_MODULES = (
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "ipykernel.debugger",
    "IPython.core.completer",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.core.pylabtools",
    "IPython.extensions.storemagic",
    "IPython.utils.wildcard",
    "matplotlib_inline.backend_inline",
    "sqlite3",
    "grading.sandbox.kernel",
)


@dataclass
class Kernel:
    """A running kernel: its process, the connection to whom it belongs, and what of its job is needed to watch it."""

    process: int
    connection: socket.socket
    job: dict
    limit: str | None = None


def warm(preload: list[str]) -> None:
    """Import everything that notebooks import, and do once what each library does at its first use."""
    for name in (*preload, *KERNEL_MODULES):
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"not preloaded: {name} ({error})", file=sys.stderr)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.monitor_interval = 0  # else the first progress bar starts a thread
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(0)
    if "matplotlib" in sys.modules:
        _draw_once()


def _draw_once() -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure = plt.figure()
    figure.gca().plot([1, 2])
    figure.savefig(io.BytesIO())
    plt.close("all")
    matplotlib.rcdefaults()
    matplotlib.backends.backend_registry.list_all()


def font_cache() -> dict[str, bytes]:
    """matplotlib's font cache, for programs that a notebook starts."""
    folder = Path(os.environ["MPLCONFIGDIR"])
    return {path.name: path.read_bytes() for path in folder.glob("fontlist*.json")}


class Zygote:
    """Serves requests for kernels until the host's socket closes.

    Args:
        listener: Descriptor of the socket where requests arrive.
        begun: What a prologue has left for its kernels (grading.sandbox.kernel.Begun), if there was one.
    """

    def __init__(self, listener: int, begun=None):
        self.begun = begun
        self.listener = socket.socket(fileno=listener)
        self.own_processes = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.kernels: dict[int, Kernel] = {}
        self.fonts = font_cache()
        self.base = watch.anonymous_memory()

    def serve(self) -> None:
        """Wait for requests, signals and ends."""
        while True:
            watched = [kernel for kernel in self.kernels.values() if kernel.job["watch"]]
            for key, _ in self.selector.select(GLANCE if watched else None):
                if key.fileobj in self.selector.get_map():
                    key.data()
            for kernel in watched:
                self.look_at(kernel)

    def accept(self) -> None:
        """Fork a kernel for one request."""
        connection, _ = self.listener.accept()
        connection.settimeout(2.0)
        descriptors: list[int] = []
        try:
            data, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, PORTS + 1)
            job = json.loads(data)
            if "prologue" in job:
                self.fork_zygote(job["prologue"], connection, descriptors)
                return
            process = self.fork(job, descriptors)
        except (OSError, ValueError) as error:
            print(f"no kernel: {error}", file=sys.stderr)
            connection.close()
            return
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        limits = {name: job[name] for name in ("watch", "memory", "processes")}  # later kernels inherit what stays here
        kernel = self.kernels[process] = Kernel(process, connection, limits)
        pidfd = os.pidfd_open(process)
        self.selector.register(connection, selectors.EVENT_READ, lambda: self.relay(kernel))
        self.selector.register(pidfd, selectors.EVENT_READ, lambda: self.bury(kernel, pidfd))

    def fork(self, job: dict, descriptors: list[int]) -> int:
        """A new process, the first of a process namespace of its own."""
        linux.unshare(linux.CLONE_NEWPID)
        process = os.fork()
        if process == 0:
            self.become_kernel(job, descriptors)
        linux.setns(self.own_processes, linux.CLONE_NEWPID)
        return process

    def fork_zygote(self, prologue: list[str], connection: socket.socket, descriptors: list[int]) -> None:
        """A further zygote, in which a notebook's first cells have run."""
        if os.fork():
            connection.close()
            return
        try:
            close_all_but({*descriptors, connection.fileno(), self.own_processes})
            names, failure = run_prologue(prologue)
            answer = {"failed": failure} if failure else {"ready": True}
            zygote = Zygote(descriptors[0], sys.modules["grading.sandbox.kernel"].Begun(names))
            connection.sendall(json.dumps(answer).encode())
            connection.close()
            if not failure:
                zygote.serve()
        finally:
            os._exit(0)

    def relay(self, kernel: Kernel) -> None:
        """Pass a signal on, or end the kernel when nobody wants it any more."""
        try:
            data = kernel.connection.recv(16)
        except OSError:
            data = b""
        if not data:
            self.selector.unregister(kernel.connection)
        for number in data or bytes([signal.SIGKILL]):
            if number == 0:
                watch.end_others(kernel.process)
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(kernel.process, number)

    def bury(self, kernel: Kernel, pidfd: int) -> None:
        """Report a kernel's end. Linux has ended all processes of its namespace by then."""
        _, status = os.waitpid(kernel.process, 0)
        report = {"exit": os.waitstatus_to_exitcode(status), "limit": kernel.limit}
        with contextlib.suppress(OSError):
            kernel.connection.sendall(json.dumps(report).encode())
        with contextlib.suppress(KeyError):
            self.selector.unregister(kernel.connection)
        self.selector.unregister(pidfd)
        os.close(pidfd)
        kernel.connection.close()
        del self.kernels[kernel.process]

    def look_at(self, kernel: Kernel) -> None:
        """End a kernel that uses too much."""
        if kernel.process not in self.kernels or kernel.limit:
            return
        job = kernel.job
        kernel.limit = watch.exceeded(kernel.process, job["memory"], job["processes"], self.base)
        if kernel.limit:
            with contextlib.suppress(ProcessLookupError):
                os.kill(kernel.process, signal.SIGKILL)

    def become_kernel(self, job: dict, descriptors: list[int]) -> None:
        """The forked side; never returns."""
        code = 1
        birth = None
        try:
            self.kernels.clear()
            close_all_but(set(descriptors))
            birth = socket.socket(fileno=descriptors[-1])
            birth.sendall(b"H")
            isolate.enter_namespaces()
            isolate.own_view(job["view"], job["user"], job["disk"])
            if birth.recv(1) != b"G":
                os._exit(0)
            isolate.limit(job["rlimits"])
            isolate.drop_privileges(job["user"])
            isolate.bring_files(job["view"])
            self.lay_out_home(job)
            app = self.start(job, descriptors[:-1], self.begun)
            birth.sendall(b"R")
            birth.close()
            birth = None
            app.start()
            code = LEFT_ITS_LOOP
        except SystemExit as request:
            code = request.code if isinstance(request.code, int) else 0
        except BaseException:
            if birth is not None:
                with contextlib.suppress(OSError):
                    birth.sendall(b"E" + traceback.format_exc().encode()[-8000:])
                    birth.shutdown(socket.SHUT_WR)
                    birth.settimeout(1.0)
                    birth.recv(1)
        finally:
            os._exit(code & 0xFF)

    def lay_out_home(self, job: dict) -> None:
        """Streams, environment and the font cache."""
        null = os.open("/dev/null", os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.close(null)
        os.environ.update(job["environment"])
        folder = Path(os.environ["MPLCONFIGDIR"])
        folder.mkdir(parents=True)
        for name, data in self.fonts.items():
            (folder / name).write_bytes(data)
        os.chdir(f"{job['view']['home']}/work")

    @staticmethod
    def start(job: dict, descriptors: list[int], begun):
        """Become an IPython kernel, with the zygote's own modules gone."""
        from grading.sandbox import kernel

        for name in [name for name in sys.modules if name == "grading" or name.startswith("grading.")]:
            del sys.modules[name]
        line = {"key": job["key"], "descriptors": dict(enumerate(descriptors, start=1))}
        sys.argv = ["ipykernel_launcher"]
        return kernel.start(line, job["arguments"], begun)


def close_all_but(keep: set[int]) -> None:
    """Close what was inherited, but for the standard streams and `keep`."""
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2 and descriptor not in keep:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def run_prologue(cells: list[str]) -> tuple[dict, str]:
    """Run cells of the released notebook; returns their namespace, and why kernels cannot begin with it, if so."""
    names: dict = {"__name__": "__main__"}
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            for source in cells:
                exec(compile(source, "<prologue>", "exec"), names)
                if "matplotlib.pyplot" in sys.modules:
                    sys.modules["matplotlib.pyplot"].close("all")
    except Exception as error:
        return {}, f"{type(error).__name__}: {error}"[:500]
    threads = len(os.listdir("/proc/self/task"))
    gc.collect()
    gc.freeze()
    return names, f"it left {threads} threads" if threads > 1 else ""


def main() -> None:
    """Warm up, say so, serve."""
    settings = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
    warm(settings["preload"])
    threads = os.listdir("/proc/self/task")
    if len(threads) > 1:
        print(f"the warm stack has {len(threads)} threads; a fork would lose them", file=sys.stderr)
    gc.collect()
    gc.freeze()
    zygote = Zygote(settings["listener"])
    os.write(settings["ready"], b"R")
    os.close(settings["ready"])
    zygote.serve()


if __name__ == "__main__":
    main()
