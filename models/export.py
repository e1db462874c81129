"""A torch module becomes a graph that can be stored without any Python: `torch.export` (pt2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from models.spec import InputSpec, Layout


def dynamic_axes(spec: InputSpec) -> tuple[int, ...]:
    """Axes of the input tensor whose length differs from study to study.

    The spatial ones that the spec leaves to the source, and the items (axis 0) when they may share a forward.
    """
    sizes = spec.size or (0, 0, 0)
    if spec.layout is Layout.VOLUME:
        spatial = [2 + index for index, size in enumerate(sizes) if size == 0]
    else:
        spatial = [1 + index for index in (1, 2) if sizes[index] == 0]
    return (0, *spatial) if spec.batch > 1 else tuple(spatial)


def export_network(network: nn.Module, spec: InputSpec, example: Tensor) -> ExportedProgram:
    """Trace the network on an example, with the spec's axes left open: those need a length above 1 in it."""
    shapes = {axis: Dim.AUTO for axis in dynamic_axes(spec)}
    with torch.inference_mode(False), torch.no_grad():
        return torch.export.export(network.eval(), (example,), dynamic_shapes=(shapes,))
