"""The anchor of the site's audit: a file in the state folder, under the site's own key."""

from __future__ import annotations

from ledger import AuditAnchor, Ledger
from serve_apps.settings import Settings


def audit_anchor(settings: Settings, ledger: Ledger) -> AuditAnchor:
    """The anchor of this ledger. The state folder must have its keys, as `serinus up` makes them."""
    key = bytes.fromhex(settings.paths.pseudonym_key.read_text().strip())
    return AuditAnchor(ledger.audit, settings.paths.audit_anchor, key)
