"""What versions say of a cohort's studies when they are read as the platform reads them, and how often that is right.

Unlike the other sets this one counts answers, not scores: who abstains or fails is right about nobody, as in the
evidence of a rollout. From instance to finding the code is that of production.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from core.errors import ModelFailed
from imaging.assemble import to_volume
from imaging.finding import ModelStamp, Presence
from imaging.series import choose_series
from imaging.summary import summarize_study
from imaging.volume import Volume
from models.base import run
from models.input_check.check import check_input
from models.input_check.reference import Reference
from models.spec import ModelSpec
from models.zoo.ich.bleed import BleedKind
from models.zoo.ich.cohort import CohortHead, to_datasets
from models.zoo.ich.phantom import Labels
from models.zoo.ich.statistics import Bools, balanced_accuracy, paired_gain, share, share_estimate
from models.zoo.ich.statistics import bootstrap as interval

CPU: Final = torch.device("cpu")
STRATA: Final[Mapping[str, Callable[[Labels], bool]]] = {
    "all": lambda _: True,
    "thin": lambda case: not case.thick,
    "thick": lambda case: case.thick,
    "rim": lambda case: case.kind is not BleedKind.INTRA_AXIAL,
    "rim, thin": lambda case: case.kind is not BleedKind.INTRA_AXIAL and not case.thick,
    "rim, thick": lambda case: case.kind is not BleedKind.INTRA_AXIAL and case.thick,
}

Version = tuple[nn.Module, ModelSpec]


@dataclass(frozen=True, slots=True)
class Readings:
    """Cases in order: the labels, whether the input check found each foreign, and what each version said of it (None
    where it failed)."""

    labels: tuple[Labels, ...]
    foreign: tuple[bool, ...]
    said: Mapping[int, tuple[Presence | None, ...]]

    @property
    def positive(self) -> Bools:
        return np.array([case.positive for case in self.labels])

    def correct(self, version: int) -> Bools:
        right = {True: Presence.PRESENT, False: Presence.ABSENT}
        pairs = zip(self.said[version], self.positive, strict=True)
        return np.array([said is right[bool(positive)] for said, positive in pairs])


def volume_of(head: CohortHead, spec: ModelSpec) -> Volume:
    """The study as a reader makes it. Raises StudyError."""
    datasets = to_datasets(head)
    series = {str(datasets[0].SeriesInstanceUID): tuple(datasets)}
    chosen = choose_series(summarize_study(series), spec.input.series).require()
    return to_volume(series[chosen.series_uid], max_gap_ratio=spec.input.series.max_gap_ratio)


def presence(volume: Volume, version: Version) -> Presence | None:
    """What a version says of its one finding; None where it fails."""
    network, spec = version
    stamp = ModelStamp(spec.name, "", "", spec.manufacturer, research_only=True)
    try:
        (finding,) = run(network, volume, spec, stamp, device=CPU)[0].findings
    except ModelFailed:
        return None
    return finding.presence


def read(heads: Iterable[CohortHead], versions: Mapping[int, Version], reference: Reference) -> Readings:
    """Read every study by every version; all of them take the same series."""
    spec = next(iter(versions.values()))[1]
    labels, foreign, said = [], [], []
    for head in heads:
        volume = volume_of(head, spec)
        labels.append(head.labels)
        foreign.append(check_input(volume, reference).is_foreign)
        said.append([presence(volume, version) for version in versions.values()])
    return Readings(tuple(labels), tuple(foreign), dict(zip(versions, zip(*said, strict=True), strict=True)))


def figures(readings: Readings, version: int, baseline: int | None) -> dict[str, Any]:
    """Per stratum: sensitivity, specificity and balanced accuracy of the answers, and how many were none."""
    return {
        name: _stratum(readings, version, np.array([belongs(case) for case in readings.labels]), baseline)
        for name, belongs in STRATA.items()
    }


def _stratum(readings: Readings, version: int, chosen: Bools, baseline: int | None) -> dict[str, Any]:
    positive, correct = readings.positive[chosen], readings.correct(version)[chosen]
    said = [each for each, is_chosen in zip(readings.said[version], chosen, strict=True) if is_chosen]
    result: dict[str, Any] = {
        "cases": len(said),
        "failed": sum(each is None for each in said),
        "abstained": sum(each is Presence.INDETERMINATE for each in said),
        "refused by the input check": int(np.array(readings.foreign)[chosen].sum()),
        "sensitivity": asdict(share_estimate(correct[positive])),
        "specificity": asdict(share_estimate(correct[~positive])),
        "balanced accuracy": asdict(
            interval(lambda i: balanced_accuracy(_alarms(correct[i], positive[i]), positive[i]), len(said))
        ),
    }
    if baseline is not None:
        result["gain"] = {"over": baseline} | _gains(correct, readings.correct(baseline)[chosen], positive)
    return result


def _alarms(correct: Bools, positive: Bools) -> Bools:
    """Alarms of which the same are correct: an abstention counts against the version on either side."""
    alarms: Bools = correct == positive
    return alarms


def _gains(after: Bools, before: Bools, positive: Bools) -> dict[str, Any]:
    measures: Sequence[tuple[str, Callable[[Bools, Bools], float]]] = (
        ("sensitivity", lambda correct, truth: share(correct[truth])),
        ("specificity", lambda correct, truth: share(correct[~truth])),
        ("balanced accuracy", lambda correct, truth: balanced_accuracy(_alarms(correct, truth), truth)),
    )
    return {name: asdict(paired_gain(measure, after, before, positive)) for name, measure in measures}
