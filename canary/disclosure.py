"""Who hears what a version says of a study: decided here, by its role and by its clearance. Pure.

| role       | may answer at this site                  | may not, or not known          |
|------------|------------------------------------------|--------------------------------|
| answered   | the caller: result, report, callback     | nobody; routing never asks it  |
| safety net | a disagreement is told to the caller     | the evidence store only        |
| shadow     | a disagreement is told to the caller     | the evidence store only        |
| recall     | a disagreement is told to the caller     | the evidence store only        |
| replay     | the evidence store only                  | the evidence store only        |

A replay, and the reading of a ground-truth set, is of a study that was answered long ago: nobody waits for it, so
that it warns nobody. Where it differs from what was delivered, the adjudication queue has a person look.

The gate's verdict of now counts, not that of the day on which the study came: a clearance that was withdrawn while
the task waited silences it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a version was asked for: the answer, or a second opinion that nobody waits for."""

    ANSWERED = "answered"
    SAFETY_NET = "safety-net"
    SHADOW = "shadow"
    REPLAY = "replay"
    GROUND_TRUTH = "ground-truth"
    RECALL = "recall"  # the champion, since the version that answered was withdrawn


class Audience(StrEnum):
    """`CALLER`: results, event streams, callbacks and worklists. `EVIDENCE`: the evidence store and nothing else."""

    CALLER = "caller"
    EVIDENCE = "evidence"


OF_THE_PAST: Final = frozenset({Role.REPLAY, Role.GROUND_TRUTH})  # of studies that nobody waits for any more
DISCLOSED: Final = frozenset({Audience.CALLER})  # what an interface towards people may read


def audience_of(role: Role, *, may_answer: bool | None) -> Audience:
    """Who hears a finding of a version. `may_answer` is the gate's verdict now, None where it is not known.

    A finding includes the absence of one: "the shadow says absent" is what an uncleared version says, too.
    """
    match role:
        case Role.ANSWERED | Role.SAFETY_NET | Role.SHADOW | Role.RECALL:
            return Audience.CALLER if may_answer is True else Audience.EVIDENCE
        case Role.REPLAY | Role.GROUND_TRUTH:
            return Audience.EVIDENCE
