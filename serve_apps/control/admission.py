"""Which registered versions this site admits: fetched, verified, gated. Remembers the answer per version.

A version that is refused never becomes a view, so that no alias can bring it near a study; the reason is kept
for `serinus status` and the version's page in MLflow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from canary.gates import Clearance, GateVerdict, SitePolicy, regulatory_gate
from canary.observation import VersionView
from core.errors import RegistryUnavailable, SerinusError, UnknownModel
from models.spec import ModelSpec
from registry.cache import CachedModel, NodeCache
from registry.client import ModelVersion, RegistryClient
from registry.signing import DIGEST_TAG
from serve_apps.application.messages import ServedVersion, app_name
from serve_apps.control.version_resources import resources_of
from serve_apps.resources import Resources

REFRESH_S = 5.0
RETRY_S = 30.0
STATUS_TAG = "regulatory.status"
CLEARED_DIGEST_TAG = "regulatory.digest"


@dataclass(frozen=True, slots=True)
class Admitted:
    """A version whose files were verified on this node."""

    version: ModelVersion
    digest: str
    spec: ModelSpec


@dataclass(frozen=True, slots=True)
class Refused:
    """A version that will not be loaded, and why."""

    reason: str
    digest: str | None = None


Answer = Admitted | Refused


class AdmissionController:
    """Admits versions one by one; a slow download delays nobody else's look."""

    def __init__(
        self,
        client: RegistryClient,
        cache: NodeCache,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`changed` is called when an answer differs from the last."""
        self._client = client
        self._cache = cache
        self._clock = clock
        self._changed = changed
        self._answers: dict[tuple[str, str], tuple[float, Answer]] = {}
        self._pending: dict[tuple[str, str], asyncio.Task[None]] = {}

    def look(self, model: str, version: str) -> Answer | None:
        """The answer as it stands, None while the files are still on their way; asks anew when it is old."""
        key = (model, version)
        known = self._answers.get(key)
        if key not in self._pending and (known is None or self._clock() >= known[0]):
            task = asyncio.create_task(self._ask(key))
            self._pending[key] = task
            task.add_done_callback(lambda _: self._pending.pop(key, None))
        return known[1] if known else None

    def expire(self) -> None:
        """Ask anew about every version at the next look: its tags may have changed."""
        self._answers = {key: (0.0, answer) for key, (_, answer) in self._answers.items()}

    async def _ask(self, key: tuple[str, str]) -> None:
        try:
            answer: Answer = await asyncio.to_thread(self._admit, key)
            again_s = REFRESH_S
        except (RegistryUnavailable, UnknownModel) as error:
            # MLflow is away: what was admitted stays admitted
            answer = self._answers[key][1] if key in self._answers else Refused(error.detail)
            again_s = REFRESH_S
        except SerinusError as error:
            answer, again_s = Refused(error.detail), RETRY_S
        known = self._answers.get(key)
        self._answers[key] = (self._clock() + again_s, answer)
        if known is None or known[1] != answer:
            self._changed()

    def _admit(self, key: tuple[str, str]) -> Answer:
        """Verify the files once, and again when another digest is claimed for them; each replica verifies its own
        at every load. Raises ModelRefused with the sentence that says what is wrong.
        """
        known = self._answers.get(key)
        if known is not None and isinstance(known[1], Admitted):
            said = self._client.version(*key)
            if said.tags.get(DIGEST_TAG) == known[1].digest:
                return replace(known[1], version=said)
        cached: CachedModel = self._cache.fetch(*key)
        return Admitted(ModelVersion(*key, cached.tags), cached.digest, cached.spec)


def gate_of(admitted: Admitted, policy: SitePolicy) -> GateVerdict:
    """What the regulatory gate says of a version by its tags; the clearance counts for its own digest only."""
    tags = admitted.version.tags
    clearance = Clearance(tags.get(STATUS_TAG), tags.get(CLEARED_DIGEST_TAG))
    return regulatory_gate(clearance, admitted.digest, policy)


def view_of(admitted: Admitted, gate: GateVerdict) -> VersionView:
    version = admitted.version
    return VersionView(version.version, admitted.digest, app_name(version.name, version.version), gate)


def served_of(admitted: Admitted, gate: GateVerdict, resources: Resources) -> ServedVersion:
    """What the router needs to know of an admitted version; `resources` are the site's defaults."""
    version = admitted.version
    return ServedVersion(
        model=version.name,
        version=version.version,
        digest=admitted.digest,
        spec=admitted.spec,
        regulatory_status=version.tags.get(STATUS_TAG, "none"),
        research_only=gate.research_only,
        resources=resources_of(version.tags, resources),
        may_answer=gate.may_answer,
    )
