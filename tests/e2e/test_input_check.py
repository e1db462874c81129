"""A study that a version does not know gets no reading, whatever its header says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imaging.samples.catalogue import SAMPLES
from imaging.samples.writer import SampleImage, SampleModality, study_uid, to_series
from tests.e2e.conftest import First, NewStack
from tests.stack import LiveStack

Change = Callable[[SampleImage], SampleImage]


def _unchanged(image: SampleImage) -> SampleImage:
    return image


def _noise(image: SampleImage) -> SampleImage:
    values = np.random.default_rng(1).normal(0, 300, image.stored.shape)
    return replace(image, stored=values.astype(np.int16), rescale=(1.0, 0.0))


def _inverted(image: SampleImage) -> SampleImage:
    return replace(image, stored=-image.stored.astype(np.int16))


def _without_intercept(image: SampleImage) -> SampleImage:
    slope, intercept = image.rescale
    return replace(image, rescale=(slope, intercept + 1024))


STRANGERS: dict[str, tuple[str, str | None, Change]] = {
    "a chest CT that names no body part": ("chest-ct", None, _unchanged),
    "a chest CT that says it is a head": ("chest-ct", "HEAD", _unchanged),
    "an MR that says it is a CT": ("brain-mr", "HEAD", _unchanged),
    "noise": ("head-ct", "HEAD", _noise),
    "a head whose values are inverted": ("head-ct", "HEAD", _inverted),
    "a head whose intercept is lost": ("head-ct", "HEAD", _without_intercept),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("strangers")


@pytest.fixture(scope="module")
def refusing(new_stack: NewStack, folder: Path) -> LiveStack:
    """A stack with the site rule that is the default."""
    source = {"id": "strangers", "kind": "folder", "root": str(folder)}
    return new_stack("refusing", source, environment={"SERINUS_INPUT_CHECK": "refuse"})


def _asked(stack: LiveStack, study: str, source: str) -> Any:
    body = {"study_uid": study, "source": source, "model": "ich-triage"}
    with stack.http() as http:
        return http.post("/v1/jobs", json=body, headers={"Prefer": "wait=90"})


def test_a_real_head_is_read(refusing: LiveStack) -> None:
    (sample,) = refusing.run("samples", "--only", "head-ct")  # type: ignore[misc]
    answer = _asked(refusing, sample["study_uid"], "samples")  # type: ignore[index]
    assert answer.status_code == 200, answer.text
    check = answer.json()["input_check"]
    assert check["verdict"] == "in-distribution"
    assert 0 < check["distance"] < 1
    assert answer.json()["findings"]


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_gets_no_reading(refusing: LiveStack, folder: Path, first_up: First, name: str) -> None:
    sample, body_part, change = STRANGERS[name]
    uid = _write(folder / name, first_up[0] / "downloads", sample, body_part, change)
    answer = _asked(refusing, uid, "strangers")
    assert (answer.status_code, answer.json()["code"]) == (422, "input-out-of-distribution"), answer.text
    assert "SAMPLE" not in answer.text
    with refusing.http() as http:
        (job,) = http.get("/v1/jobs", params={"study_uid": uid}).json()["jobs"]
    assert (job["state"], job["error"]["code"]) == ("failed", "input-out-of-distribution")


def _write(folder: Path, cache: Path, sample: str, body_part: str | None, change: Change) -> str:
    """The sample as an axial CT under another name; its study UID."""
    packaged = SAMPLES[sample]
    image = change(packaged.read(packaged.file.read(cache, print)))
    identity = replace(
        packaged.identity,
        id=folder.name,
        study_uid=None,
        modality=SampleModality.CT,
        body_part=body_part or "",
    )
    folder.mkdir()
    for number, dataset in enumerate(to_series(identity, image), 1):
        if body_part is None:
            del dataset.BodyPartExamined
        dataset.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
    return study_uid(identity)
