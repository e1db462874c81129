"""The HTTP application: its routers, and what every error becomes."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from serve_apps.api import (
    ab_tests,
    costs,
    drift,
    events,
    jobs,
    keys,
    metrics,
    recalls,
    replays,
    rollout_evidence,
    rollouts,
    routing,
    studies,
    system,
    truth,
    truth_sets,
)
from serve_apps.api.dependencies import FindServices, Services
from serve_apps.api.edge.edge import Edge, Guard
from serve_apps.api.edge.intake import Limits
from serve_apps.api.error_handlers import add_error_handlers
from serve_apps.api.examples import with_examples

TAGS = [
    {"name": "jobs", "description": "Read a study and fetch its result"},
    {"name": "studies", "description": "Push studies by STOW-RS, or say that one is complete"},
    {"name": "truth", "description": "Say what was really there; read again what versions differ on"},
    {"name": "routing", "description": "Who reads what, why, and how to change it"},
    {"name": "rollouts", "description": "Declare a rollout, follow it, and decide where it asks a person"},
    {"name": "replays", "description": "Have a version read in silence what the champion has answered"},
    {
        "name": "truth sets",
        "description": "Fixed lists of studies with what is there, read by every live version",
    },
    {"name": "costs", "description": "What readings cost, and that it sums to the bill"},
    {"name": "drift", "description": "Whether what is read is still as when a person called it normal"},
    {"name": "keys", "description": "Who may call: make, list and revoke keys"},
    {"name": "system", "description": "Health and what is in service"},
]
ROUTERS = (
    jobs.router,
    studies.router,
    truth.router,
    routing.router,
    recalls.router,  # before the rollouts' verbs, of which `recall` is none
    rollouts.router,
    replays.router,
    truth_sets.router,
    rollout_evidence.router,
    ab_tests.router,
    costs.router,
    drift.router,
    metrics.router,
    events.router,
    keys.router,
    system.router,
)


def create_app(find_services: FindServices) -> FastAPI:
    """The application; `find_services` is asked at each request, so that it may be built before they exist."""
    app = FastAPIOffline(  # its pages load nothing from outside: a hospital's network has no outside
        title="Serinus",
        version="1",
        summary="Canary releases for imaging AI",
        description="Name a study, get a result. Send the key in `X-API-Key`.",
        openapi_tags=TAGS,
    )
    app.state.find_services = find_services
    add_error_handlers(app, [route for router in ROUTERS for route in router.routes])
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(Edge, guard=lambda: guard_of(app.state.find_services()))
    with_examples(app)
    return app


def guard_of(services: Services) -> Guard:
    limits = Limits(max_store_bytes=services.settings.max_body_bytes)
    return Guard(services.keys, limits, services.errors.note)
