"""Live stacks and real PACSs for the stories.

The first `serinus up` of a session starts from an empty folder, as a stranger's does. What it made (keys,
registered models, samples) is then copied to the folders of the stories that break their stack. Two workers share it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from xdist.scheduler.loadfile import LoadFileScheduling

from models.zoo.ich import versions as ich
from registry.client import RegistryClient
from registry.server import start_embedded, stop_embedded
from serve_apps.embedded.ports import free_ports
from tests.orthanc import Orthanc
from tests.receiver import Receiver
from tests.stack import ROOT, LiveStack

KEPT = ("keys", "mlflow", "samples", "downloads", "weights")
First = tuple[Path, dict[str, Any]]
NewStack = Callable[..., LiveStack]


class ByStack(LoadFileScheduling):  # type: ignore[misc]
    """Of two workers, one has all files that use the shared stack; the others go file by file."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        is_shared = re.search(r"def test_\w+\([^)]*\bstack: LiveStack", (ROOT / file).read_text())
        return "the shared stack" if is_shared else file.name


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByStack:
    return ByStack(config, log)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Where workers find what one of them has made for all."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


def made_once(folder: Path, make: Callable[[Path], dict[str, Any]]) -> First:
    """What `make` has made in `folder`, by whichever worker came first, and the document that it returned."""
    document = folder.with_suffix(".json")
    with FileLock(folder.with_suffix(".lock")):
        if not document.exists():
            folder.mkdir()
            document.write_text(json.dumps(make(folder)))
    return folder, json.loads(document.read_text())


@pytest.fixture(scope="session")
def first_up(shared_folder: Path) -> First:
    """A folder after a `serinus up` and a `serinus down`, with the document that `up` printed.

    It is the very first `up`, unless E2E_SEED names a state folder that was made before (`.ci/run` has one).
    """
    return made_once(shared_folder / "first", first_start)


def first_start(folder: Path) -> dict[str, Any]:
    if seed := os.environ.get("E2E_SEED"):
        copy_kept(Path(seed), folder)
    stack = LiveStack(folder)
    try:
        printed = stack.up(demo=True)
    finally:
        stack.down()
    assert stack.alive == 0
    return printed


@pytest.fixture(scope="session")
def lean(first_up: First, shared_folder: Path) -> Path:
    """The same folder for stories of one model: the others lose their champion, so that nothing starts for them."""

    def make(folder: Path) -> dict[str, Any]:
        copy_kept(first_up[0], folder)
        mlflow = start_embedded(folder / "mlflow", free_ports(1)[0])
        try:
            client = RegistryClient(mlflow.url)
            for model in set(client.models()) - {ich.NAME}:
                client.delete_alias(model, "champion")
        finally:
            stop_embedded(folder / "mlflow")
        return {}

    return made_once(shared_folder / "lean", make)[0]


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
def collector() -> Iterator[Receiver]:
    """The site's own OTLP collector, beside MLflow."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def stack(
    first_up: First,
    pacs: Orthanc,
    announcing_pacs: Orthanc,
    collector: Receiver,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LiveStack]:
    """The stack of all stories that leave it as it was, with all demo models."""
    both = {"pacs": pacs, "announcing": announcing_pacs}
    sources = [{"id": id_, "kind": "dicomweb", "base_url": one.dicomweb_url} for id_, one in both.items()]
    stack = LiveStack(
        tmp_path_factory.mktemp("live"),
        sources,
        otlp_endpoint=f"{collector.base}/v1/traces",
        otlp_metrics_endpoint=f"{collector.base}/v1/metrics",
        trusted_trace_callers=["admin"],
    )
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
