"""Several routers and people at the same time: every change is kept, and every pending shadow is in one hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from ledger import Audience, LeaseLost, Ledger
from tests.unit.ledger.conftest import NOON, Clock
from tests.unit.ledger.routed import decided, pending, read_study

TOGETHER = 6


@pytest.fixture
def either(either_url: str) -> Iterator[Ledger]:
    opened = Ledger.open(either_url, clock=Clock())
    yield opened
    opened.close()


def all_at_once(work: Callable[[int], None]) -> None:
    """Raises what any of them raised."""
    errors: list[BaseException] = []

    def guarded(index: int) -> None:
        try:
            work(index)
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(index,)) for index in range(TOGETHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def test_no_change_of_routing_is_lost_when_many_are_made(either: Ledger) -> None:
    def pin_some(index: int) -> None:
        for number in range(5):
            either.routing.pin("ich", f"key {index}/{number}", "canary", actor="a")

    all_at_once(pin_some)
    assert len(either.routing.get("ich").pins) == either.routing.revision() == 5 * TOGETHER
    assert len(either.audit.rows()) == 5 * TOGETHER
    assert either.audit.first_broken() is None


def test_controllers_that_see_one_transition_at_once_write_it_once(either: Ledger) -> None:
    def see(_: int) -> None:
        either.transitions.record("ich", "champion", "1", "2", generation=1, reason="moved")

    all_at_once(see)
    assert (len(either.transitions.history("ich")), len(either.audit.rows())) == (1, 1)


def test_shadow_workers_that_claim_at_once_share_the_tasks_and_none_twice(either: Ledger) -> None:
    for _ in range(30):
        read_study(either, [decided()], [pending()])
    claimed: list[str] = []

    def work(index: int) -> None:
        while some := either.shadows.claim(f"w{index}", 10, 2, apps=("app-3",)):
            claimed.extend(each.job_id for each in some)

    all_at_once(work)
    left = either.shadows.claim("last", 10, 40)  # those skipped while locked
    claimed += [each.job_id for each in left]
    assert (len(claimed), len(set(claimed))) == (30, 30)


def test_of_many_who_say_how_one_reading_ended_one_is_heard(either: Ledger) -> None:
    read_study(either, [decided()], [pending()])
    (task,) = either.shadows.claim("w", 10, 1)
    fenced: list[int] = []

    def say(index: int) -> None:
        try:
            either.shadows.done(task.token, {"by": index}, 1.0)
        except LeaseLost:
            fenced.append(index)

    all_at_once(say)
    assert (len(either.shadows.outcomes("ich")), len(fenced)) == (1, TOGETHER - 1)


def test_a_stream_s_reader_sees_every_escalation_though_many_write(either: Ledger) -> None:
    heard: list[str] = []
    cursor = 0

    def listen() -> None:
        nonlocal cursor
        events = either.escalations.since(cursor)
        heard.extend(event.job_id for event in events)
        cursor = events[-1].sequence if events else cursor

    def write(index: int) -> None:
        for number in range(10):
            either.escalations.record(f"{index}/{number}", {"sentence": "look"}, Audience.CALLER)

    writers = [threading.Thread(target=write, args=(index,)) for index in range(TOGETHER)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        listen()
    listen()
    assert sorted(heard) == sorted(f"{i}/{n}" for i in range(TOGETHER) for n in range(10))


def test_studies_of_one_patient_at_once_are_one_exposure(either: Ledger) -> None:
    def record(index: int) -> None:
        either.decisions.record(f"job {index}", "s", [decided("one patient")])

    all_at_once(record)
    assert len(either.decisions.exposures("ich", NOON)) == 1
    assert either.decisions.counts("ich", NOON) == {("canary", "2", "answered"): 1}
