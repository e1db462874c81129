"""Which addresses the site lets be called, whoever named them: a caller, or the plan of a rollout (SSRF)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

LOOPBACK: Final = ("127.0.0.1", "localhost")


def is_allowed(url: str, hosts: Collection[str]) -> bool:
    """Whether it is on one of the hosts, over https, or over http on loopback, and without a user name.

    Raises ValueError for a text that is no address.
    """
    parts = urlsplit(url)
    _ = parts.port  # as `https://[`, or a port above 65535
    is_secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    return is_secure and parts.hostname in hosts and not parts.username
