"""A reverse proxy before a PACS that counts what is fetched of each study, and can be slow, hang or refuse."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self

import httpx

STUDY = re.compile(r"/studies/([0-9.]+)")
HANG_STEP_S = 0.05
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class CountingProxy:
    """`retrieved[study]` counts WADO-RS requests; each waits `delay_s` before it is passed on.

    Requests of the methods in `hanging` are accepted and not answered until their method is taken out of it; a POST
    is answered with `refusal` where that is set. While the PACS is away, a connection ends without an answer.
    """

    def __init__(self, target: str) -> None:
        self.retrieved: Counter[str] = Counter()
        self.delay_s = 0.0
        self.hanging: frozenset[str] = frozenset()
        self.refusal: int | None = None
        self._lock = Lock()
        self._upstream = httpx.Client(base_url=target, timeout=60)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy.pass_on(self, b"")

            def do_POST(self) -> None:
                proxy.pass_on(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._upstream.close()

    def pass_on(self, call: BaseHTTPRequestHandler, body: bytes) -> None:
        while call.command in self.hanging:
            time.sleep(HANG_STEP_S)
        if call.command == "POST" and self.refusal is not None:
            answer(call, self.refusal, {}, b"")
            return
        if "multipart/related" in call.headers.get("Accept", "") and (study := STUDY.search(call.path)):
            with self._lock:
                self.retrieved[study[1]] += 1
            time.sleep(self.delay_s)
        headers = {k: v for k, v in call.headers.items() if k.lower() not in HOP_BY_HOP | {"host"}}
        try:
            response = self._upstream.request(call.command, call.path, content=body or None, headers=headers)
        except httpx.HTTPError:
            call.close_connection = True
            return
        answer(call, response.status_code, response.headers, response.content)


def answer(call: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], content: bytes) -> None:
    with suppress(ConnectionError):  # the caller may have given up
        call.send_response(status)
        for name, value in headers.items():
            if name.lower() not in HOP_BY_HOP | {"content-encoding"}:
                call.send_header(name, value)
        call.send_header("Content-Length", str(len(content)))
        call.end_headers()
        call.wfile.write(content)
