"""One pack, made once, of a run with rows of every kind: for tests of what reads packs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from canary.truth import TruthLabel
from ledger import Ledger
from registry.pack_signature import PackSigner
from serve_apps.application.evidence_packs import EvidencePacks
from tests.unit.canary.rollout.builders import METRICS, sensitivity
from tests.unit.ledger.conftest import NOON, Clock
from tests.unit.shell.evidence_run import MODEL, PLAN, EvidenceRun

SITE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = PackSigner(SITE_KEY)


@cache
def a_pack() -> dict[str, Any]:
    """Of a run that a person ended, by versions 2 and 1 of `ich`; signed. Copy it before you change it."""
    with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as threads:
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db", clock=Clock())
        run = EvidenceRun(ledger, replace(PLAN, metrics=(sensitivity(strata=("site",)), *METRICS[1:])))
        run.begin()
        for number in range(5):
            run.read(f"pt-{number}", TruthLabel.PRESENT, candidate_right=number != 2)
        run.approve("radiologist", "ris/ada")
        run.move("approved by ris/ada as radiologist", step=4, weight_bp=5_000)
        for number in range(5):
            run.draw(f"pt-drawn-{number}", 5_000, fails=number % 2 == 0)
        run.look()
        run.fail("aborted by a person")
        pack = EvidencePacks(ledger, threads, site="north", signer=SIGNER, clock=lambda: NOON)._pack(MODEL, 1)
        ledger.close()
        return pack
