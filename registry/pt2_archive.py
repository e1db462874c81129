"""What a `.pt2` file may contain. `torch.export.load` trusts the file; this decides whether it may.

A pt2 is a zip of raw tensors, JSON and one or more pickles. Torch unpickles the latter without limits, and
it evaluates text inside the JSON, which MLflow's own "pickle-free" check lets pass (docs/adr/0002). So each
record must be of a kind that the export of a plain network writes: nothing compiled, no custom object, no
extra file.
"""

from __future__ import annotations

import io
import json
import pickletools
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import ModelRefused
from registry.pt2_graph import check_graph

DAMAGE = (zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError, RecursionError)
ZIP_END = b"PK\x05\x06"
ZIP_END_BYTES = 22
TEXT_RECORD = re.compile(
    r"(archive_format|archive_version|byteorder|version|\.data/version|\.data/serialization_id)"
)
SHORT_TEXT = re.compile(rb"[A-Za-z0-9._-]{1,64}\n?")
PAYLOAD_CONFIG = re.compile(r"data/(weights|constants)/model_(weights|constants)_config\.json")
RAW_TENSOR = re.compile(r"(weight|tensor)_\d+")
GRAPH = "models/model.json"
SAMPLE_INPUTS = "data/sample_inputs/model.pt"
TENSOR_GLOBALS = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)"
    r"|torch (Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage|torch Size"
)
TENSOR_OPCODES = re.compile(
    r"PROTO|MARK|STOP|REDUCE|NONE|NEWFALSE|NEWTRUE|BINPERSID|BINUNICODE|BINFLOAT|BININT[12]?|LONG1"
    r"|(LONG_)?BIN(PUT|GET)|TUPLE[123]?|EMPTY_(TUPLE|DICT|LIST)|APPENDS?|SETITEMS?"
)


def check_pt2(path: Path) -> None:
    """Raise ModelRefused unless every record is a raw tensor, harmless text, or a pickle of tensors only."""
    _check_end(path)
    try:
        with zipfile.ZipFile(path) as archive:
            records = _records(archive)
            raw = _raw_tensors(archive, records)
            for name, info in records.items():
                if name not in raw:
                    _check_record(name, archive.read(info))
    except DAMAGE as error:
        raise ModelRefused("the pt2 file is damaged") from error


def _check_end(path: Path) -> None:
    """The zip's index must be the last thing in the file, so that every zip reader reads the same one."""
    with path.open("rb") as file:
        file.seek(0, io.SEEK_END)
        file.seek(max(0, file.tell() - ZIP_END_BYTES))
        if not file.read().startswith(ZIP_END):
            raise ModelRefused("the pt2 file is damaged: it does not end like an archive")


def _records(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Records by their name below the one top folder. Torch looks names up without regard to case."""
    infos = [info for info in archive.infolist() if not info.is_dir()]
    tops = {info.filename.partition("/")[0] for info in infos}
    names = {info.filename.lower() for info in infos}
    if len(tops) != 1 or len(names) != len(infos) or any(info.compress_type for info in infos):
        raise ModelRefused("the pt2 file is not as torch.export writes it (folders, names or compression)")
    return {info.filename.partition("/")[2]: info for info in infos}


def _raw_tensors(archive: zipfile.ZipFile, records: Mapping[str, zipfile.ZipInfo]) -> frozenset[str]:
    """Names of records that torch reads as plain bytes, which the payload configs promise."""
    raw: set[str] = set()
    for name in filter(PAYLOAD_CONFIG.fullmatch, records):
        folder = name.rpartition("/")[0]
        for entry in json.loads(archive.read(records[name]))["config"].values():
            if entry["use_pickle"] is not False or not RAW_TENSOR.fullmatch(entry["path_name"]):
                raise ModelRefused(
                    "the pt2 file holds a pickled weight or constant; only raw tensors are accepted"
                )
            raw.add(f"{folder}/{entry['path_name']}")
    return frozenset(raw)


def _check_record(name: str, content: bytes) -> None:
    if name == GRAPH:
        check_graph(_json_object(content))
    elif name == SAMPLE_INPUTS:
        check_tensor_pickle(content)
    elif TEXT_RECORD.fullmatch(name):
        if not SHORT_TEXT.fullmatch(content):
            raise ModelRefused("the pt2 file hides something in a text record")
    elif not PAYLOAD_CONFIG.fullmatch(name):
        raise ModelRefused("the pt2 file holds a record that the export of a plain network does not write")


def _json_object(content: bytes) -> dict[str, Any]:
    value = json.loads(content)
    if not isinstance(value, dict):
        raise ModelRefused("the pt2 file's graph is not an object")
    return value


def check_tensor_pickle(content: bytes) -> None:
    """Raise ModelRefused unless a `torch.save` file can only rebuild tensors, tuples and dicts."""
    with zipfile.ZipFile(io.BytesIO(content)) as checkpoint:
        pickles = [name for name in checkpoint.namelist() if name.lower().endswith(".pkl")]
        if len(pickles) != 1:
            raise ModelRefused("the pt2 file's sample inputs are not one saved tensor tuple")
        stream = checkpoint.read(pickles[0])
    try:
        harmless = all(
            _is_harmless(opcode.name, argument) for opcode, argument, _ in pickletools.genops(stream)
        )
    except ValueError as error:
        raise ModelRefused("the pt2 file's sample inputs are damaged") from error
    if not harmless:
        raise ModelRefused("the pt2 file's sample inputs are a pickle that could run code")


def _is_harmless(opcode: str, argument: object) -> bool:
    if opcode == "GLOBAL":
        return TENSOR_GLOBALS.fullmatch(str(argument)) is not None
    return TENSOR_OPCODES.fullmatch(opcode) is not None
