"""The wire of costs. An amount is a decimal text in the currency, exact to nine places: a float would not be."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from observability.cost.account import Line
from observability.cost.report import Dimension, IdlePolicy
from serve_apps.api.schemas import Wire

Amount = Annotated[str, Field(pattern=r"^-?\d+\.\d{9}$")]


class CostRowOut(Wire):
    """One group. `key` is by dimension; what no study used has empty values for what does not apply.

    `lines` is what the group itself used, `overhead` what it bears of idle, load and drain time, `total` both.
    `marginal` is the part that would not have been paid without the work. `per_delivered` divides the total; null
    where no study was delivered.
    """

    key: dict[Dimension, str]
    lines: dict[Line, Amount]
    direct: Amount
    overhead: Amount
    total: Amount
    marginal: Amount
    delivered: int
    per_delivered: Amount | None


class WaitingOut(Wire):
    """Work of a version that no worker begins until then, so that a budget holds."""

    app: str = Field(description="of the version, mv-<model>-<version>")
    model: str
    role: str
    until: datetime
    reason: str


class CostReportOut(Wire):
    """What whole hours have cost. `bill` is what was paid, by item, of the paid times alone; the rows sum to it.

    `unpriced` are items that were used and have no price: the bill lacks them.
    """

    since: datetime
    until: datetime
    currency: str
    by: tuple[Dimension, ...]
    idle: IdlePolicy
    rows: tuple[CostRowOut, ...]
    bill: dict[str, Amount]
    billed: Amount
    booked: Amount = Field(description="the sum of the rows")
    agrees: bool = Field(description="whether the rows sum to the bill exactly")
    delivered: int
    per_delivered: Amount | None = Field(description="of the whole bill")
    unpriced: tuple[str, ...]
    waits: tuple[WaitingOut, ...] = Field(default=(), description="what waits now, whatever the span")
