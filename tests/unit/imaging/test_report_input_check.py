"""The report says how the input compares with the version's reference set, and claims nothing of a foreign one."""

from __future__ import annotations

import pytest

from imaging.finding import InputCheck, InputVerdict, Presence, Urgency
from imaging.report_sr import ReportContext, to_sr
from tests.reports import CREATED, finding, named, prediction, source
from tests.sr_tree import deviations

CT = source()
CONTEXT = ReportContext.of(CT)
FOREIGN = InputCheck(InputVerdict.FOREIGN, 2.0, 0.01, ("enclosed air",))


@pytest.mark.parametrize("verdict", InputVerdict)
def test_the_verdict_is_a_coded_evaluation_of_the_study(verdict: InputVerdict) -> None:
    document = to_sr(prediction(CT, input_check=InputCheck(verdict)), CONTEXT, created=CREATED)
    (said,) = named(document, "INPUT-CHECK")
    assert said.ConceptCodeSequence[0].CodeValue == verdict.name
    assert deviations(document) == []


def test_an_indeterminate_finding_of_a_foreign_input_has_no_certainty() -> None:
    found = finding(presence=Presence.INDETERMINATE, urgency=Urgency.NONE)
    document = to_sr(prediction(CT, findings=(found,), input_check=FOREIGN), CONTEXT, created=CREATED)
    assert named(document, "111012") == []
    (presence,) = named(document, "121052")
    assert presence.ConceptCodeSequence[0].CodeMeaning == "Presence Undetermined"
    assert deviations(document) == []


@pytest.mark.parametrize(("check", "summary"), [(InputCheck(), "111241"), (FOREIGN, "111245")])
def test_nothing_said_of_a_foreign_input_is_no_negative(check: InputCheck, summary: str) -> None:
    document = to_sr(prediction(CT, input_check=check), CONTEXT, created=CREATED)
    values = [
        item.ConceptCodeSequence[0].CodeValue
        for item in named(document, "111017")
        if item.ValueType == "CODE"
    ]
    assert summary in values
