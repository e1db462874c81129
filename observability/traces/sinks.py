"""Where traces go: a collector by HTTP or gRPC, or MLflow. A batch has arrived, is refused, or must come again.

A batch that arrives twice is no harm: its spans have the same ids.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from typing import Final, Protocol
from urllib.parse import urlsplit

import grpc  # type: ignore[import-untyped]
import httpx

TIMEOUT_S: Final = 30.0  # MLflow works at a large batch for seconds, and nobody waits for it
EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
REFUSED: Final = frozenset({400, 413, 415, 422})
"""The batch itself is at fault, by MLflow and by OTLP/HTTP; anything else is for another time."""


class SinkAway(Exception):
    """The batch has not arrived and may be sent again; the text is a status or the name of an error."""


class BatchRefused(Exception):
    """The receiver will never take this batch; the text is a status."""


class Sink(Protocol):
    """Takes a serialised `ExportTraceServiceRequest`. Raises SinkAway or BatchRefused."""

    def send(self, request: bytes) -> None: ...

    def close(self) -> None: ...


class HttpSink:
    """OTLP/HTTP with protobuf to the full `endpoint` (`…/v1/traces`), with `headers`, asked for once."""

    def __init__(
        self, endpoint: str, headers: Callable[[], Mapping[str, str]], timeout_s: float = TIMEOUT_S
    ) -> None:
        self._endpoint = endpoint
        self._headers = headers
        self._known: Mapping[str, str] | None = None
        self._client = httpx.Client(timeout=timeout_s)

    def send(self, request: bytes) -> None:
        if self._known is None:
            self._known = dict(self._headers())
        wire = {"content-type": "application/x-protobuf", "content-encoding": "gzip", **self._known}
        body = gzip.compress(request, compresslevel=1)
        try:
            answer = self._client.post(self._endpoint, content=body, headers=wire)
        except httpx.HTTPError as error:
            raise SinkAway(type(error).__name__) from None
        if answer.status_code in REFUSED:
            raise BatchRefused(str(answer.status_code))
        if not answer.is_success:
            self._known = None  # an experiment may have been deleted
            raise SinkAway(str(answer.status_code))

    def close(self) -> None:
        self._client.close()


class GrpcSink:
    """OTLP/gRPC to `http://host:4317`, in the clear, or `https://host:4317`."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> None:
        address = urlsplit(endpoint)
        is_secret = address.scheme == "https"
        self._channel = (
            grpc.secure_channel(address.netloc, grpc.ssl_channel_credentials())
            if is_secret
            else grpc.insecure_channel(address.netloc)
        )
        self._export = self._channel.unary_unary(EXPORT)
        self._metadata = tuple((name.lower(), value) for name, value in headers.items())
        self._timeout_s = timeout_s

    def send(self, request: bytes) -> None:
        try:
            self._export(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            status = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
            if status is grpc.StatusCode.INVALID_ARGUMENT:
                raise BatchRefused(status.name) from None
            raise SinkAway(status.name) from None

    def close(self) -> None:
        self._channel.close()
