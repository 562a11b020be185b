# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 7 Autoencoders: from PCA to the VAE
#
# How few numbers describe a picture? PCA answers with a plane. An autoencoder bends it. A variational autoencoder
# fills it, so that new pictures can be drawn from it. You write all three, and measure where each step pays and where
# it does not: on the lecture's Iris flowers, then on handwritten digits.
#
# **After this notebook you can**
# - implement PCA, say in which sense it is the best *linear* code, and when a deep autoencoder beats it;
# - use encoder-decoders: remove noise, complete images, search by image, learn from 20 labels, estimate depth;
# - derive the loss of a VAE, implement it without overflow, and say why the noise is an *argument*;
# - read KL terms: count active units, recognise posterior collapse, choose beta;
# - say what KL divergence and optimal transport each measure, and where KL gives no useful slope.
#
# | | |
# |---|---|
# | You need | PyTorch: tensors, `nn.Module`, autograd; eigenvectors or the SVD; Gaussians |
# | Lecture | Autoencoders: PCA, Iris, Hinton's deep autoencoder, denoising, completion, retrieval, depth, VAE, KL and optimal transport |
# | Work | 5 hours; the bonus half an hour more |
# | Run | below two minutes and 1 GB of memory on two CPU cores |
#
# **Reading**
# - Hinton and Salakhutdinov, [Reducing the dimensionality of data with neural
#   networks](https://doi.org/10.1126/science.1127647), Science 2006.
# - Vincent et al., [Extracting and composing robust features with denoising
#   autoencoders](https://doi.org/10.1145/1390156.1390294), ICML 2008.
# - Kingma and Welling, [Auto-encoding variational Bayes](https://arxiv.org/abs/1312.6114), ICLR 2014; appendix B has
#   the KL term.
# - Higgins et al., [beta-VAE](https://openreview.net/forum?id=Sy2fzU9gl), ICLR 2017; Burda et al., [Importance weighted
#   autoencoders](https://arxiv.org/abs/1509.00519), ICLR 2016: the count of active units.
# - Eigen et al., [Depth map prediction from a single image](https://arxiv.org/abs/1406.2283), NIPS 2014.
# - Peyré and Cuturi, [Computational optimal transport](https://arxiv.org/abs/1803.00567), 2019, remark 2.31.
#
# **How to work.** Each task is one cell with `raise NotImplementedError()`. Replace that line, run the cell, run the
# tests below it, look at the picture. A function gives tensors of the float type that it was given, and never changes
# its arguments. The library function that *is* the task is named in the task, and not allowed in its solution.
#
# **Stuck?** Go on. Tests of a task never need another task, except where your own solution calls one. Applications
# (sections 4 to 7) bring their own nets. Only these are built on your answers: section 3 trains your `Autoencoder`,
# section 4 spoils the images with your `corrupt`, section 5 shows what your `nearest` finds, sections 9, 10 and 11
# train your `VAE` with your `vae_loss`, and section 10 calls your `interpolate`. In a terminal, `lfi check
# notebooks/07_autoencoders/autoencoders.ipynb` lists which tasks pass their visible tests.

# %% tags=["setup"]
import functools

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import datasets, depth, digits, nets, plotting, training
from helpers.seeds import SEED, seed_everything

seed_everything()
plotting.use_style()
torch.set_num_threads(1)  # these nets are so small that a second thread waits more than it works

# %% tags=["nbval-check-output"]
from sklearn.decomposition import PCA  # the library's answer: to compare with, and for later sections
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from threadpoolctl import threadpool_limits

threadpool_limits(1)  # for NumPy and scikit-learn, for the same reason

flowers, numerals = digits.iris(), digits.digits()
for name, split in (("Iris", flowers), ("digits", numerals)):
    low, high = split.train.min(), split.train.max()
    print(f"{name:7} train {tuple(split.train.shape)}, test {tuple(split.test.shape)}, values {low:.2f} to {high:.2f}")

# %% [markdown]
# Iris: four lengths of 150 flowers, each scaled to mean 0 and variance 1 on the training set. Digits: 8 x 8 gray
# values in [0, 1], as rows of 64. Both come with scikit-learn. **MSE** below is always the mean squared error per
# value, on test data that no training has seen.
#
# ## 1 PCA: the best plane
#
# The data are rows $x_n$ of length $D$; $\mu$ is their mean. Among all $k$-dimensional planes, PCA takes the one
# that loses least:
#
# $$\min_{\mu, V}\ \sum_n \bigl\lVert (x_n - \mu) - V^\top V (x_n - \mu) \bigr\rVert^2 ,\qquad V V^\top = I,\quad
# V \in \mathbb{R}^{k\times D} .$$
#
# The rows of $V$ are the $k$ eigenvectors of the covariance $\tfrac1N\sum_n (x_n - \mu)(x_n - \mu)^\top$ with the
# largest eigenvalues (the variances along them). Or, without ever building a $D\times D$ matrix: the first $k$ right
# singular vectors of the centred data.
#
# ### Task: `pca_fit`
#
# Watch three things: `torch.linalg.eigh` sorts *rising* and returns eigenvectors as *columns*; `torch.linalg.svd`
# returns $V^\top$ already. The data are centred, not standardised. The sign of each component is free. Not allowed:
# `sklearn.decomposition`, `torch.pca_lowrank`.


# %% nbgrader={"grade": false, "grade_id": "pca_fit", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pca_fit(X: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Principal components.

    Args:
        X: (N, D) data, one example a row; not standardised.
        k: how many components, 1 <= k <= min(N, D).

    Returns:
        mean: (D,) mean of the rows.
        components: (k, D), one component a row: orthonormal, by falling variance, of either sign.

    Example:
        Three points on a line, X = [[0, 0, 1], [3, 4, 1], [6, 8, 1]]: the mean is [3, 4, 1],
        the first component [0.6, 0.8, 0] or its negative.
    """
    ### BEGIN SOLUTION
    mean = X.mean(dim=0)
    _, _, components = torch.linalg.svd(X - mean, full_matrices=False)
    return mean, components[:k]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_pca_fit", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
X = torch.tensor([[0.0, 0.0, 1.0], [3.0, 4.0, 1.0], [6.0, 8.0, 1.0]])
before = X.clone()
mean, components = pca_fit(X, 1)
assert mean.shape == (3,), f"Expected a mean of shape (3,), one value a column; received {tuple(mean.shape)}."
assert torch.allclose(mean, torch.tensor([3.0, 4.0, 1.0])), f"Expected mean [3, 4, 1], received {mean.tolist()}."
assert components.shape == (1, 3), (
    f"Expected components of shape (1, 3): k rows of length D; received {tuple(components.shape)}. "
    "Eigenvectors come as columns."
)
assert torch.allclose(components.abs(), torch.tensor([[0.6, 0.8, 0.0]]), atol=1e-5), (
    f"Expected [0.6, 0.8, 0] up to sign, received {components[0].tolist()}. Length 1, along the line of the points; "
    "subtract the mean first, and do not divide by the standard deviation."
)
assert torch.equal(X, before), "The data that were passed in have changed: write X - mean, not X -= mean."
cloud = torch.tensor([[5.0, 9.0, 0.0], [5.0, -9.0, 0.0], [5.0, 0.0, 1.0], [5.0, 0.0, -1.0], [5.0, 0.0, 0.0]])
_, components = pca_fit(cloud, 2)
assert torch.allclose(components.abs(), torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), atol=1e-5), (
    f"Expected the second axis, then the third; received {components.tolist()}. The largest variance comes first, and "
    "a large mean (5) is no variance. Are components rows?"
)
skew, _ = pca_fit(torch.tensor([[0.0, 6.0], [0.0, 0.0], [3.0, 0.0]]), 1)
assert torch.allclose(skew, torch.tensor([1.0, 2.0])), f"Expected the mean [1, 2], received {skew.tolist()}."
assert pca_fit(cloud.double(), 2)[1].dtype == torch.float64, "float64 in, float64 out."
print("pca_fit: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("autoencoders", "pca_fit", globals())
### END HIDDEN TESTS


# %% [markdown]
# ### Tasks: `pca_encode` and `pca_decode`
#
# $$z = V (x - \mu) \in \mathbb{R}^k,\qquad \hat x = \mu + V^\top z .$$
#
# Encoding gives coordinates in the plane, decoding puts them back into the space. Examples are *rows* here, so the
# matrices stand on the right, transposed. Not allowed: `sklearn.decomposition`.


# %% nbgrader={"grade": false, "grade_id": "pca_encode", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pca_encode(X: Tensor, mean: Tensor, components: Tensor) -> Tensor:
    """Coordinates in the plane of the components.

    Args:
        X: (N, D) data. N may be 0.
        mean: (D,).
        components: (k, D), orthonormal rows.

    Returns:
        (N, k) codes.

    Example:
        X = [[6, 8, 1]], mean = [3, 4, 1], components = [[0.6, 0.8, 0]]: the code is [[5]].
    """
    ### BEGIN SOLUTION
    return (X - mean) @ components.T
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_pca_encode", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
mean, components = torch.tensor([4.0, 3.0, 1.0]), torch.tensor([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
points = torch.tensor([[7.0, 7.0, 1.0], [4.0, 3.0, 1.0], [1.0, -1.0, 0.0], [4.0, 3.0, 9.0]])
turn = torch.tensor([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0], [0.8, -0.6, 0.0]])
received = pca_encode(points[:2], mean, turn)
assert received.shape == (2, 3) and torch.allclose(received, torch.tensor([[5.0, 0.0, 0.0], [0.0] * 3]), atol=1e-5), (
    f"With three components [0.6, 0.8, 0], [0, 0, 1], [0.8, -0.6, 0]: expected [[5, 0, 0], [0, 0, 0]], received "
    f"{received.tolist()}. The mean itself has code 0: subtract it first. Examples are rows and components are rows: "
    "which matrix has to be transposed?"
)
received = pca_encode(points, mean, components)
assert received.shape == (4, 2), f"Expected shape (4, 2): N rows, k columns; received {tuple(received.shape)}."
assert torch.allclose(received, torch.tensor([[5.0, 0.0], [0.0, 0.0], [-5.0, -1.0], [0.0, 8.0]]), atol=1e-5), (
    f"Expected [[5, 0], [0, 0], [-5, -1], [0, 8]], received {received.tolist()}. "
    "The mean itself has code 0: subtract it first."
)
assert pca_encode(points[:0], mean, components).shape == (0, 2), "No examples: the shape should be (0, 2)."
before = points.clone()
pca_encode(points, mean, components)
assert torch.equal(points, before), "The data that were passed in have changed: write X - mean, not X -= mean."
print("pca_encode: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("autoencoders", "pca_encode", globals())
### END HIDDEN TESTS


# %% nbgrader={"grade": false, "grade_id": "pca_decode", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pca_decode(Z: Tensor, mean: Tensor, components: Tensor) -> Tensor:
    """Points in space from coordinates in the plane.

    Args:
        Z: (N, k) codes. N may be 0.
        mean: (D,).
        components: (k, D), orthonormal rows.

    Returns:
        (N, D) points in the plane.

    Example:
        Z = [[5]], mean = [3, 4, 1], components = [[0.6, 0.8, 0]]: the point is [[6, 8, 1]].
    """
    ### BEGIN SOLUTION
    return mean + Z @ components
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_pca_decode", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
mean, components = torch.tensor([4.0, 3.0, 1.0]), torch.tensor([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
codes = torch.tensor([[5.0, 0.0], [0.0, 0.0], [-5.0, -1.0], [0.0, 8.0]])
received = pca_decode(codes, mean, components)
assert received.shape == (4, 3), f"Expected shape (4, 3): N rows, D columns; received {tuple(received.shape)}."
expected = torch.tensor([[7.0, 7.0, 1.0], [4.0, 3.0, 1.0], [1.0, -1.0, 0.0], [4.0, 3.0, 9.0]])
assert torch.allclose(received, expected, atol=1e-5), (
    f"Expected {expected.tolist()}, received {received.tolist()}. Code 0 is the mean; add it at the end."
)
assert pca_decode(codes[:0], mean, components).shape == (0, 3), "No codes: the shape should be (0, 3)."
before, before_mean = codes.clone(), mean.clone()
double = pca_decode(codes.double(), mean.double(), components.double())
assert double.dtype == torch.float64, f"float64 in, float64 out; received {double.dtype}."
assert torch.equal(codes, before) and torch.equal(mean, before_mean), (
    "An argument has changed: build a new tensor instead of adding in place."
)
print("pca_decode: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("autoencoders", "pca_decode", globals())
### END HIDDEN TESTS


# %% [markdown]
# The lecture's picture: the test flowers in the plane of the first two components, yours on the left, scikit-learn's
# on the right. They should be equal up to a mirror (the sign is free). The kinds were not used, and yet they come
# apart.

# %%
mean, components = pca_fit(flowers.train, 2)
yours = pca_encode(flowers.test, mean, components)
library = PCA(2).fit(flowers.train.numpy())
theirs = library.transform(flowers.test.numpy())
figure, axes = plt.subplots(1, 2, figsize=(6.4, 2.7), sharey=True)
for ax, codes, title in zip(axes, (yours.numpy(), theirs), ("yours", "scikit-learn"), strict=True):
    for kind, (name, marker) in enumerate(zip(("setosa", "versicolor", "virginica"), "os^", strict=True)):
        ax.plot(*codes[flowers.test_labels == kind].T, marker, markersize=4, label=name)
    ax.set(title=title, xlabel="component 1", aspect="equal")
axes[0].set_ylabel("component 2")
axes[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()
error = (pca_decode(yours, mean, components) - flowers.test).square().mean()
print(
    f"MSE with two numbers for four: yours {error:.4f}, scikit-learn's {np.square(library.inverse_transform(theirs) - flowers.test.numpy()).mean():.4f}"
)

# %% [markdown]
# ## 2 The autoencoder: bend the plane
#
# Replace "project, put back" by two functions that are learned: an encoder $f: \mathbb{R}^D\to\mathbb{R}^k$ and a
# decoder $g: \mathbb{R}^k\to\mathbb{R}^D$, trained to copy their input through the bottleneck:
#
# $$\min_{f, g}\ \frac{1}{N D}\sum_n \lVert x_n - g(f(x_n)) \rVert^2 .$$
#
# If $f$ and $g$ are linear this is the problem of PCA without the condition $VV^\top = I$, so the best it can reach
# is the error of PCA. Only a nonlinearity can do better. It belongs after each *hidden* layer. After the code or the
# output it does harm: a ReLU there would forbid negative codes, a sigmoid would squeeze Iris into (0, 1).
#
# ### Task: `Autoencoder`
#
# Linear layers `in_dim, *hidden, latent_dim`, and mirrored back, a nonlinearity of your choice after each hidden
# layer. (The numbers in the text below were measured with `nn.GELU`.) `forward` returns the reconstruction only. Layers kept in a plain Python list are invisible to PyTorch: use
# `nn.Sequential` or `nn.ModuleList`. Allowed: all of `torch.nn`.


# %% nbgrader={"grade": false, "grade_id": "Autoencoder", "locked": false, "schema_version": 3, "solution": true, "task": false}
class Autoencoder(nn.Module):
    """Fully connected autoencoder.

    Args:
        in_dim: length D of an example.
        latent_dim: length k of a code.
        hidden: sizes of the encoder's hidden layers, from the input on; the decoder has them in reverse. May be empty.

    Example:
        Autoencoder(64, 2, hidden=(32, 16)) has the layers 64-32-16-2-16-32-64, with a nonlinearity after 32, 16, 16
        and 32. Autoencoder(64, 2) is 64-2-64 and linear (each layer with its bias).
    """

    def __init__(self, in_dim: int, latent_dim: int, hidden=()):
        ### BEGIN SOLUTION
        super().__init__()

        def stack(sizes: list[int]) -> nn.Sequential:
            layers: list[nn.Module] = []
            for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
                layers += [nn.Linear(inputs, outputs), nn.GELU()]
            return nn.Sequential(*layers[:-1])

        sizes = [in_dim, *hidden, latent_dim]
        self.encoder, self.decoder = stack(sizes), stack(sizes[::-1])
        ### END SOLUTION

    def encode(self, x: Tensor) -> Tensor:
        """(N, in_dim) -> (N, latent_dim), without a nonlinearity at the end."""
        ### BEGIN SOLUTION
        return self.encoder(x)
        ### END SOLUTION

    def decode(self, z: Tensor) -> Tensor:
        """(N, latent_dim) -> (N, in_dim), without a nonlinearity at the end."""
        ### BEGIN SOLUTION
        return self.decoder(z)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_dim) -> (N, in_dim): decode(encode(x))."""
        ### BEGIN SOLUTION
        return self.decode(self.encode(x))
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_Autoencoder", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
torch.manual_seed(0)
net, x = Autoencoder(7, 2, hidden=(6, 5)), torch.randn(9, 7)
assert isinstance(net, nn.Module), "Autoencoder should be an nn.Module."
assert net.encode(x).shape == (9, 2), f"encode: expected shape (9, 2), received {tuple(net.encode(x).shape)}."
assert net.decode(torch.zeros(3, 2)).shape == (3, 7), "decode: 3 codes of length 2 should give shape (3, 7)."
assert isinstance(net(x), Tensor), f"forward returns the reconstruction only; received {type(net(x)).__name__}."
assert torch.allclose(net(x), net.decode(net.encode(x))), "forward(x) should be decode(encode(x))."
shapes = sorted(tuple(p.shape) for p in net.parameters() if p.ndim == 2)
expected = sorted([(6, 7), (5, 6), (2, 5), (5, 2), (6, 5), (7, 6)])
assert shapes == expected, (
    f"Expected weight matrices {expected}, received {shapes}. None at all: the layers are in a plain list. "
    "Others: is the decoder the mirror of the encoder?"
)


def bend(function, a, b):
    """0 for a linear function (plus a constant), else not."""
    return (function(a) + function(b) - function(a + b) - function(0 * a)).abs().max().item()


@torch.no_grad()
def turned(half, x, first, second):
    """How much a half changes if `first` is turned and `second` turned back: not at all if nothing stands between."""
    net = Autoencoder(7, 2, hidden=(6, 5))
    named = {tuple(p.shape): p for p in net.parameters() if p.ndim == 2}
    for p in net.parameters():
        if p.ndim == 1 and len(p) > 1:
            p.zero_()  # without biases
    before, turn = getattr(net, half)(x), torch.linalg.qr(torch.randn(first[0], first[0]))[0]
    named[first].copy_(turn @ named[first])
    named[second].copy_(named[second] @ turn.T)
    return ((getattr(net, half)(x) - before).abs().max() / before.abs().max()).item()


linear = Autoencoder(7, 2)
assert bend(linear, x[:4], x[4:8]) < 1e-4, (
    "Without hidden layers the net should be linear: nothing after the code or the output."
)
for half, width, chain in (("encode", 7, [(6, 7), (5, 6), (2, 5)]), ("decode", 2, [(5, 2), (6, 5), (7, 6)])):
    for first, second in zip(chain[:-1], chain[1:], strict=True):
        assert max(turned(half, 4 * torch.randn(50, width), first, second) for _ in range(5)) > 1e-3, (
            f"{half}: no nonlinearity between the layer to {first[0]} and the layer to {second[0]} values. One belongs "
            "after every hidden layer; two linear layers in a row are one linear layer."
        )
    values = []
    for _ in range(20):
        many = Autoencoder(7, 2, hidden=(6, 5))
        with torch.no_grad():
            for p in many.parameters():
                p.mul_(20)  # large weights, large values
            values.append(getattr(many, half)(torch.randn(20, width)))
    values = torch.cat(values)
    assert values.min() < -1 and values.max() > 1, (
        f"{half}: 20 nets with large weights gave values from {values.min():.3g} to {values.max():.3g} only. Codes and "
        "outputs may be any real numbers: no nonlinearity after the last layer."
    )
(slope,) = torch.autograd.grad(Autoencoder(7, 2, hidden=(64, 64))(x.requires_grad_()).sum(), x, allow_unused=True)
assert slope is not None and slope.abs().sum() > 0, (
    "No gradient of the reconstruction reaches the input: nothing may be detached, or the encoder never learns."
)
print("Autoencoder: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("autoencoders", "Autoencoder", globals())
### END HIDDEN TESTS


# %% [markdown]
# ### Iris: linear, Tanh, ReLU
#
# Now the lecture's experiment, with five initial weights each, so that luck shows. The nets of this cell are the
# course's own (`helpers.nets.DenseEnsemble` trains five at once), so that we can choose the nonlinearity: 4-4-3-k
# and back.
#
# **Predict first:** with one number for four, who comes close to PCA's error, who beats it? And with two? Will all
# five nets of a kind agree?

# %% tags=["long", "measured"]
seeds = [5 * SEED + number for number in range(5)]
kinds = {"linear": lambda x: x, "Tanh": torch.tanh, "ReLU": torch.relu}
iris_errors, iris_nets = {}, {}
for k in (1, 2):
    flat = PCA(k).fit(flowers.train.numpy())
    lost = flat.inverse_transform(flat.transform(flowers.test.numpy())) - flowers.test.numpy()
    iris_errors["PCA", k] = np.array([np.square(lost).mean()])
    print(f"Iris k={k} PCA: {iris_errors['PCA', k][0]:.4f}")
    for name, activation in kinds.items():
        net = nets.DenseEnsemble([4, 4, 3, k, 3, 4, 4], activation, seeds, plain=(2, 5))
        batches = training.minibatches(32, flowers.train, generator=torch.Generator().manual_seed(SEED))
        training.train(
            net,
            batches,
            lambda x, net=net: (net(x) - x).square().mean(dim=(1, 2)).sum(),
            steps=500,
            lr=0.02,
            weight_decay=0,
            name=f"{name}, k = {k}",
        )
        with torch.no_grad():
            iris_errors[name, k] = (net(flowers.test) - flowers.test).square().mean(dim=(1, 2)).numpy()
        iris_nets[name, k] = net
        print(f"Iris k={k} {name}, median of 5: {np.median(iris_errors[name, k]):.4f}")
        print(f"Iris k={k} {name}, worst of 5: {iris_errors[name, k].max():.4f}")
print(f"Iris ReLU nets of 5 that die at k=1: {(iris_errors['ReLU', 1] > 0.5).sum()}")

# %% tags=["long"]
figure, axes = plt.subplots(1, 2, figsize=(6.4, 2.4), sharey=True)
for ax, k in zip(axes, (1, 2), strict=True):
    for row, name in enumerate(kinds):
        values = iris_errors[name, k]
        ax.plot(values, row + np.linspace(-0.2, 0.2, len(values)), "o", markersize=5, color=plotting.CYCLE[row])
    ax.axvline(iris_errors["PCA", k][0], linestyle="--", color=plotting.BLACK, linewidth=1)
    ax.text(iris_errors["PCA", k][0] * 1.06, 2.45, "PCA", va="bottom")
    ax.set(xscale="log", title=f"k = {k}", xlabel="test MSE (one dot a seed)", ylim=(2.5, -0.5), xlim=(0.035, 1.3))
    ax.set_xticks([0.05, 0.1, 0.2, 0.5, 1], ["0.05", "0.1", "0.2", "0.5", "1"])
    ax.minorticks_off()
axes[0].set_yticks(range(len(kinds)), kinds)
plt.show()

# %% [markdown]
# <details><summary>Resolution</summary>
#
# Test MSE, mean and standard deviation over five runs with five nets each:
#
# | | PCA | linear, median of five | Tanh, median | ReLU, median | ReLU, worst |
# |---|---|---|---|---|---|
# | k = 1 | 0.224 | 0.224 +- 0.000 | 0.098 +- 0.001 | 0.17 +- 0.08 | 0.867 +- 0.000 |
# | k = 2 | 0.044 | 0.044 +- 0.000 | 0.068 +- 0.020 | 0.33 +- 0.28 | 0.867 +- 0.000 |
#
# With one number the bent line of the Tanh net loses less than half of what PCA's straight line loses. With two
# numbers PCA wins: the plane already fits, nothing is left to bend, and layers of four and three units are narrow.
# ReLU is a matter of luck: of the 25 nets with k = 1, six put out the same
# for every flower. (Even a linear net was stuck in one of the runs, at 0.22 with k = 2: training is not algebra.)
# </details>
#
# At least one ReLU net is far off at k = 1. Why? A ReLU unit whose input is negative for *every* flower puts out 0
# and has gradient 0: it is dead and stays dead. The table counts, layer by layer, the hidden units that are 0 for all
# the training flowers.

# %% tags=["long"]
with torch.no_grad():
    layers = iris_nets["ReLU", 1].layers(flowers.train)
print("seed    test MSE    dead units in the hidden layers    spread of the code")
print("                       4     3     3     4")
for row, seed in enumerate(seeds):
    dead = [int((layers[index][row] <= 0).all(dim=0).sum()) for index in (0, 1, 3, 4)]
    print(
        f"{seed:4}{iris_errors['ReLU', 1][row]:12.3f}   "
        + "".join(f"{count:6}" for count in dead)
        + f"{layers[2][row].std():18.3f}"
    )

# %% [markdown]
# In the dead net a whole hidden layer is 0 for every flower: look for the row in which a number equals the width of
# its layer. Nothing gets through such a layer, forwards or backwards. What comes after it is constant, so the best
# the net can do is to put out the mean flower, and the gradient that could wake it is 0. With three units the chance
# that all of them start, or are pushed, on the wrong side is large; with sixteen it is small. Remedies: wider layers,
# a nonlinearity with a slope everywhere (Tanh, GELU, leaky ReLU), smaller steps. And: never report one seed.
#
# ## 3 Digits: when does the autoencoder win?
#
# Iris is small. Now 64 pixels, and codes of 1, 2, 4, ..., 32 numbers: PCA against *your* `Autoencoder` with hidden
# layers of 128 and 64, and against your linear one at two sizes. All at equal code size.
#
# **Predict first:** the digits have 64 pixels. At which code sizes does the deep net win? Could it ever lose, having
# so many more parameters?


# %%
def train_autoencoder(
    net: nn.Module, x: Tensor, steps: int = 1000, lr: float = 5e-3, name: str = "autoencoder"
) -> nn.Module:
    """Train a net to copy its input."""
    batches = training.minibatches(128, x, generator=torch.Generator().manual_seed(SEED))
    training.train(net, batches, lambda x: (net(x) - x).square().mean(), steps=steps, lr=lr, weight_decay=0, name=name)
    return net


def test_error(net: nn.Module) -> float:
    """MSE per pixel on the test digits."""
    with torch.no_grad():
        return (net(numerals.test) - numerals.test).square().mean().item()


def pca_reconstruction(k: int) -> Tensor:
    """The test digits through scikit-learn's PCA with k components."""
    fitted = PCA(k).fit(numerals.train.numpy())
    return torch.from_numpy(fitted.inverse_transform(fitted.transform(numerals.test.numpy())))


# %% tags=["long", "measured"]
sizes = (1, 2, 4, 8, 16, 32)
pca_errors = {k: (pca_reconstruction(k) - numerals.test).square().mean().item() for k in sizes}
deep, linear = {}, {}
for k in sizes:
    torch.manual_seed(SEED)
    deep[k] = train_autoencoder(Autoencoder(64, k, hidden=(128, 64)), numerals.train, name=f"deep, k = {k}")
    if k in (2, 8):
        linear[k] = train_autoencoder(Autoencoder(64, k), numerals.train, steps=2000, lr=0.03, name=f"linear, k = {k}")
        print(f"digits k={k} linear autoencoder: {test_error(linear[k]):.4f}")
    print(f"digits k={k} PCA: {pca_errors[k]:.4f}")
    print(f"digits k={k} deep autoencoder: {test_error(deep[k]):.4f}")

curves = {
    "PCA": (sizes, [pca_errors[k] for k in sizes]),
    "deep autoencoder": (sizes, [test_error(deep[k]) for k in sizes]),
}
figure, axes = plt.subplots(1, 2, figsize=(7, 2.9), width_ratios=[1, 1.1])
plotting.plot_curves(axes[0], curves, "numbers in the code", "test MSE")
axes[0].plot(
    list(linear), [test_error(net) for net in linear.values()], "s", color=plotting.GREEN, label="linear autoencoder"
)
axes[0].set(xscale="log", yscale="log")
axes[0].set_xticks(sizes, sizes)
axes[0].minorticks_off()
axes[0].set_yticks([0.003, 0.01, 0.03, 0.06], ["0.003", "0.01", "0.03", "0.06"])
axes[0].legend()
with torch.no_grad():
    rows = [numerals.test[:8]] + [
        part for k in (2, 8, 32) for part in (pca_reconstruction(k)[:8], deep[k](numerals.test[:8]))
    ]
plotting.show_image(
    axes[1], plotting.montage(torch.cat(rows).reshape(-1, 8, 8).clamp(0, 1).double().numpy(), columns=8)
)
names = ["original"] + [f"{kind}, {k}" for k in (2, 8, 32) for kind in ("PCA", "deep")]
axes[1].set_yticks(9 * np.arange(7) + 4, names)
axes[1].tick_params(length=0)
plt.show()

# %% [markdown]
# Test MSE over five seeds, mean and standard deviation, with GELU (with ReLU the deep net's errors are about 3 % larger
# at 1 and 2 numbers, 12 % at 4, 20 % from 8 on; the rest of the story is the same):
#
# | numbers in the code | 1 | 2 | 4 | 8 | 16 | 32 |
# |---|---|---|---|---|---|---|
# | PCA | 0.0633 | 0.0532 | 0.0379 | 0.0246 | 0.0116 | **0.0026** |
# | deep autoencoder | **0.0442** | **0.0307** | **0.0201** | **0.0120** | **0.0081** | 0.0069 |
# | standard deviation | 0.0006 | 0.0004 | 0.0007 | 0.0003 | 0.0003 | 0.0003 |
# | linear autoencoder | | 0.0535 | | 0.0246 | | |
#
# The deep net wins up to 16 numbers, by half of the error at 4 and 8; between 16 and 32 the curves cross. Why does it
# lose with 32? Half as many numbers as pixels are enough for a plane to hold nearly all the variance. PCA finds that
# plane exactly, by algebra. The net has to find something as good by gradient descent, through two narrowing layers,
# from 1437 examples. More parameters are no help where the best answer is simple. The linear autoencoder confirms it:
# it ends at PCA's error.

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_linear", "locked": true, "schema_version": 3, "solution": false, "task": false}
# ### Question: the linear autoencoder and PCA
#
# The linear autoencoder with k = 8 reaches PCA's error, 0.0246. (a) Does it therefore find the principal components?
# Say what is determined and what is not. (b) You have PCA with k = 8 and a linear autoencoder with k = 8, and want a
# code of 3 numbers. What do you do in each case? (c) A deep autoencoder with k = 32 has lost against PCA. A colleague
# concludes that it is too small. Which two measurements would you make to find out?
#
# === BEGIN MARK SCHEME ===
# 1 point (a): only the subspace (the plane spanned) is determined; the code is any invertible linear map of PCA's code (axes not
#   orthogonal, not ordered, any scale), because g(f(x)) is unchanged by g A^-1, A f.
# 1 point (b): PCA: drop the components 4 to 8, done (nested, ordered). Linear autoencoder: its units have no order; train again with
#   k = 3, or do PCA on its codes / reconstructions.
# 1 point (c): training error against test error (overfitting or underfitting), and error over training length / learning rate / size; for
#   instance a linear net of equal k trained equally long. Half a point for one of them.
# Common wrong answers: "yes, equal error means equal components"; "take the first 3 units".
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_linear", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# (a) No. Only the 8-dimensional plane is determined. If $f$ is followed by any invertible matrix $A$ and $g$ preceded
# by $A^{-1}$, the reconstruction is the same, so the loss cannot tell such codes apart. The units of the linear
# autoencoder are neither orthogonal nor ordered nor of unit length; PCA asks for all that in addition.
#
# (b) PCA is nested: keep the first three components. The linear autoencoder is not; three of its eight units are an
# arbitrary skew part of the plane. Train it again with k = 3, or do PCA on its eight-dimensional codes.
#
# (c) Compare the training with the test error: if the training error is above PCA's as well, the net is not too small
# but not trained to the end (any net with a hidden layer that wide could imitate the linear map). Then train longer
# and with another learning rate. If the training error is low and only the test error is high, it overfits, and a
# larger net would make it worse.

# %% [markdown]
# ### Hinton's deep autoencoder
#
# In 2006 Hinton and Salakhutdinov coded MNIST with a net 784-1000-500-250-30 and back, and drew its two-dimensional
# version beside PCA. Such nets could not be trained before, they write: with small initial weights "the gradients in
# the early layers are tiny". They trained layer by layer first (restricted Boltzmann machines), then all together.
# Today rectifying units, scaled initial weights and Adam do without. The left figure shows the trouble *before* any
# training: the size of the gradient in each layer of a net 64-256-128-64-2 and back, for Hinton's sigmoid units with
# initial weights of standard deviation 0.01, and for ReLU with weights scaled to the layer's width. The middle and
# right ones repeat Hinton's figure: each digit of the test set at its two-dimensional code.


# %%
def scatter_digits(ax: plt.Axes, codes: np.ndarray, labels: Tensor, title: str) -> None:
    """Every code as the digit that it stands for."""
    for digit in range(10):
        ax.plot(
            *codes[labels == digit].T,
            linestyle="none",
            marker=f"${digit}$",
            markersize=5,
            markeredgewidth=0.3,
            color=plotting.CYCLE[digit % 7],
        )
    ax.set(title=title, xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


# %% tags=["long", "measured"]
torch.manual_seed(SEED)
hinton = train_autoencoder(Autoencoder(64, 2, hidden=(256, 128, 64)), numerals.train, name="Hinton's net")
with torch.no_grad():
    deep_planes = hinton.encode(numerals.train).numpy(), hinton.encode(numerals.test).numpy()
fitted = PCA(2).fit(numerals.train.numpy())
flat_planes = fitted.transform(numerals.train.numpy()), fitted.transform(numerals.test.numpy())
accuracies = {}
for name, (train_codes, test_codes) in (("PCA", flat_planes), ("deep autoencoder", deep_planes)):
    neighbours = KNeighborsClassifier(10).fit(train_codes, numerals.train_labels)
    accuracies[name] = neighbours.score(test_codes, numerals.test_labels)
    print(f"right among ten digits by neighbours in the plane, {name}: {accuracies[name]:.3f}")
print(f"test MSE of Hinton's net, k=2: {test_error(hinton):.4f}")

figure, axes = plt.subplots(1, 3, figsize=(9, 3), width_ratios=[0.9, 1, 1])
for name, activation, style in (
    ("sigmoid, weights 0.01", torch.sigmoid, "o--"),
    ("ReLU, weights scaled", torch.relu, "s-"),
):
    net = nets.DenseEnsemble([64, 256, 128, 64, 2, 64, 128, 256, 64], activation, seeds, plain=(3, 7))
    with torch.no_grad():
        for weight in net.weights:
            weight.copy_(0.01 * torch.randn_like(weight) if "sigmoid" in name else 6**0.5 * weight)
            weight[:, -1] = 0
    (net(numerals.train[:200]) - numerals.train[:200]).square().mean(dim=(1, 2)).sum().backward()
    axes[0].plot(
        range(1, 9), [weight.grad.square().mean().sqrt() for weight in net.weights], style, markersize=4, label=name
    )
axes[0].set(
    yscale="log", xlabel="layer, from the input on", ylabel="gradient (root mean square)", title="before training"
)
axes[0].legend(fontsize=8, loc="lower right")
scatter_digits(axes[1], flat_planes[1], numerals.test_labels, f"PCA: {accuracies['PCA']:.0%} by neighbours")
scatter_digits(
    axes[2], deep_planes[1], numerals.test_labels, f"deep: {accuracies['deep autoencoder']:.0%} by neighbours"
)
plt.show()

# %% [markdown]
# With sigmoid units and tiny weights the gradient shrinks by one to two powers of ten from layer to layer: a
# sigmoid's slope is at most 1/4, and each tiny weight matrix takes its share. The first layer does not learn at all.
# With ReLU and scaled weights the gradients of all layers lie within two powers of ten. (This is the trouble of 2006, not of
# depth as such.)
#
# In the plane the deep code keeps the digits apart far better: ten nearest neighbours in the plane name the right one
# of ten digits for 88.6 +- 1.1 % of the test set (five seeds), in PCA's plane for 63 %. Its MSE, 0.0275 +- 0.0006, is
# below that of the smaller net of the last figure with k = 2, 0.0307.

# %% [markdown]
# ## 4 Denoising and completion
#
# Nobody forces the target to be the input. Spoil the input, ask for the clean image: the net must learn what digits
# look like, as copying no longer helps (Vincent et al., 2008). The same recipe with a hole instead of noise completes
# images.
#
# ### Task: `corrupt`
#
# In this order, for images $x\in[0,1]$ of shape (N, C, H, W):
#
# 1. add Gaussian noise of standard deviation `noise_std`, drawn for every value by itself;
# 2. clip to [0, 1];
# 3. set one square of each image to exactly 0, in all channels: its side is
#    `min(round((mask_fraction * H * W) ** 0.5), H, W)`, its place uniform among all where it fits, another one for each
#    image.
#
# Everything random comes from `generator`: pass it on (`torch.randn(..., generator=generator)`), so that the same
# state gives the same result. Not allowed: `torchvision.transforms` (`GaussianNoise`, `RandomErasing`).


# %% nbgrader={"grade": false, "grade_id": "corrupt", "locked": false, "schema_version": 3, "solution": true, "task": false}
def corrupt(x: Tensor, noise_std: float, mask_fraction: float, generator: torch.Generator) -> Tensor:
    """Noise, then one black square in each image.

    Args:
        x: (N, C, H, W) images in [0, 1]. N may be 0.
        noise_std: standard deviation of the noise; 0 for none.
        mask_fraction: share of the image's area that the square covers, in [0, 1]; 0 for no square.
        generator: where all random numbers come from.

    Returns:
        (N, C, H, W) images in [0, 1], of x's dtype.

    Example:
        Images of 6 x 10 pixels and mask_fraction 0.15: the square has side round(sqrt(0.15 * 60)) = 3; there are
        4 * 8 = 32 places for it.
    """
    ### BEGIN SOLUTION
    number, _, height, width = x.shape
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    result = (x + noise_std * noise).clamp(0, 1)
    side = min(round((mask_fraction * height * width) ** 0.5), height, width)
    tops = torch.randint(height - side + 1, (number,), generator=generator)
    lefts = torch.randint(width - side + 1, (number,), generator=generator)
    for image, top, left in zip(result, tops.tolist(), lefts.tolist(), strict=True):
        image[:, top : top + side, left : left + side] = 0
    return result
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_corrupt", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
gray = torch.full((200, 2, 6, 10), 0.5)
before = gray.clone()
received = corrupt(gray, 0.0, 0.15, torch.Generator().manual_seed(0))
assert received.shape == gray.shape, f"Expected shape {tuple(gray.shape)}, received {tuple(received.shape)}."
assert torch.equal(gray, before), "The images that were passed in have changed: work on a copy."
holes = received == 0
assert torch.equal(holes[:, 0], holes[:, 1]), "The square should be at the same place in all channels of an image."
counts = holes[:, 0].sum(dim=(1, 2)).unique().tolist()
assert counts == [9], (
    f"Each square should cover 3 x 3 = 9 pixels of 6 x 10; received {counts}. The side is round(sqrt(0.15 * 60)) = 3."
)
assert bool((received[~holes] == 0.5).all()), "Outside the square nothing should change without noise."
places = {tuple(hole.nonzero()[0].tolist()) for hole in holes[:, 0]}
assert len(places) > 20, f"200 squares at only {len(places)} places: every image should get its own, anywhere it fits."
assert max(row for row, _ in places) == 3 and max(column for _, column in places) == 7, (
    "The square never reaches the last row or column: torch.randint excludes its upper end."
)
received = corrupt(gray, 0.1, 0.0, torch.Generator().manual_seed(0))
assert 0.09 < received.std() < 0.11 and abs(received.mean() - 0.5) < 0.01, (
    f"Noise of 0.1 around 0.5: expected mean 0.5 and deviation 0.1, received {received.mean():.3f} and {received.std():.3f}."
)
for strength in ((0.1, 0.0), (0.0, 0.15)):
    generator = torch.Generator().manual_seed(0)
    first, second = corrupt(gray, *strength, generator), corrupt(gray, *strength, generator)
    again = corrupt(gray, *strength, torch.Generator().manual_seed(0))
    assert torch.equal(first, again), (
        "The same generator state should give the same noise and the same places: pass `generator` on each time."
    )
    assert not torch.equal(first, second), "A second call should differ: use the generator as it comes, without a seed."
received = corrupt(gray, 5.0, 0.15, torch.Generator().manual_seed(0))
assert received.min() >= 0 and received.max() <= 1, "The result should stay in [0, 1]: clip after adding the noise."
assert corrupt(gray[:0], 0.1, 0.1, torch.Generator()).shape == (0, 2, 6, 10), "No images in, no images out."
noisy = corrupt(gray, 0.05, 0.15, torch.Generator().manual_seed(0))
assert int((noisy == 0).sum()) == 200 * 2 * 9, (
    "With noise the square should still be exactly 0: noise first, then the square."
)
noise = corrupt(gray, 0.05, 0.0, torch.Generator().manual_seed(0)) - 0.5
far_out = (noise.abs() > 0.1).double().mean()
assert 0.035 < far_out < 0.055, (
    f"Of Gaussian noise 4.6 % lie beyond two standard deviations; received {far_out:.1%}. torch.rand is uniform."
)
assert not torch.equal(noise[0], noise[1]) and not torch.equal(noise[:, 0], noise[:, 1]), (
    "Images, or channels, share their noise: draw it for every value by itself."
)
for fraction, side in ((0.24, 4), (1.0, 6)):
    received = int((corrupt(gray[:1], 0.0, fraction, torch.Generator()) == 0)[0, 0].sum())
    assert received == side * side, (
        f"Fraction {fraction} of 6 x 10 pixels: expected a square of side {side}, so {side * side} pixels; received {received}. "
        "Round, and stay within H and W."
    )
print("corrupt: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("autoencoders", "corrupt", globals())
### END HIDDEN TESTS


# %% [markdown]
# Your corruption at work: clean digits, with noise (0.3), with a hole of a quarter of the area, with both. The square
# is black, like the ground of the digits, so that nobody tells the net where it is.

# %%
clean = numerals.train[:10].reshape(-1, 1, 8, 8)
generator = torch.Generator().manual_seed(SEED)
rows = [clean, *(corrupt(clean, *strength, generator) for strength in ((0.3, 0.0), (0.0, 0.25), (0.3, 0.25)))]
figure, ax = plt.subplots(figsize=(5.2, 2.2))
plotting.show_image(ax, plotting.montage(torch.cat(rows)[:, 0].double().numpy(), columns=10))
ax.set_yticks(9 * np.arange(4) + 4, ["clean", "noise 0.3", "hole 1/4", "both"])
ax.tick_params(length=0)
plt.show()

# %% [markdown]
# **Predict first:** noise 0.3 alone costs an MSE of about 0.05 (clipping takes some of $0.3^2 = 0.09$ away). A median
# filter looks at 3 x 3 pixels; PCA with 16 components throws away what no digit needs; the net has seen 1437 digits.
# Who wins, and by how much? And can any of the three fill a hole?

# %% tags=["long", "measured"]
from scipy.ndimage import median_filter

images, held_out = numerals.train.reshape(-1, 1, 8, 8), numerals.test.reshape(-1, 1, 8, 8)
generator = torch.Generator().manual_seed(SEED)
fitted = PCA(16).fit(numerals.train.numpy())
restored = {}
for task, strength in (("noise", (0.3, 0.0)), ("hole", (0.0, 0.25))):
    torch.manual_seed(SEED)
    net = nets.ConvAutoencoder(32)
    batches = training.minibatches(64, images, generator=torch.Generator().manual_seed(SEED))
    training.train(
        net,
        batches,
        lambda x, net=net, strength=strength: (net(corrupt(x, *strength, generator)) - x).square().mean(),
        steps=600,
        lr=6e-3,
        weight_decay=0,
        name=task,
    )
    spoiled = corrupt(held_out, *strength, torch.Generator().manual_seed(SEED + 1))
    projected = fitted.inverse_transform(fitted.transform(spoiled.reshape(-1, 64).numpy()))
    with torch.no_grad():
        restored[task] = {
            "as it is": spoiled,
            "median filter": torch.from_numpy(median_filter(spoiled.numpy(), size=(1, 1, 3, 3))),
            "PCA, 16": torch.from_numpy(projected).reshape(-1, 1, 8, 8).clamp(0, 1),
            "autoencoder": net(spoiled).clamp(0, 1),
        }
    for name, result in restored[task].items():
        print(f"{task}, MSE {name}: {(result - held_out).square().mean():.4f}")

figure, axes = plt.subplots(1, 2, figsize=(8.4, 2.5))
for ax, (task, results) in zip(axes, restored.items(), strict=True):
    rows = [held_out[:8], *(result[:8] for result in results.values())]
    plotting.show_image(ax, plotting.montage(torch.cat(rows)[:, 0].double().numpy(), columns=8), task)
    errors = [f"{name}: {(result - held_out).square().mean():.3f}" for name, result in results.items()]
    ax.set_yticks(9 * np.arange(5) + 4, ["original", *errors])
    ax.tick_params(length=0)
plt.show()

# %% [markdown]
# Test MSE, mean and standard deviation over five seeds:
#
# | | as it is | median filter | PCA, 16 | autoencoder |
# |---|---|---|---|---|
# | noise 0.3 | 0.052 | 0.063 | 0.027 | **0.018 +- 0.001** |
# | hole of a quarter | 0.080 | 0.121 | 0.068 | **0.020 +- 0.001** |
#
# In pictures as small as these a 3 x 3 median destroys more than it repairs: the strokes are one or two pixels wide.
# PCA removes noise because noise has no preferred direction, and most of it lies outside the 16 kept ones. But it has
# no idea of a hole: it codes the black square, too. The net fills it, and sometimes with the wrong digit: it gives
# the *mean* of what could have been there, which is gray where the evidence is ambiguous.
#
# ## 5 Image retrieval
#
# Search by image: code every image of the collection once, then look for the nearest codes. Distances of short codes
# are quicker than those of pixels. Are they better?
#
# ### Task: `nearest`
#
# Euclidean distance, nearest first; of equal distances the lower index first. `k` may exceed N. `torch.topk` makes no
# promise about ties, a stable sort does. Not allowed: `sklearn.neighbors`, `scipy.spatial.cKDTree`.


# %% nbgrader={"grade": false, "grade_id": "nearest", "locked": false, "schema_version": 3, "solution": true, "task": false}
def nearest(codes: Tensor, query: Tensor, k: int) -> Tensor:
    """Indices of the k nearest codes.

    Args:
        codes: (N, d). N may be 0.
        query: (d,).
        k: how many, at least 1; all N if k is larger.

    Returns:
        (min(k, N),) long, nearest first; of equal distances the lower index first.

    Example:
        nearest([[0, 0], [3, 4], [1, 0]], [1, 1], 2) is [2, 0]: the distances are sqrt(2), sqrt(13), 1.
    """
    ### BEGIN SOLUTION
    distances = (codes - query).square().sum(dim=1)
    return torch.sort(distances, stable=True).indices[:k]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_nearest", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
codes = torch.tensor([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
query = torch.tensor([1.0, 1.0, 0.0])
received = nearest(codes, query, 2)
assert received.shape == (2,) and received.dtype == torch.int64, (
    f"Expected 2 long indices, received shape {tuple(received.shape)}, {received.dtype}."
)
assert received.tolist() == [2, 0], (
    f"Expected [2, 0], received {received.tolist()}. Squared distances are 2, 13, 1, 2; nearest first; 0 and 3 are "
    "equally near, the lower index counts."
)
assert nearest(codes, query, 9).tolist() == [2, 0, 3, 1], "There are only 4 codes: k = 9 should give all 4, in order."
ties = torch.zeros(30, 3)
assert nearest(ties, query, 4).tolist() == [0, 1, 2, 3], "All equally near: expected [0, 1, 2, 3]. Is the sort stable?"
assert nearest(codes[:0], query, 2).shape == (0,), "No codes: the shape should be (0,)."
received = nearest(torch.tensor([[5.0, 0.0, 0.0], [0.0, 3.0, 3.0]]), torch.zeros(3), 1)
assert received.tolist() == [1], (
    f"Squared distances 25 and 18: expected [1], received {received.tolist()}. Sums of absolute differences (5 and 6) are "
    "another distance."
)
print("nearest: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("autoencoders", "nearest", globals())
### END HIDDEN TESTS


# %% [markdown]
# Precision at 10: of the ten training images nearest to a test image, which share shows the same digit? (The numbers
# come from scikit-learn's search.) The code is that of a convolutional autoencoder, 8 numbers, trained on clean
# digits, without labels.

# %% tags=["long", "measured"]
torch.manual_seed(SEED)
retrieval = nets.ConvAutoencoder(8)
batches = training.minibatches(64, images, generator=torch.Generator().manual_seed(SEED))
training.train(
    retrieval,
    batches,
    lambda x: (retrieval(x) - x).square().mean(),
    steps=700,
    lr=6e-3,
    weight_decay=0,
    name="retrieval",
)
fitted = PCA(8).fit(numerals.train.numpy())
with torch.no_grad():
    spaces = {
        "pixels, 64": (numerals.train, numerals.test),
        "PCA, 8": tuple(torch.from_numpy(fitted.transform(part.numpy())) for part in (numerals.train, numerals.test)),
        "autoencoder, 8": (retrieval.encode(images), retrieval.encode(held_out)),
    }
for name, (collection, queries) in spaces.items():
    found = NearestNeighbors(n_neighbors=10).fit(collection.numpy()).kneighbors(queries.numpy(), return_distance=False)
    hits = numerals.train_labels[torch.from_numpy(found)] == numerals.test_labels[:, None]
    print(f"precision at 10, {name}: {hits.double().mean():.3f}")
print(f"test MSE of the code with 8 numbers: {(retrieval(held_out) - held_out).square().mean():.4f}")

# %% [markdown]
# Five queries and what *your* `nearest` finds for them by the autoencoder's code; wrong digits have a red frame. The
# last query is one of the hardest.

# %% tags=["long"]
collection, queries = spaces["autoencoder, 8"]
right = [
    (numerals.train_labels[nearest(collection, query, 10)] == label).sum()
    for query, label in zip(queries, numerals.test_labels, strict=True)
]
chosen = [3, 50, 120, 200, int(torch.stack(right).argmin())]
figure, axes = plt.subplots(5, 11, figsize=(5.6, 2.7))
for row, index in zip(axes, chosen, strict=True):
    found = nearest(collection, queries[index], 10)
    plotting.show_image(row[0], held_out[index, 0].double().numpy())
    for ax, match in zip(row[1:], found.tolist(), strict=True):
        plotting.show_image(ax, images[match, 0].double().numpy())
        if numerals.train_labels[match] != numerals.test_labels[index]:
            plotting.show_boxes(ax, [[0.3, 0.3, 7.7, 7.7]], color=plotting.RED, width=2)
axes[0, 0].set_title("query", fontsize=8)
axes[0, 1].set_title("nearest", fontsize=8)
plt.show()

# %% [markdown]
# Precision at 10 over five seeds: pixels 0.944, autoencoder 0.915 +- 0.004, PCA 0.896. The honest result: the code is
# eight times shorter than the picture and nearly as good, better than PCA of the same length, but not better than
# pixels. For 8 x 8 digits, centred and of one size, distances of pixels are hard to beat. With a million photos that
# are shifted, lit and scaled differently, nobody would compare pixels.
#
# ## 6 Features for few labels
#
# Labels are dear, images are not. Train the autoencoder on all 1437 images without labels, then a linear classifier
# (logistic regression, a "linear probe") on the codes of only **20** labelled ones, two of each digit. Is that better
# than the same classifier on pixels? 20 random draws of the 20 labels show the spread.

# %% tags=["long", "measured"]
rng = np.random.default_rng(SEED)
draws = [
    np.concatenate(
        [rng.choice(np.flatnonzero(numerals.train_labels == digit), 2, replace=False) for digit in range(10)]
    )
    for _ in range(20)
]
probes = {}
for name, (collection, queries) in spaces.items():
    center, scale = collection.mean(dim=0), collection.std()  # without labels: all the images may be used
    collection, queries = ((part - center) / scale for part in (collection, queries))
    probes[name] = [
        LogisticRegression(max_iter=300)
        .fit(collection[drawn].numpy(), numerals.train_labels[drawn])
        .score(queries.numpy(), numerals.test_labels)
        for drawn in draws
    ]
    print(f"accuracy with 20 labels, {name}: {np.mean(probes[name]):.3f}")
    everything = LogisticRegression(max_iter=300).fit(collection.numpy(), numerals.train_labels)
    print(f"accuracy with 1437 labels, {name}: {everything.score(queries.numpy(), numerals.test_labels):.3f}")

# %% tags=["long"]
figure, ax = plt.subplots(figsize=(5, 1.9))
for row, scores in enumerate(probes.values()):
    ax.plot(scores, row + np.linspace(-0.2, 0.2, 20), "o", markersize=4)
    ax.plot([np.mean(scores)] * 2, [row - 0.35, row + 0.35], color=plotting.BLACK)
ax.set_yticks(range(len(probes)), probes)
ax.set(xlabel="accuracy on the test digits (a dot: one draw of 20 labels; line: mean)", ylim=(2.5, -0.5))
plt.show()

# %% [markdown]
# Accuracy with 20 labels, mean over the draws and over five seeds: pixels 74.7 %, PCA 72.4 %, autoencoder 74.9 %. The
# 20 draws differ by more than ten points, so the 0.2 points between pixels and autoencoder mean nothing: a tie, with
# an eighth of the numbers. With all 1437 labels pixels win clearly (96.7 % against 91.8 % and 90.3 %), as what the
# code has thrown away cannot be learned back. An autoencoder is trained to *copy*. Nothing in its loss asks for
# classes to be separated; features that serve for many tasks come from other losses (contrastive ones, masked images
# of many objects).
#
# ## 7 Depth from one image
#
# The output may be another kind of picture altogether. `helpers.depth` draws small scenes, balls and boxes on a
# floor, and knows the exact depth of every pixel: how far away, in metres along the camera's axis, is what it shows?
# An encoder squeezes the image into 128 numbers, a decoder unfolds them into a depth map. Loss: the error of log
# depth, as 10 % matter equally near and far.
#
# **Predict first:** one image, no second camera. From what can the net tell how far away a ball is? Its size? The
# shading? Something else?

# %% tags=["long", "measured"]
train_scenes, test_scenes = depth.scenes(1000, seed=2 * SEED), depth.scenes(100, seed=2 * SEED + 1)
where = training.device()
inputs, depths, test_inputs = (
    torch.from_numpy(part).to(where) for part in (train_scenes.images, train_scenes.depths, test_scenes.images)
)
torch.manual_seed(SEED)
depth_net = nets.DepthNet(depth.SIZE).to(where)
batches = training.minibatches(24, inputs, depths, generator=torch.Generator().manual_seed(SEED))
training.train(
    depth_net,
    batches,
    lambda x, z: (depth_net(x).log() - z.log()).abs().mean(),
    steps=600,
    lr=6e-3,
    name="depth",
    live=True,
)
with torch.no_grad():
    estimate = depth_net(test_inputs).cpu().numpy()
usual = np.exp(np.log(train_scenes.depths).mean(axis=0))[None]
for name, guess in (("the usual depth of each pixel", usual), ("encoder-decoder", estimate)):
    relative = np.abs(guess - test_scenes.depths) / test_scenes.depths
    print(f"mean relative error, {name}: {relative.mean():.3f}")
    print(f"mean relative error on objects, {name}: {relative[test_scenes.is_object].mean():.3f}")

# %% tags=["long"]
figure, axes = plt.subplots(3, 1, figsize=(7, 2.7))
for ax, pictures, name in zip(
    axes,
    (test_scenes.images.transpose(0, 2, 3, 1), test_scenes.depths, estimate),
    ("image", "true depth", "estimate"),
    strict=True,
):
    shown = plotting.montage(pictures[:6].astype(float), columns=6, gap=2, ground=1.0 if name == "image" else np.nan)
    drawn = ax.imshow(shown, cmap="viridis_r", vmin=3, vmax=12)
    ax.set(xticks=[], yticks=[], ylabel=name)
    ax.spines[:].set_visible(False)
figure.colorbar(drawn, ax=axes[1:], label="metres", shrink=0.8)
plt.show()

# %% [markdown]
# On the pixels of objects the mean relative error is 15 +- 1 % (five seeds); always naming the usual depth of each
# pixel errs by 69 +- 7 % there. The net knows floor and wall by heart, finds the objects, and blurs their edges: 128
# numbers cannot say where every edge runs. (Connections that skip the bottleneck would; notebook 05 builds them.) Now
# two pictures that are *the same* but for the shadow: a ball of radius 0.9 m that stands on the floor 8 m away, and
# one half as large at half the distance. All its points lie on the same rays, so its outline is the same. But it
# hovers: its lowest point is at half the camera's height. (8 m and 4 m are the distances of the centres; the numbers
# over the estimates are medians over the visible surface, which is nearer.)

# %% tags=["long"]
standing = depth.Ball((0.8, depth.FLOOR - 0.9, 8.0), 0.9, (0.9, 0.5, 0.2))
hovering = depth.Ball((0.4, (depth.FLOOR - 0.9) / 2, 4.0), 0.45, (0.9, 0.5, 0.2))
figure, axes = plt.subplots(1, 4, figsize=(8, 1.7))
for column, (name, ball) in enumerate((("stands, centre at 8 m", standing), ("hovers, centre at 4 m", hovering))):
    image, true_depth, is_ball = depth.render([ball])
    with torch.no_grad():
        guess = depth_net(torch.from_numpy(image.transpose(2, 0, 1)).float()[None].to(where))[0].cpu().numpy()
    plotting.show_image(axes[2 * column], image, name)
    axes[2 * column + 1].imshow(guess, cmap="viridis_r", vmin=3, vmax=12)
    axes[2 * column + 1].set(xticks=[], yticks=[])
    axes[2 * column + 1].set_title(
        f"true {np.median(true_depth[is_ball]):.1f} m, estimate {np.median(guess[is_ball]):.1f} m", fontsize=9
    )
plt.show()

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_depth", "locked": true, "schema_version": 3, "solution": false, "task": false}
# ### Question: what does the depth net know?
#
# (a) Size and distance scaled together give the same outline. Which assumption about the world lets the net tell
# distance all the same, and which row of the image carries it? Use the two balls. (Their outlines are equal, their
# estimates not quite: the shadow, too, moves an estimate.) (b) Name one further cue that a
# net could use in photos but hardly in these scenes. (c) The camera is mounted 20 cm lower than in training. What
# happens to the estimates, and what would you do about it?
#
# === BEGIN MARK SCHEME ===
# 1 point (a): objects stand on the floor and the camera's height is fixed, so the row where an object meets the floor gives its
#   distance (z = f * height / (row - horizon)); the hovering ball is judged from it (far too far away), its shadow alone contradicts
#   (it moves the estimate, but not to the truth).
# 1 point (b): any of: known sizes of objects (people, cars), texture gradient, perspective lines, blur, haze, occlusion (also here, weak).
# 1 point (c): with a lower camera the contact of an object at the same distance appears higher up (nearer the horizon); the net, which has
#   learned the old height, judges everything too far; remedy: train with several heights, or give height / camera parameters, or calibrate by a scale.
# Common wrong answers: "the net measures size" (size is random here); "shading gives distance".
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_depth", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# (a) In training everything stands on the floor, 1.5 m below the camera. Then the row in which an object meets the
# floor gives its distance: $z = f\cdot 1.5\,\text{m} / (\text{row} - \text{row of the horizon})$. The hovering ball
# ends in the same row as the standing one, and the net places it near 8 m although it is 4 m away. Only its shadow,
# which lies elsewhere, speaks against that. It moves the estimate, but not to the truth: in training every shadow
# touched its object, so the net never had to weigh one against the other.
#
# (b) Known sizes (people, cars, doors), texture that becomes finer, converging lines, haze, blur. Here sizes and
# colours are random and the surfaces plain.
#
# (c) A contact at the same distance now lies closer to the horizon. The net reads that as farther away: all objects
# and the floor are estimated too far, by the factor 1.5 / 1.3. Train with cameras at several heights and tell the net
# the height, or measure one known distance and rescale.

# %% [markdown]
# ## 8 The variational autoencoder, piece by piece
#
# Can an autoencoder *invent* digits? Draw a code, decode it. But from which distribution? Nothing in its loss says
# how the codes are spread; between them lies no man's land. The VAE says it in advance: codes are to look like draws
# from $\mathcal N(0, I)$. It has a probabilistic encoder and decoder,
#
# $$q(z\mid x) = \mathcal N\bigl(\mu(x), \operatorname{diag}\sigma^2(x)\bigr),\qquad p(x\mid z) = \prod_i
# \operatorname{Bernoulli}\bigl(x_i; s(\text{logit}_i(z))\bigr),\qquad p(z) = \mathcal N(0, I),$$
#
# and maximises the evidence lower bound (ELBO), in nats per image:
#
# $$\log p(x)\ \ge\ \underbrace{\mathbb E_{q(z\mid x)}\bigl[\log p(x\mid z)\bigr]}_{-\text{ reconstruction loss}}\ -\
# \underbrace{\operatorname{KL}\bigl(q(z\mid x)\,\Vert\,p(z)\bigr)}_{\text{price of the code}} .$$
#
# ### Task: `reparameterize`
#
# The expectation needs a sample $z\sim q(z\mid x)$, and the encoder must learn through it. A call of a random
# generator has no derivative with respect to $\mu$ and $\sigma$. The trick is to draw *first*, from a distribution
# without parameters, and then compute:
#
# $$z = \mu + \sigma\,\varepsilon,\qquad \varepsilon\sim\mathcal N(0, I),\qquad \frac{\partial z}{\partial\mu} = 1,\quad
# \frac{\partial z}{\partial\sigma} = \varepsilon .$$
#
# So the noise is an **argument**: everything that is random is outside, the function itself is deterministic and can
# be differentiated and tested. The net puts out $\log\sigma^2$ (`logvar`), because it may be any real number while
# $\sigma$ must be positive. Not allowed: `torch.distributions`, `torch.normal`.


# %% nbgrader={"grade": false, "grade_id": "reparameterize", "locked": false, "schema_version": 3, "solution": true, "task": false}
def reparameterize(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """A sample of N(mu, exp(logvar)), made from a sample of N(0, 1).

    Args:
        mu, logvar, eps: tensors of one shape; logvar is the logarithm of the variance.

    Returns:
        Tensor of that shape.

    Example:
        mu = 3, variance 4 (logvar = log 4), eps = -1.5: the sample is 3 - 2 * 1.5 = 0.
    """
    ### BEGIN SOLUTION
    return mu + torch.exp(logvar / 2) * eps
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_reparameterize", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
mu, eps = torch.tensor([[3.0, -1.0, 0.5]]), torch.tensor([[-1.5, 2.0, 0.0]])
logvar = torch.log(torch.tensor([[4.0, 0.25, 9.0]]))
received = reparameterize(mu, logvar, eps)
assert torch.allclose(received, torch.tensor([[0.0, 0.0, 0.5]]), atol=1e-6), (
    f"Expected [[0, 0, 0.5]], received {received.tolist()}. The standard deviations are 2, 0.5 and 3: the root of "
    "exp(logvar). Is eps used, or drawn anew?"
)
mu.requires_grad_(), logvar.requires_grad_()
received = reparameterize(mu, logvar, eps).sum()
assert received.requires_grad, "No gradient comes through: nothing may be detached, or computed under torch.no_grad()."
slopes = torch.autograd.grad(received, (mu, logvar), allow_unused=True)
assert None not in slopes, (
    f"No gradient reaches {'mu' if slopes[0] is None else 'logvar'}: is it used, and not detached?"
)
assert torch.allclose(slopes[0], torch.ones(1, 3)), (
    f"The slope with respect to mu should be 1, it is {slopes[0].tolist()}."
)
assert torch.allclose(slopes[1], torch.tensor([[-1.5, 0.5, 0.0]]), atol=1e-6), (
    f"The slope with respect to logvar should be sigma * eps / 2 = [[-1.5, 0.5, 0]], it is {slopes[1].tolist()}."
)
print("reparameterize: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("autoencoders", "reparameterize", globals())
### END HIDDEN TESTS


# %% [markdown]
# The picture: a loss that wants samples near 2, starting from N(0, 1). With the noise as an argument, gradients move
# $\mu$ and $\sigma$ there (left: your function; the same 300 noise values throughout). Drawn inside by a generator,
# the sample is a constant to autograd, and nothing would move at all.

# %%
mu, logvar = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
eps = torch.randn(300, generator=torch.Generator().manual_seed(0))
optimizer, path = torch.optim.Adam([mu, logvar], lr=0.05), []
for _ in range(150):
    samples = reparameterize(mu, logvar, eps)
    path.append((mu.item(), torch.exp(logvar / 2).item(), samples.detach()))
    optimizer.zero_grad()
    (samples - 2).square().mean().backward()
    optimizer.step()
figure, axes = plt.subplots(1, 2, figsize=(6.4, 2.3))
plotting.plot_curves(
    axes[0], {"mu": (range(150), [p[0] for p in path]), "sigma": (range(150), [p[1] for p in path])}, "step", "value"
)
for step, style in ((0, "-"), (40, "--"), (149, ":")):
    axes[1].hist(path[step][2].numpy(), bins=30, range=(-3, 4), histtype="step", linestyle=style, label=f"step {step}")
axes[1].set(xlabel="sample", ylabel="of 300")
axes[1].legend()
plt.show()

# %% [markdown]
# ### Task: `kl_divergence`
#
# For Gaussians the second term has a closed form. Per dimension,
#
# $$\operatorname{KL}\bigl(\mathcal N(\mu,\sigma^2)\,\Vert\,\mathcal N(0,1)\bigr) = \mathbb E_q\Bigl[\tfrac12\Bigl(z^2 -
# \frac{(z-\mu)^2}{\sigma^2} - \log\sigma^2\Bigr)\Bigr] = \tfrac12\bigl(\mu^2 + \sigma^2 - 1 - \log\sigma^2\bigr),$$
#
# as $\mathbb E_q[z^2] = \mu^2 + \sigma^2$ and $\mathbb E_q[(z-\mu)^2] = \sigma^2$. Dimensions are independent, so sum
# over them; one number for each example. Not allowed: `torch.distributions`.


# %% nbgrader={"grade": false, "grade_id": "kl_divergence", "locked": false, "schema_version": 3, "solution": true, "task": false}
def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL divergence of N(mu, diag(exp(logvar))) from N(0, I).

    Args:
        mu, logvar: (N, d). N may be 0.

    Returns:
        (N,) in nats, summed over the d dimensions.

    Example:
        mu = [[2, 0]], logvar = [[0, 0]]: half of 2 squared, so [2].
    """
    ### BEGIN SOLUTION
    return (mu.square() + logvar.exp() - 1 - logvar).sum(dim=1) / 2
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_kl_divergence", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
mu, logvar = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), torch.zeros(2, 3)
received = kl_divergence(mu, logvar)
assert received.shape == (2,), f"Expected shape (2,), one number an example; received {tuple(received.shape)}."
assert torch.allclose(received, torch.tensor([2.0, 0.0])), (
    f"Expected [2, 0], received {received.tolist()}. A shift by 2 costs 2 ** 2 / 2 nats; N(0, I) itself costs 0. "
    "KL is never negative. Sum over dimensions, with the factor 1/2."
)
received = kl_divergence(torch.ones(1, 3), torch.log(torch.tensor([[4.0, 0.25, 9.0]])))
expected = (3 + 4 + 0.25 + 9 - 3 - np.log(4) - np.log(0.25) - np.log(9)) / 2
assert torch.allclose(received, torch.tensor([expected]).float()), (
    f"Means 1, variances 4, 1/4 and 9: expected {expected:.4f}, received {received.tolist()}. "
    "logvar is the logarithm of the variance, not the variance and not the logarithm of sigma; q comes first, N(0, I) second."
)
assert kl_divergence(mu[:0], logvar[:0]).shape == (0,), "No examples: the shape should be (0,)."
mu.requires_grad_(), logvar.requires_grad_()
assert kl_divergence(mu, logvar).requires_grad, (
    "No gradient comes through: nothing may be detached, and no list or NumPy array may come between."
)
print("kl_divergence: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("autoencoders", "kl_divergence", globals())
### END HIDDEN TESTS


# %% [markdown]
# Formula and code can be checked by experiment: KL is the mean of $\log q(z) - \log p(z)$ over samples of $q$. Your
# value is the line; the dots average 10 to 100000 samples (`torch.distributions`), five times each. They should close
# in on the line.

# %%
mu, logvar = torch.tensor([[1.0, -0.5]]), torch.tensor([[-1.0, 0.5]])
q = torch.distributions.Normal(mu[0], (logvar[0] / 2).exp())
p = torch.distributions.Normal(0.0, 1.0)
torch.manual_seed(0)
counts = np.repeat([10, 100, 1000, 10000, 100000], 5)
estimates = [(q.log_prob(z) - p.log_prob(z)).sum(dim=1).mean() for z in (q.sample((int(count),)) for count in counts)]
figure, ax = plt.subplots(figsize=(4.6, 2.3))
ax.plot(counts, estimates, "o", markersize=4, label="Monte Carlo")
ax.axhline(kl_divergence(mu, logvar).item(), color=plotting.RED, linestyle="--", label="yours")
ax.set(xscale="log", xlabel="samples", ylabel="KL (nats)")
ax.legend()
plt.show()

# %% [markdown]
# ### Task: `vae_loss`
#
# The decoder's output are *logits* $l$; the probability of a white pixel is $s(l) = 1/(1+e^{-l})$. The Bernoulli
# log-likelihood also makes sense for gray values $x\in[0,1]$ (as a cross-entropy):
#
# $$-\log p(x\mid z) = -\sum_i \bigl[x_i\log s(l_i) + (1-x_i)\log(1-s(l_i))\bigr].$$
#
# Computed in this way it breaks: $s(300)$ is exactly 1 in float32, and $\log(1-1) = -\infty$. PyTorch's
# `binary_cross_entropy_with_logits` is written for that, and allowed. **Sum** over the pixels and over the latent
# dimensions, **mean** over the examples. A mean over pixels would make the KL term 64 times as heavy: the most
# frequent mistake in VAE code. Your `kl_divergence` may be called.


# %% nbgrader={"grade": false, "grade_id": "vae_loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def vae_loss(recon_logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, beta: float = 1.0) -> dict[str, Tensor]:
    """The negative ELBO and its parts.

    Args:
        recon_logits: (N, D) logits of the pixels.
        x: (N, D) in [0, 1].
        mu, logvar: (N, d) of the encoder.
        beta: weight of the KL term.

    Returns:
        Dict of scalars (0-d tensors with gradient), in nats per example:
        `reconstruction`: Bernoulli cross-entropy, summed over D, mean over N.
        `kl`: KL divergence from N(0, I), summed over d, mean over N, without beta.
        `total`: reconstruction + beta * kl.

    Example:
        Two pixels with logits 0 cost 2 log 2 = 1.386, whatever x is.
    """
    ### BEGIN SOLUTION
    pixels = F.binary_cross_entropy_with_logits(recon_logits, x, reduction="none")
    reconstruction = pixels.sum(dim=1).mean()
    kl = kl_divergence(mu, logvar).mean()
    return {"reconstruction": reconstruction, "kl": kl, "total": reconstruction + beta * kl}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_vae_loss", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
x = torch.tensor([[0.0, 1.0, 0.3], [1.0, 1.0, 0.0]])
mu, logvar = torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.zeros(2, 2)
received = vae_loss(torch.zeros(2, 3), x, mu, logvar, beta=3.0)
assert set(received) == {"reconstruction", "kl", "total"}, (
    f"Expected the keys reconstruction, kl, total; received {set(received)}."
)
assert all(isinstance(value, Tensor) and value.ndim == 0 for value in received.values()), (
    "All three should be 0-d tensors."
)
expected = 3 * np.log(2)
assert abs(received["reconstruction"].item() - expected) < 1e-4, (
    f"Logits 0 are probabilities of 1/2: expected 3 log 2 = {expected:.4f}, received {received['reconstruction'].item():.4f}. "
    "Sum over pixels, mean over examples. Are logits taken as logits?"
)
assert abs(received["kl"].item() - 1) < 1e-5, (
    f"Expected kl = (2 + 0) / 2 = 1, received {received['kl'].item():.4f}: without beta, mean over the examples."
)
assert abs(received["total"].item() - expected - 3) < 1e-4, (
    f"Expected reconstruction + 3 * kl, received {received['total'].item():.4f}."
)
grays = vae_loss(torch.full((2, 3), 2.0), x, mu, logvar)["reconstruction"].item()
expected = 3 * np.log1p(np.exp(2)) - 2 * 3.3 / 2
assert abs(grays - expected) < 1e-4, (
    f"Logits 2 everywhere: expected {expected:.4f}, received {grays:.4f}. Gray pixels (0.3) count as they are."
)
extreme = torch.tensor([[300.0, -300.0, 0.0]], requires_grad=True)
latent = mu[:1].clone().requires_grad_(), logvar[:1].clone().requires_grad_()
parts = vae_loss(extreme, torch.tensor([[0.0, 0.0, 1.0]]), *latent)
for name, part in parts.items():
    assert part.requires_grad, f"{name} has no gradient: nothing may be detached, or made a plain number on the way."
received = parts["reconstruction"]
assert abs(received.item() - 300 - np.log(2)) < 1e-3, (
    f"A logit of 300 where the pixel is 0 costs 300 nats: expected {300 + np.log(2):.3f}, received {received.item():.3f}. "
    "Do not go through the sigmoid, and clamp nothing."
)
(slope,) = torch.autograd.grad(received, extreme, retain_graph=True)
assert torch.allclose(slope, torch.tensor([[1.0, 0.0, -0.5]])), (
    f"Expected the gradient [[1, 0, -0.5]], received {slope.tolist()}."
)
slopes = torch.autograd.grad(parts["total"], (extreme, *latent), allow_unused=True)
for name, found in zip(("the logits", "mu", "logvar"), slopes, strict=True):
    assert found is not None, f"No gradient of the total reaches {name}: a part of it is detached."
print("vae_loss: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("autoencoders", "vae_loss", globals())
### END HIDDEN TESTS


# %% [markdown]
# What an image of four equal pixels costs over their logit, in a batch of three such images: lines are yours, dots are
# the sum over the pixels written out with log and sigmoid in float32. Where the dots end, the naive formula gives
# infinity, or nan (0 times infinity: x = 0 on the far left, x = 1 on the right). The cost of gray pixels is never 0:
# its minimum is the entropy. So the best possible reconstruction loss of gray images is not 0 either.

# %%
logits = torch.linspace(-120, 120, 241)[:, None]
figure, ax = plt.subplots(figsize=(5.2, 2.4))
for value, style in ((0.0, "-"), (0.4, "--"), (1.0, ":")):
    pixels, zero = torch.full((3, 4), value), torch.zeros(3, 1)
    cost = [vae_loss(logit.expand(3, 4), pixels, zero, zero)["reconstruction"].item() for logit in logits]
    (line,) = ax.plot(logits, cost, style, label=f"x = {value}")
    s = torch.sigmoid(logits[::8])
    naive = -4 * (value * torch.log(s) + (1 - value) * torch.log(1 - s))
    ax.plot(logits[::8], torch.where(naive.isfinite(), naive, torch.nan), "o", markersize=3, color=line.get_color())
ax.set(xlabel="logit", ylabel="cost (nats)")
ax.legend()
plt.show()

# %% [markdown]
# ### Task: `VAE`
#
# Built like your `Autoencoder`: hidden layers in the encoder, the same mirrored in the decoder, a nonlinearity of your
# choice after each (the numbers below were measured with `nn.GELU`). But the encoder has two ends, one for $\mu$, one
# for $\log\sigma^2$, both without a nonlinearity, and the decoder returns logits, without a sigmoid. `forward(x, eps)` takes the noise as an argument; without it, it draws its own, one value
# for every example and dimension, also in eval mode. Your `reparameterize` may be called. Allowed: all of `torch.nn`.


# %% nbgrader={"grade": false, "grade_id": "VAE", "locked": false, "schema_version": 3, "solution": true, "task": false}
class VAE(nn.Module):
    """Variational autoencoder with a Bernoulli decoder.

    Args:
        in_dim: length D of an example.
        latent_dim: length d of a code.
        hidden: sizes of the encoder's hidden layers, from the input on; the decoder has them in reverse.
            A nonlinearity follows each hidden layer of both.

    Example:
        logits, mu, logvar = VAE(64, 2, hidden=(128,))(x) for x of shape (N, 64) gives shapes (N, 64), (N, 2), (N, 2).
    """

    def __init__(self, in_dim: int, latent_dim: int, hidden):
        ### BEGIN SOLUTION
        super().__init__()

        def stack(sizes: list[int]) -> list[nn.Module]:
            layers: list[nn.Module] = []
            for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
                layers += [nn.Linear(inputs, outputs), nn.GELU()]
            return layers

        there, back = [in_dim, *hidden], [latent_dim, *reversed(hidden)]
        self.body = nn.Sequential(*stack(there))
        self.to_mu, self.to_logvar = nn.Linear(there[-1], latent_dim), nn.Linear(there[-1], latent_dim)
        self.decoder = nn.Sequential(*stack(back), nn.Linear(back[-1], in_dim))
        ### END SOLUTION

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, in_dim) -> mu (N, latent_dim), logvar (N, latent_dim)."""
        ### BEGIN SOLUTION
        features = self.body(x)
        return self.to_mu(features), self.to_logvar(features)
        ### END SOLUTION

    def decode(self, z: Tensor) -> Tensor:
        """(N, latent_dim) -> logits (N, in_dim)."""
        ### BEGIN SOLUTION
        return self.decoder(z)
        ### END SOLUTION

    def forward(self, x: Tensor, eps: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(N, in_dim) -> decode(mu + exp(logvar / 2) * eps), mu, logvar.

        Args:
            x: (N, in_dim).
            eps: (N, latent_dim) noise; None draws it from N(0, 1), in train and in eval mode.
        """
        ### BEGIN SOLUTION
        mu, logvar = self.encode(x)
        if eps is None:
            eps = torch.randn_like(mu)
        return self.decode(reparameterize(mu, logvar, eps)), mu, logvar
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_VAE", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
torch.manual_seed(0)
net, x, eps = VAE(7, 2, hidden=(16, 5)), torch.rand(9, 7), torch.randn(9, 2)
assert isinstance(net, nn.Module), "VAE should be an nn.Module."
assert len(net.encode(x)) == 2, "encode should return a pair: mu, logvar."
mu, logvar = net.encode(x)
assert mu.shape == logvar.shape == (9, 2), (
    f"Expected two shapes (9, 2); received {tuple(mu.shape)}, {tuple(logvar.shape)}."
)
assert not torch.allclose(mu, logvar), "mu and logvar should come from two different last layers."
assert net.decode(torch.zeros(3, 2)).shape == (3, 7), "decode: 3 codes of length 2 should give shape (3, 7)."
logits, *rest = net(x, eps)
assert len(rest) == 2 and torch.allclose(rest[0], mu) and torch.allclose(rest[1], logvar), (
    "forward should return (logits, mu, logvar)."
)
assert torch.allclose(logits, net.decode(mu + torch.exp(logvar / 2) * eps), atol=1e-6), (
    "With eps given, forward should decode mu + exp(logvar / 2) * eps."
)
sizes = {size for p in net.parameters() for size in p.shape}
assert {16, 5} <= sizes, (
    f"The hidden sizes 16 and 5 should occur among the sizes of the parameters; these are {sorted(sizes)}. "
    "Are all hidden layers there, and none in a plain list?"
)


def bend(function, a, b):
    """0 for a linear function (plus a constant), else not."""
    return (function(a) + function(b) - function(a + b) - function(0 * a)).abs().max().item()


values, bends = {"mu": [], "logvar": [], "decode": []}, {"encode": [], "decode": []}
for _ in range(20):
    many = VAE(7, 2, hidden=(16, 5))
    with torch.no_grad():
        for p in many.parameters():
            p.mul_(20)  # large weights, large values
        for name, found in zip(
            values, (*many.encode(torch.randn(20, 7)), many.decode(torch.randn(20, 2))), strict=True
        ):
            values[name].append(found)
        bends["encode"].append(bend(lambda x, net=many: net.encode(x)[0], torch.randn(20, 7), torch.randn(20, 7)))
        bends["decode"].append(bend(many.decode, torch.randn(20, 2), torch.randn(20, 2)))
for name, found in values.items():
    low, high = torch.cat(found).min(), torch.cat(found).max()
    assert low < -1 and high > 1, (
        f"{name}: 20 nets with large weights gave values from {low:.3g} to {high:.3g} only. It may be any real number: "
        "nothing should follow its last layer."
    )
for name, found in bends.items():
    assert max(found) > 1, (
        f"{name} is linear: hidden layers with a nonlinearity after each are asked for, in encoder and decoder."
    )
net = VAE(7, 2, hidden=(64, 64))
for mode in ("train", "eval"):
    getattr(net, mode)()
    same = torch.rand(1, 7).expand(5, 7)
    first, second = net(same)[0], net(same)[0]
    assert not torch.allclose(first, second), f"In {mode} mode, two calls without eps should differ: draw anew."
    assert not torch.allclose(first[0], first[1]), (
        f"In {mode} mode, each row needs its own noise: shape (N, latent_dim)."
    )
many = same[:1].expand(4000, 7)
with torch.no_grad():
    own, given = net(many)[0], net(many, torch.randn(4000, 2))[0]
assert ((own.std(dim=0) / given.std(dim=0) - 1).abs() < 0.15).all() and (
    (own.mean(dim=0) - given.mean(dim=0)).abs() < 0.15 * given.std(dim=0)
).all(), (
    "4000 calls with noise of your own do not spread like 4000 with torch.randn(N, latent_dim) as eps: draw it from "
    "N(0, 1), one value for every row and every dimension."
)
(slope,) = torch.autograd.grad(net(x.requires_grad_())[0].sum(), x, allow_unused=True)
assert slope is not None and slope.abs().sum() > 0, (
    "No gradient of the logits reaches the input: nothing may be detached, or the encoder never learns."
)
print("VAE: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("autoencoders", "VAE", globals())
### END HIDDEN TESTS


# %% [markdown]
# Before training, the picture below is what your VAE makes of one digit, a 0, in eight calls without `eps`: all are
# noise, and all differ a little. Section 9 shows the same picture after training.

# %%
torch.manual_seed(SEED)
fresh = VAE(64, 2, hidden=(128,))
digit = numerals.test[numerals.test_labels == 0][:1]
with torch.no_grad():
    calls = torch.cat([digit, torch.sigmoid(fresh(digit.expand(8, 64))[0])])
figure, ax = plt.subplots(figsize=(5, 0.9))
plotting.show_image(
    ax,
    plotting.montage(calls.reshape(-1, 8, 8).double().numpy(), columns=9),
    "one digit, and eight calls before training",
)
plt.show()

# %% [markdown]
# ### Task: `interpolate`
#
# On the way from one code to another, what does the decoder draw? First the way:
# $z(t) = (1-t)\,z_0 + t\,z_1$ at `steps` equally spaced $t$ from 0 to 1, both ends included. One step alone gives
# $z_0$. All of PyTorch is allowed.


# %% nbgrader={"grade": false, "grade_id": "interpolate", "locked": false, "schema_version": 3, "solution": true, "task": false}
def interpolate(z0: Tensor, z1: Tensor, steps: int) -> Tensor:
    """Codes on the straight line from z0 to z1.

    Args:
        z0, z1: (d,).
        steps: how many, at least 1.

    Returns:
        (steps, d), from z0 to z1, both included; z0 alone for steps = 1.

    Example:
        interpolate([0, 10], [1, 20], 3) is [[0, 10], [0.5, 15], [1, 20]].
    """
    ### BEGIN SOLUTION
    t = torch.linspace(0, 1, steps, dtype=z0.dtype)[:, None]
    return (1 - t) * z0 + t * z1
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_interpolate", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
z0, z1 = torch.tensor([0.0, 10.0]), torch.tensor([1.0, 20.0])
received = interpolate(z0, z1, 5)
assert received.shape == (5, 2), f"Expected shape (5, 2): a row a step; received {tuple(received.shape)}."
expected = torch.tensor([[0.0, 10.0], [0.25, 12.5], [0.5, 15.0], [0.75, 17.5], [1.0, 20.0]])
assert torch.allclose(received, expected), (
    f"Expected {expected.tolist()}, received {received.tolist()}. Both ends count."
)
received = interpolate(z0, z1, 1)
assert torch.allclose(received, z0[None]), (
    f"One step: expected z0, received {received.tolist()}. Beware of steps - 1 = 0."
)
print("interpolate: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("autoencoders", "interpolate", globals())
### END HIDDEN TESTS


# %% [markdown]
# ## 9 The latent plane, before and after the KL term
#
# Two VAEs with two latent dimensions, trained alike except for beta: 0 (an autoencoder with noise) and 1.
#
# **Predict first:** where will the codes lie, and how large will each $\sigma$ be, without and with the KL term? What
# comes out when a code drawn from N(0, I) is decoded?


# %%
@functools.cache
def train_vae(latent: int, beta: float, steps: int = 1200) -> nn.Module:
    """Your VAE, trained on the digits with your loss; kept, so a second call is free.

    Run this cell again when you have changed your VAE.
    """
    torch.manual_seed(SEED)
    net = VAE(64, latent, hidden=(128,))
    batches = training.minibatches(128, numerals.train, generator=torch.Generator().manual_seed(SEED))

    def loss(x: Tensor) -> dict[str, Tensor]:
        return vae_loss(*_arguments(net, x), beta=beta)

    training.train(
        net, batches, loss, steps=steps, lr=1e-2, weight_decay=0, name=f"VAE, {latent} latents, beta {beta:g}"
    )
    return net


def _arguments(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    logits, mu, logvar = net(x)
    return logits, x, mu, logvar


@torch.no_grad()
def evaluate(net: nn.Module, draws: int = 20) -> dict[str, float]:
    """On the test digits: reconstruction and KL in nats, ELBO, MSE of the decoded mean, number of active units."""
    torch.manual_seed(SEED)
    x = numerals.test
    parts = [vae_loss(*_arguments(net, x)) for _ in range(draws)]
    found = {name: torch.stack([part[name] for part in parts]).mean().item() for name in ("reconstruction", "kl")}
    mu, _ = net.encode(x)
    found["ELBO"] = -found["reconstruction"] - found["kl"]
    found["MSE"] = (torch.sigmoid(net.decode(mu)) - x).square().mean().item()
    found["active units"] = int((mu.var(dim=0) > 0.01).sum())  # Burda et al.: the mean moves with the input
    return found


# %% tags=["long", "measured"]
planes = {beta: train_vae(2, beta) for beta in (0.0, 1.0)}
for beta, net in planes.items():
    found = evaluate(net)
    print(f"k=2 beta={beta:g} ELBO: {found['ELBO']:.2f}")
    print(f"k=2 beta={beta:g} KL: {found['kl']:.2f}")
    print(f"k=2 beta={beta:g} MSE: {found['MSE']:.4f}")

figure, axes = plt.subplots(2, 2, figsize=(6.6, 5.6), height_ratios=[3, 1.1])
for column, (beta, net) in zip(axes.T, planes.items(), strict=True):
    with torch.no_grad():
        mu, logvar = net.encode(numerals.test)
        torch.manual_seed(SEED)
        drawn = torch.sigmoid(net.decode(torch.randn(20, 2)))
    scatter_digits(
        column[0],
        mu.numpy(),
        numerals.test_labels,
        f"beta = {beta:g}, median sigma {torch.exp(logvar / 2).median():.2g}",
    )
    column[0].add_patch(plt.Circle((0, 0), 2, fill=False, linestyle="--", linewidth=1.5))
    column[0].set_aspect("equal", adjustable="datalim")
    plotting.show_image(
        column[1], plotting.montage(drawn.reshape(-1, 8, 8).double().numpy(), columns=10), "decoded draws from N(0, I)"
    )
plt.show()

# %% [markdown]
# The dashed circle has radius 2: 86 % of N(0, I) lie inside. Without the KL term the encoder shouts over its noise:
# sigma is small and the codes spread far beyond the circle, because spreading is free. Draws from N(0, I) all fall on
# a small piece of that map: only the few kinds of digits that happen to lie there come out, and blends of them; which
# ones depends on the seed. With it, sigma is larger, clouds of neighbours overlap, and the codes fill the circle:
# wherever one draws, there is a digit, or something between two. In figures: KL falls from 27 +- 2 to 2.4 +- 0.1 nats,
# and the ELBO improves from -48 +- 2 to -24.83 +- 0.06 nats; the price is an MSE that rises from 0.036 +- 0.001 to
# 0.040 +- 0.001 (five seeds, with GELU; with ReLU a single run gave KL 23, ELBO -44 and hardly any rise of the MSE).
#
# The 0 of section 8 and eight calls of the trained VAE without `eps`, to compare with the gray squares there. They are
# much alike, and rounder than the original: two numbers say "a 0", and little about whose hand wrote it. (Digits that
# the plane does not keep apart, as many 7 and 9, come out as a blend.)

# %% tags=["long"]
torch.manual_seed(SEED)
digit = numerals.test[numerals.test_labels == 0][:1]
with torch.no_grad():
    calls = torch.cat([digit, torch.sigmoid(train_vae(2, 1.0)(digit.expand(8, 64))[0])])
figure, ax = plt.subplots(figsize=(5, 0.9))
plotting.show_image(
    ax,
    plotting.montage(calls.reshape(-1, 8, 8).double().numpy(), columns=9),
    "one digit, and eight calls after training",
)
plt.show()

# %% [markdown]
# **The explorer.** Move the two latent numbers of the VAE with beta 1 and watch the decoder draw. (The sliders need a
# running kernel; the grid after them shows the whole plane at once, $z_1$ to the right, $z_2$ upwards, each from -2.4 to
# 2.4.)


# %% tags=["long"]
def draw_decoded(ax: plt.Axes, z1: float, z2: float) -> None:
    """Draw what the decoder makes of one code."""
    with torch.no_grad():
        image = torch.sigmoid(train_vae(2, 1.0).decode(torch.tensor([[z1, z2]], dtype=torch.float32)))
    plotting.show_image(ax, image.reshape(8, 8).double().numpy(), f"z = ({z1:.1f}, {z2:.1f})")


plotting.sliders(draw_decoded, {"z1": (-2.4, 2.4, 0.2), "z2": (-2.4, 2.4, 0.2)}, figsize=(2.2, 2.4))

# %% tags=["long"]
steps = torch.linspace(-2.4, 2.4, 13)
grid = torch.stack([steps.repeat(13), steps.flip(0).repeat_interleave(13)], dim=1)
with torch.no_grad():
    sheet = torch.sigmoid(train_vae(2, 1.0).decode(grid)).reshape(-1, 8, 8)
figure, ax = plt.subplots(figsize=(4.2, 4.2))
plotting.show_image(ax, plotting.montage(sheet.double().numpy(), columns=13))
ax.set_xticks(9 * np.arange(0, 13, 3) + 4, [f"{value:.1f}" for value in steps[::3]])
ax.set_yticks(9 * np.arange(0, 13, 3) + 4, [f"{value:.1f}" for value in steps.flip(0)[::3]])
ax.set(xlabel="z1", ylabel="z2")
plt.show()

# %% [markdown]
# ## 10 More dimensions, and the price of beta
#
# With $k = 8$ latent units and different weights of the KL term. **Predict first:** which beta gives the sharpest reconstructions,
# which the best draws, and how many of the eight units will still be used at beta = 4?

# %% tags=["long", "measured"]
sweep = {beta: train_vae(8, beta) for beta in (0.1, 0.5, 1.0, 2.0, 4.0)}
results = {("k=8", beta): evaluate(net) for beta, net in sweep.items()} | {("k=16", 1.0): evaluate(train_vae(16, 1.0))}
for (size, beta), found in results.items():
    for name in ("ELBO", "reconstruction", "kl", "MSE", "active units"):
        print(f"{size} beta={beta:g} {name}: {found[name]:.4f}")

betas = list(sweep)
figure, axes = plt.subplot_mosaic(
    [["curves", "curves"], ["means", "draws"]], figsize=(7.6, 5.2), height_ratios=[1, 1.3]
)
curves = {name: (betas, [results["k=8", beta][name] for beta in betas]) for name in ("reconstruction", "kl")}
curves["sum = -ELBO"] = (betas, [-results["k=8", beta]["ELBO"] for beta in betas])
plotting.plot_curves(axes["curves"], curves, "beta", "nats per digit, test")
axes["curves"].set(xscale="log")
axes["curves"].legend(loc="upper left", bbox_to_anchor=(1, 1))
axes["curves"].set_xticks(betas, [f"{beta:g}" for beta in betas])
axes["curves"].minorticks_off()
torch.manual_seed(SEED)
noise = torch.randn(10, 8)
means, draws = [numerals.test[:10]], [torch.ones(10, 64)]
with torch.no_grad():
    for net in sweep.values():
        means.append(torch.sigmoid(net.decode(net.encode(numerals.test[:10])[0])))
        draws.append(torch.sigmoid(net.decode(noise)))
for name, rows, title in (("means", means, "reconstructed means"), ("draws", draws, "draws from N(0, I)")):
    sheet = plotting.montage(torch.cat(rows).reshape(-1, 8, 8).double().numpy(), columns=10)
    plotting.show_image(axes[name], sheet, title)
active = [results["k=8", beta]["active units"] for beta in betas]
axes["means"].set_yticks(
    9 * np.arange(6) + 4,
    ["original", *(f"beta {beta:g}: {count:g} active" for beta, count in zip(betas, active, strict=True))],
)
axes["means"].tick_params(length=0)
plt.show()

# %% [markdown]
# Test set, mean over five seeds, with GELU (standard deviations: ELBO at most 0.06, MSE at most 0.0005; with ReLU a
# single run at beta 1 gave ELBOs within 0.05 of these, and 4 active units of the 16):
#
# | | beta 0.1 | 0.5 | **1** | 2 | 4 | k = 16, beta 1 |
# |---|---|---|---|---|---|---|
# | ELBO (nats) | -31.3 | -25.1 | **-24.17** | -25.4 | -27.2 | -24.22 |
# | reconstruction | 16.8 | 18.7 | 20.7 | 24.2 | 27.2 | 20.8 |
# | KL | 14.6 | 6.5 | 3.5 | 1.2 | 0.0 | 3.5 |
# | MSE | 0.0112 | 0.0155 | 0.0247 | 0.0443 | 0.0740 | 0.0250 |
# | active units | 8 | 8 | 5 | 3.4 | 0 | 5 |
#
# The best ELBO is at beta = 1, and that is no accident: only there is the ELBO what is trained. A small beta
# reconstructs sharply, but the codes do not fill N(0, I), so draws from it are malformed. At beta = 4 nothing is
# worth its price: all units have collapsed, the decoder draws one mean digit, whatever it is given. And more room
# does not help: with 16 dimensions the VAE still uses five, and its MSE is that of PCA with 8 numbers (0.0246), far
# from PCA with 16 (0.0116).
#
# **Posterior collapse.** A unit is *active* if its mean moves with the input (variance over the test set above 0.01).
# The bars show the mean KL of each unit, sorted: what each of them carries, in nats.

# %% tags=["long"]
figure, axes = plt.subplots(1, 3, figsize=(7.4, 2.2), sharey=True)
for ax, (title, net) in zip(
    axes,
    (
        ("k = 8, beta 1", train_vae(8, 1.0)),
        ("k = 16, beta 1", train_vae(16, 1.0)),
        ("k = 8, beta 4", train_vae(8, 4.0)),
    ),
    strict=True,
):
    with torch.no_grad():
        mu, logvar = net.encode(numerals.test)
    each = ((mu.square() + logvar.exp() - 1 - logvar) / 2).mean(dim=0).sort(descending=True).values
    ax.bar(range(1, len(each) + 1), each)
    ax.set(title=f"{title}: {int((mu.var(dim=0) > 0.01).sum())} active", xlabel="latent unit, sorted")
axes[0].set_ylabel("KL (nats)")
plt.show()

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_collapse", "locked": true, "schema_version": 3, "solution": false, "task": false}
# ### Question: where have the units gone?
#
# Look at k = 16 and beta = 1. (a) Most of the units have $\mu = 0$ and $\sigma = 1$ for every image. Why is it the
# *optimum* for such a unit to carry nothing, and not a failure of the optimiser? (b) The ELBO at k = 16 is about that
# at k = 8, yet its MSE is worse than that of PCA with 16 numbers. Is PCA the better model? (c) Why is $\varepsilon$
# an argument of `forward`, and what would go wrong in training if `reparameterize` called `torch.normal(mu, sigma)`
# instead?
#
# === BEGIN MARK SCHEME ===
# 1 point (a): a unit costs its KL; if what it could tell lowers the reconstruction loss by less than that, the cheapest is q = p, KL 0; and as the
#   decoder then sees pure noise in it, it learns to ignore it. (Half a point for "the KL pushes it to N(0, 1)" without the trade.)
# 1 point (b): they are judged by different aims: MSE at a given number of reals (of unlimited precision) against likelihood minus price of the code,
#   in nats; the VAE pays for precision, PCA does not and cannot be sampled in the same way; neither is "better" without a purpose.
# 1 point (c): the sample must be a differentiable function of mu and sigma, noise drawn outside; torch.normal gives a sample without gradient to
#   mu and sigma, so the encoder gets no gradient from the reconstruction and learns from KL only: everything collapses. Also accepted: tests, repeatability.
# Common wrong answers: "the optimiser is stuck in a local minimum"; "more units always help"; "so that it is random".
# === END MARK SCHEME ===

# %% [markdown] nbgrader={"grade": true, "grade_id": "answer_collapse", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# (a) Every unit is a channel with a price: its KL. If what a unit could tell about the image lowers the
# reconstruction loss by less than the nats it costs, the best it can do is $q(z_i\mid x) = p(z_i)$, price 0. Digits
# of 8 x 8 pixels have few directions that are worth it at beta = 1. The decoder then reads pure noise from that unit
# and learns to ignore it, which makes it even less worthwhile to use.
#
# (b) The figures answer different questions. PCA may use 16 real numbers of unlimited precision for free and
# minimises MSE. The VAE pays for each nat and maximises a bound of the likelihood; it keeps only what is worth its
# price, and can be sampled. For compression by a fixed number of reals take PCA (or the autoencoder), for a model of
# the data the VAE.
#
# (c) The encoder learns only if the sample is a differentiable function of $\mu$ and $\sigma$; so the random part is
# drawn outside, without parameters, and enters as an argument. `torch.normal(mu, sigma)` returns a number without a
# path back to the encoder. The reconstruction loss would give it no gradient; only the KL term would, and it drives
# every unit to N(0, 1): total collapse.

# %% [markdown]
# **Interpolation and generation.** Above: from one test digit to another along your `interpolate` in the VAE's space
# (k = 8, beta 1), and a plain blend of the pixels, which shows two ghosts. Below: draws. A plain autoencoder gives no
# distribution to draw from; a Gaussian with the codes' mean and covariance is the best simple guess.

# %% tags=["long"]
with torch.no_grad():
    means = train_vae(8, 1.0).encode(numerals.test)[0]
    first, second = (int((numerals.test_labels == digit).nonzero()[0]) for digit in (0, 4))
    way = torch.sigmoid(train_vae(8, 1.0).decode(interpolate(means[first], means[second], 10)))
    blend = interpolate(numerals.test[first], numerals.test[second], 10)
    torch.manual_seed(SEED)
    drawn = torch.sigmoid(train_vae(8, 1.0).decode(torch.randn(10, 8)))
    codes = retrieval.encode(images)
    gaussian = torch.distributions.MultivariateNormal(codes.mean(dim=0), torch.cov(codes.T))
    plain = retrieval.decode(gaussian.sample((10,))).reshape(-1, 64).clamp(0, 1)
figure, ax = plt.subplots(figsize=(5.8, 2.3))
plotting.show_image(
    ax, plotting.montage(torch.cat([way, blend, drawn, plain]).reshape(-1, 8, 8).double().numpy(), columns=10)
)
ax.set_yticks(9 * np.arange(4) + 4, ["way, VAE", "way, pixels", "draws, VAE", "draws, autoencoder"])
ax.tick_params(length=0)
plt.show()

# %% [markdown]
# On the VAE's way every step is a plausible stroke picture; the blend fades one digit out and the other in. The draws
# of the autoencoder come from a Gaussian that its codes do not follow, and its decoder was never asked
# about what lies between them. The VAE's draws are smoother and blurred, the mean of what a code may stand for.

# %% [markdown]
# ## 11 On MNIST
#
# 28 x 28 pixels and 60000 examples show finer strokes. If MNIST is on this machine, this cell trains your
# VAE on it; `digits.mnist("MNIST", download=True)` fetches it (by torchvision). `"FashionMNIST"` works, too.

# %% tags=["long", "measured"]
try:
    large = digits.mnist("MNIST")
    where = training.device()
    torch.manual_seed(SEED)
    net = VAE(784, 2, hidden=(400,)).to(where)
    batches = training.minibatches(256, large.train.to(where), generator=torch.Generator().manual_seed(SEED))
    training.train(
        net, batches, lambda x: vae_loss(*_arguments(net, x)), steps=1500, lr=3e-3, weight_decay=0, name="MNIST"
    )
    with torch.no_grad():
        print(f"MNIST k=2 ELBO: {-vae_loss(*_arguments(net, large.test.to(where)))['total'].item():.1f}")
        sheet = torch.sigmoid(net.decode(grid.to(where))).cpu().reshape(-1, 28, 28)
    figure, ax = plt.subplots(figsize=(5, 5))
    plotting.show_image(ax, plotting.montage(sheet.double().numpy(), columns=13), "the plane of MNIST")
    plt.show()
except datasets.DataError as error:
    print(error)

# %% [markdown]
# ## 12 Bonus: KL against optimal transport
#
# KL compares densities *point by point*. Optimal transport asks how far the mass has to be carried. The 2-Wasserstein
# distance is the root of the least mean squared distance over all plans that carry one distribution into the other.
# For Gaussians with diagonal covariance it has a closed form:
#
# $$W_2^2 = \lVert\mu_1-\mu_2\rVert^2 + \lVert\sigma_1-\sigma_2\rVert^2 .$$
#
# ### Task (bonus): `wasserstein2`
#
# The distance itself, not its square, over the last axis. A notebook without the bonus is worth full marks.


# %% nbgrader={"grade": false, "grade_id": "wasserstein2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def wasserstein2(mu1: Tensor, std1: Tensor, mu2: Tensor, std2: Tensor) -> Tensor:
    """2-Wasserstein distance of two Gaussians with diagonal covariance.

    Args:
        mu1, std1, mu2, std2: (..., d); standard deviations, not variances.

    Returns:
        (...) distances.

    Example:
        mu1 = [0, 0], std1 = [1, 1], mu2 = [3, 0], std2 = [1, 5]: sqrt(3 ** 2 + 4 ** 2) = 5.
    """
    ### BEGIN SOLUTION
    return ((mu1 - mu2).square() + (std1 - std2).square()).sum(dim=-1).sqrt()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test_wasserstein2", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false} extra_credit=2
mu1, std1 = torch.tensor([[0.0, 0.0], [1.0, 2.0]]), torch.tensor([[1.0, 1.0], [2.0, 0.5]])
mu2, std2 = torch.tensor([[3.0, 0.0], [1.0, 2.0]]), torch.tensor([[1.0, 5.0], [2.0, 0.5]])
received = wasserstein2(mu1, std1, mu2, std2)
assert received.shape == (2,), (
    f"Expected shape (2,): the sum is over the last axis only; received {tuple(received.shape)}."
)
assert torch.allclose(received, torch.tensor([5.0, 0.0]), atol=1e-3), (
    f"Expected [5, 0], received {received.tolist()}. The distance, not its square; standard deviations, not variances."
)
assert wasserstein2(mu1[0], std1[0], mu2[0], std2[0]).ndim == 0, "Without leading axes the result is a 0-d tensor."
print("wasserstein2: the visible tests pass")
### BEGIN HIDDEN TESTS
from grading import plain

plain.score("autoencoders", "wasserstein2", globals())
### END HIDDEN TESTS


# %% [markdown]
# Two Gaussians of equal $\sigma$ move apart. **Predict first:** how do KL and W2 grow with the distance, and what
# happens when $\sigma$ becomes small? (On the right there is also a pair of different $\sigma$. The dots come from
# quantiles: on a line the best plan carries each quantile to the same quantile.)

# %%
distance = torch.linspace(0, 3, 61)[:, None]
figure, axes = plt.subplots(1, 3, figsize=(8.6, 2.4))
x = torch.linspace(-1.5, 4, 300)
for shift, style in ((0, "-"), (0.5, "--"), (2, ":")):
    axes[0].plot(x, torch.distributions.Normal(float(shift), 0.3).log_prob(x).exp(), style, label=f"by {shift:g}")
axes[0].set(title="density, sigma = 0.3, moved", yticks=[], xlabel="x")
axes[0].legend()
for sigma, style in ((1.0, "-"), (0.3, "--"), (0.1, ":")):
    still, moved = torch.distributions.Normal(torch.zeros(61), sigma), torch.distributions.Normal(distance[:, 0], sigma)
    axes[1].plot(distance, torch.distributions.kl_divergence(moved, still), style, label=f"sigma = {sigma:g}")
    spread = torch.full_like(distance, sigma)
    axes[2].plot(
        distance,
        wasserstein2(torch.zeros_like(distance), spread, distance, spread),
        style,
        linewidth=1 + 2 * sigma,
        label=f"{sigma:g} and {sigma:g}",
    )
axes[1].set(title="KL (nats)", xlabel="moved by", yscale="log", ylim=(1e-2, 1e3))
axes[1].legend()
normal = torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(2000) + 0.5) / 2000)
wide, narrow = torch.ones_like(distance), torch.full_like(distance, 0.3)
(line,) = axes[2].plot(distance, wasserstein2(torch.zeros_like(distance), wide, distance, narrow), label="1 and 0.3")
for first, second, color in ((1.0, 1.0, plotting.BLACK), (1.0, 0.3, line.get_color())):
    carried = distance[::6] + (second - first) * normal  # each quantile to its own: the best plan on a line
    axes[2].plot(distance[::6], carried.square().mean(dim=1).sqrt(), "o", markersize=4, color=color)
axes[2].set(title="W2: lines yours, dots by quantiles", xlabel="moved by")
axes[2].legend()
plt.show()

# %% [markdown]
# KL is $m^2 / (2\sigma^2)$: it explodes as the Gaussians sharpen, because it asks how surprised one would be, not how
# far it is. In the limit of two points it is infinite everywhere but at 0, and gives no slope to follow. W2 is $m$,
# whatever the common $\sigma$: it knows the geometry of the space. That is why some models whose distributions hardly overlap
# (Wasserstein GANs) are trained with a transport distance, while the VAE, which adds its own noise and so always overlaps with N(0, I),
# can live with KL. In exchange KL needs no distance between points and speaks in nats: it adds to a log-likelihood.

# %% [markdown]
# ## What to take away
#
# - PCA is the best linear code, solved exactly, ordered and nested. A linear autoencoder finds the same plane, without
#   the order.
# - A deep autoencoder wins where the code is short and the data lie on a bent surface; with a long code PCA wins, because
#   hardly anything is left to bend and the net must be *trained* to copy. Measure at equal code size.
# - An encoder-decoder is more than compression: choose what goes in (noise, holes) and what should come out (clean
#   images, depth). What it learns is whatever was constant in training, such as a camera's height.
# - A good reconstruction is not a good feature. Whether a code helps search or few labels has to be measured, against
#   pixels.
# - VAE = reconstruction + price of the code. Noise as an argument makes sampling differentiable; sums against means decide how
#   heavy the KL term is; units that do not pay collapse.
# - KL compares densities, optimal transport compares places.
#
# **Where it goes on.** Notebook 05 (U-Net) gives the encoder-decoder its skip connections; notebook 06 shows what
# transposed convolutions do to its decoder; notebook 08 reads positions from an encoder-decoder's maps. Diffusion
# models take section 4 (remove noise) and section 8 (a Gaussian to start from) and repeat them a thousand times.
