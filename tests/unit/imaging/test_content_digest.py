"""What names a study's content: everything that a version and its report take of it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from imaging.assemble import to_volume
from imaging.content_digest import content_digest
from tests.ct import ct_series, ct_slice


def digest(images: list[Dataset]) -> str:
    return content_digest(images, to_volume(images))


@given(order=st.permutations(range(5)))
@settings(max_examples=10)
def test_the_order_of_arrival_does_not_matter(order: list[int]) -> None:
    assert digest([ct_slice(index) for index in order]) == digest(ct_series())


@pytest.mark.parametrize(
    "change",
    [
        {"PatientName": "OTHER^NAME"},
        {"PatientAge": "017Y"},
        {"AccessionNumber": "ACC2"},
        {"RescaleIntercept": -1024},
        {"SOPInstanceUID": "1.2.3.4"},
        {"SeriesDescription": "AX NECK"},
    ],
)
def test_whatever_changes_in_the_first_slice_changes_it(change: dict[str, Any]) -> None:
    changed = [ct_slice(0, **change), *ct_series()[1:]]
    assert digest(changed) != digest(ct_series())


def test_other_pixels_under_the_same_uids_are_another_input() -> None:
    other = ct_series()
    other[3].PixelData = other[2].PixelData
    assert digest(other) != digest(ct_series())


def test_another_rescale_slope_of_one_slice_is_another_input() -> None:
    assert digest([*ct_series(4), ct_slice(4, RescaleSlope=2)]) != digest(ct_series())


def test_a_slice_more_is_another_input() -> None:
    assert digest(ct_series(6)) != digest(ct_series(5))


def test_what_a_reader_must_know_of_the_input_is_part_of_it() -> None:
    noted = replace(to_volume(ct_series()), notes=("two files could not be read",))
    assert content_digest(ct_series(), noted) != digest(ct_series())
