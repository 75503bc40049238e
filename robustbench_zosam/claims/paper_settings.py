"""Where the paper of ZO-SAM measured its numbers."""

from __future__ import annotations

from robustbench_zosam.claims.scope import PaperSetting

_DATA, _MODEL = ("cifar10",), ("resnet32",)

CIFAR_10 = PaperSetting("CIFAR-10, ResNet-32, 90 to 98 % sparse", _DATA, _MODEL)
CIFAR_100 = PaperSetting("CIFAR-100, ResNet-32, 90 to 98 % sparse", ("cifar100",), _MODEL)
DEIT = PaperSetting(
    "ImageNet, DeiT-Tiny at 50 % and DeiT-Small at 70 %",
    ("imagenet",),
    ("deit-tiny", "deit-small"),
)
CORRUPTED = PaperSetting(
    "CIFAR-10-C (19 corruptions × 5 severities), ResNet-32, SNIP 90 %",
    _DATA,
    _MODEL,
    ("snip 90 %",),
    corruptions=19,
)
MEST = PaperSetting(
    "CIFAR-10, ResNet-32, MEST 90 %", _DATA, _MODEL, ("mest-em 90 %", "mest-ems 90 %")
)
TIMED = PaperSetting("CIFAR-10, ResNet-32, on a GPU", _DATA, _MODEL, gpu=True)
