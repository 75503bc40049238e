"""The published suites, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from robustbench_zosam.registry import Entry, Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from corruptions.suites import Suite

_Reader: TypeAlias = "Callable[..., Suite]"


@dataclass(frozen=True, kw_only=True)
class SuiteInfo(Entry[_Reader]):
    """What is known of a published suite without opening it.

    Attributes:
        folders: names its folder may have.
        reference: model that mCE is relative to, or "none".
    """

    folders: tuple[str, ...]
    reference: str = "none"


SUITES = Registry("suite", SuiteInfo)
_READERS = "corruptions.suites"
_HENDRYCKS = "Hendrycks and Dietterich 2019, arXiv 1903.12261"
SUITES.add(
    SuiteInfo(
        "cifar10-c",
        "CIFAR-10-C: 19 corruptions of CIFAR-10's 10,000 test images",
        f"{_READERS}:open_array_suite",
        _HENDRYCKS,
        folders=("CIFAR-10-C",),
    ),
    SuiteInfo(
        "cifar100-c",
        "CIFAR-100-C: the same corruptions of CIFAR-100",
        f"{_READERS}:open_array_suite",
        _HENDRYCKS,
        folders=("CIFAR-100-C",),
    ),
    SuiteInfo(
        "tiny-imagenet-c",
        "Tiny-ImageNet-C: 64x64, 200 classes; its clean counterparts were not published",
        f"{_READERS}:open_folder_suite",
        _HENDRYCKS,
        folders=("Tiny-ImageNet-C", "TinyImageNet-C"),
    ),
    SuiteInfo(
        "imagenet-c",
        "ImageNet-C: 224x224, 50,000 images; mCE relative to AlexNet",
        f"{_READERS}:open_folder_suite",
        _HENDRYCKS,
        folders=("ImageNet-C",),
        reference="alexnet-imagenet-c",
    ),
    SuiteInfo(
        "cifar10.1",
        "CIFAR-10.1 v6: 2,000 newly collected test images for CIFAR-10",
        f"{_READERS}:open_cifar10_1",
        "Recht et al. 2018, arXiv 1806.00451",
        folders=("CIFAR-10.1", "cifar10.1"),
    ),
)
