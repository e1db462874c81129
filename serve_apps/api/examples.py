"""One example for every body, by the name of its schema or by its operation: what `/docs` shows a reader.

tests/unit/shell/test_openapi.py validates each against the schema that it stands for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI

from serve_apps.api.cost_examples import OF_COSTS
from serve_apps.api.drift_examples import OF_DRIFT
from serve_apps.api.recall_examples import OF_RECALLS

STUDY, SERIES, INSTANCE = "2.25.1234567890", "2.25.1234567891", "2.25.1234567892"
JOB, AT = "0f8a4c1e2b7d4e0f9a6b5c4d3e2f1a0b", "2026-05-01T08:00:00Z"
MODEL, DIGEST = "ich-triage", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
FINDING = "1386000@SCT"
HAEMORRHAGE = {"value": "1386000", "scheme": "SCT", "meaning": "Intracranial hemorrhage"}
_REFERENCE = {"00081150": {"vr": "UI", "Value": [CT_IMAGE]}, "00081155": {"vr": "UI", "Value": [INSTANCE]}}
STORED_ONE = {"00081199": {"vr": "SQ", "Value": [_REFERENCE]}}
STORED_NONE = {
    "00081198": {"vr": "SQ", "Value": [_REFERENCE | {"00081197": {"vr": "US", "Value": [0xC000]}}]}
}
_JOB_OUT = {
    "id": JOB,
    "tenant": "orchestrator",
    "state": "queued",
    "study_uid": STUDY,
    "source": "samples",
    "model": MODEL,
    "priority": "stat",
    "priority_rule": "ED first",
    "context": {"service": "ED"},
    "deadline": "2026-05-01T08:02:00Z",
    "attempt": 0,
    "created_at": AT,
    "links": {"self": f"/v1/jobs/{JOB}", "results": f"/v1/jobs/{JOB}/results"},
}
_KEY_OUT = {
    "id": "srn_1a2b3c4d",
    "name": "orchestrator",
    "tenant": "orchestrator",
    "scopes": ["jobs:write", "results:read"],
    "state": "valid",
    "created_at": AT,
    "created_by": "admin/ada",
    "expires_at": "2027-05-01T08:00:00Z",
    "last_used_on": "2026-05-01",
}
_ROLLOUT_OUT = {
    "model": MODEL,
    "name": "ich-triage-2026-05",
    "run": 1,
    "candidate": "2",
    "stable": "1",
    "phase": "Progressing",
    "reason": "waits for the approval of quality",
    "step": 2,
    "steps": 8,
    "weight_bp": 0,
    "mirror_bp": 10000,
    "began_at": AT,
    "progressed_at": "2026-05-09T08:00:00Z",
}
_REPLAY_OUT = {
    "id": JOB,
    "state": "reading",
    "model": MODEL,
    "champion": "1",
    "candidate": "2",
    "last": 500,
    "since": None,
    "actor": "admin/ada",
    "at": AT,
    "run": 1,
    "studies": 500,
    "known": 37,
    "asked": 463,
    "waiting": 201,
    "done": 260,
    "failed": {"model-error": 2},
    "canceled_at": None,
    "taken_back": 0,
    "reason": "",
}
_SET_OUT = {
    "name": "ich-reference",
    "version": 2,
    "model": MODEL,
    "digest": DIGEST,
    "studies": 120,
    "counts": {FINDING: {"present": 40, "absent": 80}},
    "every_s": 604_800,
    "at": AT,
    "actor": "admin/ada",
}
_RESULTS_OUT = {
    "name": "ich-reference",
    "runs": [
        {
            "id": JOB,
            "set_version": 2,
            "model": MODEL,
            "version": "2",
            "digest": DIGEST,
            "at": AT,
            "actor": "schedule",
            "studies": 120,
            "waiting": 0,
            "ended_at": "2026-05-01T09:10:00Z",
            "findings": [
                {
                    "finding": FINDING,
                    "sensitivity": {"right": 38, "number": 40, "share": 0.95, "low": 0.8308, "high": 0.9939},
                    "specificity": {"right": 76, "number": 80, "share": 0.95, "low": 0.8769, "high": 0.9862},
                    "failed": 1,
                    "unread": 0,
                }
            ],
        }
    ],
}
_FREEZE_OUT = {
    "frozen": True,
    "recorded": True,
    "confirmed": [{"deployment": "Ingress", "replicas": 1}],
    "unconfirmed": 0,
}
_TABLE = {
    "model": MODEL,
    "generation": 12,
    "key": "patient",
    "champion": {"version": "1", "weight_bp": 9500},
    "canary": {"version": "2", "weight_bp": 500},
    "arms": [],
    "shadows": [],
    "rules": [],
    "safety_net_bp": 2000,
    "frozen": False,
    "revision": 3,
    "desired_weight_bp": 500,
}
_ROUTES = {"generation": 12, "frozen": None, "pending": [], "in_advance": [], "models": [_TABLE]}
_SHARE = {"hits": 4, "total": 200, "share": 0.02, "interval_95": [0.0078, 0.0503]}
_AB_REPORT = {
    "model": MODEL,
    "serving": True,
    "coverage_bp": 10_000,
    "sample_ratio": {"observed": {"arm-a": 101, "arm-b": 99}, "p_value": 0.89, "mismatch": False},
    "arms": [
        {
            "name": "arm-a",
            "weight_bp": 5000,
            "versions": [
                {
                    "version": "1",
                    "patients": 101,
                    "studies": 200,
                    "failed": _SHARE,
                    "flagged": _SHARE,
                    "latency_p50_ms": 840.0,
                    "latency_p95_ms": 1310.0,
                }
            ],
        }
    ],
}

_TRUTH_IN = {
    "model": MODEL,
    "label": "present",
    "source": "report",
    "reader": "reader-7",
    "read_at": "2026-05-01T09:30:00Z",
}
_TRUTH_OUT = _TRUTH_IN | {
    "id": "5e884898da28047151d0e56f8dc62927",
    "tenant": "orchestrator",
    "finding": FINDING,
    "received_at": "2026-05-02T06:00:00Z",
    "in_force": True,
}
_ITEM = "8d969eef6ecad3c29a3a629280e686cf"

BY_SCHEMA: Mapping[str, dict[str, Any]] = {
    "Problem": {
        "type": "urn:serinus:problem:invalid-field",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "body /study_uid: has not the required form",
        "code": "invalid-field",
        "retryable": False,
        "pointer": "/study_uid",
    },
    "JobSubmission": {
        "study_uid": STUDY,
        "source": "samples",
        "model": MODEL,
        "context": {"service": "ED"},
        "deadline_s": 120,
    },
    "InferCall": {
        "study_uid": STUDY,
        "modality": "CT",
        "s3_uri": "s3://incoming/study/slice-001.dcm",
        "inference_type": "triage",
    },
    "JobOut": _JOB_OUT,
    "JobPage": {"jobs": [_JOB_OUT], "next_cursor": f"1777622400000000.{JOB}"},
    "ResultOut": {
        "format": 1,
        "study_uid": STUDY,
        "series_uid": SERIES,
        "model": {
            "name": MODEL,
            "version": "1",
            "digest": DIGEST,
            "manufacturer": "Serinus",
            "research_only": True,
        },
        "status": "preliminary",
        "disclaimer": "Not reviewed by a physician.",
        "priority_score": 91,
        "priority_flag": True,
        "urgency": "critical",
        "findings": [
            {
                "concept": HAEMORRHAGE,
                "presence": "present",
                "probability": 0.91,
                "threshold": 0.5,
                "urgency": "critical",
                "key_instance_uid": INSTANCE,
            }
        ],
        "note": "Intracranial hemorrhage: present (91 %), not reviewed",
        "documents": ["sr"],
        "context": {"service": "ED"},
        "input_digest": DIGEST,
    },
    "CompleteOut": {"released": 1},
    "ModelsOut": {
        "generation": 12,
        "registry": "live",
        "site_policy": "research",
        "variants": [{"model": MODEL, "version": "1", "role": "champion", "state": "warm"}],
    },
    "QueueOut": {"queued": 1, "completed": 41},
    "WeightIn": {"version": "2", "weight_bp": 500, "expected_revision": 3},
    "LayerIn": {"slot": {"layer": "reading", "start": 0, "stop": 5000}},
    "ShadowIn": {"alias": "shadow-next", "percent": 100},
    "SafetyNetIn": {"share_bp": 2000},
    "RulesIn": {"rules": [{"name": "the old scanner", "variant": "champion", "scanners": ["CT-2"]}]},
    "PinIn": {"patient_id": "4711", "variant": "champion"},
    "ABTestIn": {"weights_bp": {"arm-a": 5000, "arm-b": 5000}},
    "FreezeIn": {"reason": "the on-call physicist asked for it"},
    "FreezeOut": _FREEZE_OUT,
    "KeyIn": {"name": "orchestrator", "scopes": ["jobs:write", "results:read"]},
    "KeyMadeOut": _KEY_OUT | {"last_used_on": None, "key": "srn_1a2b3c4d_(43 letters, told once)"},
    "KeysOut": {"keys": [_KEY_OUT]},
    "RevokedOut": {
        "revoked": [_KEY_OUT | {"state": "revoked", "revoked_at": "2026-06-01T08:00:00Z"}],
        "in_force_within_s": 2.0,
    },
    "TruthIn": _TRUTH_IN,
    "TruthOut": _TRUTH_OUT,
    "TruthsOut": {"truths": [_TRUTH_OUT]},
    "AdjudicationsOut": {
        "model": MODEL,
        "items": [
            {
                "id": _ITEM,
                "study_uid": STUDY,
                "model": MODEL,
                "finding": FINDING,
                "meaning": HAEMORRHAGE["meaning"],
                "open_since": AT,
            }
        ],
        "workload": {
            "open": 1,
            "pairs_per_day": 400.0,
            "discordant_share": 0.04,
            "items_per_day": 35.2,
        },
    },
    "RolloutIn": {
        "spec": "apiVersion: serinus/v1\nkind: ModelRollout\nmetadata: {name: ich-triage-2026-05}\nspec: …\n"
    },
    "VerbIn": {"role": "quality", "note": "protocol QM-17"},
    "RolloutsOut": {"rollouts": [_ROLLOUT_OUT]},
    "RolloutDetailOut": _ROLLOUT_OUT
    | {
        "step_began_at": "2026-05-09T08:00:00Z",
        "plan_steps": [
            {
                "number": 2,
                "kind": "pause",
                "told": "the approval of 2 people as radiologist and quality",
            }
        ],
        "next_gate": "step 2 of 8: the approval of 2 people as radiologist and quality",
        "gate": {"kind": "approval", "roles": ["quality"], "people": 1},
        "conditions": [{"kind": "Progressing", "holds": True, "reason": ""}],
        "approvals": [{"step": 2, "role": "radiologist", "actor": "admin/ada", "at": AT}],
        "evidence": [
            {
                "metric": "sensitivity",
                "phase": "Successful",
                "reason": "not inferior by 5 points",
                "observed": 340,
                "kind": "sensitivity",
                "hypothesis": "non-inferiority",
                "margin": 0.05,
                "critical": True,
                "candidate_events": 31,
                "champion_events": 33,
                "log10_e_harm": -0.4,
                "log10_e_harm_limit": 2.0,
                "log10_e_non_inferiority": 1.8,
                "log10_e_non_inferiority_limit": 1.6,
            }
        ],
        "exposure": {"studies": 0, "studies_limit": 600, "adverse": 0, "adverse_limit": 5},
        "studies_per_day": 400.0,
        "expected": {
            "step": {"at": None, "reason": "it waits for people, who have no date"},
            "promotion": {
                "at": "2026-05-15T08:00:00Z",
                "reason": "if the candidate is equal to the champion and people approve at once",
            },
        },
        "events": [
            {
                "number": 3,
                "at": AT,
                "actor": "rollout",
                "phase": "Progressing",
                "step": 2,
                "weight_bp": 0,
                "reason": "sensitivity is successful",
            }
        ],
    },
    "ReplayIn": {"model": MODEL, "candidate": "2", "last": 500, "since": AT},
    "ReplayOut": _REPLAY_OUT,
    "ReplaysOut": {"replays": [_REPLAY_OUT]},
    "TruthSetIn": {
        "name": "ich-reference",
        "model": MODEL,
        "lines": [
            {
                "study_uid": STUDY,
                "study_source": "samples",
                "label": "present",
                "source": "pathology",
                "reader": "lab",
            }
        ],
    },
    "TruthSetOut": _SET_OUT,
    "TruthSetsOut": {"truth_sets": [_SET_OUT]},
    "ScheduleIn": {"every": "7d"},
    "ResultsOut": _RESULTS_OUT,
    **OF_RECALLS,
    **OF_COSTS,
    **OF_DRIFT,
    "EvidencePackOut": {
        "format": "serinus-evidence-pack-1",
        "records": [
            {
                "kind": "run",
                "content": {"model": MODEL, "run": 1, "candidate": "2", "stable": "1"},
                "previous": "0" * 64,
                "digest": DIGEST,
            }
        ],
        "digest": DIGEST,
        "signature": None,
    },
    "AnswerIn": {"label": "present", "reader": "reader-7"},
    "AnsweredOut": {
        "id": _ITEM,
        "truth": _TRUTH_OUT | {"source": "adjudication", "adjudication": _ITEM},
        "arms": {"A": {"version": "2", "label": "present"}, "B": {"version": "1", "label": "absent"}},
    },
}
"""What a body looks like, by the name of its schema."""

BY_OPERATION: Mapping[tuple[str, str], dict[str, Any]] = {
    ("get", "/healthz"): {"status": "ok"},
    ("get", "/readyz"): {"status": "ready"},
    ("get", "/v1/routes"): _ROUTES,
    ("put", "/v1/routes/{model}/weight"): _ROUTES,
    ("put", "/v1/routes/{model}/layer"): _ROUTES,
    ("put", "/v1/routes/{model}/shadow"): _ROUTES,
    ("put", "/v1/routes/{model}/safety-net"): _ROUTES,
    ("put", "/v1/routes/{model}/rules"): _ROUTES,
    ("put", "/v1/routes/{model}/pin"): _ROUTES,
    ("delete", "/v1/routes/{model}/pending/{version}"): {"discarded": 2},
    ("get", "/v1/jobs/{job_id}/explain"): {
        "job": JOB,
        "same_as": None,
        "priority": "The rule 'ED first' made it stat; its caller asked for routine.",
        "end": [],
        "decisions": [{"sentences": ["The champion 1 read it."], "agrees": True, "row": {}}],
        "escalations": [],
        "truths": [
            {
                "finding": FINDING,
                "label": "present",
                "value": None,
                "unit": None,
                "source": "report",
                "read_at": AT,
                "received_at": "2026-05-02T06:00:00Z",
                "withdrawn_at": None,
                "in_force": True,
            }
        ],
    },
    ("get", "/v1/audit"): {"verified_to": 0, "first_broken": None, "problem": None, "rows": []},
    ("put", "/v1/ab-tests/{model}"): _AB_REPORT,
    ("get", "/v1/ab-tests/{model}"): _AB_REPORT,
    ("get", "/v1/events"): {
        "events": [{"sequence": 7, "job": JOB, "escalation": {"sentence": "Version 2 sees a hemorrhage."}}],
        "cursor": 7,
    },
}
"""What an operation answers whose answer has no schema of its own."""

PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem details",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "retryable"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "stable: program against this"},
        "retryable": {"type": "boolean", "description": "whether the same request may succeed later"},
        "pointer": {"type": "string", "description": "the field that is wrong"},
        "job": {"type": "string", "description": "of a job that has no result: its id"},
        "error": {"type": "object", "description": "of a document that will never exist: how its job failed"},
    },
}


def with_examples(app: FastAPI) -> None:
    """Have the application's OpenAPI document carry the examples and the schema of problems."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = describe()
            schemas = document["components"]["schemas"]
            schemas["Problem"] = dict(PROBLEM_SCHEMA)
            for name, example in BY_SCHEMA.items():
                schemas[name]["examples"] = [example]
            for content, example in _answers(document):
                content["example"] = example
            for parameter in _parameters(document):
                parameter["schema"] = _never_null(parameter["schema"])
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's own way to extend the document


def _answers(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for (method, path), example in BY_OPERATION.items():
        yield document["paths"][path][method]["responses"]["200"]["content"]["application/json"], example


def _parameters(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        for operation in methods.values():
            yield from operation.get("parameters", ())


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A header, or a part of a path or query, is there or is not; there is no text that means null."""
    given = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    if len(given) != 1:
        return schema
    choice: dict[str, Any] = given[0]
    return {name: value for name, value in schema.items() if name != "anyOf"} | choice
