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
# # 1 Boxes, overlap, suppression, evaluation
#
# A detector hands you a list of boxes with scores. How good is it? Before anyone can answer, four things have to be
# settled: what a box is, when two boxes mean the same object, what to do with a dozen boxes on one object, and how to
# turn right and wrong boxes into one number. You write all four, in NumPy, on real photos with real mistakes, until
# your own code gives the same twelve numbers as the reference implementation of COCO, digit for digit.
#
# **After this notebook you can**
# - tell what object detection, semantic, instance and panoptic segmentation put out, and pick the one a problem
#   needs;
# - read and convert boxes in COCO's and PASCAL VOC's formats without being off by one;
# - compute the overlap of boxes and masks, thousands at once, and survive empty and inverted ones;
# - explain and implement non-maximum suppression, and say what its threshold trades;
# - go from matches to a precision-recall curve, to average precision, to COCO's mAP, and say what that number hides.
#
# | | |
# |---|---|
# | You need | Python and NumPy: broadcasting, boolean masks, `argsort` |
# | Lecture | Segmentation and object recognition: tasks and their outputs; data sets; IoU; non-maximum suppression; evaluation |
# | Work | 4 hours; the bonus 1 more |
# | Run | about 15 seconds and 0.9 GB of memory on two CPU cores |
#
# **Reading**
# - Everingham et al., [The PASCAL visual object classes challenge](https://doi.org/10.1007/s11263-009-0275-4), IJCV
#   2010, section 4 (matching, AP).
# - Lin et al., [Microsoft COCO: common objects in context](https://arxiv.org/abs/1405.0312), ECCV 2014.
# - Padilla et al., [A survey on performance metrics for object-detection
#   algorithms](https://doi.org/10.1109/IWSSIP48289.2020.9145130), IWSSIP 2020: worked examples of every step below.
# - Kirillov et al., [Panoptic segmentation](https://arxiv.org/abs/1801.00868), CVPR 2019.
# - Bodla et al., [Soft-NMS](https://arxiv.org/abs/1704.04503), ICCV 2017: what is wrong with the threshold.
#
# **How to work.** Each task is one cell with `raise NotImplementedError()`. Replace that line, run the cell, run the
# tests below it, look at the picture. A function builds new arrays and never changes those it is given. The library
# function that *is* the task is named in the task, and not allowed in its solution.
#
# **Stuck?** Go on. Up to section 7 an unsolved task costs you its own tests and picture, and perhaps a task that
# builds on it (`nms` wants `box_iou`); the rest takes a library's function. Section 8 puts five of your functions
# together and needs them all, the bonus those that you call. "Run all" stops at the first unsolved task: go on below
# it, cell by cell. In a terminal, `lfi check notebooks/01_iou_nms/iou_nms.ipynb` lists which tasks pass their visible
# tests.

# %% tags=["setup"]
import json

import matplotlib.pyplot as plt
import numpy as np

from helpers import coco, datasets, plotting
from helpers.seeds import seed_everything

seed_everything(0)
plotting.use_style()

# %% [markdown]
# The data: six photos that come with scikit-image, so nothing is downloaded. Boxes of coins, faces, eyes, wheels and
# words were drawn by hand for this course; each coin has a mask too. The detections are those of five classical
# detectors (a disc filter, Viola and Jones's cascades for faces and eyes, Hough circles for wheels, strokes for
# words), each run over all six photos. Nobody cleaned them up. `data/README.md` tells the details.
#
# The table counts 14 words on the page: two lines of it are annotated word by word, 12 in all; the rest of the page
# is covered by two **crowd** regions (`iscrowd` 1), which say "there are many words here, nobody boxed them one by
# one". How crowds count comes in section 5.

# %% tags=["nbval-check-output"]
import torch
from torchvision import ops

ground_truth, detections = datasets.photos_coco()
photos = {image["file_name"]: image["id"] for image in ground_truth["images"]}
categories = {category["name"]: category["id"] for category in ground_truth["categories"]}


def library(function, *arguments):
    """Call a function of torchvision.ops with NumPy arrays in and out, to compare yours with."""
    return function(*[torch.as_tensor(argument) for argument in arguments]).numpy()


def choose(records: list[dict], photo: str, category: str) -> list[dict]:
    """The records (annotations or detections) of one category in one photo."""
    wanted = (photos[photo], categories[category])
    return [record for record in records if (record["image_id"], record["category_id"]) == wanted]


def corners(records: list[dict]) -> np.ndarray:
    """Boxes as (N, 4) corners, converted by torchvision, so that no later section depends on your own functions."""
    boxes = torch.tensor([record["bbox"] for record in records], dtype=torch.float64).reshape(-1, 4)
    return ops.box_convert(boxes, "xywh", "xyxy").numpy()


annotations = ground_truth["annotations"]
print(f"{'photo':12}{'size':>10}   " + "".join(f"{name:>12}" for name in categories) + "   objects / detections")
for image in ground_truth["images"]:
    photo, size = image["file_name"], f"{image['width']} x {image['height']}"
    counts = [[len(choose(records, photo, name)) for name in categories] for records in (annotations, detections)]
    row = "".join(f"{f'{objects} /{boxes:4}':>12}" for objects, boxes in zip(*counts, strict=True))
    print(f"{photo:12}{size:>10}   {row}")

# %% [markdown]
# ## 1 Four questions to one picture
#
# | task | asks | output for an H x W picture |
# |---|---|---|
# | object detection | which objects, where about? | a list of (box, class, score) |
# | semantic segmentation | which class is each pixel? | one class map, H x W |
# | instance segmentation | which pixels belong to each object? | a list of (mask, class, score); masks may overlap |
# | panoptic segmentation | which class *and* which object is each pixel? | (class, number) for every pixel, exactly one each |
#
# *Things* can be counted (coins), *stuff* can not (cloth, sky, grass). Detection and instance segmentation know only
# things; semantic segmentation treats both alike and therefore can not count; panoptic segmentation labels stuff with
# a class and things with a class and a number.
#
# **Predict first:** two coins touch. Which of the four outputs still tells how many coins there are?
#
# <details><summary>Resolution</summary>
#
# All but the semantic one: there, two touching coins are one patch of the class "coin". Where objects do not touch
# you can count connected patches, and that is all the luck there is.
# </details>
#
# The figure shows the bottom row of the coins four times. In the photo no two coins touch; we cut out the cloth
# between coins 4 and 5. Compare the second strip with the third (are those two told apart?) and the third with the
# fourth (is the cloth named?).

# %%
# This cell only loads and draws: you need not read it.
coins = datasets.photo("coins")
coin_annotations = choose(ground_truth["annotations"], "coins", "coin")
coin_boxes = corners(coin_annotations)
coin_masks = np.stack([datasets.decode_mask(annotation, *coins.shape) for annotation in coin_annotations])

bottom = sorted(np.flatnonzero(coin_boxes[:, 1] > 226), key=lambda k: coin_boxes[k, 0])
rows, columns = np.arange(221, 296), np.arange(10, 384)
end_of_4, start_of_5 = coin_boxes[bottom[3], 2], coin_boxes[bottom[4], 0]
columns = columns[(columns < end_of_4 - 1) | (columns >= start_of_5)]
strip, strip_masks = coins[np.ix_(rows, columns)], coin_masks[bottom][:, rows][:, :, columns]
cloth = ~strip_masks.any(axis=0)
covered = [np.nonzero(mask) for mask in strip_masks]
strip_boxes = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1] for y, x in covered])

figure, axes = plt.subplots(4, 1, figsize=(4.8, 4.8))
names = ["object detection", "semantic segmentation", "instance segmentation", "panoptic segmentation"]
for ax, name in zip(axes, names, strict=True):
    plotting.show_image(ax, strip)
    ax.set_title(name, loc="left")
plotting.show_boxes(axes[0], strip_boxes, labels=["coin"] * 6)
plotting.show_masks(axes[1], np.stack([~cloth, cloth]), colors=[plotting.BLUE, plotting.YELLOW])
plotting.show_masks(axes[2], strip_masks)
everything = np.concatenate([strip_masks, cloth[None]])
plotting.show_masks(axes[3], everything, colors=[*plotting.CYCLE[:6], plotting.YELLOW])
for number, (x1, y1, x2, y2) in enumerate(strip_boxes, 1):
    for ax, text in zip(axes[1:], ["coin", f"coin {number}", f"coin {number}"], strict=True):
        plotting.write(ax, (x1 + x2) / 2, (y1 + y2) / 2, text)
for ax in (axes[1], axes[3]):
    plotting.write(ax, 96, 15, "cloth")
plt.show()

# %% [markdown]
# ## 2 What a box is
#
# Two formats share the world, and mixing them up costs everybody an afternoon once.
#
# - **COCO** (JSON): `bbox` is `[x, y, width, height]`, real numbers; x and y are the top-left corner. One file for
#   the whole set: a list of images, a list of annotations that point to images by id, a list of categories.
# - **PASCAL VOC** (XML, one file a picture): `xmin, ymin, xmax, ymax`, whole numbers that name the first and the last
#   *pixel inside*, and the count starts at 1.
#
# In this course a box is **(x1, y1, x2, y2) in continuous coordinates**: the picture is a sheet from (0, 0) to (W,
# H), pixel (column c, row r) covers [c, c+1] x [r, r+1], and a box that holds exactly this pixel is (c, r, c+1, r+1).
# Its width is x2 - x1, without a "+1". The +1 of old code belongs to coordinates that name pixels: from the first to
# the last pixel inside there are xmax - xmin + 1. From VOC to ours: subtract 1 from xmin and ymin (the count starts
# at 1), leave xmax and ymax (subtract 1 for the count, add 1 for the pixel's far side).
#
# **Predict first:** a row has six pixels, and the third, fourth and fifth are the object. What are xmin and xmax in
# VOC's format, what are x1 and x2 in ours, and how is the width 3 computed from each? Then run the next cell: VOC
# numbers the pixels (above), we number the lines between them (below).

# %%
figure, ax = plt.subplots(figsize=(3.6, 1.3))
plotting.show_image(ax, np.where([[False, False, True, True, True, False]], 0.75, 1.0))
plotting.show_boxes(ax, [[2, 0, 5, 1]], color=plotting.BLUE, width=2.5)
ax.vlines(range(7), 0, 1, color=plotting.BLACK, linewidth=0.8)
for pixel in range(1, 7):
    ax.text(pixel - 0.5, 0.5, pixel, ha="center", va="center")
ax.set_title("VOC: pixel 3 to pixel 5, 5 - 3 + 1 = 3 pixels", fontsize=9)
ax.set(xlim=(-0.05, 6.05), xticks=range(7), xlabel="here: line 2 to line 5, 5 - 2 = 3 pixels")
plt.show()

# %% [markdown]
# Here is the same wheel of the motorcycle in both formats. Check the rule on it.

# %% tags=["nbval-check-output"]
wheel = choose(ground_truth["annotations"], "motorcycle", "wheel")[0]
print("COCO:  ", json.dumps({key: wheel[key] for key in ("id", "image_id", "category_id", "bbox", "area", "iscrowd")}))
x1, y1, x2, y2 = corners([wheel])[0].astype(int)
print("PASCAL:", f"<xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>")
print("ours:  ", [int(value) for value in (x1, y1, x2, y2)])

# %% [markdown]
# ### Tasks: `xywh_to_xyxy` and `xyxy_to_xywh`
#
# $$x_2 = x + w,\qquad y_2 = y + h \qquad\text{and back}\qquad w = x_2 - x_1,\qquad h = y_2 - y_1 .$$
#
# Work on all N boxes at once; do not change the array that comes in. Not allowed: `torchvision.ops.box_convert`.


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
# The top strip shows your corners of the words on the page: each box should hug its word. The bottom strip shows the
# same numbers when someone forgets to convert: width and height are taken for a corner. Remember that picture:
# crossed and inverted boxes are the sign of the wrong format.

# %%
words = [a for a in choose(ground_truth["annotations"], "page", "word") if not a["iscrowd"]]  # without the crowds
page = datasets.photo("page")[5:69]  # the two lines that are annotated word by word

# %%
xywh = np.array([word["bbox"] for word in words], dtype=float)
converted = xywh_to_xyxy(xywh)
print("back and forth gives the same boxes:", np.allclose(xyxy_to_xywh(converted), xywh))

figure, axes = plt.subplots(2, 1, figsize=(5.6, 2.6))
for ax, boxes, title in zip(
    axes, (converted, xywh), ("x, y, w, h converted", "x, y, w, h taken for corners"), strict=True
):
    plotting.show_image(ax, page)
    ax.set_title(title, loc="left")
    plotting.show_boxes(ax, boxes - [0, 5, 0, 5], color=plotting.RED, style="-" if boxes is converted else "--")
    ax.set(xlim=(0, 384), ylim=(64, 0))
plt.show()

# %% [markdown]
# ### Task: `box_area`
#
# $$A = \max(0, x_2 - x_1)\cdot\max(0, y_2 - y_1)$$
#
# Detectors do put out inverted boxes, above all early in training. Let us agree that they are empty. Mind the box
# that is inverted both ways. Not allowed: `torchvision.ops.box_area` (which gives inverted boxes a negative area, or,
# twice inverted, a positive one).


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
# COCO reports small (area below $32^2$ pixels), medium (up to $96^2$) and large objects apart (by the area of the
# mask, where there is one). The figure places every annotated object on that scale, by the area of its box: your
# `box_area` as dots, torchvision's as rings. Every dot should sit in its ring.

# %%
objects = [annotation for annotation in ground_truth["annotations"] if not annotation["iscrowd"]]
boxes_of = {name: corners([o for o in objects if o["category_id"] == k]) for name, k in categories.items()}
areas = {name: box_area(boxes) for name, boxes in boxes_of.items()}

figure, ax = plt.subplots(figsize=(5.6, 2.2))
for row, (name, boxes) in enumerate(boxes_of.items()):
    y = np.full(len(boxes), row)
    ax.plot(library(ops.box_area, boxes), y, "o", markersize=9, markerfacecolor="none", color=plotting.BLACK)
    ax.plot(areas[name], y, "o", markersize=4, color=plotting.RED)
for limit in (32**2, 96**2):
    ax.axvline(limit, linestyle="--", color=plotting.BLUE, linewidth=1)
for x, text in zip((400, 3000, 17000), ("small", "medium", "large"), strict=True):
    ax.text(x, -0.75, text, color=plotting.BLUE, ha="center")
ax.set(xscale="log", xlabel="area of the box (square pixels)", ylim=(4.6, -1), xlim=(100, 45000))
ax.set_xticks([100, 1000, 10000], ["100", "1000", "10000"])
ax.set_yticks(range(len(categories)), categories)
plt.show()

# %% [markdown]
# ## 3 Overlap
#
# When do two boxes mean the same object? The intersection alone favours large boxes, a distance of centres ignores
# size. Intersection over union, also called Jaccard index, does neither, and is 1 only for equal boxes:
#
# $$\mathrm{IoU}(A, B) = \frac{|A\cap B|}{|A\cup B|} = \frac{I}{|A| + |B| - I},\qquad
# I = \max\bigl(0, \min(x_2^A, x_2^B) - \max(x_1^A, x_1^B)\bigr)\cdot\max\bigl(0, \min(y_2^A, y_2^B) - \max(y_1^A, y_1^B)\bigr)$$
#
# **Predict first:** a box is compared with a copy of itself, (a) moved right by half its width, (b) moved right and
# down by a tenth of its sides. Write down both IoUs before you go on.
#
# <details><summary>Resolution</summary>
#
# (a) 1/3: half the box is shared, but the union has grown to one and a half. (b) 0.81 / 1.19 = 0.68: a slip that you
# hardly see. An IoU of 0.5, the usual threshold, is a rather tolerant one; 0.9 is strict.
# </details>
#
# ### Task: `box_iou`
#
# N boxes against M boxes gives an N x M table. No loop is needed: `boxes1[:, None, :]` has shape (N, 1, 4),
# `boxes2[None, :, :]` has (1, M, 4), and every operation between them has (N, M, 4). Where the union is empty the IoU
# is 0, not nan. Not allowed: `torchvision.ops.box_iou`, `pycocotools.mask.iou`.


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
assert np.allclose(received, expected), (
    f"Expected {expected.tolist()}, received {np.asarray(received).tolist()}. Work one pair out by hand: the "
    "intersection goes from the larger x1, y1 to the smaller x2, y2; the union is area + area - intersection. Is box_area right?"
)
for size in (1, 50):
    one, apart = size * np.array([[0, 0, 4, 2]]), size * np.array([[5, 3, 9, 5], [5, 0, 9, 2]])
    received = box_iou(one.astype(float), apart.astype(float))
    assert np.allclose(received, 0), (
        f"{one[0].tolist()} and {apart.tolist()}, which are apart: expected [[0, 0]], received {received.tolist()}. "
        "The sides of their 'intersection' are negative, in x or in both: clip each side at 0 before you multiply."
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
# The same slip costs a small object more. The curves move a box of an eye, a coin and a wheel to the right, pixel by
# pixel, and show the IoU with where it was: lines are yours, dots are torchvision's. **Predict first:** by how many
# pixels may a detector miss the eye, the coin and the wheel before the IoU falls below 0.5?

# %%
examples = {
    "eye": corners(choose(ground_truth["annotations"], "astronaut", "eye"))[0],
    "coin": coin_boxes[0],
    "wheel": corners([wheel])[0],
}
shifts = np.arange(61)
moved = {name: box + shifts[:, None] * np.array([1, 0, 1, 0]) for name, box in examples.items()}
curves = {
    f"{name}, {box[2] - box[0]:.0f} px wide": (shifts, box_iou(box[None], moved[name])[0])
    for name, box in examples.items()
}

figure, ax = plt.subplots(figsize=(5.6, 2.8))
plotting.plot_curves(ax, curves, "moved to the right by (pixels)", "IoU")
for name, box in examples.items():
    expected = library(ops.box_iou, box[None], moved[name][::5])[0]
    ax.plot(shifts[::5], expected, "o", markersize=3, color=plotting.BLACK)
ax.axhline(0.5, color=plotting.BLACK, linewidth=0.8)
ax.text(22, 0.505, "usual threshold", fontsize=8, va="bottom")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# <details><summary>Resolution</summary>
#
# A box of width w and its copy, moved by s, have IoU (w - s) / (w + s). That is 0.5 at s = w / 3: the eye may be
# missed by 8 pixels, the coin by 20, the wheel by 53.
# </details>

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_small_objects", "locked": true, "schema_version": 3, "solution": false, "task": false}
# ### Question: small objects
#
# An annotator and a detector both see the eye, 25 x 19 pixels, and the wheel, 160 x 167 pixels, but their boxes
# differ by a shift of 4 pixels to the right and 3 pixels down. (a) Compute both IoUs (by hand or with your function).
# (b) COCO asks at each of the ten thresholds 0.5, 0.55, ..., 0.95 whether an object was found, and averages. At how
# many of them does the eye count as found, at how many the wheel? What follows when detectors are compared on small
# and on large objects? (c) The annotators themselves are good to about 2 pixels. What follows for how to read a
# figure for small objects at threshold 0.9?
#
# === BEGIN MARK SCHEME ===
# 1 point (a): eye 21*16 / (2*475 - 336) = 0.547; wheel 156*164 / (2*26720 - 25584) = 0.918 (each half a point; accept rounding).
# 1 point (b): the eye is a true positive at 0.5 only and counts in 1 of 10 thresholds, the wheel at all up to 0.9 (9 of 10),
#   though both detectors are equally good in pixels; so figures for small objects are lower than for large ones also for an equally precise detector.
# 1 point (c): an error of the annotators alone pushes the IoU of small objects below 0.9, so no detector can reach a high
#   figure there: it measures the annotation as much as the detector; compare with a second annotator.
# Common wrong answers: union without subtracting the intersection (0.35); "small objects have fewer features, so the detector
# is worse" (true elsewhere, not asked); IoU is scale invariant, "so size does not matter" (it is, under scaling of the error too).
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_small_objects", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# (a) The eye shares 21 x 16 = 336 of 2 * 475 - 336 = 614 pixels: IoU 0.547. The wheel shares 156 x 164 = 25584 of 2 *
# 26720 - 25584 = 27856: IoU 0.918.
#
# (b) The same slip makes the eye a match at threshold 0.5 only, and the wheel a match at every threshold up to 0.9.
# In the average over ten thresholds the eye earns a tenth of what a perfect box would, the wheel nine tenths. IoU
# does not change when picture and error are scaled together, but errors in pixels do not grow with the object, so the
# figures for small objects are lower even for a detector that is equally precise everywhere.
#
# (c) A true box moved by 2 pixels in both directions has IoU (23 * 17) / (2 * 475 - 391) = 0.70 with the annotation.
# At 0.9 a detector that is right would fail because the annotator was not. The figure then measures agreement with
# the annotator's hand; one would compare it with the agreement between two annotators, not with 1.

# %% [markdown]
# ### Task: `mask_iou`
#
# The same ratio for masks: count pixels in the intersection, count pixels in the union. With the masks as rows of
# zeros and ones of length HW, all intersections at once are one matrix product. Two hints: with N = 0 masks
# `reshape(N, -1)` raises a ValueError, as NumPy can not guess the -1, so write H * W out; and mind the type in which
# you count. Not allowed: `pycocotools.mask.iou`.


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
large = np.ones((2, 15, 40), dtype=bool)
large[1, :, 20:] = False
received = mask_iou(large[:1], large[1:])
assert np.allclose(received, 0.5), (
    f"A mask of 600 pixels and one of 300 inside it: expected [[0.5]], received {np.asarray(received).tolist()}. "
    "An 8-bit integer counts to 255 and starts again at 0: count in float or int64."
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
# What does a box not see? Below, three coins (orange outline: annotated mask) and what a plain threshold on
# brightness takes for the coin (blue tint, with holes). The boxes around both agree well. The masks do not, and only
# the mask IoU notices. Your values should equal those of pycocotools.

# %%
from pycocotools import mask as rle


def encode(masks: np.ndarray) -> list[dict]:
    """Masks in run-length encoding, as pycocotools wants them."""
    return [rle.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]


chosen = [bottom[k] for k in (0, 2, 4)]
bright = [coin_masks[k] & (coins > 0.45) for k in chosen]
bright_pixels = [np.nonzero(mask) for mask in bright]
bright_boxes = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1] for y, x in bright_pixels], dtype=float)
yours = np.diag(mask_iou(coin_masks[chosen], np.stack(bright)))
reference = np.diag(rle.iou(encode(coin_masks[chosen]), encode(bright), [0] * len(chosen)))
boxes_agree = np.diag(library(ops.box_iou, coin_boxes[chosen], bright_boxes))
print("yours:      ", np.round(yours, 4))
print("pycocotools:", np.round(reference, 4))
figure, axes = plt.subplots(1, 3, figsize=(5.6, 2.2))
for ax, k, mask, box_value, mask_value in zip(axes, chosen, bright, boxes_agree, yours, strict=True):
    x1, y1, x2, y2 = coin_boxes[k].astype(int)
    view = (slice(y1 - 3, y2 + 3), slice(x1 - 3, x2 + 3))
    plotting.show_image(ax, coins[view], f"box IoU {box_value:.2f}\nmask IoU {mask_value:.2f}")
    plotting.show_masks(ax, mask[view][None], colors=[plotting.SKY])
    plotting.show_masks(ax, coin_masks[k][view][None], colors=[plotting.ORANGE], alpha=0)
plt.show()

# %% [markdown]
# ## 4 One object, a dozen boxes
#
# A detector looks everywhere, at every scale, and answers wherever it feels sure enough: next to a good position
# there is another good one. Non-maximum suppression keeps the best and drops its neighbours:
#
# 1. Sort the boxes by falling score.
# 2. Take the first, keep it; drop every remaining box whose IoU with it is **greater than** the threshold.
# 3. Repeat with what is left, until nothing is.
#
# A dropped box is gone: it can not drop others. The order is by score; IoU decides only who is a neighbour.
#
# **Predict first:** the disc detector gives 149 boxes on the photo with its 24 coins. How many does NMS keep at a
# threshold of 0.1, of 0.5, of 0.9?
#
# ### Task: `nms`
#
# A loop over the kept boxes is fine; one over all pairs is not needed, as you have `box_iou`. Ties in the score: the
# lower index first (`np.argsort(..., kind="stable")`). Not allowed: `torchvision.ops.nms`,
# `torchvision.ops.batched_nms`, `cv2.dnn.NMSBoxes`.


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
assert np.shape(received) == (0,), f"No boxes: expected an empty array of shape (0,), received {received!r}."
assert np.asarray(received).dtype.kind == "i", (
    f"No boxes: expected integers, received {np.asarray(received).dtype}. "
    "np.array([]) holds floats, which can not index."
)
print("nms: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("iou_nms", "nms", globals())
### END HIDDEN TESTS


# %% [markdown]
# Left, all 149 candidates; in the middle what your function keeps at a threshold of 0.5; right what torchvision keeps.

# %%
coin_detections = choose(detections, "coins", "coin")
candidates = corners(coin_detections)
candidate_scores = np.array([detection["score"] for detection in coin_detections])


def library_nms(boxes: np.ndarray, scores: np.ndarray, iou_threshold: float) -> np.ndarray:
    """torchvision's NMS with NumPy arrays in and out."""
    return ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), iou_threshold).numpy()


# %%
kept = nms(candidates, candidate_scores, 0.5)
reference = library_nms(candidates, candidate_scores, 0.5)
titles = [f"{len(candidates)} candidates", f"yours: {len(kept)}", f"torchvision: {len(reference)}"]
axes = plotting.side_by_side([coins] * 3, titles, height=2)
for ax, boxes in zip(axes, (candidates, candidates[kept], candidates[reference]), strict=True):
    plotting.show_boxes(ax, boxes, width=1)
plt.show()
print("the same boxes in the same order:", np.array_equal(kept, reference))

# %% [markdown]
# Now move the threshold yourself. (The slider needs a running kernel; the figure after it shows three of its
# positions.) The lower row of that figure is a montage: two of the coins, with their candidates, laid over each other.


# %%
def draw_kept(ax: plt.Axes, iou_threshold: float) -> None:
    """Draw what your NMS keeps at this threshold."""
    kept = nms(candidates, candidate_scores, iou_threshold)
    plotting.show_image(ax, coins, f"IoU > {iou_threshold:.2f} suppresses: {len(kept)} boxes kept")
    plotting.show_boxes(ax, candidates[kept], width=1)


plotting.slider(draw_kept, "threshold", 0.05, 0.95, 0.05, figsize=(4.4, 3.7))

# %%
# This cell only draws: you need not read it.
pile = np.full((62, 94), 0.2)
pile_boxes, pile_scores = [], []
for k, x in ((bottom[3], 7), (bottom[4], 36)):
    x1, y1, x2, y2 = coin_boxes[k].astype(int)
    place, mask = pile[6 : 6 + y2 - y1, x : x + x2 - x1], coin_masks[k][y1:y2, x1:x2]
    place[mask] = coins[y1:y2, x1:x2][mask]
    near = library(ops.box_iou, candidates, coin_boxes[[k]])[:, 0] > 0.3
    pile_boxes.append(candidates[near] + [x - x1, 6 - y1, x - x1, 6 - y1])
    pile_scores.append(candidate_scores[near])
pile_boxes, pile_scores = np.concatenate(pile_boxes), np.concatenate(pile_scores)

figure, axes = plt.subplots(2, 3, figsize=(6.6, 3.4), height_ratios=[303 / 384, 62 / 94])
for column, threshold in zip(axes.T, (0.1, 0.5, 0.9), strict=True):
    scenes = ((coins, candidates, candidate_scores), (pile, pile_boxes, pile_scores))
    for ax, (picture, boxes, scores) in zip(column, scenes, strict=True):
        kept = library_nms(boxes, scores, threshold)
        plotting.show_image(ax, picture, f"threshold {threshold}: {len(kept)} kept")
        plotting.show_boxes(ax, boxes[kept], width=1)
plt.show()

# %% [markdown]
# <details><summary>Resolution of the prediction</summary>
#
# 24 at 0.1 and at 0.5, 145 at 0.9. A *high* threshold keeps more, because only near copies are dropped. On the photo
# anything up to 0.5 is perfect, for the only reason that no two coins overlap. In the montage they do: a threshold of
# 0.1 deletes one of two coins, however high its score, 0.5 keeps both, and 0.9 leaves the duplicates. NMS can not
# tell "two boxes on one coin" from "two coins in one place".
# </details>

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_nms_rule", "locked": true, "schema_version": 3, "solution": false, "task": false}
# ### Question: what is wrong with this sentence?
#
# A slide says: "NMS removes boxes whose IoU is at most 0.7" (IoU with a kept box is meant) and "it keeps the box with
# the highest IoU". Correct both halves. What would an algorithm do to the coins that took the sentence at its word?
# And which errors follow from a threshold that is too low, which from one that is too high?
#
# === BEGIN MARK SCHEME ===
# 1 point: removed is what has IoU GREATER than the threshold with a kept box; boxes with less are other objects and stay. Taken at its
#   word the rule removes all the other coins (IoU 0) and keeps the near copies.
# 1 point: kept is the box of the highest SCORE; before the truth is known there is no IoU of one box, only of pairs of boxes. (Accept: the
#   IoU with the ground truth is unknown at test time.)
# 1 point: too low: true neighbours that overlap are deleted (missed objects, recall falls); too high: duplicates survive (false positives,
#   precision falls).
# Common wrong answers: mixing up the score threshold with the IoU threshold; "the highest IoU with the ground truth";
# "0.7 is too high" without saying for what; too low and too high exchanged.
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_nms_rule", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# The comparison is turned round. NMS removes a box if its IoU with an already kept box is *greater* than the
# threshold, because then both probably show the same object. Boxes with a smaller IoU are kept: they are something
# else. Taken at its word, the sentence would remove every other coin of the photo, whose IoU with the first is 0, and
# keep the near copies of the first.
#
# Kept is the box with the highest *score*, not IoU. IoU belongs to a pair of boxes; a single box has none, unless
# with the ground truth, which nobody knows when the detector runs.
#
# With too low a threshold real neighbours that overlap suppress each other: objects are missed, recall falls. With
# too high a threshold duplicates survive: each is a false positive, precision falls.

# %% [markdown]
# ### Task: `batched_nms`
#
# A face may lie on a coin: different classes may share a place, so NMS runs in each class by itself. A popular trick
# moves the boxes of class k by k times the largest coordinate, so that classes can not meet, and runs NMS once. It
# fails when the largest coordinate is small compared with the boxes' extent, as it can be where coordinates are
# negative, and it rounds when labels or coordinates are large; do better. The result is one list over all classes, by
# falling score. Not allowed: `torchvision.ops.batched_nms`, `torchvision.ops.nms`, `cv2.dnn.NMSBoxesBatched`.


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
boxes = np.array([[0.0, 0.0, 40.0, 20.0], [10.0, 0.0, 50.0, 20.0], [0.0, 0.0, 40.0, 20.0], [70.0, 30.0, 90.0, 60.0]])
scores = np.array([0.7, 0.8, 0.9, 0.75])
labels = np.array([3, 3, 4, 3])
received = batched_nms(boxes, scores, labels, 0.5)
assert np.array_equal(received, [2, 1, 3]), (
    f"Expected [2, 1, 3], received {np.asarray(received).tolist()}. "
    "Box 0 yields to box 1 of its label; box 2 has a label of its own; the order is by score over all labels."
)
received = batched_nms(boxes - 90.0, scores, labels - 5, 0.5)
assert np.array_equal(received, [2, 1, 3]), (
    f"Expected [2, 1, 3] also after moving everything by -90, received {np.asarray(received).tolist()}. "
    "Labels and coordinates may be negative. Here the largest coordinate is 0, so that an offset of label * (largest "
    "coordinate), or of label * (largest coordinate + 1), hardly moves the boxes apart."
)
received = batched_nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=int), 0.5)
assert np.shape(received) == (0,), f"No boxes: expected an empty array of shape (0,), received {received!r}."
assert np.asarray(received).dtype.kind == "i", f"No boxes: expected integers, received {np.asarray(received).dtype}."
print("batched_nms: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("iou_nms", "batched_nms", globals())
### END HIDDEN TESTS


# %% [markdown]
# The cascade finds faces on the coins, rightly so: they are portraits (our ground truth counts living faces only, so
# they will be false alarms later). The threshold is 0.3 here, as a face box is much larger than the coin in it. With
# one NMS over both classes, face boxes suppress coin boxes (left). With yours, class by class, all the coins stay
# (middle), as with torchvision's `batched_nms` (right). Coins are solid, faces dashed.

# %%
face_detections = choose(detections, "coins", "face")
both = corners(coin_detections + face_detections)
both_scores = np.array([detection["score"] for detection in coin_detections + face_detections])
both_labels = np.array([detection["category_id"] for detection in coin_detections + face_detections])


def library_batched_nms(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, iou_threshold: float) -> np.ndarray:
    """torchvision's batched_nms; it is right here, where no coordinate is negative."""
    return library(lambda *tensors: ops.batched_nms(*tensors, iou_threshold), boxes, scores, labels)


# %%
kept = {
    "one NMS for all": library_nms(both, both_scores, 0.3),
    "yours": batched_nms(both, both_scores, both_labels, 0.3),
    "torchvision": library_batched_nms(both, both_scores, both_labels, 0.3),
}
counts = [[(both_labels[index] == label).sum() for label in (1, 2)] for index in kept.values()]
titles = [f"{name}: {number[0]} coins, {number[1]} faces" for name, number in zip(kept, counts, strict=True)]
axes = plotting.side_by_side([coins] * 3, titles, height=2)
for ax, index in zip(axes, kept.values(), strict=True):
    ax.title.set_fontsize(8)
    for label, color, style in ((1, plotting.ORANGE, "-"), (2, plotting.SKY, "--")):
        plotting.show_boxes(ax, both[index[both_labels[index] == label]], color=color, style=style, width=1.2)
plt.show()

# %% [markdown]
# ## 5 Which detections are right?
#
# Each detection is compared with the ground truths of its class in its picture, best score first. COCO's rule: a
# detection takes, among the ground truths that are **still free**, the one of highest IoU, if that is at least the
# threshold. Then it is a true positive and the ground truth is taken; else it is a false positive. A second good box
# on one coin is therefore a false positive, which is why NMS matters.
#
# PASCAL VOC's rule differs in a detail: a detection looks only at its overall best ground truth, and is a false
# positive if that one is taken, even if another free one fits well. With the table of IoUs
#
# | | truth 0 | truth 1 |
# |---|---|---|
# | detection 0, score 0.9 | 0.80 | 0.60 |
# | detection 1, score 0.8 | 0.70 | 0.55 |
#
# and threshold 0.5, COCO counts two true positives and PASCAL one. Where similar objects stand close together this
# matters.
#
# **Crowd regions.** What about a word that the detector finds in the crowd of the page? It is a word; only nobody
# boxed it. A detection that takes no normal ground truth, but lies inside a crowd region, is *ignored*: neither right
# nor wrong. As a crowd is much larger than a word, "inside" is measured by intersection / area of the detection. The
# curves of section 6 follow this rule; you write it in the bonus only.
#
# ### Task: `match_detections`
#
# The rows of the table already come by falling score; all its columns are normal ground truths. Of equal IoUs either
# may be taken. Not allowed: `COCOeval`.


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
before = iou.copy()
received = match_detections(iou, 0.5)
assert np.array_equal(iou, before), (
    "The table that was passed in has changed: work on a copy, or keep a list of the free."
)
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
received = match_detections(np.array([[0.6, 0.8]]), 0.5)
assert np.array_equal(received, [1]), (
    f"IoUs 0.6 and 0.8, both free: expected [1], received {np.asarray(received).tolist()}. "
    "Take the ground truth of highest IoU, not the first that reaches the threshold."
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
# The words that the stroke detector finds in the two annotated lines of the page, matched by your function. Solid
# frame: true positive. Dashed frame: false positive. Tinted: a ground truth that nobody found. Both pictures show the
# same nine boxes. At 0.5 all nine are right and three words are missed; at 0.9 only four are still right, and where a
# box fails, a false alarm and a missed word lie on the same place. The number in brackets is what pycocotools counts.

# %%
word_detections = sorted(choose(detections, "page", "word"), key=lambda record: -record["score"])
word_detections = [detection for detection in word_detections if detection["bbox"][1] < 64]  # above the crowds
word_boxes, true_boxes = corners(word_detections), corners(words)
word_iou = library(ops.box_iou, word_boxes, true_boxes)

# %%
matches = {threshold: match_detections(word_iou, threshold) for threshold in (0.5, 0.9)}
figure, axes = plt.subplots(2, 1, figsize=(6.4, 3.2))
for ax, (threshold, match) in zip(axes, matches.items(), strict=True):
    expected = coco.pycocotools_ranking(ground_truth, word_detections, categories["word"], threshold)[0].sum()
    title = f"IoU >= {threshold}: {(match >= 0).sum()} of {len(true_boxes)} words found (pycocotools: {expected}), "
    plotting.show_image(ax, page, title + f"{(match < 0).sum()} false alarms")
    missed = np.setdiff1d(np.arange(len(true_boxes)), match)
    for boxes, look in (
        (true_boxes[missed], {"color": plotting.YELLOW, "width": 0, "fill": 0.5}),
        (word_boxes[match < 0], {"color": plotting.RED, "style": "--", "width": 1.2}),
        (word_boxes[match >= 0], {"color": plotting.BLUE, "width": 1.2}),
    ):
        plotting.show_boxes(ax, boxes - [0, 5, 0, 5], **look)
plt.show()

# %% [markdown]
# ## 6 From matches to a curve
#
# Rank the detections of a class over **all** pictures by score (COCO takes at most the 100 best of each picture and
# class, and leaves out the ignored ones). After the first k of them, TP(k) were right:
#
# $$\mathrm{precision}(k) = \frac{\mathrm{TP}(k)}{k},\qquad \mathrm{recall}(k) = \frac{\mathrm{TP}(k)}{\text{number of ground truths}} .$$
#
# Precision asks "how much of what I say is true?", recall "how much of what is true do I say?". Recall never falls;
# precision zigzags.
#
# ### Task: `precision_recall`
#
# Not allowed: `sklearn.metrics.precision_recall_curve` (it would not even do: it runs backwards, merges equal scores
# and appends a point at recall 0).


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
assert (np.shape(precision), np.shape(recall)) == ((5,), (5,)), (
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
assert (np.shape(precision), np.shape(recall)) == ((0,), (0,)), "No detections: two arrays of shape (0,)."
print("precision_recall: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("iou_nms", "precision_recall", globals())
### END HIDDEN TESTS


# %% [markdown]
# Three rankings. Words: the best score belongs to a false alarm, so the curve starts at 0; it zigzags and ends at
# recall 0.75, as three words are never found. Coins before NMS: duplicates push the precision down, although every
# coin is found. Coins after NMS (at IoU 0.5): almost perfect; the steep end are false alarms in the other photos. Dots
# mark what pycocotools counts after every tenth detection; each should lie on the line of its colour.

# %%
after_nms = []
for image in ground_truth["images"]:
    of_image = [detection for detection in detections if detection["image_id"] == image["id"]]
    scores = np.array([detection["score"] for detection in of_image])
    labels = np.array([detection["category_id"] for detection in of_image])
    after_nms += [of_image[k] for k in library_batched_nms(corners(of_image), scores, labels, 0.5)]

rankings = {
    "words": coco.pycocotools_ranking(ground_truth, detections, categories["word"]),
    "coins, all boxes": coco.pycocotools_ranking(ground_truth, detections, categories["coin"]),
    "coins after NMS": coco.pycocotools_ranking(ground_truth, after_nms, categories["coin"]),
}

# %%
curves = {name: precision_recall(*ranking)[::-1] for name, ranking in rankings.items()}
figure, ax = plt.subplots(figsize=(5.6, 3))
plotting.plot_curves(ax, curves, "recall", "precision")
for line, (flags, number) in zip(ax.lines[:3], rankings.values(), strict=True):
    hits, seen = np.cumsum(flags)[9::10], np.arange(1, len(flags) + 1)[9::10]
    ax.plot(hits / number, hits / seen, "o", markersize=3.5, color=line.get_color())
ax.set(xlim=(0, 1.02), ylim=(0, 1.05))
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# ## 7 From a curve to a number
#
# Average precision is the mean precision over evenly spaced recall levels. The zigzag is ironed out first: at level r
# count the best precision that is reached at recall r *or more* (whoever wants that much recall can have this
# precision):
#
# $$\mathrm{AP} = \frac{1}{P}\sum_{r\in\{0,\,\frac{1}{P-1},\,\dots,\,1\}} \max_{k:\ \mathrm{recall}(k)\,\ge\,r} \mathrm{precision}(k),\qquad\text{0 where no such k exists.}$$
#
# COCO takes P = 101 levels, PASCAL VOC took P = 11 until 2009 and the exact area under the ironed curve afterwards.
# So "AP" without a year says little.
#
# ### Task: `average_precision`
#
# The levels are `np.linspace(0, 1, points)`; compare them with the recall as plain floats, without a tolerance. Not
# allowed: `sklearn.metrics.average_precision_score`.


# %% nbgrader={"grade": false, "grade_id": "average_precision", "locked": false, "schema_version": 3, "solution": true, "task": false}
def average_precision(precision: np.ndarray, recall: np.ndarray, points: int = 101) -> float:
    """Interpolated average precision.

    Args:
        precision: (D,) array as `precision_recall` gives it. D may be 0.
        recall: (D,) array, never falling.
        points: how many recall levels; they are np.linspace(0, 1, points) (101: COCO; 11: PASCAL VOC 2007).

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
    f"Expected {expected:.4f} with points=5, received {received}. Is `points` used? "
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
# The same curve of the words under four rules, and a figure of it. The last rule adds up precision times step in
# recall along the zigzag, as scikit-learn does; ironing makes the area larger.

# %%
flags, number = rankings["words"]
hits = np.cumsum(flags)
word_precision, word_recall = hits / np.arange(1, len(flags) + 1), hits / number
reference = coco.pycocotools_precision(ground_truth, detections)[0, :, categories["word"] - 1]

# %% tags=["nbval-check-output"]
ap = average_precision(word_precision, word_recall)
ironed = np.maximum.accumulate(word_precision[::-1])[::-1]
steps = np.diff(word_recall, prepend=0)
print(f"101 levels (COCO), yours:                       {ap:.4f}")
print(f"101 levels (COCO), pycocotools:                 {reference.mean():.4f}")
voc2007 = average_precision(word_precision, word_recall, points=11)
print(f" 11 levels (PASCAL VOC until 2009), yours:      {voc2007:.4f}")
print(f"area under the ironed curve (VOC from 2010):    {np.sum(steps * ironed):.4f}")
print(f"area under the zigzag (scikit-learn):           {np.sum(steps * word_precision):.4f}")

# %%
ap = average_precision(word_precision, word_recall)
figure, ax = plt.subplots(figsize=(4.6, 2.8))
ax.plot(word_recall, word_precision, linewidth=1.2, label="zigzag: precision and recall")
ax.plot(np.linspace(0, 1, 101), reference, "o", markersize=2.5, label="ironed, at 101 levels (pycocotools)")
ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05), xlabel="recall", ylabel="precision", title=f"AP of the words: {ap:.3f}")
ax.legend()
plt.show()

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_scores", "locked": true, "schema_version": 3, "solution": false, "task": false}
# ### Question: what AP does not see
#
# The scores of a colleague's detector lie between 0 and 1. She replaces every score s by $s^{10}$ and finds that AP
# has not changed at all. (a) Why? (b) She goes back to the old scores and drops all detections with s below 0.5, "to
# get rid of the false alarms". Can AP rise by that? Can it fall? (c) Name one thing that a user of the detector needs
# and that AP does not measure.
#
# === BEGIN MARK SCHEME ===
# 1 point (a): only the order of the scores enters (matching and ranking); a strictly rising function keeps the order.
# 1 point (b): AP can not rise: cutting the tail of the ranking removes points of the curve, and each maximum is over fewer points. It falls if
#   there were true positives in the tail (recall levels become 0); it stays if there were none.
# 1 point (c): any of: a threshold to work at and the precision there; calibrated scores (0.9 should mean 90 %); balance of recall and precision for
#   the application; speed; quality of boxes beyond the IoU threshold; which classes fail behind the mean.
# Common wrong answers: "fewer false positives, so precision and AP rise" (the curve before the cut is unchanged); "AP changes, as the scores are smaller".
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_scores", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# (a) Scores are used to sort, nothing else: for the order of matching and for the ranking. A strictly rising function
# such as $s^{10}$ on [0, 1] keeps the order, so every match, the curve and AP stay as they were.
#
# (b) It can not rise. Cutting at a score removes the end of the ranking; the curve before the cut stays, and at each
# recall level the maximum is taken over fewer points. If there were true positives behind the cut, the highest recall
# levels are no longer reached and AP falls. If there were only false positives, nothing changes. So submissions to
# COCO keep everything, up to 100 boxes a picture, and figures in papers that were drawn at 0.5 do not show what was
# evaluated.
#
# (c) For example a working point: the user must set a threshold and wants to know precision and recall there, and
# whether a score of 0.9 means 90 %. AP is blind to any recalibration of the scores.

# %% [markdown]
# ## 8 Your code against the reference
#
# COCO's headline figure AP, or mAP, is a mean over ten IoU thresholds 0.5, 0.55, ..., 0.95 and over all categories.
# Around it stand eleven others: AP at 0.5 and 0.75, AP by size, and AR, the highest recall with 1, 10 or 100 boxes a
# picture and category, averaged in the same way.
#
# Now everything together: `helpers.coco.evaluate` sorts, groups and averages, and calls *your* `xywh_to_xyxy`,
# `box_iou`, `match_detections`, `precision_recall` and `average_precision`. Beside it pycocotools, which shares not a
# line with it.
#
# **Predict first:** NMS removes duplicates, so it raises AP. Does it raise the recall with 100 boxes (AR 100), too?
# Compare the first two columns with the last two.

# %%
own = {
    "xywh_to_xyxy": xywh_to_xyxy,
    "box_iou": box_iou,
    "match_detections": match_detections,
    "precision_recall": precision_recall,
    "average_precision": average_precision,
}


def compare(truth: dict, sets: dict[str, list[dict]]) -> None:
    """Print the twelve numbers of sets of boxes, yours beside those of pycocotools, and insist that they agree."""
    columns = {}
    for name, boxes in sets.items():
        yours, reference = coco.evaluate(truth, boxes, **own), coco.pycocotools_summary(truth, boxes)
        columns |= {f"{name}: yours": yours, f"{name}: COCO's": reference}
    print(*coco.table(columns), sep="\n", end="\n\n")
    for mine, reference in zip(list(columns.values())[::2], list(columns.values())[1::2], strict=True):
        assert np.allclose(mine, reference, atol=1e-6, rtol=0), "Yours and COCO's should agree to six digits."


print(f"six photos: all {len(detections)} boxes, and the {len(after_nms)} that NMS at 0.5 leaves")
compare(ground_truth, {"all": detections, "NMS": after_nms})
try:
    folder = datasets.fetch("coco_eval")
    coco_truth = json.loads((folder / "instances_val2014_100.json").read_text())
    coco_boxes = json.loads((folder / "instances_val2014_fakebbox100_results.json").read_text())
    print(f"COCO val2014, 100 images, {len(coco_boxes)} boxes")
    compare(coco_truth, {"val2014": coco_boxes})
except datasets.DataError as error:
    print(error)

# %% [markdown]
# If the last lines show a sentence instead of a second table, the real COCO subset is not on your machine. With it,
# this very cell prints COCO's official figures for its test file:
#
# | | all | IoU 0.5 | IoU 0.75 | small | medium | large |
# |---|---|---|---|---|---|---|
# | AP | .505 | .697 | .573 | .586 | .519 | .501 |
#
# | | 1 box | 10 boxes | 100 boxes | small | medium | large |
# |---|---|---|---|---|---|---|
# | AR | .387 | .594 | .595 | .640 | .566 | .564 |
#
# <details><summary>Resolution of the prediction</summary>
#
# AP rises from 0.307 to 0.333, but AR 100 falls from 0.567 to 0.482. Suppression can only lose boxes; it helps recall
# only where duplicates had crowded other objects out of the boxes that count. AR 10 shows that: it rises from 0.251
# to 0.295.
# </details>
#
# Where does the recall go? NMS believes the scores: it drops the better placed box if a worse placed one has the
# higher score. The figure shows that on the front wheel, the table sums it up by category.

# %%
# This cell only draws: you need not read it.
wheel_detections = sorted(choose(detections, "motorcycle", "wheel"), key=lambda record: -record["score"])
wheel_boxes = corners(wheel_detections)
wheel_iou = library(ops.box_iou, wheel_boxes, corners([wheel]))[:, 0]
wheel_kept = library_nms(wheel_boxes, np.array([detection["score"] for detection in wheel_detections]), 0.5)
left, top, right, bottom_edge = 95, 190, 325, 420
axes = plotting.side_by_side([datasets.photo("motorcycle")[top:bottom_edge, left:right]] * 2, ["", ""], height=2.4)
for ax, name, shown in zip(axes, ("all boxes", "after NMS"), (np.arange(30), wheel_kept), strict=True):
    shown = shown[wheel_iou[shown] > 0.5]
    best = shown[wheel_iou[shown].argmax()]
    ax.set_title(f"{name}: {len(shown)} on the wheel, best IoU {wheel_iou[best]:.2f}", fontsize=8)
    for boxes, look in (
        (wheel_boxes[shown], {"color": plotting.SKY, "style": "--", "width": 0.8}),
        (wheel_boxes[[best]], {"color": plotting.BLUE, "width": 2}),
        (corners([wheel]), {"color": plotting.YELLOW, "style": ":", "width": 2}),
    ):
        plotting.show_boxes(ax, boxes - [left, top, left, top], **look)
plt.show()

# %% tags=["nbval-check-output"]
by_category = [coco.pycocotools_by_category(ground_truth, boxes) for boxes in (detections, after_nms)]
print("category    AP all  AP NMS   AR all  AR NMS")
for name, k in categories.items():
    (ap_all, ar_all), (ap_nms, ar_nms) = [(ap[k - 1], ar[k - 1]) for ap, ar in by_category]
    print(f"{name:10}{ap_all:8.3f}{ap_nms:8.3f}{ar_all:9.3f}{ar_nms:8.3f}")

# %% [markdown]
# Thick frame: the box that fits best. Dotted: the annotation. Dashed: the other boxes on the wheel. The box of
# highest score, 0.257, has IoU 0.65; it suppresses the one that fits best, with score 0.237 and IoU 0.87. So AR falls
# for wheels, and as clearly for faces and eyes, wherever the score says little about the fit. (These are two wheels,
# two faces and five eyes: examples, not laws.) And it is almost only the coins that lift the mean AP.
#
# What does the mean hide? The figure shows AP after NMS for each category over the IoU threshold (pycocotools). Coins
# stay up to 0.85: the disc filter fits them tightly. Faces and eyes are found, but the cascades' windows follow
# another idea of where a face ends than our annotations do, and drop out early. Words are either placed well or not
# found at all. The mean, 0.333, tells none of this.

# %%
precision = coco.pycocotools_precision(ground_truth, after_nms).mean(axis=1)
figure, ax = plt.subplots(figsize=(4.6, 3))
for (name, number), marker in zip(categories.items(), "os^Dv", strict=True):
    ax.plot(coco.IOU_THRESHOLDS, precision[:, number - 1], marker + "-", label=name, markersize=5)
ax.set(xlabel="IoU threshold of a match", ylabel="AP after NMS", ylim=(-0.03, 1.05))
ax.legend(title="category", loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# ## 9 Bonus: `coco_map`
#
# A notebook without the bonus is worth full marks. Write the whole evaluation yourself: from COCO's dicts to mAP,
# without help from `helpers.coco`. What the earlier tasks leave open:
#
# - categories without a normal (non-crowd) annotation are left out of the mean; a category without detections counts
#   as 0;
# - at most the 100 best detections of each image and category count;
# - the detections of all images are ranked together;
# - crowds: a detection that finds no free normal ground truth, but lies inside a crowd region (intersection / area of
#   the *detection* at least the threshold), is taken out of the ranking; a crowd may take any number of detections,
#   and does not count as an object to be found.
#
# Your earlier functions may be used. Not allowed: `COCOeval`, `helpers.coco.evaluate`.


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

    def as_corners(records: list[dict]) -> np.ndarray:
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
            normal = as_corners([truth for truth in truths if not truth["iscrowd"]])
            crowd = as_corners([truth for truth in truths if truth["iscrowd"]])
            boxes = as_corners(found)
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


# %% nbgrader={"grade": true, "grade_id": "test_coco_map", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false} extra_credit=4
tiny_truth = {
    "images": [{"id": 1}, {"id": 2}],
    "categories": [{"id": 1}, {"id": 2}, {"id": 3}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 20], "area": 800, "iscrowd": 0},
        {"id": 2, "image_id": 2, "category_id": 1, "bbox": [5, 30, 20, 60], "area": 1200, "iscrowd": 0},
        {"id": 3, "image_id": 2, "category_id": 1, "bbox": [60, 10, 60, 30], "area": 1800, "iscrowd": 1},
        {"id": 4, "image_id": 1, "category_id": 2, "bbox": [70, 20, 10, 30], "area": 300, "iscrowd": 0},
    ],
}
tiny_found = [
    {"image_id": 2, "category_id": 1, "bbox": [5, 30, 20, 60], "score": 0.7},
    {"image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 20], "score": 0.75},
    {"image_id": 2, "category_id": 1, "bbox": [62, 12, 10, 20], "score": 0.85},
    {"image_id": 2, "category_id": 1, "bbox": [5, 100, 20, 10], "score": 0.8},
]
received = coco_map(tiny_truth, tiny_found[1:2], np.array([0.5, 0.75]))
expected = 51 / 101 / 2
assert np.isclose(received, expected), (
    f"Expected {expected:.4f}, received {received}. One of two objects of category 1 is found (51 of 101 levels), "
    "category 2 scores 0, category 3 has no annotation and is left out of the mean."
)
received = coco_map(tiny_truth, tiny_found, np.array([0.5]))
expected = 2 / 3 / 2
assert np.isclose(received, expected), (
    f"Expected {expected:.4f}, received {received}. The detection inside the crowd region is ignored: neither a true "
    "nor a false positive. Ranked over both images by falling score, those of category 1 are false, true, true."
)
weak = [{**tiny_found[1], "score": 0.1}]  # a right box, behind 100 false alarms with higher scores
strong = [{"image_id": 1, "category_id": 1, "bbox": [90, 2 * k, 5, 1], "score": 0.2 + k / 500} for k in range(100)]
received = coco_map(tiny_truth, weak + strong, np.array([0.5]))
assert received == 0, (
    f"Expected 0, received {received}. Only the 100 best detections of an image and category count, by score and not "
    "by their place in the list; the right box is number 101."
)
received = coco_map(tiny_truth, [], np.array([0.5]))
assert received == 0.0, f"No detections: expected 0.0, received {received}."
received = coco_map({**tiny_truth, "annotations": []}, tiny_found, np.array([0.5]))
assert received == -1.0, f"No ground truth: expected -1.0, received {received}."
print("coco_map: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("iou_nms", "coco_map", globals())
### END HIDDEN TESTS


# %% [markdown]
# Your figure, and pycocotools's, on the six photos:

# %% tags=["nbval-check-output"]
for title, boxes in (("all boxes", detections), ("after NMS", after_nms)):
    mine, reference = coco_map(ground_truth, boxes, coco.IOU_THRESHOLDS), coco.pycocotools_summary(ground_truth, boxes)
    print(f"{title}: mAP yours {mine:.6f}, pycocotools {reference[0]:.6f}")

# %% [markdown]
# ## What to take away
#
# - Detection lists boxes, semantic segmentation labels pixels, instance segmentation cuts out objects, panoptic
#   segmentation does both for every pixel at once.
# - Know your box: COCO's x, y, w, h, VOC's pixel numbers from 1, or corners in continuous coordinates; the "+1"
#   belongs to pixel numbers only.
# - IoU is blind to size and strict with small objects; define it for empty boxes before they come.
# - NMS keeps the highest score and drops what overlaps it by *more* than the threshold. It trusts scores, and it can
#   not tell duplicates from neighbours.
# - A match needs an order (score), a rule (COCO's or PASCAL's) and a threshold. AP ranks; it never sees the scores
#   themselves.
# - mAP is a mean of means. Look at the curve, at the classes, at the sizes and at the pictures before you believe in
#   a difference in its third digit.
#
# **Where it goes on.** Notebook 02 finds objects with templates and uses your NMS; 03 and 04 train detectors and
# judge them with this evaluation; panoptic quality, the measure for the fourth strip of the first figure, is the
# bonus of 04.
