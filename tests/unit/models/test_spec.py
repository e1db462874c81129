"""A spec survives JSON, and nothing that does not fit exactly gets in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ModelRefused
from imaging.finding import Code, Urgency
from models.spec import (
    Activation,
    Aggregation,
    BoxSpec,
    Channel,
    FindingSpec,
    Fit,
    InputSpec,
    Layout,
    MaskCleanup,
    ModelSpec,
    OutputSpec,
    Scaling,
    Task,
    spec_from_json,
    spec_to_json,
)
from tests.unit.models.builders import BRAIN, finding_spec, input_spec, model_spec, output_spec

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
codes = st.builds(Code, words, words, words)
unit = st.floats(0, 1)


@st.composite
def findings(draw: st.DrawFn) -> FindingSpec:
    low, threshold, high = sorted(draw(st.tuples(unit, unit, unit)))
    band = draw(st.booleans())
    return FindingSpec(
        draw(codes),
        threshold,
        draw(st.sampled_from(Urgency)),
        low if band else None,
        high if band else None,
        draw(st.none() | codes),
    )


@st.composite
def outputs(draw: st.DrawFn) -> OutputSpec:
    """A classification: every field that it may have."""
    scores = sorted(draw(st.lists(st.integers(0, 100), min_size=2, max_size=4)))
    chances = sorted(draw(st.sets(unit, min_size=len(scores), max_size=len(scores))))
    return OutputSpec(
        Task.CLASSIFICATION,
        tuple(draw(st.lists(findings(), min_size=1, max_size=3))),
        draw(st.sampled_from(Aggregation)),
        tuple(zip(chances, scores, strict=True)),
        activation=draw(st.sampled_from(Activation)),
        mask_cleanup=draw(st.sampled_from(MaskCleanup)),
    )


@st.composite
def inputs(draw: st.DrawFn) -> InputSpec:
    low, high = sorted(draw(st.sets(st.floats(0, 100), min_size=2, max_size=2)))
    side = st.integers(0, 512)
    return input_spec(
        channels=(Channel(draw(st.sampled_from(Scaling)), low, high),),
        size=draw(st.tuples(side, side, side)),
        fit=draw(st.sampled_from(Fit)),
        pad_value=draw(st.floats(-3000, 3000)),
        batch=draw(st.integers(1, 64)),
    )


@given(output=outputs(), read=inputs())
def test_a_spec_comes_back_from_json_as_it_was(output: OutputSpec, read: InputSpec) -> None:
    spec = model_spec(input=read, output=output)
    assert spec_from_json(json.loads(json.dumps(spec_to_json(spec)))) == spec


GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["brain-volume", "chest-film-qa", "ct-features", "ich-triage"])
def test_a_spec_that_was_registered_before_still_loads_and_is_written_the_same(name: str) -> None:
    document = json.loads((GOLDEN / f"{name}.json").read_text())
    written = spec_to_json(spec_from_json(document))
    assert written["input"]["series"].pop("colour") is False  # came later, with a default
    assert written == document


def everything() -> ModelSpec:
    return model_spec(
        input=input_spec(spacing_mm=(0.0, 0.5, 0.5), size=(0, 256, 256)),
        output=output_spec(
            findings=(finding_spec(abstain_low=0.4, abstain_high=0.6, site=BRAIN),),
            priority=((0.0, 0), (1.0, 100)),
        ),
    )


def changed(pointer: str, value: object) -> dict[str, Any]:
    """The JSON of a whole spec with one place changed, or removed when the value is Ellipsis."""
    plain = spec_to_json(everything())
    *path, last = pointer.strip("/").split("/")
    node: Any = plain
    for step in path:
        node = node[int(step)] if isinstance(node, list) else node[step]
    if value is ...:
        del node[last]
    else:
        node[int(last) if isinstance(node, list) else last] = value
    return plain


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/extra", 1),
        ("/input/series/extra", 1),
        ("/output/findings/0/concept/extra", "x"),
        ("/name", ...),
        ("/name", 5),
        ("/input/layout", "cube"),
        ("/input/batch", True),
        ("/input/batch", 1.0),
        ("/input/pad_value", "0"),
        ("/input/pad_value", float("nan")),
        ("/input/size", [0, 256, 256, 1]),
        ("/input/size", "256"),
        ("/input/channels", {"0": 1}),
        ("/input/channels/0", None),
        ("/output/priority/1/1", 99.5),
        ("/output/findings/0/urgency", "CRITICAL"),
        ("/input/series/modalities/0", None),
    ],
)
def test_what_does_not_fit_is_refused_with_its_pointer(pointer: str, value: object) -> None:
    with pytest.raises(ModelRefused, match=f"'{pointer}'"):
        spec_from_json(changed(pointer, value))


@pytest.mark.parametrize(
    ("pointer", "value", "where"),
    [
        ("/schema", 2, "/"),
        ("/output/findings/0/threshold", 1.5, "/output/findings/0"),
        ("/output/findings/0/threshold", 0.3, "/output/findings/0"),
        ("/output/priority/1/0", 0.0, "/output"),
        ("/output/findings", [], "/output"),
        ("/output/findings/0/concept/value", "", "/output/findings/0/concept"),
        ("/intended_use/min_age_years", -1, "/intended_use"),
        ("/input/axes", "RAA", "/input"),
    ],
)
def test_a_contradiction_is_refused_where_it_is(pointer: str, value: object, where: str) -> None:
    with pytest.raises(ModelRefused, match=f"'{where}'"):
        spec_from_json(changed(pointer, value))


def test_a_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(ModelRefused) as refused:
        spec_from_json(changed("/input/layout", "secret"))
    assert "secret" not in str(refused.value)


def test_a_missing_field_takes_its_default() -> None:
    assert spec_from_json(changed("/input/pad_value", ...)).input.pad_value == 0.0


def test_something_else_than_an_object_is_refused() -> None:
    with pytest.raises(ModelRefused):
        spec_from_json([])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "build",
    [
        lambda: input_spec(channels=()),
        lambda: input_spec(batch=0),
        lambda: input_spec(spacing_mm=(-1.0, 1.0, 1.0)),
        lambda: input_spec(size=(-1, 0, 0)),
        lambda: input_spec(axes="RAS"),  # slices cannot be turned
        lambda: input_spec(fit=Fit.STRETCH),
        lambda: input_spec(fit=Fit.CONTAIN, size=(0, 8, 8), spacing_mm=(1.0, 1.0, 1.0)),
        lambda: Channel(Scaling.WINDOW, 80, 0),
        lambda: Channel(Scaling.PERCENTILE, 1, 101),
        lambda: finding_spec(abstain_low=0.4),
        lambda: finding_spec(abstain_low=0.6, abstain_high=0.7),
        lambda: BoxSpec(BRAIN, -0.1),
        lambda: output_spec(priority=((0.0, 0),)),
        lambda: output_spec(priority=((0.0, 50), (1.0, 40))),
        lambda: output_spec(priority=((0.0, 0), (1.0, 101))),
        lambda: output_spec(segment=BRAIN),
        lambda: output_spec(boxes=(BoxSpec(BRAIN, 0.5),)),
        lambda: OutputSpec(Task.SEGMENTATION),
        lambda: OutputSpec(Task.FEATURES, priority=((0.0, 0), (1.0, 100))),
        lambda: model_spec(name=""),
        lambda: model_spec(
            input=input_spec(layout=Layout.VOLUME),
            output=OutputSpec(Task.LOCALISATION, boxes=(BoxSpec(BRAIN, 0.5),)),
        ),
    ],
)
def test_a_spec_that_contradicts_itself_cannot_be_built(build: Any) -> None:
    with pytest.raises(ValueError):
        build()
