"""The published suites, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robustbench_zosam.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from corruptions.suites import Suite

SUITES: Registry[Callable[..., Suite]] = Registry("suite")
_READERS = "corruptions.suites"
_HENDRYCKS = "Hendrycks and Dietterich 2019, arXiv 1903.12261"
for _name, _summary, _reader, _source, _folders, _reference in (
    (
        "cifar10-c",
        "CIFAR-10-C: 19 corruptions of CIFAR-10's 10,000 test images",
        "open_array_suite",
        _HENDRYCKS,
        ("CIFAR-10-C",),
        "none",
    ),
    (
        "cifar100-c",
        "CIFAR-100-C: the same of CIFAR-100",
        "open_array_suite",
        _HENDRYCKS,
        ("CIFAR-100-C",),
        "none",
    ),
    (
        "tiny-imagenet-c",
        "Tiny-ImageNet-C: 64x64, 200 classes; its clean counterparts were not published",
        "open_folder_suite",
        _HENDRYCKS,
        ("Tiny-ImageNet-C", "TinyImageNet-C"),
        "none",
    ),
    (
        "imagenet-c",
        "ImageNet-C: 224x224, 50,000 images; mCE relative to AlexNet",
        "open_folder_suite",
        _HENDRYCKS,
        ("ImageNet-C",),
        "alexnet-imagenet-c",
    ),
    (
        "cifar10.1",
        "CIFAR-10.1 v6: 2,000 test images for CIFAR-10 collected anew",
        "open_cifar10_1",
        "Recht et al. 2018, arXiv 1806.00451",
        ("CIFAR-10.1", "cifar10.1"),
        "none",
    ),
):
    SUITES.add(
        _name,
        _summary,
        f"{_READERS}:{_reader}",
        source=_source,
        folders=_folders,
        reference=_reference,
    )
