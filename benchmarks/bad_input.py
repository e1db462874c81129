"""What a caller sees of each bad study: every case of tests/bad_studies over HTTP; writes docs/bad-input.md.

    python -m benchmarks.bad_input [--write docs/bad-input.md]

Brings up a stack with the demo's models. Each case is a folder source of its own, and is asked for as a caller does.
Ends with an error when one is answered otherwise than its case expects.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks.live import http_client, say
from imaging.elements import text
from imaging.instance import names_of
from tests.bad_studies import CASES, GROUPS, LIMITS, Case
from tests.bad_studies.case import FILM, HEAD, as_files, film, head
from tests.stack import LiveStack

HEADING = """# Bad input, and what the caller sees

Every study that we know how to make wrong, read by a live stack of a research site from a folder source. Written
by `python -m benchmarks.bad_input --write docs/bad-input.md`; the cases are those of `tests/bad_studies`, one line
each, and `tests/unit/imaging/test_bad_studies.py` reads them without a stack.

- A study that cannot be trusted gets no reading: an `application/problem+json` with a stable `code`, which also ends
  a job (`error_code`). No detail names a patient, a UID or the value of a tag.
- What the standard allows is read, and the result's `notes` tell of it; they stand in the SR too.
- An object that is no readable DICOM harms itself only. Folder, bucket and PACS pass it over alike, the notes count
  it, and if a slice is missing for it the geometry rules refuse the series. By STOW-RS it is a failed instance.
- What pixels decode to is checked before a byte is decoded: `SERINUS_MAX_IMAGE_BYTES` for an image,
  `SERINUS_MAX_DECODED_BYTES` for a study. Here they are 64 and 256 MiB.
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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="serinus-") as folder:
        answers = _answers(Path(folder))
    page = "\n".join(_page(answers)).rstrip() + "\n"
    if options.write:
        options.write.write_text(page)
    else:
        print(page)
    wrong = [answer for answer in answers if not answer.is_expected]
    for answer in wrong:
        say(f"not as expected: {answer.case.what}: {answer.status} {answer.code} {answer.seen}")
    say(f"{len(answers) - len(wrong)} of {len(answers)} cases are answered as expected")
    sys.exit(1 if wrong else 0)


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
    studies = {HEAD: _study_uid(as_files(head())[0]), FILM: _study_uid(as_files(film())[0])}
    with http_client(stack.settings.api_url, {"X-API-Key": stack.key}) as http:
        for number, case in enumerate(CASES):
            body = {
                "study_uid": studies[case.model],
                "source": f"case-{number}",
                "model": case.model,
                "outputs": ["json", "sr"],
                "force": True,
            }
            answer = http.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"})
            say(f"{answer.status_code} {case.what}")
            yield Answer(case, answer.status_code, answer.json())


def _study_uid(content: bytes) -> str:
    return text(names_of(BytesIO(content)), "StudyInstanceUID")


def _page(answers: Iterable[Answer]) -> Iterator[str]:
    by_case = {answer.case.what: answer for answer in answers}
    yield HEADING
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
