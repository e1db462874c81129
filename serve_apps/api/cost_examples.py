"""Examples of the bodies of costs, by the name of their schema; `examples.py` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ROWS = [
    {
        "key": {"model": "ich-triage", "version": "1"},
        "lines": {"primary": "0.020000000", "egress": "0.000900000", "review": "4.000000000"},
        "direct": "4.020900000",
        "overhead": "0.059000000",
        "total": "4.079900000",
        "marginal": "4.000900000",
        "delivered": 40,
        "per_delivered": "0.101997500",
    },
    {
        "key": {"model": "ich-triage", "version": "2"},
        "lines": {"shadow": "0.021000000"},
        "direct": "0.021000000",
        "overhead": "0.058000000",
        "total": "0.079000000",
        "marginal": "0.000000000",
        "delivered": 0,
        "per_delivered": None,
    },
]
_WAITS = {
    "app": "mv-ich-triage-2",
    "model": "ich-triage",
    "role": "replay",
    "until": "2026-05-02T00:00:00Z",
    "reason": "replay of ich-triage would pass the budget site-daily of a day and waits",
}
OF_COSTS: Mapping[str, dict[str, Any]] = {
    "CostRowOut": _ROWS[0],
    "WaitingOut": _WAITS,
    "CostReportOut": {
        "since": "2026-05-01T08:00:00Z",
        "until": "2026-05-01T09:00:00Z",
        "currency": "USD",
        "by": ["model", "version"],
        "idle": "none",
        "rows": _ROWS,
        "bill": {"cpu-core": "0.158000000", "egress-gb": "0.000900000", "reader-minute": "4.000000000"},
        "billed": "4.158900000",
        "booked": "4.158900000",
        "agrees": True,
        "delivered": 40,
        "per_delivered": "0.103972500",
        "unpriced": [],
        "waits": [_WAITS],
    },
}
