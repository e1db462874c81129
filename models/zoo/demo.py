"""All published weights that the demo models need, fetched and converted once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from models.zoo.convert_deepbet import convert_deepbet
from models.zoo.convert_lungs import convert_lungs

Progress = Callable[[str], None]


def fetch_weights(cache: Path, out: Path, progress: Progress) -> None:
    """Make sure that `out` holds what `brain_volume.build` and `chest_film_qa.build` load.

    Calling it again is harmless: weights that are there stay. Raises WeightsUnavailable with pip's own reason.
    """
    progress("weights of the brain volume model (deepbet, 10 MB)")
    convert_deepbet(cache, out)
    progress("weights of the chest film check (lungs-finder, 32 kB)")
    convert_lungs(cache, out)
