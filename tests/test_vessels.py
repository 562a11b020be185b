"""Generated fundus photos, CHASE_DB1, patches; generated micrographs; networks to compare with."""

import io
import os
import zipfile

import numpy as np
import pytest
import torch

from helpers import datasets, micrographs, networks, plotting, vessels


@pytest.fixture(scope="module")
def photos():
    return vessels.generate_set(2, seed=5)


def test_a_generated_photo_has_an_exact_mask_inside_its_field(photos):
    for photo in photos:
        assert photo.image.shape == (*vessels.SIZE, 3)
        assert photo.image.dtype == np.float32
        assert photo.image.min() >= 0 and photo.image.max() <= 1
        assert not (photo.vessels & ~photo.field).any()
        assert 0.04 < photo.vessels.sum() / photo.field.sum() < 0.3
        assert photo.second is None


def test_vessels_are_darker_than_what_surrounds_them(photos):
    for photo in photos:
        normalised = vessels.normalise(photo)
        assert normalised[photo.vessels].mean() < normalised[photo.field & ~photo.vessels].mean() - 0.5


def test_the_same_seed_gives_the_same_photos_and_a_larger_number_only_adds(photos):
    again = vessels.generate_set(1, seed=5)[0]
    assert np.array_equal(again.image, photos[0].image)
    assert not np.array_equal(photos[0].vessels, photos[1].vessels)


def test_the_background_has_no_vessels_left():
    from skimage.filters import sato

    retina, disc = vessels._empty_retina()
    margin = vessels.MARGIN
    middle = retina[margin + 100 : -margin - 100, margin + 130 : -margin - 60, 1]
    assert sato(middle, sigmas=[2]).max() < 0.02
    assert disc.min() > margin


def test_branches_obey_murray():
    """At the first branch of a vessel the cubes of the radii add up."""
    rng = np.random.default_rng(3)
    segments = list(vessels._grow(rng, np.array([240.0, 240.0]), 0.3, 2.6, 0.0))
    starts = {(s.x1, s.y1): s for s in segments}
    forks = 0
    for segment in segments:
        children = [s for s in segments if (s.x1, s.y1) == (segment.x2, segment.y2)]
        if len(children) == 2:
            forks += 1
            cubes = sum(child.radius**3 for child in children)
            assert cubes == pytest.approx(segment.radius**3, rel=0.05)  # a step of tapering lies between
    assert forks > 3
    assert len(starts) <= len(segments)


def test_normalising_takes_away_uneven_light(photos):
    photo = photos[0]
    normalised = vessels.normalise(photo)
    assert normalised.dtype == np.float32
    assert (normalised[~photo.field] == 0).all()
    ramp = np.linspace(0.6, 1, vessels.SIZE[1], dtype=np.float32)[None, :, None]
    darker = vessels.Fundus(photo.image * ramp, photo.vessels, photo.field)
    inner = np.s_[150:330, 150:330]
    assert np.abs(vessels.normalise(darker)[inner] - normalised[inner]).mean() < 0.1


def test_a_stack_is_ready_for_torch(photos):
    images, labels = vessels.stack(photos)
    assert images.shape == (2, 1, *vessels.SIZE) and images.dtype == np.float32
    assert labels.shape == (2, *vessels.SIZE) and labels.dtype == np.int64


def test_patches_keep_image_and_label_together():
    labels = torch.arange(2 * 12 * 20).reshape(2, 12, 20)
    images = labels[:, None].float()
    batches = vessels.patches(images, labels, 5, 6, torch.Generator().manual_seed(1))
    seen = set()
    for _ in range(20):
        x, y = next(batches)
        assert x.shape == (6, 1, 5, 5) and y.shape == (6, 5, 5)
        assert torch.equal(x[:, 0].long(), y)
        seen |= {tuple((patch[0, :2] - patch[0, 0]).tolist() + (patch[1, :1] - patch[0, 0]).tolist()) for patch in y}
    assert len(seen) == 8  # four turns, mirrored or not


# ---------------------------------------------------------------- CHASE_DB1


@pytest.mark.skipif(not os.environ.get("LFI_DATA"), reason="LFI_DATA names no folder with the real sets")
def test_chase_db1_has_two_annotators_who_differ():
    train, test = vessels.chase_db1()
    assert len(train) == 20 and len(test) == 8
    for photo in (train[0], test[-1]):
        assert photo.image.shape == (*vessels.SIZE, 3) and 0.5 < photo.image.max() <= 1
        assert 0.5 < photo.field.mean() < 0.85
        assert photo.vessels[photo.field].mean() > 0.05
        both = (photo.vessels & photo.second).sum()
        assert 0.7 < 2 * both / (photo.vessels.sum() + photo.second.sum()) < 0.95


def test_without_the_set_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("LFI_DATA", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / name)
    with pytest.raises(datasets.DataError, match="published for research; CC BY 4.0 not confirmed"):
        vessels.chase_db1()


# ---------------------------------------------------------------- sets that come as one archive


@pytest.fixture
def archived(tmp_path, monkeypatch):
    """A registry with a set that is one zip file with folders, and an empty cache."""
    import hashlib

    monkeypatch.delenv("LFI_DATA", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("photos/one.txt", "one")
        archive.writestr("photos/readme.txt", "not registered")
    (tmp_path / "set.files").write_text(f"{hashlib.sha256(b'one').hexdigest()} 3 one.txt\n")
    registry = tmp_path / "registry.toml"
    registry.write_text('[set]\nlicence = "CC0"\narchive = "https://example.org/set.zip"\nlist = "set.files"\n')

    class Answer:
        content = packed.getvalue()

        def raise_for_status(self):
            pass

    monkeypatch.setattr("requests.get", lambda url, timeout: Answer())
    return registry, Answer


def test_an_archive_is_unpacked_into_the_cache(archived):
    registry, _ = archived
    folder = datasets.fetch("set", download=True, registry=registry)
    assert [path.name for path in folder.iterdir()] == ["one.txt"]
    assert datasets.fetch("set", registry=registry) == folder


def test_an_archive_with_other_contents_is_refused(archived, monkeypatch):
    registry, answer = archived
    monkeypatch.setattr(answer, "content", b"no zip file")
    with pytest.raises(datasets.DataError, match="could not be downloaded or unpacked .BadZipFile."):
        datasets.fetch("set", download=True, registry=registry)


# ---------------------------------------------------------------- micrographs


def test_nuclei_touch_and_are_numbered_without_gaps():
    image, instances = micrographs.generate(np.random.default_rng(0))
    assert image.shape == instances.shape == micrographs.SIZE
    assert image.dtype == np.float32 and image.min() >= 0 and image.max() <= 1
    assert np.array_equal(np.unique(instances), np.arange(instances.max() + 1))
    right, left = instances[:, 1:], instances[:, :-1]
    assert ((right != left) & (right > 0) & (left > 0)).sum() > 20


def test_the_interior_parts_objects_that_touch():
    instances = np.array([[1, 1, 1, 2, 2, 2]] * 4)
    assert micrographs.interior(instances).tolist() == [[True, True, False, False, True, True]] * 4
    assert not micrographs.interior(np.zeros((3, 4), int)).any()


def test_an_object_is_found_if_it_has_a_patch_for_itself():
    instances = np.array([[1, 1, 1, 2, 2, 2]] * 4)
    assert micrographs.found_alone(micrographs.interior(instances), instances) == 1
    assert micrographs.found_alone(instances > 0, instances, iou_threshold=0.6) == 0
    assert micrographs.found_alone(np.zeros((4, 6), bool), instances) == 0


# ---------------------------------------------------------------- networks, error map


def test_networks_keep_the_size():
    x = torch.zeros(2, 3, 16, 24)
    assert networks.hourglass(3, 5, base=4, depth=3)(x).shape == (2, 5, 16, 24)
    assert networks.dilated(3, 5)(x).shape == (2, 5, 16, 24)


def test_the_error_map_has_four_colours():
    pred, target = np.array([[True, True, False, False]]), np.array([[True, False, True, False]])
    found = plotting.error_map(pred, target)
    assert found.shape == (1, 4, 3)
    assert (found[0, 0] == 1).all() and (found[0, 3] == 0).all()
    assert len({tuple(color) for color in found[0].tolist()}) == 4
