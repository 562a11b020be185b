"""Small matrices, drawn as grids of numbers."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from helpers import plotting


def blank(ax: Axes, width: float, height: float) -> None:
    """Make axes a sheet of width x height cells without frame; y points down, cells are square."""
    ax.set(xlim=(-0.1, width + 0.1), ylim=(height + 0.1, -0.1), aspect="equal")
    ax.axis("off")


def draw_matrix(
    ax: Axes,
    values: np.ndarray,
    x: float = 0.0,
    y: float = 0.0,
    title: str = "",
    marked: Iterable[tuple[int, int]] = (),
    color: str = plotting.YELLOW,
    fontsize: float = 9,
) -> None:
    """Draw a matrix as a grid, one cell a unit.

    Args:
        ax: made ready by `blank`.
        values: (H, W) array of numbers; whole ones are written without a point.
        x, y: of the grid's top-left corner, in cells.
        title: above the grid.
        marked: (row, column) of the cells that are filled with colour.
    """
    marked = set(marked)
    for row, numbers in enumerate(np.asarray(values)):
        for column, number in enumerate(numbers):
            fill = color if (row, column) in marked else "white"
            ax.add_patch(
                Rectangle((x + column, y + row), 1, 1, facecolor=fill, edgecolor=plotting.BLACK, linewidth=0.8)
            )
            text = f"{number:g}"
            ax.text(x + column + 0.5, y + row + 0.5, text, ha="center", va="center", fontsize=fontsize)
    if title:
        ax.text(x + values.shape[1] / 2, y - 0.2, title, ha="center", va="bottom", fontsize=fontsize)
