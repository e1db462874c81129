"""What follows from a version's tags is worked out again when they change, and only then."""

from __future__ import annotations

from dataclasses import replace

from registry.client import ModelVersion
from serve_apps.control.admission import Admitted, Key
from serve_apps.control.judged import JudgedVersions
from serve_apps.settings import Settings
from tests.unit.shell.builders import a_version

KEY: Key = ("ich-triage", "1")


def admitted(**tags: str) -> Admitted:
    return Admitted(
        ModelVersion(*KEY, {"regulatory.status": "research"} | tags), "sha256:1", a_version("1").spec
    )


def test_a_version_that_is_as_it_was_keeps_what_was_judged() -> None:
    versions = JudgedVersions(Settings(site_policy="research"))
    first = versions.of({KEY: admitted()})[KEY]
    assert versions.of({KEY: admitted()})[KEY] is first
    assert (first.served.may_answer, first.view.app, first.fault) == (True, "mv-ich-triage-1", None)


def test_a_changed_tag_is_judged_anew() -> None:
    versions = JudgedVersions(Settings(site_policy="research"))
    versions.of({KEY: admitted()})
    withdrawn = versions.of({KEY: admitted(**{"regulatory.status": "withdrawn"})})[KEY]
    assert not withdrawn.view.gate.may_answer
    wrong = versions.of({KEY: admitted(**{"serinus.resources.num_cpus": "many"})})[KEY]
    assert wrong.fault == "the tag serinus.resources.num_cpus is no number"


def test_another_artifact_is_judged_anew_and_what_is_gone_is_forgotten() -> None:
    versions = JudgedVersions(Settings())
    versions.of({KEY: admitted()})
    other = versions.of({KEY: replace(admitted(), digest="sha256:2")})
    assert other[KEY].served.digest == "sha256:2"
    assert versions.of({}) == {}
