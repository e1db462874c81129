"""Records hold only what can be true."""

from __future__ import annotations

import pytest

from observability.names import Stage
from observability.record import Outcome, StageTiming, stage_durations_ms
from observability.stage_clock import StageClock

from .traces import T0, reading, study, timing


def test_impossible_records_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="before it starts"):
        StageTiming(Stage.FETCH, 2, 1)
    with pytest.raises(ValueError, match="before it starts"):
        study(end_ns=T0 - 1)
    with pytest.raises(ValueError, match="delivered"):
        reading(outcome=Outcome.FAILED, error_code="model-error", delivered=True)
    with pytest.raises(ValueError, match="no error code"):
        reading(error_code="model-error")
    with pytest.raises(ValueError, match="counts from 1"):
        reading(attempt=0)


def test_durations_come_in_the_order_of_the_stages_and_leave_shadows_out() -> None:
    shadow = reading(variant="shadow-next", delivered=False, stages=(timing(Stage.FORWARD, 60, 900),))
    durations = stage_durations_ms(study(records=(shadow, reading())))
    assert list(durations) == [Stage.QUEUE, Stage.FETCH, Stage.DECODE, Stage.PREPARE, Stage.FORWARD]
    assert durations[Stage.FORWARD] == 30.0


def test_a_clock_step_cannot_bend_a_stage() -> None:
    wall = iter([1_000, 5])
    steady = iter([100, 110, 150])
    clock = StageClock(lambda: next(wall), lambda: next(steady))
    with clock.stage(Stage.FETCH):
        pass
    assert clock.timings == (StageTiming(Stage.FETCH, 1_010, 1_050),)


def test_a_stage_that_fails_is_noted_by_its_code_and_the_error_passes_on() -> None:
    class RefusalError(Exception):
        code = "no-eligible-series"

    clock = StageClock()
    with pytest.raises(RefusalError), clock.stage(Stage.SELECT):
        raise RefusalError("secret detail")
    assert clock.timings[0].error_code == "no-eligible-series"


def test_a_stage_measured_on_another_machine_is_clamped() -> None:
    clock = StageClock()
    clock.add(Stage.FORWARD, 100, 90)
    assert clock.timings == (StageTiming(Stage.FORWARD, 100, 100),)
