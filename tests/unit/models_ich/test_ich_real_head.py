"""The external set's own code, on a stand-in head: the real one is fetched by `evaluate`, never committed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.zoo.ich import real_head
from models.zoo.ich.anatomy import draw_head, render
from models.zoo.ich.bleed import BleedKind
from models.zoo.ich.fields import SIZE

SEEDS = range(40)


@pytest.fixture(scope="module")
def stand_in() -> real_head.RealHead:
    head = draw_head(np.random.default_rng(4))
    heights = [1.5 * index - 70 for index in range(real_head.SHAPE[0])]
    hu = np.stack([render(head, z) for z in heights]).astype(np.float32)
    return real_head.RealHead(hu, np.stack([head.depth_mm(z) for z in heights]))


def test_rows_stored_posterior_first_come_out_anterior_first(tmp_path: Path) -> None:
    voxels = np.full(real_head.SHAPE, -1000, "<i2")
    voxels[50, 240:, 100:150] = 1000
    path = tmp_path / "matrix.dat"
    path.write_bytes(voxels.tobytes())
    loaded = real_head.load(path)
    assert loaded.hu.shape == (108, SIZE, SIZE)
    rows = np.flatnonzero((loaded.hu[50] > 500).any(1))
    assert len(rows) > 0
    assert rows.max() < SIZE / 4


def test_one_seed_is_one_case(stand_in: real_head.RealHead) -> None:
    once, again = (real_head.one_slice(stand_in, 5, thick=False) for _ in range(2))
    assert np.array_equal(once.hu, again.hu)
    assert once.labels == again.labels


def test_the_head_itself_is_never_written_to(stand_in: real_head.RealHead) -> None:
    before = stand_in.hu.copy()
    for seed in SEEDS:
        real_head.one_slice(stand_in, seed, thick=False)
    assert np.array_equal(stand_in.hu, before)


def test_about_half_of_the_cases_bleed_in_both_ways(stand_in: real_head.RealHead) -> None:
    kinds = [real_head.one_slice(stand_in, seed, thick=False).labels.kind for seed in range(80)]
    assert set(kinds) == set(BleedKind)
    assert 20 < sum(kind is BleedKind.NONE for kind in kinds) < 60


def test_a_thick_slice_is_the_mean_of_three(stand_in: real_head.RealHead) -> None:
    assert real_head.one_slice(stand_in, 3, thick=True).hu.shape == (1, SIZE, SIZE)
    assert real_head.whole_head(stand_in, 3, thick=True).hu.shape == (36, SIZE, SIZE)
    assert real_head.whole_head(stand_in, 3, thick=False).hu.shape == (108, SIZE, SIZE)
