"""Learn from a reference set what genuine input looks like: at registration, never where studies are read.

A Gaussian per group with a common covariance (Lee et al., arXiv:1807.03888), over measures of the image instead of a
network's layers: a stored graph gives its outputs only. The limit is the split conformal quantile of held-out
studies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from models.input_check.descriptor import DescriptorKind, Vector, names_of
from models.input_check.reference import Reference

FALSE_REFUSAL_RATE: Final = 0.005
MARGIN: Final = 1.4  # a reference set is never the whole world, and what is foreign lies many times as far
DIGITS: Final = 6


def fit_reference(
    kind: DescriptorKind,
    groups: Mapping[str, Sequence[Vector]],
    held_out: Sequence[Vector],
    *,
    false_refusal_rate: float = FALSE_REFUSAL_RATE,
    margin: float = MARGIN,
) -> Reference:
    """Fit `groups` of descriptors, and set the limit by others that are `held_out`.

    Raises ValueError when too few are held out to show the rate, or a group is empty.
    """
    centres = {group: np.mean(vectors, axis=0) for group, vectors in groups.items()}
    deviations = np.concatenate([np.asarray(vectors) - centres[group] for group, vectors in groups.items()])
    unlimited = Reference(
        kind=kind,
        names=names_of(kind),
        groups=tuple(groups),
        centres=tuple(_rounded(centre) for centre in centres.values()),
        whitening=tuple(_rounded(row) for row in _whitening(deviations)),
        calibration=tuple(0.0 for _ in held_out),
        fitted=len(deviations),
        false_refusal_rate=false_refusal_rate,
        margin=margin,
    )
    distances = sorted(float(unlimited.distances(vector).min()) for vector in held_out)
    return replace(unlimited, calibration=_rounded(np.array(distances)))


def _whitening(deviations: Vector) -> Vector:
    """`(measures, measures)`. The identity is one plausible difference: all measures come in that unit."""
    from sklearn.covariance import LedoitWolf  # only who registers needs it

    shrunk = LedoitWolf(assume_centered=True).fit(deviations).covariance_  # type: ignore[no-untyped-call]
    values, vectors = np.linalg.eigh(shrunk + np.eye(len(shrunk)))
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)


def _rounded(values: Vector) -> tuple[float, ...]:
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)
