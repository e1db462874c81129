"""From voxels to the tensor, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BrokenGeometry, UndecodablePixels, UnsupportedSeries
from imaging.series import Plane, SeriesRule
from models.export import dynamic_axes
from models.masks import mask_on_source
from models.prepare import prepare
from models.spec import Channel, Fit, Interpolation, Layout, Scaling
from tests.unit.models.builders import geometry, input_spec, ramp, volume


def test_without_any_wish_the_voxels_stay_as_they_are() -> None:
    prepared = prepare(volume(ramp()), input_spec())
    assert prepared.tensor.dtype == torch.float32
    assert np.array_equal(prepared.tensor[:, 0].numpy(), ramp())
    assert prepared.slices == (0, 1, 2, 3)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_the_shared_volume_is_never_written(dtype: Any) -> None:
    source = volume(ramp().astype(dtype), inverted=True)
    prepared = prepare(source, input_spec(channels=(Channel(Scaling.WINDOW, 0, 10),)))
    prepared.tensor.zero_()
    assert np.array_equal(source.voxels, ramp())


def test_layouts_have_their_shapes() -> None:
    def shape(layout: Layout, slices: int) -> tuple[int, ...]:
        two = (Channel(Scaling.NONE), Channel(Scaling.WINDOW, 0, 1))
        return tuple(prepare(volume(ramp(slices)), input_spec(layout=layout, channels=two)).tensor.shape)

    assert shape(Layout.SLICES, 4) == (4, 2, 6, 8)
    assert shape(Layout.VOLUME, 4) == (1, 2, 4, 6, 8)
    assert shape(Layout.IMAGE, 1) == (1, 2, 6, 8)


def test_a_window_is_linear_exact() -> None:
    """PS3.3 C.11.2.1.3.2: centre 40, width 80 puts 0 HU at 0, 40 at a half and 80 at 1."""
    hu = np.array([[[-1000, 0, 20, 40, 80, 3000]]], np.int16)
    prepared = prepare(volume(hu), input_spec(channels=(Channel(Scaling.WINDOW, 0, 80),)))
    assert prepared.tensor.flatten().tolist() == pytest.approx([0, 0, 0.25, 0.5, 1, 1])


def test_each_channel_has_its_own_window_and_padding_is_scaled_too() -> None:
    channels = (Channel(Scaling.WINDOW, 0, 100), Channel(Scaling.WINDOW, -1000, 1000))
    spec = input_spec(channels=channels, size=(0, 8, 8), pad_value=-500.0)
    tensor = prepare(volume(np.full((1, 4, 4), 50, np.int16)), spec).tensor
    assert tensor[0, :, 0, 0].tolist() == [0.0, 0.25]
    assert tensor[0, :, 4, 4].tolist() == pytest.approx([0.5, 0.525])


def test_percentiles_are_of_the_image_and_not_of_its_padding() -> None:
    spec = input_spec(channels=(Channel(Scaling.PERCENTILE, 0, 100),), size=(0, 60, 80), pad_value=-9000.0)
    tensor = prepare(volume(ramp(1)), spec).tensor
    inner = tensor[0, 0, 27:33, 36:44]
    assert float(inner.min()) == 0.0
    assert float(inner.max()) == 1.0
    assert np.allclose(inner.numpy(), ramp(1)[0] / 47)


@pytest.mark.parametrize("scaling", [Scaling.PERCENTILE, Scaling.WINDOW])
def test_an_image_of_one_brightness_stays_finite(scaling: Scaling) -> None:
    spec = input_spec(channels=(Channel(scaling, 1, 99),))
    assert torch.isfinite(prepare(volume(np.full((1, 4, 4), 7, np.int16)), spec).tensor).all()


def test_monochrome1_is_mirrored_within_its_own_range() -> None:
    tensor = prepare(volume(np.array([[[100, 300, 400]]], np.int16), inverted=True), input_spec()).tensor
    assert tensor.flatten().tolist() == [400, 200, 100]


def test_the_whole_range_of_16_bits_is_mirrored_without_overflow() -> None:
    tensor = prepare(volume(np.array([[[-32768, 32767]]], np.int16), inverted=True), input_spec()).tensor
    assert tensor.flatten().tolist() == [32767, -32768]


def test_padding_and_cutting_keep_the_centre() -> None:
    padded = prepare(volume(ramp(1)), input_spec(size=(0, 8, 4), pad_value=-1.0)).tensor[0, 0]
    assert padded.shape == (8, 4)
    assert torch.all(padded[[0, 7]] == -1)
    assert np.array_equal(padded[1:7].numpy(), ramp(1)[0][:, 2:6])


def test_a_zero_keeps_the_sources_axis() -> None:
    spec = input_spec(spacing_mm=(0.0, 0.5, 0.0), size=(0, 12, 0))
    assert prepare(volume(ramp()), spec).tensor.shape == (4, 1, 12, 8)


def test_spacing_changes_the_grid_and_not_what_is_shown() -> None:
    """A plane of brightness along x stays that plane at any spacing, away from the edges."""
    x = np.broadcast_to(np.arange(32, dtype=np.float32) * 10, (1, 32, 32))
    finer = prepare(volume(x), input_spec(spacing_mm=(0.0, 0.5, 0.5))).tensor[0, 0, 30]
    expected = (torch.arange(64) + 0.5) / 2 * 10 - 5
    assert torch.allclose(finer[4:-4], expected[4:-4], atol=1e-3)


def test_shrinking_averages_what_it_drops() -> None:
    board = np.indices((1, 64, 64)).sum(0) % 2 * 100.0
    smaller = prepare(volume(board.astype(np.float32)), input_spec(spacing_mm=(0.0, 4.0, 4.0))).tensor
    assert torch.allclose(smaller, torch.tensor(50.0), atol=4)


def test_contain_keeps_the_aspect() -> None:
    spec = input_spec(layout=Layout.IMAGE, size=(0, 64, 64), fit=Fit.CONTAIN, pad_value=-1.0)
    tensor = prepare(volume(np.full((1, 100, 50), 5, np.int16)), spec).tensor[0, 0]
    assert (tensor == -1).sum() == 64 * 32
    assert torch.allclose(tensor[:, 16:48], torch.tensor(5.0))


def test_stretch_fills_the_size() -> None:
    spec = input_spec(layout=Layout.VOLUME, size=(8, 8, 8), fit=Fit.STRETCH)
    assert prepare(volume(ramp()), spec).tensor.shape == (1, 1, 8, 8, 8)


@pytest.mark.parametrize(
    ("modality", "slices", "layout", "rule"),
    [
        ("US", 4, Layout.SLICES, SeriesRule(("CT",))),
        ("CT", 4, Layout.IMAGE, SeriesRule(("CT",))),
        ("CT", 4, Layout.SLICES, SeriesRule(("CT",), min_slices=5)),
        ("CT", 4, Layout.SLICES, SeriesRule(("CT",), max_slices=3)),
        ("CT", 4, Layout.SLICES, SeriesRule(("CT",), plane=Plane.SAGITTAL)),
    ],
)
def test_a_series_of_the_wrong_kind_is_refused(
    modality: str, slices: int, layout: Layout, rule: SeriesRule
) -> None:
    with pytest.raises(UnsupportedSeries):
        prepare(volume(ramp(slices), modality=modality), input_spec(series=rule, layout=layout))


@pytest.mark.parametrize(
    ("row", "column", "plane"),
    [
        ((1, 0, 0), (0, 1, 0), Plane.AXIAL),
        ((1, 0, 0), (0, 0.2, -0.98), Plane.CORONAL),
        ((0, 1, 0), (0, 0, -1), Plane.SAGITTAL),
    ],
)
def test_the_plane_is_the_closest_one(row: Any, column: Any, plane: Plane) -> None:
    lying = geometry(row_cosine=row, column_cosine=column)
    prepare(volume(ramp(), geometry=lying), input_spec(series=SeriesRule(("CT",), plane=plane)))


@pytest.mark.parametrize("spacing", [0.0, float("nan"), float("inf"), -1.0])
def test_a_model_that_needs_spacing_refuses_a_series_without(spacing: float) -> None:
    lying = geometry(spacing_mm=(1.0, spacing, spacing))
    with pytest.raises(BrokenGeometry):
        prepare(volume(ramp(1), geometry=lying), input_spec(spacing_mm=(0.0, 1.0, 1.0)))


def test_a_film_whose_spacing_is_zero_can_be_contained() -> None:
    lying = geometry(spacing_mm=(0.0, 0.0, 0.0))
    spec = input_spec(layout=Layout.IMAGE, size=(0, 16, 16), fit=Fit.CONTAIN)
    assert prepare(volume(ramp(1), geometry=lying), spec).tensor.shape == (1, 1, 16, 16)


def test_a_spacing_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(UnsupportedSeries):
        prepare(volume(ramp()), input_spec(spacing_mm=(0.001, 0.001, 0.001)))


def test_pixels_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(UndecodablePixels):
        prepare(volume(np.full((1, 2, 2), np.nan, np.float32)), input_spec())


DIRECTIONS = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "feet first": ((-1, 0, 0), (0, 1, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "tilted": ((0.95, 0.31, 0), (-0.31, 0.95, 0)),
}


@pytest.mark.parametrize("name", DIRECTIONS)
def test_ras_runs_to_the_right_the_front_and_the_top(name: str) -> None:
    """The brightness is a coordinate in the patient, so each axis must grow along its own letter."""
    row, column = (np.array(d, float) for d in DIRECTIONS[name])
    normal = np.cross(row, column)
    index = np.indices((5, 6, 7))
    spec = input_spec(layout=Layout.VOLUME, axes="RAS")
    for axis, towards in enumerate([(-1, 0, 0), (0, -1, 0), (0, 0, 1)]):
        weights = np.array([normal @ towards, column @ towards, row @ towards])
        voxels = np.tensordot(weights, index, 1).astype(np.float32)
        lying = geometry(row_cosine=tuple(row), column_cosine=tuple(column))
        tensor = prepare(volume(voxels, geometry=lying), spec).tensor[0, 0]
        assert torch.all(tensor.diff(dim=axis) > 0.9)


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    size=st.tuples(*[st.integers(0, 12)] * 3),
    name=st.sampled_from(sorted(DIRECTIONS)),
    axes=st.sampled_from(["", "RAS", "LPS", "SAR", "IPL"]),
    seed=st.integers(0, 9),
)
def test_a_mask_comes_back_onto_the_voxels_it_was_drawn_on(
    shape: tuple[int, int, int], size: tuple[int, int, int], name: str, axes: str, seed: int
) -> None:
    """Threshold the input itself: on the source that is the same threshold, except where it was cut off."""
    voxels = np.random.default_rng(seed).integers(0, 2, shape).astype(np.int16)
    row, column = DIRECTIONS[name]
    source = volume(voxels, geometry=geometry(row_cosine=row, column_cosine=column))
    prepared = prepare(source, input_spec(layout=Layout.VOLUME, axes=axes, size=size))
    mask = mask_on_source(prepared.tensor[0, 0].numpy(), prepared.placement, 0.5, Interpolation.NEAREST)
    assert mask.shape == shape
    assert not (mask & (voxels == 0)).any()
    uncut = [axis.source for axis in prepared.placement if axis.start >= 0]
    if len(uncut) == 3:
        assert np.array_equal(mask, voxels == 1)


@pytest.mark.parametrize(
    ("spec", "axes"),
    [
        (input_spec(size=(0, 256, 256), batch=8), (0,)),
        (input_spec(), (2, 3)),
        (input_spec(layout=Layout.VOLUME), (2, 3, 4)),
        (input_spec(layout=Layout.VOLUME, size=(8, 0, 8)), (3,)),
        (input_spec(layout=Layout.IMAGE, size=(0, 8, 8)), ()),
    ],
)
def test_the_axes_left_to_the_source_stay_open_in_the_graph(spec: Any, axes: tuple[int, ...]) -> None:
    assert dynamic_axes(spec) == axes


def test_an_image_in_colour_fills_a_channel_with_each_colour() -> None:
    colours = np.stack([ramp(1), ramp(1) + 100, ramp(1) + 200], axis=-1)
    rule = SeriesRule(("XC",), colour=True)
    channels = tuple(Channel(Scaling.WINDOW, low, low + 100) for low in (0, 100, 200))
    spec = input_spec(series=rule, layout=Layout.IMAGE, channels=channels, size=(1, 8, 8))
    tensor = prepare(volume(colours, modality="XC"), spec).tensor
    assert tensor.shape == (1, 3, 8, 8)
    expected = torch.from_numpy(ramp(1)[0] / np.float32(100)).clamp(0, 1)
    for colour in range(3):
        torch.testing.assert_close(tensor[0, colour, 1:7], expected)


@pytest.mark.parametrize("colour", [False, True])
def test_colour_and_grey_are_not_taken_for_each_other(colour: bool) -> None:
    voxels = ramp(1) if colour else np.stack([ramp(1)] * 3, axis=-1)
    channels = (Channel(Scaling.NONE),) * 3
    spec = input_spec(series=SeriesRule(("XC",), colour=colour), layout=Layout.IMAGE, channels=channels)
    with pytest.raises(UnsupportedSeries, match="in colour"):
        prepare(volume(voxels, modality="XC"), spec)
