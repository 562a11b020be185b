"""helpers.rcnn and helpers.dsb2018: a two-stage detector around its parts, nuclei with a mask each."""

import os

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from helpers import blood, coco, datasets, dsb2018, rcnn
from helpers.backbones import CHANNELS

SIZE = (64, 96)


@pytest.fixture(scope="module")
def smears():
    return list(blood.smears(2, 7, *SIZE))


@pytest.fixture(scope="module")
def maps():
    torch.manual_seed(0)
    return [torch.rand(2, channels, SIZE[0] // stride, SIZE[1] // stride) for stride, channels in CHANNELS.items()]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return rcnn.MaskRCNN(rcnn.TORCHVISION, 3, (6.0, 14.0, 26.0), (0.5, 1.0), width=16)


def test_every_loss_is_finite_and_every_weight_learns(model, maps, smears):
    losses = model.losses(maps, rcnn.targets_of(smears), SIZE)
    assert set(losses) == {"objectness", "proposals", "classes", "boxes", "masks", "total"}
    assert all(value.isfinite() and value > 0 for value in losses.values())
    losses["total"].backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_the_first_stage_alone_trains_neither_boxes_nor_masks(model, maps, smears):
    losses = model.first_losses(maps, rcnn.targets_of(smears))
    losses["total"].backward()
    assert set(losses) == {"objectness", "proposals", "total"}
    assert all(parameter.grad is None for parameter in model.mask.parameters())
    assert all(parameter.grad is not None for parameter in model.rpn.parameters())


def test_logits_and_codes_come_in_the_order_of_the_anchors():
    class Told(nn.Module):
        def forward(self, features):
            height, width = features.shape[2:]
            return torch.arange(6.0 * height * width).view(1, 6, height, width), torch.arange(
                24.0 * height * width
            ).view(1, 24, height, width)

    model = rcnn.MaskRCNN(rcnn.TORCHVISION, 1, (6.0, 14.0, 26.0), (0.5, 1.0), width=16)
    model.rpn = Told()
    logits, codes = model.score_anchors(torch.zeros(1, 16, 2, 5))
    assert logits.shape == (1, 60) and codes.shape == (1, 60, 4)
    anchor, row, column = 4, 1, 3
    at = (row * 5 + column) * 6 + anchor
    assert logits[0, at] == anchor * 10 + row * 5 + column
    assert codes[0, at].tolist() == [(4 * anchor + k) * 10 + row * 5 + column for k in range(4)]


def test_detections_have_boxes_scores_labels_and_masks(model, maps):
    found = model.eval().detect(maps, SIZE, score_threshold=0.0)
    assert len(found) == 2
    for one in found:
        number = len(one["boxes"])
        assert 0 < number <= 100
        assert one["scores"].shape == one["labels"].shape == (number,)
        assert one["masks"].shape == (number, 28, 28)
        assert (one["scores"].diff() <= 0).all()
        assert (one["boxes"] >= 0).all() and (one["boxes"] <= torch.tensor([96, 64, 96, 64])).all()


def test_the_truth_given_as_detections_is_perfect(smears):
    truth = rcnn.as_coco(smears, blood.CLASSES)
    targets = rcnn.targets_of(smears)
    found = [one | {"scores": torch.ones(len(one["boxes"]))} for one in targets]
    records = rcnn.as_records(found, [one["masks"] for one in targets])
    for kind in ("bbox", "segm"):
        assert coco.pycocotools_summary(truth, records, kind)[0] == pytest.approx(1)


def test_a_mask_cut_from_its_box_comes_back():
    mask = torch.zeros(1, 40, 50, dtype=torch.bool)
    mask[0, 6:34, 9:37] = True
    mask[0, 6:20, 9:23] = False
    box = torch.tensor([[9.0, 6.0, 37.0, 34.0]])
    cut = rcnn.cut_masks(mask, box)
    assert torch.equal(cut[0], mask[0, 6:34, 9:37].float())


def test_own_parts_are_used_where_they_are_right(capsys):
    def as_it_should(boxes, anchors):
        return rcnn.TORCHVISION.encode_boxes(boxes, anchors)

    def exchanged(boxes, anchors):
        return rcnn.TORCHVISION.encode_boxes(anchors, boxes)

    def missing(*arguments):
        raise NotImplementedError

    parts = rcnn.assemble(encode_boxes=as_it_should, roi_align=missing, RPNHead=missing)
    assert parts.encode_boxes is as_it_should
    assert parts.roi_align is rcnn.TORCHVISION.roi_align
    assert "1 parts are yours; torchvision's: roi_align, RPNHead." in capsys.readouterr().out
    assert rcnn.assemble(encode_boxes=exchanged).encode_boxes is rcnn.TORCHVISION.encode_boxes


def test_a_picture_of_nuclei_is_cut_and_scaled(tmp_path):
    image = np.full((40, 60, 3), 20, np.uint8)
    labels = np.zeros((40, 60), np.uint16)
    for number, (rows, columns) in {3: (slice(8, 14), slice(25, 30)), 700: (slice(0, 2), slice(0, 2))}.items():
        image[rows, columns], labels[rows, columns] = 90, number
    cv2.imwrite(str(tmp_path / "image.png"), image)
    cv2.imwrite(str(tmp_path / "labels.png"), labels)
    found = dsb2018.read(tmp_path / "image.png", tmp_path / "labels.png", 32)
    assert found.image.shape == (32, 32, 3) and found.image.dtype == np.float32
    assert found.image.min() == 0 and found.image.max() == 1
    assert found.boxes.tolist() == [[11, 4, 16, 10]]  # the middle starts at row 4, column 14
    assert found.masks.sum() == 30 and found.labels.tolist() == [0]
    assert dsb2018.read(tmp_path / "image.png", tmp_path / "labels.png", 50) is None


@pytest.mark.skipif(not os.environ.get("LFI_DATA"), reason="LFI_DATA names no folder with the real sets")
def test_the_real_nuclei_have_tight_boxes():
    nuclei = dsb2018.load(datasets.fetch("dsb2018"))
    assert len(nuclei) >= 124
    for image, boxes, labels, masks in nuclei[:20]:
        assert image.shape == (256, 256, 3) and len(boxes) == len(labels) == len(masks) > 0
        assert (masks.sum(axis=0) <= 1).all()
        assert (boxes >= 0).all() and (boxes <= 256).all()
