"""A LinkNet in three dimensions (Chaurasia and Culurciello, arXiv:1707.03718), without learnt normalisation.

Module names follow the published weights of deepbet 1.0.2, so that they load strictly. Sides of the input
must be multiples of 32. `width` scales the channels; the published networks have 16.
"""

from __future__ import annotations

from torch import Tensor, nn


def _norm_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.InstanceNorm3d(channels), nn.ReLU()


class Block(nn.Module):
    """Two 3³ convolutions beside a shortcut, which is a 1³ convolution where the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False),
            *_norm_relu(outputs),
            nn.Conv3d(outputs, outputs, 3, 1, 1, bias=False),
            nn.InstanceNorm3d(outputs),
        )
        self.downsample: nn.Module | None = None
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.InstanceNorm3d(outputs)
            )
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y: Tensor = self.act(self.double_conv(x) + shortcut)
        return y


class Down(nn.Module):
    """One encoder level."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.block1 = Block(inputs, outputs, stride)
        self.block2 = Block(outputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block2(self.block1(x))
        return y


class Up(nn.Module):
    """One decoder level: squeeze the channels to a quarter, upsample, widen."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        middle = inputs // 4
        upsample = nn.ConvTranspose3d(middle, middle, 3, stride, 1, output_padding=stride - 1, bias=False)
        self.conv1 = nn.Sequential(nn.Conv3d(inputs, middle, 1, bias=False), *_norm_relu(middle))
        self.tp_conv = nn.Sequential(upsample, *_norm_relu(middle))
        self.conv2 = nn.Sequential(nn.Conv3d(middle, outputs, 1, bias=False), *_norm_relu(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.tp_conv(self.conv1(x)))
        return y


class LinkNet3d(nn.Module):
    """`(n, 1, x, y, z)` to the probabilities of background and foreground, `(n, 2, x, y, z)`."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        w = width
        self.init = nn.Sequential(nn.Conv3d(1, w, 7, 2, 3, bias=False), *_norm_relu(w), nn.MaxPool3d(3, 2, 1))
        self.down0, self.down1 = Down(w, w, 1), Down(w, 2 * w, 2)
        self.down2, self.down3 = Down(2 * w, 4 * w, 2), Down(4 * w, 8 * w, 2)
        self.up0, self.up1 = Up(8 * w, 4 * w, 2), Up(4 * w, 2 * w, 2)
        self.up2, self.up3 = Up(2 * w, w, 2), Up(w, w, 1)
        self.tp_conv1 = nn.Sequential(
            nn.ConvTranspose3d(w, w // 2, 3, 2, 1, output_padding=1), *_norm_relu(w // 2)
        )
        self.conv = nn.Sequential(nn.Conv3d(w // 2, w // 2, 3, 1, 1), *_norm_relu(w // 2))
        self.tp_conv2 = nn.ConvTranspose3d(w // 2, 2, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        level0 = self.init(x)
        level1 = self.down0(level0)
        level2 = self.down1(level1)
        level3 = self.down2(level2)
        y = self.up0(self.down3(level3)) + level3
        y = self.up1(y) + level2
        y = self.up2(y) + level1
        y = self.up3(y) + level0
        probability: Tensor = self.tp_conv2(self.conv(self.tp_conv1(y))).softmax(1)
        return probability
