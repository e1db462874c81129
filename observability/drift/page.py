"""A drift report as one HTML page: no script, no file beside it, drawings as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import groupby
from typing import Final

from observability.drift.blind_spot import BlindSpot
from observability.drift.page_parts import WIDTH, day_of, svg, table
from observability.drift.page_truth import truth_section
from observability.drift.report import DriftReport, SignalThenAndNow
from observability.drift.verdict import DriftVerdict, SignalEvidence

MOST_NAMED: Final = 4
_CSS: Final = """
:root { --ink: #17212b; --soft: #5b6873; --rule: #d9dfe4; --wash: #f5f7f9; --harm: #b3261e; --now: #1c5d99;
  --good: #1e7a46; --hold: #8a5a00; }
* { box-sizing: border-box; } html { background: #e9edf0; }
body { margin: 0; color: var(--ink); font: 14px/1.5 "Inter", "Segoe UI", "Liberation Sans", Arial, sans-serif;
  font-variant-numeric: tabular-nums; }
main { max-width: 860px; margin: 32px auto; padding: 52px 60px; background: #fff; }
h1 { font-size: 30px; line-height: 1.15; margin: 2px 0 14px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 38px 0 12px; padding-top: 12px; border-top: 2px solid var(--ink); }
h3 { font-size: 14.5px; margin: 22px 0 4px; }
.eyebrow, .note { font-size: 12px; color: var(--soft); margin: 0 0 8px; }
.stamp { padding: 11px 16px; border-left: 5px solid var(--soft); background: var(--wash); overflow-wrap: anywhere; }
.stamp.alarm { border-color: var(--harm); } .stamp.watch { border-color: var(--hold); }
.stamp.quiet { border-color: var(--good); }
table { width: 100%; border-collapse: collapse; margin: 8px 0; font-size: 13px; }
th { text-align: left; font-size: 11.5px; color: var(--soft); border-bottom: 1px solid var(--ink);
  padding: 4px 12px 5px 0; }
td { border-bottom: 1px solid var(--rule); padding: 5px 12px 5px 0; vertical-align: top; overflow-wrap: anywhere; }
.n { text-align: right; white-space: nowrap; } code { font-size: 11px; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; } svg text { font-size: 11.5px; fill: var(--ink); }
svg .tick { fill: var(--soft); } svg .axis { stroke: #8b98a3; }
svg .limit { stroke: var(--harm); stroke-dasharray: 6 4; }
svg .part { fill: none; stroke: #7f95a8; stroke-width: 1; } .harm { color: var(--harm); }
svg .curve { fill: none; stroke: var(--now); stroke-width: 1.7; } svg .now { fill: var(--now); opacity: .75; }
svg .then { fill: none; stroke: var(--ink); }
"""


def page_of(report: DriftReport) -> str:
    """The report as HTML. Names of scanners, bins and persons are shown as they were written, never as markup."""
    verdict, state = report.verdict, report.verdict.state.value
    title = f"Drift of {report.model}"
    parts = [
        f'<p class="eyebrow">{escape(_span(report))}</p><h1>{escape(title)}</h1>',
        f'<p class="stamp {state}"><strong>{state}</strong> {escape(verdict.sentence)}</p>',
        _acceptance(report),
        f"<h2>Evidence</h2>{trajectory_plot(verdict, report.slice_s)}" if verdict.trajectory else "",
        _findings(verdict, report.slice_s),
        truth_section(report.truth),
        "<h2>Then and now</h2><p class='note'>Shares of studies: outlined the reference, filled what came. "
        "What moved most stands first.</p>",
        _outliers(report),
        *map(_then_and_now, sorted(_varied(report.signals), key=lambda one: -one.effect.psi)),
        _plain(report.signals),
        _blind_spots(report.blind_spots),
        _not_armed(verdict),
    ]
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    return f"{head}<style>{_CSS}</style></head><body><main>{''.join(parts)}</main></body></html>\n"


def trajectory_plot(verdict: DriftVerdict, slice_s: int = 86_400) -> str:
    """log10 of M after each slice, beside the limit at which it is evidence; thin, the signals that add most to it.

    What lies below 0 is drawn there.
    """
    values, height, left, bottom = verdict.trajectory, 220, 46, 186
    top = max(verdict.log10_limit, *values, 1.0) * 1.1
    right = WIDTH - 150
    step = (right - left) / max(1, len(values) - 1)

    def y(value: float) -> float:
        return bottom - (bottom - 16) * min(top, max(0.0, value)) / top

    def points(row: Sequence[float]) -> str:
        return " ".join(f"{left + step * at:.1f},{y(value):.1f}" for at, value in enumerate(row))

    limit, last = y(verdict.log10_limit), verdict.first_slice + len(values) - 1
    named = _largest(verdict)
    places = _apart([y(one.trajectory[-1]) for one in named], 12.0, bottom, taken=limit)
    lines = [
        f'<polyline class="part" points="{points(one.trajectory)}"/>'
        f'<text class="tick" x="{right + 6}" y="{place + 4:.1f}">{escape(one.signal)}</text>'
        for one, place in zip(named, places, strict=True)
    ]
    return svg(
        height,
        "Evidence of drift over time",
        f'<line class="axis" x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}"/>',
        f'<line class="axis" x1="{left}" y1="{bottom}" x2="{left}" y2="16"/>',
        f'<line class="limit" x1="{left}" y1="{limit:.1f}" x2="{right}" y2="{limit:.1f}"/>',
        *lines,
        f'<polyline class="curve" points="{points(values)}"/>',
        f'<text x="{right + 6}" y="{limit + 4:.1f}">limit {verdict.log10_limit:.1f}</text>',
        f'<text class="tick" x="{left}" y="{bottom + 17}">{day_of(verdict.first_slice, slice_s)}</text>',
        f'<text class="tick" x="{right}" y="{bottom + 17}" text-anchor="end">{day_of(last, slice_s)}</text>',
        f'<text class="tick" x="{left - 6}" y="{bottom + 4}" text-anchor="end">0</text>',
        f'<text class="tick" x="{left - 6}" y="20" text-anchor="end">{top:.0f}</text>',
        f'<text class="tick" x="{left + 6}" y="12">log10 M</text>',
    )


def _largest(verdict: DriftVerdict) -> list[SignalEvidence]:
    """The signals that add most to M at its end, where they are seen at all."""
    seen = [one for one in verdict.by_signal if one.trajectory and max(one.trajectory) > 0.0]
    return sorted(seen, key=lambda one: -one.trajectory[-1])[:MOST_NAMED]


def _apart(places: Sequence[float], least: float, bottom: float, taken: float) -> list[float]:
    """Heights of labels, moved until none covers another, nor what stands at `taken`."""
    found: list[float] = []
    for place in sorted(places):
        at = max(place, found[-1] + least) if found else place
        while abs(at - taken) < least:
            at += 1.0
        found.append(at)
    over = max(0.0, found[-1] - bottom) if found else 0.0
    return [at - over for at in found]


def shares_plot(labels: Sequence[str], then: Sequence[int], now: Sequence[int]) -> str:
    """One bar for each bin: filled the share of today, outlined that of the reference."""
    wide, base = WIDTH / len(labels), 110
    shares = [[count / (sum(counts) or 1) for count in counts] for counts in (now, then)]
    top = max(*shares[0], *shares[1], 0.01)
    bars = [
        f'<rect class="{kind}" x="{index * wide + 4:.1f}" y="{base - 92 * share / top:.1f}" '
        f'width="{wide - 8:.1f}" height="{92 * share / top:.1f}"/>'
        for kind, row in zip(("now", "then"), shares, strict=True)
        for index, share in enumerate(row)
    ]
    size = max(6, int(wide / 6.2))
    names = [
        f'<text class="tick" x="{(index + 0.5) * wide:.1f}" y="{base + 15}" text-anchor="middle">'
        f"{escape(_short(label, size))}<title>{escape(label)}</title></text>"
        for index, label in enumerate(labels)
    ]
    return svg(134, "Shares of studies by bin", *bars, *names)


def _short(label: str, size: int) -> str:
    """A bin's label as it fits: `4.1–5.1` for `4.1 to 5.1 mm`, else its beginning."""
    if len(label) <= size:
        return label
    low, is_range, rest = label.partition(" to ")
    short = f"{low}–{rest.split(' ')[0]}" if is_range and rest[:1].strip("-").isdigit() else label
    return short if len(short) <= size else f"{short[: size - 1]}…"


def _span(report: DriftReport) -> str:
    times = [report.verdict.first_slice * report.slice_s, (report.until + 1) * report.slice_s]
    first, last = (datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M") for at in times)
    return f"{first} to {last} UTC"


def _acceptance(report: DriftReport) -> str:
    said = f"Against reference {report.reference_version}, accepted by {report.accepted_by}"
    return f'<p class="note">{escape(said)}: <code>{escape(report.verdict.reference_digest)}</code></p>'


def _findings(verdict: DriftVerdict, slice_s: int) -> str:
    rows = [
        (
            " / ".join(one.node) or "all sites",
            f"{one.signal} ({one.group.value})",
            f"{one.log10_m:.1f}",
            day_of(one.since, slice_s),
            f"{one.effect.psi:.2f}",
            ", ".join(f"{b.label}: {b.studies} for {b.expected:.1f}" for b in one.effect.bins),
        )
        for one in verdict.findings
    ]
    head = ("where", "signal", "log10 M", "since", "PSI", "bins: studies for expected")
    return f"<h2>What drifted</h2>{table(head, rows, numbers=(2, 3, 4))}" if rows else ""


def _then_and_now(one: SignalThenAndNow) -> str:
    signal, effect = one.signal, one.effect
    said = f"PSI {effect.psi:.2f} over {effect.studies} studies"
    if effect.shift:
        said += f", mean moved by {effect.shift:+.3g} {signal.unit}".rstrip()
    if one.reason_not_armed:
        said += f"; not armed: {one.reason_not_armed}"
    plot = shares_plot(signal.labels, one.reference, one.now)
    return f'<h3>{escape(signal.name)}</h3><p class="note">{escape(said)}</p>{plot}'


def _varied(signals: Iterable[SignalThenAndNow]) -> list[SignalThenAndNow]:
    """Those with studies in two bins or more: of others a drawing tells nothing."""
    return [one for one in signals if len(_used(one)) > 1]


def _used(one: SignalThenAndNow) -> set[int]:
    """The bins in which there ever was a study."""
    return {place for row in (one.reference, one.now) for place, count in enumerate(row) if count}


def _plain(signals: Iterable[SignalThenAndNow]) -> str:
    """The others, in a sentence: of what no study tells, and of what is the same in all."""
    single = [(one.signal, min(_used(one))) for one in signals if len(_used(one)) == 1]
    silent = [signal.name for signal, place in single if place == signal.bins - 1]
    same = [f"{signal.name} ({signal.labels[place]})" for signal, place in single if place < signal.bins - 1]
    said = [f"The same in all studies: {', '.join(same)}."] if same else []
    said += [f"No study tells {', '.join(silent)}."] if silent else []
    return "".join(f'<p class="note">{escape(one)}</p>' for one in said)


def _outliers(report: DriftReport) -> str:
    found = report.outliers
    if found is None:
        return '<p class="note">No rule for a single study: too few records of the reference are kept.</p>'
    if not found.studies:
        return '<p class="note">No study since then was compared with the rule for a single study.</p>'
    said = f"{found.flagged} of {found.studies} studies are unlike those of the reference"
    share = "" if found.share is None else f" ({100 * found.share:.1f} %; 1 % were to be expected)"
    return f'<p class="note">{said}{share}.</p>'


def _blind_spots(spots: Sequence[BlindSpot]) -> str:
    rows = [
        (name, *(f"{_share(one.into_rare)} to {_share(one.into_common)}" for one in of_signal))
        for name, of_signal in groupby(spots, key=lambda spot: spot.signal)
    ]
    if not rows:
        return ""
    weeks = tuple(f"{one.weeks} week{'s' * (one.weeks > 1)}, {one.studies} studies" for one in spots)[
        : len(rows[0]) - 1
    ]
    said = (
        "The least share of studies that must move to be found: into the rarest bin, and into the commonest."
    )
    return f"<h2>What could not be seen</h2><p class='note'>{said}</p>{table(('signal', *weeks), rows)}"


def _share(share: float | None) -> str:
    return "not at all" if share is None else f"{100 * share:.2g} %"


def _not_armed(verdict: DriftVerdict) -> str:
    rows = [(" / ".join(one.node) or "all sites", one.signal, one.reason) for one in verdict.not_armed]
    return f"<h2>Not armed</h2>{table(('where', 'signal', 'why'), rows)}" if rows else ""
