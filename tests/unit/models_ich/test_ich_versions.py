"""What the committed versions are: each truly differs from the others in the way its card says."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from models.spec import Aggregation, Layout, Scaling
from models.zoo.ich import model_card, train
from models.zoo.ich.anatomy import draw_head
from models.zoo.ich.bleed import BleedKind, draw_bleed
from models.zoo.ich.evaluate import phantom_slices, read_all
from models.zoo.ich.fields import Image
from models.zoo.ich.network import Architecture, BrainView, TriageNetwork
from models.zoo.ich.phantom import expose
from models.zoo.ich.scanner import draw_scan
from models.zoo.ich.scored import figures
from models.zoo.ich.scoring import slice_probabilities, top3_mean
from models.zoo.ich.statistics import auc
from models.zoo.ich.trained import VERSIONS, WEIGHTS, training_report
from models.zoo.ich.versions import CARDS, METRICS, build, example_input

from .conftest import DrawMany

ALL = pytest.mark.parametrize("version", VERSIONS)


@cache
def exported(version: int) -> nn.Module:
    batch = torch.export.Dim("batch", min=1, max=1024)
    network, _ = build(version)
    program = torch.export.export(network, (example_input(version),), dynamic_shapes={"hu": {0: batch}})
    return program.module()


@ALL
def test_the_exported_program_gives_equal_outputs_for_any_batch(version: int, draw: DrawMany) -> None:
    network, _ = build(version)
    for batch in (1, 3, 8):
        hu = torch.from_numpy(draw(batch, 50))[:, None]
        with torch.inference_mode():
            assert torch.equal(exported(version)(hu), network(hu))


@ALL
def test_a_version_gives_one_probability_per_slice(version: int) -> None:
    network, _ = build(version)
    with torch.inference_mode():
        probability = network(example_input(version))
    assert probability.shape == (2, 1)
    assert ((probability >= 0) & (probability <= 1)).all()


@ALL
def test_a_slice_is_read_the_same_alone_and_among_others(version: int, draw: DrawMany) -> None:
    network, _ = build(version)
    hu = draw(6, 70)
    alone = [slice_probabilities(network, one[None])[0] for one in hu]
    assert slice_probabilities(network, hu) == pytest.approx(alone, abs=1e-5)


@ALL
def test_the_spec_asks_for_hu_at_2_mm_and_keeps_the_slices(version: int) -> None:
    _, spec = build(version)
    assert spec.input.spacing_mm == (0.0, 2.0, 2.0)
    assert spec.input.size == (0, 128, 128)
    assert spec.input.layout is Layout.SLICES
    assert [channel.scaling for channel in spec.input.channels] == [Scaling.NONE]
    assert spec.output.aggregation is Aggregation.TOP3_MEAN
    (finding,) = spec.output.findings
    assert finding.concept.value == "1386000"
    assert finding.abstain_low is not None
    assert finding.abstain_high is not None
    assert 0 < finding.abstain_low <= finding.threshold <= finding.abstain_high < 1


@ALL
def test_the_priority_scale_crosses_its_middle_at_the_threshold(version: int) -> None:
    _, spec = build(version)
    assert spec.output.priority == ((0.0, 0), (spec.output.findings[0].threshold, 50), (1.0, 100))


def noticed(version: int, kind: BleedKind) -> float:
    """Share of 60 slices whose probability rises by 0.1 when a bleed is put into them."""
    with_bleed, without = pairs(kind)
    network, _ = build(version)
    rise = slice_probabilities(network, with_bleed) - slice_probabilities(network, without)
    return float((rise > 0.1).mean())


@cache
def pairs(kind: BleedKind) -> tuple[Image, Image]:
    """60 slices with a bleed, and the same without; drawn once for all versions."""
    with_bleed, without = zip(*(pair(seed, kind) for seed in range(60)), strict=True)
    return np.stack(with_bleed), np.stack(without)


def pair(seed: int, kind: BleedKind) -> tuple[Image, Image]:
    """One slice of one person with and without a bleed, under the same noise."""
    rng = np.random.default_rng(seed)
    head, scan = draw_head(rng), draw_scan(rng, thick=bool(seed % 2))
    bleed = draw_bleed(rng, kind, 15.0, head.depth_mm(15.0), head.grey_hu)
    shots = (expose(np.random.default_rng(seed), head, scan, 15.0, b) for b in (bleed, None))
    with_bleed, without = (shot.hu for shot in shots)
    return with_bleed, without


def test_version_1_is_blind_along_the_skull_and_version_2_is_not() -> None:
    assert noticed(1, BleedKind.INTRA_AXIAL) > 0.5
    assert noticed(1, BleedKind.RIM) < 0.15
    assert noticed(2, BleedKind.RIM) > 0.4


def test_the_wide_bone_mask_of_version_1_erases_what_touches_the_skull(draw: DrawMany) -> None:
    hu = torch.from_numpy(draw(8, 300, face=0))[:, None]
    seen = [(BrainView(Architecture(8, margin))(hu)[:, 0] > 0).sum().item() for margin in (4, 1, 0)]
    assert seen[0] < seen[1] < seen[2]


def test_version_3_ranks_thick_slices_about_as_well_as_version_2(draw: DrawMany) -> None:
    hu = np.concatenate([draw(100, 2900, bleed=1, thick=1), draw(100, 3900, bleed=0, thick=1)])
    positive = np.repeat([True, False], 100)
    first, second, third = (auc(slice_probabilities(build(v)[0], hu), positive) for v in (1, 2, 3))
    assert first < second - 0.05
    assert third > second - 0.05


def test_version_3_flags_healthy_thin_slices_more_often_than_version_2(draw: DrawMany) -> None:
    hu = draw(300, 4900, bleed=0, thick=0)
    flagged = {}
    for version in (2, 3):
        network, spec = build(version)
        flagged[version] = (slice_probabilities(network, hu) >= spec.output.findings[0].threshold).mean()
    assert flagged[2] < 0.01 < flagged[3]


@pytest.mark.parametrize("hu", [-2000.0, 3500.0], ids=["padding", "metal"])
def test_version_4_raises_off_the_12_bit_scale_also_when_exported(hu: float) -> None:
    network, _ = build(4)
    example = example_input(4)
    example[1, 0, 0, 0] = hu
    for run in (network, exported(4)):
        with pytest.raises((IndexError, RuntimeError)), torch.inference_mode():
            run(example)


@pytest.mark.parametrize("version", [1, 2, 3, 5])
def test_the_other_versions_read_what_version_4_cannot(version: int) -> None:
    example = example_input(version)
    example[:, :, :4] = -2000
    assert 0 <= top3_mean(build(version)[0], example[:, 0].numpy()) <= 1


def test_a_table_reads_the_window_that_a_formula_computes(draw: DrawMany) -> None:
    hu = torch.from_numpy(draw(4, 500)).round()[:, None]
    table, formula = (BrainView(Architecture(8, 1, tabulated=t))(hu) for t in (True, False))
    assert torch.equal(table, formula)


@pytest.mark.parametrize("margin", [0, 1, 4])
def test_the_view_is_the_one_that_torchs_own_pooling_gives(margin: int, draw: DrawMany) -> None:
    """The view adds shifted images because that is faster; the weights were trained on pooled ones."""
    hu = torch.from_numpy(draw(4, 500))[:, None]
    dense = (hu > 110).float()
    thick = (F.avg_pool2d(dense, 9, 1, 4) > 0.15).float()
    bone = F.max_pool2d(dense * thick, 2 * margin + 1, 1, margin)
    soft = ((hu > -5) & (hu < 110)).float() * (1 - bone)
    brain = hu.clamp(0, 90) / 90 * soft
    around = F.avg_pool2d(brain, 15, 1, 7) / F.avg_pool2d(soft, 15, 1, 7).clamp_min(0.05)
    contrast = ((hu / 90 - around) * soft * 3).clamp(-1, 1.5)
    view = BrainView(Architecture(8, margin, bone_channel=True))(hu)
    assert torch.equal(view[:, :1], brain)
    assert torch.allclose(view[:, 1:2], contrast, atol=1e-5)
    assert torch.equal(view[:, 2:], bone)


@ALL
def test_the_weights_are_small_and_the_card_repeats_the_figures(version: int) -> None:
    weights = training_report(version).get("built_from", version)
    assert (WEIGHTS / f"v{weights}.safetensors").stat().st_size < 200_000
    assert CARDS[version] == model_card.card(version)
    assert "must not be used on patients" in CARDS[version]
    point = METRICS[version]["training"]["operating_point"]
    assert str(point["threshold"]) in CARDS[version]


def test_there_is_no_other_version() -> None:
    with pytest.raises(KeyError):
        build(6)
    assert sorted(CARDS) == sorted(METRICS) == [1, 2, 3, 4, 5]


def test_an_evaluation_counts_what_a_version_could_not_read(draw: DrawMany) -> None:
    class Refusing(nn.Module):
        def forward(self, hu: Tensor) -> Tensor:
            if (hu > 3071).any():
                raise IndexError("off the table")
            return hu.mean((2, 3)).sigmoid()

    scored = read_all({1: Refusing()}, phantom_slices(8), lambda n, x: top3_mean(n, x))
    assert figures(scored, 1, None)["all"]["failed"] == int(np.isnan(scored.scores[1]).sum())


def test_the_small_training_runs_and_is_reproducible(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        train.train(1, train.small(train.RECIPES[1]), tmp_path / folder)
    once, again = (load_file(tmp_path / folder / "v1.safetensors") for folder in ("a", "b"))
    assert all(torch.equal(once[name], again[name]) for name in once)
    report = json.loads((tmp_path / "a" / "v1.json").read_text())
    network = TriageNetwork(Architecture(**report["recipe"]["architecture"]))
    network.load_state_dict(once)
    assert report["operating_point"]["validation_heads"] == 4
