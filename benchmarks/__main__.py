"""Run every benchmark, one after the other: `make bench`. Each prints its own figures; see benchmarks/README.md."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = (
    "fetch_to_volume",
    "input_check",
    "evidence",
    "drift",
    "cost",
    "autoscaling",
    "telemetry",
    "ledger_latency",
    "ledger_growth",
    "bad_input",
    "many_versions",
    "many_rollouts",
    "replica_memory",
    "idle_stack",
    "router_cost",
    "shadow_cost",
    "rollout_latency",
    "storm",
)


def main() -> None:
    for name in BENCHMARKS:
        print(f"\n=== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main()
