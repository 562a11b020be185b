"""Hidden checks of 02_template_matching. The name of a test is the sentence that a student reads in the feedback."""

import numpy as np
import pytest
import torch
from scipy import signal
from skimage.feature import hog as skimage_hog
from skimage.feature._hog import _hog_channel_gradient
from torchvision import ops

HOG_ROUTINES = [
    "skimage.feature.hog",
    "skimage.feature._hog.hog",
    "skimage.feature._hoghistogram.hog_histograms",
    "cv2.HOGDescriptor",
]
CORRELATIONS = [
    *(f"scipy.signal.{name}" for name in ("correlate", "convolve", "fftconvolve", "oaconvolve")),
    *(f"scipy.signal.{name}" for name in ("correlate2d", "convolve2d", "sepfir2d")),
    *(f"scipy.ndimage.{name}" for name in ("correlate", "convolve")),
    *(f"torch.nn.functional.{name}" for name in ("conv1d", "conv2d", "conv3d", "unfold")),
    *("torch.conv2d", "torch.conv3d", "torch.nn.Conv2d", "torch.nn.Conv3d"),
    *("cv2.filter2D", "cv2.matchTemplate", "helpers.windows.response", "helpers.windows.scan"),
]
FORBIDDEN: dict[str, list[str]] = {
    "match_ssd": ["cv2.matchTemplate"],
    "match_ncc": [
        "cv2.matchTemplate",
        "skimage.feature.match_template",
        "skimage.feature.template.match_template",
    ],
    "best_match": ["cv2.minMaxLoc"],
    "gradients": ["skimage.feature._hog._hog_channel_gradient"],
    "hog": [*HOG_ROUTINES, "helpers.windows.features", "helpers.parts.blocks"],
    "window_scores": CORRELATIONS,
}

# Values lie in [0, 1] (NCC in [-1, 1]) and no sum has more than 2^8 terms. Added up one by one in float32, a sum is
# right to 2^8 * 2^-24 = 1.5e-5 of the sum of amounts at worst; NumPy adds pairwise, which is tenfold better. NCC and
# HOG divide by spreads of at least 0.05 of these values. A wrong answer is off by a percent or more.
TOLERANCE = 1e-4


def agree(found, expected, tolerance=TOLERANCE):
    """Same shape, and finite numbers that are equal up to rounding in float32."""
    found, expected = np.asarray(found), np.asarray(expected, dtype=float)
    assert found.shape == expected.shape
    assert found.dtype.kind in "fiu"
    assert np.isfinite(found).all()
    assert (np.abs(found - expected) <= tolerance * np.maximum(np.abs(expected), 1)).all()


def draw(seed, *shape):
    """Random pixels in steps of 1/64: sums, differences and squares of them are exact in floating point."""
    return np.random.default_rng(seed).integers(0, 65, shape) / 64


def smooth(height, width):
    """A smooth picture of full contrast that is nowhere twice the same."""
    y, x = np.mgrid[:height, :width]
    return 0.5 + 0.3 * np.sin(x * x / 90 + y / 5) * np.cos(y * y / 70 - x / 9) + 0.1 * np.sin((x + 2 * y) / 7)


def patches_of(image, template):
    return np.lib.stride_tricks.sliding_window_view(image, template.shape)


def ssd(image, template):
    return ((patches_of(image, template) - template) ** 2).sum(axis=(2, 3))


def ncc(image, template):
    """Correlation coefficient patch by patch."""
    patches = patches_of(image, template)
    found = np.zeros(patches.shape[:2])
    for y, x in np.ndindex(*found.shape):
        if patches[y, x].std() >= 1e-6 and template.std() >= 1e-6:
            found[y, x] = np.corrcoef(patches[y, x].ravel(), template.ravel())[0, 1]
    return found


PAIRS = [
    (draw(1, 9, 14), draw(2, 3, 4)),
    (draw(3, 13, 7), draw(4, 5, 2)),
    (draw(5, 6, 11), draw(6, 2, 7)),
    (draw(7, 12, 12), draw(8, 8, 5)),
]
IMAGE = draw(9, 10, 15)
TEMPLATE = IMAGE[4:7, 9:14].copy()  # row 4, column 9
UNFIT = {"high": (draw(10, 5, 9), draw(11, 6, 2)), "wide": (draw(12, 9, 5), draw(13, 2, 6))}
SHAPES = [((9, 14), (3, 4)), ((7, 5), (7, 2)), ((5, 8), (1, 8)), ((6, 4), (6, 4)), ((4, 9), (1, 1))]


def shapes_are_right(student, name):
    for number, (whole, part) in enumerate(SHAPES):
        found = np.shape(getattr(student, name)(draw(20 + number, *whole), draw(30 + number, *part)))
        assert found == (whole[0] - part[0] + 1, whole[1] - part[1] + 1)


def refuses_templates_that_do_not_fit(student, name):
    getattr(student, name)(*PAIRS[0])  # and only those
    for image, template in UNFIT.values():
        assert student.raises(ValueError, name, image, template)


@pytest.mark.task("match_ssd")
class TestMatchSsd:
    @pytest.mark.weight(20)
    @pytest.mark.parametrize(("image", "template"), PAIRS)
    def test_random_images_get_the_sum_over_each_patch(self, student, image, template):
        agree(student.match_ssd(image, template), ssd(image, template))

    @pytest.mark.weight(2)
    def test_row_and_column_are_those_of_the_top_left_corner(self, student):
        found = np.asarray(student.match_ssd(IMAGE, TEMPLATE))
        assert found.shape == (8, 11)
        assert np.unravel_index(found.argmin(), found.shape) == (4, 9)

    def test_a_copy_of_the_template_has_0_and_all_else_more(self, student):
        found = np.asarray(student.match_ssd(IMAGE, TEMPLATE)).ravel()
        found = np.sort(found)
        assert abs(found[0]) < 1e-5
        assert found[1] > 0.01

    def test_twice_the_contrast_is_four_times_the_sum(self, student):
        before = np.asarray(student.match_ssd(IMAGE, TEMPLATE))
        assert before.max() > 0.1
        agree(student.match_ssd(2 * IMAGE, 2 * TEMPLATE), 4 * before)

    def test_the_same_constant_on_image_and_template_changes_nothing(self, student):
        before = np.asarray(student.match_ssd(IMAGE, TEMPLATE))
        assert before.max() > 0.1
        agree(student.match_ssd(IMAGE + 0.5, TEMPLATE + 0.5), before)

    def test_a_template_of_one_pixel_gives_the_squared_difference_from_it(self, student):
        agree(student.match_ssd(IMAGE, np.array([[0.25]])), (IMAGE - 0.25) ** 2)

    def test_twice_as_many_equal_differences_give_twice_the_sum(self, student):
        image = np.full((4, 9), 0.75)
        found = [np.asarray(student.match_ssd(image, np.full((2, width), 0.25)))[0, 0] for width in (3, 6)]
        assert found[0] > 0.1
        assert abs(found[1] - 2 * found[0]) <= TOLERANCE

    def test_darker_and_brighter_pixels_count_alike(self, student):
        image = np.array([[0.5, 0.25, 0.75, 0.5, 0.5]])
        agree(student.match_ssd(image, np.array([[0.5, 0.5]])), [[0.0625, 0.125, 0.0625, 0]])

    @pytest.mark.weight(0.5)
    def test_there_is_one_value_for_each_place_where_the_template_lies_inside(self, student):
        shapes_are_right(student, "match_ssd")

    @pytest.mark.weight(0.5)
    def test_the_last_row_and_the_last_column_of_places_are_there(self, student):
        assert np.shape(student.match_ssd(draw(13, 7, 7), draw(14, 3, 3))) == (5, 5)

    @pytest.mark.weight(2)
    def test_a_template_that_is_larger_than_the_image_raises_a_value_error(self, student):
        student.match_ssd(*PAIRS[0])
        assert student.raises(ValueError, "match_ssd", draw(15, 4, 6), draw(16, 5, 8))

    @pytest.mark.weight(3)
    def test_a_template_that_is_only_too_high_or_only_too_wide_raises_a_value_error(self, student):
        refuses_templates_that_do_not_fit(student, "match_ssd")

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array_of_floats(self, student):
        found = student.match_ssd(*PAIRS[0])
        assert isinstance(found, np.ndarray)
        assert found.dtype.kind == "f"

    @pytest.mark.weight(1.5)
    def test_the_arrays_that_were_passed_in_stay_as_they_were(self, student):
        found = student.call("match_ssd", *PAIRS[0]).value
        assert np.shape(found) == (7, 11)
        student.unchanged("match_ssd", *PAIRS[0])


RESPONSES = [np.random.default_rng(seed).permutation(height * width).reshape(height, width) / 64 - 0.5
             for seed, height, width in ((41, 5, 8), (42, 9, 4), (43, 1, 6), (44, 7, 1))]  # fmt: skip


def place(found):
    """(x, y) of a student's answer, a pair in a tuple, list or array."""
    assert len(found) == 2
    return int(found[0]), int(found[1])


@pytest.mark.task("best_match")
class TestBestMatch:
    @pytest.mark.weight(10)
    @pytest.mark.parametrize("response", RESPONSES)
    def test_the_largest_value_is_found_in_maps_of_any_shape(self, student, response):
        y, x = np.argwhere(response == response.max())[0]
        assert place(student.best_match(response)) == (x, y)

    @pytest.mark.weight(26)
    @pytest.mark.parametrize("response", RESPONSES)
    def test_the_largest_and_the_smallest_value_of_the_same_map_are_both_found(self, student, response):
        for sign in (1, -1):
            values = sign * response - 0.25
            high, low = np.argwhere(values == values.max())[0], np.argwhere(values == values.min())[0]
            assert place(student.best_match(values)) == (high[1], high[0])
            assert place(student.best_match(values, minimize=True)) == (low[1], low[0])

    @pytest.mark.weight(9)
    @pytest.mark.parametrize("response", RESPONSES)
    def test_with_minimize_the_smallest_value_is_found(self, student, response):
        y, x = np.argwhere(response == response.min())[0]
        assert place(student.best_match(response, minimize=True)) == (x, y)

    @pytest.mark.weight(2)
    def test_the_column_comes_before_the_row(self, student):
        response = np.zeros((4, 7))
        response[1, 5] = 1
        assert place(student.best_match(response)) == (5, 1)

    def test_the_largest_of_a_square_map_is_found_on_its_diagonal(self, student):
        assert place(student.best_match(np.diag([1.0, 3.0, 7.0, 2.0]))) == (2, 2)

    def test_a_best_place_in_the_first_row_is_found(self, student):
        response = np.zeros((4, 7))
        response[0, 2] = 1
        assert place(student.best_match(response)) == (2, 0)

    @pytest.mark.weight(2)
    def test_a_large_negative_value_is_not_a_good_one(self, student):
        response = np.array([[0.25, -0.875, 0.5], [0.125, 0.75, -0.9375]])
        assert place(student.best_match(response)) == (1, 1)
        assert place(student.best_match(response, minimize=True)) == (2, 1)

    def test_of_equal_values_in_one_row_the_leftmost_is_taken(self, student):
        response = np.zeros((3, 6))
        response[1, [2, 4, 5]] = 1
        assert place(student.best_match(response)) == (2, 1)

    @pytest.mark.weight(6)
    def test_of_equal_values_the_first_in_row_major_order_is_taken(self, student):
        response = np.array([[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, -1.0], [1.0, -1.0, 0.0, 0.0]])
        assert place(student.best_match(response)) == (3, 0)
        assert place(student.best_match(response, minimize=True)) == (3, 1)

    @pytest.mark.weight(4)
    def test_the_numbers_are_python_ints(self, student):
        found = student.best_match(RESPONSES[0])
        assert len(found) == 2
        assert all(type(number) is int for number in found)

    @pytest.mark.weight(4)
    def test_an_empty_map_raises_a_value_error(self, student):
        place(student.best_match(RESPONSES[0]))
        assert student.raises(ValueError, "best_match", np.zeros((0, 3)))
        assert student.raises(ValueError, "best_match", np.zeros((4, 0)), minimize=True)


STANDARD = (TEMPLATE - TEMPLATE.mean()) / TEMPLATE.std()
FLAT_PART = draw(50, 8, 12)
FLAT_PART[2:7, 3:9] = 0.375


def faint(spread):
    """The template with this standard deviation, around 0: neither float32 nor a difference of squares cancels."""
    image = np.zeros((6, 9))
    image[2:5, 1:6] = spread * STANDARD
    return image


@pytest.mark.task("match_ncc")
class TestMatchNcc:
    @pytest.mark.weight(60)
    @pytest.mark.parametrize(("image", "template"), PAIRS)
    def test_random_images_get_the_correlation_coefficient_of_each_patch(self, student, image, template):
        agree(student.match_ncc(image, template), ncc(image, template))

    @pytest.mark.weight(2)
    def test_a_copy_of_the_template_has_1_at_its_row_and_column(self, student):
        found = np.asarray(student.match_ncc(IMAGE, TEMPLATE))
        assert found.shape == (8, 11)
        assert np.unravel_index(found.argmax(), found.shape) == (4, 9)
        assert abs(found[4, 9] - 1) <= TOLERANCE

    @pytest.mark.weight(2)
    def test_the_negative_of_the_template_has_minus_1(self, student):
        found = np.asarray(student.match_ncc(IMAGE, 1 - TEMPLATE))
        assert found.shape == (8, 11)
        assert abs(found[4, 9] + 1) <= TOLERANCE

    @pytest.mark.weight(0.5)
    def test_the_negative_of_the_template_is_not_taken_for_a_match(self, student):
        found = np.asarray(student.match_ncc(IMAGE, 1 - TEMPLATE))
        assert found.shape == (8, 11)
        assert found[4, 9] < 0.5

    @pytest.mark.weight(2)
    def test_an_offset_on_the_image_changes_nothing(self, student):
        before = np.asarray(student.match_ncc(IMAGE, TEMPLATE))
        assert np.ptp(before) > 0.01
        agree(student.match_ncc(IMAGE + 0.5, TEMPLATE), before)

    @pytest.mark.weight(2)
    def test_a_factor_on_the_image_changes_nothing(self, student):
        before = np.asarray(student.match_ncc(IMAGE, TEMPLATE))
        assert np.ptp(before) > 0.01
        agree(student.match_ncc(IMAGE / 4, TEMPLATE), before)

    @pytest.mark.weight(2)
    def test_brightness_and_contrast_of_the_template_change_nothing(self, student):
        before = np.asarray(student.match_ncc(IMAGE, TEMPLATE))
        assert np.ptp(before) > 0.01
        agree(student.match_ncc(IMAGE, TEMPLATE / 8 + 0.25), before)

    @pytest.mark.weight(2)
    def test_a_faint_copy_of_the_template_still_has_1(self, student):
        image = np.full((9, 13), 0.5)
        image[2:5, 6:11] += (TEMPLATE - 0.5) / 128  # a spread of about 0.002
        found = np.asarray(student.match_ncc(image, TEMPLATE))
        assert found.shape == (7, 9)
        assert abs(found[2, 6] - 1) <= 1e-3  # float32 keeps three digits here

    @pytest.mark.weight(26)
    def test_flat_patches_have_0(self, student):
        found = np.asarray(student.match_ncc(FLAT_PART, draw(51, 3, 4)))
        assert found.shape == (6, 9)
        agree(found[2:5, 3:6], np.zeros((3, 3)))
        assert np.nanmax(np.abs(found)) > 0.2

    def test_nothing_is_nan_or_infinite(self, student):
        found = np.asarray(student.match_ncc(FLAT_PART, draw(51, 3, 4)), dtype=float)
        assert np.isfinite(found).all()
        assert np.ptp(found) > 0.2
        assert np.isfinite(np.asarray(student.match_ncc(IMAGE, np.full((3, 4), 0.375)), dtype=float)).all()

    @pytest.mark.weight(1.5)
    def test_a_patch_counts_if_its_spread_is_above_the_limit(self, student):
        found = np.asarray(student.match_ncc(faint(4e-6), TEMPLATE))
        assert found.shape == (4, 5)
        assert abs(found[2, 1] - 1) <= 1e-3

    @pytest.mark.weight(1.5)
    def test_a_patch_has_0_if_its_spread_is_below_the_limit(self, student):
        found = np.asarray(student.match_ncc(faint(2.5e-7), TEMPLATE))
        assert found.shape == (4, 5)
        assert abs(found[2, 1]) <= 1e-3
        assert abs(np.asarray(student.match_ncc(IMAGE, TEMPLATE))[4, 9] - 1) <= TOLERANCE

    @pytest.mark.weight(1.5)
    def test_a_template_counts_if_its_spread_is_above_the_limit(self, student):
        found = np.asarray(student.match_ncc(IMAGE, 4e-6 * STANDARD))
        assert found.shape == (8, 11)
        assert abs(found[4, 9] - 1) <= 1e-3

    @pytest.mark.weight(1.5)
    def test_a_template_gives_0_if_its_spread_is_below_the_limit(self, student):
        assert abs(np.asarray(student.match_ncc(IMAGE, TEMPLATE))[4, 9] - 1) <= TOLERANCE
        agree(student.match_ncc(IMAGE, 2.5e-7 * STANDARD), np.zeros((8, 11)))

    @pytest.mark.weight(18)
    def test_a_flat_template_has_0_everywhere(self, student):
        assert np.abs(np.asarray(student.match_ncc(IMAGE, TEMPLATE))).max() > 0.9
        agree(student.match_ncc(IMAGE, np.full((3, 4), 0.375)), np.zeros((8, 12)))

    @pytest.mark.weight(2)
    def test_no_value_leaves_the_range_from_minus_1_to_1(self, student):
        stripes = np.tile([0.1, 0.7, 0.3], (6, 5))
        found = np.asarray(student.match_ncc(stripes, stripes[:3, :6]))
        assert found.shape == (4, 10)
        assert found.max() > 0.99
        assert found.min() < 0
        assert (np.abs(found) <= 1).all()
        # Of many exact copies rounding puts some beyond 1, unless the result is clipped.
        rng = np.random.default_rng(52)
        for _ in range(40):
            image = rng.uniform(0, 1, (7, 11))
            for sign in (1, -1):
                found = np.asarray(student.match_ncc(image, 0.5 + 0.3 * sign * image[2:5, 3:9]))
                assert (np.abs(found) <= 1).all()

    def test_it_is_not_flipped(self, student):
        image = np.zeros((4, 9))
        image[1, 3:6] = [0.25, 0.5, 1.0]
        found = np.asarray(student.match_ncc(image, np.array([[0.25, 0.5, 1.0]])))
        assert found.shape == (4, 7)
        assert abs(found[1, 3] - 1) <= TOLERANCE

    @pytest.mark.weight(0.5)
    def test_there_is_one_value_for_each_place_where_the_template_lies_inside(self, student):
        shapes_are_right(student, "match_ncc")

    @pytest.mark.weight(3)
    def test_a_template_that_is_too_high_or_too_wide_raises_a_value_error(self, student):
        refuses_templates_that_do_not_fit(student, "match_ncc")

    @pytest.mark.weight(2)
    def test_the_arrays_that_were_passed_in_stay_as_they_were(self, student):
        assert np.shape(student.match_ncc(*PAIRS[0])) == (7, 11)
        student.unchanged("match_ncc", *PAIRS[0])


def expected_matches(response, size, threshold, iou_threshold=0.3):
    rows, columns = np.nonzero(response >= threshold)
    boxes = np.stack([columns, rows, columns + size[1], rows + size[0]], axis=1).astype(float)
    scores = response[rows, columns]
    kept = ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), iou_threshold).numpy()
    return boxes[kept], scores[kept]


def draw_response(seed, height, width):
    """Distinct responses in [0, 1) that float32 holds exactly."""
    number = height * width
    return np.random.default_rng(seed).permutation(number).reshape(height, width) / 2.0 ** int(number).bit_length()


SEARCHES = [
    (draw_response(61, 9, 14), (3, 5), 0.25, 0.3),
    (draw_response(62, 12, 7), (4, 2), 0.5, 0.3),
    (draw_response(63, 10, 10), (2, 6), 0.125, 0.55),
    (draw_response(64, 6, 20), (5, 3), 0.375, 0.12),
]
LONELY = np.zeros((7, 12))
LONELY[1, 8] = 0.75
LONELY[5, 2] = 0.5


def matches(found):
    """Boxes and scores of a student's answer as arrays."""
    assert len(found) == 2
    boxes, scores = np.asarray(found[0], dtype=float), np.asarray(found[1], dtype=float)
    assert boxes.ndim == 2 and boxes.shape[1] == 4 and scores.shape == (len(boxes),)
    return boxes, scores


def as_set(boxes):
    return {tuple(box) for box in np.round(boxes, 3).tolist()}


@pytest.mark.task("find_all_matches")
class TestFindAllMatches:
    @pytest.mark.weight(44)
    @pytest.mark.parametrize(("response", "size", "threshold", "iou_threshold"), SEARCHES)
    def test_random_maps_give_the_boxes_that_torchvision_keeps(self, student, response, size, threshold, iou_threshold):
        boxes, scores = matches(student.find_all_matches(response, size, threshold, iou_threshold))
        expected = expected_matches(response, size, threshold, iou_threshold)
        agree(boxes, expected[0])
        agree(scores, expected[1])

    @pytest.mark.weight(3)
    def test_a_box_begins_at_the_place_of_its_response(self, student):
        boxes, scores = matches(student.find_all_matches(LONELY, (2, 3), 0.25))
        assert as_set(boxes[:, :2]) == {(8, 1), (2, 5)}

    @pytest.mark.weight(2)
    def test_a_box_is_as_high_and_wide_as_the_template(self, student):
        boxes, scores = matches(student.find_all_matches(LONELY, (2, 3), 0.25))
        assert len(boxes) == 2
        agree(boxes[:, 2:] - boxes[:, :2], [[3, 2], [3, 2]])

    def test_a_box_covers_as_many_pixels_as_the_template(self, student):
        boxes, scores = matches(student.find_all_matches(LONELY, (2, 3), 0.25))
        assert len(boxes) == 2
        agree((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), [6, 6])

    @pytest.mark.weight(2)
    def test_the_best_comes_first(self, student):
        response = np.zeros((3, 40))
        response[1, [2, 12, 22, 32]] = [0.5, 0.875, 0.25, 0.75]
        boxes, scores = matches(student.find_all_matches(response, (2, 3), 0.125))
        agree(scores, [0.875, 0.75, 0.5, 0.25])

    @pytest.mark.weight(3)
    def test_one_hill_gives_one_box_at_its_top(self, student):
        y, x = np.mgrid[:9, :13]
        hill = 1 - (np.abs(y - 4) + np.abs(x - 7)) / 16
        boxes, scores = matches(student.find_all_matches(hill, (12, 16), 0.75))
        agree(boxes, [[7, 4, 23, 16]])

    @pytest.mark.weight(4)
    def test_responses_and_threshold_may_be_negative(self, student):
        response = LONELY - 1  # as -SSD: -0.25 and -0.5, all else -1
        boxes, scores = matches(student.find_all_matches(response, (2, 3), -0.625))
        agree(boxes, [[8, 1, 11, 3], [2, 5, 5, 7]])
        agree(scores, [-0.25, -0.5])

    @pytest.mark.weight(2)
    def test_a_large_negative_response_is_no_match(self, student):
        response = LONELY.copy()
        response[3, 6] = -0.875
        boxes, _ = matches(student.find_all_matches(response, (2, 3), 0.25))
        agree(boxes, [[8, 1, 11, 3], [2, 5, 5, 7]])

    @pytest.mark.weight(2)
    def test_many_equal_responses_keep_their_order_row_by_row(self, student):
        response = np.random.default_rng(65).integers(2, 5, (15, 20)) / 8
        boxes, scores = matches(student.find_all_matches(response, (1, 1), 0.25))
        rows, columns = np.divmod(np.argsort(-response.ravel(), kind="stable"), 20)
        agree(boxes, np.stack([columns, rows, columns + 1, rows + 1], axis=1))

    @pytest.mark.weight(0.5)
    def test_of_equal_responses_in_one_row_the_leftmost_comes_first(self, student):
        response = np.zeros((3, 14))
        response[1, [2, 6, 10]] = 0.5
        boxes, _ = matches(student.find_all_matches(response, (2, 3), 0.25))
        agree(boxes[:, 0], [2, 6, 10])

    def test_boxes_and_scores_are_numpy_arrays_of_floats(self, student):
        for threshold, number in ((0.25, 2), (0.875, 0)):
            found = student.find_all_matches(LONELY, (2, 3), threshold)
            assert len(found) == 2
            for values, shape in zip(found, ((number, 4), (number,)), strict=True):
                assert isinstance(values, np.ndarray)
                assert values.shape == shape
                assert values.dtype.kind == "f"

    @pytest.mark.weight(4)
    def test_a_response_equal_to_the_threshold_counts(self, student):
        boxes, _ = matches(student.find_all_matches(LONELY, (2, 3), 0.5))
        assert len(boxes) == 2

    @pytest.mark.weight(2)
    def test_nothing_below_the_threshold_is_returned(self, student):
        boxes, scores = matches(student.find_all_matches(LONELY, (2, 3), 0.625))
        agree(boxes, [[8, 1, 11, 3]])

    @pytest.mark.weight(4)
    def test_an_overlap_equal_to_the_iou_threshold_does_not_suppress(self, student):
        response = np.array([[0.5, 0.0, 0.75, 0.0, 0.0, 0.0]])  # 6 wide, 2 apart: IoU 4 / 8
        boxes, _ = matches(student.find_all_matches(response, (1, 6), 0.25, 0.5))
        assert as_set(boxes[:, :1]) == {(0,), (2,)}
        boxes, _ = matches(student.find_all_matches(response, (1, 6), 0.25, 0.4375))
        assert as_set(boxes[:, :1]) == {(2,)}

    @pytest.mark.weight(2)
    def test_the_iou_threshold_is_three_tenths_if_not_given_and_can_be_changed(self, student):
        response = np.array([[0.75, 0.0, 0.5, 0.0, 0.0, 0.25]])  # 4 wide, 2 apart: IoU 2 / 6; 3 apart: 1 / 7
        assert len(matches(student.find_all_matches(response, (1, 4), 0.125))[0]) == 2
        assert len(matches(student.find_all_matches(response, (1, 4), 0.125, iou_threshold=0.5))[0]) == 3

    @pytest.mark.weight(2)
    def test_a_suppressed_candidate_suppresses_nothing(self, student):
        response = np.array([[0.875, 0.0, 0.0, 0.75, 0.0, 0.0, 0.5]])  # 10 wide, 3 apart: IoU 7 / 13; 6 apart: 4 / 16
        boxes, _ = matches(student.find_all_matches(response, (2, 10), 0.25, 0.5))
        assert as_set(boxes[:, :1]) == {(0,), (6,)}

    @pytest.mark.weight(2)
    def test_of_equal_responses_the_first_in_row_major_order_comes_first(self, student):
        response = np.zeros((3, 9))
        response[0, 6:8] = response[2, 0] = response[0, 2] = 0.5
        boxes, _ = matches(student.find_all_matches(response, (1, 2), 0.25))
        agree(boxes, [[2, 0, 4, 1], [6, 0, 8, 1], [0, 2, 2, 3]])

    @pytest.mark.weight(4)
    def test_without_a_match_there_are_no_rows_but_still_four_columns(self, student):
        boxes, scores = student.find_all_matches(LONELY, (2, 3), 0.875)
        assert np.shape(boxes) == (0, 4)
        assert np.shape(scores) == (0,)

    @pytest.mark.weight(0.5)
    def test_the_map_that_was_passed_in_stays_as_it_was(self, student):
        matches(student.find_all_matches(LONELY, (2, 3), 0.25))
        student.unchanged("find_all_matches", SEARCHES[0][0].copy(), (3, 5), 0.25)


PICTURE = smooth(40, 60)


def enlarged(image, factor):
    """Bilinear resize by a whole factor or its reciprocal, with pixel centres at half coordinates (as torch)."""
    size = [round(side * factor) for side in image.shape]
    return torch.nn.functional.interpolate(torch.from_numpy(image)[None, None], size, mode="bilinear")[0, 0].numpy()


def quadruple(found):
    assert len(found) == 4
    return [float(number) for number in found]


# Resizing differs between libraries (anti-aliasing, half pixels) by less than a pixel of the resized image, and on this
# smooth picture by less than 0.05 in NCC.
@pytest.mark.task("match_multi_scale")
class TestMatchMultiScale:
    @pytest.mark.weight(40)
    @pytest.mark.parametrize(("factor", "scale"), [(2, 0.5), (0.5, 2.0), (1.5, 2 / 3)])
    def test_place_scale_and_score_are_right_together(self, student, factor, scale):
        image, template = enlarged(PICTURE, factor) / 2 + 0.25, PICTURE[10:26, 32:50]
        x, y, found, score = quadruple(student.match_multi_scale(image, template, [0.9, scale, 1.25]))
        assert abs(found - scale) < 1e-9
        assert 0.95 < score <= 1
        assert abs(x - 32 * factor) <= 1.01 / scale
        assert abs(y - 10 * factor) <= 1.01 / scale

    @pytest.mark.weight(12)
    @pytest.mark.parametrize(("factor", "scale"), [(2, 0.5), (0.5, 2.0), (1.5, 2 / 3)])
    def test_the_scale_undoes_what_was_done_to_the_image(self, student, factor, scale):
        image, template = enlarged(PICTURE, factor), PICTURE[10:26, 32:50]
        x, y, found, score = quadruple(student.match_multi_scale(image, template, [1.0, 0.8, scale, 1.25]))
        assert abs(found - scale) < 1e-9
        assert score > 0.95

    @pytest.mark.weight(12)
    @pytest.mark.parametrize(("factor", "scale"), [(2, 0.5), (0.5, 2.0), (1.5, 2 / 3)])
    def test_the_place_is_given_in_pixels_of_the_original_image(self, student, factor, scale):
        image, template = enlarged(PICTURE, factor), PICTURE[10:26, 32:50]
        x, y, found, score = quadruple(student.match_multi_scale(image, template, [scale]))
        assert abs(x - 32 * factor) <= 1.01 / scale
        assert abs(y - 10 * factor) <= 1.01 / scale

    @pytest.mark.weight(0.5)
    def test_the_place_lies_inside_the_original_image(self, student):
        x, y, _, _ = quadruple(
            student.match_multi_scale(enlarged(PICTURE, 0.5), PICTURE[10:26, 20:38], [2.0])
        )  # 20 x 30
        assert 2 < x < 30
        assert 2 < y < 20

    @pytest.mark.weight(3)
    def test_at_scale_1_the_exact_place_is_found_with_score_1(self, student):
        agree(student.match_multi_scale(PICTURE, PICTURE[5:17, 21:30], [1.0]), [21, 5, 1, 1], 1e-3)

    @pytest.mark.weight(3)
    def test_the_best_scale_wins_wherever_it_stands_in_the_list(self, student):
        template = PICTURE[5:21, 21:39]
        for scales in ([1.0, 0.7, 1.4], [0.7, 1.0, 1.4], [1.4, 0.7, 1.0]):
            found = quadruple(student.match_multi_scale(PICTURE, template, scales))
            agree(found, [21, 5, 1, 1], 1e-3)

    def test_a_better_scale_that_comes_first_stays_the_best(self, student):
        agree(student.match_multi_scale(PICTURE, PICTURE[5:21, 21:39], [1.0, 0.7]), [21, 5, 1, 1], 1e-3)

    @pytest.mark.weight(2)
    def test_the_score_is_a_correlation_also_in_a_darker_image(self, student):
        agree(student.match_multi_scale(PICTURE / 4 + 0.5, PICTURE[5:17, 21:30], [0.8, 1.0]), [21, 5, 1, 1], 1e-3)

    @pytest.mark.weight(0.5)
    def test_a_high_template_fits_into_a_high_image(self, student):
        _, _, scale, score = quadruple(student.match_multi_scale(PICTURE.T, PICTURE.T[4:54, 10:20], [1.0]))  # 60 x 40
        assert scale == 1.0
        assert score > -1

    @pytest.mark.weight(2.5)
    def test_a_scale_at_which_the_template_is_only_too_wide_is_skipped(self, student):
        wide = PICTURE[5:9, 10:50]
        agree(student.match_multi_scale(PICTURE, wide, [0.5, 1.0]), [10, 5, 1, 1], 1e-3)  # 20 x 30 against 4 x 40
        assert student.raises(ValueError, "match_multi_scale", PICTURE, wide, [0.5])

    @pytest.mark.weight(2.5)
    def test_a_scale_at_which_the_template_is_only_too_high_is_skipped(self, student):
        high = PICTURE[4:36, 21:25]
        agree(student.match_multi_scale(PICTURE, high, [0.5, 1.0]), [21, 4, 1, 1], 1e-3)  # 20 x 30 against 32 x 4
        assert student.raises(ValueError, "match_multi_scale", PICTURE, high, [0.5])

    @pytest.mark.weight(2)
    def test_a_template_as_large_as_the_resized_image_still_fits(self, student):
        agree(student.match_multi_scale(PICTURE, PICTURE, [0.5, 1.0]), [0, 0, 1, 1], 1e-3)

    @pytest.mark.weight(2)
    def test_sides_of_the_resized_image_are_rounded_up_where_up_is_nearer(self, student):
        fits = quadruple(student.match_multi_scale(PICTURE[:15, :25], PICTURE[3:14, 2:20], [0.72]))  # 10.8 x 18
        agree(fits[:3], [0, 0, 0.72])

    @pytest.mark.weight(2)
    def test_sides_of_the_resized_image_are_rounded_down_where_down_is_nearer(self, student):
        image, template = PICTURE[:15, :25], PICTURE[3:14, 2:19]  # at 0.68: 10.2 x 17
        agree(quadruple(student.match_multi_scale(image, template, [1.0]))[2], 1.0)
        assert student.raises(ValueError, "match_multi_scale", image, template, [0.68])

    @pytest.mark.weight(2)
    def test_the_best_of_bad_matches_is_returned_with_its_negative_score(self, student):
        found = student.match_multi_scale(PICTURE, 1 - PICTURE, [1.0, 0.5])
        agree(found, [0, 0, 1, -1], 1e-3)

    @pytest.mark.weight(2)
    def test_a_place_is_returned_also_if_no_score_is_above_0(self, student):
        agree(student.match_multi_scale(PICTURE, np.full((3, 4), 0.5), [1.0, 0.5]), [0, 0, 1, 0], 1e-3)

    @pytest.mark.weight(4)
    def test_fractions_of_a_pixel_are_kept_in_the_place(self, student):
        image, template = enlarged(PICTURE, 1.5), PICTURE[10:26, 32:50]
        scale = 0.67
        x, y, _, _ = quadruple(student.match_multi_scale(image, template, [scale]))
        for value in (x, y):
            assert value > 5
            assert abs(value * scale - round(value * scale)) < 1e-4
            assert abs(value - round(value)) > 0.01

    def test_without_scales_there_is_a_value_error(self, student):
        agree(student.match_multi_scale(PICTURE, PICTURE[5:17, 21:30], [1.0]), [21, 5, 1, 1], 1e-3)
        assert student.raises(ValueError, "match_multi_scale", PICTURE, PICTURE[5:17, 21:30], [])

    @pytest.mark.weight(4)
    def test_of_equal_scales_the_first_is_returned(self, student):
        # Both scales round to the same size, so both see the same image: only the place tells which one was taken.
        x, y, scale, score = quadruple(student.match_multi_scale(PICTURE, PICTURE[5:17, 21:30], [1.0, 1.0 + 2**-9]))
        assert scale == 1.0
        assert abs(x - 21) < 1e-6 and abs(y - 5) < 1e-6
        assert score > 0.99

    @pytest.mark.weight(6)
    def test_scales_at_which_the_template_does_not_fit_are_skipped(self, student):
        for scales in ([0.25, 1.0], [1.0, 0.4, 0.01]):
            agree(student.match_multi_scale(PICTURE, PICTURE[5:29, 21:46], scales), [21, 5, 1, 1], 1e-3)

    @pytest.mark.weight(6)
    def test_a_template_that_fits_at_no_scale_raises_a_value_error(self, student):
        template = PICTURE[5:29, 21:46]
        agree(student.match_multi_scale(PICTURE, template, [1.0]), [21, 5, 1, 1], 1e-3)
        assert student.raises(ValueError, "match_multi_scale", PICTURE, template, [0.25, 0.4])

    @pytest.mark.weight(0.5)
    def test_the_arrays_that_were_passed_in_stay_as_they_were(self, student):
        quadruple(student.match_multi_scale(PICTURE, PICTURE[5:17, 21:30], [1.0]))
        student.unchanged("match_multi_scale", PICTURE.copy(), PICTURE[5:17, 21:30].copy(), [1.0, 0.5])


def expected_gradients(image):
    gy, gx = _hog_channel_gradient(image)
    return np.hypot(gx, gy), np.rad2deg(np.arctan2(gy, gx)) % 180


def pair(found, shape):
    """Magnitude and orientation of a student's answer; float32 rounds angles by less than 1e-4 degrees."""
    assert len(found) == 2
    magnitude, orientation = np.asarray(found[0], dtype=float), np.asarray(found[1], dtype=float)
    assert magnitude.shape == orientation.shape == shape
    return magnitude, orientation


def same_angles(found, expected):
    """Equal up to 0.01 degrees on the circle of 180."""
    turn = np.abs(np.asarray(found) - expected) % 180
    assert (np.minimum(turn, 180 - turn) <= 0.01).all()


FIELDS = [draw(71, 9, 14), draw(72, 12, 6), draw(73, 3, 3), draw(74, 5, 20)]
# Planes that rise by (x, y) per pixel, and the orientation of that gradient.
PLANES = {(1, 0): 0, (0, 1): 90, (1, 1): 45, (-1, 1): 135, (1, -1): 135, (-1, -1): 45, (-1, 0): 0, (0, -1): 90}


def plane(step_x, step_y):
    y, x = np.mgrid[:5, :8]
    return 0.5 + (step_x * x + step_y * y) / 32


@pytest.mark.task("gradients")
class TestGradients:
    @pytest.mark.weight(40)
    @pytest.mark.parametrize("image", FIELDS)
    def test_magnitude_and_orientation_of_random_images_are_right_together(self, student, image):
        magnitude, orientation = pair(student.gradients(1 - image), image.shape)
        expected = expected_gradients(1 - image)
        agree(magnitude, expected[0])
        same_angles(orientation[magnitude > 1e-4], expected[1][magnitude > 1e-4])
        assert ((orientation >= 0) & (orientation < 180)).all()

    @pytest.mark.weight(10)
    @pytest.mark.parametrize("image", FIELDS)
    def test_random_images_have_the_magnitude_of_central_differences(self, student, image):
        magnitude, _ = pair(student.gradients(image), image.shape)
        agree(magnitude, expected_gradients(image)[0])

    @pytest.mark.weight(12)
    @pytest.mark.parametrize("image", FIELDS)
    def test_random_images_have_the_orientation_of_central_differences(self, student, image):
        _, orientation = pair(student.gradients(image), image.shape)
        magnitude, expected = expected_gradients(image)
        same_angles(orientation[magnitude > 0], expected[magnitude > 0])
        assert ((orientation >= 0) & (orientation < 180)).all()

    @pytest.mark.weight(2)
    def test_the_differences_come_without_a_factor_of_one_half(self, student):
        magnitude, _ = pair(student.gradients(plane(3, 0)), (5, 8))
        agree(magnitude[:, 1:-1], np.full((5, 6), 6 / 32))

    @pytest.mark.weight(2)
    def test_the_magnitude_is_the_length_of_both_differences_together(self, student):
        magnitude, _ = pair(student.gradients(plane(3, 4)), (5, 8))
        agree(magnitude[1:-1, 1:-1], np.full((3, 6), 10 / 32))

    @pytest.mark.weight(2)
    def test_a_slope_along_x_has_0_and_one_along_y_90_degrees(self, student):
        for steps in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            _, orientation = pair(student.gradients(plane(*steps)), (5, 8))
            same_angles(orientation[1:-1, 1:-1], PLANES[steps])

    @pytest.mark.weight(2)
    def test_diagonal_slopes_have_45_and_135_degrees_with_y_pointing_down(self, student):
        for steps in ((1, 1), (-1, -1), (-1, 1), (1, -1)):
            _, orientation = pair(student.gradients(plane(*steps)), (5, 8))
            same_angles(orientation[1:-1, 1:-1], PLANES[steps])

    @pytest.mark.weight(2)
    def test_rising_and_falling_edges_have_the_same_orientation(self, student):
        image = FIELDS[0]
        one, other = (pair(student.gradients(i), image.shape) for i in (image, 1 - image))
        edge = one[0] > 0.1
        assert edge.sum() > 20
        assert (np.abs(one[1] - other[1])[edge] <= 0.01).mean() > 0.95  # those near 0 or 180 may wrap
        same_angles(one[1][edge], other[1][edge])
        assert np.ptp(one[1][edge]) > 90

    @pytest.mark.weight(2)
    def test_all_orientations_lie_between_0_and_180_degrees(self, student):
        for image in FIELDS:
            magnitude, orientation = pair(student.gradients(image), image.shape)
            assert (orientation >= 0).all()
            assert (orientation < 180).all()
            assert magnitude.max() > 0.1
            assert np.ptp(orientation[magnitude > 0]) > 90

    @pytest.mark.weight(3)
    def test_a_tiny_negative_angle_does_not_round_to_180_degrees(self, student):
        image = np.zeros((3, 5))
        image[0, 1:4] = 2.0**-70
        image[1, 2:] = [0.25, 0.5, 0.75]
        magnitude, orientation = pair(student.gradients(image), (3, 5))
        assert magnitude[1, 3] > 0.25
        assert (orientation < 180).all()

    @pytest.mark.weight(2)
    def test_gx_is_0_in_the_first_and_last_column_and_gy_in_the_first_and_last_row(self, student):
        magnitude, _ = pair(student.gradients(plane(3, 4)), (5, 8))
        agree(magnitude[1:-1, [0, -1]], np.full((3, 2), 8 / 32))
        agree(magnitude[[0, -1], 1:-1], np.full((2, 6), 6 / 32))
        agree(magnitude[[0, 0, -1, -1], [0, -1, 0, -1]], np.zeros(4))

    @pytest.mark.weight(0.5)
    def test_an_image_of_one_row_or_one_column_has_gradients_along_it_only(self, student):
        line = np.array([[0.0, 0.25, 0.75, 0.5]])
        for image, angle in ((line, 0), (line.T, 90)):
            magnitude, orientation = pair(student.gradients(image), image.shape)
            agree(magnitude.ravel(), [0, 0.75, 0.25, 0])
            same_angles(orientation.ravel()[1:3], angle)

    def test_the_border_does_not_see_the_other_side_of_the_image(self, student):
        image = np.zeros((5, 8))
        image[:, 4:] = 0.5
        magnitude, _ = pair(student.gradients(image), (5, 8))
        agree(magnitude[:, [0, 1, -2, -1]], np.zeros((5, 4)))
        assert magnitude[2, 3] > 0.2

    @pytest.mark.weight(0.5)
    def test_the_image_that_was_passed_in_stays_as_it_was(self, student):
        pair(student.gradients(FIELDS[0]), FIELDS[0].shape)
        student.unchanged("gradients", FIELDS[0].copy())


def expected_hog(image, cell, block, bins):
    return skimage_hog(image, bins, (cell, cell), (block, block), block_norm="L2", feature_vector=False)


# Steps of 1/64 make the differences exact; with 9, 7 and 5 bins no boundary but 0 is the angle of such a gradient, so
# that no pixel lies where rounding decides about its bin.
HOG_CASES = [
    (draw(81, 33, 44), 8, 2, 9),
    (draw(82, 20, 31), 5, 2, 7),
    (draw(83, 25, 18), 4, 3, 9),
    (draw(84, 13, 29), 6, 1, 5),
    (draw(85, 16, 16), 8, 2, 9),
]
SMOOTH = np.round(smooth(33, 50) * 4096) / 4096
STRONG_AT_THE_RIGHT = (
    np.where(np.arange(16) < 8, 0, 0.1) + np.arange(16)[:, None] * np.where(np.arange(16) < 8, 1, 3) / 64
)
STRONG_AT_THE_RIGHT[:, 7:9] = 0.125  # level edges, three times as strong at the right


@pytest.mark.task("hog")
class TestHog:
    @pytest.mark.weight(44)
    @pytest.mark.parametrize(("image", "cell", "block", "bins"), HOG_CASES)
    def test_random_images_get_what_scikit_image_computes(self, student, image, cell, block, bins):
        agree(student.hog(image, cell, block, bins), expected_hog(image, cell, block, bins))

    @pytest.mark.weight(3)
    def test_a_smooth_image_gets_what_scikit_image_computes_with_the_default_sizes(self, student):
        agree(student.hog(SMOOTH), expected_hog(SMOOTH, 8, 2, 9))

    @pytest.mark.weight(2)
    def test_a_factor_on_the_image_changes_nothing(self, student):
        before = np.asarray(student.hog(SMOOTH, 5))
        assert before.shape == (5, 9, 2, 2, 9)
        assert before.max() > 0.3
        agree(student.hog(SMOOTH / 4, 5), before, 1e-3)

    @pytest.mark.weight(2)
    def test_an_offset_on_the_image_changes_nothing(self, student):
        before = np.asarray(student.hog(SMOOTH, 5))
        assert before.shape == (5, 9, 2, 2, 9)
        assert before.max() > 0.3
        agree(student.hog(SMOOTH + 0.25, 5), before)

    @pytest.mark.weight(2)
    def test_every_block_with_gradients_has_length_1(self, student):
        found = np.asarray(student.hog(SMOOTH, 6, 3, 9), dtype=float)
        assert found.shape == (3, 6, 3, 3, 9)
        agree((found**2).sum(axis=(2, 3, 4)), np.ones((3, 6)))

    @pytest.mark.weight(2)
    def test_upright_edges_fill_bin_0_and_level_edges_the_middle_bin(self, student):
        ramp = np.tile(np.arange(24) / 32, (16, 1))
        found = np.asarray(student.hog(ramp, 4, 2, 9))
        assert found.shape == (3, 5, 2, 2, 9)
        agree(found[..., 1:], np.zeros((3, 5, 2, 2, 8)))
        assert (found[..., 0] > 0.2).all()
        found = np.asarray(student.hog(ramp.T, 4, 2, 9))
        assert (found[..., 4] > 0.2).all()

    @pytest.mark.weight(2)
    def test_an_orientation_belongs_to_the_bin_below_it(self, student):
        y, x = np.mgrid[:16, :24]
        for step_y, expected in ((0.3, 0), (0.5, 1), (1.0, 2), (3.0, 3)):  # 16.7, 26.6, 45.0 and 71.6 degrees
            image = (x + step_y * y) / 64
            found = np.asarray(student.hog(image, 4, 2, 9))[1, 1]  # away from the border
            assert found.shape == (2, 2, 9)
            assert (found.sum(axis=(0, 1)) > 0.1).nonzero()[0].tolist() == [expected]

    @pytest.mark.weight(0.5)
    def test_strong_edges_count_more_than_weak_ones(self, student):
        found = np.asarray(student.hog(STRONG_AT_THE_RIGHT, 8, 2, 9), dtype=float)[0, 0]
        assert found.shape == (2, 2, 9)
        assert found[0, 1, 4] > 1.5 * found[0, 0, 4] > 0

    @pytest.mark.weight(1.5)
    def test_an_edge_three_times_as_strong_counts_three_times(self, student):
        found = np.asarray(student.hog(STRONG_AT_THE_RIGHT, 8, 2, 9), dtype=float)[0, 0]
        assert found.shape == (2, 2, 9)
        assert abs(found[0, 1, 4] / found[0, 0, 4] - 3) < 0.2

    def test_a_cell_with_half_as_many_edge_pixels_holds_half_as_much(self, student):
        image = np.tile(np.arange(16)[:, None] / 32, (1, 16))  # level edges
        image[:, 12:] = 0.25  # flat, but for the edge at column 12
        image[:, 12] = np.arange(16) / 32
        found = np.asarray(student.hog(image, 8, 2, 9), dtype=float)[0, 0]
        assert found.shape == (2, 2, 9)
        assert abs(found[1, 1, 4] / found[1, 0, 4] - 5 / 8) < 0.15

    @pytest.mark.weight(2)
    def test_the_axes_are_block_row_block_column_cell_row_cell_column_and_bin(self, student):
        image = np.zeros((24, 40))
        image[10:14, 26:30] = 0.5  # its edges, and all gradients, lie in one cell: row 1, column 3
        found = np.asarray(student.hog(image, 8, 2, 9), dtype=float)
        assert found.shape == (2, 4, 2, 2, 9)
        for y, x, r, c in ((0, 2, 1, 1), (0, 3, 1, 0), (1, 2, 0, 1), (1, 3, 0, 0)):
            cells = found[y, x, :, :, 0]
            assert np.unravel_index(cells.argmax(), (2, 2)) == (r, c)

    @pytest.mark.weight(1.5)
    def test_gradients_are_those_of_the_whole_image_also_in_the_last_cells(self, student):
        image = SMOOTH[:19, :29]
        found, expected = np.asarray(student.hog(image, 8, 2, 9)), expected_hog(image, 8, 2, 9)
        assert found.shape == expected.shape
        agree(found[:, -1], expected[:, -1])

    @pytest.mark.weight(4)
    def test_a_faint_image_is_normalised_with_the_small_constant_in_the_root(self, student):
        image = draw(86, 20, 28) / 2**11  # gradients of about 1e-4: the constant counts, but hardly
        agree(student.hog(image, 5, 2, 9), expected_hog(image, 5, 2, 9), 1e-3)
        image = draw(87, 20, 28) / 2**16  # about 1e-5: as large as the constant
        agree(student.hog(image, 5, 2, 9), expected_hog(image, 5, 2, 9), 1e-3)

    @pytest.mark.weight(0.5)
    def test_the_small_constant_makes_the_faintest_blocks_shorter_than_1(self, student):
        image = draw(87, 20, 28) / 2**16
        lengths = [np.sqrt((np.asarray(found) ** 2).sum(axis=(2, 3, 4)))
                   for found in (student.hog(image, 5, 2, 9), expected_hog(image, 5, 2, 9))]  # fmt: skip
        assert lengths[0].shape == lengths[1].shape
        assert lengths[0].max() <= lengths[1].max() + 1e-3

    @pytest.mark.weight(0.5)
    def test_an_image_without_gradients_gives_0_and_not_nan(self, student):
        assert np.asarray(student.hog(SMOOTH)).max() > 0.3
        agree(student.hog(np.full((20, 33), 0.5)), np.zeros((1, 3, 2, 2, 9)))

    @pytest.mark.weight(4)
    def test_an_image_without_room_for_a_block_raises_a_value_error(self, student):
        assert np.shape(student.hog(SMOOTH)) == (3, 5, 2, 2, 9)
        assert student.raises(ValueError, "hog", draw(88, 15, 40))
        assert student.raises(ValueError, "hog", draw(89, 40, 15))
        assert student.raises(ValueError, "hog", draw(90, 11, 30), 4, 3, 9)

    @pytest.mark.weight(0.5)
    def test_the_image_that_was_passed_in_stays_as_it_was(self, student):
        assert np.shape(student.hog(SMOOTH)) == (3, 5, 2, 2, 9)
        student.unchanged("hog", SMOOTH.copy())


def signed(seed, *shape):
    return np.random.default_rng(seed).integers(-32, 33, shape) / 32


def expected_scores(features, weights, bias):
    return signal.correlate(features, weights, mode="valid")[:, :, 0] + bias


MAPS = [
    (signed(91, 7, 10, 5), signed(92, 3, 2, 5), 0.75),
    (signed(93, 9, 4, 1), signed(94, 2, 4, 1), -1.5),
    (signed(95, 5, 8, 12), signed(96, 5, 3, 12), 0.25),
    (signed(97, 6, 6, 3), signed(98, 1, 1, 3), -0.5),
]


@pytest.mark.task("window_scores")
class TestWindowScores:
    @pytest.mark.weight(28)
    @pytest.mark.parametrize(("features", "weights", "bias"), MAPS)
    def test_random_maps_get_the_scores_that_scipy_correlates(self, student, features, weights, bias):
        agree(student.window_scores(features, weights, bias), expected_scores(features, weights, bias))

    @pytest.mark.weight(2)
    def test_the_bias_is_added_once_to_every_score(self, student):
        features, weights, _ = MAPS[0]
        before = np.asarray(student.window_scores(features, weights, 0.0))
        assert before.shape == (5, 9)
        assert np.ptp(before) > 1
        agree(student.window_scores(features, weights, 2.5), before + 2.5)
        agree(student.window_scores(features, 0 * weights, -0.75), np.full((5, 9), -0.75))

    @pytest.mark.weight(2)
    def test_a_single_weight_picks_one_feature_of_one_place_in_the_window(self, student):
        features = signed(99, 6, 9, 4)
        weights = np.zeros((2, 3, 4))
        weights[1, 2, 3] = 1
        agree(student.window_scores(features, weights, 0.0), features[1:, 2:, 3])

    @pytest.mark.weight(2)
    def test_the_weights_are_not_flipped(self, student):
        features = np.zeros((4, 7, 1))
        features[1, 2:5, 0] = [1, 2, 4]
        found = np.asarray(student.window_scores(features, np.array([[[1.0], [2.0], [4.0]]]), 0.0))
        assert found.shape == (4, 5)
        assert abs(found[1, 2] - 21) <= 1e-3

    @pytest.mark.weight(2)
    def test_every_feature_counts(self, student):
        features, weights, bias = MAPS[2]
        alone = [np.asarray(student.window_scores(features[..., [d]], weights[..., [d]], 0.0)) for d in range(12)]
        assert np.shape(alone) == (12, 1, 6)
        assert np.abs(alone).max() > 0.5
        agree(student.window_scores(features, weights, 0.0), np.sum(alone, axis=0))

    @pytest.mark.weight(2)
    def test_scores_may_be_negative(self, student):
        found = np.asarray(student.window_scores(*MAPS[0]))
        assert found.shape == (5, 9)
        assert found.min() < -0.5 < 0.5 < found.max()
        agree(student.window_scores(-MAPS[0][0], MAPS[0][1], -0.75), -found)

    @pytest.mark.weight(0.5)
    def test_there_is_one_score_for_each_window(self, student):
        for features, weights, bias in MAPS:
            expected = (features.shape[0] - weights.shape[0] + 1, features.shape[1] - weights.shape[1] + 1)
            assert np.shape(student.window_scores(features, weights, bias)) == expected

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_map_of_two_dimensions(self, student):
        found = np.asarray(student.window_scores(*MAPS[0]))
        assert found.ndim == 2
        assert np.ptp(found) > 0.5

    @pytest.mark.weight(0.5)
    def test_weights_as_large_as_the_map_give_a_single_score(self, student):
        found = np.asarray(student.window_scores(MAPS[0][0], signed(102, 7, 10, 5), 0.0))
        assert found.size == 1
        assert abs(found.ravel()[0] - (MAPS[0][0] * signed(102, 7, 10, 5)).sum()) < 1e-2

    @pytest.mark.weight(3)
    def test_weights_that_are_too_high_or_too_wide_raise_a_value_error(self, student):
        assert np.shape(student.window_scores(*MAPS[0])) == (5, 9)
        for shape in ((8, 2, 5), (3, 11, 5)):
            assert student.raises(ValueError, "window_scores", MAPS[0][0], signed(100, *shape), 0.0)

    @pytest.mark.weight(3)
    def test_weights_with_another_number_of_features_raise_a_value_error(self, student):
        assert np.shape(student.window_scores(*MAPS[0])) == (5, 9)
        for depth in (4, 6):
            assert student.raises(ValueError, "window_scores", MAPS[0][0], signed(101, 3, 2, depth), 0.0)

    @pytest.mark.weight(0.5)
    def test_the_arrays_that_were_passed_in_stay_as_they_were(self, student):
        assert np.shape(student.window_scores(*MAPS[0])) == (5, 9)
        student.unchanged("window_scores", *MAPS[0])


def best_placements(root, parts):
    """The definition, place by place."""
    total = root.astype(float)
    for response, (dx, dy), (a, b, c, d) in parts:
        rows, columns = np.mgrid[: response.shape[0], : response.shape[1]]
        for y, x in np.ndindex(*root.shape):
            u, v = columns - x - dx, rows - y - dy
            value = response - (a * u + b * v + c * u**2 + d * v**2)
            total[y, x] += value.max(initial=-np.inf)
    return total


def star(seed, shape, *parts):
    """A root of the given shape and parts of (shape, anchor, deformation), with random responses."""
    return signed(seed, *shape), [
        (4 * signed(seed + 1 + k, *size), anchor, deformation) for k, (size, anchor, deformation) in enumerate(parts)
    ]


STARS = [
    star(110, (5, 7), ((5, 7), (1, -1), (0.0, 0.0, 0.25, 0.5))),
    star(120, (4, 6), ((6, 9), (2, 1), (0.125, -0.25, 0.0625, 0.25)), ((3, 5), (-1, 2), (0.0, 0.5, 0.5, 0.125))),
    star(130, (3, 8), ((2, 4), (-3, 0), (-0.5, 0.25, 0.25, 0.0)), ((5, 3), (4, -2), (0.25, 0.0, 0.0, 0.125))),
    star(140, (6, 2), ((4, 8), (3, 2), (0.0, 0.0, 0.0, 0.0))),
]
PEAK = np.zeros((5, 9))
PEAK[3, 6] = 4.0  # row 3, column 6
FLAT = np.zeros((5, 9))
STIFF, FREE = (0.0, 0.0, 64.0, 64.0), (0.0, 0.0, 0.0, 0.0)


def scores_with_an_empty_part(student):
    """The scores with one part whose response has no rows, or no columns, of a function that is right otherwise."""
    root = STARS[0][0]
    agree(student.deformable_score(*STARS[0]), best_placements(*STARS[0]))
    found = [np.asarray(student.deformable_score(root, [(np.zeros(size), (0, 0), STIFF)])) for size in ((0, 4), (3, 0))]
    assert all(scores.shape == root.shape for scores in found)
    return found


@pytest.mark.task("deformable_score")
class TestDeformableScore:
    @pytest.mark.weight(44)
    @pytest.mark.parametrize(("root", "parts"), STARS)
    def test_random_models_get_the_best_placement_of_every_part(self, student, root, parts):
        agree(student.deformable_score(root, parts), best_placements(root, parts))

    @pytest.mark.weight(1)
    def test_without_parts_the_score_is_that_of_the_root(self, student):
        found = student.deformable_score(STARS[0][0], [])
        agree(found, STARS[0][0])
        agree(student.deformable_score(FLAT, [(PEAK, (0, 0), FREE)]), FLAT + 4)

    @pytest.mark.weight(2)
    def test_the_root_counts_besides_the_parts(self, student):
        root, parts = STARS[1]
        before = np.asarray(student.deformable_score(np.zeros(root.shape), parts))
        assert before.shape == root.shape
        assert np.ptp(before) > 0.1
        agree(student.deformable_score(root, parts), before + root)

    @pytest.mark.weight(3)
    def test_a_stiff_part_is_read_at_its_anchor(self, student):
        found = np.asarray(student.deformable_score(FLAT, [(PEAK, (2, 1), STIFF)]))
        assert found.shape == FLAT.shape
        assert np.unravel_index(found.argmax(), found.shape) == (2, 4)
        assert abs(found[2, 4] - 4) <= TOLERANCE

    def test_another_anchor_gives_other_scores(self, student):
        one, other = (np.asarray(student.deformable_score(FLAT, [(PEAK, (dx, 1), STIFF)])) for dx in (1, 3))
        assert one.shape == other.shape == FLAT.shape
        assert np.abs(one - other).max() > 1

    def test_an_anchor_as_far_to_the_right_as_down_is_found(self, student):
        found = np.asarray(student.deformable_score(FLAT, [(PEAK, (2, 2), STIFF)]))
        assert found.shape == FLAT.shape
        assert np.unravel_index(found.argmax(), found.shape) == (1, 4)

    @pytest.mark.weight(3)
    def test_a_part_that_moves_pays_for_its_shift_squared(self, student):
        found = np.asarray(student.deformable_score(FLAT, [(PEAK, (0, 0), (0.0, 0.0, 0.25, 0.5))]))
        assert found.shape == FLAT.shape
        agree(found[3, 2:], [0, 4 - 2.25, 4 - 1, 4 - 0.25, 4, 4 - 0.25, 4 - 1])
        agree(found[1:, 6], [4 - 2, 4 - 0.5, 4, 4 - 0.5])

    @pytest.mark.weight(2)
    def test_a_part_whose_moves_are_free_takes_its_best_place_from_everywhere(self, student):
        response = 4 * signed(150, 3, 12)
        agree(student.deformable_score(FLAT, [(response, (1, 0), FREE)]), FLAT + response.max())

    @pytest.mark.weight(2)
    def test_a_part_may_move_far(self, student):
        response = np.zeros((2, 30))
        response[1, 29] = 16
        found = np.asarray(student.deformable_score(np.zeros((2, 3)), [(response, (0, 0), (0.0, 0.0, 2.0**-8, 0.0))]))
        agree(found, 16 - (29 - np.tile(np.arange(3), (2, 1))) ** 2 / 2**8)

    def test_the_linear_cost_changes_the_score(self, student):
        one, other = (
            np.asarray(student.deformable_score(FLAT, [(PEAK, (0, 0), (a, 0.0, 0.25, 0.25))])) for a in (0.0, 0.5)
        )
        assert one.shape == other.shape == FLAT.shape
        assert np.abs(one - other).max() > 0.1

    def test_a_linear_cost_of_moving_right_and_down_is_paid(self, student):
        found = np.asarray(student.deformable_score(FLAT, [(PEAK, (0, 0), (0.5, 0.25, 64.0, 0.25))]))
        assert found.shape == FLAT.shape
        agree(found[1:4, 6], [4 - 0.5 - 1, 4 - 0.25 - 0.25, 4])

    @pytest.mark.weight(2)
    def test_the_linear_cost_has_the_sign_of_the_shift(self, student):
        response = np.zeros((1, 9))
        response[0, 4] = 4
        root = np.zeros((1, 9))
        found = np.asarray(student.deformable_score(root, [(response, (0, 0), (0.5, 0.0, 0.5, 0.0))]))
        assert found.shape == (1, 9)
        agree(found[0, 2:7], [4 - 3, 4 - 1, 4, 4, 4 - 1])

    @pytest.mark.weight(2)
    def test_costs_along_x_and_along_y_are_kept_apart(self, student):
        across = np.asarray(student.deformable_score(FLAT, [(PEAK, (0, 0), (0.0, 0.0, 0.0, 64.0))]))
        agree(across, np.where(np.arange(5)[:, None] == 3, 4.0, 0) + FLAT)
        down = np.asarray(student.deformable_score(FLAT, [(PEAK, (0, 0), (0.0, 0.0, 64.0, 0.0))]))
        agree(down, np.where(np.arange(9)[None] == 6, 4.0, 0) + FLAT)

    def test_costs_of_which_b_and_c_are_equal_are_subtracted(self, student):
        parts = [(STARS[1][0], (1, 0), (0.0, 0.125, 0.125, 0.25))]
        agree(student.deformable_score(np.zeros((4, 6)), parts), best_placements(np.zeros((4, 6)), parts))

    @pytest.mark.weight(2)
    def test_the_parts_add_up_and_do_not_see_each_other(self, student):
        root, parts = STARS[1]
        alone = [np.asarray(student.deformable_score(root, [part])) for part in parts]
        assert all(values.shape == root.shape and np.abs(values - root).max() > 0.1 for values in alone)
        agree(student.deformable_score(root, parts), alone[0] + alone[1] - root)
        agree(student.deformable_score(root, parts[::-1]), alone[0] + alone[1] - root)

    @pytest.mark.weight(6)
    def test_a_response_may_be_larger_or_smaller_than_the_root(self, student):
        for number, shape in enumerate(((9, 12), (2, 3), (1, 1), (7, 2))):
            root, parts = star(160 + 10 * number, (4, 6), (shape, (1, 0), (0.0, 0.0, 0.125, 0.25)))
            agree(student.deformable_score(root, parts), best_placements(root, parts))

    @pytest.mark.weight(8)
    def test_a_part_whose_anchor_lies_outside_its_response_has_to_move_and_pays(self, student):
        for anchor in ((-4, 0), (0, -3), (12, 2), (3, 9)):
            parts = [(PEAK, anchor, (0.0, 0.0, 0.25, 0.125))]
            expected = best_placements(FLAT, parts)
            assert expected.min() < -0.2
            agree(student.deformable_score(FLAT, parts), expected)

    @pytest.mark.weight(4)
    def test_a_part_with_an_empty_response_gives_minus_infinity(self, student):
        assert all(np.isneginf(found).all() for found in scores_with_an_empty_part(student))

    @pytest.mark.weight(0.5)
    def test_a_part_that_can_be_nowhere_rules_the_root_out(self, student):
        assert all((found < -1e3).all() for found in scores_with_an_empty_part(student))

    @pytest.mark.weight(3)
    def test_the_arrays_that_were_passed_in_stay_as_they_were(self, student):
        root, parts = STARS[1]
        call = student.call("deformable_score", root.copy(), parts)
        assert np.shape(call.value) == root.shape
        assert np.array_equal(call.arguments[0], root)
        for before, after in zip(parts, call.arguments[1], strict=True):
            assert np.array_equal(before[0], after[0])
