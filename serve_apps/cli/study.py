"""`submit` and `job`: name a study, see its stages as they happen, read its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from core.atomic_write import atomic_write
from serve_apps.cli.client import ApiClient, ApiError
from serve_apps.cli.output import AsJson, err, fail, out, print_json
from serve_apps.settings import SAMPLES, Settings, load_settings

STAGES = ("queue", "fetch", "select", "decode", "prepare", "forward", "interpret", "report", "store")


def submit(
    study: Annotated[
        str, typer.Argument(metavar="STUDY_UID|FOLDER", help="A study UID, or a folder of DICOM files.")
    ],
    source: Annotated[str, typer.Option(help="Id of a configured source.")] = SAMPLES,
    model: Annotated[str | None, typer.Option(help="Left out: the first model that can read it.")] = None,
    priority: Annotated[str, typer.Option(help="stat, urgent, routine or batch.")] = "routine",
    variant: Annotated[
        str | None, typer.Option(help="For testers: the variant that is to read, e.g. canary.")
    ] = None,
    seg: Annotated[bool, typer.Option(help="Also make a DICOM SEG where the model segments.")] = False,
    force: Annotated[
        bool, typer.Option(help="Read and store it again, whatever the same version has read before.")
    ] = False,
    context: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="As department=ED; may be given again.")
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="When you need the result; a canary is waited for half of that."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read one study and print its result; waits for it."""
    settings = load_settings()
    named = context_of(context or [])
    study_uid, source = _named(settings, study, source)
    outputs = ["json", "sr", *(["seg"] if seg else [])]
    body = {
        "study_uid": study_uid,
        "source": source,
        "model": model,
        "priority": priority,
        "outputs": outputs,
        "force": force,
        "context": named or None,
        "deadline_s": deadline,
    }
    try:
        document = run_study(settings, body, show=not as_json, variant=variant)
    except ApiError as error:
        fail(str(error), as_json, error.code)
    if as_json:
        print_json(document)
    else:
        print_result(document)


def context_of(given: Sequence[str]) -> dict[str, str]:
    """The context that `--context NAME=VALUE` names. Raises typer.BadParameter for anything else."""
    pairs = [each.partition("=") for each in given]
    if any(not name or not equals for name, equals, _ in pairs):
        raise typer.BadParameter("a context is given as NAME=VALUE, as department=ED", param_hint="--context")
    return {name: value for name, _, value in pairs}


def job(
    job_id: Annotated[str, typer.Argument(metavar="ID")],
    as_json: AsJson = False,
) -> None:
    """Show a job, and its result when it has one."""
    settings = load_settings()
    try:
        client = ApiClient.of(settings)
        found = client.job(job_id)
        document = {"job": found, "result": client.result(job_id) if found["state"] == "completed" else None}
    except ApiError as error:
        fail(str(error), as_json, error.code)
    if as_json:
        print_json(document)
    else:
        print_result(document)


def run_study(
    settings: Settings, body: Mapping[str, Any], show: bool, variant: str | None = None
) -> dict[str, Any]:
    """Submit, follow, and keep the SR in the state folder. Raises ApiError when the job fails.

    It calls as the orchestrator does; who names a variant, as an administrator.
    """
    from rich.live import Live

    client = ApiClient.of(settings) if variant else ApiClient.of_orchestrator(settings)
    submitted = client.submit(
        {key: value for key, value in body.items() if value is not None}, variant=variant
    )
    with Live(Text(""), console=err, transient=True, refresh_per_second=8) as live:
        final = client.follow(submitted["id"], lambda each: live.update(stage_line(each)) if show else None)
    if final["state"] != "completed":
        problem = final["error"] or {"code": final["state"], "detail": f"the job is {final['state']}"}
        raise ApiError(problem["code"], problem["detail"])
    document: dict[str, Any] = {"job": final, "result": client.result(final["id"]), "documents": {}}
    for kind in ("sr", "seg"):
        if kind in body["outputs"]:
            document["documents"] |= _keep(settings, client, final["id"], kind)
    return document


def _keep(settings: Settings, client: ApiClient, job_id: str, kind: str) -> dict[str, str]:
    try:
        encoded = client.document(job_id, kind)
    except ApiError:
        return {}
    path = settings.paths.root / "results" / f"{job_id}.{kind}.dcm"
    atomic_write(path, encoded)
    return {kind: str(path)}


def stage_line(job: Mapping[str, Any]) -> Text:
    """One line with the stages: done ones with their time, the present one marked."""
    line = Text(f"  {job['state']:<10}")
    for stage in STAGES:
        if stage in job["stages_s"]:
            line.append(f" {stage} {job['stages_s'][stage]:.2f}s", "green")
        elif stage == job["stage"]:
            line.append(f" {stage} …", "bold yellow")
        else:
            line.append(f" {stage}", "dim")
    return line


def print_result(document: Mapping[str, Any]) -> None:
    """What a person wants to know of a study, top down: finding, priority, version, times, files."""
    job, result = document["job"], document.get("result")
    out.print(f"[bold]job[/]       {job['id']}  {job['state']}")
    if job["same_as"]:
        out.print(f"[bold]read by[/]   job {job['same_as']}, the same before; --force reads it again")
    if job["error"]:
        out.print(f"[bold red]failed[/]    {job['error']['detail']} ({job['error']['code']})")
    if result:
        _print_findings(result)
    stages = "  ".join(
        f"{name} {job['stages_s'][name] * 1e3:.0f} ms" for name in STAGES if name in job["stages_s"]
    )
    out.print(f"[bold]stages[/]    {stages}", soft_wrap=True)
    for kind, path in document.get("documents", {}).items():
        out.print(f"[bold]{kind.upper():<9}[/] {path}", soft_wrap=True)


def _print_findings(result: Mapping[str, Any]) -> None:
    for finding in result["findings"]:
        told = f"{finding['concept']['meaning']}: {finding['presence']}, p = {finding['probability']:.3f}"
        out.print(f"[bold]finding[/]   {told} (threshold {finding['threshold']:g})")
    for measure in result["measurements"]:
        out.print(
            f"[bold]measured[/]  {measure['concept']['meaning']}: {measure['value']:g} {measure['unit']['value']}"
        )
    for box in result["boxes"]:
        out.print(
            f"[bold]region[/]    {box['concept']['meaning']}: rows {box['rows']}, columns {box['columns']}"
        )
    if result["priority_score"] is not None:
        flag = ", [bold red]flagged[/]" if result["priority_flag"] else ""
        out.print(f"[bold]priority[/]  {result['priority_score']} of 100, {result['urgency']}{flag}")
    model = result["model"]
    out.print(f"[bold]version[/]   {model['name']} {model['version']}  {model['digest'][:23]}…")
    out.print(f"[bold]note[/]      [italic]{result['disclaimer']}[/]", soft_wrap=True)


def _named(settings: Settings, study: str, source: str) -> tuple[str, str]:
    """The study UID and source that an argument names; the study of a folder is copied into the inbox first."""
    folder = Path(study)
    if not folder.is_dir():
        return study, source
    from serve_apps.embedded.local_studies import study_of_folder

    return study_of_folder(settings, folder)
