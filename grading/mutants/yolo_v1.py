"""Answers to the tasks of 03_yolo_v1: wrong ones that students write, and right ones that look different from ours."""

# ruff: noqa: E501 (an edit is our text and its change, on a line each)

from grading.audit import edit, mutant, variant

# ---------------------------------------------------------------- encode_targets

edit(
    "encode_targets",
    "rows_and_columns_exchanged",
    {"target[row, col, 4]": "target[col, row, 4]", "target[row, col, : 5 * B]": "target[col, row, : 5 * B]",
     "target[row, col, 5 * B + label]": "target[col, row, 5 * B + label]"},
    hint="Objects land in the wrong cells, mirrored at the diagonal: which of row and column comes from y?",
)  # fmt: skip
edit(
    "encode_targets",
    "centre_in_the_picture",
    {"centres * S - cells": "centres"},
    hint="x and y look relative to the picture. They say where in its cell the centre is.",
)
edit(
    "encode_targets",
    "offset_in_the_picture",
    {"centres * S - cells": "centres - cells / S"},
    hint="x and y are measured from the corner of the cell, but in shares of the picture. Which unit makes them reach 1?",
)
edit(
    "encode_targets",
    "sizes_in_cells",
    {"offset, size, size.new_ones": "offset, size * S, size.new_ones"},
    hint="w and h look measured in cells. Only x and y belong to the cell.",
)
edit(
    "encode_targets",
    "roots_of_sizes",
    {"offset, size, size.new_ones": "offset, size.sqrt(), size.new_ones"},
    hint="w and h are not what they should be: the square root belongs to the loss, not to the tensor.",
)
edit(
    "encode_targets",
    "far_edge_not_caught",
    {".long().clamp(max=S - 1)": ".long()"},
    hint="A centre on the right or lower edge of the picture falls out of the grid: which cell should take it?",
)
edit(
    "encode_targets",
    "later_objects_win",
    {
        "if target[row, col, 4] == 0:": "if True:",
        "target[row, col, : 5 * B] = ": "target[row, col] = 0\n            target[row, col, : 5 * B] = ",
    },
    hint="Of two objects in one cell the later one is kept. The first should be.",
)
edit(
    "encode_targets",
    "classes_of_dropped_objects",
    {"            target[row, col, 5 * B + label] = 1": "        target[row, col, 5 * B + label] = 1"},
    hint="An object that is dropped leaves something behind in the occupied cell. Nothing of it should stay, not even its class.",
)
edit(
    "encode_targets",
    "only_the_first_slot",
    {"target[row, col, : 5 * B] = slot.repeat(B)": "target[row, col, :5] = slot"},
    hint="Not all slots of the cell hold the box. Which of them answers for it is decided in the loss; the target does not know.",
)
edit(
    "encode_targets",
    "corner_for_centre",
    {"(boxes[:, :2] + boxes[:, 2:]) / 2": "boxes[:, :2]"},
    hint="The object is put where its corner is. The cell of its centre is responsible.",
)
edit(
    "encode_targets",
    "box_as_corners",
    {"offset, size, size.new_ones": "offset, offset + size, size.new_ones"},
    hint="The third and fourth number are not width and height: corners, perhaps?",
)
edit(
    "encode_targets",
    "no_confidence",
    {"size.new_ones(1)": "size.new_zeros(1)", "if target[row, col, 4] == 0:": "if not target[row, col].any():"},
    hint="Cells with an object should say so: what stands in the fifth place of a slot?",
)
edit(
    "encode_targets",
    "classes_start_too_early",
    {"5 * B + label] = 1": "5 * B + label - 1] = 1"},
    hint="The class probability stands one place off: labels count from 0, after the last slot.",
)
edit(
    "encode_targets",
    "rounded_cells",
    {"(centres * S).long()": "(centres * S).round().long()"},
    hint="Some centres land in a neighbouring cell. A cell reaches from one line to the next: cut off, do not round.",
)
edit(
    "encode_targets",
    "always_float32",
    {"boxes.new_zeros(S, S, 5 * B + C)": "torch.zeros(S, S, 5 * B + C)"},
    hint="The numbers are right but have lost precision: keep the dtype of the boxes.",
)


@mutant("encode_targets", hint="The boxes that were passed in are changed: the caller still needs them.")
def boxes_rescaled_in_place(boxes, labels, S=7, B=2, C=20):
    target = boxes.new_zeros(S, S, 5 * B + C)
    boxes *= S
    for (x1, y1, x2, y2), label in zip(boxes.tolist(), labels.tolist()):
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        col, row = min(int(x), S - 1), min(int(y), S - 1)
        if target[row, col, 4] == 0:
            target[row, col, : 5 * B] = boxes.new_tensor([x - col, y - row, (x2 - x1) / S, (y2 - y1) / S, 1] * B)
            target[row, col, 5 * B + label] = 1
    return target


@variant("encode_targets")
def with_plain_numbers(boxes, labels, S=7, B=2, C=20):
    target = torch.zeros((S, S, B * 5 + C), dtype=boxes.dtype)
    taken = set()
    for m in range(len(boxes)):
        x1, y1, x2, y2 = [float(v) for v in boxes[m]]
        cx, cy = S * (x1 + x2) / 2, S * (y1 + y2) / 2
        j, i = min(int(cx), S - 1), min(int(cy), S - 1)
        if (i, j) in taken:
            continue
        taken.add((i, j))
        for b in range(B):
            for k, value in enumerate((cx - j, cy - i, x2 - x1, y2 - y1, 1.0)):
                target[i, j, 5 * b + k] = value
        target[i, j, 5 * B + int(labels[m])] = 1.0
    return target


@variant("encode_targets")
def from_the_last_to_the_first(boxes, labels, S=7, B=2, C=20):
    target = torch.zeros(S, S, B * 5 + C, dtype=boxes.dtype)
    code = ops.box_convert(boxes, "xyxy", "cxcywh")
    cell = torch.clamp(torch.floor(code[:, :2] * S), max=S - 1)
    for k in reversed(range(len(boxes))):
        x, y = cell[k].int().tolist()
        whole = torch.cat([code[k, :2] * S - cell[k], code[k, 2:], torch.ones(1, dtype=boxes.dtype)])
        one_hot = F.one_hot(labels[k], C).to(boxes.dtype)
        target[y, x] = torch.cat([whole] * B + [one_hot])
    return target


@variant("encode_targets")
def without_a_loop(boxes, labels, S=7, B=2, C=20):
    target = torch.zeros(S * S, B * 5 + C, dtype=boxes.dtype)
    wh = boxes[:, 2:] - boxes[:, :2]
    xy = (boxes[:, :2] + wh / 2) * S
    cell = xy.floor().clamp(max=S - 1)
    flat = (cell[:, 1] * S + cell[:, 0]).long()
    first = torch.tensor([k for k, f in enumerate(flat.tolist()) if f not in flat[:k].tolist()], dtype=torch.long)
    one = torch.ones(len(boxes), 1, dtype=boxes.dtype)
    code = torch.cat([xy - cell, wh, one], 1).repeat(1, B)
    target[flat[first]] = torch.cat([code, torch.eye(C, dtype=boxes.dtype)[labels]], 1)[first]
    return target.view(S, S, -1)


# ---------------------------------------------------------------- decode_predictions

edit(
    "decode_predictions",
    "sizes_squared",
    {"slots[..., 2:4].clamp(min=0)": "slots[..., 2:4] ** 2"},
    hint="Boxes come out too small: the network's w and h are sizes, not roots of sizes.",
)
edit(
    "decode_predictions",
    "cells_forgotten",
    {"(corner + slots[..., :2]) / S": "slots[..., :2]"},
    hint="Boxes do not lie in their cells: x and y count from the corner of the cell.",
)
edit(
    "decode_predictions",
    "offsets_in_the_picture",
    {"(corner + slots[..., :2]) / S": "corner / S + slots[..., :2]"},
    hint="Centres are in the right cell only when x and y are small: in which unit are x and y?",
)
edit(
    "decode_predictions",
    "rows_and_columns_confused",
    {"torch.stack([cols, rows], dim=-1)": "torch.stack([rows, cols], dim=-1)"},
    hint="Boxes lie mirrored at the diagonal: x belongs to the column.",
)
edit(
    "decode_predictions",
    "not_clipped",
    {"dim=-1).clamp(0, 1)": "dim=-1)"},
    hint="Some boxes reach out of the picture. They should end at its edge.",
)
edit(
    "decode_predictions",
    "centres_clipped",
    {"(corner + slots[..., :2]) / S": "((corner + slots[..., :2]) / S).clamp(0, 1)"},
    hint="A box whose centre is predicted outside the picture comes out wrong. Clip the corners only, at the end.",
)
edit(
    "decode_predictions",
    "confidence_as_score",
    {"slots[..., 4] * probability[..., None]": "slots[..., 4]"},
    hint="The score is the confidence alone. How sure the network is of the class counts as well.",
)
edit(
    "decode_predictions",
    "probability_as_score",
    {"slots[..., 4] * probability[..., None]": "probability[..., None].expand(S, S, B)"},
    hint="The score is the class probability alone, so cells without objects are full of boxes.",
)
edit(
    "decode_predictions",
    "threshold_on_confidence",
    {"keep = scores >= score_threshold": "keep = slots[..., 4] >= score_threshold"},
    hint="The threshold is compared with something else than the score.",
)
edit(
    "decode_predictions",
    "equality_not_enough",
    {"scores >= score_threshold": "scores > score_threshold"},
    hint="A candidate whose score equals the threshold is lost: at least the threshold is asked for.",
)
edit(
    "decode_predictions",
    "classes_softmaxed",
    {"pred[..., 5 * B :].max(dim=-1)": "pred[..., 5 * B :].softmax(dim=-1).max(dim=-1)"},
    hint="The class numbers are changed before use. They were trained with squared errors to be probabilities themselves.",
)
edit(
    "decode_predictions",
    "centre_and_size_returned",
    {"[centre - size / 2, centre + size / 2]": "[centre, size]"},
    hint="The boxes look like centre and size. Two corners are asked for.",
)
edit(
    "decode_predictions",
    "centre_as_corner",
    {"[centre - size / 2, centre + size / 2]": "[centre, centre + size]"},
    hint="Boxes are moved by half their size: (x, y) is the centre.",
)
edit(
    "decode_predictions",
    "sorted_by_score",
    {"return boxes[keep], scores[keep], label[..., None].expand(S, S, B)[keep]":
     "order = scores[keep].argsort(descending=True)\n    return boxes[keep][order], scores[keep][order], label[..., None].expand(S, S, B)[keep][order]"},
    hint="The candidates come in another order than row, column, slot.",
)  # fmt: skip
edit(
    "decode_predictions",
    "best_slot_only",
    {
        "keep = scores >= score_threshold": "keep = (scores >= score_threshold) & (scores == scores.amax(dim=-1, keepdim=True))"
    },
    hint="Some candidates are missing: every slot of a cell is one, not only its best.",
)
edit(
    "decode_predictions",
    "two_slots_always",
    {
        "pred[..., : 5 * B].reshape(S, S, B, 5)": "pred[..., :10].reshape(S, S, 2, 5)",
        "expand(S, S, B)": "expand(S, S, 2)",
    },
    hint="It works with two boxes in a cell and with no other number: where is B?",
)


@mutant(
    "decode_predictions",
    hint="The candidates come slot by slot over the whole picture. The order is row, column, slot.",
)
def slot_by_slot(pred, B=2, C=20, score_threshold=0.2):
    S = pred.shape[0]
    p, label = pred[..., 5 * B :].max(-1)
    found = [[], [], []]
    for b in range(B):
        for i in range(S):
            for j in range(S):
                x, y, w, h, c = pred[i, j, 5 * b : 5 * b + 5]
                if c * p[i, j] >= score_threshold:
                    cx, cy = (j + x) / S, (i + y) / S
                    found[0].append(torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]).clamp(0, 1))
                    found[1].append(c * p[i, j])
                    found[2].append(label[i, j])
    if not found[0]:
        return pred.new_zeros(0, 4), pred.new_zeros(0), torch.zeros(0, dtype=torch.long)
    return tuple(torch.stack(part) for part in found)


@mutant("decode_predictions", hint="With no candidate at all something else than three empty tensors comes back.")
def fails_on_nothing(pred, B=2, C=20, score_threshold=0.2):
    S = pred.shape[0]
    p, label = pred[..., 5 * B :].max(-1)
    found = [[], [], []]
    for i in range(S):
        for j in range(S):
            for b in range(B):
                x, y, w, h, c = pred[i, j, 5 * b : 5 * b + 5]
                if c * p[i, j] >= score_threshold:
                    cx, cy = (j + x) / S, (i + y) / S
                    found[0].append(torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]).clamp(0, 1))
                    found[1].append(c * p[i, j])
                    found[2].append(label[i, j])
    return tuple(torch.stack(part) for part in found)


@mutant("decode_predictions", hint="Every class of a cell becomes a candidate. Only its most probable one should.")
def every_class(pred, B=2, C=20, score_threshold=0.2):
    S = pred.shape[0]
    slots = pred[..., : 5 * B].reshape(S, S, B, 1, 5)
    scores = slots[..., 4] * pred[..., None, 5 * B :]
    row, col, slot, label = (scores >= score_threshold).nonzero(as_tuple=True)
    x, y, w, h = pred[..., : 5 * B].reshape(S, S, B, 5)[row, col, slot, :4].unbind(-1)
    x, y = (col + x) / S, (row + y) / S
    boxes = torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], dim=1).clamp(0, 1)
    return boxes, scores[row, col, slot, label], label


@variant("decode_predictions")
def by_indices(pred, B=2, C=20, score_threshold=0.2):
    S = pred.shape[0]
    boxes = torch.stack([pred[..., 5 * b : 5 * b + 5] for b in range(B)], dim=2)
    scores = boxes[..., 4] * pred[..., 5 * B :].max(dim=-1, keepdim=True).values
    row, col, slot = torch.where(scores >= score_threshold)
    x, y, w, h, _ = boxes[row, col, slot].T
    code = torch.stack([(x + col) / S, (y + row) / S, w, h], dim=1)
    corners = ops.clip_boxes_to_image(ops.box_convert(code, "cxcywh", "xyxy"), (1, 1))
    return corners, scores[row, col, slot], pred[row, col, 5 * B :].argmax(dim=1)


@variant("decode_predictions")
def cell_by_cell(pred, B=2, C=20, score_threshold=0.2):
    S = pred.shape[0]
    boxes, scores, labels = [], [], []
    for i in range(S):
        for j in range(S):
            k = int(pred[i, j, 5 * B :].argmax())
            for b in range(B):
                x, y, w, h, c = pred[i, j, 5 * b : 5 * b + 5]
                s = c * pred[i, j, 5 * B + k]
                if s >= score_threshold:
                    cx, cy = (x + j) / S, (y + i) / S
                    boxes.append(torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]))
                    scores.append(s)
                    labels.append(k)
    if len(boxes) == 0:
        return (
            torch.zeros((0, 4), dtype=pred.dtype),
            torch.zeros(0, dtype=pred.dtype),
            torch.zeros(0, dtype=torch.int64),
        )
    return torch.stack(boxes).clamp(min=0.0, max=1.0), torch.stack(scores), torch.tensor(labels)


@variant("decode_predictions")
def flattened_first(pred, B=2, C=20, score_threshold=0.2):
    S = len(pred)
    flat = pred.reshape(S * S, -1)
    cells = torch.arange(S * S, device=pred.device)
    prob, label = torch.max(flat[:, 5 * B :], 1)
    box = flat[:, : 5 * B].reshape(S * S * B, 5).clone()
    which = cells.repeat_interleave(B)
    box[:, 0] = (box[:, 0] + which % S) / S
    box[:, 1] = (box[:, 1] + torch.div(which, S, rounding_mode="floor")) / S
    score = box[:, 4] * prob.repeat_interleave(B)
    keep = score >= score_threshold
    half = box[:, 2:4] / 2
    xyxy = torch.cat([box[:, :2] - half, box[:, :2] + half], 1).clamp(0, 1)
    return xyxy[keep], score[keep], label.repeat_interleave(B)[keep]


# ---------------------------------------------------------------- responsible_box

edit(
    "responsible_box",
    "sizes_as_corners",
    {"pred_boxes[..., :2] + pred_size / 2": "pred_size", "target_boxes[..., :2] + target_size / 2": "target_size",
     "pred_boxes[..., :2] - pred_size / 2": "pred_boxes[..., :2]", "target_boxes[..., :2] - target_size / 2": "target_boxes[..., :2]"},
    hint="The four numbers look taken for corners. They are a centre, a width and a height.",
)  # fmt: skip
edit(
    "responsible_box",
    "centre_as_near_corner",
    {"pred_boxes[..., :2] + pred_size / 2": "pred_boxes[..., :2] + pred_size", "target_boxes[..., :2] + target_size / 2": "target_boxes[..., :2] + target_size",
     "pred_boxes[..., :2] - pred_size / 2": "pred_boxes[..., :2]", "target_boxes[..., :2] - target_size / 2": "target_boxes[..., :2]"},
    hint="(x, y) looks taken for the corner of the box. It is its centre.",
)  # fmt: skip
edit(
    "responsible_box",
    "absolute_sizes",
    {"pred_boxes[..., 2:].clamp(min=0)": "pred_boxes[..., 2:].abs()"},
    hint="Negative sizes count as 0: such a box is empty, not turned round.",
)
edit(
    "responsible_box",
    "largest_intersection",
    {"torch.where(union > 0, common / union.clamp(min=1e-12), 0.0)": "common"},
    hint="A box that covers the target and much else is preferred to one that fits: intersection is only half of IoU.",
)
edit(
    "responsible_box",
    "worst_box",
    {"iou.argmax(dim=-1)": "iou.argmin(dim=-1)"},
    hint="The box that fits worst is chosen.",
)
edit(
    "responsible_box",
    "shape_with_one_more",
    {"iou.argmax(dim=-1)": "iou.argmax(dim=-1, keepdim=True)"},
    hint="The result has one dimension too many: one index for each target.",
)
edit(
    "responsible_box",
    "flat_result",
    {"iou.argmax(dim=-1)": "iou.argmax(dim=-1).reshape(-1)"},
    hint="The leading shape gets lost: the result has that of the targets, also when it is ().",
)
edit(
    "responsible_box",
    "nothing_divided_by_nothing",
    {"torch.where(union > 0, common / union.clamp(min=1e-12), 0.0)": "common / union"},
    hint="Two empty boxes make 0 / 0, and that wins. Their IoU counts as 0.",
)
edit(
    "responsible_box",
    "overlap_of_apart_boxes",
    {"(far - near).clamp(min=0).prod(dim=-1)": "(far - near).prod(dim=-1)"},
    hint="Boxes that lie apart in both directions seem to overlap: two negative sides make a positive area.",
)
edit(
    "responsible_box",
    "highest_index_of_ties",
    {"iou.argmax(dim=-1)": "iou.shape[-1] - 1 - iou.flip(-1).argmax(dim=-1)"},
    hint="Of equal IoUs the highest index is taken. The lowest should be.",
)


@mutant("responsible_box", hint="The box whose centre is nearest is chosen, whatever its size. IoU is asked for.")
def nearest_centre(pred_boxes, target_boxes):
    return (pred_boxes[..., :2] - target_boxes[..., None, :2]).norm(dim=-1).argmin(dim=-1)


@mutant("responsible_box", hint="Boxes are compared number by number. What counts is how much they overlap.")
def nearest_numbers(pred_boxes, target_boxes):
    return (pred_boxes - target_boxes[..., None, :]).square().sum(dim=-1).argmin(dim=-1)


@mutant("responsible_box", hint="Width and height alone are compared, as if all boxes had the same centre.")
def same_centre_assumed(pred_boxes, target_boxes):
    size, true = pred_boxes[..., 2:].clamp(min=0), target_boxes[..., None, 2:]
    common = torch.minimum(size, true).prod(-1)
    union = size.prod(-1) + true.prod(-1) - common
    return torch.where(union > 0, common / union.clamp(min=1e-12), 0.0).argmax(-1)


edit(
    "responsible_box", "intersection_guards_negative_sizes", {"pred_boxes[..., 2:].clamp(min=0)": "pred_boxes[..., 2:]"}
)


@variant("responsible_box")
def with_torchvision(pred_boxes, target_boxes):
    shape, B = pred_boxes.shape[:-2], pred_boxes.shape[-2]
    result = torch.zeros(shape, dtype=torch.int64).reshape(-1)
    pairs = zip(pred_boxes.reshape(-1, B, 4), target_boxes.reshape(-1, 4))
    for k, (boxes, target) in enumerate(pairs):
        corners = torch.cat(
            [boxes[:, :2] - boxes[:, 2:].clamp(min=0) / 2, boxes[:, :2] + boxes[:, 2:].clamp(min=0) / 2], 1
        )
        truth = ops.box_convert(target[None], "cxcywh", "xyxy")
        result[k] = ops.box_iou(corners, truth)[:, 0].nan_to_num(0).argmax()
    return result.reshape(shape)


@variant("responsible_box")
def in_float64(pred_boxes, target_boxes):
    p, t = pred_boxes.double(), target_boxes.double().unsqueeze(-2)
    pw, ph, tw, th = p[..., 2].relu(), p[..., 3].relu(), t[..., 2].relu(), t[..., 3].relu()
    left = torch.max(p[..., 0] - pw / 2, t[..., 0] - tw / 2)
    right = torch.min(p[..., 0] + pw / 2, t[..., 0] + tw / 2)
    top = torch.max(p[..., 1] - ph / 2, t[..., 1] - th / 2)
    bottom = torch.min(p[..., 1] + ph / 2, t[..., 1] + th / 2)
    common = (right - left).relu() * (bottom - top).relu()
    iou = common / (pw * ph + tw * th - common + 1e-12)
    return torch.max(iou, dim=-1).indices


@variant("responsible_box")
def common_against_the_rest(pred_boxes, target_boxes):
    target_boxes = target_boxes.unsqueeze(-2).expand_as(pred_boxes)
    a, b = pred_boxes[..., 2:].clamp(min=0.0), target_boxes[..., 2:].clamp(min=0.0)
    low = torch.maximum(pred_boxes[..., :2] - a * 0.5, target_boxes[..., :2] - b * 0.5)
    high = torch.minimum(pred_boxes[..., :2] + a * 0.5, target_boxes[..., :2] + b * 0.5)
    common = torch.clamp(high - low, min=0.0)
    common = common[..., 0] * common[..., 1]
    both = a[..., 0] * a[..., 1] + b[..., 0] * b[..., 1]
    return torch.argmax((common / both).nan_to_num(0.0), -1)  # common / both rises with IoU


# ---------------------------------------------------------------- yolo_loss

edit(
    "yolo_loss",
    "without_roots",
    {
        "chosen[:, 2:4].clamp(min=1e-6).sqrt(), true_box[:, 2:4].clamp(min=1e-6).sqrt()": "chosen[:, 2:4], true_box[:, 2:4]"
    },
    hint="The localization term compares w and h themselves. Their square roots are to be compared.",
)
edit(
    "yolo_loss",
    "roots_without_guard",
    {
        "chosen[:, 2:4].clamp(min=1e-6).sqrt(), true_box[:, 2:4].clamp(min=1e-6).sqrt()": "chosen[:, 2:4].sqrt(), true_box[:, 2:4].sqrt()"
    },
    hint="For w or h at or below 0 the loss or its gradient is not finite. Guard the root.",
)
edit(
    "yolo_loss",
    "roots_steep_at_zero",
    {
        "chosen[:, 2:4].clamp(min=1e-6).sqrt(), true_box[:, 2:4].clamp(min=1e-6).sqrt()": "chosen[:, 2:4].abs().sqrt(), true_box[:, 2:4].abs().sqrt()"
    },
    hint="The value is finite for w = 0, but the gradient is not: the root is infinitely steep there.",
)
edit(
    "yolo_loss",
    "roots_of_absolute_sizes",
    {"chosen[:, 2:4].clamp(min=1e-6).sqrt(), true_box[:, 2:4].clamp(min=1e-6).sqrt()": "*((v.abs() + 1e-6).sqrt() for v in (chosen[:, 2:4], true_box[:, 2:4])),",
     "root, true_root = ": "(root, true_root) = "},
    hint="A width of -0.3 costs as little as one of 0.3, so nothing pulls it above 0: a negative size must cost at least what 0 costs.",
)  # fmt: skip
edit(
    "yolo_loss",
    "signed_roots_steep_at_zero",
    {"chosen[:, 2:4].clamp(min=1e-6).sqrt(), true_box[:, 2:4].clamp(min=1e-6).sqrt()": "*(v.sign() * v.abs().sqrt() for v in (chosen[:, 2:4], true_box[:, 2:4])),",
     "root, true_root = ": "(root, true_root) = "},
    hint="For w = 0 the gradient is not finite: the root is infinitely steep there, and 0 times infinity is not a number.",
)  # fmt: skip
edit(
    "yolo_loss",
    "places_in_pictures",
    {"(chosen[:, :2] - true_box[:, :2]).square().sum()": "((chosen[:, :2] - true_box[:, :2]) / S).square().sum()"},
    hint="The errors of x and y come out too small in the localization term: there they are shares of the cell.",
)
edit(
    "yolo_loss",
    "confidence_of_one",
    {"(chosen[:, 4] - iou).square()": "(chosen[:, 4] - 1).square()"},
    hint="The confidence of a responsible box is compared with 1. Its target is the IoU of box and object.",
)
edit(
    "yolo_loss",
    "gradient_through_the_iou",
    {".clamp(min=1e-12)).detach()": ".clamp(min=1e-12))"},
    hint="The confidence term moves the boxes as well: its target, the IoU, should be taken as a constant.",
)
edit(
    "yolo_loss",
    "cells_and_pictures_mixed",
    {"pred.new_tensor([1 / S, 1 / S, 1, 1])": "pred.new_ones(4)"},
    hint="The wrong box is made responsible now and then: are x, y and w, h in the same unit when the IoU is computed?",
)
edit(
    "yolo_loss",
    "iou_with_cells_and_pictures_mixed",
    {
        "(box[:, :2] / S - size / 2, box[:, :2] / S + size / 2, size.prod(dim=1))": "(box[:, :2] - size / 2, box[:, :2] + size / 2, size.prod(dim=1))"
    },
    hint="The confidence target is not the IoU: x, y and w, h have to be in the same unit.",
)
edit(
    "yolo_loss",
    "nowhere_divided_by_S",
    {
        "pred.new_tensor([1 / S, 1 / S, 1, 1])": "pred.new_ones(4)",
        "(box[:, :2] / S - size / 2, box[:, :2] / S + size / 2, size.prod(dim=1))": "(box[:, :2] - size / 2, box[:, :2] + size / 2, size.prod(dim=1))",
    },
    hint="The IoU is computed with x, y in shares of the cell and w, h in shares of the picture: bring them to one unit.",
)
edit(
    "yolo_loss",
    "empty_cells_only",
    {"(confidence.square().sum() - chosen[:, 4].square().sum()) / N": "confidence[~has_object].square().sum() / N"},
    hint="The no-object term leaves something out: the boxes of object cells that are not responsible count as well.",
)
edit(
    "yolo_loss",
    "silence_for_all",
    {"(confidence.square().sum() - chosen[:, 4].square().sum()) / N": "confidence.square().sum() / N"},
    hint="The no-object term counts the responsible boxes, too.",
)
edit(
    "yolo_loss",
    "first_slot_silent_only",
    {"pred[..., : 5 * B].reshape(*pred.shape[:3], B, 5)[..., 4]": "pred[..., 4]"},
    hint="The no-object term does not see every slot.",
)
edit(
    "yolo_loss",
    "first_slot_always",
    {"boxes[torch.arange(len(best), device=pred.device), best]": "boxes[:, 0]"},
    hint="Always the same slot answers for the object. The one with the highest IoU should.",
)
edit(
    "yolo_loss",
    "surest_slot",
    {"best = responsible_box(boxes[..., :4] * scale, true_box[:, :4] * scale)": "best = boxes[..., 4].argmax(dim=1)"},
    hint="The slot with the highest confidence answers. The one with the highest IoU should.",
)
edit(
    "yolo_loss",
    "mean_over_objects",
    {
        '/ N,\n        "localization": (place + (root - true_root).square().sum()) / N': '/ max(len(best), 1),\n        "localization": (place + (root - true_root).square().sum()) / max(len(best), 1)'
    },
    hint="Terms are divided by the number of objects. They are sums, divided by the number of pictures.",
)
edit(
    "yolo_loss",
    "not_divided",
    {"N, S = pred.shape[:2]": "N, S = 1, pred.shape[1]"},
    hint="The terms grow with the size of the batch: divide by the number of pictures.",
)
edit(
    "yolo_loss",
    "weighted_terms",
    {
        "(place + (root - true_root).square().sum()) / N": "lambda_coord * (place + (root - true_root).square().sum()) / N",
        "+ lambda_coord * parts[": "+ parts[",
    },
    hint="The localization term itself is already weighted. The terms are asked for unweighted; only the total has weights.",
)
edit(
    "yolo_loss",
    "weights_exchanged",
    {
        "+ lambda_coord * parts[": "+ lambda_noobj * parts[",
        '+ lambda_noobj * parts["confidence_no_object"]': '+ lambda_coord * parts["confidence_no_object"]',
    },
    hint="The terms are right, but the total is not: which weight belongs to which term?",
)
edit(
    "yolo_loss",
    "weights_fixed",
    {"+ lambda_coord * parts[": "+ 5.0 * parts[", "+ lambda_noobj * parts[": "+ 0.5 * parts["},
    hint="The total does not change with lambda_coord and lambda_noobj.",
)
edit(
    "yolo_loss",
    "classes_everywhere",
    {"(cells[:, 5 * B :] - truth[:, 5 * B :]).square()": "(pred[..., 5 * B :] - target[..., 5 * B :]).square()"},
    hint="Classification counts in cells without an object. Nothing is asked of their classes.",
)
edit(
    "yolo_loss",
    "cross_entropy",
    {
        "(cells[:, 5 * B :] - truth[:, 5 * B :]).square().sum()": 'F.cross_entropy(cells[:, 5 * B :], truth[:, 5 * B :], reduction="sum")'
    },
    hint="The classification term is no sum of squared errors.",
)
edit(
    "yolo_loss",
    "two_slots_only",
    {"cells[:, : 5 * B].reshape(-1, B, 5)": "cells[:, :10].reshape(-1, 2, 5)"},
    hint="It works with two boxes in a cell only: where is B?",
)
edit(
    "yolo_loss",
    "centres_only",
    {"(place + (root - true_root).square().sum()) / N": "place / N"},
    hint="The localization term does not notice wrong sizes.",
)
edit(
    "yolo_loss",
    "sizes_only",
    {"(place + (root - true_root).square().sum()) / N": "(root - true_root).square().sum() / N"},
    hint="The localization term does not notice wrong places.",
)


@mutant("yolo_loss", hint="All slots of a cell are pulled to the object. Only the responsible one should be.")
def all_slots_learn(pred, target, B=2, C=20, lambda_coord=5.0, lambda_noobj=0.5):
    N, S = pred.shape[:2]
    obj = target[..., 4] == 1
    p, t = pred[obj], target[obj]
    boxes, truth = p[:, : 5 * B].reshape(-1, B, 5), t[:, : 5 * B].reshape(-1, B, 5)

    def root(v):
        return v.clamp(min=1e-6).sqrt()

    scale = pred.new_tensor([1 / S, 1 / S, 1, 1])
    a = ops.box_convert(boxes[..., :4].detach().clamp(min=0) * scale, "cxcywh", "xyxy").reshape(-1, 4)
    b = ops.box_convert(truth[..., :4] * scale, "cxcywh", "xyxy").reshape(-1, 4)
    iou = ops.box_iou(a, b).diagonal().reshape(-1, B) if len(a) else a.new_zeros(0, B)
    parts = {
        "classification": (p[:, 5 * B :] - t[:, 5 * B :]).square().sum() / N,
        "localization": (
            (boxes[..., :2] - truth[..., :2]).square().sum()
            + (root(boxes[..., 2:4]) - root(truth[..., 2:4])).square().sum()
        )
        / N,
        "confidence_object": (boxes[..., 4] - iou).square().sum() / N,
        "confidence_no_object": pred[~obj][:, : 5 * B].reshape(-1, B, 5)[..., 4].square().sum() / N,
    }
    parts["total"] = (
        parts["classification"]
        + lambda_coord * parts["localization"]
        + parts["confidence_object"]
        + lambda_noobj * parts["confidence_no_object"]
    )
    return parts


edit(
    "yolo_loss",
    "signed_roots",
    {"chosen[:, 2:4].clamp(min=1e-6).sqrt(), true_box[:, 2:4].clamp(min=1e-6).sqrt()": "*(torch.sign(v) * torch.sqrt(v.abs() + 1e-6) for v in (chosen[:, 2:4], true_box[:, 2:4])),",
     "root, true_root = ": "(root, true_root) = "},
)  # fmt: skip


@variant("yolo_loss")
def picture_by_picture(pred, target, B=2, C=20, lambda_coord=5.0, lambda_noobj=0.5):
    N, S = pred.shape[0], pred.shape[1]
    zero = (pred * 0).sum()
    cls, loc, obj, noobj = zero, zero, zero, zero
    for n in range(N):
        for i in range(S):
            for j in range(S):
                p, t = pred[n, i, j], target[n, i, j]
                if t[4] != 1:
                    for b in range(B):
                        noobj = noobj + p[5 * b + 4] ** 2
                    continue
                truth = torch.stack([(t[0]) / S, t[1] / S, t[2], t[3]])
                boxes = torch.stack(
                    [
                        torch.stack(
                            [p[5 * b] / S, p[5 * b + 1] / S, p[5 * b + 2].clamp(min=0), p[5 * b + 3].clamp(min=0)]
                        )
                        for b in range(B)
                    ]
                )
                iou = ops.box_iou(
                    ops.box_convert(boxes.detach(), "cxcywh", "xyxy"), ops.box_convert(truth[None], "cxcywh", "xyxy")
                )[:, 0].nan_to_num(0)
                r = int(iou.argmax())
                for b in range(B):
                    if b == r:
                        obj = obj + (p[5 * b + 4] - iou[b]) ** 2
                        loc = loc + (p[5 * b] - t[0]) ** 2 + (p[5 * b + 1] - t[1]) ** 2
                        for k in (2, 3):
                            loc = loc + (p[5 * b + k].clamp(min=1e-6).sqrt() - t[k].clamp(min=1e-6).sqrt()) ** 2
                    else:
                        noobj = noobj + p[5 * b + 4] ** 2
                cls = cls + ((p[5 * B :] - t[5 * B :]) ** 2).sum()
    found = {
        "classification": cls / N,
        "localization": loc / N,
        "confidence_object": obj / N,
        "confidence_no_object": noobj / N,
    }
    found["total"] = (
        found["classification"]
        + lambda_coord * found["localization"]
        + found["confidence_object"]
        + lambda_noobj * found["confidence_no_object"]
    )
    return found


@variant("yolo_loss")
def with_masks(pred, target, B=2, C=20, lambda_coord=5.0, lambda_noobj=0.5):
    N, S = pred.shape[:2]
    boxes = pred[..., : 5 * B].reshape(N, S, S, B, 5)
    truth = target[..., : 5 * B].reshape(N, S, S, B, 5)
    with torch.no_grad():
        p = torch.cat([boxes[..., :2] / S, boxes[..., 2:4].clamp(min=0)], -1).double()
        t = torch.cat([truth[..., :2] / S, truth[..., 2:4]], -1).double()
        low = torch.maximum(p[..., :2] - p[..., 2:] / 2, t[..., :2] - t[..., 2:] / 2)
        high = torch.minimum(p[..., :2] + p[..., 2:] / 2, t[..., :2] + t[..., 2:] / 2)
        common = (high - low).clamp(min=0).prod(-1)
        iou = common / (p[..., 2:].prod(-1) + t[..., 2:].prod(-1) - common + 1e-15)
        chosen = F.one_hot(iou.argmax(-1), B) * truth[..., 4]
        iou = iou.to(pred.dtype)

    def root(v):
        return v.clamp(min=1e-6) ** 0.5

    error = (boxes[..., :2] - truth[..., :2]).pow(2).sum(-1) + (root(boxes[..., 2:4]) - root(truth[..., 2:4])).pow(
        2
    ).sum(-1)
    terms = dict(
        classification=(target[..., 4] * (pred[..., 5 * B :] - target[..., 5 * B :]).pow(2).sum(-1)).sum() / N,
        localization=(chosen * error).sum() / N,
        confidence_object=(chosen * (boxes[..., 4] - iou).pow(2)).sum() / N,
        confidence_no_object=((1 - chosen) * boxes[..., 4].pow(2)).sum() / N,
    )
    total = (
        terms["classification"]
        + lambda_coord * terms["localization"]
        + terms["confidence_object"]
        + lambda_noobj * terms["confidence_no_object"]
    )
    return {**terms, "total": total}


# ---------------------------------------------------------------- YOLOv1

edit(
    "YOLOv1",
    "sigmoid_at_the_end",
    {"return self.output(hidden).reshape": "return self.output(hidden).sigmoid().reshape"},
    hint="The output is squeezed into (0, 1). It should be linear: the loss compares plain numbers.",
)
edit(
    "YOLOv1",
    "relu_at_the_end",
    {"return self.output(hidden).reshape": "return self.output(hidden).relu().reshape"},
    hint="The output is never negative, and where it is cut off nothing is learned. It should be linear.",
)
edit(
    "YOLOv1",
    "leaky_relu_at_the_end",
    {"return self.output(hidden).reshape": "return F.leaky_relu(self.output(hidden), 0.1).reshape"},
    hint="There is an activation after the last layer as well: negative numbers come out too small. The output should be linear.",
)
edit(
    "YOLOv1",
    "no_activation",
    {"F.leaky_relu(self.hidden(features), 0.1)": "self.hidden(features)"},
    hint="Two linear layers in a row are one linear layer: what belongs between them?",
)
edit(
    "YOLOv1",
    "channels_first",
    {"reshape(-1, self.S, self.S, 5 * self.B + self.C)": "reshape(-1, 5 * self.B + self.C, self.S, self.S)"},
    hint="The numbers of a cell belong on the last axis.",
)
edit(
    "YOLOv1",
    "flat_output",
    {".reshape(-1, self.S, self.S, 5 * self.B + self.C)": ""},
    hint="The result is a long row of numbers. A grid is asked for.",
)
edit(
    "YOLOv1",
    "pictures_mixed",
    {"reshape(-1, self.S, self.S, 5 * self.B + self.C)": "T.reshape(-1, self.S, self.S, 5 * self.B + self.C)"},
    hint="The results of different pictures are mixed up: the shape is right, but what does the reshape run through?",
)
edit(
    "YOLOv1",
    "always_seven_by_seven",
    {
        "self.S, self.B, self.C = S, B, C": "self.S, self.B, self.C = 7, B, C",
        "nn.Linear(256, S * S * (5 * B + C))": "nn.Linear(256, 7 * 7 * (5 * B + C))",
    },
    hint="The grid is always 7 x 7: where is S?",
)
edit(
    "YOLOv1",
    "always_the_paper",
    {
        "self.S, self.B, self.C = S, B, C": "self.S, self.B, self.C = 7, 2, 20",
        "nn.Linear(256, S * S * (5 * B + C))": "nn.Linear(256, 7 * 7 * 30)",
    },
    hint="The result is always 7 x 7 x 30, the paper's: where are S, B and C?",
)
edit(
    "YOLOv1",
    "backbone_frozen",
    {
        "features = self.backbone(images).flatten(1)": "with torch.no_grad():\n            features = self.backbone(images).flatten(1)"
    },
    hint="No gradient reaches the backbone. Whoever wants it frozen can freeze it; the network should not decide that.",
)
edit(
    "YOLOv1",
    "backbone_hidden_in_a_list",
    {"self.backbone = backbone": "self.parts = [backbone]", "self.backbone(images)": "self.parts[0](images)"},
    hint="The weights of the backbone are not among those of the network: how does PyTorch find a module?",
)
edit(
    "YOLOv1",
    "backbone_forgotten",
    {"self.backbone(images).flatten(1)": "images.flatten(1)"},
    hint="The pictures go into the first layer as they are: where is the backbone?",
)
edit(
    "YOLOv1",
    "one_layer_only",
    {
        "nn.Linear(256, S * S * (5 * B + C))": "nn.Identity()",
        "nn.Linear(in_features, 256)": "nn.Linear(in_features, S * S * (5 * B + C))",
    },
    hint="There should be two fully connected layers.",
)
edit(
    "YOLOv1",
    "features_not_flattened",
    {"self.backbone(images).flatten(1)": "self.backbone(images)"},
    hint="It works only if the backbone gives one flat row a picture. Flatten what it gives.",
)
edit(
    "YOLOv1",
    "attributes_missing",
    {
        "self.S, self.B, self.C = S, B, C": "self.shape = (S, B, C)",
        "reshape(-1, self.S, self.S, 5 * self.B + self.C)": "reshape(-1, self.shape[0], self.shape[0], 5 * self.shape[1] + self.shape[2])",
    },
    hint="S, B or C cannot be read from the network, which `detect` needs.",
)
edit(
    "YOLOv1",
    "classes_for_each_box",
    {
        "nn.Linear(256, S * S * (5 * B + C))": "nn.Linear(256, S * S * B * (5 + C))",
        "5 * self.B + self.C)": "self.B * (5 + self.C))",
    },
    hint="There are too many numbers in a cell: class probabilities belong to the cell, not to each box.",
)

edit("YOLOv1", "narrow_and_relu", {"F.leaky_relu(self.hidden(features), 0.1)": "torch.relu(self.hidden(features))"})


@variant("YOLOv1")
class in_one_sequence(nn.Module):
    def __init__(self, backbone, in_features, S=7, B=2, C=20):
        super().__init__()
        self.S, self.B, self.C = S, B, C
        self.net = nn.Sequential(
            backbone,
            nn.Flatten(),
            nn.Linear(in_features, 256),
            nn.LeakyReLU(0.1),
            nn.Dropout(0.5),
            nn.Linear(256, S * S * (B * 5 + C)),
            nn.Unflatten(1, (S, S, B * 5 + C)),
        )

    def forward(self, x):
        return self.net(x)


@variant("YOLOv1")
class with_view(nn.Module):
    def __init__(self, backbone, in_features, S=7, B=2, C=20):
        nn.Module.__init__(self)
        self.features = backbone
        self.S, self.B, self.C = S, B, C
        self.fc1 = nn.Linear(in_features, 1024)
        self.act = nn.ELU()
        self.fc2 = nn.Linear(1024, (B * 5 + C) * S**2)

    def forward(self, x):
        n = x.shape[0]
        y = self.features(x)
        y = y.reshape(n, self.fc1.in_features)
        y = self.fc2(self.act(self.fc1(y)))
        return y.view(n, self.S, self.S, self.B * 5 + self.C)


# ---------------------------------------------------------------- detect

edit(
    "detect",
    "not_in_eval_mode",
    {"    model.eval()\n": ""},
    hint="The network answers in train mode, so dropout or batch statistics disturb it.",
)
edit(
    "detect",
    "left_in_eval_mode",
    {"    model.train(was_training)\n": ""},
    hint="A network in training is left in eval mode: what was its mode before?",
)
edit(
    "detect",
    "always_back_to_training",
    {"model.train(was_training)": "model.train()"},
    hint="A network in eval mode is switched to training: what was its mode before?",
)
edit(
    "detect",
    "with_gradients",
    {"with torch.no_grad():": "if True:"},
    hint="The results drag gradients along. Detection needs none, and they cost memory.",
)
edit(
    "detect",
    "one_nms_for_all_classes",
    {"ops.batched_nms(boxes, scores, labels, iou_threshold)": "ops.nms(boxes, scores, iou_threshold)"},
    hint="Boxes of one class suppress those of another.",
)
edit(
    "detect",
    "no_nms",
    {"ops.batched_nms(boxes, scores, labels, iou_threshold)": "scores.argsort(descending=True)"},
    hint="Duplicates stay: nothing suppresses them.",
)
edit(
    "detect",
    "paper_sizes_always",
    {
        "decode_predictions(prediction, model.B, model.C, score_threshold)": "decode_predictions(prediction, score_threshold=score_threshold)"
    },
    hint="It decodes with the default B and C. The model knows its own.",
)
edit(
    "detect",
    "default_score_threshold",
    {
        "decode_predictions(prediction, model.B, model.C, score_threshold)": "decode_predictions(prediction, model.B, model.C)"
    },
    hint="The score threshold that was passed in has no effect.",
)
edit(
    "detect",
    "fixed_iou_threshold",
    {"labels, iou_threshold)": "labels, 0.5)"},
    hint="The IoU threshold that was passed in has no effect.",
)
edit(
    "detect",
    "thresholds_exchanged",
    {
        "model.B, model.C, score_threshold)": "model.B, model.C, iou_threshold)",
        "labels, iou_threshold)": "labels, score_threshold)",
    },
    hint="Both thresholds are used, but each in the place of the other.",
)
edit(
    "detect",
    "in_order_of_cells",
    {
        "    kept = ops.batched_nms(boxes, scores, labels, iou_threshold)": "    kept = ops.batched_nms(boxes, scores, labels, iou_threshold).sort().values"
    },
    hint="The boxes come in the order of the cells. By falling score is asked for.",
)
edit(
    "detect",
    "first_picture_only",
    {"for prediction in predictions:": "for prediction in predictions[:1]:"},
    hint="Only the first picture of the batch gets a result.",
)
edit(
    "detect",
    "class_by_class",
    {"kept = ops.batched_nms(boxes, scores, labels, iou_threshold)":
     "kept = torch.cat([(labels == k).nonzero()[:, 0][ops.nms(boxes[labels == k], scores[labels == k], iou_threshold)] for k in range(model.C)])"},
    hint="The results come class by class. By falling score over all classes is asked for.",
)  # fmt: skip


@mutant("detect", hint="Boxes of one picture suppress those of another.")
def boxes_of_all_pictures_together(model, images, score_threshold, iou_threshold):
    was = model.training
    model.eval()
    with torch.no_grad():
        found = [decode_predictions(p, model.B, model.C, score_threshold) for p in model(images)]
    model.train(was)
    picture = torch.cat([torch.full((len(scores),), n) for n, (_, scores, _) in enumerate(found)])
    boxes, scores, labels = (torch.cat(part) for part in zip(*found))
    kept = ops.batched_nms(boxes, scores, labels, iou_threshold)
    kept = [kept[picture[kept] == n] for n in range(len(images))]
    return [{"boxes": boxes[k], "scores": scores[k], "labels": labels[k]} for k in kept]


@mutant(
    "detect", hint="A tuple comes back for each picture. A dict with the names boxes, scores and labels is asked for."
)
def tuples_for_dicts(model, images, score_threshold, iou_threshold):
    was = model.training
    model.eval()
    with torch.no_grad():
        out = model(images)
    model.train(was)
    found = []
    for p in out:
        b, s, c = decode_predictions(p, model.B, model.C, score_threshold)
        k = ops.batched_nms(b, s, c, iou_threshold)
        found.append((b[k], s[k], c[k]))
    return found


@variant("detect")
def one_picture_after_the_other(model, images, score_threshold, iou_threshold):
    mode = model.training
    try:
        model.eval()
        found = []
        for image in images:
            with torch.inference_mode():
                pred = model(image[None])[0].clone()
            pred = pred.clone()
            b, s, c = decode_predictions(pred, B=model.B, C=model.C, score_threshold=score_threshold)
            k = ops.batched_nms(b, s, c, iou_threshold)
            found.append(dict(boxes=b[k].clone(), scores=s[k].clone(), labels=c[k].clone()))
        return found
    finally:
        model.train(mode)


@variant("detect")
def nms_by_label(model, images, score_threshold, iou_threshold):
    before = model.training
    model.train(False)
    with torch.no_grad():
        answers = model(images).detach()
    if before:
        model.train(True)
    results = []
    for answer in answers:
        boxes, scores, labels = decode_predictions(answer, model.B, model.C, score_threshold)
        keep = torch.zeros(len(boxes), dtype=torch.bool)
        for label in labels.unique():
            mine = torch.where(labels == label)[0]
            keep[mine[ops.nms(boxes[mine], scores[mine], iou_threshold)]] = True
        order = torch.argsort(scores[keep], descending=True, stable=True)
        results.append({"labels": labels[keep][order], "scores": scores[keep][order], "boxes": boxes[keep][order]})
    return results


@variant("detect")
def by_hand(model, images, score_threshold, iou_threshold):
    training = bool(model.training)
    model.eval()
    with torch.no_grad():
        raw = model(images)
    model.train(training)
    out = []
    for k in range(raw.shape[0]):
        boxes, scores, labels = decode_predictions(raw[k], model.B, model.C, score_threshold)
        left = torch.argsort(-scores, stable=True).tolist()
        kept = []
        while left:
            i = left.pop(0)
            kept.append(i)
            left = [
                j
                for j in left
                if labels[j] != labels[i] or ops.box_iou(boxes[i : i + 1], boxes[j : j + 1]) <= iou_threshold
            ]
        kept = torch.tensor(kept, dtype=torch.long)
        out.append({"boxes": boxes[kept], "scores": scores[kept], "labels": labels[kept]})
    return out


# ---------------------------------------------------------------- kmeans_anchors

edit(
    "kmeans_anchors",
    "euclidean_distance",
    {
        "return 1 - common / (sizes.prod(dim=1)[:, None] + centres.prod(dim=1) - common)": "return torch.cdist(sizes, centres)"
    },
    hint="Small boxes are lumped together while large ones get several priors: the distance is 1 - IoU, not that of points.",
)
edit(
    "kmeans_anchors",
    "one_start_only",
    {"for _ in range(10):": "for _ in range(1):"},
    hint="Now and then the result is not the best: a single start can get stuck.",
)
edit(
    "kmeans_anchors",
    "last_start_instead_of_best",
    {"if best is None or mean < best_mean:": "if True:"},
    hint="Now and then the result is not the best: of several starts, which one is returned?",
)
edit(
    "kmeans_anchors",
    "worst_start",
    {"mean < best_mean": "mean > best_mean"},
    hint="Of the starts the worst is returned: a small mean distance is good.",
)
edit(
    "kmeans_anchors",
    "sorted_by_width",
    {"best.prod(dim=1).argsort()": "best[:, 0].argsort()"},
    hint="The priors come in the wrong order: by rising area, which is not the order of their widths.",
)
edit(
    "kmeans_anchors",
    "falling_area",
    {"best.prod(dim=1).argsort()": "best.prod(dim=1).argsort(descending=True)"},
    hint="The priors come in the wrong order: by rising area, so the smallest first.",
)
edit(
    "kmeans_anchors",
    "not_sorted",
    {"best[best.prod(dim=1).argsort()]": "best"},
    hint="The priors come in the order in which they happened to be found. By rising area is asked for.",
)
edit(
    "kmeans_anchors",
    "medians",
    {"members.mean(dim=0)": "members.median(dim=0).values"},
    hint="A centre is not the mean of its boxes.",
)
edit(
    "kmeans_anchors",
    "starts_are_the_result",
    {"for _ in range(100):": "for _ in range(0):"},
    hint="The priors are boxes of the data and not means: are the centres ever moved?",
)
edit(
    "kmeans_anchors",
    "one_step",
    {"for _ in range(100):": "for _ in range(1):"},
    hint="The priors are not yet where they come to rest: repeat until nothing changes.",
)
edit(
    "kmeans_anchors",
    "empty_cluster_becomes_nan",
    {"members.mean(dim=0) if len(members) else centre": "members.mean(dim=0)"},
    hint="The mean of an empty cluster is not a number. Such a cluster keeps its centre.",
)
edit(
    "kmeans_anchors",
    "global_randomness",
    {
        "torch.randint(len(sizes), (1,), generator=generator)": "torch.randint(len(sizes), (1,))",
        "torch.multinomial(weights, 1, generator=generator)": "torch.multinomial(weights, 1)",
    },
    hint="The generator that was passed in is not used, so the result can not be repeated.",
)
edit(
    "kmeans_anchors",
    "width_and_height_exchanged",
    {"return best[best.prod(dim=1).argsort()]": "return best[best.prod(dim=1).argsort()].flip(1)"},
    hint="Width and height of the priors look exchanged.",
)


@variant("kmeans_anchors")
def with_torchvision_iou(sizes, k, generator):
    def corners(some):
        return torch.cat([torch.zeros_like(some), some], dim=1)

    def distance(a, b):
        return 1 - ops.box_iou(corners(a), corners(b))

    best, least = None, float("inf")
    for _ in range(15):
        first = int(torch.randint(0, sizes.shape[0], (), generator=generator))
        chosen = [first]
        for _ in range(1, k):
            d = distance(sizes, sizes[chosen]).min(dim=1).values + 1e-12
            chosen.append(int(torch.multinomial(d / d.sum(), 1, generator=generator)))
        centres = sizes[chosen].clone()
        while True:
            group = distance(sizes, centres).argmin(dim=1)
            new = centres.clone()
            for j in range(k):
                if (group == j).any():
                    new[j] = sizes[group == j].mean(dim=0)
            if torch.allclose(new, centres, atol=1e-9):
                break
            centres = new
        cost = float(distance(sizes, centres).min(dim=1).values.mean())
        if cost < least:
            best, least = centres, cost
    return best[torch.argsort(best[:, 0] * best[:, 1])]


@variant("kmeans_anchors")
def in_numpy(sizes, k, generator):
    data = sizes.double().numpy()

    def distance(centres):
        both = np.minimum(data[:, None], centres[None]).prod(-1)
        return 1 - both / (data.prod(-1)[:, None] + centres.prod(-1)[None] - both)

    results = []
    for _ in range(20):
        rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
        centres = data[rng.integers(len(data))][None]
        while len(centres) < k:
            weight = distance(centres).min(axis=1) ** 2 + 1e-15
            centres = np.concatenate([centres, data[rng.choice(len(data), p=weight / weight.sum())][None]])
        for _ in range(300):
            group = distance(centres).argmin(axis=1)
            centres = np.array([data[group == j].mean(axis=0) if (group == j).any() else centres[j] for j in range(k)])
        results.append((distance(centres).min(axis=1).mean(), centres))
    centres = min(results, key=lambda pair: pair[0])[1]
    return torch.from_numpy(centres[np.argsort(centres.prod(axis=1))]).to(sizes.dtype)


edit(
    "kmeans_anchors",
    "more_starts",
    {
        "for _ in range(10):": "for _ in range(30):",
        "distance(centres).amin(dim=1).square()": "distance(centres).amin(dim=1)",
    },
)

# ---------------------------------------------------------------- focal_loss

edit(
    "focal_loss",
    "mean_for_sum",
    {"(balance * (1 - right) ** gamma * error).sum()": "(balance * (1 - right) ** gamma * error).mean()"},
    hint="The result shrinks with the number of logits: a sum is asked for, not a mean.",
)
edit(
    "focal_loss",
    "balance_exchanged",
    {"alpha * targets + (1 - alpha) * (1 - targets)": "(1 - alpha) * targets + alpha * (1 - targets)"},
    hint="Positives and negatives have each other's weight: alpha belongs to the positives.",
)
edit(
    "focal_loss",
    "balance_for_positives_only",
    {"alpha * targets + (1 - alpha) * (1 - targets)": "alpha * targets + (1 - targets)"},
    hint="Negatives weigh too much: if positives have alpha, what do negatives have?",
)
edit(
    "focal_loss",
    "no_balance",
    {"balance * (1 - right)": "(1 - right)"},
    hint="alpha has no effect.",
)
edit(
    "focal_loss",
    "easy_ones_count",
    {"(1 - right) ** gamma": "right ** gamma"},
    hint="Easy examples count more than hard ones: it should be the other way round.",
)
edit(
    "focal_loss",
    "gamma_as_factor",
    {"(1 - right) ** gamma": "(1 - right) * gamma"},
    hint="gamma multiplies. It is an exponent.",
)
edit(
    "focal_loss",
    "no_focus",
    {"* (1 - right) ** gamma": ""},
    hint="gamma has no effect.",
)
edit(
    "focal_loss",
    "probability_of_one_for_all",
    {"probability * targets + (1 - probability) * (1 - targets)": "probability"},
    hint="Negatives are judged as if they were positives: how sure is the network of the *right* answer?",
)
edit(
    "focal_loss",
    "logarithm_of_sigmoid",
    {'F.binary_cross_entropy_with_logits(logits, targets, reduction="none")': "-torch.log(right)"},
    hint="For large logits the loss is not finite: the logarithm of a sigmoid that has become 0. There is a stable way to compute it.",
)
edit(
    "focal_loss",
    "logarithm_with_a_floor",
    {'F.binary_cross_entropy_with_logits(logits, targets, reduction="none")': "-torch.log(right.clamp(min=1e-6))"},
    hint="Very wrong logits cost too little and have no gradient: the logarithm is cut off.",
)
edit(
    "focal_loss",
    "logarithm_of_a_little_more",
    {'F.binary_cross_entropy_with_logits(logits, targets, reduction="none")': "-torch.log(right + 1e-8)"},
    hint="Very wrong logits cost too little (never more than some 18) and have no gradient: a small number added inside the logarithm only hides that the sigmoid has become 0.",
)
edit(
    "focal_loss",
    "fails_on_integer_targets",
    {"targets = targets.to(logits.dtype)": "targets = targets"},
    hint="Targets may be whole numbers or bool; convert them first.",
)
edit(
    "focal_loss",
    "softmax_over_classes",
    {"probability = logits.sigmoid()": "probability = logits.softmax(dim=-1)"},
    hint="Classes compete with each other. Each is a yes or no of its own here.",
)


@variant("focal_loss")
def by_logsigmoid(logits, targets, alpha=0.25, gamma=2.0):
    targets = targets.bool()
    sign = torch.where(targets, torch.ones_like(logits), -torch.ones_like(logits))
    weight = torch.where(targets, torch.full_like(logits, alpha), torch.full_like(logits, 1 - alpha))
    return -(weight * torch.sigmoid(-sign * logits).pow(gamma) * F.logsigmoid(sign * logits)).sum()


@variant("focal_loss")
def by_softplus(logits, targets, alpha=0.25, gamma=2.0):
    t = targets.to(logits)
    p = torch.sigmoid(logits)
    positive = alpha * (1 - p) ** gamma * F.softplus(-logits)
    negative = (1 - alpha) * p**gamma * F.softplus(logits)
    return (t * positive + (1 - t) * negative).sum()


@variant("focal_loss")
def in_double(logits, targets, alpha=0.25, gamma=2.0):
    x, t = logits.double(), targets.double()
    error = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    right = torch.exp(-error)
    return ((alpha * t + (1 - alpha) * (1 - t)) * (1 - right) ** gamma * error).sum().to(logits.dtype)
