"""The notebooks on real data, which nbval leaves out because committed outputs are made with embedded data only."""

import os
import re

import nbformat
import pytest
from nbclient import NotebookClient

from grading.course import Course
from grading.kernels import SocketKernelManager

pytestmark = pytest.mark.skipif(not os.environ.get("LFI_DATA"), reason="LFI_DATA names no folder with the real sets")
minutes_more = pytest.mark.skipif(not os.environ.get("LFI_ALL"), reason="takes minutes: `make real` sets LFI_ALL")


def printed(name: str, timeout: int = 1200) -> str:
    """Everything that a solution prints when the real sets are there."""
    (notebook,) = Course().select([name])
    nb = nbformat.read(notebook.solution, as_version=4)
    folder = {"metadata": {"path": str(notebook.source.parent)}}
    client = NotebookClient(nb, timeout=timeout, kernel_manager_class=SocketKernelManager, resources=folder)
    client.execute(env=os.environ | {"OMP_NUM_THREADS": "1"})  # other tests keep the other cores busy
    outputs = [out for cell in nb.cells for out in cell.get("outputs", [])]
    return "".join(out.text for out in outputs if out.output_type == "stream")


def test_iou_nms_gives_the_official_figures_of_coco():
    official = "0.505 0.697 0.573 0.586 0.519 0.501 0.387 0.594 0.595 0.640 0.566 0.564".split()  # noqa: SIM905
    text = printed("iou_nms")
    places = [re.search(rf"\b{re.escape(number)}\b", text) for number in official]
    assert all(places), text


def value(text: str, name: str) -> float:
    """The number of a line `name: number`."""
    found = re.search(rf"^{re.escape(name)}: (-?[0-9.]+)$", text, re.MULTILINE)
    assert found, f"no line {name!r} in\n{text}"
    return float(found[1])


def test_yolo_v1_finds_the_cells_of_real_blood_smears():
    text = printed("yolo_v1")
    assert value(text, "C mAP at 0.5") >= 0.85
    assert value(text, "real C mAP") >= 0.70
    assert value(text, "real C AP of WBC") >= 0.90
    assert value(text, "real C AP of RBC") >= 0.78


@minutes_more
def test_unet_finds_the_vessels_of_real_eyes():
    text = printed("unet")
    assert value(text, "U-Net, Dice on generated test photos") >= 0.82
    assert value(text, "real photos, second annotator, Dice") == pytest.approx(0.807, abs=5e-4)
    assert value(text, "real photos, trained on real photos, Dice") >= 0.74


@minutes_more
def test_mask_rcnn_finds_real_nuclei_and_their_masks():
    text = printed("mask_rcnn")
    assert value(text, "boxes AP50") >= 0.95
    assert value(text, "boxes AP") >= 0.70
    assert value(text, "masks AP") >= 0.70
    assert value(text, "nuclei, boxes AP50") >= 0.50
    assert value(text, "nuclei, masks AP50") >= 0.50


@minutes_more
def test_pose_gives_the_keypoint_ap_of_pycocotools():
    text = printed("pose")
    assert value(text, "COCO keypoint AP") == value(text, "COCO keypoint AP by pycocotools") == 0.861
    assert value(text, "COCO keypoint AP50") == value(text, "COCO keypoint AP50 by pycocotools") == 0.993
    assert value(text, "PCK at 0.1") >= 0.78
