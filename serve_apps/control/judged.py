"""What follows from an admitted version's tags under the site's rules, worked out once for each version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from canary.observation import VersionView
from serve_apps.application.messages import ServedVersion
from serve_apps.control.admission import Admitted, Key, gate_of, resources_of, served_of, view_of
from serve_apps.settings import Settings


@dataclass(frozen=True, slots=True)
class Judged:
    """An admitted version as routers and as the target see it. With a `fault` of its tags it is not started."""

    served: ServedVersion
    view: VersionView
    fault: str | None


def judged_of(admitted: Admitted, settings: Settings) -> Judged:
    gate = gate_of(admitted, settings.site_policy)
    sizing = resources_of(admitted.version.tags, settings.resources_of(admitted.version.name))
    served = served_of(admitted, gate, sizing.resources)
    return Judged(served, view_of(admitted, gate), sizing.fault)


class JudgedVersions:
    """Judges a version again when it is another than at the last look: its tags changed, or its artifact."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._last: dict[Key, tuple[Admitted, Judged]] = {}

    def of(self, admitted: Mapping[Key, Admitted]) -> Mapping[Key, Judged]:
        self._last = {key: self._again(key, one) for key, one in admitted.items()}
        return {key: judged for key, (_, judged) in self._last.items()}

    def _again(self, key: Key, admitted: Admitted) -> tuple[Admitted, Judged]:
        former = self._last.get(key)
        if former is not None and (former[0] is admitted or former[0] == admitted):
            return former
        return admitted, judged_of(admitted, self._settings)
