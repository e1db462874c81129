"""The replicas of JobWorker that live, as Ray knows them: it hears of a killed process at once."""

from __future__ import annotations

import ray
from ray import serve
from ray.util import list_named_actors


def own_worker_name() -> str:
    """`<session of the cluster>/<name of the replica's actor>`; another cluster may share the ledger."""
    return _worker_name(serve.get_replica_context().replica_id.to_full_id_str())


def living_workers() -> frozenset[str]:
    """The names of all replicas of this cluster, of whatever deployment; it asks Ray's control service once."""
    return frozenset(_worker_name(actor["name"]) for actor in list_named_actors(all_namespaces=True))


def _worker_name(actor_name: str) -> str:
    return f"{ray.get_runtime_context().get_session_name()}/{actor_name}"
