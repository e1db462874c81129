"""What a site makes of a study that a version does not know."""

from __future__ import annotations

import pytest

from canary.fallback import Action, Attempt, Failure, FallbackPolicy, after_failure
from canary.input_check import InputConsequence, InputPolicy, InputRule, consequence, excuses_failure


@pytest.mark.parametrize(
    ("is_foreign", "rule", "is_required", "expected"),
    [
        (False, InputRule.REFUSE, True, InputConsequence.ANSWER),
        (True, InputRule.REFUSE, False, InputConsequence.REFUSE),
        (True, InputRule.INDETERMINATE, False, InputConsequence.INDETERMINATE),
        (True, InputRule.NOTE, False, InputConsequence.NOTE),
        (None, InputRule.REFUSE, False, InputConsequence.ANSWER),
        (None, InputRule.NOTE, True, InputConsequence.REFUSE),
    ],
)
def test_the_site_s_rule_is_followed(
    is_foreign: bool | None, rule: InputRule, is_required: bool, expected: InputConsequence
) -> None:
    assert consequence(is_foreign, InputPolicy(rule, is_required)) is expected


@pytest.mark.parametrize(
    ("is_foreign", "rule", "is_excused"),
    [
        (True, InputRule.REFUSE, True),
        (True, InputRule.INDETERMINATE, True),
        (True, InputRule.NOTE, False),
        (False, InputRule.INDETERMINATE, False),
        (None, InputRule.INDETERMINATE, False),
    ],
)
def test_a_network_is_excused_where_the_check_has_a_say_and_the_study_is_foreign(
    is_foreign: bool | None, rule: InputRule, is_excused: bool
) -> None:
    assert excuses_failure(is_foreign, rule) is is_excused


def test_a_study_that_a_canary_does_not_know_is_no_failure_of_it() -> None:
    step = after_failure(Attempt(False, Failure.FOREIGN_INPUT, 1, 30.0), FallbackPolicy(5.0))
    assert (step.action, step.counts) == (Action.FALL_BACK, False)
    assert "does not know such input" in step.reason


def test_what_the_champion_does_not_know_nobody_answers() -> None:
    step = after_failure(Attempt(True, Failure.FOREIGN_INPUT, 1, 30.0), FallbackPolicy(5.0))
    assert (step.action, step.counts) == (Action.GIVE_UP, False)
