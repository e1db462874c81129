"""`rollout evidence` and `rollout verify-evidence`: file what a rollout went by, and check what was filed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape

from serve_apps.cli.api_call import ask
from serve_apps.cli.output import AsJson, fail, out, print_json
from serve_apps.settings import load_settings

if TYPE_CHECKING:
    from serve_apps.application.evidence_seal import PackLook

Model = Annotated[str, typer.Argument(help="The registered model in MLflow.")]
Pack = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="The JSON file of a pack.", show_default=False)
]
PublicKey = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="Who must have signed it (PEM); left out: this site."),
]


def evidence(
    model: Model,
    run: Annotated[int | None, typer.Option(min=1, help="Left out: the one that began last.")] = None,
    folder: Annotated[Path, typer.Option("--out", file_okay=False, help="Where the files go.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Write a run's evidence pack: JSON, which can be checked, and a page, which can be read and printed.

    Keep the digest that is printed: whoever has it notices any change of the pack.
    """
    which = "" if run is None else f"?run={run}"
    pack = ask("GET", f"/v1/rollouts/{quote(model, safe='')}/evidence{which}", as_json)
    try:
        files = write_pack(pack, folder)
    except OSError as error:
        fail(f"{error.filename or folder} cannot be written: {error.strerror}", as_json)
    if as_json:
        print_json({"digest": pack["digest"], "files": [str(file) for file in files]})
        return
    for file in files:
        out.print(f"[green]✓[/] {file}", soft_wrap=True)
    out.print(f"digest {pack['digest']}", soft_wrap=True)
    if pack["signature"] is None:
        out.print("[yellow]![/] it is not signed: the API has no signing key in reach", soft_wrap=True)


def write_pack(pack: Mapping[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write a pack as JSON and as a page, and return both files. Raises OSError."""
    import json

    from core.atomic_write import atomic_write
    from serve_apps.application.evidence_page.page import page_of

    told = pack["records"][0]["content"]
    name = f"{told['model']}-run-{told['run']}.evidence"
    files = folder / f"{name}.json", folder / f"{name}.html"
    for file, text in zip(files, (json.dumps(pack, indent=1), page_of(pack)), strict=True):
        atomic_write(file, text.encode())
    return files


def verify_evidence(
    file: Pack,
    digest: Annotated[str | None, typer.Option(help="The digest that was printed when it was made.")] = None,
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> None:
    """Compute a pack's chain again. Exit code 1 with what was changed. Asks nobody, so it works anywhere."""
    from serve_apps.application.evidence_seal import look_at, read_pack

    try:
        found = look_at(read_pack(file.read_bytes()))
    except ValueError as error:
        fail(f"{file.name} is no JSON: {error}", as_json)
    own = load_settings().paths.verify_key
    expected = public_key or (own if own.exists() else None)
    key = None if expected is None else _key_in(expected, as_json)
    signer = _signer(found.public_key, key, "this site's key" if public_key is None else public_key.name)
    faults = [*found.faults]
    if not faults and digest is not None and digest != found.digest:
        faults.append(f"the digest is {found.digest}: all of it was written anew, or it is another pack")
    if not faults and public_key is not None and found.public_key != key:
        faults.append(f"{public_key.name} did not sign it")
    _tell(file, found, signer, faults, as_json)


def _signer(signed: str | None, key: str | None, name: str) -> str | None:
    """Whose key it was, as far as that is known here; None for a pack that is not signed."""
    if signed is None:
        return None
    return name if signed == key else f"a key that is not known here: {signed}"


def _key_in(file: Path, as_json: bool) -> str:
    from registry.pack_signature import public_key_of
    from registry.signing import load_verify_key

    try:
        return public_key_of(load_verify_key(file))
    except (TypeError, ValueError):
        fail(f"{file.name} is no public key of Ed25519", as_json)


def _tell(file: Path, found: PackLook, signer: str | None, faults: list[str], as_json: bool) -> None:
    if as_json:
        print_json({**asdict(found), "faults": faults, "is_whole": not faults, "signed_by": signer})
    elif faults:
        for fault in faults:
            out.print(f"[red]✗[/] {escape(fault)}", soft_wrap=True)
    else:
        out.print(f"[green]✓[/] {escape(file.name)} is whole: {found.records} records", soft_wrap=True)
        out.print(f"digest {found.digest}", soft_wrap=True)
        out.print(f"signed by {signer}" if signer else "not signed", soft_wrap=True)
    if faults:
        raise typer.Exit(1)
