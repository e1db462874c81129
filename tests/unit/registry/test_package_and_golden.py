"""What an author hands over is checked at the door; a golden answer decides whether a network is the one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import ModelRefused
from models.forward import Network, forward_items
from models.input_check.descriptor import DescriptorKind, kind_for, names_of
from models.input_check.fit import fit_reference
from models.input_check.reference import Reference
from models.placement import place
from models.prepare import Prepared
from registry.client import ArtifactFile
from registry.digest import tree_digest
from registry.download import target_of
from registry.golden import Golden, read_golden, write_golden
from registry.input_reference import read_reference, write_reference
from registry.loading import LoadedNetwork, probe
from registry.package import Package, RegulatoryTags, flat_metrics
from tests.integration.registry.tiny import TinyNetwork, tiny_spec
from tests.unit.models.builders import geometry

CPU = torch.device("cpu")
GOLDEN = Golden(np.full((1, 3), 2, np.float32), np.full((1, 1), 4, np.float32))


def square(batch: Tensor) -> Tensor:
    return batch[:, :1] ** 2


def only_single(batch: Tensor) -> Tensor:
    assert len(batch) == 1, "Guard failed: x.size()[0] == 1"
    return square(batch)


def sums_the_batch(batch: Tensor) -> Tensor:
    return square(batch).sum(0, keepdim=True).expand(len(batch), 1)


def drops_items(batch: Tensor) -> Tensor:
    return square(batch)[:1]


def nearly(batch: Tensor) -> Tensor:
    return square(batch) * 1.0005


def differs(batch: Tensor) -> Tensor:
    return square(batch) * 1.01


def fails(batch: Tensor) -> Tensor:
    raise RuntimeError(f"pixel values {batch.tolist()}")


@pytest.mark.parametrize(
    ("network", "wanted", "allowed"),
    [
        (square, 8, 8),
        (square, 1, 1),
        (only_single, 8, 1),
        (sums_the_batch, 8, 1),
        (drops_items, 8, 1),
        (nearly, 4, 4),
    ],
)
def test_the_batch_is_what_the_network_really_reads(network: object, wanted: int, allowed: int) -> None:
    assert probe(network, GOLDEN, wanted, CPU) == allowed  # type: ignore[arg-type]


def test_another_answer_is_refused() -> None:
    with pytest.raises(ModelRefused, match="answered differently"):
        probe(differs, GOLDEN, 1, CPU)


def test_an_answer_of_another_shape_is_refused() -> None:
    with pytest.raises(ModelRefused, match="answered differently"):
        probe(lambda batch: square(batch)[:, 0], GOLDEN, 1, CPU)


def test_a_failure_tells_its_kind_and_no_pixel() -> None:
    with pytest.raises(ModelRefused, match="not answered: the network failed with RuntimeError") as caught:
        probe(fails, GOLDEN, 1, CPU)
    assert "2.0" not in str(caught.value)


def test_the_golden_input_takes_the_way_that_a_study_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the same autocast, pinned memory and batches: half precision is compared before a patient comes."""
    ways: list[int] = []

    def watched(items: Tensor, network: Network, max_batch: int, device: torch.device) -> object:
        ways.append(max_batch)
        return forward_items(items, network, max_batch, device)

    monkeypatch.setattr("registry.loading.forward_items", watched)
    assert probe(square, GOLDEN, 4, CPU) == 4
    assert ways == [1, 4]


class Watched:
    """A network that notes how it is called."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def __call__(self, batch: Tensor) -> Tensor:
        precision = torch.is_autocast_enabled("cpu"), torch.is_inference_mode_enabled()
        self.calls.append((batch.shape, batch.dtype, batch.device, *precision))
        return square(batch)


def test_golden_input_and_study_are_computed_alike() -> None:
    network = Watched()
    loaded = LoadedNetwork(network, tiny_spec("x"), 4, GOLDEN, CPU)
    item = torch.from_numpy(GOLDEN.inputs)
    (answer,) = loaded.forward([Prepared(item, place((1, 1, 1), geometry(), tiny_spec("x").input), (0,))])
    assert loaded.golden_fault() is None
    assert isinstance(answer, np.ndarray)
    assert GOLDEN.agrees(answer)
    of_study, of_golden = network.calls
    assert of_study == of_golden


def test_a_loaded_network_says_why_it_no_longer_gives_its_golden_answer() -> None:
    assert LoadedNetwork(square, tiny_spec("x"), 4, GOLDEN, CPU).golden_fault() is None
    different = LoadedNetwork(differs, tiny_spec("x"), 4, GOLDEN, CPU).golden_fault()
    assert different == "the golden input is answered differently here than at registration"
    broken = LoadedNetwork(fails, tiny_spec("x"), 4, GOLDEN, CPU).golden_fault()
    assert broken == "the golden input is not answered: the network failed with RuntimeError"


def test_the_golden_pair_reads_as_written(tmp_path: Path) -> None:
    write_golden(tmp_path, GOLDEN)
    back = read_golden(tmp_path)
    assert np.array_equal(back.inputs, GOLDEN.inputs)
    assert back.agrees(GOLDEN.outputs)
    assert back.relative == GOLDEN.relative


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("input.npy", b"junk"),
        ("tolerance.json", b"{}x"),
        ("tolerance.json", b'{"loose": 1}'),
        ("output.npy", None),
    ],
)
def test_a_broken_golden_pair_is_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    write_golden(tmp_path, GOLDEN)
    (tmp_path / "golden" / name).unlink()
    if content is not None:
        (tmp_path / "golden" / name).write_bytes(content)
    with pytest.raises(ModelRefused, match="no readable golden"):
        read_golden(tmp_path)


def test_a_golden_array_of_objects_is_refused(tmp_path: Path) -> None:
    """Reading one would unpickle it."""
    write_golden(tmp_path, GOLDEN)
    np.save(tmp_path / "golden" / "input.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(ModelRefused, match="no readable golden"):
        read_golden(tmp_path)


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a\\..\\x", "a\0b"])
def test_a_listed_path_may_not_lead_out(tmp_path: Path, path: str) -> None:
    with pytest.raises(ModelRefused, match="leads out"):
        target_of(tmp_path, ArtifactFile(path, 1))


def test_a_listed_path_stays_below(tmp_path: Path) -> None:
    assert target_of(tmp_path, ArtifactFile("data/model.pt2", 1)) == tmp_path / "data" / "model.pt2"


def test_metrics_are_flattened_and_only_finite_numbers_kept() -> None:
    nested = {
        "test": {"auc": [0.9, 0.8], "by/stratum": {"thick": 0.5}, "note": "x"},
        "n": 3,
        "bad": float("nan"),
    }
    assert flat_metrics(nested) == {
        "test/auc/0": 0.9,
        "test/auc/1": 0.8,
        "test/by_stratum/thick": 0.5,
        "n": 3.0,
    }


def test_a_flag_is_no_metric() -> None:
    assert flat_metrics({"ok": True}) == {}


def test_an_example_of_one_item_would_fix_the_batch() -> None:
    with pytest.raises(ValueError, match="one item"):
        Package(module=TinyNetwork(), spec=tiny_spec("x"), example_input=torch.zeros(1, 1, 16, 16), card="c")


def test_an_unknown_regulatory_status_is_an_error() -> None:
    with pytest.raises(ValueError, match="aproved"):
        RegulatoryTags(status="aproved")


def test_only_what_is_known_becomes_a_tag() -> None:
    assert RegulatoryTags("cleared", udi="(01)0").as_tags() == {
        "regulatory.status": "cleared",
        "regulatory.udi": "(01)0",
    }


# ---- the input check's reference


def a_reference(kind: DescriptorKind) -> Reference:
    vectors = np.random.default_rng(0).normal(size=(40, len(names_of(kind))))
    return fit_reference(kind, {"people": vectors[:20]}, list(vectors[20:]), false_refusal_rate=0.1)


def test_a_reference_is_a_file_of_the_artifact_and_comes_back(tmp_path: Path) -> None:
    spec = tiny_spec("tiny").input
    reference = a_reference(kind_for(spec))
    write_reference(tmp_path, reference)
    assert read_reference(tmp_path, spec) == reference
    before = tree_digest(tmp_path)
    (tmp_path / "input_check/reference.json").write_text("{}")
    assert tree_digest(tmp_path) != before


def test_an_artifact_without_a_reference_has_none(tmp_path: Path) -> None:
    assert read_reference(tmp_path, tiny_spec("tiny").input) is None


@pytest.mark.parametrize("content", ["", "[1", "{}", "[]", '{"kind": "film-1"}'])
def test_a_broken_reference_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "input_check").mkdir()
    (tmp_path / "input_check/reference.json").write_text(content)
    with pytest.raises(ModelRefused, match="input reference"):
        read_reference(tmp_path, tiny_spec("tiny").input)


def test_a_reference_of_another_kind_of_input_is_refused(tmp_path: Path) -> None:
    spec = tiny_spec("tiny").input
    other = next(kind for kind in DescriptorKind if kind is not kind_for(spec))
    write_reference(tmp_path, a_reference(other))
    with pytest.raises(ModelRefused, match="another kind of input"):
        read_reference(tmp_path, spec)


def test_a_version_s_page_says_whether_it_checks_its_input() -> None:
    package = Package(
        module=TinyNetwork(), spec=tiny_spec("tiny"), example_input=torch.zeros(2, 1, 16, 16), card="card"
    )
    assert package.tags()["serinus.input_check"].startswith("none")
    checked = replace(package, reference=a_reference(kind_for(tiny_spec("tiny").input)))
    assert "10.0% of genuine studies" in checked.tags()["serinus.input_check"]
