"""Studies in S3-compatible object stores: single objects by URI, or all objects below a study's prefix.

A study lies at `<allowed prefix>/<StudyInstanceUID>/…`. Only URIs below the allowed prefixes are read, and only below
`reports` is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final
from urllib.parse import unquote_plus

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError
from pydicom.dataset import Dataset

from core.errors import ReportRefused, SourceTimeout, SourceUnavailable, StudyNotFound
from imaging.archive import (
    Budget,
    FetchLimits,
    SeriesEntry,
    StudyInstances,
    check_uid,
    wanted_series,
)
from imaging.elements import text
from imaging.encoded import EncodedInstance
from imaging.intake import read_object, to_study
from imaging.object_location import Location, parse_prefix, parse_uri, require_inside
from imaging.object_reports import BucketReports
from imaging.pydicom_config import configure_pydicom
from imaging.retry import Deadline

_THREADS: Final = 8
_WRITING_THREADS: Final = 2
_MISSING: Final = frozenset({"NoSuchKey", "404", "NotFound"})


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """`allowed_prefixes` and `reports` are URIs (`s3://bucket/prefix/`); without `reports` nothing is written.

    Credentials come from where boto3 finds them.
    """

    id: str
    allowed_prefixes: tuple[str, ...]
    endpoint_url: str | None = None
    region: str | None = None
    reports: str | None = None


class ObjectArchive:
    """Reads studies from the buckets of one source. Objects are fetched in parallel."""

    def __init__(self, source: ObjectSource, limits: FetchLimits | None = None) -> None:
        configure_pydicom()
        self._allowed = tuple(parse_prefix(uri) for uri in source.allowed_prefixes)
        self._limits = limits or FetchLimits()
        self._client = _client(source, attempts=3)
        self.reports = _reports(source)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="object-store")
        self._writing = ThreadPoolExecutor(_WRITING_THREADS, thread_name_prefix="object-reports")

    async def fetch_study(
        self,
        study_uid: str,
        *,
        series_uids: Sequence[str] | None = None,
        modalities: Sequence[str] | None = None,
    ) -> StudyInstances:
        check_uid(study_uid)
        roots = [Location(root.bucket, f"{root.key}{study_uid}/") for root in self._allowed]
        return await self._fetch(roots, study_uid, series_uids, modalities)

    async def fetch_objects(
        self,
        uris: Sequence[str],
        study_uid: str,
        *,
        series_uids: Sequence[str] | None = None,
        modalities: Sequence[str] | None = None,
    ) -> StudyInstances:
        """The instances of a study among the named objects and prefixes; those of other studies are dropped.

        Raises RequestError for a URI outside the allowed prefixes, and as `fetch_study` does.
        """
        check_uid(study_uid)
        places = [self._permitted(parse_uri(uri)) for uri in uris]
        return await self._fetch(places, study_uid, series_uids, modalities)

    async def store(self, report: EncodedInstance) -> None:
        """Write a report below the prefix for reports; ends after about half a minute.

        Raises as `BucketReports.put`, and ReportRefused where the source has no such prefix.
        """
        if self.reports is None:
            raise ReportRefused("the source has no place for reports")
        await asyncio.get_running_loop().run_in_executor(self._writing, self.reports.put, report)

    async def aclose(self) -> None:
        for pool in (self._pool, self._writing):
            pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()
        if self.reports is not None:
            self.reports.client.close()

    def _permitted(self, location: Location) -> Location:
        return require_inside(location, self._allowed)

    async def _fetch(
        self,
        places: Sequence[Location],
        study_uid: str,
        series_uids: Sequence[str] | None,
        modalities: Sequence[str] | None,
    ) -> StudyInstances:
        job = _ObjectFetch(self._client, Budget(self._limits), Deadline.after(self._limits.timeout_s))
        loop = asyncio.get_running_loop()
        listed = await asyncio.gather(
            *(loop.run_in_executor(self._pool, job.keys_at, place) for place in places)
        )
        keys = dict.fromkeys(location for locations in listed for location in locations)
        tasks = [loop.run_in_executor(self._pool, partial(self._read, job), key) for key in keys]
        try:
            objects = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        select = partial(_select, objects, job.budget.spent_bytes, study_uid, series_uids, modalities)
        return await loop.run_in_executor(self._pool, select)

    def _read(self, job: _ObjectFetch, location: Location) -> Dataset | None:
        """Get and parse one object. S3 events name keys URL-encoded, and callers pass that on: try both."""
        try:
            return read_object(job.get(location), job.budget.inflate)
        except StudyNotFound:
            decoded = Location(location.bucket, unquote_plus(location.key))
            if decoded == location:
                raise
            place = self._permitted(parse_uri(f"s3://{decoded.bucket}/{decoded.key}"))
            return read_object(job.get(place), job.budget.inflate)


@dataclass(frozen=True, slots=True)
class _ObjectFetch:
    client: Any
    budget: Budget
    deadline: Deadline

    def keys_at(self, place: Location) -> list[Location]:
        """The object itself, or those below a prefix, sorted, and counted before they move."""
        if not place.is_prefix:
            return [place]
        keys: list[Location] = []
        with _store_errors():
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=place.bucket, Prefix=place.key
            )
            for page in pages:
                self.deadline.check()
                keys += [
                    Location(place.bucket, item["Key"]) for item in page.get("Contents", ()) if item["Size"]
                ]
                Budget(self.budget.limits).spend(instances=len(keys))
        return keys

    def get(self, location: Location) -> bytes:
        self.deadline.check()
        with _store_errors():
            answer = self.client.get_object(Bucket=location.bucket, Key=location.key)
            self.budget.spend(size=int(answer["ContentLength"]), instances=1)
            return bytes(answer["Body"].read())


def _select(
    objects: Sequence[Dataset | None],
    spent_bytes: int,
    study_uid: str,
    series_uids: Sequence[str] | None,
    modalities: Sequence[str] | None,
) -> StudyInstances:
    own = [item for item in objects if item is None or text(item, "StudyInstanceUID") == study_uid]
    if not own:
        raise StudyNotFound("the object store holds nothing of this study there")
    study = to_study(own, spent_bytes)
    entries = [SeriesEntry(uid, text(parts[0], "Modality")) for uid, parts in sorted(study.series.items())]
    chosen = wanted_series(entries, series_uids, modalities)
    return replace(study, series={entry.series_uid: study.series[entry.series_uid] for entry in chosen})


def _reports(source: ObjectSource) -> BucketReports | None:
    """With a client that asks once: the outbox asks again, and meanwhile another report may go elsewhere."""
    if source.reports is None:
        return None
    return BucketReports(_client(source, attempts=1), parse_prefix(source.reports))


def _client(source: ObjectSource, attempts: int) -> Any:
    return boto3.session.Session().client(  # type: ignore[no-untyped-call]
        "s3",
        endpoint_url=source.endpoint_url,
        region_name=source.region,
        config=Config(  # type: ignore[no-untyped-call]
            connect_timeout=5,
            read_timeout=30,
            max_pool_connections=_THREADS,
            retries={"mode": "standard", "max_attempts": attempts},
        ),
    )


@contextmanager
def _store_errors() -> Iterator[None]:
    """Say what went wrong in our own words: botocore's texts hold keys, and those UIDs."""
    try:
        yield
    except ClientError as error:
        raise _answered(error.response) from None
    except (ConnectTimeoutError, ReadTimeoutError):
        raise SourceTimeout("the object store did not answer in time") from None
    except BotoCoreError:
        raise SourceUnavailable("the object store cannot be reached, or broke off") from None


def _answered(response: Mapping[str, Any]) -> Exception:
    code = str(response.get("Error", {}).get("Code", ""))
    if code in _MISSING:
        return StudyNotFound("the object store has no such object")
    return SourceUnavailable(f"the object store answered {code if code.isalnum() else 'an error'}")
