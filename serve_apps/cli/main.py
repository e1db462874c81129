"""The `serinus` command."""

from __future__ import annotations

import typer

from core.private_files import write_privately
from serve_apps.cli import (
    ab,
    cost,
    drift,
    freeze,
    keys,
    models,
    recall,
    replay,
    rollout,
    routing,
    samples,
    stack,
    status,
    study,
    truth,
    truth_set,
    upkeep,
)

app = typer.Typer(
    name="serinus",
    help="Canary releases for imaging AI, on Ray Serve.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(stack.up)
app.command()(stack.down)
app.command()(status.status)
app.command()(upkeep.migrate)
app.command()(upkeep.backup)
app.command()(upkeep.restore)
app.command()(upkeep.purge)
app.command(name="anchor-audit")(upkeep.anchor_audit)
app.command()(study.submit)
app.command()(study.job)
app.command()(routing.variants)
app.command()(routing.explain)
app.command()(routing.audit)
app.command()(freeze.freeze)
app.command()(freeze.unfreeze)
app.add_typer(routing.route, name="route", help="Who reads which share of the studies.")
rollout.app.command(name="recall")(recall.show)
rollout.app.command(name="recalls")(recall.show_all)
rollout.app.command(name="recall-begin")(recall.begin)
rollout.app.command(name="recall-done")(recall.done)
app.add_typer(rollout.app, name="rollout", help="Rollouts that are declared in a file.")
app.add_typer(
    replay.app, name="replay", help="Have a version read in silence what the champion has answered."
)
app.add_typer(ab.ab, name="ab", help="A/B tests of versions that are equal in rights.")
app.add_typer(cost.app, name="cost", help="What readings cost.")
app.add_typer(drift.app, name="drift", help="Whether what is read is still normal.")
app.add_typer(keys.keys, name="keys", help="Who may call: make, list and revoke keys.")
app.add_typer(
    truth.truth, name="truth", help="Say what was really there; read again what versions differ on."
)
app.add_typer(
    truth_set.app, name="truth-set", help="Fixed lists of studies, and how right live versions are on them."
)
app.command(name="samples")(samples.samples)
app.command(name="check-config")(stack.check_config)
app.add_typer(models.app, name="models", help="Register, list and verify model versions in MLflow.")


def main() -> None:
    write_privately()
    app()
