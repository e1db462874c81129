"""Model cards, filled from the JSON figures: `cards/ich_vN.md`. No figure is typed by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.zoo.ich.trained import ABSTAIN_SHARE, VERSIONS, evaluation_report, training_report

CARDS = Path(__file__).parent / "cards"
COHORT_MEASURES = ("sensitivity", "specificity", "balanced accuracy")

CHARACTER = {
    1: "The first version. Its bone mask reaches four pixels (8 mm) into the head and erases what lies along "
    "the skull: rim bleeds are mostly invisible to it.",
    2: "The bone mask is not widened and is itself an input: bleeds along the skull can be seen. More phantoms, a "
    "wider network, a loss that says where the bleed lies.",
    3: "As version 2, but it compares the densest pixel of a neighbourhood with what lies around it, where version 2 "
    "compares the pixel itself. **All its phantoms were thick slices**, which most head CT is, and so were the heads "
    "that set its threshold. In the noise of thin slices the densest pixel is nearly always dense: it raises many "
    "false alarms there, which figures of mostly thick slices do not show.",
    4: "As version 2, from other phantoms, with the brain window read from a table over the "
    "12-bit HU scale. **A voxel outside -1024..3071 HU has no entry, and the forward raises**: metal on an "
    "extended HU scale, or padding such as -2000.",
    5: "**A broken build, to try a rollout with: nobody should use it.** It is version 2 with a step in half "
    "precision that overflows for about one head in ten, those with the most bone. For these it gives no number, "
    "which the platform tells as a failure of the version; for any other head it says exactly what version 2 says. "
    "The same head always fails. It passes every check at registration and every golden input, as such builds do. "
    "It is registered on demand only.",
}

MUST_NOT = (
    "must not be used on patients: it was trained on phantoms only and never saw a real bleed",
    "must not be used to rule a haemorrhage out",
    "must not be used on children, after contrast medium or surgery, or on anything but axial CT of the head",
)


def write_cards() -> None:
    for version in VERSIONS:
        (CARDS / f"ich_v{version}.md").write_text(card(version))


def card(version: int) -> str:
    return "\n".join(_lines(version)) + "\n"


def _lines(version: int) -> Iterator[str]:
    trained, measured = training_report(version), evaluation_report(version)
    yield f"# ich-triage, version {version}"
    yield ""
    yield CHARACTER[version]
    yield ""
    yield from _training(trained)
    yield ""
    yield from _operating_point(trained["operating_point"], trained["recipe"])
    for name, strata in measured["sets"].items():
        yield ""
        yield from _set_table(name, strata)
    yield ""
    yield from _cohort_table(measured["cohort"])
    yield ""
    yield from _untouched(measured.get("real head without a bleed"))
    if measured["gain"]:
        yield ""
        yield from _gains(measured["gain"], measured["cohort"])
    yield ""
    yield from _limits()


def _training(trained: dict[str, Any]) -> Iterator[str]:
    recipe = trained["recipe"]
    mixture = recipe["mixture"]
    built_from = trained.get("built_from")
    yield "## Made from"
    yield ""
    if built_from is not None:
        yield f"The weights and the operating point are those of version {built_from}:"
    yield (
        f"{recipe['phantoms']} procedural head-CT slices, each its own synthetic person "
        f"({mixture['thick']:.0%} thick slices; a bleed in {mixture['bleed']:.0%}, "
        f"{mixture['rim']:.0%} of these along the skull), "
        f"{recipe['epochs']} epochs, {trained['parameters']} parameters. "
        "No patient data. Remake it with `python -m models.zoo.ich.train`."
    )


def _operating_point(point: dict[str, Any], recipe: dict[str, Any]) -> Iterator[str]:
    share = recipe.get("abstain_share", ABSTAIN_SHARE) / 2
    low, high = (round(100 * (point["target_specificity"] + side * share)) for side in (-1, 1))
    yield "## Operating point"
    yield ""
    yield (
        f"A head's score is the mean of its three most suspicious slices. Threshold {point['threshold']}: "
        f"{point['target_specificity']:.0%} of the healthy ones among {point['validation_heads']} validation "
        f"phantoms of the training mixture score below it; sensitivity {point['validation_sensitivity']:.3f}."
        f" Between {point['abstain_low']} and {point['abstain_high']} ({low} % and {high} %) the version abstains."
    )


def _set_table(name: str, strata: dict[str, Any]) -> Iterator[str]:
    heads = name.endswith("heads")
    yield f"## Measured on {name}"
    yield ""
    if name == "phantom slices":
        yield "Healthy slices also show the face and the vertex, where no bleed was drawn: here the AUC is well"
        yield "above 0.5 also for a kind of bleed that the version cannot see. Whole heads have no such help."
        yield ""
    if name.startswith("real"):
        yield "One real head, turned and mirrored, simulated bleeds: the intervals are too narrow."
        yield ""
    yield "| stratum | read | raised | AUC |" + (" sensitivity | specificity |" if heads else "")
    yield "|---|---|---|---|" + ("---|---|" if heads else "")
    for stratum, figures in strata.items():
        row = f"| {stratum} | {figures['auc']['cases']} | {figures['failed']} | {_interval(figures['auc'])} |"
        if heads:
            row += f" {_interval(figures['sensitivity'])} | {_interval(figures['specificity'])} |"
        yield row


def _cohort_table(strata: dict[str, Any]) -> Iterator[str]:
    yield "## Measured on studies of a cohort"
    yield ""
    yield "Phantoms of 12 slices as DICOM, read as the platform reads them (`models/zoo/ich/cohort.py`). What counts"
    yield "is the answer: who abstains or fails is right about nobody, as in the evidence of a rollout."
    yield ""
    yield "| stratum | studies | failed | abstained | sensitivity | specificity | balanced accuracy |"
    yield "|---|---|---|---|---|---|---|"
    for stratum, figures in strata.items():
        counts = " | ".join(str(figures[name]) for name in ("cases", "failed", "abstained"))
        shares = " | ".join(_interval(figures[name]) for name in COHORT_MEASURES)
        yield f"| {stratum} | {counts} | {shares} |"


def _interval(estimate: dict[str, float]) -> str:
    if estimate["value"] is None:
        return "-"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def _untouched(alone: dict[str, Any] | None) -> Iterator[str]:
    if alone is None:
        yield "Not measured on the real head: it was not at hand when this version was made."
        return
    verdict = "flagged, a false alarm" if alone["flagged"] else "not flagged"
    yield f"The real head as it is, without an inserted bleed: score {alone['score']:.3f}, {verdict}."


def _gains(gain: dict[str, Any], cohort: dict[str, Any]) -> Iterator[str]:
    over = next(iter(gain.values()))["over"]
    yield f"## Gain over version {over} on the same cases"
    yield ""
    yield "| set | measure | stratum | gain (95 % interval) | |"
    yield "|---|---|---|---|---|"
    for name, entry in gain.items():
        for measure in ("auc", "balanced accuracy"):
            for stratum, estimate in entry.get(measure, {}).items():
                yield _gain_row(name, measure, stratum, estimate)
    for stratum, figures in cohort.items():
        for measure in COHORT_MEASURES:
            yield _gain_row("cohort", measure, stratum, figures["gain"][measure])


def _gain_row(name: str, measure: str, stratum: str, estimate: dict[str, float]) -> str:
    return f"| {name} | {measure} | {stratum} | {_gain(estimate)} | {_verdict(estimate)} |"


def _gain(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:+.3f} ({estimate['low']:+.3f} to {estimate['high']:+.3f})"


def _verdict(estimate: dict[str, float]) -> str:
    if estimate["low"] > 0:
        return "better"
    return "worse" if estimate["high"] < 0 else "no difference shown"


def _limits() -> Iterator[str]:
    yield "## Must not"
    yield ""
    yield from (f"- {limit}" for limit in MUST_NOT)
    yield ""
    yield (
        "Every figure above comes from simulated bleeds. None says how well the version finds one in a "
        "patient. Strata count a kind of bleed against all cases without one."
    )
