"""Boxes that a network found, back on the source's pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from imaging.finding import Box
from imaging.volume import ImageName
from models.placement import Axis
from models.prepare import Prepared
from models.spec import BoxSpec

Floats = npt.NDArray[np.float32]


def best_items(scores: Floats) -> list[int]:
    """For each box of `scores` `(items, boxes)` the item that shows it best."""
    return [int(index) for index in scores.argmax(axis=0)]


def boxes_on_source(
    corners: Floats,
    scores: Floats,
    prepared: Prepared,
    specs: Sequence[BoxSpec],
    image_of: Callable[[int], ImageName],
) -> tuple[Box, ...]:
    """Each structure that was found, once, on the image that shows it best. `corners` `(items, boxes, 4)`.

    `image_of` names a slice of the source.
    """
    boxes = []
    for index, (spec, item) in enumerate(zip(specs, best_items(scores), strict=True)):
        position = prepared.slices[item]
        if position is not None and scores[item, index] >= spec.threshold:
            boxes.append(_box(spec, corners[item, index], prepared, image_of(position)))
    return tuple(box for box in boxes if box.row_start < box.row_stop and box.column_start < box.column_stop)


def _box(spec: BoxSpec, corners: Floats, prepared: Prepared, image: ImageName) -> Box:
    _, rows, columns = prepared.placement
    row_start, column_start, row_stop, column_stop = (float(edge) for edge in corners)
    return Box(
        spec.concept,
        image.instance_uid,
        row_start=_pixel(rows, row_start),
        column_start=_pixel(columns, column_start),
        row_stop=_pixel(rows, row_stop),
        column_stop=_pixel(columns, column_stop),
        frame=image.frame,
    )


def _pixel(axis: Axis, edge: float) -> int:
    return min(axis.source_size, max(0, round(axis.to_source(edge))))
