"""The bombs that the stories throw are valid: what they harm by is their size alone."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from core.errors import PixelsTooLarge
from imaging.archive import FetchLimits
from imaging.assemble import declared_bytes, to_volume
from imaging.pixel_limits import HELD_BY_A_READER, HELD_PER_DECODED, PixelLimits, room_bytes
from tests.bombs import rle_bomb
from tests.ct import encoded


def test_a_bomb_of_another_size_is_a_study_like_any_other() -> None:
    datasets = list(rle_bomb("small", slices=12, size=300))
    assert to_volume(datasets).voxels.shape == (12, 300, 300)
    assert len(encoded(datasets[0])) < 300 * 300 * 2 / 20


def test_a_bomb_is_refused_by_its_headers_where_its_reader_could_not_hold_it() -> None:
    bomb = list(rle_bomb("bomb", slices=12, size=3000))
    decoded = 12 * 3000 * 3000 * 2
    assert declared_bytes(bomb) == decoded
    enough = int(HELD_BY_A_READER + HELD_PER_DECODED * decoded)
    with pytest.raises(PixelsTooLarge, match="decode to more than"):
        to_volume(bomb, limits=PixelLimits().within(enough - 2**20))
    assert PixelLimits().within(enough).study_bytes >= decoded


def test_a_series_that_does_not_describe_its_pixels_declares_nothing() -> None:
    assert declared_bytes([]) == declared_bytes([Dataset()]) == 0


def test_a_reader_receives_no_more_than_it_may_hold_and_no_more_than_the_site_says() -> None:
    assert FetchLimits().within(1200 << 20).max_bytes == room_bytes(1200 << 20)
    assert FetchLimits(max_bytes=7).within(1200 << 20).max_bytes == 7
    assert PixelLimits(7, 8).within(1200 << 20) == PixelLimits(7, 8)
