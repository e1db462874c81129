"""Ground-truth sets by HTTP: registered, scheduled, run, and how versions did.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from canary.truth import TruthLabel
from canary.truth_set import SetLine, SetTruth
from ledger import StoredSet
from serve_apps.api.dependencies import MUST_READ, Actor, Site
from serve_apps.api.problems import problems
from serve_apps.api.schemas import NAME_PATTERN
from serve_apps.api.strict_json import StrictRoute
from serve_apps.api.truth_set_schemas import (
    CountsOut,
    ResultsOut,
    RunOut,
    ScheduleIn,
    ScoreOut,
    SetLineIn,
    TruthSetIn,
    TruthSetOut,
    TruthSetsOut,
)
from serve_apps.application.truth_sets import RunView
from serve_apps.rollout_spec.units import seconds_of

router = APIRouter(
    prefix="/v1/truth-sets", tags=["truth sets"], responses=problems(), route_class=StrictRoute
)
SetName = Annotated[str, Path(pattern=NAME_PATTERN)]


@router.post(
    "",
    status_code=201,
    responses={200: {"model": TruthSetOut, "description": "the newest version is the same"}},
)
async def register_truth_set(
    services: Site, actor: Actor, declared: TruthSetIn, response: Response
) -> TruthSetOut:
    """Register a set, or the next version of one. What was registered never changes."""
    lines = [line_of(line) for line in declared.lines]
    stored, is_new = await services.truth_sets.register(declared.name, declared.model, lines, actor=actor)
    if not is_new:
        response.status_code = 200
    return set_out(stored)


@router.get("", dependencies=[MUST_READ])
async def list_truth_sets(services: Site) -> TruthSetsOut:
    """The newest version of each set, without its studies."""
    return TruthSetsOut(truth_sets=tuple(set_out(one) for one in await services.truth_sets.all()))


@router.put("/{name}/schedule")
async def schedule_truth_set(services: Site, actor: Actor, name: SetName, asked: ScheduleIn) -> TruthSetOut:
    """Have the set run by itself against every live version: each that appears at once, and then so often."""
    every_s = None if asked.every is None else seconds_of(asked.every)
    return set_out(await services.truth_sets.schedule(name, every_s, actor=actor))


@router.delete("/{name}")
async def delete_truth_set(services: Site, actor: Actor, name: SetName) -> TruthSetOut:
    """Forget all versions of a set and the studies that they name. The results of its runs stay.

    Tells the newest version as it was. Refused while the set is evidence of a rollout that has not ended.
    """
    return set_out(await services.truth_sets.delete(name, actor=actor))


@router.post("/{name}/runs", status_code=202)
async def run_truth_set(services: Site, actor: Actor, name: SetName) -> ResultsOut:
    """Have every live version read the set now, behind all other work. A run that is under way is told as it is."""
    return results_out(name, await services.truth_sets.run(name, actor=actor))


@router.get("/{name}/results", dependencies=[MUST_READ])
async def get_truth_set_results(services: Site, name: SetName) -> ResultsOut:
    """How right which version was, and when: the newest hundred runs."""
    return results_out(name, await services.truth_sets.results(name))


def line_of(line: SetLineIn) -> SetLine:
    truth = SetTruth(TruthLabel(line.label.value), line.source, line.reader)
    return SetLine(line.study_source, line.study_uid, line.finding or "", truth, line.series_uid or "")


def set_out(stored: StoredSet) -> TruthSetOut:
    return TruthSetOut(
        name=stored.name,
        version=stored.version,
        model=stored.model,
        digest=stored.digest,
        studies=stored.studies,
        counts={finding: CountsOut(**counts) for finding, counts in stored.counts.items()},
        every_s=stored.every_s,
        at=stored.at,
        actor=stored.actor,
    )


def results_out(name: str, views: tuple[RunView, ...]) -> ResultsOut:
    return ResultsOut(name=name, runs=tuple(run_out(view) for view in views))


def run_out(view: RunView) -> RunOut:
    run = view.run
    return RunOut(
        id=run.id,
        set_version=run.set_version,
        model=run.model,
        version=run.version,
        digest=run.digest,
        at=run.at,
        actor=run.actor,
        studies=run.studies,
        waiting=run.counts.waiting,
        ended_at=run.ended_at,
        findings=tuple(ScoreOut.model_validate(one) for one in view.result["findings"]),
    )
