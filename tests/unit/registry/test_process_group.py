"""Ending the processes that carry a mark: in order, bounded, and nobody else's."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import pytest

from registry.process_group import KILL_ROUNDS, Ended, end_marked


class FakeProcess:
    """A process that dies of the signals in `dies_of`; without any it is in uninterruptible sleep (state D)."""

    def __init__(self, pid: int, *, dies_of: Sequence[int] = (), name: str = "worker") -> None:
        self.pid, self._name, self.dies_of = pid, name, tuple(dies_of)
        self.alive = True
        self.signals: list[int] = []

    def name(self) -> str:
        return self._name

    def send_signal(self, number: int) -> None:
        self.signals.append(number)
        self.alive = self.alive and number not in self.dies_of


class FakeSystem:
    """The processes that carry the mark, and a clock that only waiting moves."""

    def __init__(self, *processes: FakeProcess) -> None:
        self.processes = list(processes)
        self.waited_s = 0.0

    def marked(self) -> tuple[FakeProcess, ...]:
        return tuple(process for process in self.processes if process.alive)

    def wait_gone(self, processes: Sequence[FakeProcess], seconds: float) -> Sequence[FakeProcess]:
        alive = [process for process in processes if process.alive]
        if alive:
            self.waited_s += seconds
        return alive


TERM_OR_KILL = (signal.SIGTERM, signal.SIGKILL)


def test_who_ends_when_asked_is_never_killed() -> None:
    process = FakeProcess(1, dies_of=TERM_OR_KILL)
    assert end_marked(FakeSystem(process)) == Ended(1, {})
    assert process.signals == [signal.SIGTERM]


def test_who_does_not_end_when_asked_is_killed() -> None:
    process = FakeProcess(1, dies_of=[signal.SIGKILL])
    assert end_marked(FakeSystem(process)) == Ended(1, {})
    assert process.signals == [signal.SIGTERM, signal.SIGKILL]


def test_a_process_that_cannot_be_killed_is_told_and_ends_the_waiting() -> None:
    stuck = FakeProcess(7, name="mlflow")
    system = FakeSystem(stuck, FakeProcess(8, dies_of=TERM_OR_KILL))
    ended = end_marked(system, grace_s=8.0, kill_s=2.0)
    assert (ended.processes, ended.remaining) == (1, {7: "mlflow"})
    assert system.waited_s <= 8.0 + KILL_ROUNDS * 2.0


def test_the_leaders_are_asked_first_so_that_they_end_their_own_children_in_order() -> None:
    leader = FakeProcess(1, dies_of=TERM_OR_KILL)
    child = FakeProcess(2, dies_of=TERM_OR_KILL)

    class LeaderTakesItsChild(FakeSystem):
        def wait_gone(self, processes: Sequence[FakeProcess], seconds: float) -> Sequence[FakeProcess]:
            child.alive = child.alive and leader.alive
            return super().wait_gone(processes, seconds)

    assert end_marked(LeaderTakesItsChild(leader, child), leaders=[1]) == Ended(2, {})
    assert (leader.signals, child.signals) == ([signal.SIGTERM], [])


def test_a_process_that_starts_meanwhile_is_ended_too() -> None:
    late = FakeProcess(2, dies_of=[signal.SIGKILL])

    class StartsOne(FakeSystem):
        def wait_gone(self, processes: Sequence[FakeProcess], seconds: float) -> Sequence[FakeProcess]:
            if late not in self.processes:
                self.processes.append(late)
            return super().wait_gone(processes, seconds)

    assert end_marked(StartsOne(FakeProcess(1, dies_of=TERM_OR_KILL))) == Ended(2, {})


@pytest.mark.parametrize("leaders", [[], [99]])
def test_a_leader_that_carries_no_mark_is_left_alone(leaders: list[int]) -> None:
    """Its process id may be another program's by now."""
    stranger = FakeProcess(99)
    system = FakeSystem(FakeProcess(1, dies_of=TERM_OR_KILL))
    assert end_marked(system, leaders=leaders) == Ended(1, {})
    assert stranger.signals == []


def test_who_loses_its_mark_with_its_parent_is_ended_all_the_same() -> None:
    """Ray's agents overwrite their environment with their title, and are ours by their parent, which ends first."""
    leader = FakeProcess(1, dies_of=TERM_OR_KILL)
    agent = FakeProcess(2, dies_of=TERM_OR_KILL)

    class OrphansAreStrangers(FakeSystem):
        def marked(self) -> tuple[FakeProcess, ...]:
            return super().marked() if leader.alive else ()

    assert end_marked(OrphansAreStrangers(leader, agent), leaders=[1]) == Ended(2, {})
    assert agent.signals == [signal.SIGTERM]
