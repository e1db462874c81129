"""Labelled head-CT phantoms: single slices to learn from, whole heads to triage. One seed is one person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.zoo.ich.anatomy import FACE_MM, Head, draw_head, render
from models.zoo.ich.bleed import Bleed, BleedKind, draw_bleed
from models.zoo.ich.fields import PIXEL_MM, SIZE, Image, Mask
from models.zoo.ich.scanner import Scan, acquire, draw_scan

__all__ = ["PIXEL_MM", "SIZE", "Labels", "Mixture", "Phantom", "Study", "slice_phantom", "study_phantom"]

METAL_HU = 4000.0
VISIBLE_MM2 = 30.0


@dataclass(frozen=True, slots=True)
class Mixture:
    """Shares of a set of phantoms, each in [0, 1]; `rim` among the bleeds, `face` among the healthy."""

    bleed: float = 0.5
    rim: float = 0.4
    thick: float = 0.3
    metal: float = 0.0
    face: float = 0.15


@dataclass(frozen=True, slots=True)
class Labels:
    """What is true of a phantom: the target and the strata it is counted in."""

    kind: BleedKind
    thick: bool
    noisy: bool
    calcified: bool
    metal: bool
    bleed_mm2: float

    @property
    def positive(self) -> bool:
        return self.kind is not BleedKind.NONE


@dataclass(frozen=True, slots=True)
class Phantom:
    """An axial slice in HU, `(SIZE, SIZE)` at PIXEL_MM, row 0 anterior; `bleed_share` per pixel in [0, 1]."""

    hu: Image
    bleed_share: Image
    labels: Labels


@dataclass(frozen=True, slots=True)
class Exposure:
    """One slice in HU, the share of each pixel that bleeds, and whether metal lies in it."""

    hu: Image
    bleed_share: Image
    metal: bool

    @property
    def bleed_mm2(self) -> float:
        return float(self.bleed_share.sum()) * PIXEL_MM**2


@dataclass(frozen=True, slots=True)
class Study:
    """One head from the face to the vertex, `(slices, SIZE, SIZE)` in HU; `bleeding` per slice."""

    hu: Image
    bleeding: Mask
    spacing_mm: tuple[float, float, float]
    labels: Labels


DEFAULT = Mixture()


def slice_phantom(seed: int, mixture: Mixture = DEFAULT) -> Phantom:
    """One person, one slice. The label says what is visible in it, not what was drawn."""
    rng = np.random.default_rng(seed)
    head = draw_head(rng, mixture.metal)
    scan = draw_scan(rng, thick=bool(rng.random() < mixture.thick))
    kind = _draw_kind(rng, mixture)
    z = _draw_height(rng, head, kind, mixture)
    bleed = draw_bleed(rng, kind, z, head.depth_mm(z), head.grey_hu) if kind is not BleedKind.NONE else None
    shot = expose(rng, head, scan, z, bleed)
    visible = bleed if shot.bleed_mm2 >= VISIBLE_MM2 else None
    return Phantom(shot.hu, shot.bleed_share, _labels(head, scan, visible, shot.bleed_mm2, shot.metal))


def study_phantom(seed: int, mixture: Mixture = DEFAULT) -> Study:
    """One person, the whole head, slices a thickness apart, ascending."""
    rng = np.random.default_rng(seed)
    head = draw_head(rng, mixture.metal)
    scan = draw_scan(rng, thick=bool(rng.random() < mixture.thick))
    kind = _draw_kind(rng, mixture)
    z = _draw_height(rng, head, kind, Mixture(face=0.0))
    bleed = draw_bleed(rng, kind, z, head.depth_mm(z), head.grey_hu) if kind is not BleedKind.NONE else None
    heights = np.arange(FACE_MM, head.half_axes_mm[0] + 4, scan.thickness_mm)
    shots = [expose(rng, head, scan, float(height), bleed) for height in heights]
    areas = np.array([shot.bleed_mm2 for shot in shots])
    labels = _labels(head, scan, bleed, float(areas.max()), any(shot.metal for shot in shots))
    spacing = (scan.thickness_mm, PIXEL_MM, PIXEL_MM)
    return Study(np.stack([shot.hu for shot in shots]), areas >= VISIBLE_MM2, spacing, labels)


def _draw_kind(rng: np.random.Generator, mixture: Mixture) -> BleedKind:
    bleeds, rim = rng.random() < mixture.bleed, rng.random() < mixture.rim
    if not bleeds:
        return BleedKind.NONE
    return BleedKind.RIM if rim else BleedKind.INTRA_AXIAL


def _draw_height(rng: np.random.Generator, head: Head, kind: BleedKind, mixture: Mixture) -> float:
    """A bleed is drawn where there is brain; a healthy slice may also show the face or the vertex."""
    if kind is not BleedKind.NONE:
        return float(rng.uniform(-25, 0.8 * head.top_mm))
    if rng.random() < mixture.face:
        return float(rng.uniform(FACE_MM, -40))
    return float(rng.uniform(-45, head.half_axes_mm[0]))


def expose(rng: np.random.Generator, head: Head, scan: Scan, z_mm: float, bleed: Bleed | None) -> Exposure:
    """One slice: the mean of its thin cuts, as the scanner shows it."""
    heights = scan.heights_mm(z_mm)
    total, share, metal = (np.zeros((SIZE, SIZE), np.float32) for _ in range(3))
    for height in heights:
        hu = render(head, height)
        metal += hu > METAL_HU
        if bleed is not None:
            share += _insert(bleed, head, height, hu)
        total += hu
    count = len(heights)
    hu = acquire(rng, scan, total / count, metal > 0 if metal.any() else None)
    return Exposure(hu, share / count, bool(metal.any()))


def _insert(bleed: Bleed, head: Head, z_mm: float, hu: Image) -> Mask:
    """Write the bleed into a cut, where there is soft tissue or fluid; return where."""
    inside = bleed.at(z_mm, head.depth_mm(z_mm)) & (hu > -50) & (hu < 90)
    hu[inside] = bleed.density_hu + 2 * bleed.border[inside]
    return inside


def _labels(head: Head, scan: Scan, bleed: Bleed | None, area_mm2: float, metal: bool) -> Labels:
    calcified = any(spot.density_hu < METAL_HU for spot in head.spots)
    kind = BleedKind.NONE if bleed is None else bleed.kind
    return Labels(kind, scan.thick, scan.noisy, calcified, metal, area_mm2 if bleed is not None else 0.0)
