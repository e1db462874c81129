"""Settings to deployments: what serve_config.yaml imports."""

from __future__ import annotations

from typing import Any

from ray.serve import Application

from serve_apps.rollout_controller import RolloutController
from serve_apps.router import Router
from serve_apps.settings import load_settings
from serve_apps.study_reader import StudyReader


def build(args: dict[str, Any]) -> Application:
    """The application `serinus`: router, study reader, rollout controller."""
    settings = load_settings(**args)
    controller = RolloutController.bind(settings)
    return Router.bind(settings, StudyReader.bind(settings), controller)
