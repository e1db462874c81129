"""The golden pair: a synthetic input and the answer that the author's network gave, stored with the artifact.

A replica is warm when its network gives that answer again. The pair is signed with the rest of the artifact.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.errors import ModelRefused
from registry.admission import GOLDEN

INPUT, OUTPUT, TOLERANCE = "input.npy", "output.npy", "tolerance.json"


@dataclass(frozen=True, slots=True)
class Golden:
    """One item in and out: `inputs` (1, channels, …), `outputs` (1, …). Tolerances as in `numpy.allclose`."""

    inputs: npt.NDArray[np.float32]
    outputs: npt.NDArray[np.float32]
    relative: float = 1e-3
    absolute: float = 1e-4

    def agrees(self, outputs: npt.NDArray[np.float32]) -> bool:
        """Whether every row of `outputs` is the golden answer."""
        return outputs.shape[1:] == self.outputs.shape[1:] and np.allclose(
            outputs, self.outputs, rtol=self.relative, atol=self.absolute
        )


def write_golden(artifact: Path, golden: Golden) -> None:
    """Put the pair into the artifact's `golden` folder."""
    folder = artifact / GOLDEN
    folder.mkdir(parents=True)
    np.save(folder / INPUT, golden.inputs, allow_pickle=False)
    np.save(folder / OUTPUT, golden.outputs, allow_pickle=False)
    tolerance = {"relative": golden.relative, "absolute": golden.absolute}
    (folder / TOLERANCE).write_text(json.dumps(tolerance))


def read_golden(artifact: Path) -> Golden:
    """Raises ModelRefused when the pair is missing or is not two float32 arrays."""
    folder = artifact / GOLDEN
    try:
        inputs, outputs = (np.load(folder / name, allow_pickle=False) for name in (INPUT, OUTPUT))
        golden = Golden(inputs, outputs, **json.loads((folder / TOLERANCE).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ModelRefused("the artifact has no readable golden input and output") from error
    if inputs.dtype != np.float32 or outputs.dtype != np.float32:
        raise ModelRefused("the artifact's golden arrays are not float32")
    return golden
