"""A PACS that speaks DICOMweb (PS3.18): QIDO-RS to look, WADO-RS to fetch, STOW-RS to give back.

One multipart GET per series, split and parsed while it arrives; each series on a thread of its own. How
much that gains is measured in benchmarks/fetch_to_volume.md.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException, HTTPResponse
from threading import Event
from typing import Any, Final, TypeVar

import httpx
from blake3 import blake3
from pydicom.dataset import Dataset

from core.errors import SourceError, SourceTimeout, SourceUnavailable, StudyNotFound
from core.uid import is_uid
from imaging.archive import (
    Budget,
    FetchLimits,
    SeriesEntry,
    StudyInstances,
    check_uid,
    wanted_series,
)
from imaging.decode import is_view
from imaging.dicomweb.multipart import Body, MultipartError, MultipartSplitter, boundary_of
from imaging.dicomweb.receive_buffers import BlockPool, ReceiveBuffers
from imaging.dicomweb.stow import Receipt, encode_multipart, read_receipt, rejected
from imaging.dicomweb.wado import Endpoint, get, read_parts
from imaging.elements import text
from imaging.encoded import EncodedInstance
from imaging.enhanced import is_multi_frame
from imaging.intake import read_object, to_study
from imaging.pydicom_config import configure_pydicom
from imaging.retry import Deadline, Transient, retry_after_s, retrying

T = TypeVar("T")

# without transfer-syntax=* Orthanc transcodes a compressed series, 25 times slower
_ACCEPT_INSTANCES: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_ACCEPT_JSON: Final = "application/dicom+json"
_SERIES_UID, _MODALITY, _INSTANCE_COUNT, _INSTANCE_UID = "0020000E", "00080060", "00201209", "00080018"
_THREADS: Final = 8
_HASHING_THREADS: Final = 2
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
_STEP_S, _CONNECT_S = 30.0, 5.0
_IDLE_S: Final = 0.5  # below the 1 s after which Orthanc closes an idle connection


@dataclass(frozen=True, slots=True)
class DicomwebSource:
    """`base_url` is the DICOMweb root (`http://pacs:8042/dicom-web`). A token is sent as a bearer token."""

    id: str
    base_url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


class DicomwebArchive:
    """Fetches studies from, and stores reports in, one PACS. Safe to use in parallel."""

    def __init__(self, source: DicomwebSource, limits: FetchLimits | None = None) -> None:
        configure_pydicom()
        self._limits = limits or FetchLimits()
        self._endpoint = Endpoint.of(source.base_url, _authorization(source))
        self._client = _client(source)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="dicomweb")
        self._memory = BlockPool()
        self._hashing = ThreadPoolExecutor(_HASHING_THREADS, thread_name_prefix="dicomweb-digest")

    async def fetch_study(
        self,
        study_uid: str,
        *,
        series_uids: Sequence[str] | None = None,
        modalities: Sequence[str] | None = None,
    ) -> StudyInstances:
        for uid in (study_uid, *(series_uids or ())):
            check_uid(uid)
        fetch = self._begin(study_uid)
        try:
            entries = wanted_series(await self._run(fetch.list_series), series_uids, modalities)
            _check_count(entries, self._limits)
            received = await asyncio.gather(*(self._run(partial(fetch.series, entry)) for entry in entries))
        finally:
            fetch.stop.set()  # after an error or a cancellation the other threads end with their next chunk
        return await self._run(partial(fetch.study_of, received))

    async def store(self, instances: Sequence[EncodedInstance], deadline_s: float | None = None) -> int:
        """Send Part 10 files by STOW-RS as they are; the number that the PACS holds now is all, or it raises.

        An instance that the PACS had already counts as stored, because our UIDs follow from the content. Ends
        after `deadline_s`, by default the source's time limit. Raises ReportRejected (answered, but not
        stored), SourceUnavailable, SourceTimeout.
        """
        deadline = Deadline.after(self._limits.timeout_s if deadline_s is None else deadline_s)
        return await self._run(lambda: self._store(instances, deadline))

    async def find_reports(self, study_uid: str) -> tuple[str, ...]:
        """The SOP Instance UIDs of the structured reports in a study, sorted."""
        path = f"/studies/{check_uid(study_uid)}/instances"
        reports = await self._run(lambda: self._query(path, {"Modality": "SR"}))
        return tuple(sorted(_value(item, _INSTANCE_UID) for item in reports))

    async def aclose(self) -> None:
        for pool in (self._pool, self._hashing):
            pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _begin(self, study_uid: str) -> _Fetch:
        budget = Budget(self._limits)
        return _Fetch(
            self._client, self._endpoint, study_uid, budget, self._deadline(), self._hashing, self._memory
        )

    def _deadline(self) -> Deadline:
        return Deadline.after(self._limits.timeout_s)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _query(self, path: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        return _query(self._client, path, parameters, self._deadline())

    def _store(self, instances: Sequence[EncodedInstance], deadline: Deadline) -> int:
        if not instances:
            return 0
        content_type, body = encode_multipart([instance.content for instance in instances])
        headers = {"Content-Type": content_type, "Accept": _ACCEPT_JSON}
        response = retrying(lambda: self._post(body, headers, deadline), deadline, attempts=1)
        sent = {instance.instance_uid: instance.study_uid for instance in instances}
        receipt = read_receipt(response.status_code, response.content, sent)
        lacking = [uid for uid in receipt.missing if not self._holds(receipt, uid, deadline)]
        if lacking:
            raise rejected(receipt, lacking)
        return len(receipt.sent)

    def _post(self, body: bytes, headers: Mapping[str, str], deadline: Deadline) -> httpx.Response:
        with _line_errors():
            return self._client.post("/studies", content=body, headers=headers, timeout=_timeout(deadline))

    def _holds(self, receipt: Receipt, instance_uid: str, deadline: Deadline) -> bool:
        path = f"/studies/{receipt.sent[instance_uid]}/instances"
        try:
            matches = _query(self._client, path, {"SOPInstanceUID": instance_uid}, deadline)
        except SourceError:
            return False
        return any(_value(item, _INSTANCE_UID) == instance_uid for item in matches)


@dataclass(frozen=True, slots=True)
class _Fetch:
    """One study on its way: shared by the threads that fetch its series."""

    client: httpx.Client
    endpoint: Endpoint
    study_uid: str
    budget: Budget
    deadline: Deadline
    hashing: Executor
    memory: BlockPool
    digests: dict[str, Future[bytes]] = field(default_factory=dict)
    stop: Event = field(default_factory=Event)

    def list_series(self) -> tuple[SeriesEntry, ...]:
        path = f"/studies/{self.study_uid}/series"
        items = _query(self.client, path, {"includefield": _INSTANCE_COUNT}, self.deadline)
        entries = [entry for entry in map(_series_entry, items) if entry is not None]
        if not entries:
            raise StudyNotFound("the archive knows no such study")
        return tuple(sorted(entries, key=lambda entry: entry.series_uid))

    def series(self, entry: SeriesEntry) -> list[Dataset | None]:
        received = retrying(lambda: self._series_once(entry), self.deadline)
        if len(received) < (entry.instances or 0):
            raise SourceUnavailable(f"the archive sent {len(received)} of {entry.instances} instances")
        return received

    def _series_once(self, entry: SeriesEntry) -> list[Dataset | None]:
        attempt = _Attempt(self)
        path = f"/studies/{self.study_uid}/series/{entry.series_uid}"
        try:
            with _line_errors(), get(self.endpoint, path, _ACCEPT_INSTANCES) as response:
                _raise_for_status(response.status, response.getheader("retry-after"))
                return [self._own(read_object(part, attempt.inflate)) for part in attempt.parts(response)]
        except Transient:
            attempt.refund()
            raise

    def study_of(self, received: Sequence[list[Dataset | None]]) -> StudyInstances:
        """All that came, once its pixels are digested; frames are unfolded here, not in the caller's event loop."""
        objects = [dataset for series in received for dataset in series]
        digests = {uid: digest.result() for uid, digest in self.digests.items()}
        return to_study(objects, self.budget.spent_bytes, pixel_digests=digests)

    def _own(self, dataset: Dataset | None) -> Dataset | None:
        """The dataset if it is of this study; begin to digest its native pixels beside the transfer, which leaves a
        core idle."""
        if dataset is None or text(dataset, "StudyInstanceUID") != self.study_uid:
            return None
        element = dataset.get_item("PixelData")
        if element is not None and is_view(element.value) and not is_multi_frame(dataset):
            self.digests[text(dataset, "SOPInstanceUID")] = self.hashing.submit(_digest, element.value)
        return dataset


@dataclass(slots=True)
class _Attempt:
    """One GET of a series: what it took from the budget, to be given back if it must be made again."""

    fetch: _Fetch
    size: int = 0
    instances: int = 0
    inflated: int = 0

    def inflate(self, deflated: memoryview) -> bytes:
        content = self.fetch.budget.inflate(deflated)
        self.inflated += len(content)
        return content

    def refund(self) -> None:
        self.fetch.budget.refund(size=self.size, instances=self.instances, inflated=self.inflated)

    def parts(self, response: HTTPResponse) -> Iterator[Body]:
        buffers = ReceiveBuffers(self.fetch.budget.limits.max_bytes, self.fetch.memory)
        splitter = MultipartSplitter(boundary_of(response.getheader("content-type", "")), buffers.take)
        return read_parts(response, splitter, self._account)

    def _account(self, size: int, instances: int) -> None:
        self.size += size
        self.instances += instances
        self.fetch.budget.spend(size=size, instances=instances)
        self.fetch.deadline.check()
        if self.fetch.stop.is_set():
            raise SourceUnavailable("the fetch was given up")


def _digest(value: memoryview) -> bytes:
    return blake3(value).digest()


def _authorization(source: DicomwebSource) -> dict[str, str]:
    if source.token:
        return {"Authorization": f"Bearer {source.token}"}
    if source.username:
        pair = f"{source.username}:{source.password or ''}".encode()
        return {"Authorization": "Basic " + b64encode(pair).decode()}
    return {}


def _client(source: DicomwebSource) -> httpx.Client:
    return httpx.Client(
        base_url=source.base_url,
        headers=_authorization(source),
        timeout=httpx.Timeout(_STEP_S, connect=_CONNECT_S),
        limits=httpx.Limits(keepalive_expiry=_IDLE_S),
        trust_env=False,  # neither a proxy variable nor ~/.netrc may change where studies go
    )


def _timeout(deadline: Deadline) -> httpx.Timeout:
    """Each step of a request ends with the deadline, if not before."""
    left_s = max(deadline.left_s, 0.001)
    return httpx.Timeout(min(_STEP_S, left_s), connect=min(_CONNECT_S, left_s))


def _query(
    client: httpx.Client, path: str, parameters: Mapping[str, str], deadline: Deadline
) -> list[dict[str, Any]]:
    """A QIDO-RS search; no match is an empty list. Raises StudyNotFound on 404."""

    def once() -> list[dict[str, Any]]:
        with _line_errors():
            headers = {"Accept": _ACCEPT_JSON}
            response = client.get(path, params=parameters, headers=headers, timeout=_timeout(deadline))
            _raise_for_status(response.status_code, response.headers.get("retry-after"))
            return list(response.json()) if response.content else []

    return retrying(once, deadline)


@contextmanager
def _line_errors() -> Iterator[None]:
    """Say what went wrong on the line in our own words: the clients' texts hold the URL, and that the UID."""
    try:
        yield
    except (httpx.TimeoutException, TimeoutError):
        raise Transient(SourceTimeout("the archive did not answer in time")) from None
    except (httpx.HTTPError, HTTPException, OSError):
        raise Transient(SourceUnavailable("the archive cannot be reached, or broke off")) from None
    except MultipartError as error:
        raise Transient(SourceUnavailable(f"the archive's answer is damaged: {error}")) from None
    except ValueError:
        raise SourceUnavailable("the archive's answer is not DICOM JSON") from None


def _raise_for_status(status: int, retry_after: str | None) -> None:
    if status < 300:
        return
    if status in (404, 410):
        raise StudyNotFound("the archive knows no such study or series")
    if status in (401, 403):
        raise SourceUnavailable("the archive refuses our credentials")
    failure: SourceError = SourceUnavailable(f"the archive answered {status}")
    if status in (408, 504):
        failure = SourceTimeout(f"the archive answered {status}")
    if status in _PASSING:
        raise Transient(failure, retry_after_s(retry_after))
    raise failure


def _check_count(entries: Sequence[SeriesEntry], limits: FetchLimits) -> None:
    """Refuse a study that says it is too large before its pixels move. Raises StudyTooLarge."""
    Budget(limits).spend(instances=sum(entry.instances or 0 for entry in entries))


def _series_entry(item: Mapping[str, Any]) -> SeriesEntry | None:
    """None for a series whose UID is none: nothing of it could be asked for."""
    uid = _value(item, _SERIES_UID)
    count = _value(item, _INSTANCE_COUNT)
    instances = int(count) if count.isdigit() else None
    return SeriesEntry(uid, _value(item, _MODALITY), instances) if is_uid(uid) else None


def _value(item: Mapping[str, Any], tag: str) -> str:
    values = item.get(tag, {}).get("Value") or [""]
    return str(values[0] or "")
