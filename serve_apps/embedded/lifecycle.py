"""Up, down and what is running: level-triggered, so that a second `up` is quick and harmless.

`up` looks at what is there and starts what is missing; `down` ends exactly what `up` started.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from core.errors import RegistryUnavailable
from core.private_files import private_folder
from registry.client import RegistryClient
from registry.mlflow_output import silence_mlflow
from registry.process_group import Ended
from registry.server import start_embedded
from registry.webhook_subscription import subscribe
from serve_apps.embedded.health import dashboard_answers, registry_answers, waiting_for
from serve_apps.embedded.ports import require_free
from serve_apps.embedded.processes import STACK_ID, end_processes, owned_processes
from serve_apps.embedded.ray_head import ray_environment, start_ray
from serve_apps.embedded.secrets import ensure_secrets
from serve_apps.embedded.stack_record import Stack
from serve_apps.settings import Settings

CONFIG = Path(__file__).parents[2] / "serve_config.yaml"
READY_TIMEOUT_S = 300.0
Progress = Callable[[str], None]


class NotReady(RuntimeError):
    """The stack was started and did not become ready in time."""


def prepare_state(settings: Settings) -> Stack:
    """The state folder with its secrets, and the identity of this stack."""
    private_folder(settings.paths.root)
    ensure_secrets(settings.paths)
    stack = Stack.load(settings.paths.stack) or Stack(id=secrets.token_hex(8))
    stack.save(settings.paths.stack)
    os.environ[STACK_ID] = stack.id  # inherited by every process that we start from here on
    silence_mlflow()
    return stack


def start_servers(settings: Settings, stack: Stack, progress: Progress) -> Stack:
    """The MLflow server and the Ray head, unless they run: beside each other, since each takes seconds to come up.

    Raises what the first of them that failed raised; the other one is then in the stack's record all the same.
    """
    with ThreadPoolExecutor(2, "start") as pool:
        registry = pool.submit(start_registry, settings, progress)
        head = pool.submit(_start_head, settings, stack, progress)
        for start in as_completed((registry, head)):
            pid = None if start.exception() else start.result()
            if pid is not None:
                stack = replace(stack, mlflow_pid=pid) if start is registry else replace(stack, ray_pid=pid)
                stack.save(settings.paths.stack)
    for start in (registry, head):
        start.result()
    return stack


def start_registry(settings: Settings, progress: Progress) -> int | None:
    """The embedded MLflow server's id, unless the site names its own. One that runs is found and kept."""
    if settings.mlflow_url is not None:
        return None
    if not registry_answers(settings):
        progress("starting the MLflow server")
    return start_embedded(settings.paths.mlflow, port=settings.mlflow_port).pid


def _start_head(settings: Settings, stack: Stack, progress: Progress) -> int | None:
    """The id of a Ray head that was started; None when ours runs already."""
    if dashboard_answers(settings):
        _require_own_ray(settings, stack)
        return None
    require_free(
        {
            "SERINUS_API_PORT": settings.api_port,
            "SERINUS_RAY_PORT": settings.ray_port,
            "SERINUS_RAY_DASHBOARD_PORT": settings.ray_dashboard_port,
        }
    )
    progress("starting a Ray head")
    return start_ray(settings)


def subscribe_to_registry(settings: Settings) -> None:
    """Have the embedded MLflow wake us at a change; one elsewhere is looked after by the controller."""
    if settings.mlflow_url is not None:
        return
    secret = settings.paths.webhook_key.read_text().strip()
    with suppress(RegistryUnavailable):
        subscribe(RegistryClient(settings.registry_url), settings.webhook_url, secret)


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
    reason = ""
    while time.monotonic() < deadline:
        current = waiting_for(settings)
        if current is None:
            return
        if current != reason:
            progress(f"waiting: {current}")
            reason = current
        time.sleep(0.25)
    raise NotReady(f"not ready after {READY_TIMEOUT_S:.0f} s: {reason}; logs lie in {settings.paths.logs}")


def clear_remains(settings: Settings) -> None:
    """End what a stack has left whose head is gone: its replicas would hold ports and memory."""
    if not dashboard_answers(settings):
        stop(settings)


def stop(settings: Settings) -> Ended:
    """End every process of this folder's stack; says how many there were and which could not be ended."""
    stack = Stack.load(settings.paths.stack)
    if stack is None:
        return Ended(0, {})
    ended = end_processes(stack.id, [pid for pid in (stack.ray_pid, stack.mlflow_pid) if pid is not None])
    if not ended.remaining:
        Stack(stack.id).save(settings.paths.stack)
    return ended


def _require_own_ray(settings: Settings, stack: Stack) -> None:
    """A dashboard that answers on our port and is not ours belongs to somebody else."""
    if stack.ray_pid is None or not owned_processes(stack.id):
        require_free({"SERINUS_RAY_DASHBOARD_PORT": settings.ray_dashboard_port})
