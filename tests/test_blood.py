"""helpers.blood: generated smears with exact boxes and masks, like the BCCD set in what can be counted."""

import numpy as np
import pytest

from helpers import blood

NUMBER = 60
WIDTH, HEIGHT = 320, 240


@pytest.fixture(scope="module")
def smears():
    return list(blood.smears(NUMBER, seed=3))


def by_hand(mask):
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_shapes_and_types(smears):
    for image, boxes, labels, masks in smears:
        number = len(labels)
        assert image.shape == (HEIGHT, WIDTH, 3) and image.dtype == np.float32
        assert image.min() >= 0 and image.max() <= 1
        assert boxes.shape == (number, 4) and boxes.dtype == np.float32
        assert labels.dtype == np.int64 and set(labels) <= set(range(len(blood.CLASSES)))
        assert masks.shape == (number, HEIGHT, WIDTH) and masks.dtype == bool


def test_boxes_are_the_tightest_around_the_masks(smears):
    for smear in smears:
        assert np.array_equal(smear.boxes, [by_hand(mask) for mask in smear.masks])


def test_boxes_of_no_masks():
    assert blood.boxes_of(np.zeros((0, 5, 7), dtype=bool)).shape == (0, 4)


def test_a_picture_depends_on_seed_and_place_only(smears):
    again = list(blood.smears(4, seed=3))
    for one, other in zip(smears, again, strict=False):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    other = next(blood.smears(1, seed=4))
    assert not np.array_equal(other.image, smears[0].image)
    assert not np.array_equal(smears[1].image, smears[0].image)


@pytest.mark.parametrize(("height", "width"), [(96, 128), (160, 120), (224, 224)])
def test_any_size(height, width):
    for smear in blood.smears(5, 1, height, width):
        assert smear.image.shape == (height, width, 3)
        assert np.array_equal(smear.boxes, [by_hand(mask) for mask in smear.masks])


# Of the BCCD set (364 pictures): mean number a picture, and mean width and height as shares of the picture.
REAL = {"RBC": (11.4, 0.163, 0.209), "WBC": (1.02, 0.303, 0.366), "platelets": (0.99, 0.065, 0.084)}


@pytest.mark.parametrize("name", blood.CLASSES)
def test_numbers_and_sizes_are_those_of_the_real_set(smears, name):
    label, (number, width, height) = blood.CLASSES.index(name), REAL[name]
    counts = [(smear.labels == label).sum() for smear in smears]
    boxes = np.concatenate([smear.boxes[smear.labels == label] for smear in smears])
    sides = (boxes[:, 2:] - boxes[:, :2]) / [WIDTH, HEIGHT]
    # counts of 60 pictures: three standard errors are at most 0.6 of a platelet and 1.8 red cells
    assert abs(np.mean(counts) - number) < max(0.2 * number, 0.6)
    assert np.allclose(sides.mean(axis=0), [width, height], rtol=0.15)


def test_colours_are_those_of_the_real_set(smears):
    mean = np.mean([smear.image.mean(axis=(0, 1)) for smear in smears], axis=0)
    assert np.allclose(mean, [0.737, 0.699, 0.718], atol=0.04)


def test_cells_overlap_touch_and_are_cut_by_the_border(smears):
    shared = cut = 0
    for smear in smears:
        red = smear.masks[smear.labels == blood.RBC]
        shared += (red.sum(axis=0) > 1).any()
        cut += (smear.boxes[:, :2] == 0).any() or (smear.boxes[:, 2:] == [WIDTH, HEIGHT]).any()
    assert shared > NUMBER / 3
    assert cut > NUMBER / 3


def test_white_cells_hide_red_ones(smears):
    for smear in smears:
        white = smear.masks[smear.labels == blood.WBC].any(axis=0)
        assert not (smear.masks[smear.labels == blood.RBC] & white).any()


def test_red_cells_are_darker_where_they_overlap(smears):
    once, twice = [], []
    for smear in smears:
        red, others = smear.masks[smear.labels == blood.RBC], smear.masks[smear.labels != blood.RBC].any(axis=0)
        depth = np.where(others, 0, red.sum(axis=0))
        once.append(smear.image[depth == 1, 1])
        twice.append(smear.image[depth == 2, 1])
    assert np.concatenate(twice).mean() < np.concatenate(once).mean() - 0.05
