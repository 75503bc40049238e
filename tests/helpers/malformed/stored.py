"""A run's own files, which are computed again where they are damaged, with a warning."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from malformed.assets import photo_options, photos
from malformed.case import Case, Outcome
from malformed.mutations import OTHERS
from robustbench_zosam.cli import main

_SMALL = (
    "training.batch_size=4", "training.epochs=1", "training.augment=false", "flatness.images=6",
    "landscape.images=6", "landscape.points=3", "landscape.grid=3", "landscape.directions=1",
    "model.width=0.25", "run.threads=1",
)  # fmt: skip
_STAGES = ("training", "robustness", "flatness", "landscape")


def _line(folder: Path) -> list[str]:
    settings = [part for text in _SMALL for part in ("--set", text)]
    return [
        "evaluate", *photo_options(folder / "photos"), "--out", str(folder / "out"), "--seeds", "1",
        "--optimizer", "sgd", "--sparsifier", "random", "--sparsity", "0.5", "--workers", "0",
        "--set", "dense_reference=false", "--device", "cpu", "--corruption", "fog", "--severity", "1",
        *settings,
    ]  # fmt: skip


@functools.cache
def _place() -> Path:
    """Where every case finds its run: another place would be another configuration."""
    return Path(tempfile.mkdtemp(prefix="malformed-")) / "run"


@functools.cache
def finished() -> Path:
    """A copy of a finished run; not to be changed."""
    photos(_place() / "photos")
    before, sys.argv = sys.argv, ["zosam-robust", *_line(_place())]
    code: object = 0
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv = before
    assert not code
    return Path(shutil.copytree(_place(), _place().with_name("finished")))


def _edit(change: Callable[[Any], object]) -> Callable[[Path], None]:
    def edit(file: Path) -> None:
        content = json.loads(file.read_text())
        changed = change(content)
        file.write_text(json.dumps(content if changed is None else changed))

    return edit


def _write(content: bytes) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(content)


def _npz(**changes: Any) -> Callable[[Path], None]:
    def edit(file: Path) -> None:
        with np.load(file) as stored:
            arrays = dict(stored) | changes
        kept = {name: value for name, value in arrays.items() if value is not None}
        np.savez_compressed(file, **kept)

    return edit


_TEXTS: dict[str, bytes] = {
    "empty": b"", "a list": b"[]", "a number": b"3", "nothing": b"{}", "null": b"null", "cut": b'{"identity": "x',
    "NaN": b'{"identity": NaN}', "deep": b"[" * 50000 + b"]" * 50000, "latin-1": b'{"\xe9": 1}',
}  # fmt: skip
_VALUES: dict[str, Callable[[Any], object]] = {
    "no value": lambda s: s.pop("value") and None,
    "value a list": lambda s: s.update(value=[]),
    "value empty": lambda s: s.update(value={}),
    "no seconds": lambda s: s["value"].pop("stage_seconds") and None,
    "no versions": lambda s: s["value"].pop("versions") and None,
    "identity a number": lambda s: s.update(identity=3),
}
_NPZ: dict[str, dict[str, Callable[[Path], object]]] = {
    "predictions": {
        "no correct": _npz(correct=None),
        "correct cut": _npz(correct=np.zeros((1, 2), np.uint8)),
        "correct of floats": _npz(correct=np.full((1, 6), 0.5)),
        "correct of sevens": _npz(correct=np.full((1, 6), 7, np.uint8)),
        "no conditions": _npz(conditions=np.array([], dtype=str)),
        "other conditions": _npz(conditions=np.array(["clean", "snow/1"])),
        "confidence of NaN": _npz(confidence=np.full((1, 6), np.nan, np.float32)),
    },
    "flatness": {
        "no trace": _npz(trace_per_image=None),
        "trace cut": _npz(trace_per_image=np.zeros(2)),
        "trace of NaN": _npz(trace_per_image=np.full(6, np.nan)),
        "trace of texts": _npz(trace_per_image=np.array(["a"] * 6)),
    },
}


def cases() -> Iterator[Case]:
    """Yields stages, arrays, prepared data, the suite, the gallery and marks."""
    for stage in _STAGES:
        for what, text in _TEXTS.items():
            yield _case(f"{stage}.json: {what}", f"cells/*/{stage}.json", _write(text))
        for what, change in _VALUES.items():
            yield _case(f"{stage}.json: {what}", f"cells/*/{stage}.json", _edit(change))
    for name, changes in _NPZ.items():
        whole = {k: _write(v) for k, v in OTHERS.items()} | {"half": _half} | changes
        for what, change in whole.items():
            yield _case(f"{name}.npz: {what}", f"cells/*/{name}.npz", change)
    for what in ("empty", "text", "zeros"):
        yield _case(f"model: {what}", "cells/*/model.safetensors", _write(OTHERS[what]))
        yield _case(f"data: {what}", "cache/data-*.npz", _write(OTHERS[what]))
        yield _case(f"gallery: {what}", "gallery.npz", _write(OTHERS[what]))
        yield _case(f"results: {what}", "results.json", _write(OTHERS[what]))
        yield _case(f"mark: {what}", "cache/collected.json", _write(OTHERS[what]))
        yield _case(f"suite: {what}", "cache/suite-*/fog.npy", _write(OTHERS[what]))
        yield _case(
            f"resume: {what}", "cells/*/resume.safetensors", _write(OTHERS[what]), unfinished=True
        )
    for file in ("cells/*/model.safetensors", "cache/data-*.npz", "gallery.npz", "results.json"):
        yield _case(f"half of {file}", file, _half)


def _half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


_UNREAD = ("gallery.npz", "fog.npy")  # by a run that is finished


def _case(
    what: str, pattern: str, change: Callable[[Path], object], *, unfinished: bool = False
) -> Case:
    def make(folder: Path) -> list[str]:
        del folder
        sound, place = finished(), _place()
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(sound, place)
        out = place / "out"
        if unfinished:
            [file] = out.glob("cells/*/training.json")
            file.unlink()
            change(file.with_name("resume.safetensors"))
        else:
            for file in out.glob(pattern):
                change(file)
        return _line(place)

    name = Path(pattern).name
    outcome: Outcome = "either" if name in _UNREAD else "made good"
    return Case(f"stored/{what}", make, name.partition("*")[0], outcome)
