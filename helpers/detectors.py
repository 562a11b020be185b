"""What stands around a detector on a grid: a head for cached features, pictures as batches, results as records."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.blood import CLASSES, Smear


class ConvolutionalHead(nn.Module):
    """Predictions of each cell from the features around it: the same small network for every cell, as in YOLO v2.

    Args:
        in_channels: of the features.
        S: cells along each side; the features have as many, or a multiple.
        B, C: boxes in a cell, classes.
        width: channels inside.
    """

    def __init__(self, in_channels: int, S: int, B: int, C: int, width: int = 128):
        super().__init__()
        self.S, self.B, self.C = S, B, C
        self.layers = nn.Sequential(
            nn.BatchNorm2d(in_channels),
            *(nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            nn.Conv2d(width, 5 * B + C, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, in_channels, k S, k S) features of any float dtype to (N, S, S, 5 B + C)."""
        features = F.avg_pool2d(features.float(), features.shape[-1] // self.S)
        return self.layers(features).permute(0, 2, 3, 1)


def start_with_average_boxes(head: ConvolutionalHead) -> ConvolutionalHead:
    """Make an untrained head answer about the same everywhere: a box in the middle of its cell, a fifth of the picture.

    Args:
        head: its last layer is changed in place.

    Returns:
        The head.
    """
    last = head.layers[-1]
    start = [0.5, 0.5, 0.2, 0.2, 0.2] * head.B + [1 / head.C] * head.C
    with torch.no_grad():
        last.weight.mul_(0.3)
        last.bias.copy_(torch.tensor(start))
    return head


class Known(nn.Module):
    """A detector that knows its answers, to try out what comes after the network.

    It expects images whose values are all k and answers with prediction k; in train mode it is wrong, as a network
    with dropout would be.

    Args:
        predictions: (K, S, S, 5 B + C).
        B, C: boxes in a cell, classes.
    """

    def __init__(self, predictions: Tensor, B: int, C: int):
        super().__init__()
        self.S, self.B, self.C = predictions.shape[1], B, C
        self.predictions = nn.Parameter(predictions.clone())

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, S, S, 5 B + C)."""
        found = self.predictions[images[:, 0, 0, 0].long()]
        return found.flip(1) if self.training else found


def fuse(maps: Sequence[Tensor]) -> Tensor:
    """Feature maps of strides 8, 16 and 32 as one of stride 16.

    Of the finest map the four features in a cell become channels, the coarsest is repeated: nothing is averaged away.

    Args:
        maps: (N, c1, 2h, 2w), (N, c2, h, w), (N, c3, h/2, w/2).

    Returns:
        (N, 4 c1 + c2 + c3, h, w) in the dtype of the maps.
    """
    fine, middle, coarse = maps
    coarse = coarse.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    return torch.cat([F.pixel_unshuffle(fine, 2), middle, coarse], dim=1)


def batch(smears: Sequence[Smear], side: int) -> Tensor:
    """Pictures squeezed to squares, as YOLO wants them: (N, 3, side, side) float32 in [0, 1]."""
    import cv2

    images = [cv2.resize(smear.image, (side, side), interpolation=cv2.INTER_AREA) for smear in smears]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def relative_boxes(smear: Smear) -> Tensor:
    """(N, 4) float32 corner boxes as shares of the picture's width and height."""
    height, width = smear.image.shape[:2]
    return torch.from_numpy(smear.boxes / np.float32([width, height, width, height]))


def as_coco(smears: Sequence[Smear]) -> dict:
    """Ground truth in COCO's format; image k is the k-th smear, category ids are labels."""
    annotations = []
    for image, smear in enumerate(smears):
        for (x1, y1, x2, y2), label in zip(smear.boxes.tolist(), smear.labels.tolist(), strict=True):
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
            annotations.append({"id": len(annotations) + 1, "image_id": image, "category_id": label, **box})
    return {
        "images": [{"id": image} for image in range(len(smears))],
        "categories": [{"id": label, "name": name} for label, name in enumerate(CLASSES)],
        "annotations": annotations,
    }


def as_records(found: Iterable[dict[str, Tensor]], smears: Sequence[Smear]) -> list[dict]:
    """Detections in COCO's format.

    Args:
        found: for each smear boxes (K, 4), corners as shares of the picture, scores (K,) and labels (K,).
        smears: the pictures, for their sizes.
    """
    records = []
    for image, (detections, smear) in enumerate(zip(found, smears, strict=True)):
        height, width = smear.image.shape[:2]
        boxes = detections["boxes"].double() * torch.tensor([width, height, width, height])
        for (x1, y1, x2, y2), score, label in zip(
            boxes.tolist(), detections["scores"].tolist(), detections["labels"].tolist(), strict=True
        ):
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
            records.append({"image_id": image, "category_id": int(label), **box})
    return records
