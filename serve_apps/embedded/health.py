"""Which parts of the embedded stack answer. Imports nothing of Ray or MLflow: `serinus status` asks this."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import httpx

from serve_apps.settings import Settings

PROBE_TIMEOUT_S = 2.0
READY_TIMEOUT_S = 5.0
API_IS_AWAY = "the API to answer"


def running(settings: Settings) -> Mapping[str, bool]:
    """Which parts of the stack answer, by name."""
    with _http(settings) as http:
        return {
            "mlflow": registry_answers(settings, http),
            "ray": dashboard_answers(settings, http),
            "api": waiting_for(settings, http) != API_IS_AWAY,
        }


def registry_answers(settings: Settings, http: httpx.Client | None = None) -> bool:
    """Whether MLflow is well."""
    answer = _get(settings, f"{settings.registry_url}/health", PROBE_TIMEOUT_S, http)
    return answer is not None and answer.status_code == httpx.codes.OK


def dashboard_answers(settings: Settings, http: httpx.Client | None = None) -> bool:
    """Whether Serve's REST interface is there (any answer but a refusal to connect or a 5xx)."""
    answer = _get(settings, f"{settings.dashboard_url}/api/serve/applications/", PROBE_TIMEOUT_S, http)
    return answer is not None and not answer.is_server_error


def waiting_for(settings: Settings, http: httpx.Client | None = None) -> str | None:
    """What a start of the stack still waits for; None when `/readyz` says 200."""
    answer = _get(settings, f"{settings.api_url}/readyz", READY_TIMEOUT_S, http)
    if answer is None:
        return API_IS_AWAY
    if answer.status_code == httpx.codes.OK:
        return None
    return _reason(answer)


def _reason(answer: httpx.Response) -> str:
    """What `/readyz` waits for, of an answer that is not 200; Serve's proxy answers in the place of an ingress."""
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        problem = answer.json()
        if problem.get("code") != "api-unavailable":
            return str(problem.get("detail"))
    return "the ingress to start"


def _get(settings: Settings, url: str, timeout_s: float, http: httpx.Client | None) -> httpx.Response | None:
    try:
        if http is not None:
            return http.get(url, timeout=timeout_s)
        with _http(settings) as own:
            return own.get(url, timeout=timeout_s)
    except httpx.HTTPError:
        return None


def _http(settings: Settings) -> httpx.Client:
    """Our own parts speak plain HTTP, so the world's certificates are read only for a site's MLflow behind TLS."""
    encrypted = settings.registry_url.startswith("https:")
    return httpx.Client(verify=True if encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
