"""Any order of what may happen: ticks and crashes, evidence, people, clocks, aliases, things that are away.

After each happening the site's own books must hold (`site.py`): a version that failed has no weight until a person
retries it; no promotion without positive evidence and the approvals; no step is skipped; a budget is overrun by
no more than what came since the last look; a second look, and a status that is saved and loaded, change nothing;
with gates, no run goes on and none is promoted without a fresh yes.
SERINUS_LONG_TESTS=1 goes through fifty times as many histories.
"""

from __future__ import annotations

import os
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from canary.rollout.gate import Gates
from canary.rollout.plan import DAY_S, ExposureBudget, RollbackWindow, Surveillance
from canary.rollout.status import PauseCause, RolloutPhase
from tests.unit.canary.rollout.builders import plan
from tests.unit.canary.rollout.happenings import HAPPENINGS, OFTEN, weights
from tests.unit.canary.rollout.site import Site

TIMES = 50 if os.environ.get("SERINUS_LONG_TESTS") else 1
names = st.one_of(st.sampled_from(OFTEN), st.sampled_from(sorted(HAPPENINGS)))


ALL_GATES = Gates("https://qa/begin", "https://qa/promote", "https://qa/back")


def a_site(*, gated: bool) -> Site:
    declared = plan(
        budget=ExposureBudget(studies=40, adverse=3),
        surveillance=Surveillance(("late-truth",), 20 * DAY_S),
        rollback_window=RollbackWindow(2, DAY_S),
        gates=ALL_GATES if gated else Gates(),
    )
    return Site(declared, challenger="2")


def lived(history: list[str], *, gated: bool) -> Site:
    """The site after a history, which ends at the first happening that breaks its books."""
    site = a_site(gated=gated)
    for number, name in enumerate(history, 1):
        HAPPENINGS[name](site)
        assert not site.broken, (site.broken, history[:number])
    return site


@settings(max_examples=100 * TIMES)
@given(history=st.lists(names, min_size=8, max_size=50), gated=st.booleans())
def test_the_books_hold_in_any_history(history: list[str], *, gated: bool) -> None:
    lived(history, gated=gated)


def test_the_books_hold_in_hundreds_of_long_histories_which_reach_every_phase() -> None:
    """Drawn without hypothesis, which takes longer than the rollouts do; a failure is told as its history."""
    draw, odds, names = random.Random(8), weights(), list(HAPPENINGS)
    phases: Counter[RolloutPhase] = Counter()
    causes: Counter[PauseCause | None] = Counter()
    promoted: Counter[bool] = Counter()
    for number in range(500 * TIMES):
        gated = number % 2 == 0
        site = lived(draw.choices(names, odds, k=40), gated=gated)
        phases.update(event.after.phase for event in site.events)
        causes.update(event.after.pause for event in site.events)
        promoted[gated] += site.promoted
    assert phases.keys() == set(RolloutPhase)
    assert causes.keys() - {None} >= set(PauseCause) - {PauseCause.PLAN_CHANGED}
    assert min(promoted[True], promoted[False]) > 10 * TIMES
