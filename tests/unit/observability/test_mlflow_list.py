"""MLflow's list of traces tells which version read what and how it ended, or where it failed; and no patient."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from observability.names import Stage
from observability.record import Outcome, StudyTrace
from observability.traces.mlflow import INPUTS, NAME, OUTPUTS, TAG, shown
from observability.traces.spans import Form, spans_of

from .test_spans import SILENT, kept
from .traces import reading, study, timing

READ = reading(
    scores=(("230706003", 0.2), ("1386000", 0.93)),
    finding_names=("Stroke", "Intracranial hemorrhage"),
    priority_score=93,
    input_check="in-distribution",
)


def row(trace: StudyTrace) -> dict[str, Any]:
    root, *_ = spans_of(kept(trace), Form.OWN_ROOT)
    return dict(shown(kept(trace), root).attributes)


def tags(trace: StudyTrace) -> dict[str, Any]:
    return {name.removeprefix(TAG): value for name, value in row(trace).items() if name.startswith(TAG)}


@pytest.mark.parametrize(
    ("record", "name"),
    [
        (READ, "ich-triage v2 champion"),
        (replace(READ, variant="canary", version="3"), "ich-triage v3 canary"),
    ],
)
def test_a_trace_is_named_for_who_answered(record: Any, name: str) -> None:
    assert row(study(records=(record,)))[NAME] == name


def test_a_silent_reading_is_named_for_what_it_was_made_for() -> None:
    shadow = study(records=(replace(READ, **SILENT),), is_live=False)
    assert row(shadow)[NAME] == "ich-triage v3 shadow-next"
    replay = study(records=(replace(READ, **SILENT | {"role": "replay"}),), is_live=False)
    assert row(replay)[NAME] == "ich-triage v3 shadow-next replay"


def test_the_request_is_who_was_asked_and_what_was_read() -> None:
    assert json.loads(row(study(records=(READ,)))[INPUTS]) == {
        "model": "ich-triage",
        "version": "2",
        "variant": "champion",
        "modality": "CT",
        "body_part": "HEAD",
        "slices": 30,
    }


def test_the_response_is_the_outcome_and_the_most_probable_finding_first() -> None:
    told = json.loads(row(study(records=(READ,)))[OUTPUTS])
    assert list(told.items()) == [
        ("outcome", "ok"),
        ("finding", "Intracranial hemorrhage"),
        ("score", 0.93),
        ("others", {"Stroke": 0.2}),
        ("priority_score", 93),
        ("input_check", "in-distribution"),
    ]


def test_a_record_of_a_former_release_shows_codes() -> None:
    told = json.loads(row(study(records=(replace(READ, finding_names=()),)))[OUTPUTS])
    assert told["finding"] == "1386000"


def test_a_failed_study_shows_stage_and_code() -> None:
    failed = study(records=(), outcome=Outcome.FAILED, error_code="source-timeout", failed_at=Stage.FETCH)
    assert row(failed)[NAME] == "not read"
    assert json.loads(row(failed)[OUTPUTS]) == {
        "outcome": "failed",
        "stage": "fetch",
        "code": "source-timeout",
    }
    assert tags(failed).items() >= {"outcome": "failed", "stage": "fetch", "code": "source-timeout"}.items()


def test_the_stage_that_told_of_its_failure_is_the_one_that_is_shown() -> None:
    broken = (timing(Stage.SELECT, 1, 9, "no-eligible-series"),)
    failed = study(
        records=(),
        outcome=Outcome.REFUSED,
        error_code="no-eligible-series",
        stages=broken,
        failed_at=Stage.FETCH,
    )
    assert json.loads(row(failed)[OUTPUTS])["stage"] == "select"


def test_tags_tell_the_version_and_the_outcome() -> None:
    assert tags(study(records=(READ,))) == {
        "mlflow.traceName": "ich-triage v2 champion",
        "model": "ich-triage",
        "version": "2",
        "variant": "champion",
        "outcome": "ok",
    }


def test_no_text_that_slipped_into_a_record_reaches_the_list() -> None:
    uid = "1.2.840.113619.2.55.3.604688119"
    slipped = replace(READ, finding_names=(f"seen on {uid}", "DOE^JANE"), version=uid, variant="DOE^JANE")
    told = str(row(study(records=(slipped,))))
    assert uid not in told
    assert "JANE" not in told
