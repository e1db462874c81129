"""Which data exactly: phantoms follow from the generator's code and their recipe, so these two are digested."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from models.zoo.ich.trained import training_report

HERE: Final = Path(__file__).parent
GENERATOR: Final = ("anatomy.py", "bleed.py", "fields.py", "phantom.py", "scanner.py")
EVALUATION: Final = (*GENERATOR, "cohort.py", "cohort_reading.py", "evaluate.py", "real_head.py")


def training_digest(version: int) -> str:
    """32 hexadecimal digits over the generator and the version's recipe (seed, number, mixture)."""
    return _digest(GENERATOR, training_report(version)["recipe"])


def evaluation_digest() -> str:
    """32 hexadecimal digits over the generator and the code that draws the held-out sets."""
    return _digest(EVALUATION, None)


def _digest(files: tuple[str, ...], recipe: Any) -> str:
    hasher = blake2b(digest_size=16)
    for name in files:
        hasher.update(name.encode() + b"\0" + (HERE / name).read_bytes())
    hasher.update(json.dumps(recipe, sort_keys=True).encode())
    return hasher.hexdigest()
