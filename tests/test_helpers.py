"""helpers: seeds, data sets, bookkeeping of the evaluation, plots."""

import hashlib
import io
import json
import random
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jupytext
import numpy as np
import pytest
from PIL import Image

from helpers import coco, datasets, plotting
from helpers.seeds import seed_everything

ROOT = Path(__file__).resolve().parent.parent
TASKS = ("xywh_to_xyxy", "box_iou", "match_detections", "precision_recall", "average_precision")


# ---------------------------------------------------------------- seeds


def draw() -> list[float]:
    import torch

    return [random.random(), np.random.rand(), torch.rand(1).item()]


def test_the_same_seed_gives_the_same_numbers():
    draw()  # imports torch
    first = seed_everything(7).random(), draw()
    second = seed_everything(7).random(), draw()
    assert first == second
    assert first != (seed_everything(8).random(), draw())


def test_importing_helpers_does_not_import_heavy_packages():
    code = "import sys; from helpers import blood, coco, datasets, plotting, seeds; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"torch", "torchvision", "cv2", "skimage", "pycocotools", "grading"} & set(loaded.split())


# ---------------------------------------------------------------- real sets


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty cache, no LFI_DATA."""
    monkeypatch.delenv("LFI_DATA", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    return tmp_path


@pytest.fixture
def server(home):
    """A local web server with one file, and a registry that points to it."""
    folder = home / "web"
    folder.mkdir()
    (folder / "boxes.json").write_text('{"boxes": []}')
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def registry(home: Path, address: str, text: str = '{"boxes": []}') -> Path:
    path = home / "registry.toml"
    path.write_text(
        f'[tiny]\nlicence = "CC0"\n[[tiny.files]]\nname = "boxes.json"\nurl = "{address}/boxes.json"\n'
        f'sha256 = "{hashlib.sha256(text.encode()).hexdigest()}"\nbytes = {len(text)}\n'
    )
    return path


def one_sentence(error) -> bool:
    text = str(error.value)
    return "\n" not in text and len(text) < 400


def test_unknown_set():
    with pytest.raises(datasets.DataError, match="no data set called 'cocoo'; known are: coco_eval") as error:
        datasets.fetch("cocoo")
    assert one_sentence(error)


def test_absent_set_says_how_to_get_it(home):
    with pytest.raises(datasets.DataError, match=r"datasets.fetch\('coco_eval', download=True\).*LFI_DATA") as error:
        datasets.fetch("coco_eval")
    assert one_sentence(error)


def test_lfi_data_that_is_no_folder(home, monkeypatch):
    monkeypatch.setenv("LFI_DATA", str(home / "nowhere"))
    for ask in (partial(datasets.fetch, "coco_eval"), datasets.available):
        with pytest.raises(datasets.DataError, match="no such folder") as error:
            ask()
        assert one_sentence(error)


def test_download_once_then_from_the_cache(home, server):
    entries = registry(home, server)
    assert datasets.available(entries) == [("tiny", None, 13, "CC0")]
    folder = datasets.fetch("tiny", download=True, registry=entries)
    assert json.loads((folder / "boxes.json").read_text()) == {"boxes": []}
    (home / "web" / "boxes.json").unlink()
    assert datasets.fetch("tiny", registry=entries) == folder
    assert datasets.available(entries) == [("tiny", folder, 13, "CC0")]


def test_a_set_without_download_says_so(home):
    entries = registry(home, "http://127.0.0.1:9")
    entries.write_text(entries.read_text().replace("[tiny]", '[tiny]\nby_hand = "joined from parts"', 1))
    with pytest.raises(datasets.DataError, match="no download .joined from parts.: let LFI_DATA name") as error:
        datasets.fetch("tiny", download=True, registry=entries)
    assert one_sentence(error)


def test_a_set_of_many_files_comes_from_a_list_beside_the_registry(home, server):
    names, lines = ["boxes/1.json", "boxes/2.json", "list.txt"], []
    for name in names:
        path = home / "web" / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        lines.append(f"{hashlib.sha256(name.encode()).hexdigest()} {len(name)} {name}\n")
    (home / "many.files").write_text("".join(lines))
    entries = registry(home, server)
    entries.write_text(f'[many]\nlicence = "CC0"\nbase = "{server}/set/"\nlist = "many.files"\n' + entries.read_text())
    assert datasets.available(entries)[0] == ("many", None, 32, "CC0")
    folder = datasets.fetch("many", download=True, registry=entries)
    assert [(folder / name).read_text() for name in names] == names
    (home / "web" / "set" / "list.txt").unlink()
    assert datasets.fetch("many", registry=entries) == folder
    (folder / "boxes" / "2.json").write_text("something else")
    with pytest.raises(datasets.DataError, match="damaged"):
        datasets.fetch("many", registry=entries)


def test_lfi_data_comes_first(home, monkeypatch):
    entries = registry(home, "http://127.0.0.1:9")
    (home / "own" / "tiny").mkdir(parents=True)
    (home / "own" / "tiny" / "boxes.json").write_text('{"boxes": []}')
    monkeypatch.setenv("LFI_DATA", str(home / "own"))
    assert datasets.fetch("tiny", registry=entries) == home / "own" / "tiny"


def test_damaged_file(home, monkeypatch):
    entries = registry(home, "http://127.0.0.1:9")
    (home / "own" / "tiny").mkdir(parents=True)
    (home / "own" / "tiny" / "boxes.json").write_text('{"boxes"')
    monkeypatch.setenv("LFI_DATA", str(home / "own"))
    with pytest.raises(datasets.DataError, match="damaged") as error:
        datasets.fetch("tiny", registry=entries)
    assert one_sentence(error)


def test_wrong_checksum_leaves_nothing_behind(home, server):
    entries = registry(home, server, text="another file")
    with pytest.raises(datasets.DataError, match="not the registered file") as error:
        datasets.fetch("tiny", download=True, registry=entries)
    assert one_sentence(error)
    assert not [path for path in (home / "cache").rglob("*") if path.is_file()]


def test_no_network(home):
    with pytest.raises(datasets.DataError, match="check the network") as error:
        datasets.fetch("tiny", download=True, registry=registry(home, "http://127.0.0.1:9"))
    assert one_sentence(error)


def test_the_server_does_not_have_the_file(home, server):
    entries = registry(home, f"{server}/elsewhere")
    with pytest.raises(datasets.DataError, match="could not be downloaded"):
        datasets.fetch("tiny", download=True, registry=entries)
    assert not [path for path in (home / "cache").rglob("*") if path.is_file()]


# ---------------------------------------------------------------- the embedded set


@pytest.fixture(scope="module")
def photos():
    return datasets.photos_coco()


def test_unknown_photo():
    with pytest.raises(datasets.DataError, match="no photo called 'cat'"):
        datasets.photo("cat")


def test_photos_have_the_stated_size_and_range(photos):
    for image in photos[0]["images"]:
        pixels = datasets.photo(image["file_name"])
        assert pixels.shape[:2] == (image["height"], image["width"])
        assert 0 <= pixels.min() < 0.2
        assert 0.8 < pixels.max() <= 1


def test_annotated_boxes_lie_inside_their_photo(photos):
    truth, _ = photos
    sizes = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
    for annotation in truth["annotations"]:
        x, y, width, height = annotation["bbox"]
        assert min(x, y) >= 0
        assert min(width, height) > 0
        assert x + width <= sizes[annotation["image_id"]][0]
        assert y + height <= sizes[annotation["image_id"]][1]


def test_masks_and_boxes_of_the_coins_agree(photos):
    truth, _ = photos
    coins = [annotation for annotation in truth["annotations"] if annotation["category_id"] == 1]
    assert len(coins) == 24
    masks = np.stack([datasets.decode_mask(coin, 303, 384) for coin in coins])
    assert masks.sum(axis=0).max() == 1, "coins do not overlap"
    for coin, mask in zip(coins, masks, strict=True):
        rows, columns = np.nonzero(mask)
        x, y = columns.min(), rows.min()
        assert coin["bbox"] == [x, y, columns.max() + 1 - x, rows.max() + 1 - y]
        assert coin["area"] == mask.sum()
        assert 0.7 < mask.sum() / (coin["bbox"][2] * coin["bbox"][3]) < 0.85, "about pi / 4 of the box"


def test_a_box_without_mask_says_so(photos):
    with pytest.raises(datasets.DataError, match="no mask"):
        datasets.decode_mask(photos[0]["annotations"][-1], 191, 384)


def test_scores_are_unique_and_no_detection_is_torn_between_two_objects(photos):
    truth, detections = photos
    for category in truth["categories"]:
        scores = [d["score"] for d in detections if d["category_id"] == category["id"]]
        assert len(scores) == len(set(scores))
    from pycocotools import mask

    for image in truth["images"]:
        for category in truth["categories"]:
            boxes = [
                np.array(
                    [r["bbox"] for r in records if (r["image_id"], r["category_id"]) == (image["id"], category["id"])],
                    float,
                )
                for records in (detections, truth["annotations"])
            ]
            if not all(len(b) for b in boxes):
                continue
            iou = mask.iou(*boxes, [0] * len(boxes[1]))
            assert np.abs(iou[:, :, None] - coco.IOU_THRESHOLDS).min() > 1e-6, "an IoU equals a threshold"
            for row in iou:
                row = np.sort(row[row >= 0.5])
                assert (np.diff(row) > 1e-6).all(), "equal IoUs"


# ---------------------------------------------------------------- evaluation


@pytest.fixture(scope="module")
def functions():
    """The model solution's functions."""
    names = {"np": np}
    for cell in jupytext.read(ROOT / "solutions" / "01_iou_nms" / "iou_nms.py").cells:
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution"):
            exec(cell.source, names)
    return {name: names[name] for name in TASKS}


def agree(truth: dict, found: list[dict], functions: dict) -> np.ndarray:
    numbers = coco.evaluate(truth, found, **functions)
    np.testing.assert_allclose(numbers, coco.pycocotools_summary(truth, found), atol=1e-9)
    return numbers


def test_twelve_numbers_on_the_photos(photos, functions):
    numbers = agree(*photos, functions)
    assert numbers[0] == pytest.approx(0.307, abs=5e-4)


def test_twelve_numbers_in_hard_cases(functions):
    rng = np.random.default_rng(3)
    for _ in range(3):
        truths, found = [], []
        for number in range(1, 61):
            size = np.exp(rng.uniform(2, 5.5, 2))
            record = {"image_id": int(rng.integers(1, 6)), "category_id": int(rng.choice([1, 3, 7]))}
            box = [*rng.uniform(0, 300, 2), *size]
            crowd, area = int(rng.random() < 0.2), float(size.prod() * rng.uniform(0.6, 1))
            truths.append({**record, "id": number, "bbox": box, "area": area, "iscrowd": crowd})
            for _ in range(rng.integers(0, 5)):
                near = np.array(box) + 0.1 * rng.normal(size=4) * np.tile(size, 2)
                found.append({**record, "bbox": near.tolist(), "score": float(rng.random())})
        images, categories = [{"id": k} for k in (5, 2, 1, 4, 3)], [{"id": k} for k in (3, 1, 7, 9)]
        agree({"images": images, "annotations": truths, "categories": categories}, found, functions)


def test_more_than_a_hundred_detections(photos, functions):
    truth, detections = photos
    coins = {**truth, "categories": [{"id": 1, "name": "coin"}]}
    agree(coins, [d for d in detections if d["category_id"] == 1], functions)


def test_nothing_found_and_nothing_to_find(photos, functions):
    truth, detections = photos
    assert (coco.evaluate(truth, [], **functions) == 0).all()
    assert (coco.evaluate({**truth, "annotations": []}, detections, **functions) == -1).all()


def test_evaluation_changes_nothing(photos, functions):
    before = json.dumps(photos)
    agree(*photos, functions)
    assert json.dumps(photos) == before


def test_rankings_and_curves_fit_the_summary(photos, functions):
    truth, detections = photos
    precision = coco.pycocotools_precision(truth, detections)
    assert precision.shape == (10, 101, 5)
    for category in truth["categories"]:
        flags, number = coco.pycocotools_ranking(truth, detections, category["id"], 0.75)
        ap = functions["average_precision"](*functions["precision_recall"](flags, number))
        assert ap == pytest.approx(precision[5, :, category["id"] - 1].mean(), abs=1e-9)


def test_figures_by_category_average_to_the_summary(photos):
    ap, ar = coco.pycocotools_by_category(*photos)
    summary = coco.pycocotools_summary(*photos)
    assert ap.shape == ar.shape == (5,)
    assert [ap.mean(), ar.mean()] == pytest.approx([summary[0], summary[8]])


def test_the_reference_is_computed_anew_when_something_changes(photos):
    truth, detections = photos
    before = coco.pycocotools_precision(truth, detections)
    coco.pycocotools_precision(truth, detections)[:] = 0  # a caller that changes what it got
    assert np.array_equal(coco.pycocotools_precision(truth, detections), before)
    detections = [{**d, "score": 1 - d["score"]} for d in detections]
    assert not np.array_equal(coco.pycocotools_precision(truth, detections), before)


def test_coco_official_figures(functions):
    try:
        folder = datasets.fetch("coco_eval")
    except datasets.DataError as error:
        pytest.skip(str(error))
    truth = json.loads((folder / "instances_val2014_100.json").read_text())
    found = json.loads((folder / "instances_val2014_fakebbox100_results.json").read_text())
    official = [0.505, 0.697, 0.573, 0.586, 0.519, 0.501, 0.387, 0.594, 0.595, 0.640, 0.566, 0.564]
    assert np.round(agree(truth, found, functions), 3).tolist() == official
    found = json.loads((folder / "instances_val2014_fakesegm100_results.json").read_text())
    assert coco.pycocotools_summary(truth, found, "segm")[0] == pytest.approx(0.320, abs=5e-4)


def test_table():
    lines = list(coco.table({"yours": np.arange(12) / 12}))
    assert len(lines) == 13
    assert re.fullmatch(r"AP50 +0\.083", lines[2])


# ---------------------------------------------------------------- plots


@pytest.fixture
def ax():
    import matplotlib

    matplotlib.use("Agg")
    plotting.use_style()
    figure, axes = plotting.plt.subplots()
    yield axes
    plotting.plt.close("all")


def test_images_boxes_and_masks(ax):
    boxes = np.array([[1.0, 2.0, 5.0, 4.0], [0.0, 0.0, 3.0, 6.0]])
    masks = np.zeros((2, 6, 9), dtype=bool)
    masks[0, 1:3, 2:7] = True
    masks[1, 4:, :3] = True
    plotting.show_image(ax, np.full((6, 9), 0.5), "a title")
    plotting.show_boxes(ax, boxes, labels=["coin", "eye"], scores=[0.9, 0.25], style="--")
    plotting.show_boxes(ax, boxes[:0])
    plotting.show_masks(ax, masks)
    plotting.write(ax, 3, 3, "coin 1")
    ax.figure.canvas.draw()
    assert [text.get_text() for text in ax.texts] == ["coin 0.90", "eye 0.25", "coin 1"]
    outlines = [path.get_extents().extents.tolist() for path in ax.collections[0].get_paths()]
    assert outlines == [[1, 2, 5, 4], [0, 0, 3, 6]]
    borders = [path.vertices for path in ax.collections[-1].get_paths()]
    assert [len(border) / 2 for border in borders] == [2 * (2 + 5), 2 * (2 + 3)]
    assert [[*b.min(axis=0), *b.max(axis=0)] for b in borders] == [[2, 1, 7, 3], [0, 4, 3, 6]]
    assert tuple(ax.images[0].get_extent()) == (0, 9, 6, 0)


def test_side_by_side_and_curves(ax):
    row = plotting.side_by_side([np.zeros((4, 8)), np.zeros((6, 3, 3))], ["left", "right"])
    assert [a.get_title() for a in row] == ["left", "right"]
    x = np.linspace(0, 1, 5)
    plotting.plot_curves(ax, {"a": (x, x), "b": (x, x**2)}, "x", "y")
    assert len({line.get_linestyle() for line in ax.lines}) == 2
    ax.figure.canvas.draw()


def test_notebook_figures_lose_margins_but_nothing_that_sticks_out(ax):
    def size(figure):
        with Image.open(io.BytesIO(plotting._palette_png(figure))) as image:
            assert image.mode == "P"
            assert {(0, 114, 178), (255, 255, 255)} <= {color for _, color in image.convert("RGB").getcolors()}
            return np.array(image.size)

    ax.plot([0, 1], [0, 1])
    ax.set_position([0.4, 0.4, 0.2, 0.2])
    small = size(ax.figure)
    assert (small < 0.5 * ax.figure.get_size_inches() * ax.figure.dpi).all()
    ax.set_title("a title that is much wider than the figure is: " + "word " * 30)
    assert size(ax.figure)[0] > ax.figure.get_figwidth() * ax.figure.dpi
    assert plotting._palette_png(plotting.plt.figure()) is None


def test_slider_draws_at_once_and_lets_errors_through():
    seen = []
    plotting.slider(lambda ax, value: seen.append(value), "threshold", 0.1, 0.9, 0.1, figsize=(2, 1))
    assert seen == [pytest.approx(0.5)]

    def missing(ax, value):
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        plotting.slider(missing, "threshold", 0.1, 0.9, 0.1, figsize=(2, 1))
