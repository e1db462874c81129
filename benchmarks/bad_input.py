"""What a caller sees of each bad study: every case of tests/bad_studies over HTTP; writes docs/bad-input.md.

    python -m benchmarks.bad_input [--write docs/bad-input.md] [--reader-alone]

Brings up a stack with the demo's models. Each case is a folder source of its own, and is asked for as a caller does.
With --reader-alone no stack is needed: the real reader, the intended use, and the status that the API gives to the
error. Ends with an error when a case is answered otherwise than it expects.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.live import http_client, say
from core.errors import SerinusError
from serve_apps.api.problems import problem_of
from tests.bad_studies import CASES, GROUPS, LIMITS, Case
from tests.bad_studies.reading import read, study_uid_of
from tests.stack import LiveStack

HEADING = """# Bad input, and what the caller sees

Every study that we know how to make wrong, {how}. The cases are those of
`tests/bad_studies`, one line each; `tests/unit/imaging/test_bad_studies.py` reads them too. Written by

    python -m benchmarks.bad_input --write docs/bad-input.md{option}

- A study that cannot be trusted gets no reading: an `application/problem+json` with a stable `code`, which also ends
  a job (`error.code`). No detail names a patient, a UID or the value of a tag.
- What the standard allows is read, and the result's `notes` tell of it; they stand in the SR too.
- An object that is no readable DICOM harms itself only. Folder, bucket and PACS pass it over alike, the notes count
  it, and if a slice is missing for it the geometry rules refuse the series. By STOW-RS it is a failed instance.
- What pixels decode to is checked before a byte is decoded: `SERINUS_MAX_IMAGE_BYTES` for an image,
  `SERINUS_MAX_DECODED_BYTES` for a study. Here they are 64 and 256 MiB. A frame of an enhanced object is an image.
- A study that keeps to these limits and still fills the memory ends the process that reads it, and no other: that
  may hold `SERINUS_READER_MEMORY_BYTES`. The study is read once more, alone, and then no more: 422 `poison-study`,
  and an alarm in `serinus status`. Studies that stood beside it are read (`tests/e2e/test_bombs.py`).
- `tests/fuzzing` damages an image of every transfer syntax that is read, thousands of times; nothing but these codes
  may come of it.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    case: Case
    status: int
    body: Mapping[str, Any]

    @property
    def code(self) -> str | None:
        return None if self.status == 200 else str(self.body.get("code"))

    @property
    def seen(self) -> str:
        """What tells the caller: the problem's detail, or the result's notes."""
        if self.status != 200:
            return str(self.body.get("detail"))
        return "; ".join(self.body["notes"]) or "a result without a note"

    @property
    def is_expected(self) -> bool:
        return self.code == self.case.code and self.case.note in self.seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="where the table goes; else it is printed")
    parser.add_argument("--reader-alone", action="store_true", help="without a stack")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="serinus-") as name:
        folder = Path(name)
        answers = list(_read_alone(folder)) if options.reader_alone else _answers(folder)
    page = "\n".join(_page(answers, options.reader_alone)).rstrip() + "\n"
    if options.write:
        options.write.write_text(page)
    else:
        print(page)
    wrong = [answer for answer in answers if not answer.is_expected]
    for answer in wrong:
        say(f"not as expected: {answer.case.what}: {answer.status} {answer.code} {answer.seen}")
    say(f"{len(answers) - len(wrong)} of {len(answers)} cases are answered as expected")
    sys.exit(1 if wrong else 0)


def _read_alone(folder: Path) -> Iterator[Answer]:
    for number, case in enumerate(CASES):
        root = folder / str(number)
        root.mkdir()
        try:
            volume = asyncio.run(read(case.files(), study_uid_of(case.model), case.model, root))
            yield Answer(case, 200, {"notes": volume.notes})
        except SerinusError as error:
            problem = problem_of(error)
            yield Answer(case, problem.status, problem.body())


def _answers(folder: Path) -> list[Answer]:
    sources = [_written(folder, number, case) for number, case in enumerate(CASES)]
    stack = LiveStack(
        folder / "state",
        sources,
        max_image_bytes=LIMITS.image_bytes,
        max_decoded_bytes=LIMITS.study_bytes,
        input_check="note",  # the heads and films of these cases are synthetic, so that it would refuse them all
    )
    try:
        say("a stack with the demo's models")
        stack.up(demo=True)
        return list(_asked(stack))
    finally:
        stack.down()


def _written(folder: Path, number: int, case: Case) -> dict[str, str]:
    """The objects of a case in a folder of its own; returns its source."""
    root = folder / "cases" / str(number)
    root.mkdir(parents=True)
    for index, content in enumerate(case.files()):
        (root / f"{index:02d}.dcm").write_bytes(content)
    return {"id": f"case-{number}", "kind": "folder", "root": str(root)}


def _asked(stack: LiveStack) -> Iterator[Answer]:
    with http_client(stack.settings.api_url, {"X-API-Key": stack.key}) as http:
        for number, case in enumerate(CASES):
            body = {
                "study_uid": study_uid_of(case.model),
                "source": f"case-{number}",
                "model": case.model,
                "outputs": ["json", "sr"],
                "force": True,
            }
            answer = http.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"})
            say(f"{answer.status_code} {case.what}")
            yield Answer(case, answer.status_code, answer.json())


def _page(answers: Iterable[Answer], reader_alone: bool) -> Iterator[str]:
    by_case = {answer.case.what: answer for answer in answers}
    yield HEADING.format(
        how="as our reader takes it from a folder" if reader_alone else "asked of a live stack over HTTP",
        option=" --reader-alone" if reader_alone else "",
    )
    for title, cases in GROUPS.items():
        yield f"## {title}"
        yield "| input | status | code | what the caller sees |"
        yield "|---|---|---|---|"
        for case in cases:
            answer = by_case[case.what]
            code = f"`{answer.code}`" if answer.code else ""
            yield f"| {case.what} | {answer.status} | {code} | {answer.seen} |"
        yield ""


if __name__ == "__main__":
    main()
