"""Suites: arrays in the layout of CIFAR-10-C, folders in that of ImageNet-C, and CIFAR-10.1."""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from malformed.assets import CLASSES, encoded, evaluate, photo_options, photos
from malformed.case import Case
from malformed.mutations import OTHERS, cuts, damage
from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.registry import DATASETS


def _npy(array: np.ndarray, *, pickled: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=pickled)
    return stream.getvalue()


@functools.cache
def _labels() -> np.ndarray:
    """Labels of the test images of the photos."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        root = photos(Path(folder) / "photos")
        config = DataConfig(name="folder", root=str(root), image_size=16)
        return DATASETS["folder"].load()(config).test.labels


@functools.cache
def _images() -> np.ndarray:
    shape = (5 * len(_labels()), 16, 16, 3)
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def _head(text: str, data: bytes = b"") -> bytes:
    head = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


def _big(shape: str, kind: str = "|u1") -> bytes:
    return _head(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}", bytes(100))


_HEADS: dict[str, bytes] = {
    "terabytes": _big("(5000000000, 16, 16, 3)"),
    "2^70 entries": _big("(1180591620717411303424, 16, 16, 3)"),
    "negative shape": _big("(-5, 16, 16, 3)"),
    "float shape": _big("(5.0, 16, 16, 3)"),
    "true as shape": _big("(True, 16, 16, 3)"),
    "no shape": _head("{'descr': '|u1', 'fortran_order': False}"),
    "objects": _big("(5,)", "|O"),
    "a void type": _big("(30, 16, 16, 3)", "|V1"),
    "times": _big("(5,)", "<M8[s]"),
    "unknown type": _big("(5,)", "|x9"),
    "code in the head": _head("__import__('os').system('touch /tmp/zosam-malformed-was-run')"),
    "deep head": _head("(" * 3000 + ")" * 3000),
    "long head": _head("{'descr': '|u1', 'x': '" + "a" * 60000 + "'}"),
    "version 9": b"\x93NUMPY\x09\x00" + bytes(100),
    "head of 4 GB": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1),
}


def _arrays() -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Yields file, what is wrong, and its bytes."""
    for what, make in {
        "float pixels": lambda: _images().astype(np.float32),
        "int16 pixels": lambda: _images().astype(np.int16),
        "bool pixels": lambda: _images() > 9,
        "channels first": lambda: np.moveaxis(_images(), 3, 1),
        "grey": lambda: _images()[..., :1],
        "three axes": lambda: _images()[..., 0],
        "four severities": lambda: _images()[: 4 * len(_labels())],
        "an image more": lambda: np.concatenate([_images(), _images()[:1]]),
        "an image less": lambda: _images()[:-1],
        "no images": lambda: _images()[:0],
        "no pixels": lambda: _images()[:, :0],
        "larger": lambda: np.repeat(np.repeat(_images(), 2, 1), 2, 2),
        "not square": lambda: _images()[:, :8],
        "a number": lambda: np.array(3, np.uint8),
    }.items():
        yield "fog.npy", what, lambda make=make: _npy(make())
    for what, make in {
        "float labels": lambda: _labels().astype(float),
        "NaN labels": lambda: _labels() * np.nan,
        "bool labels": lambda: _labels() > 0,
        "text labels": lambda: _labels().astype(str),
        "label 3": lambda: np.where(_labels() == 0, 3, _labels()),
        "label -1": lambda: np.where(_labels() == 0, -1, _labels()),
        "label 2^63": lambda: np.where(_labels() == 0, 2**63, _labels().astype(np.uint64)),
        "a label more": lambda: np.append(_labels(), 0),
        "no labels": lambda: _labels()[:0],
        "other order": lambda: _labels()[::-1],
        "two axes": lambda: _labels()[:, None],
        "severities that differ": lambda: np.concatenate([_labels()] * 4 + [_labels()[::-1]]),
    }.items():
        yield "labels.npy", what, lambda make=make: _npy(np.ascontiguousarray(make()))
    yield "labels.npy", "pickled", lambda: _npy(np.array([None, {}], dtype=object), pickled=True)
    for file in ("fog.npy", "labels.npy"):
        for what, content in _HEADS.items():
            yield file, what, lambda content=content: content


_MANIFESTS: dict[str, str] = {
    "a list": "[]",
    "a text": '"x"',
    "nothing": "{}",
    "cut": '{"identity": {"preset": "cif',
    "identity a list": '{"identity": []}',
    "preset a number": '{"identity": {"preset": 3, "seed": 0, "frost": "synthetic"}}',
    "seed a text": '{"identity": {"preset": "cifar", "seed": "x", "frost": "synthetic"}}',
    "frost a list": '{"identity": {"preset": "cifar", "seed": 1, "frost": []}}',
    "deep": "[" * 20000 + "]" * 20000,
    "NaN": '{"identity": {"preset": "cifar", "seed": NaN, "frost": "synthetic"}}',
    "a key twice": '{"identity": {"preset": "a", "preset": "cifar", "seed": 0, "frost": "synthetic"}}',
}


def cases() -> Iterator[Case]:
    """Yields suites of arrays, their manifests, and suites of folders."""
    for file, content in (("fog.npy", _npy(_images())), ("labels.npy", _npy(_labels()))):
        for what, changed in cuts(content):
            yield Case(f"arrays/{file} {what}", _suite(file, changed), file)
        for what, changed in damage(content, seed=len(content), count=8):
            yield Case(f"arrays/{file} {what}", _suite(file, changed), "", "either")
        for what, changed in OTHERS.items():
            yield Case(f"arrays/{file}: {what}", _suite(file, changed), file)
    for file, what, build in _arrays():
        names = "" if what in {"larger", "not square", "a label more", "no pixels"} else ".npy"
        yield Case(f"arrays/{file}: {what}", _suite(file, build), names)
    for what, text in _MANIFESTS.items():
        yield Case(
            f"arrays/manifest: {what}", _suite("manifest.json", text.encode()), "manifest.json"
        )
    for what, change in _TREES.items():
        names = "suite" if what.endswith("larger") else "fog"
        yield Case(f"arrays/folders: {what}", _tree(change), names)


def _suite(file: str, content: Any):
    def make(folder: Path) -> list[str]:
        place = photos(folder / "photos")
        suite = folder / "suite"
        suite.mkdir()
        (suite / "fog.npy").write_bytes(_npy(_images()))
        (suite / "labels.npy").write_bytes(_npy(_labels()))
        (suite / file).write_bytes(content() if callable(content) else content)
        return evaluate(folder, *photo_options(place), "--suite", str(suite), "--corruption", "fog")

    return make


def _link(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


_TREES: dict[str, Callable[[Path], object]] = {
    "no severity 5": lambda top: [f.unlink() for f in (top / "5").rglob("*.JPEG")],
    "a class less": lambda top: (top / "2/ant").rename(top / "2/x"),
    "a picture less": lambda top: (top / "3/ant/0.JPEG").unlink(),
    "a picture more": lambda top: (top / "3/ant/9.JPEG").write_bytes(encoded("JPEG")),
    "first picture of text": lambda top: (top / "1/ant/0.JPEG").write_bytes(b"hello"),
    "first picture empty": lambda top: (top / "1/ant/0.JPEG").write_bytes(b""),
    "first picture EPS": lambda top: (top / "1/ant/0.JPEG").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n"
    ),
    "first picture cut": lambda top: (top / "1/ant/0.JPEG").write_bytes(encoded("JPEG")[:200]),
    "first picture larger": lambda top: (top / "1/ant/0.JPEG").write_bytes(
        encoded("JPEG", side=20)
    ),
    "first picture a link to itself": lambda top: _link(top / "1/ant/0.JPEG"),
    "first picture SGI": lambda top: (top / "1/ant/0.JPEG").write_bytes(encoded("SGI")),
}


def _tree(change: Callable[[Path], object]):
    def make(folder: Path) -> list[str]:
        place = photos(folder / "photos")
        for severity in range(1, 6):
            for name in CLASSES:
                cell = folder / "suite/fog" / str(severity) / name
                cell.mkdir(parents=True)
                for number in range(2):
                    (cell / f"{number}.JPEG").write_bytes(encoded("JPEG", number))
        change(folder / "suite/fog")
        options = ["--suite", str(folder / "suite"), "--corruption", "fog"]
        return evaluate(folder, *photo_options(place), *options)

    return make
