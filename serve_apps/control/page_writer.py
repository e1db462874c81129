"""Has MLflow's pages say how versions and models stand: the tags of a version, and our line of a description.

Level-triggered: what a page says is compared with what it is to say, also where somebody else wrote it, or an earlier
controller did. Nothing waits for it, and what MLflow did not take is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime
from typing import Final, Protocol

from core.clock import now
from core.errors import RegistryUnavailable, UnknownModel
from registry.client import ModelVersion, RegisteredModel
from serve_apps.control.pages import (
    NO_ROLE,
    REASON_TAG,
    STATE_TAG,
    Key,
    Pages,
    RolloutPage,
    VersionPage,
    line_in,
    with_line,
    with_rollouts,
)
from serve_apps.control.rollout_told import ROLLOUT_TAGS

logger = logging.getLogger("serinus.pages")
AGAIN_S: Final = 5.0  # after MLflow did not take something
LONGEST_DESCRIPTION: Final = 5000  # MLflow's own limit
NOTHING: Final = VersionPage("", "", "")


class PageStore(Protocol):
    """MLflow, as far as its pages are written; raises RegistryUnavailable or UnknownModel."""

    def version(self, name: str, version: str) -> ModelVersion: ...
    def model(self, name: str) -> RegisteredModel: ...
    def set_tag(self, name: str, version: str, key: str, value: str) -> None: ...
    def delete_tag(self, name: str, version: str, key: str) -> None: ...
    def describe_version(self, name: str, version: str, description: str) -> None: ...
    def describe_model(self, name: str, description: str) -> None: ...


class PageWriter:
    """Writes what differs, beside the control loop. A version that lost its role, and is kept no more, says so.

    Of the owner's description all but our line is left as it is: it is read again right before it is written.
    """

    def __init__(
        self,
        store: PageStore,
        executor: Executor | None = None,
        clock: Callable[[], datetime] = now,
        monotonic: Callable[[], float] = time.monotonic,
        rollouts: Callable[[], Mapping[Key, RolloutPage] | None] = dict,
    ) -> None:
        """`rollouts` is what declared rollouts add; nothing is written while that is not known (None)."""
        self._rollouts = rollouts
        self._store = store
        self._executor = executor or ThreadPoolExecutor(1, "pages")
        self._clock = clock
        self._monotonic = monotonic
        self._versions: dict[Key, VersionPage] = {}  # what the pages say, as far as is known
        self._models: dict[str, str] = {}
        self._taken: dict[str, object] = {}
        self._again_at = 0.0
        self._writing: asyncio.Task[None] | None = None

    def take_listing(self, listings: Mapping[str, Mapping[str, ModelVersion]]) -> None:
        """MLflow's newest word on the pages of models' versions; the same listing is taken once."""
        for model, listing in listings.items():
            if self._taken.get(model) is not listing:
                self._taken[model] = listing
                self._versions |= {(model, version): shown_on(one) for version, one in listing.items()}

    def write(self, pages: Pages, models: Mapping[str, RegisteredModel]) -> None:
        """Begin to write what differs, unless that is under way, or rollouts are not known yet.

        `models` are those that MLflow has.
        """
        rollouts = self._rollouts()
        if self.is_writing or rollouts is None:
            return
        pages = with_rollouts(pages, rollouts)
        self._models |= {name: line_in(model.description) for name, model in models.items()}
        versions = dict(self._due_versions(pages))
        lines = {name: text for name, text in pages.models.items() if self._models.get(name, text) != text}
        if (versions or lines) and self._monotonic() >= self._again_at:
            self._writing = asyncio.create_task(self._in_thread(versions, lines))

    @property
    def is_writing(self) -> bool:
        return self._writing is not None and not self._writing.done()

    def close(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _due_versions(self, pages: Pages) -> Iterator[tuple[Key, VersionPage]]:
        for key, page in pages.versions.items():
            if key not in pages.unsettled and not _stands(self._versions.get(key), page):
                yield key, page
        for key, shown in self._versions.items():
            if key not in pages.versions and shown not in (NOTHING, NO_ROLE):
                yield key, NO_ROLE

    async def _in_thread(self, versions: Mapping[Key, VersionPage], lines: Mapping[str, str]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._executor, self._write, versions, lines)

    def _write(self, versions: Mapping[Key, VersionPage], lines: Mapping[str, str]) -> None:
        try:
            for key, page in versions.items():
                self._versions[key] = self._of_version(key, page)
            for name, line in lines.items():
                self._models[name] = self._of_model(name, line)
        except RegistryUnavailable as error:
            self._again_at = self._monotonic() + AGAIN_S
            logger.info("pages.not_written", extra={"error": error.code})

    def _of_version(self, key: Key, page: VersionPage) -> VersionPage:
        """Write what differs on the page of one version; returns what is taken to stand there now."""
        try:
            found = self._store.version(*key)
            for tag, text in ((STATE_TAG, page.state), (REASON_TAG, page.reason)):
                if found.tags.get(tag) != text:
                    self._store.set_tag(*key, tag, text)
            self._tell_rollout(key, found.tags, page.rollout)
            described = self._described(found.description, page.line)
            if described is not None:
                self._store.describe_version(*key, described)
        except UnknownModel:  # the version was deleted: nobody looks at its page
            logger.info("pages.no_such_version", extra={"version": key[1]})
        return page

    def _tell_rollout(self, key: Key, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        """What is not known of a rollout stays; the tags of a version that has none, which were copied, go."""
        for tag, text in wanted.items():
            if found.get(tag) != text:
                self._store.set_tag(*key, tag, text)
        for tag in ROLLOUT_TAGS:
            if tag in found and not wanted:
                self._store.delete_tag(*key, tag)

    def _of_model(self, name: str, line: str) -> str:
        try:
            described = self._described(self._store.model(name).description, line)
            if described is not None:
                self._store.describe_model(name, described)
        except UnknownModel:
            logger.info("pages.no_such_model", extra={"model": name})
        return line

    def _described(self, description: str, line: str) -> str | None:
        """The description with our line, None where it says so already or has no room for it."""
        if line_in(description) == line:
            return None
        described = with_line(description, line, self._clock())
        has_room = (
            not len(description) <= LONGEST_DESCRIPTION < len(described)
        )  # SQLite takes a longer one, too
        return described if has_room else None


def shown_on(version: ModelVersion) -> VersionPage:
    """What the page of a version says of us; NOTHING where we never wrote."""
    tags = version.tags
    rollout = {tag: tags[tag] for tag in ROLLOUT_TAGS if tag in tags}
    return VersionPage(
        tags.get(STATE_TAG, ""), tags.get(REASON_TAG, ""), line_in(version.description), rollout
    )


def _stands(shown: VersionPage | None, page: VersionPage) -> bool:
    """Whether the page says what it is to say, and no more of a rollout where there is none."""
    if shown is None or (shown.state, shown.reason, shown.line) != (page.state, page.reason, page.line):
        return False
    if not page.rollout:
        return not shown.rollout
    return all(shown.rollout.get(tag) == text for tag, text in page.rollout.items())
