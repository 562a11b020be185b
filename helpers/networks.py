"""Small networks to compare with: no task's answer."""

from torch import nn


def hourglass(in_channels: int, num_classes: int, base: int = 8, depth: int = 3) -> nn.Sequential:
    """An encoder and a decoder with nothing between them but the smallest map.

    Strided convolutions halve the maps `depth` times, transposed ones double them again; channels go the other way.

    Args:
        in_channels: of the images (N, in_channels, H, W); H and W are multiples of 2**depth.
        num_classes: of the logits (N, num_classes, H, W).
        base: channels of the first map.
    """
    widths = [base * 2**level for level in range(depth + 1)]
    layers = [nn.Conv2d(in_channels, base, 3, padding=1), nn.ReLU()]
    for wide, narrow in zip(widths, widths[1:], strict=False):
        layers += [nn.Conv2d(wide, narrow, 4, stride=2, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(narrow, narrow, 3, padding=1), nn.ReLU()]
    for narrow, wide in zip(widths[:0:-1], widths[-2::-1], strict=False):
        layers += [nn.ConvTranspose2d(narrow, wide, 4, stride=2, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(base, num_classes, 1))


def dilated(in_channels: int, num_classes: int, width: int = 12, dilations: tuple[int, ...] = (1, 2, 4, 2, 1)):
    """Convolutions that see far without any pooling, because they leave out pixels in between.

    Args:
        in_channels, num_classes: images (N, in_channels, H, W) become logits (N, num_classes, H, W).
        width: channels of all maps between.

    Source: Yu and Koltun, "Multi-scale context aggregation by dilated convolutions", 2016.
    """
    layers, before = [], in_channels
    for dilation in dilations:
        layers += [nn.Conv2d(before, width, 3, padding=dilation, dilation=dilation), nn.ReLU()]
        before = width
    return nn.Sequential(*layers, nn.Conv2d(width, num_classes, 1))
