"""Studies as they come to a site, many times over: who reads them and who fails. Arrays are (runs, studies)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STUDIES_PER_DAY = 400
RUNS_AT_ONCE = 100

Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CanaryWorld:
    """`weight_bp` is the canary's share of each study's moment. Studies come evenly over the day.

    `canary_upto` counts the canary studies up to each study, with it.
    """

    in_canary: Flags
    failed: Flags
    weight_bp: Rows
    canary_upto: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class ShadowWorld:
    """Both versions read each study."""

    candidate_failed: Flags
    champion_failed: Flags


def canary_worlds(
    rng: np.random.Generator, runs: int, champion_rate: float, candidate_rate: float, weight_bp: Rows
) -> Iterator[CanaryWorld]:
    for size in _sizes(runs):
        shape = (size, len(weight_bp))
        in_canary = rng.random(shape, dtype=np.float32) < (weight_bp / 10_000).astype(np.float32)
        rate = np.where(in_canary, np.float32(candidate_rate), np.float32(champion_rate))
        failed = rng.random(shape, dtype=np.float32) < rate
        yield CanaryWorld(in_canary, failed, weight_bp, np.cumsum(in_canary, axis=1, dtype=np.int32))


def shadow_worlds(
    rng: np.random.Generator,
    runs: int,
    studies: int,
    champion_rate: float,
    candidate_rate: float,
    shared: float,
) -> Iterator[ShadowWorld]:
    """`shared`: the part of the champion's failures in which the candidate fails too, beyond what chance gives."""
    extra = (candidate_rate - shared * champion_rate) / (1.0 - shared * champion_rate)
    for size in _sizes(runs):
        shape = (size, studies)
        champion = rng.random(shape, dtype=np.float32) < np.float32(champion_rate)
        together = champion & (rng.random(shape, dtype=np.float32) < np.float32(shared))
        yield ShadowWorld(together | (rng.random(shape, dtype=np.float32) < np.float32(extra)), champion)


def differences(
    rng: np.random.Generator, runs: int, studies: int, worse: float, better: float
) -> Iterator[Floats]:
    """-1 where only the candidate is wrong, 1 where only the champion is, else 0."""
    for size in _sizes(runs):
        draw = rng.random((size, studies))
        yield np.where(draw < worse, -1.0, np.where(draw < worse + better, 1.0, 0.0))


def constant(weight_bp: int, days: int) -> Rows:
    return np.full(days * STUDIES_PER_DAY, weight_bp)


def ramp(steps_bp: tuple[int, ...], days_each: int) -> Rows:
    return np.repeat(np.array(steps_bp), days_each * STUDIES_PER_DAY)


def _sizes(runs: int) -> Iterator[int]:
    for first in range(0, runs, RUNS_AT_ONCE):
        yield min(RUNS_AT_ONCE, runs - first)
