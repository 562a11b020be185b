"""Data, nets and generated scenes of notebook 07."""

import gzip
import os
import re
import struct

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient

from grading.course import Course
from grading.kernels import SocketKernelManager
from helpers import datasets, depth, digits, nets, plotting


def test_iris_and_digits_are_split_alike_every_time():
    flowers, numerals = digits.iris(), digits.digits()
    assert (flowers.train.shape, flowers.test.shape) == ((100, 4), (50, 4))
    assert torch.allclose(flowers.train.mean(dim=0), torch.zeros(4), atol=1e-5)
    assert torch.allclose(flowers.train.std(dim=0, correction=0), torch.ones(4), atol=1e-5)
    assert (numerals.train.shape, numerals.test.shape) == ((1437, 64), (360, 64))
    assert (float(numerals.train.min()), float(numerals.train.max())) == (0, 1)
    assert sorted(numerals.test_labels.unique().tolist()) == list(range(10))
    assert torch.equal(numerals.test, digits.digits().test)


def write_idx(path, values):
    """A file as MNIST's: a head of big-endian numbers, then bytes."""
    head = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    path.write_bytes(head + values.tobytes())
    with gzip.open(f"{path}.gz", "wb") as file:
        file.write(head + values.tobytes())


@pytest.fixture
def tiny_mnist(tmp_path, monkeypatch):
    """Six and four pictures in the files and folders of MNIST; LFI_DATA names their folder."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, number in (("train", 6), ("t10k", 4)):
        write_idx(raw / f"{name}-images-idx3-ubyte", rng.integers(0, 256, (number, 28, 28), dtype=np.uint8))
        write_idx(raw / f"{name}-labels-idx1-ubyte", np.arange(number, dtype=np.uint8))
    monkeypatch.setenv("LFI_DATA", str(tmp_path))


def test_mnist_is_read_from_the_folder_that_lfi_data_names(tiny_mnist):
    split = digits.mnist()
    assert (split.train.shape, split.test.shape) == ((6, 784), (4, 784))
    assert split.train.max() <= 1
    assert split.train_labels.tolist() == list(range(6))


def test_the_cell_on_mnist_trains_where_mnist_is_there(tiny_mnist):
    (notebook,) = Course().select(["autoencoders"])
    nb = nbformat.read(notebook.solution, as_version=4)
    wanted = re.compile(r"### BEGIN SOLUTION|^from helpers|^def train_vae|^grid = |^try:\n    large = ", re.MULTILINE)
    cells = [cell for cell in nb.cells if cell.cell_type == "code" and wanted.search(cell.source)]
    for cell in cells:
        cell.source = re.sub(r"steps(=|: int = )1[0-9]00", r"steps\g<1>5", cell.source)
    cells.insert(1, nbformat.v4.new_code_cell("numerals = digits.digits()"))
    nb.cells = cells
    NotebookClient(nb, timeout=600, kernel_manager_class=SocketKernelManager).execute()
    (outputs,) = (cell.outputs for cell in nb.cells if "large = " in cell.source)
    assert any("MNIST k=2 ELBO: -" in out.get("text", "") for out in outputs)
    assert any("image/png" in out.get("data", {}) for out in outputs)


def test_mnist_says_in_one_sentence_that_it_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("LFI_DATA", str(tmp_path))
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache")
    with pytest.raises(datasets.DataError, match="not on this machine"):
        digits.mnist()
    with pytest.raises(datasets.DataError, match="known are: MNIST, FashionMNIST"):
        digits.mnist("ImageNet")


def test_mnist_says_in_one_sentence_that_it_cannot_be_downloaded(tmp_path, monkeypatch):
    monkeypatch.delenv("LFI_DATA", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path)
    monkeypatch.setattr("torchvision.datasets.MNIST.download", lambda self: (_ for _ in ()).throw(OSError("offline")))
    with pytest.raises(datasets.DataError, match="check the network"):
        digits.mnist(download=True)


# ---------------------------------------------------------------- depth


def test_an_empty_room_has_the_depth_of_floor_and_wall():
    image, z, is_object = depth.render([], size=(40, 60))
    rows = (np.arange(40) + 0.5 - 20) / (0.9 * 60)
    expected = np.where(rows > 0, np.minimum(depth.FLOOR / np.maximum(rows, 1e-9), depth.WALL), depth.WALL)
    assert np.allclose(z, expected[:, None])
    assert not is_object.any()
    assert image.min() >= 0 and image.max() <= 1


def test_a_ball_has_the_depth_of_its_nearest_surface():
    size = (31, 41)  # the middle pixel looks straight ahead
    _, z, is_object = depth.render([depth.Ball((0, 0, 6), 1.0, (1, 0, 0))], size)
    assert is_object[15, 20]
    assert z[15, 20] == pytest.approx(5)
    assert z[is_object].max() < 6
    y, x = np.argwhere(is_object)[0]
    point = z[y, x] * np.array([(x + 0.5 - 20.5) / 36.9, (y + 0.5 - 15.5) / 36.9, 1])
    assert np.linalg.norm(point - [0, 0, 6]) == pytest.approx(1)


@pytest.mark.parametrize(("turn", "expected"), [(0, 5.5), (np.pi / 2, 5.0), (np.pi / 4, 6 - 0.5 * 2**0.5)])
def test_a_box_has_the_depth_of_its_front(turn, expected):
    _, z, is_object = depth.render([depth.Box((0, 0, 6), (1.0, 0.4, 0.5), turn, (0, 1, 0))], (31, 41))
    assert is_object[15, 20]
    assert z[15, 20] == pytest.approx(expected)


def test_the_nearer_thing_hides_the_farther_and_casts_a_shadow():
    near, far = depth.Ball((0, 0.9, 4), 0.6, (1, 0, 0)), depth.Ball((0, 0.9, 8), 0.6, (0, 0, 1))
    _, alone, _ = depth.render([near])
    both, z, _ = depth.render([far, near])
    assert np.array_equal(z[alone < 4], alone[alone < 4])
    bare, _, _ = depth.render([])
    floor = np.isclose(z, depth.render([])[1])
    assert (both[floor].sum(axis=1) < bare[floor].sum(axis=1) - 0.3).sum() > 3


def test_half_the_size_at_half_the_distance_has_the_same_outline_and_half_the_depth():
    _, z, is_ball = depth.render([depth.Ball((0.8, 0.6, 8.0), 0.9, (1, 1, 1))])
    _, half, is_same = depth.render([depth.Ball((0.4, 0.3, 4.0), 0.45, (1, 1, 1))])
    assert np.array_equal(is_ball, is_same)
    assert np.allclose(half[is_ball], z[is_ball] / 2)


def test_scenes_are_those_of_their_seed_and_hold_objects_on_the_floor():
    one, same, other = depth.scenes(12, 3), depth.scenes(12, 3), depth.scenes(12, 4)
    assert one.images.shape == (12, 3, *depth.SIZE)
    assert one.depths.shape == one.is_object.shape == (12, *depth.SIZE)
    assert one.images.min() >= 0 and one.images.max() <= 1
    assert np.array_equal(one.images, same.images) and not np.array_equal(one.images, other.images)
    assert one.is_object.any(axis=(1, 2)).mean() > 0.8
    assert one.depths.min() > 1 and one.depths.max() <= depth.WALL


# ---------------------------------------------------------------- nets and plots


def test_an_ensemble_is_its_nets_side_by_side():
    both = nets.DenseEnsemble([3, 5, 2, 3], torch.tanh, [7, 8], plain=(1, 2))
    alone = nets.DenseEnsemble([3, 5, 2, 3], torch.tanh, [8], plain=(1, 2))
    x = torch.randn(4, 3)
    assert both(x).shape == (2, 4, 3)
    assert torch.allclose(both(x)[1], alone(x)[0], atol=1e-6)
    first, code, out = alone.layers(x)
    weight = alone.weights[0][0]
    assert torch.allclose(first[0], torch.tanh(x @ weight[:-1] + weight[-1]), atol=1e-6)
    weight = alone.weights[1][0]
    assert torch.allclose(code[0], first[0] @ weight[:-1] + weight[-1], atol=1e-6)
    assert out.shape == (1, 4, 3)


def test_images_come_back_in_their_size():
    assert nets.ConvAutoencoder(5)(torch.zeros(2, 1, 8, 8)).shape == (2, 1, 8, 8)
    assert nets.ConvAutoencoder(5).encode(torch.zeros(2, 1, 8, 8)).shape == (2, 5)
    z = nets.DepthNet((16, 24))(torch.rand(2, 3, 16, 24))
    assert z.shape == (2, 16, 24)
    assert z.min() >= 2 and z.max() <= 13


def test_a_montage_sets_images_row_by_row():
    images = np.arange(6)[:, None, None] * np.ones((6, 2, 3))
    sheet = plotting.montage(images, columns=3)
    assert sheet.shape == (5, 11)
    assert (sheet[:2, 8:11] == 2).all() and (sheet[3:, :3] == 3).all()
    assert (sheet[2] == 1).all()
    assert plotting.montage(np.zeros((2, 4, 5, 3)), columns=1, gap=2).shape == (10, 5, 3)


def test_several_sliders_draw_with_all_their_values():
    seen = []
    plotting.sliders(lambda ax, *values: seen.append(values), {"a": (0, 4, 1), "b": (-1, 1, 0.5)}, figsize=(2, 1))
    assert seen == [(2, 0)]


@pytest.mark.skipif(not os.environ.get("LFI_DATA"), reason="LFI_DATA names no folder with the real sets")
def test_mnist_has_its_sizes_where_it_is_there():
    try:
        split = digits.mnist()
    except datasets.DataError as error:
        pytest.skip(str(error))
    assert (split.train.shape, split.test.shape) == ((60000, 784), (10000, 784))
