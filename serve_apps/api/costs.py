"""Costs by HTTP.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query

from observability.cost.price_book import NANO
from observability.cost.report import Dimension, IdlePolicy, Row
from serve_apps.api.cost_schemas import CostReportOut, CostRowOut, WaitingOut
from serve_apps.api.dependencies import MUST_ADMINISTER, Site
from serve_apps.api.problems import problems
from serve_apps.api.schemas import IsoTime
from serve_apps.api.strict_json import StrictRoute
from serve_apps.application.costs import CostQuery, CostReport

router = APIRouter(prefix="/v1/costs", tags=["costs"], responses=problems(404), route_class=StrictRoute)


@router.get("", dependencies=[MUST_ADMINISTER])
async def get_costs(
    services: Site,
    by: Annotated[
        tuple[Dimension, ...], Query(description="of what the groups are; may stand repeatedly")
    ] = (),
    since: Annotated[IsoTime | None, Query(description="left out: a day before `until`")] = None,
    until: Annotated[IsoTime | None, Query(description="left out: now")] = None,
    idle: Annotated[IdlePolicy, Query(description="who bears what nobody used")] = IdlePolicy.NONE,
) -> CostReportOut:
    """What readings cost in the whole hours of a span, and that it sums to the bill. 404 without a price book."""
    return report_out(await services.costs.report(CostQuery(tuple(by), since, until, idle)))


def report_out(found: CostReport) -> CostReportOut:
    report = found.report
    return CostReportOut(
        since=found.since,
        until=found.until,
        currency=found.currency,
        by=report.by,
        idle=report.idle,
        rows=tuple(row_out(row, report.by) for row in report.rows),
        bill={item: amount(nano) for item, nano in sorted(report.bill.items())},
        billed=amount(report.billed),
        booked=amount(report.booked),
        agrees=report.agrees,
        delivered=report.delivered,
        per_delivered=_amount_or_none(report.per_delivered),
        unpriced=found.unpriced,
        waits=tuple(WaitingOut(**asdict(one)) for one in found.waits),
    )


def row_out(row: Row, by: tuple[Dimension, ...]) -> CostRowOut:
    return CostRowOut(
        key=dict(zip(by, row.key, strict=True)),
        lines={line: amount(nano) for line, nano in row.by_line.items()},
        direct=amount(row.direct),
        overhead=amount(row.overhead),
        total=amount(row.total),
        marginal=amount(row.marginal),
        delivered=row.delivered,
        per_delivered=_amount_or_none(row.per_delivered),
    )


def amount(nano: int) -> str:
    """Nano-units as a decimal of the currency, exactly."""
    whole, part = divmod(abs(nano), NANO)
    return f"{'-' if nano < 0 else ''}{whole}.{part:09}"


def _amount_or_none(nano: int | None) -> str | None:
    return None if nano is None else amount(nano)
