"""Has batch work wait while a budget of the site would be passed, replays first; live work and safety nets never.

A look asks what the period has cost, adds what the rest of its live work is likely to cost, at the rate of the last
day, and sees whether the batch work that is asked for fits into what is left. What does not waits until the period
ends, or until it fits: a look that finds it fits lets it go on.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from canary.disclosure import Role
from core.errors import NoPriceBook
from ledger import HourOfCosts, Spent, SpentOn, Waiting
from observability.cost.account import Line
from observability.cost.budget import Budget, BudgetVerdict, PendingWork, Period, WorkClass, shed
from observability.cost.price_book import PriceBook
from observability.cost.price_book_file import CostRules
from serve_apps.application.costs import EPOCH, HOUR, site_cost_rules
from serve_apps.application.messages import ServedVersion

logger = logging.getLogger("serinus.costs")
DAY: Final = timedelta(days=1)
ROLES: Final[Mapping[WorkClass, Role]] = {
    WorkClass.REPLAY: Role.REPLAY,
    WorkClass.TRUTH_SET: Role.GROUND_TRUTH,
    WorkClass.SHADOW: Role.SHADOW,
    WorkClass.SAFETY_NET: Role.SAFETY_NET,
}


class SpendingBooks(Protocol):
    """`ledger.cost_spending`; hours are counted from the epoch. Raises LedgerUnavailable."""

    def by_hour(self, first: int, end: int, book: PriceBook) -> Mapping[int, HourOfCosts]: ...


class BatchWork(Protocol):
    """`ledger.waiting_work`. Raises LedgerUnavailable."""

    def pending_by_role(self) -> Mapping[tuple[str, str], int]: ...
    def read_since(self, since: datetime) -> Mapping[str, int]: ...
    def hold(self, waiting: Sequence[Waiting]) -> bool: ...


class SiteBudgets:
    """`alarms` are the budgets that have work wait, or that live work passes, by name."""

    def __init__(self, books: SpendingBooks, work: BatchWork, price_book: Path) -> None:
        self._books = books
        self._work = work
        self._price_book = price_book
        self.alarms: Mapping[str, str] = {}

    def look(self, served: Collection[ServedVersion], at: datetime) -> None:
        """Judge every budget now. With a price book that cannot be read nothing is changed: what waits has an end."""
        try:
            rules = site_cost_rules(self._price_book)
        except NoPriceBook:
            return
        hours = self._hours(rules, at) if rules.budgets else {}
        judged = [(budget, self._judged(budget, hours, served, at)) for budget in rules.budgets]
        waiting: dict[tuple[str, str], Waiting] = {}
        for budget, verdict in judged:
            for work in verdict.shed:
                for one in _held(work, verdict.reason, period_of(budget.per, at)[1], served):
                    waiting.setdefault((one.app, one.role), one)
        if self._work.hold(tuple(waiting.values())):
            logger.warning("costs.work_waits", extra={"versions": sorted({app for app, _ in waiting})})
        self.alarms = {
            f"budget {budget.name}": told(verdict)
            for budget, verdict in judged
            if verdict.shed or not verdict.is_kept
        }

    def _hours(self, rules: CostRules, at: datetime) -> Mapping[int, Spent]:
        """What each hour has cost since the first period of a budget began, and for a day at least."""
        begins = min(period_of(budget.per, at)[0] for budget in rules.budgets)
        hours = self._books.by_hour(_hour(min(begins, at - DAY)), _hour(at) + 1, rules.prices)
        return {hour: one.spent for hour, one in hours.items()}

    def _judged(
        self, budget: Budget, hours: Mapping[int, Spent], served: Collection[ServedVersion], at: datetime
    ) -> BudgetVerdict:
        begins, ends = period_of(budget.per, at)
        lately = [spent for hour, spent in hours.items() if hour >= _hour(at - DAY)]
        in_period = [spent for hour, spent in hours.items() if hour >= _hour(begins)]
        models = {one.model for one in served}
        pending = pending_work(
            models,
            lately,
            self._work.pending_by_role(),
            self._work.read_since(at - DAY),
            left_h=(ends - at) / HOUR,
        )
        return shed(budget, spent_within(budget, in_period), pending)


def told(verdict: BudgetVerdict) -> str:
    """What an alarm says: a rollout that asks for shadows stands still while these wait."""
    if any(work.work_class is WorkClass.SHADOW for work in verdict.shed):
        return f"{verdict.reason}; until then a rollout gets no evidence of shadows"
    return verdict.reason


def period_of(per: Period, at: datetime) -> tuple[datetime, datetime]:
    """The day or month of UTC that a moment lies in, from its beginning to that of the next."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if per is Period.DAY:
        return day, day + DAY
    first = day.replace(day=1)
    return first, (first + 32 * DAY).replace(day=1)


def spent_within(budget: Budget, hours: Iterable[Spent]) -> int:
    """Nano-units: all that the budget's model cost, or the whole bill."""
    return sum(
        nano
        for spent in hours
        for on, nano in spent.items()
        if budget.model is None or on.model == budget.model
    )


def pending_work(
    models: Collection[str],
    recent: Sequence[Spent],
    pending: Mapping[tuple[str, str], int],
    read: Mapping[str, int],
    *,
    left_h: float,
) -> tuple[PendingWork, ...]:
    """What is asked for until the period ends: batch work by what one reading cost lately, the rest by its rate.

    `recent` are the sums of the hours of the last day, `read` the silent readings in it by model. Each class of each
    model is asked for at least a little, so that with nothing left no new work begins.
    """
    sums: Counter[SpentOn] = Counter()
    for spent in recent:
        for on, nano in spent.items():
            sums[SpentOn(on.model, on.line)] += nano
    found = [
        PendingWork(f"{work_class.value} of {model}", model, work_class, max(1, number * each))
        for model in sorted(models)
        for each in [sums[SpentOn(model, Line.SHADOW)] // max(1, read.get(model, 0))]
        for work_class, role in ROLES.items()
        for number in [pending.get((model, role.value), 0)]
    ]
    rates: Counter[str] = Counter()
    for on, nano in sums.items():
        if on.line != Line.SHADOW:
            rates[on.model] += nano
    hours = max(1, len(recent))
    return (
        *found,
        *(
            PendingWork(
                f"live work of {model or 'the platform'}", model, WorkClass.LIVE, int(nano * left_h / hours)
            )
            for model, nano in sorted(rates.items())
        ),
    )


def _held(
    work: PendingWork, reason: str, until: datetime, served: Iterable[ServedVersion]
) -> Iterable[Waiting]:
    role = ROLES[work.work_class].value
    for version in served:
        if version.model == work.model:
            yield Waiting(version.app_name, role, work.model, until, reason)


def _hour(at: datetime) -> int:
    return (at - EPOCH) // HOUR
