"""Network output becomes a Prediction, as the OutputSpec says. Platform code, the same for every version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from core.errors import ModelFailed
from imaging.finding import ModelStamp, Prediction
from imaging.volume import ImageName, Volume
from models.boxes import best_items, boxes_on_source
from models.decide import aggregate, decide, most_urgent, priority_score, probabilities
from models.masks import clean, mask_on_source, volume_of
from models.prepare import Prepared
from models.spec import Layout, ModelSpec, Task

Floats = npt.NDArray[np.float32]


def interpret(
    outputs: Floats | ModelFailed, volume: Volume, prepared: Prepared, spec: ModelSpec, stamp: ModelStamp
) -> Prediction:
    """Say what the outputs mean. Raises ModelFailed: that of the forward, or one for a wrong shape."""
    if isinstance(outputs, ModelFailed):
        raise outputs
    blank = Prediction(stamp, volume.series_uid, volume.input_digest, findings=(), notes=volume.notes)
    prediction = _READERS[spec.output.task](outputs, volume, prepared, spec, blank)
    return replace(
        prediction,
        urgency=most_urgent(prediction.findings),
        priority_score=priority_score(prediction.findings, spec.output),
    )


def _classification(
    outputs: Floats, volume: Volume, prepared: Prepared, spec: ModelSpec, blank: Prediction
) -> Prediction:
    rules = spec.output.findings
    _expect(outputs, (len(prepared.slices), len(rules)))
    items = _real_items(prepared, spec.input.layout)
    outputs = outputs[items]
    values = probabilities(outputs, spec.output.activation)
    findings = tuple(
        decide(
            rule,
            aggregate(values[:, column], spec.output.aggregation),
            _image(volume, prepared, items[int(outputs[:, column].argmax())]),
        )
        for column, rule in enumerate(rules)
    )
    return replace(blank, findings=findings)


def _segmentation(
    outputs: Floats, volume: Volume, prepared: Prepared, spec: ModelSpec, blank: Prediction
) -> Prediction:
    grid = tuple(axis.size for axis in prepared.placement)
    is_volume = spec.input.layout is Layout.VOLUME
    _expect(outputs, (1, 1, *grid) if is_volume else (grid[0], 1, *grid[1:]))
    probability = probabilities(outputs[0, 0] if is_volume else outputs[:, 0], spec.output.activation)
    mask = clean(
        mask_on_source(probability, prepared.placement, spec.output.mask_threshold, spec.input.interpolation),
        spec.output.mask_cleanup,
    )
    concept, segment = spec.output.volume_concept, spec.output.segment
    measured = (
        (volume_of(mask, volume.geometry, concept, segment),)
        if concept is not None and segment is not None
        else ()
    )
    notes = blank.notes if mask.any() else (*blank.notes, "the segment was not found in the series")
    return replace(blank, measurements=measured, mask=mask, mask_concept=segment, notes=notes)


def _localisation(
    outputs: Floats, volume: Volume, prepared: Prepared, spec: ModelSpec, blank: Prediction
) -> Prediction:
    rules = spec.output.boxes
    _expect(outputs, (len(prepared.slices), len(rules), 5))
    scores = probabilities(outputs[:, :, 0], spec.output.activation)
    boxes = boxes_on_source(outputs[:, :, 1:], scores, prepared, rules, volume.image)
    least = int(scores.max(axis=0).argmin())
    key = _image(volume, prepared, best_items(scores)[least])
    findings = tuple(decide(rule, float(scores.max(axis=0)[least]), key) for rule in spec.output.findings)
    return replace(blank, findings=findings, boxes=boxes)


def _features(
    outputs: Floats, volume: Volume, prepared: Prepared, spec: ModelSpec, blank: Prediction
) -> Prediction:
    if outputs.ndim != 2 or len(outputs) != 1:
        raise ModelFailed("the network did not return one row of features")
    return replace(blank, features=outputs[0].astype(np.float32))


_READERS: Mapping[Task, Callable[[Floats, Volume, Prepared, ModelSpec, Prediction], Prediction]]
_READERS = MappingProxyType(
    {
        Task.CLASSIFICATION: _classification,
        Task.SEGMENTATION: _segmentation,
        Task.LOCALISATION: _localisation,
        Task.FEATURES: _features,
    }
)


def _expect(outputs: Floats, shape: tuple[int, ...]) -> None:
    if outputs.shape != shape:
        raise ModelFailed(f"the network returned an array of shape {outputs.shape} instead of {shape}")


def _real_items(prepared: Prepared, layout: Layout) -> list[int]:
    """The items that show the patient: padding has nothing to say."""
    if layout is Layout.VOLUME:
        return [0]
    return [item for item, position in enumerate(prepared.slices) if position is not None]


def _image(volume: Volume, prepared: Prepared, item: int) -> ImageName | None:
    position = prepared.slices[item]
    return None if position is None else volume.image(position)
