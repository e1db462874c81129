"""The part of a drift report that stands against the truth, as HTML and as sentences on what is lacking."""

from __future__ import annotations

from html import escape

from observability.drift.against_truth import FindingAgainstTruth
from observability.drift.audited import ShareEstimate
from observability.drift.page_parts import day_of, percent, table, with_interval
from observability.drift.report import TruthReport
from observability.drift.scoreboard import SetRun, Share

DAY_S = 86_400


def truth_section(truth: TruthReport | None) -> str:
    """Empty where nobody asked for it."""
    if truth is None:
        return ""
    found = "".join(map(_finding, truth.findings)) or _note("No answer of this version is kept.")
    return f"<h2>Against the truth</h2>{found}<h2>Ground-truth sets</h2>{_scoreboard(truth.scoreboard)}"


def lacks_of(one: FindingAgainstTruth) -> tuple[str, ...]:
    """What the figures of a finding lack, each in a sentence."""
    said = [one.discordance.said, one.expected.said]
    if not one.known:
        said.append("Nobody has told what was really there in a study since watching began.")
    if one.audit is None:
        said.append("No other version read the same studies, so none was chosen for adjudication.")
    elif not one.audit.answered:
        said.append(
            f"None of the {one.audit.asked} studies that the adjudication queue asks about is answered."
        )
    elif one.audit.answered < one.audit.asked:
        said.append(
            f"{one.audit.answered} of {one.audit.asked} studies that the queue asks about are answered."
        )
    if one.performance is not None:
        said.append(one.performance.caution)
    if one.expected.expected.ppv is not None and not one.expected.honesty.is_trusted:
        periods = one.expected.honesty.periods
        said.append(
            f"What scores let expect was checked in {periods} period{'s' * (periods != 1)} of four weeks, "
            "and is not trusted: it may ask for truth and stands for nothing."
        )
    return tuple(sentence for sentence in said if sentence)


def _finding(one: FindingAgainstTruth) -> str:
    found, hoped = one.performance, one.expected.expected
    watch = one.discordance
    rows = [
        ("answers since watching began, with a truth", f"{one.answered}, {one.known}"),
        ("differ from the truth, in the reference", _rate(watch.base.discordant, watch.base.studies)),
        ("differ from the truth, now", _rate(watch.now.discordant, watch.now.studies)),
        ("evidence that this changed", _evidence(watch.trajectory, watch.log10_limit)),
        (
            "evidence that scores do not mean what they say",
            f"log10 e {one.calibration.log10_e:.1f} of {one.calibration.log10_limit:.1f}",
        ),
        (
            "audited studies, beside version",
            "–" if found is None or one.audit is None else f"{found.audited}, {one.audit.against}",
        ),
        ("sensitivity, as audited", "–" if found is None else _estimate(found.sensitivity)),
        ("PPV, as audited", "–" if found is None else _estimate(found.ppv)),
        ("prevalence, as audited", "–" if found is None else _estimate(found.prevalence)),
        ("sensitivity, expected from scores alone", percent(hoped.sensitivity)),
        ("PPV, expected from scores alone", percent(hoped.ppv)),
    ]
    notes = "".join(map(_note, lacks_of(one)))
    told = [row for row in rows if row[1] != "–"]
    state = " <strong class='harm'>changed</strong>" if watch.is_alarm or one.calibration.is_broken else ""
    return f"<h3>{escape(one.finding)}{state}</h3>{table(('what', 'how much'), told)}{notes}"


def _scoreboard(runs: tuple[SetRun, ...]) -> str:
    if not runs:
        return _note("This version has read no ground-truth set to its end.")
    rows = [
        (
            day_of(one.at_s // DAY_S, DAY_S),
            f"{one.name} {one.set_version}",
            one.finding,
            _share(one.sensitivity),
            _share(one.specificity),
            "–" if one.auc is None else f"{one.auc.value:.3f} ({one.auc.low:.3f} to {one.auc.high:.3f})",
            f"{one.failed}, {one.unread}",
            one.change,
        )
        for one in runs
    ]
    head = ("day", "set", "finding", "sensitivity", "specificity", "AUC", "failed, unread", "beside the last")
    return table(head, rows)


def _share(one: Share) -> str:
    if not one.number or one.low is None or one.high is None:
        return "–"
    return f"{one.right}/{one.number} ({100 * one.low:.0f} to {100 * one.high:.0f} %)"


def _estimate(one: ShareEstimate | None) -> str:
    return "–" if one is None else with_interval(one.value, one.low, one.high)


def _rate(discordant: int, studies: int) -> str:
    return f"{discordant} of {studies} ({percent(discordant / studies)})" if studies else "–"


def _evidence(path: tuple[float, ...], limit: float) -> str:
    return f"log10 M {path[-1]:.1f} of {limit:.1f}" if path else "–"


def _note(said: str) -> str:
    return f'<p class="note">{escape(said)}</p>'
