"""A web server elsewhere (a caller that is called back, a collector): it remembers what it was sent."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self

TAKEN, REFUSED = 204, 503


class Receiver:
    """`calls` are headers, in lower case, and body of each call, and `paths` where it went.

    The first `refusals` are answered with 503.
    """

    def __init__(self, refusals: int = 0) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.paths: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.paths.append(self.path)
                receiver.calls.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(REFUSED if len(receiver.calls) <= refusals else TAKEN)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._server.shutdown()

    @property
    def url(self) -> str:
        return f"{self.base}/done"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"
