"""The scripts of deploy/triggers, which belong to no package."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

from tests.stack import ROOT

RECIPES = ROOT / "deploy" / "triggers"


def recipe(name: str) -> Any:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(
        spec
    )  # a dataclass looks for its module there
    spec.loader.exec_module(module)
    return module
