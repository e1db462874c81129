"""The fence around silent readings: what they say can reach no report, no PACS, no callback and no worklist."""

from __future__ import annotations

import ast
import inspect
import typing
from pathlib import Path

import pytest

from canary.assignment import StudyFacts, assign
from canary.routing_table import BASIS_POINTS
from core.study import StudyRef
from imaging.finding import Prediction, Presence, Urgency
from imaging.report_sr import to_sr
from imaging.segmentation import to_seg
from serve_apps.application import result, shadow
from serve_apps.application import run_shadow as shadow_runner
from serve_apps.application.shadow import critical_codes, disagreements, shadow_tasks_of, silenced
from tests.unit.shell.builders import a_prediction, a_snapshot, a_spec, a_variant, a_version

FORBIDDEN = (
    "imaging.report",
    "imaging.segmentation",
    "imaging.dicomweb.client",
    "imaging.dicomweb.stow",
    "serve_apps.adapters.report_store",
    "serve_apps.application.deliveries",
    "serve_apps.application.deliver",
    "serve_apps.application.result",
)
STUDY = StudyRef("pacs", "1.2.3")
CODE = "1386000@SCT"


@pytest.mark.parametrize("module", [shadow, shadow_runner], ids=lambda m: m.__name__)
def test_silent_code_imports_nothing_that_speaks(module: typing.Any) -> None:
    tree = ast.parse(Path(inspect.getfile(module)).read_text())
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    assert not [name for name in imported if name.startswith(FORBIDDEN)]


@pytest.mark.parametrize("speaks", [to_sr, to_seg, result.to_result], ids=lambda f: f.__name__)
def test_whatever_speaks_takes_a_prediction_and_nothing_else(speaks: typing.Any) -> None:
    first = next(iter(inspect.signature(speaks).parameters.values()))
    assert first.annotation in ("Prediction", Prediction)
    assert not issubclass(shadow.ShadowOutcome, Prediction)


def test_a_silent_outcome_cannot_be_made_a_report() -> None:
    outcome = silenced(a_prediction(), frozenset())
    with pytest.raises(AttributeError):
        result.to_result(outcome, "1.2", sr_uid=None, routing={})  # type: ignore[arg-type]


def test_a_canarys_study_owes_a_reading_by_the_champion() -> None:
    champion, canary = a_version("1"), a_version("2")
    snapshot = a_snapshot(champion, canary=canary, weight_bp=BASIS_POINTS)
    assignment = assign(StudyFacts("st-1", "pt-1"), snapshot.table("ich-triage"))
    delivered = silenced(a_prediction("2"), frozenset({CODE}))
    (task,) = shadow_tasks_of("ich-triage", STUDY, assignment, a_variant(champion), delivered)
    assert (task.role, task.version, task.delivered["version"]) == ("safety-net", "1", "2")


def test_a_study_that_fell_back_to_the_champion_owes_no_second_reading_by_it() -> None:
    champion, canary = a_version("1"), a_version("2")
    snapshot = a_snapshot(champion, canary=canary, weight_bp=BASIS_POINTS)
    assignment = assign(StudyFacts("st-1", "pt-1"), snapshot.table("ich-triage"))
    delivered = silenced(a_prediction("1"), frozenset())
    assert shadow_tasks_of("ich-triage", STUDY, assignment, a_variant(champion), delivered) == ()


def test_a_critical_finding_that_the_delivered_result_missed_is_escalated() -> None:
    missed = a_prediction("2", findings=(_seen(Presence.ABSENT, 0.1, Urgency.NONE),))
    critical = critical_codes(a_spec())
    delivered = silenced(missed, critical)
    (escalation,) = disagreements(delivered.as_json(), silenced(a_prediction("1"), critical), "champion")
    assert escalation.delivered_missed
    assert "Intracranial hemorrhage" in escalation.sentence


def test_two_versions_that_agree_escalate_nothing() -> None:
    critical = critical_codes(a_spec())
    said = silenced(a_prediction("2"), critical)
    assert disagreements(said.as_json(), silenced(a_prediction("1"), critical), "champion") == ()


def _seen(presence: Presence, probability: float, urgency: Urgency) -> typing.Any:
    finding = a_prediction().findings[0]
    return type(finding)(finding.concept, presence, probability, finding.threshold, urgency)
