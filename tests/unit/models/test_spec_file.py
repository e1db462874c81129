"""A spec in YAML: every mistake is told with its line, its field and the reason; the schema in docs/ is the one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import ModelRefused
from models.spec import Layout, Scaling
from models.spec_file import read_spec, spec_schema

ROOT = Path(__file__).parents[3]
SPEC = ROOT / "examples/spots/model.yaml"
TEXT = SPEC.read_text()


def mistakes(text: str) -> list[str]:
    with pytest.raises(ModelRefused) as caught:
        read_spec(text, "model.yaml")
    return caught.value.detail.splitlines()


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if part in line)


def test_the_tutorials_spec_is_read() -> None:
    spec = read_spec(TEXT, SPEC.name)
    assert (spec.name, spec.input.layout, spec.input.batch) == ("bright-spots", Layout.SLICES, 16)
    assert spec.input.channels[0].scaling is Scaling.WINDOW


@pytest.mark.parametrize(
    ("right", "wrong", "field", "reason"),
    [
        ("layout: slices", "layout: slides", "/input/layout", "'slices', 'volume' or 'image'"),
        ("batch: 16", "bacth: 16", "/input/bacth", "Unexpected keyword argument"),
        ("threshold: 0.5", 'threshold: "0.5"', "/output/findings/0/threshold", "valid number"),
        ("threshold: 0.5", "threshold: 1.5", "/output/findings/0", "a threshold lies in [0, 1]"),
        ("low: 0, high: 80", "low: 80, high: 0", "/input/channels/0", "low must lie below its high"),
        ("modalities: [CT], body_parts: [HEAD], plane", "plane", "/input/series/modalities", "required"),
        ("size: [0, 64, 64]", "size: [64, 64]", "/input/size/2", "required"),
        ("task: classification", "task: segmentation", "/output", "does not have 1 findings"),
    ],
)
def test_a_mistake_is_told_with_its_line_its_field_and_the_reason(
    right: str, wrong: str, field: str, reason: str
) -> None:
    assert TEXT.count(right) == 1
    (told,) = mistakes(TEXT.replace(right, wrong))
    place, pointer, why = told.split(": ", 2)
    assert pointer == field
    assert reason in why
    line = int(place.removeprefix("model.yaml:").split(":")[0])
    expected = {"/output/findings/0": "- concept", "/output": "output:"}.get(field, wrong)
    assert line == line_of(TEXT.replace(right, wrong), expected)


def test_all_mistakes_are_told_at_once() -> None:
    text = TEXT.replace("layout: slices", "layout: slides").replace("batch: 16", "batch: many")
    assert [told.split(": ")[1] for told in mistakes(text)] == ["/input/layout", "/input/batch"]


def test_no_value_of_the_file_is_repeated() -> None:
    assert "secret" not in "".join(mistakes(TEXT.replace("layout: slices", "layout: secret")))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: [", "model.yaml:1:8: expected the node content, but found '<stream end>'"),
        ("", "model.yaml: /: it is null"),
        ("- a", "model.yaml:1:1: /: "),
        ("name: a\nname: b", "model.yaml:2:1: name stands here twice"),
    ],
)
def test_what_is_no_document_of_that_kind_says_so(text: str, told: str) -> None:
    assert mistakes(text)[0].startswith(told)


def test_the_published_schema_is_that_of_the_code() -> None:
    """Written by `serinus models schema > docs/model-spec.schema.json`."""
    assert json.loads((ROOT / "docs/model-spec.schema.json").read_text()) == spec_schema()


def test_the_tutorials_spec_names_the_published_schema() -> None:
    first = TEXT.splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (SPEC.parent / first.partition("=")[2]).resolve() == ROOT / "docs/model-spec.schema.json"
