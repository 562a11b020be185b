"""Generated micrographs of nuclei that touch each other, with one number a nucleus."""

import numpy as np

SIZE = (96, 128)  # rows, columns


def generate(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A fluorescence micrograph of crowded nuclei.

    Nuclei that touch share a border: no background pixel lies between them.

    Args:
        rng: all randomness comes from it.

    Returns:
        Image: SIZE, float32 in [0, 1], bright nuclei on dark ground.
        Instances: SIZE, int64; 0 is background, nucleus k has the number k.
    """
    import cv2

    height, width = SIZE
    y, x = np.mgrid[:height, :width]
    # Distance to each nucleus's centre in units of its own radius; the nearest one below 1 owns a pixel.
    nearest = np.full(SIZE, np.inf)
    owner = np.zeros(SIZE, np.int64)
    for number, (center_x, center_y) in enumerate(_centers(rng), 1):
        long, short = rng.uniform(10, 13), rng.uniform(7.5, 10)
        angle = rng.uniform(0, np.pi)
        along = (x - center_x) * np.cos(angle) + (y - center_y) * np.sin(angle)
        across = (y - center_y) * np.cos(angle) - (x - center_x) * np.sin(angle)
        distance = np.hypot(along / long, across / short)
        owner[distance < np.minimum(nearest, 1)] = number
        nearest = np.minimum(nearest, distance)
    numbers, instances = np.unique(owner, return_inverse=True)
    instances = instances.reshape(SIZE) + (numbers[0] != 0)
    brightness = np.concatenate([[0.12], rng.uniform(0.5, 0.75, instances.max())])[instances]
    brightness = brightness - 0.22 * (~interior(instances) & (instances > 0))  # thinner, so darker, at the rim
    image = cv2.GaussianBlur(brightness.astype(np.float32), (0, 0), 1.2) + rng.normal(0, 0.05, SIZE)
    return np.clip(image, 0, 1).astype(np.float32), instances


def generate_set(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W) and instances (N, H, W); the same seed gives the same ones."""
    pairs = [generate(np.random.default_rng([seed, k])) for k in range(number)]
    images, instances = zip(*pairs, strict=True)
    return np.stack(images), np.stack(instances)


def _centers(rng: np.random.Generator) -> list[np.ndarray]:
    """Centres (x, y), at least 13 pixels apart and most of them close to another one."""
    height, width = SIZE
    centers: list[np.ndarray] = []
    for _ in range(400):
        near = bool(centers) and rng.random() < 0.8
        start = centers[rng.integers(len(centers))] if near else rng.uniform([0, 0], [width, height])
        angle = rng.uniform(0, 2 * np.pi)
        center = start + near * rng.uniform(14, 18) * np.array([np.cos(angle), np.sin(angle)])
        inside = (center > 5).all() and (center < [width - 5, height - 5]).all()
        if inside and all(np.hypot(*(center - other)) > 13 for other in centers):
            centers.append(center)
        if len(centers) == 26:
            break
    return centers


def interior(instances: np.ndarray) -> np.ndarray:
    """Pixels of objects all of whose eight neighbours belong to the same object.

    Args:
        instances: (H, W) int, 0 is background.

    Returns:
        (H, W) bool; between two objects that touch a line two pixels wide is False.
    """
    padded = np.pad(instances, 1, mode="edge")
    height, width = instances.shape
    neighbours = [padded[dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)]
    return (instances > 0) & np.all([neighbour == instances for neighbour in neighbours], axis=0)


def found_alone(pred: np.ndarray, instances: np.ndarray, iou_threshold: float = 0.5) -> float:
    """Share of the objects that have a connected patch of the prediction for themselves.

    Args:
        pred: (H, W) bool.
        instances: (H, W) int, 0 is background.
        iou_threshold: at least so much must patch and object overlap.
    """
    import skimage.measure

    patches = skimage.measure.label(pred, connectivity=1)
    table = np.zeros((int(instances.max()) + 1, int(patches.max()) + 1))
    np.add.at(table, (instances, patches), 1)
    union = table.sum(axis=1, keepdims=True) + table.sum(axis=0, keepdims=True) - table
    iou = (table / np.maximum(union, 1))[1:, 1:]
    return float((iou.max(axis=1, initial=0) >= iou_threshold).mean())
