"""What a phantom promises: one seed one person, labels that say what is visible, HU of a scanner."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.zoo.ich.anatomy import draw_head
from models.zoo.ich.bleed import BleedKind, draw_bleed
from models.zoo.ich.fields import SIZE, smooth_field
from models.zoo.ich.phantom import VISIBLE_MM2, Mixture, slice_phantom, study_phantom

seeds = st.integers(0, 2**31)


@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_one_seed_is_one_person(seed: int) -> None:
    once, again = slice_phantom(seed), slice_phantom(seed)
    assert np.array_equal(once.hu, again.hu)
    assert once.labels == again.labels


def test_two_seeds_are_two_persons() -> None:
    assert not np.array_equal(slice_phantom(1).hu, slice_phantom(2).hu)


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_a_scan_without_metal_stays_on_the_12_bit_scale(seed: int) -> None:
    phantom = slice_phantom(seed)
    assert phantom.hu.shape == (SIZE, SIZE)
    assert phantom.hu.dtype == np.float32
    assert phantom.hu.min() >= -1024
    assert phantom.hu.max() <= 3071


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_a_label_says_what_is_visible(seed: int) -> None:
    phantom = slice_phantom(seed, Mixture(bleed=0.8))
    area = float(phantom.bleed_share.sum()) * 4
    assert phantom.labels.positive == (area >= VISIBLE_MM2)
    assert 0 <= phantom.bleed_share.min() <= phantom.bleed_share.max() <= 1


def test_bleeds_are_denser_than_brain_and_softer_than_bone() -> None:
    phantoms = [slice_phantom(seed, Mixture(bleed=1, thick=0, rim=0)) for seed in range(60)]
    densities = [float(np.median(p.hu[p.bleed_share > 0.99])) for p in phantoms if p.labels.bleed_mm2 > 100]
    assert len(densities) > 30
    assert 50 < np.median(densities) < 75
    assert min(densities) > 35


@given(seed=seeds, rim=st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_rim_bleed_lies_along_the_skull_and_no_bleed_leaves_the_head(seed: int, rim: bool) -> None:
    rng = np.random.default_rng(seed)
    head = draw_head(rng)
    depth = head.depth_mm(10.0)
    bleed = draw_bleed(rng, BleedKind.RIM if rim else BleedKind.INTRA_AXIAL, 10.0, depth, head.grey_hu)
    where = bleed.at(10.0, depth)
    assert where.any()
    assert depth[where].min() > 0
    if rim:
        assert depth[where].max() < 9


@pytest.mark.parametrize("shares", [Mixture(bleed=0), Mixture(bleed=1, rim=1, thick=0)])
def test_a_mixture_is_obeyed(shares: Mixture) -> None:
    kinds = {slice_phantom(seed, shares).labels.kind for seed in range(40)}
    expected = BleedKind.RIM if shares.bleed else BleedKind.NONE
    assert expected in kinds
    assert kinds <= {expected, BleedKind.NONE}


def test_thick_slices_are_smoother_than_thin_ones() -> None:
    def noise(thick: float) -> float:
        slices = [slice_phantom(seed, Mixture(thick=thick, face=0)).hu for seed in range(40)]
        return float(np.median([np.abs(np.diff(hu[60:68, 60:68])).mean() for hu in slices]))

    assert noise(1.0) < 0.7 * noise(0.0)


def test_metal_leaves_the_12_bit_scale() -> None:
    studies = [study_phantom(seed, Mixture(metal=1, thick=1)) for seed in range(4)]
    assert all(study.labels.metal and study.hu.max() > 3071 for study in studies)


@given(seed=seeds)
@settings(max_examples=5, deadline=None)
def test_a_bleeding_head_shows_it_in_neighbouring_slices(seed: int) -> None:
    study = study_phantom(seed, Mixture(bleed=1, thick=1))
    bleeding = np.flatnonzero(study.bleeding)
    assert study.hu.shape == (len(study.bleeding), SIZE, SIZE)
    assert len(bleeding) == 0 or bleeding[-1] - bleeding[0] < len(study.bleeding) / 2


def test_a_smooth_field_has_unit_variance_and_the_asked_length() -> None:
    rng = np.random.default_rng(0)
    fields = np.stack([smooth_field(rng, 10) for _ in range(40)])
    assert fields.std() == pytest.approx(1, abs=0.1)
    near = (fields[:, :, 2:] * fields[:, :, :-2]).mean()
    far = (fields[:, :, 30:] * fields[:, :, :-30]).mean()
    assert near > 0.7
    assert abs(far) < 0.1
