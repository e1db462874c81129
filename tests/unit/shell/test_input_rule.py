"""A study that a version does not know is refused, or read without saying anything, or noted: as the site says."""

from __future__ import annotations

import numpy as np
import pytest

from canary.input_check import InputPolicy, InputRule
from core.errors import InputOutOfDistribution, ModelFailed, ModelUnavailable
from imaging.finding import InputCheck, InputVerdict, Presence, Urgency
from imaging.volume import Volume
from serve_apps.application.input_rule import NO_REFERENCE, InputGuard
from serve_apps.application.result import to_result
from tests.reports import classification, localisation, segmentation, source
from tests.unit.models.builders import ramp, volume

FOREIGN = InputCheck(
    InputVerdict.FOREIGN, distance=4.2, p_value=0.003, unusual=("enclosed air", "share of fat")
)
TYPICAL = InputCheck(InputVerdict.TYPICAL, distance=0.5, p_value=0.6)
CT = source()
STUDY = volume(ramp())


def guard(found: InputCheck, rule: InputRule = InputRule.REFUSE, *, is_required: bool = False) -> InputGuard:
    def check(volume: Volume) -> InputCheck:
        return found

    return InputGuard(check, InputPolicy(rule, is_required))


def test_a_new_site_refuses_and_says_by_which_measures() -> None:
    with pytest.raises(InputOutOfDistribution) as refused:
        guard(FOREIGN).look(STUDY)
    assert "enclosed air, share of fat" in refused.value.detail
    assert (refused.value.code, refused.value.retryable) == ("input-out-of-distribution", False)


@pytest.mark.parametrize("rule", InputRule)
def test_a_typical_study_is_answered_as_ever_with_its_check(rule: InputRule) -> None:
    said = classification(CT)
    answer = guard(TYPICAL, rule).answer(said, guard(TYPICAL, rule).look(STUDY))
    assert answer.findings == said.findings
    assert (answer.notes, answer.input_check) == ((), TYPICAL)


def test_an_indeterminate_answer_holds_nothing_that_could_be_taken_for_a_reading() -> None:
    judge = guard(FOREIGN, InputRule.INDETERMINATE)
    for said in (classification(CT), segmentation(CT), localisation(CT)):
        answer = judge.answer(said, judge.look(STUDY))
        assert {f.presence for f in answer.findings} <= {Presence.INDETERMINATE}
        assert (answer.urgency, answer.priority_score) == (Urgency.NONE, None)
        assert (answer.measurements, answer.boxes, answer.mask, answer.features) == ((), (), None, None)
        (note,) = answer.notes
        assert "nothing is read from it" in note


def test_a_site_that_only_notes_gets_the_answer_with_a_note() -> None:
    judge, said = guard(FOREIGN, InputRule.NOTE), classification(CT)
    answer = judge.answer(said, judge.look(STUDY))
    assert answer.findings == said.findings
    assert answer.notes == (
        "the study is unlike those the version was made for (enclosed air, share of fat)",
    )


def test_a_version_without_a_reference_answers_and_the_result_says_that_nothing_was_checked() -> None:
    judge, said = InputGuard(), classification(CT)
    answer = judge.answer(said, judge.look(STUDY))
    assert answer.input_check.verdict is InputVerdict.UNCHECKED
    assert answer.findings == said.findings


def test_a_site_may_ask_for_a_check() -> None:
    with pytest.raises(InputOutOfDistribution, match="no reference") as refused:
        InputGuard(policy=InputPolicy(is_required=True)).look(STUDY)
    assert refused.value.detail == NO_REFERENCE


def test_a_network_that_fails_on_a_study_it_does_not_know_is_not_to_blame() -> None:
    failed = ModelFailed("the network failed with IndexError")
    excused = guard(FOREIGN, InputRule.INDETERMINATE).failure(failed, FOREIGN)
    assert isinstance(excused, InputOutOfDistribution)
    assert guard(FOREIGN, InputRule.NOTE).failure(failed, FOREIGN) is failed
    assert guard(TYPICAL, InputRule.INDETERMINATE).failure(failed, TYPICAL) is failed


def test_a_replica_that_is_unwell_is_so_on_any_study() -> None:
    unwell = ModelUnavailable("the replica is replaced")
    assert guard(FOREIGN, InputRule.INDETERMINATE).failure(unwell, FOREIGN) is unwell


def test_the_result_shows_the_check_and_claims_no_certainty() -> None:
    judge = guard(FOREIGN, InputRule.INDETERMINATE)
    result = to_result(judge.answer(classification(CT), FOREIGN), "1.2", sr_uid=None, routing={}).to_json()
    assert result["input_check"] == {
        "verdict": "out-of-distribution",
        "distance": 4.2,
        "p_value": 0.003,
        "unusual": ["enclosed air", "share of fat"],
    }
    assert "unlike those the version was made for; Intracranial hemorrhage indeterminate." in result["note"]
    assert "%" not in result["note"]
    assert np.isfinite(result["findings"][0]["probability"])
