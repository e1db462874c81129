"""A caller's span is kept with the job only when the site trusts the caller; nothing else of its context is."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve_apps.application.callers import Scope
from tests.unit.shell.site import BODY, Site

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("trusted", "header", "kept"),
    [
        (("ris",), CALLER, CALLER),
        (("ris",), f"{CALLER}-and-more", CALLER),
        (("ris",), "00-nonsense", None),
        (("ris",), "x" * 5000, None),
        (("pacs",), CALLER, None),
        ((), CALLER, None),
    ],
)
async def test_only_a_trusted_callers_traceparent_is_kept(
    tmp_path: Path, trusted: tuple[str, ...], header: str, kept: str | None
) -> None:
    site = Site(tmp_path, trusted_trace_callers=trusted)
    context = {"traceparent": header, "tracestate": "vendor=1.2.840.1", "baggage": "patient=DOE"}
    async with site.client() as http:
        answer = await http.post("/v1/jobs", json=BODY, headers=context)
    assert answer.status_code == 202
    assert site.ledger.jobs.get(answer.json()["id"]).traceparent == kept
    assert "traceparent" not in answer.text


async def test_the_name_of_the_key_is_what_is_trusted_not_its_tenant(tmp_path: Path) -> None:
    site = Site(tmp_path, trusted_trace_callers=("ris",))
    other = site.new_key("other", Scope.JOBS_WRITE, tenant="ris")
    async with site.client(other) as http:
        answer = await http.post("/v1/jobs", json=BODY, headers={"traceparent": CALLER})
    assert site.ledger.jobs.get(answer.json()["id"]).traceparent is None
