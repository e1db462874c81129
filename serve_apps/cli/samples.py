"""`samples`: write real studies, from packages that hold them, as DICOM series."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from serve_apps.cli.output import AsJson, print_json, progress, table
from serve_apps.settings import load_settings


def samples(
    only: Annotated[list[str] | None, typer.Option(help="Only this sample; may be repeated.")] = None,
    to: Annotated[Path | None, typer.Option(help="Folder; left out: the stack's source `samples`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the sample studies; what is there already is left alone."""
    from imaging.samples.fetch import write_samples

    settings = load_settings()
    with progress(as_json) as say:
        written = write_samples(to or settings.paths.samples, settings.paths.downloads, only, say)
    if as_json:
        print_json([asdict(sample) for sample in written])
        return
    table(
        "samples",
        ("id", "modality", "instances", "study UID", "folder"),
        [(s.id, s.modality, s.instances, s.study_uid, s.folder) for s in written],
    )
