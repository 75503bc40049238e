from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data import DATASETS, load_prepared, prepare
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.errors import DamagedFileWarning, InputError

Dumps = Callable[[object], bytes]


def load(name: str, root: Path | None = None, **options: object) -> Dataset:
    config = DataConfig(name=name, root=str(root) if root else None, **options)
    return DATASETS[name].load()(config)


def test_digits_are_split_once_and_for_all():
    data = load("digits")
    assert data.facts()["counts"] == {"train": 1079, "validation": 179, "test": 539}
    assert data.train.images.shape[1:] == (3, 32, 32)
    original = np.bincount(load_digits().target)
    total = sum(np.bincount(split.labels, minlength=10) for split in data.splits.values())
    np.testing.assert_array_equal(total, original)
    assert data.train.images.max() == 255


def test_enlarged_digits_average_to_the_original_pixels():
    data = load("digits", image_size=16)
    blocks = data.test.images[:, 0].reshape(-1, 8, 2, 8, 2).mean(axis=(2, 4))
    assert set(np.unique(data.test.labels)) == set(range(10))
    assert abs(blocks.mean() / 255 - load_digits().images.mean() / 16) < 0.02


def test_a_limit_is_said():
    data = load("digits", limit=50)
    assert (len(data.train), len(data.test)) == (50, 50)
    assert data.partial == "at most 50 images per split"


def write_cifar(root: Path, dumps: Dumps, rows: int = 40) -> Path:
    """Writes small files in the format of the published cifar-10-python.tar.gz."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        content = {
            b"batch_label": name.encode(),
            b"labels": [i % 10 for i in range(rows)],
            b"data": rng.integers(0, 256, (rows, 3072), dtype=np.uint8),
            b"filenames": [b"x.png"] * rows,
        }
        (folder / name).write_bytes(dumps(content))
    names = [b"airplane", b"automobile", b"bird", b"cat", b"deer"]
    names += [b"dog", b"frog", b"horse", b"ship", b"truck"]
    meta = {b"num_cases_per_batch": rows, b"label_names": names, b"num_vis": 3072}
    (folder / "batches.meta").write_bytes(dumps(meta))
    return folder


def test_cifar_batches_are_read_in_their_published_format(tmp_path: Path, python2_pickle: Dumps):
    folder = write_cifar(tmp_path, python2_pickle)
    data = load("cifar10", tmp_path)
    assert data.classes[3] == "cat"
    assert (len(data.train), len(data.validation), len(data.test)) == (180, 20, 40)
    stored = pickle.loads((folder / "test_batch").read_bytes(), encoding="bytes")
    row = stored[b"data"][7]
    np.testing.assert_array_equal(data.test.images[7], row.reshape(3, 32, 32))
    assert load("cifar10", folder).facts()["fingerprint"] == data.facts()["fingerprint"]


def test_damaged_cifar_files_are_named(tmp_path: Path, python2_pickle: Dumps):
    with pytest.raises(InputError, match="cifar-10-batches-py does not exist"):
        load("cifar10", tmp_path)
    folder = write_cifar(tmp_path, python2_pickle)
    whole = (folder / "data_batch_2").read_bytes()
    (folder / "data_batch_2").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="data_batch_2 is not a CIFAR batch file"):
        load("cifar10", tmp_path)
    (folder / "data_batch_2").unlink()
    with pytest.raises(InputError, match="data_batch_2 cannot be read"):
        load("cifar10", tmp_path)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, python2_pickle: Dumps):
    folder = write_cifar(tmp_path, python2_pickle)

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "pwned",))

    (folder / "test_batch").write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(InputError, match="it asks for pathlib"):
        load("cifar10", tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_labels_outside_the_classes_are_refused(tmp_path: Path, python2_pickle: Dumps):
    folder = write_cifar(tmp_path, python2_pickle)
    content = pickle.loads((folder / "test_batch").read_bytes(), encoding="bytes")
    content[b"labels"][0] = 10
    (folder / "test_batch").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(InputError, match=r"labels outside 0\.\.9"):
        load("cifar10", tmp_path)


def test_a_folder_of_classes_is_split_class_by_class(image_folder: Path):
    data = load("folder", image_folder)
    assert data.classes == ("ant", "bee", "cat")
    assert data.train.images.shape[1:] == (3, 32, 32)
    assert [len(split) for split in data.splits.values()] == [21, 3, 12]
    means = data.train.images.mean(axis=(2, 3))
    np.testing.assert_array_equal(means.argmax(axis=1), data.train.labels)


def test_given_splits_are_kept(image_folder: Path, tmp_path: Path):
    for split in ("train", "test"):
        target = tmp_path / "tree" / "deep" / split
        target.mkdir(parents=True)
        for folder in image_folder.iterdir():
            kept = sorted(folder.iterdir())[: 8 if split == "train" else 4]
            (target / folder.name).mkdir()
            for file in kept:
                (target / folder.name / file.name).write_bytes(file.read_bytes())
    data = load("folder", tmp_path / "tree", image_size=16)
    assert [len(split) for split in data.splits.values()] == [21, 3, 12]


def test_a_zip_is_read_like_its_folder(image_folder: Path, tmp_path: Path):
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        for file in image_folder.rglob("*.png"):
            stream.write(file, file.relative_to(image_folder.parent))
    zipped, plain = load("folder", archive), load("folder", image_folder)
    assert zipped.facts()["fingerprint"] == plain.facts()["fingerprint"]


def test_folder_mistakes_are_one_sentence(image_folder: Path, tmp_path: Path):
    with pytest.raises(InputError, match="does not exist"):
        load("folder", tmp_path / "absent")
    with pytest.raises(InputError, match="needs a path"):
        load("folder")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"images of 0 class\(es\)"):
        load("folder", tmp_path / "empty")
    (tmp_path / "no.zip").write_text("nothing")
    with pytest.raises(InputError, match="neither a folder nor a readable zip"):
        load("folder", tmp_path / "no.zip")
    broken = image_folder / "bee" / "00.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(InputError, match=r"bee/00\.png is not a readable image"):
        load("folder", image_folder)
    for file in sorted((image_folder / "bee").iterdir())[1:]:
        file.unlink()
    with pytest.raises(InputError, match="class 'bee' has 1 image"):
        load("folder", image_folder)


def test_a_zip_whose_paths_climb_out_is_refused(tmp_path: Path):
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("a/../../x.png", b"")
    with pytest.raises(InputError, match="leads out of it"):
        load("folder", archive)


def test_real_images_load(real_data: Path):
    data = load("folder", real_data / "cifar10-jpeg.zip", limit=100)
    assert data.classes[0] == "airplane"
    assert (len(data.classes), len(data.train), len(data.test)) == (10, 100, 100)
    np.testing.assert_array_equal(np.bincount(data.test.labels), np.full(10, 10))


def test_prepared_data_is_equal_and_follows_its_files(image_folder: Path, tmp_path: Path):
    config = DataConfig(name="folder", root=str(image_folder))
    first = prepare(config, tmp_path)
    assert load_prepared(first.file).facts()["fingerprint"] == first.facts["fingerprint"]
    assert prepare(config, tmp_path) == first
    (image_folder / "bee" / "00.png").unlink()
    second = prepare(config, tmp_path)
    assert second.facts["fingerprint"] != first.facts["fingerprint"]


def test_a_damaged_prepared_file_is_made_again(tmp_path: Path):
    first = prepare(DataConfig(), tmp_path)
    first.file.write_bytes(b"damaged")
    with pytest.raises(InputError, match="is damaged"):
        load_prepared(first.file)
    with pytest.warns(DamagedFileWarning, match=first.file.name):
        assert prepare(DataConfig(), tmp_path) == first
