"""Whether a text is the address of a web server, and of nothing in it that a log must not hold. Pure.

Whether a site lets anybody be called there is the site's to say, not the plan's.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

LONGEST_ADDRESS: Final = 500


def require_address(url: str) -> str:
    """The same text. Raises ValueError unless it is an http or https address with a host and no user name."""
    if not 0 < len(url) <= LONGEST_ADDRESS or not url.isprintable() or " " in url:
        raise ValueError(f"an address has 1 to {LONGEST_ADDRESS} visible characters")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # as `https://[`, or a port above 65535
        raise ValueError("it is no address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address begins with https:// (or http:// on loopback) and a host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("an address holds no user name, no password and no fragment")
    return url
