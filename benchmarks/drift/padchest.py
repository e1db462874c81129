"""The dated stream of PadChest's metadata (Bustos et al., Med Image Anal 2020;66:101797), week by week, through the
product's own verdict.

The tables come with torchxrayvision, under terms of their own: install it beside this project if those allow it.
What is known of the stream: the first DX examination is of 2016-01-11, and one vendor is away from 2014-12-09 to
2015-04-10.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final, TextIO, TypeVar

import numpy as np

from observability.drift.counters import Cell, Observed, Tally, counted
from observability.drift.reference import Reference
from observability.drift.signals import (
    SignalGroup,
    SignalSpec,
    Value,
    frequent_categories,
    quantile_edges,
)
from observability.drift.verdict import DriftPlan, DriftState, judge

WORDS: Final = ("Manufacturer_DICOM", "Modality_DICOM", "BitsStored_DICOM", "PatientSex_DICOM", "Projection")
NUMBERS: Final = ("age", "WindowCenter_DICOM", "Rows_DICOM", "XRayTubeCurrent_DICOM", "Exposure_DICOM")
FRONTAL: Final = ("PA", "AP", "AP_horizontal")
MONDAY: Final = date(2009, 1, 5)
WATCHED: Final = date(2012, 1, 2)
CHANGE: Final = date(2016, 1, 11)
FIRST_DX: Final = date(2016, 1, 11)
CHANGED: Final = "Modality_DICOM"
MOST_DAYS: Final = 14
PLAN: Final = DriftPlan(arl_slices=520.0)
QUIET_WEEKS, BLOCK_WEEKS, QUIET_STREAMS = 104, 4, 40
HEADING: Final = "## A real stream"
ABSENT: Final = 2
T = TypeVar("T")
Row = tuple[date, Mapping[str, Value]]


def run(seed: int, page: Path | None) -> int:
    """Print the section of the page, and write it there."""
    path = tables()
    if path is None:
        print(
            "torchxrayvision is not installed, or without PadChest's table: `--padchest` needs it beside this "
            "project, and nothing is downloaded here.",
            file=sys.stderr,
        )
        return ABSENT
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        rows = read(file)
    text, is_found = section(rows, np.random.default_rng(seed))
    print(text)
    if page is not None:
        page.write_text(with_section(page.read_text(), text))
    return 0 if is_found else 1


def with_section(page: str, section: str) -> str:
    """The page with its section on the real stream, which is its last, in the place of the one before."""
    return f"{page.partition(HEADING)[0].rstrip()}\n\n{section}"


def section_of(page: str) -> str:
    """The section as it stands on the page, or nothing."""
    return "".join(page.partition(HEADING)[1:])


def tables() -> Path | None:
    """PadChest's table within the installed package, which is not imported: that would load torch."""
    package = importlib.util.find_spec("torchxrayvision")
    if package is None or package.origin is None:
        return None
    found = sorted(Path(package.origin).parent.rglob("*.csv*"))
    return next((path for path in found if "padchest" in path.name.lower()), None)


def read(file: TextIO) -> list[Row]:
    """Frontal films of adults from 2009 on, in order of their dates."""
    return sorted(_rows(csv.DictReader(file)), key=lambda row: row[0])


@dataclass(frozen=True, slots=True)
class Alarm:
    """The week (its Monday) after which it was told, the signals that are named, and the sentence."""

    week: date
    signals: tuple[str, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class Habit:
    """What a person does with an alarm: keeps the reference, or accepts the last `weeks` after `settling` weeks in
    which nothing is watched.
    """

    name: str
    weeks: int | None = None
    settling: int = 0


HABITS: Final = (
    Habit("looks and keeps the reference of 2009 to 2011"),
    Habit("accepts the last 52 weeks at once", 52),
    Habit("accepts the last 52 weeks a quarter later", 52, 13),
)


def alarms(rows: Iterable[Row], habit: Habit = HABITS[0]) -> Iterator[Alarm]:
    """Each week at whose end an alarm is told, under what a person makes of alarms."""
    known = [row for row in rows if row[0] >= MONDAY]
    end = max(_week(day) for day, _ in known)
    reference, tally, first = _reference(known, 0, _week(WATCHED) - 1, 1)
    restarted = first
    while (week := judge(reference, tally, end, PLAN, restarted).reached_at) is not None:
        verdict = judge(reference, tally, week, PLAN, restarted)
        if verdict.state is DriftState.ALARM:
            named = tuple(sorted({one.signal for one in verdict.findings}))
            yield Alarm(MONDAY + timedelta(weeks=week), named, verdict.sentence)
        restarted = week + 1
        if habit.weeks is not None:
            last = week + habit.settling
            if last >= end:
                return
            reference, tally, restarted = _reference(
                known, last + 1 - habit.weeks, last, reference.version + 1
            )


def false_alarms(rows: Iterable[Row], streams: int, rng: np.random.Generator) -> tuple[int, int]:
    """Of so many streams of two years of real films without drift, how many alarm: weeks of the reference itself in
    blocks of four, in a new order."""
    known = [row for row in rows if row[0] >= MONDAY]
    reference, _, first = _reference(known, 0, _week(WATCHED) - 1, 1)
    weeks = reference.tally.slices
    by_week: dict[int, dict[Cell, int]] = {week: {} for week in weeks}
    for cell, count in reference.tally.cells.items():
        by_week[cell.slice][cell] = count
    found = 0
    for _ in range(streams):
        starts = rng.integers(0, len(weeks) - BLOCK_WEEKS, QUIET_WEEKS // BLOCK_WEEKS)
        drawn = [weeks[start + step] for start in starts for step in range(BLOCK_WEEKS)]
        cells = {
            replace(cell, slice=first + place): count
            for place, week in enumerate(drawn)
            for cell, count in by_week[week].items()
        }
        verdict = judge(reference, Tally(MappingProxyType(cells)), first + QUIET_WEEKS - 1, PLAN)
        found += verdict.state is DriftState.ALARM
    return found, streams


def _reference(known: list[Row], first: int, last: int, number: int) -> tuple[Reference, Tally, int]:
    """Weeks `first` to `last` as the reference, what comes after in its bins, and the first week that is watched."""
    signals = _signals([values for day, values in known if first <= _week(day) <= last])
    counts = counted(
        signals,
        (Observed(("padchest",), _week(day), values) for day, values in known if _week(day) >= first),
    )
    past = counts.within(first, last)
    reference = Reference("chest-film", number, "benchmark", 0, 7 * 86_400, last + 1, signals, past)
    return reference.calibrated(PLAN.arming), counts, last + 1


def section(rows: list[Row], rng: np.random.Generator) -> tuple[str, bool]:
    """What the stream showed, as a part of the page, and whether the change was found in time."""
    quiet, streams = false_alarms(rows, QUIET_STREAMS, rng)
    lines, is_found = [], True
    of_habit = {habit: list(alarms(rows, habit)) for habit in HABITS}
    for habit, told in of_habit.items():
        before = [one for one in told if one.week < CHANGE]
        named = [one for one in told if CHANGED in one.signals]
        found = next((one for one in named if one.week >= CHANGE), None)
        early = sum(one.week < CHANGE for one in named)
        if found is None:
            delay = "not found"
        else:
            days = (found.week + timedelta(days=7) - FIRST_DX).days
            delay = f"{days} days after the first DX"
            is_found &= days <= MOST_DAYS
        is_found &= found is not None
        years = (CHANGE - WATCHED).days / 365.25
        lines.append(
            f"| {habit.name} | {delay} | {early} | {len(before)} ({len(before) / years:.1f} a year) | {len(told)} |"
        )
    signals = Counter(name for one in of_habit[HABITS[1]] if one.week < CHANGE for name in one.signals)
    named_before = ", ".join(f"{name} {number}" for name, number in signals.most_common())
    return SECTION.format(
        films=len([day for day, _ in rows if day >= MONDAY]),
        quiet=quiet,
        streams=streams,
        table="\n".join(lines),
        named=named_before,
    ), is_found


SECTION = """## A real stream
`python -m benchmarks.drift --padchest --write` writes this section: the dated metadata of PadChest, {films} frontal
films of adults from 2009 to 2017, by week; the reference is 2009 to 2011, one false alarm in ten years is accepted.
The site changed from CR to DX in January 2016: the first DX film is of 2016-01-11.

- Without drift: {quiet} of {streams} streams alarm within two years. They are made of the reference's own weeks, in
  blocks of four.
- With all that really happened, by what a person does with each alarm:

| who gets an alarm | CR → DX found | alarms on it before | all alarms before | all alarms to the end |
|---|---|---|---|---|
{table}

Alarms before the change where the last 52 weeks are accepted, by the signal that is named: {named}.
They are no chance alone: window, detector size and exposure settings change with each device that comes and goes,
and one vendor is away from 2014-12-09 to 2015-04-10. Who accepts what came is told less often than who keeps a
reference of 2011. During the quarter in which a new normal settles nothing is watched.
"""


def _rows(table: Iterable[Mapping[str, str]]) -> Iterator[Row]:
    for row in table:
        day = _or_none(lambda text: datetime.strptime(text, "%Y%m%d").date(), row["StudyDate_DICOM"])
        born = _or_none(lambda text: int(float(text)), row.get("PatientBirth", ""))
        if day is None or born is None or row["Projection"] not in FRONTAL or day.year - born < 18:
            continue
        values: dict[str, Value] = {name: row.get(name) or None for name in WORDS}
        values |= {name: _or_none(float, row.get(name, "")) for name in NUMBERS}
        yield day, values | {"age": float(day.year - born)}


def _signals(reference: list[Mapping[str, Value]]) -> tuple[SignalSpec, ...]:
    signals = []
    for name in WORDS:
        words = frequent_categories(
            [word for values in reference if isinstance(word := values[name], str)], 7
        )
        signals.append(SignalSpec(name, SignalGroup.ACQUISITION, categories=words))
    for name in NUMBERS:
        edges = quantile_edges([v for values in reference if isinstance(v := values[name], float)])
        signals.append(SignalSpec(name, SignalGroup.ACQUISITION, edges=edges))
    return tuple(signals)


def _week(day: date) -> int:
    return (day - MONDAY).days // 7


def _or_none(read_as: Callable[[str], T], text: str) -> T | None:
    try:
        return read_as(text)
    except ValueError:
        return None
