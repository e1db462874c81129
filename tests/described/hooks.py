"""What schemathesis cannot know of this API."""

from __future__ import annotations

from typing import Any

import schemathesis
from requests.structures import CaseInsensitiveDict

STORE = "multipart/related"
BETWEEN_FIELDS = "(value_error)"  # a rule that no schema can say, as that a slot ends after its start
PLACES = ("body /", "query /", "path /", "header /")
BOUNDARY = "b0undary"


def multipart(part: bytes) -> bytes:
    head = b"--" + BOUNDARY.encode() + b"\r\nContent-Type: application/dicom\r\n\r\n"
    return head + part + b"\r\n--" + BOUNDARY.encode() + b"--\r\n"


@schemathesis.serializer(STORE)
def as_parts(ctx: schemathesis.SerializationContext, value: Any) -> dict[str, Any]:
    """Half of the bodies are multipart, by their length; the others are what was drawn."""
    drawn = value if isinstance(value, bytes) else str(value).encode(errors="replace")
    return {"data": multipart(drawn) if len(drawn) % 2 else drawn}


@schemathesis.hook
def before_call(ctx: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """A multipart body is sent with its boundary, which the description cannot name."""
    if case.media_type == STORE:
        with_boundary = f'{STORE}; type="application/dicom"; boundary={BOUNDARY}'
        case.headers = CaseInsensitiveDict({**(case.headers or {}), "Content-Type": with_boundary})


@schemathesis.check
def the_well_formed_is_not_called_malformed(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """What the description allows never fails the validation of its form."""
    if not case.meta.generation.mode.is_positive or response.status_code != 422:
        return
    problem = response.json()
    called_malformed = problem["code"] == "invalid-field" and problem["detail"].startswith(PLACES)
    assert not called_malformed or problem["detail"].endswith(BETWEEN_FIELDS), problem["detail"]


@schemathesis.check
def an_error_is_a_problem(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """RFC 9457, with the stable code; but for STOW-RS, which has a form of its own for 409."""
    media = response.headers["content-type"][0]
    if response.status_code >= 400 and media != "application/dicom+json":
        assert media == "application/problem+json"
        assert response.json()["code"]
        assert response.status_code != 500
