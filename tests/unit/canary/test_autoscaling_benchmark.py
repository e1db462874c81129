"""A simulated day: what scaling saves, and for whom it waits."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.autoscaling import (
    DAY_S,
    LATE_AFTER_S,
    MOST,
    Ask,
    ByDeadline,
    Rule,
    ServesOwn,
    Site,
    State,
    Study,
    arrivals,
    costs_of,
    fixed,
    moment,
)
from core.priority import Priority, queue_order
from core.weekly_hours import hours_of

FEW = 0.2  # of a whole day's studies, so that it is simulated in less than a second


def day(rule: Rule, seed: int = 1) -> Site:
    site = Site(rule)
    site.told = site.day(list(arrivals(random.Random(seed), FEW)))
    return site


@given(seed=st.integers(0, 1000))
@settings(max_examples=3, deadline=None)
def test_hours_cost_less_idle_time_than_the_same_number_all_day_and_nobody_is_late(seed: int) -> None:
    hours = hours_of("mon-fri 07:00-18:00 2")
    by_hours, all_day = (day(rule, seed).told for rule in (ByDeadline(hours), fixed(2)))
    assert costs_of(by_hours.events).unused < costs_of(all_day.events).unused
    assert by_hours.late == 0


@given(seed=st.integers(0, 1000))
@settings(max_examples=3, deadline=None)
def test_scaling_by_deadline_saves_idle_cost_against_the_number_that_its_peak_needs(seed: int) -> None:
    scaled, peak = day(ByDeadline(), seed).told, day(fixed(MOST), seed).told
    assert costs_of(scaled.events).unused < costs_of(peak.events).unused
    assert sum(map(len, scaled.waits_s.values())) == sum(map(len, peak.waits_s.values()))
    for priority, waits in scaled.waits_s.items():
        assert max(waits, default=0) <= LATE_AFTER_S[priority] + 60


def test_what_is_there_whatever_comes_is_no_marginal_cost() -> None:
    assert costs_of(day(fixed(2)).told.events).marginal == 0
    assert costs_of(day(ByDeadline()).told.events).marginal > 0


def test_serves_own_rule_wants_a_number_for_a_whole_delay_before_it_comes_about() -> None:
    rule = ServesOwn()
    study = Study(queue_order(Priority.ROUTINE, moment(0)), 0, Priority.ROUTINE, 0, 40)
    asked = [rule(State(at_s, [study] * 6, [], 1)) for at_s in (0, 25, 30)]
    assert asked == [Ask(1, 1), Ask(1, 1), Ask(3, 1)]
    asked = [rule(State(at_s, [], [], 3)) for at_s in (35, 600, 635)]
    assert asked == [Ask(3, 1), Ask(3, 1), Ask(1, 1)]


@pytest.mark.parametrize("rule", [fixed(1), ByDeadline(), ServesOwn()])
def test_every_study_is_read_once_in_the_order_of_the_gate(rule: Rule) -> None:
    studies = [
        Study(queue_order(one, moment(at)), number, one, at, 40)
        for number, (one, at) in enumerate(
            [(Priority.ROUTINE, 5)] * 3 + [(Priority.URGENT, 6), (Priority.STAT, 7)]
        )
    ]
    told = Site(rule).day(studies)
    assert {one: len(waits) for one, waits in told.waits_s.items() if waits} == {
        Priority.ROUTINE: 3,
        Priority.URGENT: 1,
        Priority.STAT: 1,
    }
    assert told.waits_s[Priority.STAT][0] <= min(told.waits_s[Priority.URGENT]) + 1
    assert costs_of(told.events).bill >= DAY_S * 10**9 // 3600
