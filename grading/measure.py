"""`lfi measure`: what a notebook reaches, over several seeds. Figures quoted in texts and targets come from here."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable

import numpy as np
from nbclient.exceptions import CellExecutionError

from grading.build import execute, read_source
from grading.course import ANSI, Notebook, UserError, has_tag

LINE = re.compile(r"^(?P<name>[^\n:]+): *(?P<value>-?\d+(?:\.\d+)?(?:e-?\d+)?)\b", re.MULTILINE)


def measure(
    notebook: Notebook, seeds: Iterable[int], *, real: bool = False, done: Callable[[], None] = lambda: None
) -> dict[str, np.ndarray]:
    """Run a solution once a seed and collect the lines `name: number` that its cells tagged `measured` print.

    Args:
        notebook: Which.
        seeds: Values of LFI_SEED.
        real: With the real data that LFI_DATA names; else with embedded data only.
        done: Called after each run.

    Returns:
        From each name to its values, one a seed.
    """
    data = os.environ.get("LFI_DATA", "")
    if real and not data:
        raise UserError("--real needs LFI_DATA to name the folder with the real sets.")
    found: dict[str, list[float]] = {}
    for seed in seeds:
        nb = read_source(notebook)
        variables = {"LFI_SEED": str(seed)} | ({"LFI_DATA": data} if real else {})
        try:
            execute(nb, notebook.source.parent, environment=variables)
        except CellExecutionError as error:
            message = ANSI.sub("", str(error))[-2000:]
            raise UserError(f"{notebook.assignment} fails with seed {seed}.\n{message}") from None
        for cell in nb.cells:
            if has_tag(cell, "measured"):
                text = "".join(out.text for out in cell.outputs if out.output_type == "stream")
                for match in LINE.finditer(text):
                    found.setdefault(match["name"].strip(), []).append(float(match["value"]))
        done()
    if not found:
        raise UserError(f"{notebook.assignment} has no cell tagged `measured` that prints lines like `name: 0.81`.")
    return {name: np.array(values) for name, values in found.items()}
