"""A star model of a face: filters for the whole and for four parts, learnt from patches, and deformed test faces."""

from dataclasses import dataclass

import numpy as np

from helpers import datasets, windows

CELL = 4  # pixels of the enlarged patch; a block begins every 2 pixels of the patch
PARTS = {"left eye": (5.2, 7.8), "right eye": (14.6, 7.8), "nose": (10.0, 13.5), "mouth": (10.0, 18.2)}  # x, y
ROOT, PART = (10, 9), (5, 5)  # rows and columns of the filters in blocks
ROOT_CORNER = (1, 0)  # row and column of the root in a patch of 11 x 11 blocks
REACH = 3.0


@dataclass(frozen=True)
class Filter:
    """Weights of a linear SVM on blocks."""

    weights: np.ndarray  # (r, c, 36)
    bias: float
    anchor: tuple[int, int] = (0, 0)  # (dx, dy) in blocks, from the root's corner to the part's

    def response(self, blocks: np.ndarray) -> np.ndarray:
        """Its score at every place of (R, C, 36) blocks."""
        return windows.response(blocks, self.weights) + self.bias


@dataclass(frozen=True)
class Star:
    """Root and parts."""

    root: Filter
    parts: dict[str, Filter]


def blocks(patch: np.ndarray) -> np.ndarray:
    """(11, 11, 36) features of a 25 x 25 patch."""
    return windows.features(patch, CELL)


def deform(image: np.ndarray, moves: np.ndarray, reach: float = REACH) -> np.ndarray:
    """Move the parts of a face; what lies between is stretched.

    Args:
        image: (H, W) or (H, W, 3) square picture, cut like the patches of `windows.patches`.
        moves: (4, 2) array, one row (dx, dy) for each of PARTS, in pixels of a 25 x 25 patch.
        reach: how far around a part's centre the move reaches, in the same pixels.
    """
    from scipy.ndimage import map_coordinates

    factor = image.shape[0] / 25
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(float)
    shift = np.zeros((2, *y.shape))
    for (px, py), (dx, dy) in zip(PARTS.values(), moves, strict=True):
        near = np.exp(-((x / factor - px) ** 2 + (y / factor - py) ** 2) / (2 * reach**2))
        shift += factor * near * np.array([dy, dx])[:, None, None]
    bands = image.reshape(*image.shape[:2], -1)
    moved = [
        map_coordinates(bands[..., k], np.stack([y, x]) - shift, order=1, mode="nearest") for k in range(bands.shape[2])
    ]
    return np.stack(moved, axis=2).reshape(image.shape)


def background(number: int, rng: np.random.Generator) -> np.ndarray:
    """(number, 25, 25) patches without a face, cut from photos at random places and sizes."""
    from skimage.transform import resize

    photos = [windows.gray(name) for name in windows.WITHOUT_FACE]
    found = []
    for k in rng.integers(0, len(photos), number):
        side = int(rng.integers(25, 120))
        y, x = rng.integers(0, [photos[k].shape[0] - side + 1, photos[k].shape[1] - side + 1])
        found.append(resize(photos[k][y : y + side, x : x + side], (25, 25), order=1, anti_aliasing=False))
    return np.array(found)


def learn(faces: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> Star:
    """Linear SVMs for the root and, each at its own place, for the parts.

    Felzenszwalb et al. (2010) learn all the filters, their places and the costs together; this is the short way.

    Args:
        faces, others: (N, 25, 25) patches.
    """
    inside, outside = [blocks(face) for face in faces], [blocks(other) for other in others]

    def fit(c: float, corner: tuple[int, int], shape: tuple[int, int], elsewhere: int) -> Filter:
        from sklearn.svm import LinearSVC

        def at(block: np.ndarray, y: int, x: int) -> np.ndarray:
            return block[y : y + shape[0], x : x + shape[1]].ravel()

        right = [at(block, *corner) for block in inside]
        wrong = [at(block, *corner) for block in outside]
        for block in inside:  # a part must also be told from the rest of the face
            for y, x in rng.integers(0, [block.shape[0] - shape[0] + 1, block.shape[1] - shape[1] + 1], (elsewhere, 2)):
                if max(abs(y - corner[0]), abs(x - corner[1])) >= 2:
                    wrong.append(at(block, y, x))
        svm = LinearSVC(C=c, random_state=0, max_iter=20000)
        svm.fit(np.array(right + wrong), [1] * len(right) + [0] * len(wrong))
        anchor = (corner[1] - ROOT_CORNER[1], corner[0] - ROOT_CORNER[0])
        return Filter(svm.coef_[0].reshape(*shape, -1), float(svm.intercept_[0]), anchor)

    root = fit(0.01, ROOT_CORNER, ROOT, 0)
    parts = {}
    for name, (x, y) in PARTS.items():
        # a block covers 4 pixels of the patch, and the next begins 2 further on: PART blocks cover 2 * PART + 2
        column, row = (round((c - PART[0] - 1) / 2) for c in (x, y))
        row, column = min(max(row, 0), 11 - PART[0]), min(max(column, 0), 11 - PART[1])
        parts[name] = fit(0.1, (row, column), PART, 30)
    return Star(root, parts)


def portrait() -> np.ndarray:
    """The face of the astronaut, cut like the patches to learn from: (126, 126, 3)."""
    return datasets.photo("astronaut")[55:181, 167:293]
