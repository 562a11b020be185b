"""The eye on a kernel's memory and processes where no cgroup can be had. Runs in the zygote."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

PROC = Path("/proc")


def members(namespace: str) -> list[int]:
    """The processes of one process namespace, as numbered here."""
    found = []
    for entry in os.listdir(PROC):
        if entry.isdigit():
            try:
                if os.readlink(PROC / entry / "ns/pid") == namespace:
                    found.append(int(entry))
            except OSError:
                continue
    return found


def exceeded(process: int, memory: int, processes: int, base: int) -> str | None:
    """Which limit a kernel and its children break: "memory", "processes" or None.

    Args:
        process: The kernel.
        memory: Limit in bytes on memory beyond the warm stack's.
        processes: Limit on processes and threads.
        base: Anonymous memory of the warm stack, which all processes share until they write to it.
    """
    try:
        namespace = os.readlink(PROC / str(process) / "ns/pid")
    except OSError:
        return None
    family = members(namespace)
    threads = most = 0
    for member in family:
        status = _status(member)
        threads += status.get("Threads", 0)
        most += (status.get("RssAnon", 0) + status.get("RssShmem", 0)) << 10
    if threads > processes:
        return "processes"
    if most > memory + base and sum(map(_share, family)) > memory + base:
        return "memory"
    return None


def end_others(process: int) -> None:
    """End every process in a kernel's namespace but the kernel itself."""
    try:
        namespace = os.readlink(PROC / str(process) / "ns/pid")
    except OSError:
        return
    for number in (signal.SIGSTOP, signal.SIGSTOP, signal.SIGKILL):  # what is stopped cannot fork again
        for member in members(namespace):
            if member != process:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(member, number)


def anonymous_memory() -> int:
    """Anonymous memory of this process in bytes."""
    return _status(os.getpid()).get("RssAnon", 0) << 10


def _status(process: int) -> dict[str, int]:
    values = {}
    try:
        for line in (PROC / str(process) / "status").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("Threads", "RssAnon", "RssShmem"):
                values[name] = int(rest.split()[0])
    except (OSError, ValueError):
        pass
    return values


def _share(process: int) -> int:
    """A process's memory, what it shares with others counted in part; all of it where that cannot be read."""
    total = 0
    try:
        for line in (PROC / str(process) / "smaps_rollup").read_text().splitlines():
            if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                total += int(line.split()[1]) << 10
    except (OSError, ValueError):
        status = _status(process)
        return (status.get("RssAnon", 0) + status.get("RssShmem", 0)) << 10
    return total
