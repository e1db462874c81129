"""Who else is to read a study, once it was answered or the champion failed it: written with the end of its job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from canary.paired_study import Ended, ended_by
from core.errors import PoisonStudy, WorkerLost
from imaging.packed_mask import Mask, pack
from ledger import Job, ShadowTask
from serve_apps.application.analyse_study import Analysis, Progress
from serve_apps.application.predict_with_fallback import VariantFailure
from serve_apps.application.shadow import DeliveredInference, shadow_tasks_of

MOST_MASK_BYTES: Final = 4 * 2**20  # a packed mask beyond it is not kept, and the study has no overlap
READ_NO_MORE: Final = frozenset(
    {WorkerLost.code, PoisonStudy.code}
)  # by which processes ended: they are to end once


def pending_shadows(job: Job, analysis: Analysis) -> tuple[ShadowTask, ...]:
    """The shadow tasks of a study that was answered, but for its mask."""
    outcome = analysis.outcome
    delivered = DeliveredInference.of(job.study, analysis.study, outcome.inference, outcome.version.spec)
    return shadow_tasks_of(delivered, analysis.assignment, analysis.champion)


def with_mask(tasks: Sequence[ShadowTask], mask: Mask) -> tuple[ShadowTask, ...]:
    """The tasks with the segmentation that was delivered. Takes as long as the mask is large."""
    packed = pack(mask)
    return tuple(replace(task, mask=packed if len(packed) <= MOST_MASK_BYTES else None) for task in tasks)


def shadows_of_failure(job: Job, progress: Progress) -> tuple[ShadowTask, ...]:
    """The shadow tasks of a study that the champion failed in the end, so that this counts for who reads it.

    None where the study is for no version (it cannot be read, or is outside of the intended use), where the failure
    is not the champion's, and where processes ended at it.
    """
    routed, study = progress.routed, progress.study
    failure = _failure_of_champion(progress)
    if routed is None or study is None or failure is None:
        return ()
    delivered = DeliveredInference.failed(job.study, study, failure.variant, failure.code)
    return shadow_tasks_of(delivered, routed.assignment, failure.variant)


def _failure_of_champion(progress: Progress) -> VariantFailure | None:
    """The champion's last failure, if it is the one that ended the reading and its own."""
    table = None if progress.routed is None else progress.routed.assignment.table
    if table is None or not progress.failures:
        return None
    last = progress.failures[-1]
    is_its_own = last.counts and ended_by(last.code) is Ended.FAILED and last.code not in READ_NO_MORE
    return last if last.variant == table.champion and is_its_own else None
