"""What a freshly forked process does to itself before it may run a student's code. The order matters."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import socket
import struct

from grading.sandbox import linux, seccomp

SMALL = linux.MS_NOSUID | linux.MS_NODEV
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def enter_namespaces() -> None:
    """Own mounts, IPC, host name, network (only its own loopback) and cgroup view; own processes came with the fork."""
    kinds = linux.CLONE_NEWNS | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS | linux.CLONE_NEWNET | linux.CLONE_NEWCGROUP
    linux.unshare(kinds)
    linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as some:  # the kernel talks to itself over its own loopback
        fcntl.ioctl(some, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def own_view(view: dict, number: int | None, disk: int) -> None:
    """Only this kernel's folder, own /proc and terminals, and own home, /tmp and /dev/shm with `disk` bytes of memory.

    Args:
        view: The paths inside: `home`, `jobs`, `job`, `folder` (this kernel's below jobs), `hidden`, `private_tmp`.
        number: User id of the kernel, or None to keep this one.
        disk: Size of the memory that holds files.
    """
    owner = os.getuid() if number is None else number
    home = view["home"]
    linux.mount("tmpfs", home, "tmpfs", SMALL, f"size={disk},nr_inodes=200000,mode=0700")
    for folder in ("work", "tmp", "shm"):
        os.mkdir(f"{home}/{folder}", 0o700)
        os.chown(f"{home}/{folder}", owner, owner)
    linux.mount(f"{home}/shm", "/dev/shm", None, linux.MS_BIND)
    if view["private_tmp"]:
        linux.mount(f"{home}/tmp", "/tmp", None, linux.MS_BIND)
    os.chown(home, owner, owner)
    linux.mount(f"{view['jobs']}/{view['folder']}", view["job"], None, linux.MS_BIND)
    read_only = linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | SMALL
    linux.mount(None, view["job"], None, read_only)
    for hidden in (view["jobs"], *view["hidden"]):
        linux.mount("tmpfs", hidden, "tmpfs", SMALL | linux.MS_RDONLY, "size=4k,mode=0555")
    flags = linux.MS_NOSUID | linux.MS_NOEXEC
    linux.mount("devpts", "/dev/pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=0620,max=64")
    linux.mount("proc", "/proc", "proc", SMALL | linux.MS_NOEXEC | linux.MS_RDONLY)


def bring_files(view: dict) -> None:
    """Copy what else was handed in into the working folder."""
    source = f"{view['job']}/files"
    if os.path.isdir(source):
        shutil.copytree(source, f"{view['home']}/work", dirs_exist_ok=True, copy_function=shutil.copyfile)


def limit(limits: dict[str, int]) -> None:
    """Set resource limits, soft and hard: {"CPU": seconds, ...}. DATA counts from what is in use now."""
    for name, value in limits.items():
        if name == "DATA":
            value += _data_in_use()
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def _data_in_use() -> int:
    with open("/proc/self/status") as file:
        (line,) = [line for line in file if line.startswith("VmData:")]
    return int(line.split()[1]) << 10


def drop_privileges(number: int | None) -> None:
    """Another user id where there is one, no capability, no way to gain any, and the filter on system calls."""
    linux.forbid_capabilities()
    if number is not None:
        os.setgroups([])
        os.setresgid(number, number, number)
        os.setresuid(number, number, number)
    linux.drop_capabilities()
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.prctl(linux.PR_SET_DUMPABLE, 1)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.umask(0o022)
    seccomp.install()
