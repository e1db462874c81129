"""What an evidence pack holds, record by record, as JSON values. Pure: the same run gives the same records.

Counts, times, and what people declared and said; nothing that stands for a study or a patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from canary.rollout.plan_digest import plan_digest
from canary.rollout.seen import Approval, RolloutEvidence
from canary.rollout.status import RolloutStatus
from canary.rollout.step_told import step_in_words
from canary.sample_ratio import ALPHA, judge_ratio
from core.codec import to_plain
from ledger import RolloutEvent, StampedDigest, StoredRollout, Transition
from serve_apps.application.evidence_of_metrics import judgement_record, metric_records, thinned
from serve_apps.application.evidence_replay import Replay, ReplayedSplit

Record = tuple[str, dict[str, Any]]
CONTENT_VERSION: Final = 1
NO_ROWS: Final = "not known: in this run it has read no study"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackMaterial:
    """All that is known of one run. `events` and `aliases` oldest first; `recall` is what a recall list says of
    itself in numbers, and None where there is none.
    """

    site: str
    software: str
    stored: StoredRollout
    approvals: Sequence[Approval]
    events: Sequence[RolloutEvent]
    digests: Sequence[StampedDigest]
    aliases: Sequence[Transition]
    replay: Replay
    recall: Mapping[str, str | int | float] | None = None


def records_of(material: PackMaterial) -> Iterator[Record]:
    """In the order in which a reader needs them."""
    stored = material.stored
    yield "run", _run(material)
    yield "plan", _plan(stored)
    yield "versions", _versions(stored.status, material.digests)
    yield "approvals", {"approvals": [_approval(one) for one in material.approvals]}
    for event in material.events:
        yield "event", _event(event)
    yield "aliases", {"moves": [_move(one) for one in material.aliases]}
    yield "exposure", _exposure(stored, material.replay.told)
    yield "sample-ratio", _split(material.replay.split)
    for content in metric_records(stored.plan.metrics, material.replay):
        yield "metric", content
    yield "judgement", judgement_record(stored.plan.metrics, material.replay)
    yield "outcome", _outcome(stored.status)
    if material.recall is not None:
        yield "recall", dict(material.recall)


def _run(material: PackMaterial) -> dict[str, Any]:
    status = material.stored.status
    return {
        "content_version": CONTENT_VERSION,
        "site": material.site,
        "software": material.software,
        "model": status.model,
        "rollout": material.stored.plan.name,
        "run": status.run,
        "candidate": status.candidate,
        "stable": status.stable,
        "began_at": _time(status.began_at),
        "first_event": material.events[0].number if material.events else None,
    }


def _plan(stored: StoredRollout) -> dict[str, Any]:
    """`digest` is of what may not change; `digest_at_start` is the one with which the run began."""
    plan = stored.plan
    return {
        "declared": to_plain(plan),
        "steps": [step_in_words(step) for step in plan.steps],
        "digest": plan_digest(plan),
        "digest_at_start": stored.status.plan_digest,
    }


def _versions(status: RolloutStatus, digests: Iterable[StampedDigest]) -> dict[str, Any]:
    stamped = tuple(digests)
    return {
        name: {
            "version": version,
            "artifact_digests": sorted({one.digest for one in stamped if one.version == version}) or NO_ROWS,
            "readings": [
                {
                    "role": one.role,
                    "artifact_digest": one.digest,
                    "readings": one.readings,
                    "first_at": _time(one.first_at),
                    "last_at": _time(one.last_at),
                }
                for one in stamped
                if one.version == version
            ],
        }
        for name, version in (("candidate", status.candidate), ("stable", status.stable))
    }


def _approval(one: Approval) -> dict[str, Any]:
    return {"step": one.step, "role": one.role, "actor": one.actor, "at": _time(one.at)}


def _event(event: RolloutEvent) -> dict[str, Any]:
    return {
        "number": event.number,
        "at": _time(event.at),
        "actor": event.actor,
        "reason": event.reason,
        "before": None if event.before is None else _place(event.before),
        "after": _place(event.after),
    }


def _place(status: RolloutStatus) -> dict[str, Any]:
    return {
        "phase": status.phase.value,
        "step": status.step,
        "weight_bp": status.weight_bp,
        "mirror_bp": status.mirror_bp,
        "pause": status.pause.value if status.pause else None,
    }


def _move(one: Transition) -> dict[str, Any]:
    return {"at": _time(one.at), "alias": one.alias, "old": one.old, "new": one.new, "reason": one.reason}


def _exposure(stored: StoredRollout, told: RolloutEvidence) -> dict[str, Any]:
    budget = stored.plan.budget
    return {
        "exposed_studies": told.exposed_studies,
        "adverse_events": told.adverse_events,
        "budget_studies": budget.studies,
        "budget_adverse": budget.adverse,
        "studies_by_step": {str(step): number for step, number in sorted(told.studies_by_step.items())},
    }


def _split(split: ReplayedSplit) -> dict[str, Any]:
    verdict = judge_ratio(split.arms.values())
    return {
        "verdict": verdict.verdict.value,
        "reason": verdict.reason,
        "alpha": ALPHA,
        "arms": [
            {"arm": name, "draws": arm.exposures, "chosen": arm.chosen, "expected": split.expected[name]}
            for name, arm in split.arms.items()
        ],
        "trajectory": thinned(split.series),
        "agrees_with_kept": split.agrees,
    }


def _outcome(status: RolloutStatus) -> dict[str, Any]:
    return {
        **_place(status),
        "reason": status.reason,
        "ending": status.ending,
        "promoted_at": _time(status.promoted_at) if status.promoted_at else None,
        "has_ended": status.has_ended,
        "conditions": [to_plain(one) for one in status.conditions],
    }


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
