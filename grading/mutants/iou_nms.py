"""Answers to the tasks of 01_iou_nms: wrong ones that students write, and right ones that look different from ours."""

from grading.audit import mutant, variant


@mutant("xywh_to_xyxy", hint="The boxes come back as they went in: the far corner is not the width and the height.")
def sizes_as_far_corner(boxes):
    return boxes.copy()


@mutant(
    "xywh_to_xyxy",
    hint="x and y look taken for the centre of the box. In COCO's format they are its top-left corner.",
)
def centre_as_corner(boxes):
    x, y, w, h = boxes.T
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)


@mutant(
    "xywh_to_xyxy",
    hint="The far corner is off by one pixel. Coordinates are continuous here: a box of width 0 ends where it begins.",
)
def last_pixel_as_far_corner(boxes):
    x, y, w, h = boxes.T
    return np.stack([x, y, x + w - 1, y + h - 1], axis=1)


@mutant("xywh_to_xyxy", hint="Width and height look swapped: which of them belongs to x?")
def sides_swapped_to_corners(boxes):
    x, y, w, h = boxes.T
    return np.stack([x, y, x + h, y + w], axis=1)


@mutant(
    "xywh_to_xyxy",
    hint="The order of the columns is off. It is x1, y1, x2, y2: x before y, and corner by corner, not axis by axis.",
)
def rows_before_columns(boxes):
    x, y, w, h = boxes.T
    return np.stack([y, x, y + h, x + w], axis=1)


@mutant(
    "xywh_to_xyxy",
    hint="The order of the columns is off. It is x1, y1, x2, y2: x before y, and corner by corner, not axis by axis.",
)
def axis_by_axis(boxes):
    x, y, w, h = boxes.T
    return np.stack([x, x + w, y, y + h], axis=1)


@mutant(
    "xywh_to_xyxy", hint="The vertical side looks wrong while the horizontal one is right: a slip of copy and paste?"
)
def width_used_twice(boxes):
    x, y, w, h = boxes.T
    return np.stack([x, y, x + w, y + w], axis=1)


@mutant("xywh_to_xyxy", hint="Fractions of a pixel get lost. Coordinates are floats; nothing needs to be whole.")
def whole_corners(boxes):
    boxes = boxes.astype(int)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


@mutant("xywh_to_xyxy", hint="The array that was passed in is changed: the caller still needs its boxes as they were.")
def corners_in_place(boxes):
    boxes[:, 2:] += boxes[:, :2]
    return boxes


@mutant("xywh_to_xyxy", hint="With no box at all the result has lost its second dimension: (0, 4) is expected.")
def corners_from_list(boxes):
    return np.array([[x, y, x + w, y + h] for x, y, w, h in boxes])


@mutant(
    "xywh_to_xyxy", hint="Rows and columns of the array look mixed up: one row is one box, one column one coordinate."
)
def boxes_in_columns(boxes):
    x, y, w, h = boxes
    return np.stack([x, y, x + w, y + h])


@mutant(
    "xywh_to_xyxy", hint="Boxes that begin left of or above the image are cut off. A conversion keeps them as they are."
)
def corners_clipped(boxes):
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).clip(0)


@mutant("xywh_to_xyxy", hint="The numbers are right, but not in a NumPy array: a list or a tensor has to be converted.")
def list_of_corners(boxes):
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).tolist()


@mutant("xywh_to_xyxy", hint="For a single box the result has lost its first dimension: (1, 4) is expected.")
def corners_squeezed(boxes):
    return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]).squeeze()


@variant("xywh_to_xyxy")
def corners_row_by_row(boxes):
    result = np.zeros((len(boxes), 4))
    for i in range(len(boxes)):
        x, y, w, h = boxes[i]
        result[i] = x, y, x + w, y + h
    return result


@variant("xywh_to_xyxy")
def corners_by_matrix(boxes):
    return boxes @ np.array([[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]])


@variant("xywh_to_xyxy")
def corners_float32(boxes):
    boxes = np.array(boxes, dtype=np.float32)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


@variant("xywh_to_xyxy")
def corners_with_torch(boxes):
    import torch

    x, y, w, h = torch.tensor(boxes).unbind(dim=1)
    return torch.stack([x, y, x + w, y + h], dim=1).numpy()


@mutant("xyxy_to_xywh", hint="The sides depend on where the box lies, but a box that is moved does not become larger.")
def far_corner_as_sizes(boxes):
    return boxes.copy()


@mutant("xyxy_to_xywh", hint="x and y look like the centre of the box. In COCO's format they are its top-left corner.")
def centre_and_sizes(boxes):
    x1, y1, x2, y2 = boxes.T
    return np.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], axis=1)


@mutant(
    "xyxy_to_xywh",
    hint="The sides are one pixel too long. Coordinates are continuous here: from 10 to 40 it is 30, without a +1.",
)
def sides_plus_one(boxes):
    x1, y1, x2, y2 = boxes.T
    return np.stack([x1, y1, x2 - x1 + 1, y2 - y1 + 1], axis=1)


@mutant("xyxy_to_xywh", hint="Width and height look swapped: width is measured along x and comes first.")
def height_before_width(boxes):
    x1, y1, x2, y2 = boxes.T
    return np.stack([x1, y1, y2 - y1, x2 - x1], axis=1)


@mutant("xyxy_to_xywh", hint="x and y look swapped: x comes first, and so does the width.")
def y_before_x(boxes):
    x1, y1, x2, y2 = boxes.T
    return np.stack([y1, x1, y2 - y1, x2 - x1], axis=1)


@mutant("xyxy_to_xywh", hint="The sides have the wrong sign: which corner is subtracted from which?")
def sides_negative(boxes):
    return np.concatenate([boxes[:, :2], boxes[:, :2] - boxes[:, 2:]], axis=1)


@mutant("xyxy_to_xywh", hint="The coordinates are read in the wrong order. A box is x1, y1, x2, y2: corner by corner.")
def read_axis_by_axis(boxes):
    x1, x2, y1, y2 = boxes.T
    return np.stack([x1, y1, x2 - x1, y2 - y1], axis=1)


@mutant("xyxy_to_xywh", hint="Fractions of a pixel get lost. Coordinates are floats; nothing needs to be whole.")
def whole_sides(boxes):
    x1, y1, x2, y2 = boxes.round().T
    return np.stack([x1, y1, x2 - x1, y2 - y1], axis=1)


@mutant("xyxy_to_xywh", hint="The array that was passed in is changed: the caller still needs its boxes as they were.")
def sides_in_place(boxes):
    boxes[:, 2] = boxes[:, 2] - boxes[:, 0]
    boxes[:, 3] = boxes[:, 3] - boxes[:, 1]
    return boxes


@mutant("xyxy_to_xywh", hint="With no box at all the function fails or loses a dimension: (0, 4) is expected.")
def sides_stacked_one_by_one(boxes):
    return np.vstack([np.array([b[0], b[1], b[2] - b[0], b[3] - b[1]]) for b in boxes])


@mutant("xyxy_to_xywh", hint="The sides depend on where the box lies, but a box that is moved does not become larger.")
def converted_the_other_way(boxes):
    x, y, w, h = boxes.T
    return np.stack([x, y, x + w, y + h], axis=1)


@mutant("xyxy_to_xywh", hint="For a single box the result has lost its first dimension: (1, 4) is expected.")
def sides_squeezed(boxes):
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).squeeze()


@mutant("xyxy_to_xywh", hint="The numbers are right, but not in a NumPy array: a list or a tensor has to be converted.")
def list_of_sides(boxes):
    return [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in boxes.tolist()]


@variant("xyxy_to_xywh")
def sides_row_by_row(boxes):
    result = np.empty_like(boxes)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        result[i] = [x1, y1, x2 - x1, y2 - y1]
    return result


@variant("xyxy_to_xywh")
def sides_by_matrix(boxes):
    return np.einsum("nk,kj->nj", boxes, np.array([[1, 0, -1, 0], [0, 1, 0, -1], [0, 0, 1, 0], [0, 0, 0, 1]]))


@variant("xyxy_to_xywh")
def sides_float32(boxes):
    corners = boxes.astype(np.float32)
    return np.hstack((corners[:, 0:2], np.diff(corners.reshape(-1, 2, 2), axis=1)[:, 0]))


@variant("xyxy_to_xywh")
def sides_from_list(boxes):
    return np.array([[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in boxes]).reshape(-1, 4)


@mutant(
    "box_area", hint="The areas are a pixel's row and column too large: a box from 10 to 40 is 30 wide, without a +1."
)
def area_plus_one(boxes):
    x1, y1, x2, y2 = boxes.T
    return np.maximum(x2 - x1 + 1, 0) * np.maximum(y2 - y1 + 1, 0)


@mutant(
    "box_area", hint="The far corner looks taken for width and height: the area must not depend on where a box lies."
)
def far_corner_product(boxes):
    return np.maximum(boxes[:, 2], 0) * np.maximum(boxes[:, 3], 0)


@mutant("box_area", hint="Some areas are negative, or positive only because two negative sides were multiplied.")
def area_not_clamped(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


@mutant(
    "box_area",
    hint="A box inverted in both directions has an area here: two negative sides were multiplied before the clamp.",
)
def area_clamped_late(boxes):
    x1, y1, x2, y2 = boxes.T
    return np.maximum((x2 - x1) * (y2 - y1), 0)


@mutant("box_area", hint="Inverted boxes are measured as if their corners were in order. Their area is 0.")
def area_absolute(boxes):
    x1, y1, x2, y2 = boxes.T
    return np.abs(x2 - x1) * np.abs(y2 - y1)


@mutant("box_area", hint="Width and height are added, not multiplied.")
def half_perimeter(boxes):
    w = np.maximum(boxes[:, 2] - boxes[:, 0], 0)
    h = np.maximum(boxes[:, 3] - boxes[:, 1], 0)
    return np.where((w > 0) & (h > 0), w + h, 0)


@mutant("box_area", hint="The coordinates are read in the wrong order. A box is x1, y1, x2, y2: corner by corner.")
def area_axis_by_axis(boxes):
    x1, x2, y1, y2 = boxes.T
    return np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)


@mutant("box_area", hint="Every box is measured as a square: one of the two sides is used twice.")
def width_squared(boxes):
    w = np.maximum(boxes[:, 2] - boxes[:, 0], 0)
    h = np.maximum(boxes[:, 3] - boxes[:, 1], 0)
    return np.where(h > 0, w * w, 0)


@mutant("box_area", hint="Fractions of a pixel get lost. Coordinates are floats; nothing needs to be whole.")
def whole_area(boxes):
    x1, y1, x2, y2 = boxes.astype(int).T
    return np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)


@mutant("box_area", hint="The result has a dimension too many: one number a box is a vector of shape (N,).")
def area_as_column(boxes):
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return sides[:, :1] * sides[:, 1:]


@mutant("box_area", hint="The array that was passed in is changed: the caller still needs its boxes as they were.")
def area_in_place(boxes):
    boxes[:, 2:] -= boxes[:, :2]
    return np.maximum(boxes[:, 2], 0) * np.maximum(boxes[:, 3], 0)


@mutant("box_area", hint="With no box at all the function fails. An empty array of areas is expected.")
def area_stacked(boxes):
    return np.stack([max(x2 - x1, 0.0) * max(y2 - y1, 0.0) for x1, y1, x2, y2 in boxes])


@mutant("box_area", hint="Negative coordinates are cut off: a box may begin left of or above the image.")
def area_inside_image(boxes):
    x1, y1, x2, y2 = np.maximum(boxes, 0).T
    return np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)


@mutant("box_area", hint="The numbers are right, but not in a NumPy array: a list or a tensor has to be converted.")
def list_of_areas(boxes):
    return [max(x2 - x1, 0.0) * max(y2 - y1, 0.0) for x1, y1, x2, y2 in boxes.tolist()]


@variant("box_area")
def area_by_loop(boxes):
    areas = np.zeros(len(boxes))
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        if x2 > x1 and y2 > y1:
            areas[i] = (x2 - x1) * (y2 - y1)
    return areas


@variant("box_area")
def area_by_product(boxes):
    return np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)


@variant("box_area")
def area_float32(boxes):
    x1, y1, x2, y2 = boxes.astype("float32").T
    valid = np.logical_and(x2 > x1, y2 > y1)
    return np.where(valid, (x2 - x1) * (y2 - y1), np.float32(0))


@variant("box_area")
def area_with_torch(boxes):
    import torch

    corners = torch.from_numpy(boxes)
    return torch.relu(corners[:, 2:] - corners[:, :2]).prod(dim=1).numpy()


@mutant(
    "box_iou", hint="The union counts what both boxes share twice, so that a box and itself have an IoU of only 1/2."
)
def union_counts_twice(boxes1, boxes2):
    top_left = np.maximum(boxes1[:, None, :2], boxes2[:, :2])
    bottom_right = np.minimum(boxes1[:, None, 2:], boxes2[:, 2:])
    inter = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    union = box_area(boxes1)[:, None] + box_area(boxes2)
    return np.where(union > 0, inter / np.where(union > 0, union, 1), 0)


@mutant("box_iou", hint="Boxes that lie apart overlap here: two negative sides have a positive product.")
def sides_not_clamped(boxes1, boxes2):
    w = np.minimum(boxes1[:, None, 2], boxes2[:, 2]) - np.maximum(boxes1[:, None, 0], boxes2[:, 0])
    h = np.minimum(boxes1[:, None, 3], boxes2[:, 3]) - np.maximum(boxes1[:, None, 1], boxes2[:, 1])
    inter = w * h
    union = box_area(boxes1)[:, None] + box_area(boxes2)[None] - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


@mutant("box_iou", hint="Boxes that lie apart have an IoU other than 0: clip each side of the intersection at 0.")
def sides_not_clamped_guarded(boxes1, boxes2):
    top_left = np.maximum(boxes1[:, None, :2], boxes2[None, :, :2])
    bottom_right = np.minimum(boxes1[:, None, 2:], boxes2[None, :, 2:])
    inter = (bottom_right - top_left).prod(axis=2)
    union = np.maximum(box_area(boxes1)[:, None] + box_area(boxes2)[None] - inter, 1e-9)
    return np.clip(inter / union, 0, 1)


@mutant(
    "box_iou",
    hint="Boxes that are apart both in x and in y overlap here: the product is clamped, but not each of the sides.",
)
def product_clamped(boxes1, boxes2):
    w = np.minimum(boxes1[:, None, 2], boxes2[:, 2]) - np.maximum(boxes1[:, None, 0], boxes2[:, 0])
    h = np.minimum(boxes1[:, None, 3], boxes2[:, 3]) - np.maximum(boxes1[:, None, 1], boxes2[:, 1])
    inter = np.maximum(w * h, 0)
    union = box_area(boxes1)[:, None] + box_area(boxes2)[None] - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


@mutant(
    "box_iou", hint="The sides are one pixel too long. Coordinates are continuous: boxes that only touch share nothing."
)
def iou_plus_one(boxes1, boxes2):
    top_left = np.maximum(boxes1[:, None, :2], boxes2[:, :2])
    bottom_right = np.minimum(boxes1[:, None, 2:], boxes2[:, 2:])
    w, h = np.maximum(bottom_right - top_left + 1, 0).transpose(2, 0, 1)
    area1 = (boxes1[:, 2] - boxes1[:, 0] + 1) * (boxes1[:, 3] - boxes1[:, 1] + 1)
    area2 = (boxes2[:, 2] - boxes2[:, 0] + 1) * (boxes2[:, 3] - boxes2[:, 1] + 1)
    return w * h / (area1[:, None] + area2 - w * h)


@mutant("box_iou", hint="Empty boxes give nan: where the union is empty, 0 / 0 must become 0.")
def empty_union_is_nan(boxes1, boxes2):
    top_left = np.maximum(boxes1[:, None, :2], boxes2[:, :2])
    bottom_right = np.minimum(boxes1[:, None, 2:], boxes2[:, 2:])
    inter = np.maximum(bottom_right - top_left, 0).prod(axis=-1)
    return inter / (box_area(boxes1)[:, None] + box_area(boxes2) - inter)


@mutant(
    "box_iou", hint="Inverted or empty boxes give nan: a negative area can make the union 0, and 0 / 0 is not a number."
)
def inverted_area_in_union(boxes1, boxes2):
    top_left = np.maximum(boxes1[:, None, :2], boxes2[:, :2])
    bottom_right = np.minimum(boxes1[:, None, 2:], boxes2[:, 2:])
    inter = np.maximum(bottom_right - top_left, 0).prod(axis=-1)
    area1 = (boxes1[:, 2] - boxes1[:, 0]) * (boxes1[:, 3] - boxes1[:, 1])
    area2 = (boxes2[:, 2] - boxes2[:, 0]) * (boxes2[:, 3] - boxes2[:, 1])
    return inter / (area1[:, None] + area2 - inter)


@mutant("box_iou", hint="The intersection is divided by the smaller box, so that a box inside a larger one gets 1.")
def over_smaller_box(boxes1, boxes2):
    top_left = np.maximum(boxes1[:, None, :2], boxes2[:, :2])
    bottom_right = np.minimum(boxes1[:, None, 2:], boxes2[:, 2:])
    inter = np.maximum(bottom_right - top_left, 0).prod(axis=-1)
    smaller = np.minimum(box_area(boxes1)[:, None], box_area(boxes2))
    return np.where(smaller > 0, inter / np.maximum(smaller, 1e-12), 0)


@mutant(
    "box_iou", hint="The intersection is divided by the area of the first box alone, so the result is not symmetric."
)
def over_first_box(boxes1, boxes2):
    top_left = np.maximum(boxes1[:, None, :2], boxes2[:, :2])
    bottom_right = np.minimum(boxes1[:, None, 2:], boxes2[:, 2:])
    inter = np.maximum(bottom_right - top_left, 0).prod(axis=-1)
    return inter / np.maximum(box_area(boxes1)[:, None], 1e-12)


@mutant("box_iou", hint="The area of the smallest box around both stands for the union: that is too large.")
def over_enclosing_box(boxes1, boxes2):
    inter = np.minimum(boxes1[:, None, 2:], boxes2[:, 2:]) - np.maximum(boxes1[:, None, :2], boxes2[:, :2])
    hull = np.maximum(boxes1[:, None, 2:], boxes2[:, 2:]) - np.minimum(boxes1[:, None, :2], boxes2[:, :2])
    inter, hull = np.maximum(inter, 0).prod(axis=2), np.maximum(hull, 0).prod(axis=2)
    return np.divide(inter, hull, out=np.zeros_like(inter), where=hull > 0)


@mutant("box_iou", hint="This is 2 * intersection / (area + area), the Dice score. IoU divides by the union.")
def dice_of_boxes(boxes1, boxes2):
    top_left = np.maximum(boxes1[:, None, :2], boxes2[:, :2])
    bottom_right = np.minimum(boxes1[:, None, 2:], boxes2[:, 2:])
    inter = np.maximum(bottom_right - top_left, 0).prod(axis=2)
    total = box_area(boxes1)[:, None] + box_area(boxes2)
    return np.divide(2 * inter, total, out=np.zeros_like(inter), where=total > 0)


@mutant("box_iou", hint="Rows and columns are swapped: row i belongs to the i-th box of the first set.")
def second_set_in_rows(boxes1, boxes2):
    top_left = np.maximum(boxes2[:, None, :2], boxes1[:, :2])
    bottom_right = np.minimum(boxes2[:, None, 2:], boxes1[:, 2:])
    inter = np.maximum(bottom_right - top_left, 0).prod(axis=2)
    union = box_area(boxes2)[:, None] + box_area(boxes1) - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


@mutant(
    "box_iou", hint="Only pairs at equal positions are compared. Every box of one set meets every box of the other."
)
def pair_by_pair(boxes1, boxes2):
    top_left = np.maximum(boxes1[:, :2], boxes2[:, :2])
    bottom_right = np.minimum(boxes1[:, 2:], boxes2[:, 2:])
    inter = np.maximum(bottom_right - top_left, 0).prod(axis=1)
    union = box_area(boxes1) + box_area(boxes2) - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


@mutant("box_iou", hint="The boxes are read as x, y, width, height. Here they are x1, y1, x2, y2.")
def iou_of_xywh(boxes1, boxes2):
    end1, end2 = boxes1[:, :2] + boxes1[:, 2:], boxes2[:, :2] + boxes2[:, 2:]
    sides = np.minimum(end1[:, None], end2) - np.maximum(boxes1[:, None, :2], boxes2[:, :2])
    inter = np.maximum(sides, 0).prod(axis=2)
    union = (boxes1[:, 2] * boxes1[:, 3])[:, None] + boxes2[:, 2] * boxes2[:, 3] - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


@mutant(
    "box_iou", hint="The small number that guards against 0 / 0 is not small beside a tiny box: small boxes lose IoU."
)
def large_epsilon(boxes1, boxes2):
    top_left = np.maximum(boxes1[:, None, :2], boxes2[:, :2])
    bottom_right = np.minimum(boxes1[:, None, 2:], boxes2[:, 2:])
    inter = np.maximum(bottom_right - top_left, 0).prod(axis=2)
    return inter / (box_area(boxes1)[:, None] + box_area(boxes2) - inter + 1e-5)


@mutant("box_iou", hint="A set without boxes makes the function fail: the result then has shape (0, M) or (N, 0).")
def iou_rows_stacked(boxes1, boxes2):
    rows = []
    for x1, y1, x2, y2 in boxes1:
        w = np.maximum(np.minimum(x2, boxes2[:, 2]) - np.maximum(x1, boxes2[:, 0]), 0)
        h = np.maximum(np.minimum(y2, boxes2[:, 3]) - np.maximum(y1, boxes2[:, 1]), 0)
        union = max(x2 - x1, 0) * max(y2 - y1, 0) + box_area(boxes2) - w * h
        rows.append(np.where(union > 0, w * h / np.maximum(union, 1e-12), 0))
    return np.array(rows)


@mutant("box_iou", hint="The array that was passed in is changed: the caller still needs its boxes as they were.")
def iou_in_place(boxes1, boxes2):
    boxes1[:, 2:] = np.maximum(boxes1[:, 2:], boxes1[:, :2])
    top_left = np.maximum(boxes1[:, None, :2], boxes2[:, :2])
    bottom_right = np.minimum(boxes1[:, None, 2:], boxes2[:, 2:])
    inter = np.maximum(bottom_right - top_left, 0).prod(axis=2)
    union = box_area(boxes1)[:, None] + box_area(boxes2) - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


@mutant("box_iou", hint="The numbers are right, but not in a NumPy array: a list or a tensor has to be converted.")
def list_of_ious(boxes1, boxes2):
    def iou(a, b):
        w = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
        h = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
        if w * h == 0:
            return 0.0
        return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)

    return [[iou(a, b) for b in boxes2.tolist()] for a in boxes1.tolist()]


@variant("box_iou")
def iou_with_loops(boxes1, boxes2):
    result = np.zeros((len(boxes1), len(boxes2)))
    for i, a in enumerate(boxes1):
        for j, b in enumerate(boxes2):
            w = min(a[2], b[2]) - max(a[0], b[0])
            h = min(a[3], b[3]) - max(a[1], b[1])
            if w > 0 and h > 0:
                area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
                result[i, j] = w * h / (area - w * h)
    return result


@variant("box_iou")
def iou_float32(boxes1, boxes2):
    x1, y1, x2, y2 = np.split(boxes1.astype(np.float32), 4, axis=1)
    u1, v1, u2, v2 = boxes2.astype(np.float32).T
    inter = np.maximum(np.minimum(x2, u2) - np.maximum(x1, u1), 0) * np.maximum(
        np.minimum(y2, v2) - np.maximum(y1, v1), 0
    )
    union = np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0) + np.maximum(u2 - u1, 0) * np.maximum(v2 - v1, 0) - inter
    union[union == 0] = 1
    return inter / union


@variant("box_iou")
def iou_small_epsilon(boxes1, boxes2):
    top_left = np.maximum(boxes1[:, None, :2], boxes2[None, :, :2])
    bottom_right = np.minimum(boxes1[:, None, 2:], boxes2[None, :, 2:])
    inter = np.prod(np.clip(bottom_right - top_left, 0, np.inf), axis=2)
    return inter / (np.add.outer(box_area(boxes1), box_area(boxes2)) - inter + 1e-6)


@variant("box_iou")
def iou_signed_areas(boxes1, boxes2):
    top_left = np.maximum(boxes1[:, None, :2], boxes2[:, :2])
    bottom_right = np.minimum(boxes1[:, None, 2:], boxes2[:, 2:])
    inter = np.maximum(bottom_right - top_left, 0).prod(axis=-1)
    area1, area2 = np.prod(boxes1[:, 2:] - boxes1[:, :2], axis=1), np.prod(boxes2[:, 2:] - boxes2[:, :2], axis=1)
    union = area1[:, None] + area2 - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=inter > 0)


@variant("box_iou")
def iou_nan_to_num(boxes1, boxes2):
    a, b = boxes1[:, np.newaxis], boxes2[np.newaxis]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    inter = np.where((sides > 0).all(axis=-1), sides[..., 0] * sides[..., 1], 0)
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(inter / (box_area(boxes1).reshape(-1, 1) + box_area(boxes2) - inter))


@variant("box_iou")
def iou_with_torch(boxes1, boxes2):
    import torch

    a, b = torch.tensor(boxes1)[:, None], torch.tensor(boxes2)[None]
    inter = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(dim=-1)
    union = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1) + (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1) - inter
    return torch.where(union > 0, inter / union, torch.zeros_like(union)).numpy()


@mutant("mask_iou", hint="The union counts shared pixels twice, so that a mask and itself have an IoU of only 1/2.")
def pixels_counted_twice(masks1, masks2):
    inter = np.einsum("nhw,mhw->nm", masks1.astype(float), masks2.astype(float))
    union = masks1.sum((1, 2))[:, None] + masks2.sum((1, 2))
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


@mutant(
    "mask_iou", hint="A product of bool arrays is bool: pixels are not counted, it is only said whether there is one."
)
def bool_product(masks1, masks2):
    a, b = masks1.reshape(len(masks1), -1), masks2.reshape(len(masks2), -1)
    inter = a @ b.T
    union = a.sum(1)[:, None] + b.sum(1) - inter
    return np.divide(inter, union, out=np.zeros(union.shape), where=union > 0)


@mutant("mask_iou", hint="Counts overflow: an 8-bit integer counts to 255 and starts again at 0, but masks are larger.")
def counts_overflow(masks1, masks2):
    a = masks1.reshape(len(masks1), masks1.shape[1] * masks1.shape[2]).astype(np.uint8)
    b = masks2.reshape(len(masks2), masks2.shape[1] * masks2.shape[2]).astype(np.uint8)
    inter = (a @ b.T).astype(float)
    union = a.sum(axis=1)[:, None] + b.sum(axis=1)[None] - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


@mutant("mask_iou", hint="Counts overflow: masks of 8-bit integers are summed in 8 bits, which end at 255.")
def sums_overflow(masks1, masks2):
    a, b = masks1[:, None].astype(np.uint8), masks2[None].astype(np.uint8)
    inter = (a & b).sum(axis=(2, 3), dtype=np.uint8)
    union = (a | b).sum(axis=(2, 3), dtype=np.uint8)
    return np.divide(inter, union, out=np.zeros(union.shape), where=union > 0)


@mutant("mask_iou", hint="Two empty masks give nan: where the union is empty, 0 / 0 must become 0.")
def empty_masks_are_nan(masks1, masks2):
    inter = np.logical_and(masks1[:, None], masks2[None]).sum(axis=(2, 3))
    union = np.logical_or(masks1[:, None], masks2[None]).sum(axis=(2, 3))
    return inter / union


@mutant("mask_iou", hint="Two empty masks get 1. That is a common choice for Dice, but here it is defined as 0.")
def empty_masks_agree(masks1, masks2):
    inter = np.logical_and(masks1[:, None], masks2[None]).sum(axis=(2, 3))
    union = np.logical_or(masks1[:, None], masks2[None]).sum(axis=(2, 3))
    return np.where(union == 0, 1.0, inter / np.maximum(union, 1))


@mutant("mask_iou", hint="Pixels that are background in both masks count as agreement: this is accuracy, not IoU.")
def pixel_accuracy(masks1, masks2):
    return (masks1[:, None] == masks2[None]).mean(axis=(2, 3))


@mutant("mask_iou", hint="This is 2 * intersection / (area + area), the Dice score. IoU divides by the union.")
def dice_of_masks(masks1, masks2):
    inter = np.logical_and(masks1[:, None], masks2[None]).sum(axis=(2, 3))
    total = masks1.sum(axis=(1, 2))[:, None] + masks2.sum(axis=(1, 2))
    return np.where(total > 0, 2 * inter / np.maximum(total, 1), 0)


@mutant(
    "mask_iou", hint="The intersection is divided by the area of the first mask alone, so the result is not symmetric."
)
def over_first_mask(masks1, masks2):
    inter = np.logical_and(masks1[:, None], masks2[None]).sum(axis=(2, 3))
    return inter / np.maximum(masks1.sum(axis=(1, 2)), 1)[:, None]


@mutant("mask_iou", hint="The intersection is divided by the smaller mask, so that a mask inside a larger one gets 1.")
def over_smaller_mask(masks1, masks2):
    inter = np.logical_and(masks1[:, None], masks2[None]).sum(axis=(2, 3))
    smaller = np.minimum(masks1.sum(axis=(1, 2))[:, None], masks2.sum(axis=(1, 2)))
    return inter / np.maximum(smaller, 1)


@mutant("mask_iou", hint="The boxes around the masks are compared, not their pixels.")
def boxes_around_masks(masks1, masks2):
    def around(masks):
        boxes = np.zeros((len(masks), 4))
        for i, mask in enumerate(masks):
            y, x = np.nonzero(mask)
            if len(x):
                boxes[i] = x.min(), y.min(), x.max() + 1, y.max() + 1
        return boxes

    return box_iou(around(masks1), around(masks2))


@mutant("mask_iou", hint="Rows and columns are swapped: row i belongs to the i-th mask of the first set.")
def second_masks_in_rows(masks1, masks2):
    inter = np.logical_and(masks2[:, None], masks1[None]).sum(axis=(2, 3))
    union = np.logical_or(masks2[:, None], masks1[None]).sum(axis=(2, 3))
    return np.where(union > 0, inter / np.maximum(union, 1), 0)


@mutant(
    "mask_iou", hint="Only masks at equal positions are compared. Every mask of one set meets every mask of the other."
)
def mask_by_mask(masks1, masks2):
    inter = np.logical_and(masks1, masks2).sum(axis=(1, 2))
    union = np.logical_or(masks1, masks2).sum(axis=(1, 2))
    return np.where(union > 0, inter / np.maximum(union, 1), 0)


@mutant("mask_iou", hint="A set without masks makes the function fail: the result then has shape (0, M) or (N, 0).")
def masks_in_lists(masks1, masks2):
    def iou(a, b):
        union = (a | b).sum()
        return (a & b).sum() / union if union else 0.0

    return np.array([[iou(a, b) for b in masks2] for a in masks1])


@mutant("mask_iou", hint="The masks are taken as square: height and width are two different numbers.")
def square_masks(masks1, masks2):
    size = min(masks1.shape[1:])
    a, b = masks1[:, None, :size, :size], masks2[None, :, :size, :size]
    union = (a | b).sum(axis=(2, 3))
    return np.where(union > 0, (a & b).sum(axis=(2, 3)) / np.maximum(union, 1), 0)


@mutant("mask_iou", hint="The numbers are right, but not in a NumPy array: a list or a tensor has to be converted.")
def list_of_mask_ious(masks1, masks2):
    return [[(a & b).sum() / max((a | b).sum(), 1) for b in masks2] for a in masks1]


@mutant(
    "mask_iou",
    hint="The masks that were passed in are changed, and so are the results that follow: `&=` works in place.",
)
def masks_in_place(masks1, masks2):
    result = np.zeros((len(masks1), len(masks2)))
    for i, a in enumerate(masks1):
        for j, b in enumerate(masks2):
            union = (a | b).sum()
            a &= b
            result[i, j] = a.sum() / max(union, 1)
    return result


@variant("mask_iou")
def masks_with_loops(masks1, masks2):
    result = np.zeros((masks1.shape[0], masks2.shape[0]))
    for i in range(masks1.shape[0]):
        for j in range(masks2.shape[0]):
            union = np.logical_or(masks1[i], masks2[j]).sum()
            if union > 0:
                result[i, j] = np.logical_and(masks1[i], masks2[j]).sum() / union
    return result


@variant("mask_iou")
def masks_einsum_float32(masks1, masks2):
    a, b = masks1.astype(np.float32), masks2.astype(np.float32)
    inter = np.einsum("nhw,mhw->nm", a, b)
    union = a.sum((1, 2))[:, None] + b.sum((1, 2)) - inter
    return inter / np.maximum(union, 1)


@variant("mask_iou")
def masks_by_difference(masks1, masks2):
    differ = (masks1[:, None] ^ masks2[None]).sum(axis=(2, 3))
    total = masks1.sum(axis=(1, 2))[:, None] + masks2.sum(axis=(1, 2))[None, :]
    return (total - differ) / np.maximum(total + differ, 1)


@variant("mask_iou")
def masks_with_torch(masks1, masks2):
    import torch

    a, b = torch.from_numpy(masks1).flatten(1).double(), torch.from_numpy(masks2).flatten(1).double()
    inter = a @ b.T
    return (inter / (a.sum(1)[:, None] + b.sum(1) - inter).clamp(min=1)).numpy()


@mutant("nms", hint="A box whose IoU equals the threshold is suppressed: only a greater IoU suppresses.")
def equal_iou_suppresses(boxes, scores, iou_threshold):
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        kept.append(order[0])
        iou = box_iou(boxes[order[:1]], boxes[order[1:]])[0]
        order = order[1:][iou < iou_threshold]
    return np.array(kept, dtype=int)


@mutant("nms", hint="The worst boxes win: sorting is by rising score, but the best box is to be kept first.")
def worst_first(boxes, scores, iou_threshold):
    order = np.argsort(scores, kind="stable")
    kept = []
    while len(order):
        kept.append(order[0])
        iou = box_iou(boxes[order[:1]], boxes[order[1:]])[0]
        order = order[1:][iou <= iou_threshold]
    return np.array(kept, dtype=int)


@mutant("nms", hint="Equal scores come out in reverse: a rising sort read backwards also reverses ties.")
def ties_reversed(boxes, scores, iou_threshold):
    order = np.argsort(scores, kind="stable")[::-1]
    kept = []
    while len(order):
        kept.append(order[0])
        iou = box_iou(boxes[order[:1]], boxes[order[1:]])[0]
        order = order[1:][iou <= iou_threshold]
    return np.array(kept, dtype=int)


@mutant("nms", hint="With many equal scores the order is arbitrary: NumPy's default sort is not stable.")
def sort_not_stable(boxes, scores, iou_threshold):
    order = np.argsort(-scores)
    kept = []
    while len(order):
        kept.append(order[0])
        iou = box_iou(boxes[order[:1]], boxes[order[1:]])[0]
        order = order[1:][iou <= iou_threshold]
    return np.array(kept, dtype=int)


@mutant(
    "nms", hint="The indices count places in the sorted order. They should point into the boxes as they were given."
)
def places_in_order(boxes, scores, iou_threshold):
    order = np.argsort(-scores, kind="stable")
    iou = box_iou(boxes[order], boxes[order])
    kept = []
    for i in range(len(order)):
        if all(iou[i, j] <= iou_threshold for j in kept):
            kept.append(i)
    return np.array(kept, dtype=int)


@mutant("nms", hint="The right boxes are kept, but in the order of the input: return them by falling score.")
def kept_in_input_order(boxes, scores, iou_threshold):
    order = np.argsort(-scores, kind="stable")
    keep = np.zeros(len(boxes), dtype=bool)
    while len(order):
        keep[order[0]] = True
        iou = box_iou(boxes[order[:1]], boxes[order[1:]])[0]
        order = order[1:][iou <= iou_threshold]
    return np.flatnonzero(keep)


@mutant("nms", hint="Suppressed boxes still suppress others. Compare a box only with boxes that were kept.")
def suppressed_boxes_suppress(boxes, scores, iou_threshold):
    order = np.argsort(-scores, kind="stable")
    iou = box_iou(boxes[order], boxes[order])
    keep = [not (iou[i, :i] > iou_threshold).any() for i in range(len(order))]
    return order[np.array(keep, dtype=bool)]


@mutant("nms", hint="A box is compared only with the last box that was kept. Any kept box may suppress it.")
def compared_with_last_kept(boxes, scores, iou_threshold):
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        if not kept or box_iou(boxes[[kept[-1]]], boxes[[i]])[0, 0] <= iou_threshold:
            kept.append(i)
    return np.array(kept, dtype=int)


@mutant("nms", hint="Without boxes the result is an array of floats, which can not be used as an index.")
def empty_result_is_float(boxes, scores, iou_threshold):
    order = list(np.argsort(-scores, kind="stable"))
    kept = []
    while order:
        best = order.pop(0)
        kept.append(best)
        order = [i for i in order if box_iou(boxes[[best]], boxes[[i]])[0, 0] <= iou_threshold]
    return np.array(kept)


@mutant("nms", hint="The indices are floats. An array can be indexed only by integers.")
def float_indices(boxes, scores, iou_threshold):
    order = np.argsort(-scores, kind="stable")
    kept = np.empty(0)
    while len(order):
        kept = np.append(kept, order[0])
        iou = box_iou(boxes[order[:1]], boxes[order[1:]])[0]
        order = order[1:][iou <= iou_threshold]
    return kept


@mutant("nms", hint="The threshold of the call is not used: different thresholds give the same result.")
def threshold_fixed(boxes, scores, iou_threshold):
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        kept.append(order[0])
        iou = box_iou(boxes[order[:1]], boxes[order[1:]])[0]
        order = order[1:][iou <= 0.5]
    return np.array(kept, dtype=int)


@mutant("nms", hint="Boxes with a score of 0 or less get lost: scores need not be probabilities.")
def positive_scores_only(boxes, scores, iou_threshold):
    left = scores.copy()
    kept = []
    while (left > 0).any():
        best = left.argmax()
        kept.append(best)
        left[box_iou(boxes[[best]], boxes)[0] > iou_threshold] = 0
        left[best] = 0
    return np.array(kept, dtype=int)


@mutant("nms", hint="The array of scores that was passed in is changed: the caller still needs it.")
def scores_in_place(boxes, scores, iou_threshold):
    kept = []
    while np.isfinite(scores).any():
        best = scores.argmax()
        kept.append(best)
        scores[box_iou(boxes[[best]], boxes)[0] > iou_threshold] = -np.inf
        scores[best] = -np.inf
    return np.array(kept, dtype=int)


@mutant(
    "nms",
    hint="The boxes that overlap are kept and those that do not are thrown away: the comparison is the wrong way.",
)
def comparison_reversed(boxes, scores, iou_threshold):
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        kept.append(order[0])
        iou = box_iou(boxes[order[:1]], boxes[order[1:]])[0]
        order = order[1:][iou > iou_threshold]
    return np.array(kept, dtype=int)


@mutant(
    "nms", hint="Expected are the indices of the kept boxes, by falling score: neither the boxes themselves nor a mask."
)
def boxes_returned(boxes, scores, iou_threshold):
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        kept.append(order[0])
        iou = box_iou(boxes[order[:1]], boxes[order[1:]])[0]
        order = order[1:][iou <= iou_threshold]
    return boxes[kept]


@mutant(
    "nms", hint="Expected are the indices of the kept boxes, by falling score: neither the boxes themselves nor a mask."
)
def mask_of_kept(boxes, scores, iou_threshold):
    order = np.argsort(-scores, kind="stable")
    keep = np.zeros(len(boxes), dtype=bool)
    while len(order):
        keep[order[0]] = True
        iou = box_iou(boxes[order[:1]], boxes[order[1:]])[0]
        order = order[1:][iou <= iou_threshold]
    return keep


@mutant("nms", hint="The indices are right, but not in a NumPy array: a list or a tensor has to be converted.")
def list_of_kept(boxes, scores, iou_threshold):
    order = np.argsort(-scores, kind="stable").tolist()
    kept = []
    while order:
        best = order.pop(0)
        kept.append(best)
        order = [i for i in order if box_iou(boxes[[best]], boxes[[i]])[0, 0] <= iou_threshold]
    return kept


@variant("nms")
def nms_int32(boxes, scores, iou_threshold):
    iou = box_iou(boxes, boxes)
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        if not any(iou[i, j] > iou_threshold for j in kept):
            kept.append(i)
    return np.asarray(kept, dtype=np.int32)


@variant("nms")
def nms_with_argmax(boxes, scores, iou_threshold):
    waiting = np.ones(len(boxes), dtype=bool)
    kept = []
    while waiting.any():
        best = np.where(waiting, scores, -np.inf).argmax()
        kept.append(best)
        waiting &= box_iou(boxes[best : best + 1], boxes)[0] <= iou_threshold
        waiting[best] = False
    return np.array(kept, dtype=np.intp)


@variant("nms")
def nms_with_flags(boxes, scores, iou_threshold):
    order = np.lexsort((np.arange(len(scores)), -scores))
    iou = box_iou(boxes[order], boxes[order])
    suppressed = np.zeros(len(order), dtype=bool)
    for i in range(len(order)):
        if not suppressed[i]:
            suppressed[i + 1 :] |= iou[i, i + 1 :] > iou_threshold
    return order[~suppressed]


@variant("nms")
def nms_float32(boxes, scores, iou_threshold):
    boxes, scores = boxes.astype(np.float32), scores.astype(np.float32)
    order = np.argsort(-scores, kind="mergesort")
    area = np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)
    kept = []
    while order.size > 0:
        i, order = order[0], order[1:]
        kept.append(int(i))
        w = np.minimum(boxes[i, 2], boxes[order, 2]) - np.maximum(boxes[i, 0], boxes[order, 0])
        h = np.minimum(boxes[i, 3], boxes[order, 3]) - np.maximum(boxes[i, 1], boxes[order, 1])
        inter = np.maximum(w, 0) * np.maximum(h, 0)
        order = order[inter <= iou_threshold * (area[i] + area[order] - inter)]
    return np.array(kept, dtype=np.int64)


@variant("nms")
def nms_with_torch(boxes, scores, iou_threshold):
    import torch

    order = torch.sort(torch.tensor(scores), descending=True, stable=True).indices
    kept = torch.empty(0, dtype=torch.long)
    for i in order:
        if not (box_iou(boxes[kept.numpy()], boxes[[int(i)]]) > iou_threshold).any():
            kept = torch.cat([kept, i[None]])
    return kept.numpy()


@mutant("batched_nms", hint="Labels play no part: boxes of different labels suppress each other.")
def labels_ignored(boxes, scores, labels, iou_threshold):
    return nms(boxes, scores, iou_threshold)


@mutant(
    "batched_nms",
    hint="Boxes are moved apart by label * largest coordinate. With negative coordinates they still meet.",
)
def offset_by_largest(boxes, scores, labels, iou_threshold):
    if len(boxes) == 0:
        return np.zeros(0, dtype=int)
    offsets = labels * (boxes.max() + 1)
    return nms(boxes + offsets[:, None], scores, iou_threshold)


@mutant(
    "batched_nms",
    hint="Boxes are moved apart by label * largest coordinate. Where that is 0 or small they still meet.",
)
def offset_without_plus_one(boxes, scores, labels, iou_threshold):
    if len(boxes) == 0:
        return np.zeros(0, dtype=int)
    return nms(boxes + (labels * boxes.max())[:, None], scores, iou_threshold)


@mutant(
    "batched_nms", hint="Boxes are moved apart by a fixed distance per label. Large boxes or coordinates still meet."
)
def offset_fixed(boxes, scores, labels, iou_threshold):
    return nms(boxes + labels[:, None] * 100.0, scores, iou_threshold)


@mutant("batched_nms", hint="The result comes label by label. Over all labels together it should fall by score.")
def label_after_label(boxes, scores, labels, iou_threshold):
    kept = [np.zeros(0, dtype=int)]
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        kept.append(members[nms(boxes[members], scores[members], iou_threshold)])
    return np.concatenate(kept)


@mutant("batched_nms", hint="Indices within a label are returned. They should point into all the boxes.")
def indices_within_label(boxes, scores, labels, iou_threshold):
    kept = [np.zeros(0, dtype=int)]
    for label in np.unique(labels):
        kept.append(nms(boxes[labels == label], scores[labels == label], iou_threshold))
    kept = np.concatenate(kept)
    return kept[np.argsort(-scores[kept], kind="stable")]


@mutant("batched_nms", hint="Some labels are skipped: labels need not be 0, 1, 2, ... and may be negative.")
def labels_counted_from_zero(boxes, scores, labels, iou_threshold):
    kept = [np.zeros(0, dtype=int)]
    for label in range(labels.max(initial=-1) + 1):
        members = np.flatnonzero(labels == label)
        kept.append(members[nms(boxes[members], scores[members], iou_threshold)])
    kept = np.sort(np.concatenate(kept))
    return kept[np.argsort(-scores[kept], kind="stable")]


@mutant("batched_nms", hint="Equal scores of different labels come label by label. The lower index should come first.")
def ties_by_label(boxes, scores, labels, iou_threshold):
    kept = [np.zeros(0, dtype=int)]
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        kept.append(members[nms(boxes[members], scores[members], iou_threshold)])
    kept = np.concatenate(kept)
    return kept[np.argsort(-scores[kept], kind="stable")]


@mutant("batched_nms", hint="Equal scores come out in reverse: a rising sort read backwards also reverses ties.")
def ties_reversed_over_labels(boxes, scores, labels, iou_threshold):
    keep = np.zeros(len(boxes), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        keep[members[nms(boxes[members], scores[members], iou_threshold)]] = True
    kept = np.flatnonzero(keep)
    return kept[np.argsort(scores[kept], kind="stable")[::-1]]


@mutant(
    "batched_nms",
    hint="Only boxes of different labels suppress each other: the condition on the labels is the wrong way.",
)
def other_labels_suppress(boxes, scores, labels, iou_threshold):
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        best = order[0]
        kept.append(best)
        iou = box_iou(boxes[[best]], boxes[order[1:]])[0]
        order = order[1:][(iou <= iou_threshold) | (labels[order[1:]] == labels[best])]
    return np.array(kept, dtype=int)


@mutant("batched_nms", hint="The right boxes are kept, but in the order of the input: return them by falling score.")
def batched_in_input_order(boxes, scores, labels, iou_threshold):
    keep = np.zeros(len(boxes), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        keep[members[nms(boxes[members], scores[members], iou_threshold)]] = True
    return np.flatnonzero(keep)


@mutant("batched_nms", hint="Without boxes the function fails or gives floats: an empty integer array is expected.")
def batched_without_boxes(boxes, scores, labels, iou_threshold):
    kept = []
    for label in set(labels.tolist()):
        members = np.where(labels == label)[0]
        kept.extend(members[nms(boxes[members], scores[members], iou_threshold)])
    return np.array(sorted(kept, key=lambda i: (-scores[i], i)))


@mutant(
    "batched_nms", hint="Within a label the equality case is wrong: only an IoU greater than the threshold suppresses."
)
def batched_equal_iou_suppresses(boxes, scores, labels, iou_threshold):
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        same = [j for j in kept if labels[j] == labels[i]]
        if (box_iou(boxes[[i]], boxes[same]) < iou_threshold).all():
            kept.append(i)
    return np.array(kept, dtype=int)


@mutant("batched_nms", hint="The array of boxes that was passed in is changed: the caller still needs it.")
def batched_in_place(boxes, scores, labels, iou_threshold):
    if len(boxes) == 0:
        return np.zeros(0, dtype=int)
    ranks = np.unique(labels, return_inverse=True)[1]
    boxes += (ranks * (boxes.max() - boxes.min() + 1))[:, None]
    return nms(boxes, scores, iou_threshold)


@mutant("batched_nms", hint="The indices are right, but not in a NumPy array: a list or a tensor has to be converted.")
def list_of_batched(boxes, scores, labels, iou_threshold):
    kept = []
    for label in set(labels.tolist()):
        members = np.where(labels == label)[0]
        kept.extend(members[nms(boxes[members], scores[members], iou_threshold)].tolist())
    return sorted(kept, key=lambda i: (-scores[i], i))


@variant("batched_nms")
def batched_by_offset(boxes, scores, labels, iou_threshold):
    ranks = np.unique(labels, return_inverse=True)[1]
    step = np.ptp(boxes) + 1 if len(boxes) else 0
    return nms(boxes + ranks.reshape(-1, 1) * step, scores, iou_threshold)


@variant("batched_nms")
def batched_greedy(boxes, scores, labels, iou_threshold):
    suppresses = (box_iou(boxes, boxes) > iou_threshold) & (labels[:, None] == labels)
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        if not suppresses[i, kept].any():
            kept.append(i)
    return np.array(kept, dtype=np.int32)


@variant("batched_nms")
def batched_sorted_pairs(boxes, scores, labels, iou_threshold):
    kept = []
    for label in set(labels.tolist()):
        members = np.where(labels == label)[0]
        kept.extend(members[nms(boxes[members], scores[members], iou_threshold)])
    return np.array(sorted(kept, key=lambda i: (-scores[i], i)), dtype=np.int64)


@variant("batched_nms")
def batched_offset_in_x(boxes, scores, labels, iou_threshold):
    moved = boxes.copy()
    if len(boxes):
        moved[:, [0, 2]] += ((labels - labels.min()) * (boxes.max() - boxes.min() + 1.0))[:, None]
    return nms(moved, scores, iou_threshold)


@mutant(
    "match_detections",
    hint="A detection whose best ground truth is taken gives up. It may still take the best of those that are free.",
)
def gives_up_when_taken(iou, iou_threshold):
    taken = set()
    matches = np.full(len(iou), -1)
    for d, row in enumerate(iou):
        if len(row) and row.max() >= iou_threshold and row.argmax() not in taken:
            matches[d] = row.argmax()
            taken.add(row.argmax())
    return matches


@mutant("match_detections", hint="A ground truth is matched more than once: duplicates must count as false positives.")
def truth_matched_again(iou, iou_threshold):
    if iou.shape[1] == 0:
        return np.full(len(iou), -1)
    return np.where(iou.max(axis=1) >= iou_threshold, iou.argmax(axis=1), -1)


@mutant("match_detections", hint="An IoU equal to the threshold is not accepted: at least the threshold is enough.")
def strictly_greater(iou, iou_threshold):
    free = np.ones(iou.shape[1], dtype=bool)
    matches = np.full(iou.shape[0], -1)
    for d in range(iou.shape[0]):
        best = -1
        for g in range(iou.shape[1]):
            if free[g] and iou[d, g] > iou_threshold and (best < 0 or iou[d, g] > iou[d, best]):
                best = g
        if best >= 0:
            matches[d] = best
            free[best] = False
    return matches


@mutant("match_detections", hint="The first ground truth that fits is taken, not the one of highest IoU.")
def first_that_fits(iou, iou_threshold):
    free = np.ones(iou.shape[1], dtype=bool)
    matches = np.full(iou.shape[0], -1)
    for d in range(iou.shape[0]):
        for g in range(iou.shape[1]):
            if free[g] and iou[d, g] >= iou_threshold:
                matches[d] = g
                free[g] = False
                break
    return matches


@mutant(
    "match_detections",
    hint="The pair of highest IoU goes first. The detection of highest score, the first row, should.",
)
def best_pair_first(iou, iou_threshold):
    left = iou.copy()
    matches = np.full(iou.shape[0], -1)
    while left.size and left.max() >= iou_threshold:
        d, g = np.unravel_index(left.argmax(), left.shape)
        matches[d] = g
        left[d, :] = -1
        left[:, g] = -1
    return matches


@mutant(
    "match_detections",
    hint="The assignment is best for all together. It should be greedy: each row in turn, first rows first.",
)
def best_total(iou, iou_threshold):
    from scipy.optimize import linear_sum_assignment

    matches = np.full(iou.shape[0], -1)
    rows, columns = linear_sum_assignment(np.where(iou >= iou_threshold, iou, 0), maximize=True)
    for d, g in zip(rows, columns):
        if iou[d, g] >= iou_threshold:
            matches[d] = g
    return matches


@mutant(
    "match_detections",
    hint="Ground truths choose their detections. It is the detections that choose, best score first.",
)
def truths_choose(iou, iou_threshold):
    matches = np.full(iou.shape[0], -1)
    for g in range(iou.shape[1]):
        free = np.flatnonzero((matches < 0) & (iou[:, g] >= iou_threshold))
        if len(free):
            matches[free[iou[free, g].argmax()]] = g
    return matches


@mutant("match_detections", hint="The result has an entry for each ground truth. It needs one for each detection.")
def detection_of_each_truth(iou, iou_threshold):
    matches = np.full(iou.shape[1], -1)
    for d in range(iou.shape[0]):
        free = np.flatnonzero((matches < 0) & (iou[d] >= iou_threshold))
        if len(free):
            matches[free[iou[d, free].argmax()]] = d
    return matches


@mutant(
    "match_detections", hint="Unmatched detections get 0, which is also the first ground truth. They should get -1."
)
def unmatched_is_zero(iou, iou_threshold):
    free = np.ones(iou.shape[1], dtype=bool)
    matches = np.zeros(iou.shape[0], dtype=int)
    for d in range(iou.shape[0]):
        fits = np.flatnonzero(free & (iou[d] >= iou_threshold))
        if len(fits):
            matches[d] = fits[iou[d, fits].argmax()]
            free[matches[d]] = False
    return matches


@mutant(
    "match_detections", hint="Ground truths below the threshold are used up: a miss must leave them free for others."
)
def miss_uses_truth_up(iou, iou_threshold):
    free = np.ones(iou.shape[1], dtype=bool)
    matches = np.full(iou.shape[0], -1)
    for d in range(iou.shape[0]):
        if free.any():
            g = np.where(free, iou[d], -1).argmax()
            free[g] = False
            if iou[d, g] >= iou_threshold:
                matches[d] = g
    return matches


@mutant(
    "match_detections", hint="The threshold plays no part: every detection takes a ground truth, however small the IoU."
)
def no_threshold(iou, iou_threshold):
    free = np.ones(iou.shape[1], dtype=bool)
    matches = np.full(iou.shape[0], -1)
    for d in range(iou.shape[0]):
        if free.any():
            matches[d] = np.where(free, iou[d], -1).argmax()
            free[matches[d]] = False
    return matches


@mutant("match_detections", hint="The array of IoUs that was passed in is changed: the caller still needs it.")
def columns_struck_out(iou, iou_threshold):
    matches = np.full(iou.shape[0], -1)
    for d in range(iou.shape[0]):
        if iou.shape[1] and iou[d].max() >= iou_threshold:
            matches[d] = iou[d].argmax()
            iou[:, matches[d]] = -1
    return matches


@mutant(
    "match_detections", hint="Images without ground truth make the function fail: every detection is then unmatched."
)
def needs_a_truth(iou, iou_threshold):
    left = iou.copy()
    matches = np.full(len(iou), -1)
    for d in range(len(iou)):
        g = left[d].argmax()
        if left[d, g] >= iou_threshold:
            matches[d] = g
            left[:, g] = -1
    return matches


@mutant("match_detections", hint="It is told whether a detection matches, not which ground truth it takes.")
def flags_of_matches(iou, iou_threshold):
    free = np.ones(iou.shape[1], dtype=bool)
    matched = np.zeros(iou.shape[0], dtype=bool)
    for d in range(iou.shape[0]):
        fits = np.flatnonzero(free & (iou[d] >= iou_threshold))
        if len(fits):
            free[fits[iou[d, fits].argmax()]] = False
            matched[d] = True
    return matched


@mutant("match_detections", hint="The indices are floats. An array can be indexed only by integers.")
def float_matches(iou, iou_threshold):
    free = np.ones(iou.shape[1], dtype=bool)
    matches = np.ones(iou.shape[0]) * -1
    for d in range(iou.shape[0]):
        fits = np.flatnonzero(free & (iou[d] >= iou_threshold))
        if len(fits):
            g = fits[iou[d, fits].argmax()]
            matches[d] = g
            free[g] = False
    return matches


@variant("match_detections")
def matches_with_loops(iou, iou_threshold):
    taken, matches = [], []
    for row in iou:
        best, best_iou = -1, iou_threshold
        for g, value in enumerate(row):
            if g not in taken and value >= best_iou:
                best, best_iou = g, value
        if best >= 0:
            taken.append(best)
        matches.append(best)
    return np.array(matches, dtype=int)


@variant("match_detections")
def matches_by_masking(iou, iou_threshold):
    left = np.where(iou >= iou_threshold, iou.astype(np.float32), -1.0)
    matches = np.full(len(left), -1, dtype=np.int32)
    for d in range(len(left) if left.shape[1] else 0):
        if left[d].max() >= 0:
            matches[d] = np.argmax(left[d])
            left[:, matches[d]] = -1
    return matches


@variant("match_detections")
def matches_by_sorting(iou, iou_threshold):
    owner = {}
    for d, row in enumerate(iou.tolist()):
        for g in sorted(range(len(row)), key=lambda g: row[g], reverse=True):
            if row[g] < iou_threshold:
                break
            if g not in owner:
                owner[g] = d
                break
    matches = np.full(len(iou), -1)
    for g, d in owner.items():
        matches[d] = g
    return matches


@variant("match_detections")
def matches_last_of_equals(iou, iou_threshold):
    num_detections, num_truths = iou.shape
    free = list(range(num_truths))
    result = np.full(num_detections, -1, dtype=np.int16)
    for d in range(num_detections):
        fits = [g for g in free if not iou[d, g] < iou_threshold]
        if fits:
            result[d] = max(reversed(fits), key=lambda g: iou[d, g])
            free.remove(result[d])
    return result


@mutant(
    "precision_recall",
    hint="Recall is divided by the number of detections. It tells how many of the objects were found.",
)
def recall_over_detections(is_true_positive, num_ground_truth):
    tp = np.cumsum(is_true_positive)
    return tp / np.arange(1, len(tp) + 1), tp / max(len(tp), 1)


@mutant(
    "precision_recall",
    hint="Recall always ends at 1: it is divided by the objects that were found, not by all there are.",
)
def recall_over_found(is_true_positive, num_ground_truth):
    tp = np.cumsum(is_true_positive)
    return tp / np.arange(1, len(tp) + 1), tp / max(is_true_positive.sum(), 1)


@mutant("precision_recall", hint="Recall is nan or the call fails when there is nothing to find: 0 / 0 must become 0.")
def recall_of_nothing_is_nan(is_true_positive, num_ground_truth):
    tp = np.cumsum(is_true_positive)
    return tp / np.arange(1, len(tp) + 1), tp / np.float64(num_ground_truth)


@mutant("precision_recall", hint="Precision and recall look swapped: precision comes first.")
def recall_first(is_true_positive, num_ground_truth):
    tp = np.cumsum(is_true_positive)
    return tp / max(num_ground_truth, 1), tp / np.arange(1, len(tp) + 1)


@mutant(
    "precision_recall",
    hint="Precision is divided by all the detections. Each entry knows only those up to its own rank.",
)
def precision_over_all(is_true_positive, num_ground_truth):
    tp = np.cumsum(is_true_positive)
    return tp / max(len(tp), 1), tp / max(num_ground_truth, 1)


@mutant("precision_recall", hint="Precision shows the share of false positives. It is the share of true positives.")
def share_of_false_positives(is_true_positive, num_ground_truth):
    ranks = np.arange(1, len(is_true_positive) + 1)
    return np.cumsum(~is_true_positive) / ranks, np.cumsum(is_true_positive) / max(num_ground_truth, 1)


@mutant(
    "precision_recall",
    hint="Precision is made to fall only. That belongs to average precision; here the curve may rise again.",
)
def precision_made_monotone(is_true_positive, num_ground_truth):
    tp = np.cumsum(is_true_positive)
    precision = tp / np.arange(1, len(tp) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return precision, tp / max(num_ground_truth, 1)


@mutant(
    "precision_recall", hint="There is an entry too many: add no start or end point, one entry a detection is enough."
)
def end_point_added(is_true_positive, num_ground_truth):
    tp = np.cumsum(is_true_positive)
    precision = np.concatenate([[1.0], tp / np.arange(1, len(tp) + 1)])
    recall = np.concatenate([[0.0], tp / max(num_ground_truth, 1)])
    return precision, recall


@mutant("precision_recall", hint="The curve runs backwards: the first entry belongs to the best detection.")
def worst_detection_first(is_true_positive, num_ground_truth):
    tp = np.cumsum(is_true_positive)
    precision = tp / np.arange(1, len(tp) + 1)
    return precision[::-1], tp[::-1] / max(num_ground_truth, 1)


@mutant("precision_recall", hint="Only the figures for the whole list are given. Expected is one entry a detection.")
def whole_list_only(is_true_positive, num_ground_truth):
    tp = is_true_positive.sum()
    return tp / max(len(is_true_positive), 1), tp / max(num_ground_truth, 1)


@mutant(
    "precision_recall",
    hint="Entries appear only where a true positive is found, as sklearn merges them. Keep one a detection.",
)
def true_positives_only(is_true_positive, num_ground_truth):
    tp = np.cumsum(is_true_positive)
    precision, recall = tp / np.arange(1, len(tp) + 1), tp / max(num_ground_truth, 1)
    return precision[is_true_positive], recall[is_true_positive]


@mutant("precision_recall", hint="The flags are not summed up: every entry looks at one detection only.")
def flags_not_summed(is_true_positive, num_ground_truth):
    ranks = np.arange(1, len(is_true_positive) + 1)
    return is_true_positive / ranks, is_true_positive / max(num_ground_truth, 1)


@mutant("precision_recall", hint="Without detections the function fails. Two empty arrays are expected.")
def needs_a_detection(is_true_positive, num_ground_truth):
    tp, precision, recall = 0, [], []
    for k, flag in enumerate(is_true_positive):
        tp += flag
        precision.append(tp / (k + 1))
        recall.append(tp / max(num_ground_truth, 1))
    return np.stack(precision), np.stack(recall)


@mutant(
    "precision_recall", hint="The numbers are right, but not in NumPy arrays: lists or tensors have to be converted."
)
def lists_of_both(is_true_positive, num_ground_truth):
    tp = np.cumsum(is_true_positive)
    return list(tp / np.arange(1, len(tp) + 1)), list(tp / max(num_ground_truth, 1))


@variant("precision_recall")
def both_by_loop(is_true_positive, num_ground_truth):
    precision, recall = np.zeros(len(is_true_positive)), np.zeros(len(is_true_positive))
    found = 0
    for k, flag in enumerate(is_true_positive):
        if flag:
            found += 1
        precision[k] = found / (k + 1)
        if num_ground_truth > 0:
            recall[k] = found / num_ground_truth
    return precision, recall


@variant("precision_recall")
def both_float32(is_true_positive, num_ground_truth):
    tp = np.cumsum(is_true_positive.astype(np.float32))
    fp = np.cumsum(1 - is_true_positive.astype(np.float32))
    recall = tp / np.float32(num_ground_truth) if num_ground_truth else np.zeros_like(tp)
    return tp / (tp + fp), recall


@variant("precision_recall")
def both_in_one_array(is_true_positive, num_ground_truth):
    tp = np.array([is_true_positive[: k + 1].sum() for k in range(len(is_true_positive))], dtype=float)
    return np.stack([tp / (1 + np.arange(len(tp))), tp / (num_ground_truth or 1)])


@variant("precision_recall")
def both_by_matrix(is_true_positive, num_ground_truth):
    tp = np.tri(len(is_true_positive)) @ is_true_positive
    fn = num_ground_truth - tp
    recall = np.divide(tp, tp + fn, out=np.zeros_like(tp), where=tp + fn > 0)
    return tp / np.arange(1, tp.size + 1), recall


@mutant(
    "average_precision", hint="This is the area under the curve by trapezoids. AP here is a mean over recall levels."
)
def trapezoid_area(precision, recall, points=101):
    return float(np.trapezoid(precision, recall))


@mutant(
    "average_precision",
    hint="This is the sum of steps, as sklearn has it. AP here is a mean over evenly spaced recall levels.",
)
def sum_of_steps(precision, recall, points=101):
    return float(np.sum(np.diff(recall, prepend=0) * precision))


@mutant(
    "average_precision",
    hint="A level takes the first precision at its recall. A later one may be higher: take the best.",
)
def no_envelope(precision, recall, points=101):
    total = 0.0
    for r in np.linspace(0, 1, points):
        reached = np.flatnonzero(recall >= r)
        if len(reached):
            total += precision[reached[0]]
    return float(total / points)


@mutant(
    "average_precision",
    hint="The best precision is looked for on the wrong side: it counts at this or a higher recall.",
)
def envelope_from_left(precision, recall, points=101):
    best = []
    for r in np.linspace(0, 1, points):
        if (recall >= r).any():
            first = np.argmax(recall >= r)
            best.append(precision[: first + 1].max())
        else:
            best.append(0.0)
    return float(np.mean(best))


@mutant("average_precision", hint="Eleven levels are used whatever `points` says.")
def eleven_points(precision, recall, points=101):
    values = [precision[recall >= r].max(initial=0) for r in np.linspace(0, 1, 11)]
    return float(np.mean(values))


@mutant("average_precision", hint="101 levels are used whatever `points` says.")
def always_101_points(precision, recall, points=101):
    values = [precision[recall >= r].max(initial=0) for r in np.linspace(0, 1, 101)]
    return float(np.mean(values))


@mutant(
    "average_precision",
    hint="A level that is reached exactly does not count here: recall equal to the level is enough.",
)
def recall_strictly_greater(precision, recall, points=101):
    values = [precision[recall > r].max(initial=0) for r in np.linspace(0, 1, points)]
    return float(np.mean(values))


@mutant(
    "average_precision",
    hint="The levels are not those from 0 to 1 with both ends: is recall 1 among them, and how many are there?",
)
def last_level_missing(precision, recall, points=101):
    values = [precision[recall >= r].max(initial=0) for r in np.arange(points) / points]
    return float(np.mean(values))


@mutant("average_precision", hint="Levels that are never reached are left out of the mean. They count as 0.")
def reached_levels_only(precision, recall, points=101):
    values = [precision[recall >= r].max() for r in np.linspace(0, 1, points) if (recall >= r).any()]
    return float(np.mean(values)) if values else 0.0


@mutant("average_precision", hint="Without detections the result is nan or the call fails. It is 0.")
def nothing_found_fails(precision, recall, points=101):
    total = 0.0
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    for r in np.linspace(0, 1, points):
        if r <= recall[-1]:
            total += envelope[recall >= r][0]
    return float(total / points)


@mutant(
    "average_precision",
    hint="A start point with precision 1 was added. At level 0 too, only real entries of the curve count.",
)
def start_point_added(precision, recall, points=101):
    precision, recall = np.append(1.0, precision), np.append(0.0, recall)
    values = [precision[recall >= r].max(initial=0) for r in np.linspace(0, 1, points)]
    return float(np.mean(values)) if len(recall) > 1 else 0.0


@mutant(
    "average_precision",
    hint="The curve is interpolated linearly. A level takes the best precision at its recall or a higher one.",
)
def linear_interpolation(precision, recall, points=101):
    if len(recall) == 0:
        return 0.0
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.interp(np.linspace(0, 1, points), recall, envelope, right=0).mean())


@mutant(
    "average_precision", hint="The array of precisions that was passed in is changed: the caller still needs the curve."
)
def envelope_in_place(precision, recall, points=101):
    for k in range(len(precision) - 2, -1, -1):
        precision[k] = max(precision[k], precision[k + 1])
    values = [precision[recall >= r].max(initial=0) for r in np.linspace(0, 1, points)]
    return float(np.mean(values))


@mutant("average_precision", hint="This is the mean of all precisions in the list. Recall plays no part in it.")
def mean_precision(precision, recall, points=101):
    return float(precision.mean()) if len(precision) else 0.0


@mutant("average_precision", hint="The value is right, but it comes as an array. Return a single float.")
def array_of_one(precision, recall, points=101):
    levels = np.linspace(0, 1, points)[:, None]
    return np.where(recall >= levels, precision, 0).max(axis=1, initial=0).mean(keepdims=True)


@variant("average_precision")
def ap_with_loops(precision, recall, points=101):
    total = 0
    for i in range(points):
        best = 0
        for p, r in zip(precision, recall):
            if r >= i / (points - 1) and p > best:
                best = p
        total += best
    return float(total / points)


@variant("average_precision")
def ap_levels_by_division(precision, recall, points=101):
    levels = np.arange(points) / (points - 1)
    return float(np.mean([precision[recall >= level].max(initial=0) for level in levels]))


@variant("average_precision")
def ap_by_searchsorted(precision, recall, points=101):
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
    return envelope[np.searchsorted(recall, np.linspace(0, 1, points), side="left")].mean()


@variant("average_precision")
def ap_float32(precision, recall, points=101):
    precision, recall = precision.astype(np.float32), recall.astype(np.float32)
    levels = np.linspace(0, 1, points, dtype=np.float32)
    return np.mean([precision[recall >= r].max(initial=np.float32(0)) for r in levels], dtype=np.float32)


@variant("average_precision")
def ap_by_sorting(precision, recall, points=101):
    values = np.zeros(points)
    for k in np.argsort(precision):
        values[np.linspace(0, 1, points) <= recall[k]] = precision[k]
    return float(sum(values) / points)


@mutant("coco_map", hint="Crowd regions count as objects that should be found. They are neither objects nor misses.")
def crowd_as_object(ground_truth, detections, iou_thresholds):
    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            scores, flags, total = [], [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key]
                found = sorted(found, key=lambda d: -d["score"])[:100]
                total += len(truths)
                boxes = xywh_to_xyxy(np.array([d["bbox"] for d in found], float).reshape(-1, 4))
                iou = box_iou(boxes, xywh_to_xyxy(np.array([a["bbox"] for a in truths], float).reshape(-1, 4)))
                flags.extend(match_detections(iou, threshold) >= 0)
                scores.extend(d["score"] for d in found)
            if total:
                order = np.argsort(-np.array(scores), kind="stable")
                values.append(average_precision(*precision_recall(np.array(flags, bool)[order], total)))
    return float(np.mean(values)) if values else -1.0


@mutant(
    "coco_map", hint="Crowd regions are simply dropped. Detections inside them must be ignored, not be false positives."
)
def crowd_dropped(ground_truth, detections, iou_thresholds):
    values = []
    for category in ground_truth["categories"]:
        truths = [a for a in ground_truth["annotations"] if a["category_id"] == category["id"] and not a["iscrowd"]]
        if not truths:
            continue
        for threshold in iou_thresholds:
            results = []
            for image in ground_truth["images"]:
                here = [a["bbox"] for a in truths if a["image_id"] == image["id"]]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == (image["id"], category["id"])]
                found = sorted(found, key=lambda d: d["score"], reverse=True)[:100]
                boxes = xywh_to_xyxy(np.array([d["bbox"] for d in found], float).reshape(-1, 4))
                iou = box_iou(boxes, xywh_to_xyxy(np.array(here, float).reshape(-1, 4)))
                results += zip([d["score"] for d in found], match_detections(iou, threshold) >= 0)
            results.sort(key=lambda result: -result[0])
            flags = np.array([flag for _, flag in results], dtype=bool)
            values.append(average_precision(*precision_recall(flags, len(truths))))
    return float(np.mean(values)) if values else -1.0


@mutant(
    "coco_map",
    hint="For a crowd region the IoU is used. Its overlap is the intersection divided by the detection's own area.",
)
def crowd_by_iou(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            scores, flags, total = [], [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key]
                found = sorted(found, key=lambda d: -d["score"])[:100]
                normal = [a for a in truths if not a["iscrowd"]]
                crowd = [a for a in truths if a["iscrowd"]]
                total += len(normal)
                matched = match_detections(box_iou(corners(found), corners(normal)), threshold) >= 0
                ignored = (box_iou(corners(found), corners(crowd)) >= threshold).any(axis=1) & ~matched
                flags.extend(matched[~ignored])
                scores.extend(np.array([d["score"] for d in found])[~ignored])
            if total:
                order = np.argsort(-np.array(scores), kind="stable")
                values.append(average_precision(*precision_recall(np.array(flags, bool)[order], total)))
    return float(np.mean(values)) if values else -1.0


@mutant(
    "coco_map",
    hint="A detection inside a crowd region is ignored even if it fits a normal object. The object comes first.",
)
def crowd_comes_first(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    def inside(boxes, regions):
        top_left = np.maximum(boxes[:, None, :2], regions[:, :2])
        sides = np.minimum(boxes[:, None, 2:], regions[:, 2:]) - top_left
        return np.maximum(sides, 0).prod(axis=2) / box_area(boxes)[:, None]

    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            scores, flags, total = [], [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key]
                found = sorted(found, key=lambda d: -d["score"])[:100]
                normal = corners([a for a in truths if not a["iscrowd"]])
                crowd = corners([a for a in truths if a["iscrowd"]])
                total += len(normal)
                outside = ~(inside(corners(found), crowd) >= threshold).any(axis=1)
                iou = box_iou(corners(found)[outside], normal)
                flags.extend(match_detections(iou, threshold) >= 0)
                scores.extend(np.array([d["score"] for d in found])[outside])
            if total:
                order = np.argsort(-np.array(scores), kind="stable")
                values.append(average_precision(*precision_recall(np.array(flags, bool)[order], total)))
    return float(np.mean(values)) if values else -1.0


@mutant(
    "coco_map",
    hint="A crowd region absorbs only one detection. It stands for many objects, so it may absorb any number.",
)
def crowd_used_once(ground_truth, detections, iou_thresholds):
    def inside(box, region):
        w = min(box[0] + box[2], region[0] + region[2]) - max(box[0], region[0])
        h = min(box[1] + box[3], region[1] + region[3]) - max(box[1], region[1])
        return max(w, 0) * max(h, 0) / (box[2] * box[3])

    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            scores, flags, total = [], [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key]
                found = sorted(found, key=lambda d: -d["score"])[:100]
                normal = [a["bbox"] for a in truths if not a["iscrowd"]]
                crowd = [a["bbox"] for a in truths if a["iscrowd"]]
                total += len(normal)
                boxes = xywh_to_xyxy(np.array([d["bbox"] for d in found], float).reshape(-1, 4))
                iou = box_iou(boxes, xywh_to_xyxy(np.array(normal, float).reshape(-1, 4)))
                for d, flag in zip(found, match_detections(iou, threshold) >= 0):
                    around = [] if flag else [c for c in crowd if inside(d["bbox"], c) >= threshold]
                    if around:
                        crowd.remove(around[0])
                    else:
                        scores.append(d["score"])
                        flags.append(flag)
            if total:
                order = np.argsort(-np.array(scores), kind="stable")
                values.append(average_precision(*precision_recall(np.array(flags, bool)[order], total)))
    return float(np.mean(values)) if values else -1.0


@mutant("coco_map", hint="Detections inside a crowd region count as found objects. They should be ignored.")
def crowd_counts_as_hit(ground_truth, detections, iou_thresholds):
    def inside(box, region):
        w = min(box[0] + box[2], region[0] + region[2]) - max(box[0], region[0])
        h = min(box[1] + box[3], region[1] + region[3]) - max(box[1], region[1])
        return max(w, 0) * max(h, 0) / (box[2] * box[3])

    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            results, total = [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key]
                found = sorted(found, key=lambda d: -d["score"])[:100]
                normal = [a["bbox"] for a in truths if not a["iscrowd"]]
                crowd = [a["bbox"] for a in truths if a["iscrowd"]]
                total += len(normal)
                boxes = xywh_to_xyxy(np.array([d["bbox"] for d in found], float).reshape(-1, 4))
                iou = box_iou(boxes, xywh_to_xyxy(np.array(normal, float).reshape(-1, 4)))
                for d, g in zip(found, match_detections(iou, threshold)):
                    results.append((-d["score"], g >= 0 or any(inside(d["bbox"], c) >= threshold for c in crowd)))
            if total:
                flags = np.array([flag for _, flag in sorted(results)], dtype=bool)
                values.append(average_precision(*precision_recall(flags, total)))
    return float(np.mean(values)) if values else -1.0


@mutant("coco_map", hint="All detections count. Only the 100 best of each image and category should.")
def no_limit(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    def inside(boxes, regions):
        top_left = np.maximum(boxes[:, None, :2], regions[:, :2])
        sides = np.minimum(boxes[:, None, 2:], regions[:, 2:]) - top_left
        return np.maximum(sides, 0).prod(axis=2) / box_area(boxes)[:, None]

    detections = sorted(detections, key=lambda d: -d["score"])
    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            scores, flags, total = [], [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key]
                normal = corners([a for a in truths if not a["iscrowd"]])
                crowd = corners([a for a in truths if a["iscrowd"]])
                total += len(normal)
                matched = match_detections(box_iou(corners(found), normal), threshold) >= 0
                ignored = (inside(corners(found), crowd) >= threshold).any(axis=1) & ~matched
                flags.extend(matched[~ignored])
                scores.extend(np.array([d["score"] for d in found])[~ignored])
            if total:
                order = np.argsort(-np.array(scores), kind="stable")
                values.append(average_precision(*precision_recall(np.array(flags, bool)[order], total)))
    return float(np.mean(values)) if values else -1.0


@mutant(
    "coco_map", hint="The 100 best detections of an image are taken over all categories. Each category has its own 100."
)
def limit_over_categories(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    def inside(boxes, regions):
        top_left = np.maximum(boxes[:, None, :2], regions[:, :2])
        sides = np.minimum(boxes[:, None, 2:], regions[:, 2:]) - top_left
        return np.maximum(sides, 0).prod(axis=2) / box_area(boxes)[:, None]

    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            scores, flags, total = [], [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = sorted((d for d in detections if d["image_id"] == image["id"]), key=lambda d: -d["score"])[:100]
                found = [d for d in found if d["category_id"] == category["id"]]
                normal = corners([a for a in truths if not a["iscrowd"]])
                crowd = corners([a for a in truths if a["iscrowd"]])
                total += len(normal)
                matched = match_detections(box_iou(corners(found), normal), threshold) >= 0
                ignored = (inside(corners(found), crowd) >= threshold).any(axis=1) & ~matched
                flags.extend(matched[~ignored])
                scores.extend(np.array([d["score"] for d in found])[~ignored])
            if total:
                order = np.argsort(-np.array(scores), kind="stable")
                values.append(average_precision(*precision_recall(np.array(flags, bool)[order], total)))
    return float(np.mean(values)) if values else -1.0


@mutant("coco_map", hint="Categories without any object count as 0. They should be left out of the mean.")
def empty_category_is_zero(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    def inside(boxes, regions):
        top_left = np.maximum(boxes[:, None, :2], regions[:, :2])
        sides = np.minimum(boxes[:, None, 2:], regions[:, 2:]) - top_left
        return np.maximum(sides, 0).prod(axis=2) / box_area(boxes)[:, None]

    if all(a["iscrowd"] for a in ground_truth["annotations"]):
        return -1.0
    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            scores, flags, total = [], [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key]
                found = sorted(found, key=lambda d: -d["score"])[:100]
                normal = corners([a for a in truths if not a["iscrowd"]])
                crowd = corners([a for a in truths if a["iscrowd"]])
                total += len(normal)
                matched = match_detections(box_iou(corners(found), normal), threshold) >= 0
                ignored = (inside(corners(found), crowd) >= threshold).any(axis=1) & ~matched
                flags.extend(matched[~ignored])
                scores.extend(np.array([d["score"] for d in found])[~ignored])
            order = np.argsort(-np.array(scores), kind="stable")
            values.append(average_precision(*precision_recall(np.array(flags, bool)[order], total)))
    return float(np.mean(values)) if values else -1.0


@mutant(
    "coco_map",
    hint="Categories in which nothing was detected are left out of the mean. They have objects, so they count as 0.",
)
def undetected_category_skipped(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    def inside(boxes, regions):
        top_left = np.maximum(boxes[:, None, :2], regions[:, :2])
        sides = np.minimum(boxes[:, None, 2:], regions[:, 2:]) - top_left
        return np.maximum(sides, 0).prod(axis=2) / box_area(boxes)[:, None]

    if not detections:
        return 0.0
    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            scores, flags, total = [], [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key]
                found = sorted(found, key=lambda d: -d["score"])[:100]
                normal = corners([a for a in truths if not a["iscrowd"]])
                crowd = corners([a for a in truths if a["iscrowd"]])
                total += len(normal)
                matched = match_detections(box_iou(corners(found), normal), threshold) >= 0
                ignored = (inside(corners(found), crowd) >= threshold).any(axis=1) & ~matched
                flags.extend(matched[~ignored])
                scores.extend(np.array([d["score"] for d in found])[~ignored])
            if total and scores:
                order = np.argsort(-np.array(scores), kind="stable")
                values.append(average_precision(*precision_recall(np.array(flags, bool)[order], total)))
    return float(np.mean(values)) if values else -1.0


@mutant(
    "coco_map", hint="Objects of one image are matched with detections of another: boxes meet only within their image."
)
def images_mixed(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            truths = [a for a in ground_truth["annotations"] if a["category_id"] == category["id"] and not a["iscrowd"]]
            found = [d for d in detections if d["category_id"] == category["id"]]
            found = sorted(found, key=lambda d: -d["score"])[:100]
            if truths:
                flags = match_detections(box_iou(corners(found), corners(truths)), threshold) >= 0
                values.append(average_precision(*precision_recall(flags, len(truths))))
    return float(np.mean(values)) if values else -1.0


@mutant(
    "coco_map",
    hint="AP is taken image by image and averaged. One ranked list over all images is needed for each category.",
)
def mean_over_images(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                truths = [a for a in truths if not a["iscrowd"]]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key]
                found = sorted(found, key=lambda d: -d["score"])[:100]
                if truths:
                    flags = match_detections(box_iou(corners(found), corners(truths)), threshold) >= 0
                    values.append(average_precision(*precision_recall(flags, len(truths))))
    return float(np.mean(values)) if values else -1.0


@mutant(
    "coco_map",
    hint="The list of a category is not ranked: detections of all its images must be sorted together by score.",
)
def image_after_image(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    def inside(boxes, regions):
        top_left = np.maximum(boxes[:, None, :2], regions[:, :2])
        sides = np.minimum(boxes[:, None, 2:], regions[:, 2:]) - top_left
        return np.maximum(sides, 0).prod(axis=2) / box_area(boxes)[:, None]

    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            flags, total = [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key]
                found = sorted(found, key=lambda d: -d["score"])[:100]
                normal = corners([a for a in truths if not a["iscrowd"]])
                crowd = corners([a for a in truths if a["iscrowd"]])
                total += len(normal)
                matched = match_detections(box_iou(corners(found), normal), threshold) >= 0
                ignored = (inside(corners(found), crowd) >= threshold).any(axis=1) & ~matched
                flags.extend(matched[~ignored])
            if total:
                values.append(average_precision(*precision_recall(np.array(flags, bool), total)))
    return float(np.mean(values)) if values else -1.0


@mutant("coco_map", hint="The boxes look taken for x1, y1, x2, y2. In COCO's format they are x, y, width, height.")
def bbox_taken_as_corners(ground_truth, detections, iou_thresholds):
    def corners(records):
        return np.array([r["bbox"] for r in records], float).reshape(-1, 4)

    def inside(boxes, regions):
        top_left = np.maximum(boxes[:, None, :2], regions[:, :2])
        sides = np.minimum(boxes[:, None, 2:], regions[:, 2:]) - top_left
        return np.maximum(sides, 0).prod(axis=2) / np.maximum(box_area(boxes), 1e-12)[:, None]

    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            scores, flags, total = [], [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key]
                found = sorted(found, key=lambda d: -d["score"])[:100]
                normal = corners([a for a in truths if not a["iscrowd"]])
                crowd = corners([a for a in truths if a["iscrowd"]])
                total += len(normal)
                matched = match_detections(box_iou(corners(found), normal), threshold) >= 0
                ignored = (inside(corners(found), crowd) >= threshold).any(axis=1) & ~matched
                flags.extend(matched[~ignored])
                scores.extend(np.array([d["score"] for d in found])[~ignored])
            if total:
                order = np.argsort(-np.array(scores), kind="stable")
                values.append(average_precision(*precision_recall(np.array(flags, bool)[order], total)))
    return float(np.mean(values)) if values else -1.0


@mutant("coco_map", hint="Only the first threshold is used. The result is the mean over all of them.")
def first_threshold_only(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    def inside(boxes, regions):
        top_left = np.maximum(boxes[:, None, :2], regions[:, :2])
        sides = np.minimum(boxes[:, None, 2:], regions[:, 2:]) - top_left
        return np.maximum(sides, 0).prod(axis=2) / box_area(boxes)[:, None]

    threshold = iou_thresholds[0]
    values = []
    for category in ground_truth["categories"]:
        scores, flags, total = [], [], 0
        for image in ground_truth["images"]:
            key = (image["id"], category["id"])
            truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
            found = [d for d in detections if (d["image_id"], d["category_id"]) == key]
            found = sorted(found, key=lambda d: -d["score"])[:100]
            normal = corners([a for a in truths if not a["iscrowd"]])
            crowd = corners([a for a in truths if a["iscrowd"]])
            total += len(normal)
            matched = match_detections(box_iou(corners(found), normal), threshold) >= 0
            ignored = (inside(corners(found), crowd) >= threshold).any(axis=1) & ~matched
            flags.extend(matched[~ignored])
            scores.extend(np.array([d["score"] for d in found])[~ignored])
        if total:
            order = np.argsort(-np.array(scores), kind="stable")
            values.append(average_precision(*precision_recall(np.array(flags, bool)[order], total)))
    return float(np.mean(values)) if values else -1.0


@mutant("coco_map", hint="Detections and objects of different categories are matched with each other.")
def categories_mixed(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    values = []
    total = sum(not a["iscrowd"] for a in ground_truth["annotations"])
    if total == 0:
        return -1.0
    for threshold in iou_thresholds:
        scores, flags = [], []
        for image in ground_truth["images"]:
            truths = [a for a in ground_truth["annotations"] if a["image_id"] == image["id"] and not a["iscrowd"]]
            found = [d for d in detections if d["image_id"] == image["id"]]
            found = sorted(found, key=lambda d: -d["score"])[:100]
            flags.extend(match_detections(box_iou(corners(found), corners(truths)), threshold) >= 0)
            scores.extend(d["score"] for d in found)
        order = np.argsort(-np.array(scores), kind="stable")
        values.append(average_precision(*precision_recall(np.array(flags, bool)[order], total)))
    return float(np.mean(values))


@mutant(
    "coco_map",
    hint="Without any object to find the result is not -1: nothing can be said then, and 0 would mean a bad detector.",
)
def nothing_to_find_is_zero(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    def inside(boxes, regions):
        top_left = np.maximum(boxes[:, None, :2], regions[:, :2])
        sides = np.minimum(boxes[:, None, 2:], regions[:, 2:]) - top_left
        return np.maximum(sides, 0).prod(axis=2) / box_area(boxes)[:, None]

    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            scores, flags, total = [], [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key]
                found = sorted(found, key=lambda d: -d["score"])[:100]
                normal = corners([a for a in truths if not a["iscrowd"]])
                crowd = corners([a for a in truths if a["iscrowd"]])
                total += len(normal)
                matched = match_detections(box_iou(corners(found), normal), threshold) >= 0
                ignored = (inside(corners(found), crowd) >= threshold).any(axis=1) & ~matched
                flags.extend(matched[~ignored])
                scores.extend(np.array([d["score"] for d in found])[~ignored])
            if total:
                order = np.argsort(-np.array(scores), kind="stable")
                values.append(average_precision(*precision_recall(np.array(flags, bool)[order], total)))
    return float(np.mean(values)) if values else 0.0


@mutant(
    "coco_map", hint="The list of detections that was passed in is changed: the caller still needs it in its own order."
)
def detections_sorted_in_place(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    def inside(boxes, regions):
        top_left = np.maximum(boxes[:, None, :2], regions[:, :2])
        sides = np.minimum(boxes[:, None, 2:], regions[:, 2:]) - top_left
        return np.maximum(sides, 0).prod(axis=2) / box_area(boxes)[:, None]

    detections.sort(key=lambda d: -d["score"])
    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            scores, flags, total = [], [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key][:100]
                normal = corners([a for a in truths if not a["iscrowd"]])
                crowd = corners([a for a in truths if a["iscrowd"]])
                total += len(normal)
                matched = match_detections(box_iou(corners(found), normal), threshold) >= 0
                ignored = (inside(corners(found), crowd) >= threshold).any(axis=1) & ~matched
                flags.extend(matched[~ignored])
                scores.extend(np.array([d["score"] for d in found])[~ignored])
            if total:
                order = np.argsort(-np.array(scores), kind="stable")
                values.append(average_precision(*precision_recall(np.array(flags, bool)[order], total)))
    return float(np.mean(values)) if values else -1.0


@mutant(
    "coco_map",
    hint="Of each image and category the first 100 detections of the list are kept. Keep those of highest score.",
)
def first_100_of_the_list(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    def inside(boxes, regions):
        top_left = np.maximum(boxes[:, None, :2], regions[:, :2])
        sides = np.minimum(boxes[:, None, 2:], regions[:, 2:]) - top_left
        return np.maximum(sides, 0).prod(axis=2) / box_area(boxes)[:, None]

    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            scores, flags, total = [], [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key][:100]
                found = sorted(found, key=lambda d: -d["score"])
                normal = corners([a for a in truths if not a["iscrowd"]])
                crowd = corners([a for a in truths if a["iscrowd"]])
                total += len(normal)
                matched = match_detections(box_iou(corners(found), normal), threshold) >= 0
                ignored = (inside(corners(found), crowd) >= threshold).any(axis=1) & ~matched
                flags.extend(matched[~ignored])
                scores.extend(np.array([d["score"] for d in found])[~ignored])
            if total:
                order = np.argsort(-np.array(scores), kind="stable")
                values.append(average_precision(*precision_recall(np.array(flags, bool)[order], total)))
    return float(np.mean(values)) if values else -1.0


@mutant("coco_map", hint="The detections are taken in the order of the list. They have to be ranked by falling score.")
def list_not_ranked(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    def inside(boxes, regions):
        top_left = np.maximum(boxes[:, None, :2], regions[:, :2])
        sides = np.minimum(boxes[:, None, 2:], regions[:, 2:]) - top_left
        return np.maximum(sides, 0).prod(axis=2) / box_area(boxes)[:, None]

    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            places, flags, total = [], [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                mine = [k for k, d in enumerate(detections) if (d["image_id"], d["category_id"]) == key][:100]
                found = corners([detections[k] for k in mine])
                normal = corners([a for a in truths if not a["iscrowd"]])
                crowd = corners([a for a in truths if a["iscrowd"]])
                total += len(normal)
                matched = match_detections(box_iou(found, normal), threshold) >= 0
                ignored = (inside(found, crowd) >= threshold).any(axis=1) & ~matched
                flags.extend(matched[~ignored])
                places.extend(np.array(mine)[~ignored])
            if total:
                flags = np.array(flags, bool)[np.argsort(places)]
                values.append(average_precision(*precision_recall(flags, total)))
    return float(np.mean(values)) if values else -1.0


@mutant(
    "coco_map",
    hint="Images without a detection or without an object make the function fail: their list of boxes is empty.",
)
def empty_list_of_boxes(ground_truth, detections, iou_thresholds):
    def inside(box, region):
        w = min(box[0] + box[2], region[0] + region[2]) - max(box[0], region[0])
        h = min(box[1] + box[3], region[1] + region[3]) - max(box[1], region[1])
        return max(w, 0) * max(h, 0) / (box[2] * box[3])

    values = []
    for threshold in iou_thresholds:
        for category in ground_truth["categories"]:
            results, total = [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key]
                found = sorted(found, key=lambda d: -d["score"])[:100]
                normal = np.array([a["bbox"] for a in truths if not a["iscrowd"]])
                crowd = [a["bbox"] for a in truths if a["iscrowd"]]
                total += len(normal)
                iou = box_iou(xywh_to_xyxy(np.array([d["bbox"] for d in found])), xywh_to_xyxy(normal))
                for d, g in zip(found, match_detections(iou, threshold)):
                    if g >= 0 or not any(inside(d["bbox"], c) >= threshold for c in crowd):
                        results.append((-d["score"], g >= 0))
            if total:
                flags = np.array([flag for _, flag in sorted(results)], dtype=bool)
                values.append(average_precision(*precision_recall(flags, total)))
    return float(np.mean(values)) if values else -1.0


@mutant("coco_map", hint="There is one value for each threshold. Expected is their mean, a single float.")
def one_value_for_each_threshold(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4))

    def inside(boxes, regions):
        top_left = np.maximum(boxes[:, None, :2], regions[:, :2])
        sides = np.minimum(boxes[:, None, 2:], regions[:, 2:]) - top_left
        return np.maximum(sides, 0).prod(axis=2) / box_area(boxes)[:, None]

    if all(a["iscrowd"] for a in ground_truth["annotations"]):
        return -1.0
    means = []
    for threshold in iou_thresholds:
        values = []
        for category in ground_truth["categories"]:
            scores, flags, total = [], [], 0
            for image in ground_truth["images"]:
                key = (image["id"], category["id"])
                truths = [a for a in ground_truth["annotations"] if (a["image_id"], a["category_id"]) == key]
                found = [d for d in detections if (d["image_id"], d["category_id"]) == key]
                found = sorted(found, key=lambda d: -d["score"])[:100]
                normal = corners([a for a in truths if not a["iscrowd"]])
                crowd = corners([a for a in truths if a["iscrowd"]])
                total += len(normal)
                matched = match_detections(box_iou(corners(found), normal), threshold) >= 0
                ignored = (inside(corners(found), crowd) >= threshold).any(axis=1) & ~matched
                flags.extend(matched[~ignored])
                scores.extend(np.array([d["score"] for d in found])[~ignored])
            if total:
                order = np.argsort(-np.array(scores), kind="stable")
                values.append(average_precision(*precision_recall(np.array(flags, bool)[order], total)))
        means.append(np.mean(values))
    return np.array(means)


@variant("coco_map")
def map_by_hand(ground_truth, detections, iou_thresholds):
    def overlap(box, other, iscrowd):
        w = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
        h = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
        inter = max(w, 0) * max(h, 0)
        return inter / (box[2] * box[3] + (0 if iscrowd else other[2] * other[3] - inter))

    values = []
    for category in ground_truth["categories"]:
        truths = [a for a in ground_truth["annotations"] if a["category_id"] == category["id"]]
        total = sum(1 for a in truths if not a["iscrowd"])
        ranked = sorted((d for d in detections if d["category_id"] == category["id"]), key=lambda d: -d["score"])
        if total == 0:
            continue
        for threshold in iou_thresholds:
            seen, taken, hits, precision, recall = {}, set(), 0, [], []
            for d in ranked:
                seen[d["image_id"]] = seen.get(d["image_id"], 0) + 1
                if seen[d["image_id"]] > 100:
                    continue
                best, best_overlap, ignored = None, 0, False
                for a in truths:
                    value = overlap(d["bbox"], a["bbox"], a["iscrowd"])
                    if a["image_id"] != d["image_id"] or value < threshold:
                        continue
                    if a["iscrowd"]:
                        ignored = True
                    elif a["id"] not in taken and value > best_overlap:
                        best, best_overlap = a["id"], value
                if best is None and ignored:
                    continue
                if best is not None:
                    taken.add(best)
                    hits += 1
                precision.append(hits / (len(precision) + 1))
                recall.append(hits / total)
            ap = 0
            for r in np.linspace(0, 1, 101):
                ap += max([p for p, q in zip(precision, recall) if q >= r], default=0) / 101
            values.append(ap)
    return sum(values) / len(values) if values else -1.0


@variant("coco_map")
def map_over_groups(ground_truth, detections, iou_thresholds):
    from collections import defaultdict

    truths, found = defaultdict(list), defaultdict(list)
    for a in ground_truth["annotations"]:
        truths[a["category_id"], a["image_id"]].append(a)
    for d in sorted(detections, key=lambda d: -d["score"]):
        if len(found[d["category_id"], d["image_id"]]) < 100:
            found[d["category_id"], d["image_id"]].append(d)
    table = []
    for category in sorted(c["id"] for c in ground_truth["categories"]):
        pairs = [(found[key], truths[key]) for key in set(truths) | set(found) if key[0] == category]
        total = sum(1 - a["iscrowd"] for _, here in pairs for a in here)
        if total == 0:
            continue
        row = []
        for threshold in iou_thresholds:
            ranked = []
            for boxes, here in pairs:
                free = [a for a in here if not a["iscrowd"]]
                for d in boxes:
                    x, y, w, h = d["bbox"]
                    inter = {}
                    for a in here:
                        u, v, s, t = a["bbox"]
                        inter[a["id"]] = max(min(x + w, u + s) - max(x, u), 0) * max(min(y + h, v + t) - max(y, v), 0)
                    iou = [inter[a["id"]] / (w * h + a["bbox"][2] * a["bbox"][3] - inter[a["id"]]) for a in free]
                    if iou and max(iou) >= threshold:
                        free.pop(iou.index(max(iou)))
                        ranked.append((d["score"], True))
                    elif not any(a["iscrowd"] and inter[a["id"]] >= threshold * w * h for a in here):
                        ranked.append((d["score"], False))
            flags = np.array([hit for _, hit in sorted(ranked, reverse=True)], dtype=bool)
            row.append(average_precision(*precision_recall(flags, total)))
        table.append(row)
    return float(np.mean(table)) if table else -1.0


@variant("coco_map")
def map_float32(ground_truth, detections, iou_thresholds):
    def corners(records):
        return xywh_to_xyxy(np.array([r["bbox"] for r in records], np.float32).reshape(-1, 4))

    values = []
    for category in (c["id"] for c in ground_truth["categories"]):
        truths = [a for a in ground_truth["annotations"] if a["category_id"] == category]
        mine = sorted((d for d in detections if d["category_id"] == category), key=lambda d: -d["score"])
        total = len([a for a in truths if not a["iscrowd"]])
        for threshold in iou_thresholds if total else []:
            scores, states = [], []
            for image in {a["image_id"] for a in truths} | {d["image_id"] for d in mine}:
                found = [d for d in mine if d["image_id"] == image][:100]
                normal = corners([a for a in truths if a["image_id"] == image and not a["iscrowd"]])
                crowd = corners([a for a in truths if a["image_id"] == image and a["iscrowd"]])
                boxes = corners(found)
                state = (match_detections(box_iou(boxes, normal), threshold) >= 0).astype(int)
                for region in crowd:
                    parts = np.hstack([np.maximum(boxes[:, :2], region[:2]), np.minimum(boxes[:, 2:], region[2:])])
                    state[(state == 0) & (box_area(parts) / box_area(boxes) >= threshold)] = -1
                states.append(state)
                scores.append(np.array([d["score"] for d in found], dtype=float))
            states, scores = np.concatenate(states), np.concatenate(scores)
            states = states[np.argsort(-scores)]
            values.append(np.float32(average_precision(*precision_recall(states[states >= 0] == 1, total))))
    return float(np.mean(values)) if values else -1.0
