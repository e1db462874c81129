"""What was done and seen becomes events: the same ones whoever tells of it, and no moment paid twice."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from observability.cost.apportion import paid_once
from observability.cost.events import Charge, PaidTime, Phase, ReadingMode, Usage
from observability.cost.from_record import events_of
from observability.cost.items import Item
from observability.cost.observed import LivingReplica, Observed, observed
from observability.names import Stage
from observability.record import InferenceRecord, InputFacts, Outcome, StageTiming
from tests.unit.observability.cost.fleets import START, TWO_CORES, at

RECORD = InferenceRecord(
    "st-1",
    "ich",
    "1",
    "digest",
    "champion",
    Outcome.OK,
    True,
    (
        StageTiming(Stage.QUEUE, at(0), at(1)),
        StageTiming(Stage.PREPARE, at(1), at(2)),
        StageTiming(Stage.WAIT, at(2), at(3)),
        StageTiming(Stage.FORWARD, at(3), at(7)),
    ),
    site="north",
    facts=InputFacts("CT"),
)
SERVER = dict.fromkeys(Stage, "replica-7")
REPLICA = LivingReplica("r", TWO_CORES, model="ich", version="1")


def test_each_stage_that_works_is_a_usage_and_waiting_is_none() -> None:
    found = events_of(RECORD, SERVER, ReadingMode.LIVE, weight=9)
    assert all(isinstance(event, Usage) for event in found)
    told = [(e.resource, e.stage, e.start_ns, e.end_ns, e.weight) for e in found if isinstance(e, Usage)]
    assert told == [
        ("replica-7", Stage.PREPARE, at(1), at(2), 9),
        ("replica-7", Stage.FORWARD, at(3), at(7), 9),
    ]
    (reading,) = {event.reading for event in found if isinstance(event, Usage)}
    assert (reading.study, reading.site, reading.modality, reading.is_delivered) == (
        "st-1",
        "north",
        "CT",
        True,
    )


def test_a_record_that_is_told_again_gives_the_same_ids_and_another_gives_others() -> None:
    def ids(record: InferenceRecord, mode: ReadingMode = ReadingMode.LIVE) -> set[str]:
        return {event.event for event in events_of(record, SERVER, mode, charged={Item.EGRESS_GB: 5})}

    others = [replace(RECORD, attempt=2), replace(RECORD, version="2"), replace(RECORD, study_key="st-2")]
    sets = [ids(RECORD), ids(RECORD, ReadingMode.SILENT), *map(ids, others)]
    assert ids(RECORD) == sets[0]
    assert all(len(one) == 3 for one in sets)
    assert all(a.isdisjoint(b) for a, b in itertools.combinations(sets, 2))


def test_what_nobody_waits_for_is_not_delivered_and_a_stage_without_a_replica_costs_nothing() -> None:
    (only,) = events_of(RECORD, {Stage.FORWARD: "r"}, ReadingMode.SILENT)
    assert isinstance(only, Usage)
    assert not only.reading.is_delivered


def test_minutes_bytes_and_storage_are_charged_at_the_end() -> None:
    found = events_of(RECORD, {}, ReadingMode.LIVE, charged={Item.READER_MINUTE: 60_000, Item.EGRESS_GB: 0})
    assert [(e.item, e.quantity, e.at_ns) for e in found if isinstance(e, Charge)] == [
        (Item.READER_MINUTE, 60_000, at(7))
    ]


def look(
    last: Observed, second: float, *replicas: LivingReplica
) -> tuple[Observed, list[tuple[object, ...]]]:
    known, paid = observed(last, {one.replica: one for one in replicas}, at(second))
    return known, [(one.resource, one.start_ns, one.end_ns, one.phase) for one in paid]


def test_a_replica_is_told_of_when_it_has_changed_when_it_is_gone_and_else_once_a_minute() -> None:
    loading = replace(REPLICA, phase=Phase.LOAD)
    known, first = look(Observed(), 0, loading)
    known, second = look(known, 10, REPLICA)
    known, third = look(known, 60, REPLICA)
    known, fourth = look(known, 70, REPLICA)
    known, fifth = look(known, 75)
    _, sixth = look(known, 80, REPLICA)
    assert (first, third, sixth) == ([], [], [])
    assert second == [("r", at(0), at(10), Phase.LOAD)]
    assert fourth == [("r", at(10), at(70), Phase.SERVE)]
    assert fifth == [("r", at(70), at(75), Phase.DRAIN)]


def test_a_controller_that_was_away_for_a_day_or_whose_clock_is_behind_pays_nothing_it_did_not_see() -> None:
    known, _ = look(Observed(), 0, REPLICA)
    anew, paid = look(known, 24 * 3600 + 1, REPLICA)
    assert (paid, anew.replicas["r"].since_ns) == ([], at(24 * 3600 + 1))
    assert look(known, -5) == (known, [])


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans(), st.booleans()), max_size=12))
def test_whatever_two_controllers_see_no_moment_is_paid_twice(looks: list[tuple[int, bool, bool]]) -> None:
    """Each with its own memory, both telling of the same replica."""
    states: dict[bool, Observed] = {True: Observed(), False: Observed()}
    events: list[PaidTime] = []
    for step, is_first, is_there in looks:
        living = {"r": REPLICA} if is_there else {}
        states[is_first], paid = observed(states[is_first], living, START + step, every_ns=7)
        events += paid
    once = [one.span for one in paid_once(events)]
    assert all(a.end <= b.start for a, b in itertools.pairwise(once))
    covered = {ns for e in events for ns in range(e.start_ns, e.end_ns)}
    assert sum(span.end - span.start for span in once) == len(covered)
    assert len({event.event for event in events}) == len({(e.start_ns, e.resource) for e in events})


@given(st.lists(st.integers(1, 40), max_size=15))
def test_one_that_lives_on_is_paid_without_a_gap_up_to_the_last_minute(steps: list[int]) -> None:
    known, _ = observed(Observed(), {"r": REPLICA}, START)
    told: list[PaidTime] = []
    for moment in itertools.accumulate(steps, initial=START):
        known, paid = observed(known, {"r": REPLICA}, moment, every_ns=60)
        told += paid
    ends = [START, *(one.end_ns for one in told)]
    assert [one.start_ns for one in told] == ends[:-1]
    assert START + sum(steps) - ends[-1] < 60
