"""Images that stay in their files: the same data, whether or not it fits in memory."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data import DATASETS, load_prepared, prepare, source
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.data.pixels import StreamedImages, channels_last
from robustbench_zosam.errors import InputError


def load(root: Path, **options: object) -> Dataset:
    return DATASETS["folder"].load()(DataConfig(name="folder", root=str(root), **options))


def zipped(folder: Path) -> Path:
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as content:
        for file in sorted(folder.rglob("*.png")):
            content.write(file, file.relative_to(folder.parent))
    return archive


@pytest.mark.parametrize("pack", [Path, zipped], ids=["folder", "zip"])
def test_streamed_data_is_the_same_data(pack, image_folder: Path, tmp_path: Path):
    root = pack(image_folder)
    kept, streamed = load(root, limit=20), load(root, limit=20, stream=True)
    assert streamed.facts() == kept.facts()
    assert streamed.channel_statistics() == kept.channel_statistics()
    for name, split in streamed.splits.items():
        assert isinstance(split.images, StreamedImages)
        whole = kept.splits[name].images
        chosen = np.array([2, 0, 1])
        np.testing.assert_array_equal(split.images[chosen], whole[chosen])
        np.testing.assert_array_equal(split.images[1:3], whole[1:3])
        np.testing.assert_array_equal(split.take(chosen).images, whole[chosen])
        with channels_last(split.images, tmp_path) as mapped:
            np.testing.assert_array_equal(mapped, np.moveaxis(whole, 1, 3))
        assert not list(tmp_path.glob(".decoded-*"))


def test_prepared_files_of_streamed_data_hold_no_pixels(image_folder: Path, tmp_path: Path):
    config = DataConfig(name="folder", root=str(image_folder), stream=True)
    first = prepare(config, tmp_path)
    assert prepare(config, tmp_path) == first
    data = load_prepared(first.file)
    assert data.statistics == load(image_folder).channel_statistics()
    kept = prepare(config.model_copy(update={"stream": False}), tmp_path)
    assert first.facts["fingerprint"] == kept.facts["fingerprint"] == data.facts()["fingerprint"]
    assert first.file.stat().st_size < kept.file.stat().st_size / 3


def test_what_would_take_too_much_memory_is_streamed(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    decoded = 36 * 3 * 32**2
    for memory, streamed in ((4 * decoded, False), (4 * decoded - 1, True)):
        monkeypatch.setattr(source, "memory_bytes", lambda memory=memory: memory)
        assert isinstance(load(image_folder).train.images, StreamedImages) == streamed


def test_damaged_files_are_named_before_anything_is_trained(image_folder: Path, tmp_path: Path):
    (image_folder / "bee" / "03.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"bee/03\.png is not a readable image"):
        prepare(DataConfig(name="folder", root=str(image_folder), stream=True), tmp_path)


def test_only_image_files_can_be_streamed(tmp_path: Path):
    with pytest.raises(InputError, match=r"data\.stream=true: digits is not stored as image files"):
        prepare(DataConfig(stream=True), tmp_path)


def test_every_process_opens_the_zip_for_itself(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    images = load(zipped(image_folder), stream=True).train.images
    assert isinstance(images, StreamedImages)
    before = images[:2]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(images))[:2], before)
    opened = images._opened
    monkeypatch.setattr(os, "getpid", lambda: -1)  # as in a forked child
    np.testing.assert_array_equal(images[:2], before)
    assert images._opened is not opened
