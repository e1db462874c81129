"""Up, down and what is running: level-triggered, so that a second `up` is quick and harmless.

`up` looks at what is there and starts what is missing; `down` ends exactly what `up` started.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import yaml

from core.atomic_write import atomic_write
from core.errors import RegistryUnavailable
from registry.client import RegistryClient
from registry.server import start_embedded
from registry.webhook_subscription import subscribe
from serve_apps.embedded.ports import require_free
from serve_apps.embedded.processes import STACK_ID, end_processes, owned_processes
from serve_apps.embedded.ray_head import dashboard_answers, ray_environment, start_ray
from serve_apps.embedded.secrets import ensure_secrets
from serve_apps.settings import Settings

CONFIG = Path(__file__).parents[2] / "serve_config.yaml"
READY_TIMEOUT_S = 300.0
Progress = Callable[[str], None]


class NotReady(RuntimeError):
    """The stack was started and did not become ready in time."""


@dataclass(frozen=True, slots=True)
class Stack:
    """What one `up` started, as kept in `stack.json`."""

    id: str
    ray_pid: int | None = None
    mlflow_pid: int | None = None

    @classmethod
    def load(cls, path: Path) -> Stack | None:
        return cls(**json.loads(path.read_text())) if path.exists() else None

    def save(self, path: Path) -> None:
        atomic_write(path, json.dumps(asdict(self)).encode())


def prepare_state(settings: Settings) -> Stack:
    """The state folder with its secrets, and the identity of this stack."""
    ensure_secrets(settings.paths)
    stack = Stack.load(settings.paths.stack) or Stack(id=secrets.token_hex(8))
    stack.save(settings.paths.stack)
    os.environ[STACK_ID] = stack.id  # inherited by every process that we start from here on
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # our own output is a document or a table
    os.environ["MLFLOW_LOGGING_LEVEL"] = "WARNING"
    return stack


def start_registry(settings: Settings, stack: Stack, progress: Progress) -> Stack:
    """The embedded MLflow server, unless the site names its own. One that runs is found and kept."""
    if settings.mlflow_url is not None:
        return stack
    if not registry_answers(settings):
        progress("starting the MLflow server")
    server = start_embedded(settings.paths.mlflow, port=settings.mlflow_port)
    stack = replace(stack, mlflow_pid=server.pid)
    stack.save(settings.paths.stack)
    return stack


def subscribe_to_registry(settings: Settings) -> None:
    """Have the embedded MLflow wake us at a change. Without it a change is seen at the next poll."""
    if settings.mlflow_url is not None:
        return
    secret = settings.paths.webhook_key.read_text().strip()
    with suppress(RegistryUnavailable):
        url = f"{settings.api_url}/v1/webhooks/mlflow"
        subscribe(RegistryClient(settings.registry_url), url, secret)


def start_serving(settings: Settings, stack: Stack, progress: Progress) -> Stack:
    """The Ray head and, by `serve deploy`, what serve_config.yaml says."""
    if dashboard_answers(settings):
        _require_own_ray(settings, stack)
    else:
        require_free(
            {
                "SERINUS_API_PORT": settings.api_port,
                "SERINUS_RAY_PORT": settings.ray_port,
                "SERINUS_RAY_DASHBOARD_PORT": settings.ray_dashboard_port,
            }
        )
        progress("starting a Ray head")
        stack = replace(stack, ray_pid=start_ray(settings))
        stack.save(settings.paths.stack)
    progress("serve deploy serve_config.yaml")
    serve_deploy(settings)
    return stack


def serve_deploy(settings: Settings, config: Path = CONFIG) -> None:
    """Run Serve's own command on the config; ports and host moved by settings go into a copy of it."""
    path = effective_config(settings, config)
    command = [sys.executable, "-m", "ray.serve.scripts", "deploy", str(path)]
    command += ["--address", settings.dashboard_url]
    environment = ray_environment(settings)
    environment.pop("RAY_ADDRESS")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        raise NotReady(f"serve deploy failed:\n{done.stdout}{done.stderr}")


def effective_config(settings: Settings, config: Path = CONFIG) -> Path:
    """The config itself when nothing was moved, else a copy in the state folder."""
    document: dict[str, Any] = yaml.safe_load(config.read_text())
    wanted = document["http_options"] | {"host": settings.host, "port": settings.api_port}
    if wanted == document["http_options"]:
        return config
    document["http_options"] = wanted
    path = settings.paths.root / "serve_config.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def wait_ready(settings: Settings, progress: Progress) -> None:
    """Until /readyz says 200; tells what it waits for whenever that changes."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    told = ""
    while time.monotonic() < deadline:
        waiting_for = _waiting_for(settings)
        if waiting_for is None:
            return
        if waiting_for != told:
            progress(f"waiting: {waiting_for}")
            told = waiting_for
        time.sleep(0.25)
    raise NotReady(f"not ready after {READY_TIMEOUT_S:.0f} s: {told}; logs lie in {settings.paths.logs}")


def _waiting_for(settings: Settings) -> str | None:
    try:
        answer = httpx.get(f"{settings.api_url}/readyz", timeout=5.0)
    except httpx.HTTPError:
        return "the API to answer"
    if answer.status_code == httpx.codes.OK:
        return None
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        return str(answer.json().get("detail"))
    return "the router to start"


def stop(settings: Settings) -> int:
    """End every process of this folder's stack; returns how many there were."""
    stack = Stack.load(settings.paths.stack)
    if stack is None:
        return 0
    leaders = [pid for pid in (stack.ray_pid, stack.mlflow_pid) if pid is not None]
    ended = end_processes(stack.id, leaders)
    Stack(stack.id).save(settings.paths.stack)
    return ended


def running(settings: Settings) -> Mapping[str, bool]:
    """Which parts of the stack answer."""
    return {
        "mlflow": registry_answers(settings),
        "ray": dashboard_answers(settings),
        "api": _waiting_for(settings) != "the API to answer",
    }


def registry_answers(settings: Settings) -> bool:
    try:
        return httpx.get(f"{settings.registry_url}/health", timeout=2.0).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _require_own_ray(settings: Settings, stack: Stack) -> None:
    """A dashboard that answers on our port and is not ours belongs to somebody else."""
    if stack.ray_pid is None or not owned_processes(stack.id):
        require_free({"SERINUS_RAY_DASHBOARD_PORT": settings.ray_dashboard_port})
