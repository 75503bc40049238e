"""Published arrays, in small or sparse files of exactly their form, and all that can ail them."""

from __future__ import annotations

import numpy as np
import pytest

from corruptions import SEVERITIES, names
from corruptions.suites import open_array_suite, open_cifar10_1

COUNT = 4
LABELS = np.array([1, 0, 9, 3], np.uint8)


def save(path, shape, dtype=np.uint8):
    """A sparse file: as large as the published ones, but quick to make."""
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    array.flush()
    return array


@pytest.fixture
def arrays(tmp_path):
    for number, name in enumerate(names("all")):
        array = save(tmp_path / f"{name}.npy", (5 * COUNT, 32, 32, 3))
        for row in range(5 * COUNT):
            array[row] = number * 10 + row % 7
    np.save(tmp_path / "labels.npy", np.tile(LABELS, 5))
    return tmp_path


def test_whole_suite(arrays):
    suite = open_array_suite(arrays, classes=10, clean_labels=LABELS)
    assert suite.corruptions == names("all")
    assert (suite.missing, suite.notes, suite.severities) == ((), (), SEVERITIES)
    assert len(suite) == COUNT
    for number, name in enumerate(suite.corruptions):
        for severity in SEVERITIES:
            batches = list(suite.batches(name, severity, 3))
            assert [len(images) for images, _ in batches] == [3, 1]
            rows = np.concatenate([images[:, 0, 0, 0] for images, _ in batches])
            wanted = number * 10 + np.arange((severity - 1) * COUNT, severity * COUNT) % 7
            np.testing.assert_array_equal(rows, wanted)
            np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), LABELS)


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_files_as_large_as_the_published_ones(tmp_path, classes, dtype):
    save(tmp_path / "fog.npy", (50_000, 32, 32, 3))
    clean = np.arange(10_000) % classes
    np.save(tmp_path / "labels.npy", np.tile(clean, 5).astype(dtype))
    suite = open_array_suite(tmp_path, classes=classes, clean_labels=clean)
    assert len(suite) == 10_000
    assert suite.labels.dtype == np.int64
    assert suite.read("fog", 5, 9_998, 10_000).shape == (2, 32, 32, 3)


def test_labels_of_one_severity_suffice(arrays):
    np.save(arrays / "labels.npy", LABELS)
    assert len(open_array_suite(arrays, classes=10)) == COUNT


def test_any_subset_is_usable_and_said(arrays, refused):
    for name in names("all")[2:]:
        (arrays / f"{name}.npy").unlink()
    suite = open_array_suite(arrays, classes=10, name="mine")
    assert suite.corruptions == ("gaussian_noise", "shot_noise")
    assert suite.missing == names("all")[2:]
    assert suite.notes == ()
    refused(lambda: next(suite.batches("fog", 1, 2)), "mine has no fog at severity 1")
    refused(lambda: next(suite.batches("shot_noise", 6, 2)), "mine has no shot_noise at severity 6")
    refused(lambda: next(suite.batches("shot_noise", 0, 2)), "severity 0")
    refused(lambda: next(suite.batches("shot_noise", 1, 0)), "size is 0")


def opening(folder, **options):
    return lambda: open_array_suite(folder, classes=10, **options)


def test_nothing_there(tmp_path, refused):
    refused(opening(tmp_path), str(tmp_path), "holds no <corruption>.npy")
    refused(opening(tmp_path / "absent"), "absent holds no <corruption>.npy")


def test_no_labels(arrays, refused):
    (arrays / "labels.npy").unlink()
    refused(opening(arrays), "labels.npy is missing", "download")


@pytest.mark.parametrize("kept", [0, 5, 60, 1000, -1])
def test_truncated_file(arrays, kept, refused):
    path = arrays / "snow.npy"
    path.write_bytes(path.read_bytes()[:kept])
    refused(opening(arrays), "snow.npy is damaged", "download or write it again")


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"PK\x03\x04" + bytes(100)])
def test_file_of_another_kind(arrays, content, refused):
    (arrays / "snow.npy").write_bytes(content)
    refused(opening(arrays), "snow.npy is damaged")


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ((20, 32, 32, 3), np.float32, "snow.npy is float32"),
        ((20, 32, 32, 3), np.int64, "snow.npy is int64"),
        ((20, 3, 32, 32), np.uint8, "snow.npy is uint8 of shape (20, 3, 32, 32)"),
        ((20, 3072), np.uint8, "shape (20, 3072), not uint8 (n, h, w, 3)"),
        ((20, 64, 64, 3), np.uint8, "snow.npy has shape (20, 64, 64, 3) where gaussian_noise.npy"),
        ((19, 32, 32, 3), np.uint8, "snow.npy has 19 images beside 20 labels"),
        ((0, 32, 32, 3), np.uint8, "snow.npy has 0 images"),
    ],
)
def test_array_of_another_form(arrays, shape, dtype, said, refused):
    save(arrays / "snow.npy", shape, dtype)
    refused(opening(arrays), said)


def test_one_row_too_few(tmp_path, refused):
    save(tmp_path / "fog.npy", (49_999, 32, 32, 3))
    np.save(tmp_path / "labels.npy", np.zeros(50_000, np.uint8))
    refused(opening(tmp_path), "fog.npy has 49999 images beside 50000 labels", "get both again")


@pytest.mark.parametrize("count", [1, 3, 19, 21, 100])
def test_labels_of_another_length(arrays, count, refused):
    np.save(arrays / "labels.npy", np.zeros(count, np.uint8))
    refused(opening(arrays), f"has 20 images beside {count} labels")


def test_labels_that_do_not_agree(arrays, refused):
    clean = opening(arrays, clean_labels=LABELS[::-1])
    refused(clean, "labels.npy does not begin with the labels of the clean test set")
    refused(opening(arrays, clean_labels=LABELS[:3]), "20 labels where the clean test set has 3")
    np.save(arrays / "labels.npy", np.concatenate([np.tile(LABELS, 4), LABELS[::-1]]))
    refused(opening(arrays), "labels.npy differs between severities")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.full(20, 10), "has labels from 10 to 10, not 0 to 9"),
        (np.full(20, -1), "has labels from -1 to -1"),
        (np.zeros(20), "is float64 of shape (20,), not integers"),
        (np.zeros((20, 1), int), "is int64 of shape (20, 1)"),
        (np.zeros(0, int), "of shape (0,)"),
        (np.array([None] * 20), "labels.npy is damaged"),
    ],
)
def test_labels_that_cannot_be(arrays, labels, said, refused):
    np.save(arrays / "labels.npy", labels)
    refused(opening(arrays), "labels.npy", said)


# -------------------------------------------------------------------------------- CIFAR-10.1


@pytest.mark.parametrize(("version", "count"), [("v6", 2000), ("v4", 2021)])
def test_cifar10_1(tmp_path, version, count, refused):
    data = tmp_path / f"cifar10.1_{version}_data.npy"
    labels = tmp_path / f"cifar10.1_{version}_labels.npy"
    refused(lambda: open_cifar10_1(tmp_path, version), f"{data} is missing")
    save(data, (count, 32, 32, 3))
    refused(lambda: open_cifar10_1(tmp_path, version), f"{labels} is missing")
    np.save(labels, np.arange(count, dtype=np.int32) % 10)
    images, read = open_cifar10_1(tmp_path, version)
    assert images.shape == (count, 32, 32, 3)
    np.testing.assert_array_equal(read, np.arange(count) % 10)
    np.save(labels, np.zeros(count - 1, np.int32))
    refused(lambda: open_cifar10_1(tmp_path, version), f"{count - 1} labels for {count} images")
    save(data, (count - 1, 32, 32, 3))
    refused(lambda: open_cifar10_1(tmp_path, version), f"shape ({count - 1}, 32, 32, 3)")


def test_cifar10_1_has_two_versions(tmp_path, refused):
    refused(lambda: open_cifar10_1(tmp_path, "v5"), "version is 'v5'", "choose")
