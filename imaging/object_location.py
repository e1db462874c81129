"""Where an object lies in a bucket, and what a source may read and write there. No client of a store is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import RequestError


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket with a key, or with a prefix of keys that ends in `/` (or is empty: the whole bucket)."""

    bucket: str
    key: str

    @property
    def is_prefix(self) -> bool:
        return not self.key or self.key.endswith("/")

    def contains(self, other: Location) -> bool:
        return self.bucket == other.bucket and other.key.startswith(self.key)

    def overlaps(self, other: Location) -> bool:
        """Whether a prefix holds what lies below another one."""
        return self.contains(other) or other.contains(self)


def parse_uri(uri: str) -> Location:
    """Split `s3://bucket/key`. Raises RequestError, which does not repeat the URI."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket or any(part in (".", "..") for part in key.split("/")):
        raise RequestError("an object's address must look like s3://bucket/key")
    return Location(bucket, key)


def parse_prefix(uri: str) -> Location:
    """As `parse_uri`, of a prefix: its last `/` may be left out."""
    location = parse_uri(uri)
    return location if location.is_prefix else Location(location.bucket, location.key + "/")


def permitted(uri: str, allowed_prefixes: Sequence[str]) -> Location:
    """Where a URI points. Raises RequestError when that is outside the prefixes a source may read."""
    return require_inside(parse_uri(uri), [parse_prefix(prefix) for prefix in allowed_prefixes])


def require_inside(location: Location, allowed: Sequence[Location]) -> Location:
    if not any(root.contains(location) for root in allowed):
        raise RequestError("the object lies outside the prefixes this source may read")
    return location
