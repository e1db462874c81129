"""A study that fills the memory ends its reader and nothing else: it is parked, and all beside it are read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from imaging.samples.synthetic import make_ct_study
from tests.bombs import rle_bomb, write_study
from tests.e2e.conftest import NewStack
from tests.stack import LiveStack

OTHERS = ("Ingress", "JobWorker", "RolloutController", "Outbox", "ShadowWorker", "ModelServer")
INNOCENT = 8
READER_BYTES = 900 << 20  # three slices of the bomb, and twenty times an innocent study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def guarded(new_stack: NewStack, folder: Path) -> LiveStack:
    source = {"id": "hostile", "kind": "folder", "root": str(folder)}
    return new_stack("bombs", source, environment={"SERINUS_READER_MEMORY_BYTES": str(READER_BYTES)})


def test_a_bomb_is_parked_and_the_studies_beside_it_are_read(guarded: LiveStack, folder: Path) -> None:
    bomb = write_study(rle_bomb("bomb"), folder / "bomb")
    innocent = [
        write_study(make_ct_study(f"innocent-{number}", slices=24, size=128), folder / f"innocent-{number}")
        for number in range(INNOCENT)
    ]
    before = {name: guarded.processes(f":{name}") for name in OTHERS}
    early = [guarded.submit(study, "hostile", model="ich-triage") for study in innocent[:2]]
    bombed = guarded.submit(bomb, "hostile", model="ich-triage")
    late = [guarded.submit(study, "hostile", model="ich-triage") for study in innocent[2:]]
    ended = all_ended(guarded, [bombed, *early, *late])
    assert {ended[job]["state"] for job in (*early, *late)} == {"completed"}
    assert (ended[bombed]["state"], ended[bombed]["error"]["code"]) == ("failed", "poison-study")
    assert {name: guarded.processes(f":{name}") for name in OTHERS} == before, "no other process has ended"
    assert "1 studies" in guarded.run("status")["models"]["alarms"]["readers"]


def test_the_house_reads_on_after_a_bomb(guarded: LiveStack, folder: Path) -> None:
    study = write_study(make_ct_study("after", slices=24, size=128), folder / "after")
    assert guarded.finished(guarded.submit(study, "hostile", model="ich-triage"))["state"] == "completed"


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
