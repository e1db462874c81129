"""A small OTLP collector, by HTTP and by gRPC: it keeps what came over the wire, decoded and raw."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector:
    """What one collector received. `hang` makes it take requests and never answer, `refuse` call them wrong."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    resources: list[dict[str, str]] = field(default_factory=list)
    hang: threading.Event = field(default_factory=threading.Event)
    refuse: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def take(self, headers: dict[str, str], body: bytes) -> None:
        self.headers.append(headers)
        self.bodies.append(body)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append({a.key: a.value.string_value for a in group.resource.attributes})
            for scope in group.scope_spans:
                self.spans.extend(scope.spans)


def serve(collector: Collector) -> Callable[[], None]:
    """Start it on a free loopback port and write its address into it; returns what stops it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if collector.hang.is_set():
                collector.released.wait(30)
                return
            collector.paths.append(self.path)
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take({k.lower(): v for k, v in self.headers.items()}, body)
            self.send_response(400 if collector.refuse.is_set() else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def close() -> None:
        server.shutdown()
        server.server_close()

    return close


def serve_grpc(collector: Collector) -> Callable[[], None]:
    """The same by gRPC."""

    class Service(TraceServiceServicer):
        def Export(  # noqa: N802 - the name of the protocol
            self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
        ) -> ExportTraceServiceResponse:
            if collector.hang.is_set():
                collector.released.wait(30)
                return ExportTraceServiceResponse()
            if collector.refuse.is_set():
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such spans")
            metadata = {str(name): str(value) for name, value in context.invocation_metadata()}
            collector.take(metadata, request.SerializeToString())
            return ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(4, "collector"))
    add_TraceServiceServicer_to_server(Service(), server)
    collector.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()

    def close() -> None:
        server.stop(None)

    return close
