"""Where traces go: the site's collector or MLflow, opened when the first one comes."""

from __future__ import annotations

import logging
import time

from core.errors import (
    RegistryUnavailable,
)
from observability.record import StudyTrace
from observability.recorder import Recorder
from observability.redaction import Pseudonymiser
from observability.telemetry import TelemetrySettings, build_telemetry, mlflow_telemetry
from serve_apps.settings import Settings

logger = logging.getLogger("serinus.tracing")
EXPERIMENT = "serinus-studies"
REOPEN_S = 30.0


class LazyRecorder:
    """Opens the export at the first trace, and tries again later when MLflow is away; no study waits for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._recorder: Recorder | None = None
        self._next_try = 0.0

    def record(self, trace: StudyTrace) -> str | None:
        if self._recorder is None and time.monotonic() >= self._next_try:
            self._next_try = time.monotonic() + REOPEN_S
            self._recorder = self._open()
        return self._recorder.record(trace) if self._recorder else None

    async def aclose(self) -> None:
        if self._recorder is not None:
            await self._recorder.aclose()

    def _open(self) -> Recorder | None:
        try:
            return Recorder(build_telemetry(telemetry_settings(self._settings)))
        except RegistryUnavailable:
            logger.warning("tracing.off", extra={"reason": "the MLflow server does not answer"})
            return None


def telemetry_settings(settings: Settings) -> TelemetrySettings:
    """The site's OTLP endpoint, or the registry's own trace store. Raises RegistryUnavailable."""
    if settings.otlp_endpoint is not None:
        return TelemetrySettings(endpoint=settings.otlp_endpoint, sampling_ratio=settings.trace_sampling)
    return mlflow_telemetry(settings.registry_url, EXPERIMENT, settings.trace_sampling)


def pseudonymiser(settings: Settings) -> Pseudonymiser:
    """The pseudonymiser of the site, by the key in its state folder."""
    return Pseudonymiser(bytes.fromhex(settings.paths.pseudonym_key.read_text().strip()))
