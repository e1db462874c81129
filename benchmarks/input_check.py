"""How many genuine studies does the input check refuse, and how many foreign ones does it let pass?

    python -m benchmarks.input_check [--cache DIR] [--studies N]

Genuine studies are fresh draws that were neither fitted nor held out, and the samples as packaged; then, for honesty,
each person by a reference that was fitted to the other people alone. Goals: at most 1 % of genuine and at least 99 %
of foreign studies refused, each set for itself.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import foreign_inputs
from imaging.volume import Volume
from models.input_check.check import check_input
from models.input_check.reference import Reference
from models.zoo.ich import versions as ich
from models.zoo.ich.phantom import study_phantom
from models.zoo.references import reference_of
from models.zoo.references.fit import fitted
from models.zoo.references.sets import FRESH, SETS, ReferenceSet, person_of
from models.zoo.references.studies import Stack, volume_of

MOST_GENUINE, LEAST_FOREIGN = 0.01, 0.99
FOREIGN = {
    "ich-triage": foreign_inputs.of_heads,
    "chest-film-qa": foreign_inputs.of_films,
    "brain-volume": foreign_inputs.of_brains,
}
TIMED_SHAPE = (24, 256, 256)


@dataclass(frozen=True, slots=True)
class Refused:
    """One set of studies: how many of them were refused, and how far they lay, in limits."""

    name: str
    refused: int
    distances: tuple[float, ...]

    @property
    def share(self) -> float:
        return self.refused / len(self.distances)

    def line(self, *, is_genuine: bool) -> str:
        low, high = wilson(self.refused, len(self.distances))
        middle = float(np.median(self.distances))
        worst = max(self.distances) if is_genuine else min(self.distances)
        is_reached = self.share <= MOST_GENUINE if is_genuine else self.share >= LEAST_FOREIGN
        return (
            f"| {self.name} | {len(self.distances)} | {self.share:.1%} ({low:.1%} to {high:.1%}) | {middle:.2f} "
            f"| {worst:.2f} | {'reached' if is_reached else 'not reached'} |"
        )


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z, share = 1.96, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def measured(name: str, volumes: Iterable[Volume], reference: Reference) -> Refused:
    checks = [check_input(volume, reference) for volume in volumes]
    return Refused(
        name, sum(check.is_foreign for check in checks), tuple(check.distance or 0.0 for check in checks)
    )


def genuine(reference_set: ReferenceSet, reference: Reference, studies: int) -> list[Refused]:
    rows = [
        measured(name, (draw(number) for number in range(FRESH, FRESH + studies)), reference)
        for name, draw in reference_set.groups.items()
    ]
    if reference_set.model == ich.NAME:
        rows.append(
            measured("phantom heads as evaluated", (_evaluated(n) for n in range(studies // 4)), reference)
        )
    return [*rows, measured("samples as packaged", reference_set.as_packaged.values(), reference)]


def _evaluated(number: int) -> Volume:
    """A whole head as `models.zoo.ich.evaluate` draws them: every slice of the scan."""
    study = study_phantom(FRESH + number)
    return volume_of(Stack(study.hu, study.spacing_mm))


def strangers(reference_set: ReferenceSet, studies: int) -> list[Refused]:
    """Each person by a reference that was fitted to the other people alone: what a stranger has to expect."""
    rows = []
    for person in sorted({person_of(name) for name in reference_set.groups}):
        groups = reference_set.groups
        others = {name: draw for name, draw in groups.items() if person_of(name) != person}
        reference = fitted(
            replace(reference_set, groups=others), count=80, held_out=math.ceil(200 / len(others))
        )
        draws = [draw for name, draw in groups.items() if person_of(name) == person]
        volumes = (draws[number % len(draws)](FRESH + number) for number in range(studies))
        rows.append(measured(f"{person}, by the other people alone", volumes, reference))
    return rows


def milliseconds(reference: Reference, repeats: int = 30) -> float:
    """Median CPU time of a check of one study of TIMED_SHAPE: what else the machine does is not counted."""
    rng = np.random.default_rng(1)
    shape = (1, 1800, 1800) if reference.kind.startswith("film") else TIMED_SHAPE
    volume = volume_of(Stack(rng.normal(0, 300, shape).astype(np.float32), (5.0, 0.9, 0.9)))
    times = []
    for _ in range(repeats):
        started = time.thread_time()
        check_input(volume, reference)
        times.append((time.thread_time() - started) * 1e3)
    return float(np.median(times))


def report(model: str, cache: Path, studies: int, say: Callable[[str], None]) -> None:
    reference_set, reference = SETS[model](cache), reference_of(model)
    fitted_to = f"{reference.fitted} fitted, {reference.held_out} held out, {len(reference.names)} measures"
    rate, quantile = f"{reference.false_refusal_rate:.1%}", f"{reference.quantile:.2f}"
    say(f"\n## {model}\n\n{fitted_to}. At most {rate} lies beyond the quantile {quantile};")
    say(f"the limit is {reference.margin:g} times that. Distances are in limits.")
    say(f"A check takes {milliseconds(reference):.2f} ms of one core.")
    head = "refused (95 %) | median distance | {} | goal |\n|---|---|---|---|---|---|"
    say(f"\n| genuine | n | {head.format('farthest')}")
    for row in genuine(reference_set, reference, studies):
        say(row.line(is_genuine=True))
    for row in strangers(reference_set, studies):
        say(row.line(is_genuine=True))
    say(f"\n| foreign | n | {head.format('nearest')}")
    for name, draw in _foreign(model, reference_set, cache).items():
        say(measured(name, (draw(number) for number in range(studies)), reference).line(is_genuine=False))


def _foreign(model: str, reference_set: ReferenceSet, cache: Path) -> Mapping[str, Callable[[int], Volume]]:
    return FOREIGN[model](reference_set, cache)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, help="folder that keeps the downloaded packages")
    parser.add_argument("--studies", type=int, default=200, help="of each set")
    parser.add_argument("--models", nargs="+", choices=sorted(SETS), default=sorted(SETS))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            report(
                model, options.cache or Path(folder), options.studies, lambda text: print(text, flush=True)
            )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
