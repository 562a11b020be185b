"""Hidden checks of 04_mask_rcnn. The name of a test is the sentence that a student reads in the feedback."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import map_coordinates
from torchvision import ops
from torchvision.models.detection._utils import BoxCoder, Matcher

FORBIDDEN: dict[str, list[str]] = {
    "generate_anchors": ["torchvision.models.detection.anchor_utils.AnchorGenerator"],
    "encode_boxes": [
        "torchvision.models.detection._utils.BoxCoder",
        "torchvision.models.detection._utils.encode_boxes",
    ],
    "decode_boxes": ["torchvision.models.detection._utils.BoxCoder"],
    "match_anchors": ["torchvision.models.detection._utils.Matcher"],
    "RPNHead": ["torchvision.models.detection.rpn.RPNHead"],
    "filter_proposals": ["torchvision.models.detection.rpn.RegionProposalNetwork"],
    "roi_pool": [
        "torchvision.ops.roi_pool",
        "torchvision.ops.RoIPool",
        "torch.nn.AdaptiveMaxPool2d",
        "torch.nn.functional.adaptive_max_pool2d",
    ],
    "roi_align": [
        "torchvision.ops.roi_align",
        "torchvision.ops.RoIAlign",
        "torchvision.ops.MultiScaleRoIAlign",
        "torch.nn.functional.grid_sample",
    ],
    "MaskHead": [
        "torchvision.models.detection.mask_rcnn.MaskRCNNHeads",
        "torchvision.models.detection.mask_rcnn.MaskRCNNPredictor",
    ],
    "mask_loss": ["torchvision.models.detection.roi_heads.maskrcnn_loss"],
    "paste_masks": [
        "torchvision.models.detection.roi_heads.paste_masks_in_image",
        "torch.nn.functional.grid_sample",
    ],
    "panoptic_quality": [],
}

# float32 rounds by at most 2^-24 of a value; coordinates here stay below 512, and none is the end of more than some
# 16 operations: 16 * 512 * 2^-24 = 4.9e-4 pixels.
PIXELS = 5e-4
# Codes stay below 32 and are quotients of such coordinates by sides of at least 4 pixels: 16 * 32 * 2^-24 = 3e-5, and
# the rounding of corners up to 512 by 2^-24 * 512 over 4 pixels is 8e-6 once more.
CODES = 1e-4
# Features stay below 8; a sample's place in the map, below 64, is rounded by 64 * 2^-24 * 8 operations = 3e-5, which
# moves its value by less than 16 times that.
FEATURES = 5e-4


def agree(found, expected, tolerance):
    """A tensor of the same shape, with numbers that are equal up to rounding."""
    assert isinstance(found, torch.Tensor)
    assert found.shape == expected.shape
    assert (found.detach().double() - expected.double()).abs().max() <= tolerance if expected.numel() else True


def draw_boxes(seed, number, width=200, height=120, least=4, most=80):
    """Boxes of random place and size, float32."""
    rng = np.random.default_rng(seed)
    sides = rng.uniform(least, most, (number, 2))
    corner = rng.uniform(-20, [width - 20, height - 20], (number, 2))
    return torch.tensor(np.concatenate([corner, corner + sides], axis=1), dtype=torch.float32)


# ---------------------------------------------------------------- generate_anchors


def anchors_by_hand(feature_size, stride, sizes, ratios):
    return torch.tensor(
        [
            [
                (column + 0.5) * stride - size / math.sqrt(ratio) / 2,
                (row + 0.5) * stride - size * math.sqrt(ratio) / 2,
                (column + 0.5) * stride + size / math.sqrt(ratio) / 2,
                (row + 0.5) * stride + size * math.sqrt(ratio) / 2,
            ]
            for row in range(feature_size[0])
            for column in range(feature_size[1])
            for size in sizes
            for ratio in ratios
        ],
        dtype=torch.float64,
    ).reshape(-1, 4)


def by_number(boxes):
    """Rows in an order that depends on the set only."""
    return torch.tensor(sorted((boxes * 100).round().tolist()))


@pytest.mark.task("generate_anchors")
class TestGenerateAnchors:
    @pytest.mark.weight(10)
    @pytest.mark.parametrize(
        "arguments",
        [
            ((3, 5), 8, [16, 33], [0.5, 1.0, 2.0]),
            ((4, 2), 16, [21.5], [0.3]),
            ((2, 3), 4, [5, 9, 27], [1.0, 3.0]),
        ],
    )
    def test_all_anchors_are_as_the_definition_says_in_its_order(self, student, arguments):
        agree(student.generate_anchors(*arguments), anchors_by_hand(*arguments), PIXELS)

    def test_the_set_of_anchors_is_right_whatever_its_order(self, student):
        found = student.generate_anchors((3, 5), 8, [16, 33], [0.5, 2.0])
        expected = anchors_by_hand((3, 5), 8, [16, 33], [0.5, 2.0])
        assert found.shape == expected.shape
        agree(by_number(found.double()), by_number(expected), 1)

    def test_centres_lie_in_the_middle_of_the_squares_of_the_map(self, student):
        found = student.generate_anchors((2, 3), 10, [7], [1.0])
        centres = (found[:, :2] + found[:, 2:]) / 2
        assert {(round(x), round(y)) for x, y in centres.tolist()} == {(x, y) for x in (5, 15, 25) for y in (5, 15)}

    def test_places_come_row_by_row(self, student):
        found = student.generate_anchors((2, 3), 10, [7], [1.0])
        steps = (found[1:, :2] - found[:-1, :2]).round().tolist()
        assert steps == [[10, 0], [10, 0], [-20, 10], [10, 0], [10, 0]]

    def test_the_area_is_the_square_of_the_size_for_every_ratio(self, student):
        found = student.generate_anchors((1, 2), 8, [10], [0.25, 1.0, 4.0])
        areas = (found[:, 2:] - found[:, :2]).prod(dim=1)
        agree(areas, torch.full((6,), 100.0), 0.01)

    def test_the_ratio_is_height_by_width(self, student):
        width, height = (student.generate_anchors((1, 1), 8, [10], [4.0])[0, 2:] * 2 - 8).tolist()
        assert abs(height / width - 4) < 1e-3

    def test_at_a_place_all_ratios_of_a_size_come_before_the_next_size(self, student):
        found = student.generate_anchors((1, 1), 8, [10, 30], [1.0, 4.0])
        areas = (found[:, 2:] - found[:, :2]).prod(dim=1).sqrt().round().tolist()
        assert areas == [10, 10, 30, 30]

    @pytest.mark.weight(0.5)
    def test_the_result_is_float32(self, student):
        found = student.generate_anchors((1, 2), 8, [10], [1.0])
        assert found.shape == (2, 4) and found.dtype == torch.float32

    @pytest.mark.weight(0.5)
    def test_an_empty_map_has_no_anchors(self, student):
        assert student.generate_anchors((3, 0), 8, [10, 20], [1.0]).shape == (0, 4)


# ---------------------------------------------------------------- encode_boxes, decode_boxes

CODER = BoxCoder((1.0, 1.0, 1.0, 1.0))


def draw_codes(seed, number):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.uniform(-1, 1, (number, 4)) * [1, 1, 1.5, 1.5], dtype=torch.float32)


@pytest.mark.task("encode_boxes")
class TestEncodeBoxes:
    @pytest.mark.weight(8)
    @pytest.mark.parametrize("seed", [1, 2])
    def test_random_boxes_are_encoded_as_the_formula_says(self, student, seed):
        boxes, anchors = draw_boxes(seed, 20), draw_boxes(seed + 10, 20)
        agree(student.encode_boxes(boxes, anchors), CODER.encode_single(boxes.double(), anchors.double()), CODES)

    @pytest.mark.weight(3)
    def test_a_box_equal_to_its_anchor_gives_zeros_and_another_does_not(self, student):
        boxes = draw_boxes(3, 6)
        agree(student.encode_boxes(boxes, boxes), torch.zeros(6, 4), CODES)
        assert student.encode_boxes(boxes, boxes + torch.tensor([-4.0, -4.0, 4.0, 4.0])).abs().min() > 0 or (
            student.encode_boxes(boxes, boxes + torch.tensor([-4.0, -4.0, 4.0, 4.0]))[:, 2:].max() < 0
        )

    @pytest.mark.weight(2)
    def test_shifts_are_those_of_the_centres_in_shares_of_the_anchor(self, student):
        boxes, anchors = torch.tensor([[8.0, 2.0, 24.0, 10.0]]), torch.tensor([[0.0, 0.0, 8.0, 32.0]])
        agree(student.encode_boxes(boxes, anchors)[:, :2], torch.tensor([[1.5, -0.3125]]), CODES)

    @pytest.mark.weight(2)
    def test_sizes_are_natural_logarithms_of_box_by_anchor(self, student):
        boxes, anchors = torch.tensor([[8.0, 2.0, 24.0, 10.0]]), torch.tensor([[0.0, 0.0, 8.0, 32.0]])
        agree(student.encode_boxes(boxes, anchors)[:, 2:], torch.tensor([[math.log(2), -math.log(4)]]), CODES)

    def test_nothing_changes_when_the_whole_picture_is_enlarged(self, student):
        boxes, anchors = draw_boxes(5, 8), draw_boxes(6, 8)
        found = student.encode_boxes(boxes, anchors)
        assert found.shape == (8, 4) and found.abs().max() > 0.5
        agree(student.encode_boxes(2 * boxes, 2 * anchors), found, CODES)

    @pytest.mark.weight(0.5)
    def test_float64_stays_float64(self, student):
        boxes = draw_boxes(7, 3).double()
        found = student.encode_boxes(boxes, boxes + 1)
        assert found.shape == (3, 4) and found.dtype == torch.float64

    @pytest.mark.weight(0.5)
    def test_no_boxes_give_no_codes_and_arguments_stay_as_they_are(self, student):
        assert student.encode_boxes(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0, 4)
        found = student.encode_boxes(draw_boxes(8, 4), draw_boxes(9, 4))
        assert found.shape == (4, 4) and found.abs().max() < 100
        student.unchanged("encode_boxes", draw_boxes(8, 4), draw_boxes(9, 4))


@pytest.mark.task("decode_boxes")
class TestDecodeBoxes:
    @pytest.mark.weight(8)
    @pytest.mark.parametrize("seed", [1, 2])
    def test_random_codes_are_decoded_as_the_formula_says(self, student, seed):
        codes, anchors = draw_codes(seed, 20), draw_boxes(seed + 10, 20)
        expected = CODER.decode_single(codes.double(), anchors.double())
        agree(student.decode_boxes(codes, anchors), expected, PIXELS)

    @pytest.mark.weight(2)
    def test_zeros_give_the_anchors_themselves_and_other_codes_do_not(self, student):
        anchors = draw_boxes(3, 6)
        agree(student.decode_boxes(torch.zeros(6, 4), anchors), anchors, PIXELS)
        assert (student.decode_boxes(torch.ones(6, 4), anchors) - anchors).abs().max() > 1

    @pytest.mark.weight(2)
    def test_the_centre_moves_by_shares_of_the_anchor(self, student):
        found = student.decode_boxes(torch.tensor([[1.5, -0.25, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 8.0, 32.0]]))
        agree(found, torch.tensor([[12.0, -8.0, 20.0, 24.0]]), PIXELS)

    @pytest.mark.weight(2)
    def test_the_box_grows_around_its_centre_by_the_exponential(self, student):
        codes = torch.tensor([[0.0, 0.0, math.log(2), -math.log(4)]])
        agree(
            student.decode_boxes(codes, torch.tensor([[0.0, 0.0, 8.0, 32.0]])),
            torch.tensor([[-4.0, 12.0, 12.0, 20.0]]),
            PIXELS,
        )

    @pytest.mark.weight(2)
    def test_large_codes_are_not_limited(self, student):
        codes, anchors = torch.tensor([[3.0, -3.0, 4.0, -4.0]]), torch.tensor([[0.0, 0.0, 8.0, 32.0]])
        agree(student.decode_boxes(codes, anchors), CODER.decode_single(codes.double(), anchors.double()), PIXELS)

    @pytest.mark.weight(0.5)
    def test_float64_stays_float64(self, student):
        found = student.decode_boxes(draw_codes(7, 3).double(), draw_boxes(7, 3).double())
        assert found.shape == (3, 4) and found.dtype == torch.float64 and found[:, 2:].max() > 1

    @pytest.mark.weight(0.5)
    def test_no_codes_give_no_boxes_and_arguments_stay_as_they_are(self, student):
        assert student.decode_boxes(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0, 4)
        assert student.decode_boxes(draw_codes(8, 4), draw_boxes(9, 4))[:, 2:].max() > 1
        student.unchanged("decode_boxes", draw_codes(8, 4), draw_boxes(9, 4))


# ---------------------------------------------------------------- match_anchors


def matched_by_hand(iou, high, low):
    """Number by number; thresholds and IoUs are eighths, exact in float32."""
    table, found = iou.tolist(), []
    top = [max(row[g] for row in table) for g in range(iou.shape[1])]
    for row in table:
        best = max(row)
        rescued = any(value == most and value > 0 for value, most in zip(row, top, strict=True))
        found.append(row.index(best) if best >= high or rescued else -1 if best < low else -2)
    return found


def draw_iou(seed, anchors, objects):
    """Eighths with many ties; some anchors touch nothing."""
    rng = np.random.default_rng(seed)
    table = rng.choice([0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7], (anchors, objects)) / 8
    table[rng.random(anchors) < 0.2] = 0
    return torch.tensor(table, dtype=torch.float32)


def matches(student, table, high=0.75, low=0.25):
    found = student.match_anchors(torch.tensor(table), high, low)
    assert isinstance(found, torch.Tensor) and found.dim() == 1
    return found.tolist()


@pytest.mark.task("match_anchors")
class TestMatchAnchors:
    @pytest.mark.weight(6)
    @pytest.mark.parametrize("case", [(1, 30, 4), (2, 12, 6), (3, 40, 1), (4, 25, 3)])
    def test_random_overlaps_are_matched_as_the_definition_says(self, student, case):
        iou = draw_iou(*case)
        found = student.match_anchors(iou, 0.75, 0.25)
        assert isinstance(found, torch.Tensor)
        assert found.tolist() == matched_by_hand(iou, 0.75, 0.25)

    @pytest.mark.weight(2)
    def test_boxes_and_anchors_are_matched_as_torchvision_does(self, student):
        places = torch.cartesian_prod(torch.arange(7.0), torch.arange(5.0)).flip(1).repeat(1, 2) * 12
        anchors = torch.cat([places + torch.tensor([0.0, 0.0, s, s * 0.75]) for s in (14.0, 31.0)])
        objects = torch.tensor([[3.0, 2.0, 30.0, 25.0], [20.0, 31.0, 33.0, 44.0], [40.0, 9.0, 52.0, 50.0]])
        iou = ops.box_iou(anchors, objects)
        expected = Matcher(0.625, 0.25, allow_low_quality_matches=True)(iou.T)
        found = student.match_anchors(iou, 0.625, 0.25)
        assert isinstance(found, torch.Tensor) and found.tolist() == expected.tolist()

    @pytest.mark.weight(2)
    def test_between_the_thresholds_an_anchor_is_ignored_and_below_it_is_background(self, student):
        assert matches(student, [[0.875], [0.5], [0.125], [0.0]]) == [0, -2, -1, -1]

    @pytest.mark.weight(1.5)
    def test_an_anchor_that_equals_the_upper_threshold_is_positive(self, student):
        assert matches(student, [[0.875], [0.75], [0.5]]) == [0, 0, -2]

    @pytest.mark.weight(1.5)
    def test_an_anchor_that_equals_the_lower_threshold_is_ignored(self, student):
        assert matches(student, [[0.875], [0.25], [0.125]]) == [0, -2, -1]

    @pytest.mark.weight(3)
    def test_no_object_that_an_anchor_overlaps_goes_without(self, student):
        assert matches(student, [[0.875, 0.0], [0.0, 0.125], [0.0, 0.0]]) == [0, 1, -1]

    @pytest.mark.weight(2)
    def test_an_ignored_anchor_is_rescued_if_it_is_an_objects_best(self, student):
        assert matches(student, [[0.5, 0.0], [0.25, 0.0], [0.0, 0.875]]) == [0, -2, 1]

    @pytest.mark.weight(2)
    def test_all_anchors_that_tie_for_an_objects_highest_overlap_are_rescued(self, student):
        assert matches(student, [[0.5], [0.125], [0.5], [0.5]]) == [0, -1, 0, 0]

    @pytest.mark.weight(2)
    def test_a_rescued_anchor_answers_for_its_own_best_object(self, student):
        assert matches(student, [[0.5, 0.375], [0.625, 0.25], [0.0, 0.0]]) == [0, 0, -1]

    @pytest.mark.weight(2)
    def test_an_object_that_nobody_overlaps_rescues_nobody(self, student):
        assert matches(student, [[0.875, 0.0], [0.0, 0.0], [0.5, 0.0]]) == [0, -1, -2]

    def test_equal_overlaps_take_the_first_object(self, student):
        assert matches(student, [[0.125, 0.875, 0.875], [0.875, 0.5, 0.875]]) == [1, 0]

    @pytest.mark.weight(1.5)
    def test_without_objects_every_anchor_is_background(self, student):
        found = student.match_anchors(torch.zeros(3, 0))
        assert isinstance(found, torch.Tensor) and found.tolist() == [-1, -1, -1]

    @pytest.mark.weight(0.5)
    def test_indices_are_long_and_thresholds_have_their_defaults(self, student):
        found = student.match_anchors(torch.tensor([[0.72], [0.68], [0.32], [0.28]]))
        assert found.dtype == torch.int64 and found.tolist() == [0, -2, -2, -1]

    @pytest.mark.weight(0.5)
    def test_without_anchors_the_result_is_empty_and_arguments_stay_as_they_are(self, student):
        found = student.match_anchors(torch.zeros(0, 2))
        assert isinstance(found, torch.Tensor) and found.shape == (0,)
        assert matches(student, [[0.875]]) == [0]
        student.unchanged("match_anchors", draw_iou(9, 6, 2), 0.75, 0.25)


# ---------------------------------------------------------------- RPNHead, MaskHead


def normal(seed, *shape):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape), dtype=torch.float32)


def rpn_head(student, channels=16, anchors=3):
    student.seed(4)
    return student.RPNHead(channels, anchors)


def reached(one, other):
    """Places (row, column) where two results of one picture differ beyond rounding."""
    change = (one - other).detach().abs().amax(dim=(0, 1))
    return {tuple(place) for place in (change > 1e-6 * float(one.detach().abs().max())).nonzero().tolist()}


def sees_3x3(net):
    features = normal(1, 1, 16, 6, 9)
    moved = features.clone()
    moved[0, :, 3, 5] += 3 * normal(2, 16)
    around = {(row, column) for row in (2, 3, 4) for column in (4, 5, 6)}
    for one, other in zip(net(features), net(moved), strict=True):
        assert reached(one, other) == around


def is_bent(net):
    a, b = normal(3, 1, 16, 6, 9), normal(4, 1, 16, 6, 9)
    for at_a, at_b, both, zero in zip(net(a), net(b), net(a + b), net(0 * a), strict=True):
        assert (both - at_a - at_b + zero).abs().max() > 1e-3 * both.abs().max()


def any_value(net):
    for part in net(1e5 * normal(5, 2, 16, 6, 9)):
        assert part.min() < -1 and part.max() > 1


def each_for_itself(net):
    features = normal(6, 3, 16, 6, 9)
    for all_of_them, one in zip(net(features), net(features[1:2]), strict=True):
        agree(one, all_of_them[1:2], 1e-4)
        assert (all_of_them[0] - all_of_them[1]).abs().max() > 1e-5


def anchors_differ(net):
    objectness, deltas = net(normal(7, 1, 16, 6, 9))
    for part in (objectness[0], deltas[0]):
        flat = part.flatten(1)
        assert all((flat[i] - flat[j]).abs().max() > 1e-6 for i in range(len(flat)) for j in range(i))


@pytest.mark.task("RPNHead")
class TestRPNHead:
    @pytest.mark.weight(16)
    def test_all_in_all_it_is_the_head_of_faster_rcnn(self, student):
        net = rpn_head(student)
        objectness, deltas = net(normal(8, 2, 16, 5, 7))
        assert objectness.shape == (2, 3, 5, 7) and deltas.shape == (2, 12, 5, 7)
        for holds in (sees_3x3, is_bent, any_value, each_for_itself, anchors_differ):
            holds(net)

    @pytest.mark.weight(3)
    @pytest.mark.parametrize(("channels", "anchors"), [(8, 3), (5, 1), (12, 9)])
    def test_every_place_has_a_logit_and_four_deltas_for_each_anchor(self, student, channels, anchors):
        objectness, deltas = rpn_head(student, channels, anchors)(normal(8, 2, channels, 5, 7))
        assert objectness.shape == (2, anchors, 5, 7) and deltas.shape == (2, 4 * anchors, 5, 7)

    @pytest.mark.weight(2)
    def test_both_results_see_exactly_the_3_x_3_places_around_them(self, student):
        sees_3x3(rpn_head(student))

    @pytest.mark.weight(2)
    def test_there_is_an_activation_between_the_convolutions(self, student):
        is_bent(rpn_head(student))

    @pytest.mark.weight(2)
    def test_logits_and_deltas_take_any_value(self, student):
        any_value(rpn_head(student))

    @pytest.mark.weight(2)
    def test_pictures_of_a_batch_do_not_influence_each_other(self, student):
        each_for_itself(rpn_head(student))

    def test_every_anchor_has_weights_of_its_own(self, student):
        anchors_differ(rpn_head(student))

    def test_it_works_on_maps_of_any_size(self, student):
        net = rpn_head(student)
        assert net(normal(8, 1, 16, 1, 1))[0].shape == (1, 3, 1, 1)
        assert net(normal(8, 1, 16, 9, 2))[1].shape == (1, 12, 9, 2)

    @pytest.mark.weight(0.5)
    def test_no_pictures_give_empty_results(self, student):
        objectness, deltas = rpn_head(student)(torch.zeros(0, 16, 5, 7))
        assert objectness.shape == (0, 3, 5, 7) and deltas.shape == (0, 12, 5, 7)


def mask_head(student, channels=16, classes=3):
    student.seed(5)
    return student.MaskHead(channels, classes)


def masks_bent(net):
    a, b = normal(13, 1, 16, 14, 14), normal(14, 1, 16, 14, 14)
    both = net(a + b)
    assert (both - net(a) - net(b) + net(0 * a)).abs().max() > 1e-3 * both.abs().max()


def masks_any_value(net):
    """Large regions and, as a normalisation inside takes their size away, large weights."""
    state = net.state_dict()
    net.load_state_dict({name: 30 * value if value.is_floating_point() else value for name, value in state.items()})
    found = net(1e5 * normal(15, 3, 16, 14, 14))
    net.load_state_dict(state)
    for channel in found.unbind(dim=1):
        assert channel.min() < -1 and channel.max() > 1
    assert found.logsumexp(dim=1).abs().max() > 1


def masks_for_themselves(net):
    regions = normal(16, 4, 16, 14, 14) * torch.tensor([1.0, 5.0, 2.0, 0.5]).view(4, 1, 1, 1)
    agree(net(regions[1:2]), net(regions)[1:2], 1e-4)
    assert (net(regions)[0] - net(regions)[1]).abs().max() > 1e-4


def masks_with_shape(net):
    found = net(normal(17, 1, 16, 14, 14))[0]
    for corner in (found[:, ::2, ::2], found[:, 1::2, ::2]):
        assert corner.flatten(1).std(dim=1).min() > 1e-4


def masks_see_neighbours(net):
    regions = normal(18, 1, 16, 14, 14)
    moved = regions.clone()
    moved[0, :, 6, 9] += 10 * normal(19, 16)
    change = (net(moved) - net(regions)).detach().abs().amax(dim=(0, 1))
    near = change[10:16, 16:22]
    assert (near > 1e-7).all(), "the result two entries of the mask away changes, too"
    assert change[12:14, 18:20].max() > 1e-4


@pytest.mark.task("MaskHead")
class TestMaskHead:
    @pytest.mark.weight(16)
    def test_all_in_all_it_is_a_small_convolutional_network_for_each_region(self, student):
        net = mask_head(student)
        assert net(normal(20, 5, 16, 14, 14)).shape == (5, 3, 28, 28)
        for holds in (masks_bent, masks_any_value, masks_for_themselves, masks_with_shape, masks_see_neighbours):
            holds(net)

    @pytest.mark.weight(3)
    @pytest.mark.parametrize(("channels", "classes"), [(16, 3), (5, 1), (8, 6)])
    def test_every_region_gets_a_mask_of_28_x_28_for_each_class(self, student, channels, classes):
        assert mask_head(student, channels, classes)(normal(20, 2, channels, 14, 14)).shape == (2, classes, 28, 28)

    @pytest.mark.weight(2)
    def test_there_are_activations_between_the_layers(self, student):
        masks_bent(mask_head(student))

    @pytest.mark.weight(2)
    def test_every_classes_mask_takes_any_value_freely(self, student):
        masks_any_value(mask_head(student))

    @pytest.mark.weight(2)
    def test_regions_do_not_influence_each_other_not_even_in_train_mode(self, student):
        masks_for_themselves(mask_head(student))

    @pytest.mark.weight(2)
    def test_a_mask_has_a_shape_of_its_own(self, student):
        masks_with_shape(mask_head(student))

    @pytest.mark.weight(2)
    def test_a_place_of_the_mask_sees_its_neighbours(self, student):
        masks_see_neighbours(mask_head(student))

    @pytest.mark.weight(0.5)
    def test_no_regions_give_no_masks(self, student):
        assert mask_head(student)(torch.zeros(0, 16, 14, 14)).shape == (0, 3, 28, 28)


# ---------------------------------------------------------------- filter_proposals


def filtered(boxes, scores, image_size, pre_nms, post_nms, iou_threshold, min_size=1.0):
    """By torchvision's parts."""
    boxes = ops.clip_boxes_to_image(boxes, image_size)
    kept = ops.remove_small_boxes(boxes, min_size)
    boxes, scores = boxes[kept], scores[kept]
    order = scores.argsort(descending=True, stable=True)[:pre_nms]
    boxes, scores = boxes[order], scores[order]
    kept = ops.nms(boxes, scores, iou_threshold)[:post_nms]
    return boxes[kept], scores[kept]


def same_proposals(student, *arguments):
    boxes, scores = filtered(*arguments)
    found = student.filter_proposals(*arguments)
    assert isinstance(found, (tuple, list)) and len(found) == 2
    agree(found[0], boxes, 0)
    agree(found[1], scores, 0)


def draw_proposals(seed, number):
    rng = np.random.default_rng(seed)
    scores = rng.permutation(number) / 8 - number / 16
    return draw_boxes(seed, number, most=60), torch.tensor(scores, dtype=torch.float32)


TALL = torch.tensor([[2.0, 0.0, 6.0, 30.0], [30.0, 5.0, 70.0, 9.0], [10.0, 10.0, 20.0, 22.0]])


@pytest.mark.task("filter_proposals")
class TestFilterProposals:
    @pytest.mark.weight(9)
    @pytest.mark.parametrize(
        "settings",
        [
            ((70, 150), 60, 20, 0.5, 1.0),
            ((120, 90), 40, 15, 0.375, 18.0),
            ((60, 200), 12, 100, 0.3, 8.0),
            ((100, 160), 200, 60, 0.7, 25.0),
        ],
    )
    def test_random_boxes_are_filtered_as_the_five_steps_say(self, student, settings):
        for seed in (1, 2):
            same_proposals(student, *draw_proposals(seed, 90), *settings)

    @pytest.mark.weight(2)
    def test_boxes_are_clipped_to_the_picture(self, student):
        same_proposals(student, torch.tensor([[-3.0, -2.0, 300.0, 200.0]]), torch.ones(1), (40, 90), 9, 9, 0.5)

    @pytest.mark.weight(2)
    def test_width_and_height_both_have_to_reach_the_least_size(self, student):
        same_proposals(student, TALL, torch.tensor([3.0, 2.0, 1.0]), (40, 90), 9, 9, 0.5, 8.0)

    @pytest.mark.weight(1.5)
    def test_a_box_as_large_as_the_least_size_stays(self, student):
        same_proposals(student, TALL, torch.tensor([3.0, 2.0, 1.0]), (40, 90), 9, 9, 0.5, 10.0)

    @pytest.mark.weight(1.5)
    def test_sizes_are_measured_after_clipping(self, student):
        boxes = torch.tensor([[-20.0, 5.0, 3.0, 30.0], [10.0, 5.0, 30.0, 30.0]])
        same_proposals(student, boxes, torch.tensor([3.0, 2.0]), (40, 90), 9, 9, 0.5, 8.0)

    @pytest.mark.weight(2)
    def test_boxes_that_are_too_small_take_no_place_among_the_best(self, student):
        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [10.0, 10.0, 13.0, 13.0], [20.0, 20.0, 40.0, 40.0]])
        same_proposals(student, boxes, torch.tensor([3.0, 2.0, 1.0]), (50, 90), 1, 9, 0.5, 8.0)

    @pytest.mark.weight(2)
    def test_only_the_best_go_into_the_suppression(self, student):
        boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 10.0, 9.0], [20.0, 20.0, 40.0, 40.0]])
        same_proposals(student, boxes, torch.tensor([2.0, 3.0, 1.0]), (50, 90), 2, 9, 0.5)

    @pytest.mark.weight(2)
    def test_no_more_than_the_best_of_the_rest_come_out(self, student):
        boxes = torch.arange(6.0)[:, None] * 12 + torch.tensor([0.0, 0.0, 10.0, 10.0])
        same_proposals(student, boxes, torch.tensor([1.0, 6.0, 2.0, 5.0, 3.0, 4.0]), (90, 95), 6, 3, 0.5)

    @pytest.mark.weight(2)
    def test_boxes_that_overlap_a_better_one_are_dropped(self, student):
        boxes = torch.tensor([[0.0, 0.0, 10.0, 9.0], [0.0, 0.0, 9.0, 9.0], [20.0, 20.0, 40.0, 40.0]])
        same_proposals(student, boxes, torch.tensor([2.0, 3.0, 1.0]), (50, 90), 9, 9, 0.5)

    def test_overlap_equal_to_the_threshold_is_allowed(self, student):
        boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [0.0, 0.0, 8.0, 4.0]])
        same_proposals(student, boxes, torch.tensor([2.0, 3.0]), (50, 90), 9, 9, 0.5)

    @pytest.mark.weight(1.5)
    def test_scores_come_out_as_they_went_in(self, student):
        boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 4.0]])
        found = student.filter_proposals(boxes, torch.tensor([-7.5, 12.25]), (50, 90), 9, 9, 0.5)
        assert found[1].tolist() == [12.25, -7.5]

    @pytest.mark.weight(0.5)
    def test_equal_scores_keep_their_order(self, student):
        boxes = torch.arange(5.0)[:, None] * 12 + torch.tensor([0.0, 0.0, 10.0, 10.0])
        same_proposals(student, boxes, torch.ones(5), (90, 95), 4, 3, 0.5)

    @pytest.mark.weight(0.5)
    def test_no_boxes_give_none_and_arguments_stay_as_they_are(self, student):
        same_proposals(student, torch.zeros(0, 4), torch.zeros(0), (50, 90), 9, 9, 0.5)
        same_proposals(student, torch.tensor([[5.0, 5.0, 5.0, 9.0]]), torch.ones(1), (50, 90), 9, 9, 0.5)
        student.unchanged("filter_proposals", *draw_proposals(3, 8), (50, 90), 6, 4, 0.5)


# ---------------------------------------------------------------- roi_pool, roi_align


def pooled_by_hand(features, boxes, output_size, spatial_scale):
    """Fast R-CNN's definition with whole numbers only; boxes and scale are exact in binary."""
    maps, (h, w) = features.double().numpy(), output_size
    found = np.zeros((len(boxes), len(maps), h, w))
    for k, box in enumerate((boxes.double() * spatial_scale).tolist()):
        x1, y1, x2, y2 = (int(math.copysign(math.floor(abs(v) + 0.5), v)) for v in box)
        for i in range(h):
            for j in range(w):
                parts = []
                for first, last, number, bins, size in ((y1, y2, i, h, maps.shape[1]), (x1, x2, j, w, maps.shape[2])):
                    n = max(last - first + 1, 1)
                    at = range(first + number * n // bins, first - (-(number + 1) * n) // bins)
                    parts.append([p for p in at if 0 <= p < size])
                if all(parts):
                    found[k, :, i, j] = maps[:, parts[0]][:, :, parts[1]].max(axis=(1, 2))
    return torch.from_numpy(found)


def draw_quarters(seed, number, width, height):
    """Boxes in quarters of a pixel; some reach beyond the picture, some are inverted."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(-40, [4 * width, 4 * height], (number, 2)) / 4
    sides = rng.integers(-8, [2 * width, 2 * height], (number, 2)) / 4
    return torch.tensor(np.concatenate([corner, corner + sides], axis=1), dtype=torch.float32)


@pytest.mark.task("roi_pool")
class TestRoiPool:
    @pytest.mark.weight(12)
    @pytest.mark.parametrize(
        ("size", "bins", "scale"), [((7, 12), (2, 3), 0.5), ((9, 5), (7, 4), 0.25), ((6, 16), (3, 1), 1.0)]
    )
    def test_random_regions_are_pooled_as_the_four_steps_say(self, student, size, bins, scale):
        features = normal(21, 3, *size) - 0.5
        boxes = draw_quarters(22, 25, size[1] / scale, size[0] / scale)
        agree(student.roi_pool(features, boxes, bins, scale), pooled_by_hand(features, boxes, bins, scale), 1e-6)

    @pytest.mark.weight(2)
    def test_regions_inside_the_map_are_pooled_as_torchvision_does(self, student):
        features, boxes = normal(23, 2, 8, 13), torch.tensor([[4.0, 2.0, 40.0, 22.0], [11.0, 8.0, 33.0, 29.0]])
        found = student.roi_pool(features, boxes, (2, 4), 0.25)
        agree(found, ops.roi_pool(features[None], [boxes], (2, 4), 0.25), 1e-6)

    @pytest.mark.weight(2)
    def test_halves_are_rounded_away_from_zero(self, student):
        features = torch.arange(70.0).reshape(1, 7, 10)
        boxes = torch.tensor([[2.5, 1.5, 2.5, 1.5], [4.5, 2.5, 4.5, 2.5]])
        agree(student.roi_pool(features, boxes, (1, 1), 1.0).flatten(), torch.tensor([23.0, 35.0]), 0)

    def test_negative_halves_are_rounded_away_from_zero_too(self, student):
        features = torch.arange(70.0).reshape(1, 7, 10) + 1
        found = student.roi_pool(features, torch.tensor([[-0.5, 0.0, 0.75, 0.25]]), (1, 3), 1.0)
        agree(found.flatten(), torch.tensor([0.0, 1.0, 2.0]), 0)

    @pytest.mark.weight(2)
    def test_the_last_row_and_column_belong_to_the_region(self, student):
        features = torch.arange(70.0).reshape(1, 7, 10)
        agree(
            student.roi_pool(features, torch.tensor([[1.0, 2.0, 4.0, 5.0]]), (1, 1), 1.0),
            torch.full((1, 1, 1, 1), 54.0),
            0,
        )

    @pytest.mark.weight(2)
    def test_neighbouring_bins_may_share_rows_and_columns(self, student):
        features = -torch.arange(70.0).reshape(1, 7, 10)
        found = student.roi_pool(-features, torch.tensor([[1.0, 2.0, 3.0, 4.0]]), (2, 2), 1.0)
        agree(found.flatten(), torch.tensor([32.0, 33.0, 42.0, 43.0]), 0)

    @pytest.mark.weight(2)
    def test_more_bins_than_pixels_leave_none_empty(self, student):
        features = torch.arange(70.0).reshape(1, 7, 10) + 1
        found = student.roi_pool(features, torch.tensor([[1.0, 2.0, 2.0, 2.0]]), (1, 4), 1.0)
        agree(found.flatten(), torch.tensor([22.0, 22.0, 23.0, 23.0]), 0)

    @pytest.mark.weight(2)
    def test_bins_beyond_the_map_give_0_and_the_others_do_not_move(self, student):
        features = torch.arange(70.0).reshape(1, 7, 10) + 1
        found = student.roi_pool(features, torch.tensor([[-4.0, 0.0, 3.0, 0.0]]), (1, 4), 1.0)
        agree(found.flatten(), torch.tensor([0.0, 0.0, 2.0, 4.0]), 0)
        found = student.roi_pool(features, torch.tensor([[0.0, 5.0, 0.0, 8.0]]), (4, 1), 1.0)
        agree(found.flatten(), torch.tensor([51.0, 61.0, 0.0, 0.0]), 0)

    def test_negative_maxima_stay_negative(self, student):
        features = torch.arange(70.0).reshape(1, 7, 10) - 100
        agree(
            student.roi_pool(features, torch.tensor([[1.0, 0.0, 2.0, 0.0]]), (1, 2), 1.0).flatten(),
            torch.tensor([-99.0, -98.0]),
            0,
        )

    @pytest.mark.weight(0.5)
    def test_no_boxes_give_an_empty_result_and_arguments_stay_as_they_are(self, student):
        features, boxes = normal(24, 2, 5, 6), draw_quarters(25, 4, 6, 5)
        assert student.roi_pool(features, torch.zeros(0, 4), (2, 3), 0.5).shape == (0, 2, 2, 3)
        student.unchanged("roi_pool", features, boxes, (2, 3), 1.0)
        assert student.roi_pool(features, boxes, (2, 3), 1.0).shape == (4, 2, 2, 3)


@pytest.mark.task("roi_align")
class TestRoiAlign:
    @pytest.mark.weight(12)
    @pytest.mark.parametrize(
        ("size", "bins", "scale", "samples"),
        [((7, 12), (2, 3), 0.5, 2), ((9, 5), (7, 4), 0.25, 3), ((6, 16), (3, 1), 1.0, 1)],
    )
    def test_random_regions_are_aligned_as_the_four_steps_say(self, student, size, bins, scale, samples):
        features = normal(31, 3, *size) + 1
        boxes = draw_boxes(32, 25, size[1] / scale, size[0] / scale, least=0.5, most=40)
        expected = ops.roi_align(features[None], [boxes], bins, scale, samples, aligned=True)
        agree(student.roi_align(features, boxes, bins, scale, samples), expected, FEATURES)

    @pytest.mark.weight(2)
    def test_on_a_ramp_a_bin_gives_the_value_at_its_middle(self, student):
        y, x = torch.meshgrid(torch.arange(9.0), torch.arange(12.0), indexing="ij")
        found = student.roi_align(torch.stack([x, y]), torch.tensor([[6.5, 5.0, 16.5, 11.0]]), (1, 2), 0.5)
        agree(found, torch.tensor([[[[4.0, 6.5]], [[3.5, 3.5]]]]), FEATURES)

    @pytest.mark.weight(2)
    def test_a_shift_by_part_of_a_feature_shifts_the_values_as_much(self, student):
        x = torch.arange(12.0).expand(1, 9, 12).contiguous()
        box = torch.tensor([[4.0, 4.0, 12.0, 12.0]])
        moved = torch.cat([box + torch.tensor([s, 0.0, s, 0.0]) for s in (0.0, 0.25, 0.5, 1.0)])
        found = student.roi_align(x, moved, (1, 1), 0.5).flatten()
        agree(found - found[0], torch.tensor([0.0, 0.125, 0.25, 0.5]), FEATURES)

    @pytest.mark.weight(1.5)
    def test_half_a_feature_is_taken_off_after_scaling(self, student):
        x = torch.arange(12.0).expand(1, 9, 12).contiguous()
        agree(
            student.roi_align(x, torch.tensor([[8.0, 8.0, 24.0, 16.0]]), (1, 1), 0.25).flatten(),
            torch.tensor([3.5]),
            FEATURES,
        )

    @pytest.mark.weight(1.5)
    def test_there_is_no_least_size(self, student):
        x = torch.arange(12.0).expand(1, 9, 12).contiguous()
        agree(
            student.roi_align(x, torch.tensor([[3.0, 3.0, 3.25, 3.5]]), (1, 2), 1.0).flatten(),
            torch.tensor([2.5625, 2.6875]),
            FEATURES,
        )

    @pytest.mark.weight(1.5)
    def test_samples_far_outside_count_as_0(self, student):
        ones = torch.ones(1, 6, 8)
        boxes = torch.tensor([[-4.0, 1.0, 4.0, 3.0], [6.0, 1.0, 14.0, 3.0]])
        expected = ops.roi_align(ones[None], [boxes], (1, 4), 1.0, 2, aligned=True)
        agree(student.roi_align(ones, boxes, (1, 4), 1.0, 2), expected, FEATURES)

    @pytest.mark.weight(1.5)
    def test_samples_just_outside_take_the_value_of_the_border(self, student):
        x = torch.arange(8.0).expand(1, 6, 8) + 3
        boxes = torch.tensor([[-0.25, 1.0, -0.25, 1.0], [8.25, 1.0, 8.25, 1.0], [3.5, -0.25, 3.5, -0.25]])
        agree(student.roi_align(x, boxes, (1, 1), 1.0, 1).flatten(), torch.tensor([3.0, 10.0, 6.0]), FEATURES)

    @pytest.mark.weight(1.5)
    def test_the_number_of_samples_follows_the_argument(self, student):
        peak = torch.zeros(1, 6, 8)
        peak[0, 2, 4] = 6
        box = torch.tensor([[2.0, 1.0, 6.0, 4.5]])
        for samples in (1, 2, 4):
            expected = ops.roi_align(peak[None], [box], (1, 1), 1.0, samples, aligned=True)
            agree(student.roi_align(peak, box, (1, 1), 1.0, samples), expected, FEATURES)

    @pytest.mark.weight(1.5)
    def test_the_gradient_reaches_the_features(self, student):
        features, boxes = normal(33, 2, 6, 9), draw_boxes(34, 5, 18, 12, most=16)
        cotangent = normal(35, 5, 2, 2, 3)
        copy = features.clone().requires_grad_(True)
        (ops.roi_align(copy[None], [boxes], (2, 3), 0.5, 2, aligned=True) * cotangent).sum().backward()
        found = student.gradient("roi_align", (features, boxes, (2, 3), 0.5, 2), wrt=0, cotangent=cotangent)
        agree(found, copy.grad, FEATURES)

    @pytest.mark.weight(0.5)
    def test_two_samples_are_the_default_and_float64_stays_float64(self, student):
        features, boxes = normal(36, 2, 6, 9).double(), draw_boxes(37, 5, 18, 12, most=16).double()
        found = student.roi_align(features, boxes, (2, 3), 0.5)
        agree(found, ops.roi_align(features[None], [boxes], (2, 3), 0.5, 2, aligned=True), FEATURES)
        assert found.dtype == torch.float64

    @pytest.mark.weight(0.5)
    def test_no_boxes_give_an_empty_result_and_arguments_stay_as_they_are(self, student):
        features, boxes = normal(24, 2, 5, 6), draw_boxes(25, 4, 6, 5, most=5)
        assert student.roi_align(features, torch.zeros(0, 4), (2, 3), 0.5).shape == (0, 2, 2, 3)
        student.unchanged("roi_align", features, boxes, (2, 3), 1.0)
        assert student.roi_align(features, boxes, (2, 3), 1.0).shape == (4, 2, 2, 3)


# ---------------------------------------------------------------- mask_loss


def draw_masks(seed, K=5, C=4, m=6):
    rng = np.random.default_rng(seed)
    logits = torch.tensor(rng.normal(0, 2, (K, C, m, m)), dtype=torch.float32)
    labels = torch.tensor(rng.integers(0, C, K))
    return logits, labels, torch.tensor(rng.integers(0, 2, (K, m, m)))


def loss_by_hand(logits, labels, targets):
    own = torch.stack([one[label] for one, label in zip(logits.double(), labels.tolist(), strict=True)])
    return (F.softplus(own) - own * targets).mean()


# Means of some hundred numbers below 600, each of a few roundings in float32: 600 * 16 * 2^-24 = 6e-4 at most, and
# below 1e-5 for logits of ordinary size.
LOSS = 1e-4


@pytest.mark.task("mask_loss")
class TestMaskLoss:
    @pytest.mark.weight(10)
    @pytest.mark.parametrize("sizes", [(5, 4, 6), (3, 2, 9), (1, 1, 4)])
    def test_random_masks_cost_what_the_formula_says(self, student, sizes):
        case = draw_masks(41, *sizes)
        agree(torch.as_tensor(student.mask_loss(*case)), loss_by_hand(*case), LOSS)

    @pytest.mark.weight(3)
    def test_logits_of_0_cost_the_logarithm_of_2(self, student):
        _, labels, targets = draw_masks(42)
        agree(
            torch.as_tensor(student.mask_loss(torch.zeros(5, 4, 6, 6), labels, targets)),
            torch.tensor(math.log(2)),
            LOSS,
        )

    @pytest.mark.weight(3)
    def test_only_the_mask_of_the_true_class_gets_a_gradient(self, student):
        logits, labels, targets = draw_masks(43)
        found = student.gradient("mask_loss", (logits, labels, targets), wrt=0)
        copy = logits.clone().requires_grad_(True)
        loss_by_hand(copy, labels, targets).backward()
        agree(found, copy.grad, 1e-5)

    @pytest.mark.weight(2)
    def test_masks_of_other_classes_do_not_change_the_loss(self, student):
        logits, labels, targets = draw_masks(44)
        others = torch.where(F.one_hot(labels, 4).bool()[:, :, None, None], logits, logits + 7)
        one, other = (torch.as_tensor(student.mask_loss(value, labels, targets)) for value in (logits, others))
        assert one > 0.1 and abs(one - other) < LOSS

    @pytest.mark.weight(2)
    def test_large_logits_cost_much_and_not_infinitely_much(self, student):
        logits, labels, targets = draw_masks(45)
        agree(
            torch.as_tensor(student.mask_loss(100 * logits, labels, targets)),
            loss_by_hand(100 * logits, labels, targets),
            1e-2,
        )

    @pytest.mark.weight(2)
    def test_copies_of_the_regions_do_not_change_the_loss(self, student):
        case = draw_masks(46)
        one = torch.as_tensor(student.mask_loss(*case))
        two = torch.as_tensor(student.mask_loss(*(torch.cat([part, part]) for part in case)))
        assert one > 0.1 and abs(one - two) < LOSS

    @pytest.mark.weight(1.5)
    def test_without_regions_the_loss_is_0_and_has_a_gradient(self, student):
        empty = (torch.zeros(0, 3, 4, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0, 4, 4))
        assert student.mask_loss(*empty) == 0
        assert student.gradient("mask_loss", empty, wrt=0).shape == (0, 3, 4, 4)

    def test_targets_of_any_dtype_will_do(self, student):
        logits, labels, targets = draw_masks(47)
        for kind in (torch.bool, torch.uint8, torch.float32, torch.float64):
            agree(
                torch.as_tensor(student.mask_loss(logits, labels, targets.to(kind))),
                loss_by_hand(logits, labels, targets),
                LOSS,
            )

    @pytest.mark.weight(0.5)
    def test_the_loss_is_a_scalar_and_arguments_stay_as_they_are(self, student):
        found = student.mask_loss(*draw_masks(48))
        assert isinstance(found, torch.Tensor) and found.shape == () and found > 0.1
        student.unchanged("mask_loss", *draw_masks(48))


# ---------------------------------------------------------------- paste_masks


def values_of(mask, box, image_size):
    """What the pixels of a picture see of a mask, by scipy."""
    m, (x1, y1, x2, y2) = len(mask), box.double().tolist()
    v = (np.arange(image_size[0]) + 0.5 - y1) / (y2 - y1) * m - 0.5
    u = (np.arange(image_size[1]) + 0.5 - x1) / (x2 - x1) * m - 0.5
    grid = np.array(np.meshgrid(v, u, indexing="ij")) + 2
    return map_coordinates(np.pad(mask.double().numpy(), 2), grid, order=1, mode="constant")


def pasted(student, masks, boxes, image_size, *threshold):
    """Compare with scipy where the value is farther from the threshold than rounding reaches (2e-4)."""
    found = student.paste_masks(masks, boxes, image_size, *threshold)
    assert isinstance(found, torch.Tensor) and found.dtype == torch.bool
    assert found.shape == (len(masks), *image_size)
    limit = threshold[0] if threshold else 0.5
    for one, mask, box in zip(found.numpy(), masks, boxes, strict=True):
        value = values_of(mask, box, image_size)
        sure = abs(value - limit) > 2e-4
        assert (one == (value >= limit))[sure].all()


def soft_masks(seed, number, m):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.uniform(0, 1, (number, m, m)), dtype=torch.float32)


@pytest.mark.task("paste_masks")
class TestPasteMasks:
    @pytest.mark.weight(10)
    @pytest.mark.parametrize(("m", "size"), [(5, (30, 47)), (28, (60, 40)), (3, (25, 64))])
    def test_random_masks_land_where_the_formula_says(self, student, m, size):
        boxes = draw_boxes(51, 8, size[1], size[0], least=6, most=45)
        pasted(student, soft_masks(52, 8, m), boxes, size)

    @pytest.mark.weight(2)
    def test_a_mask_as_large_as_its_box_lands_as_it_is(self, student):
        mask = soft_masks(53, 1, 6)
        found = student.paste_masks(mask, torch.tensor([[3.0, 2.0, 9.0, 8.0]]), (12, 20))
        assert found.shape == (1, 12, 20) and found.sum() == (mask >= 0.5).sum()
        assert torch.equal(found[0, 2:8, 3:9], mask[0] >= 0.5)

    @pytest.mark.weight(2)
    def test_a_shift_of_the_box_by_part_of_a_pixel_counts(self, student):
        mask = soft_masks(54, 3, 5)
        boxes = torch.tensor([[3.0, 2.0, 13.0, 11.0]]) + torch.tensor([[0.0], [0.3], [0.7]])
        pasted(student, mask[:1].expand(3, 5, 5).contiguous(), boxes, (16, 21))

    @pytest.mark.weight(2)
    def test_the_mask_fades_at_the_rim_of_its_box_and_ends_there(self, student):
        for threshold in (0.5, 0.75, 0.9375):
            pasted(student, torch.ones(1, 3, 3), torch.tensor([[4.0, 3.0, 40.0, 27.0]]), (33, 50), threshold)

    @pytest.mark.weight(2)
    def test_interpolation_comes_before_the_threshold(self, student):
        pasted(student, soft_masks(55, 2, 3), torch.tensor([[0.0, 0.0, 50.0, 33.0], [5.0, 5.0, 30.0, 30.0]]), (33, 50))

    @pytest.mark.weight(2)
    def test_other_thresholds_give_other_masks(self, student):
        for threshold in (0.25, 0.8):
            pasted(student, soft_masks(56, 3, 7), draw_boxes(57, 3, 50, 33, least=10, most=40), (33, 50), threshold)

    @pytest.mark.weight(1.5)
    def test_a_value_equal_to_the_threshold_is_enough(self, student):
        mask = torch.tensor([[[0.5, 0.25], [0.75, 0.5]]])
        found = student.paste_masks(mask, torch.tensor([[1.0, 1.0, 3.0, 3.0]]), (4, 5))
        assert found.shape == (1, 4, 5) and found.sum() == 3 and bool(found[0, 1, 1]) and bool(found[0, 2, 2])

    def test_boxes_may_reach_beyond_the_picture(self, student):
        pasted(
            student, soft_masks(58, 2, 5), torch.tensor([[-9.0, -5.0, 20.0, 16.0], [30.0, 20.0, 60.0, 45.0]]), (33, 50)
        )

    @pytest.mark.weight(0.5)
    def test_no_masks_give_none_and_arguments_stay_as_they_are(self, student):
        found = student.paste_masks(torch.zeros(0, 28, 28), torch.zeros(0, 4), (5, 7))
        assert isinstance(found, torch.Tensor) and found.shape == (0, 5, 7)
        student.unchanged("paste_masks", soft_masks(59, 2, 5), draw_boxes(60, 2), (20, 30))
        assert student.paste_masks(soft_masks(59, 2, 5), draw_boxes(60, 2), (20, 30)).dtype == torch.bool


# ---------------------------------------------------------------- panoptic_quality


def quality_by_hand(pred, true):
    valid, truths = true != 0, [true == t for t in true.unique().tolist() if t != 0]
    ious, found, false = [], set(), 0
    for p in pred.unique().tolist():
        own, hit = pred == p, False
        for k, truth in enumerate(truths):
            union = int(((own & valid) | truth).sum())
            if 2 * int((own & truth).sum()) > union:
                ious.append(int((own & truth).sum()) / union)
                found.add(k)
                hit = True
        false += not hit and 2 * int((own & ~valid).sum()) <= int(own.sum())
    if not ious:
        return {"pq": 0.0, "sq": 0.0, "rq": 0.0}
    rq, sq = len(ious) / (len(ious) + false / 2 + (len(truths) - len(ious)) / 2), sum(ious) / len(ious)
    return {"pq": rq * sq, "sq": sq, "rq": rq}


def same_quality(student, pred, true):
    found, expected = student.panoptic_quality(pred, true), quality_by_hand(pred, true)
    assert isinstance(found, dict) and set(found) == {"pq", "sq", "rq"}
    assert all(abs(found[name] - value) < 1e-6 for name, value in expected.items())


def draw_segments(seed, height=24, width=37):
    """Blocks of a grid, the predicted ones shifted and some split or renamed; a part is void."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    true = 1 + (rows // 6) * 7 + columns // 6
    pred = 101 + ((rows + 1) // 6) * 9 + (columns + rng.integers(0, 4, (height, 1)) // 2) // 6
    pred[rng.random(pred.shape) < 0.05] = 100
    true[rng.random(true.shape) < 0.15] = 0
    true[18:, 20:] = 0
    pred[:9, 20:] = 400 + columns[:9, 20:] // 4
    return torch.tensor(pred), torch.tensor(true)


def row(*ids):
    return torch.tensor([ids])


@pytest.mark.task("panoptic_quality")
class TestPanopticQuality:
    @pytest.mark.weight(8)
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_random_segments_are_judged_as_the_definition_says(self, student, seed):
        pred, true = draw_segments(seed)
        assert quality_by_hand(pred, true)["pq"] > 0.1
        same_quality(student, pred, true)

    @pytest.mark.weight(2)
    def test_equal_segments_under_other_names_are_perfect_and_others_are_not(self, student):
        same_quality(student, row(4, 4, 9, 9, 9), row(2, 2, 1, 1, 1))
        same_quality(student, row(4, 4, 9, 9, 4), row(2, 2, 1, 1, 1))

    @pytest.mark.weight(1.5)
    def test_an_overlap_of_exactly_one_half_is_no_match(self, student):
        same_quality(student, row(1, 1, 2, 2, 3, 3), row(5, 5, 5, 5, 6, 6))

    @pytest.mark.weight(1.5)
    def test_missed_segments_and_false_ones_count_one_half_each(self, student):
        same_quality(student, row(1, 1, 1, 2, 2, 2), row(5, 5, 5, 6, 7, 8))
        same_quality(student, row(1, 1, 1, 2, 3, 4), row(5, 5, 5, 6, 6, 6))

    @pytest.mark.weight(1.5)
    def test_void_pixels_are_left_out_of_the_union(self, student):
        same_quality(student, row(1, 1, 1, 1, 1, 2), row(5, 5, 0, 0, 0, 6))

    @pytest.mark.weight(1.5)
    def test_a_prediction_mostly_on_void_is_not_false(self, student):
        same_quality(student, row(1, 1, 1, 2, 2, 2), row(5, 5, 5, 5, 0, 0))

    @pytest.mark.weight(1.5)
    def test_a_prediction_half_on_void_is_false(self, student):
        same_quality(student, row(1, 1, 1, 1, 2, 2), row(5, 5, 5, 5, 5, 0))
        same_quality(student, row(1, 1, 1, 1, 2, 2, 2), row(5, 5, 5, 5, 5, 5, 0))

    @pytest.mark.weight(1.5)
    def test_if_nothing_matches_all_three_are_0(self, student):
        same_quality(student, row(1, 1, 2, 2), row(3, 4, 4, 3))
        same_quality(student, row(1, 1, 2, 2), row(3, 3, 4, 4))
        same_quality(student, row(1, 1, 2, 2), row(0, 0, 0, 0))

    @pytest.mark.weight(0.5)
    def test_arguments_stay_as_they_are(self, student):
        same_quality(student, *draw_segments(4))
        student.unchanged("panoptic_quality", *draw_segments(4))
