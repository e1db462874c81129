"""`python examples/spots/train.py OUT`: train for seconds, measure, and export the network as pt2 and as ONNX.

Nothing here is of Serinus: this is the author's own code. It writes spots.pt2, spots.onnx, the evaluation data and
their AUC to OUT.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import torch
from cartoons import cartoons
from network import SmallResNet
from sklearn.metrics import roc_auc_score
from torch.export import Dim
from torch.nn import functional as F

STEPS, BATCH = 50, 32


def trained() -> SmallResNet:
    torch.manual_seed(0)
    network = SmallResNet().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for step in range(STEPS):
        slices, labels = cartoons(BATCH, seed=step)
        loss = F.binary_cross_entropy_with_logits(network(slices), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def export(network: SmallResNet, out: Path) -> None:
    """The first axis is left open, so that the slices of a study share a forward: it needs two in the example."""
    example = cartoons(2, seed=0)[0]
    program = torch.export.export(network, (example,), dynamic_shapes=({0: Dim.AUTO},))
    torch.export.save(program, out / "spots.pt2")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which nothing here uses
    graph = torch.onnx.export(program, dynamo=True, verbose=False)
    assert graph is not None
    graph.save(out / "spots.onnx", external_data=False)


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    network = trained()
    slices, labels = cartoons(200, seed=1_000_000)
    with torch.inference_mode():
        auc = roc_auc_score(labels.numpy(), network(slices).numpy())
    np.savez_compressed(out / "evaluation.npz", slices=slices.numpy(), labels=labels.numpy())
    (out / "auc").write_text(f"{auc:.4f}\n")
    export(network, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
