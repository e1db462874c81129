"""What rows say of a rollout's run: taken in as they come, and bit-equal to one computation from nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.disclosure import Audience
from canary.evidence.metric import MetricKind, MetricPhase
from canary.evidence.storage import from_json
from canary.explain import DecisionRow
from canary.rollout.plan import RolloutPlan
from canary.rollout.seen import RolloutEvidence
from canary.rollout.status import RolloutStatus
from canary.routing_table import CANARY
from canary.truth import TruthLabel
from canary.verdict import Verdict
from core.errors import ModelError
from ledger import Ledger
from ledger.tables import rollout_evidence
from serve_apps.application.gather_evidence import GatheredEvidence, ReadEvidence
from tests.unit.canary.rollout.builders import METRICS, begun, guardrail, plan, sensitivity
from tests.unit.ledger.conftest import NOON, Clock, after, set_time
from tests.unit.ledger.paired import SHARE, read_twice, says, told
from tests.unit.ledger.routed import decided, read_study, stood_in, table
from tests.unit.ledger.test_rollouts import event

SPECIFICITY = sensitivity(name="specificity", kind=MetricKind.SPECIFICITY, strata=("site",))
DICE = guardrail("dice", kind=MetricKind.DICE)
PLAN = plan(model="ich", metrics=(*METRICS, SPECIFICITY, DICE))
LATER = 600.0  # by then all is settled


def begin(ledger: Ledger, declared: RolloutPlan = PLAN) -> None:
    set_time(ledger, NOON)
    status = replace(begun(declared), began_at=NOON, step_began_at=NOON, progressed_at=NOON)
    ledger.rollouts.begin(declared, status, actor="ris/ada")


def look(ledger: Ledger, seconds: float = LATER) -> RolloutEvidence:
    set_time(ledger, after(seconds))
    return GatheredEvidence(ledger, SHARE).of(status_of(ledger), PLAN)


def status_of(ledger: Ledger) -> RolloutStatus:
    (stored,) = ledger.rollouts.of_model("ich")
    return stored.status


def kept(ledger: Ledger) -> Mapping[str, Any]:
    return {name: (one.state, one.cursor) for name, one in ledger.rollout_evidence.of_run("ich", 1).items()}


def forget(ledger: Ledger) -> None:
    with ledger.database.write() as connection:
        connection.execute(sa.delete(rollout_evidence))


def row_of(patient: str, weight_bp: int, *, fails: bool = False) -> tuple[DecisionRow, ...]:
    """What a study leaves: the drawn version answers, or fails, and then the champion answers for a canary."""
    drawn = decided(patient, table(weight_bp))
    if not fails:
        return (drawn,)
    return (
        stood_in(drawn)
        if drawn.variant == CANARY
        else (replace(drawn, role="failed", outcome="model-error"),)
    )


def observed(ledger: Ledger, metric: str) -> tuple[int, int, int]:
    """Number, candidate's events and champion's events."""
    seen = from_json(dict(ledger.rollout_evidence.of_run("ich", 1)[metric].state)).overall
    return seen.observed, seen.candidate_events, seen.champion_events


def in_canary(weight_bp: int, number: int = 1) -> list[str]:
    """Patients who are drawn for the canary at that weight."""
    names = (f"pt-{index}" for index in range(10_000))
    drawn = (name for name in names if decided(name, table(weight_bp)).arm == CANARY)
    return [next(drawn) for _ in range(number)]


# ---- any order of arrivals and looks

PATIENTS = st.sampled_from([f"pt-{number}" for number in range(9)])
WEIGHTS = st.sampled_from([0, 500, 5_000, 10_000])
STUDIES = st.tuples(st.just("study"), PATIENTS, WEIGHTS, st.booleans(), st.integers(0, 50))
LOOKS = st.tuples(st.just("look"), st.sampled_from([0, 5, 90]))
ARRIVALS = st.one_of(
    STUDIES,
    LOOKS,
    st.tuples(st.just("pair"), PATIENTS, st.sampled_from(["present", "absent", ModelError.code])),
    st.tuples(st.just("truth"), PATIENTS, st.sampled_from([TruthLabel.PRESENT, TruthLabel.ABSENT])),
    st.tuples(st.just("withdrawn"), PATIENTS),
    STUDIES,
    LOOKS,
)


class Site:
    """A clock that goes on with each event, and a ledger that is told of it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.seconds, self.truths = ledger, 60.0, dict[str, list[str]]()

    def happens(self, kind: str, *what: Any) -> None:
        self.seconds += 1.0
        set_time(self.ledger, after(self.seconds))
        getattr(self, kind)(*what)

    def study(self, patient: str, weight_bp: int, fails: bool, late_s: int) -> None:
        """Seen now, and written at a time that others may have overtaken."""
        read_study(self.ledger, row_of(patient, weight_bp, fails=fails), at=after(self.seconds - late_s))

    def pair(self, patient: str, said: str) -> None:
        shadow = said if said == ModelError.code else says("2", said)
        study = f"{patient}-{self.seconds}"
        read_twice(self.ledger, patient, says("1", "present"), shadow, study=study, at=after(self.seconds))
        self.truths.setdefault(patient, [])

    def truth(self, patient: str, label: TruthLabel) -> None:
        with self.ledger.database.read() as connection:
            studies = (
                connection.execute(sa.text("SELECT DISTINCT study_key FROM shadow_outcomes")).scalars().all()
            )
        for study in studies:
            if study.startswith(f"st-{patient}-"):
                added = self.ledger.truths.add(told(label, study.removeprefix("st-")), actor="ris")
                self.truths.setdefault(patient, []).append(f"{added.truth.id} {study}")

    def withdrawn(self, patient: str) -> None:
        for one in self.truths.get(patient, []):
            truth, study = one.split(" ")
            self.ledger.truths.withdraw(truth, study, tenant="ris", actor="ris")

    def look(self, wait_s: int) -> None:
        self.seconds += wait_s
        look(self.ledger, self.seconds)


@given(st.lists(ARRIVALS, min_size=4, max_size=22))
@settings(max_examples=20, deadline=None)
def test_looks_at_any_time_give_the_bits_of_one_computation_from_nothing(arrivals: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db", clock=Clock())
        begin(ledger)
        site = Site(ledger)
        for kind, *what in arrivals:
            site.happens(kind, *what)
        told_now, states = look(ledger, site.seconds + LATER), kept(ledger)
        forget(ledger)
        assert look(ledger, site.seconds + LATER) == told_now
        assert kept(ledger) == states
        ledger.close()


def test_a_study_that_is_seen_after_a_later_one_is_not_passed_by(ledger: Ledger) -> None:
    begin(ledger)
    later, earlier = in_canary(500, 2)
    read_study(ledger, row_of(later, 500, fails=True), at=after(100))
    look(ledger, 101)
    read_study(ledger, row_of(earlier, 500), at=after(60))
    look(ledger, 102)
    look(ledger)
    assert observed(ledger, "canary-failures") == (2, 1, 0)


def test_a_failure_stays_one_when_its_study_is_tried_again(ledger: Ledger) -> None:
    begin(ledger)
    (patient,) = in_canary(500)
    drawn = decided(patient, table(500))
    failed = replace(drawn, role="failed", outcome="model-error")
    for seconds, rows in ((1, (failed,)), (100, (replace(failed, counts=False),)), (200, (drawn,))):
        set_time(ledger, after(seconds))
        ledger.decisions.record("job-1", "st-1", rows)
        look(ledger, seconds + 90)
    assert observed(ledger, "canary-failures") == (1, 1, 0)
    states = kept(ledger)
    forget(ledger)
    look(ledger)
    assert kept(ledger) == states


# ---- what is taken


def test_of_a_patient_the_first_study_counts(ledger: Ledger) -> None:
    begin(ledger)
    (patient,) = in_canary(500)
    read_study(ledger, row_of(patient, 500), at=after(1))
    read_study(ledger, row_of(patient, 500, fails=True), at=after(2))
    read_twice(ledger, patient, study="a", at=after(3))
    read_twice(ledger, patient, shadow=ModelError.code, study="b", at=after(4))
    look(ledger)
    assert observed(ledger, "canary-failures") == (1, 0, 0)
    assert observed(ledger, "late-truth") == (1, 0, 0)


def test_a_failure_counts_with_the_weight_that_stood_when_its_study_was_drawn(ledger: Ledger) -> None:
    """A ramp, a pause at 0 and a second weight: the ledger keeps what was in force at each draw."""
    begin(ledger)
    first, second = in_canary(500, 2)
    read_study(ledger, row_of(first, 500, fails=True), at=after(1))
    read_study(ledger, row_of("pt-x", 0, fails=True), at=after(2))
    read_study(ledger, row_of(second, 2_500, fails=True), at=after(3))
    look(ledger)
    seen = from_json(dict(ledger.rollout_evidence.of_run("ich", 1)["canary-failures"].state)).overall
    assert (seen.candidate_events, seen.expected_bp) == (2, 500 + 2_500)


def test_what_is_not_settled_waits_and_budgets_do_not(ledger: Ledger) -> None:
    begin(ledger)
    (patient,) = in_canary(500)
    read_study(ledger, row_of(patient, 500, fails=False), at=after(100))
    early = look(ledger, 110)
    assert (early.metrics["canary-failures"].observed, early.exposed_studies) == (0, 1)
    late = look(ledger, 200)
    assert (late.metrics["canary-failures"].observed, late.exposed_studies) == (1, 1)


def test_studies_count_for_the_step_that_was_under_way_and_are_exposed_below_100_percent(
    ledger: Ledger,
) -> None:
    begin(ledger)
    (standing,) = ledger.rollouts.of_model("ich")
    first, second = in_canary(500, 2)
    read_study(ledger, row_of(first, 500), at=after(10))
    moved = replace(standing.status, step=1)
    set_time(ledger, after(60))
    ledger.rollouts.move(standing, moved, [event(standing.status, moved)])
    read_study(ledger, row_of(second, 10_000), at=after(70))
    found = look(ledger)
    assert (found.exposed_studies, dict(found.studies_by_step)) == (1, {0: 1, 1: 1})


def test_adverse_events_are_what_the_candidate_failed_and_what_it_answered_against_a_critical_finding(
    ledger: Ledger,
) -> None:
    begin(ledger)
    first, second, third = in_canary(500, 3)
    read_study(ledger, row_of(first, 500, fails=True), at=after(1))
    answered = read_study(ledger, row_of(second, 500), at=after(2))
    by_champion = read_study(ledger, row_of(third, 0), at=after(3))
    for job in (answered, by_champion):
        ledger.escalations.record(job, {"code": "1"}, Audience.CALLER)
        ledger.escalations.record(job, {"code": "2"}, Audience.CALLER)
    assert look(ledger).adverse_events == 2
    assert look(ledger, 2 * LATER).adverse_events == 2


def test_what_a_former_run_answered_and_is_escalated_now_is_no_adverse_event_of_this_one(
    ledger: Ledger,
) -> None:
    before, now = in_canary(500, 2)
    recalled = read_study(ledger, row_of(before, 500), at=NOON - timedelta(days=1))
    set_time(ledger, NOON)
    begin(ledger)
    answered = read_study(ledger, row_of(now, 500), at=after(2))
    for job in (recalled, answered):
        ledger.escalations.record(job, {"code": "1"}, Audience.CALLER)
    assert look(ledger).adverse_events == 1


def test_a_withdrawn_truth_takes_its_outcome_away(ledger: Ledger) -> None:
    begin(ledger)
    for number in range(3):
        read_twice(ledger, f"pt-{number}", shadow=says("2", "absent"), at=after(number + 1))
    look(ledger, 100)
    set_time(ledger, after(101))
    added = [ledger.truths.add(told(study=f"pt-{number}"), actor="ris").truth for number in range(3)]
    look(ledger, 102)
    assert observed(ledger, "sensitivity") == (3, 3, 0)
    set_time(ledger, after(103))
    ledger.truths.withdraw(added[1].id, added[1].study_key, tenant="ris", actor="ris")
    look(ledger, 104)
    assert observed(ledger, "sensitivity") == (2, 2, 0)


def test_a_shadow_that_fails_counts_by_arm_and_by_stratum(ledger: Ledger) -> None:
    begin(ledger)
    read_twice(ledger, "pt-1", shadow=ModelError.code, at=after(1))
    read_twice(ledger, "pt-2", shadow=says("2", "absent"), at=after(2))
    set_time(ledger, after(50))
    ledger.truths.add(told(TruthLabel.ABSENT, "pt-2"), actor="ris")
    look(ledger)
    assert observed(ledger, "late-truth") == (2, 1, 0)
    state = from_json(dict(ledger.rollout_evidence.of_run("ich", 1)["specificity"].state))
    assert [name for name, _ in state.strata] == ["site=north"]


def test_silence_decides_nothing_and_what_is_not_kept_is_told_as_no_data(ledger: Ledger) -> None:
    begin(ledger)
    found = look(ledger)
    assert {one.phase for one in found.metrics.values()} == {MetricPhase.RUNNING}
    assert found.metrics["dice"].reason.startswith("dice has no data: no two versions segment alike")
    assert found.sample_ratio is Verdict.INCONCLUSIVE
    assert kept(ledger).keys() <= {"sensitivity", "specificity", "late-truth"}


def test_a_canary_that_gets_everybody_at_a_small_weight_breaks_the_split(ledger: Ledger) -> None:
    begin(ledger)
    for number, patient in enumerate(in_canary(500, 8)):
        read_study(ledger, row_of(patient, 500), at=after(number))
    assert look(ledger).sample_ratio is Verdict.FAILED


def test_a_canary_that_nobody_is_drawn_for_has_no_data_whatever_the_champion_does(ledger: Ledger) -> None:
    """A silent arm holds its metric, and in time it shows in the split."""
    begin(ledger)
    others = [f"pt-{n}" for n in range(60) if decided(f"pt-{n}", table(5_000)).arm != CANARY]
    for number, patient in enumerate(others):
        read_study(ledger, row_of(patient, 5_000), at=after(number))
    found = look(ledger)
    assert (found.metrics["canary-failures"].phase, found.metrics["canary-failures"].observed) == (
        MetricPhase.RUNNING,
        0,
    )
    assert (found.exposed_studies, found.sample_ratio) == (0, Verdict.FAILED)


def test_a_look_in_which_nothing_came_writes_nothing(ledger: Ledger) -> None:
    begin(ledger)
    read_study(ledger, row_of("pt-1", 5_000), at=after(1))
    read_twice(ledger, "pt-2", at=after(2))
    look(ledger)
    before, asked = ledger.rollout_evidence.of_run("ich", 1), list[str]()
    sa.event.listen(ledger.database.engine, "before_cursor_execute", lambda *what: asked.append(what[2]))
    look(ledger, LATER + timedelta(hours=1).total_seconds())
    assert not [statement for statement in asked if statement.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert asked
    assert ledger.rollout_evidence.of_run("ich", 1) == before


def test_whoever_shows_a_rollout_is_told_the_same_and_writes_nothing(ledger: Ledger) -> None:
    begin(ledger)
    read_study(ledger, row_of("pt-1", 5_000), at=after(60))
    set_time(ledger, after(LATER))
    shown = ReadEvidence(ledger).of(status_of(ledger), PLAN)
    assert kept(ledger) == {}
    assert shown == look(ledger)
    assert kept(ledger) != {}


def test_the_studies_of_a_model_are_counted_once_each_whoever_answered(ledger: Ledger) -> None:
    champions, failing = (
        next(p for p in (f"one-{n}" for n in range(999)) if decided(p, table(500)).variant != CANARY),
        in_canary(500, 1)[0],
    )
    read_study(ledger, row_of(champions, 500), at=after(10))
    read_study(ledger, row_of(failing, 500, fails=True), at=after(20))  # the champion answered in the end
    assert ledger.rollout_feed.answered_number("ich", NOON) == 2
    assert ledger.rollout_feed.answered_number("ich", after(15)) == 1
    assert ledger.rollout_feed.answered_number("other", NOON) == 0
