"""Many submissions at once. A worker runs one and gives its result back as bytes; it touches no gradebook.

The same function serves local processes and Dask workers: bytes in, bytes out.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

from grading.canonical import canonical_submission
from grading.course import Course
from grading.gradebook import GradingFolder, configuration
from grading.results import dump, files_digest, key_of

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PRELOAD = ["grading.pool", "grading.execute", "torch", "torchvision", "pycocotools.cocoeval", "scipy.ndimage"]


def run_submission(assignment: str, notebook: bytes, files: dict[str, bytes], settings: dict) -> tuple[str, bytes]:
    """Run and judge one submission.

    Args:
        assignment: Its assignment.
        notebook: The submitted file.
        files: Other files that were handed in, by their path.
        settings: Traits of ExecuteAndJudge.

    Returns:
        A result for grading.results, with its key.
    """
    from grading.execute import ExecuteAndJudge

    (which,) = Course().select([assignment])
    with tempfile.TemporaryDirectory(prefix="lfi-") as scratch:
        folder = Path(scratch)
        for name, data in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        nb = canonical_submission(which.read_release(), notebook, files_digest(folder))
        resources = {"nbgrader": {"assignment": assignment}, "metadata": {"path": scratch}}
        runner = ExecuteAndJudge(config=configuration(), **settings)
        key = key_of(nb, which, runner.limits())
        nb, _ = runner.preprocess(nb, resources)
        return key, dump(nb)


def write_feedback(folder: GradingFolder, assignment: str, student: str) -> None:
    """Write one student's feedback page from the gradebook; reads it only."""
    (notebook,) = Course().select([assignment])
    folder.feedback(notebook, student)


def local_pool(workers: int) -> Executor:
    """Processes on this machine that share one import of the libraries that checks need, and one zygote."""
    for name in THREADS:
        os.environ.setdefault(name, "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return ProcessPoolExecutor(workers, mp_context=context)
