"""The controller's state in the ledger: the newest leader wins, and what cannot be read is never taken for empty."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from core.errors import CorruptControlState, InvalidField, LeadershipLost
from ledger import Ledger
from ledger.tables import control_state
from tests.unit.ledger.conftest import NOON, after, set_time


def publish(ledger: Ledger, epoch: int, generation: int) -> None:
    ledger.control.publish(epoch, generation, f'{{"number": {generation}}}', "{}")


def test_a_ledger_without_a_controller_has_a_head_and_no_record(ledger: Ledger) -> None:
    head = ledger.control.head()
    assert (head.epoch, head.generation, head.routing_revision, head.frozen) == (0, 0, 0, False)
    assert (head.leader_epoch, head.renewed_at, ledger.control.load()) == (0, None, None)


def test_the_newest_leader_wins_at_once_and_the_older_one_can_publish_nothing(ledger: Ledger) -> None:
    first = ledger.control.take_leadership("a")
    publish(ledger, first, 7)
    second = ledger.control.take_leadership("b")
    assert second > first
    assert not ledger.control.renew_leadership(first)
    with pytest.raises(LeadershipLost) as lost:
        publish(ledger, first, 8)
    assert lost.value.code == "leadership-lost"
    record = ledger.control.load()
    assert record is not None
    assert (record.epoch, record.generation, record.snapshot_json) == (first, 7, '{"number": 7}')


def test_a_new_leader_s_head_is_the_old_snapshot_until_it_publishes(ledger: Ledger) -> None:
    publish(ledger, ledger.control.take_leadership("a"), 7)
    second = ledger.control.take_leadership("b")
    head = ledger.control.head()
    assert (head.epoch, head.generation, head.leader_epoch) == (second - 1, 7, second)
    publish(ledger, second, 1)
    head = ledger.control.head()
    assert (head.epoch, head.generation) == (second, 1)


def test_an_epoch_begins_above_what_the_routers_know_when_the_ledger_is_older_than_they(
    ledger: Ledger,
) -> None:
    assert ledger.control.take_leadership("a", at_least=40) == 40
    assert ledger.control.take_leadership("b") == 41


def test_a_leader_does_not_go_back_behind_its_own_generation(ledger: Ledger) -> None:
    epoch = ledger.control.take_leadership("a")
    publish(ledger, epoch, 7)
    publish(ledger, epoch, 7)  # the same again, after an answer that was lost
    with pytest.raises(LeadershipLost):
        publish(ledger, epoch, 6)


@pytest.mark.parametrize(
    "damage",
    [
        {"snapshot": "{}"},
        {"snapshot": None},
        {"states": "garbage"},
        {"generation": 9},
        {"snapshot": "not JSON", "digest": "0" * 64},
    ],
    ids=["changed", "lost", "garbage", "another generation", "no JSON"],
)
def test_what_was_not_written_so_is_corrupt_and_not_empty(ledger: Ledger, damage: dict[str, object]) -> None:
    publish(ledger, ledger.control.take_leadership("a"), 7)
    with ledger.database.write() as connection:
        connection.execute(sa.update(control_state).values(**damage))
    with pytest.raises(CorruptControlState):
        ledger.control.load()


def test_a_record_outlives_its_controller_and_a_restart(ledger: Ledger, ledger_url: str) -> None:
    epoch = ledger.control.take_leadership("a")
    publish(ledger, epoch, 7)
    other = Ledger.open(ledger_url)
    assert other.control.load() == ledger.control.load()
    assert other.control.renew_leadership(epoch)
    other.close()


def test_a_freeze_and_every_change_of_routing_are_in_the_head(ledger: Ledger) -> None:
    thrown = ledger.routing.freeze(actor="alice", reason="odd reports")
    frozen = ledger.control.head()
    assert (frozen.frozen, frozen.routing_revision) == (True, thrown.revision)
    thawed_at = ledger.routing.unfreeze(actor="alice")
    thawed = ledger.control.head()
    assert (thawed.frozen, thawed.routing_revision) == (False, thawed_at)
    routing = ledger.routing.set_weight("ich", "2", 500, actor="alice")
    assert ledger.control.head().routing_revision == routing.revision == thawed_at + 1


def test_the_head_says_how_long_the_controller_is_silent(ledger: Ledger) -> None:
    epoch = ledger.control.take_leadership("a")
    set_time(ledger, after(5))
    assert ledger.control.renew_leadership(epoch)
    set_time(ledger, after(30))
    head = ledger.control.head()
    assert (head.renewed_at, head.at) == (after(5), after(30))
    assert after(5) > NOON


def test_a_holder_s_name_that_is_too_long_is_refused_by_name(ledger: Ledger) -> None:
    with pytest.raises(InvalidField) as refused:
        ledger.control.take_leadership("x" * 129)
    assert refused.value.pointer == "/holder"


def test_a_head_is_read_again_after_every_commit_and_its_time_is_always_now(
    ledger_url: str, ledger: Ledger
) -> None:
    """The same by another process: it has connections of its own."""
    other = Ledger.open(ledger_url, clock=lambda: NOON)
    try:
        epoch = other.control.take_leadership("a")
        assert ledger.control.head().leader_epoch == epoch
        assert ledger.control.head() == ledger.control.head()
        set_time(ledger, after(7))
        assert ledger.control.head().at == after(7)
        publish(other, epoch, 3)
        assert ledger.control.head().generation == 3
        publish(ledger, epoch, 4)
        assert ledger.control.head().generation == 4
    finally:
        other.close()


def test_a_ledger_that_nobody_writes_to_is_not_queried_for_its_head(ledger: Ledger) -> None:
    queries: list[str] = []

    def count(*arguments: object) -> None:
        queries.append(str(arguments[2]))

    publish(ledger, ledger.control.take_leadership("a"), 1)
    ledger.control.head()
    sa.event.listen(ledger.database.engine, "before_cursor_execute", count)
    for _ in range(5):
        ledger.control.head()
    assert sum("leader_epoch" in query for query in queries) == (0 if ledger.database.is_sqlite else 5)
