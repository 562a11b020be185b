"""helpers.windows and helpers.parts, the photos of notebook 02, and what its committed outputs reach."""

import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest

from grading.course import Course
from helpers import datasets, parts, plotting, windows


@pytest.fixture(scope="module")
def levels():
    return windows.pyramid(windows.gray("grace_hopper")[60:380, 120:420])


def test_importing_does_not_import_heavy_packages():
    code = "import sys; from helpers import parts, windows; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "torchvision", "skimage", "sklearn", "scipy", "grading"} & set(loaded.split())


@pytest.mark.parametrize("name", [*windows.WITH_FACE, *windows.WITHOUT_FACE, "camera"])
def test_photos_are_gray_and_between_0_and_1(name):
    image = windows.gray(name)
    assert image.ndim == 2 and min(image.shape) > 100
    assert 0 <= image.min() < image.max() <= 1
    assert datasets.photo(name).shape[:2] == image.shape


@pytest.mark.parametrize("name", ["astronaut", "grace_hopper", "camera"])
def test_faces_lie_inside_their_photo(name):
    (x1, y1, x2, y2), (height, width) = windows.face_box(name)[0], windows.gray(name).shape
    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height


def test_patches_and_crops():
    faces, others = windows.patches()
    assert faces.shape == others.shape == (100, 25, 25)
    assert 0 <= others.min() < faces.max() <= 1
    assert windows.crop(faces[0]).shape == windows.WINDOW
    assert windows.features(windows.crop(faces[0])).shape == (6, 5, 36)


def test_pyramid_goes_from_fine_to_coarse_and_is_counted(levels):
    scales = [level.scale for level in levels]
    assert scales == sorted(scales, reverse=True)
    assert scales[0] == windows.WINDOW[0] / windows.SMALLEST
    weights = np.zeros((6, 5, 36))
    assert windows.count(levels, weights) == sum(windows.response(f, weights).size for _, f in levels)
    assert min(windows.response(levels[-1].features, weights).shape) >= 1


def test_scan_finds_the_window_that_the_weights_were_cut_from(levels):
    scale, features = levels[2]
    weights = features[10:16, 12:17] - features.mean(axis=(0, 1))
    found = windows.scan(levels, weights, -1.0, threshold=-np.inf)
    expected = np.array([12, 10, 12 + 18 / 3, 10 + 21 / 3]) * windows.CELL / windows.ENLARGE / scale
    np.testing.assert_allclose(found.boxes[0], expected)
    np.testing.assert_allclose(found.features[0], features[10:16, 12:17])
    assert found.scores[0] == pytest.approx((weights * features[10:16, 12:17]).sum() - 1, rel=1e-4)
    assert (np.diff(found.scores) <= 0).all()
    assert len(windows.scan(levels, weights, -1.0, threshold=-np.inf, most=3).boxes) == 3


def test_scan_that_finds_nothing(levels):
    found = windows.scan(levels, np.zeros((6, 5, 36)), -1.0, threshold=0.0)
    assert (found.boxes.shape, found.scores.shape, found.features.shape) == ((0, 4), (0,), (0, 6, 5, 36))


def test_random_windows_follow_the_seed(levels):
    draws = [windows.random_windows([levels], (6, 5, 36), 4, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert draws[0].shape == (4, 6, 5, 36)
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])


def test_hits_count_every_object_once():
    truth = np.array([[0.0, 0.0, 40.0, 20.0], [100.0, 0.0, 120.0, 40.0]])
    near, edge, far = [5.0, 2.0, 45.0, 22.0], [15.0, 0.0, 55.0, 20.0], [60.0, 0.0, 80.0, 40.0]
    assert windows.hits(np.array([near, near, far, edge, truth[1]]), truth).tolist() == [0, -1, -1, -1, 1]
    assert windows.hits(np.zeros((0, 4)), truth).shape == (0,)


def test_deformation_moves_a_part_and_leaves_the_rest():
    image = np.zeros((50, 50))
    image[35:38, 19:22] = 1.0  # about the mouth, at (10, 18.2) of 25
    moved = parts.deform(image, np.array([[0, 0], [0, 0], [0, 0], [2.0, 1.0]]))
    before, after = (np.array(np.nonzero(picture > 0.5)).mean(axis=1) for picture in (image, moved))
    np.testing.assert_allclose(after - before, [2, 4], atol=1)  # 1 and 2 pixels of 25
    np.testing.assert_allclose(parts.deform(image, np.zeros((4, 2))), image)
    color = np.stack([image] * 3, axis=2)
    np.testing.assert_allclose(parts.deform(color, np.ones((4, 2)))[..., 1], parts.deform(image, np.ones((4, 2))))


def test_a_star_tells_faces_from_background():
    faces, others = windows.patches()
    rng = np.random.default_rng(0)
    star = parts.learn(faces[:30], np.concatenate([others[:30], parts.background(60, rng)]), rng)
    assert list(star.parts) == list(parts.PARTS)
    assert star.root.weights.shape == (*parts.ROOT, 36)
    left, right = star.parts["left eye"].anchor, star.parts["right eye"].anchor
    assert left[0] < right[0] and star.parts["mouth"].anchor[1] > left[1]
    face, other = (
        np.mean([star.root.response(parts.blocks(patch)).max() for patch in patches])
        for patches in (faces[30:50], others[30:50])
    )
    assert face > other + 0.5
    assert parts.portrait().shape == (126, 126, 3)


def test_stars_are_drawn_along_the_edge():
    import matplotlib

    matplotlib.use("Agg")
    figure, ax = plotting.plt.subplots()
    histograms = np.zeros((2, 3, 9))
    histograms[1, 2, 4] = 1  # a gradient that points down: a level edge
    plotting.show_stars(ax, histograms, cell=10, title="stars")
    figure.canvas.draw()
    strokes = ax.collections[0].get_segments()
    assert len(strokes) == 2 * 3 * 9
    (x1, y1), (x2, y2) = strokes[-1]  # the brightest is drawn last
    assert abs(y1 - y2) < 1e-9 and abs(x1 - x2) > 9
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == (pytest.approx(25), pytest.approx(15))
    assert ax.get_ylim() == (20, 0)
    plotting.plt.close("all")


def test_the_committed_notebook_reaches_its_targets():
    (notebook,) = Course().select(["template_matching"])
    nb = nbformat.read(notebook.solution, as_version=4)
    outputs = [out for cell in nb.cells for out in cell.get("outputs", [])]
    text = "".join(out.text for out in outputs if out.output_type == "stream")
    values = dict(re.findall(r"^([^\n:]+): (-?\d+(?:\.\d+)?)$", text, re.MULTILINE))
    assert values["coins found by NCC in the shadow"] == "24"
    assert values["false alarms of NCC in the shadow"] == "0"
    for name in windows.WITH_FACE:
        assert values[f"{name}, round 3, face found"] == "1"
        assert int(values[f"{name}, round 3, false alarms"]) <= 1
        assert int(values[f"{name}, round 0, false alarms"]) >= 20
    assert float(values["bent faces found, k = 0.1"]) > float(values["bent faces found, rigid"])
