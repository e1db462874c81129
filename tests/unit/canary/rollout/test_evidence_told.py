"""What a rollout sees of its metrics: each by its own verdict, and harm that only all of them show together."""

from __future__ import annotations

from canary.evidence.judge import judge
from canary.evidence.measure import measure_all
from canary.evidence.metric import MetricKind, MetricPhase
from canary.evidence.metric_state import start, update_all
from canary.evidence.observations import AssignedStudy, FailurePair
from canary.rollout.evidence_told import metrics_seen
from tests.unit.canary.rollout.builders import guardrail, sensitivity

ERRORS, SHADOW = guardrail(), guardrail("shadow-failures", kind=MetricKind.SHADOW_FAILURES)
IN_CANARY = AssignedStudy(in_canary=True, failed=True, weight_bp=500)
WORSE = FailurePair(candidate_failed=True, champion_failed=False)


def test_a_metric_without_a_state_is_open_and_has_seen_nothing() -> None:
    seen = metrics_seen((ERRORS, sensitivity()), {}, {})
    assert {(one.phase, one.observed) for one in seen.values()} == {(MetricPhase.RUNNING, 0)}


def test_a_metric_that_is_not_measured_says_why_and_stays_open() -> None:
    seen = metrics_seen((guardrail("dice", kind=MetricKind.DICE),), {}, {"dice": "nobody keeps it"})
    assert seen["dice"].reason == "dice has no data: nobody keeps it"
    assert seen["dice"].phase is MetricPhase.RUNNING


def test_a_metric_that_failed_alone_keeps_its_own_reason() -> None:
    states = {ERRORS.name: update_all(ERRORS, start(ERRORS), [IN_CANARY] * 9)}
    (measured,) = measure_all((ERRORS,), states)
    seen = metrics_seen((ERRORS,), states, {})[ERRORS.name]
    assert (seen.phase, seen.reason, seen.observed) == (MetricPhase.FAILED, measured.reason, 9)


def test_harm_that_only_the_average_of_all_shows_fails_the_metric_that_shows_most() -> None:
    specs = (ERRORS, SHADOW)
    for errors in range(1, 12):
        for pairs in range(1, 60):
            states = {
                ERRORS.name: update_all(ERRORS, start(ERRORS), [IN_CANARY] * errors),
                SHADOW.name: update_all(SHADOW, start(SHADOW), [WORSE] * pairs),
            }
            measured = measure_all(specs, states)
            if all(one.phase is not MetricPhase.FAILED for one in measured):
                judgement = judge(specs, measured)
                if judgement.phase is MetricPhase.FAILED:
                    seen = metrics_seen(specs, states, {})
                    failed = [one for one in seen.values() if one.phase is MetricPhase.FAILED]
                    assert [(one.metric, one.reason) for one in failed] == [
                        (judgement.metrics[0], judgement.reason)
                    ]
                    return
    raise AssertionError("no such states")
