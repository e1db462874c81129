"""The demo models' reference sets: genuine studies by group, drawn by number. The same number is the same study.

Numbers from 0 on are fitted, those from HELD_OUT on set the limit, and those from FRESH on are for whoever wants to
know how it went (`benchmarks.input_check`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from imaging.samples.catalogue import SAMPLES
from imaging.volume import Volume
from models.input_check.descriptor import DescriptorKind
from models.zoo import brain_volume, chest_film_qa
from models.zoo.ich import versions as ich
from models.zoo.references import brains, films, heads
from models.zoo.references.studies import sample_stack, volume_of

HELD_OUT: Final = 1_000_000
FRESH: Final = 2_000_000

Draw = Callable[[int], Volume]


@dataclass(frozen=True, slots=True)
class ReferenceSet:
    """Genuine studies of one model: `groups` by name draw any number of them; `as_packaged` are the samples."""

    model: str
    kind: DescriptorKind
    groups: Mapping[str, Draw]
    as_packaged: Mapping[str, Volume]


def person_of(group: str) -> str:
    """Groups of the same people begin with the same words, up to a comma."""
    return group.partition(",")[0]


def head_set(cache: Path) -> ReferenceSet:
    sample, head = sample_stack("head-ct", cache), heads.load_real_head(cache)
    return ReferenceSet(
        ich.NAME,
        DescriptorKind.HOUNSFIELD,
        {
            "phantom heads": lambda number: volume_of(heads.phantom_head(number)),
            "one real head, scanned anew": lambda number: volume_of(heads.real_head(head, number)),
            "one real head, its own voxels": lambda number: volume_of(heads.native_head(sample, number)),
        },
        {"head-ct": volume_of(sample)},
    )


def film_set(cache: Path) -> ReferenceSet:
    packaged = SAMPLES["chest-cr"]
    image = packaged.read(packaged.file.read(cache, lambda _: None))
    stored = image.stored[0].astype(np.float32)
    film = films.small(-stored if image.inverted else stored)
    chest = films.chest_of(sample_stack("chest-ct", cache))
    whole = volume_of(films.as_stack(stored), "CR", inverted=image.inverted)
    return ReferenceSet(
        chest_film_qa.NAME,
        DescriptorKind.FILM,
        {
            "one real film": lambda number: volume_of(films.as_stack(films.real_film(film, number)), "CR"),
            "projections of one chest": lambda number: volume_of(
                films.as_stack(films.drr(chest, number)), "CR"
            ),
        },
        {"chest-cr": whole},
    )


def brain_set(cache: Path) -> ReferenceSet:
    stacks = {name: sample_stack(name, cache) for name in ("brain-mr", "brain-mr-colin")}
    coarse = {name: brains.coarse(stack) for name, stack in stacks.items()}
    return ReferenceSet(
        brain_volume.NAME,
        DescriptorKind.RELATIVE,
        {
            "the ICBM average": lambda number: volume_of(brains.brain(coarse["brain-mr"], number), "MR"),
            "one head (Colin27)": lambda number: volume_of(
                brains.brain(coarse["brain-mr-colin"], number), "MR"
            ),
        },
        {name: volume_of(stack, "MR") for name, stack in stacks.items()},
    )


SETS: Final[Mapping[str, Callable[[Path], ReferenceSet]]] = {
    ich.NAME: head_set,
    chest_film_qa.NAME: film_set,
    brain_volume.NAME: brain_set,
}
