"""`lfi doctor`: is this machine ready for the notebooks, and what is to be done if it is not?"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from grading.course import CHECKOUT

IMPORTS = ("numpy", "torch", "torchvision", "cv2", "matplotlib.pyplot", "skimage", "sklearn")
SLOW = 30.0  # seconds for one import
IMPORT_LIMIT = 180
MEMORY, DISK = 4.0, 2.0  # GB that a notebook may need; GB for its outputs and the real data sets
REPAIR = "make setup (or: pip install -r requirements.txt; pip install --no-deps -e .)"
PROBE = "import time; began = time.perf_counter(); import {0}; print(time.perf_counter() - began)"
GPU = """
import torch
if torch.cuda.is_available():
    print("GPU", torch.cuda.get_device_name(0), f"{torch.cuda.get_device_properties(0).total_memory / 1e9:.0f} GB")
elif torch.backends.mps.is_available():
    print("Apple GPU")
else:
    print("no GPU: everything runs on the processor, as planned")
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `state` is `fine`, `wrong` or `note`; `advice` says what to do."""

    subject: str
    state: str
    told: str
    advice: str = ""


def examine(say: Callable[[str], None] = lambda what: None) -> Iterator[Finding]:
    """Look at everything, one after the other; `say` is told what comes next."""
    for subject, look in (
        ("Python", _python),
        ("packages", _packages),
        ("course", _course),
        ("imports", _imports),
        ("graphics card", _gpu),
        ("memory", _memory),
        ("disk", _disk),
        ("kernel", _kernel),
        ("data sets", _data),
    ):
        say(subject)
        try:
            yield from look()
        except Exception as error:  # whatever is broken here, the rest is still looked at
            yield Finding(subject, "wrong", f"{type(error).__name__}: {error}", REPAIR)


def _project() -> dict:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


def _python() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    wanted = Requirement(f"python{_project()['requires-python']}").specifier
    told = f"Python {platform.python_version()} in {sys.prefix}"
    if wanted.contains(platform.python_version(), prereleases=True):
        yield Finding("Python", "fine", told)
    else:
        yield Finding("Python", "wrong", told, f"Install Python {wanted}, remove .venv, then: {REPAIR}")


def _packages() -> Iterator[Finding]:
    requirements = _project()["dependencies"]
    bad = [told for one in requirements if (told := _trouble(one))]
    yield from (Finding("packages", "wrong", told, REPAIR) for told in bad)
    if not bad:
        yield Finding("packages", "fine", f"all {len(requirements)} are there in versions that fit")


def _trouble(text: str) -> str:
    """What is wrong with a package that is needed; empty: nothing."""
    from packaging.requirements import Requirement

    requirement = Requirement(text)
    if requirement.marker and not requirement.marker.evaluate():
        return ""
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name} is {version}, but {requirement.specifier} is needed"
    return ""


def _course() -> Iterator[Finding]:
    """Whether notebooks find `helpers`, and find those of this folder."""
    import helpers

    place = Path(helpers.__file__).resolve().parent.parent
    here = next(
        (f for f in (Path().resolve(), *Path().resolve().parents) if (f / "helpers" / "seeds.py").exists()), place
    )
    if place == here:
        yield Finding("course", "fine", f"notebooks use the course in {place}")
    else:
        told = f"you are in {here}, but notebooks would use the course in {place}"
        yield Finding("course", "wrong", told, "In the folder that you work in: pip install --no-deps -e .")


def _imports() -> Iterator[Finding]:
    times = []
    for name in IMPORTS:
        code, told = _run(PROBE.format(name))
        if code:
            yield Finding("imports", "wrong", f"import {name} fails: {told}", REPAIR)
            continue
        seconds = float(told.split()[-1])
        times.append(f"{name.split('.')[0]} {seconds:.1f}")
        if seconds > SLOW:
            advice = "Is the disk a network drive, or a virus scanner busy? The second time is usually quicker."
            yield Finding("imports", "note", f"import {name} takes {seconds:.0f} s", advice)
    if times:
        yield Finding("imports", "fine", f"seconds: {', '.join(times)}")


def _run(program: str) -> tuple[int, str]:
    """Run a program of Python alone; its exit code and its last line."""
    words = [sys.executable, "-c", program]
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=IMPORT_LIMIT)
    except subprocess.TimeoutExpired:
        return 1, f"it takes longer than {IMPORT_LIMIT} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode, lines[-1] if lines else f"Python ended with code {done.returncode}"


def _gpu() -> Iterator[Finding]:
    code, told = _run(GPU)
    yield Finding("graphics card", "note" if code else "fine", told)


def _memory() -> Iterator[Finding]:
    import psutil

    free = psutil.virtual_memory().available / 1e9
    if limit := _limit():
        free = min(free, limit)
    told = f"{free:.1f} GB free"
    enough = free >= MEMORY
    advice = "" if enough else f"The largest notebooks need up to {MEMORY:.0f} GB: close other programs and kernels."
    yield Finding("memory", "fine" if enough else "note", told, advice)


def _limit() -> float | None:
    """The memory that a container may use, in GB; a hub gives each student one."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if re.fullmatch(r"\d{1,15}", text):
            return int(text) / 1e9
    return None


def _disk() -> Iterator[Finding]:
    for name, folder in (("course", CHECKOUT), ("home", Path.home())):
        if not folder.is_dir():
            continue
        free = shutil.disk_usage(folder).free / 1e9
        if free < DISK:
            advice = f"Remove something: notebooks and data sets need {DISK:.0f} GB."
            yield Finding("disk", "wrong", f"{free:.1f} GB free in {folder}", advice)
        elif not os.access(folder, os.W_OK) and name == "course":
            yield Finding("disk", "note", f"{folder} cannot be written to", "Work in a copy of your own.")
        else:
            yield Finding("disk", "fine", f"{free:.0f} GB free in {folder}")


def _kernel() -> Iterator[Finding]:
    """Whether JupyterLab starts notebooks with this Python."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        first = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        yield Finding("kernel", "wrong", "Jupyter has no kernel 'python3'", REPAIR)
        return
    found = shutil.which(first) or first
    same = first in ("python", "python3") or Path(found).parent.resolve() == Path(sys.executable).parent.resolve()
    told = f"Jupyter's 'python3' is {sys.executable if same else found}"
    advice = "" if same else "python -m ipykernel install --sys-prefix"
    yield Finding("kernel", "fine" if same else "wrong", told, advice)


def _data() -> Iterator[Finding]:
    from helpers import datasets

    try:
        sets = datasets.available()
    except datasets.DataError as error:
        yield Finding("data sets", "wrong", str(error), "Unset LFI_DATA, or let it name the folder with the sets.")
        return
    missing = [entry.name for entry in sets if not entry.where]
    here = [entry.name for entry in sets if entry.where]
    told = f"here: {', '.join(here) or 'none'}; not here: {', '.join(missing) or 'none'}"
    advice = "Everything works without them; to have them: lfi data --download" if missing else ""
    yield Finding("data sets", "note" if missing else "fine", told, advice)
