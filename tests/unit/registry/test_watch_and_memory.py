"""Alias moves are told once with both versions; what vanished is held; the memory survives the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import RegistryUnavailable, UnknownModel
from registry.client import ModelVersion, RegisteredModel, RegistryClient
from registry.last_known_good import (
    AliasKey,
    HeldAlias,
    KnownVersion,
    LastKnownGood,
    Snapshot,
    hold_missing,
    observed_aliases,
    snapshot_from_json,
    snapshot_to_json,
)
from registry.watch import TAGS_ARE_OLD, AliasTransition, alias_diff, poll_once
from registry.webhook import expected_signature, webhook_fault
from registry.whole_file import write_whole

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
KEY: AliasKey = ("ich", "champion")

names = st.sampled_from(["ich", "brain"])
aliases = st.sampled_from(["champion", "challenger", "shadow-a"])
observations = st.dictionaries(st.tuples(names, aliases), st.sampled_from(["1", "2", "3"]))
held_maps = st.dictionaries(
    st.tuples(names, aliases),
    st.builds(HeldAlias, st.sampled_from(["1", "2"]), st.none() | st.just(NOW)),
)


class Registry(RegistryClient):
    """A registry that answers from memory, and can be away."""

    def __init__(self, aliases: dict[str, dict[str, str]]) -> None:
        self.aliases = aliases
        self.tags: dict[tuple[str, str], dict[str, str]] = {}
        self.away = False
        self.asked: list[tuple[str, str]] = []

    def models(self) -> dict[str, RegisteredModel]:
        if self.away:
            raise RegistryUnavailable("MLflow does not answer")
        return {name: RegisteredModel(name, dict(each)) for name, each in self.aliases.items()}

    def version(self, name: str, version: str) -> ModelVersion:
        self.asked.append((name, version))
        if version == "deleted":
            raise UnknownModel("MLflow has no such model, version or file")
        return ModelVersion(name, version, dict(self.tags.get((name, version), {})))


@pytest.fixture
def known(tmp_path: Path) -> LastKnownGood:
    return LastKnownGood(tmp_path / "state" / "last-known-good.json")


@given(before=held_maps, observed=observations)
def test_nothing_that_was_known_is_forgotten(
    before: dict[AliasKey, HeldAlias], observed: dict[AliasKey, str]
) -> None:
    after = hold_missing(before, observed, LATER)
    assert after.keys() == before.keys() | observed.keys()
    assert {key: after[key].version for key in observed} == observed
    assert all(after[key].missing_since is not None for key in before.keys() - observed.keys())


@given(before=held_maps, observed=observations)
def test_looking_twice_changes_nothing(
    before: dict[AliasKey, HeldAlias], observed: dict[AliasKey, str]
) -> None:
    once = hold_missing(before, observed, NOW)
    assert hold_missing(once, observed, LATER) == once
    assert alias_diff(once, hold_missing(once, observed, LATER)) == ()


@given(before=observations, after=observations)
def test_the_moves_lead_from_the_old_view_to_the_new(
    before: dict[AliasKey, str], after: dict[AliasKey, str]
) -> None:
    old = hold_missing({}, before, NOW)
    state = dict(before)
    for move in alias_diff(old, hold_missing(old, after, LATER)):
        assert state.get((move.model, move.alias)) == move.old
        if move.new is None:
            del state[move.model, move.alias]
        else:
            state[move.model, move.alias] = move.new
    assert state == after


def test_a_released_alias_is_let_go() -> None:
    assert hold_missing({KEY: HeldAlias("1")}, {}, NOW, released=frozenset({KEY})) == {}


def test_releasing_an_alias_that_is_there_does_nothing() -> None:
    held = hold_missing({}, {KEY: "1"}, NOW, released=frozenset({KEY}))
    assert held == {KEY: HeldAlias("1")}


def test_an_alias_that_comes_back_is_no_longer_missing() -> None:
    gone = hold_missing({KEY: HeldAlias("1")}, {}, NOW)
    back = hold_missing(gone, {KEY: "1"}, LATER)
    assert back == {KEY: HeldAlias("1")}
    assert alias_diff(gone, back) == (AliasTransition(*KEY, None, "1"),)


def test_observed_aliases_names_them_all() -> None:
    models = {"ich": RegisteredModel("ich", {"champion": "1"}), "brain": RegisteredModel("brain", {})}
    assert observed_aliases(models) == {KEY: "1"}


def test_a_poll_tells_each_move_once(known: LastKnownGood) -> None:
    registry = Registry({"ich": {"champion": "1"}})
    assert poll_once(registry, known, NOW).transitions == (AliasTransition(*KEY, None, "1"),)
    assert poll_once(registry, known, NOW).transitions == ()
    registry.aliases["ich"]["champion"] = "2"
    assert poll_once(registry, known, LATER).transitions == (AliasTransition(*KEY, "1", "2"),)


def test_without_mlflow_the_last_view_is_given_with_its_age(known: LastKnownGood) -> None:
    registry = Registry({"ich": {"champion": "1"}})
    poll_once(registry, known, NOW)
    registry.away = True
    poll = poll_once(registry, known, NOW + timedelta(hours=2))
    assert not poll.live
    assert poll.transitions == ()
    assert poll.snapshot.aliases == {KEY: HeldAlias("1")}
    assert poll.snapshot.age(NOW + timedelta(hours=2)) == timedelta(hours=2)


def test_without_mlflow_and_memory_it_says_so(known: LastKnownGood) -> None:
    registry = Registry({})
    registry.away = True
    with pytest.raises(RegistryUnavailable):
        poll_once(registry, known, NOW)


def test_tags_are_read_anew_when_old_or_when_an_alias_moves(known: LastKnownGood) -> None:
    registry = Registry({"ich": {"champion": "1"}})
    poll_once(registry, known, NOW)
    registry.tags["ich", "1"] = {"regulatory.status": "withdrawn"}
    poll_once(registry, known, LATER)
    assert registry.asked == [("ich", "1")]
    late = poll_once(registry, known, NOW + TAGS_ARE_OLD)
    assert late.snapshot.versions["ich", "1"].tags == {"regulatory.status": "withdrawn"}
    registry.aliases["ich"]["challenger"] = "2"
    poll_once(registry, known, NOW + TAGS_ARE_OLD)
    assert registry.asked == [("ich", "1"), ("ich", "1"), ("ich", "2")]


def test_a_deleted_version_keeps_the_tags_it_had(known: LastKnownGood) -> None:
    """Deleting a version drops its aliases in MLflow without a word."""
    tags = {"serinus.artifact.digest": "sha256:aa"}
    known.save(Snapshot(NOW, {KEY: HeldAlias("deleted")}, {("ich", "deleted"): KnownVersion(tags, NOW)}))
    poll = poll_once(Registry({"ich": {}}), known, NOW + TAGS_ARE_OLD)
    assert poll.snapshot.versions["ich", "deleted"].digest == "sha256:aa"
    assert poll.snapshot.aliases[KEY].missing_since == NOW + TAGS_ARE_OLD


@given(held=held_maps, tags=st.dictionaries(st.text(), st.text()))
def test_the_memory_reads_what_it_wrote(held: dict[AliasKey, HeldAlias], tags: dict[str, str]) -> None:
    snapshot = Snapshot(NOW, held, {("ich", "1"): KnownVersion(tags, LATER)})
    assert snapshot_from_json(snapshot_to_json(snapshot)) == snapshot


def test_a_first_start_knows_nothing(known: LastKnownGood) -> None:
    assert known.load() is None


def test_a_file_is_replaced_whole_and_leaves_no_scraps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    write_whole(path, b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["state.json"]


def signed(secret: str = "secret", body: bytes = b"{}", at: datetime = NOW) -> dict[str, str]:
    sent = str(int(at.timestamp()))
    return {
        "x-mlflow-delivery-id": "d1",
        "x-mlflow-timestamp": sent,
        "x-mlflow-signature": expected_signature(secret, "d1", sent, body),
    }


def test_the_signature_is_the_one_mlflow_makes() -> None:
    """Value made with MLflow's own delivery code for these arguments."""
    assert (
        expected_signature("s3cr3t", "id-1", "1700000000", b'{"a": 1}')
        == "v1,Cmw5hMJpHsI2F1Dzfo0ExagMkkpsi3kpgKLNevuaIJI="
    )


def test_a_fresh_webhook_of_ours_is_believed() -> None:
    assert webhook_fault("secret", signed(), b"{}", NOW + timedelta(minutes=4)) is None


@pytest.mark.parametrize(
    ("change", "body", "fault"),
    [
        (lambda h: h.pop("x-mlflow-signature"), b"{}", "not signed"),
        (lambda h: h.pop("x-mlflow-delivery-id"), b"{}", "not signed"),
        (lambda h: h.update({"x-mlflow-delivery-id": "d2"}), b"{}", "does not match"),
        (lambda h: h.update({"x-mlflow-timestamp": "1"}), b"{}", "does not match"),
        (lambda h: h.update({"x-mlflow-signature": "v1,äöü"}), b"{}", "does not match"),
        (lambda h: None, b'{"a": 1}', "does not match"),
        (lambda h: h.update(signed("other")), b"{}", "does not match"),
        (lambda h: h.update(signed(at=NOW - timedelta(minutes=6))), b"{}", "too old"),
        (lambda h: h.update(signed(at=NOW + timedelta(minutes=6))), b"{}", "too old"),
    ],
)
def test_another_webhook_is_not_believed(
    change: Callable[[dict[str, str]], object], body: bytes, fault: str
) -> None:
    headers = signed()
    change(headers)
    assert fault in str(webhook_fault("secret", headers, body, NOW))
