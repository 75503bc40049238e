"""Folders that are not what they seem, and pictures of every kind."""

import numpy as np
import pytest
from PIL import Image

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data import prepare
from robustbench_zosam.data.prepare import load_dataset
from robustbench_zosam.errors import InputError


def write(root, *folders, count=6, suffix=".png", picture=None):
    rng = np.random.default_rng(0)
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            (picture or Image.fromarray(pixels)).save(root / folder / f"{index}{suffix}")


def load(root, **options):
    return load_dataset(DataConfig(name="folder", root=str(root), image_size=16, **options))


@pytest.mark.parametrize("inner", ["a", ""])
def test_splits_beside_other_folders_are_no_classes(tmp_path, inner):
    write(tmp_path, *(f"{top}/{inner}" for top in ("Train", "Val", "unlabeled")))
    with pytest.raises(InputError, match=r"holds the splits Train, Val beside unlabeled: keep"):
        load(tmp_path)


def test_one_split_beside_other_folders_is_no_class(tmp_path):
    write(tmp_path, "train/ant", "train/bee", "extra/ant")
    with pytest.raises(InputError, match="holds the splits train beside extra"):
        load(tmp_path)


def test_splits_without_training_images_are_refused(tmp_path):
    write(tmp_path, "test/ant", "test/bee", "val/ant", "val/bee")
    with pytest.raises(InputError, match="holds the splits test, val but no train"):
        load(tmp_path)


def test_a_class_may_be_called_like_a_split(tmp_path):
    write(tmp_path, "car", "bus", "train")
    assert load(tmp_path).classes == ("bus", "car", "train")


def test_a_class_without_training_images_is_refused(tmp_path):
    write(tmp_path, "train/ant", "train/bee", "test/ant", "test/bee", "test/cat")
    with pytest.raises(InputError, match="images of cat in test and none in train"):
        load(tmp_path)


def test_splits_of_any_case_are_understood(tmp_path):
    write(tmp_path, *(f"{split}/{name}" for split in ("Train", "TEST") for name in ("a", "b")))
    assert [len(x) for x in load(tmp_path).splits.values()] == [10, 2, 12]


def test_mirroring_is_a_setting(tmp_path):
    write(tmp_path, "ant", "bee")
    assert load(tmp_path).horizontal_flip
    assert not load(tmp_path, flip=False).horizontal_flip
    settings = DataConfig(name="folder", root=str(tmp_path), image_size=16)
    files = {
        prepare(settings.model_copy(update={"flip": flip}), tmp_path / "cache").file
        for flip in (None, True, False)
    }
    assert len(files) == 3


def test_gif_files_are_read(tmp_path):
    write(tmp_path, "ant", suffix=".gif")
    write(tmp_path, "bee")
    assert load(tmp_path).classes == ("ant", "bee")


def test_pictures_that_are_not_read_are_named(tmp_path):
    write(tmp_path, "ant", "bee")
    (tmp_path / "ant" / "x.HEIC").write_bytes(b"")
    with pytest.raises(InputError, match=r"1 images in a format that is not read, such as ant/x"):
        load(tmp_path)


def test_sixteen_bit_grey_keeps_its_levels(tmp_path):
    levels = np.full((16, 16), 32768, dtype=np.uint16)
    write(tmp_path, "ant", "bee", picture=Image.fromarray(levels))
    assert set(np.unique(load(tmp_path).train.images)) == {128}


def test_a_decompression_bomb_is_one_sentence(tmp_path):
    write(tmp_path, "ant", "bee")
    Image.new("1", (20000, 20000)).save(tmp_path / "ant" / "0.png")
    with pytest.raises(InputError, match=r"ant/0.png is not a readable image .*replace or remove"):
        load(tmp_path)
