"""Who vouches for an evidence pack: Ed25519 over its last digest, with the key that also signs the site's models.

Whoever has the site's public key (`keys/signing.pub`) can check it, at any other place, too.
"""

from __future__ import annotations

from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

DOMAIN = b"serinus-evidence-pack-1\0"  # the key has other uses


class PackSigner:
    """Signs with one private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes_raw().hex()

    def sign(self, digest: str) -> str:
        """The signature of a pack's last digest (hex)."""
        return self._key.sign(DOMAIN + digest.encode()).hex()


def is_signed(public_key: str, digest: str, signature: str) -> bool:
    """Whether the signature is that key's of that digest; keys and signatures in lower-case hex, in no other form."""
    try:
        key, signed = bytes.fromhex(public_key), bytes.fromhex(signature)
        Ed25519PublicKey.from_public_bytes(key).verify(signed, DOMAIN + digest.encode())
    except (InvalidSignature, ValueError):
        return False
    return (key.hex(), signed.hex()) == (public_key, signature)


def fingerprint(public_key: str) -> str:
    """A short name of a public key: sha256 over its 32 bytes. Raises ValueError for what is no hex."""
    return f"sha256:{sha256(bytes.fromhex(public_key)).hexdigest()}"


def public_key_of(key: Ed25519PublicKey) -> str:
    return key.public_bytes_raw().hex()
