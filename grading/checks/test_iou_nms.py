"""Hidden checks of 01_iou_nms. The name of a test is the sentence that a student reads in the feedback."""

import contextlib
import copy
import io

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchvision import ops

CONVERSIONS = [
    "torchvision.ops.box_convert",
    "torchvision.ops.boxes.box_convert",
    "torchvision.ops._box_convert",
    "torchvision.transforms.v2.functional.convert_bounding_box_format",
    "torchvision.transforms.v2.ConvertBoundingBoxFormat",
]
SUPPRESSIONS = [
    "torchvision.ops.nms",
    "torchvision.ops.boxes.nms",
    "torchvision.ops.batched_nms",
    "torchvision.ops.boxes.batched_nms",
    "torchvision.ops.boxes._batched_nms_vanilla",
    "torchvision.ops.boxes._batched_nms_coordinate_trick",
    "torch.ops.torchvision.nms",
    "cv2.dnn.NMSBoxes",
    "cv2.dnn.NMSBoxesBatched",
    "cv2.dnn.NMSBoxesRotated",
]
MASK_OVERLAPS = ["pycocotools.mask.iou", "pycocotools._mask.iou"]
EVALUATIONS = ["pycocotools.cocoeval.COCOeval"]
FORBIDDEN: dict[str, list[str]] = {
    "xywh_to_xyxy": CONVERSIONS,
    "xyxy_to_xywh": CONVERSIONS,
    "box_area": ["torchvision.ops.box_area", "torchvision.ops.boxes.box_area"],
    "box_iou": [
        "torchvision.ops.box_iou",
        "torchvision.ops.boxes.box_iou",
        "torchvision.ops.boxes._box_inter_union",
        *MASK_OVERLAPS,
    ],
    "mask_iou": MASK_OVERLAPS,
    "nms": SUPPRESSIONS,
    "batched_nms": SUPPRESSIONS,
    "match_detections": EVALUATIONS,
    "precision_recall": ["sklearn.metrics.precision_recall_curve", *EVALUATIONS],
    "average_precision": ["sklearn.metrics.average_precision_score", *EVALUATIONS],
    "coco_map": EVALUATIONS,
}

# float32 rounds by at most 2^-24 of a value. Where results are compared, coordinates are quarters of a pixel below 2^9,
# so that float32 holds them and the areas exactly; no result then takes as many as 64 roundings.
TOLERANCE = 64 * 2.0**-24


def agree(found, expected):
    """Same shape, and numbers that are equal up to rounding in float32."""
    found, expected = np.asarray(found), np.asarray(expected, dtype=float)
    assert found.shape == expected.shape
    assert found.dtype.kind in "fiu"
    assert (np.abs(found - expected) <= TOLERANCE * np.maximum(np.abs(expected), 1)).all()


def indices(found):
    """A student's indices as an array; a list of them is judged by one check of its own."""
    found = np.asarray(found, dtype=int if isinstance(found, list) and not found else None)
    assert found.dtype.kind in "fiu"
    return found


def same(found, expected):
    """The same indices in the same order."""
    found = indices(found)
    assert found.shape == np.shape(expected)
    assert (found == expected).all()


def same_set(found, expected):
    """The same indices in any order."""
    same(np.sort(indices(found)), np.sort(expected))


def shaped(found, *shape):
    """The shape of a result that may be empty; nested lists know it only up to the first empty dimension."""
    known = shape[: shape.index(0) + 1] if isinstance(found, list) and 0 in shape else shape
    assert np.shape(found) == known


def integer_array(value):
    assert isinstance(value, np.ndarray)
    assert value.dtype.kind in "iu"
    assert value.ndim == 1


def draw_boxes(seed, number, width=96, height=64):
    """(number, 4) corner boxes in a width x height picture: quarters of a pixel, at most a quarter of its size."""
    rng = np.random.default_rng(seed)
    sides = rng.integers(8, [width, height], (number, 2), endpoint=True)
    near = rng.integers(0, [3 * width, 3 * height], (number, 2), endpoint=True)
    return np.hstack([near, near + sides]) / 4


def draw_scores(seed, number):
    """Distinct scores in (0, 1) that float32 holds exactly."""
    return np.random.default_rng(seed).permutation(np.arange(1, number + 1)) / 2.0 ** int(number).bit_length()


def clear_of(values, thresholds):
    """No value is so close to a threshold that rounding could decide; exact equality has checks of its own."""
    assert (np.abs(np.asarray(values)[..., None] - thresholds) > 1e-4).all()


def torch_iou(boxes1, boxes2):
    return ops.box_iou(torch.from_numpy(boxes1), torch.from_numpy(boxes2)).numpy()


def torch_convert(boxes, source, target):
    return ops.box_convert(torch.from_numpy(boxes), source, target).numpy()


def torch_nms(boxes, scores, iou_threshold):
    return ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), iou_threshold).numpy()


DRAWN = [draw_boxes(seed, number) for seed, number in ((1, 4), (2, 9), (3, 30))]
# Whole numbers; of two boxes the wider one is also the higher one.
NEAR = np.array([[12.0, 3.0], [7.0, 40.0], [0.0, 1.0], [30.0, 6.0], [16.0, 5.0], [2.0, 9.0], [50.0, 20.0], [8.0, 2.0]])
SIDES = np.array(
    [[8.0, 5.0], [29.0, 31.0], [2.0, 3.0], [17.0, 13.0], [40.0, 47.0], [23.0, 30.0], [5.0, 4.0], [35.0, 33.0]]
)
SIZES = np.hstack([NEAR, SIDES])
CORNERS = np.hstack([NEAR, NEAR + SIDES])


@pytest.mark.task("xywh_to_xyxy")
class TestXywhToXyxy:
    @pytest.mark.weight(7)
    @pytest.mark.parametrize("corners", DRAWN)
    def test_random_boxes_get_the_corners_that_torchvision_gives_them(self, student, corners):
        boxes = torch_convert(corners, "xyxy", "xywh")
        agree(student.xywh_to_xyxy(boxes), torch_convert(boxes, "xywh", "xyxy"))

    def test_the_near_corner_is_x_and_y_as_they_were(self, student):
        agree(np.asarray(student.xywh_to_xyxy(SIZES))[:, :2], SIZES[:, :2])

    def test_the_right_edge_is_one_width_to_the_right_of_the_left_edge(self, student):
        agree(np.asarray(student.xywh_to_xyxy(SIZES))[:, 2], CORNERS[:, 2])

    def test_the_lower_edge_is_one_height_below_the_upper_edge(self, student):
        agree(np.asarray(student.xywh_to_xyxy(SIZES))[:, 3], CORNERS[:, 3])

    def test_a_box_without_width_and_height_ends_where_it_begins(self, student):
        agree(student.xywh_to_xyxy(np.array([[9.0, 9.0, 0.0, 0.0], [6.0, 6.0, 0.0, 0.0]])), [[9] * 4, [6] * 4])

    def test_a_box_that_is_moved_has_both_corners_moved(self, student):
        before = np.asarray(student.xywh_to_xyxy(SIZES))
        agree(student.xywh_to_xyxy(SIZES + [3, 8, 0, 0]), before + [3, 8, 3, 8])

    def test_fractions_of_a_pixel_are_kept(self, student):
        before = np.asarray(student.xywh_to_xyxy(SIZES))
        agree(student.xywh_to_xyxy(SIZES + [0.25, 0.25, 0, 0]), before + 0.25)

    def test_boxes_may_begin_left_of_and_above_the_image(self, student):
        before = np.asarray(student.xywh_to_xyxy(SIZES))
        agree(student.xywh_to_xyxy(SIZES - [100, 100, 0, 0]), before - 100)

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize("number", [1, 2, 7])
    def test_every_box_has_one_row_of_four_numbers_also_a_single_box(self, student, number):
        assert np.shape(student.xywh_to_xyxy(draw_boxes(4, number))) == (number, 4)

    @pytest.mark.weight(0.5)
    def test_no_boxes_give_no_rows_but_still_four_columns(self, student):
        shaped(student.xywh_to_xyxy(np.zeros((0, 4))), 0, 4)

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array(self, student):
        assert isinstance(student.xywh_to_xyxy(SIZES[:4]), np.ndarray)

    @pytest.mark.weight(0.5)
    def test_the_boxes_that_were_passed_in_stay_as_they_were(self, student):
        student.unchanged("xywh_to_xyxy", SIZES)


@pytest.mark.task("xyxy_to_xywh")
class TestXyxyToXywh:
    @pytest.mark.weight(7)
    @pytest.mark.parametrize("corners", DRAWN)
    def test_random_boxes_get_the_sizes_that_torchvision_gives_them(self, student, corners):
        agree(student.xyxy_to_xywh(corners), torch_convert(corners, "xyxy", "xywh"))

    def test_x_and_y_stay_those_of_the_top_left_corner(self, student):
        agree(np.asarray(student.xyxy_to_xywh(CORNERS))[:, :2], CORNERS[:, :2])

    def test_the_width_is_the_distance_between_left_and_right_edge(self, student):
        agree(np.asarray(student.xyxy_to_xywh(CORNERS))[:, 2], SIZES[:, 2])

    def test_the_height_is_the_distance_between_upper_and_lower_edge(self, student):
        agree(np.asarray(student.xyxy_to_xywh(CORNERS))[:, 3], SIZES[:, 3])

    def test_a_box_that_ends_where_it_begins_has_no_width_and_no_height(self, student):
        agree(np.asarray(student.xyxy_to_xywh(np.full((2, 4), [[9.0], [6.0]])))[:, 2:], [[0, 0], [0, 0]])

    def test_a_box_that_is_moved_keeps_its_sides(self, student):
        before = np.asarray(student.xyxy_to_xywh(CORNERS))
        agree(student.xyxy_to_xywh(CORNERS + [3, 8, 3, 8]), before + [3, 8, 0, 0])

    def test_fractions_of_a_pixel_are_kept(self, student):
        before = np.asarray(student.xyxy_to_xywh(CORNERS))
        agree(student.xyxy_to_xywh(CORNERS + 0.25), before + [0.25, 0.25, 0, 0])
        agree(np.asarray(student.xyxy_to_xywh(CORNERS + [0, 0, 0.5, 0.5]))[:, 2:], before[:, 2:] + 0.5)

    def test_boxes_may_begin_left_of_and_above_the_image(self, student):
        before = np.asarray(student.xyxy_to_xywh(CORNERS))
        agree(student.xyxy_to_xywh(CORNERS - 100), before - [100, 100, 0, 0])

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize("number", [1, 2, 7])
    def test_every_box_has_one_row_of_four_numbers_also_a_single_box(self, student, number):
        assert np.shape(student.xyxy_to_xywh(draw_boxes(4, number))) == (number, 4)

    @pytest.mark.weight(0.5)
    def test_no_boxes_give_no_rows_but_still_four_columns(self, student):
        shaped(student.xyxy_to_xywh(np.zeros((0, 4))), 0, 4)

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array(self, student):
        assert isinstance(student.xyxy_to_xywh(CORNERS[:4]), np.ndarray)

    @pytest.mark.weight(0.5)
    def test_the_boxes_that_were_passed_in_stay_as_they_were(self, student):
        student.unchanged("xyxy_to_xywh", CORNERS)


def areas(student, boxes):
    """The student's areas of boxes with the sides of CORNERS: whatever they are, larger boxes have larger ones."""
    found = np.asarray(student.box_area(boxes), dtype=float)
    assert (np.diff(found[np.argsort(SIDES[:, 0])], prepend=0, axis=0) > 0).all()
    return found


@pytest.mark.task("box_area")
class TestBoxArea:
    @pytest.mark.weight(8)
    @pytest.mark.parametrize("boxes", DRAWN)
    def test_random_boxes_have_the_area_that_torchvision_gives_them(self, student, boxes):
        agree(student.box_area(boxes), ops.box_area(torch.from_numpy(boxes)).numpy())

    @pytest.mark.weight(2)
    def test_the_area_is_width_times_height(self, student):
        agree(np.ravel(student.box_area(CORNERS)), SIZES[:, 2] * SIZES[:, 3])

    def test_twice_as_wide_and_high_is_four_times_the_area(self, student):
        agree(areas(student, 2 * CORNERS), 4 * areas(student, CORNERS))

    def test_a_box_that_is_moved_keeps_its_area(self, student):
        agree(areas(student, CORNERS + [3, 8, 3, 8]), areas(student, CORNERS))

    def test_a_box_that_is_turned_on_its_side_keeps_its_area(self, student):
        agree(areas(student, CORNERS[:, [1, 0, 3, 2]]), areas(student, CORNERS))

    def test_fractions_of_a_pixel_count(self, student):
        found = np.asarray(student.box_area(np.array([8.0, 8.5, 8.75, 9.0])[:, None] * [0, 0, 1, 1]))
        assert (np.diff(found, prepend=0, axis=0) > 0).all()

    def test_boxes_may_begin_left_of_and_above_the_image(self, student):
        agree(areas(student, CORNERS - 60), areas(student, CORNERS))

    def test_a_box_without_width_or_without_height_has_area_0(self, student):
        found = np.ravel(student.box_area(np.array([[5.0, 1.0, 5.0, 9.0], [2.0, 5.0, 8.0, 9.0], [2.0, 7.0, 8.0, 7.0]])))
        assert (np.sign(found) == [0, 1, 0]).all()

    def test_a_box_inverted_in_one_direction_has_area_0(self, student):
        found = np.ravel(student.box_area(np.array([[8.0, 1.0, 5.0, 9.0], [2.0, 5.0, 8.0, 9.0], [2.0, 7.0, 8.0, 4.0]])))
        assert (np.sign(found) == [0, 1, 0]).all()

    def test_a_box_inverted_in_both_directions_has_area_0(self, student):
        found = np.ravel(student.box_area(np.array([[8.0, 9.0, 5.0, 1.0], [2.0, 5.0, 8.0, 9.0]])))
        assert (np.sign(found) == [0, 1]).all()

    def test_no_box_has_a_negative_area(self, student):
        inverted = np.array([[8.0, 1.0, 5.0, 9.0], [2.0, 7.0, 8.0, 4.0], [3.0, 7.0, 1.0, 4.0], [2.0, 5.0, 8.0, 9.0]])
        found = np.ravel(student.box_area(inverted))
        assert (found >= 0).all()
        assert found[3] > 0

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize("number", [1, 4, 7])
    def test_there_is_one_number_for_each_box(self, student, number):
        assert np.shape(student.box_area(draw_boxes(4, number))) == (number,)

    @pytest.mark.weight(0.5)
    def test_no_boxes_give_no_areas(self, student):
        assert len(student.box_area(np.zeros((0, 4)))) == 0

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array(self, student):
        assert isinstance(student.box_area(CORNERS), np.ndarray)

    @pytest.mark.weight(0.5)
    def test_the_boxes_that_were_passed_in_stay_as_they_were(self, student):
        student.unchanged("box_area", CORNERS)


IOU_PAIRS = [
    (draw_boxes(s, n, 48, 24), draw_boxes(s + 1, m, 48, 24)) for s, n, m in ((11, 5, 8), (21, 13, 6), (31, 1, 20))
]
# All lie in one row; only box 0 of the first and box 2 of the second set overlap.
ONE_PAIR = (
    np.array([[10.0, 20.0, 18.0, 24.0], [40.0, 20.0, 50.0, 24.0]]),
    np.array([[0.0, 20.0, 4.0, 24.0], [60.0, 20.0, 64.0, 24.0], [12.0, 20.0, 19.0, 24.0]]),
)
# The last boxes of both sets are equal.
TWINS = (
    np.array([[20.0, 10.0, 92.0, 50.0], [44.0, 20.0, 120.0, 60.0], [10.0, 8.0, 90.0, 60.0]]),
    np.array([[30.0, 4.0, 94.0, 56.0], [2.0, 6.0, 70.0, 58.0], [24.0, 16.0, 96.0, 62.0], [10.0, 8.0, 90.0, 60.0]]),
)
OUTER, INNER = np.array([[4.0, 2.0, 20.0, 10.0]]), np.array([[6.0, 4.0, 10.0, 6.0]])


def one_on_the_diagonal_only(found):
    """IoUs of overlapping things with themselves: 1 on the diagonal, and between 0 and 1 beside it."""
    found = np.asarray(found)
    agree(np.diagonal(found), np.ones(len(found)))
    beside = found[~np.eye(len(found), dtype=bool)]
    assert ((beside > 0) & (beside < 1)).all()


def compared(student, boxes1, boxes2):
    """The student's IoUs: whatever they are, they differ, and the last two boxes, which are equal, have the highest."""
    found = np.asarray(student.box_iou(boxes1, boxes2))
    assert found[-1, -1] == found.max() > found.min()
    return found


@pytest.mark.task("box_iou")
class TestBoxIou:
    @pytest.mark.weight(8)
    @pytest.mark.parametrize(("boxes1", "boxes2"), IOU_PAIRS)
    def test_random_boxes_have_the_iou_that_torchvision_gives_them(self, student, boxes1, boxes2):
        agree(student.box_iou(boxes1, boxes2), torch_iou(boxes1, boxes2))

    def test_row_i_and_column_j_belong_to_box_i_of_the_first_and_box_j_of_the_second_set(self, student):
        found = np.asarray(student.box_iou(*ONE_PAIR))
        assert found.shape == (2, 3)
        assert np.argmax(found) == 2

    def test_a_box_and_itself_have_iou_1(self, student):
        boxes = np.array(
            [[4.0, 2.0, 20.0, 10.0], [8.0, 1.0, 22.0, 7.0], [1.0, 5.0, 11.0, 12.0], [7.0, 3.0, 25.0, 11.0]]
        )
        one_on_the_diagonal_only(student.box_iou(boxes, boxes))

    def test_the_iou_is_symmetric(self, student):
        found = np.asarray(student.box_iou(OUTER, INNER))
        assert ((found > 0) & (found < 1)).all()
        agree(student.box_iou(INNER, OUTER), found)

    def test_only_equal_boxes_have_iou_1_not_a_box_inside_another(self, student):
        found = np.ravel([student.box_iou(INNER, OUTER), student.box_iou(OUTER, INNER)])
        assert ((found > 0) & (found < 0.875)).all()

    def test_a_small_box_inside_a_large_one_has_the_share_it_covers(self, student):
        agree(np.ravel(student.box_iou(OUTER, INNER)), [4 * 2 / (16 * 8)])

    def test_boxes_shifted_along_both_axes_share_what_is_left_of_both_sides(self, student):
        boxes = np.array([[2.0, 3.0, 10.0, 7.0]])
        agree(np.ravel(student.box_iou(boxes, boxes + [2, 1, 2, 1])), [6 * 3 / (32 + 32 - 18)])

    def test_boxes_that_only_touch_share_no_area(self, student):
        box = np.array([[4.0, 2.0, 12.0, 6.0]])
        right, left = [12.0, 2.0, 20.0, 6.0], [1.0, 2.0, 4.0, 6.0]
        below, above, corner = [4.0, 6.0, 12.0, 9.0], [4.0, 1.0, 12.0, 2.0], [12.0, 6.0, 13.0, 7.0]
        found = np.ravel(student.box_iou(np.array([right, left, below, above, corner, [5.0, 3.0, 9.0, 8.0]]), box))
        assert (np.sign(found) == [0, 0, 0, 0, 0, 1]).all()

    def test_boxes_that_are_apart_in_one_direction_have_iou_0(self, student):
        box = np.array([[4.0, 2.0, 12.0, 6.0]])
        right, left = [13.0, 2.0, 20.0, 6.0], [1.0, 2.0, 3.0, 6.0]
        below, above = [4.0, 7.0, 12.0, 9.0], [4.0, 0.0, 12.0, 1.0]
        found = np.ravel(student.box_iou(np.array([right, left, below, above, [5.0, 3.0, 9.0, 8.0]]), box))
        assert (np.sign(found) == [0, 0, 0, 0, 1]).all()

    def test_boxes_that_are_apart_in_both_directions_have_iou_0(self, student):
        box = np.array([[4.0, 2.0, 12.0, 6.0]])
        others = np.array([[13.0, 7.0, 20.0, 11.0], [0.0, 0.0, 3.0, 1.0], [15.0, 0.0, 19.0, 1.0], [5.0, 3.0, 9.0, 8.0]])
        found = np.ravel(student.box_iou(others, box))
        assert (np.sign(found) == [0, 0, 0, 1]).all()

    def test_moving_all_boxes_changes_no_iou_also_to_negative_coordinates(self, student):
        boxes1, boxes2 = TWINS
        before = compared(student, boxes1, boxes2)
        agree(compared(student, boxes1 - [100, 60, 100, 60], boxes2 - [100, 60, 100, 60]), before)

    def test_measuring_in_another_unit_than_pixels_changes_no_iou(self, student):
        boxes1, boxes2 = TWINS
        agree(compared(student, boxes1 / 64, boxes2 / 64), compared(student, boxes1, boxes2))

    def test_two_boxes_without_area_have_iou_0_and_not_nan(self, student):
        boxes = np.array([[3.0, 1.0, 3.0, 1.0], [2.0, 5.0, 9.0, 5.0], [1.0, 1.0, 6.0, 3.0]])
        found = np.asarray(student.box_iou(boxes, boxes))
        agree(found[:2, :2], [[0, 0], [0, 0]])
        assert found[2, 2] > 0

    def test_an_inverted_box_overlaps_nothing(self, student):
        boxes = np.array([[6.0, 1.0, 1.0, 3.0], [6.0, 3.0, 1.0, 1.0], [1.0, 1.0, 6.0, 3.0]])
        found = np.asarray(student.box_iou(boxes, np.array([[1.0, 1.0, 6.0, 3.0], [0.0, 0.0, 9.0, 9.0]])))
        agree(found[:2], [[0, 0], [0, 0]])
        assert (found[2] > 0).all()

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
    def test_a_set_without_boxes_gives_a_matrix_without_rows_or_columns(self, student, n, m):
        shaped(student.box_iou(CORNERS[:n], CORNERS[:m]), n, m)

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array(self, student):
        assert isinstance(student.box_iou(*ONE_PAIR), np.ndarray)

    @pytest.mark.weight(0.5)
    def test_the_boxes_that_were_passed_in_stay_as_they_were(self, student):
        boxes = np.array([[6.0, 1.0, 1.0, 3.0], [1.0, 1.0, 6.0, 3.0], [2.0, 2.0, 2.0, 2.0]])
        student.unchanged("box_iou", boxes, CORNERS)


def draw_masks(seed, number, height=12, width=20):
    """(number, height, width) bool: blobs of rectangles with holes, none empty."""
    rng = np.random.default_rng(seed)
    masks = rng.random((number, height, width)) < 0.25
    for mask in masks:
        top, left = rng.integers(0, [height - 4, width - 8])
        mask[top : top + 4, left : left + 8] |= rng.random((4, 8)) < 0.8
    return masks


def coco_mask_iou(masks1, masks2):
    columns = [np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8)) for masks in (masks1, masks2)]
    encoded = [coco_mask.encode(masks) for masks in columns]
    return coco_mask.iou(*encoded, [0] * len(masks2))


MASK_PAIRS = [(draw_masks(s, n), draw_masks(s + 1, m)) for s, n, m in ((41, 3, 5), (51, 6, 2), (61, 1, 4))]
LEFT, RIGHT, ROW, NOTHING = np.zeros((4, 6, 9), dtype=bool)
LEFT[:, :4] = RIGHT[:, 4:] = ROW[2] = True
TOP, BOTTOM, LONE = LEFT.copy(), LEFT.copy(), LEFT & ROW
TOP[2:], BOTTOM[:3] = False, False


@pytest.mark.task("mask_iou")
class TestMaskIou:
    @pytest.mark.weight(8)
    @pytest.mark.parametrize(("masks1", "masks2"), MASK_PAIRS)
    def test_random_masks_have_the_iou_that_pycocotools_gives_them(self, student, masks1, masks2):
        agree(student.mask_iou(masks1, masks2), coco_mask_iou(masks1, masks2))

    def test_row_i_and_column_j_belong_to_mask_i_of_the_first_and_mask_j_of_the_second_set(self, student):
        found = np.asarray(student.mask_iou(np.stack([TOP, BOTTOM]), np.stack([RIGHT, LONE, TOP])))
        assert found.shape == (2, 3)
        assert np.argmax(found) == 2

    def test_a_mask_and_itself_have_iou_1(self, student):
        masks = np.stack([LEFT, ROW, RIGHT | ROW, LEFT | ROW])
        one_on_the_diagonal_only(student.mask_iou(masks, masks))

    def test_the_iou_is_symmetric(self, student):
        found = np.asarray(student.mask_iou(LEFT[None], ROW[None]))
        assert ((found > 0) & (found < 1)).all()
        agree(student.mask_iou(ROW[None], LEFT[None]), found)

    def test_pixels_outside_both_masks_play_no_part(self, student):
        masks = np.stack([LEFT, ROW])
        before = np.asarray(student.mask_iou(masks, masks))
        assert (before > 0).all()
        assert before[0, 1] < before[1, 1]
        padded = np.pad(masks, ((0, 0), (0, 3), (5, 0)))
        agree(student.mask_iou(padded, padded), before)

    def test_only_equal_masks_have_iou_1_not_a_mask_inside_another(self, student):
        found = np.ravel([student.mask_iou(LEFT[None], TOP[None]), student.mask_iou(TOP[None], LEFT[None])])
        assert ((found > 0) & (found < 0.875)).all()

    def test_a_mask_inside_a_larger_one_has_the_share_it_covers(self, student):
        agree(np.ravel(student.mask_iou(LEFT[None], np.stack([TOP, BOTTOM]))), [2 / 6, 3 / 6])

    def test_masks_that_share_no_pixel_have_iou_0_though_the_boxes_around_them_overlap(self, student):
        around = np.ones((6, 9), dtype=bool)
        around[1:5, 1:8] = False
        inside = np.zeros((6, 9), dtype=bool)
        inside[2:4, 3:6] = True
        found = np.asarray(student.mask_iou(around[None], np.stack([inside, around])))
        assert (np.sign(found) == [[0, 1]]).all()

    def test_columns_beyond_the_height_and_rows_beyond_the_width_count_too(self, student):
        wide = np.zeros((2, 5, 12), dtype=bool)
        wide[0, 2, 7:] = wide[1, 2, 9:] = wide[1, 4, 9:] = True
        high = wide.transpose(0, 2, 1).copy()
        one_on_the_diagonal_only(student.mask_iou(wide, wide))
        one_on_the_diagonal_only(student.mask_iou(high, high))

    def test_large_masks_are_counted_in_full(self, student):
        masks = np.ones((3, 16, 48), dtype=bool)  # 768, 512 and 656 pixels: modulo 256 these are 0, 0 and 144
        masks[1, :, 32:] = masks[2, :, 41:] = False
        one_on_the_diagonal_only(student.mask_iou(masks, masks))

    def test_two_empty_masks_have_iou_0(self, student):
        found = np.asarray(student.mask_iou(np.stack([NOTHING, LEFT]), np.stack([LEFT, NOTHING])))
        assert (np.sign(found) == [[0, 0], [1, 0]]).all()

    def test_empty_masks_never_give_nan(self, student):
        found = np.asarray(student.mask_iou(np.stack([NOTHING, LEFT]), np.stack([LEFT, NOTHING])))
        assert np.isfinite(found).all()
        assert found[1, 0] > 0

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
    def test_a_set_without_masks_gives_a_matrix_without_rows_or_columns(self, student, n, m):
        masks = np.stack([LEFT, ROW, RIGHT])
        shaped(student.mask_iou(masks[:n], masks[:m]), n, m)

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array(self, student):
        assert isinstance(student.mask_iou(LEFT[None], ROW[None]), np.ndarray)

    @pytest.mark.weight(0.5)
    def test_the_masks_that_were_passed_in_stay_as_they_were(self, student):
        student.unchanged("mask_iou", *MASK_PAIRS[0])


NMS_THRESHOLDS = (0.25, 0.5, 0.75)


def draw_crowd(seed, number):
    """Boxes and scores as a detector gives them before suppression: about five shifted boxes for each object."""
    rng = np.random.default_rng(seed)
    objects = 2 * draw_boxes(seed, number // 5)
    boxes = objects[rng.integers(0, len(objects), number)] + rng.integers(-7, 8, (number, 4)) / 4
    clear_of(torch_iou(boxes, boxes), NMS_THRESHOLDS)
    return boxes, draw_scores(seed + 1, number)


CROWDED = [draw_crowd(seed, number) for seed, number in ((75, 15), (71, 40), (77, 60))]
# Two clusters by falling score: b overlaps a with IoU 0.6, d overlaps c with IoU 0.6, e is alone.
CLUSTERS = np.array(
    [
        [0.0, 0.0, 8.0, 4.0],
        [2.0, 0.0, 10.0, 4.0],
        [30.0, 0.0, 34.0, 8.0],
        [30.0, 2.0, 34.0, 10.0],
        [60.0, 1.0, 63.0, 9.0],
    ]
)
FALLING = np.array([0.875, 0.75, 0.625, 0.5, 0.375])
# The second box is half of the first, the third one 7/8.
HALVES = np.array([[0.0, 0.0, 8.0, 4.0], [0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 7.0, 4.0]])


def row_of_boxes(*starts):
    """Boxes of 16 x 4 that begin at the given x."""
    return np.array([[x, 3.0, x + 16.0, 7.0] for x in starts])


def with_others(boxes, scores, expected):
    """The same case with six boxes behind it that lie apart from all and have lower scores: all of them are kept."""
    others = row_of_boxes(*range(-900, -780, 20))
    lower = scores.min() - np.arange(1, 7) / 64
    kept = [*expected, *range(len(boxes), len(boxes) + 6)]
    return np.concatenate([boxes, others]), np.concatenate([scores, lower]), kept


def kept_by_nms(student, boxes, scores, threshold, expected, check=same_set):
    boxes, scores, expected = with_others(boxes, scores, expected)
    check(student.nms(boxes, scores, threshold), expected)


@pytest.mark.task("nms")
class TestNms:
    @pytest.mark.weight(7)
    @pytest.mark.parametrize("threshold", NMS_THRESHOLDS)
    @pytest.mark.parametrize(("boxes", "scores"), CROWDED)
    def test_the_boxes_that_torchvision_keeps_are_kept_and_no_others(self, student, boxes, scores, threshold):
        same_set(student.nms(boxes, scores, threshold), torch_nms(boxes, scores, threshold))

    @pytest.mark.weight(2)
    @pytest.mark.parametrize(("boxes", "scores"), CROWDED)
    def test_kept_boxes_come_by_falling_score(self, student, boxes, scores):
        found = indices(student.nms(boxes, scores, 0.25)).astype(int)
        assert 2 < len(found) < len(boxes)
        assert (np.diff(scores[found]) < 0).all()

    @pytest.mark.parametrize(("boxes", "scores"), CROWDED)
    def test_the_box_of_highest_score_is_kept_and_comes_first(self, student, boxes, scores):
        assert indices(student.nms(boxes, scores, 0.5))[0] == scores.argmax()

    @pytest.mark.weight(2)
    def test_the_better_one_of_two_overlapping_boxes_is_kept(self, student):
        kept_by_nms(student, CLUSTERS, FALLING, 0.5, [0, 2, 4])

    def test_the_indices_point_into_the_boxes_as_they_were_given(self, student):
        shuffled = np.array([3, 4, 1, 2, 0])
        kept_by_nms(student, CLUSTERS[shuffled], FALLING[shuffled], 0.5, [1, 3, 4])

    def test_an_iou_equal_to_the_threshold_does_not_suppress(self, student):
        kept_by_nms(student, HALVES, FALLING[:3], 0.5, [0, 1])

    def test_the_threshold_of_the_call_decides(self, student):
        boxes = row_of_boxes(0, 2, 100, 108)
        kept_by_nms(student, boxes, FALLING[:4], 0.875, [0, 1, 2, 3])
        kept_by_nms(student, boxes, FALLING[:4], 0.625, [0, 2, 3])
        kept_by_nms(student, boxes, FALLING[:4], 0.125, [0, 2])

    def test_a_suppressed_box_suppresses_no_other(self, student):
        kept_by_nms(student, row_of_boxes(0, 4, 8, 200, 201), FALLING, 0.5, [0, 2, 3])

    def test_every_kept_box_suppresses_not_only_the_one_kept_last(self, student):
        kept_by_nms(student, row_of_boxes(0, 100, 200, 2, 102), FALLING, 0.5, [0, 1, 2])

    def test_of_equal_scores_the_box_of_lower_index_comes_first_and_wins(self, student):
        same(student.nms(row_of_boxes(0, 100, 200, 102, 2, 300, 301), np.full(7, 0.5), 0.5), [0, 1, 2, 5])

    def test_equal_scores_keep_their_order_also_among_many_boxes(self, student):
        boxes = row_of_boxes(*range(0, 960, 20), *range(1, 961, 20))
        scores = np.array([0.25, 0.75, 0.5])[np.arange(96) % 3]
        same(student.nms(boxes, scores, 0.5), [*range(1, 48, 3), *range(2, 48, 3), *range(0, 48, 3)])

    def test_scores_may_be_any_numbers_also_negative_ones(self, student):
        kept_by_nms(student, CLUSTERS, FALLING * 8 - 5, 0.5, [0, 2, 4])
        kept_by_nms(student, CLUSTERS, FALLING - 1, 0.5, [0, 2, 4])

    @pytest.mark.weight(0.5)
    def test_no_boxes_give_an_empty_array_of_integers(self, student):
        found = indices(student.nms(np.zeros((0, 4)), np.zeros(0), 0.5))
        assert found.shape == (0,)
        assert found.dtype.kind in "iu"

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array_of_integers(self, student):
        integer_array(student.nms(CLUSTERS, FALLING, 0.5))

    @pytest.mark.weight(0.5)
    def test_boxes_and_scores_that_were_passed_in_stay_as_they_were(self, student):
        student.unchanged("nms", CLUSTERS, FALLING, 0.5)


def nms_label_by_label(boxes, scores, labels, iou_threshold):
    """torchvision's own batched_nms errs on negative coordinates, so its nms is used for each label."""
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    kept = np.concatenate([own[torch_nms(boxes[own], scores[own], iou_threshold)] for own in members])
    return kept[np.argsort(-scores[kept])]


LABELLED = [(boxes, scores, np.random.default_rng(7).integers(0, 4, len(boxes))) for boxes, scores in CROWDED]
# b overlaps a but has another label; d overlaps c and has its label.
CLUSTER_LABELS = np.array([1, 0, 2, 2, 1])


def kept_by_batched(student, boxes, scores, labels, threshold, expected, check=same_set):
    boxes, scores, expected = with_others(boxes, scores, expected)
    check(student.batched_nms(boxes, scores, np.append(labels, [labels[0]] * 6), threshold), expected)


@pytest.mark.task("batched_nms")
class TestBatchedNms:
    @pytest.mark.weight(7)
    @pytest.mark.parametrize("threshold", NMS_THRESHOLDS)
    @pytest.mark.parametrize(("boxes", "scores", "labels"), LABELLED)
    def test_the_boxes_that_torchvision_keeps_label_by_label_are_kept(self, student, boxes, scores, labels, threshold):
        expected = nms_label_by_label(boxes, scores, labels, threshold)
        same_set(student.batched_nms(boxes, scores, labels, threshold), expected)

    @pytest.mark.weight(2)
    @pytest.mark.parametrize(("boxes", "scores", "labels"), LABELLED)
    def test_kept_boxes_come_by_falling_score_over_all_labels_together(self, student, boxes, scores, labels):
        found = indices(student.batched_nms(boxes, scores, labels, 0.25)).astype(int)
        assert 2 < len(found) < len(boxes)
        assert (np.diff(scores[found]) < 0).all()

    @pytest.mark.weight(2)
    def test_boxes_of_different_labels_do_not_suppress_each_other(self, student):
        kept_by_batched(student, CLUSTERS, FALLING, CLUSTER_LABELS, 0.5, [0, 1, 2, 4])

    def test_with_a_single_label_it_is_ordinary_suppression(self, student):
        shuffled = np.array([3, 4, 1, 2, 0])
        kept_by_batched(student, CLUSTERS[shuffled], FALLING[shuffled], np.zeros(5, dtype=int), 0.5, [4, 3, 1], same)

    def test_coordinates_may_be_negative(self, student):
        boxes, scores, labels = LABELLED[1]
        boxes = boxes - boxes.max()
        same_set(student.batched_nms(boxes, scores, labels, 0.5), nms_label_by_label(boxes, scores, labels, 0.5))

    def test_coordinates_may_be_large(self, student):
        kept_by_batched(student, 512 * CLUSTERS, FALLING, CLUSTER_LABELS, 0.5, [0, 1, 2, 4])

    @pytest.mark.parametrize("labels", [[-1, 0, -1, -2], [7, 90000, 7, 8], [-4, -3, -4, -90000]])
    def test_labels_may_be_any_integers(self, student, labels):
        kept_by_batched(student, row_of_boxes(0, 1, 2, 3), FALLING[:4], np.array(labels), 0.5, [0, 1, 3])

    def test_an_iou_equal_to_the_threshold_does_not_suppress(self, student):
        kept_by_batched(student, HALVES, FALLING[:3], np.array([5, 5, 5]), 0.5, [0, 1])

    def test_of_equal_scores_within_a_label_the_lower_index_comes_first_and_wins(self, student):
        boxes = row_of_boxes(0, 100, 200, 102, 2)
        kept_by_batched(student, boxes, np.full(5, 0.5), np.full(5, 3), 0.5, [0, 1, 2], same)

    def test_of_equal_scores_of_different_labels_the_lower_index_comes_first(self, student):
        boxes, labels = row_of_boxes(0, 100, 200, 102, 2), np.array([2, 1, 0, 1, 2])
        kept_by_batched(student, boxes, np.full(5, 0.5), labels, 0.5, [0, 1, 2], same)

    @pytest.mark.weight(0.5)
    def test_no_boxes_give_an_empty_array_of_integers(self, student):
        found = indices(student.batched_nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=int), 0.5))
        assert found.shape == (0,)
        assert found.dtype.kind in "iu"

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array_of_integers(self, student):
        integer_array(student.batched_nms(CLUSTERS, FALLING, CLUSTER_LABELS, 0.5))

    @pytest.mark.weight(0.5)
    def test_boxes_scores_and_labels_that_were_passed_in_stay_as_they_were(self, student):
        student.unchanged("batched_nms", CLUSTERS, FALLING, CLUSTER_LABELS, 0.5)


MATCH_THRESHOLDS = (0.3, 0.5, 0.75)


def coco_matches(iou, iou_threshold):
    """Matches by the evaluation of pycocotools, which is given the IoUs instead of boxes."""
    evaluation = COCOeval()
    evaluation.params.iouThrs = [iou_threshold]
    truths, found = iou.shape[1], iou.shape[0]
    evaluation._gts = {(1, 1): [{"id": g + 1, "ignore": 0, "iscrowd": 0, "area": 1} for g in range(truths)]}
    evaluation._dts = {(1, 1): [{"id": d + 1, "score": -d, "area": 1} for d in range(found)]}
    evaluation.ious = {(1, 1): iou}
    return evaluation.evaluateImg(1, 1, [0, 2], found)["dtMatches"][0].astype(int) - 1


def draw_iou(seed, detections, truths):
    """(detections, truths) distinct overlaps, many of them high enough to compete."""
    rng = np.random.default_rng(seed)
    number = detections * truths
    iou = rng.permutation(np.arange(1, number + 1)).reshape(detections, truths) / (number + 2.5)
    clear_of(iou, MATCH_THRESHOLDS)
    return iou


OVERLAPS = [draw_iou(seed, d, g) for seed, d, g in ((101, 6, 3), (102, 4, 9), (103, 20, 12), (104, 7, 7), (105, 12, 1))]


def matched(student, iou, expected, threshold=0.5):
    """The case in `iou`, followed by five detections each of which finds an object of its own."""
    detections, truths = np.shape(iou)
    everything = np.zeros((detections + 5, truths + 5))
    everything[:detections, :truths] = iou
    everything[detections:, truths:] = 0.9375 * np.eye(5)
    same(student.match_detections(everything, threshold), [*expected, *range(truths, truths + 5)])


@pytest.mark.task("match_detections")
class TestMatchDetections:
    @pytest.mark.weight(7)
    @pytest.mark.parametrize("threshold", MATCH_THRESHOLDS)
    @pytest.mark.parametrize("iou", OVERLAPS)
    def test_random_overlaps_are_matched_as_pycocotools_matches_them(self, student, iou, threshold):
        same(student.match_detections(iou, threshold), coco_matches(iou, threshold))

    def test_a_second_detection_of_the_same_object_stays_unmatched(self, student):
        matched(student, [[0.0, 0.75], [0.125, 0.875], [0.625, 0.0]], [1, -1, 0])

    def test_a_detection_whose_best_object_is_taken_takes_the_best_of_the_free_ones(self, student):
        matched(student, [[0.0, 0.0, 0.75], [0.5625, 0.625, 0.875]], [2, 1])

    def test_of_the_free_objects_the_one_of_highest_iou_is_taken(self, student):
        matched(student, [[0.625, 0.5625, 0.875, 0.75]], [2])

    def test_a_better_scored_detection_chooses_first_even_if_a_later_one_fits_better(self, student):
        matched(student, [[0.0, 0.625], [0.0, 0.9375]], [1, -1])

    def test_each_detection_takes_its_own_best_even_if_another_choice_would_match_more(self, student):
        matched(student, [[0.5625, 0.625], [0.0, 0.5625]], [1, -1])

    def test_an_iou_equal_to_the_threshold_is_enough(self, student):
        matched(student, [[0.125, 0.5], [0.75, 0.0]], [1, 0])

    def test_a_detection_below_the_threshold_gets_minus_1(self, student):
        matched(student, [[0.4375, 0.25], [0.125, 0.75]], [-1, 1])
        matched(student, [[0.4375, 0.25], [0.125, 0.75]], [0, 1], threshold=0.375)

    def test_a_detection_that_misses_leaves_the_object_free_for_the_next(self, student):
        matched(student, [[0.0, 0.375], [0.0, 0.75]], [-1, 1])

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize(("detections", "truths"), [(5, 2), (2, 5), (3, 3)])
    def test_there_is_one_entry_for_each_detection(self, student, detections, truths):
        assert np.shape(student.match_detections(draw_iou(106, detections, truths), 0.5)) == (detections,)

    @pytest.mark.weight(0.5)
    def test_without_ground_truth_every_detection_is_unmatched(self, student):
        same(student.match_detections(np.zeros((3, 0)), 0.5), [-1, -1, -1])

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize("truths", [3, 0])
    def test_without_detections_the_result_is_empty(self, student, truths):
        assert np.shape(student.match_detections(np.zeros((0, truths)), 0.5)) == (0,)

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array_of_integers(self, student):
        integer_array(student.match_detections(OVERLAPS[0], 0.5))

    @pytest.mark.weight(0.5)
    def test_the_overlaps_that_were_passed_in_stay_as_they_were(self, student):
        student.unchanged("match_detections", OVERLAPS[0], 0.5)


def draw_flags(seed, number):
    return np.random.default_rng(seed).random(number) < 0.6


FLAGS = [(draw_flags(111, 9), 7), (draw_flags(112, 40), 61), (draw_flags(113, 1), 3), (draw_flags(114, 23), 30)]
MIXED = np.array([True, False, False, True, True, False])


def by_hand(flags, number):
    """Precision and recall, counted detection by detection."""
    found, precision, recall = 0, [], []
    for rank, flag in enumerate(flags.tolist(), start=1):
        found += flag
        precision.append(found / rank)
        recall.append(found / number)
    return precision, recall


@pytest.mark.task("precision_recall")
class TestPrecisionRecall:
    @pytest.mark.weight(4)
    @pytest.mark.parametrize(("flags", "number"), FLAGS)
    def test_precision_is_the_share_of_true_positives_among_the_detections_so_far(self, student, flags, number):
        precision, _ = student.precision_recall(flags, number)
        agree(precision, by_hand(flags, number)[0])

    @pytest.mark.weight(4)
    @pytest.mark.parametrize(("flags", "number"), FLAGS)
    def test_recall_is_the_share_of_all_objects_found_so_far(self, student, flags, number):
        _, recall = student.precision_recall(flags, number)
        agree(recall, by_hand(flags, number)[1])

    def test_there_is_one_precision_and_one_recall_for_each_detection(self, student):
        precision, recall = student.precision_recall(MIXED, 4)
        assert np.shape(precision) == np.shape(recall) == (6,)

    @pytest.mark.parametrize("number", [3, 8])
    def test_a_single_right_detection_has_precision_1_and_finds_one_of_all_objects(self, student, number):
        precision, recall = student.precision_recall(np.array([True]), number)
        agree(np.ravel(precision)[-1:], [1])
        agree(np.ravel(recall)[-1:], [1 / number])

    def test_precision_rises_again_with_a_true_positive_after_false_ones(self, student):
        precision, _ = student.precision_recall(MIXED, 4)
        assert precision[3] > precision[2]

    def test_a_false_positive_lowers_the_precision(self, student):
        precision, _ = student.precision_recall(MIXED, 4)
        assert precision[0] > precision[1] > precision[2]

    def test_recall_never_falls_and_a_false_positive_does_not_change_it(self, student):
        _, recall = student.precision_recall(MIXED, 4)
        assert (np.sign(np.diff(recall)) == MIXED[1:]).all()

    def test_objects_that_are_never_found_keep_the_last_recall_below_1(self, student):
        _, recall = student.precision_recall(MIXED, 16)
        agree(np.ravel(recall)[-1:], [3 / 16])

    def test_recall_reaches_1_when_all_objects_are_found_though_some_detections_are_wrong(self, student):
        _, recall = student.precision_recall(MIXED, 3)
        agree(np.ravel(recall)[-1:], [1])

    @pytest.mark.parametrize("number", [1, 4])
    def test_recall_is_0_and_not_nan_if_there_is_nothing_to_find(self, student, number):
        _, recall = student.precision_recall(np.zeros(number, dtype=bool), 0)
        agree(recall, [0] * number)

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize("number", [5, 0])
    def test_no_detections_give_two_empty_arrays(self, student, number):
        precision, recall = student.precision_recall(np.zeros(0, dtype=bool), number)
        assert np.shape(precision) == np.shape(recall) == (0,)

    @pytest.mark.weight(0.5)
    def test_the_results_are_numpy_arrays(self, student):
        precision, recall = student.precision_recall(MIXED, 4)
        assert isinstance(precision, np.ndarray)
        assert isinstance(recall, np.ndarray)


def curve(flags, number):
    """Precision and recall as arrays; `number` is a prime, so that no recall but 1 is a level."""
    return tuple(np.array(values) for values in by_hand(flags, number))


def coco_average_precision(flags):
    """AP by the accumulation of pycocotools for flags (detections by falling score) and 61 objects."""
    evaluation = COCOeval()
    evaluation.params.iouThrs = [0.5]
    evaluation.params.imgIds, evaluation.params.catIds = [1], [1]
    evaluation.params.areaRng, evaluation.params.maxDets = [[0, 1]], [len(flags)]
    evaluation._paramsEval = copy.deepcopy(evaluation.params)
    nothing = np.zeros((1, len(flags)), dtype=bool)
    image = {
        "dtScores": -np.arange(len(flags)),
        "dtMatches": flags[None],
        "dtIgnore": nothing,
        "gtIgnore": np.zeros(61),
    }
    evaluation.evalImgs = [image]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    return evaluation.eval["precision"].mean()


def interpolated(precision, recall, points):
    """AP by its definition, level by level."""
    curve = list(zip(precision, recall, strict=True))
    best = [max([p for p, r in curve if r >= i / (points - 1)], default=0) for i in range(points)]
    return sum(best) / points


CURVES = [draw_flags(seed, number) for seed, number in ((121, 15), (122, 60), (123, 90), (124, 3))]
CURVES = [(*curve(flags, 61), coco_average_precision(flags)) for flags in CURVES]
SHORT = curve(draw_flags(125, 12), 13)
# Precision falls, then rises above where it was.
DIP = (np.array([0.5, 0.25, 0.75, 0.625]), np.array([0.25, 0.25, 0.75, 1.0]))


def ap(student, *arguments, **options):
    """The student's average precision; an array of one number has a check of its own."""
    found = np.ravel(student.average_precision(*arguments, **options))
    assert found.shape == (1,)
    return found[0]


@pytest.mark.task("average_precision")
class TestAveragePrecision:
    @pytest.mark.weight(7)
    @pytest.mark.parametrize(("precision", "recall", "expected"), CURVES)
    def test_random_curves_have_the_ap_that_pycocotools_gives_them(self, student, precision, recall, expected):
        agree(ap(student, precision, recall), expected)

    @pytest.mark.weight(2)
    @pytest.mark.parametrize("points", [11, 6, 41])
    def test_the_number_of_recall_levels_can_be_chosen(self, student, points):
        agree(ap(student, *SHORT, points=points), interpolated(*SHORT, points))
        agree(ap(student, *SHORT, points), interpolated(*SHORT, points))

    def test_a_curve_of_constant_precision_from_recall_0_to_1_has_that_ap(self, student):
        agree(ap(student, np.full(5, 0.375), np.linspace(0, 1, 5)), 0.375)

    def test_a_level_takes_the_best_precision_at_its_recall_or_a_higher_one(self, student):
        precision, recall = np.array([0.25, 0.5, 0.875]), np.array([0.375, 0.6875, 1.0])
        agree(ap(student, precision, recall), 0.875)

    def test_a_precision_reached_at_a_lower_recall_does_not_count(self, student):
        precision, recall = np.array([1.0, 0.5]), np.array([0.375, 1.0])
        agree(ap(student, precision, recall, 5), (2 * 1 + 3 * 0.5) / 5)

    def test_between_two_recalls_precision_is_constant_not_interpolated_linearly(self, student):
        precision, recall = np.array([1.0, 0.5, 0.25]), np.array([0.125, 0.625, 1.0])
        agree(ap(student, precision, recall, 5), (1 + 0.5 + 0.5 + 0.25 + 0.25) / 5)

    def test_a_level_that_is_reached_exactly_counts(self, student):
        precision, recall = np.array([1.0, 0.5]), np.array([0.25, 0.75])
        agree(ap(student, precision, recall, 5), (2 * 1 + 2 * 0.5) / 5)

    def test_levels_that_are_never_reached_count_as_0(self, student):
        precision, recall = np.array([1.0]), np.array([0.375])
        agree(ap(student, precision, recall, 5), 2 / 5)

    def test_level_0_takes_the_best_precision_of_the_curve_not_1(self, student):
        precision, recall = np.array([0.0, 0.5]), np.array([0.0, 0.1875])
        agree(ap(student, precision, recall, 5), 0.5 / 5)

    def test_if_all_objects_are_found_without_error_ap_is_1(self, student):
        agree(ap(student, *curve(np.ones(5, dtype=bool), 5)), 1)

    def test_false_positives_after_the_last_object_was_found_cost_nothing(self, student):
        precision, recall = np.array([1.0, 0.5, 0.25]), np.array([1.0, 1.0, 1.0])
        agree(ap(student, precision, recall), 1)

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize("points", [101, 11])
    def test_without_detections_ap_is_0(self, student, points):
        assert ap(student, np.zeros(0), np.zeros(0), points) == 0

    @pytest.mark.weight(0.5)
    def test_if_no_detection_is_right_ap_is_0(self, student):
        assert ap(student, np.zeros(4), np.zeros(4)) == 0

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_single_float(self, student):
        assert isinstance(student.average_precision(*DIP), (float, np.floating))

    @pytest.mark.weight(0.5)
    def test_the_curve_that_was_passed_in_stays_as_it_was(self, student):
        student.unchanged("average_precision", *DIP)


COCO_THRESHOLDS = np.linspace(0.5, 0.95, 10)


def dataset(annotations, images=(1,), categories=(1,)):
    """COCO ground truth from rows (image, category, bbox) or (image, category, bbox, iscrowd)."""
    keys = ("id", "image_id", "category_id", "bbox", "area", "iscrowd")
    rows = []
    for number, (image, category, bbox, *crowd) in enumerate(annotations, start=1):
        values = (number, image, category, list(bbox), bbox[2] * bbox[3], int(any(crowd)))
        rows.append(dict(zip(keys, values, strict=True)))
    return {"images": [{"id": i} for i in images], "categories": [{"id": c} for c in categories], "annotations": rows}


def results(rows):
    """COCO detections from rows (image, category, bbox, score)."""
    keys = ("image_id", "category_id", "bbox", "score")
    return [dict(zip(keys, (image, category, list(bbox), score), strict=True)) for image, category, bbox, score in rows]


def coco_evaluation(truth, found, thresholds):
    """Mean AP by pycocotools, area "all", at most 100 detections."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(found)), "bbox")
        evaluation.params.iouThrs = np.asarray(thresholds)
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    for iou in evaluation.ious.values():
        clear_of(iou, thresholds)
    precision = evaluation.eval["precision"]
    return precision[precision > -1].mean()


def draw_scene(seed, objects, images, crowds=0):
    """A data set with the given number of objects per category, and detections: shifted, missed, doubled and false.

    The numbers of objects are primes, so that no recall but 1 is a level of AP.
    """
    rng = np.random.default_rng(seed)
    truths, found = [], []
    for category, number in enumerate(objects, start=3):
        for bbox in torch_convert(draw_boxes(rng.integers(1 << 30), number, 200, 120), "xyxy", "xywh"):
            image = int(rng.integers(10, 10 + images))
            truths.append((image, category, bbox.tolist()))
            for _ in range(rng.choice([0, 1, 1, 2])):
                moved = bbox + rng.integers(-1, 2, 4) * bbox[[2, 3, 2, 3]] * rng.choice([0.03125, 0.0625, 0.15625], 4)
                found.append((image, category, moved.tolist()))
        for _ in range(number // 2):
            image, other, bbox, *_ = truths[rng.integers(len(truths))]
            image, other = [(10 + (image - 9) % images, other), (image, category)][rng.integers(2)]
            found.append((image, other, [bbox[0] + 0.25, *bbox[1:]]))
        for _ in range(crowds):
            image, x, y = int(rng.integers(10, 10 + images)), *rng.integers(0, 80, 2).tolist()
            truths.append((image, category, [x + 0.125, y + 0.125, 110.0, 70.0], 1))
    scores = draw_scores(seed + 1, len(found)).tolist()
    truth = dataset(truths, range(10, 10 + images), range(3, 3 + len(objects)))
    return truth, results([(*row, score) for row, score in zip(found, scores, strict=True)])


SCENES = [draw_scene(131, (7, 11), 3), draw_scene(141, (13, 3, 17), 5)]
SCENES = [(truth, found, coco_evaluation(truth, found, [0.5])) for truth, found in SCENES]
STRICT_SCENE = draw_scene(151, (19, 7), 3)
STRICT_AP = coco_evaluation(*STRICT_SCENE, COCO_THRESHOLDS)
CROWD_SCENES = [draw_scene(161, (11, 7), 3, crowds=1), draw_scene(171, (23, 13), 4, crowds=3)]
CROWD_SCENES = [(truth, found, coco_evaluation(truth, found, [0.5, 0.75])) for truth, found in CROWD_SCENES]
A, B, CROWD = (10, 20, 40, 16), (5, 60, 20, 48), (100, 10, 64, 32)
INSIDE = (104, 12, 8, 16)


def missed(number, category=1):
    """Objects in image 1 that no detection finds."""
    return [(1, category, (300 + 20 * k, 50, 10, 30)) for k in range(number)]


def mean_ap(student, truth, found, thresholds=(0.5,)):
    """The student's mean AP; an array of one number would be judged by a check of its own."""
    return np.float64(np.ravel(student.coco_map(truth, found, np.array(thresholds))).item())


@pytest.mark.task("coco_map")
class TestCocoMap:
    @pytest.mark.weight(5)
    @pytest.mark.parametrize(("truth", "found", "expected"), SCENES)
    def test_random_scenes_have_the_ap_that_pycocotools_gives_them(self, student, truth, found, expected):
        agree(mean_ap(student, truth, found), expected)

    @pytest.mark.weight(2)
    def test_a_random_scene_has_the_mean_ap_that_pycocotools_gives_it_over_ten_thresholds(self, student):
        agree(mean_ap(student, *STRICT_SCENE, COCO_THRESHOLDS), STRICT_AP)

    @pytest.mark.weight(2)
    @pytest.mark.parametrize(("truth", "found", "expected"), CROWD_SCENES)
    def test_random_scenes_with_crowds_have_the_ap_that_pycocotools_gives_them(self, student, truth, found, expected):
        agree(mean_ap(student, truth, found, [0.5, 0.75]), expected)

    def test_objects_that_are_found_exactly_have_precision_1_as_far_as_recall_goes(self, student):
        corner = [(image, 1, (0, 0, 8 * image, 30)) for image in (1, 2, 3)]
        truth, found = dataset(corner, images=(1, 2, 3)), results([(*corner[1], 0.5), (*corner[0], 0.75)])
        agree(mean_ap(student, truth, found), 67 / 101)

    def test_ap_is_the_mean_over_the_thresholds(self, student):
        truth, found = dataset([(1, 1, A)]), results([(1, 1, (10, 20, 40, 10), 0.5)])
        agree(mean_ap(student, truth, found, [0.5, 0.75, 0.875, 0.9375]), 1 / 4)

    def test_detections_of_all_images_are_ranked_together(self, student):
        truth = dataset([(1, 1, A), (2, 1, A)], images=(1, 2))
        found = results([(1, 1, A, 0.25), (2, 1, A, 0.875), (2, 1, B, 0.5)])
        agree(mean_ap(student, truth, found), (51 + 50 * 2 / 3) / 101)

    def test_boxes_are_compared_only_within_their_image(self, student):
        truth = dataset([(1, 1, A), (2, 1, B)], images=(1, 2))
        found = results([(2, 1, A, 0.875), (2, 1, B, 0.5)])
        agree(mean_ap(student, truth, found), 51 / 101 / 2)

    def test_boxes_are_compared_only_within_their_category(self, student):
        truth = dataset([(1, 1, A), (1, 1, B), (1, 2, B)], categories=(1, 2))
        found = results([(1, 2, A, 0.875), (1, 2, B, 0.5), (1, 1, B, 0.25)])
        agree(mean_ap(student, truth, found), (51 / 101 + 1 / 2) / 2)

    def test_a_category_without_objects_is_left_out_of_the_mean(self, student):
        truth = dataset([(1, 2, A), *missed(1, category=2)], categories=(1, 2, 3))
        agree(mean_ap(student, truth, results([(1, 2, A, 0.5), (1, 3, B, 0.75)])), 51 / 101)

    def test_a_category_in_which_nothing_is_detected_counts_as_0(self, student):
        truth, found = dataset([(1, 1, A), (1, 2, B)], categories=(1, 2)), results([(1, 1, A, 0.5)])
        agree(mean_ap(student, truth, found), 1 / 2)

    def test_a_crowd_region_is_no_object_that_could_be_missed(self, student):
        truth = dataset([(1, 1, A), (1, 1, CROWD, 1), *missed(1)])
        agree(mean_ap(student, truth, results([(1, 1, A, 0.5)])), 51 / 101)

    def test_a_detection_that_fits_a_crowd_region_is_no_false_positive(self, student):
        truth = dataset([(1, 1, CROWD, 1), (1, 1, A), *missed(2)])
        found = results([(1, 1, CROWD, 0.875), (1, 1, A, 0.5)])
        agree(mean_ap(student, truth, found), 34 / 101)

    def test_a_detection_that_fits_a_crowd_region_is_no_true_positive(self, student):
        truth = dataset([(1, 1, CROWD, 1), (1, 1, A), *missed(5)])
        found = results([(1, 1, A, 0.875), (1, 1, CROWD, 0.5)])
        agree(mean_ap(student, truth, found), 17 / 101)

    def test_a_small_detection_inside_a_crowd_region_is_ignored_too(self, student):
        truth = dataset([(1, 1, CROWD, 1), (1, 1, A), *missed(6)])
        found = results([(1, 1, INSIDE, 0.875), (1, 1, A, 0.5)])
        agree(mean_ap(student, truth, found), 15 / 101)

    def test_a_crowd_region_absorbs_any_number_of_detections(self, student):
        truth = dataset([(1, 1, CROWD, 1), (1, 1, A), *missed(7)])
        rows = [(1, 1, CROWD, score) for score in FALLING.tolist()]
        agree(mean_ap(student, truth, results([*rows, (1, 1, A, 0.25)])), 13 / 101)

    def test_a_normal_object_is_preferred_to_the_crowd_region_around_it(self, student):
        truth = dataset([(1, 1, CROWD, 1), (1, 1, INSIDE), *missed(8)])
        agree(mean_ap(student, truth, results([(1, 1, INSIDE, 0.5)])), 12 / 101)

    def test_detections_after_the_100_best_of_an_image_and_category_do_not_count(self, student):
        truth = dataset([(1, 1, A), (1, 1, B)])
        rows = [(1, 1, (200 + 4 * k, 9, 3, 2), 0.5 - k / 1024) for k in range(99)]
        found = results([(1, 1, B, 0.25), *rows, (1, 1, A, 0.875)])
        agree(mean_ap(student, truth, found), 51 / 101)

    def test_the_limit_of_100_holds_for_each_image_and_each_category_by_itself(self, student):
        keys = [(image, category) for image in (1, 2) for category in (1, 2)]
        truth = dataset([(*key, A) for key in keys], images=(1, 2), categories=(1, 2))
        rows = [(*key, A, 0.125 + k / 64) for k, key in enumerate(keys)]
        for k in range(240):
            rows.append((*keys[k % 4], (200 + k, 9, 3, 2), 0.5 + k / 1024))
        agree(mean_ap(student, truth, results(rows)), 2 / 122)

    @pytest.mark.weight(0.5)
    def test_without_detections_the_result_is_0(self, student):
        agree(mean_ap(student, dataset([(1, 1, A), (1, 1, CROWD, 1)]), []), 0)

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize("annotations", [[], [(1, 1, CROWD, 1)]])
    def test_without_objects_to_find_the_result_is_minus_1(self, student, annotations):
        agree(mean_ap(student, dataset(annotations), results([(1, 1, A, 0.5)])), -1)

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_single_float(self, student):
        found = student.coco_map(dataset([(1, 1, A)]), results([(1, 1, A, 0.5)]), np.array([0.5]))
        assert isinstance(found, (float, np.floating))

    @pytest.mark.weight(0.5)
    def test_ground_truth_and_detections_that_were_passed_in_stay_as_they_were(self, student):
        truth, found, _ = CROWD_SCENES[0]
        student.unchanged("coco_map", truth, found, np.array([0.5]))
