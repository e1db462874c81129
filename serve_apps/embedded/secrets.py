"""The stack's own secrets, made once and kept in the state folder (mode 0600)."""

from __future__ import annotations

import secrets

from registry.signing import ensure_keypair
from serve_apps.adapters.api_keys import create_key, write_private
from serve_apps.application.callers import Scope
from serve_apps.settings import StatePaths

KEY_BYTES = 32
ORCHESTRATOR = (Scope.JOBS_WRITE, Scope.RESULTS_READ, Scope.STUDIES_WRITE)


def ensure_secrets(paths: StatePaths) -> None:
    """Create what is missing: the first two keys of callers, the signing pair, and four random secrets."""
    paths.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file, name, scopes in (
        (paths.api_key, "admin", (Scope.ADMIN,)),
        (paths.orchestrator_key, "orchestrator", ORCHESTRATOR),
    ):
        if not file.exists():
            write_private(file, create_key(paths.api_keys, name, scopes))
    for key in (paths.pseudonym_key, paths.callback_key, paths.webhook_key, paths.ray_token):
        if not key.exists():
            write_private(key, secrets.token_hex(KEY_BYTES))
    ensure_keypair(paths.signing_key, paths.verify_key)
