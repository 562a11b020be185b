"""How much of the machine one kernel may use, and the cgroup that enforces it where one can be had."""

from __future__ import annotations

import atexit
import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Limits:
    """Limits of one kernel; sizes in bytes.

    Attributes:
        memory: Memory beyond what the warm stack already holds, together with all files that the notebook writes.
        processes: Processes and threads together.
        cpu: Processor seconds of one process.
        open_files: Open files of one process.
        file_size: Size of one file.
        disk: Size of all files together; they are held in memory.
    """

    memory: int = 2 << 30
    processes: int = 64
    cpu: int = 600
    open_files: int = 512
    file_size: int = 256 << 20
    disk: int = 512 << 20

    def rlimits(self, own_user: bool) -> dict[str, int]:
        """By name of the resource; `own_user`: no other kernel has this one's user id, so its processes can be told."""
        limits = {"CORE": 0, "CPU": self.cpu, "NOFILE": self.open_files, "FSIZE": self.file_size, "DATA": self.memory}
        return limits | {"NPROC": self.processes if own_user else 16 * self.processes}


_leftovers: list[Path] = []


def sweep(seconds: float = 0.0) -> None:
    """Take away the groups that could not be removed at once."""
    end = time.monotonic() + seconds
    while True:
        for folder in list(_leftovers):
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                continue
            _leftovers.remove(folder)
        if not _leftovers or time.monotonic() >= end:
            return
        time.sleep(0.01)


atexit.register(sweep, 2.0)


class Cgroup:
    """A group of processes with a limit on memory and on their number, in cgroup v1 or v2."""

    def __init__(self, folders: list[Path]):
        self.folders = folders

    @classmethod
    def create(cls, name: str, limits: Limits, mount: Path = MOUNT) -> Cgroup | None:
        """A new group below our own, or below the root; None where this is not permitted."""
        settings_v2 = {"memory.max": limits.memory, "memory.swap.max": 0, "pids.max": limits.processes}
        if (mount / "cgroup.controllers").exists():
            wanted = [("", settings_v2)]
        else:
            memory = {"memory.limit_in_bytes": limits.memory, "memory.memsw.limit_in_bytes": limits.memory}
            wanted = [("memory", memory), ("pids", {"pids.max": limits.processes})]
        folders: list[Path] = []
        for controller, settings in wanted:
            folder = _make(mount, controller, name, settings)
            if folder is None:
                cls(folders).remove()
                return None
            folders.append(folder)
        return cls(folders)

    def add(self, process: int) -> None:
        """Move a process in; its children follow."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(process))

    def reached(self) -> str | None:
        """Which limit was hit: "memory", "processes" or None."""
        for folder in self.folders:
            if _count(folder / "memory.oom_control", "oom_kill") or _count(folder / "memory.events", "oom_kill"):
                return "memory"
            if _count(folder / "pids.events", "max"):
                return "processes"
        return None

    def peak(self) -> int:
        """The most memory that was in use, in bytes; 0 if unknown."""
        for folder in self.folders:
            for name in ("memory.max_usage_in_bytes", "memory.peak"):
                with contextlib.suppress(OSError, ValueError):
                    return int((folder / name).read_text())
        return 0

    def remove(self) -> None:
        """Take the group away. Its processes have ended, but Linux may need a moment more, which nobody waits for."""
        _leftovers.extend(self.folders)
        sweep()


def _make(mount: Path, controller: str, name: str, settings: dict[str, int]) -> Path | None:
    for parent in (mount / controller / _own_group(controller).lstrip("/"), mount / controller):
        folder = parent / name
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            for key, value in settings.items():
                optional = "sw" in key
                if not optional or (folder / key).exists():
                    (folder / key).write_text(str(value))
            return folder
        except OSError:
            folder.rmdir()
    return None


def _own_group(controller: str) -> str:
    """Our own group of a v1 controller, or of v2 for the empty name, as in /proc/self/cgroup."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(",") and ".." not in path:
                return path
    return "/"


def _count(file: Path, key: str) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in file.read_text().splitlines():
            if line.split()[0] == key:
                return int(line.split()[1])
    return 0


def physical_memory() -> int:
    """The machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
