"""Hidden checks of 07_autoencoders. The name of a test is the sentence that a student reads in the feedback."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.distributions import Normal, kl_divergence

DECOMPOSITIONS = [
    "sklearn.decomposition.PCA",
    "sklearn.decomposition.IncrementalPCA",
    "sklearn.decomposition.KernelPCA",
    "sklearn.decomposition.SparsePCA",
    "sklearn.decomposition.MiniBatchSparsePCA",
    "sklearn.decomposition.TruncatedSVD",
    "torch.pca_lowrank",
]
DISTRIBUTIONS = ["torch.distributions.Normal", "torch.distributions.MultivariateNormal", "torch.normal"]
FORBIDDEN: dict[str, list[str]] = {
    "pca_fit": DECOMPOSITIONS,
    "pca_encode": DECOMPOSITIONS,
    "pca_decode": DECOMPOSITIONS,
    "corrupt": [
        "torchvision.transforms.RandomErasing",
        "torchvision.transforms.v2.RandomErasing",
        "torchvision.transforms.v2.GaussianNoise",
        "torchvision.transforms.v2.functional.gaussian_noise",
    ],
    "nearest": [
        "sklearn.neighbors.NearestNeighbors",
        "sklearn.neighbors.KNeighborsClassifier",
        "sklearn.neighbors.KDTree",
        "sklearn.neighbors.BallTree",
        "sklearn.neighbors.kneighbors_graph",
        "scipy.spatial.KDTree",
        "scipy.spatial.cKDTree",
    ],
    "reparameterize": DISTRIBUTIONS,
    "kl_divergence": ["torch.distributions.kl_divergence", "torch.distributions.kl.kl_divergence"],
}

# float32 rounds by 2^-24 = 6e-8 of a value. No result here takes more than a few hundred roundings of numbers below
# 100: 1e-4 leaves room. Singular vectors lose the gap of the singular values as well (30 % here): 1e-3 for them.
TOLERANCE = 1e-4


def agree(found, expected, tolerance=TOLERANCE):
    """A float tensor of the expected shape and type, equal up to rounding (relative for values above 1)."""
    assert isinstance(found, Tensor)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    error = (found.detach() - expected.detach()).abs()
    assert bool((error <= tolerance * expected.detach().abs().clamp(min=1)).all())


def draw(seed, *shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


# ---------------------------------------------------------------- PCA


def cloud(seed, number, dimensions, dtype=torch.float32):
    """Rows with a large mean and clearly different variances along random orthonormal directions."""
    q, _ = torch.linalg.qr(draw(seed, dimensions, dimensions, dtype=torch.float64))
    u, _ = torch.linalg.qr(draw(seed + 1, number, min(number - 1, dimensions), dtype=torch.float64) + 0)
    u = torch.linalg.qr(u - u.mean(dim=0))[0]  # orthonormal columns of mean 0: the variances are exactly as set
    scales = 12 * 0.7 ** torch.arange(u.shape[1], dtype=torch.float64)
    return ((u * scales) @ q[: u.shape[1]] + 5 * draw(seed + 2, dimensions, dtype=torch.float64)).to(dtype)


CLOUDS = [(cloud(1, 30, 5), 3), (cloud(11, 6, 9), 4), (cloud(21, 40, 4), 4), (cloud(31, 12, 7, torch.float64), 1)]


def components_of(student, X, k):
    mean, components = student.pca_fit(X, k)
    assert isinstance(components, Tensor)
    return mean, components.detach().double()


@pytest.mark.task("pca_fit")
class TestPcaFit:
    @pytest.mark.weight(8)
    @pytest.mark.parametrize(("X", "k"), CLOUDS)
    def test_the_components_are_those_of_scikit_learn_up_to_sign(self, student, X, k):
        _, found = components_of(student, X, k)
        expected = torch.from_numpy(PCA(k, svd_solver="full").fit(X.double().numpy()).components_)
        assert found.shape == expected.shape
        signs = (found * expected).sum(dim=1, keepdim=True).sign()
        agree(signs * found, expected, 1e-3)

    @pytest.mark.weight(2)
    @pytest.mark.parametrize(("X", "k"), CLOUDS)
    def test_the_mean_is_that_of_the_columns(self, student, X, k):
        agree(student.pca_fit(X, k)[0], X.mean(dim=0))

    @pytest.mark.parametrize(("X", "k"), CLOUDS)
    def test_the_components_are_orthonormal(self, student, X, k):
        _, found = components_of(student, X, k)
        agree(found @ found.T, torch.eye(k, dtype=torch.float64))

    def test_the_first_component_has_the_largest_variance_and_so_on(self, student):
        X, k = CLOUDS[0]
        _, found = components_of(student, X, k)
        variances = ((X.double() - X.double().mean(dim=0)) @ found.T).var(dim=0)
        assert bool((variances.diff() < 0).all())

    def test_a_large_mean_is_no_variance(self, student):
        X = CLOUDS[0][0]
        _, near = components_of(student, X, 2)
        _, far = components_of(student, X + 40, 2)
        agree((near * far).sum(dim=1).abs(), torch.ones(2, dtype=torch.float64), 1e-3)

    def test_a_column_in_larger_units_counts_more(self, student):
        X = cloud(41, 30, 5)
        X[:, 2] *= 100
        _, found = components_of(student, X, 1)
        assert abs(found[0, 2]) > 0.95

    def test_no_direction_has_more_variance_than_the_first_component(self, student):
        X, _ = CLOUDS[0]
        _, found = components_of(student, X, 1)
        centred = X.double() - X.double().mean(dim=0)
        assert float((centred @ found[0]).var()) > 0.99 * float(torch.linalg.eigvalsh(torch.cov(centred.T))[-1])

    @pytest.mark.parametrize("k", [1, 2, 4])
    def test_there_are_k_components_as_rows(self, student, k):
        mean, found = student.pca_fit(cloud(51, 20, 6), k)
        assert mean.shape == (6,)
        assert found.shape == (k, 6)

    def test_as_many_components_as_examples_are_allowed(self, student):
        X = cloud(61, 3, 8)
        _, found = components_of(student, X, 3)  # the third has no variance and may be any direction
        agree(found @ found.T, torch.eye(3, dtype=torch.float64))

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_the_float_type_is_kept(self, student, dtype):
        assert [part.dtype for part in student.pca_fit(cloud(71, 20, 4, dtype), 2)] == [dtype, dtype]

    @pytest.mark.weight(0.5)
    def test_the_data_stay_as_they_were(self, student):
        student.unchanged("pca_fit", *CLOUDS[0])


PLANES = []
for _seed, (_n, _d, _k), _dtype in (
    (81, (7, 5, 2), torch.float32),
    (91, (1, 6, 3), torch.float32),
    (101, (4, 3, 3), torch.float64),
):
    _rows = torch.linalg.qr(draw(_seed, _d, _k, dtype=torch.float64))[0].T.to(_dtype)
    PLANES.append((4 * draw(_seed + 1, _n, _d, dtype=_dtype), 3 * draw(_seed + 2, _d, dtype=_dtype), _rows))


@pytest.mark.task("pca_encode")
class TestPcaEncode:
    @pytest.mark.weight(8)
    @pytest.mark.parametrize(("X", "mean", "components"), PLANES)
    def test_the_codes_are_the_coordinates_along_the_components(self, student, X, mean, components):
        agree(student.pca_encode(X, mean, components), torch.einsum("nd,kd->nk", X - mean, components))

    @pytest.mark.weight(2)
    @pytest.mark.parametrize(("X", "mean", "components"), PLANES)
    def test_a_point_one_component_away_from_the_mean_has_a_one_there(self, student, X, mean, components):
        agree(student.pca_encode(mean + components, mean, components), torch.eye(len(components), dtype=X.dtype))

    def test_the_mean_has_code_0_and_other_points_do_not(self, student):
        X, mean, components = PLANES[0]
        found = student.pca_encode(torch.cat([mean[None], X]), mean, components)
        agree(found[0], torch.zeros(2))
        assert bool(found[1:].abs().sum() > 1)

    def test_the_code_of_a_point_does_not_depend_on_the_others(self, student):
        X, mean, components = PLANES[0]
        found = student.pca_encode(X, mean, components)
        assert bool(found.std() > 0.1)
        agree(student.pca_encode(X[2:3], mean, components), found[2:3])

    @pytest.mark.weight(0.5)
    def test_no_points_give_no_codes_of_length_k(self, student):
        X, mean, components = PLANES[0]
        assert student.pca_encode(X[:0], mean, components).shape == (0, 2)

    @pytest.mark.weight(0.5)
    def test_the_arguments_stay_as_they_were(self, student):
        student.unchanged("pca_encode", *PLANES[0])


@pytest.mark.task("pca_decode")
class TestPcaDecode:
    @pytest.mark.weight(8)
    @pytest.mark.parametrize(("X", "mean", "components"), PLANES)
    def test_a_point_is_the_mean_plus_the_components_times_the_code(self, student, X, mean, components):
        codes = X[:, : len(components)]
        agree(student.pca_decode(codes, mean, components), torch.einsum("nk,kd->nd", codes, components) + mean)

    @pytest.mark.weight(2)
    @pytest.mark.parametrize(("X", "mean", "components"), PLANES)
    def test_encoding_a_decoded_point_gives_its_code(self, student, X, mean, components):
        codes = X[:, : len(components)]
        found = student.pca_decode(codes, mean, components)
        agree((found - mean) @ components.T, codes)

    def test_code_0_gives_the_mean_and_other_codes_do_not(self, student):
        X, mean, components = PLANES[0]
        found = student.pca_decode(torch.cat([torch.zeros(1, 2), X[:, :2]]), mean, components)
        agree(found[0], mean)
        assert bool((found[1:] - mean).abs().sum() > 1)

    def test_a_point_does_not_depend_on_the_others(self, student):
        X, mean, components = PLANES[0]
        found = student.pca_decode(X[:, :2], mean, components)
        assert found.shape == X.shape
        assert bool(found.std(dim=0).min() > 0.01)
        agree(student.pca_decode(X[2:3, :2], mean, components), found[2:3])

    @pytest.mark.weight(0.5)
    def test_no_codes_give_no_points_of_length_d(self, student):
        X, mean, components = PLANES[0]
        assert student.pca_decode(X[:0, :2], mean, components).shape == (0, 5)

    @pytest.mark.weight(0.5)
    def test_the_arguments_stay_as_they_were(self, student):
        X, mean, components = PLANES[0]
        student.unchanged("pca_decode", X[:, :2].clone(), mean, components)


# ---------------------------------------------------------------- Autoencoder


def state(net):
    return {name: value.detach() for name, value in net.state_dict().items()}


def matrices(net):
    """From the shape of a weight matrix to its name; the checks use sizes for which no shape occurs twice."""
    return {tuple(value.shape): name for name, value in state(net).items() if value.ndim == 2}


def without_bias(net):
    """The net's state with all vectors 0 but those of one number (which may belong to an activation)."""
    return {n: torch.zeros_like(v) if v.ndim == 1 and len(v) > 1 else v for n, v in state(net).items()}


def bend(function, a, b):
    """How far a function is from being linear plus a constant."""
    parts = [function(x).detach() for x in (a, b, a + b, torch.zeros_like(a))]
    return (parts[0] + parts[1] - parts[2] - parts[3]).abs().max() / max(part.abs().max() for part in parts)


SIZES = (7, 3, (6, 5, 4))
DOWN, UP = [(6, 7), (5, 6), (4, 5), (3, 4)], [(4, 3), (5, 4), (6, 5), (7, 6)]


def built(student, seed, *arguments):
    student.seed(seed)
    return student.Autoencoder(*arguments)


def affine_in_last_layer(student, seed, half, x, width):
    """Whether a half's result doubles with the weights of its last layer, so that nothing follows that layer.

    The last layer is the one that gives as many numbers as the half. Where PyTorch knows no layers (another check
    tells), the results of several nets have to be of both signs.
    """
    net = built(student, seed, *SIZES)
    function = getattr(net, half)
    names = [name for shape, name in matrices(net).items() if shape[0] == width]
    if not names:
        several = torch.cat([getattr(built(student, seed + 100 + n, *SIZES), half)(x).detach() for n in range(10)])
        assert float(several.min()) < 0 < float(several.max())
        return
    weights, name = state(net), names[0]
    results = []
    for factor in (0, 4, 8):
        net.load_state_dict(weights | {name: factor * weights[name]})
        results.append(function(x).detach())
    net.load_state_dict(weights)
    zero, one, two = results
    assert bool((one - zero).abs().max() > 1e-3)
    agree(two - zero, 2 * (one - zero), 1e-3)


def a_nonlinearity_follows(net, half, shapes, layer):
    """Two linear layers without a nonlinearity between them could be turned against each other without any effect.

    Where PyTorch knows no layers (another check tells), the half as a whole must not be linear.
    """
    names, weights = matrices(net), without_bias(net)
    function, x = getattr(net, half), 4 * draw(14, 50, shapes[0][1])
    if not names:
        assert bend(function, x, 4 * draw(114, *x.shape)) > 1e-3
        return
    first, second = names[shapes[layer]], names[shapes[layer + 1]]
    net.load_state_dict(weights)
    before = function(x).detach()
    turn = torch.linalg.qr(draw(15, shapes[layer][0], shapes[layer][0]))[0]
    net.load_state_dict(weights | {first: turn @ weights[first], second: weights[second] @ turn.T})
    assert bool((function(x).detach() - before).abs().max() > 1e-3 * before.abs().max())


@pytest.mark.task("Autoencoder")
class TestAutoencoder:
    @pytest.mark.weight(3)
    @pytest.mark.parametrize("hidden", [(6, 5, 4), (6,), ()])
    def test_the_layers_are_those_asked_for_and_mirrored(self, student, hidden):
        net = built(student, 1, 7, 3, hidden)
        there = [7, *hidden, 3]
        pairs = list(zip(there[:-1], there[1:], strict=True))
        expected = sorted([(b, a) for a, b in pairs] + pairs)
        assert sorted(tuple(v.shape) for v in state(net).values() if v.ndim == 2) == expected
        assert net(draw(2, 5, 7)).shape == (5, 7)

    @pytest.mark.weight(2)
    def test_forward_is_decode_of_encode_and_nothing_else(self, student):
        net, x = built(student, 3, *SIZES), draw(4, 5, 7)
        code = net.encode(x)
        assert code.shape == (5, 3)
        assert net.decode(draw(5, 2, 3)).shape == (2, 7)
        agree(net(x), net.decode(code.detach()))

    @pytest.mark.weight(2)
    @pytest.mark.parametrize("half", ["encode", "decode"])
    def test_without_hidden_layers_the_net_is_linear(self, student, half):
        net, width = built(student, 6, 7, 3), 7 if half == "encode" else 3
        assert bend(getattr(net, half), 3 * draw(7, 20, width), 3 * draw(8, 20, width)) < 1e-4

    @pytest.mark.weight(2)
    def test_nothing_follows_the_last_layer_of_the_encoder(self, student):
        affine_in_last_layer(student, 9, "encode", 3 * draw(10, 30, 7), 3)

    @pytest.mark.weight(2)
    def test_nothing_follows_the_last_layer_of_the_decoder(self, student):
        affine_in_last_layer(student, 11, "decode", 3 * draw(12, 30, 3), 7)

    @pytest.mark.weight(2)
    @pytest.mark.parametrize("layer", [0, 1, 2])
    def test_a_nonlinearity_follows_every_hidden_layer_of_the_encoder(self, student, layer):
        a_nonlinearity_follows(built(student, 13, *SIZES), "encode", DOWN, layer)

    @pytest.mark.weight(2)
    @pytest.mark.parametrize("layer", [0, 1, 2])
    def test_a_nonlinearity_follows_every_hidden_layer_of_the_decoder(self, student, layer):
        a_nonlinearity_follows(built(student, 13, *SIZES), "decode", UP, layer)

    def test_with_hidden_layers_the_net_is_not_linear(self, student):
        net = built(student, 27, 7, 3, (6,))
        net.load_state_dict({name: 5 * value for name, value in state(net).items()})
        assert bend(net, draw(28, 50, 7), draw(29, 50, 7)) > 1e-3  # linear: rounding, 1e-6

    @pytest.mark.weight(30)
    def test_layers_nonlinearities_and_the_way_through_the_code_are_all_right(self, student):
        self.test_the_layers_are_those_asked_for_and_mirrored(student, (6, 5, 4))
        self.test_forward_is_decode_of_encode_and_nothing_else(student)
        self.test_nothing_follows_the_last_layer_of_the_encoder(student)
        self.test_nothing_follows_the_last_layer_of_the_decoder(student)
        for layer in range(3):
            self.test_a_nonlinearity_follows_every_hidden_layer_of_the_encoder(student, layer)
            self.test_a_nonlinearity_follows_every_hidden_layer_of_the_decoder(student, layer)
        self.test_all_weights_are_known_to_pytorch(student)
        self.test_the_output_learns_from_the_input_through_the_code_only(student)
        self.test_the_same_input_gives_the_same_output(student)

    @pytest.mark.weight(2)
    def test_all_weights_are_known_to_pytorch(self, student):
        one, other, x = built(student, 16, *SIZES), built(student, 17, *SIZES), draw(18, 5, 7)
        assert bool((one(x).detach() - other(x).detach()).abs().max() > 1e-4)
        other.load_state_dict(state(one))
        agree(other(x), one(x))

    @pytest.mark.weight(2)
    def test_the_output_learns_from_the_input_through_the_code_only(self, student):
        net, x = built(student, 19, *SIZES), 4 * draw(20, 50, 7)
        gradient = student.gradient(net, (x,), 0)
        assert gradient is not None and bool(gradient.abs().sum() > 0)
        weights, name = state(net), matrices(net)[(4, 3)]
        net.load_state_dict(weights | {name: torch.zeros_like(weights[name])})
        constant = net(x).detach()  # the code is cut off
        agree(constant, constant[:1].expand(50, 7))

    @pytest.mark.weight(0.5)
    def test_the_same_input_gives_the_same_output(self, student):
        net, x = built(student, 21, *SIZES), draw(22, 5, 7)
        assert torch.equal(net(x), net(x))
        assert bool(net(x).detach().std() > 0)

    @pytest.mark.weight(0.5)
    def test_the_hidden_sizes_may_come_as_a_list(self, student):
        assert built(student, 23, 7, 3, [6, 5])(draw(24, 2, 7)).shape == (2, 7)

    @pytest.mark.weight(0.5)
    def test_the_input_stays_as_it_was(self, student):
        net, x = built(student, 25, *SIZES), draw(26, 5, 7)
        code = net.encode(x)
        agree(net.encode(x), code)


# ---------------------------------------------------------------- corrupt


def corrupted(student, x, noise_std, mask_fraction, seed):
    return student.corrupt(x, noise_std, mask_fraction, generator(student, seed))


def generator(student, seed):
    return student.value("torch").Generator().manual_seed(seed)


def gray(number, channels=1, height=7, width=12, dtype=torch.float32):
    return torch.full((number, channels, height, width), 0.5, dtype=dtype)


def corner(hole):
    """Row and column of the top-left corner and extent of what is True in a (H, W) mask."""
    rows, columns = hole.any(dim=1).nonzero()[:, 0], hole.any(dim=0).nonzero()[:, 0]
    assert len(rows) and len(columns)
    top, left = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) - top + 1, int(columns[-1]) - left + 1
    return top, left, height, width


def side_of_squares(found):
    """The side of the black squares of (N, C, H, W) gray images; fails where there is none, or not one alone."""
    sides = set()
    for image in found:
        hole = image[0] == 0
        _, _, height, width = corner(hole)
        assert height == width and int(hole.sum()) == height * width
        sides.add(height)
    assert len(sides) == 1
    return sides.pop()


def repeated(student, noise_std, fraction):
    """Two results from equal states of the generator, whatever the state of everything else."""
    results = []
    for seed in (1, 2):
        student.seed(seed)
        results.append(corrupted(student, gray(30), noise_std, fraction, 12))
    assert bool((results[0] != 0.5).any())
    return results


@pytest.mark.task("corrupt")
class TestCorrupt:
    @pytest.mark.weight(4)
    @pytest.mark.parametrize(
        ("height", "width", "fraction", "side"),
        [(7, 12, 0.12, 3), (12, 7, 0.3, 5), (7, 12, 0.37, 6), (5, 9, 0.17, 3), (9, 5, 0.06, 2)],
    )
    def test_the_square_has_the_side_that_the_fraction_asks_for(self, student, height, width, fraction, side):
        assert side_of_squares(corrupted(student, gray(20, 1, height, width), 0.0, fraction, 1)) == side

    @pytest.mark.parametrize(("height", "width"), [(7, 12), (12, 7)])
    def test_the_side_is_at_most_the_shorter_side_of_the_image(self, student, height, width):
        assert side_of_squares(corrupted(student, gray(20, 1, height, width), 0.0, 0.95, 2)) == 7

    @pytest.mark.weight(2)
    def test_the_square_is_at_the_same_place_in_all_channels(self, student):
        found = corrupted(student, gray(30, 3), 0.0, 0.12, 3)
        assert found.shape == (30, 3, 7, 12)
        holes = found == 0
        assert bool(holes.any(dim=(1, 2, 3)).all())
        assert torch.equal(holes, holes[:, :1].expand_as(holes))

    @pytest.mark.weight(3)
    def test_every_place_where_the_square_fits_is_equally_likely(self, student):
        found = corrupted(student, gray(3000), 0.0, 0.12, 4)
        counts = torch.zeros(5, 10)
        for image in found:
            top, left, *_ = corner(image[0] == 0)
            counts[top, left] += 1
        # Chi squared with 49 degrees of freedom has mean 49 and deviation 10: 8 deviations above.
        assert float(((counts - 60) ** 2 / 60).sum()) < 49 + 8 * 98**0.5

    def test_the_images_have_their_squares_at_different_places(self, student):
        found = corrupted(student, gray(40), 0.0, 0.12, 19)
        # 40 draws from 50 places hit 28 of them, good to 2.
        assert len({corner(image[0] == 0)[:2] for image in found}) > 15

    def test_the_square_also_reaches_the_first_and_the_last_row_and_column(self, student):
        found = corrupted(student, gray(600), 0.0, 0.12, 20)
        rows, columns = zip(*(corner(image[0] == 0)[:2] for image in found), strict=True)
        assert (min(rows), max(rows), min(columns), max(columns)) == (0, 4, 0, 9)

    @pytest.mark.weight(4)
    def test_the_noise_has_mean_0_and_the_deviation_asked_for(self, student):
        noise = (corrupted(student, gray(40, 3), 0.05, 0.0, 5) - 0.5) / 0.05
        assert noise.shape == (40, 3, 7, 12)
        # 10080 values: mean good to 0.01, deviation to 0.007; six times that.
        assert abs(float(noise.mean())) < 0.06
        assert abs(float(noise.std()) - 1) < 0.042

    def test_the_noise_is_gaussian(self, student):
        noise = (corrupted(student, gray(40, 3), 0.005, 0.0, 6) - 0.5).double()
        noise = (noise - noise.mean()) / noise.std()
        # The fourth moment is 3 (uniform: 1.8), good to sqrt(96 / 10080) = 0.1; the third is 0, good to 0.04.
        assert abs(float((noise**4).mean()) - 3) < 0.6
        assert abs(float((noise**3).mean())) < 0.24

    @pytest.mark.weight(2)
    def test_every_value_has_noise_of_its_own(self, student):
        noise = corrupted(student, gray(40, 3), 0.005, 0.0, 7) - 0.5
        assert float(noise.std()) > 1e-4
        noise = (noise - noise.mean()) / noise.std()  # of whatever strength
        for one, other in ((noise[1:], noise[:-1]), (noise[:, 1:], noise[:, :-1]), (noise[..., 1:], noise[..., :-1])):
            assert abs(float((one * other).mean())) < 6 / one.numel() ** 0.5  # 0 for independent values

    @pytest.mark.weight(2)
    def test_values_beyond_black_and_white_are_clipped(self, student):
        found = corrupted(student, gray(40, 2), 2.0, 0.0, 8)
        # P(|2 z| > 0.5) = 0.80 lie at the ends. The strength of the noise has a check of its own.
        assert float(found.min()) >= 0 and float(found.max()) == 1
        assert float(((found == 0) | (found == 1)).double().mean()) > 0.5
        assert len(found.unique()) > 100

    @pytest.mark.weight(2)
    def test_the_square_is_black_also_where_there_is_noise(self, student):
        found = corrupted(student, gray(30, 2), 0.001, 0.12, 9)
        assert not torch.equal(found[found != 0], torch.full_like(found[found != 0], 0.5))
        assert side_of_squares(found) == 3
        assert torch.equal(found[:, 0] == 0, found[:, 1] == 0)

    def test_outside_the_square_nothing_changes_without_noise(self, student):
        x = 0.2 + 0.6 * torch.rand(20, 2, 7, 12, generator=torch.Generator().manual_seed(10))
        found = corrupted(student, x, 0.0, 0.12, 11)
        holes = found == 0
        assert int(holes.sum()) == 20 * 2 * 9
        assert torch.equal(found[~holes], x[~holes])

    def test_equal_states_of_the_generator_give_equal_noise(self, student):
        assert torch.equal(*repeated(student, 0.05, 0.0))

    def test_equal_states_of_the_generator_give_equal_places(self, student):
        assert torch.equal(*repeated(student, 0.0, 0.12))

    @pytest.mark.parametrize(("noise_std", "fraction"), [(0.05, 0.0), (0.0, 0.12)])
    def test_other_states_of_the_generator_give_other_results(self, student, noise_std, fraction):
        source, x = generator(student, 12), gray(30)
        first, second = (student.corrupt(x, noise_std, fraction, source) for _ in range(2))
        assert not torch.equal(first, second)
        assert not torch.equal(first, corrupted(student, x, noise_std, fraction, 13))

    @pytest.mark.weight(40)
    def test_noise_clipping_and_square_are_all_right(self, student):
        self.test_the_square_has_the_side_that_the_fraction_asks_for(student, 12, 7, 0.3, 5)
        self.test_the_square_has_the_side_that_the_fraction_asks_for(student, 7, 12, 0.37, 6)
        self.test_the_side_is_at_most_the_shorter_side_of_the_image(student, 7, 12)
        self.test_the_square_is_at_the_same_place_in_all_channels(student)
        self.test_every_place_where_the_square_fits_is_equally_likely(student)
        self.test_the_noise_has_mean_0_and_the_deviation_asked_for(student)
        self.test_the_noise_is_gaussian(student)
        self.test_every_value_has_noise_of_its_own(student)
        self.test_values_beyond_black_and_white_are_clipped(student)
        self.test_the_square_is_black_also_where_there_is_noise(student)
        self.test_outside_the_square_nothing_changes_without_noise(student)
        self.test_equal_states_of_the_generator_give_equal_noise(student)
        self.test_equal_states_of_the_generator_give_equal_places(student)
        self.test_other_states_of_the_generator_give_other_results(student, 0.05, 0.12)

    @pytest.mark.weight(0.5)
    def test_without_noise_and_square_nothing_happens(self, student):
        x = torch.rand(4, 2, 5, 3, generator=torch.Generator().manual_seed(14))
        agree(corrupted(student, x, 0.0, 0.0, 15), x, 0)

    @pytest.mark.weight(0.5)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_the_float_type_is_kept(self, student, dtype):
        found = corrupted(student, gray(3, dtype=dtype), 0.1, 0.12, 16)
        assert found.dtype == dtype
        assert bool((found != 0.5).any())

    @pytest.mark.weight(0.5)
    def test_no_images_give_no_images(self, student):
        assert corrupted(student, gray(0, 2), 0.1, 0.12, 17).shape == (0, 2, 7, 12)

    @pytest.mark.weight(0.5)
    def test_the_images_stay_as_they_were(self, student):
        x = gray(5)
        call = student.call("corrupt", x, 0.1, 0.12, generator(student, 18))
        assert torch.equal(call.arguments[0], x)


# ---------------------------------------------------------------- nearest


def same(found, expected):
    """Long indices, equal and in the same order; lists are judged by one check of their own."""
    found = torch.as_tensor(found)
    assert not found.is_floating_point()
    assert found.tolist() == list(expected)


@pytest.mark.task("nearest")
class TestNearest:
    @pytest.mark.weight(8)
    @pytest.mark.parametrize(("seed", "number", "d", "k"), [(1, 40, 3, 7), (2, 9, 5, 9), (3, 200, 2, 1), (4, 30, 1, 4)])
    def test_the_nearest_are_those_that_scikit_learn_finds(self, student, seed, number, d, k):
        codes, query = 3 * draw(seed, number, d), 3 * draw(seed + 100, d)
        search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(codes.double().numpy())
        same(student.nearest(codes, query, k), search.kneighbors(query.double().numpy()[None])[1][0].tolist())

    @pytest.mark.weight(2)
    def test_the_distance_is_euclidean(self, student):
        codes = torch.tensor([[5.0, 0.0, 0.0], [3.0, 3.0, 0.0], [2.0, 2.0, 2.0], [0.0, 4.0, 1.0]])
        same(student.nearest(codes, torch.zeros(3), 4), [2, 3, 1, 0])

    def test_no_code_that_was_left_out_is_nearer(self, student):
        codes, query = 3 * draw(10, 40, 3), 3 * draw(11, 3)
        found = torch.as_tensor(student.nearest(codes, query, 9)).long()
        assert len(set(found.tolist())) == 9
        distances = (codes - query).norm(dim=1)
        left = torch.ones(40, dtype=torch.bool).index_fill(0, found, False)
        assert float(distances[found].max()) < float(distances[left].min())

    @pytest.mark.weight(5)
    def test_of_equal_distances_the_lower_index_comes_first(self, student):
        codes = torch.tensor([[0.0, 3.0], [3.0, 0.0], [1.0, 0.0], [-3.0, 0.0], [0.0, -1.0]]).repeat(8, 1)
        distances = codes.square().sum(dim=1)
        expected = sorted(range(40), key=lambda i: (float(distances[i]), i))
        same(student.nearest(codes, torch.zeros(2), 40), expected)
        same(student.nearest(codes, torch.zeros(2), 20), expected[:20])

    def test_the_query_may_be_one_of_the_codes(self, student):
        codes = 3 * draw(5, 20, 4)
        for index in (3, 7, 19):
            assert int(student.nearest(codes, codes[index], 3)[0]) == index

    def test_moving_everything_changes_nothing(self, student):
        codes, query = torch.tensor([[4.0, 1.0], [0.0, 2.0], [7.0, 7.0], [1.0, 1.0]]), torch.tensor([1.0, 0.0])
        shift = torch.tensor([-64.0, 32.0])
        same(student.nearest(codes + shift, query + shift, 4), [3, 1, 0, 2])

    def test_more_than_there_are_gives_all(self, student):
        codes = torch.tensor([[4.0, 1.0], [0.0, 2.0], [7.0, 7.0]])
        same(student.nearest(codes, torch.tensor([1.0, 0.0]), 5), [1, 0, 2])

    @pytest.mark.weight(0.5)
    def test_without_codes_there_are_no_indices(self, student):
        found = student.nearest(torch.zeros(0, 3), torch.zeros(3), 2)
        assert isinstance(found, Tensor)
        assert found.shape == (0,) and found.dtype == torch.int64

    @pytest.mark.weight(2)
    @pytest.mark.parametrize("k", [1, 3])
    def test_the_indices_are_a_long_tensor_of_length_k(self, student, k):
        found = student.nearest(draw(6, 12, 4), draw(7, 4), k)
        assert isinstance(found, Tensor)
        assert found.shape == (k,) and found.dtype == torch.int64

    @pytest.mark.weight(0.5)
    def test_the_arguments_stay_as_they_were(self, student):
        student.unchanged("nearest", draw(8, 12, 4), draw(9, 4), 3)


# ---------------------------------------------------------------- the pieces of the VAE


def gaussians(seed, *shape, dtype=torch.float32):
    return 2 * draw(seed, *shape, dtype=dtype), 1.5 * draw(seed + 1, *shape, dtype=dtype)


@pytest.mark.task("reparameterize")
class TestReparameterize:
    @pytest.mark.weight(8)
    @pytest.mark.parametrize(
        ("shape", "dtype"), [((5, 3), torch.float32), ((4,), torch.float32), ((2, 3, 2), torch.float64)]
    )
    def test_the_sample_is_the_mean_plus_the_deviation_times_eps(self, student, shape, dtype):
        (mu, logvar), eps = gaussians(1, *shape, dtype=dtype), draw(3, *shape, dtype=dtype)
        found = student.reparameterize(mu, logvar, eps)
        agree(found, mu + torch.sqrt(torch.exp(logvar.double())).to(dtype) * eps)

    @pytest.mark.weight(2)
    def test_the_same_noise_gives_the_same_sample_and_other_noise_another(self, student):
        (mu, logvar), eps = gaussians(4, 5, 3), draw(6, 5, 3)
        student.seed(1)
        first = student.reparameterize(mu, logvar, eps)
        student.seed(2)
        agree(student.reparameterize(mu, logvar, eps), first, 0)
        assert bool((student.reparameterize(mu, logvar, -eps) - first).abs().min() > 1e-3)

    @pytest.mark.weight(2)
    def test_without_noise_the_sample_is_the_mean(self, student):
        mu, logvar = gaussians(7, 5, 3)
        found = student.reparameterize(torch.cat([mu, mu]), torch.cat([logvar] * 2), torch.cat([0 * mu, mu]))
        agree(found[:5], mu)
        assert bool((found[5:] - mu).abs().max() > 0.1)

    def test_with_variance_1_the_sample_is_the_mean_plus_eps(self, student):
        mu, eps = draw(15, 5, 3), draw(16, 5, 3)
        agree(student.reparameterize(mu, torch.zeros(5, 3), eps), mu + eps)

    def test_a_larger_variance_moves_the_sample_farther(self, student):
        zero, one = torch.zeros(4), torch.ones(4)
        found = student.reparameterize(zero, torch.tensor([-3.0, -1.0, 0.5, 2.0]), one).abs()
        assert bool((found.diff() > 0.1).all())

    @pytest.mark.weight(12)
    def test_the_gradients_with_respect_to_mean_and_logvar_are_right(self, student):
        (mu, logvar), eps = gaussians(9, 5, 3), draw(11, 5, 3)
        slopes = student.gradient("reparameterize", (mu, logvar, eps), (0, 1))
        agree(slopes[0], torch.ones(5, 3))
        agree(slopes[1], torch.exp(logvar / 2) * eps / 2)

    @pytest.mark.weight(0.5)
    def test_the_arguments_stay_as_they_were(self, student):
        student.unchanged("reparameterize", *gaussians(12, 4, 3), draw(14, 4, 3))


def kl_by_torch(mu, logvar):
    return kl_divergence(Normal(mu, torch.exp(logvar / 2)), Normal(torch.zeros_like(mu), 1.0)).sum(dim=1)


@pytest.mark.task("kl_divergence")
class TestKlDivergence:
    @pytest.mark.weight(8)
    @pytest.mark.parametrize(
        ("shape", "dtype"),
        [((5, 3), torch.float32), ((4, 1), torch.float32), ((1, 6), torch.float32), ((3, 4), torch.float64)],
    )
    def test_the_divergence_is_that_of_torch_distributions(self, student, shape, dtype):
        mu, logvar = gaussians(21, *shape, dtype=dtype)
        agree(student.kl_divergence(mu, logvar), kl_by_torch(mu, logvar))

    def test_the_standard_normal_has_divergence_0_and_others_more(self, student):
        mu, logvar = gaussians(23, 5, 3)
        mu[0], logvar[0] = 0, 0
        found = student.kl_divergence(mu, logvar)
        assert found.shape == (5,)
        assert abs(float(found[0])) < 1e-6
        assert bool((found[1:] > 0.1).all())

    def test_a_shifted_mean_costs_half_its_square(self, student):
        mu = torch.tensor([[3.0, 0.0], [0.0, -4.0], [1.0, 2.0]])
        agree(student.kl_divergence(mu, torch.zeros(3, 2)), torch.tensor([4.5, 8.0, 2.5]))

    def test_the_variance_is_exp_of_logvar(self, student):
        variance = torch.tensor([[4.0], [0.25], [9.0]])
        expected = (variance - 1 - variance.log())[:, 0] / 2
        agree(student.kl_divergence(torch.zeros(3, 1), variance.log()), expected)

    def test_dimensions_add_up(self, student):
        mu, logvar = gaussians(25, 5, 4)
        parts = [student.kl_divergence(mu[:, s], logvar[:, s]) for s in (slice(0, 1), slice(1, 4))]
        agree(student.kl_divergence(mu, logvar), parts[0] + parts[1])
        assert bool((parts[0] > 0).all())

    def test_every_example_counts_by_itself(self, student):
        mu, logvar = gaussians(27, 6, 3)
        order = [4, 2, 0, 5, 1, 3]
        found = student.kl_divergence(mu, logvar)
        assert found.shape == (6,)
        assert bool(found.std() > 0.1)
        agree(student.kl_divergence(mu[order], logvar[order]), found[order])

    @pytest.mark.weight(9)
    def test_the_gradients_with_respect_to_mean_and_logvar_are_right(self, student):
        mu, logvar = gaussians(29, 5, 3)
        slopes = student.gradient("kl_divergence", (mu, logvar), (0, 1))
        agree(slopes[0], mu)
        agree(slopes[1], (logvar.exp() - 1) / 2)

    @pytest.mark.weight(0.5)
    def test_no_examples_give_no_numbers(self, student):
        assert student.kl_divergence(torch.zeros(0, 3), torch.zeros(0, 3)).shape == (0,)

    @pytest.mark.weight(0.5)
    def test_the_arguments_stay_as_they_were(self, student):
        student.unchanged("kl_divergence", *gaussians(31, 4, 3))


def batch(seed, number, pixels, latent, dtype=torch.float32):
    x = torch.rand(number, pixels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
    return 3 * draw(seed + 1, number, pixels, dtype=dtype), x, *gaussians(seed + 2, number, latent, dtype=dtype)


def loss_by_torch(logits, x, mu, logvar, beta=1.0):
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
    kl = kl_by_torch(mu, logvar).mean()
    return {"reconstruction": reconstruction, "kl": kl, "total": reconstruction + beta * kl}


BATCHES = [batch(41, 6, 9, 3), batch(51, 1, 4, 5), batch(61, 3, 30, 1), batch(71, 4, 5, 2, torch.float64)]


@pytest.mark.task("vae_loss")
class TestVaeLoss:
    @pytest.mark.weight(6)
    @pytest.mark.parametrize("arguments", BATCHES)
    def test_the_total_is_reconstruction_plus_beta_times_kl(self, student, arguments):
        for beta in (1.0, 0.0, 2.5):
            agree(student.vae_loss(*arguments, beta)["total"], loss_by_torch(*arguments, beta)["total"])

    @pytest.mark.weight(4)
    @pytest.mark.parametrize("arguments", BATCHES)
    def test_the_reconstruction_is_a_bernoulli_cross_entropy_summed_over_pixels_and_averaged_over_examples(
        self, student, arguments
    ):
        found = student.vae_loss(*arguments)["reconstruction"]
        agree(found, loss_by_torch(*arguments)["reconstruction"])

    @pytest.mark.weight(3)
    @pytest.mark.parametrize("arguments", BATCHES)
    def test_the_kl_term_is_summed_over_dimensions_averaged_over_examples_and_without_beta(self, student, arguments):
        for beta in (1.0, 3.0):
            agree(student.vae_loss(*arguments, beta)["kl"], loss_by_torch(*arguments)["kl"])

    def test_beta_is_1_unless_told(self, student):
        agree(student.vae_loss(*BATCHES[0])["total"], loss_by_torch(*BATCHES[0])["total"])

    def test_twice_the_same_examples_cost_the_same(self, student):
        found = student.vae_loss(*BATCHES[0])
        twice = student.vae_loss(*(torch.cat([part, part]) for part in BATCHES[0]))
        for name in ("reconstruction", "kl", "total"):
            assert float(found[name]) > 0.1
            agree(twice[name], found[name])

    def test_gray_pixels_count_as_they_are(self, student):
        zero = torch.zeros(1, 1)
        costs = [
            float(student.vae_loss(torch.full((1, 1), 2.0), torch.full((1, 1), x), zero, zero)["reconstruction"])
            for x in (0.0, 0.4, 1.0)
        ]
        assert costs[0] > costs[2] > 0
        assert abs(costs[1] - 0.6 * costs[0] - 0.4 * costs[2]) < 1e-4

    @pytest.mark.weight(3)
    def test_logits_of_hundreds_cost_hundreds(self, student):
        zero, logits = torch.zeros(1, 2), torch.tensor([[300.0, -300.0, 300.0, -300.0, 0.0]])
        for x, expected in (([0.0, 0.0, 1.0, 1.0, 0.0], 600.0), ([1.0, 0.0, 1.0, 0.0, 0.0], 0.0)):
            found = student.vae_loss(logits, torch.tensor([x]), zero, zero)["reconstruction"]
            agree(found, torch.tensor(expected + np.log(2), dtype=torch.float32))

    def test_logits_of_hundreds_give_finite_losses(self, student):
        zero, logits = torch.zeros(1, 2), torch.tensor([[300.0, -300.0, 300.0, -300.0]])
        found = student.vae_loss(logits, torch.tensor([[0.0, 0.0, 1.0, 1.0]]), zero, zero)["reconstruction"]
        assert 1 < float(found) < 1e4

    def test_pixels_add_up(self, student):
        logits, x, mu, logvar = BATCHES[0]
        costs = [student.vae_loss(logits[:, s], x[:, s], mu, logvar)["reconstruction"] for s in (slice(4), slice(4, 9))]
        agree(student.vae_loss(logits, x, mu, logvar)["reconstruction"], costs[0] + costs[1])
        assert all(float(cost) > 0.1 for cost in costs)

    @pytest.mark.weight(30)
    def test_all_terms_and_their_gradients_are_right_also_for_large_logits(self, student):
        for arguments in BATCHES:
            for beta in (0.0, 2.5):
                found, expected = student.vae_loss(*arguments, beta), loss_by_torch(*arguments, beta)
                for name in expected:
                    agree(found[name], expected[name])
        self.test_logits_of_hundreds_cost_hundreds(student)
        self.test_the_gradient_is_that_of_the_formula_also_for_large_logits(student)

    @pytest.mark.weight(2)
    def test_the_gradient_is_that_of_the_formula_also_for_large_logits(self, student):
        logits, x, mu, logvar = (part.clone() for part in BATCHES[0])
        logits[0, :2] = torch.tensor([300.0, -300.0])
        leaves = [part.requires_grad_() for part in (logits, mu, logvar)]
        expected = torch.autograd.grad(loss_by_torch(logits, x, mu, logvar, 2.0)["total"], leaves)
        arguments = (logits.detach(), x, mu.detach(), logvar.detach(), 2.0)
        for found, slope in zip(student.gradient("vae_loss", arguments, (0, 2, 3), "total"), expected, strict=True):
            agree(found, slope)

    @pytest.mark.parametrize("name", ["reconstruction", "kl", "total"])
    def test_all_three_values_are_scalar_tensors_with_gradient(self, student, name):
        found = student.vae_loss(*BATCHES[0])
        assert set(found) == {"reconstruction", "kl", "total"}
        assert all(isinstance(value, Tensor) and value.ndim == 0 for value in found.values())
        wrt = (0,) if name == "reconstruction" else (2, 3)
        assert all(part is not None for part in student.gradient("vae_loss", BATCHES[0], wrt, name))

    @pytest.mark.weight(0.5)
    def test_the_arguments_stay_as_they_were(self, student):
        student.unchanged("vae_loss", *BATCHES[0])


# ---------------------------------------------------------------- VAE


def vae(student, seed, in_dim=7, latent_dim=3, hidden=(12,)):
    student.seed(seed)
    return student.VAE(in_dim, latent_dim, hidden)


def stretched(net, factor):
    """The net with all weights multiplied: what its parts put out is then large unless something limits it."""
    net.load_state_dict({name: factor * value for name, value in state(net).items()})
    return net


def the_noise_is_standard_normal(student, mode):
    """4000 calls on one row spread as the decoded samples of N(mu, exp(logvar)) do."""
    net = stretched(vae(student, 10), 2)
    getattr(net, mode)()
    x = draw(11, 1, 7)
    mu, logvar = (part.detach() for part in net.encode(x))
    student.seed(12)
    found = net(x.expand(4000, 7))[0].detach()
    expected = net.decode(mu + torch.exp(logvar / 2) * draw(13, 4000, 3)).detach()
    spread = expected.std(dim=0)
    # Means of 4000 differ by sqrt(2 / 4000) = 0.022 deviations, deviations by 2 to 3 %: six times that.
    assert bool(((found.mean(dim=0) - expected.mean(dim=0)).abs() < 0.14 * spread).all())
    assert bool(((found.std(dim=0) / spread - 1).abs() < 0.18).all())


@pytest.mark.task("VAE")
class TestVae:
    @pytest.mark.weight(2)
    @pytest.mark.parametrize(("in_dim", "latent", "hidden"), [(7, 3, (12,)), (5, 1, [9, 4]), (4, 6, (8, 8, 8))])
    def test_the_shapes_are_those_asked_for(self, student, in_dim, latent, hidden):
        net, x = vae(student, 1, in_dim, latent, hidden), draw(2, 6, in_dim)
        mu, logvar = net.encode(x)
        assert mu.shape == logvar.shape == (6, latent)
        assert net.decode(draw(3, 2, latent)).shape == (2, in_dim)
        logits, mu, logvar = net(x)
        assert logits.shape == x.shape
        assert mu.shape == logvar.shape == (6, latent)

    @pytest.mark.weight(5)
    def test_with_eps_forward_decodes_the_mean_plus_the_deviation_times_eps(self, student):
        net, x, eps = stretched(vae(student, 4), 2), draw(5, 6, 7), draw(6, 6, 3)
        mu, logvar = (part.detach() for part in net.encode(x))
        agree(net(x, eps)[0], net.decode(mu + torch.exp(logvar / 2) * eps))
        assert bool((net(x, eps)[0] - net(x, 0 * eps)[0]).abs().max() > 1e-3)

    @pytest.mark.weight(2)
    def test_forward_also_returns_mu_and_logvar_in_this_order(self, student):
        net, x = vae(student, 7), draw(8, 6, 7)
        mu, logvar = net.encode(x)
        found = net(x, draw(9, 6, 3))
        assert len(found) == 3
        agree(found[1], mu)
        agree(found[2], logvar)
        assert bool((mu - logvar).abs().max() > 1e-3)

    def test_mu_and_logvar_have_last_layers_of_their_own(self, student):
        mu, logvar = vae(student, 37).encode(draw(38, 6, 7))
        assert bool((mu - logvar).abs().max() > 1e-3)

    @pytest.mark.weight(2)
    def test_without_eps_the_noise_is_standard_normal_in_train_mode(self, student):
        the_noise_is_standard_normal(student, "train")

    @pytest.mark.weight(2)
    def test_without_eps_the_noise_is_standard_normal_in_eval_mode(self, student):
        the_noise_is_standard_normal(student, "eval")

    def test_without_eps_every_row_has_noise_of_its_own(self, student):
        found = vae(student, 39)(torch.zeros(6, 7))[0].detach()
        assert bool((found[1:] - found[:1]).abs().amax(dim=1).min() > 1e-6)

    @pytest.mark.parametrize("mode", ["train", "eval"])
    def test_two_calls_without_eps_differ_and_two_with_it_agree(self, student, mode):
        net, x, eps = vae(student, 14), draw(15, 6, 7), draw(16, 6, 3)
        getattr(net, mode)()
        assert not torch.equal(net(x)[0], net(x)[0])
        agree(net(x, eps)[0], net(x, eps)[0])

    @pytest.mark.weight(2)
    @pytest.mark.parametrize("seed", [17, 18])
    def test_mu_takes_any_real_value(self, student, seed):
        mu = stretched(vae(student, seed), 20).encode(5 * draw(19, 200, 7))[0].detach()
        assert float(mu.min()) < -1 and float(mu.max()) > 1

    @pytest.mark.weight(2)
    @pytest.mark.parametrize("seed", [20, 21])
    def test_logvar_takes_any_real_value(self, student, seed):
        logvar = stretched(vae(student, seed), 20).encode(5 * draw(22, 200, 7))[1].detach()
        assert float(logvar.min()) < -1 and float(logvar.max()) > 1

    @pytest.mark.weight(2)
    @pytest.mark.parametrize("seed", [23, 24])
    def test_decode_returns_logits_that_take_any_real_value(self, student, seed):
        logits = stretched(vae(student, seed), 20).decode(5 * draw(25, 200, 3)).detach()
        assert float(logits.min()) < -1 and float(logits.max()) > 1

    @pytest.mark.weight(2)
    def test_every_hidden_layer_is_there(self, student):
        sizes = {size for value in state(vae(student, 26, 7, 3, (12, 11))).values() for size in value.shape}
        assert {12, 11} <= sizes

    @pytest.mark.weight(2)
    @pytest.mark.parametrize("half", ["encode", "decode"])
    def test_encoder_and_decoder_have_hidden_layers_with_nonlinearities(self, student, half):
        width = 7 if half == "encode" else 3
        a, b = draw(40, 50, width), draw(41, 50, width)
        bends = []
        for seed in range(42, 47):
            net = stretched(vae(student, seed), 5)
            bends.append(bend((lambda x, net=net: net.encode(x)[0]) if half == "encode" else net.decode, a, b))
        assert max(bends) > 1e-3  # linear: rounding, 1e-6

    @pytest.mark.weight(2)
    def test_all_weights_are_known_to_pytorch(self, student):
        one, other, x, eps = vae(student, 27), vae(student, 28), draw(29, 6, 7), draw(30, 6, 3)
        assert bool((one(x, eps)[0].detach() - other(x, eps)[0].detach()).abs().max() > 1e-4)
        other.load_state_dict(state(one))
        for found, expected in zip(other(x, eps), one(x, eps), strict=True):
            agree(found, expected)

    @pytest.mark.weight(2)
    def test_the_reconstruction_has_a_gradient_with_respect_to_input_and_noise(self, student):
        slopes = student.gradient(vae(student, 31), (draw(32, 6, 7), draw(33, 6, 3)), (0, 1), 0)
        assert all(slope is not None and bool(slope.abs().sum() > 0) for slope in slopes)

    @pytest.mark.weight(40)
    def test_encoder_noise_and_decoder_are_all_right(self, student):
        for sizes in ((7, 3, (12,)), (5, 1, [9, 4])):
            self.test_the_shapes_are_those_asked_for(student, *sizes)
        self.test_with_eps_forward_decodes_the_mean_plus_the_deviation_times_eps(student)
        self.test_forward_also_returns_mu_and_logvar_in_this_order(student)
        for mode in ("train", "eval"):
            the_noise_is_standard_normal(student, mode)
        self.test_mu_takes_any_real_value(student, 17)
        self.test_logvar_takes_any_real_value(student, 20)
        self.test_decode_returns_logits_that_take_any_real_value(student, 23)
        self.test_every_hidden_layer_is_there(student)
        for half in ("encode", "decode"):
            self.test_encoder_and_decoder_have_hidden_layers_with_nonlinearities(student, half)
        self.test_all_weights_are_known_to_pytorch(student)
        self.test_the_reconstruction_has_a_gradient_with_respect_to_input_and_noise(student)

    @pytest.mark.weight(0.5)
    def test_each_row_is_treated_by_itself(self, student):
        net, x, eps = vae(student, 34), draw(35, 6, 7), draw(36, 6, 3)
        agree(net(x[2:3], eps[2:3])[0], net(x, eps)[0][2:3])


# ---------------------------------------------------------------- interpolate, wasserstein2


@pytest.mark.task("interpolate")
class TestInterpolate:
    @pytest.mark.weight(8)
    @pytest.mark.parametrize(
        ("d", "steps", "dtype"),
        [(3, 5, torch.float32), (1, 2, torch.float32), (8, 11, torch.float32), (4, 4, torch.float64)],
    )
    def test_the_steps_are_equal_on_the_straight_line(self, student, d, steps, dtype):
        z0, z1 = 3 * draw(d, d, dtype=dtype), 3 * draw(d + 50, d, dtype=dtype)
        expected = torch.stack([z0 + (z1 - z0) * (i / (steps - 1)) for i in range(steps)])
        agree(student.interpolate(z0, z1, steps), expected)

    @pytest.mark.weight(2)
    def test_it_begins_at_z0_and_ends_at_z1(self, student):
        z0, z1 = draw(1, 4), draw(2, 4)
        found = student.interpolate(z0, z1, 6)
        agree(found[0], z0)
        agree(found[-1], z1)

    @pytest.mark.weight(2)
    def test_one_step_alone_gives_finite_numbers(self, student):
        found = student.interpolate(draw(3, 4), draw(4, 4), 1)
        assert bool(found.isfinite().all()) and bool(found.abs().max() > 0)

    @pytest.mark.weight(5)
    def test_one_step_alone_is_z0(self, student):
        z0, z1 = draw(3, 4), draw(4, 4)
        agree(student.interpolate(z0, z1, 1), z0[None])

    @pytest.mark.parametrize("steps", [2, 3, 9])
    def test_there_is_one_row_for_each_step(self, student, steps):
        assert student.interpolate(draw(5, 4), draw(6, 4), steps).shape == (steps, 4)

    @pytest.mark.weight(0.5)
    def test_the_codes_stay_as_they_were(self, student):
        student.unchanged("interpolate", draw(7, 4), draw(8, 4), 3)


def pair(seed, *shape, dtype=torch.float32):
    spreads = (0.2 + draw(seed + k, *shape, dtype=dtype).abs() for k in (2, 3))
    one, other = spreads
    return 2 * draw(seed, *shape, dtype=dtype), one, 2 * draw(seed + 1, *shape, dtype=dtype), other


@pytest.mark.task("wasserstein2")
class TestWasserstein2:
    @pytest.mark.weight(8)
    @pytest.mark.parametrize(
        ("shape", "dtype"),
        [((5, 3), torch.float32), ((4,), torch.float32), ((2, 3, 4), torch.float64), ((3, 1), torch.float32)],
    )
    def test_the_distance_is_that_of_the_closed_form(self, student, shape, dtype):
        mu1, std1, mu2, std2 = arguments = pair(1, *shape, dtype=dtype)
        expected = torch.sqrt(torch.einsum("...d->...", (mu1 - mu2) ** 2 + (std1 - std2) ** 2))
        agree(student.wasserstein2(*arguments), expected)

    def test_equal_spreads_leave_the_distance_of_the_means(self, student):
        zero, one = torch.zeros(2), torch.ones(2)
        found = [student.wasserstein2(zero, s * one, torch.tensor([3.0, -4.0]), s * one) for s in (0.01, 1.0, 5.0)]
        agree(torch.stack(found), torch.full((3,), 5.0))

    def test_equal_means_leave_the_distance_of_the_deviations(self, student):
        mu = draw(5, 3)
        found = student.wasserstein2(mu, torch.tensor([1.0, 2.0, 4.0]), mu, torch.tensor([3.0, 2.0, 4.0]))
        agree(found, torch.tensor(2.0))

    def test_a_gaussian_and_itself_have_distance_0_and_others_more(self, student):
        mu1, std1, mu2, std2 = pair(6, 4, 3)
        mu2[0], std2[0] = mu1[0], std1[0]
        found = student.wasserstein2(mu1, std1, mu2, std2)
        assert float(found[0]) == 0
        assert bool((found[1:] > 0.1).all())

    def test_the_distance_is_symmetric_and_obeys_the_triangle_inequality(self, student):
        a, b, c = (pair(seed, 6, 3)[:2] for seed in (11, 21, 31))
        ab, bc, ac, ba = (student.wasserstein2(*p, *q) for p, q in ((a, b), (b, c), (a, c), (b, a)))
        assert ab.shape == (6,)
        assert bool((ab > 0).all())
        agree(ba, ab)
        assert bool((ac <= ab + bc + 1e-5).all())

    @pytest.mark.weight(0.5)
    def test_the_arguments_stay_as_they_were(self, student):
        student.unchanged("wasserstein2", *pair(41, 4, 3))
