"""What two versions are compared by beside who was right: time, overlap, values, scores, and who failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from canary.evidence.metric import Evidence, Hypothesis, MetricKind, MetricSpec
from canary.evidence.storage import from_json
from canary.rollout.plan import Background, RolloutPlan
from canary.rollout.seen import RolloutEvidence
from canary.rollout.step import Analysis, SetMirror
from canary.truth import TruthLabel, TruthSource
from ledger import KeptFor, Ledger
from ledger.jobs import DAY
from ledger.paired_feed import Span, Versions
from ledger.tables import paired_readings, paired_studies, rollout_evidence
from serve_apps.application.gather_evidence import GatheredEvidence
from tests.unit.canary.rollout.builders import begun, guardrail, plan, sensitivity
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.paired import ICH, SHARE, failed, read_twice, says, told

VOLUME, OTHER = "118565006@SCT", "125605004@SCT"
NI: dict[str, Any] = {
    "hypothesis": Hypothesis.NON_INFERIORITY,
    "margin": 0.05,
    "justification": "two readers differ by that much",
}
FAILURES = guardrail("failures", kind=MetricKind.SHADOW_FAILURES, strata=("site",))
LATENCY = guardrail("latency", kind=MetricKind.LATENCY, tolerance=0.2, strata=("site",))
DICE = guardrail("dice", kind=MetricKind.DICE, tolerance=0.1, strata=("scanner",))
VALUES = MetricSpec(
    name="volume", kind=MetricKind.MEASUREMENT, planned_looks=(6,), relative=True, concept=VOLUME, **NI
)
AUC = MetricSpec(name="auc", kind=MetricKind.AUC, planned_looks=(4, 8), concept=ICH, **NI)
METRICS = (FAILURES, LATENCY, DICE, VALUES, AUC, sensitivity(strata=("site",)))
LATER = 600.0


def declared(*metrics: MetricSpec) -> RolloutPlan:
    """A plan without steps that ask for other metrics."""
    steps = SetMirror(10_000), Analysis(tuple(metric.name for metric in metrics[:1]))
    return plan(*steps, model="ich", metrics=metrics, background=Background())


PLAN = declared(*METRICS)


def begin(ledger: Ledger, seconds: float = 0.0) -> None:
    set_time(ledger, after(seconds))
    at = after(seconds)
    status = replace(begun(PLAN), began_at=at, step_began_at=at, progressed_at=at)
    ledger.rollouts.begin(PLAN, status, actor="ris/ada")


def look(ledger: Ledger, seconds: float = LATER, asked: RolloutPlan = PLAN) -> RolloutEvidence:
    set_time(ledger, after(seconds))
    (stored,) = ledger.rollouts.of_model("ich")
    return GatheredEvidence(ledger, SHARE).of(stored.status, asked)


def kept(ledger: Ledger) -> Mapping[str, Any]:
    return {name: (one.state, one.cursor) for name, one in ledger.rollout_evidence.of_run("ich", 1).items()}


def seen(ledger: Ledger, metric: str) -> Evidence:
    return from_json(dict(ledger.rollout_evidence.of_run("ich", 1)[metric].state)).overall


def forget(ledger: Ledger) -> None:
    with ledger.database.write() as connection:
        connection.execute(sa.delete(rollout_evidence))


def champion(score: float = 0.7, ml: float = 100.0, ms: float = 50.0) -> dict[str, Any]:
    measured = [[VOLUME, ml]]
    return says("1", "present", score, measurements=measured, work_ms=ms, has_mask=True)


def with_another(said: dict[str, Any]) -> dict[str, Any]:
    """The version speaks of another finding, too."""
    return said | {"findings": [*said["findings"], said["findings"][0] | {"code": OTHER}]}


def candidate(
    score: float = 0.7, ml: float = 100.0, ms: float = 50.0, overlap: float | None = 0.9
) -> dict[str, Any]:
    measured = [[VOLUME, ml]]
    return says("2", "present", score, measurements=measured, work_ms=ms, has_mask=True, overlap=overlap)


# ---- what is measured


def test_each_kind_is_measured_on_the_same_studies(ledger: Ledger) -> None:
    begin(ledger)
    for number in range(3):
        read_twice(ledger, f"pt-{number}", champion(), candidate(0.6, 110.0, 60.0), at=after(number + 1))
        ledger.truths.add(told(study=f"pt-{number}"), actor="ris")
    found = look(ledger)
    assert {name: one.observed for name, one in found.metrics.items()} == dict.fromkeys(
        [metric.name for metric in METRICS], 3
    )
    assert seen(ledger, "latency").differences.mean == pytest.approx(-0.1823, abs=1e-4)
    assert seen(ledger, "dice").differences.mean == pytest.approx(-0.1)
    assert seen(ledger, "volume").differences.mean == pytest.approx(10 / 105)
    assert [(one.candidate_score, one.champion_score) for one in seen(ledger, "auc").scores] == [
        (0.6, 0.7)
    ] * 3
    strata = from_json(dict(ledger.rollout_evidence.of_run("ich", 1)["latency"].state)).strata
    assert [name for name, _ in strata] == ["site=north"]


def test_of_a_patient_the_first_study_counts(ledger: Ledger) -> None:
    begin(ledger)
    read_twice(ledger, "pt-1", champion(), candidate(ms=50.0), study="a", at=after(1))
    read_twice(ledger, "pt-1", champion(), candidate(ms=90.0, overlap=0.1), study="b", at=after(2))
    look(ledger)
    assert seen(ledger, "latency").differences.mean == 0.0
    assert [seen(ledger, name).observed for name in ("latency", "dice", "volume", "failures")] == [1] * 4


def test_as_the_safety_net_the_champion_is_measured_the_same(ledger: Ledger) -> None:
    begin(ledger)
    answered, beside = candidate(0.6, 110.0, 60.0, None), champion() | {"overlap": 0.8}
    read_twice(ledger, "pt-1", answered, beside, role="safety-net", at=after(1))
    look(ledger)
    assert seen(ledger, "latency").differences.mean < 0
    assert seen(ledger, "volume").differences.mean > 0
    assert seen(ledger, "dice").differences.mean == pytest.approx(-0.2)


def test_a_failure_of_either_has_no_time_and_no_overlap_and_counts_among_the_failures(
    ledger: Ledger,
) -> None:
    begin(ledger)
    read_twice(ledger, "pt-1", champion(), "model-error", at=after(1))
    read_twice(ledger, "pt-2", failed(), candidate(overlap=None), at=after(2))
    read_twice(ledger, "pt-3", failed(), "deadline-exceeded", at=after(3))
    read_twice(ledger, "pt-4", champion(), candidate(), at=after(4))
    look(ledger)
    failures = seen(ledger, "failures")
    assert (failures.observed, failures.candidate_events, failures.champion_events) == (4, 2, 2)
    assert [seen(ledger, name).observed for name in ("latency", "dice", "volume")] == [1, 1, 1]
    values = seen(ledger, "volume")
    assert (values.candidate_events, values.champion_events) == (1, 1), "one value each is missing"


def test_what_the_champion_failed_counts_as_not_right_where_the_truth_is_known(ledger: Ledger) -> None:
    begin(ledger)
    read_twice(ledger, "pt-1", failed(), candidate(), at=after(1))
    set_time(ledger, after(2))
    ledger.truths.add(told(study="pt-1"), actor="ris")
    look(ledger)
    right = seen(ledger, "sensitivity")
    assert (right.observed, right.candidate_events, right.champion_events) == (1, 0, 1)
    (score,) = seen(ledger, "auc").scores
    assert (score.champion_score, score.candidate_score) == (None, 0.7)


@pytest.mark.parametrize("code", ["input-out-of-distribution", "outside-intended-use"])
def test_a_study_that_was_refused_is_a_failure_of_neither(ledger: Ledger, code: str) -> None:
    begin(ledger)
    read_twice(ledger, "pt-1", champion(), code, at=after(1))
    look(ledger)
    assert seen(ledger, "failures").observed == 0


def test_a_study_without_a_finding_is_a_pair_of_failures_too(ledger: Ledger) -> None:
    """A model that only measures, or a study that both failed, has no label to be seen by."""
    begin(ledger)
    read_twice(ledger, "pt-1", failed(), "model-error", at=after(1))
    read_twice(ledger, "pt-2", champion() | {"findings": []}, "model-error", at=after(2))
    look(ledger)
    failures = seen(ledger, "failures")
    assert (failures.observed, failures.candidate_events, failures.champion_events) == (2, 2, 1)


def test_a_planned_metric_reads_its_own_concept_only(ledger: Ledger) -> None:
    begin(ledger)
    other = [["other@99TEST", 5.0]]
    read_twice(
        ledger,
        "pt-1",
        champion() | {"measurements": other},
        candidate() | {"measurements": other},
        at=after(1),
    )
    set_time(ledger, after(2))
    ledger.truths.add(told(study="pt-1", finding="other-finding"), actor="ris")
    look(ledger)
    assert (seen(ledger, "volume").observed, seen(ledger, "auc").observed) == (0, 0)


def test_pairs_whose_scores_were_not_kept_are_no_wrong_scores(ledger: Ledger) -> None:
    begin(ledger)
    read_twice(ledger, "pt-1", champion(), candidate(), at=after(1))
    ledger.pairs.collect("ich", SHARE)
    with ledger.database.write() as connection:
        nothing = {"champion_score": None, "candidate_score": None}
        connection.execute(sa.update(paired_readings).values(**nothing))
    set_time(ledger, after(2))
    ledger.truths.add(told(study="pt-1"), actor="ris")
    look(ledger)
    assert (seen(ledger, "auc").observed, seen(ledger, "sensitivity").observed) == (0, 1)


def test_a_metric_that_does_not_say_what_it_reads_has_no_data_and_says_so(ledger: Ledger) -> None:
    begin(ledger)
    read_twice(ledger, "pt-1", champion(), candidate(), at=after(1))
    unnamed = declared(FAILURES, replace(VALUES, concept=None), replace(DICE, tolerance=0.0))
    found = look(ledger, asked=unnamed)
    assert found.metrics["volume"].reason.startswith("volume has no data: it does not name by `concept`")
    assert found.metrics["dice"].reason.startswith("dice has no data: no two versions segment alike")
    assert kept(ledger).keys() & {"volume", "dice"} == set()


def test_what_came_before_the_run_is_not_its_evidence(ledger: Ledger) -> None:
    read_twice(ledger, "pt-1", champion(), candidate(), at=after(1))
    ledger.truths.add(told(study="pt-1"), actor="ris")
    ledger.pairs.collect("ich", SHARE)
    begin(ledger, 10)
    read_twice(ledger, "pt-1", champion(), candidate(), study="again", at=after(11))
    read_twice(ledger, "pt-2", champion(), candidate(), at=after(12))
    look(ledger)
    assert {metric.name: seen(ledger, metric.name).observed for metric in METRICS[:4]} == dict.fromkeys(
        ("failures", "latency", "dice", "volume"), 1
    )
    assert seen(ledger, "auc").observed == 0


# ---- only what is new is read


def rows_read(ledger: Ledger, seconds: float) -> int:
    """How many rows of pairs a look fetches."""
    fetched = 0

    def count(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        nonlocal fetched
        if "FROM paired_" in statement and statement.startswith("SELECT"):
            with ledger.database.engine.connect() as other:
                raw = other.connection.cursor()
                raw.execute(f"SELECT count(*) FROM ({statement}) AS asked", _[0])
                fetched += raw.fetchone()[0]

    sa.event.listen(ledger.database.engine, "after_cursor_execute", count)
    try:
        look(ledger, seconds)
    finally:
        sa.event.remove(ledger.database.engine, "after_cursor_execute", count)
    return fetched


def test_a_look_reads_what_is_new_and_all_only_after_something_was_taken_back(ledger: Ledger) -> None:
    begin(ledger)
    added = []
    for number in range(12):
        read_twice(ledger, f"pt-{number}", champion(), candidate(), at=after(number + 1))
        added.append(ledger.truths.add(told(study=f"pt-{number}"), actor="ris").truth)
    everything = rows_read(ledger, 100)
    for seconds in (200, 300):
        read_twice(ledger, f"pt-{seconds}", champion(), candidate(), at=after(seconds))
        of_a_pair = rows_read(ledger, seconds + 1)
        set_time(ledger, after(seconds + 2))
        ledger.truths.add(told(study=f"pt-{seconds}"), actor="ris")
        of_a_truth = rows_read(ledger, seconds + 3)
    assert everything >= 3 * 12
    assert max(of_a_pair, of_a_truth) < 12, (
        "of the new one, and to see that those of the last minute are known"
    )
    assert seen(ledger, "sensitivity").observed == 14
    set_time(ledger, after(400))
    ledger.truths.withdraw(added[0].id, added[0].study_key, tenant="ris", actor="ris")
    assert rows_read(ledger, 401) >= everything
    assert seen(ledger, "sensitivity").observed == 13


def test_a_patient_of_whom_another_finding_comes_later_is_not_taken_again(ledger: Ledger) -> None:
    begin(ledger)
    read_twice(ledger, "pt-1", champion(), candidate(), study="first", at=after(1))
    ledger.truths.add(told(study="first"), actor="ris")
    look(ledger, 10)
    both = with_another(champion()), with_another(candidate())
    read_twice(ledger, "pt-1", *both, study="second", at=after(20))
    set_time(ledger, after(21))
    ledger.truths.add(told(study="second", finding=OTHER), actor="ris")
    look(ledger, 22)
    assert (seen(ledger, "auc").observed, seen(ledger, "sensitivity").observed) == (1, 1)


def test_a_look_takes_nothing_of_what_comes_while_it_reads(ledger: Ledger) -> None:
    """Of the moment that its cursor names, so that the next look takes all of what came behind."""
    versions, until = Versions("ich", "1", "2"), Span(None, after(10))
    read_twice(ledger, "pt-1", champion(), candidate(), at=after(1))
    ledger.truths.add(told(study="pt-1"), actor="ris")
    ledger.pairs.collect("ich", SHARE)
    set_time(ledger, after(11))
    ledger.truths.add(told(TruthLabel.ABSENT, "pt-1", TruthSource.PATHOLOGY), actor="lab")
    read_twice(ledger, "pt-2", champion(), candidate(), at=after(12))
    ledger.pairs.collect("ich", SHARE)
    ((_, known),) = ledger.paired_feed.outcomes(versions, until)
    assert known.truth is TruthLabel.PRESENT
    assert len(ledger.paired_feed.studies(versions, until)) == 1
    assert len(ledger.paired_feed.measured(versions, VOLUME, until)) == 1


def test_a_second_truth_takes_the_place_of_the_first(ledger: Ledger) -> None:
    begin(ledger)
    for number in range(2):
        read_twice(ledger, f"pt-{number}", champion(), candidate(), at=after(number + 1))
        ledger.truths.add(told(study=f"pt-{number}"), actor="ris")
    look(ledger, 10)
    set_time(ledger, after(11))
    better = told(TruthLabel.ABSENT, "pt-0", TruthSource.PATHOLOGY)
    ledger.truths.add(better, actor="lab")
    look(ledger, 12)
    assert [one.positive for one in seen(ledger, "auc").scores] == [True, False], "and stands behind"
    assert seen(ledger, "sensitivity").observed == 1


def test_a_clock_that_goes_back_passes_nothing_by(ledger: Ledger) -> None:
    begin(ledger)
    read_twice(ledger, "pt-1", champion(), candidate(), at=after(100))
    look(ledger, 100)
    read_twice(ledger, "pt-2", champion(), candidate(ms=90.0), at=after(50))
    look(ledger, 50)
    states = kept(ledger)
    assert seen(ledger, "latency").observed == 2
    forget(ledger)
    look(ledger, 50)
    assert kept(ledger) == states


def test_what_retention_deletes_is_taken_no_more(ledger: Ledger) -> None:
    begin(ledger)
    for number in range(2):
        read_twice(ledger, f"pt-{number}", champion(), candidate(), at=after(200 * number + 1))
    look(ledger, 300)
    with ledger.database.write() as connection:
        of_one = paired_studies.c.patient == "pt-0"
        connection.execute(sa.update(paired_studies).where(of_one).values(at=NOON.replace(year=2000)))
    ledger.retention.purge(KeptFor(None, None, DAY * 400), actor="retention")
    look(ledger, 301)
    assert seen(ledger, "latency").observed == 1
