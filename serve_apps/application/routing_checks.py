"""Whether what a person decides about traffic names something that exists; if not, a sentence says what does. Pure.

A decision about something that will exist later is made by name: `in_advance`, and then it expires.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from canary.observation import ARM_PREFIX, CHALLENGER, SHADOW_PREFIX
from canary.routing_table import CANARY, CHAMPION, Rule
from core.errors import InvalidField, RoutingConflict
from ledger import ModelRouting
from serve_apps.application.routing_snapshot import RoutingSnapshot


def aliases_of(snapshot: RoutingSnapshot, model: str) -> dict[str, str]:
    """The model's aliases that mean something here, with the version that each names."""
    return {row.role: row.version for row in snapshot.variants if row.model == model}


def variants_of(snapshot: RoutingSnapshot, model: str) -> tuple[str, ...]:
    """The names of the model's variants that may be asked to answer, now or once they are ready."""
    aliases = aliases_of(snapshot, model)
    arms = {alias for alias in aliases if alias.startswith(ARM_PREFIX)}
    canary = {CANARY} if CHALLENGER in aliases else set()
    return tuple(sorted({*snapshot.table(model).answering, CHAMPION, *canary, *arms}))


def require_another_version(snapshot: RoutingSnapshot, model: str, version: str) -> None:
    """Raise InvalidField for the champion, which has no weight of its own."""
    if snapshot.table(model).champion.version == version:
        raise InvalidField("that version is the champion already", "/version")


def require_candidate(
    snapshot: RoutingSnapshot, model: str, version: str, weight_bp: int, stored_version: str | None
) -> None:
    """Raise InvalidField unless `version` is the challenger; a weight of 0 also ends what is set or answers now."""
    table = snapshot.table(model)
    challenger = aliases_of(snapshot, model).get(CHALLENGER)
    stoppable = {stored_version, *(variant.version for variant in table.answering.values())}
    if version == challenger or (weight_bp == 0 and version in stoppable):
        return
    exists = (
        "no version of it carries the alias challenger"
        if challenger is None
        else f"its challenger is version {challenger}"
    )
    raise InvalidField(f"version {version} is not the challenger of the model: {exists}", "/version")


def require_no_other_weight(snapshot: RoutingSnapshot, routing: ModelRouting, version: str) -> None:
    """Raises RoutingConflict while another version has a weight: a model has one, and what is meant for later would
    take it away now.
    """
    challenger = aliases_of(snapshot, routing.model).get(CHALLENGER)
    if routing.weight_bp > 0 and routing.version == challenger != version:
        raise RoutingConflict(
            f"version {routing.version} has a weight of {routing.weight_bp / 100:g} %; set it to 0 first"
        )


def require_shadow(snapshot: RoutingSnapshot, model: str, alias: str) -> None:
    """Raise InvalidField unless the alias names a version."""
    snapshot.table(model)
    aliases = aliases_of(snapshot, model)
    if alias not in aliases:
        shadows = [a for a in aliases if a == CHALLENGER or a.startswith(SHADOW_PREFIX)]
        raise InvalidField(f"no version carries the alias {alias}: there is {_listed(shadows)}", "/alias")


def require_variant(snapshot: RoutingSnapshot, model: str, variant: str, pointer: str) -> None:
    """Raise InvalidField unless a study can be sent to a variant of that name."""
    variants = variants_of(snapshot, model)
    if variant not in variants:
        raise InvalidField(f"no variant {variant} can answer: there is {_listed(variants)}", pointer)


def require_rules(snapshot: RoutingSnapshot, model: str, rules: Sequence[Rule]) -> None:
    """Raise InvalidField with the pointer of the first rule whose variant does not exist."""
    snapshot.table(model)
    for index, rule in enumerate(rules):
        require_variant(snapshot, model, rule.variant, f"/rules/{index}/variant")


def require_arms(snapshot: RoutingSnapshot, model: str, arms: Collection[str]) -> None:
    """Raise InvalidField unless every arm is an alias that names a version."""
    snapshot.table(model)
    aliases = aliases_of(snapshot, model)
    missing = sorted(set(arms) - aliases.keys())
    if missing:
        present = [alias for alias in aliases if alias.startswith(ARM_PREFIX)]
        raise InvalidField(
            f"no version carries the alias {', '.join(missing)}: there is {_listed(present)}", "/weights_bp"
        )


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
