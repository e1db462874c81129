"""An artifact is let in by its files alone; each refusal has its own sentence."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ModelRefused
from registry.admission import MAX_NAME, ArtifactFormat, admit, require_name
from registry.pt2_archive import check_pt2, check_tensor_pickle
from registry.pt2_graph import check_expression, check_graph, check_guard

GRAPH: dict[str, Any] = {
    "graph_module": {
        "graph": {
            "nodes": [{"name": "relu", "target": "torch.ops.aten.relu.default", "inputs": []}],
            "tensor_values": {"x": {"sizes": [{"as_expr": {"expr_str": "Symbol('s77', integer=True)"}}]}},
        },
        "module_call_graph": [{"fqn": "", "in_spec": '[1, {"type": "builtins.tuple", "context": "null"}]'}],
    },
    "guards_code": ["L['x'].size()[0] == 2"],
}
WEIGHTS = {"config": {"w": {"path_name": "weight_0", "use_pickle": False}}}


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def records(**changed: bytes | None) -> dict[str, bytes]:
    """A pt2 as torch writes it, with records changed, added or (None) left out; `__` stands for `/`."""
    whole: dict[str, bytes | None] = {
        "data/weights/weight_0": b"\x80\x04raw bytes may look like anything",
        "data/weights/model_weights_config.json": json.dumps(WEIGHTS).encode(),
        "data/constants/model_constants_config.json": b'{"config": {}}',
        "data/sample_inputs/model.pt": saved(((torch.zeros(2, 1),), {})),
        "models/model.json": json.dumps(GRAPH).encode(),
        "archive_format": b"pt2",
        "byteorder": b"little",
        ".data/version": b"3\n",
    }
    whole |= {name.replace("__", "/"): content for name, content in changed.items()}
    return {name: content for name, content in whole.items() if content is not None}


def write_pt2(path: Path, content: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(f"model/{name}", data)
    return path


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    write_pt2(tmp_path / "data" / "model.pt2", records())
    describe(tmp_path, {"pytorch": {"model_data": "data", "code": None}})
    (tmp_path / "golden").mkdir()
    np.save(tmp_path / "golden" / "input.npy", np.zeros(3, np.float32))
    return tmp_path


def describe(root: Path, flavors: object, metadata: object = None) -> None:
    description = {"flavors": flavors, "metadata": metadata or {"serinus": {"name": "tiny"}}}
    (root / "MLmodel").write_text(yaml.safe_dump(description))


def test_a_plain_pt2_is_let_in(artifact: Path) -> None:
    admitted = admit(artifact)
    assert admitted.format is ArtifactFormat.PT2
    assert admitted.network == artifact / "data" / "model.pt2"
    assert admitted.spec == {"name": "tiny"}


def test_onnx_is_let_in(artifact: Path) -> None:
    (artifact / "model.onnx").write_bytes(b"\x08\x0a")
    loader = {"loader_module": "mlflow.onnx", "data": "model.onnx"}
    describe(artifact, {"onnx": {"data": "model.onnx"}, "python_function": loader})
    assert admit(artifact).format is ArtifactFormat.ONNX


PT2 = {"model_data": "data"}
FLAVORS: tuple[tuple[object, str], ...] = (
    ({"pytorch": PT2, "python_function": {"loader_module": "evil"}}, "foreign loader_module"),
    ({"pytorch": PT2, "python_function": {"loader_module": "mlflow.sklearn"}}, "foreign loader_module"),
    ({"pytorch": PT2 | {"code": "code"}}, "ships Python code"),
    (
        {"pytorch": PT2, "python_function": {"loader_module": "mlflow.pytorch", "code": "x"}},
        "ships Python code",
    ),
    ({"sklearn": {}}, "neither pt2 nor ONNX"),
    ({"pytorch": PT2, "sklearn": {}}, "neither pt2 nor ONNX"),
    ({"pytorch": PT2, "onnx": {}}, "neither pt2 nor ONNX"),
    ({}, "neither pt2 nor ONNX"),
    ({"pytorch": {"model_data": "../data"}}, "leads out"),
    ({"pytorch": {"model_data": "/etc"}}, "leads out"),
    ({"onnx": {"data": "../model.onnx"}}, "leads out"),
    ({"pytorch": {"model_data": "elsewhere"}}, "no pytorch network"),
    ({"pytorch": "text"}, "not a mapping"),
    ("text", "names no flavors"),
)


@pytest.mark.parametrize(("flavors", "sentence"), FLAVORS)
def test_a_description_that_could_run_code_is_refused(artifact: Path, flavors: object, sentence: str) -> None:
    describe(artifact, flavors)
    with pytest.raises(ModelRefused, match=sentence):
        admit(artifact)


@pytest.mark.parametrize(
    ("path", "content", "sentence"),
    [
        ("data/model.pth", b"", "holds a pickle"),
        ("model.pkl", b"", "holds a pickle"),
        ("notes.txt", b"\x80\x04\x95", "holds a pickle"),
        ("code/a.json", b"{}", "ships Python code"),
        ("hook.py", b"", "ships Python code"),
        ("run.sh", b"", "unknown kind"),
        ("lib.so", b"", "unknown kind"),
    ],
)
def test_a_file_that_has_no_place_is_refused(
    artifact: Path, path: str, content: bytes, sentence: str
) -> None:
    (artifact / path).parent.mkdir(exist_ok=True)
    (artifact / path).write_bytes(content)
    with pytest.raises(ModelRefused, match=sentence):
        admit(artifact)


def test_a_link_out_of_the_artifact_is_refused(artifact: Path) -> None:
    (artifact / "extra.json").symlink_to("/etc/hostname")
    with pytest.raises(ModelRefused, match="link"):
        admit(artifact)


@pytest.mark.parametrize("text", ["", "- a", "{", "!!python/object/apply:os.getcwd []"])
def test_a_description_that_cannot_be_read_is_refused(artifact: Path, text: str) -> None:
    (artifact / "MLmodel").write_text(text)
    with pytest.raises(ModelRefused):
        admit(artifact)


def test_without_a_spec_nothing_is_known(artifact: Path) -> None:
    describe(artifact, {"pytorch": PT2}, metadata={"other": 1})
    with pytest.raises(ModelRefused, match="what it reads and says is unknown"):
        admit(artifact)


class Planted:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("it ran",)


def with_pickled_weight(**changes: object) -> bytes:
    entry = {"path_name": "weight_0", "use_pickle": False} | changes
    return json.dumps({"config": {"w": entry}}).encode()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"data__sample_inputs__model.pt": saved(Planted())}, "could run code"),
        ({"data__sample_inputs__model.pt": b"junk"}, "damaged"),
        (
            {"data__weights__model_weights_config.json": with_pickled_weight(use_pickle=True)},
            "pickled weight",
        ),
        ({"data__weights__model_weights_config.json": with_pickled_weight(use_pickle=0)}, "pickled weight"),
        (
            {"data__weights__model_weights_config.json": with_pickled_weight(path_name="../x")},
            "pickled weight",
        ),
        ({"data__weights__model_weights_config.json": b"[]"}, "damaged"),
        ({"data__weights__weight_1": b"not in the config"}, "does not write"),
        ({"data__aotinductor__model__model.so": b"\x7fELF"}, "does not write"),
        ({"data__constants__custom_obj_0": b"x"}, "does not write"),
        ({"extra__notes": b"x"}, "does not write"),
        ({"byteorder": b"\x80\x04."}, "text record"),
        ({"models__model.json": b"[]"}, "not an object"),
        ({"models__model.json": b"{"}, "damaged"),
        ({"models__Model.json": b"{}"}, "not as torch.export writes"),
    ],
)
def test_a_pt2_with_a_strange_record_is_refused(
    tmp_path: Path, changed: dict[str, bytes], sentence: str
) -> None:
    with pytest.raises(ModelRefused, match=sentence):
        check_pt2(write_pt2(tmp_path / "model.pt2", records(**changed)))


@pytest.mark.parametrize("tail", [b"x", b"PK\x05\x06" + b"\0" * 30])
def test_a_pt2_with_something_behind_its_index_is_refused(tmp_path: Path, tail: bytes) -> None:
    path = write_pt2(tmp_path / "model.pt2", records())
    path.write_bytes(path.read_bytes() + tail)
    with pytest.raises(ModelRefused, match="damaged"):
        check_pt2(path)


def test_a_compressed_pt2_is_refused(tmp_path: Path) -> None:
    path = write_pt2(tmp_path / "model.pt2", records(), zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelRefused, match="compression"):
        check_pt2(path)


@pytest.mark.parametrize(
    "value",
    [(torch.zeros(2),), {"a": torch.ones(1, dtype=torch.int64)}, [torch.nn.Parameter(torch.zeros(1))]],
)
def test_pickles_of_tensors_pass(value: object) -> None:
    check_tensor_pickle(saved(value))


@pytest.mark.parametrize(
    "expression",
    ["Symbol('s77', positive=True, integer=True)", "2*s77 + 1", "Max(1, s0)//2", "Integer(7)", "-(s1 - 1)"],
)
def test_arithmetic_on_sizes_passes(expression: str) -> None:
    check_expression(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "open('x')",
        "s77.__class__",
        "Symbol.__init__",
        "[s77 for s77 in (1,)]",
        "(lambda: 1)()",
        "Symbol('__import__')",
        "Symbol('a b')",
        "s77 if 1 else 2",
        "Add(*s1)",
        "f'{s77}'",
        "b'x'",
        "s77[0]",
        "Symbol('s1')('s2')",
        "evil",
        "1\n2",
        "(" * 300,
    ],
)
def test_code_in_an_expression_is_refused(expression: str) -> None:
    with pytest.raises(ModelRefused, match="expression"):
        check_expression(expression)


@given(st.text(alphabet="_()'\"s7.[]{}:=lambd import,+*osyte", max_size=40))
def test_no_text_with_an_attribute_or_a_dunder_is_an_expression(text: str) -> None:
    try:
        check_expression(text)
    except ModelRefused:
        return
    assert "__" not in text
    assert "lambda" not in text
    assert "[" not in text


@pytest.mark.parametrize(
    "guard",
    [
        "L['x'].size()[0] == 2",
        "(2 + 2*(((-1) + L['x'].size()[3]) // 2)) == L['x'].size()[3]",
        "L['x'].size()[0] > 1",
    ],
)
def test_guards_on_sizes_pass(guard: str) -> None:
    check_guard(guard)


@pytest.mark.parametrize(
    "guard",
    [
        "__import__('os').system('true') == 0",
        "L['x'].data_ptr() == 0",
        "L['x'].size(0) == 1",
        "L['x'].size.__self__ == 1",
        "torch.load('x')",
        "L['__class__'].size()[0]",
        "L['x'].size()()",
        "exec()",
    ],
)
def test_code_in_a_guard_is_refused(guard: str) -> None:
    with pytest.raises(ModelRefused, match="guard"):
        check_guard(guard)


def edited(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    graph: dict[str, Any] = json.loads(json.dumps(GRAPH))
    change(graph)
    return graph


def node(graph: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = graph["graph_module"]["graph"]["nodes"][0]
    return found


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda g: node(g).update(target="torch.load"), "not a tensor operator"),
        (lambda g: node(g).update(target="torch.ops.aten.from_file.default"), "not a tensor operator"),
        (lambda g: node(g).update(target="torch.ops.evil.run.default"), "not a tensor operator"),
        (lambda g: node(g).update(target="_operator.methodcaller"), "not a tensor operator"),
        (lambda g: node(g).update(inputs=[{"arg": {"as_operator": "torch.load"}}]), "not a tensor operator"),
        (lambda g: node(g).update(name="x = __import__('os')"), "name that is not one"),
        (lambda g: node(g).update(inputs=[{"arg": {"as_custom_obj": {}}}]), "custom object"),
        (
            lambda g: g.update(in_spec='[1, {"type": "os.path", "context": "null"}]'),
            "something else than tensors",
        ),
        (lambda g: g.update(in_spec='[1, {"type": "builtins.dict", "context": "[\\"a b\\"]"}]'), "not names"),
        (lambda g: g.update(guards_code=["open('x')"]), "guard"),
    ],
)
def test_a_graph_that_reaches_beyond_tensors_is_refused(
    change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    with pytest.raises(ModelRefused, match=sentence):
        check_graph(edited(change))


def test_the_graph_that_the_cases_change_is_sound() -> None:
    check_graph(GRAPH)


def test_a_model_whose_name_cannot_be_kept_is_refused_with_that_reason() -> None:
    require_name("m" * MAX_NAME)
    with pytest.raises(ModelRefused, match="the model's name has 65 characters, and at most 64 can be kept"):
        require_name("m" * (MAX_NAME + 1))
