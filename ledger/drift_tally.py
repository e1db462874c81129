"""Counts of drift as the ledger keeps them, read into the bins of some signals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ledger.tables import drift_counts, drift_words
from observability.drift.catalogue import WORDS
from observability.drift.counters import Cell, Tally
from observability.drift.signals import SignalSpec


def tally_of(
    connection: Connection, model: str, version: str, first: int, last: int, signals: Sequence[SignalSpec]
) -> Tally:
    """Words fall into the categories of their signal. What has no signal here is left out."""
    named = {signal.name: signal for signal in signals}
    cells: Counter[Cell] = Counter()
    for row in connection.execute(_between(drift_counts, model, version, first, last)).mappings():
        if row["signal"] in named and row["signal"] not in WORDS and row["bin"] < named[row["signal"]].bins:
            cells[Cell(tuple(json.loads(row["leaf"])), row["signal"], row["slice"], row["bin"])] += row[
                "count"
            ]
    if any(name in named for name in WORDS):
        for row in connection.execute(_between(drift_words, model, version, first, last)).mappings():
            if row["signal"] in named:
                place = named[row["signal"]].bin_of(row["word"])
                cells[Cell(tuple(json.loads(row["leaf"])), row["signal"], row["slice"], place)] += row[
                    "count"
                ]
    return Tally(MappingProxyType(dict(cells)))


def words_of(
    connection: Connection, model: str, version: str, first: int, last: int
) -> dict[str, Counter[str]]:
    """By signal, how many studies of these days told each word."""
    found: dict[str, Counter[str]] = {name: Counter() for name in WORDS}
    for row in connection.execute(_between(drift_words, model, version, first, last)).mappings():
        if row["signal"] in found:
            found[row["signal"]][row["word"]] += row["count"]
    return found


def _between(table: sa.Table, model: str, version: str, first: int, last: int) -> sa.Select[Any]:
    of_version = (table.c.model == model) & (table.c.version == version)
    return sa.select(table).where(of_version & table.c.slice.between(first, last))
