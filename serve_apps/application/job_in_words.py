"""What happened to a job beside its reading, in plain words: its priority, and an end without a result. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ledger import Job, JobState


@dataclass(frozen=True, slots=True)
class JobInWords:
    """`priority` says why it is another than the one that was asked for, `end` why there is no result."""

    priority: str | None
    end: tuple[str, ...]


def job_in_words(job: Job, *, wants_report: bool, has_report: bool) -> JobInWords:
    """`wants_report` says whether an SR was to tell the archive of a failure, `has_report` whether there is one."""
    return JobInWords(_priority(job), _end(job, wants_report=wants_report, has_report=has_report))


def _priority(job: Job) -> str | None:
    if job.priority_rule is None:
        return None
    return (
        f"The rule {job.priority_rule!r} made it {job.priority}; its caller asked for {job.asked_priority}."
    )


def _end(job: Job, *, wants_report: bool, has_report: bool) -> tuple[str, ...]:
    match job.state:
        case JobState.CANCELED:
            return ("The job was cancelled: its study was not reported.",)
        case JobState.FAILED:
            return (*_failure(job), _report(job, wants=wants_report, exists=has_report))
        case _:
            return ()


def _failure(job: Job) -> tuple[str, ...]:
    tried = f"It was tried {job.attempt} times" if job.attempt > 1 else "It was tried once"
    lost = f", and its worker was lost {job.losses} times" if job.losses else ""
    return (f"The job failed: {job.error_detail} ({job.error_code}).", f"{tried}{lost}.")


def _report(job: Job, *, wants: bool, exists: bool) -> str:
    if exists and job.undelivered:
        return f"An SR says so, and did not reach the archive: {'; '.join(job.undelivered)}."
    if exists:
        return "An SR in the archive says so."
    if wants:
        return "No SR says so: the study could not be read, or the version that was asked may not answer now."
    return "No SR says so: neither the caller nor the site asked for one."
