"""A form that is filled in gives the bytes that building would give, and is used for every study of its kind."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from math import nan

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ModelFailed
from imaging.encoded import to_part10
from imaging.finding import Finding, InputCheck, InputVerdict, Measurement, Prediction, Presence, Urgency
from imaging.report_content import content_of
from imaging.report_form import ContentForms, built_content
from imaging.report_frame import ReportContext, read_header
from imaging.report_sr import to_sr
from tests.reports import (
    BRAIN,
    CREATED,
    MILLILITRE,
    VOLUME,
    classification,
    film_source,
    finding,
    localisation,
    named,
    prediction,
    segmentation,
    source,
)

CT, OTHER_CT = source(), source(seed="another patient")
CONTEXT = ReportContext.of(CT)

found = st.builds(
    Finding,
    concept=st.just(BRAIN),
    presence=st.sampled_from(Presence),
    probability=st.floats(0, 1),
    threshold=st.just(0.5),
    urgency=st.sampled_from(Urgency),
    site=st.sampled_from([None, BRAIN]),
    key_instance_uid=st.sampled_from([None, *CT.instance_uids]),
)
measured = st.builds(
    Measurement,
    concept=st.just(VOLUME),
    value=st.floats(-1e12, 1e12),
    unit=st.just(MILLILITRE),
    site=st.none(),
)
predictions = st.builds(
    prediction,
    st.just(CT),
    findings=st.lists(found, max_size=2).map(tuple),
    measurements=st.lists(measured, max_size=2).map(tuple),
    priority_score=st.none() | st.integers(0, 100),
    urgency=st.sampled_from(Urgency),
)


def built(said: Prediction, context: ReportContext) -> bytes | None:
    return built_content(content_of(said, context, read_header(context))).value


def filled(forms: ContentForms, said: Prediction, context: ReportContext) -> bytes | None:
    return forms.content(said, context, read_header(context)).value


@settings(max_examples=15, deadline=None)
@given(predictions, st.floats(0, 1), st.floats(-1e6, 1e6), st.sampled_from(CT.instance_uids))
def test_a_filled_form_is_what_would_have_been_built(
    said: Prediction, probability: float, value: float, image: str
) -> None:
    forms = ContentForms()
    for one in (said, changed(said, probability, value, image), said):
        assert filled(forms, one, CONTEXT) == built(one, CONTEXT)


def changed(said: Prediction, probability: float, value: float, image: str) -> Prediction:
    """Other numbers and another first key image in the same words."""
    findings = [replace(item, probability=probability) for item in said.findings]
    if findings and findings[0].key_instance_uid:
        findings[0] = replace(findings[0], key_instance_uid=image)
    measurements = tuple(replace(item, value=value) for item in said.measurements)
    score = None if said.priority_score is None else (said.priority_score + 1) % 101
    return replace(said, findings=tuple(findings), measurements=measurements, priority_score=score)


@pytest.mark.parametrize(
    "said", [classification(CT), segmentation(CT), prediction(CT), prediction(CT, findings=(finding(),) * 2)]
)
def test_every_kind_without_outlines_has_a_form(said: Prediction) -> None:
    forms = ContentForms()
    filled(forms, said, CONTEXT)
    assert forms.kinds == 1


def test_the_next_patient_gets_the_same_form() -> None:
    forms, other = ContentForms(), ReportContext.of(OTHER_CT)
    assert filled(forms, classification(CT), CONTEXT) == built(classification(CT), CONTEXT)
    assert filled(forms, classification(OTHER_CT), other) == built(classification(OTHER_CT), other)
    assert forms.kinds == 1


def test_the_next_patients_report_names_nothing_of_the_one_before() -> None:
    to_sr(classification(CT), CONTEXT, created=CREATED)
    document = to_sr(classification(OTHER_CT), ReportContext.of(OTHER_CT), created=CREATED)
    content = to_part10(document)
    strangers = {*CT.instance_uids, CT.series_uid, str(read_header(CONTEXT).StudyInstanceUID)}
    assert not [uid for uid in strangers if uid.encode() in content]
    library = named(pydicom.dcmread(BytesIO(content)), "260753009")
    assert library[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID in OTHER_CT.instance_uids


@pytest.mark.parametrize(
    "change",
    [
        {"notes": ("pixel spacing is unknown",)},
        {"urgency": Urgency.URGENT},
        {"findings": (finding(threshold=0.25),)},
        {"findings": (finding(presence=Presence.ABSENT),)},
        {"stamp": replace(classification(CT).stamp, research_only=True)},
    ],
)
def test_another_word_is_another_form(change: dict[str, object]) -> None:
    forms = ContentForms()
    for said in (
        prediction(CT, findings=(finding(),)),
        prediction(CT, **{"findings": (finding(),)} | change),
    ):
        assert filled(forms, said, CONTEXT) == built(said, CONTEXT)
    assert forms.kinds == 2


def test_a_text_that_is_not_ascii_is_written_in_the_report_s_own_character_set_each_time() -> None:
    forms = ContentForms()
    said = prediction(CT, notes=("Abstand unbekannt: größer als 5 mm",))
    forms.content(said, CONTEXT, read_header(CONTEXT))
    assert forms.kinds == 0
    for source_of in (CT, source(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")):
        report = to_sr(
            replace(said, series_uid=source_of.series_uid), ReportContext.of(source_of), created=CREATED
        )
        (note,) = named(pydicom.dcmread(BytesIO(to_part10(report))), "121106")
        assert note.TextValue == said.notes[0]


def test_a_patient_s_name_that_is_not_ascii_leaves_the_form_as_it_is() -> None:
    odd = source(SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Jörg")
    for patient in (CT, odd, CT):
        report = to_sr(classification(patient), ReportContext.of(patient), created=CREATED)
        read = pydicom.dcmread(BytesIO(to_part10(report)))
        assert read.PatientName == read_header(ReportContext.of(patient)).PatientName


@pytest.mark.parametrize("verdict", InputVerdict)
def test_how_far_an_input_lies_makes_no_other_form(verdict: InputVerdict) -> None:
    forms = ContentForms()
    for distance in (0.4, 0.5, 2.5):
        said = classification(CT, input_check=InputCheck(verdict, distance, distance / 10))
        assert filled(forms, said, CONTEXT) == built(said, CONTEXT)
    assert forms.kinds == 1


def test_outlines_are_built_each_time() -> None:
    film = film_source()
    forms, context = ContentForms(), ReportContext.of(film)
    assert filled(forms, localisation(film), context) == built(localisation(film), context)
    assert forms.kinds == 0


def test_a_form_lets_nothing_through_that_no_report_may_hold() -> None:
    forms = ContentForms()
    filled(forms, classification(CT), CONTEXT)
    for wrong in (finding(probability=nan), finding(key_instance_uid="1.2.3")):
        with pytest.raises(ModelFailed):
            filled(forms, prediction(CT, findings=(wrong,)), CONTEXT)


def test_forms_are_bounded() -> None:
    forms = ContentForms(most=2)
    for number in range(3):
        filled(forms, prediction(CT, notes=(str(number),)), CONTEXT)
    assert forms.kinds == 1
