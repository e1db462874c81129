"""From Serve's status to a phase: RUNNING is not READY, unless it was so before this controller was started."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from canary.observation import AppPhase
from serve_apps.control.observe import (
    RESTING_INTERVAL_S,
    RETRY_AFTER_S,
    SETTLED_INTERVAL_S,
    UNWELL_S,
    ApplicationPhases,
    AppState,
    AppStatus,
    last_sentence,
)
from tests.unit.shell.control_fakes import Clock

APP = "mv-ich-1"
NOBODY: frozenset[str] = frozenset()
KNOWN = frozenset({APP})
RUNNING = AppStatus(AppState.RUNNING, replicas=1)
GONE = AppStatus(AppState.RUNNING, replicas=0)


class FakeApps:
    def __init__(self, status: AppStatus, *, answers: bool = True) -> None:
        self.status, self.answers = status, answers
        self.sleepy = False
        self.changes = 0
        self.looks = self.glances = 0
        self.news = False
        self.asked = 0
        self.unready: list[str] = []

    async def has_news(self) -> bool:
        self.glances += 1
        return self.news

    async def statuses(self) -> Mapping[str, AppStatus]:
        self.looks += 1
        return {APP: self.status}

    def is_warm(self, app_name: str) -> bool:
        self.asked += 1
        return self.answers

    def mark_unready(self, app_name: str) -> None:
        self.unready.append(app_name)

    def may_sleep(self, app_name: str) -> bool:
        return self.sleepy


async def phase(phases: ApplicationPhases, apps: FakeApps, known: frozenset[str] = NOBODY) -> AppPhase:
    apps.changes += 1  # so that Serve is asked
    return (await phases.observe(known))[APP]


async def test_running_is_not_ready_until_a_replica_has_answered() -> None:
    apps = FakeApps(RUNNING, answers=False)
    phases = ApplicationPhases(apps, Clock())
    assert await phase(phases, apps) is AppPhase.LOADING
    apps.answers = True
    assert await phase(phases, apps) is AppPhase.READY


async def test_after_a_restart_of_the_controller_what_was_ready_and_runs_is_ready_at_once() -> None:
    apps = FakeApps(RUNNING, answers=False)
    assert await phase(ApplicationPhases(apps, Clock()), apps, KNOWN) is AppPhase.READY
    assert apps.asked == 0


async def test_what_was_ready_before_the_restart_must_answer_again_once_its_replica_is_gone() -> None:
    apps = FakeApps(RUNNING, answers=False)
    phases = ApplicationPhases(apps, Clock())
    await phase(phases, apps, KNOWN)
    apps.status = GONE
    assert await phase(phases, apps, KNOWN) is AppPhase.UNWELL
    apps.status = RUNNING
    assert await phase(phases, apps, KNOWN) is AppPhase.LOADING
    assert APP in apps.unready, "an answer of before does not count"


async def test_a_version_that_got_ready_under_this_controller_is_not_taken_on_trust() -> None:
    apps = FakeApps(RUNNING, answers=False)
    phases = ApplicationPhases(apps, Clock())
    await phase(phases, apps, NOBODY)
    assert await phase(phases, apps, KNOWN) is AppPhase.LOADING


@pytest.mark.parametrize("state", [AppState.STARTING, AppState.FAILED])
async def test_an_application_that_is_changed_serves_on_while_its_old_replicas_run(state: AppState) -> None:
    apps = FakeApps(AppStatus(state, replicas=1))
    assert await phase(ApplicationPhases(apps, Clock()), apps) is AppPhase.READY


async def test_a_replica_that_is_replaced_is_unwell_for_a_while_and_then_lost() -> None:
    apps, clock = FakeApps(GONE), Clock()
    phases = ApplicationPhases(apps, clock)
    assert await phase(phases, apps, KNOWN) is AppPhase.UNWELL
    assert (phases.lost, phases.running) == (NOBODY, NOBODY)
    clock.now += UNWELL_S
    assert await phase(phases, apps, KNOWN) is AppPhase.LOADING
    assert phases.lost == {APP}
    apps.status = RUNNING
    assert await phase(phases, apps, KNOWN) is AppPhase.READY
    assert (phases.lost, phases.running) == (NOBODY, {APP})


async def test_one_that_may_be_without_a_replica_is_asleep_and_must_answer_when_it_wakes() -> None:
    apps = FakeApps(GONE)
    apps.sleepy = True
    phases = ApplicationPhases(apps, Clock())
    assert await phase(phases, apps, KNOWN) is AppPhase.ASLEEP
    apps.status, apps.answers = RUNNING, False
    assert await phase(phases, apps, KNOWN) is AppPhase.LOADING


async def test_a_failed_application_says_why_and_is_tried_again_after_a_while() -> None:
    message = "Deploying app failed\n  File x.py\ncore.errors.ModelRefused: a byte was changed\n\n"
    apps, clock = FakeApps(AppStatus(AppState.FAILED, message)), Clock()
    phases = ApplicationPhases(apps, clock)
    assert await phase(phases, apps) is AppPhase.FAILED
    assert phases.failures == {APP: "core.errors.ModelRefused: a byte was changed"}
    assert not phases.may_retry(APP)
    clock.now += RETRY_AFTER_S
    assert phases.may_retry(APP)


async def test_serve_is_asked_less_often_while_nothing_is_on_its_way() -> None:
    apps, clock = FakeApps(RUNNING, answers=False), Clock()
    phases = ApplicationPhases(apps, clock)
    for _ in range(3):
        await phases.observe(NOBODY)
    assert apps.looks == 3, "while one is loading, each time"
    apps.answers = True
    for _ in range(4):
        await phases.observe(NOBODY)
    assert apps.looks == 4
    apps.changes += 1
    await phases.observe(NOBODY)
    assert apps.looks == 5, "something was started or deleted"


async def test_serve_is_asked_for_everything_only_when_it_has_news_or_none_for_long() -> None:
    apps, clock = FakeApps(RUNNING), Clock()
    phases = ApplicationPhases(apps, clock)
    await phases.observe(NOBODY)
    for _ in range(9):
        clock.now += SETTLED_INTERVAL_S
        await phases.observe(NOBODY)
        await phases.observe(NOBODY)
    assert (apps.looks, apps.glances) == (1, 9), "every other second it is asked for news"
    apps.news, apps.status = True, GONE
    clock.now += SETTLED_INTERVAL_S
    assert (await phases.observe(KNOWN))[APP] is AppPhase.UNWELL
    apps.news, apps.status = False, RUNNING
    assert (await phases.observe(KNOWN))[APP] is AppPhase.READY, (
        "while one is on its way, nothing is left out"
    )
    looks = apps.looks
    clock.now += RESTING_INTERVAL_S
    await phases.observe(NOBODY)
    assert apps.looks == looks + 1, "news can be missed"


def test_no_message_has_no_last_sentence() -> None:
    assert last_sentence("\n \n") == ""
