"""helpers.detectors and helpers.earlier: what stands around the students' functions."""

import json

import numpy as np
import pytest
import torch

from helpers import backbones, blood, coco, cost, detectors, earlier


@pytest.mark.parametrize("S", [4, 8])
def test_the_convolutional_head_predicts_a_grid(S):
    head = detectors.ConvolutionalHead(20, S, 2, 3, width=8)
    assert (head.S, head.B, head.C) == (S, 2, 3)
    assert head(torch.rand(5, 20, 8, 8).half()).shape == (5, S, S, 13)


def test_a_known_detector_gives_the_answer_of_its_picture_and_errs_in_training():
    answers = torch.rand(3, 4, 4, 7)
    model = detectors.Known(answers, 1, 2)
    images = torch.tensor([2.0, 0.0]).view(2, 1, 1, 1).expand(2, 3, 5, 6)
    assert torch.equal(model.eval()(images), answers[[2, 0]])
    assert not torch.equal(model.train()(images), answers[[2, 0]])
    assert model(images).requires_grad


def test_fused_maps_keep_every_feature_at_its_place():
    fine, middle, coarse = torch.rand(2, 3, 8, 12), torch.rand(2, 5, 4, 6), torch.rand(2, 7, 2, 3)
    fused = detectors.fuse([fine, middle, coarse])
    assert fused.shape == (2, 24, 4, 6)
    assert torch.equal(fused[:, :12, 1, 2].sort(dim=1).values, fine[:, :, 2:4, 4:6].reshape(2, 12).sort(dim=1).values)
    assert torch.equal(fused[:, 12:17], middle)
    assert torch.equal(fused[:, 17:, 3, 5], coarse[:, :, 1, 2])


def test_pictures_become_squares_and_boxes_shares():
    (smear,) = blood.smears(1, 5, 96, 128)
    images = detectors.batch([smear, smear], 64)
    assert images.shape == (2, 3, 64, 64) and images.dtype == torch.float32
    assert np.allclose(images[0].mean(dim=(1, 2)), smear.image.mean(axis=(0, 1)), atol=0.01)
    boxes = detectors.relative_boxes(smear)
    assert np.allclose(boxes * torch.tensor([128, 96, 128, 96]), smear.boxes)
    assert boxes.min() >= 0 and boxes.max() <= 1


def test_a_detector_that_finds_the_truth_has_ap_1():
    smears = list(blood.smears(4, 6, 96, 128))
    found = [
        {
            "boxes": detectors.relative_boxes(smear),
            "scores": torch.linspace(0.9, 0.5, len(smear.labels)),
            "labels": torch.from_numpy(smear.labels),
        }
        for smear in smears
    ]
    truth, records = detectors.as_coco(smears), detectors.as_records(found, smears)
    assert coco.pycocotools_summary(truth, records)[0] > 0.999


def write(path, cells):
    path.parent.mkdir(parents=True)
    cells = [
        {"cell_type": "code", "metadata": {"nbgrader": {"grade_id": name}}, "source": source} for name, source in cells
    ]
    path.write_text(json.dumps({"cells": cells}))


def test_functions_of_an_earlier_notebook(tmp_path, monkeypatch):
    one, two = "def one(x):\n    return np.asarray(x) + 1", "def two(x):\n    return 2 * one(x)"
    cells = [("one", one), ("test_one", "raise ValueError"), ("two", two)]
    write(tmp_path / "01" / "first.ipynb", [*cells, ("three", "def three():\n    raise NotImplementedError()")])
    (tmp_path / "03").mkdir()
    monkeypatch.chdir(tmp_path / "03")
    found = earlier.functions("01/first", ["one", "two"])
    assert list(found) == ["one", "two"] and found["two"]([3]) == [8]
    assert earlier.functions("01/first", ["one", "three"]) is None
    assert earlier.functions("01/first", ["four"]) is None
    assert earlier.functions("01/second", ["one"]) is None


def test_an_untrained_head_can_start_with_boxes_in_the_middle_of_each_cell():
    head = detectors.start_with_average_boxes(detectors.ConvolutionalHead(6, 4, 2, 3)).eval()
    answer = head(torch.zeros(1, 6, 8, 8)).detach()
    assert answer.shape == (1, 4, 4, 13)
    expected = torch.tensor([0.5, 0.5, 0.2, 0.2, 0.2] * 2 + [1 / 3] * 3)
    assert (answer[:, 1:3, 1:3] - expected).abs().max() < 0.2


def test_the_steps_of_a_two_stage_detector_are_all_measured():
    steps = cost.measure(backbones.efficientnet_lite0(pretrained=False), torch.rand(1, 3, 64, 64))
    assert steps.features.shape == (1, 112, 4, 4) and steps.regions.shape == (2000, 5)
    assert min(steps[:5]) > 0
