"""What should be running, and who should read what: a function of the present, computed anew at each observation.

Two observations at the same present give the same target: a lost tick, a restart or two controllers do no harm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from canary.conditions import Condition, conditions_of, is_granted, is_in_advance, is_spent
from canary.known import Known, known_of
from canary.observation import (
    CHALLENGER,
    SHADOW_PREFIX,
    AppPhase,
    ModelObservation,
    ReconcilerState,
    Retired,
    VersionView,
    is_ours,
)
from canary.routing_table import (
    BASIS_POINTS,
    CANARY,
    CHAMPION,
    ABTest,
    Arm,
    Canary,
    RoutingTable,
    Shadow,
    are_exclusive,
)


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """How a version stands, in a sentence, for `serinus status` and its tag in MLflow."""

    version: str
    role: str
    reason: str


@dataclass(frozen=True, slots=True)
class KeptWarm:
    """A version that has lost its role and keeps its application until `until_s`, as after a promotion."""

    version: str
    until_s: float
    was_champion: bool


@dataclass(frozen=True, slots=True)
class ModelTarget:
    """What one model needs. `table` is None when nobody may answer. `state` goes into the next observation.

    `may_sleep` are versions that only read in silence: nobody waits for them to wake up. `conditions` tell what
    people asked for that is not so. `spent_weight` is the version whose weight has ended and is to be taken away.
    Order of acting: start `run`, push `table`, and only then delete `delete`, none of which the table names.
    """

    model: str
    run: tuple[VersionView, ...]
    delete: tuple[str, ...]
    table: RoutingTable | None
    state: ReconcilerState
    version_statuses: tuple[VersionStatus, ...]
    may_sleep: frozenset[str] = frozenset()
    conditions: tuple[Condition, ...] = ()
    spent_weight: str | None = None
    kept_warm: tuple[KeptWarm, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """All models together."""

    models: tuple[ModelTarget, ...]

    @property
    def tables(self) -> dict[str, RoutingTable]:
        return {m.model: m.table for m in self.models if m.table is not None}


def target(observations: Iterable[ModelObservation]) -> Target:
    """The target of all models, in the order of their names."""
    return Target(
        tuple(
            target_of(observation)
            for observation in sorted(observations, key=lambda observation: observation.model)
        )
    )


def target_of(observation: ModelObservation) -> ModelTarget:
    """The target of one model.

    The alias `champion` is a desire: the version that answered until now goes on until the desired one may
    answer and is ready. A champion alias that is missing, like a registry that is, changes nothing. Any other
    alias that stays missing for the grace time ends its version's role, and its application after a while.
    """
    known = known_of(observation)
    champion = _champion(known)
    with_role = _with_role(known, champion)
    retired = _retired(observation, with_role)
    kept_warm = _kept_warm(known, retired)
    run = _running(known, with_role, kept_warm)
    ready_once = (observation.state.ready_once | known.ready) & run
    table, table_epoch = _numbered(observation, _table(known, champion, ready_once))
    state = ReconcilerState(
        aliases=known.aliases,
        versions=known.only(run | set(known.aliases.values())),
        champion=champion,
        with_role=with_role,
        ready_once=ready_once,
        retired=tuple(r for r in retired if r.version in run or r.version in observation.apps),
        generation=table.generation if table else observation.state.generation,
        table=table,
        table_epoch=table_epoch,
        granted_salt=_granted_salt(known),
        spent_salt=_spent_salt(observation, champion),
        missing_since={a: since for a, since in known.missing_since.items() if a in known.aliases},
    )
    return ModelTarget(
        model=observation.model,
        run=tuple(known.only(run).values()),
        delete=tuple(sorted(set(observation.apps) - run)),
        table=table,
        state=state,
        version_statuses=_version_statuses(known, champion, table),
        may_sleep=(with_role & ready_once) - _awake(known, champion),
        conditions=conditions_of(observation, known.aliases, champion, table),
        spent_weight=_spent_weight(known, champion),
        kept_warm=kept_warm,
    )


def _champion(known: Known) -> str | None:
    """The version that answers: the desired one once it may and can, until then the one that did.

    If neither may answer any more, the last champion that is still warm does; else nobody.
    """
    state, desired = known.observation.state, known.aliases.get(CHAMPION)
    last = state.champion if state.champion and known.may_answer(state.champion) else None
    if desired is not None and known.can_begin(desired) and not (known.observation.site.frozen and last):
        return desired
    if last is not None or (desired is not None and known.may_answer(desired)):
        return last  # None while the very first is still loading
    former = sorted((r for r in state.retired if r.was_champion), key=lambda r: -r.at_s)
    return next((r.version for r in former if known.can_begin(r.version)), None)


def _with_role(known: Known, champion: str | None) -> frozenset[str]:
    """The versions with a role: those of our aliases that may do anything, and the one that answers."""
    named = {v for alias, v in known.aliases.items() if is_ours(alias) and known.may_run(v)}
    return frozenset(named | ({champion} if champion else set()))


def _awake(known: Known, champion: str | None) -> frozenset[str | None]:
    """The versions that answer, or are to: they need a replica before their first study comes."""
    observation = known.observation
    arms = observation.ab_test.weights_bp if observation.ab_test else ()
    named = {known.aliases.get(alias) for alias in (CHAMPION, *arms)}
    return frozenset(named | {champion, observation.rollout.version if observation.rollout else None})


def may_be_asked_to_answer(alias: str) -> bool:
    """Whether the alias asks for its version to answer callers; a shadow's never does."""
    return is_ours(alias) and not alias.startswith(SHADOW_PREFIX)


def _retired(observation: ModelObservation, with_role: frozenset[str]) -> tuple[Retired, ...]:
    """The versions without a role, since when: those that just lost theirs, and applications nobody knows."""
    since = {r.version: r for r in observation.state.retired}
    for version in (observation.state.with_role | set(observation.apps)) - set(since):
        since[version] = Retired(version, observation.now_s, version == observation.state.champion)
    return tuple(since[v] for v in sorted(since) if v not in with_role)


def _running(known: Known, with_role: frozenset[str], kept_warm: tuple[KeptWarm, ...]) -> frozenset[str]:
    """All that should run: what has a role, and what is kept warm. A freeze stops nothing."""
    warm = {one.version for one in kept_warm}
    return (
        with_role
        | warm
        | (frozenset(known.observation.apps) if known.observation.site.frozen else frozenset())
    )


def _kept_warm(known: Known, retired: tuple[Retired, ...]) -> tuple[KeptWarm, ...]:
    """The versions without a role whose time has not come.

    The previous champion is started again if it died; whatever else is kept warm is only not deleted.
    """
    observation = known.observation
    previous = max((r for r in retired if r.was_champion), key=lambda r: r.at_s, default=None)
    kept = (
        KeptWarm(r.version, r.at_s + _kept_s(known, r, is_previous=r is previous), r.was_champion)
        for r in retired
        if r.version in observation.apps or (r is previous and r.version in known.versions)
    )
    return tuple(one for one in kept if observation.now_s < one.until_s)


def _kept_s(known: Known, retired: Retired, *, is_previous: bool) -> float:
    keep = known.observation.keep
    if known.observation.apps.get(retired.version) is AppPhase.FAILED or not known.may_run(retired.version):
        return keep.drain_s
    return keep.rollback_window_s if is_previous else keep.scale_down_delay_s


def _table(known: Known, champion: str | None, ready_once: frozenset[str]) -> RoutingTable | None:
    if champion is None:
        return None
    site = known.observation.site
    canary = _canary(known, champion)
    table = RoutingTable(
        generation=0,
        model=known.observation.model,
        champion=known.variant(CHAMPION, champion),
        key=site.key,
        canary=canary,
        ab_test=_ab_test(known, canary),
        safety_net_bp=site.safety_net_bp,
        frozen=site.frozen,
    )
    return replace(
        table,
        shadows=_shadows(known, table, ready_once),
        rules=tuple(rule for rule in site.rules if rule.variant in table.answering),
    )


def _canary(known: Known, champion: str) -> Canary | None:
    """The challenger with the weight that its rollout grants; none unless it may answer and is ready."""
    rollout = known.observation.rollout
    if rollout is None or not is_granted(known.observation, known.aliases) or rollout.version == champion:
        return None
    if is_spent(known.observation, champion):
        return None
    test = known.observation.ab_test
    if rollout.weight_bp == 0 and test is not None and not are_exclusive(rollout.slot, test.slot):
        return None  # it would shut the test out
    if not known.can_answer(rollout.version):
        return None
    return Canary(known.variant(CANARY, rollout.version), rollout.weight_bp, rollout.salt, rollout.slot)


def _granted_salt(known: Known) -> str:
    rollout = known.observation.rollout
    return rollout.salt if rollout is not None and is_granted(known.observation, known.aliases) else ""


def _spent_salt(observation: ModelObservation, champion: str | None) -> str:
    return observation.rollout.salt if observation.rollout and is_spent(observation, champion) else ""


def _spent_weight(known: Known, champion: str | None) -> str | None:
    """A weight ends when its version is promoted, when it is the challenger no more, and unused after its time.

    Should an alias come back, so must a decision. Nothing ends while routing is frozen or the registry is silent.
    """
    observation, rollout = known.observation, known.observation.rollout
    if rollout is None or rollout.weight_bp == 0 or observation.registry is None or observation.site.frozen:
        return None
    aliases = known.aliases | dict(
        observation.registry.aliases
    )  # also those of versions that are not admitted yet
    if rollout.version == aliases.get(CHAMPION) or is_spent(observation, champion):
        return rollout.version
    if is_granted(observation, aliases) or is_in_advance(observation):
        return None
    return rollout.version


def _ab_test(known: Known, canary: Canary | None) -> ABTest | None:
    """The A/B test, if all its arms may answer and are ready: one arm alone would be no test."""
    desired = known.observation.ab_test
    if desired is None or (canary is not None and not are_exclusive(canary.slot, desired.slot)):
        return None
    versions = {alias: known.aliases.get(alias) for alias in sorted(desired.weights_bp)}
    arms = tuple(
        Arm(known.variant(alias, version), desired.weights_bp[alias])
        for alias, version in versions.items()
        if version is not None and known.can_answer(version)
    )
    if len(arms) < len(versions):
        return None
    return ABTest(arms, desired.salt, desired.coverage_bp, desired.slot)


def _shadows(known: Known, table: RoutingTable, ready_once: frozenset[str]) -> tuple[Shadow, ...]:
    """The shadows, each version once: shadow aliases, the challenger, and all that may not answer."""
    shadows: dict[str, Shadow] = {}
    for alias, version in sorted(known.aliases.items()):
        may = version in ready_once and known.may_run(version) and version != table.champion.version
        if may and _is_shadow(known, alias, version):
            name = f"{SHADOW_PREFIX}{CHAMPION}" if alias == CHAMPION else alias
            share = Shadow(known.variant(name, version), _mirror_bp(known.observation, alias, version))
            shadows.setdefault(version, share)
    return tuple(shadows.values())


def _is_shadow(known: Known, alias: str, version: str) -> bool:
    if alias == CHALLENGER or alias.startswith(SHADOW_PREFIX):
        return True
    return is_ours(alias) and not known.may_answer(version)


def _mirror_bp(observation: ModelObservation, alias: str, version: str) -> int:
    """What people set for the alias; else what the rollout grants its candidate; else every study."""
    if alias in observation.site.shadow_bp:
        return observation.site.shadow_bp[alias]
    is_candidate = (
        alias == CHALLENGER and observation.rollout is not None and observation.rollout.version == version
    )
    return observation.rollout.mirror_bp if is_candidate and observation.rollout is not None else BASIS_POINTS


def _numbered(observation: ModelObservation, table: RoutingTable | None) -> tuple[RoutingTable | None, int]:
    """The table with its generation and the epoch of it: the old ones if nothing changed."""
    state, old = observation.state, observation.state.table
    if table is None:
        return None, state.table_epoch
    if old is not None and replace(table, generation=old.generation) == old:
        return old, state.table_epoch
    return replace(table, generation=state.generation + 1), observation.epoch


def _version_statuses(
    known: Known, champion: str | None, table: RoutingTable | None
) -> tuple[VersionStatus, ...]:
    version_statuses = [
        VersionStatus(version, alias, _reason(known, version, table))
        for alias, version in sorted(known.aliases.items())
        if is_ours(alias) and version in known.versions
    ]
    if champion is not None and champion != known.aliases.get(CHAMPION):
        reason = "goes on answering until the version of the alias may and can"
        version_statuses.append(VersionStatus(champion, CHAMPION, reason))
    return tuple(version_statuses)


def _reason(known: Known, version: str, table: RoutingTable | None) -> str:
    phase = known.observation.apps.get(version, AppPhase.LOADING).value
    gate = known.versions[version].gate
    if not gate.may_answer:
        return f"{phase}: {gate.reason}"
    if table is not None and table.frozen and version != table.champion.version:
        return f"{phase}: reads nothing while routing is frozen"
    names = [v.name for v in table.answering.values() if v.version == version] if table else []
    if table is not None and table.canary is not None and CANARY in names:
        of = f" of {table.canary.slot}" if table.canary.slot else ""
        return f"{phase}: answers {table.canary.weight_bp / 100:g} %{of} as canary"
    if names:
        return f"{phase}: answers as {' and '.join(names)}"
    if phase == AppPhase.FAILED.value:
        return f"{phase}: it cannot be started, which is tried again"
    is_shadow = table is not None and any(s.variant.version == version for s in table.shadows)
    return f"{phase}: reads as a shadow" if is_shadow else f"{phase}: waits"
