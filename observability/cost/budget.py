"""A limit on what a model may cost in a day or a month, and which work gives way when it would be passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Period(StrEnum):
    DAY = "day"
    MONTH = "month"


class WorkClass(StrEnum):
    """In the order in which work gives way: what only looks back goes first, what guards patients last."""

    REPLAY = "replay"
    TRUTH_SET = "truth-set"
    SHADOW = "shadow"
    SAFETY_NET = "safety-net"
    LIVE = "live"


KEPT: Final = frozenset({WorkClass.SAFETY_NET, WorkClass.LIVE})
"""No budget stops what a patient waits for, or what catches a canary's miss."""
_ORDER: Final = tuple(WorkClass)


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `limit` nano-units in each `per`, of one model or of all, of some classes of work or of all."""

    name: str
    limit: int
    per: Period
    model: str | None = None
    classes: frozenset[WorkClass] = frozenset()

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise ValueError("a limit is not negative")

    def covers(self, work: PendingWork) -> bool:
        of_model = self.model is None or work.model == self.model
        return of_model and (not self.classes or work.work_class in self.classes)


@dataclass(frozen=True, slots=True)
class PendingWork:
    """Work that is asked for, and what it is expected to cost until the period ends, in nano-units."""

    name: str
    model: str
    work_class: WorkClass
    expected: int

    def __post_init__(self) -> None:
        if self.expected < 0:
            raise ValueError("no work earns money")


@dataclass(frozen=True, slots=True)
class BudgetVerdict:
    """`shed` is the work that has to wait for the next period, in the order in which it gave way."""

    shed: tuple[PendingWork, ...]
    over: int
    reason: str

    @property
    def is_kept(self) -> bool:
        """Whether the limit holds with what is left."""
        return self.over == 0


def shed(budget: Budget, spent: int, pending: Sequence[PendingWork]) -> BudgetVerdict:
    """Which work has to give way so that the budget holds; live work and safety nets never do.

    By class, and within a class the dearest first, so that the fewest wait. `spent` is what the period has cost.
    """
    covered = [work for work in pending if budget.covers(work)]
    over = max(0, spent + sum(work.expected for work in covered) - budget.limit)
    expected = over
    gone: list[PendingWork] = []
    for work in sorted(covered, key=lambda one: (_ORDER.index(one.work_class), -one.expected, one.name)):
        if over and work.work_class not in KEPT and work.expected:
            gone.append(work)
            over = max(0, over - work.expected)
    return BudgetVerdict(tuple(gone), over, _reason(budget, expected, over, gone))


def _reason(budget: Budget, expected: int, over: int, gone: Sequence[PendingWork]) -> str:
    limit = f"the budget {budget.name} of a {budget.per.value}"
    if not expected:
        return f"{limit} covers all that is asked for"
    names = ", ".join(work.name for work in gone)
    waits = f"{names} would pass {limit} and waits" if gone else f"nothing that may wait would help {limit}"
    return f"{waits}; live work and safety nets go on, and pass it" if over else waits
