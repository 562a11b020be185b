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
# # 4 Mask R-CNN: two stages, one network
#
# %% tags=["setup"]
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import ops

from helpers import backbones, blood, coco, datasets, plotting, training
from helpers.seeds import SEED, seed_everything

seed_everything()
plotting.use_style()
device = training.device()

# %% [markdown]
# ### Task: `generate_anchors`
#
# Put the same A = (number of sizes) x (number of ratios) boxes on every place of the feature map. Place (row r, column
# c) looks at the picture's point ((c + 0.5) * stride, (r + 0.5) * stride), the middle of the square that it stands for.
# An anchor of size s and ratio $\rho = h / w$ has the area $s^2$ whatever its ratio:
#
# $$w = s / \sqrt{\rho}, \qquad h = s \sqrt{\rho} .$$
#
# Order: row by row, in a row column by column, at each place size by size, for each size ratio by ratio. Nothing is
# rounded, nothing is cut off at the border. Not allowed: torchvision's `AnchorGenerator` (which orders and rounds
# otherwise).


# %% nbgrader={"grade": false, "grade_id": "generate_anchors", "locked": false, "schema_version": 3, "solution": true, "task": false}
def generate_anchors(
    feature_size: tuple[int, int], stride: float, sizes: Sequence[float], aspect_ratios: Sequence[float]
) -> Tensor:
    """Anchors of one feature map.

    Args:
        feature_size: (h, w), height and width of the map.
        stride: pixels of the picture from one place of the map to the next.
        sizes: roots of the areas in pixels.
        aspect_ratios: height / width of each.

    Returns:
        (h * w * A, 4) float32 tensor x1, y1, x2, y2 in pixels; by row, column, size, ratio.

    Example:
        generate_anchors((1, 2), 8, [4], [1.0]) is [[2, 2, 6, 6], [10, 2, 14, 6]].
    """
    ### BEGIN SOLUTION
    height, width = feature_size
    sides = [[size / ratio**0.5, size * ratio**0.5] for size in sizes for ratio in aspect_ratios]
    half = torch.tensor(sides, dtype=torch.float32).reshape(1, -1, 2) / 2
    y = (torch.arange(height, dtype=torch.float32) + 0.5) * stride
    x = (torch.arange(width, dtype=torch.float32) + 0.5) * stride
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    centres = torch.stack([columns, rows], dim=-1).reshape(-1, 1, 2)
    return torch.cat([centres - half, centres + half], dim=-1).reshape(-1, 4)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_generate_anchors", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
received = generate_anchors((2, 3), 10, [8, 16], [0.25, 1.0])
assert received.shape == (24, 4), (
    f"2 * 3 places with 2 * 2 anchors: expected (24, 4), received {tuple(received.shape)}."
)
assert received.dtype == torch.float32, f"Expected float32, received {received.dtype}."
expected = torch.tensor(
    [[-3.0, 3.0, 13.0, 7.0], [1.0, 1.0, 9.0, 9.0], [-11.0, 1.0, 21.0, 9.0], [-3.0, -3.0, 13.0, 13.0]]
)
assert torch.allclose(received[:4], expected), (
    f"The first place has its centre at (5, 5). Expected {expected.tolist()}, received {received[:4].tolist()}. "
    "Ratio 0.25 is height / width: the anchor of size 8 is 16 wide and 4 high. All ratios of the first size come first."
)
assert torch.allclose(received[4:8], expected + torch.tensor([10.0, 0.0, 10.0, 0.0])), (
    f"After the first place comes the one to its right, 10 pixels on in x; received {received[4:8].tolist()}."
)
assert torch.allclose(received[12:16], expected + torch.tensor([0.0, 10.0, 0.0, 10.0])), (
    f"The second row starts after 3 places, 10 pixels further down; received {received[12:16].tolist()}."
)
assert generate_anchors((0, 3), 10, [8], [1.0]).shape == (0, 4), "A map without rows has no anchors: shape (0, 4)."
print("generate_anchors: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("mask_rcnn", "generate_anchors", globals())
### END HIDDEN TESTS


# %% [markdown]
# ### Tasks: `encode_boxes` and `decode_boxes`
#
# With centres (x, y) and sides w, h of a box and $x_a, y_a, w_a, h_a$ of its anchor:
#
# $$t_x = \frac{x - x_a}{w_a}, \quad t_y = \frac{y - y_a}{h_a}, \quad t_w = \ln\frac{w}{w_a}, \quad t_h = \ln\frac{h}{h_a} .$$
#
# `decode_boxes` undoes it. Row k belongs to anchor k. No weights, no limits. Not allowed: torchvision's `BoxCoder`.


# %% nbgrader={"grade": false, "grade_id": "encode_boxes", "locked": false, "schema_version": 3, "solution": true, "task": false}
def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """What turns anchors into boxes.

    Args:
        boxes, anchors: (N, 4) tensors x1, y1, x2, y2 in pixels, of positive width and height. N may be 0.

    Returns:
        (N, 4) tensor tx, ty, tw, th, without units.

    Example:
        Box (2, 0, 6, 4) and anchor (0, 0, 4, 4): (0.5, 0, 0, 0).
    """
    ### BEGIN SOLUTION
    sizes, anchor_sizes = boxes[:, 2:] - boxes[:, :2], anchors[:, 2:] - anchors[:, :2]
    shift = (boxes[:, :2] + boxes[:, 2:]) / 2 - (anchors[:, :2] + anchors[:, 2:]) / 2
    return torch.cat([shift / anchor_sizes, torch.log(sizes / anchor_sizes)], dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_encode_boxes", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
anchors = torch.tensor([[0.0, 0.0, 4.0, 8.0], [10.0, 20.0, 30.0, 30.0]])
boxes = torch.tensor([[2.0, 2.0, 6.0, 10.0], [10.0, 10.0, 50.0, 30.0]])
before = boxes.clone(), anchors.clone()
received = encode_boxes(boxes, anchors)
expected = torch.tensor([[0.5, 0.25, 0.0, 0.0], [0.5, -0.5, 0.6931, 0.6931]])
assert received.shape == (2, 4), f"Expected shape (2, 4), received {tuple(received.shape)}."
assert torch.allclose(received, expected, atol=1e-3), (
    f"Expected {expected.tolist()}, received {received.tolist()}. Shifts are those of the centres, in shares of the "
    "anchor's width and height; sizes are natural logarithms of box / anchor (ln 2 = 0.6931)."
)
assert torch.equal(boxes, before[0]) and torch.equal(anchors, before[1]), "An argument has changed: build new tensors."
assert encode_boxes(boxes[:0], anchors[:0]).shape == (0, 4), "No boxes: expected shape (0, 4)."
print("encode_boxes: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("mask_rcnn", "encode_boxes", globals())
### END HIDDEN TESTS


# %% nbgrader={"grade": false, "grade_id": "decode_boxes", "locked": false, "schema_version": 3, "solution": true, "task": false}
def decode_boxes(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Boxes from anchors; undoes `encode_boxes`.

    Args:
        deltas: (N, 4) tensor tx, ty, tw, th.
        anchors: (N, 4) tensor x1, y1, x2, y2 in pixels, of positive width and height. N may be 0.

    Returns:
        (N, 4) tensor x1, y1, x2, y2 in pixels.

    Example:
        Deltas (0.5, 0, 0, 0) move the anchor (0, 0, 4, 4) to (2, 0, 6, 4).
    """
    ### BEGIN SOLUTION
    anchor_sizes = anchors[:, 2:] - anchors[:, :2]
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2 + deltas[:, :2] * anchor_sizes
    sizes = anchor_sizes * torch.exp(deltas[:, 2:])
    return torch.cat([centres - sizes / 2, centres + sizes / 2], dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_decode_boxes", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
anchors = torch.tensor([[0.0, 0.0, 4.0, 8.0], [10.0, 20.0, 30.0, 30.0]])
deltas = torch.tensor([[0.5, 0.25, 0.0, 0.0], [0.5, -0.5, 0.693147, 0.693147]])
before = deltas.clone(), anchors.clone()
received = decode_boxes(deltas, anchors)
expected = torch.tensor([[2.0, 2.0, 6.0, 10.0], [10.0, 10.0, 50.0, 30.0]])
assert received.shape == (2, 4), f"Expected shape (2, 4), received {tuple(received.shape)}."
assert torch.allclose(received, expected, atol=1e-3), (
    f"Expected {expected.tolist()}, received {received.tolist()}. First the centre moves, in shares of the anchor's "
    "sides; then the sides are multiplied by exp(tw) and exp(th), around the new centre."
)
assert torch.equal(deltas, before[0]) and torch.equal(anchors, before[1]), "An argument has changed: build new tensors."
assert decode_boxes(deltas[:0], anchors[:0]).shape == (0, 4), "No anchors: expected shape (0, 4)."
print("decode_boxes: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("mask_rcnn", "decode_boxes", globals())
### END HIDDEN TESTS


# %% [markdown]
# ### Task: `match_anchors`
#
# Which anchors should answer for which object? For each anchor look at its best IoU over all objects:
#
# 1. at least `high`: the anchor answers for that object (its index);
# 2. below `low`: background, -1;
# 3. in between: -2, ignored, neither right nor wrong.
#
# Then a rescue, so that no object goes without: every anchor that reaches the highest IoU that *some object* has with
# any anchor (if it is above 0; all anchors that tie) answers, too, however low that IoU is. It answers for the object
# that is **its own best**, which in rare cases is another one. Equal IoUs: the lowest index. Not allowed: torchvision's
# `Matcher`.


# %% nbgrader={"grade": false, "grade_id": "match_anchors", "locked": false, "schema_version": 3, "solution": true, "task": false}
def match_anchors(iou: Tensor, high: float = 0.7, low: float = 0.3) -> Tensor:
    """Assign anchors to objects.

    Args:
        iou: (A, G) tensor, IoU of each anchor with each ground truth. A or G may be 0.
        high: from here on an anchor is positive.
        low: below, it is background.

    Returns:
        (A,) long tensor: index of a ground truth, -1 for background, -2 for "ignore".

    Example:
        match_anchors(torch.tensor([[0.8], [0.5], [0.1]])) is [0, -2, -1].
    """
    ### BEGIN SOLUTION
    matches = torch.full((len(iou),), -1, dtype=torch.long, device=iou.device)
    if iou.numel() == 0:
        return matches
    best, own = iou.max(dim=1)
    matches[best >= low] = -2
    positive = best >= high
    highest = iou.max(dim=0).values
    rescued = ((iou == highest) & (iou > 0)).any(dim=1)
    return torch.where(positive | rescued, own, matches)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_match_anchors", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
iou = torch.tensor(
    [[0.75, 0.0, 0.125], [0.5, 0.0, 0.0], [0.25, 0.25, 0.0], [0.0, 0.25, 0.5], [0.125, 0.0, 0.0], [0.0, 0.0, 0.0]]
)
before = iou.clone()
received = match_anchors(iou, 0.75, 0.25)
expected = [0, -2, 0, 2, -1, -1]
assert received.dtype == torch.long, f"Indices are long (int64); received {received.dtype}."
assert received.tolist() == expected, (
    f"Expected {expected}, received {received.tolist()}. Anchor 0 reaches `high` exactly, anchor 1 lies between. "
    "Ground truth 1 has its highest IoU, 0.25, with anchors 2 and 3: both are rescued, each for its own best. "
    "Ground truth 2 is rescued by anchor 3."
)
assert match_anchors(torch.tensor([[0.5, 0.0]]), 0.75, 0.25).tolist() == [0], (
    "The best anchor of an object is positive."
)
assert match_anchors(torch.zeros(3, 1), 0.75, 0.25).tolist() == [-1, -1, -1], (
    "An object that no anchor touches rescues nobody: its highest IoU is 0."
)
assert match_anchors(torch.zeros(2, 0)).tolist() == [-1, -1], "Without objects all anchors are background."
assert match_anchors(torch.zeros(0, 2)).shape == (0,), "Without anchors: shape (0,)."
assert torch.equal(iou, before), "The tensor that was passed in has changed."
print("match_anchors: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("mask_rcnn", "match_anchors", globals())
### END HIDDEN TESTS


# %% [markdown]
# ### Task: `RPNHead`
#
# The whole region proposal network is this small head, the same at every place: a shared 3 x 3 convolution (as many
# channels out as in, padding 1), an activation, then two 1 x 1 convolutions side by side: A logits "is there an
# object?" and 4 A deltas. Channels 4a, 4a+1, 4a+2, 4a+3 of the second are anchor a's tx, ty, tw, th. Both are linear.
# Not allowed: torchvision's `RPNHead`.


# %% nbgrader={"grade": false, "grade_id": "RPNHead", "locked": false, "schema_version": 3, "solution": true, "task": false}
class RPNHead(nn.Module):
    """Objectness and deltas of every anchor.

    Args:
        in_channels: C, of the feature map.
        num_anchors: A, at each place.

    Returns (when called with features (N, C, h, w)):
        Objectness logits (N, A, h, w) and deltas (N, 4 A, h, w). N may be 0.

    Example:
        RPNHead(8, 3)(torch.rand(2, 8, 5, 7)) has the shapes (2, 3, 5, 7) and (2, 12, 5, 7).
    """

    def __init__(self, in_channels: int, num_anchors: int):
        super().__init__()
        ### BEGIN SOLUTION
        self.shared = nn.Conv2d(in_channels, in_channels, 3, padding=1)
        self.objectness = nn.Conv2d(in_channels, num_anchors, 1)
        self.deltas = nn.Conv2d(in_channels, 4 * num_anchors, 1)
        ### END SOLUTION

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        ### BEGIN SOLUTION
        hidden = F.relu(self.shared(features))
        return self.objectness(hidden), self.deltas(hidden)
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_RPNHead", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
torch.manual_seed(0)
head = RPNHead(6, 3)
features = torch.randn(2, 6, 5, 8)
received = head(features)
assert len(received) == 2, "Two tensors are expected: objectness and deltas."
assert received[0].shape == (2, 3, 5, 8), f"Objectness: expected (2, 3, 5, 8), received {tuple(received[0].shape)}."
assert received[1].shape == (2, 12, 5, 8), f"Deltas: expected (2, 12, 5, 8), received {tuple(received[1].shape)}."
moved = features.clone()
moved[0, :, 2, 4] += 1
changed = [(one - other).abs().sum(dim=1)[0] > 1e-7 for one, other in zip(head(moved), received, strict=True)]
for name, where in zip(("objectness", "deltas"), changed, strict=True):
    seen = [tuple(place) for place in where.nonzero().tolist()]
    assert set(seen) <= {(r, c) for r in (1, 2, 3) for c in (3, 4, 5)} and len(seen) > 1, (
        f"A change at (2, 4) should be seen by the 3 x 3 places around it in {name}; it is seen at {seen}."
    )
assert head(100 * features)[0].min() < -1, "Objectness should be logits, without a sigmoid."
assert head(features[:0])[1].shape == (0, 12, 5, 8), "No pictures: expected shape (0, 12, 5, 8)."
print("RPNHead: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("mask_rcnn", "RPNHead", globals())
### END HIDDEN TESTS


# %% [markdown]
# ### Task: `filter_proposals`
#
# Thousands of decoded anchors become a few hundred proposals, in this order:
#
# 1. clip boxes to the picture, [0, W] x [0, H];
# 2. drop those whose width or height is below `min_size`;
# 3. keep the `pre_nms` of highest score;
# 4. NMS, which drops a box that overlaps a better one by *more* than `iou_threshold`;
# 5. keep the `post_nms` best of what remains.
#
# Scores may be logits or probabilities and come out as they went in, by falling score; equal scores keep their order.
# NMS was notebook 01, so `torchvision.ops.nms` is allowed. Not allowed: torchvision's `RegionProposalNetwork`.


# %% nbgrader={"grade": false, "grade_id": "filter_proposals", "locked": false, "schema_version": 3, "solution": true, "task": false}
def filter_proposals(
    boxes: Tensor,
    scores: Tensor,
    image_size: tuple[int, int],
    pre_nms: int,
    post_nms: int,
    iou_threshold: float,
    min_size: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """The best proposals of one picture.

    Args:
        boxes: (A, 4) tensor x1, y1, x2, y2 in pixels. A may be 0.
        scores: (A,) tensor, higher is better.
        image_size: (H, W) in pixels.
        pre_nms, post_nms: how many boxes are kept before and after NMS, at most.
        iou_threshold: boxes that overlap a better one by more are dropped.
        min_size: least width and height after clipping, in pixels.

    Returns:
        (K, 4) boxes and their (K,) scores, by falling score.

    Example:
        Two equal boxes with scores 0.2 and 0.9: the box, once, with score 0.9.
    """
    ### BEGIN SOLUTION
    height, width = image_size
    x, y = boxes[:, 0::2].clamp(0, width), boxes[:, 1::2].clamp(0, height)
    boxes = torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=1)
    large = (boxes[:, 2:] - boxes[:, :2] >= min_size).all(dim=1)
    boxes, scores = boxes[large], scores[large]
    order = scores.argsort(descending=True, stable=True)[:pre_nms]
    boxes, scores = boxes[order], scores[order]
    kept = ops.nms(boxes, scores, iou_threshold)[:post_nms]
    return boxes[kept], scores[kept]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_filter_proposals", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
boxes = torch.tensor(
    [
        [-4.0, 2.0, 8.0, 10.0],
        [0.0, 2.0, 8.0, 9.0],
        [10.0, 3.0, 40.0, 8.0],
        [19.5, 0.0, 30.0, 12.0],
        [2.0, 0.0, 4.0, 12.0],
    ]
)
scores = torch.tensor([-1.0, 2.0, 0.5, 3.0, 0.0])
before = boxes.clone(), scores.clone()
received = filter_proposals(boxes, scores, (12, 20), 4, 3, 0.5)
expected = [[0.0, 2.0, 8.0, 9.0], [10.0, 3.0, 20.0, 8.0], [2.0, 0.0, 4.0, 12.0]]
assert received[0].tolist() == expected, (
    f"Expected {expected}, received {received[0].tolist()}. The picture is 12 high and 20 wide; clipped, the fourth box is "
    "only 0.5 wide, and the first overlaps the second by 7/8."
)
assert received[1].tolist() == [2.0, 0.5, 0.0], f"Scores: expected [2, 0.5, 0], received {received[1].tolist()}."
assert len(filter_proposals(boxes, scores, (12, 20), 4, 1, 0.5)[0]) == 1, "post_nms = 1 leaves one box."
assert filter_proposals(boxes, scores, (12, 20), 1, 3, 0.5)[1].tolist() == [2.0], (
    "pre_nms = 1: of the boxes that are large enough only the best goes into NMS."
)
assert len(filter_proposals(boxes[:2], scores[:2], (12, 20), 4, 3, 0.875)[0]) == 2, (
    "IoU equal to the threshold is not more than it: both boxes stay."
)
assert torch.equal(boxes, before[0]) and torch.equal(scores, before[1]), "An argument has changed: build new tensors."
assert filter_proposals(boxes[:0], scores[:0], (12, 20), 4, 3, 0.5)[0].shape == (0, 4), "No boxes: shape (0, 4)."
print("filter_proposals: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("mask_rcnn", "filter_proposals", globals())
### END HIDDEN TESTS


# %% [markdown]
# ### Task: `roi_pool`
#
# Fast R-CNN's pooling, with all its rounding:
#
# 1. multiply the corners by `spatial_scale` and round to whole numbers, halves away from zero (2.5 to 3, -2.5 to -3;
#    `torch.round` rounds halves to even);
# 2. the region holds the pixels from x1 *to and including* x2: its width is n = max(x2 - x1 + 1, 1). The paper's +1 is
#    an exception in this course; the same for the height;
# 3. of w bins along x, bin i covers the columns from $x_1 + \lfloor i\,n/w \rfloor$ up to, without,
#    $x_1 + \lceil (i+1)\,n/w \rceil$ (neighbours may share a column), cut off at the map's border;
# 4. each bin's value is its maximum, channel by channel; a bin without pixels gives 0.
#
# Loops are fine. Not allowed: `torchvision.ops.roi_pool`, `torch.nn.AdaptiveMaxPool2d` and its function.


# %% nbgrader={"grade": false, "grade_id": "roi_pool", "locked": false, "schema_version": 3, "solution": true, "task": false}
def roi_pool(features: Tensor, boxes: Tensor, output_size: tuple[int, int], spatial_scale: float) -> Tensor:
    """Region of interest pooling.

    Args:
        features: (C, H, W) feature map of one picture.
        boxes: (K, 4) tensor x1, y1, x2, y2 in pixels of the picture. K may be 0.
        output_size: (h, w), bins along y and along x.
        spatial_scale: features a pixel, 1 / stride.

    Returns:
        (K, C, h, w) tensor of maxima.

    Example:
        On the map [[0, 1], [2, 3]] (C = 1, scale 1) the box (0, 0, 1, 1) in 1 x 1 bins gives 3.
    """
    ### BEGIN SOLUTION
    channels, height, width = features.shape
    rows, columns = output_size
    scaled = boxes * spatial_scale
    corners = (scaled.sign() * (scaled.abs() + 0.5).floor()).long().tolist()
    pooled = features.new_zeros(len(boxes), channels, rows, columns)
    for k, (x1, y1, x2, y2) in enumerate(corners):
        n_y, n_x = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        for i in range(rows):
            top, bottom = y1 + i * n_y // rows, y1 - (-(i + 1) * n_y) // rows
            for j in range(columns):
                left, right = x1 + j * n_x // columns, x1 - (-(j + 1) * n_x) // columns
                window = features[:, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
                if window.numel():
                    pooled[k, :, i, j] = window.amax(dim=(1, 2))
    return pooled
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_roi_pool", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
features = torch.arange(24.0).reshape(1, 4, 6)
before = features.clone()
received = roi_pool(features, torch.tensor([[2.0, 0.0, 8.0, 4.0]]), (2, 2), 0.5)
expected = torch.tensor([[[[8.0, 10.0], [14.0, 16.0]]]])
assert received.shape == (1, 1, 2, 2), f"Expected shape (1, 1, 2, 2), received {tuple(received.shape)}."
assert torch.equal(received, expected), (
    f"Expected {expected.tolist()}, received {received.tolist()}. The region holds columns 1 to 4 and rows 0 to 2, both "
    "ends included: 4 columns, 3 rows. The first bin along y covers rows 0 and 1, the second rows 1 and 2."
)
received = roi_pool(features, torch.tensor([[5.0, 5.0, 5.0, 5.0]]), (1, 1), 0.5)
assert received.item() == 21, f"2.5 is rounded to 3: expected the feature at (3, 3), 21; received {received.item()}."
received = roi_pool(features - 100, torch.tensor([[4.0, 0.0, 7.0, 1.0]]), (1, 2), 1.0)
assert received.flatten().tolist() == [-89.0, 0.0], (
    f"Expected [-89, 0], received {received.flatten().tolist()}: the second bin lies beyond the map and gives 0."
)
assert roi_pool(features, torch.zeros(0, 4), (2, 3), 0.5).shape == (0, 1, 2, 3), "No boxes: shape (0, 1, 2, 3)."
assert torch.equal(features, before), "The features that were passed in have changed."
print("roi_pool: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("mask_rcnn", "roi_pool", globals())
### END HIDDEN TESTS


# %% [markdown]
# ### Task: `roi_align`
#
# Mask R-CNN's answer is to round nothing:
#
# 1. corners times `spatial_scale`, **minus 0.5** (feature (0, 0) stands at the middle of its square; that half is what
#    torchvision calls `aligned=True`). There is no least size;
# 2. h x w equal bins of real size; in each `sampling_ratio` x `sampling_ratio` samples, sample i of s at
#    (i + 0.5) / s of the bin;
# 3. a sample's value is interpolated bilinearly between the four features around it. A sample with x below -1 or above
#    W (y: H) counts as 0; otherwise x is first clamped to [0, W - 1] (y to [0, H - 1]);
# 4. the bin's value is the mean of its samples.
#
# Along x and along y the same happens independently: weights $w_x$ (bins by columns) and $w_y$ (bins by rows) are enough,
# $\sum_{r,c} w_y[i,r]\,F[r,c]\,w_x[j,c]$ (`torch.einsum`). Loops are fine, too. Not allowed: `torchvision.ops.roi_align`,
# `torch.nn.functional.grid_sample`.


# %% nbgrader={"grade": false, "grade_id": "roi_align", "locked": false, "schema_version": 3, "solution": true, "task": false}
def roi_align(
    features: Tensor, boxes: Tensor, output_size: tuple[int, int], spatial_scale: float, sampling_ratio: int = 2
) -> Tensor:
    """Region of interest alignment.

    Args:
        features: (C, H, W) feature map of one picture.
        boxes: (K, 4) tensor x1, y1, x2, y2 in pixels of the picture. K may be 0.
        output_size: (h, w), bins along y and along x.
        spatial_scale: features a pixel, 1 / stride.
        sampling_ratio: samples along each side of a bin.

    Returns:
        (K, C, h, w) tensor of means.

    Example:
        On the map [[0, 1], [2, 3]] (C = 1, scale 1) the box (0, 0, 2, 2) in 1 x 1 bins gives 1.5.
    """

    ### BEGIN SOLUTION
    def weights(start: Tensor, end: Tensor, bins: int, size: int) -> Tensor:
        steps = torch.arange(bins * sampling_ratio, dtype=boxes.dtype, device=boxes.device)
        at = start[:, None] + (end - start)[:, None] * ((steps + 0.5) / (bins * sampling_ratio))
        inside = (at >= -1) & (at <= size)
        places = torch.arange(size, device=boxes.device)
        near = 1 - (at.clamp(0, size - 1)[..., None] - places).abs()
        near = near.clamp(min=0) * inside[..., None]
        return near.reshape(len(boxes), bins, sampling_ratio, size).mean(dim=2).to(features.dtype)

    x1, y1, x2, y2 = (boxes * spatial_scale - 0.5).unbind(dim=1)
    along_y = weights(y1, y2, output_size[0], features.shape[1])
    along_x = weights(x1, x2, output_size[1], features.shape[2])
    return torch.einsum("kir,crw,kjw->kcij", along_y, features, along_x)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_roi_align", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
x, y = torch.meshgrid(torch.arange(6.0), torch.arange(4.0), indexing="xy")
features = torch.stack([x, 10 * y])  # feature (row r, column c) holds c and 10 r
before = features.clone()
received = roi_align(features, torch.tensor([[2.0, 2.0, 10.0, 6.0]]), (1, 2), 0.5)
expected = torch.tensor([[[[1.5, 3.5]], [[15.0, 15.0]]]])
assert received.shape == (1, 2, 1, 2), f"Expected shape (1, 2, 1, 2), received {tuple(received.shape)}."
assert torch.allclose(received, expected, atol=1e-4), (
    f"Expected {expected.tolist()}, received {received.tolist()}. In the map the box goes from 1 - 0.5 to 5 - 0.5 in x "
    "and from 1 - 0.5 to 3 - 0.5 in y; on such a ramp the mean of a bin is the value at its middle."
)
received = roi_align(features, torch.tensor([[1.25, 1.0, 1.25, 1.0]]), (1, 1), 1.0)
assert torch.allclose(received.flatten(), torch.tensor([0.75, 5.0]), atol=1e-4), (
    f"A box without size is a point: expected [0.75, 5], received {received.flatten().tolist()}. There is no least size."
)
received = roi_align(features + 8, torch.tensor([[-4.0, 1.0, 4.0, 3.0]]), (1, 2), 1.0, 2)
assert torch.allclose(received[0, 0, 0], torch.tensor([0.0, 9.5]), atol=1e-4), (
    f"Expected [0, 9.5], received {received[0, 0, 0].tolist()}. Samples lie at x = -3.5, -1.5, 0.5, 2.5: those below -1 count as 0."
)
assert roi_align(features, torch.zeros(0, 4), (2, 3), 0.5).shape == (0, 2, 2, 3), "No boxes: shape (0, 2, 2, 3)."
assert torch.equal(features, before), "The features that were passed in have changed."
print("roi_align: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("mask_rcnn", "roi_align", globals())
### END HIDDEN TESTS


# %% [markdown]
# ### Task: `MaskHead`
#
# A small fully convolutional network per region: two or more 3 x 3 convolutions with activations (padding 1), a transposed
# convolution 2 x 2 with stride 2 that doubles 14 to 28, an activation, and a 1 x 1 convolution to one mask of logits
# for each class. Every region is for itself (no batch normalisation). Not allowed: torchvision's `MaskRCNNHeads` and
# `MaskRCNNPredictor`.


# %% nbgrader={"grade": false, "grade_id": "MaskHead", "locked": false, "schema_version": 3, "solution": true, "task": false}
class MaskHead(nn.Module):
    """A mask of logits for each class and region.

    Args:
        in_channels: of the region's features.
        num_classes: C.

    Returns (when called with (K, in_channels, 14, 14)):
        (K, C, 28, 28) logits. K may be 0.

    Example:
        MaskHead(8, 3)(torch.rand(5, 8, 14, 14)) has the shape (5, 3, 28, 28).
    """

    def __init__(self, in_channels: int, num_classes: int):
        super().__init__()
        ### BEGIN SOLUTION
        self.first = nn.Conv2d(in_channels, 64, 3, padding=1)
        self.second = nn.Conv2d(64, 64, 3, padding=1)
        self.enlarge = nn.ConvTranspose2d(64, 64, 2, stride=2)
        self.masks = nn.Conv2d(64, num_classes, 1)
        ### END SOLUTION

    def forward(self, regions: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        hidden = F.relu(self.first(regions))
        hidden = F.relu(self.second(hidden))
        hidden = F.relu(self.enlarge(hidden))
        return self.masks(hidden)
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_MaskHead", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
torch.manual_seed(0)
head = MaskHead(6, 3)
regions = torch.randn(4, 6, 14, 14)
received = head(regions)
assert received.shape == (4, 3, 28, 28), f"Expected shape (4, 3, 28, 28), received {tuple(received.shape)}."
assert torch.allclose(received[1:2], head(regions[1:2]), atol=1e-5), "A region's mask should not depend on the others."
assert head(100 * regions).min() < -1, "The masks should be logits, without a sigmoid."
assert head(regions[:0]).shape == (0, 3, 28, 28), "No regions: expected shape (0, 3, 28, 28)."
print("MaskHead: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("mask_rcnn", "MaskHead", globals())
### END HIDDEN TESTS


# %% [markdown]
# ### Task: `mask_loss`
#
# Of the C masks of a region only that of its true class is trained; the others get no gradient from it:
#
# $$L = \frac{1}{K m^2} \sum_{k=1}^{K} \sum_{i,j} \mathrm{BCE}\bigl(\sigma(\ell_{k, c_k, i, j}),\, t_{k,i,j}\bigr) ,$$
#
# with $c_k$ the label of region k. Large logits must not overflow. Without regions the loss is 0, and still has a
# gradient (all zeros), so that training goes on. `F.binary_cross_entropy_with_logits` is allowed; not allowed:
# torchvision's `maskrcnn_loss`.


# %% nbgrader={"grade": false, "grade_id": "mask_loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mask_loss(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of the masks of the true classes.

    Args:
        logits: (K, C, m, m). K may be 0.
        labels: (K,) long tensor, from 0 to C - 1.
        targets: (K, m, m), 0 or 1, of any dtype.

    Returns:
        Scalar tensor, the mean over regions and pixels.

    Example:
        Logits that are all 0: ln 2, whatever the targets.
    """
    ### BEGIN SOLUTION
    if len(labels) == 0:
        return logits.sum() * 0
    own = logits[torch.arange(len(labels), device=labels.device), labels]
    return F.binary_cross_entropy_with_logits(own, targets.to(own.dtype))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_mask_loss", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
logits = torch.zeros(2, 3, 2, 2)
logits[0, 2], logits[1, 0] = 2.0, torch.tensor([[1.0, -1.0], [-3.0, 0.0]])
labels, targets = torch.tensor([2, 0]), torch.tensor([[[1, 1], [1, 0]], [[1, 0], [0, 1]]])
before = logits.clone()
received = mask_loss(logits, labels, targets)
expected = (3 * 0.126928 + 2.126928 + 2 * 0.313262 + 0.048587 + 0.693147) / 8
assert torch.as_tensor(received).shape == (), f"Expected a scalar, received shape {tuple(received.shape)}."
assert abs(float(received) - expected) < 1e-4, (
    f"Expected {expected:.4f}, received {float(received):.4f}: the mean over 2 * 4 pixels of the cross-entropy of channel 2 "
    "of the first region and channel 0 of the second."
)
other = logits.clone()
other[0, :2] = 50.0
assert torch.allclose(mask_loss(other, labels, targets), torch.as_tensor(received)), (
    "Channels of other classes do not count."
)
assert torch.isfinite(mask_loss(500 * logits, labels, targets)), (
    "Large logits should give a large loss, not inf or nan."
)
empty = torch.zeros(0, 3, 2, 2, requires_grad=True)
received = mask_loss(empty, labels[:0], targets[:0])
assert received.item() == 0 and received.requires_grad, f"No regions: expected 0 with a gradient, received {received}."
assert torch.equal(logits, before), "The logits that were passed in have changed."
print("mask_loss: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("mask_rcnn", "mask_loss", globals())
### END HIDDEN TESTS


# %% [markdown]
# ### Task: `paste_masks`
#
# The mask of m x m probabilities fills its box; the picture asks at each pixel's middle (c + 0.5, r + 0.5):
#
# $$u = \frac{c + 0.5 - x_1}{x_2 - x_1}\, m - 0.5, \qquad v = \frac{r + 0.5 - y_1}{y_2 - y_1}\, m - 0.5 ,$$
#
# column u and row v of the mask, interpolated bilinearly, where the mask's own numbers stand at whole u and v and
# everything around the mask is 0. A pixel belongs to the object where this is **at least** `threshold`. Not allowed:
# torchvision's `paste_masks_in_image`, `torch.nn.functional.grid_sample`.


# %% nbgrader={"grade": false, "grade_id": "paste_masks", "locked": false, "schema_version": 3, "solution": true, "task": false}
def paste_masks(masks: Tensor, boxes: Tensor, image_size: tuple[int, int], threshold: float = 0.5) -> Tensor:
    """Masks of boxes as masks of the picture.

    Args:
        masks: (K, m, m) probabilities. K may be 0.
        boxes: (K, 4) tensor x1, y1, x2, y2 in pixels, of positive width and height; may reach beyond the picture.
        image_size: (H, W) in pixels.
        threshold: from here on a pixel belongs to the object.

    Returns:
        (K, H, W) bool tensor.

    Example:
        A 1 x 1 mask [[1.0]] and the box (1, 0, 2, 1) in a picture of 1 x 3: [[False, True, False]].
    """

    ### BEGIN SOLUTION
    def weights(start: Tensor, end: Tensor, size: int) -> Tensor:
        middles = torch.arange(size, dtype=boxes.dtype, device=boxes.device) + 0.5
        at = (middles - start[:, None]) / (end - start)[:, None] * m - 0.5
        places = torch.arange(m, device=boxes.device)
        return (1 - (at[..., None] - places).abs()).clamp(min=0).to(masks.dtype)

    m = masks.shape[-1]
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    along_y, along_x = weights(y1, y2, image_size[0]), weights(x1, x2, image_size[1])
    return torch.einsum("kri,kij,kcj->krc", along_y, masks, along_x) >= threshold
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_paste_masks", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
masks = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 1.0]]])
boxes = torch.tensor([[1.0, 0.0, 5.0, 4.0], [3.0, 1.0, 5.0, 3.0]])
before = masks.clone(), boxes.clone()
received = paste_masks(masks, boxes, (4, 6))
assert received.dtype == torch.bool, f"Expected bool, received {received.dtype}."
assert received.shape == (2, 4, 6), f"Expected shape (2, 4, 6), received {tuple(received.shape)}."
expected = torch.zeros(2, 4, 6, dtype=torch.bool)
expected[0, :2, 1:3] = True
expected[1, 1:3, 3:5] = torch.tensor([[True, True], [False, True]])
assert torch.equal(received[1], expected[1]), (
    f"The second box is as large as its mask, so the mask lands in it as it is. Expected {expected[1].int().tolist()}, "
    f"received {received[1].int().tolist()}."
)
assert torch.equal(received[0], expected[0]), (
    f"Expected {expected[0].int().tolist()}, received {received[0].int().tolist()}. At the four pixels that the first mask's "
    "1 is stretched over it is 0.5625, as u and v are 0.25 or -0.25 (0.75 * 0.75; around the mask everything is 0)."
)
assert torch.equal(paste_masks(masks[:1] * 0.5, boxes[1:], (4, 6))[0].nonzero(), torch.tensor([[1, 3]])), (
    "A probability equal to the threshold is enough."
)
assert paste_masks(masks[:0], boxes[:0], (4, 6)).shape == (0, 4, 6), "No masks: expected shape (0, 4, 6)."
assert torch.equal(masks, before[0]) and torch.equal(boxes, before[1]), "An argument has changed: build new tensors."
print("paste_masks: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("mask_rcnn", "paste_masks", globals())
### END HIDDEN TESTS


# %% [markdown]
# ### Task (bonus): `panoptic_quality`
#
# A predicted and a true segment match if their IoU is above 0.5 (then each has at most one partner; why?). With TP
# matches, FP predictions and FN true segments left over,
#
# $$\mathrm{PQ} = \underbrace{\frac{\sum_{\text{matches}} \mathrm{IoU}}{TP}}_{\mathrm{SQ}} \cdot
# \underbrace{\frac{TP}{TP + FP/2 + FN/2}}_{\mathrm{RQ}} .$$
#
# Pixels whose true id is 0 are *void*: nobody knows what is there. They are left out of every union, and a prediction
# without partner of whose pixels more than half are void is no false positive. If nothing matches, all three are 0.
# Here no pixel of a prediction is without an id. Nothing is forbidden here but torchmetrics' `panoptic_quality`.


# %% nbgrader={"grade": false, "grade_id": "panoptic_quality", "locked": false, "schema_version": 3, "solution": true, "task": false}
def panoptic_quality(pred: Tensor, true: Tensor) -> dict[str, float]:
    """Panoptic quality of one class.

    Args:
        pred: (H, W) whole numbers; pixels with one number are one segment.
        true: (H, W) likewise; 0 is void.

    Returns:
        dict of floats `pq`, `sq`, `rq`.

    Example:
        pred [[1, 1, 1, 2]] and true [[5, 5, 5, 5]]: one match of IoU 0.75, one false positive; sq 0.75, rq 2/3, pq 0.5.
    """
    ### BEGIN SOLUTION
    pairs, counts = torch.unique(torch.stack([pred.flatten(), true.flatten()]), dim=1, return_counts=True)
    size_pred, size_true, void = {}, {}, {}
    for p, t, n in zip(*pairs.tolist(), counts.tolist(), strict=True):
        size_pred[p] = size_pred.get(p, 0) + n
        if t == 0:
            void[p] = n
        else:
            size_true[t] = size_true.get(t, 0) + n
    matched = {}
    for p, t, common in zip(*pairs.tolist(), counts.tolist(), strict=True):
        if t != 0:
            iou = common / (size_pred[p] - void.get(p, 0) + size_true[t] - common)
            if iou > 0.5:
                matched[p] = iou
    if not matched:
        return {"pq": 0.0, "sq": 0.0, "rq": 0.0}
    false = sum(p not in matched and void.get(p, 0) <= size / 2 for p, size in size_pred.items())
    missed = len(size_true) - len(matched)
    sq, rq = sum(matched.values()) / len(matched), len(matched) / (len(matched) + false / 2 + missed / 2)
    return {"pq": sq * rq, "sq": sq, "rq": rq}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_panoptic_quality", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false} extra_credit=3
true = torch.tensor([[1, 1, 1, 1, 2, 2], [1, 1, 1, 1, 2, 2], [0, 0, 0, 3, 3, 3]])
pred = torch.tensor([[7, 7, 7, 9, 9, 9], [7, 7, 7, 9, 9, 9], [7, 8, 8, 8, 4, 4]])
received = panoptic_quality(pred, true)
expected = {"sq": (6 / 8 + 4 / 6 + 2 / 3) / 3, "rq": 3 / 3.0}
expected["pq"] = expected["sq"] * expected["rq"]
for name in ("sq", "rq", "pq"):
    assert abs(received[name] - expected[name]) < 1e-6, (
        f"{name}: expected {expected[name]:.4f}, received {received[name]:.4f}. Matches are 7 with 1 (6 common, the void pixel is left "
        "out: 6/8), 9 with 2 (4/6) and 4 with 3 (2/3); two of the three pixels of 8 are void, so 8 is no false positive."
    )
received = panoptic_quality(torch.tensor([[1, 1, 2, 2]]), torch.tensor([[3, 4, 4, 3]]))
assert received == {"pq": 0.0, "sq": 0.0, "rq": 0.0}, f"Nothing matches: expected zeros, received {received}."
received = panoptic_quality(torch.tensor([[1, 1, 1, 2]]), torch.tensor([[5, 5, 5, 5]]))
assert abs(received["pq"] - 0.5) < 1e-6, (
    f"One match of 0.75 and one false positive: expected 0.5, received {received['pq']}."
)
print("panoptic_quality: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("mask_rcnn", "panoptic_quality", globals())
### END HIDDEN TESTS
