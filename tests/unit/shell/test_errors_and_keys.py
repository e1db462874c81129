"""Errors at the edge, and who may call."""

from __future__ import annotations

import pickle
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core import errors as tree
from core.errors import SerinusError
from serve_apps.adapters.api_keys import create_key
from serve_apps.adapters.key_follower import keys_in
from serve_apps.api.problems import STATUS_BY_CODE, Problem, problem_of
from serve_apps.application.callers import Caller, Scope, digest_of


def every_error(kind: type[SerinusError] = SerinusError) -> list[type[SerinusError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in every_error(child))]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_of_the_tree_has_a_status(kind: type[SerinusError]) -> None:
    assert kind.code in STATUS_BY_CODE


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling_between_actors(kind: type[SerinusError]) -> None:
    error = pickle.loads(pickle.dumps(kind("slice gap of 7.5 mm")))
    assert type(error) is kind
    assert error.detail == "slice gap of 7.5 mm"


def test_a_problem_is_rfc_9457_with_a_stable_code() -> None:
    problem = problem_of(tree.StudyNotFound("the source holds no such study"))
    assert problem.status == 404
    assert problem.body()["code"] == "study-not-found"
    assert problem.headers["Content-Type"] == "application/problem+json"


def test_an_overload_says_when_to_come_back() -> None:
    assert Problem("overloaded", "full", retryable=True).headers["Retry-After"] == "2"


def test_a_missing_key_is_told_how_to_authenticate() -> None:
    assert "WWW-Authenticate" in Problem("unauthenticated", "no key").headers


def test_only_the_digest_of_a_key_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "api_keys.json"
    key = create_key(path, "orchestrator", [Scope.JOBS_WRITE])
    assert key not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_wrong_key_is_401() -> None:
    assert problem_of(tree.Unauthenticated("send a valid key")).status == 401


def test_a_key_does_no_more_than_its_scopes() -> None:
    caller = Caller("reader", frozenset({Scope.RESULTS_READ}), "reader")
    caller.require(Scope.RESULTS_READ)
    with pytest.raises(tree.Forbidden) as refused:
        caller.require(Scope.JOBS_WRITE)
    assert problem_of(refused.value).status == 403


def test_keys_that_are_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: create_key(path, f"caller-{n}", [Scope.RESULTS_READ]), range(16)))
    assert {key.digest for key in keys_in(path)} == {digest_of(key) for key in made}


def test_a_name_that_no_ledger_could_hold_is_refused_when_the_key_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="64 characters"):
        create_key(tmp_path / "k.json", "x" * 65, [Scope.ADMIN])
    assert not (tmp_path / "k.json").exists()
