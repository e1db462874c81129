"""JSON that means one thing: no key twice, no NaN, and nothing that takes the parser down (RFC 8259 4, 6)."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute

from serve_apps.api.problems import Problem


class StrictRequest(Request):
    """A request whose body is parsed strictly."""

    async def json(self) -> Any:
        return strict_json(await self.body())


class StrictRoute(APIRoute):
    """A route that takes strict JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_strictly


def strict_json(text: bytes) -> Any:
    """The document. Raises JSONDecodeError, or Problem 400 or 422 for what Python's parser would let pass.

    >>> strict_json(b'{"a": 1}')
    {'a': 1}
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError):  # no UTF-8, a number of thousands of digits, brackets without end
        raise Problem("invalid-json", "the body is not valid JSON") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise Problem("invalid-field", "an object names a field twice")
    return document


def _no_number(_: str) -> NoReturn:
    raise Problem("invalid-json", "NaN and Infinity are no JSON")
