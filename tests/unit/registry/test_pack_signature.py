"""A pack's signature is one key's for one digest, in one form."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from registry.pack_signature import PackSigner, fingerprint, is_signed, public_key_of
from registry.signing import sign

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = PackSigner(KEY)
DIGEST = "ab" * 32


def test_a_signature_fits_its_key_and_digest_only() -> None:
    signature = SIGNER.sign(DIGEST)
    assert is_signed(SIGNER.public_key, DIGEST, signature)
    assert not is_signed(SIGNER.public_key, "ac" * 32, signature)
    assert not is_signed(PackSigner(Ed25519PrivateKey.generate()).public_key, DIGEST, signature)
    assert SIGNER.public_key == public_key_of(KEY.public_key())


def test_another_spelling_of_key_or_signature_is_none() -> None:
    signature = SIGNER.sign(DIGEST)
    for key, value in (
        (SIGNER.public_key.upper(), signature),
        (SIGNER.public_key, signature.upper()),
        (SIGNER.public_key, f" {signature}"),
        ("", signature),
        ("no hex", signature),
    ):
        assert not is_signed(key, DIGEST, value)


def test_a_signature_of_an_artifact_is_none_of_a_pack() -> None:
    assert not is_signed(SIGNER.public_key, DIGEST, sign(KEY, "", DIGEST))


def test_a_fingerprint_names_a_key() -> None:
    other = PackSigner(Ed25519PrivateKey.generate())
    assert fingerprint(SIGNER.public_key).startswith("sha256:")
    assert fingerprint(SIGNER.public_key) != fingerprint(other.public_key)
