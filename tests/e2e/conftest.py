"""One live stack and one real PACS for all stories that do not break them; the others start their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.orthanc import Orthanc
from tests.stack import LiveStack


@pytest.fixture(scope="session")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("pacs")) as orthanc:
        yield orthanc


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc) -> Iterator[tuple[LiveStack, dict[str, Any]]]:
    """The stack after `serinus up`, with the document that it printed."""
    folder = tmp_path_factory.mktemp("live")
    stack = LiveStack(folder, [{"id": "pacs", "kind": "dicomweb", "base_url": pacs.dicomweb_url}])
    try:
        yield stack, stack.up(demo=True)
    finally:
        stack.down()


@pytest.fixture(scope="session")
def stack(up: tuple[LiveStack, dict[str, Any]]) -> LiveStack:
    return up[0]


@pytest.fixture(scope="session")
def head_ct(stack: LiveStack) -> Path:
    """The real head CT as written by `serinus samples`."""
    (sample,) = stack.run("samples", "--only", "head-ct")  # type: ignore[misc]
    return Path(sample["folder"])  # type: ignore[index]
