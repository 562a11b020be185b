"""Answers to the tasks of 02_template_matching: wrong ones that students write, and right ones that look different."""

# ruff: noqa: E501 (places of our solution are quoted as they stand there)

from grading.audit import edit, mutant, variant

# ---------------------------------------------------------------- match_ssd

edit(
    "match_ssd",
    "absolute_differences",
    {
        "total += (image[r : r + rows, c : c + columns] - template[r, c]) ** 2": "total += np.abs(image[r : r + rows, c : c + columns] - template[r, c])"
    },
    hint="The absolute differences are summed up. Expected are their squares.",
)
edit(
    "match_ssd",
    "mean_of_squares",
    {"return total": "return total / template.size"},
    hint="The values are too small by the same factor everywhere: a mean over the template, where the sum is asked for.",
)
edit(
    "match_ssd",
    "root_of_the_sum",
    {"return total": "return np.sqrt(total)"},
    hint="The values look like a distance, the root of the sum. Expected is the sum of squares itself.",
)
edit(
    "match_ssd",
    "last_places_missing",
    {
        "image.shape[0] - height + 1, image.shape[1] - width + 1": "image.shape[0] - height, image.shape[1] - width",
        "rows < 1 or columns < 1": "rows < 0 or columns < 0",
    },
    hint="The last row and the last column of places are missing: count how often a 2-wide template fits into 3 columns.",
)
edit(
    "match_ssd",
    "height_and_width_swapped",
    {"height, width = template.shape": "width, height = template.shape"},
    hint="Height and width of the template look swapped: shape[0] is the number of rows.",
)
edit(
    "match_ssd",
    "template_flipped",
    {"template[r, c]": "template[height - 1 - r, width - 1 - c]"},
    hint="The template is compared upside down and mirrored: that is a convolution. Here nothing is flipped.",
)
edit(
    "match_ssd",
    "no_error_if_it_does_not_fit",
    {'        raise ValueError("The template does not fit into the image.")\n': "        return np.zeros((0, 0))\n"},
    hint="A template that is larger than the image has to raise a ValueError.",
)
edit(
    "match_ssd",
    "only_the_area_is_compared",
    {
        "if rows < 1 or columns < 1:": "if template.size > image.size:",
        "total = np.zeros((rows, columns))": "total = np.zeros((max(rows, 0), max(columns, 0)))\n    if total.size == 0:\n        return total",
    },
    hint="A template may be too wide although it has fewer pixels than the image: compare height and width one by one.",
)


@mutant("match_ssd", hint="The result has the size of the image. Only places where the template lies inside count.")
def padded_to_the_image(image, template):
    h, w = template.shape
    if h > image.shape[0] or w > image.shape[1]:
        raise ValueError
    padded = np.pad(image, ((0, h - 1), (0, w - 1)))
    total = np.zeros(image.shape)
    for r in range(h):
        for c in range(w):
            total += (padded[r : r + image.shape[0], c : c + image.shape[1]] - template[r, c]) ** 2
    return total


@mutant("match_ssd", hint="The result has one row for each column of places: rows belong to y, the first index.")
def places_transposed(image, template):
    h, w = template.shape
    if h > image.shape[0] or w > image.shape[1]:
        raise ValueError
    return np.array(
        [
            [((image[y : y + h, x : x + w] - template) ** 2).sum() for y in range(image.shape[0] - h + 1)]
            for x in range(image.shape[1] - w + 1)
        ]
    )


@mutant("match_ssd", hint="The image that was passed in is changed: the caller still needs it as it was.")
def image_changed(image, template):
    h, w = template.shape
    if h > image.shape[0] or w > image.shape[1]:
        raise ValueError
    windows_ = np.lib.stride_tricks.sliding_window_view(image, (h, w))
    result = ((windows_ - template) ** 2).sum(axis=(2, 3))
    image -= image.mean()
    return result


@variant("match_ssd")
def ssd_over_positions(image, template):
    h, w = template.shape
    H, W = image.shape
    if h > H or w > W:
        raise ValueError("too large")
    result = np.zeros((H - h + 1, W - w + 1))
    for y in range(H - h + 1):
        for x in range(W - w + 1):
            result[y, x] = np.sum((image[y : y + h, x : x + w] - template) ** 2)
    return result


@variant("match_ssd")
def ssd_by_windows(image, template):
    return ((np.lib.stride_tricks.sliding_window_view(image, template.shape) - template) ** 2).sum(axis=(-2, -1))


@variant("match_ssd")
def ssd_by_fourier(image, template):
    from scipy.signal import fftconvolve

    if template.shape[0] > image.shape[0] or template.shape[1] > image.shape[1]:
        raise ValueError
    squares = fftconvolve(image**2, np.ones(template.shape), mode="valid")
    return squares - 2 * fftconvolve(image, template[::-1, ::-1], mode="valid") + (template**2).sum()


@variant("match_ssd")
def ssd_in_float32(image, template):
    patches = np.lib.stride_tricks.sliding_window_view(image.astype(np.float32), template.shape)
    return np.square(patches - template.astype(np.float32)).sum(axis=(2, 3))


# ---------------------------------------------------------------- best_match

edit(
    "best_match",
    "row_before_column",
    {"return int(column), int(row)": "return int(row), int(column)"},
    hint="x and y look swapped: the column comes first.",
)
edit(
    "best_match",
    "minimize_ignored",
    {"response.argmin() if minimize else response.argmax()": "response.argmax()"},
    hint="The argument `minimize` seems to be ignored.",
)
edit(
    "best_match",
    "minimize_turned_round",
    {"response.argmin() if minimize else response.argmax()": "response.argmax() if minimize else response.argmin()"},
    hint="`minimize` seems to work the wrong way round.",
)
edit(
    "best_match",
    "numpy_integers",
    {"int(column), int(row)": "column, row"},
    hint="The numbers are right, but NumPy's: convert them to Python ints.",
)
edit(
    "best_match",
    "last_of_equal_ones",
    {
        "index = response.argmin() if minimize else response.argmax()": "flat = response.ravel()[::-1]\n    index = response.size - 1 - (flat.argmin() if minimize else flat.argmax())"
    },
    hint="Of equally good places the last one is returned; the first one in reading order is expected.",
)
edit(
    "best_match",
    "first_column_wins",
    {
        "row, column = np.unravel_index(index, response.shape)": "index = response.T.argmin() if minimize else response.T.argmax()\n    column, row = np.unravel_index(index, response.T.shape)"
    },
    hint="Of equally good places the leftmost one is returned. Expected is the first one row by row.",
)
edit(
    "best_match",
    "empty_map_accepted",
    {'raise ValueError("The map is empty.")': "return 0, 0"},
    hint="An empty map has no best place: a ValueError is expected.",
)
edit(
    "best_match",
    "best_absolute_value",
    {"else response.argmax()": "else np.abs(response).argmax()"},
    hint="A large negative response is taken for a good one. The largest value counts, not the largest amount.",
)
edit(
    "best_match",
    "height_used_as_width",
    {"row, column = np.unravel_index(index, response.shape)": "row, column = divmod(int(index), response.shape[0])"},
    hint="The flat index is split with the height. How many values are there in a row?",
)
edit(
    "best_match",
    "best_row_and_best_column_by_themselves",
    {
        "index = response.argmin() if minimize else response.argmax()": "sums = [response.sum(axis=1), response.sum(axis=0)]\n    index = np.ravel_multi_index([s.argmin() if minimize else s.argmax() for s in sums], response.shape)"
    },
    hint="Row and column are chosen independently of each other. Look for one best entry, not for a best row and a best column.",
)


@variant("best_match")
def best_by_divmod(response, minimize=False):
    if len(response) == 0 or len(response[0]) == 0:
        raise ValueError("empty")
    values = -response if minimize else response
    y, x = divmod(int(np.argmax(values)), response.shape[1])
    return x, y


@variant("best_match")
def best_by_loops(response, minimize=False):
    best = None
    for y in range(response.shape[0]):
        for x in range(response.shape[1]):
            value = -response[y, x] if minimize else response[y, x]
            if best is None or value > best[0]:
                best = (value, x, y)
    if best is None:
        raise ValueError
    return best[1:]


@variant("best_match")
def best_by_argwhere(response, minimize=False):
    target = np.min(response) if minimize else np.max(response)  # both raise ValueError if empty
    y, x = np.argwhere(response == target)[0].tolist()
    return [x, y]


# ---------------------------------------------------------------- match_ncc

edit(
    "match_ncc",
    "patch_mean_kept",
    {"patch_std = np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0))": "patch_std = np.sqrt(squares / n)"},
    hint="The patch's contrast is measured from 0, not from its mean: adding a constant to the image changes the result.",
)
edit(
    "match_ncc",
    "template_mean_kept",
    {"deviation = template - template.mean()": "deviation = template"},
    hint="Pixels are multiplied as they are. Of patch or template (one is enough) the mean has to be subtracted first.",
)
edit(
    "match_ncc",
    "mean_of_the_whole_image",
    {
        "products += pixels * deviation[r, c]": "products += (pixels - image.mean()) * template[r, c]",
        "squares += pixels**2": "squares += (pixels - image.mean()) ** 2",
        "total += pixels": "total += pixels - image.mean()",
    },
    hint="The mean of the whole image is subtracted. Every patch has a mean of its own, and so has the template.",
)
edit(
    "match_ncc",
    "flat_patches_nan",
    {
        "scale = np.where(is_flat, 1, patch_std * template.std())\n    return np.where(is_flat, 0, np.clip(products / n / scale, -1, 1))": "with np.errstate(all='ignore'):\n        return np.clip(products / n / (np.where(is_flat, 0, patch_std) * template.std()), -1, 1)"
    },
    hint="Where the patch or the template is flat you divide by 0, or by a rounding error. Look for that first: agreed is 0.",
)
edit(
    "match_ncc",
    "flat_counts_as_match",
    {"return np.where(is_flat, 0,": "return np.where(is_flat, 1,"},
    hint="Where patch or template are flat the result is 1, as in OpenCV. Agreed is 0.",
)
edit(
    "match_ncc",
    "constant_in_the_denominator",
    {"np.clip(products / n / scale, -1, 1)": "np.clip(products / n / (scale + 1e-3), -1, 1)"},
    hint="The result depends on the contrast: something is added to the denominator. A faint copy of the template still has 1.",
)
edit(
    "match_ncc",
    "flat_too_soon",
    {"(patch_std < 1e-6)": "(patch_std < 1e-2)"},
    hint="Patches of low contrast are called flat. The limit is a standard deviation of 1e-6.",
)
edit(
    "match_ncc",
    "absolute_value",
    {"np.clip(products / n / scale, -1, 1)": "np.clip(np.abs(products) / n / scale, -1, 1)"},
    hint="The negative of the template is taken for a match: is there an absolute value? Correlation has a sign.",
)
edit(
    "match_ncc",
    "not_divided_by_the_template",
    {"patch_std * template.std())": "patch_std)"},
    hint="The result depends on the template's contrast: divide by its standard deviation, too.",
)
edit(
    "match_ncc",
    "cosine_of_raw_pixels",
    {
        "deviation = template - template.mean()": "deviation = template",
        "patch_std = np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0))": "patch_std = np.sqrt(squares / n)",
        "patch_std * template.std())": "patch_std * np.sqrt((template**2).mean()))",
    },
    hint="Pixels are normalised by their length, but their means are not subtracted: an offset changes the result.",
)
edit(
    "match_ncc",
    "sample_standard_deviation",
    {"n = template.size": "n = template.size - 1"},
    hint="Dividing by n - 1 in one place and by n in another: an exact copy of the template does not get 1.",
)
edit(
    "match_ncc",
    "flat_template_forgotten",
    {" | (template.std() < 1e-6)": ""},
    hint="Flat patches are looked after, but a flat template is not: it gives nan, or noise. Agreed is 0.",
)
edit(
    "match_ncc",
    "template_flipped_in_ncc",
    {"deviation = template - template.mean()": "deviation = (template - template.mean())[::-1, ::-1]"},
    hint="The template is compared upside down and mirrored: that is a convolution. Here nothing is flipped.",
)
edit(
    "match_ncc",
    "ncc_does_not_fit",
    {'        raise ValueError("The template does not fit into the image.")\n': "        return np.zeros((0, 0))\n"},
    hint="A template that is larger than the image has to raise a ValueError.",
)


@mutant("match_ncc", hint="The image that was passed in is changed: the caller still needs it as it was.")
def ncc_changes_the_image(image, template):
    image -= image.mean()
    patches = np.lib.stride_tricks.sliding_window_view(image, template.shape)
    p = patches - patches.mean(axis=(2, 3), keepdims=True)
    t = template - template.mean()
    std = p.std(axis=(2, 3)) * t.std()
    flat = (p.std(axis=(2, 3)) < 1e-6) | (t.std() < 1e-6)
    return np.where(flat, 0, (p * t).mean(axis=(2, 3)) / np.where(flat, 1, std)).clip(-1, 1)


@variant("match_ncc")
def ncc_by_windows(image, template):
    patches = np.lib.stride_tricks.sliding_window_view(image, template.shape)
    p = patches - patches.mean(axis=(2, 3), keepdims=True)
    t = template - template.mean()
    std = p.std(axis=(2, 3)) * t.std()
    flat = (p.std(axis=(2, 3)) < 1e-6) | (t.std() < 1e-6)
    return np.where(flat, 0, (p * t).mean(axis=(2, 3)) / np.where(flat, 1, std)).clip(-1, 1)


@variant("match_ncc")
def ncc_over_positions(image, template):
    h, w = template.shape
    if h > image.shape[0] or w > image.shape[1]:
        raise ValueError
    result = np.zeros((image.shape[0] - h + 1, image.shape[1] - w + 1), dtype=np.float32)
    for y in range(result.shape[0]):
        for x in range(result.shape[1]):
            patch = image[y : y + h, x : x + w]
            if patch.std() >= 1e-6 and template.std() >= 1e-6:
                a, b = patch - np.mean(patch), template - np.mean(template)
                result[y, x] = max(-1, min(1, (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())))
    return result


@variant("match_ncc")
def ncc_by_corrcoef(image, template):
    windows_ = np.lib.stride_tricks.sliding_window_view(image, template.shape)
    result = np.zeros(windows_.shape[:2])
    for y, x in np.ndindex(*result.shape):
        if min(windows_[y, x].std(), template.std()) > 1e-6:
            result[y, x] = np.corrcoef(windows_[y, x].ravel(), template.ravel())[0, 1]
    return result


edit(
    "match_ncc",
    "only_spread_zero_is_flat",
    {"(patch_std < 1e-6) | (template.std() < 1e-6)": "(patch_std == 0) | (template.std() == 0)"},
    hint="Only a standard deviation of exactly 0 is called flat. What lies below 1e-6 is noise and has 0, too.",
)
edit(
    "match_ncc",
    "limit_on_the_variance",
    {"(patch_std < 1e-6) | (template.std() < 1e-6)": "(patch_std**2 < 1e-6) | (template.var() < 1e-6)"},
    hint="Patches of very low contrast are called flat. The limit of 1e-6 is one of the standard deviation: is it squared?",
)
edit(
    "match_ncc",
    "faint_templates_called_flat",
    {"(template.std() < 1e-6)": "(template.std() < 1e-2)"},
    hint="A faint template is called flat. The limit is a standard deviation of 1e-6, for patch and template alike.",
)
edit(
    "match_ncc",
    "result_not_clipped",
    {"np.clip(products / n / scale, -1, 1)": "products / n / scale"},
    hint="Rounding puts some values a little beyond 1 or -1. The result has to stay in the range.",
)
edit(
    "match_ncc",
    "negative_correlation_cut",
    {"np.clip(products / n / scale, -1, 1)": "np.clip(products / n / scale, 0, 1)"},
    hint="Negative correlations are cut off at 0. The range begins at -1.",
)


# ---------------------------------------------------------------- find_all_matches

edit(
    "find_all_matches",
    "equality_is_not_enough",
    {"response >= threshold": "response > threshold"},
    hint="A response that equals the threshold exactly is dropped; it counts.",
)
edit(
    "find_all_matches",
    "no_suppression",
    {
        "kept = ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores.astype(float)), iou_threshold).numpy()": "kept = np.argsort(-scores, kind='stable')"
    },
    hint="Duplicates are still there: the candidates have not been through non-maximum suppression.",
)
edit(
    "find_all_matches",
    "rows_as_x",
    {"[columns, rows, columns + width, rows + height]": "[rows, columns, rows + height, columns + width]"},
    hint="x and y of the boxes look swapped: the column is x.",
)
edit(
    "find_all_matches",
    "size_taken_as_width_height",
    {"height, width = template_size": "width, height = template_size"},
    hint="Width and height of the boxes look swapped: template_size is (height, width), as shape is.",
)
edit(
    "find_all_matches",
    "boxes_of_width_and_height",
    {"return boxes[kept], scores[kept]": "boxes[:, 2:] -= boxes[:, :2]\n    return boxes[kept], scores[kept]"},
    hint="The boxes hold width and height in their last columns. Expected are the coordinates of the far corner.",
)
edit(
    "find_all_matches",
    "iou_threshold_ignored",
    {"iou_threshold).numpy()": "0.3).numpy()"},
    hint="The argument `iou_threshold` seems to be ignored.",
)
edit(
    "find_all_matches",
    "reading_order",
    {
        "kept = ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores.astype(float)), iou_threshold).numpy()": "kept = np.sort(ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores.astype(float)), iou_threshold).numpy())"
    },
    hint="The matches come in reading order. Expected is falling score.",
)
edit(
    "find_all_matches",
    "boxes_around_the_centre",
    {
        "boxes = np.stack([columns, rows, columns + width, rows + height], axis=1).astype(float)": "boxes = np.stack([columns - width / 2, rows - height / 2, columns + width / 2, rows + height / 2], axis=1)"
    },
    hint="The boxes are centred on the responses. A response belongs to the top-left corner of its box.",
)
edit(
    "find_all_matches",
    "last_pixel_as_corner",
    {"columns + width, rows + height]": "columns + width - 1, rows + height - 1]"},
    hint="The boxes are one pixel too small: x + w is the far side, coordinates are continuous.",
)
edit(
    "find_all_matches",
    "threshold_ignored",
    {"response >= threshold": "response >= response.min()"},
    hint="Places below the threshold are returned.",
)


@mutant(
    "find_all_matches",
    hint="A candidate that was suppressed still suppresses others. Compare only with the boxes that were kept.",
)
def suppressed_boxes_suppress(response, template_size, threshold, iou_threshold=0.3):
    h, w = template_size
    r, c = np.nonzero(response >= threshold)
    boxes = np.stack([c, r, c + w, r + h], axis=1).astype(float)
    scores = response[r, c]
    order = np.argsort(-scores, kind="stable")
    boxes, scores = boxes[order], scores[order]
    iou = ops.box_iou(torch.from_numpy(boxes), torch.from_numpy(boxes)).numpy()
    kept = [k for k in range(len(boxes)) if not (iou[k, :k] > iou_threshold).any()]
    return boxes[kept].reshape(-1, 4), scores[kept]


@mutant("find_all_matches", hint="Without a match the boxes should have shape (0, 4) and the scores (0,).")
def empty_list_of_matches(response, template_size, threshold, iou_threshold=0.3):
    h, w = template_size
    boxes, scores = [], []
    for y, x in sorted(np.argwhere(response >= threshold).tolist(), key=lambda p: -response[p[0], p[1]]):
        box = [x, y, x + w, y + h]
        free = True
        for other in boxes:
            inter = max(min(box[2], other[2]) - max(box[0], other[0]), 0) * max(
                min(box[3], other[3]) - max(box[1], other[1]), 0
            )
            free &= inter / (2 * h * w - inter) <= iou_threshold
        if free:
            boxes.append(box)
            scores.append(response[y, x])
    return np.array(boxes, dtype=float), np.array(scores)


@mutant(
    "find_all_matches",
    hint="A candidate whose IoU with a kept box equals the threshold is dropped; only a greater IoU drops it.",
)
def equal_overlap_suppresses(response, template_size, threshold, iou_threshold=0.3):
    h, w = template_size
    boxes, scores = [], []
    for y, x in sorted(np.argwhere(response >= threshold).tolist(), key=lambda p: -response[p[0], p[1]]):
        box = [x, y, x + w, y + h]
        free = True
        for other in boxes:
            inter = max(min(box[2], other[2]) - max(box[0], other[0]), 0) * max(
                min(box[3], other[3]) - max(box[1], other[1]), 0
            )
            free &= inter / (2 * h * w - inter) < iou_threshold
        if free:
            boxes.append(box)
            scores.append(response[y, x])
    return np.array(boxes, dtype=float).reshape(-1, 4), np.array(scores)


@mutant(
    "find_all_matches",
    hint="Only local maxima of the response are taken as candidates: two equal neighbours, or a slope, lose theirs.",
)
def strict_peaks_only(response, template_size, threshold, iou_threshold=0.3):
    h, w = template_size
    around = np.pad(response, 1, constant_values=-np.inf)
    H, W = response.shape
    highest = np.max([around[i : i + H, j : j + W] for i in range(3) for j in range(3) if (i, j) != (1, 1)], axis=0)
    r, c = np.nonzero((response >= threshold) & (response > highest))
    boxes = np.stack([c, r, c + w, r + h], axis=1).astype(float)
    kept = ops.nms(torch.from_numpy(boxes), torch.from_numpy(response[r, c]), iou_threshold).numpy()
    return boxes[kept], response[r, c][kept]


@variant("find_all_matches")
def matches_greedily(response, template_size, threshold, iou_threshold=0.3):
    h, w = template_size
    boxes, scores = [], []
    for y, x in sorted(np.argwhere(response >= threshold).tolist(), key=lambda p: -response[p[0], p[1]]):
        box = [x, y, x + w, y + h]
        free = True
        for other in boxes:
            inter = max(min(box[2], other[2]) - max(box[0], other[0]), 0) * max(
                min(box[3], other[3]) - max(box[1], other[1]), 0
            )
            free &= inter / (2 * h * w - inter) <= iou_threshold
        if free:
            boxes.append(box)
            scores.append(response[y, x])
    return np.array(boxes, dtype=float).reshape(-1, 4), np.array(scores)


@variant("find_all_matches")
def matches_by_box_iou(response, template_size, threshold, iou_threshold=0.3):
    h, w = template_size
    r, c = np.where(response >= threshold)
    order = np.argsort(-response[r, c], kind="stable")
    boxes = np.stack([c, r, c + w, r + h], axis=1)[order].astype(np.float32)
    scores = response[r, c][order]
    waiting, kept = np.arange(len(boxes)), []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        iou = ops.box_iou(torch.from_numpy(boxes[[best]]), torch.from_numpy(boxes[waiting]))[0].numpy()
        waiting = waiting[iou <= iou_threshold]
    return boxes[np.array(kept, dtype=int)], scores[np.array(kept, dtype=int)]


@variant("find_all_matches")
def matches_by_shifts(response, template_size, threshold, iou_threshold=0.3):
    h, w = template_size
    left = np.where(response >= threshold, response, -np.inf).astype(float)
    rows, columns = np.mgrid[: left.shape[0], : left.shape[1]]
    boxes, scores = [], []
    while left.size and left.max() > -np.inf:
        y, x = np.unravel_index(left.argmax(), left.shape)
        boxes.append((x, y, x + w, y + h))
        scores.append(float(left[y, x]))
        inter = np.clip(h - np.abs(rows - y), 0, None) * np.clip(w - np.abs(columns - x), 0, None)
        left[inter / (2 * h * w - inter) > iou_threshold] = -np.inf
        left[y, x] = -np.inf
    return np.asarray(boxes, dtype=float).reshape(-1, 4), np.asarray(scores, dtype=float)


edit(
    "find_all_matches",
    "sorted_and_turned_round",
    {
        "kept = ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores.astype(float)), iou_threshold).numpy()": "order = np.argsort(scores, kind='stable')[::-1].copy()\n    boxes, scores = boxes[order], scores[order]\n    kept = ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores.astype(float)), iou_threshold).numpy()"
    },
    hint="Of equal responses the last one comes first. What happens to ties if a rising order is turned round?",
)
edit(
    "find_all_matches",
    "sorted_unstably",
    {
        "kept = ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores.astype(float)), iou_threshold).numpy()": "order = np.argsort(-scores, kind='heapsort')\n    boxes, scores = boxes[order], scores[order]\n    kept = ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores.astype(float)), iou_threshold).numpy()"
    },
    hint="Many equal responses lose their order. Does your sort keep ties as they stand?",
)
edit(
    "find_all_matches",
    "candidates_column_by_column",
    {"rows, columns = np.nonzero(response >= threshold)": "columns, rows = np.nonzero(response.T >= threshold)"},
    hint="Of equal responses the leftmost of all rows comes first: candidates are listed column by column. Expected is row by row.",
)
edit(
    "find_all_matches",
    "boxes_of_integers",
    {".astype(float)\n    scores": "\n    scores", "torch.from_numpy(boxes)": "torch.from_numpy(boxes.astype(float))"},
    hint="The numbers are right, but the boxes are integers. Boxes are floats in this course.",
)
edit(
    "find_all_matches",
    "only_positive_responses",
    {"response >= threshold": "(response >= threshold) & (response > 0)"},
    hint="Negative responses are never candidates. They are where the threshold is negative, too, as with -SSD.",
)
edit(
    "find_all_matches",
    "amount_against_the_threshold",
    {"response >= threshold": "np.abs(response) >= threshold"},
    hint="A large negative response is taken for a match. Its sign counts.",
)
edit(
    "find_all_matches",
    "square_boxes",
    {"height, width = template_size": "height = width = template_size[0]"},
    hint="The boxes are square. A template has a height and a width.",
)


# ---------------------------------------------------------------- match_multi_scale

edit(
    "match_multi_scale",
    "place_in_the_resized_image",
    {
        "best = (column / scale, row / scale, float(scale), score)": "best = (float(column), float(row), float(scale), score)"
    },
    hint="The place is that in the resized image. Divide it by the scale.",
)
edit(
    "match_multi_scale",
    "multiplied_by_the_scale",
    {
        "best = (column / scale, row / scale, float(scale), score)": "best = (column * scale, row * scale, float(scale), score)"
    },
    hint="The place is multiplied by the scale. An image twice as large has its places at twice the coordinates: which way is back?",
)
edit(
    "match_multi_scale",
    "y_before_x",
    {
        "best = (column / scale, row / scale, float(scale), score)": "best = (row / scale, column / scale, float(scale), score)"
    },
    hint="x and y look swapped: the column comes first.",
)
edit(
    "match_multi_scale",
    "template_resized",
    {
        "size = (round(image.shape[0] * scale), round(image.shape[1] * scale))\n        if size[0] < template.shape[0] or size[1] < template.shape[1]:\n            continue\n        response = match_ncc(resize(image, size, order=1, anti_aliasing=scale < 1), template)": "size = (round(template.shape[0] * scale), round(template.shape[1] * scale))\n        if min(size) < 1 or size[0] > image.shape[0] or size[1] > image.shape[1]:\n            continue\n        response = match_ncc(image, resize(template, size, order=1, anti_aliasing=scale < 1))"
    },
    hint="It looks as if the template is resized instead of the image: the best scale is the reciprocal of the expected one.",
)
edit(
    "match_multi_scale",
    "last_scale_wins",
    {"if best is None or score > best[3]:": "if True:"},
    hint="The last scale is returned, whatever its score.",
)
edit(
    "match_multi_scale",
    "lowest_score_wins",
    {"score > best[3]": "score < best[3]"},
    hint="The scale with the worst score is returned. A high correlation is a good match.",
)
edit(
    "match_multi_scale",
    "too_small_not_skipped",
    {"        if size[0] < template.shape[0] or size[1] < template.shape[1]:\n            continue\n": ""},
    hint="A scale at which the template does not fit raises an error. Such scales are skipped, unless none is left.",
)
edit(
    "match_multi_scale",
    "nothing_if_none_fits",
    {'        raise ValueError("The template fits at none of the scales.")\n': "        return 0.0, 0.0, 0.0, 0.0\n"},
    hint="If the template fits at no scale a ValueError is expected.",
)
edit(
    "match_multi_scale",
    "best_by_differences",
    {
        "response = match_ncc(resize(image, size, order=1, anti_aliasing=scale < 1), template)": "response = -match_ssd(resize(image, size, order=1, anti_aliasing=scale < 1), template)"
    },
    hint="The score is not a correlation: it changes when the image gets darker.",
)
edit(
    "match_multi_scale",
    "stops_at_the_first_good_scale",
    {
        "            best = (column / scale, row / scale, float(scale), score)\n": "            best = (column / scale, row / scale, float(scale), score)\n        if score > 0.5:\n            break\n"
    },
    hint="The search stops before all scales were tried.",
)
edit(
    "match_multi_scale",
    "ties_take_the_last_scale",
    {"score > best[3]": "score >= best[3]"},
    hint="Of equally good scales the last one is returned. Expected is the first.",
)
edit(
    "match_multi_scale",
    "height_for_both_sides",
    {"round(image.shape[1] * scale))": "round(image.shape[0] * scale))"},
    hint="The resized image looks stretched: each side of the image is multiplied by the scale.",
)


@mutant(
    "match_multi_scale",
    hint="Rows and columns of the resized image look swapped: cv2.resize wants (width, height), other than shape.",
)
def size_swapped_for_opencv(image, template, scales):
    best = None
    for s in scales:
        size = (round(image.shape[0] * s), round(image.shape[1] * s))
        if size[0] < template.shape[0] or size[1] < template.shape[1]:
            continue
        response = match_ncc(cv2.resize(image, size), template)
        x, y = best_match(response)
        if best is None or response[y, x] > best[3]:
            best = (x / s, y / s, float(s), float(response[y, x]))
    if best is None:
        raise ValueError
    return best


@variant("match_multi_scale")
def scales_with_opencv(image, template, scales):
    results = []
    for s in scales:
        h, w = round(image.shape[0] * s), round(image.shape[1] * s)
        if h >= template.shape[0] and w >= template.shape[1]:
            response = match_ncc(cv2.resize(image, (w, h), interpolation=cv2.INTER_LINEAR), template)
            x, y = best_match(response)
            results.append((x / s, y / s, s, float(response[y, x])))
    if not results:
        raise ValueError("does not fit")
    return max(results, key=lambda result: result[3])


@variant("match_multi_scale")
def scales_with_torch(image, template, scales):
    best = (0, 0, 0, -2)
    for s in scales:
        size = round(image.shape[0] * s), round(image.shape[1] * s)
        if size[0] < template.shape[0] or size[1] < template.shape[1]:
            continue
        resized = torch.nn.functional.interpolate(torch.from_numpy(image)[None, None], size, mode="bilinear")[
            0, 0
        ].numpy()
        response = match_ncc(resized, template)
        y, x = np.unravel_index(np.argmax(response), response.shape)
        if response[y, x] > best[3]:
            best = (x / s, y / s, s, response[y, x])
    if best[2] == 0:
        raise ValueError
    return best


@variant("match_multi_scale")
def scales_without_antialiasing(image, template, scales):
    tried = {}
    for s in scales:
        try:
            tried.setdefault(
                s,
                match_ncc(
                    resize(image, (round(image.shape[0] * s), round(image.shape[1] * s)), order=1, anti_aliasing=False),
                    template,
                ),
            )
        except (ValueError, ZeroDivisionError):
            continue
    s = max(tried, key=lambda key: tried[key].max())
    x, y = best_match(tried[s])
    return np.array([x / s, y / s, s, tried[s].max()])


edit(
    "match_multi_scale",
    "only_the_height_has_to_fit",
    {"size[0] < template.shape[0] or size[1] < template.shape[1]": "size[0] < template.shape[0]"},
    hint="A scale at which the template is too wide is not skipped: both sides have to fit.",
)
edit(
    "match_multi_scale",
    "only_the_width_has_to_fit",
    {"size[0] < template.shape[0] or size[1] < template.shape[1]": "size[1] < template.shape[1]"},
    hint="A scale at which the template is too high is not skipped: both sides have to fit.",
)
edit(
    "match_multi_scale",
    "exact_fit_skipped",
    {
        "size[0] < template.shape[0] or size[1] < template.shape[1]": "size[0] <= template.shape[0] or size[1] <= template.shape[1]"
    },
    hint="A scale at which image and template have the same side is skipped. Then there is one place, and it fits.",
)
edit(
    "match_multi_scale",
    "sizes_rounded_down",
    {
        "(round(image.shape[0] * scale), round(image.shape[1] * scale))": "(int(image.shape[0] * scale), int(image.shape[1] * scale))"
    },
    hint="The resized image is a pixel too small at some scales: its sides are rounded, not cut off.",
)
edit(
    "match_multi_scale",
    "sizes_rounded_up",
    {
        "(round(image.shape[0] * scale), round(image.shape[1] * scale))": "(int(np.ceil(image.shape[0] * scale)), int(np.ceil(image.shape[1] * scale)))"
    },
    hint="The resized image is a pixel too large at some scales: its sides are rounded, not always up.",
)
edit(
    "match_multi_scale",
    "only_positive_scores",
    {"best is None or score > best[3]": "score > (best[3] if best else 0)"},
    hint="Without a positive score nothing is found. The best of bad matches is still the best: where does your search begin?",
)
edit(
    "match_multi_scale",
    "whole_pixels",
    {
        "(column / scale, row / scale, float(scale), score)": "(float(int(column / scale)), float(int(row / scale)), float(scale), score)"
    },
    hint="Fractions of a pixel get lost when the place is divided by the scale.",
)
edit(
    "match_multi_scale",
    "search_ends_where_it_does_not_fit",
    {"            continue": "            break"},
    hint="The search ends at the first scale at which the template does not fit. The ones after it may fit.",
)
edit(
    "match_multi_scale",
    "centre_of_the_match",
    {
        "(column / scale, row / scale, float(scale), score)": "((column + template.shape[1] / 2) / scale, (row + template.shape[0] / 2) / scale, float(scale), score)"
    },
    hint="The place is the middle of the match. Its top-left corner is expected.",
)
edit(
    "match_multi_scale",
    "amount_of_the_score",
    {"score = float(response[row, column])": "score = abs(float(response[row, column]))"},
    hint="The amount of the correlation is returned as score: the negative of the template looks like a perfect match.",
)


# ---------------------------------------------------------------- gradients

edit(
    "gradients",
    "half_differences",
    {
        "gx[:, 1:-1] = image[:, 2:] - image[:, :-2]": "gx[:, 1:-1] = (image[:, 2:] - image[:, :-2]) / 2",
        "gy[1:-1] = image[2:] - image[:-2]": "gy[1:-1] = (image[2:] - image[:-2]) / 2",
    },
    hint="The magnitudes are half of what is expected: the differences come without the factor 1/2 here.",
)
edit(
    "gradients",
    "full_circle",
    {
        "np.rad2deg(np.arctan2(gy, gx)) % 180": "np.rad2deg(np.arctan2(gy, gx)) % 360",
        "orientation[orientation >= 180] = 0": "orientation[orientation >= 360] = 0",
    },
    hint="Orientations reach beyond 180 degrees: a dark-to-bright edge and a bright-to-dark one are the same.",
)
edit(
    "gradients",
    "negative_angles",
    {"np.rad2deg(np.arctan2(gy, gx)) % 180": "np.rad2deg(np.arctan2(gy, gx))"},
    hint="Some orientations are negative or reach 180 degrees. They are taken modulo 180.",
)
edit(
    "gradients",
    "absolute_angles",
    {"np.rad2deg(np.arctan2(gy, gx)) % 180": "np.abs(np.rad2deg(np.arctan2(gy, gx)))"},
    hint="Rising and falling diagonals look alike: taking the absolute value of an angle mirrors it instead of turning it by 180 degrees.",
)
edit(
    "gradients",
    "radians",
    {"np.rad2deg(np.arctan2(gy, gx)) % 180": "np.arctan2(gy, gx) % np.pi"},
    hint="The orientations are in radians. Degrees are expected.",
)
edit(
    "gradients",
    "arguments_of_arctan_swapped",
    {"np.arctan2(gy, gx)": "np.arctan2(gx, gy)"},
    hint="0 and 90 degrees look swapped: upright edges have a gradient along x, which is 0 degrees.",
)
edit(
    "gradients",
    "y_points_up",
    {"gy[1:-1] = image[2:] - image[:-2]": "gy[1:-1] = image[:-2] - image[2:]"},
    hint="45 and 135 degrees look swapped: y points down, so gy is the lower pixel minus the upper one.",
)
edit(
    "gradients",
    "forward_differences",
    {
        "gx[:, 1:-1] = image[:, 2:] - image[:, :-2]": "gx[:, :-1] = image[:, 1:] - image[:, :-1]",
        "gy[1:-1] = image[2:] - image[:-2]": "gy[:-1] = image[1:] - image[:-1]",
    },
    hint="Differences of neighbours are taken. Expected is the pixel after minus the pixel before, two apart.",
)
edit(
    "gradients",
    "one_sided_at_the_border",
    {
        "    orientation = np": "    gx[:, [0, -1]] = image[:, [1, -1]] - image[:, [0, -2]]\n    gy[[0, -1]] = image[[1, -1]] - image[[0, -2]]\n    orientation = np"
    },
    hint="At the border there is a gradient across it. gx is 0 in the first and last column, gy in the first and last row.",
)
edit(
    "gradients",
    "border_left_out",
    {"    orientation = np": "    gx[[0, -1]] = 0\n    gy[:, [0, -1]] = 0\n    orientation = np"},
    hint="The whole border is 0. In the first row gy is 0, but gx is not.",
)
edit(
    "gradients",
    "sum_of_amounts",
    {"np.hypot(gx, gy)": "np.abs(gx) + np.abs(gy)"},
    hint="The magnitude is the sum of the two amounts. Expected is the length of the vector (gx, gy).",
)
edit(
    "gradients",
    "rounding_to_180",
    {"    orientation[orientation >= 180] = 0\n": ""},
    hint="For a tiny negative angle the remainder modulo 180 rounds to 180 itself. Orientations stay below 180.",
)
edit(
    "gradients",
    "orientation_before_magnitude",
    {"return np.hypot(gx, gy), orientation": "return orientation, np.hypot(gx, gy)"},
    hint="The two results look swapped: magnitude comes first.",
)
edit(
    "gradients",
    "wrapped_around",
    {
        "gx[:, 1:-1] = image[:, 2:] - image[:, :-2]": "gx = np.roll(image, -1, axis=1) - np.roll(image, 1, axis=1)",
        "gy[1:-1] = image[2:] - image[:-2]": "gy = np.roll(image, -1, axis=0) - np.roll(image, 1, axis=0)",
    },
    hint="At the border the opposite side of the image is used, as np.roll does.",
)


@mutant(
    "gradients",
    hint="The quotient gy / gx is not defined where gx is 0, so level edges get a wrong angle. arctan2 takes both numbers.",
)
def quotient_of_differences(image):
    gx, gy = np.zeros(image.shape), np.zeros(image.shape)
    gx[:, 1:-1] = image[:, 2:] - image[:, :-2]
    gy[1:-1] = image[2:] - image[:-2]
    slope = np.divide(gy, gx, out=np.zeros(image.shape), where=gx != 0)
    return np.hypot(gx, gy), np.rad2deg(np.arctan(slope)) % 180


@variant("gradients")
def gradients_by_padding(image):
    padded = np.pad(image, 1, mode="edge")
    gx = padded[1:-1, 2:] - padded[1:-1, :-2]
    gy = padded[2:, 1:-1] - padded[:-2, 1:-1]
    gx[:, 0] = gx[:, -1] = 0
    gy[0], gy[-1] = 0, 0
    angle = np.degrees(np.arctan2(gy, gx))
    angle = np.where(angle < 0, angle + 180, angle)
    return np.sqrt(gx**2 + gy**2), np.where(angle >= 180, 0, angle)


@variant("gradients")
def gradients_pixel_by_pixel(image):
    import math

    H, W = image.shape
    magnitude, orientation = np.zeros((H, W), np.float32), np.zeros((H, W), np.float32)
    for y in range(H):
        for x in range(W):
            gx = image[y, x + 1] - image[y, x - 1] if 0 < x < W - 1 else 0
            gy = image[y + 1, x] - image[y - 1, x] if 0 < y < H - 1 else 0
            magnitude[y, x] = math.sqrt(gx * gx + gy * gy)
            orientation[y, x] = math.degrees(math.atan2(gy, gx)) % 180
    orientation[orientation >= 180] = 0
    return magnitude, orientation


@variant("gradients")
def gradients_by_complex_numbers(image):
    g = np.zeros(image.shape, dtype=complex)
    g[:, 1:-1] += image[:, 2:] - image[:, :-2]
    g[1:-1] += 1j * (image[2:] - image[:-2])
    angle = np.angle(g, deg=True)
    angle[angle < 0] += 180
    angle[(angle >= 180) | (abs(g) == 0)] = 0
    return abs(g), angle


@mutant(
    "gradients",
    hint="It fails for an image of one row or one column, which has gradients along it. np.gradient wants two pixels each way.",
)
def gradients_by_numpy(image):
    gy, gx = np.gradient(image)
    gx, gy = 2 * gx, 2 * gy
    gx[:, [0, -1]] = 0
    gy[[0, -1]] = 0
    orientation = np.rad2deg(np.arctan2(gy, gx)) % 180
    orientation[orientation >= 180] = 0
    return np.hypot(gx, gy), orientation


@mutant(
    "gradients",
    hint="Neighbouring rows and columns are mixed in, as Sobel's filter does. Only two pixels are compared.",
)
def sobel_filter(image):
    gx = cv2.Sobel(image, cv2.CV_64F, 1, 0, ksize=3) / 4
    gy = cv2.Sobel(image, cv2.CV_64F, 0, 1, ksize=3) / 4
    orientation = np.rad2deg(np.arctan2(gy, gx)) % 180
    orientation[orientation >= 180] = 0
    return np.hypot(gx, gy), orientation


# ---------------------------------------------------------------- hog

edit(
    "hog",
    "blocks_not_normalised",
    {"return blocks / np.sqrt((blocks**2).sum(axis=(2, 3, 4), keepdims=True) + 1e-5**2)": "return blocks.copy()"},
    hint="The blocks are not divided by their length: twice the contrast gives twice the values.",
)
edit(
    "hog",
    "cells_normalised",
    {"axis=(2, 3, 4), keepdims=True": "axis=4, keepdims=True"},
    hint="Each cell is normalised by itself. The length is that of the whole block.",
)
edit(
    "hog",
    "whole_image_normalised",
    {"(blocks**2).sum(axis=(2, 3, 4), keepdims=True)": "(blocks**2).sum(axis=(2, 3, 4)).max()"},
    hint="All blocks are divided by the same number. Each has a length of its own.",
)
edit(
    "hog",
    "sum_of_amounts_as_length",
    {
        "np.sqrt((blocks**2).sum(axis=(2, 3, 4), keepdims=True) + 1e-5**2)": "(np.abs(blocks).sum(axis=(2, 3, 4), keepdims=True) + 1e-5)"
    },
    hint="The block is divided by the sum of its entries. Expected is its Euclidean length.",
)
edit(
    "hog",
    "pixels_counted",
    {"weights = magnitude[..., None] * (": "weights = (magnitude[..., None] > 0) * ("},
    hint="Pixels are counted, whatever their gradient. Each adds its magnitude.",
)
edit(
    "hog",
    "nearest_bin_centre",
    {"(orientation * bins / 180).astype(int)": "(np.round(orientation * bins / 180).astype(int) % bins)"},
    hint="The bins look shifted by half a bin: floor, not round.",
)
edit(
    "hog",
    "blocks_do_not_overlap",
    {"blocks = np.moveaxis(blocks, 2, -1)": "blocks = np.moveaxis(blocks, 2, -1)[::block, ::block]"},
    hint="There are too few blocks: they overlap, one begins at every cell.",
)
edit(
    "hog",
    "bins_before_cells",
    {"    blocks = np.moveaxis(blocks, 2, -1)\n": "", "axis=(2, 3, 4)": "axis=(2, 3, 4)"},
    hint="The order of the axes is off: block row, block column, cell row, cell column, bin.",
)
edit(
    "hog",
    "cells_in_a_block_transposed",
    {"blocks = np.moveaxis(blocks, 2, -1)": "blocks = np.moveaxis(blocks, 2, -1).swapaxes(2, 3)"},
    hint="Row and column of the cell within its block look swapped.",
)
edit(
    "hog",
    "image_cropped_first",
    {
        "magnitude, orientation = gradients(image)": "image = image[: rows * cell, : columns * cell]\n    magnitude, orientation = gradients(image)"
    },
    hint="The last cells of a row or column differ: gradients of the whole image come first, then pixels beyond whole cells are dropped.",
)
edit(
    "hog",
    "no_error_without_a_block",
    {
        '        raise ValueError("Not even one block fits.")\n': "        return np.zeros((max(rows - block + 1, 0), max(columns - block + 1, 0), block, block, bins))\n"
    },
    hint="An image without room for a block has to raise a ValueError.",
)
edit(
    "hog",
    "bins_fixed",
    {"(orientation * bins / 180).astype(int), bins - 1)": "(orientation * 9 / 180).astype(int), bins - 1)"},
    hint="Only 9 bins work: the width of a bin is 180 / bins degrees.",
)
edit(
    "hog",
    "large_constant",
    {"1e-5**2": "1e-1"},
    hint="Faint blocks come out too small: the constant in the root is 1e-5 squared.",
)
edit(
    "hog",
    "clipped_like_dalal_and_triggs",
    {
        "return blocks / np.sqrt((blocks**2).sum(axis=(2, 3, 4), keepdims=True) + 1e-5**2)": "blocks = np.minimum(blocks / np.sqrt((blocks**2).sum(axis=(2, 3, 4), keepdims=True) + 1e-5**2), 0.2)\n    return blocks / np.sqrt((blocks**2).sum(axis=(2, 3, 4), keepdims=True) + 1e-5**2)"
    },
    hint="Large entries are clipped and the block normalised again (L2-Hys). Here it is normalised once.",
)
edit(
    "hog",
    "sum_not_divided_by_the_cell",
    {" / cell**2": ""},
    hint="Only the faintest blocks are wrong, and too long: the sum over a cell's pixels is divided by cell^2.",
)
edit(
    "hog",
    "votes_shared_by_two_bins",
    {
        "weights = magnitude[..., None] * (chosen[..., None] == np.arange(bins))": "position = orientation * bins / 180 - 0.5\n    low = np.floor(position).astype(int)\n    share = (position - low)[..., None]\n    weights = magnitude[..., None] * ((low % bins)[..., None] == np.arange(bins)) * (1 - share)\n    weights = weights + magnitude[..., None] * (((low + 1) % bins)[..., None] == np.arange(bins)) * share"
    },
    hint="A pixel's magnitude is spread over two bins. Here each pixel adds to one bin only.",
)


@variant("hog")
def hog_by_loops(image, cell=8, block=2, bins=9):
    magnitude, orientation = gradients(image)
    R, C = image.shape[0] // cell, image.shape[1] // cell
    if R - block + 1 <= 0 or C - block + 1 <= 0:
        raise ValueError
    cells = np.zeros((R, C, bins))
    for y in range(R * cell):
        for x in range(C * cell):
            k = min(int(orientation[y, x] * bins / 180), bins - 1)
            cells[y // cell, x // cell, k] += magnitude[y, x] / cell**2
    result = np.zeros((R - block + 1, C - block + 1, block, block, bins))
    for y in range(result.shape[0]):
        for x in range(result.shape[1]):
            v = cells[y : y + block, x : x + block]
            result[y, x] = v / np.sqrt(np.sum(v**2) + 1e-10)
    return result


@variant("hog")
def hog_by_histograms(image, cell=8, block=2, bins=9):
    magnitude, orientation = gradients(image)
    R, C = image.shape[0] // cell, image.shape[1] // cell
    if R < block or C < block:
        raise ValueError
    cells = np.zeros((R, C, bins), dtype=np.float32)
    edges = np.arange(bins + 1) * 180 / bins
    for r, c in np.ndindex(R, C):
        part = np.s_[r * cell : (r + 1) * cell, c * cell : (c + 1) * cell]
        cells[r, c] = np.histogram(orientation[part], bins=edges, weights=magnitude[part])[0] / cell**2
    rows = [[cells[r : r + block, c : c + block] for c in range(C - block + 1)] for r in range(R - block + 1)]
    v = np.array(rows)
    return v / np.sqrt(np.square(v).sum((2, 3, 4))[:, :, None, None, None] + 1e-10)


@variant("hog")
def hog_by_counting(image, cell=8, block=2, bins=9):
    magnitude, orientation = gradients(image)
    R, C = image.shape[0] // cell, image.shape[1] // cell
    if min(R, C) < block:
        raise ValueError("too small")
    y, x = np.mgrid[: R * cell, : C * cell]
    k = np.clip(np.floor(orientation[: R * cell, : C * cell] * bins / 180).astype(int), 0, bins - 1)
    index = ((y // cell) * C + x // cell) * bins + k
    cells = (
        np.bincount(index.ravel(), magnitude[: R * cell, : C * cell].ravel(), R * C * bins).reshape(R, C, bins)
        / cell**2
    )
    stacked = [[cells[i : R - block + 1 + i, j : C - block + 1 + j] for j in range(block)] for i in range(block)]
    v = np.array(stacked).transpose(2, 3, 0, 1, 4)
    return v / np.sqrt(np.einsum("abcde,abcde->ab", v, v) + 1e-10)[..., None, None, None]


edit(
    "hog",
    "always_blocks_of_two",
    {"(block, block), axis=(0, 1)": "(2, 2), axis=(0, 1)"},
    hint="Blocks always have 2 x 2 cells: the argument `block` plays no part.",
)
edit(
    "hog",
    "squared_magnitudes",
    {"magnitude[..., None] *": "magnitude[..., None] ** 2 *"},
    hint="Strong edges count too much: each pixel adds its magnitude, not the square of it.",
)
edit(
    "hog",
    "no_constant",
    {" + 1e-5**2": ""},
    hint="A block without gradients gives nan: 0 is divided by 0. That is what the small constant in the root is for.",
)
edit(
    "hog",
    "constant_beside_the_root",
    {
        "np.sqrt((blocks**2).sum(axis=(2, 3, 4), keepdims=True) + 1e-5**2)": "(np.sqrt((blocks**2).sum(axis=(2, 3, 4), keepdims=True)) + 1e-5)"
    },
    hint="Only faint blocks are wrong, and too short: 1e-5 is added to the length. It stands inside the root, squared.",
)


@variant("hog")
def hog_that_lets_numpy_refuse(image, cell=8, block=2, bins=9):
    magnitude, orientation = gradients(image)
    R, C = image.shape[0] // cell, image.shape[1] // cell
    k = np.minimum(np.floor(orientation * bins / 180), bins - 1)
    cells = np.zeros((R, C, bins))
    for b in range(bins):
        votes = np.where(k == b, magnitude, 0)[: R * cell, : C * cell]
        cells[..., b] = votes.reshape(R, cell, C, cell).mean(axis=(1, 3))
    v = np.zeros((R - block + 1, C - block + 1, block, block, bins))
    if v.size == 0:
        raise ValueError
    for y, x in np.ndindex(*v.shape[:2]):
        v[y, x] = cells[y : y + block, x : x + block]
        v[y, x] /= np.hypot(np.linalg.norm(v[y, x]), 1e-5)
    return v


# ---------------------------------------------------------------- window_scores

edit(
    "window_scores",
    "bias_forgotten",
    {"np.full((rows, columns), float(bias))": "np.zeros((rows, columns))"},
    hint="The bias is not added.",
)
edit(
    "window_scores",
    "bias_at_every_weight",
    {"@ weights[r, c]": "@ weights[r, c] + bias", "np.full((rows, columns), float(bias))": "np.zeros((rows, columns))"},
    hint="The bias is added more than once for a window.",
)
edit(
    "window_scores",
    "weights_flipped",
    {"weights[r, c]\n": "weights[-1 - r, -1 - c]\n"},
    hint="The weights are flipped: that is a convolution. Cross-correlation leaves them as they are.",
)
edit(
    "window_scores",
    "last_windows_missing",
    {
        "features.shape[0] - weights.shape[0] + 1, features.shape[1] - weights.shape[1] + 1": "features.shape[0] - weights.shape[0], features.shape[1] - weights.shape[1]",
        "rows < 1 or columns < 1": "rows < 0 or columns < 0",
    },
    hint="The last row and the last column of windows are missing.",
)
edit(
    "window_scores",
    "one_score_for_each_feature",
    {
        "scores = np.full((rows, columns), float(bias))": "scores = np.full((rows, columns, features.shape[2]), float(bias))",
        "@ weights[r, c]": "* weights[r, c]",
    },
    hint="There is one map for each of the D features. A window has one score: sum over D as well.",
)
edit(
    "window_scores",
    "mean_instead_of_sum",
    {"@ weights[r, c]": "@ weights[r, c] / weights[..., 0].size"},
    hint="The products are averaged over the window. Expected is their sum.",
)
edit(
    "window_scores",
    "weights_too_large_accepted",
    {
        "if rows < 1 or columns < 1 or features.shape[2] != weights.shape[2]:": "if rows < 1 or columns < 1:\n        return np.zeros((0, 0))\n    if features.shape[2] != weights.shape[2]:"
    },
    hint="Weights that are larger than the map have to raise a ValueError.",
)
edit(
    "window_scores",
    "windows_do_not_overlap",
    {"return scores": "return scores[:: weights.shape[0], :: weights.shape[1]]"},
    hint="Windows look laid side by side. There is one at every place.",
)
edit(
    "window_scores",
    "first_feature_only",
    {
        "features[r : r + rows, c : c + columns] @ weights[r, c]": "features[r : r + rows, c : c + columns, 0] * weights[r, c, 0]"
    },
    hint="Only some of the D features are used.",
)
edit(
    "window_scores",
    "rows_and_columns_of_weights_swapped",
    {
        "    scores = np.full": "    turned = weights.transpose(1, 0, 2)\n    weights = np.resize(turned, weights.shape)\n    scores = np.full"
    },
    hint="Rows and columns of the weights look mixed up.",
)
edit(
    "window_scores",
    "negative_scores_cut",
    {"return scores": "return np.maximum(scores, 0)"},
    hint="Negative scores are cut off at 0. The classifier's score has a sign.",
)
edit(
    "window_scores",
    "features_of_another_depth",
    {
        " or features.shape[2] != weights.shape[2]": "",
        "features[r : r + rows, c : c + columns] @ weights[r, c]": "features[r : r + rows, c : c + columns, : weights.shape[2]] @ weights[r, c, : features.shape[2]]",
    },
    hint="Weights with another number of features D have to raise a ValueError.",
)


@variant("window_scores")
def scores_by_einsum(features, weights, bias):
    patches = np.lib.stride_tricks.sliding_window_view(features, weights.shape[:2], axis=(0, 1))
    return np.einsum("yxdrc,rcd->yx", patches, weights) + bias


@variant("window_scores")
def scores_by_loops(features, weights, bias):
    r, c, d = weights.shape
    R, C, D = features.shape
    if r > R or c > C or d != D:
        raise ValueError
    return np.array(
        [[(features[y : y + r, x : x + c] * weights).sum() + bias for x in range(C - c + 1)] for y in range(R - r + 1)]
    )


@variant("window_scores")
def scores_float32(features, weights, bias):
    if features.shape[2] != weights.shape[2]:
        raise ValueError
    f, w = features.astype(np.float32), weights.astype(np.float32)
    return np.tensordot(np.lib.stride_tricks.sliding_window_view(f, w.shape)[:, :, 0], w, 3) + np.float32(bias)


# ---------------------------------------------------------------- deformable_score

edit(
    "deformable_score",
    "anchor_ignored",
    {"- columns - dx": "- columns", "- rows - dy": "- rows"},
    hint="The anchor is ignored: shifts are measured from the root's own place.",
)
edit(
    "deformable_score",
    "anchor_the_other_way",
    {"- columns - dx": "- columns + dx", "- rows - dy": "- rows + dy"},
    hint="The part is looked for on the opposite side: x + dx, not x - dx.",
)
edit(
    "deformable_score",
    "anchor_as_row_column",
    {"(dx, dy), (a, b, c, d)": "(dy, dx), (a, b, c, d)"},
    hint="dx and dy look swapped: the anchor is (dx, dy), columns first.",
)
edit(
    "deformable_score",
    "linear_costs_forgotten",
    {"(a * u + c * u**2)": "(c * u**2)", "(b * v + d * v**2)": "(d * v**2)"},
    hint="The linear terms a and b have no effect.",
)
edit(
    "deformable_score",
    "linear_costs_without_sign",
    {"(a * u + c * u**2)": "(a * np.abs(u) + c * u**2)", "(b * v + d * v**2)": "(b * np.abs(v) + d * v**2)"},
    hint="The linear terms cost the same in both directions. a*u has the sign of u.",
)
edit(
    "deformable_score",
    "shift_of_the_wrong_sign",
    {
        "u = np.arange(response.shape[1]) - columns - dx": "u = columns + dx - np.arange(response.shape[1])",
        "v = np.arange(response.shape[0]) - rows - dy": "v = rows + dy - np.arange(response.shape[0])",
    },
    hint="u and v have the wrong sign: the response is read at x + dx + u, so u grows to the right.",
)
edit(
    "deformable_score",
    "costs_in_the_wrong_order",
    {"(a, b, c, d) in parts": "(a, c, b, d) in parts"},
    hint="The four numbers of the deformation are mixed up: a and b are linear in u and v, c and d quadratic.",
)
edit(
    "deformable_score",
    "x_and_y_costs_swapped",
    {"(a, b, c, d) in parts": "(b, a, d, c) in parts"},
    hint="The costs along x and y look swapped: a and c belong to u, b and d to v.",
)
edit(
    "deformable_score",
    "costs_added",
    {"- (a * u + c * u**2)": "+ (a * u + c * u**2)", "- (b * v + d * v**2)": "+ (b * v + d * v**2)"},
    hint="Moving is rewarded instead of paid for: the cost is subtracted.",
)
edit(
    "deformable_score",
    "no_quadratic_cost",
    {"(a * u + c * u**2)": "(a * u + c * np.abs(u))", "(b * v + d * v**2)": "(b * v + d * np.abs(v))"},
    hint="The cost grows in proportion to the shift. c and d belong to its square.",
)
edit(
    "deformable_score",
    "parts_never_move",
    {"(a * u + c * u**2)": "np.where(u == 0, 0, 1e9)", "(b * v + d * v**2)": "np.where(v == 0, 0, 1e9)"},
    hint="The parts stay at their anchors: the maximum over shifts is missing.",
)
edit(
    "deformable_score",
    "best_part_only",
    {
        "total = root.astype(float)": "total = np.full(root.shape, -np.inf) if parts else root.astype(float)",
        "total += (best.T": "total = np.maximum(total, root + (best.T",
        "max(axis=2, initial=-np.inf)\n    return": "max(axis=2, initial=-np.inf))\n    return",
    },
    hint="Only one of the parts counts. All of them are added to the root.",
)
edit(
    "deformable_score",
    "root_forgotten",
    {"total = root.astype(float)": "total = np.zeros(root.shape)"},
    hint="The response of the root filter is not part of the sum.",
)
edit(
    "deformable_score",
    "root_changed",
    {"total = root.astype(float)": "total = root"},
    hint="The root's response that was passed in is changed: add to a copy.",
)


@mutant(
    "deformable_score", hint="Only a few shifts around the anchor are tried. The maximum runs over the whole response."
)
def small_neighbourhood(root, parts):
    total = root.astype(float).copy()
    for response, (dx, dy), (a, b, c, d) in parts:
        h, w = response.shape
        for y, x in np.ndindex(*root.shape):
            best = -np.inf
            for v in range(-2, 3):
                for u in range(-2, 3):
                    if 0 <= y + dy + v < h and 0 <= x + dx + u < w:
                        best = max(best, response[y + dy + v, x + dx + u] - (a * u + b * v + c * u * u + d * v * v))
            total[y, x] += best
    return total


@mutant(
    "deformable_score",
    hint="Shifts out of the response read its other end: a negative index counts from the back. Only places inside count.",
)
def indices_wrap(root, parts):
    total = root.astype(float).copy()
    for response, (dx, dy), (a, b, c, d) in parts:
        h, w = response.shape
        for y, x in np.ndindex(*root.shape):
            best = -np.inf
            for v in range(-max(h, root.shape[0]), max(h, root.shape[0]) + 1):
                for u in range(-max(w, root.shape[1]), max(w, root.shape[1]) + 1):
                    if y + dy + v < h and x + dx + u < w and -h <= y + dy + v and -w <= x + dx + u:
                        best = max(best, response[y + dy + v, x + dx + u] - (a * u + b * v + c * u * u + d * v * v))
            total[y, x] += best
    return total


edit(
    "deformable_score",
    "anchor_clipped",
    {
        "np.arange(response.shape[1]) - columns - dx": "np.arange(response.shape[1]) - np.clip(columns + dx, 0, max(response.shape[1] - 1, 0))",
        "np.arange(response.shape[0]) - rows - dy": "np.arange(response.shape[0]) - np.clip(rows + dy, 0, max(response.shape[0] - 1, 0))",
    },
    hint="An anchor outside of the response is moved to its border without cost. The move is a shift, and is paid for.",
)


@mutant(
    "deformable_score",
    hint="Parts whose anchor lies outside of their response are left out. They have to move, and pay for it.",
)
def outside_is_left_out(root, parts):
    total = root.astype(float).copy()
    for response, (dx, dy), (a, b, c, d) in parts:
        h, w = response.shape
        rows, columns = np.mgrid[:h, :w]
        for y, x in np.ndindex(*root.shape):
            if h * w == 0:
                total[y, x] = -np.inf
            elif 0 <= y + dy < h and 0 <= x + dx < w:
                u, v = columns - x - dx, rows - y - dy
                total[y, x] += (response - (a * u + b * v + c * u**2 + d * v**2)).max()
    return total


@mutant("deformable_score", hint="Responses of another shape than the root's are not handled.")
def shape_of_the_root(root, parts):
    total = root.astype(float).copy()
    rows, columns = np.mgrid[: root.shape[0], : root.shape[1]]
    for response, (dx, dy), (a, b, c, d) in parts:
        for y, x in np.ndindex(*root.shape):
            u, v = columns - x - dx, rows - y - dy
            total[y, x] += (response - (a * u + b * v + c * u**2 + d * v**2)).max()
    return total


@mutant(
    "deformable_score",
    hint="A part with an empty response is left out, or stops everything. It can be nowhere, so the score is -inf.",
)
def empty_response_ignored(root, parts):
    total = root.astype(float).copy()
    for response, (dx, dy), (a, b, c, d) in parts:
        if response.size == 0:
            continue
        rows, columns = np.mgrid[: response.shape[0], : response.shape[1]]
        for y, x in np.ndindex(*root.shape):
            u, v = columns - x - dx, rows - y - dy
            total[y, x] += (response - (a * u + b * v + c * u**2 + d * v**2)).max()
    return total


@variant("deformable_score")
def star_by_loops(root, parts):
    total = np.array(root, dtype=float)
    for response, anchor, deformation in parts:
        dx, dy = anchor
        a, b, c, d = deformation
        for y in range(root.shape[0]):
            for x in range(root.shape[1]):
                best = -float("inf")
                for row in range(response.shape[0]):
                    for column in range(response.shape[1]):
                        u, v = column - x - dx, row - y - dy
                        best = max(best, response[row, column] - (a * u + b * v + c * u * u + d * v * v))
                total[y, x] += best
    return total


@variant("deformable_score")
def star_at_once(root, parts):
    y, x = np.mgrid[: root.shape[0], : root.shape[1]]
    total = root.copy()
    for response, (dx, dy), (a, b, c, d) in parts:
        row, column = np.mgrid[: response.shape[0], : response.shape[1]]
        u, v = column - (x + dx)[..., None, None], row - (y + dy)[..., None, None]
        value = response - (a * u + b * v + c * u**2 + d * v**2)
        total = total + (value.max(axis=(2, 3)) if response.size else -np.inf)
    return total


@variant("deformable_score")
def star_rows_first(root, parts):
    total = root.astype(np.float32)
    for response, (dx, dy), (a, b, c, d) in parts:
        h, w = response.shape
        lifted = np.full((root.shape[0], w), -np.inf, dtype=np.float32)
        for y in range(root.shape[0]):
            for row in range(h):
                v = row - y - dy
                lifted[y] = np.maximum(lifted[y], response[row] - (b * v + d * v * v))
        for x in range(root.shape[1]):
            u = np.arange(w) - x - dx
            total[:, x] += np.max(lifted - (a * u + c * u**2), axis=1, initial=-np.inf)
    return total


edit(
    "deformable_score",
    "no_part_below_zero",
    {"max(axis=2, initial=-np.inf)\n    return": "max(axis=2, initial=0)\n    return"},
    hint="A part never takes anything away: is 0 the first value of your maximum? A part that has to move far lowers the score.",
)
edit(
    "deformable_score",
    "large_number_for_infinity",
    {"max(axis=2, initial=-np.inf)\n    return": "max(axis=2, initial=-1e9)\n    return"},
    hint="An empty response gives a large negative number. Expected is minus infinity.",
)
