"""Serve's proxy is told of the edge by a name, and finds there what it asks for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import uvicorn.config
from ray.serve._private.http_util import validate_http_proxy_callback_return
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Asked

from serve_apps.adapters.api_keys import create_key
from serve_apps.adapters.key_follower import KeyFollower
from serve_apps.api.edge import connections, refusal
from serve_apps.application.callers import Scope
from serve_apps.embedded.ray_head import ray_environment
from serve_apps.settings import Settings
from tests.unit.shell.asgi import NEVER, Exchange, Recorder


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(uvicorn.config, "HTTP_PROTOCOLS", dict(uvicorn.config.HTTP_PROTOCOLS))
    monkeypatch.setattr(refusal, "LINGER_S", 0.005)
    monkeypatch.setattr(connections, "_open_files", lambda: 1024)
    monkeypatch.setattr(connections.TimedProtocol, "idle", None, raising=False)
    monkeypatch.setenv("SERINUS_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(KeyFollower, "follow", KeyFollower.look)  # once, and in this thread
    return Settings(state_dir=tmp_path)


def named(settings: Settings) -> list[Middleware]:
    """What stands behind the name that every Ray process of the stack inherits."""
    name = ray_environment(settings)["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"]
    module, _, function = name.partition(":")
    return validate_http_proxy_callback_return(getattr(import_module(module), function)())


def in_proxy(settings: Settings, app: ASGIApp) -> ASGIApp:
    for middleware in named(settings):  # as Serve puts them on
        app = middleware.cls(app, *middleware.args, **middleware.kwargs)
    return app


async def test_the_proxy_asks_for_the_keys_of_the_state_folder(settings: Settings) -> None:
    key = create_key(settings.paths.api_keys, "ris", [Scope.JOBS_WRITE])
    recorder = Recorder()
    app = in_proxy(settings, recorder)
    without = await Exchange("POST", "/v1/jobs", {"Content-Length": "5"}, (NEVER,)).of(app)
    with_key = await Exchange("POST", "/v1/jobs", {"Content-Length": "5", "X-API-Key": key}, (b"12345",)).of(
        app
    )
    assert (without.status, with_key.status, recorder.bodies) == (401, 200, [b"12345"])


async def test_what_a_replica_does_not_say_is_said_for_it(settings: Settings) -> None:
    async def silent(scope: Asked, receive: Receive, send: Send) -> None:
        return

    app = in_proxy(settings, silent)
    asked = await Exchange("GET", "/healthz").of(app)
    assert (asked.status, asked.code) == (503, "api-unavailable")


async def test_a_proxy_that_has_read_no_keys_yet_tells_callers_to_come_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Better no answer than one to anybody."""
    monkeypatch.setattr(KeyFollower, "follow", lambda self: None)
    app = in_proxy(settings, Recorder())
    asked = await Exchange("GET", "/v1/jobs", {"X-API-Key": "any"}).of(app)
    assert (asked.status, asked.code, asked.headers["retry-after"]) == (503, "ledger-unavailable", "2")
    assert (await Exchange("GET", "/v1/jobs").of(app)).status == 401
