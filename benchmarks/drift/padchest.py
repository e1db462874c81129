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
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final, TextIO, TypeVar

from observability.drift.counters import Observed, counted
from observability.drift.reference import Reference
from observability.drift.signals import (
    SignalGroup,
    SignalSpec,
    Value,
    frequent_categories,
    quantile_edges,
)
from observability.drift.verdict import DriftPlan, judge

WORDS: Final = ("Manufacturer_DICOM", "Modality_DICOM", "BitsStored_DICOM", "PatientSex_DICOM", "Projection")
NUMBERS: Final = ("age", "WindowCenter_DICOM", "Rows_DICOM", "XRayTubeCurrent_DICOM", "Exposure_DICOM")
FRONTAL: Final = ("PA", "AP", "AP_horizontal")
MONDAY: Final = date(2009, 1, 5)
WATCHED: Final = date(2012, 1, 2)
ARL_WEEKS: Final = 520.0
ABSENT: Final = 2
T = TypeVar("T")
Row = tuple[date, Mapping[str, Value]]


def run() -> int:
    """Print each week in which an alarm begins. After each the reference stays and watching begins anew."""
    path = tables()
    if path is None:
        print(
            "torchxrayvision is not installed, or without PadChest's table: `--padchest` needs it beside this "
            "project, and nothing is downloaded here.",
            file=sys.stderr,
        )
        return ABSENT
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        for line in alarms(read(file)):
            print(line, flush=True)
    return 0


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


def alarms(rows: Iterable[Row]) -> Iterator[str]:
    known = [row for row in rows if row[0] >= MONDAY]
    signals = _signals([values for day, values in known if day < WATCHED])
    tally = counted(signals, (Observed(("padchest",), _week(day), values) for day, values in known))
    first, last = _week(WATCHED), max(tally.slices)
    past = tally.within(0, first - 1)
    reference = Reference("chest-film", 1, "benchmark", 0, 7 * 86_400, first, signals, past)
    plan, restarted = DriftPlan(arl_slices=ARL_WEEKS), first
    while (week := judge(reference, tally, last, plan, restarted).reached_at) is not None:
        verdict = judge(reference, tally, week, plan, restarted)
        yield f"{MONDAY + timedelta(weeks=week)}  {verdict.state.value:6s} {verdict.sentence}"
        restarted = week + 1


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
