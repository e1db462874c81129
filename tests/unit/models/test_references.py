"""The demo models' committed references know the studies that the models are for, and others not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imaging.samples.catalogue import SAMPLES
from imaging.samples.synthetic import head_phantom
from imaging.volume import Volume
from models.input_check.check import check_input
from models.input_check.descriptor import kind_for
from models.spec import ModelSpec
from models.zoo import brain_volume, chest_film_qa
from models.zoo.ich import versions as ich
from models.zoo.references import films, reference_of
from models.zoo.references.heads import phantom_head
from models.zoo.references.sets import FRESH
from models.zoo.references.studies import Stack, volume_of

HEADS, FILMS = reference_of(ich.NAME), reference_of(chest_film_qa.NAME)


@pytest.mark.parametrize(
    "spec", [ich.build(1)[1], brain_volume.SPEC, chest_film_qa.SPEC], ids=lambda s: s.name
)
def test_each_demo_model_has_a_reference_of_the_kind_that_it_reads(spec: ModelSpec) -> None:
    reference = reference_of(spec.name)
    assert reference.kind is kind_for(spec.input)
    assert reference.false_refusal_rate <= 0.01
    assert reference.held_out >= 300


@cache
def fresh_head(number: int) -> Stack:
    return phantom_head(FRESH + number)


def test_people_whom_the_reference_never_saw_pass() -> None:
    assert [n for n in range(6) if check_input(volume_of(fresh_head(n)), HEADS).is_foreign] == []


CHANGES: dict[str, Callable[[Any], Any]] = {
    "noise": lambda hu: np.random.default_rng(1).normal(0, 300, hu.shape),
    "constant": lambda hu: np.full_like(hu, 40),
    "intercept lost": lambda hu: hu + 1024,
    "slope lost": lambda hu: hu / 2,
    "inverted": lambda hu: -hu,
    "upside down": lambda hu: hu[::-1],
    "as bright as an MR": lambda hu: np.clip((hu + 100) / 2, 0, 255),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_head_whose_numbers_or_order_went_wrong_does_not(name: str) -> None:
    for number in range(3):
        head = fresh_head(number)
        broken = Stack(CHANGES[name](head.voxels), head.spacing_mm)
        assert check_input(volume_of(broken), HEADS).is_foreign


def test_a_cartoon_of_a_head_does_not() -> None:
    hu = head_phantom("cartoon", 24, 64).astype(np.float32)
    assert check_input(volume_of(Stack(hu, (7.5, 3.75, 3.75))), HEADS).is_foreign


@cache
def film() -> Any:
    image = SAMPLES["chest-cr"].read(SAMPLES["chest-cr"].file.read(Path(), print))
    assert image.inverted
    return image.stored[0].astype(np.float32)


def as_film(pixels: Any) -> Volume:
    return volume_of(films.as_stack(pixels), "CR", inverted=True)


def test_a_real_chest_film_passes() -> None:
    assert not check_input(as_film(film()), FILMS).is_foreign


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("inverted", lambda pixels: -pixels),
        ("upside down", lambda pixels: pixels[::-1]),
        ("on its side", lambda pixels: pixels.T),
        ("noise", lambda pixels: np.random.default_rng(1).normal(0, 1, (300, 300)) * 500),
        ("a corner of itself", lambda pixels: pixels[:400, :400]),
    ],
)
def test_a_film_the_wrong_way_round_or_of_something_else_does_not(
    name: str, change: Callable[[Any], Any]
) -> None:
    assert check_input(as_film(change(film())), FILMS).is_foreign, name
