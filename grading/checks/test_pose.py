"""Hidden checks of 08_pose. The name of a test is the sentence that a student reads in the feedback."""

import functools
import itertools
import math
import operator
import weakref

import cv2
import numpy as np
import pytest
import torch
from pycocotools.cocoeval import COCOeval
from scipy import ndimage
from scipy.spatial.transform import Rotation

FORBIDDEN: dict[str, list[str]] = {
    "detect_markers": [
        "scipy.ndimage.label",
        "skimage.measure.label",
        "skimage.morphology.label",
        "skimage.measure.regionprops",
        "skimage.measure.regionprops_table",
        "cv2.connectedComponents",
        "cv2.connectedComponentsWithAlgorithm",
        "cv2.connectedComponentsWithStats",
        "cv2.connectedComponentsWithStatsWithAlgorithm",
        "cv2.findContours",
        "cv2.SimpleBlobDetector.create",
        "cv2.SimpleBlobDetector_create",
    ],
    "gaussian_heatmaps": [
        "cv2.GaussianBlur",
        "scipy.ndimage.gaussian_filter",
        "skimage.filters.gaussian",
        "torchvision.transforms.functional.gaussian_blur",
        "torchvision.transforms.v2.functional.gaussian_blur",
    ],
    "decode_heatmaps": [],
    "soft_argmax": [],
    "PoseNet": [
        "torch.hub.load",
        "timm.create_model",
        "torchvision.models.get_model",
        "torchvision.models.detection.keypointrcnn_resnet50_fpn",
        *(f"torchvision.models.resnet{depth}" for depth in (18, 34, 50, 101, 152)),
    ],
    "oks": ["pycocotools.cocoeval.COCOeval"],
    "crop_transform": [
        "cv2.getAffineTransform",
        "cv2.getRotationMatrix2D",
        "cv2.getPerspectiveTransform",
        "cv2.estimateAffine2D",
        "cv2.estimateAffinePartial2D",
        "skimage.transform.estimate_transform",
    ],
    "limb_score": [
        "scipy.ndimage.map_coordinates",
        "torch.nn.functional.grid_sample",
        "torch.grid_sampler",
        "torch.grid_sampler_2d",
        "cv2.remap",
    ],
    "group_limbs": [],
    "rodrigues": [
        "torch.matrix_exp",
        "torch.linalg.matrix_exp",
        "scipy.linalg.expm",
        "scipy.spatial.transform.Rotation",
        "cv2.Rodrigues",
        "roma.rotvec_to_rotmat",
    ],
    "forward_kinematics": [],
    "blend_skinning": [],
    "reprojection_loss": ["cv2.projectPoints"],
}

# float32 rounds by at most 2^-24 = 6e-8 of a value. Results of float32 code are compared with float64 oracles. Unless a
# task says more, values stay below 16 and take fewer than 64 roundings: 64 * 16 * 2^-24 = 6.2e-5.
TOLERANCE = 64 * 16 * 2.0**-24


def numbers(seed):
    return torch.Generator().manual_seed(seed)


def tensor(found, *shape):
    """The result as float64, if it is a finite tensor of the shape."""
    assert isinstance(found, torch.Tensor)
    assert tuple(found.shape) == shape
    assert torch.isfinite(found).all()
    return found.detach().double()


def agree(found, expected, tolerance=TOLERANCE):
    expected = torch.as_tensor(expected).double()
    found = tensor(found, *expected.shape)
    assert ((found - expected).abs() <= tolerance).all()


def has_dtype(found, dtype):
    assert isinstance(found, torch.Tensor) and found.dtype == dtype and bool(found.any())


def scalar(found):
    """The number in a result that should be a Python float; its type is judged by one check of its own."""
    assert isinstance(found, (float, int, np.floating, torch.Tensor, np.ndarray)) and np.shape(found) == ()
    return float(found)


def both_dtypes(function):
    return pytest.mark.parametrize("dtype", [torch.float32, torch.float64])(function)


# ---------------------------------------------------------------- detect_markers


def reference_markers(image, threshold, min_area=1):
    """By scipy, which joins pixels at edges unless told otherwise."""
    values = image.double().numpy()
    labels, number = ndimage.label(values > threshold)
    found = []
    for k in range(1, number + 1):
        if (labels == k).sum() >= min_area:
            y, x = ndimage.center_of_mass(values, labels, k)
            found.append((round(y, 3), x, y))
    # Rounding in float32 must not decide on the order: no y lies close to the middle of two thousandths.
    assert all(abs((1000 * y) % 1 - 0.5) > 0.02 for _, _, y in found)
    found.sort()
    return torch.tensor([[x, y] for _, x, y in found]).reshape(-1, 2)


def draw_image(seed, height, width, share):
    """Multiples of 1/64; about `share` of the pixels are above 1/4, some equal it."""
    dark = torch.randint(0, 17, (height, width), generator=numbers(seed))
    bright = torch.randint(17, 64, (height, width), generator=numbers(seed + 1))
    return torch.where(torch.rand(height, width, generator=numbers(seed + 2)) < share, bright, dark) / 64


IMAGES = [draw_image(seed, *rest) for seed, *rest in ((10, 9, 14, 0.3), (20, 17, 11, 0.5), (37, 12, 23, 0.62))]


def picture(rows):
    return torch.tensor([[float(value) for value in row.split()] for row in rows])


@pytest.mark.task("detect_markers")
class TestDetectMarkers:
    @pytest.mark.weight(30)
    @pytest.mark.parametrize("min_area", [1, 2, 4])
    def test_blobs_of_all_shapes_and_sizes_have_the_centres_that_scipy_finds_in_the_right_order(
        self, student, min_area
    ):
        for image in IMAGES:
            agree(student.detect_markers(image, 0.25, min_area), reference_markers(image, 0.25, min_area))

    @pytest.mark.weight(3)
    def test_the_centre_is_the_mean_place_weighted_by_brightness(self, student):
        image = picture(["0 0 0 0 0 0", "0 1 3 4 0 0", "0 0 0 8 0 0", "0 0 0 0 0 0"])
        agree(student.detect_markers(image, 0.5), [[43 / 16, 1.5]])

    @pytest.mark.weight(2)
    def test_weights_are_the_image_also_for_a_high_threshold(self, student):
        image = picture(["0 0 0 0 0", "3 5 9 3 0", "0 0 0 0 0"])
        agree(student.detect_markers(image, 4.0), [[23 / 14, 1.0]])

    @pytest.mark.weight(2)
    def test_a_pixel_that_equals_the_threshold_is_not_bright(self, student):
        image = picture(["0 2 3 0 0 0 2", "0 0 0 0 0 0 0"])
        agree(student.detect_markers(image, 2.0), [[2.0, 0.0]])

    @pytest.mark.weight(2)
    def test_pixels_that_touch_at_a_corner_only_are_two_blobs(self, student):
        image = picture(["0 0 1 0", "0 1 0 0", "0 0 1 0", "0 0 0 0", "0 0 0 0"])
        agree(student.detect_markers(image, 0.5), [[2.0, 0.0], [1.0, 1.0], [2.0, 2.0]])

    @pytest.mark.weight(2)
    def test_bent_blobs_stay_in_one_piece(self, student):
        image = picture(["1 0 1 0 0 1 1 1", "1 0 1 0 0 0 0 1", "1 1 1 0 1 1 0 1", "0 0 0 0 1 0 0 1", "0 0 0 0 1 1 1 1"])
        agree(student.detect_markers(image, 0.5), reference_markers(image, 0.5))

    @pytest.mark.weight(2)
    def test_blobs_at_opposite_borders_are_not_one(self, student):
        image = picture(["0 0 0 1 0 0", "2 0 0 0 0 2", "0 0 0 0 0 0", "0 0 0 1 0 0"])
        agree(student.detect_markers(image, 0.5), [[3.0, 0.0], [0.0, 1.0], [5.0, 1.0], [3.0, 3.0]])

    @pytest.mark.weight(2)
    def test_pixels_between_the_arms_of_a_blob_do_not_weigh(self, student):
        image = picture(["4 4 4 4 4", "4 1 1 1 4", "4 1 8 1 4", "4 1 1 1 1", "4 1 1 1 1"])
        arms = [(r, c) for r in range(5) for c in range(5) if image[r, c] == 4]
        y, x = (sum(place[k] for place in arms) / len(arms) for k in (0, 1))
        agree(student.detect_markers(image, 2.0), [[x, y], [2.0, 2.0]])

    @pytest.mark.weight(2)
    def test_blobs_of_at_least_the_least_area_stay_and_smaller_ones_go(self, student):
        image = picture(["1 0 1 1 0 0 0", "0 0 0 0 0 0 0", "1 1 1 0 0 1 0", "0 0 0 0 0 1 0"])
        agree(student.detect_markers(image, 0.5, 2), [[2.5, 0.0], [1.0, 2.0], [5.0, 2.5]])
        agree(student.detect_markers(image, 0.5, min_area=3), [[1.0, 2.0]])
        agree(student.detect_markers(image, 0.5), [[0.0, 0.0], [2.5, 0.0], [1.0, 2.0], [5.0, 2.5]])

    @pytest.mark.weight(2)
    def test_the_order_is_by_y_then_by_x(self, student):
        image = picture(["0 0 0 0 0 3 0", "0 0 1 0 0 0 0", "0 0 0 0 0 0 0", "0 9 0 0 0 0 2", "0 0 0 5 0 0 0"])
        agree(student.detect_markers(image, 0.5), [[5.0, 0.0], [2.0, 1.0], [1.0, 3.0], [6.0, 3.0], [3.0, 4.0]])

    @pytest.mark.weight(5)
    def test_a_thousandth_of_a_pixel_in_y_counts_for_the_order_and_less_does_not(self, student):
        image = torch.zeros(13, 12)
        image[2, 3], image[3, 3], image[2, 7] = 1.0, 2.0**-12, 1.0  # y = 2.0002 and 2
        image[6, 1], image[6, 9], image[5, 9] = 1.0, 1.0, 2.0**-8  # y = 6 and 5.996
        image[10, 2], image[10, 8], image[9, 8] = 1.0, 1.0, 2.0**-12  # y = 10 and 9.9998
        low, near = 1 / 4097, 1 / 257
        expected = [[3.0, 2 + low], [7.0, 2.0], [9.0, 6 - near], [1.0, 6.0], [2.0, 10.0], [8.0, 10 - low]]
        agree(student.detect_markers(image, 0.0), expected)

    @pytest.mark.weight(5)
    def test_if_nothing_is_bright_there_are_no_rows_but_two_columns(self, student):
        assert tuple(student.detect_markers(IMAGES[0], 1.0).shape) == (0, 2)
        assert tuple(student.detect_markers(picture(["1 0 0", "0 0 1"]), 0.5, 2).shape) == (0, 2)

    @both_dtypes
    def test_the_result_has_the_dtype_of_the_image(self, student, dtype):
        has_dtype(student.detect_markers(IMAGES[0].to(dtype), 0.25), dtype)

    def test_the_image_that_was_passed_in_stays_as_it_was(self, student):
        assert len(student.unchanged("detect_markers", IMAGES[1], 0.25, 2)) > 2


# ---------------------------------------------------------------- gaussian_heatmaps

# Coordinates are eighths below 16. Squared distances are below 2^9; if they are taken apart into squares and products,
# as torch.cdist may do, they are off by 4 * 2^9 * 2^-24, and the exponent, with sigma >= 0.75, by about as much.
HEATMAP_TOLERANCE = 2e-4


def reference_heatmaps(keypoints, size, sigma):
    rows, cols = np.mgrid[: size[0], : size[1]].astype(float)
    maps = [
        math.copysign(1, v - 0.5) * np.exp(-((cols - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
        for x, y, v in keypoints.double().tolist()
    ]
    return torch.tensor(np.array(maps).reshape(-1, *size)).clamp(min=0)


def draw_keypoints(seed, number, width, height):
    """Eighths of a pixel in the map and up to two pixels outside of it; v = 0, 1, 2 in turn."""
    places = torch.rand(number, 2, generator=numbers(seed)) * torch.tensor([width + 3.0, height + 3.0]) - 2
    return torch.cat([(8 * places).round() / 8, (torch.arange(number) % 3)[:, None].float()], dim=1)


@pytest.mark.task("gaussian_heatmaps")
class TestGaussianHeatmaps:
    @pytest.mark.weight(30)
    @pytest.mark.parametrize(
        ("seed", "number", "size", "sigma"),
        [(1, 9, (7, 12), 1.5), (2, 6, (11, 5), 0.75), (3, 17, (13, 14), 3.0), (4, 5, (4, 9), 1.0)],
    )
    def test_maps_follow_the_formula_at_every_pixel_for_keypoints_of_all_kinds(
        self, student, seed, number, size, sigma
    ):
        keypoints = draw_keypoints(seed, number, size[1], size[0])
        expected = reference_heatmaps(keypoints, size, sigma)
        agree(student.gaussian_heatmaps(keypoints, size, sigma), expected, HEATMAP_TOLERANCE)

    @pytest.mark.weight(2)
    def test_a_keypoint_on_a_pixel_gives_1_there_and_only_there(self, student):
        found = tensor(student.gaussian_heatmaps(torch.tensor([[5.0, 2.0, 2.0]]), (4, 9), 1.25), 1, 4, 9)
        assert abs(float(found[0, 2, 5]) - 1) < 1e-5 and int((found > 0.9).sum()) == 1

    @pytest.mark.weight(2)
    def test_a_keypoint_between_pixels_is_neither_rounded_nor_scaled_to_1(self, student):
        keypoints = torch.tensor([[5.5, 1.25, 2.0], [3.75, 2.5, 1.0]])
        found = student.gaussian_heatmaps(keypoints, (5, 8), 1.0)
        agree(found, reference_heatmaps(keypoints, (5, 8), 1.0), HEATMAP_TOLERANCE)

    @pytest.mark.weight(2)
    @pytest.mark.parametrize("sigma", [0.8, 2.5])
    def test_the_width_follows_sigma(self, student, sigma):
        found = tensor(student.gaussian_heatmaps(torch.tensor([[4.0, 3.0, 2.0]]), (7, 10), sigma), 1, 7, 10)
        assert abs(float(found[0, 3, 6]) - math.exp(-2 / sigma**2)) < HEATMAP_TOLERANCE

    @pytest.mark.weight(2)
    def test_x_goes_with_columns_and_y_with_rows(self, student):
        found = tensor(student.gaussian_heatmaps(torch.tensor([[7.0, 1.0, 2.0]]), (4, 9), 1.0), 1, 4, 9)
        assert int(found.argmax()) == 1 * 9 + 7

    @pytest.mark.weight(2)
    def test_hidden_keypoints_are_drawn_like_visible_ones(self, student):
        hidden, visible = torch.tensor([[2.5, 3.0, 1.0]]), torch.tensor([[2.5, 3.0, 2.0]])
        for keypoints in (hidden, visible):
            found = student.gaussian_heatmaps(keypoints, (6, 5), 1.5)
            agree(found, reference_heatmaps(visible, (6, 5), 1.5), HEATMAP_TOLERANCE)

    @pytest.mark.weight(2)
    def test_keypoints_that_are_not_labelled_leave_zeros(self, student):
        keypoints = torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
        found = tensor(student.gaussian_heatmaps(keypoints, (3, 5), 1.0), 3, 3, 5)
        assert not found[0].any() and not found[2].any() and abs(float(found[1, 1, 2]) - 1) < 1e-5

    @pytest.mark.weight(2)
    def test_what_lies_outside_reaches_into_the_map(self, student):
        keypoints = torch.tensor([[-1.0, 2.0, 2.0], [4.0, 5.5, 1.0], [9.0, -1.5, 2.0]])
        found = student.gaussian_heatmaps(keypoints, (5, 8), 1.5)
        agree(found, reference_heatmaps(keypoints, (5, 8), 1.5), HEATMAP_TOLERANCE)

    @pytest.mark.weight(2)
    def test_the_map_falls_smoothly_far_from_the_keypoint(self, student):
        found = tensor(student.gaussian_heatmaps(torch.tensor([[0.0, 0.0, 2.0]]), (5, 9), 2.0), 1, 5, 9)
        expected = reference_heatmaps(torch.tensor([[0.0, 0.0, 2.0]]), (5, 9), 2.0)
        assert ((found - expected).abs() <= 0.01 * expected).all()

    def test_without_keypoints_there_are_no_maps(self, student):
        assert tuple(student.gaussian_heatmaps(torch.zeros(0, 3), (4, 7), 1.0).shape) == (0, 4, 7)

    @both_dtypes
    def test_the_result_has_the_dtype_of_the_keypoints(self, student, dtype):
        has_dtype(student.gaussian_heatmaps(draw_keypoints(5, 3, 9, 6).to(dtype), (6, 9), 1.5), dtype)

    def test_the_keypoints_that_were_passed_in_stay_as_they_were(self, student):
        keypoints = draw_keypoints(6, 4, 9, 6)
        assert tuple(student.unchanged("gaussian_heatmaps", keypoints, (6, 9), 1.5).shape) == (4, 6, 9)


# ---------------------------------------------------------------- decode_heatmaps


def reference_decoding(heatmaps):
    """Pixel by pixel, in row order."""
    height, width = heatmaps.shape[1:]
    found = []
    for h in heatmaps.double().tolist():
        places = [(r, c) for r in range(height) for c in range(width)]
        r, c = max(places, key=lambda place: h[place[0]][place[1]])  # the first of equal ones
        dx = h[r][c + 1] - h[r][c - 1] if 0 < c < width - 1 else 0
        dy = h[r + 1][c] - h[r - 1][c] if 0 < r < height - 1 else 0
        found.append([c + 0.25 * ((dx > 0) - (dx < 0)), r + 0.25 * ((dy > 0) - (dy < 0)), h[r][c]])
    return torch.tensor(found, dtype=torch.float64).reshape(-1, 3)


def draw_maps(seed, number, height, width, levels=None):
    """Values around 0: all different, or of few levels, so that maxima and neighbours are often equal."""
    if levels:
        return torch.randint(-levels, 1, (number, height, width), generator=numbers(seed)) / 4
    return torch.randn(number, height, width, generator=numbers(seed))


def with_peak(row, col, height=5, width=8):
    """A map with one maximum; values grow to the right and downwards."""
    h = torch.arange(height * width).reshape(1, height, width) / 64
    h[0, row, col] = 2.0
    return h


@pytest.mark.task("decode_heatmaps")
class TestDecodeHeatmaps:
    @pytest.mark.weight(30)
    @pytest.mark.parametrize(
        ("seed", "height", "width", "levels"),
        [(1, 4, 5, None), (2, 6, 3, None), (3, 4, 6, 2), (4, 9, 4, 3), (5, 3, 3, 1), (6, 12, 17, None)],
    )
    def test_random_maps_with_and_without_ties_give_the_points_found_pixel_by_pixel(
        self, student, seed, height, width, levels
    ):
        for maps in (draw_maps(seed, 60, height, width, levels), draw_maps(seed, 20, height, width, levels) - 5):
            agree(student.decode_heatmaps(maps), reference_decoding(maps), 1e-6)

    @pytest.mark.weight(2)
    def test_each_axis_moves_a_quarter_pixel_to_its_higher_neighbour(self, student):
        maps = torch.zeros(4, 5, 7)
        maps[:, 2, 3] = 8.0
        for k, (row, col) in enumerate(((2, 4), (2, 2), (3, 3), (1, 3))):
            maps[k, row, col] = 1.0
        agree(student.decode_heatmaps(maps)[:, :2], [[3.25, 2.0], [2.75, 2.0], [3.0, 2.25], [3.0, 1.75]], 1e-6)

    @pytest.mark.weight(2)
    def test_the_shift_does_not_depend_on_how_much_the_neighbours_differ(self, student):
        maps = torch.zeros(2, 4, 6)
        maps[:, 2, 2], maps[0, 2, 1], maps[1, 2, 1], maps[1, 1, 2] = 4.0, 2.0**-10, 3.5, 2.0**-10
        agree(student.decode_heatmaps(maps)[:, :2], [[1.75, 2.0], [1.75, 1.75]], 1e-6)

    @pytest.mark.weight(2)
    def test_equal_neighbours_do_not_move_the_point(self, student):
        maps = torch.full((1, 5, 6), 0.25)
        maps[0, 1:4, 2:5], maps[0, 2, 3] = 0.5, 0.75
        agree(student.decode_heatmaps(maps), [[3.0, 2.0, 0.75]], 1e-6)

    @pytest.mark.weight(3)
    @pytest.mark.parametrize(("row", "col"), [(0, 3), (4, 3), (2, 0), (2, 7), (0, 0), (0, 7), (4, 0), (4, 7)])
    def test_at_a_border_only_the_axis_along_it_moves(self, student, row, col):
        h = with_peak(row, col)
        agree(student.decode_heatmaps(h), reference_decoding(h), 1e-6)

    @pytest.mark.weight(2)
    @pytest.mark.parametrize(("row", "col"), [(1, 1), (3, 6), (1, 6), (3, 1)])
    def test_one_pixel_away_from_a_border_both_axes_move(self, student, row, col):
        agree(student.decode_heatmaps(with_peak(row, col)), [[col + 0.25, row + 0.25, 2.0]], 1e-6)

    @pytest.mark.weight(2)
    def test_maps_of_one_row_or_column_or_two_are_decoded(self, student):
        for height, width in ((1, 6), (6, 1), (2, 5), (5, 2), (1, 1)):
            maps = draw_maps(height + 10 * width, 12, height, width)
            agree(student.decode_heatmaps(maps), reference_decoding(maps), 1e-6)

    @pytest.mark.weight(2)
    def test_of_equal_maxima_the_first_in_row_order_counts(self, student):
        maps = torch.zeros(2, 5, 7)
        maps[0, 1, 5] = maps[0, 3, 2] = 1.0
        maps[1, 2, 1] = maps[1, 2, 4] = maps[1, 4, 0] = 1.0
        agree(student.decode_heatmaps(maps), [[5.0, 1.0, 1.0], [1.0, 2.0, 1.0]], 1e-6)

    @pytest.mark.weight(2)
    def test_maps_of_negative_values_are_decoded_like_others(self, student):
        maps = draw_maps(7, 8, 5, 6) - 20
        agree(student.decode_heatmaps(maps), reference_decoding(maps), 1e-6)

    @pytest.mark.weight(2)
    def test_the_score_is_the_value_at_the_maximum(self, student):
        maps = 7 * draw_maps(8, 9, 6, 8)
        agree(student.decode_heatmaps(maps)[:, 2], maps.amax(dim=(1, 2)), 1e-6)

    def test_without_maps_there_are_no_rows_but_three_columns(self, student):
        assert tuple(student.decode_heatmaps(torch.zeros(0, 4, 6)).shape) == (0, 3)

    @both_dtypes
    def test_the_result_has_the_dtype_of_the_maps(self, student, dtype):
        has_dtype(student.decode_heatmaps(draw_maps(9, 3, 4, 5).to(dtype)), dtype)

    def test_the_maps_that_were_passed_in_stay_as_they_were(self, student):
        maps = draw_maps(10, 3, 4, 5)
        agree(student.unchanged("decode_heatmaps", maps), reference_decoding(maps), 1e-6)


# ---------------------------------------------------------------- soft_argmax

# Places reach 16 and shares of float32 have a relative error of about |beta h| * 2^-24 and some roundings of sums.
SOFT_TOLERANCE = 2e-4
# The logarithm of a sum of exponentials of up to 1300 is off by 1300 * 2^-24, and so are shares that are made with it.
EXTREME_TOLERANCE = 2e-3


def reference_soft_argmax(heatmaps, beta=1.0):
    height, width = heatmaps.shape[1:]
    h = beta * heatmaps.double()
    shares = (h - h.detach().amax(dim=(1, 2), keepdim=True)).exp()
    shares = shares / shares.sum(dim=(1, 2), keepdim=True)
    x = (shares * torch.arange(width).double()).sum(dim=(1, 2))
    y = (shares * torch.arange(height).double()[:, None]).sum(dim=(1, 2))
    return torch.stack([x, y], dim=1)


def follows_the_gradient(student, maps, beta, seed):
    weights = torch.randn(len(maps), 2, generator=numbers(seed))
    free = maps.double().requires_grad_()
    (reference_soft_argmax(free, beta) * weights.double()).sum().backward()
    agree(student.gradient("soft_argmax", (maps, beta), wrt=0, cotangent=weights), free.grad, SOFT_TOLERANCE)


@pytest.mark.task("soft_argmax")
class TestSoftArgmax:
    @pytest.mark.weight(30)
    @pytest.mark.parametrize(
        ("seed", "number", "height", "width", "beta"),
        [(1, 3, 5, 9, 1.0), (2, 4, 11, 4, 3.0), (3, 2, 7, 13, 10.0), (4, 1, 6, 2, 0.5)],
    )
    def test_maps_of_any_values_have_their_mean_place_under_the_softmax_and_its_gradient(
        self, student, seed, number, height, width, beta
    ):
        maps = draw_maps(seed, number, height, width)
        agree(student.soft_argmax(maps, beta), reference_soft_argmax(maps, beta), SOFT_TOLERANCE)
        follows_the_gradient(student, maps, beta, seed)
        if beta == 1:
            agree(student.soft_argmax(maps), reference_soft_argmax(maps), SOFT_TOLERANCE)
        steps = draw_maps(seed, number, height, width, levels=8)
        extreme = torch.cat([steps + 128, steps - 128])
        agree(student.soft_argmax(extreme, beta), reference_soft_argmax(extreme, beta), EXTREME_TOLERANCE)

    @pytest.mark.weight(2)
    def test_beta_is_1_if_not_told_otherwise(self, student):
        maps = draw_maps(5, 3, 4, 7)
        agree(student.soft_argmax(maps), reference_soft_argmax(maps), SOFT_TOLERANCE)

    @pytest.mark.weight(2)
    def test_an_even_map_has_its_middle(self, student):
        agree(student.soft_argmax(torch.full((2, 4, 9), 0.5), 3.0), [[4.0, 1.5], [4.0, 1.5]], SOFT_TOLERANCE)

    @pytest.mark.weight(2)
    def test_a_large_beta_finds_the_brightest_pixel(self, student):
        maps = torch.zeros(2, 5, 8)
        maps[0, 1, 6], maps[1, 4, 2] = 1.0, 1.0
        agree(student.soft_argmax(maps, 50.0), [[6.0, 1.0], [2.0, 4.0]], SOFT_TOLERANCE)

    @pytest.mark.weight(2)
    def test_a_constant_added_to_a_map_changes_nothing(self, student):
        maps = draw_maps(6, 3, 5, 6, levels=8)
        shifted = maps + torch.tensor([0.0, 16.0, -16.0])[:, None, None]
        agree(student.soft_argmax(shifted, 2.0), reference_soft_argmax(maps, 2.0), SOFT_TOLERANCE)

    @pytest.mark.weight(2)
    def test_each_map_is_judged_alone(self, student):
        maps = torch.cat([draw_maps(7, 2, 5, 6), 3 * draw_maps(8, 2, 5, 6)])
        for k in range(4):
            agree(student.soft_argmax(maps[k : k + 1]), reference_soft_argmax(maps[k : k + 1]), SOFT_TOLERANCE)
        agree(student.soft_argmax(maps), reference_soft_argmax(maps), SOFT_TOLERANCE)

    @pytest.mark.weight(3)
    def test_very_large_and_very_small_values_give_finite_places(self, student):
        maps = draw_maps(9, 3, 4, 6, levels=12)
        extreme = maps + torch.tensor([1000.0, -1000.0, 0.0])[:, None, None]
        agree(student.soft_argmax(extreme), reference_soft_argmax(maps), EXTREME_TOLERANCE)
        agree(student.soft_argmax(maps - 1, 250.0), reference_soft_argmax(maps, 250.0), EXTREME_TOLERANCE)

    @pytest.mark.weight(3)
    def test_the_gradient_is_that_of_the_formula(self, student):
        follows_the_gradient(student, draw_maps(11, 3, 5, 8), 2.0, 12)

    def test_without_maps_there_are_no_rows_but_two_columns(self, student):
        assert tuple(student.soft_argmax(torch.zeros(0, 4, 6)).shape) == (0, 2)

    @both_dtypes
    def test_the_result_has_the_dtype_of_the_maps(self, student, dtype):
        has_dtype(student.soft_argmax(draw_maps(13, 2, 4, 5).to(dtype)), dtype)

    def test_the_maps_that_were_passed_in_stay_as_they_were(self, student):
        maps = draw_maps(14, 2, 4, 5)
        agree(student.unchanged("soft_argmax", maps, 2.0), reference_soft_argmax(maps, 2.0), SOFT_TOLERANCE)


# ---------------------------------------------------------------- PoseNet

LARGE, VERY_LARGE = (32, 320), (128, 960)  # the middle of so wide a picture is far from its sides
SILENT = 1e-5  # signals are about 1, and exactly 0 where all is blocked


def kept(function):
    """Remember a finding about a student's network, which several checks ask for."""
    found = weakref.WeakKeyDictionary()

    @functools.wraps(function)
    def once(student):
        if student not in found:
            found[student] = function(student)
        return found[student]

    return once


def build(student, num_keypoints, channels, seed=0):
    """In eval mode, after one picture, so that lazy layers know their sizes."""
    student.seed(seed)
    net = student.PoseNet(num_keypoints, channels)
    net.eval()
    net(torch.zeros(1, 3, 64, 64))
    return net


def random_state(net, seed):
    """Random values for all parameters, of a size that keeps signals alive through any number of layers.

    Networks may start with branches that have no influence yet (scales of 0), so what PyTorch draws does not tell what
    depends on what. Statistics of normalisation layers stay.
    """
    generator, state = numbers(seed), net.state_dict()
    for name, value in state.items():
        if value.dtype.is_floating_point and "running_" not in name:
            if value.ndim >= 2:
                fan_in = max(math.prod(value.shape[1:]), 1)
                state[name] = torch.randn(value.shape, generator=generator) * math.sqrt(2 / fan_in)
            elif name.endswith("bias"):
                state[name] = torch.randn(value.shape, generator=generator) / 10
            else:
                state[name] = torch.rand(value.shape, generator=generator) + 0.5
    return state


def random_net(student, num_keypoints=5, channels=16, seed=0):
    net = build(student, num_keypoints, channels)
    net.load_state_dict(random_state(net, seed))
    return net


def kernels(net):
    return {name: value for name, value in net.state_dict().items() if value.ndim == 4}


def block(net, weights):
    """Set convolutions to 0, so that nothing passes them."""
    net.load_state_dict({name: torch.zeros_like(weight) for name, weight in weights.items()}, strict=False)


def unblock(net, weights):
    net.load_state_dict(weights, strict=False)


def three_pictures(size=LARGE, seed=1):
    """Noise, other noise, and the first moved by 4 pixels."""
    one, other = torch.randn(2, 3, *size, generator=numbers(seed))
    return torch.stack([one, other, one.roll(4, dims=2)])


def middles(found):
    """Maps as float64, without the columns near the sides."""
    width = found.shape[-1]
    return found.detach().double()[..., 3 * width // 8 : 5 * width // 8]


def spread(x):
    return float((x - x.mean(dim=-1, keepdim=True)).square().mean().sqrt())


def signal(found):
    """How far the middle of the map depends on the picture, from the maps of two of them."""
    one, other = middles(found[:2])
    return spread(one - other)


def unsteadiness(found):
    """How far the map does not move along with the picture, as a share of the signal.

    It is 0 if all is computed at H/4, and about 1 if all went through a coarser map, for which a movement by 4 pixels
    is a fraction of a pixel. Means of the whole picture add less than 0.05 if it is very large.
    """
    one, _, moved = middles(found)
    return spread(one[..., :-1] - moved[..., 1:]) / signal(found) if signal(found) > SILENT else math.inf


def is_steady(student):
    """Whether nothing but what is computed at H/4 influences the map."""
    return not 0.05 < unsteadiness(random_net(student)(three_pictures(VERY_LARGE))) < math.inf


def blocked_as_far_as_possible(net, pictures, weights):
    """Block convolutions, in the order given, as long as something of the picture comes through; those that are left.

    If all of several can be blocked, so can each after the others: halves are tried at once.
    """
    block(net, weights)
    if signal(net(pictures[:2])) > SILENT:
        return {}
    unblock(net, weights)
    names = list(weights)
    if len(names) == 1:
        return weights
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    parts = [blocked_as_far_as_possible(net, pictures, {name: weights[name] for name in half}) for half in halves]
    return parts[0] | parts[1]


def without_each(net, pictures):
    """Unsteadiness of the maps when a single convolution is blocked."""
    found = {}
    for name, weight in kernels(net).items():
        block(net, {name: weight})
        found[name] = unsteadiness(net(pictures))
        unblock(net, {name: weight})
    return found


@kept
def fine_path(student):
    """Convolutions of a way from picture to map that never leaves H/4, or None.

    Ways are found by blocking; on which way one ends depends on the order. Coarser branches are blocked first where
    they show by their width, or else by what is left without one of their convolutions. There are no biases, which a
    pixel shuffle after a blocked convolution would make into a pattern that does not move along.
    """
    net, pictures = random_net(student), three_pictures()
    biases = {name: torch.zeros_like(value) for name, value in net.state_dict().items() if name.endswith("bias")}
    net.load_state_dict(biases, strict=False)
    weights = kernels(net)
    names = list(weights)
    by_width = sorted(reversed(names), key=lambda name: -max(weights[name].shape[:2]))
    for order in (by_width, names, reversed(names), None):
        if order is None:
            alone = without_each(net, pictures)
            order = sorted(names, key=alone.get)
        left = blocked_as_far_as_possible(net, pictures, {name: weights[name] for name in order})
        found = unsteadiness(net(pictures))
        unblock(net, weights)
        if found < 0.1:
            return left
    return None


def right_shapes(student):
    for num_keypoints, channels, number, height, width in ((5, 16, 2, 64, 96), (1, 32, 1, 96, 32), (17, 16, 1, 32, 64)):
        found = build(student, num_keypoints, channels)(torch.randn(number, 3, height, width, generator=numbers(2)))
        tensor(found, number, num_keypoints, height // 4, width // 4)


@kept
def coarse_branches_matter(student):
    """The map does not just move along with the picture, and of no width all convolutions are without influence."""
    if is_steady(student):
        return False
    net, picture = random_net(student), three_pictures()[:1]
    before, made, matter = net(picture), set(), set()
    for name, weight in kernels(net).items():
        if weight.shape[0] not in matter:
            made.add(weight.shape[0])
            block(net, {name: weight})
            if not torch.equal(net(picture), before):
                matter.add(weight.shape[0])
            unblock(net, {name: weight})
    return made == matter


@kept
def width_is_that_asked_for(student):
    left = fine_path(student)
    shapes = [sorted(weight.shape for weight in kernels(build(student, 5, c)).values()) for c in (16, 32)]
    return bool(left) and 16 in {w.shape[0] for w in left.values()} and shapes[0] != shapes[1]


@kept
def is_linear_at_the_end(student):
    """Values of both signs, and a head of 1000 times the weights gives much larger ones."""
    net, x = random_net(student, 17), torch.randn(2, 3, 64, 96, generator=numbers(3))
    found = tensor(net(x), 2, 17, 16, 24)
    state = net.state_dict()
    heads = {k: 1000 * w for k, w in state.items() if w.ndim >= 2 and w.shape[0] == 17}
    net.load_state_dict(heads, strict=False)
    larger = tensor(net(x), 2, 17, 16, 24)
    return bool(found.min() < 0 < found.max()) and (not heads or float(larger.std()) > 100 * float(found.std()))


@kept
def all_of_it_is_in_the_state(student):
    """Two networks with the same state give the same result, twice."""
    x = torch.randn(2, 3, 64, 96, generator=numbers(4))
    one, other = random_net(student, 5, 16, seed=5), build(student, 5, 16, seed=6)
    other.load_state_dict(one.state_dict())
    found = [tensor(net(x), 2, 5, 16, 24) for net in (one, other, one)]
    scale = float(found[0].std())
    return scale > 1e-3 and all(float((found[0] - again).abs().max()) < 1e-4 * scale for again in found[1:])


@kept
def pictures_stay_apart(student):
    net, x = (
        random_net(student),
        torch.randn(3, 3, 64, 32, generator=numbers(7)) * torch.tensor([1, 5, 0.2])[:, None, None, None],
    )
    found = tensor(net(x), 3, 5, 16, 8)
    scale = float(found.std())
    parts = [tensor(net(x[k : k + 1]), 1, 5, 16, 8)[0] for k in range(3)]
    return scale > 1e-3 and all(
        float((one - other).abs().max()) < 1e-3 * scale for one, other in zip(found, parts, strict=True)
    )


@kept
def colours_matter(student):
    """Red in the place of blue gives other maps, and so does another green."""
    net, x = random_net(student), torch.randn(1, 3, 64, 96, generator=numbers(14))
    found = [
        tensor(net(picture), 1, 5, 16, 24) for picture in (x, x.flip(1), x * torch.tensor([1, 0, 1])[:, None, None])
    ]
    return all(float((other - found[0]).abs().max()) > 1e-3 * float(found[0].std()) for other in found[1:])


@kept
def places_correspond(student):
    """A place of the map depends most on the same place of the picture."""
    net, x = random_net(student), torch.randn(6, 3, 64, 96, generator=numbers(8))
    for row, col in ((3, 5), (12, 19), (4, 20)):
        cotangent = torch.zeros(6, 5, 16, 24)
        cotangent[:, :, row, col] = torch.randn(6, 5, generator=numbers(9))
        slope = student.gradient(net, (x,), wrt=0, cotangent=cotangent)
        cells = slope.abs().sum(dim=(0, 1)).unfold(0, 4, 4).unfold(1, 4, 4).sum(dim=(2, 3))
        top, left = divmod(int(cells.argmax()), 24)
        if abs(top - row) > 2 or abs(left - col) > 2:
            return False
    return True


@kept
def gradient_is_true(student):
    """The slope along random directions is what small steps show, so gradients flow through all branches."""
    net, x = random_net(student), torch.randn(1, 3, 64, 96, generator=numbers(10))
    cotangent = torch.randn(1, 5, 16, 24, generator=numbers(11))
    slope = student.gradient(net, (x,), wrt=0, cotangent=cotangent)
    steps = torch.randn(24, 3, 64, 96, generator=numbers(12))
    shown = ((net(x + 0.002 * steps) - net(x - 0.002 * steps)).detach() * cotangent).sum(dim=(1, 2, 3)) / 0.004
    told = (slope * steps).sum(dim=(1, 2, 3))
    return float((shown - told).norm()) < 0.25 * float(shown.norm())


@pytest.mark.task("PoseNet")
class TestPoseNet:
    @pytest.mark.weight(60)
    def test_sizes_branches_fusion_widths_and_head_are_all_as_described(self, student):
        right_shapes(student)
        assert coarse_branches_matter(student)
        assert width_is_that_asked_for(student)
        assert is_linear_at_the_end(student) and colours_matter(student)
        assert all_of_it_is_in_the_state(student) and pictures_stay_apart(student)
        assert places_correspond(student) and gradient_is_true(student)

    @pytest.mark.weight(4)
    @pytest.mark.parametrize(
        ("number", "height", "width"), [(1, 64, 64), (2, 64, 96), (1, 96, 32), (2, 32, 128), (1, 128, 160)]
    )
    def test_pictures_of_any_fitting_size_give_maps_of_a_quarter_of_it(self, student, number, height, width):
        found = build(student, 6, 16)(torch.randn(number, 3, height, width, generator=numbers(2)))
        tensor(found, number, 6, height // 4, width // 4)

    @pytest.mark.weight(2)
    @pytest.mark.parametrize(("num_keypoints", "channels"), [(1, 16), (17, 32), (20, 16)])
    def test_there_is_one_map_for_each_keypoint(self, student, num_keypoints, channels):
        found = build(student, num_keypoints, channels)(torch.randn(2, 3, 32, 64, generator=numbers(2)))
        tensor(found, 2, num_keypoints, 8, 16)

    @pytest.mark.weight(4)
    def test_coarser_branches_influence_the_result(self, student):
        assert not is_steady(student)

    @pytest.mark.weight(3)
    def test_every_branch_influences_the_result(self, student):
        assert coarse_branches_matter(student)

    @pytest.mark.weight(4)
    def test_something_reaches_the_result_without_leaving_the_fine_branch(self, student):
        assert fine_path(student) is not None

    @pytest.mark.weight(3)
    def test_colours_matter(self, student):
        assert colours_matter(student)

    @pytest.mark.weight(2)
    def test_the_fine_branch_has_the_width_asked_for(self, student):
        assert width_is_that_asked_for(student)

    @pytest.mark.weight(3)
    def test_the_maps_are_not_squeezed_by_an_activation(self, student):
        assert is_linear_at_the_end(student)

    @pytest.mark.weight(3)
    def test_all_layers_are_known_as_parameters_and_nothing_is_random_in_eval_mode(self, student):
        assert all_of_it_is_in_the_state(student)

    @pytest.mark.weight(2)
    def test_images_of_a_batch_do_not_influence_each_other(self, student):
        assert pictures_stay_apart(student)

    @pytest.mark.weight(2)
    def test_a_place_of_the_map_depends_most_on_the_same_place_of_the_picture(self, student):
        assert places_correspond(student)

    @pytest.mark.weight(3)
    def test_gradients_flow_back_through_all_branches(self, student):
        assert gradient_is_true(student)

    def test_the_images_that_were_passed_in_stay_as_they_were(self, student):
        net = build(student, 6, 16)
        x = torch.randn(2, 3, 64, 32, generator=numbers(13))
        call = student._call(net, (x,), {}, changed=True)
        assert torch.equal(call.arguments[0], x) and tuple(call.value.shape) == (2, 6, 16, 8)


# ---------------------------------------------------------------- oks


def coco_oks(pred, truth, area, sigmas):
    """As pycocotools computes it."""
    evaluation = COCOeval(iouType="keypoints")
    evaluation.params.kpt_oks_sigmas = sigmas.double().numpy()
    keypoints = torch.cat([pred, torch.ones(len(pred), 1)], dim=1).double().flatten().tolist()
    evaluation._gts[1, 1] = [{"keypoints": truth.double().flatten().tolist(), "bbox": [0, 0, 1, 1], "area": area}]
    evaluation._dts[1, 1] = [{"keypoints": keypoints, "score": 1.0}]
    return float(evaluation.computeOks(1, 1)[0, 0])


def draw_person(seed, number=17, spread=6.0):
    """Prediction, truth with v = 0, 1, 2 in a random order, area and constants."""
    generator = numbers(seed)
    truth = torch.cat([200 * torch.rand(number, 2, generator=generator), torch.zeros(number, 1)], dim=1)
    truth[:, 2] = (torch.randperm(number, generator=generator) % 3).float()
    pred = truth[:, :2] + spread * torch.randn(number, 2, generator=generator)
    pred[truth[:, 2] == 0] += 300
    sigmas = 0.02 + 0.09 * torch.rand(number, generator=generator)
    return pred, truth, 400 + 1600 * float(torch.rand((), generator=generator)), sigmas


def close(found, expected):
    # Distances of some pixels between places below 512 are off by 2^-15 in float32, exponents of up to 10 by 1e-4.
    assert abs(scalar(found) - expected) < 2e-4


@pytest.mark.task("oks")
class TestOks:
    @pytest.mark.weight(30)
    @pytest.mark.parametrize("seed", range(8))
    def test_random_persons_have_the_similarity_of_pycocotools(self, student, seed):
        person = draw_person(seed, 17 if seed < 5 else 6, (6.0, 3.0, 12.0)[seed % 3])
        assert 0.02 < coco_oks(*person) < 0.98
        close(student.oks(*person), coco_oks(*person))

    @pytest.mark.weight(2)
    def test_a_perfect_prediction_has_1_and_one_far_off_0(self, student):
        _, truth, area, sigmas = draw_person(11)
        close(student.oks(truth[:, :2].clone(), truth, area, sigmas), 1.0)
        close(student.oks(truth[:, :2] + 500, truth, area, sigmas), 0.0)

    @pytest.mark.weight(2)
    def test_hidden_keypoints_count_like_visible_ones(self, student):
        pred, truth, area, sigmas = draw_person(12)
        truth[:, 2] = 1 + torch.arange(17) % 2
        pred = truth[:, :2] + 4
        close(student.oks(pred, truth, area, sigmas), coco_oks(pred, truth, area, sigmas))
        truth[:, 2] = 3 - truth[:, 2]
        close(student.oks(pred, truth, area, sigmas), coco_oks(pred, truth, area, sigmas))

    @pytest.mark.weight(2)
    def test_keypoints_that_are_not_labelled_do_not_count(self, student):
        pred, truth, area, sigmas = draw_person(13)
        expected = coco_oks(pred, truth, area, sigmas)
        other = torch.where(truth[:, 2:] == 0, truth[:, :2], pred)  # perfect where nobody looks
        close(student.oks(other, truth, area, sigmas), expected)

    @pytest.mark.weight(2)
    def test_picture_and_person_may_be_scaled_together(self, student):
        pred, truth, area, sigmas = draw_person(14)
        expected = coco_oks(pred, truth, area, sigmas)
        larger = torch.cat([4 * truth[:, :2], truth[:, 2:]], dim=1)
        close(student.oks(4 * pred, larger, 16 * area, sigmas), expected)

    @pytest.mark.weight(2)
    def test_a_constant_twice_as_large_allows_twice_the_distance(self, student):
        truth, sigmas = torch.tensor([[10.0, 20.0, 2.0], [40.0, 60.0, 1.0]]), torch.tensor([0.05, 0.1])
        pred = torch.tensor([[13.0, 24.0], [46.0, 68.0]])
        close(student.oks(pred, truth, 1250.0, sigmas), math.exp(-1.0))

    @pytest.mark.weight(5)
    def test_if_no_keypoint_is_labelled_it_is_0(self, student):
        pred, truth, area, sigmas = draw_person(15)
        truth[:, 2] = 0
        assert scalar(student.oks(pred, truth, area, sigmas)) == 0
        assert scalar(student.oks(*draw_person(15))) > 0

    def test_the_result_is_a_python_float(self, student):
        found = student.oks(*draw_person(16))
        assert isinstance(found, float) and found > 0

    def test_the_arguments_that_were_passed_in_stay_as_they_were(self, student):
        person = draw_person(17)
        close(student.unchanged("oks", *person), coco_oks(*person))


# ---------------------------------------------------------------- crop_transform

# Entries are below 2^10 and take a handful of roundings: 16 * 2^10 * 2^-24.
CROP_TOLERANCE = 1e-3


def reference_crop(box, size):
    """By OpenCV, from where three points come to."""
    (x1, y1, x2, y2), (height, width) = box.double().tolist(), size
    if width * (y2 - y1) < height * (x2 - x1):  # touches left and right
        half_w, half_h = width / 2, width / 2 * (y2 - y1) / (x2 - x1)
    else:
        half_w, half_h = height / 2 * (x2 - x1) / (y2 - y1), height / 2
    source = np.array([[x1, y1], [x2, y1], [x1, y2]])
    target = [[width / 2 + a * half_w, height / 2 + b * half_h] for a, b in ((-1, -1), (1, -1), (-1, 1))]
    return torch.tensor(cv2.getAffineTransform(source.astype(np.float32), np.array(target, dtype=np.float32)))


BOXES = torch.tensor(
    [
        [10.25, 20.5, 50.25, 35.5],
        [0.0, 0.0, 31.5, 90.0],
        [100.0, 7.25, 121.0, 11.75],
        [-12.5, 40.0, 20.0, 200.25],
        [60.0, 60.0, 90.0, 90.0],
        [3.0, 150.0, 203.0, 180.0],
    ]
)
CROPS = [(64, 48), (48, 96), (32, 32), (20, 75)]


@pytest.mark.task("crop_transform")
class TestCropTransform:
    @pytest.mark.weight(30)
    @pytest.mark.parametrize("size", CROPS)
    def test_wide_and_high_boxes_come_to_wide_and_high_crops_as_opencv_maps_three_of_their_points(self, student, size):
        for box in BOXES:
            agree(student.crop_transform(box, size), reference_crop(box, size), CROP_TOLERANCE)

    @pytest.mark.weight(2)
    def test_the_centre_of_the_box_comes_to_the_centre_of_the_crop(self, student):
        for box in BOXES:
            M = tensor(student.crop_transform(box, (40, 90)), 2, 3)
            x, y = (float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2)
            agree(M @ torch.tensor([x, y, 1.0]).double(), [45.0, 20.0], CROP_TOLERANCE)

    @pytest.mark.weight(2)
    def test_both_axes_have_the_same_positive_scale_and_nothing_is_turned(self, student):
        for box in BOXES:
            M = tensor(student.crop_transform(box, (40, 90)), 2, 3)
            assert M[0, 0] > 0 and abs(float(M[0, 0] - M[1, 1])) < 1e-5 and max(abs(M[0, 1]), abs(M[1, 0])) < 1e-5

    @pytest.mark.weight(3)
    @pytest.mark.parametrize("size", CROPS)
    def test_the_box_fits_and_touches_two_sides_of_the_crop(self, student, size):
        for box in BOXES:
            M = tensor(student.crop_transform(box, size), 2, 3)
            corners = torch.cat([box.reshape(2, 2).double(), torch.ones(2, 1).double()], dim=1) @ M.T
            room = torch.minimum(corners[0], torch.tensor(size).flip(0) - corners[1])
            assert abs(float(room.min())) < CROP_TOLERANCE

    @pytest.mark.weight(2)
    def test_the_size_of_the_crop_has_the_height_first(self, student):
        agree(
            student.crop_transform(torch.tensor([0.0, 0.0, 10.0, 20.0]), (40, 100)),
            [[2.0, 0.0, 40.0], [0.0, 2.0, 0.0]],
            CROP_TOLERANCE,
        )

    @pytest.mark.weight(2)
    def test_a_box_of_the_size_of_the_crop_is_only_moved(self, student):
        agree(
            student.crop_transform(torch.tensor([12.0, 5.0, 42.0, 25.0]), (20, 30)),
            [[1.0, 0.0, -12.0], [0.0, 1.0, -5.0]],
            CROP_TOLERANCE,
        )

    @both_dtypes
    def test_the_result_has_the_dtype_of_the_box(self, student, dtype):
        has_dtype(student.crop_transform(BOXES[0].to(dtype), (64, 48)), dtype)

    def test_the_box_that_was_passed_in_stays_as_it_was(self, student):
        found = student.unchanged("crop_transform", BOXES[0].clone(), (64, 48))
        agree(found, reference_crop(BOXES[0], (64, 48)), CROP_TOLERANCE)


# ---------------------------------------------------------------- limb_score

# Places below 16 are off by some 2^-20, fields of about 1 that change by some units from pixel to pixel by 2^-17.
SCORE_TOLERANCE = 1e-4


def reference_score(field, a, b, samples=10):
    """By scipy, on the outermost pixels' values outside of the map."""
    a, b, field = a.double().numpy(), b.double().numpy(), field.double().numpy()
    places = a + np.linspace(0, 1, samples)[:, None] * (b - a)
    vectors = [ndimage.map_coordinates(part, places[:, ::-1].T, order=1, mode="nearest") for part in field]
    return float(np.mean((b - a) / np.linalg.norm(b - a) @ np.array(vectors)))


def score(found, expected):
    assert abs(scalar(found) - expected) < SCORE_TOLERANCE


def draw_field(seed, height, width):
    return torch.randn(2, height, width, generator=numbers(seed))


def draw_limbs(seed, number, height, width, outside=0.0):
    size = torch.tensor([width - 1.0, height - 1.0])
    return (torch.rand(number, 2, 2, generator=numbers(seed)) * (1 + 2 * outside) - outside) * size


@pytest.mark.task("limb_score")
class TestLimbScore:
    @pytest.mark.weight(30)
    @pytest.mark.parametrize(
        ("seed", "height", "width", "samples"), [(1, 7, 12, 10), (2, 13, 6, 5), (3, 5, 15, 23), (4, 9, 8, 2)]
    )
    def test_limbs_inside_and_across_the_border_have_the_score_that_scipy_interpolates(
        self, student, seed, height, width, samples
    ):
        field = draw_field(seed, height, width)
        for outside in (0.0, 0.4):
            for a, b in draw_limbs(seed + 10, 8, height, width, outside):
                options = () if samples == 10 else (samples,)
                score(student.limb_score(field, a, b, *options), reference_score(field, a, b, samples))

    @pytest.mark.weight(2)
    def test_ten_samples_are_taken_if_not_told_otherwise(self, student):
        field = draw_field(5, 8, 11)
        for a, b in draw_limbs(15, 4, 8, 11):
            score(student.limb_score(field, a, b), reference_score(field, a, b, 10))

    @pytest.mark.weight(2)
    def test_a_field_along_the_limb_scores_1_against_it_minus_1_and_across_it_0(self, student):
        a, b = torch.tensor([1.0, 6.0]), torch.tensor([5.0, 3.0])
        for vector, expected in (((0.8, -0.6), 1.0), ((-0.8, 0.6), -1.0), ((0.6, 0.8), 0.0), ((0.0, -1.0), 0.6)):
            field = torch.tensor(vector)[:, None, None].expand(2, 8, 11).contiguous()
            score(student.limb_score(field, a, b), expected)

    @pytest.mark.weight(2)
    def test_from_b_to_a_the_score_changes_its_sign(self, student):
        field, (a, b) = draw_field(6, 7, 10), draw_limbs(16, 1, 7, 10)[0]
        expected = reference_score(field, a, b)
        score(student.limb_score(field, a, b), expected)
        score(student.limb_score(field, b, a), -expected)

    @pytest.mark.weight(2)
    def test_the_length_of_the_limb_does_not_count_but_that_of_the_field_does(self, student):
        field = torch.full((2, 9, 14), 0.25)
        for end in (3.0, 8.0):
            score(student.limb_score(field, torch.tensor([1.0, 1.0]), torch.tensor([end, end])), 0.25 * math.sqrt(2))

    @pytest.mark.weight(2)
    def test_both_ends_are_samples(self, student):
        field = torch.zeros(2, 5, 9)
        field[0, 2, 1], field[0, 2, 7] = 3.0, 6.0
        score(student.limb_score(field, torch.tensor([1.0, 2.0]), torch.tensor([7.0, 2.0]), 4), 9 / 4)

    @pytest.mark.weight(2)
    def test_the_field_is_interpolated_between_pixels(self, student):
        field = torch.zeros(2, 5, 9)
        field[1, 2, 4] = 16.0
        score(student.limb_score(field, torch.tensor([3.75, 1.5]), torch.tensor([3.75, 2.25]), 2), 7.5)

    @pytest.mark.weight(2)
    def test_the_first_channel_is_x_and_x_is_the_column(self, student):
        field = torch.zeros(2, 4, 8)
        field[0, 1, 5:], field[1, 1, 5:] = 1.0, 4.0
        score(student.limb_score(field, torch.tensor([5.0, 1.0]), torch.tensor([7.0, 1.0]), 5), 1.0)

    @pytest.mark.weight(2)
    def test_outside_of_the_map_the_nearest_place_counts(self, student):
        field = draw_field(7, 5, 8)
        for a, b in (((-3.0, 1.5), (2.0, -4.0)), ((6.0, 2.0), (12.0, 7.5)), ((-5.0, 9.0), (-2.0, 6.0))):
            a, b = torch.tensor(a), torch.tensor(b)
            score(student.limb_score(field, a, b, 6), reference_score(field, a, b, 6))

    @pytest.mark.weight(2)
    def test_limbs_along_the_border_of_the_map_are_scored(self, student):
        field = draw_field(8, 5, 8)
        for a, b in (((0.0, 0.0), (7.0, 0.0)), ((7.0, 0.0), (7.0, 4.0)), ((7.0, 4.0), (0.0, 4.0))):
            a, b = torch.tensor(a), torch.tensor(b)
            score(student.limb_score(field, a, b, 8), reference_score(field, a, b, 8))

    @pytest.mark.weight(5)
    def test_if_both_ends_are_the_same_it_is_0(self, student):
        field, a = draw_field(9, 5, 8), torch.tensor([3.25, 1.5])
        assert scalar(student.limb_score(field, a, a.clone())) == 0
        assert scalar(student.limb_score(field, a, a + 1)) != 0

    def test_the_result_is_a_python_float(self, student):
        found = student.limb_score(draw_field(10, 5, 8), torch.tensor([1.0, 1.0]), torch.tensor([5.0, 2.0]))
        assert isinstance(found, float) and found != 0

    def test_the_arguments_that_were_passed_in_stay_as_they_were(self, student):
        field, (a, b) = 3 * draw_field(11, 7, 10), draw_limbs(17, 1, 7, 10, 0.3)[0]
        score(student.unchanged("limb_score", field, a.clone(), b.clone(), 7), reference_score(field, a, b, 7))


# ---------------------------------------------------------------- group_limbs


def greatest_total(scores, threshold):
    """Of all ways to choose, tried one by one."""
    table = scores.double().numpy()
    table = table if table.shape[0] <= table.shape[1] else table.T
    gains = np.where(table >= threshold, table, 0.0)
    ways = itertools.permutations(range(gains.shape[1]), gains.shape[0])
    return max(sum(gains[i, j] for i, j in enumerate(way)) for way in ways)


def pairs_of(found):
    assert isinstance(found, (list, tuple))
    assert all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in found)
    return [(operator.index(i), operator.index(j)) for i, j in found]


def best_choice(found, scores, threshold):
    """One-to-one, sorted, allowed, and of the greatest total; which one of several does not matter."""
    found = pairs_of(found)
    rows, cols = [i for i, _ in found], [j for _, j in found]
    assert rows == sorted(set(rows)) and len(set(cols)) == len(cols)
    assert all(0 <= i < scores.shape[0] and 0 <= j < scores.shape[1] for i, j in found)
    assert all(float(scores[pair]) >= threshold for pair in found)
    assert abs(sum(float(scores[pair]) for pair in found) - greatest_total(scores, threshold)) < 1e-9


def draw_scores(seed, rows, cols):
    """Different multiples of 1/256 from -1/4 to 1."""
    values = torch.randperm(321, generator=numbers(seed))[: rows * cols] - 64
    return (values / 256).reshape(rows, cols)


@pytest.mark.task("group_limbs")
class TestGroupLimbs:
    @pytest.mark.weight(30)
    @pytest.mark.parametrize(("rows", "cols"), [(4, 4), (3, 5), (5, 3), (5, 5), (1, 4), (4, 1), (2, 2)])
    def test_random_tables_give_one_to_one_pairs_of_the_greatest_total(self, student, rows, cols):
        for seed, threshold in itertools.product(range(4), (0.0, 0.125, 0.3125, 0.5)):
            scores = draw_scores(100 * seed + 10 * rows + cols, rows, cols)
            best_choice(student.group_limbs(scores, threshold), scores, threshold)

    @pytest.mark.weight(3)
    def test_the_best_pair_gives_way_if_the_total_gains(self, student):
        scores = torch.tensor([[0.9375, 0.875, 0.0], [0.875, 0.25, 0.0]])
        assert pairs_of(student.group_limbs(scores, 0.125)) == [(0, 1), (1, 0)]

    @pytest.mark.weight(3)
    def test_a_pair_below_the_threshold_neither_wins_nor_drives_out_another(self, student):
        scores = torch.tensor([[0.75, 0.5], [0.4375, 0.0]])
        assert pairs_of(student.group_limbs(scores, 0.46875)) == [(0, 0)]

    @pytest.mark.weight(3)
    def test_one_strong_pair_is_better_than_two_weak_ones(self, student):
        scores = torch.tensor([[0.9375, 0.375], [0.375, 0.0]])
        assert pairs_of(student.group_limbs(scores, 0.25)) == [(0, 0)]

    @pytest.mark.weight(2)
    def test_the_scores_are_added_as_they_are(self, student):
        scores = torch.tensor([[0.75, 0.4375], [0.375, 0.0]])  # 0.8125 together, but less above the threshold
        assert pairs_of(student.group_limbs(scores, 0.25)) == [(0, 1), (1, 0)]

    @pytest.mark.weight(5)
    def test_a_score_equal_to_the_threshold_is_enough(self, student):
        scores = torch.tensor([[0.5, 0.25, 0.0], [0.0, 0.5, 0.25]])
        assert pairs_of(student.group_limbs(scores, 0.5)) == [(0, 0), (1, 1)]

    @pytest.mark.weight(2)
    def test_each_row_and_each_column_is_used_at_most_once(self, student):
        scores = torch.tensor([[0.25, 0.875, 0.125], [0.375, 0.9375, 0.1875], [0.125, 0.75, 0.0625]])
        best_choice(student.group_limbs(scores, 0.09375), scores, 0.09375)

    @pytest.mark.weight(2)
    def test_pairs_are_row_and_column_sorted_by_row(self, student):
        scores = torch.zeros(3, 6)
        scores[0, 5], scores[1, 2], scores[2, 4] = 0.5, 0.875, 0.75
        assert pairs_of(student.group_limbs(scores, 0.25)) == [(0, 5), (1, 2), (2, 4)]

    @pytest.mark.weight(2)
    def test_if_no_score_is_high_enough_there_are_no_pairs(self, student):
        assert pairs_of(student.group_limbs(draw_scores(5, 3, 4), 2.0)) == []
        assert pairs_of(student.group_limbs(torch.tensor([[0.25, 3.0]]), 2.0)) == [(0, 1)]

    @pytest.mark.weight(2)
    def test_without_candidates_on_a_side_there_are_no_pairs(self, student):
        for shape in ((0, 3), (2, 0), (0, 0)):
            assert pairs_of(student.group_limbs(torch.zeros(shape), 0.5)) == []
        assert pairs_of(student.group_limbs(torch.ones(1, 1), 0.5)) == [(0, 0)]

    def test_the_scores_that_were_passed_in_stay_as_they_were(self, student):
        scores = draw_scores(6, 4, 3)
        best_choice(student.unchanged("group_limbs", scores, 0.25), scores, 0.25)


# ---------------------------------------------------------------- rodrigues

# Entries of a rotation are at most 1; sine and cosine of angles below 8 are off by 8 * 2^-24 and some roundings; a
# guard of 1e-8 or less in the angle does not show.
ROTATION_TOLERANCE = 2e-5
GENERATORS = torch.tensor(
    [[[0, 0, 0], [0, 0, -1], [0, 1, 0]], [[0, 0, 1], [0, 0, 0], [-1, 0, 0]], [[0, -1, 0], [1, 0, 0], [0, 0, 0]]]
).double()


def draw_vectors(seed, angles):
    axes = torch.nn.functional.normalize(torch.randn(len(angles), 3, generator=numbers(seed)).double(), dim=1)
    return (axes * torch.tensor(angles).double()[:, None]).float()


def by_scipy(vectors):
    return torch.tensor(Rotation.from_rotvec(vectors.double().numpy()).as_matrix())


def slope_of_rotations(vectors, cotangent):
    """By the matrix exponential in float64."""
    free = vectors.double().requires_grad_()
    rotations = torch.matrix_exp(torch.einsum("na,abc->nbc", free, GENERATORS))
    (rotations * cotangent.double()).sum().backward()
    return free.grad


def slopes_agree(student, vectors, seed, tolerance):
    cotangent = torch.randn(len(vectors), 3, 3, generator=numbers(seed))
    found = student.gradient("rodrigues", (vectors,), wrt=0, cotangent=cotangent)
    agree(found, slope_of_rotations(vectors, cotangent), tolerance)


def generators_at_zero(student, number=1):
    for row, col in itertools.product(range(3), range(3)):
        cotangent = torch.zeros(number, 3, 3)
        cotangent[:, row, col] = 1
        found = student.gradient("rodrigues", (torch.zeros(number, 3),), wrt=0, cotangent=cotangent)
        agree(found, GENERATORS[:, row, col].expand(number, 3), 1e-4)


MIXED = draw_vectors(1, [1.0, 0.0, 2.5, 2e-4, 0.0, 0.3])
ANGLES = [0.05, 0.4, 1.1, math.pi / 2, 2.2, 3.0, math.pi, 4.0, 6.0, 2 * math.pi + 0.5]


@pytest.mark.task("rodrigues")
class TestRodrigues:
    @pytest.mark.weight(30)
    def test_rotations_of_all_angles_are_those_of_scipy_and_so_are_their_gradients_also_at_0(self, student):
        for vectors in (draw_vectors(2, ANGLES), MIXED, draw_vectors(3, [2e-2, 1e-3, 1e-4, 1e-6, 0.0])):
            agree(student.rodrigues(vectors), by_scipy(vectors), ROTATION_TOLERANCE)
        # Differences of the cosine from 1 cancel in float32: at an angle of 0.01 they are good to a share of 1e-3.
        slopes_agree(student, draw_vectors(4, ANGLES), 5, 1e-3)
        slopes_agree(student, MIXED, 6, 2e-3)
        generators_at_zero(student)

    @pytest.mark.weight(3)
    def test_a_quarter_turn_about_each_axis_takes_the_next_axis_to_the_one_after(self, student):
        found = student.rodrigues(torch.eye(3) * (math.pi / 2))
        expected = [
            [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
            [[0, 0, 1], [0, 1, 0], [-1, 0, 0]],
            [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
        ]
        agree(found, expected, ROTATION_TOLERANCE)

    @pytest.mark.weight(2)
    @pytest.mark.parametrize("angle", [0.1, 0.7, 1.4, 2.0, 3.0, 5.0])
    def test_moderate_and_large_angles_are_exact(self, student, angle):
        vectors = draw_vectors(7, [angle] * 3)
        agree(student.rodrigues(vectors), by_scipy(vectors), ROTATION_TOLERANCE)

    @pytest.mark.weight(2)
    def test_the_results_are_rotations(self, student):
        found = tensor(student.rodrigues(draw_vectors(8, ANGLES)), 10, 3, 3)
        agree(found @ found.mT, torch.eye(3).expand(10, 3, 3), 2 * ROTATION_TOLERANCE)
        agree(torch.linalg.det(found), torch.ones(10), 3 * ROTATION_TOLERANCE)

    @pytest.mark.weight(2)
    def test_the_axis_stays(self, student):
        vectors = draw_vectors(9, ANGLES)
        found = tensor(student.rodrigues(vectors), 10, 3, 3)
        agree((found @ vectors.double()[:, :, None])[:, :, 0], vectors, 8 * ROTATION_TOLERANCE)

    @pytest.mark.weight(2)
    def test_no_turn_is_the_identity(self, student):
        agree(student.rodrigues(torch.zeros(2, 3)), torch.eye(3).expand(2, 3, 3), 1e-6)

    @pytest.mark.weight(2)
    def test_very_small_turns_are_the_identity_and_their_generator(self, student):
        vectors = draw_vectors(10, [4e-3, 1e-3, 1e-4, 1e-5, 1e-7])
        agree(student.rodrigues(vectors), by_scipy(vectors), 1e-6)  # a series of first order is enough

    @pytest.mark.weight(4)
    def test_at_0_the_gradient_is_finite(self, student):
        for vectors in (torch.zeros(1, 3), MIXED):
            cotangent = torch.randn(len(vectors), 3, 3, generator=numbers(11))
            tensor(student.gradient("rodrigues", (vectors,), wrt=0, cotangent=cotangent), len(vectors), 3)

    @pytest.mark.weight(4)
    def test_at_0_the_gradients_are_the_three_generators(self, student):
        generators_at_zero(student)
        generators_at_zero(student, 3)

    @pytest.mark.weight(3)
    def test_away_from_0_the_gradient_is_that_of_the_matrix_exponential(self, student):
        slopes_agree(student, draw_vectors(12, [0.2, 0.9, 1.8, 2.9, 4.5]), 13, 1e-3)

    @pytest.mark.weight(2)
    def test_each_vector_is_turned_alone(self, student):
        for k in range(len(MIXED)):
            agree(student.rodrigues(MIXED[k : k + 1]), by_scipy(MIXED[k : k + 1]), ROTATION_TOLERANCE)

    def test_without_vectors_there_are_no_rotations(self, student):
        assert tuple(student.rodrigues(torch.zeros(0, 3)).shape) == (0, 3, 3)

    @both_dtypes
    def test_the_result_has_the_dtype_of_the_vectors(self, student, dtype):
        has_dtype(student.rodrigues(MIXED.to(dtype)), dtype)

    def test_the_vectors_that_were_passed_in_stay_as_they_were(self, student):
        agree(student.unchanged("rodrigues", MIXED.clone()), by_scipy(MIXED), ROTATION_TOLERANCE)


# ---------------------------------------------------------------- forward_kinematics


def draw_rotations(seed, number):
    return torch.tensor(Rotation.random(number, rng=seed).as_matrix()).float()


def draw_joints(seed, number):
    return torch.randint(-24, 25, (number, 3), generator=numbers(seed)) / 8


def reference_transforms(rotations, joints, parents):
    """Each joint on its own, from the root down to it."""
    rotations, joints = rotations.double().numpy(), joints.double().numpy()
    found = np.zeros((len(joints), 4, 4))
    for j in range(len(joints)):
        chain = [j]
        while parents[chain[0]] >= 0:
            chain.insert(0, parents[chain[0]])
        place, turn, before = joints[chain[0]], rotations[chain[0]], chain[0]
        for k in chain[1:]:
            place = place + turn @ (joints[k] - joints[before])
            turn, before = turn @ rotations[k], k
        found[j, :3, :3], found[j, :3, 3], found[j, 3, 3] = turn, place, 1
    return torch.tensor(found)


TREES = [[-1, 0, 1, 2, 3], [-1, 0, 0, 1, 2, 2, 1, 6, 4], [-1, 0, 0, 0], [-1]]


@pytest.mark.task("forward_kinematics")
class TestForwardKinematics:
    @pytest.mark.weight(30)
    @pytest.mark.parametrize("parents", TREES)
    def test_random_poses_of_chains_and_trees_have_the_transforms_composed_from_the_root_down(self, student, parents):
        for seed in (1, 2):
            rotations, joints = draw_rotations(seed, len(parents)), draw_joints(seed, len(parents))
            found = student.forward_kinematics(rotations, joints, parents)
            agree(found, reference_transforms(rotations, joints, parents))

    @pytest.mark.weight(3)
    def test_without_rotations_the_joints_stay_at_their_rest_positions(self, student):
        joints = draw_joints(3, 9)
        found = tensor(student.forward_kinematics(torch.eye(3).repeat(9, 1, 1), joints, TREES[1]), 9, 4, 4)
        agree(found[:, :3, 3], joints)
        agree(found[:, :3, :3], torch.eye(3).expand(9, 3, 3))

    @pytest.mark.weight(2)
    def test_the_root_stays_at_its_place_and_has_its_own_rotation(self, student):
        rotations, joints = draw_rotations(4, 5), draw_joints(4, 5)
        found = tensor(student.forward_kinematics(rotations, joints, TREES[0]), 5, 4, 4)
        agree(found[0, :3], torch.cat([rotations[0], joints[0, :, None]], dim=1))

    @pytest.mark.weight(2)
    def test_a_joint_moves_what_hangs_on_it_and_not_itself(self, student):
        joints, rotations = draw_joints(5, 5), torch.eye(3).repeat(5, 1, 1)
        rotations[2] = draw_rotations(5, 1)[0]
        found = tensor(student.forward_kinematics(rotations, joints, TREES[0]), 5, 4, 4)
        agree(found[:3, :3, 3], joints[:3])
        agree(found[3:, :3, 3], (joints[2] + (joints[3:] - joints[2]) @ rotations[2].T))

    @pytest.mark.weight(2)
    def test_the_lengths_of_bones_stay(self, student):
        parents = TREES[1]
        rotations, joints = draw_rotations(6, 9), draw_joints(6, 9)
        found = tensor(student.forward_kinematics(rotations, joints, parents), 9, 4, 4)[:, :3, 3]
        bones = [(found[j] - found[p]).norm() for j, p in enumerate(parents) if p >= 0]
        agree(torch.stack(bones), [float((joints[j] - joints[p]).norm()) for j, p in enumerate(parents) if p >= 0])
        assert float((found - joints).abs().max()) > 0.1

    @pytest.mark.weight(2)
    def test_rotations_multiply_along_the_chain(self, student):
        rotations, joints = draw_rotations(7, 5), draw_joints(7, 5)
        found = tensor(student.forward_kinematics(rotations, joints, TREES[0]), 5, 4, 4)
        agree(found[3, :3, :3], rotations[0] @ rotations[1] @ rotations[2] @ rotations[3])

    @pytest.mark.weight(2)
    def test_branches_hang_on_the_parent_that_is_named(self, student):
        rotations, joints, parents = draw_rotations(8, 6), draw_joints(8, 6), [-1, 0, 0, 1, 2, 0]
        found = student.forward_kinematics(rotations, joints, parents)
        agree(found, reference_transforms(rotations, joints, parents))

    @pytest.mark.weight(2)
    def test_a_body_elsewhere_in_the_world_moves_in_the_same_way(self, student):
        rotations, joints, shift = draw_rotations(9, 9), draw_joints(9, 9), torch.tensor([4.0, -8.0, 2.0])
        here = reference_transforms(rotations, joints, TREES[1])
        there = tensor(student.forward_kinematics(rotations, joints + shift, TREES[1]), 9, 4, 4)
        agree(there[:, :3, 3], here[:, :3, 3] + shift, 2 * TOLERANCE)

    @pytest.mark.weight(2)
    def test_the_last_row_is_0_0_0_1(self, student):
        found = student.forward_kinematics(draw_rotations(10, 4), draw_joints(10, 4), TREES[2])
        agree(tensor(found, 4, 4, 4)[:, 3], torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(4, 4), 0)

    @both_dtypes
    def test_the_result_has_the_dtype_of_the_joints(self, student, dtype):
        arguments = draw_rotations(11, 4).to(dtype), draw_joints(11, 4).to(dtype), TREES[2]
        has_dtype(student.forward_kinematics(*arguments), dtype)

    def test_the_arguments_that_were_passed_in_stay_as_they_were(self, student):
        rotations, joints = draw_rotations(12, 9), draw_joints(12, 9)
        found = student.unchanged("forward_kinematics", rotations, joints, list(TREES[1]))
        agree(found, reference_transforms(rotations, joints, TREES[1]))


# ---------------------------------------------------------------- blend_skinning


def draw_rig(seed, vertices, joints):
    """Vertices, weights, transforms of the joints somewhere in the world, and joints in rest."""
    generator = numbers(seed)
    transforms = torch.eye(4).repeat(joints, 1, 1)
    transforms[:, :3, :3] = draw_rotations(seed, joints)
    transforms[:, :3, 3] = draw_joints(seed + 1, joints)
    weights = torch.rand(vertices, joints, generator=generator) ** 3
    weights[torch.rand(vertices, joints, generator=generator) < 0.3] = 0
    weights[:, 0] += 0.0625
    places = 4 * torch.rand(vertices, 3, generator=generator) - 2
    return places, weights / weights.sum(dim=1, keepdim=True), transforms, draw_joints(seed + 2, joints)


def reference_skin(vertices, weights, transforms, joints):
    vertices, weights, transforms, joints = (part.double().numpy() for part in (vertices, weights, transforms, joints))
    found = np.zeros_like(vertices)
    for i, j in np.ndindex(weights.shape):
        found[i] += weights[i, j] * (transforms[j, :3, :3] @ (vertices[i] - joints[j]) + transforms[j, :3, 3])
    return torch.tensor(found)


@pytest.mark.task("blend_skinning")
class TestBlendSkinning:
    @pytest.mark.weight(30)
    @pytest.mark.parametrize(("seed", "vertices", "joints"), [(1, 7, 3), (2, 4, 6), (3, 30, 5), (4, 5, 1)])
    def test_random_rigs_are_posed_as_the_formula_says_vertex_by_vertex_and_joint_by_joint(
        self, student, seed, vertices, joints
    ):
        rig = draw_rig(seed, vertices, joints)
        agree(student.blend_skinning(*rig), reference_skin(*rig))

    @pytest.mark.weight(3)
    def test_a_body_in_rest_stays_as_it_is(self, student):
        vertices, weights, transforms, joints = draw_rig(5, 8, 4)
        transforms = torch.eye(4).repeat(4, 1, 1)
        transforms[:, :3, 3] = joints
        agree(student.blend_skinning(vertices, weights, transforms, joints), vertices)

    @pytest.mark.weight(2)
    def test_a_vertex_at_a_joint_that_owns_it_goes_where_the_joint_goes(self, student):
        _, _, transforms, joints = draw_rig(6, 4, 4)
        agree(student.blend_skinning(joints.clone(), torch.eye(4), transforms, joints), transforms[:, :3, 3])

    @pytest.mark.weight(2)
    def test_a_vertex_of_one_joint_moves_rigidly_with_it(self, student):
        vertices, _, transforms, joints = draw_rig(7, 6, 3)
        weights = torch.nn.functional.one_hot(torch.tensor([0, 1, 2, 2, 1, 0]), 3).float()
        found = student.blend_skinning(vertices, weights, transforms, joints)
        agree(found, reference_skin(vertices, weights, transforms, joints))

    @pytest.mark.weight(2)
    def test_a_vertex_of_two_joints_is_halfway_between_where_they_take_it(self, student):
        vertices, _, transforms, joints = draw_rig(8, 5, 2)
        alone = [reference_skin(vertices, torch.eye(2)[k].expand(5, 2), transforms, joints) for k in (0, 1)]
        found = student.blend_skinning(vertices, torch.full((5, 2), 0.5), transforms, joints)
        agree(found, (alone[0] + alone[1]) / 2)

    @pytest.mark.weight(2)
    def test_if_all_joints_are_moved_by_the_same_motion_so_is_the_body(self, student):
        vertices, weights, _, joints = draw_rig(9, 6, 4)
        R, t = draw_rotations(9, 1)[0], torch.tensor([1.0, -2.0, 3.0])
        transforms = torch.eye(4).repeat(4, 1, 1)
        transforms[:, :3, :3], transforms[:, :3, 3] = R, joints @ R.T + t
        agree(student.blend_skinning(vertices, weights, transforms, joints), vertices @ R.T + t, 2 * TOLERANCE)

    @pytest.mark.weight(2)
    def test_each_vertex_is_moved_alone(self, student):
        vertices, weights, transforms, joints = draw_rig(10, 3, 4)
        expected = reference_skin(vertices, weights, transforms, joints)
        for k in range(3):
            found = student.blend_skinning(vertices[k : k + 1], weights[k : k + 1], transforms, joints)
            agree(found, expected[k : k + 1])

    def test_without_vertices_there_are_none(self, student):
        vertices, weights, transforms, joints = draw_rig(11, 3, 4)
        assert tuple(student.blend_skinning(vertices[:0], weights[:0], transforms, joints).shape) == (0, 3)
        agree(
            student.blend_skinning(vertices, weights, transforms, joints),
            reference_skin(vertices, weights, transforms, joints),
        )

    @both_dtypes
    def test_the_result_has_the_dtype_of_the_vertices(self, student, dtype):
        has_dtype(student.blend_skinning(*(part.to(dtype) for part in draw_rig(12, 3, 4))), dtype)

    def test_the_arguments_that_were_passed_in_stay_as_they_were(self, student):
        rig = draw_rig(13, 5, 4)
        agree(student.unchanged("blend_skinning", *rig), reference_skin(*rig))


# ---------------------------------------------------------------- reprojection_loss


def draw_scene(seed, number=9, hidden=3):
    """Points in front of a camera, their pixels up to some pixels off, visible or not, K, R and t."""
    generator = numbers(seed)
    points = 2 * torch.rand(number, 3, generator=generator) - 1
    K = torch.tensor([[220.0, 0.0, 90.0], [0.0, 160.0, 70.0], [0.0, 0.0, 1.0]])
    R, t = draw_rotations(seed, 1)[0], torch.tensor([0.25, -0.5, 4.0])
    visible = torch.randperm(number, generator=generator) >= hidden
    observed = by_opencv(points, K, R, t).float() + 8 * torch.randn(number, 2, generator=generator)
    return points, observed, visible, K, R, t


def by_opencv(points, K, R, t):
    R, t, K = (part.double().numpy() for part in (R, t, K))
    pixels, _ = cv2.projectPoints(points.double().numpy(), cv2.Rodrigues(R)[0], t, K, None)
    return torch.tensor(pixels.reshape(-1, 2))


def reference_loss(points, observed, visible, K, R, t):
    seen = [k for k, is_visible in enumerate(visible.tolist()) if is_visible]
    off = by_opencv(points[seen], K, R, t) - observed[seen].double()
    return float((off**2).sum() / len(seen))


def reference_slopes(points, observed, visible, K, R, t):
    """Of points and t, in float64."""
    points, t = points.double().requires_grad_(), t.double().requires_grad_()
    total = 0
    for k in visible.nonzero()[:, 0].tolist():
        x, y, z = R.double() @ points[k] + t
        u, v = K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]
        total = total + (u - observed[k, 0]) ** 2 + (v - observed[k, 1]) ** 2
    (total / int(visible.sum())).backward()
    return points.grad, t.grad


def same_loss(found, expected):
    # Pixels below 2^9 are off by some 2^-13; distances of about 10 pixels, squared, by 20 times that, or 3e-5 of them.
    assert isinstance(found, torch.Tensor)
    assert abs(scalar(found) - expected) <= 5e-4 * abs(expected)


def same_slopes(student, scene, told=None):
    """Gradients with respect to points and t; `told` is the same scene with harmless hidden points."""
    found = student.gradient("reprojection_loss", scene, wrt=(0, 5))
    for one, other in zip(found, reference_slopes(*(told or scene)), strict=True):
        agree(one, other, 1e-3 * float(other.abs().max()))


def with_hidden_trouble(kind):
    """A scene whose hidden points make trouble, and the same without."""
    harmless = draw_scene(21, 8, 3)
    points, observed, visible, K, R, t = (part.clone() for part in harmless)
    if kind == "unknown pixels":
        observed[~visible] = math.nan
    elif kind == "infinite pixels":
        observed[~visible] = torch.tensor([math.inf, -math.inf])
    elif kind == "unknown points":
        points[~visible] = math.nan
    elif kind == "behind the camera":
        points[~visible] = (torch.tensor([0.5, 0.25, -3.0]) - t) @ R
    elif kind == "in the centre of the camera":
        R, t = torch.eye(3), torch.tensor([0.25, -0.5, 4.0])
        points[~visible] = -t
        harmless = (harmless[0], harmless[1], visible, K, R, t)
    return (points, observed, visible, K, R, t), harmless


TROUBLE = ["unknown pixels", "infinite pixels", "unknown points", "behind the camera", "in the centre of the camera"]


@pytest.mark.task("reprojection_loss")
class TestReprojectionLoss:
    @pytest.mark.weight(30)
    def test_random_scenes_have_the_loss_that_opencv_projects_and_its_gradient_whatever_is_hidden(self, student):
        for seed, number, hidden in ((1, 9, 3), (2, 5, 0), (3, 1, 0), (4, 12, 11), (5, 6, 2)):
            scene = draw_scene(seed, number, hidden)
            same_loss(student.reprojection_loss(*scene), reference_loss(*scene))
            same_slopes(student, scene)
        for kind in TROUBLE:
            scene, harmless = with_hidden_trouble(kind)
            same_loss(student.reprojection_loss(*scene), reference_loss(*harmless))
            same_slopes(student, scene, harmless)

    @pytest.mark.weight(2)
    def test_perfect_pixels_have_a_loss_of_0(self, student):
        points, _, visible, K, R, t = draw_scene(6)
        observed = by_opencv(points, K, R, t).float()
        assert abs(scalar(student.reprojection_loss(points, observed, visible, K, R, t))) < 1e-5
        same_loss(student.reprojection_loss(points, observed + 2, visible, K, R, t), 8.0)

    @pytest.mark.weight(2)
    def test_x_and_y_are_summed_and_the_mean_is_over_visible_points(self, student):
        points, _, _, K, R, t = draw_scene(7, 4)
        observed = by_opencv(points, K, R, t).float() + torch.tensor([[3.0, 4.0], [0.0, 1.0], [9.0, 9.0], [7.0, 0.0]])
        visible = torch.tensor([True, True, False, True])
        same_loss(student.reprojection_loss(points, observed, visible, K, R, t), 25.0)

    @pytest.mark.weight(2)
    def test_the_camera_is_turned_then_moved(self, student):
        points, observed, visible, K, _, _ = draw_scene(8)
        for R, t in (
            (draw_rotations(9, 1)[0], torch.tensor([0.0, 0.0, 5.0])),
            (torch.eye(3), torch.tensor([1.0, -0.5, 3.0])),
        ):
            scene = (points, observed, visible, K, R, t)
            same_loss(student.reprojection_loss(*scene), reference_loss(*scene))

    @pytest.mark.weight(2)
    def test_focal_lengths_and_the_principal_point_come_from_the_camera_matrix(self, student):
        points, observed, visible, _, R, t = draw_scene(10)
        for fx, fy, cx, cy in ((300.0, 100.0, 0.0, 0.0), (150.0, 150.0, 200.0, 20.0)):
            K = torch.tensor([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
            scene = (points, observed, visible, K, R, t)
            same_loss(student.reprojection_loss(*scene), reference_loss(*scene))

    @pytest.mark.weight(2)
    def test_hidden_points_do_not_count(self, student):
        points, observed, visible, K, R, t = draw_scene(11)
        expected = reference_loss(points, observed, visible, K, R, t)
        points[~visible] += 0.25
        observed[~visible] -= 50
        same_loss(student.reprojection_loss(points, observed, visible, K, R, t), expected)

    @pytest.mark.weight(3)
    @pytest.mark.parametrize("kind", TROUBLE)
    def test_hidden_points_never_make_the_loss_nan(self, student, kind):
        scene, harmless = with_hidden_trouble(kind)
        same_loss(student.reprojection_loss(*scene), reference_loss(*harmless))

    @pytest.mark.weight(4)
    @pytest.mark.parametrize("kind", TROUBLE)
    def test_hidden_points_never_make_the_gradient_nan(self, student, kind):
        scene, harmless = with_hidden_trouble(kind)
        same_slopes(student, scene, harmless)

    @pytest.mark.weight(3)
    def test_the_gradient_is_that_of_the_formula(self, student):
        same_slopes(student, draw_scene(12, 7, 2))

    @pytest.mark.weight(5)
    def test_if_nothing_is_visible_it_is_0(self, student):
        points, observed, visible, K, R, t = draw_scene(13)
        nothing = torch.zeros_like(visible)
        assert scalar(student.reprojection_loss(points, observed, nothing, K, R, t)) == 0
        assert scalar(student.reprojection_loss(points[:0], observed[:0], nothing[:0], K, R, t)) == 0
        assert scalar(student.reprojection_loss(points, observed, visible, K, R, t)) > 0

    def test_the_result_is_a_scalar(self, student):
        found = student.reprojection_loss(*draw_scene(14))
        assert isinstance(found, torch.Tensor) and tuple(found.shape) == () and found > 0

    def test_the_arguments_that_were_passed_in_stay_as_they_were(self, student):
        scene, harmless = with_hidden_trouble("unknown pixels")
        same_loss(student.unchanged("reprojection_loss", *scene), reference_loss(*harmless))
