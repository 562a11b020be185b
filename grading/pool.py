"""Many submissions at once. A worker runs one and gives its result back as bytes; it touches no gradebook.

The same function serves local processes and Dask workers: bytes in, bytes out.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path

from grading.canonical import canonical_submission
from grading.course import Course, UserError
from grading.gradebook import GradingFolder, configuration
from grading.handed_in import HandedIn
from grading.results import dump, key_of

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PRELOAD = ["grading.pool", "grading.execute", "torch", "torchvision", "pycocotools.cocoeval", "scipy.ndimage"]


def run_submission(assignment: str, handed_in: HandedIn, settings: dict) -> bytes:
    """Run and judge one submission.

    Args:
        assignment: Its assignment.
        handed_in: The submission.
        settings: Traits of ExecuteAndJudge.

    Returns:
        The key of the result (see grading.results) and the result, in one.
    """
    from grading.execute import ExecuteAndJudge

    (which,) = Course().select([assignment])
    with tempfile.TemporaryDirectory(prefix="lfi-") as scratch:
        handed_in.write_files(Path(scratch), timestamp=False)
        release = which.read_release()
        nb = canonical_submission(release, handed_in.notebook, handed_in.files_digest(), handed_in.notes)
        resources = {"nbgrader": {"assignment": assignment}, "metadata": {"path": scratch}}
        runner = ExecuteAndJudge(config=configuration(), **settings)
        key = key_of(nb, which, runner.limits())
        nb, _ = runner.preprocess(nb, resources)
        return key.encode() + dump(nb)


def write_feedback(folder: GradingFolder, assignment: str, student: str) -> float:
    """Write one student's feedback page from the gradebook, which it only reads; returns its processor seconds."""
    began = time.process_time()
    (notebook,) = Course().select([assignment])
    folder.feedback(notebook, student)
    return time.process_time() - began


def start_fork_server() -> None:
    """Start the process from which workers are forked; it imports the libraries that checks need."""
    for name in THREADS:
        os.environ.setdefault(name, "1")
    multiprocessing.set_forkserver_preload(PRELOAD)
    with _no_interrupts():
        forkserver.ensure_running()


def local_pool(workers: int) -> Executor:
    """Processes on this machine that share one import of the libraries that checks need, and one zygote."""
    start_fork_server()
    context = multiprocessing.get_context("forkserver")
    ours = {name: value for name, value in os.environ.items() if name.startswith("LFI_")}
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_adopt, initargs=(ours,))


def _adopt(environment: dict[str, str]) -> None:
    """The fork server may be older than the settings of this run."""
    os.environ.update(environment)


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """Dask workers as an executor; each must see this course, and run one thread.

    Raises UserError when there is no scheduler at the address.
    """
    from distributed import Client

    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"No Dask scheduler answers at {address} ({error}).") from None
    with client, client.get_executor(pure=False) as pool:
        yield pool


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Processes started meanwhile ignore Ctrl-C, which is for the coordinator: it ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
