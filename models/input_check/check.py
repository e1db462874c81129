"""How far does a study lie from the version's reference set? Pure: what follows from it a site decides."""

from __future__ import annotations

from typing import Final

import numpy as np

from imaging.finding import InputCheck, InputVerdict
from imaging.volume import Volume
from models.input_check.descriptor import describe
from models.input_check.reference import Reference

MOST_NAMED: Final = 3
REMARKABLE: Final = 3.0  # plausible differences from the nearest group


def check_input(volume: Volume, reference: Reference) -> InputCheck:
    """The verdict on one study. It names measures, never their values: those are the patient's."""
    vector = describe(volume, reference.kind)
    distances = reference.distances(vector)
    nearest = int(distances.argmin())
    distance = float(distances[nearest])
    is_foreign = not distance <= reference.limit
    return InputCheck(
        verdict=InputVerdict.FOREIGN if is_foreign else InputVerdict.TYPICAL,
        distance=round(distance / reference.limit, 3),
        p_value=round(p_value(distance, reference), 6),
        unusual=_unusual(vector - reference.arrays[0][nearest], reference) if is_foreign else (),
    )


def p_value(distance: float, reference: Reference) -> float:
    """The share of genuine studies that lie as far out, by the held-out ones and this one (split conformal)."""
    farther = sum(held_out >= distance for held_out in reference.calibration)
    return (1 + farther) / (1 + reference.held_out)


def _unusual(
    deviation: np.ndarray[tuple[int], np.dtype[np.float64]], reference: Reference
) -> tuple[str, ...]:
    """The measures that differ most from the nearest group: the first in any case."""
    first, *others = np.argsort(-np.abs(deviation))[:MOST_NAMED]
    named = [first, *(index for index in others if abs(deviation[index]) >= REMARKABLE)]
    return tuple(reference.names[index] for index in named)
