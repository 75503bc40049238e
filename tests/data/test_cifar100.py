from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR100

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data import DATASETS, Dataset, prepare
from robustbench_zosam.errors import InputError

Dumps = Callable[[object], bytes]


class Unchecked(CIFAR100):
    """Torchvision's reader without the checksums, which only the whole data set has."""

    train_list = (("train", None),)
    test_list = (("test", None),)
    meta = {"filename": "meta", "key": "fine_label_names", "md5": None}  # noqa: RUF012


def load(root: Path, **options: object) -> Dataset:
    return DATASETS["cifar100"].load()(DataConfig(name="cifar100", root=str(root), **options))


def write_split(folder: Path, name: str, labels: list[int], seed: int, dumps: Dumps) -> None:
    rng = np.random.default_rng(seed)
    content = {
        b"filenames": [b"x.png"] * len(labels),
        b"batch_label": f"{name}ing batch 1 of 1".encode(),
        b"fine_labels": labels,
        b"coarse_labels": [label // 5 for label in labels],
        b"data": rng.integers(0, 256, (len(labels), 3072), dtype=np.uint8),
    }
    (folder / name).write_bytes(dumps(content))


@pytest.fixture
def root(tmp_path: Path, python2_pickle: Dumps) -> Path:
    """Small files in the format of the published cifar-100-python.tar.gz."""
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    names = {
        b"fine_label_names": [f"fine{i:02}".encode() for i in range(100)],
        b"coarse_label_names": [f"coarse{i:02}".encode() for i in range(20)],
    }
    (folder / "meta").write_bytes(python2_pickle(names))
    write_split(folder, "train", [(7 * i) % 100 for i in range(400)], 0, python2_pickle)
    write_split(folder, "test", [(3 * i) % 100 for i in range(100)], 1, python2_pickle)
    return tmp_path


def test_images_and_fine_labels_are_those_torchvision_reads(root: Path):
    data, theirs = load(root), Unchecked(str(root), train=False)
    assert data.classes == tuple(theirs.classes)
    np.testing.assert_array_equal(data.test.labels, theirs.targets)
    np.testing.assert_array_equal(data.test.images, np.moveaxis(theirs.data, 3, 1))
    assert (len(data.train), len(data.validation)) == (300, 100)
    ours = {image.tobytes(): label for s in (data.train, data.validation) for image, label in
            zip(s.images, s.labels, strict=True)}  # fmt: skip
    trained = Unchecked(str(root), train=True)
    assert ours == {
        np.moveaxis(image, 2, 0).tobytes(): label
        for image, label in zip(trained.data, trained.targets, strict=True)
    }


def test_what_is_missing_is_named_with_the_way_to_get_it(root: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"cifar-100-python does not exist.*fetch cifar100"):
        load(tmp_path / "empty")
    (root / "cifar-100-python" / "test").unlink()
    with pytest.raises(InputError, match="test cannot be read"):
        load(root)
    (root / "cifar-100-python" / "meta").unlink()
    with pytest.raises(InputError, match="meta cannot be read"):
        load(root)


def test_prepared_data_follows_the_batches_and_nothing_else_in_the_root(
    root: Path, tmp_path: Path, python2_pickle: Dumps
):
    config = DataConfig(name="cifar100", root=str(root))
    first = prepare(config, tmp_path / "cache")
    (root / "other.png").write_bytes(b"not ours")
    assert prepare(config, tmp_path / "cache") == first
    write_split(root / "cifar-100-python", "test", list(range(100)), 2, python2_pickle)
    assert prepare(config, tmp_path / "cache").facts["fingerprint"] != first.facts["fingerprint"]


def test_without_a_root_the_folder_data_is_searched(root: Path, monkeypatch: pytest.MonkeyPatch):
    (root / "work").mkdir()
    (root / "cifar-100-python").rename(root / "work" / "cifar-100-python")
    (root / "work").rename(root / "data")
    monkeypatch.chdir(root)
    data = DATASETS["cifar100"].load()(DataConfig(name="cifar100"))
    assert len(data.test) == 100
