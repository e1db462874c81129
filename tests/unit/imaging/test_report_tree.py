"""The SR's tree is what TID 1500 wants, whatever is predicted; the walker that looks at it sees each deviation."""

from __future__ import annotations

from copy import deepcopy
from io import BytesIO

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from imaging.encoded import to_part10
from imaging.finding import Box, Finding, Measurement, Prediction, Presence, Urgency
from imaging.report_sr import to_failure_sr
from tests.reports import (
    BRAIN,
    CONTEXT,
    CREATED,
    CT,
    LUNG,
    MILLILITRE,
    STAMP,
    VOLUME,
    classification,
    localisation,
    named,
    prediction,
    report,
    segmentation,
    stored,
)
from tests.sr_tree import deviations

CERTAINTY = "111012"


@pytest.mark.parametrize("build", [classification, segmentation, localisation, prediction])
def test_every_kind_of_prediction_follows_the_template(build) -> None:
    assert deviations(stored(report(build(CT)))) == []


def test_a_failure_follows_the_template() -> None:
    document = to_failure_sr(STAMP, CONTEXT, reason="it failed", created=CREATED)
    assert deviations(stored(document)) == []


findings = st.builds(
    Finding,
    concept=st.just(BRAIN),
    presence=st.sampled_from(Presence),
    probability=st.floats(0, 1),
    threshold=st.floats(0, 1),
    urgency=st.sampled_from(Urgency),
    site=st.sampled_from([None, BRAIN]),
    key_instance_uid=st.sampled_from([None, *CT.instance_uids]),
)
measurements = st.builds(
    Measurement,
    concept=st.just(VOLUME),
    value=st.floats(-1e12, 1e12),
    unit=st.just(MILLILITRE),
    site=st.sampled_from([None, BRAIN]),
)
boxes = st.builds(
    Box,
    concept=st.just(LUNG),
    instance_uid=st.sampled_from(CT.instance_uids),
    row_start=st.integers(0, 7),
    column_start=st.integers(0, 7),
    row_stop=st.integers(8, 16),
    column_stop=st.integers(8, 16),
)
predictions = st.builds(
    prediction,
    st.just(CT),
    findings=st.lists(findings, max_size=3).map(tuple),
    measurements=st.lists(measurements, max_size=2).map(tuple),
    boxes=st.lists(boxes, max_size=2).map(tuple),
    priority_score=st.none() | st.integers(0, 100),
    urgency=st.sampled_from(Urgency),
    notes=st.lists(st.just("a note"), max_size=2).map(tuple),
)


@settings(max_examples=20, deadline=None)
@given(predictions)
def test_any_prediction_follows_the_template_and_repeats_its_bytes(said: Prediction) -> None:
    first, second = to_part10(report(said)), to_part10(report(said))
    assert first == second
    assert deviations(pydicom.dcmread(BytesIO(first))) == []


def _break_relation(document: Dataset) -> None:
    named(document, "121005")[0].RelationshipType = "CONTAINS"


def _break_order(document: Dataset) -> None:
    document.ContentSequence.insert(0, document.ContentSequence.pop())


def _break_unit(document: Dataset) -> None:
    measured = named(document, CERTAINTY)[0].MeasuredValueSequence[0]
    measured.MeasurementUnitsCodeSequence[0].CodingSchemeDesignator = "99X"


def _break_concept(document: Dataset) -> None:
    named(document, "112040")[0].ConceptNameCodeSequence[0].CodeValue = "112041"


def _break_value_type(document: Dataset) -> None:
    named(document, "111001")[0].ValueType = "CODE"


def _break_template(document: Dataset) -> None:
    document.ContentTemplateSequence[0].TemplateIdentifier = "2000"


def _break_reference(document: Dataset) -> None:
    named(document, "121112")[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def _break_presence_of_groups(document: Dataset) -> None:
    del named(document, "126010")[0].ContentSequence[:]


@pytest.mark.parametrize(
    "damage",
    [
        _break_relation,
        _break_order,
        _break_unit,
        _break_concept,
        _break_value_type,
        _break_template,
        _break_reference,
        _break_presence_of_groups,
    ],
)
def test_the_walker_sees_what_the_validators_do_not(damage) -> None:
    document = deepcopy(stored(report(classification(CT))))
    damage(document)
    assert deviations(document)
