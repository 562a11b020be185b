"""One look for all figures: few, small, legible, safe for colour-blind readers.

Colours are Okabe and Ito's (https://jfly.uni-koeln.de/color/). Colour is never the only cue: pass line styles, labels
or markers as well.
"""

import io
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE = OKABE_ITO = (
    *("#000000", "#E69F00", "#56B4E9", "#009E73"),
    *("#F0E442", "#0072B2", "#D55E00", "#CC79A7"),
)
CYCLE = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, BLACK)
LINE_STYLES = ("-", "--", ":", "-.")


def use_style() -> None:
    """Set the course's defaults for all figures that follow, and keep them small inside notebooks."""
    _use_palette_png()
    plt.rcParams.update(
        {
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "font.size": 9,
            "axes.titlesize": 10,
            "axes.prop_cycle": plt.cycler(color=CYCLE),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "image.cmap": "gray",
            "image.interpolation": "antialiased",
            "legend.frameon": False,
            "lines.linewidth": 1.8,
        }
    )


def show_image(ax: Axes, image: np.ndarray, title: str = "", **options: object) -> None:
    """Draw an image without ticks, pixel (row 0, column 0) covering [0, 1] x [0, 1].

    Args:
        image: (H, W) or (H, W, 3); floats in [0, 1] or bytes.
        options: passed on to `imshow`; gray images span black (0) to white (1) if not told otherwise.
    """
    height, width = image.shape[:2]
    if image.ndim == 2 and image.dtype.kind == "f":
        options = {"vmin": 0, "vmax": 1, **options}
    ax.imshow(image, extent=(0, width, height, 0), **options)
    ax.set_title(title)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def show_boxes(
    ax: Axes,
    boxes: np.ndarray,
    labels: Iterable[str] | None = None,
    scores: Iterable[float] | None = None,
    color: str = ORANGE,
    style: str = "-",
    width: float = 1.5,
) -> None:
    """Draw boxes, each with its label and score at the top-left corner.

    Args:
        boxes: (N, 4) array of x1, y1, x2, y2 in pixels.
        labels, scores: N of each, or None.
        style: line style; draw what differs in meaning dashed, not only in another colour.
    """
    tags = [[] for _ in boxes]
    for tag, label in zip(tags, labels if labels is not None else [], strict=False):
        tag.append(str(label))
    for tag, score in zip(tags, scores if scores is not None else [], strict=False):
        tag.append(f"{score:.2f}")
    for (x1, y1, x2, y2), tag in zip(boxes, tags, strict=True):
        ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=color, linestyle=style, linewidth=width))
        if tag:
            box = {"facecolor": color, "edgecolor": "none", "pad": 1}
            dark = np.dot(to_rgb(color), (0.3, 0.6, 0.1)) < 0.45
            text = {"fontsize": 7, "color": "white" if dark else "black", "va": "bottom"}
            ax.text(x1, y1, " ".join(tag), bbox=box, **text)


def show_masks(ax: Axes, masks: np.ndarray, colors: Sequence[str] = CYCLE, alpha: float = 0.55) -> None:
    """Lay masks over an image, each with its outline.

    Args:
        masks: (N, H, W) bool array; mask k gets colors[k % len(colors)].
    """
    height, width = masks.shape[1:]
    overlay = np.zeros((height, width, 4))
    for mask, color in zip(masks, _repeat(colors), strict=False):
        overlay[mask] = (*to_rgb(color), alpha)
    ax.imshow(overlay, extent=(0, width, height, 0))
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    for mask, color in zip(masks, _repeat(colors), strict=False):
        ax.contour(columns, rows, mask, levels=[0.5], colors=[color], linewidths=1)


def write(ax: Axes, x: float, y: float, text: str) -> None:
    """Centre white text with a black rim on an image: legible on any ground."""
    rim = [withStroke(linewidth=2, foreground="black")]
    ax.text(x, y, text, color="white", weight="bold", ha="center", va="center", path_effects=rim)


def side_by_side(images: Sequence[np.ndarray], titles: Sequence[str], height: float = 2.6) -> np.ndarray:
    """A row of images.

    Args:
        images: N of them, of any size.
        height: of the row in inches; the widths follow from the images.

    Returns:
        (N,) array of axes, to draw on.
    """
    ratios = [image.shape[1] / image.shape[0] for image in images]
    figure, axes = plt.subplots(
        1, len(images), figsize=(height * sum(ratios), height + 0.3), width_ratios=ratios, squeeze=False
    )
    for ax, image, title in zip(axes[0], images, titles, strict=True):
        show_image(ax, image, title)
    return axes[0]


def plot_curves(
    ax: Axes, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], xlabel: str, ylabel: str, title: str = ""
) -> None:
    """Draw curves that differ in colour and in line style, with a legend if there are several.

    Args:
        curves: from a name to (x, y).
    """
    for k, (name, (x, y)) in enumerate(curves.items()):
        ax.plot(x, y, LINE_STYLES[k % len(LINE_STYLES)], label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if len(curves) > 1:
        ax.legend()


def slider(
    draw: Callable[[Axes, float], None], name: str, start: float, stop: float, step: float, figsize: tuple[float, float]
) -> None:
    """Show a figure with a slider below; put a static figure of a few positions beside it.

    The figure is kept in an image widget, not in an output area, so it also runs where nobody watches.

    Args:
        draw: called with empty axes and the slider's value; its errors appear in the cell.
        name: label of the slider, whose values go from start to stop by step and begin in the middle.
        figsize: width and height in inches.
    """
    import ipywidgets
    from IPython.display import display

    def render(value: float) -> bytes:
        figure = Figure(figsize=figsize)
        draw(figure.subplots(), value)
        with io.BytesIO() as file:
            figure.savefig(file, format="png")
            return file.getvalue()

    middle = start + step * round((stop - start) / step / 2)
    control = ipywidgets.FloatSlider(middle, min=start, max=stop, step=step, description=name, continuous_update=False)
    image = ipywidgets.Image(value=render(middle), format="png")
    control.observe(lambda change: setattr(image, "value", render(change["new"])), names="value")
    display(ipywidgets.VBox([image, control]))


def _use_palette_png() -> None:
    """In a notebook: figures as PNG of 128 colours, which halves the size of those with photos."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or not hasattr(shell, "kernel"):
        return
    from IPython.core.pylabtools import print_figure
    from matplotlib_inline import backend_inline  # noqa: F401 (sets its own PNG format when first imported)
    from PIL import Image

    def palette_png(figure: Figure) -> bytes | None:
        png = print_figure(figure, fmt="png")
        if png is None:
            return None
        image = Image.open(io.BytesIO(png)).convert("RGB")
        with io.BytesIO() as file:
            image.quantize(128, kmeans=1, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
            return file.getvalue()

    shell.display_formatter.formatters["image/png"].for_type(Figure, palette_png)


def _repeat(colors: Sequence[str]) -> Iterable[str]:
    while True:
        yield from colors
