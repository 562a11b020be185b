"""What the steps from R-CNN to Faster R-CNN cost, on one picture with untrained heads: only the time counts."""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision import ops

from helpers.backbones import CHANNELS, EfficientNetLite0

PROPOSALS, FEWER = 2000, 300  # of a separate method; of an RPN
STRIDE = 16  # of the map that regions are cut from


class Steps(NamedTuple):
    """Milliseconds of each part, and what the later parts start from."""

    every_region: float  # the whole CNN on each of 2000 regions, cut out of the picture: measured on 8
    once: float  # the CNN on the whole picture, up to the map of stride 16
    propose: float  # a region proposal network on that map
    heads: float  # 2000 regions pooled from the map, and a small head on each
    fewer_heads: float  # the same for 300
    features: Tensor  # (1, 112, h, w)
    regions: Tensor  # (2000, 5): 0, then the corners in pixels


@torch.no_grad()
def milliseconds(run: Callable[[], Tensor], repeats: int = 2) -> float:
    """Shortest of a few runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run().cpu()
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


def measure(backbone: EfficientNetLite0, picture: Tensor) -> Steps:
    """Measure all parts on a picture (1, 3, H, W) on the backbone's device."""
    device = picture.device
    cut = torch.rand(8, 3, 224, 224, device=device)
    corners = torch.rand(PROPOSALS, 2, device=device) * 100
    regions = torch.cat([torch.zeros(PROPOSALS, 1, device=device), corners, corners + 50], dim=1)
    with torch.no_grad():
        features = backbone(picture, (STRIDE,))[0]
    depth = CHANNELS[STRIDE]
    rpn = nn.Sequential(nn.Conv2d(depth, depth, 3, padding=1), nn.ReLU(), nn.Conv2d(depth, 15 * 5, 1))
    head = nn.Sequential(nn.Flatten(), nn.Linear(depth * 49, 1024), nn.ReLU(), nn.Linear(1024, 4 * 5))
    rpn, head = rpn.to(device), head.to(device)
    return Steps(
        milliseconds(lambda: backbone.classify(cut)) * PROPOSALS / len(cut),
        milliseconds(lambda: backbone(picture, (STRIDE,))[0]),
        milliseconds(lambda: rpn(features)),
        milliseconds(lambda: head(ops.roi_pool(features, regions, 7, 1 / STRIDE))),
        milliseconds(lambda: head(ops.roi_pool(features, regions[:FEWER], 7, 1 / STRIDE))),
        features,
        regions,
    )
