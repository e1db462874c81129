"""One SOP Instance UID never stands for two contents, and a retry of one job never makes a second."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from imaging import report_sr
from imaging.encoded import to_part10
from imaging.finding import ModelStamp, Presence, Urgency
from imaging.report_sr import (
    FormerReport,
    ReportContext,
    ReportName,
    says_the_same,
    says_the_same_failure,
    to_failure_sr,
    to_sr,
)
from imaging.segmentation import to_seg
from tests.reports import BRAIN, CREATED, STAMP, classification, finding, prediction, segmentation, source
from tests.sr_tree import deviations

CT = source(slices=3)
CONTEXT = ReportContext.of(CT)
FORMER = ReportName("1.2.3", "1.2.3.4", "1.2.3.4.5")

stamps = st.builds(
    ModelStamp,
    st.just("ich-triage"),
    st.sampled_from(["3", "4"]),
    st.sampled_from(["ab" * 32, "cd" * 32]),
    st.sampled_from(["Demo maker", "Another"]),
    st.booleans(),
)
findings = st.builds(
    finding,
    probability=st.sampled_from([0.5, 0.93]),
    threshold=st.sampled_from([0.4, 0.5]),
    presence=st.sampled_from([Presence.PRESENT, Presence.INDETERMINATE]),
    urgency=st.sampled_from([Urgency.CRITICAL, Urgency.NONE]),
    site=st.sampled_from([None, BRAIN]),
    key_instance_uid=st.sampled_from([None, CT.instance_uids[0]]),
)
predictions = st.builds(
    prediction,
    st.just(CT),
    stamp=stamps,
    findings=st.lists(findings, max_size=1).map(tuple),
    priority_score=st.sampled_from([None, 1, 2]),
    notes=st.sampled_from([(), ("a note",)]),
)
contexts = st.sampled_from([CONTEXT, ReportContext.of(source(slices=3, PatientName="Other^Name"))])
moments = st.sampled_from([CREATED, CREATED + timedelta(microseconds=1)])
reports = st.builds(
    lambda said, context, created, predecessors: to_sr(
        said, context, created=created, predecessors=predecessors
    ),
    predictions,
    contexts,
    moments,
    st.sampled_from([(), (FORMER,), (replace(FORMER, instance_uid="1.2.3.4.6"),)]),
)


def names(document: Dataset) -> tuple[str, str]:
    return str(document.SOPInstanceUID), str(document.SeriesInstanceUID)


@settings(max_examples=60, deadline=None)
@given(reports, reports)
def test_two_reports_share_their_uids_exactly_when_they_share_their_bytes(
    one: Dataset, other: Dataset
) -> None:
    same = to_part10(one) == to_part10(other)
    assert (names(one) == names(other)) is same
    assert len({*names(one), *names(other)}) == (2 if same else 4)


@pytest.mark.parametrize(
    "change",
    [
        {"stamp": replace(STAMP, research_only=True)},
        {"stamp": replace(STAMP, manufacturer="Another")},
        {"findings": (finding(probability=0.94),)},
        {"findings": (finding(threshold=0.6),)},
        {"findings": (finding(presence=Presence.INDETERMINATE),)},
        {"priority_score": 86},
        {"urgency": Urgency.URGENT},
        {"notes": ("pixel spacing is unknown",)},
    ],
)
def test_what_a_reader_could_see_changes_the_uid(change: dict[str, object]) -> None:
    former, later = (
        to_sr(classification(CT, **changes), CONTEXT, created=CREATED) for changes in ({}, change)
    )
    assert not set(names(former)) & set(names(later))


def test_a_release_that_writes_differently_gives_another_uid(monkeypatch: pytest.MonkeyPatch) -> None:
    former = to_sr(classification(CT), CONTEXT, created=CREATED)
    monkeypatch.setattr(report_sr, "software_version", lambda: "9.9.9")
    assert to_sr(classification(CT), CONTEXT, created=CREATED).SOPInstanceUID != former.SOPInstanceUID


def test_what_stands_in_no_report_does_not_change_its_uid() -> None:
    """A forward on another machine may differ in the last bits of a mask or a probability."""
    said = prediction(CT, findings=(finding(probability=0.5),))
    noisy = prediction(CT, findings=(finding(probability=0.5 + 1e-12),))
    assert names(to_sr(said, CONTEXT, created=CREATED)) == names(to_sr(noisy, CONTEXT, created=CREATED))


def test_two_failures_share_a_uid_exactly_when_they_are_the_same() -> None:
    def failure(reason: str) -> str:
        return str(to_failure_sr(STAMP, CONTEXT, reason=reason, created=CREATED).SOPInstanceUID)

    assert failure("a gap") == failure("a gap") != failure("too few slices")


def test_a_segmentation_is_named_by_its_mask_and_its_clearance() -> None:
    said = segmentation(CT)
    moved = replace(said, mask=said.mask[:, ::-1])  # type: ignore[index]
    research = replace(said, stamp=replace(STAMP, research_only=True))
    documents = [
        to_seg(each, CONTEXT, CT.geometry, created=CREATED) for each in (said, said, moved, research)
    ]
    assert names(documents[0]) == names(documents[1])
    assert len({uid for document in documents for uid in names(document)}) == 6


# ---- the report that is superseded


def test_a_report_names_the_one_that_it_supersedes() -> None:
    former = to_sr(classification(CT, stamp=replace(STAMP, research_only=True)), CONTEXT, created=CREATED)
    predecessor = FormerReport.of(to_part10(former)).name
    later = to_sr(classification(CT), CONTEXT, created=CREATED, predecessors=[predecessor])
    stored = pydicom.dcmread(BytesIO(to_part10(later)))
    (study,) = stored.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert study.StudyInstanceUID == former.StudyInstanceUID
    assert series.SeriesInstanceUID == former.SeriesInstanceUID
    assert instance.ReferencedSOPInstanceUID == former.SOPInstanceUID
    assert instance.ReferencedSOPClassUID == former.SOPClassUID
    assert deviations(stored) == []


def test_a_report_may_supersede_two_and_says_the_same_again() -> None:
    former = [
        to_sr(classification(CT, stamp=replace(STAMP, research_only=True)), CONTEXT, created=CREATED),
        to_failure_sr(STAMP, CONTEXT, reason="it failed", created=CREATED),
    ]
    both = [FormerReport.of(to_part10(document)).name for document in former]
    later = FormerReport.of(to_part10(to_sr(classification(CT), CONTEXT, created=CREATED, predecessors=both)))
    assert set(later.predecessors) == set(both)
    assert says_the_same(later, classification(CT), CONTEXT)


def test_a_failure_says_the_same_as_one_of_the_same_version_and_reason() -> None:
    former = FormerReport.of(to_part10(to_failure_sr(STAMP, CONTEXT, reason="a gap", created=CREATED)))
    assert says_the_same_failure(former, STAMP, CONTEXT, reason="a gap")
    assert not says_the_same_failure(former, STAMP, CONTEXT, reason="too slow")
    assert not says_the_same_failure(former, replace(STAMP, version="9"), CONTEXT, reason="a gap")


def test_a_first_report_names_no_predecessor() -> None:
    assert "PredecessorDocumentsSequence" not in to_sr(classification(CT), CONTEXT, created=CREATED)


def test_a_former_report_keeps_its_uids_out_of_logs() -> None:
    assert "1.2.3" not in repr(FORMER)
