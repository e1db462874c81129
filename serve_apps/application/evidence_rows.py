"""From rows of draws to what metrics take. Pure: the same rows in the same order give the same observations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from canary.evidence.metric import NEEDS_CANARY
from canary.evidence.observations import AssignedStudy
from canary.paired_truth import Stratum
from canary.routing_table import CANARY
from ledger.rollout_feed import DrawnStudy

OF_DRAWS: Final = NEEDS_CANARY


def assigned_studies(draws: Iterable[DrawnStudy], *, candidate: str, stable: str) -> Iterator[AssignedStudy]:
    """Drawn studies of the two versions that are compared; a third one's say nothing of them."""
    for drawn in draws:
        if drawn.version == (candidate if drawn.in_canary else stable):
            yield AssignedStudy(
                in_canary=drawn.in_canary,
                failed=drawn.failed,
                weight_bp=drawn.weights_bp[CANARY],
                strata=labels_of(drawn.stratum),
            )


def labels_of(stratum: Stratum) -> tuple[str, ...]:
    """As metrics name strata; what is not known is left out."""
    parts = (("site", stratum.site), ("modality", stratum.modality), ("scanner", stratum.scanner))
    return tuple(f"{dimension}={value}" for dimension, value in parts if value)
