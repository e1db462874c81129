"""What MLflow's pages are to say: of each version its tags and a line, of each model a line. Pure.

The line stands in the description, which is where a page opens; the tags lie below the metrics. Nothing of a study
is in either: versions, shares, times, why a version cannot be run, and how its declared rollout stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from canary.observation import CHALLENGER
from canary.routing_table import BASIS_POINTS, CHAMPION, RoutingTable, Slot
from canary.target import KeptWarm, ModelTarget, Target
from serve_apps.application.routing_snapshot import VariantState, VariantStatus

# MLflow sorts tags and shows the first few: these come before those of the artifact
STATE_TAG: Final = "rollout.state"
REASON_TAG: Final = "rollout.reason"
MARK: Final = "**Serinus:** "
LONGEST_TEXT: Final = 400
MINUTE: Final = "%Y-%m-%d %H:%M UTC"
_LINE: Final = re.compile(r"^\*\*Serinus:\*\* (?P<text>[^\r\n]*)", re.MULTILINE)
_SINCE: Final = re.compile(r" Since \d{4}-\d\d-\d\d \d\d:\d\d UTC\.$")

Key = tuple[str, str]  # model, version


@dataclass(frozen=True, slots=True)
class VersionPage:
    """What the page of a version says: two tags, and the line without its time; `rollout` are its rollout's tags."""

    state: str
    reason: str
    line: str
    rollout: Mapping[str, str] = field(default_factory=dict)


NO_ROLE: Final = VersionPage("no role", "no alias gives it one", "no role: it reads nothing.")


@dataclass(frozen=True, slots=True)
class RolloutPage:
    """What a rollout adds to the page of its candidate, and to that of the model while it is under way.

    Not `is_settled`: it will be something else in a moment, so the version's page is left as it is.
    """

    tags: Mapping[str, str]
    sentence: str
    of_model: str = ""
    is_settled: bool = True


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of all versions that have a role, or lost theirs a while ago, and the lines of all models.

    `unsettled` are versions whose page is left as it is.
    """

    versions: Mapping[Key, VersionPage] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    unsettled: frozenset[Key] = frozenset()


def pages_of(target: Target, variants: Iterable[VariantStatus], *, frozen: bool) -> Pages:
    """The pages as `variants` stand; a freeze is told on every model's page."""
    tables = target.tables
    rows: dict[Key, list[VariantStatus]] = {}
    for variant in variants:
        rows.setdefault((variant.model, variant.version), []).append(variant)
    former = {(m.model, one.version): _former(one) for m in target.models for one in m.kept_warm}
    named = {key: _with_role(roles, tables.get(key[0])) for key, roles in rows.items()}
    return Pages(
        versions=former | named,
        models={model.model: _model_line(model, frozen) for model in target.models},
    )


def with_rollouts(pages: Pages, rollouts: Mapping[Key, RolloutPage]) -> Pages:
    """The pages with what declared rollouts add; also of a version that has no role any more."""
    versions, models = dict(pages.versions), dict(pages.models)
    for key, rollout in rollouts.items():
        page = versions.get(key, NO_ROLE)
        line = _joined(page.line, rollout.sentence)
        versions[key] = replace(page, line=line, rollout=rollout.tags)
        if rollout.of_model and key[0] in models:
            models[key[0]] = _joined(models[key[0]], rollout.of_model)
    unsettled = frozenset(key for key, rollout in rollouts.items() if not rollout.is_settled)
    return replace(pages, versions=versions, models=models, unsettled=unsettled)


def line_in(description: str) -> str:
    """Our line of a description, without its mark and time; empty where there is none."""
    match = _LINE.search(description)
    return _SINCE.sub("", match["text"]) if match else ""


def with_line(description: str, line: str, at: datetime) -> str:
    """The description with our line in its place, or before all else; the owner's words stay as they are."""
    ours = f"{MARK}{line} Since {at.astimezone(UTC).strftime(MINUTE)}."
    match = _LINE.search(description)
    if match is None:
        return f"{ours}\n\n{description}" if description else ours
    return description[: match.start()] + ours + description[match.end() :]


def _with_role(roles: list[VariantStatus], table: RoutingTable | None) -> VersionPage:
    first = roles[0]
    state = f"{first.state.value} as {', '.join(row.role for row in roles)}"
    line = "; ".join(_plain(_role_in_words(row, table)) for row in roles)
    return VersionPage(state, first.reason or "", f"{line}.")


def _former(kept: KeptWarm) -> VersionPage:
    until = datetime.fromtimestamp(kept.until_s, UTC).strftime(MINUTE)
    what = "as former champion" if kept.was_champion else "without a role"
    told = f"kept warm until {until} {what}"
    return VersionPage(f"kept warm {what}", told, f"{told}: it reads nothing.")


def _role_in_words(row: VariantStatus, table: RoutingTable | None) -> str:
    if row.state is VariantState.REFUSED:
        return f"{row.role}, but refused and never loaded: {row.reason}"
    does = list(_does(row, table)) if table is not None else []
    return f"{row.role}, {' and '.join(does)}" if does else f"{row.role}, {row.reason}"


def _does(row: VariantStatus, table: RoutingTable) -> Iterator[str]:
    """What a version does for studies now, in the role of its alias."""
    if row.role == CHAMPION and row.version == table.champion.version:
        yield f"answers {_share(_champion_bp(table))}"
    if table.frozen:
        if row.version != table.champion.version:
            yield "reads nothing while routing is frozen"
        return
    if row.role == CHALLENGER and table.canary is not None and row.version == table.canary.variant.version:
        yield f"answers {_share(table.canary.weight_bp, table.canary.slot)} as canary"
    if table.ab_test is not None and row.role in {arm.variant.name for arm in table.ab_test.arms}:
        yield f"answers {_share(table.ab_test.weight_of(row.role), table.ab_test.slot)}"
    for shadow in table.shadows:
        if shadow.variant.name == row.role:
            yield f"reads {shadow.share_bp / 100:g} % of the studies as a shadow"


def _champion_bp(table: RoutingTable) -> int:
    """The share of all patients that the champion answers."""
    if table.frozen:
        return BASIS_POINTS
    canary_bp = table.canary.share_bp if table.canary else 0
    test = table.ab_test
    arms_bp = sum(test.weight_of(arm.variant.name) for arm in test.arms) if test else 0
    slot_bp = test.slot.share_bp if test and test.slot else BASIS_POINTS
    return BASIS_POINTS - canary_bp - arms_bp * slot_bp // BASIS_POINTS


def _share(share_bp: int, slot: Slot | None = None) -> str:
    return f"{share_bp / 100:g} % of the patients{f' in {slot}' if slot else ''}"


def _model_line(model: ModelTarget, frozen: bool) -> str:
    table = model.table
    if table is None:
        return "nobody answers: no champion may and can."
    champion = f"version {table.champion.version}"
    if frozen:
        return f"**routing is frozen**: {champion} answers everybody, and nothing moves until `serinus unfreeze`."
    told = [f"{champion} answers {_share(_champion_bp(table))}"]
    if table.canary is not None:
        share = _share(table.canary.weight_bp, table.canary.slot)
        told.append(f"version {table.canary.variant.version} answers {share} as canary")
    if (test := table.ab_test) is not None:
        told += [
            f"version {arm.version} ({arm.name}) answers {_share(test.weight_of(arm.name), test.slot)}"
            for arm in test.variants
        ]
    shadows = ", ".join(sorted({shadow.variant.version for shadow in table.shadows}))
    told += [f"as shadows read: {shadows}"] if shadows else []
    return f"{'; '.join(told)}."


def _joined(line: str, sentence: str) -> str:
    return f"{line.removesuffix('.')}; {sentence.removesuffix('.')}."


def _plain(text: str) -> str:
    """One line without end: a reason may be the last words of a foreign error."""
    return " ".join(text.split())[:LONGEST_TEXT]
