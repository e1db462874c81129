"""A batch starts at once when nothing runs, is led by what is first in order, and no item disturbs another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ModelUnavailable
from core.priority import Priority, QueueOrder, queue_order
from serve_apps.application.priority_batcher import BatchLimit, PriorityBatcher, Waiting, next_batch

EIGHT = BatchLimit(8, 100)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def order(priority: Priority = Priority.ROUTINE, age_s: float = 0) -> QueueOrder:
    return queue_order(priority, NOW - timedelta(seconds=age_s))


class Network:
    """Notes each batch, and answers it when it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self._gates: list[asyncio.Future[None]] = []

    async def __call__(self, items: Sequence[str]) -> list[str]:
        self.batches.append(list(items))
        gate = asyncio.get_running_loop().create_future()
        self._gates.append(gate)
        await gate
        return [f"{item}!" for item in items]

    async def finish(self, batch: int = -1) -> None:
        self._gates[batch].set_result(None)
        await settle()

    async def break_down(self, error: Exception) -> None:
        self._gates[-1].set_exception(error)
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def batcher(network: Network, limit: BatchLimit = EIGHT) -> PriorityBatcher[str, str]:
    """The first letter of an item is its shape, the number of its letters its size."""
    return PriorityBatcher(network, limit=limit, shape_of=lambda item: item[0], size_of=len)


async def submitted(
    queue: PriorityBatcher[str, str], *items: str, at: QueueOrder | None = None
) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(queue.submit(item, at or order())) for item in items]
    await settle()
    return tasks


async def test_a_lone_item_starts_at_once() -> None:
    network = Network()
    (task,) = await submitted(batcher(network), "a1")
    assert network.batches == [["a1"]]
    await network.finish()
    assert await task == "a1!"


async def test_what_comes_while_a_batch_runs_shares_the_next_one() -> None:
    network = Network()
    tasks = await submitted(batcher(network), "a1", "a2", "a3")
    await network.finish()
    assert network.batches == [["a1"], ["a2", "a3"]]
    await network.finish()
    assert await asyncio.gather(*tasks) == ["a1!", "a2!", "a3!"]


async def test_a_batch_holds_one_shape_and_no_more_than_it_may() -> None:
    network = Network()
    await submitted(batcher(network, BatchLimit(2, 100)), "a0", "a1", "b1", "a2", "a3")
    for _ in range(4):
        await network.finish()
    assert network.batches == [["a0"], ["a1", "a2"], ["b1"], ["a3"]]


async def test_a_batch_holds_what_has_room_in_it_together_and_an_item_too_large_is_alone() -> None:
    network = Network()
    await submitted(batcher(network, BatchLimit(8, 5)), "a0", "a1", "a22", "a333", "a4444444", "a5")
    for _ in range(5):
        await network.finish()
    assert network.batches == [["a0"], ["a1", "a22"], ["a333"], ["a4444444"], ["a5"]]


@pytest.mark.parametrize(("items", "room"), [(0, 1), (1, 0)])
def test_a_batch_without_room_for_one_item_is_an_error(items: int, room: int) -> None:
    with pytest.raises(ValueError, match="room for one"):
        BatchLimit(items, room)


async def test_stat_overtakes_all_that_waits_and_shares_its_batch_with_no_other() -> None:
    network = Network()
    queue = batcher(network)
    await submitted(queue, "a0", "a1", "a2")
    await submitted(queue, "aS", at=order(Priority.STAT))
    await network.finish()
    await network.finish()
    assert network.batches == [["a0"], ["aS"], ["a1", "a2"]]


async def test_a_caller_that_goes_away_costs_no_forward() -> None:
    network = Network()
    queue = batcher(network)
    _, gone, stays = await submitted(queue, "a0", "a1", "a2")
    gone.cancel()
    await settle()
    assert queue.waiting == 1
    await network.finish()
    await network.finish()
    assert network.batches == [["a0"], ["a2"]]
    assert await stays == "a2!"


async def test_a_caller_that_goes_away_during_its_batch_disturbs_no_other() -> None:
    network = Network()
    queue = batcher(network)
    await submitted(queue, "a0")
    gone, stays = await submitted(queue, "a1", "a2")
    await network.finish()
    gone.cancel()
    await settle()
    await network.finish()
    assert await stays == "a2!"
    assert queue.waiting == 0


async def test_a_batch_that_breaks_down_ends_its_own_items_and_no_other() -> None:
    network = Network()
    first, second = await submitted(batcher(network), "a0", "b1")
    await network.break_down(MemoryError())
    await network.finish()
    with pytest.raises(MemoryError):
        await first
    assert await second == "b1!"


async def test_the_next_batch_can_overtake_one_that_runs_long() -> None:
    network = Network()
    queue = batcher(network)
    slow, waits = await submitted(queue, "a0", "a1")
    queue.overtake()
    await settle()
    assert network.batches == [["a0"], ["a1"]]
    await network.finish()
    assert await waits == "a1!"
    assert not slow.done()
    await network.finish(0)
    assert await slow == "a0!"


async def test_closing_ends_what_waits_and_what_comes_and_leaves_what_runs() -> None:
    network = Network()
    queue = batcher(network)
    running, waits = await submitted(queue, "a0", "a1")
    queue.close(ModelUnavailable("the replica is unwell"))
    for task in (waits, *await submitted(queue, "a2")):
        with pytest.raises(ModelUnavailable, match="unwell"):
            await task
    await network.finish()
    assert await running == "a0!"
    assert network.batches == [["a0"]]


items = st.tuples(st.sampled_from(Priority), st.integers(0, 5000), st.sampled_from("ab"), st.integers(1, 9))
limits = st.builds(BatchLimit, st.integers(1, 4), st.integers(1, 12))


@given(items=st.lists(items, min_size=1, max_size=20), limit=limits)
def test_the_head_of_the_queue_leads_and_stat_comes_before_all_else(
    items: list[tuple[Priority, int, str, int]], limit: BatchLimit
) -> None:
    """So an item waits for at most as many batches as items stand before it, and STAT only for STAT."""
    loop = asyncio.new_event_loop()
    queue = sorted(
        Waiting(order(priority, age), arrival, shape, size, arrival, loop.create_future())
        for arrival, (priority, age, shape, size) in enumerate(items)
    )
    loop.close()
    place = {waiting.arrival: index for index, waiting in enumerate(queue)}
    ranks: list[int] = []
    batches = 0
    while queue:
        batch = next_batch(queue, limit)
        assert batch[0] is queue[0]
        assert len(batch) <= limit.items
        assert len(batch) == 1 or sum(waiting.size for waiting in batch) <= limit.room
        assert len({(waiting.shape, waiting.order.rank) for waiting in batch}) == 1
        assert all(batches <= place[waiting.arrival] for waiting in batch)
        assert batch == sorted(batch)
        ranks.append(batch[0].order.rank)
        queue = [waiting for waiting in queue if waiting not in batch]
        batches += 1
    assert ranks == sorted(ranks)
