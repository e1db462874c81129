"""Site settings: read once, when the application is built or a command starts, and passed down as values.

Precedence: arguments of the Serve application (`args:` in serve_config.yaml), then `SERINUS_*` variables, then
the defaults below. Nothing else in the project reads the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from canary.gates import SitePolicy
from canary.input_check import InputPolicy, InputRule
from canary.priority_rules import PriorityRule
from canary.rollout.default_plan import DefaultRollout
from canary.routing_table import AssignmentKey
from core.errors import RequestError
from core.priority import Priority
from core.retry import RetryPolicy
from core.weekly_hours import hours_of
from imaging.object_location import parse_prefix
from imaging.pixel_limits import PixelLimits
from serve_apps.resources import Resources

INBOX = "inbox"  # id of the source of studies that were pushed by STOW-RS; always there
SAMPLES = "samples"  # id of the source of sample studies; always there


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")


class FolderSourceSettings(_Source):
    """Studies in a folder of Part 10 files.

    Reports are written to `reports`, else to `serinus-reports` in the folder.
    """

    kind: Literal["folder"]
    root: Path
    reports: Path | None = None


class DicomwebSourceSettings(_Source):
    """A PACS with QIDO-RS, WADO-RS and STOW-RS; reports go back into the study."""

    kind: Literal["dicomweb"]
    base_url: str
    username: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None


class ObjectSourceSettings(_Source):
    """Objects in a bucket; only keys under `allowed_prefixes` (`s3://bucket/prefix/`) are ever read.

    Reports are written under `reports`, a prefix that no source reads; without one into the state folder.
    """

    kind: Literal["s3"]
    allowed_prefixes: tuple[str, ...]
    endpoint_url: str | None = None
    region: str | None = None
    reports: str | None = None

    @field_validator("allowed_prefixes", "reports")
    @classmethod
    def _are_prefixes(cls, value: tuple[str, ...] | str | None) -> tuple[str, ...] | str | None:
        for uri in (value,) if isinstance(value, str) else value or ():
            try:
                parse_prefix(uri)
            except RequestError as error:
                raise ValueError(error.detail) from None
        return value


SourceSettings = Annotated[
    FolderSourceSettings | DicomwebSourceSettings | ObjectSourceSettings, Field(discriminator="kind")
]


class PriorityRuleSettings(BaseModel):
    """A context that raises a study's priority, as `canary.priority_rules.PriorityRule` has it."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=64)
    match: dict[str, tuple[str, ...]]
    priority: Priority
    may_lower: bool = False

    @field_validator("match", mode="before")
    @classmethod
    def _one_is_a_list(cls, match: object) -> object:
        if not isinstance(match, dict):
            return match
        return {name: [value] if isinstance(value, str) else value for name, value in match.items()}

    @model_validator(mode="after")
    def _is_a_rule(self) -> Self:
        _ = self.rule
        return self

    @property
    def rule(self) -> PriorityRule:
        return PriorityRule(self.name, self.match, self.priority, self.may_lower)


class Settings(BaseSettings):
    """Everything a site may decide. Times in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="SERINUS_", extra="forbid")

    state_dir: Path = Path(".serinus")
    host: str = "127.0.0.1"
    api_port: int = 8000
    mlflow_port: int = 5000
    mlflow_url: str | None = None
    public_url: str | None = None  # where a registry elsewhere reaches this API
    ray_port: int = 6399
    ray_dashboard_port: int = 8265
    ray_dashboard_modules: str = "ServeHead,NodeHead,StateHead"  # of the embedded Ray, or `all`
    ray_cpus: int | None = None
    ray_auth_mode: Literal["token", "disabled"] = "token"
    haproxy: bool = False

    ledger_url: str | None = None
    site: str = "site"
    site_policy: SitePolicy = SitePolicy.STRICT
    sources: tuple[SourceSettings, ...] = ()
    infer_source: str = "s3"
    callback_hosts: tuple[str, ...] = ()
    priority_rules: tuple[PriorityRuleSettings, ...] = ()
    failure_sr: bool = False  # whether a study that no version could read gets an SR that says so

    default_resources: Resources = Resources()
    device: Literal["auto", "cpu", "cuda"] = "auto"
    registry_poll_s: float = 0.5
    max_study_bytes: int = 8 << 30
    max_body_bytes: int = 2 << 30
    max_study_instances: int = 5000
    max_image_bytes: int = 512 << 20  # of one image, decoded
    max_decoded_bytes: int = 4 << 30  # of all images of a study, decoded
    max_open_jobs: int = 10_000
    max_waiting_callers: int = 100
    jobs_per_worker: int = 4
    lease_s: float = 15.0
    source_horizon_s: float = 24 * 3600.0
    model_horizon_s: float = 24 * 3600.0
    model_failed_attempts: int = 6
    worker_losses: int = 20
    fetch_timeout_s: float = 120.0
    forward_timeout_s: float = 300.0
    input_check: InputRule = InputRule.REFUSE  # what follows for a study out of a version's distribution
    input_check_required: bool = False  # whether a version that brings no reference may answer
    forward_hang_s: float = 60.0  # a forward that runs longer has the replica run its golden input again
    reads_per_reader: int = Field(default=4, ge=1)
    reader_memory_bytes: int | None = (
        None  # what a reader may hold before it is ended; a third of the machine if None
    )
    stable_age_s: float = 5.0
    infer_wait_s: float = 30.0
    rollback_window_s: float = 3600.0
    scale_down_delay_s: float = 600.0
    alias_grace_s: float = Field(default=3.0, ge=0.0)  # an alias that is back by then was never away
    assignment_key: AssignmentKey = AssignmentKey.PATIENT
    stable_reserve_s: float = 20.0
    canary_timeout_s: float = 30.0
    shadow_recent_studies: int = 4
    shadow_max_wait_s: float = 300.0
    shadow_backlog_alarm_s: float = 3600.0
    delivery_timeout_s: float = 120.0

    price_book: Path | None = None  # what is paid for what, docs/costs.md; read at each report

    keep_documents_days: float | None = Field(default=90, gt=0)  # SR and SEG in the ledger; None: for ever
    keep_jobs_days: float | None = Field(default=365, gt=0)  # and all that names a study
    keep_evidence_days: float | None = Field(default=1825, gt=0)  # decisions and outcomes, by pseudonyms
    keep_cost_events_days: float = Field(default=92, gt=2)  # for so long the books of costs can be corrected
    keep_inbox_hours: float = Field(default=24, gt=0)  # a pushed study that was read and delivered
    keep_failed_inbox_hours: float = Field(default=168, gt=0)  # one that was not
    purge_interval_s: float = Field(default=3600, gt=0)
    default_rollout: Literal["off", "silent", "live"] = (
        "silent"  # how a challenger begins that no rollout spec names; `live` may expose patients
    )
    default_change_record: str = ""  # under which `live` may
    adjudicate_concordant: float = Field(
        default=0.05, gt=0, le=1
    )  # of the patients of whom two versions agree, the share that is read again

    otlp_endpoint: str | None = None  # of the site's own collector; in full with HTTP (`…/v1/traces`)
    otlp_metrics_endpoint: str | None = None  # in full, by HTTP: `http://collector:4318/v1/metrics`
    otlp_protocol: Literal["http/protobuf", "grpc"] = "http/protobuf"
    otlp_headers: dict[str, SecretStr] = Field(default_factory=dict)
    mlflow_traces: bool = True  # whether traces go to MLflow, too
    trace_sampling: float = Field(default=1.0, ge=0.0, le=1.0)  # of the ordinary studies
    trusted_trace_callers: tuple[str, ...] = ()  # names of API keys whose `traceparent` is honoured

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("an OTLP endpoint begins with http:// or https://")
        return value

    time_zone: str = "UTC"  # whose clocks the hours of a `schedule` are read by, as `Europe/Berlin`
    schedules: dict[str, str] = {}  # hours by model, for versions whose tags name none

    @field_validator("schedules")
    @classmethod
    def _are_hours(cls, value: dict[str, str]) -> dict[str, str]:
        for model, text in value.items():
            try:
                hours_of(text)
            except ValueError as error:
                raise ValueError(f"the schedule of {model}: {error}") from None
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, KeyError):
            raise ValueError(f"no time zone is called {value!r}") from None
        return value

    @model_validator(mode="after")
    def _no_report_is_read(self) -> Self:
        """A report under a prefix that is read would announce its study again, and be fetched with it."""
        buckets = [source for source in self.sources if isinstance(source, ObjectSourceSettings)]
        for source in buckets:
            for other in buckets:
                if source.reports and other.endpoint_url == source.endpoint_url:
                    reports = parse_prefix(source.reports)
                    if any(reports.overlaps(parse_prefix(prefix)) for prefix in other.allowed_prefixes):
                        raise ValueError(
                            f"the reports of source {source.id} lie where source {other.id} reads studies"
                        )
        return self

    @model_validator(mode="after")
    def _exposure_has_a_record(self) -> Self:
        if self.default_rollout == "live" and not self.default_change_record.strip():
            raise ValueError("default_rollout live needs a default_change_record")
        return self

    @property
    def default_rollout_plan(self) -> DefaultRollout:
        """What a challenger begins that no rollout spec names."""
        is_live = self.default_rollout == "live"
        begins, record = self.default_rollout != "off", self.default_change_record
        return DefaultRollout(begins, is_live, record, self.assignment_key)

    @property
    def all_sources(self) -> Mapping[str, SourceSettings]:
        """Every source by id: the site's own, and the two folders that always exist."""
        paths = self.paths
        built_in: tuple[SourceSettings, ...] = (
            FolderSourceSettings(id=INBOX, kind="folder", root=paths.inbox, reports=paths.reports),
            FolderSourceSettings(id=SAMPLES, kind="folder", root=paths.samples, reports=paths.reports),
        )
        return {source.id: source for source in (*built_in, *self.sources)}

    @property
    def pixel_limits(self) -> PixelLimits:
        """What pixels may decode to."""
        return PixelLimits(self.max_image_bytes, self.max_decoded_bytes)

    @property
    def retry_policy(self) -> RetryPolicy:
        """How long failed work is tried again, by the class of its failure."""
        return RetryPolicy(
            source_horizon_s=self.source_horizon_s,
            model_horizon_s=self.model_horizon_s,
            model_failed_attempts=self.model_failed_attempts,
            worker_losses=self.worker_losses,
        )

    @property
    def input_policy(self) -> InputPolicy:
        """What follows for a study that a version does not know."""
        return InputPolicy(self.input_check, self.input_check_required)

    def resources_of(self, model: str) -> Resources:
        """What a version of the model needs where its tags say nothing."""
        schedule = self.schedules.get(model, self.default_resources.schedule)
        return replace(self.default_resources, schedule=schedule)

    @property
    def zone(self) -> ZoneInfo:
        """The site's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def fetch_call_s(self) -> float:
        """How long a call of the study reader may take: its wait there is not charged to the source."""
        return 2 * self.fetch_timeout_s

    @property
    def longest_job_s(self) -> float:
        """What a job may take from the claim to its end."""
        return self.fetch_call_s + self.forward_timeout_s

    @property
    def volume_loan_s(self) -> float:
        """What a volume may be kept for whoever borrowed it: a job, and after it the shadows of its study."""
        return self.longest_job_s + 2 * self.shadow_max_wait_s

    @property
    def registry_url(self) -> str:
        return self.mlflow_url or f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def api_url(self) -> str:
        return f"http://{self.host}:{self.api_port}"

    @property
    def webhook_url(self) -> str:
        """Where MLflow says that something changed."""
        return f"{(self.public_url or self.api_url).rstrip('/')}/v1/webhooks/mlflow"

    @property
    def dashboard_url(self) -> str:
        return f"http://127.0.0.1:{self.ray_dashboard_port}"

    @property
    def ledger(self) -> str:
        return self.ledger_url or f"sqlite:///{self.paths.ledger}"

    @property
    def paths(self) -> StatePaths:
        return StatePaths(self.state_dir.resolve())


class StatePaths:
    """Where everything lies inside the one state folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ledger = root / "ledger.db"
        self.audit_anchor = root / "audit_anchor.json"
        self.mlflow = root / "mlflow"
        self.demo_mark = root / "mlflow" / "demo-models"
        self.keys = root / "keys"
        self.signing_key = root / "keys" / "signing.key"
        self.verify_key = root / "keys" / "signing.pub"
        self.pseudonym_key = root / "keys" / "pseudonym.key"
        self.webhook_key = root / "keys" / "webhook.key"
        self.callback_key = root / "keys" / "callback.key"
        self.api_keys = root / "keys" / "api_keys.json"
        self.api_key = root / "keys" / "api_key"
        self.orchestrator_key = root / "keys" / "orchestrator_key"
        self.ray_token = root / "keys" / "ray_token"
        self.ray = root / "ray"
        self.models = root / "model-cache"
        self.samples = root / "samples"
        self.downloads = root / "downloads"
        self.weights = root / "weights"
        self.inbox = root / "inbox"
        self.reports = root / "reports"
        self.logs = root / "logs"
        self.flights = root / "flights"
        self.stack = root / "stack.json"


def load_settings(**overrides: object) -> Settings:
    return Settings(**overrides)  # type: ignore[arg-type]
