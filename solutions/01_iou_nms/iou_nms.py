# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Boxes, overlap, suppression, evaluation

# %% tags=["setup"]
import matplotlib.pyplot as plt
import numpy as np

from helpers import coco, datasets, plotting
from helpers.seeds import seed_everything

# %% [markdown]
# ## Task: `xywh_to_xyxy`


# %% nbgrader={"grade": false, "grade_id": "xywh_to_xyxy", "locked": false, "schema_version": 3, "solution": true, "task": false}
def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """Convert COCO boxes to corner boxes.

    Args:
        boxes: (N, 4) array of x, y, width, height in pixels; x and y belong to the top-left corner. N may be 0.

    Returns:
        (N, 4) array of x1, y1, x2, y2 in pixels.

    Example:
        A box at x = 10, y = 20 that is 30 wide and 5 high:
        xywh_to_xyxy(np.array([[10.0, 20.0, 30.0, 5.0]])) is [[10, 20, 40, 25]].
    """
    ### BEGIN SOLUTION
    x, y, width, height = boxes.T
    return np.stack([x, y, x + width, y + height], axis=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_xywh_to_xyxy", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
boxes = np.array([[10.0, 20.0, 30.0, 5.0], [0.5, 2.0, 4.0, 8.0]])
expected = np.array([[10.0, 20.0, 40.0, 25.0], [0.5, 2.0, 4.5, 10.0]])
before = boxes.copy()
received = xywh_to_xyxy(boxes)
assert np.shape(received) == (2, 4), f"Expected shape (2, 4), one row a box; received {np.shape(received)}."
assert np.allclose(received, expected), (
    f"Expected {expected.tolist()}, received {np.asarray(received).tolist()}. "
    "x2 is x + width and y2 is y + height, without a +1; x and y are the corner, not the centre."
)
assert np.array_equal(boxes, before), "The array that was passed in has changed: build a new one instead."
assert np.shape(xywh_to_xyxy(np.zeros((0, 4)))) == (0, 4), "No boxes in, no boxes out: the shape should be (0, 4)."
print("xywh_to_xyxy: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("iou_nms", "xywh_to_xyxy", globals())
### END HIDDEN TESTS


# %% nbgrader={"grade": false, "grade_id": "xyxy_to_xywh", "locked": false, "schema_version": 3, "solution": true, "task": false}
def xyxy_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """Convert corner boxes to COCO boxes; undoes `xywh_to_xyxy`.

    Args:
        boxes: (N, 4) array of x1, y1, x2, y2 in pixels. N may be 0.

    Returns:
        (N, 4) array of x, y, width, height in pixels; x and y belong to the top-left corner.

    Example:
        xyxy_to_xywh(np.array([[10.0, 20.0, 40.0, 25.0]])) is [[10, 20, 30, 5]].
    """
    ### BEGIN SOLUTION
    x1, y1, x2, y2 = boxes.T
    return np.stack([x1, y1, x2 - x1, y2 - y1], axis=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_xyxy_to_xywh", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
boxes = np.array([[10.0, 20.0, 40.0, 25.0], [0.5, 2.0, 4.5, 10.0]])
expected = np.array([[10.0, 20.0, 30.0, 5.0], [0.5, 2.0, 4.0, 8.0]])
before = boxes.copy()
received = xyxy_to_xywh(boxes)
assert np.shape(received) == (2, 4), f"Expected shape (2, 4), one row a box; received {np.shape(received)}."
assert np.allclose(received, expected), (
    f"Expected {expected.tolist()}, received {np.asarray(received).tolist()}. "
    "The width is x2 - x1 and the height y2 - y1; x and y stay the top-left corner."
)
assert np.array_equal(boxes, before), "The array that was passed in has changed: build a new one instead."
assert np.shape(xyxy_to_xywh(np.zeros((0, 4)))) == (0, 4), "No boxes in, no boxes out: the shape should be (0, 4)."
print("xyxy_to_xywh: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("iou_nms", "xyxy_to_xywh", globals())
### END HIDDEN TESTS

# %% [markdown]
# ## Task: `box_area`


# %% nbgrader={"grade": false, "grade_id": "box_area", "locked": false, "schema_version": 3, "solution": true, "task": false}
def box_area(boxes: np.ndarray) -> np.ndarray:
    """Area of each box.

    Args:
        boxes: (N, 4) array of x1, y1, x2, y2 in pixels. N may be 0.

    Returns:
        (N,) array of areas in square pixels: (x2 - x1) * (y2 - y1), and 0 where x2 <= x1 or y2 <= y1.

    Example:
        box_area(np.array([[10.0, 20.0, 40.0, 25.0]])) is [150]: 30 wide, 5 high.
    """
    ### BEGIN SOLUTION
    x1, y1, x2, y2 = boxes.T
    return np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_box_area", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
boxes = np.array(
    [[10.0, 20.0, 40.0, 25.0], [0.0, 0.0, 2.0, 7.0], [5.0, 1.0, 5.0, 9.0], [8.0, 3.0, 6.0, 4.0], [9.0, 9.0, 6.0, 7.0]]
)
expected = np.array([150.0, 14.0, 0.0, 0.0, 0.0])
received = box_area(boxes)
assert np.shape(received) == (5,), f"Expected shape (5,), one number a box; received {np.shape(received)}."
assert np.allclose(received[:2], expected[:2]), (
    f"Expected {expected[:2].tolist()} for the first two boxes, received {np.asarray(received)[:2].tolist()}. "
    "A box from x = 10 to x = 40 is 30 wide: coordinates are continuous, there is no +1."
)
assert np.allclose(received, expected), (
    f"Expected {expected.tolist()}, received {np.asarray(received).tolist()}. "
    "A box without width or height is empty, and so is an inverted one. "
    "The last box is inverted both ways: a negative width times a negative height is positive, so clip each side first."
)
assert np.shape(box_area(np.zeros((0, 4)))) == (0,), "No boxes in, no areas out: the shape should be (0,)."
print("box_area: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("iou_nms", "box_area", globals())
### END HIDDEN TESTS

# %% [markdown]
# ## Task: `box_iou`


# %% nbgrader={"grade": false, "grade_id": "box_iou", "locked": false, "schema_version": 3, "solution": true, "task": false}
def box_iou(boxes1: np.ndarray, boxes2: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of one set with every box of another.

    Args:
        boxes1: (N, 4) array of x1, y1, x2, y2 in pixels. N may be 0.
        boxes2: (M, 4) array of x1, y1, x2, y2 in pixels. M may be 0.

    Returns:
        (N, M) array in [0, 1]; entry (i, j) belongs to boxes1[i] and boxes2[j].
        It is 0 where the union is empty; inverted boxes have area 0 and overlap nothing.

    Example:
        A 4 x 2 box and the same box moved right by 1 share 3 x 2 pixels:
        box_iou(np.array([[0.0, 0.0, 4.0, 2.0]]), np.array([[1.0, 0.0, 5.0, 2.0]])) is [[6 / (8 + 8 - 6)]] = [[0.6]].
    """
    ### BEGIN SOLUTION
    top_left = np.maximum(boxes1[:, None, :2], boxes2[None, :, :2])
    bottom_right = np.minimum(boxes1[:, None, 2:], boxes2[None, :, 2:])
    intersection = np.maximum(bottom_right - top_left, 0).prod(axis=2)
    union = box_area(boxes1)[:, None] + box_area(boxes2)[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros(union.shape), where=union > 0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_box_iou", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
boxes1 = np.array([[0.0, 0.0, 4.0, 2.0], [10.0, 20.0, 16.0, 30.0]])
boxes2 = np.array([[1.0, 0.0, 5.0, 2.0], [0.0, 0.0, 4.0, 2.0], [12.0, 25.0, 18.0, 35.0]])
expected = np.array([[6 / 10, 1.0, 0.0], [0.0, 0.0, 20 / 100]])
received = box_iou(boxes1, boxes2)
assert np.shape(received) == (2, 3), (
    f"Expected shape (2, 3): a row for each box of boxes1, a column for each of boxes2; received {np.shape(received)}."
)
assert np.allclose(received[0, 1], 1), f"A box and itself: expected 1, received {received[0, 1]}."
assert np.allclose(received[0, 2], 0), (
    f"Boxes that are apart: expected 0, received {received[0, 2]}. "
    "Both sides of their 'intersection' are negative; clip each side at 0 before you multiply."
)
assert np.allclose(received, expected), (
    f"Expected {expected.tolist()}, received {np.asarray(received).tolist()}. "
    "Twice too large a union? Subtract the intersection once, because both areas contain it."
)
touching = box_iou(np.array([[0.0, 0.0, 4.0, 2.0]]), np.array([[4.0, 0.0, 6.0, 2.0]]))
assert np.allclose(touching, 0), f"Boxes that only touch share no area: expected [[0]], received {touching.tolist()}."
point = np.array([[3.0, 1.0, 3.0, 1.0]])
received = box_iou(point, point)
assert np.allclose(received, 0), f"Two empty boxes: expected [[0]], received {received.tolist()}. Beware of 0 / 0."
inverted = np.array([[4.0, 2.0, 0.0, 0.0]])
received = box_iou(inverted, boxes1[:1])
assert np.allclose(received, 0), f"An inverted box overlaps nothing: expected [[0]], received {received.tolist()}."
assert np.shape(box_iou(np.zeros((0, 4)), boxes2)) == (0, 3), "0 boxes against 3: the shape should be (0, 3)."
print("box_iou: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("iou_nms", "box_iou", globals())
### END HIDDEN TESTS

# %% [markdown]
# ## Task: `mask_iou`


# %% nbgrader={"grade": false, "grade_id": "mask_iou", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mask_iou(masks1: np.ndarray, masks2: np.ndarray) -> np.ndarray:
    """Intersection over union of every mask of one set with every mask of another.

    Args:
        masks1: (N, H, W) bool array. N may be 0.
        masks2: (M, H, W) bool array. M may be 0.

    Returns:
        (N, M) array in [0, 1]; entry (i, j) belongs to masks1[i] and masks2[j]. It is 0 where both masks are empty.

    Example:
        With masks1 = [[[1, 1, 0]]] and masks2 = [[[0, 1, 1]]] (as bool; one mask of 1 x 3 pixels each)
        one pixel of three is shared: [[1 / 3]].
    """
    ### BEGIN SOLUTION
    pixels1, pixels2 = masks1.astype(float), masks2.astype(float)
    intersection = np.tensordot(pixels1, pixels2, axes=([1, 2], [1, 2]))
    union = pixels1.sum(axis=(1, 2))[:, None] + pixels2.sum(axis=(1, 2))[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros(union.shape), where=union > 0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_mask_iou", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
masks1 = np.zeros((2, 3, 5), dtype=bool)
masks1[0, :2, :3] = True
masks1[1, 2, 4] = True
masks2 = np.zeros((3, 3, 5), dtype=bool)
masks2[0, :2, 1:5] = True
masks2[1, :, 4] = True
expected = np.array([[4 / 10, 0.0, 0.0], [0.0, 1 / 3, 0.0]])
received = mask_iou(masks1, masks2)
assert np.shape(received) == (2, 3), (
    f"Expected shape (2, 3): a row for each mask of masks1, a column for each of masks2; received {np.shape(received)}."
)
assert np.allclose(received, expected), (
    f"Expected {expected.tolist()}, received {np.asarray(received).tolist()}. "
    "Are pixels counted? A product of bool arrays is bool again, and True + True is True: convert before you sum."
)
received = mask_iou(masks2[2:], masks2[2:])
assert np.allclose(received, 0), f"Two empty masks: expected [[0]], received {received.tolist()}. Beware of 0 / 0."
assert np.shape(mask_iou(masks1[:0], masks2)) == (0, 3), "0 masks against 3: the shape should be (0, 3)."
assert np.shape(mask_iou(masks1, masks2[:0])) == (2, 0), "2 masks against 0: the shape should be (2, 0)."
print("mask_iou: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("iou_nms", "mask_iou", globals())
### END HIDDEN TESTS

# %% [markdown]
# ## Task: `nms`


# %% nbgrader={"grade": false, "grade_id": "nms", "locked": false, "schema_version": 3, "solution": true, "task": false}
def nms(boxes: np.ndarray, scores: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Greedy non-maximum suppression.

    Args:
        boxes: (N, 4) array of x1, y1, x2, y2 in pixels. N may be 0.
        scores: (N,) array, higher is better. Of equal scores the lower index comes first.
        iou_threshold: a box is suppressed if its IoU with a kept box is greater than this.

    Returns:
        (K,) integer array (also for K = 0): indices into boxes of those kept, by falling score.

    Example:
        boxes = [[0, 0, 4, 2], [1, 0, 5, 2], [9, 9, 12, 10]] and scores = [0.8, 0.9, 0.3]:
        the first two have IoU 0.6, so nms(boxes, scores, 0.5) is [1, 2] and nms(boxes, scores, 0.7) is [1, 0, 2].
    """
    ### BEGIN SOLUTION
    waiting = np.argsort(-scores, kind="stable")
    kept = []
    while waiting.size:
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        overlap = box_iou(boxes[[best]], boxes[waiting])[0]
        waiting = waiting[overlap <= iou_threshold]
    return np.array(kept, dtype=np.int64)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_nms", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
boxes = np.array([[0.0, 0.0, 4.0, 2.0], [1.0, 0.0, 5.0, 2.0], [9.0, 9.0, 12.0, 10.0]])
scores = np.array([0.8, 0.9, 0.3])
received = nms(boxes, scores, 0.5)
assert np.array_equal(received, [1, 2]), (
    f"Expected [1, 2], received {np.asarray(received).tolist()}. "
    "Box 1 has the highest score and comes first; it suppresses box 0 (IoU 0.6 > 0.5); box 2 overlaps nothing."
)
received = nms(boxes, scores, 0.7)
assert np.array_equal(received, [1, 0, 2]), (
    f"Expected [1, 0, 2], received {np.asarray(received).tolist()}. "
    "IoU 0.6 is not greater than 0.7, so all three stay, ordered by falling score."
)
halves = np.array([[0.0, 0.0, 4.0, 2.0], [0.0, 0.0, 2.0, 2.0]])
received = nms(halves, np.array([0.9, 0.8]), 0.5)
assert np.array_equal(received, [0, 1]), (
    f"Expected [0, 1], received {np.asarray(received).tolist()}. "
    "The IoU is exactly 0.5: only an IoU greater than the threshold suppresses."
)
chain = np.array([[0.0, 0.0, 10.0, 4.0], [3.0, 0.0, 13.0, 4.0], [6.0, 0.0, 16.0, 4.0]])
received = nms(chain, np.array([0.9, 0.8, 0.7]), 0.5)
assert np.array_equal(received, [0, 2]), (
    f"Expected [0, 2], received {np.asarray(received).tolist()}. "
    "Box 1 is suppressed by box 0. A suppressed box is gone: it can not suppress box 2 in its turn."
)
received = nms(boxes[[0, 0]], np.array([0.5, 0.5]), 0.5)
assert np.array_equal(received, [0]), (
    f"Expected [0], received {np.asarray(received).tolist()}. Of equal scores the lower index comes first."
)
received = nms(np.zeros((0, 4)), np.zeros(0), 0.5)
assert np.shape(received) == (0,) and np.asarray(received).dtype.kind == "i", (
    f"No boxes: expected an empty integer array, received {received!r}. np.array([]) holds floats, which can not index."
)
print("nms: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("iou_nms", "nms", globals())
### END HIDDEN TESTS

# %% [markdown]
# ## Task: `batched_nms`


# %% nbgrader={"grade": false, "grade_id": "batched_nms", "locked": false, "schema_version": 3, "solution": true, "task": false}
def batched_nms(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Non-maximum suppression in each class by itself.

    Args:
        boxes: (N, 4) array of x1, y1, x2, y2 in pixels, of any sign. N may be 0.
        scores: (N,) array, higher is better. Of equal scores the lower index comes first.
        labels: (N,) array of any integers; boxes of different labels never suppress each other.
        iou_threshold: a box is suppressed if its IoU with a kept box of its label is greater than this.

    Returns:
        (K,) integer array (also for K = 0): indices of those kept, over all labels together by falling score.

    Example:
        boxes = [[0, 0, 4, 2], [1, 0, 5, 2], [0, 0, 4, 2]], scores = [0.7, 0.8, 0.9], labels = [3, 3, 8]:
        batched_nms(boxes, scores, labels, 0.5) is [2, 1]; box 0 yields to box 1, box 2 is another class.
    """
    ### BEGIN SOLUTION
    is_kept = np.zeros(len(boxes), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        is_kept[members[nms(boxes[members], scores[members], iou_threshold)]] = True
    kept = np.flatnonzero(is_kept)
    return kept[np.argsort(-scores[kept], kind="stable")]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_batched_nms", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
boxes = np.array([[0.0, 0.0, 4.0, 2.0], [1.0, 0.0, 5.0, 2.0], [0.0, 0.0, 4.0, 2.0], [20.0, 5.0, 23.0, 9.0]])
scores = np.array([0.7, 0.8, 0.9, 0.75])
labels = np.array([3, 3, 8, 3])
received = batched_nms(boxes, scores, labels, 0.5)
assert np.array_equal(received, [2, 1, 3]), (
    f"Expected [2, 1, 3], received {np.asarray(received).tolist()}. "
    "Box 0 yields to box 1 of its label; box 2 has a label of its own; the order is by score over all labels."
)
received = batched_nms(boxes - 100.0, scores, labels - 5, 0.5)
assert np.array_equal(received, [2, 1, 3]), (
    f"Expected [2, 1, 3] also after moving everything by -100, received {np.asarray(received).tolist()}. "
    "Boxes may lie at negative coordinates, labels may be negative: an offset of label * (largest coordinate) fails here."
)
received = batched_nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=int), 0.5)
assert np.shape(received) == (0,) and np.asarray(received).dtype.kind == "i", (
    f"No boxes: expected an empty integer array, received {received!r}."
)
print("batched_nms: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("iou_nms", "batched_nms", globals())
### END HIDDEN TESTS

# %% [markdown]
# ## Task: `match_detections`


# %% nbgrader={"grade": false, "grade_id": "match_detections", "locked": false, "schema_version": 3, "solution": true, "task": false}
def match_detections(iou: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Assign detections to ground truths, one to one, best score first (COCO's rule).

    Args:
        iou: (D, G) array; row d is the detection with the d-th highest score, column g a ground truth. D, G may be 0.
        iou_threshold: the least IoU of a match; equality is enough.

    Returns:
        (D,) integer array: the ground truth that each detection takes, or -1 (a false positive).
        In turn, each detection takes the one of highest IoU >= iou_threshold among the ground truths still free.

    Example:
        match_detections(np.array([[0.8, 0.6], [0.7, 0.55]]), 0.5) is [0, 1]: ground truth 0 is the best of both
        detections, the first takes it, the second takes its next best.
    """
    ### BEGIN SOLUTION
    is_free = np.ones(iou.shape[1], dtype=bool)
    matches = np.full(iou.shape[0], -1)
    for detection, overlap in enumerate(iou):
        candidates = np.flatnonzero(is_free & (overlap >= iou_threshold))
        if candidates.size:
            matches[detection] = candidates[overlap[candidates].argmax()]
            is_free[matches[detection]] = False
    return matches
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_match_detections", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
iou = np.array([[0.8, 0.6, 0.0], [0.7, 0.55, 0.1], [0.9, 0.2, 0.3]])
received = match_detections(iou, 0.5)
assert np.shape(received) == (3,), f"Expected shape (3,), one entry a detection; received {np.shape(received)}."
assert np.array_equal(received, [0, 1, -1]), (
    f"Expected [0, 1, -1], received {np.asarray(received).tolist()}. "
    "Detection 0 has the best score and takes ground truth 0. Detection 1 then takes the best that is still free. "
    "Detection 2 fits ground truth 0 better than both, but comes too late: it is a duplicate."
)
received = match_detections(iou, 0.6)
assert np.array_equal(received, [0, -1, -1]), (
    f"Expected [0, -1, -1] at threshold 0.6, received {np.asarray(received).tolist()}. 0.55 is no longer enough."
)
received = match_detections(np.array([[0.5, 0.25]]), 0.5)
assert np.array_equal(received, [0]), f"IoU 0.5 at threshold 0.5 is a match: expected [0], received {received}."
assert np.array_equal(match_detections(np.zeros((2, 0)), 0.5), [-1, -1]), "No ground truth: all entries should be -1."
assert np.shape(match_detections(np.zeros((0, 4)), 0.5)) == (0,), "No detections: the shape should be (0,)."
print("match_detections: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("iou_nms", "match_detections", globals())
### END HIDDEN TESTS

# %% [markdown]
# ## Task: `precision_recall`


# %% nbgrader={"grade": false, "grade_id": "precision_recall", "locked": false, "schema_version": 3, "solution": true, "task": false}
def precision_recall(is_true_positive: np.ndarray, num_ground_truth: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall after each detection of a ranked list.

    Args:
        is_true_positive: (D,) bool array, best score first: did the detection match a ground truth? D may be 0.
        num_ground_truth: how many objects there are in all the images together.

    Returns:
        precision: (D,) array; entry k is the share of true positives among the first k + 1 detections.
        recall: (D,) array; entry k is the share of the objects that these find, 0 if there are none to find.

    Example:
        precision_recall(np.array([True, False, True]), 4) is ([1, 1/2, 2/3], [1/4, 1/4, 2/4]).
    """
    ### BEGIN SOLUTION
    true_positives = np.cumsum(is_true_positive)
    precision = true_positives / np.arange(1, len(is_true_positive) + 1)
    recall = true_positives / max(num_ground_truth, 1)
    return precision, recall
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_precision_recall", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
flags = np.array([True, False, True, False, False])
precision, recall = precision_recall(flags, 4)
assert np.shape(precision) == (5,) and np.shape(recall) == (5,), (
    f"Expected two arrays of shape (5,), one entry a detection; received {np.shape(precision)} and {np.shape(recall)}. "
    "Add no end point."
)
expected = [1 / 1, 1 / 2, 2 / 3, 2 / 4, 2 / 5]
assert np.allclose(precision, expected), (
    f"Expected precision {np.round(expected, 3).tolist()}, received {np.round(precision, 3).tolist()}. "
    "Divide the true positives so far by the detections so far. The curve may rise again: do not smooth it here."
)
expected = [1 / 4, 1 / 4, 2 / 4, 2 / 4, 2 / 4]
assert np.allclose(recall, expected), (
    f"Expected recall {expected}, received {np.round(recall, 3).tolist()}. "
    "Divide by the number of objects (4), not by the number of detections or of true positives."
)
precision, recall = precision_recall(np.array([False, False]), 0)
assert np.array_equal(recall, [0, 0]), f"Nothing to find: expected recall [0, 0], received {recall}. Beware of 0 / 0."
precision, recall = precision_recall(np.zeros(0, dtype=bool), 3)
assert np.shape(precision) == (0,) and np.shape(recall) == (0,), "No detections: two arrays of shape (0,)."
print("precision_recall: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("iou_nms", "precision_recall", globals())
### END HIDDEN TESTS

# %% [markdown]
# ## Task: `average_precision`


# %% nbgrader={"grade": false, "grade_id": "average_precision", "locked": false, "schema_version": 3, "solution": true, "task": false}
def average_precision(precision: np.ndarray, recall: np.ndarray, points: int = 101) -> float:
    """Interpolated average precision.

    Args:
        precision: (D,) array as `precision_recall` gives it. D may be 0.
        recall: (D,) array, never falling.
        points: how many recall levels, evenly spaced from 0 to 1 (101: COCO; 11: PASCAL VOC 2007).

    Returns:
        Mean over the levels r of the greatest precision at any recall >= r, 0 for levels that are never reached.

    Example:
        average_precision(np.array([1.0, 0.5, 2 / 3]), np.array([0.25, 0.25, 0.5]), points=5):
        the levels 0, 1/4, 1/2, 3/4, 1 see 1, 1, 2/3, 0, 0; their mean is 0.5333.
    """
    ### BEGIN SOLUTION
    levels = np.linspace(0, 1, points)
    is_reached = recall[None, :] >= levels[:, None]
    best = np.where(is_reached, precision[None, :], 0).max(axis=1, initial=0)
    return float(best.mean())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_average_precision", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
precision = np.array([1.0, 0.5, 2 / 3])
recall = np.array([0.25, 0.25, 0.5])
received = average_precision(precision, recall, points=5)
expected = (1 + 1 + 2 / 3 + 0 + 0) / 5
assert np.isclose(received, expected), (
    f"Expected {expected:.4f} with 5 levels, received {received}. "
    "Level 1/2 sees 2/3; levels 3/4 and 1 are never reached and count as 0; divide by all 5."
)
received = average_precision(precision, recall)
expected = (26 * 1 + 25 * 2 / 3) / 101
assert np.isclose(received, expected), (
    f"Expected {expected:.4f} with 101 levels, received {received}. "
    "The 26 levels 0.00 ... 0.25 see precision 1, the 25 levels 0.26 ... 0.50 see 2/3. "
    "The area under the curve, or sklearn's sum over steps, is another measure."
)
received = average_precision(np.array([0.5, 2 / 3, 0.75]), np.array([0.0, 0.5, 1.0]))
assert np.isclose(received, 0.75), (
    f"Expected 0.75, received {received}. A level takes the best precision at its recall or at any higher recall."
)
received = average_precision(np.zeros(0), np.zeros(0))
assert received == 0.0, f"No detections: expected 0.0, received {received}."
print("average_precision: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("iou_nms", "average_precision", globals())
### END HIDDEN TESTS

# %% [markdown]
# ## Bonus: `coco_map`


# %% nbgrader={"grade": false, "grade_id": "coco_map", "locked": false, "schema_version": 3, "solution": true, "task": false}
def coco_map(ground_truth: dict, detections: list[dict], iou_thresholds: np.ndarray) -> float:
    """Mean average precision of a data set in COCO's format.

    Args:
        ground_truth: dict of lists: `images` [{id}], `categories` [{id}],
            `annotations` [{id, image_id, category_id, bbox (x, y, width, height), area, iscrowd}].
        detections: list of {image_id, category_id, bbox (x, y, width, height), score}. May be empty.
        iou_thresholds: (T,) array, for example [0.5, 0.55, ..., 0.95].

    Returns:
        Mean AP (101 levels) over the thresholds and over the categories with at least one non-crowd annotation.
        Only the 100 best detections of each image and category count. A detection that fits no free normal
        ground truth, but a crowd region (intersection / area of the detection >= threshold), is ignored.
        0.0 without detections, -1.0 without (non-crowd) ground truth.

    Example:
        One image with one box, found exactly by the only detection: 1.0.
    """

    ### BEGIN SOLUTION
    def group(records: list[dict]) -> dict:
        groups = {}
        for record in records:
            groups.setdefault((record["image_id"], record["category_id"]), []).append(record)
        return groups

    def corners(records: list[dict]) -> np.ndarray:
        return xywh_to_xyxy(np.array([record["bbox"] for record in records], dtype=float).reshape(-1, 4))

    def share_inside(boxes: np.ndarray, regions: np.ndarray) -> np.ndarray:
        top_left = np.maximum(boxes[:, None, :2], regions[None, :, :2])
        bottom_right = np.minimum(boxes[:, None, 2:], regions[None, :, 2:])
        common = box_area(np.concatenate([top_left, bottom_right], axis=2).reshape(-1, 4))
        area = np.maximum(box_area(boxes), np.finfo(float).tiny)
        return common.reshape(len(boxes), len(regions)) / area[:, None]

    all_truths, all_found = group(ground_truth["annotations"]), group(detections)
    values = []
    for category in ground_truth["categories"]:
        num_objects, scores, flags = 0, [], [[] for _ in iou_thresholds]
        for image in sorted(ground_truth["images"], key=lambda record: record["id"]):
            truths = all_truths.get((image["id"], category["id"]), [])
            found = all_found.get((image["id"], category["id"]), [])
            found = sorted(found, key=lambda record: -record["score"])[:100]
            normal = corners([truth for truth in truths if not truth["iscrowd"]])
            crowd = corners([truth for truth in truths if truth["iscrowd"]])
            boxes = corners(found)
            iou, inside_crowd = box_iou(boxes, normal), share_inside(boxes, crowd)
            num_objects += len(normal)
            scores.extend(record["score"] for record in found)
            for flag, threshold in zip(flags, iou_thresholds, strict=True):
                is_match = match_detections(iou, threshold) >= 0
                is_ignored = ~is_match & (inside_crowd >= threshold).any(axis=1)
                flag.extend(np.where(is_ignored, np.nan, is_match))
        order = np.argsort(-np.array(scores), kind="stable")
        for flag in flags if num_objects else []:
            ranked = np.array(flag)[order]
            ranked = ranked[~np.isnan(ranked)] == 1
            values.append(average_precision(*precision_recall(ranked, num_objects)))
    return float(np.mean(values)) if values else -1.0
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_coco_map", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} tags=["bonus"]
truth = {
    "images": [{"id": 1}, {"id": 2}],
    "categories": [{"id": 1}, {"id": 2}, {"id": 3}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 20], "area": 800, "iscrowd": 0},
        {"id": 2, "image_id": 2, "category_id": 1, "bbox": [5, 30, 20, 60], "area": 1200, "iscrowd": 0},
        {"id": 3, "image_id": 2, "category_id": 1, "bbox": [60, 10, 60, 30], "area": 1800, "iscrowd": 1},
        {"id": 4, "image_id": 1, "category_id": 2, "bbox": [70, 20, 10, 30], "area": 300, "iscrowd": 0},
    ],
}
found = [
    {"image_id": 2, "category_id": 1, "bbox": [5, 30, 20, 60], "score": 0.7},
    {"image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 20], "score": 0.9},
    {"image_id": 2, "category_id": 1, "bbox": [62, 12, 10, 20], "score": 0.85},
    {"image_id": 2, "category_id": 1, "bbox": [5, 100, 20, 10], "score": 0.8},
]
received = coco_map(truth, found[1:2], np.array([0.5, 0.75]))
expected = 51 / 101 / 2
assert np.isclose(received, expected), (
    f"Expected {expected:.4f}, received {received}. One of two objects of category 1 is found (51 of 101 levels), "
    "category 2 scores 0, category 3 has no annotation and is left out of the mean."
)
received = coco_map(truth, found, np.array([0.5]))
expected = (51 * 1 + 50 * 2 / 3) / 101 / 2
assert np.isclose(received, expected), (
    f"Expected {expected:.4f}, received {received}. The detection inside the crowd region is ignored: "
    "neither a true nor a false positive. The ranked list of category 1 is true, false, true."
)
received = coco_map(truth, [], np.array([0.5]))
assert received == 0.0, f"No detections: expected 0.0, received {received}."
received = coco_map({**truth, "annotations": []}, found, np.array([0.5]))
assert received == -1.0, f"No ground truth: expected -1.0, received {received}."
print("coco_map: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("iou_nms", "coco_map", globals())
### END HIDDEN TESTS
