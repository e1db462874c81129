"""What the OpenAPI document says of errors, once for all routes."""

from __future__ import annotations

from typing import Any

PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"description": text, "content": {"application/problem+json": {}}}
    for code, text in {
        401: "no key",
        403: "the key lacks the scope",
        404: "unknown",
        422: "cannot be read",
        429: "overloaded, see Retry-After",
        503: "not ready, see Retry-After",
    }.items()
}
