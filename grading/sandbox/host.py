"""The outside of the sandbox: starts the zygote, restarts it when it dies, shares it, and asks it for kernels.

One zygote serves all kernels of a process (`Zygote.shared()`), and of further processes that find the address of its
control socket in $LFI_ZYGOTE. The folder of the control socket is the spool, where kernels' folders are made.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

from grading.course import UserError
from grading.sandbox import view
from grading.sandbox.limits import Cgroup, Limits
from grading.sandbox.zygote import LEFT_ITS_LOOP

ADDRESS = "LFI_ZYGOTE"
PRELOAD = (
    "numpy", "scipy.ndimage", "scipy.optimize", "scipy.signal", "scipy.spatial", "torch", "torch.nn.functional",
    "torch.utils.data", "torchvision", "torchvision.ops", "torchvision.transforms.v2", "cv2", "PIL.Image",
    "matplotlib.pyplot", "matplotlib.patches", "mpl_toolkits.axes_grid1", "skimage.data", "skimage.io", "skimage.color",
    "skimage.transform", "skimage.measure", "skimage.segmentation", "sklearn.metrics", "pycocotools.mask",
    "pycocotools.cocoeval", "ipywidgets", "tqdm.auto", "helpers", "helpers.coco", "helpers.datasets",
    "helpers.plotting", "helpers.seeds",
)  # fmt: skip
START_SECONDS = 120.0
BIRTH_SECONDS = 30.0
LONGEST_REQUEST = 1 << 16  # bytes, as the zygote reads it
PATH_LIMIT = 107  # bytes of a Unix socket's path
FIRST_USER, USERS = 1_900_000_000, 256  # ids on the host that nobody has; inside they begin at FIRST_INSIDE
FIRST_INSIDE = 1000
INSTALL = "Install it with `apt-get install bubblewrap` (or `dnf install bubblewrap`)"


def why_not() -> str | None:
    """Why no sandbox can be had on this machine, in a sentence that says what to do; None if it can."""
    unsafe = "or grade without protection with `--unsafe`"
    if sys.platform != "linux":
        return f"The sandbox for students' code needs Linux: grade on a Linux machine, {unsafe}."
    if shutil.which("bwrap") is None:
        return f"The sandbox for students' code needs bubblewrap, which is not here. {INSTALL}, {unsafe}."
    trial = ["bwrap", "--unshare-all", "--unshare-user", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    result = subprocess.run(trial, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if result.returncode == 0:
        return None
    said = result.stderr.strip().splitlines()[-1:] or ["no message"]
    return f"The sandbox for students' code cannot be made here ({said[0]}): {_advice()}, {unsafe}."


def _advice() -> str:
    switches = {
        "kernel.unprivileged_userns_clone": ("0", "1"),
        "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),
        "user.max_user_namespaces": ("0", "10000"),
    }
    for name, (closed, opened) in switches.items():
        with contextlib.suppress(OSError):
            if Path("/proc/sys", name.replace(".", "/")).read_text().strip() == closed:
                return f"allow user namespaces with `sysctl {name}={opened}`"
    return "allow user namespaces (in a container: `--security-opt seccomp=unconfined` and an unmasked /proc)"


def spool_folder() -> Path:
    """A private folder with a path short enough for Unix sockets."""
    for base in (tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR"), "/tmp", "/dev/shm"):
        if base and os.access(base, os.W_OK) and len(os.fsencode(base)) < PATH_LIMIT - 50:
            return Path(tempfile.mkdtemp(prefix="lfi-", dir=base))
    raise UserError("There is no folder for Unix sockets: set TMPDIR to a writable folder with a short path.")


class Zygote:
    """The fork server of this process, kept alive by a thread of ours."""

    _shared: Zygote | None = None
    _lock = threading.Lock()

    def __init__(self):
        self.owner = os.getpid()
        self.spool = spool_folder()
        (self.spool / "jobs").mkdir()
        (self.spool / "lines").mkdir()
        users = range(FIRST_INSIDE, FIRST_INSIDE + USERS)
        lines = [f"student:x:{number}:{number}::{view.HOME}:/bin/sh\n" for number in users]
        (self.spool / "passwd").write_text("".join(lines))
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.address)
        self.listener.listen(64)
        self.closing = False
        self.failure: str | None = None
        self.process: subprocess.Popen | None = None
        self.ready = threading.Event()
        # bubblewrap ends with the thread that started it, so all are started from one thread that stays
        threading.Thread(target=self._keep, name="zygote-watchdog", daemon=True).start()
        atexit.register(self.close)

    @property
    def address(self) -> str:
        """Path of the control socket; other processes find it in $LFI_ZYGOTE."""
        return str(self.spool / "zygote.sock")

    @classmethod
    def shared(cls) -> str:
        """The address of a working zygote: the one in $LFI_ZYGOTE, else this process's own, started if needed."""
        given = os.environ.get(ADDRESS)
        if given and _answers(given):
            return given
        with cls._lock:
            mine = cls._shared
            if mine is None or mine.owner != os.getpid() or mine.closing:
                if (reason := why_not()) is not None:
                    raise UserError(reason)
                cls._shared = mine = cls()
        mine.wait_until_ready()
        return mine.address

    @classmethod
    def prepared(cls, address: str, prologue: tuple[str, ...]) -> str:
        """The address of a zygote in which a notebook's first cells have run; the given one if that cannot be had.

        It is forked from the zygote at `address` when it is first asked for; other processes find it by its socket.
        """
        name = hashlib.sha256("\0".join(prologue).encode()).hexdigest()[:16]
        path = Path(address).with_name(f"{name}.sock")
        with (path.with_suffix(".lock")).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.with_suffix(".failed").exists() and not _answers(str(path)):
                path.unlink(missing_ok=True)
                if failure := _prepare(address, path, prologue):
                    path.with_suffix(".failed").write_text(failure)
        return address if path.with_suffix(".failed").exists() else str(path)

    def wait_until_ready(self) -> None:
        """Raises UserError when the zygote cannot be started."""
        if not self.ready.wait(START_SECONDS):
            raise UserError(f"The sandbox did not start within {START_SECONDS:g} seconds.")
        if self.failure:
            raise UserError(f"The sandbox cannot be started: {self.failure}")

    def close(self) -> None:
        """End the zygote and with it all kernels."""
        if self.closing or self.owner != os.getpid():
            return
        self.closing = True
        self.listener.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.spool, ignore_errors=True)

    def _keep(self) -> None:
        quick = 0
        while not self.closing:
            started = time.monotonic()
            try:
                said = self._run_once()
            except OSError as error:
                said = str(error)
            quick = quick + 1 if time.monotonic() - started < 30 else 0
            if quick >= 3 or not self.ready.is_set():
                self.failure = said or "no message"
                self.listener.close()
                self.ready.set()
                return

    def _run_once(self) -> str:
        """Run one zygote to its end; returns the end of its log."""
        settings = {"listener": self.listener.fileno(), "preload": PRELOAD}
        log = self.spool / "zygote.log"
        read, settings["ready"] = os.pipe()
        several = os.geteuid() == 0 and may_map_users()
        command = view.bwrap_arguments(self.spool, several)
        inherited = [settings["listener"], settings["ready"]]
        if several:
            block_read, block_write = os.pipe()
            info_read, info_write = os.pipe()
            command += ["--userns-block-fd", str(block_read), "--info-fd", str(info_write)]
            inherited += [block_read, info_write]
        command += [sys.executable, "-m", "grading.sandbox.zygote", json.dumps(settings)]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                pass_fds=inherited,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C ends the grader, and the grader ends the zygote
            )
        os.close(settings["ready"])
        if several:
            os.close(block_read)
            os.close(info_write)
            _map_users(info_read, block_write)
        if os.read(read, 1):
            self.ready.set()
        os.close(read)
        self.process.wait()
        return log.read_text(errors="replace").strip()[-2000:]


def may_map_users() -> bool:
    """Whether root here may give a namespace the ids that kernels run under (not so in a rootless container)."""
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = map(int, line.split())
        if first <= FIRST_USER and first + count >= FIRST_USER + USERS:
            return True
    return False


def _map_users(info: int, block: int) -> None:
    """Map root to itself, for the set-up, and kernels' ids to ids that nobody has; then let bubblewrap go on."""
    data = b""
    while b"}" not in data and (part := os.read(info, 4096)):
        data += part
    os.close(info)
    try:
        process = json.loads(data)["child-pid"]
        for kind in ("uid_map", "gid_map"):
            text = f"0 0 1\n{FIRST_INSIDE} {FIRST_USER} {USERS}\n"
            Path(f"/proc/{process}/{kind}").write_text(text)
    except (OSError, ValueError):
        pass  # bubblewrap then says what is wrong
    finally:
        with contextlib.suppress(BrokenPipeError):
            os.write(block, b"x")
        os.close(block)


def _prepare(address: str, path: Path, prologue: tuple[str, ...]) -> str:
    """Ask a zygote for another one that listens at `path`; returns why there is none, or nothing."""
    request = json.dumps({"prologue": prologue}).encode()
    if len(request) > LONGEST_REQUEST:
        return "the first cells are too long"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection,
    ):
        listener.bind(str(path))
        listener.listen(64)
        connection.settimeout(START_SECONDS)
        try:
            connection.connect(address)
            socket.send_fds(connection, [request], [listener.fileno()])
            listener.close()
            answer = connection.recv(LONGEST_REQUEST)
        except OSError as error:
            return str(error)
    return json.loads(answer).get("failed", "") if answer else "they ended the process"


def _answers(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as trial:
        try:
            trial.connect(address)
        except OSError:
            return False
    return True


class KernelFolder:
    """A kernel's folder in the spool.

    Attributes:
        inside: What the kernel sees, read-only, as `seen_as`.
        lines: Prefix of the paths of its sockets, which it cannot see.
    """

    seen_as = view.JOB

    def __init__(self, address: str):
        self.name = uuid.uuid4().hex[:10]
        spool = Path(address).parent
        self.inside = spool / "jobs" / self.name
        self.lines = spool / "lines" / self.name
        self.inside.mkdir(mode=0o755)

    def bring(self, source: Path, limit: int) -> None:
        """Copy what else was handed in: plain files without notebooks, links never followed, `limit` bytes at most."""
        left = limit
        for folder, folders, names in os.walk(source):
            folders[:] = [name for name in folders if not name.startswith(".")]
            target = self.inside / "files" / Path(folder).relative_to(source)
            target.mkdir(parents=True, exist_ok=True)
            for name in names:
                path = Path(folder, name)
                if path.suffix == ".ipynb" or path.is_symlink() or not path.is_file():
                    continue
                left -= path.stat().st_size
                if left < 0:
                    return
                shutil.copyfile(path, target / name)
                (target / name).chmod(0o644)

    def listeners(self, count: int) -> list[socket.socket]:
        """Listening sockets `<lines>-1`, `<lines>-2`... to hand to the kernel."""
        sockets = []
        for number in range(1, count + 1):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(f"{self.lines}-{number}")
            listener.listen(64)
            sockets.append(listener)
        return sockets

    def remove(self) -> None:
        """Take everything away."""
        shutil.rmtree(self.inside, ignore_errors=True)
        for path in self.lines.parent.glob(f"{self.name}-*"):
            path.unlink(missing_ok=True)


class KernelProcess:
    """A kernel in the sandbox, as its owner sees it.

    Attributes:
        pid: Its process id on the host.
        limit: Which limit ended it: "memory", "processes" or None.
        lost: It ended because the zygote did, or because an earlier cell had stopped its event loop: in any case not by
            the code that ran when it ended.
    """

    def __init__(self, address: str, folder: KernelFolder, key: str, limits: Limits, arguments: list[str]):
        self.returncode: int | None = None
        self.limit: str | None = None
        self.lost = False
        self.cgroup = Cgroup.create(f"lfi-{folder.name}", limits)
        several = os.geteuid() == 0 and may_map_users()
        user = FIRST_INSIDE + int(folder.name, 16) % USERS if several else None
        private_tmp = view.hides_tmp(view.python_folders())
        job = {
            "key": key,
            "arguments": arguments,
            "user": user,
            "disk": limits.disk,
            "memory": limits.memory,
            "processes": limits.processes,
            "watch": self.cgroup is None,
            "rlimits": limits.rlimits(own_user=several),
            "environment": {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
            "view": {
                "home": view.HOME,
                "jobs": view.JOBS,
                "job": view.JOB,
                "folder": folder.name,
                "hidden": [f"{view.COURSE}/grading"],
                "private_tmp": private_tmp,
            },
        }
        listeners = folder.listeners(4)
        birth, handed = socket.socketpair()
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with birth:
                birth.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
                birth.settimeout(BIRTH_SECONDS)
                self._connection.connect(address)
                descriptors = [*(listener.fileno() for listener in listeners), handed.fileno()]
                socket.send_fds(self._connection, [json.dumps(job).encode()], descriptors)
                handed.close()
                self._wait_for_birth(birth)
        except BaseException:
            self._connection.close()
            if self.cgroup is not None:
                self.cgroup.remove()
            raise
        finally:
            handed.close()
            for listener in listeners:
                listener.close()

    def _wait_for_birth(self, birth: socket.socket) -> None:
        data, ancillary, _, _ = birth.recvmsg(1, socket.CMSG_SPACE(12))
        if data != b"H":
            raise ConnectionError("the zygote did not answer")
        self.pid = struct.unpack("iII", ancillary[0][2])[0]
        with contextlib.suppress(ProcessLookupError, BrokenPipeError):
            if self.cgroup is not None:
                self.cgroup.add(self.pid)
            birth.sendall(b"G")
        data = birth.recv(1)
        if data != b"R":
            said = b""
            while data == b"E" and (part := birth.recv(4096)):
                said += part
            said = said or f"it ended with code {self._poll(1.0)}".encode()
            raise ConnectionError(f"the kernel did not start: {said.decode(errors='replace')}")

    def fileno(self) -> int:
        """Readable as soon as the kernel has ended."""
        return self._connection.fileno()

    def poll(self) -> int | None:
        """Its exit code (a signal's number below zero), or None while it runs."""
        return self._poll(0.0)

    def wait(self, seconds: float) -> int | None:
        """Like poll, but waits for the end."""
        return self._poll(seconds)

    def _poll(self, seconds: float) -> int | None:
        if self.returncode is not None:
            return self.returncode
        try:
            self._connection.settimeout(seconds)
            data = self._connection.recv(4096)
        except (BlockingIOError, TimeoutError):
            return None
        except OSError:
            data = b""
        report = json.loads(data) if data else {"exit": -9, "limit": None}
        self.lost = not data or report["exit"] == LEFT_ITS_LOOP
        self.limit = report["limit"] or (self.cgroup.reached() if self.cgroup is not None else None)
        self.returncode = report["exit"]
        self._connection.close()
        if self.cgroup is not None:
            self.cgroup.remove()
        return self.returncode

    def end_others(self) -> None:
        """End what the kernel has started, but not the kernel."""
        self.send_signal(0)

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel; SIGKILL ends its whole tree."""
        if self.returncode is None:
            with contextlib.suppress(OSError):
                self._connection.settimeout(1.0)
                self._connection.sendall(bytes([number]))
