"""A procedural head in HU: scalp, skull and its base, brain, sulci, ventricles, veins. A seed is a person.

Heights are in mm, 0 at the widest level, positive to the vertex. Below `BASE_MM` lies only the face.
HU are the usual ones: grey matter 34-40, white 26-32, CSF 4-14, venous blood 45-60, muscle 45-68, fat -90.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.zoo.ich.fields import Field3D, Image, Mask, grid_mm, smooth_field

BASE_MM = -45.0
FACE_MM = -70.0


@dataclass(frozen=True, slots=True)
class Spot:
    """A small dense ball: a calcification or a metal clip."""

    centre_mm: tuple[float, float, float]
    radius_mm: float
    density_hu: float


@dataclass(frozen=True, slots=True)
class Head:
    """One synthetic person; lengths in mm, densities in HU. Half axes are (z, y, x) of the outer table."""

    half_axes_mm: tuple[float, float, float]
    centre_mm: tuple[float, float]
    tilt_rad: float
    skull_mm: float
    scalp_mm: float
    bone_hu: float
    grey_hu: float
    white_hu: float
    csf_hu: float
    sinus_hu: float
    atrophy_mm: float
    ventricle_mm: float
    shape: Image
    gyri: Field3D
    sulci: Field3D
    muscle: Field3D
    face: Field3D
    air: Field3D
    spots: tuple[Spot, ...]
    infarct: Spot | None
    defect: Spot | None  # of the skull: a burr hole or a flap, filled with something softer
    skin_hu: float
    muscle_hu: float

    @property
    def top_mm(self) -> float:
        """Height of the inner table at the vertex."""
        return self.half_axes_mm[0] - self.skull_mm

    def depth_mm(self, z_mm: float) -> Image:
        """Distance inside the inner table at height `z_mm`, negative outside of it."""
        return self._depth(z_mm, self.skull_mm)

    def outer_depth_mm(self, z_mm: float) -> Image:
        return self._depth(z_mm, 0.0)

    def _depth(self, z_mm: float, inset_mm: float) -> Image:
        height, sagittal, lateral = (axis - inset_mm for axis in self.half_axes_mm)
        y, x = self.frame()
        radius = np.sqrt((y / sagittal) ** 2 + (x / lateral) ** 2) + self.shape
        return (_cross_section(z_mm, height) - radius) * np.float32(np.sqrt(sagittal * lateral))

    def frame(self) -> tuple[Image, Image]:
        """Coordinates of each pixel in the head's own axes: y posterior, x to the image's right."""
        rows, columns = grid_mm()
        dy, dx = rows - self.centre_mm[0], columns - self.centre_mm[1]
        c, s = np.float32(np.cos(self.tilt_rad)), np.float32(np.sin(self.tilt_rad))
        return c * dy - s * dx, c * dx + s * dy


def _cross_section(z_mm: float, height_mm: float) -> float:
    """Relative size of the cut at a height: an ellipsoid above, slightly tapering below."""
    if z_mm >= 0:
        return float(np.sqrt(max(0.0, 1 - (z_mm / height_mm) ** 2)))
    return 1 - 0.1 * min(1.0, (z_mm / BASE_MM) ** 2)


def draw_head(rng: np.random.Generator, metal_share: float = 0.0) -> Head:
    """BucketDraw a person; `metal_share` is the chance of a clip or coil, denser than a 12-bit scale can say."""
    lateral = rng.uniform(66, 80)
    axes = (rng.uniform(80, 95), lateral * rng.uniform(1.15, 1.32), lateral)
    grey = rng.uniform(34, 40)
    return Head(
        half_axes_mm=axes,
        centre_mm=(rng.normal(0, 5), rng.normal(0, 5)),
        tilt_rad=rng.normal(0, 0.1),
        skull_mm=rng.uniform(5, 9),
        scalp_mm=rng.uniform(3, 8),
        bone_hu=rng.uniform(700, 1400),
        grey_hu=grey,
        white_hu=grey - rng.uniform(6, 10),
        csf_hu=rng.uniform(4, 14),
        sinus_hu=rng.uniform(45, 60),
        atrophy_mm=max(0.0, rng.uniform(-3, 4)),
        ventricle_mm=rng.uniform(3, 11),
        shape=0.015 * smooth_field(rng, 60),
        gyri=Field3D(rng, 9),
        sulci=Field3D(rng, 14),
        muscle=Field3D(rng, 18),
        face=Field3D(rng, 16),
        air=Field3D(rng, 22),
        spots=_draw_spots(rng, axes, metal_share),
        infarct=_draw_infarct(rng, axes),
        defect=_draw_defect(rng, axes),
        skin_hu=rng.uniform(0, 60),
        muscle_hu=rng.uniform(45, 68),
    )


def _draw_spots(
    rng: np.random.Generator, axes: tuple[float, float, float], metal_share: float
) -> tuple[Spot, ...]:
    """Calcifications in a third of the heads (the classic false positive), and sometimes metal."""
    count = int(rng.integers(1, 4)) if rng.random() < 0.35 else 0
    spots = [Spot(_within(rng, axes, 0.55), rng.uniform(1.5, 4), rng.uniform(90, 260)) for _ in range(count)]
    if rng.random() < metal_share:
        spots.append(Spot(_within(rng, axes, 0.5), rng.uniform(3, 7), rng.uniform(5000, 14000)))
    return tuple(spots)


def _draw_infarct(rng: np.random.Generator, axes: tuple[float, float, float]) -> Spot | None:
    return (
        Spot(_within(rng, axes, 0.7), rng.uniform(8, 22), rng.uniform(12, 24)) if rng.random() < 0.2 else None
    )


def _draw_defect(rng: np.random.Generator, axes: tuple[float, float, float]) -> Spot | None:
    if rng.random() > 0.15:
        return None
    turn, z = rng.uniform(-np.pi, np.pi), rng.uniform(-10, 50)
    reach = _cross_section(z, axes[0])
    centre = (z, float(axes[1] * reach * np.sin(turn)), float(axes[2] * reach * np.cos(turn)))
    return Spot(centre, rng.uniform(7, 20), rng.uniform(25, 130))


def _within(
    rng: np.random.Generator, axes: tuple[float, float, float], share: float
) -> tuple[float, float, float]:
    z, y, x = (float(axis * share * rng.uniform(-1, 1)) for axis in axes)
    return max(z, BASE_MM * 0.8), y, x


def render(head: Head, z_mm: float) -> Image:
    """HU of an infinitely thin cut at a height, without bleed, noise or blur."""
    outer, depth = head.outer_depth_mm(z_mm), head.depth_mm(z_mm)
    y, x = head.frame()
    hu = np.full_like(outer, -1000)
    _scalp(hu, head, z_mm, outer, y, x)
    hu[outer > 0] = head.bone_hu
    if head.defect is not None:
        hu[_ball(head.defect, z_mm) & (outer > 0)] = head.defect.density_hu
    cavity = depth > 0
    brain = _brain(head, z_mm, depth, y, x)
    hu[cavity] = brain[cavity]
    _spots(hu, head, z_mm, cavity)
    _skull_base(hu, head, z_mm, outer, y, x)
    return hu


def _scalp(hu: Image, head: Head, z_mm: float, outer: Image, y: Image, x: Image) -> None:
    """Fat under a thin skin, and muscles as bright as a bleed: at the temples, and low at the nape."""
    side = (np.abs(x) > 0.6 * head.half_axes_mm[2]) & (z_mm < 30)
    nape = (y > 0.3 * head.half_axes_mm[1]) & (z_mm < -15)
    thickness = head.scalp_mm + np.where(side, 5.0, 0.0) + np.where(nape, min(14.0, -0.4 * z_mm), 0.0)
    hu[outer > -thickness] = -80
    hu[(outer > -thickness) & (outer < 2.5 - thickness)] = head.skin_hu
    meat = (side | nape) & (outer > 2 - thickness) & (head.muscle.at(z_mm) > -0.3)
    hu[meat] = head.muscle_hu
    _ears(hu, head, z_mm, y, x)


def _ears(hu: Image, head: Head, z_mm: float, y: Image, x: Image) -> None:
    if -50 < z_mm < -5:
        lateral, sagittal = np.abs(x) - head.half_axes_mm[2] - 7, y - 0.15 * head.half_axes_mm[1]
        ear = (lateral / 8) ** 2 + (sagittal / 16) ** 2 < 1 + 0.6 * head.face.at(z_mm)
        hu[ear & (hu < -900)] = head.skin_hu


def _brain(head: Head, z_mm: float, depth: Image, y: Image, x: Image) -> Image:
    gyri, sulci = head.gyri.at(z_mm), head.sulci.at(z_mm)
    cortex = 1 / (1 + np.exp(np.clip((depth - 7 - 3 * gyri) / 2, -20, 20)))
    brain = head.white_hu + (head.grey_hu - head.white_hu) * cortex + 1.2 * gyri
    brain[(np.abs(sulci) < 0.04 + 0.04 * head.atrophy_mm) & (depth < 14)] = head.csf_hu
    brain[depth < head.atrophy_mm + 0.5 * gyri] = head.csf_hu
    if head.infarct is not None:
        brain[_ball(head.infarct, z_mm) & (np.abs(brain - head.csf_hu) > 1)] = head.infarct.density_hu
    brain[_fluid(head, z_mm, y, x, gyri)] = head.csf_hu
    veins = _veins(head, z_mm, depth, y, x)
    brain[veins] = head.sinus_hu
    falx = (np.abs(x) < 1.0) & (np.abs(y) > 0.4 * head.half_axes_mm[1]) & (z_mm > -10)
    brain[falx] += 12
    return brain


def _fluid(head: Head, z_mm: float, y: Image, x: Image, border: Image) -> Mask:
    """Lateral ventricles above, basal cisterns and fourth ventricle below."""
    if z_mm < -8:
        cistern: Mask = np.hypot(y / 14, x / 16) + 0.5 * border < 0.45 + 0.05 * head.ventricle_mm
        return cistern
    rise = 1 - ((z_mm - 14) / 22) ** 2
    if rise <= 0:
        return np.zeros_like(y, dtype=bool)
    width, length = head.ventricle_mm * np.sqrt(rise), 30 * np.sqrt(rise)
    arms = (np.abs(x) - 7 - 0.12 * np.abs(y)) / width
    ventricles: Mask = np.hypot(arms, y / length) + 0.12 * border < 1
    return ventricles


def _veins(head: Head, z_mm: float, depth: Image, y: Image, x: Image) -> Mask:
    """The sagittal sinus behind, the transverse sinuses low at the back: dense, normal, along the skull."""
    sagittal = (depth + 1.5 * np.abs(x) < 8) & (y > 0) & (z_mm > -15)
    vertex = (np.abs(x) < 4) & (z_mm > 0.85 * head.top_mm)
    transverse = (depth < 4) & (y > 0.45 * head.half_axes_mm[1]) & (-26 < z_mm < -15)
    veins: Mask = sagittal | vertex | transverse
    return veins


def _ball(spot: Spot, z_mm: float) -> Mask:
    rows, columns = grid_mm()
    z, y, x = spot.centre_mm
    ball: Mask = (rows - y) ** 2 + (columns - x) ** 2 + (z_mm - z) ** 2 < spot.radius_mm**2
    return ball


def _spots(hu: Image, head: Head, z_mm: float, cavity: Mask) -> None:
    for spot in head.spots:
        hu[_ball(spot, z_mm) & cavity] = spot.density_hu


def _skull_base(hu: Image, head: Head, z_mm: float, outer: Image, y: Image, x: Image) -> None:
    """Petrous bones and, from the front, the face, which takes over the whole slice below the base."""
    if z_mm >= -12.5:
        return
    sagittal, lateral = head.half_axes_mm[1:]
    low = min(1.0, (z_mm + 12) / (BASE_MM + 12))
    along, across = np.abs(x) - 0.55 * lateral, y - 0.05 * sagittal - 0.35 * (np.abs(x) - 0.55 * lateral)
    petrous = (along / (0.42 * lateral)) ** 2 + (across / (10 * low)) ** 2 < 1
    hu[petrous & (outer > 0)] = np.where(head.air.at(z_mm) > 0.9, -500, 1.1 * head.bone_hu)[
        petrous & (outer > 0)
    ]
    front = sagittal * (-1 + 0.75 * low) if z_mm > BASE_MM else np.inf
    hu[(y < front + 4) & (outer > 0)] = head.bone_hu
    face = (y < front) & (outer > -head.scalp_mm)
    hu[face] = _face(head, z_mm)[face]
    if z_mm < -18:
        _eyes(hu, head, z_mm, y, x)


def _eyes(hu: Image, head: Head, z_mm: float, y: Image, x: Image) -> None:
    """Two globes in fat; the lens and the lids are as dense as a bleed."""
    forward, sideways, up = y + 0.85 * head.half_axes_mm[1], np.abs(x) - 31, z_mm + 32
    radius = np.sqrt(forward**2 + sideways**2 + up**2)
    hu[radius < 18] = -90
    hu[(radius < 17) & (forward < -10)] = head.muscle_hu
    hu[radius < 12.5] = 45
    hu[radius < 11] = 18
    hu[(forward + 9) ** 2 / 4 + (sideways**2 + up**2) / 25 < 1] = 85


def _face(head: Head, z_mm: float) -> Image:
    """Fat, muscle, thin bones and air-filled sinuses without any plan: so a face looks to a network."""
    face, air, muscle = head.face.at(z_mm), head.air.at(z_mm), head.muscle.at(z_mm)
    hu = np.where(muscle > 0, head.muscle_hu, -90.0).astype(np.float32)
    hu[air > 1.0] = -950
    hu[(np.abs(face) < 0.12) | (np.abs(air - 1.0) < 0.12)] = 0.8 * head.bone_hu
    return hu
