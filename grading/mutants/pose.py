"""Answers to the tasks of 08_pose: wrong ones that students write, and right ones that look different from ours."""

# ruff: noqa: E501 (an edit is our text and its change, on a line each)

from grading.audit import edit, mutant, variant

# ---------------------------------------------------------------- detect_markers

edit(
    "detect_markers",
    "threshold_itself_is_bright",
    {"image > threshold": "image >= threshold"},
    hint="A pixel that equals the threshold is counted as bright. It should be brighter.",
)
edit(
    "detect_markers",
    "corners_connect",
    {"(row, col - 1), (row, col + 1)):": "(row, col - 1), (row, col + 1), (row - 1, col - 1), (row - 1, col + 1), (row + 1, col - 1), (row + 1, col + 1)):"},
    hint="Blobs that only touch at a corner are taken for one. Pixels hang together by an edge.",
)  # fmt: skip
edit(
    "detect_markers",
    "rows_only_connect",
    {"(row - 1, col), (row + 1, col), ": ""},
    hint="A blob of several rows comes back in pieces. Look at the neighbours above and below, too.",
)
edit(
    "detect_markers",
    "all_pixels_weigh_the_same",
    {"weights = image[rows, cols]": "weights = torch.ones_like(image[rows, cols])"},
    hint="The centre does not follow the brightness: weigh each pixel with the image.",
)
edit(
    "detect_markers",
    "weights_above_the_threshold",
    {"weights = image[rows, cols]": "weights = image[rows, cols] - threshold"},
    hint="The weights are not the image itself. Is the threshold taken off?",
)
edit(
    "detect_markers",
    "weights_squared",
    {"weights = image[rows, cols]": "weights = image[rows, cols] ** 2"},
    hint="The weights are not the image itself: bright pixels count too much.",
)
edit(
    "detect_markers",
    "row_before_column",
    {"(weights * cols).sum(), (weights * rows).sum()": "(weights * rows).sum(), (weights * cols).sum()",
     "round(float(centre[1]), 3), float(centre[0])": "round(float(centre[0]), 3), float(centre[1])"},
    hint="x and y look swapped: a point is (x, y), and x is the column.",
)  # fmt: skip
edit(
    "detect_markers",
    "more_than_the_least_area",
    {"len(blob) >= min_area": "len(blob) > min_area"},
    hint="A blob of exactly min_area pixels is left out. It should stay.",
)
edit(
    "detect_markers",
    "every_area_is_enough",
    {"if len(blob) >= min_area:": "if True:"},
    hint="Small blobs are kept whatever min_area says.",
)
edit(
    "detect_markers",
    "sorted_by_x_first",
    {"(round(float(centre[1]), 3), float(centre[0]))": "(round(float(centre[0]), 3), float(centre[1]))"},
    hint="The order is off: by y first, then by x.",
)
edit(
    "detect_markers",
    "sorted_by_the_last_digit_of_y",
    {"round(float(centre[1]), 3)": "float(centre[1])"},
    hint="Two centres whose y differ by less than a thousandth come in the wrong order: round y before you compare, then x decides.",
)
edit(
    "detect_markers",
    "sorted_by_whole_rows",
    {"round(float(centre[1]), 3)": "round(float(centre[1]))"},
    hint="Centres in nearly the same row come in the wrong order: y counts to a thousandth of a pixel, not to a pixel.",
)
edit(
    "detect_markers",
    "in_the_order_found",
    {"    centres.sort(key=lambda centre: (round(float(centre[1]), 3), float(centre[0])))\n": ""},
    hint="The centres are right but not sorted: by y, then by x.",
)
edit(
    "detect_markers",
    "sorted_by_area",
    {"centres.append(": "centres.append((len(blob),", "/ weights.sum())": "/ weights.sum()))",
     "centres.sort(key=lambda centre: (round(float(centre[1]), 3), float(centre[0])))": "centres = [centre for _, centre in sorted(centres, key=lambda pair: -pair[0])]"},
    hint="The centres are right but not sorted: by y, then by x.",
)  # fmt: skip
edit(
    "detect_markers",
    "no_markers_no_columns",
    {"image.new_zeros(0, 2)": "image.new_zeros(0)"},
    hint="Where nothing is found, the result has lost its second dimension: (0, 2) is expected.",
)
edit(
    "detect_markers",
    "centres_of_corners",
    {"torch.stack(centres) if": "torch.stack(centres) + 0.5 if"},
    hint="All centres are off by half a pixel. Pixel (r, c) has its centre at (c, r) in this notebook.",
)
edit(
    "detect_markers",
    "whole_pixels",
    {"torch.stack(centres) if": "torch.stack(centres).round() if"},
    hint="The centres are whole numbers. The mean place is a fraction of a pixel; keep it.",
)
edit(
    "detect_markers",
    "edges_wrap_around",
    {"        for row, col in blob:  # grows while we walk along it\n            for place in": "        H, W = image.shape\n        for row, col in blob:\n            for place in",
     "                if place in left:": "                place = place[0] % H, place[1] % W\n                if place in left:"},
    hint="Blobs at opposite borders of the image are taken for one: does an index run over the edge (-1, roll)?",
)  # fmt: skip
edit(
    "detect_markers",
    "whole_bounding_box_weighs",
    {
        "            weights = image[rows, cols]": "            rows, cols = torch.meshgrid(torch.arange(int(rows.min()), int(rows.max()) + 1), torch.arange(int(cols.min()), int(cols.max()) + 1), indexing='ij')\n            weights = image[rows, cols]",
    },
    hint="Pixels weigh in that are not of the blob: those of its bounding box, or of a blob inside of it.",
)
edit(
    "detect_markers",
    "darkened_in_place",
    {"    left = {": "    image[image <= threshold] = 0\n    left = {"},
    hint="The image that was passed in is changed: the caller still needs it.",
)
edit(
    "detect_markers",
    "single_precision_centres",
    {"torch.stack(centres) if": "torch.stack(centres).float() if"},
    hint="The result has not the dtype of the image.",
)


@mutant(
    "detect_markers",
    hint="Blobs of a bent shape, such as a U, come back in pieces: parts that meet only later have to become one.",
)
def one_pass_without_merging(image, threshold, min_area=1):
    labels, number = {}, 0
    for row, col in (image > threshold).nonzero().tolist():
        label = labels.get((row - 1, col), labels.get((row, col - 1)))
        if label is None:
            label, number = number, number + 1
        labels[row, col] = label
    centres = []
    for label in range(number):
        places = [place for place, other in labels.items() if other == label]
        if len(places) >= min_area:
            rows, cols = torch.tensor(places).T
            weights = image[rows, cols]
            centres.append(torch.stack([(weights * cols).sum(), (weights * rows).sum()]) / weights.sum())
    centres.sort(key=lambda centre: (round(float(centre[1]), 3), float(centre[0])))
    return torch.stack(centres) if centres else image.new_zeros(0, 2)


@mutant("detect_markers", hint="The centre is that of the brightest pixel. The mean place tells fractions of a pixel.")
def brightest_pixel(image, threshold, min_area=1):
    left = {tuple(place) for place in (image > threshold).nonzero().tolist()}
    centres = []
    while left:
        blob = [left.pop()]
        for row, col in blob:
            for place in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
                if place in left:
                    left.remove(place)
                    blob.append(place)
        if len(blob) >= min_area:
            row, col = max(blob, key=lambda place: float(image[place]))
            centres.append((float(col), float(row)))
    centres.sort(key=lambda centre: (round(centre[1], 3), centre[0]))
    return torch.tensor(centres, dtype=image.dtype).reshape(-1, 2)


@variant("detect_markers")
def labels_that_spread(image, threshold, min_area=1):
    bright = image > threshold
    labels = torch.arange(1, image.numel() + 1).reshape(image.shape) * bright
    while True:
        around = F.pad(labels, (1, 1, 1, 1))
        views = (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:])
        spread = labels.maximum(torch.stack(views).amax(dim=0)) * bright
        if torch.equal(spread, labels):
            break
        labels = spread
    rows = torch.arange(image.shape[0], dtype=image.dtype)[:, None]
    cols = torch.arange(image.shape[1], dtype=image.dtype)
    found = []
    for label in labels.unique():
        blob = labels == label
        if label > 0 and blob.sum() >= min_area:
            weights = torch.where(blob, image, 0.0)
            found.append([float((weights * cols).sum() / weights.sum()), float((weights * rows).sum() / weights.sum())])
    found.sort(key=lambda point: (round(point[1], 3), point[0]))
    return torch.tensor(found, dtype=image.dtype).reshape(-1, 2)


@variant("detect_markers")
def flood_by_recursion(image, threshold, min_area=1):
    height, width = image.shape
    values = image.tolist()
    seen = [[value <= threshold for value in row] for row in values]

    def fill(row, col):
        if not (0 <= row < height and 0 <= col < width) or seen[row][col]:
            return []
        seen[row][col] = True
        return [(row, col)] + fill(row + 1, col) + fill(row - 1, col) + fill(row, col + 1) + fill(row, col - 1)

    found = []
    for row in range(height):
        for col in range(width):
            blob = fill(row, col)
            if blob and len(blob) >= min_area:
                total = sum(values[r][c] for r, c in blob)
                x = sum(values[r][c] * c for r, c in blob) / total
                y = sum(values[r][c] * r for r, c in blob) / total
                found.append((round(y, 3), x, y))
    found.sort()
    return image.new_tensor([[x, y] for _, x, y in found]).reshape(-1, 2)


@variant("detect_markers")
def with_union_find(image, threshold, min_area=1):
    parent = {tuple(place): tuple(place) for place in np.argwhere((image > threshold).numpy())}

    def root(place):
        while parent[place] != place:
            place = parent[place]
        return place

    for row, col in parent:
        for other in ((row + 1, col), (row, col + 1)):
            if other in parent:
                parent[root(other)] = root((row, col))
    blobs = {}
    for place in parent:
        blobs.setdefault(root(place), []).append(place)
    points = []
    for blob in blobs.values():
        if len(blob) >= min_area:
            places = torch.tensor(np.array(blob), dtype=image.dtype)
            weights = torch.stack([image[place] for place in blob])
            points.append(((weights[:, None] * places).sum(dim=0) / weights.sum()).flip(0))
    if not points:
        return torch.empty((0, 2), dtype=image.dtype)
    points = torch.stack(points)
    order = np.lexsort((points[:, 0].numpy(), np.round(points[:, 1].double().numpy(), 3)))
    return points[torch.from_numpy(order)]


# ---------------------------------------------------------------- gaussian_heatmaps

edit(
    "gaussian_heatmaps",
    "x_down_and_y_across",
    {"(cols - x) ** 2 + (rows[:, None] - y) ** 2": "(cols - y) ** 2 + (rows[:, None] - x) ** 2"},
    hint="The maps look mirrored at the diagonal: x goes with columns, y with rows.",
)
edit(
    "gaussian_heatmaps",
    "width_before_height",
    {"height, width = size": "width, height = size"},
    hint="The size of the maps is off: `size` has the height first.",
)
edit(
    "gaussian_heatmaps",
    "without_the_2",
    {"(2 * sigma**2)": "sigma**2"},
    hint="The peaks are too narrow: what stands under the squared distance?",
)
edit(
    "gaussian_heatmaps",
    "sigma_not_squared",
    {"(2 * sigma**2)": "(2 * sigma)"},
    hint="The peaks have the right width for sigma = 1 only. Is sigma squared?",
)
edit(
    "gaussian_heatmaps",
    "on_the_nearest_pixel",
    {"keypoints[:, :, None, None]": "keypoints.round()[:, :, None, None]"},
    hint="The peaks sit on whole pixels. Keep the keypoint's fraction.",
)
edit(
    "gaussian_heatmaps",
    "on_the_pixel_below",
    {"keypoints[:, :, None, None]": "keypoints.floor()[:, :, None, None]"},
    hint="The peaks sit on whole pixels. Keep the keypoint's fraction.",
)
edit(
    "gaussian_heatmaps",
    "hidden_ones_missing",
    {"v > 0": "v > 1"},
    hint="Keypoints with v = 1 are missing. They are hidden, but labelled: draw them.",
)
edit(
    "gaussian_heatmaps",
    "unlabelled_ones_drawn",
    {"v > 0": "v >= 0"},
    hint="Keypoints with v = 0 are drawn. Nobody knows where they are: zeros.",
)
edit(
    "gaussian_heatmaps",
    "times_v",
    {"torch.where(v > 0, torch.exp(-squared / (2 * sigma**2)), 0.0)": "v * torch.exp(-squared / (2 * sigma**2))"},
    hint="Some peaks are twice as high as others: v only says whether to draw, it is no factor.",
)
edit(
    "gaussian_heatmaps",
    "sum_of_one",
    {"torch.where(v > 0, torch.exp(": "torch.where(v > 0, 1 / (2 * np.pi * sigma**2) * torch.exp("},
    hint="The peaks have the wrong height: the map is no density, the keypoint itself has 1.",
)
edit(
    "gaussian_heatmaps",
    "highest_pixel_is_one",
    {"return torch.where(v > 0, torch.exp(-squared / (2 * sigma**2)), 0.0)": "maps = torch.where(v > 0, torch.exp(-squared / (2 * sigma**2)), 0.0)\n    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)"},
    hint="Each map is scaled to a maximum of 1. Between pixels the maximum is lower, and that is right.",
)  # fmt: skip
edit(
    "gaussian_heatmaps",
    "cut_off_at_three_sigma",
    {"v > 0, torch": "(v > 0) & (squared <= 9 * sigma**2), torch"},
    hint="The peaks are cut off some way from the keypoint. The formula has no end.",
)
edit(
    "gaussian_heatmaps",
    "outside_ones_missing",
    {"v > 0, torch": "(v > 0) & (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1), torch"},
    hint="A keypoint just outside of the map leaves nothing in it. Its Gaussian reaches in.",
)
edit(
    "gaussian_heatmaps",
    "half_a_pixel_off",
    {"(cols - x) ** 2 + (rows[:, None] - y) ** 2": "(cols + 0.5 - x) ** 2 + (rows[:, None] + 0.5 - y) ** 2"},
    hint="All peaks are half a pixel off. Pixel (r, c) has its centre at (c, r) in this notebook.",
)
edit(
    "gaussian_heatmaps",
    "distance_not_squared",
    {"squared = (cols - x) ** 2 + (rows[:, None] - y) ** 2": "squared = ((cols - x) ** 2 + (rows[:, None] - y) ** 2).sqrt()"},
    hint="The peaks are pointed: the distance under the exponential is squared.",
)  # fmt: skip
edit(
    "gaussian_heatmaps",
    "square_peaks",
    {"(cols - x) ** 2 + (rows[:, None] - y) ** 2": "torch.maximum((cols - x) ** 2, (rows[:, None] - y) ** 2)"},
    hint="The peaks are not round: both axes add to the squared distance.",
)
edit(
    "gaussian_heatmaps",
    "rounded_in_place",
    {"    height, width = size": "    keypoints[keypoints[:, 2] == 0] = 0\n    height, width = size"},
    hint="The keypoints that were passed in are changed.",
)
edit(
    "gaussian_heatmaps",
    "maps_in_single_precision",
    {"sigma**2)), 0.0)": "sigma**2)), 0.0).float()"},
    hint="The result has not the dtype of the keypoints.",
)


@variant("gaussian_heatmaps")
def pixel_by_pixel(keypoints, size, sigma):
    maps = torch.zeros(len(keypoints), *size, dtype=keypoints.dtype)
    for k, (x, y, v) in enumerate(keypoints.tolist()):
        if v:
            for r in range(size[0]):
                for c in range(size[1]):
                    maps[k, r, c] = np.exp(-0.5 * np.hypot(c - x, r - y) ** 2 / sigma**2)
    return maps


@variant("gaussian_heatmaps")
def product_of_two_lines(keypoints, size, sigma):
    x, y, v = keypoints.unbind(dim=1)
    down = torch.exp(-((torch.arange(size[0]) - y[:, None]) ** 2) / (2 * sigma**2))
    across = torch.exp(-((torch.arange(size[1]) - x[:, None]) ** 2) / (2 * sigma**2))
    return down[:, :, None] * across[:, None, :] * (v > 0)[:, None, None]


@variant("gaussian_heatmaps")
def from_a_table_of_distances(keypoints, size, sigma):
    r, c = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    places = torch.stack([c, r], dim=-1).reshape(-1, 2).to(keypoints.dtype)
    maps = torch.exp(-((torch.cdist(keypoints[:, :2], places) / sigma) ** 2) / 2)
    maps[keypoints[:, 2] < 0.5] = 0
    return maps.view(len(keypoints), *size)


# ---------------------------------------------------------------- decode_heatmaps

edit(
    "decode_heatmaps",
    "row_as_x",
    {"points.append([x, y, ": "points.append([y, x, "},
    hint="x and y look swapped: x is the column.",
)
edit(
    "decode_heatmaps",
    "not_shifted",
    {"x += 0.25": "x += 0.0", "y += 0.25": "y += 0.0"},
    hint="The points sit on whole pixels. Move them a quarter pixel to the higher neighbour, on each axis.",
)
edit(
    "decode_heatmaps",
    "shifted_to_the_lower_neighbour",
    {"x += 0.25": "x -= 0.25", "y += 0.25": "y -= 0.25"},
    hint="The shift goes away from the higher neighbour.",
)
edit(
    "decode_heatmaps",
    "half_a_pixel_shift",
    {"x += 0.25": "x += 0.5", "y += 0.25": "y += 0.5"},
    hint="The shift has the right direction but not the right length: a quarter of a pixel.",
)
edit(
    "decode_heatmaps",
    "shift_by_the_difference",
    {"float(torch.sign(heatmap[row, col + 1] - heatmap[row, col - 1]))": "float(heatmap[row, col + 1] - heatmap[row, col - 1])",
     "float(torch.sign(heatmap[row + 1, col] - heatmap[row - 1, col]))": "float(heatmap[row + 1, col] - heatmap[row - 1, col])"},
    hint="The shift depends on how much the neighbours differ. Only the sign counts: it is a quarter pixel or nothing.",
)  # fmt: skip
edit(
    "decode_heatmaps",
    "both_axes_or_none",
    {"if 0 < col < width - 1:": "if 0 < col < width - 1 and 0 < row < height - 1:",
     "if 0 < row < height - 1:": "if 0 < col < width - 1 and 0 < row < height - 1:"},
    hint="A maximum at one border is not moved along it. Each axis looks for its own two neighbours.",
)  # fmt: skip
edit(
    "decode_heatmaps",
    "border_too_wide",
    {"if 0 < col < width - 1:": "if 1 < col < width - 1:", "if 0 < row < height - 1:": "if 1 < row < height - 1:"},
    hint="A maximum one pixel away from the border has both neighbours, but it is not moved.",
)
edit(
    "decode_heatmaps",
    "border_too_wide_at_the_far_end",
    {"if 0 < col < width - 1:": "if 0 < col < width - 2:", "if 0 < row < height - 1:": "if 0 < row < height - 2:"},
    hint="A maximum one pixel away from the border has both neighbours, but it is not moved.",
)
edit(
    "decode_heatmaps",
    "sizes_swapped_at_the_border",
    {"if 0 < col < width - 1:": "if 0 < col < min(height, width) - 1:", "if 0 < row < height - 1:": "if 0 < row < min(height, width) - 1:"},
    hint="Some points are not moved although both neighbours exist: is the height compared with the row, the width with the column?",
)  # fmt: skip
edit(
    "decode_heatmaps",
    "one_neighbour_is_enough",
    {"if 0 < col < width - 1:\n            x += 0.25 * float(torch.sign(heatmap[row, col + 1] - heatmap[row, col - 1]))":
     "if width > 1:\n            x += 0.25 * ((0 < col) * -1 if col == width - 1 else 1 if col == 0 else float(torch.sign(heatmap[row, col + 1] - heatmap[row, col - 1])))"},
    hint="At the border a point is moved to its only neighbour. An axis on which one neighbour is missing is not moved.",
)  # fmt: skip
edit(
    "decode_heatmaps",
    "neighbours_around_the_edge",
    {"if 0 < col < width - 1:": "if True:", "heatmap[row, col + 1] - heatmap[row, col - 1]": "heatmap[row, (col + 1) % width] - heatmap[row, col - 1]",
     "if 0 < row < height - 1:": "if True:", "heatmap[row + 1, col] - heatmap[row - 1, col]": "heatmap[(row + 1) % height, col] - heatmap[row - 1, col]"},
    hint="At the border the neighbour of the opposite side is taken: an index of -1 is the last one.",
)  # fmt: skip
edit(
    "decode_heatmaps",
    "equal_neighbours_move",
    {"float(torch.sign(heatmap[row, col + 1] - heatmap[row, col - 1]))": "(1 if heatmap[row, col + 1] >= heatmap[row, col - 1] else -1)",
     "float(torch.sign(heatmap[row + 1, col] - heatmap[row - 1, col]))": "(1 if heatmap[row + 1, col] >= heatmap[row - 1, col] else -1)"},
    hint="Equal neighbours move the point. Neither is higher: it stays.",
)  # fmt: skip
edit(
    "decode_heatmaps",
    "only_x_moves",
    {"y += 0.25": "y += 0.0"},
    hint="x is moved to the higher neighbour, y is not.",
)
edit(
    "decode_heatmaps",
    "same_neighbours_for_both_axes",
    {"heatmap[row + 1, col] - heatmap[row - 1, col]": "heatmap[row, min(col + 1, width - 1)] - heatmap[row, max(col - 1, 0)]"},
    hint="y is moved by the neighbours on the left and right. Its own ones are above and below.",
)  # fmt: skip
edit(
    "decode_heatmaps",
    "last_maximum",
    {"divmod(int(heatmap.argmax()), width)": "divmod(heatmap.numel() - 1 - int(heatmap.flatten().flip(0).argmax()), width)"},
    hint="Of several equal maxima not the first one is taken.",
)  # fmt: skip
edit(
    "decode_heatmaps",
    "first_maximum_by_columns",
    {"row, col = divmod(int(heatmap.argmax()), width)": "col, row = divmod(int(heatmap.T.flatten().argmax()), height)"},
    hint="Of several equal maxima not the first one in row order is taken.",
)
edit(
    "decode_heatmaps",
    "height_as_the_length_of_a_row",
    {"divmod(int(heatmap.argmax()), width)": "divmod(int(heatmap.argmax()), height)"},
    hint="Maps that are not square give wrong places: how long is a row?",
)
edit(
    "decode_heatmaps",
    "nothing_positive_nothing_found",
    {"points.append([x, y, float(heatmap[row, col])])": "points.append([x, y, float(heatmap[row, col])] if heatmap[row, col] > 0 else [0.0, 0.0, 0.0])"},
    hint="Maps without positive values are treated apart. The maximum counts, whatever its sign.",
)  # fmt: skip
edit(
    "decode_heatmaps",
    "largest_magnitude",
    {"int(heatmap.argmax())": "int(heatmap.abs().argmax())"},
    hint="A strongly negative value is taken for the maximum.",
)
edit(
    "decode_heatmaps",
    "score_between_pixels",
    {"float(heatmap[row, col])": "float(heatmap[row, col]) + 0.25 * abs(x - col)"},
    hint="The score is not the value at the maximum.",
)
edit(
    "decode_heatmaps",
    "score_as_probability",
    {"float(heatmap[row, col])": "float(heatmap.flatten().softmax(0).max())"},
    hint="The score is not the value at the maximum.",
)
edit(
    "decode_heatmaps",
    "no_maps_no_columns",
    {".reshape(-1, 3)": ""},
    hint="Without any map the result has lost its second dimension: (0, 3) is expected.",
)
edit(
    "decode_heatmaps",
    "always_single_precision",
    {"dtype=heatmaps.dtype": "dtype=torch.float32"},
    hint="The result has not the dtype of the maps.",
)
edit(
    "decode_heatmaps",
    "maps_normalised_in_place",
    {
        "    height, width = heatmaps.shape[1:]": "    heatmaps -= heatmaps.amin()\n    height, width = heatmaps.shape[1:]"
    },
    hint="The maps that were passed in are changed.",
)


@variant("decode_heatmaps")
def all_maps_at_once(heatmaps):
    K, H, W = heatmaps.shape
    score, place = heatmaps.reshape(K, H * W).max(dim=1)
    place = heatmaps.reshape(K, H * W).argmax(dim=1)
    rows, cols, maps = place // W, place % W, torch.arange(K)
    right, left = heatmaps[maps, rows, (cols + 1).clamp(max=W - 1)], heatmaps[maps, rows, (cols - 1).clamp(min=0)]
    below, above = heatmaps[maps, (rows + 1).clamp(max=H - 1), cols], heatmaps[maps, (rows - 1).clamp(min=0), cols]
    x = cols + torch.sign(right - left) / 4 * ((cols > 0) & (cols < W - 1))
    y = rows + torch.sign(below - above) / 4 * ((rows > 0) & (rows < H - 1))
    return torch.stack([x, y, score], dim=1)


@variant("decode_heatmaps")
def with_numpy_and_comparisons(heatmaps):
    found = np.zeros((len(heatmaps), 3))
    for k, h in enumerate(heatmaps.detach().numpy()):
        r, c = np.unravel_index(np.argmax(h), h.shape)
        dx = dy = 0
        if c >= 1 and c + 1 < h.shape[1]:
            dx = 0.25 if h[r, c + 1] > h[r, c - 1] else -0.25 if h[r, c + 1] < h[r, c - 1] else 0
        if r >= 1 and r + 1 < h.shape[0]:
            dy = 0.25 if h[r + 1, c] > h[r - 1, c] else -0.25 if h[r + 1, c] < h[r - 1, c] else 0
        found[k] = c + dx, r + dy, h[r, c]
    return torch.from_numpy(found).to(heatmaps.dtype)


@variant("decode_heatmaps")
def shift_maps_by_padding(heatmaps):
    K, H, W = heatmaps.shape
    across, down = torch.zeros_like(heatmaps), torch.zeros_like(heatmaps)
    across[:, :, 1:-1] = torch.sign(heatmaps[:, :, 2:] - heatmaps[:, :, :-2]) * 0.25
    down[:, 1:-1] = torch.sign(heatmaps[:, 2:] - heatmaps[:, :-2]) * 0.25
    index = heatmaps.flatten(1).argmax(dim=1, keepdim=True)
    dx, dy, score = (part.flatten(1).gather(1, index) for part in (across, down, heatmaps))
    return torch.cat([index % W + dx, torch.div(index, W, rounding_mode="floor") + dy, score], dim=1)


# ---------------------------------------------------------------- soft_argmax

edit(
    "soft_argmax",
    "y_before_x",
    {"torch.stack([x, y], dim=1)": "torch.stack([y, x], dim=1)"},
    hint="x and y look swapped: x is the mean of the columns.",
)
edit(
    "soft_argmax",
    "beta_not_used",
    {"beta * heatmaps": "heatmaps"},
    hint="beta changes nothing.",
)
edit(
    "soft_argmax",
    "beta_as_temperature",
    {"beta * heatmaps.flatten(1)": "heatmaps.flatten(1) / beta"},
    hint="beta works the wrong way round: a large one should sharpen the softmax.",
)
edit(
    "soft_argmax",
    "beta_after_the_softmax",
    {"torch.softmax(beta * heatmaps.flatten(1), dim=1)": "(beta * torch.softmax(heatmaps.flatten(1), dim=1))"},
    hint="beta multiplies the result. It belongs into the softmax.",
)
edit(
    "soft_argmax",
    "other_default_of_beta",
    {"beta: float = 1.0": "beta: float = 100.0"},
    hint="Without a beta the result is too sharp: what is its default?",
)
edit(
    "soft_argmax",
    "softmax_of_each_row",
    {"torch.softmax(beta * heatmaps.flatten(1), dim=1)": "(torch.softmax(beta * heatmaps, dim=2) / heatmaps.shape[1])"},
    hint="The softmax runs along one axis only. All pixels of a map compete.",
)
edit(
    "soft_argmax",
    "softmax_of_all_maps",
    {"torch.softmax(beta * heatmaps.flatten(1), dim=1)": "torch.softmax(beta * heatmaps.flatten(), dim=0)"},
    hint="The maps share one softmax. Each map is a probability of its own.",
)
edit(
    "soft_argmax",
    "no_softmax_but_shares",
    {"torch.softmax(beta * heatmaps.flatten(1), dim=1)": "(heatmaps / heatmaps.sum(dim=(1, 2), keepdim=True))"},
    hint="The maps are divided by their sum. The softmax takes the exponential before.",
)
edit(
    "soft_argmax",
    "exponential_overflows",
    {"torch.softmax(beta * heatmaps.flatten(1), dim=1)": "((beta * heatmaps).exp() / (beta * heatmaps).exp().sum(dim=(1, 2), keepdim=True))"},
    hint="Large values give nan: the exponential overflows. torch.softmax takes off the maximum before.",
)  # fmt: skip
edit(
    "soft_argmax",
    "largest_of_all_maps_taken_off",
    {"torch.softmax(beta * heatmaps.flatten(1), dim=1)": "((beta * (heatmaps - heatmaps.max())).exp() / (beta * (heatmaps - heatmaps.max())).exp().sum(dim=(1, 2), keepdim=True))"},
    hint="A map that is far darker than another one gives nan: take off the maximum of each map before the exponential.",
)  # fmt: skip
edit(
    "soft_argmax",
    "corners_of_pixels",
    {"return torch.stack([x, y], dim=1)": "return torch.stack([x, y], dim=1) + 0.5"},
    hint="All points are half a pixel off. Pixel (r, c) has its centre at (c, r) in this notebook.",
)
edit(
    "soft_argmax",
    "places_from_0_to_1",
    {"torch.arange(width, dtype": "torch.linspace(0, 1, width, dtype", "torch.arange(height, dtype": "torch.linspace(0, 1, height, dtype"},
    hint="The points are shares of the map, not pixels.",
)  # fmt: skip
edit(
    "soft_argmax",
    "places_from_1",
    {"torch.arange(width, dtype": "torch.arange(1, width + 1, dtype", "torch.arange(height, dtype": "torch.arange(1, height + 1, dtype"},
    hint="All points are one pixel off: the first pixel is 0.",
)  # fmt: skip
edit(
    "soft_argmax",
    "largest_pixel",
    {"return torch.stack([x, y], dim=1)": "place = (beta * heatmaps.flatten(1)).argmax(dim=1)\n    return torch.stack([place % width, place // width], dim=1).to(heatmaps.dtype)"},
    hint="The result is the maximum, which has no useful gradient. The mean place is asked for.",
)  # fmt: skip
edit(
    "soft_argmax",
    "maximum_with_a_gradient_of_the_mean",
    {"return torch.stack([x, y], dim=1)": "mean = torch.stack([x, y], dim=1)\n    place = heatmaps.flatten(1).argmax(dim=1)\n    return mean + (torch.stack([place % width, place // width], dim=1) - mean).detach()"},
    hint="The result is the maximum. The mean place is asked for.",
)  # fmt: skip
edit(
    "soft_argmax",
    "without_gradient",
    {"return torch.stack([x, y], dim=1)": "return torch.stack([x, y], dim=1).detach()"},
    hint="No gradient flows back to the maps: is something detached, or made from Python numbers?",
)
edit(
    "soft_argmax",
    "gradient_past_the_softmax",
    {"    x = shares": "    shares = shares.detach() + 0 * heatmaps\n    x = shares"},
    hint="The gradient is wrong: does part of the way back go through a detached tensor?",
)
edit(
    "soft_argmax",
    "axes_one_by_one",
    {"x = shares.sum(dim=1) @": "x = torch.softmax(beta * heatmaps.sum(dim=1), dim=1) @", "y = shares.sum(dim=2) @": "y = torch.softmax(beta * heatmaps.sum(dim=2), dim=1) @"},
    hint="The maps are summed before the softmax. First the softmax of all pixels, then the sum over rows or columns.",
)  # fmt: skip
edit(
    "soft_argmax",
    "only_one_map",
    {"torch.softmax(beta * heatmaps.flatten(1), dim=1).reshape(-1, height, width)": "torch.softmax(beta * heatmaps.mean(dim=0).flatten(), dim=0).reshape(1, height, width).expand_as(heatmaps)"},
    hint="All maps give the same point.",
)  # fmt: skip
edit(
    "soft_argmax",
    "scaled_in_place",
    {"beta * heatmaps.flatten(1)": "heatmaps.detach().mul_(beta).flatten(1) + 0 * heatmaps.flatten(1)"},
    hint="The maps that were passed in are changed.",
)


@variant("soft_argmax")
def by_hand_with_the_maximum_taken_off(heatmaps, beta=1.0):
    K, H, W = heatmaps.shape
    h = beta * heatmaps
    e = torch.exp(h - h.reshape(K, H * W).max(dim=1).values.reshape(K, 1, 1))
    total = e.sum(dim=(1, 2))
    x = (e * torch.arange(W).view(1, 1, W)).sum(dim=(1, 2)) / total
    y = (e * torch.arange(H).view(1, H, 1)).sum(dim=(1, 2)) / total
    return torch.stack((x, y), dim=-1)


@variant("soft_argmax")
def by_a_table_of_places(heatmaps, beta=1.0):
    K, H, W = heatmaps.shape
    rows, cols = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    places = torch.stack([cols.flatten(), rows.flatten()], dim=1).to(heatmaps)
    return F.softmax(heatmaps.view(K, H * W).mul(beta), dim=-1) @ places


@variant("soft_argmax")
def by_logarithms(heatmaps, beta=1.0):
    K, H, W = heatmaps.shape
    h = heatmaps * beta
    p = (h - h.logsumexp(dim=(1, 2), keepdim=True)).exp()
    x = torch.einsum("khw,w->k", p, torch.arange(W, dtype=heatmaps.dtype))
    y = torch.einsum("khw,h->k", p, torch.arange(H, dtype=heatmaps.dtype))
    return torch.stack([x, y], 1)


@variant("soft_argmax")
def map_after_map(heatmaps, beta=1.0):
    points = heatmaps.new_zeros((heatmaps.shape[0], 2))
    for k in range(heatmaps.shape[0]):
        p = torch.softmax((beta * heatmaps[k]).reshape(-1), 0).reshape(heatmaps.shape[1:])
        points[k, 0] = sum(p[:, c].sum() * c for c in range(heatmaps.shape[2]))
        points[k, 1] = sum(p[r].sum() * r for r in range(heatmaps.shape[1]))
    return points


# ---------------------------------------------------------------- oks

edit(
    "oks",
    "sigma_not_doubled",
    {"(2 * sigmas) ** 2": "sigmas ** 2"},
    hint="The similarity falls too fast: COCO's code has (2 sigma)^2.",
)
edit(
    "oks",
    "doubled_after_squaring",
    {"(2 * sigmas) ** 2": "2 * sigmas ** 2"},
    hint="The similarity falls too fast: 2 sigma is squared, not sigma alone.",
)
edit(
    "oks",
    "sigma_not_squared_in_oks",
    {"(2 * sigmas) ** 2": "(2 * sigmas)"},
    hint="The constants enter with the wrong power.",
)
edit(
    "oks",
    "without_the_2_before_the_area",
    {"(2 * area *": "(area *"},
    hint="The similarity falls too fast: a factor below the squared distance is missing.",
)
edit(
    "oks",
    "area_squared",
    {"2 * area *": "2 * area**2 *"},
    hint="The area enters with the wrong power. It is the square of a length already.",
)
edit(
    "oks",
    "root_of_the_area",
    {"2 * area *": "2 * area**0.5 *"},
    hint="The area enters with the wrong power. It is the square of a length already.",
)
edit(
    "oks",
    "only_visible_ones",
    {"truth[:, 2] > 0": "truth[:, 2] > 1"},
    hint="Keypoints with v = 1 do not count. They are hidden, but labelled.",
)
edit(
    "oks",
    "unlabelled_ones_count",
    {"similar[labelled].mean()": "similar.mean()"},
    hint="Keypoints with v = 0 count. Nobody knows where they are.",
)
edit(
    "oks",
    "divided_by_all",
    {"similar[labelled].mean()": "similar[labelled].sum() / len(truth)"},
    hint="The sum is divided by the number of all keypoints, not of the labelled ones.",
)
edit(
    "oks",
    "weighted_by_v",
    {"similar[labelled].mean()": "(similar * truth[:, 2]).sum() / truth[:, 2].sum()"},
    hint="Visible keypoints count more than hidden ones. v only says whether one counts.",
)
edit(
    "oks",
    "not_a_mean",
    {"similar[labelled].mean()": "similar[labelled].sum()"},
    hint="The result is a sum. The mean is asked for.",
)
edit(
    "oks",
    "mean_before_the_exponential",
    {"float(similar[labelled].mean())": "float(torch.exp((-squared / (2 * area * (2 * sigmas) ** 2))[labelled].mean()))"},
    hint="The mean is taken before the exponential. Each keypoint has its own similarity; the mean comes last.",
)  # fmt: skip
edit(
    "oks",
    "plain_distance",
    {".square().sum(dim=1)\n": ".square().sum(dim=1).sqrt()\n"},
    hint="The distance is not squared.",
)
edit(
    "oks",
    "distance_of_city_blocks",
    {".square().sum(dim=1)\n": ".abs().sum(dim=1).square()\n"},
    hint="The distance is not the straight one: dx^2 + dy^2.",
)
edit(
    "oks",
    "mean_of_both_axes",
    {".square().sum(dim=1)\n": ".square().mean(dim=1)\n"},
    hint="The squared distance is half of what it should be: x and y add.",
)
edit(
    "oks",
    "nan_if_none_is_labelled",
    {"    if not labelled.any():\n        return 0.0\n": ""},
    hint="If no keypoint is labelled, the result is nan: the mean of nothing.",
)
edit(
    "oks",
    "perfect_if_none_is_labelled",
    {"return 0.0": "return 1.0"},
    hint="If no keypoint is labelled, the result should be 0.",
)
edit(
    "oks",
    "a_tensor",
    {"return float(similar[labelled].mean())": "return similar[labelled].mean()"},
    hint="The result is a tensor. A Python float is asked for.",
)
edit(
    "oks",
    "same_constant_for_all",
    {"(2 * sigmas) ** 2": "(2 * sigmas.mean()) ** 2"},
    hint="All keypoints have the same constant. Each kind has its own.",
)
edit(
    "oks",
    "one_wrong_order",
    {"exp(-squared / (2 * area * (2 * sigmas) ** 2))": "exp(-squared / 2 * area / (2 * sigmas) ** 2)"},
    hint="The area makes errors count more instead of less: see what is below the fraction's bar.",
)
edit(
    "oks",
    "difference_in_place",
    {"squared = (pred - truth[:, :2])": "squared = pred.sub_(truth[:, :2])"},
    hint="The predicted keypoints that were passed in are changed.",
)


@variant("oks")
def as_in_cocos_code(pred, truth, area, sigmas):
    p, g, variances = pred.double().numpy(), truth.double().numpy(), (sigmas.double().numpy() * 2) ** 2
    e = ((p[:, 0] - g[:, 0]) ** 2 + (p[:, 1] - g[:, 1]) ** 2) / variances / (area + np.spacing(1)) / 2
    e = e[g[:, 2] > 0]
    return float(np.sum(np.exp(-e)) / e.shape[0]) if e.shape[0] else 0.0


@variant("oks")
def keypoint_by_keypoint(pred, truth, area, sigmas):
    total, number = 0.0, 0
    for (x, y), (true_x, true_y, v), sigma in zip(pred.tolist(), truth.tolist(), sigmas.tolist()):
        if v != 0:
            number += 1
            total += np.exp(-((x - true_x) ** 2 + (y - true_y) ** 2) / (8 * area * sigma**2))
    return float(total / max(number, 1))


@variant("oks")
def masked_sum(pred, truth, area, sigmas):
    counts = (truth[:, 2] > 0).to(pred.dtype)
    distance = torch.linalg.norm(pred - truth[:, :2], dim=-1)
    scale = area**0.5 * 2 * sigmas
    return ((torch.exp(-0.5 * (distance / scale) ** 2) * counts).sum() / counts.sum().clamp(min=1)).item()


# ---------------------------------------------------------------- PoseNet

edit(
    "PoseNet",
    "gray_pictures",
    {
        "branches = [self.stem(images)]": "branches = [self.stem(images.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1))]"
    },
    hint="The network sees gray pictures only: the three colours are mixed before the first convolution.",
)
edit(
    "PoseNet",
    "one_colour_only",
    {"branches = [self.stem(images)]": "branches = [self.stem(images[:, :1].expand(-1, 3, -1, -1))]"},
    hint="Only one of the three colours reaches the first convolution.",
)
edit(
    "PoseNet",
    "an_eighth_of_the_size",
    {"ConvBlock(c, c, 2), Residual(c)": "ConvBlock(c, c, 2), ConvBlock(c, c, 2), Residual(c)"},
    hint="The maps do not have a quarter of the picture's height and width: count the strides of the stem.",
)
edit(
    "PoseNet",
    "half_of_the_size",
    {"ConvBlock(c, c, 2), Residual(c)": "ConvBlock(c, c), Residual(c)"},
    hint="The maps do not have a quarter of the picture's height and width: count the strides of the stem.",
)
edit(
    "PoseNet",
    "as_large_as_the_picture",
    {"return self.head(branches[0])": "return F.interpolate(self.head(branches[0]), scale_factor=4)"},
    hint="The maps do not have a quarter of the picture's height and width: count the strides of the stem.",
)
edit(
    "PoseNet",
    "side_by_side_but_never_fused",
    {"F.relu(sum(change(x) for change, x in zip(changes, branches, strict=True))) for changes in fusion": "F.relu(changes[k](branches[k])) for k, changes in enumerate(fusion)"},
    hint="Nothing coarser than H/4 influences the result: where are the branches beside the fine one, and are they fused with it?",
)  # fmt: skip
edit(
    "PoseNet",
    "third_branch_never_fused",
    {"zip(changes, branches, strict=True)": "zip(changes, branches[:2], strict=False)"},
    hint="One of the branches does not influence the result: fuse each of them with the fine one.",
)
edit(
    "PoseNet",
    "fine_branch_left_out",
    {"zip(changes, branches, strict=True)": "zip(changes, [torch.zeros_like(branches[0]), *branches[1:]], strict=True)"},
    hint="All that reaches the result went through a coarser map. The fine branch should go on beside it.",
)  # fmt: skip
edit(
    "PoseNet",
    "coarse_branches_pooled_away",
    {"zip(changes, branches, strict=True)": "zip(changes, [branches[0], *(x.mean(dim=(2, 3), keepdim=True).expand_as(x) for x in branches[1:])], strict=True)"},
    hint="The coarser branches tell the fine one the same everywhere: they should be maps when they are fused.",
)  # fmt: skip
edit(
    "PoseNet",
    "coarse_branches_detached",
    {"zip(changes, branches, strict=True)": "zip(changes, [branches[0], *(x.detach() for x in branches[1:])], strict=True)"},
    hint="The result depends on coarser branches, but no gradient flows back through them: they would never be trained.",
)  # fmt: skip
edit(
    "PoseNet",
    "ends_with_a_sigmoid",
    {"return self.head(branches[0])": "return self.head(branches[0]).sigmoid()"},
    hint="The maps are squeezed or cut off by an activation at the end. The head is linear.",
)
edit(
    "PoseNet",
    "ends_with_a_relu",
    {"return self.head(branches[0])": "return F.relu(self.head(branches[0]))"},
    hint="The maps are squeezed or cut off by an activation at the end. The head is linear.",
)
edit(
    "PoseNet",
    "ends_with_a_tanh",
    {"return self.head(branches[0])": "return self.head(branches[0]).tanh()"},
    hint="The maps are squeezed or cut off by an activation at the end. The head is linear.",
)
edit(
    "PoseNet",
    "ends_with_a_softmax",
    {"return self.head(branches[0])": "maps = self.head(branches[0])\n        return maps.flatten(2).softmax(dim=2).reshape(maps.shape)"},
    hint="The maps are squeezed or cut off by an activation at the end. The head is linear.",
)  # fmt: skip
edit(
    "PoseNet",
    "a_map_too_many",
    {"nn.Conv2d(c, num_keypoints, 1)": "nn.Conv2d(c, num_keypoints + 1, 1)"},
    hint="The number of maps is off: one for each keypoint, none for the background; num_keypoints is the first argument of __init__.",
)
edit(
    "PoseNet",
    "always_seventeen_maps",
    {"nn.Conv2d(c, num_keypoints, 1)": "nn.Conv2d(c, 17, 1)"},
    hint="The number of maps does not follow num_keypoints.",
)
edit(
    "PoseNet",
    "always_the_same_width",
    {"c = channels": "c = 32"},
    hint="`channels` is not the width of the H/4 branch: is that fixed, or is it the width of another branch?",
)
edit(
    "PoseNet",
    "half_the_width",
    {"c = channels": "c = channels // 2"},
    hint="`channels` is not the width of the H/4 branch: is that fixed, or is it the width of another branch?",
)
edit(
    "PoseNet",
    "twice_the_width",
    {"c = channels": "c = 2 * channels"},
    hint="`channels` is not the width of the H/4 branch: is that fixed, or is it the width of another branch?",
)
edit(
    "PoseNet",
    "arguments_in_the_other_order",
    {"num_keypoints: int, channels: int": "channels: int, num_keypoints: int"},
    hint="The number of maps is off: one for each keypoint, none for the background; num_keypoints is the first argument of __init__.",
)
edit(
    "PoseNet",
    "layers_in_a_plain_list",
    {"self.opened = nn.ModuleList([ConvBlock(c, 2 * c, 2), ConvBlock(2 * c, 4 * c, 2)])": "self.opened = [ConvBlock(c, 2 * c, 2), ConvBlock(2 * c, 4 * c, 2)]"},
    hint="Some layers are not known as parameters, so they would never be trained. A plain list hides them; nn.ModuleList does not.",
)  # fmt: skip
edit(
    "PoseNet",
    "layer_made_in_forward",
    {"return self.head(branches[0])": "return nn.Conv2d(branches[0].shape[1], self.head.out_channels, 1)(branches[0])"},
    hint="The same picture gives another result each time: a layer is made anew in forward. Make layers in __init__.",
)
edit(
    "PoseNet",
    "dropout_without_end",
    {"return self.head(branches[0])": "return self.head(F.dropout(branches[0], 0.3))"},
    hint="In eval mode the same picture gives another result each time: dropout has to know the mode (nn.Dropout).",
)
edit(
    "PoseNet",
    "one_size_only",
    {"nn.Upsample(scale_factor=2 ** (source - target), mode=": "nn.Upsample(size=(16 // 2**target, 24 // 2**target), mode="},
    hint="The result is not a tensor (N, K, H/4, W/4) for every picture: is a size fixed, are axes swapped, does more than one tensor come back?",
)  # fmt: skip
edit(
    "PoseNet",
    "square_pictures_only",
    {
        "return self.head(branches[0])": "maps = self.head(branches[0])\n        return maps.reshape(*maps.shape[:2], images.shape[-1] // 4, -1)"
    },
    hint="The result is not a tensor (N, K, H/4, W/4) for every picture: is a size fixed, are axes swapped, does more than one tensor come back?",
)
edit(
    "PoseNet",
    "single_pictures_lose_an_axis",
    {"return self.head(branches[0])": "return self.head(branches[0]).squeeze(0)"},
    hint="A batch of one picture loses its first dimension.",
)
edit(
    "PoseNet",
    "single_maps_lose_an_axis",
    {"return self.head(branches[0])": "return self.head(branches[0]).squeeze(1)"},
    hint="With one keypoint the result loses a dimension.",
)
edit(
    "PoseNet",
    "channels_last",
    {"return self.head(branches[0])": "return self.head(branches[0]).permute(0, 2, 3, 1)"},
    hint="The result is not a tensor (N, K, H/4, W/4) for every picture: is a size fixed, are axes swapped, does more than one tensor come back?",
)
edit(
    "PoseNet",
    "maps_of_all_branches",
    {"return self.head(branches[0])": "return self.head(branches[0]), branches[0]"},
    hint="The result is not a tensor (N, K, H/4, W/4) for every picture: is a size fixed, are axes swapped, does more than one tensor come back?",
)
edit(
    "PoseNet",
    "pictures_influence_each_other",
    {"return self.head(branches[0])": "return self.head(F.batch_norm(branches[0], None, None, training=True))"},
    hint="In eval mode the pictures of a batch influence each other: the normalisation still uses statistics of the batch.",
)
edit(
    "PoseNet",
    "picture_normalised_in_place",
    {"branches = [self.stem(images)]": "branches = [self.stem(images.sub_(0.5))]"},
    hint="The pictures that were passed in are changed.",
)
edit(
    "PoseNet",
    "upside_down",
    {"return self.head(branches[0])": "return self.head(branches[0]).flip(2)"},
    hint="A place of the map does not depend on the same place of the picture.",
)


@mutant(
    "PoseNet",
    hint="Nothing coarser than H/4 influences the result: where are the branches beside the fine one, and are they fused with it?",
)
class SingleResolution(nn.Module):
    def __init__(self, num_keypoints, channels):
        super().__init__()
        self.body = nn.Sequential(
            ConvBlock(3, channels, 2), ConvBlock(channels, channels, 2), *(Residual(channels) for _ in range(4))
        )
        self.head = nn.Conv2d(channels, num_keypoints, 1)

    def forward(self, images):
        return self.head(self.body(images))


@mutant(
    "PoseNet",
    hint="Nothing coarser than H/4 influences the result: where are the branches beside the fine one, and are they fused with it?",
)
class SeveralKernelsOneResolution(nn.Module):
    def __init__(self, num_keypoints, channels):
        super().__init__()
        self.stem = nn.Sequential(ConvBlock(3, channels, 2), ConvBlock(channels, channels, 2))
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=d, dilation=d), nn.GroupNorm(4, channels), nn.ReLU())
            for d in (1, 2, 4)
        )
        self.head = nn.Conv2d(channels, num_keypoints, 1)

    def forward(self, images):
        x = self.stem(images)
        return self.head(sum(branch(x) for branch in self.branches))


@mutant(
    "PoseNet", hint="All that reaches the result went through a coarser map. The fine branch should go on beside it."
)
class DownAndUpAgain(nn.Module):
    def __init__(self, num_keypoints, channels):
        super().__init__()
        c = channels
        self.down = nn.Sequential(
            ConvBlock(3, c, 2), ConvBlock(c, c, 2), Residual(c), ConvBlock(c, 2 * c, 2), ConvBlock(2 * c, 4 * c, 2)
        )
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2), ConvBlock(4 * c, 2 * c), nn.Upsample(scale_factor=2), ConvBlock(2 * c, c)
        )
        self.head = nn.Conv2d(c, num_keypoints, 1)

    def forward(self, images):
        return self.head(self.up(self.down(images)))


@mutant(
    "PoseNet", hint="All that reaches the result went through a coarser map. The fine branch should go on beside it."
)
class TransposedConvolutionsAtTheEnd(nn.Module):
    def __init__(self, num_keypoints, channels):
        super().__init__()
        layers, c = [ConvBlock(3, channels, 2)], channels
        for _ in range(4):
            layers += [ConvBlock(c, 2 * c if c < 4 * channels else c, 2)]
            c = 2 * c if c < 4 * channels else c
        for _ in range(3):
            layers += [nn.ConvTranspose2d(c, channels, 4, 2, 1), nn.BatchNorm2d(channels), nn.ReLU()]
            c = channels
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, num_keypoints, 1))

    def forward(self, images):
        return self.layers(images)


@mutant(
    "PoseNet", hint="All that reaches the result went through a coarser map. The fine branch should go on beside it."
)
class ParallelCoarseBranchesOnly(nn.Module):
    def __init__(self, num_keypoints, channels):
        super().__init__()
        c = channels
        self.stem = nn.Sequential(ConvBlock(3, c, 2), ConvBlock(c, c, 2))
        self.first, self.second = ConvBlock(c, c, 2), nn.Sequential(ConvBlock(c, 2 * c, 2), ConvBlock(2 * c, c, 2))
        self.head = nn.Conv2d(c, num_keypoints, 1)

    def forward(self, images):
        x = self.stem(images)
        first, second = self.first(x), self.second(x)
        first = F.interpolate(first, size=x.shape[-2:], mode="bilinear")
        return self.head(first + F.interpolate(second, size=x.shape[-2:], mode="bilinear"))


@mutant(
    "PoseNet",
    hint="The result is not a tensor (N, K, H/4, W/4) for every picture: is a size fixed, are axes swapped, does more than one tensor come back?",
)
class CoarseLinearLayer(nn.Module):
    def __init__(self, num_keypoints, channels):
        super().__init__()
        self.stem = nn.Sequential(ConvBlock(3, channels, 2), ConvBlock(channels, channels, 2))
        self.coarse = nn.Sequential(ConvBlock(channels, channels, 2), nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.linear = nn.Linear(16 * channels, channels * 16 * 16)
        self.head = nn.Conv2d(channels, num_keypoints, 1)

    def forward(self, images):
        fine = self.stem(images)
        return self.head(fine + self.linear(self.coarse(fine)).reshape(len(images), -1, 16, 16))


@variant("PoseNet")
class Patches(nn.Module):
    """Patches as in ConvNeXt, InstanceNorm, and the coarse map brought up by a pixel shuffle."""

    def __init__(self, num_keypoints, channels):
        super().__init__()
        c = channels
        self.stem = nn.Sequential(nn.Conv2d(3, c, 4, 4), nn.InstanceNorm2d(c), nn.GELU())
        self.f = nn.Sequential(
            nn.Conv2d(c, c, 7, padding=3, groups=c),
            nn.InstanceNorm2d(c),
            nn.Conv2d(c, 4 * c, 1),
            nn.GELU(),
            nn.Conv2d(4 * c, c, 1),
        )
        self.d = nn.Conv2d(c, 2 * c, 2, 2)
        self.g = nn.Sequential(nn.Conv2d(2 * c, 2 * c, 3, padding=1), nn.InstanceNorm2d(2 * c, affine=True), nn.GELU())
        self.u = nn.Sequential(nn.Conv2d(2 * c, 4 * c, 1), nn.PixelShuffle(2))
        self.head = nn.Sequential(nn.Conv2d(2 * c, c, 1), nn.GELU(), nn.Conv2d(c, num_keypoints, 1))

    def forward(self, x):
        x = self.stem(x)
        return self.head(torch.cat([x + self.f(x), self.u(self.g(self.d(x)))], 1))


@variant("PoseNet")
class TwoBranchesOnce(nn.Module):
    def __init__(self, num_keypoints, channels):
        super().__init__()
        self.fine = nn.Sequential(
            nn.Conv2d(3, channels, 3, 2, 1), nn.ReLU(), nn.Conv2d(channels, channels, 3, 2, 1), nn.ReLU()
        )
        self.coarse = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 2, 1), nn.ReLU(), nn.Conv2d(channels, channels, 3, 1, 1), nn.ReLU()
        )
        self.more = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1), nn.ReLU())
        self.out = nn.Conv2d(channels, num_keypoints, 1)

    def forward(self, images):
        x = self.fine(images)
        return self.out(self.more(x) + F.interpolate(self.coarse(x), scale_factor=2))


@variant("PoseNet")
class AllFusedToAllAtTheEnd(nn.Module):
    """Fusions make all branches, also the last, whose coarse results nobody reads."""

    def __init__(self, num_keypoints, channels):
        super().__init__()
        c, widths = channels, [channels, 2 * channels, 4 * channels, 8 * channels]
        self.stem = nn.Sequential(ConvBlock(3, 64, 2), ConvBlock(64, 64, 2), ConvBlock(64, c))
        self.openers = nn.ModuleList(ConvBlock(widths[k], widths[k + 1], 2) for k in range(3))
        self.blocks = nn.ModuleList(nn.ModuleList(Residual(w) for w in widths) for _ in range(2))
        self.changes = nn.ModuleList(
            nn.ModuleList(nn.ModuleList(self.change(widths, s, t) for s in range(4)) for t in range(4))
            for _ in range(2)
        )
        self.head = nn.Conv2d(c, num_keypoints, 1)

    @staticmethod
    def change(widths, source, target):
        if source == target:
            return nn.Identity()
        if source > target:
            up = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
            return nn.Sequential(nn.Conv2d(widths[source], widths[target], 1), nn.BatchNorm2d(widths[target]), up)
        steps = [ConvBlock(widths[k], widths[k + 1], 2) for k in range(source, target)]
        return nn.Sequential(*steps)

    def forward(self, images):
        branches = [self.stem(images)]
        for opener in self.openers:
            branches.append(opener(branches[-1]))
        for blocks, changes in zip(self.blocks, self.changes):
            branches = [block(x) for block, x in zip(blocks, branches)]
            branches = [F.relu(sum(change(x) for change, x in zip(row, branches))) for row in changes]
        return self.head(branches[0])


@variant("PoseNet")
class ConcatenatedAtTheEnd(nn.Module):
    def __init__(self, num_keypoints, channels):
        super().__init__()
        c = channels

        def unit(before, after, stride=1):
            return nn.Sequential(
                nn.Conv2d(before, after, 3, stride, 1), nn.GroupNorm(4, after), nn.LeakyReLU(0.1, inplace=True)
            )

        self.stem = nn.Sequential(nn.Conv2d(3, c, 7, 4, 3), nn.GroupNorm(4, c), nn.ReLU(), unit(c, c))
        self.eighth, self.sixteenth = unit(c, 2 * c, 2), unit(2 * c, 2 * c, 2)
        self.fine, self.mixed = unit(c, c), unit(2 * c, 2 * c)
        self.head = nn.Sequential(unit(5 * c, c), nn.Conv2d(c, num_keypoints, 3, padding=1))

    def forward(self, images):
        x = self.stem(images)
        y = self.eighth(x)
        z = self.sixteenth(y)
        y = self.mixed(y + F.interpolate(z, scale_factor=2, mode="bilinear", align_corners=True))
        parts = [self.fine(x), *(F.interpolate(p, size=x.shape[-2:], mode="bicubic") for p in (y, z))]
        return self.head(torch.cat(parts, dim=1))


@variant("PoseNet")
class SkipConnections(nn.Module):
    """A small U-Net on top of the stem: its skip connection is the fine branch."""

    def __init__(self, num_keypoints, channels):
        super().__init__()
        c = channels
        self.stem = nn.Sequential(ConvBlock(3, c, 2), ConvBlock(c, c), nn.AvgPool2d(2))
        self.down1, self.down2 = ConvBlock(c, 2 * c), ConvBlock(2 * c, 2 * c)
        self.up2, self.up1 = nn.ConvTranspose2d(2 * c, 2 * c, 2, 2), nn.ConvTranspose2d(2 * c, c, 2, 2)
        self.join2, self.join1 = ConvBlock(4 * c, 2 * c), ConvBlock(2 * c, c)
        self.head = nn.Conv2d(c, num_keypoints, 1)

    def forward(self, images):
        x = self.stem(images)
        y = self.down1(F.max_pool2d(x, 2))
        z = self.down2(F.avg_pool2d(y, 2))
        y = self.join2(torch.cat([y, self.up2(z)], dim=1))
        return self.head(self.join1(torch.cat([x, self.up1(y)], dim=1)))


@variant("PoseNet")
class WithGatesAndZeroStarts(nn.Module):
    """Each branch begins with no influence (its scale starts at 0), and channels are gated by global means."""

    def __init__(self, num_keypoints, channels):
        super().__init__()
        c = channels
        self.stem = nn.Sequential(ConvBlock(3, c, 2), ConvBlock(c, c, 2))
        self.down = nn.ModuleList([ConvBlock(c, c, 2), ConvBlock(c, c, 2), ConvBlock(c, c, 2)])
        self.work = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, c, 3, padding=1, groups=c), nn.Conv2d(c, c, 1), nn.BatchNorm2d(c), nn.SiLU())
            for _ in range(4)
        )
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, c, 1), nn.Sigmoid())
        self.scale = nn.Parameter(torch.zeros(3))
        self.head = nn.Conv2d(c, num_keypoints, 1)

    def forward(self, images):
        x = self.stem(images)
        branches = [x]
        for down in self.down:
            branches.append(down(branches[-1]))
        branches = [x + work(x) for work, x in zip(self.work, branches)]
        out = branches[0]
        for scale, coarse in zip(self.scale, branches[1:]):
            out = out + scale * F.interpolate(coarse, size=out.shape[-2:], mode="bilinear")
        return self.head(out * self.gate(out))


edit(
    "PoseNet",
    "enlarged_to_the_nearest",
    {', mode="bilinear"': ""},
)
edit(
    "PoseNet",
    "one_fusion_less",
    {"((2, 2), (3, 3), (3, 1))": "((2, 2), (3, 1))"},
)

# ---------------------------------------------------------------- crop_transform

edit(
    "crop_transform",
    "as_large_as_covers",
    {"scale = min(": "scale = max("},
    hint="The crop is filled and part of the box lost. The box has to fit: which of the two factors is it?",
)
edit(
    "crop_transform",
    "width_first",
    {"height, width = output_size": "width, height = output_size"},
    hint="The crop's sides look swapped: output_size has the height first.",
)
edit(
    "crop_transform",
    "stretched",
    {"[[scale, 0.0, shift_x], [0.0, scale, shift_y]]": "[[width / (x2 - x1), 0.0, width / 2 - width / (x2 - x1) * (x1 + x2) / 2], [0.0, height / (y2 - y1), height / 2 - height / (y2 - y1) * (y1 + y2) / 2]]"},
    hint="x and y are scaled differently, so people change their shape. One factor for both.",
)  # fmt: skip
edit(
    "crop_transform",
    "scaled_by_the_width",
    {"scale = min(width / (x2 - x1), height / (y2 - y1))": "scale = width / (x2 - x1)"},
    hint="Only the width decides on the scale: a high box does not fit.",
)
edit(
    "crop_transform",
    "scaled_by_the_longer_side",
    {"scale = min(width / (x2 - x1), height / (y2 - y1))": "scale = min(width, height) / max(x2 - x1, y2 - y1)"},
    hint="The box could be larger: compare each side of the box with its own side of the crop.",
)
edit(
    "crop_transform",
    "corner_to_corner",
    {"shift_x = width / 2 - scale * (x1 + x2) / 2": "shift_x = -scale * x1", "shift_y = height / 2 - scale * (y1 + y2) / 2": "shift_y = -scale * y1"},
    hint="The box's corner comes to the crop's corner. Its centre should come to the centre.",
)  # fmt: skip
edit(
    "crop_transform",
    "half_the_size_as_centre",
    {"scale * (x1 + x2) / 2": "scale * (x2 - x1) / 2", "scale * (y1 + y2) / 2": "scale * (y2 - y1) / 2"},
    hint="Boxes away from the origin come to the wrong place: what is the centre of a box?",
)
edit(
    "crop_transform",
    "centre_not_scaled",
    {"scale * (x1 + x2) / 2": "(x1 + x2) / 2", "scale * (y1 + y2) / 2": "(y1 + y2) / 2"},
    hint="The centre of the box misses the centre of the crop: the shift has to undo the scaled centre.",
)
edit(
    "crop_transform",
    "last_pixel_as_far_side",
    {"width / 2 - scale": "(width - 1) / 2 - scale", "height / 2 - scale": "(height - 1) / 2 - scale"},
    hint="All is half a pixel off: the centre of the crop is (w/2, h/2).",
)
edit(
    "crop_transform",
    "boxes_of_whole_pixels",
    {"min(width / (x2 - x1), height / (y2 - y1))": "min(width / (x2 - x1 + 1), height / (y2 - y1 + 1))"},
    hint="The scale is a little too small: a box is x2 - x1 wide, there is no + 1.",
)
edit(
    "crop_transform",
    "with_a_margin",
    {"scale = min(width / (x2 - x1), height / (y2 - y1))": "scale = min(width / (x2 - x1), height / (y2 - y1)) / 1.25"},
    hint="The box is smaller than fits. No margin here.",
)
edit(
    "crop_transform",
    "from_crop_to_picture",
    {"[[scale, 0.0, shift_x], [0.0, scale, shift_y]]": "[[1 / scale, 0.0, -shift_x / scale], [0.0, 1 / scale, -shift_y / scale]]"},
    hint="The map goes from the crop to the picture. The other way is asked for.",
)  # fmt: skip
edit(
    "crop_transform",
    "rows_swapped",
    {"[[scale, 0.0, shift_x], [0.0, scale, shift_y]]": "[[0.0, scale, shift_y], [scale, 0.0, shift_x]]"},
    hint="x and y look swapped.",
)
edit(
    "crop_transform",
    "shifts_swapped",
    {"[[scale, 0.0, shift_x], [0.0, scale, shift_y]]": "[[scale, 0.0, shift_y], [0.0, scale, shift_x]]"},
    hint="The shifts of x and y look swapped.",
)
edit(
    "crop_transform",
    "three_rows",
    {"[0.0, scale, shift_y]]": "[0.0, scale, shift_y], [0.0, 0.0, 1.0]]"},
    hint="The matrix has too many rows: (2, 3) is expected.",
)
edit(
    "crop_transform",
    "box_as_size",
    {"x1, y1, x2, y2 = box.tolist()": "x1, y1, x2, y2 = box.tolist()\n    x2, y2 = x1 + x2, y1 + y2"},
    hint="The box is taken for (x, y, width, height). It holds two corners.",
)
edit(
    "crop_transform",
    "whole_factors",
    {"scale = min(width / (x2 - x1), height / (y2 - y1))": "scale = max(1, round(min(width / (x2 - x1), height / (y2 - y1))))"},
    hint="The scale is a whole number. It is any positive number.",
)  # fmt: skip
edit(
    "crop_transform",
    "never_enlarged",
    {"scale = min(width / (x2 - x1), height / (y2 - y1))": "scale = min(width / (x2 - x1), height / (y2 - y1), 1.0)"},
    hint="Small boxes are not enlarged. As large as fits.",
)
edit(
    "crop_transform",
    "whole_pixels_of_the_box",
    {"box.tolist()": "box.long().tolist()"},
    hint="Fractions of the box's coordinates get lost.",
)
edit(
    "crop_transform",
    "whole_shifts",
    {"[[scale, 0.0, shift_x], [0.0, scale, shift_y]]": "[[scale, 0.0, round(shift_x)], [0.0, scale, round(shift_y)]]"},
    hint="The shifts are whole numbers: fractions of a pixel get lost.",
)
edit(
    "crop_transform",
    "always_float32",
    {"dtype=box.dtype": "dtype=torch.float32"},
    hint="The result has not the dtype of the box.",
)
edit(
    "crop_transform",
    "sides_in_place",
    {"    x1, y1, x2, y2 = box.tolist()\n": "    x1, y1, x2, y2 = box.tolist()\n    box[2:] -= box[:2]\n"},
    hint="The box that was passed in is changed.",
)


@variant("crop_transform")
def as_a_product_of_matrices(box, output_size):
    h, w = output_size
    s = torch.min(w / (box[2] - box[0]), h / (box[3] - box[1]))
    one, zero = torch.ones_like(s), torch.zeros_like(s)
    centre = (box[:2] + box[2:]) / 2
    back = torch.stack([one, zero, -centre[0], zero, one, -centre[1], zero, zero, one]).view(3, 3)
    scale = torch.diag(torch.stack([s, s, one]))
    forth = torch.eye(3, dtype=box.dtype)
    forth[0, 2], forth[1, 2] = w / 2, h / 2
    return (forth @ scale @ back)[:2]


@variant("crop_transform")
def solved_from_three_points(box, output_size):
    x1, y1, x2, y2 = box.double().numpy()
    h, w = output_size
    s = min(w / (x2 - x1), h / (y2 - y1))
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    source = np.array([[x, y, 1], [x2, y, 1], [x, y2, 1]])
    target = np.array([[w / 2, h / 2], [w / 2 + s * (x2 - x), h / 2], [w / 2, h / 2 + s * (y2 - y)]])
    return torch.tensor(np.linalg.solve(source, target).T, dtype=box.dtype)


@variant("crop_transform")
def scale_and_rest(box, output_size):
    sizes = box[2:] - box[:2]
    target = torch.tensor(output_size).flip(0).to(box.dtype)
    s = (target / sizes).min()
    corner = (target - s * sizes) / 2
    return torch.cat([s * torch.eye(2, dtype=box.dtype), (corner - s * box[:2])[:, None]], dim=1)


# ---------------------------------------------------------------- limb_score

edit(
    "limb_score",
    "not_a_unit_vector",
    {"(b - a) / length @ vectors": "(b - a) @ vectors"},
    hint="Long limbs score more: divide b - a by its length.",
)
edit(
    "limb_score",
    "squared_length",
    {"(b - a) / length @ vectors": "(b - a) / length**2 @ vectors"},
    hint="Long limbs score less: divide b - a by its length, once.",
)
edit(
    "limb_score",
    "from_b_to_a",
    {"(b - a) / length @ vectors": "(a - b) / length @ vectors"},
    hint="The sign is wrong: the limb points from a to b.",
)
edit(
    "limb_score",
    "direction_does_not_matter",
    {"return float(((b - a) / length @ vectors).mean())": "return abs(float(((b - a) / length @ vectors).mean()))"},
    hint="A limb that points the wrong way scores as well as a right one. Keep the sign.",
)
edit(
    "limb_score",
    "negative_places_count_nothing",
    {"((b - a) / length @ vectors).mean()": "((b - a) / length @ vectors).clamp(min=0).mean()"},
    hint="Places where the field points backwards do not count. They take away from the mean.",
)
edit(
    "limb_score",
    "first_end_only",
    {"torch.linspace(0, 1, samples, dtype": "torch.linspace(0, 1, samples + 1, dtype", "device=field.device)\n": "device=field.device)[:-1]\n"},
    hint="The samples stop before b. Both ends are included.",
)  # fmt: skip
edit(
    "limb_score",
    "no_end_at_all",
    {"torch.linspace(0, 1, samples, dtype": "torch.linspace(0, 1, samples + 2, dtype", "device=field.device)\n": "device=field.device)[1:-1]\n"},
    hint="The samples leave out a and b. Both ends are included.",
)  # fmt: skip
edit(
    "limb_score",
    "middles_of_pieces",
    {
        "torch.linspace(0, 1, samples, dtype=field.dtype, device=field.device)": "(torch.arange(samples) + 0.5) / samples"
    },
    hint="The samples leave out a and b. Both ends are included.",
)
edit(
    "limb_score",
    "nearest_pixel",
    {"x.floor().long(), y.floor().long()": "x.round().long(), y.round().long()", "u, v = x - left, y - top": "u, v = 0.0, 0.0"},
    hint="The field is read at the nearest pixel. Interpolate between the four around.",
)  # fmt: skip
edit(
    "limb_score",
    "pixel_below",
    {"u, v = x - left, y - top": "u, v = 0.0, 0.0"},
    hint="The field is read at a whole pixel. Interpolate between the four around.",
)
edit(
    "limb_score",
    "rest_swapped",
    {"u, v = x - left, y - top": "v, u = x - left, y - top"},
    hint="The interpolation is off: the fraction of x weighs left against right, that of y upper against lower.",
)
edit(
    "limb_score",
    "weights_swapped",
    {"u, v = x - left, y - top": "u, v = 1 - (x - left), 1 - (y - top)"},
    hint="The interpolation is off: the nearer pixel should weigh more.",
)
edit(
    "limb_score",
    "rows_and_columns_exchanged",
    {"x = (a[0] + along * (b[0] - a[0]))": "x = (a[1] + along * (b[1] - a[1]))", "y = (a[1] + along * (b[1] - a[1]))": "y = (a[0] + along * (b[0] - a[0]))"},
    hint="The field is read at the wrong places: x is the column, y the row.",
)  # fmt: skip
edit(
    "limb_score",
    "channels_exchanged",
    {"(b - a) / length @ vectors": "(b - a) / length @ vectors.flip(0)"},
    hint="The channels of the field look swapped: the first holds x.",
)
edit(
    "limb_score",
    "only_the_x_component",
    {"(b - a) / length @ vectors": "((b - a) / length)[0] * vectors[0]"},
    hint="Limbs that go down score 0: both components of the field count.",
)
edit(
    "limb_score",
    "summed",
    {"@ vectors).mean()": "@ vectors).sum()"},
    hint="More samples give a higher score: take the mean.",
)
edit(
    "limb_score",
    "field_made_unit",
    {"@ vectors).mean()": "@ F.normalize(vectors, dim=0)).mean()"},
    hint="The length of the field's vectors does not count. A weak field should score low.",
)
edit(
    "limb_score",
    "always_ten_samples",
    {"torch.linspace(0, 1, samples, ": "torch.linspace(0, 1, 10, "},
    hint="The number of samples does not follow the argument.",
)
edit(
    "limb_score",
    "other_default_of_samples",
    {"samples: int = 10": "samples: int = 20"},
    hint="Without `samples` another number than 10 is taken.",
)
edit(
    "limb_score",
    "zeros_outside",
    {"    vectors = (1 - v) * upper + v * lower\n": "    vectors = (1 - v) * upper + v * lower\n    outside_x, outside_y = a[0] + along * (b[0] - a[0]), a[1] + along * (b[1] - a[1])\n    vectors = vectors * ((outside_x == x) & (outside_y == y))\n"},
    hint="Places outside of the map count as zero. The nearest place of the map counts.",
)  # fmt: skip
edit(
    "limb_score",
    "inside_places_only",
    {"    return float(((b - a) / length @ vectors).mean())": "    inside = (a[0] + along * (b[0] - a[0]) == x) & (a[1] + along * (b[1] - a[1]) == y)\n    return float((((b - a) / length @ vectors) * inside).sum() / inside.sum().clamp(min=1))"},
    hint="Places outside of the map are left out. The nearest place of the map counts.",
)  # fmt: skip
edit(
    "limb_score",
    "ends_clamped_first",
    {"    height, width = field.shape[1:]\n": "    height, width = field.shape[1:]\n    a, b = (torch.stack([p[0].clamp(0, width - 1), p[1].clamp(0, height - 1)]) for p in (a, b))\n    length = max(float((b - a).norm()), 1e-9)\n"},
    hint="The ends are moved into the map first, which bends the limb. Clamp the coordinates of the samples.",
)  # fmt: skip
edit(
    "limb_score",
    "clamped_by_the_wrong_sides",
    {"clamp(0, width - 1)": "clamp(0, min(width, height) - 1)", "clamp(0, height - 1)": "clamp(0, min(width, height) - 1)"},
    hint="In maps that are not square the samples are clamped too early: x by the width, y by the height.",
)  # fmt: skip
edit(
    "limb_score",
    "nan_without_length",
    {"    if length == 0:\n        return 0.0\n": ""},
    hint="If a = b the result is nan: there is no direction. The score is 0.",
)
edit(
    "limb_score",
    "one_without_length",
    {"return 0.0": "return 1.0"},
    hint="If a = b there is no direction. The score is 0.",
)
edit(
    "limb_score",
    "a_tensor_as_score",
    {"return float(((b - a) / length @ vectors).mean())": "return ((b - a) / length @ vectors).mean()"},
    hint="The result is a tensor. A Python float is asked for.",
)
edit(
    "limb_score",
    "shares_of_good_places",
    {"((b - a) / length @ vectors).mean()": "((b - a) / length @ vectors > 0.05).float().mean()"},
    hint="Places are counted instead of averaged.",
)
edit(
    "limb_score",
    "corners_as_places",
    {"(b[0] - a[0]))": "(b[0] - a[0]) - 0.5)", "(b[1] - a[1]))": "(b[1] - a[1]) - 0.5)"},
    hint="The field is read half a pixel off. Pixel (r, c) has its centre at (c, r) in this notebook.",
)
edit(
    "limb_score",
    "direction_in_place",
    {"    length = float((b - a).norm())\n": "    length = float((b - a).norm())\n    field.clamp_(-1, 1)\n"},
    hint="An argument is changed.",
)


@variant("limb_score")
def place_by_place(field, a, b, samples=10):
    field = field.double().numpy()
    (ax, ay), (bx, by) = a.tolist(), b.tolist()
    length = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5
    if length == 0:
        return 0.0
    H, W = field.shape[1:]
    total = 0.0
    for t in np.linspace(0, 1, samples):
        x, y = min(max(ax + t * (bx - ax), 0), W - 1), min(max(ay + t * (by - ay), 0), H - 1)
        c, r = min(int(x), max(W - 2, 0)), min(int(y), max(H - 2, 0))
        dx, dy = x - c, y - r
        vector = np.zeros(2)
        for i, wy in ((r, 1 - dy), (min(r + 1, H - 1), dy)):
            for j, wx in ((c, 1 - dx), (min(c + 1, W - 1), dx)):
                vector += wy * wx * field[:, i, j]
        total += (vector[0] * (bx - ax) + vector[1] * (by - ay)) / length
    return total / samples


@variant("limb_score")
def with_tents(field, a, b, samples=10):
    """Bilinear interpolation as a sum over all pixels, weighed by tents."""
    _, H, W = field.shape
    places = a + torch.linspace(0, 1, samples)[:, None] * (b - a)
    x, y = places[:, 0].clamp(0, W - 1), places[:, 1].clamp(0, H - 1)
    across = (1 - (x[:, None] - torch.arange(W)).abs()).clamp(min=0)
    down = (1 - (y[:, None] - torch.arange(H)).abs()).clamp(min=0)
    vectors = torch.einsum("sh,sw,khw->sk", down, across, field)
    return float((vectors * F.normalize(b - a, dim=0)).sum(dim=1).mean())


@variant("limb_score")
def with_a_guarded_length(field, a, b, samples=10):
    d = b - a
    unit = d / (d.norm() + 1e-10)
    H, W = field.shape[-2:]
    points = torch.stack([torch.linspace(float(s), float(e), samples) for s, e in zip(a, b)])
    x, y = points[0].clamp(0, W - 1), points[1].clamp(0, H - 1)
    x0, y0 = x.long(), y.long()
    x1, y1 = torch.clamp(x0 + 1, max=W - 1), torch.clamp(y0 + 1, max=H - 1)
    fx, fy = x - x0, y - y0
    along = unit[0] * field[0] + unit[1] * field[1]
    values = along[y0, x0] * (1 - fx) * (1 - fy) + along[y0, x1] * fx * (1 - fy)
    values = values + along[y1, x0] * (1 - fx) * fy + along[y1, x1] * fx * fy
    return values.mean().item()


# ---------------------------------------------------------------- group_limbs

edit(
    "group_limbs",
    "threshold_after_the_assignment",
    {"torch.where(allowed, scores, 0)": "scores"},
    hint="Pairs below the threshold are left out at the end, but before that they drive out better ones.",
)
edit(
    "group_limbs",
    "more_than_the_threshold",
    {"scores >= threshold": "scores > threshold"},
    hint="A score equal to the threshold is refused. It is enough.",
)
edit(
    "group_limbs",
    "threshold_not_used",
    {"allowed = scores >= threshold": "allowed = scores >= -1e9"},
    hint="Pairs below the threshold are chosen.",
)
edit(
    "group_limbs",
    "pairs_of_zero_kept",
    {" if allowed[i, j]]": "]"},
    hint="Pairs below the threshold are chosen: linear_sum_assignment always pairs as many as it can.",
)
edit(
    "group_limbs",
    "least_total",
    {", maximize=True": ""},
    hint="The total looks as small as possible: linear_sum_assignment minimises unless told otherwise.",
)
edit(
    "group_limbs",
    "as_many_pairs_as_possible",
    {"torch.where(allowed, scores, 0)": "torch.where(allowed, scores, -1e6)"},
    hint="Two weak pairs are preferred to a strong one: a pair that may not be chosen should cost nothing, or the number of pairs decides.",
)
edit(
    "group_limbs",
    "forbidden_pairs_cost_a_little",
    {"torch.where(allowed, scores, 0)": "torch.where(allowed, scores, -1.0)"},
    hint="Two weak pairs are preferred to a strong one: a pair that may not be chosen should cost nothing.",
)
edit(
    "group_limbs",
    "forbidden_pairs_impossible",
    {"torch.where(allowed, scores, 0)": "torch.where(allowed, scores, -torch.inf)"},
    hint="Where pairs are missing it fails or prefers many weak pairs: an infinite cost leaves the assignment no way out.",
)
edit(
    "group_limbs",
    "gain_over_the_threshold",
    {"torch.where(allowed, scores, 0)": "torch.where(allowed, scores - threshold, 0)"},
    hint="The total of something else is maximised. Take the scores as they are.",
)
edit(
    "group_limbs",
    "squares_of_scores",
    {"torch.where(allowed, scores, 0)": "torch.where(allowed, scores**2, 0)"},
    hint="The total of something else is maximised. Take the scores as they are.",
)
edit(
    "group_limbs",
    "as_many_as_allowed",
    {"torch.where(allowed, scores, 0)": "allowed.float()"},
    hint="The number of pairs is maximised. It is the total of the scores that counts.",
)
edit(
    "group_limbs",
    "wrist_before_elbow",
    {"(int(i), int(j)) for": "(int(j), int(i)) for"},
    hint="The pairs look turned round: (row, column).",
)
edit(
    "group_limbs",
    "best_pair_first_in_the_list",
    {"    return [(int(i), int(j)) for i, j in zip(rows, cols, strict=True) if allowed[i, j]]": "    return sorted([(int(i), int(j)) for i, j in zip(rows, cols, strict=True) if allowed[i, j]], key=lambda pair: -float(scores[pair]))"},
    hint="The pairs are right, but not sorted by i.",
)  # fmt: skip
edit(
    "group_limbs",
    "sorted_by_the_second",
    {"    return [(int(i), int(j)) for i, j in zip(rows, cols, strict=True) if allowed[i, j]]": "    return sorted([(int(i), int(j)) for i, j in zip(rows, cols, strict=True) if allowed[i, j]], key=lambda pair: pair[1])"},
    hint="The pairs are right, but not sorted by i.",
)  # fmt: skip
edit(
    "group_limbs",
    "scores_in_the_pairs",
    {"(int(i), int(j)) for": "(int(i), int(j), float(scores[i, j])) for"},
    hint="Each pair holds more than two indices.",
)
edit(
    "group_limbs",
    "masked_in_place",
    {"    allowed = scores >= threshold\n": "    allowed = scores >= threshold\n    scores[~allowed] = 0\n"},
    hint="The scores that were passed in are changed.",
)


@mutant(
    "group_limbs",
    hint="The best pair is taken first, then the best of the rest. Another choice may have a greater total.",
)
def best_pair_first(scores, threshold):
    pairs, left = [], scores.clone()
    while left.numel() and left.max() >= threshold:
        i, j = divmod(int(left.argmax()), left.shape[1])
        pairs.append((i, j))
        left[i], left[:, j] = -1, -1
    return sorted(pairs)


@mutant("group_limbs", hint="Each row takes the best that is left. Another choice may have a greater total.")
def row_after_row(scores, threshold):
    pairs, taken = [], set()
    for i, row in enumerate(scores.tolist()):
        free = [(score, -j) for j, score in enumerate(row) if j not in taken and score >= threshold]
        if free:
            j = -max(free)[1]
            taken.add(j)
            pairs.append((i, j))
    return pairs


@mutant("group_limbs", hint="A wrist belongs to several elbows: each column may be used once.")
def best_of_each_row(scores, threshold):
    if scores.numel() == 0:
        return []
    return [(i, int(row.argmax())) for i, row in enumerate(scores) if row.max() >= threshold]


@mutant(
    "group_limbs",
    hint="Only pairs are chosen in which each is the other's best. Others may be part of the greatest total.",
)
def best_for_each_other(scores, threshold):
    if scores.numel() == 0:
        return []
    rows, cols = scores.argmax(dim=1), scores.argmax(dim=0)
    return [(i, int(j)) for i, j in enumerate(rows) if cols[j] == i and scores[i, j] >= threshold]


@mutant("group_limbs", hint="Without candidates on one side it fails. The answer is an empty list.")
def empty_tables_fail(scores, threshold):
    assert scores.max() > -1
    allowed = scores >= threshold
    rows, cols = linear_sum_assignment(torch.where(allowed, scores, 0).numpy(), maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, cols) if allowed[i, j]]


@mutant("group_limbs", hint="Only as many rows are looked at as there are columns, or the other way round.")
def square_part_only(scores, threshold):
    n = min(scores.shape)
    scores = scores[:n, :n]
    allowed = scores >= threshold
    rows, cols = linear_sum_assignment(torch.where(allowed, scores, 0).numpy(), maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, cols) if allowed[i, j]]


@variant("group_limbs")
def all_choices_tried(scores, threshold):
    table = scores.tolist()

    def best(i, taken):
        if i == len(table):
            return 0.0, []
        top = best(i + 1, taken)
        for j, score in enumerate(table[i]):
            if j not in taken and score >= threshold:
                total, pairs = best(i + 1, taken | {j})
                if total + score > top[0]:
                    top = total + score, [(i, j), *pairs]
        return top

    return best(0, frozenset())[1]


@variant("group_limbs")
def costs_instead_of_gains(scores, threshold):
    scores = scores.numpy().astype(float)
    gain = np.where(scores >= threshold, scores, 0.0)
    pairs = zip(*linear_sum_assignment(-gain))
    return sorted((i, j) for i, j in pairs if scores[i, j] >= threshold)


@variant("group_limbs")
def with_a_partner_that_is_nobody(scores, threshold):
    """Each row has a dummy column of its own with gain 0; pairs below the threshold are far worse than that."""
    A, B = scores.shape
    if A == 0 or B == 0:
        return []
    table = torch.cat([torch.where(scores >= threshold, scores, -1e6), torch.zeros(A, A)], dim=1)
    rows, cols = linear_sum_assignment(table.double().numpy(), maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, cols) if j < B]


@variant("group_limbs")
def as_lists_of_two(scores, threshold):
    allowed = scores >= threshold
    rows, cols = linear_sum_assignment((scores * allowed).numpy(), maximize=True)
    return [[int(i), int(j)] for i, j in zip(rows, cols) if allowed[i, j]]


# ---------------------------------------------------------------- rodrigues

edit(
    "rodrigues",
    "turned_the_other_way",
    {"[zero, -z, y, z, zero, -x, -y, x, zero]": "[zero, z, -y, -z, zero, x, y, -x, zero]"},
    hint="All rotations go the other way round (transposed): see the signs of K.",
)
edit(
    "rodrigues",
    "signs_mixed_up",
    {"[zero, -z, y, z, zero, -x, -y, x, zero]": "[zero, -z, -y, z, zero, -x, y, x, zero]"},
    hint="One axis turns the wrong way: see the signs of K.",
)
edit(
    "rodrigues",
    "axes_mixed_up",
    {"x, y, z = axis_angle": "z, y, x = axis_angle"},
    hint="The axes look mixed up: which entries of K hold x?",
)
edit(
    "rodrigues",
    "first_order_only",
    {" + second[:, None, None] * (K @ K)": ""},
    hint="Large angles do not give rotations: the term with K^2 is missing.",
)
edit(
    "rodrigues",
    "square_element_by_element",
    {"(K @ K)": "(K * K)"},
    hint="K^2 is a product of matrices, not of elements.",
)
edit(
    "rodrigues",
    "square_with_the_transpose",
    {"(K @ K)": "(K @ K.transpose(1, 2))"},
    hint="The term with K^2 has the wrong sign: K times its transpose is -K^2.",
)
edit(
    "rodrigues",
    "angle_in_degrees",
    {"squared = axis_angle.square()": "axis_angle = torch.deg2rad(axis_angle)\n    squared = axis_angle.square()"},
    hint="The angles look taken for degrees. They are radians.",
)
edit(
    "rodrigues",
    "sine_not_divided",
    {"is_small, series_first, angle.sin() / angle": "is_small, series_first, angle.sin()"},
    hint="The factor of K is wrong: K holds the angle already, so the sine is divided by it.",
)
edit(
    "rodrigues",
    "cosine_divided_once",
    {"2 * ((angle / 2).sin() / angle) ** 2": "(1 - angle.cos()) / angle"},
    hint="The factor of K^2 is wrong: K holds the angle twice there.",
)
edit(
    "rodrigues",
    "sine_and_cosine_exchanged",
    {"angle.sin() / angle)": "angle.cos() / angle)"},
    hint="The factor of K is wrong for all but small angles.",
)
edit(
    "rodrigues",
    "half_the_angle",
    {"axis_angle.square().sum(dim=1)": "(axis_angle / 2).square().sum(dim=1)"},
    hint="The angle in the factors is not that of the vector.",
)
edit(
    "rodrigues",
    "series_everywhere",
    {"squared < 1e-4": "squared < 1e4"},
    hint="Large angles do not give rotations: the series holds for small ones only.",
)
edit(
    "rodrigues",
    "series_too_far",
    {"squared < 1e-4": "squared < 2.0", "- squared / 6 + squared**2 / 120": "- squared / 6", "- squared / 24 + squared**2 / 720": "- squared / 24"},
    hint="Angles of moderate size are not exact: a short series reaches only so far.",
)  # fmt: skip
edit(
    "rodrigues",
    "nan_at_zero",
    {"angle = torch.where(is_small, 1.0, squared).sqrt()": "angle = squared.sqrt()", "torch.where(is_small, series_first, angle.sin() / angle)": "angle.sin() / angle", "torch.where(is_small, series_second, 2 * ((angle / 2).sin() / angle) ** 2)": "2 * ((angle / 2).sin() / angle) ** 2"},
    hint="At 0 the result is nan: 0 / 0. Both quotients have a limit.",
)  # fmt: skip
edit(
    "rodrigues",
    "gradient_nan_at_zero",
    {"torch.where(is_small, 1.0, squared).sqrt()": "squared.sqrt()"},
    hint="At 0 the result is right but the gradient is nan: the branch of torch.where that is not taken has to be finite, too.",
)
edit(
    "rodrigues",
    "gradient_nan_from_a_guarded_quotient",
    {"torch.where(is_small, 1.0, squared).sqrt()": "squared.sqrt() + 1e-8", "torch.where(is_small, series_first, angle.sin() / angle)": "angle.sin() / angle", "torch.where(is_small, series_second, 2 * ((angle / 2).sin() / angle) ** 2)": "2 * ((angle / 2).sin() / angle) ** 2"},
    hint="At 0 the result is right but the gradient is nan: the root has infinite slope there. Add before the root, not after it.",
)  # fmt: skip
edit(
    "rodrigues",
    "identity_without_gradient_at_zero",
    {"    return identity + first": "    K = K * (squared > 0)[:, None, None]\n    return identity + first"},
    hint="At 0 the result is the identity, but its gradient is 0: a fit that begins there never moves.",
)
edit(
    "rodrigues",
    "axis_of_zero_length",
    {
        "    squared = axis_angle.square().sum(dim=1)": "    length = axis_angle.norm(dim=1, keepdim=True)\n    axis_angle = axis_angle / torch.where(length > 0, length, 1.0) * length\n    squared = axis_angle.square().sum(dim=1)"
    },
    hint="At 0 the gradient is 0: the axis is divided by a length and multiplied by it again, and the slope is lost.",
)
edit(
    "rodrigues",
    "moved_away_from_zero",
    {
        "    squared = axis_angle.square().sum(dim=1)": "    axis_angle = axis_angle + 1e-3\n    squared = axis_angle.square().sum(dim=1)"
    },
    hint="The angles are shifted by a constant that is too large: at 0 the identity is expected.",
)
edit(
    "rodrigues",
    "gradient_doubled_at_zero",
    {
        "first[:, None, None] * K +": "first[:, None, None] * (K + torch.where(is_small[:, None, None], K - K.detach(), 0.0)) +"
    },
    hint="At 0 the gradient has the wrong size.",
)
edit(
    "rodrigues",
    "without_any_gradient",
    {"    squared = axis_angle.square()": "    axis_angle = axis_angle.detach()\n    squared = axis_angle.square()"},
    hint="No gradient flows back to the vectors.",
)
edit(
    "rodrigues",
    "angle_detached",
    {"    squared = axis_angle.square().sum(dim=1)": "    squared = axis_angle.detach().square().sum(dim=1)"},
    hint="The gradient is wrong away from 0: the factors depend on the angle, too.",
)
edit(
    "rodrigues",
    "no_vectors_fail",
    {"    squared = axis_angle.square()": "    assert axis_angle.abs().max() >= 0\n    squared = axis_angle.square()"},
    hint="Without any vector it fails: (0, 3, 3) is expected.",
)
edit(
    "rodrigues",
    "first_vector_for_all",
    {"first[:, None, None] * K": "first[:1, None, None] * K"},
    hint="Each vector has its own angle; it looks as if the first one is used for all.",
)
edit(
    "rodrigues",
    "rotations_in_single_precision",
    {"(K @ K)": "(K @ K).float()", "return identity": "return identity.float()", "dim=1).reshape(-1, 3, 3)": "dim=1).reshape(-1, 3, 3).float()", "first[:, None, None] * K": "first[:, None, None].float() * K", "second[:, None, None]": "second[:, None, None].float()"},
    hint="The result has not the dtype of the vectors.",
)  # fmt: skip


@variant("rodrigues")
def shifted_by_next_to_nothing(axis_angle):
    """As in smplx: the length of theta + 1e-8."""
    angle = torch.norm(axis_angle + 1e-8, dim=1, keepdim=True)
    rx, ry, rz = torch.split(axis_angle / angle, 1, dim=1)
    zeros = torch.zeros_like(rx)
    K = torch.cat([zeros, -rz, ry, rz, zeros, -rx, -ry, rx, zeros], dim=1).view(-1, 3, 3)
    s, c = angle.sin()[:, :, None], angle.cos()[:, :, None]
    return torch.eye(3, dtype=axis_angle.dtype)[None] + s * K + (1 - c) * torch.bmm(K, K)


@variant("rodrigues")
def through_quaternions(axis_angle):
    squared = (axis_angle**2).sum(dim=-1, keepdim=True)
    half = torch.sqrt(squared + 1e-14) / 2
    v = axis_angle * (half.sin() / (2 * half))
    w = half.cos()[:, 0]
    x, y, z = v.unbind(dim=-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], dim=-1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], dim=-1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], dim=-1),
    ]
    return torch.stack(rows, dim=-2)


@variant("rodrigues")
def with_sinc(axis_angle):
    squared = axis_angle.pow(2).sum(dim=1)
    angle = torch.where(squared > 0, torch.where(squared > 0, squared, 1.0).sqrt(), 0.0)
    a, b = torch.sinc(angle / np.pi), torch.sinc(angle / 2 / np.pi) ** 2 / 2
    outer = axis_angle[:, :, None] * axis_angle[:, None, :]
    unit = torch.eye(3, dtype=axis_angle.dtype).expand(len(axis_angle), 3, 3)
    K = torch.linalg.cross(unit, axis_angle[:, None, :].expand(-1, 3, -1), dim=2)
    return angle.cos()[:, None, None] * unit + a[:, None, None] * K + b[:, None, None] * outer


@variant("rodrigues")
def length_clamped_from_below(axis_angle):
    angle = axis_angle.norm(dim=1).clamp(min=1e-8)
    n = axis_angle / angle[:, None]
    K = axis_angle.new_zeros(len(axis_angle), 3, 3)
    K[:, 0, 1], K[:, 0, 2], K[:, 1, 2] = -n[:, 2], n[:, 1], -n[:, 0]
    K = K - K.transpose(1, 2)
    s, c = torch.sin(angle).view(-1, 1, 1), torch.cos(angle).view(-1, 1, 1)
    return torch.eye(3).to(K) + s * K + (1 - c) * K @ K


# ---------------------------------------------------------------- forward_kinematics

edit(
    "forward_kinematics",
    "rest_positions_as_offsets",
    {"joint - joints[parent] if parent >= 0 else joint": "joint"},
    hint="Without rotations the joints drift away: the offset of a joint is measured from its parent.",
)
edit(
    "forward_kinematics",
    "offset_from_child_to_parent",
    {"joint - joints[parent] if": "joints[parent] - joint if"},
    hint="The bones point the wrong way: the offset goes from the parent to the joint.",
)
edit(
    "forward_kinematics",
    "product_in_the_other_order",
    {"transforms[parent] @ local": "local @ transforms[parent]"},
    hint="The matrices are multiplied in the wrong order: the parent's transform acts last, so it stands on the left.",
)
edit(
    "forward_kinematics",
    "root_at_the_origin",
    {"if parent >= 0 else joint\n": "if parent >= 0 else torch.zeros_like(joint)\n"},
    hint="The whole body is shifted: the root sits at its rest position.",
)
edit(
    "forward_kinematics",
    "root_not_turned",
    {"else local)": "else torch.cat([torch.cat([torch.eye(3, dtype=joints.dtype), offset[:, None]], dim=1), bottom]))"},
    hint="The rotation of the root is lost.",
)
edit(
    "forward_kinematics",
    "always_the_joint_before",
    {"map(int, parents), strict": "range(-1, len(joints) - 1), strict"},
    hint="Each joint hangs on the one before it. Look into parents.",
)
edit(
    "forward_kinematics",
    "always_the_root",
    {"transforms.append(transforms[parent] @ local": "transforms.append(transforms[0] @ local"},
    hint="Only the root moves the other joints: the transform of the parent is needed, which holds those of all its ancestors.",
)
edit(
    "forward_kinematics",
    "only_the_parent",
    {"    transforms = []\n": "    transforms, locals_ = [], []\n", "transforms.append(transforms[parent] @ local": "locals_.append(local)\n        transforms.append(locals_[parent] @ local"},
    hint="Chains of three joints go wrong: the parent's transform in the world is needed, not its own step alone.",
)  # fmt: skip
edit(
    "forward_kinematics",
    "last_joint_as_parent_of_the_root",
    {"joint - joints[parent] if parent >= 0 else joint": "joint - joints[parent]"},
    hint="The root is taken as a child of the last joint: an index of -1 is the last one.",
)
edit(
    "forward_kinematics",
    "rotations_transposed",
    {"torch.cat([rotation, offset": "torch.cat([rotation.T, offset"},
    hint="All rotations go the other way round.",
)
edit(
    "forward_kinematics",
    "rotations_in_the_world",
    {"transforms[parent] @ local if parent >= 0 else local)": "torch.cat([local[:, :3], (transforms[parent] @ local)[:, 3:]], dim=1) if parent >= 0 else local)"},
    hint="A joint's rotation is taken as that in the world. It is relative to the parent: the parent's comes on top.",
)  # fmt: skip
edit(
    "forward_kinematics",
    "turned_about_its_parent",
    {"torch.cat([rotation, offset[:, None]], dim=1)": "torch.cat([rotation, rotation @ offset[:, None]], dim=1)"},
    hint="A joint's rotation moves the joint itself. It only moves what hangs on it.",
)
edit(
    "forward_kinematics",
    "offsets_not_turned",
    {"transforms[parent] @ local if parent >= 0 else local)": "torch.cat([torch.cat([transforms[parent][:3, :3] @ rotation, transforms[parent][:3, 3:] + offset[:, None]], dim=1), bottom]) if parent >= 0 else local)"},
    hint="The joints stay where they were in rest: the parent's rotation turns the offset, too.",
)  # fmt: skip
edit(
    "forward_kinematics",
    "rest_taken_off_for_skinning",
    {"    return torch.stack(transforms)": "    found = torch.stack(transforms)\n    shift = found[:, :3, 3:] - found[:, :3, :3] @ joints[:, :, None]\n    return torch.cat([torch.cat([found[:, :3, :3], shift], dim=2), found[:, 3:]], dim=1)"},
    hint="The last column is not the place of the joint: the rest position is taken off already. That belongs to skinning.",
)  # fmt: skip
edit(
    "forward_kinematics",
    "last_row_of_zeros",
    {"[[0.0, 0.0, 0.0, 1.0]]": "[[0.0, 0.0, 0.0, 0.0]]"},
    hint="The last row of a transform is 0, 0, 0, 1.",
)
edit(
    "forward_kinematics",
    "three_rows_only",
    {"return torch.stack(transforms)": "return torch.stack(transforms)[:, :3]"},
    hint="The transforms have three rows; (J, 4, 4) is expected.",
)
edit(
    "forward_kinematics",
    "translation_in_the_last_row",
    {"return torch.stack(transforms)": "return torch.stack(transforms).transpose(1, 2)"},
    hint="The transforms are transposed: the translation is in the last column.",
)
edit(
    "forward_kinematics",
    "places_only",
    {"return torch.stack(transforms)": "return torch.stack(transforms)[:, :3, 3]"},
    hint="Only the places of the joints come back. The whole transforms are asked for.",
)
edit(
    "forward_kinematics",
    "joints_made_relative_in_place",
    {"    transforms = []\n": "    transforms = []\n    before = joints.clone()\n    joints -= joints[:1]\n", "in zip(rotations, joints, map": "in zip(rotations, before, map", "joint - joints[parent]": "joint - before[parent]"},
    hint="The joints that were passed in are changed.",
)  # fmt: skip
edit(
    "forward_kinematics",
    "transforms_in_single_precision",
    {"return torch.stack(transforms)": "return torch.stack(transforms).float()"},
    hint="The result has not the dtype of the joints.",
)


@variant("forward_kinematics")
def filled_in_place(rotations, joints, parents):
    J = len(joints)
    T = torch.zeros(J, 4, 4, dtype=joints.dtype)
    for j in range(J):
        local = torch.eye(4, dtype=joints.dtype)
        local[:3, :3] = rotations[j]
        p = int(parents[j])
        local[:3, 3] = joints[j] if p == -1 else joints[j] - joints[p]
        T[j] = local if p == -1 else T[p] @ local
    return T


@variant("forward_kinematics")
def rotation_and_place_apart(rotations, joints, parents):
    turned, placed = [], []
    for j, p in enumerate(parents):
        if p < 0:
            turned.append(rotations[j])
            placed.append(joints[j])
        else:
            turned.append(turned[p] @ rotations[j])
            placed.append(placed[p] + turned[p] @ (joints[j] - joints[p]))
    T = torch.eye(4).repeat(len(turned), 1, 1).to(joints)
    T[:, :3, :3] = torch.stack(turned)
    T[:, :3, 3] = torch.stack(placed)
    return T


@variant("forward_kinematics")
def each_up_to_the_root(rotations, joints, parents):
    def transform(j):
        if j < 0:
            return torch.eye(4, dtype=joints.dtype)
        start = joints[parents[j]] if parents[j] >= 0 else torch.zeros(3, dtype=joints.dtype)
        local = F.pad(torch.cat([rotations[j], (joints[j] - start).view(3, 1)], dim=1), (0, 0, 0, 1))
        local[3, 3] = 1
        return transform(parents[j]) @ local

    return torch.stack([transform(j) for j in range(len(joints))])


# ---------------------------------------------------------------- blend_skinning

edit(
    "blend_skinning",
    "not_relative_to_the_joint",
    {'(t - torch.einsum("jab,jb->ja", R, joints))': "t"},
    hint="Vertices fly off: take each relative to the joint in rest before it is turned.",
)
edit(
    "blend_skinning",
    "joint_added_instead",
    {"(t - torch.einsum": "(t + torch.einsum"},
    hint="Vertices fly off: the joint in rest is taken off, not added.",
)
edit(
    "blend_skinning",
    "joint_taken_off_unturned",
    {'torch.einsum("jab,jb->ja", R, joints)': "joints"},
    hint="Joints that turn carry their vertices to the wrong place: first take the vertex relative to the joint, then turn.",
)
edit(
    "blend_skinning",
    "posed_joint_taken_off",
    {'"jab,jb->ja", R, joints': '"jab,jb->ja", R, t'},
    hint="Right in rest, wrong in a pose: the joint in rest is taken off, not the posed one.",
)
edit(
    "blend_skinning",
    "not_carried_along",
    {'(t - torch.einsum("jab,jb->ja", R, joints))': '(joints - torch.einsum("jab,jb->ja", R, joints))'},
    hint="Vertices turn about their joint but do not follow it: the posed place is in the last column of the transform.",
)
edit(
    "blend_skinning",
    "rotations_the_other_way",
    {"transforms[:, :3, :3], transforms": "transforms[:, :3, :3].transpose(1, 2), transforms"},
    hint="All rotations go the other way round.",
)
edit(
    "blend_skinning",
    "strongest_joint_only",
    {"    R, t = ": "    weights = F.one_hot(weights.argmax(dim=1), weights.shape[1]).to(weights)\n    R, t = "},
    hint="Each vertex follows one joint only. It is moved by a weighted mean.",
)
edit(
    "blend_skinning",
    "all_joints_alike",
    {"    R, t = ": "    weights = torch.full_like(weights, 1 / weights.shape[1])\n    R, t = "},
    hint="All joints move a vertex alike. Use the weights.",
)
edit(
    "blend_skinning",
    "softmax_of_the_weights",
    {"    R, t = ": "    weights = weights.softmax(dim=1)\n    R, t = "},
    hint="The weights are changed before use. Each row sums to 1 already.",
)
edit(
    "blend_skinning",
    "squared_weights",
    {"    R, t = ": "    weights = weights**2\n    R, t = "},
    hint="The weights enter twice.",
)
edit(
    "blend_skinning",
    "mean_over_joints",
    {
        '"vab,vb->va", blended, vertices) + shift': '"vab,vb->va", blended, vertices) / len(joints) + shift / len(joints)'
    },
    hint="The result is too small: the weights make it a mean already.",
)
edit(
    "blend_skinning",
    "rotations_not_blended",
    {'"vab,vb->va", blended, vertices': '"vab,vb->va", R[weights.argmax(dim=1)], vertices'},
    hint="Between two joints the rotation of only one of them is used.",
)
edit(
    "blend_skinning",
    "shift_not_blended",
    {"shift = weights @ (t -": "shift = F.one_hot(weights.argmax(dim=1), weights.shape[1]).to(weights) @ (t -"},
    hint="Between two joints the shift of only one of them is used.",
)
edit(
    "blend_skinning",
    "translation_from_the_last_row",
    {"transforms[:, :3, 3]": "transforms[:, 3, :3]"},
    hint="The translation is read from the last row of the transforms. It is in the last column.",
)
edit(
    "blend_skinning",
    "offset_of_each_vertex",
    {'"vab,vb->va", blended, vertices) + shift': '"vab,vb->va", blended, vertices) + shift - vertices'},
    hint="The result is how far each vertex moves. Where it comes to is asked for.",
)
edit(
    "blend_skinning",
    "no_vertices_fail_here",
    {"    R, t = ": "    assert vertices.abs().max() >= 0\n    R, t = "},
    hint="Without vertices it fails: (0, 3) is expected.",
)
edit(
    "blend_skinning",
    "vertices_moved_in_place",
    {
        '    return torch.einsum("vab,vb->va", blended, vertices) + shift': '    vertices.copy_(torch.einsum("vab,vb->va", blended, vertices) + shift)\n    return vertices'
    },
    hint="The vertices that were passed in are changed.",
)
edit(
    "blend_skinning",
    "vertices_in_single_precision",
    {"blended, vertices) + shift": "blended, vertices).float() + shift.float()"},
    hint="The result has not the dtype of the vertices.",
)


@variant("blend_skinning")
def vertex_by_vertex(vertices, weights, transforms, joints):
    posed = torch.zeros_like(vertices)
    for i in range(len(vertices)):
        for j in range(len(joints)):
            posed[i] += weights[i, j] * (transforms[j, :3, :3] @ (vertices[i] - joints[j]) + transforms[j, :3, 3])
    return posed


@variant("blend_skinning")
def with_homogeneous_vertices(vertices, weights, transforms, joints):
    inverse = torch.eye(4).repeat(len(joints), 1, 1).to(transforms)
    inverse[:, :3, 3] = -joints
    blended = torch.tensordot(weights, transforms @ inverse, dims=1)
    return (blended @ F.pad(vertices, (0, 1), value=1.0)[:, :, None])[:, :3, 0]


@variant("blend_skinning")
def all_joints_move_all_vertices(vertices, weights, transforms, joints):
    local = vertices[None] - joints[:, None]
    moved = local @ transforms[:, :3, :3].mT + transforms[:, None, :3, 3]
    return (weights.T[:, :, None] * moved).sum(dim=0)


# ---------------------------------------------------------------- reprojection_loss

edit(
    "reprojection_loss",
    "rotated_the_other_way",
    {"points[seen] @ R.T": "points[seen] @ R"},
    hint="The camera turns the other way round: with points in rows, R X is X R^T.",
)
edit(
    "reprojection_loss",
    "moved_before_it_is_turned",
    {"points[seen] @ R.T + t": "(points[seen] + t) @ R.T"},
    hint="The translation is turned, too. First R, then t.",
)
edit(
    "reprojection_loss",
    "t_as_place_of_the_camera",
    {"points[seen] @ R.T + t": "(points[seen] - t) @ R.T"},
    hint="t is taken for the place of the camera. X_c = R X + t.",
)
edit(
    "reprojection_loss",
    "no_rotation",
    {"points[seen] @ R.T + t": "points[seen] + t"},
    hint="The camera's rotation has no effect.",
)
edit(
    "reprojection_loss",
    "depth_not_divided",
    {"pixels[:, :2] / pixels[:, 2:]": "pixels[:, :2]"},
    hint="Far points come out as large as near ones: divide by the depth.",
)
edit(
    "reprojection_loss",
    "focal_length_only",
    {"pixels = camera @ K.T": "pixels = camera * torch.stack([K[0, 0], K[1, 1], K[2, 2]])"},
    hint="The principal point is missing: it is in the last column of K.",
)
edit(
    "reprojection_loss",
    "one_focal_length",
    {"pixels = camera @ K.T": "pixels = torch.stack([K[0, 0] * camera[:, 0] + K[0, 2] * camera[:, 2], K[0, 0] * camera[:, 1] + K[1, 2] * camera[:, 2], camera[:, 2]], dim=1)"},
    hint="Both axes use the same focal length. K has two.",
)  # fmt: skip
edit(
    "reprojection_loss",
    "camera_matrix_transposed",
    {"camera @ K.T": "camera @ K"},
    hint="The camera matrix acts from the wrong side.",
)
edit(
    "reprojection_loss",
    "observed_rows_and_columns",
    {"- observed[seen]": "- observed[seen].flip(1)"},
    hint="x and y of what was observed look swapped.",
)
edit(
    "reprojection_loss",
    "mean_over_all_points",
    {"max(int(seen.sum()), 1)": "max(len(points), 1)"},
    hint="The sum is divided by the number of all points. Only visible ones count.",
)
edit(
    "reprojection_loss",
    "mean_of_both_axes_too",
    {"max(int(seen.sum()), 1)": "(2 * max(int(seen.sum()), 1))"},
    hint="The loss is half of what it should be: x and y are summed, the mean is over points.",
)
edit(
    "reprojection_loss",
    "only_summed",
    {" / max(int(seen.sum()), 1)": ""},
    hint="The loss is a sum. The mean over visible points is asked for.",
)
edit(
    "reprojection_loss",
    "distance_without_square",
    {"distances.square().sum()": "distances.norm(dim=1).sum()"},
    hint="The distances are not squared.",
)
edit(
    "reprojection_loss",
    "absolute_differences",
    {"distances.square().sum()": "distances.abs().sum()"},
    hint="The differences are not squared.",
)
edit(
    "reprojection_loss",
    "one_loss_for_each_point",
    {"distances.square().sum() / max(int(seen.sum()), 1)": "distances.square().sum(dim=1)"},
    hint="The result is not a scalar.",
)
edit(
    "reprojection_loss",
    "hidden_ones_count",
    {"seen = visible > 0": "seen = torch.ones_like(visible, dtype=torch.bool)"},
    hint="Hidden points count.",
)
edit(
    "reprojection_loss",
    "only_hidden_ones_count",
    {"seen = visible > 0": "seen = ~(visible > 0)"},
    hint="The hidden points count instead of the visible ones.",
)
edit(
    "reprojection_loss",
    "times_visible",
    {"points[seen]": "points", "- observed[seen]": "- observed", "distances.square().sum()": "(distances.square().sum(dim=1) * seen).sum()"},
    hint="A hidden point makes the loss nan: nan times 0 is nan. Select the visible points before you compute.",
)  # fmt: skip
edit(
    "reprojection_loss",
    "replaced_at_the_end",
    {"points[seen]": "points", "- observed[seen]": "- observed", "distances.square().sum()": "torch.where(seen[:, None], distances.square(), 0.0).sum()"},
    hint="A hidden point makes the gradient nan although the loss is right: torch.where at the end comes too late. Select the visible points before you compute.",
)  # fmt: skip
edit(
    "reprojection_loss",
    "nan_replaced_by_zero",
    {"points[seen]": "points", "- observed[seen]": "- observed", "distances.square().sum()": "(distances.square().sum(dim=1).nan_to_num() * seen).sum()"},
    hint="A hidden point makes the loss or its gradient nan or inf. Select the visible points before you compute.",
)  # fmt: skip
edit(
    "reprojection_loss",
    "nan_if_nothing_is_visible",
    {"max(int(seen.sum()), 1)": "seen.sum()"},
    hint="If nothing is visible the loss is nan: 0 / 0.",
)
edit(
    "reprojection_loss",
    "without_gradient_of_the_points",
    {"points[seen] @ R.T": "points[seen].detach() @ R.T"},
    hint="No gradient flows back to the points.",
)
edit(
    "reprojection_loss",
    "depth_detached",
    {"/ pixels[:, 2:]": "/ pixels[:, 2:].detach()"},
    hint="The gradient does not know that a point's depth matters.",
)
edit(
    "reprojection_loss",
    "hidden_ones_cleared_in_place",
    {"    seen = visible > 0\n": "    seen = visible > 0\n    observed[~seen] = 0\n"},
    hint="What was observed is changed.",
)


@variant("reprojection_loss")
def point_by_point(points, observed, visible, K, R, t):
    total, number = 0, 0
    for X, pixel, seen in zip(points, observed, visible):
        if seen:
            u = K @ (R @ X + t)
            total = total + ((u[:2] / u[2] - pixel) ** 2).sum()
            number += 1
    return total / number if number else points.new_zeros(())


@variant("reprojection_loss")
def harmless_before_computing(points, observed, visible, K, R, t):
    seen = visible.bool()[:, None]
    camera = torch.einsum("ab,nb->na", R, torch.where(seen, points, 0.0)) + t
    x, y, z = camera.unbind(dim=1)
    z = torch.where(seen[:, 0], z, 1.0)
    found = torch.stack([K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]], dim=1)
    squares = torch.where(seen, found - torch.where(seen, observed, 0.0), 0.0) ** 2
    return squares.sum() / seen.sum().clamp(min=1)


@variant("reprojection_loss")
def one_matrix_of_projection(points, observed, visible, K, R, t):
    if not visible.any():
        return torch.tensor(0.0)
    index = visible.nonzero()[:, 0]
    P = K @ torch.cat([R, t.reshape(3, 1)], dim=1)
    homogeneous = torch.cat([points[index], points.new_ones(len(index), 1)], dim=1) @ P.T
    return 2 * F.mse_loss(homogeneous[:, :2] / homogeneous[:, 2:], observed[index])


@variant("reprojection_loss")
def safe_depth(points, observed, visible, K, R, t):
    camera = (R @ points.T).T + t
    depth = torch.where(visible, camera[:, 2], torch.ones_like(camera[:, 2]))
    pixels = (camera / depth[:, None]) @ K.T
    difference = torch.where(visible[:, None], pixels[:, :2] - observed, torch.zeros_like(observed))
    return (difference**2).sum() / max(visible.sum().item(), 1)
