"""From the target to the snapshot that routers take, and to what people are told of each version. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from canary.observation import CHALLENGER, AppPhase, is_ours
from canary.routing_table import CHAMPION, RoutingTable, Variant
from canary.target import Target, may_be_asked_to_answer
from ledger import ModelRouting
from serve_apps.application.messages import ServedVersion, app_name
from serve_apps.application.routing_snapshot import RoutingSnapshot, VariantState, VariantStatus
from serve_apps.control.observer import Observation
from serve_apps.control.refusal_log import Refusal


def snapshot_of(
    wanted: Target, seen: Observation, served: Mapping[str, ServedVersion], alarms: Mapping[str, str]
) -> RoutingSnapshot:
    """The snapshot without a generation; it gets one when it differs from the last."""
    tables = wanted.tables
    read_by = {variant.app for table in tables.values() for variant in variants_of(table)}
    barred = champions_barred(wanted)
    return RoutingSnapshot(
        registry="live" if seen.registry is not None else "last known good",
        expected=champions_wanted(wanted, seen, barred),
        blocked=barred,
        tables={name: table for name, table in tables.items() if table.champion.app in served},
        endpoints={app: served[app] for app in sorted(read_by) if app in served},
        variants=statuses(wanted, seen, served),
        alarms=alarms,
    )


def champions_wanted(wanted: Target, seen: Observation, barred: Mapping[str, str]) -> frozenset[str]:
    """The models whose champion is to be warm: all that name one, also one whose files are still on their way.

    One that was refused or may not answer will never be warm; it is shown so instead of holding up the others.
    """
    known = {m.model for m in wanted.models if CHAMPION in m.state.aliases}
    named = {
        name
        for name, model in (seen.registry or {}).items()
        if CHAMPION in model.aliases and (name, model.aliases[CHAMPION]) not in seen.refused
    }
    return frozenset((known | named) - barred.keys())


def champions_barred(wanted: Target) -> dict[str, str]:
    """Models that nobody answers for, since the version behind `champion` may not; with the gate's reason."""
    found = {}
    for model in wanted.models:
        version = model.state.aliases.get(CHAMPION)
        view = model.state.versions.get(version) if version else None
        if model.table is None and view is not None and not view.gate.may_answer:
            found[model.model] = view.gate.reason
    return found


def refusals(wanted: Target, seen: Observation) -> tuple[Refusal, ...]:
    """Versions that were not admitted, and those of answering aliases that the gate keeps silent."""
    closed = [Refusal(name, version, answer.reason) for (name, version), answer in seen.refused.items()]
    for model in wanted.models:
        for alias, version in model.state.aliases.items():
            view = model.state.versions.get(version)
            if view is not None and may_be_asked_to_answer(alias) and not view.gate.may_answer:
                closed.append(Refusal(model.model, version, view.gate.reason))
    return tuple(closed)


def moved(
    before: Mapping[str, str], after: Mapping[str, str]
) -> tuple[tuple[str, str | None, str | None], ...]:
    """Aliases of ours that differ: (alias, old version, new version)."""
    return tuple(
        (alias, before.get(alias), after.get(alias))
        for alias in sorted(set(before) | set(after))
        if is_ours(alias) and before.get(alias) != after.get(alias)
    )


def is_spent(alias: str, old: str, wish: ModelRouting | None) -> bool:
    """Whether an alias that left version `old` ends the candidacy that a weight was given to."""
    return alias == CHALLENGER and wish is not None and wish.version == old and wish.weight_bp > 0


def variants_of(table: RoutingTable) -> tuple[Variant, ...]:
    return (*table.answering.values(), *(shadow.variant for shadow in table.shadows))


def statuses(
    wanted: Target, seen: Observation, served: Mapping[str, ServedVersion]
) -> tuple[VariantStatus, ...]:
    """Every version that an alias names, with its state and the reason in words."""
    rows: list[VariantStatus] = []
    for model in wanted.models:
        for standing in model.version_statuses:
            app = app_name(model.model, standing.version)
            version = served.get(app)
            rows.append(
                VariantStatus(
                    model.model,
                    standing.version,
                    standing.role,
                    STATE_OF_PHASE.get(seen.phases.get(app, AppPhase.LOADING), VariantState.LOADING),
                    version.digest if version else None,
                    reason_of(standing.reason, version, seen.failures.get(app)),
                    version.regulatory_status if version else None,
                )
            )
    rows += _refused(seen)
    return tuple(sorted(rows, key=lambda row: (row.model, row.role, row.version)))


def reason_of(standing: str, version: ServedVersion | None, failure: str | None) -> str:
    """The standing, with what went wrong, and the warning that belongs to every uncleared version."""
    told = f"{standing}: {failure}" if failure else standing
    return f"{told} (for research only)" if version is not None and version.research_only else told


def _refused(seen: Observation) -> list[VariantStatus]:
    return [
        VariantStatus(name, version, alias, VariantState.REFUSED, refusal.digest, refusal.reason)
        for (name, version), refusal in seen.refused.items()
        for alias, pointed in (
            seen.registry[name].aliases if seen.registry and name in seen.registry else {}
        ).items()
        if pointed == version and is_ours(alias)
    ]


STATE_OF_PHASE: Mapping[AppPhase, VariantState] = {
    AppPhase.LOADING: VariantState.LOADING,
    AppPhase.READY: VariantState.WARM,
    AppPhase.ASLEEP: VariantState.ASLEEP,
    AppPhase.UNWELL: VariantState.WARM,
    AppPhase.FAILED: VariantState.FAILED,
    AppPhase.STOPPING: VariantState.STOPPING,
}
