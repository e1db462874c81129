"""The trace of a study is made after its caller was answered: both take the interpreter, one is waited for."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from serve_apps.application.end_job import JobEnding
from tests.unit.shell.worker_fakes import Workshop, a_job

JOB = a_job()


class Closed:
    """Threads that were shut down."""

    def submit(self, *_: object) -> None:
        raise RuntimeError("cannot schedule new futures after shutdown")


async def test_a_caller_is_answered_before_the_trace_is_made() -> None:
    shop = Workshop(JOB)
    ending = shop.runner._c.ending
    ending._c = replace(ending._c, trace_after_s=0.01)
    await shop.begin(JOB)
    assert shop.notes.traced == []
    await asyncio.sleep(0.02)
    assert shop.notes.traced == ["completed"]


async def test_a_worker_that_has_ended_makes_no_trace_and_no_noise() -> None:
    shop = Workshop(JOB)
    ending = shop.runner._c.ending
    assert isinstance(ending, JobEnding)
    ending._c = replace(ending._c, background=Closed())  # type: ignore[arg-type]
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    await shop.begin(JOB)
    await asyncio.sleep(0.01)
    assert problems == []
    assert shop.notes.traced == []
