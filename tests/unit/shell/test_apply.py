"""Applications are run once, each on its own; a refusal is one version's own."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from serve_apps.application.messages import ServedVersion
from serve_apps.control.apply import REFUSED_RETRY_S, Applications, AppSpec, ReadinessProbes
from serve_apps.control.observe import AppState
from serve_apps.resources import Resources
from serve_apps.settings import Settings
from tests.unit.shell.builders import a_version
from tests.unit.shell.control_fakes import Clock, FakeServe
from tests.unit.shell.inline import Here

ONE = a_version("1")
SLEEPY = replace(ONE, resources=Resources(min_replicas=0))


async def answers(app_name: str) -> bool:
    return True


class Site:
    def __init__(self) -> None:
        self.serve, self.clock = FakeServe(), Clock()

    def applications(self, **settings: object) -> Applications:
        probes = ReadinessProbes(lambda: None, answers)
        return Applications(Settings(**settings), self.serve, probes, self.clock, Here())  # type: ignore[arg-type]


@pytest.fixture
def site() -> Site:
    return Site()


def resized(**resources: int) -> ServedVersion:
    return replace(ONE, resources=Resources(**resources))


async def test_the_same_is_run_once_and_no_gpu_is_looked_for_again(site: Site) -> None:
    apps = site.applications(device="auto")
    for version in (ONE, ONE, a_version("2")):
        await apps.ensure(version, 1)
    assert site.serve.ran == ["mv-ich-triage-1", "mv-ich-triage-2"]
    assert site.serve.gpu_looks == 1


async def test_it_knows_which_version_each_application_it_runs_is_of(site: Site) -> None:
    apps = site.applications()
    for _ in range(2):
        await apps.ensure(ONE, 1)
    assert apps.versions == {ONE.app_name: ONE}


async def test_what_is_asked_at_every_tick_costs_no_fingerprint(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    apps = site.applications()
    for _ in range(2):
        await apps.ensure(ONE, 1)
    taken: list[str] = []
    monkeypatch.setattr(AppSpec, "fingerprint", lambda spec, _: taken.append(spec.version.app_name) or "new")
    await apps.ensure(ONE, 1)
    assert taken == []
    await apps.ensure(ONE, 0)
    assert taken == ["mv-ich-triage-1"]


async def test_the_next_controller_runs_no_application_again_that_is_unchanged(site: Site) -> None:
    first = site.applications()
    await first.ensure(SLEEPY, 0)
    second = site.applications()
    second.restore(first.deployed)
    await second.statuses()
    await second.ensure(SLEEPY, 0)
    assert len(site.serve.runs) == 1
    assert second.may_sleep("mv-ich-triage-1"), "one that sleeps is not woken"


async def test_after_a_restart_of_the_cluster_every_application_is_run_again(site: Site) -> None:
    apps = site.applications()
    await apps.ensure(ONE, 1)
    site.serve.apps.clear()
    await apps.statuses()
    await apps.ensure(ONE, 1)
    assert len(site.serve.runs) == 2


async def test_a_changed_setting_is_brought_to_the_applications(site: Site) -> None:
    first = site.applications()
    await first.ensure(ONE, 1)
    second = site.applications(forward_timeout_s=10.0)
    second.restore(first.deployed)
    await second.ensure(ONE, 1)
    assert len(site.serve.runs) == 2
    assert site.serve.runs[0].code == site.serve.runs[1].code, "and restarts no replica"


async def test_numbers_of_replicas_restart_nothing_and_limits_or_another_artifact_do(site: Site) -> None:
    apps = site.applications()
    limits = (resized(memory_bytes=1 << 30), resized(study_timeout_s=5))
    await apps.ensure(ONE, 1)
    for version in (ONE, *limits, replace(ONE, digest="x")):
        await apps.ensure(version, 3)
    assert [spec.options["num_replicas"] for spec in site.serve.runs] == [1, 3, 3, 3, 3]
    codes = [spec.code for spec in site.serve.runs]
    assert codes[0] == codes[1]
    assert len(set(codes)) == 4


async def test_a_schedule_or_a_limit_of_replicas_that_changes_no_number_runs_nothing_again(
    site: Site,
) -> None:
    apps = site.applications()
    schedule = replace(ONE, resources=Resources(schedule="sat 08:00-12:00 2", max_replicas=8))
    for version in (ONE, schedule):
        await apps.ensure(version, 1)
    assert len(site.serve.runs) == 1


async def test_the_next_controller_knows_how_many_replicas_each_application_has(site: Site) -> None:
    first = site.applications()
    await first.ensure(ONE, 3)
    second = site.applications()
    second.restore(first.deployed)
    assert second.deployed[ONE.app_name].replicas == 3


async def test_serve_has_news_when_it_says_something_else_than_at_the_last_look(site: Site) -> None:
    apps = site.applications()
    await apps.ensure(ONE, 1)
    await apps.statuses()
    assert not await apps.has_news()
    site.serve.settle()
    assert await apps.has_news()
    await apps.statuses()
    assert not await apps.has_news()


async def test_what_serve_refuses_has_failed_with_its_reason_and_is_not_asked_at_every_tick(
    site: Site,
) -> None:
    apps = site.applications()
    site.serve.refuses["mv-ich-triage-1"] = "no such label\nsecond line"
    for _ in range(3):
        await apps.ensure(ONE, 1)
    status = (await apps.statuses())["mv-ich-triage-1"]
    assert (status.state, status.message) == (AppState.FAILED, "Serve refused: no such label")
    site.serve.refuses.clear()
    await apps.ensure(ONE, 1)
    assert site.serve.runs == []
    site.clock.now += REFUSED_RETRY_S
    await apps.ensure(ONE, 1)
    assert (site.serve.ran, apps.refused) == (["mv-ich-triage-1"], {})


async def test_a_fault_in_the_tags_asks_serve_nothing_and_ends_with_the_fault(site: Site) -> None:
    apps = site.applications()
    changes = apps.changes
    for _ in range(3):
        apps.refuse("mv-ich-triage-1", "the tag is no number")
    assert apps.changes == changes + 1
    assert (await apps.statuses())["mv-ich-triage-1"].message == "the tag is no number"
    await apps.ensure(ONE, 1)
    assert (site.serve.ran, apps.refused) == (["mv-ich-triage-1"], {})


async def test_a_running_application_goes_on_as_it_is_while_its_tags_are_faulty(site: Site) -> None:
    apps = site.applications()
    await apps.ensure(ONE, 1)
    site.serve.settle()
    apps.refuse("mv-ich-triage-1", "the tag is no number")
    assert (await apps.statuses())["mv-ich-triage-1"].state is AppState.RUNNING


async def test_what_was_never_run_is_not_deleted_in_serve(site: Site) -> None:
    apps = site.applications()
    apps.refuse("mv-ich-triage-1", "the tag is no number")
    await apps.delete("mv-ich-triage-1")
    assert (site.serve.deleted, await apps.statuses()) == ([], {})


async def test_a_deleted_application_is_run_again_when_it_gets_a_role_again(site: Site) -> None:
    apps = site.applications()
    for _ in range(2):
        await apps.ensure(ONE, 1)
        await apps.delete("mv-ich-triage-1")
    assert (len(site.serve.runs), site.serve.deleted) == (2, ["mv-ich-triage-1"] * 2)


async def test_an_application_is_asked_as_soon_as_it_was_run(site: Site) -> None:
    apps = site.applications()
    await apps.ensure(ONE, 1)
    changes = apps.changes
    for _ in range(3):
        await asyncio.sleep(0)
    assert apps.is_warm("mv-ich-triage-1")
    assert apps.changes == changes + 1
