"""The allow-list root: everything that exists inside the sandbox, read-only, and nothing else.

Visible are: system libraries and programs, Python, its site-packages, fonts, and the course's helpers/ and data/.
Not visible are: the rest of the course (checks, mutants, solutions, tests, gradebooks, .git), homes, other submissions,
the host's processes, devices and network.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from grading.course import CHECKOUT, Course

COURSE = "/course"  # helpers, data and, until a kernel starts, the zygote's own code
JOBS = "/jobs"  # the folders of all kernels; a kernel sees only its own, as JOB
JOB = "/job"
HOME = "/student"
CONTROL_FD = 3

SYSTEM = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/bin", "/bin", "/lib", "/lib32", "/lib64")
SHARED = ("/usr/share/fonts", "/usr/share/zoneinfo", "/usr/share/locale", "/usr/local/lib", "/usr/local/bin")
SETTINGS = ("/etc/ld.so.cache", "/etc/fonts", "/etc/localtime", "/etc/alternatives")
DEVICES = ("null", "zero", "full", "random", "urandom")
CAPABILITIES = ("SYS_ADMIN", "SETPCAP", "SETUID", "SETGID", "SYS_RESOURCE", "SYS_PTRACE", "NET_ADMIN", "KILL", "CHOWN")


def python_folders() -> list[Path]:
    """Python itself and its installed packages; no folder of the course is among them."""
    folders = {Path(sys.prefix), Path(sys.base_prefix), Path(os.path.realpath(sys.executable)).parent.parent}
    folders |= {Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")}
    inside_system = {Path("/usr"), Path("/usr/local"), Path("/")}
    return sorted(folder for folder in folders - inside_system if folder.is_dir())


def hides_tmp(folders: list[Path]) -> bool:
    """Whether kernels may have a /tmp of their own: no package lies below the real one."""
    return not any(folder.is_relative_to("/tmp") for folder in folders)


def environment(private_tmp: bool) -> dict[str, str]:
    """The variables of every process inside; none is taken from outside."""
    temporary = "/tmp" if private_tmp else f"{HOME}/tmp"
    one_thread = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        "PATH": f"{sys.prefix}/bin:/usr/bin:/bin",
        "PYTHONPATH": COURSE,
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "LANG": "C.UTF-8",
        "USER": "student",
        "LOGNAME": "student",
        "HOME": HOME,
        "TMPDIR": temporary,
        "MPLCONFIGDIR": f"{HOME}/.config/matplotlib",
        "IPYTHONDIR": f"{HOME}/.ipython",
        "JUPYTER_RUNTIME_DIR": f"{HOME}/.runtime",
        "NBGRADER_EXECUTION": "autograde",
        **dict.fromkeys(one_thread, "1"),
    }


def bwrap_arguments(spool: Path, several_ids: bool) -> list[str]:
    """The command line of bubblewrap up to the program to run.

    Args:
        spool: Folder with `jobs/` and `passwd`, made by the host side.
        several_ids: The caller maps user ids itself (it is root), so that kernels do not run as root's.
    """
    identity = "0" if several_ids else "1000"
    command = [
        "bwrap",
        "--unshare-all",
        "--unshare-user",
        "--die-with-parent",
        "--new-session",
        "--hostname",
        "grading",
    ]
    command += ["--uid", identity, "--gid", identity, "--cap-drop", "ALL"]
    for capability in CAPABILITIES:
        command += ["--cap-add", f"CAP_{capability}"]
    command += ["--tmpfs", "/", "--proc", "/proc", "--tmpfs", "/dev"]
    for device in DEVICES:
        command += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    command += ["--perms", "0755", "--dir", "/dev/pts", "--symlink", "pts/ptmx", "/dev/ptmx"]
    for link, number in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        command += ["--symlink", f"/proc/self/fd{number}", f"/dev/{link}"]
    command += ["--tmpfs", "/dev/shm"]
    folders = python_folders()
    visible = [*SYSTEM, *SHARED, *SETTINGS, *map(str, folders), f"{COURSE}/grading/sandbox"]
    for folder in sorted({str(parent) for path in visible for parent in Path(path).parents if parent != Path("/")}):
        if not os.path.islink(folder):
            command += ["--perms", "0755", "--dir", folder]
    for folder in ("/tmp", HOME, JOB):
        command += ["--perms", "0755", "--dir", folder]
    for path in (*SYSTEM, *SHARED, *SETTINGS):
        command += _shown(path)
    for folder in folders:
        command += ["--ro-bind", str(folder), str(folder)]
    command += _course()
    command += ["--ro-bind", str(spool / "passwd"), "/etc/passwd", "--ro-bind", str(spool / "jobs"), JOBS]
    command += ["--tmpfs", HOME, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", HOME, "--clearenv"]
    for name, value in environment(hides_tmp(folders)).items():
        command += ["--setenv", name, value]
    return command


def _shown(path: str) -> list[str]:
    """A path as it is on the host: a link stays a link."""
    if os.path.islink(path) and not path.startswith("/etc"):
        return ["--symlink", os.readlink(path), path]
    return ["--ro-bind-try", path, path]


def _course() -> list[str]:
    """helpers and data, those of the course or of this checkout, and the code of this package."""
    command = []
    for name in ("helpers", "data"):
        found = [root / name for root in (Course().root, CHECKOUT) if (root / name).is_dir()]
        if found:
            command += ["--ro-bind", str(found[0]), f"{COURSE}/{name}"]
    package = Path(__file__).resolve().parent
    command += ["--ro-bind", str(package.parent / "__init__.py"), f"{COURSE}/grading/__init__.py"]
    return [*command, "--ro-bind", str(package), f"{COURSE}/grading/sandbox"]
