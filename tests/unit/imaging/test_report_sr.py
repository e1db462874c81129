"""The SR says what the prediction says, row by row, of this patient and study, in the same bytes each time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from math import nan
from time import process_time

import pydicom
import pytest

from core.errors import ModelFailed
from imaging.encoded import to_part10
from imaging.finding import Box, Code, Measurement, ModelStamp, Presence, Urgency
from imaging.report_sr import ReportContext, to_failure_sr
from imaging.samples.synthetic import make_ct_study
from tests.reports import (
    CONTEXT,
    CREATED,
    CT,
    LUNG,
    MILLILITRE,
    STAMP,
    VOLUME,
    classification,
    film_source,
    finding,
    localisation,
    named,
    prediction,
    report,
    source,
    stored,
    values,
)
from tests.sr_tree import deviations

PRESENCE, URGENCY, SUMMARY, CERTAINTY, COMMENT = "121052", "103391001", "111017", "111012", "121106"


@pytest.mark.parametrize(
    ("presence", "word"),
    [
        (Presence.PRESENT, "Present"),
        (Presence.ABSENT, "Absent"),
        (Presence.INDETERMINATE, "Presence Undetermined"),
    ],
)
def test_a_finding_says_whether_it_is_there(presence: Presence, word: str) -> None:
    assert values(report(prediction(CT, findings=(finding(presence=presence),))), PRESENCE) == [word]


def test_certainty_is_in_percent() -> None:
    (number,) = named(report(prediction(CT, findings=(finding(probability=0.876),))), CERTAINTY)
    measured = number.MeasuredValueSequence[0]
    assert float(measured.NumericValue) == 87.6
    assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "%"


@pytest.mark.parametrize(
    ("urgency", "words"),
    [
        (Urgency.CRITICAL, ["ACR Category 1 Actionable Finding"]),
        (Urgency.URGENT, ["ACR Category 2 Actionable Finding"]),
        (Urgency.NONCRITICAL, ["ACR Category 3 Actionable Finding"]),
        (Urgency.NONE, []),
    ],
)
def test_urgency_is_an_acr_category(urgency: Urgency, words: list[str]) -> None:
    assert values(report(prediction(CT, findings=(finding(urgency=urgency),))), URGENCY) == words


@pytest.mark.parametrize(
    ("presence", "summary"),
    [
        (Presence.PRESENT, "All algorithms succeeded; with findings"),
        (Presence.ABSENT, "All algorithms succeeded; without findings"),
        (Presence.INDETERMINATE, "All algorithms succeeded; with findings"),  # undetermined is no negative
    ],
)
def test_the_summary_tells_negative_from_positive(presence: Presence, summary: str) -> None:
    document = report(prediction(CT, findings=(finding(presence=presence),)))
    assert values(document, SUMMARY) == [summary]


def test_a_failure_is_not_a_negative() -> None:
    document = to_failure_sr(STAMP, CONTEXT, reason="too few slices", created=CREATED)
    assert values(document, SUMMARY) == ["No algorithms succeeded; without findings"]
    assert [item.TextValue for item in named(document, COMMENT)] == ["too few slices"]
    assert document.SOPInstanceUID != report(prediction(CT)).SOPInstanceUID


def test_a_series_that_became_no_volume_can_be_reported() -> None:
    instances = make_ct_study("broken", slices=3, size=8)
    context = ReportContext.of_instances(instances)
    document = to_failure_sr(STAMP, context, reason="a gap", created=CREATED)
    assert deviations(stored(document)) == []
    assert document.StudyInstanceUID == instances[0].StudyInstanceUID


def test_the_priority_score_is_there_when_the_model_does_triage() -> None:
    (score,) = named(report(prediction(CT, priority_score=87)), "PRIORITY")
    assert float(score.MeasuredValueSequence[0].NumericValue) == 87
    assert named(report(prediction(CT)), "PRIORITY") == []


def test_the_private_scheme_is_declared() -> None:
    (scheme,) = report(prediction(CT)).CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99SERINUS"


def test_a_long_number_is_cut_to_what_a_decimal_string_holds() -> None:
    said = prediction(CT, measurements=(Measurement(VOLUME, 1956.3123456789123, MILLILITRE),))
    (number,) = named(stored(report(said)), VOLUME.value)
    assert number.MeasuredValueSequence[0].NumericValue == 1956.31


def test_a_number_that_is_none_is_refused() -> None:
    said = prediction(CT, measurements=(Measurement(VOLUME, nan, MILLILITRE),))
    with pytest.raises(ModelFailed, match="finite"):
        report(said)


def test_a_box_is_a_closed_outline_in_pixels() -> None:
    said = prediction(CT, boxes=(Box(LUNG, CT.instance_uids[2], 1, 2, 9, 7),))
    (region,) = named(report(said), "111030")
    assert list(region.GraphicData) == [2, 1, 7, 1, 7, 9, 2, 9, 2, 1]
    assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == CT.instance_uids[2]


def test_an_image_of_another_series_is_refused_without_its_uid() -> None:
    with pytest.raises(ModelFailed) as refused:
        report(prediction(CT, findings=(finding(key_instance_uid="1.2.3.4"),)))
    assert "1.2.3.4" not in str(refused.value)


def test_the_image_library_holds_only_key_images() -> None:
    document = report(classification(CT))
    (group,) = named(document, "126200")
    images = [item for item in group.ContentSequence if item.ValueType == "IMAGE"]
    assert len(images) == 1
    assert named(report(prediction(CT)), "111028") == []


def test_an_image_is_in_the_library_once_however_often_it_is_shown() -> None:
    (group,) = named(report(localisation(CT)), "126200")
    assert len([item for item in group.ContentSequence if item.ValueType == "IMAGE"]) == 1


def test_all_images_that_were_read_are_the_evidence() -> None:
    (study,) = report(prediction(CT)).CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert {i.ReferencedSOPInstanceUID for i in series.ReferencedSOPSequence} == set(CT.instance_uids)


# ---- where and when


def test_patient_and_study_are_the_source_s_own() -> None:
    context = ReportContext.of(source(PatientBirthDate="19700101", PatientSex="F", AccessionNumber="A7"))
    document = report(prediction(CT), context)
    assert (document.PatientSex, document.PatientBirthDate, document.AccessionNumber) == (
        "F",
        "19700101",
        "A7",
    )
    assert document.StudyInstanceUID == pydicom.dcmread(BytesIO(context.evidence)).StudyInstanceUID
    assert document.SeriesInstanceUID != context.series_uid


@pytest.mark.parametrize(
    "header",
    [
        {"PatientSex": "X"},
        {"PatientName": "one=name=in=many=groups"},
        {"PatientName": None, "PatientID": None, "StudyID": None, "StudyDate": None},
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^Jörg"},
        {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"},
        {"FrameOfReferenceUID": None},
        {"Manufacturer": None},
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_hospital_s_odd_header_is_repeated_as_it_came(header: dict[str, object]) -> None:
    context = ReportContext.of(source(**header))
    document = stored(report(prediction(CT), context))
    original = pydicom.dcmread(BytesIO(context.evidence))
    for keyword in ("PatientName", "PatientID", "PatientSex", "StudyID", "StudyDate", "SpecificCharacterSet"):
        if keyword in original:
            assert document[keyword].value == original[keyword].value
    assert deviations(document) == []


def test_a_retry_gives_the_same_bytes_and_another_version_another_instance() -> None:
    said = classification(CT)
    other = classification(CT, stamp=ModelStamp("ich-triage", "4", "ef" * 32, "Demo maker", False))
    assert to_part10(report(said)) == to_part10(report(said))
    uids = [(d.SOPInstanceUID, d.SeriesInstanceUID) for d in (report(said), report(other))]
    assert len({uid for pair in uids for uid in pair}) == 4
    assert all(pydicom.uid.UID(uid).is_valid for pair in uids for uid in pair)


def test_a_finding_keeps_its_tracking_uid_across_versions() -> None:
    other = ModelStamp("ich-triage", "4", "ef" * 32, "Demo maker", False)
    tracked = [
        [item.UID for item in named(report(classification(CT, stamp=stamp)), "112040")]
        for stamp in (STAMP, other)
    ]
    assert tracked[0] == tracked[1]
    assert len(set(tracked[0])) == len(tracked[0])


def test_dates_are_the_job_s_in_utc_when_the_source_has_no_zone() -> None:
    document = stored(report(prediction(CT)))
    assert (document.ContentDate, document.ContentTime) == ("20260102", "030405.678901")
    assert document.InstanceCreationDate == document.ContentDate
    assert document.InstanceCreationTime == document.ContentTime
    assert "TimezoneOffsetFromUTC" not in document


def test_dates_are_in_the_source_s_zone_when_it_states_one() -> None:
    context = ReportContext.of(source(TimezoneOffsetFromUTC="-0430"))
    document = stored(report(prediction(CT), context))
    assert (document.ContentDate, document.ContentTime) == ("20260101", "223405.678901")
    assert document.TimezoneOffsetFromUTC == "-0430"


def test_nothing_in_a_report_comes_from_a_clock() -> None:
    later = CREATED + timedelta(days=366 * 40)
    text = to_part10(report(prediction(CT), created=later)).decode("latin-1")
    assert text.count(f"{later:%Y%m%d}") == 4  # instance, content and two contributions
    assert f"{datetime.now(UTC):%Y%m%d}" not in text


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        report(prediction(CT), created=datetime(2026, 1, 2))


def test_a_report_on_two_hundred_slices_costs_little() -> None:
    many = source(slices=200, size=8, seed="many")
    said, context = classification(many), ReportContext.of(many)
    times = []
    for _ in range(5):
        start = process_time()
        to_part10(report(said, context))
        times.append(process_time() - start)
    assert min(times) < 0.2


def test_a_note_reaches_the_reader() -> None:
    document = report(prediction(CT, notes=("pixel spacing is unknown",)))
    assert [item.TextValue for item in named(document, COMMENT)] == ["pixel spacing is unknown"]


def test_a_film_gets_a_library_too() -> None:
    film = film_source()
    document = report(localisation(film), ReportContext.of(film))
    assert values(document, "121139") == ["Computed Radiography"]
    assert deviations(document) == []


def test_codes_longer_than_sixteen_characters_are_stored() -> None:
    long = Code("1234567890123456789", "SCT", "A concept with a long identifier")
    assert deviations(stored(report(prediction(CT, findings=(finding(concept=long),))))) == []
