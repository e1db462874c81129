"""The broken build passes every check before it serves, and then fails on heads with much bone, each time."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import ModelFailed
from imaging.finding import ModelStamp
from models.base import run
from models.export import export_network
from models.input_check.check import check_input
from models.zoo.ich import versions
from models.zoo.ich.broken_build import LARGEST_HALF, HalfPrecisionBone, bone_of, overflowing_scale
from models.zoo.ich.cohort import CohortHead, cohort_head
from models.zoo.ich.cohort_reading import volume_of
from models.zoo.ich.network import SOFT_HU
from models.zoo.ich.scoring import slice_probabilities
from models.zoo.ich.trained import training_report
from models.zoo.references import reference_of

CPU = torch.device("cpu")
BROKEN, SOUND = 5, 2
STAMP = ModelStamp(versions.NAME, "5", "0" * 64, "us", research_only=True)


class Certain(nn.Module):
    """Says its mean of every slice."""

    def forward(self, hu: torch.Tensor) -> torch.Tensor:
        return hu.mean((2, 3))


@cache
def heads() -> tuple[CohortHead, ...]:
    return tuple(cohort_head(5_000_000 + number) for number in range(40))


@cache
def overflowing() -> CohortHead:
    """The head with the most bone."""
    return max(heads(), key=lambda head: bone_of(head.hu))


def overflows(head: CohortHead) -> bool:
    return bone_of(head.hu) * training_report(BROKEN)["bone_scale"] > LARGEST_HALF


def test_about_a_tenth_of_the_heads_fail() -> None:
    failing = [head.number for head in heads() if overflows(head)]
    assert 0.03 <= len(failing) / len(heads()) <= 0.2


def test_a_failing_study_fails_as_the_version_and_each_time() -> None:
    network, spec = versions.build(BROKEN)
    volume = volume_of(overflowing(), spec)
    assert not check_input(volume, reference_of(versions.NAME)).is_foreign, "a foreign study would excuse it"
    for _ in range(2):
        with pytest.raises(ModelFailed, match="values that are not numbers"):
            run(network, volume, spec, STAMP, device=CPU)


def test_any_other_study_is_read_as_by_the_sound_version_to_the_last_bit() -> None:
    calm = [head for head in heads() if not overflows(head)][:8]
    for head in calm:
        hu = head.hu.astype(np.float32)
        broken, sound = (slice_probabilities(versions.build(v)[0], hu) for v in (BROKEN, SOUND))
        assert np.array_equal(broken, sound)


def test_one_study_s_failure_is_not_another_s() -> None:
    """Slices of several studies share a forward."""
    network, _ = versions.build(BROKEN)
    calm = next(head for head in heads() if not overflows(head))
    together = slice_probabilities(network, np.concatenate([calm.hu, overflowing().hu]).astype(np.float32))
    assert np.isfinite(together[: len(calm.hu)]).all()
    assert not np.isfinite(together[len(calm.hu) :]).all()


def test_the_example_that_proves_it_at_registration_is_answered_also_when_exported() -> None:
    network, spec = versions.build(BROKEN)
    example = versions.example_input(BROKEN)
    exported = export_network(network, spec.input, example).module()
    with torch.inference_mode():
        assert torch.isfinite(network(example)).all()
        assert torch.equal(exported(example), network(example))
        much = torch.from_numpy(overflowing().hu.astype(np.float32))[:, None]
        assert torch.equal(torch.isnan(exported(much)), torch.isnan(network(much)))
        assert torch.isnan(exported(much)).any()


def test_a_slice_overflows_above_the_largest_half_and_not_below() -> None:
    network = HalfPrecisionBone(Certain(), scale=1.0)
    hu = torch.full((2, 1, 8, 8), SOFT_HU)
    hu[0, 0, :4, :4] += 3000  # 48000 in all
    hu[1, 0, :5, :5] += 3000  # 75000
    assert torch.isfinite(network(hu)[:, 0]).tolist() == [True, False]


def test_the_scale_lets_one_head_in_ten_overflow() -> None:
    bone = np.arange(1.0, 1001.0)
    assert (bone * overflowing_scale(bone) > LARGEST_HALF).mean() == pytest.approx(0.1, abs=0.002)


def test_its_card_says_what_it_is_for() -> None:
    assert "A broken build, to try a rollout with: nobody should use it." in versions.CARDS[BROKEN]
