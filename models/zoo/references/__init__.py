"""What the demo models' reference sets look like, fitted once and committed as their weights are.

`python -m models.zoo.references.fit` makes the files again, from studies that `sets` computes or fetches.
"""

from __future__ import annotations

import json
from importlib import resources

from models.input_check.reference import Reference, reference_from_json


def reference_of(model: str) -> Reference:
    """The fitted reference of a demo model. All its versions read the same studies, so they share one."""
    return reference_from_json(json.loads((resources.files(__name__) / f"{model}.json").read_text()))
