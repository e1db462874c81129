"""The audit is verified from where it was verified last, and its tail cannot be cut off unseen."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from ledger import AuditAnchor, Ledger
from ledger.tables import audit
from tests.unit.ledger.test_audit import filled
from tests.unit.ledger.test_growth import plans_of

KEY = b"a secret of the site"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit_anchor.json"


@pytest.fixture
def anchor(ledger: Ledger, file: Path) -> AuditAnchor:
    """Of an audit of four rows, anchored at the fifth, which says so."""
    filled(ledger)
    anchor = AuditAnchor(ledger.audit, file, KEY)
    assert anchor.keep().problem is None
    return anchor


def change(ledger: Ledger, which: int) -> None:
    with ledger.database.write() as connection:
        connection.execute(sa.update(audit).where(audit.c.sequence == which).values(actor="mallory"))


def cut(ledger: Ledger, after: int) -> None:
    with ledger.database.write() as connection:
        connection.execute(sa.delete(audit).where(audit.c.sequence > after))


def test_a_whole_audit_is_verified_to_its_end(anchor: AuditAnchor, ledger: Ledger) -> None:
    filled(ledger)
    assert (anchor.keep().verified_to, anchor.look().verified_to) == (9, 9)
    assert ledger.audit.rows(limit=5)[4].action == "audit-anchored"


def test_what_was_verified_is_not_read_again(anchor: AuditAnchor, ledger: Ledger) -> None:
    with plans_of(ledger) as steps:
        anchor.look()
    assert steps == ["SEARCH audit USING INTEGER PRIMARY KEY (rowid>?)"]


def test_a_tail_that_was_cut_off_is_found(anchor: AuditAnchor, ledger: Ledger) -> None:
    cut(ledger, after=3)
    look = anchor.look()
    assert (look.first_broken, "rows were cut" in str(look.problem)) == (5, True)


def test_a_cut_tail_that_others_have_written_behind_is_found(anchor: AuditAnchor, ledger: Ledger) -> None:
    cut(ledger, after=3)
    filled(ledger)
    assert ledger.audit.first_broken() is None, "the chain alone does not tell"
    assert anchor.look().first_broken == 5


def test_a_row_that_was_changed_since_is_found(anchor: AuditAnchor, ledger: Ledger) -> None:
    filled(ledger)
    change(ledger, 7)
    assert anchor.look().first_broken == 7


def test_a_row_in_the_middle_that_was_changed_after_it_was_verified_is_found_by_a_full_look(
    anchor: AuditAnchor, ledger: Ledger
) -> None:
    change(ledger, 2)
    assert anchor.look().problem is None
    assert anchor.look(full=True).first_broken == 2


def test_an_anchor_stays_where_it_is_while_something_is_wrong(
    anchor: AuditAnchor, ledger: Ledger, file: Path
) -> None:
    before = file.read_bytes()
    filled(ledger)
    change(ledger, 7)
    assert anchor.keep().problem is not None
    assert file.read_bytes() == before


def test_an_anchor_that_is_gone_is_told_until_somebody_begins_anew(
    anchor: AuditAnchor, ledger: Ledger, file: Path
) -> None:
    file.unlink()
    assert "is gone" in str(anchor.keep().problem)
    assert not file.exists(), "it is not made again as if nothing had happened"
    anchor.renew("alice", "the disk was replaced")
    assert anchor.look().problem is None
    newest = ledger.audit.rows(limit=1)[0]
    assert (newest.actor, newest.detail["reason"]) == ("alice", "the disk was replaced")
    assert "is gone" in newest.detail["problem"]


@pytest.mark.parametrize("content", ['{"sequence": 1, "digest": "0", "code": "0"}', "{}", "[]", "", "\xff"])
def test_an_anchor_that_the_site_did_not_write_is_told(anchor: AuditAnchor, file: Path, content: str) -> None:
    file.write_text(content, encoding="latin-1")
    assert "not written by this site" in str(anchor.look().problem)


def test_an_anchor_under_another_key_is_told(anchor: AuditAnchor, ledger: Ledger, file: Path) -> None:
    assert "not written by this site" in str(AuditAnchor(ledger.audit, file, b"another").look().problem)


def test_an_empty_audit_is_whole_and_has_no_anchor(ledger: Ledger, file: Path) -> None:
    assert AuditAnchor(ledger.audit, file, KEY).keep().verified_to == 0
    assert not file.exists()


def test_only_the_owner_may_read_the_anchor(anchor: AuditAnchor, file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
