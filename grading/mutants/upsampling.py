"""Answers to the tasks of 06_upsampling: wrong ones that students write, and right ones that look different."""

from grading.audit import edit, mutant, variant

# ---------------------------------------------------------------- upsample_nearest


@mutant("upsample_nearest", hint="The whole picture is repeated, like tiles, instead of each pixel.")
def tiled(image, scale):
    return np.tile(image, (scale, scale))


edit(
    "upsample_nearest",
    "blocks_shifted_by_rounding",
    {
        "np.arange(height * scale) // scale": (
            "np.minimum(np.round(np.arange(height * scale) / scale).astype(int), height - 1)"
        ),
        "np.arange(width * scale) // scale": (
            "np.minimum(np.round(np.arange(width * scale) / scale).astype(int), width - 1)"
        ),
    },
    hint="The blocks are shifted: the first one is too small. Which old pixel does new pixel r lie in? Think of floor.",
)
edit(
    "upsample_nearest",
    "only_rows_grow",
    {"np.arange(width * scale) // scale": "np.arange(width)"},
    hint="The picture grows in one direction only.",
)
edit(
    "upsample_nearest",
    "height_taken_for_width",
    {"np.arange(width * scale)": "np.arange(height * scale)"},
    hint="Rows and columns look mixed up; it goes well only for square pictures.",
)


@mutant("upsample_nearest", hint="It always doubles: the argument scale plays no part.")
def always_twice(image, scale):
    return image.repeat(2, axis=0).repeat(2, axis=1)


@mutant("upsample_nearest", hint="Most of the new pixels stay 0: each old pixel should fill its whole block.")
def one_pixel_of_each_block(image, scale):
    result = np.zeros((image.shape[0] * scale, image.shape[1] * scale))
    result[::scale, ::scale] = image
    return result


@mutant("upsample_nearest", hint="Fractions get lost: does the result hold integers only?")
def nearest_integers(image, scale):
    result = np.zeros((image.shape[0] * scale, image.shape[1] * scale), dtype=int)
    for r in range(result.shape[0]):
        for c in range(result.shape[1]):
            result[r, c] = image[r // scale, c // scale]
    return result


@mutant("upsample_nearest", hint="It fails for a picture without pixels, whose result is a picture without pixels.")
def nearest_by_stacking(image, scale):
    rows = [row.repeat(scale) for row in image for _ in range(scale)]
    return np.stack(rows)


@mutant("upsample_nearest", hint="Rows and columns of the result look exchanged.")
def nearest_transposed(image, scale):
    return np.repeat(np.repeat(image, scale, axis=0), scale, axis=1).T


@variant("upsample_nearest")
def by_repeat(image, scale):
    return np.repeat(np.repeat(image, scale, axis=0), scale, axis=1)


@variant("upsample_nearest")
def by_kronecker(image, scale):
    return np.kron(image, np.ones((scale, scale), dtype=np.float32))


@variant("upsample_nearest")
def by_broadcasting(image, scale):
    h, w = image.shape
    return np.broadcast_to(image[:, None, :, None], (h, scale, w, scale)).reshape(h * scale, w * scale)


@variant("upsample_nearest")
def nearest_with_loops(image, scale):
    result = np.empty((image.shape[0] * scale, image.shape[1] * scale), dtype=image.dtype)
    for r in range(result.shape[0]):
        for c in range(result.shape[1]):
            result[r, c] = image[r // scale, c // scale]
    return result


# ---------------------------------------------------------------- bilinear_sample

edit(
    "bilinear_sample",
    "lower_and_right_neighbour_swapped",
    {"t00, t10 = texture": "t00, t01 = texture", "t01, t11 = texture": "t10, t11 = texture"},
    hint="T10 and T01 look swapped: the first index counts columns, so T10 is the right neighbour.",
)
edit(
    "bilinear_sample",
    "s_taken_for_rows",
    {
        "s, t = np.clip(s, 0, width - 1), np.clip(t, 0, height - 1)": (
            "t, s = np.clip(s, 0, height - 1), np.clip(t, 0, width - 1)"
        ),
    },
    hint="s and t look exchanged: s is the column and t the row, and a NumPy array is indexed [row, column].",
)
edit(
    "bilinear_sample",
    "half_a_pixel_off",
    {
        "s, t = np.clip(s, 0, width - 1), np.clip(t, 0, height - 1)": (
            "s, t = np.clip(np.asarray(s) - 0.5, 0, width - 1), np.clip(np.asarray(t) - 0.5, 0, height - 1)"
        ),
    },
    hint="The values look half a pixel off. In this function whole numbers are the texels' centres.",
)
edit(
    "bilinear_sample",
    "weights_the_wrong_way_round",
    {"ds, dt = s - left, t - top": "ds, dt = 1 - (s - left), 1 - (t - top)"},
    hint="The weights look turned round: the nearer texel should have the larger weight, s' belongs to the right one.",
)


@mutant("bilinear_sample", hint="The result jumps from texel to texel: that is the nearest one, not a weighted mean.")
def nearest_texel(texture, s, t):
    s = np.clip(np.round(s), 0, texture.shape[1] - 1).astype(int)
    t = np.clip(np.round(t), 0, texture.shape[0] - 1).astype(int)
    return texture[t, s]


@mutant(
    "bilinear_sample", hint="Outside of the texture the values run on. Clamp the coordinates, not the indices only."
)
def runs_on_outside(texture, s, t):
    h, w = texture.shape
    left, top = np.floor(s).astype(int), np.floor(t).astype(int)
    ds, dt = s - np.clip(left, 0, w - 1), t - np.clip(top, 0, h - 1)
    x0, x1 = np.clip(left, 0, w - 1), np.clip(left + 1, 0, w - 1)
    y0, y1 = np.clip(top, 0, h - 1), np.clip(top + 1, 0, h - 1)
    x1, y1 = np.where(x1 == x0, np.maximum(x0 - 1, 0), x1), np.where(y1 == y0, np.maximum(y0 - 1, 0), y1)
    upper = texture[y0, x0] + ds * (texture[y0, x1] - texture[y0, x0])
    lower = texture[y1, x0] + ds * (texture[y1, x1] - texture[y1, x0])
    return upper + dt * (lower - upper)


@mutant("bilinear_sample", hint="Outside of the texture the result is 0. The border texel should be continued there.")
def black_outside(texture, s, t):
    h, w = texture.shape
    inside = (np.asarray(s) >= 0) & (np.asarray(s) <= w - 1) & (np.asarray(t) >= 0) & (np.asarray(t) <= h - 1)
    s, t = np.clip(s, 0, w - 1), np.clip(t, 0, h - 1)
    x0, y0 = np.floor(s).astype(int), np.floor(t).astype(int)
    x1, y1 = np.minimum(x0 + 1, w - 1), np.minimum(y0 + 1, h - 1)
    ds, dt = s - x0, t - y0
    value = (1 - dt) * ((1 - ds) * texture[y0, x0] + ds * texture[y0, x1])
    return inside * (value + dt * ((1 - ds) * texture[y1, x0] + ds * texture[y1, x1]))


edit(
    "bilinear_sample",
    "bounds_exchanged",
    {
        "np.clip(s, 0, width - 1), np.clip(t, 0, height - 1)": (
            "np.clip(s, 0, min(height, width) - 1), np.clip(t, 0, min(height, width) - 1)"
        ),
    },
    hint="Part of the texture is never reached. Are s and t clamped with the right sides, W for s and H for t?",
)


@mutant(
    "bilinear_sample",
    hint="Between texels the surface is a plane. The texel T11, at the far corner, plays too small a part.",
)
def without_the_cross_term(texture, s, t):
    h, w = texture.shape
    s, t = np.clip(s, 0, w - 1), np.clip(t, 0, h - 1)
    x0, y0 = np.floor(s).astype(int), np.floor(t).astype(int)
    x1, y1 = np.minimum(x0 + 1, w - 1), np.minimum(y0 + 1, h - 1)
    t00 = texture[y0, x0]
    return t00 + (s - x0) * (texture[y0, x1] - t00) + (t - y0) * (texture[y1, x0] - t00)


@mutant("bilinear_sample", hint="It works for single numbers only; s and t may also be arrays of any shape.")
def single_points_only(texture, s, t):
    h, w = texture.shape
    s, t = min(max(s, 0), w - 1), min(max(t, 0), h - 1)
    x0, y0 = int(s), int(t)
    x1, y1 = min(x0 + 1, w - 1), min(y0 + 1, h - 1)
    upper = texture[y0, x0] * (1 - s + x0) + texture[y0, x1] * (s - x0)
    lower = texture[y1, x0] * (1 - s + x0) + texture[y1, x1] * (s - x0)
    return upper * (1 - t + y0) + lower * (t - y0)


@mutant(
    "bilinear_sample", hint="At the border the other side of the texture shows up: it should be clamped, not repeated."
)
def repeats_the_texture(texture, s, t):
    h, w = texture.shape
    x0, y0 = np.floor(s).astype(int), np.floor(t).astype(int)
    ds, dt = s - x0, t - y0
    upper = (1 - ds) * texture[y0 % h, x0 % w] + ds * texture[y0 % h, (x0 + 1) % w]
    lower = (1 - ds) * texture[(y0 + 1) % h, x0 % w] + ds * texture[(y0 + 1) % h, (x0 + 1) % w]
    return (1 - dt) * upper + dt * lower


edit(
    "bilinear_sample",
    "shape_of_the_points_lost",
    {
        "s, t = np.clip(s, 0, width - 1), np.clip(t, 0, height - 1)": (
            "s, t = np.clip(s, 0, width - 1).ravel(), np.clip(t, 0, height - 1).ravel()"
        ),
    },
    hint="The shape of s and t gets lost: the result should have it, and be a single number for single numbers.",
)
edit(
    "bilinear_sample",
    "far_neighbour_missing",
    {
        "np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)": "left + 1, top + 1",
    },
    hint="It fails at the last column or row, where there is no further neighbour. Its weight is 0 there: any will do.",
)


@variant("bilinear_sample")
def first_along_s_then_along_t(texture, s, t):
    h, w = texture.shape
    s, t = np.minimum(np.maximum(s, 0), w - 1), np.minimum(np.maximum(t, 0), h - 1)
    x, y = np.clip(np.floor(s), 0, max(w - 2, 0)).astype(int), np.clip(np.floor(t), 0, max(h - 2, 0)).astype(int)
    xx, yy = np.clip(x + 1, 0, w - 1), np.clip(y + 1, 0, h - 1)
    upper = texture[y, x] + (s - x) * (texture[y, xx] - texture[y, x])
    lower = texture[yy, x] + (s - x) * (texture[yy, xx] - texture[yy, x])
    return upper + (t - y) * (lower - upper)


@variant("bilinear_sample")
def point_by_point(texture, s, t):
    h, w = texture.shape
    s, t = np.asarray(s, dtype=float), np.asarray(t, dtype=float)
    result = np.zeros(s.shape)
    for place in np.ndindex(*s.shape):
        x, y = min(max(s[place], 0), w - 1), min(max(t[place], 0), h - 1)
        for row in range(h):
            for column in range(w):
                result[place] += max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row)) * texture[row, column]
    return result


@variant("bilinear_sample")
def padded_and_in_float32(texture, s, t):
    padded = np.pad(texture.astype(np.float32), ((0, 1), (0, 1)), mode="edge")
    s = np.clip(np.float32(s), 0, texture.shape[1] - 1)
    t = np.clip(np.float32(t), 0, texture.shape[0] - 1)
    ds, left = np.modf(s)
    dt, top = np.modf(t)
    x, y = left.astype(int), top.astype(int)
    return (padded[y, x] * (1 - ds) + padded[y, x + 1] * ds) * (1 - dt) + (
        padded[y + 1, x] * (1 - ds) + padded[y + 1, x + 1] * ds
    ) * dt


# ---------------------------------------------------------------- upsample_bilinear

edit(
    "upsample_bilinear",
    "align_corners_has_no_effect",
    {"        if align_corners:\n            return new * (n - 1) / max(m - 1, 1)\n": ""},
    hint="align_corners=True gives what False should give.",
)
edit(
    "upsample_bilinear",
    "corners_always_aligned",
    {"if align_corners:\n": "if True:\n"},
    hint="align_corners=False gives what True should give: half pixels are missing.",
)
edit(
    "upsample_bilinear",
    "without_half_pixels",
    {"(new + 0.5) * n / m - 0.5, 0": "new * n / m, 0"},
    hint="The picture is shifted: are the half pixels of src = (i + 0.5) * n / m - 0.5 there?",
)
edit(
    "upsample_bilinear",
    "half_pixel_not_taken_back",
    {"(new + 0.5) * n / m - 0.5, 0": "(new + 0.5) * n / m, 0"},
    hint="The picture is shifted by half a pixel: the old pixels have half pixels as well as the new ones.",
)
edit(
    "upsample_bilinear",
    "size_read_as_width_and_height",
    {"size[1]), source(": "size[0]), source(", "image.shape[0], size[0]": "image.shape[0], size[1]"},
    hint="size looks read as (width, height); it is (rows, columns), as a shape.",
)
edit(
    "upsample_bilinear",
    "one_pixel_divides_by_zero",
    {"/ max(m - 1, 1)": "/ np.float64(m - 1)"},
    hint="With align_corners=True a result of one row or column comes out as nan: 0 / 0. It takes the first pixel.",
)
edit(
    "upsample_bilinear",
    "one_pixel_takes_the_middle",
    {"return new * (n - 1) / max(m - 1, 1)": "return new * (n - 1) / (m - 1) if m > 1 else np.array([(n - 1) / 2])"},
    hint="With align_corners=True a single row or column should come from the first pixel, not from the middle.",
)
edit(
    "upsample_bilinear",
    "ratio_upside_down",
    {"(new + 0.5) * n / m - 0.5, 0": "(new + 0.5) * m / n - 0.5, 0"},
    hint="The ratio looks upside down: src must stay within the old picture. With which sizes does it become 1?",
)
edit(
    "upsample_bilinear",
    "columns_with_the_ratio_of_rows",
    {"source(image.shape[1], size[1])": "source(image.shape[0], size[0])[: size[1]]"},
    hint="Columns look treated with the sizes of the rows; it goes well only for square pictures.",
)
edit(
    "upsample_bilinear",
    "sampled_without_mixing",
    {"bilinear_sample(image, s, t)": "image[np.round(t).astype(int), np.round(s).astype(int)]"},
    hint="No value in between appears: that is the nearest pixel, not a weighted mean.",
)
edit(
    "upsample_bilinear",
    "corners_aligned_by_default",
    {"align_corners: bool = False": "align_corners: bool = True"},
    hint="Without the argument align_corners it should be False.",
)


@mutant("upsample_bilinear", hint="Only whole factors work; the size may be any, also smaller than the picture.")
def whole_factors_only(image, size, align_corners=False):
    factor = size[0] // image.shape[0]
    n, m = np.array(image.shape), np.array(image.shape) * factor
    rows, columns = (
        np.arange(b) * (a - 1) / max(b - 1, 1)
        if align_corners
        else np.clip((np.arange(b) + 0.5) / factor - 0.5, 0, a - 1)
        for a, b in zip(n, m)
    )
    s, t = np.meshgrid(columns, rows)
    return bilinear_sample(image, s, t)


@mutant(
    "upsample_bilinear",
    hint="When the picture becomes smaller, pixels look averaged. Nothing is smoothed here; pixels are skipped.",
)
def smooths_when_shrinking(image, size, align_corners=False):
    def matrix(n, m):
        i = np.arange(m)
        src = i * (n - 1) / max(m - 1, 1) if align_corners else np.clip((i + 0.5) * n / m - 0.5, 0, n - 1)
        width = max(n / m, 1)
        w = np.maximum(1 - np.abs(src[:, None] - np.arange(n)) / width, 0)
        return w / w.sum(axis=1, keepdims=True)

    return matrix(image.shape[0], size[0]) @ image @ matrix(image.shape[1], size[1]).T


@variant("upsample_bilinear")
def by_two_matrices(image, size, align_corners=False):
    def matrix(n, m):
        i = np.arange(m)
        src = i * (n - 1) / max(m - 1, 1) if align_corners else np.clip((i + 0.5) * n / m - 0.5, 0, n - 1)
        return np.maximum(1 - np.abs(src[:, None] - np.arange(n)), 0)

    return matrix(image.shape[0], size[0]) @ image @ matrix(image.shape[1], size[1]).T


@variant("upsample_bilinear")
def by_interp(image, size, align_corners=False):
    def places(n, m):
        return np.linspace(0, n - 1, m) if align_corners else (np.arange(m) + 0.5) * (n / m) - 0.5

    (h, w), (rows, columns) = image.shape, size
    wide = np.array([np.interp(places(w, columns), np.arange(w), row) for row in image])
    return np.array([np.interp(places(h, rows), np.arange(h), column) for column in wide.T]).T


@variant("upsample_bilinear")
def bilinear_with_loops(image, size, align_corners=False):
    h, w = image.shape
    result = np.zeros(size, dtype=np.float32)
    for r in range(size[0]):
        for c in range(size[1]):
            if align_corners:
                y = r * (h - 1) / (size[0] - 1) if size[0] > 1 else 0
                x = c * (w - 1) / (size[1] - 1) if size[1] > 1 else 0
            else:
                y, x = (r + 0.5) * h / size[0] - 0.5, (c + 0.5) * w / size[1] - 0.5
            y, x = min(max(y, 0), h - 1), min(max(x, 0), w - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
            upper = image[y0, x0] * (1 - x + x0) + image[y0, x1] * (x - x0)
            lower = image[y1, x0] * (1 - x + x0) + image[y1, x1] * (x - x0)
            result[r, c] = upper * (1 - y + y0) + lower * (y - y0)
    return result


# ---------------------------------------------------------------- cubic_weight

edit(
    "cubic_weight",
    "a_of_keys_by_default",
    {"a: float = -0.75": "a: float = -0.5"},
    hint="The default of a is -0.75 here; -0.5 is Keys's own.",
)
edit(
    "cubic_weight",
    "a_plays_no_part",
    {"    x = np.abs(x)\n": "    x, a = np.abs(x), -0.75\n"},
    hint="The argument a plays no part.",
)
edit(
    "cubic_weight",
    "only_to_the_right",
    {"x = np.abs(x)": "x = np.asarray(x)"},
    hint="Negative x look wrong. The kernel is symmetric: it depends on the distance.",
)
edit(
    "cubic_weight",
    "never_ends",
    {"np.where(x < 2, far, 0.0)": "far"},
    hint="Beyond a distance of 2 the weight should be 0; the polynomial alone does not stop.",
)
edit(
    "cubic_weight",
    "outer_piece_with_wrong_sign",
    {"far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a": "far = -a * x**3 + 5 * a * x**2 - 8 * a * x + 4 * a"},
    hint="The outer lobes are positive. For a negative a they are negative: that is what sharpens.",
)
edit(
    "cubic_weight",
    "no_outer_lobes",
    {"np.where(x < 2, far, 0.0)": "0.0"},
    hint="Between 1 and 2 the weight is 0: the second piece is missing.",
)
edit(
    "cubic_weight",
    "quadratic_coefficient_off",
    {"(a + 3) * x**2": "(a + 2) * x**2"},
    hint="The inner piece does not reach 0 at x = 1: check its coefficients.",
)
edit(
    "cubic_weight",
    "constant_of_the_outer_piece_off",
    {"- 4 * a\n": "- 2 * a\n"},
    hint="The outer piece is not 0 at x = 1 and x = 2: check its coefficients.",
)
edit(
    "cubic_weight",
    "pieces_exchanged",
    {"np.where(x <= 1, near, np.where(x < 2, far, 0.0))": "np.where(x <= 1, far, np.where(x < 2, near, 0.0))"},
    hint="The two pieces look exchanged: at 0 the weight should be 1.",
)


@mutant("cubic_weight", hint="It works for a single number only; x may also be an array.")
def single_distance_only(x, a=-0.75):
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    if x < 2:
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return 0.0


@mutant("cubic_weight", hint="The array that was passed in has changed: build a new one.")
def distance_in_place(x, a=-0.75):
    if isinstance(x, np.ndarray) and x.ndim:
        np.abs(x, out=x)
    x = np.abs(x)
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, (a + 2) * x**3 - (a + 3) * x**2 + 1, np.where(x < 2, far, 0.0))


edit(
    "cubic_weight",
    "linear_term_forgotten",
    {"+ 8 * a * x ": ""},
    hint="The outer piece is not 0 at x = 1 and x = 2: has one of its terms been forgotten?",
)


@variant("cubic_weight")
def by_horner(x, a=-0.75):
    x = np.abs(np.asarray(x, dtype=float))
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return near * (x <= 1) + far * ((x > 1) & (x < 2))


@variant("cubic_weight")
def by_masks_in_float32(x, a=-0.75):
    x = np.abs(np.asarray(x, dtype=np.float32))
    result = np.zeros(x.shape, dtype=np.float32)
    inner, outer = x < 1, (x >= 1) & (x < 2)
    result[inner] = (a + 2) * x[inner] ** 3 - (a + 3) * x[inner] ** 2 + 1
    result[outer] = a * (x[outer] - 1) * (x[outer] - 2) ** 2
    return result


@variant("cubic_weight")
def one_distance_after_the_other(x, a=-0.75):
    def weight(d):
        d = abs(d)
        if d < 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0

    return np.vectorize(weight, otypes=[float])(x)


# ---------------------------------------------------------------- upsample_bicubic

edit(
    "upsample_bicubic",
    "with_a_of_keys",
    {"cubic_weight(source[:, None] - taps)": "cubic_weight(source[:, None] - taps, a=-0.5)"},
    hint="a looks like -0.5; it is -0.75 here.",
)
edit(
    "upsample_bicubic",
    "coordinate_clamped",
    {
        "source = (np.arange(m) + 0.5) * n / m - 0.5\n": (
            "source = np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1)\n"
        ),
    },
    hint="Only the border is off: src is not clamped here, only the index of each tap is.",
)
edit(
    "upsample_bicubic",
    "overshoot_clipped",
    {
        "return by_rows @ image @ by_columns.T": (
            "return np.clip(by_rows @ image @ by_columns.T, image.min(), image.max())"
        ),
    },
    hint="No value leaves the range of the picture. Overshoot belongs to bicubic interpolation and is kept here.",
)
edit(
    "upsample_bicubic",
    "black_around_the_picture",
    {"cubic_weight(source[:, None] - taps)": "cubic_weight(source[:, None] - taps) * ((taps >= 0) & (taps < n))"},
    hint="The border is too dark: taps outside of the picture take the border pixel instead of 0.",
)
edit(
    "upsample_bicubic",
    "mirrored_border",
    {
        "pixels = np.clip(taps, 0, n - 1)": (
            "pixels = np.clip(np.where(taps < 0, -taps, np.where(taps >= n, 2 * n - 2 - taps, taps)), 0, n - 1)"
        ),
    },
    hint="Only the border is off: taps outside of the picture take the border pixel; nothing is mirrored.",
)
edit(
    "upsample_bicubic",
    "last_tap_wins_at_the_border",
    {"np.add.at(matrix, (np.arange(m)[:, None], pixels), ": "matrix[np.arange(m)[:, None], pixels] = ("},
    hint="At the border several taps take the same pixel. Their weights add up; an assignment keeps the last.",
)
edit(
    "upsample_bicubic",
    "bicubic_size_exchanged",
    {
        "weights(image.shape[0], size[0])": "weights(image.shape[0], size[1])",
        "weights(image.shape[1], size[1])": "weights(image.shape[1], size[0])",
    },
    hint="size looks read as (width, height); it is (rows, columns), as a shape.",
)
edit(
    "upsample_bicubic",
    "bicubic_without_half_pixels",
    {"source = (np.arange(m) + 0.5) * n / m - 0.5\n": "source = np.arange(m) * n / m\n"},
    hint="The picture is shifted: are the half pixels of src = (i + 0.5) * n / m - 0.5 there?",
)
edit(
    "upsample_bicubic",
    "bicubic_corners_aligned",
    {"source = (np.arange(m) + 0.5) * n / m - 0.5\n": "source = np.arange(m) * (n - 1) / max(m - 1, 1)\n"},
    hint="That is align_corners=True; here pixels are areas.",
)
edit(
    "upsample_bicubic",
    "taps_one_too_far_left",
    {"np.arange(-1, 3)": "np.arange(-2, 2)"},
    hint="One tap is missing on the right: the four taps are floor(src) - 1 to floor(src) + 2.",
)
edit(
    "upsample_bicubic",
    "two_taps_only",
    {"np.arange(-1, 3)": "np.arange(0, 2)"},
    hint="A flat picture does not stay flat: four taps are needed, with the weights of two only the sum is not 1.",
)
edit(
    "upsample_bicubic",
    "columns_stay_bilinear",
    {
        "weights(image.shape[1], size[1])\n": (
            "np.maximum(1 - np.abs(np.clip((np.arange(size[1]) + 0.5) * image.shape[1] / size[1] - 0.5, 0, "
            "image.shape[1] - 1)[:, None] - np.arange(image.shape[1])), 0)\n"
        ),
    },
    hint="One direction looks bilinear: rows and columns are both treated with the cubic.",
)


@mutant(
    "upsample_bicubic", hint="When the picture becomes smaller it is smoothed. Here the kernel stays 4 pixels wide."
)
def stretched_when_shrinking(image, size):
    def matrix(n, m):
        src = (np.arange(m) + 0.5) * n / m - 0.5
        wide = max(n / m, 1)
        reach = int(np.ceil(2 * wide))
        taps = np.floor(src).astype(int)[:, None] + np.arange(-reach, reach + 2)
        w = cubic_weight((src[:, None] - taps) / wide)
        w = w / w.sum(axis=1, keepdims=True)
        result = np.zeros((m, n))
        np.add.at(result, (np.arange(m)[:, None], np.clip(taps, 0, n - 1)), w)
        return result

    return matrix(image.shape[0], size[0]) @ image @ matrix(image.shape[1], size[1]).T


@variant("upsample_bicubic")
def sixteen_pixels(image, size):
    h, w = image.shape
    result = np.zeros(size)
    for r in range(size[0]):
        for c in range(size[1]):
            y, x = (r + 0.5) * h / size[0] - 0.5, (c + 0.5) * w / size[1] - 0.5
            y0, x0 = int(np.floor(y)), int(np.floor(x))
            for j in range(y0 - 1, y0 + 3):
                for i in range(x0 - 1, x0 + 3):
                    pixel = image[min(max(j, 0), h - 1), min(max(i, 0), w - 1)]
                    result[r, c] += cubic_weight(y - j) * cubic_weight(x - i) * pixel
    return result


@variant("upsample_bicubic")
def on_a_padded_picture(image, size):
    def along_rows(picture, m):
        n = len(picture)
        padded = np.pad(picture, ((2, 2), (0, 0)), mode="edge")
        src = (np.arange(m) + 0.5) * n / m - 0.5
        first = np.floor(src).astype(int)
        return sum(cubic_weight(src - first - k)[:, None] * padded[first + k + 2] for k in (-1, 0, 1, 2))

    return along_rows(along_rows(image, size[0]).T, size[1]).T


@variant("upsample_bicubic")
def own_kernel_in_float32(image, size):
    def w(x, a=-0.75):
        x = abs(x)
        return (a + 2) * x**3 - (a + 3) * x**2 + 1 if x <= 1 else a * (x - 1) * (x - 2) ** 2 if x < 2 else 0

    def matrix(n, m):
        result = np.zeros((m, n), dtype=np.float32)
        for i in range(m):
            src = (2 * i + 1) * n / (2 * m) - 0.5
            for tap in range(int(np.floor(src)) - 1, int(np.floor(src)) + 3):
                result[i, max(0, min(n - 1, tap))] += w(src - tap)
        return result

    return matrix(image.shape[0], size[0]) @ image.astype(np.float32) @ matrix(image.shape[1], size[1]).T


# ---------------------------------------------------------------- transposed_conv2d

edit(
    "transposed_conv2d",
    "kernel_flipped",
    {"x[row, column] * kernel": "x[row, column] * kernel[::-1, ::-1]"},
    hint="The kernel looks flipped. A single 1 in the input should leave a copy of the kernel, as it is.",
)
edit(
    "transposed_conv2d",
    "kernel_on_its_side",
    {"(kh, kw) = x.shape, kernel.shape": "(kh, kw), kernel = x.shape, kernel.shape[::-1], kernel.T"},
    hint="The kernel looks transposed: its rows belong to the rows of the output.",
)
edit(
    "transposed_conv2d",
    "overwrites_where_kernels_meet",
    {"+= x[row, column] * kernel": "= x[row, column] * kernel"},
    hint="Where kernels overlap only the last one is seen. They should be added up.",
)
edit(
    "transposed_conv2d",
    "stride_plays_no_part",
    {"top, left = row * stride, column * stride": "top, left = row, column"},
    hint="All kernels lie next to each other whatever the stride is, and the far part stays 0.",
)
edit(
    "transposed_conv2d",
    "padding_plays_no_part",
    {"full[padding : full.shape[0] - padding, padding : full.shape[1] - padding]": "full"},
    hint="The argument padding plays no part: it cuts rows and columns off.",
)
edit(
    "transposed_conv2d",
    "padding_added",
    {"full[padding : full.shape[0] - padding, padding : full.shape[1] - padding]": "np.pad(full, padding)"},
    hint="padding makes the output larger. For a transposed convolution it makes it smaller.",
)
edit(
    "transposed_conv2d",
    "nothing_left_without_padding",
    {
        "full[padding : full.shape[0] - padding, padding : full.shape[1] - padding]": (
            "full[padding:-padding, padding:-padding]"
        ),
    },
    hint="Without padding the result is empty: what is [0:-0]?",
)
edit(
    "transposed_conv2d",
    "cut_off_at_one_side_only",
    {
        "full[padding : full.shape[0] - padding, padding : full.shape[1] - padding]": (
            "full[: full.shape[0] - 2 * padding, : full.shape[1] - 2 * padding]"
        ),
    },
    hint="The shape is right, but with padding the content is shifted: it is cut off at each side, not at one.",
)
edit(
    "transposed_conv2d",
    "padding_cut_off_once_in_all",
    {"full[padding : full.shape[0] - padding, padding : full.shape[1] - padding]": "full[padding:, padding:]"},
    hint="padding is cut off at the top and left only; it counts at each of the four sides.",
)
edit(
    "transposed_conv2d",
    "output_as_long_as_input_times_stride",
    {
        "(height - 1) * stride + kh, (width - 1) * stride + kw": "height * stride + kh, width * stride + kw",
    },
    hint="The output is too large: between H inputs there are only H - 1 steps.",
)


@mutant("transposed_conv2d", hint="It seems to expect square kernels.")
def square_kernels_only(x, kernel, stride=1, padding=0):
    (h, w), k = x.shape, kernel.shape[0]
    full = np.zeros(((h - 1) * stride + k, (w - 1) * stride + k))
    for r in range(h):
        for c in range(w):
            full[r * stride : r * stride + k, c * stride : c * stride + k] += x[r, c] * kernel
    return full[padding : full.shape[0] - padding, padding : full.shape[1] - padding]


edit(
    "transposed_conv2d",
    "square_inputs_only",
    {"for column in range(width)": "for column in range(min(height, width))"},
    hint="Part of the input is left out: it seems to expect square inputs.",
)


@mutant(
    "transposed_conv2d", hint="That gathers, as an ordinary convolution does: the output is smaller than the input."
)
def ordinary_convolution(x, kernel, stride=1, padding=0):
    x = np.pad(x, padding)
    kh, kw = kernel.shape
    rows, columns = (x.shape[0] - kh) // stride + 1, (x.shape[1] - kw) // stride + 1
    result = np.zeros((max(rows, 0), max(columns, 0)))
    for r in range(result.shape[0]):
        for c in range(result.shape[1]):
            result[r, c] = (x[r * stride : r * stride + kh, c * stride : c * stride + kw] * kernel).sum()
    return result


edit(
    "transposed_conv2d",
    "whole_numbers_only",
    {
        "full = np.zeros(((height - 1) * stride + kh, (width - 1) * stride + kw))": (
            "full = np.zeros(((height - 1) * stride + kh, (width - 1) * stride + kw), dtype=int)"
        ),
        "+= x[row, column] * kernel": "+= (x[row, column] * kernel).astype(int)",
    },
    hint="Fractions get lost: does the result hold integers only?",
)


@variant("transposed_conv2d")
def loop_over_the_kernel(x, kernel, stride=1, padding=0):
    h, w = x.shape
    full = np.zeros(((h - 1) * stride + kernel.shape[0], (w - 1) * stride + kernel.shape[1]), dtype=np.float32)
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            full[i : i + (h - 1) * stride + 1 : stride, j : j + (w - 1) * stride + 1 : stride] += x * kernel[i, j]
    return full[padding : len(full) - padding, padding : full.shape[1] - padding]


@variant("transposed_conv2d")
def zeros_between_and_full_convolution(x, kernel, stride=1, padding=0):
    from scipy.signal import convolve2d

    spread = np.zeros(((x.shape[0] - 1) * stride + 1, (x.shape[1] - 1) * stride + 1))
    spread[::stride, ::stride] = x
    full = convolve2d(spread, kernel, mode="full")
    return full[padding : full.shape[0] - padding or None, padding : full.shape[1] - padding or None]


@variant("transposed_conv2d")
def every_product_by_itself(x, kernel, stride=1, padding=0):
    (h, w), (kh, kw) = x.shape, kernel.shape
    result = np.zeros(((h - 1) * stride - 2 * padding + kh, (w - 1) * stride - 2 * padding + kw))
    for r in range(h):
        for c in range(w):
            for i in range(kh):
                for j in range(kw):
                    y, z = r * stride + i - padding, c * stride + j - padding
                    if 0 <= y < result.shape[0] and 0 <= z < result.shape[1]:
                        result[y, z] += x[r, c] * kernel[i, j]
    return result


@variant("transposed_conv2d")
def by_a_matrix(x, kernel, stride=1, padding=0):
    h, w = (x.shape[0] - 1) * stride + kernel.shape[0], (x.shape[1] - 1) * stride + kernel.shape[1]
    matrix = conv_matrix(kernel, (h, w)).reshape(h - kernel.shape[0] + 1, w - kernel.shape[1] + 1, h, w)
    full = np.einsum("rc,rcyx->yx", x, matrix[::stride, ::stride])
    return full[padding : h - padding, padding : w - padding]


# ---------------------------------------------------------------- conv_matrix

edit(
    "conv_matrix",
    "matrix_of_the_flipped_kernel",
    {"] = kernel\n": "] = kernel[::-1, ::-1]\n"},
    hint="The kernel looks flipped: cross-correlation lays it on the picture as it is.",
)
edit(
    "conv_matrix",
    "matrix_of_the_transposed_kernel",
    {
        "(kh, kw), (height, width) = kernel.shape, input_size": (
            "kernel = kernel.T\n    (kh, kw), (height, width) = kernel.shape, input_size"
        ),
    },
    hint="The kernel looks transposed: its rows lie on rows of the picture.",
)
edit(
    "conv_matrix",
    "rows_for_inputs",
    {
        "return matrix.reshape(rows * columns, height * width)": (
            "return matrix.reshape(rows * columns, height * width).T"
        ),
    },
    hint="The matrix looks transposed: one row for each output, one column for each pixel.",
)
edit(
    "conv_matrix",
    "one_place_too_few",
    {"rows, columns = height - kh + 1, width - kw + 1": "rows, columns = height - kh, width - kw"},
    hint="The last place of the kernel is missing in each direction: from 0 to H - kh, both included.",
)


@mutant("conv_matrix", hint="The kernel runs over the right border into the next row. Valid places keep it inside.")
def runs_over_the_border(kernel, input_size):
    (kh, kw), (h, w) = kernel.shape, input_size
    number = (h - kh + 1) * (w - kw + 1)
    matrix = np.zeros((number, h * w))
    row = np.zeros((kh, w))
    row[:, :kw] = kernel
    row = row.ravel()[: (kh - 1) * w + kw]
    for k in range(number):
        end = min(k + len(row), h * w)
        matrix[k, k:end] = row[: end - k]
    return matrix


@mutant(
    "conv_matrix",
    hint="The rows of the kernel lie side by side. In the flattened picture they are one picture width apart.",
)
def kernel_in_one_run(kernel, input_size):
    (kh, kw), (h, w) = kernel.shape, input_size
    matrix = np.zeros(((h - kh + 1) * (w - kw + 1), h * w))
    for k in range(len(matrix)):
        start = k // (w - kw + 1) * w + k % (w - kw + 1)
        end = min(start + kh * kw, h * w)
        matrix[k, start:end] = kernel.ravel()[: end - start]
    return matrix


@mutant(
    "conv_matrix",
    hint="Pictures look flattened column by column. It should be row by row, as NumPy does it, in both directions.",
)
def column_after_column(kernel, input_size):
    (kh, kw), (h, w) = kernel.shape, input_size
    matrix = np.zeros(((h - kh + 1) * (w - kw + 1), h * w))
    k = 0
    for c in range(w - kw + 1):
        for r in range(h - kh + 1):
            picture = np.zeros((h, w))
            picture[r : r + kh, c : c + kw] = kernel
            matrix[k] = picture.ravel(order="F")
            k += 1
    return matrix


@mutant(
    "conv_matrix",
    hint="There is one output for each pixel, as with padding. Valid means that the kernel stays inside the picture.",
)
def matrix_with_padding(kernel, input_size):
    (kh, kw), (h, w) = kernel.shape, input_size
    matrix = np.zeros((h * w, h * w))
    for r in range(h):
        for c in range(w):
            for i in range(kh):
                for j in range(kw):
                    y, x = r + i - kh // 2, c + j - kw // 2
                    if 0 <= y < h and 0 <= x < w:
                        matrix[r * w + c, y * w + x] = kernel[i, j]
    return matrix


edit(
    "conv_matrix",
    "sides_of_the_picture_exchanged",
    {"= kernel.shape, input_size": "= kernel.shape, input_size[::-1]"},
    hint="Height and width of the picture look exchanged; it goes well only for square ones.",
)


@mutant("conv_matrix", hint="Only the first number of each kernel row or a part of the kernel arrives in the matrix.")
def first_row_of_the_kernel_only(kernel, input_size):
    (kh, kw), (h, w) = kernel.shape, input_size
    rows, columns = h - kh + 1, w - kw + 1
    matrix = np.zeros((rows * columns, h * w))
    for k in range(len(matrix)):
        start = k // columns * w + k % columns
        matrix[k, start : start + kw] = kernel[0]
    return matrix


@variant("conv_matrix")
def entry_by_entry(kernel, input_size):
    (kh, kw), (h, w) = kernel.shape, input_size
    rows, columns = h - kh + 1, w - kw + 1
    matrix = np.zeros((rows * columns, h * w), dtype=np.float32)
    for r in range(rows):
        for c in range(columns):
            for i in range(kh):
                for j in range(kw):
                    matrix[r * columns + c, (r + i) * w + c + j] = kernel[i, j]
    return matrix


@variant("conv_matrix")
def from_unit_pictures(kernel, input_size):
    from scipy.signal import correlate2d

    units = np.eye(input_size[0] * input_size[1]).reshape(-1, *input_size)
    return np.stack([correlate2d(unit, kernel, mode="valid").ravel() for unit in units], axis=1)


@variant("conv_matrix")
def sum_of_kronecker_products(kernel, input_size):
    (kh, kw), (h, w) = kernel.shape, input_size
    return sum(
        kernel[i, j] * np.kron(np.eye(h - kh + 1, h, i), np.eye(w - kw + 1, w, j)) for i in range(kh) for j in range(kw)
    )


# ---------------------------------------------------------------- bilinear_kernel

edit(
    "bilinear_kernel",
    "normalised_to_one",
    {"return tent[:, None] * tent[None, :]": "return tent[:, None] * tent[None, :] / scale**2"},
    hint="The kernel adds up to 1, and the enlarged picture becomes too dark: each pixel fills scale * scale new ones.",
)
edit(
    "bilinear_kernel",
    "always_odd",
    {"size = 2 * scale - scale % 2": "size = 2 * scale - 1"},
    hint="For an even scale the kernel is one too small: it has no pixel in its centre.",
)
edit(
    "bilinear_kernel",
    "always_even",
    {"size = 2 * scale - scale % 2": "size = 2 * scale"},
    hint="For an odd scale the kernel is one too large: it has a pixel in its centre.",
)
edit(
    "bilinear_kernel",
    "centre_on_a_pixel",
    {"centre = (size - 1) / 2": "centre = size // 2"},
    hint="For an even scale the kernel is not symmetric: its centre lies between two pixels.",
)
edit(
    "bilinear_kernel",
    "one_dimension_only",
    {"return tent[:, None] * tent[None, :]": "return tent"},
    hint="That is the tent in one dimension; the kernel is its product over rows and columns.",
)
edit(
    "bilinear_kernel",
    "pyramid",
    {"return tent[:, None] * tent[None, :]": "return np.minimum(tent[:, None], tent[None, :])"},
    hint="The kernel looks like a pyramid: the weights of rows and columns are multiplied, not compared.",
)
edit(
    "bilinear_kernel",
    "mean_of_rows_and_columns",
    {"return tent[:, None] * tent[None, :]": "return (tent[:, None] + tent[None, :]) / 2"},
    hint="The weights of rows and columns are multiplied, not added.",
)
edit(
    "bilinear_kernel",
    "tent_down_to_zero",
    {"/ scale\n": "/ max(centre, 1)\n"},
    hint="The slope of the tent is off: its outermost weights are 0. It falls by 1 over `scale` pixels.",
)


@mutant("bilinear_kernel", hint="All weights are equal: that repeats pixels, as nearest neighbour does.")
def box(scale):
    size = 2 * scale - scale % 2
    return np.full((size, size), scale**2 / size**2)


edit(
    "bilinear_kernel",
    "sum_is_the_scale",
    {"return tent[:, None] * tent[None, :]": "return tent[:, None] * tent[None, :] / scale"},
    hint="The sum is `scale` instead of its square: it is a kernel in two dimensions.",
)


@variant("bilinear_kernel")
def as_fcn_has_it(scale):
    size = 2 * scale - scale % 2
    factor = (size + 1) // 2
    center = factor - 1 if size % 2 == 1 else factor - 0.5
    og = np.ogrid[:size, :size]
    return (1 - abs(og[0] - center) / factor) * (1 - abs(og[1] - center) / factor)


@variant("bilinear_kernel")
def boxes_convolved(scale):
    tent = np.convolve(np.ones(scale), np.ones(scale)) / scale
    if scale % 2 == 0:
        tent = np.convolve(tent, [0.5, 0.5])
    return np.outer(tent, tent).astype(np.float32)


@variant("bilinear_kernel")
def kernel_with_loops(scale):
    size = 2 * scale if scale % 2 == 0 else 2 * scale - 1
    kernel = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            kernel[i, j] = (scale - abs(i - (size - 1) / 2)) * (scale - abs(j - (size - 1) / 2)) / scale**2
    return kernel


# ---------------------------------------------------------------- overlap_count

edit(
    "overlap_count",
    "kernel_and_stride_exchanged",
    {
        "(length - 1) * stride + kernel": "(length - 1) * kernel + stride",
        "range(0, length * stride, stride)": "range(0, length * kernel, kernel)",
        "start : start + kernel": "start : start + stride",
    },
    hint="Kernel and stride look exchanged.",
)
edit(
    "overlap_count",
    "rows_and_columns_added",
    {"by_rows[:, None] * by_columns[None, :]": "by_rows[:, None] + by_columns[None, :]"},
    hint="The counts of rows and columns look added. Two rows and two columns of kernels make four kernels, 2 * 2.",
)
edit(
    "overlap_count",
    "reached_or_not",
    {"counts[start : start + kernel] += 1": "counts[start : start + kernel] = 1"},
    hint="There are only 0 and 1: a pixel that is reached by several kernels counts several times.",
)
edit(
    "overlap_count",
    "count_size_of_input_times_stride",
    {"np.zeros((length - 1) * stride + kernel)": "np.zeros(length * stride)"},
    hint="The output has another size: (H - 1) * stride + kernel rows.",
)
edit(
    "overlap_count",
    "sides_of_the_input_exchanged",
    {"along(input_size[0]), along(input_size[1])": "along(input_size[1]), along(input_size[0])"},
    hint="Height and width look exchanged; it goes well only for square inputs.",
)
edit(
    "overlap_count",
    "along_rows_only",
    {"by_rows[:, None] * by_columns[None, :]": "by_rows[:, None] * np.ones(len(by_columns))"},
    hint="Kernels overlap in one direction only: columns count as well as rows.",
)


@mutant(
    "overlap_count",
    hint="The same number everywhere: at the borders fewer kernels meet, and inside the counts may alternate.",
)
def the_same_everywhere(input_size, kernel, stride):
    h, w = ((side - 1) * stride + kernel for side in input_size)
    return np.full((h, w), -((-kernel // stride) ** 2))


edit(
    "overlap_count",
    "no_gaps",
    {"return by_rows[:, None] * by_columns[None, :]": "return np.maximum(by_rows[:, None] * by_columns[None, :], 1)"},
    hint="Where the stride is larger than the kernel there are gaps that no kernel reaches: 0.",
)
edit(
    "overlap_count",
    "larger_of_both",
    {"by_rows[:, None] * by_columns[None, :]": "np.maximum(by_rows[:, None], by_columns[None, :])"},
    hint="In the middle of four kernels the count should be 4: the counts of rows and columns are multiplied.",
)
edit(
    "overlap_count",
    "last_kernel_missing",
    {"range(0, length * stride, stride)": "range(0, (length - 1) * stride, stride)"},
    hint="The last kernel of each row and column is missing.",
)
edit(
    "overlap_count",
    "share_of_the_kernels",
    {
        "return by_rows[:, None] * by_columns[None, :]": (
            "return by_rows[:, None] * by_columns[None, :] / (input_size[0] * input_size[1])"
        ),
    },
    hint="The counts look divided; a count is a whole number.",
)


@variant("overlap_count")
def by_own_transposed_convolution(input_size, kernel, stride):
    return transposed_conv2d(np.ones(input_size), np.ones((kernel, kernel)), stride)


@variant("overlap_count")
def count_with_loops(input_size, kernel, stride):
    h, w = input_size
    counts = np.zeros(((h - 1) * stride + kernel, (w - 1) * stride + kernel), dtype=int)
    for r in range(h):
        for c in range(w):
            counts[r * stride : r * stride + kernel, c * stride : c * stride + kernel] += 1
    return counts


@variant("overlap_count")
def asked_from_the_output(input_size, kernel, stride):
    def along(n):
        y = np.arange((n - 1) * stride + kernel)
        last = np.minimum(y // stride, n - 1)
        first = np.maximum(-((kernel - 1 - y) // stride), 0)
        return (last - first + 1).astype(np.float32)

    return np.outer(along(input_size[0]), along(input_size[1]))


# ---------------------------------------------------------------- max_unpool

edit(
    "max_unpool",
    "indices_column_by_column",
    {"return flat.reshape(size)": "return flat.reshape(size, order='F')"},
    hint="The indices look read column by column; they count row by row.",
)


@mutant("max_unpool", hint="Values are repeated over whole blocks. Each value goes back to one place only.")
def blocks_filled(pooled, indices, size):
    h, w = pooled.shape
    rows = np.minimum(np.arange(size[0]) * h // max(size[0], 1), h - 1)
    columns = np.minimum(np.arange(size[1]) * w // max(size[1], 1), w - 1)
    return pooled[rows[:, None], columns]


@mutant("max_unpool", hint="Each value lies in the corner of its block: are the indices used?")
def corner_of_the_block(pooled, indices, size):
    result = np.zeros(size)
    h, w = pooled.shape
    for r in range(h):
        for c in range(w):
            result[r * (size[0] // h), c * (size[1] // w)] = pooled[r, c]
    return result


edit(
    "max_unpool",
    "unpooled_sides_exchanged",
    {"return flat.reshape(size)": "return flat.reshape(size[::-1])"},
    hint="size looks read as (width, height); it is (rows, columns).",
)
edit(
    "max_unpool",
    "negative_values_lost",
    {"= pooled.ravel()": "= np.maximum(pooled.ravel(), 0)"},
    hint="Negative values get lost. What was pooled is put back, whatever its sign.",
)
edit(
    "max_unpool",
    "fractions_lost",
    {"dtype=pooled.dtype": "dtype=int"},
    hint="Fractions get lost: does the result hold integers only?",
)


@mutant(
    "max_unpool", hint="Row and column are computed from the wrong side: in a flat row-major index a row is W long."
)
def divided_by_the_height(pooled, indices, size):
    result = np.zeros(size)
    for value, index in zip(pooled.ravel(), indices.ravel()):
        result[index // size[0], index % size[0]] = value
    return result


edit(
    "max_unpool",
    "other_pixels_not_zero",
    {
        "np.zeros(size[0] * size[1], dtype=pooled.dtype)": (
            "np.full(size[0] * size[1], pooled.min() if pooled.size else 0, dtype=pooled.dtype)"
        ),
    },
    hint="The places in between should hold 0.",
)
edit(
    "max_unpool",
    "map_left_flat",
    {"return flat.reshape(size)": "return flat"},
    hint="The result is a flat list of values: it should have the shape `size`.",
)


@mutant("max_unpool", hint="The size of the result is a guess from the pooled map; it should be the given size.")
def twice_as_large(pooled, indices, size):
    result = np.zeros((2 * pooled.shape[0], 2 * pooled.shape[1]))
    for value, index in zip(pooled.ravel(), indices.ravel()):
        result[index // size[1], index % size[1]] = value
    return result


edit(
    "max_unpool",
    "indices_from_one",
    {"flat[indices.ravel()]": "flat[indices.ravel() - 1]"},
    hint="All values lie one place too far left: indices count from 0.",
)
edit(
    "max_unpool",
    "values_not_in_order",
    {"= pooled.ravel()": "= pooled.T.ravel()"},
    hint="Values and indices are not paired: flatten both in the same order.",
)


@variant("max_unpool")
def unpooled_with_loops(pooled, indices, size):
    result = np.zeros(size)
    for r in range(pooled.shape[0]):
        for c in range(pooled.shape[1]):
            row, column = divmod(int(indices[r, c]), size[1])
            result[row, column] = pooled[r, c]
    return result


@variant("max_unpool")
def unravelled(pooled, indices, size):
    result = np.zeros(size, dtype=np.float32)
    result[np.unravel_index(indices, size)] = pooled
    return result


@variant("max_unpool")
def by_bincount(pooled, indices, size):
    flat = np.bincount(indices.ravel().astype(int), weights=pooled.ravel(), minlength=size[0] * size[1])
    return flat.astype(float).reshape(size)


# ---------------------------------------------------------------- pixel_shuffle

edit(
    "pixel_shuffle",
    "rows_and_columns_of_the_block_exchanged",
    {"transpose(0, 3, 1, 4, 2)": "transpose(0, 3, 2, 4, 1)"},
    hint="Inside each block rows and columns look exchanged: channel i * r + j goes to row i and column j.",
)
edit(
    "pixel_shuffle",
    "channels_of_a_block_far_apart",
    {
        "x.reshape(channels // (r * r), r, r, height, width)": (
            "x.reshape(r, r, channels // (r * r), height, width).transpose(2, 0, 1, 3, 4)"
        ),
    },
    hint="With several output channels the wrong channels meet: those of one block are neighbours.",
)
edit(
    "pixel_shuffle",
    "channels_left_over",
    {"    if channels % (r * r):\n": "    x = x[: channels // (r * r) * r * r]\n    if False:\n"},
    hint="A number of channels that is not divisible should raise a ValueError.",
)


@mutant("pixel_shuffle", hint="Another exception than ValueError is raised when the channels are not divisible.")
def shuffle_asserts(x, r):
    c, h, w = x.shape
    assert c % (r * r) == 0
    return x.reshape(c // (r * r), r, r, h, w).transpose(0, 3, 1, 4, 2).reshape(c // (r * r), h * r, w * r)


@mutant("pixel_shuffle", hint="Values are only reshaped: the axes must be reordered before the blocks can be joined.")
def reshaped_only(x, r):
    c, h, w = x.shape
    if c % (r * r):
        raise ValueError("channels")
    return x.reshape(c // (r * r), h * r, w * r)


edit(
    "pixel_shuffle",
    "pixels_before_blocks",
    {"transpose(0, 3, 1, 4, 2)": "transpose(0, 1, 3, 2, 4)"},
    hint="The pictures of the channels lie side by side: their pixels should be interleaved.",
)
edit(
    "pixel_shuffle",
    "height_and_width_of_the_map_exchanged",
    {"transpose(0, 3, 1, 4, 2)": "transpose(0, 4, 1, 3, 2)"},
    hint="Rows and columns of the map look exchanged; the shape is right, or it is square.",
)


@mutant("pixel_shuffle", hint="Only the first output channel is made.")
def first_channel_only(x, r):
    if len(x) % (r * r):
        raise ValueError("channels")
    c, h, w = x.shape
    out = np.zeros((1, h * r, w * r))
    for k in range(r * r):
        out[0, k // r :: r, k % r :: r] = x[k]
    return out


@mutant("pixel_shuffle", hint="It always makes blocks of 2 x 2: r plays no part.")
def always_two(x, r):
    if len(x) % (r * r):
        raise ValueError("channels")
    c, h, w = x.shape
    return x.reshape(c // 4, 2, 2, h, w).transpose(0, 3, 1, 4, 2).reshape(c // 4, h * 2, w * 2)


edit(
    "pixel_shuffle",
    "block_turned_round",
    {
        "blocks = x.reshape(channels // (r * r), r, r, height, width)": (
            "blocks = x.reshape(channels // (r * r), r, r, height, width)[:, ::-1, ::-1]"
        ),
    },
    hint="Each block is turned round: channel 0 belongs to its top-left pixel.",
)
edit(
    "pixel_shuffle",
    "divisible_by_r_is_enough",
    {
        "    if channels % (r * r):\n": (
            "    x = x if channels % r else x[: channels // (r * r) * r * r]\n    if channels % r:\n"
        ),
    },
    hint="The channels must be divisible by r * r, not only by r; else a ValueError is expected.",
)


@variant("pixel_shuffle")
def by_strided_slices(x, r):
    c, h, w = x.shape
    if c % r**2 != 0:
        raise ValueError("not divisible")
    out = np.empty((c // r**2, h * r, w * r), dtype=np.float32)
    for i in range(r):
        for j in range(r):
            out[:, i::r, j::r] = x[i * r + j :: r * r]
    return out


@variant("pixel_shuffle")
def shuffled_with_loops(x, r):
    channels, height, width = x.shape
    if channels // (r * r) * r * r != channels:
        raise ValueError("not divisible")
    out = np.zeros((channels // (r * r), height * r, width * r))
    for c in range(out.shape[0]):
        for y in range(out.shape[1]):
            for z in range(out.shape[2]):
                out[c, y, z] = x[c * r * r + (y % r) * r + z % r, y // r, z // r]
    return out


@variant("pixel_shuffle")
def by_einsum(x, r):
    if len(x) % (r * r):
        raise ValueError("not divisible")
    blocks = np.reshape(x, (len(x) // (r * r), r, r, *x.shape[1:]))
    return np.einsum("cijhw->chiwj", blocks).reshape(len(blocks), x.shape[1] * r, x.shape[2] * r)


# ---------------------------------------------------------------- icnr

edit(
    "icnr",
    "kernels_in_turn",
    {"np.repeat(kernel, r * r, axis=0)": "np.tile(kernel, (r * r, 1, 1, 1))"},
    hint="The kernels alternate. The channels that make one block are neighbours, so equal kernels must be neighbours.",
)
edit(
    "icnr",
    "r_copies_only",
    {"np.repeat(kernel, r * r, axis=0)": "np.repeat(kernel, r, axis=0)"},
    hint="There are only r copies of each kernel, but a block has r * r pixels.",
)
edit(
    "icnr",
    "inputs_repeated",
    {"np.repeat(kernel, r * r, axis=0)": "np.repeat(kernel, r * r, axis=1)"},
    hint="The input channels are repeated instead of the output channels.",
)
edit(
    "icnr",
    "shared_out",
    {"np.repeat(kernel, r * r, axis=0)": "np.repeat(kernel, r * r, axis=0) / (r * r)"},
    hint="The weights look divided: every pixel of a block should have the full value of the convolution.",
)


@mutant("icnr", hint="The kernels are new random ones; those of a block should be copies of the given one.")
def random_kernels(kernel, r):
    return np.random.default_rng(0).normal(size=(kernel.shape[0] * r * r, *kernel.shape[1:]))


edit(
    "icnr",
    "kernel_enlarged",
    {"np.repeat(kernel, r * r, axis=0)": "kernel.repeat(r, axis=2).repeat(r, axis=3)"},
    hint="The kernel itself is enlarged; needed are more output channels.",
)
edit(
    "icnr",
    "always_four_copies",
    {"np.repeat(kernel, r * r, axis=0)": "np.repeat(kernel, 4, axis=0)"},
    hint="There are always four copies: r plays no part.",
)
edit(
    "icnr",
    "first_kernel_everywhere",
    {"np.repeat(kernel, r * r, axis=0)": "np.repeat(kernel[:1], len(kernel) * r * r, axis=0)"},
    hint="All output channels have the first kernel; each block should have its own.",
)


@variant("icnr")
def icnr_with_loops(kernel, r):
    out = np.empty((len(kernel) * r**2, *kernel.shape[1:]), dtype=np.float32)
    for k in range(len(out)):
        out[k] = kernel[k // r**2]
    return out


@variant("icnr")
def icnr_by_broadcasting(kernel, r):
    c, *rest = kernel.shape
    return np.broadcast_to(kernel[:, None], (c, r * r, *rest)).reshape(c * r * r, *rest)


@variant("icnr")
def icnr_by_kronecker(kernel, r):
    flat = kernel.reshape(len(kernel), -1)
    return np.kron(flat, np.ones((r * r, 1))).reshape(len(kernel) * r * r, *kernel.shape[1:])
