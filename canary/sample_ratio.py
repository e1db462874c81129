"""Is the split what we asked for? A test that may be looked at after each study."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from canary.routing_table import BASIS_POINTS
from canary.verdict import Verdict
from core.bernoulli import odds_log_factors
from core.mixture import Mixture, log10_mean, mean_log10

ALPHA: Final = 0.001
_RATIOS: Final = (0.25, 0.5, 0.8, 1.25, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Evidence against the stated weight of one arm: `log_e`, one natural log of an e-value per rate ratio.

    Store it after each update; a restart then changes nothing.
    """

    log_e: tuple[float, ...] = (0.0,) * len(_RATIOS)
    exposures: int = 0
    chosen: int = 0

    @property
    def log10_e(self) -> float:
        """The evidence as log10 of the mean of the e-values, itself an e-value."""
        return log10_mean(self.log_e)


def observe(state: SampleRatio, *, chosen: bool, weight_bp: int) -> SampleRatio:
    """Take in one newly drawn identity: whether it went to the arm, and the arm's weight at that moment.

    Under the null the arm is chosen with probability w, whatever w was at the time: the e-process holds
    through ramps, pauses and restarts (Lindon & Malek, NeurIPS 2022). Count an identity once: its later studies are
    no new draw.
    """
    if not 0 <= weight_bp <= BASIS_POINTS:
        raise ValueError("a weight lies within 0..10000 basis points")
    factors = odds_log_factors(weight_bp / BASIS_POINTS, _RATIOS, hit=chosen)
    log_e = Mixture(state.log_e).times(factors).log_e
    return SampleRatio(log_e, state.exposures + 1, state.chosen + chosen)


def observe_arms(
    states: Mapping[str, SampleRatio], arm: str, weights_bp: Mapping[str, int]
) -> dict[str, SampleRatio]:
    """The states of all arms of a test after one draw hit `arm`; `weights_bp` are their shares at that moment."""
    return {
        name: observe(states.get(name, SampleRatio()), chosen=name == arm, weight_bp=weight)
        for name, weight in weights_bp.items()
    }


def observe_draws(
    states: Mapping[str, SampleRatio], draws: Iterable[tuple[str, Mapping[str, int]]]
) -> Mapping[str, SampleRatio]:
    """Many draws in their order: each with the arm that it hit and the weights of that moment, in basis points."""
    for arm, weights_bp in draws:
        states = observe_arms(states, arm, weights_bp)
    return states


@dataclass(frozen=True, slots=True)
class RatioVerdict:
    verdict: Verdict
    log10_e: float
    reason: str


def judge_ratio(states: Iterable[SampleRatio], alpha: float = ALPHA) -> RatioVerdict:
    """Failed once the mean of the arms' e-values reaches 1/alpha: a false alarm, ever, has a chance of alpha.

    (Ville's inequality; a mean of e-values is one.) Without exposures it is inconclusive.
    """
    exposed = [s for s in states if s.exposures]
    if not exposed:
        return RatioVerdict(Verdict.INCONCLUSIVE, 0.0, "nobody has been drawn yet")
    log10_e = mean_log10(s.log10_e for s in exposed)
    if math.isinf(log10_e):
        return RatioVerdict(Verdict.FAILED, log10_e, "a study went where its weight allows none")
    limit = -math.log10(alpha)
    evidence = f"log10 E = {log10_e:.1f}, the limit is {limit:.1f}"
    if log10_e >= limit:
        return RatioVerdict(Verdict.FAILED, log10_e, f"the split is not the weight: {evidence}")
    return RatioVerdict(Verdict.SUCCESSFUL, log10_e, f"no mismatch so far: {evidence}")
