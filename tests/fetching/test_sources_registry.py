"""Every registered download: what its facts promise, without the network."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from corruptions.textures import PICTURES
from robustbench_zosam.data import DATASETS
from robustbench_zosam.fetching import DOWNLOADS, Downloadable, presence
from robustbench_zosam.registry import Entry
from robustbench_zosam.robustness.registry import SUITES

ENTRIES = [pytest.param(entry, id=entry.name) for entry in DOWNLOADS]
NINETEEN = 15 + 4


def folders(name: str) -> dict[str, set[str]]:
    return {f.name: {item.path for item in f.items} for f in DOWNLOADS[name].load().folders}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_file_is_verifiable_and_has_an_address(entry: Entry[Downloadable]):
    for part in entry.load().parts:
        assert part.is_verifiable
        assert part.sha256 is None or re.fullmatch("[0-9a-f]{64}", part.sha256)
        assert part.md5 is None or re.fullmatch("[0-9a-f]{32}", part.md5)
        assert len(set(part.urls)) == len(part.urls) >= 1
        for url in part.urls:
            assert urlsplit(url).scheme in {"http", "https"}
            assert part.file in url
        assert any(url.startswith("https") for url in part.urls)


@pytest.mark.parametrize("entry", ENTRIES)
def test_sizes_and_licences_are_stated(entry: Entry[Downloadable], tmp_path: Path):
    source = entry.load()
    assert source.download_bytes > 1_000_000
    assert source.disk_bytes > 0.9 * source.download_bytes
    assert source.licence
    assert not any(found.exists for found in presence(source, tmp_path))
    names = [part.file for part in source.parts]
    assert len(set(names)) == len(names)


def test_data_sets_land_where_their_readers_look():
    for name in ("cifar10", "cifar100", "tiny-imagenet"):
        assert set(folders(name)) == {DATASETS[name].folder}
    assert folders("cifar10")["cifar-10-batches-py"] == {
        "batches.meta", "test_batch", *(f"data_batch_{i}" for i in range(1, 6)),
    }  # fmt: skip
    assert folders("cifar100")["cifar-100-python"] == {"train", "test", "meta"}


def test_suites_land_where_evaluate_looks():
    for entry in SUITES:
        assert next(iter(folders(entry.name))) == entry.folders[0]


def test_suites_hold_the_nineteen_published_corruptions():
    for name, folder in (("cifar10-c", "CIFAR-10-C"), ("cifar100-c", "CIFAR-100-C")):
        assert len(folders(name)[folder]) == NINETEEN + 1
        assert {"labels.npy", "brightness.npy", "saturate.npy"} < folders(name)[folder]
    tiny = folders("tiny-imagenet-c")
    assert (len(tiny["Tiny-ImageNet-C"]), len(tiny["Tiny-ImageNet-C-extra"])) == (15, 4)
    assert len(folders("imagenet-c")["ImageNet-C"]) == NINETEEN
    assert {"cifar10.1_v6_data.npy", "cifar10.1_v6_labels.npy"} == folders("cifar10.1")[
        "CIFAR-10.1"
    ]


def test_the_frost_textures_are_those_the_corruption_accepts():
    assert {picture.file for picture in PICTURES} < folders("frost-textures")["frost"]
