"""The bombs that the stories throw are valid: what they harm by is their size alone."""

from __future__ import annotations

from imaging.assemble import to_volume
from tests.bombs import rle_bomb
from tests.ct import encoded


def test_a_bomb_of_another_size_is_a_study_like_any_other() -> None:
    datasets = list(rle_bomb("small", slices=12, size=300))
    assert to_volume(datasets).voxels.shape == (12, 300, 300)
    assert len(encoded(datasets[0])) < 300 * 300 * 2 / 20
