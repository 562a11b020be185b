"""COCO's twelve numbers, from matching and averaging functions that the caller brings along."""

import contextlib
import functools
import io
import pickle
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pycocotools.cocoeval import COCOeval

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # AP50 is row 0, AP75 row 5
AREA_RANGES = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
MAX_DETECTIONS = (1, 10, 100)
METRICS = (
    *("AP", "AP50", "AP75", "AP small", "AP medium", "AP large"),
    *("AR 1", "AR 10", "AR 100", "AR small", "AR medium", "AR large"),
)


@dataclass(frozen=True)
class _Scene:
    """One category in one image: D detections, best score first, and G ground truths."""

    scores: np.ndarray  # (D,)
    areas: np.ndarray  # (D,) square pixels
    truth_areas: np.ndarray  # (G,) square pixels
    is_crowd: np.ndarray  # (G,) bool
    overlap: np.ndarray  # (D, G) IoU, but intersection / area of the detection in the columns of crowds


def evaluate(
    ground_truth: dict,
    detections: list[dict],
    *,
    xywh_to_xyxy: Callable,
    box_iou: Callable,
    match_detections: Callable,
    precision_recall: Callable,
    average_precision: Callable,
) -> np.ndarray:
    """Evaluate boxes by COCO's protocol.

    This function groups, sorts, ranks and averages; what an overlap, a match, a precision or an average precision
    is, the five functions decide. They are the tasks of notebook 01 and are described there.

    Args:
        ground_truth: COCO's dict of `images`, `categories`, `annotations` (bbox x, y, width, height; area; iscrowd).
        detections: list of {image_id, category_id, bbox, score}; may be empty.

    Returns:
        (12,) array in the order of METRICS, as `COCOeval.summarize()` prints it; -1 where there is nothing to find.

    Source: Lin et al., "Microsoft COCO: common objects in context", 2014; https://cocodataset.org/#detection-eval.
    """
    scenes = _scenes(ground_truth, detections, xywh_to_xyxy, box_iou)
    precisions, recalls = defaultdict(list), defaultdict(list)
    for category in ground_truth["categories"]:
        of_category = scenes[category["id"]]
        for area, limits in AREA_RANGES.items():
            outcomes = [_outcomes(scene, limits, match_detections) for scene in of_category]
            number = sum(normal for normal, _ in outcomes)
            if number == 0:
                continue
            order = np.argsort(-np.concatenate([scene.scores for scene in of_category]), kind="stable")
            for most in MAX_DETECTIONS if area == "all" else MAX_DETECTIONS[-1:]:
                best = np.concatenate([flags[:, :most] for _, flags in outcomes], axis=1)
                ranked = best[:, order] if most == MAX_DETECTIONS[-1] else best
                curves = [precision_recall(row[row >= 0] == 1, number) for row in ranked]
                recalls[area, most].extend(recall[-1] if len(recall) else 0.0 for _, recall in curves)
            precisions[area].append([average_precision(*curve) for curve in curves])
    numbers = [
        *(precisions["all"], [row[0] for row in precisions["all"]], [row[5] for row in precisions["all"]]),
        *(precisions[area] for area in ("small", "medium", "large")),
        *(recalls["all", most] for most in MAX_DETECTIONS),
        *(recalls[area, MAX_DETECTIONS[-1]] for area in ("small", "medium", "large")),
    ]
    return np.array([np.mean(values) if values else -1.0 for values in numbers])


def _scenes(ground_truth: dict, detections: list[dict], xywh_to_xyxy: Callable, box_iou: Callable) -> dict:
    """Scenes of each category by rising image id, in a dict from category id to list; empty scenes are left out."""
    truths, found = defaultdict(list), defaultdict(list)
    images = {image["id"] for image in ground_truth["images"]}
    for records, groups in ((ground_truth["annotations"], truths), (detections, found)):
        for record in records:
            if record["image_id"] in images:
                groups[record["category_id"], record["image_id"]].append(record)
    scenes = defaultdict(list)
    for category, image in sorted(truths.keys() | found.keys()):
        scenes[category].append(_scene(truths[category, image], found[category, image], xywh_to_xyxy, box_iou))
    return scenes


def _scene(truths: list[dict], found: list[dict], xywh_to_xyxy: Callable, box_iou: Callable) -> _Scene:
    found = sorted(found, key=lambda record: -record["score"])[: MAX_DETECTIONS[-1]]
    boxes, truth_boxes = (
        np.array([record["bbox"] for record in records], dtype=float).reshape(-1, 4) for records in (found, truths)
    )
    areas, truth_box_areas = boxes[:, 2:].prod(axis=1), truth_boxes[:, 2:].prod(axis=1)
    is_crowd = np.array([bool(truth.get("iscrowd", 0)) for truth in truths], dtype=bool)
    iou = np.asarray(box_iou(xywh_to_xyxy(boxes), xywh_to_xyxy(truth_boxes)), dtype=float)
    # IoU = I / (A + B - I) solved for I / A
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.nan_to_num(iou / (1 + iou) * (1 + truth_box_areas[None, :] / areas[:, None]))
    return _Scene(
        scores=np.array([record["score"] for record in found], dtype=float),
        areas=areas,
        truth_areas=np.array([truth["area"] for truth in truths], dtype=float),
        is_crowd=is_crowd,
        overlap=np.where(is_crowd[None, :], inside, iou),
    )


def _outcomes(scene: _Scene, limits: tuple[float, float], match_detections: Callable) -> tuple[int, np.ndarray]:
    """Judge one scene at every threshold.

    Returns:
        Number of ground truths that count (no crowds, area within the limits).
        (T, D) array: 1 true positive, 0 false positive, -1 ignored.
    """
    low, high = limits
    is_normal = ~scene.is_crowd & (scene.truth_areas >= low) & (scene.truth_areas <= high)
    is_outside = (scene.areas < low) | (scene.areas > high)
    flags = np.zeros((len(IOU_THRESHOLDS), len(scene.scores)), dtype=int)
    for row, threshold in zip(flags, IOU_THRESHOLDS, strict=True):
        is_match = np.asarray(match_detections(scene.overlap[:, is_normal], threshold)) >= 0
        rest = np.flatnonzero(~is_match)
        # A crowd takes any number of detections: as many columns as could ask for it.
        copies = np.where(scene.is_crowd, len(rest), 1)[~is_normal]
        others = np.repeat(scene.overlap[np.ix_(rest, ~is_normal)], copies, axis=1)
        is_ignored = is_outside.copy()
        if others.size:
            is_ignored[rest] |= np.asarray(match_detections(others, threshold)) >= 0
        row[is_ignored] = -1
        row[is_match] = 1
    return int(is_normal.sum()), flags


def pycocotools_summary(ground_truth: dict, detections: list[dict], iou_type: str = "bbox") -> np.ndarray:
    """The same twelve numbers from the reference implementation, without its printing.

    Args:
        ground_truth, detections: as for `evaluate`; not changed. At least one detection.
        iou_type: "bbox" or "segm" (then detections have a `segmentation`).

    Returns:
        (12,) array in the order of METRICS.

    Source: https://github.com/cocodataset/cocoapi, package pycocotools.
    """
    return np.array(_reference(ground_truth, detections, iou_type).stats)


def pycocotools_precision(ground_truth: dict, detections: list[dict]) -> np.ndarray:
    """Interpolated precision of boxes, as the reference implementation has it.

    Returns:
        (10, 101, C) array: IoU threshold, recall level, category by rising id; -1 where there is nothing to find.
    """
    return _reference(ground_truth, detections, "bbox").eval["precision"][..., 0, 2].copy()


def pycocotools_by_category(ground_truth: dict, detections: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """AP and AR 100 of boxes, category by category, as the reference implementation has them.

    Returns:
        AP: (C,) array, mean over thresholds and recall levels; category by rising id.
        AR: (C,) array, mean over thresholds. Both -1 where there is nothing to find.
    """
    recall = _reference(ground_truth, detections, "bbox").eval["recall"][..., 0, 2]
    return pycocotools_precision(ground_truth, detections).mean(axis=(0, 1)), recall.mean(axis=0)


def pycocotools_ranking(
    ground_truth: dict, detections: list[dict], category_id: int, iou_threshold: float = 0.5
) -> tuple[np.ndarray, int]:
    """Which boxes of a category are true positives, as the reference implementation has it.

    Args:
        iou_threshold: one of IOU_THRESHOLDS.

    Returns:
        (D,) bool array, best score first; detections that COCO ignores (in crowds) are left out.
        Number of ground truths.
    """
    evaluation = _reference(ground_truth, detections, "bbox")
    images = [
        image
        for image in evaluation.evalImgs
        if image and image["category_id"] == category_id and image["aRng"] == evaluation.params.areaRng[0]
    ]
    row = int(np.argmin(np.abs(IOU_THRESHOLDS - iou_threshold)))
    scores = np.concatenate([image["dtScores"] for image in images])
    matched = np.concatenate([image["dtMatches"][row] > 0 for image in images])
    ignored = np.concatenate([image["dtIgnore"][row].astype(bool) for image in images])
    order = np.argsort(-scores, kind="stable")
    number = sum(int((image["gtIgnore"] == 0).sum()) for image in images)
    return matched[order][~ignored[order]], number


def _reference(ground_truth: dict, detections: list[dict], iou_type: str) -> "COCOeval":
    return _evaluated(pickle.dumps((ground_truth, detections)), iou_type)


@functools.lru_cache(maxsize=4)  # notebooks ask for the same evaluation from several sides
def _evaluated(records: bytes, iou_type: str) -> "COCOeval":
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    ground_truth, detections = pickle.loads(records)
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = ground_truth
        reference.createIndex()
        evaluation = COCOeval(reference, reference.loadRes(detections), iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def table(columns: dict[str, np.ndarray]) -> Iterator[str]:
    """Lines of a text table of the twelve numbers, one column for each evaluation.

    Args:
        columns: from a heading of at most 14 characters to a (12,) array.
    """
    yield " " * 10 + "".join(f"{heading:>15}" for heading in columns)
    for row, name in enumerate(METRICS):
        yield f"{name:10}" + "".join(f"{numbers[row]:15.3f}" for numbers in columns.values())
