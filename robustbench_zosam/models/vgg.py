"""VGG-19 with batch norm, in the form for CIFAR: sixteen convolutions and one linear classifier.

Source: Simonyan & Zisserman, "Very Deep Convolutional Networks", table 1 (E); four poolings, no
hidden linear layers and no convolution biases as in the GraSP and MEST benchmarks.
"""

from __future__ import annotations

from torch import Tensor, nn

from robustbench_zosam.models.residual import initialise, scaled

_STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels, convolutions


class VGG(nn.Module):
    """Stages of 3x3 convolutions with pooling between them, then global average pooling."""

    def __init__(self, classes: int, width: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for stage, (channels, convolutions) in enumerate(_STAGES):
            if stage > 0:
                layers.append(nn.MaxPool2d(2))
            [outputs] = scaled((channels,), width)
            for _ in range(convolutions):
                layers += [
                    nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                    nn.BatchNorm2d(outputs),
                    nn.ReLU(),
                ]
                inputs = outputs
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(inputs, classes)
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits (n, classes) for normalised images (n, 3, h, w), h and w at least 16."""
        logits: Tensor = self.classifier(self.features(images).mean(dim=(2, 3)))
        return logits


def vgg19_bn(classes: int, width: float = 1.0) -> VGG:
    """Returns VGG-19 with batch norm; `width` multiplies all channel counts."""
    return VGG(classes, width)
