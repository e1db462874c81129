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
_SPOT = {"signal": "top_score", "weeks": 4, "studies": 11200, "into_rare": 0.01, "into_common": 0.04}
_OUTLIERS = {"flagged": 5, "studies": 410, "share": 0.0122}
_SHARE = {"value": 0.93, "low": 0.85, "high": 0.97}
_TRUTH = {
    "finding": "1386000",
    "answered": 410,
    "known": 120,
    "discordant_then": 0.031,
    "discordant_now": 0.052,
    "discordance_log10_m": 0.8,
    "calibration_log10_e": -0.2,
    "audited": 60,
    "audited_against": "3",
    "sensitivity": _SHARE,
    "ppv": _SHARE,
    "prevalence": _SHARE,
    "expected_sensitivity": 0.91,
    "expected_ppv": 0.7,
    "is_expectation_trusted": False,
    "said": [],
}
_RUN = {
    "name": "golden-heads",
    "set_version": 1,
    "finding": "1386000@SCT",
    "at": "2026-12-01T06:00:00Z",
    "sensitivity": _SHARE,
    "specificity": _SHARE,
    "auc": _SHARE,
    "failed": 0,
    "unread": 0,
    "changed": "sensitivity fell from 13 to 12 of 13",
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
        "blind_spots": [_SPOT],
        "outliers": _OUTLIERS,
        "against_truth": [_TRUTH],
        "scoreboard": [_RUN],
    },
    "DriftBlindSpotOut": _SPOT,
    "DriftOutliersOut": _OUTLIERS,
    "DriftShareOut": _SHARE,
    "DriftTruthOut": _TRUTH,
    "DriftSetRunOut": _RUN,
    "DriftAcknowledgeIn": {"version": "2"},
    "DriftAcknowledgedOut": {
        "model": "ich-triage",
        "version": "2",
        "reference": 1,
        "state": "alarm",
        "sentence": "top_score at north / Siemens Force has drifted (PSI 0.31 over 410 studies).",
    },
}
