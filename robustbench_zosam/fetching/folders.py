"""Folders that can be downloaded: addresses, checksums and sizes as published.

Checksums and sizes are those of the publishers' records (Zenodo, the repositories' own files), and
the same that torchvision, TensorFlow Datasets and pytorch-ood check; the mirror at a fixed revision
states the same sha256. A size that is missing here is taken from the server.
"""

from __future__ import annotations

from corruptions import names
from robustbench_zosam.fetching.downloadable import Folder, Item, RemoteFile

_MIRROR = (
    "https://huggingface.co/datasets/cnak47/cv-datasets/resolve/"
    "6931f66584bf3a507711a644f6803fa5f419faf1/"
)
_TORONTO = "https://www.cs.toronto.edu/~kriz/"  # tried last: under 100 kB/s since June 2026
_ZENODO = "https://zenodo.org/records/{record}/files/{file}?download=1"
_ARRAY_BYTES = 5 * 10_000 * 32 * 32 * 3 + 128  # five severities, and the header NumPy writes


def _zenodo(record: int, file: str, size: int | None, md5: str, *mirrors: str) -> RemoteFile:
    return RemoteFile(file, (_ZENODO.format(record=record, file=file), *mirrors), size, md5=md5)


def _arrays(folder: str, part: RemoteFile) -> Folder:
    items = [Item(f"{name}.npy", _ARRAY_BYTES) for name in names("all")]
    return Folder(folder, (part,), (*items, Item("labels.npy")), 19 * _ARRAY_BYTES + 4096)


def _loose(name: str, bases: tuple[str, ...], files: dict[str, tuple[int, str]]) -> Folder:
    """A folder of files that lie on the network as they are: size and sha256 of each."""
    parts = tuple(
        RemoteFile(file, tuple(base + file for base in bases), size, sha256)
        for file, (size, sha256) in files.items()
    )
    items = tuple(Item(file, size) for file, (size, _) in files.items())
    return Folder(name, parts, items, sum(size + 4096 for size, _ in files.values()))


def _trees(folder: str, group: tuple[str, ...], parts: tuple[RemoteFile, ...], disk: int) -> Folder:
    return Folder(folder, parts, tuple(Item(name, count=5) for name in group), disk)


CIFAR10 = Folder(
    "cifar-10-batches-py",
    (
        RemoteFile(
            "cifar-10-python.tar.gz",
            (f"{_MIRROR}cifar-10-python.tar.gz", f"{_TORONTO}cifar-10-python.tar.gz"),
            170_498_071,
            sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            md5="c58f30108f718f92721af3b95e74349a",
        ),
    ),
    (
        Item("data_batch_1", 31_035_704),
        Item("data_batch_2", 31_035_320),
        Item("data_batch_3", 31_035_999),
        Item("data_batch_4", 31_035_696),
        Item("data_batch_5", 31_035_623),
        Item("test_batch", 31_035_526),
        Item("batches.meta", 158),
    ),
    186_300_000,
)
CIFAR100 = Folder(
    "cifar-100-python",
    (
        RemoteFile(
            "cifar-100-python.tar.gz",
            (
                f"{_MIRROR}cifar-100-python.tar.gz",
                "https://huggingface.co/datasets/nakroy/cifar100-python/resolve/"
                "main/cifar-100-python.tar.gz",
                f"{_TORONTO}cifar-100-python.tar.gz",
            ),
            169_001_437,
            sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
            md5="eb9058c3a382ffc7106e4002c42a8d85",
        ),
    ),
    (Item("train", 155_249_918), Item("test"), Item("meta")),
    186_400_000,
)
TINY_IMAGENET = Folder(
    "tiny-imagenet-200",
    (
        RemoteFile(
            "tiny-imagenet-200.zip",
            (
                f"{_MIRROR}tiny-imagenet-200.zip",
                "https://cs231n.stanford.edu/tiny-imagenet-200.zip",
                "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            ),
            248_100_043,
            sha256="6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821",
            md5="90528d7ca1a48142e341f4ef8d21d0de",
        ),
    ),
    (
        Item("wnids.txt"),
        Item("train", count=200),
        Item("val/images", count=10_000),
        Item("val/val_annotations.txt"),
    ),
    510_000_000,
)
CIFAR10_C = _arrays(
    "CIFAR-10-C",
    _zenodo(
        2535967,
        "CIFAR-10-C.tar",
        2_918_471_680,
        "56bf5dcef84df0e2308c6dcbcbbd8499",
        "https://huggingface.co/datasets/torch-uncertainty/CIFAR-C/resolve/main/CIFAR-10-C.tar",
    ),
)
CIFAR100_C = _arrays(
    "CIFAR-100-C",
    _zenodo(
        3555552,
        "CIFAR-100-C.tar",
        2_918_473_216,
        "11f0ed0f1191edbf9fa23466ae6021d3",
        "https://zenodo.org/api/records/3555552/files/CIFAR-100-C.tar/content",
    ),
)
# Zenodo record 8206060, because the frost of record 2536630 holds 1,000 classes.
TINY_IMAGENET_C = _trees(
    "Tiny-ImageNet-C",
    names("common"),
    (_zenodo(8206060, "Tiny-ImageNet-C.tar", 1_794_775_040, "f9c9a9dbdc11469f0b850190f7ad8be1"),),
    3_100_000_000,
)
TINY_IMAGENET_C_EXTRA = _trees(
    "Tiny-ImageNet-C-extra",
    names("extra"),
    (_zenodo(8206060, "Tiny-ImageNet-C-extra.tar", None, "0db0588d243cf403ef93449ec52b70eb"),),
    820_000_000,
)
IMAGENET_C = _trees(
    "ImageNet-C",
    names("all"),
    tuple(
        _zenodo(2235448, f"{name}.tar", size, md5)
        for name, size, md5 in (
            ("noise", 22_565_673_785, "e80562d7f6c3f8834afb1ecf27252745"),
            ("blur", 7_112_704_951, "2d8e81fdd8e07fef67b9334fa635e45c"),
            ("weather", 12_797_438_995, "33ffea4db4d93fe4a428c40a6ce0c25d"),
            ("digital", 7_757_510_705, "89157860d7b10d5797849337ca2e5c03"),
            ("extra", 15_789_490_144, "d492dfba5fc162d8ec2c3cd8ee672984"),
        )
    ),
    80_000_000_000,
)
CIFAR10_1 = _loose(
    "CIFAR-10.1",
    (
        "https://raw.githubusercontent.com/modestyachts/CIFAR-10.1/"
        "d9982abb0bfc4846b8d13a11e66b887d946205d0/datasets/",
        "https://github.com/modestyachts/CIFAR-10.1/raw/master/datasets/",
    ),
    {
        "cifar10.1_v6_data.npy": (
            6_144_128,
            "2997188e5816f5bd545dc77771b6227828c28146049fcecf3fa10775474cacc6",
        ),
        "cifar10.1_v6_labels.npy": (
            8_128,
            "ae40beda001693674edc94d925ee8268cfe68905f8f9aff800c8dcdfcd6c9448",
        ),
    },
)
_FROST_FILES = {
    "frost1.png": (1_199_930, "ff9f907860bd7a835d459e32f9d588062b7f61ee267343cc7222b56753a14755"),
    "frost2.png": (299_002, "fe211a89b336999c207a852ce05818d4545d0b57c5beadd824b4cc9d9a9b6137"),
    "frost3.png": (299_002, "2d0d50b4a9bb213f38b024ef7768731bb83cc08d2f26b5766bbc167cdfa0e504"),
    "frost4.jpg": (36_734, "3f8b91ca1a9fa7167b09e773da53f5ae60d0a1fd88f02a783f6e328a72887f6e"),
    "frost5.jpg": (155_150, "5fc6a19df4a429ba68abdcc8f8a4278d4c9f81c9ccafd2c92ab0c8cf8992ebd2"),
    "frost6.jpg": (90_185, "1f92b2f48408748085b68dd81d816ef239f42cef3029c25d041fcb6760fb4f25"),
}
FROST = _loose(
    "frost",
    (
        "https://raw.githubusercontent.com/hendrycks/robustness/"
        "8190fe329f5f072a06e3a2aea02bb5dda69aed9f/ImageNet-C/imagenet_c/imagenet_c/frost/",
        "https://raw.githubusercontent.com/hendrycks/robustness/master/ImageNet-C/create_c/",
    ),
    _FROST_FILES,
)
