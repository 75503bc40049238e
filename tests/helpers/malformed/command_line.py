"""Options, arguments and paths of every verb."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from malformed.assets import evaluate, photos
from malformed.case import Case

_OPTIONS = (
    (("--sparsity", "nan"), "sparsit"), (("--sparsity", "inf"), "sparsit"), (("--sparsity", "x"), "sparsity"),
    (("--sparsity", "1"), "sparsities"), (("--epochs", "1.5"), "epochs"),
    (("--limit", "0"), "limit"), (("--limit", "-5"), "limit"),
    (("--severity", "9"), "severities"), (("--corruption", "x"), "x"), (("--optimizer", "x"), "x"),
    (("--optimizer", ""), ""), (("--sparsifier", "x"), "x"), (("--model", "x"), "x"),
    (("--model", "timm:x"), "x"), (("--model", "os:getpid"), "os:getpid"), (("--data", "x"), "x"),
    (("--data", "folder:"), "folder"), (("--data", "folder:/nonexistent"), "/nonexistent"),
    (("--data", "folder:/dev/null"), "/dev/null"), (("--data", "folder:/dev/zero"), "/dev/zero"),
    (("--data", "cifar10", "--data-root", "/nonexistent"), "cifar-10"),
    (("--data", "cifar10", "--data-root", "/dev/null"), "/dev/null"),
    (("--data", "tiny-imagenet", "--data-root", "/dev/zero"), "/dev/zero"),
    (("--config", "/nonexistent.toml"), "/nonexistent.toml"), (("--config", "/dev/zero"), "/dev/zero"),
    (("--config", "/"), "/"), (("--recipe", "x"), "x"), (("--device", "x"), "x"),
    (("--workers", "-1"), "workers"), (("--checkpoint", "/nonexistent"), "/nonexistent"),
    (("--checkpoint", "/"), "/"), (("--checkpoint", "/dev/null"), "/dev/null"),
    (("--checkpoint", "/dev/zero"), "/dev/zero"), (("--suite", "/nonexistent"), "/nonexistent"),
    (("--suite", "cifar10-c"), "cifar10-c"), (("--suite", "cifar10-c:/nonexistent"), "/nonexistent"),
    (("--suite", "/dev/null"), "/dev/null"), (("--nonsense",), "nonsense"),
    (("--data", "folder:a\nb"), "folder"), (("--data", "folder:\x1b[31m"), "folder"),
    (("--set", "data.root=\x00"), ""), (("--data", "folder:" + "x" * 5000), "folder"),
    (("--model", "x" * 5000), "model"), (("--title",), "title"), (("--out", "/dev/null/x"), "/dev/null/x"),
)  # fmt: skip
_VERBS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("report", "/nonexistent"), "/nonexistent"), (("report", "/dev/null"), "/dev/null"),
    (("report", "/"), "/"), (("report", ".", "--export", "x"), "x"), (("compare", "a", "b"), ""),
    (("compare", "/", "/"), ""), (("compare", "a"), ""), (("compare", "a:b", "c:d"), "a"),
    (("export", "/nonexistent", "--to", "x.pt"), "/nonexistent"), (("export", "/", "--to", "x.pt"), "/"),
    (("export", "/dev/zero", "--to", "x.pt"), "/dev/zero"),
    (("flatness", "/nonexistent"), "/nonexistent"), (("flatness", "/dev/null"), "/dev/null"),
    (("flatness",), ""), (("landscape", "/nonexistent"), "/nonexistent"), (("landscape", "/tmp"), "/tmp"),
    (("fetch", "x"), "x"), (("fetch",), "name"), (("fetch", "cifar10", "--data-root", "/dev/null"), "/dev/null"),
    (("list", "x"), "x"), (("nzk", "--classes", "²,3"), "classes"), (("nzk", "--classes", "3"), "classes"),
    (("nzk", "--seeds", "²"), "seeds"), (("nzk", "--page", "--out", "/nonexistent"), "/nonexistent"),
    (("nzk", "--steps", "0"), "steps"), (("nzk", "--draws", "0"), "draws"), (("nzk", "--data", "x"), "x"),
    (("nzk", "--classes", "3,3"), "classes"), (("nzk", "--classes", "3,99"), "classes"),
    (("corrupt", "--out", "/dev/null/x"), "/dev/null"), (("corrupt",), "out"), (("nonsense",), "nonsense"),
    (("evaluate", "--out", "/proc/x"), "/proc/x"), (("doctor", "--out", "/nonexistent/x"), "/nonexistent/x"),
)  # fmt: skip


def cases() -> Iterator[Case]:
    """Yields options of `evaluate`, then the other verbs, then things that are no files."""
    for options, names in _OPTIONS:
        text = " ".join(options)[:40]
        yield Case(f"command line/{text!r}", lambda f, o=options: evaluate(f, *o), names)
    for line, names in _VERBS:
        yield Case(f"command line/{' '.join(line)!r}", lambda f, o=line: _inside(f, o), names)
    for kind, make in {"fifo": _fifo, "folder": _folder, "loop": _loop, "closed": _closed}.items():
        for verb, reads in _READERS.items():
            if (kind, verb) not in _SOUND:
                yield Case(f"command line/{kind} for {verb}", _odd(make, reads), "odd")


def _inside(folder: Path, line: tuple[str, ...]) -> list[str]:
    os.chdir(folder)
    return list(line)


def _fifo(file: Path) -> None:
    os.mkfifo(file)


def _folder(file: Path) -> None:
    file.mkdir()


def _loop(file: Path) -> None:
    file.symlink_to(file)


def _closed(file: Path) -> None:
    file.symlink_to("/proc/self/mem")  # opens, and cannot be read


_READERS: dict[str, Callable[[Path, Path], list[str]]] = {
    "config": lambda f, x: evaluate(f, "--config", str(x)),
    "checkpoint": lambda f, x: evaluate(f, "--checkpoint", str(x), "--model", "digits-resnet"),
    "export": lambda f, x: ["export", str(x), "--to", str(f / "y.pt")],
    "photos": lambda f, x: evaluate(f, "--data", f"folder:{x}"),
    "reference": lambda f, x: evaluate(f, "--set", f"suite.reference={x}.csv"),
    "report": lambda f, x: ["report", str(x)],
    "image": lambda f, x: _with_image(f, x),
    "nzk": lambda f, x: ["nzk", "--page", "--out", str(_renamed(x, "nzk.json"))],
    "results": lambda f, x: ["report", str(_renamed(x, "results.json"))],
}
_SOUND: set[tuple[str, str]] = {("folder", "image")}


def _renamed(file: Path, name: str) -> Path:
    place = file.parent / "odd-run"
    place.mkdir()
    file.rename(place / name)
    return place


def _with_image(folder: Path, file: Path) -> list[str]:
    place = photos(folder / "photos")
    (place / "ant" / "3.png").unlink()
    file.rename(place / "ant" / "odd.png")
    return evaluate(folder, "--data", f"folder:{place}")


def _odd(make: Callable[[Path], None], reads: Callable[[Path, Path], list[str]]):
    def build(folder: Path) -> list[str]:
        file = folder / "odd"
        make(file)
        line = reads(folder, file)
        if "suite.reference" in " ".join(line):
            file.rename(folder / "odd.csv")
        return line

    return build
