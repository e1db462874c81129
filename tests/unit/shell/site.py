"""One site without Ray or sockets: a real ledger, a snapshot that a test makes, and the routes over them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ledger import Ledger, ShadowTask
from observability.redaction import Pseudonymiser
from serve_apps.api.app import Services
from serve_apps.api.auth import ApiKeys, Scope, create_key
from serve_apps.api.stow import Inbox
from serve_apps.api.webhook_receiver import WebhookReceiver
from serve_apps.application.ab_tests import ABService
from serve_apps.application.jobs import JobService
from serve_apps.application.result import to_result
from serve_apps.application.routing import RoutingService
from serve_apps.settings import Settings
from tests.unit.shell.builders import a_prediction, a_snapshot, a_version

STUDY = "1.2.840.77"
BODY = {"study_uid": STUDY, "source": "samples", "model": "ich-triage"}


S3 = {"id": "s3", "kind": "s3", "allowed_prefixes": ["s3://incoming/"]}


class Site:
    """One site: its ledger, its snapshot, and what its routes need."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = Settings(state_dir=folder, infer_wait_s=0.0, sources=(S3,), **settings)
        self.ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}")
        self.snapshot = a_snapshot(a_version())
        self.announced = 0
        keys = folder / "keys.json"
        self.key = create_key(keys, "ris", [Scope.ADMIN])
        self.reader_key = create_key(keys, "reader", [Scope.RESULTS_READ])
        jobs = JobService(self.settings, self.ledger, lambda: self.snapshot)
        self.services = Services(
            self.settings,
            jobs,
            RoutingService(self.ledger, lambda: self.snapshot, Pseudonymiser(b"k" * 32), self.announce),
            ABService(self.ledger, lambda: self.snapshot, self.announce),
            ApiKeys(keys),
            Inbox(folder / "inbox", "inbox", 1 << 20),
            WebhookReceiver("secret", self.announce),
        )

    async def announce(self) -> None:
        self.announced += 1

    def finish(self, job_id: str, shadows: tuple[ShadowTask, ...] = ()) -> None:
        """What a runner does with a job, in short."""
        now = datetime.now(UTC)
        (claimed,) = self.ledger.leases.claim("t", now=now, lease_s=60, limit=1)
        assert claimed.job.id == job_id
        result = to_result(a_prediction(), STUDY, sr_uid="1.2.9", routing={})
        self.ledger.leases.complete(
            claimed.token,
            result=result.model_dump(mode="json"),
            documents_by_kind={"sr": b"DICM"},
            deliveries_to_make=[],
            stages_s={"fetch": 0.1},
            model="ich-triage",
            now=now,
            shadows=shadows,
            study_key="st-1",
        )

    def fail(self, code: str) -> None:
        now = datetime.now(UTC)
        (claimed,) = self.ledger.leases.claim("t", now=now, lease_s=60, limit=1)
        self.ledger.leases.fail(claimed.token, code, "why", retry_at=None, now=now)
