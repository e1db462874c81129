"""Which models are tried for a study, and what a caller reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import ModelRefused, ModelUnavailable, UnknownModel
from imaging.finding import Code, Measurement, Presence, Urgency
from serve_apps.application.result import to_result, worklist_note
from serve_apps.application.routing_snapshot import RoutingSnapshot, eligible_models
from serve_apps.control.snapshot import reason_of
from tests.unit.shell.builders import a_prediction, a_snapshot, a_version

TRIAGE = a_version(model="ich-triage")
BRAIN = a_version(model="brain-volume", modality="MR", priority=())
LUNGS = a_version(model="a-ct-features", priority=())


def test_the_named_model_is_the_only_candidate() -> None:
    assert [c.model for c in eligible_models(a_snapshot(TRIAGE, BRAIN), "brain-volume")] == ["brain-volume"]


def test_without_a_name_triage_comes_first() -> None:
    names = [c.model for c in eligible_models(a_snapshot(LUNGS, BRAIN, TRIAGE), None)]
    assert names == ["ich-triage", "a-ct-features", "brain-volume"]


def test_a_triage_call_takes_only_a_model_that_triages() -> None:
    found = eligible_models(a_snapshot(LUNGS, TRIAGE), None, "CT", triage_only=True)
    assert [c.model for c in found] == ["ich-triage"]


def test_xr_means_plain_films() -> None:
    film = a_version(model="chest-film-qa", modality="CR", priority=())
    assert eligible_models(a_snapshot(film), None, "XR")[0].model == "chest-film-qa"


def test_a_cold_champion_is_a_reason_to_wait_and_an_unknown_model_is_not() -> None:
    cold = RoutingSnapshot(generation=1, expected=frozenset({"ich-triage"}))
    assert cold.not_ready == ("ich-triage",)
    with pytest.raises(ModelUnavailable):
        eligible_models(cold, "ich-triage")
    with pytest.raises(UnknownModel):
        eligible_models(cold, "nobody")


def test_a_champion_that_may_not_answer_says_why_and_holds_nobody_up() -> None:
    barred = RoutingSnapshot(
        generation=1, blocked={"ich-triage": "it is for research only, so it only reads as a shadow"}
    )
    assert barred.not_ready == ()
    with pytest.raises(ModelRefused, match="research only"):
        eligible_models(barred, "ich-triage")


def test_no_model_for_the_modality_is_an_error_not_a_guess() -> None:
    with pytest.raises(UnknownModel):
        eligible_models(a_snapshot(TRIAGE), None, "US")


def test_the_result_is_stamped_with_the_version_that_produced_it() -> None:
    result = to_result(a_prediction("3"), "1.2", sr_uid="1.2.9", routing={"arm": "champion"})
    assert (result.model.version, result.sr_sop_instance_uid, result.priority_flag) == ("3", "1.2.9", True)
    assert "research only" in result.disclaimer.lower()


def test_an_absent_finding_raises_no_flag() -> None:
    prediction = a_prediction(urgency=Urgency.NONE, priority_score=4)
    assert not to_result(prediction, "1.2", sr_uid=None, routing={}).priority_flag


def test_the_worklist_note_says_what_how_sure_and_that_nobody_has_looked() -> None:
    ml = Code("mL", "UCUM", "milliliter")
    volume = Measurement(Code("118565006", "SCT", "Volume"), 1953.2, ml)
    note = worklist_note(a_prediction(measurements=(volume,)))
    assert "Intracranial hemorrhage suspected (91%)" in note
    assert "Volume 1953 mL" in note
    assert "unreviewed" in note


@pytest.mark.parametrize("presence", list(Presence))
def test_every_presence_has_words(presence: Presence) -> None:
    finding = a_prediction().findings[0]
    changed = type(finding)(finding.concept, presence, 0.5, 0.5, finding.urgency)
    assert (
        "suspected" in worklist_note(a_prediction(findings=(changed,))) or presence is Presence.INDETERMINATE
    )


def test_a_version_says_why_it_failed_and_that_nobody_cleared_it() -> None:
    cleared = replace(TRIAGE, research_only=False)
    assert reason_of("ready: answers as champion", cleared, None) == "ready: answers as champion"
    told = reason_of("failed: waits", TRIAGE, "ModelRefused: a byte was changed")
    assert told == "failed: waits: ModelRefused: a byte was changed (for research only)"
