"""MLflow goes away: what this node has keeps loading, in this process and the next. Downloads resume."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.errors import RegistryUnavailable
from registry.cache import NodeCache
from registry.client import ModelVersion, RegistryClient
from registry.register import register_model
from registry.server import (
    EmbeddedServer,
    EmbeddedServerError,
    answers,
    owned_processes,
    start_embedded,
    stop_embedded,
)
from registry.signing import load_verify_key
from tests.integration.registry.tiny import tiny_package

LOAD_IN_A_NEW_PROCESS = """
import sys, torch
from pathlib import Path
from registry.cache import NodeCache
from registry.client import RegistryClient
from registry.loading import load_network
from registry.signing import load_verify_key
url, cache, key, version = sys.argv[1:]
cached = NodeCache(Path(cache), RegistryClient(url), load_verify_key(Path(key))).fetch("leaving", version)
print(load_network(cached, torch.device("cpu")).max_batch, cached.live, "mlflow" in sys.modules)
"""


def test_a_stopped_mlflow_takes_nothing_away(
    own_folder: Path,
    free_port: Callable[[], int],
    signing_key: Ed25519PrivateKey,
    key_files: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    server = start_embedded(own_folder, free_port())
    client = RegistryClient(server.url)
    version = register_model(tiny_package("leaving"), tracking_uri=server.url, signing_key=signing_key)
    client.set_alias("leaving", "champion", version.version)
    cache = NodeCache(tmp_path / "cache", client, load_verify_key(key_files[1]))
    first = cache.fetch("leaving", "1")

    assert stop_embedded(own_folder) == 2
    assert owned_processes(own_folder) == ()
    again = cache.fetch("leaving", "1")
    assert (again.digest, again.tags, again.live) == (first.digest, first.tags, False)
    command = [sys.executable, "-c", LOAD_IN_A_NEW_PROCESS, server.url, str(tmp_path / "cache")]
    done = subprocess.run([*command, str(key_files[1]), "1"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "False", "False"]
    started = time.monotonic()
    with pytest.raises(RegistryUnavailable):
        cache.fetch("leaving", "2")
    assert time.monotonic() - started < 5


def test_the_embedded_server_is_started_once_and_ended_whole(
    own_folder: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    server = start_embedded(own_folder, port)
    assert start_embedded(own_folder, port) == server
    os.kill(server.pid, signal.SIGKILL)
    while server.pid in owned_processes(own_folder):
        time.sleep(0.05)
    assert answers(server), "MLflow's uvicorn outlives its parent"
    assert stop_embedded(own_folder) == 1
    assert not answers(server)
    assert owned_processes(own_folder) == ()
    assert stop_embedded(own_folder) == 0
    restarted = start_embedded(own_folder, port)
    assert answers(restarted)


def test_a_port_in_use_is_said_plainly(mlflow_server: EmbeddedServer, own_folder: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=f"port {mlflow_server.port} is in use"):
        start_embedded(own_folder, mlflow_server.port)


class CountingClient(RegistryClient):
    """Remembers from which byte each file was asked for."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: dict[str, list[int]] = {}

    @contextmanager
    def download(self, root: str, path: str, offset: int = 0) -> Iterator[tuple[bool, Iterator[bytes]]]:
        self.asked.setdefault(path, []).append(offset)
        with super().download(root, path, offset) as answer:
            yield answer


def test_a_broken_download_is_resumed_where_it_broke(
    tiny: ModelVersion, mlflow_server: EmbeddedServer, key_files: tuple[Path, Path], tmp_path: Path
) -> None:
    client = CountingClient(mlflow_server.url)
    cache = NodeCache(tmp_path, client, load_verify_key(key_files[1]))
    whole = cache.fetch("tiny", "1")
    size = whole.artifact.network.stat().st_size
    part = whole.path.with_suffix(".part")
    whole.path.rename(part)
    os.truncate(part / "data" / "model.pt2", size // 3)
    (part / "golden" / "input.npy").unlink()
    (part / "stray.txt").write_text("left by another version of the listing")
    client.asked.clear()
    assert cache.fetch("tiny", "1").digest == whole.digest
    assert client.asked == {"data/model.pt2": [size // 3], "golden/input.npy": [0]}


def test_eight_at_once_download_once(
    tiny: ModelVersion, mlflow_server: EmbeddedServer, key_files: tuple[Path, Path], tmp_path: Path
) -> None:
    client = CountingClient(mlflow_server.url)
    cache = NodeCache(tmp_path, client, load_verify_key(key_files[1]))
    with ThreadPoolExecutor(8) as pool:
        digests = {each.digest for each in pool.map(lambda _: cache.fetch("tiny", "1"), range(8))}
    assert len(digests) == 1
    assert all(len(asked) == 1 for asked in client.asked.values())
