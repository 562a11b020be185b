"""One look for all figures: few, small, legible, safe for colour-blind readers.

Colours are Okabe and Ito's (https://jfly.uni-koeln.de/color/). Colour is never the only cue: pass line styles, labels
or markers as well.
"""

import functools
import io
import itertools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.patheffects import withStroke

if TYPE_CHECKING:
    import PIL.Image

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
    fill: float = 0.0,
) -> None:
    """Draw boxes, each with its label and score at the top-left corner.

    Args:
        boxes: (N, 4) array of x1, y1, x2, y2 in pixels.
        labels, scores: N of each, or None.
        style: line style; draw what differs in meaning dashed, not only in another colour.
        fill: how much of the picture the inside covers with colour, from 0 to 1.
    """
    outlines = np.asarray(boxes, dtype=float).reshape(-1, 4)[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    look = {"facecolors": to_rgba(color, fill), "edgecolors": color, "linestyles": style, "linewidths": width}
    ax.add_collection(PolyCollection(outlines, **look), autolim=False)
    tags = [[] for _ in boxes]
    for tag, label in zip(tags, labels if labels is not None else [], strict=False):
        tag.append(str(label))
    for tag, score in zip(tags, scores if scores is not None else [], strict=False):
        tag.append(f"{score:.2f}")
    for (x1, y1, *_), tag in zip(boxes, tags, strict=True):
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
    for mask, color in zip(masks, itertools.cycle(colors), strict=False):
        overlay[mask] = (*to_rgb(color), alpha)
    ax.imshow(overlay, extent=(0, width, height, 0))
    outlines = [_outline(mask) for mask in masks]
    rims = list(itertools.islice(itertools.cycle(colors), len(outlines)))
    look = {"facecolors": "none", "edgecolors": rims, "linewidths": 1, "capstyle": "projecting"}
    ax.add_collection(PathCollection(outlines, **look), autolim=False)


def _outline(mask: np.ndarray) -> Path:
    """Where a mask ends: one path of segments, each one pixel long."""
    padded = np.pad(mask, 1)
    below = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])[:, ::-1]
    beside = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])[:, ::-1]
    ends = np.concatenate([np.hstack([below, below + [1, 0]]), np.hstack([beside, beside + [0, 1]])])
    return Path(ends.reshape(-1, 2), np.tile([Path.MOVETO, Path.LINETO], len(ends)))


def error_map(pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    """A mask against the truth as a picture: hits white, misses blue, false alarms orange, the rest black.

    Args:
        pred, target: (H, W) bool.

    Returns:
        (H, W, 3) floats in [0, 1].
    """
    colors = np.array([to_rgb("black"), to_rgb(SKY), to_rgb(RED), to_rgb("white")])
    return colors[np.asarray(target, dtype=int) + 2 * np.asarray(pred, dtype=int)]


def show_stars(ax: Axes, histograms: np.ndarray, cell: float = 1.0, title: str = "") -> None:
    """Draw histograms of gradients as stars: a stroke lies along the edge, across the gradient; bright is strong.

    Args:
        histograms: (R, C, bins), not negative; bin k covers gradients from k to k + 1 times 180 / bins degrees.
        cell: side of a cell in the picture's pixels.
    """
    rows, columns, bins = histograms.shape
    angle = np.deg2rad((np.arange(bins) + 0.5) * 180 / bins + 90)
    half = 0.47 * cell * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    y, x = (np.mgrid[:rows, :columns] + 0.5) * cell
    middle = np.stack([x, y], axis=2)[:, :, None]
    strength = np.clip(histograms / max(np.quantile(histograms.max(axis=2), 0.98), 1e-12), 0, 1).ravel()
    order = np.argsort(strength, kind="stable")
    strokes = np.stack([middle - half, middle + half], axis=3).reshape(-1, 2, 2)[order]
    ax.set_facecolor("black")
    look = {"colors": plt.colormaps["gray"](strength[order]), "linewidths": 1.1}
    ax.add_collection(LineCollection(strokes, **look), autolim=False)
    ax.set(xlim=(0, columns * cell), ylim=(rows * cell, 0), xticks=[], yticks=[], aspect="equal", title=title)
    ax.spines[:].set_visible(False)


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


def render(draw: Callable[[Axes], None], figsize: tuple[float, float]) -> bytes:
    """A figure as PNG, for widgets.

    Args:
        draw: called with empty axes.
        figsize: width and height in inches.
    """
    figure = Figure(figsize=figsize)
    draw(figure.subplots())
    with io.BytesIO() as file:
        figure.savefig(file, format="png")
        return file.getvalue()


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
    sliders(draw, {name: (start, stop, step)}, figsize)


def sliders(
    draw: Callable[..., None], ranges: Mapping[str, tuple[float, float, float]], figsize: tuple[float, float]
) -> None:
    """As `slider`, with several of them.

    Args:
        draw: called with empty axes and each slider's value.
        ranges: from a slider's label to its start, stop and step.
        figsize: width and height in inches.
    """
    import ipywidgets
    from IPython.display import display

    def picture() -> bytes:
        return render(lambda ax: draw(ax, *(control.value for control in controls)), figsize)

    controls = [
        ipywidgets.FloatSlider(
            start + step * round((stop - start) / step / 2),
            min=start,
            max=stop,
            step=step,
            description=name,
            continuous_update=False,
        )
        for name, (start, stop, step) in ranges.items()
    ]
    image = ipywidgets.Image(value=picture(), format="png")
    for control in controls:
        control.observe(lambda change: setattr(image, "value", picture()), names="value")
    display(ipywidgets.VBox([image, *controls]))


def montage(images: np.ndarray, columns: int, gap: int = 1, ground: float = 1.0) -> np.ndarray:
    """Many small images as one, row by row, with gaps between them.

    Args:
        images: (N, H, W) or (N, H, W, 3) array; N is a multiple of columns.
        gap: in pixels.
        ground: gray value of the gaps.

    Returns:
        One image, (N / columns) rows of `columns` images each.
    """
    images = np.asarray(images)
    (number, height, width), rest = images.shape[:3], images.shape[3:]
    rows = number // columns
    sheet = np.full((rows, columns, height + gap, width + gap, *rest), ground)
    sheet[:, :, :height, :width] = images.reshape(rows, columns, height, width, *rest)
    sheet = np.moveaxis(sheet, 2, 1).reshape(rows * (height + gap), columns * (width + gap), *rest)
    return sheet[:-gap, :-gap] if gap else sheet


def animate(draw: Callable[..., None], frames: int, figsize: tuple[float, float], seconds: float = 0.4) -> None:
    """Show an animation that repeats; put a static strip of a few frames beside it.

    Args:
        draw: called as draw(ax, frame=k) with empty axes, k from 0 to frames - 1.
        figsize: width and height in inches.
        seconds: that each frame stays; the last stays four times as long.
    """
    from IPython.display import Image, display
    from PIL import Image as pillow

    pictures = [
        pillow.open(io.BytesIO(render(functools.partial(draw, frame=k), figsize))).convert("RGB").quantize(48)
        for k in range(frames)
    ]
    durations = [round(1000 * seconds)] * (frames - 1) + [round(4000 * seconds)]
    with io.BytesIO() as file:
        pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0)
        display(Image(data=file.getvalue(), format="gif"))


def _use_palette_png() -> None:
    """In a notebook: figures as small PNG, drawn only once."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or not hasattr(shell, "kernel"):
        return
    from matplotlib_inline import backend_inline  # noqa: F401 (sets its own PNG format when first imported)

    shell.display_formatter.formatters["image/png"].for_type(Figure, _palette_png)


def _palette_png(figure: Figure) -> bytes | None:
    """A figure as PNG of 128 colours without margins: half the bytes of the usual one, a third of the time."""
    from IPython.core.pylabtools import print_figure
    from PIL import Image, ImageChops

    if not figure.axes:
        return None
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    pixels = np.asarray(image)
    rim = np.concatenate([pixels[[0, -1]].reshape(-1, 3), pixels[:, [0, -1]].reshape(-1, 3)])
    if (rim != pixels[0, 0]).any():  # something sticks out: draw it again, in the layout found
        figure.set_layout_engine("none")
        image = Image.open(io.BytesIO(print_figure(figure, fmt="png"))).convert("RGB")
    ground = Image.new("RGB", image.size, image.getpixel((0, 0)))
    left, upper, right, lower = ImageChops.difference(image, ground).getbbox() or (0, 0, *image.size)
    image = image.crop((max(left - 5, 0), max(upper - 5, 0), min(right + 5, image.width), min(lower + 5, image.height)))
    with io.BytesIO() as file:
        _quantize(image).save(file, "PNG")
        return file.getvalue()


def _quantize(image: "PIL.Image.Image") -> "PIL.Image.Image":
    """An image in 128 colours: white and the palette of the course exactly, the rest as the image needs them."""
    from PIL import Image

    exact = np.round(255 * np.array([to_rgb(color) for color in ("white", *OKABE_ITO)])).astype(int)
    rest = image.resize((image.width // 2, image.height // 2), Image.Resampling.NEAREST).quantize(128 - len(exact))
    palette = Image.new("P", (1, 1))
    palette.putpalette(exact.ravel().tolist() + rest.getpalette())
    indices = np.array(image.quantize(palette=palette, dither=Image.Dither.NONE))  # right to about 4 levels only
    codes = np.asarray(image) @ np.array([1 << 16, 1 << 8, 1])
    for index, code in enumerate(exact @ np.array([1 << 16, 1 << 8, 1])):
        indices[codes == code] = index
    result = Image.fromarray(indices)
    result.putpalette(palette.getpalette())
    return result
