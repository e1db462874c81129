"""A ResNet-152 (He et al., arXiv:1512.03385) inflated to three dimensions (Carreira, Zisserman, arXiv:1705.07750).

Module names follow the published weights of Astra, so that they load strictly. The first axis is halved one time less
than the other two: `(n, 1, d, h, w)` becomes a feature map of `(d/16, h/32, w/32)`.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

RESNET_152 = (3, 8, 36, 3)
EXPANSION = 4


class Bottleneck(nn.Module):
    """1³, 3³ and 1³ convolutions beside a shortcut; the middle one strides."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * EXPANSION
        self.conv1, self.bn1 = nn.Conv3d(inputs, width, 1, bias=False), nn.BatchNorm3d(width)
        self.conv2, self.bn2 = nn.Conv3d(width, width, 3, stride, 1, bias=False), nn.BatchNorm3d(width)
        self.conv3, self.bn3 = nn.Conv3d(width, outputs, 1, bias=False), nn.BatchNorm3d(outputs)
        self.relu = nn.ReLU()
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        outputs: Tensor = self.relu(self.bn3(self.conv3(y)) + shortcut)
        return outputs


class ResNet3d(nn.Module):
    """`(n, 1, d, h, w)` in [0, 1] to `(n, 32 · width)` features, the mean of the last feature map."""

    def __init__(self, depths: tuple[int, int, int, int] = RESNET_152, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, width, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool3d(3, 2, 1)
        inputs = [width, *(width * EXPANSION * 2**level for level in range(3))]
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _level(inputs[level], width * 2**level, depths[level], stride=1 if level == 0 else 2)
            for level in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x.expand(-1, 3, -1, -1, -1)))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean((2, 3, 4))


def _level(inputs: int, width: int, depth: int, stride: int) -> nn.Sequential:
    first = Bottleneck(inputs, width, stride)
    rest = [Bottleneck(width * EXPANSION, width, 1) for _ in range(depth - 1)]
    return nn.Sequential(OrderedDict((str(index), block) for index, block in enumerate([first, *rest])))
