from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import StudyTooLarge
from imaging.dicomweb.receive_buffers import BlockPool, ReceiveBuffers


@given(sizes=st.lists(st.integers(1, 12 * 2**20), max_size=8))
@settings(max_examples=20, deadline=None)
def test_no_two_parts_share_a_byte(sizes: list[int]) -> None:
    buffers = ReceiveBuffers(2**40, BlockPool())
    parts = [buffers.take(size) for size in sizes]
    for mark, part in enumerate(parts):
        np.frombuffer(part, np.uint8)[:] = mark
    assert [len(part) for part in parts] == sizes
    assert all((np.frombuffer(part, np.uint8) == mark).all() for mark, part in enumerate(parts))


def test_memory_is_lent_again_only_when_nothing_points_into_it() -> None:
    pool = BlockPool()
    view = np.frombuffer(pool.lend(), np.uint8)[100:200]
    gc.collect()
    assert address_of(pool.lend()) != view.ctypes.data - 100
    held = view.ctypes.data - 100
    del view
    gc.collect()
    assert held in {address_of(block) for block in [pool.lend(), pool.lend()]}


def address_of(block: memoryview) -> int:
    return int(np.frombuffer(block, np.uint8).ctypes.data)


def test_a_length_that_cannot_be_meant_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(StudyTooLarge, match="one instance has"):
        ReceiveBuffers(2**33, BlockPool()).take(10**17)


def test_a_part_larger_than_a_block_is_served() -> None:
    assert len(ReceiveBuffers(2**40, BlockPool()).take(40 * 2**20)) == 40 * 2**20
