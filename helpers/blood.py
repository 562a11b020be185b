"""Blood smears under the microscope: generated pictures with exact boxes, classes and instance masks.

They imitate the BCCD set (Wright-stained smears, 640 x 480) in colours, in the number of cells of each kind and in
their sizes. Light passes through the cells: the picture is the lamp times exp(-density), so that what overlaps is
darker (law of Beer and Lambert). Lengths are in micrometres; a picture is 34 of them high.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

VERSION = 1  # another version draws other pictures: measured figures belong to one
CLASSES = ("RBC", "WBC", "platelets")  # red cells, white cells; the label is the index
RBC, WBC, PLATELET = range(3)
MICROMETRES_HIGH = 34.0

# Optical density of red, green and blue light in one unit of thickness.
_STAINS = {
    "red cell": (0.080, 0.33, 0.29),
    "nucleus": (0.50, 0.95, 0.02),
    "cytoplasm": (0.10, 0.27, 0.01),
    "platelet": (0.30, 0.42, 0.02),
    "dust": (0.15, 0.12, 0.135),
}
_LAMP = (0.815, 0.82, 0.81)
_LEAST_VISIBLE = 0.1  # a cell that shows less than this share of itself is not annotated


class Smear(NamedTuple):
    """A picture and what is in it."""

    image: np.ndarray  # (H, W, 3) float32 in [0, 1], RGB
    boxes: np.ndarray  # (N, 4) float32 x1, y1, x2, y2 in pixels; of generated smears the tightest around the masks
    labels: np.ndarray  # (N,) int64 indices of CLASSES
    masks: np.ndarray | None  # (N, H, W) bool; overlapping red cells share pixels; None if there are none (BCCD)


def smears(number: int, seed: int, height: int = 240, width: int = 320) -> Iterator[Smear]:
    """Generated smears, one after the other: each depends on its place and the seed only.

    Args:
        number: how many.
        seed: not negative; sets for training, selection and test need different ones.
        height, width: in pixels.
    """
    for k in range(number):
        yield smear(np.random.default_rng([VERSION, seed, k]), height, width)


def smear(rng: np.random.Generator, height: int = 240, width: int = 320) -> Smear:
    """One generated smear.

    A white cell covers red ones, whose masks end there. Red cells are translucent: where they overlap, both masks are
    true. Cells at the border are cut off by it.

    Args:
        rng: all that is random is drawn from it.
        height, width: in pixels.
    """
    slide = _Slide(rng, height, width)
    white = [_Cell.white(rng) for _ in range(rng.choice(3, p=[0.02, 0.93, 0.05]))]
    for cell in white:
        slide.place(cell, overlap=0.1, inside=0.65)
    for _ in range(int(np.clip(rng.normal(12.2, 4.6), 3, 26))):
        cell = _Cell.red(rng)
        if slide.place(cell, overlap=0.28 if rng.random() < 0.5 else 0.08, inside=0.2, clump=0.45):
            slide.draw_red(cell)
    for cell in white:
        slide.draw_white(cell)
    for _ in range(rng.choice(6, p=[0.44, 0.27, 0.18, 0.06, 0.035, 0.015])):
        cell = _Cell.platelet(rng)
        if slide.place(cell, overlap=0.1, inside=1.0) or rng.random() < 0.2:
            slide.draw_platelet(cell)
    for _ in range(rng.integers(4)):
        slide.draw_dust()
    return slide.photograph()


class _Cell:
    """What is drawn of a cell before anything is known of the others: kind, radius, elongation, angle."""

    def __init__(self, rng: np.random.Generator, radius: float, elongation: float, wobble: float):
        self.radius, self.elongation, self.wobble = radius, max(elongation, 0.55), wobble
        self.angle = rng.uniform(0, np.pi)
        self.x = self.y = 0.0  # micrometres

    @classmethod
    def red(cls, rng: np.random.Generator) -> "_Cell":
        radius = np.clip(rng.normal(3.68, 0.37), 2.7, 4.8)
        return cls(rng, radius, 1 - abs(rng.normal(0, 0.13)), wobble=0.035)

    @classmethod
    def white(cls, rng: np.random.Generator) -> "_Cell":
        lymphocyte = rng.random() < 0.25
        radius = rng.uniform(4.4, 6.0) if lymphocyte else rng.uniform(5.9, 8.6)
        cell = cls(rng, radius, 1 - abs(rng.normal(0, 0.08)), wobble=0.06)
        cell.lobes = 1 if lymphocyte else int(rng.integers(2, 6))
        return cell

    @classmethod
    def platelet(cls, rng: np.random.Generator) -> "_Cell":
        return cls(rng, np.clip(rng.normal(1.42, 0.27), 0.8, 2.4), rng.uniform(0.75, 1), wobble=0.12)


class _Blob(NamedTuple):
    """A wobbly ellipse on a part of the picture."""

    window: tuple[slice, slice]  # rows, columns
    radius: np.ndarray  # (h, w) distance from the centre, 1 at the edge
    size: float  # pixels from the centre to the edge

    def soft(self, blur: float) -> np.ndarray:
        """(h, w) in [0, 1]: 1 inside, 0 outside, over about `blur` pixels."""
        steep = np.float32(2 * self.size / blur)
        return 1 / (1 + np.exp(np.clip((self.radius - 1) * steep, -30, 30)))


class _Slide:
    """A picture in the making: optical density, and the cells with their masks."""

    def __init__(self, rng: np.random.Generator, height: int, width: int):
        self.rng, self.height, self.width = rng, height, width
        self.pixels = height / MICROMETRES_HIGH  # in a micrometre
        self.density = np.zeros((height, width, 3), np.float32)
        batch = 1 + 0.12 * rng.normal()  # of the dye: one batch stains all cells stronger than another
        self.stains = {name: np.float32(stain * rng.uniform(0.8, 1.2, 3) * batch) for name, stain in _STAINS.items()}
        self.paleness = rng.uniform(0.25, 0.75)  # share of red cells with a pale centre
        self.placed: list[_Cell] = []
        self.masks: list[np.ndarray] = []
        self.labels: list[int] = []
        self.whole: list[float] = []  # pixels of each cell, were it all in view

    def place(self, cell: _Cell, overlap: float, clump: float = 0.0, inside: float = 0.0) -> bool:
        """Find room for a cell.

        Args:
            overlap: by which share of the sum of their radii it may come closer to another than touching.
            clump: probability of a try right beside an earlier cell.
            inside: how far its centre stays from the border, in radii.

        Returns:
            False if 40 tries were in vain; the cell is then where the last try put it.
        """
        rng, radius = self.rng, cell.radius
        room = np.array([self.width, self.height]) / self.pixels
        for _ in range(40):
            if self.placed and rng.random() < clump:
                other, angle = self.placed[rng.integers(len(self.placed))], rng.uniform(0, 2 * np.pi)
                away = (other.radius + radius) * rng.uniform(0.75, 1.0)
                cell.x, cell.y = other.x + away * np.cos(angle), other.y + away * np.sin(angle)
            else:
                cell.x, cell.y = rng.uniform(inside * radius, room - inside * radius)
            in_view = inside * radius < cell.x < room[0] - inside * radius
            in_view &= inside * radius < cell.y < room[1] - inside * radius
            if in_view and all(
                np.hypot(cell.x - other.x, cell.y - other.y) > (1 - overlap) * (radius + other.radius)
                for other in self.placed
            ):
                self.placed.append(cell)
                return True
        return False

    def draw_red(self, cell: _Cell) -> None:
        """A disc with a pale centre, if any, a rim, and now and then a speck that breaks the light."""
        rng, blob = self.rng, self._blob(cell)
        r, pale = blob.radius, rng.uniform(-0.1, 0.6)
        if rng.random() < self.paleness:
            pale = rng.uniform(0.75, 1.0)
        width, steepness = rng.uniform(0.40, 0.72), rng.uniform(2.5, 5)
        thickness = blob.soft(self.pixels * rng.uniform(0.11, 0.21)) * (1 - pale * np.exp(-((r / width) ** steepness)))
        thickness *= 1 + 0.22 * np.exp(-(((r - 0.86) / 0.10) ** 2))
        thickness *= rng.uniform(0.65, 1.15) * (1 + 0.05 * self._noise(*r.shape, 0.85))
        if rng.random() < 0.1:
            ring = 0.9 * np.exp(-(((r - 0.25) / 0.07) ** 2)) * rng.integers(2)
            thickness += ring - 0.8 * thickness * np.exp(-((r / 0.15) ** 2))
        self._stain(blob.window, np.maximum(thickness, 0), "red cell")
        self._annotate(RBC, blob, cell)

    def draw_white(self, cell: _Cell) -> None:
        """Granular cytoplasm that hides what lies beneath, and a nucleus of one to five lobes."""
        rng, blob = self.rng, self._blob(cell)
        r, body = blob.radius, blob.soft(0.18 * self.pixels)
        self.density[blob.window] *= (1 - 0.9 * body)[..., None]
        grains = self._noise(*r.shape, 0.31)
        cytoplasm = body * (0.8 + 0.35 * np.exp(-(((r - 0.93) / 0.08) ** 2))) * np.maximum(1 + 0.3 * grains, 0.2)
        self._stain(blob.window, cytoplasm * rng.uniform(0.7, 1.3), "cytoplasm")
        nucleus = self._nucleus(cell, blob) * body
        nucleus *= np.maximum(1 + 0.16 * self._noise(*r.shape, 0.7) + 0.1 * grains, 0.3)
        self._stain(blob.window, nucleus * rng.uniform(0.75, 1.15), "nucleus")
        for mask in self.masks:
            mask[blob.window] &= r >= 1
        self._annotate(WBC, blob, cell)

    def draw_platelet(self, cell: _Cell) -> None:
        """A small granular speck."""
        rng, blob = self.rng, self._blob(cell)
        r = blob.radius
        grains = 0.8 + 0.5 * np.exp(-((r / 0.6) ** 2)) + 0.25 * self._noise(*r.shape, 0.42)
        thickness = blob.soft(0.31 * self.pixels) * np.maximum(grains, 0)
        self._stain(blob.window, thickness * rng.uniform(0.6, 1.3), "platelet")
        self._annotate(PLATELET, blob, cell)

    def draw_dust(self) -> None:
        """A grey smudge that is no cell and gets no box."""
        rng = self.rng
        speck = _Cell(rng, rng.uniform(0.2, 1.1), rng.uniform(0.55, 1), wobble=0.2)
        speck.x, speck.y = rng.uniform(0, np.array([self.width, self.height]) / self.pixels)
        blob = self._blob(speck)
        self._stain(blob.window, blob.soft(0.42 * self.pixels) * rng.uniform(0.4, 1.6), "dust")

    def photograph(self) -> Smear:
        """The lamp through the slide, a little out of focus, with the noise of a sensor."""
        import cv2

        rng, height, width = self.rng, self.height, self.width
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        falling = ((x / width - rng.uniform(0.3, 0.7)) ** 2 + (y / height - rng.uniform(0.3, 0.7)) ** 2) * 2
        light = 1 - rng.uniform(0.05, 0.22) * falling + 0.012 * self._noise(height, width, 8.5)
        image = np.float32(_LAMP + rng.normal(0, 0.012, 3)) * light[..., None] * np.exp(-self.density)
        image = cv2.GaussianBlur(image, (0, 0), self.pixels * rng.uniform(0.07, 0.155))
        image += rng.uniform(0.004, 0.012) * rng.standard_normal(image.shape, dtype=np.float32)
        image += 0.0047 * self._noise(height, width, 2 / self.pixels)[..., None]
        image = np.clip(image * rng.uniform(0.92, 1.05), 0, 1)
        visible = [mask.sum() >= _LEAST_VISIBLE * whole for mask, whole in zip(self.masks, self.whole, strict=True)]
        masks = np.array(self.masks, dtype=bool).reshape(-1, height, width)[np.array(visible, dtype=bool)]
        return Smear(
            image, boxes_of(masks), np.array(self.labels, dtype=np.int64)[np.array(visible, dtype=bool)], masks
        )

    def _blob(self, cell: _Cell) -> _Blob:
        stretch = np.sqrt(cell.elongation)
        size = np.array([cell.radius / stretch, cell.radius * stretch]) * self.pixels
        x, y, reach = cell.x * self.pixels, cell.y * self.pixels, int(1.5 * size[0]) + 3
        rows = slice(min(max(0, int(y) - reach), self.height - 1), max(min(self.height, int(y) + reach + 1), 1))
        columns = slice(min(max(0, int(x) - reach), self.width - 1), max(min(self.width, int(x) + reach + 1), 1))
        return _Blob((rows, columns), self._radius(rows, columns, x, y, size, cell.angle, cell.wobble), size[0])

    def _radius(self, rows: slice, columns: slice, x: float, y: float, size, angle: float, wobble: float) -> np.ndarray:
        """Distance of pixels from (x, y), where the edge of a wobbly ellipse is at 1."""
        dx = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] + np.float32(0.5 - x)
        dy = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + np.float32(0.5 - y)
        plane = np.complex64(np.exp(-1j * angle)) * (dx + 1j * dy)
        plane = plane.real / np.float32(size[0]) + 1j * (plane.imag / np.float32(size[1]))
        radius = np.abs(plane)
        unit = plane / np.maximum(radius, 1e-6)
        edge, power = np.ones_like(radius), unit
        for k in range(2, 6):
            power = power * unit  # cos(k theta) and sin(k theta)
            wave = wobble / k * self.rng.normal() * np.exp(1j * self.rng.uniform(0, 2 * np.pi))
            edge += (np.complex64(wave) * power).real
        return radius / edge

    def _nucleus(self, cell: _Cell, blob: _Blob) -> np.ndarray:
        """(h, w) in [0, 1] on the window of a white cell: its lobes and the threads between them."""
        import cv2

        rng, radius = self.rng, cell.radius * self.pixels
        rows, columns = (slice(0, side) for side in blob.radius.shape)
        centre = np.array([cell.x, cell.y]) * self.pixels - [blob.window[1].start, blob.window[0].start]
        if cell.lobes == 1:
            lobes = [(centre + rng.normal(0, 0.05, 2) * radius, radius * rng.uniform(0.80, 0.93))]
        else:
            first, ring = rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.36, 0.50)
            step = rng.uniform(0.75, 1.25) * (4.6 / cell.lobes if cell.lobes > 2 else 1.9)
            angles = first + step * np.arange(cell.lobes)
            larger = 1.25 if cell.lobes < 4 else 1.0
            lobes = [
                (centre + ring * np.array([np.cos(angle), np.sin(angle)]), radius * rng.uniform(0.22, 0.33) * larger)
                for angle in angles
            ]
        nucleus, before = np.zeros(blob.radius.shape, np.float32), None
        for (x, y), size in lobes:
            sides = size * np.array([rng.uniform(1, 1.25), 1])
            lobe = _Blob(blob.window, self._radius(rows, columns, x, y, sides, rng.uniform(0, np.pi), 0.1), size)
            nucleus = np.maximum(nucleus, lobe.soft(0.14 * self.pixels))
            if before is not None:
                thread = np.zeros_like(nucleus)
                ends = [tuple(int(value) for value in end) for end in (before, (x, y))]
                cv2.line(thread, *ends, 1, max(1, int(0.55 * size)), cv2.LINE_AA)
                nucleus = np.maximum(nucleus, cv2.GaussianBlur(thread, (0, 0), 0.14 * self.pixels))
            before = (x, y)
        return nucleus

    def _noise(self, height: int, width: int, grain: float) -> np.ndarray:
        """(height, width) smooth noise of variance about 1, in spots of `grain` micrometres."""
        import cv2

        size = grain * self.pixels
        coarse = self.rng.standard_normal((int(height / size) + 2, int(width / size) + 2), dtype=np.float32)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)

    def _stain(self, window: tuple[slice, slice], thickness: np.ndarray, stain: str) -> None:
        self.density[window] += thickness[..., None] * self.stains[stain]

    def _annotate(self, label: int, blob: _Blob, cell: _Cell) -> None:
        mask = np.zeros((self.height, self.width), dtype=bool)
        mask[blob.window] = blob.radius < 1
        self.masks.append(mask)
        self.labels.append(label)
        self.whole.append(np.pi * (cell.radius * self.pixels) ** 2)


def boxes_of(masks: np.ndarray) -> np.ndarray:
    """The tightest boxes around masks.

    Args:
        masks: (N, H, W) bool, none of them empty.

    Returns:
        (N, 4) float32 x1, y1, x2, y2 in pixels.
    """
    columns, rows = masks.any(axis=1), masks.any(axis=2)
    x1, y1 = columns.argmax(axis=1), rows.argmax(axis=1)
    x2 = masks.shape[2] - columns[:, ::-1].argmax(axis=1)
    y2 = masks.shape[1] - rows[:, ::-1].argmax(axis=1)
    return np.stack([x1, y1, x2, y2], axis=1).astype(np.float32)
