"""The processes that carry a variable of ours in their environment: finding them and ending exactly them.

A child inherits its parent's environment, and keeps it when the parent dies; so whoever carries the mark is ours,
however orphaned. A process in uninterruptible sleep (state D: a dead network share, a hung driver) cannot be killed;
no wait here is longer than its bound, and what is left is told.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import psutil

GRACE_S = 8.0  # for the leaders to end their children in order
TERMINATE_S = 2.0  # for whoever the leaders left
KILL_S = 2.0  # a kill needs no time unless the process is in state D
POLL_S = 0.1
KILL_ROUNDS = 5  # a process that forks while it is being killed leaves one more to kill


class Process(Protocol):
    """What is needed of a `psutil.Process`."""

    @property
    def pid(self) -> int: ...

    def name(self) -> str: ...

    def send_signal(self, number: int) -> None: ...


class Marked(Protocol):
    """The living processes that carry one mark."""

    def marked(self) -> Sequence[Process]: ...

    def wait_gone(self, processes: Sequence[Process], seconds: float) -> Sequence[Process]:
        """Wait until all of them have ended, `seconds` at most; returns those that live."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How many processes ended, and by process id the names of those that even a kill did not end."""

    processes: int
    remaining: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class MarkedProcesses:
    """The processes of this machine started with `variable=value`, and all that they started; never this one.

    Descendants count by their parent too: a process that sets its own title may overwrite its environment with it,
    as the modules of Ray's dashboard do.
    """

    variable: str
    value: str

    def marked(self) -> tuple[psutil.Process, ...]:
        """Oldest first. A zombie is none, nor is one that is gone or another user's."""
        processes = {process.pid: process for process in psutil.process_iter() if _lives(process)}
        parents = {pid: _parent(process) for pid, process in processes.items()}
        ours = {pid for pid, process in processes.items() if self._carries(process)}
        while heirs := {pid for pid, parent in parents.items() if parent in ours} - ours:
            ours |= heirs
        return tuple(processes[pid] for pid in sorted(ours - {os.getpid()}))

    def wait_gone(self, processes: Sequence[Process], seconds: float) -> tuple[psutil.Process, ...]:
        """A zombie has ended, although nobody may ever reap it; `psutil.wait_procs` alone would wait for that."""
        remaining = [
            process for process in processes if isinstance(process, psutil.Process) and _lives(process)
        ]
        deadline = time.monotonic() + seconds
        while remaining and time.monotonic() < deadline:
            _, remaining = psutil.wait_procs(remaining, timeout=POLL_S)
            remaining = [process for process in remaining if _lives(process)]
        return tuple(remaining)

    def _carries(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(self.variable) == self.value
        except psutil.Error:
            return False


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.Error:
        return None


def marked(variable: str, value: str) -> tuple[int, ...]:
    """Ids of the living processes that carry the mark, oldest first; never this process."""
    return tuple(process.pid for process in MarkedProcesses(variable, value).marked())


def end_marked(
    system: Marked, *, leaders: Collection[int] = (), grace_s: float = GRACE_S, kill_s: float = KILL_S
) -> Ended:
    """Ask the `leaders`, then all that are left, then kill; nobody who does not carry the mark is touched.

    `leaders` are the ids of those that stop their own children in order (`ray start --block`). Takes at most
    `grace_s`, TERMINATE_S and KILL_ROUNDS times `kill_s` together.
    """
    group = _Group(system)
    leading = [process for process in group.alive() if process.pid in leaders]
    if leading:
        _signal(leading, signal.SIGTERM)
        group.wait(grace_s)
    _signal(group.alive(), signal.SIGTERM)
    group.wait(TERMINATE_S if leading else grace_s)
    for _ in range(KILL_ROUNDS):
        if not (remaining := group.alive()):
            break
        _signal(remaining, signal.SIGKILL)
        group.wait(kill_s)
    remaining = group.alive()
    names = {process.pid: _name(process) for process in remaining}
    return Ended(len(group.known) - len(names), names)


class _Group:
    """All that carried the mark once, by process id: who is orphaned may lose what showed that it is ours."""

    def __init__(self, system: Marked) -> None:
        self._system = system
        self.known: dict[int, Process] = {}
        self._alive: Sequence[Process] = ()

    def alive(self) -> Sequence[Process]:
        """Who lives of those that were known before and of those that carry the mark now."""
        marked = self._system.marked()
        ids = {process.pid for process in marked}
        orphans = [process for process in self._system.wait_gone(self._alive, 0.0) if process.pid not in ids]
        self._alive = [*marked, *orphans]
        self.known |= {process.pid: process for process in self._alive}
        return self._alive

    def wait(self, seconds: float) -> None:
        self._alive = self._system.wait_gone(self._alive, seconds)


def _name(process: Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return "unknown"


def _signal(processes: Sequence[Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):  # it ended meanwhile
            process.send_signal(number)
