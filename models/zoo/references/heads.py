"""Genuine head CTs by the number: procedural people, and one real head in many scans."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from imaging.samples.catalogue import SAMPLES
from models.zoo.ich.anatomy import FACE_MM, draw_head
from models.zoo.ich.bleed import BleedKind, draw_bleed
from models.zoo.ich.phantom import PIXEL_MM, expose
from models.zoo.ich.real_head import SPACING_MM, RealHead, load, whole_head
from models.zoo.ich.scanner import draw_scan
from models.zoo.references.studies import Stack, field_of_view, part_of, resized

AIR_HU: Final = -1000.0
METAL_SHARE, THICK_SHARE, BLEED_SHARE = 0.1, 0.5, 0.4
STEP_MM: Final = 5.0  # the check looks no closer


def phantom_head(seed: int, step_mm: float = STEP_MM) -> Stack:
    """One procedural person: thin or thick slices, `step_mm` apart, from about the face to the vertex."""
    rng = np.random.default_rng((seed, 7))
    head = draw_head(rng, METAL_SHARE)
    scan = draw_scan(rng, thick=bool(rng.random() < THICK_SHARE))
    heights = np.arange(FACE_MM + rng.uniform(0, 25), head.half_axes_mm[0] + rng.uniform(-8, 12), step_mm)
    bleed = None
    if rng.random() < BLEED_SHARE:
        kind, at = rng.choice([BleedKind.RIM, BleedKind.INTRA_AXIAL]), float(rng.uniform(-25, 50))
        bleed = draw_bleed(rng, BleedKind(kind), at, head.depth_mm(at), head.grey_hu)
    slices = [expose(rng, head, scan, float(height), bleed).hu for height in heights]
    return field_of_view(rng, Stack(np.stack(slices), (step_mm, PIXEL_MM, PIXEL_MM)), AIR_HU)


def load_real_head(cache: Path) -> RealHead:
    """The head of the sample at 2 mm. Raises SampleUnavailable."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Cranium.inv3"
        path.write_bytes(SAMPLES["head-ct"].file.read(cache, lambda _: None))
        return load(path)


def real_head(head: RealHead, seed: int) -> Stack:
    """The real person in another scan: turned, mirrored or not, other slices, noise, size and calibration; half of
    them with an inserted bleed.
    """
    rng = np.random.default_rng((seed, 11))
    is_thick = bool(rng.random() < 0.5)
    hu = np.asarray(whole_head(head, seed, thick=is_thick).hu, np.float32)
    up = SPACING_MM[0] * (3 if is_thick else 1)
    stack = part_of(rng, Stack(hu, (up, PIXEL_MM, PIXEL_MM)))
    noisy = stack.voxels + rng.normal(0, rng.uniform(0, 8), stack.voxels.shape) + rng.normal(0, 3)
    stack = resized(Stack(noisy, stack.spacing_mm), float(rng.uniform(0.93, 1.07)))
    return field_of_view(rng, stack, AIR_HU)


def native_head(sample: Stack, seed: int) -> Stack:
    """The sample's own voxels: fewer of its slices, another field of view, more noise."""
    rng = np.random.default_rng((seed, 13))
    stack = part_of(rng, sample)
    noisy = stack.voxels + rng.normal(0, rng.uniform(0, 6), stack.voxels.shape).astype(np.float32)
    return field_of_view(rng, Stack(noisy, stack.spacing_mm), AIR_HU)
