"""Whom to ask what was really there: every patient of whom two versions differ, and a sample of the others. Pure.

To ask only where versions differ ("discrepant analysis") never finds what both got wrong, so that both look better
than they are (Lipman & Astles, Clin Chem 1998;44:108). Of the patients of whom they agree a part is asked, too, and
the probability of that is kept with each: an estimate weighs a patient by its inverse (Horvitz & Thompson, J Am Stat
Assoc 1952;47:663).

The draw is a keyed hash of the patient's pseudonym, as in `canary.assignment`: the same in every process and
restart, and for all pairs of versions, so that an answer serves the next candidate. A larger share asks all whom a
smaller one asks. A patient is asked about once, by the first study that both versions read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

NO_RESULT: Final = "no-result"  # the version failed, was too slow, or refused the study
ARMS: Final = ("A", "B")
ID_BYTES: Final = 16
_DRAW, _ORDER, _ID = b"serinus.sample", b"serinus.blind", b"serinus.pair"


@dataclass(frozen=True, slots=True)
class PairKey:
    """What makes a patient count once: one finding of one model, as two versions see it."""

    model: str
    finding: str
    champion: str
    candidate: str
    patient: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Whether a patient is asked about, and the probability with which such a one is."""

    is_discordant: bool
    inclusion_probability: float
    is_selected: bool


@dataclass(frozen=True, slots=True)
class Workload:
    """What is to be answered: what is open, and what comes each day as of late.

    A pair is a patient, for each finding and each two versions that are compared.
    """

    open_items: int
    pairs_per_day: float
    discordant_share: float | None
    items_per_day: float


def select(key: PairKey, champion_says: str, candidate_says: str, concordant_share: float) -> Selection:
    """Whether the pair is asked about: surely where the labels differ, else with `concordant_share`."""
    if not 0 < concordant_share <= 1:
        raise ValueError("of those that agree a share above 0 and up to 1 is asked")
    if champion_says != candidate_says:
        return Selection(True, 1.0, True)
    return Selection(False, concordant_share, draw_of(key.model, key.patient) < concordant_share)


def draw_of(model: str, patient: str) -> float:
    """The patient's draw in [0, 1): whoever lies below the share is asked about."""
    return _hash(_DRAW, model, patient) / 2.0**64


def pair_id(key: PairKey) -> str:
    """The name of the pair, of 32 hexadecimal digits; it tells nobody its patient."""
    parts = (key.model, key.finding, key.champion, key.candidate, key.patient)
    return _digest(_ID, parts, ID_BYTES).hex()


def blinded_arms(key: PairKey) -> Mapping[str, str]:
    """Which version is called A, and which B: by the patient's hash, since nobody knows that who reads the item."""
    versions = (key.champion, key.candidate)
    is_champion_first = _hash(_ORDER, *versions, key.model, key.finding, key.patient) % 2 == 0
    return dict(zip(ARMS, versions if is_champion_first else versions[::-1], strict=True))


def workload(
    *, pairs: int, discordant: int, days: float, concordant_share: float, open_items: int
) -> Workload:
    """Forecast from what came in the last `days`: all who differ, and the share of those who agree."""
    if not (days > 0 and 0 <= discordant <= pairs):
        raise ValueError("of some pairs in some days not more can differ than there were")
    asked = discordant + (pairs - discordant) * concordant_share
    share = discordant / pairs if pairs else None
    return Workload(open_items, pairs / days, share, asked / days)


def _hash(person: bytes, *parts: str) -> int:
    return int.from_bytes(_digest(person, parts, 8), "big")


def _digest(person: bytes, parts: tuple[str, ...], size: int) -> bytes:
    text = "".join(f"{len(part)}:{part}" for part in parts)  # so that no two lists of parts are one text
    return blake2b(text.encode(), digest_size=size, person=person).digest()
