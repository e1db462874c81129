"""An application is asked once, believed once it has answered, and asked anew when its replicas are gone."""

from __future__ import annotations

import asyncio

from serve_apps.control.apply import ReadinessProbes

APP = "mv-ich-1"


class Replicas:
    """Answers when a test lets them."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers: asyncio.Queue[bool] = asyncio.Queue()
        self.heard = 0

    async def ask(self, app_name: str) -> bool:
        self.asked += 1
        return await self.answers.get()

    def answered(self) -> None:
        self.heard += 1


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def warm_ups() -> tuple[ReadinessProbes, Replicas]:
    replicas = Replicas()
    return ReadinessProbes(replicas.answered, replicas.ask), replicas


async def test_one_call_waits_however_often_one_looks() -> None:
    found, replicas = warm_ups()
    for _ in range(3):
        assert not found.is_ready(APP)
        await settle()
    replicas.answers.put_nowait(True)
    await settle()
    assert all(found.is_ready(APP) for _ in range(3))
    assert (replicas.asked, replicas.heard) == (1, 1)


async def test_a_call_that_failed_is_made_again() -> None:
    found, replicas = warm_ups()
    found.is_ready(APP)
    replicas.answers.put_nowait(False)
    await settle()
    assert not found.is_ready(APP)
    await settle()
    assert (replicas.asked, replicas.heard) == (2, 0)


async def test_a_call_that_raises_is_a_call_that_failed() -> None:
    """Serve has its own ways to say that an application is gone; one version's may not end every tick."""

    async def ask(app_name: str) -> bool:
        raise RuntimeError("no such deployment")

    probes = ReadinessProbes(lambda: None, ask)
    for _ in range(3):
        assert not probes.is_ready(APP)
        await settle()


async def test_when_the_replicas_are_gone_an_old_answer_counts_no_more() -> None:
    found, replicas = warm_ups()
    found.is_ready(APP)
    replicas.answers.put_nowait(True)
    await settle()
    found.mark_unready(APP)
    assert not found.is_ready(APP)


async def test_a_call_that_waits_for_the_first_replica_is_left_waiting() -> None:
    found, replicas = warm_ups()
    found.is_ready(APP)
    await settle()
    found.mark_unready(APP)
    found.is_ready(APP)
    await settle()
    assert replicas.asked == 1


async def test_a_deleted_application_is_asked_anew() -> None:
    found, replicas = warm_ups()
    found.is_ready(APP)
    await settle()
    found.forget(APP)
    found.is_ready(APP)
    await settle()
    assert replicas.asked == 2
