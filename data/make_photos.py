"""Make data/photos/annotations.json and data/photos/detections.json.

    python data/make_photos.py

The ground truth was drawn by hand on enlarged pictures with a grid, but for the coins, whose outlines come from a
watershed and were checked by eye. The detections come from five simple detectors, each run over all six photos; nothing
in them was adjusted to the ground truth. See data/README.md.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as rle
from scipy import ndimage
from skimage.filters import sobel
from skimage.segmentation import watershed

FOLDER = Path(__file__).resolve().parent / "photos"
sys.path.insert(0, str(FOLDER.parent.parent))

from helpers.datasets import photo  # noqa: E402

Box = tuple[float, float, float, float, float]  # x, y, width, height in pixels, and a score

PHOTOS = ("coins", "astronaut", "camera", "chelsea", "motorcycle", "page")
CATEGORIES = ("coin", "face", "eye", "wheel", "word")
MOST = {"coin": 150}  # detections kept in a photo, 30 if not given

# x1, y1, x2, y2; coordinates between pixels, so a box that holds only the first pixel is 0, 0, 1, 1
DRAWN = {
    "astronaut": {"face": [(182, 79, 271, 178)], "eye": [(190, 87, 215, 106), (235, 90, 265, 109)]},
    "camera": {"face": [(194, 126, 255, 197)], "eye": [(223, 140, 249, 155)]},
    "chelsea": {"eye": [(134, 85, 211, 148), (296, 109, 346, 165)]},
    "motorcycle": {"wheel": [(121, 237, 281, 404), (513, 294, 685, 452)]},
    "page": {
        "word": [
            *[(7, 13, 142, 33), (151, 14, 292, 34)],
            *[(6, 49, 24, 61), (33, 53, 47, 61), (56, 51, 82, 61), (90, 51, 159, 62), (168, 51, 222, 63)],
            *[(232, 51, 244, 63), (253, 51, 275, 63), (284, 52, 316, 63), (325, 50, 348, 62), (357, 50, 376, 61)],
        ]
    },
}
CROWDS = {"page": {"word": [(5, 66, 377, 137), (0, 168, 242, 191)]}}


def gray(name: str) -> np.ndarray:
    """Photo as (H, W) bytes."""
    image = np.round(photo(name) * 255).astype(np.uint8)
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def coin_masks() -> np.ndarray:
    """(24, H, W) bool: flood the gradient image from surely dark and surely bright pixels."""
    image = gray("coins")
    markers = np.where(image < 30, 1, np.where(image > 150, 2, 0))
    bright = ndimage.binary_fill_holes(watershed(sobel(image), markers) == 2)
    labels, number = ndimage.label(ndimage.binary_opening(bright, iterations=2))
    return labels == np.arange(1, number + 1)[:, None, None]


def detect_coins(image: np.ndarray) -> list[Box]:
    """Discs that differ from the ring around them, in units of the noise of both."""
    image, boxes = image.astype(np.float32) / 255, []
    for radius in np.arange(14, 35, 1.5):
        reach = int(np.ceil(1.3 * radius))
        distance = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
        inner, outer = distance <= radius, (distance > radius) & (distance <= 1.3 * radius)

        def mean(values: np.ndarray, region: np.ndarray) -> np.ndarray:
            return cv2.filter2D(values, -1, (region / region.sum()).astype(np.float32), borderType=cv2.BORDER_REFLECT)

        means = [mean(image, region) for region in (inner, outer)]
        variances = [mean(image**2, region) - m**2 for region, m in zip((inner, outer), means, strict=True)]
        contrast = (means[0] - means[1]) / (np.sqrt(np.maximum(sum(variances), 0)) + 0.1)
        peaks = (contrast == ndimage.maximum_filter(contrast, size=5)) & (contrast > 0.7)
        for y, x in zip(*np.nonzero(peaks), strict=True):
            left, top = x + 0.5 - radius, y + 0.5 - radius
            boxes.append((left, top, 2 * radius, 2 * radius, contrast[y, x] / (1 + contrast[y, x])))
    return boxes


def cascade(image: np.ndarray, name: str) -> list[Box]:
    """All windows that pass a cascade of Viola and Jones; the score is the last stage's margin, squashed to (0, 1)."""
    classifier = cv2.CascadeClassifier(cv2.data.haarcascades + name)
    windows, _, margins = classifier.detectMultiScale3(image, 1.05, 0, 0, (12, 12), outputRejectLevels=True)
    return [(*window, 1 / (1 + np.exp(-margin))) for window, margin in zip(windows, np.ravel(margins), strict=True)]


def detect_faces(image: np.ndarray) -> list[Box]:
    """Frontal faces, and profiles that look to either side."""
    mirrored = cascade(np.ascontiguousarray(image[:, ::-1]), "haarcascade_profileface.xml")
    mirrored = [(image.shape[1] - x - width, y, width, height, score) for x, y, width, height, score in mirrored]
    profiles = cascade(image, "haarcascade_profileface.xml")
    return cascade(image, "haarcascade_frontalface_default.xml") + profiles + mirrored


def detect_eyes(image: np.ndarray) -> list[Box]:
    """Eyes with their brows, as the cascade was trained on."""
    return cascade(image, "haarcascade_eye.xml")


def detect_wheels(image: np.ndarray) -> list[Box]:
    """Hough circles; the score is the share of the circle that votes."""
    smooth = cv2.GaussianBlur(image, (0, 0), 2)
    options = {"dp": 1, "minDist": 8, "param1": 150, "param2": 18, "minRadius": 60, "maxRadius": 110}
    circles = cv2.HoughCirclesWithAccumulator(smooth, cv2.HOUGH_GRADIENT, **options)
    circles = [] if circles is None else circles[0]
    return [(x - r, y - r, 2 * r, 2 * r, votes / (2 * np.pi * r)) for x, y, r, votes in circles]


def detect_words(image: np.ndarray) -> list[Box]:
    """Thin dark strokes, joined across small gaps; the score is how dark they are on average."""
    strokes = cv2.morphologyEx(image, cv2.MORPH_BLACKHAT, np.ones((11, 11), np.uint8))
    joined = cv2.morphologyEx((strokes > 50).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 6), np.uint8))
    labels, _ = ndimage.label(joined, np.ones((3, 3)))
    boxes = []
    for rows, columns in ndimage.find_objects(labels):
        width, height = columns.stop - columns.start, rows.stop - rows.start
        if width >= 8 and height >= 6:
            boxes.append((columns.start, rows.start, width, height, strokes[rows, columns].mean() / 255))
    return boxes


DETECTORS = dict(zip(CATEGORIES, (detect_coins, detect_faces, detect_eyes, detect_wheels, detect_words), strict=True))


def annotations() -> list[dict]:
    """Ground truth in COCO's format; boxes without a mask have the area of the box."""
    records = []

    def add(image_id: int, category: str, bbox: list[float], area: float, **more: object) -> None:
        base = {"id": len(records) + 1, "image_id": image_id, "category_id": CATEGORIES.index(category) + 1}
        records.append({**base, "bbox": bbox, "area": area, "iscrowd": 0, **more})

    for mask in coin_masks():
        code = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
        segmentation = {"size": list(mask.shape), "counts": code["counts"].decode()}
        bbox = [int(value) for value in rle.toBbox(code)]
        add(PHOTOS.index("coins") + 1, "coin", bbox, int(mask.sum()), segmentation=segmentation)
    for source, more in ((DRAWN, {}), (CROWDS, {"iscrowd": 1})):
        for name, groups in source.items():
            for category, boxes in groups.items():
                for x1, y1, x2, y2 in boxes:
                    bbox = [x1, y1, x2 - x1, y2 - y1]
                    add(PHOTOS.index(name) + 1, category, bbox, bbox[2] * bbox[3], **more)
    return records


def detections() -> list[dict]:
    """Best detections first in each photo and category; of equal scores in a category only the first is kept."""
    records, seen = [], set()
    for image_id, name in enumerate(PHOTOS, 1):
        image = gray(name)
        for category_id, (category, detect) in enumerate(DETECTORS.items(), 1):
            found = sorted(detect(image), key=lambda box: -box[-1])[: MOST.get(category, 30)]
            for *bbox, score in found:
                score = round(float(score), 5)
                if (category_id, score) not in seen:
                    seen.add((category_id, score))
                    bbox = [round(float(value), 1) for value in bbox]
                    records.append({"image_id": image_id, "category_id": category_id, "bbox": bbox, "score": score})
    return records


def main() -> None:
    """Write both files, one record a line."""
    cv2.setNumThreads(1)
    images = [
        {"id": k, "file_name": name, "height": gray(name).shape[0], "width": gray(name).shape[1]}
        for k, name in enumerate(PHOTOS, 1)
    ]
    parts = {
        "images": images,
        "annotations": annotations(),
        "categories": [{"id": k, "name": name} for k, name in enumerate(CATEGORIES, 1)],
    }
    FOLDER.mkdir(exist_ok=True)

    def lines(records: list[dict]) -> str:
        return "[\n" + ",\n".join(json.dumps(record) for record in records) + "\n]"

    text = ",\n".join(f'"{key}": {lines(records)}' for key, records in parts.items())
    (FOLDER / "annotations.json").write_text("{" + text + "}\n")
    (FOLDER / "detections.json").write_text(lines(detections()) + "\n")


if __name__ == "__main__":
    main()
