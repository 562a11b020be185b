"""People made of capsules before photos, with exact keypoints: for training where real people may not be stored.

A skeleton of random pose is turned and projected without perspective; limbs, torso and head are painted from back to
front, with clothes, light and noise. Keypoints are COCO's 17 in COCO's order; left is the person's left. Pixel
(row r, column c) has its centre at (x, y) = (c, r).
"""

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from helpers import datasets, plotting

VERSION = 1  # another version draws other pictures: measured figures belong to one
KEYPOINTS = (
    *("nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder", "left elbow"),
    *("right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee", "right knee"),
    *("left ankle", "right ankle"),
)
MIRRORED = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)  # where each keypoint is in a mirrored picture
LIMBS = (
    *((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16)),
    *((5, 6), (11, 12), (5, 11), (6, 12), (0, 5), (0, 6), (0, 1), (0, 2), (1, 3), (2, 4)),
)
# COCO's constants of object keypoint similarity (pycocotools, cocoeval.py).
SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89], dtype=np.float32) / 1000
STRIDE = 4  # pixels of the picture for one of the map

_BACKGROUNDS = (
    *("chelsea", "coffee", "rocket", "immunohistochemistry", "brick", "grass", "gravel"),
    *("china", "flower", "motorcycle"),
)
_SKIN = np.array(
    [(255, 224, 196), (240, 200, 165), (224, 172, 135), (198, 134, 66), (141, 85, 54), (92, 58, 40), (236, 188, 180)]
)
_ENERGY = {"stand": 0.35, "walk": 0.7, "sport": 1.3, "sit": 0.5}
_OVERSAMPLING = 2
# Limbs: from joint, to joint, radius at each end as a share of the height, what it wears.
_PARTS = (
    ("shoulder", "elbow", 0.036, 0.028, "shirt"),
    ("elbow", "wrist", 0.027, 0.020, "sleeve"),
    ("wrist", "hand", 0.021, 0.018, "skin"),
    ("hip", "knee", 0.054, 0.038, "trousers"),
    ("knee", "ankle", 0.037, 0.024, "legs"),
    ("ankle", "toes", 0.026, 0.021, "shoes"),
)


class Person(NamedTuple):
    """A picture of one person (and perhaps of parts of others, which do not count)."""

    image: np.ndarray  # (S, S, 3) float32 in [0, 1], RGB
    keypoints: np.ndarray  # (17, 3) float32 x, y and v (0 outside of the picture, 1 hidden, 2 visible)
    area: float  # visible square pixels
    box: np.ndarray  # (4,) float32 x1, y1, x2, y2, the tightest around what is visible


class Crowd(NamedTuple):
    """A picture of several people, those behind first."""

    image: np.ndarray  # (H, W, 3) float32 in [0, 1], RGB
    keypoints: np.ndarray  # (N, 17, 3) float32
    areas: np.ndarray  # (N,) visible square pixels
    boxes: np.ndarray  # (N, 4) float32


def people(number: int, seed: int, size: int = 96) -> Iterator[Person]:
    """Generated people, one after the other: each depends on its place and the seed only.

    Args:
        number: how many.
        seed: not negative; sets for training and test need different ones.
        size: of the square pictures, in pixels.
    """
    for k in range(number):
        yield person(np.random.default_rng([VERSION, seed, k]), size)


def person(rng: np.random.Generator, size: int = 96) -> Person:
    """One person, nearly as large as the picture; in one of four a neighbour is in it, too."""
    canvas = _background(rng, size, size)
    joints, looks = _skeleton(rng), _looks(rng)
    low, high = _extent(joints)
    scale = canvas.shape[0] / (high - low).max() * rng.uniform(0.8, 1.05)
    middle = canvas.shape[0] * (0.5 + rng.normal(0, 0.03, 2)) - scale * (low + high) / 2
    neighbour = rng.random()
    aside = np.array([rng.choice([-1, 1]) * scale * rng.uniform(0.35, 0.6), scale * rng.normal(0, 0.08)])
    if neighbour < 0.15:
        _paint(canvas, _skeleton(rng), _looks(rng), scale * rng.uniform(0.8, 1.1), middle + aside, rng)
    points, visible, before = _paint(canvas, joints, looks, scale, middle, rng)
    mask = _changed(canvas, before)
    if 0.15 <= neighbour < 0.25:
        *_, before = _paint(canvas, _skeleton(rng), _looks(rng), scale * rng.uniform(0.8, 1.1), middle + aside, rng)
        _hide(points, visible, mask, _changed(canvas, before))
    image = _photographed(canvas, size, size, rng)
    return Person(image, _annotated(points, visible, size, size), *_measures(mask))


def crowd(rng: np.random.Generator, number: int, height: int = 128, width: int = 256, overlap: float = 1.0) -> Crowd:
    """Several people of similar height beside and before each other.

    Args:
        overlap: how much narrower than comfortable their places are; 1 is a loose group.
    """
    canvas = _background(rng, height, width)
    places = (np.arange(number) + 0.5) / number + rng.uniform(-0.5, 0.5, number) * 0.5 / number
    places = 0.5 + (places - 0.5) / overlap
    points, visible, masks = [], [], []
    for k in rng.permutation(number):
        joints = _skeleton(rng)
        low, high = _extent(joints)
        scale = canvas.shape[0] * rng.uniform(0.68, 0.86) / max((high - low)[1], 0.75)
        middle = np.array([places[k] * canvas.shape[1], canvas.shape[0] * rng.uniform(0.48, 0.54)])
        some, seen, before = _paint(canvas, joints, _looks(rng), scale, middle - scale * (low + high) / 2, rng)
        mask = _changed(canvas, before)
        for others in zip(points, visible, masks, strict=True):
            _hide(*others, mask)
        points.append(some)
        visible.append(seen)
        masks.append(mask)
    image = _photographed(canvas, height, width, rng)
    keypoints = [_annotated(some, seen, height, width) for some, seen in zip(points, visible, strict=True)]
    areas, boxes = zip(*(_measures(mask) for mask in masks), strict=True)
    return Crowd(image, np.stack(keypoints), np.array(areas), np.stack(boxes))


def to_map(keypoints: np.ndarray) -> np.ndarray:
    """Keypoints in pixels of the heatmap, a quarter of the picture's size; v stays."""
    return np.concatenate([(keypoints[..., :2] - (STRIDE - 1) / 2) / STRIDE, keypoints[..., 2:]], axis=-1)


def to_picture(points: np.ndarray) -> np.ndarray:
    """The way back from `to_map`: x and y in pixels of the picture; further columns stay."""
    return np.concatenate([points[..., :2] * STRIDE + (STRIDE - 1) / 2, points[..., 2:]], axis=-1)


def moved(keypoints: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Keypoints under an affine map (2, 3); further columns stay."""
    points = keypoints[..., :2] @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([points, keypoints[..., 2:]], axis=-1).astype(keypoints.dtype)


def warp(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """The picture under an affine map (2, 3), cut to (size, size); bilinear, black outside."""
    return cv2.warpAffine(np.asarray(image, dtype=np.float32), np.asarray(matrix, dtype=float), (size, size))


def mirrored(images: np.ndarray, keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, H, W, 3) and keypoints (N, 17, 3) as in a mirror: left and right change their names."""
    turned = keypoints[:, MIRRORED].copy()
    turned[..., 0] = images.shape[2] - 1 - turned[..., 0]
    return images[:, :, ::-1], turned


def affinity_fields(keypoints: np.ndarray, size: tuple[int, int], width: float = 0.7) -> np.ndarray:
    """Part affinity fields: unit vectors along each limb, within `width` of it; means where limbs of people cross.

    Args:
        keypoints: (N, 17, 3) in pixels of the map.
        size: (H, W) of the map.

    Returns:
        (L, 2, H, W) float32, in the order of LIMBS.

    Source: Cao et al., OpenPose, https://arxiv.org/abs/1611.08050, section 2.3.
    """
    fields = np.zeros((len(LIMBS), 2, *size), dtype=np.float32)
    counts = np.zeros((len(LIMBS), 1, *size), dtype=np.float32)
    places = np.stack(np.meshgrid(np.arange(size[1]), np.arange(size[0])), axis=-1)
    for k, (start, stop) in enumerate(LIMBS):
        for points in keypoints:
            a, b = points[start], points[stop]
            length = float(np.hypot(*(b - a)[:2]))
            if min(a[2], b[2]) == 0 or length < 1e-6:
                continue
            along = (b - a)[:2] / length
            offset = places - a[:2]
            is_near = (abs(offset @ [-along[1], along[0]]) <= width) & (abs(offset @ along - length / 2) <= length / 2)
            fields[k][:, is_near] += along[:, None]
            counts[k][:, is_near] += 1
    return fields / np.maximum(counts, 1)


def sizes(keypoints: np.ndarray) -> np.ndarray:
    """Longer side of the box around the labelled keypoints: (N, 17, 3) to (N,); the measure of PCK."""
    is_labelled = keypoints[..., 2:] > 0
    low = np.where(is_labelled, keypoints[..., :2], np.inf).min(axis=1)
    high = np.where(is_labelled, keypoints[..., :2], -np.inf).max(axis=1)
    return np.maximum((high - low).max(axis=1), 1.0)


def pck(predicted: np.ndarray, truth: np.ndarray, share: float = 0.1) -> float:
    """Share of the labelled keypoints that are predicted within `share` of the person's size.

    Args:
        predicted: (N, 17, 2 or more) x, y in pixels.
        truth: (N, 17, 3) x, y, v.
    """
    return float(_is_near(predicted, truth, share)[truth[..., 2] > 0].mean())


def pck_by_kind(predicted: np.ndarray, truth: np.ndarray, share: float = 0.1) -> dict[str, float]:
    """`pck` for nose and eyes and ears together, and for each pair of joints."""
    is_near, is_labelled = _is_near(predicted, truth, share), truth[..., 2] > 0
    kinds = {"face": range(5)} | {KEYPOINTS[k].split()[1]: range(k, k + 2) for k in range(5, 17, 2)}
    return {kind: float(is_near[:, list(ks)][is_labelled[:, list(ks)]].mean()) for kind, ks in kinds.items()}


def _is_near(predicted: np.ndarray, truth: np.ndarray, share: float) -> np.ndarray:
    distances = np.linalg.norm(predicted[..., :2] - truth[..., :2], axis=-1)
    return distances <= share * sizes(truth)[:, None]


def show(ax: Axes, keypoints: np.ndarray, linewidth: float = 1.5, least: float = 0.0, style: str = "-") -> None:
    """Draw one person's skeleton into a picture that `plotting.show_image` shows.

    The person's left is orange, right blue, the middle yellow; hidden keypoints (v = 1) are hollow.

    Args:
        keypoints: (17, 3) x, y in pixels, and v or score; those of at most `least` are left out.
    """
    points = np.asarray(keypoints)[:, :2] + 0.5
    value = np.asarray(keypoints)[:, 2]
    limbs = [limb for limb in LIMBS if limb not in {(0, 5), (0, 6)} and min(value[list(limb)]) > least]
    sides = {-1: plotting.YELLOW, 0: plotting.SKY, 1: plotting.ORANGE}
    colors = [sides[b % 2 if (b - a) % 2 == 0 or a == 0 else -1] for a, b in limbs]
    lines = LineCollection(
        [points[list(limb)] for limb in limbs], colors=colors, linewidths=linewidth, linestyles=style
    )
    ax.add_collection(lines, autolim=False)
    drawn = value > least
    fill = np.where((value == 1.0)[drawn], "none", plotting.RED)
    ax.scatter(*points[drawn].T, s=4 * linewidth**2, c=fill, edgecolors=plotting.RED, linewidths=0.6, zorder=3)


@functools.cache
def _photos() -> tuple[np.ndarray, ...]:
    """Backgrounds as float32 from 0 to 255."""
    photos = []
    for name in _BACKGROUNDS:
        photo = 255 * datasets.photo(name)
        photo = photo if photo.ndim == 3 else np.repeat(photo[..., None], 3, axis=2)
        photos.append(np.ascontiguousarray(photo[..., :3], dtype=np.float32))
    return tuple(photos)


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A part of a photo in changed light, with some poles and boxes; float32, twice as large as asked for."""
    height, width = _OVERSAMPLING * height, _OVERSAMPLING * width
    photo = _photos()[rng.integers(len(_BACKGROUNDS))]
    fits = min(photo.shape[0] / height, photo.shape[1] / width)
    cut = np.maximum((np.array([height, width]) * fits * rng.uniform(0.3, 1)).astype(int), 2)
    top, left = (int(rng.integers(have - want + 1)) for have, want in zip(photo.shape[:2], cut, strict=True))
    part = photo[top : top + cut[0], left : left + cut[1]]
    canvas = cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.6:
        canvas = (canvas - 128) * np.float32(rng.uniform(0.4, 1)) + np.float32(128 + 30 * rng.normal())
        canvas *= (1 - 0.3 * rng.random() * rng.uniform(0.7, 1, 3)).astype(np.float32)
        np.clip(canvas, 0, 255, out=canvas)
    for _ in range(rng.integers(0, 5)):
        x, y, *ends = (int(value) for value in rng.integers(0, [width, height, width, height]))
        color = _color(rng).tolist()
        if rng.random() < 0.5:
            cv2.line(canvas, (x, y), tuple(ends), color, int(rng.integers(2, 14)), cv2.LINE_AA)
        else:
            cv2.rectangle(canvas, (x, y), (x + int(rng.integers(5, 70)), y + int(rng.integers(5, 90))), color, -1)
    return canvas


def _color(rng: np.random.Generator) -> np.ndarray:
    """(3,) RGB from 0 to 255, as clothes have it: any hue, more often pale than strong."""
    hsv = [[[rng.uniform(0, 360), rng.beta(1.2, 1.8), rng.beta(1.6, 1.4)]]]
    return 255 * cv2.cvtColor(np.array(hsv, dtype=np.float32), cv2.COLOR_HSV2RGB)[0, 0]


def _looks(rng: np.random.Generator) -> dict:
    skin = _SKIN[rng.integers(len(_SKIN))] * rng.uniform(0.85, 1.05)
    shirt, trousers = _color(rng), _color(rng)
    return {
        "skin": skin,
        "shirt": shirt,
        "trousers": trousers,
        "sleeve": shirt if rng.random() < 0.5 else skin,
        "legs": skin if rng.random() < 0.3 else trousers,
        "shoes": 0.6 * _color(rng),
        "hair": 0.5 * _color(rng),
        "long hair": rng.random() < 0.3,
        "striped": rng.random() < 0.35,
        "girth": rng.uniform(0.85, 1.25),
        "light": rng.uniform(-1, 1),
    }


def _turn(axis: int, angle: float) -> np.ndarray:
    """(3, 3) rotation about x (0), y (1) or z (2)."""
    matrix = np.eye(3)
    i, j = ((1, 2), (2, 0), (0, 1))[axis]
    matrix[[i, j], [i, j]] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


def _hanging(side: int, outwards: float, forwards: float, length: float) -> np.ndarray:
    """A limb that hangs down if both angles are 0."""
    x, y, z = np.sin(outwards) * np.cos(forwards), np.cos(outwards) * np.cos(forwards), np.sin(forwards)
    return length * np.array([side * x, y, z])


def _skeleton(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Joints of a random pose: x to the right, y down, z towards the camera; a standing body is about 1 high."""
    mode = str(rng.choice(list(_ENERGY), p=[0.35, 0.25, 0.25, 0.15]))
    energy = _ENERGY[mode]
    lean, bow = rng.normal(0, 0.18), abs(rng.normal(0, 0.22))
    up = np.array([np.sin(lean), -np.cos(lean) * np.cos(bow), np.sin(bow)])
    across = np.array([np.cos(lean), np.sin(lean), 0])
    joints = {"pelvis": np.zeros(3), "neck": 0.30 * up}
    hips, shoulders = 0.085 * rng.uniform(0.85, 1.15), 0.125 * rng.uniform(0.85, 1.15)
    for side, name in ((1, "left"), (-1, "right")):
        _arm(rng, joints, name, side, joints["neck"] + side * shoulders * across, energy)
        _leg(rng, joints, name, side, side * hips * across, energy, mode == "sit")
    joints["head"] = joints["neck"] + 0.095 * up + np.array([0.012 * rng.normal(), 0, 0.02])
    look = _turn(1, rng.normal(0, 0.35))
    for name, place in (
        ("nose", (0, 0.012, 0.075)),
        ("left eye", (0.028, -0.016, 0.062)),
        ("right eye", (-0.028, -0.016, 0.062)),
        ("left ear", (0.058, 0, 0)),
        ("right ear", (-0.058, 0, 0)),
    ):
        joints[name] = joints["head"] + look @ np.array(place)
    toward = (rng.normal(0, 0.5), rng.normal(0, 0.5) + np.pi, rng.uniform(-np.pi, np.pi))  # front, back, any
    tilt = rng.normal(0, 0.1 if rng.random() < 0.85 else 0.5)
    whole = _turn(2, tilt) @ _turn(1, toward[rng.choice(3, p=[0.6, 0.2, 0.2])])
    joints["forward"] = look @ np.array([0, 0, 1.0])  # a direction, where the face looks
    joints["upward"] = up
    return {name: whole @ place for name, place in joints.items()}


def _arm(rng, joints: dict, name: str, side: int, shoulder: np.ndarray, energy: float) -> None:
    outwards, forwards = abs(rng.normal(0.12, 0.35 * energy)), rng.normal(0.1, 0.55 * energy)
    if rng.random() < 0.16 * energy:
        outwards = rng.uniform(1.2, 2.9)  # raised
    elbow = shoulder + _hanging(side, outwards, forwards, 0.165)
    bent = rng.uniform(0.3, 1.8) if rng.random() < 0.35 else 0.0
    outwards += rng.normal(-0.1, 0.4 * energy) - bent
    forwards += abs(rng.normal(0, 0.7 * energy)) + 0.1
    wrist = elbow + _hanging(side, outwards, forwards, 0.15)
    hand = wrist + 0.22 * (wrist - elbow)
    joints |= {f"{name} shoulder": shoulder, f"{name} elbow": elbow, f"{name} wrist": wrist, f"{name} hand": hand}


def _leg(rng, joints: dict, name: str, side: int, hip: np.ndarray, energy: float, is_sitting: bool) -> None:
    outwards = abs(rng.normal(0.06, 0.13 * energy + 0.03))
    forwards = rng.normal(1.3, 0.25) if is_sitting else rng.normal(0, 0.3 * energy)
    knee = hip + _hanging(side, outwards, forwards, 0.245)
    forwards = rng.normal(0, 0.25) if is_sitting else forwards - abs(rng.normal(0, 0.4 * energy))
    ankle = knee + _hanging(side, 0.6 * outwards, forwards, 0.245)
    toes = ankle + np.array([0.01 * side, 0.025, 0.06])
    joints |= {f"{name} hip": hip, f"{name} knee": knee, f"{name} ankle": ankle, f"{name} toes": toes}


def _extent(joints: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest x and y of the body."""
    points = np.stack([joints[name][:2] for name in KEYPOINTS])
    return points.min(axis=0) - [0.04, 0.085], points.max(axis=0) + [0.04, 0.045]


def _paint(
    canvas: np.ndarray, joints: dict, looks: dict, scale: float, middle: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paint one person.

    Returns:
        (17, 2) keypoints in pixels of the canvas, (17,) bool visible, and the canvas as it was before.
    """
    before = canvas.copy()
    at = {name: np.array([*(scale * place[:2] + middle), place[2]]) for name, place in joints.items()}
    width = scale * looks["girth"]
    parts = []
    for side in ("left ", "right "):
        for start, stop, first, last, wears in _PARTS:
            a, b = at[side + start], at[side + stop]
            depth = (a[2] + b[2]) / 2 - (0.02 if wears in {"trousers", "legs", "shoes"} else 0)
            parts.append((depth, a, b, first * width, last * width, looks[wears]))
    stripes = rng.uniform(0, 1, 2) / rng.uniform(0.05, 0.12)
    jobs = [(part[0], functools.partial(_capsule, canvas, *part[1:], looks["light"])) for part in parts]
    depth = (at["neck"][2] + at["pelvis"][2]) / 2
    jobs.append((depth, functools.partial(_torso, canvas, at, scale, width, looks, stripes)))
    jobs.append((at["neck"][2] + 0.03, functools.partial(_head, canvas, at, joints, scale, looks)))
    for _, job in sorted(jobs, key=lambda pair: pair[0]):
        job()
    points = np.stack([at[name] for name in KEYPOINTS])
    trunk = (depth + 0.03, at["neck"], at["pelvis"], 0.1 * width, 0.1 * width)
    visible = ~_are_covered(points, [*parts, trunk])
    turned_away = points[:5, 2] < at["head"][2] - 0.012
    visible[:5] = ~turned_away
    return points[:, :2], visible, before


def _are_covered(points: np.ndarray, parts: list[tuple]) -> np.ndarray:
    """Which joints (K, 3) lie behind a limb that is clearly nearer to the camera? (K,) bool."""
    a, b = (np.stack([part[k] for part in parts]) for k in (1, 2))
    first, last = (np.array([part[k] for part in parts]) for k in (3, 4))
    along = (b - a)[:, :2]
    offset = points[:, None, :2] - a[:, :2]
    share = (offset * along).sum(axis=2) / np.maximum((along**2).sum(axis=1), 1e-6)
    share = np.minimum(np.maximum(share, 0), 1)
    nearer = (1 - share) * a[:, 2] + share * b[:, 2] - points[:, 2:]
    squared = ((offset - share[..., None] * along) ** 2).sum(axis=2)
    return ((nearer > 0.05) & (squared < ((1 - share) * first + share * last) ** 2)).any(axis=1)


def _paint_of(color: np.ndarray, tone: float = 1.0) -> list[float]:
    return [min(max(tone * float(value), 0.0), 255.0) for value in color]


def _fixed(points: np.ndarray) -> np.ndarray:
    """For OpenCV, with three bits after the point."""
    return np.round(8 * np.asarray(points)).astype(np.int32)


def _capsule(canvas, a, b, first: float, last: float, color: np.ndarray, light: float) -> None:
    """A limb as three nested tones, the brightest towards the light."""
    (ax, ay), (bx, by) = 8 * a[:2], 8 * b[:2]
    length = max(math.hypot(bx - ax, by - ay), 1e-6)
    nx, ny = (ay - by) / length, (bx - ax) / length
    sign = 8.0 if nx * light - 0.6 * ny > 0 else -8.0
    for part, shift, tone in ((1, 0, 0.72), (0.68, 0.22, 0.92), (0.34, 0.42, 1.08)):
        paint = _paint_of(color, tone)
        outline = []
        for x, y, radius, ends in ((ax, ay, first, (1, -1)), (bx, by, last, (-1, 1))):
            x, y = x + shift * radius * sign * nx, y + shift * radius * sign * ny
            outline += [(x + 8 * end * part * radius * nx, y + 8 * end * part * radius * ny) for end in ends]
            cv2.circle(canvas, (round(x), round(y)), max(1, int(8 * part * radius)), paint, -1, cv2.LINE_AA, 3)
        cv2.fillConvexPoly(canvas, np.array(outline).round().astype(np.int32), paint, cv2.LINE_AA, 3)


def _torso(canvas, at: dict, scale: float, width: float, looks: dict, stripes: np.ndarray) -> None:
    corners = np.stack([at[f"{side} {joint}"][:2] for side in ("left", "right") for joint in ("shoulder", "hip")])
    low = np.maximum(corners.min(axis=0) - 0.12 * width, 0).astype(int)
    high = np.minimum(corners.max(axis=0) + 0.12 * width, canvas.shape[1::-1]).astype(int)
    if (high <= low).any():
        return
    mask = np.zeros((high - low)[::-1], np.uint8)
    local = {name: place[:2] - low for name, place in at.items()}
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(corners - low).astype(np.int32)), 255)
    for side in ("left", "right"):
        for joint, radius in (("shoulder", 0.034), ("hip", 0.045)):
            centre = tuple(local[f"{side} {joint}"].astype(int).tolist())
            cv2.circle(mask, centre, int(radius * width), 255, -1, cv2.LINE_AA)
    ends = (tuple(local[name].astype(int).tolist()) for name in ("neck", "pelvis"))
    cv2.line(mask, *ends, 255, max(int(0.15 * width), 1), cv2.LINE_AA)
    y = np.arange(mask.shape[0], dtype=np.float32)[:, None] / np.float32(scale)
    x = np.arange(mask.shape[1], dtype=np.float32) / np.float32(scale)
    tone = 1 + np.float32(0.9 * looks["light"]) * (x - np.float32(local["neck"][0] / scale)) + 0 * y
    if looks["striped"]:
        phase = np.float32(stripes[0]) * x + np.float32(stripes[1]) * y
        tone = tone * (1 - np.float32(0.4) * (phase % 1 > 0.5))
    cloth = np.minimum(looks["shirt"].astype(np.float32) * np.clip(tone, 0.5, 1.4)[..., None], 255)
    region = canvas[low[1] : high[1], low[0] : high[0]]
    region += (mask * np.float32(1 / 255))[..., None] * (cloth - region)
    hips = [(at[f"{side} hip"] + at["pelvis"]) / 2 for side in ("left", "right")]
    _capsule(canvas, *hips, 0.055 * width, 0.055 * width, looks["trousers"], looks["light"])


def _head(canvas, at: dict, joints: dict, scale: float, looks: dict) -> None:
    skin, centre, forward = looks["skin"], at["head"][:2], joints["forward"]
    girth = 0.032 * scale * looks["girth"]
    _capsule(canvas, at["neck"], at["head"], girth, girth, 0.9 * skin, looks["light"])
    up = joints["upward"]
    angle = float(np.degrees(np.arctan2(up[0], -up[1])))

    def ellipse(place: np.ndarray, axes: tuple[float, float], color: np.ndarray) -> None:
        paint = _paint_of(color)
        half = tuple(_fixed(scale * np.array(axes)).tolist())
        cv2.ellipse(canvas, tuple(_fixed(place).tolist()), half, angle, 0, 360, paint, -1, cv2.LINE_AA, 3)

    ellipse(centre - [0, 0.012 * scale], (0.064, 0.082), looks["hair"])
    if looks["long hair"]:
        ellipse(centre + scale * np.array([-0.02 * forward[0], 0.04]), (0.066, 0.085), looks["hair"])
    if forward[2] > -0.5:
        broad = 0.053 * (0.75 + 0.25 * max(forward[2], 0))
        ellipse(centre + scale * np.array([0.022 * forward[0], 0.014]), (broad, 0.066), skin)
    if forward[2] > -0.1:
        for eye in ("left eye", "right eye"):
            if joints[eye][2] > joints["head"][2] + 0.01:
                place = tuple(_fixed(at[eye][:2]).tolist())
                cv2.circle(canvas, place, int(0.08 * scale), (30, 25, 25), -1, cv2.LINE_AA, 3)
        nose = at["nose"][:2]
        paint = _paint_of(skin, 0.78)
        cv2.circle(canvas, tuple(_fixed(nose).tolist()), int(0.088 * scale), paint, -1, cv2.LINE_AA, 3)
        mouth = nose + scale * np.array([[-0.014, 0.03], [0.014, 0.03]])
        cv2.line(canvas, *(tuple(end.astype(int).tolist()) for end in mouth), (150, 70, 70), 1, cv2.LINE_AA)


def _changed(canvas: np.ndarray, before: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(canvas != before, 2, 0)
    return red | green | blue


def _hide(points: np.ndarray, visible: np.ndarray, mask: np.ndarray, cover: np.ndarray) -> None:
    """Take from a person what another one covers, in place."""
    places = np.clip(np.round(points).astype(int), 0, np.array(cover.shape[::-1]) - 1)
    visible &= ~cover[places[:, 1], places[:, 0]]
    mask &= ~cover


def _photographed(canvas: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Blurred, at the size asked for, with another contrast and noise; from 0 to 1."""
    image = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.6, 1.6))
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    image = (image - 128) * np.float32(rng.uniform(0.7, 1.15)) + np.float32(128 + 12 * rng.normal())
    image += np.float32(rng.uniform(1, 7)) * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(image / np.float32(255), 0, 1)


def _annotated(points: np.ndarray, visible: np.ndarray, height: int, width: int) -> np.ndarray:
    """(17, 3) in pixels of the picture; v = 0 outside of it."""
    points = (points - (_OVERSAMPLING - 1) / 2) / _OVERSAMPLING  # centres of pixels at whole numbers in both
    is_inside = ((points > -0.5) & (points < [width - 0.5, height - 0.5])).all(axis=1)
    return np.column_stack([points, np.where(is_inside, 1 + visible, 0)]).astype(np.float32)


def _measures(mask: np.ndarray) -> tuple[float, np.ndarray]:
    """Area and box of a mask of the canvas, in pixels of the picture."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return 0.0, np.zeros(4, dtype=np.float32)
    corners = np.array([cols[0], rows[0], cols[-1] + 1, rows[-1] + 1])
    return float(mask.sum()) / _OVERSAMPLING**2, (corners / _OVERSAMPLING).astype(np.float32)
