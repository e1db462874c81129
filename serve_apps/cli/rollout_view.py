"""What `serinus rollout watch` shows: a pure function from the API's answer to something that rich can draw."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from canary.routing_table import BASIS_POINTS
from serve_apps.cli.percent import in_percent
from serve_apps.cli.rollout_words import expected_in_words, gate_in_words, minute_of, plain

BESIDE: Final = 110  # from this width on steps stand beside the evidence
BAR, SMALL_BAR = 24, 10
MOST_EVENTS: Final = 6
STYLES: Final[Mapping[str, str]] = {
    "Progressing": "cyan",
    "Promoting": "bold cyan",
    "Surveilling": "cyan",
    "Running": "cyan",
    "Completed": "bold green",
    "Successful": "green",
    "Paused": "bold yellow",
    "Inconclusive": "yellow",
    "Superseded": "yellow",
    "RollingBack": "bold red",
    "Failed": "bold red",
    "Error": "red",
}
BAD_IF_HELD: Final = frozenset({"Degraded"})
NEUTRAL: Final = frozenset({"Progressing", "Paused", "Completed"})  # the phase says it already

Document = Mapping[str, Any]


def rollout_view(answer: Document, width: int, note: str = "") -> RenderableType:
    """The whole of one rollout, `answer` being a RolloutDetailOut. `note` stands first, as that the API is away.

    `width` is that of the terminal, in columns.
    """
    parts: list[RenderableType] = [Text(f"! {plain(note)}", style="bold yellow")] if note else []
    parts += [_header(answer), _next(answer)]
    steps, right = _steps(answer), Group(*_measured(answer))
    if width >= BESIDE:
        beside = Table.grid(padding=(0, 2), expand=True)
        beside.add_column(ratio=2)
        beside.add_column(ratio=5)
        beside.add_row(steps, right)
        parts.append(beside)
    else:
        parts += [steps, right]
    return Group(*parts, *_conditions(answer), *_events(answer))


def bar(share: float, width: int, style: str) -> Text:
    """A bar that is full from a share of 1 on and never looks full before; empty at 0 and below."""
    filled = width if share >= 1 else min(width - 1, math.ceil(max(share, 0.0) * width))
    return Text().append("█" * filled, style=style).append("░" * (width - filled), style="dim")


def evidence_bar(log10_e: float | None, limit: float | None, style: str) -> Text:
    """Evidence toward what it takes, both as log10 of an e-value; a dash where there is none."""
    if log10_e is None or limit is None:
        return Text("–", style="dim")
    shown = log10_e if log10_e >= limit else math.floor(log10_e * 10) / 10  # never reads as reached before
    return bar(log10_e / limit, SMALL_BAR, style).append(f" {shown:.1f}/{limit:.1f}")


def _header(answer: Document) -> RenderableType:
    title = Text().append(plain(answer["model"]), style="bold")
    title.append(f"  champion {plain(answer['stable'])} → candidate {plain(answer['candidate'])}", "bold")
    title.append(f"  run {answer['run']} since {minute_of(answer['began_at'])}", "dim")
    phase = answer["phase"]
    state = Text().append(phase, style=STYLES.get(phase, "bold")).append(f"  {plain(answer['reason'])}")
    return Panel(Group(state, _weights(answer)), title=title, title_align="left", box=box.ROUNDED)


def _weights(answer: Document) -> RenderableType:
    """What the rollout grants; whether the routers do so is a condition that the controller found by readings."""
    lines = Table.grid(padding=(0, 1))
    for name, share_bp in (("weight", answer["weight_bp"]), ("shadow", answer["mirror_bp"])):
        told = Text(f"{in_percent(share_bp)} asked")
        if name == "weight":
            told.append_text(_as_seen(answer))
        lines.add_row(Text(name), bar(share_bp / BASIS_POINTS, BAR, "magenta"), told)
    return lines


def _as_seen(answer: Document) -> Text:
    for condition in answer["conditions"]:
        if condition["kind"] == "DataPlaneVerified":
            if condition["holds"]:
                return Text(", and readings show it", style="green")
            return Text(", not shown by readings yet", style="yellow")
    return Text("")


def _next(answer: Document) -> RenderableType:
    lines = Table.grid(padding=(0, 1))
    lines.add_column(style="bold", no_wrap=True)
    lines.add_column()
    lines.add_row("waits for", Text(gate_in_words(answer["gate"])))
    for name, told in _dates(answer):
        lines.add_row(name, Text(told))
    pace = answer["studies_per_day"]
    if pace is not None:
        lines.add_row("pace", Text(f"{pace:g} studies a day, over a week at most"))
    return Padding(lines, (0, 1))


def _dates(answer: Document) -> Iterable[tuple[str, str]]:
    step, promotion = (expected_in_words(answer["expected"][name]) for name in ("step", "promotion"))
    if answer["promoted_at"] is not None:
        yield "promoted", minute_of(answer["promoted_at"])
        promotion = step
    if answer["gate"] is None:
        return
    if step == promotion:
        yield "ends", step
    else:
        yield "step ends", step
        yield "promoted", promotion


def _steps(answer: Document) -> RenderableType:
    lines = Table.grid(padding=(0, 1))
    for step in answer["plan_steps"]:
        mark, style = _mark(step["number"], answer)
        told = Text(f"{step['number']} {plain(step['told'])}", style=style)
        lines.add_row(Text(mark, style=style), told)
    return Panel(lines, title="steps", title_align="left", box=box.ROUNDED)


def _mark(number: int, answer: Document) -> tuple[str, str]:
    if number < answer["step"]:
        return "✓", "green"
    if number > answer["step"]:
        return "·", "dim"
    return "✗" if answer["phase"] == "Failed" else "▶", STYLES.get(answer["phase"], "bold")


def _measured(answer: Document) -> Iterable[RenderableType]:
    yield Panel(_evidence(answer), title="evidence, log10 E", title_align="left", box=box.ROUNDED)
    yield Panel(_exposure(answer), title="exposure", title_align="left", box=box.ROUNDED)


def _evidence(answer: Document) -> RenderableType:
    if not answer["evidence"]:
        return Text("nothing is known of the evidence now", style="yellow")
    rows = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    rows.add_column("metric", overflow="fold", min_width=11)
    rows.add_column("verdict", no_wrap=True)
    rows.add_column("seen", justify="right", no_wrap=True)
    rows.add_column("harm", no_wrap=True)
    rows.add_column("not inferior", no_wrap=True)
    for metric in answer["evidence"]:
        rows.add_row(*_of_metric(metric))
    return Group(rows, *_remarks(answer))


def _of_metric(metric: Document) -> Sequence[Text]:
    name = Text(plain(metric["metric"]))
    if metric["dry_run"]:
        name.append(" (dry run)", style="dim")
    needed = metric["min_observations"]
    seen = f"{metric['observed']}" if needed is None else f"{metric['observed']}/{needed}"
    return (
        name,
        Text(metric["phase"], style=STYLES.get(metric["phase"], "default")),
        Text(seen),
        evidence_bar(metric["log10_e_harm"], metric["log10_e_harm_limit"], "red"),
        evidence_bar(metric["log10_e_non_inferiority"], metric["log10_e_non_inferiority_limit"], "green"),
    )


def _remarks(answer: Document) -> Iterable[Text]:
    """Why a metric that is asked for, or has ended otherwise than well, says what it says, unless that stands above;
    and its worst stratum.
    """
    asked = answer["gate"]["metrics"] if answer["gate"] else ()
    for metric in answer["evidence"]:
        name = plain(metric["metric"])
        is_bad = metric["phase"] in ("Failed", "Inconclusive", "Error")
        is_told = metric["reason"] in answer["reason"]
        if not is_told and (metric["metric"] in asked or is_bad):
            yield Text(f"{name}: {plain(metric['reason'])}", style="default" if is_bad else "dim")
        worst = metric["worst_stratum"]
        if worst:
            told = (
                f"{plain(worst['stratum'])}: {worst['observed']} seen, log10 E = {worst['log10_e_harm']:.1f}"
            )
            yield Text(
                f"{name}, worst in {told}", style=STYLES["Failed"] if worst["phase"] == "Failed" else "dim"
            )


def _exposure(answer: Document) -> RenderableType:
    spent = answer["exposure"]
    if spent is None:
        return Text("not known now", style="yellow")
    lines = Table.grid(padding=(0, 1))
    for told, name in (("exposed studies", "studies"), ("adverse events", "adverse")):
        lines.add_row(Text(told), *_spent(spent[name], spent[f"{name}_limit"]))
    return lines


def _spent(count: int, limit: int | None) -> tuple[Text, Text]:
    if limit is None:
        return Text("–", style="dim"), Text(f"{count}, no limit")
    share = count / limit if limit else 1.0
    return bar(share, BAR, "red" if share >= 1 else "yellow"), Text(f"{count} of {limit}")


def _conditions(answer: Document) -> Iterable[RenderableType]:
    """Those that are not as they should be, each with why."""
    found = [one for one in answer["conditions"] if _is_wrong(one)]
    if not found:
        return
    lines = Table.grid(padding=(0, 1))
    for one in found:
        why = "" if one["reason"] == answer["reason"] else plain(one["reason"])
        lines.add_row(Text("✗", style="yellow"), Text(_negated(one), style="yellow"), Text(why))
    yield Panel(lines, title="conditions", title_align="left", box=box.ROUNDED)


def _is_wrong(condition: Document) -> bool:
    kind = condition["kind"]
    return kind not in NEUTRAL and condition["holds"] == (kind in BAD_IF_HELD)


def _negated(condition: Document) -> str:
    return str(condition["kind"]) if condition["holds"] else f"not {condition['kind']}"


def _events(answer: Document) -> Iterable[RenderableType]:
    if not answer["events"]:
        return
    lines = Table.grid(padding=(0, 1))
    for event in answer["events"][:MOST_EVENTS]:
        lines.add_row(
            Text(minute_of(event["at"])[5:16], style="dim"),
            Text(plain(event["actor"]), style="dim"),
            Text(event["phase"], style=STYLES.get(event["phase"], "default")),
            Text(plain(event["reason"])),
        )
    yield Panel(lines, title="newest events", title_align="left", box=box.ROUNDED)
