"""Settings to deployments: what serve_config.yaml imports."""

from __future__ import annotations

from typing import Any

from ray.serve import Application

from serve_apps.deployments.rollout_controller import RolloutController
from serve_apps.deployments.router import Router
from serve_apps.deployments.study_reader import StudyReader
from serve_apps.settings import load_settings


def build(args: dict[str, Any]) -> Application:
    """The application `serinus`: router, study reader, rollout controller."""
    settings = load_settings(**args)
    router, reader, controller = deployments()
    application: Application = router.bind(settings, reader.bind(settings), controller.bind(settings))
    return application


def deployments() -> tuple[Any, Any, Any]:
    """Serve's decorator turns each class into a Deployment, which its types do not tell."""
    return Router, StudyReader, RolloutController
