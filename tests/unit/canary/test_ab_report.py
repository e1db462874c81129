"""Metrics by arm: what answered, what failed, how fast; nobody is called better."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.ab_report import ArmReading, Share, arm_metrics

READING = ArmReading("arm-a", "1", "p1", True, 100.0, False)


def test_arms_are_counted_apart_and_patients_once() -> None:
    readings = [READING, READING, replace(READING, identity="p2"), replace(READING, arm="arm-b", version="2")]
    found = [(m.arm, m.version, m.patients, m.studies) for m in arm_metrics(readings)]
    assert found == [("arm-a", "1", 2, 3), ("arm-b", "2", 1, 1)]


def test_an_arm_whose_version_changed_is_not_mixed() -> None:
    assert len(arm_metrics([READING, replace(READING, version="3")])) == 2


def test_a_failed_study_counts_as_failed_and_brings_no_finding() -> None:
    failed = ArmReading("arm-a", "1", "p2", False)
    (found,) = arm_metrics([replace(READING, flagged=True), failed])
    assert (found.failed, found.flagged) == (Share(1, 2), Share(1, 1))
    assert found.latency_p50_ms == 100.0


@given(st.integers(0, 200), st.integers(0, 200))
def test_an_interval_holds_its_share(hits: int, misses: int) -> None:
    share = Share(hits, hits + misses)
    if share.total == 0:
        assert share.value is None
        assert share.interval is None
        return
    low, high = share.interval or (2.0, -1.0)
    assert 0 <= low <= (share.value or 0.0) + 1e-12
    assert (share.value or 0.0) - 1e-12 <= high <= 1


@given(st.lists(st.floats(1, 1e5), min_size=1, max_size=50))
def test_quantiles_lie_within_what_was_measured(latencies: list[float]) -> None:
    (found,) = arm_metrics([replace(READING, latency_ms=latency) for latency in latencies])
    assert found.latency_p50_ms is not None
    assert found.latency_p95_ms is not None
    rounding = 1e-9 * max(latencies)
    assert min(latencies) - rounding <= found.latency_p50_ms <= found.latency_p95_ms + rounding
    assert found.latency_p95_ms <= max(latencies) + rounding


def test_wilsons_interval_is_the_published_one() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263."""
    low, high = Share(81, 263).interval or (0.0, 0.0)
    assert (low, high) == (pytest.approx(0.2553, abs=5e-4), pytest.approx(0.3662, abs=5e-4))
