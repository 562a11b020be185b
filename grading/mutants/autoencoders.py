# ruff: noqa: E501
"""Answers to the tasks of 07_autoencoders: wrong ones that students write, and right ones that look different."""

from grading.audit import edit, mutant, variant

# ---------------------------------------------------------------- pca_fit

edit(
    "pca_fit",
    "not_centred",
    {"svd(X - mean,": "svd(X,"},
    hint="The first component points at the mean: subtract it before you look for variance.",
)
edit(
    "pca_fit",
    "standardised",
    {"svd(X - mean,": "svd((X - mean) / X.std(dim=0),"},
    hint="A column with large values has lost its weight: the data are centred here, not divided by their deviation.",
)
edit(
    "pca_fit",
    "components_as_columns",
    {"return mean, components[:k]": "return mean, components[:k].T"},
    hint="The components look transposed: k rows, each of length D.",
)
edit(
    "pca_fit",
    "all_components",
    {"components[:k]": "components"},
    hint="There are more components than were asked for: is k used?",
)
edit(
    "pca_fit",
    "last_components",
    {"components[:k]": "components[-k:]"},
    hint="These are the directions of least variance.",
)
edit(
    "pca_fit",
    "components_scaled",
    {
        "_, _, components =": "_, scale, components =",
        "return mean, components[:k]": "return mean, (scale[:, None] * components)[:k]",
    },
    hint="The components are orthogonal, but not of length 1.",
)
edit(
    "pca_fit",
    "mean_of_everything",
    {"X.mean(dim=0)": "X.mean().expand(X.shape[1])"},
    hint="The mean is one number a column, not one for all.",
)
edit(
    "pca_fit",
    "mean_keeps_a_row",
    {"X.mean(dim=0)": "X.mean(dim=0, keepdim=True)"},
    hint="The mean has a dimension too many: (D,) is expected.",
)
edit(
    "pca_fit",
    "median_as_mean",
    {"X.mean(dim=0)": "X.median(dim=0).values"},
    hint="The centre is not the mean of the columns.",
)


@mutant(
    "pca_fit",
    hint="The components come by rising variance. torch.linalg.eigh sorts its eigenvalues that way: turn them round.",
)
def rising_variance(X, k):
    mean = X.mean(dim=0)
    _, vectors = torch.linalg.eigh((X - mean).T @ (X - mean))
    return mean, vectors.T[-k:]


@mutant("pca_fit", hint="These are the directions of least variance: torch.linalg.eigh sorts its eigenvalues rising.")
def least_variance(X, k):
    mean = X.mean(dim=0)
    _, vectors = torch.linalg.eigh((X - mean).T @ (X - mean))
    return mean, vectors[:, :k].T


@mutant(
    "pca_fit",
    hint="These directions are not components: eigenvectors are columns of what eigh gives, and rows of what svd gives as its third result.",
)
def rows_of_eigenvectors(X, k):
    mean = X.mean(dim=0)
    _, vectors = torch.linalg.eigh((X - mean).T @ (X - mean))
    return mean, vectors.flip(1)[:k]


@mutant("pca_fit", hint="The data that were passed in have changed: build a new tensor instead of X -= mean.")
def centred_in_place(X, k):
    mean = X.mean(dim=0)
    X -= mean
    return mean, torch.linalg.svd(X, full_matrices=False)[2][:k]


@mutant(
    "pca_fit",
    hint="These directions are not components: eigenvectors are columns of what eigh gives, and rows of what svd gives as its third result.",
)
def transposed_twice(X, k):
    mean = X.mean(dim=0)
    return mean, torch.linalg.svd(X - mean)[2].T[:k]


@mutant("pca_fit", hint="The float type of the data is lost on the way: float64 in, float64 out.")
def single_precision(X, k):
    X = X.float()
    mean = X.mean(dim=0)
    return mean, torch.linalg.svd(X - mean, full_matrices=False)[2][:k]


@variant("pca_fit")
def by_eigenvectors(X, k):
    mean = X.mean(dim=0)
    centred = X - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred / (len(X) - 1))
    return mean, vectors[:, -k:].flip(1).T


@variant("pca_fit")
def by_numpy(X, k):
    data = X.detach().numpy()
    mean = data.mean(axis=0)
    covariance = np.atleast_2d(np.cov(data.T.astype(np.float64)))
    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(values)[::-1][:k]
    return torch.from_numpy(mean), torch.from_numpy(vectors[:, order].T.astype(data.dtype).copy())


@variant("pca_fit")
def by_full_svd(X, k):
    mean = torch.sum(X, 0) / X.shape[0]
    _, _, v = torch.linalg.svd(X.double() - mean.double(), full_matrices=True)
    return mean, -v[:k].to(X.dtype)


@variant("pca_fit")
def by_old_svd(X, k):
    mean = torch.mean(X, dim=0)
    _, _, v = torch.svd(X - mean)
    return mean, v[:, :k].t()


# ---------------------------------------------------------------- pca_encode

edit(
    "pca_encode",
    "mean_forgotten",
    {"(X - mean)": "X"},
    hint="The mean should have code 0: subtract it, in the space of the data, before you project.",
)
edit(
    "pca_encode",
    "mean_added",
    {"X - mean": "X + mean"},
    hint="The mean should have code 0: subtract it, in the space of the data, before you project.",
)
edit(
    "pca_encode",
    "codes_as_columns",
    {"(X - mean) @ components.T": "components @ (X - mean).T"},
    hint="The codes come as columns: N rows are expected.",
)
edit(
    "pca_encode",
    "mean_subtracted_late",
    {"(X - mean) @ components.T": "X @ components.T - mean.mean()"},
    hint="The mean should have code 0: subtract it, in the space of the data, before you project.",
)
edit(
    "pca_encode",
    "back_in_space",
    {"@ components.T": "@ components.T @ components"},
    hint="The result has D columns: these are points in space, not their coordinates in the plane.",
)
edit(
    "pca_encode",
    "unit_codes",
    {"return (X - mean) @ components.T": "Z = (X - mean) @ components.T\n    return Z / Z.std(dim=0)"},
    hint="The codes are scaled. They are plain coordinates: distances in the plane stay as they are.",
)
edit(
    "pca_encode",
    "own_mean",
    {"X - mean": "X - X.mean(dim=0)"},
    hint="The mean that was passed in is not used. New examples are centred with the mean of the training set.",
)
edit(
    "pca_encode",
    "absolute_codes",
    {"return (X - mean) @ components.T": "return ((X - mean) @ components.T).abs()"},
    hint="Codes may be negative.",
)


@mutant("pca_encode", hint="The data that were passed in have changed: write X - mean, not X -= mean.")
def encoded_in_place(X, mean, components):
    X -= mean
    return X @ components.T


@variant("pca_encode")
def encoded_by_einsum(X, mean, components):
    return torch.einsum("nd,kd->nk", X - mean, components)


@variant("pca_encode")
def encoded_by_difference(X, mean, components):
    return X @ components.T - components @ mean


@variant("pca_encode")
def encoded_by_linear(X, mean, components):
    return F.linear(X - mean.unsqueeze(0), components)


@variant("pca_encode")
def encoded_row_by_row(X, mean, components):
    Z = X.new_zeros(len(X), len(components))
    for n, x in enumerate(X):
        for j, v in enumerate(components):
            Z[n, j] = torch.dot(x - mean, v)
    return Z


# ---------------------------------------------------------------- pca_decode

edit("pca_decode", "mean_not_added", {"mean + Z": "Z"}, hint="Code 0 should give the mean: add it, once.")
edit(
    "pca_decode",
    "mean_taken_off",
    {"mean + Z": "-mean + Z"},
    hint="Code 0 should give the mean: add it, once.",
)
edit(
    "pca_decode",
    "points_as_columns",
    {"mean + Z @ components": "(mean[:, None] + components.T @ Z.T)"},
    hint="The points come as columns: N rows are expected.",
)
edit(
    "pca_decode",
    "mean_projected",
    {"mean + Z @ components": "(mean @ components.T + Z) @ components"},
    hint="A part of the mean is lost: it lies outside the plane through 0. Add it after going back into space.",
)
edit(
    "pca_decode",
    "first_component_only",
    {"Z @ components": "Z[:, :1] @ components[:1]"},
    hint="Only the first component is used.",
)
edit("pca_decode", "mean_twice", {"mean + Z": "2 * mean + Z"}, hint="Code 0 should give the mean: add it, once.")
edit(
    "pca_decode",
    "points_scaled",
    {"Z @ components": "Z @ components / len(components)"},
    hint="The points lie too close to the mean: nothing is averaged here.",
)
edit(
    "pca_decode",
    "centred_codes",
    {"Z @ components": "(Z - Z.mean(dim=0)) @ components"},
    hint="A point depends on the other codes in the batch. Decode each by itself.",
)


@variant("pca_decode")
def decoded_by_einsum(Z, mean, components):
    return torch.einsum("nk,kd->nd", Z, components) + mean


@variant("pca_decode")
def decoded_by_addmm(Z, mean, components):
    return torch.addmm(mean, Z, components)


@variant("pca_decode")
def decoded_row_by_row(Z, mean, components):
    X = mean.repeat(len(Z), 1)
    for n in range(len(Z)):
        for j in range(Z.shape[1]):
            X[n] += Z[n, j] * components[j]
    return X


# ---------------------------------------------------------------- Autoencoder

edit(
    "Autoencoder",
    "activation_on_the_code",
    {"return self.encoder(x)": "return torch.relu(self.encoder(x))"},
    hint="Something follows the last layer of the encoder: codes must be free to take any value.",
)
edit(
    "Autoencoder",
    "activation_on_the_code_of_a_deep_net",
    {"return self.encoder(x)": "return torch.relu(self.encoder(x)) if len(self.encoder) > 1 else self.encoder(x)"},
    hint="Something follows the last layer of the encoder: codes must be free to take any value.",
)
edit(
    "Autoencoder",
    "activation_on_the_output_of_a_deep_net",
    {"return self.decoder(z)": "return torch.relu(self.decoder(z)) if len(self.decoder) > 1 else self.decoder(z)"},
    hint="The output stays within bounds: nothing may follow the last layer of the decoder.",
)
edit(
    "Autoencoder",
    "bounded_code",
    {"return self.encoder(x)": "return torch.tanh(self.encoder(x))"},
    hint="Something follows the last layer of the encoder: codes must be free to take any value.",
)
edit(
    "Autoencoder",
    "sigmoid_on_the_output",
    {"return self.decoder(z)": "return torch.sigmoid(self.decoder(z))"},
    hint="The output stays within bounds: nothing may follow the last layer of the decoder.",
)
edit(
    "Autoencoder",
    "activation_after_every_layer",
    {"*layers[:-1]": "*layers"},
    hint="There is a nonlinearity after every layer. The code and the output need to be free of it.",
)
edit(
    "Autoencoder",
    "no_activation",
    {"nn.GELU()": "nn.Identity()"},
    hint="With hidden layers the net is still linear: stacked linear layers are one linear layer.",
)
edit(
    "Autoencoder",
    "linear_encoder",
    {
        "stack(sizes), stack(sizes[::-1])": "nn.Sequential(*[m for m in stack(sizes) if isinstance(m, nn.Linear)]), stack(sizes[::-1])"
    },
    hint="The encoder is linear although it has hidden layers.",
)
edit(
    "Autoencoder",
    "linear_decoder",
    {
        "stack(sizes), stack(sizes[::-1])": "stack(sizes), nn.Sequential(*[m for m in stack(sizes[::-1]) if isinstance(m, nn.Linear)])"
    },
    hint="The decoder is linear although it has hidden layers.",
)
edit(
    "Autoencoder",
    "one_activation_only",
    {"*layers[:-1]": "*[m for i, m in enumerate(layers[:-1]) if i == 1 or isinstance(m, nn.Linear)]"},
    hint="Only one hidden layer of each half has a nonlinearity: every one needs it.",
)
edit(
    "Autoencoder",
    "decoder_not_mirrored",
    {"stack(sizes[::-1])": "stack([latent_dim, *hidden, in_dim])"},
    hint="The decoder has the hidden layers in the encoder's order: it should mirror it.",
)
edit(
    "Autoencoder",
    "hidden_ignored",
    {"[in_dim, *hidden, latent_dim]": "[in_dim, *hidden[:1], latent_dim]"},
    hint="Not all hidden layers are there.",
)
edit(
    "Autoencoder",
    "forward_gives_code_too",
    {"return self.decode(self.encode(x))": "return self.decode(self.encode(x)), self.encode(x)"},
    hint="forward returns more than the reconstruction.",
)
edit(
    "Autoencoder",
    "forward_gives_code",
    {"return self.decode(self.encode(x))": "return self.encode(x)"},
    hint="forward returns the code: decode it.",
)
edit(
    "Autoencoder",
    "residual_forward",
    {"return self.decode(self.encode(x))": "return x + self.decode(self.encode(x))"},
    hint="The input reaches the output around the code: then there is nothing to learn.",
)
edit(
    "Autoencoder",
    "no_gradient",
    {"return self.decode(self.encode(x))": "return self.decode(self.encode(x).detach())"},
    hint="No gradient reaches the encoder: it would never learn.",
)
edit(
    "Autoencoder",
    "dropout_inside",
    {"nn.GELU()]": "nn.GELU(), nn.Dropout(0.3)]"},
    hint="Two calls on the same input differ, or layers stand where none belong: only linear layers and nonlinearities were asked for.",
)


@mutant(
    "Autoencoder",
    hint="The layers are kept in a plain list, so PyTorch sees no parameters: use nn.Sequential or nn.ModuleList.",
)
class layers_in_plain_lists(nn.Module):
    def __init__(self, in_dim, latent_dim, hidden=()):
        super().__init__()
        sizes = [in_dim, *hidden, latent_dim]
        self.down = [nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:])]
        self.up = [nn.Linear(b, a) for a, b in zip(sizes[:-1], sizes[1:])][::-1]

    def run(self, layers, x):
        for layer in layers[:-1]:
            x = torch.relu(layer(x))
        return layers[-1](x)

    def encode(self, x):
        return self.run(self.down, x)

    def decode(self, z):
        return self.run(self.up, z)

    def forward(self, x):
        return self.decode(self.encode(x))


@variant("Autoencoder")
class with_module_lists(nn.Module):
    def __init__(self, in_dim, latent_dim, hidden=()):
        super().__init__()
        sizes = [in_dim] + list(hidden) + [latent_dim]
        self.down = nn.ModuleList([nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:])])
        self.up = nn.ModuleList([nn.Linear(b, a) for a, b in zip(sizes[:-1], sizes[1:])][::-1])

    def run(self, layers, x):
        for layer in layers[:-1]:
            x = torch.tanh(layer(x))
        return layers[-1](x)

    def encode(self, x):
        return self.run(self.down, x)

    def decode(self, z):
        return self.run(self.up, z)

    def forward(self, x):
        return self.decode(self.encode(x))


@variant("Autoencoder")
class with_names_swapped_in_memory(nn.Module):
    def __init__(self, in_dim, latent_dim, hidden=()):
        super().__init__()
        self.generator = self.build(latent_dim, list(reversed(hidden)), in_dim)
        self.recogniser = self.build(in_dim, list(hidden), latent_dim)

    @staticmethod
    def build(first, middle, last):
        net = nn.Sequential()
        for number, size in enumerate(middle):
            net.add_module(f"linear{number}", nn.Linear(first, size))
            net.add_module(f"relu{number}", nn.ReLU(inplace=True))
            first = size
        net.add_module("end", nn.Linear(first, last))
        return net

    def encode(self, x):
        return self.recogniser(x)

    def decode(self, z):
        return self.generator(z)

    def forward(self, x):
        return self.generator(self.recogniser(x))


@variant("Autoencoder")
class with_prelu(nn.Module):
    def __init__(self, in_dim, latent_dim, hidden=()):
        super().__init__()
        sizes = (in_dim, *hidden, latent_dim)
        down, up = [], []
        for a, b in zip(sizes, sizes[1:]):
            down += [nn.Linear(a, b), nn.PReLU()]
            up = [nn.Linear(b, a), nn.PReLU()] + up
        self.encode = nn.Sequential(*down[:-1])
        self.decode = nn.Sequential(*up[:-1])

    def forward(self, x):
        return self.decode(self.encode(x))


edit("Autoencoder", "with_sigmoid_units", {"nn.GELU()": "nn.Sigmoid()"})
edit("Autoencoder", "with_elu", {"nn.GELU()": "nn.ELU()"})

# ---------------------------------------------------------------- corrupt

edit("corrupt", "not_clipped", {".clamp(0, 1)": ""}, hint="Some values leave [0, 1]: clip after adding the noise.")
edit(
    "corrupt",
    "variance_for_deviation",
    {"noise_std * noise": "noise_std**0.5 * noise"},
    hint="The noise has the wrong strength: noise_std is the standard deviation.",
)
edit(
    "corrupt",
    "noise_same_for_all_images",
    {"torch.randn(x.shape,": "torch.randn((1, *x.shape[1:]),"},
    hint="All images have the same noise: draw it for every value.",
)
edit(
    "corrupt",
    "noise_same_in_channels",
    {"torch.randn(x.shape,": "torch.randn((number, 1, height, width),"},
    hint="All channels have the same noise: draw it for every value.",
)
edit(
    "corrupt",
    "uniform_noise",
    {
        "torch.randn(x.shape, generator=generator, dtype=x.dtype)": "(2 * torch.rand(x.shape, generator=generator, dtype=x.dtype) - 1) * 3**0.5"
    },
    hint="The noise is not Gaussian: values far out are missing.",
)
edit(
    "corrupt",
    "only_brighter",
    {"noise_std * noise": "noise_std * noise.abs()"},
    hint="The noise only brightens: its mean should be 0.",
)
edit(
    "corrupt",
    "square_never_last",
    {"height - side + 1": "max(height - side, 1)", "width - side + 1": "max(width - side, 1)"},
    hint="The square never reaches the last row or column: torch.randint excludes its upper end.",
)
edit(
    "corrupt",
    "same_square_for_all",
    {
        "(number,), generator=generator)\n    lefts": "(1,), generator=generator).repeat(number)\n    lefts",
        "width - side + 1, (number,), generator=generator)": "width - side + 1, (1,), generator=generator).repeat(number)",
    },
    hint="All images have the square at the same place.",
)
edit(
    "corrupt",
    "height_and_width_swapped",
    {
        "tops = torch.randint(height": "tops = torch.randint(width",
        "lefts = torch.randint(width": "lefts = torch.randint(height",
    },
    hint="Height and width look swapped: the square does not fit, or misses a part of the image.",
)
edit(
    "corrupt",
    "square_gray",
    {"left : left + side] = 0": "left : left + side] = 0.5"},
    hint="The square should be exactly 0.",
)
edit("corrupt", "one_channel_only", {"image[:, top": "image[0, top"}, hint="The square is missing in some channels.")
edit(
    "corrupt",
    "fraction_of_the_side",
    {"(mask_fraction * height * width) ** 0.5": "mask_fraction * height"},
    hint="The square has the wrong size: mask_fraction is a share of the area.",
)
edit(
    "corrupt",
    "side_cut_off",
    {"round((mask_fraction * height * width) ** 0.5)": "int((mask_fraction * height * width) ** 0.5)"},
    hint="The side of the square is cut off, not rounded.",
)
edit(
    "corrupt",
    "side_too_long",
    {
        "min(round((mask_fraction * height * width) ** 0.5), height, width)": "round((mask_fraction * height * width) ** 0.5)"
    },
    hint="With a large fraction the side exceeds the image.",
)
edit(
    "corrupt",
    "generator_ignored",
    {"torch.randn(x.shape, generator=generator, dtype=x.dtype)": "torch.randn(x.shape, dtype=x.dtype)"},
    hint="The noise does not come from the generator: pass it on.",
)
edit(
    "corrupt",
    "places_without_generator",
    {
        "(number,), generator=generator)\n    lefts": "(number,))\n    lefts",
        "width - side + 1, (number,), generator=generator)": "width - side + 1, (number,))",
    },
    hint="The places do not come from the generator: pass it on.",
)
edit(
    "corrupt",
    "generator_reseeded",
    {"    number, _,": "    generator = torch.Generator().manual_seed(0)\n    number, _,"},
    hint="Every call gives the same result: use the generator as it comes.",
)
edit(
    "corrupt",
    "places_on_the_diagonal",
    {"lefts.tolist()": "tops.tolist()"},
    hint="Row and column of the square depend on each other: draw both.",
)
edit(
    "corrupt",
    "changes_the_images",
    {"result = (x + noise_std * noise).clamp(0, 1)": "result = x.add_(noise_std * noise).clamp_(0, 1)"},
    hint="The images that were passed in have changed: build new ones.",
)
edit(
    "corrupt",
    "places_crowd_the_middle",
    {
        "lefts = torch.randint(width - side + 1, (number,), generator=generator)": "lefts = sum(torch.randint(width - side + 1, (number,), generator=generator) for _ in range(4)) // 4"
    },
    hint="Not all places are equally likely.",
)


@mutant("corrupt", hint="Inside the square there is noise: the square comes after the noise.")
def noise_after_the_square(x, noise_std, mask_fraction, generator):
    number, _, height, width = x.shape
    side = min(round((mask_fraction * height * width) ** 0.5), height, width)
    result = x.clone()
    for image in result:
        top = int(torch.randint(height - side + 1, (1,), generator=generator))
        left = int(torch.randint(width - side + 1, (1,), generator=generator))
        image[:, top : top + side, left : left + side] = 0
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    return (result + noise_std * noise).clamp(0, 1)


@mutant("corrupt", hint="The hole has the shape of the image, or single pixels are missing: one square is asked for.")
def single_pixels(x, noise_std, mask_fraction, generator):
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    result = (x + noise_std * noise).clamp(0, 1)
    hidden = torch.rand((len(x), 1, *x.shape[2:]), generator=generator) < mask_fraction
    return torch.where(hidden, torch.zeros((), dtype=x.dtype), result)


@mutant("corrupt", hint="The hole has the shape of the image, or single pixels are missing: one square is asked for.")
def rectangle_like_the_image(x, noise_std, mask_fraction, generator):
    number, _, height, width = x.shape
    result = (x + noise_std * torch.randn(x.shape, generator=generator, dtype=x.dtype)).clamp(0, 1)
    rows, columns = round(mask_fraction**0.5 * height), round(mask_fraction**0.5 * width)
    for image in result:
        top = int(torch.randint(height - rows + 1, (1,), generator=generator))
        left = int(torch.randint(width - columns + 1, (1,), generator=generator))
        image[:, top : top + rows, left : left + columns] = 0
    return result


@variant("corrupt")
def image_by_image(x, noise_std, mask_fraction, generator):
    N, C, H, W = x.shape
    out = torch.zeros_like(x)
    side = min(int(np.round(np.sqrt(mask_fraction * H * W))), H, W)
    for n in range(N):
        out[n] = torch.clamp(x[n] + torch.randn(C, H, W, generator=generator) * noise_std, 0, 1)
        if side > 0:
            i = torch.randint(0, H - side + 1, (1,), generator=generator).item()
            j = torch.randint(0, W - side + 1, (1,), generator=generator).item()
            out[n, :, i : i + side, j : j + side] = 0
    return out


@variant("corrupt")
def by_masks(x, noise_std, mask_fraction, generator):
    N, C, H, W = x.shape
    side = min(round((mask_fraction * H * W) ** 0.5), H, W)
    top = torch.randint(0, H - side + 1, (N, 1, 1, 1), generator=generator)
    left = torch.randint(0, W - side + 1, (N, 1, 1, 1), generator=generator)
    row, column = torch.arange(H).view(1, 1, H, 1), torch.arange(W).view(1, 1, 1, W)
    hole = (row >= top) & (row < top + side) & (column >= left) & (column < left + side)
    noisy = torch.clip(x + noise_std * torch.empty_like(x).normal_(generator=generator), 0, 1)
    return noisy.masked_fill(hole, 0.0)


@variant("corrupt")
def with_uniform_places(x, noise_std, mask_fraction, generator):
    N, _, H, W = x.shape
    y = x.clone()
    if noise_std > 0:
        y = (y + torch.normal(0.0, noise_std, x.shape, generator=generator, dtype=x.dtype)).clamp(0, 1)
    side = min(round((mask_fraction * H * W) ** 0.5), H, W)
    if mask_fraction > 0:
        places = torch.rand(N, 2, generator=generator)
        for n in range(N):
            i, j = int(places[n, 0] * (H - side + 1)), int(places[n, 1] * (W - side + 1))
            y[n, :, i : i + side, j : j + side] *= 0
    return y


# ---------------------------------------------------------------- nearest

edit(
    "nearest",
    "farthest",
    {"torch.sort(distances, stable=True)": "torch.sort(distances, stable=True, descending=True)"},
    hint="These are the farthest codes.",
)
edit(
    "nearest",
    "absolute_distance",
    {".square().sum(dim=1)": ".abs().sum(dim=1)"},
    hint="The order is that of the sum of absolute differences: the distance is Euclidean.",
)
edit(
    "nearest",
    "signed_distance",
    {".square().sum(dim=1)": ".sum(dim=1)"},
    hint="Differences of opposite sign cancel: square them.",
)
edit(
    "nearest",
    "largest_difference",
    {".square().sum(dim=1)": ".abs().amax(dim=1)"},
    hint="Only the largest difference counts here: the distance is Euclidean.",
)
edit(
    "nearest",
    "dot_product",
    {"(codes - query).square().sum(dim=1)": "-(codes @ query)"},
    hint="Longer codes win: a dot product is no distance.",
)
edit(
    "nearest",
    "cosine",
    {"(codes - query).square().sum(dim=1)": "-F.cosine_similarity(codes, query[None], dim=1)"},
    hint="Only the direction counts here, not the length: the distance is Euclidean.",
)
edit("nearest", "distances_returned", {".indices[:k]": ".values[:k]"}, hint="These are distances, not indices.")
edit(
    "nearest",
    "all_of_them",
    {".indices[:k]": ".indices"},
    hint="There are more indices than were asked for: is k used?",
)
edit(
    "nearest",
    "query_left_out",
    {".indices[:k]": ".indices[1 : k + 1]"},
    hint="The nearest is missing. The query need not be one of the codes.",
)
edit(
    "nearest",
    "ties_take_the_last",
    {
        "torch.sort(distances, stable=True).indices[:k]": "(len(codes) - 1 - torch.sort(distances.flip(0), stable=True).indices)[:k]"
    },
    hint="Ties come in no fixed order, or with the higher index first: sort with stable=True.",
)
edit(
    "nearest",
    "topk_of_what_there_is",
    {"torch.sort(distances, stable=True).indices[:k]": "distances.topk(min(k, len(distances)), largest=False).indices"},
    hint="Ties come in no fixed order, or with the higher index first: sort with stable=True.",
)
edit("nearest", "smaller_integers", {".indices[:k]": ".indices[:k].int()"}, hint="The indices are not long (int64).")


@mutant(
    "nearest", hint="With k larger than the number of codes, or without codes, the function fails: give what there is."
)
def with_topk(codes, query, k):
    return torch.topk((codes - query).square().sum(dim=1), k, largest=False).indices


@mutant("nearest", hint="The indices are right, but in the order of the codes: the nearest comes first.")
def in_order_of_index(codes, query, k):
    distances = (codes - query).square().sum(dim=1)
    return torch.sort(distances, stable=True).indices[:k].sort().values


@mutant("nearest", hint="The result is a list: a long tensor is expected.")
def list_of_neighbours(codes, query, k):
    return torch.sort((codes - query).square().sum(dim=1), stable=True).indices[:k].tolist()


@mutant("nearest", hint="The codes that were passed in have changed.")
def neighbours_in_place(codes, query, k):
    codes -= query
    return torch.sort(codes.square().sum(dim=1), stable=True).indices[:k]


@variant("nearest")
def with_norm(codes, query, k):
    return torch.argsort(torch.linalg.vector_norm(codes - query, dim=1), stable=True)[:k]


@variant("nearest")
def with_numpy(codes, query, k):
    distances = ((codes.numpy() - query.numpy()) ** 2).sum(axis=1)
    return torch.from_numpy(np.argsort(distances, kind="stable")[:k])


@variant("nearest")
def with_selection(codes, query, k):
    distances = torch.sqrt(((codes - query) ** 2).sum(1)).tolist()
    order = sorted(range(len(distances)), key=lambda i: distances[i])
    return torch.tensor(order[:k], dtype=torch.long)


# ---------------------------------------------------------------- reparameterize

edit(
    "reparameterize",
    "variance_times_noise",
    {"logvar / 2": "logvar"},
    hint="The noise is scaled by the variance: the standard deviation is its root.",
)
edit(
    "reparameterize",
    "logvar_times_noise",
    {"torch.exp(logvar / 2)": "logvar"},
    hint="The noise is scaled by the logarithm: take exp to get from logvar to the variance.",
)
edit(
    "reparameterize",
    "square_root_of_log",
    {"torch.exp(logvar / 2)": "torch.sqrt(torch.abs(logvar))"},
    hint="The root is taken of the logarithm: take exp to get from logvar to the variance.",
)
edit(
    "reparameterize",
    "wrong_sign_of_logvar",
    {"logvar / 2": "-logvar / 2"},
    hint="A large variance makes the sample less noisy: look at the sign of logvar.",
)
edit(
    "reparameterize",
    "noise_drawn_inside",
    {"* eps": "* torch.randn_like(mu)"},
    hint="The argument eps is not used: the result should not be random.",
)
edit("reparameterize", "noise_subtracted", {"mu + torch": "mu - torch"}, hint="The noise has the wrong sign.")
edit(
    "reparameterize",
    "mean_only",
    {"mu + torch.exp(logvar / 2) * eps": "mu + 0 * eps"},
    hint="The result is the mean: where is the noise?",
)
edit("reparameterize", "noise_only", {"mu + torch": "torch"}, hint="The mean is missing.")
edit(
    "reparameterize",
    "no_gradient_to_sigma",
    {"torch.exp(logvar / 2)": "torch.exp(logvar / 2).detach()"},
    hint="No gradient reaches logvar: nothing may be detached.",
)
edit(
    "reparameterize",
    "no_gradient_at_all",
    {"return mu": "with torch.no_grad():\n        return mu"},
    hint="No gradient reaches mu and logvar: nothing may be detached.",
)
edit(
    "reparameterize",
    "mean_scaled",
    {"mu + torch.exp(logvar / 2) * eps": "torch.exp(logvar / 2) * (mu + eps)"},
    hint="The mean is scaled, too: only the noise has the standard deviation as a factor.",
)


@mutant("reparameterize", hint="An argument has changed: build a new tensor.")
def sampled_in_place(mu, logvar, eps):
    eps *= torch.exp(logvar / 2)
    return mu + eps


@variant("reparameterize")
def with_root(mu, logvar, eps):
    return mu + torch.sqrt(torch.exp(logvar)) * eps


@variant("reparameterize")
def with_addcmul(mu, logvar, eps):
    return torch.addcmul(mu, (0.5 * logvar).exp(), eps)


@variant("reparameterize")
def with_power(mu, logvar, eps):
    sigma = np.e ** (logvar * 0.5)
    return eps * sigma + mu


# ---------------------------------------------------------------- kl_divergence

edit(
    "kl_divergence",
    "factor_half_missing",
    {".sum(dim=1) / 2": ".sum(dim=1)"},
    hint="The result is twice as large as it should be.",
)
edit(
    "kl_divergence",
    "mean_over_dimensions",
    {".sum(dim=1) / 2": ".mean(dim=1) / 2"},
    hint="The result depends on the number of dimensions in the wrong way: sum over them.",
)
edit(
    "kl_divergence",
    "sum_over_everything",
    {".sum(dim=1) / 2": ".sum() / 2"},
    hint="One number for each example is expected, not one for all.",
)
edit(
    "kl_divergence",
    "mean_over_examples",
    {".sum(dim=1) / 2": ".sum(dim=1).mean() / 2"},
    hint="One number for each example is expected, not one for all.",
)
edit(
    "kl_divergence",
    "sum_over_examples",
    {"dim=1": "dim=0"},
    hint="The sum runs over the examples: it should run over the dimensions.",
)
edit("kl_divergence", "no_sum", {".sum(dim=1) / 2": " / 2"}, hint="There is a value for each dimension: sum over them.")
edit("kl_divergence", "negative", {"return (mu": "return -(mu"}, hint="KL divergence is never negative.")
edit(
    "kl_divergence",
    "one_forgotten",
    {" - 1 - logvar": " - logvar"},
    hint="N(0, I) and itself should have divergence 0.",
)
edit(
    "kl_divergence",
    "logvar_as_log_sigma",
    {"logvar.exp() - 1 - logvar": "(2 * logvar).exp() - 1 - 2 * logvar"},
    hint="logvar looks taken for log sigma: it is the logarithm of the variance.",
)
edit(
    "kl_divergence",
    "logvar_as_variance",
    {"logvar.exp() - 1 - logvar": "logvar - 1 - logvar.abs().clamp(1e-8).log()"},
    hint="logvar looks taken for the variance: it is its logarithm.",
)
edit("kl_divergence", "mean_not_squared", {"mu.square()": "mu.abs()"}, hint="The mean enters with its square.")
edit(
    "kl_divergence",
    "logvar_sign",
    {"- 1 - logvar": "- 1 + logvar"},
    hint="For sigma = 1 all is well, else not: which sign does the logarithm have?",
)
edit(
    "kl_divergence",
    "in_bits",
    {".sum(dim=1) / 2": ".sum(dim=1) / 2 / 0.6931472"},
    hint="The result is in bits: nats are asked for, with the natural logarithm.",
)


@mutant("kl_divergence", hint="This is KL(N(0, I), q): the divergence is not symmetric, and the other order is meant.")
def kl_the_other_way(mu, logvar):
    return ((1 + mu**2) / logvar.exp() - 1 + logvar).sum(dim=1) / 2


@mutant(
    "kl_divergence", hint="The result changes from call to call, or is only nearly right: use the formula, not samples."
)
def kl_by_sampling(mu, logvar):
    z = mu + torch.exp(logvar / 2) * torch.randn(2000, *mu.shape)
    return ((z**2 - (z - mu) ** 2 / logvar.exp() - logvar) / 2).mean(dim=0).sum(dim=1)


@mutant("kl_divergence", hint="An argument has changed: build new tensors.")
def kl_in_place(mu, logvar):
    variance = logvar.exp()
    return (mu.pow_(2) + variance - 1 - logvar).sum(dim=1) / 2


@mutant(
    "kl_divergence",
    hint="No gradient reaches the encoder: nothing may be detached, and no list or NumPy array may come between.",
)
def kl_without_gradient(mu, logvar):
    mu, logvar = mu.detach(), logvar.detach()
    return (mu**2 + logvar.exp() - 1 - logvar).sum(dim=1) / 2


@variant("kl_divergence")
def kl_as_in_the_paper(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=-1)


@variant("kl_divergence")
def kl_with_sigma(mu, logvar):
    sigma = torch.exp(0.5 * logvar)
    return (0.5 * (mu**2 + sigma**2) - torch.log(sigma) - 0.5).sum(-1)


@variant("kl_divergence")
def kl_with_expm1(mu, logvar):
    return 0.5 * torch.einsum("nd->n", mu * mu + torch.expm1(logvar) - logvar)


@variant("kl_divergence")
def kl_dimension_by_dimension(mu, logvar):
    total = mu.new_zeros(len(mu))
    for j in range(mu.shape[1]):
        total = total + (mu[:, j] ** 2 + logvar[:, j].exp() - 1 - logvar[:, j]) / 2
    return total


# ---------------------------------------------------------------- vae_loss

edit(
    "vae_loss",
    "mean_over_pixels",
    {"pixels.sum(dim=1).mean()": "pixels.mean()"},
    hint="The reconstruction is a mean over pixels: sum over them, or the KL term weighs far too much.",
)
edit(
    "vae_loss",
    "sum_over_examples_too",
    {"pixels.sum(dim=1).mean()": "pixels.sum()"},
    hint="The reconstruction grows with the number of examples: mean over them.",
)
edit(
    "vae_loss",
    "kl_summed",
    {"kl_divergence(mu, logvar).mean()": "kl_divergence(mu, logvar).sum()"},
    hint="The KL term grows with the number of examples: mean over them.",
)
edit(
    "vae_loss",
    "kl_mean_over_dimensions",
    {"kl_divergence(mu, logvar).mean()": "kl_divergence(mu, logvar).mean() / mu.shape[1]"},
    hint="The KL term is a mean over the dimensions: sum over them.",
)
edit(
    "vae_loss",
    "beta_inside_kl",
    {"kl = kl_divergence(mu, logvar).mean()": "kl = beta * kl_divergence(mu, logvar).mean()", "beta * kl}": "kl}"},
    hint="`kl` should come without beta; only `total` has it.",
)
edit("vae_loss", "beta_ignored", {"reconstruction + beta * kl}": "reconstruction + kl}"}, hint="beta has no effect.")
edit(
    "vae_loss",
    "beta_on_the_reconstruction",
    {"reconstruction + beta * kl}": "beta * reconstruction + kl}"},
    hint="beta weighs the wrong term.",
)
edit(
    "vae_loss",
    "kl_subtracted",
    {"reconstruction + beta * kl}": "reconstruction - beta * kl}"},
    hint="The KL term is subtracted: the loss is the negative ELBO, both terms are costs.",
)
edit(
    "vae_loss",
    "elbo_instead_of_loss",
    {'"total": reconstruction + beta * kl': '"total": -(reconstruction + beta * kl)'},
    hint="`total` is the ELBO: a loss is its negative.",
)
edit(
    "vae_loss",
    "squared_error",
    {
        'F.binary_cross_entropy_with_logits(recon_logits, x, reduction="none")': "(torch.sigmoid(recon_logits) - x).square()"
    },
    hint="The reconstruction is a squared error: the likelihood is Bernoulli.",
)
edit(
    "vae_loss",
    "logits_taken_as_pixels",
    {'F.binary_cross_entropy_with_logits(recon_logits, x, reduction="none")': "(recon_logits - x).square()"},
    hint="The reconstruction is a squared error: the likelihood is Bernoulli.",
)
edit(
    "vae_loss",
    "sigmoid_twice",
    {"with_logits(recon_logits, x": "with_logits(torch.sigmoid(recon_logits), x"},
    hint="The sigmoid is taken twice: binary_cross_entropy_with_logits has its own.",
)
edit(
    "vae_loss",
    "probability_clipped_by_torch",
    {
        'F.binary_cross_entropy_with_logits(recon_logits, x, reduction="none")': 'F.binary_cross_entropy(torch.sigmoid(recon_logits), x, reduction="none")'
    },
    hint="Large logits cost too little, or get no gradient: do not go through the sigmoid.",
)
edit(
    "vae_loss",
    "log_of_sigmoid",
    {
        'F.binary_cross_entropy_with_logits(recon_logits, x, reduction="none")': "-(x * torch.sigmoid(recon_logits).log() + (1 - x) * (1 - torch.sigmoid(recon_logits)).log())"
    },
    hint="Large logits give inf or nan: the sigmoid rounds to 0 or 1, and log 0 is infinite.",
)
edit(
    "vae_loss",
    "log_with_epsilon",
    {
        'F.binary_cross_entropy_with_logits(recon_logits, x, reduction="none")': "-(x * (torch.sigmoid(recon_logits) + 1e-7).log() + (1 - x) * (1 - torch.sigmoid(recon_logits) + 1e-7).log())"
    },
    hint="Large logits cost too little, or get no gradient: do not go through the sigmoid.",
)
edit(
    "vae_loss",
    "logits_clamped",
    {"with_logits(recon_logits, x": "with_logits(recon_logits.clamp(-30, 30), x"},
    hint="Large logits cost too little, or get no gradient: clamp nothing.",
)
edit(
    "vae_loss",
    "target_rounded",
    {"with_logits(recon_logits, x,": "with_logits(recon_logits, x.round(),"},
    hint="Gray pixels are rounded to black or white: they enter as they are.",
)
edit(
    "vae_loss",
    "plain_numbers",
    {
        '{"reconstruction": reconstruction, "kl": kl, "total": reconstruction + beta * kl}': '{"reconstruction": reconstruction.item(), "kl": kl.item(), "total": (reconstruction + beta * kl).item()}'
    },
    hint="The values are plain numbers: tensors with a gradient are needed to train.",
)
edit(
    "vae_loss",
    "per_example",
    {".sum(dim=1).mean()": ".sum(dim=1)", "logvar).mean()": "logvar)"},
    hint="There is a value for each example: mean over them.",
)
edit(
    "vae_loss",
    "other_keys",
    {'"reconstruction": reconstruction,': '"recon": reconstruction,'},
    hint="The dict has other keys than asked for.",
)
edit(
    "vae_loss",
    "kl_detached",
    {"logvar).mean()": "logvar).mean().detach()"},
    hint="No gradient of the KL term reaches the encoder.",
)
edit(
    "vae_loss",
    "first_pixels_only",
    {"pixels.sum(dim=1).mean()": "pixels[:, : mu.shape[1]].sum(dim=1).mean()"},
    hint="Not all pixels are counted.",
)


@variant("vae_loss")
def by_reduction(recon_logits, x, mu, logvar, beta=1.0):
    n = len(x)
    r = F.binary_cross_entropy_with_logits(recon_logits, x, reduction="sum") / n
    kl = -0.5 * torch.sum(1 + logvar - mu**2 - torch.exp(logvar)) / n
    return dict(total=r + beta * kl, kl=kl, reconstruction=r)


@variant("vae_loss")
def by_softplus(recon_logits, x, mu, logvar, beta=1.0):
    r = (F.softplus(recon_logits) - x * recon_logits).sum(-1).mean(0)
    kl = (mu.square() + logvar.exp() - logvar - 1).div(2).sum(-1).mean(0)
    return {"reconstruction": r, "kl": kl, "total": r + kl * beta}


@variant("vae_loss")
def by_logsigmoid(recon_logits, x, mu, logvar, beta=1.0):
    likelihood = x * F.logsigmoid(recon_logits) + (1 - x) * F.logsigmoid(-recon_logits)
    parts = {"reconstruction": -likelihood.sum(dim=1).mean(), "kl": kl_divergence(mu, logvar).mean()}
    parts["total"] = parts["reconstruction"] + beta * parts["kl"]
    return parts


# ---------------------------------------------------------------- VAE

edit(
    "VAE",
    "one_head",
    {"self.to_mu(features), self.to_logvar(features)": "self.to_mu(features), self.to_mu(features)"},
    hint="mu and logvar are the same: two last layers are needed.",
)
edit(
    "VAE",
    "mu_and_logvar_swapped",
    {
        "return self.decode(reparameterize(mu, logvar, eps)), mu, logvar": "return self.decode(reparameterize(mu, logvar, eps)), logvar, mu"
    },
    hint="forward returns mu and logvar in the wrong order.",
)
edit(
    "VAE",
    "positive_logvar",
    {"self.to_mu(features), self.to_logvar(features)": "self.to_mu(features), F.softplus(self.to_logvar(features))"},
    hint="logvar is never negative: it is the logarithm of the variance, and needs no constraint.",
)
edit(
    "VAE",
    "mu_after_relu",
    {"self.to_mu(features), self": "torch.relu(self.to_mu(features)), self"},
    hint="Something follows the last layer of mu: it must be free to take any value.",
)
edit(
    "VAE",
    "mu_after_tanh",
    {"self.to_mu(features), self": "torch.tanh(self.to_mu(features)), self"},
    hint="Something follows the last layer of mu: it must be free to take any value.",
)
edit(
    "VAE",
    "sigmoid_in_decode",
    {"return self.decoder(z)": "return torch.sigmoid(self.decoder(z))"},
    hint="decode does not return logits: they take any real value, so nothing may follow its last layer.",
)
edit(
    "VAE",
    "activation_on_logits",
    {"return self.decoder(z)": "return torch.relu(self.decoder(z))"},
    hint="decode does not return logits: they take any real value, so nothing may follow its last layer.",
)
edit(
    "VAE",
    "noise_ignored",
    {"            eps = torch.randn_like(mu)": "            eps = torch.zeros_like(mu)"},
    hint="Without eps there is no noise: draw it from N(0, 1).",
)
edit("VAE", "eps_always_drawn", {"if eps is None:": "if True:"}, hint="The eps that is passed in is not used.")
edit(
    "VAE",
    "no_noise_in_eval_mode",
    {"eps = torch.randn_like(mu)": "eps = torch.randn_like(mu) if self.training else torch.zeros_like(mu)"},
    hint="In eval mode there is no noise: it is asked for in both modes.",
)
edit(
    "VAE",
    "one_noise_for_all_rows",
    {"torch.randn_like(mu)": "torch.randn_like(mu[:1])"},
    hint="All rows share their noise: draw it for each.",
)
edit(
    "VAE",
    "one_noise_for_all_dimensions",
    {"torch.randn_like(mu)": "torch.randn_like(mu[:, :1])"},
    hint="All dimensions share their noise: draw it for each.",
)
edit(
    "VAE",
    "uniform_noise_drawn",
    {"torch.randn_like(mu)": "torch.rand_like(mu)"},
    hint="The noise is not from N(0, 1): mean and spread of the output are off.",
)
edit(
    "VAE",
    "noise_too_weak",
    {"torch.randn_like(mu)": "0.1 * torch.randn_like(mu)"},
    hint="The noise is not from N(0, 1): mean and spread of the output are off.",
)
edit(
    "VAE",
    "variance_as_deviation",
    {"reparameterize(mu, logvar, eps)": "mu + logvar.exp() * eps"},
    hint="The noise is scaled by the variance: its root is the standard deviation.",
)
edit(
    "VAE",
    "decodes_the_mean",
    {"self.decode(reparameterize(mu, logvar, eps))": "self.decode(mu)"},
    hint="The mean is decoded: where is the noise?",
)
edit(
    "VAE",
    "encoder_detached",
    {"reparameterize(mu, logvar, eps)": "reparameterize(mu, logvar, eps).detach()"},
    hint="No gradient of the reconstruction reaches the encoder.",
)
edit(
    "VAE",
    "forward_without_logvar",
    {
        "return self.decode(reparameterize(mu, logvar, eps)), mu, logvar": "return self.decode(reparameterize(mu, logvar, eps))"
    },
    hint="forward should return three things: logits, mu, logvar.",
)
edit(
    "VAE",
    "variance_returned",
    {"self.to_mu(features), self.to_logvar(features)": "self.to_mu(features), self.to_logvar(features).exp()"},
    hint="logvar is never negative: it is the logarithm of the variance, and needs no constraint.",
)
edit(
    "VAE",
    "hidden_layers_missing",
    {"[in_dim, *hidden], [latent_dim, *reversed(hidden)]": "[in_dim, hidden[0]], [latent_dim, hidden[0]]"},
    hint="Only the first hidden layer is there.",
)
edit(
    "VAE",
    "linear_throughout",
    {"nn.GELU()": "nn.Identity()"},
    hint="Encoder and decoder are linear: a nonlinearity is needed after each hidden layer.",
)
edit(
    "VAE",
    "linear_encoder_only",
    {"*stack(there)": "*[m for m in stack(there) if isinstance(m, nn.Linear)]"},
    hint="The encoder is linear: a nonlinearity is needed after each hidden layer.",
)
edit(
    "VAE",
    "linear_decoder_only",
    {"*stack(back), nn": "*[m for m in stack(back) if isinstance(m, nn.Linear)], nn"},
    hint="The decoder is linear: a nonlinearity is needed after each hidden layer.",
)
edit(
    "VAE",
    "decoder_of_one_layer",
    {"nn.Sequential(*stack(back), nn.Linear(back[-1], in_dim))": "nn.Linear(latent_dim, in_dim)"},
    hint="The decoder is a single linear layer: it needs the hidden layers of the encoder, in reverse.",
)
edit(
    "VAE",
    "mean_field_of_one",
    {
        "nn.Linear(there[-1], latent_dim), nn.Linear(there[-1], latent_dim)": "nn.Linear(there[-1], latent_dim), nn.Linear(there[-1], 1)"
    },
    hint="logvar has one number an example: one for each dimension is needed.",
)


@mutant(
    "VAE",
    hint="The layers are kept in a plain list, so PyTorch sees no parameters: use nn.Sequential or nn.ModuleList.",
)
class vae_in_plain_lists(nn.Module):
    def __init__(self, in_dim, latent_dim, hidden):
        super().__init__()
        there = [in_dim, *hidden]
        self.body = [nn.Linear(a, b) for a, b in zip(there[:-1], there[1:])]
        self.mu, self.logvar = nn.Linear(there[-1], latent_dim), nn.Linear(there[-1], latent_dim)
        back = [latent_dim, *hidden[::-1], in_dim]
        self.back = [nn.Linear(a, b) for a, b in zip(back[:-1], back[1:])]

    def encode(self, x):
        for layer in self.body:
            x = torch.relu(layer(x))
        return self.mu(x), self.logvar(x)

    def decode(self, z):
        for layer in self.back[:-1]:
            z = torch.relu(layer(z))
        return self.back[-1](z)

    def forward(self, x, eps=None):
        mu, logvar = self.encode(x)
        eps = torch.randn_like(mu) if eps is None else eps
        return self.decode(mu + torch.exp(logvar / 2) * eps), mu, logvar


edit("VAE", "vae_with_sigmoid_units", {"nn.GELU()": "nn.Sigmoid()"})
edit("VAE", "vae_with_leaky_units", {"nn.GELU()": "nn.LeakyReLU(0.1)"})
edit("VAE", "decoder_like_the_encoder", {"*reversed(hidden)": "*hidden"})


@variant("VAE")
class vae_decoder_first(nn.Module):
    def __init__(self, in_dim, latent_dim, hidden):
        super().__init__()
        sizes = [latent_dim, *list(hidden)[::-1], in_dim]
        layers = [m for a, b in zip(sizes[:-1], sizes[1:]) for m in (nn.Linear(a, b), nn.ReLU())]
        self.dec = nn.Sequential(*layers[:-1])
        sizes = [in_dim, *hidden, 2 * latent_dim]
        layers = [m for a, b in zip(sizes[:-1], sizes[1:]) for m in (nn.Linear(a, b), nn.ReLU())]
        self.enc = nn.Sequential(*layers[:-1])

    def encode(self, x):
        return self.enc(x).chunk(2, dim=-1)

    def decode(self, z):
        return self.dec(z)

    def forward(self, x, eps=None):
        mu, logvar = self.encode(x)
        eps = torch.randn_like(logvar) if eps is None else eps
        return self.decode(mu + torch.exp(0.5 * logvar) * eps), mu, logvar


@variant("VAE")
class vae_with_one_wide_head(nn.Module):
    def __init__(self, in_dim, latent_dim, hidden):
        super().__init__()
        sizes = [in_dim, *hidden, 2 * latent_dim]
        self.enc = nn.ModuleList([nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:])])
        sizes = [latent_dim, *list(hidden)[::-1], in_dim]
        self.dec = nn.ModuleList([nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:])])

    def run(self, layers, x):
        for layer in layers[:-1]:
            x = torch.tanh(layer(x))
        return layers[-1](x)

    def encode(self, x):
        return self.run(self.enc, x).chunk(2, dim=1)

    def decode(self, z):
        return self.run(self.dec, z)

    def forward(self, x, eps=None):
        mu, logvar = self.encode(x)
        if eps is None:
            eps = torch.randn(mu.shape, device=mu.device, dtype=mu.dtype)
        return self.decode(mu + (logvar / 2).exp() * eps), mu, logvar


@variant("VAE")
class vae_with_relu(nn.Module):
    def __init__(self, in_dim, latent_dim, hidden):
        super().__init__()
        encoder, decoder, size = [], [], in_dim
        for h in hidden:
            encoder += [nn.Linear(size, h), nn.ReLU()]
            decoder = [nn.ReLU(), nn.Linear(h, size)] + decoder
            size = h
        self.encoder = nn.Sequential(*encoder)
        self.mean, self.spread = nn.Linear(size, latent_dim), nn.Linear(size, latent_dim)
        self.decoder = nn.Sequential(nn.Linear(latent_dim, size), *decoder)

    def encode(self, x):
        h = self.encoder(x)
        return self.mean(h), self.spread(h)

    def decode(self, z):
        return self.decoder(z)

    def forward(self, x, eps=None):
        mu, logvar = self.encode(x)
        eps = torch.normal(torch.zeros_like(mu), torch.ones_like(mu)) if eps is None else eps
        return self.decoder(reparameterize(mu, logvar, eps)), mu, logvar


@variant("VAE")
class vae_with_batches_of_any_size(nn.Module):
    def __init__(self, in_dim, latent_dim, hidden):
        super().__init__()
        self.latent = latent_dim
        layers = [in_dim, *hidden]
        self.trunk = nn.Sequential(*[nn.Sequential(nn.Linear(a, b), nn.SiLU()) for a, b in zip(layers, layers[1:])])
        self.ends = nn.ModuleDict({name: nn.Linear(layers[-1], latent_dim) for name in ("mu", "logvar")})
        layers = [latent_dim, *reversed(list(hidden))]
        self.grow = nn.Sequential(*[nn.Sequential(nn.Linear(a, b), nn.SiLU()) for a, b in zip(layers, layers[1:])])
        self.paint = nn.Linear(layers[-1], in_dim)

    def encode(self, x):
        h = self.trunk(x)
        return [self.ends["mu"](h), self.ends["logvar"](h)]

    def decode(self, z):
        return self.paint(self.grow(z))

    def forward(self, x, eps=None):
        mu, logvar = self.encode(x)
        noise = torch.randn(len(x), self.latent) if eps is None else eps
        return [self.decode(mu + torch.sqrt(torch.exp(logvar)) * noise), mu, logvar]


# ---------------------------------------------------------------- interpolate

edit(
    "interpolate",
    "swapped_ends",
    {"(1 - t) * z0 + t * z1": "t * z0 + (1 - t) * z1"},
    hint="The way runs from z1 to z0.",
)
edit(
    "interpolate",
    "end_left_out",
    {"torch.linspace(0, 1, steps, dtype=z0.dtype)": "(torch.arange(steps, dtype=z0.dtype) / steps)"},
    hint="z1 is never reached: both ends are included.",
)
edit(
    "interpolate",
    "start_left_out",
    {"torch.linspace(0, 1, steps, dtype=z0.dtype)": "(torch.arange(1, steps + 1, dtype=z0.dtype) / steps)"},
    hint="z0 is missing: both ends are included, and one step alone gives z0.",
)
edit(
    "interpolate",
    "division_by_zero",
    {"torch.linspace(0, 1, steps, dtype=z0.dtype)": "(torch.arange(steps, dtype=z0.dtype) / (steps - 1))"},
    hint="One step alone gives nan: 0 / 0. It should give z0.",
)
edit(
    "interpolate",
    "one_step_too_many",
    {"torch.linspace(0, 1, steps, dtype=z0.dtype)": "torch.linspace(0, 1, steps + 1, dtype=z0.dtype)"},
    hint="There is one row too many: `steps` counts both ends.",
)
edit(
    "interpolate",
    "steps_as_columns",
    {"return (1 - t) * z0 + t * z1": "return ((1 - t) * z0 + t * z1).T"},
    hint="The result is transposed: one row a step.",
)
edit(
    "interpolate",
    "middle_for_one_step",
    {"    return (1": "    if steps == 1:\n        return (z0 + z1)[None] / 2\n    return (1"},
    hint="One step alone should give z0.",
)
edit(
    "interpolate",
    "not_between",
    {"(1 - t) * z0 + t * z1": "z0 + t * z1"},
    hint="The last row is not z1: go from z0 by a share of the difference.",
)
edit(
    "interpolate",
    "on_a_sphere",
    {"(1 - t) * z0 + t * z1": "(1 - t).sqrt() * z0 + t.sqrt() * z1"},
    hint="The steps are not equal, or leave the straight line.",
)
edit(
    "interpolate",
    "slow_at_the_ends",
    {"(1 - t) * z0 + t * z1": "z0 + t * t * (3 - 2 * t) * (z1 - z0)"},
    hint="The steps are not equal, or leave the straight line.",
)
edit(
    "interpolate",
    "list_of_codes",
    {"return (1 - t) * z0 + t * z1": "return list((1 - t) * z0 + t * z1)"},
    hint="The result is a list: one tensor of shape (steps, d) is expected.",
)


@variant("interpolate")
def by_stack(z0, z1, steps):
    rows = [z0 if steps == 1 else z0 + (z1 - z0) * i / (steps - 1) for i in range(steps)]
    return torch.stack(rows)


@variant("interpolate")
def by_lerp(z0, z1, steps):
    return torch.lerp(z0[None], z1[None], torch.linspace(0, 1, steps, dtype=z0.dtype).unsqueeze(1))


@variant("interpolate")
def by_outer(z0, z1, steps):
    t = torch.from_numpy(np.linspace(0, 1, steps)).to(z0.dtype)
    return z0 + torch.outer(t, z1 - z0)


# ---------------------------------------------------------------- wasserstein2

edit(
    "wasserstein2",
    "squared_distance",
    {".sum(dim=-1).sqrt()": ".sum(dim=-1)"},
    hint="This is the square of the distance.",
)
edit(
    "wasserstein2",
    "deviations_forgotten",
    {" + (std1 - std2).square()": ""},
    hint="Gaussians of equal mean and different spread have distance 0 here: the deviations count, too.",
)
edit("wasserstein2", "means_forgotten", {"(mu1 - mu2).square() + ": ""}, hint="The means do not count here.")
edit(
    "wasserstein2",
    "variances_compared",
    {"(std1 - std2)": "(std1.square() - std2.square())"},
    hint="The variances are compared: it is the difference of the standard deviations.",
)
edit(
    "wasserstein2",
    "deviations_added",
    {"(std1 - std2)": "(std1 + std2)"},
    hint="A Gaussian and itself should have distance 0.",
)
edit(
    "wasserstein2",
    "sum_over_all_axes",
    {"sum(dim=-1)": "sum()"},
    hint="There is one number for all pairs: sum over the last axis only.",
)
edit(
    "wasserstein2",
    "sum_over_first_axis",
    {"sum(dim=-1)": "sum(dim=0)"},
    hint="The sum runs over the first axis: it should be the last.",
)
edit(
    "wasserstein2",
    "mean_for_sum",
    {"sum(dim=-1)": "mean(dim=-1)"},
    hint="The distance depends on the number of dimensions in the wrong way: sum over them.",
)
edit(
    "wasserstein2",
    "city_block",
    {
        "((mu1 - mu2).square() + (std1 - std2).square()).sum(dim=-1).sqrt()": "((mu1 - mu2).abs() + (std1 - std2).abs()).sum(dim=-1)"
    },
    hint="Absolute differences are added: squares are, and a root is taken at the end.",
)
edit(
    "wasserstein2",
    "two_roots_added",
    {
        "((mu1 - mu2).square() + (std1 - std2).square()).sum(dim=-1).sqrt()": "(mu1 - mu2).square().sum(dim=-1).sqrt() + (std1 - std2).square().sum(dim=-1).sqrt()"
    },
    hint="Two distances are added: add their squares, then take one root.",
)
edit(
    "wasserstein2",
    "root_before_the_sum",
    {".sum(dim=-1).sqrt()": ".sqrt().sum(dim=-1)"},
    hint="The root is taken in each dimension: sum first.",
)


@variant("wasserstein2")
def by_one_long_vector(mu1, std1, mu2, std2):
    return torch.linalg.vector_norm(torch.cat([mu1 - mu2, std1 - std2], dim=-1), dim=-1)


@variant("wasserstein2")
def by_hypot(mu1, std1, mu2, std2):
    return torch.hypot((mu1 - mu2).norm(dim=-1), (std1 - std2).norm(dim=-1))


@variant("wasserstein2")
def by_bures(mu1, std1, mu2, std2):
    squares = (mu1 - mu2) ** 2 + std1**2 + std2**2 - 2 * torch.sqrt(std1**2 * std2**2)
    return torch.sqrt(squares.sum(-1).clamp(min=0))
