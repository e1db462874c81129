"""From the target to the snapshot that routers take, and to what people are told of each version. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from canary.observation import AppPhase, is_ours
from canary.replicas import Wanted
from canary.routing_table import CHAMPION, RoutingTable, Variant
from canary.target import ModelTarget, Target, may_be_asked_to_answer
from serve_apps.application.messages import ServedVersion, app_name
from serve_apps.application.routing_snapshot import (
    FreezeNotice,
    RoutingSnapshot,
    VariantState,
    VariantStatus,
)
from serve_apps.control.admission import Missing, Refused
from serve_apps.control.observe import Observation
from serve_apps.resources import limits_in_words

ON_THEIR_WAY = "its files are being fetched and verified"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A version that may not answer or load, and why."""

    model: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What the snapshot is made of: the target, what was observed, the versions that can be called by the names of
    their applications, why applications were not run as asked, the freeze, the alarms of the other parts, and how
    many replicas applications are to have.
    """

    target: Target
    seen: Observation
    endpoints: Mapping[str, ServedVersion]
    not_applied: Mapping[str, str]
    freeze: FreezeNotice
    alarms: Mapping[str, str]
    wanted: Mapping[str, Wanted] = field(default_factory=dict)


def snapshot_of(findings: Findings) -> RoutingSnapshot:
    """The snapshot without epoch and generation; the publisher numbers it."""
    target, seen, endpoints = findings.target, findings.seen, findings.endpoints
    tables = {name: table for name, table in target.tables.items() if table.champion.app in endpoints}
    named = {variant.app for table in tables.values() for variant in variants_of(table)}
    blocked = champions_blocked(target)
    return RoutingSnapshot(
        registry="live" if seen.registry is not None else "last known good",
        expected=champions_expected(target, seen, blocked),
        loading=frozenset(name for name, table in tables.items() if table.champion.app not in seen.running),
        blocked=blocked,
        tables=tables,
        endpoints={app: endpoints[app] for app in sorted(named) if app in endpoints},
        variants=statuses(findings),
        alarms={
            **conditions(target, are_alarms=True),
            **champions_in_trouble(tables, seen),
            **refused_in_service(tables, seen),
            **findings.alarms,
        },
        conditions=conditions(target, are_alarms=False),
        freeze=findings.freeze,
    )


def champions_expected(target: Target, seen: Observation, blocked: Mapping[str, str]) -> frozenset[str]:
    """The models whose champion is to be ready: all that name one, also one whose files are still on their way.

    One that was refused or may not answer will never be ready; it is shown so instead of holding up the others.
    """
    remembered = {m.model for m in target.models if CHAMPION in m.state.aliases}
    named = {
        name
        for name, model in seen.last_registry.items()
        if CHAMPION in model.aliases and (name, model.aliases[CHAMPION]) not in seen.refused
    }
    return frozenset((remembered | named) - blocked.keys())


def champions_blocked(target: Target) -> dict[str, str]:
    """Models that nobody answers for, since the version behind `champion` may not; with the gate's reason."""
    blocked = {}
    for model in target.models:
        version = model.state.aliases.get(CHAMPION)
        view = model.state.versions.get(version) if version else None
        if model.table is None and view is not None and not view.gate.may_answer:
            blocked[model.model] = view.gate.reason
    return blocked


def champions_in_trouble(tables: Mapping[str, RoutingTable], seen: Observation) -> dict[str, str]:
    """Champions whose application has failed, or has lost its replicas and gets none: Serve's last words on it."""
    alarms = {}
    for name, table in tables.items():
        app = table.champion.app
        if app in seen.lost or seen.phases.get(app) is AppPhase.FAILED:
            reason = seen.failures.get(app, "it has had no running replica for a minute")
            alarms[f"{name}/champion application"] = f"the champion's application does not run: {reason}"
    return alarms


def refused_in_service(tables: Mapping[str, RoutingTable], seen: Observation) -> dict[str, str]:
    """Versions that were refused after they served, and go on while their replicas run."""
    alarms = {}
    for name, table in tables.items():
        for version in sorted({variant.version for variant in variants_of(table)}):
            verdict = seen.refused.get((name, version))
            if isinstance(verdict, Refused):
                alarms[f"{name}/version {version}"] = (
                    f"version {version} was refused and goes on as it is loaded: {verdict.reason}"
                )
    return alarms


def conditions(target: Target, *, are_alarms: bool) -> dict[str, str]:
    """What people asked for and does not hold, by model and subject: what is wrong, or what is only so."""
    return {
        f"{model.model}/{condition.subject}": condition.sentence
        for model in target.models
        for condition in model.conditions
        if condition.is_alarm is are_alarms
    }


def refusals(target: Target, seen: Observation) -> tuple[Refusal, ...]:
    """Versions that were refused, and those of answering aliases that the gate keeps from answering.

    A version that MLflow does not have, or that could not be looked at yet, was refused by nobody.
    """
    refused = [
        Refusal(name, version, verdict.reason)
        for (name, version), verdict in seen.refused.items()
        if isinstance(verdict, Refused)
    ]
    for model in target.models:
        for alias, version in model.state.aliases.items():
            view = model.state.versions.get(version)
            if view is None or isinstance(seen.refused.get((model.model, version)), Refused):
                continue
            if may_be_asked_to_answer(alias) and not view.gate.may_answer:
                refused.append(Refusal(model.model, version, view.gate.reason))
    return tuple(refused)


def variants_of(table: RoutingTable) -> tuple[Variant, ...]:
    return (*table.answering.values(), *(shadow.variant for shadow in table.shadows))


def statuses(findings: Findings) -> tuple[VariantStatus, ...]:
    """Every version that an alias names, with its state and the reason in words."""
    rows: list[VariantStatus] = []
    for model in findings.target.models:
        rows += _of_model(model, findings)
    rows += _not_admitted(findings.seen, {(row.model, row.version, row.role) for row in rows})
    return tuple(sorted(rows, key=lambda row: (row.model, row.role, row.version)))


def _of_model(model: ModelTarget, findings: Findings) -> Iterator[VariantStatus]:
    seen = findings.seen
    for status in model.version_statuses:
        app = app_name(model.model, status.version)
        version = findings.endpoints.get(app)
        phase = seen.phases.get(app, AppPhase.LOADING)
        failure = findings.not_applied.get(app) or seen.failures.get(app)
        wanted = findings.wanted.get(app)
        yield VariantStatus(
            model.model,
            status.version,
            status.role,
            STATE_OF_PHASE[phase],
            version.digest if version else None,
            reason_of(status.reason, version, failure),
            version.regulatory_status if version else None,
            limits_in_words(version.resources) if version else None,
            replicas_in_words(wanted, seen.replicas.get(app, 0)) if wanted else None,
            wanted.replicas if wanted else None,
        )


def replicas_in_words(wanted: Wanted, running: int) -> str:
    """How many are to run, and how many do if these are others."""
    return wanted.in_words if running == wanted.replicas else f"{wanted.in_words}; {running} now"


def reason_of(status: str, version: ServedVersion | None, failure: str | None) -> str:
    """The status in words, with what went wrong, and the warnings that belong to a version: that nobody cleared it,
    and that it answers whatever it is given.
    """
    reason = f"{status}: {failure}" if failure else status
    if version is None:
        return reason
    warnings = ["for research only"] if version.research_only else []
    warnings += [] if version.has_reference else ["without an input check"]
    return f"{reason} ({', '.join(warnings)})" if warnings else reason


def _not_admitted(seen: Observation, shown: set[tuple[str, str, str]]) -> Iterator[VariantStatus]:
    for name, model in seen.last_registry.items():
        for alias, version in model.aliases.items():
            if not is_ours(alias) or (name, version, alias) in shown:
                continue
            row = _row(seen, name, version, alias)
            if row is not None:
                yield row


def _row(seen: Observation, name: str, version: str, alias: str) -> VariantStatus | None:
    """A version without a view: refused, not there, not to be reached, or still on its way."""
    key = (name, version)
    verdict = seen.refused.get(key)
    if isinstance(verdict, Refused):
        return VariantStatus(name, version, alias, VariantState.REFUSED, verdict.digest, verdict.reason)
    if isinstance(verdict, Missing):
        return VariantStatus(name, version, alias, VariantState.REFUSED, None, verdict.reason)
    if key in seen.unavailable:
        reason = seen.unavailable[key].reason
        return VariantStatus(name, version, alias, VariantState.LOADING, None, reason)
    if key in seen.pending:
        return VariantStatus(name, version, alias, VariantState.LOADING, None, ON_THEIR_WAY)
    return None


STATE_OF_PHASE: Mapping[AppPhase, VariantState] = {
    AppPhase.LOADING: VariantState.LOADING,
    AppPhase.READY: VariantState.WARM,
    AppPhase.ASLEEP: VariantState.ASLEEP,
    AppPhase.UNWELL: VariantState.WARM,
    AppPhase.FAILED: VariantState.FAILED,
    AppPhase.STOPPING: VariantState.STOPPING,
}
