"""What do rules of scaling cost a day, and how long do studies wait under them?

    python -m benchmarks.autoscaling [--days 5] [--seed 1]

A model on GPUs that takes 40 s a study (20 to 60), at most four replicas, which take 20 s to start. A working day of
a hospital: 8 to 15 studies an hour by night, 150 at its peak, 4 % STAT, 16 % urgent, 80 % routine, and at 13:30
somebody sends 150 batch studies. Waiting is from arrival until a replica begins; late is who begins after the time
of his priority (STAT: a minute). The rules are the product's (`canary.replicas`), Ray Serve's own with its defaults
(two ongoing requests a replica, 30 s up, 600 s down), which sees what four job workers hold (16 studies), and fixed
numbers. The costs are the product's books, at an invented
price of 1.00 a GPU and hour; every hour must sum to its bill.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final, NamedTuple

from canary.replicas import Asked, Bounds, DueStudies, bounds_of, demand, scale
from core.priority import Priority, QueueOrder, queue_order
from core.weekly_hours import Hours, hours_at, hours_of
from observability.cost.account import OVERHEAD
from observability.cost.apportion import books_of
from observability.cost.events import CostedReading, CostEvent, Holding, PaidTime, Phase, Usage, span_of
from observability.cost.items import Item
from observability.cost.price_book import HOUR_NS, Per, Price, PriceBook
from observability.cost.report import report_of
from observability.cost.spans import Span
from observability.names import Stage
from observability.record import Outcome

MIDNIGHT: Final = datetime(2026, 11, 30, tzinfo=UTC)  # a Monday
DAY_S: Final = 24 * 3600
STUDY_S: Final = 40.0
START_S: Final = 20
MOST: Final = 4
LOOK_S: Final = 5
KEEP_S: Final = 300.0
HELD_BY_WORKERS: Final = 16
BATCH_AT_S: Final = 13 * 3600 + 1800
BATCH: Final = 150
NIGHT: Final = (12, 10, 8, 8, 10, 15, 30)
DAY: Final = (70, 120, 145, 150, 140, 110, 120, 140, 130, 110, 80)
BY_HOUR: Final = (*NIGHT, *DAY, 50, 35, 25, 20, 16, 14)
MIX: Final = ((Priority.STAT, 4), (Priority.URGENT, 16), (Priority.ROUTINE, 80))
LATE_AFTER_S: Final = {
    Priority.STAT: 60.0,
    Priority.URGENT: 60.0,
    Priority.ROUTINE: 600.0,
    Priority.BATCH: 3600.0,
}
BOOK: Final = PriceBook("USD", (Price(Item.GPU, 10**9, 0, Per.HOUR),))
HOURS: Final = hours_of("mon-fri 07:00-18:00 2")


class Study(NamedTuple):
    order: QueueOrder
    number: int
    priority: Priority
    came_s: int
    takes_s: int


@dataclass(slots=True)
class Replica:
    number: int
    since_s: int
    is_elastic: bool
    study: Study | None = None
    free_at_s: int = 0
    is_leaving: bool = False


class State(NamedTuple):
    """What a rule is told. `running` counts the studies that are being read."""

    at_s: int
    waiting: Sequence[Study]
    running: Sequence[Study]
    replicas: int


class Ask(NamedTuple):
    """So many replicas, of which so many whatever there is to read."""

    replicas: int
    least: int


Rule = Callable[[State], Ask]


def fixed(replicas: int) -> Rule:
    return lambda _: Ask(replicas, replicas)


class ServesOwn:
    """`replica_queue_length_autoscaling_policy` of Ray Serve: what it wants for the whole of a delay comes about."""

    def __init__(self, up_s: float = 30.0, down_s: float = 600.0, target: float = 2.0) -> None:
        self._up_s, self._down_s, self._target = up_s, down_s, target
        self._since: tuple[int, int] = (0, 0)  # which way it wants to go, since when

    def __call__(self, state: State) -> Ask:
        ongoing = min(len(state.waiting) + len(state.running), HELD_BY_WORKERS)
        desired = min(MOST, max(1, ceil(ongoing / self._target)))
        way = (desired > state.replicas) - (desired < state.replicas)
        if way != self._since[0]:
            self._since = (way, state.at_s)
        waited_s = state.at_s - self._since[1]
        is_due = way and waited_s >= (self._up_s if way > 0 else self._down_s)
        return Ask(desired if is_due else state.replicas, 1)


@dataclass(slots=True)
class ByDeadline:
    """The product's own."""

    hours: Sequence[Hours] = ()
    past: tuple[Asked, ...] = field(default=())

    def __call__(self, state: State) -> Ask:
        at = moment(state.at_s)
        groups: Counter[tuple[Priority, int]] = Counter()
        for study in (*state.waiting, *state.running):
            groups[study.priority, int(study.order.scheduled_at.timestamp()) // 10 * 10] += 1
        waiting = [
            DueStudies("m", priority, datetime.fromtimestamp(due, UTC), number)
            for (priority, due), number in groups.items()
        ]
        bounds: Bounds = bounds_of(1, MOST, hours_at(self.hours, at, UTC), may_sleep=False)
        wanted, self.past = scale(demand(waiting, STUDY_S, 1.0, at), bounds, self.past, KEEP_S, state.at_s)
        return Ask(wanted.replicas, bounds.least)


@dataclass(frozen=True, slots=True)
class Told:
    """A day under a rule."""

    waits_s: dict[Priority, list[float]]
    late: int
    events: list[CostEvent]
    changes: int


def moment(at_s: float) -> datetime:
    return MIDNIGHT + timedelta(seconds=at_s)


def nanoseconds(at_s: int) -> int:
    return int(moment(at_s).timestamp()) * 10**9


def arrivals(chance: random.Random, scale_by: float = 1.0) -> Iterator[Study]:
    """A day of studies, by the second."""
    number = 0
    for second in range(DAY_S):
        come = [] if second != BATCH_AT_S else [Priority.BATCH] * round(BATCH * scale_by)
        if chance.random() < BY_HOUR[second // 3600] * scale_by / 3600:
            come += chance.choices([one for one, _ in MIX], [share for _, share in MIX])
        for priority in come:
            takes_s = round(STUDY_S * chance.uniform(0.5, 1.5))
            yield Study(queue_order(priority, moment(second)), number, priority, second, takes_s)
            number += 1


class Site:
    """Replicas that read what waits in its order; one that is to go ends its study first."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._replicas: list[Replica] = []
        self._waiting: list[Study] = []
        self._made = 0
        self.told = Told({one: [] for one in Priority}, 0, [], 0)
        self._late = self._changes = 0

    def day(self, studies: Sequence[Study]) -> Told:
        coming = list(reversed(studies))
        second = 0
        while second < DAY_S or self._waiting or any(one.study for one in self._replicas):
            while coming and coming[-1].came_s <= second:
                heapq.heappush(self._waiting, coming.pop())
            self._end(second)
            if second % LOOK_S == 0:
                self._scale(second)
            self._begin(second)
            second += 1
        for replica in list(self._replicas):
            self._leave(replica, second)
        return Told(self.told.waits_s, self._late, self.told.events, self._changes)

    def _end(self, second: int) -> None:
        for replica in list(self._replicas):
            if replica.study is not None and replica.free_at_s <= second:
                replica.study = None
                if replica.is_leaving:
                    self._leave(replica, second)

    def _scale(self, second: int) -> None:
        staying = [one for one in self._replicas if not one.is_leaving]
        running = [one.study for one in self._replicas if one.study is not None]
        ask = self._rule(State(second, self._waiting, running, len(staying)))
        self._changes += ask.replicas != len(staying) and second > 0
        for number in range(len(staying), ask.replicas):
            self._made += 1
            ready_s = second + START_S if second else 0
            self._replicas.append(Replica(self._made, second, number >= ask.least, free_at_s=ready_s))
        leaving = sorted(staying, key=lambda one: (one.study is not None, -one.number))
        for replica in leaving[: max(0, len(staying) - ask.replicas)]:
            replica.is_leaving = True
            if replica.study is None:
                self._leave(replica, second)

    def _begin(self, second: int) -> None:
        for replica in self._replicas:
            if not self._waiting:
                return
            if replica.study is None and not replica.is_leaving and replica.free_at_s <= second:
                study = heapq.heappop(self._waiting)
                replica.study, replica.free_at_s = study, second + study.takes_s
                waited_s = second - study.came_s
                self.told.waits_s[study.priority].append(waited_s)
                self._late += waited_s > LATE_AFTER_S[study.priority]
                self.told.events.append(usage(study, replica, second))

    def _leave(self, replica: Replica, second: int) -> None:
        self._replicas.remove(replica)
        ready_s = min(second, replica.since_s + START_S) if replica.since_s else 0
        spans = ((Phase.LOAD, replica.since_s, ready_s), (Phase.SERVE, ready_s, second))
        for phase, begin_s, end_s in spans:
            self.told.events.extend(paid(replica, phase, begin_s, end_s))


def usage(study: Study, replica: Replica, second: int) -> Usage:
    reading = CostedReading(f"s{study.number}", "m", "1", "champion", Outcome.OK, is_delivered=True)
    begin, end = nanoseconds(second), nanoseconds(second + study.takes_s)
    return Usage(f"u{study.number}", f"r{replica.number}", Stage.FORWARD, begin, end, reading)


def paid(replica: Replica, phase: Phase, begin_s: int, end_s: int) -> Iterator[PaidTime]:
    """Told in parts of at most twelve hours."""
    for start_s in range(begin_s, end_s, 12 * 3600):
        span = nanoseconds(start_s), nanoseconds(min(end_s, start_s + 12 * 3600))
        name = f"r{replica.number}"
        holds = (Holding(Item.GPU, 1000),)
        yield PaidTime(
            f"{name}{phase}{start_s}", name, *span, holds, phase, "m", "1", is_elastic=replica.is_elastic
        )


class Costs(NamedTuple):
    """In nano-units: the bill, what of it no study used, and what would not have been paid without the work."""

    bill: int
    unused: int
    marginal: int


def costs_of(events: Sequence[CostEvent]) -> Costs:
    bill = unused = marginal = 0
    first, last = min(span_of(one)[0] for one in events), max(span_of(one)[1] for one in events)
    for hour in range(first // HOUR_NS, last // HOUR_NS + 1):
        span = Span(hour * HOUR_NS, (hour + 1) * HOUR_NS)
        near = [one for one in events if span_of(one)[0] < span.end and span_of(one)[1] > span.start]
        books = books_of(near, BOOK, span)
        billed = {item.value: nano for item, nano in books.bill.items()}
        report = report_of(books.amounts, billed, ())
        if not report.agrees:
            raise SystemExit("an hour does not sum to its bill")
        bill += report.billed
        unused += sum(nano for account, nano in books.amounts.items() if account.line in OVERHEAD)
        marginal += sum(row.marginal for row in report.rows)
    return Costs(bill, unused, marginal)


class Row(NamedTuple):
    name: str
    costs: Costs
    p95_s: dict[Priority, float]
    late: int
    changes: int


RULES: dict[str, Callable[[], Rule]] = {
    "fixed at 1": lambda: fixed(1),
    "fixed at 4": lambda: fixed(4),
    "Serve's own, 1 to 4": ServesOwn,
    "by deadline, 1 to 4": ByDeadline,
    f"by deadline, `{HOURS[0].text}`": lambda: ByDeadline(HOURS),
}


def row_of(name: str, days: Sequence[Sequence[Study]]) -> Row:
    """Means of the days; the quantiles are of the studies of all days together."""
    told = [Site(RULES[name]()).day(day) for day in days]
    costs = [costs_of(one.events) for one in told]
    mean = Costs(*(round(sum(part) / len(days)) for part in zip(*costs, strict=True)))
    waits = {one: sorted(wait for day in told for wait in day.waits_s[one]) for one in Priority}
    p95_s = {one: values[int(len(values) * 0.95)] if values else 0.0 for one, values in waits.items()}
    late, changes = sum(one.late for one in told), sum(one.changes for one in told)
    return Row(name, mean, p95_s, round(late / len(days)), round(changes / len(days)))


def table_of(rows: Sequence[Row]) -> str:
    columns = (
        "rule",
        "cost a day",
        "unused",
        "marginal",
        "p95 wait, s: STAT",
        "urgent",
        "routine",
        "batch",
        "late",
    )
    lines = [f"| {' | '.join((*columns, 'changes'))} |", "|---" * 10 + "|"]
    for row in rows:
        money = " | ".join(f"{nano / 1e9:.2f}" for nano in row.costs)
        waits = " | ".join(f"{row.p95_s[one]:.0f}" for one in Priority)
        lines.append(f"| {row.name} | {money} | {waits} | {row.late} | {row.changes} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    days = [list(arrivals(random.Random(asked.seed + number))) for number in range(asked.days)]
    print(f"{asked.days} days, {sum(map(len, days)) / asked.days:.0f} studies a day")
    print(table_of([row_of(name, days) for name in RULES]))


if __name__ == "__main__":
    main()
