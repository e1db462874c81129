"""A plan that declares a replay has its candidate read studies of the past when the step begins, once in a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from canary.rollout.plan import RolloutPlan
from canary.rollout.status import PauseCause, RolloutPhase
from canary.rollout.step import SetMirror
from core.errors import ReplayRefused
from ledger import ReplayState, StoredReplay, StoredRollout
from serve_apps.application.replay import ReplayOrder, Replays
from serve_apps.application.routing_snapshot import RoutingSnapshot, with_freeze
from serve_apps.control.backlog_replays import BacklogReplays
from tests.unit.canary.rollout.builders import PROVE, begun, plan
from tests.unit.shell.builders import a_snapshot
from tests.unit.shell.replayed import CANDIDATE, CHAMPION, answer, serve_candidate
from tests.unit.shell.site import Site

MODEL = "ich-triage"
MIRROR = SetMirror(10_000, replay_last=2)


@pytest.fixture
def site(site: Site) -> Site:
    serve_candidate(site)
    for number in range(3):
        answer(site, f"pt-{number}")
    return site


def declared(*steps: Any) -> RolloutPlan:
    return plan(model=MODEL, steps=steps or (MIRROR, PROVE), surveillance=None)


def begin(site: Site, of: RolloutPlan | None = None, **changes: Any) -> StoredRollout:
    of = of or declared()
    return site.ledger.rollouts.begin(of, begun(of, **changes), actor="ris/ada")


def looking(site: Site) -> BacklogReplays:
    ledger = site.ledger
    return BacklogReplays(ledger.rollouts, ledger.replays, Replays(ledger, 0.05))


def asked(site: Site) -> Sequence[StoredReplay]:
    return site.ledger.replays.newest(9, MODEL)


def test_the_candidate_is_to_read_the_last_of_so_many_patients(site: Site) -> None:
    begin(site)
    looking(site).look(site.snapshot)
    (replay,) = asked(site)
    assert (replay.actor, replay.about.candidate, replay.about.last, replay.about.run) == (
        "rollout",
        "2",
        2,
        1,
    )
    assert (replay.asked, replay.state) == (2, ReplayState.READING)


def test_it_is_asked_for_once_in_a_run_whoever_looks(site: Site) -> None:
    begin(site)
    for look in (looking(site), looking(site)):
        look.look(site.snapshot)
        look.look(site.snapshot)
    assert len(asked(site)) == 1


def test_what_a_person_cancelled_is_not_asked_for_again(site: Site) -> None:
    begin(site)
    looking(site).look(site.snapshot)
    site.ledger.replays.cancel(asked(site)[0].id, actor="ada")
    looking(site).look(site.snapshot)
    assert [one.state for one in asked(site)] == [ReplayState.CANCELED]


def test_a_replay_of_a_person_is_not_that_of_the_plan(site: Site) -> None:
    begin(site)
    Replays(site.ledger, 0.05).start(ReplayOrder(MODEL, "2", 1), site.snapshot, "ris/ada")
    looking(site).look(site.snapshot)
    assert sorted(one.actor for one in asked(site)) == ["ris/ada", "rollout"]


@pytest.mark.parametrize(
    ("of", "changes"),
    [
        (declared(SetMirror(10_000), PROVE), {}),
        (declared(PROVE, MIRROR, PROVE), {}),
        (declared(), {"phase": RolloutPhase.PAUSED, "pause": PauseCause.PERSON}),
        (declared(), {"phase": RolloutPhase.ROLLING_BACK}),
    ],
    ids=["none is declared", "its step was not reached", "it is paused", "it goes back"],
)
def test_nothing_is_asked_for(site: Site, of: RolloutPlan, changes: dict[str, Any]) -> None:
    begin(site, of, **changes)
    looking(site).look(site.snapshot)
    assert asked(site) == ()


def test_a_step_that_is_over_is_made_up_for(site: Site) -> None:
    begin(site, step=1)
    looking(site).look(site.snapshot)
    assert len(asked(site)) == 1


def test_it_waits_until_the_candidate_is_served_and_the_site_is_not_frozen(site: Site) -> None:
    begin(site)
    look = looking(site)
    for hindered in (a_snapshot(CHAMPION), a_snapshot(CANDIDATE), with_freeze(site.snapshot, frozen=True)):
        look.look(hindered)
    assert asked(site) == ()
    look.look(site.snapshot)
    assert len(asked(site)) == 1


class Refusing:
    """No version may read again."""

    def __init__(self) -> None:
        self.models: list[str] = []

    def start(self, order: ReplayOrder, snapshot: RoutingSnapshot, actor: str) -> tuple[StoredReplay, bool]:
        self.models.append(order.model)
        raise ReplayRefused("it does not run here")


def test_what_is_refused_is_asked_for_at_the_next_look(site: Site) -> None:
    begin(site)
    refusing = Refusing()
    look = BacklogReplays(site.ledger.rollouts, site.ledger.replays, refusing)
    look.look(site.snapshot)
    look.look(site.snapshot)
    assert refusing.models == [MODEL, MODEL]
