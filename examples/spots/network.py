"""A small residual network, as torchvision's are built (He et al., arXiv:1512.03385), written out in plain torch."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.around = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        changed = F.relu(self.first_norm(self.first(image)))
        return F.relu(self.second_norm(self.second(changed)) + self.around(image))


class SmallResNet(nn.Module):
    """`(slices, 1, 64, 64)` in [0, 1] → `(slices, 1)` logits; a spot is a local thing, so the maximum is pooled."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block(1, 8, 2), Block(8, 16, 2), Block(16, 32, 1))
        self.head = nn.Linear(32, 1)

    def forward(self, slices: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(slices).amax((2, 3)))
        return logits
