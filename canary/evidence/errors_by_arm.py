"""Do more errors fall in the canary than its weight explains? And more than a fixed rate allows?"""

from __future__ import annotations

from typing import Final

from canary.routing_table import BASIS_POINTS
from core.bernoulli import odds_log_factors
from core.mixture import Mixture

RATIOS: Final = (1.5, 2.0, 3.0, 4.0, 6.0, 10.0)  # how many times higher the candidate's odds of failing are


def observe_error(state: Mixture, *, in_canary: bool, weight_bp: int) -> Mixture:
    """Take in one error of either arm, with the canary's weight when its study was drawn.

    If the version makes no difference, the study of an error was drawn for the canary with probability w, however
    the error rate moves in time and whatever the ramp does (Lindon & Malek, NeurIPS 2022). Studies without an error
    say nothing. Nor does an error whose arm was certain: at a weight of 0 or 100 % there is nothing to compare.
    Of one patient's errors give the first only: his later studies are no new draw.
    """
    if not 0 <= weight_bp <= BASIS_POINTS:
        raise ValueError("a weight lies within 0..10000 basis points")
    if weight_bp in (0, BASIS_POINTS):
        return state
    return state.times(odds_log_factors(weight_bp / BASIS_POINTS, RATIOS, hit=in_canary))


def observe_against_slo(state: Mixture, *, failed: bool, slo: float) -> Mixture:
    """Take in one canary study, against "it fails with a probability of at most `slo`"."""
    if not 0.0 < slo < 1.0:
        raise ValueError("a failure rate lies between 0 and 1")
    return state.times(odds_log_factors(slo, RATIOS, hit=failed))
