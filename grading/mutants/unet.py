"""Answers to the tasks of 05_unet: wrong ones that students write, and right ones that look different from ours."""

from grading.audit import edit, variant

# ---------------------------------------------------------------- confusion_matrix

edit(
    "confusion_matrix",
    "truth_in_columns",
    {"target * num_classes + pred": "pred * num_classes + target"},
    hint="Rows and columns look swapped: the true class is the row.",
)
edit(
    "confusion_matrix",
    "ignored_predictions_dropped",
    {"keep = target != ignore_index": "keep = (target != ignore_index) & (pred != ignore_index)"},
    hint="Pixels are dropped because of what was predicted there. Only the target decides.",
)
edit(
    "confusion_matrix",
    "class_0_never_ignored",
    {"if ignore_index is not None:": "if ignore_index:"},
    hint="ignore_index 0 is not obeyed: 0 is false in an `if`.",
)
edit(
    "confusion_matrix",
    "negative_never_ignored",
    {"if ignore_index is not None:": "if ignore_index is not None and ignore_index >= 0:"},
    hint="A negative ignore_index is not obeyed, but -1 is a common label for unlabelled pixels.",
)
edit(
    "confusion_matrix",
    "counted_in_eight_bits",
    {"pred.flatten().long(), target.flatten().long()": "pred.flatten(), target.flatten()"},
    hint="With uint8 labels the numbers of the cells overflow: convert before you multiply.",
)
edit(
    "confusion_matrix",
    "shares_of_rows",
    {
        "return torch.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)": (
            "table = torch.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)\n"
            "    return table / table.sum(dim=1, keepdim=True).clamp(min=1)"
        )
    },
    hint="The rows are divided by their sums. Expected are counts.",
)
edit(
    "confusion_matrix",
    "as_many_classes_as_occur",
    {
        "minlength=num_classes**2).reshape(num_classes, num_classes)": (
            "minlength=num_classes**2).reshape(num_classes, num_classes)[: int(target.max()) + 1, : "
            "int(target.max()) + 1]"
        ),
    },
    hint="The table has only as many rows as classes occur, and fails without pixels. Its size is num_classes.",
)
edit(
    "confusion_matrix",
    "one_table_for_the_first_image",
    {"pred.flatten().long(), target.flatten().long()": "pred[0].flatten().long(), target[0].flatten().long()"},
    hint="Only the first image is counted, and without images the function fails.",
)
edit(
    "confusion_matrix",
    "float_counts",
    {"reshape(num_classes, num_classes)": "reshape(num_classes, num_classes).float()"},
    hint="The counts come as floats, which are not exact above 16 million pixels. Expected are long integers.",
)
edit(
    "confusion_matrix",
    "last_class_ignored_by_accident",
    {"keep = target != ignore_index": "keep = target < num_classes - 1"},
    hint="Pixels are dropped by another rule than target == ignore_index.",
)


@variant("confusion_matrix")
def table_pixel_by_pixel(pred, target, num_classes, ignore_index=None):
    table = torch.zeros(num_classes, num_classes, dtype=torch.long)
    for t, p in zip(target.flatten().tolist(), pred.flatten().tolist()):
        if t != ignore_index:
            table[t, p] += 1
    return table


@variant("confusion_matrix")
def table_by_one_hot(pred, target, num_classes, ignore_index=None):
    keep = torch.ones_like(target, dtype=torch.bool) if ignore_index is None else target != ignore_index
    t = torch.nn.functional.one_hot(target[keep].long(), num_classes).double()
    p = torch.nn.functional.one_hot(pred[keep].long(), num_classes).double()
    return (t.T @ p).long()


@variant("confusion_matrix")
def table_by_histogram(pred, target, num_classes, ignore_index=None):
    t, p = target.numpy().ravel().astype(int), pred.numpy().ravel().astype(int)
    if ignore_index is not None:
        t, p = t[t != ignore_index], p[t != ignore_index]
    table = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(table, (t, p), 1)
    return torch.from_numpy(table)


# ---------------------------------------------------------------- mean_iou

edit(
    "mean_iou",
    "recall_instead",
    {"confusion.sum(dim=0) + confusion.sum(dim=1) - both": "confusion.sum(dim=1)"},
    hint="The values look like recall (diagonal / row). The union also holds what was wrongly called this class.",
)
edit(
    "mean_iou",
    "precision_instead",
    {"confusion.sum(dim=0) + confusion.sum(dim=1) - both": "confusion.sum(dim=0)"},
    hint="The values look like precision (diagonal / column). The union also holds what was missed of this class.",
)
edit(
    "mean_iou",
    "intersection_counted_twice",
    {"confusion.sum(dim=0) + confusion.sum(dim=1) - both": "confusion.sum(dim=0) + confusion.sum(dim=1)"},
    hint="The union is too large: pixels that are in both, truth and prediction, are counted twice.",
)
edit(
    "mean_iou",
    "mean_of_dice",
    {"(both / union)": "(2 * both / (union + both))"},
    hint="The values look like Dice. Asked is intersection over union.",
)
edit(
    "mean_iou",
    "absent_classes_count_as_zero",
    {"(both / union)[union > 0].mean()": "(both / union.clamp(min=1)).mean()"},
    hint="Classes that occur neither in truth nor in prediction pull the mean down. They are left out.",
)
edit(
    "mean_iou",
    "absent_classes_count_as_one",
    {"(both / union)[union > 0].mean()": "torch.where(union > 0, both / union, 1.0).mean()"},
    hint="Classes that occur neither in truth nor in prediction count as 1. They are left out.",
)
edit(
    "mean_iou",
    "classes_without_truth_left_out",
    {"[union > 0]": "[confusion.sum(dim=1) > 0]"},
    hint="A class that is predicted but never true is left out. It counts as 0.",
)
edit(
    "mean_iou",
    "zero_without_classes",
    {"(both / union)[union > 0].mean())": "(both / union)[union > 0].mean().nan_to_num())"},
    hint="Without any pixel the mean is not defined: nan is expected, not a number.",
)
edit(
    "mean_iou",
    "pooled_over_classes",
    {
        "(both / union)[union > 0].mean()": "both.sum() / union.sum()",
    },
    hint=(
        "Intersections and unions are summed over the classes before they are divided: so large classes rule. "
        "Average ratios."
    ),
)
edit(
    "mean_iou",
    "background_left_out",
    {"(both / union)[union > 0]": "(both / union)[1:][union[1:] > 0]"},
    hint="Class 0 is left out of the mean. It is a class like the others.",
)
edit(
    "mean_iou",
    "iou_as_tensor",
    {"return float((both / union)[union > 0].mean())": "return (both / union)[union > 0].mean()"},
    hint="The value is right but comes as a tensor. Expected is a Python float.",
)


@variant("mean_iou")
def iou_class_by_class(confusion):
    values = []
    for c in range(len(confusion)):
        union = confusion[c].sum() + confusion[:, c].sum() - confusion[c, c]
        if union > 0:
            values.append((confusion[c, c] / union).item())
    return sum(values) / len(values) if values else float("nan")


@variant("mean_iou")
def iou_by_nanmean(confusion):
    m = confusion.float()
    return (m.diag() / (m.sum(0) + m.sum(1) - m.diag())).nanmean().item()


@variant("mean_iou")
def iou_in_numpy(confusion):
    m = confusion.numpy().astype(float)
    union = m.sum(0) + m.sum(1) - np.diag(m)
    return float(np.mean(np.diag(m)[union > 0] / union[union > 0])) if (union > 0).any() else float("nan")


# ---------------------------------------------------------------- dice_score

edit(
    "dice_score",
    "overlap_not_doubled",
    {"2 * both / total": "both / total"},
    hint="The values are half of what is expected: a mask and itself have Dice 1.",
)
edit(
    "dice_score",
    "iou_instead_of_dice",
    {"2 * both / total.clamp(min=1)": "both / (total - both).clamp(min=1)"},
    hint="The values look like IoU. Dice has twice the intersection above and both sizes below.",
)
edit(
    "dice_score",
    "empty_masks_score_zero",
    {"torch.where(total > 0, 2 * both / total.clamp(min=1), 1.0)": "2 * both / total.clamp(min=1)"},
    hint="Two empty masks agree perfectly: nothing to find, nothing found.",
)
edit(
    "dice_score",
    "empty_masks_score_nan",
    {"torch.where(total > 0, 2 * both / total.clamp(min=1), 1.0)": "2 * both / total"},
    hint="Two empty masks give 0 / 0. Expected is 1.",
)
edit(
    "dice_score",
    "mean_over_images",
    {"2 * both / total.clamp(min=1), 1.0)": "2 * both / total.clamp(min=1), 1.0).mean()"},
    hint="The values are averaged over the images. Expected is one number for each.",
)
edit(
    "dice_score",
    "all_images_in_one",
    {
        "(pred & target).sum(dim=(1, 2))": "(pred & target).sum().expand(len(pred))",
        "pred.sum(dim=(1, 2)) + target.sum(dim=(1, 2))": "(pred.sum() + target.sum()).expand(len(pred))",
    },
    hint="The pixels of different images mix: each image has a Dice of its own.",
)
edit(
    "dice_score",
    "agreement_of_background_counts",
    {"(pred & target).sum(dim=(1, 2))": "(pred == target).sum(dim=(1, 2))"},
    hint="Pixels that are background in both count as overlap: Dice does not see them.",
)
edit(
    "dice_score",
    "summed_over_one_axis",
    {
        "(pred & target).sum(dim=(1, 2))": "(pred & target).sum(dim=1)",
        "pred.sum(dim=(1, 2)) + target.sum(dim=(1, 2))": "pred.sum(dim=1) + target.sum(dim=1)",
    },
    hint="There is one number for each column. Sum over both axes of an image.",
)
edit(
    "dice_score",
    "any_empty_mask_scores_one",
    {
        "torch.where(total > 0,": "torch.where(pred.any(dim=2).any(dim=1) & target.any(dim=2).any(dim=1),",
    },
    hint=(
        "An image in which only one of the masks is empty scores 1: that is a total miss, or nothing but false alarms."
    ),
)
edit(
    "dice_score",
    "empty_prediction_scores_one",
    {"torch.where(total > 0,": "torch.where(pred.any(dim=2).any(dim=1),"},
    hint="An image in which nothing was predicted scores 1, also where there was something to find.",
)
edit(
    "dice_score",
    "small_epsilon",
    {"torch.where(total > 0, 2 * both / total.clamp(min=1), 1.0)": "(2 * both + 1e-6) / (total + 1e-6)"},
)
edit(
    "dice_score",
    "pred_overwritten",
    {"both = (pred & target).sum(dim=(1, 2))": "both = pred.logical_and_(target).sum(dim=(1, 2))"},
    hint="The prediction that was passed in is changed, and with it its size.",
)


@variant("dice_score")
def dice_image_by_image(pred, target):
    values = []
    for p, t in zip(pred, target):
        total = int(p.sum() + t.sum())
        values.append(2 * int((p & t).sum()) / total if total else 1.0)
    return torch.tensor(values)


@variant("dice_score")
def dice_as_harmonic_mean(pred, target):
    p, t = pred.flatten(1).double(), target.flatten(1).double()
    hits, misses, alarms = (p * t).sum(1), ((1 - p) * t).sum(1), (p * (1 - t)).sum(1)
    return (2 * hits / (2 * hits + misses + alarms)).nan_to_num(nan=1.0)


@variant("dice_score")
def dice_by_einsum(pred, target):
    p, t = pred.float(), target.float()
    both = torch.einsum("nhw,nhw->n", p, t)
    total = p.sum((1, 2)) + t.sum((1, 2))
    result = torch.ones(len(pred))
    result[total > 0] = (2 * both / total)[total > 0]
    return result


# ---------------------------------------------------------------- DoubleConv

edit(
    "DoubleConv",
    "no_padding",
    {
        "nn.Conv2d(in_channels, out_channels, 3, padding=1)": "nn.Conv2d(in_channels, out_channels, 3)",
        "nn.Conv2d(out_channels, out_channels, 3, padding=1)": "nn.Conv2d(out_channels, out_channels, 3)",
    },
    hint="The maps shrink: each 3x3 convolution needs padding 1.",
)
edit(
    "DoubleConv",
    "one_convolution_only",
    {
        "            nn.Conv2d(out_channels, out_channels, 3, padding=1),\n            nn.ReLU(),\n": "",
    },
    hint="There is only one convolution: an output pixel sees 3 x 3 pixels.",
)
edit(
    "DoubleConv",
    "three_convolutions",
    {
        "nn.Conv2d(out_channels, out_channels, 3, padding=1),": (
            "nn.Conv2d(out_channels, out_channels, 3, padding=1), nn.ReLU(), "
            "nn.Conv2d(out_channels, out_channels, 3, padding=1),"
        )
    },
    hint="There are more than two convolutions: an output pixel sees more than 5 x 5 pixels.",
)
edit(
    "DoubleConv",
    "no_activation_between",
    {
        "nn.Conv2d(in_channels, out_channels, 3, padding=1),\n            nn.ReLU(),": (
            "nn.Conv2d(in_channels, out_channels, 3, padding=1),"
        ),
    },
    hint="There is no activation after the first convolution: two linear maps in a row are only one.",
)
edit(
    "DoubleConv",
    "no_activation_at_the_end",
    {
        "nn.Conv2d(out_channels, out_channels, 3, padding=1),\n            nn.ReLU(),": (
            "nn.Conv2d(out_channels, out_channels, 3, padding=1),"
        ),
    },
    hint="There is no activation after the second convolution.",
)
edit(
    "DoubleConv",
    "no_activation_at_all",
    {
        "nn.Conv2d(in_channels, out_channels, 3, padding=1),\n            nn.ReLU(),": (
            "nn.Conv2d(in_channels, out_channels, 3, padding=1),"
        ),
        "nn.Conv2d(out_channels, out_channels, 3, padding=1),\n            nn.ReLU(),": (
            "nn.Conv2d(out_channels, out_channels, 3, padding=1),"
        ),
    },
    hint="There are no activations: the block is a linear function.",
)
edit(
    "DoubleConv",
    "five_by_five",
    {
        "nn.Conv2d(in_channels, out_channels, 3, padding=1)": "nn.Conv2d(in_channels, out_channels, 5, padding=2)",
        "nn.Conv2d(out_channels, out_channels, 3, padding=1)": "nn.Conv2d(out_channels, out_channels, 5, padding=2)",
    },
    hint="The kernels are larger than 3x3: an output pixel sees more than 5 x 5 pixels.",
)
edit(
    "DoubleConv",
    "same_layer_used_twice",
    {
        "return self.layers(x)": (
            "return self.layers[:2](self.layers[:2](x)) if x.shape[1] == self.layers[2].in_channels else "
            "self.layers[2:](self.layers[:2](x))"
        ),
    },
    hint=(
        "Where input and output have the same number of channels one convolution is used twice: each has its "
        "own weights."
    ),
)
edit(
    "DoubleConv",
    "channels_change_late",
    {
        "nn.Conv2d(in_channels, out_channels, 3, padding=1)": (
            "nn.Conv2d(in_channels, out_channels, 3, padding=1, stride=2)"
        ),
    },
    hint="The block halves height and width: stride 1 is expected, pooling comes elsewhere.",
)
edit(
    "DoubleConv",
    "second_one_is_pointwise",
    {"nn.Conv2d(out_channels, out_channels, 3, padding=1)": "nn.Conv2d(out_channels, out_channels, 1)"},
    hint="The second convolution is not 3x3: an output pixel sees 3 x 3 pixels only.",
)


@variant("DoubleConv")
class DoubleConvWithNorm(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding="same", bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding="same", bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        x = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(x)))


edit(
    "DoubleConv",
    "leaky",
    {
        "3, padding=1),\n            nn.ReLU(),\n            nn": (
            "3, padding=1),\n            nn.LeakyReLU(0.1),\n            nn"
        ),
    },
)


@variant("DoubleConv")
class DoubleConvGelu(nn.Sequential):
    def __init__(self, in_channels, out_channels):
        layers = []
        for channels in (in_channels, out_channels):
            layers += [nn.Conv2d(channels, out_channels, (3, 3), 1, 1, padding_mode="replicate"), nn.GELU()]
        super().__init__(*layers)


@variant("DoubleConv")
class DoubleConvSecondFirst(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.activation = nn.SiLU()

    def forward(self, x):
        return self.activation(self.second(self.activation(self.first(x))))


edit(
    "DoubleConv",
    "normalisation_in_place_of_activation",
    {
        "nn.Conv2d(in_channels, out_channels, 3, padding=1),\n            nn.ReLU(),": (
            "nn.Conv2d(in_channels, out_channels, 3, padding=1),\n            nn.BatchNorm2d(out_channels),"
        ),
        "nn.Conv2d(out_channels, out_channels, 3, padding=1),\n            nn.ReLU(),": (
            "nn.Conv2d(out_channels, out_channels, 3, padding=1),\n            nn.BatchNorm2d(out_channels),"
        ),
    },
    hint="There are no activations: a layer that normalises is linear, and no activation.",
)
edit(
    "DoubleConv",
    "normalised_without_activation_at_the_end",
    {
        "nn.Conv2d(in_channels, out_channels, 3, padding=1),\n": (
            "nn.Conv2d(in_channels, out_channels, 3, padding=1),\n            nn.GroupNorm(1, out_channels),\n"
        ),
        "nn.Conv2d(out_channels, out_channels, 3, padding=1),\n            nn.ReLU(),": (
            "nn.Conv2d(out_channels, out_channels, 3, padding=1),\n            nn.GroupNorm(1, out_channels),"
        ),
    },
    hint="There is no activation after the second convolution: a layer that normalises is none.",
)

edit(
    "DoubleConv",
    "group_norm",
    {
        "nn.Conv2d(in_channels, out_channels, 3, padding=1),\n": (
            "nn.Conv2d(in_channels, out_channels, 3, padding=1),\n            nn.GroupNorm(1, out_channels),\n"
        ),
        "nn.Conv2d(out_channels, out_channels, 3, padding=1),\n": (
            "nn.Conv2d(out_channels, out_channels, 3, padding=1),\n            nn.GroupNorm(1, out_channels),\n"
        ),
    },
)
edit(
    "DoubleConv",
    "instance_norm",
    {
        "nn.Conv2d(in_channels, out_channels, 3, padding=1),\n": (
            "nn.Conv2d(in_channels, out_channels, 3, padding=1),\n            nn.InstanceNorm2d(out_channels),\n"
        ),
        "nn.Conv2d(out_channels, out_channels, 3, padding=1),\n": (
            "nn.Conv2d(out_channels, out_channels, 3, padding=1),\n            nn.InstanceNorm2d(out_channels),\n"
        ),
    },
)
edit(
    "DoubleConv",
    "tanh",
    {
        "nn.Conv2d(in_channels, out_channels, 3, padding=1),\n            nn.ReLU(),": (
            "nn.Conv2d(in_channels, out_channels, 3, padding=1),\n            nn.Tanh(),"
        ),
        "nn.Conv2d(out_channels, out_channels, 3, padding=1),\n            nn.ReLU(),": (
            "nn.Conv2d(out_channels, out_channels, 3, padding=1),\n            nn.Tanh(),"
        ),
    },
)


@variant("DoubleConv")
class DoubleConvTanhWithoutBias(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.a = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.b = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.tanh(self.b(torch.tanh(self.a(x))))


@variant("DoubleConv")
class DoubleConvPRelu(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.a, self.ra = nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.PReLU(out_channels)
        self.b, self.rb = nn.Conv2d(out_channels, out_channels, 3, padding=1), nn.PReLU(out_channels)

    def forward(self, x):
        return self.rb(self.b(self.ra(self.a(x))))


# ---------------------------------------------------------------- UNet

edit(
    "UNet",
    "no_skip_connections",
    {
        "DoubleConv(2 * here, here)": "DoubleConv(here, here)",
        "torch.cat([maps[level], self.up[level](x)], dim=1)": "self.up[level](x)",
    },
    hint="The skip connections are missing: with the lower levels silenced the output does not depend on the input.",
)
edit(
    "UNet",
    "only_the_first_skip_connection",
    {
        "torch.cat([maps[level], self.up[level](x)], dim=1)": (
            "torch.cat([maps[level] if level == 0 else torch.zeros_like(maps[level]), self.up[level](x)], dim=1)"
        ),
    },
    hint="Only the first level has a skip connection; every level needs one.",
)
edit(
    "UNet",
    "first_skip_connection_missing",
    {
        "torch.cat([maps[level], self.up[level](x)], dim=1)": (
            "torch.cat([maps[level] if level else torch.zeros_like(maps[level]), self.up[level](x)], dim=1)"
        ),
    },
    hint="The first level, which knows most about where things are, has no skip connection.",
)
edit(
    "UNet",
    "decoder_map_skipped_to_itself",
    {"torch.cat([maps[level], self.up[level](x)], dim=1)": "torch.cat([self.up[level](x), self.up[level](x)], dim=1)"},
    hint="The upsampled map is joined with itself instead of the map from the way down.",
)
edit(
    "UNet",
    "lower_levels_unused",
    {
        "torch.cat([maps[level], self.up[level](x)], dim=1)": (
            "torch.cat([maps[level], torch.zeros_like(maps[level])], dim=1)"
        ),
    },
    hint="What comes from below is lost: the receptive field is that of the first level.",
)
edit(
    "UNet",
    "no_pooling",
    {
        "F.max_pool2d(x, 2) if level else x": "x",
        "nn.ConvTranspose2d(below, here, 2, stride=2)": "nn.Conv2d(below, here, 1)",
    },
    hint="Nothing is pooled: the receptive field grows far too slowly with depth.",
)
edit(
    "UNet",
    "channels_not_doubled",
    {"base * 2**level": "base"},
    hint="All levels have the same number of channels. It doubles from level to level.",
)
edit(
    "UNet",
    "one_level_too_few",
    {"for level in range(depth + 1)": "for level in range(depth)"},
    hint="There is a level too few: depth poolings need depth + 1 levels.",
)
edit(
    "UNet",
    "one_level_too_many",
    {
        "for level in range(depth + 1)": "for level in range(depth + 2)",
        "self.multiple = 2**depth": "self.multiple = 2 ** (depth + 1)",
    },
    hint="There is a level too many: depth counts the poolings.",
)
edit(
    "UNet",
    "base_ignored",
    {"base * 2**level": "16 * 2**level", "nn.Conv2d(base, num_classes, 1)": "nn.Conv2d(16, num_classes, 1)"},
    hint="The number of channels does not follow the argument base.",
)
edit(
    "UNet",
    "depth_ignored",
    {"for level in range(depth + 1)": "for level in range(4)", "self.multiple = 2**depth": "self.multiple = 8"},
    hint="The number of levels does not follow the argument depth.",
)
edit(
    "UNet",
    "sizes_must_fit",
    {"x = F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple))": ""},
    hint="Images whose sides are no multiples of 2**depth fail: maps of odd size lose a row when pooled.",
)
edit(
    "UNet",
    "output_not_cut_back",
    {"self.head(x)[:, :, :height, :width]": "self.head(x)"},
    hint="For sides that are no multiples of 2**depth the output is larger than the input.",
)
edit(
    "UNet",
    "height_and_width_swapped",
    {
        "(0, -width % self.multiple, 0, -height % self.multiple)": (
            "(0, -height % self.multiple, 0, -width % self.multiple)"
        ),
    },
    hint="Height and width look swapped where the image is padded: F.pad starts with the last axis.",
)
edit(
    "UNet",
    "image_cut_down",
    {
        "x = F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple))": (
            "x = x[:, :, : height // self.multiple * self.multiple, : width // self.multiple * self.multiple]"
        ),
        "return self.head(x)[:, :, :height, :width]": (
            "x = self.head(x)\n        return F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2]))"
        ),
    },
    hint=(
        "The last rows and columns of an image whose size does not fit are cut off: the output there depends "
        "on nothing."
    ),
)
edit(
    "UNet",
    "probabilities_instead_of_logits",
    {"self.head(x)[:, :, :height, :width]": "self.head(x)[:, :, :height, :width].softmax(dim=1)"},
    hint="The output sums to 1 over the classes. Expected are logits; the loss applies the softmax itself.",
)
edit(
    "UNet",
    "activation_on_logits",
    {"self.head(x)[:, :, :height, :width]": "F.relu(self.head(x)[:, :, :height, :width])"},
    hint="There are no negative outputs: no activation belongs behind the last 1x1 convolution.",
)
edit(
    "UNet",
    "only_one_input_channel",
    {"zip([in_channels, *widths]": "zip([1, *widths]"},
    hint="Images with several channels fail: the first convolution has to take in_channels.",
)
edit(
    "UNet",
    "one_output_map",
    {"nn.Conv2d(base, num_classes, 1)": "nn.Conv2d(base, 1, 1)"},
    hint="The number of output maps is not num_classes.",
)
edit(
    "UNet",
    "layers_in_plain_lists",
    {
        "self.encoder = nn.ModuleList(": "self.encoder = list(",
    },
    hint=(
        "The layers of the way down lie in a plain list: PyTorch does not know their parameters and would not "
        "train them."
    ),
)

edit(
    "UNet",
    "padded_left_cut_right",
    {
        "(0, -width % self.multiple, 0, -height % self.multiple)": (
            "(-width % self.multiple, 0, -height % self.multiple, 0)"
        ),
    },
    hint="Where the size does not fit, the output is shifted: cut off rows and columns on the side where you padded.",
)
edit(
    "UNet",
    "padded_on_both_sides_cut_on_one",
    {
        "x = F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple))": (
            "dx, dy = -width % self.multiple, -height % self.multiple\n"
            "        x = F.pad(x, (dx // 2, dx - dx // 2, dy // 2, dy - dy // 2))"
        ),
    },
    hint="Where the size does not fit, the output is shifted: cut off on each side as much as you padded there.",
)
edit(
    "UNet",
    "way_up_in_a_plain_list",
    {
        "self.decoder = nn.ModuleList(DoubleConv(2 * here, here) for here, _ in pairs)": (
            "self.decoder = [DoubleConv(2 * here, here) for here, _ in pairs]"
        ),
    },
    hint="The layers of the way up lie in a plain list: PyTorch does not know their parameters and trains none.",
)

edit(
    "UNet",
    "padded_on_both_sides",
    {
        "x = F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple))": (
            "dx, dy = -width % self.multiple, -height % self.multiple\n"
            "        x = F.pad(x, (dx // 2, dx - dx // 2, dy // 2, dy - dy // 2))"
        ),
        "self.head(x)[:, :, :height, :width]": (
            "self.head(x)[:, :, dy // 2 : dy // 2 + height, dx // 2 : dx // 2 + width]"
        ),
    },
)
edit(
    "UNet",
    "added_with_one_convolution_a_level",
    {
        "DoubleConv(2 * here, here)": "nn.Sequential(nn.Conv2d(here, here, 3, padding=1), nn.ReLU())",
        "torch.cat([maps[level], self.up[level](x)], dim=1)": "maps[level] + self.up[level](x)",
    },
)


@variant("UNet")
class UNetNormalised(nn.Module):
    def __init__(self, in_channels, num_classes, base=16, depth=3, norm=lambda c: nn.GroupNorm(1, c)):
        def double(i, o):
            layers = [nn.Conv2d(i, o, 3, padding=1), norm(o), nn.ReLU(), nn.Conv2d(o, o, 3, padding=1), norm(o)]
            return nn.Sequential(*layers, nn.ReLU())

        super().__init__()
        w = [base * 2**k for k in range(depth + 1)]
        self.down = nn.ModuleList(double(*pair) for pair in zip([in_channels, *w], w))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 2, 2) for c in w[:-1])
        self.join = nn.ModuleList(double(2 * c, c) for c in w[:-1])
        self.last = nn.Conv2d(base, num_classes, 1)

    def forward(self, x):
        skips = []
        for k, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if k else x)
            skips.append(x)
        for k in reversed(range(len(self.up))):
            x = self.up[k](x)
            dy, dx = (skips[k].shape[i] - x.shape[i] for i in (2, 3))
            x = self.join[k](torch.cat([skips[k], F.pad(x, (dx // 2, dx - dx // 2, dy // 2, dy - dy // 2))], dim=1))
        return self.last(x)


edit(
    "UNet", "padded_by_replication", {"0, -height % self.multiple))": "0, -height % self.multiple), mode='replicate')"}
)


@variant("UNet")
class UNetBilinear(nn.Module):
    def __init__(self, in_channels, num_classes, base=16, depth=3):
        super().__init__()
        self.down = nn.ModuleList([DoubleConv(in_channels, base)])
        self.decode = nn.ModuleList()
        for level in range(depth):
            c = base * 2**level
            self.down.append(nn.Sequential(nn.MaxPool2d(2), DoubleConv(c, 2 * c)))
            self.decode.insert(0, DoubleConv(3 * c, c))
        self.out = nn.Conv2d(base, num_classes, kernel_size=1)

    def forward(self, x):
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        skips.pop()
        for block in self.decode:
            skip = skips.pop()
            x = F.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], 1))
        return self.out(x)


@variant("UNet")
class UNetRecursive(nn.Module):
    class Level(nn.Module):
        def __init__(self, before, here, depth):
            super().__init__()
            self.first = DoubleConv(before, here)
            if depth:
                self.below = type(self)(here, 2 * here, depth - 1)
                self.up = nn.ConvTranspose2d(2 * here, here, 2, 2)
                self.second = DoubleConv(2 * here, here)

        def forward(self, x):
            x = self.first(x)
            if not hasattr(self, "below"):
                return x
            up = self.up(self.below(F.max_pool2d(x, 2, ceil_mode=True)))
            return self.second(torch.cat([up[:, :, : x.shape[2], : x.shape[3]], x], dim=1))

    def __init__(self, in_channels, num_classes, base=16, depth=3):
        super().__init__()
        self.top = self.Level(in_channels, base, depth)
        self.last = nn.Conv2d(base, num_classes, 1)

    def forward(self, x):
        return self.last(self.top(x))


@variant("UNet")
class UNetAddedSkips(nn.Module):
    def __init__(self, in_channels, num_classes, base=16, depth=3):
        super().__init__()
        self.depth = depth
        for k in range(depth + 1):
            setattr(self, f"down{k}", DoubleConv(base * 2 ** (k - 1) if k else in_channels, base * 2**k))
        for k in range(depth):
            setattr(self, f"up{k}", nn.Conv2d(base * 2 ** (k + 1), base * 2**k, 3, padding=1))
            setattr(self, f"decode{k}", DoubleConv(base * 2**k, base * 2**k))
        self.classify = nn.Conv2d(base, num_classes, 1)

    def forward(self, x):
        maps = []
        for k in range(self.depth + 1):
            x = getattr(self, f"down{k}")(x)
            maps.append(x)
            if k < self.depth:
                x = F.max_pool2d(x, 2)
        for k in range(self.depth - 1, -1, -1):
            x = F.interpolate(getattr(self, f"up{k}")(x), maps[k].shape[2:]) + maps[k]
            x = getattr(self, f"decode{k}")(x)
        return self.classify(x)


# ---------------------------------------------------------------- valid_output_size

edit(
    "valid_output_size",
    "padded_network",
    {
        "        size -= 4\n        if size < 1 or": "        if size < 1 or",
        "    size -= 4\n    for": "    for",
        "2 * size - 4": "2 * size",
    },
    hint="The sizes do not shrink: without padding each 3x3 convolution costs 2 pixels.",
)
edit(
    "valid_output_size",
    "one_convolution_a_level",
    {
        "        size -= 4\n        if size < 1 or": "        size -= 2\n        if size < 1 or",
        "    size -= 4\n    for": "    size -= 2\n    for",
        "2 * size - 4": "2 * size - 2",
    },
    hint="A level seems to lose 2 pixels. It has two convolutions.",
)
edit(
    "valid_output_size",
    "bottom_forgotten",
    {"    size -= 4\n    for": "    for"},
    hint="The two convolutions at the bottom, between the last pooling and the first upsampling, are missing.",
)
edit(
    "valid_output_size",
    "way_up_without_convolutions",
    {"2 * size - 4": "2 * size"},
    hint="On the way up nothing is lost: each level has two convolutions there, too.",
)
edit(
    "valid_output_size",
    "odd_sizes_rounded_down",
    {"if size < 1 or size % 2:": "if size < 1:"},
    hint="Odd sizes are pooled and silently rounded. Expected is a ValueError.",
)
edit(
    "valid_output_size",
    "input_must_be_even",
    {
        "        size -= 4\n        if size < 1 or size % 2:": (
            "        odd = size % 2\n        size -= 4\n        if size < 1 or (odd and _ == 0):"
        ),
    },
    hint="Only the size of the input is tested for being even. Each size before a pooling has to be.",
)
edit(
    "valid_output_size",
    "small_inputs_go_negative",
    {
        "if size < 1 or size % 2:": "if size % 2:",
        '        if size < 1:\n            raise ValueError("the input is too small")\n        size = 2': (
            "        size = 2"
        ),
        '    if size < 1:\n        raise ValueError("the input is too small")\n    return size': ("    return size"),
    },
    hint="For small inputs the size becomes zero or negative. Expected is a ValueError.",
)
edit(
    "valid_output_size",
    "last_size_not_tested",
    {'    if size < 1:\n        raise ValueError("the input is too small")\n    return size': "    return size"},
    hint="Somewhere on the way a size drops below 1 unnoticed; is the last one tested, too?",
)
edit(
    "valid_output_size",
    "depth_always_four",
    {"    for _ in range(depth):\n        size -= 4": "    depth = 4\n    for _ in range(depth):\n        size -= 4"},
    hint="The argument depth is not obeyed.",
)
edit(
    "valid_output_size",
    "assertion_instead_of_error",
    {'            raise ValueError(f"{size} pixels can not be pooled")': "            raise AssertionError"},
    hint="An impossible size raises another exception than ValueError.",
)
edit(
    "valid_output_size",
    "size_as_float",
    {"size //= 2": "size /= 2"},
    hint="The size is right but a float. Sizes are whole numbers: divide with //.",
)


@variant("valid_output_size")
def valid_size_recursive(size, depth=4):
    size = size - 4
    if size < 1:
        raise ValueError
    if depth == 0:
        return size
    if size % 2 != 0:
        raise ValueError("odd")
    size = 2 * valid_size_recursive(size // 2, depth - 1) - 4
    if size < 1:
        raise ValueError
    return size


@variant("valid_output_size")
def valid_size_with_layers(size, depth=4):
    steps = (["conv", "conv", "pool"] * depth) + ["conv", "conv"] + ["up", "conv", "conv"] * depth
    for step in steps:
        if step == "conv":
            size -= 2
        elif step == "up":
            size *= 2
        elif size % 2:
            raise ValueError("odd size before pooling")
        else:
            size //= 2
        if size < 1:
            raise ValueError("too small")
    return size


@variant("valid_output_size")
def valid_size_with_fractions(size, depth=4):
    from fractions import Fraction

    sizes = [Fraction(size)]
    for _ in range(depth):
        sizes.append((sizes[-1] - 4) / 2)
    sizes.append(sizes[-1] - 4)
    for _ in range(depth):
        sizes.append(2 * sizes[-1] - 4)
    if any(s.denominator != 1 or s < 1 for s in sizes):
        raise ValueError(f"{size} does not go through {depth} levels")
    return int(sizes[-1])


# ---------------------------------------------------------------- soft_dice_loss

edit(
    "soft_dice_loss",
    "dice_instead_of_loss",
    {"return 1 - (": "return ("},
    hint="The value grows with the overlap. A loss has to fall: 1 minus it.",
)
edit(
    "soft_dice_loss",
    "logits_taken_for_probabilities",
    {"p = logits.softmax(dim=1)": "p = logits"},
    hint="The softmax is missing: the network gives logits.",
)
edit(
    "soft_dice_loss",
    "softmax_over_images",
    {"softmax(dim=1)": "softmax(dim=0)"},
    hint="The softmax runs over another axis than the classes.",
)
edit(
    "soft_dice_loss",
    "sigmoid_for_each_class",
    {"logits.softmax(dim=1)": "logits.sigmoid()"},
    hint="The probabilities do not sum to 1 over the classes: use the softmax.",
)
edit(
    "soft_dice_loss",
    "summed_over_the_batch",
    {
        "(p * t).sum(dim=(2, 3))": "(p * t).sum(dim=(0, 2, 3))",
        "p.sum(dim=(2, 3)) + t.sum(dim=(2, 3))": "p.sum(dim=(0, 2, 3)) + t.sum(dim=(0, 2, 3))",
    },
    hint="The pixels of all images are summed. Each image has its own Dice; average afterwards.",
)
edit(
    "soft_dice_loss",
    "background_not_counted",
    {"/ (total + 1e-6)).mean()": "/ (total + 1e-6))[:, 1:].mean()"},
    hint="Class 0 is left out. It is a class like the others.",
)
edit(
    "soft_dice_loss",
    "overlap_counted_once",
    {"2 * both + 1e-6": "both + 1e-6"},
    hint="A perfect prediction does not reach 0: the intersection counts twice.",
)
edit(
    "soft_dice_loss",
    "squares_below",
    {"p.sum(dim=(2, 3)) + t.sum(dim=(2, 3))": "(p * p).sum(dim=(2, 3)) + t.sum(dim=(2, 3))"},
    hint="The denominator looks squared, as in another variant of the loss. Here it is the plain sum.",
)
edit(
    "soft_dice_loss",
    "soft_iou",
    {"2 * both + 1e-6": "both + 1e-6", "total + 1e-6": "total - both + 1e-6"},
    hint="The value looks like a soft IoU, not Dice.",
)
edit(
    "soft_dice_loss",
    "large_epsilon",
    {"(2 * both + 1e-6) / (total + 1e-6)": "(2 * both + 1) / (total + 1)"},
    hint="The epsilon is too large: for small objects it changes the value.",
)
edit(
    "soft_dice_loss",
    "epsilon_only_below",
    {"2 * both + 1e-6": "2 * both"},
    hint="A class that is absent and not predicted counts as 0. With epsilon above and below it counts as 1.",
)
edit(
    "soft_dice_loss",
    "classes_summed_first",
    {
        "(p * t).sum(dim=(2, 3))": "(p * t).sum(dim=(1, 2, 3))",
        "p.sum(dim=(2, 3)) + t.sum(dim=(2, 3))": "p.sum(dim=(1, 2, 3)) + t.sum(dim=(1, 2, 3))",
    },
    hint="The classes are summed before dividing: then a rare class counts little. Average the ratios.",
)
edit(
    "soft_dice_loss",
    "hard_decisions",
    {
        "p = logits.softmax(dim=1)": (
            "p = F.one_hot(logits.argmax(dim=1), logits.shape[1]).movedim(-1, 1).to(logits.dtype) + 0 * logits"
        ),
    },
    hint="The probabilities are rounded to 0 and 1 (argmax): there is no useful gradient.",
)
edit(
    "soft_dice_loss",
    "channels_mixed_by_reshape",
    {".movedim(-1, 1)": ".reshape(logits.shape)"},
    hint="The one-hot truth is reshaped where its axes should be moved: pixels and classes get mixed up.",
)
edit(
    "soft_dice_loss",
    "one_loss_for_each_image",
    {"1 - ((2 * both + 1e-6) / (total + 1e-6)).mean()": "1 - ((2 * both + 1e-6) / (total + 1e-6)).mean(dim=1)"},
    hint="There is one value for each image. Expected is their mean, a scalar.",
)
edit(
    "soft_dice_loss",
    "unstable_softmax",
    {"logits.softmax(dim=1)": "(logits.exp() / logits.exp().sum(dim=1, keepdim=True))"},
    hint="Large logits give nan: exp overflows. torch's softmax subtracts the maximum first.",
)


@variant("soft_dice_loss")
def loss_class_by_class(logits, target):
    p = torch.softmax(logits, 1)
    values = []
    for n in range(p.shape[0]):
        for c in range(p.shape[1]):
            t = (target[n] == c).to(p.dtype)
            values.append((2 * (p[n, c] * t).sum() + 1e-7) / (p[n, c].sum() + t.sum() + 1e-7))
    return 1 - torch.stack(values).mean()


@variant("soft_dice_loss")
def loss_by_scatter(logits, target):
    p = F.log_softmax(logits, dim=1).exp().flatten(2)
    t = torch.zeros_like(p).scatter_(1, target.flatten(1)[:, None], 1)
    d = (2 * torch.einsum("ncx,ncx->nc", p, t) + 1e-6) / (p.sum(2) + t.sum(2) + 1e-6)
    return (1 - d).mean()


@variant("soft_dice_loss")
def loss_by_eye(logits, target):
    p = F.softmax(logits, dim=1)
    t = torch.eye(logits.shape[1], dtype=logits.dtype)[target].permute(0, 3, 1, 2)
    d = (2 * (p * t).sum((-1, -2)) + 1e-8) / ((p + t).sum((-1, -2)) + 1e-8)
    return 1 - d.mean(dim=1).mean()


# ---------------------------------------------------------------- border_weights

edit(
    "border_weights",
    "squares_added",
    {"[:2].sum(axis=0))": "[:2].__pow__(2).sum(axis=0) ** 0.5)"},
    hint="The distances are squared before they are added. It is (d1 + d2) squared.",
)
edit(
    "border_weights",
    "nearest_twice",
    {"[:2].sum(axis=0)": "[:1].sum(axis=0) * 2"},
    hint="The distance to the nearest object counts twice; d2 belongs to the second nearest.",
)
edit(
    "border_weights",
    "nearest_only",
    {"[:2].sum(axis=0)": "[:1].sum(axis=0)"},
    hint="Only the nearest object counts: then every border weighs, also of a lonely object's.",
)
edit(
    "border_weights",
    "sum_over_all_objects",
    {"[:2].sum(axis=0)": ".sum(axis=0)"},
    hint="With three objects or more the weights are too small: only the nearest two count.",
)
edit(
    "border_weights",
    "sigma_not_squared",
    {"-(nearest**2) / (2 * sigma**2)": "-(nearest**2) / (2 * sigma)"},
    hint="sigma has to be squared: it is a length, like d1 + d2.",
)
edit(
    "border_weights",
    "two_forgotten",
    {"-(nearest**2) / (2 * sigma**2)": "-(nearest**2) / sigma**2"},
    hint="The exponent is twice too large: the factor 2 below is missing.",
)
edit(
    "border_weights",
    "one_not_added",
    {"torch.where(instances == 0, 1 + extra, 1.0)": "torch.where(instances == 0, extra, 1.0)"},
    hint="Far from all objects the weight goes to 0: the 1 is missing.",
)
edit(
    "border_weights",
    "objects_weighted_too",
    {"torch.where(instances == 0, 1 + extra, 1.0)": "(1 + extra)"},
    hint="Pixels of objects get more than 1. Only background is weighted.",
)
edit(
    "border_weights",
    "w0_ignored",
    {"w0 * torch.exp": "10 * torch.exp"},
    hint="The argument w0 is not obeyed.",
)
edit(
    "border_weights",
    "sigma_ignored",
    {"-(nearest**2) / (2 * sigma**2)": "-(nearest**2) / (2 * 5**2)"},
    hint="The argument sigma is not obeyed.",
)
edit(
    "border_weights",
    "pieces_counted_as_objects",
    {
        "numbers = instances[instances != 0].unique()": (
            "from scipy.ndimage import label\n    instances = torch.from_numpy(label(instances.numpy() != "
            "0)[0])\n    numbers = instances[instances != 0].unique()"
        ),
    },
    hint="Connected patches are taken for objects. The numbers decide: an object may have pieces, and two may touch.",
)
edit(
    "border_weights",
    "numbers_without_gaps",
    {
        "numbers = instances[instances != 0].unique()": (
            "numbers = torch.arange(1, len(instances[instances != 0].unique()) + 1)"
        ),
    },
    hint="The numbers are taken to be 1, 2, 3 ...: they may have gaps.",
)
edit(
    "border_weights",
    "chessboard_distance",
    {
        "from scipy.ndimage import distance_transform_edt": "from scipy.ndimage import distance_transform_cdt",
        "distance_transform_edt((instances != number).numpy())": (
            "distance_transform_cdt((instances != number).numpy()).astype(float)"
        ),
    },
    hint="The distances are not Euclidean: along a diagonal a step is sqrt(2).",
)
edit(
    "border_weights",
    "one_object_fails",
    {"    if len(numbers) < 2:\n        return torch.ones(instances.shape)\n": ""},
    hint="With one object or none the function fails or weights its border: there all weights are 1.",
)
edit(
    "border_weights",
    "background_is_an_object",
    {"instances[instances != 0].unique()": "instances.unique()"},
    hint="Background counts as an object: at every background pixel d1 is 0.",
)


@variant("border_weights")
def weights_pixel_by_pixel(instances, w0=10.0, sigma=5.0):
    weights = torch.ones(instances.shape, dtype=torch.float64)
    places = {int(k): (instances == k).nonzero().double() for k in instances.unique() if k != 0}
    if len(places) > 1:
        for y, x in (instances == 0).nonzero().tolist():
            d = sorted(float((p - torch.tensor([y, x])).norm(dim=1).min()) for p in places.values())
            weights[y, x] += w0 * np.exp(-((d[0] + d[1]) ** 2) / (2 * sigma**2))
    return weights


@variant("border_weights")
def weights_by_topk(instances, w0=10.0, sigma=5.0):
    from scipy import ndimage

    ids = [i for i in np.unique(instances.numpy()) if i != 0]
    if len(ids) < 2:
        return torch.ones_like(instances, dtype=torch.float32)
    d = torch.stack([torch.tensor(ndimage.distance_transform_edt(instances.numpy() != i)) for i in ids])
    two = d.topk(2, dim=0, largest=False).values.sum(0)
    return 1 + w0 * torch.exp(-0.5 * (two / sigma) ** 2) * (instances == 0)


@variant("border_weights")
def weights_by_cdist(instances, w0=10.0, sigma=5.0):
    h, w = instances.shape
    grid = torch.cartesian_prod(torch.arange(h), torch.arange(w)).double()
    flat = instances.flatten()
    near = [torch.cdist(grid, grid[flat == k]).min(dim=1).values for k in flat.unique() if k]
    if len(near) < 2:
        return torch.ones(h, w)
    d1, d2 = torch.stack(near).sort(dim=0).values[:2]
    result = 1 + w0 * torch.exp(-((d1 + d2) ** 2) / (2 * sigma**2))
    result[flat != 0] = 1
    return result.reshape(h, w).float()


# ---------------------------------------------------------------- predict_tiled

edit(
    "predict_tiled",
    "nothing_thrown_away",
    {"(overlap // 2 if start else 0 for start in (top, left))": "(0, 0)"},
    hint="Each tile is used up to its border: seams show where the next tile overwrites. Throw half the overlap away.",
)
edit(
    "predict_tiled",
    "whole_overlap_thrown_away",
    {"(overlap // 2 if start else 0 for start in (top, left))": "(overlap if start else 0 for start in (top, left))"},
    hint="The whole overlap of the later tile is thrown away: the earlier one is then used up to its border.",
)
edit(
    "predict_tiled",
    "border_of_picture_thrown_away",
    {"(overlap // 2 if start else 0 for start in (top, left))": "(overlap // 2, overlap // 2)"},
    hint="At the border of the picture nothing covers what is thrown away: zeros stay there.",
)
edit(
    "predict_tiled",
    "tiles_that_just_meet",
    {"range(0, last, tile - overlap)": "range(0, last, tile)"},
    hint="The tiles do not overlap: they should start every tile - overlap pixels.",
)
edit(
    "predict_tiled",
    "end_forgotten",
    {"return [*range(0, last, tile - overlap), last]": "return [*range(0, last + 1, tile - overlap)]"},
    hint="The last rows and columns are not covered when the tiles do not come out even.",
)
edit(
    "predict_tiled",
    "whole_picture_at_once",
    {
        "return [*range(0, last, tile - overlap), last]": "return [0]",
        "image[None, :, top : top + tile, left : left + tile]": "image[None]",
        "result[:, top + skip_y : top + tile, left + skip_x : left + tile] = logits[:, skip_y:, skip_x:]": (
            "result = logits"
        ),
    },
    hint="The model gets more than a tile at once: what if the picture does not fit into memory?",
)
edit(
    "predict_tiled",
    "tiles_enlarged",
    {
        "image[None, :, top : top + tile, left : left + tile]": (
            "image[None, :, max(top - overlap // 2, 0) : top + tile + overlap // 2, max(left - overlap // 2, "
            "0) : left + tile + overlap // 2]"
        ),
        "(overlap // 2 if start else 0 for start in (top, left))": (
            "(min(start, overlap // 2) for start in (top, left))"
        ),
        "top + skip_y : top + tile, left + skip_x : left + tile] = logits[:, skip_y:, skip_x:]": (
            "top : top + tile, left : left + tile] = logits[:, skip_y : skip_y + tile, skip_x : skip_x + tile]"
        ),
    },
    hint="The model gets more than tile x tile pixels: the margin belongs to the tile.",
)
edit(
    "predict_tiled",
    "batch_axis_missing",
    {"image[None, :, top": "image[:, top", "left : left + tile])[0]": "left : left + tile])"},
    hint="The model gets (C, h, w). It wants a batch: (1, C, h, w).",
)
edit(
    "predict_tiled",
    "rows_for_columns",
    {"for left in starts(width)": "for left in starts(height)"},
    hint="Height and width look mixed up: pictures that are not square come out wrong.",
)
edit(
    "predict_tiled",
    "tiles_averaged",
    {
        "result[:, top + skip_y : top + tile, left + skip_x : left + tile] = logits[:, skip_y:, skip_x:]": (
            "result[:, top : top + tile, left : left + tile] += logits\n                count[top : top + "
            "tile, left : left + tile] += 1"
        ),
        "    result = None\n": "    result = None\n    count = torch.zeros(height, width)\n",
        "return result": "return result / count",
    },
    hint=(
        "Whole tiles are averaged where they overlap: the bad pixels at their borders spoil the mean. Throw them away."
    ),
)
edit(
    "predict_tiled",
    "tiles_summed",
    {
        "result[:, top + skip_y : top + tile, left + skip_x : left + tile] = logits[:, skip_y:, skip_x:]": (
            "result[:, top + skip_y : top + tile, left + skip_x : left + tile] += logits[:, skip_y:, skip_x:]"
        ),
    },
    hint="Where tiles overlap the values are too large: they are added up.",
)
edit(
    "predict_tiled",
    "class_map_instead_of_logits",
    {"return result": "return result.argmax(dim=0)"},
    hint="Classes come back. Expected are logits, (num_classes, H, W).",
)
edit(
    "predict_tiled",
    "small_pictures_padded",
    {"last = max(length - tile, 0)": "last = length - tile"},
    hint="A picture that is smaller than a tile goes wrong.",
)
edit(
    "predict_tiled",
    "probabilities_from_tiles",
    {"left : left + tile])[0]": "left : left + tile]).softmax(dim=1)[0]"},
    hint="The values sum to 1 over the classes. Expected are the model's own logits.",
)


edit(
    "predict_tiled",
    "last_tile_shorter",
    {
        "last = max(length - tile, 0)\n        return [*range(0, last, tile - overlap), last]": (
            "return [*range(0, length, tile - overlap)]"
        )
    },
)


@variant("predict_tiled")
def tiled_middle_parts(model, image, tile, overlap):
    C, H, W = image.shape
    m = overlap // 2
    ys = sorted({min(y, max(H - tile, 0)) for y in range(0, H, tile - overlap)})
    xs = sorted({min(x, max(W - tile, 0)) for x in range(0, W, tile - overlap)})
    out = None
    for y in ys:
        for x in xs:
            piece = image[:, y : y + tile, x : x + tile]
            logits = model(piece.unsqueeze(0)).squeeze(0).detach()
            h, w = piece.shape[1:]
            y0, y1 = (0 if y == 0 else m), (h if y + h == H else h - m)
            x0, x1 = (0 if x == 0 else m), (w if x + w == W else w - m)
            if out is None:
                out = torch.zeros(logits.shape[0], H, W)
            out[:, y + y0 : y + y1, x + x0 : x + x1] = logits[:, y0:y1, x0:x1]
    return out


@variant("predict_tiled")
def tiled_with_mirrored_border(model, image, tile, overlap):
    m = overlap // 2
    C, H, W = image.shape
    inner = tile - 2 * m
    rows, cols = -(-H // inner), -(-W // inner)
    padded = np.pad(image.numpy(), ((0, 0), (m, m + rows * inner - H), (m, m + cols * inner - W)), mode="symmetric")
    padded = torch.from_numpy(padded)
    with torch.inference_mode():
        strips = []
        for r in range(rows):
            strip = []
            for c in range(cols):
                piece = padded[None, :, r * inner : r * inner + tile, c * inner : c * inner + tile]
                strip.append(model(piece)[0, :, m : m + inner, m : m + inner])
            strips.append(torch.cat(strip, dim=2))
        return torch.cat(strips, dim=1)[:, :H, :W].clone()


@variant("predict_tiled")
def tiled_blended(model, image, tile, overlap):
    m = overlap // 2
    C, H, W = image.shape

    def places(n):
        return list(range(0, max(n - tile, 0), tile - overlap)) + [max(n - tile, 0)]

    total, weight = 0, torch.zeros(H, W)
    for y in places(H):
        for x in places(W):
            logits = model(image[None, :, y : y + tile, x : x + tile])[0].detach()
            w = torch.ones(logits.shape[1:])
            if y > 0:
                w[:m] = 0
            if y + logits.shape[1] < H:
                w[logits.shape[1] - m :] = 0
            if x > 0:
                w[:, :m] = 0
            if x + logits.shape[2] < W:
                w[:, logits.shape[2] - m :] = 0
            pad = (x, W - x - logits.shape[2], y, H - y - logits.shape[1])
            total = total + F.pad(logits * w, pad)
            weight += F.pad(w, pad)
    return total / weight


# ---------------------------------------------------------------- predict_flipped

edit(
    "predict_flipped",
    "not_mirrored_back",
    {"model(images.flip(axes)).flip(axes)": "model(images.flip(axes))"},
    hint="The predictions are averaged without mirroring them back: they do not lie on each other.",
)
edit(
    "predict_flipped",
    "only_left_right",
    {"((), (3,), (2,), (2, 3))": "((), (3,))"},
    hint="Up-down positions are missing.",
)
edit(
    "predict_flipped",
    "only_up_down",
    {"((), (3,), (2,), (2, 3))": "((), (2,))"},
    hint="Left-right positions are missing.",
)
edit(
    "predict_flipped",
    "original_missing",
    {"((), (3,), (2,), (2, 3))": "((3,), (2,), (2, 3))"},
    hint="One of the four positions is missing: the images as they are count as well.",
)
edit(
    "predict_flipped",
    "both_missing",
    {"((), (3,), (2,), (2, 3))": "((), (3,), (2,))"},
    hint="One of the four positions is missing: mirrored both ways.",
)
edit(
    "predict_flipped",
    "sum_not_mean",
    {".mean(dim=0)": ".sum(dim=0)"},
    hint="The four predictions are summed, not averaged.",
)
edit(
    "predict_flipped",
    "channels_mirrored",
    {"((), (3,), (2,), (2, 3))": "((), (2,), (1,), (1, 2))"},
    hint="The channels are mirrored: height and width are axes 2 and 3.",
)
edit(
    "predict_flipped",
    "images_mirrored_only_at_the_end",
    {"model(images.flip(axes)).flip(axes)": "model(images).flip(axes)"},
    hint="The images go in unmirrored: only the predictions are mirrored.",
)
edit(
    "predict_flipped",
    "probabilities_averaged",
    {"model(images.flip(axes)).flip(axes)": "model(images.flip(axes)).flip(axes).softmax(dim=1)"},
    hint="Probabilities are averaged. Asked is the mean of the logits.",
)
edit(
    "predict_flipped",
    "maximum_of_positions",
    {".mean(dim=0)": ".amax(dim=0)"},
    hint="The largest of the four predictions is taken. Asked is their mean.",
)


@variant("predict_flipped")
def flipped_in_a_loop(model, images):
    total = 0
    for horizontal in (False, True):
        for vertical in (False, True):
            x = torch.fliplr(images.movedim(3, 1)).movedim(1, 3) if horizontal else images
            x = x.flip(2) if vertical else x
            y = model(x).detach()
            y = y.flip(2) if vertical else y
            y = y.flip(3) if horizontal else y
            total = total + y / 4
    return total


@variant("predict_flipped")
def flipped_twice(model, images):
    def left_right(x):
        return (model(x) + model(x.flip(-1)).flip(-1)) / 2

    with torch.no_grad():
        return (left_right(images) + left_right(images.flip(-2)).flip(-2)) / 2


@variant("predict_flipped")
def flipped_with_numpy(model, images):
    results = []
    for index in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        x = torch.from_numpy(images.numpy()[:, :, :: index[0], :: index[1]].copy())
        results.append(model(x).detach().numpy()[:, :, :: index[0], :: index[1]])
    return torch.from_numpy(np.mean(results, axis=0))
