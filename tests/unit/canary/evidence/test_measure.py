"""A metric promotes on proof, aborts on proof, and says in one sentence why it does or does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.evidence.measure import measure, measure_all, sharing_guardrails, unreadable
from canary.evidence.metric import Hypothesis, MetricKind, MetricPhase, MetricSpec, MetricState, unread
from canary.evidence.metric_state import start, update_all
from canary.evidence.observations import (
    DiagnosisPair,
    LatencyPair,
    MeasurementPair,
    Observation,
    OverlapPair,
    ScorePair,
)
from canary.verdict import Verdict
from tests.unit.canary.evidence.metrics import (
    ERRORS,
    SENSITIVITY,
    SHADOW_ERRORS,
    dry,
    error,
    pair,
    positive,
    read_well,
    spec_of,
)


def seen(spec: MetricSpec, *studies: Observation) -> MetricState:
    return update_all(spec, start(spec), studies)


def test_the_four_ends_of_a_metric_are_those_of_a_verdict() -> None:
    assert {phase.value for phase in MetricPhase} == {verdict.value for verdict in Verdict} | {"Running"}


@pytest.mark.parametrize("kind", MetricKind)
@pytest.mark.parametrize("ended", [False, True])
def test_no_data_neither_passes_nor_fails(kind: MetricKind, ended: bool) -> None:
    """Argo Rollouts calls an analysis successful that was ended before its first measurement."""
    found = measure(spec_of(kind), start(spec_of(kind)), ended=ended)
    assert found.phase is (MetricPhase.INCONCLUSIVE if ended else MetricPhase.RUNNING)
    assert "no study yet" in found.reason


ABORTED = (
    *[read_well()] * 36,
    *[error(in_canary=False)] * 4,
    *[error(in_canary=True)] * 5,
)


def test_a_failing_canary_is_told_as_a_physician_counts() -> None:
    found = measure(ERRORS, seen(ERRORS, *ABORTED))
    assert found.phase is MetricPhase.FAILED
    assert found.reason == "after 41 canary studies: 5 of 9 errors fell in a 5 % arm; log10 E = 2.9 ≥ 2.0"
    assert (found.observed, found.candidate_events, found.champion_events) == (41, 5, 4)


def test_guardrails_share_the_risk_of_a_false_abort_and_a_critical_one_does_not() -> None:
    critical = spec_of(MetricKind.CANARY_FAILURES, critical=True)
    assert measure(ERRORS, seen(ERRORS, *ABORTED), guardrails=10).phase is MetricPhase.RUNNING
    assert measure(critical, seen(critical, *ABORTED), guardrails=10).phase is MetricPhase.FAILED
    assert sharing_guardrails([ERRORS, critical, SENSITIVITY, dry(SHADOW_ERRORS)]) == 2


def test_harm_that_was_proven_between_two_looks_is_not_forgotten() -> None:
    state = seen(SHADOW_ERRORS, *[pair(True, False)] * 9, *[pair(False, True)] * 9)
    found = measure(SHADOW_ERRORS, state)
    assert found.log10_e_harm is not None
    assert found.log10_e_harm < 2.0
    assert found.phase is MetricPhase.FAILED


def test_non_inferiority_has_to_hold_now() -> None:
    shown = [positive(True, True)] * 200
    lost = [positive(False, True)] * 6
    assert measure(SENSITIVITY, seen(SENSITIVITY, *shown)).phase is MetricPhase.SUCCESSFUL
    assert measure(SENSITIVITY, seen(SENSITIVITY, *shown, *lost)).phase is MetricPhase.RUNNING


def test_a_guardrail_passes_after_its_number_of_studies_without_calling_that_a_proof() -> None:
    few, enough = (measure(ERRORS, seen(ERRORS, *[read_well()] * n)) for n in (59, 60))
    assert few.phase is MetricPhase.RUNNING
    assert enough.phase is MetricPhase.SUCCESSFUL
    assert enough.reason == "after 60 canary studies: no error in either arm; no evidence of harm"
    assert enough.log10_e_non_inferiority is None


def test_without_a_decision_at_its_limit_a_metric_is_inconclusive() -> None:
    spec = spec_of(MetricKind.SENSITIVITY, futility_limit=40)
    undecided = [
        positive(True, True),
        positive(False, True),
        positive(True, False),
        positive(True, True),
    ] * 10
    found = measure(spec, seen(spec, *undecided))
    assert found.phase is MetricPhase.INCONCLUSIVE
    assert found.reason.startswith(
        "undecided at its limit, after 40 positive studies: the candidate missed 10"
    )


def test_what_could_not_be_measured_is_an_error() -> None:
    assert unreadable(ERRORS, "the ledger is away").phase is MetricPhase.ERROR


STRATIFIED: dict[str, Any] = {"strata": ("kernel",), "max_strata": 2}
THIN, THICK = "kernel=thin", "kernel=thick"


def test_a_stratum_with_too_few_studies_lets_nothing_pass() -> None:
    spec = spec_of(MetricKind.SENSITIVITY, **STRATIFIED)
    studies = [positive(True, True, THICK)] * 300 + [positive(True, True, THIN)] * 12
    found = measure(spec, seen(spec, *studies))
    assert found.phase is MetricPhase.RUNNING
    assert "kernel=thin has 12 of the 30" in found.reason
    assert measure(spec, seen(spec, *studies), ended=True).phase is MetricPhase.INCONCLUSIVE
    assert [s.phase for s in found.strata] == [MetricPhase.SUCCESSFUL, MetricPhase.INCONCLUSIVE]
    assert measure(spec, seen(spec, *studies, *studies, *studies)).phase is MetricPhase.SUCCESSFUL


def test_a_stratum_that_looks_worse_by_the_margin_lets_nothing_pass() -> None:
    spec = spec_of(MetricKind.SENSITIVITY, **STRATIFIED)
    thin = [positive(True, True, THIN)] * 36 + [positive(False, True, THIN)] * 2
    found = measure(spec, seen(spec, *[positive(True, True, THICK)] * 300, *thin))
    assert found.phase is MetricPhase.RUNNING
    assert "in kernel=thin the candidate looks worse by the margin or more" in found.reason


def test_a_worse_stratum_holds_and_then_stops_a_candidate_that_is_better_elsewhere() -> None:
    spec = spec_of(MetricKind.SPECIFICITY, **STRATIFIED)
    good = [negative(True, False, THICK), *[negative(True, True, THICK)] * 4] * 30
    bad = [negative(False, True, THIN)]
    assert measure(spec, seen(spec, *good)).phase is not MetricPhase.FAILED
    held = measure(spec, seen(spec, *good, *bad * 8))
    assert held.phase is MetricPhase.INCONCLUSIVE
    assert "among 8 of kernel=thin the candidate was wrong on 8 and the champion on 0" in held.reason
    assert held.reason.endswith("a person has to look at kernel=thin")
    stopped = measure(spec, seen(spec, *good, *bad * 14))
    assert stopped.phase is MetricPhase.FAILED
    assert "among 14 of kernel=thin" in stopped.reason


def negative(candidate_right: bool, champion_right: bool, stratum: str) -> Observation:
    return DiagnosisPair(
        positive=False,
        candidate_positive=not candidate_right,
        champion_positive=not champion_right,
        strata=(stratum,),
    )


@pytest.mark.parametrize(
    ("shift", "noise", "phase"),
    [
        (0.0, 0.02, MetricPhase.SUCCESSFUL),
        (0.2, 0.02, MetricPhase.FAILED),
        (0.0, 0.5, MetricPhase.INCONCLUSIVE),
    ],
)
def test_a_measurement_is_read_once_at_its_planned_number(
    shift: float, noise: float, phase: MetricPhase
) -> None:
    spec = spec_of(MetricKind.MEASUREMENT)
    pairs = [MeasurementPair(candidate=1 + shift + noise * (-1) ** i, champion=1.0) for i in range(40)]
    assert measure(spec, seen(spec, *pairs[:39])).phase is MetricPhase.RUNNING
    found = measure(spec, seen(spec, *pairs))
    assert found.phase is phase
    assert "limits of agreement" in found.reason
    assert found.log10_e_harm is None


def test_planned_metrics_share_the_risk_of_a_false_abort_too() -> None:
    measurement = spec_of(MetricKind.MEASUREMENT)
    biased = [MeasurementPair(candidate=1.0593 + 0.02 * (-1) ** i, champion=1.0) for i in range(40)]
    auc = spec_of(MetricKind.AUC, planned_looks=(100, 200), margin=0.1)
    for spec, studies in ((measurement, biased), (auc, scores(0.8, 200))):
        alone, among_many = (measure(spec, seen(spec, *studies), guardrails=k).phase for k in (1, 1_000))
        assert alone is MetricPhase.FAILED
        assert among_many is not MetricPhase.FAILED


def scores(separation: float, n: int) -> list[ScorePair]:
    """Champion scores that separate well; the candidate's by so much of it."""
    return [
        ScorePair(
            positive=i % 2 == 0,
            champion_score=(i % 2 == 0) * 1.5 + (i * 37 % 101) / 50,
            candidate_score=(i % 2 == 0) * 1.5 * separation + (i * 53 % 101) / 50,
        )
        for i in range(n)
    ]


def test_an_auc_is_read_at_planned_looks_and_never_between() -> None:
    spec = spec_of(MetricKind.AUC, planned_looks=(100, 200), margin=0.1)
    worse = scores(0.0, 200)
    outcomes = {n: measure(spec, seen(spec, *worse[:n])) for n in (99, 100, 101, 199)}
    assert outcomes[99].phase is MetricPhase.RUNNING
    assert outcomes[100].phase is MetricPhase.FAILED
    assert outcomes[100].reason == outcomes[101].reason == outcomes[199].reason
    assert outcomes[100].reason.startswith("after 100 studies: AUC 0.416 against 0.972; z = ")


def test_an_auc_that_is_not_worse_passes_and_one_that_cannot_tell_pauses() -> None:
    spec = spec_of(MetricKind.AUC, planned_looks=(100, 200), margin=0.1)
    assert measure(spec, seen(spec, *scores(1.0, 200))).phase is MetricPhase.SUCCESSFUL
    narrow = spec_of(MetricKind.AUC, planned_looks=(100, 200), margin=0.005)
    found = measure(narrow, seen(narrow, *scores(0.95, 200)))
    assert found.phase is MetricPhase.INCONCLUSIVE
    assert found.reason.startswith("undecided at the last look, after 200 studies")


def test_an_auc_of_one_rare_truth_is_not_read() -> None:
    spec = spec_of(MetricKind.AUC, planned_looks=(40,))
    rare = [ScorePair(positive=i < 5, candidate_score=float(i), champion_score=-float(i)) for i in range(40)]
    found = measure(spec, seen(spec, *rare))
    assert found.phase is MetricPhase.INCONCLUSIVE
    assert "only 5 of the rarer truth" in found.reason


def test_a_slower_candidate_fails_and_an_equal_one_passes() -> None:
    spec = spec_of(MetricKind.LATENCY, margin=0.2)
    slow = [
        LatencyPair(candidate_ms=150 * (1 + i % 3), champion_ms=100 * (1 + i * 5 % 3)) for i in range(300)
    ]
    same = [
        LatencyPair(candidate_ms=100 * (1 + i % 3), champion_ms=100 * (1 + i * 5 % 3)) for i in range(300)
    ]
    assert measure(spec, seen(spec, *slow)).phase is MetricPhase.FAILED
    assert "the candidate takes 1.50 times as long" in measure(spec, seen(spec, *slow)).reason
    assert measure(spec, seen(spec, *same)).phase is MetricPhase.SUCCESSFUL


def test_a_tolerated_slowness_is_no_harm() -> None:
    pairs = [
        LatencyPair(candidate_ms=115 * (1 + i % 3), champion_ms=100 * (1 + i * 5 % 3)) for i in range(600)
    ]
    strict, lenient = spec_of(MetricKind.LATENCY), spec_of(MetricKind.LATENCY, margin=0.3, tolerance=0.2)
    assert measure(strict, seen(strict, *pairs)).phase is MetricPhase.FAILED
    assert measure(lenient, seen(lenient, *pairs)).phase is MetricPhase.SUCCESSFUL


@given(n=st.integers(0, 80), failed=st.sets(st.integers(0, 79), max_size=6))
def test_every_reason_is_one_sentence_without_a_number_that_was_not_counted(n: int, failed: set[int]) -> None:
    studies = [error(in_canary=True) if i in failed else read_well() for i in range(n)]
    (found,) = measure_all([ERRORS], {"errors": seen(ERRORS, *studies)})
    assert found.reason
    assert not found.reason.endswith(".")
    assert n == 0 or f"{n} canary studies" in found.reason


REFUSED: list[dict[str, Any]] = [
    {"name": ""},
    {"name": " "},
    {"hypothesis": Hypothesis.NON_INFERIORITY},
    {"margin": 0.05},
    {"margin": 0.0, "justification": "agreed"},
    {"margin": 1.0, "justification": "agreed"},
    {"tolerance": -0.1},
    {"margin": 0.05, "tolerance": 0.05, "justification": "agreed"},
    {"slo": 0.01},
    {"alpha_harm": 0.0},
    {"alpha_non_inferiority": 0.5},
    {"min_per_stratum": 0},
    {"futility_limit": 0},
    {"planned_looks": (100,)},
    {
        "kind": MetricKind.CANARY_FAILURES,
        "hypothesis": Hypothesis.NON_INFERIORITY,
        "margin": 0.1,
        "justification": "a",
    },
    {"kind": MetricKind.FAILURES_OVER_SLO},
    {"kind": MetricKind.AUC},
    {"kind": MetricKind.AUC, "planned_looks": (200, 100)},
    {"kind": MetricKind.AUC, "planned_looks": (100,), "strata": ("site",)},
    {"kind": MetricKind.MEASUREMENT, "planned_looks": (100,)},
    {"concept": "1386000@SCT"},
]


@pytest.mark.parametrize("changes", REFUSED, ids=str)
def test_a_metric_that_could_never_be_judged_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="metric "):
        MetricSpec(**{"name": "m", "kind": MetricKind.SENSITIVITY} | changes)


@pytest.mark.parametrize("kind", [MetricKind.MEASUREMENT, MetricKind.AUC])
def test_a_planned_metric_reads_what_it_names_and_nothing_without(kind: MetricKind) -> None:
    assert "concept" in (unread(spec_of(kind)) or "")
    assert unread(spec_of(kind, concept="1386000@SCT")) is None


def test_an_overlap_is_never_whole_so_that_a_dice_without_tolerance_would_stop_every_candidate() -> None:
    assert "tolerance" in (unread(spec_of(MetricKind.DICE)) or "")
    assert unread(spec_of(MetricKind.DICE, tolerance=0.01)) is None
    assert unread(SENSITIVITY) is None


def test_an_overlap_with_the_champion_is_told_as_it_is() -> None:
    spec = spec_of(MetricKind.DICE, margin=0.2, tolerance=0.1)
    pairs = [OverlapPair(candidate_dice=0.95, champion_dice=1.0)] * 200
    measured = measure(spec, update_all(spec, start(spec), pairs))
    assert measured.phase is MetricPhase.SUCCESSFUL
    assert "overlaps with a Dice of 0.950 on average" in measured.reason
