"""A study that would fill the memory is refused; one that ends its readers is parked; all beside them are read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from imaging.samples.synthetic import make_ct_study
from tests.bombs import rle_bomb, write_study
from tests.e2e.conftest import NewStack
from tests.stack import LiveStack, eventually, kill_now

OTHERS = ("Ingress", "JobWorker", "RolloutController", "Outbox", "ShadowWorker", "ModelServer")
INNOCENT = 8
LARGE = 16  # slices of 4000 x 4000: seconds to decode, and less than a reader may hold
READING_BYTES = 350 << 20  # a process that reads nothing holds half of it
APART = "serve_apps.adapters.apart_process"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def guarded(new_stack: NewStack, folder: Path) -> LiveStack:
    source = {"id": "hostile", "kind": "folder", "root": str(folder)}
    return new_stack("bombs", source)


def test_a_bomb_is_refused_by_its_headers_and_ends_no_process(guarded: LiveStack, folder: Path) -> None:
    bomb = write_study(rle_bomb("bomb", slices=40), folder / "bomb")
    innocent = [
        write_study(make_ct_study(f"innocent-{number}", slices=24, size=128), folder / f"innocent-{number}")
        for number in range(INNOCENT)
    ]
    before = {name: guarded.processes(f":{name}") for name in (*OTHERS, "StudyReader")}
    early = [guarded.submit(study, "hostile", model="ich-triage") for study in innocent[:2]]
    bombed = guarded.submit(bomb, "hostile", model="ich-triage")
    late = [guarded.submit(study, "hostile", model="ich-triage") for study in innocent[2:]]
    ended = all_ended(guarded, [bombed, *early, *late])
    assert {ended[job]["state"] for job in (*early, *late)} == {"completed"}
    assert (ended[bombed]["state"], ended[bombed]["error"]["code"]) == ("failed", "pixels-too-large")
    ended_pids = {name: set(pids) - set(guarded.processes(f":{name}")) for name, pids in before.items()}
    assert not any(ended_pids.values()), "no process has ended"


def test_a_study_that_ends_each_process_that_reads_it_is_parked(guarded: LiveStack, folder: Path) -> None:
    """Its decoders are killed, as a fault of theirs would end them."""
    study = write_study(rle_bomb("poison", slices=LARGE, size=4000), folder / "poison")
    before = {name: guarded.processes(f":{name}") for name in OTHERS}
    poison = guarded.submit(study, "hostile", model="ich-triage")
    eventually(lambda: stage_of(guarded, poison) == "fetch" or None, 60, "the study to be read")
    assert guarded.kill("ServeReplica:serinus:StudyReader") >= 1
    kill_while_it_reads(guarded, APART)
    job = guarded.finished(poison)
    assert (job["error"]["code"], job["attempt"]) == ("poison-study", 1)
    assert {name: guarded.processes(f":{name}") for name in OTHERS} == before, "no other process has ended"
    assert "1 studies" in guarded.run("status")["models"]["alarms"]["readers"]
    after = write_study(make_ct_study("after", slices=24, size=128), folder / "after")
    again = guarded.submit(study, "hostile", model="ich-triage", force=False)
    assert guarded.finished(guarded.submit(after, "hostile", model="ich-triage"))["state"] == "completed"
    assert guarded.finished(again)["error"]["code"] == "poison-study", (
        "it is not read again unless it is forced"
    )
    assert guarded.finished(guarded.submit(study, "hostile", model="ich-triage"))["state"] == "completed"


def stage_of(stack: LiveStack, job: str) -> str | None:
    with stack.http() as http:
        return str(http.get(f"/v1/jobs/{job}").json()["stage"])


def kill_while_it_reads(stack: LiveStack, title: str) -> None:
    """SIGKILL the process of the title that holds decoded images."""

    def killed() -> bool | None:
        reading = [
            pid for pid in stack.processes(title) if psutil.Process(pid).memory_info().rss > READING_BYTES
        ]
        kill_now(reading)
        return bool(reading) or None

    eventually(killed, 90, "a process to read the study")


def all_ended(stack: LiveStack, jobs: list[str], within_s: float = 120) -> dict[str, dict[str, Any]]:
    """Every job when it has ended; whoever asks meanwhile is answered at once."""
    ended: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + within_s
    with stack.http(timeout_s=5) as http:
        while len(ended) < len(jobs):
            assert time.monotonic() < deadline, sorted(set(jobs) - ended.keys())
            assert http.get("/healthz").status_code == 200
            for job in set(jobs) - ended.keys():
                answer = http.get(f"/v1/jobs/{job}")
                assert answer.status_code == 200, answer.text
                if answer.json()["state"] in ("completed", "failed"):
                    ended[job] = answer.json()
            time.sleep(0.1)
    return ended
