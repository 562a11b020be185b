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
# # 5 Semantic segmentation with the U-Net
#
# The back of the eye is the only place where a doctor can look at blood vessels without cutting. Their width and
# their windings tell of diabetes and high blood pressure, if somebody traces them: slow work, photo by photo. You build
# the network that does it in a fraction of a second. It was made for pictures like these: few of them, every pixel
# counts, and the object is a few pixels wide.
#
# **After this notebook you can**
# - say why accuracy lies about thin objects, and compute what does not: confusion matrix, IoU, Dice;
# - build a U-Net from its parts, and show what its skip connections carry;
# - tell *valid* from *same* convolutions, and follow a size through the paper's network from 572 to 388;
# - choose between cross entropy and soft Dice, knowing what each does to probabilities;
# - predict pictures of any size in tiles without seams, and part touching cells with a weight map;
# - read a result against the agreement of two human annotators.
#
# | | |
# |---|---|
# | You need | PyTorch: tensors, `nn.Module`, autograd. Notebook 01 for IoU |
# | Lecture | Segmentation and object recognition: semantic segmentation, fully convolutional networks, U-Net, applications in medicine |
# | Work | 5 hours; the bonus half an hour more |
# | Run | about 80 seconds and 1.5 GB of memory on two CPU cores; less with a GPU |
#
# **Reading**
# - Ronneberger, Fischer, Brox, [U-Net: convolutional networks for biomedical image
#   segmentation](https://arxiv.org/abs/1505.04597), MICCAI 2015. Eight pages; read them all.
# - Long, Shelhamer, Darrell, [Fully convolutional networks for semantic
#   segmentation](https://arxiv.org/abs/1411.4038), CVPR 2015: the idea before.
# - Milletari et al., [V-Net](https://arxiv.org/abs/1606.04797), 3DV 2016: the soft Dice loss.
# - Maier-Hein, Reinke et al., [Metrics reloaded](https://arxiv.org/abs/2206.01653), Nature Methods 2024: which metric
#   for which question.
# - Fraz et al., [An ensemble classification-based approach applied to retinal blood vessel
#   segmentation](https://doi.org/10.1109/TBME.2012.2205687), IEEE TBME 2012: the data set CHASE_DB1.
#
# **How to work.** Each task is one cell with `raise NotImplementedError()`. Replace that line, run the cell, run the
# tests below it, look at the picture. A function builds new tensors and never changes those it is given. The library
# function that *is* the task is named in the task, and not allowed in its solution.
#
# **Stuck?** Go on. An unsolved task costs you its own tests and picture. Only the training of sections 5 and 7 and the
# real photos of section 9 need your `DoubleConv`, `UNet` and `soft_dice_loss`, as no library has them for you. "Run
# all" stops at the first unsolved task: go on below it, cell by cell. In a terminal, `lfi check
# notebooks/05_unet/unet.ipynb` lists which tasks pass their visible tests.

# %% tags=["setup"]
import copy

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import datasets, micrographs, networks, plotting, training, vessels
from helpers.seeds import SEED, seed_everything

seed_everything()
plotting.use_style()

# %% [markdown]
# ## 1 A class for every pixel
#
# Semantic segmentation gives each pixel a class, here *background* (0) or *vessel* (1). The photos are generated: the
# background is a real retina whose vessels were painted over; on it grow new trees. A vessel of radius $r$ splits into
# $r_1$ and $r_2$ with $r^3 = r_1^3 + r_2^3$ (Murray's law of 1926: pumping and making blood cost least work like
# this), it winds, gets thinner, crosses others; arteries are brighter, with a light streak along the middle. What
# generated photos have and real ones never do: a mask that is *exactly* right.
#
# The network gets the green channel, in which blood is darkest, minus its local mean and divided by its local
# deviation: so it need not learn about uneven light.

# %% tags=["long"]
train_photos, test_photos = vessels.generate_set(20, seed=1), vessels.generate_set(4, seed=2)
train_images, train_labels = (torch.from_numpy(part) for part in vessels.stack(train_photos))
test_images, test_labels = (torch.from_numpy(part) for part in vessels.stack(test_photos))
print("images", tuple(train_images.shape), train_images.dtype, " labels", tuple(train_labels.shape), train_labels.dtype)

photo = test_photos[1]
titles = ["photo", "input: green, normalised", "truth"]
plotting.side_by_side([photo.image, test_images[1, 0].numpy() / 6 + 0.5, photo.vessels.astype(float)], titles)
plt.show()

# %% [markdown]
# **Predict first:** a program answers "background" for every pixel of every photo. How many per cent of the pixels
# does it get right: about 50, 70, 90?
#
# ### Task: `confusion_matrix`
#
# Everything that counts pixels starts from one table: entry $(i, j)$ is the number of pixels whose true class is $i$
# and which were called $j$. Truth goes down the rows. Pixels that nobody has labelled (or that lie outside the
# camera's round field, as here) have the target `ignore_index` and are dropped; what was *predicted* there, or
# elsewhere, never drops a pixel. No loop over pixels is needed: number the cells of the table row by row and count
# how often each number occurs (`torch.bincount`). Label images are often stored as `uint8`, in which 20 * 19 is 124:
# convert before you multiply. Not allowed: `sklearn.metrics.confusion_matrix`.


# %% nbgrader={"grade": false, "grade_id": "confusion_matrix", "locked": false, "schema_version": 3, "solution": true, "task": false}
def confusion_matrix(pred: Tensor, target: Tensor, num_classes: int, ignore_index: int | None = None) -> Tensor:
    """Count how often each true class was given each class.

    Args:
        pred: (N, H, W) integers, predicted classes. N may be 0.
        target: (N, H, W) integers, true classes; any integer dtype, also uint8.
        num_classes: C; classes are 0 to C - 1.
        ignore_index: pixels with this target are dropped, for example 255, -1 or 0; None drops none.

    Returns:
        (C, C) long tensor; entry (i, j): number of pixels with target i and prediction j.

    Example:
        pred = [[[0, 1, 1]]] and target = [[[0, 0, 1]]] with 2 classes: [[1, 1], [0, 1]].
    """
    ### BEGIN SOLUTION
    pred, target = pred.flatten().long(), target.flatten().long()
    if ignore_index is not None:
        keep = target != ignore_index
        pred, target = pred[keep], target[keep]
    cells = target * num_classes + pred
    return torch.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_confusion_matrix", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
pred = torch.tensor([[[0, 1, 1, 2], [0, 0, 2, 2]]])
target = torch.tensor([[[0, 0, 1, 2], [0, 1, 1, 0]]])
before = pred.clone(), target.clone()
expected = torch.tensor([[2, 1, 1], [1, 1, 1], [0, 0, 1]])
received = confusion_matrix(pred, target, 3)
assert tuple(received.shape) == (3, 3), f"Expected shape (3, 3), received {tuple(received.shape)}."
assert received.dtype == torch.int64, f"Counts are whole numbers: expected torch.int64, received {received.dtype}."
assert torch.equal(received, expected), (
    f"Expected {expected.tolist()}, received {received.tolist()}. The true class is the row, the predicted one the column."
)
received = confusion_matrix(pred, target, 3, ignore_index=2)
expected = torch.tensor([[2, 1, 1], [1, 1, 1], [0, 0, 0]])
assert torch.equal(received, expected), (
    f"Target 2 ignored: expected {expected.tolist()}, received {received.tolist()}. "
    "Only the pixel whose target is 2 is dropped; pixels that were predicted as 2 stay."
)
received = confusion_matrix(pred, target, 3, ignore_index=0)
assert torch.equal(received[0], torch.zeros(3, dtype=torch.int64)), (
    f"Target 0 ignored: expected zeros in row 0, received {received.tolist()}. 0 is a class like others, also in `if`."
)
unlabelled = torch.where(target == 1, -1, target)
received = confusion_matrix(pred, unlabelled, 3, ignore_index=-1)
expected = torch.tensor([[2, 1, 1], [0, 0, 0], [0, 0, 1]])
assert torch.equal(received, expected), (
    f"Target -1 ignored: expected {expected.tolist()}, received {received.tolist()}. A negative label is obeyed, too."
)
many = torch.full((1, 2, 3), 19, dtype=torch.uint8)
received = confusion_matrix(many, many, 20)
assert received[19, 19] == 6, (
    f"Six pixels of class 19 of 20, as uint8: expected 6 in the last cell, received {received[19, 19]}. "
    "8-bit integers start again at 0 after 255: convert before you multiply."
)
received = confusion_matrix(pred[:0], target[:0], 3)
assert torch.equal(received, torch.zeros(3, 3, dtype=torch.int64)), f"No images: expected zeros, received {received}."
assert torch.equal(pred, before[0]) and torch.equal(target, before[1]), "A tensor that was passed in has changed."
print("confusion_matrix: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("unet", "confusion_matrix", globals())
### END HIDDEN TESTS

# %% [markdown]
# ### Task: `mean_iou`
#
# From the table follows the IoU of each class, and their mean, the usual figure of semantic segmentation:
#
# $$\mathrm{IoU}_c = \frac{M_{cc}}{\sum_j M_{cj} + \sum_i M_{ic} - M_{cc}} .$$
#
# A class that is neither there nor predicted has 0 / 0 and is left out of the mean; one that is predicted but not
# there counts as 0. With no class left the mean is nan. Not allowed: `sklearn.metrics.jaccard_score`.


# %% nbgrader={"grade": false, "grade_id": "mean_iou", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mean_iou(confusion: Tensor) -> float:
    """Mean over classes of intersection over union.

    Args:
        confusion: (C, C) counts, true classes in rows.

    Returns:
        Python float in [0, 1]; classes in neither truth nor prediction are left out; nan if that leaves none.

    Example:
        mean_iou(torch.tensor([[2, 1], [1, 4]])) is (2 / 4 + 4 / 6) / 2 = 0.5833.
    """
    ### BEGIN SOLUTION
    confusion = confusion.double()
    both = confusion.diag()
    union = confusion.sum(dim=0) + confusion.sum(dim=1) - both
    return float((both / union)[union > 0].mean())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_mean_iou", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
received = mean_iou(torch.tensor([[2, 1], [1, 4]]))
assert isinstance(received, float), f"Expected a Python float, received {type(received).__name__}: use float(...)."
assert abs(received - 7 / 12) < 1e-6, f"Expected (2 / 4 + 4 / 6) / 2 = 0.5833, received {received:.4f}."
received = mean_iou(torch.tensor([[6, 2], [0, 1]]))
assert abs(received - (6 / 8 + 1 / 3) / 2) < 1e-6, (
    f"Expected (6 / 8 + 1 / 3) / 2 = 0.5417, received {received:.4f}. The union is row + column - diagonal; IoU is "
    "neither recall (diagonal / row) nor accuracy."
)
received = mean_iou(torch.tensor([[2, 1, 0], [1, 4, 0], [0, 0, 0]]))
assert abs(received - 7 / 12) < 1e-6, (
    f"Class 2 occurs nowhere and is left out: expected 0.5833, received {received:.4f}."
)
received = mean_iou(torch.tensor([[2, 0, 2], [0, 4, 0], [0, 0, 0]]))
assert abs(received - 0.5) < 1e-6, (
    f"Class 2 is predicted but never true, and counts as 0: expected (2 / 4 + 1 + 0) / 3 = 0.5, received {received:.4f}."
)
received = mean_iou(torch.zeros(3, 3, dtype=torch.int64))
assert np.isnan(received), f"No pixels at all: expected nan, received {received}."
print("mean_iou: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("unet", "mean_iou", globals())
### END HIDDEN TESTS

# %% [markdown]
# ### Task: `dice_score`
#
# Medicine prefers the overlap of Dice (1945), also called F1:
#
# $$\mathrm{Dice}(P, T) = \frac{2\,|P\cap T|}{|P| + |T|} = \frac{2\,\mathrm{IoU}}{1 + \mathrm{IoU}} .$$
#
# Here one number for each image, and 1 where both masks are empty: nothing to find, nothing found. Not allowed:
# `sklearn.metrics.f1_score`, `scipy.spatial.distance.dice`.


# %% nbgrader={"grade": false, "grade_id": "dice_score", "locked": false, "schema_version": 3, "solution": true, "task": false}
def dice_score(pred: Tensor, target: Tensor) -> Tensor:
    """Dice overlap of masks, image by image.

    Args:
        pred: (N, H, W) bool. N may be 0.
        target: (N, H, W) bool.

    Returns:
        (N,) float tensor in [0, 1]; 1 where both masks are empty.

    Example:
        pred = [[[1, 1, 0]]] and target = [[[0, 1, 0]]] (as bool): 2 * 1 / (2 + 1), so [0.6667].
    """
    ### BEGIN SOLUTION
    both = (pred & target).sum(dim=(1, 2))
    total = pred.sum(dim=(1, 2)) + target.sum(dim=(1, 2))
    return torch.where(total > 0, 2 * both / total.clamp(min=1), 1.0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_dice_score", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
pred = torch.tensor([[[1, 1, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]], [[0, 0, 0], [1, 0, 0]]], dtype=torch.bool)
target = torch.tensor([[[0, 1, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]], [[0, 1, 1], [0, 1, 0]]], dtype=torch.bool)
before = pred.clone(), target.clone()
received = dice_score(pred, target)
assert tuple(received.shape) == (3,), f"Expected shape (3,), a number for each image; received {tuple(received.shape)}."
assert abs(float(received[0]) - 2 / 3) < 1e-6, (
    f"One shared pixel, masks of 2 and 1: expected 2 * 1 / (2 + 1) = 0.6667, received {float(received[0]):.4f}. "
    "0.5 would be IoU; the pixels of different images do not mix."
)
assert abs(float(received[1]) - 1) < 1e-5, f"Both masks empty: expected 1, received {float(received[1])}."
assert abs(float(received[2])) < 1e-5, f"Nothing in common: expected 0, received {float(received[2])}."
received = dice_score(pred[1:2], target[2:])
assert abs(float(received)) < 1e-5, (
    f"Objects there, and nothing predicted: expected 0, received {float(received)}. Only where *both* are empty it is 1."
)
received = dice_score(pred[2:], target[1:2])
assert abs(float(received)) < 1e-5, (
    f"Nothing there, and something predicted: expected 0, received {float(received)}. Only where *both* are empty it is 1."
)
large = torch.ones(1, 20, 30, dtype=torch.bool)
assert float(dice_score(large, large)) == 1, (
    f"A mask and itself: expected 1, received {float(dice_score(large, large))}."
)
assert tuple(dice_score(pred[:0], target[:0]).shape) == (0,), "No images: the shape should be (0,)."
assert torch.equal(pred, before[0]) and torch.equal(target, before[1]), "A tensor that was passed in has changed."
print("dice_score: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("unet", "dice_score", globals())
### END HIDDEN TESTS

# %% [markdown]
# Four answers to the photo above, judged inside the camera's field:
#
# - *nothing*: every pixel is background;
# - *threshold*: every pixel that is darker than its surroundings by one deviation is vessel;
# - *shifted*: the truth itself, moved by a single pixel to the right;
# - *thinned*: the truth without the outermost pixel on the left and right of each vessel.
#
# **Predict first:** rank the four by accuracy, then by Dice. What Dice does the truth get that slipped by one pixel?

# %% tags=["long", "nbval-check-output"]
from sklearn import metrics

truth = torch.from_numpy(photo.vessels)
answers = {
    "nothing": torch.zeros_like(truth),
    "threshold": test_images[1, 0] < -1,
    "shifted": truth.roll(1, dims=1),
    "thinned": -F.max_pool2d(-truth[None].float(), (1, 3), 1, (0, 1))[0] > 0,
}
inside = torch.from_numpy(photo.field)
labels = torch.where(inside, truth.long(), 255)  # 255: outside the field, not judged
print("            accuracy  mean IoU   Dice   Dice of sklearn")
for name, answer in answers.items():
    table = confusion_matrix(answer[None].long(), labels[None], 2, ignore_index=255)
    dice = float(dice_score((answer & inside)[None], (truth & inside)[None]))
    reference = metrics.f1_score(truth[inside], answer[inside], zero_division=0)
    print(f"{name:10}{table.diag().sum() / table.sum():10.3f}{mean_iou(table):10.3f}{dice:7.3f}{reference:11.3f}")

# %% tags=["long"]
# This cell only draws: you need not read it.
rows, columns = slice(120, 280), slice(180, 380)
shown = [photo.image[rows, columns]]
shown += [plotting.error_map(answer.numpy(), photo.vessels)[rows, columns] for answer in answers.values()]
plotting.side_by_side(shown, ["photo", *answers], height=1.55)
plt.show()

# %% [markdown]
# White: vessel, found. Blue: missed. Orange: false alarm.
#
# <details><summary>Resolution</summary>
#
# "Nothing" is right in six of seven pixels. By accuracy *shifted* and *thinned* tie at 0.953: they err in nearly the
# same number of pixels. Dice tells them apart, 0.83 and 0.79: it divides the errors by the sizes of both masks
# together, and the thinned one is smaller. One pixel of slip, which no doctor would notice, costs 17 points of
# Dice: at vessels two or three pixels wide most of the area is edge. So Dice is strict with thin things, and a Dice of
# 0.8 can be an excellent tracing. What *is* excellent? Two trained people traced the 28 real photos of CHASE_DB1: on
# the eight test photos of section 9 the second agrees with the first to a Dice of 0.807. That line, **two
# annotators**, is drawn into every result below. (Generated masks are exact, so there a network may climb above it.)
# </details>

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_accuracy", "locked": true, "schema_version": 3, "solution": false, "task": false}
# ### Question: why accuracy lies
#
# In a test photo 12 % of the 150 000 pixels of the field are vessel. Network A answers "background" everywhere.
# Network B finds 80 % of the vessel pixels, and two thirds of the pixels that it calls vessel are vessel. (a) Give
# accuracy and Dice of both. (b) Somebody reports the accuracy of B over the whole picture, of which the round
# field covers 65 %; outside it B answers "background", which is right. What happens to accuracy and to Dice, and why?
# (c) A third network has an IoU of 0.65 for vessels. Is it better than B?
#
# === BEGIN MARK SCHEME ===
# 1 point (a): 18000 vessel pixels. A: accuracy 0.88, Dice 0. B: TP 14400, FN 3600, FP 7200; accuracy 1 - 10800/150000 = 0.928,
#   Dice 2*14400/(18000+21600) = 0.727 (half a point for each network).
# 1 point (b): accuracy rises to 1 - 0.072*0.65 = 0.953, as easy background is added to numerator and denominator; Dice
#   stays, since true negatives do not enter it.
# 1 point (c): yes: Dice = 2*0.65/1.65 = 0.788 > 0.727 (or IoU of B = 14400/25200 = 0.571); Dice and IoU rank alike.
# Common wrong answers: Dice of A "undefined" (it is 0, vessels are there); comparing 0.65 with 0.727 directly.
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_accuracy", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# (a) There are 18 000 vessel pixels. A: accuracy 0.88, Dice 0. B finds 14 400 of them and misses 3 600; it calls 14 400
# / (2/3) = 21 600 pixels vessel, 7 200 of them wrongly. Accuracy 1 - 10 800 / 150 000 = 0.928; Dice 2 * 14 400 /
# (18 000 + 21 600) = 0.727. Five points of accuracy lie between a useless and a usable answer.
#
# (b) The errors stay the same 10 800 pixels, but now of 230 769: accuracy rises to 0.953, though nothing was improved.
# Dice does not contain true negatives, so it stays 0.727.
#
# (c) B has IoU 14 400 / (18 000 + 21 600 - 14 400) = 0.571, so the third one is better; or, the other way round, its
# Dice is 2 * 0.65 / 1.65 = 0.788. One is a rising function of the other: for one class they rank alike.

# %% [markdown]
# ## 2 The network
#
# A classifier shrinks a picture to one answer. Segmentation needs both *what* (a large view, so small maps) and
# *where* (full resolution). The U-Net goes down, halving the maps and doubling the channels, and up again; on the way
# up each level gets back the map of the same size from the way down, by a **skip connection**:
#
# ```
# input ── DoubleConv ──────────────── skip ────────────────► cat ─ DoubleConv ── 1x1 ── logits    H,    base
#              │ max-pool 2                                    ▲ up
#          DoubleConv ──────────── skip ───────► cat ─ DoubleConv                                  H/2,  2 base
#              │ max-pool 2                       ▲ up
#          DoubleConv ──── skip ───► cat ─ DoubleConv                                              H/4,  4 base
#              │ max-pool 2          ▲ up
#              └────── DoubleConv ───┘                                                             H/8,  8 base
# ```
#
# "up" is `nn.ConvTranspose2d(2 * c, c, 2, stride=2)`: twice the size, half the channels (notebook 06 takes it apart).
# "cat" puts maps behind each other along the channels. The last 1x1 convolution makes `num_classes` logits of `base`
# channels; no softmax, the loss wants logits.
#
# ### Task: `DoubleConv`
#
# Two 3x3 convolutions, each followed by an activation (the paper's: ReLU; another one will do). Padding 1 keeps the
# size. A layer that normalises between convolution and activation is allowed and not needed here. The class is an
# `nn.Module`: call `super().__init__()` first.


# %% nbgrader={"grade": false, "grade_id": "DoubleConv", "locked": false, "schema_version": 3, "solution": true, "task": false}
class DoubleConv(nn.Module):
    """Twice in a row: 3x3 convolution with padding 1, then an activation.

    Args:
        in_channels: of the input.
        out_channels: of the output.

    Called with (N, in_channels, H, W), gives (N, out_channels, H, W).

    Example:
        DoubleConv(1, 6)(torch.zeros(2, 1, 9, 7)) has the shape (2, 6, 9, 7).
    """

    def __init__(self, in_channels: int, out_channels: int):
        ### BEGIN SOLUTION
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.ReLU(),
        )
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        return self.layers(x)
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_DoubleConv", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
block = DoubleConv(1, 6)
received = block(torch.randn(2, 1, 9, 7))
assert tuple(received.shape) == (2, 6, 9, 7), (
    f"Expected shape (2, 6, 9, 7), received {tuple(received.shape)}. Padding 1 keeps height and width; channels come "
    "before them."
)
sizes = [tuple(p.shape) for p in block.parameters() if p.ndim == 4]
assert len(sizes) == 2 and all(size[2:] == (3, 3) for size in sizes), (
    f"Expected the weights of exactly two 3x3 convolutions, found {sizes}. Layers must be attributes (or in "
    "nn.Sequential, nn.ModuleList): PyTorch does not find them in a plain list."
)
x = torch.randn(8, 1, 33, 39, requires_grad=True)
DoubleConv(1, 16).eval()(x)[:, :, 16, 19].sum().backward()
found = x.grad.abs().mean(dim=0)[0]
rows, columns = (found > 0.03 * found.max()).nonzero().T  # the trace that layers leave which normalise is fainter
received = int(rows.max() - rows.min() + 1), int(columns.max() - columns.min() + 1)
assert received == (5, 5), f"An output pixel should depend on 5 x 5 input pixels; it depends on {received}."
block.eval()
a, b = torch.randn(2, 1, 1, 9, 7)
straight = block(a) + block(b) - block(torch.zeros(1, 1, 9, 7))
assert not torch.allclose(block(a + b), straight, atol=1e-5), (
    "Your block is a linear function: activations are missing. (A layer that normalises is none.)"
)
low, high = torch.minimum(block(a), block(b)), torch.maximum(block(a), block(b))
middle = block((a + b) / 2)
assert ((middle < low - 1e-5) | (middle > high + 1e-5)).any(), (
    "Halfway between two images the output always lies between their outputs: the activation after the first "
    "convolution is missing."
)
square = DoubleConv(4, 4)
square(torch.randn(2, 4, 9, 7)).square().sum().backward()
unused = [name for name, parameter in square.named_parameters() if parameter.grad is None]
assert not unused, f"DoubleConv(4, 4) makes no use of {unused}: is one convolution called twice?"
with torch.no_grad():
    for name, parameter in block.named_parameters():
        if name.endswith("bias"):
            parameter.fill_(1)
    kernel = [p for p in block.parameters() if p.shape[:2] == (6, 6)][0]
    both = block(10 * x)
    kernel.neg_()
    both += block(10 * x)
    assert both.max() - both.min() > 0.01 or not any(name.endswith("bias") for name, _ in block.named_parameters()), (
        "Weights of opposite sign in the second convolution give opposite outputs (but for the bias): the activation "
        "after it is missing."
    )
print("DoubleConv: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("unet", "DoubleConv", globals())
### END HIDDEN TESTS


# %% [markdown]
# ### Task: `UNet`
#
# Build it after the sketch, with your `DoubleConv`, for any `base` and `depth`. Two things to mind:
#
# - *Sizes.* A map of odd size loses a row or column when it is pooled, and then does not fit its skip connection. The
#   output must be as large as the input for every H, W of at least `2**depth`. Either pad the input up to a multiple
#   of `2**depth` and cut the output back, or bring every upsampled map to the size of its partner. Cut off on the side
#   where you padded: rows added above and cut off below shift the whole output.
# - *Layers in loops.* `nn.ModuleList` makes PyTorch see them.
#
# (Adding the two maps where the sketch puts them behind each other is a skip connection as well, and is accepted.) Not
# allowed: ready-made segmentation networks (`torchvision.models.segmentation`, `torch.hub`).


# %% nbgrader={"grade": false, "grade_id": "UNet", "locked": false, "schema_version": 3, "solution": true, "task": false}
class UNet(nn.Module):
    """Encoder and decoder with skip connections (Ronneberger et al. 2015), with padded convolutions.

    Args:
        in_channels: of the images.
        num_classes: of the logits.
        base: channels of the first level; each level below has twice as many.
        depth: number of poolings; there are depth + 1 levels and depth skip connections.

    Called with images (N, in_channels, H, W), where H and W are at least 2**depth but need not be multiples of it,
    gives logits (N, num_classes, H, W).

    Example:
        UNet(3, 2, base=4, depth=2)(torch.zeros(1, 3, 13, 22)) has the shape (1, 2, 13, 22).
    """

    def __init__(self, in_channels: int, num_classes: int, base: int = 16, depth: int = 3):
        ### BEGIN SOLUTION
        super().__init__()
        widths = [base * 2**level for level in range(depth + 1)]
        pairs = list(zip(widths, widths[1:], strict=False))
        self.encoder = nn.ModuleList(
            DoubleConv(before, after) for before, after in zip([in_channels, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(below, here, 2, stride=2) for here, below in pairs)
        self.decoder = nn.ModuleList(DoubleConv(2 * here, here) for here, _ in pairs)
        self.head = nn.Conv2d(base, num_classes, 1)
        self.multiple = 2**depth
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple))
        maps = []
        for level, block in enumerate(self.encoder):
            x = block(F.max_pool2d(x, 2) if level else x)
            maps.append(x)
        for level in reversed(range(len(self.decoder))):
            x = self.decoder[level](torch.cat([maps[level], self.up[level](x)], dim=1))
        return self.head(x)[:, :, :height, :width]
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_UNet", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
seed_everything(0)
for depth, height, width in ((1, 8, 6), (2, 16, 24), (2, 13, 22), (3, 8, 15)):
    received = UNet(3, 5, base=4, depth=depth)(torch.randn(2, 3, height, width))
    assert tuple(received.shape) == (2, 5, height, width), (
        f"depth {depth}, images of {height} x {width}: expected logits of shape (2, 5, {height}, {width}), received "
        f"{tuple(received.shape)}."
    )
counts = [sum(p.numel() for p in UNet(1, 2, base=base, depth=2).parameters()) for base in (4, 8)]
assert 3 < counts[1] / counts[0] < 4.5, (
    f"Twice the base should be nearly four times the parameters, received {counts[0]} and {counts[1]}."
)
assert counts[0] > 5300, (
    f"base 4, depth 2: PyTorch finds {counts[0]} parameters. The way down alone has 4556, the way up more than 800: do layers "
    "lie in a plain list?"
)
probe = UNet(1, 3, base=4, depth=2).eval()
widest = max(p.shape[0] for p in probe.parameters() if p.ndim == 4 and p.shape[2:] == (3, 3))
assert widest == 16, (
    f"base 4, depth 2: the lowest level should have 4 * 2**2 = 16 channels, the widest found is {widest}."
)
received = torch.cat([UNet(1, 5, base=4, depth=1)(torch.randn(2, 1, 8, 6)) for _ in range(4)])
assert (received < 0).any() and not torch.allclose(received.sum(dim=1), torch.ones(8, 8, 6)), (
    "The outputs are never negative, or sum to 1 over the classes: expected are logits, without softmax or activation."
)
with torch.no_grad():
    for name, parameter in probe.named_parameters():
        if name.endswith("bias"):
            parameter.fill_(1)  # so that no ReLU is silent
x = torch.randn(4, 1, 16, 64, requires_grad=True)
probe(x)[:, :, 8, 32].sum().backward()
reach = int((x.grad != 0).any(dim=0)[0].any(dim=0).sum())
assert reach > 30, (
    f"One output pixel should see more than 30 columns of the input, it sees {reach}: is anything pooled?"
)
odd = torch.randn(1, 1, 13, 22, requires_grad=True)
probe(odd)[:, :, 12, 21].sum().backward()
assert odd.grad[0, 0, 12, 21] != 0, (
    "13 x 22 pixels: the last output pixel does not depend on the last input pixel. Rows or columns that do not fit are "
    "lost; pad the image (or the small maps) instead of cutting it."
)
with torch.no_grad():
    for parameter in probe.parameters():
        if parameter.shape[0] >= 16:  # all that the lowest level computes becomes 0
            parameter.zero_()
x.grad = None
probe(x)[:, :, 8, 32].sum().backward()
reach = int((x.grad != 0).any(dim=0)[0].any(dim=0).sum())
assert reach > 9, (
    f"With the lowest level set to 0 an output pixel sees {reach} columns of the input, no more than the first level "
    "alone would show: the skip connection of the second level is missing."
)
with torch.no_grad():
    for parameter in probe.parameters():
        if parameter.shape[0] >= 8:  # all that the levels below the first one compute becomes 0
            parameter.zero_()
    one, other = probe(torch.randn(2, 1, 16, 24))
assert not torch.allclose(one, other), (
    "With all maps below full resolution set to 0 the output does not depend on the input any more: "
    "the skip connection of the first level is missing."
)
seen = torch.zeros(21, 26)  # how strongly each input pixel acts on the output pixel (10, 12), first level only
for _ in range(4):
    probe = UNet(1, 2, base=4, depth=3).eval()
    with torch.no_grad():
        for name, parameter in probe.named_parameters():
            if name.endswith("bias") or parameter.shape[0] >= 8:
                parameter.fill_(parameter.shape[0] < 8)
    x = torch.randn(8, 1, 21, 26, requires_grad=True)
    probe(x)[:, :, 10, 12].sum().backward()
    seen += x.grad.square().mean(dim=(0, 1))
middle = float((seen.sum(dim=1) * torch.arange(21)).sum() / seen.sum())
middle = middle, float((seen.sum(dim=0) * torch.arange(26)).sum() / seen.sum())
assert abs(middle[0] - 10) < 1.5 and abs(middle[1] - 12) < 1.5, (
    f"Images of 21 x 26: output pixel (10, 12) looks at the input around ({middle[0]:.1f}, {middle[1]:.1f}). The output "
    "is shifted: cut off what you padded on the side where you padded it."
)
print("UNet: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("unet", "UNet", globals())
### END HIDDEN TESTS


# %% [markdown]
# ### What does one output pixel see?
#
# Autograd measures the receptive field: the gradient of one output pixel with respect to the input is 0 exactly at
# pixels that cannot influence it. **Predict first:** a 3x3 convolution sees 3 x 3, two in a row 5 x 5. How wide does
# a U-Net of depth 3 see?


# %%
def influence(net: nn.Module, size: int = 121) -> Tensor:
    """Mean size of the gradient of the middle output pixel with respect to each input pixel, (size, size)."""
    x = torch.randn(16, 1, size, size, requires_grad=True)
    net(x)[:, :, size // 2, size // 2].sum().backward()
    return x.grad.abs().mean(dim=(0, 1))


seed_everything(0)
nets = {"3x3": nn.Conv2d(1, 8, 3, padding=1), "DoubleConv": DoubleConv(1, 8)}
nets |= {f"UNet, depth {depth}": UNet(1, 2, base=8, depth=depth) for depth in (1, 2, 3)}
maps = {name: influence(net) for name, net in nets.items()}
widths = {name: int((found > 0).any(dim=0).sum()) for name, found in maps.items()}
shown = [np.log10(found.numpy() / found.max().item() + 1e-6) / 6 + 1 for found in maps.values()]
plotting.side_by_side(shown, [f"{name}: {width}" for name, width in widths.items()], height=1.7)
plt.show()

# %% [markdown]
# The brightness is logarithmic: from white to black are six powers of ten.
#
# <details><summary>Resolution</summary>
#
# Depth 3 sees 100 columns, but the middle counts some orders of magnitude more than the rim: the *effective*
# receptive field is much smaller than the possible one (Luo et al., 2016). It is not even centred: a pixel's place in
# its 8 x 8 block of the lowest map decides how far it sees to each side.
# </details>
#
# ## 3 Valid or same
#
# The paper does not pad: a 3x3 convolution without padding (*valid*) turns n pixels into n - 2, and a picture of 572
# becomes a map of 388. All that comes out was computed from real pixels only, at the price of a smaller output, and
# each skip connection has to be cropped. Our `DoubleConv` pads with zeros (*same*): sizes stay, but near the border the
# network sees an invented black frame. Section 6 shows how far that reaches.
#
# ### Task: `valid_output_size`
#
# Follow one side of the picture through the paper's network: on each of the `depth` levels going down, two valid 3x3
# convolutions (4 pixels less), then 2x2 pooling, for which the size has to be even. At the bottom two convolutions.
# Going up, each level doubles the size and loses 4 again. A `ValueError` if a size before pooling is odd or any size
# drops below 1.


# %% nbgrader={"grade": false, "grade_id": "valid_output_size", "locked": false, "schema_version": 3, "solution": true, "task": false}
def valid_output_size(size: int, depth: int = 4) -> int:
    """Output size of the paper's U-Net without padding.

    Args:
        size: side of the input in pixels.
        depth: number of poolings.

    Returns:
        Side of the output in pixels.

    Raises:
        ValueError: a size before pooling is odd, or a size drops below 1.

    Example:
        valid_output_size(572) is 388. With depth 1: 20 -> 16 | 8 -> 4 | 8 -> 4, so valid_output_size(20, 1) is 4.
    """
    ### BEGIN SOLUTION
    for _ in range(depth):
        size -= 4
        if size < 1 or size % 2:
            raise ValueError(f"{size} pixels can not be pooled")
        size //= 2
    size -= 4
    for _ in range(depth):
        if size < 1:
            raise ValueError("the input is too small")
        size = 2 * size - 4
    if size < 1:
        raise ValueError("the input is too small")
    return size
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_valid_output_size", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
for size, depth, expected in ((20, 1, 4), (7, 0, 3), (572, 4, 388), (44, 2, 4)):
    received = valid_output_size(size, depth)
    assert received == expected, (
        f"valid_output_size({size}, {depth}): expected {expected}, received {received}. Write the sizes down level by "
        "level; at the bottom are two convolutions, too."
    )
assert isinstance(valid_output_size(572), int), "Sizes are whole numbers: divide with //."
assert valid_output_size(572) == 388, f"Depth 4 if not told otherwise: expected 388, received {valid_output_size(572)}."
for size, depth, why in (
    (21, 1, "17 is odd"),
    (98, 2, "47 - 4 = 43 is odd"),
    (4, 0, "nothing is left"),
    (12, 1, "4 - 4 = 0"),
):
    try:
        received = valid_output_size(size, depth)
    except ValueError:
        continue
    raise AssertionError(f"valid_output_size({size}, {depth}): expected a ValueError ({why}), received {received}.")
print("valid_output_size: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("unet", "valid_output_size", globals())
### END HIDDEN TESTS


# %% [markdown]
# The figure compares your function with layers: for each size of input a network of valid convolutions and poolings
# is run on zeros. Only every 16th size works at all; each loses 184 pixels, and below 188 nothing is left.


# %%
def run_valid(size: int, depth: int) -> int:
    """Width that comes out of real layers without padding; 0 where a size is odd before pooling or too small."""
    x = torch.zeros(1, 1, 9, size)
    conv = nn.Conv2d(1, 1, (1, 3))
    for level in range(2 * depth + 1):
        if x.shape[3] < 5:
            return 0
        x = conv(conv(x))
        if level < depth and x.shape[3] % 2:
            return 0
        if level < 2 * depth:
            x = F.max_pool2d(x, (1, 2)) if level < depth else x.repeat_interleave(2, dim=3)
    return x.shape[3]


def yours(size: int, depth: int) -> int:
    """Your function, with 0 where it raises ValueError."""
    try:
        return valid_output_size(size, depth)
    except ValueError:
        return 0


tried = np.arange(100, 600, 4)
figure, ax = plt.subplots(figsize=(5.2, 2.5))
with torch.no_grad():
    ax.plot(
        tried,
        [run_valid(size, 4) for size in tried],
        "o",
        markersize=6,
        markerfacecolor="none",
        color=plotting.BLACK,
        label="layers",
    )
ax.plot(tried, [yours(size, 4) for size in tried], "o", markersize=2.5, color=plotting.RED, label="yours")
ax.annotate("572 to 388", (572, 388), (430, 390), arrowprops={"arrowstyle": "-"})
ax.set(xlabel="input (pixels)", ylabel="output (0: error)")
ax.legend()
plt.show()

# %% [markdown]
# ## 4 A loss for few pixels
#
# Cross entropy asks every pixel alike, and six of seven are background: at first the network learns to say
# "background". The Dice overlap is indifferent to background, but counts pixels, and counting has no gradient. Put
# probabilities in place of zeros and ones, and it has (*soft* Dice; Milletari et al., 2016).
#
# ### Task: `soft_dice_loss`
#
# With $p = \mathrm{softmax}(\text{logits})$ over the classes and $t$ the one-hot truth, for image $n$ and class $c$
#
# $$d_{nc} = \frac{2\sum_{x} p_{ncx}\,t_{ncx} + \varepsilon}{\sum_{x} p_{ncx} + \sum_{x} t_{ncx} + \varepsilon},
# \qquad L = 1 - \frac{1}{NC}\sum_{n,c} d_{nc} .$$
#
# The sums run over the pixels of one image; $\varepsilon = 10^{-6}$ (not more) makes an absent class that nobody
# predicts count as 1. The background, class 0, is a class like the others.


# %% nbgrader={"grade": false, "grade_id": "soft_dice_loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def soft_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """One minus the mean soft Dice of all images and classes.

    Args:
        logits: (N, C, H, W) floats.
        target: (N, H, W) long, classes 0 to C - 1.

    Returns:
        Scalar tensor in [0, 1], of the dtype of the logits, with gradient.

    Example:
        One image of 1 x 2 pixels, two classes, all logits 0 (so p = 0.5), target [[[0, 0]]]: class 0 has
        2 * 1 / (1 + 2) = 2/3, class 1 has 0 / (1 + 0) = 0 (up to epsilon): 1 - (2/3 + 0) / 2 = 0.6667.
    """
    ### BEGIN SOLUTION
    p = logits.softmax(dim=1)
    t = F.one_hot(target, logits.shape[1]).movedim(-1, 1).to(p.dtype)
    both = (p * t).sum(dim=(2, 3))
    total = p.sum(dim=(2, 3)) + t.sum(dim=(2, 3))
    return 1 - ((2 * both + 1e-6) / (total + 1e-6)).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_soft_dice_loss", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
target = torch.tensor([[[0, 1, 1], [0, 0, 0]], [[1, 1, 1], [1, 1, 1]]])
sure = 30 * F.one_hot(target, 2).movedim(-1, 1).float()
received = soft_dice_loss(sure[:1], target[:1])
assert received.shape == (), f"Expected a scalar, received the shape {tuple(received.shape)}."
assert abs(float(received)) < 1e-4, (
    f"One image, all right and sure: expected 0, received {float(received):.4f}. A loss is 1 minus the overlap, the "
    "overlap counts twice, and the softmax runs over the classes (dim 1)."
)
received = soft_dice_loss(sure, target)
assert abs(float(received)) < 1e-4, (
    f"Two images, all right and sure: expected 0, received {float(received):.4f}. In image 1 class 0 is absent and not "
    "predicted: epsilon above and below makes it count as 1."
)
received = soft_dice_loss(-sure, target)
assert abs(float(received) - 1) < 1e-4, f"All wrong and sure: expected 1, received {float(received):.4f}."
half = torch.cat([sure[:1], -sure[1:]])
received = soft_dice_loss(half, target)
assert abs(float(received) - 0.5) < 1e-4, (
    f"Image 0 all right, image 1 all wrong: expected 0.5, received {float(received):.4f}. Sum over the pixels of each "
    "image, then average: do not sum over the batch."
)
received = soft_dice_loss(torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 0]]]))
assert abs(float(received) - 2 / 3) < 1e-5, (
    f"Two pixels of class 0, p = 0.5: expected 1 - (2/3 + 0) / 2 = 0.6667, received {float(received):.4f}. "
    "1: class 0 is left out. 0.375: an epsilon of 1 is too large. 0.6: squares in the denominator belong to another variant."
)
received = soft_dice_loss(10 * sure, target)
assert abs(float(received)) < 1e-4, (
    f"All right with logits of 300: expected 0, received {float(received)}. exp(300) overflows; torch's softmax does not."
)
logits = torch.zeros(2, 2, 2, 3, requires_grad=True)
soft_dice_loss(logits, target).backward()
assert logits.grad is not None and float(logits.grad.abs().sum()) > 0, "There is no gradient: no argmax, no detach."
print("soft_dice_loss: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("unet", "soft_dice_loss", globals())
### END HIDDEN TESTS

# %% [markdown]
# What pushes harder? A vessel covers 2 of 100 pixels, and all pixels have the same vessel probability $p$. The figure
# shows both losses over $p$. **Predict first:** where does each have its minimum, and which one is steeper at the ends?

# %%
thin = torch.zeros(1, 10, 10, dtype=torch.long)
thin[0, 4, :2] = 1
p = np.linspace(0.001, 0.999, 200)
flat = [torch.tensor([0.0, np.log(q / (1 - q))]).reshape(1, 2, 1, 1).expand(1, 2, 10, 10) for q in p]
by_hand = 1 - ((2 * 98 * (1 - p)) / (100 * (1 - p) + 98) + (2 * 2 * p) / (100 * p + 2)) / 2
curves = {
    "cross entropy": (p, np.array([float(F.cross_entropy(logits, thin)) for logits in flat])),
    "soft Dice, yours": (p, np.array([float(soft_dice_loss(logits, thin)) for logits in flat])),
}
figure, ax = plt.subplots(figsize=(4.6, 2.6))
plotting.plot_curves(ax, curves, "vessel probability of all pixels", "loss")
ax.plot(p[::10], by_hand[::10], "o", markersize=3, color=plotting.BLACK, label="soft Dice, by hand")
ax.set_ylim(0, 1.6)
ax.legend()
plt.show()

# %% [markdown]
# <details><summary>Resolution</summary>
#
# Both are smallest at p = 0.02, the true share, but how differently! Cross entropy rises steeply to both sides: its
# slope grows without limit where pixels are wrong and sure of it. The slope of soft Dice is never more than 1, and its
# minimum is a shallow dip: 0.500 against 0.505 at p = 0. So "all background" is hardly punished, and as the softmax
# flattens towards p = 0 and 1, the push on the logits of a sure error fades, while cross entropy pushes on. Cross entropy
# pushes harder; it is the one to start with. What Dice is good at the figure cannot show: with pixels that can be told
# apart its value is the overlap itself. It is nearly straight in the probability of each single pixel, so the doubtful ones
# end at 0 or 1. In practice the sum of both starts well (cross entropy) and ends with a good overlap (Dice).
# </details>
#
# ## 5 Training
#
# Twenty photos are few, but they hold 4.8 million pixels. We cut patches of 96 x 96 at random places and turn or
# mirror each at random into one of the eight positions of a square: an eye has no upright. The network does not care
# about the size of its input, so it learns from patches and later reads whole photos. Loss: cross entropy + half the
# soft Dice.

# %% tags=["long"]
generator = torch.Generator().manual_seed(SEED)
batch_images, batch_labels = next(vessels.patches(train_images, train_labels, 96, 8, generator))
both = torch.cat([batch_images[:, 0] / 6 + 0.5, batch_labels.float()]).numpy()
figure, axes = plt.subplots(2, 8, figsize=(7.2, 1.9))
for ax, patch in zip(axes.flat, both, strict=True):
    plotting.show_image(ax, patch)
plt.show()

# %%
device = training.device()


def both_losses(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy + 0.5 * soft Dice."""
    return F.cross_entropy(logits, target) + 0.5 * soft_dice_loss(logits, target)


def initialise(net: nn.Module) -> nn.Module:
    """Draw new weights as the paper does: normal, variance 2 / (inputs of a neuron), after He et al. 2015."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net


def fit(net: nn.Module, images: Tensor, labels: Tensor, loss, steps: int, name: str, **options) -> np.ndarray:
    """Train on batches of 8 patches and return the losses. (channels_last: the memory order that CPUs convolve faster.)

    Args:
        options: of training.train, such as live (draw the loss while it runs) and max_norm (shorten gradients to it).
    """
    net.to(device, memory_format=torch.channels_last)
    batches = vessels.patches(images, labels, 96, 8, torch.Generator().manual_seed(SEED))

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        return loss(net(x.to(device, memory_format=torch.channels_last)), y.to(device))

    return training.train(net, batches, loss_of, steps=steps, lr=5e-3, name=name, **options)["total"]


def trained(net: nn.Module | None) -> nn.Module:
    """The network, if there is one."""
    if net is None:
        raise NotImplementedError("No network yet: solve DoubleConv, UNet and soft_dice_loss, then run section 5.")
    return net


def vessel_probability(net: nn.Module | None, images: Tensor) -> np.ndarray:
    """Probability of "vessel" for whole images, one at a time; (N, H, W)."""
    trained(net).to(device)
    with torch.no_grad():
        found = [net(image[None].to(device)).softmax(dim=1)[0, 1].cpu() for image in images]
    return torch.stack(found).numpy()


def dice_of(probability: np.ndarray, truth, threshold: float = 0.5) -> float:
    """Mean Dice of images, by scikit-learn (F1 is Dice)."""
    pairs = zip(np.asarray(truth, dtype=bool), probability > threshold, strict=True)
    return float(np.mean([metrics.f1_score(true.ravel(), found.ravel()) for true, found in pairs]))


TWO_ANNOTATORS = 0.807  # CHASE_DB1, the eight test photos of section 9
net = None

# %% tags=["long", "measured"]
seed_everything()
net = initialise(UNet(1, 2, base=12, depth=3))
losses = fit(net, train_images, train_labels, both_losses, steps=220, name="U-Net", live=True)
probability = vessel_probability(net, test_images)
print(f"U-Net, Dice on generated test photos: {dice_of(probability, test_labels):.3f}")
print(f"two annotators of real photos: {TWO_ANNOTATORS}")

figure, ax = plt.subplots(figsize=(4.6, 2.2))
ax.plot(losses, linewidth=0.8)
ax.set(xlabel="step", ylabel="loss", ylim=(0, 1.5))
plt.show()

# %% tags=["long"]
# This cell only draws: you need not read it.
found = vessel_probability(net, test_images[1:2])[0]
shown = [photo.image, photo.vessels.astype(float), found, plotting.error_map(found > 0.5, photo.vessels)]
titles = ["photo", "truth", "probability", "white hit, blue missed, orange false"]
axes = plotting.side_by_side(shown, titles, height=2.4)
axes[3].set_title(titles[3], fontsize=8)
plt.show()

# %% [markdown]
# The errors sit where you would hesitate as well: on the bright optic disc, where the vessels enter the eye and the
# contrast is another one (most of the blue), at the ends of the thinnest vessels, and as single pixels along the edges. Over five seeds the Dice is 0.863 ± 0.017; the target is 0.82.
#
# A threshold of 0.5 is one choice of many. Precision (how much of what is called vessel is vessel) against recall (how
# much of the vessels is found) for all thresholds, and the curve on which Dice equals that of the two annotators:


# %% tags=["long"]
def draw_precision_recall(ax: plt.Axes, found: dict[str, np.ndarray], truth, inside: np.ndarray) -> None:
    """Precision and recall over all thresholds inside the field, and the line of the two annotators' Dice."""
    curves = {}
    for name, values in found.items():
        order = np.linspace(0, inside.sum() - 1, 60_000).astype(int)  # enough pixels for a smooth curve
        precision, recall, _ = metrics.precision_recall_curve(np.asarray(truth)[inside][order], values[inside][order])
        curves[name] = (recall, precision)
    plotting.plot_curves(ax, curves, "recall", "precision")
    recall = np.linspace(TWO_ANNOTATORS / (2 - TWO_ANNOTATORS), 1, 50)
    line = TWO_ANNOTATORS * recall / (2 * recall - TWO_ANNOTATORS)
    ax.plot(recall, line, color=plotting.BLACK, linewidth=1, label="Dice of two annotators")
    ax.set(xlim=(0.3, 1), ylim=(0.3, 1.02))
    ax.legend(loc="lower left")


fields = np.stack([photo.field for photo in test_photos])
figure, ax = plt.subplots(figsize=(3.8, 3))
found = {"U-Net": vessel_probability(net, test_images), "threshold on the input": -test_images[:, 0].numpy()}
draw_precision_recall(ax, found, test_labels, fields)
plt.show()

# %% [markdown]
# ## 6 Whole pictures in tiles
#
# A photo of 480 x 496 fits into memory. A pathologist's slide of 100 000 x 100 000 does not: it is read tile by
# tile. Cut it into tiles that just meet, and every seam shows, since near a tile's border the network saw padding
# instead of picture. The *overlap-tile strategy*: let tiles overlap and keep only the middle of each. If the part that
# is thrown away is at least as wide as the receptive field reaches (its *radius*: 2 for `DoubleConv`), then the result
# is *equal* to that of the whole picture, but for rounding.
#
# ### Task: `predict_tiled`
#
# Along each axis tiles start every `tile - overlap` pixels. Move the last one back so that it ends with the picture: a
# shorter one would do for a single convolution, but a network that pools wants tiles of a size that fits. Of each tile the first `overlap // 2` rows and columns are thrown away, except at the border of the picture
# (what the next tile covers better is overwritten by it). One tile at a time goes through the model, as a batch of one.
# A picture smaller than a tile is one tile. No gradient is needed: work in `torch.inference_mode()`.


# %% nbgrader={"grade": false, "grade_id": "predict_tiled", "locked": false, "schema_version": 3, "solution": true, "task": false}
def predict_tiled(model: nn.Module, image: Tensor, tile: int, overlap: int) -> Tensor:
    """Predict a picture in overlapping tiles.

    Args:
        model: turns (1, C, h, w) into logits (1, num_classes, h, w). If it pools, H, W, tile and overlap are
            multiples of its stride 2**depth.
        image: (C, H, W) floats.
        tile: largest height and width that the model gets.
        overlap: neighbouring tiles share at least so many rows or columns; smaller than tile.

    Returns:
        (num_classes, H, W) logits: those of the untiled picture, if overlap // 2 is at least the radius of the
        receptive field.

    Example:
        H = 10, tile = 6, overlap = 2: tiles cover rows 0 to 5 and 4 to 9; rows 0 to 4 come from the first.
    """
    ### BEGIN SOLUTION
    height, width = image.shape[1:]

    def starts(length: int) -> list[int]:
        last = max(length - tile, 0)
        return [*range(0, last, tile - overlap), last]

    result = None
    with torch.inference_mode():
        for top in starts(height):
            for left in starts(width):
                logits = model(image[None, :, top : top + tile, left : left + tile])[0]
                if result is None:
                    result = logits.new_zeros(len(logits), height, width)
                skip_y, skip_x = (overlap // 2 if start else 0 for start in (top, left))
                result[:, top + skip_y : top + tile, left + skip_x : left + tile] = logits[:, skip_y:, skip_x:]
    return result
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_predict_tiled", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
seed_everything(0)
blur = nn.Conv2d(2, 3, 5, padding=2)  # its receptive field has a radius of 2
image = torch.randn(2, 23, 31)
before = image.clone()
whole = blur(image[None])[0].detach()
for tile, overlap in ((10, 4), (12, 6), (9, 5), (64, 4)):
    received = predict_tiled(blur, image, tile, overlap)
    assert tuple(received.shape) == (3, 23, 31), f"Expected shape (3, 23, 31), received {tuple(received.shape)}."
    wrong = ((received - whole).abs() > 1e-5).any(dim=0)[2:-2, 2:-2].nonzero()
    assert len(wrong) == 0, (
        f"tile {tile}, overlap {overlap}: {len(wrong)} pixels differ from the prediction of the whole picture, the first "
        f"at row {wrong[0][0] + 2}, column {wrong[0][1] + 2}. Are {overlap // 2} pixels of each tile's border thrown away?"
    )
seen = []


def spy(x: Tensor) -> Tensor:
    """A model that notes what it gets."""
    seen.append(tuple(x.shape))
    return x[:, :1]


received = predict_tiled(spy, image, 10, 4)
assert all(len(shape) == 4 and shape[:2] == (1, 2) for shape in seen), (
    f"The model wants (1, 2, h, w), it got {seen[0]}."
)
assert max(max(shape[2:]) for shape in seen) <= 10, f"Tiles of at most 10 x 10, but the model got {max(seen)}."
assert torch.equal(received[0], image[0]), "A model that changes nothing: every pixel should come back as it was."
net_of_stride_4 = nn.Sequential(nn.AvgPool2d(4), nn.Upsample(scale_factor=4))
image = torch.randn(1, 24, 40)
received = predict_tiled(net_of_stride_4, image, 16, 8)
assert torch.allclose(received, net_of_stride_4(image[None])[0]), (
    "A model of stride 4: tiles should start at multiples of 4, also the last one (24 - 16 and 40 - 16 are)."
)
assert tuple(predict_tiled(blur, torch.zeros(2, 5, 31), 10, 4).shape) == (3, 5, 31), (
    "A picture lower than a tile fails."
)
print("predict_tiled: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("unet", "predict_tiled", globals())
### END HIDDEN TESTS

# %% [markdown]
# How much overlap does the trained network need? The pictures show where the logit of tiles of 96 pixels differs from
# that of the whole photo (white: by 0.2 or more), the table its mean. For equality the receptive
# field asks for about 100 pixels; the effective one is content with far less.

# %% tags=["long"]
trained(net).cpu()
photo_image = test_images[1, :, :288, :288]
with torch.no_grad():
    whole = net(photo_image[None])[0]
change = {overlap: (predict_tiled(net, photo_image, 96, overlap) - whole)[1].abs() for overlap in (0, 8, 16, 32, 64)}
axes = plotting.side_by_side(
    [change[overlap].clamp(max=0.2).numpy() * 5 for overlap in (0, 16, 32)], ["overlap 0", "16", "32"], height=1.9
)
plt.show()
print("overlap   mean change of the logit")
for overlap, values in change.items():
    print(f"{overlap:5}{float(values[48:-48, 48:-48].mean()):16.4f}")

# %% [markdown]
# ## 7 Take something away
#
# Three smaller networks, trained on the same patches for 130 steps. Gradients longer than 1 are shortened to 1, so that
# one unlucky batch does not throw so short a training off its way:
#
# - *cross entropy*: a U-Net trained with it from first to last;
# - *soft Dice*: the same network, but trained with soft Dice in the last 60 steps. (Soft Dice from the first step on is a
#   gamble: with one of four seeds that we tried, before gradients were shortened, it never left "all background".)
# - *no skips*: an hourglass, an encoder (strided convolutions) and a decoder (transposed ones) of the same depth and
#   widths with nothing in between, trained with cross entropy.
#
# **Predict first:** which of the three does worst, and where in the picture will you see it?

# %% tags=["long", "measured"]
seed_everything()
begun = initialise(UNet(1, 2, base=8, depth=3))
fit(begun, train_images, train_labels, F.cross_entropy, steps=70, name="first 70 steps", max_norm=1.0)
hourglass = initialise(networks.hourglass(1, 2, base=8, depth=3))
compared = {}
for name, small, loss, steps in (
    ("cross entropy", copy.deepcopy(begun), F.cross_entropy, 60),
    ("soft Dice", copy.deepcopy(begun), soft_dice_loss, 60),
    ("no skips", hourglass, F.cross_entropy, 130),
):
    fit(small, train_images, train_labels, loss, steps=steps, name=name, max_norm=1.0)
    compared[name] = vessel_probability(small, test_images)

thresholds = np.array([0.02, *np.linspace(0.1, 0.9, 9), 0.98])
over = {name: (thresholds, [dice_of(values, test_labels, t) for t in thresholds]) for name, values in compared.items()}
for name, (_, dice) in over.items():
    print(f"{name}, Dice at 0.5: {dice[5]:.3f}")
    print(f"{name}, Dice at the best threshold: {max(dice):.3f}")

crop = (slice(100, 300), slice(150, 350))
shown = [photo.image[crop], *[values[1][crop] for values in compared.values()]]
plotting.side_by_side(shown, ["photo", *compared], height=1.8)
plt.show()
figure, axes = plt.subplots(1, 2, figsize=(8, 2.7))
draw_precision_recall(axes[0], compared, test_labels, fields)
axes[0].get_legend().remove()
axes[0].set(xlim=(0, 1), ylim=(0, 1.02))
plotting.plot_curves(axes[1], over, "threshold", "Dice")
axes[1].axhline(TWO_ANNOTATORS, color=plotting.BLACK, linewidth=1, label="two annotators")
axes[1].set_ylim(0, 1)
axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# Over four seeds, each at its best threshold: cross entropy 0.85 ± 0.02, soft Dice 0.84 ± 0.02, no skips 0.69 ± 0.02.
#
# <details><summary>Resolution</summary>
#
# The hourglass knows where vessels are *about*: its answer is a blur, thin vessels next to each other run together, and
# no threshold makes it sharp; at 0.5 it may find none at all. What it has read at full resolution never reaches the
# end. The two losses reach nearly the same overlap in different ways: with cross entropy the probability says how
# sure the network is, so the threshold matters. Soft Dice knows hardly anything but yes
# and no: the threshold does not matter, but the number is no probability any more.
# </details>

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_skips", "locked": true, "schema_version": 3, "solution": false, "task": false}
# ### Question: what the skip connections carry
#
# (a) Our networks pool three times. How many pixels of the photo does one pixel of the lowest map stand for, and what
# does that mean for two vessels 3 pixels wide that run 4 pixels apart? (b) The hourglass has 8 times as many channels
# in its lowest map as in its first. Could it, in principle, carry all the detail through? Why does it not in practice?
# (c) Somebody proposes to drop the pooling instead, and to stack eleven 3x3 convolutions at full resolution. What is
# gained, what is lost?
#
# === BEGIN MARK SCHEME ===
# 1 point (a): 8 x 8 = 64 pixels; both vessels and the gap lie within one pixel of that map, their places can only be coded in channels.
# 1 point (b): a map of H/8 x W/8 with 8*base channels holds 8*base/64 = base/8 of the numbers per pixel: with base 8 one number a pixel,
#   as many as input pixels, so a code is conceivable; but strided layers would have to learn exact positions in
#   the channels and the way back, which takes far more data and steps; skip connections give it for nothing.
# 1 point (c): exact positions stay and skips are not needed; but the receptive field grows by 2 a layer only (23 pixels), and
#   every layer costs full resolution in time and memory (the lowest level of a U-Net works on 1/64 of the pixels). Dilation is a way out.
# Common wrong answers: "skip connections prevent vanishing gradients" (a side effect, not asked); "the hourglass has fewer parameters".
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_skips", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# (a) 8 x 8 = 64 pixels. Both vessels and the gap between them fit into one pixel of the lowest map: whether there is
# one vessel or two, and where exactly, can only be written into its channels.
#
# (b) It has 64 channels for 64 pixels, one number for each pixel of the input, so in principle a code exists. But the
# network would have to learn to write positions into channels, and to read them back, for every pattern of vessels.
# That needs many more photos and steps than we have; skip connections hand the positions over for nothing.
#
# (c) Positions stay exact and no skip connection is needed. But eleven layers see 23 pixels only, and each of them
# works on the full resolution: in the U-Net the lowest level, which has the most channels, works on a 64th of the
# pixels. Time and memory are what pooling buys; dilated convolutions are a compromise.

# %% [markdown]
# ## 8 Cells that touch
#
# The paper's own problem: in a microscope's picture cells lie side by side, and the biologist wants to count them. A
# semantic map has no numbers; two cells that touch become one patch, unless a thin line of background is left between
# them. The line is a handful of pixels, so the loss hardly cares. The authors made it care: each background pixel gets
# the weight
#
# $$w = 1 + w_0\,\exp\Bigl(-\frac{(d_1 + d_2)^2}{2\sigma^2}\Bigr),$$
#
# where $d_1$ is the distance to the nearest cell and $d_2$ that to the second nearest (equation 2 of the paper, without
# its term for class balance).
#
# ### Task: `border_weights`
#
# `instances` holds a number for each object, 0 is background; numbers may have gaps, and all pixels of one number
# belong to one object, even in several pieces. Distances are Euclidean, between pixel centres. Pixels of objects have
# weight 1, and with fewer than two objects all have. `scipy.ndimage.distance_transform_edt` measures, for a bool
# array, the distance of each True pixel to the nearest False one; it is allowed.


# %% nbgrader={"grade": false, "grade_id": "border_weights", "locked": false, "schema_version": 3, "solution": true, "task": false}
def border_weights(instances: Tensor, w0: float = 10.0, sigma: float = 5.0) -> Tensor:
    """Weights that are large on background between objects.

    Args:
        instances: (H, W) integers; 0 is background, each other number is one object.
        w0: weight that is added where two objects nearly touch.
        sigma: in pixels; how soon the weight falls off with the gap.

    Returns:
        (H, W) float tensor: 1 + w0 * exp(-(d1 + d2)**2 / (2 * sigma**2)) on background, 1 on objects.

    Example:
        instances = [[4, 0, 9]]: the middle pixel is 1 from both: 1 + 10 * exp(-(1 + 1)**2 / 50) = 10.231.
    """
    ### BEGIN SOLUTION
    from scipy.ndimage import distance_transform_edt

    numbers = instances[instances != 0].unique()
    if len(numbers) < 2:
        return torch.ones(instances.shape)
    distances = np.stack([distance_transform_edt((instances != number).numpy()) for number in numbers])
    nearest = torch.from_numpy(np.sort(distances, axis=0)[:2].sum(axis=0))
    extra = w0 * torch.exp(-(nearest**2) / (2 * sigma**2))
    return torch.where(instances == 0, 1 + extra, 1.0).float()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_border_weights", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
instances = torch.tensor([[4, 0, 9]])
before = instances.clone()
received = border_weights(instances)
expected = [1, 1 + 10 * np.exp(-4 / 50), 1]
assert tuple(received.shape) == (1, 3), f"Expected shape (1, 3), received {tuple(received.shape)}."
assert np.allclose(received, [expected], atol=1e-4), (
    f"Expected {np.round(expected, 3).tolist()}, received {np.round(received[0].tolist(), 3).tolist()}. "
    "d1 and d2 are added before they are squared; objects themselves have weight 1."
)
row = torch.tensor([[7, 0, 0, 0, 2, 0, 0, 2], [0, 0, 0, 0, 0, 0, 0, 0]])
received = border_weights(row, w0=3.0, sigma=2.0)
assert np.isclose(received[0, 1], 1 + 3 * np.exp(-16 / 8), atol=1e-4), (
    f"Row 0, column 1: distances 1 and 3, expected {1 + 3 * np.exp(-2):.4f}, received {float(received[0, 1]):.4f}."
)
assert np.isclose(received[0, 5], 1 + 3 * np.exp(-36 / 8), atol=1e-4), (
    f"Row 0, column 5 lies between two pieces of object 2; object 7 is 5 away: expected {1 + 3 * np.exp(-4.5):.4f}, "
    f"received {float(received[0, 5]):.4f}. An object is all pixels with its number; numbers may have gaps."
)
d = np.sqrt(2) + np.sqrt(10)
assert np.isclose(received[1, 1], 1 + 3 * np.exp(-(d**2) / 8), atol=1e-4), (
    f"Row 1, column 1: distances sqrt(2) and sqrt(10), expected {1 + 3 * np.exp(-(d**2) / 8):.4f}, received "
    f"{float(received[1, 1]):.4f}: distances are Euclidean."
)
received = border_weights(torch.tensor([[1, 0, 2, 0, 0, 0, 0, 3]]))
assert np.isclose(received[0, 1], 1 + 10 * np.exp(-4 / 50), atol=1e-4), (
    f"A third object farther away changes nothing between the first two: expected 10.2312, received {float(received[0, 1]):.4f}."
)
for few in (torch.zeros(2, 3, dtype=torch.int64), torch.tensor([[0, 5, 5], [0, 0, 0]])):
    received = border_weights(few)
    assert np.allclose(received, np.ones((2, 3))), (
        f"Fewer than two objects: expected ones, received {received.tolist()}."
    )
assert torch.equal(instances, before), "The tensor that was passed in has changed."
print("border_weights: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("unet", "border_weights", globals())
### END HIDDEN TESTS

# %% [markdown]
# The micrographs are generated; each nucleus has its number. For training each nucleus loses its outermost pixels to the
# background, all around: so a line two pixels wide lies between those that touch. Two small dilated networks learn from the same 24 pictures for the same 70 steps, one with plain
# cross entropy, one with your weights ($\sigma = 3$, as the gaps are narrow). What counts is how many nuclei get a
# patch of their own (IoU at least 0.5).
#
# **Predict first:** can you see in the picture which of the nuclei touch? What will the plain network do there?

# %% tags=["long"]
cells, cell_numbers = micrographs.generate_set(24, seed=3)
test_cells, test_numbers = micrographs.generate_set(8, seed=4)
inner = np.stack([micrographs.interior(numbers) for numbers in cell_numbers])
parted = torch.from_numpy(cell_numbers * inner)
weights = torch.stack([border_weights(numbers, 10.0, 3.0) for numbers in parted])
greys = np.random.default_rng(0).permutation(np.linspace(0.3, 1, cell_numbers[0].max()))
shown = [cells[0], np.append(0, greys)[cell_numbers[0]], inner[0].astype(float), weights[0].numpy() / 8]
plotting.side_by_side(shown, ["micrograph", "a grey for each number", "target", "weights, 1 to 7"], height=1.5)
plt.show()

# %% tags=["long", "measured"]
inputs, targets, test_inputs = (
    torch.from_numpy(part) for part in (4 * cells[:, None] - 1, inner, 4 * test_cells[:, None] - 1)
)
weights = torch.stack([border_weights(numbers, 10.0, 3.0) for numbers in parted])
parts = {}
for name, weight in {"plain": torch.ones_like(weights), "weighted": weights}.items():
    seed_everything()
    small = initialise(networks.dilated(1, 2)).to(device, memory_format=torch.channels_last)
    batches = training.minibatches(8, inputs, targets.long(), weight, generator=torch.Generator().manual_seed(SEED))

    def weighted_loss(x: Tensor, y: Tensor, w: Tensor, model: nn.Module = small) -> Tensor:
        """Mean of the cross entropy, each pixel with its weight."""
        x, y, w = x.to(device, memory_format=torch.channels_last), y.to(device), w.to(device)
        return (F.cross_entropy(model(x), y, reduction="none") * w).sum() / w.sum()

    training.train(small, batches, weighted_loss, steps=70, lr=1e-2, name=name)
    parts[name] = vessel_probability(small, test_inputs) > 0.5
    share = np.mean([micrographs.found_alone(*pair) for pair in zip(parts[name], test_numbers, strict=True)])
    print(f"{name}, nuclei with a patch of their own: {share:.2f}")

axes = plotting.side_by_side(
    [test_cells[0]] + [mask[0].astype(float) for mask in parts.values()], ["micrograph", *parts], height=1.8
)
plt.show()

# %% [markdown]
# Over four seeds the plain network gives 53 ± 6 % of the nuclei a patch of their own, the weighted one 93 ± 3 %. The dark line
# between two nuclei is there to be seen; plain cross entropy has too little to gain from it. The weights do not tell
# nuclei apart (the map still holds two classes), they only make the gap matter. Networks that number objects are the
# subject of notebook 04.
#
# ## 9 Real photos, and the two annotators
#
# CHASE_DB1: 28 photos of children's eyes, traced by two annotators. We take the first one's tracing as the truth, train
# on the 20 photos of ten children, test on the 8 photos of the other four (never one eye here, the other there), at half
# resolution. Three answers are compared: the network that has only ever seen *generated* photos; the same network
# trained on real ones; and the second annotator.
#
# **Predict first:** which of the three agrees best with the first annotator, and where will the first one fail?

# %% tags=["long", "measured"]
try:
    real_train, real_test = vessels.chase_db1()
except datasets.DataError as error:
    print(error)
else:
    real_images, real_labels = (torch.from_numpy(part) for part in vessels.stack(real_train))
    real_test_images, real_test_labels = (torch.from_numpy(part) for part in vessels.stack(real_test))
    second = np.stack([photo.second for photo in real_test])
    answers = {"trained on generated photos": vessel_probability(net, real_test_images)}
    seed_everything()
    real_net = initialise(UNet(1, 2, base=12, depth=3))
    fit(real_net, real_images, real_labels, both_losses, steps=400, name="real photos")
    answers["trained on real photos"] = vessel_probability(real_net, real_test_images)
    answers["second annotator"] = second.astype(np.float32)
    for name, values in answers.items():
        print(f"real photos, {name}, Dice: {dice_of(values, real_test_labels):.3f}")
    for k in (0, 3):
        truth = real_test[k].vessels
        shown = [real_test[k].image] + [plotting.error_map(values[k] > 0.5, truth) for values in answers.values()]
        axes = plotting.side_by_side(shown, ["photo", *answers], height=2.2)
        for ax in axes:
            ax.title.set_fontsize(8)
        plt.show()
    figure, ax = plt.subplots(figsize=(3.8, 3))
    inside = np.stack([photo.field for photo in real_test])
    curves = {name: values for name, values in answers.items() if name != "second annotator"}
    draw_precision_recall(ax, curves, real_test_labels, inside)
    counts = [
        (second & real_test_labels.numpy().astype(bool)).sum() / part.sum()
        for part in (real_test_labels.numpy(), second)
    ]
    ax.plot(*counts, "k*", markersize=9, label="second annotator")
    ax.legend(loc="lower left")
    plt.show()

# %% [markdown]
# If the cell above shows only a sentence, the set is not on your machine. With it, over four seeds (Dice with the first
# annotator): trained on generated photos 0.655 ± 0.024, on real ones 0.770 ± 0.005 (the target is 0.74), second
# annotator 0.807.
#
# <details><summary>Resolution</summary>
#
# What the network learnt from generated photos carries over in part, and the picture shows where not. Thick vessels
# come out hollow: real ones have a bright streak along the middle, the *central reflex*, far stronger in children's eyes
# than the generator draws it, so the middle of the vessel looks like background with a thin vessel on each side (blue
# inside white). And the choroid, the layer of vessels behind the retina, shines through in some photos; no generated
# photo has it, so it is taken for vessels (orange). Training on 20 real photos mends most of both. What is left is
# where the annotators differ, too: thin vessels, and where exactly an edge is.
# </details>

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_ceiling", "locked": true, "schema_version": 3, "solution": false, "task": false}
# ### Question: the ceiling
#
# On the eight test photos the second annotator agrees with the first to a Dice of 0.807. Suppose a network trained on
# the first annotator's tracings reaches 0.78 against them. (a) What does the 0.807 say about the truth, and why is it
# a ceiling of a kind, though no law? (b) Another group reports 0.83 against the first annotator on the same photos.
# Name one good and one worrying explanation, and an experiment that tells them apart. (c) How would you judge the
# network if you had both tracings of every test photo?
#
# === BEGIN MARK SCHEME ===
# 1 point (a): two careful people differ on edges and thin vessels, so the tracing is the truth only up to that; a number above
#   it can not be told from agreement with one person's habits. No law: a network trained on annotator 1 can learn his habits and exceed
#   what another person reaches.
# 1 point (b): good: learnt annotator 1's style (edge position, thickness), or averages out his noise; worrying: test photos or the other eye of a test child in training,
#   threshold or stopping chosen on the test photos. Experiment: score against annotator 2 (style does not help there), split by child, new photos.
# 1 point (c): against both, and compare with annotator against annotator (network - 1, network - 2, 1 - 2); or only where both agree, or a consensus; by thickness.
# Common wrong answers: "0.807 is the maximum possible"; "average the two masks and use it as exact truth" without saying what happens where they differ.
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_ceiling", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# (a) Two trained people who look at the same photo place edges a pixel apart and disagree about the faintest vessels;
# at this thickness that costs 0.19. The tracing is the truth only up to such differences, so a network near 0.807 is
# as close to annotator 1 as a colleague is. It is no law: a network trained on annotator 1 can learn his habits, which
# the colleague does not share, and pass the line.
#
# (b) Good: it learnt how thick annotator 1 draws, and his single slips average out in training. Worrying: the other
# eye of a test child was among the training photos, or threshold and number of steps were chosen on the test photos.
# Score it against annotator 2: habits of annotator 1 do not help there, while leaked photos would still show as a
# drop on new children only. So also split by child and test on photos of another clinic.
#
# (c) Against each of them, beside the agreement of the two: if the three numbers are alike, the network is a third
# annotator. And separately where both agree, where errors are real ones, and by width of vessel.

# %% [markdown]
# ## 10 Bonus: `predict_flipped`
#
# A notebook without the bonus is worth full marks. In training each patch came in eight positions, so the network has
# an opinion on the photo and on its mirror image. The two differ a little, like two annotators. Average them: mirror
# the images, predict, mirror the logits *back*, for four positions (as it is, left-right, up-down, both), and take the
# mean of the four logits. Not allowed: a library that does it (such as ttach).


# %% nbgrader={"grade": false, "grade_id": "predict_flipped", "locked": false, "schema_version": 3, "solution": true, "task": false}
def predict_flipped(model: nn.Module, images: Tensor) -> Tensor:
    """Mean of the logits over four mirrored positions, each mirrored back.

    Args:
        model: turns (N, C, H, W) into logits (N, num_classes, H, W).
        images: (N, C, H, W) floats.

    Returns:
        (N, num_classes, H, W): mean over the images as they are, mirrored left-right, up-down, and both.

    Example:
        A model that returns its input: the images come back as they were.
    """
    ### BEGIN SOLUTION
    positions = ((), (3,), (2,), (2, 3))
    with torch.inference_mode():
        return torch.stack([model(images.flip(axes)).flip(axes) for axes in positions]).mean(dim=0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_predict_flipped", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false} extra_credit=2
images = torch.arange(12.0).reshape(2, 1, 2, 3)
before = images.clone()
received = predict_flipped(lambda x: x, images)
assert torch.allclose(received, images), (
    f"A model that returns its input: expected {images[0, 0].tolist()}, received {received[0, 0].tolist()}. "
    "Mirror each prediction back before you average."
)


def right_neighbour(x: Tensor) -> Tensor:
    """Each pixel becomes its right neighbour; 0 comes in at the border."""
    return F.pad(x, (0, 1))[..., 1:]


received = predict_flipped(right_neighbour, torch.tensor([[[[0.0, 8.0, 0.0]]]]))
assert torch.allclose(received, torch.tensor([[[[4.0, 0.0, 4.0]]]])), (
    f"Expected [4, 0, 4], received {received.flatten().tolist()}: two of the four positions look to the right, two, mirrored "
    "back, to the left."
)
received = predict_flipped(lambda x: right_neighbour(x.mT).mT, torch.tensor([[[[0.0], [8.0], [0.0]]]]))
assert torch.allclose(received, torch.tensor([[[[4.0], [0.0], [4.0]]]])), (
    f"The same for the lower neighbour: expected [4, 0, 4], received {received.flatten().tolist()}. Is up-down in?"
)
assert torch.equal(images, before), "The tensor that was passed in has changed."
print("predict_flipped: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("unet", "predict_flipped", globals())
### END HIDDEN TESTS

# %% tags=["long", "measured"]
small_images = test_images[:2].to(device)
trained(net).to(device)
with torch.no_grad():
    once = net(small_images).softmax(dim=1)[:, 1].cpu().numpy()
    averaged = predict_flipped(net, small_images).softmax(dim=1)[:, 1].cpu().numpy()
print(f"Dice of two photos, once: {dice_of(once, test_labels[:2]):.4f}")
print(f"Dice of two photos, mean of four: {dice_of(averaged, test_labels[:2]):.4f}")

# %% [markdown]
# ## What to take away
#
# - Semantic segmentation classifies pixels. When a class is rare, accuracy praises the network that never finds it; IoU
#   and Dice do not count true negatives. For thin things both are strict: one pixel of slip costs 17 points.
# - A U-Net knows *what* from its small maps and *where* from its skip connections. Without them thin things blur.
# - Cross entropy gives honest probabilities, soft Dice good overlaps and hard probabilities; their sum is a good start.
# - Padding invents pixels. Valid convolutions and overlapping tiles avoid it; equality with the whole picture can be
#   tested, so test it.
# - A loss weight makes a handful of pixels matter. It parts cells, but does not number them.
# - A result without the agreement of two annotators beside it is half a result; and generated data teach only what
#   their generator knows.
#
# **Where it goes on.** Notebook 04 numbers objects (instance segmentation); 06 takes apart what `ConvTranspose2d` does
# on the way up, and its checkerboard; 08 predicts heatmaps of joints with the same down-and-up shape.
