"""The published formats of CIFAR and Tiny-ImageNet."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from malformed.assets import cifar, encoded, evaluate
from malformed.case import Case
from malformed.checkpoints import _Evil
from malformed.mutations import OTHERS, cuts, damage

BATCH, META = "data_batch_2", "batches.meta"
_LABELS = [n % 10 for n in range(40)]
_PIXELS = np.zeros((40, 3072), np.uint8)


_BATCHES: dict[str, Any] = {
    "a list": [1, 2],
    "no data": {b"labels": _LABELS},
    "no labels": {b"data": _PIXELS},
    "float pixels": {b"data": _PIXELS.astype(float), b"labels": _LABELS},
    "int16 pixels": {b"data": _PIXELS.astype(np.int16), b"labels": _LABELS},
    "pixels in one row": {b"data": _PIXELS.ravel(), b"labels": _LABELS},
    "fewer columns": {b"data": _PIXELS[:, :3000], b"labels": _LABELS},
    "fewer labels": {b"data": _PIXELS, b"labels": _LABELS[:-1]},
    "more labels": {b"data": _PIXELS, b"labels": [*_LABELS, 0]},
    "label 10": {b"data": _PIXELS, b"labels": [*_LABELS[:-1], 10]},
    "label -1": {b"data": _PIXELS, b"labels": [*_LABELS[:-1], -1]},
    "label 2^70": {b"data": _PIXELS, b"labels": [*_LABELS[:-1], 2**70]},
    "label 0.5": {b"data": _PIXELS, b"labels": [*_LABELS[:-1], 0.5]},
    "label NaN": {b"data": _PIXELS, b"labels": [*_LABELS[:-1], float("nan")]},
    "label a text": {b"data": _PIXELS, b"labels": [*_LABELS[:-1], "3"]},
    "label none": {b"data": _PIXELS, b"labels": [*_LABELS[:-1], None]},
    "labels nested": {b"data": _PIXELS, b"labels": [[n] for n in _LABELS]},
    "labels true": {b"data": _PIXELS, b"labels": [True] * 40},
    "labels a dict": {b"data": _PIXELS, b"labels": {1: 2}},
    "no images": {b"data": _PIXELS[:0], b"labels": []},
    "object pixels": {b"data": np.array([None, 1], dtype=object), b"labels": _LABELS},
    "code": _Evil(),
    "code inside": {b"data": _Evil(), b"labels": _LABELS},
    "latin keys": {b"\xff\xfe": 1, b"data": _PIXELS, b"labels": [99] * 40},
}
_METAS: dict[str, Any] = {
    "no names": {},
    "names a text": {b"label_names": b"abc"},
    "names of numbers": {b"label_names": list(range(10))},
    "names twice": {b"label_names": [b"a"] * 10},
    "nine names": {b"label_names": [b"a%d" % n for n in range(9)]},
    "eleven names": {b"label_names": [b"a%d" % n for n in range(11)]},
    "names not in utf-8": {b"label_names": [b"\xff%d" % n for n in range(10)]},
    "empty names": {b"label_names": [b""] * 10},
}
_RAW: dict[str, bytes] = {
    "deep": b"\x80\x02" + b"]" * 30000 + b"a" * 29999 + b".",
    "gigabytes": b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"abc",
    "memo of 2^31": b"\x80\x02}r\xff\xff\xff\x7f.",
    "array of gigabytes": b"cnumpy\nndarray\n(I99999999999\ntR.",
    "endless repetition": b"\x80\x02]" + b"q\x00" + b"h\x00a" * 5 + b".",
    "only stop": b".",
    "unknown protocol": b"\x80\x63.",
}


def cases() -> Iterator[Case]:
    """Yields damaged batches, then trees of Tiny-ImageNet."""
    for name in (BATCH, "test_batch", META):
        content = cifar()[name]
        for what, changed in cuts(content):
            yield _cifar(f"{name} {what}", name, changed, "refused")
        for what, changed in damage(content, seed=len(content), count=10):
            yield _cifar(f"{name} {what}", name, changed, "either")
        for what, changed in (*OTHERS.items(), *_RAW.items()):
            yield _cifar(f"{name}: {what}", name, changed, "refused")
    for what, value in _BATCHES.items():
        yield _cifar(
            f"batch with {what}",
            BATCH,
            pickle.dumps(value, 2),
            "refused",
            "" if what == "no images" else BATCH,
        )
    for what, value in _METAS.items():
        # eleven names for ten classes: a class without images
        yield _cifar(f"meta with {what}", META, pickle.dumps(value, 2), "refused", "")
    for what, change in _TREES.items():
        yield Case(f"datasets/tiny: {what}", _tiny(change), "")


def _cifar(what: str, name: str, content: bytes, outcome: Any, names: str | None = None) -> Case:
    def make(folder: Path) -> list[str]:
        place = folder / "cifar-10-batches-py"
        place.mkdir()
        for file, sound in (cifar() | {name: content}).items():
            (place / file).write_bytes(sound)
        return evaluate(folder, "--data", "cifar10", "--data-root", str(folder))

    return Case(f"datasets/cifar: {what}", make, name if names is None else names, outcome)


def _append(name: str, text: bytes) -> Callable[[Path], object]:
    return lambda top: (top / name).write_bytes((top / name).read_bytes() + text)


def _replace(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda top: (top / name).write_bytes(content)


_NOTES = "val/val_annotations.txt"
_TREES: dict[str, Callable[[Path], object]] = {
    "no wnids": lambda top: (top / "wnids.txt").unlink(),
    "no annotations": lambda top: (top / _NOTES).unlink(),
    "wnids twice": _append("wnids.txt", b"n01\n"),
    "wnids empty": _replace("wnids.txt", b""),
    "wnids binary": _replace("wnids.txt", b"\xff\xfe\x00"),
    "wnids other": _replace("wnids.txt", b"n98\nn99\n"),
    "annotation of nothing": _append(_NOTES, b"val_99.JPEG\tn01\t0\t0\t1\t1\n"),
    "annotation twice": _append(_NOTES, b"val_0.JPEG\tn01\t0\t0\t1\t1\n"),
    "annotation of another class": _append(_NOTES, b"val_9.JPEG\tn77\t0\t0\t1\t1\n"),
    "annotation without tab": _append(_NOTES, b"nonsense\n"),
    "annotations empty": _replace(_NOTES, b""),
    "annotations binary": _replace(_NOTES, b"\xff\xfe\x00"),
    "annotations climb": _append(_NOTES, b"../../wnids.txt\tn01\t0\t0\t1\t1\n"),
    "a picture less": lambda top: (top / "train/n01/images/n01_0.JPEG").unlink(),
    "a picture more": _replace("val/images/val_77.JPEG", b""),
    "a picture empty": _replace("train/n01/images/n01_1.JPEG", b""),
    "a picture of text": _replace("val/images/val_1.JPEG", b"hello"),
    "a picture as EPS": _replace("val/images/val_1.JPEG", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
    "one class": lambda top: [f.unlink() for f in (top / "train/n02/images").iterdir()],
}


def _tiny(change: Callable[[Path], object]):
    def make(folder: Path) -> list[str]:
        top = folder / "tiny-imagenet-200"
        lines = []
        (top / "val/images").mkdir(parents=True)
        for index, name in enumerate(("n01", "n02")):
            (top / f"train/{name}/images").mkdir(parents=True)
            for number in range(4):
                content = encoded("JPEG", 10 * index + number, side=64)
                (top / f"train/{name}/images/{name}_{number}.JPEG").write_bytes(content)
                picture = f"val_{4 * index + number}.JPEG"
                (top / "val/images" / picture).write_bytes(content)
                lines.append(f"{picture}\t{name}\t0\t0\t63\t63\n")
        (top / _NOTES).write_text("".join(lines))
        (top / "wnids.txt").write_text("n01\nn02\n")
        change(top)
        return evaluate(folder, "--data", "tiny-imagenet", "--data-root", str(folder))

    return make
