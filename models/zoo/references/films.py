"""Genuine frontal chest films by the number: a real film and projections of a real chest CT, in many exposures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from models.zoo.references.studies import Stack

ndimage: Any = scipy.ndimage  # its names are made at import, where mypy cannot see them

Film = npt.NDArray[np.floating[Any]]
SIDE: Final = 320  # pixels of a film's longer side: the check looks at 256
PIXEL_MM: Final = 2.8
BODY_HU: Final = -400.0


@dataclass(frozen=True, slots=True)
class Chest:
    """A real chest without its table, `(up, back, left)`, as attenuation relative to water, at PIXEL_MM."""

    attenuation: npt.NDArray[np.float32]


def small(film: Film) -> Film:
    """The film with its longer side at SIDE pixels."""
    return np.asarray(ndimage.zoom(film, SIDE / max(film.shape), order=1), np.float32)


def chest_of(stack: Stack) -> Chest:
    """Bone counts more than its density: it stops soft X-rays."""
    factors = [mm / PIXEL_MM for mm in stack.spacing_mm]
    hu = ndimage.zoom(stack.voxels, factors, order=1)
    body = ndimage.binary_opening(hu > BODY_HU, iterations=2)
    labels, _ = ndimage.label(body)
    largest = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in largest])
    attenuation = np.where(filled, np.clip(1 + hu / 1000, 0, None), 0)
    attenuation[hu > 300] *= 1.25
    return Chest(attenuation.astype(np.float32))


def projected(chest: Chest, turn_degrees: float = 0.0) -> Film:
    """Parallel rays through the chest, from back to front: bright where much is in their way. The head is at the
    top, the left of the patient at the right.
    """
    turned = chest.attenuation
    if turn_degrees:
        turned = ndimage.rotate(turned, turn_degrees, (1, 2), reshape=False, order=1)
    return np.asarray(turned.sum(1)[::-1], np.float32)


def drr(chest: Chest, seed: int) -> Film:
    """A projection of the chest, turned by a few degrees, in another exposure."""
    rng = np.random.default_rng((seed, 17))
    film = projected(chest, float(rng.normal(0, 4)))
    return exposed(rng, small(film))


def exposed(rng: np.random.Generator, film: Film) -> Film:
    """The film as another technologist would have made it: turned, shifted, collimated, darker, noisier."""
    film = ndimage.rotate(film, float(rng.normal(0, 1.5)), reshape=False, order=1, mode="nearest")
    film = _collimated(rng, film)
    dark, bright = np.percentile(film, (0.5, 99.5))
    relative = np.clip((film - dark) / max(bright - dark, 1e-6), 0, 1) ** rng.uniform(0.75, 1.35)
    noise = rng.normal(0, rng.uniform(0.002, 0.02), film.shape)
    return np.asarray(4000 * np.clip(relative + noise, 0, 1), np.float32)


def _collimated(rng: np.random.Generator, film: Film) -> Film:
    """Up to 8 % less at each edge, which magnifies and shifts as well."""
    rows, columns = film.shape
    top, bottom = (round(rows * share) for share in rng.uniform(0, 0.08, 2))
    left, right = (round(columns * share) for share in rng.uniform(0, 0.08, 2))
    return film[top : rows - bottom, left : columns - right]


def real_film(film: Film, seed: int) -> Film:
    return exposed(np.random.default_rng((seed, 19)), film)


def as_stack(film: Film) -> Stack:
    return Stack(film[None], (1.0, 1.0, 1.0))
