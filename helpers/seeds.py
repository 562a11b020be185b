"""One seed for every source of randomness."""

import os
import random
import sys

import numpy as np

SEED = int(os.environ.get("LFI_SEED", "0"))  # `lfi measure` runs a notebook with several


def seed_everything(seed: int = SEED) -> np.random.Generator:
    """Seed Python, NumPy and, where it is in use, PyTorch.

    PyTorch is seeded (CPU and GPUs) only if it has been imported before: a notebook that does without it
    need not wait for it. So import first, then seed.

    Args:
        seed: any integer in [0, 2**32).

    Returns:
        A NumPy generator with the same seed, to be passed on to whatever draws random numbers.
    """
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
    return np.random.default_rng(seed)
