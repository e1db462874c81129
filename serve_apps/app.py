"""Settings to deployments: what serve_config.yaml imports."""

from __future__ import annotations

from typing import Any

from ray.serve import Application

from serve_apps.deployments.ingress import Ingress
from serve_apps.deployments.job_worker import JobWorker
from serve_apps.deployments.outbox import Outbox
from serve_apps.deployments.rollout_controller import RolloutController
from serve_apps.deployments.shadow_worker import ShadowWorker
from serve_apps.deployments.study_reader import StudyReader
from serve_apps.settings import load_settings

DRAIN_RESERVE_S = 30.0  # after the longest job, for handing back what did not end and for closing


def build(args: dict[str, Any]) -> Application:
    """The application `serinus`. A job worker that is replaced has the time that its longest job may take."""
    settings = load_settings(**args)
    ingress, worker, reader, controller, outbox, shadows = deployments()
    bound_reader = reader.bind(settings)
    grace_s = settings.longest_job_s + DRAIN_RESERVE_S
    workers = worker.options(graceful_shutdown_timeout_s=grace_s).bind(
        settings, bound_reader, outbox.bind(settings), shadows.bind(settings, bound_reader)
    )
    application: Application = ingress.bind(settings, workers, controller.bind(settings))
    return application


def deployments() -> tuple[Any, Any, Any, Any, Any, Any]:
    """Serve's decorator turns each class into a Deployment, which its types do not tell."""
    return Ingress, JobWorker, StudyReader, RolloutController, Outbox, ShadowWorker
