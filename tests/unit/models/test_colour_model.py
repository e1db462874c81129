"""A small model of photographs, from the file to its finding: it gets colours; a model of grey images does not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import UnsupportedSeries
from core.priority import Priority, queue_order
from core.study import StudyRef
from imaging.finding import InputVerdict
from imaging.series import SeriesRule
from imaging.volume import Volume
from models.base import run
from models.input_check.descriptor import DescriptorKind, describe
from models.spec import (
    Activation,
    Aggregation,
    Channel,
    Fit,
    IntendedUse,
    Layout,
    ModelSpec,
    OutputSpec,
    Scaling,
    Task,
    spec_from_json,
    spec_to_json,
)
from serve_apps.application.fetch_study import StudyFetcher
from serve_apps.application.messages import EligibleModel, FetchRequest
from tests.bad_studies.reading import OneFolder
from tests.ct import STUDY, encoded
from tests.unit.imaging.test_colour import photograph
from tests.unit.models.builders import STAMP, finding_spec, input_spec

SPEC = ModelSpec(
    name="redness",
    manufacturer="tests",
    input=input_spec(
        series=SeriesRule(("XC",), max_slices=1, colour=True),
        layout=Layout.IMAGE,
        channels=(Channel(Scaling.WINDOW, 0, 255),) * 3,
        size=(1, 16, 16),
        fit=Fit.STRETCH,
    ),
    output=OutputSpec(
        Task.CLASSIFICATION,
        (finding_spec(),),
        Aggregation.SINGLE,
        activation=Activation.NONE,
    ),
    intended_use=IntendedUse("a test", ("XC",)),
)


def redness(batch: Tensor) -> Tensor:
    """How red a photograph is, from 0 to 1."""
    return batch[:, :1].mean(dim=(2, 3))


async def volume_of(red: int, root: Path, rule: SeriesRule = SPEC.input.series) -> Volume:
    colours = np.full((40, 36, 3), 20, np.uint8)
    colours[..., 0] = red
    colours[0, 0] = 0  # no scanner makes an image of one value
    (root / "photograph.dcm").write_bytes(encoded(photograph(colours)))
    volumes: list[Volume] = []
    fetcher = StudyFetcher(OneFolder(root), volumes.append, 1)
    order = queue_order(Priority.ROUTINE, datetime(2026, 1, 1, tzinfo=UTC))
    try:
        await fetcher.fetch(FetchRequest(StudyRef("folder", STUDY), (EligibleModel("m", rule),), order, 60.0))
    finally:
        await fetcher.aclose()
    return volumes[0]


@pytest.mark.parametrize("red", [51, 204])
async def test_a_model_reads_the_colours_of_a_photograph(red: int, tmp_path: Path) -> None:
    volume = await volume_of(red, tmp_path)
    prediction, _ = run(redness, volume, SPEC, STAMP, device=torch.device("cpu"))
    assert prediction.findings[0].probability == pytest.approx(red / 255, abs=0.01)
    assert prediction.input_check.verdict is InputVerdict.UNCHECKED


async def test_a_model_of_grey_images_is_not_given_colours(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedSeries, match="1 x it is in colour"):
        await volume_of(204, tmp_path, SeriesRule(("XC",)))


async def test_the_input_check_measures_the_brightness_of_colours(tmp_path: Path) -> None:
    assert np.isfinite(describe(await volume_of(204, tmp_path), DescriptorKind.FILM)).all()


def test_the_spec_says_that_it_reads_colours_and_for_that_needs_three_channels() -> None:
    plain = spec_to_json(SPEC)
    assert plain["input"]["series"]["colour"] is True
    assert spec_from_json(plain) == SPEC
    with pytest.raises(ValueError, match="three channels"):
        input_spec(series=SeriesRule(("XC",), colour=True))
