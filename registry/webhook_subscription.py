"""Has MLflow tell us when an alias, a version or a tag changes. It is a wake-up only; polling finds it anyway.

MLflow keeps at most one subscription of a name; one that leads elsewhere or knows another secret is made anew. Sites
that share a registry have names of their own.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from registry.client import RegistryClient

NAME: Final = "serinus"
EVENTS: Final = (
    ("MODEL_VERSION_ALIAS", "CREATED"),
    ("MODEL_VERSION_ALIAS", "DELETED"),
    ("MODEL_VERSION_TAG", "SET"),
    ("MODEL_VERSION_TAG", "DELETED"),
)


def subscribe(client: RegistryClient, url: str, secret: str, name: str = NAME) -> bool:
    """Whether a subscription was made; False when the right one was there. Raises RegistryUnavailable."""
    subscription = _subscription(url, secret, name)
    ours = [webhook for webhook in client.webhooks() if webhook["name"] == name]
    stale = [
        webhook
        for webhook in ours
        if any(webhook.get(key) != subscription[key] for key in ("url", "description"))
    ]
    for webhook in stale:
        client.delete_webhook(str(webhook["webhook_id"]))
    if len(stale) < len(ours):
        return False
    client.create_webhook({**subscription, "secret": secret})
    return True


def name_of_site(secret: str) -> str:
    """A name of its own for each site that shares a registry, told apart by their secrets."""
    return f"{NAME}-{_fingerprint(secret)}"


def _fingerprint(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:12]


def _subscription(url: str, secret: str, name: str) -> dict[str, Any]:
    """MLflow never shows a secret again, so the description carries its fingerprint."""
    return {
        "name": name,
        "description": f"wakes Serinus; secret {_fingerprint(secret)}",
        "url": url,
        "events": [{"entity": entity, "action": action} for entity, action in EVENTS],
    }
