"""From the network's numbers to findings, measurements and boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BrokenGeometry, ModelFailed
from imaging.finding import Code, Prediction, Presence, Urgency
from models.base import run
from models.decide import aggregate, presence_of, probabilities
from models.interpret import interpret
from models.masks import clean
from models.prepare import prepare
from models.spec import (
    Activation,
    Aggregation,
    BoxSpec,
    Fit,
    Layout,
    MaskCleanup,
    ModelSpec,
    OutputSpec,
    Task,
)
from tests.unit.models.builders import (
    BRAIN,
    STAMP,
    VOLUME,
    finding_spec,
    geometry,
    input_spec,
    model_spec,
    output_spec,
    ramp,
    volume,
)

LEFT = Code("44029006", "SCT", "Left lung")
PRIORITY = ((0.0, 0), (0.5, 50), (1.0, 100))


def read(outputs: Any, spec: ModelSpec, **volume_changes: Any) -> Prediction:
    outputs = np.asarray(outputs, np.float32)
    changes = dict(volume_changes)
    slices = 1 if spec.input.layout is Layout.IMAGE else 4
    source = volume(changes.pop("voxels", ramp(slices)), **changes)
    return interpret(outputs, source, prepare(source, spec.input), spec, STAMP)


def column(*items: float) -> npt.NDArray[np.float32]:
    return np.array(items, np.float32)[:, None]


def test_the_most_suspicious_slice_is_the_key_image() -> None:
    prediction = read(column(0.1, 0.2, 0.9, 0.3), model_spec())
    (finding,) = prediction.findings
    assert finding.presence is Presence.PRESENT
    assert finding.probability == pytest.approx(0.9)
    assert finding.key_instance_uid == "1.2.2"
    assert prediction.urgency is Urgency.CRITICAL
    assert prediction.priority_score is None


def test_what_is_absent_has_no_key_image_and_no_urgency() -> None:
    prediction = read(column(0.1, 0.2, 0.3, 0.2), model_spec())
    assert prediction.findings[0].presence is Presence.ABSENT
    assert prediction.findings[0].key_instance_uid is None
    assert prediction.urgency is Urgency.NONE


def test_a_prediction_names_its_version_and_its_input() -> None:
    prediction = read(column(0, 0, 0, 0), model_spec(), notes=("thick slices",))
    assert prediction.stamp is STAMP
    assert (prediction.series_uid, prediction.input_digest) == ("1.1", "1" * 64)
    assert prediction.notes == ("thick slices",)


@pytest.mark.parametrize(
    ("probability", "presence"),
    [
        (0.39, Presence.ABSENT),
        (0.4, Presence.INDETERMINATE),
        (0.5, Presence.INDETERMINATE),
        (0.6, Presence.INDETERMINATE),
        (0.61, Presence.PRESENT),
    ],
)
def test_inside_the_band_the_version_abstains(probability: float, presence: Presence) -> None:
    assert presence_of(finding_spec(abstain_low=0.4, abstain_high=0.6), probability) is presence


def test_the_threshold_itself_is_present() -> None:
    assert presence_of(finding_spec(threshold=0.5), 0.5) is Presence.PRESENT


@pytest.mark.parametrize(
    ("how", "expected"), [(Aggregation.MAX, 0.8), (Aggregation.TOP3_MEAN, (0.8 + 0.5 + 0.2) / 3)]
)
def test_aggregation(how: Aggregation, expected: float) -> None:
    assert aggregate(np.array([0.2, 0.8, 0.1, 0.5], np.float32), how) == pytest.approx(expected)


def test_the_top_three_of_two_are_two() -> None:
    assert aggregate(np.array([0.2, 0.8], np.float32), Aggregation.TOP3_MEAN) == pytest.approx(0.5)


def test_a_version_for_single_images_does_not_read_several() -> None:
    with pytest.raises(ModelFailed):
        read(column(0, 0, 0, 0), model_spec(output=output_spec(aggregation=Aggregation.SINGLE)))


def test_padding_slices_have_nothing_to_say() -> None:
    spec = model_spec(input=input_spec(size=(6, 0, 0)))
    (finding,) = read(column(0.99, 0.1, 0.7, 0.1, 0.1, 0.99), spec).findings
    assert finding.probability == pytest.approx(0.7)
    assert finding.key_instance_uid == "1.2.1"


def test_a_resampled_slice_points_to_the_source_at_its_centre() -> None:
    spec = model_spec(input=input_spec(spacing_mm=(1.0, 0.0, 0.0)))
    outputs = column(*[0.9 if item == 5 else 0.1 for item in range(8)])
    assert read(outputs, spec).findings[0].key_instance_uid == "1.2.2"


@given(logit=st.floats(-1e4, 1e4, width=32))
def test_the_sigmoid_is_applied_when_the_spec_says_so_and_never_overflows(logit: float) -> None:
    with np.errstate(over="raise", invalid="raise"):
        value = probabilities(np.array([logit], np.float32), Activation.SIGMOID)
    assert value[0] == pytest.approx(1 / (1 + np.exp(-np.float64(max(-700.0, logit)))), abs=1e-6)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, 3.0])
def test_a_version_that_promised_probabilities_must_return_some(wrong: float) -> None:
    with pytest.raises(ModelFailed, match=r"0\.\.1"):
        read(column(0, 0, wrong, 0), model_spec())


def test_rounding_at_the_ends_is_forgiven() -> None:
    (finding,) = read(column(0, 0, 1.00001, 0), model_spec()).findings
    assert finding.probability == 1.0


@given(low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_higher_probability_never_lowers_the_priority(low: float, high: float) -> None:
    spec = model_spec(output=output_spec(priority=((0.2, 10), (0.6, 80), (0.7, 95))))
    low, high = sorted((low, high))
    first, second = (read(column(p, 0, 0, 0), spec).priority_score for p in (low, high))
    assert first is not None
    assert second is not None
    assert 10 <= first <= second <= 95


def test_priority_is_linear_between_its_points() -> None:
    spec = model_spec(output=output_spec(priority=((0.2, 10), (0.6, 80))))
    assert read(column(0.4, 0, 0, 0), spec).priority_score == 45


def test_what_can_never_be_urgent_gives_no_priority() -> None:
    calm = finding_spec(urgency=Urgency.NONE)
    spec = model_spec(output=output_spec(findings=(calm, finding_spec()), priority=PRIORITY))
    outputs = np.tile(np.array([1.0, 0.3], np.float32), (4, 1))
    assert read(outputs, spec).priority_score == 30


def test_the_most_urgent_present_finding_counts() -> None:
    rules = (finding_spec(urgency=Urgency.NONCRITICAL), finding_spec(urgency=Urgency.URGENT))
    outputs = np.tile(np.array([1.0, 0.9], np.float32), (4, 1))
    assert read(outputs, model_spec(output=output_spec(findings=rules))).urgency is Urgency.URGENT


@pytest.mark.parametrize("shape", [(4,), (4, 2), (3, 1), (4, 1, 1)])
def test_outputs_of_another_shape_are_a_failure(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelFailed, match="shape"):
        read(np.zeros(shape), model_spec())


def test_the_failure_of_the_forward_is_raised_here() -> None:
    source = volume(ramp())
    failure = ModelFailed("the network failed with IndexError")
    with pytest.raises(ModelFailed, match="IndexError"):
        interpret(failure, source, prepare(source, input_spec()), model_spec(), STAMP)


def segmentation(**changes: Any) -> ModelSpec:
    whole: dict[str, Any] = {"task": Task.SEGMENTATION, "segment": BRAIN, "volume_concept": VOLUME}
    return model_spec(input=input_spec(layout=Layout.VOLUME), output=OutputSpec(**(whole | changes)))


def test_a_mask_is_measured_in_millilitres() -> None:
    outputs = np.zeros((1, 1, 4, 6, 8))
    outputs[0, 0, 1:3, 2:4, 2:7] = 0.8
    prediction = read(outputs, segmentation())
    assert prediction.mask is not None
    assert prediction.mask.sum() == 20
    (measurement,) = prediction.measurements
    assert measurement.value == pytest.approx(20 * 2.0 / 1000)
    assert (measurement.unit.value, measurement.concept, measurement.site) == ("ml", VOLUME, BRAIN)
    assert prediction.mask_concept == BRAIN


def test_slices_can_be_segmented_one_by_one() -> None:
    spec = model_spec(output=OutputSpec(Task.SEGMENTATION, segment=BRAIN))
    outputs = np.zeros((4, 1, 6, 8))
    outputs[2, 0, 1, 3] = 1
    mask = read(outputs, spec).mask
    assert mask is not None
    assert np.argwhere(mask).tolist() == [[2, 1, 3]]


def test_an_empty_mask_is_said() -> None:
    prediction = read(np.zeros((1, 1, 4, 6, 8)), segmentation(mask_cleanup=MaskCleanup.LARGEST_FILLED))
    assert prediction.measurements[0].value == 0
    assert prediction.notes == ("the segment was not found in the series",)


def test_without_spacing_there_is_no_volume() -> None:
    with pytest.raises(BrokenGeometry):
        read(np.ones((1, 1, 4, 6, 8)), segmentation(), geometry=geometry(spacing_mm=(2.0, 0.0, 0.0)))


def test_clean_up_keeps_the_largest_part_and_fills_its_hole() -> None:
    mask = np.zeros((7, 7, 9), bool)
    mask[1:6, 1:6, 1:6] = True
    mask[3, 3, 3] = False
    mask[1, 1, 8] = True
    cleaned = clean(mask, MaskCleanup.LARGEST_FILLED)
    assert cleaned.sum() == 125
    assert cleaned[3, 3, 3]
    assert not cleaned[1, 1, 8]
    assert clean(mask, MaskCleanup.NONE) is mask


def localisation(**input_changes: Any) -> ModelSpec:
    whole: dict[str, Any] = {"layout": Layout.IMAGE, "size": (0, 24, 24), "fit": Fit.CONTAIN}
    return model_spec(
        input=input_spec(**(whole | input_changes)),
        output=OutputSpec(
            Task.LOCALISATION,
            (finding_spec(),),
            boxes=(BoxSpec(BRAIN, 0.5), BoxSpec(LEFT, 0.5)),
        ),
    )


def test_boxes_come_back_in_pixels_of_the_source() -> None:
    """A source of 6 × 8 is shown three times as large, with 3 rows above it."""
    found = [[0.9, 6, 3, 12, 9], [0.8, -5, -5, 90, 90]]
    prediction = read([found], localisation())
    first, second = prediction.boxes
    assert (first.row_start, first.column_start, first.row_stop, first.column_stop) == (1, 1, 3, 3)
    assert (second.row_start, second.column_start, second.row_stop, second.column_stop) == (0, 0, 6, 8)
    assert (first.concept, second.concept, first.instance_uid) == (BRAIN, LEFT, "1.2.0")


def test_a_localisation_is_as_sure_as_its_least_box() -> None:
    prediction = read([[[0.9, 6, 3, 12, 9], [0.2, 6, 3, 12, 9]]], localisation())
    assert [box.concept for box in prediction.boxes] == [BRAIN]
    assert prediction.findings[0].probability == pytest.approx(0.2)
    assert prediction.findings[0].presence is Presence.ABSENT


def test_a_box_beside_the_image_is_no_box() -> None:
    prediction = read([[[0.9, 0, 0, 2, 24], [0.9, 6, 3, 12, 9]]], localisation())
    assert [box.concept for box in prediction.boxes] == [LEFT]


def test_features_are_one_row() -> None:
    spec = model_spec(input=input_spec(layout=Layout.VOLUME), output=OutputSpec(Task.FEATURES))
    features = read([[1.0, 2.0, 3.0]], spec).features
    assert features is not None
    assert features.tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ModelFailed):
        read([[1.0], [2.0]], spec)


def test_a_study_is_read_in_three_timed_stages() -> None:
    spec = model_spec(output=output_spec(activation=Activation.SIGMOID))
    prediction, seconds = run(
        lambda batch: batch.amax((1, 2, 3))[:, None], volume(ramp()), spec, STAMP, device=torch.device("cpu")
    )
    assert prediction.findings[0].key_instance_uid == "1.2.3"  # though all sigmoids round to 1
    assert min(seconds.prepare_s, seconds.forward_s, seconds.interpret_s) > 0
