"""Where traces go by the site's settings: MLflow, the site's own collector, or both."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import RegistryUnavailable
from ledger import TraceFeed
from observability.redaction import Pseudonymiser
from observability.traces.mlflow_experiment import MLFLOW_EXPERIMENT_HEADER, mlflow_experiment_id
from observability.traces.sinks import TIMEOUT_S, GrpcSink, HttpSink, Sink, SinkAway
from observability.traces.spans import Form
from serve_apps.application.export_traces import TraceExport
from serve_apps.settings import Settings

EXPERIMENT = "serinus-studies"


def trace_exports(settings: Settings, feed: TraceFeed) -> Mapping[str, TraceExport]:
    """An export to each sink that is on, by its name. None of them connects before it has something to send."""
    keys, share = pseudonymiser(settings), settings.trace_sampling
    exports = {}
    if settings.mlflow_traces:
        exports["mlflow"] = TraceExport("mlflow", mlflow_sink(settings), Form.OWN_ROOT, feed, keys, share)
    if settings.otlp_endpoint is not None:
        sink = otlp_sink(settings, settings.otlp_endpoint)
        exports["otlp"] = TraceExport("otlp", sink, Form.CHILD_OF_CALLER, feed, keys, share)
    return exports


def mlflow_sink(settings: Settings) -> Sink:
    """The registry's own trace store, in an experiment that is made when the first trace comes."""
    url = settings.registry_url.rstrip("/")

    def headers() -> Mapping[str, str]:
        try:
            return {MLFLOW_EXPERIMENT_HEADER: mlflow_experiment_id(url, EXPERIMENT)}
        except RegistryUnavailable as error:
            raise SinkAway(error.code) from None

    return HttpSink(f"{url}/v1/traces", headers)


def otlp_sink(settings: Settings, endpoint: str, timeout_s: float = TIMEOUT_S) -> Sink:
    """The site's own collector, by the protocol that it speaks."""
    headers = {name: secret.get_secret_value() for name, secret in settings.otlp_headers.items()}
    if settings.otlp_protocol == "grpc":
        return GrpcSink(endpoint, headers, timeout_s)
    return HttpSink(endpoint, lambda: headers, timeout_s)


def pseudonymiser(settings: Settings) -> Pseudonymiser:
    """The pseudonymiser of the site, by the key in its state folder."""
    return Pseudonymiser(bytes.fromhex(settings.paths.pseudonym_key.read_text().strip()))
