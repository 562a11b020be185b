"""Hidden checks of 05_unet. The name of a test is the sentence that a student reads in the feedback."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from sklearn import metrics

SEGMENTATION_NETWORKS = [
    "torch.hub.load",
    "torchvision.models.get_model",
    *(
        f"torchvision.models.segmentation.{name}"
        for name in (
            "fcn_resnet50",
            "fcn_resnet101",
            "deeplabv3_resnet50",
            "deeplabv3_resnet101",
            "deeplabv3_mobilenet_v3_large",
            "lraspp_mobilenet_v3_large",
        )
    ),
]
FORBIDDEN: dict[str, list[str]] = {
    "confusion_matrix": [
        "sklearn.metrics.confusion_matrix",
        "sklearn.metrics.multilabel_confusion_matrix",
        "sklearn.metrics._classification.confusion_matrix",
    ],
    "mean_iou": ["sklearn.metrics.jaccard_score", "sklearn.metrics._classification.jaccard_score"],
    "dice_score": [
        "sklearn.metrics.f1_score",
        "sklearn.metrics.fbeta_score",
        "sklearn.metrics.precision_recall_fscore_support",
        "scipy.spatial.distance.dice",
    ],
    "UNet": SEGMENTATION_NETWORKS,
}

# Results of float32 code are compared with float64 oracles. Sums of up to 2^11 terms in [0, 1] round by less than
# 2^11 * 2^-24 = 1.3e-4 of their value in the worst case, by its root, 3e-6, as a rule; ratios of two such sums twice.
TOLERANCE = 2e-5


def tensor(found, *shape):
    """The result as float64, if it is a tensor of the shape."""
    assert isinstance(found, torch.Tensor)
    assert tuple(found.shape) == shape
    assert torch.isfinite(found).all()
    return found.detach().double()


def agree(found, expected, tolerance=TOLERANCE):
    expected = torch.as_tensor(expected).double()
    found = tensor(found, *expected.shape)
    assert ((found - expected).abs() <= tolerance * expected.abs().clamp(min=1)).all()


def numbers(seed):
    return torch.Generator().manual_seed(seed)


# ---------------------------------------------------------------- confusion_matrix


def draw_labels(seed, classes, shape=(2, 7, 11)):
    return tuple(torch.randint(classes, shape, generator=numbers(part)) for part in (seed, seed + 1))


def reference_table(pred, target, classes, ignore_index=None):
    pred, target = pred.numpy().ravel().astype(int), target.numpy().ravel().astype(int)
    keep = np.ones(len(target), dtype=bool) if ignore_index is None else target != ignore_index
    return metrics.confusion_matrix(target[keep], pred[keep], labels=range(classes))


def same_table(found, expected):
    assert isinstance(found, torch.Tensor)
    assert tuple(found.shape) == expected.shape
    assert np.array_equal(found.numpy(), expected)


@pytest.mark.task("confusion_matrix")
class TestConfusionMatrix:
    @pytest.mark.weight(25)
    @pytest.mark.parametrize(
        ("seed", "classes", "ignored"),
        [(1, 2, None), (3, 3, None), (5, 7, None), (2, 3, 0), (4, 3, -1), (6, 4, 2), (8, 20, 255)],
    )
    def test_random_labels_with_and_without_ignored_ones_are_counted_as_sklearn_counts_them(
        self, student, seed, classes, ignored
    ):
        pred, target = draw_labels(seed, classes)
        if ignored is not None:
            target[:, ::3] = ignored
        if classes == 7:
            pred, target = pred.clamp(max=4), target.clamp(max=4)  # the last two occur nowhere
        if ignored == 255:
            pred, target = pred.to(torch.uint8), target.to(torch.uint8)
        expected = reference_table(pred, target, classes, ignored)
        same_table(student.confusion_matrix(pred, target, classes, ignored), expected)

    @pytest.mark.weight(3)
    def test_the_true_class_is_the_row(self, student):
        pred, target = torch.full((2, 3, 4), 2), torch.full((2, 3, 4), 1)
        found = student.confusion_matrix(pred, target, 3)
        assert float(found[1, 2]) > 0 and float(found[2, 1]) == 0

    @pytest.mark.weight(2)
    def test_classes_that_do_not_occur_have_rows_and_columns_of_zeros(self, student):
        pred, target = draw_labels(7, 2)
        same_table(student.confusion_matrix(pred, target, 5), reference_table(pred, target, 5))

    @pytest.mark.weight(2)
    @pytest.mark.parametrize("ignored", [255, 1])
    def test_pixels_whose_target_is_ignored_are_dropped(self, student, ignored):
        pred, target = draw_labels(9, 3)
        target[0, 2:5] = ignored
        same_table(student.confusion_matrix(pred, target, 3, ignored), reference_table(pred, target, 3, ignored))

    @pytest.mark.weight(2)
    def test_class_0_can_be_ignored(self, student):
        pred, target = draw_labels(11, 3)
        found = student.confusion_matrix(pred, target, 3, ignore_index=0)
        same_table(found, reference_table(pred, target, 3, 0))

    @pytest.mark.weight(2)
    def test_a_negative_label_can_be_ignored(self, student):
        pred, target = draw_labels(13, 3)
        target[1, :, 4:] = -1
        found = student.confusion_matrix(pred, target, 3, ignore_index=-1)
        same_table(found, reference_table(pred, target, 3, -1))

    @pytest.mark.weight(3)
    def test_a_pixel_stays_whatever_was_predicted_there(self, student):
        pred, target = draw_labels(15, 3)
        target[target == 1] = 2
        found = student.confusion_matrix(pred, target, 3, ignore_index=1)
        same_table(found, reference_table(pred, target, 3))

    @pytest.mark.weight(2)
    def test_labels_of_eight_bits_are_counted_right_also_with_many_classes(self, student):
        pred, target = (part.to(torch.uint8) for part in draw_labels(17, 40))
        same_table(student.confusion_matrix(pred, target, 40), reference_table(pred, target, 40))

    @pytest.mark.weight(2)
    def test_all_images_are_counted(self, student):
        pred, target = draw_labels(19, 2, (3, 5, 8))
        found = student.confusion_matrix(pred, target, 2)
        parts = [student.confusion_matrix(pred[k : k + 1], target[k : k + 1], 2) for k in range(3)]
        assert torch.equal(found, parts[0] + parts[1] + parts[2])
        assert found.sum() == 120

    def test_without_images_the_table_is_zero(self, student):
        empty = torch.zeros((0, 4, 6), dtype=torch.int64)
        same_table(student.confusion_matrix(empty, empty, 3), np.zeros((3, 3)))

    def test_if_every_pixel_is_ignored_the_table_is_zero(self, student):
        pred, _ = draw_labels(21, 3)
        same_table(student.confusion_matrix(pred, torch.full_like(pred, 255), 3, 255), np.zeros((3, 3)))

    def test_the_counts_are_long_integers(self, student):
        found = student.confusion_matrix(*draw_labels(23, 3), 3)
        assert found.dtype == torch.int64 and found.sum() == 154

    def test_the_labels_that_were_passed_in_stay_as_they_were(self, student):
        pred, target = draw_labels(25, 3)
        target[0, 1] = 255
        student.unchanged("confusion_matrix", pred, target, 3, 255)
        assert student.confusion_matrix(pred, target, 3, 255).sum() == 143


# ---------------------------------------------------------------- mean_iou

TABLES = [
    torch.tensor([[5, 2], [1, 9]]),
    torch.tensor([[40, 3, 0], [7, 11, 2], [1, 6, 23]]),
    torch.randint(0, 30, (6, 6), generator=numbers(31)) + 20 * torch.eye(6, dtype=torch.int64),
]
SPARSE_TABLES = [
    torch.tensor([[7, 2, 0, 0], [1, 9, 0, 0], [0, 0, 0, 0], [0, 3, 0, 5]]),
    torch.tensor([[4, 1, 3], [2, 8, 0], [0, 0, 0]]),
    torch.tensor([[0, 0, 0], [0, 6, 2], [5, 1, 9]]),
]


def reference_iou(table):
    """By sklearn, on pixels that have this table."""
    target, pred = (table.numpy() > -1).nonzero()
    target, pred = (np.repeat(part, table.numpy().ravel()) for part in (target, pred))
    present = np.union1d(target, pred)
    return metrics.jaccard_score(target, pred, labels=present, average="macro")


def value(found):
    assert isinstance(found, (float, int, np.floating, torch.Tensor, np.ndarray)) and np.shape(found) == ()
    return float(found)


@pytest.mark.task("mean_iou")
class TestMeanIou:
    @pytest.mark.weight(50)
    @pytest.mark.parametrize("table", [*TABLES, *SPARSE_TABLES])
    def test_tables_of_counts_have_the_mean_iou_of_sklearn_also_where_classes_are_absent(self, student, table):
        assert abs(value(student.mean_iou(table)) - reference_iou(table)) < 1e-5

    @pytest.mark.weight(2)
    def test_what_was_missed_and_what_was_wrongly_found_count_alike(self, student):
        for table in TABLES:
            one, other = value(student.mean_iou(table)), value(student.mean_iou(table.T.contiguous()))
            assert 0 < one < 1 and abs(one - other) < 1e-6

    @pytest.mark.weight(2)
    def test_the_order_of_classes_does_not_matter(self, student):
        order = torch.tensor([2, 0, 1])
        one, other = value(student.mean_iou(TABLES[1])), value(student.mean_iou(TABLES[1][order][:, order]))
        assert 0 < one < 1 and abs(one - other) < 1e-6

    @pytest.mark.weight(2)
    def test_each_class_counts_alike_however_rare_it_is(self, student):
        # 1 and 1/3; pooled over the pixels it would be 1, of the rare class alone 1/3.
        assert 0.35 < value(student.mean_iou(torch.tensor([[100_000, 1], [1, 1]]))) < 0.9

    @pytest.mark.weight(3)
    def test_a_class_in_neither_truth_nor_prediction_is_left_out(self, student):
        wider = torch.zeros(5, 5, dtype=torch.int64)
        wider[1:4, 1:4] = TABLES[1]
        one, other = value(student.mean_iou(wider)), value(student.mean_iou(TABLES[1]))
        assert abs(one - other) < 1e-5 and 0 < one < 1

    @pytest.mark.weight(3)
    def test_a_class_that_is_predicted_but_never_true_counts_as_0(self, student):
        table = torch.tensor([[900, 0, 1], [0, 500, 0], [0, 0, 0]])  # two classes of nearly 1: left out, 0.999
        assert 0.3 < value(student.mean_iou(table)) <= 2 / 3

    @pytest.mark.weight(3)
    def test_a_class_that_is_true_but_never_predicted_counts_as_0(self, student):
        table = torch.tensor([[900, 0, 0], [0, 500, 0], [1, 0, 0]])
        assert 0.3 < value(student.mean_iou(table)) <= 2 / 3

    def test_a_perfect_prediction_has_1_and_a_wrong_one_0(self, student):
        assert abs(value(student.mean_iou(torch.tensor([[3, 0], [0, 8]]))) - 1) < 1e-6
        assert abs(value(student.mean_iou(torch.tensor([[0, 3], [8, 0]])))) < 1e-6

    @pytest.mark.weight(2)
    def test_without_any_class_it_is_nan(self, student):
        assert math.isnan(value(student.mean_iou(torch.zeros(4, 4, dtype=torch.int64))))
        assert value(student.mean_iou(TABLES[0])) > 0

    def test_large_counts_are_no_problem(self, student):
        one, other = value(student.mean_iou(TABLES[1] * 10**8)), value(student.mean_iou(TABLES[1]))
        assert abs(one - other) < 1e-5 and 0 < one < 1

    def test_the_result_is_a_python_float(self, student):
        found = student.mean_iou(TABLES[0])
        assert type(found) is float and found > 0

    def test_the_table_that_was_passed_in_stays_as_it_was(self, student):
        student.unchanged("mean_iou", TABLES[1])
        assert value(student.mean_iou(TABLES[1])) > 0


# ---------------------------------------------------------------- dice_score


def draw_masks(seed, number=4, height=7, width=11):
    return (
        torch.rand((number, height, width), generator=numbers(seed)) < torch.linspace(0.2, 0.8, number)[:, None, None]
    )


def reference_dice(pred, target):
    return [metrics.f1_score(t.flatten(), p.flatten(), zero_division=1.0) for p, t in zip(pred, target, strict=True)]


def between_0_and_1(found):
    """Neither a constant nor a wild guess: random masks overlap in part."""
    assert isinstance(found, torch.Tensor) and ((found > 0) & (found < 1)).all()


@pytest.mark.task("dice_score")
class TestDiceScore:
    @pytest.mark.weight(50)
    @pytest.mark.parametrize("seed", [41, 43])
    def test_random_masks_and_empty_ones_have_the_f1_of_sklearn(self, student, seed):
        pred, target = draw_masks(seed, 7), draw_masks(seed + 1, 7)
        pred[1] = target[1] = pred[4] = target[5] = False
        agree(student.dice_score(pred, target), reference_dice(pred, target))

    @pytest.mark.weight(2)
    def test_prediction_and_truth_may_be_exchanged(self, student):
        pred, target = draw_masks(45), draw_masks(46)
        one, other = student.dice_score(pred, target), student.dice_score(target, pred)
        between_0_and_1(one)
        assert one.shape == other.shape and (one - other).abs().max() < TOLERANCE

    @pytest.mark.weight(2)
    def test_a_mask_and_itself_have_dice_1_and_a_mask_and_its_complement_0(self, student):
        mask = draw_masks(47)
        assert (student.dice_score(mask, mask) - 1).abs().max() < TOLERANCE
        assert student.dice_score(mask, ~mask).abs().max() < TOLERANCE

    @pytest.mark.weight(3)
    def test_background_around_the_objects_does_not_matter(self, student):
        pred, target = draw_masks(49), draw_masks(50)
        one = student.dice_score(pred, target)
        other = student.dice_score(F.pad(pred, (9, 3, 5, 20)), F.pad(target, (9, 3, 5, 20)))
        between_0_and_1(one)
        assert one.shape == other.shape and (one - other).abs().max() < TOLERANCE

    @pytest.mark.weight(3)
    def test_each_image_is_judged_alone(self, student):
        pred, target = draw_masks(51), draw_masks(52)
        found = student.dice_score(pred, target)
        between_0_and_1(found)
        for k in range(4):
            alone = student.dice_score(pred[k : k + 1], target[k : k + 1])
            assert (found[k] - alone).abs().max() < TOLERANCE

    @pytest.mark.weight(2)
    def test_two_empty_masks_have_dice_1(self, student):
        pred, target = draw_masks(53)[2:3], draw_masks(54)[2:3]
        between_0_and_1(student.dice_score(pred, target))
        empty = torch.zeros_like(pred)
        assert (student.dice_score(empty, empty) - 1).abs().max() < TOLERANCE

    @pytest.mark.weight(2)
    def test_one_empty_mask_has_dice_0(self, student):
        pred, target = draw_masks(55)[2:3], draw_masks(56)[2:3]
        between_0_and_1(student.dice_score(pred, target))
        empty = torch.zeros_like(pred)
        assert student.dice_score(pred, empty).abs().max() < TOLERANCE
        assert student.dice_score(empty, target).abs().max() < TOLERANCE

    def test_large_masks_are_counted_right(self, student):
        pred, target = draw_masks(57, 2), draw_masks(58, 2)
        one, other = (student.dice_score(pred.tile(1, n, n), target.tile(1, n, n)) for n in (1, 13))
        between_0_and_1(one)
        assert one.shape == other.shape and (one - other).abs().max() < TOLERANCE

    @pytest.mark.weight(0.5)
    def test_without_images_there_are_no_numbers(self, student):
        found = student.dice_score(draw_masks(59)[:0], draw_masks(60)[:0])
        assert tuple(found.shape) == (0,)

    @pytest.mark.weight(0.5)
    def test_the_result_holds_floats(self, student):
        found = student.dice_score(draw_masks(61), draw_masks(62))
        assert found.dtype.is_floating_point and tuple(found.shape) == (4,)

    def test_the_masks_that_were_passed_in_stay_as_they_were(self, student):
        pred, target = draw_masks(63), draw_masks(64)
        student.unchanged("dice_score", pred, target)
        assert tuple(student.dice_score(pred, target).shape) == (4,)


# ---------------------------------------------------------------- DoubleConv


def kernels(net):
    """Names and shapes of a network's convolution weights."""
    return {name: tuple(value.shape) for name, value in net.state_dict().items() if value.ndim == 4}


def ready(student, net, alive=True):
    """In eval mode and without normalisation layers, which are allowed, but hide what depends on what.

    A layer with a bias and a weight of one axis each is one that normalises: the identity takes its place. Those
    without parameters stay; `dependence` sees past the little that they spread over the whole picture.

    Small networks with random biases have silent ReLUs now and then; with biases of 1, and weights as PyTorch draws
    them, next to none is silent, and what depends on what shows whatever the order in which layers were made.
    """
    net.eval()
    state = net.state_dict()
    for name, weight in state.items():
        layer, _, kind = name.rpartition(".")
        if layer and kind == "weight" and weight.ndim == 1 and f"{layer}.bias" in state:
            net.set_submodule(layer, student.value("torch").nn.Identity())
    if alive:
        state = net.state_dict()
        net.load_state_dict({name: torch.ones_like(v) if name.endswith("bias") else v for name, v in state.items()})
    return net


def influence(student, net, x, row, column):
    """(H, W): mean absolute gradient of the output at one pixel with respect to the pixels of random images x."""
    shape = tuple(net(x[:1]).shape)
    cotangent = torch.zeros(len(x), *shape[1:])
    cotangent[:, :, row, column] = torch.rand(shape[1], generator=numbers(0)) + 0.5
    grad = student.gradient(net, (x,), wrt=0, cotangent=cotangent)
    assert isinstance(grad, torch.Tensor)
    return grad.double().abs().mean(dim=(0, 1))


def dependence(student, net, x, row, column):
    """(H, W) bool: on which pixels of the images the output at one pixel depends more than on the images' corners.

    The corners lie outside of what it sees: their influence is 0, or, with layers that normalise over the picture,
    some thousandths of that of the pixel itself.
    """
    found = influence(student, net, x, row, column)
    corners = max(float(part.max()) for part in (found[:3, :3], found[:3, -3:], found[-3:, :3], found[-3:, -3:]))
    return found > 5 * corners


def extent(found):
    """Rows and columns that a bool map spans."""
    rows, columns = found.nonzero(as_tuple=True)
    return int(rows.max() - rows.min() + 1), int(columns.max() - columns.min() + 1)


def block(student, in_channels, out_channels, seed=0):
    student.seed(seed)
    return ready(student, student.DoubleConv(in_channels, out_channels))


def two_kernels(net, in_channels):
    """Names of the first and the second convolution's weights, told apart by their channels."""
    found = kernels(net)
    assert len(found) == 2
    first = [name for name, shape in found.items() if shape[1] == in_channels]
    assert len(first) == 1
    return first[0], next(name for name in found if name != first[0])


def with_weights(net, **changed):
    """Load changed weights."""
    net.load_state_dict({**net.state_dict(), **changed})
    return net


def varies(found):
    """Whether an (N, C, H, W) result is not the same everywhere (rounding: some 1e-6)."""
    return float(found.amax() - found.amin()) > 0.01


def has_bias(net):
    return any(name.endswith("bias") for name in net.state_dict())


def between(student, after=2):
    """Whether the output varies with x when the layers make x + 1 and 1 - x, then their sum.

    The sum is 2 if nothing lies between the layers. Without biases they make x and -2 x, then 2 * first + second:
    so odd functions, such as tanh, show in both cases.
    """
    net = block(student, 1, after)
    first, second = two_kernels(net, 1)
    factor = 1 if has_bias(net) else 2
    one, two = torch.zeros(kernels(net)[first]), torch.zeros(kernels(net)[second])
    one[0, 0, 1, 1], one[1, 0, 1, 1] = 1, -factor
    two[:, 0, 1, 1], two[:, 1, 1, 1] = factor, 1
    with_weights(net, **{first: one, second: two})
    return varies(tensor(net(torch.linspace(-6, 6, 35).reshape(1, 1, 5, 7)), 1, after, 5, 7))


def behind(student):
    """Whether outputs for weights of opposite sign in the second layer have a sum that varies.

    Without biases the sum is 0 behind an odd function, too; there twice the weights must not give twice the output.
    """
    net = block(student, 1, 6)
    _, second = two_kernels(net, 1)
    x = 10 * torch.randn(2, 1, 6, 9, generator=numbers(3))
    weight = net.state_dict()[second]
    plus, minus, twice = (
        tensor(with_weights(net, **{second: factor * weight})(x), 2, 6, 6, 9) for factor in (1, -1, 2)
    )
    return varies(plus + minus) or (not has_bias(net) and varies(twice - 2 * plus))


def spread(net, x):
    """Largest difference of the output from that of one pixel, away from the border."""
    found = tensor(net(x), 2, 4, 6, 9)[:, :, 2:-2, 2:-2]
    return float((found - found[:1, :, :1, :1]).abs().max())


def uses_both(student):
    """Whether a block of 4 and 4 channels gives a constant as soon as either convolution has weights of 0."""
    x = 5 * torch.randn(2, 4, 6, 9, generator=numbers(4))
    net = block(student, 4, 4)
    state = net.state_dict()
    spreads = [spread(net, x)]
    for name in kernels(net):
        net.load_state_dict({**state, name: torch.zeros_like(state[name])})
        spreads.append(spread(net, x))
    # Layers that normalise divide by the root of 1e-5 at least: they blow up rounding by 300.
    return spreads[0] > 0.02 and max(spreads[1:]) < 1e-3


def sees(student):
    """Which of 33 x 39 input pixels the output at row 16, column 19 depends on."""
    return dependence(student, block(student, 2, 12), torch.randn(8, 2, 33, 39, generator=numbers(2)), 16, 19)


@pytest.mark.task("DoubleConv")
class TestDoubleConv:
    @pytest.mark.weight(30)
    def test_sizes_kernels_activations_and_what_a_pixel_sees_are_all_as_described(self, student):
        shapes = kernels(block(student, 3, 5)).values()
        assert len(shapes) == 2 and all(shape[2:] == (3, 3) for shape in shapes)
        for before, after, height, width in ((2, 6, 9, 8), (4, 4, 5, 9)):
            found = block(student, before, after)(torch.randn(3, before, height, width, generator=numbers(1)))
            assert tuple(found.shape) == (3, after, height, width)
        assert extent(sees(student)) == (5, 5)
        assert between(student) and behind(student) and uses_both(student)

    @pytest.mark.weight(3)
    @pytest.mark.parametrize(("before", "after", "height", "width"), [(1, 6, 9, 7), (5, 3, 6, 13), (4, 4, 8, 5)])
    def test_height_and_width_stay_and_the_channels_become_those_asked_for(self, student, before, after, height, width):
        found = block(student, before, after)(torch.randn(2, before, height, width, generator=numbers(1)))
        assert tuple(found.shape) == (2, after, height, width)

    @pytest.mark.weight(4)
    def test_an_output_pixel_sees_five_by_five_input_pixels(self, student):
        found = sees(student)
        assert extent(found) == (5, 5) and found[14:19, 17:22].float().mean() > 0.8

    @pytest.mark.weight(3)
    def test_there_are_exactly_two_convolutions_of_three_by_three(self, student):
        found = kernels(block(student, 3, 5))
        assert len(found) == 2 and all(shape[2:] == (3, 3) for shape in found.values())

    @pytest.mark.weight(3)
    def test_there_is_an_activation_between_the_convolutions(self, student):
        assert between(student)

    @pytest.mark.weight(3)
    def test_there_is_an_activation_after_the_second_convolution(self, student):
        # Without one, weights of the opposite sign would give the opposite output but for the bias.
        assert behind(student)

    @pytest.mark.weight(2)
    def test_both_convolutions_are_used_also_when_the_channels_stay(self, student):
        assert uses_both(student)

    def test_images_of_a_batch_do_not_influence_each_other(self, student):
        net = block(student, 2, 6)
        x = torch.randn(3, 2, 6, 8, generator=numbers(5))
        agree(net(x)[1:2], tensor(net(x[1:2]), 1, 6, 6, 8))
        assert float(net(x).detach().std()) > 1e-3

    def test_a_batch_without_images_is_allowed(self, student):
        assert tuple(block(student, 2, 6)(torch.zeros(0, 2, 6, 8)).shape) == (0, 6, 6, 8)

    def test_the_images_that_were_passed_in_stay_as_they_were(self, student):
        net = block(student, 2, 6)
        x = torch.randn(3, 2, 6, 8, generator=numbers(6))
        call = student._call(net, (x,), {}, changed=True)
        assert torch.equal(call.arguments[0], x) and tuple(call.value.shape) == (3, 6, 6, 8)


# ---------------------------------------------------------------- UNet


def unet(student, *args, seed=0, alive=True, **options):
    student.seed(seed)
    return ready(student, student.UNet(*args, **options), alive)


def silence(net, channels):
    """Set all parameters that make `channels` or more maps to 0: with base b, 2b silences all levels but the first.

    The first axis of a weight is the number of maps it makes, except for transposed convolutions, where it is that of
    the maps it reads, which lie one level lower: they are silenced with that level.
    """
    state = net.state_dict()
    for name, weight in state.items():
        if weight.ndim and weight.shape[0] >= channels:
            state[name] = torch.zeros_like(weight)
    net.load_state_dict(state)
    return net


def width_seen(student, net, height=112, width=120):
    found = dependence(student, net, torch.randn(4, 1, height, width, generator=numbers(7)), height // 2, width // 2)
    return min(extent(found)) if found.any() else 0


def channels_made(student, base, depth):
    """Numbers of maps that 3x3 convolutions make."""
    net = unet(student, 1, 2, base=base, depth=depth)
    return {shape[0] for shape in kernels(net).values() if shape[2:] == (3, 3)}


def seen_by_level(student):
    """Width that a pixel sees with 1, 2 and 3 levels speaking and the levels below silenced; base 4, depth 3."""
    return [width_seen(student, silence(unet(student, 1, 2, base=4, depth=3), 4 * 2**k)) for k in (1, 2, 3)]


def speaks_for_itself(student):
    """Whether the output differs for different images with all levels below the first silenced."""
    net = silence(unet(student, 1, 3, base=4, depth=2), 8)
    found = tensor(net(torch.randn(2, 1, 16, 24, generator=numbers(11))), 2, 3, 16, 24)
    return float((found[0] - found[1]).abs().max()) > 1e-4


def corners_reach(student):
    """Whether the output in each corner of an image of odd size depends on the input there."""
    net = unet(student, 1, 2, base=4, depth=2)
    x = torch.randn(8, 1, 11, 14, generator=numbers(10))
    return all(influence(student, net, x, row, column)[row, column] > 0 for row in (0, 10) for column in (0, 13))


def lies_on_itself(student):
    """Whether the pixels that an output pixel sees lie around it, in an image of which no side fits.

    With all levels below the first silenced it sees 9 x 9 pixels. The centre of the squared influence of a random
    network lies within a pixel of the middle, more closely for the mean of several; an image of 21 x 26 that is padded
    on one side and cut on the other moves it by 3 and 6 pixels.
    """
    total = 0
    for seed in range(4):
        net = silence(unet(student, 1, 2, base=4, depth=3, seed=seed), 8)
        x = torch.randn(8, 1, 21, 26, generator=numbers(15))
        total = total + influence(student, net, x, 10, 12).square()
    if total.sum() == 0:  # no skip connection to see it by
        return bool((influence(student, unet(student, 1, 2, base=4, depth=3), x, 10, 12) > 0).any())
    total = total / total.sum()
    row = float((total.sum(dim=1) * torch.arange(21)).sum())
    column = float((total.sum(dim=0) * torch.arange(26)).sum())
    return abs(row - 10) < 1.2 and abs(column - 12) < 1.2


def all_are_known(student):
    """Whether PyTorch knows as many parameters as a network of base 4 and depth 2 needs at least."""
    total = sum(weight.numel() for weight in unet(student, 1, 2, base=4, depth=2).state_dict().values())
    # The way down: 1 -> 4 -> 4, 4 -> 8 -> 8, 8 -> 16 -> 16. The way up at its smallest, maps added and one 3x3
    # convolution a level: 9 * (8 * 8 + 4 * 4), and 1x1 for the channels, 16 * 8 + 8 * 4; 880 in all.
    return total > 9 * (20 + 96 + 384) + 800


def some_logits(student):
    """Outputs of three networks."""
    nets = [unet(student, 1, 5, base=4, depth=2, seed=seed, alive=False) for seed in range(3)]
    return torch.cat([tensor(net(torch.randn(2, 1, 12, 16, generator=numbers(12))), 2, 5, 12, 16) for net in nets])


def are_logits(found):
    """Not probabilities, their logarithms, or what an activation leaves."""
    sums = float((found.sum(dim=1) - 1).abs().max()), float(found.logsumexp(dim=1).abs().max())
    return bool((found < 0).any()) and min(sums) > 1e-3


@pytest.mark.task("UNet")
class TestUNet:
    @pytest.mark.weight(60)
    def test_sizes_channels_levels_skip_connections_and_logits_are_all_as_in_the_sketch(self, student):
        for channels, classes, depth, height, width in ((3, 5, 2, 12, 8), (1, 3, 2, 13, 22), (2, 2, 3, 9, 30)):
            net = unet(student, channels, classes, base=5, depth=depth)
            found = net(torch.randn(2, channels, height, width, generator=numbers(8)))
            assert tuple(found.shape) == (2, classes, height, width)
        for base, depth in ((4, 2), (6, 3)):
            made = channels_made(student, base, depth)
            assert {base * 2**level for level in range(depth + 1)} <= made and max(made) == base * 2**depth
        assert speaks_for_itself(student) and corners_reach(student) and lies_on_itself(student)
        seen = [*seen_by_level(student), width_seen(student, unet(student, 1, 2, base=4, depth=3))]
        assert 0 < seen[0] < seen[1] < seen[2] < seen[3] and seen[3] > 40  # 29 without pooling
        assert are_logits(some_logits(student)) and all_are_known(student)

    @pytest.mark.weight(3)
    @pytest.mark.parametrize(
        ("channels", "classes", "base", "depth", "height", "width"),
        [(1, 2, 4, 3, 16, 24), (3, 5, 6, 2, 12, 8), (2, 1, 4, 1, 6, 4)],
    )
    def test_images_whose_sides_fit_give_logits_of_their_size(
        self, student, channels, classes, base, depth, height, width
    ):
        net = unet(student, channels, classes, base=base, depth=depth)
        found = net(torch.randn(2, channels, height, width, generator=numbers(8)))
        assert tuple(found.shape) == (2, classes, height, width)

    @pytest.mark.weight(3)
    @pytest.mark.parametrize(("depth", "height", "width"), [(1, 5, 8), (2, 13, 22), (3, 8, 15), (3, 29, 17), (2, 4, 7)])
    def test_images_of_any_size_give_logits_of_their_size(self, student, depth, height, width):
        net = unet(student, 1, 3, base=4, depth=depth)
        assert tuple(net(torch.randn(2, 1, height, width, generator=numbers(9))).shape) == (2, 3, height, width)

    @pytest.mark.weight(3)
    def test_the_output_depends_on_every_pixel_of_an_image_of_any_size(self, student):
        assert corners_reach(student)

    @pytest.mark.weight(4)
    def test_output_and_input_lie_on_each_other_also_if_the_size_does_not_fit(self, student):
        assert lies_on_itself(student)

    @pytest.mark.weight(5)
    def test_with_all_levels_below_the_first_silenced_the_output_still_depends_on_the_input(self, student):
        assert speaks_for_itself(student)

    @pytest.mark.weight(5)
    def test_every_level_has_its_skip_connection(self, student):
        # The more levels speak, the wider an output pixel sees: each level must reach the output past those below.
        seen = seen_by_level(student)
        assert 0 < seen[0] < seen[1] < seen[2]

    @pytest.mark.weight(4)
    def test_every_level_below_widens_what_an_output_pixel_sees(self, student):
        seen = [width_seen(student, unet(student, 1, 2, base=8, depth=depth)) for depth in (1, 2, 3)]
        # Two 3x3 convolutions at 1/2 resolution add 8 pixels, at 1/4 16, at 1/8 32; before them 9 were seen.
        assert seen[0] >= 12 and seen[1] >= seen[0] + 10 and seen[2] >= seen[1] + 16

    @pytest.mark.weight(4)
    @pytest.mark.parametrize(("base", "depth"), [(4, 2), (6, 3), (3, 1)])
    def test_the_channels_start_with_base_and_double_from_level_to_level(self, student, base, depth):
        made = channels_made(student, base, depth)
        assert {base * 2**level for level in range(depth + 1)} <= made
        assert max(made) == base * 2**depth

    def test_base_is_16_and_depth_3_if_not_told_otherwise(self, student):
        made = {shape[0] for shape in kernels(unet(student, 2, 3)).values() if shape[2:] == (3, 3)}
        assert {16, 32, 64, 128} <= made and max(made) == 128

    @pytest.mark.weight(3)
    def test_the_outputs_are_logits(self, student):
        assert are_logits(some_logits(student))

    @pytest.mark.weight(2)
    def test_all_layers_are_known_as_parameters(self, student):
        assert all_are_known(student)

    def test_images_of_a_batch_do_not_influence_each_other(self, student):
        net = unet(student, 1, 2, base=4, depth=2)
        x = torch.randn(3, 1, 10, 12, generator=numbers(13))
        agree(net(x)[2:], tensor(net(x[2:]), 1, 2, 10, 12))
        assert float(net(x).detach().std()) > 1e-4

    def test_the_images_that_were_passed_in_stay_as_they_were(self, student):
        net = unet(student, 1, 2, base=4, depth=2)
        x = torch.randn(2, 1, 10, 12, generator=numbers(14))
        call = student._call(net, (x,), {}, changed=True)
        assert torch.equal(call.arguments[0], x) and tuple(call.value.shape) == (2, 2, 10, 12)


# ---------------------------------------------------------------- valid_output_size


def reference_size(size, depth):
    """By a list of steps; None where the paper's network can not work."""
    for step in [-2, -2, "pool"] * depth + [-2, -2] + ["up", -2, -2] * depth:
        if step == "pool":
            if size % 2:
                return None
            size //= 2
        else:
            size = 2 * size if step == "up" else size + step
        if size < 1:
            return None
    return size


def sizes(depth, good):
    return [size for size in range(1, 700) if (reference_size(size, depth) is not None) == good]


def whole(found):
    assert not isinstance(found, (bool, float))
    return int(found)


@pytest.mark.task("valid_output_size")
class TestValidOutputSize:
    @pytest.mark.weight(45)
    @pytest.mark.parametrize("depth", [0, 1, 2, 3, 4])
    def test_every_size_gives_what_level_by_level_arithmetic_says_be_it_a_number_or_an_error(self, student, depth):
        assert value(student.valid_output_size(572)) == 388
        for size in [*range(1, 46), *range(184, 190), 571, 572, 573, *sizes(depth, True)[-2:]]:
            expected = reference_size(size, depth)
            if expected is None:
                assert student.raises(ValueError, "valid_output_size", size, depth)
            else:
                assert value(student.valid_output_size(size, depth)) == expected

    @pytest.mark.weight(4)
    def test_the_paper_turns_572_into_388(self, student):
        assert value(student.valid_output_size(572)) == 388

    @pytest.mark.weight(4)
    @pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
    def test_sizes_that_work_come_out_as_level_by_level_arithmetic_says(self, student, depth):
        for size in sizes(depth, True)[:6] + sizes(depth, True)[-3:]:
            assert value(student.valid_output_size(size, depth)) == reference_size(size, depth)

    @pytest.mark.weight(2)
    def test_without_pooling_two_convolutions_remain(self, student):
        assert [value(student.valid_output_size(size, 0)) for size in (5, 6, 21)] == [1, 2, 17]

    @pytest.mark.weight(2)
    def test_a_larger_input_gives_a_larger_output(self, student):
        found = [value(student.valid_output_size(size, 3)) for size in sizes(3, True)[:8]]
        assert (np.diff(found) > 0).all()

    @pytest.mark.weight(3)
    @pytest.mark.parametrize(("size", "depth"), [(21, 1), (25, 1), (571, 4), (573, 4), (101, 2)])
    def test_an_odd_input_is_an_error(self, student, size, depth):
        assert value(student.valid_output_size(572)) > 0
        assert student.raises(ValueError, "valid_output_size", size, depth)

    @pytest.mark.weight(3)
    @pytest.mark.parametrize(("size", "depth"), [(30, 2), (98, 2), (570, 4), (580, 4), (62, 3)])
    def test_an_odd_size_deeper_down_is_an_error(self, student, size, depth):
        assert value(student.valid_output_size(572)) > 0
        assert student.raises(ValueError, "valid_output_size", size, depth)

    @pytest.mark.weight(3)
    @pytest.mark.parametrize(("size", "depth"), [(4, 1), (1, 1), (12, 2), (12, 4), (28, 4), (2, 3)])
    def test_an_input_of_which_nothing_is_left_on_the_way_down_is_an_error(self, student, size, depth):
        assert value(student.valid_output_size(572)) > 0
        assert student.raises(ValueError, "valid_output_size", size, depth)

    @pytest.mark.parametrize(("size", "depth"), [(4, 0), (1, 0), (8, 1), (12, 1), (28, 3)])
    def test_an_input_of_which_the_bottom_leaves_nothing_is_an_error(self, student, size, depth):
        assert value(student.valid_output_size(572)) > 0
        assert student.raises(ValueError, "valid_output_size", size, depth)

    @pytest.mark.weight(2)
    @pytest.mark.parametrize(("size", "depth"), [(14, 1), (16, 1), (36, 2), (40, 2), (156, 4), (172, 4)])
    def test_an_input_of_which_nothing_is_left_on_the_way_up_is_an_error(self, student, size, depth):
        assert value(student.valid_output_size(572)) > 0
        assert student.raises(ValueError, "valid_output_size", size, depth)

    def test_the_result_is_a_whole_number(self, student):
        assert whole(student.valid_output_size(572)) > 0 and whole(student.valid_output_size(20, 1)) > 0


# ---------------------------------------------------------------- soft_dice_loss


def draw_scene(seed, classes, shape=(2, 6, 9)):
    logits = 2 * torch.randn(shape[0], classes, *shape[1:], generator=numbers(seed))
    return logits, torch.randint(classes, shape, generator=numbers(seed + 1))


def reference_loss(logits, target, eps=1e-6):
    logits, target = logits.double().numpy(), target.numpy()
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    values = []
    for n in range(len(p)):
        for c in range(p.shape[1]):
            t = target[n] == c
            values.append((2 * p[n, c][t].sum() + eps) / (p[n, c].sum() + t.sum() + eps))
    return 1 - np.mean(values)


def sure(target, classes, score=40.0):
    return score * F.one_hot(target, classes).movedim(-1, 1).float()


SCENES = [(71, 2), (73, 3), (75, 5)]


@pytest.mark.task("soft_dice_loss")
class TestSoftDiceLoss:
    @pytest.mark.weight(45)
    @pytest.mark.parametrize(("seed", "classes"), SCENES)
    def test_random_logits_have_the_loss_of_the_formula(self, student, seed, classes):
        logits, target = draw_scene(seed, classes)
        assert abs(value(student.soft_dice_loss(logits, target)) - reference_loss(logits, target)) < TOLERANCE
        target[target == 0] = 1  # class 0 is absent, and in the first image predicted nowhere
        logits = sure(target, classes, 300.0)
        logits[1, :, :2] = 0.5
        assert abs(value(student.soft_dice_loss(logits, target)) - reference_loss(logits, target)) < TOLERANCE

    @pytest.mark.weight(4)
    @pytest.mark.parametrize(("seed", "classes"), SCENES)
    def test_the_gradient_is_that_of_the_formula(self, student, seed, classes):
        logits, target = draw_scene(seed + 100, classes)
        found = student.gradient("soft_dice_loss", (logits, target), wrt=0)
        exact = logits.double()
        rng, step = np.random.default_rng(seed), 1e-4
        for _ in range(6):
            direction = torch.from_numpy(rng.normal(size=tuple(logits.shape)))
            change = reference_loss(exact + step * direction, target) - reference_loss(exact - step * direction, target)
            assert abs(float((found.double() * direction).sum()) - change / (2 * step)) < 1e-4
            assert abs(change) > 1e-8

    @pytest.mark.weight(2)
    def test_a_sure_and_right_answer_has_loss_0_and_a_sure_and_wrong_one_1(self, student):
        target = torch.arange(54).reshape(1, 6, 9) % 2
        assert abs(value(student.soft_dice_loss(sure(target, 2), target))) < TOLERANCE
        assert abs(value(student.soft_dice_loss(sure(1 - target, 2), target)) - 1) < TOLERANCE

    @pytest.mark.weight(2)
    def test_adding_the_same_to_all_logits_of_a_pixel_changes_nothing(self, student):
        logits, target = draw_scene(77, 3)
        shift = torch.randn(2, 1, 6, 9, generator=numbers(78))
        one, other = (value(student.soft_dice_loss(values, target)) for values in (logits, logits + shift))
        assert abs(one - other) < TOLERANCE and 0 < one < 1

    @pytest.mark.weight(2)
    def test_each_image_counts_alike(self, student):
        logits, target = draw_scene(79, 3, (3, 6, 9))
        target[0], target[1] = 0, 1
        parts = [value(student.soft_dice_loss(logits[k : k + 1], target[k : k + 1])) for k in range(3)]
        assert abs(value(student.soft_dice_loss(logits, target)) - np.mean(parts)) < TOLERANCE
        assert np.std(parts) > 0.01

    @pytest.mark.weight(2)
    def test_all_classes_count_alike_also_class_0(self, student):
        logits, target = draw_scene(81, 4)
        order = torch.tensor([2, 0, 3, 1])
        one, other = (
            value(student.soft_dice_loss(*part))
            for part in ((logits, target), (logits[:, order], order.argsort()[target]))
        )
        assert abs(one - other) < TOLERANCE and 0 < one < 1

    @pytest.mark.weight(2)
    def test_a_class_that_is_absent_and_surely_not_predicted_counts_as_right(self, student):
        target = torch.arange(54).reshape(1, 6, 9) % 2
        logits = sure(target, 4)
        assert abs(value(student.soft_dice_loss(logits, target))) < TOLERANCE
        logits[:, :, 0] = sure(1 - target, 4)[:, :, 0]
        assert value(student.soft_dice_loss(logits, target)) > 0.01

    @pytest.mark.weight(2)
    def test_epsilon_is_too_small_to_matter_for_a_small_object(self, student):
        target = torch.zeros(1, 6, 9, dtype=torch.int64)
        target[0, 3, 4] = 1
        logits = torch.zeros(1, 2, 6, 9)
        logits[:, 0] = 4
        # Each pixel ten times: all sums grow tenfold, and ratios of sums stay.
        one, other = (value(student.soft_dice_loss(logits.tile(1, 1, n, 1), target.tile(1, n, 1))) for n in (1, 10))
        assert abs(one - other) < TOLERANCE and 0 < one < 1

    @pytest.mark.weight(2)
    def test_a_class_that_is_predicted_but_absent_counts_as_wrong(self, student):
        target = torch.arange(54).reshape(1, 6, 9) % 2
        called = target.clone()
        called[0, 0, 4] = 2  # a single pixel, all others are right: two classes of nearly 1, and one of 0
        right, wrong = (value(student.soft_dice_loss(sure(part, 3), target)) for part in (target, called))
        assert wrong > 0.2 and abs(wrong - right) > 1e-4

    def test_logits_of_300_give_a_finite_loss_and_gradient(self, student):
        logits, target = draw_scene(85, 3)
        logits = logits.sign() * 300
        assert math.isfinite(value(student.soft_dice_loss(logits, target)))
        assert torch.isfinite(student.gradient("soft_dice_loss", (logits, target), wrt=0)).all()

    def test_the_result_is_a_scalar_of_the_dtype_of_the_logits(self, student):
        logits, target = draw_scene(87, 3)
        for dtype in (torch.float32, torch.float64):
            found = student.soft_dice_loss(logits.to(dtype), target)
            assert isinstance(found, torch.Tensor) and found.shape == () and found.dtype == dtype

    def test_what_was_passed_in_stays_as_it_was(self, student):
        logits, target = draw_scene(89, 3)
        student.unchanged("soft_dice_loss", logits, target)
        assert value(student.soft_dice_loss(logits, target)) > 0


# ---------------------------------------------------------------- border_weights


def draw_instances(seed, number=4, height=19, width=26):
    """Objects of a few pixels, with numbers that have gaps; some touch, some have two pieces."""
    rng = np.random.default_rng(seed)
    instances = np.zeros((height, width), dtype=np.int64)
    for label in rng.permutation(np.arange(3, 60, 7))[:number]:
        for _ in range(2):
            top, left = rng.integers(0, [height - 4, width - 4])
            instances[top : top + rng.integers(1, 4), left : left + rng.integers(1, 5)] = label
    return torch.from_numpy(instances)


def reference_weights(instances, w0=10.0, sigma=5.0):
    labels = [label for label in np.unique(instances.numpy()) if label != 0]
    if len(labels) < 2:
        return np.ones(instances.shape)
    distances = np.sort([distance_transform_edt(instances.numpy() != label) for label in labels], axis=0)
    weights = 1 + w0 * np.exp(-((distances[0] + distances[1]) ** 2) / (2 * sigma**2))
    return np.where(instances.numpy() == 0, weights, 1.0)


def same_weights(found, expected):
    # float32 holds the exponent e, at most 100 where the weight is felt, to 100 * 2^-22; times w0 * exp(-e) < 1e-4.
    agree(found, expected, 1e-4)


@pytest.mark.task("border_weights")
class TestBorderWeights:
    @pytest.mark.weight(55)
    @pytest.mark.parametrize(
        ("seed", "number", "w0", "sigma"),
        [(91, 2, 10.0, 5.0), (93, 4, 10.0, 5.0), (95, 7, 4.0, 3.0), (96, 1, 10.0, 5.0), (98, 0, 10.0, 5.0)],
    )
    def test_random_objects_however_few_have_the_weights_of_the_formula(self, student, seed, number, w0, sigma):
        instances = draw_instances(seed, number)
        same_weights(student.border_weights(instances, w0, sigma), reference_weights(instances, w0, sigma))

    @pytest.mark.weight(2)
    def test_w0_and_sigma_are_obeyed(self, student):
        instances = draw_instances(97)
        found = [tensor(student.border_weights(instances, w0, 5.0), 19, 26) for w0 in (2.0, 4.0, 6.0)]
        assert (found[1] - found[0]).max() > 0.1 and (found[2] - 2 * found[1] + found[0]).abs().max() < 1e-4
        # All lengths twice as large, sigma too: the same weight.
        near, far = torch.tensor([[4, 0, 9]]), torch.tensor([[4, 0, 0, 0, 9]])
        one, other = student.border_weights(near, 10.0, 2.0), student.border_weights(far, 10.0, 4.0)
        assert abs(float(one[0, 1]) - float(other[0, 2])) < 1e-4

    @pytest.mark.weight(2)
    def test_objects_themselves_have_weight_1(self, student):
        instances = draw_instances(99)
        found = tensor(student.border_weights(instances), 19, 26)
        assert (found[instances != 0] == 1).all() and (found[instances == 0] > 1.5).any()

    @pytest.mark.weight(2)
    def test_far_from_all_objects_the_weight_is_1(self, student):
        instances = torch.zeros(9, 90, dtype=torch.int64)
        instances[4, 2], instances[4, 5] = 1, 2
        found = tensor(student.border_weights(instances), 9, 90)
        assert abs(float(found[4, 80]) - 1) < 1e-4 and float(found[4, 3]) > 5

    @pytest.mark.weight(3)
    def test_a_third_object_that_is_farther_away_changes_nothing(self, student):
        instances = torch.zeros(12, 30, dtype=torch.int64)
        instances[2:6, 3:6], instances[2:6, 8:11] = 1, 2
        more = instances.clone()
        more[4:8, 22:25] = 3
        one, other = (tensor(student.border_weights(part), 12, 30)[:, :8] for part in (instances, more))
        assert (one - other).abs().max() < 1e-4 and one.max() > 1.5

    @pytest.mark.weight(3)
    def test_an_object_in_two_pieces_is_one_object(self, student):
        instances = torch.zeros(10, 24, dtype=torch.int64)
        instances[3:6, 2:5], instances[3:6, 8:11] = 6, 6
        instances[3:6, 18:21] = 2
        found = tensor(student.border_weights(instances), 10, 24)[4]
        assert found[5:8].max() <= found[11:18].max() + 1e-4 and found.max() > found.min() + 1e-3

    @pytest.mark.weight(3)
    def test_objects_that_touch_are_two_objects(self, student):
        instances = torch.zeros(10, 14, dtype=torch.int64)
        instances[3:6, 2:6], instances[3:6, 6:9] = 1, 2
        found = tensor(student.border_weights(instances), 10, 14)
        assert float(found[2, 5]) > 2 and float(found[2, 5] - found[9, 13]) > 1

    @pytest.mark.weight(2)
    def test_renumbering_the_objects_changes_nothing(self, student):
        instances = draw_instances(101)
        instances = instances.unique(return_inverse=True)[1]  # 0, 1, 2 ...
        one = tensor(student.border_weights(instances), 19, 26)
        same_weights(student.border_weights(instances * 1000 - 500 * (instances > 2)), one)
        assert one.max() > one.min()

    @pytest.mark.weight(2)
    def test_distances_are_euclidean(self, student):
        straight, slanted = torch.zeros(2, 9, 13, dtype=torch.int64)
        straight[4, 1], straight[4, 11] = 1, 2  # 5 to the left and to the right of the middle
        slanted[1, 2], slanted[7, 10] = 1, 2  # 3 rows and 4 columns from it
        one, other = (tensor(student.border_weights(part, 1000.0, 9.0), 9, 13)[4, 6] for part in (straight, slanted))
        assert abs(float(one - other)) < 1e-3 and abs(float(one) - 1) > 1e-3

    @pytest.mark.weight(2)
    @pytest.mark.parametrize("number", [0, 1])
    def test_with_fewer_than_two_objects_all_weights_are_1(self, student, number):
        instances = draw_instances(103, number)
        same_weights(student.border_weights(instances), np.ones((19, 26)))

    @pytest.mark.weight(0.5)
    def test_labels_of_eight_or_thirty_two_bits_are_allowed(self, student):
        instances = draw_instances(105)
        expected = tensor(student.border_weights(instances), 19, 26)
        assert expected.max() > expected.min()
        for dtype in (torch.uint8, torch.int32):
            same_weights(student.border_weights(instances.to(dtype)), expected)

    @pytest.mark.weight(0.5)
    def test_an_image_that_is_full_of_objects_has_weights_of_1(self, student):
        instances = torch.arange(1, 13).reshape(3, 4)
        same_weights(student.border_weights(instances), np.ones((3, 4)))

    def test_the_labels_that_were_passed_in_stay_as_they_were(self, student):
        instances = draw_instances(107)
        student.unchanged("border_weights", instances)
        assert tensor(student.border_weights(instances), 19, 26).max() > 1


# ---------------------------------------------------------------- predict_tiled


def convolution(student, in_channels, out_channels, kernel, weight=None, seed=0):
    """A convolution in the student's notebook that keeps the size, and the same one here.

    Returns:
        The handle, and a function that does the same.
    """
    rows, columns = kernel
    padding = (rows // 2, columns // 2)
    layer = student.value("torch").nn.Conv2d(in_channels, out_channels, kernel, 1, padding)
    bias = torch.linspace(-1, 1, out_channels) if weight is None else torch.zeros(out_channels)
    if weight is None:
        weight = torch.randn(out_channels, in_channels, rows, columns, generator=numbers(seed))
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer, lambda x: F.conv2d(x, weight, bias, 1, padding)


TILINGS = [(23, 31, 10, 4), (40, 17, 12, 6), (26, 45, 9, 5), (30, 22, 16, 8), (19, 50, 11, 4)]


def tiles_seen(student, height, width, tile, overlap):
    """Rows and columns of the tile from which each pixel came: a model that counts the ones it gets along an axis."""
    ones = torch.ones(1, height, width)
    found = []
    for kernel in ((2 * height + 1, 1), (1, 2 * width + 1)):
        layer, _ = convolution(student, 1, 1, kernel, torch.ones(1, 1, *kernel))
        nn = student.value("torch").nn
        layer = nn.Sequential(nn.Flatten(0, 1), nn.Unflatten(0, (1, 1)), layer)  # fails unless it gets (1, 1, h, w)
        found.append(tensor(student.predict_tiled(layer, ones, tile, overlap), 1, height, width)[0])
    return found


@pytest.mark.task("predict_tiled")
class TestPredictTiled:
    @pytest.mark.weight(30)
    @pytest.mark.parametrize(("height", "width", "tile", "overlap"), [*TILINGS, (8, 30, 12, 4)])
    def test_tile_by_tile_it_is_the_prediction_of_the_whole_picture_away_from_the_border(
        self, student, height, width, tile, overlap
    ):
        layer, here = convolution(student, 2, 3, (5, 5))  # sees 2 pixels to each side; overlap // 2 is at least 2
        image = torch.randn(2, height, width, generator=numbers(111))
        found = student.predict_tiled(layer, image, tile, overlap)
        assert tuple(found.shape) == (3, height, width)
        agree(found[:, 2:-2, 2:-2], here(image[None])[0, :, 2:-2, 2:-2])
        for seen in tiles_seen(student, height, width, tile, overlap):
            assert 0 < float(seen.max()) <= tile + TOLERANCE * tile

    @pytest.mark.weight(4)
    @pytest.mark.parametrize(("height", "width", "tile", "overlap"), TILINGS)
    def test_a_model_that_looks_at_single_pixels_gives_every_pixel_right_also_at_the_border(
        self, student, height, width, tile, overlap
    ):
        layer, here = convolution(student, 2, 3, (1, 1))
        image = torch.randn(2, height, width, generator=numbers(112))
        agree(student.predict_tiled(layer, image, tile, overlap), here(image[None])[0])

    @pytest.mark.weight(4)
    @pytest.mark.parametrize(("height", "width", "tile", "overlap"), TILINGS[:3])
    def test_the_model_never_gets_more_than_a_tile(self, student, height, width, tile, overlap):
        for found in tiles_seen(student, height, width, tile, overlap):
            assert 0 < float(found.max()) <= tile + TOLERANCE * tile

    @pytest.mark.weight(2)
    def test_the_largest_tiles_have_the_size_that_was_asked_for(self, student):
        for found in tiles_seen(student, 23, 31, 10, 4):
            assert float(found.max()) > 10 - 1

    @pytest.mark.weight(3)
    @pytest.mark.parametrize(("height", "width"), [(20, 41), (41, 20), (9, 33)])
    def test_pictures_that_are_not_square_come_out_whole(self, student, height, width):
        layer, here = convolution(student, 1, 2, (3, 3), seed=4)
        image = torch.randn(1, height, width, generator=numbers(113))
        found = student.predict_tiled(layer, image, 8, 2)
        assert tuple(found.shape) == (2, height, width)
        agree(found[:, 1:-1, 1:-1], here(image[None])[0, :, 1:-1, 1:-1])

    @pytest.mark.weight(2)
    @pytest.mark.parametrize(("height", "width"), [(6, 7), (12, 5), (5, 30), (30, 8)])
    def test_pictures_smaller_than_a_tile_are_allowed(self, student, height, width):
        layer, here = convolution(student, 1, 2, (3, 3), seed=5)
        image = torch.randn(1, height, width, generator=numbers(114))
        found = student.predict_tiled(layer, image, 12, 4)
        assert tuple(found.shape) == (2, height, width)
        agree(found[:, 1:-1, 1:-1], here(image[None])[0, :, 1:-1, 1:-1])

    @pytest.mark.weight(2)
    def test_pictures_that_tiles_fill_exactly_come_out_right(self, student):
        layer, here = convolution(student, 1, 2, (3, 3), seed=6)
        for height, width in ((18, 26), (10, 18), (10, 10)):  # tiles of 10 start every 8
            image = torch.randn(1, height, width, generator=numbers(115))
            found = student.predict_tiled(layer, image, 10, 2)
            agree(found[:, 1:-1, 1:-1], here(image[None])[0, :, 1:-1, 1:-1])

    @pytest.mark.weight(2)
    def test_a_model_with_a_stride_gets_tiles_that_start_at_multiples_of_it(self, student):
        nn = student.value("torch").nn
        model = nn.Sequential(nn.AvgPool2d(4), nn.Upsample(None, 4))
        image = torch.randn(1, 28, 44, generator=numbers(116))
        whole = F.interpolate(F.avg_pool2d(image[None], 4), scale_factor=4.0)[0]
        agree(student.predict_tiled(model, image, 16, 8)[:, 4:-4, 4:-4], whole[:, 4:-4, 4:-4])

    @pytest.mark.weight(2)
    def test_the_model_gets_one_tile_at_a_time_with_a_batch_axis(self, student):
        nn = student.value("torch").nn
        # Joins images and channels and takes them apart as one image of three channels: anything else fails.
        model = nn.Sequential(nn.Flatten(0, 1), nn.Unflatten(0, (1, 3)))
        image = torch.randn(3, 21, 26, generator=numbers(117))
        agree(student.predict_tiled(model, image, 9, 4), image)

    @pytest.mark.weight(2)
    def test_the_values_are_those_of_the_model_and_nothing_is_done_to_them(self, student):
        layer, here = convolution(student, 1, 4, (1, 1), seed=7)
        image = 20 * torch.randn(1, 15, 18, generator=numbers(118))
        found = tensor(student.predict_tiled(layer, image, 9, 2), 4, 15, 18)
        assert (found < 0).any() and (found > 1).any()
        agree(found, here(image[None])[0])

    @pytest.mark.weight(0.5)
    def test_an_overlap_of_0_is_allowed(self, student):
        layer, here = convolution(student, 1, 2, (1, 1), seed=8)
        image = torch.randn(1, 15, 18, generator=numbers(119))
        agree(student.predict_tiled(layer, image, 6, 0), here(image[None])[0])

    def test_the_picture_that_was_passed_in_stays_as_it_was(self, student):
        layer, _ = convolution(student, 1, 2, (3, 3), seed=9)
        image = torch.randn(1, 15, 18, generator=numbers(120))
        call = student.call("predict_tiled", layer, image, 9, 2)
        assert torch.equal(call.arguments[1], image) and tuple(call.value.shape) == (2, 15, 18)


# ---------------------------------------------------------------- predict_flipped

FLIPS = [(), (2,), (3,), (2, 3)]


def reference_flipped(model, images):
    return torch.stack([model(images.flip(axes)).flip(axes) for axes in FLIPS]).mean(dim=0)


@pytest.mark.task("predict_flipped")
class TestPredictFlipped:
    @pytest.mark.weight(10)
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_it_is_the_mean_of_four_predictions_that_were_mirrored_back(self, student, seed):
        layer, here = convolution(student, 2, 3, (5, 3), seed=seed)
        images = torch.randn(2, 2, 9, 12, generator=numbers(130 + seed))
        agree(student.predict_flipped(layer, images), reference_flipped(here, images))

    @pytest.mark.weight(2)
    def test_a_mirrored_picture_has_the_mirrored_prediction(self, student):
        layer, _ = convolution(student, 2, 3, (3, 5), seed=4)
        images = torch.randn(2, 2, 9, 12, generator=numbers(134))
        found = tensor(student.predict_flipped(layer, images), 2, 3, 9, 12)
        assert float(found.std()) > 0.01
        for axes in FLIPS[1:]:
            agree(student.predict_flipped(layer, images.flip(axes)), found.flip(axes))
            assert float((found - found.flip(axes)).abs().max()) > 0.01

    @pytest.mark.weight(2)
    def test_a_model_that_treats_all_directions_alike_is_not_changed(self, student):
        layer, here = convolution(student, 1, 2, (1, 1), seed=5)
        images = torch.randn(2, 1, 7, 10, generator=numbers(135))
        agree(student.predict_flipped(layer, images), here(images))

    @pytest.mark.weight(2)
    def test_a_model_that_looks_to_one_side_is_evened_out(self, student):
        weight = torch.zeros(1, 1, 1, 3)
        weight[..., 2] = 1
        layer, _ = convolution(student, 1, 1, (1, 3), weight)
        images = torch.zeros(1, 1, 3, 5)
        images[0, 0, 1, 2] = 8
        expected = torch.zeros(1, 1, 3, 5)
        expected[0, 0, 1, 1] = expected[0, 0, 1, 3] = 4
        agree(student.predict_flipped(layer, images), expected)

    @pytest.mark.weight(0.5)
    def test_the_images_that_were_passed_in_stay_as_they_were(self, student):
        layer, _ = convolution(student, 1, 2, (3, 3), seed=6)
        images = torch.randn(2, 1, 7, 10, generator=numbers(136))
        call = student.call("predict_flipped", layer, images)
        assert torch.equal(call.arguments[1], images) and tuple(call.value.shape) == (2, 2, 7, 10)
