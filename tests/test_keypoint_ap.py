"""helpers.keypoint_ap against pycocotools."""

import numpy as np
import pytest
import torch

from helpers import keypoint_ap, people


def oks(pred, truth, area, sigmas):
    labelled = truth[:, 2] > 0
    squared = (pred - truth[:, :2]).square().sum(dim=1)
    return float(torch.exp(-squared / (2 * area * (2 * sigmas) ** 2))[labelled].mean())


@pytest.mark.parametrize("spread", [1.0, 3.0, 8.0])
def test_ap_is_that_of_pycocotools(spread):
    rng = np.random.default_rng(0)
    persons = list(people.people(12, seed=2))
    truth = keypoint_ap.as_coco(persons)
    guesses = np.stack([person.keypoints for person in persons]) + rng.normal(0, spread, (12, 17, 3))
    records = keypoint_ap.as_predictions(guesses, rng.random(12))
    records += [dict(record, score=float(rng.random())) for record in records[:5]]  # duplicates
    mine, theirs = keypoint_ap.average_precision(truth, records, oks), keypoint_ap.reference(truth, records)
    assert mine.mean() == pytest.approx(theirs[0], abs=1e-9)
    assert mine[0] == pytest.approx(theirs[1], abs=1e-9) and mine[5] == pytest.approx(theirs[2], abs=1e-9)


def test_predictions_on_people_without_labels_do_not_count():
    persons = list(people.people(3, seed=2))
    truth = keypoint_ap.as_coco(persons)
    truth["annotations"][2] |= {"keypoints": [0] * 51, "num_keypoints": 0}
    points = np.stack([person.keypoints for person in persons])
    records = keypoint_ap.as_predictions(points, np.array([0.5, 0.4, 0.9]))
    mine, theirs = keypoint_ap.average_precision(truth, records, oks), keypoint_ap.reference(truth, records)
    assert mine.mean() == pytest.approx(theirs[0], abs=1e-9) and mine[0] == pytest.approx(1.0)
