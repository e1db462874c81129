"""What a version may do by law and by its intended use. Whoever moves an alias cannot move these gates."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RegulatoryStatus(StrEnum):
    """The tag `regulatory.status` of a model version."""

    RESEARCH = "research"
    CLEARED = "cleared"
    WITHDRAWN = "withdrawn"


class SitePolicy(StrEnum):
    """Strict is the default of a new site. A research site says so in its settings."""

    STRICT = "strict"
    RESEARCH = "research"


class Permission(StrEnum):
    ANSWER = "answer"  # as champion, canary or arm
    SHADOW = "shadow"  # for evidence only


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What a version may do; `research_only` must stand in every result of it. `reason`: a sentence."""

    permissions: frozenset[Permission]
    research_only: bool
    reason: str

    @property
    def may_answer(self) -> bool:
        return Permission.ANSWER in self.permissions

    @property
    def may_shadow(self) -> bool:
        return Permission.SHADOW in self.permissions


@dataclass(frozen=True, slots=True)
class Clearance:
    """What is claimed of a version: its status tag, and the digest of the artifact that the claim is about.

    Both are None where the tag is missing. MLflow copies all tags when a version is promoted to another
    registered model, so a clearance may stand beside an artifact that it was never given to.
    """

    status: str | None
    digest: str | None


def regulatory_gate(clearance: Clearance, artifact_digest: str, policy: SitePolicy) -> GateVerdict:
    """Without a clearance for this very digest a version only reads as a shadow, unless the site does research.

    |                          | strict      | research                |
    |--------------------------|-------------|-------------------------|
    | cleared, same digest     | answer      | answer                  |
    | cleared, other/no digest | shadow      | answer, research only   |
    | research, or no status   | shadow      | answer, research only   |
    | withdrawn                | nothing     | nothing                 |
    | unknown word             | shadow      | shadow                  |
    """
    try:
        status = RegulatoryStatus(clearance.status) if clearance.status else None
    except ValueError:
        return _shadow_only("its regulatory.status is no known word, so it only reads as a shadow")
    if status is RegulatoryStatus.WITHDRAWN:
        return GateVerdict(frozenset(), True, "it was withdrawn, so it reads nothing")
    if status is RegulatoryStatus.CLEARED and artifact_digest and clearance.digest == artifact_digest:
        return GateVerdict(frozenset(Permission), False, "it is cleared for this very artifact")
    lack = _lack(status)
    if policy is SitePolicy.STRICT:
        return _shadow_only(f"{lack}, so it only reads as a shadow")
    return GateVerdict(frozenset(Permission), True, f"{lack}; this site does research, so it may answer")


def _lack(status: RegulatoryStatus | None) -> str:
    if status is RegulatoryStatus.CLEARED:
        return "its clearance was given to another artifact"
    return "no regulator has cleared it" if status is None else "it is for research only"


def _shadow_only(reason: str) -> GateVerdict:
    return GateVerdict(frozenset({Permission.SHADOW}), True, reason)


@dataclass(frozen=True, slots=True)
class UseLimits:
    """For which studies a version is meant. Empty tuples and None set no limit; ages in years, inclusive.

    `views` are those of a projection; `without_contrast` leaves out studies that name a contrast agent.
    """

    modalities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    min_age_years: int | None = None
    max_age_years: int | None = None
    views: tuple[str, ...] = ()
    without_contrast: bool = False


@dataclass(frozen=True, slots=True)
class StudyInUse:
    """What the check needs of a study. A blank body part or view, or an age of None, is what it does not say."""

    modality: str
    body_part: str = ""
    age_years: float | None = None
    view: str = ""
    has_contrast: bool = False


@dataclass(frozen=True, slots=True)
class UseVerdict:
    """`reason` names the rule that was broken, never the patient's own value."""

    allowed: bool
    reason: str


def check_intended_use(limits: UseLimits, study: StudyInUse, policy: SitePolicy) -> UseVerdict:
    """Whether a version may read this study, before it does. Compares codes without regard to case.

    A blank body part or view passes (BodyPartExamined is type 3 and mostly missing; the series rules look at the
    image's geometry instead). An unknown age passes only at a research site.
    """
    if not _listed(study.modality, limits.modalities):
        return UseVerdict(False, f"it is meant for {_list(limits.modalities)} only")
    if study.body_part and not _listed(study.body_part, limits.body_parts):
        return UseVerdict(False, f"it is meant for {_list(limits.body_parts)} only")
    if study.view and not _listed(study.view, limits.views):
        return UseVerdict(False, f"it is meant for the views {_list(limits.views)} only")
    if study.has_contrast and limits.without_contrast:
        return UseVerdict(False, "it is meant for images without contrast agent only")
    return _check_age(limits, study.age_years, policy)


def _check_age(limits: UseLimits, age: float | None, policy: SitePolicy) -> UseVerdict:
    low, high = limits.min_age_years, limits.max_age_years
    if low is None and high is None:
        return UseVerdict(True, "the study lies within the intended use")
    if age is None:
        if policy is SitePolicy.RESEARCH:
            return UseVerdict(True, "the age is unknown, which this research site accepts")
        return UseVerdict(False, "it has an age limit and the study names no age")
    if (low is not None and age < low) or (high is not None and age >= high + 1):
        return UseVerdict(False, f"it is meant for ages {_range(low, high)} only")
    return UseVerdict(True, "the study lies within the intended use")


def _range(low: int | None, high: int | None) -> str:
    if high is None:
        return f"from {low}"
    return f"up to {high}" if low is None else f"{low} to {high}"


def _listed(code: str, allowed: tuple[str, ...]) -> bool:
    return not allowed or code.strip().upper() in {a.upper() for a in allowed}


def _list(codes: tuple[str, ...]) -> str:
    return ", ".join(codes)
