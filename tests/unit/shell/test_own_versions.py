"""What an author says on the command line becomes datasets and metrics, or is refused with what it should be."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from core.errors import ModelRefused
from imaging.samples.synthetic import make_ct_study
from models.input_check.descriptor import kind_for
from models.spec_file import read_spec
from serve_apps.cli.main import app
from serve_apps.cli.own_versions import dataset_of, metric_of
from serve_apps.embedded.demo_models import DEMO_MODELS
from serve_apps.embedded.reference_studies import Described, reference_of_folder, split

ROOT = Path(__file__).parents[3]
SPEC = ROOT / "examples/spots/model.yaml"
CARD = ROOT / "examples/spots/card.md"


def test_a_metric_may_belong_to_a_dataset() -> None:
    assert metric_of("evaluation/auc=0.94") == ("evaluation/auc", 0.94)


@pytest.mark.parametrize("text", ["auc", "auc=", "auc=high"])
def test_a_metric_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ModelRefused, match="NAME=NUMBER"):
        metric_of(text)


def test_a_dataset_is_known_by_its_content_and_not_by_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("a,b")
    dataset = dataset_of(f"training={tmp_path / 'cases.csv'}")
    assert dataset.digest == sha256(b"a,b").hexdigest()[:36]
    assert (dataset.name, dataset.source, dataset.context) == ("training", "cases.csv", "training")
    folder = dataset_of(f"evaluation={tmp_path}")
    assert folder.context == "testing"
    assert folder.digest != dataset.digest


@pytest.mark.parametrize("text", ["evaluation", "evaluation=", "=x", "evaluation=not/there"])
def test_a_dataset_that_is_not_there_is_refused(text: str) -> None:
    with pytest.raises(ModelRefused, match="NAME=PATH"):
        dataset_of(text)


def test_a_mistake_in_the_spec_ends_the_command_before_anything_is_done(tmp_path: Path) -> None:
    wrong, network = tmp_path / "model.yaml", tmp_path / "net.pt2"
    wrong.write_text(SPEC.read_text().replace("layout: slices", "layout: slides"))
    network.write_bytes(b"")
    arguments = ["--spec", str(wrong), "--artifact", str(network), "--card", str(CARD)]
    done = CliRunner().invoke(app, ["models", "register", *arguments, "--json"])
    assert done.exit_code == 1
    assert "model.yaml:6:3: /input/layout" in done.output


@pytest.mark.parametrize(
    "arguments", [[], ["--spec", str(SPEC)], ["ich-triage", "--spec", str(SPEC), "--card", str(CARD)]]
)
def test_a_command_that_is_half_of_two_says_what_is_missing(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["models", "register", *arguments, "--json"])
    assert done.exit_code == 1
    assert "your own" in done.output


# ---- a folder of genuine studies


def test_no_patient_is_both_fitted_and_held_out() -> None:
    described = [Described(f"patient {n % 7}", np.array([float(n)])) for n in range(40)]
    fitted, held_out = split(described)
    patients = [{int(vector[0]) % 7 for vector in half} for half in (fitted, held_out)]
    assert patients[0].isdisjoint(patients[1])
    assert len(fitted) + len(held_out) == 40


def stored(folder: Path, studies: int) -> Path:
    for number in range(studies):
        (folder / str(number)).mkdir(parents=True)
        study = make_ct_study(seed=f"reference {number}", slices=8, size=16, patient=f"P{number}")
        for index, dataset in enumerate(study):
            dataset.PatientID = f"P{number}"
            dataset.save_as(folder / str(number) / f"{index}.dcm", enforce_file_format=True)
    return folder


def test_a_reference_is_fitted_from_a_folder_of_studies(tmp_path: Path) -> None:
    spec = read_spec(SPEC.read_text(), SPEC.name).input
    folder = stored(tmp_path, 40)
    (folder / "notes.txt").write_text("no DICOM")
    said: list[str] = []
    reference = reference_of_folder(folder, spec, said.append)
    assert (reference.kind, reference.fitted, reference.held_out) == (kind_for(spec), 20, 20)
    assert reference.false_refusal_rate == 1 / 20
    assert "5.0% of such are refused" in said[-1]


def test_too_few_studies_are_told(tmp_path: Path) -> None:
    spec = read_spec(SPEC.read_text(), SPEC.name).input
    with pytest.raises(ModelRefused, match="gives 2 studies to fit and 1 of other patients"):
        reference_of_folder(stored(tmp_path, 3), spec, lambda _: None)


# ---- the demo's own provenance


def test_every_demo_version_names_its_data_and_ties_figures_to_them() -> None:
    for model in DEMO_MODELS:
        for version in model.versions + model.on_demand:
            names = {dataset.name for dataset in version.datasets()}
            assert names, model.name
            assert names & version.metrics().keys(), model.name
            assert all(dataset.digest for dataset in version.datasets())
