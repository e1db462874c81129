"""`python -m models.zoo.references.fit --cache DIR`: draw the reference sets and fit them; writes `<model>.json`.

Minutes, for the people have to be computed. The samples are fetched into the cache.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from models.input_check.descriptor import Vector, describe
from models.input_check.fit import fit_reference
from models.input_check.reference import Reference, reference_to_json
from models.zoo.references.sets import HELD_OUT, SETS, ReferenceSet

HERE: Final = Path(__file__).parent
FITTED, CALIBRATED = 150, 150  # of each group


def fitted(reference_set: ReferenceSet, count: int = FITTED, held_out: int = CALIBRATED) -> Reference:
    """Fit a set: `count` studies of each group, and `held_out` more that set the limit."""
    groups = {name: described(reference_set, name, range(count)) for name in reference_set.groups}
    others = range(HELD_OUT, HELD_OUT + held_out)
    calibration = [v for name in reference_set.groups for v in described(reference_set, name, others)]
    return fit_reference(reference_set.kind, groups, calibration)


def described(reference_set: ReferenceSet, group: str, numbers: Sequence[int]) -> list[Vector]:
    draw = reference_set.groups[group]
    return [describe(draw(number), reference_set.kind) for number in numbers]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the downloaded packages")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--models", nargs="+", choices=sorted(SETS), default=sorted(SETS))
    options = parser.parse_args(arguments)
    for model in options.models:
        reference = fitted(SETS[model](options.cache))
        path = options.out / f"{model}.json"
        path.write_text(json.dumps(reference_to_json(reference)) + "\n")
        print(
            f"{model}: {reference.fitted} fitted, {reference.held_out} held out, limit {reference.limit:.2f}"
        )


if __name__ == "__main__":
    main()
