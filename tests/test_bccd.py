"""helpers.bccd: the real blood smears, where they are there."""

import os

import numpy as np
import pytest

from helpers import bccd, datasets

XML = """<annotation><object><name>WBC</name><bndbox>
<xmin>3</xmin><ymin>1</ymin><xmax>5</xmax><ymax>9</ymax></bndbox></object>
<object><name>RBC</name><bndbox><xmin>504</xmin><ymin>337</ymin><xmax>504</xmax><ymax>337</ymax></bndbox></object>
<object><name>Platelets</name><bndbox>
<xmin>10</xmin><ymin>20</ymin><xmax>29</xmax><ymax>24</ymax></bndbox></object></annotation>"""
real = pytest.mark.skipif(not os.environ.get("LFI_DATA"), reason="LFI_DATA names no folder with the real sets")


def test_voc_boxes_become_ours_and_those_of_no_area_are_left_out(tmp_path):
    (tmp_path / "one.xml").write_text(XML)
    boxes, labels = bccd.read_voc(tmp_path / "one.xml")
    assert boxes.tolist() == [[2, 0, 5, 9], [9, 19, 29, 24]]  # VOC: columns 3, 4, 5 of the picture
    assert labels.tolist() == [1, 2]


@real
def test_the_real_set_is_what_the_registry_says():
    folder = datasets.fetch("bccd")
    smears = [smear for split in ("train", "val", "test") for smear in bccd.load(folder, split)]
    assert np.bincount(np.concatenate([smear.labels for smear in smears])).tolist() == [4153, 372, 361]
    for image, boxes, _, masks in smears:
        assert image.shape == (480, 640, 3) and image.dtype == np.float32 and masks is None
        assert (boxes >= 0).all() and (boxes <= [640, 480, 640, 480]).all() and (boxes[:, 2:] > boxes[:, :2]).all()


@real
def test_the_real_set_scaled():
    folder = datasets.fetch("bccd")
    whole, half = bccd.load(folder, "val")[0], bccd.load(folder, "val", (240, 320))[0]
    assert half.image.shape == (240, 320, 3)
    assert np.array_equal(half.boxes, whole.boxes / 2)
