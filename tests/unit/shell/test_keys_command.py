"""`serinus keys`: what it sends, and what it prints once."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from serve_apps.cli import keys as command
from serve_apps.cli.expiry import expiry_of
from serve_apps.cli.main import app

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = {
    "id": "srn_1",
    "name": "ris",
    "tenant": "north",
    "scopes": ["jobs:write"],
    "state": "valid",
    "created_by": "admin/ada",
    "expires_at": None,
    "last_used_on": "2026-11-24",
}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Mapping[str, Any] | None]]:
    """What was asked of an API that knows one key."""
    calls: list[tuple[str, str, Mapping[str, Any] | None]] = []
    answers = {
        "POST": KEY | {"key": "srn_1_secret"},
        "GET": {"keys": [KEY]},
        "DELETE": {"revoked": [KEY], "in_force_within_s": 2.0},
    }

    def ask(method: str, path: str, as_json: bool, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        calls.append((method, path, body))
        return dict(answers[method])

    monkeypatch.setattr(command, "ask", ask)
    return calls


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["keys", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_key_is_made_and_its_secret_printed(sent: list[Any]) -> None:
    printed = run("create", "ris", "--scope", "jobs:write", "--scope", "results:read", "--tenant", "north")
    assert sent == [
        (
            "POST",
            "/v1/keys",
            {"name": "ris", "scopes": ["jobs:write", "results:read"], "tenant": "north"},
        )
    ]
    assert "srn_1_secret" in printed


def test_a_secret_goes_to_a_file_that_only_its_owner_reads(sent: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "key"
    printed = run("create", "ris", "--scope", "jobs:write", "--to", str(file), "--json")
    assert "srn_1_secret" not in printed
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("srn_1_secret", 0o600)


def test_an_unknown_scope_is_refused_by_name(sent: list[Any]) -> None:
    done = CliRunner().invoke(app, ["keys", "create", "ris", "--scope", "everything"])
    assert (done.exit_code, sent) == (2, [])
    assert "everything" in done.output


def test_a_list_shows_the_beginning_of_each_secret(sent: list[Any]) -> None:
    printed = run("list")
    assert "srn_1" in printed
    assert "2026-11-24" in printed


def test_a_revocation_says_when_it_is_in_force(sent: list[Any]) -> None:
    assert "within 2 s" in run("revoke", "srn_1")
    assert sent == [("DELETE", "/v1/keys/srn_1", None)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12h", NOON + timedelta(hours=12)),
        ("30d", NOON + timedelta(days=30)),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T08:00:00+01:00", datetime(2027, 1, 31, 7, tzinfo=UTC)),
    ],
)
def test_an_expiry_is_a_span_or_a_day(text: str, expected: datetime) -> None:
    assert expiry_of(text, NOON) == expected


@pytest.mark.parametrize("text", ["", "0d", "30", "soon", "-3d"])
def test_no_other_expiry_is_understood(text: str) -> None:
    with pytest.raises(ValueError, match="30d"):
        expiry_of(text, NOON)
