"""Every error that leaves a route becomes a problem; none repeats a value that was sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from core.errors import SerinusError
from serve_apps.api.dependencies import Services
from serve_apps.api.problems import Problem, problem_of

NAMED_BY_CALLERS = frozenset({"context", "weights_bp"})
CODE_OF_STATUS = {400: "invalid-json", 404: "not-found", 405: "method-not-allowed"}


def add_error_handlers(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Have every error become a problem; `routes` tell which methods a path does take."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        problem = to_problem(error)
        services: Services = app.state.find_services()
        services.errors.note(problem.code, problem.status)
        if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
            problem.allow = allowed_methods(routes, request.scope)
        return JSONResponse(problem.body(), problem.status, headers=problem.headers)

    for kind in (Problem, SerinusError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)


def allowed_methods(routes: Sequence[BaseRoute], scope: Scope) -> tuple[str, ...]:
    """The methods that any route of the path takes; a page that is no route of ours is only looked at."""
    takes = [
        route for route in routes if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE
    ]
    return tuple(sorted({method for route in takes for method in route.methods or ()})) or ("GET",)


def to_problem(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case SerinusError():
            return problem_of(error)
        case RequestValidationError():
            return validation_problem(error)
        case HTTPException(__cause__=Problem() as cause):  # raised where FastAPI read the body
            return cause
        case HTTPException():
            code = CODE_OF_STATUS.get(error.status_code, "bad-request")
            return Problem(code, str(error.detail), status=error.status_code)
        case _:
            return Problem("internal-error", "the request could not be handled")


def validation_problem(error: RequestValidationError) -> Problem:
    """400 for what is no JSON, 422 with a JSON pointer for a field; never the value that was sent."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return Problem("invalid-json", "the body is not valid JSON")
    place, *steps = [str(part) for part in first["loc"]]
    steps = list(_known(steps))
    pointer = "/" + "/".join(steps)
    return Problem("invalid-field", f"{place} {pointer}: {_reason(first['type'])}", pointer=pointer)


def _known(steps: Iterable[str]) -> Iterator[str]:
    """The steps to the field; not on to a name that the caller made up, which could be anybody's."""
    for step in steps:
        yield step
        if step in NAMED_BY_CALLERS:
            return


def _reason(kind: str) -> str:
    return {
        "missing": "is missing",
        "extra_forbidden": "is not a known field",
        "string_pattern_mismatch": "has not the required form",
        "string_too_long": "is too long",
        "timezone_aware": "needs a time zone, as in 2026-05-01T00:00:00Z",
        "enum": "is none of the allowed values",
    }.get(kind, f"is invalid ({kind})")
