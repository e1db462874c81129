"""A bad study, how it is made and what is expected of it; and the small changes that make one of a good study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from imaging.samples.synthetic import make_ct_study
from imaging.samples.writer import SampleIdentity, SampleImage, SampleModality, to_series
from tests.ct import encoded

HEAD, FILM = "ich-triage", "chest-film-qa"
INNER = 12  # an image with others on both sides
Study = list[Dataset]
Files = list[bytes]


@dataclass(frozen=True, slots=True)
class Case:
    """`files` makes the objects of one study. Either it is refused with `code`, or it is read and a note says `note`.

    `what` is the sentence of docs/bad-input.md; `model` is the one that is asked for.
    """

    what: str
    files: Callable[[], Files]
    code: str | None = None
    note: str = ""
    model: str = HEAD


def head(uid: str = "bad") -> Study:
    """A good head CT of nobody: 24 axial images of 64 x 64."""
    return make_ct_study(uid)


def film() -> Study:
    """A good chest film, from behind."""
    pixels = np.random.default_rng(1).integers(0, 4000, (1, 256, 256)).astype(np.uint16)
    identity = SampleIdentity("bad/film", "BAD^FILM", SampleModality.CR, "CHEST", "A film")
    return list(to_series(identity, SampleImage(pixels, None, (2000.0, 4000.0))))


def as_files(study: Sequence[Dataset]) -> Files:
    return [encoded(image) for image in study]


def changed(image: Dataset, **values: Any) -> Dataset:
    """The image with other values by keyword; None takes an element away."""
    for keyword, value in values.items():
        if value is None:
            delattr(image, keyword)
        else:
            setattr(image, keyword, value)
    return image


def every(study: Callable[[], Study] = head, /, **values: Any) -> Callable[[], Files]:
    """A study of which each image is changed."""
    return lambda: as_files([changed(image, **values) for image in study()])


def one(index: int = INNER, /, **values: Any) -> Callable[[], Files]:
    """A head of which one image is changed."""

    def make() -> Files:
        study = head()
        changed(study[index], **values)
        return as_files(study)

    return make


def each(change: Callable[[Dataset, int], object]) -> Callable[[], Files]:
    """A head whose images are changed by a function of the image and its index."""

    def make() -> Files:
        study = head()
        for index, image in enumerate(study):
            change(image, index)
        return as_files(study)

    return make


def with_files(change: Callable[[Files], Files]) -> Callable[[], Files]:
    """A head whose encoded objects are changed."""
    return lambda: change(as_files(head()))


def pixels_of(image: Dataset) -> np.ndarray:
    return np.frombuffer(image.PixelData, np.int16).reshape(image.Rows, image.Columns)
