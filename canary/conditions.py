"""What people asked for and does not hold now, each in a sentence: a rule out of force, a weight for nobody. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from canary.observation import CHALLENGER, AppPhase, ModelObservation, is_ours
from canary.routing_table import CHAMPION, RoutingTable, Rule


@dataclass(frozen=True, slots=True)
class Condition:
    """`subject` names what it is about (`rule pilot`, `weight`, `champion`), and is unique within its model.

    `is_alarm`: something is wrong and somebody has to act; else it is only so, as with a decision that waits.
    """

    subject: str
    sentence: str
    is_alarm: bool = False


def conditions_of(
    observation: ModelObservation,
    aliases: Mapping[str, str],
    champion: str | None,
    table: RoutingTable | None,
) -> tuple[Condition, ...]:
    """The conditions of one model. `aliases` are those to go by; `champion` is the version that answers."""
    return (
        *_of_registry(observation, aliases, champion),
        *_of_aliases(observation, aliases),
        *_of_weight(observation, aliases),
        *_of_rules(observation, table),
        *_of_shares(observation, aliases),
        *_of_ab_test(observation, aliases, table),
    )


def is_granted(observation: ModelObservation, aliases: Mapping[str, str]) -> bool:
    """Whether the rollout's version is the challenger, and was so in time if its weight was given in advance."""
    rollout = observation.rollout
    if rollout is None or aliases.get(CHALLENGER) != rollout.version:
        return False
    was_granted = observation.state.granted_salt == rollout.salt
    return rollout.in_advance_until_s is None or was_granted or is_in_advance(observation)


def is_spent(observation: ModelObservation, champion: str | None) -> bool:
    """Whether the rollout's version is or was the champion since it was given its weight."""
    rollout, state = observation.rollout, observation.state
    if rollout is None or rollout.weight_bp == 0:
        return False
    return rollout.version in (champion, state.champion) or rollout.salt == state.spent_salt


def is_in_advance(observation: ModelObservation) -> bool:
    """Whether the weight may still wait for its version to become the challenger."""
    rollout = observation.rollout
    until_s = rollout.in_advance_until_s if rollout is not None else None
    return until_s is not None and observation.now_s < until_s


def _of_registry(
    observation: ModelObservation, aliases: Mapping[str, str], champion: str | None
) -> Iterator[Condition]:
    registry = observation.registry
    if registry is None:
        return
    goes_on = f"version {champion} goes on answering" if champion else "nobody answers"
    if not registry.exists:
        yield Condition("model", f"the model was deleted in MLflow; {goes_on}", True)
        return
    if CHAMPION not in registry.aliases and CHAMPION in aliases:
        yield Condition("champion", f"the alias champion was deleted in MLflow; {goes_on}", True)
    for version in sorted(registry.deleted):
        roles = sorted(alias for alias, v in aliases.items() if v == version and is_ours(alias))
        if roles or version == champion:
            told = (
                f"was deleted in MLflow; {goes_on if version == champion else 'it goes on as it is loaded'}"
            )
            yield Condition(f"version {version}", f"version {version} ({', '.join(roles)}) {told}", True)


def _of_aliases(observation: ModelObservation, aliases: Mapping[str, str]) -> Iterator[Condition]:
    """What MLflow says of an alias and does not count yet: that it was taken away a moment ago, or under a freeze."""
    registry = observation.registry
    if registry is None or not registry.exists:
        return
    grace = f"{observation.keep.alias_grace_s:g} s"
    for alias in sorted(filter(is_ours, {*aliases, *registry.aliases})):
        version, named = aliases.get(alias), registry.aliases.get(alias)
        if observation.site.frozen and version != named:
            now = "is taken away" if named is None else f"names version {named}"
            yield Condition(
                f"alias {alias}", f"the alias {alias} {now} in MLflow; it counts after the freeze"
            )
        elif named is None and alias != CHAMPION:
            yield Condition(
                f"alias {alias}",
                f"the alias {alias} was taken from version {version}: its role ends unless it is back in {grace}",
            )


def _of_weight(observation: ModelObservation, aliases: Mapping[str, str]) -> Iterator[Condition]:
    rollout = observation.rollout
    if rollout is None or rollout.weight_bp == 0 or is_granted(observation, aliases):
        return
    waits = "; it waits, in advance" if is_in_advance(observation) else ""
    share = f"{rollout.weight_bp / 100:g} %"
    yield Condition(
        "weight",
        f"a weight of {share} is set for version {rollout.version}, which is not the challenger{waits}",
    )


def _of_rules(observation: ModelObservation, table: RoutingTable | None) -> Iterator[Condition]:
    answering = table.answering if table is not None else {}
    pins: dict[str, int] = {}
    for rule in observation.site.rules:
        if rule.variant in answering:
            continue
        if _is_pin(rule):
            pins[rule.variant] = pins.get(rule.variant, 0) + 1
            continue
        yield Condition(
            f"rule {rule.name}",
            f"the rule {rule.name!r} is not in force: no variant {rule.variant!r} may answer now",
        )
    for variant, count in sorted(pins.items()):
        yield Condition(
            f"pin to {variant}",
            f"pins to {variant!r} are not in force ({count}): no such variant may answer now",
        )


def _is_pin(rule: Rule) -> bool:
    return rule.name == f"pin to {rule.variant}"


def _of_shares(observation: ModelObservation, aliases: Mapping[str, str]) -> Iterator[Condition]:
    for alias in sorted(observation.site.shadow_bp):
        if alias not in aliases:
            yield Condition(f"share {alias}", f"a share is set for the alias {alias!r}, which no version has")


def _of_ab_test(
    observation: ModelObservation, aliases: Mapping[str, str], table: RoutingTable | None
) -> Iterator[Condition]:
    test = observation.ab_test
    if test is None or table is None or table.ab_test is not None:
        return
    for alias in sorted(test.weights_bp):
        version = aliases.get(alias)
        if version is None:
            yield Condition(f"arm {alias}", f"the A/B test waits: no version has the alias {alias!r}")
        elif observation.apps.get(version) is not AppPhase.READY:
            yield Condition(f"arm {alias}", f"the A/B test waits: version {version} ({alias}) is not ready")
    if table.canary is not None:
        yield Condition("ab test", "the A/B test waits: a canary has the same patients")
