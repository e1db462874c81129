"""The SR says which device and version made it, that nobody has verified it, and what is research."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imaging.encoded import to_part10
from imaging.finding import ModelStamp
from imaging.report_frame import MANUFACTURER, describe
from imaging.summary import OWN_MANUFACTURER
from tests.reports import (
    CT,
    STAMP,
    named,
    prediction,
    report,
    values,
)


def test_nobody_has_verified_it() -> None:
    document = report(prediction(CT))
    assert (document.CompletionFlag, document.PreliminaryFlag, document.VerificationFlag) == (
        "COMPLETE",
        "PRELIMINARY",
        "UNVERIFIED",
    )


def test_our_own_results_are_known_by_their_manufacturer() -> None:
    assert report(prediction(CT)).Manufacturer.lower().startswith(OWN_MANUFACTURER)
    assert MANUFACTURER.lower() == OWN_MANUFACTURER


def test_the_device_is_the_version_and_its_weights() -> None:
    def device(**changes: str) -> str:
        fields = {"name": "n", "version": "1", "digest": "d", "manufacturer": "m"} | changes
        stamp = ModelStamp(**fields, research_only=False)
        return str(named(report(prediction(CT, stamp=stamp)), "121012")[0].UID)

    assert device() == device(manufacturer="other")
    assert len({device(), device(version="2"), device(digest="e"), device(name="o")}) == 4


def test_the_algorithm_is_contributing_equipment_with_its_device_uid() -> None:
    document = report(prediction(CT))
    equipment = document.ContributingEquipmentSequence
    (algorithm,) = [item for item in equipment if item.get("ManufacturerModelName") == STAMP.name]
    assert algorithm.SoftwareVersions == STAMP.version
    assert algorithm.DeviceUID == named(document, "121012")[0].UID


@given(name=st.text("abc", min_size=1, max_size=90), version=st.text("123", min_size=1, max_size=90))
def test_a_research_version_says_so_and_is_never_cut_off(name: str, version: str) -> None:
    text = describe(ModelStamp(name, version, "d", "m", research_only=True), "AI")
    assert text.startswith("RESEARCH ONLY ")
    assert text.endswith("(unverified)")
    assert len(text) <= 64


def test_a_cleared_version_does_not_say_research() -> None:
    assert "RESEARCH" not in to_part10(report(prediction(CT))).decode("latin-1").upper()


def test_a_research_report_says_it_in_its_content_too() -> None:
    stamp = ModelStamp("n", "1", "d", "m", research_only=True)
    document = report(prediction(CT, stamp=stamp))
    assert "Research only, not for clinical use" in values(document, "STATUS")
    assert document.SeriesDescription.startswith("RESEARCH ONLY")
