"""A version says of an enhanced CT what it says of the same images one by one; only the names differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from imaging.finding import Finding, ModelStamp, Prediction
from imaging.volume import Volume
from models.base import run
from models.input_check.check import check_input
from models.zoo.ich import versions as ich
from models.zoo.references import reference_of
from tests.bad_studies.case import HEAD, Study, as_files, head
from tests.bad_studies.reading import read, study_uid_of
from tests.enhanced import enhanced

STAMP = ModelStamp("ich-triage", "1", "0" * 64, "us", research_only=True)


async def volume_of(study: Study, root: Path) -> Volume:
    root.mkdir()
    return await read(as_files(study), study_uid_of(HEAD), HEAD, root)


async def test_an_enhanced_ct_gives_the_findings_of_the_same_images(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, spec = ich.build(1)
    network.eval()
    device = torch.device("cpu")

    def said(volume: Volume) -> Prediction:
        return run(network, volume, spec, STAMP, device=device)[0]

    single = await volume_of(head(), tmp_path / "single")
    frames = await volume_of([enhanced(head())], tmp_path / "frames")
    np.testing.assert_array_equal(frames.voxels, single.voxels)
    assert frames.geometry == single.geometry
    assert check_input(frames, reference_of(HEAD)) == check_input(single, reference_of(HEAD))
    expected, found = said(single), said(frames)
    assert list(map(unnamed, found.findings)) == list(map(unnamed, expected.findings))
    assert (found.priority_score, found.urgency) == (expected.priority_score, expected.urgency)
    for one, other in zip(found.findings, expected.findings, strict=True):
        if other.key_instance_uid is not None:
            assert one.key_frame == single.instance_uids.index(other.key_instance_uid) + 1


def unnamed(finding: Finding) -> Finding:
    return replace(finding, key_instance_uid=None, key_frame=None)
