"""A chore is done again and again, whatever happened the last time, and only by whoever leads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from core.errors import LedgerUnavailable
from serve_apps.control import chore
from serve_apps.control.chore import Chore, beside_the_load, while_leading
from tests.unit.shell.inline import Here

FAILURES = [LedgerUnavailable("away"), ValueError("damaged")]


@pytest.mark.parametrize("error", FAILURES)
async def test_what_fails_is_told_by_its_code_and_made_up_for_by_the_next_time(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    failures = [error]

    def work() -> None:
        if failures:
            raise failures.pop()
        done.append("it")

    sweep = Chore("sweep", work, 1.0, executor=Here())
    await sweep.once()
    await sweep.once()
    assert done == ["it"]
    (line,) = caplog.records
    assert (line.name, line.getMessage()) == ("serinus.chores", "chore.failed")
    assert vars(line)["chore"] == "sweep"
    assert vars(line)["error"] == getattr(error, "code", "ValueError")


async def test_it_begins_when_it_is_told_to_and_goes_on_at_its_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    async def sleep(seconds: float) -> None:
        told.append(f"sleep {seconds:g}")
        if len(told) > 5:
            raise asyncio.CancelledError

    monkeypatch.setattr(chore.asyncio, "sleep", sleep)
    sweep = Chore("sweep", lambda: told.append("work"), 60.0, first_after_s=5.0, executor=Here())
    with pytest.raises(asyncio.CancelledError):
        await sweep.run_forever()
    assert told == ["sleep 5", "work", "sleep 60", "work", "sleep 60", "work", "sleep 60"]


def test_only_whoever_leads_works() -> None:
    done: list[str] = []
    for leads in (True, False, True):
        while_leading(_says(leads), lambda: done.append("it"))()
    assert done == ["it", "it"]


def _says(leads: bool) -> Callable[[], bool]:
    return lambda: leads


def test_what_goes_beside_the_load_waits_for_it_but_not_for_ever() -> None:
    done: list[float] = []
    now_s, is_busy = [0.0], [True]
    look = beside_the_load(lambda: is_busy[0], lambda: done.append(now_s[0]), 15.0, lambda: now_s[0])
    for at_s in range(0, 40, 5):
        now_s[0] = at_s
        look()
    assert done == [15.0, 30.0]
    is_busy[0] = False
    look()
    assert done == [15.0, 30.0, 35.0]


def test_what_fails_beside_the_load_is_tried_at_the_next_look() -> None:
    tried: list[None] = []

    def away() -> None:
        tried.append(None)
        raise LedgerUnavailable("away")

    now_s = [0.0]
    look = beside_the_load(lambda: True, away, 15.0, lambda: now_s[0])
    now_s[0] = 15.0
    for _ in range(2):
        with pytest.raises(LedgerUnavailable):
            look()
    assert len(tried) == 2
