"""Nets for comparisons and applications of autoencoders."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class DenseEnsemble(nn.Module):
    """Fully connected nets of one shape side by side, one a seed: batched matrix products train them all at once.

    Args:
        sizes: width of the input, of every layer, and of the output.
        activation: after each layer but those in `plain`.
        seeds: of the initial weights, one a net.
        plain: indices of the layers without activation; negative ones count from the end.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: Callable[[Tensor], Tensor],
        seeds: Sequence[int],
        plain: Sequence[int] = (-1,),
    ):
        super().__init__()
        pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
        self.activation, self.plain = activation, {index % len(pairs) for index in plain}
        drawn = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            drawn.append([(2 * torch.rand(a + 1, b, generator=generator) - 1) / a**0.5 for a, b in pairs])
        # The last row of each matrix is the bias; the range is that of torch's own Linear layers.
        self.weights = nn.ParameterList([torch.stack(layer) for layer in zip(*drawn, strict=True)])

    def layers(self, x: Tensor) -> list[Tensor]:
        """(N, D) -> what each layer puts out, each (S, N, width)."""
        found = [x.expand(len(self.weights[0]), *x.shape)]
        for index, weight in enumerate(self.weights):
            value = torch.baddbmm(weight[:, -1:], found[-1], weight[:, :-1])
            found.append(value if index in self.plain else self.activation(value))
        return found[1:]

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (S, N, width of the output)."""
        return self.layers(x)[-1]


class ConvAutoencoder(nn.Module):
    """Autoencoder of 8 x 8 gray images: convolutions down to a code, and back up.

    Args:
        code: length of the code.
        channels: of the first convolution; the second has twice as many.
    """

    def __init__(self, code: int, channels: int = 16):
        super().__init__()
        c = channels
        self.encode = nn.Sequential(
            *(nn.Conv2d(1, c, 3, padding=1), nn.GELU(), nn.Conv2d(c, 2 * c, 3, stride=2, padding=1), nn.GELU()),
            *(nn.Flatten(), nn.Linear(2 * c * 16, code)),
        )
        self.decode = nn.Sequential(
            *(nn.Linear(code, 2 * c * 16), nn.GELU(), nn.Unflatten(1, (2 * c, 4, 4))),
            *(nn.ConvTranspose2d(2 * c, c, 4, stride=2, padding=1), nn.GELU(), nn.Conv2d(c, 1, 3, padding=1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 8, 8) -> the reconstruction, of the same shape."""
        return self.decode(self.encode(x))


class DepthNet(nn.Module):
    """Encoder-decoder from a colour image to its depth; its code is a vector, so every pixel can look everywhere.

    Args:
        size: rows and columns of the images, multiples of 8.
        code: length of the code.
        channels: of the first convolution; each of the next two has twice as many.
        near, far: depths lie between these, in metres.
    """

    def __init__(self, size: tuple[int, int], code: int = 128, channels: int = 16, near: float = 2, far: float = 13):
        super().__init__()
        c, (rows, columns) = channels, (size[0] // 8, size[1] // 8)
        self.near, self.far = near, far

        def down(inputs: int, outputs: int) -> list[nn.Module]:
            return [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.GroupNorm(4, outputs), nn.GELU()]

        def up(inputs: int, outputs: int) -> list[nn.Module]:
            return [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.GroupNorm(4, outputs), nn.GELU()]

        self.encode = nn.Sequential(
            *(*down(3, c), *down(c, 2 * c), *down(2 * c, 4 * c), nn.Flatten()),
            nn.Linear(4 * c * rows * columns, code),
        )
        self.decode = nn.Sequential(
            *(nn.Linear(code, 4 * c * rows * columns), nn.GELU(), nn.Unflatten(1, (4 * c, rows, columns))),
            *(*up(4 * c, 2 * c), *up(2 * c, c), nn.ConvTranspose2d(c, 1, 4, stride=2, padding=1)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, H, W) depth in metres."""
        share = torch.sigmoid(self.decode(self.encode(images - 0.5)))[:, 0]
        return self.near + (self.far - self.near) * share
