"""What to go by of an observation: the registry's word, or the last one where it is silent or routing is frozen."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from canary.observation import AppPhase, ModelObservation, VersionView, is_ours
from canary.routing_table import CHAMPION, Variant


@dataclass(frozen=True, slots=True)
class Known:
    """An observation with the aliases and versions to go by."""

    observation: ModelObservation
    aliases: dict[str, str]
    versions: dict[str, VersionView]
    missing_since: Mapping[str, float]

    @property
    def ready(self) -> frozenset[str]:
        return frozenset(v for v, phase in self.observation.apps.items() if phase is AppPhase.READY)

    def may_answer(self, version: str) -> bool:
        return version in self.versions and self.versions[version].gate.may_answer

    def can_begin(self, version: str) -> bool:
        """Whether the version may become the champion: ready at this moment."""
        return version in self.ready and self.may_answer(version)

    def can_answer(self, version: str) -> bool:
        """Whether an experiment may name the version: ready, or ready before and only its replica is replaced.

        Callers fall back to the champion meanwhile; a patient who moved away and back would be worse.
        """
        is_back_soon = (
            version in self.observation.state.ready_once
            and self.observation.apps.get(version) is AppPhase.UNWELL
        )
        return self.may_answer(version) and (version in self.ready or is_back_soon)

    def may_run(self, version: str) -> bool:
        return version in self.versions and bool(self.versions[version].gate.permissions)

    def only(self, chosen: Set[str]) -> dict[str, VersionView]:
        return {v: self.versions[v] for v in sorted(chosen) if v in self.versions}

    def variant(self, name: str, version: str) -> Variant:
        view = self.versions[version]
        return Variant(name, view.version, view.digest, view.app)


def known_of(observation: ModelObservation) -> Known:
    """Go by the registry, or by what was last known where it is silent or routing is frozen.

    A version's gate is always the newest that is known, frozen or not: a withdrawal takes effect.
    """
    state, last = observation.state, dict(observation.state.aliases)
    if observation.registry is None:
        return Known(observation, last, dict(state.versions), state.missing_since)
    versions = {**state.versions, **observation.registry.versions}
    missing_since = _missing_since(observation)
    if observation.site.frozen and last:
        return Known(observation, last, versions, missing_since)
    aliases = {alias: v for alias, v in observation.registry.aliases.items() if v in versions}
    if CHAMPION not in aliases and CHAMPION in last:
        aliases[CHAMPION] = last[CHAMPION]
    missing_at_most = observation.now_s - observation.keep.alias_grace_s
    for alias, since in missing_since.items():
        if since > missing_at_most:
            aliases[alias] = last[alias]
    return Known(observation, aliases, versions, missing_since)


def _missing_since(observation: ModelObservation) -> dict[str, float]:
    """The aliases that gave a role until now and that the registry has no more, since when."""
    state, named = observation.state, observation.registry.aliases if observation.registry else {}
    gone = (alias for alias in sorted(state.aliases) if is_ours(alias) and alias not in named)
    return {alias: state.missing_since.get(alias, observation.now_s) for alias in gone}
