"""Make the versions from their seeds: `python -m models.zoo.ich.train [--small] [--versions 1 2]`.

Writes `vN.safetensors` and `vN.json` (recipe, calibration, thresholds); version 5 has the weights of version 2. The
full run takes some minutes on two cores; `--small` shows that the path works and gives poor networks.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from models.zoo.ich.broken_build import bone_of, overflowing_scale
from models.zoo.ich.cohort import cohort_head
from models.zoo.ich.network import Architecture, BrainView, TriageNetwork
from models.zoo.ich.phantom import Mixture, Phantom, slice_phantom, study_phantom
from models.zoo.ich.scoring import top3_mean
from models.zoo.ich.statistics import Floats, auc
from models.zoo.ich.trained import ABSTAIN_SHARE, WEIGHTS

WORKERS = 2  # processes of one thread: threads that wait for each other waste a shared machine
BATCH = 32
VALIDATION_SEED = 1_000_000
VALIDATION_STUDY_SEED = 2_000_000
VALIDATION_COHORT = 3_000_000
VALIDATION_COHORT_HEADS = 400
BROKEN_BUILD, BUILT_FROM = 5, 2
TARGET_SPECIFICITY = 0.90


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a version is made. `located` adds a loss on where the bleed lies; in `abstain_share` of the healthy heads,
    half of it above the threshold, the version abstains (a tenth where it is None). `target_specificity` is
    TARGET_SPECIFICITY where it is None.
    """

    architecture: Architecture
    phantoms: int
    epochs: int
    mixture: Mixture
    located: bool
    seed: int
    rate: float = 3e-3
    validation_slices: int = 600
    validation_studies: int = 150
    abstain_share: float | None = None
    target_specificity: float | None = None


_BONE_SEEN = Architecture(16, bone_margin_px=0, bone_channel=True)
_PEAKS = Architecture(16, bone_margin_px=0, bone_channel=True, peak_px=5)
_TABULATED = Architecture(16, bone_margin_px=0, bone_channel=True, tabulated=True)

RECIPES = {
    1: Recipe(Architecture(8, 4), 1500, 6, Mixture(), located=False, seed=11),
    2: Recipe(_BONE_SEEN, 6000, 7, Mixture(thick=0.4, rim=0.6), located=True, seed=22, abstain_share=0.04),
    3: Recipe(  # as strict in thick slices as version 2 is there
        _PEAKS,
        5000,
        6,
        Mixture(thick=1.0, rim=0.5),
        located=True,
        seed=33,
        abstain_share=0.02,
        target_specificity=0.95,
    ),
    4: Recipe(_TABULATED, 5000, 7, Mixture(rim=0.5), located=True, seed=44),
}


def small(recipe: Recipe) -> Recipe:
    return replace(recipe, phantoms=64, epochs=1, validation_slices=32, validation_studies=4)


@dataclass(frozen=True, slots=True)
class Examples:
    """`view (n, channels, rows, columns)` as the convolutions see it, `positive (n, 1)`, and
    `cells (n, 1, rows / 4, columns / 4)`: where the bleed lies."""

    view: Tensor
    positive: Tensor
    cells: Tensor


def examples(first_seed: int, count: int, recipe: Recipe) -> Examples:
    """Phantoms with the fixed part of the graph done once (it has no weights), stored in half precision."""
    phantoms = [slice_phantom(first_seed + k, recipe.mixture) for k in range(count)]
    view = BrainView(recipe.architecture)
    with torch.inference_mode():
        views = [view(torch.from_numpy(p.hu)[None, None]).half() for p in phantoms]
    positive = torch.tensor([[float(p.labels.positive)] for p in phantoms])
    return Examples(torch.cat(views).clone(), positive, torch.cat([_cells(p) for p in phantoms]))


def _cells(phantom: Phantom) -> Tensor:
    return (F.avg_pool2d(torch.from_numpy(phantom.bleed_share)[None, None], 4) > 0.3).float()


def fit(recipe: Recipe, data: Examples) -> TriageNetwork:
    """Train from scratch; the last weights are kept, so that nothing is chosen on the validation set."""
    torch.manual_seed(recipe.seed)
    network = TriageNetwork(recipe.architecture)
    steps = recipe.epochs * -(-len(data.view) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), recipe.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2 * recipe.rate, total_steps=steps)
    order = torch.Generator().manual_seed(recipe.seed)
    network.train()
    for _ in range(recipe.epochs):
        for batch in torch.split(torch.randperm(len(data.view), generator=order), BATCH):
            optimiser.zero_grad()
            torch.autograd.backward(_loss(network, _mirrored(data, batch, order), recipe.located))
            optimiser.step()
            schedule.step()
    return network.eval()


def _mirrored(data: Examples, batch: Tensor, order: torch.Generator) -> Examples:
    """Half of the batches left to right: a head has no handedness."""
    view, cells = data.view[batch].float(), data.cells[batch]
    if torch.rand((), generator=order) < 0.5:
        view, cells = view.flip(3), cells.flip(3)
    return Examples(view, data.positive[batch], cells)


def _loss(network: TriageNetwork, batch: Examples, located: bool) -> Tensor:
    heat = network.heat_of(batch.view)
    loss = F.binary_cross_entropy_with_logits(network.logit(heat), batch.positive)
    if located:
        weight = torch.tensor(8.0)
        loss = loss + F.binary_cross_entropy_with_logits(heat, batch.cells, pos_weight=weight)
    return loss


def calibrate(network: TriageNetwork, data: Examples) -> None:
    """Refit slope and offset on validation slices (Platt scaling): 0.5 means 0.5 at one bleed in two."""
    with torch.inference_mode():
        maxima = [network.soft_maximum(network.heat_of(part.float())) for part in torch.split(data.view, 64)]
    slope, offset = platt(torch.cat(maxima)[:, 0].double().numpy(), data.positive[:, 0].double().numpy())
    with torch.no_grad():
        network.slope.fill_(slope)
        network.offset.fill_(offset)


def platt(scores: Floats, positive: Floats) -> tuple[float, float]:
    """Logistic regression of one variable by damped Newton steps, with a weak ridge against separation."""
    design = np.stack([scores, np.ones_like(scores)], 1)
    line = np.zeros(2)
    for _ in range(30):
        probability = 1 / (1 + np.exp(-np.clip(design @ line, -30, 30)))
        weight = probability * (1 - probability)
        hessian = design.T @ (design * weight[:, None]) + 1e-2 * np.eye(2)
        line += np.linalg.solve(hessian, design.T @ (positive - probability) - 1e-2 * line)
    return float(line[0]), float(line[1])


def operating_point(network: TriageNetwork, recipe: Recipe) -> dict[str, float]:
    """The score that the target's share of healthy validation heads stay below, and a band round it."""
    studies = [
        study_phantom(VALIDATION_STUDY_SEED + k, recipe.mixture) for k in range(recipe.validation_studies)
    ]
    scores = np.array([top3_mean(network, study.hu) for study in studies])
    positive = np.array([study.labels.positive for study in studies])
    healthy = scores[~positive]
    half = (ABSTAIN_SHARE if recipe.abstain_share is None else recipe.abstain_share) / 2
    target = TARGET_SPECIFICITY if recipe.target_specificity is None else recipe.target_specificity
    shares = (target - half, target, target + half)
    low, threshold, high = (float(np.quantile(healthy, share)) for share in shares)
    return {
        "threshold": round(threshold, 4),
        "abstain_low": round(low, 4),
        "abstain_high": round(high, 4),
        "target_specificity": target,
        "validation_heads": len(studies),
        "validation_auc": round(auc(scores, positive), 4),
        "validation_sensitivity": round(float((scores[positive] >= threshold).mean()), 4),
    }


def train(version: int, recipe: Recipe, out: Path) -> dict[str, Any]:
    """Make one version and write its two files; return what the JSON says."""
    started = time.monotonic()
    network = fit(recipe, examples(recipe.seed * 100_000, recipe.phantoms, recipe))
    calibrate(network, examples(VALIDATION_SEED, recipe.validation_slices, recipe))
    report = {
        "version": version,
        "recipe": _recorded(recipe),
        "parameters": sum(p.numel() for p in network.parameters()),
        "operating_point": operating_point(network, recipe),
    }
    out.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), out / f"v{version}.safetensors")
    (out / f"v{version}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"v{version}: {report['operating_point']} in {time.monotonic() - started:.0f} s", flush=True)
    return report


def _recorded(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON holds it, without what its architecture does not use."""
    recorded = asdict(recipe)
    recorded["architecture"] = {k: v for k, v in recorded["architecture"].items() if v is not None}
    return {name: value for name, value in recorded.items() if value is not None}


def break_build(out: Path, heads: int = VALIDATION_COHORT_HEADS) -> dict[str, Any]:
    """Write the report of the broken build; the version that it is built from must be in `out`."""
    report: dict[str, Any] = json.loads((out / f"v{BUILT_FROM}.json").read_text())
    bone = np.array([bone_of(cohort_head(VALIDATION_COHORT + k).hu) for k in range(heads)])
    scale = round(overflowing_scale(bone), 6)
    report |= {"version": BROKEN_BUILD, "built_from": BUILT_FROM, "bone_scale": scale}
    (out / f"v{BROKEN_BUILD}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"v{BROKEN_BUILD}: version {BUILT_FROM} with a scale of {scale}", flush=True)
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a few seconds; shows that the path works")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--versions", type=int, nargs="+", default=[*RECIPES, BROKEN_BUILD])
    options = parser.parse_args(arguments)
    recipes = {version: RECIPES[version] for version in options.versions if version in RECIPES}
    if options.small:
        recipes = {version: small(recipe) for version, recipe in recipes.items()}
    with ProcessPoolExecutor(WORKERS, get_context("spawn"), torch.set_num_threads, (1,)) as workers:
        runs = [workers.submit(train, version, recipe, options.out) for version, recipe in recipes.items()]
        for run in runs:
            run.result()
    if BROKEN_BUILD in options.versions:
        break_build(options.out)


if __name__ == "__main__":
    main()
