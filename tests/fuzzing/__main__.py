"""Damage the corpus and read it: `python -m tests.fuzzing --cases 5000 --seed 1`; one JSON document at the end.

A process of its own: a codec in C that crashes takes this one with it, and what it held is measured without the
memory of others. What was being read then stands in `--trace`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from core.errors import SerinusError, StudyError
from imaging.archive import Budget, FetchLimits
from imaging.assemble import to_volume
from imaging.content_digest import content_digest
from imaging.encoded import to_part10
from imaging.finding import Code, Finding, ModelStamp, Prediction, Presence, Urgency
from imaging.instance import names_of
from imaging.intake import read_object, to_study
from imaging.patient_facts import patient_facts
from imaging.pixel_limits import PixelLimits
from imaging.pydicom_config import configure_pydicom
from imaging.report_frame import ReportContext
from imaging.report_sr import to_sr
from imaging.series import SeriesRule, choose_series
from imaging.summary import readable_images, summarize_study
from imaging.volume import Volume
from tests.fuzzing.make_corpus import CORPUS
from tests.fuzzing.mutate import Mutator

LIMITS = FetchLimits(pixels=PixelLimits(image_bytes=8 * 2**20, study_bytes=32 * 2**20))
RULE = SeriesRule(modalities=("CT", "MR", "CR"))
COLOUR_RULE = SeriesRule(modalities=("XC",), colour=True)
SHOWN = 20
REPORTED = 24  # one in so many is also reported, which takes ten times as long as reading
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Outcome:
    """What became of the cases; `escaped` are those whose exception is none of ours."""

    cases: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    escaped: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: int = -1
    grown_mib: float = 0.0


def read(content: bytes) -> str:
    """As the reader reads a study of one object. What is left after each step goes into the next."""
    with suppress(StudyError):
        names_of(BytesIO(content))
    budget = Budget(LIMITS)
    study = to_study([read_object(content, budget.inflate)], len(content))
    headers = summarize_study(study.series)
    colour = any(header.colour for header in headers)
    choice = choose_series(headers, COLOUR_RULE if colour else RULE)
    series = study.series[choice.require().series_uid]
    volume = to_volume(series, limits=LIMITS.pixels, notes=study.notes)
    images = readable_images(series)
    patient_facts(images, volume)
    content_digest(images, volume)
    context = ReportContext.of(volume)
    if content[-1] % REPORTED == 0:
        to_part10(to_sr(nothing_found(volume), context, created=NOW))
    return "read"


def nothing_found(volume: Volume) -> Prediction:
    stamp = ModelStamp("fuzzed", "1", "0" * 64, "Nobody", research_only=True)
    concept = Code("1386000", "SCT", "Intracranial hemorrhage")
    uid, frame = volume.image(0)
    finding = Finding(
        concept, Presence.ABSENT, 0.1, 0.5, Urgency.CRITICAL, key_instance_uid=uid, key_frame=frame
    )
    return Prediction(stamp, volume.series_uid, volume.input_digest, (finding,))


def peak_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def fuzz(cases: int, seed: int, trace: int | None = None, reader: Callable[[bytes], str] = read) -> Outcome:
    mutator, outcome = Mutator(seed), Outcome()
    for path in CORPUS.glob("*.dcm"):  # every codec is loaded, and each sound file read
        outcome.codes[f"sound: {read(path.read_bytes())}"] += 1
    before_mib = peak_mib()
    for index in range(cases):
        content = mutator.case(index)
        if trace is not None:
            os.pwrite(trace, b"%12d" % index, 0)
        begun = time.perf_counter()
        try:
            said = reader(content)
        except SerinusError as error:
            said = error.code
        except BaseException as error:  # noqa: BLE001  (a panic of a codec is no Exception)
            said = "escaped"
            if len(outcome.escaped) < SHOWN:
                outcome.escaped.append(f"case {index}: {type(error).__name__}: {error}")
        taken_s = time.perf_counter() - begun
        outcome.cases += 1
        outcome.codes[said] += 1
        if taken_s > outcome.slowest_s:
            outcome.slowest_s, outcome.slowest = taken_s, index
    outcome.grown_mib = peak_mib() - before_mib
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trace", type=Path, help="a file that names the case in hand")
    options = parser.parse_args()
    configure_pydicom()
    trace = os.open(options.trace, os.O_CREAT | os.O_WRONLY) if options.trace else None
    outcome = fuzz(options.cases, options.seed, trace)
    print(json.dumps(vars(outcome)))


if __name__ == "__main__":
    main()
