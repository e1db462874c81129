"""OpenTelemetry for our own study traces: a provider of our own, an OTLP/HTTP exporter, MLflow's address."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer

from core.errors import RegistryUnavailable
from observability.names import SERVICE

MLFLOW_EXPERIMENT_HEADER: Final = "x-mlflow-experiment-id"
_MAX_ATTRIBUTE_CHARACTERS: Final = 256
_MAX_QUEUED_SPANS: Final = 8192


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Where traces go. `endpoint` is the full URL with its path (`…/v1/traces`); None exports nothing.

    `sampling_ratio` in [0, 1] is the share of faultless studies that is exported; a failure always is.
    """

    endpoint: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold a bearer token
    service_name: str = SERVICE
    sampling_ratio: float = 1.0
    export_timeout_s: float = 2.0
    export_delay_s: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.sampling_ratio <= 1.0:
            raise ValueError("sampling_ratio must lie in [0, 1]")


class GivenTraceIds(RandomIdGenerator):
    """The id that was given in this context, so that a record knows its trace before it is exported."""

    def __init__(self) -> None:
        self.given: ContextVar[str | None] = ContextVar("trace_id", default=None)

    def generate_trace_id(self) -> int:
        given = self.given.get()
        return super().generate_trace_id() if given is None else int(given, 16)


class Telemetry:
    """A tracer and its export, apart from OpenTelemetry's global provider.

    The global one belongs to Ray Serve, which sets it in every replica, and FastAPI emits spans with the
    request path as soon as it exists. Through this one pass only the spans that our recorder makes.
    """

    def __init__(self, provider: TracerProvider, sampling_ratio: float, ids: GivenTraceIds) -> None:
        self._provider = provider
        self.sampling_ratio = sampling_ratio
        self._ids = ids

    @contextmanager
    def naming(self, trace_id: str) -> Iterator[Tracer]:
        """A tracer whose next root has this id (32 hex digits)."""
        token = self._ids.given.set(trace_id)
        try:
            yield self.tracer
        finally:
            self._ids.given.reset(token)

    @property
    def tracer(self) -> Tracer:
        return self._provider.get_tracer(SERVICE)

    def flush(self, timeout_s: float) -> bool:
        """Export what is queued; False if that took longer than `timeout_s`."""
        return self._within(timeout_s, lambda: self._provider.force_flush(int(timeout_s * 1000)))

    def close(self, timeout_s: float) -> bool:
        """Flush and stop. A collector that hangs holds us up for `timeout_s` at most."""
        return self._within(timeout_s, self._provider.shutdown)

    def _within(self, timeout_s: float, act: Any) -> bool:
        worker = threading.Thread(target=act, name="serinus-telemetry", daemon=True)
        worker.start()
        worker.join(timeout_s)
        return not worker.is_alive()


def build_telemetry(settings: TelemetrySettings) -> Telemetry | None:
    """The telemetry of these settings; None when no endpoint is set."""
    if settings.endpoint is None:
        return None
    exporter = OTLPSpanExporter(
        endpoint=settings.endpoint, headers=dict(settings.headers), timeout=settings.export_timeout_s
    )
    batches = BatchSpanProcessor(
        exporter, max_queue_size=_MAX_QUEUED_SPANS, schedule_delay_millis=settings.export_delay_s * 1000
    )
    return telemetry_with(batches, settings)


def telemetry_with(processor: SpanProcessor, settings: TelemetrySettings) -> Telemetry:
    """The same around any span processor. Reads nothing from `OTEL_*` that could add to a span."""
    ids = GivenTraceIds()
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        id_generator=ids,
        resource=Resource({"service.name": settings.service_name}),
        shutdown_on_exit=False,
        span_limits=SpanLimits(
            max_span_attributes=32,
            max_span_attribute_length=_MAX_ATTRIBUTE_CHARACTERS,
            max_attribute_length=_MAX_ATTRIBUTE_CHARACTERS,
        ),
    )
    provider.add_span_processor(processor)
    return Telemetry(provider, settings.sampling_ratio, ids)


def mlflow_telemetry(
    base_url: str, experiment: str, sampling_ratio: float = 1.0, headers: Mapping[str, str] | None = None
) -> TelemetrySettings:
    """Settings that send traces to an MLflow server's experiment, which is created if need be.

    Raises RegistryUnavailable.
    """
    own = dict(headers or {})
    own[MLFLOW_EXPERIMENT_HEADER] = mlflow_experiment_id(base_url, experiment, headers=headers)
    return TelemetrySettings(f"{base_url.rstrip('/')}/v1/traces", own, sampling_ratio=sampling_ratio)


def mlflow_experiment_id(
    base_url: str, name: str, *, timeout_s: float = 2.0, headers: Mapping[str, str] | None = None
) -> str:
    """The id of the experiment, created or restored if need be: MLflow drops traces for any other, silently.

    Raises RegistryUnavailable. Two processes may ask at the same time.
    """
    api = f"{base_url.rstrip('/')}/api/2.0/mlflow/experiments"
    try:
        with httpx.Client(timeout=timeout_s, headers=dict(headers or {})) as client:
            return _find(client, api, name) or _create(client, api, name)
    except (httpx.HTTPError, KeyError, ValueError):
        raise RegistryUnavailable("MLflow did not answer for the experiment of traces") from None


def _find(client: httpx.Client, api: str, name: str) -> str | None:
    answer = client.get(f"{api}/get-by-name", params={"experiment_name": name})
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    experiment = answer.raise_for_status().json()["experiment"]
    experiment_id = str(experiment["experiment_id"])
    if experiment.get("lifecycle_stage") == "deleted":
        client.post(f"{api}/restore", json={"experiment_id": experiment_id}).raise_for_status()
    return experiment_id


def _create(client: httpx.Client, api: str, name: str) -> str:
    answer = client.post(f"{api}/create", json={"name": name})
    if answer.status_code == httpx.codes.BAD_REQUEST:  # another process was quicker
        found = _find(client, api, name)
        if found is not None:
            return found
    return str(answer.raise_for_status().json()["experiment_id"])
