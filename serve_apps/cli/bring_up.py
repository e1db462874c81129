"""What `serinus up` does. The demo's models, and torch with them, are imported only where they are registered."""

from __future__ import annotations

from typing import Any

from canary.gates import SitePolicy
from core.errors import SerinusError
from registry.server import EmbeddedServerError
from serve_apps.cli.client import ApiError
from serve_apps.cli.output import Say, progress
from serve_apps.cli.stack import addresses
from serve_apps.cli.study import run_study
from serve_apps.embedded import lifecycle
from serve_apps.embedded.demo import DEMO_SAMPLES, NoSample, main_study
from serve_apps.embedded.ports import PortInUse
from serve_apps.embedded.ray_head import RayDidNotStart
from serve_apps.embedded.supervise import StackFailed
from serve_apps.settings import Settings, load_settings

EXPECTED = (
    PortInUse,
    RayDidNotStart,
    EmbeddedServerError,
    lifecycle.NotReady,
    ApiError,
    NoSample,
    SerinusError,
    StackFailed,
)


def demo_settings() -> Settings:
    """The site's settings; one that says nothing else is a research site, since nobody cleared the demo models. A
    site with a registry of its own gets no demo models, and stays as strict as it is.
    """
    settings = load_settings()
    if "site_policy" in settings.model_fields_set or settings.mlflow_url is not None:
        return settings
    return settings.model_copy(update={"site_policy": SitePolicy.RESEARCH})


def bring_up(settings: Settings, demo: bool, as_json: bool) -> dict[str, Any]:
    """Start what is missing, wait until it is ready, and have a demo model read the sample study, if there is one.
    Raises one of EXPECTED.
    """
    with progress(as_json) as say:
        stack = lifecycle.prepare_state(settings)
        _migrate_ledger(settings, say)
        lifecycle.start_servers(settings, stack, say)
        if demo:
            from serve_apps.embedded.demo_registry import register_demo_models

            demo = register_demo_models(settings, say)
        say("serve deploy serve_config.yaml")
        lifecycle.serve_deploy(settings)
        lifecycle.subscribe_to_registry(settings)
        lifecycle.wait_ready(settings, say)
        document: dict[str, Any] = {"addresses": addresses(settings)}
        if demo:
            sample = main_study(settings, say)
            say(f"reading the sample study {sample.id}: {DEMO_SAMPLES[sample.id]}")
            body = {
                "study_uid": sample.study_uid,
                "source": "samples",
                "outputs": ["json", "sr"],
                "force": True,
            }
            document["demo"] = run_study(settings, body, show=not as_json)
    return document


def _migrate_ledger(settings: Settings, say: Say) -> None:
    """Before anything opens it: every process would refuse one of another revision. Raises NotReady."""
    if settings.ledger_url is None and not settings.paths.ledger.exists():
        return
    from ledger.migrate import migrate
    from ledger.revision import WrongSchema

    try:
        migrated = migrate(settings.ledger)
    except WrongSchema as error:
        raise lifecycle.NotReady(str(error)) from None
    if migrated is not None:
        say(f"migrated the ledger from {migrated.before} to {migrated.after}")
