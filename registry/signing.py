"""Who vouched for an artifact: Ed25519 over the model's name and the tree digest, kept as version tags.

Anybody who may edit a model in MLflow may edit its tags, so a tag proves nothing by itself; the signature
does, against a public key that the site holds. The name is signed too, so a digest cannot be moved to
another model.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from core.errors import ModelRefused
from registry.secret_file import write_secret

DIGEST_TAG = "serinus.artifact.digest"
SIGNATURE_TAG = "serinus.artifact.signature"


def ensure_keypair(signing_key: Path, verify_key: Path) -> None:
    """Make the site's key pair on first use (PEM; the private half with mode 0600)."""
    if not signing_key.exists():
        private = Ed25519PrivateKey.generate()
        write_secret(signing_key, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = load_signing_key(signing_key).public_key()
    verify_key.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError("the signing key is not an Ed25519 key")
    return key


def load_verify_key(path: Path) -> Ed25519PublicKey:
    key = load_pem_public_key(path.read_bytes())
    if not isinstance(key, Ed25519PublicKey):
        raise TypeError("the verify key is not an Ed25519 key")
    return key


def sign(key: Ed25519PrivateKey, name: str, digest: str) -> str:
    """The signature of one artifact under one registered name (base64)."""
    return base64.b64encode(key.sign(_signed(name, digest))).decode()


def verify(key: Ed25519PublicKey, name: str, digest: str, signature: str) -> None:
    """Raise ModelRefused unless `signature` is the key holder's for this name and digest."""
    try:
        key.verify(base64.b64decode(signature, validate=True), _signed(name, digest))
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise ModelRefused(
            "the signature does not match the artifact's digest: a tag was edited or another key signed it"
        ) from error


def _signed(name: str, digest: str) -> bytes:
    return b"serinus-artifact-1\0" + name.encode() + b"\0" + digest.encode()
