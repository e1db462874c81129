"""Where are the lungs on a frontal chest film? Oriented gradients and a linear classifier per lung.

The detector of Dalal and Triggs (CVPR 2005): a window of 64 × 32 pixels, blocks of 16 × 16 every 8 pixels,
each with four cells of 8 × 8 and nine unsigned orientations, L2-Hys. The film is looked at in many sizes,
because the window has only one. A linear classifier over windows *is* a convolution over blocks: all of it
can be exported.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

ORIENTATIONS, CELLS, BLOCK, STRIDE = 9, 4, 16, 8
WINDOW = (64, 32)  # rows, columns
BLOCKS = (7, 3)  # of a window
WEIGHTS = BLOCKS[0] * BLOCKS[1] * CELLS * ORIENTATIONS
BLOCK_SIGMA, CLIP = 4.0, 0.2
SCALE_STEP = 1.05
SLOPE, MIDDLE = 12.0, 0.6  # a margin of MIDDLE becomes 0.5; the score is no calibrated probability


class LungNetwork(nn.Module):
    """`(items, 1, side, side)` in [0, 1] to a score and a box per lung, `(items, 2, 5)`.

    Boxes: right lung, left lung. Numbers: score in 0..1, then row start, column start, row stop and column
    stop in pixels of the input. A lung is looked for at `least`..1 times the height of the input, and the best window
    of any size gives the score: the classifiers answer most loudly to the half of a film that is all chest. The
    box is the best window that is no higher than a lung, `most` of the input.
    """

    def __init__(self, side: int = 512, least: float = 0.375, most: float = 0.72) -> None:
        super().__init__()
        self.side = side
        self.heights = _window_heights(side, least)
        self.lung_height = most * side
        self.register_buffer("weight", torch.zeros(2, CELLS * ORIENTATIONS, *BLOCKS))
        self.register_buffer("bias", torch.zeros(2))
        self.register_buffer("pooling", _pooling(), persistent=False)

    weight: Tensor
    bias: Tensor
    pooling: Tensor

    def forward(self, film: Tensor) -> Tensor:
        margins, windows = zip(*(self._at(film, height) for height in self.heights), strict=True)
        best = torch.cat(margins, 2).amax(2)
        lungs = [index for index, height in enumerate(self.heights) if height <= self.lung_height]
        index = torch.cat([margins[lung] for lung in lungs], 2).argmax(2)
        boxes = torch.cat([windows[lung] for lung in lungs])[index]
        score = torch.sigmoid(SLOPE * (best - MIDDLE))
        return torch.cat([score[..., None], boxes], 2)

    def _at(self, film: Tensor, height: float) -> tuple[Tensor, Tensor]:
        """Margins `(items, 2, windows)` and boxes `(windows, 4)` where a window is `height` pixels high."""
        size = round(self.side * WINDOW[0] / height)
        small = F.interpolate(
            film * 255, size=(size, size), mode="bilinear", align_corners=False, antialias=True
        )
        margins = F.conv2d(self._blocks(small), self.weight, self.bias)
        boxes = _window_boxes(margins.shape[2], margins.shape[3], self.side / size, film)
        return margins.flatten(2), boxes

    def _blocks(self, image: Tensor) -> Tensor:
        """Normalised histograms `(items, 36, block rows, block columns)`."""
        votes = _votes(image)
        items, _, rows, columns = votes.shape
        pooled = F.conv2d(votes.reshape(items * ORIENTATIONS, 1, rows, columns), self.pooling, stride=STRIDE)
        by_orientation = pooled.reshape(items, ORIENTATIONS, CELLS, *pooled.shape[2:])
        blocks = by_orientation.transpose(1, 2).flatten(1, 2)
        blocks = blocks / (blocks.norm(dim=1, keepdim=True) + 0.1 * CELLS * ORIENTATIONS)
        blocks = blocks.clamp(max=CLIP)
        normalised: Tensor = blocks / (blocks.norm(dim=1, keepdim=True) + 1e-3)
        return normalised


def _votes(image: Tensor) -> Tensor:
    """Gradient magnitudes `(items, 9, rows, columns)`, each shared between the two nearest orientations."""
    padded = F.pad(image, (1, 1, 1, 1), mode="reflect")
    across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    angle = torch.remainder(torch.atan2(down, across), math.pi) * (ORIENTATIONS / math.pi) - 0.5
    bins = torch.arange(ORIENTATIONS, device=image.device).view(1, -1, 1, 1)
    away = torch.remainder(angle - bins, ORIENTATIONS)
    share = (1 - torch.minimum(away, ORIENTATIONS - away)).clamp(min=0)
    return torch.sqrt(across * across + down * down) * share


def _pooling() -> Tensor:
    """From a block's pixels to its cells `(4, 1, 16, 16)`: Gaussian, linear between cells, columns first."""
    at = np.arange(BLOCK) - (BLOCK - 1) / 2
    wakeup = np.exp(-(at**2) / (2 * BLOCK_SIGMA**2))
    cell = (np.arange(BLOCK) + 0.5) / STRIDE - 0.5
    near = [wakeup * np.clip(1 - np.abs(cell - index), 0, None) for index in (0, 1)]
    kernels = np.stack([np.outer(near[row], near[column]) for column in (0, 1) for row in (0, 1)])
    return torch.from_numpy(kernels[:, None].astype(np.float32))


def _window_heights(side: int, least: float) -> tuple[float, ...]:
    count = int(math.log(1 / least) / math.log(SCALE_STEP)) + 1
    return tuple(side / SCALE_STEP**index for index in range(count))


def _window_boxes(rows: int, columns: int, scale: float, like: Tensor) -> Tensor:
    top = torch.arange(rows, device=like.device, dtype=like.dtype).view(-1, 1).expand(rows, columns)
    left = torch.arange(columns, device=like.device, dtype=like.dtype).view(1, -1).expand(rows, columns)
    corners = [top * STRIDE, left * STRIDE, top * STRIDE + WINDOW[0], left * STRIDE + WINDOW[1]]
    return torch.stack(corners, 2).flatten(0, 1) * scale


def from_descriptor(vector: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> tuple[Tensor, Tensor]:
    """Weight `(36, 7, 3)` and bias of one published classifier: 756 numbers, columns first, and a bias."""
    values = torch.from_numpy(np.ascontiguousarray(vector, dtype=np.float32))
    weight = values[:WEIGHTS].reshape(BLOCKS[1], BLOCKS[0], CELLS * ORIENTATIONS).permute(2, 1, 0)
    return weight.contiguous(), values[WEIGHTS]
