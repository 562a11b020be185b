"""Iris and the 8 x 8 digits, embedded in scikit-learn, split and scaled; MNIST and Fashion-MNIST on request."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from helpers import datasets


class Split(NamedTuple):
    """Training and test examples, one a row.

    Attributes:
        train, test: (N, D) and (M, D) float32.
        train_labels, test_labels: (N,) and (M,) long.
    """

    train: Tensor
    test: Tensor
    train_labels: Tensor
    test_labels: Tensor


def iris() -> Split:
    """100 and 50 flowers of three kinds, four lengths each, scaled to mean 0 and variance 1 of the training set."""
    from sklearn.datasets import load_iris

    found = load_iris()
    split = _split(found.data, found.target, 50)
    mean, std = split.train.mean(dim=0), split.train.std(dim=0, correction=0)
    return split._replace(train=(split.train - mean) / std, test=(split.test - mean) / std)


def digits() -> Split:
    """1437 and 360 handwritten digits of 8 x 8 pixels as rows of 64 gray values in [0, 1]."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return _split(found.data / 16, found.target, 360)


def _split(data: np.ndarray, labels: np.ndarray, test: int) -> Split:
    """The same split every time, with all kinds in their share."""
    from sklearn.model_selection import train_test_split

    x, y = torch.as_tensor(data, dtype=torch.float32), torch.as_tensor(labels, dtype=torch.int64)
    train, held_out = train_test_split(np.arange(len(x)), test_size=test, random_state=0, stratify=labels)
    return Split(x[train], x[held_out], y[train], y[held_out])


def mnist(name: str = "MNIST", download: bool = False) -> Split:
    """60000 and 10000 pictures of 28 x 28 pixels as rows of 784 gray values in [0, 1].

    Args:
        name: "MNIST" or "FashionMNIST", as torchvision calls them.
        download: may the set be downloaded (by torchvision) into the user's cache?

    Raises:
        datasets.DataError: unknown, not on this machine, or not to be had; it says in one sentence what to do.
    """
    import pooch
    import torchvision

    if name not in ("MNIST", "FashionMNIST"):
        raise datasets.DataError(f"There is no data set called {name!r}; known are: MNIST, FashionMNIST.")
    kind = getattr(torchvision.datasets, name)
    cache = Path(pooch.os_cache(datasets.CACHE))
    folders = [cache] if not os.environ.get("LFI_DATA") else [Path(os.environ["LFI_DATA"]).expanduser(), cache]
    for folder in folders:
        try:
            return _flat(kind(folder, train=True), kind(folder, train=False))
        except (RuntimeError, OSError):
            continue
    if not download:
        raise datasets.DataError(
            f"The set {name} is not on this machine: digits.mnist({name!r}, download=True) gets it (about 60 MB), "
            f"or let LFI_DATA name a folder that holds {name}/raw/."
        )
    try:
        return _flat(kind(cache, train=True, download=True), kind(cache, train=False))
    except (RuntimeError, OSError) as error:
        raise datasets.DataError(
            f"{name} could not be downloaded ({type(error).__name__}): check the network, and try again."
        ) from error


def _flat(train, test) -> Split:
    x, other = (part.data.reshape(len(part.data), -1).float() / 255 for part in (train, test))
    return Split(x, other, train.targets.long(), test.targets.long())
