"""From counts of studies to the state of a metric: the product's own factors, each taken as often as it came.

It is the state after the same studies one by one, up to rounding, with one difference: the evidence of harm is at its
highest at the end of a stretch, and not within it. Strata are not told apart: all studies are of the stratum
`unknown`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from canary.evidence.errors_by_arm import RATIOS
from canary.evidence.metric import Evidence, MetricKind, MetricSpec, MetricState
from canary.evidence.metric_state import harm_log10_e, start
from canary.evidence.moments import Moments
from canary.evidence.paired_difference import harm_log_factors, non_inferiority_log_factors
from canary.routing_table import BASIS_POINTS
from canary.simulation.studies import Answered, Counts, Pairs
from core.bernoulli import odds_log_factors
from core.mixture import Mixture

COUNTED: Final = frozenset(
    {
        MetricKind.CANARY_FAILURES,
        MetricKind.FAILURES_OVER_SLO,
        MetricKind.SHADOW_FAILURES,
        MetricKind.SENSITIVITY,
        MetricKind.SPECIFICITY,
    }
)
_DIFFERENCES: Final = (-1.0, 1.0, 0.0)  # only the candidate is wrong, only the champion is, neither alone
Term = tuple[tuple[float, ...], int]


class CountedMetric:
    """One metric of a run. Raises ValueError for a kind of which the simulation has no studies."""

    def __init__(self, spec: MetricSpec) -> None:
        if spec.kind not in COUNTED:
            raise ValueError(f"there are no studies for {spec.kind}")
        self.spec = spec
        self.state = start(spec)
        self._harm = tuple(harm_log_factors(one, tolerance=spec.tolerance) for one in _DIFFERENCES)
        margin = spec.margin
        self._shown = (
            None
            if margin is None
            else tuple(non_inferiority_log_factors(one, margin=margin) for one in _DIFFERENCES)
        )

    def take(self, answered: Answered, pairs: Pairs, weight_bp: int, truths: tuple[Counts, Counts]) -> None:
        """Take in a stretch: what was answered at that weight, what both read, and the truths that came in it."""
        match self.spec.kind:
            case MetricKind.CANARY_FAILURES:
                self._by_arm(answered, weight_bp)
            case MetricKind.FAILURES_OVER_SLO:
                self._against_slo(answered)
            case MetricKind.SHADOW_FAILURES:
                failed = pairs.candidate_failed, pairs.champion_failed, pairs.both_failed
                self._paired(pairs.read - sum(failed), *failed)
            case MetricKind.SENSITIVITY:
                self._paired(*map(int, truths[0]))
            case _:
                self._paired(*map(int, truths[1]))

    def _paired(self, both_right: int, candidate_wrong: int, champion_wrong: int, both_wrong: int) -> None:
        counts = (candidate_wrong, champion_wrong, both_right + both_wrong)
        if not any(counts):
            return
        seen = self.state.overall
        shown = seen.non_inferiority
        if self._shown is not None:
            shown = _times(shown, zip(self._shown, counts, strict=True))
        self._keep(
            replace(
                seen,
                harm=_times(seen.harm, zip(self._harm, counts, strict=True)),
                non_inferiority=shown,
                observed=seen.observed + sum(counts),
                candidate_events=seen.candidate_events + candidate_wrong + both_wrong,
                champion_events=seen.champion_events + champion_wrong + both_wrong,
                differences=_with(seen.differences, *counts),
            )
        )

    def _by_arm(self, answered: Answered, weight_bp: int) -> None:
        """Two arms draw while the canary has a weight; where the arm is certain nothing is learnt."""
        seen, hits, misses = self.state.overall, answered.canary_failed, answered.champion_failed
        if not weight_bp or not answered.canary + misses:
            return
        harm = seen.harm
        if weight_bp < BASIS_POINTS and hits + misses:
            weight = weight_bp / BASIS_POINTS
            hit, miss = (odds_log_factors(weight, RATIOS, hit=is_hit) for is_hit in (True, False))
            harm = _times(harm, ((hit, hits), (miss, misses)))
        self._keep(
            replace(
                seen,
                harm=harm,
                observed=seen.observed + answered.canary,
                candidate_events=seen.candidate_events + hits,
                champion_events=seen.champion_events + misses,
                expected_bp=seen.expected_bp + weight_bp * (hits + misses),
            )
        )

    def _against_slo(self, answered: Answered) -> None:
        if self.spec.slo is None or not answered.canary:
            return
        seen, failed = self.state.overall, answered.canary_failed
        hit, miss = (odds_log_factors(self.spec.slo, RATIOS, hit=is_hit) for is_hit in (True, False))
        self._keep(
            replace(
                seen,
                harm=_times(seen.harm, ((hit, failed), (miss, answered.canary - failed))),
                observed=seen.observed + answered.canary,
                candidate_events=seen.candidate_events + failed,
            )
        )

    def _keep(self, overall: Evidence) -> None:
        strata = tuple((f"{dimension}=unknown", overall) for dimension in self.spec.strata)
        state = MetricState(overall, strata, self.state.harm_peak)
        self.state = replace(state, harm_peak=max(state.harm_peak, harm_log10_e(self.spec, state)))


def _times(mixture: Mixture, terms: Iterable[Term]) -> Mixture:
    """The mixture after factors that each came so many times."""
    log_e = list(mixture.log_e)
    for factors, count in terms:
        if count:
            log_e = [old + count * step for old, step in zip(log_e, factors, strict=True)]
    return Mixture(tuple(log_e))


def _with(moments: Moments, worse: int, better: int, equal: int) -> Moments:
    """With so many differences of -1, 1 and 0 more, which are whole numbers: sums of them are exact."""
    count = moments.count + worse + better + equal
    total = moments.mean * moments.count + better - worse
    squares = moments.squares + moments.count * moments.mean**2 + better + worse
    mean = total / count
    return Moments(count, mean, max(0.0, squares - count * mean**2))
