"""What the routes depend on: the services of the process that hosts the application, and who calls.

The dependencies are coroutines, since FastAPI would run plain functions in a pool of threads that all requests share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Header, Path, Request, Security
from fastapi.security import APIKeyHeader, SecurityScopes

from serve_apps.api.edge.edge import Authenticates, key_in
from serve_apps.api.listeners import Listeners
from serve_apps.api.schemas import NAME_PATTERN, NO_NUL
from serve_apps.api.stow import Inbox
from serve_apps.api.webhook_receiver import WebhookReceiver
from serve_apps.application.ab_tests import ABService
from serve_apps.application.adjudication import AdjudicationService
from serve_apps.application.callers import MAX_ACTOR, MAX_CALLER_NAME, Caller, Scope
from serve_apps.application.costs import CostService
from serve_apps.application.drift import DriftService
from serve_apps.application.edge_tally import ErrorTally, ResultTally
from serve_apps.application.evidence_packs import EvidencePacks
from serve_apps.application.freeze import FreezeService
from serve_apps.application.jobs import JobService
from serve_apps.application.keys import KeyService
from serve_apps.application.metrics import MetricsService
from serve_apps.application.overview import OverviewService
from serve_apps.application.recalls import RecallService
from serve_apps.application.replay import ReplayService
from serve_apps.application.rollouts import RolloutService
from serve_apps.application.routing import RoutingService
from serve_apps.application.truth import TruthService
from serve_apps.application.truth_sets import TruthSetService
from serve_apps.settings import Settings

MAX_PERSON = MAX_ACTOR - MAX_CALLER_NAME - len("/")


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes need, made by whoever hosts the application."""

    settings: Settings
    jobs: JobService
    routing: RoutingService
    ab_tests: ABService
    freeze: FreezeService
    overview: OverviewService
    keys: Authenticates
    key_service: KeyService
    inbox: Inbox
    truth: TruthService
    adjudications: AdjudicationService
    rollouts: RolloutService
    replays: ReplayService
    truth_sets: TruthSetService
    recalls: RecallService
    evidence_packs: EvidencePacks
    costs: CostService
    drift: DriftService
    metrics: MetricsService
    webhooks: WebhookReceiver
    results: ResultTally
    errors: ErrorTally
    listeners: Listeners = field(default_factory=Listeners)


FindServices = Callable[[], Services]


async def services_of(request: Request) -> Services:
    """The services of this process, asked for at each request, so that the application may be built before its
    services exist.
    """
    find: FindServices = request.app.state.find_services
    return find()


Site = Annotated[Services, Depends(services_of)]
API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False)


async def caller_of(
    scopes: SecurityScopes,
    services: Site,
    request: Request,
    key: Annotated[str | None, Security(API_KEY)] = None,
) -> Caller:
    """The caller of the key, who has every scope that the route asks for."""
    caller = services.keys.authenticate(key_in(request.headers))
    for scope in scopes.scopes:
        caller.require(Scope(scope))
    return caller


Submitter = Annotated[Caller, Security(caller_of, scopes=[Scope.JOBS_WRITE.value])]
Reader = Annotated[Caller, Security(caller_of, scopes=[Scope.RESULTS_READ.value])]
Sender = Annotated[Caller, Security(caller_of, scopes=[Scope.STUDIES_WRITE.value])]
TruthTeller = Annotated[Caller, Security(caller_of, scopes=[Scope.TRUTH_WRITE.value])]
Administrator = Annotated[Caller, Security(caller_of, scopes=[Scope.ADMIN.value])]

MUST_READ = Security(caller_of, scopes=[Scope.RESULTS_READ.value])
MUST_SCRAPE = Security(caller_of, scopes=[Scope.METRICS_READ.value])
MUST_ADMINISTER = Security(caller_of, scopes=[Scope.ADMIN.value])


Person = Annotated[str | None, Header(min_length=1, max_length=MAX_PERSON)]


async def actor_of(caller: Administrator, x_serinus_actor: Person = None) -> str:
    """Who did it, for the audit: the key's name, and the person it speaks for."""
    return _named(caller, x_serinus_actor)


async def truth_actor_of(caller: TruthTeller, x_serinus_actor: Person = None) -> str:
    """Who told a truth, as `actor_of` says it of an administrator."""
    return _named(caller, x_serinus_actor)


def _named(caller: Caller, person: str | None) -> str:
    return f"{caller.name}/{person}" if person else caller.name


Actor = Annotated[str, Depends(actor_of)]
TruthActor = Annotated[str, Depends(truth_actor_of)]
JobId = Annotated[str, Path(max_length=64, pattern=NO_NUL)]
KeyRef = Annotated[str, Path(pattern=NAME_PATTERN)]
ModelName = Annotated[str, Path(pattern=NAME_PATTERN)]
Version = Annotated[str, Path(pattern=NAME_PATTERN)]
