"""Measure the four versions, on seeds nobody has seen: `python -m models.zoo.ich.evaluate [--head FILE]`.

Four sets: phantom slices, phantom heads, slices and whole heads of one real CT with inserted bleeds. Writes
`evaluation.json` and the model cards; figures go in as they come out, gains and losses alike. The recipes were
chosen while looking at other seeds (10 to 40 million); these were read once, after all weights were final.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.zoo.ich import real_head
from models.zoo.ich.fields import Image
from models.zoo.ich.model_card import write_cards
from models.zoo.ich.network import TriageNetwork
from models.zoo.ich.phantom import Labels, Mixture, slice_phantom, study_phantom
from models.zoo.ich.scored import Scored, figures, gains
from models.zoo.ich.scoring import slice_probabilities, top3_mean
from models.zoo.ich.trained import VERSIONS, WEIGHTS, load_network, threshold_of

SLICE_SEED, HEAD_SEED, REAL_SLICE_SEED, REAL_HEAD_SEED = 50_000_000, 60_000_000, 70_000_000, 80_000_000
WORLD = Mixture(thick=0.7, metal=0.05)  # most head CT is read in thick slices
BASELINES = {2: 1, 3: 2, 4: 2}

Networks = Mapping[int, nn.Module]
Score = Callable[[nn.Module, Image], float]


@dataclass(frozen=True, slots=True)
class Sizes:
    slices: int = 2000
    heads: int = 300
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


def evaluate(head: real_head.RealHead, sizes: Sizes) -> dict[str, Any]:
    networks: dict[int, TriageNetwork] = {version: load_network(version) for version in VERSIONS}
    slice_seeds = range(REAL_SLICE_SEED, REAL_SLICE_SEED + sizes.real_slices)
    head_seeds = range(REAL_HEAD_SEED, REAL_HEAD_SEED + sizes.real_heads)
    sets = {
        "phantom slices": read_all(networks, phantom_slices(sizes.slices), _single),
        "phantom heads": read_all(networks, phantom_heads(sizes.heads), top3_mean),
        "real-anatomy slices": read_all(
            networks, real_cases(real_head.one_slice, head, slice_seeds), _single
        ),
        "real-anatomy heads": read_all(
            networks, real_cases(real_head.whole_head, head, head_seeds), top3_mean
        ),
    }
    alone = untouched(networks, head)
    return {str(version): _version(version, sets, alone[version]) for version in networks}


def _version(version: int, sets: Mapping[str, Scored], alone: float) -> dict[str, Any]:
    threshold = threshold_of(version)
    return {
        "threshold": threshold,
        "sets": {
            name: figures(scored, version, threshold if name.endswith("heads") else None)
            for name, scored in sets.items()
        },
        "gain": _gains(version, sets) if version in BASELINES else {},
        "real head without a bleed": {"score": alone, "flagged": bool(alone >= threshold)},
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
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    report = evaluate(real_head.load(options.head), Sizes())
    (WEIGHTS / "evaluation.json").write_text(json.dumps(report, indent=1) + "\n")
    write_cards()


if __name__ == "__main__":
    main()
