"""The running stack over HTTP: studies by STOW-RS, jobs, truths, aliases in MLflow, and rollouts."""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from itertools import count
from multiprocessing import get_context
from typing import Any, Final

from pydicom.dataset import Dataset
from threadpoolctl import threadpool_limits

from canary.gates import SitePolicy
from imaging.dicomweb import encode_multipart
from models.zoo.ich.cohort import FINDING, cohort_head, to_datasets
from models.zoo.ich.phantom import Mixture
from registry.client import RegistryClient
from serve_apps.cli.client import ApiClient, ApiError
from serve_apps.cli.rollout_demo.acts import MODEL
from serve_apps.cli.rollout_demo.flow import DemoStudy, ReadStudy
from serve_apps.settings import Settings

TENANT: Final = "orchestrator"
WARM_S: Final = 120.0
POLL_S: Final = 0.5
PAUSE_S: Final = 0.2
MOST_PENDING: Final = 4
SHARES: Final = Mixture(bleed=0.5, rim=0.8, thick=0.5)  # most bleeds lie along the skull
AHEAD: Final = 8  # phantoms that are drawn before somebody asks
Json = Mapping[str, Any]


def phantoms(first: int) -> Iterator[DemoStudy]:
    """Head CT phantoms, patient after patient from that number on, for ever.

    A process of its own draws them, some ahead of the callers, who have enough to do with waiting.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), _take_one_core) as process:
        ahead = deque(process.submit(phantom, first + k) for k in range(AHEAD))
        for number in count(first + AHEAD):
            ahead.append(process.submit(phantom, number))
            yield ahead.popleft().result()


def phantom(number: int) -> DemoStudy:
    """One patient's study: the same number gives the same files."""
    head = cohort_head(number, SHARES)
    datasets = to_datasets(head)
    return DemoStudy(str(datasets[0].StudyInstanceUID), tuple(map(_part_10, datasets)), head.labels.positive)


def _take_one_core() -> None:
    """What waits for numpy's other threads would take the cores from the stack."""
    threadpool_limits(1)  # type: ignore[no-untyped-call]


def _part_10(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


class RunningSite:
    """A `DemoSite`, and what people do in the demo. Every method raises ApiError, and ApiAway for no answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._orchestrator = ApiClient.of_orchestrator(settings)
        self._admin = ApiClient.of(settings, actor="demo")
        self._registry = RegistryClient(settings.registry_url)
        self._candidate = ""

    def read(self, study: DemoStudy) -> ReadStudy:
        """Store the study by STOW-RS, which has it read, once the candidate's shadow has caught up.

        A shadow waits while live studies run, and callers who never pause would leave it no time.
        """
        for _ in range(int(WARM_S / PAUSE_S)):
            if self._pending() < MOST_PENDING:
                break
            time.sleep(PAUSE_S)
        content_type, body = encode_multipart(study.files)
        self._orchestrator.store(content_type, body)
        self._orchestrator.ask("POST", f"/v1/studies/{study.study_uid}/complete")
        (job,) = self._orchestrator.ask("GET", f"/v1/jobs?study_uid={study.study_uid}")["jobs"]
        ended = self._orchestrator.ended(job["id"])
        if ended["error"] is not None:
            return ReadStudy(None, ended["error"]["code"])
        return ReadStudy(self._orchestrator.result(job["id"])["model"]["version"])

    def _pending(self) -> int:
        """Studies that the candidate is still to read as a shadow."""
        pending = self._admin.queue()["pending_shadows"]
        return sum(one["shadows"] for one in pending if one["version"] == self._candidate)

    def tell(self, study: DemoStudy) -> None:
        """The truth of a phantom is that by which it was drawn."""
        body = {
            "model": MODEL,
            "finding": FINDING,
            "label": "present" if study.is_positive else "absent",
            "source": "pathology",
            "reader": "phantom",
            "read_at": datetime.now(UTC).isoformat(),
        }
        self._admin.ask("POST", f"/v1/studies/{study.study_uid}/truth?tenant={TENANT}", body)

    def require_research(self) -> None:
        """Raise ApiError unless versions may answer here that nobody cleared."""
        if self._admin.models()["site_policy"] != SitePolicy.RESEARCH:
            raise ApiError(
                "strict-site", "nobody cleared the demo's versions: it needs the stack of `make up`"
            )

    def set_alias(self, alias: str, version: str) -> None:
        """As a person does it in MLflow's own page."""
        if alias == "challenger":
            self._candidate = version
        self._registry.set_alias(MODEL, alias, version)

    def champion(self) -> str | None:
        return self._registry.models()[MODEL].aliases.get("champion")

    def wait_until_warm(self, version: str) -> None:
        """Until the version may read. Raises ApiError when that takes too long."""
        for _ in range(int(WARM_S / POLL_S)):
            variants = self._admin.models()["variants"]
            if any((v["model"], v["version"], v["state"]) == (MODEL, version, "warm") for v in variants):
                return
            time.sleep(POLL_S)
        raise ApiError("not-warm", f"version {version} is not ready after {WARM_S:g} s")

    def start(self, spec: str) -> Json:
        return self._admin.ask("PUT", f"/v1/rollouts/{MODEL}", {"spec": spec})

    def abort(self) -> None:
        """End the rollout that is under way."""
        self._admin.ask("POST", f"/v1/rollouts/{MODEL}/abort", {"note": "the demo begins anew"})

    def rollout(self, run: int) -> Json:
        return self._admin.ask("GET", f"/v1/rollouts/{MODEL}?run={run}")

    def pack(self, run: int) -> Json:
        """What the run went by."""
        return self._admin.ask("GET", f"/v1/rollouts/{MODEL}/evidence?run={run}")

    def recall(self, run: int) -> Json:
        """The studies that the run's version answered, once it was withdrawn."""
        return self._admin.ask("GET", f"/v1/rollouts/{MODEL}/recall?run={run}")

    def approve(self, role: str, person: str) -> None:
        """As one of several people, each of whom has to say so."""
        body = {"role": role, "note": "the demo approves for its audience"}
        ApiClient.of(self._settings, actor=person).ask("POST", f"/v1/rollouts/{MODEL}/approve", body)
