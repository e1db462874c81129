"""Live stacks and real PACSs for the stories.

The first `serinus up` of a session starts from an empty folder, as a stranger's does. What it made (keys,
registered models, samples) is then copied to the folders of the stories that break their stack.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.orthanc import Orthanc
from tests.stack import LiveStack

KEPT = ("keys", "mlflow", "samples", "downloads", "weights")
First = tuple[Path, dict[str, Any]]
NewStack = Callable[..., LiveStack]


@pytest.fixture(scope="session")
def first_up(tmp_path_factory: pytest.TempPathFactory) -> First:
    """A folder after the very first `serinus up` and a `serinus down`, with the document that `up` printed."""
    folder = tmp_path_factory.mktemp("first")
    stack = LiveStack(folder)
    try:
        printed = stack.up(demo=True)
    finally:
        stack.down()
    assert stack.alive == 0
    return folder, printed


@pytest.fixture(scope="session")
def new_stack(first_up: First, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewStack]:
    """Makes a stack that is up, in a folder of its own, with the demo models registered."""
    first, _ = first_up
    with ExitStack() as ending:

        def make(name: str, *sources: dict[str, Any], environment: dict[str, str] | None = None) -> LiveStack:
            folder = tmp_path_factory.mktemp(name)
            for part in KEPT:
                shutil.copytree(first / part, folder / part)
            stack = LiveStack(folder, sources)
            stack.environment |= environment or {}
            ending.callback(stack.down)
            stack.up()
            return stack

        yield make


@pytest.fixture(scope="session")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("pacs")) as orthanc:
        yield orthanc


@pytest.fixture(scope="session")
def stack(new_stack: NewStack, pacs: Orthanc) -> LiveStack:
    """The stack of all stories that leave it as it was."""
    return new_stack("live", {"id": "pacs", "kind": "dicomweb", "base_url": pacs.dicomweb_url})


@pytest.fixture(scope="session")
def head_ct(first_up: First) -> Path:
    """The real head CT as written by `serinus samples`."""
    return first_up[0] / "samples" / "head-ct"
