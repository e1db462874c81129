"""Asks a PACS by QIDO-RS which studies it has, and Serinus to read those that have stopped growing.

For any PACS with QIDO-RS, as dcm4chee's archive, that calls nobody by itself. Needs Python alone.

    python pacs_poller.py

environment:   TRIGGER_PACS    https://archive.example/dcm4chee-arc/aets/DCM4CHEE/rs, or http://orthanc:8042/dicom-web
               TRIGGER_PACS_AUTHORIZATION   the header of that name, where the PACS wants one
               TRIGGER_URL     https://serinus.example/v1/jobs
               TRIGGER_KEY     an API key with the scope jobs:write
               TRIGGER_SOURCE  how Serinus calls this PACS (the id of the source)
               TRIGGER_DATES   the StudyDate to look at, as 20261124-20261125; left out: yesterday and today
               TRIGGER_STATE   a file that remembers what was announced
               TRIGGER_EVERY_S seconds between two looks (30)

A study that has as many instances as at the last look is stable. It is announced once for each number of instances,
so again when a report was stored in it: Serinus reads the same images once.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlencode

PAGE = 200
TIMEOUT_S = 10
STUDY_UID, INSTANCES = "0020000D", "00201208"


@dataclass(frozen=True)
class Look:
    """One look at the PACS: instances by study UID, and of which number each was announced."""

    instances: Mapping[str, int]
    announced: Mapping[str, int]


def stable_studies(before: Look, instances: Mapping[str, int]) -> list[str]:
    """The studies that did not grow since the last look and were not announced with so many instances."""
    return [
        study
        for study, number in instances.items()
        if before.instances.get(study) == number and before.announced.get(study) != number
    ]


def look(before: Look, environment: Mapping[str, str]) -> Look:
    """Look once, and announce what is stable; what Serinus does not take now is announced at the next look."""
    instances = studies_of(environment)
    announced = {study: number for study, number in before.announced.items() if study in instances}
    for study in stable_studies(before, instances):
        if announce(study, environment):
            announced[study] = instances[study]
    return Look(instances, announced)


def studies_of(environment: Mapping[str, str]) -> dict[str, int]:
    """Instances by study UID. Raises OSError when the PACS does not answer."""
    found: dict[str, int] = {}
    while True:
        page = _page(environment, offset=len(found))
        new = {study[STUDY_UID]["Value"][0]: int(study[INSTANCES]["Value"][0]) for study in page}
        if new.keys() <= found.keys():  # the last page, or a PACS that knows no offset
            return found
        found |= new


def _page(environment: Mapping[str, str], offset: int) -> list[dict[str, dict[str, list[str]]]]:
    query = {"StudyDate": environment.get("TRIGGER_DATES") or _recent(), "includefield": INSTANCES}
    address = f"{environment['TRIGGER_PACS']}/studies?{urlencode(query | {'limit': PAGE, 'offset': offset})}"
    headers = {"Accept": "application/dicom+json"}
    if environment.get("TRIGGER_PACS_AUTHORIZATION"):
        headers["Authorization"] = environment["TRIGGER_PACS_AUTHORIZATION"]
    with urllib.request.urlopen(
        urllib.request.Request(address, headers=headers), timeout=TIMEOUT_S
    ) as answer:
        return json.loads(answer.read() or b"[]")  # 204 has no body


def _recent() -> str:
    today = date.today()
    return f"{today - timedelta(days=1):%Y%m%d}-{today:%Y%m%d}"


def announce(study: str, environment: Mapping[str, str]) -> bool:
    """Submit the study; returns whether Serinus has taken it or refused it for good."""
    job = {"study_uid": study, "source": environment["TRIGGER_SOURCE"]}
    headers = {"Content-Type": "application/json", "X-API-Key": environment["TRIGGER_KEY"]}
    request = urllib.request.Request(environment["TRIGGER_URL"], json.dumps(job).encode(), headers)
    try:
        urllib.request.urlopen(request, timeout=TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        print(f"serinus answered HTTP {error.code}", file=sys.stderr)
        return error.code < 500 and error.code != 429
    except OSError as error:
        print(f"serinus is away: {type(error).__name__}", file=sys.stderr)
        return False
    return True


def remembered(state: Path) -> Look:
    """The look that was written last; an empty one at first."""
    if not state.exists():
        return Look({}, {})
    document = json.loads(state.read_text())
    return Look(document["instances"], document["announced"])


def remember(state: Path, seen: Look) -> None:
    """Write the look, whole or not at all; study UIDs are patient data."""
    part = state.with_suffix(".part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"instances": dict(seen.instances), "announced": dict(seen.announced)}, file)
    part.replace(state)


def main() -> None:
    state = Path(os.environ["TRIGGER_STATE"])
    while True:
        try:
            remember(state, look(remembered(state), os.environ))
        except OSError as error:
            print(f"the PACS is away: {type(error).__name__}", file=sys.stderr)
        time.sleep(float(os.environ.get("TRIGGER_EVERY_S", "30")))


if __name__ == "__main__":
    main()
