"""What happens around upsampling: shrinking by means, round trips, and how far a picture is from another one."""

from collections.abc import Callable

import numpy as np


def to_gray(image: np.ndarray) -> np.ndarray:
    """Brightness of a photo.

    Args:
        image: (H, W) or (H, W, 3) array in [0, 1].

    Returns:
        (H, W) array in [0, 1]: a gray image as it is, else the weighted mean of red, green and blue (ITU-R BT.709).
    """
    return image if image.ndim == 2 else image @ np.array([0.2125, 0.7154, 0.0721])


def crop_to_multiple(image: np.ndarray, factor: int) -> np.ndarray:
    """An (H, W) image without the last rows and columns that make no whole block of factor x factor pixels."""
    height, width = (side // factor * factor for side in image.shape)
    return image[:height, :width]


def shrink(image: np.ndarray, factor: int) -> np.ndarray:
    """Make an image smaller; each new pixel is the mean of the block that it covers, so nothing is aliased.

    Args:
        image: (H, W) array.
        factor: a divisor of H and W.

    Returns:
        (H / factor, W / factor) array.

    Raises:
        ValueError: the blocks do not fit.
    """
    height, width = image.shape
    if height % factor or width % factor:
        raise ValueError(f"An image of {height} x {width} pixels has no whole blocks of {factor} x {factor}.")
    return image.reshape(height // factor, factor, width // factor, factor).mean(axis=(1, 3))


def round_trips(image: np.ndarray, enlarge: Callable, trips: int, factor: int = 2) -> list[np.ndarray]:
    """Shrink and enlarge an image again and again.

    Args:
        image: (H, W) array, H and W multiples of the factor.
        enlarge: called as enlarge(small image, (H, W)).
        trips: how often.

    Returns:
        The image after each trip, (H, W) arrays; values may leave [0, 1].
    """
    found = []
    for _ in range(trips):
        image = enlarge(shrink(image, factor), image.shape)
        found.append(image)
    return found


def psnr(image: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal-to-noise ratio in decibels, for values in [0, 1]; infinite for equal images."""
    error = float(np.mean((np.asarray(image) - reference) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim(image: np.ndarray, reference: np.ndarray) -> float:
    """Structural similarity for values in [0, 1]: mean over windows of 7 x 7 pixels, 1 for equal images.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004.
    """
    from skimage.metrics import structural_similarity

    return float(structural_similarity(np.asarray(image, dtype=float), reference, data_range=1.0))
