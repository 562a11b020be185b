"""From maps of a whole crowd to people: peaks, scores of limbs, and putting limbs together (bottom-up)."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from helpers import people

FAR = 1e6  # pixels: where a keypoint is put that was not found


def group(heatmaps: Tensor, fields: Tensor, least_peak: float = 0.25, least_limb: float = 0.3) -> np.ndarray:
    """People from heatmaps and part affinity fields, as OpenPose finds them.

    Args:
        heatmaps: (17, H, W).
        fields: (L, 2, H, W), in the order of people.LIMBS.
        least_peak: peaks that are lower are left out.
        least_limb: limbs with a lower score are left out.

    Returns:
        (N, 17, 3) x, y in pixels of the map and score; 0 where a keypoint was not found. People of fewer than four
        keypoints are left out.
    """
    candidates = [peaks(heatmap, least_peak) for heatmap in heatmaps]
    limbs = []
    for (start, stop), field in zip(people.LIMBS, fields, strict=True):
        scores = limb_scores(field, candidates[start][:, :2], candidates[stop][:, :2])
        scores[scores < least_limb] = 0
        for i, j in zip(*linear_sum_assignment(scores, maximize=True), strict=True):
            if scores[i, j] > 0:
                limbs.append((float(scores[i, j]), (start, int(i)), (stop, int(j))))
    return _assembled(candidates, limbs)


def peaks(heatmap: Tensor, least: float) -> Tensor:
    """Local maxima of one map (H, W), to whole pixels: (P, 3) x, y, value."""
    highest = F.max_pool2d(heatmap[None, None], 3, stride=1, padding=1)[0, 0]
    rows, cols = ((heatmap == highest) & (heatmap >= least)).nonzero().T
    return torch.stack([cols, rows, heatmap[rows, cols]], dim=1)


def limb_scores(field: Tensor, starts: Tensor, stops: Tensor, samples: int = 10) -> np.ndarray:
    """Mean component of a field (2, H, W) along each pair of points (A, 2) and (B, 2): an (A, B) array."""
    ways = stops[None] - starts[:, None]
    units = ways / ways.norm(dim=2, keepdim=True).clamp(min=1e-6)
    along = torch.linspace(0, 1, samples)[:, None]
    places = starts[:, None, None] + along * ways[:, :, None]
    height, width = field.shape[1:]
    scaled = 2 * places / torch.tensor([width - 1, height - 1]) - 1
    grid = scaled.reshape(1, -1, samples, 2)
    vectors = F.grid_sample(field[None], grid, padding_mode="border", align_corners=True)[0]
    vectors = vectors.reshape(2, len(starts), len(stops), samples)
    return torch.einsum("cabs,abc->ab", vectors, units).numpy() / samples


def match(predicted: np.ndarray, truth: np.ndarray, areas: np.ndarray, oks: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Which predicted person is which true one: the assignment of greatest total OKS.

    Args:
        predicted: (P, 17, 3) x, y in pixels and score; keypoints of score 0 count as not found.
        truth: (N, 17, 3), areas: (N,).
        oks: oks(pred (17, 2), truth (17, 3), area, sigmas) of tensors, a float.

    Returns:
        (N,) index of the predicted person or -1, and (N,) OKS, 0 for those who are not found.
    """
    points = np.where(predicted[..., 2:] > 0, predicted[..., :2], FAR)
    scores = np.zeros((len(truth), len(points)))
    for i, (person, area) in enumerate(zip(truth, areas, strict=True)):
        for j, found in enumerate(points):
            scores[i, j] = oks(torch.tensor(found), torch.tensor(person), float(area), torch.tensor(people.SIGMAS))
    index, best = np.full(len(truth), -1), np.zeros(len(truth))
    for i, j in zip(*linear_sum_assignment(scores, maximize=True), strict=True):
        if scores[i, j] > 0:
            index[i], best[i] = j, scores[i, j]
    return index, best


def _assembled(candidates: list[Tensor], limbs: list[tuple]) -> np.ndarray:
    """Join limbs that share a keypoint, the surest first; no person gets two keypoints of one kind."""
    person_of = {(kind, i): {kind: i} for kind, some in enumerate(candidates) for i in range(len(some))}
    for _, start, stop in sorted(limbs, key=lambda limb: -limb[0]):
        one, other = person_of[start], person_of[stop]
        if one is not other and not one.keys() & other.keys():
            one |= other
            for place in other.items():
                person_of[place] = one
    found = {id(person): person for person in person_of.values() if len(person) >= 4}.values()
    result = np.zeros((len(found), len(candidates), 3), dtype=np.float32)
    for row, person in zip(result, found, strict=True):
        for kind, i in person.items():
            row[kind] = candidates[kind][i].numpy()
    return result
