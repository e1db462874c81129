"""The heavy encoder, in a tiny configuration with random weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.errors import UnsupportedSeries
from models.base import run
from models.spec import spec_from_json, spec_to_json
from models.zoo import ct_features
from models.zoo.resnet3d import ResNet3d
from tests.unit.models.builders import STAMP, geometry, volume

CPU = torch.device("cpu")


def tiny() -> ResNet3d:
    torch.manual_seed(0)
    return ResNet3d(depths=(1, 2, 1, 1), width=2).eval()


def test_a_chest_becomes_one_row_of_features() -> None:
    spec = replace(ct_features.SPEC, input=replace(ct_features.SPEC.input, size=(32, 64, 64)))
    chest = volume(np.zeros((20, 40, 40), np.int16), geometry=geometry(spacing_mm=(5.0, 2.0, 2.0)))
    prediction, _ = run(tiny(), chest, spec, STAMP, device=CPU)
    assert prediction.features is not None
    assert prediction.features.shape == (64,)
    assert prediction.findings == ()


def test_the_first_axis_is_halved_once_less() -> None:
    network = tiny()
    seen: list[torch.Size] = []
    network.layer4.register_forward_hook(lambda *at: seen.append(at[2].shape))
    network(torch.zeros(1, 1, 32, 64, 96))
    assert seen == [(1, 64, 2, 2, 3)]


def test_the_published_encoder_has_the_shape_of_ours() -> None:
    """930 tensors and 117.4 million learnt numbers, counted in the published file."""
    with torch.device("meta"):
        network = ResNet3d()
    assert len(network.state_dict()) == 930
    assert sum(parameter.numel() for parameter in network.parameters()) == 117_366_208


def test_sagittal_slices_are_not_read() -> None:
    lying = geometry(row_cosine=(0.0, 1.0, 0.0), column_cosine=(0.0, 0.0, -1.0))
    with pytest.raises(UnsupportedSeries):
        run(
            tiny(),
            volume(np.zeros((20, 8, 8), np.int16), geometry=lying),
            ct_features.SPEC,
            STAMP,
            device=CPU,
        )


def test_its_spec_survives_json() -> None:
    assert spec_from_json(spec_to_json(ct_features.SPEC)) == ct_features.SPEC
