"""What `serinus up` says that it waits for."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from serve_apps.api.edge.stand_in import problem_for
from serve_apps.api.problems import Problem
from serve_apps.embedded.health import API_IS_AWAY, waiting_for
from serve_apps.settings import Settings


def says(problem: Problem | None) -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        if problem is None:
            return httpx.Response(200, json={"status": "ready"})
        return httpx.Response(problem.status, json=problem.body(), headers=problem.headers)

    return httpx.Client(transport=httpx.MockTransport(answer))


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (None, None),
        (
            Problem("warming", "the champion of ich-triage is not warm"),
            "the champion of ich-triage is not warm",
        ),
        (problem_for(404), "the ingress to start"),
    ],
    ids=["ready", "a cold champion", "Serve has no application yet"],
)
def test_a_start_says_what_it_waits_for(tmp_path: Path, problem: Problem | None, told: str | None) -> None:
    with says(problem) as http:
        assert waiting_for(Settings(state_dir=tmp_path), http) == told


def test_a_port_that_nobody_answers_is_told_too(tmp_path: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with httpx.Client(transport=httpx.MockTransport(refuse)) as http:
        assert waiting_for(Settings(state_dir=tmp_path), http) == API_IS_AWAY
