"""`serinus rollout evidence` writes what the API tells; `verify-evidence` says what was changed of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from serve_apps.application.evidence_page.page import page_of
from serve_apps.cli import rollout_evidence as command
from serve_apps.cli.main import app
from tests.unit.shell.evidence_pack_sample import SITE_KEY, a_pack
from tests.unit.shell.test_cli_is_light import HEAVY, top_level_modules


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine of no site."""
    monkeypatch.setenv("SERINUS_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was asked of an API that answers with one pack."""
    calls: list[tuple[str, str]] = []

    def ask(method: str, path: str, as_json: bool, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        calls.append((method, path))
        return a_pack()

    monkeypatch.setattr(command, "ask", ask)
    return calls


def run(*arguments: str, exit_code: int = 0) -> str:
    done = CliRunner().invoke(app, ["rollout", *arguments])
    assert done.exit_code == exit_code, done.output
    return " ".join(done.output.split())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pack.json"
    path.write_text(json.dumps(a_pack()))
    return path


def public_key(folder: Path, key: Ed25519PrivateKey, name: str = "signing.pub") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def test_a_pack_is_written_as_a_file_that_can_be_checked_and_a_page(
    asked: list[tuple[str, str]], tmp_path: Path
) -> None:
    folder = tmp_path / "files" / "new"
    printed = run("evidence", "ich", "--out", str(folder))
    assert a_pack()["digest"] in printed
    pack, page = folder / "ich-run-1.evidence.json", folder / "ich-run-1.evidence.html"
    assert json.loads(pack.read_text()) == a_pack()
    assert page.read_text() == page_of(a_pack())
    assert "is whole" in run("verify-evidence", str(pack))
    told = json.loads(
        CliRunner().invoke(app, ["rollout", "evidence", "ich", "--out", str(folder), "--json"]).output
    )
    assert told == {"digest": a_pack()["digest"], "files": [str(pack), str(page)]}
    run("evidence", "a b", "--run", "3", "--out", str(folder))
    assert asked == [
        ("GET", "/v1/rollouts/ich/evidence"),
        ("GET", "/v1/rollouts/ich/evidence"),
        ("GET", "/v1/rollouts/a%20b/evidence?run=3"),
    ]


def test_a_folder_that_cannot_be_written_is_told(asked: list[Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    printed = run("evidence", "ich", "--out", str(tmp_path / "file" / "below"), exit_code=1)
    assert "cannot be written" in printed


def test_a_whole_pack_is_told_with_who_signed_it(file: Path, tmp_path: Path) -> None:
    printed = run("verify-evidence", str(file), "--digest", a_pack()["digest"])
    assert f"{len(a_pack()['records'])} records" in printed
    assert "signed by a key that is not known here" in printed
    own = public_key(tmp_path / "state" / "keys", SITE_KEY)
    assert "signed by this site's key" in run("verify-evidence", str(file))
    assert f"signed by {own.name}" in run("verify-evidence", str(file), "--public-key", str(own))


def test_a_change_is_told_and_ends_with_one(file: Path) -> None:
    pack = json.loads(file.read_text())
    pack["records"][4]["content"]["reason"] = "[bold]nothing happened[/]"
    file.write_text(json.dumps(pack))
    assert "record 5 (event 1) was changed" in run("verify-evidence", str(file), exit_code=1)
    told = json.loads(CliRunner().invoke(app, ["rollout", "verify-evidence", str(file), "--json"]).output)
    assert (told["is_whole"], told["faults"]) == (False, ["record 5 (event 1) was changed"])


def test_a_pack_of_another_digest_or_another_key_is_refused(file: Path, tmp_path: Path) -> None:
    assert "the digest is" in run("verify-evidence", str(file), "--digest", "0" * 64, exit_code=1)
    other = public_key(tmp_path, Ed25519PrivateKey.generate(), "other.pub")
    printed = run("verify-evidence", str(file), "--public-key", str(other), exit_code=1)
    assert "other.pub did not sign it" in printed


@pytest.mark.parametrize("text", ["{", '{"a": 1, "a": 2}', "[]", "null", '{"format": "other"}'])
def test_a_file_that_is_no_pack_is_refused(file: Path, text: str) -> None:
    file.write_text(text)
    run("verify-evidence", str(file), exit_code=1)


def test_a_file_that_is_no_public_key_is_refused(file: Path) -> None:
    printed = run("verify-evidence", str(file), "--public-key", str(file), exit_code=1)
    assert "is no public key" in printed


def test_to_check_a_pack_loads_nothing_heavy(file: Path, tmp_path: Path) -> None:
    loaded = top_level_modules("rollout", "verify-evidence", str(file), folder=tmp_path)
    assert "cryptography" in loaded
    assert loaded & HEAVY == set()
