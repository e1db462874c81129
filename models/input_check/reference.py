"""What a version's reference set looks like, fitted once: stored with the artifact, and signed with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from core.codec import InvalidDocument, from_plain, to_plain
from core.errors import ModelRefused
from models.input_check.descriptor import DescriptorKind, Vector, names_of

Matrix = npt.NDArray[np.float64]
SCHEMA: Final = 1


@dataclass(frozen=True)
class Reference:
    """Where genuine input lies, and how far from there it may lie.

    `centres` are the means of the reference set's groups, each `(measures,)` in units of a plausible difference;
    `whitening`, `(measures, measures)`, is the inverse square root of the groups' common covariance, shrunk
    (Ledoit, Wolf 2004) and widened by one plausible difference. `calibration` are the distances of `held_out` genuine
    studies that were not fitted, ascending. At most `false_refusal_rate` of genuine studies exchangeable with those
    lies beyond their conformal quantile (Vovk 2005); the limit is `margin` times as far.
    """

    kind: DescriptorKind
    names: tuple[str, ...]
    groups: tuple[str, ...]
    centres: tuple[tuple[float, ...], ...]
    whitening: tuple[tuple[float, ...], ...]
    calibration: tuple[float, ...]
    fitted: int
    false_refusal_rate: float
    margin: float
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        size = len(self.names)
        shapes = {len(row) for row in (*self.centres, *self.whitening)}
        if self.schema != SCHEMA or shapes != {size} or len(self.whitening) != size:
            raise ValueError("the reference's parts do not fit each other")
        if len(self.groups) != len(self.centres) or not self.centres or self.margin < 1:
            raise ValueError("a reference has named groups and a margin of at least 1")
        if not 0 < self.false_refusal_rate < 1 or self.held_out < 1 / self.false_refusal_rate - 1:
            raise ValueError("so few held-out studies cannot show so low a false-refusal rate")

    @property
    def held_out(self) -> int:
        return len(self.calibration)

    @property
    def quantile(self) -> float:
        """The distance beyond which at most `false_refusal_rate` of genuine studies lies."""
        rank = int(np.ceil((self.held_out + 1) * (1 - self.false_refusal_rate)))
        return sorted(self.calibration)[rank - 1]

    @property
    def limit(self) -> float:
        return self.margin * self.quantile

    @cached_property
    def arrays(self) -> tuple[Matrix, Matrix]:
        return np.array(self.centres), np.array(self.whitening)

    def distances(self, vector: Vector) -> Vector:
        """Mahalanobis distance of one descriptor to each group's centre, `(groups,)`."""
        centres, whitening = self.arrays
        return np.asarray(np.linalg.norm((vector - centres) @ whitening.T, axis=1))


def reference_to_json(reference: Reference) -> dict[str, Any]:
    plain: dict[str, Any] = to_plain(reference)
    return plain


def reference_from_json(plain: Mapping[str, Any]) -> Reference:
    """The reference that `reference_to_json` wrote. Raises ModelRefused, also for measures unknown here."""
    try:
        reference = from_plain(Reference, plain)
    except InvalidDocument as error:
        raise ModelRefused(f"the version's input reference is {error}") from None
    if reference.names != names_of(reference.kind):
        raise ModelRefused("the version's input reference is of other measures than are taken here")
    return reference
