"""How a study ended for a version, by the code of its last error."""

from __future__ import annotations

import pytest

from canary.paired_study import Ended, ended_by


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        (None, Ended.READ),
        ("model-error", Ended.FAILED),
        ("deadline-exceeded", Ended.FAILED),
        ("worker-lost", Ended.FAILED),
        ("unexpected-error", Ended.FAILED),
        ("outside-intended-use", Ended.REFUSED),
        ("input-out-of-distribution", Ended.REFUSED),
        ("source-unavailable", None),
        ("pixels-damaged", None),
        ("model-unavailable", None),
        ("discarded", None),
    ],
)
def test_what_is_a_failure_what_a_refusal_and_what_says_nothing(
    code: str | None, ended: Ended | None
) -> None:
    assert ended_by(code) is ended
