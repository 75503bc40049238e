"""The data sets that can be named; listing them imports no reader."""

from __future__ import annotations

from collections.abc import Callable

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.registry import Registry

DATASETS: Registry[Callable[[DataConfig], Dataset]] = Registry("data set", "zosam_robust.datasets")
DATASETS.add(
    "digits",
    "scikit-learn's 1,797 hand-written digits, 8x8 enlarged to 32x32 RGB; embedded, no download",
    "robustbench_zosam.data.digits:load",
    source="sklearn.datasets.load_digits",
    root="not needed",
)
DATASETS.add(
    "cifar10",
    "CIFAR-10 as torchvision stores it: ROOT/cifar-10-batches-py",
    "robustbench_zosam.data.cifar:load_cifar10",
    source="Krizhevsky 2009",
    root="the folder that holds cifar-10-batches-py",
    folder="cifar-10-batches-py",
)
DATASETS.add(
    "cifar100",
    "CIFAR-100, fine labels, as torchvision stores it: ROOT/cifar-100-python",
    "robustbench_zosam.data.cifar:load_cifar100",
    source="Krizhevsky 2009",
    root="the folder that holds cifar-100-python",
    folder="cifar-100-python",
)
DATASETS.add(
    "tiny-imagenet",
    "Tiny-ImageNet, 64x64, tested on its validation images: ROOT/tiny-imagenet-200 or its zip",
    "robustbench_zosam.data.tiny_imagenet:load",
    source="Le and Yang 2015, Stanford CS231N",
    root="the zip, or the folder that holds tiny-imagenet-200 or its zip",
    folder="tiny-imagenet-200",
    streams=True,
)
DATASETS.add(
    "folder",
    "any images: a folder or zip of class folders, with or without train/ and test/ above them",
    "robustbench_zosam.data.folder:load",
    root="the folder or zip, as in --data folder:PATH",
    streams=True,
)
