"""Answers to the tasks of 04_mask_rcnn: wrong ones that students write, and right ones that look different from ours."""

# ruff: noqa: E501, F821 (an edit is our text and its change, on a line each; answers use every name of the notebook)

from grading.audit import edit, variant

# ---------------------------------------------------------------- generate_anchors

edit(
    "generate_anchors",
    "ratio_upside_down",
    {"[size / ratio**0.5, size * ratio**0.5]": "[size * ratio**0.5, size / ratio**0.5]"},
    hint="Width and height look exchanged: the ratio is height / width.",
)
edit(
    "generate_anchors",
    "no_half_stride",
    {"(torch.arange(height, dtype=torch.float32) + 0.5)": "torch.arange(height, dtype=torch.float32)",
     "(torch.arange(width, dtype=torch.float32) + 0.5)": "torch.arange(width, dtype=torch.float32)"},
    hint="All anchors lie half a stride too far up and left: a place of the map stands for the middle of its square.",
)  # fmt: skip
edit(
    "generate_anchors",
    "rows_and_columns_exchanged",
    {"torch.stack([columns, rows], dim=-1)": "torch.stack([rows, columns], dim=-1)"},
    hint="x and y of the centres look exchanged. Does the second anchor's place lie right of the first, or below it?",
)
edit(
    "generate_anchors",
    "columns_first",
    {"torch.stack([columns, rows], dim=-1)": "torch.stack([columns, rows], dim=-1).transpose(0, 1)"},
    hint="The anchors are right, their order is not: row by row.",
)
edit(
    "generate_anchors",
    "ratio_major",
    {"for size in sizes for ratio in aspect_ratios": "for ratio in aspect_ratios for size in sizes"},
    hint="The anchors are right, their order at a place is not: all ratios of one size come before the next size.",
)
edit(
    "generate_anchors",
    "whole_size_for_half",
    {".reshape(1, -1, 2) / 2": ".reshape(1, -1, 2)"},
    hint="Anchors are twice as wide and high as they should be: from the centre it is half a side to the edge.",
)
edit(
    "generate_anchors",
    "ratio_without_root",
    {"[size / ratio**0.5, size * ratio**0.5]": "[size, size * ratio]"},
    hint="The area changes with the ratio. It should stay size squared.",
)
edit(
    "generate_anchors",
    "rounded",
    {
        "half = torch.tensor(sides, dtype=torch.float32).reshape(1, -1, 2) / 2": "half = (torch.tensor(sides, dtype=torch.float32).reshape(1, -1, 2) / 2).round()"
    },
    hint="Coordinates look rounded; nothing is to be rounded.",
)
edit(
    "generate_anchors",
    "by_kind_of_anchor",
    {
        "return torch.cat([centres - half, centres + half], dim=-1)": "return torch.cat([centres - half, centres + half], dim=-1).transpose(0, 1)"
    },
    hint="The anchors are right, their order is not: all anchors of one place stand together.",
)


@variant("generate_anchors")
def anchors_with_loops(feature_size, stride, sizes, aspect_ratios):
    found = []
    for row in range(feature_size[0]):
        for column in range(feature_size[1]):
            x, y = (column + 0.5) * stride, (row + 0.5) * stride
            for size in sizes:
                for ratio in aspect_ratios:
                    h = size * np.sqrt(ratio)
                    w = size**2 / h
                    found.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    return torch.tensor(np.array(found), dtype=torch.float32).reshape(-1, 4)


@variant("generate_anchors")
def anchors_in_double(feature_size, stride, sizes, aspect_ratios):
    sizes, ratios = torch.as_tensor(sizes, dtype=torch.float64), torch.as_tensor(aspect_ratios, dtype=torch.float64)
    w = (sizes[:, None] / ratios.sqrt()).flatten()
    h = (sizes[:, None] * ratios.sqrt()).flatten()
    base = torch.stack([-w, -h, w, h], 1) / 2
    place = torch.arange(feature_size[0] * feature_size[1])
    x, y = (place % feature_size[1] + 0.5) * stride, (place // feature_size[1] + 0.5) * stride
    return (torch.stack([x, y, x, y], 1)[:, None] + base).reshape(-1, 4).float()


@variant("generate_anchors")
def anchors_with_numpy(feature_size, stride, sizes, aspect_ratios):
    y, x = (np.mgrid[: feature_size[0], : feature_size[1]] + 0.5) * stride
    parts = []
    for size in sizes:
        for ratio in aspect_ratios:
            w, h = size / np.sqrt(ratio), size * np.sqrt(ratio)
            parts.append(np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=-1))
    return torch.from_numpy(np.stack(parts, axis=2).astype(np.float32).reshape(-1, 4))


# ---------------------------------------------------------------- encode_boxes

edit(
    "encode_boxes",
    "shift_of_corners",
    {"(boxes[:, :2] + boxes[:, 2:]) / 2 - (anchors[:, :2] + anchors[:, 2:]) / 2": "boxes[:, :2] - anchors[:, :2]"},
    hint="The shift looks like that of the corners. It belongs to the centres.",
)
edit(
    "encode_boxes",
    "shift_in_pixels",
    {"shift / anchor_sizes": "shift"},
    hint="The shift is in pixels. In which unit does it mean the same for large and small anchors?",
)
edit(
    "encode_boxes",
    "shift_in_sizes_of_the_box",
    {"shift / anchor_sizes": "shift / sizes"},
    hint="The shift is divided by the sides of the box. When decoding they are not known yet.",
)
edit(
    "encode_boxes",
    "no_logarithm",
    {"torch.log(sizes / anchor_sizes)": "sizes / anchor_sizes"},
    hint="A box as large as its anchor should give tw = th = 0.",
)
edit(
    "encode_boxes",
    "logarithm_of_the_inverse",
    {"torch.log(sizes / anchor_sizes)": "torch.log(anchor_sizes / sizes)"},
    hint="tw and th have the wrong sign: a box larger than its anchor has positive ones.",
)
edit(
    "encode_boxes",
    "logarithm_to_base_2",
    {"torch.log(sizes": "torch.log2(sizes"},
    hint="tw and th are too large by one factor: which logarithm does exp undo?",
)
edit(
    "encode_boxes",
    "box_minus_anchor_reversed",
    {"shift / anchor_sizes": "-shift / anchor_sizes"},
    hint="The shift has the wrong sign: from the anchor to the box.",
)
edit(
    "encode_boxes",
    "weights_of_fast_rcnn",
    {"shift / anchor_sizes": "10 * shift / anchor_sizes"},
    hint="The shifts look multiplied by a constant. Here there are no weights.",
)


@variant("encode_boxes")
def encode_number_by_number(boxes, anchors):
    found = torch.empty_like(boxes)
    for k, (box, anchor) in enumerate(zip(boxes, anchors, strict=True)):
        w, h, wa, ha = box[2] - box[0], box[3] - box[1], anchor[2] - anchor[0], anchor[3] - anchor[1]
        found[k, 0] = (box[0] + w / 2 - anchor[0] - wa / 2) / wa
        found[k, 1] = (box[1] + h / 2 - anchor[1] - ha / 2) / ha
        found[k, 2], found[k, 3] = torch.log(w) - torch.log(wa), torch.log(h) - torch.log(ha)
    return found


@variant("encode_boxes")
def encode_by_conversion(boxes, anchors):
    b, a = ops.box_convert(boxes, "xyxy", "cxcywh"), ops.box_convert(anchors, "xyxy", "cxcywh")
    return torch.cat([(b[:, :2] - a[:, :2]) / a[:, 2:], (b[:, 2:] / a[:, 2:]).log()], 1)


@variant("encode_boxes")
def encode_in_double(boxes, anchors):
    b, a = boxes.double(), anchors.double()
    sizes, base = b[:, 2:] - b[:, :2], a[:, 2:] - a[:, :2]
    middle = (b[:, 2:] + b[:, :2] - a[:, 2:] - a[:, :2]) / 2
    return torch.cat([middle / base, (sizes / base).log()], 1).to(boxes.dtype)


# ---------------------------------------------------------------- decode_boxes

edit(
    "decode_boxes",
    "shift_read_as_pixels",
    {"deltas[:, :2] * anchor_sizes": "deltas[:, :2]"},
    hint="Shifts look taken as pixels; they are shares of the anchor's sides.",
)
edit(
    "decode_boxes",
    "from_the_corner",
    {"(anchors[:, :2] + anchors[:, 2:]) / 2": "anchors[:, :2]"},
    hint="Boxes are placed around the anchor's corner instead of its centre.",
)
edit(
    "decode_boxes",
    "no_exponential",
    {"torch.exp(deltas[:, 2:])": "deltas[:, 2:]"},
    hint="Deltas of 0 should give the anchor itself; yours gives boxes without size.",
)
edit(
    "decode_boxes",
    "one_plus",
    {"torch.exp(deltas[:, 2:])": "(1 + deltas[:, 2:])"},
    hint="Sizes are right for small deltas only. What undoes a logarithm?",
)
edit(
    "decode_boxes",
    "whole_sizes",
    {"centres - sizes / 2, centres + sizes / 2": "centres - sizes, centres + sizes"},
    hint="Boxes are twice as wide and high as they should be.",
)
edit(
    "decode_boxes",
    "returns_centres",
    {"centres - sizes / 2, centres + sizes / 2": "centres, sizes"},
    hint="The result looks like centres and sizes; corners are wanted.",
)
edit(
    "decode_boxes",
    "sizes_exchanged",
    {"torch.exp(deltas[:, 2:])": "torch.exp(deltas[:, [3, 2]])"},
    hint="tw and th look exchanged.",
)
edit(
    "decode_boxes",
    "grows_to_the_right",
    {"centres - sizes / 2, centres + sizes / 2": "centres - anchor_sizes / 2, centres - anchor_sizes / 2 + sizes"},
    hint="Boxes grow to the right and downwards. They should grow around their centre.",
)


@variant("decode_boxes")
def decode_number_by_number(deltas, anchors):
    found = torch.empty_like(anchors)
    for k in range(len(anchors)):
        x1, y1, x2, y2 = anchors[k]
        w, h = (x2 - x1) * deltas[k, 2].exp(), (y2 - y1) * deltas[k, 3].exp()
        x, y = (x1 + x2) / 2 + deltas[k, 0] * (x2 - x1), (y1 + y2) / 2 + deltas[k, 1] * (y2 - y1)
        found[k, 0], found[k, 1], found[k, 2], found[k, 3] = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    return found


@variant("decode_boxes")
def decode_by_conversion(deltas, anchors):
    a = ops.box_convert(anchors, "xyxy", "cxcywh")
    moved = torch.cat([a[:, :2] + deltas[:, :2] * a[:, 2:], a[:, 2:] * deltas[:, 2:].exp()], 1)
    return ops.box_convert(moved, "cxcywh", "xyxy")


@variant("decode_boxes")
def decode_from_the_corner(deltas, anchors):
    base = anchors[:, 2:] - anchors[:, :2]
    sizes = base * deltas[:, 2:].exp()
    first = anchors[:, :2] + (0.5 + deltas[:, :2]) * base - sizes / 2
    return torch.cat([first, first + sizes], 1)


# ---------------------------------------------------------------- match_anchors

edit(
    "match_anchors",
    "no_rescue",
    {"positive | rescued": "positive"},
    hint="An object whose best anchor stays below the threshold gets no anchor at all.",
)
edit(
    "match_anchors",
    "rescued_by_one_only",
    {
        "((iou == highest) & (iou > 0)).any(dim=1)": "torch.zeros_like(positive).scatter(0, iou.argmax(dim=0), highest > 0)"
    },
    hint="Several anchors may tie for an object's highest IoU. All of them are rescued.",
)
edit(
    "match_anchors",
    "rescued_without_overlap",
    {"((iou == highest) & (iou > 0))": "(iou == highest)"},
    hint="An object that no anchor overlaps makes anchors positive. A highest IoU of 0 rescues nobody.",
)
edit(
    "match_anchors",
    "rescued_for_the_rescuer",
    {"return torch.where(positive | rescued, own, matches)":
     "result = torch.where(positive, own, matches)\n    for g in range(iou.shape[1]):\n        result[(iou[:, g] == highest[g]) & (iou[:, g] > 0)] = g\n    return result"},
    hint="A rescued anchor answers for the wrong object. Whose IoU with that anchor is the highest?",
)  # fmt: skip
edit(
    "match_anchors",
    "nothing_ignored",
    {"matches[best >= low] = -2": "matches[best < 0] = -2"},
    hint="Between the two thresholds there should be anchors that are ignored.",
)
edit(
    "match_anchors",
    "signs_exchanged",
    {"-1, dtype": "-2, dtype", "= -2": "= -1", "return matches": "return matches + 1"},
    hint="-1 and -2 look exchanged: which means background?",
)
edit(
    "match_anchors",
    "high_excluded",
    {"best >= high": "best > high"},
    hint="An anchor whose IoU equals `high` is positive.",
)
edit(
    "match_anchors",
    "low_is_background",
    {"best >= low": "best > low"},
    hint="An anchor whose IoU equals `low` is not below it.",
)
edit(
    "match_anchors",
    "ignored_are_never_rescued",
    {"positive | rescued": "positive | (rescued & (best < low))"},
    hint="The rescue holds for every anchor that reaches an object's highest IoU, also between the thresholds.",
)
edit(
    "match_anchors",
    "without_objects_ignored",
    {"return matches\n": "return matches - 1\n"},
    hint="Without objects every anchor is background.",
)
edit(
    "match_anchors",
    "rescued_from_low_only",
    {"(iou > 0)": "(iou >= low)"},
    hint="The rescue does not ask for a least IoU: anything above 0 will do.",
)


@variant("match_anchors")
def match_with_loops(iou, high=0.7, low=0.3):
    table = iou.tolist()
    number = iou.shape[1]
    best_of = [max((row[g] for row in table), default=0) for g in range(number)]
    found = []
    for row in table:
        best = max(row, default=0.0)
        if any(row[g] == best_of[g] and row[g] > 0 for g in range(number)) or (
            row and torch.tensor(best, dtype=iou.dtype) >= high
        ):
            found.append(row.index(best))
        else:
            found.append(-1 if not row or best < low else -2)
    return torch.tensor(found, dtype=torch.long)


@variant("match_anchors")
def match_with_where(iou, high=0.7, low=0.3):
    if iou.shape[0] == 0 or iou.shape[1] == 0:
        return torch.full((iou.shape[0],), -1)
    own = iou.argmax(dim=1)
    best = iou.amax(dim=1)
    result = torch.where(best < low, -1, torch.where(best < high, -2, own))
    for g in range(iou.shape[1]):
        top = iou[:, g].amax()
        if top > 0:
            which = (iou[:, g] == top).nonzero()[:, 0]
            result[which] = own[which]
    return result


@variant("match_anchors")
def match_with_numpy(iou, high=0.7, low=0.3):
    table = iou.numpy()
    matches = np.full(len(table), -1, dtype=np.int64)
    if table.size:
        best, own = table.max(axis=1), table.argmax(axis=1)
        high, low = table.dtype.type(high), table.dtype.type(low)
        matches[(best >= low) & (best < high)] = -2
        good = (best >= high) | ((table == table.max(axis=0)) & (table > 0)).any(axis=1)
        matches[good] = own[good]
    return torch.from_numpy(matches)


# ---------------------------------------------------------------- RPNHead

edit(
    "RPNHead",
    "no_activation",
    {"F.relu(self.shared(features))": "self.shared(features)"},
    hint="The head is linear: two convolutions without anything between are one.",
)
edit(
    "RPNHead",
    "with_a_sigmoid",
    {"self.objectness(hidden)": "self.objectness(hidden).sigmoid()"},
    hint="Objectness lies between 0 and 1. Networks give logits here.",
)
edit(
    "RPNHead",
    "shared_1x1",
    {"in_channels, 3, padding=1": "in_channels, 1"},
    hint="Each place sees only itself; it should see the 3 x 3 places around it.",
)
edit(
    "RPNHead",
    "no_padding",
    {"in_channels, 3, padding=1": "in_channels, 3"},
    hint="The result is smaller than the map: every place has anchors, those at the border, too.",
)
edit(
    "RPNHead",
    "four_deltas_for_all",
    {"nn.Conv2d(in_channels, 4 * num_anchors, 1)": "nn.Conv2d(in_channels, 4, 1)"},
    hint="Every anchor has four deltas of its own.",
)
edit(
    "RPNHead",
    "second_layer_3x3",
    {
        "4 * num_anchors, 1)": "4 * num_anchors, 3, padding=1)",
        "in_channels, num_anchors, 1)": "in_channels, num_anchors, 3, padding=1)",
    },
    hint="Outputs see more than the 3 x 3 places around them.",
)
edit(
    "RPNHead",
    "deltas_not_below_zero",
    {"self.deltas(hidden)": "F.relu(self.deltas(hidden))"},
    hint="Deltas are never negative: a box can then only move right and grow.",
)
edit(
    "RPNHead",
    "exchanged_results",
    {"return self.objectness(hidden), self.deltas(hidden)": "return self.deltas(hidden), self.objectness(hidden)"},
    hint="The two results come in the wrong order.",
)
edit(
    "RPNHead",
    "mean_over_the_batch",
    {"F.relu(self.shared(features))": "F.relu(self.shared(features - features.mean(dim=0, keepdim=True)))"},
    hint="A picture's result depends on the others of the batch.",
)
edit(
    "RPNHead",
    "deltas_around_the_shared_layer",
    {"self.deltas(hidden)": "self.deltas(features)"},
    hint="The deltas do not pass through the shared convolution.",
)


@variant("RPNHead")
class SequentialHead(nn.Module):
    def __init__(self, in_channels, num_anchors):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(in_channels, in_channels, 3, padding=1), nn.LeakyReLU(0.1))
        self.out = nn.Conv2d(in_channels, 5 * num_anchors, 1)
        self.A = num_anchors

    def forward(self, x):
        y = self.out(self.body(x))
        return y[:, : self.A], y[:, self.A :]


@variant("RPNHead")
class SmallStartHead(nn.Module):
    def __init__(self, in_channels, num_anchors):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, in_channels, kernel_size=3, stride=1, padding="same")
        self.cls = nn.Conv2d(in_channels, num_anchors, kernel_size=1)
        self.reg = nn.Conv2d(in_channels, num_anchors * 4, kernel_size=1)
        for layer in (self.conv, self.cls, self.reg):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        t = torch.relu(self.conv(x))
        return [self.cls(t), self.reg(t)]


@variant("RPNHead")
class GeluHead(nn.Module):
    def __init__(self, in_channels, num_anchors):
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(in_channels, in_channels, 3, padding=1),
                nn.Conv2d(in_channels, num_anchors, 1),
                nn.Conv2d(in_channels, 4 * num_anchors, 1),
            ]
        )

    def forward(self, features):
        hidden = F.gelu(self.layers[0](features))
        return self.layers[1](hidden), self.layers[2](hidden)


# ---------------------------------------------------------------- filter_proposals

edit(
    "filter_proposals",
    "sides_of_the_picture_exchanged",
    {"clamp(0, width)": "clamp(0, height)", "clamp(0, height)\n": "clamp(0, width)\n"},
    hint="Boxes are clipped at the wrong places: x ends at the width, y at the height.",
)
edit(
    "filter_proposals",
    "not_clipped",
    {"boxes[:, 0::2].clamp(0, width), boxes[:, 1::2].clamp(0, height)": "boxes[:, 0::2], boxes[:, 1::2]"},
    hint="Boxes reach beyond the picture.",
)
edit(
    "filter_proposals",
    "clipped_to_the_last_pixel",
    {"clamp(0, width)": "clamp(0, width - 1)", "clamp(0, height)\n": "clamp(0, height - 1)\n"},
    hint="Boxes end a pixel before the border; coordinates are continuous here, from 0 to W.",
)
edit(
    "filter_proposals",
    "small_by_area",
    {
        "(boxes[:, 2:] - boxes[:, :2] >= min_size).all(dim=1)": "(boxes[:, 2:] - boxes[:, :2]).prod(dim=1) >= min_size**2"
    },
    hint="A long thin box passes. Width and height both have to reach the least size.",
)
edit(
    "filter_proposals",
    "one_side_is_enough",
    {".all(dim=1)": ".any(dim=1)"},
    hint="A long thin box passes. Width and height both have to reach the least size.",
)
edit(
    "filter_proposals",
    "small_boxes_stay",
    {"boxes, scores = boxes[large], scores[large]": ""},
    hint="Boxes that are too small after clipping come through.",
)
edit(
    "filter_proposals",
    "least_size_excluded",
    {">= min_size": "> min_size"},
    hint="A box exactly as large as the least size should stay.",
)
edit(
    "filter_proposals",
    "no_limit_before",
    {"[:pre_nms]": ""},
    hint="More boxes go into NMS than pre_nms allows.",
)
edit(
    "filter_proposals",
    "no_limit_after",
    {"[:post_nms]": ""},
    hint="More boxes come out than post_nms allows.",
)
edit(
    "filter_proposals",
    "limit_before_the_small_ones_go",
    {"boxes, scores = boxes[large], scores[large]\n    order = scores.argsort(descending=True, stable=True)[:pre_nms]\n    boxes, scores = boxes[order], scores[order]":
     "order = scores.argsort(descending=True, stable=True)[:pre_nms]\n    boxes, scores = boxes[order], scores[order]\n    boxes, scores = boxes[large[order]], scores[large[order]]"},
    hint="Boxes that are too small take places among the pre_nms best. First they go, then the best are chosen.",
)  # fmt: skip
edit(
    "filter_proposals",
    "first_instead_of_best",
    {"order = scores.argsort(descending=True, stable=True)[:pre_nms]": "order = torch.arange(len(scores))[:pre_nms]"},
    hint="The first boxes go into NMS, not the best.",
)
edit(
    "filter_proposals",
    "worst_first",
    {"descending=True": "descending=False"},
    hint="The boxes of lowest score go into NMS. Higher is better.",
)
edit(
    "filter_proposals",
    "no_suppression",
    {"ops.nms(boxes, scores, iou_threshold)": "torch.arange(len(boxes))"},
    hint="Boxes that overlap a better one come through.",
)
edit(
    "filter_proposals",
    "limits_exchanged",
    {"[:pre_nms]": "[:post_nms]", "iou_threshold)[:post_nms]": "iou_threshold)[:pre_nms]"},
    hint="The two limits look exchanged.",
)
edit(
    "filter_proposals",
    "scores_through_a_sigmoid",
    {"return boxes[kept], scores[kept]": "return boxes[kept], scores[kept].sigmoid()"},
    hint="The scores have changed on their way.",
)


@variant("filter_proposals")
def filter_with_topk(boxes, scores, image_size, pre_nms, post_nms, iou_threshold, min_size=1.0):
    boxes = ops.clip_boxes_to_image(boxes, image_size)
    keep = ops.remove_small_boxes(boxes, min_size)
    boxes, scores = boxes[keep], scores[keep]
    scores, order = scores.sort(descending=True, stable=True)
    boxes, scores = boxes[order][:pre_nms], scores[:pre_nms]
    keep = ops.nms(boxes, scores, iou_threshold)
    return boxes[keep[:post_nms]], scores[keep[:post_nms]]


@variant("filter_proposals")
def filter_with_own_nms(boxes, scores, image_size, pre_nms, post_nms, iou_threshold, min_size=1.0):
    limits = torch.tensor([image_size[1], image_size[0]] * 2, dtype=boxes.dtype)
    boxes = torch.minimum(boxes.clamp(min=0), limits)
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    which = [k for k in scores.argsort(descending=True, stable=True).tolist() if w[k] >= min_size and h[k] >= min_size]
    kept = []
    for k in which[:pre_nms]:
        if not kept or (ops.box_iou(boxes[k : k + 1], boxes[kept]) <= iou_threshold).all():
            kept.append(k)
    return boxes[kept[:post_nms]].reshape(-1, 4), scores[kept[:post_nms]]


@variant("filter_proposals")
def filter_in_a_list(boxes, scores, image_size, pre_nms, post_nms, iou_threshold, min_size=1.0):
    H, W = image_size
    boxes = torch.stack(
        [boxes[:, 0].clamp(0, W), boxes[:, 1].clamp(0, H), boxes[:, 2].clamp(0, W), boxes[:, 3].clamp(0, H)], 1
    )
    mask = (boxes[:, 2] - boxes[:, 0] >= min_size) & (boxes[:, 3] - boxes[:, 1] >= min_size)
    boxes, scores = boxes[mask], scores[mask]
    order = torch.sort(scores, descending=True, stable=True).indices[:pre_nms]
    keep = ops.nms(boxes[order], scores[order], iou_threshold)[:post_nms]
    return [boxes[order[keep]], scores[order[keep]]]


# ---------------------------------------------------------------- roi_pool

edit(
    "roi_pool",
    "no_plus_one",
    {"max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)": "max(y2 - y1, 1), max(x2 - x1, 1)"},
    hint="Regions lack their last row and column: here both ends belong to the region.",
)
edit(
    "roi_pool",
    "halves_to_even",
    {"(scaled.sign() * (scaled.abs() + 0.5).floor()).long()": "scaled.round().long()"},
    hint="Corners that end in one half are rounded to the even number. Halves go away from zero.",
)
edit(
    "roi_pool",
    "halves_upwards",
    {"(scaled.sign() * (scaled.abs() + 0.5).floor()).long()": "(scaled + 0.5).floor().long()"},
    hint="Negative halves are rounded towards zero. Halves go away from zero.",
)
edit(
    "roi_pool",
    "cut_not_rounded",
    {"(scaled.sign() * (scaled.abs() + 0.5).floor()).long()": "scaled.long()"},
    hint="Corners look cut off instead of rounded.",
)
edit(
    "roi_pool",
    "mean_of_a_bin",
    {"window.amax(dim=(1, 2))": "window.mean(dim=(1, 2))"},
    hint="A bin's value is its maximum, not its mean.",
)
edit(
    "roi_pool",
    "bins_end_too_early",
    {
        "y1 - (-(i + 1) * n_y) // rows": "y1 + (i + 1) * n_y // rows",
        "x1 - (-(j + 1) * n_x) // columns": "x1 + (j + 1) * n_x // columns",
    },
    hint="A bin's end is rounded down. It is rounded up, so that neighbours may share a row or column and none is empty.",
)
edit(
    "roi_pool",
    "scale_forgotten",
    {"scaled = boxes * spatial_scale": "scaled = boxes * 1.0"},
    hint="Boxes are in pixels of the picture, the map is smaller.",
)
edit(
    "roi_pool",
    "axes_exchanged",
    {
        "features[:, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]": "features[:, max(left, 0) : max(right, 0), max(top, 0) : max(bottom, 0)]"
    },
    hint="Rows and columns of the map look exchanged: x runs along columns.",
)
edit(
    "roi_pool",
    "bins_exchanged",
    {"rows, columns = output_size": "columns, rows = output_size"},
    hint="Bins along x and along y look exchanged: output_size is (height, width).",
)
edit(
    "roi_pool",
    "clipped_before_the_bins",
    {
        "    for k, (x1, y1, x2, y2) in enumerate(corners):\n": "    for k, (x1, y1, x2, y2) in enumerate(corners):\n        x1, x2 = max(x1, 0), min(x2, width - 1)\n        y1, y2 = max(y1, 0), min(y2, height - 1)\n"
    },
    hint="The region is cut off before it is divided. Bins are those of the whole region; each is cut off for itself.",
)
edit(
    "roi_pool",
    "negative_indices",
    {"max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)": "top:bottom, left:right"},
    hint="Where a region begins beyond the left or upper border something goes wrong: what does a negative index mean?",
)
edit(
    "roi_pool",
    "never_below_zero",
    {"window.amax(dim=(1, 2))": "window.amax(dim=(1, 2)).clamp(min=0)"},
    hint="A maximum that is negative becomes 0. Only bins without pixels are 0.",
)


@variant("roi_pool")
def pool_with_numpy(features, boxes, output_size, spatial_scale):
    maps, (h, w) = features.detach().numpy(), output_size
    found = np.zeros((len(boxes), len(maps), h, w), maps.dtype)
    scaled = (boxes * spatial_scale).numpy()
    corners = np.where(scaled >= 0, np.floor(scaled + 0.5), np.ceil(scaled - 0.5)).astype(int)
    for k, (x1, y1, x2, y2) in enumerate(corners):
        n_y, n_x = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        for i in range(h):
            r = np.arange(y1 + i * n_y // h, y1 + ((i + 1) * n_y + h - 1) // h)
            r = r[(r >= 0) & (r < maps.shape[1])]
            for j in range(w):
                c = np.arange(x1 + j * n_x // w, x1 + ((j + 1) * n_x + w - 1) // w)
                c = c[(c >= 0) & (c < maps.shape[2])]
                if r.size and c.size:
                    found[k, :, i, j] = maps[:, r][:, :, c].max(axis=(1, 2))
    return torch.from_numpy(found)


@variant("roi_pool")
def pool_by_masks(features, boxes, output_size, spatial_scale):
    def covered(first, last, bins, size):
        n = (last - first + 1).clamp(min=1)
        i = torch.arange(bins)
        start = first[:, None] + torch.div(i * n[:, None], bins, rounding_mode="floor")
        end = first[:, None] - torch.div(-(i + 1) * n[:, None], bins, rounding_mode="floor")
        at = torch.arange(size)
        return (at >= start[..., None]) & (at < end[..., None])

    s = boxes * spatial_scale
    x1, y1, x2, y2 = torch.where(s >= 0, (s + 0.5).floor(), (s - 0.5).ceil()).long().T
    rows, columns = (
        covered(y1, y2, output_size[0], features.shape[1]),
        covered(x1, x2, output_size[1], features.shape[2]),
    )
    both = rows[:, :, None, :, None] & columns[:, None, :, None, :]
    low = torch.finfo(features.dtype).min
    values = torch.where(both[:, None], features[None, :, None, None], torch.tensor(low, dtype=features.dtype)).amax(
        dim=(-2, -1)
    )
    return torch.where(both.any(-1).any(-1)[:, None], values, torch.zeros((), dtype=features.dtype))


@variant("roi_pool")
def pool_row_by_row(features, boxes, output_size, spatial_scale):
    C, H, W = features.shape
    results = []
    for box in (boxes * spatial_scale).tolist():
        x1, y1, x2, y2 = (int(np.copysign(np.floor(abs(v) + 0.5), v)) for v in box)
        heights, widths = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        grid = torch.zeros(C, *output_size, dtype=features.dtype)
        for i in range(output_size[0]):
            a = min(max(y1 + int(np.floor(i * heights / output_size[0])), 0), H)
            b = min(max(y1 + -((-(i + 1) * heights) // output_size[0]), 0), H)
            for j in range(output_size[1]):
                c = min(max(x1 + int(np.floor(j * widths / output_size[1])), 0), W)
                d = min(max(x1 + -((-(j + 1) * widths) // output_size[1]), 0), W)
                if a < b and c < d:
                    grid[:, i, j] = features[:, a:b, c:d].reshape(C, -1).max(dim=1).values
        results.append(grid)
    return torch.stack(results) if results else torch.zeros(0, C, *output_size, dtype=features.dtype)


# ---------------------------------------------------------------- roi_align

edit(
    "roi_align",
    "no_half_pixel",
    {"(boxes * spatial_scale - 0.5)": "(boxes * spatial_scale)"},
    hint="Everything is shifted by half a feature: the corners lack something after scaling.",
)
edit(
    "roi_align",
    "half_pixel_before_scaling",
    {"(boxes * spatial_scale - 0.5)": "((boxes - 0.5) * spatial_scale)"},
    hint="The half is half a feature, not half a pixel of the picture.",
)
edit(
    "roi_align",
    "rounded_corners",
    {"(boxes * spatial_scale - 0.5)": "((boxes * spatial_scale).round() - 0.5)"},
    hint="Corners are rounded. That is what RoIAlign does away with.",
)
edit(
    "roi_align",
    "least_size",
    {"(end - start)[:, None]": "(end - start).clamp(min=1)[:, None]"},
    hint="Small boxes are enlarged to one feature. There is no least size here.",
)
edit(
    "roi_align",
    "samples_at_the_start",
    {"(steps + 0.5)": "steps"},
    hint="Samples lie at the beginning of their part of the bin; they belong into its middle.",
)
edit(
    "roi_align",
    "one_sample",
    {
        "return near.reshape(len(boxes), bins, sampling_ratio, size).mean(dim=2)": "return near.reshape(len(boxes), bins, sampling_ratio, size)[:, :, 0]"
    },
    hint="Not all samples of a bin count: the value is their mean.",
)
edit(
    "roi_align",
    "sum_of_samples",
    {".mean(dim=2)": ".sum(dim=2)"},
    hint="Values are too large by a whole factor: mean, not sum.",
)
edit(
    "roi_align",
    "nearest_feature",
    {"at.clamp(0, size - 1)[..., None]": "at.clamp(0, size - 1).round()[..., None]"},
    hint="Samples take the nearest feature; they are to be interpolated between four.",
)
edit(
    "roi_align",
    "outside_not_zero",
    {"near.clamp(min=0) * inside[..., None]": "near.clamp(min=0)"},
    hint="Samples far outside the map take the value of its border. They count as 0.",
)
edit(
    "roi_align",
    "border_not_clamped",
    {"at.clamp(0, size - 1)[..., None]": "at[..., None]"},
    hint="Samples less than one feature beyond the border fade. They take the border's value.",
)
edit(
    "roi_align",
    "zero_at_once",
    {"(at >= -1) & (at <= size)": "(at >= 0) & (at <= size - 1)"},
    hint="Samples just beyond the border become 0. Up to which distance are they clamped?",
)
edit(
    "roi_align",
    "bins_of_x_along_y",
    {
        "output_size[0], features": "output_size[1], features",
        "output_size[1], features.shape[2]": "output_size[0], features.shape[2]",
    },
    hint="Bins along x and along y look exchanged: output_size is (height, width).",
)
edit(
    "roi_align",
    "scale_left_out",
    {"(boxes * spatial_scale - 0.5)": "(boxes - 0.5)"},
    hint="Boxes are in pixels of the picture, the map is smaller.",
)
edit(
    "roi_align",
    "two_samples_always",
    {"    def weights(start": "    sampling_ratio = 2\n\n    def weights(start"},
    hint="Another sampling_ratio than 2 changes nothing.",
)


@variant("roi_align")
def align_with_loops(features, boxes, output_size, spatial_scale, sampling_ratio=2):
    C, H, W = features.shape
    h, w = output_size
    found = torch.zeros(len(boxes), C, h, w, dtype=features.dtype)
    for k, box in enumerate((boxes.double() * spatial_scale - 0.5).tolist()):
        x1, y1, x2, y2 = box
        for i in range(h):
            for j in range(w):
                total = torch.zeros(C, dtype=torch.float64)
                for a in range(sampling_ratio):
                    for b in range(sampling_ratio):
                        y = y1 + (i + (a + 0.5) / sampling_ratio) * (y2 - y1) / h
                        x = x1 + (j + (b + 0.5) / sampling_ratio) * (x2 - x1) / w
                        if y < -1 or y > H or x < -1 or x > W:
                            continue
                        y, x = min(max(y, 0), H - 1), min(max(x, 0), W - 1)
                        r, c = int(y), int(x)
                        r2, c2 = min(r + 1, H - 1), min(c + 1, W - 1)
                        p, q = y - r, x - c
                        total += (1 - p) * ((1 - q) * features[:, r, c] + q * features[:, r, c2])
                        total += p * ((1 - q) * features[:, r2, c] + q * features[:, r2, c2])
                found[k, :, i, j] = total / sampling_ratio**2
    return found


@variant("roi_align")
def align_by_indexing(features, boxes, output_size, spatial_scale, sampling_ratio=2):
    C, H, W = features.shape
    (h, w), s = output_size, sampling_ratio
    b = boxes * spatial_scale - 0.5
    y = b[:, 1, None] + (b[:, 3] - b[:, 1])[:, None] * (torch.arange(h * s, dtype=b.dtype) + 0.5) / (h * s)
    x = b[:, 0, None] + (b[:, 2] - b[:, 0])[:, None] * (torch.arange(w * s, dtype=b.dtype) + 0.5) / (w * s)
    ok = ((y >= -1) & (y <= H))[:, :, None] & ((x >= -1) & (x <= W))[:, None, :]
    y, x = y.clamp(0, H - 1), x.clamp(0, W - 1)
    r, c = y.floor().long(), x.floor().long()
    r2, c2 = (r + 1).clamp(max=H - 1), (c + 1).clamp(max=W - 1)
    p, q = (y - r)[:, :, None], (x - c)[:, None, :]
    get = lambda rows, columns: features[:, rows[:, :, None], columns[:, None, :]]  # noqa: E731
    value = (1 - p) * (1 - q) * get(r, c) + (1 - p) * q * get(r, c2) + p * (1 - q) * get(r2, c) + p * q * get(r2, c2)
    value = (value * ok).transpose(0, 1).reshape(len(boxes), C, h, s, w, s)
    return value.mean(dim=(3, 5))


edit(
    "roi_align",
    "in_two_steps",
    {
        'torch.einsum("kir,crw,kjw->kcij", along_y, features, along_x)': "(along_y[:, None] @ features[None]) @ along_x.transpose(1, 2)[:, None]"
    },
)

# ---------------------------------------------------------------- MaskHead

edit(
    "MaskHead",
    "masks_with_a_sigmoid",
    {"self.masks(hidden)": "self.masks(hidden).sigmoid()"},
    hint="Masks lie between 0 and 1. Networks give logits here.",
)
edit(
    "MaskHead",
    "not_enlarged",
    {"F.relu(self.enlarge(hidden))": "F.relu(hidden)"},
    hint="Masks are 14 x 14; they should be 28 x 28.",
)
edit(
    "MaskHead",
    "one_mask_for_all",
    {"nn.Conv2d(64, num_classes, 1)": "nn.Conv2d(64, 1, 1)"},
    hint="Every class has a mask of its own.",
)
edit(
    "MaskHead",
    "background_class",
    {"num_classes, 1)": "num_classes + 1, 1)"},
    hint="There is one mask too many: the background has none.",
)
edit(
    "MaskHead",
    "classes_compete",
    {"self.masks(hidden)": "self.masks(hidden).log_softmax(dim=1)"},
    hint="The classes compete for each pixel. Every mask should be free of the others, and linear.",
)
edit(
    "MaskHead",
    "batch_normalisation",
    {
        "self.first = nn.Conv2d(in_channels, 64, 3, padding=1)": "self.first = nn.Sequential(nn.Conv2d(in_channels, 64, 3, padding=1), nn.BatchNorm2d(64))"
    },
    hint="A region's mask depends on the others, in training: what normalises over the batch?",
)
edit(
    "MaskHead",
    "masks_without_activation",
    {
        "hidden = F.relu(self.first(regions))": "hidden = self.first(regions)",
        "F.relu(self.second(hidden))": "self.second(hidden)",
        "F.relu(self.enlarge(hidden))": "self.enlarge(hidden)",
    },
    hint="The head is linear: convolutions without anything between are one.",
)
edit(
    "MaskHead",
    "only_1x1",
    {
        "nn.Conv2d(in_channels, 64, 3, padding=1)": "nn.Conv2d(in_channels, 64, 1)",
        "nn.Conv2d(64, 64, 3, padding=1)": "nn.Conv2d(64, 64, 1)",
    },
    hint="A place of the mask sees nothing of its neighbours.",
)
edit(
    "MaskHead",
    "never_negative",
    {"self.masks(hidden)": "F.relu(self.masks(hidden))"},
    hint="Logits are never negative: then no pixel is ever background.",
)
edit(
    "MaskHead",
    "mean_of_the_region",
    {
        "F.relu(self.second(hidden))": "F.relu(self.second(hidden)).mean(dim=(2, 3), keepdim=True).expand(-1, -1, 14, 14)"
    },
    hint="The mask has no shape of its own: places look averaged over the region.",
)


@variant("MaskHead")
class FourConvolutions(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        layers = []
        for inputs in (in_channels, 32, 32, 32):
            layers += [nn.Conv2d(inputs, 32, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(32, 32, 2, 2), nn.ReLU(), nn.Conv2d(32, num_classes, 1))

    def forward(self, x):
        return self.layers(x)


@variant("MaskHead")
class WithGroupNorm(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.a, self.b = nn.Conv2d(in_channels, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1)
        self.norm = nn.GroupNorm(4, 32)
        self.up = nn.ConvTranspose2d(32, 32, 2, 2)
        self.out = nn.Conv2d(32, num_classes, 1)

    def forward(self, x):
        x = F.relu(self.norm(self.b(F.relu(self.a(x)))))
        return self.out(F.relu(self.up(x)))


@variant("MaskHead")
class EnlargedByPixelShuffle(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.a, self.b = nn.Conv2d(in_channels, 64, 3, padding=1), nn.Conv2d(64, 128, 3, padding=1)
        self.out = nn.Conv2d(32, num_classes, 1)

    def forward(self, x):
        return self.out(F.pixel_shuffle(F.leaky_relu(self.b(F.leaky_relu(self.a(x)))), 2))


# ---------------------------------------------------------------- mask_loss

edit(
    "mask_loss",
    "all_channels",
    {
        "own = logits[torch.arange(len(labels), device=labels.device), labels]": "own = logits\n    targets = targets[:, None].expand_as(logits)"
    },
    hint="Masks of other classes are trained as well: only that of the true class counts.",
)
edit(
    "mask_loss",
    "zero_for_other_classes",
    {
        "own = logits[torch.arange(len(labels), device=labels.device), labels]": "own = logits\n    targets = targets[:, None] * F.one_hot(labels, logits.shape[1])[:, :, None, None]"
    },
    hint="Masks of other classes are trained to be empty: they should be left alone.",
)
edit(
    "mask_loss",
    "sum",
    {"targets.to(own.dtype))": 'targets.to(own.dtype), reduction="sum")'},
    hint="The loss grows with regions and pixels: mean, not sum.",
)
edit(
    "mask_loss",
    "sum_over_pixels",
    {"targets.to(own.dtype))": 'targets.to(own.dtype), reduction="sum") / len(labels)'},
    hint="The loss grows with the size of the masks: the mean is over pixels, too.",
)
edit(
    "mask_loss",
    "softmax_over_classes",
    {
        "own = logits[torch.arange(len(labels), device=labels.device), labels]": "own = logits.log_softmax(dim=1)[torch.arange(len(labels)), labels]"
    },
    hint="The classes compete for each pixel; a sigmoid leaves them free of each other.",
)
edit(
    "mask_loss",
    "logits_as_probabilities",
    {"F.binary_cross_entropy_with_logits(own, ": "F.binary_cross_entropy(own.clamp(0, 1), "},
    hint="Logits are used as if they were probabilities.",
)
edit(
    "mask_loss",
    "sigmoid_twice",
    {"F.binary_cross_entropy_with_logits(own, ": "F.binary_cross_entropy_with_logits(own.sigmoid(), "},
    hint="There is one sigmoid too many: logits of 0 should cost ln 2.",
)
edit(
    "mask_loss",
    "sigmoid_and_logarithm",
    {
        "return F.binary_cross_entropy_with_logits(own, targets.to(own.dtype))": "p = own.sigmoid()\n    return -(targets * p.log() + (1 - targets.to(own.dtype)) * (1 - p).log()).mean()"
    },
    hint="Large logits give inf or nan: work on logits, not on probabilities.",
)
edit(
    "mask_loss",
    "nothing_for_no_regions",
    {"if len(labels) == 0:\n        return logits.sum() * 0\n    ": ""},
    hint="Without regions the loss is nan: the mean of nothing.",
)
edit(
    "mask_loss",
    "labels_from_1",
    {"device=labels.device), labels]": "device=labels.device), labels - 1]"},
    hint="The wrong channel is trained: labels count from 0.",
)
edit(
    "mask_loss",
    "highest_logit",
    {"own = logits[torch.arange(len(labels), device=labels.device), labels]": "own = logits.amax(dim=1)"},
    hint="The label is not used: the highest logit of each pixel is taken.",
)
edit(
    "mask_loss",
    "squared_error",
    {"F.binary_cross_entropy_with_logits(own, ": "F.mse_loss(own.sigmoid(), "},
    hint="That is the squared error of probabilities, not the cross-entropy.",
)


@variant("mask_loss")
def loss_with_gather(logits, labels, targets):
    if logits.shape[0] == 0:
        return logits.sum()
    index = labels.view(-1, 1, 1, 1).expand(-1, 1, *logits.shape[2:])
    return F.binary_cross_entropy_with_logits(logits.gather(1, index)[:, 0], targets.to(logits.dtype))


@variant("mask_loss")
def loss_with_softplus(logits, labels, targets):
    own = torch.stack([one[label] for one, label in zip(logits, labels, strict=True)]) if len(labels) else logits[:, 0]
    return (F.softplus(own) - own * targets).sum() / max(own.numel(), 1)


@variant("mask_loss")
def loss_with_logsigmoid(logits, labels, targets):
    total = logits.sum() * 0
    for one, label, target in zip(logits, labels, targets, strict=True):
        target = target.to(logits.dtype)
        value = -(target * F.logsigmoid(one[label]) + (1 - target) * F.logsigmoid(-one[label])).mean()
        total = total + value / len(labels)
    return total


# ---------------------------------------------------------------- paste_masks

edit(
    "paste_masks",
    "pixels_at_their_corner",
    {"device=boxes.device) + 0.5": "device=boxes.device)"},
    hint="Masks are shifted by half a pixel: a pixel is asked at its middle.",
)
edit(
    "paste_masks",
    "mask_without_half",
    {"* m - 0.5": "* m"},
    hint="Masks are shifted by half an entry of the mask.",
)
edit(
    "paste_masks",
    "corners_aligned",
    {"* m - 0.5": "* (m - 1)"},
    hint="The mask is stretched so that its outer entries lie on the box's edges. Their middles do not.",
)
edit(
    "paste_masks",
    "more_than_the_threshold",
    {">= threshold": "> threshold"},
    hint="A pixel that reaches the threshold exactly belongs to the object.",
)
edit(
    "paste_masks",
    "always_one_half",
    {">= threshold": ">= 0.5"},
    hint="The threshold is not used.",
)
edit(
    "paste_masks",
    "threshold_before_interpolation",
    {"along_y, masks, along_x) >= threshold": "along_y, (masks >= threshold).to(masks.dtype), along_x) >= 0.5"},
    hint="The mask is made hard before it is enlarged; edges get steps. Interpolate first.",
)
edit(
    "paste_masks",
    "masks_transposed",
    {"kri,kij,kcj->krc": "kri,kji,kcj->krc"},
    hint="Masks look mirrored at their diagonal: rows of the mask run along y.",
)
edit(
    "paste_masks",
    "nearest_entry",
    {"(1 - (at[..., None] - places).abs()).clamp(min=0)": "((at[..., None] - places).abs() <= 0.5)"},
    hint="Edges have steps: interpolate bilinearly.",
)
edit(
    "paste_masks",
    "border_repeated",
    {"* m - 0.5\n": "* m - 0.5\n        at = at.clamp(0, m - 1)\n"},
    hint="The mask goes on beyond its box: outside it is 0.",
)
edit(
    "paste_masks",
    "border_repeated_inside_the_box",
    {"* m - 0.5\n": "* m - 0.5\n        at = torch.where((at > -0.5) & (at < m - 0.5), at.clamp(0, m - 1), at)\n"},
    hint="At the rim of a box the mask does not fade: everything around the mask is 0, also when interpolating.",
)
edit(
    "paste_masks",
    "height_and_width_exchanged",
    {
        "weights(y1, y2, image_size[0]), weights(x1, x2, image_size[1])": "weights(y1, y2, image_size[1]), weights(x1, x2, image_size[0])"
    },
    hint="Height and width of the picture look exchanged.",
)
edit(
    "paste_masks",
    "rounded_boxes",
    {"boxes.unbind(dim=1)": "boxes.round().unbind(dim=1)"},
    hint="Boxes look rounded to whole pixels.",
)


@variant("paste_masks")
def paste_with_loops(masks, boxes, image_size, threshold=0.5):
    K, m = len(masks), masks.shape[-1]
    found = torch.zeros(K, *image_size, dtype=torch.bool)
    padded = F.pad(masks, (1, 1, 1, 1))
    for k, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        v = torch.tensor([(r + 0.5 - y1) / (y2 - y1) * m - 0.5 for r in range(image_size[0])], dtype=torch.float64)
        u = torch.tensor([(c + 0.5 - x1) / (x2 - x1) * m - 0.5 for c in range(image_size[1])], dtype=torch.float64)
        ok = ((v > -1) & (v < m))[:, None] & ((u > -1) & (u < m))[None]
        v, u = v.clamp(-1, m - 1e-9), u.clamp(-1, m - 1e-9)
        r, c = v.floor().long(), u.floor().long()
        p, q = (v - r)[:, None], (u - c)[None]
        at = lambda rows, columns: padded[k].double()[rows + 1][:, columns + 1]  # noqa: E731, B023
        value = (
            (1 - p) * (1 - q) * at(r, c)
            + (1 - p) * q * at(r, c + 1)
            + p * (1 - q) * at(r + 1, c)
            + p * q * at(r + 1, c + 1)
        )
        found[k] = (value >= threshold) & ok
    return found


@variant("paste_masks")
def paste_with_scipy(masks, boxes, image_size, threshold=0.5):
    from scipy.ndimage import map_coordinates

    m, found = masks.shape[-1], []
    for mask, (x1, y1, x2, y2) in zip(masks.double().numpy(), boxes.double().tolist(), strict=True):
        v = (np.arange(image_size[0]) + 0.5 - y1) / (y2 - y1) * m - 0.5
        u = (np.arange(image_size[1]) + 0.5 - x1) / (x2 - x1) * m - 0.5
        found.append(
            map_coordinates(
                np.pad(mask, 2), np.array(np.meshgrid(v + 2, u + 2, indexing="ij")), order=1, mode="constant"
            )
        )
    return torch.from_numpy(np.array(found).reshape(-1, *image_size) >= threshold)


edit(
    "paste_masks",
    "by_matrix_products",
    {
        'torch.einsum("kri,kij,kcj->krc", along_y, masks, along_x) >= threshold': "(along_y @ masks @ along_x.mT).ge(threshold)"
    },
)

# ---------------------------------------------------------------- panoptic_quality

edit(
    "panoptic_quality",
    "void_in_the_union",
    {"size_pred[p] - void.get(p, 0) + size_true[t] - common": "size_pred[p] + size_true[t] - common"},
    hint="Void pixels enlarge the union; they are to be left out.",
)
edit(
    "panoptic_quality",
    "void_predictions_are_false",
    {"p not in matched and void.get(p, 0) <= size / 2": "p not in matched"},
    hint="A prediction that lies on void for the most part is counted as false.",
)
edit(
    "panoptic_quality",
    "any_void_excuses",
    {"void.get(p, 0) <= size / 2": "void.get(p, 0) == 0"},
    hint="A prediction with a little void is excused. More than half its pixels have to be void.",
)
edit(
    "panoptic_quality",
    "half_void_excuses",
    {"void.get(p, 0) <= size / 2": "void.get(p, 0) < size / 2"},
    hint="Exactly one half void does not excuse a prediction: more than half does.",
)
edit(
    "panoptic_quality",
    "half_is_a_match",
    {"iou > 0.5": "iou >= 0.5"},
    hint="IoU of exactly 0.5 is no match.",
)
edit(
    "panoptic_quality",
    "void_is_a_segment",
    {"if t == 0:": "if t == -9:", "if t != 0:": "if t != -9:"},
    hint="Void is treated as a segment to be found.",
)
edit(
    "panoptic_quality",
    "missed_not_counted",
    {"false / 2 + missed / 2": "false / 2"},
    hint="True segments without partner are not counted.",
)
edit(
    "panoptic_quality",
    "false_not_counted",
    {"false / 2 + missed / 2": "missed / 2"},
    hint="Predictions without partner are not counted.",
)
edit(
    "panoptic_quality",
    "no_halves",
    {"false / 2 + missed / 2": "false + missed"},
    hint="rq is too low: errors count one half each.",
)
edit(
    "panoptic_quality",
    "sum_for_mean",
    {"sum(matched.values()) / len(matched),": "sum(matched.values()),"},
    hint="sq exceeds 1: it is the mean IoU of the matches.",
)
edit(
    "panoptic_quality",
    "share_of_the_true_segment",
    {"common / (size_pred[p] - void.get(p, 0) + size_true[t] - common)": "common / size_true[t]"},
    hint="The overlap is divided by the true segment alone, not by the union.",
)
edit(
    "panoptic_quality",
    "nan_without_matches",
    {'return {"pq": 0.0, "sq": 0.0, "rq": 0.0}': 'return {"pq": 0.0, "sq": float("nan"), "rq": 0.0}'},
    hint="If nothing matches all three are 0.",
)


@variant("panoptic_quality")
def quality_by_masks(pred, true):
    valid = true != 0
    truths = [true == t for t in true.unique().tolist() if t != 0]
    tp, fp, total, hit = 0, 0, 0.0, set()
    for p in pred.unique().tolist():
        own, found = pred == p, False
        for k, truth in enumerate(truths):
            iou = (own & truth).sum().item() / max(((own & valid) | truth).sum().item(), 1)
            if iou > 0.5:
                tp, total, found = tp + 1, total + iou, True
                hit.add(k)
        if not found and 2 * (own & ~valid).sum() <= own.sum():
            fp += 1
    fn = len(truths) - len(hit)
    if tp == 0:
        return dict(pq=0.0, sq=0.0, rq=0.0)
    return dict(pq=total / (tp + (fp + fn) / 2), sq=total / tp, rq=tp / (tp + (fp + fn) / 2))


@variant("panoptic_quality")
def quality_by_a_table(pred, true):
    ps, p = np.unique(pred.numpy(), return_inverse=True)
    ts, t = np.unique(true.numpy(), return_inverse=True)
    table = np.zeros((len(ps), len(ts)))
    np.add.at(table, (p.ravel(), t.ravel()), 1)
    void = table[:, ts == 0].sum(axis=1)
    real = table[:, ts != 0]
    iou = real / np.maximum(real.sum(1, keepdims=True) + real.sum(0) - real, 1)
    match = iou > 0.5
    tp = match.sum()
    fp = (~match.any(1) & (void <= table.sum(1) / 2)).sum()
    fn = (~match.any(0)).sum()
    if tp == 0:
        return {"pq": 0.0, "sq": 0.0, "rq": 0.0}
    sq, rq = iou[match].mean(), tp / (tp + 0.5 * fp + 0.5 * fn)
    return {"pq": float(sq * rq), "sq": float(sq), "rq": float(rq)}


edit(
    "panoptic_quality",
    "as_numpy_floats",
    {
        'return {"pq": sq * rq, "sq": sq, "rq": rq}': 'return {"rq": float(np.float64(rq)), "sq": sq, "pq": float(np.float64(sq * rq))}'
    },
)
