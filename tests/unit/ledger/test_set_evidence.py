"""A ground-truth set as evidence of a rollout: which readings count, each study once, and bit-equal at any time."""

from __future__ import annotations

from dataclasses import replace
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from canary.evidence.metric import MetricKind, MetricState
from canary.evidence.storage import from_json
from canary.rollout.plan import RolloutPlan
from canary.rollout.status import RolloutStatus
from canary.truth import TruthLabel
from ledger import Ledger, StoredSet
from serve_apps.application.gather_evidence import GatheredEvidence
from tests.unit.canary.rollout.builders import METRICS, begun, guardrail, plan, sensitivity
from tests.unit.ledger.conftest import Clock, after, set_time
from tests.unit.ledger.paired import ICH, SHARE, read_twice, says, told
from tests.unit.ledger.test_gathered_evidence import forget, kept
from tests.unit.ledger.test_truth_sets import ABSENT, PRESENT, end, registered, task

OF_SET = sensitivity(name="with-set", truth_sets=("ref",))
SCORES = sensitivity(name="auc", kind=MetricKind.AUC, planned_looks=(60,), concept=ICH, truth_sets=("ref",))
HARM = guardrail("specificity", kind=MetricKind.SPECIFICITY, truth_sets=("ref", "other"))
PLAN = plan(model="ich", metrics=(*METRICS, OF_SET, SCORES, HARM))
LATER = 5_000.0


def begin(ledger: Ledger, seconds: float = 10, declared: RolloutPlan = PLAN) -> None:
    set_time(ledger, after(seconds))
    at = after(seconds)
    status = replace(begun(declared), began_at=at, step_began_at=at, progressed_at=at)
    ledger.rollouts.begin(declared, status, actor="ris/ada")


def read_set(
    ledger: Ledger, of: StoredSet, version: str, seconds: float, *presences: str, score: float = 0.7
) -> None:
    """The version reads the set up to that moment; a presence that is a code of an error: it fails."""
    set_time(ledger, after(seconds))
    run, _ = ledger.truth_set_runs.begin(of, version, f"d{version}", actor="schedule")
    ledger.truth_set_runs.add(run.id, [(n, f"st-{n}", task(run, n)) for n in range(of.studies)])
    said = [one if "-" in one else says(version, one, score) for one in presences]
    end(ledger, *said)
    ledger.truth_set_runs.settle(run.id, {})


def look(ledger: Ledger, seconds: float = LATER) -> None:
    set_time(ledger, after(seconds))
    GatheredEvidence(ledger, SHARE).of(status_of(ledger), PLAN)


def status_of(ledger: Ledger) -> RolloutStatus:
    return ledger.rollouts.of_model("ich")[0].status


def state(ledger: Ledger, metric: str) -> MetricState:
    return from_json(dict(ledger.rollout_evidence.of_run("ich", 1)[metric].state))


def observed(ledger: Ledger, metric: str = "with-set") -> tuple[int, int, int]:
    """Number, candidate's and champion's wrong answers."""
    if metric not in ledger.rollout_evidence.of_run("ich", 1):
        return 0, 0, 0
    seen = state(ledger, metric).overall
    return seen.observed, seen.candidate_events, seen.champion_events


def test_what_both_versions_made_of_a_set_counts_where_the_metric_names_it(ledger: Ledger) -> None:
    of = registered(ledger, PRESENT, PRESENT, ABSENT)
    read_set(ledger, of, "1", 5, "present", "absent", "absent")
    begin(ledger)
    look(ledger, 11)
    assert observed(ledger) == (0, 0, 0)
    read_set(ledger, of, "2", 20, "absent", "present", "present")
    look(ledger, 21)
    assert observed(ledger) == (2, 1, 1)
    assert observed(ledger, "specificity") == (1, 1, 0)
    assert observed(ledger, "sensitivity") == (0, 0, 0), "it names no set"
    assert len(state(ledger, "auc").overall.scores) == 3


def test_a_set_that_is_read_again_adds_nothing(ledger: Ledger) -> None:
    of = registered(ledger, PRESENT)
    begin(ledger)
    read_set(ledger, of, "2", 20, "absent")
    read_set(ledger, of, "1", 21, "present")
    for seconds in (30, 40):
        read_set(ledger, of, "2", seconds, "present")
        read_set(ledger, of, "1", seconds + 1, "absent")
        look(ledger, seconds + 2)
    assert observed(ledger) == (1, 1, 0)


def test_a_set_that_the_candidate_had_read_before_the_run_is_no_evidence_of_it(ledger: Ledger) -> None:
    of = registered(ledger, PRESENT)
    read_set(ledger, of, "2", 5, "present")
    begin(ledger)
    read_set(ledger, of, "1", 20, "absent")
    read_set(ledger, of, "2", 30, "present")
    look(ledger)
    assert observed(ledger) == (0, 0, 0)


def test_only_the_version_of_a_set_counts_that_was_the_newest_when_the_run_began(ledger: Ledger) -> None:
    old = registered(ledger, PRESENT)
    begin(ledger)
    set_time(ledger, after(15))
    new = registered(ledger, PRESENT, PRESENT, PRESENT)
    for version, seconds in (("1", 20), ("2", 30)):
        read_set(ledger, new, version, seconds, "present", "present", "present")
    look(ledger, 40)
    assert observed(ledger) == (0, 0, 0)
    for version, seconds in (("1", 50), ("2", 60)):
        read_set(ledger, old, version, seconds, "present")
    look(ledger, 70)
    assert observed(ledger) == (1, 0, 0)


def test_a_set_of_another_model_and_an_unknown_one_are_no_evidence(ledger: Ledger) -> None:
    of = registered(ledger, PRESENT, model="chest")
    begin(ledger)
    for version in ("1", "2"):
        read_set(ledger, of, version, 20, "present")
    look(ledger)
    assert observed(ledger) == (0, 0, 0)


def test_a_version_that_failed_is_wrong_and_what_could_not_be_had_is_no_pair(ledger: Ledger) -> None:
    of = registered(ledger, PRESENT, PRESENT, PRESENT)
    begin(ledger)
    read_set(ledger, of, "1", 20, "present", "present", "model-error")
    read_set(ledger, of, "2", 30, "model-error", "study-not-found", "model-error")
    look(ledger)
    assert observed(ledger) == (1, 1, 0), "of what both failed nobody said anything"


def test_a_study_that_was_read_in_both_ways_counts_as_it_came_first(ledger: Ledger) -> None:
    of = registered(ledger, PRESENT, PRESENT)
    begin(ledger)
    flow(ledger, "0", 20, candidate="present")
    read_set(ledger, of, "1", 30, "present", "present")
    read_set(ledger, of, "2", 40, "absent", "absent")
    flow(ledger, "1", 50, candidate="present")
    flow(ledger, "2", 60, candidate="absent")
    look(ledger)
    assert observed(ledger) == (3, 2, 0), "study 0 by the flow, 1 by the set, and 2, which is in none"


def test_a_study_of_two_sets_counts_once(ledger: Ledger) -> None:
    sets = registered(ledger, ABSENT, ABSENT), registered(ledger, ABSENT, name="other")
    begin(ledger)
    for version, seconds in (("1", 20.0), ("2", 30.0)):
        for of in sets:
            read_set(ledger, of, version, seconds, *["absent"] * of.studies)
    look(ledger)
    assert observed(ledger, "specificity") == (2, 0, 0)


def flow(ledger: Ledger, study: str, seconds: float, candidate: str) -> str:
    """A live study, with the truth that the finding is there; its pseudonym is that of the set's study.

    The truth's id.
    """
    shadow = says("2", candidate)
    read_twice(ledger, f"pt-{study}", says("1", "present"), shadow, study=study, at=after(seconds))
    ledger.pairs.collect("ich", SHARE)
    set_time(ledger, after(seconds + 1))
    return ledger.truths.add(told(TruthLabel.PRESENT, study), actor="ris").truth.id


STEPS = ("flow 0", "flow 1", "flow 2", "set 1", "set 2", "look", "withdraw")


@settings(max_examples=25, deadline=None)
@given(order=st.lists(st.sampled_from(STEPS), max_size=12))
def test_looks_at_any_time_give_the_bits_of_one_computation_from_nothing(order: list[str]) -> None:
    with TemporaryDirectory() as folder:
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db", clock=Clock())
        of = registered(ledger, PRESENT, PRESENT)
        begin(ledger)
        truths: list[tuple[str, str]] = []
        for number, step in enumerate(order):
            kind, _, which = step.partition(" ")
            seconds = 20.0 + 10 * number
            if kind == "flow":
                truths.append((flow(ledger, which, seconds, candidate="absent"), f"st-{which}"))
            elif kind == "set":
                read_set(ledger, of, which, seconds, "present", "absent")
            elif kind == "withdraw" and truths:
                set_time(ledger, after(seconds))
                ledger.truths.withdraw(*truths.pop(), tenant=None, actor="ris")
            else:
                look(ledger, seconds)
        look(ledger)
        states = kept(ledger)
        forget(ledger)
        look(ledger)
        assert kept(ledger) == states
        ledger.close()
