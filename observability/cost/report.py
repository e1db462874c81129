"""What was spent, by what one asks for: what was used, what stood idle, and what a delivered study costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from observability.cost.account import OVERHEAD, Account, Line
from observability.cost.largest_remainder import apportion

Key = tuple[str, ...]


class Dimension(StrEnum):
    """What a report can be grouped by: fields of an account."""

    LINE = "line"
    ITEM = "item"
    STAGE = "stage"
    MODEL = "model"
    VERSION = "version"
    VARIANT = "variant"
    SITE = "site"
    MODALITY = "modality"
    OUTCOME = "outcome"
    DEPLOYMENT = "deployment"


class IdlePolicy(StrEnum):
    """Who bears what nobody used (idle, load and drain)."""

    NONE = "none"  # nobody: it stands in rows of its own
    PROPORTIONAL = "proportional"  # who used the version (of the platform: anything), by what each used
    UNIFORM = "uniform"  # the same, in equal parts


class Pool(NamedTuple):
    """Whose overhead is shared among whom: that of a version among those of the version, the platform's among all."""

    model: str
    version: str


PLATFORM: Final = Pool("", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One group; amounts in nano-units of the currency.

    `by_line` is what the group itself used, `overhead` what it bears of what nobody used, `marginal` the part of both
    that would not have been paid without the work. `delivered` counts studies.
    """

    key: Key
    by_line: Mapping[Line, int]
    overhead: int
    marginal: int
    delivered: int

    @property
    def direct(self) -> int:
        return sum(self.by_line.values())

    @property
    def total(self) -> int:
        """Fully loaded, if the policy shares."""
        return self.direct + self.overhead

    @property
    def per_delivered(self) -> int | None:
        """Of the total, to the nearest nano-unit; None where nothing was delivered: no price is zero for that."""
        return (2 * self.total + self.delivered) // (2 * self.delivered) if self.delivered else None


@dataclass(frozen=True, slots=True)
class Report:
    """`bill` is by item, made of the paid times alone; `rows` sum to it, or the books are wrong."""

    by: tuple[Dimension, ...]
    idle: IdlePolicy
    rows: tuple[Row, ...]
    bill: Mapping[str, int]
    delivered: int

    @property
    def billed(self) -> int:
        return sum(self.bill.values())

    @property
    def booked(self) -> int:
        return sum(row.total for row in self.rows)

    @property
    def agrees(self) -> bool:
        return self.billed == self.booked

    @property
    def per_delivered(self) -> int | None:
        """Of the whole bill."""
        return (2 * self.billed + self.delivered) // (2 * self.delivered) if self.delivered else None


WITHIN_A_STUDY: Final = frozenset({Dimension.LINE, Dimension.ITEM, Dimension.STAGE})
"""What one study has several of: the cost of a stage is divided by all studies that were delivered."""


def report_of(
    amounts: Mapping[Account, int],
    bill: Mapping[str, int],
    by: Sequence[Dimension],
    idle: IdlePolicy = IdlePolicy.NONE,
    delivered: Iterable[Account] = (),
) -> Report:
    """Group the amounts. Overhead of a version that nobody used stays its own under every policy.

    `delivered` are accounts that each tell of a delivered study; left out, those of `amounts` are taken.
    """
    by = tuple(dict.fromkeys(by))
    told = [account for account in delivered or amounts if account.delivered and not account.item]
    own = tuple(dimension for dimension in by if dimension not in WITHIN_A_STUDY)
    studies = _studies(told, own)
    direct, marginal = _direct(amounts, by)
    overhead = _overhead(amounts, by, idle)
    rows = tuple(
        Row(
            key,
            {Line(line): nano for line, nano in sorted(direct.get(key, {}).items())},
            overhead.get(key, 0),
            marginal.get(key, 0),
            len(studies.get(_projected(key, by, own), ())),
        )
        for key in sorted({*direct, *overhead, *(studies if own == by else ())})
    )
    return Report(by, idle, rows, dict(bill), len({account.study for account in told}))


def key_of(account: Account, by: Sequence[Dimension]) -> Key:
    return tuple(str(getattr(account, dimension.value)) for dimension in by)


def _studies(told: Iterable[Account], by: Sequence[Dimension]) -> dict[Key, set[str]]:
    found: dict[Key, set[str]] = defaultdict(set)
    for account in told:
        found[key_of(account, by)].add(account.study)
    return found


def _projected(key: Key, by: Sequence[Dimension], own: Sequence[Dimension]) -> Key:
    return tuple(part for part, dimension in zip(key, by, strict=True) if dimension in own)


def _direct(
    amounts: Mapping[Account, int], by: Sequence[Dimension]
) -> tuple[dict[Key, dict[str, int]], dict[Key, int]]:
    direct: dict[Key, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    marginal: dict[Key, int] = defaultdict(int)
    for account, nano in amounts.items():
        if account.line not in OVERHEAD:
            direct[key_of(account, by)][account.line] += nano
        if account.marginal:
            marginal[key_of(account, by)] += nano
    return direct, marginal


def _overhead(amounts: Mapping[Account, int], by: Sequence[Dimension], idle: IdlePolicy) -> dict[Key, int]:
    used: dict[Pool, dict[Key, int]] = defaultdict(lambda: defaultdict(int))
    unused: dict[Pool, dict[Key, int]] = defaultdict(lambda: defaultdict(int))
    for account, nano in amounts.items():
        key, pool = key_of(account, by), Pool(account.model, account.version)
        if account.line in OVERHEAD:
            unused[PLATFORM if account.line == Line.PLATFORM else pool][key] += nano
        else:
            used[pool][key] += nano
            if pool != PLATFORM:
                used[PLATFORM][key] += nano
    found: dict[Key, int] = defaultdict(int)
    for pool, own in sorted(unused.items()):
        for key, nano in _borne(own, used.get(pool, {}), idle).items():
            found[key] += nano
    return found


def _borne(own: Mapping[Key, int], used: Mapping[Key, int], idle: IdlePolicy) -> Mapping[Key, int]:
    """Who bears a pool's overhead: whoever used the pool, by the policy; itself, if nobody did."""
    bearers = sorted(key for key, nano in used.items() if nano)
    if idle is IdlePolicy.NONE or not bearers:
        return own
    weights = [used[key] if idle is IdlePolicy.PROPORTIONAL else 1 for key in bearers]
    return dict(zip(bearers, apportion(sum(own.values()), weights), strict=True))
