"""What is watched of a study where a site sets nothing else, and how a record tells it.

Edges are round numbers of the field. A site whose studies lie in one bin of a signal gives it edges of its own
reference (`quantile_edges`), and its own frequent scanners and kernels as categories.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from observability.drift.counters import Node
from observability.drift.signals import SignalGroup, SignalSpec, Value, word_of
from observability.record import InferenceRecord, Outcome

_TENTHS: Final = tuple(round(0.1 * step, 1) for step in range(1, 10))
SCANNER, KERNEL, MANUFACTURER = "scanner", "kernel", "manufacturer"

WORDS: Final = (MANUFACTURER, SCANNER, KERNEL)
SEXES: Final = ("F", "M", "O")
DECADES: Final = (*(f"{age}-{age + 9}" for age in range(0, 80, 10)), "80+")

ACQUISITION: Final = (
    SignalSpec("slices", SignalGroup.ACQUISITION, edges=(2.0, 20.0, 40.0, 80.0, 160.0, 320.0)),
    SignalSpec("rows", SignalGroup.ACQUISITION, edges=(256.0, 512.0, 513.0, 1024.0, 2048.0, 3072.0)),
    SignalSpec("columns", SignalGroup.ACQUISITION, edges=(256.0, 512.0, 513.0, 1024.0, 2048.0, 3072.0)),
    SignalSpec(
        "slice_thickness", SignalGroup.ACQUISITION, edges=(0.8, 1.1, 1.6, 2.1, 3.1, 4.1, 5.1, 7.1), unit="mm"
    ),
    SignalSpec(
        "slice_spacing", SignalGroup.ACQUISITION, edges=(0.8, 1.1, 1.6, 2.1, 3.1, 4.1, 5.1, 7.1), unit="mm"
    ),
    SignalSpec(
        "pixel_spacing", SignalGroup.ACQUISITION, edges=(0.15, 0.3, 0.4, 0.5, 0.7, 0.9, 1.1), unit="mm"
    ),
)
POPULATION: Final = (
    SignalSpec("age", SignalGroup.POPULATION, categories=DECADES),
    SignalSpec("sex", SignalGroup.POPULATION, categories=SEXES),
)
EXPOSURE: Final = (
    SignalSpec(
        "kvp", SignalGroup.ACQUISITION, edges=(50.0, 75.0, 85.0, 95.0, 105.0, 115.0, 125.0), unit="kV"
    ),
    SignalSpec(
        "exposure_mas",
        SignalGroup.ACQUISITION,
        edges=(1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 200.0, 400.0),
        unit="mAs",
    ),
)
_SHARES: Final = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
PIXELS: Final = (
    SignalSpec(
        "hu_mean",
        SignalGroup.PIXELS,
        edges=(-900.0, -800.0, -700.0, -600.0, -500.0, -400.0, -300.0, -200.0, 0.0),
        unit="HU",
    ),
    SignalSpec(
        "hu_p50",
        SignalGroup.PIXELS,
        edges=(-990.0, -950.0, -800.0, -500.0, -100.0, 0.0, 30.0, 50.0),
        unit="HU",
    ),
    SignalSpec(
        "hu_p99",
        SignalGroup.PIXELS,
        edges=(100.0, 200.0, 300.0, 500.0, 700.0, 900.0, 1200.0, 1600.0),
        unit="HU",
    ),
    SignalSpec(
        "noise_hu",
        SignalGroup.PIXELS,
        edges=(1.0, 2.0, 3.0, 4.5, 6.5, 10.0, 15.0, 22.0, 33.0, 50.0),
        unit="HU",
    ),
    SignalSpec("air_share", SignalGroup.PIXELS, edges=_SHARES),
    SignalSpec("soft_share", SignalGroup.PIXELS, edges=_SHARES),
    SignalSpec("bone_share", SignalGroup.PIXELS, edges=(0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.2)),
    SignalSpec("relative_mean", SignalGroup.PIXELS, edges=_TENTHS),
    SignalSpec("relative_median", SignalGroup.PIXELS, edges=_TENTHS),
    SignalSpec(
        "relative_noise",
        SignalGroup.PIXELS,
        edges=(0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.012, 0.02, 0.04),
    ),
    SignalSpec("sharpness", SignalGroup.PIXELS, edges=(0.002, 0.004, 0.006, 0.01, 0.015, 0.02, 0.03, 0.05)),
)
SCORES: Final = (
    SignalSpec("top_score", SignalGroup.SCORES, edges=_TENTHS),
    SignalSpec("score_margin", SignalGroup.SCORES, edges=_TENTHS),
    SignalSpec("score_entropy", SignalGroup.SCORES, edges=_TENTHS, unit="bit"),
)
OUTCOME: Final = (
    SignalSpec("outcome", SignalGroup.OUTCOME, categories=tuple(outcome.value for outcome in Outcome)),
    SignalSpec("input_distance", SignalGroup.OUTCOME, edges=(0.25, 0.5, 0.75, 1.0, 1.5, 2.0), unit="limits"),
)


def words_of_the_site(
    manufacturers: Sequence[str], scanners: Sequence[str], kernels: Sequence[str]
) -> tuple[SignalSpec, ...]:
    """The signals whose categories are a site's own, as `frequent_categories` finds them; one without any is left
    out, for there is nothing to watch."""
    named = ((MANUFACTURER, manufacturers), (SCANNER, scanners), (KERNEL, kernels))
    return tuple(
        SignalSpec(name, SignalGroup.ACQUISITION, categories=tuple(words)) for name, words in named if words
    )


def values_of(record: InferenceRecord, measured: Mapping[str, Value] | None = None) -> Mapping[str, Value]:
    """What a record tells of a study. `measured` adds what it does not hold, as the coordinates of an embedding; its
    values win. A signal that nobody tells is missing."""
    facts = record.facts
    told: dict[str, Value] = {"outcome": record.outcome.value, "input_distance": record.input_distance}
    if facts is not None:
        spacing = facts.spacing_mm
        told |= {
            "slices": float(facts.slices) or None,
            "rows": float(facts.rows) or None,
            "columns": float(facts.columns) or None,
            "slice_thickness": facts.slice_thickness_mm,
            "slice_spacing": None if spacing is None else spacing[0],
            "pixel_spacing": None if spacing is None else spacing[1],
            MANUFACTURER: word_of(facts.manufacturer),
            SCANNER: word_of(facts.scanner),
            KERNEL: word_of(facts.kernel),
            "age": facts.age,
            "sex": facts.sex,
        }
        told |= dict(facts.signals)
    told |= _scores([score for _, score in record.scores])
    return told | dict(measured or {})


def place_of(record: InferenceRecord) -> Node:
    """Site, scanner and protocol: the leaf at which the study is counted. The protocol is body part and kernel, the
    part of it that a record holds; a protocol's free name may carry a patient's."""
    facts = record.facts
    scanner = word_of(facts.scanner) if facts is not None else ""
    protocol = word_of(f"{facts.body_part} {facts.kernel}") if facts is not None else ""
    return (record.site or "unnamed", scanner or "unknown", protocol or "unknown")


def decade_of(age_years: float | None) -> str:
    """The decade of an age, `0-9` to `80+`; empty where it is not told.

    >>> decade_of(67.4), decade_of(93.0), decade_of(None)
    ('60-69', '80+', '')
    """
    if age_years is None or not 0.0 <= age_years < math.inf:
        return ""
    return DECADES[min(int(age_years // 10), len(DECADES) - 1)]


def _scores(scores: Sequence[float]) -> Mapping[str, Value]:
    """The top probability, how far it lies above the second (the doubt, where there is one), and the entropy in bits
    of present against absent, the mean over findings."""
    known = sorted((score for score in scores if not math.isnan(score)), reverse=True)
    if not known:
        return {}
    margin = known[0] - known[1] if len(known) > 1 else abs(2.0 * known[0] - 1.0)
    entropy = sum(map(_entropy_bits, known)) / len(known)
    return {"top_score": known[0], "score_margin": margin, "score_entropy": entropy}


def _entropy_bits(p: float) -> float:
    return -sum(q * math.log2(q) for q in (p, 1.0 - p) if q > 0.0)
