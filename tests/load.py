"""Steady callers, as an orchestrator is one: each study is asked for once, and whatever comes back is counted."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx

from tests.stack import LiveStack, eventually

WAIT_S = 60
Result = tuple[str, dict[str, Any]]


class Load:
    """`callers` threads that have one patient's study read after the other; `results` in the order of arrival.

    Nothing is repeated. An answer that is neither a result nor a promise of one stands in `failures` with its status,
    a broken connection too. A study that takes longer than its caller waits is followed to its end (`late`).
    """

    def __init__(self, stack: LiveStack, studies: Mapping[str, str], model: str, callers: int = 3) -> None:
        self.stack = stack
        self.studies = dict(studies)
        self.model = model
        self.callers = callers
        self.results: list[Result] = []
        self.failures: list[str] = []
        self.late = 0
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
        body = {"study_uid": self.studies[patient], "source": "pacs", "model": self.model, "force": True}
        try:
            with self.stack.http(timeout_s=WAIT_S + 30) as http:
                answer = http.post("/v1/jobs", json=body, headers={"Prefer": f"wait={WAIT_S}"})
                if answer.status_code == httpx.codes.ACCEPTED:
                    answer = self._followed(http, answer.json()["id"])
        except httpx.HTTPError as error:
            self.failures.append(f"{patient}: {type(error).__name__}")
            self._stop.wait(0.2)
            return
        if answer.status_code == httpx.codes.OK:
            self.results.append((patient, answer.json()))
            return
        self.failures.append(f"{patient}: {answer.status_code} {answer.text}")
        self._stop.wait(0.2)

    def _followed(self, http: httpx.Client, job_id: str) -> httpx.Response:
        self.late += 1
        http.get(f"/v1/jobs/{job_id}", params={"wait": WAIT_S})
        return http.get(f"/v1/jobs/{job_id}/results")

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
        versions: dict[str, set[str]] = {}
        for patient, result in self.results[mark:]:
            versions.setdefault(patient, set()).add(str(result["model"]["version"]))
        return versions

    def everybody_once(self) -> dict[str, str]:
        """From now on, until every patient was read: who reads whom. A patient with two versions fails here."""
        mark = self.settle()
        eventually(
            lambda: self.versions_since(mark).keys() == self.studies.keys() or None,
            240,
            "every patient to be read",
        )
        versions = self.versions_since(mark)
        torn = {patient: several for patient, several in versions.items() if len(several) > 1}
        assert not torn, f"a patient changed its version while the weight stood: {torn}"
        return {patient: one.pop() for patient, one in versions.items()}


def readers(of: Mapping[str, str], version: str) -> set[str]:
    """The patients that a version reads."""
    return {patient for patient, reader in of.items() if reader == version}


def count(of: Mapping[str, str]) -> Counter[str]:
    return Counter(of.values())
