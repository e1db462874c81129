"""The control loop's parts: its memory, the phases of applications, what MLflow's page shows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

from canary.gates import Clearance, SitePolicy, regulatory_gate
from canary.observation import AppPhase, ModelObservation, RegistryView, VersionView
from canary.target import target_of
from serve_apps.application.routing_snapshot import VariantState, VariantStatus
from serve_apps.control.app_phases import AppPhases
from serve_apps.control.state_store import ControllerState, MemoryFile
from serve_apps.control.version_apps import AppState, AppStatus
from serve_apps.control.version_tags import version_statuses


def a_memory() -> ControllerState:
    gate = regulatory_gate(Clearance("research", None), "d", SitePolicy.RESEARCH)
    view = VersionView("1", "d", "mv-ich-1", gate)
    look = ModelObservation(
        "ich", RegistryView({"champion": "1"}, {"1": view}), {"1": AppPhase.READY}, 1000.0
    )
    return ControllerState({"ich": target_of(look).state}, generation=41)


def test_the_memory_survives_the_disk_whole(tmp_path: Path) -> None:
    memory = a_memory()
    MemoryFile(tmp_path / "memory.json").save(memory)
    assert MemoryFile(tmp_path / "memory.json").load() == memory


def test_a_restart_without_the_registry_has_the_same_target(tmp_path: Path) -> None:
    MemoryFile(tmp_path / "memory.json").save(a_memory())
    remembered = MemoryFile(tmp_path / "memory.json").load().of("ich")
    found = target_of(ModelObservation("ich", None, {"1": AppPhase.READY}, 2000.0, state=remembered))
    assert found.table is not None
    assert found.table.champion.version == "1"
    assert found.table.generation == remembered.generation


def test_the_first_start_remembers_nothing(tmp_path: Path) -> None:
    assert MemoryFile(tmp_path / "none.json").load() == ControllerState()


def ticking() -> Callable[[], float]:
    """A clock that has moved on by a minute each time it is read."""
    times = itertools.count(0.0, 60.0)
    return lambda: next(times)


class FakeApps:
    def __init__(self, statuses: Mapping[str, AppStatus], warm: bool) -> None:
        self.found, self.answers = statuses, warm
        self.sleepy = False
        self.changes = 0
        self.looks = 0
        self.cooled: list[str] = []

    async def statuses(self) -> Mapping[str, AppStatus]:
        self.looks += 1
        return self.found

    def is_warm(self, app_name: str) -> bool:
        return self.answers

    def mark_unready(self, app_name: str) -> None:
        self.cooled.append(app_name)

    def may_sleep(self, app_name: str) -> bool:
        return self.sleepy


async def test_running_is_not_ready_until_a_replica_has_answered() -> None:
    apps = FakeApps({"mv-ich-1": AppStatus(AppState.RUNNING)}, warm=False)
    phases = AppPhases(apps, ticking())  # type: ignore[arg-type]
    assert await phases.look() == {"mv-ich-1": AppPhase.LOADING}
    apps.answers = True
    assert await phases.look() == {"mv-ich-1": AppPhase.READY}


async def test_an_application_that_restarts_must_answer_again() -> None:
    apps = FakeApps({"mv-ich-1": AppStatus(AppState.RUNNING)}, warm=True)
    phases = AppPhases(apps, ticking())  # type: ignore[arg-type]
    await phases.look()
    apps.found, apps.answers = {"mv-ich-1": AppStatus(AppState.STARTING)}, False
    assert await phases.look() == {"mv-ich-1": AppPhase.LOADING}
    assert "mv-ich-1" in apps.cooled, "an answer of before does not count"
    apps.found = {"mv-ich-1": AppStatus(AppState.RUNNING)}
    assert await phases.look() == {"mv-ich-1": AppPhase.LOADING}


async def test_an_application_that_is_changed_serves_on_while_its_old_replicas_run() -> None:
    apps = FakeApps({"mv-ich-1": AppStatus(AppState.RUNNING, replicas=1)}, warm=True)
    phases = AppPhases(apps, ticking())  # type: ignore[arg-type]
    await phases.look()
    apps.found = {"mv-ich-1": AppStatus(AppState.STARTING, replicas=1)}
    assert await phases.look() == {"mv-ich-1": AppPhase.READY}


async def test_a_change_of_resources_that_failed_ends_nobody_who_answers() -> None:
    apps = FakeApps({"mv-ich-1": AppStatus(AppState.RUNNING, replicas=1)}, warm=True)
    phases = AppPhases(apps, ticking())  # type: ignore[arg-type]
    await phases.look()
    apps.found = {"mv-ich-1": AppStatus(AppState.FAILED, replicas=1)}
    assert await phases.look() == {"mv-ich-1": AppPhase.READY}
    apps.found = {"mv-ich-1": AppStatus(AppState.FAILED, replicas=0)}
    assert await phases.look() == {"mv-ich-1": AppPhase.FAILED}


async def test_one_that_may_sleep_is_asleep_without_a_replica_and_must_answer_when_it_wakes() -> None:
    apps = FakeApps({"mv-ich-1": AppStatus(AppState.RUNNING, replicas=1)}, warm=True)
    phases = AppPhases(apps, ticking())  # type: ignore[arg-type]
    await phases.look()
    apps.sleepy, apps.found = True, {"mv-ich-1": AppStatus(AppState.RUNNING, replicas=0)}
    assert await phases.look() == {"mv-ich-1": AppPhase.ASLEEP}
    apps.found, apps.answers = {"mv-ich-1": AppStatus(AppState.RUNNING, replicas=1)}, False
    assert await phases.look() == {"mv-ich-1": AppPhase.LOADING}


async def test_one_whose_replicas_all_died_is_not_asleep() -> None:
    apps = FakeApps({"mv-ich-1": AppStatus(AppState.RUNNING, replicas=1)}, warm=True)
    phases = AppPhases(apps, ticking())  # type: ignore[arg-type]
    await phases.look()
    apps.found = {"mv-ich-1": AppStatus(AppState.RUNNING, replicas=0)}
    assert await phases.look() == {"mv-ich-1": AppPhase.READY}


async def test_a_failed_application_says_why_in_the_last_words_of_its_traceback() -> None:
    message = "Deploying app failed\n  File x.py\ncore.errors.ModelRefused: a byte was changed\n\n"
    apps = FakeApps({"mv-ich-1": AppStatus(AppState.FAILED, message)}, warm=False)
    phases = AppPhases(apps, ticking())  # type: ignore[arg-type]
    await phases.look()
    assert phases.failures == {"mv-ich-1": "core.errors.ModelRefused: a byte was changed"}


async def test_a_failed_application_is_tried_again_after_a_while() -> None:
    now = 0.0
    apps = FakeApps({"mv-ich-1": AppStatus(AppState.FAILED)}, warm=False)
    phases = AppPhases(apps, lambda: now)  # type: ignore[arg-type]
    await phases.look()
    assert not phases.may_retry("mv-ich-1")
    now = 31.0
    assert phases.may_retry("mv-ich-1")


async def test_serve_is_asked_less_often_while_nothing_is_on_its_way() -> None:
    apps = FakeApps({"mv-ich-1": AppStatus(AppState.RUNNING, replicas=1)}, warm=False)
    now = 0.0
    phases = AppPhases(apps, lambda: now)  # type: ignore[arg-type]
    for _ in range(3):
        await phases.look()
    assert apps.looks == 3, "while one is loading, at each look"
    apps.answers = True
    for _ in range(4):
        await phases.look()
    assert apps.looks == 4
    apps.changes += 1
    await phases.look()
    assert apps.looks == 5, "something was started or deleted"
    now = 10.0
    await phases.look()
    assert apps.looks == 6


def test_a_version_with_two_roles_has_one_standing() -> None:
    rows = [
        VariantStatus("ich", "2", role, VariantState.WARM, reason="ready")
        for role in ("challenger", "shadow-a")
    ]
    assert version_statuses(rows) == {("ich", "2"): ("warm as challenger, shadow-a", "ready")}
