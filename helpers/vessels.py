"""Retinal vessels: generated fundus photos with exact masks, and CHASE_DB1 with its two annotators.

A generated photo is a real background (scikit-image's `retina`, its vessels painted over) with a new vessel tree.
The trees obey Murray's laws: radii branch as r^3 = r1^3 + r2^3, at the angles of least work.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from helpers import datasets

if TYPE_CHECKING:
    import torch

SIZE = (480, 496)  # rows, columns: CHASE_DB1 at half resolution, cropped to multiples of 16
TRAIN_PATIENTS = 10  # of 14 in CHASE_DB1; both eyes of a patient stay on one side
SUPERSAMPLING = 2
THINNEST = 0.5  # radius in pixels at which a vessel ends
MARGIN = 240  # pixels by which the background is continued beyond the real one
THINNEST_BRANCH = 0.8  # thinner branches do not leave a vessel
ABSORPTION = np.array([0.32, 1.0, 0.55])  # of blood in red, green and blue, relative


@dataclass(frozen=True)
class Fundus:
    """One photo of the back of an eye."""

    image: np.ndarray  # (H, W, 3) float32 in [0, 1]
    vessels: np.ndarray  # (H, W) bool, the truth: exact, or the first annotator's
    field: np.ndarray  # (H, W) bool, what the camera sees
    second: np.ndarray | None = None  # (H, W) bool, the second annotator's vessels


@dataclass(frozen=True)
class Segment:
    """A short straight piece of a vessel; coordinates and radius in pixels."""

    x1: float
    y1: float
    x2: float
    y2: float
    radius: float


# ---------------------------------------------------------------- generated


def generate(rng: np.random.Generator) -> Fundus:
    """A fundus photo with its exact vessel mask.

    Args:
        rng: all randomness comes from it.

    Returns:
        A photo of SIZE; `second` is None.
    """
    image, field, disc = _background(rng)
    density, reflex, mask = _vessels(rng, disc)
    contrast = rng.uniform(0.3, 0.6)
    image = image * np.exp(-contrast * density[..., None] * ABSORPTION)
    image = image * (1 + rng.uniform(0.05, 0.4) * reflex[..., None] * np.array([0.3, 1.0, 0.6]))
    image = _blur(image, rng.uniform(0.3, 0.8))
    grain = _noise(rng, 2.5) * rng.uniform(0, 0.03) + _noise(rng, 5) * rng.uniform(0, 0.03)
    noise = rng.normal(0, rng.uniform(0.003, 0.009), image.shape)
    image = np.clip(image * (1 + grain[..., None]) + noise, 0, 1) * _blur(field, 0.8)[..., None]
    field = field & (_blur(field, 3) > 0.95)  # without the dim rim, as for real photos
    return Fundus(image.astype(np.float32), mask & field, field)


def generate_set(number: int, seed: int) -> list[Fundus]:
    """Generated photos; the same seed gives the same ones, and a larger number only adds to them."""
    return [generate(np.random.default_rng([seed, k])) for k in range(number)]


@functools.cache
def _empty_retina() -> tuple[np.ndarray, np.ndarray]:
    """scikit-image's retina with its vessels painted over and its colours continued to all sides.

    Returns:
        (MARGIN + H + MARGIN, the same, 3) float32 picture, and the (x, y) of the optic disc in it.
    """
    import cv2
    import skimage.data

    height = SIZE[0]
    retina = cv2.resize(skimage.data.retina(), (height, height), interpolation=cv2.INTER_AREA)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
    dark_lines = cv2.morphologyEx(cv2.GaussianBlur(retina[..., 1], (0, 0), 1), cv2.MORPH_BLACKHAT, ellipse)
    hidden = cv2.dilate((dark_lines > 5).astype(np.uint8), np.ones((5, 5)))
    painted = cv2.inpaint(retina, hidden, 4, cv2.INPAINT_TELEA).astype(np.float32) / 255
    # The disc is full of vessels: blurring evens out the patches that painting them over leaves.
    soft = _blur(hidden.astype(np.float32), 2)[..., None]
    painted = painted * (1 - soft) + _blur(painted, 3) * soft

    border = [(MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)]
    disc = np.array([0.162, 0.455]) * height
    y, x = np.mgrid[:height, :height]
    inside = np.hypot(x - height / 2, y - height / 2) < 0.475 * height
    off_disc = np.hypot(x - disc[0], y - disc[1]) > 65
    painted, inside, off_disc = (
        np.pad(part.astype(np.float32), border[: part.ndim]) for part in (painted, inside, off_disc & inside)
    )
    continued = _blur(painted * off_disc[..., None], 60) / np.maximum(_blur(off_disc, 60), 1e-6)[..., None]
    soft = cv2.erode(_blur(inside, 6), np.ones((9, 9)))[..., None] ** 2
    return painted * soft + continued * (1 - soft), disc + MARGIN


def _background(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Retina without vessels (H, W, 3), the camera's round field (H, W) and the optic disc's (x, y).

    The real background is turned, mirrored, moved, recoloured, lit unevenly and given a vignette and some mottling.
    """
    import cv2

    retina, disc = _empty_retina()
    height, width = SIZE
    # The source has its disc near the left edge, CHASE_DB1 near the middle: the disc is moved there.
    zoom, turn = rng.uniform(1.0, 1.35), rng.uniform(-20, 20)
    target = np.array([width, height]) / 2 + rng.uniform([-100, -35], [60, 35])
    matrix = cv2.getRotationMatrix2D(tuple(disc.tolist()), turn, zoom)
    matrix[:, 2] += target - disc
    image = cv2.warpAffine(retina, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.5:
        image, target = image[:, ::-1], np.array([width - 1 - target[0], target[1]])
    if rng.random() < 0.5:
        image, target = image[::-1], np.array([target[0], height - 1 - target[1]])
    y, x = np.mgrid[:height, :width]
    x, y = (x - (width - 1) / 2) / (height / 2), (y - (height - 1) / 2) / (height / 2)
    distance = np.hypot(x, y) / 0.95
    light = 1 + rng.normal(0, 0.12) * x + rng.normal(0, 0.12) * y - rng.uniform(0.1, 0.45) * distance**2
    mottling = sum(_noise(rng, scale) * rng.uniform(0.2, 1) * strength for scale, strength in ((40, 0.05), (9, 0.03)))
    color = rng.uniform([0.75, 0.6, 0.3], [1.1, 1.15, 1.0])
    image = image * color * np.clip(light + mottling, 0.1, None)[..., None]
    return image, distance < 1, target


def _noise(rng: np.random.Generator, scale: float) -> np.ndarray:
    """Smooth noise of SIZE with mean 0 and deviation 1; bumps are about `scale` pixels wide."""
    import cv2

    height, width = SIZE
    coarse = rng.normal(size=(int(height / scale) + 3, int(width / scale) + 3)).astype(np.float32)
    noise = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return (noise - noise.mean()) / noise.std()


def _vessels(rng: np.random.Generator, disc: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the vessels of one eye.

    Returns:
        Optical density (H, W), 1 in a thick vessel; brightness of the reflexes along arteries (H, W); mask (H, W).
    """
    arteries, veins, reflex = (np.zeros([side * SUPERSAMPLING for side in SIZE], np.float32) for _ in range(3))
    mask = np.zeros(reflex.shape, np.uint8)
    for tree, is_artery in _trees(rng, disc):
        thickness = rng.uniform(0.65, 0.85) if is_artery else rng.uniform(0.85, 1.1)
        bright = rng.uniform(0.3, 0.5)
        for segment in sorted(tree, key=lambda segment: segment.radius):  # thick vessels hide thin ones
            paleness = min(1, 0.45 + 0.25 * segment.radius)  # thin vessels hold less blood
            _line(arteries if is_artery else veins, segment, segment.radius, thickness * paleness)
            _line(mask, segment, segment.radius, 1)
            if is_artery and segment.radius > 1.5:
                _line(reflex, segment, bright * segment.radius, 1)
    density = np.maximum(arteries, veins) + 0.3 * np.minimum(arteries, veins)  # a crossing is darker than either
    density = _blur(density, SUPERSAMPLING * rng.uniform(0.5, 0.9))
    reflex = _blur(reflex, SUPERSAMPLING * 0.5)
    return _shrink(density), _shrink(reflex), _shrink(mask.astype(np.float32)) >= 0.5


def _trees(rng: np.random.Generator, disc: np.ndarray) -> Iterator[tuple[list[Segment], bool]]:
    """An artery and a vein into each quarter of the eye, and small vessels around the disc."""
    for down in (-1, 1):
        for right in (-1, 1):
            for is_artery in (False, True):
                heading = np.arctan2(down, right * rng.uniform(0.25, 1)) + rng.normal(0, 0.12)
                radius = rng.uniform(1.5, 2.4) if is_artery else rng.uniform(1.9, 3.0)
                start = disc + rng.normal(0, 3, 2)
                # The arcades bend around the macula, to the horizontal line.
                yield list(_grow(rng, start, heading, radius, -down * right * rng.uniform(0, 0.006))), is_artery
    for _ in range(rng.integers(4, 9)):
        heading = rng.uniform(0, 2 * np.pi)
        start = disc + 20 * np.array([np.cos(heading), np.sin(heading)])
        yield list(_grow(rng, start, heading, rng.uniform(0.8, 1.5), rng.normal(0, 0.004))), bool(rng.random() < 0.5)


def _grow(
    rng: np.random.Generator, start: np.ndarray, heading: float, radius: float, bend: float, step: float = 2.0
) -> Iterator[Segment]:
    """A winding vessel and, recursively, its branches.

    The heading is a correlated random walk (tortuosity) around a slowly turning course; the radius shrinks slowly
    along the way (tapering) and at each branch.

    Args:
        start: x, y in pixels.
        heading: in radians.
        bend: turn of the course in each step, in radians.

    Source: Murray, "The physiological principle of minimum work", 1926: r^3 = r1^3 + r2^3, and the angle of a branch
        cos t1 = (r^4 + r1^4 - r2^4) / (2 r^2 r1^2).
    """
    x, y = start
    course, swing = heading, 0.0
    side = rng.choice([-1, 1])
    until_branch = rng.uniform(6, 16)
    tortuosity = rng.uniform(0.02, 0.05)
    while radius > THINNEST and -10 < x < SIZE[1] + 10 and -10 < y < SIZE[0] + 10:
        swing = 0.85 * swing + rng.normal(0, tortuosity) + 0.06 * (course - heading)
        heading += swing
        course += bend
        next_x, next_y = x + step * np.cos(heading), y + step * np.sin(heading)
        yield Segment(x, y, next_x, next_y, radius)
        x, y = next_x, next_y
        radius *= 1 - rng.uniform(0.0005, 0.003) - (0.01 if radius < 1.1 else 0)
        until_branch -= 1
        if until_branch <= 0:
            share = rng.beta(1.3, 3.5)  # of the blood that flows into the branch
            branch, rest = radius * share ** (1 / 3), radius * (1 - share) ** (1 / 3)
            if branch > THINNEST_BRANCH:
                angle = np.arccos(np.clip((radius**4 + branch**4 - rest**4) / (2 * radius**2 * branch**2), -1, 1))
                turned = heading + side * (angle + rng.normal(0, 0.1))
                yield from _grow(rng, np.array([x, y]), turned, branch, bend / 2 - side * 0.004)
                back = np.arccos(np.clip((radius**4 + rest**4 - branch**4) / (2 * radius**2 * rest**2), -1, 1))
                heading -= side * back
                radius = rest
            side = -side if rng.random() < 0.75 else side
            until_branch = rng.uniform(13, 34)


def _line(canvas: np.ndarray, segment: Segment, radius: float, value: float) -> None:
    """Draw a segment with round ends on a canvas of SUPERSAMPLING times SIZE."""
    import cv2

    bits = 4
    ends = np.array([segment.x1, segment.y1, segment.x2, segment.y2]) * SUPERSAMPLING * 2**bits
    x1, y1, x2, y2 = (int(round(value)) for value in ends)
    width = max(1, round(2 * radius * SUPERSAMPLING))
    cv2.line(canvas, (x1, y1), (x2, y2), value, width, cv2.LINE_8, bits)


def _shrink(canvas: np.ndarray) -> np.ndarray:
    height, width = SIZE
    return canvas.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING).mean(axis=(1, 3))


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(np.asarray(image, np.float32), (0, 0), sigma)


# ---------------------------------------------------------------- CHASE_DB1


def chase_db1(download: bool = False) -> tuple[list[Fundus], list[Fundus]]:
    """CHASE_DB1 at half resolution, with both annotators: 20 photos to train and 8 to test.

    Args:
        download: may it be downloaded if it is not on this machine?

    Returns:
        Photos of patients 1 to 10, and of patients 11 to 14.

    Raises:
        DataError: the set is not on this machine, or damaged.

    Source: Fraz et al., "An ensemble classification-based approach applied to retinal blood vessel segmentation",
        IEEE Transactions on Biomedical Engineering 59 (9), 2012.
    """
    folder = datasets.fetch("chase_db1", download)
    train, test = [], []
    for patient in range(1, 15):
        for eye in "LR":
            image, first, second = (
                _halve(folder / f"Image_{patient:02}{eye}{ending}") for ending in (".jpg", "_1stHO.png", "_2ndHO.png")
            )
            photo = Fundus(image, first >= 0.5, _field(image), second >= 0.5)
            (train if patient <= TRAIN_PATIENTS else test).append(photo)
    return train, test


def _halve(path: Path) -> np.ndarray:
    """A picture of 960 x 999 pixels as 480 x 496, float32 in [0, 1]: means of 2 x 2 pixels, the middle columns."""
    import skimage.io

    full = skimage.io.imread(path).astype(np.float32)
    full /= max(float(full.max()), 1.0)
    left = (full.shape[1] - 2 * SIZE[1]) // 2
    full = full[:, left : left + 2 * SIZE[1]]
    return full.reshape(SIZE[0], 2, SIZE[1], 2, *full.shape[2:]).mean(axis=(1, 3))


def _field(image: np.ndarray) -> np.ndarray:
    """Where a photo is not black, without the dim rim."""
    import cv2

    return cv2.erode((_blur(image.max(axis=2), 2) > 0.1).astype(np.uint8), np.ones((9, 9))) > 0


# ---------------------------------------------------------------- for networks


def normalise(photo: Fundus, sigma: float = 20.0) -> np.ndarray:
    """Green channel with local mean 0 and local deviation 1 inside the field, 0 outside.

    Green shows vessels best; what is taken away is the uneven light.

    Args:
        sigma: of the window for the mean, in pixels; that for the deviation is three times as wide.

    Returns:
        (H, W) float32 array.
    """
    green, inside = photo.image[..., 1], photo.field.astype(np.float32)

    def mean(values: np.ndarray, sigma: float) -> np.ndarray:
        return _blur(values * inside, sigma) / np.maximum(_blur(inside, sigma), 1e-3)

    deviation = green - mean(green, sigma)
    spread = np.sqrt(mean(deviation**2, 3 * sigma))
    return deviation / (spread + 1e-3) * inside


def stack(photos: Sequence[Fundus]) -> tuple[np.ndarray, np.ndarray]:
    """Normalised images (N, 1, H, W), float32, and vessels (N, H, W), int64."""
    images = np.stack([normalise(photo) for photo in photos])[:, None]
    return images.astype(np.float32), np.stack([photo.vessels for photo in photos]).astype(np.int64)


def patches(
    images: "torch.Tensor", labels: "torch.Tensor", size: int, number: int, generator: "torch.Generator"
) -> Iterator[tuple["torch.Tensor", "torch.Tensor"]]:
    """Minibatches without end of random square patches, each in one of the eight positions of a square.

    Args:
        images: (N, C, H, W), on the CPU.
        labels: (N, H, W), on the CPU.
        size: side of a patch in pixels.
        number: of patches in a batch.
        generator: all randomness comes from it.

    Yields:
        (number, C, size, size) and (number, size, size).
    """
    import torch

    def draw(below: int) -> int:
        return int(torch.randint(below, (1,), generator=generator))

    def patch() -> tuple[torch.Tensor, torch.Tensor]:
        k, top, left = draw(len(images)), draw(images.shape[2] - size + 1), draw(images.shape[3] - size + 1)
        window = (..., slice(top, top + size), slice(left, left + size))
        quarter_turns, mirrored = draw(4), draw(2)
        parts = (torch.rot90(part[k][window], quarter_turns, (-2, -1)) for part in (images, labels))
        return tuple(part.flip(-1) if mirrored else part for part in parts)

    while True:
        xs, ys = zip(*(patch() for _ in range(number)), strict=True)
        yield torch.stack(xs), torch.stack(ys)
