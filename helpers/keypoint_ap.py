"""Keypoint AP: the AP of boxes with OKS in the place of IoU, as COCO defines it."""

from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np
import torch

from helpers import coco, people

THRESHOLDS = np.arange(10) * 0.05 + 0.5
MOST = 20  # predictions that count in each picture
RECALLS = np.linspace(0, 1, 101)


def average_precision(ground_truth: dict, predictions: list[dict], oks: Callable) -> np.ndarray:
    """AP at the OKS thresholds .50, .55, ..., .95 for people of any size.

    Args:
        ground_truth: in COCO's format: `images`, and `annotations` with keypoints (51 numbers), area, bbox, iscrowd.
        predictions: records with image_id, keypoints (51 numbers) and score.
        oks: oks(pred (17, 2), truth (17, 3), area, sigmas) of tensors, a float.

    Returns:
        (10,); its mean is COCO's AP.

    Source: pycocotools, cocoeval.py.
    """
    truths, found = defaultdict(list), defaultdict(list)
    for groups, records in ((truths, ground_truth["annotations"]), (found, predictions)):
        for record in records:
            groups[record["image_id"]].append(record)
    scores, flags, number = [], [], 0
    for image in sorted(record["id"] for record in ground_truth["images"]):
        some = sorted(found[image], key=lambda record: -record["score"])[:MOST]
        is_ignored = np.array([_is_ignored(truth) for truth in truths[image]], dtype=bool)
        similar = np.array([[_similarity(one, truth, oks) for truth in truths[image]] for one in some])
        flags.append(_outcomes(similar.reshape(len(some), len(is_ignored)), is_ignored))
        scores += [record["score"] for record in some]
        number += int((~is_ignored).sum())
    order = np.argsort(-np.array(scores), kind="stable")
    return np.array([_area_under(row[row >= 0] == 1, number) for row in np.concatenate(flags, axis=1)[:, order]])


def reference(ground_truth: dict, predictions: list[dict]) -> np.ndarray:
    """(10,) AP, AP50, AP75, APm, APl and the five AR, by pycocotools; arguments as for `average_precision`."""
    return coco.pycocotools_summary(ground_truth, predictions, "keypoints")


def as_coco(persons: Iterable[people.Person]) -> dict:
    """Generated people as ground truth in COCO's format, one a picture; ids start at 1."""
    annotations = [
        {
            **{"id": k, "image_id": k, "category_id": 1, "iscrowd": 0, "area": some.area},
            "bbox": [*some.box[:2].tolist(), *(some.box[2:] - some.box[:2]).tolist()],
            "keypoints": some.keypoints.ravel().tolist(),
            "num_keypoints": int((some.keypoints[:, 2] > 0).sum()),
        }
        for k, some in enumerate(persons, start=1)
    ]
    return {
        "images": [{"id": record["id"]} for record in annotations],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }


def as_predictions(points: np.ndarray, scores: np.ndarray) -> list[dict]:
    """Predictions (N, 17, 2 or more) and scores (N,) for the pictures of `as_coco`, in COCO's format."""
    full = np.concatenate([points[..., :2], np.ones_like(points[..., :1])], axis=2).reshape(len(points), -1)
    return [
        {"image_id": k, "category_id": 1, "keypoints": row.tolist(), "score": float(score)}
        for k, (row, score) in enumerate(zip(full, scores, strict=True), start=1)
    ]


def _points(record: dict) -> np.ndarray:
    return np.array(record["keypoints"], dtype=float).reshape(-1, 3)


def _is_ignored(truth: dict) -> bool:
    return bool(truth.get("iscrowd", 0)) or not (_points(truth)[:, 2] > 0).any()


def _similarity(found: dict, truth: dict, oks: Callable) -> float:
    """OKS; where no keypoint is labelled, with the distance to the doubled box, as COCO has it."""
    points, labelled = _points(found), _points(truth)
    sigmas = people.SIGMAS.astype(float)
    area = truth["area"] + np.spacing(1)
    if (labelled[:, 2] > 0).any():
        return float(oks(torch.tensor(points[:, :2]), torch.tensor(labelled), area, torch.tensor(sigmas)))
    x, y, width, height = truth["bbox"]
    low, high = np.array([x - width, y - height]), np.array([x + 2 * width, y + 2 * height])
    outside = np.maximum(low - points[:, :2], 0) + np.maximum(points[:, :2] - high, 0)
    return float(np.exp(-(outside**2).sum(axis=1) / (2 * area * (2 * sigmas) ** 2)).mean())


def _outcomes(similar: np.ndarray, is_ignored: np.ndarray) -> np.ndarray:
    """(10, P) of predictions by falling score: 1 right, 0 wrong, -1 does not count."""
    flags = np.zeros((len(THRESHOLDS), len(similar)), dtype=int)
    for row, threshold in zip(flags, THRESHOLDS, strict=True):
        is_free = np.ones(len(is_ignored), dtype=bool)
        for k, values in enumerate(similar):
            for kind, outcome in ((~is_ignored, 1), (is_ignored, -1)):
                open_ones = np.flatnonzero(is_free & kind & (values >= threshold))
                if len(open_ones):
                    is_free[open_ones[np.argmax(values[open_ones])]] = False
                    row[k] = outcome
                    break
    return flags


def _area_under(is_right: np.ndarray, number: int) -> float:
    """Mean over 101 recalls of the best precision at that recall or a higher one."""
    if number == 0:
        return -1.0
    right = np.cumsum(is_right)
    precision = right / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(right / number, RECALLS, side="left")
    return float(np.where(places < len(best), np.append(best, 0.0)[np.minimum(places, len(best))], 0.0).mean())
