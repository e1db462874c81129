"""A study is compared with a reference set by what it shows, not by what its header says."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from core.errors import ModelRefused
from imaging.finding import InputVerdict
from imaging.samples.synthetic import head_phantom
from imaging.volume import Volume
from models.input_check.check import check_input, p_value
from models.input_check.descriptor import DescriptorKind, describe, kind_for, measures_of, names_of
from models.input_check.fit import fit_reference
from models.input_check.reference import Reference, reference_from_json, reference_to_json
from models.spec import Layout
from tests.unit.models.builders import geometry, input_spec, volume

KIND = DescriptorKind.HOUNSFIELD
SPACING_MM = (7.5, 3.75, 3.75)
RATE = 0.05


def head(number: int, change: Callable[[Any], Any] = lambda hu: hu, **changes: Any) -> Volume:
    """A small head, cut a little differently each time, with a face: dense in front, below."""
    rng = np.random.default_rng(number)
    hu = head_phantom(str(number), 24, 64).astype(np.float32)[: 24 - int(rng.integers(0, 3))]
    hu[:10, 8:24, 26:38] = 900 + rng.normal(0, 50)
    hu += rng.normal(0, 3) + rng.normal(0, rng.uniform(0, 5), hu.shape)
    voxels = np.clip(change(hu), -2000, 4000).astype(np.int16)
    return volume(voxels, **({"geometry": geometry(spacing_mm=SPACING_MM)} | changes))


@cache
def reference() -> Reference:
    fitted = [describe(head(number), KIND) for number in range(40)]
    held_out = [describe(head(number), KIND) for number in range(100, 140)]
    return fit_reference(KIND, {"heads": fitted}, held_out, false_refusal_rate=RATE)


def noise(hu: Any) -> Any:
    return np.random.default_rng(1).uniform(-1000, 1000, hu.shape)


FOREIGN: dict[str, Callable[[Any], Any]] = {
    "noise": noise,
    "constant": lambda hu: np.full_like(hu, 40),
    "intercept lost": lambda hu: hu + 1024,
    "slope lost": lambda hu: hu / 16,
    "inverted": lambda hu: -hu,
    "brain MR": lambda hu: np.clip((hu + 1000) / 5, 0, 255),
    "upside down": lambda hu: hu[::-1],
    "back to front": lambda hu: hu[:, ::-1],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_head_is_foreign_and_the_verdict_says_by_which_measures(name: str) -> None:
    check = check_input(head(200, FOREIGN[name]), reference())
    assert check.verdict is InputVerdict.FOREIGN
    assert check.distance is not None
    assert check.distance > 1
    assert check.unusual
    assert set(check.unusual) <= set(reference().names)


def test_a_genuine_study_passes() -> None:
    checks = [check_input(head(number), reference()) for number in range(300, 330)]
    assert [check.is_foreign for check in checks].count(True) <= 2
    assert {check.unusual for check in checks if not check.is_foreign} == {()}


def test_a_study_twice_as_large_is_foreign() -> None:
    large = head(200, geometry=geometry(spacing_mm=tuple(2 * mm for mm in SPACING_MM)))
    assert check_input(large, reference()).is_foreign


def test_a_mirror_image_of_a_symmetric_head_is_not_told_apart() -> None:
    """What the measures cannot know: only a marker on the image, or its anatomy, tells the sides."""
    assert not check_input(head(200, lambda hu: hu[:, :, ::-1]), reference()).is_foreign


def test_how_the_file_stores_the_patient_does_not_matter() -> None:
    """Rows from the back to the front, and a header that says so: the same patient."""
    same = head(5)
    turned = volume(
        np.ascontiguousarray(same.voxels[:, ::-1]),
        geometry=geometry(spacing_mm=SPACING_MM, column_cosine=(0.0, -1.0, 0.0)),
    )
    turned = volume(turned.voxels[::-1], geometry=turned.geometry)  # the normal points down now
    assert np.allclose(describe(same, KIND), describe(turned, KIND), atol=1.5)


def test_one_piece_of_metal_does_not_make_a_head_foreign() -> None:
    def with_a_clip(hu: Any) -> Any:
        hu[12, 30:32, 30:32] = 3900
        return hu

    assert not check_input(head(200, with_a_clip), reference()).is_foreign


@given(
    voxels=arrays(np.int16, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9)),
    kind=st.sampled_from(DescriptorKind),
    spacing_mm=st.floats(allow_nan=True, allow_infinity=True),
)
def test_any_image_has_a_finite_descriptor(
    voxels: npt.NDArray[np.int16], kind: DescriptorKind, spacing_mm: float
) -> None:
    image = volume(voxels, geometry=geometry(spacing_mm=(spacing_mm, 1.0, 1.0)))
    vector = describe(image, kind)
    assert vector.shape == (len(names_of(kind)),)
    assert np.isfinite(vector).all()


@pytest.mark.parametrize("kind", DescriptorKind)
def test_every_measure_has_a_name_of_its_own(kind: DescriptorKind) -> None:
    names = names_of(kind)
    assert len(set(names)) == len(names)
    assert tuple(measure.name for measure in measures_of(head(1), kind)) == names


def test_a_film_says_the_same_whichever_way_its_brightness_is_stored() -> None:
    film = np.random.default_rng(3).integers(0, 4000, (1, 80, 60)).astype(np.int16)
    bright, dark = volume(film), volume(4095 - film, inverted=True)
    kind = DescriptorKind.FILM
    assert np.allclose(describe(bright, kind), describe(dark, kind), atol=1e-3)


def test_the_limit_keeps_the_stated_rate_of_what_was_held_out() -> None:
    fitted = reference()
    beyond = sum(distance > fitted.quantile for distance in fitted.calibration)
    assert beyond / fitted.held_out <= RATE
    assert fitted.limit == fitted.margin * fitted.quantile
    assert p_value(float("inf"), fitted) == 1 / (fitted.held_out + 1)
    assert p_value(0.0, fitted) == 1.0


def test_too_few_held_out_studies_show_no_low_rate() -> None:
    vectors = [describe(head(number), KIND) for number in range(4)]
    with pytest.raises(ValueError, match="held-out"):
        fit_reference(KIND, {"heads": vectors}, vectors, false_refusal_rate=0.005)


def test_two_kinds_of_patients_are_two_groups_and_between_them_nobody_is() -> None:
    """The mean of two groups is no member of either."""
    rng = np.random.default_rng(0)
    size = len(names_of(KIND))
    left, right = (rng.normal(side, 1, (60, size)) for side in (-10, 10))
    reference = fit_reference(
        KIND, {"l": left[:40], "r": right[:40]}, [*left[40:], *right[40:]], false_refusal_rate=RATE
    )
    assert reference.distances(left[50]).min() < reference.limit
    assert reference.distances(np.zeros(size)).min() > reference.limit


def test_a_reference_is_stored_and_read_back_as_it_was() -> None:
    assert reference_from_json(reference_to_json(reference())) == reference()


@pytest.mark.parametrize(
    "damage",
    [
        {"names": ["other"] * len(names_of(KIND))},
        {"centres": [[1.0]]},
        {"schema": 2},
        {"margin": 0.0},
        {"calibration": []},
        {"kind": "unheard-of"},
        {"more": 1},
    ],
)
def test_a_damaged_reference_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(ModelRefused):
        reference_from_json(reference_to_json(reference()) | damage)


@pytest.mark.parametrize(
    ("layout", "modalities", "kind"),
    [
        (Layout.IMAGE, ("CR", "DX"), DescriptorKind.FILM),
        (Layout.VOLUME, ("MR",), DescriptorKind.RELATIVE),
        (Layout.SLICES, ("CT",), DescriptorKind.HOUNSFIELD),
        (Layout.SLICES, ("CT", "MR"), DescriptorKind.RELATIVE),
    ],
)
def test_what_is_measured_follows_from_what_a_version_reads(
    layout: Layout, modalities: tuple[str, ...], kind: DescriptorKind
) -> None:
    from imaging.series import SeriesRule

    assert kind_for(input_spec(layout=layout, series=SeriesRule(modalities=modalities))) is kind
