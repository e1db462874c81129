"""What the controller does beside observing and the rollouts, each as a chore of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core.clock import now
from ledger import Ledger
from registry.client import RegistryClient
from registry.runs import Runs
from registry.webhook_subscription import name_of_site
from serve_apps.adapters.tracing import pseudonymiser, trace_exports
from serve_apps.application.drift_watch import DriftWatch
from serve_apps.application.purge import SitePurge
from serve_apps.application.replay import Replays
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.application.truth_set_runs import TruthSetRunner
from serve_apps.control.backlog_replays import BacklogReplays
from serve_apps.control.chore import Chore, beside_the_load, while_leading
from serve_apps.control.recalls import Recalls
from serve_apps.control.rollout_board import RolloutBoard
from serve_apps.control.rollout_runs import RolloutRuns
from serve_apps.settings import Settings

LOOK_S: Final = 5.0  # between two looks
TRUTH_SETS_S: Final = 60.0
ROLLOUT_RUNS_S: Final = 2.0
FOLDS_S: Final = 2.0
TRACES_S: Final = 5.0
TRACES_LATEST_S: Final = (
    15.0  # MLflow works longer at a trace than anybody else, on the same cores as the studies
)
DRIFT_LOOK_S: Final = 600.0  # a version is judged once a day; between, a look costs two queries


def chores_of(
    settings: Settings,
    ledger: Ledger,
    client: RegistryClient,
    board: RolloutBoard,
    snapshot: Callable[[], RoutingSnapshot],
    leads: Callable[[], bool],
) -> tuple[Chore, ...]:
    """`snapshot` is what this controller published last; `leads` asks the ledger whether it still leads."""
    purge = SitePurge(ledger.retention, ledger.audit, settings)
    recalls = Recalls(ledger.recalls, ledger.recalled_studies, ledger.shadows)
    replays = BacklogReplays(ledger.rollouts, ledger.replays, Replays(ledger, settings.adjudicate_concordant))
    sets = TruthSetRunner(ledger, pseudonymiser(settings))
    site = name_of_site(settings.paths.webhook_key.read_text().strip())
    runs = RolloutRuns(Runs(client), board, ledger.rollouts.of_run, site, leads)

    def purge_what_is_old() -> None:
        purge.purge("retention")

    def led(look: Callable[[RoutingSnapshot], None]) -> Callable[[], None]:
        return while_leading(leads, lambda: look(snapshot()))

    def look_at_sets(published: RoutingSnapshot) -> None:
        sets.look(published, now(), actor="schedule")

    def add_to_metrics() -> None:
        while ledger.metrics.fold(settings.trace_sampling):
            pass

    def count_for_drift() -> None:
        while ledger.drift.fold():
            pass

    exports = trace_exports(settings, ledger.traces)

    purge_s = settings.purge_interval_s
    return (
        Chore("purge", purge_what_is_old, purge_s, first_after_s=purge_s),
        Chore("recalls", led(recalls.look), LOOK_S),
        Chore("backlog-replays", led(replays.look), LOOK_S),
        Chore("truth-sets", led(look_at_sets), TRUTH_SETS_S, first_after_s=TRUTH_SETS_S),
        Chore("rollout-runs", runs.write, ROLLOUT_RUNS_S),
        Chore("metrics", while_leading(leads, add_to_metrics), FOLDS_S),
        Chore("drift", while_leading(leads, count_for_drift), FOLDS_S),
        *(
            Chore(
                f"traces-{sink}",
                while_leading(leads, beside_the_load(ledger.jobs.any_running, export.look, TRACES_LATEST_S)),
                TRACES_S,
            )
            for sink, export in exports.items()
        ),
        Chore("drift-watch", led(DriftWatch(ledger).look_at), DRIFT_LOOK_S, first_after_s=TRUTH_SETS_S),
    )
