"""Builders: weeks of readings in a ledger, drawn at random, as they were or with a scanner that nobody knew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from ledger import Ledger
from ledger.study_records import append_record
from observability.drift.catalogue import decade_of
from observability.record import InferenceRecord, InputFacts, Outcome, StudyTrace

MODEL, VERSION, FINDING = "ich-triage", "1", "1386000"
SCANNERS = ("ACME Spiral 3", "Borealis CT-64")
BEGINS = datetime(2026, 6, 1, 12, tzinfo=UTC)
PER_DAY = 120


def a_reading(rng: np.random.Generator, number: int, scanner: str, noise_hu: float) -> InferenceRecord:
    """One answer; its truth is present as often as its score says."""
    score = float(np.clip(rng.beta(0.4, 2.0), 1e-4, 1 - 1e-4))
    facts = InputFacts(
        "CT",
        "HEAD",
        slices=int(rng.integers(26, 40)),
        rows=512,
        columns=512,
        spacing_mm=(5.0, 0.45, 0.45),
        slice_thickness_mm=5.0,
        manufacturer=scanner.split()[0],
        scanner=scanner,
        kernel="H31s",
        age=decade_of(rng.uniform(20.0, 90.0)),
        sex="F" if rng.random() < 0.5 else "M",
        signals=(("kvp", 120.0), ("noise_hu", float(rng.gamma(9.0, noise_hu / 9.0)))),
    )
    return InferenceRecord(
        study_key=f"st-{number}",
        model=MODEL,
        version=VERSION,
        digest="d",
        variant="champion",
        outcome=Outcome.OK,
        delivered=True,
        stages=(),
        site="north",
        facts=facts,
        scores=((FINDING, score),),
        input_distance=float(rng.gamma(4.0, 0.1)),
        present=(FINDING,) if score >= 0.4 else (),
    )


def readings(
    rng: np.random.Generator, day: int, *, is_changed: bool = False, number: int = PER_DAY
) -> Iterator[InferenceRecord]:
    """Of one day. Changed: two studies in five come from a scanner of more noise, that nobody knew."""
    for place in range(number):
        is_foreign = is_changed and rng.random() < 0.4
        scanner = "Nova One" if is_foreign else SCANNERS[int(rng.random() < 0.3)]
        yield a_reading(rng, 10_000 * day + place, scanner, 9.0 if is_foreign else 4.0)


def write_day(ledger: Ledger, day: int, of_day: Iterator[InferenceRecord]) -> None:
    """Write the records as they came at noon of that day, counted from `BEGINS`."""
    at = BEGINS + timedelta(days=day)
    with ledger.database.write() as connection:
        for record in of_day:
            trace = StudyTrace(record.study_key, 1, 2, Outcome.OK, records=(record,))
            append_record(connection, replace(trace, site="north"), at)


def fold(ledger: Ledger) -> None:
    while ledger.drift.fold():
        pass
