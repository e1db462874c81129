"""The strict check of a Serve config."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve_apps.cli.config_check import problems

CONFIG = yaml.safe_load((Path(__file__).parents[3] / "serve_config.yaml").read_text())


def changed(change: Any) -> dict[str, Any]:
    config: dict[str, Any] = copy.deepcopy(CONFIG)
    change(config)
    return config


def test_our_own_config_is_sound() -> None:
    assert problems(CONFIG) == ()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda c: c.update(proxy_locatoin="HeadOnly"), "proxy_locatoin"),
        (lambda c: c["http_options"].update(prot=1), "http_options.prot"),
        (lambda c: c["applications"][0].update(nmae="x"), "applications[0].nmae"),
        (
            lambda c: c["applications"][0]["deployments"][1]["autoscaling_config"].update(max_replica=2),
            "autoscaling_config.max_replica",
        ),
        (lambda c: c["applications"][0]["deployments"][0]["ray_actor_options"].update(num_cpu=1), "num_cpu"),
        (lambda c: c["applications"][0]["args"].update(quiet_seconds=1), "args.quiet_seconds"),
        (lambda c: c["applications"][0]["args"].update(ledger_url="sqlite:///x"), "set SERINUS_LEDGER_URL"),
        (lambda c: c["applications"][0].update(name="mv-ich-1"), "rollout controller"),
        (lambda c: c["applications"][0]["deployments"][0].update(name="Rooter"), "unknown deployment Rooter"),
    ],
)
def test_a_typing_error_is_found_at_every_level(change: Any, where: str) -> None:
    assert any(where in problem for problem in problems(changed(change)))


def test_more_replicas_at_least_than_at_most_are_refused() -> None:
    config = changed(
        lambda c: c["applications"][0]["deployments"][1]["autoscaling_config"].update(
            min_replicas=5, max_replicas=2
        )
    )
    assert any("max_replicas" in problem for problem in problems(config))


@pytest.mark.parametrize(
    ("reports", "problem"),
    [
        ("s3://incoming/", "lie where source s3 reads"),
        ("s3://incoming/a/reports/", "lie where source s3 reads"),
        ("s3://other/in/reports", "lie where source other reads"),
        ("s3://other", "lie where source other reads"),
        ("http://incoming/x", "must look like s3://bucket/key"),
        ("s3://reports/../incoming", "must look like s3://bucket/key"),
        ("s3://reports/ai/", None),
        ("s3://other/input/", None),
    ],
)
def test_reports_may_not_lie_where_studies_are_read(reports: str, problem: str | None) -> None:
    sources = [
        {"id": "s3", "kind": "s3", "allowed_prefixes": ["s3://incoming/"], "reports": reports},
        {"id": "other", "kind": "s3", "allowed_prefixes": ["s3://other/in"]},
    ]
    found = problems(changed(lambda c: c["applications"][0]["args"].update(sources=sources)))
    assert len(found) == bool(problem), found
    assert not problem or problem in found[0]


def test_two_controllers_are_sound_for_the_newest_one_leads() -> None:
    def two(config: dict[str, Any]) -> None:
        deployments = config["applications"][0]["deployments"]
        next(d for d in deployments if d["name"] == "RolloutController")["num_replicas"] = 2

    assert problems(changed(two)) == ()


def test_a_sites_own_application_may_name_its_deployments_as_it_likes() -> None:
    own = {
        "name": "own",
        "import_path": "own:build",
        "route_prefix": "/own",
        "deployments": [{"name": "Any"}],
    }
    assert problems(changed(lambda c: c["applications"].append(own))) == ()
