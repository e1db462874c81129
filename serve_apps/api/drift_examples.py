"""Examples of the bodies of drift, by the name of their schema; `examples.py` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FINDING = {
    "place": ["north", "Siemens Force"],
    "signal": "top_score",
    "group": "scores",
    "log10_m": 4.1,
    "psi": 0.31,
    "studies": 410,
    "since_day": 20788,
}
_SIGNAL = {
    "signal": "sex",
    "bins": ["F", "M", "O", "other", "missing"],
    "reference": [540, 460, 0, 0, 3],
    "now": [55, 44, 0, 0, 1],
    "psi": 0.001,
    "not_armed": "",
}
OF_DRIFT: Mapping[str, dict[str, Any]] = {
    "DriftReferenceIn": {"days": 28, "version": "2"},
    "DriftReferenceOut": {
        "model": "ich-triage",
        "number": 1,
        "accepted_by": "admin/ada",
        "accepted_at": "2026-12-01T08:00:00Z",
        "days": 28,
        "studies": 11200,
        "digest": "9f2c" * 16,
    },
    "DriftFindingOut": _FINDING,
    "DriftSignalOut": _SIGNAL,
    "DriftReportOut": {
        "model": "ich-triage",
        "reference": 1,
        "accepted_by": "admin/ada",
        "until_day": 20800,
        "state": "alarm",
        "sentence": "top_score at north / Siemens Force has drifted (PSI 0.31 over 410 studies).",
        "log10_m": 4.1,
        "log10_limit": 3.56,
        "findings": [_FINDING],
        "signals": [_SIGNAL],
    },
}
