"""Hidden checks of 06_upsampling. The name of a test is the sentence that a student reads in the feedback."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

RESIZING = [
    "torch.nn.functional.interpolate",
    "torch.nn.functional.upsample",
    "torch.nn.functional.upsample_nearest",
    "torch.nn.functional.upsample_bilinear",
    "torch.nn.Upsample",
    "torch.nn.UpsamplingNearest2d",
    "torch.nn.UpsamplingBilinear2d",
    "torch._C._nn.upsample_nearest2d",
    "torch._C._nn.upsample_bilinear2d",
    "torch._C._nn.upsample_bicubic2d",
    "torch.ops.aten.upsample_nearest2d",
    "torch.ops.aten.upsample_bilinear2d",
    "torch.ops.aten.upsample_bicubic2d",
    "torchvision.transforms.functional.resize",
    "torchvision.transforms.v2.functional.resize",
    "torchvision.transforms.Resize",
    "torchvision.transforms.v2.Resize",
    "cv2.resize",
    "scipy.ndimage.zoom",
    "skimage.transform.resize",
    "skimage.transform.rescale",
    "PIL.Image.Image.resize",
]
SAMPLING = [
    "scipy.ndimage.map_coordinates",
    "scipy.ndimage.affine_transform",
    "scipy.ndimage.geometric_transform",
    "scipy.interpolate.RegularGridInterpolator",
    "scipy.interpolate.interpn",
    "scipy.interpolate.RectBivariateSpline",
    "torch.nn.functional.grid_sample",
    "torch.grid_sampler",
    "torch.grid_sampler_2d",
    "cv2.remap",
    "cv2.warpAffine",
    "skimage.transform.warp",
]
TRANSPOSED = [
    "torch.nn.functional.conv_transpose2d",
    "torch.conv_transpose2d",
    "torch.nn.ConvTranspose2d",
    "torch.nn.grad.conv2d_input",
    "torch.ops.aten.conv_transpose2d",
]
FORBIDDEN: dict[str, list[str]] = {
    "upsample_nearest": RESIZING,
    "bilinear_sample": [*SAMPLING, *RESIZING],
    "upsample_bilinear": [*SAMPLING, *RESIZING],
    "upsample_bicubic": RESIZING,
    "transposed_conv2d": TRANSPOSED,
    "conv_matrix": ["scipy.linalg.convolution_matrix"],
    "overlap_count": ["torch.nn.functional.fold", "torch.nn.Fold", "torch._C._nn.col2im", *TRANSPOSED],
    "max_unpool": ["torch.nn.functional.max_unpool2d", "torch.nn.MaxUnpool2d", "torch._C._nn.max_unpool2d"],
    "pixel_shuffle": [
        "torch.nn.functional.pixel_shuffle",
        "torch.pixel_shuffle",
        "torch.nn.PixelShuffle",
        "torch.nn.functional.fold",
        "torch.nn.Fold",
    ],
}

# float32 rounds by at most 2^-24 of a value. Results that only move, add or multiply are sums of at most 36 products of
# whole numbers and quarters, and take fewer than 64 roundings.
TOLERANCE = 64 * 2.0**-24
# Interpolation in float32 also rounds coordinates, below 32 here, by at most 3 * 32 * 2^-24. The weights' slope is at
# most 1.4, and a value is a sum over 4 taps in 2 directions: below 2 * 4 * 1.4 * 96 * 2^-24 of the largest value.
SAMPLED = 2.0**-13


def agree(found, expected, tolerance=TOLERANCE):
    """Same shape, and numbers that are equal up to rounding in float32."""
    found, expected = np.asarray(found), np.asarray(expected, dtype=float)
    assert found.shape == expected.shape
    assert found.dtype.kind in "fiub"
    assert (np.abs(found - expected) <= tolerance * np.maximum(np.abs(expected).max(initial=0), 1)).all()


def varied(found, *shape):
    """A result of this shape whose values are not all the same."""
    found = np.asarray(found, dtype=float)
    assert found.shape == shape
    assert np.isfinite(found).all()
    assert np.ptp(found) > 0
    return found


def draw(seed, *shape, low=0, high=32):
    """Random quarters in [low / 4, high / 4)."""
    return np.random.default_rng(seed).integers(low, high, shape) / 4.0


def torch_resize(image, size, mode, align_corners=None):
    batch = torch.from_numpy(image)[None, None]
    return F.interpolate(batch, size=size, mode=mode, align_corners=align_corners)[0, 0].numpy()


def torch_transposed(x, kernel, stride=1, padding=0):
    x, kernel = (torch.from_numpy(values)[None, None] for values in (x, kernel))
    return F.conv_transpose2d(x, kernel, stride=stride, padding=padding)[0, 0].numpy()


# ---------------------------------------------------------------- upsample_nearest

PICTURES = [(draw(1, 2, 3), 2), (draw(2, 5, 4), 3), (draw(3, 1, 7), 5)]


@pytest.mark.task("upsample_nearest")
class TestUpsampleNearest:
    @pytest.mark.weight(6)
    @pytest.mark.parametrize(("image", "scale"), PICTURES)
    def test_random_pictures_become_what_torch_makes_of_them(self, student, image, scale):
        expected = torch_resize(image, (image.shape[0] * scale, image.shape[1] * scale), "nearest")
        agree(student.upsample_nearest(image, scale), expected)

    def test_the_first_block_of_each_row_is_as_wide_as_all_others(self, student):
        found = varied(student.upsample_nearest(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), 4), 8, 12)
        assert [int(np.sum(found == value)) for value in np.unique(found)] == [16] * 6

    def test_every_value_comes_from_the_picture_and_none_is_new(self, student):
        image = draw(4, 3, 5, low=1)
        found = varied(student.upsample_nearest(image, 3), 9, 15)
        assert set(found.ravel()) == set(image.ravel())

    def test_taking_one_pixel_of_each_block_gives_the_picture_back(self, student):
        image = draw(5, 4, 3)
        agree(np.asarray(student.upsample_nearest(image, 3))[2::3, 1::3], image)

    def test_a_single_column_becomes_as_wide_as_the_scale(self, student):
        agree(
            student.upsample_nearest(np.array([[1.5], [2.25], [7.0]]), 2),
            np.repeat([[1.5], [2.25], [7]], 2, 0) * [[1, 1]],
        )

    def test_scale_1_changes_nothing(self, student):
        image = draw(6, 3, 4)
        agree(student.upsample_nearest(image, 1), image)
        agree(np.shape(student.upsample_nearest(image, 2)), [6, 8])

    def test_there_are_scale_times_as_many_rows(self, student):
        assert len(student.upsample_nearest(draw(9, 2, 5), 3)) == 6

    def test_there_are_scale_times_as_many_columns(self, student):
        assert [len(row) for row in student.upsample_nearest(draw(9, 5, 2), 3)][:4] == [6] * 4

    def test_a_square_picture_keeps_its_rows_and_columns(self, student):
        agree(student.upsample_nearest(np.array([[1.0, 2.0], [3.0, 4.0]]), 2)[0], [1, 1, 2, 2])

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize(("height", "width"), [(0, 3), (3, 0)])
    def test_a_picture_without_pixels_gives_one_without_pixels(self, student, height, width):
        assert np.shape(student.upsample_nearest(np.zeros((height, width)), 2)) == (2 * height, 2 * width)

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array(self, student):
        found = student.upsample_nearest(draw(7, 2, 3), 2)
        assert isinstance(found, np.ndarray)
        assert found.shape == (4, 6)

    @pytest.mark.weight(0.5)
    def test_the_picture_that_was_passed_in_stays_as_it_was(self, student):
        student.unchanged("upsample_nearest", draw(8, 2, 3), 2)


# ---------------------------------------------------------------- bilinear_sample

TEXTURES = [draw(11, 4, 6), draw(12, 7, 3), draw(13, 2, 9)]
ASYMMETRIC = np.array([[1.0, 2.0, 4.0, 7.0], [3.0, 8.0, 0.0, 5.0], [6.0, 1.0, 9.0, 2.0]])


def points_in(texture, seed, *shape, beyond=0):
    """Columns and rows, quarters, inside of a texture or up to `beyond` texels outside of it."""
    rng = np.random.default_rng(seed)
    height, width = texture.shape
    s = rng.integers(-4 * beyond, 4 * (width - 1 + beyond), shape, endpoint=True) / 4
    t = rng.integers(-4 * beyond, 4 * (height - 1 + beyond), shape, endpoint=True) / 4
    return s, t


def scipy_sample(texture, s, t):
    return ndimage.map_coordinates(texture, [t, s], order=1, mode="nearest")


@pytest.mark.task("bilinear_sample")
class TestBilinearSample:
    @pytest.mark.weight(10)
    @pytest.mark.parametrize("texture", TEXTURES)
    def test_points_inside_and_outside_have_the_values_that_scipy_gives_them(self, student, texture):
        s, t = points_in(texture, 21, 5, 8, beyond=3)
        agree(student.bilinear_sample(texture, s, t), scipy_sample(texture, s, t), SAMPLED)

    @pytest.mark.parametrize("texture", TEXTURES)
    def test_points_inside_have_the_right_values(self, student, texture):
        s, t = points_in(texture, 22, 40)
        agree(student.bilinear_sample(texture, s, t), scipy_sample(texture, s, t), SAMPLED)

    def test_points_outside_have_the_value_of_the_border_next_to_them(self, student):
        s, t = np.array([-2.0, 1.5, 9.0, 0.25, -1.0]), np.array([1.5, -1.0, 0.0, 5.0, -3.0])
        agree(student.bilinear_sample(ASYMMETRIC, s, t), [4.5, 3, 7, 4.75, 1], SAMPLED)

    def test_outside_of_a_flat_texture_it_is_as_bright_as_inside(self, student):
        s, t = points_in(np.ones((3, 4)), 27, 12, beyond=2)
        agree(student.bilinear_sample(np.full((3, 4), 5.0), s, t), np.full(12, 5.0), SAMPLED)

    def test_outside_of_a_texture_with_an_even_border_it_is_as_bright_as_the_border(self, student):
        texture = np.pad(ASYMMETRIC, 1, constant_values=6)
        s, t = np.array([-2.25, -0.5, 5.5, 8.0, 2.5]), np.array([1.5, 2.0, 3.25, -1.0, -0.25])
        agree(student.bilinear_sample(texture, s, t), np.full(5, 6.0), SAMPLED)

    def test_where_a_texture_changes_along_s_only_t_plays_no_part(self, student):
        texture = np.array([0.0, 1.0, 4.0, 9.0]) * np.ones((3, 1))
        s, t = np.meshgrid([0.25, 1.5, 2.75], [0.0, 0.75, 1.5])
        found = varied(student.bilinear_sample(texture, s, t), 3, 3)
        agree(found, found[[0, 0, 0]], SAMPLED)

    def test_on_a_texel_the_value_is_that_texel(self, student):
        s, t = np.meshgrid(np.arange(4.0), np.arange(3.0))
        agree(student.bilinear_sample(ASYMMETRIC, s, t), ASYMMETRIC, SAMPLED)

    def test_along_s_the_value_moves_to_the_texel_on_the_right(self, student):
        agree(student.bilinear_sample(ASYMMETRIC, np.array([0.25, 1.5, 2.25]), np.zeros(3)), [1.25, 3, 4.75], SAMPLED)

    def test_along_t_the_value_moves_to_the_texel_below(self, student):
        agree(student.bilinear_sample(ASYMMETRIC, np.zeros(3), np.array([0.25, 1.5, 2.0])), [1.5, 4.5, 6], SAMPLED)

    def test_in_the_middle_of_four_texels_the_value_is_their_mean(self, student):
        s, t = np.meshgrid([0.5, 1.5, 2.5], [0.5, 1.5])
        means = (ASYMMETRIC[:-1, :-1] + ASYMMETRIC[1:, :-1] + ASYMMETRIC[:-1, 1:] + ASYMMETRIC[1:, 1:]) / 4
        agree(student.bilinear_sample(ASYMMETRIC, s, t), means, SAMPLED)

    def test_the_far_column_and_the_far_row_can_be_reached(self, student):
        found = student.bilinear_sample(ASYMMETRIC, np.array([3.0, 3.0, 0.5]), np.array([0.0, 1.5, 2.0]))
        agree(found, [7, 3.5, 3.5], SAMPLED)

    def test_exchanging_rows_and_columns_of_everything_changes_no_value(self, student):
        texture = TEXTURES[0]
        s, t = points_in(texture, 23, 12)
        before = varied(student.bilinear_sample(texture, s, t), 12)
        agree(student.bilinear_sample(texture.T.copy(), t, s), before, SAMPLED)
        agree(before, scipy_sample(texture, s, t), SAMPLED)

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1)])
    def test_a_texture_of_one_row_or_one_column_can_be_sampled(self, student, shape):
        texture = draw(14, *shape, low=1)
        s, t = points_in(texture, 24, 9, beyond=1)
        agree(student.bilinear_sample(texture, s, t), scipy_sample(texture, s, t), SAMPLED)

    @pytest.mark.parametrize("shape", [(7,), (2, 3), (2, 1, 4)])
    def test_the_result_has_the_shape_of_the_points(self, student, shape):
        s, t = points_in(ASYMMETRIC, 25, *shape)
        varied(student.bilinear_sample(ASYMMETRIC, s, t), *shape)

    @pytest.mark.weight(0.5)
    def test_a_single_point_gives_a_single_number(self, student):
        found = student.bilinear_sample(ASYMMETRIC, 1.25, 0.5)
        agree(found, (0.75 * 2 + 0.25 * 4 + 0.75 * 8) / 2, SAMPLED)

    @pytest.mark.weight(0.5)
    def test_no_points_give_no_values(self, student):
        assert np.shape(student.bilinear_sample(ASYMMETRIC, np.zeros(0), np.zeros(0))) == (0,)

    @pytest.mark.weight(0.5)
    def test_the_arrays_that_were_passed_in_stay_as_they_were(self, student):
        student.unchanged("bilinear_sample", ASYMMETRIC, *points_in(ASYMMETRIC, 26, 6, beyond=2))


# ---------------------------------------------------------------- upsample_bilinear

RESIZED = [(draw(31, 3, 5), (6, 10)), (draw(32, 4, 2), (7, 9)), (draw(33, 2, 3), (11, 4)), (draw(34, 1, 4), (3, 13))]
SHRUNK = [(draw(35, 9, 12), (3, 5)), (draw(36, 8, 6), (2, 5))]


@pytest.mark.task("upsample_bilinear")
class TestUpsampleBilinear:
    @pytest.mark.weight(9)
    @pytest.mark.parametrize(("image", "size"), [*RESIZED, *SHRUNK])
    def test_both_conventions_give_what_torch_gives(self, student, image, size):
        agree(student.upsample_bilinear(image, size), torch_resize(image, size, "bilinear", False), SAMPLED)
        agree(student.upsample_bilinear(image, size, True), torch_resize(image, size, "bilinear", True), SAMPLED)

    @pytest.mark.parametrize(("image", "size"), RESIZED)
    def test_pixels_as_areas_give_what_torch_gives(self, student, image, size):
        agree(student.upsample_bilinear(image, size, False), torch_resize(image, size, "bilinear", False), SAMPLED)

    @pytest.mark.weight(2)
    @pytest.mark.parametrize(("image", "size"), RESIZED)
    def test_with_align_corners_it_is_what_torch_gives(self, student, image, size):
        agree(student.upsample_bilinear(image, size, True), torch_resize(image, size, "bilinear", True), SAMPLED)

    def test_a_ramp_has_the_slope_of_old_to_new_size(self, student):
        ramp = np.arange(8.0)[None] * np.ones((2, 1))
        found = varied(student.upsample_bilinear(ramp, (2, 16)), 2, 16)
        agree(np.diff(found[:, 3:-3], axis=1), np.full((2, 9), 0.5), SAMPLED)

    @pytest.mark.weight(0.5)
    def test_a_picture_can_become_twice_as_high_and_wide(self, student):
        image = draw(44, 3, 5)
        agree(student.upsample_bilinear(image, (6, 10)), torch_resize(image, (6, 10), "bilinear", False), SAMPLED)

    @pytest.mark.weight(0.5)
    def test_a_square_picture_can_get_another_square_size(self, student):
        image = draw(45, 4, 4)
        agree(student.upsample_bilinear(image, (7, 7)), torch_resize(image, (7, 7), "bilinear", False), SAMPLED)

    @pytest.mark.weight(0.5)
    def test_the_first_number_of_the_size_is_that_of_rows(self, student):
        assert len(student.upsample_bilinear(draw(46, 2, 3), (4, 7))) == 4

    @pytest.mark.parametrize(("image", "size"), SHRUNK)
    def test_a_smaller_size_skips_pixels_and_smooths_nothing(self, student, image, size):
        agree(student.upsample_bilinear(image, size), torch_resize(image, size, "bilinear", False), SAMPLED)
        agree(student.upsample_bilinear(image, size, True), torch_resize(image, size, "bilinear", True), SAMPLED)

    def test_the_size_may_be_no_multiple_of_the_picture(self, student):
        image = draw(37, 3, 4)
        agree(student.upsample_bilinear(image, (4, 7)), torch_resize(image, (4, 7), "bilinear", False), SAMPLED)

    def test_with_align_corners_the_four_corners_keep_their_values(self, student):
        image = draw(38, 4, 3)
        found = varied(student.upsample_bilinear(image, (9, 10), True), 9, 10)
        agree(found[[0, 0, -1, -1], [0, -1, 0, -1]], image[[0, 0, -1, -1], [0, -1, 0, -1]], SAMPLED)

    def test_a_picture_that_is_turned_round_gives_a_result_that_is_turned_round(self, student):
        image = draw(39, 3, 4)
        before = varied(student.upsample_bilinear(image, (8, 7)), 8, 7)
        agree(student.upsample_bilinear(image[::-1, ::-1].copy(), (8, 7)), before[::-1, ::-1], SAMPLED)
        agree(before.mean(), torch_resize(image, (8, 7), "bilinear", False).mean(), SAMPLED)

    def test_the_border_is_flat_where_samples_are_clamped(self, student):
        found = varied(student.upsample_bilinear(np.array([[0.0, 8.0, 2.0]]), (1, 12)), 1, 12)[0]
        agree(found[[0, 1, -2, -1]], [0, 0, 2, 2], SAMPLED)
        agree(found[[2, 5, 6]], [1, 7, 7.25], SAMPLED)

    def test_a_single_pixel_with_align_corners_is_the_first_one(self, student):
        image = draw(40, 3, 4, low=1)
        agree(student.upsample_bilinear(image, (1, 1), True), image[:1, :1], SAMPLED)
        agree(student.upsample_bilinear(image, (1, 7), True), torch_resize(image, (1, 7), "bilinear", True), SAMPLED)

    @pytest.mark.weight(0.5)
    def test_align_corners_may_be_named_and_is_false_if_it_is_not(self, student):
        image = np.array([[0.0, 4.0]])
        agree(student.upsample_bilinear(image, (1, 4), align_corners=True), [[0, 4 / 3, 8 / 3, 4]], SAMPLED)
        agree(student.upsample_bilinear(image, (1, 4)), [[0, 1, 3, 4]], SAMPLED)

    @pytest.mark.weight(0.5)
    def test_the_same_size_gives_the_same_picture(self, student):
        image = draw(41, 3, 5)
        agree(student.upsample_bilinear(image, (3, 5)), image, SAMPLED)
        agree(student.upsample_bilinear(image, (3, 5), True), image, SAMPLED)
        agree(np.shape(student.upsample_bilinear(image, (2, 7))), [2, 7])

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array(self, student):
        found = student.upsample_bilinear(draw(42, 2, 3), (4, 5))
        assert isinstance(found, np.ndarray)
        assert found.shape == (4, 5)

    @pytest.mark.weight(0.5)
    def test_the_picture_that_was_passed_in_stays_as_it_was(self, student):
        student.unchanged("upsample_bilinear", draw(43, 2, 3), (5, 4))


# ---------------------------------------------------------------- cubic_weight


def keys(x, a):
    """Keys's kernel in factors, another form than the notebook's."""
    x = abs(x)
    if x >= 2:
        return 0.0
    return (x - 1) * ((a + 2) * x * x - x - 1) if x <= 1 else a * (x - 1) * (x - 2) ** 2


# Eighths, also beyond 2 and of both signs.
DISTANCES = np.arange(-28, 29) / 8


@pytest.mark.task("cubic_weight")
class TestCubicWeight:
    @pytest.mark.weight(8)
    def test_the_weights_are_those_of_the_formula_for_every_a(self, student):
        agree(student.cubic_weight(DISTANCES), [keys(x, -0.75) for x in DISTANCES])
        agree(student.cubic_weight(DISTANCES, -0.625), [keys(x, -0.625) for x in DISTANCES])

    @pytest.mark.weight(2)
    @pytest.mark.parametrize("a", [-0.5, -1.0, -0.25])
    def test_a_is_the_slope_at_a_distance_of_1(self, student, a):
        agree(student.cubic_weight(DISTANCES, a), [keys(x, a) for x in DISTANCES])
        agree(student.cubic_weight(DISTANCES, a=a), [keys(x, a) for x in DISTANCES])

    def test_the_weight_is_1_at_0_and_0_at_all_other_whole_numbers(self, student):
        agree(student.cubic_weight(np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])), [0, 0, 0, 1, 0, 0, 0])

    def test_the_inner_piece_is_right(self, student):
        inner = DISTANCES[np.abs(DISTANCES) <= 1]
        agree(student.cubic_weight(inner), [keys(x, -0.75) for x in inner])

    def test_the_outer_piece_is_right_and_negative(self, student):
        outer = np.array([1.125, 1.25, 1.5, 1.75, 1.875])
        found = student.cubic_weight(outer)
        agree(found, [keys(x, -0.75) for x in outer])
        assert (np.asarray(found) < 0).all()

    def test_the_outer_weights_have_the_right_size_whatever_their_sign(self, student):
        outer = np.array([1.125, 1.25, 1.5, 1.75, 1.875])
        agree(np.abs(student.cubic_weight(outer)), [abs(keys(x, -0.75)) for x in outer])

    def test_the_outer_piece_begins_and_ends_at_0(self, student):
        ends = np.array([1 + 2.0**-12, 2 - 2.0**-12, 0.5])
        found = varied(student.cubic_weight(ends), 3)
        assert (np.abs(found[:2]) < 0.01).all()

    def test_beyond_a_distance_of_2_the_weight_is_0(self, student):
        found = np.asarray(student.cubic_weight(np.array([-9.0, -2.5, 2.25, 4.0, 0.5])), dtype=float)
        agree(found[:4], [0, 0, 0, 0])
        assert found[4] > 0

    def test_the_kernel_is_symmetric(self, student):
        found = varied(student.cubic_weight(DISTANCES), len(DISTANCES))
        agree(found[::-1], found)

    def test_the_four_weights_of_a_point_add_up_to_1(self, student):
        offsets = np.array([0.125, 0.25, 0.5, 0.875])[:, None] - np.arange(-1, 3)
        found = varied(student.cubic_weight(offsets), 4, 4)
        agree(found.sum(axis=1), np.ones(4))

    @pytest.mark.weight(0.5)
    def test_the_result_has_the_shape_of_x(self, student):
        varied(student.cubic_weight(DISTANCES[:56].reshape(4, 2, 7)), 4, 2, 7)

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize("x", [-1.5, 0.5])
    def test_a_single_distance_gives_a_single_number(self, student, x):
        agree(student.cubic_weight(x), keys(x, -0.75))

    @pytest.mark.weight(0.5)
    def test_the_array_that_was_passed_in_stays_as_it_was(self, student):
        student.unchanged("cubic_weight", DISTANCES)


# ---------------------------------------------------------------- upsample_bicubic

CUBIC = [(draw(51, 5, 7), (10, 14)), (draw(52, 6, 4), (9, 11)), (draw(53, 4, 5), (17, 8))]


@pytest.mark.task("upsample_bicubic")
class TestUpsampleBicubic:
    @pytest.mark.weight(9)
    @pytest.mark.parametrize(("image", "size"), [*CUBIC, *SHRUNK])
    def test_random_pictures_become_what_torch_makes_of_them(self, student, image, size):
        agree(student.upsample_bicubic(image, size), torch_resize(image, size, "bicubic", False), SAMPLED)

    @pytest.mark.weight(2)
    def test_away_from_the_border_it_is_what_torch_gives(self, student):
        image = draw(54, 9, 8)
        found, expected = student.upsample_bicubic(image, (18, 24)), torch_resize(image, (18, 24), "bicubic", False)
        agree(np.asarray(found)[4:-4, 6:-6], expected[4:-4, 6:-6], SAMPLED)

    @pytest.mark.weight(2)
    def test_along_the_border_it_is_what_torch_gives(self, student):
        image = draw(55, 3, 4, low=4)
        found, expected = (
            np.array(student.upsample_bicubic(image, (9, 8))),
            torch_resize(image, (9, 8), "bicubic", False),
        )
        assert found.shape == (9, 8)
        found[3:-3, 3:-3], expected[3:-3, 3:-3] = 0, 0
        agree(found, expected, SAMPLED)

    def test_a_flat_picture_stays_flat_up_to_the_border(self, student):
        agree(student.upsample_bicubic(np.full((3, 5), 3.25), (8, 9)), np.full((8, 9), 3.25), SAMPLED)

    def test_a_step_between_columns_is_overshot_on_both_sides(self, student):
        found = varied(student.upsample_bicubic(np.repeat([[1.0, 3.0]], 4, axis=1), (1, 32)), 1, 32)
        assert 0.5 < found.min() < 1 - 0.1
        assert 3 + 0.1 < found.max() < 3.5

    def test_a_step_between_rows_is_overshot_on_both_sides(self, student):
        found = varied(student.upsample_bicubic(np.repeat([[1.0], [3.0]], 4, axis=0), (32, 1)), 32, 1)
        assert 0.5 < found.min() < 1 - 0.1
        assert 3 + 0.1 < found.max() < 3.5

    def test_a_picture_that_is_turned_round_gives_a_result_that_is_turned_round(self, student):
        image = draw(50, 5, 4)
        found = varied(student.upsample_bicubic(image, (10, 12)), 10, 12)
        agree(student.upsample_bicubic(image[::-1, ::-1].copy(), (10, 12)), found[::-1, ::-1], SAMPLED)

    def test_a_single_bright_pixel_shows_the_kernel(self, student):
        image = np.zeros((7, 8))
        image[3, 4] = 4.0
        found = np.asarray(student.upsample_bicubic(image, (14, 16)))
        agree(found, torch_resize(image, (14, 16), "bicubic", False), SAMPLED)

    def test_rows_and_columns_are_both_treated_with_the_cubic(self, student):
        image = draw(56, 6, 1)
        agree(student.upsample_bicubic(image, (12, 1)), torch_resize(image, (12, 1), "bicubic", False), SAMPLED)
        agree(
            student.upsample_bicubic(image.T.copy(), (1, 12)),
            torch_resize(image.T.copy(), (1, 12), "bicubic", False),
            SAMPLED,
        )

    @pytest.mark.parametrize(("image", "size"), SHRUNK)
    def test_a_smaller_size_smooths_nothing(self, student, image, size):
        agree(student.upsample_bicubic(image, size), torch_resize(image, size, "bicubic", False), SAMPLED)

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 1)])
    def test_a_picture_smaller_than_the_kernel_can_be_enlarged(self, student, shape):
        image = draw(57, *shape, low=2)
        agree(student.upsample_bicubic(image, (5, 6)), torch_resize(image, (5, 6), "bicubic", False), SAMPLED)

    @pytest.mark.weight(0.5)
    def test_the_same_size_gives_the_same_picture(self, student):
        image = draw(58, 3, 5)
        agree(student.upsample_bicubic(image, (3, 5)), image, SAMPLED)
        agree(np.shape(student.upsample_bicubic(image, (2, 7))), [2, 7])

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array(self, student):
        found = student.upsample_bicubic(draw(59, 2, 3), (4, 5))
        assert isinstance(found, np.ndarray)
        assert found.shape == (4, 5)

    @pytest.mark.weight(0.5)
    def test_the_picture_that_was_passed_in_stays_as_it_was(self, student):
        student.unchanged("upsample_bicubic", draw(60, 2, 3), (5, 4))


# ---------------------------------------------------------------- transposed_conv2d

LECTURE_X, LECTURE_KERNEL = np.array([[2.0, 4.0], [0.0, 1.0]]), np.array([[3.0, 1.0], [1.0, 5.0]])
SCATTERED = [
    (draw(61, 3, 4), draw(62, 2, 3, low=1)),
    (draw(63, 4, 2), draw(64, 3, 3, low=1)),
    (draw(65, 1, 5), draw(66, 4, 2, low=1)),
]


@pytest.mark.task("transposed_conv2d")
class TestTransposedConv2d:
    @pytest.mark.weight(11)
    @pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (1, 1), (2, 1), (3, 2)])
    def test_any_stride_and_padding_give_what_torch_gives(self, student, stride, padding):
        x, kernel = draw(67, 4, 5), draw(68, 4, 5, low=1)
        agree(student.transposed_conv2d(x, kernel, stride, padding), torch_transposed(x, kernel, stride, padding))

    @pytest.mark.parametrize(("x", "kernel"), SCATTERED)
    def test_with_stride_1_it_is_what_torch_gives(self, student, x, kernel):
        agree(student.transposed_conv2d(x, kernel), torch_transposed(x, kernel))

    @pytest.mark.parametrize("stride", [2, 3])
    @pytest.mark.parametrize(("x", "kernel"), SCATTERED)
    def test_with_a_larger_stride_it_is_what_torch_gives(self, student, x, kernel, stride):
        agree(student.transposed_conv2d(x, kernel, stride), torch_transposed(x, kernel, stride))

    def test_a_square_kernel_is_neither_flipped_nor_transposed(self, student):
        x, kernel = draw(76, 3, 4), np.array([[1.0, 2.0], [3.0, 5.0]])
        agree(student.transposed_conv2d(x, kernel), torch_transposed(x, kernel))

    def test_padding_makes_the_output_smaller(self, student):
        x, kernel = SCATTERED[1]
        without, with_padding = (np.shape(student.transposed_conv2d(x, kernel, 2, padding)) for padding in (0, 1))
        assert without == (9, 5)
        assert with_padding < without

    def test_padding_does_not_make_the_output_larger(self, student):
        x, kernel = SCATTERED[1]
        without, with_padding = (np.shape(student.transposed_conv2d(x, kernel, 2, padding)) for padding in (0, 1))
        assert without == (9, 5)
        assert with_padding <= without

    def test_the_example_of_the_lecture_is_right(self, student):
        agree(student.transposed_conv2d(LECTURE_X, LECTURE_KERNEL), [[6, 14, 4], [2, 17, 21], [0, 1, 5]])

    def test_a_single_1_leaves_the_kernel_as_it_is(self, student):
        x = np.zeros((2, 3))
        x[1, 1] = 1
        kernel = draw(69, 2, 3, low=1)
        found = varied(student.transposed_conv2d(x, kernel, 2), 4, 7)
        agree(found[2:4, 2:5], kernel)

    def test_where_kernels_overlap_they_are_added_up(self, student):
        found = student.transposed_conv2d(np.ones((2, 3)), np.ones((2, 2)))
        agree(found, [[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]])

    def test_gaps_between_kernels_stay_0(self, student):
        found = student.transposed_conv2d(np.array([[1.0, 2.0]]), np.array([[4.0], [8.0]]), 3)
        agree(found, [[4, 0, 0, 8], [8, 0, 0, 16]])

    def test_padding_cuts_off_the_same_at_each_side(self, student):
        x, kernel = draw(70, 3, 2, low=1), draw(71, 3, 5, low=1)
        full = torch_transposed(x, kernel, 2)
        agree(student.transposed_conv2d(x, kernel, stride=2, padding=1), full[1:-1, 1:-1])

    def test_twice_the_input_gives_twice_the_output(self, student):
        x, kernel = SCATTERED[0]
        before = varied(student.transposed_conv2d(x, kernel, 2), 6, 9)
        agree(student.transposed_conv2d(2 * x, kernel, 2), 2 * before)
        agree(before.sum(), x.sum() * kernel.sum())

    def test_the_output_of_a_negative_kernel_is_negative(self, student):
        x, kernel = draw(72, 2, 3, low=1), -draw(73, 3, 2, low=1)
        agree(student.transposed_conv2d(x, kernel, 2), torch_transposed(x, kernel, 2))

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize(("stride", "padding", "shape"), [(1, 0, (4, 6)), (2, 1, (4, 7)), (3, 0, (8, 12))])
    def test_the_shape_follows_from_stride_padding_and_kernel(self, student, stride, padding, shape):
        varied(student.transposed_conv2d(draw(74, 3, 4, low=1), draw(75, 2, 3, low=1), stride, padding), *shape)

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array(self, student):
        found = student.transposed_conv2d(*SCATTERED[0])
        assert isinstance(found, np.ndarray)
        assert found.shape == (4, 6)

    @pytest.mark.weight(0.5)
    def test_the_arrays_that_were_passed_in_stay_as_they_were(self, student):
        student.unchanged("transposed_conv2d", *SCATTERED[1], 2, 1)


# ---------------------------------------------------------------- conv_matrix

CONVOLVED = [(draw(81, 2, 3, low=1), (4, 5)), (draw(82, 3, 1, low=1), (5, 3)), (draw(83, 2, 2, low=1), (2, 6))]


def torch_matrix(kernel, size):
    """Column p is the valid cross-correlation of a picture with a single 1 in pixel p."""
    units = torch.eye(size[0] * size[1], dtype=torch.float64).reshape(-1, 1, *size)
    return F.conv2d(units, torch.from_numpy(kernel)[None, None]).flatten(1).T.numpy()


@pytest.mark.task("conv_matrix")
class TestConvMatrix:
    @pytest.mark.weight(6)
    @pytest.mark.parametrize(("kernel", "size"), CONVOLVED)
    def test_the_matrix_is_the_one_that_torch_convolves_with(self, student, kernel, size):
        agree(student.conv_matrix(kernel, size), torch_matrix(kernel, size))

    @pytest.mark.weight(2)
    @pytest.mark.parametrize(("kernel", "size"), CONVOLVED)
    def test_times_a_flattened_picture_it_is_the_valid_cross_correlation(self, student, kernel, size):
        picture = draw(84, *size)
        expected = F.conv2d(torch.from_numpy(picture)[None, None], torch.from_numpy(kernel)[None, None])
        agree(np.asarray(student.conv_matrix(kernel, size)) @ picture.ravel(), expected.flatten().numpy())

    @pytest.mark.weight(2)
    @pytest.mark.parametrize(("kernel", "size"), CONVOLVED)
    def test_its_transpose_is_the_transposed_convolution(self, student, kernel, size):
        x = draw(85, size[0] - kernel.shape[0] + 1, size[1] - kernel.shape[1] + 1)
        agree(np.asarray(student.conv_matrix(kernel, size)).T @ x.ravel(), torch_transposed(x, kernel).ravel())

    def test_every_row_holds_each_number_of_the_kernel_once(self, student):
        kernel = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        found = np.sort(varied(student.conv_matrix(kernel, (3, 5)), 6, 15), axis=1)
        agree(found[:, -6:], [[1, 2, 3, 4, 5, 6]] * 6)
        agree(found[:, :-6], np.zeros((6, 9)))

    def test_a_kernel_of_equal_numbers_marks_the_pixels_of_each_place(self, student):
        agree(student.conv_matrix(np.ones((2, 2)), (3, 5)), torch_matrix(np.ones((2, 2)), (3, 5)))

    def test_a_kernel_of_a_single_row_stays_inside_the_picture(self, student):
        kernel = np.array([[1.0, 2.0, 4.0]])
        agree(student.conv_matrix(kernel, (3, 4)), torch_matrix(kernel, (3, 4)))

    @pytest.mark.weight(0.5)
    def test_there_is_a_column_for_each_pixel(self, student):
        assert np.shape(student.conv_matrix(draw(87, 2, 3, low=1), (5, 4)))[1] == 20

    def test_a_kernel_of_one_number_gives_a_multiple_of_the_identity(self, student):
        agree(student.conv_matrix(np.array([[2.5]]), (2, 3)), 2.5 * np.eye(6))

    def test_a_kernel_as_large_as_the_picture_gives_a_single_row(self, student):
        kernel = draw(86, 2, 3, low=1)
        agree(student.conv_matrix(kernel, (2, 3)), kernel.reshape(1, 6))

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize(("kernel", "size"), CONVOLVED)
    def test_there_is_a_row_for_each_place_of_the_kernel(self, student, kernel, size):
        varied(student.conv_matrix(kernel, size), *torch_matrix(kernel, size).shape)

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array(self, student):
        found = student.conv_matrix(*CONVOLVED[0])
        assert isinstance(found, np.ndarray)
        assert found.shape == (9, 20)

    @pytest.mark.weight(0.5)
    def test_the_kernel_that_was_passed_in_stays_as_it_was(self, student):
        student.unchanged("conv_matrix", *CONVOLVED[0])


# ---------------------------------------------------------------- bilinear_kernel


@pytest.mark.task("bilinear_kernel")
class TestBilinearKernel:
    @pytest.mark.weight(8)
    @pytest.mark.parametrize("scale", [2, 3, 4, 5])
    def test_as_a_transposed_convolution_it_interpolates_as_torch_does(self, student, scale):
        interpolates(student, scale)

    @pytest.mark.parametrize("scale", [2, 4, 6])
    def test_an_even_scale_is_right(self, student, scale):
        interpolates(student, scale)

    @pytest.mark.parametrize("scale", [3, 5])
    def test_an_odd_scale_is_right(self, student, scale):
        interpolates(student, scale)

    @pytest.mark.parametrize("scale", [3, 5])
    def test_the_middle_row_of_an_odd_kernel_is_a_tent_of_height_1(self, student, scale):
        tent = 1 - np.abs(np.arange(1 - scale, scale)) / scale
        agree(np.asarray(student.bilinear_kernel(scale))[scale - 1], tent)

    @pytest.mark.parametrize("scale", [2, 3, 4])
    def test_all_weights_are_positive_and_those_in_the_corners_the_smallest(self, student, scale):
        found = np.asarray(student.bilinear_kernel(scale), dtype=float)
        assert found.ndim == 2
        assert 0 < found[0, 0] == found.min() < found.max()

    @pytest.mark.weight(2)
    @pytest.mark.parametrize("scale", [2, 3, 4, 5, 8])
    def test_the_sum_is_the_square_of_the_scale(self, student, scale):
        found = np.asarray(student.bilinear_kernel(scale), dtype=float)
        assert found.ndim == 2
        agree(found.sum(), scale**2)

    @pytest.mark.parametrize("scale", [2, 3, 4, 5, 8])
    def test_its_side_is_twice_the_scale_less_one_if_that_is_odd(self, student, scale):
        assert np.shape(student.bilinear_kernel(scale)) == (2 * scale - scale % 2,) * 2

    @pytest.mark.parametrize("scale", [2, 3, 6])
    def test_it_is_symmetric_under_turning_and_transposing(self, student, scale):
        found = np.asarray(student.bilinear_kernel(scale), dtype=float)
        assert found.ndim == 2
        assert np.ptp(found) > 0
        agree(found[::-1], found)
        agree(found.T, found)

    @pytest.mark.parametrize("scale", [2, 3, 6])
    def test_it_is_a_product_of_one_tent_for_rows_and_one_for_columns(self, student, scale):
        found = np.asarray(student.bilinear_kernel(scale), dtype=float)
        assert np.ptp(found) > 0
        assert found[0, 0] > 0
        agree(np.outer(found[:, 0], found[0]) / found[0, 0], found)

    def test_scale_1_leaves_everything_as_it_is(self, student):
        agree(student.bilinear_kernel(1), [[1]])

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array(self, student):
        found = student.bilinear_kernel(3)
        assert isinstance(found, np.ndarray)
        assert found.shape == (5, 5)


def interpolates(student, scale):
    """As a transposed convolution the kernel interpolates, up to the border if the picture is edge-padded."""
    image = draw(91, 3, 4)
    kernel = np.asarray(student.bilinear_kernel(scale), dtype=float)
    assert kernel.ndim == 2
    size = (scale * 3, scale * 4)
    found = torch_transposed(np.pad(image, 1, mode="edge"), kernel, scale, scale // 2)
    assert found.shape == (size[0] + 2 * scale, size[1] + 2 * scale)
    found = found[scale:-scale, scale:-scale]
    agree(found, torch_resize(image, size, "bilinear", False), SAMPLED)


# ---------------------------------------------------------------- overlap_count

OVERLAPS = [((2, 4), 3, 2), ((3, 2), 4, 2), ((4, 3), 5, 3), ((1, 5), 2, 1), ((3, 4), 3, 3), ((3, 2), 2, 3)]


def fold_of_ones(size, kernel, stride):
    output = [(side - 1) * stride + kernel for side in size]
    ones = torch.ones(1, kernel * kernel, size[0] * size[1], dtype=torch.float64)
    return F.fold(ones, output, kernel, stride=stride)[0, 0].numpy()


@pytest.mark.task("overlap_count")
class TestOverlapCount:
    @pytest.mark.weight(6)
    @pytest.mark.parametrize(("size", "kernel", "stride"), OVERLAPS)
    def test_the_counts_are_those_of_folding_ones(self, student, size, kernel, stride):
        agree(student.overlap_count(size, kernel, stride), fold_of_ones(size, kernel, stride))

    def test_gaps_that_no_kernel_reaches_count_0(self, student):
        agree(student.overlap_count((2, 3), 2, 4), fold_of_ones((2, 3), 2, 4))

    def test_in_the_middle_of_four_kernels_the_count_is_4(self, student):
        found = varied(student.overlap_count((2, 2), 3, 2), 5, 5)
        assert found[2, 2] == 4
        assert found[0, 0] == 1

    def test_a_single_input_reaches_each_pixel_of_its_kernel_once(self, student):
        agree(student.overlap_count((1, 1), 3, 2), np.ones((3, 3)))
        agree(np.shape(student.overlap_count((2, 1), 3, 2)), [5, 3])

    def test_where_the_stride_divides_the_kernel_the_inside_is_even(self, student):
        found = varied(student.overlap_count((5, 6), 4, 2), 12, 14)
        assert (found[2:-2, 2:-2] == 4).all()

    def test_where_the_stride_does_not_divide_the_kernel_the_inside_alternates(self, student):
        found = varied(student.overlap_count((5, 6), 3, 2), 11, 13)
        assert set(found[2:-2, 2:-2].ravel()) == {1, 2, 4}

    def test_along_a_single_row_of_inputs_the_columns_are_counted(self, student):
        agree(student.overlap_count((1, 3), 3, 2), [[1, 1, 2, 1, 2, 1, 1]] * 3)

    def test_counts_are_whole_numbers(self, student):
        found = varied(student.overlap_count((3, 4), 3, 2), 7, 9)
        assert (found == np.round(found)).all()

    def test_the_counts_add_up_to_inputs_times_kernel_area(self, student):
        found = varied(student.overlap_count((3, 5), 4, 3), 10, 16)
        assert found.sum() == 3 * 5 * 16

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize(("size", "kernel", "stride"), OVERLAPS)
    def test_the_shape_is_that_of_a_transposed_convolution(self, student, size, kernel, stride):
        assert np.shape(student.overlap_count(size, kernel, stride)) == fold_of_ones(size, kernel, stride).shape

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array(self, student):
        found = student.overlap_count((2, 3), 3, 2)
        assert isinstance(found, np.ndarray)
        assert found.shape == (5, 7)


# ---------------------------------------------------------------- max_unpool


def pooled_by_torch(seed, height, width, kernel):
    """A random map with distinct values of both signs, pooled: maxima and their flat indices."""
    values = np.random.default_rng(seed).permutation(height * width).reshape(height, width) / 4 - 5
    pooled, indices = F.max_pool2d(torch.from_numpy(values)[None, None], kernel, return_indices=True)
    return pooled[0, 0].numpy(), indices[0, 0].numpy()


def torch_unpool(pooled, indices, size):
    batch = torch.from_numpy(pooled)[None, None], torch.from_numpy(indices)[None, None]
    kernel = size[0] // pooled.shape[0], size[1] // pooled.shape[1]
    return F.max_unpool2d(*batch, kernel, output_size=size)[0, 0].numpy()


UNPOOLED = [
    (*pooled_by_torch(101, 4, 6, 2), (4, 6)),
    (*pooled_by_torch(102, 6, 9, 3), (6, 9)),
    (*pooled_by_torch(103, 5, 7, 2), (5, 7)),  # the last row and column were not pooled
]


@pytest.mark.task("max_unpool")
class TestMaxUnpool:
    @pytest.mark.weight(9)
    @pytest.mark.parametrize(("pooled", "indices", "size"), UNPOOLED)
    def test_pooled_maps_become_what_torch_makes_of_them(self, student, pooled, indices, size):
        agree(student.max_unpool(pooled, indices, size), torch_unpool(pooled, indices, size))

    def test_each_value_is_found_at_its_flat_index(self, student):
        pooled, indices, size = UNPOOLED[1]
        found = varied(student.max_unpool(pooled, indices, size), *size)
        agree(found.ravel()[indices], pooled)

    def test_all_other_pixels_are_0(self, student):
        pooled, indices, size = UNPOOLED[0]
        found = varied(student.max_unpool(pooled, indices, size), *size)
        agree(np.delete(found.ravel(), indices.ravel()), np.zeros(18))

    def test_negative_values_and_fractions_come_back_as_they_were(self, student):
        found = student.max_unpool(np.array([[-2.5, -0.75]]), np.array([[1, 5]]), (2, 4))
        agree(found, [[0, -2.5, 0, 0], [0, -0.75, 0, 0]])

    def test_indices_need_not_come_in_order_or_lie_in_blocks(self, student):
        found = student.max_unpool(np.array([[1.0], [2.0], [3.0]]), np.array([[7], [0], [4]]), (2, 5))
        agree(found, [[2, 0, 0, 0, 3], [0, 0, 1, 0, 0]])

    def test_the_size_need_not_be_a_multiple_of_the_pooled_map(self, student):
        found = student.max_unpool(np.array([[4.0, 6.0]]), np.array([[3, 10]]), (5, 3))
        agree(found, np.array([[0, 0, 0], [4, 0, 0], [0, 0, 0], [0, 6, 0], [0, 0, 0]]))

    def test_in_a_map_of_a_single_row_the_index_is_the_column(self, student):
        agree(student.max_unpool(np.array([[4.0, 6.0, 5.0]]), np.array([[1, 2, 4]]), (1, 6)), [[0, 4, 6, 0, 5, 0]])

    def test_in_a_square_map_an_index_counts_row_by_row(self, student):
        found = student.max_unpool(np.array([[4.0, 6.0]]), np.array([[1, 5]]), (3, 3))
        agree(found, [[0, 4, 0], [0, 0, 6], [0, 0, 0]])

    def test_the_values_may_lie_in_the_corners_of_their_blocks(self, student):
        found = student.max_unpool(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0, 2], [8, 10]]), (4, 4))
        agree(found, [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]])

    @pytest.mark.weight(0.5)
    def test_with_nothing_to_put_back_all_is_0(self, student):
        found = np.asarray(student.max_unpool(np.zeros((0, 2)), np.zeros((0, 2), dtype=int), (3, 4)))
        assert found.shape == (3, 4)
        assert (found == 0).all()

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array(self, student):
        found = student.max_unpool(*UNPOOLED[2])
        assert isinstance(found, np.ndarray)
        assert found.shape == (5, 7)

    @pytest.mark.weight(0.5)
    def test_the_arrays_that_were_passed_in_stay_as_they_were(self, student):
        student.unchanged("max_unpool", *UNPOOLED[0])


# ---------------------------------------------------------------- pixel_shuffle

SHUFFLED = [(draw(111, 4, 3, 5), 2), (draw(112, 18, 2, 3), 3), (draw(113, 12, 4, 1), 2), (draw(114, 5, 2, 3), 1)]


@pytest.mark.task("pixel_shuffle")
class TestPixelShuffle:
    @pytest.mark.weight(9)
    @pytest.mark.parametrize(("x", "r"), SHUFFLED)
    def test_random_channels_become_what_torch_makes_of_them(self, student, x, r):
        agree(student.pixel_shuffle(x, r), F.pixel_shuffle(torch.from_numpy(x), r).numpy())

    def test_the_channels_of_one_pixel_become_one_block_row_by_row(self, student):
        found = student.pixel_shuffle(np.arange(1.0, 10.0).reshape(9, 1, 1), 3)
        agree(found, [[[1, 2, 3], [4, 5, 6], [7, 8, 9]]])

    def test_one_output_channel_is_made_from_neighbouring_channels(self, student):
        x = np.repeat([1.0, 2.0, 3.0], 4)[:, None, None] * np.ones((1, 2, 3))
        found = varied(student.pixel_shuffle(x, 2), 3, 4, 6)
        agree(found, np.array([1.0, 2.0, 3.0])[:, None, None] * np.ones((1, 4, 6)))

    def test_channels_that_were_taken_apart_are_put_together_again(self, student):
        picture = draw(115, 6, 8)
        x = np.stack([picture[i::2, j::2] for i in range(2) for j in range(2)])
        agree(student.pixel_shuffle(x, 2), picture[None])

    def test_the_map_keeps_its_rows_and_columns(self, student):
        x = np.arange(6.0).reshape(1, 2, 3) * np.ones((4, 1, 1))
        agree(student.pixel_shuffle(x, 2), np.kron(np.arange(6.0).reshape(2, 3), np.ones((2, 2)))[None])

    def test_channel_0_belongs_to_the_top_left_pixel_of_each_block(self, student):
        found = np.asarray(student.pixel_shuffle(np.eye(4)[:, :, None] * 1.0, 2))
        assert found.shape == (1, 8, 2)
        assert found[0, 0, 0] == 1
        x = np.zeros((9, 2, 3))
        x[0] = 1
        agree(np.asarray(student.pixel_shuffle(x, 3))[0, ::3, ::3], np.ones((2, 3)))

    @pytest.mark.parametrize(("channels", "r"), [(3, 2), (7, 3)])
    def test_channels_that_are_not_divisible_by_r_raise_a_value_error(self, student, channels, r):
        assert np.shape(student.pixel_shuffle(np.ones((4, 1, 1)), 2)) == (1, 2, 2)
        assert student.raises(ValueError, "pixel_shuffle", np.ones((channels, 2, 3)), r)

    @pytest.mark.parametrize(("channels", "r"), [(6, 2), (12, 3)])
    def test_channels_that_are_divisible_by_r_only_once_raise_a_value_error(self, student, channels, r):
        assert np.shape(student.pixel_shuffle(np.ones((4, 1, 1)), 2)) == (1, 2, 2)
        assert student.raises(ValueError, "pixel_shuffle", np.ones((channels, 2, 3)), r)

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize(("channels", "r"), [(3, 2), (12, 3)])
    def test_channels_that_are_not_divisible_are_refused(self, student, channels, r):
        agree(student.pixel_shuffle(np.arange(4.0).reshape(4, 1, 1), 2), [[[0, 1], [2, 3]]])
        assert student.raises(Exception, "pixel_shuffle", np.ones((channels, 2, 3)), r)

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array(self, student):
        found = student.pixel_shuffle(*SHUFFLED[1])
        assert isinstance(found, np.ndarray)
        assert found.shape == (2, 6, 9)

    @pytest.mark.weight(0.5)
    def test_the_array_that_was_passed_in_stays_as_it_was(self, student):
        student.unchanged("pixel_shuffle", *SHUFFLED[0])


# ---------------------------------------------------------------- icnr

KERNELS = [(draw(121, 2, 3, 3, 2), 2), (draw(122, 3, 1, 2, 3), 3), (draw(123, 1, 4, 1, 1), 4)]


@pytest.mark.task("icnr")
class TestIcnr:
    @pytest.mark.weight(6)
    @pytest.mark.parametrize(("kernel", "r"), KERNELS)
    def test_convolution_and_pixel_shuffle_begin_as_nearest_neighbour_enlarging(self, student, kernel, r):
        picture = torch.from_numpy(draw(124, 1, kernel.shape[1], 5, 6))
        weights = np.asarray(student.icnr(kernel, r), dtype=float)
        found = F.pixel_shuffle(F.conv2d(picture, torch.from_numpy(weights)), r)
        expected = F.interpolate(F.conv2d(picture, torch.from_numpy(kernel)), scale_factor=r, mode="nearest")
        agree(found.numpy(), expected.numpy())

    def test_each_block_has_the_kernel_of_its_output_channel(self, student):
        kernel = np.array([2.0, 5.0, 3.0]).reshape(3, 1, 1, 1)
        agree(np.ravel(student.icnr(kernel, 2)), [2] * 4 + [5] * 4 + [3] * 4)

    def test_a_single_output_channel_is_repeated_for_the_whole_block(self, student):
        kernel = draw(125, 1, 2, 3, 3)
        agree(student.icnr(kernel, 3), np.broadcast_to(kernel, (9, 2, 3, 3)))

    def test_with_r_2_there_are_four_times_as_many_output_channels(self, student):
        assert np.shape(student.icnr(draw(126, 3, 2, 1, 2), 2)) == (12, 2, 1, 2)

    def test_with_r_1_nothing_changes(self, student):
        kernel = KERNELS[0][0]
        agree(student.icnr(kernel, 1), kernel)
        assert np.shape(student.icnr(kernel, 2)) == (8, 3, 3, 2)

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize(("kernel", "r"), KERNELS)
    def test_only_the_output_channels_become_more(self, student, kernel, r):
        assert np.shape(student.icnr(kernel, r)) == (len(kernel) * r * r, *kernel.shape[1:])

    @pytest.mark.weight(0.5)
    def test_the_result_is_a_numpy_array(self, student):
        found = student.icnr(*KERNELS[1])
        assert isinstance(found, np.ndarray)
        assert found.shape == (27, 1, 2, 3)

    @pytest.mark.weight(0.5)
    def test_the_kernel_that_was_passed_in_stays_as_it_was(self, student):
        student.unchanged("icnr", *KERNELS[0])
