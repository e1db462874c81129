"""An answer that no report may hold is a failed answer: the champion reads the study, and the failure counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from canary.routing_table import BASIS_POINTS
from core.errors import ModelFailed
from core.priority import QueueOrder
from imaging.finding import Measurement, Prediction
from imaging.report_sr import ReportContext
from ledger import FormerReports
from serve_apps.application.analyse_study import Analysis, StudyOrder, Workplace, analyse_study
from serve_apps.application.messages import FetchedStudy, FetchRequest, Inference, ServedVersion
from serve_apps.application.priority_gate import PriorityGate
from serve_apps.application.report import ReportOrder, report_of
from tests.reports import CREATED, MILLILITRE, VOLUME, classification, finding, segmentation, source
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.inline import Here
from tests.unit.shell.test_former_report import ORDER, RULES
from tests.unit.shell.worker_fakes import Deployments, a_study

CT = source(slices=3)
CONTEXT = ReportContext.of(CT)
SOUND = segmentation(CT)
SLICES, ROWS, COLUMNS = CT.voxels.shape

REFUSED = {
    "an image of another series": replace(
        classification(CT), findings=(finding(key_instance_uid="1.2.3.99"),)
    ),
    "a measurement that is no number": replace(
        SOUND, measurements=(Measurement(VOLUME, float("nan"), MILLILITRE),)
    ),
    "a certainty that is no number": replace(
        classification(CT), findings=(finding(probability=float("nan")),)
    ),
    "a mask with a plane too few": replace(SOUND, mask=np.zeros((SLICES - 1, ROWS, COLUMNS), bool)),
    "a mask with a row too many": replace(SOUND, mask=np.ones((SLICES, ROWS + 1, COLUMNS), bool)),
    "a mask that is one plane": replace(SOUND, mask=np.ones((ROWS, COLUMNS), bool)),
    "a mask that is no numbers": replace(SOUND, mask=np.full((SLICES, ROWS, COLUMNS), "x", object)),
}


class Hospital(Deployments):
    """One CT, of which the canary (version 2) says what no report may hold, and the champion something sound."""

    def __init__(self, refused: Prediction) -> None:
        super().__init__()
        self.said = {"1": SOUND, "2": refused}

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
        return replace(a_study(), context=CONTEXT, geometry=CT.geometry)

    async def predict(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float, order: QueueOrder
    ) -> Inference:
        return Inference(self.said[version.version], (), "cpu")


async def read(order: StudyOrder, hospital: Hospital) -> Analysis:
    snapshot = a_snapshot(a_version("1"), canary=a_version("2"), weight_bp=BASIS_POINTS)
    place = Workplace(lambda: snapshot, hospital, RULES, Here())
    async with PriorityGate(1).slot(order.queue) as slot:
        analysis = await analyse_study(order, place, slot)
    assert isinstance(analysis, Analysis)
    return analysis


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
async def test_the_champion_answers_for_a_canary_whose_answer_no_report_may_hold(refused: Prediction) -> None:
    analysis = await read(replace(ORDER, outputs=("json", "sr", "seg")), Hospital(refused))
    assert analysis.outcome.variant.name == "champion"
    assert {"sr", "seg"} == analysis.documents.keys()
    (failure,) = analysis.outcome.failures
    assert (failure.variant.name, failure.failure, failure.counts) == ("canary", "refused-output", True)


def test_a_refusal_tells_its_kind_and_no_value() -> None:
    odd = replace(SOUND, mask=np.ones((SLICES, ROWS + 1, COLUMNS), bool))
    order = ReportOrder(("seg",), CREATED, CONTEXT, CT.geometry, FormerReports())
    with pytest.raises(ModelFailed) as refused:
        report_of(odd, order)
    assert str(refused.value) == "no report can hold the answer: ValueError"
