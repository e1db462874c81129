"""What does it cost to apportion what is paid, does it sum to the bill, and what does the usual way get wrong?

    python -m benchmarks.cost [--fleets 500] [--seed 1]

Random fleets of an hour: up to four replicas that hold cores and memory, each with up to sixty groups of up to four
readings that overlap, a fifth of them shadows. `events` are paid times and usages. Every fleet must sum to its bill
to the nano-unit of the currency. `wall time x price` is what is commonly done: each reading pays the whole replica
for as long as it lasts; it is compared with what was paid for busy times.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from statistics import median

from observability.cost.account import OVERHEAD
from observability.cost.apportion import Books, books_of
from observability.cost.events import CostedReading, CostEvent, Holding, PaidTime, ReadingMode, Usage
from observability.cost.items import Item
from observability.cost.price_book import HOUR_NS, Per, Price, PriceBook
from observability.cost.spans import Span
from observability.names import Stage
from observability.record import Outcome

START = 490_000 * HOUR_NS
HOUR = Span(START, START + HOUR_NS)
MS = 10**6
LASTS_MS = (5, 40, 900, 60_000)
PRICES = ((Item.CPU_CORE, 40_000_000), (Item.RAM_GIB, 5_000_000))
BOOK = PriceBook("USD", tuple(Price(item, nano, 0, Per.HOUR) for item, nano in PRICES))


def fleet(chance: random.Random) -> list[CostEvent]:
    events: list[CostEvent] = []
    for replica in range(chance.randint(1, 4)):
        start = START + chance.randrange(1000) * MS
        end = start + chance.randint(1, 600_000) * MS
        holds = (
            Holding(Item.CPU_CORE, chance.randint(1, 8000)),
            Holding(Item.RAM_GIB, chance.randint(1, 32768)),
        )
        name = f"r{replica}"
        events.append(PaidTime(f"p{replica}", name, start, end, holds, model="ich", version="1"))
        for group in range(chance.randint(0, 60)):
            begins = chance.randrange(max(START, start - 500 * MS), end)
            lasts = chance.choice(LASTS_MS) * MS
            mode = ReadingMode.SILENT if chance.random() < 0.2 else ReadingMode.LIVE
            for member in range(chance.choice((1, 1, 4))):
                study = f"s{replica}.{group}.{member}"
                of = CostedReading(study, "ich", "1", "champion", Outcome.OK, mode is ReadingMode.LIVE, mode)
                weight = chance.choice((1, 1, 3, 100))
                events.append(Usage(study, name, Stage.FORWARD, begins, begins + lasts, of, weight))
    return events


def by_wall_time(events: Sequence[CostEvent]) -> int:
    """Each reading pays all of its replica for as long as it lasts."""
    paid = {event.resource: event for event in events if isinstance(event, PaidTime)}
    total = 0
    for event in events:
        if isinstance(event, Usage):
            replica = paid[event.resource]
            lasts = Span(event.start_ns, event.end_ns).within(Span(replica.start_ns, replica.end_ns))
            for holding in replica.holds if lasts else ():
                price = BOOK.price(holding.item, START)
                assert price is not None
                assert lasts is not None
                total += price.reading(holding.amount, lasts.end) - price.reading(holding.amount, lasts.start)
    return total


def busy(books: Books) -> int:
    return sum(nano for account, nano in books.amounts.items() if account.line not in OVERHEAD)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fleets", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    spent_s, events, billed, ratios = 0.0, 0, 0, []
    for _ in range(asked.fleets):
        told = fleet(chance)
        began = time.process_time()
        books = books_of(told, BOOK, HOUR)
        spent_s += time.process_time() - began
        events += len(told)
        bill = sum(books.bill.values())
        if sum(books.amounts.values()) != bill:
            raise SystemExit("a fleet does not sum to its bill")
        billed += bill
        if used := busy(books):
            ratios.append(by_wall_time(told) / used)
    print(
        f"{asked.fleets} fleets, {events} events, {billed / 1e9:.6f} billed: each sums to its bill to the nano-unit"
    )
    print(f"apportioning: {spent_s / events * 1e6:.1f} us of CPU an event, {spent_s:.2f} s in all")
    print(f"wall time x price over what busy times cost: median {median(ratios):.2f}, most {max(ratios):.2f}")


if __name__ == "__main__":
    main()
