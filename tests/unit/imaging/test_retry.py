"""A request is made again while its failure may pass and its deadline allows; nobody sleeps for it here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SourceTimeout, SourceUnavailable, StudyNotFound
from imaging.retry import Deadline, Transient, retry_after_s, retrying


class Server:
    """Fails as it is told, then answers; notes the pauses between its requests."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.asked = 0
        self.pauses_s: list[float] = []

    def ask(self, deadline_s: float = 60.0, **options: int) -> str:
        return retrying(self._answer, Deadline.after(deadline_s), sleep=self.pauses_s.append, **options)

    def _answer(self) -> str:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def passing(after_s: float | None = None) -> Transient:
    return Transient(SourceUnavailable("gone"), after_s)


def test_a_passing_failure_is_tried_again_at_once_and_then_with_growing_pauses() -> None:
    server = Server(passing(), passing(), passing())
    assert server.ask() == "done"
    assert server.pauses_s == [0.0, 0.2, 1.0]


def test_the_last_error_is_raised_when_attempts_end() -> None:
    server = Server(passing(), Transient(SourceTimeout("late")), passing())
    with pytest.raises(SourceTimeout, match="late") as raised:
        server.ask(attempts=2)
    assert server.asked == 2
    assert raised.value.__suppress_context__


def test_a_lasting_failure_is_not_tried_again() -> None:
    server = Server(StudyNotFound("no such study"))
    with pytest.raises(StudyNotFound):
        server.ask()
    assert server.asked == 1


def test_no_attempt_starts_after_the_deadline() -> None:
    server = Server()
    with pytest.raises(SourceTimeout):
        server.ask(deadline_s=0)
    assert server.asked == 0


def test_the_server_is_given_the_time_that_it_asks_for() -> None:
    server = Server(passing(after_s=3.0))
    assert server.ask() == "done"
    assert server.pauses_s == [3.0]


def test_no_server_makes_us_wait_for_ever() -> None:
    server = Server(passing(after_s=3600.0))
    assert server.ask() == "done"
    assert server.pauses_s == [10.0]


def test_a_pause_that_would_end_after_the_deadline_is_not_begun() -> None:
    server = Server(Transient(SourceUnavailable("busy"), after_s=5))
    with pytest.raises(SourceUnavailable, match="busy"):
        server.ask(deadline_s=1)
    assert (server.asked, server.pauses_s) == (1, [])


@given(st.lists(st.none() | st.floats(0, 100), max_size=6), st.integers(1, 5))
def test_pauses_are_bounded_and_attempts_counted(asked_s: list[float | None], attempts: int) -> None:
    server = Server(*map(passing, asked_s))
    if len(asked_s) < attempts:
        assert server.ask(attempts=attempts) == "done"
    else:
        with pytest.raises(SourceUnavailable):
            server.ask(attempts=attempts)
    assert server.asked == min(len(asked_s) + 1, attempts)
    assert all(pause_s <= 10.0 for pause_s in server.pauses_s)
    pauses = zip(server.pauses_s, asked_s, strict=False)
    assert all(pause_s >= min(asked or 0.0, 10.0) for pause_s, asked in pauses)


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), (None, None), ("Wed, 21 Oct 2015 07:28:00 GMT", None)]
)
def test_retry_after_is_read_in_seconds(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header) == seconds
