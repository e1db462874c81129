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

from models.zoo.ich import versions as ich
from registry.client import RegistryClient
from registry.server import start_embedded, stop_embedded
from serve_apps.embedded.ports import free_ports
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
def lean(first_up: First, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same folder for stories of one model: the others lose their champion, so that nothing starts for them."""
    folder = tmp_path_factory.mktemp("lean")
    copy_kept(first_up[0], folder)
    mlflow = start_embedded(folder / "mlflow", free_ports(1)[0])
    try:
        client = RegistryClient(mlflow.url)
        for model in set(client.models()) - {ich.NAME}:
            client.delete_alias(model, "champion")
    finally:
        stop_embedded(folder / "mlflow")
    return folder


def copy_kept(source: Path, folder: Path) -> None:
    for part in KEPT:
        shutil.copytree(source / part, folder / part)


@pytest.fixture(scope="module")
def new_stack(lean: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewStack]:
    """Makes a stack that is up until the module ends, in a folder of its own, with the haemorrhage models."""
    with ExitStack() as ending:

        def make(name: str, *sources: dict[str, Any], environment: dict[str, str] | None = None) -> LiveStack:
            stack = LiveStack(tmp_path_factory.mktemp(name), sources)
            copy_kept(lean, stack.settings.state_dir)
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
def announcing_pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A PACS that tells the stack of its studies: whoever needs it starts it, as he needs it."""
    orthanc = Orthanc(tmp_path_factory.mktemp("announcing"))
    yield orthanc
    orthanc.stop()


@pytest.fixture(scope="session")
def stack(
    first_up: First, pacs: Orthanc, announcing_pacs: Orthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveStack]:
    """The stack of all stories that leave it as it was, with all demo models."""
    both = {"pacs": pacs, "announcing": announcing_pacs}
    sources = [{"id": id_, "kind": "dicomweb", "base_url": one.dicomweb_url} for id_, one in both.items()]
    stack = LiveStack(tmp_path_factory.mktemp("live"), sources)
    copy_kept(first_up[0], stack.settings.state_dir)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="session")
def head_ct(first_up: First) -> Path:
    """The real head CT as written by `serinus samples`."""
    return first_up[0] / "samples" / "head-ct"
