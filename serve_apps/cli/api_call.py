"""One request to the API of this folder's stack, in the name of who runs the command."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import Any

from serve_apps.cli.client import ApiClient, ApiError
from serve_apps.cli.output import fail
from serve_apps.settings import load_settings


def ask(method: str, path: str, as_json: bool, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The answer's document; a problem ends the command with exit code 1."""
    try:
        return dict(ApiClient.of(load_settings(), actor=getpass.getuser()).ask(method, path, body))
    except ApiError as error:
        fail(str(error), as_json, error.code)


def ask_page(path: str, as_json: bool) -> bytes:
    """The answer as a page; a problem ends the command with exit code 1."""
    try:
        return ApiClient.of(load_settings(), actor=getpass.getuser()).page(path)
    except ApiError as error:
        fail(str(error), as_json, error.code)
