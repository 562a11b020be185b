"""helpers.bodies and helpers.mocap: the reduced body, its picture, and frames of motion capture."""

import numpy as np
import pytest
import torch

from helpers import bodies, mocap


def test_the_body_has_the_promised_shapes():
    body = bodies.load()
    assert body.vertices.shape == (13718, 3) and body.faces.shape == (27420, 3)
    assert body.weights.shape == (13718, 24) and torch.allclose(body.weights.sum(dim=1), torch.ones(13718), atol=1e-5)
    assert body.faces.min() == 0 and body.faces.max() < 13718
    assert body.parents[0] == -1 and all(parent < j for j, parent in enumerate(body.parents))
    assert body.directions.shape == (6, 13718, 3) and body.joint_directions.shape == (6, 24, 3)
    assert torch.allclose(body.landmark_weights.sum(dim=1), torch.ones(17), atol=1e-5)


def test_head_is_up_left_is_right_in_the_picture_and_the_face_looks_at_the_camera():
    body = bodies.load()
    nose, left_ear = body.landmarks[0], body.landmarks[3]
    assert nose[1] < -0.4 and left_ear[0] > 0.03 and nose[2] < left_ear[2]
    assert 1.4 < float(body.vertices[:, 1].max() - body.vertices[:, 1].min()) < 2.0


def test_a_rendered_body_is_coloured_in_the_middle_and_white_at_the_border():
    body = bodies.load()
    K, t = bodies.camera(130, 100)
    picture = bodies.render(body.vertices, body.faces, K, t, (130, 100))
    assert picture.shape == (130, 100, 3) and picture.dtype == np.float32
    assert (picture[0] == 1).all() and (picture[-1] == 1).all() and picture[55, 50].min() < 0.9
    assert 0.05 < (picture.min(axis=2) < 0.99).mean() < 0.4


def test_the_sausage_hangs_on_two_joints():
    rig = bodies.sausage()
    assert torch.allclose(rig.weights.sum(dim=1), torch.ones(len(rig.vertices)))
    assert float(rig.weights[rig.vertices[:, 0] < 0.5, 0].min()) > 0.99


@pytest.mark.parametrize("seed", range(5))
def test_markers_lie_in_the_frame_by_rising_y(seed):
    frame = mocap.frame(seed)
    assert frame.image.shape == (mocap.HEIGHT, mocap.WIDTH)
    assert (frame.markers > 1).all() and (frame.markers < [mocap.WIDTH - 2, mocap.HEIGHT - 2]).all()
    assert (np.diff(frame.markers[:, 1]) >= 0).all() and 10 <= len(frame.markers) <= 39
    assert np.array_equal(mocap.frame(seed).image, frame.image)


def test_centres_of_a_clear_frame_are_the_markers():
    frame = mocap.frame(4)
    right = mocap.match(mocap.centres(frame.image, 0.2, min_area=2), frame.markers, 1.5)
    assert len(right) >= 0.8 * len(frame.markers) and right.mean() < 0.3


def test_nothing_bright_has_no_centres():
    assert mocap.centres(np.zeros((4, 5)), 0.5).shape == (0, 2)
    assert len(mocap.match(np.zeros((0, 2)), np.ones((3, 2)), 1.0)) == 0


def test_two_exact_views_give_the_points_back():
    stereo = mocap.two_views(3, noise=0.0)
    assert np.allclose(mocap.triangulate(stereo.first, stereo.second, *stereo.cameras), stereo.truth, atol=1e-6)
