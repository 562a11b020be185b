"""helpers.people and helpers.grouping: generated people, and putting limbs together."""

import numpy as np
import pytest
import torch
from test_keypoint_ap import oks

from helpers import grouping, people


@pytest.fixture(scope="module")
def persons():
    return list(people.people(24, seed=5))


@pytest.fixture(scope="module")
def crowd():
    return people.crowd(np.random.default_rng(5), 4)


def test_shapes_and_types(persons):
    for image, keypoints, area, box in persons:
        assert image.shape == (96, 96, 3) and image.dtype == np.float32
        assert image.min() >= 0 and image.max() <= 1
        assert keypoints.shape == (17, 3) and keypoints.dtype == np.float32
        assert set(keypoints[:, 2]) <= {0, 1, 2}
        assert 0 < area <= 96 * 96
        assert (box[2:] > box[:2]).all() and (box >= 0).all() and (box <= 96).all()


def test_the_same_seed_gives_the_same_people_and_another_one_others(persons):
    again = next(people.people(1, seed=5))
    assert np.array_equal(again.image, persons[0].image) and np.array_equal(again.keypoints, persons[0].keypoints)
    assert not np.array_equal(next(people.people(1, seed=6)).keypoints, again.keypoints)


def test_labelled_keypoints_lie_in_the_picture_and_visible_ones_in_the_box(persons):
    for person in persons:
        labelled = person.keypoints[person.keypoints[:, 2] > 0, :2]
        assert (labelled > -0.5).all() and (labelled < 95.5).all()
        seen = person.keypoints[person.keypoints[:, 2] == 2, :2] + 0.5
        assert (seen >= person.box[:2] - 2).all() and (seen <= person.box[2:] + 2).all()


def test_some_keypoints_are_hidden_and_most_are_visible(persons):
    v = np.concatenate([person.keypoints[:, 2] for person in persons])
    assert 0.05 < (v == 1).mean() < 0.5 and (v == 2).mean() > 0.5


def test_a_crowd_has_as_many_people_as_asked_for(crowd):
    assert crowd.image.shape == (128, 256, 3)
    assert crowd.keypoints.shape == (4, 17, 3) and crowd.boxes.shape == (4, 4) and crowd.areas.shape == (4,)


def test_map_and_picture_are_inverse_and_centres_meet():
    # The first pixel of the map covers the pixels 0 to 3 of the picture, whose middle is 1.5.
    assert np.array_equal(people.to_map(np.array([[1.5, 5.5, 2.0]])), [[0.0, 1.0, 2.0]])
    points = np.array([[3.0, 7.0, 1.0]])
    assert np.allclose(people.to_picture(people.to_map(points)), points)


def test_a_mirror_exchanges_left_and_right():
    keypoints = np.arange(51, dtype=np.float32).reshape(1, 17, 3)
    images = np.random.default_rng(0).random((1, 4, 6, 3))
    turned_images, turned = people.mirrored(images, keypoints)
    left, right = people.KEYPOINTS.index("left knee"), people.KEYPOINTS.index("right knee")
    assert np.array_equal(turned_images[0, 0, 0], images[0, 0, 5])
    assert turned[0, left, 0] == 5 - keypoints[0, right, 0] and turned[0, left, 1] == keypoints[0, right, 1]
    assert np.array_equal(people.mirrored(turned_images, turned)[1], keypoints)


def test_moved_points_lie_where_the_warped_picture_has_them():
    image = np.zeros((20, 30, 3))
    image[5, 7] = 1
    matrix = np.array([[2.0, 0.0, 3.0], [0.0, 2.0, 1.0]])
    ((x, y, v),) = people.moved(np.array([[7.0, 5.0, 2.0]]), matrix)
    assert (x, y, v) == (17, 11, 2)
    assert people.warp(image, matrix, 40)[11, 17, 0] == 1


def test_pck_counts_labelled_keypoints_within_a_share_of_the_size():
    truth = np.zeros((1, 17, 3))
    truth[0, :3] = [[0, 0, 2], [50, 100, 2], [20, 20, 1]]
    predicted = truth[..., :2].copy()
    predicted[0, 0] += [9, 0]  # within a tenth of 100
    predicted[0, 1] += [0, 11]
    predicted[0, 7] += 1000  # not labelled
    assert people.pck(predicted, truth) == pytest.approx(2 / 3)


def test_fields_are_unit_vectors_along_the_limb():
    person = np.zeros((1, 17, 3), dtype=np.float32)
    person[0, 5], person[0, 7] = (2, 3, 2), (8, 3, 2)
    field = people.affinity_fields(person, (8, 12))[people.LIMBS.index((5, 7))]
    assert np.array_equal(field[:, 3, 5], [1, 0]) and not field[:, 6, 5].any() and not field[:, 3, 10].any()


def test_perfect_maps_are_grouped_to_the_people_they_are_made_of(crowd):
    points = people.to_map(crowd.keypoints)
    x, y = np.meshgrid(np.arange(64), np.arange(32))
    heat = np.zeros((17, 32, 64), dtype=np.float32)
    for person in points:
        for k, (u, v, shows) in enumerate(person):
            if shows:
                heat[k] = np.maximum(heat[k], np.exp(-((x - u) ** 2 + (y - v) ** 2) / 2))
    fields = people.affinity_fields(points, (32, 64))
    found = people.to_picture(grouping.group(torch.tensor(heat), torch.tensor(fields)))
    _, scores = grouping.match(found, crowd.keypoints, crowd.areas, oks)
    assert (scores > 0.5).mean() >= 0.75 and scores.mean() > 0.6


def test_nothing_on_the_maps_gives_nobody():
    assert grouping.group(torch.zeros(17, 8, 9), torch.zeros(len(people.LIMBS), 2, 8, 9)).shape == (0, 17, 3)


def test_matching_of_nobody_finds_nobody(crowd):
    index, scores = grouping.match(np.zeros((0, 17, 3)), crowd.keypoints, crowd.areas, oks)
    assert (index == -1).all() and (scores == 0).all()
