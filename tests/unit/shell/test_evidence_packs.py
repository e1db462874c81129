"""An evidence pack: what stands in it, that it is what was decided by, and that any change of it is found."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.evidence.metric import MetricKind
from canary.evidence.metric_state import harm_log10_e
from canary.evidence.storage import from_json
from canary.routing_table import CANARY
from canary.truth import TruthLabel
from core.errors import RolloutNotFound
from core.hash_chain import chained, digest_of
from ledger import Ledger
from registry.pack_signature import PackSigner
from serve_apps.application.evidence_packs import EvidencePacks
from serve_apps.application.evidence_page.page import page_of
from serve_apps.application.evidence_seal import look_at, read_pack, sealed
from tests.unit.canary.rollout.builders import METRICS, begun, guardrail, sensitivity
from tests.unit.ledger.conftest import NOON, Clock
from tests.unit.ledger.routed import decided, table
from tests.unit.ledger.test_set_evidence import read_set
from tests.unit.ledger.test_truth_sets import registered
from tests.unit.shell.evidence_run import MODEL, PLAN, EvidenceRun

SIGNER = PackSigner(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
SPECIFICITY = sensitivity(name="specificity", kind=MetricKind.SPECIFICITY, strata=("site",))
DECLARED = replace(PLAN, metrics=(*METRICS, SPECIFICITY, guardrail("dice", kind=MetricKind.DICE)))

DRAWN = 6


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", clock=Clock())
    yield opened
    opened.close()


@pytest.fixture
def run(ledger: Ledger) -> EvidenceRun:
    """A run that failed, with rows of every kind that it was decided by."""
    run = EvidenceRun(ledger, DECLARED)
    run.begin()
    for number in range(6):
        run.read(f"pt-read-{number}", TruthLabel.PRESENT, candidate_right=number != 2)
        run.read(f"pt-well-{number}", TruthLabel.ABSENT)
    run.fail_shadow("pt-lost")
    run.approve("radiologist", "ris/ada")
    run.move("approved", step=4, weight_bp=5_000)
    for number in range(DRAWN):
        run.draw(f"pt-drawn-{number}", 5_000, fails=number % 3 == 0)
    run.look()
    run.fail("aborted by a person")
    return run


def pack_of(ledger: Ledger, number: int | None = None, **more: Any) -> dict[str, Any]:
    with ThreadPoolExecutor(1) as threads:
        packs = EvidencePacks(ledger, threads, site="north", clock=lambda: NOON, **more)
        return packs._pack(MODEL, number)


def contents(pack: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [record["content"] for record in pack["records"] if record["kind"] == kind]


def metric(pack: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in contents(pack, "metric") if one["metric"] == name)


def in_canary(run: EvidenceRun) -> list[str]:
    """Patients of whom the candidate was to answer: at 100 % all who were read by both, at 50 % those drawn."""
    return [
        one
        for one in run.patients
        if not one.startswith("pt-drawn") or decided(one, table(5_000)).arm == CANARY
    ]


# ---- what stands in it


def test_a_pack_tells_the_run_from_its_plan_to_its_end(ledger: Ledger, run: EvidenceRun) -> None:
    pack = pack_of(ledger)
    (told,), (plan,), (outcome,) = contents(pack, "run"), contents(pack, "plan"), contents(pack, "outcome")
    assert (told["model"], told["run"], told["candidate"], told["stable"], told["site"]) == (
        MODEL,
        1,
        "2",
        "1",
        "north",
    )
    assert plan["digest"] == plan["digest_at_start"]
    assert plan["declared"]["metrics"][0]["justification"] == "two readers differ by that much"
    assert plan["steps"][2] == "the approval of 2 people as radiologist and quality"
    assert [(one["number"], one["reason"], one["after"]["weight_bp"]) for one in contents(pack, "event")] == [
        (1, begun(DECLARED).reason, 0),
        (2, "approved", 5_000),
        (3, "aborted by a person", 0),
    ]
    (approvals,) = contents(pack, "approvals")
    assert [(one["role"], one["actor"], one["step"]) for one in approvals["approvals"]] == [
        ("radiologist", "ris/ada", 2)
    ]
    assert (outcome["phase"], outcome["reason"], outcome["has_ended"]) == (
        "Failed",
        "aborted by a person",
        True,
    )
    assert contents(pack, "export") == [
        {"made_at": NOON.isoformat(timespec="milliseconds"), "signed_by": None}
    ]


def test_versions_are_told_with_the_artifacts_that_they_read_by(ledger: Ledger, run: EvidenceRun) -> None:
    (versions,) = contents(pack_of(ledger), "versions")
    assert versions["stable"]["version"] == "1"
    assert "d1" in versions["stable"]["artifact_digests"]
    by_role = {
        one["role"]: one["readings"]
        for one in versions["candidate"]["readings"]
        if one["artifact_digest"] == "d2"
    }
    assert by_role["answered"] + by_role["failed"] == len(in_canary(run)) > 0


def test_what_it_cost_patients_is_told_beside_its_budget(ledger: Ledger, run: EvidenceRun) -> None:
    (exposure,) = contents(pack_of(ledger), "exposure")
    assert (exposure["budget_studies"], exposure["budget_adverse"]) == (200, 5)
    assert exposure["exposed_studies"] == exposure["studies_by_step"]["4"] == 2  # of three, the third failed
    assert exposure["adverse_events"] == 1


def test_draws_are_told_beside_those_that_the_weights_expect(ledger: Ledger, run: EvidenceRun) -> None:
    (split,) = contents(pack_of(ledger), "sample-ratio")
    arms = {one["arm"]: one for one in split["arms"]}
    assert arms["canary"]["chosen"] == len(in_canary(run))
    everybody, half = len(run.patients) - DRAWN, DRAWN / 2  # who was read by both was drawn at 100 %
    assert arms["canary"]["expected"] == everybody + half
    assert split["agrees_with_kept"] is True
    assert arms["canary"]["draws"] == split["trajectory"][-1][0]


def test_an_alias_that_moved_in_the_run_is_told(ledger: Ledger, run: EvidenceRun) -> None:
    assert contents(pack_of(ledger), "aliases") == [{"moves": []}]
    other = EvidenceRun(ledger, DECLARED, at=run.at)
    other.begin(run=2)
    ledger.transitions.record(MODEL, "champion", "1", "2", generation=2, reason="by hand")
    assert contents(pack_of(ledger, 1), "aliases") == [{"moves": []}]
    (moves,) = contents(pack_of(ledger), "aliases")
    assert [(one["alias"], one["old"], one["new"]) for one in moves["moves"]] == [("champion", "1", "2")]


def test_pairs_of_a_ground_truth_set_are_told_apart_from_the_flow(ledger: Ledger) -> None:
    of = registered(ledger, TruthLabel.PRESENT, TruthLabel.PRESENT)
    named = sensitivity(name="specificity", kind=MetricKind.SPECIFICITY, truth_sets=(of.name,))
    run = EvidenceRun(
        ledger, replace(PLAN, metrics=(sensitivity(truth_sets=(of.name,)), *METRICS[1:], named))
    )
    run.begin()
    run.read("pt-flow", TruthLabel.PRESENT)
    for version, presences in (("1", ("present", "absent")), ("2", ("present", "present"))):
        read_set(ledger, of, version, (run.at - NOON).total_seconds() + 10, *presences)
    run.look()
    pack = pack_of(ledger)
    by_metric = {one["metric"]: one for one in contents(pack, "metric")}
    told = by_metric["sensitivity"]
    assert (told["observed"], told["champion_events"], told["agrees_with_kept"]) == (3, 1, True)
    (of_set,) = told["ground_truth"]
    assert (of_set["set"], of_set["version"], of_set["pairs"]) == (of.name, of.version, 2)
    assert of_set["digest"] == of.digest
    assert [one["pairs"] for one in by_metric["specificity"]["ground_truth"]] == [0]
    assert "ground_truth" not in by_metric["canary-failures"]
    assert f"2 of these pairs are studies of the ground-truth set {of.name}, version 1" in page_of(pack)
    assert "1.2.840" not in json.dumps(pack)


def test_a_recall_list_has_a_place_and_is_left_out_where_there_is_none(
    ledger: Ledger, run: EvidenceRun
) -> None:
    assert contents(pack_of(ledger), "recall") == []
    pack = pack_of(ledger, recall=lambda model, number: {"reports_withdrawn": 7})
    assert contents(pack, "recall") == [{"reports_withdrawn": 7}]
    assert "Reports withdrawn" in page_of(pack)


async def test_a_run_that_is_not_kept_is_not_found(ledger: Ledger, run: EvidenceRun) -> None:
    with ThreadPoolExecutor(1) as threads:
        packs = EvidencePacks(ledger, threads, site="north")
        for asked in ((MODEL, 2), ("other", None)):
            with pytest.raises(RolloutNotFound):
                await packs.of(*asked)
        named, newest = await packs.of(MODEL, 1), await packs.of(MODEL)
    assert named["records"][:-1] == newest["records"][:-1]


# ---- the evidence is what was decided by


def test_each_trajectory_ends_at_the_kept_state_to_the_last_bit(ledger: Ledger, run: EvidenceRun) -> None:
    pack, kept = pack_of(ledger), ledger.rollout_evidence.of_run(MODEL, 1)
    read = {spec.name: spec for spec in DECLARED.metrics if spec.name in kept}
    assert read.keys() == {"sensitivity", "specificity", "canary-failures", "late-truth", "latency"}
    for name, spec in read.items():
        told, state = metric(pack, name), from_json(dict(kept[name].state))
        assert told["agrees_with_kept"] is True
        assert told["state_digest"] == digest_of(kept[name].state)
        assert told["trajectory"]["harm"][-1] == [
            told["trajectory"]["observations"],
            harm_log10_e(spec, state),
        ]
        assert (told["observed"], told["candidate_events"]) == (
            state.overall.observed,
            state.overall.candidate_events,
        )
        assert told["log10_e_harm_highest"] == state.harm_peak
    shown = from_json(dict(kept["sensitivity"].state)).overall.non_inferiority.log10_e
    assert metric(pack, "sensitivity")["trajectory"]["non_inferiority"][-1][1] == shown
    assert metric(pack, "specificity")["trajectory"]["strata"].keys() == {"site=north"}


def test_what_comes_after_the_end_is_no_part_of_the_pack(ledger: Ledger, run: EvidenceRun) -> None:
    before = pack_of(ledger)
    for number in range(3):
        run.read(f"pt-later-{number}", TruthLabel.PRESENT, candidate_right=False)
        run.draw(f"pt-more-{number}", 5_000, fails=True)
    run.at += timedelta(hours=1)
    assert pack_of(ledger) == before


def test_the_verdict_is_told_with_its_limits_and_the_margin_with_its_reason(
    ledger: Ledger, run: EvidenceRun
) -> None:
    told = metric(pack_of(ledger), "sensitivity")
    assert told["reason"].startswith("after 6 positive studies: the candidate missed 1 and the champion 0")
    assert told["limits"]["non_inferiority"] == pytest.approx(1.602, abs=0.001)
    assert told["limits"]["harm"] == pytest.approx(2.0 + 0.69897, abs=0.001)  # five guardrails share it
    assert (told["margin"], told["spec"]["justification"]) == (
        "5 percentage points",
        "two readers differ by that much",
    )
    assert told["estimate"]["value"] == pytest.approx(-100 / 6)


def test_a_metric_without_rows_says_why(ledger: Ledger, run: EvidenceRun) -> None:
    told = metric(pack_of(ledger), "dice")
    assert (told["verdict"], told["observed"], told["trajectory"]["observations"]) == ("Running", 0, 0)
    assert "no data" in told["reason"]


def test_a_truth_that_was_withdrawn_since_is_told_as_a_difference(ledger: Ledger, run: EvidenceRun) -> None:
    with ledger.database.read() as connection:
        found = connection.execute(
            sa.text("SELECT id, study_key FROM truths WHERE study_key = 'st-pt-read-0'")
        ).one()
    ledger.truths.withdraw(*found, tenant="ris", actor="ris")
    told = metric(pack_of(ledger), "sensitivity")
    assert (told["agrees_with_kept"], told["observed"]) == (False, 5)
    assert (told["kept"]["observed"], told["kept"]["candidate_events"]) == (6, 1)
    assert metric(pack_of(ledger), "canary-failures")["kept"] is None
    assert "does not come by the state that decided" in page_of(pack_of(ledger))


def test_rows_that_are_no_longer_kept_leave_what_decided_and_say_so(ledger: Ledger, run: EvidenceRun) -> None:
    kept = ledger.rollout_evidence.of_run(MODEL, 1)
    with ledger.database.write() as connection:
        connection.execute(sa.text("DELETE FROM exposures"))
        connection.execute(sa.text("DELETE FROM paired_readings"))
        connection.execute(sa.text("DELETE FROM paired_studies"))
    pack = pack_of(ledger)
    for name in ("canary-failures", "sensitivity", "late-truth"):
        told = metric(pack, name)
        assert (told["agrees_with_kept"], told["observed"]) == (False, 0)
        assert told["kept"]["observed"] == from_json(dict(kept[name].state)).overall.observed
    assert contents(pack, "sample-ratio")[0]["agrees_with_kept"] is False
    assert f"had {metric(pack, 'sensitivity')['kept']['observed']} studies" in page_of(pack)


def test_a_run_that_nobody_looked_at_has_nothing_to_agree_with(ledger: Ledger) -> None:
    unseen = EvidenceRun(ledger, DECLARED)
    unseen.begin()
    unseen.read("pt-1", TruthLabel.PRESENT)
    told = metric(pack_of(ledger), "sensitivity")
    assert (told["agrees_with_kept"], told["observed"]) == (None, 1)
    assert "nothing to compare" in page_of(pack_of(ledger))


# ---- what does not stand in it


def test_nothing_stands_for_a_study_or_a_patient(ledger: Ledger, run: EvidenceRun) -> None:
    pack = pack_of(ledger, signer=SIGNER)
    told = json.dumps(pack) + page_of(pack)
    assert len(run.patients) == len(run.jobs) > 10
    assert [one for one in (*run.patients, *run.jobs) if one in told] == []
    assert "1.2.840." not in told


def test_to_make_a_pack_writes_nothing(ledger: Ledger, run: EvidenceRun) -> None:
    asked: list[str] = []
    sa.event.listen(ledger.database.engine, "before_cursor_execute", lambda *what: asked.append(what[2]))
    pack_of(ledger)
    assert asked
    assert not [statement for statement in asked if not statement.startswith(("SELECT", "PRAGMA", "BEGIN"))]


# ---- any change is found


def test_a_pack_is_whole_as_it_was_written(ledger: Ledger, run: EvidenceRun) -> None:
    for signer in (None, SIGNER):
        pack = pack_of(ledger, signer=signer)
        found = look_at(read_pack(json.dumps(pack)))
        assert (found.faults, found.digest, found.records) == ((), pack["digest"], len(pack["records"]))
        assert found.public_key == (signer.public_key if signer else None)


SEALED = json.dumps(
    sealed(
        [
            ("run", {"run": 1}),
            ("event", {"number": 1, "reason": "ä"}),
            ("metric", {"metric": "dice", "way": [[0, 0.5]]}),
        ],
        NOON,
        SIGNER,
    )
)
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=6)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def changed(document: Any, path: tuple[Any, ...], how: str, value: Any) -> Any:
    """Another value at one place, or nothing, or one more beside it."""
    *before, last = path
    parent = document
    for step in before:
        parent = parent[step]
    if how == "out":
        del parent[last]
    elif how == "more":
        parent.insert(last, value) if isinstance(parent, list) else parent.__setitem__(f"{last}+", value)
    else:
        parent[last] = value
    return document


@given(data=st.data(), how=st.sampled_from(["other", "out", "more"]), value=SCALARS)
@settings(max_examples=300, deadline=None)
def test_any_single_change_of_a_pack_is_found(data: st.DataObject, how: str, value: Any) -> None:
    original = json.loads(SEALED)
    path = data.draw(st.sampled_from([path for path in places(original) if path]))
    other = changed(copy.deepcopy(original), path, how, value)
    if json.dumps(other) != json.dumps(original):
        assert look_at(other).faults, (path, how)


@given(SCALARS | st.lists(SCALARS) | st.dictionaries(st.text(max_size=9), SCALARS))
def test_whatever_is_no_pack_is_told_as_such(value: Any) -> None:
    assert look_at(value).faults
    assert look_at(
        {"format": "serinus-evidence-pack-1", "records": value, "digest": "", "signature": value}
    ).faults


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda pack: pack["records"][1]["content"].update(number=2), "record 2 (event 2) was changed"),
        (lambda pack: pack["records"].pop(1), "record 2 (metric dice) does not follow the one before it"),
        (lambda pack: pack["records"].pop(), "records at its end were taken out"),
        (lambda pack: pack.update(digest="0" * 64), "the last record is not the one"),
        (lambda pack: pack.update(signature=None), "was taken away"),
        (lambda pack: pack["signature"].update(value="00" * 64), "the signature does not fit"),
    ],
)
def test_a_change_is_told_where_it_is(change: Any, told: str) -> None:
    pack = json.loads(SEALED)
    change(pack)
    assert told in look_at(pack).faults[0]


def test_a_chain_that_was_written_anew_does_not_fit_its_signature() -> None:
    pack = json.loads(SEALED)
    pack["records"][0]["content"]["run"] = 2
    pack["records"] = chained((one["kind"], one["content"]) for one in pack["records"])
    pack["digest"] = pack["records"][-1]["digest"]
    assert "all that it vouches for" in look_at(pack).faults[0]
    other = PackSigner(Ed25519PrivateKey.generate())
    pack["signature"] |= {"public_key": other.public_key, "value": other.sign(pack["digest"])}
    assert "by another key" in look_at(pack).faults[0]


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": NaN}', "{", "[" * 100_000, b"\xff"])
def test_a_file_that_two_readers_could_read_differently_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        read_pack(text)
