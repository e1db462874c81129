"""One version reads one volume: prepare → forward → interpret."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

import torch

from imaging.finding import ModelStamp, Prediction
from imaging.volume import Volume
from models.forward import Network, forward
from models.interpret import interpret
from models.prepare import prepare
from models.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class StageSeconds:
    """Wall time of each stage."""

    prepare_s: float
    forward_s: float
    interpret_s: float


def run(
    network: Network, volume: Volume, spec: ModelSpec, stamp: ModelStamp, *, device: torch.device
) -> tuple[Prediction, StageSeconds]:
    """Read the volume. Raises StudyError when it cannot be prepared, ModelFailed when not computed."""
    marks = [time.perf_counter()]
    prepared = prepare(volume, spec.input)
    marks.append(time.perf_counter())
    (outputs,) = forward(network, [prepared], spec.input.batch, device)
    marks.append(time.perf_counter())
    prediction = interpret(outputs, volume, prepared, spec, stamp)
    marks.append(time.perf_counter())
    return prediction, StageSeconds(*(end - start for start, end in pairwise(marks)))
