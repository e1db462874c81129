"""Keys in the ledger: made, adopted from the file, revoked for good, each change audited."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.errors import InvalidField, KeyNotFound, KeyRefused
from ledger import Ledger, NewKey
from tests.unit.ledger.conftest import NOON, after, set_time


def a_key(name: str = "ris", tenant: str = "north", digest: str = "d1") -> NewKey:
    return NewKey(name, tenant, ("jobs:write",), digest)


def test_a_key_is_kept_with_who_made_it(ledger: Ledger) -> None:
    made = ledger.keys.create("srn_1", a_key(), actor="admin/ada")
    assert ledger.keys.all() == (made,)
    assert (made.created_by, made.created_at, made.scopes) == ("admin/ada", NOON, ("jobs:write",))
    (row,) = ledger.audit.rows()
    assert (row.actor, row.action, row.subject) == ("admin/ada", "key.create", "srn_1")
    assert "d1" not in str(row.detail)


def test_two_keys_of_a_name_are_of_one_tenant(ledger: Ledger) -> None:
    ledger.keys.create("srn_1", a_key(), actor="a")
    ledger.keys.create("srn_2", a_key(digest="d2"), actor="a")
    with pytest.raises(InvalidField, match="north"):
        ledger.keys.create("srn_3", a_key(tenant="south", digest="d3"), actor="a")


def test_a_key_is_revoked_by_its_id_and_a_name_with_all_its_keys(ledger: Ledger) -> None:
    for number in "123":
        ledger.keys.create(f"srn_{number}", a_key(digest=number), actor="a")
    (one,) = ledger.keys.revoke("srn_2", actor="a", asking="srn_admin")
    assert (one.id, one.revoked_at) == ("srn_2", NOON)
    assert {key.id for key in ledger.keys.revoke("ris", actor="a", asking="srn_admin")} == {"srn_1", "srn_3"}
    assert not any(key.is_valid(NOON) for key in ledger.keys.all())
    assert ledger.audit.rows(limit=1)[0].detail["keys"] == ["srn_1", "srn_3"]
    with pytest.raises(KeyNotFound):
        ledger.keys.revoke("ris", actor="a", asking="srn_admin")


def test_a_key_does_not_revoke_itself(ledger: Ledger) -> None:
    ledger.keys.create("srn_1", a_key(), actor="a")
    for named in ("srn_1", "ris"):
        with pytest.raises(KeyRefused):
            ledger.keys.revoke(named, actor="a", asking="srn_1")
    assert ledger.keys.all()[0].is_valid(NOON)


def test_a_key_is_valid_until_it_expires(ledger: Ledger) -> None:
    until = NewKey("ris", "north", (), "d", expires_at=after(60))
    key = ledger.keys.create("srn_1", until, actor="a")
    assert (key.is_valid(after(59)), key.is_valid(after(60))) == (True, False)
    set_time(ledger, after(61))
    with pytest.raises(KeyNotFound):
        ledger.keys.revoke("srn_1", actor="a", asking="")


def test_what_the_file_names_is_adopted_once_and_a_revoked_key_does_not_come_back(ledger: Ledger) -> None:
    ledger.keys.adopt([a_key("admin", "admin", "d1")])
    ledger.keys.revoke("admin", actor="a", asking="srn_other")
    ledger.keys.adopt([a_key("admin", "admin", "d1"), a_key("orchestrator", "orchestrator", "d2")])
    standing = {key.name: key.is_valid(NOON) for key in ledger.keys.all()}
    assert standing == {"admin": False, "orchestrator": True}


def test_the_last_use_is_a_day_that_only_grows(ledger: Ledger) -> None:
    ledger.keys.create("srn_1", a_key(), actor="a")
    today = NOON.date()
    ledger.keys.note_used({"srn_1"}, today)
    ledger.keys.note_used({"srn_1"}, today - timedelta(days=1))
    assert ledger.keys.all()[0].last_used_on == today
