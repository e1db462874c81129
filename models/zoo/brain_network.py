"""Find the brain, look closer, outline it: both stages of deepbet in one graph.

A first network sees the whole head on a coarse grid. The box around what it finds is cut out, resampled to
the fine grid, and outlined by a second network of the same kind. Everything is tensor arithmetic, so that
`torch.export` takes it along and any size of head will do. Compared with the published pipeline one step is
missing, because it is no tensor operation: of the coarse mask the largest part is not singled out before
the box is drawn. A plane counts for the box only where 2 % of it is brain, so that a stray part must be
large to matter.

Resampling is by the nearest voxel throughout, as the networks were trained.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.zoo.linknet3d import LinkNet3d

COARSE, FINE = 128, 256
MARGIN = 0.1  # of the box's side, at each end
LEAST_SHARE = 0.02  # of a plane that is brain, for the plane to count
MEAN, DEVIATION = 0.449, 0.226


class BrainNetwork(nn.Module):
    """`(1, 1, R, A, S)` in any unit to the probability of brain, of the same shape. Axes run as in RAS."""

    def __init__(self, width: int = 16, coarse: int = COARSE, fine: int = FINE) -> None:
        super().__init__()
        self.bbox, self.outline = LinkNet3d(width), LinkNet3d(width)
        self.coarse, self.fine = coarse, fine

    def forward(self, head: Tensor) -> Tensor:
        coarse = _whole(head, self.coarse)
        low, high = torch.quantile(coarse.flatten(), 0.005), torch.quantile(coarse.flatten(), 0.995)
        found = self.bbox(_standardised(coarse, low, high))[0, 1] > 0.5
        boxes = [_bounds(found, axis, head.shape[2 + axis]) for axis in range(3)]
        crop = _take(head, [_cut(start, stop, self.fine) for start, stop in boxes])
        probability = self.outline(_standardised(crop, low, high))[:, 1:]
        return _pasted(probability, boxes, head)


def _standardised(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    x = ((x - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    return (x - x.mean()) / x.std().clamp(min=1e-6) * DEVIATION + MEAN


def _take(x: Tensor, indices: list[Tensor]) -> Tensor:
    """Planes of each spatial axis by their index."""
    for axis, index in enumerate(indices):
        x = x.index_select(2 + axis, index)
    return x


def _whole(x: Tensor, size: int) -> Tensor:
    steps = (torch.arange(size, device=x.device) + 0.5) / size
    return _take(x, [(steps * x.shape[2 + axis]).floor().long() for axis in range(3)])


def _bounds(found: Tensor, axis: int, size: int) -> tuple[Tensor, Tensor]:
    """First voxel, and the one behind the last, of the box with its margin; the whole head when empty."""
    count = found.shape[axis]
    counts = found.float().mean([other for other in range(3) if other != axis]) > LEAST_SHARE
    index = torch.arange(count, device=found.device)
    first = torch.where(counts, index, count).min()
    last = torch.where(counts, index + 1, 0).max()
    first, last = torch.where(last > 0, first, 0), torch.where(last > 0, last, count)
    center = ((first + last) / 2 * (size / count)).round()
    side = ((last - first) * (size / count) * (1 + 2 * MARGIN)).round()
    start = (center - side / 2).trunc().clamp(min=0)
    return start, (center + side / 2).trunc().clamp(max=size)


def _cut(start: Tensor, stop: Tensor, size: int) -> Tensor:
    steps = (torch.arange(size, device=start.device) + 0.5) / size
    return (start + steps * (stop - start)).floor().long()


def _pasted(crop: Tensor, boxes: list[tuple[Tensor, Tensor]], head: Tensor) -> Tensor:
    """The crop back in its place in the head, nothing around it."""
    for axis, (start, stop) in enumerate(boxes):
        size = head.shape[2 + axis]
        place = torch.arange(size, device=head.device)
        inside = (place >= start) & (place < stop)
        index = ((place - start + 0.5) * crop.shape[2 + axis] / (stop - start)).floor().long()
        crop = crop.index_select(2 + axis, index.clamp(0, crop.shape[2 + axis] - 1))
        crop = crop * inside.view([size if other == axis else 1 for other in range(3)])
    return crop
