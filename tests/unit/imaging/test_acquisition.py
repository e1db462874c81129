"""With contrast medium, and from which side: as far as headers tell."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from imaging.acquisition import has_contrast, view_of
from tests.ct import ct_slice, film


def coded(value: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "a code"
    return [item]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, False),
        ({"ContrastBolusAgent": ""}, False),
        ({"ContrastBolusAgent": "None"}, False),
        ({"ContrastBolusAgent": "NO CONTRAST"}, False),
        ({"ContrastBolusAgent": "Iohexol"}, True),
        ({"ContrastBolusVolume": 0}, False),
        ({"ContrastBolusVolume": 80}, True),
        ({"ContrastBolusAgentSequence": []}, False),
        ({"ContrastBolusAgentSequence": coded("109219")}, True),
    ],
)
def test_a_contrast_agent_is_what_the_header_names(changes: dict[str, Any], named: bool) -> None:
    assert has_contrast([ct_slice(0), ct_slice(1, **changes)]) is named


@pytest.mark.parametrize(
    ("changes", "view"),
    [
        ({}, ""),
        ({"ViewPosition": "pa"}, "PA"),
        ({"ViewPosition": "LL", "ViewCodeSequence": coded("272479007")}, "LL"),
        ({"ViewPosition": "", "ViewCodeSequence": coded("272479007")}, "PA"),
        ({"ViewCodeSequence": coded("399348003")}, "AP"),
        ({"ViewCodeSequence": coded("R-10236")}, "LL"),
        ({"ViewCodeSequence": coded("399067008")}, "OTHER"),
        ({"ViewCodeSequence": []}, ""),
    ],
)
def test_a_view_is_its_word_or_else_its_code(changes: dict[str, Any], view: str) -> None:
    assert view_of(film(**changes)) == view
