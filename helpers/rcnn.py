"""What stands around the parts of a Mask R-CNN: neck, sampling, box head, losses, and the order in which all is called.

The parts themselves (anchors, codes, matches, heads, alignment, ...) come from outside: `Parts`. The backbone is frozen
and runs once over every picture (`backbones.cache_features`); what is here starts from its maps.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import ops
from torchvision.models.detection import _utils, mask_rcnn, roi_heads, rpn
from torchvision.models.detection.anchor_utils import AnchorGenerator

from helpers.backbones import CHANNELS
from helpers.blood import Smear

STRIDE = 4  # of the map that proposals are made on and regions are cut from
BOX = 5  # bins along a side of a region for its class and box; the paper takes 7
MASK = 28  # entries along a side of a mask
_CODE_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of the second stage: codes of its small corrections get a spread of about 1


class Parts(NamedTuple):
    """The functions and classes that make it a Mask R-CNN; signatures as in notebook 04."""

    generate_anchors: Callable
    encode_boxes: Callable
    decode_boxes: Callable
    match_anchors: Callable
    RPNHead: Callable
    filter_proposals: Callable
    roi_align: Callable
    MaskHead: Callable
    mask_loss: Callable
    paste_masks: Callable


class Neck(nn.Module):
    """Maps of strides 4, 8, 16 and 32 as one of stride 4: each narrowed by a 1x1 convolution, enlarged, added up."""

    def __init__(self, width: int):
        super().__init__()
        self.narrow = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.GroupNorm(8, width))
            for channels in CHANNELS.values()
        )
        self.smooth = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(8, width))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        size = maps[0].shape[2:]
        parts = [narrow(one.float()) for narrow, one in zip(self.narrow, maps, strict=True)]
        total = parts[0] + sum(F.interpolate(part, size, mode="bilinear") for part in parts[1:])
        return F.relu(self.smooth(F.relu(total)))


class MaskRCNN(nn.Module):
    """Faster R-CNN with a mask head on cached features.

    Args:
        parts: see there.
        num_classes: without background.
        sizes, ratios: of the anchors, at each place of the map of stride 4.
        width: channels of the neck.

    Source: He et al., "Mask R-CNN", ICCV 2017. Here one map instead of a pyramid, and box codes that all classes share.
    """

    def __init__(
        self, parts: Parts, num_classes: int, sizes: Sequence[float], ratios: Sequence[float], width: int = 64
    ):
        super().__init__()
        self.parts, self.num_classes, self.sizes, self.ratios = parts, num_classes, sizes, ratios
        self.neck = Neck(width)
        self.rpn = parts.RPNHead(width, len(sizes) * len(ratios))
        self.box = nn.Sequential(nn.Linear(width * BOX**2, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU())
        self.classes = nn.Linear(256, num_classes + 1)  # the last one is background
        self.codes = nn.Linear(256, 4)
        self.mask = parts.MaskHead(width, num_classes)

    # ------------------------------------------------------------ first stage

    def anchors(self, features: Tensor) -> Tensor:
        """(A, 4) anchors of a map of stride 4, on its device."""
        size = tuple(features.shape[2:])
        return self.parts.generate_anchors(size, STRIDE, self.sizes, self.ratios).to(features.device)

    def score_anchors(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, A) and codes (N, A, 4) of all anchors, in the order of `anchors`."""
        logits, codes = self.rpn(features)
        number, kinds, height, width = logits.shape
        codes = codes.reshape(number, kinds, 4, height, width).permute(0, 3, 4, 1, 2)
        return logits.permute(0, 2, 3, 1).reshape(number, -1), codes.reshape(number, -1, 4)

    def decode(self, codes: Tensor, anchors: Tensor) -> Tensor:
        """Boxes; sizes change by no more than a factor of 62, so that nothing overflows."""
        codes = torch.cat([codes[:, :2], codes[:, 2:].clamp(-4.1, 4.1)], dim=1)
        return self.parts.decode_boxes(codes, anchors)

    def propose(
        self, features: Tensor, image_size: tuple[int, int], number: int = 150, iou_threshold: float = 0.7
    ) -> list[tuple[Tensor, Tensor]]:
        """For each picture (K, 4) proposals and their logits."""
        with torch.no_grad():
            anchors, (logits, codes) = self.anchors(features), self.score_anchors(features)
            return [
                self.parts.filter_proposals(
                    self.decode(code, anchors), logit, image_size, 600, number, iou_threshold, 2.0
                )
                for logit, code in zip(logits, codes, strict=True)
            ]

    def rpn_loss(self, features: Tensor, targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Is there an object, and how does its box differ from the anchor: of 64 anchors a picture."""
        anchors, (logits, codes) = self.anchors(features), self.score_anchors(features)
        objectness, shift = [], []
        for logit, code, target in zip(logits, codes, targets, strict=True):
            matches = self.parts.match_anchors(ops.box_iou(anchors, target["boxes"]), 0.7, 0.3)
            positive, negative = _sample(matches, 64, 32)
            truth = torch.cat([torch.ones_like(positive), torch.zeros_like(negative)]).float()
            chosen = torch.cat([positive, negative])
            objectness.append(F.binary_cross_entropy_with_logits(logit[chosen], truth))
            goal = self.parts.encode_boxes(target["boxes"][matches[positive]], anchors[positive])
            shift.append(F.smooth_l1_loss(code[positive], goal, reduction="sum", beta=1 / 9) / max(len(chosen), 1))
        return {"objectness": torch.stack(objectness).mean(), "proposals": torch.stack(shift).mean()}

    def first_losses(self, maps: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """As `losses`, of the first stage alone."""
        losses = self.rpn_loss(self.neck(maps), targets)
        return losses | {"total": sum(losses.values())}

    # ------------------------------------------------------------ second stage

    def cut(self, features: Tensor, boxes: Sequence[Tensor], size: int) -> Tensor:
        """Regions of all pictures, one after the other: (K, C, size, size)."""
        cut = [
            self.parts.roi_align(one, box, (size, size), 1 / STRIDE) for one, box in zip(features, boxes, strict=True)
        ]
        return torch.cat(cut)

    def judge(self, features: Tensor, boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits of classes (K, C + 1) and codes (K, 4) of regions."""
        hidden = self.box(self.cut(features, boxes, BOX).flatten(1))
        return self.classes(hidden), self.codes(hidden)

    def losses(
        self, maps: Sequence[Tensor], targets: Sequence[dict[str, Tensor]], image_size: tuple[int, int]
    ) -> dict[str, Tensor]:
        """All five losses and their `total`.

        Args:
            maps: of a batch, strides 4 to 32.
            targets: for each picture boxes (G, 4), labels (G,), masks (G, H, W).
            image_size: (H, W).
        """
        features = self.neck(maps)
        losses = self.rpn_loss(features, targets)
        proposals = [boxes for boxes, _ in self.propose(features, image_size)]
        chosen = [self._choose(boxes, target) for boxes, target in zip(proposals, targets, strict=True)]
        logits, codes = self.judge(features, [one["boxes"] for one in chosen])
        labels = torch.cat([one["labels"] for one in chosen])
        positive = labels < self.num_classes
        goal = torch.cat([one["codes"] for one in chosen])
        losses["classes"] = F.cross_entropy(logits, labels)
        losses["boxes"] = F.smooth_l1_loss(codes[positive], goal, reduction="sum", beta=1.0) / max(len(labels), 1)
        inside = [one["boxes"][: len(one["masks"])] for one in chosen]
        masks = self.mask(self.cut(features, inside, 14))
        losses["masks"] = self.parts.mask_loss(masks, labels[positive], torch.cat([one["masks"] for one in chosen]))
        losses["total"] = sum(losses.values())
        return losses

    @torch.no_grad()
    def _choose(self, proposals: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        """48 regions of a picture, at most 16 of them on objects, which come first, and what is to be said of them."""
        boxes = torch.cat([proposals, target["boxes"]])
        best, match = ops.box_iou(boxes, target["boxes"]).max(dim=1)
        positive, negative = _sample(torch.where(best >= 0.5, match, -1), 48, 16)
        match, chosen = match[positive], torch.cat([positive, negative])
        labels = torch.full((len(chosen),), self.num_classes, device=boxes.device)
        labels[: len(positive)] = target["labels"][match]
        codes = self.parts.encode_boxes(target["boxes"][match], boxes[positive])
        return {
            "boxes": boxes[chosen],
            "labels": labels,
            "codes": codes * codes.new_tensor(_CODE_WEIGHTS),
            "masks": cut_masks(target["masks"][match], boxes[positive]),
        }

    @torch.no_grad()
    def detect(
        self, maps: Sequence[Tensor], image_size: tuple[int, int], score_threshold: float = 0.05
    ) -> list[dict[str, Tensor]]:
        """For each picture boxes (K, 4), scores, labels and masks (K, 28, 28) of probabilities in the boxes."""
        features, found = self.neck(maps), []
        for one, (proposals, _) in zip(features, self.propose(features, image_size), strict=True):
            logits, codes = self.judge(one[None], [proposals])
            boxes = self.decode(codes / codes.new_tensor(_CODE_WEIGHTS), proposals)
            boxes = ops.clip_boxes_to_image(boxes, image_size)
            scores, labels = logits.softmax(dim=1)[:, :-1], torch.arange(self.num_classes, device=boxes.device)
            region, label = (scores > score_threshold).nonzero().T
            kept = ops.batched_nms(boxes[region], scores[region, label], label, 0.5)[:100]
            kept = kept[ops.remove_small_boxes(boxes[region[kept]], 1.0)]
            region, label = region[kept], labels[label[kept]]
            masks = self.mask(self.cut(one[None], [boxes[region]], 14)).sigmoid()
            masks = masks[torch.arange(len(label)), label]
            found.append({"boxes": boxes[region], "scores": scores[region, label], "labels": label, "masks": masks})
        return found


# ---------------------------------------------------------------- the parts as torchvision has them


def _generate_anchors(feature_size, stride, sizes, aspect_ratios) -> Tensor:
    """Sides are rounded to whole pixels."""
    generator = AnchorGenerator((tuple(sizes),), (tuple(aspect_ratios),))
    (anchors,) = generator.grid_anchors([feature_size], [[torch.tensor(stride), torch.tensor(stride)]])
    by_ratio = anchors.reshape(-1, len(aspect_ratios), len(sizes), 4)
    return by_ratio.transpose(1, 2).reshape(-1, 4) + stride / 2


def _match_anchors(iou, high=0.7, low=0.3) -> Tensor:
    touched = (iou > 0).any(dim=0).nonzero()[:, 0]
    if not len(touched):
        return torch.full((len(iou),), -1, device=iou.device)
    matches = _utils.Matcher(high, low, allow_low_quality_matches=True)(iou[:, touched].T)
    return torch.where(matches >= 0, touched[matches.clamp(min=0)], matches)


class _RPNHead(rpn.RPNHead):
    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        (logits,), (codes,) = super().forward([features])
        return logits, codes


def _filter_proposals(boxes, scores, image_size, pre_nms, post_nms, iou_threshold, min_size=1.0):
    """It takes the best `pre_nms` before it clips them."""
    limits = [{"training": number, "testing": number} for number in (pre_nms, post_nms)]
    network = rpn.RegionProposalNetwork(AnchorGenerator(), None, 0.7, 0.3, 64, 0.5, *limits, iou_threshold)
    network.min_size = min_size
    found = network.filter_proposals(boxes[None], scores[None], [image_size], [len(boxes)])
    return found[0][0], found[1][0].logit()


def _roi_align(features, boxes, output_size, spatial_scale, sampling_ratio=2) -> Tensor:
    return ops.roi_align(features[None], [boxes], output_size, spatial_scale, sampling_ratio, aligned=True)


def _mask_head(in_channels: int, num_classes: int) -> nn.Module:
    heads = mask_rcnn.MaskRCNNHeads(in_channels, (64, 64), 1)
    return nn.Sequential(heads, mask_rcnn.MaskRCNNPredictor(64, 64, num_classes))


def _mask_loss(logits, labels, targets) -> Tensor:
    side = logits.shape[-1]
    whole = logits.new_tensor([-0.5, -0.5, side - 0.5, side - 0.5]).expand(len(labels), 4)
    numbers = torch.arange(len(labels), device=labels.device)
    return roi_heads.maskrcnn_loss(logits, [whole], [targets], [labels], [numbers])


def _paste_masks(masks, boxes, image_size, threshold=0.5) -> Tensor:
    """Boxes are widened by a pixel of the mask and rounded."""
    return roi_heads.paste_masks_in_image(masks[:, None], boxes, image_size)[:, 0] >= threshold


_CODER = _utils.BoxCoder((1.0, 1.0, 1.0, 1.0))
TORCHVISION = Parts(
    _generate_anchors,
    _CODER.encode_single,
    _CODER.decode_single,
    _match_anchors,
    _RPNHead,
    _filter_proposals,
    _roi_align,
    _mask_head,
    _mask_loss,
    _paste_masks,
)


def assemble(**own: Callable) -> Parts:
    """Parts of one's own, as far as they do on a small example what torchvision's do; else torchvision's. Says which.

    Args:
        own: functions and classes by their names in `Parts`; torchvision's for those that are left out.
    """
    unfit = []
    for name, part in own.items():
        try:
            with torch.no_grad():
                results = [_try(name, some) for some in (part, getattr(TORCHVISION, name))]
            fits = all(torch.allclose(a, b, atol=1e-3) for a, b in zip(*results, strict=True))
        except Exception:  # whatever goes wrong in a student's function, it is not used
            fits = False
        if not fits:
            unfit.append(name)
    print(f"{len(own) - len(unfit)} parts are yours" + (f"; torchvision's: {', '.join(unfit)}" if unfit else "") + ".")
    return TORCHVISION._replace(**{name: part for name, part in own.items() if name not in unfit})


def _try(name: str, part: Callable) -> tuple[Tensor, ...]:
    """What a part makes of a small example; of networks only the shapes."""
    boxes = torch.tensor([[2.0, 3.0, 12.0, 9.0], [5.0, 5.0, 25.0, 17.0], [20.0, 0.0, 31.0, 23.0]])
    anchors = boxes + torch.tensor([1.0, -2.0, 4.0, 3.0])
    scores = torch.tensor([0.5, -1.0, 2.0])
    ramp = torch.arange(48.0).reshape(1, 6, 8)
    masks = torch.tensor([[[1.0, 1.0, 0.0, 0.0]] * 4] * 3)
    if name in ("RPNHead", "MaskHead"):
        found = part(8, 3)(torch.rand(2, 8, 14, 14))
        return tuple(torch.tensor(one.shape) for one in (found if isinstance(found, tuple) else (found,)))
    arguments = {
        "generate_anchors": ((2, 3), 8, (6.0, 16.0), (1.0,)),
        "encode_boxes": (boxes, anchors),
        "decode_boxes": (boxes / 40, anchors),
        "match_anchors": (torch.tensor([[0.8, 0.1], [0.5, 0.2], [0.1, 0.4]]), 0.7, 0.3),
        "filter_proposals": (boxes, scores, (24, 32), 3, 2, 0.7, 2.0),
        "roi_align": (ramp, boxes, (2, 3), 0.25),
        "mask_loss": (2 * masks[:, None] - ramp[:, :4, :4], torch.zeros(3, dtype=torch.long), masks),
        "paste_masks": (masks, boxes.round(), (24, 32)),
    }[name]
    found = part(*arguments)
    if name == "paste_masks":  # torchvision's differs by pixels at the rim
        return (found.flatten(1).sum(dim=1).div(100).round(),)
    return found if isinstance(found, tuple) else (found,)


# ---------------------------------------------------------------- sampling, targets, records


def _sample(matches: Tensor, number: int, positives: int) -> tuple[Tensor, Tensor]:
    """Random indices of positive (>= 0) and of background (-1) entries: at most `number`, at most so many positive."""
    positive, negative = (matches >= 0).nonzero()[:, 0], (matches == -1).nonzero()[:, 0]
    positive = positive[torch.randperm(len(positive), device=positive.device)[:positives]]
    rest = number - len(positive)
    return positive, negative[torch.randperm(len(negative), device=negative.device)[:rest]]


def cut_masks(masks: Tensor, boxes: Tensor) -> Tensor:
    """(K, 28, 28) of 0 and 1: what masks (K, H, W) look like in boxes (K, 4)."""
    index = torch.arange(len(boxes), device=boxes.device, dtype=boxes.dtype)[:, None]
    cut = ops.roi_align(masks[:, None].float(), torch.cat([index, boxes], dim=1), MASK, 1.0, 2, aligned=True)
    return (cut[:, 0] >= 0.5).float()


def targets_of(smears: Sequence[Smear], device: torch.device | str = "cpu") -> list[dict[str, Tensor]]:
    """Boxes, labels and masks of pictures as tensors."""
    return [
        {
            "boxes": torch.from_numpy(smear.boxes).to(device),
            "labels": torch.from_numpy(smear.labels).to(device),
            "masks": torch.from_numpy(smear.masks).to(device),
        }
        for smear in smears
    ]


def encode_mask(mask: np.ndarray) -> dict:
    """A (H, W) bool mask in COCO's run-length encoding."""
    from pycocotools import mask as coco_mask

    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


def as_coco(smears: Sequence[Smear], classes: Sequence[str]) -> dict:
    """Ground truth with masks in COCO's format; image k is the k-th picture, category ids are labels."""
    annotations = [
        {
            "id": 0,
            "image_id": image,
            "category_id": int(label),
            "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
            "area": int(mask.sum()),
            "iscrowd": 0,
            "segmentation": encode_mask(mask),
        }
        for image, smear in enumerate(smears)
        for (x1, y1, x2, y2), label, mask in zip(smear.boxes, smear.labels, smear.masks, strict=True)
    ]
    return {
        "images": [
            {"id": image, "height": smear.image.shape[0], "width": smear.image.shape[1]}
            for image, smear in enumerate(smears)
        ],
        "categories": [{"id": label, "name": name} for label, name in enumerate(classes)],
        "annotations": [{**annotation, "id": number} for number, annotation in enumerate(annotations, 1)],
    }


def as_records(found: Sequence[dict[str, Tensor]], masks: Sequence[Tensor]) -> list[dict]:
    """Detections in COCO's format.

    Args:
        found: for each picture boxes (K, 4), scores (K,), labels (K,).
        masks: for each picture (K, H, W) bool.
    """
    records = []
    for image, (one, own) in enumerate(zip(found, masks, strict=True)):
        boxes, scores, labels = (one[name].cpu().tolist() for name in ("boxes", "scores", "labels"))
        for (x1, y1, x2, y2), score, label, mask in zip(boxes, scores, labels, own.cpu().numpy(), strict=True):
            shape = {"bbox": [x1, y1, x2 - x1, y2 - y1], "segmentation": encode_mask(mask)}
            records.append({"image_id": image, "category_id": label, "score": score, **shape})
    return records
