"""The experiment of MLflow that takes the traces, by MLflow's REST interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import httpx

from core.errors import RegistryUnavailable

MLFLOW_EXPERIMENT_HEADER: Final = "x-mlflow-experiment-id"


def mlflow_experiment_id(
    base_url: str, name: str, *, timeout_s: float = 2.0, headers: Mapping[str, str] | None = None
) -> str:
    """The id of the experiment, created or restored if need be: MLflow drops traces for any other, silently.

    Raises RegistryUnavailable. Two processes may ask at the same time.
    """
    api = f"{base_url.rstrip('/')}/api/2.0/mlflow/experiments"
    try:
        with httpx.Client(timeout=timeout_s, headers=dict(headers or {})) as client:
            return _find(client, api, name) or _create(client, api, name)
    except (httpx.HTTPError, KeyError, ValueError):
        raise RegistryUnavailable("MLflow did not answer for the experiment of traces") from None


def _find(client: httpx.Client, api: str, name: str) -> str | None:
    answer = client.get(f"{api}/get-by-name", params={"experiment_name": name})
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    experiment = answer.raise_for_status().json()["experiment"]
    experiment_id = str(experiment["experiment_id"])
    if experiment.get("lifecycle_stage") == "deleted":
        client.post(f"{api}/restore", json={"experiment_id": experiment_id}).raise_for_status()
    return experiment_id


def _create(client: httpx.Client, api: str, name: str) -> str:
    answer = client.post(f"{api}/create", json={"name": name})
    if answer.status_code == httpx.codes.BAD_REQUEST:  # another process was quicker
        found = _find(client, api, name)
        if found is not None:
            return found
    return str(answer.raise_for_status().json()["experiment_id"])
