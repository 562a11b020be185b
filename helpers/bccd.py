"""The BCCD set: photos of stained blood smears with boxes in PASCAL VOC's format (data/README.md)."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from helpers.blood import Smear

_NAMES = {"RBC": 0, "WBC": 1, "Platelets": 2}  # as the annotations write them; the numbers are those of blood.CLASSES


def load(folder: Path, split: str, size: tuple[int, int] | None = None) -> list[Smear]:
    """Photos with their boxes; there are no masks.

    Two boxes of the set have no area and are left out. Its red cells are not all annotated where they lie in clumps.

    Args:
        folder: as `datasets.fetch("bccd")` returns it.
        split: "train" (205 photos), "val" (87) or "test" (72).
        size: height and width in pixels that photos and boxes are scaled to; None leaves them at 480 x 640.
    """
    names = (folder / "ImageSets" / "Main" / f"{split}.txt").read_text().split()
    return [_smear(folder, name, size) for name in names]


def _smear(folder: Path, name: str, size: tuple[int, int] | None) -> Smear:
    import cv2

    image = cv2.imread(str(folder / "JPEGImages" / f"{name}.jpg"))[:, :, ::-1]
    boxes, labels = read_voc(folder / "Annotations" / f"{name}.xml")
    if size is not None:
        height, width = image.shape[:2]
        boxes = boxes * np.float32([size[1] / width, size[0] / height] * 2)
        image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    return Smear(np.float32(image) / 255, boxes, labels, None)


def read_voc(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of one annotation file, without those of no area.

    VOC names the first and the last pixel inside, counted from 1; here coordinates lie between the pixels.

    Returns:
        (N, 4) float32 x1, y1, x2, y2 in pixels; (N,) int64 labels.
    """
    boxes, labels = [], []
    for thing in ElementTree.parse(path).getroot().iter("object"):
        x1, y1, x2, y2 = (float(thing.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax"))
        if x2 > x1 and y2 > y1:
            boxes.append([x1 - 1, y1 - 1, x2, y2])
            labels.append(_NAMES[thing.findtext("name")])
    return np.array(boxes, dtype=np.float32).reshape(-1, 4), np.array(labels, dtype=np.int64)
