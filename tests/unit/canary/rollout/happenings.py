"""Everything that may happen at a site, by name: one list of names is one history, and reads like one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

from canary.evidence.metric import MetricPhase
from canary.rollout.gate import GateKind
from canary.rollout.plan import Deadline, OnDeadline
from canary.rollout.verbs import Verb, VerbKind
from canary.routing_table import BASIS_POINTS
from canary.verdict import Verdict
from tests.unit.canary.rollout.builders import SUCCESSFUL
from tests.unit.canary.rollout.site import Site

Happening = Callable[[Site], object]
JUMPS_S: Final = (60, 3_600, 86_400, 5 * 86_400, 31 * 86_400, -60, -86_400, -400 * 86_400)
SWITCHES: Final = {
    "mlflow": "registry_answers",
    "the ledger": "ledger_answers",
    "evidence": "has_evidence",
    "the gate": "may_answer",
    "the shadow": "shadow_ready",
}


def routers_follow_and_tick(site: Site) -> None:
    site.routers_follow()
    site.tick()


def both_approve(site: Site) -> None:
    for actor, role in (("ada", "radiologist"), ("bob", "quality")):
        site.say(Verb(kind=VerbKind.APPROVE, actor=actor, role=role))


def all_is_well(site: Site) -> None:
    for switch in SWITCHES.values():
        setattr(site, switch, True)
    site.is_frozen, site.sample_ratio = False, Verdict.SUCCESSFUL
    site.phases = {"sensitivity": SUCCESSFUL, "canary-failures": SUCCESSFUL}


def gates_say_yes(site: Site) -> None:
    """Those that confirm; that of the rollback does not ask for it."""
    for kind in GateKind:
        site.answer(kind, kind is not GateKind.ROLLBACK)


def a_good_day(site: Site) -> None:
    """All goes well for once, so that the later steps are reached."""
    all_is_well(site)
    for _ in range(3):
        gates_say_yes(site)
        routers_follow_and_tick(site)
        both_approve(site)
        site.studies(10)
        site.tick()
    site.pass_time(timedelta(days=1))


def _say(site: Site, kind: VerbKind, **details: object) -> object:
    return site.say(Verb(kind=kind, actor="ada", **details))  # type: ignore[arg-type]


def _set(site: Site, name: str, value: object) -> None:
    setattr(site, name, value)


def _measured(site: Site, metric: str, phase: MetricPhase) -> None:
    site.phases[metric] = phase


def _adverse(site: Site) -> None:
    if (status := site.under_way) is not None:
        site.adverse[status.run] += 1


def _deadline(site: Site, after_s: int, on: OnDeadline) -> None:
    site.plan = replace(site.plan, deadline=Deadline(after_s, on))


def _of_controllers() -> Iterator[tuple[str, Happening]]:
    yield "tick", Site.tick
    yield "routers follow", Site.routers_follow
    yield "routers follow, tick", routers_follow_and_tick
    yield "restart", Site.restart
    for after in range(4):
        yield f"crash after {after} actions", partial(Site.tick, crash_after=after)
    for name, switch in SWITCHES.items():
        yield f"{name} is away", partial(_set, name=switch, value=False)
        yield f"{name} is back", partial(_set, name=switch, value=True)
    for seconds in JUMPS_S:
        yield f"the clock goes {seconds} s", partial(Site.pass_time, by=timedelta(seconds=seconds))


def _of_evidence() -> Iterator[tuple[str, Happening]]:
    for metric in ("sensitivity", "canary-failures", "late-truth", "latency"):
        for phase in MetricPhase:
            yield f"{metric} is {phase}", partial(_measured, metric=metric, phase=phase)
    for verdict in (Verdict.FAILED, Verdict.SUCCESSFUL, Verdict.INCONCLUSIVE):
        yield f"the split is {verdict}", partial(_set, name="sample_ratio", value=verdict)
        yield f"the data plane is {verdict}", partial(_set, name="data_plane", value=verdict)
    for count in (1, 15, 60):
        yield f"{count} studies", partial(Site.studies, count=count)
    yield "an adverse event", _adverse
    yield "all is well", all_is_well


def _of_people() -> Iterator[tuple[str, Happening]]:
    for actor, role in (("ada", "radiologist"), ("ada", "quality"), ("bob", "quality"), ("bob", "janitor")):
        verb = Verb(kind=VerbKind.APPROVE, actor=actor, role=role)
        yield f"{actor} approves as {role}", partial(Site.say, verb=verb)
    for kind in set(VerbKind) - {VerbKind.APPROVE}:
        yield f"ada says {kind}", partial(_say, kind=kind)
    yield "ada says promote --full", partial(_say, kind=VerbKind.PROMOTE, full=True)
    for version in ("1", "2", "3", None):
        yield f"champion is {version} by hand", partial(_set, name="champion", value=version)
        yield f"challenger is {version} by hand", partial(_set, name="challenger", value=version)
    for version in ("2", "3"):
        for weight_bp in (0, 500, BASIS_POINTS):
            told = f"weight {weight_bp} of {version} by hand"
            yield told, partial(Site.set_weight_by_hand, version=version, weight_bp=weight_bp)
    yield "freeze", partial(_set, name="is_frozen", value=True)
    yield "unfreeze", partial(_set, name="is_frozen", value=False)
    for after_s in (3_600, 30 * 86_400):
        for on in OnDeadline:
            yield f"{on} after {after_s} s", partial(_deadline, after_s=after_s, on=on)


def _of_gates() -> Iterator[tuple[str, Happening]]:
    for kind in GateKind:
        for says in (True, False, None):
            yield f"the gate {kind} says {says}", partial(Site.answer, kind=kind, says=says)
    yield "gates say yes", gates_say_yes


HAPPENINGS: Final[Mapping[str, Happening]] = {
    "a good day": a_good_day,
    "both approve": both_approve,
    **dict(sorted((*_of_controllers(), *_of_evidence(), *_of_people(), *_of_gates()))),
}
DEEP: Final = ("late-truth is Failed", "ada says promote --full")  # what shows only where much has happened
OFTEN: Final = ("a good day", "tick", "routers follow, tick", "both approve", "15 studies", "ada says resume")


def weights() -> list[int]:
    """How often each happens, in the order of HAPPENINGS."""
    return [15 if name in OFTEN else 5 if name in DEEP else 1 for name in HAPPENINGS]
