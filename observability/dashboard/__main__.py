"""`python -m observability.dashboard` writes the files of `deploy/grafana` and `deploy/prometheus` from the lists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import yaml

from observability.dashboard.alerts import rules
from observability.dashboard.grafana import dashboard_json

ROOT: Final = Path(__file__).parents[2]
HEAD: Final = (
    "# Written by `python -m observability.dashboard`; change observability/dashboard/alerts.py instead.\n"
)


def files() -> Mapping[str, str]:
    """Each file's content, by its path from the repository's root."""
    told = yaml.safe_dump(rules(), sort_keys=False, allow_unicode=True, width=110)
    return MappingProxyType(
        {
            "deploy/grafana/serinus.json": dashboard_json(),
            "deploy/prometheus/serinus.rules.yaml": HEAD + told,
        }
    )


def main() -> None:
    for path, content in files().items():
        (ROOT / path).write_text(content)
        print(path)


if __name__ == "__main__":
    main()
