"""What was measured of the networks that others published: the figures of their cards, tied to the images.

    python -m models.zoo.figures --cache DIR --weights DIR [--models …]

measures them again and writes `figures.json`. One image is no test set; each figure says on which image it was taken.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch

from core.errors import ModelFailed
from imaging.finding import ModelStamp, Prediction
from imaging.samples.catalogue import SAMPLES
from imaging.volume import Geometry, Volume
from models.base import run
from models.forward import Network
from models.spec import ModelSpec
from models.zoo import brain_volume, chest_film_qa, ct_features
from models.zoo.references.studies import Stack, sample_stack, volume_of

FIGURES: Final = Path(__file__).parent / "figures.json"
STAMP: Final = ModelStamp("measured", "1", "0" * 64, "Serinus", research_only=True)
CPU: Final = torch.device("cpu")
THICK: Final = 5  # slices averaged to one
NOISE_HU: Final = 15.0
Figures = Mapping[str, Mapping[str, float]]


def figures_of(model: str) -> Figures:
    """What was measured of a model, by the sample on which: metric → value."""
    figures: Figures = json.loads(FIGURES.read_text())[model]
    return figures


def digest_of(sample: str) -> str:
    """Which image exactly: the SHA-256 of the packaged file."""
    return SAMPLES[sample].file.sha256


def origin_of(sample: str) -> str:
    return f"sample {sample}: {SAMPLES[sample].identity.derivation}"


def brain_figures(cache: Path, weights: Path) -> Figures:
    """Volumes in millilitres, and what slices of 5 mm change of one, in percent."""
    network, spec = brain_volume.build(weights)
    average, colin = (sample_stack(name, cache) for name in ("brain-mr", "brain-mr-colin"))
    whole, thick, other = (
        _millilitres(network, spec, volume_of(stack, "MR")) for stack in (average, _thick(average), colin)
    )
    return {
        "brain-mr": {"volume_ml": whole, "thick_slices_change_percent": 100 * (thick / whole - 1)},
        "brain-mr-colin": {"volume_ml": other},
    }


def film_figures(cache: Path, weights: Path) -> Figures:
    """The probability of a frontal film: upright, and for the same film hung wrong."""
    network, spec = chest_film_qa.build(weights)
    packaged = SAMPLES["chest-cr"]
    image = packaged.read(packaged.file.read(cache, lambda _: None))
    film = image.stored.astype(np.float32)
    hung = {"upright": film, "upside_down": film[:, ::-1], "on_its_side": film.transpose(0, 2, 1)[:, ::-1]}
    return {
        "chest-cr": {
            f"frontal_probability_{name}": _read(network, spec, _film(pixels, inverted=image.inverted))
            .findings[0]
            .probability
            for name, pixels in hung.items()
        }
    }


def feature_figures(cache: Path, weights: Path) -> Figures:
    """Cosine of the features with those of the same chest changed: with noise of 15 HU, and upside down."""
    network, spec = ct_features.build(weights)
    chest = sample_stack("chest-ct", cache)
    noise = np.random.default_rng(0).normal(0, NOISE_HU, chest.voxels.shape)
    plain, noisy, turned = (
        _features(network, spec, volume_of(stack))
        for stack in (
            chest,
            replace(chest, voxels=chest.voxels + noise),
            replace(chest, voxels=chest.voxels[::-1]),
        )
    )
    return {
        "chest-ct": {"cosine_with_noise": _cosine(plain, noisy), "cosine_upside_down": _cosine(plain, turned)}
    }


def _read(network: Network, spec: ModelSpec, volume: Volume) -> Prediction:
    return run(network, volume, spec, STAMP, device=CPU)[0]


def _millilitres(network: Network, spec: ModelSpec, volume: Volume) -> float:
    return _read(network, spec, volume).measurements[0].value


def _features(network: Network, spec: ModelSpec, volume: Volume) -> np.ndarray[Any, np.dtype[np.float32]]:
    features = _read(network, spec, volume).features
    if features is None:
        raise ModelFailed("the network returned no features")
    return features


def _thick(stack: Stack) -> Stack:
    count = len(stack.voxels) // THICK
    voxels = stack.voxels[: count * THICK].reshape(count, THICK, *stack.voxels.shape[1:]).mean(1)
    up, back, left = stack.spacing_mm
    return Stack(voxels, (up * THICK, back, left))


def _film(pixels: np.ndarray[Any, np.dtype[np.float32]], *, inverted: bool) -> Volume:
    flat = Geometry((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), None)
    volume = volume_of(Stack(pixels, (1.0, 1.0, 1.0)), "CR", inverted=inverted)
    return replace(volume, geometry=flat)


def _cosine(one: Any, other: Any) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


MEASURED: Final[Mapping[str, Callable[[Path, Path], Figures]]] = MappingProxyType(
    {
        brain_volume.NAME: brain_figures,
        chest_film_qa.NAME: film_figures,
        ct_features.NAME: feature_figures,
    }
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the downloaded packages")
    parser.add_argument("--weights", type=Path, required=True, help="where the converted weights lie")
    parser.add_argument("--models", nargs="+", choices=sorted(MEASURED), default=sorted(MEASURED))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    for model in options.models:
        known[model] = _rounded(MEASURED[model](options.cache, options.weights))
        print(json.dumps({model: known[model]}))
    FIGURES.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


def _rounded(figures: Figures) -> dict[str, dict[str, float]]:
    return {
        sample: {name: round(value, 5) for name, value in each.items()} for sample, each in figures.items()
    }


if __name__ == "__main__":
    main()
