"""Label noise: training labels that are wrong on purpose."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.arrays import read_array
from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.dataset import Dataset, Labels, Split
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json, read_text
from robustbench_zosam.schema import LabelNoise
from robustbench_zosam.seeds import derive_seed

Matrix = NDArray[np.float64]
_ROUNDING = 1e-6  # of the sum of a row


def noise_key(config: DataConfig) -> dict[str, object]:
    """Returns all that decides which labels are wrong, as JSON values; empty without noise."""
    if config.label_noise_matrix is not None:
        kind: object = read_matrix(Path(config.label_noise_matrix)).tolist()
    elif config.label_noise:
        kind = config.label_noise
    else:
        return {}
    return {"label_noise": kind, "label_noise_seed": config.label_noise_seed}


def with_label_noise(data: Dataset, config: DataConfig) -> Dataset:
    """Returns the data with the training labels that a configuration asks to be wrong.

    Validation and test labels stay as they are, and so does every pixel.

    Raises:
        InputError: the matrix cannot be read or does not fit the classes.
    """
    labels, classes, seed = data.train.labels, len(data.classes), config.label_noise_seed
    if config.label_noise_matrix is not None:
        matrix = read_matrix(Path(config.label_noise_matrix))
        if len(matrix) != classes:
            raise InputError(
                f"{config.label_noise_matrix} is of shape {matrix.shape}, and the data has "
                f"{classes} classes: give a row and a column for each, in their order"
            )
        noisy = noisy_labels(labels, classes, matrix, seed)
        asked = float(np.mean(1 - matrix[labels, labels]))
    elif config.label_noise:
        asked = config.label_noise
        noisy = noisy_labels(labels, classes, asked, seed)
    else:
        return data
    facts: LabelNoise = {
        "kind": "matrix" if config.label_noise_matrix is not None else "symmetric",
        "asked": asked,
        "changed": int((noisy != labels).sum()),
        "images": len(labels),
        "seed": seed,
    }
    return replace(data, train=Split(data.train.images, noisy), label_noise=facts)


def noisy_labels(labels: Labels, classes: int, noise: float | Matrix, seed: int) -> Labels:
    """Returns labels, some of them wrong.

    Args:
        labels: class indices, shape (n,).
        noise: share of the labels, exact to one image, that become another class, each other one
            with equal probability; or probabilities (classes, classes) of the labels (columns) that
            each true class (row) is given.
        seed: of a random stream that nothing else uses.

    Returns:
        int64, shape (n,).

    Source:
        Foret et al. 2021, arXiv 2010.01412, section 3.3, for symmetric noise.
    """
    rng = np.random.Generator(np.random.PCG64DXSM(derive_seed(seed, "label noise")))
    if isinstance(noise, np.ndarray):
        limits = np.cumsum(noise, axis=1)
        limits /= limits[:, -1:]  # 1 exactly, which no draw reaches
        draws = rng.random(len(labels))
        found = [np.searchsorted(limits[i], x, "right") for i, x in zip(labels, draws, strict=True)]
        return np.array(found, dtype=np.int64)
    wrong = rng.permutation(len(labels))[: round(noise * len(labels))]
    noisy = labels.astype(np.int64)
    noisy[wrong] = (noisy[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return noisy


def read_matrix(file: Path) -> Matrix:
    """Returns the probabilities in a `.npy`, `.csv` or `.json` file, each row of sum 1.

    Raises:
        InputError: the file cannot be read, is no square of numbers, or a row is no distribution.
    """
    matrix = _numbers(file)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"{file} is of shape {matrix.shape}: give a row and a column per class")
    for number, row in enumerate(matrix, start=1):
        bad = next((value for value in row if not value >= 0), None)
        if bad is not None:
            raise InputError(
                f"{file} is no matrix of probabilities: row {number} has the probability {bad:g}"
            )
        if not abs(row.sum() - 1) <= _ROUNDING:
            raise InputError(
                f"{file} is no matrix of probabilities: row {number} sums to {row.sum():g}, not 1"
            )
    return matrix


def _numbers(file: Path) -> Matrix:
    if file.suffix not in {".npy", ".csv", ".json"}:
        raise InputError(f"{file} is no .npy, .csv or .json file: give label noise in one of these")
    if file.suffix == ".npy":
        return np.asarray(read_array(file), dtype=np.float64)
    if file.suffix == ".json":
        rows: object = read_json(file)
    else:
        rows = [row for row in csv.reader(io.StringIO(read_text(file))) if row]
    try:
        if not isinstance(rows, list) or not rows:
            raise ValueError("there are no rows")
        if any(isinstance(value, bool) for row in rows for value in row):
            raise ValueError("true and false are no numbers")
        return np.array([[float(value) for value in row] for row in rows], dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{file} is no matrix of numbers ({error}): give equal rows") from error
