"""Photos that come with the packages, their annotations, and the registry of real sets."""

import hashlib
import io
import json
import os
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

DATA = Path(__file__).resolve().parent.parent / "data"
REGISTRY = DATA / "registry.toml"
CACHE = "learning-from-images"
_SKIMAGE = {
    *("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "immunohistochemistry"),
    *("page", "rocket", "text"),
}


class DataError(Exception):
    """A data set is not there, or not as it should be. The message says in one sentence what to do."""


class SetState(NamedTuple):
    """One row of `available`."""

    name: str
    where: Path | None  # folder with all the files, None if the set is not on this machine
    size: int  # bytes
    licence: str


def photo(name: str) -> np.ndarray:
    """A photo that is part of scikit-image, scikit-learn or matplotlib: no download.

    Args:
        name: as data/README.md lists them, for example "coins", "astronaut", "motorcycle", "grace_hopper".

    Returns:
        (H, W) or (H, W, 3) float array in [0, 1].

    Raises:
        DataError: there is no such photo.
    """
    import skimage.data

    if name == "motorcycle":
        image = skimage.data.stereo_motorcycle()[0]
    elif name in _SKIMAGE:
        image = getattr(skimage.data, name)()
    elif name in {"china", "flower"}:
        from sklearn.datasets import load_sample_image

        image = load_sample_image(f"{name}.jpg")
    elif name == "grace_hopper":
        from matplotlib import cbook
        from matplotlib import image as reader

        image = reader.imread(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    else:
        raise DataError(f"There is no photo called {name!r} in the package.")
    return image / 255.0


def photos_coco() -> tuple[dict, list[dict]]:
    """Six photos in COCO's format: ground truth drawn by hand, detections of simple detectors (data/README.md).

    Returns:
        Ground truth: dict with `images` (file_name is a name for `photo`), `annotations`, `categories`.
        Detections: list of {image_id, category_id, bbox (x, y, width, height in pixels), score}, with duplicates.
    """
    folder = DATA / "photos"
    return json.loads((folder / "annotations.json").read_text()), json.loads((folder / "detections.json").read_text())


def decode_mask(annotation: dict, height: int, width: int) -> np.ndarray:
    """Mask of one annotation.

    Args:
        annotation: with a `segmentation` in COCO's run-length encoding.
        height, width: of the image in pixels.

    Returns:
        (height, width) bool array.

    Raises:
        DataError: the annotation has no mask.
    """
    from pycocotools import mask

    segmentation = annotation.get("segmentation")
    if not isinstance(segmentation, dict):
        raise DataError(f"Annotation {annotation['id']} has a box, but no mask.")
    if isinstance(segmentation["counts"], list):
        segmentation = mask.frPyObjects(segmentation, height, width)
    return mask.decode(segmentation).astype(bool)


def available(registry: Path = REGISTRY) -> list[SetState]:
    """All registered real sets, with the folder they lie in on this machine, if any.

    Raises:
        DataError: LFI_DATA is set, but there is no such folder.
    """
    return [
        SetState(name, _find(name, entry), sum(file["bytes"] for file in entry["files"]), entry["licence"])
        for name, entry in _read(registry).items()
    ]


def fetch(name: str, download: bool = False, registry: Path = REGISTRY) -> Path:
    """Folder of a real set: in $LFI_DATA, else in the user's cache, else downloaded on request.

    Args:
        name: as in data/registry.toml.
        download: may the files be downloaded into the user's cache?

    Returns:
        Folder that holds all the files of the set, each with the registered SHA-256.

    Raises:
        DataError: the set is unknown, absent, damaged, or can not be downloaded; LFI_DATA is not a folder.
    """
    sets = _read(registry)
    if name not in sets:
        raise DataError(f"There is no data set called {name!r}; known are: {', '.join(sets)}.")
    entry = sets[name]
    folder = _find(name, entry)
    if folder is None:
        megabytes = sum(file["bytes"] for file in entry["files"]) / 1e6
        if "by_hand" in entry:
            raise DataError(
                f"The set {name} ({megabytes:.1f} MB, {entry['licence']}) is not on this machine and has no download "
                f"({entry['by_hand']}): let LFI_DATA name a folder that holds {name}/."
            )
        if not download:
            raise DataError(
                f"The set {name} is not on this machine: datasets.fetch({name!r}, download=True) gets it "
                f"({megabytes:.1f} MB, {entry['licence']}), or let LFI_DATA name a folder that holds {name}/."
            )
        folder = _cache() / name
        if "archive" in entry:
            _download_archive(entry, folder)
        else:
            with ThreadPoolExecutor(8) as pool:  # some sets have hundreds of small files
                list(pool.map(lambda file: _download(file, folder), entry["files"]))
    for file in entry["files"]:
        if _sha256(folder / file["name"]) != file["sha256"]:
            raise DataError(f"{folder / file['name']} is damaged (wrong SHA-256): delete it and fetch {name} again.")
    return folder


def _read(registry: Path) -> dict:
    """The registry, with the lists of files that lie beside it read in."""
    sets = tomllib.loads(registry.read_text(encoding="utf-8"))
    for entry in sets.values():
        if "list" in entry:
            lines = (registry.parent / entry["list"]).read_text(encoding="utf-8").splitlines()
            entry.setdefault("files", []).extend(
                {"name": name, "url": entry.get("base", "") + name, "sha256": sha256, "bytes": int(size)}
                for sha256, size, name in (line.split(maxsplit=2) for line in lines)
            )
    return sets


def _cache() -> Path:
    import pooch

    return Path(pooch.os_cache(CACHE))


def _find(name: str, entry: dict) -> Path | None:
    roots = [_cache()]
    if os.environ.get("LFI_DATA"):
        own = Path(os.environ["LFI_DATA"]).expanduser()
        if not own.is_dir():
            raise DataError(f"LFI_DATA is {own}, but there is no such folder: correct it or unset it.")
        roots.insert(0, own)
    folders = (root / name for root in roots)
    return next((f for f in folders if all((f / file["name"]).is_file() for file in entry["files"])), None)


def _download(file: dict, folder: Path) -> None:
    import pooch
    import requests

    try:
        place = folder / file["name"]
        pooch.retrieve(file["url"], known_hash=f"sha256:{file['sha256']}", fname=place.name, path=place.parent)
    except (requests.RequestException, OSError) as error:
        raise DataError(
            f"{file['url']} could not be downloaded ({type(error).__name__}): "
            f"check the network, or save it as {folder / file['name']}."
        ) from error
    except ValueError as error:
        raise DataError(
            f"What came from {file['url']} is not the registered file (wrong SHA-256): "
            "it was thrown away, try again later."
        ) from error


def _download_archive(entry: dict, folder: Path) -> None:
    """Get a set that is published as one zip file, and keep what is registered of it; each file is checked later."""
    import requests

    url = entry["archive"]
    try:
        answer = requests.get(url, timeout=60)
        answer.raise_for_status()
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            inside = {Path(path).name: path for path in archive.namelist()}
            folder.mkdir(parents=True, exist_ok=True)
            for file in entry["files"]:
                (folder / file["name"]).write_bytes(archive.read(inside[file["name"]]))
    except (requests.RequestException, OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{url} could not be downloaded or unpacked ({type(error).__name__}): "
            f"check the network, or unpack it by hand into {folder}."
        ) from error


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
