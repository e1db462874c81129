"""A study stays at hand for a moment, and no longer: each pins a volume in the object store."""

from __future__ import annotations

from typing import Any

from serve_apps.application.messages import FetchedStudy
from serve_apps.application.recent_studies import RecentStudies


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def a_study() -> FetchedStudy:
    nothing: Any = None
    return FetchedStudy("m", nothing, object(), nothing, nothing, nothing, {}, 0, ())


def test_the_last_few_are_kept_and_one_that_was_lost_is_not() -> None:
    studies = RecentStudies(2, 60.0)
    held = {job: a_study() for job in "abc"}
    for job, study in held.items():
        studies.keep(job, study)
    assert [studies.get(job) for job in "abc"] == [None, held["b"], held["c"]]
    studies.drop("b")
    assert studies.get("b") is None


def test_a_volume_that_nobody_asked_for_is_let_go() -> None:
    clock = Clock()
    studies = RecentStudies(2, 60.0, clock)
    studies.keep("a", a_study())
    clock.now_s = 59.0
    assert studies.get("a") is not None
    clock.now_s = 60.0
    assert studies.get("a") is None
