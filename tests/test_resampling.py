"""What notebook 06 uses around the tasks: shrinking, round trips, measures, and matrices as pictures."""

import re

import nbformat
import numpy as np
import pytest

from grading.course import Course
from helpers import grids, plotting, resampling


def repeat(image, size):
    return np.kron(image, np.ones(np.array(size) // image.shape))


def test_gray_is_left_alone_and_colour_is_weighted():
    gray = np.linspace(0, 1, 6).reshape(2, 3)
    assert resampling.to_gray(gray) is gray
    assert resampling.to_gray(np.ones((2, 3, 3))) == pytest.approx(np.ones((2, 3)))
    red, green, blue = resampling.to_gray(np.eye(3)[None])[0]
    assert blue < red < green


def test_cropping_leaves_whole_blocks():
    assert resampling.crop_to_multiple(np.zeros((11, 8)), 4).shape == (8, 8)


def test_shrinking_takes_means_of_blocks():
    image = np.arange(24.0).reshape(4, 6)
    assert resampling.shrink(image, 2).tolist() == [[3.5, 5.5, 7.5], [15.5, 17.5, 19.5]]
    assert resampling.shrink(image, 1).tolist() == image.tolist()
    with pytest.raises(ValueError, match="4 x 6 pixels has no whole blocks of 4 x 4"):
        resampling.shrink(image, 4)


def test_round_trips_start_where_the_last_one_ended():
    image = np.random.default_rng(0).random((4, 8))
    first, second = resampling.round_trips(image, repeat, 2)
    assert first == pytest.approx(repeat(resampling.shrink(image, 2), (4, 8)))
    assert second == pytest.approx(first), "means of equal pixels, repeated"
    sizes = []
    darker = resampling.round_trips(
        image, lambda small, size: sizes.append(size) or repeat(small, size) / 2, 3, factor=4
    )
    assert sizes == [(4, 8)] * 3
    assert darker[2].mean() == pytest.approx(image.mean() / 8)


def test_psnr_is_ten_decibels_for_each_power_of_ten():
    image = np.full((8, 9), 0.5)
    assert resampling.psnr(image + 0.1, image) == pytest.approx(20)
    assert resampling.psnr(image + 0.01, image) == pytest.approx(40)
    assert resampling.psnr(image, image) == np.inf


def test_ssim_is_1_for_equal_pictures_and_falls_with_noise():
    rng = np.random.default_rng(0)
    image = rng.random((16, 20))
    noisy = [resampling.ssim(image + sigma * rng.normal(size=image.shape), image) for sigma in (0.05, 0.2)]
    assert resampling.ssim(image, image) == pytest.approx(1)
    assert 1 > noisy[0] > noisy[1] > 0


def test_a_matrix_is_drawn_as_a_grid_of_numbers():
    _, ax = plotting.plt.subplots()
    grids.blank(ax, 6, 4)
    grids.draw_matrix(ax, np.array([[1.0, 2.5, -3.0], [0.0, 40.0, 5.0]]), 2, 1, "x", marked=[(1, 2)])
    assert [text.get_text() for text in ax.texts] == ["1", "2.5", "-3", "0", "40", "5", "x"]
    corners = [patch.get_xy() for patch in ax.patches]
    assert corners == [(x, y) for y in (1, 2) for x in (2, 3, 4)]
    marked = [patch.get_facecolor() != (1, 1, 1, 1) for patch in ax.patches]
    assert marked == [False] * 5 + [True]
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "y points down"
    plotting.plt.close("all")


def test_the_round_trips_that_notebook_06_quotes_are_those_that_it_prints():
    (notebook,) = Course().select(["upsampling"])
    nb = nbformat.read(notebook.solution, as_version=4)
    outputs = [out for cell in nb.cells for out in cell.get("outputs", [])]
    printed = "".join(out.text for out in outputs if out.output_type == "stream")
    text = "".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    for method in ("nearest", "bilinear", "bicubic", "bilinear, align_corners"):
        (value,) = re.findall(rf"^{method}, PSNR in dB, 10 trips: (.+)$", printed, re.MULTILINE)
        assert value in text, f"{method}: {value} dB"
