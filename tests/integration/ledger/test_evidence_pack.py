"""A pack of a run whose rows came in any order, on SQLite and PostgreSQL: its curves end at what is kept."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from canary.evidence.metric import MetricKind
from canary.evidence.metric_state import harm_log10_e
from canary.evidence.storage import from_json
from canary.truth import TruthLabel
from ledger import Ledger
from serve_apps.application.evidence_packs import EvidencePacks
from serve_apps.application.evidence_page.page import page_of
from serve_apps.application.evidence_seal import look_at, read_pack
from tests.unit.canary.rollout.builders import METRICS, sensitivity
from tests.unit.ledger.conftest import GIVES_UP_SOON, Clock
from tests.unit.shell.evidence_run import MODEL, PLAN, EvidenceRun

SPECIFICITY = sensitivity(name="specificity", kind=MetricKind.SPECIFICITY)
DECLARED = replace(PLAN, metrics=(sensitivity(strata=("site", "scanner")), SPECIFICITY, *METRICS[1:]))
PATIENTS = 36


@pytest.fixture
def either_ledger(either_url: str) -> Iterator[Ledger]:
    opened = Ledger.open(either_url, GIVES_UP_SOON, Clock())
    yield opened
    opened.close()


def some_happen(run: EvidenceRun, chance: random.Random, name: str, *, looks: float = 0.1) -> None:
    for number in range(PATIENTS):
        patient = f"pt-{name}-{number}"
        match chance.randrange(4):
            case 0:
                run.draw(patient, chance.choice([0, 500, 5_000, 10_000]), fails=chance.random() < 0.3)
            case 1:
                run.fail_shadow(patient)
            case _:
                truth = chance.choice([TruthLabel.PRESENT, TruthLabel.ABSENT])
                run.read(patient, truth, candidate_right=chance.random() < 0.9)
        if chance.random() < looks:
            run.look()


@pytest.mark.parametrize("seed", [1, 2])
def test_every_curve_ends_at_the_state_that_was_decided_by(either_ledger: Ledger, seed: int) -> None:
    run = EvidenceRun(either_ledger, DECLARED)
    run.begin()
    some_happen(run, random.Random(seed), "first")
    run.move("approved", step=4, weight_bp=500)
    some_happen(run, random.Random(seed + 10), "second")
    run.look()
    kept = either_ledger.rollout_evidence.of_run(MODEL, 1)
    run.fail("aborted by a person")
    some_happen(run, random.Random(seed + 20), "later", looks=0.0)  # nobody looks at what has ended

    with ThreadPoolExecutor(1) as threads:
        pack = EvidencePacks(either_ledger, threads, site="north")._pack(MODEL, 1)
    metrics = {one["content"]["metric"]: one["content"] for one in pack["records"] if one["kind"] == "metric"}
    seen = [spec for spec in DECLARED.metrics if spec.name in kept]
    assert {spec.name for spec in seen} == {
        "sensitivity",
        "specificity",
        "canary-failures",
        "late-truth",
        "latency",
    }
    for spec in seen:
        state, told = from_json(dict(kept[spec.name].state)), metrics[spec.name]
        assert told["agrees_with_kept"] is True, spec.name
        assert told["trajectory"]["harm"][-1][1] == harm_log10_e(spec, state)
        assert told["observed"] == state.overall.observed
        assert (state.overall.observed > 0) is (spec.name != "latency")  # these rows carry no times
    text = json.dumps(pack)
    assert look_at(read_pack(text)).faults == ()
    assert [one for one in (*run.patients, *run.jobs) if one in text or one in page_of(pack)] == []
