"""The HTTP application: its routers, and what every error becomes."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from serve_apps.api import ab_tests, events, jobs, routing, studies, system
from serve_apps.api.dependencies import FindServices
from serve_apps.api.error_handlers import add_error_handlers

TAGS = [
    {"name": "jobs", "description": "Read a study and fetch its result"},
    {"name": "studies", "description": "Push studies by STOW-RS, or say that one is complete"},
    {"name": "routing", "description": "Who reads what, why, and how to change it"},
    {"name": "system", "description": "Health and what is in service"},
]
ROUTERS = (jobs.router, studies.router, routing.router, ab_tests.router, events.router, system.router)


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
    add_error_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    return app
