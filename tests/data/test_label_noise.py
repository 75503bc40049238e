"""Training labels that are wrong on purpose."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data import load_dataset, load_prepared, prepare
from robustbench_zosam.data.noise import noisy_labels
from robustbench_zosam.errors import InputError
from robustbench_zosam.loading import load_config

MATRIX = np.array([[0.7, 0.3, 0.0], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]])


def write_matrix(file: Path, matrix: np.ndarray = MATRIX) -> Path:
    if file.suffix == ".npy":
        np.save(file, matrix)
    elif file.suffix == ".csv":
        np.savetxt(file, matrix, delimiter=",")
    else:
        file.write_text(json.dumps(matrix.tolist()))
    return file


def digits(**settings: object) -> DataConfig:
    return DataConfig(name="digits", image_size=16, **settings)


@given(st.integers(2, 12), st.integers(1, 300), st.floats(0, 1), st.integers(0, 9))
def test_exactly_the_share_gets_another_class(classes, count, share, seed):
    labels = np.arange(count) % classes
    noisy = noisy_labels(labels, classes, share, seed)
    assert (noisy != labels).sum() == round(share * count)
    assert noisy.min() >= 0
    assert noisy.max() < classes
    assert noisy.dtype == np.int64
    np.testing.assert_array_equal(noisy, noisy_labels(labels, classes, share, seed))


def test_every_other_class_is_as_likely():
    labels = np.full(20_000, 3)
    noisy = noisy_labels(labels, 10, 0.5, seed=0)
    counts = np.bincount(noisy, minlength=10)
    assert counts[3] == 10_000
    assert chisquare(np.delete(counts, 3)).pvalue > 1e-3  # false alarms: one in a thousand seeds
    changed = (noisy != labels)[:10_000].sum()
    assert 4800 < changed < 5200  # anywhere in the data, not at its beginning


def test_a_matrix_gives_the_classes_of_its_rows():
    labels = np.repeat(np.arange(3), 10_000)
    noisy = noisy_labels(labels, 3, MATRIX, seed=1)
    for row, probabilities in enumerate(MATRIX):
        for column, probability in enumerate(probabilities):
            found = int((noisy[labels == row] == column).sum())
            if probability in {0, 1}:
                assert found == 10_000 * probability
            else:
                assert binomtest(found, 10_000, probability).pvalue > 1e-4


def test_only_training_labels_change_and_no_pixel():
    clean, noisy = load_dataset(digits()), load_dataset(digits(label_noise=0.2))
    for name, split in noisy.splits.items():
        np.testing.assert_array_equal(split.images, clean.splits[name].images)
        same = split.labels == clean.splits[name].labels
        assert same.sum() == len(split) - (round(0.2 * len(split)) if name == "train" else 0)
    assert clean.label_noise is None
    assert noisy.label_noise == {
        "kind": "symmetric", "asked": 0.2, "changed": 216, "images": 1079, "seed": 0,
    }  # fmt: skip


def test_the_seed_of_the_noise_depends_on_nothing_else():
    labels = load_dataset(digits(label_noise=0.2)).train.labels
    np.testing.assert_array_equal(
        labels, load_dataset(digits(label_noise=0.2, stream=None)).train.labels
    )
    other = load_dataset(digits(label_noise=0.2, label_noise_seed=1)).train.labels
    assert (labels != other).any()


def test_noise_of_another_kind_is_never_reused(tmp_path: Path):
    matrix = write_matrix(tmp_path / "m.npy", 0.9 * np.eye(10) + 0.01)
    settings: list[dict[str, object]] = [
        {}, {"label_noise": 0.2}, {"label_noise": 0.3}, {"label_noise": 0.2, "label_noise_seed": 1},
        {"label_noise_matrix": str(matrix)},
    ]  # fmt: skip
    stored = [prepare(digits(**each), tmp_path / "cache") for each in settings]
    write_matrix(matrix, 0.8 * np.eye(10) + 0.02)  # under the same name
    stored.append(prepare(digits(**settings[-1]), tmp_path / "cache"))
    assert len({each.file for each in stored}) == 6
    assert len({each.facts["fingerprint"] for each in stored}) == 6
    again = load_prepared(prepare(digits(label_noise=0.2), tmp_path / "cache").file)
    assert again.facts() == load_dataset(digits(label_noise=0.2)).facts()


def test_streamed_images_get_the_same_labels(image_folder: Path):
    found = [
        load_dataset(
            DataConfig(name="folder", root=str(image_folder), label_noise=0.5, stream=stream)
        )
        for stream in (False, True)
    ]
    np.testing.assert_array_equal(found[0].train.labels, found[1].train.labels)
    assert found[0].facts() == found[1].facts()


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".json"])
def test_a_matrix_is_read_from_its_file(suffix: str, image_folder: Path, tmp_path: Path):
    file = write_matrix(tmp_path / f"m{suffix}")
    config = DataConfig(name="folder", root=str(image_folder), label_noise_matrix=str(file))
    facts = load_dataset(config).facts()["label_noise"]
    assert facts["kind"] == "matrix"
    assert facts["asked"] == pytest.approx((0.3 + 0 + 0.5) / 3)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (np.eye(2), "is of shape (2, 2), and the data has 3 classes"),
        (MATRIX - 0.1, "row 1 has the probability"),
        (MATRIX * 2, "row 1 sums to 2"),
        (np.where(MATRIX == 1, np.nan, MATRIX), "row 2"),
    ],
)
def test_a_wrong_matrix_is_one_sentence(matrix, said, image_folder: Path, tmp_path: Path):
    file = write_matrix(tmp_path / "m.npy", matrix)
    config = DataConfig(name="folder", root=str(image_folder), label_noise_matrix=str(file))
    with pytest.raises(InputError) as error:
        load_dataset(config)
    assert str(error.value).startswith(f"{file} ")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [("m.csv", "1,0\n0"), ("m.csv", "a,b"), ("m.json", "{}"), ("m.json", "[[1,"), ("m.npy", "x"),
     ("m.txt", "1"), ("absent.npy", None), ("m.json", "[[true]]"), ("m.csv", "")],
)  # fmt: skip
def test_an_unreadable_matrix_is_one_sentence(name, content, tmp_path: Path):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=name):
        load_dataset(digits(label_noise_matrix=str(tmp_path / name)))


def test_share_and_matrix_exclude_each_other():
    with pytest.raises(InputError, match="label_noise_matrix"):
        load_config(None, {"data.label_noise": 0.1, "data.label_noise_matrix": "m.npy"})
    with pytest.raises(InputError, match=r"data.label_noise = 1.5"):
        load_config(None, {"data.label_noise": 1.5})
