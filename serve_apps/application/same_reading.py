"""What names a reading: the same version reads and reports the same input once under the same rules.

A changed image, patient, version, card, clearance or release is another reading; the priority, the caller and the
variant's name are not part of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Final

from canary.gates import SitePolicy
from canary.input_check import NEW_SITE, InputPolicy
from canary.routing_table import Variant
from canary.same_reading import Turn
from core.codec import to_json
from core.study import StudyRef
from imaging.report_frame import software_version
from ledger import TakenTurn
from observability.record import StageTiming
from serve_apps.application.messages import FetchedStudy, ServedVersion
from serve_apps.application.predict_with_fallback import HeldSlot
from serve_apps.application.result import RESULT_FORMAT
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.resources import Resources

LOOK_AGAIN_S: Final = 0.25  # at another job that reads the same now

TakeTurn = Callable[[str, str], Awaitable[TakenTurn]]
Pause = Callable[[float], Awaitable[None]]


async def nobody_else_reads(token: str, key: str) -> TakenTurn:
    """For a workplace that shares its studies with nobody: every study is read."""
    return TakenTurn(Turn.READ)


@dataclass(frozen=True, slots=True)
class SameReading:
    """Another job has read this: its id and its result, as the ledger keeps it. One of another tenant is foreign:
    the reading is shared, its name is told to nobody.
    """

    job_id: str
    result: Mapping[str, Any] = field(repr=False)
    study: FetchedStudy
    is_foreign: bool = False

    @property
    def stages(self) -> tuple[StageTiming, ...]:
        return self.study.stages


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """What a reading depends on beside the study: who may answer now, and the site's own rules."""

    snapshot: RoutingSnapshot
    policy: SitePolicy
    input_policy: InputPolicy = NEW_SITE


def reading_key(where: StudyRef, study: FetchedStudy, variant: Variant, rules: ReadingRules) -> str:
    """The name of the reading of a fetched study by a variant.

    A variant that is not warm has no card here: that too is a state in which a study is read once.
    """
    version = rules.snapshot.endpoints.get(variant.app)
    card = "" if version is None else to_json(ServedVersion, replace(version, resources=Resources()))
    input_parts = (where.source, where.study_uid, study.content_digest, study.model)
    asks = f"{rules.input_policy.rule}, {rules.input_policy.is_required}"
    rule_parts = (card, rules.policy.value, asks, software_version(), str(RESULT_FORMAT))
    parts = (*input_parts, variant.version, variant.digest, *rule_parts)
    return sha256("\0".join(parts).encode()).hexdigest()


async def turn_at(key: str, token: str, take_turn: TakeTurn, slot: HeldSlot, pause: Pause) -> TakenTurn:
    """What a job is to do about a reading, once no other job has it in hand. The slot is lent for as long.

    `token` is the job's own. Raises LeaseLost.
    """
    while True:
        taken = await take_turn(token, key)
        if taken.turn is not Turn.WAIT:
            return taken
        if slot.can_be_lent:
            async with slot.lent():
                await pause(LOOK_AGAIN_S)
        else:
            await pause(LOOK_AGAIN_S)
