"""Steady callers, as an orchestrator is one: each study with an idempotency key, asked again when the line breaks."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx

from tests.stack import LiveStack, eventually

GIVE_UP_S = 120.0
Result = tuple[str, dict[str, Any]]


class Load:
    """`callers` threads that read one patient's study after the other; `results` in the order of arrival.

    A call that broke (a killed router, a full queue) is repeated with its key, which finds the same job; what has
    no result after GIVE_UP_S, or failed, stands in `failures`.
    """

    def __init__(self, stack: LiveStack, studies: Mapping[str, str], model: str, callers: int = 3) -> None:
        self.stack = stack
        self.studies = dict(studies)
        self.model = model
        self.results: list[Result] = []
        self.failures: list[str] = []
        self.repeated = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(seed,)) for seed in range(callers)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        order = random.Random(seed)
        while not self._stop.is_set():
            patients = sorted(self.studies)
            order.shuffle(patients)
            for patient in patients:
                if not self._stop.is_set():
                    self._read(patient)

    def _read(self, patient: str) -> None:
        body = {"study_uid": self.studies[patient], "source": "pacs", "model": self.model}
        headers = {"Prefer": "wait=60", "Idempotency-Key": uuid.uuid4().hex}
        deadline = time.monotonic() + GIVE_UP_S
        while time.monotonic() < deadline:
            answer = self._ask(body, headers)
            if answer is not None and answer.status_code == httpx.codes.OK:
                self.results.append((patient, answer.json()))
                return
            if answer is not None and answer.status_code < 500 and answer.status_code != 202:
                break
            self.repeated += 1
            time.sleep(0.2)
        self.failures.append(f"{patient}: {answer.text if answer is not None else 'no answer'}")

    def _ask(self, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response | None:
        try:
            with self.stack.http(timeout_s=90) as http:
                return http.post("/v1/jobs", json=body, headers=headers)
        except httpx.HTTPError:
            return None

    def wait_for(self, count: int, within_s: float = 180) -> int:
        """Wait for `count` more results; returns where they begin."""
        mark = len(self.results)
        eventually(lambda: len(self.results) >= mark + count or None, within_s, f"{count} results")
        return mark

    def settle(self) -> int:
        """Let the calls end that were under way; returns where the results of later ones begin."""
        return self.wait_for(2 * len(self._threads)) + 2 * len(self._threads)

    def versions_since(self, mark: int) -> dict[str, set[str]]:
        """The versions that read each patient since then."""
        found: dict[str, set[str]] = {}
        for patient, result in self.results[mark:]:
            found.setdefault(patient, set()).add(str(result["model"]["version"]))
        return found

    def everybody_once(self) -> dict[str, str]:
        """From now on, until every patient was read: who reads whom. A patient with two versions fails here."""
        mark = self.settle()
        eventually(
            lambda: self.versions_since(mark).keys() == self.studies.keys() or None,
            240,
            "every patient to be read",
        )
        found = self.versions_since(mark)
        torn = {patient: versions for patient, versions in found.items() if len(versions) > 1}
        assert not torn, f"a patient changed its version while the weight stood: {torn}"
        return {patient: versions.pop() for patient, versions in found.items()}


def readers(of: Mapping[str, str], version: str) -> set[str]:
    """The patients that a version reads."""
    return {patient for patient, reader in of.items() if reader == version}


def count(of: Mapping[str, str]) -> Counter[str]:
    return Counter(of.values())
