"""Studies that a version must not answer, by set: real ones, and genuine studies that went wrong on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage

from imaging.samples.images import dicom_film
from imaging.samples.packages import PackagedFile, PythonPackage
from imaging.samples.synthetic import head_phantom
from imaging.volume import Volume
from models.zoo.references import brains, films
from models.zoo.references.sets import FRESH, ReferenceSet, person_of
from models.zoo.references.studies import Stack, field_of_view, part_of, resized, sample_stack, volume_of

ndimage: Any = scipy.ndimage

Draw = Callable[[int], Volume]
LEG = PackagedFile(
    PythonPackage("pydicom-data", "1.0.0"),
    "data_store/data/RG3_UNCR.dcm",
    "6babfc42dd404213e1758d6dbb93648c248783cc23f593103fff4295c3374dfb",
)


def of_heads(genuine: ReferenceSet, cache: Path) -> Mapping[str, Draw]:
    """What is not the CT of a head, and heads whose numbers or order went wrong."""
    chest, mr = (
        sample_stack("chest-ct", cache),
        [sample_stack(n, cache) for n in ("brain-mr", "brain-mr-colin")],
    )
    return {
        "chest CT": lambda number: volume_of(_other_scan(chest, number, -1000.0)),
        "MR as CT": lambda number: volume_of(_mr_as_ct(mr[number % 2], number)),
        **_without_anatomy(),
        "cartoon of a head": _cartoon,
        **_changed(
            genuine, {"intercept lost": lambda x: x + 1024, "rescale lost, padding 0": _padded_stored}
        ),
        **_changed(genuine, {"slope lost (half)": lambda x: 0.5 * x, "8 bits": lambda x: (x + 1024) / 16}),
        **_changed(
            genuine, {"inverted": lambda x: -x, "inverted about its range": lambda x: x.min() + x.max() - x}
        ),
        **_turned(genuine),
    }


def of_films(genuine: ReferenceSet, cache: Path) -> Mapping[str, Draw]:
    """What is no frontal chest film, and such films the wrong way round."""
    chest, head = sample_stack("chest-ct", cache), sample_stack("head-ct", cache)
    whole = films.chest_of(chest)
    leg = dicom_film(LEG.read(cache, lambda _: None))
    leg_film = films.small(leg.stored[0].astype(np.float32) * (-1 if leg.inverted else 1))
    return {
        "lower leg": lambda number: _film(films.real_film(leg_film, number)),
        "lateral projection of the chest": lambda number: _film(_lateral(whole, number)),
        "projection of a head": lambda number: _film(_skull(head, number)),
        "slice of a chest CT": lambda number: _film(_slice(chest, number)),
        "slice of a head CT": lambda number: _film(_slice(head, number)),
        **_without_anatomy(layout="film"),
        **_films_changed(genuine),
    }


def of_brains(genuine: ReferenceSet, cache: Path) -> Mapping[str, Draw]:
    """What is not the MR of a head, and such MRs the wrong way round."""
    chest, head = sample_stack("chest-ct", cache), sample_stack("head-ct", cache)
    return {
        "chest CT": lambda number: volume_of(_other_scan(chest, number, -1000.0), "MR"),
        "head CT": lambda number: volume_of(_other_scan(head, number, -1000.0), "MR"),
        **_without_anatomy("MR"),
        **_changed(genuine, {"inverted about its range": lambda x: x.min() + x.max() - x}, "MR"),
        **_turned(genuine, "MR"),
    }


# ---- sets


def _other_scan(stack: Stack, number: int, outside: float) -> Stack:
    """A real study in another scan: less of it, another size, field of view and noise."""
    rng = np.random.default_rng((number, 29))
    stack = resized(part_of(rng, stack, least=0.4), float(rng.uniform(0.85, 1.1)))
    noisy = stack.voxels + rng.normal(0, rng.uniform(0, 10), (len(stack.voxels), 1, 1)).astype(np.float32)
    return field_of_view(rng, Stack(noisy, stack.spacing_mm), outside, least=0.6)


def _mr_as_ct(mr: Stack, number: int) -> Stack:
    """As a converter that forgets the modality leaves it: as it is, or with a CT's intercept, in several scales."""
    rng = np.random.default_rng((number, 31))
    stack = brains.brain(brains.coarse(mr), number)
    intercept = float(rng.choice([0.0, -1024.0, -1000.0]))
    return Stack(stack.voxels + intercept, stack.spacing_mm)


def _without_anatomy(modality: str = "CT", layout: str = "stack") -> dict[str, Draw]:
    """Noise of several kinds, and nothing at all."""

    def made(number: int, voxels: Callable[[np.random.Generator, tuple[int, int, int]], Any]) -> Volume:
        rng = np.random.default_rng((number, 37))
        shape = (1, 256, 256) if layout == "film" else (int(rng.integers(12, 48)), 128, 128)
        stack = Stack(np.asarray(voxels(rng, shape), np.float32), (5.0, 2.0, 2.0))
        return volume_of(stack, "CR" if layout == "film" else modality)

    def noise(rng: np.random.Generator, shape: tuple[int, int, int]) -> Any:
        if rng.random() < 0.5:
            return rng.uniform(-1024, 3071, shape)
        return rng.normal(rng.uniform(-800, 100), rng.uniform(20, 800), shape)

    def smooth(rng: np.random.Generator, shape: tuple[int, int, int]) -> Any:
        field = ndimage.gaussian_filter(rng.standard_normal(shape), (0, 6, 6) if layout == "film" else 3)
        return rng.uniform(100, 1000) * field / field.std()

    return {
        "noise": lambda number: made(number, noise),
        "smooth noise": lambda number: made(number, smooth),
        "constant": lambda number: made(number, lambda rng, shape: np.full(shape, rng.uniform(-1024, 3071))),
    }


def _cartoon(number: int) -> Volume:
    """An ellipsoid of one density in a shell: it looks like a head to a rule, and to nobody else."""
    rng = np.random.default_rng((number, 41))
    slices, size = int(rng.integers(10, 40)), int(rng.choice([64, 128]))
    hu = head_phantom(f"cartoon-{number}", slices, size)
    return volume_of(Stack(hu.astype(np.float32), (180 / slices, 240 / size, 240 / size)))


def _padded_stored(hu: Any) -> Any:
    """Stored values of a scanner that pads with 0 and counts from -1024."""
    return np.where(hu <= -990, 0, hu + 1024)


def _changed(
    genuine: ReferenceSet, changes: Mapping[str, Callable[[Any], Any]], modality: str = "CT"
) -> dict[str, Draw]:
    return {name: _with(genuine, change, modality) for name, change in changes.items()}


TURNS: Mapping[str, Callable[[Any], Any]] = {
    "upside down": lambda x: x[::-1],
    "back to front": lambda x: x[:, ::-1],
    "turned by 90 degrees": lambda x: np.rot90(x, axes=(1, 2)),
    "mirrored, left to right": lambda x: x[:, :, ::-1],
}


def _turned(genuine: ReferenceSet, modality: str = "CT") -> dict[str, Draw]:
    """The voxels turned around under a header that stays: the people apart, for some have no front to speak of."""
    people = sorted({person_of(name) for name in genuine.groups})
    return {
        f"{turn} ({person})": _with(_only(genuine, person), change, modality)
        for turn, change in TURNS.items()
        for person in people
    }


def _only(genuine: ReferenceSet, person: str) -> ReferenceSet:
    groups = {name: draw for name, draw in genuine.groups.items() if person_of(name) == person}
    return replace(genuine, groups=groups)


def _with(genuine: ReferenceSet, change: Callable[[Any], Any], modality: str) -> Draw:
    """Genuine fresh studies of all groups in turn, changed."""
    draws = list(genuine.groups.values())

    def draw(number: int) -> Volume:
        volume = draws[number % len(draws)](FRESH + number)
        voxels = np.ascontiguousarray(change(volume.voxels.astype(np.float32)))
        return volume_of(Stack(voxels, volume.geometry.spacing_mm), modality)

    return draw


def _film(film: Any) -> Volume:
    return volume_of(films.as_stack(film), "CR")


def _films_changed(genuine: ReferenceSet) -> dict[str, Draw]:
    """A film's rows run from head to foot: they are the second axis of its stack."""
    return _changed(
        genuine,
        {
            "inverted film": lambda x: x.max() + x.min() - x,
            "upside-down film": TURNS["back to front"],
            "turned film": TURNS["turned by 90 degrees"],
            "mirrored film": TURNS["mirrored, left to right"],
        },
        "CR",
    )


def _lateral(chest: films.Chest, number: int) -> Any:
    rng = np.random.default_rng((number, 43))
    turned = replace(chest, attenuation=np.rot90(chest.attenuation, int(rng.choice([1, 3])), (1, 2)))
    return films.drr(turned, number)


def _skull(head: Stack, number: int) -> Any:
    chest = films.Chest(np.clip(1 + head.voxels / 1000, 0, None).astype(np.float32))
    film = ndimage.zoom(films.projected(chest), (head.spacing_mm[0] / head.spacing_mm[1], 1), order=1)
    return films.exposed(np.random.default_rng((number, 47)), films.small(film))


def _slice(stack: Stack, number: int) -> Any:
    rng = np.random.default_rng((number, 53))
    plane = stack.voxels[int(rng.integers(len(stack.voxels) // 5, 4 * len(stack.voxels) // 5))]
    return films.exposed(rng, films.small(np.clip(plane, -1000, 1000)))
