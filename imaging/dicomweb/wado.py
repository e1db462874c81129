"""One GET of a multipart body, read straight into memory of our choosing.

The standard library's client can fill a given buffer (`readinto`); httpx hands out chunks that must be copied,
which for a series costs as much again as its transfer. Everything but this one request goes through httpx.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

from imaging.dicomweb.multipart import Body, MultipartSplitter

_CONNECT_S: Final = 5.0
_READ_S: Final = 30.0
_HEADER_READ: Final = 2048  # a part's delimiter and header, with little of its body behind
_BODY_READ: Final = 2**20


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A base URL taken apart, and the headers that every request to it carries."""

    secure: bool
    host: str
    port: int | None
    path: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, base_url: str, headers: Mapping[str, str]) -> Endpoint:
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("a DICOMweb source needs an http or https address")
        return cls(url.scheme == "https", url.hostname, url.port, url.path.rstrip("/"), headers)


@contextmanager
def get(endpoint: Endpoint, path: str, accept: str) -> Iterator[HTTPResponse]:
    """The answer to a GET on a connection of its own. Raises OSError and HTTPException."""
    kind = HTTPSConnection if endpoint.secure else HTTPConnection
    connection = kind(endpoint.host, endpoint.port, timeout=_CONNECT_S)
    try:
        connection.connect()
        connection.sock.settimeout(_READ_S)
        connection.request("GET", endpoint.path + path, headers={**endpoint.headers, "Accept": accept})
        yield connection.getresponse()
    finally:
        connection.close()


def read_parts(
    response: HTTPResponse, splitter: MultipartSplitter, account: Callable[[int, int], None]
) -> Iterator[Body]:
    """The bodies as they complete; `account` hears of every (bytes, bodies) and may raise to stop.

    Raises MultipartError when the answer is cut or malformed.
    """
    while True:
        size, bodies = _read_some(response, splitter)
        if not size:
            break
        account(size, len(bodies))
        yield from bodies
    splitter.close()


def _read_some(response: HTTPResponse, splitter: MultipartSplitter) -> tuple[int, list[Body]]:
    """How many bytes came (0 at the end of the answer), and which bodies they completed."""
    room = splitter.room()
    if room:
        size = response.readinto(room[:_BODY_READ])
        return size, splitter.advance(size)
    chunk = response.read1(_HEADER_READ)
    return len(chunk), splitter.feed(chunk)
