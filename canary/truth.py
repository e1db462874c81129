"""What was really there? Of several truths about one study one is in force; the others stay as its history. Pure.

A truth comes from a source, late and in any order. The sources are ranked by how well they tell the target condition
from its absence without leaning on the versions that are judged by them (QUADAS-2, Whiting et al., Ann Intern Med
2011;155:529, the domains "reference standard" and "flow and timing"):

| rank | source         | why there                                                                             |
|------|----------------|---------------------------------------------------------------------------------------|
| 1    | `pathology`    | needs no image, so that no reading can have leaned on a version                       |
| 2    | `adjudication` | reads this very study, blinded, and is asked only for this                            |
| 3    | `follow-up`    | knows more, but of a later day: the condition may have come or gone since             |
| 4    | `report`       | written for care by one reader, who may have seen what the champion had said          |

FDA's guidance on the clinical performance of CADe devices (2022, "reference standard") accepts all but the last as a
truth by itself. A report is what a site has of every study, so it counts until something better comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class TruthLabel(StrEnum):
    PRESENT = "present"
    ABSENT = "absent"
    INDETERMINATE = "indeterminate"  # the source could not tell: nobody is judged by it


class TruthSource(StrEnum):
    PATHOLOGY = "pathology"
    ADJUDICATION = "adjudication"
    FOLLOW_UP = "follow-up"
    REPORT = "report"


RANK: Final[Mapping[TruthSource, int]] = MappingProxyType({source: n for n, source in enumerate(TruthSource)})


@dataclass(frozen=True, slots=True)
class Truth:
    """What a source says of one finding of one study: a label, or a measured `value`.

    `read_at` is when the source looked, `received_at` when it was told here; `sequence` counts what was told. A truth
    that was withdrawn counts no more from `withdrawn_at` on. `from_queue`: it answers an item of the adjudication
    queue, so that the study was chosen by what the versions said of it.
    """

    source: TruthSource
    read_at: datetime
    received_at: datetime
    sequence: int
    label: TruthLabel | None = None
    value: float | None = None
    withdrawn_at: datetime | None = None
    from_queue: bool = False

    def __post_init__(self) -> None:
        if (self.label is None) == (self.value is None):
            raise ValueError("a truth is a label or a value")

    @property
    def decides(self) -> bool:
        """Whether a version can be right or wrong by it."""
        return self.label is not TruthLabel.INDETERMINATE

    def counts_at(self, as_of: datetime | None) -> bool:
        """Whether it was known and not withdrawn at that moment; None: by all that is known."""
        if as_of is None:
            return self.withdrawn_at is None
        return self.received_at <= as_of and (self.withdrawn_at is None or self.withdrawn_at > as_of)


def in_force(truths: Iterable[Truth], as_of: datetime | None = None) -> Truth | None:
    """The truth that counts of those about one finding of one study; None where none does.

    It is the newest reading of the best source. An older reading that arrives late changes nothing; of two readings
    of one moment the one that was told last counts. One that is withdrawn leaves its place to the next.
    """
    counting = [truth for truth in truths if truth.counts_at(as_of)]
    return max(counting, key=_precedence, default=None)


def _precedence(truth: Truth) -> tuple[int, datetime, int]:
    return -RANK[truth.source], truth.read_at, truth.sequence
