"""Configuration files and assignments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from malformed.assets import evaluate
from malformed.case import Case
from malformed.mutations import OTHERS

_TOML = {
    "not closed": "seeds = [",
    "no key": "= 3",
    "same key twice": "title = 'a'\ntitle = 'b'",
    "same section twice": "[training]\nlr = 0.1\n[training]\nlr = 0.2",
    "section over value": "training = 3\n[training.x]\nlr = 0.1",
    "latin-1": b"title = '\xe9'",
    "utf-16": "title = 'a'".encode("utf-16"),
    "null byte": b"title = '\0'",
    "deep arrays": "seeds = " + "[" * 5000 + "]" * 5000,
    "deep tables": "optimizer = " + "{a=" * 3000 + "1" + "}" * 3000,
    "deep keys": "optimizer." + "a." * 3000 + "b = 1",
    "allow_code": "[model]\nallow_code = true",
    "allow_code dotted": "model.allow_code = true",
    "allow_code inline": "model = {name = 'os:getpid', allow_code = true}",
    "allow_code text": "[model]\nallow_code = 'true'",
    "allow_code number": "[model]\nallow_code = 1",
    "unknown": "nonsense = 1",
    "unknown section": "[nonsense]\na = 1",
    "array of tables": "[[training]]\nlr = 0.1",
    "huge integer": "seeds = [" + "9" * 5000 + "]",
    "date": "title = 2020-01-01",
    "surrogate": 'title = "\\ud800"',
    "windows path": 'title = "C:\\users"',
}
_NUMBERS = (
    "nan", "inf", "-inf", "1e400", "-1e400", "-1", "true", '"x"', "[]", "{}", "2020-01-01", "07:32:00",
    "1979-05-27T07:32:00Z", "9" * 400, "1" + "0" * 5000, "0x", "{a = nan}", "[nan]", '""', "²",
)  # fmt: skip
_KEYS = (
    "training.lr", "training.epochs", "training.batch_size", "training.momentum",
    "training.weight_decay", "data.limit", "data.split_seed", "seeds", "landscape.span",
    "statistics.margin", "run.threads", "flatness.images", "suite.seed",
)  # fmt: skip
_FINE = {  # what is a value of its setting
    "data.split_seed": set(), "suite.seed": set(), "flatness.images": set(),
}  # fmt: skip
_VALUES = (
    ("optimizer.rho", "nan"), ("optimizer.rho", "inf"), ("optimizer.rho", "-inf"),
    ("optimizer.rho", "2020-01-01"), ("optimizer.rho", "07:32:00"), ("optimizer.rho", "{a=1}"),
    ("optimizer.rho", "[0.1]"), ("optimizer.rho", "9" * 400), ("optimizer.rho", "1" + "0" * 400),
    ("optimizer", "1"), ("optimizer.sgd", "1"), ("optimizer.sgd", '"x"'), ("optimizer.sgd", "[1]"),
    ("optimizer.sgd", "nan"), ("optimizer.sgd", "2020-01-01"), ("optimizer.sgd.base", "2020-01-01"),
    ("optimizer.zo-sam", "1"), ("optimizer.zo-sam", "true"), ("optimizer.sgd.lr", "inf"),
    ("optimizer.sgd.nonsense", "1"), ("optimizer.", "1"), ("optimizer..", "1"), (".", "1"),
    ("", "1"), ("training", "1"), ("training.", "1"), ("training.lr.x", "1"), ("x" * 5000, "1"),
    ("training.lr", ""), ("title", "2020-01-01"), ("title", "[1]"), ("title", "nan"),
    ("sparsifier", "1"), ("sparsifier.dense", "1"), ("sparsifier.rigl", "7"),
    ("sparsifier.dense.x", "nan"), ("seeds", "[1.5]"), ("seeds", "[true]"), ("seeds", "[-1]"),
    ("seeds", "[18446744073709551616]"), ("seeds", "[1,1]"), ("seeds", "[]"), ("seeds", '["a"]'),
    ("seeds", "[1,[2]]"), ("sparsities", "[nan]"), ("sparsities", "[1.0]"), ("sparsities", "[-0.1]"),
    ("sparsities", "[0.9, 0.9]"), ("sparsities", "0.5"), ("optimizers", "[1]"),
    ("optimizers", '["sgd","sgd"]'), ("optimizers", '["SGD"]'), ("optimizers", '["../sgd"]'),
    ("optimizers", "[]"), ("sparsifiers", '["none"]'), ("model.width", "nan"),
    ("model.width", "1e-9"), ("model.width", "17"), ("model.name", '""'), ("model.name", "os:getpid"),
    ("model.name", "torchvision:"), ("model.name", ":"), ("model.name", "a:b:c"),
    ("model.mean", "[nan,0,0]"), ("model.mean", "[0.5]"), ("model.std", "[0,0,0]"),
    ("model.mean", "[0.1,0.1,0.1]"), ("data.image_size", "15"), ("data.image_size", "513"),
    ("data.image_size", "32.5"), ("data.name", '""'), ("data.name", "nonsense"),
    ("data.stream", "1"), ("data.stream", "true"), ("suite.severities", "[0]"),
    ("suite.severities", "[6]"), ("suite.severities", "[1.5]"), ("suite.corruptions", '["x"]'),
    ("suite.corruptions", "[]"), ("suite.preset", "x"), ("suite.reference", "x"),
    ("suite.reference", "/nonexistent.csv"), ("suite.source", "/nonexistent"),
    ("flatness.method", "x"), ("flatness.sharpness", '"x"'), ("landscape.points", "4"),
    ("landscape.points", "1"), ("run.device", "tpu"), ("run.device", "cuda:99"),
    ("run.workers", "-1"), ("recipe", "nonsense"), ("recipe", "1"), ("training.milestones", "[2]"),
    ("training.milestones", "[0.9, 0.1]"), ("training.milestones", "0.5"),
    ("training.precision", "fp8"), ("training.augment", "1"), ("training.augment", '"yes"'),
    ("checkpoints", '["/nonexistent.pt"]'), ("checkpoints", "[1]"), ("allow_code", "true"),
)  # fmt: skip


def cases() -> Iterator[Case]:
    """Yields the files, then the assignments."""
    for name, content in {**_TOML, **{k: v for k, v in OTHERS.items() if k != "empty"}}.items():
        names = "training" if name == "array of tables" else "run.toml"  # an option comes first
        yield Case(f"settings/file: {name}", _file(content), names)
    for seed in (10**9, 10**12):
        yield Case(f"settings/{seed} seeds", _seeds(str(seed)), "seeds")
    for text in (
        "²",
        "1,²",
        "٣x",
        "1,,2x",
        "-1",
        "1.5",
        "",
        ",",
        "0",
        "1e3",
        "9" * 30,
        "1" * 5000,
        "1,1",
    ):
        yield Case(f"settings/seeds {text[:9]!r}", _seeds(text), "seeds")
    yield Case(
        "settings/alike", _lines("sparsities=[0.9, 0.9000000001]", "sparsifiers=['rigl']"), "0.9"
    )
    for key in _KEYS:
        for value in _NUMBERS:
            yield Case(f"settings/{key}={value[:12]}", _lines(f"{key}={value}"), key)
    for key, value in _VALUES:
        yield Case(f"settings/{key[:20]}={value[:12]}", _lines(f"{key}={value}"), _named(key))


def _file(content: str | bytes):
    def make(folder: Path) -> list[str]:
        file = folder / "run.toml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return evaluate(folder, "--config", str(file))

    return make


def _lines(*texts: str):
    return lambda folder: evaluate(folder, *(part for t in texts for part in ("--set", t)))


def _seeds(text: str):
    def make(folder: Path) -> list[str]:
        line = evaluate(folder)
        line[line.index("--seeds") + 1] = text
        return line

    return make


def _named(key: str) -> str:
    """What a sentence on a setting must hold: of options, whose values are shown, the name."""
    section, _, rest = key.partition(".")
    return (rest.split(".")[0] if section in {"optimizer", "sparsifier"} else key)[:79].strip(".")
