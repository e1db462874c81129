"""Examples of the bodies of recalls, by the name of their schema; `examples.py` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_RECALL_OUT = {
    "id": "4b1f0c9d8e7a4c2b9f6e5d4c3b2a1908",
    "model": "ich-triage",
    "version": "2",
    "run": 2,
    "since": "2026-05-01T08:00:00Z",
    "made_at": "2026-05-09T14:03:11Z",
    "made_by": "rollout",
    "reason": "canary-failures is Failed",
    "complete": False,
    "summary": {
        "studies": 14,
        "open": 2,
        "to_look_now": 1,
        "pending": 0,
        "unreadable": 1,
        "closed": 0,
        "by_difference": {"critical": 1, "finding": 0, "score": 0, "indeterminate": 0, "none": 12},
    },
}
_RECALL_ITEM = {
    "id": "7c2e1d0f9b8a4d3c8e7f6a5b4c3d2e1f",
    "open": True,
    "state": "compared",
    "difference": "critical",
    "delivered_missed": True,
    "study_uid": "2.25.1234567890",
    "job": "0f8a4c1e2b7d4e0f9a6b5c4d3e2f1a0b",
    "tenant": "orchestrator",
    "answered_at": "2026-05-09T11:20:05Z",
    "variant": "canary",
    "champion": "1",
    "reread_at": "2026-05-09T14:03:40Z",
    "score_change": 62,
    "findings": [
        {
            "code": "1386000@SCT",
            "meaning": "Intracranial hemorrhage",
            "delivered": "absent",
            "champion": "present",
            "critical": True,
        }
    ],
    "sr_sop_instance_uid": "2.25.1234567893",
    "documents": [{"kind": "sr", "destination": "pacs", "state": "done", "at": "2026-05-09T11:20:09Z"}],
}
OF_RECALLS: Mapping[str, dict[str, Any]] = {
    "RecallIn": {"run": 2, "note": "protocol QM-17"},
    "RecallCloseIn": {"note": "the radiologist has read it again; the ward was called"},
    "RecallHeadOut": _RECALL_OUT,
    "RecallsOut": {"recalls": [_RECALL_OUT]},
    "RecallItemOut": _RECALL_ITEM,
    "RecallOut": _RECALL_OUT | {"items": [_RECALL_ITEM]},
}
