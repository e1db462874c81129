"""A segmentation comes back as it was packed, and two overlap as sets do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from imaging.packed_mask import BrokenMask, Mask, dice, pack, unpack

SHAPES = array_shapes(min_dims=3, max_dims=3, max_side=9)
MASKS = SHAPES.flatmap(lambda shape: arrays(np.bool_, shape))
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(arrays(np.bool_, shape), arrays(np.bool_, shape)))


@given(MASKS)
def test_what_is_packed_comes_back(mask: Mask) -> None:
    again = unpack(pack(mask))
    assert again.dtype == mask.dtype
    np.testing.assert_array_equal(again, mask)


@given(PAIRS)
def test_the_overlap_is_that_of_two_sets_of_voxels(pair: tuple[Mask, Mask]) -> None:
    one, other = ({tuple(index) for index in np.argwhere(mask)} for mask in pair)
    total = len(one) + len(other)
    assert dice(*pair) == (2 * len(one & other) / total if total else 1.0)
    assert dice(*pair) == dice(*pair[::-1])


@given(st.binary(max_size=200))
def test_bytes_that_are_no_mask_are_told_and_never_crash(found: bytes) -> None:
    try:
        mask = unpack(found)
    except BrokenMask:
        return
    assert mask.ndim == 3


def test_a_mask_that_was_cut_off_is_no_smaller_mask() -> None:
    packed = pack(np.random.default_rng(0).random((4, 40, 40)) > 0.5)
    for length in (0, 20, len(packed) // 2):
        with pytest.raises(BrokenMask):
            unpack(packed[:length])


def test_a_small_segment_of_a_large_volume_takes_few_bytes() -> None:
    mask = np.zeros((40, 512, 512), dtype=bool)
    z, y, x = np.ogrid[:40, :512, :512]
    mask[(z - 20) ** 2 * 16 + (y - 200) ** 2 + (x - 300) ** 2 < 60**2] = True
    assert len(pack(mask)) < mask.size // 500


def test_masks_of_two_volumes_have_no_overlap() -> None:
    with pytest.raises(ValueError, match="shapes"):
        dice(np.zeros((1, 2, 3), bool), np.zeros((1, 3, 2), bool))
