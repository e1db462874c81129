"""The keys as a process knows them: expiry, revocation, the last known while the ledger is away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from core.errors import LedgerUnavailable, Unauthenticated
from ledger import ApiKey, Ledger
from serve_apps.adapters.api_keys import create_key
from serve_apps.adapters.key_follower import KeyFollower, keys_in
from serve_apps.application.callers import Scope, digest_of
from serve_apps.application.key_ring import KeyRing
from tests.unit.ledger.conftest import NOON, Clock, after


def a_key(secret: str = "secret", **more: object) -> ApiKey:
    return ApiKey("srn_1", "ris", "north", ("jobs:write",), digest_of(secret), NOON, "a", **more)  # type: ignore[arg-type]


def test_a_key_names_its_caller_and_tenant() -> None:
    ring = KeyRing(Clock())
    ring.take([a_key()])
    caller = ring.authenticate("secret")
    assert (caller.name, caller.tenant, caller.key_id) == ("ris", "north", "srn_1")
    assert caller.scopes == {Scope.JOBS_WRITE}


@pytest.mark.parametrize("presented", [None, "", "wrong"])
def test_what_is_no_key_is_refused(presented: str | None) -> None:
    ring = KeyRing(Clock())
    ring.take([a_key()])
    with pytest.raises(Unauthenticated):
        ring.authenticate(presented)


def test_a_key_that_has_expired_or_was_revoked_is_refused_like_an_unknown_one() -> None:
    clock = Clock()
    ring = KeyRing(clock)
    ring.take([a_key(expires_at=after(60))])
    assert ring.authenticate("secret").name == "ris"
    clock.at = after(60)
    with pytest.raises(Unauthenticated):
        ring.authenticate("secret")
    ring.take([a_key(revoked_at=NOON)])
    with pytest.raises(Unauthenticated):
        ring.authenticate("secret")


def test_before_any_key_was_read_a_caller_is_told_to_come_back() -> None:
    with pytest.raises(LedgerUnavailable):
        KeyRing().authenticate("secret")


def test_a_scope_of_another_release_gives_nothing() -> None:
    ring = KeyRing(Clock())
    ring.take([ApiKey("srn_1", "ris", "north", ("everything",), digest_of("secret"), NOON, "a")])
    assert ring.authenticate("secret").scopes == frozenset()


def test_a_use_is_news_once_a_day() -> None:
    clock = Clock()
    ring = KeyRing(clock)
    ring.take([a_key()])
    assert ring.newly_used() == {}
    ring.authenticate("secret")
    assert ring.newly_used() == {NOON.date(): {"srn_1"}}
    ring.take([a_key(last_used_on=NOON.date())])
    ring.authenticate("secret")
    assert ring.newly_used() == {}
    clock.at = NOON + timedelta(days=1)
    ring.authenticate("secret")
    assert ring.newly_used() == {clock.at.date(): {"srn_1"}}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


def test_the_first_keys_come_from_the_file_and_go_by_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    ring, file = KeyRing(), tmp_path / "keys.json"
    follower = KeyFollower(ring, lambda: ledger, file)
    follower.look()
    first = create_key(file, "admin", [Scope.ADMIN])
    with pytest.raises(Unauthenticated):
        ring.authenticate(first)
    follower.look()
    assert ring.authenticate(first).is_admin
    second = create_key(file, "orchestrator", [Scope.JOBS_WRITE])
    ledger.keys.revoke("admin", actor="a", asking="")
    follower.look()
    assert (ring.authenticate(second).tenant, ring.authenticate(second).is_admin) == ("orchestrator", False)
    with pytest.raises(Unauthenticated):
        ring.authenticate(first)
    assert {key.last_used_on is not None for key in ledger.keys.all()} == {True, False}


def test_the_last_known_keys_stay_in_force_while_the_ledger_is_away(ledger: Ledger, tmp_path: Path) -> None:
    ring, file = KeyRing(), tmp_path / "keys.json"
    key = create_key(file, "admin", [Scope.ADMIN])
    follower = KeyFollower(ring, lambda: ledger, file)
    follower.look()

    def away() -> NoReturn:
        raise LedgerUnavailable("the database does not answer")

    ledger.database.read = away  # type: ignore[method-assign]
    ledger.database.mark = away  # type: ignore[method-assign]
    with pytest.raises(LedgerUnavailable):
        follower.look()
    assert ring.authenticate(key).name == "admin"


def test_a_file_that_names_an_unknown_scope_takes_no_key_away(ledger: Ledger, tmp_path: Path) -> None:
    ring, file = KeyRing(), tmp_path / "keys.json"
    key = create_key(file, "admin", [Scope.ADMIN])
    follower = KeyFollower(ring, lambda: ledger, file)
    follower.look()
    file.write_text(json.dumps([{"name": "x", "sha256": "0", "scopes": ["everything"]}]))
    with pytest.raises(ValueError, match="everything"):
        keys_in(file)
    follower.look()
    assert ring.authenticate(key).name == "admin"
    assert len(ledger.keys.all()) == 1


def test_a_ledger_that_is_away_at_first_is_opened_when_it_is_back(ledger: Ledger, tmp_path: Path) -> None:
    ring, file = KeyRing(), tmp_path / "keys.json"
    key = create_key(file, "admin", [Scope.ADMIN])
    answers: list[Ledger | None] = [None, ledger]

    def open_ledger() -> Ledger:
        opened = answers.pop(0)
        if opened is None:
            raise LedgerUnavailable("the database does not answer")
        return opened

    follower = KeyFollower(ring, open_ledger, file)
    with pytest.raises(LedgerUnavailable):
        follower.look()
    follower.look()
    assert ring.authenticate(key).name == "admin"
