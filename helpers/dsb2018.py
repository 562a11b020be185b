"""Nuclei of the Data Science Bowl 2018 with a mask each (data/README.md)."""

from pathlib import Path

import numpy as np

from helpers.blood import Smear, boxes_of

CLASSES = ("nucleus",)
_LEAST = 12  # pixels: smaller pieces of nuclei at the border of a crop are left out


def load(folder: Path, side: int = 256) -> list[Smear]:
    """Squares from the middle of the pictures under the fluorescence microscope, by name; stained ones are left out.

    Args:
        folder: as `datasets.fetch("dsb2018")` returns it.
        side: of the square in pixels; smaller pictures are left out.
    """
    found = []
    for path in sorted((folder / "images").glob("*.png")):
        crop = read(path, folder / "labels" / path.name, side)
        if crop is not None:
            found.append(crop)
    return found


def read(image_path: Path, labels_path: Path, side: int) -> Smear | None:
    """One square, brightness scaled to [0, 1]; None if the picture is stained, too small, or without nuclei there."""
    import cv2

    image = cv2.imread(str(image_path))[:, :, ::-1]
    labels = cv2.imread(str(labels_path), cv2.IMREAD_UNCHANGED)
    height, width = labels.shape
    is_gray = (image.max(axis=2) == image.min(axis=2)).all()
    if not is_gray or image.mean() > 100 or min(height, width) < side:
        return None
    top, left = (height - side) // 2, (width - side) // 2
    image, labels = (one[top : top + side, left : left + side] for one in (image, labels))
    masks = np.array([labels == number for number in np.unique(labels) if number > 0], dtype=bool)
    masks = masks.reshape(-1, side, side)
    masks = masks[masks.sum(axis=(1, 2)) >= _LEAST]
    if not len(masks):
        return None
    low, high = np.percentile(image, (1, 99.8))
    image = np.clip((image - low) / max(high - low, 1), 0, 1).astype(np.float32)
    return Smear(image, boxes_of(masks), np.zeros(len(masks), dtype=np.int64), masks)
