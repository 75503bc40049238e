"""Scikit-learn's hand-written digits: real images that need no download."""

from __future__ import annotations

import numpy as np
from PIL import Image

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.dataset import (
    Dataset,
    Split,
    balanced_subset,
    limit_note,
    stratified_split,
)
from robustbench_zosam.data.pixels import Images

_TEST_FRACTION, _VALIDATION_FRACTION, _SEED = 0.3, 0.1, 0  # fixed: the same split for everybody


def load(config: DataConfig) -> Dataset:
    """Loads 1,797 digits, enlarged bilinearly to RGB (32 pixels), in a fixed stratified split."""
    from sklearn.datasets import load_digits  # takes a second: only where it is needed

    bunch = load_digits()
    labels = bunch.target.astype(np.int64)
    images = _enlarge(bunch.images, config.image_size or 32)
    classes = tuple(map(str, range(10)))
    test, rest = stratified_split(labels, _TEST_FRACTION, _SEED, classes)
    share = _VALIDATION_FRACTION / (1 - _TEST_FRACTION)
    inner_validation, inner_train = stratified_split(labels[rest], share, _SEED, classes)
    parts = [rest[inner_train], rest[inner_validation], test]
    kept = [part[balanced_subset(labels[part], config.limit, _SEED)] for part in parts]
    train, validation, test_split = (Split(images[part], labels[part]) for part in kept)
    return Dataset(
        name="digits",
        title=f"scikit-learn digits, {images.shape[-1]}×{images.shape[-1]} RGB",
        classes=classes,
        train=train,
        validation=validation,
        test=test_split,
        horizontal_flip=False,
        partial=limit_note(config.limit),
    )


def _enlarge(images: np.ndarray[tuple[int, ...], np.dtype[np.float64]], size: int) -> Images:
    levels = np.round(images * (255 / 16)).astype(np.uint8)  # (n, 8, 8), 16 is full ink
    resized = [
        np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
        for image in levels
    ]
    return np.repeat(np.stack(resized)[:, None], 3, axis=1)
