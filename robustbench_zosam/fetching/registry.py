"""What can be downloaded, by name."""

from __future__ import annotations

from robustbench_zosam.fetching import folders
from robustbench_zosam.fetching.downloadable import Downloadable
from robustbench_zosam.registry import Entry, Registry

DOWNLOADS: Registry[Entry[Downloadable]] = Registry("download", Entry, "zosam_robust.downloads")

_KRIZHEVSKY = "Krizhevsky 2009"
_HENDRYCKS = "Hendrycks and Dietterich 2019, arXiv 1903.12261"
_ON_REQUEST = "none stated; the authors ask to cite Krizhevsky 2009"
_IMAGENET = "ImageNet's terms of access (non-commercial research) apply to its images"
_EVALUATE = "zosam-robust evaluate --data-root {root} --data "

DOWNLOADS.add(
    Entry(
        "cifar10",
        "CIFAR-10",
        Downloadable("data set", (folders.CIFAR10,), _ON_REQUEST, _EVALUATE + "cifar10"),
        _KRIZHEVSKY,
    ),
    Entry(
        "cifar100",
        "CIFAR-100",
        Downloadable("data set", (folders.CIFAR100,), _ON_REQUEST, _EVALUATE + "cifar100"),
        _KRIZHEVSKY,
    ),
    Entry(
        "tiny-imagenet",
        "Tiny-ImageNet, 200 classes at 64x64",
        Downloadable(
            "data set",
            (folders.TINY_IMAGENET,),
            f"none stated; {_IMAGENET}",
            _EVALUATE + "tiny-imagenet",
        ),
        "Le and Yang 2015, Stanford CS231N",
    ),
    Entry(
        "cifar10-c",
        "CIFAR-10-C, 19 corruptions",
        Downloadable(
            "suite", (folders.CIFAR10_C,), "CC BY 4.0", _EVALUATE + "cifar10 --suite cifar10-c"
        ),
        _HENDRYCKS,
    ),
    Entry(
        "cifar100-c",
        "CIFAR-100-C, 19 corruptions",
        Downloadable(
            "suite",
            (folders.CIFAR100_C,),
            "see Zenodo record 3555552",
            _EVALUATE + "cifar100 --suite cifar100-c",
        ),
        _HENDRYCKS,
    ),
    Entry(
        "tiny-imagenet-c",
        "Tiny-ImageNet-C, 15 corruptions and 4 extra ones, with frost corrected",
        Downloadable(
            "suite",
            (folders.TINY_IMAGENET_C, folders.TINY_IMAGENET_C_EXTRA),
            "see Zenodo record 8206060",
            _EVALUATE + "tiny-imagenet --suite tiny-imagenet-c",
        ),
        _HENDRYCKS,
    ),
    Entry(
        "imagenet-c",
        "ImageNet-C, 19 corruptions at 224x224",
        Downloadable(
            "suite",
            (folders.IMAGENET_C,),
            f"CC BY 4.0; {_IMAGENET}",
            _EVALUATE + "folder:PATH --suite imagenet-c",
        ),
        _HENDRYCKS,
    ),
    Entry(
        "cifar10.1",
        "CIFAR-10.1 v6, 2,000 new test images for CIFAR-10",
        Downloadable("suite", (folders.CIFAR10_1,), "MIT", _EVALUATE + "cifar10 --suite cifar10.1"),
        "Recht et al. 2018, arXiv 1806.00451",
    ),
    Entry(
        "frost-textures",
        "ice textures of the published frost corruption",
        Downloadable(
            "textures",
            (folders.FROST,),
            "Apache-2.0 repository; the origin of the pictures is not stated",
            "export CORRUPTIONS_FROST_DIR={folder}",
        ),
        _HENDRYCKS,
    ),
)
