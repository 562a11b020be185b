"""Functions that a student wrote in an earlier notebook."""

import json
from pathlib import Path


def functions(notebook: str, names: list[str]) -> dict | None:
    """What the cells of these tasks define in another notebook of the course.

    Only the cells of the tasks run, with NumPy as `np`, nothing else of that notebook.

    Args:
        notebook: assignment and name, for example "01_iou_nms/iou_nms"; its folder lies beside the one we are in.
        names: of the tasks; one that uses another comes after it.

    Returns:
        From name to function; None if the notebook is not there or one of the tasks is not solved.
    """
    path = Path("..") / f"{notebook}.ipynb"
    if not path.is_file():
        return None
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = {
        cell["metadata"].get("nbgrader", {}).get("grade_id"): "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code"
    }
    if any("raise NotImplementedError" in sources.get(name, "raise NotImplementedError") for name in names):
        return None
    import numpy as np

    found = {"np": np}
    for name in names:
        exec(compile(sources[name], f"<{name} of {notebook}>", "exec"), found)
    return {name: found[name] for name in names}
