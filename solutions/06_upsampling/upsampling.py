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
# # 6 Upsampling
#
# A segmentation network sees the whole picture only by making it small. But its answer is wanted for every pixel, so
# somewhere the small map has to become large again. There are two families of ways: **interpolation**, which has nothing
# to learn, and the layers of networks: **transposed convolution, unpooling, pixel shuffle**. You write both, in NumPy,
# first by hand with the lecture's formulas and its example, then on a real photo; and you find out where each of them goes
# wrong: blur, overshoot, shifted pixels, checkerboards.
#
# **After this notebook you can**
# - compute a bilinear sample and a transposed convolution on paper, without swapping rows and columns;
# - say where the samples of two grids lie, and what `align_corners` does to them;
# - choose between nearest, bilinear and bicubic, and say what each of them costs;
# - explain a transposed convolution as scattering and as a transposed matrix, and why it is no inverse;
# - tell from a kernel and its stride whether it prints a checkerboard, and cure it.
#
# | | |
# |---|---|
# | You need | Python and NumPy: index arrays, broadcasting; convolution |
# | Lecture | Segmentation: bilinear interpolation of textures (T00 ... T11, s', t'); transposed convolution; unpooling; U-Net |
# | Work | 4 hours; the bonus half an hour more |
# | Run | about 30 seconds and 1.4 GB of memory on two CPU cores |
#
# **Reading**
# - Dumoulin and Visin, [A guide to convolution arithmetic for deep learning](https://arxiv.org/abs/1603.07285), 2016,
#   section 4: transposed convolution in pictures.
# - Keys, [Cubic convolution interpolation for digital image
#   processing](https://doi.org/10.1109/TASSP.1981.1163711), 1981.
# - Odena, Dumoulin and Olah, [Deconvolution and checkerboard
#   artifacts](https://distill.pub/2016/deconv-checkerboard/), Distill 2016.
# - Ronneberger, Fischer and Brox, [U-Net](https://arxiv.org/abs/1505.04597), 2015, section 2 (up-convolution); Long,
#   Shelhamer and Darrell, [Fully convolutional networks](https://arxiv.org/abs/1411.4038), 2015, section 3.3 (upsampling as
#   transposed convolution).
# - Badrinarayanan, Kendall and Cipolla, [SegNet](https://arxiv.org/abs/1511.00561), 2017 (unpooling); Shi et al.,
#   [sub-pixel convolution](https://arxiv.org/abs/1609.05158), 2016 (pixel shuffle).
#
# **How to work.** Each task is one cell with `raise NotImplementedError()`. Replace that line, run the cell, run the
# tests below it, look at the picture. A function builds new arrays and never changes those it is given. The library
# functions that *are* the task are named in the task, and not allowed in its solution.
#
# **Stuck?** Go on. An unsolved task costs you its own tests and picture; only `upsample_bilinear` may want
# `bilinear_sample`, `upsample_bicubic` wants `cubic_weight`, and the cell that measures times wants your three
# `upsample_` functions. Everything else takes torch's functions. "Run all" stops at the first unsolved task: go on below
# it, cell by cell. In a terminal, `lfi check notebooks/06_upsampling/upsampling.ipynb` lists which tasks pass their
# visible tests.

# %% tags=["setup"]
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is loaded: everything here is small

import copy
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from helpers import datasets, grids, plotting, resampling, training
from helpers.seeds import SEED, seed_everything

torch.set_num_threads(1)
seed_everything()
plotting.use_style()

# %% [markdown]
# The data: photos that come with scikit-image, in gray, so nothing is downloaded. Most figures use the cat. And one
# function that holds torch's answer to several tasks, to compare yours with.

# %%
photos = {
    name: resampling.crop_to_multiple(resampling.to_gray(datasets.photo(name)), 4)
    for name in ("astronaut", "camera", "chelsea", "coffee", "coins", "motorcycle")
}
cat = photos["chelsea"]
small_cat = resampling.shrink(cat, 4)
eye = (slice(80, 148), slice(112, 212))  # rows and columns of the cat's eye in the large photo


def torch_resize(image: np.ndarray, size: tuple[int, int], mode: str, align_corners: bool | None = None) -> np.ndarray:
    """torch's interpolation with NumPy arrays in and out."""
    batch = torch.from_numpy(np.ascontiguousarray(image, dtype=float))[None, None]
    return F.interpolate(batch, size=tuple(size), mode=mode, align_corners=align_corners)[0, 0].numpy()


axes = plotting.side_by_side([cat, small_cat], [f"the cat, {cat.shape[0]} x {cat.shape[1]}", "shrunk by 4"], height=2.4)
x, y = eye[1].start, eye[0].start
plotting.show_boxes(axes[0], [[x, y, eye[1].stop, eye[0].stop]], color=plotting.YELLOW)
plt.show()

# %% [markdown]
# ## 1 By hand: four texels
#
# The lecture samples a texture between its pixels, the *texels*. Let texel (column, row) = (s, t) have its value at
# the point with these whole-number coordinates. Around a point (s, t) between them lie four texels. With
#
# $$s' = s - \lfloor s\rfloor,\qquad t' = t - \lfloor t\rfloor$$
#
# the bilinear value is
#
# $$(1-s')(1-t')\,T_{00} + s'(1-t')\,T_{10} + (1-s')\,t'\,T_{01} + s'\,t'\,T_{11} .$$
#
# **Our index convention.** In $T_{ij}$ the *first* index counts columns to the right (along s), the *second* rows
# downwards (along t). So $T_{10}$ is the right neighbour and $T_{01}$ the one below. A NumPy array is indexed the
# other way round, row first: with `left` $=\lfloor s\rfloor$ and `top` $=\lfloor t\rfloor$,
#
# | texel | lies | in NumPy | weight |
# |---|---|---|---|
# | $T_{00}$ | top left | `texture[top, left]` | $(1-s')(1-t')$ |
# | $T_{10}$ | top right | `texture[top, left + 1]` | $s'(1-t')$ |
# | $T_{01}$ | bottom left | `texture[top + 1, left]` | $(1-s')\,t'$ |
# | $T_{11}$ | bottom right | `texture[top + 1, left + 1]` | $s'\,t'$ |
#
# **Do it on paper.** The texture has two rows and three columns:
#
# $$\begin{matrix}10&30&50\\ 50&20&0\end{matrix}\qquad\text{What is its value at } s = 1.25,\ t = 0.5\,?$$
#
# <details><summary>Resolution</summary>
#
# $\lfloor s\rfloor = 1$, $\lfloor t\rfloor = 0$, $s' = 0.25$, $t' = 0.5$. The four texels are $T_{00} = 30$, $T_{10} =
# 50$, $T_{01} = 20$, $T_{11} = 0$, their weights 0.375, 0.125, 0.375 and 0.125, and the value is $11.25 + 6.25 + 7.5 +
# 0 = 25$. Who swaps $T_{10}$ and $T_{01}$ gets $11.25 + 0.125\cdot 20 + 0.375\cdot 50 + 0 = 32.5$.
# </details>
#
# The weights are areas: lay the point into the unit square between the four texels; each texel is weighed with the
# rectangle on the *opposite* side. They add up to 1, and the nearest texel has the largest.

# %%
# This cell only draws: you need not read it.
figure, ax = plt.subplots(figsize=(4.2, 3))
ds, dt = 0.25, 0.5
tiles = {
    "00": (ds, dt, 1 - ds, 1 - dt, plotting.SKY, (0, 0), "right", "bottom"),
    "10": (0, dt, ds, 1 - dt, plotting.ORANGE, (1, 0), "left", "bottom"),
    "01": (ds, 0, 1 - ds, dt, plotting.YELLOW, (0, 1), "right", "top"),
    "11": (0, 0, ds, dt, plotting.PURPLE, (1, 1), "left", "top"),
}
values = {"00": 30, "10": 50, "01": 20, "11": 0}
for name, (x, y, width, height, color, corner, horizontal, vertical) in tiles.items():
    ax.add_patch(plt.Rectangle((x, y), width, height, facecolor=color, edgecolor="white"))
    text = f"{width * height:g}\nfor $T_{{{name}}}$"
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=9)
    ax.plot(*corner, "o", color=plotting.BLACK, clip_on=False)
    shift = 0.04 if horizontal == "left" else -0.04
    text = f"$T_{{{name}}}$ = {values[name]}"
    ax.text(corner[0] + shift, corner[1], text, ha=horizontal, va=vertical)
ax.plot(ds, dt, "x", color=plotting.BLACK, markersize=9, markeredgewidth=2)
ax.set(xlim=(-0.35, 1.35), ylim=(1.08, -0.08), aspect="equal", xlabel="s to the right", ylabel="t downwards")
ax.set_xticks([0, ds, 1], ["1", "1.25", "2"])
ax.set_yticks([0, dt, 1], ["0", "0.5", "1"])
plt.show()

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_texels", "locked": true, "schema_version": 3, "solution": false, "task": false}
# ### Question: the swapped texels
#
# A fellow student reads $T_{10}$ as "row 1, column 0", as for a matrix, so that `T10 = texture[top + 1, left]` and `T01
# = texture[top, left + 1]`, and uses them in the lecture's formula. (a) At which points (s', t') inside a square of
# four texels is the result right all the same, whatever the texels are? (b) The student tests the function on a
# picture with $T(s, t) = s + t$ and finds no error. Why? Give a test with a 2 x 2 texture that finds it. (c) Name two
# ways to repair the program.
#
# === BEGIN MARK SCHEME ===
# 1 point (a): the difference of the results is (s'(1-t') - (1-s')t') (T10 - T01) = (s' - t') (T10 - T01): right on the diagonal s' = t'
#   (which holds the middle and two corners). Half a point for naming only the middle or the corners 00 and 11.
# 1 point (b): T = s + t is symmetric: T10 = T01 in every square, so the difference is 0. Any asymmetric texture with s' != t' finds it,
#   e.g. [[0, 1], [0, 0]] at s = 1, t = 0: expected 1.
# 1 point (c): swap the two look-ups, or swap the two weights (equivalently: call the row s and the column t throughout, or sample the transposed texture).
# Common wrong answers: "only in the middle"; a test on the diagonal or with a symmetric texture; changing both look-ups and weights (nothing is repaired).
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_texels", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# (a) The wrong result minus the right one is $s'(1-t')(T_{01}-T_{10}) + (1-s')t'(T_{10}-T_{01}) =
# (s'-t')(T_{01}-T_{10})$. For arbitrary texels it vanishes on the diagonal $s' = t'$ only: at the texels $T_{00}$ and
# $T_{11}$, in the middle, and between them.
#
# (b) In a picture $s + t$ the right and the lower neighbour of each texel are equal, $T_{10} = T_{01}$, so the swap
# changes nothing; any picture that is symmetric under transposition hides it. The texture [[0, 1], [0, 0]] at s = 1, t
# = 0 finds it: the value is the top-right texel, 1; the wrong program gives 0. Tests should be neither square nor
# symmetric.
#
# (c) Swap the two look-ups, so that T10 is `texture[top, left + 1]`; or leave them and swap their two weights in the
# formula. Doing both repairs nothing.

# %% [markdown]
# ## 2 Nearest neighbour
#
# The simplest way to make a picture larger by a whole factor: every pixel becomes a block of scale x scale equal
# pixels. Nothing is invented, no new value appears. That makes it the only way for *label* maps: between class 2
# (vessel) and class 4 (bone) there is no class 3.
#
# $$\mathrm{out}[r, c] = \mathrm{image}\bigl[\lfloor r/\mathrm{scale}\rfloor,\ \lfloor c/\mathrm{scale}\rfloor\bigr]$$
#
# ### Task: `upsample_nearest`
#
# Not allowed: `F.interpolate`, `nn.Upsample`, `cv2.resize`, `scipy.ndimage.zoom`, `skimage.transform.resize` and
# `rescale`, PIL's `resize`. Indexing, `np.repeat` and the like are fine.


# %% nbgrader={"grade": false, "grade_id": "upsample_nearest", "locked": false, "schema_version": 3, "solution": true, "task": false}
def upsample_nearest(image: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge an image by a whole factor: each pixel becomes a block.

    Args:
        image: (H, W) array. H or W may be 0.
        scale: how many times larger, a positive int.

    Returns:
        (H * scale, W * scale) array; pixel (r, c) is image[r // scale, c // scale].

    Example:
        upsample_nearest(np.array([[1, 2, 3]]), 2) is [[1, 1, 2, 2, 3, 3], [1, 1, 2, 2, 3, 3]].
    """
    ### BEGIN SOLUTION
    height, width = image.shape
    rows, columns = np.arange(height * scale) // scale, np.arange(width * scale) // scale
    return image[rows[:, None], columns[None, :]]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_upsample_nearest", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
image = np.array([[1.5, 2.0, 3.0], [4.0, 5.0, 6.0]])
before = image.copy()
received = upsample_nearest(image, 2)
expected = np.array([[1.5, 1.5, 2, 2, 3, 3], [1.5, 1.5, 2, 2, 3, 3], [4, 4, 5, 5, 6, 6], [4, 4, 5, 5, 6, 6]])
assert np.shape(received) == (4, 6), f"Expected shape (2 * 2, 3 * 2) = (4, 6), received {np.shape(received)}."
assert np.array_equal(received, expected), (
    f"Expected {expected.tolist()}, received {np.asarray(received).tolist()}. Each pixel should become a block of 2 x 2: "
    "1.5, 2, 3, 1.5, 2, 3 would repeat the picture instead of its pixels."
)
received = upsample_nearest(image, 3)
assert np.shape(received) == (6, 9), f"Scale 3: expected shape (6, 9), received {np.shape(received)}. Is scale used?"
assert np.array_equal(received[:, 3], [2, 2, 2, 5, 5, 5]), (
    f"Scale 3: expected column 3 to be [2, 2, 2, 5, 5, 5], received {np.asarray(received)[:, 3].tolist()}. The block of "
    "pixel 0 holds columns 0, 1, 2; round instead of floor would shift the blocks."
)
assert np.array_equal(upsample_nearest(image, 1), image), "Scale 1 should change nothing."
assert np.array_equal(image, before), "The array that was passed in has changed: build a new one instead."
assert np.shape(upsample_nearest(np.zeros((0, 3)), 2)) == (0, 6), "No rows in, no rows out: the shape should be (0, 6)."
print("upsample_nearest: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("upsampling", "upsample_nearest", globals())
### END HIDDEN TESTS


# %% [markdown]
# The eye of the cat, from the photo that was shrunk by 4: yours, and torch's.

# %%
yours, reference = upsample_nearest(small_cat, 4), torch_resize(small_cat, cat.shape, "nearest")
plotting.side_by_side([yours[eye], reference[eye]], ["yours", "torch"], height=1.9)
plt.show()
print(f"pixels that differ: {np.sum(yours != reference)}")

# %% [markdown]
# ## 3 Bilinear sampling
#
# The formula of section 1 as a function that samples a texture anywhere. Outside of the texels' centres the border is
# continued: coordinates are *clamped*, s to [0, W - 1] and t to [0, H - 1]. Mind the far edge: at s = W - 1 there is no
# right neighbour, but its weight s' is 0, so any texel will do in its place.
#
# ### Task: `bilinear_sample`
#
# One point or many at once: work on arrays of any shape; `np.floor(...).astype(int)` makes indices. Not allowed:
# `scipy.ndimage.map_coordinates`, `F.grid_sample`, `cv2.remap`, scipy's `RegularGridInterpolator` and `interpn`,
# and the routines of `upsample_nearest`.


# %% nbgrader={"grade": false, "grade_id": "bilinear_sample", "locked": false, "schema_version": 3, "solution": true, "task": false}
def bilinear_sample(texture: np.ndarray, s: float | np.ndarray, t: float | np.ndarray) -> float | np.ndarray:
    """Value of a texture between its texels.

    Args:
        texture: (H, W) array, H, W >= 1. Texel texture[t, s] has its value at the point (s, t).
        s: column, a number or an array of any shape; clamped to [0, W - 1].
        t: row, of the same shape as s; clamped to [0, H - 1].

    Returns:
        Array of the shape of s and t (a number or a 0-d array for numbers), the lecture's formula.

    Example:
        With texture = [[10, 30, 50], [50, 20, 0]], bilinear_sample(texture, 1.25, 0.5) is 25: worked by hand above.
    """
    ### BEGIN SOLUTION
    height, width = texture.shape
    s, t = np.clip(s, 0, width - 1), np.clip(t, 0, height - 1)
    left, top = np.floor(s).astype(int), np.floor(t).astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    ds, dt = s - left, t - top
    t00, t10 = texture[top, left], texture[top, right]
    t01, t11 = texture[bottom, left], texture[bottom, right]
    return (1 - ds) * (1 - dt) * t00 + ds * (1 - dt) * t10 + (1 - ds) * dt * t01 + ds * dt * t11
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_bilinear_sample", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
texture = np.array([[10.0, 30.0, 50.0], [50.0, 20.0, 0.0]])
before = texture.copy()
received = bilinear_sample(texture, 1.25, 0.5)
assert np.shape(received) == (), f"One point: expected one number, received shape {np.shape(received)}."
assert np.isclose(received, 25), (
    f"Expected 25 at s = 1.25, t = 0.5, received {received}. If it is 32.5, T10 and T01 are swapped: T10 lies to the "
    "right of T00 and has the weight s' (1 - t'). If it is 35, row and column are swapped."
)
received = bilinear_sample(texture, np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0]))
assert np.allclose(received, [10, 20, 0]), (
    f"On texels: expected their values [10, 20, 0], received {np.asarray(received).tolist()}. Whole numbers are the "
    "texels' centres: there is no half pixel in this function. At the far edge the neighbour must not be missing."
)
received = bilinear_sample(texture, np.array([-3.25, 9.0, 0.5]), np.array([-0.25, 0.25, 7.75]))
assert np.allclose(received, [10, 37.5, 35]), (
    f"Outside: expected [10, 37.5, 35], received {np.asarray(received).tolist()}. Clamp the coordinates before you take "
    "floor and s', t': 50 and 0 with t' = 0.25 make 37.5."
)
points = np.array([[0.5, 1.5, 2.0], [0.0, 0.5, 1.0]])
received = bilinear_sample(texture, points, np.zeros((2, 3)))
assert np.shape(received) == (2, 3), f"Expected the shape of s and t, (2, 3); received {np.shape(received)}."
assert np.allclose(received, [[20, 40, 50], [10, 20, 30]]), f"Expected [[20, 40, 50], [10, 20, 30]], got {received}."
assert np.allclose(bilinear_sample(texture, 1, 1), 20), "Coordinates may be ints: at s = 1, t = 1 the value is 20."
assert np.isclose(bilinear_sample(texture[:, :1], 0.0, 0.5), 30), "A texture may have one column only: 30 expected."
assert np.shape(bilinear_sample(texture, np.zeros(0), np.zeros(0))) == (0,), "No points in, no values out: shape (0,)."
assert np.array_equal(texture, before), "The texture that was passed in has changed: build new arrays instead."
print("bilinear_sample: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("upsampling", "bilinear_sample", globals())
### END HIDDEN TESTS


# %% [markdown]
# A bilinear surface is not a plane. Between four texels it is straight along s and straight along t, but not along
# the diagonals. The figure samples the texture of section 1 finely; the dots are its texels. Left yours, right torch's.
#
# **Predict first:** where along the edge between two neighbouring squares does the surface have a kink?

# %%
s, t = np.meshgrid(np.linspace(0, 2, 81), np.linspace(0, 1, 41))
sampled = bilinear_sample(texture, s, t)
reference = torch_resize(texture, (41, 81), "bilinear", align_corners=True)
figure, axes = plt.subplots(1, 2, figsize=(6, 2.1), sharey=True)
for ax, values, title in zip(axes, (sampled, reference), ("yours", "torch"), strict=True):
    contour = ax.contourf(s, t, values, levels=np.arange(0, 51, 5), cmap="cividis")
    ax.contour(s, t, values, levels=np.arange(0, 51, 5), colors="black", linewidths=0.4)
    for (row, column), value in np.ndenumerate(texture):
        plotting.write(ax, column, row, f"{value:g}")
    ax.set(title=title, xlabel="s", xlim=(-0.25, 2.25), ylim=(1.2, -0.2))
axes[0].set_ylabel("t")
figure.colorbar(contour, ax=axes, label="value")
plt.show()

# %% [markdown]
# <details><summary>Resolution</summary>
#
# Everywhere along the edge s = 1, where the slopes of the two squares differ: the contour lines bend there. The values
# fit together (the surface is continuous), the slopes do not. The eye sees such kinks as faint lines in enlarged
# pictures; bicubic interpolation has none.
# </details>
#
# ## 4 Where do the samples lie?
#
# To enlarge n pixels to m, each new pixel i needs a place among the old ones. There are two conventions.
#
# - **Pixels are areas** (`align_corners=False`, the default nearly everywhere). Both rows of pixels cover the same
#   length; pixel centres lie in the middle of the pixels:
#   $$\mathrm{src} = (i + \tfrac12)\,\frac nm - \tfrac12 .$$
#   Near the ends this leaves the centres of the old pixels, so it is clamped to $[0, n-1]$.
# - **Pixels are points** (`align_corners=True`). The first and last points of both rows coincide:
#   $$\mathrm{src} = i\,\frac{n-1}{m-1},\qquad\text{and 0 if } m = 1 .$$
#
# The picture shows 3 pixels enlarged to 6, both ways. Above: the old pixels with their centres; below: the new ones,
# with lines to where they look. In the first convention the distance between samples is exactly 1/2 and the ends are
# clamped (dashed). In the second it is 2/5, which is neither the ratio of the sizes nor the same for other sizes.

# %%
# This cell only draws: you need not read it.
figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.2))
n, m = 3, 6
for ax, align in zip(axes, (False, True), strict=True):
    new = np.arange(m)
    free = new * (n - 1) / (m - 1) if align else (new + 0.5) * n / m - 0.5
    source = np.clip(free, 0, n - 1)
    place = free if align else (new + 0.5) * n / m - 0.5  # where a new pixel itself is drawn
    for size, y, width, color in ((n, 0, 1, plotting.BLUE), (m, 1, n / m, plotting.RED)):
        centres = np.arange(n) if y == 0 else place
        if not align:
            for centre in centres:
                ax.add_patch(plt.Rectangle((centre - width / 2, y - 0.13), width, 0.26, fill=False, edgecolor=color))
        ax.plot(centres, np.full(size, y), "so"[y], color=color, markersize=6)
    for i in range(m):
        ax.plot(
            [source[i], place[i]],
            [0.06, 0.94],
            color=plotting.BLACK,
            linewidth=1,
            linestyle="-" if free[i] == source[i] else "--",
        )
        ax.text(place[i], 1.3, f"{source[i]:.3g}", ha="center", va="center", fontsize=8)
    ax.set_title(f"align_corners={align}: pixels are {'points' if align else 'areas'}")
    ax.set(
        xlim=(-0.75, 2.75), ylim=(1.5, -0.35), yticks=[0, 1, 1.3], xticks=range(3), xlabel="place among the old pixels"
    )
    ax.set_yticklabels(["3 old", "6 new", "src"])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# Both are right, as long as you do not mix them. Mixed, a picture is stretched by half a pixel at each border, more
# with every step; section 6 shows that. A mask that sits half a pixel off its picture is the usual sign.
#
# **Predict first:** you enlarge a picture of 3 x 3 pixels to 6 x 6. With which convention does a corner pixel keep
# exactly its value? With which does the middle pixel's value appear again in the result?
#
# <details><summary>Resolution</summary>
#
# The corner: with both; with areas because src = -0.25 is clamped to 0. The middle value: with neither. With areas the
# nearest samples lie at 0.75 and 1.25, with points at 0.8 and 1.2.
# </details>
#
# ### Task: `upsample_bilinear`
#
# One set of row coordinates, one of column coordinates, every combination of the two: `np.meshgrid` makes the grids for
# `bilinear_sample`, which you may use (or write it as two weighted sums, first over rows, then over columns). The
# target may be of any size, also smaller than the image: then some pixels are skipped (no antialiasing here). Not
# allowed: the routines of `upsample_nearest` and of `bilinear_sample`.


# %% nbgrader={"grade": false, "grade_id": "upsample_bilinear", "locked": false, "schema_version": 3, "solution": true, "task": false}
def upsample_bilinear(image: np.ndarray, size: tuple[int, int], align_corners: bool = False) -> np.ndarray:
    """Resize an image by bilinear interpolation.

    Args:
        image: (H, W) array, H, W >= 1.
        size: (h, w) of the result, any positive ints.
        align_corners: False: src = (i + 0.5) * n / m - 0.5, clamped to [0, n - 1]; True: src = i * (n - 1) / (m - 1),
            and 0 if m = 1. Here n is the old and m the new number of rows (or columns).

    Returns:
        (h, w) array.

    Example:
        upsample_bilinear(np.array([[0.0, 4.0]]), (1, 4)) is [[0, 1, 3, 4]];
        with align_corners=True it is [[0, 4/3, 8/3, 4]].
    """

    ### BEGIN SOLUTION
    def source(n: int, m: int) -> np.ndarray:
        new = np.arange(m)
        if align_corners:
            return new * (n - 1) / max(m - 1, 1)
        return np.clip((new + 0.5) * n / m - 0.5, 0, n - 1)

    columns, rows = source(image.shape[1], size[1]), source(image.shape[0], size[0])
    s, t = np.meshgrid(columns, rows)
    return bilinear_sample(image, s, t)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_upsample_bilinear", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
row = np.array([[0.0, 4.0]])
before = row.copy()
received = upsample_bilinear(row, (1, 4))
assert np.shape(received) == (1, 4), f"Expected shape (1, 4), received {np.shape(received)}."
assert np.allclose(received, [[0, 1, 3, 4]]), (
    f"Expected [[0, 1, 3, 4]], received {np.asarray(received).tolist()}. src is -0.25, 0.25, 0.75, 1.25, clamped to [0, 1]. "
    "[[0, 2, 4, 4]] forgets the half pixels; [[-1, 1, 3, 5]] forgets to clamp. Does bilinear_sample pass its own tests?"
)
received = upsample_bilinear(row, (1, 4), align_corners=True)
assert np.allclose(received, [[0, 4 / 3, 8 / 3, 4]]), (
    f"align_corners=True: expected [[0, 1.33, 2.67, 4]], received {np.round(received, 2).tolist()}. src = i * 1 / 3."
)
image = np.array([[0.0, 4.0, 8.0], [8.0, 4.0, 16.0]])
received = upsample_bilinear(image, (4, 3))
expected = np.array([[0, 4, 8], [2, 4, 10], [6, 4, 14], [8, 4, 16]])
assert np.shape(received) == (4, 3), f"Expected shape (4, 3): size is (rows, columns); received {np.shape(received)}."
assert np.allclose(received, expected), (
    f"Expected {expected.tolist()}, received {np.round(received, 3).tolist()}. The columns stay as they are (3 to 3)."
)
received = upsample_bilinear(image, (1, 1), align_corners=True)
assert np.allclose(received, [[0]]), (
    f"One pixel with align_corners=True: expected [[0]], received {received}. Beware of 0 / 0."
)
received = upsample_bilinear(image, (1, 1))
assert np.allclose(received, [[4]]), (
    f"One pixel with align_corners=False looks at the middle: expected [[4]], got {received}."
)
assert np.array_equal(row, before), "The array that was passed in has changed: build a new one instead."
print("upsample_bilinear: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("upsampling", "upsample_bilinear", globals())
### END HIDDEN TESTS


# %% [markdown]
# A slanted edge of 6 x 8 pixels, enlarged to 36 x 48, in both conventions, by you and by torch. Look at the corners: with
# points (right) nothing is clamped, so the outermost half pixels do not repeat.

# %%
edge = np.clip((np.arange(8) - 1.5 * np.arange(6)[:, None] + 2) / 3, 0, 1)
pictures = {"small": edge}
for align in (False, True):
    name = "points" if align else "areas"
    pictures[f"{name}, yours"] = yours = upsample_bilinear(edge, (36, 48), align_corners=align)
    pictures[f"{name}, torch"] = reference = torch_resize(edge, (36, 48), "bilinear", align_corners=align)
    print(f"align_corners={align}: largest difference to torch {np.abs(yours - reference).max():.0e}")
plotting.side_by_side(list(pictures.values()), list(pictures), height=1.2)
plt.show()

# %% [markdown]
# ## 5 Bicubic
#
# Bilinear interpolation averages, so it blurs. Keys's cubic weighs *four* pixels in each direction, the two outer ones
# mostly negatively, and so sharpens edges:
#
# $$W(x) = \begin{cases}
# (a+2)\,|x|^3 - (a+3)\,|x|^2 + 1 & |x| \le 1\\
# a\,|x|^3 - 5a\,|x|^2 + 8a\,|x| - 4a & 1 < |x| < 2\\
# 0 & \text{else}
# \end{cases}$$
#
# W is 1 at 0 and 0 at the other whole numbers, so the known pixels are kept, and its slope is continuous. At any offset
# the four weights add up to 1. a is the slope at 1: torch and OpenCV take $a = -0.75$, Keys himself, MATLAB and Pillow
# $-0.5$.
#
# **Predict first:** can a picture with values in [0, 1] get values outside of it by bilinear, by bicubic interpolation?
#
# ### Task: `cubic_weight`
#
# Both pieces at once with `np.where`, or by masks. x may be a number or an array, of either sign. Nothing is
# forbidden.


# %% nbgrader={"grade": false, "grade_id": "cubic_weight", "locked": false, "schema_version": 3, "solution": true, "task": false}
def cubic_weight(x: float | np.ndarray, a: float = -0.75) -> float | np.ndarray:
    """Keys's cubic kernel.

    Args:
        x: distance from the pixel in pixels, of either sign; a number or an array of any shape.
        a: slope at x = 1.

    Returns:
        Array of the shape of x (a number or a 0-d array for a number); 0 where abs(x) >= 2.

    Example:
        cubic_weight(np.array([0.0, 0.5, 1.0, 1.5])) is [1, 0.59375, 0, -0.09375].
    """
    ### BEGIN SOLUTION
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_cubic_weight", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
x = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
before = x.copy()
received = cubic_weight(x)
expected = [1, 0.59375, 0, -0.09375, 0, 0]
assert np.shape(received) == (6,), f"Expected shape (6,), one weight for each x; received {np.shape(received)}."
assert np.allclose(received, expected), (
    f"Expected {expected}, received {np.round(received, 5).tolist()}. Check each piece at its ends: the first gives 1 at 0 "
    "and 0 at 1, the second 0 at 1 and at 2; beyond 2 it is 0."
)
negative = -x
assert np.allclose(cubic_weight(negative), expected), (
    "The kernel is symmetric: cubic_weight(-x) should be cubic_weight(x)."
)
received = cubic_weight(x, a=-0.5)
assert np.allclose(received, [1, 0.5625, 0, -0.0625, 0, 0]), (
    f"a = -0.5 gives other weights, received {received}. Is a used?"
)
assert np.isclose(cubic_weight(0.5), 0.59375), "x may be a number: cubic_weight(0.5) should be 0.59375."
assert np.isclose(cubic_weight(1), 0), "x may be an int: cubic_weight(1) should be 0."
assert np.array_equal(x, before) and np.array_equal(negative, -before), "An array that was passed in has changed."
print("cubic_weight: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("upsampling", "cubic_weight", globals())
### END HIDDEN TESTS


# %% [markdown]
# Your kernel (line), beside the one that torch uses (dots, found by enlarging a single bright pixel), and for comparison
# the kernels of bilinear and nearest interpolation. All of them cover an area of 1.

# %%
spike = np.zeros((1, 9))
spike[0, 4] = 1
seen = torch_resize(np.repeat(spike, 9, axis=0), (9, 90), "bicubic", align_corners=False)[4]
places = (np.arange(90) + 0.5) / 10 - 0.5 - 4
x = np.linspace(-2.5, 2.5, 501)
figure, ax = plt.subplots(figsize=(5.2, 2.6))
curves = {
    "bicubic, yours": (x, cubic_weight(x)),
    "bilinear": (x, np.maximum(1 - np.abs(x), 0)),
    "nearest": (x, 1.0 * (np.abs(x) < 0.5)),
}
plotting.plot_curves(ax, curves, "distance from the pixel", "weight")
ax.plot(places[20:70], seen[20:70], "o", markersize=3, color=plotting.BLACK, label="bicubic, torch")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# ### Task: `upsample_bicubic`
#
# With $f = \lfloor\mathrm{src}\rfloor$ the four taps along one axis are f - 1, f, f + 1 and f + 2; tap k is weighed with
# W(src - k). Rows and columns are independent: in all 16 pixels, each with the product of its two weights (or along the
# rows first, then along the columns). Use src = (i + 0.5) n / m - 0.5. Three details in which implementations differ:
#
# - src is *not* clamped; instead each tap that falls outside takes the border pixel (clamp its index);
# - the result is not clipped: overshoot stays;
# - when shrinking, nothing is smoothed first.
#
# Not allowed: the routines of `upsample_nearest`.


# %% nbgrader={"grade": false, "grade_id": "upsample_bicubic", "locked": false, "schema_version": 3, "solution": true, "task": false}
def upsample_bicubic(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image by bicubic interpolation with a = -0.75 and pixels as areas.

    Args:
        image: (H, W) array, H, W >= 1.
        size: (h, w) of the result, any positive ints.

    Returns:
        (h, w) array, not clipped. src = (i + 0.5) * n / m - 0.5 is not clamped, the indices of its four taps are.

    Example:
        upsample_bicubic(np.array([[0.0, 1.0]]), (1, 4)) is [[-0.10546875, 0.2265625, 0.7734375, 1.10546875]].
    """

    ### BEGIN SOLUTION
    def weights(n: int, m: int) -> np.ndarray:
        """(m, n) matrix that takes n old pixels to m new ones."""
        source = (np.arange(m) + 0.5) * n / m - 0.5
        taps = np.floor(source).astype(int)[:, None] + np.arange(-1, 3)
        matrix = np.zeros((m, n))
        pixels = np.clip(taps, 0, n - 1)
        np.add.at(matrix, (np.arange(m)[:, None], pixels), cubic_weight(source[:, None] - taps))
        return matrix

    by_rows, by_columns = weights(image.shape[0], size[0]), weights(image.shape[1], size[1])
    return by_rows @ image @ by_columns.T
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_upsample_bicubic", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
row = np.array([[0.0, 1.0]])
before = row.copy()
received = upsample_bicubic(row, (1, 4))
expected = np.array([[-0.10546875, 0.2265625, 0.7734375, 1.10546875]])
assert np.shape(received) == (1, 4), f"Expected shape (1, 4), received {np.shape(received)}."
assert np.allclose(received, expected), (
    f"Expected {expected.tolist()}, received {np.round(received, 4).tolist()}. The first src is -0.25: its taps are -2, -1, "
    "0, 1, of which the first two take pixel 0, so that only the weight W(-1.25) = -0.10546875 of pixel 1 is left. If the "
    "first number is 0, src was clamped or the result clipped; if it is -0.0703, a is -0.5."
)
column = np.array([[0.0], [8.0], [0.0], [0.0]])
received = upsample_bicubic(column, (8, 1))
expected = [-0.84375, 2.09375, 7.03125, 7.03125, 2.09375, -0.84375, -0.28125, 0]
assert np.shape(received) == (8, 1), f"Expected shape (8, 1): size is (rows, columns); received {np.shape(received)}."
assert np.allclose(np.ravel(received), expected), (
    f"Expected {expected}, received {np.round(np.ravel(received), 5).tolist()}. Each tap k has the weight W(src - k)."
)
flat = upsample_bicubic(np.full((2, 3), 7.0), (5, 4))
assert np.allclose(flat, 7), f"A flat picture stays flat, also at the border; received {np.round(flat, 3).tolist()}."
image = np.array([[1.0, 5.0, 2.0], [0.0, 3.0, 9.0]])
assert np.allclose(upsample_bicubic(image, (2, 3)), image), "The same size should give the same picture."
assert np.array_equal(row, before), "The array that was passed in has changed: build a new one instead."
print("upsample_bicubic: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("upsampling", "upsample_bicubic", globals())
### END HIDDEN TESTS


# %% [markdown]
# A step from 0.2 to 0.8, enlarged ten times. Bilinear (dashed) stays between the two levels; bicubic (yours, and
# torch's as dots) is steeper, but undershoots before and overshoots after the edge. In photos this looks like a light
# and a dark seam, and often like sharpness.

# %%
step = np.repeat([[0.2, 0.8]], 4, axis=1)
places = (np.arange(80) + 0.5) / 10
curves = {
    "bicubic, yours": (places, upsample_bicubic(step, (1, 80))[0]),
    "bilinear, torch": (places, torch_resize(step, (1, 80), "bilinear", align_corners=False)[0]),
}
figure, ax = plt.subplots(figsize=(5.2, 2.4))
plotting.plot_curves(ax, curves, "place (pixels)", "value")
ax.plot(
    places[::3],
    torch_resize(step, (1, 80), "bicubic", align_corners=False)[0, ::3],
    "o",
    markersize=3,
    color=plotting.BLACK,
    label="bicubic, torch",
)
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# <details><summary>Resolution of the prediction</summary>
#
# Bilinear weights are never negative and add up to 1, so the result is an average and stays in range. Bicubic weights
# may be negative, so it can leave the range, on both sides. Clip before you save a picture, and mind that probabilities
# or heights enlarged in this way may fall below 0.
# </details>

# %% [markdown]
# ## 6 On a real photo
#
# Now torch's functions, so that this section works whatever you have written (yours give the same pictures). The cat was
# shrunk by 4, each new pixel the mean of 4 x 4 old ones, and is enlarged again. Two measures tell how much of it comes
# back: PSNR (in decibels; 3 dB less means twice the squared error) and SSIM, which compares means, contrasts and patterns
# in small windows (1: the same).
#
# Upper row: the cat's eye. Lower row: the error, white where there is none, purple where the result is too dark, green where
# it is too bright. The errors sit on edges and hairs: where there is detail finer than 4 pixels.

# %%
methods = {"nearest": ("nearest", None), "bilinear": ("bilinear", False), "bicubic": ("bicubic", False)}
enlarged = {name: torch_resize(small_cat, cat.shape, *method) for name, method in methods.items()}
figure, axes = plt.subplots(2, 4, figsize=(8, 2.9))
plotting.show_image(axes[0, 0], cat[eye], "original")
plotting.show_image(axes[1, 0], small_cat[tuple(slice(part.start // 4, part.stop // 4) for part in eye)], "shrunk by 4")
for column, (name, image) in zip(axes.T[1:], enlarged.items(), strict=True):
    plotting.show_image(column[0], image[eye], f"{name}: {resampling.psnr(image, cat):.1f} dB")
    plotting.show_image(column[1], (image - cat)[eye], cmap=plt.get_cmap("PRGn", 9), vmin=-0.27, vmax=0.27)
    column[1].set_title(f"error, SSIM {resampling.ssim(image, cat):.3f}")
figure.colorbar(axes[1, 3].images[0], ax=axes, shrink=0.8, label="result - original")
plt.show()

# %% [markdown]
# Means over six photos (astronaut, camera, cat, coffee, coins, motorcycle), shrunk by 4 and enlarged by 4:

# %% tags=["measured", "nbval-check-output"]
for name, method in methods.items():
    pairs = [(torch_resize(resampling.shrink(photo, 4), photo.shape, *method), photo) for photo in photos.values()]
    print(f"{name}, PSNR in dB: {np.mean([resampling.psnr(*pair) for pair in pairs]):.2f}")
    print(f"{name}, SSIM: {np.mean([resampling.ssim(*pair) for pair in pairs]):.3f}")

# %% [markdown]
# Bicubic leads, but not by much: what the means over 4 x 4 pixels have thrown away, no interpolation brings back. That
# takes knowledge about pictures, which only learned upsampling can have.
#
# ### Ten round trips
#
# A picture is shrunk by 2 and enlarged by 2, and the result again, ten times, as happens to a picture that is passed
# from program to program. **Predict first:** nearest has the lowest PSNR after one trip. Which method is the best after ten?
# Draw four curves of PSNR over the number of trips before you look: nearest, bilinear, bicubic, and bilinear with
# `align_corners=True` (shrinking takes pixels as areas, so here the two conventions are mixed).

# %%
trip_methods = {**methods, "bilinear, align_corners": ("bilinear", True)}
trips = {
    name: [
        resampling.round_trips(photo, lambda small, size, how=method: torch_resize(small, size, *how), 10)
        for photo in photos.values()
    ]
    for name, method in trip_methods.items()
}

# %% tags=["measured", "nbval-check-output"]
quality = {}
for name, per_photo in trips.items():
    pairs = list(zip(per_photo, photos.values(), strict=True))
    quality[name] = [
        [np.mean([f(images[k], photo) for images, photo in pairs]) for k in range(10)]
        for f in (resampling.psnr, resampling.ssim)
    ]
    for f, values, digits in zip(("PSNR in dB", "SSIM"), quality[name], (2, 3), strict=True):
        print(f"{name}, {f}, 1 trip: {values[0]:.{digits}f}")
        print(f"{name}, {f}, 10 trips: {values[9]:.{digits}f}")

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6))
for ax, row, label in zip(axes, (0, 1), ("PSNR (dB)", "SSIM"), strict=True):
    plotting.plot_curves(ax, {name: (np.arange(1, 11), q[row]) for name, q in quality.items()}, "round trips", label)
    ax.set_xticks(range(1, 11))
axes[0].get_legend().remove()
axes[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()
names = list(photos)
after_ten = {"original": cat} | {name: images[names.index("chelsea")][-1] for name, images in trips.items()}
axes = plotting.side_by_side(
    [image[eye] for image in after_ten.values()], [name.replace(", ", "\n") for name in after_ten], height=1.1
)
plt.show()

# %% [markdown]
# <details><summary>Resolution</summary>
#
# Nearest (28.50 dB) stays where it is: after one trip the picture consists of equal blocks, their mean is their value,
# and every further trip changes nothing. Bilinear falls from 29.06 to 23.71 dB: each trip averages with neighbours
# once more. Bicubic loses less, from 30.25 to 26.73 dB, as it sharpens a little of what shrinking has blurred. So
# the worst single step, by PSNR, is the best after ten: a chain of harmless steps is not harmless. With mixed
# conventions (21.44 dB after ten) the picture also drifts outwards: with every trip its outermost pixels move by half a
# pixel, and a mask that went the same way would no longer fit.
# </details>

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_round_trips", "locked": true, "schema_version": 3, "solution": false, "task": false}
# ### Question: which one would you take?
#
# (a) Why does "shrink by means, enlarge with nearest" change a picture only once, while the same with bilinear changes it
# again and again? (b) You have to enlarge, by 8, three things: a label map with classes 0 ... 5; a network's map of
# probabilities; a photo for printing. Choose a method for each, and say what the others would do. (c) Nearest has the
# highest PSNR after ten round trips, and the highest SSIM, too. Is it the best picture? What does that say about such
# measures?
#
# === BEGIN MARK SCHEME ===
# 1 point (a): after the first trip all pixels of a block are equal; the mean of a block is that value and nearest restores it (a projection:
#   applying it twice is applying it once). Bilinear mixes neighbouring blocks, so the means differ from before, at every trip.
# 1 point (b): labels: nearest (others invent classes in between, e.g. 3 between 1 and 5; or enlarge scores per class and take the argmax afterwards);
#   probabilities: bilinear (bicubic may leave [0, 1]; nearest gives blocks); photo: bicubic (or learned), clipped; bilinear is blurred.
#   Half a point if one of the three is missing or without reason.
# 1 point (c): no: blocks are visible, edges are stairs; PSNR adds up squared errors pixel by pixel and knows nothing of structure; a blurred and a
#   blocky picture may have the same. Accept: SSIM also favours nearest here, so neither measure replaces looking.
# Common wrong answers: "nearest loses no information"; "bilinear is always best"; bicubic for labels.
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_round_trips", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# (a) After the first trip every block of 2 x 2 pixels is constant. Its mean is that constant, and nearest writes it back
# into the block: the second trip finds what the first has left. It is a projection. Bilinear writes mixtures of
# neighbouring blocks, so the blocks' means are not what they were, and each trip smooths once more.
#
# (b) Labels: nearest, as anything else makes up classes between two labels (or one enlarges one score map per class,
# bilinearly, and takes the argmax afterwards). Probabilities: bilinear, which stays in [0, 1] and is continuous; bicubic
# may fall below 0, nearest gives steps of 8 pixels. Photo: bicubic, clipped, which is sharper than bilinear and has no
# blocks; or a learned method.
#
# (c) No. It shows 2 x 2 blocks and stairs along every slanted edge; the bicubic picture looks softer, but more like the
# original. PSNR compares pixel by pixel and adds up squares; it does not know whether errors form a pattern that disturbs
# the eye. A measure ranks, it does not look.

# %% [markdown]
# ### How long does it take?
#
# Milliseconds for the cat, 75 x 112 to 300 x 448, on this machine: yours (NumPy) and torch's, both with one thread and in
# float64. The best of 15 runs, as everything else that a computer does can only make it slower. **Predict first:** which of
# your three functions is the slowest, and is it the one with the most arithmetic per pixel?


# %% tags=["measured"]
def milliseconds(call) -> float:
    """Shortest time of a call, of 15."""
    times = []
    for _ in range(15):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


own = {
    "nearest": lambda: upsample_nearest(small_cat, 4),
    "bilinear": lambda: upsample_bilinear(small_cat, cat.shape),
    "bicubic": lambda: upsample_bicubic(small_cat, cat.shape),
}
for name, method in methods.items():
    print(f"{name}, yours, ms: {milliseconds(own[name]):.2f}")
    print(f"{name}, torch, ms: {milliseconds(lambda how=method: torch_resize(small_cat, cat.shape, *how)):.2f}")

# %% [markdown]
# <details><summary>Resolution</summary>
#
# With our solution, on a busy machine, in five runs: nearest 0.40 +- 0.02 ms (torch 0.10), bilinear 8.6 +- 0.5 (0.31),
# bicubic 1.13 +- 0.02 (1.44). Bicubic takes four times as many pixels into account as bilinear and is the quicker of our
# two, because it works along rows and columns apart: two small matrix products. (Written with 16 look-ups for each
# pixel, as the task words it, it is the slowest.) Bilinear as we wrote it looks up four
# texels for each of the 134,400 new pixels and holds a dozen arrays of that size; what costs is the memory, not the
# arithmetic. (On a quieter machine it took 4.2 +- 0.3 ms.) The trick with two products works for bilinear, too.
# </details>
#
# ## 7 Transposed convolution: scattering
#
# An ordinary convolution *gathers*: each output pixel looks at a window of the input. A transposed convolution
# *scatters*: each input pixel lays the whole kernel, multiplied with its own value, onto the output, `stride` pixels
# further for each step of the input. Where kernels overlap, they add up.
#
# $$\mathrm{out}[r\cdot\mathrm{stride}+i,\ c\cdot\mathrm{stride}+j]\ \mathrel{+}=\ x[r, c]\cdot k[i, j]
# \qquad\text{for all } r, c, i, j$$
#
# The result has $(H-1)\cdot\mathrm{stride} + k_h$ rows; `padding` then cuts that many rows and columns off at *each*
# side. (Padding makes the output of a convolution larger, so it makes that of its transpose smaller.) The kernel is not
# flipped.
#
# **Do it on paper,** the lecture's example, stride 1, no padding:
#
# $$x = \begin{pmatrix}2&4\\0&1\end{pmatrix},\qquad k = \begin{pmatrix}3&1\\1&5\end{pmatrix}$$
#
# <details><summary>Resolution</summary>
#
# Four copies of the kernel, each times one value of x, moved to that value's place:
#
# $$\begin{pmatrix}6&2&0\\2&10&0\\0&0&0\end{pmatrix}+\begin{pmatrix}0&12&4\\0&4&20\\0&0&0\end{pmatrix}+
# \begin{pmatrix}0&0&0\\0&0&0\\0&0&0\end{pmatrix}+\begin{pmatrix}0&0&0\\0&3&1\\0&1&5\end{pmatrix}=
# \begin{pmatrix}6&14&4\\2&17&21\\0&1&5\end{pmatrix}$$
# </details>
#
# (A hint for your own tests: this kernel equals its transpose, so the example can not find a program that exchanges the
# kernel's rows and columns. The visible tests use another one as well.)
#
# The strip shows the output after each of the four steps (by torch), for stride 1 above and stride 2 below. Yellow: the
# input pixel of the step, and where its kernel lands. With stride 2 this kernel tiles the output without overlap.

# %%
lecture_x, lecture_kernel = np.array([[2.0, 4.0], [0.0, 1.0]]), np.array([[3.0, 1.0], [1.0, 5.0]])


def torch_transposed(x: np.ndarray, kernel: np.ndarray, stride: int = 1, padding: int = 0) -> np.ndarray:
    """torch's transposed convolution with NumPy arrays in and out."""
    x, kernel = (torch.as_tensor(values, dtype=torch.float64)[None, None] for values in (x, kernel))
    return F.conv_transpose2d(x, kernel, stride=stride, padding=padding)[0, 0].numpy()


def draw_step(ax: plt.Axes, step: int, transposed) -> None:
    """Draw the lecture's example after some steps: input, kernel, output for stride 1 (above) and 2 (below)."""
    grids.blank(ax, 11.5, 9.2)
    done = np.arange(4).reshape(2, 2) < step
    row, column = divmod(step - 1, 2)
    for stride, y, height in ((1, 1.2, 3), (2, 5.1, 4)):
        top = y + height / 2 - 1
        grids.draw_matrix(ax, lecture_x, 0, top, "x" if stride == 1 else "", [(row, column)])
        grids.draw_matrix(ax, lecture_kernel, 3.2, top, "kernel" if stride == 1 else "")
        landing = [(row * stride + i, column * stride + j) for i in (0, 1) for j in (0, 1)]
        output = transposed(np.where(done, lecture_x, 0), lecture_kernel, stride)
        grids.draw_matrix(ax, output, 7, y, f"stride {stride}", landing)
        ax.text(2.6, top + 1, "*", ha="center", va="center", fontsize=14)
        ax.text(6.1, top + 1, "=", ha="center", va="center", fontsize=14)


figure, axes = plt.subplots(1, 4, figsize=(11, 2.6))
for step, ax in enumerate(axes, 1):
    draw_step(ax, step, torch_transposed)
    ax.set_title(f"step {step}")
plt.show()

# %% [markdown]
# ### Task: `transposed_conv2d`
#
# A loop over the input's pixels that adds slices is fine; a loop over the kernel's is faster, as kernels are small. Not
# allowed: `F.conv_transpose2d`, `nn.ConvTranspose2d`, `torch.nn.grad.conv2d_input`.


# %% nbgrader={"grade": false, "grade_id": "transposed_conv2d", "locked": false, "schema_version": 3, "solution": true, "task": false}
def transposed_conv2d(x: np.ndarray, kernel: np.ndarray, stride: int = 1, padding: int = 0) -> np.ndarray:
    """Transposed convolution of one channel.

    Args:
        x: (H, W) array, H, W >= 1.
        kernel: (kh, kw) array, not flipped.
        stride: steps on the output for one step on the input, in both directions. Gaps between kernels stay 0.
        padding: rows and columns that are cut off at each side of the output.

    Returns:
        ((H - 1) * stride - 2 * padding + kh, (W - 1) * stride - 2 * padding + kw) array.

    Example:
        With x = [[2, 4], [0, 1]] and kernel = [[3, 1], [1, 5]] it is [[6, 14, 4], [2, 17, 21], [0, 1, 5]].
    """
    ### BEGIN SOLUTION
    (height, width), (kh, kw) = x.shape, kernel.shape
    full = np.zeros(((height - 1) * stride + kh, (width - 1) * stride + kw))
    for row in range(height):
        for column in range(width):
            top, left = row * stride, column * stride
            full[top : top + kh, left : left + kw] += x[row, column] * kernel
    return full[padding : full.shape[0] - padding, padding : full.shape[1] - padding]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_transposed_conv2d", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
x, kernel = np.array([[2.0, 4.0], [0.0, 1.0]]), np.array([[3.0, 1.0], [1.0, 5.0]])
received = transposed_conv2d(x, kernel)
expected = np.array([[6, 14, 4], [2, 17, 21], [0, 1, 5]])
assert np.shape(received) == (3, 3), (
    f"The lecture's example: expected shape (3, 3), received {np.shape(received)}. If a side is 0: without padding a slice "
    "like full[0:-0] is empty."
)
assert np.array_equal(received, expected), (
    f"The lecture's example: expected {expected.tolist()}, received {np.asarray(received).tolist()}. Where kernels overlap "
    "they add up; the kernel is not flipped."
)
row, wide = np.array([[1.0, 10.0]]), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
before = row.copy(), wide.copy()
received = transposed_conv2d(row, wide, stride=2)
expected = np.array([[1, 2, 13, 20, 30], [4, 5, 46, 50, 60]])
assert np.shape(received) == (2, 5), (
    f"Stride 2: expected shape ((1-1)*2+2, (2-1)*2+3) = (2, 5), got {np.shape(received)}."
)
assert np.array_equal(received, expected), (
    f"Stride 2: expected {expected.tolist()}, received {np.asarray(received).tolist()}. The second kernel begins 2 columns "
    "further right; stride is a distance on the output."
)
received = transposed_conv2d(row / 4, wide)
assert np.allclose(received, [[0.25, 3, 5.75, 7.5], [1, 11.25, 14, 15]]), (
    f"Fractions: expected [[0.25, 3, 5.75, 7.5], [1, 11.25, 14, 15]], received {np.asarray(received).tolist()}."
)
received = transposed_conv2d(row, wide, stride=4)
assert np.array_equal(received, [[1, 2, 3, 0, 10, 20, 30], [4, 5, 6, 0, 40, 50, 60]]), (
    f"Stride 4 leaves a gap of zeros between the kernels; received {np.asarray(received).tolist()}."
)
received = transposed_conv2d(x, kernel, stride=2, padding=1)
assert np.array_equal(received, [[10, 4], [0, 3]]), (
    f"Stride 2, padding 1: expected [[10, 4], [0, 3]], received {np.asarray(received).tolist()}. One row and one column "
    "are cut off at each of the four sides."
)
assert np.array_equal(row, before[0]) and np.array_equal(wide, before[1]), "An argument has changed: build new arrays."
print("transposed_conv2d: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("upsampling", "transposed_conv2d", globals())
### END HIDDEN TESTS


# %% [markdown]
# The same figure with your function, step by step. (The slider needs a running kernel; the strip above shows all four
# steps.)

# %%
plotting.slider(lambda ax, step: draw_step(ax, int(step), transposed_conv2d), "step", 1, 4, 1, figsize=(4.4, 3.6))

# %% [markdown]
# ## 8 Why it is called transposed
#
# Every linear map is a matrix. Write a picture as one long vector, row after row (row-major). Then a *valid*
# cross-correlation, what deep learning calls convolution, without padding and with stride 1, is $y = C x$: row by row,
# C holds the kernel's numbers at the columns of the pixels that this output looks at. Its transpose $C^T$ takes a vector
# of the output's size back to one of the input's size, and *that* is the transposed convolution: column by column, each
# value is spread over those pixels that it came from.
#
# **Do it on paper:** the kernel of the lecture on a 2 x 3 picture. There are 1 x 2 outputs, so C is 2 x 6.
#
# <details><summary>Resolution</summary>
#
# $$C = \begin{pmatrix}3&1&0&1&5&0\\0&3&1&0&1&5\end{pmatrix}$$
#
# The first output looks at pixels 0, 1 of the first row and 0, 1 of the second row, which are the vector's entries 3 and 4.
# </details>
#
# **Predict first:** is $C^T$ the inverse of C, so that $C^T C x = x$?
#
# ### Task: `conv_matrix`
#
# Not allowed: `scipy.linalg.convolution_matrix`.


# %% nbgrader={"grade": false, "grade_id": "conv_matrix", "locked": false, "schema_version": 3, "solution": true, "task": false}
def conv_matrix(kernel: np.ndarray, input_size: tuple[int, int]) -> np.ndarray:
    """Valid cross-correlation with stride 1 as a matrix.

    Args:
        kernel: (kh, kw) array, not flipped.
        input_size: (H, W) of the picture, H >= kh, W >= kw.

    Returns:
        ((H - kh + 1) * (W - kw + 1), H * W) array C. With a picture flattened row by row, C @ picture.ravel() is the
        result, flattened row by row; the transpose of C is the transposed convolution.

    Example:
        conv_matrix(np.array([[3, 1], [1, 5]]), (2, 3)) is [[3, 1, 0, 1, 5, 0], [0, 3, 1, 0, 1, 5]].
    """
    ### BEGIN SOLUTION
    (kh, kw), (height, width) = kernel.shape, input_size
    rows, columns = height - kh + 1, width - kw + 1
    matrix = np.zeros((rows, columns, height, width))
    for row in range(rows):
        for column in range(columns):
            matrix[row, column, row : row + kh, column : column + kw] = kernel
    return matrix.reshape(rows * columns, height * width)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_conv_matrix", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
kernel = np.array([[3.0, 1.0], [1.0, 5.0]])
before = kernel.copy()
received = conv_matrix(kernel, (2, 3))
expected = np.array([[3, 1, 0, 1, 5, 0], [0, 3, 1, 0, 1, 5]])
assert np.shape(received) == (2, 6), f"Expected shape (1 * 2, 2 * 3) = (2, 6), received {np.shape(received)}."
assert np.array_equal(received, expected), (
    f"Expected {expected.tolist()}, received {np.asarray(received).tolist()}. One row of C for each place of the kernel; "
    "the kernel's second row begins a whole picture width after its first. It is not flipped."
)
received = conv_matrix(np.array([[1.0, 2.0, 4.0]]), (2, 4))
expected = np.array(
    [[1, 2, 4, 0, 0, 0, 0, 0], [0, 1, 2, 4, 0, 0, 0, 0], [0, 0, 0, 0, 1, 2, 4, 0], [0, 0, 0, 0, 0, 1, 2, 4]]
)
assert np.shape(received) == (4, 8), f"Expected shape (2 * 2, 2 * 4) = (4, 8), received {np.shape(received)}."
assert np.array_equal(received, expected), (
    f"Expected {expected.tolist()}, received {np.asarray(received).tolist()}. The kernel stays inside the picture: it "
    "must not run on from the end of one row into the next."
)
x = np.array([[2.0, 4.0], [0.0, 1.0]])
spread = (np.asarray(conv_matrix(kernel, (3, 3))).T @ x.ravel()).reshape(3, 3)
assert np.allclose(spread, [[6, 14, 4], [2, 17, 21], [0, 1, 5]]), (
    f"The transpose should give the lecture's example, [[6, 14, 4], [2, 17, 21], [0, 1, 5]]; received {spread.tolist()}."
)
assert np.array_equal(kernel, before), "The kernel that was passed in has changed: build new arrays instead."
print("conv_matrix: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("upsampling", "conv_matrix", globals())
### END HIDDEN TESTS


# %% [markdown]
# Your matrix for a picture of 4 x 5 pixels, white being 0, and beside it torch's, found by convolving twenty pictures
# with a single 1 each. Each row is one place of the kernel. Where the kernel reaches the right border, the diagonal
# jumps.

# %%
units = torch.eye(20, dtype=torch.float64).reshape(20, 1, 4, 5)
reference = F.conv2d(units, torch.from_numpy(lecture_kernel)[None, None]).reshape(20, -1).T.numpy()
figure, axes = plt.subplots(1, 2, figsize=(7, 2.4), sharey=True)
for ax, matrix, title in zip(axes, (conv_matrix(lecture_kernel, (4, 5)), reference), ("yours", "torch"), strict=True):
    picture = ax.imshow(matrix, cmap="Blues", vmin=0, vmax=5)
    ax.set(title=title, xlabel="pixel of the picture", xticks=range(0, 20, 5), yticks=range(0, 12, 4))
axes[0].set_ylabel("output")
figure.colorbar(picture, ax=axes, label="weight", shrink=0.8)
plt.show()

# %% [markdown]
# And what becomes of a picture that is convolved and then "deconvolved" with the same kernel? Here with the mean over 5 x
# 5 pixels, by torch:

# %%
mean_kernel = np.full((5, 5), 1 / 25)
convolved = F.conv2d(torch.from_numpy(cat)[None, None], torch.from_numpy(mean_kernel)[None, None])[0, 0].numpy()
back = torch_transposed(convolved, mean_kernel)
sizes = [" x ".join(map(str, image.shape)) for image in (cat, convolved, back)]
titles = [f"{name}, {size}" for name, size in zip(("x", "C x", "$C^T$ C x"), sizes, strict=True)]
plotting.side_by_side([cat, convolved, back], titles, height=1.8)
plt.show()

# %% [markdown]
# <details><summary>Resolution</summary>
#
# The size is back, the picture is not: it is blurred twice, and dark at the borders, where fewer kernels land. $C^T C$ is
# the identity only if the columns of C are orthonormal. The name "deconvolution", often used, promises too much. What
# $C^T$ does do: it is the backward pass. The gradient of a loss with respect to the input of a convolution is $C^T$ times
# the gradient with respect to its output, so every convolution layer already contains its transposed one.
# </details>
#
# ## 9 Bilinear interpolation as a transposed convolution
#
# A transposed convolution with the right kernel *is* bilinear enlarging. Each pixel spreads a tent over the output, wide
# enough to reach its neighbours' centres: for a scale f the tent has the width
#
# $$k = 2f - f\bmod 2,\qquad w_i = 1 - \frac{|i - (k-1)/2|}{f},\quad i = 0, \dots, k-1,\qquad K_{ij} = w_i\,w_j .$$
#
# With stride f and padding $\lfloor f/2\rfloor$ the result equals bilinear interpolation (pixels as areas), except near
# the border, where interpolation continues the edge pixels and the transposed convolution adds nothing. Networks for
# segmentation (FCN) start their upsampling layers with this kernel, and may leave it by training.
#
# **Do it on paper:** w for f = 2 and for f = 3. What do the weights add up to, and why must it be f?
#
# <details><summary>Resolution</summary>
#
# f = 2: k = 4, w = 1/4, 3/4, 3/4, 1/4, sum 2. f = 3: k = 5, w = 1/3, 2/3, 1, 2/3, 1/3, sum 3. Each pixel gives its value to
# f output pixels' worth of weight (f times f in the plane); only so is the output as bright as the input.
# </details>
#
# ### Task: `bilinear_kernel`
#
# Nothing is forbidden.


# %% nbgrader={"grade": false, "grade_id": "bilinear_kernel", "locked": false, "schema_version": 3, "solution": true, "task": false}
def bilinear_kernel(scale: int) -> np.ndarray:
    """Kernel with which a transposed convolution interpolates bilinearly.

    Args:
        scale: how many times larger, a positive int; to be used with stride = scale, padding = scale // 2.

    Returns:
        (k, k) array with k = 2 * scale - scale % 2; its sum is scale squared.

    Example:
        bilinear_kernel(2) is the outer product of [1/4, 3/4, 3/4, 1/4] with itself; bilinear_kernel(1) is [[1]].
    """
    ### BEGIN SOLUTION
    size = 2 * scale - scale % 2
    centre = (size - 1) / 2
    tent = 1 - np.abs(np.arange(size) - centre) / scale
    return tent[:, None] * tent[None, :]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_bilinear_kernel", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
received = bilinear_kernel(2)
tent = np.array([1, 3, 3, 1]) / 4
assert np.shape(received) == (4, 4), f"Scale 2: expected shape (4, 4), received {np.shape(received)}."
assert np.allclose(received, np.outer(tent, tent)), (
    f"Scale 2: expected the outer product of [1/4, 3/4, 3/4, 1/4] with itself, received {np.asarray(received).tolist()}. An "
    "even kernel has its centre between two pixels."
)
received = bilinear_kernel(3)
tent = np.array([1, 2, 3, 2, 1]) / 3
assert np.shape(received) == (5, 5), f"Scale 3: expected shape (5, 5), received {np.shape(received)}."
assert np.allclose(received, np.outer(tent, tent)), (
    f"Scale 3: expected the outer product of [1, 2, 3, 2, 1] / 3; got {received}."
)
assert np.allclose(bilinear_kernel(1), [[1]]), "Scale 1 changes nothing: expected [[1]]."
assert np.isclose(np.sum(bilinear_kernel(4)), 16), "Scale 4: the kernel should add up to 16. Do not normalise it to 1."
print("bilinear_kernel: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("upsampling", "bilinear_kernel", globals())
### END HIDDEN TESTS


# %% [markdown]
# The small cat, enlarged by torch's transposed convolution with your kernel, and by torch's bilinear interpolation. The
# difference is white (none) inside and dark along the border only.

# %%
by_kernel = torch_transposed(small_cat, bilinear_kernel(4), stride=4, padding=2)
by_interpolation = torch_resize(small_cat, cat.shape, "bilinear", align_corners=False)
difference = np.abs(by_kernel - by_interpolation)
print(f"largest difference further than 2 pixels from the border: {difference[2:-2, 2:-2].max():.1e}")
plotting.side_by_side(
    [by_kernel, by_interpolation, 1 - np.minimum(10 * difference, 1)],
    ["transposed convolution", "interpolation", "difference"],
    height=1.8,
)
plt.show()

# %% [markdown]
# ## 10 Checkerboards
#
# Images that were made by networks with transposed convolutions often show a fine grid. The reason can be counted: how
# many kernels reach each output pixel? If kernel and stride do not fit together, the numbers alternate, and a pixel that
# is reached by four kernels is easily brighter than its neighbour that is reached by one.
#
# ### Task: `overlap_count`
#
# Input pixel r reaches the output rows r * stride to r * stride + kernel - 1; columns likewise. Not allowed: `F.fold`,
# `nn.Fold`, and the routines of `transposed_conv2d`; your own `transposed_conv2d` may be used.


# %% nbgrader={"grade": false, "grade_id": "overlap_count", "locked": false, "schema_version": 3, "solution": true, "task": false}
def overlap_count(input_size: tuple[int, int], kernel: int, stride: int) -> np.ndarray:
    """How many input pixels reach each output pixel of a transposed convolution without padding.

    Args:
        input_size: (H, W), H, W >= 1.
        kernel: side of the square kernel, a positive int.
        stride: a positive int, the same in both directions.

    Returns:
        ((H - 1) * stride + kernel, (W - 1) * stride + kernel) array of numbers; 0 in gaps (stride > kernel).

    Example:
        overlap_count((1, 3), 3, 2) has three equal rows: [1, 1, 2, 1, 2, 1, 1].
    """

    ### BEGIN SOLUTION
    def along(length: int) -> np.ndarray:
        counts = np.zeros((length - 1) * stride + kernel)
        for start in range(0, length * stride, stride):
            counts[start : start + kernel] += 1
        return counts

    by_rows, by_columns = along(input_size[0]), along(input_size[1])
    return by_rows[:, None] * by_columns[None, :]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_overlap_count", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
received = overlap_count((1, 3), 3, 2)
assert np.shape(received) == (3, 7), f"Expected shape ((1-1)*2+3, (3-1)*2+3) = (3, 7), received {np.shape(received)}."
assert np.array_equal(received, [[1, 1, 2, 1, 2, 1, 1]] * 3), (
    f"Expected three rows [1, 1, 2, 1, 2, 1, 1], received {np.asarray(received).tolist()}. The kernels cover the columns 0-2, "
    "2-4 and 4-6: columns 2 and 4 are reached twice."
)
received = overlap_count((2, 2), 3, 2)
expected = np.outer([1, 1, 2, 1, 1], [1, 1, 2, 1, 1])
assert np.array_equal(received, expected), (
    f"Expected {expected.tolist()}, received {np.asarray(received).tolist()}. Rows and columns multiply: the middle pixel is "
    "reached by four kernels, not by three."
)
received = overlap_count((1, 2), 2, 3)
assert np.array_equal(received, [[1, 1, 0, 1, 1]] * 2), (
    f"Kernel 2, stride 3 leaves a gap: expected two rows [1, 1, 0, 1, 1], received {np.asarray(received).tolist()}."
)
print("overlap_count: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("upsampling", "overlap_count", globals())
### END HIDDEN TESTS


# %% [markdown]
# **Predict first:** for which of the kernels 2, 3, 4, 5 with stride 2 is the count the same everywhere inside? The
# upper row shows your counts for 4 x 5 inputs, the lower row those of `F.fold` on pictures of ones.

# %%
figure, axes = plt.subplots(2, 4, figsize=(8.4, 3.9))
for kernel, column in zip((2, 3, 4, 5), axes.T, strict=True):
    output = (6 + kernel, 8 + kernel)
    ones = torch.ones(1, kernel * kernel, 20)
    reference = F.fold(ones, output, kernel, stride=2)[0, 0].numpy()
    for ax, counts, name in zip(
        column, (overlap_count((4, 5), kernel, 2), reference), ("yours", "F.fold"), strict=True
    ):
        picture = ax.imshow(counts, cmap="cividis", vmin=0, vmax=9)
        for (row, place), count in np.ndenumerate(counts):
            ax.text(
                place, row, f"{count:g}", ha="center", va="center", fontsize=6, color="white" if count < 5 else "black"
            )
        ax.set(xticks=[], yticks=[], title=f"{name}: kernel {kernel}, stride 2")
        ax.title.set_fontsize(8)
plt.show()

# %% [markdown]
# <details><summary>Resolution</summary>
#
# For 2 (each pixel once) and 4 (each four times), where the stride divides the kernel. With 3 the counts are 1, 2 and 4,
# with 5 they are 4, 6 and 9. And at the borders they fall off in any case.
# </details>
#
# ### Counts, and weights
#
# Counting treats all weights as equal. In a network they are not: with stride 2, a pixel in an even column is made from
# other numbers of the kernel than its neighbour in an odd column. On flat ground of value 1, each output pixel becomes the
# sum of the weights that reach it, so there is no grid exactly if those sums agree for all $\mathrm{stride}^2$ places.
#
# **Do it on paper,** in one dimension, with stride 2: the sums in even and in odd places for the kernels (1, 1, 1), (1, 1, 1, 1),
# (1, 2, 1)/2, (1, 3, 3, 1)/4 and (1, 2, 3, 4).
#
# <details><summary>Resolution</summary>
#
# | kernel | weights in even places | in odd places | grid? |
# |---|---|---|---|
# | (1, 1, 1) | 1 + 1 = 2 | 1 | yes |
# | (1, 1, 1, 1) | 1 + 1 = 2 | 1 + 1 = 2 | no |
# | (1, 2, 1)/2 | 1/2 + 1/2 = 1 | 1 | no, although 3 is not divisible by 2 |
# | (1, 3, 3, 1)/4, the tent | 1/4 + 3/4 = 1 | 3/4 + 1/4 = 1 | no |
# | (1, 2, 3, 4) | 1 + 3 = 4 | 2 + 4 = 6 | yes, although 4 is divisible by 2 |
#
# So a stride that divides the kernel is neither sufficient nor necessary. It helps weights that are nearly equal, or of
# one sign: equally many are added up in each place. Random weights of both signs have a grid with every kernel.
# </details>
#
# ### In a trained decoder
#
# Which sums will training find? A small decoder enlarges patches of photos by 4: convolution, enlarge by 2, ReLU, enlarge
# by 2. Four ways to enlarge by 2:
#
# | name | layer |
# |---|---|
# | kernel 3 | transposed convolution, kernel 3, stride 2: uneven counts |
# | kernel 4 | transposed convolution, kernel 4, stride 2: the stride divides the kernel |
# | kernel 4, bilinear | the same, but its weights start as bilinear kernels (section 9), each times a random number |
# | resize | nearest enlarging by 2, then an ordinary 3 x 3 convolution |
#
# A grid is easy to measure: give the decoder a *flat* gray picture. Away from the border its output should be flat, too.
# **Grid strength** is the standard deviation of that output, in gray levels of 255 (mean over three grays).
#
# **Predict first:** which of the four have no grid before training? Which have none after it?
#
# The nets learn from five photos and are tested on the cat, which they never saw.


# %%
class Decoder(nn.Module):
    """Enlarges (N, 1, h, w) to (N, 1, 4 h, 4 w)."""

    def __init__(self, kind: str, channels: int = 16):
        super().__init__()
        first = nn.Conv2d(1, channels, 3, padding=1)
        self.layers = nn.Sequential(
            first, nn.ReLU(), enlarge(kind, channels, channels), nn.ReLU(), enlarge(kind, channels, 1)
        )

    def forward(self, x):
        return self.layers(x)


def enlarge(kind: str, inputs: int, outputs: int) -> nn.Module:
    """A layer that doubles height and width."""
    if kind == "resize":
        return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(inputs, outputs, 3, padding=1))
    if kind == "kernel 3":
        # output_padding adds one row and one column at the end, so that the size doubles exactly
        return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    layer = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    if kind == "kernel 4, bilinear":
        tent = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
        with torch.no_grad():
            mixing = nn.Conv2d(inputs, outputs, 1).weight.permute(1, 0, 2, 3)  # as a 1 x 1 convolution would start
            layer.weight.copy_(mixing * torch.outer(tent, tent))
    return layer


def grid_strength(decoder: nn.Module) -> float:
    """Standard deviation of the answer to flat pictures, away from the border, in gray levels."""
    levels = torch.tensor([0.25, 0.5, 0.75], device=next(decoder.parameters()).device)
    with torch.no_grad():
        answer = decoder(levels[:, None, None, None].expand(3, 1, 10, 10))[:, 0, 12:-12, 12:-12]
    return 255 * float(answer.flatten(1).std(dim=1, correction=0).mean())


def draw_patches(generator: np.random.Generator, number: int, size: int = 32) -> torch.Tensor:
    """(number, 1, size, size) patches of all photos but the cat."""
    patches = []
    for _ in range(number):
        photo = photos[generator.choice([name for name in photos if name != "chelsea"])]
        row, column = generator.integers(0, np.array(photo.shape) - size + 1)
        patches.append(photo[row : row + size, column : column + size])
    return torch.tensor(np.stack(patches), dtype=torch.float32)[:, None]


# %% tags=["long"]
kinds = ("kernel 3", "kernel 4", "kernel 4, bilinear", "resize")
device, early_step, steps = training.device(), 60, 300
generator = seed_everything()
patches = draw_patches(generator, 1500).to(device)
small_patches = F.avg_pool2d(patches, 4)
decoders, early, history = {}, {}, {}
for kind in kinds:
    seed_everything()
    net = Decoder(kind).to(device)
    seen = []  # grid strength before each step

    def loss(small: torch.Tensor, large: torch.Tensor, kind=kind, net=net, seen=seen) -> torch.Tensor:
        if len(seen) == early_step:
            early[kind] = copy.deepcopy(net)
        seen.append(grid_strength(net))
        return F.mse_loss(net(small), large)

    batches = training.minibatches(16, small_patches, patches, generator=torch.Generator().manual_seed(SEED))
    training.train(net, batches, loss, steps=steps, lr=5e-3, name=kind)
    decoders[kind], history[kind] = net, np.array([*seen, grid_strength(net)])


# %% tags=["long", "measured"]
def enlarge_cat(decoder: nn.Module) -> np.ndarray:
    """A decoder's enlarged cat."""
    with torch.no_grad():
        batch = torch.tensor(small_cat, dtype=torch.float32, device=device)[None, None]
        return decoder(batch)[0, 0].cpu().numpy()


for kind in kinds:
    print(f"{kind}, grid before training: {history[kind][0]:.2f}")
    print(f"{kind}, grid after {early_step} steps: {history[kind][early_step]:.2f}")
    print(f"{kind}, grid after {steps} steps: {history[kind][-1]:.2f}")
    print(f"{kind}, PSNR on the cat in dB: {resampling.psnr(enlarge_cat(decoders[kind]), cat):.2f}")
print(
    f"bicubic, PSNR on the cat in dB: {resampling.psnr(torch_resize(small_cat, cat.shape, 'bicubic', False), cat):.2f}"
)

# %% tags=["long"]
figure, ax = plt.subplots(figsize=(5.6, 2.7))
for kind, style, color in zip(kinds, ("-", "--", "-.", ":"), plotting.CYCLE, strict=False):
    ax.plot(np.arange(steps + 1), np.maximum(history[kind], 1e-3), style, label=kind, color=color)
ax.axvline(early_step, color=plotting.BLACK, linewidth=0.6)
ax.set(yscale="log", xlabel="training step", ylabel="grid strength (gray levels)", ylim=(8e-4, 200))
ax.set_yticks([1e-3, 0.01, 0.1, 1, 10, 100], ["none", "0.01", "0.1", "1", "10", "100"])
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# The held-out cat's eye. First row: after 60 steps, where the grids are plain to see. Second row: after 300 steps, where
# you have to look closely. Third row: the trained nets' answer to flat gray, the deviation from its mean 30 times
# enlarged: white and black are 4 gray levels off.

# %% tags=["long"]
figure, axes = plt.subplots(3, 4, figsize=(8.8, 4.9), height_ratios=[1, 1, 1])
close = (slice(96, 136), slice(132, 192))
for kind, column in zip(kinds, axes.T, strict=True):
    with torch.no_grad():
        flat = decoders[kind](torch.full((1, 1, 16, 21), 0.5, device=device))[0, 0, 12:52, 12:72].cpu().numpy()
    plotting.show_image(column[0], enlarge_cat(early[kind])[close], kind)
    plotting.show_image(column[1], enlarge_cat(decoders[kind])[close])
    plotting.show_image(column[2], 0.5 + 30 * (flat - flat.mean()))
for ax, label in zip(axes[:, 0], (f"{early_step} steps", f"{steps} steps", "flat gray, x 30"), strict=True):
    ax.set_ylabel(label)
plt.show()

# %% [markdown]
# <details><summary>Resolution</summary>
#
# Over five seeds (mean and standard deviation), in gray levels:
#
# | decoder | before | after 60 steps | after 300 steps | PSNR on the cat |
# |---|---|---|---|---|
# | kernel 3 | 13.9 +- 3.4 | 22.0 +- 9.5 | 1.7 +- 0.3 | 29.0 +- 0.2 dB |
# | kernel 4 | 12.9 +- 4.7 | 10.5 +- 4.4 | 1.5 +- 0.1 | 29.4 +- 0.2 dB |
# | kernel 4, bilinear | 0 | 1.3 +- 0.4 | 1.3 +- 0.5 | 29.6 +- 0.3 dB |
# | resize | 0 | 0 | 0 | 29.6 +- 0.2 dB |
#
# Kernel 4 has even counts and nevertheless begins with as strong a grid as kernel 3, as its random weights have other sums
# in even and in odd places. Started with bilinear kernels it has no grid, but training, which pulls at each weight by
# itself, brings one in. In all three the loss then wears the grid down to a gray level or two, as a grid on flat ground
# costs squared error. Only *resize* has none at any time, and can not have one on flat ground: all pixels are made with the
# same weights from equal neighbours. (Bicubic interpolation, 30.4 dB, still beats all four. 300 steps are enough to see
# grids, not to learn cats.)
# </details>
#
# So the cures differ in what they promise:
#
# - **resize, then convolve**: no grid on flat ground, ever, as every output pixel is made with the same weights;
# - **a kernel that the stride divides, started with bilinear weights**: no grid at the start; training is free to bring one
#   in, and free to take it out again;
# - **a kernel that the stride divides, started at random**: even counts, nothing more. This includes **kernel = stride**
#   (U-Net), where each place in the block has a single weight of its own.
#
# ## 11 Unpooling and pixel shuffle
#
# Two more ways up, which need no arithmetic at all.
#
# **Unpooling** (SegNet). Max pooling keeps one of four values and forgets where it was. Remember the place (its flat index,
# row * W + column), and the decoder can put the value back exactly there; everything else is 0, and convolutions fill the
# gaps. It costs memory for one index a value, less than U-Net's skip connections, which keep whole feature maps.
#
# **Predict first:** what share of the pixels is 0 after pooling 2 x 2 and unpooling?
#
# ### Task: `max_unpool`
#
# Not allowed: `F.max_unpool2d`, `nn.MaxUnpool2d`.


# %% nbgrader={"grade": false, "grade_id": "max_unpool", "locked": false, "schema_version": 3, "solution": true, "task": false}
def max_unpool(pooled: np.ndarray, indices: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Put pooled values back where they came from.

    Args:
        pooled: (h, w) array. May be empty.
        indices: (h, w) integer array without duplicates: flat row-major place of each value in the large map.
        size: (H, W) of the large map.

    Returns:
        (H, W) array: the values at their places, 0 elsewhere.

    Example:
        max_unpool(np.array([[7.0, 9.0]]), np.array([[4, 2]]), (2, 3)) is [[0, 0, 9], [0, 7, 0]].
    """
    ### BEGIN SOLUTION
    flat = np.zeros(size[0] * size[1], dtype=pooled.dtype)
    flat[indices.ravel()] = pooled.ravel()
    return flat.reshape(size)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_max_unpool", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
pooled, indices = np.array([[7.0, 9.0]]), np.array([[4, 2]])
before = pooled.copy(), indices.copy()
received = max_unpool(pooled, indices, (2, 3))
assert np.shape(received) == (2, 3), f"Expected shape (2, 3), received {np.shape(received)}."
assert np.array_equal(received, [[0, 0, 9], [0, 7, 0]]), (
    f"Expected [[0, 0, 9], [0, 7, 0]], received {np.asarray(received).tolist()}. Flat index 4 in a map of 3 columns is row "
    "1, column 1 (4 = 1 * 3 + 1); it is not a place in `pooled`."
)
pooled2, indices2 = np.array([[5.5, -6.0], [8.0, 3.0]]), np.array([[1, 7], [9, 14]])
received = max_unpool(pooled2, indices2, (4, 4))
expected = np.array([[0, 5.5, 0, 0], [0, 0, 0, -6], [0, 8, 0, 0], [0, 0, 3, 0]])
assert np.array_equal(received, expected), (
    f"Expected {expected.tolist()}, received {np.asarray(received).tolist()}. Negative values and fractions are put back as well."
)
received = max_unpool(np.zeros((0, 2)), np.zeros((0, 2), dtype=int), (2, 3))
assert np.array_equal(received, np.zeros((2, 3))), (
    f"Nothing to put back: expected zeros of shape (2, 3), got {received}."
)
assert np.array_equal(pooled, before[0]) and np.array_equal(indices, before[1]), (
    "An argument has changed: build new arrays."
)
print("max_unpool: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("upsampling", "max_unpool", globals())
### END HIDDEN TESTS


# %% [markdown]
# What the places are worth. The edges of the cat's eye (left; dark is strong) are max-pooled by 2 and enlarged again: by
# nearest, by your unpooling, by torch's. Unpooling keeps each value where it was, to the pixel, though most pixels are
# empty; nearest fills everything, and moves lines by up to a pixel.

# %%
edges = np.hypot(*np.gradient(cat))[eye] * 6
pooled, indices = (
    part[0, 0].numpy() for part in F.max_pool2d(torch.from_numpy(edges)[None, None], 2, return_indices=True)
)
reference = F.max_unpool2d(torch.from_numpy(pooled)[None, None], torch.from_numpy(indices)[None, None], 2)[0, 0].numpy()
unpooled = max_unpool(pooled, indices, edges.shape)
pictures = [edges, torch_resize(pooled, edges.shape, "nearest"), unpooled, reference]
plotting.side_by_side(
    [np.clip(1 - picture, 0, 1) for picture in pictures],
    ["edges", "pooled, nearest", "unpooled, yours", "unpooled, torch"],
    height=1.4,
)
plt.show()
print(f"zeros after unpooling: {np.mean(reference == 0):.1%} of the pixels")

# %% [markdown]
# <details><summary>Resolution</summary>
#
# Three quarters: one value in each block of four comes back.
# </details>
#
# **Pixel shuffle** (sub-pixel convolution) turns channels into pixels: a layer computes $C r^2$ channels at the low
# resolution, and each group of $r^2$ becomes a block of r x r pixels:
#
# $$\mathrm{out}[c,\ h\,r+i,\ w\,r+j] = x[c\,r^2 + i\,r + j,\ h,\ w]$$
#
# All the arithmetic is done on the small map. A transposed convolution whose kernel equals its stride, U-Net's
# up-convolution, is exactly this: a 1 x 1 convolution to $C r^2$ channels, then a pixel shuffle. Segmentation knows it as
# *dense upsampling convolution* (Wang et al., [Understanding convolution for semantic
# segmentation](https://arxiv.org/abs/1702.08502), 2018): the last layer computes, for each coarse place, the class scores
# of all its $r^2$ pixels.
#
# ### Task: `pixel_shuffle`
#
# `reshape` and `transpose` do it in one line; loops are fine. Not allowed: `F.pixel_shuffle`, `nn.PixelShuffle`, and
# `F.fold`.


# %% nbgrader={"grade": false, "grade_id": "pixel_shuffle", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pixel_shuffle(x: np.ndarray, r: int) -> np.ndarray:
    """Turn groups of r * r channels into blocks of r x r pixels.

    Args:
        x: (C * r * r, H, W) array.
        r: how many times larger, a positive int.

    Returns:
        (C, H * r, W * r) array with out[c, h * r + i, w * r + j] = x[c * r * r + i * r + j, h, w].

    Raises:
        ValueError: the number of channels is not divisible by r * r.

    Example:
        Four channels of one pixel, values 1, 2, 3, 4, with r = 2 become one channel [[1, 2], [3, 4]].
    """
    ### BEGIN SOLUTION
    channels, height, width = x.shape
    if channels % (r * r):
        raise ValueError(f"{channels} channels are not divisible by {r} * {r}.")
    blocks = x.reshape(channels // (r * r), r, r, height, width)
    return blocks.transpose(0, 3, 1, 4, 2).reshape(channels // (r * r), height * r, width * r)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_pixel_shuffle", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
x = np.array([[[1.0, 5.0]], [[2.0, 6.0]], [[3.0, 7.0]], [[4.0, 8.0]]])  # 4 channels of 1 x 2 pixels
before = x.copy()
received = pixel_shuffle(x, 2)
assert np.shape(received) == (1, 2, 4), (
    f"Expected shape (4 / 4, 1 * 2, 2 * 2) = (1, 2, 4), received {np.shape(received)}."
)
assert np.array_equal(received, [[[1, 2, 5, 6], [3, 4, 7, 8]]]), (
    f"Expected [[[1, 2, 5, 6], [3, 4, 7, 8]]], received {np.asarray(received).tolist()}. Pixel (0, 0) of the four channels "
    "becomes the block [[1, 2], [3, 4]]: channel i * r + j goes to row i, column j of the block."
)
received = pixel_shuffle(np.concatenate([x, 10 * x]), 2)
assert np.shape(received) == (2, 2, 4), f"8 channels: expected shape (2, 2, 4), received {np.shape(received)}."
assert np.array_equal(received[1], [[10, 20, 50, 60], [30, 40, 70, 80]]), (
    f"Output channel 1 is made from channels 4, 5, 6, 7: expected [[10, 20, 50, 60], [30, 40, 70, 80]], got {received[1]}."
)
received = pixel_shuffle(np.arange(9.0).reshape(9, 1, 1), 3)
assert np.array_equal(received, [[[0, 1, 2], [3, 4, 5], [6, 7, 8]]]), (
    f"Nine channels of one pixel, r = 3: expected [[[0, 1, 2], [3, 4, 5], [6, 7, 8]]], received {received.tolist()}."
)
for number in (3, 6):
    try:
        pixel_shuffle(np.ones((number, 1, 2)), 2)
    except ValueError:
        pass
    else:
        raise AssertionError(f"{number} channels can not become blocks of 2 x 2: a ValueError was expected.")
assert np.array_equal(x, before), "The array that was passed in has changed: build a new one instead."
print("pixel_shuffle: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("upsampling", "pixel_shuffle", globals())
### END HIDDEN TESTS


# %% [markdown]
# To see it at work, take the photo apart into sixteen small ones, each of which starts at another pixel, and let your
# function put them together again. Left: the sixteen channels. Then yours, and torch's. Below: U-Net's up-convolution
# (torch, random weights, kernel 2, stride 2) against a 1 x 1 convolution with a pixel shuffle.

# %%
channels = np.stack([cat[i::4, j::4] for i in range(4) for j in range(4)])
mosaic = channels.reshape(4, 4, *channels.shape[1:]).transpose(0, 2, 1, 3).reshape(cat.shape)
reference = F.pixel_shuffle(torch.from_numpy(channels), 4)[0].numpy()
plotting.side_by_side(
    [mosaic, pixel_shuffle(channels, 4)[0], reference],
    ["16 channels", "shuffled, yours", "shuffled, torch"],
    height=1.8,
)
plt.show()

up_convolution = nn.ConvTranspose2d(3, 2, 2, stride=2, bias=False)
features = torch.rand(1, 3, 4, 5)
by_channels = F.conv2d(features, up_convolution.weight.permute(1, 2, 3, 0).reshape(8, 3, 1, 1))
difference = (up_convolution(features) - F.pixel_shuffle(by_channels, 2)).abs().max()
print(
    f"up-convolution against 1 x 1 convolution and pixel shuffle: the same to {1e-6}"
    if difference < 1e-6
    else f"they differ by {difference}"
)

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_up_convolution", "locked": true, "schema_version": 3, "solution": false, "task": false}
# ### Question: why does U-Net up-convolve?
#
# In its expanding half, U-Net enlarges the feature maps four times by an "up-convolution" of 2 x 2, which doubles height
# and width and halves the number of channels; then it appends the feature maps from the contracting half (skip
# connections) and convolves 3 x 3 twice. (a) Give two reasons for the up-convolution instead of plain interpolation. (b)
# Why does the choice of kernel 2 with stride 2 matter, what does it guarantee and what not, and what would you expect of
# kernel 3 with stride 2? (c) When would you interpolate instead? Name two situations, and what you would put behind the interpolation inside a network.
#
# === BEGIN MARK SCHEME ===
# 1 point (a), two of: it learns how to enlarge (weights fitted to the task, a different one for each channel, mixing channels); it halves the channels in the
#   same step, so that after the concatenation the cost stays bounded and both halves have equal weight; the fine detail comes from the skip connection, so the
#   enlarged part must be translated to fit it, which interpolation cannot; at kernel = stride it is cheap.
# 1 point (b): kernel = stride: each output pixel is reached by exactly one input pixel: no uneven overlap. Kernel 3, stride 2: counts 1, 2, 4: a checkerboard
#   that training has to remove. (Full marks also if it is said that the four weights still may differ, so that even counts are no guarantee.)
# 1 point (c), two of: few training data (no weights to fit); the final enlarging of a score map (FCN, DeepLab: bilinear); label maps (nearest); smooth quantities
#   such as flow, depth, heatmaps; checkerboards disturb (generated images); arbitrary factors or sizes; inference cost. Behind it: a convolution (3 x 3, or 1 x 1 to
#   reduce channels).
# Common wrong answers: "interpolation loses information" (it adds none, it loses none); "the transposed convolution inverts the pooling / convolution";
# "up-convolution recovers the details" (the skip connections do).
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_up_convolution", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# (a) First, its weights are learned: it mixes the channels and finds for each of them the way of enlarging that serves the
# segmentation, where interpolation does the same to every channel and never mixes them. Second, it halves the number of
# channels in the same step, so that after appending the skip connection the map is as wide as before, and the coarse
# "what" and the fine "where" enter the next convolution in equal numbers. (It does not bring back details. Those come
# through the skip connections.)
#
# (b) With kernel = stride the copies of the kernel tile the output: every output pixel is reached by exactly one input
# pixel, so there is no uneven overlap and no checkerboard from counting. With kernel 3 and stride 2 the counts alternate
# between 1, 2 and 4, and the network has to learn to undo that. Even counts are no guarantee, though: the four entries of
# the kernel are free to differ.
#
# (c) When there is little to learn from or nothing to learn: few training images; the last step from a coarse score map to
# the picture's size (bilinear, as in FCN or DeepLab); smooth quantities such as depth, flow or heatmaps; label maps
# (nearest); or when grids would be seen, as in generated images. Inside a network I would put a convolution behind it: resize,
# then 3 x 3 (or 1 x 1 to halve the channels).

# %% [markdown]
# ## 12 Bonus: `icnr`
#
# A notebook without the bonus is worth full marks. Pixel shuffle has no overlaps, and prints a grid all the same when it
# starts: the $r^2$ channels that make a block come from $r^2$ different random kernels. The cure (Aitken et al.,
# [Checkerboard artifact free sub-pixel convolution](https://arxiv.org/abs/1707.02937), 2017): start with all $r^2$
# kernels of a block equal. Then convolution and pixel shuffle together begin as nearest-neighbour enlarging of a smaller
# convolution's output, and training may part them.
#
# Draw a random kernel for C channels; make the kernel for $C r^2$ channels from it, in the order in which
# `pixel_shuffle` wants them. Nothing is forbidden.


# %% nbgrader={"grade": false, "grade_id": "icnr", "locked": false, "schema_version": 3, "solution": true, "task": false}
def icnr(kernel: np.ndarray, r: int) -> np.ndarray:
    """Weights of a convolution that makes no checkerboard when a pixel shuffle follows.

    Args:
        kernel: (C, I, kh, kw) array, the weights of a convolution from I to C channels.
        r: how many times the pixel shuffle enlarges, a positive int.

    Returns:
        (C * r * r, I, kh, kw) array: pixel_shuffle(convolution with these, r) is the convolution with `kernel`, enlarged
        r times by nearest neighbour.

    Example:
        icnr of a kernel of shape (2, 1, 1, 1) with values 5 and 7, r = 2: shape (8, 1, 1, 1), values 5, 5, 5, 5, 7, 7, 7, 7.
    """
    ### BEGIN SOLUTION
    return np.repeat(kernel, r * r, axis=0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_icnr", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false} extra_credit=2
kernel = np.array([5.0, 7.0]).reshape(2, 1, 1, 1)
before = kernel.copy()
received = icnr(kernel, 2)
assert np.shape(received) == (8, 1, 1, 1), f"Expected shape (2 * 2 * 2, 1, 1, 1), received {np.shape(received)}."
assert np.array_equal(np.ravel(received), [5, 5, 5, 5, 7, 7, 7, 7]), (
    f"Expected 5, 5, 5, 5, 7, 7, 7, 7, received {np.ravel(received).tolist()}. Which channels does pixel_shuffle put into one block?"
)
received = icnr(np.arange(12.0).reshape(1, 2, 2, 3), 3)
assert np.shape(received) == (9, 2, 2, 3), f"r = 3: expected shape (9, 2, 2, 3), received {np.shape(received)}."
assert all(np.array_equal(one, np.arange(12.0).reshape(2, 2, 3)) for one in received), (
    "All nine kernels should be equal to the given one."
)
assert np.array_equal(kernel, before), "The kernel that was passed in has changed: build a new one instead."
print("icnr: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("upsampling", "icnr", globals())
### END HIDDEN TESTS


# %% [markdown]
# The cat through one untrained convolution 3 x 3 to 4 channels and torch's pixel shuffle. Left with random weights: a grid
# everywhere. In the middle with your weights: blurred and in blocks, but without a grid. Right: what it should be, the
# single convolution, enlarged by nearest neighbour.

# %%
draw = np.random.default_rng(3)
single, four = draw.random((1, 1, 3, 3)) / 5, draw.random((4, 1, 3, 3)) / 5
small = torch.from_numpy(small_cat)[None, None]


def convolve_and_shuffle(weights: np.ndarray) -> np.ndarray:
    """Convolution 3 x 3, then torch's pixel shuffle by 2."""
    return F.pixel_shuffle(F.conv2d(small, torch.as_tensor(weights, dtype=torch.float64), padding=1), 2)[0, 0].numpy()


one = F.conv2d(small, torch.from_numpy(single), padding=1)[0, 0].numpy()
pictures = [
    convolve_and_shuffle(four),
    convolve_and_shuffle(icnr(single, 2)),
    torch_resize(one, (2 * one.shape[0], 2 * one.shape[1]), "nearest"),
]
near_eye = tuple(slice(part.start // 2, part.stop // 2) for part in eye)
plotting.side_by_side(
    [picture[near_eye] for picture in pictures], ["random weights", "icnr, yours", "what it should be"], height=1.7
)
plt.show()

# %% [markdown]
# ## What to take away
#
# - $T_{10}$ is the right neighbour: the first index counts columns, NumPy's first index rows. Test with pictures that are
#   neither square nor symmetric.
# - Say whether pixels are areas or points (`align_corners`), and never mix the two.
# - Nearest for labels, bilinear where values must stay in range, bicubic for photos, clipped. None of them adds
#   information, and a chain of harmless steps is not harmless.
# - A transposed convolution scatters; as a matrix it is $C^T$, the backward pass of a convolution, and not its inverse.
# - A checkerboard comes from sums of weights that differ from place to place. Where the stride does not divide the kernel
#   this is likely; equal counts do not prevent it. Bilinear or equal weights start without one; resize + convolution can
#   not make one on flat ground.
# - Unpooling keeps places, pixel shuffle turns channels into pixels; U-Net's up-convolution is a 1 x 1 convolution and a
#   pixel shuffle.
#
# **Where it goes on.** Notebook 05 builds the U-Net whose up-convolutions you have now seen from inside, notebook 04
# samples features bilinearly (RoIAlign) and enlarges masks with a transposed convolution, notebook 07 decodes pictures
# from codes, and notebook 08 reads heatmaps with sub-pixel precision.
