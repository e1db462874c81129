"""Why did this version read that study? In plain words from the stored row, and computed again from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from canary.assignment import (
    Assignment,
    AssignmentReason,
    BucketDraw,
    NoSuchVariant,
    StudyFacts,
    assign,
    bucket_of,
    draw_reason,
    safety_net_bucket,
    shadow_bucket,
)
from canary.decision_inputs import facts_text, read_facts, read_table, table_text
from canary.routing_table import BASELINE, BASIS_POINTS, CHAMPION, RoutingTable, Segment, Slot, Variant

OF_THE_PAST: Final = {  # roles that no table gives
    "replay": "read the study again in a replay, for evidence",
    "ground-truth": "read the study as part of a ground-truth set",
}
FOREIGN_INPUT: Final = "input-out-of-distribution"  # the error's code
RECALL: Final = "recall"  # a role that no table gives: the champion of a later day
OF_THE_DECISION: Final = (  # what a row keeps of an assignment, and what it is called
    ("identity", "identity"),
    ("model", "model"),
    ("generation", "table"),
    ("assignment_reason", "kind of reason"),
    ("arm", "arm"),
    ("salt", "salt"),
    ("bucket", "bucket"),
    ("weight_bp", "weight"),
    ("segments", "segments"),
    ("slot", "slot"),
    ("rule", "rule"),
)


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One variant's reading of one study as the ledger keeps it. Flat, so that each field is a column.

    `identity` is the pseudonym that was hashed, with its kind. `segments` reads
    `canary:0-500 baseline:5000-5500`, `slot` reads `layer:salt:0-5000`; both are empty without a draw. `role`
    is `answered`, `failed`, `shadow`, `safety-net`, `recall`, `replay` or `ground-truth`. `counts` is false for a
    failure that says nothing of the variant, such as a study outside its intended use or unlike all that it knows.
    `assigned_at` is the moment of writing when it is None.

    `facts` and `table` are what the decision was made of, as `canary.decision_inputs` writes them; all that a row
    says of it follows from these two. `table_digest` names the table, which is kept once. They are empty in rows of
    releases that kept neither.
    """

    identity: str
    model: str
    generation: int
    assignment_reason: str
    arm: str
    variant: str
    version: str
    digest: str
    role: str
    outcome: str
    reason: str
    salt: str = ""
    bucket: int | None = None
    weight_bp: int = 0
    segments: str = ""
    slot: str = ""
    rule: str | None = None
    latency_ms: float | None = None
    epoch: int = 0
    assigned_at: datetime | None = None
    counts: bool = True
    facts: str = ""
    table: str = ""
    table_digest: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """`sentences` in plain words; `agrees` says whether the row, computed again, gives what it says."""

    sentences: tuple[str, ...]
    agrees: bool


def decision_row(
    assignment: Assignment,
    model: str,
    *,
    role: str,
    outcome: str,
    latency_ms: float | None = None,
    epoch: int = 0,
    assigned_at: datetime | None = None,
    counts: bool = True,
) -> DecisionRow:
    """The row of the variant that was assigned. A shadow's differs in variant, version, digest and role."""
    draw, text = assignment.draw, table_text(assignment.table) if assignment.table else None
    return DecisionRow(
        identity=assignment.identity,
        model=model,
        generation=assignment.generation,
        assignment_reason=assignment.assignment_reason.value,
        arm=assignment.arm,
        variant=assignment.variant.name,
        version=assignment.variant.version,
        digest=assignment.variant.digest,
        role=role,
        outcome=outcome,
        reason=assignment.reason,
        salt=draw.salt if draw else "",
        bucket=draw.bucket if draw else None,
        weight_bp=assignment.weight_bp,
        segments=_write_segments(draw.segments) if draw else "",
        slot=_write_slot(draw.slot) if draw else "",
        rule=assignment.rule,
        latency_ms=latency_ms,
        epoch=epoch,
        assigned_at=assigned_at,
        counts=counts,
        facts=facts_text(assignment.facts) if assignment.facts else "",
        table=text.json if text else "",
        table_digest=text.digest if text else "",
    )


def explain(row: DecisionRow) -> Explanation:
    """Say why, and check it: the study is assigned again by the table of then, and the row compared with that.

    What was read long after its study is by no table, and nothing is there to be compared.
    """
    if row.role in OF_THE_PAST:
        return Explanation((_what(row), f"No table gave it this study: {row.reason}."), True)
    check, agrees = _recompute(row)
    return Explanation((_what(row), _why(row), check), agrees)


def _what(row: DecisionRow) -> str:
    took = f" in {row.latency_ms:.0f} ms" if row.latency_ms is not None else ""
    did = {
        "answered": "read the study for its caller",
        "failed": f"was to read the study and {_did_not(row)}",
        "shadow": "read the study as a shadow, for evidence",
        "safety-net": "read the study too, as the safety net",
        **OF_THE_PAST,
        RECALL: "read the study again, since the version that had answered was withdrawn",
    }.get(row.role, f"read the study as {row.role}")
    return f"{row.model} version {row.version} ({row.variant}, {row.digest[:12]}) {did}{took}: {row.outcome}."


def _did_not(row: DecisionRow) -> str:
    if row.outcome == FOREIGN_INPUT:
        return "does not know such input"
    return "failed" if row.counts else "was not asked"


def _why(row: DecisionRow) -> str:
    weight = f", of which {row.weight_bp / 100:g} % went to the candidate" if row.weight_bp else ""
    kind = row.identity.partition(":")[0]
    slot = f" in its slot of the layer {row.slot.partition(':')[0]}" if row.slot else ""
    return f"By table {row.generation}, keyed by {kind}{weight}{slot}: {row.reason}."


def _recompute(row: DecisionRow) -> tuple[str, bool]:
    return _assigned_again(row) if row.facts or row.table_digest else _drawn_again(row)


def _assigned_again(row: DecisionRow) -> tuple[str, bool]:
    try:
        facts, table = read_facts(row.facts), read_table(row.table, row.table_digest)
        again = assign(facts, table)
    except ValueError:
        return "The row is damaged: what the decision was made of cannot be read.", False
    except NoSuchVariant:
        return "Computed again, the variant that was asked for may not answer: the row does not agree.", False
    differing = ", ".join(_differences(row, again, table))
    verdict = f"it does not agree with the row in {differing}" if differing else "the row agrees"
    return f"Computed again, {again.reason}{_sampling(row, facts, table)}: {verdict}.", not differing


def _differences(row: DecisionRow, again: Assignment, table: RoutingTable) -> list[str]:
    """What the row says otherwise than the assignment that was computed again."""
    expected = decision_row(again, table.model, role=row.role, outcome=row.outcome)
    differing = [said for name, said in OF_THE_DECISION if getattr(row, name) != getattr(expected, name)]
    if not row.reason.startswith(again.reason):  # a fallback adds what befell the variant
        differing.append("reason")
    if row.role != RECALL and (row.variant, row.version, row.digest) not in {
        (v.name, v.version, v.digest) for v in _readers(row.role, again, table)
    }:
        differing.append("who read it")
    return differing


def _readers(role: str, again: Assignment, table: RoutingTable) -> tuple[Variant, ...]:
    """The variants that may have read the study in that role: in another's place the champion may answer, or fail."""
    if role == "shadow":
        return again.shadows
    if role == "safety-net":
        return (table.champion,) if again.safety_net else ()
    return again.variant, table.champion


def _sampling(row: DecisionRow, facts: StudyFacts, table: RoutingTable) -> str:
    """The part of the hash that says whether a study is read in that role."""
    if row.role == "safety-net":
        bucket, share_bp = safety_net_bucket(table.model, facts.study_key), table.safety_net_bp
    elif row.role == "shadow":
        share_bp = next((s.share_bp for s in table.shadows if s.variant.name == row.variant), 0)
        bucket = shadow_bucket(table.model, facts.study_key)
    else:
        return ""
    return f"; as {row.role}, {row.variant} reads the buckets [0, {share_bp}), and the study's is {bucket}"


def _drawn_again(row: DecisionRow) -> tuple[str, bool]:
    """What can be computed again of a row that keeps its draw only."""
    if row.assignment_reason != AssignmentReason.DRAW:
        return "A former release kept nothing that this could be computed from again.", row.bucket is None
    try:
        draw = _read_draw(row)
    except ValueError:
        return "The row is damaged: its segments or slot cannot be read.", False
    if draw.slot is not None and not _open_to(draw.slot, row.identity):
        return "Computed again, the experiment's slot was not open to it: the row does not agree.", False
    same = draw.bucket == row.bucket and _fits_role(row, draw)
    verdict = (
        "the row agrees" if same else f"the row says bucket {row.bucket}, arm {row.arm}: it does not agree"
    )
    return f"Computed again, {draw_reason(draw)}: {verdict}.", same


def _read_draw(row: DecisionRow) -> BucketDraw:
    bucket = bucket_of(row.salt, row.identity)
    return BucketDraw(row.salt, bucket, read_segments(row.segments), row.weight_bp, _read_slot(row.slot))


def _fits_role(row: DecisionRow, draw: BucketDraw) -> bool:
    """The arm must be the drawn one; whoever was assigned to answer must also bear the arm's name.

    The champion may answer, or fail, in another's place.
    """
    if draw.arm != row.arm:
        return False
    is_shadow = row.role in ("shadow", "safety-net", RECALL)
    fell_back = row.role in ("answered", "failed") and row.variant == CHAMPION
    return is_shadow or fell_back or row.variant == (CHAMPION if draw.arm == BASELINE else draw.arm)


def _open_to(slot: Slot, identity: str) -> bool:
    return slot.start <= bucket_of(slot.salt, identity) < slot.stop


def _write_segments(segments: tuple[Segment, ...]) -> str:
    return " ".join(f"{s.arm}:{s.start}-{s.stop}" for s in segments)


def read_segments(text: str) -> tuple[Segment, ...]:
    """The segments of a row; raises ValueError for a damaged one."""
    return tuple(_read_segment(part) for part in text.split())


def _read_segment(text: str) -> Segment:
    arm, start, stop = _read_range(text)
    return Segment(arm, start, stop)


def _write_slot(slot: Slot | None) -> str:
    return f"{slot.layer}:{slot.salt}:{slot.start}-{slot.stop}" if slot else ""


def _read_slot(text: str) -> Slot | None:
    if not text:
        return None
    names, start, stop = _read_range(text)
    layer, _, salt = names.partition(":")
    return Slot(layer, salt, start, stop)


def _read_range(text: str) -> tuple[str, int, int]:
    """`name:start-stop`; raises ValueError for anything else."""
    name, _, span = text.rpartition(":")
    start, _, stop = span.partition("-")
    if not name or int(stop) > BASIS_POINTS:
        raise ValueError("not a range")
    return name, int(start), int(stop)
