"""Measure the versions, on seeds nobody has seen: `python -m models.zoo.ich.evaluate [--head FILE]`.

Five sets: phantom slices, phantom heads, studies of a cohort as the platform reads them, slices and whole heads of
one real CT with inserted bleeds. Writes `evaluation.json` and the model cards; figures go in as they come out, gains
and losses alike. The recipes were chosen while looking at other seeds; these were read once, after all weights were
final. (Those of 50, 60 and 90 million had been read with another threshold of version 3.) `--no-head` measures
without the real CT: a version that changed since then has no figures of it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.zoo.ich import cohort_reading, real_head, versions
from models.zoo.ich.cohort import cohort_head
from models.zoo.ich.fields import Image
from models.zoo.ich.model_card import write_cards
from models.zoo.ich.phantom import Labels, Mixture, slice_phantom, study_phantom
from models.zoo.ich.scored import Scored, figures, gains
from models.zoo.ich.scoring import slice_probabilities, top3_mean
from models.zoo.ich.trained import VERSIONS, WEIGHTS, load_network, threshold_of, weights_digest
from models.zoo.references import reference_of

SLICE_SEED, HEAD_SEED, REAL_SLICE_SEED, REAL_HEAD_SEED = 51_000_000, 61_000_000, 70_000_000, 80_000_000
COHORT_NUMBER = 91_000_000
WORLD = Mixture(thick=0.7, metal=0.05)  # most head CT is read in thick slices
BASELINES = {2: 1, 3: 2, 4: 2, 5: 2}
ALONE = "real head without a bleed"
WORKERS = 2

Networks = Mapping[int, nn.Module]
Score = Callable[[nn.Module, Image], float]


@dataclass(frozen=True, slots=True)
class Sizes:
    slices: int = 2000
    heads: int = 300
    cohort: int = 400
    real_slices: int = 800
    real_heads: int = 90


def score_or_nan(score: Score, network: nn.Module, hu: Image) -> float:
    """A version that raises on a case has no score for it; the failure is counted, not hidden."""
    try:
        return score(network, hu)
    except (RuntimeError, IndexError):
        return float("nan")


def _single(network: nn.Module, hu: Image) -> float:
    return float(slice_probabilities(network, hu)[0])


Case = tuple[Image, Labels]


def read_all(networks: Networks, cases: Iterable[Case], score: Score) -> Scored:
    labels, rows = [], []
    for hu, label in cases:
        labels.append(label)
        rows.append([score_or_nan(score, network, hu) for network in networks.values()])
    table = np.array(rows, dtype=np.float64).T
    return Scored(tuple(labels), dict(zip(networks, table, strict=True)))


def phantom_slices(count: int) -> Iterator[Case]:
    for k in range(count):
        phantom = slice_phantom(SLICE_SEED + k, WORLD)
        yield phantom.hu[None], phantom.labels


def phantom_heads(count: int) -> Iterator[Case]:
    for k in range(count):
        study = study_phantom(HEAD_SEED + k, WORLD)
        yield study.hu, study.labels


def real_cases(
    draw: Callable[..., real_head.RealCase], head: real_head.RealHead, seeds: range
) -> Iterator[Case]:
    """Every third case in thick slices."""
    for seed in seeds:
        case = draw(head, seed, thick=seed % 3 == 0)
        yield case.hu, case.labels


def untouched(networks: Networks, head: real_head.RealHead) -> dict[int, float]:
    """Score of the real head as it is. Its radiology is unknown to us; no bleed is visible."""
    return {
        version: round(score_or_nan(top3_mean, network, head.hu), 4) for version, network in networks.items()
    }


Part = Callable[["Job"], Any]


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker process measures: one set, read by all versions."""

    name: str
    sizes: Sizes
    head: real_head.RealHead | None = None


def networks() -> dict[int, nn.Module]:
    return {version: load_network(version) for version in VERSIONS}


def _slices(job: Job) -> Scored:
    return read_all(networks(), phantom_slices(job.sizes.slices), _single)


def _heads(job: Job) -> Scored:
    return read_all(networks(), phantom_heads(job.sizes.heads), top3_mean)


def _real_slices(job: Job) -> Scored:
    assert job.head is not None
    seeds = range(REAL_SLICE_SEED, REAL_SLICE_SEED + job.sizes.real_slices)
    return read_all(networks(), real_cases(real_head.one_slice, job.head, seeds), _single)


def _real_heads(job: Job) -> Scored:
    assert job.head is not None
    seeds = range(REAL_HEAD_SEED, REAL_HEAD_SEED + job.sizes.real_heads)
    return read_all(networks(), real_cases(real_head.whole_head, job.head, seeds), top3_mean)


def _cohort(job: Job) -> cohort_reading.Readings:
    heads = (cohort_head(COHORT_NUMBER + k) for k in range(job.sizes.cohort))
    built = {version: versions.build(version) for version in VERSIONS}
    return cohort_reading.read(heads, built, reference_of(versions.NAME))


PHANTOMS: Mapping[str, Part] = {"phantom heads": _heads, "phantom slices": _slices, "cohort": _cohort}
REAL: Mapping[str, Part] = {"real-anatomy slices": _real_slices, "real-anatomy heads": _real_heads}


def measure(job: Job) -> Any:
    return {**PHANTOMS, **REAL}[job.name](job)


def evaluate(head: real_head.RealHead | None, sizes: Sizes, former: Mapping[str, Any]) -> dict[str, Any]:
    """The report of all versions. Without the real head, what `former` says of it stays for who has not changed."""
    names = [*PHANTOMS, *(REAL if head is not None else ())]
    with ProcessPoolExecutor(WORKERS, get_context("spawn"), torch.set_num_threads, (1,)) as workers:
        jobs = [Job(name, sizes, head if name in REAL else None) for name in names]
        found = dict(zip(names, workers.map(measure, jobs), strict=True))
    readings = found.pop("cohort")
    sets = {name: found[name] for name in ("phantom slices", *names) if name in found}
    report = {str(version): _version(version, sets) for version in VERSIONS}
    for version in VERSIONS:
        figures = cohort_reading.figures(readings, version, BASELINES.get(version))
        report[str(version)]["cohort"] = figures
    if head is None:
        keep_real(report, former)
    else:
        for version, score in untouched(networks(), head).items():
            report[str(version)][ALONE] = _alone(score, version)
    return report


def keep_real(report: Mapping[str, dict[str, Any]], former: Mapping[str, Any]) -> None:
    """Put what was measured on the real head into the report, for versions that are what they were then."""
    same = {v for v in report if v in former and former[v].get("weights") == report[v]["weights"]}
    for version in same & former.keys():
        now, then = report[version], former[version]
        now["sets"] |= {name: then["sets"][name] for name in REAL if name in then["sets"]}
        now |= {ALONE: then[ALONE]} if ALONE in then else {}
        if str(BASELINES.get(int(version))) in same:
            now["gain"] |= {name: then["gain"][name] for name in REAL if name in then["gain"]}


def _alone(score: float, version: int) -> dict[str, Any]:
    return {"score": score, "flagged": bool(score >= threshold_of(version))}


def _version(version: int, sets: Mapping[str, Scored]) -> dict[str, Any]:
    threshold = threshold_of(version)
    return {
        "weights": weights_digest(version),
        "threshold": threshold,
        "sets": {
            name: figures(scored, version, threshold if name.endswith("heads") else None)
            for name, scored in sets.items()
        },
        "gain": _gains(version, sets) if version in BASELINES else {},
    }


def _gains(version: int, sets: Mapping[str, Scored]) -> dict[str, Any]:
    thresholds = {v: threshold_of(v) for v in (version, BASELINES[version])}
    return {
        name: gains(scored, version, BASELINES[version], thresholds if name.endswith("heads") else None)
        for name, scored in sets.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--head", type=Path, help="Cranium.inv3 or its matrix.dat; fetched from Debian if absent"
    )
    parser.add_argument("--no-head", action="store_true", help="measure on phantoms only")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    former = json.loads((WEIGHTS / "evaluation.json").read_text())
    report = evaluate(None if options.no_head else real_head.load(options.head), Sizes(), former)
    (WEIGHTS / "evaluation.json").write_text(json.dumps(report, indent=1) + "\n")
    write_cards()


if __name__ == "__main__":
    main()
