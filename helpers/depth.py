"""Small generated scenes with exact depth: balls and boxes on a floor, before a wall, lit by one lamp.

Camera coordinates in metres: x to the right, y down, z into the scene; the camera is at the origin and looks along z.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

SIZE = (24, 32)  # rows, columns of a picture
FLOOR = 1.5  # y of the floor: the camera is this high
WALL = 12.0  # z of the wall
AMBIENT = 0.35
TO_LAMP = np.array([-0.48, -0.8, -0.36])  # unit vector: the lamp is behind us, high up on the left
TINY = 1e-6


@dataclass(frozen=True)
class Ball:
    """A ball.

    Attributes:
        centre: x, y, z in metres.
        radius: in metres.
        colour: red, green, blue in [0, 1].
    """

    centre: tuple[float, float, float]
    radius: float
    colour: tuple[float, float, float]

    def hit(self, origins: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where rays first meet the surface from outside.

        Args:
            origins, rays: (R, 3) start points in metres, and directions of any length.

        Returns:
            (R,) multiple of the ray, inf where it misses; (R, 3) outward unit normal (of no meaning there).
        """
        start = origins - np.array(self.centre)
        a, b = (rays**2).sum(axis=1), (start * rays).sum(axis=1)
        root = b**2 - a * ((start**2).sum(axis=1) - self.radius**2)
        along = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
        along = np.where(along > TINY, along, np.inf)
        reached = start + np.where(np.isfinite(along), along, 0)[:, None] * rays
        return along, reached / self.radius


@dataclass(frozen=True)
class Box:
    """A box that stands upright.

    Attributes:
        centre: x, y, z in metres.
        half: half its extent in its own x, y, z, in metres.
        turn: angle about the vertical, in radians.
        colour: red, green, blue in [0, 1].
    """

    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    turn: float
    colour: tuple[float, float, float]

    def hit(self, origins: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As for a ball."""
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        axes = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])  # rows: the box's own axes
        start, way = (origins - np.array(self.centre)) @ axes.T, rays @ axes.T
        way = np.where(np.abs(way) < 1e-12, 1e-12, way)
        sides = np.stack([(-np.array(self.half) - start) / way, (np.array(self.half) - start) / way])
        near, far = sides.min(axis=0), sides.max(axis=0)
        along = near.max(axis=1)
        along = np.where((along <= far.min(axis=1)) & (along > TINY), along, np.inf)
        rows, face = np.arange(len(rays)), near.argmax(axis=1)
        return along, -np.sign(way[rows, face])[:, None] * axes[face]


class Scenes(NamedTuple):
    """Pictures with their depth.

    Attributes:
        images: (N, 3, H, W) float32 in [0, 1].
        depths: (N, H, W) float32, z in metres of what is seen through the pixel's centre.
        is_object: (N, H, W) bool, neither floor nor wall.
    """

    images: np.ndarray
    depths: np.ndarray
    is_object: np.ndarray


def render(things: Sequence[Ball | Box], size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One picture of balls and boxes on the floor, with shading and cast shadows.

    Args:
        size: rows and columns.

    Returns:
        (H, W, 3) image in [0, 1]; (H, W) depth in metres; (H, W) bool, where a ball or a box is seen.
    """
    rays = _rays(size)
    along, normals, colours = _room(rays)
    owner = np.full(len(rays), -1)
    for number, thing in enumerate(things):
        distance, normal = thing.hit(np.zeros_like(rays), rays)
        closer = distance < along
        along, owner = np.where(closer, distance, along), np.where(closer, number, owner)
        normals = np.where(closer[:, None], normal, normals)
        colours = np.where(closer[:, None], thing.colour, colours)
    points = along[:, None] * rays + 1e-4 * normals
    light = np.maximum(normals @ TO_LAMP, 0)
    for thing in things:
        light = np.where(np.isfinite(thing.hit(points, np.broadcast_to(TO_LAMP, rays.shape))[0]), 0, light)
    shaded = colours * (AMBIENT + (1 - AMBIENT) * light)[:, None]
    depth = along * rays[:, 2]
    return np.clip(shaded, 0, 1).reshape(*size, 3), depth.reshape(size), (owner >= 0).reshape(size)


def _rays(size: tuple[int, int]) -> np.ndarray:
    """(H W, 3) directions through the pixels' centres, with z = 1; the focal length is 0.9 times the width."""
    height, width = size
    rows, columns = np.mgrid[:height, :width] + 0.5
    focal = 0.9 * width
    return np.stack([(columns - width / 2) / focal, (rows - height / 2) / focal, np.ones(size)], axis=-1).reshape(-1, 3)


def _room(rays: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance, normal and colour of floor and wall."""
    floor = np.where(rays[:, 1] > 0, FLOOR / np.maximum(rays[:, 1], TINY), np.inf)
    on_floor = floor < WALL
    normals = np.where(on_floor[:, None], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0])
    colours = np.where(on_floor[:, None], [0.75, 0.72, 0.68], [0.55, 0.62, 0.72])
    return np.where(on_floor, floor, WALL), normals, colours


def draw_things(rng: np.random.Generator) -> list[Ball | Box]:
    """One to three balls and boxes that stand on the floor, 3.5 to 9 m away, of random size and colour."""
    things: list[Ball | Box] = []
    for _ in range(rng.integers(1, 4)):
        z = rng.uniform(3.5, 9)
        x = rng.uniform(-0.45, 0.45) * z
        colour = tuple(rng.uniform(0.1, 1, 3))
        if rng.random() < 0.5:
            radius = rng.uniform(0.4, 1.2)
            things.append(Ball((x, FLOOR - radius, z), radius, colour))
        else:
            half = tuple(rng.uniform(0.3, 1.1, 3))
            things.append(Box((x, FLOOR - half[1], z), half, rng.uniform(0, np.pi / 2), colour))
    return things


def scenes(number: int, seed: int, size: tuple[int, int] = SIZE, noise: float = 0.02) -> Scenes:
    """Random scenes.

    Args:
        seed: the same seed gives the same scenes.
        size: rows and columns.
        noise: standard deviation of the camera's noise.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    images = np.zeros((number, 3, height, width), np.float32)
    depths = np.zeros((number, height, width), np.float32)
    is_object = np.zeros((number, height, width), bool)
    for k in range(number):
        image, depths[k], is_object[k] = render(draw_things(rng), size)
        images[k] = np.clip(image + noise * rng.standard_normal(image.shape), 0, 1).transpose(2, 0, 1)
    return Scenes(images, depths, is_object)
