"""One radiograph in some fifty numbers: its brightness on a grid of six by six, its histogram, edges and symmetry.

A film's unit and pixel size say little, so brightness is relative to the film itself, and places are shares of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from imaging.volume import Volume
from models.input_check.stack import LEAST_SHARE, Measure

Floats = npt.NDArray[np.float32]
MOST: Final = 256  # pixels per axis that are looked at
SIDE: Final = 48  # of the thumbnail, a multiple of the grid's
GRID: Final = 6
LEVELS: Final = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9)


def film_measures(volume: Volume) -> list[Measure]:
    """Of the first image; low values are dark, also where the file stores them the other way round."""
    rows, columns = volume.voxels.shape[1:]
    steps = max(1, rows // MOST), max(1, columns // MOST)
    pixels = np.asarray(volume.voxels[0, :: steps[0], :: steps[1]], np.float32)
    film = _relative(-pixels if volume.inverted else pixels)
    small = _thumbnail(film)
    return [
        Measure("rows per column", float(np.log(rows / columns)), 0.15),
        *_levels(film),
        *_texture(film, small),
        Measure("likeness of left and right", _correlation(small, small[:, ::-1]), 0.15),
        Measure("likeness of top and bottom", _correlation(small, small[::-1]), 0.25),
        *_grid(small),
    ]


def _relative(pixels: Floats) -> Floats:
    dark, bright = np.percentile(pixels, (1, 99))
    if not bright > dark:
        return np.zeros_like(pixels)
    return np.asarray(np.clip((pixels - dark) / (bright - dark), 0, 1), np.float32)


def _thumbnail(film: Floats) -> Floats:
    """`(SIDE, SIDE)`, each the mean of the part of the film that it stands for."""
    down = _means(film, axis=0)
    return _means(down, axis=1)


def _means(film: Floats, axis: int) -> Floats:
    size = film.shape[axis]
    edges = np.linspace(0, size, SIDE + 1)[:-1].astype(int)
    counts = np.maximum(np.diff(np.append(edges, size)), 1).reshape((-1, 1) if axis == 0 else (1, -1))
    return np.asarray(np.add.reduceat(film, edges, axis) / counts, np.float32)


def _levels(film: Floats) -> Iterator[Measure]:
    counts = np.histogram(film, (*LEVELS, 1.0001))[0]
    for level, count in zip(LEVELS, counts, strict=True):
        share = float(np.log10(count / film.size + LEAST_SHARE))
        yield Measure(f"share of brightness from {level:.2f}", share, 0.3)


def _texture(film: Floats, small: Floats) -> Iterator[Measure]:
    yield Measure("contrast", float(small.std()), 0.06)
    yield Measure("smoothness of pixels, down", _correlation(film[1:], film[:-1]), 0.03)
    yield Measure("smoothness of pixels, across", _correlation(film[:, 1:], film[:, :-1]), 0.03)
    yield Measure("smoothness, down", _correlation(small[2:], small[:-2]), 0.06)
    yield Measure("smoothness, across", _correlation(small[:, 2:], small[:, :-2]), 0.06)
    edge = np.ones((SIDE, SIDE), bool)
    edge[3:-3, 3:-3] = False
    yield Measure("brightness of the border", float(small[edge].mean()), 0.15)


def _grid(small: Floats) -> Iterator[Measure]:
    cells = small.reshape(GRID, SIDE // GRID, GRID, SIDE // GRID).mean((1, 3))
    for row in range(GRID):
        for column in range(GRID):
            yield Measure(f"brightness at {row + 1}, {column + 1}", float(cells[row, column]), 0.12)


def _correlation(one: Floats, other: Floats) -> float:
    if not one.size:
        return 0.0
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.sqrt(np.vdot(one, one) * np.vdot(other, other)))
    return float(np.vdot(one, other)) / norm if norm > 0 else 0.0
