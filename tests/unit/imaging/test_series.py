from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnsupportedSeries
from imaging.series import Plane, SeriesHeader, SeriesRule, choose_series
from imaging.summary import summarize
from tests.ct import PATIENT, ct_series, ct_slice, film

RULE = SeriesRule(
    modalities=("CT",),
    body_parts=("HEAD", "BRAIN"),
    plane=Plane.AXIAL,
    min_slices=10,
    max_slices=500,
    min_thickness_mm=0.5,
    max_thickness_mm=5,
)


def header(uid: str = "1.1", **changes: Any) -> SeriesHeader:
    whole: dict[str, Any] = {
        "modality": "CT",
        "body_part": "HEAD",
        "plane": Plane.AXIAL,
        "slices": 30,
        "thickness_mm": 2.5,
    }
    return SeriesHeader(series_uid=uid, **{**whole, **changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"modality": "MR"}, "modality is MR, not CT"),
        ({"modality": PATIENT}, "modality is unknown, not CT"),
        ({"body_part": "CHEST"}, "body part is CHEST, not HEAD or BRAIN"),
        ({"body_part": "head of john doe"}, "body part is unknown, not HEAD or BRAIN"),
        ({"plane": Plane.CORONAL}, "plane is coronal, not axial"),
        ({"plane": None}, "plane is oblique or unknown, not axial"),
        ({"slices": 9}, "9 slices, at least 10 needed"),
        ({"slices": 501}, "501 slices, at most 500 readable"),
        ({"thickness_mm": None}, "slice thickness is unknown"),
        ({"thickness_mm": 7.5}, "slices of 7.50 mm, at most 5.00 mm readable"),
        ({"thickness_mm": 0.25}, "slices of 0.25 mm, at least 0.50 mm needed"),
        ({"obstacle": "it is a localizer"}, "it is a localizer"),
    ],
)
def test_a_refused_series_has_its_reason(changes: dict[str, Any], reason: str) -> None:
    choice = choose_series([header(**changes)], RULE)
    assert (choice.selected, choice.refused) == (None, {"1.1": reason})


def test_a_blank_body_part_is_accepted() -> None:
    assert choose_series([header(body_part=" ")], RULE).selected is not None


def test_most_slices_win_then_the_thinnest() -> None:
    eligible_models = [
        header("1.1", slices=20),
        header("1.2", slices=40, thickness_mm=5),
        header("1.3", slices=40),
    ]
    choice = choose_series(eligible_models, RULE)
    assert choice.require().series_uid == "1.3"
    assert choice.refused == {
        "1.1": "20 slices, where another series has 40",
        "1.2": "thicker than another series",
    }


some_headers = st.lists(
    st.builds(header, st.sampled_from(["1.1", "1.2", "1.3", "1.4"]), slices=st.integers(5, 12)),
    unique_by=lambda item: item.series_uid,
)


@given(headers=some_headers, data=st.data())
def test_the_choice_depends_on_no_order_and_leaves_no_series_unexplained(
    headers: list[SeriesHeader], data: st.DataObject
) -> None:
    choice = choose_series(headers, RULE)
    assert choice == choose_series(data.draw(st.permutations(headers)), RULE)
    chosen = {choice.selected.series_uid} if choice.selected else set()
    assert chosen | set(choice.refused) == {item.series_uid for item in headers}
    assert not chosen & set(choice.refused)


def test_without_a_series_the_reasons_are_counted() -> None:
    headers = [header("1.1", modality="MR"), header("1.2", modality="MR"), header("1.3", slices=1)]
    with pytest.raises(
        UnsupportedSeries, match=r"1 x 1 slices, at least 10 needed; 2 x modality is MR, not CT"
    ):
        choose_series(headers, RULE).require()


def test_a_series_is_described_by_its_images() -> None:
    scout = ct_slice(99, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    expected = SeriesHeader("1", "CT", "HEAD", Plane.AXIAL, slices=5, thickness_mm=2.5)
    assert summarize("1", [scout, *ct_series(5)]) == expected


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "it is a localizer"),
        ({"SeriesDescription": "Topogram 0.6"}, "it is a localizer"),
        ({"SeriesDescription": "Dose Report"}, "it is a screen capture, not an acquired image"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "it is a screen capture, not an acquired image"),
        ({"Manufacturer": "Serinus"}, "it is a result of ours"),
        ({"Rows": None}, "it has no images"),
        ({"NumberOfFrames": 20}, "multi-frame images of its kind are not supported"),
        ({"PhotometricInterpretation": "CMYK"}, "it is in a kind of colour that is not supported"),
        ({"PhotometricInterpretation": "RGB"}, None),
        ({}, None),
    ],
)
def test_what_no_model_can_read_is_an_obstacle(changes: dict[str, Any], obstacle: str | None) -> None:
    assert summarize("1", [ct_slice(0, **changes)]).obstacle == obstacle


@pytest.mark.parametrize(
    ("cosines", "plane"),
    [
        ([1, 0, 0, 0, 1, 0], Plane.AXIAL),
        ([1, 0, 0, 0, 0, -1], Plane.CORONAL),
        ([0, 1, 0, 0, 0, -1], Plane.SAGITTAL),
        ([1, 0, 0, 0, 0.7071, 0.7071], None),
    ],
)
def test_the_plane_is_that_of_the_normal(cosines: list[float], plane: Plane | None) -> None:
    assert summarize("1", [ct_slice(0, ImageOrientationPatient=cosines)]).plane == plane


def test_a_film_has_no_plane_and_no_thickness() -> None:
    described = summarize("1", [film()])
    assert (described.plane, described.thickness_mm, described.slices) == (None, None, 1)
