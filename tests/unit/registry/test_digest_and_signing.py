"""The digest sees every change of a tree; the signature binds it to a name and a key."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ModelRefused
from registry.digest import tree_digest
from registry.secret_file import read_or_create_secret, write_secret
from registry.signing import ensure_keypair, load_signing_key, load_verify_key, sign, verify

KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "MLmodel").write_text("flavors: {}")
    (tmp_path / "data" / "model.pt2").write_bytes(b"weights")
    return tmp_path


def test_the_digest_is_the_same_wherever_the_tree_lies(tree: Path) -> None:
    before = tree_digest(tree)
    assert before.startswith("sha256:")
    assert tree_digest(tree.rename(tree.with_name("elsewhere"))) == before


def test_what_mlflow_adds_to_a_download_changes_nothing(tree: Path) -> None:
    before = tree_digest(tree)
    (tree / "registered_model_meta").write_text("model_name: x")
    assert tree_digest(tree) == before
    (tree / "data" / "registered_model_meta").write_text("but only at the top")
    assert tree_digest(tree) != before


@pytest.mark.parametrize("change", ["byte", "name", "added", "removed", "moved"])
def test_every_change_changes_the_digest(tree: Path, change: str) -> None:
    before = tree_digest(tree)
    model = tree / "data" / "model.pt2"
    match change:
        case "byte":
            model.write_bytes(b"Weights")
        case "name":
            model.rename(tree / "data" / "model.pt3")
        case "added":
            (tree / "empty").touch()
        case "removed":
            model.unlink()
        case "moved":
            model.rename(tree / "model.pt2")
    assert tree_digest(tree) != before


def test_a_link_is_refused(tree: Path) -> None:
    (tree / "link").symlink_to("/etc/hostname")
    with pytest.raises(ModelRefused, match="link or a special file"):
        tree_digest(tree)


def test_a_linked_folder_is_refused(tree: Path) -> None:
    (tree / "folder").symlink_to(tree / "data")
    with pytest.raises(ModelRefused, match="link or a special file"):
        tree_digest(tree)


@given(name=st.text(min_size=1), digest=st.text(min_size=1))
def test_what_was_signed_is_verified(name: str, digest: str) -> None:
    verify(KEY.public_key(), name, digest, sign(KEY, name, digest))


@pytest.mark.parametrize(
    ("name", "digest", "signature"),
    [
        ("other", "sha256:aa", sign(KEY, "model", "sha256:aa")),
        ("model", "sha256:ab", sign(KEY, "model", "sha256:aa")),
        ("model", "sha256:aa", sign(Ed25519PrivateKey.generate(), "model", "sha256:aa")),
        ("model", "sha256:aa", "not base64!"),
        ("model", "sha256:aa", "äöü"),
        ("model", "sha256:aa", ""),
    ],
    ids=["name", "digest", "key", "no-base64", "no-ascii", "empty"],
)
def test_a_forgery_is_refused(name: str, digest: str, signature: str) -> None:
    with pytest.raises(ModelRefused, match="signature does not match"):
        verify(KEY.public_key(), name, digest, signature)


def test_the_private_key_is_for_its_owner_only_and_made_once(tmp_path: Path) -> None:
    private, public = tmp_path / "keys" / "signing.key", tmp_path / "keys" / "signing.pub"
    ensure_keypair(private, public)
    first = private.read_bytes()
    ensure_keypair(private, public)
    assert private.read_bytes() == first
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    verify(load_verify_key(public), "m", "d", sign(load_signing_key(private), "m", "d"))


def test_a_secret_is_never_replaced(tmp_path: Path) -> None:
    key = read_or_create_secret(tmp_path / "webhook.key")
    assert read_or_create_secret(tmp_path / "webhook.key") == key
    with pytest.raises(FileExistsError):
        write_secret(tmp_path / "webhook.key", b"other")
