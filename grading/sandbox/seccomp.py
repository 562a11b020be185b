"""A filter on system calls: what a notebook never needs and an attack on the machine's kernel often does.

It is a deny-list in front of the namespaces, not the wall itself. Denied are: tracing other processes, mounts, new
namespaces, kernel modules, eBPF, io_uring, key rings, clocks, and unusual sockets (AF_VSOCK
would reach the host of a virtual machine, because network namespaces do not hold it).
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

from grading.sandbox.linux import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    PR_SET_SECCOMP,
    prctl,
)

NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
NETLINK, ROUTE = 16, 0  # how libraries list the network's interfaces

# name: number on x86_64, number on aarch64 (None: the call does not exist there)
DENIED = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "pidfd_getfd": (438, 438),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "swapon": (167, 224), "swapoff": (168, 225), "reboot": (169, 142),
    "sethostname": (170, 161), "setdomainname": (171, 162), "acct": (163, 89), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "fanotify_init": (300, 262), "clock_settime": (227, 112), "settimeofday": (164, 170),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "syslog": (103, 116), "personality": (135, 92),
    "move_pages": (279, 239), "lookup_dcookie": (212, 18), "iopl": (172, None), "ioperm": (173, None),
    "modify_ldt": (154, None), "uselib": (134, None), "ustat": (136, None), "sysfs": (139, None),
}  # fmt: skip
CLONE, CLONE3, SOCKET = (56, 220), (435, 435), (41, 198)
ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT, THIRD_ARGUMENT = 0, 4, 16, 32  # offsets in struct seccomp_data


def program(machine: str) -> bytes:
    """The filter as BPF code; ValueError for an unknown machine."""
    if machine not in ARCHITECTURES:
        raise ValueError(f"no filter for {machine}")
    architecture, column = ARCHITECTURES[machine]
    code: list[tuple[int, int, int, int]] = []

    def add(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> None:
        code.append((operation, if_true, if_false, value))

    add(LOAD, ARCHITECTURE)
    add(EQUAL, architecture, 1, 0)
    add(RETURN, KILL)
    add(LOAD, NUMBER)
    if machine == "x86_64":  # the x32 calls have numbers of their own
        add(AT_LEAST, 0x40000000, 0, 1)
        add(RETURN, REFUSE | errno.ENOSYS)
    for numbers in DENIED.values():
        if numbers[column] is not None:
            add(EQUAL, numbers[column], 0, 1)
            add(RETURN, REFUSE | errno.EPERM)
    add(EQUAL, CLONE3[column], 0, 1)  # its flags lie in memory, where no filter looks; libc then takes clone
    add(RETURN, REFUSE | errno.ENOSYS)
    add(EQUAL, CLONE[column], 0, 4)
    add(LOAD, FIRST_ARGUMENT)
    add(ANY_BIT, NAMESPACES, 0, 1)
    add(RETURN, REFUSE | errno.EPERM)
    add(RETURN, ALLOW)
    add(EQUAL, SOCKET[column], 0, len(FAMILIES) + 5)
    add(LOAD, FIRST_ARGUMENT)
    for index, family in enumerate(FAMILIES):
        add(EQUAL, family, len(FAMILIES) + 3 - index, 0)
    add(EQUAL, NETLINK, 0, 2)
    add(LOAD, THIRD_ARGUMENT)
    add(EQUAL, ROUTE, 1, 0)
    add(RETURN, REFUSE | errno.EAFNOSUPPORT)
    add(RETURN, ALLOW)
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def install() -> bool:
    """Filter this thread's calls from now on; False on a machine for which there is no filter."""
    try:
        code = program(platform.machine())
    except ValueError:
        return False
    buffer = ctypes.create_string_buffer(code, len(code))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer)))
    prctl(PR_SET_SECCOMP, 2, ctypes.c_void_p(ctypes.addressof(head)))
    return True
