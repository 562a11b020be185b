"""Sliding-window detection of faces: patches to learn from, pyramids of features, windows that score high."""

from typing import NamedTuple

import numpy as np

from helpers import datasets

WINDOW = (21, 18)  # height and width of a face in pixels, from the brows to the chin
ENLARGE, CELL = 2, 6  # features are those of the image enlarged twice, in cells of 6 x 6 pixels
SMALLEST, STEP = 56, 1.15  # height of the smallest face in pixels; ratio between two levels of a pyramid
WITH_FACE = ("astronaut", "grace_hopper")
WITHOUT_FACE = (
    *("chelsea", "coffee", "rocket", "page", "text", "grass", "gravel", "brick"),
    *("motorcycle", "immunohistochemistry", "china", "flower"),
)
_FACES = {"astronaut": (182, 79, 271, 178), "grace_hopper": (190, 133, 345, 331), "camera": (194, 126, 255, 197)}


class Level(NamedTuple):
    """One level of a pyramid."""

    scale: float  # size of the level over that of the photo
    features: np.ndarray  # (R, C, 36) float32


class Found(NamedTuple):
    """K windows, best first."""

    boxes: np.ndarray  # (K, 4) x1, y1, x2, y2 in pixels of the photo
    scores: np.ndarray  # (K,)
    features: np.ndarray  # (K, r, c, 36)


def gray(name: str) -> np.ndarray:
    """A photo of the packages as (H, W) float array in [0, 1]; names as in `datasets.photo`."""
    from skimage.color import rgb2gray

    image = datasets.photo(name)
    return image if image.ndim == 2 else rgb2gray(image)


def face_box(name: str) -> np.ndarray:
    """The face in a photo, drawn by hand from hairline (or hat) to chin: (1, 4) array x1, y1, x2, y2 in pixels."""
    return np.array([_FACES[name]], dtype=float)


def patches() -> tuple[np.ndarray, np.ndarray]:
    """Labelled faces in the wild, the subset that comes with scikit-image.

    Returns:
        Faces: (100, 25, 25) array in [0, 1]. Other patches: (100, 25, 25); some show parts of a face.
    """
    import skimage.data

    both = skimage.data.lfw_subset().astype(float)
    return both[:100], both[100:]


def crop(patch: np.ndarray) -> np.ndarray:
    """The window of a 25 x 25 patch that holds brows to chin: (21, 18)."""
    return patch[4:25, 1:19]


def features(image: np.ndarray, cell: int = CELL) -> np.ndarray:
    """Features of the enlarged image by scikit-image: (R, C, 36), one vector for each block of 2 x 2 cells."""
    from skimage.feature import hog
    from skimage.transform import resize

    large = resize(image, (image.shape[0] * ENLARGE, image.shape[1] * ENLARGE), order=1)
    blocks = hog(large, 9, (cell, cell), (2, 2), block_norm="L2", feature_vector=False)
    return blocks.reshape(*blocks.shape[:2], -1).astype(np.float32)


def pyramid(image: np.ndarray) -> list[Level]:
    """Features of a photo at all the scales at which a face may have the size of the window.

    Args:
        image: (H, W) array in [0, 1].

    Returns:
        Levels from fine (a face of SMALLEST pixels fits the window) to coarse (the photo is as small as the window).
    """
    from skimage.transform import resize

    levels, scale = [], WINDOW[0] / SMALLEST
    while True:
        size = (round(image.shape[0] * scale), round(image.shape[1] * scale))
        if size[0] < WINDOW[0] or size[1] < WINDOW[1]:
            return levels
        # without anti-aliasing: the patches to learn from were made that way
        levels.append(Level(scale, features(resize(image, size, order=1, anti_aliasing=False))))
        scale /= STEP


def response(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """SciPy's correlation of (R, C, D) features with (r, c, D) weights: (R - r + 1, C - c + 1)."""
    from scipy import signal

    return signal.correlate(features, weights.astype(features.dtype), mode="valid")[:, :, 0]


def count(levels: list[Level], weights: np.ndarray) -> int:
    """How many windows a pyramid has for a filter of (r, c, 36) weights."""
    rows, columns = weights.shape[:2]
    return sum((len(f) - rows + 1) * (f.shape[1] - columns + 1) for _, f in levels)


def scan(
    levels: list[Level], weights: np.ndarray, bias: float, threshold: float, overlap: float = 0.3, most: int = 1000
) -> Found:
    """Score all the windows of a pyramid and keep the best (torchvision's NMS).

    Args:
        weights: (r, c, 36) array.
        threshold: least score of a window.
        overlap: a window goes if its IoU with a better one is greater.
        most: at most so many are returned.
    """
    import torch
    from torchvision import ops

    rows, columns = weights.shape[:2]
    boxes, scores, places = [], [], []
    for number, (scale, values) in enumerate(levels):
        found = response(values, weights) + bias
        y, x = np.nonzero(found >= threshold)
        corner = np.stack([x, y], axis=1) * CELL / ENLARGE / scale
        boxes.append(np.hstack([corner, corner + np.array(WINDOW)[::-1] / scale]))
        scores.append(found[y, x].astype(float))
        places.append(np.stack([np.full(len(x), number), y, x], axis=1))
    boxes, scores, places = np.concatenate(boxes), np.concatenate(scores), np.concatenate(places)
    kept = ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), overlap).numpy()[:most]
    cut = [levels[n].features[y : y + rows, x : x + columns] for n, y, x in places[kept]]
    return Found(boxes[kept], scores[kept], np.array(cut).reshape(-1, *weights.shape))


def random_windows(pyramids: list[list[Level]], shape: tuple, number: int, rng: np.random.Generator) -> np.ndarray:
    """Features of windows drawn evenly over the levels' cells: (number, r, c, 36).

    Args:
        shape: (r, c, 36), of a filter.
    """
    levels = [level.features for levels in pyramids for level in levels]
    sizes = np.array([f.shape[0] * f.shape[1] for f in levels], dtype=float)
    drawn = []
    for k in rng.choice(len(levels), number, p=sizes / sizes.sum()):
        y, x = rng.integers(0, [levels[k].shape[0] - shape[0] + 1, levels[k].shape[1] - shape[1] + 1])
        drawn.append(levels[k][y : y + shape[0], x : x + shape[1]])
    return np.array(drawn)


def hits(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Which boxes are right: their centre lies in the middle of an object that no better box has taken.

    Args:
        boxes: (K, 4), best first.
        truth: (G, 4). The middle of an object is half as wide and high as its box.

    Returns:
        (K,) int array: the object, or -1 for a false alarm.
    """
    found = np.full(len(boxes), -1)
    middle, reach = (truth[:, :2] + truth[:, 2:]) / 2, (truth[:, 2:] - truth[:, :2]) / 4
    for k, box in enumerate(np.asarray(boxes, dtype=float)):
        near = (np.abs((box[:2] + box[2:]) / 2 - middle) <= reach).all(axis=1)
        free = np.setdiff1d(np.flatnonzero(near), found)
        found[k] = free[0] if len(free) else -1
    return found
