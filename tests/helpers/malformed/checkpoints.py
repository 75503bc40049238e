"""Checkpoints: safetensors, zip and legacy files of torch, and states of other shapes."""

from __future__ import annotations

import json
import pickle
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from malformed.assets import NAMED, NORMAL, checkpoints, encoded, state, torch_file
from malformed.case import Case
from malformed.mutations import OTHERS, cuts, damage

CONV = "conv1.weight"


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch /tmp/zosam-malformed-was-run",)


def _header(text: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text)) + text + data


def _loop() -> bytes:
    content: dict[str, Any] = {"model": state()}
    content["state_dict"] = content
    return torch_file(content)


def _nested(depth: int) -> bytes:
    content: Any = state()
    for _ in range(depth):
        content = {"model": content}
    return torch_file(content)


def _with(**changes: Any) -> Callable[[], bytes]:
    def build() -> bytes:
        made = {n.replace("__", "."): v() if callable(v) else v for n, v in changes.items()}
        return torch_file({k: v for k, v in (state() | made).items() if v is not None})

    return build


def _sparse(size: int) -> torch.Tensor:
    return torch.sparse_coo_tensor(
        torch.zeros(2, 1).long(), torch.ones(1), (size, size), check_invariants=False
    )


def _quantised() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they are deprecated
        return torch.quantize_per_tensor(state()[CONV], 0.1, 0, torch.qint8)


def _typed(dtype: torch.dtype) -> Callable[[], bytes]:
    return lambda: torch_file({k: v.to(dtype) for k, v in state().items()})


def _like(name: str, **options: Any) -> torch.Tensor:
    return torch.ones(state()[name].shape, **options)


_STATES: dict[str, tuple[Callable[[], bytes], str]] = {
    "self-reference": (_loop, "x.pt"),
    "deep": (lambda: _nested(400), "x.pt"),
    "a list": (lambda: torch_file([1, 2]), "x.pt"),
    "a tensor": (lambda: torch_file(torch.ones(3)), "x.pt"),
    "nothing": (lambda: torch_file({}), "x.pt"),
    "none": (lambda: torch_file(None), "x.pt"),
    "numbers as names": (lambda: torch_file(dict(enumerate(state().values()))), "x.pt"),
    "two spellings": (lambda: torch_file(state() | {1: torch.ones(1), "1": torch.ones(1)}), "x.pt"),
    "a text among tensors": (_with(note="hi"), "note"),
    "int weights": (_with(conv1__weight=_like(CONV, dtype=torch.int64)), CONV),
    "bool weights": (_with(conv1__weight=_like(CONV, dtype=torch.bool)), CONV),
    "complex weights": (_with(conv1__weight=_like(CONV, dtype=torch.complex64)), CONV),
    "all int": (_typed(torch.int32), "x.pt"),
    "all complex": (_typed(torch.complex64), "x.pt"),
    "float counter": (_with(bn1__num_batches_tracked=torch.tensor(1.5)), "num_batches_tracked"),
    "meta": (_with(conv1__weight=torch.empty(state()[CONV].shape, device="meta")), CONV),
    "sparse of absurd size": (
        _with(conv1__weight=lambda: _sparse(2**30)),
        CONV,
    ),
    "quantised": (
        _with(conv1__weight=_quantised),
        CONV,
    ),
    "expanded": (_with(conv1__weight=torch.ones(1).expand(10**12)), CONV),
    "expanded to gigabytes": (_with(more=torch.ones(1).expand(10**13)), "more"),
    "nan": (_with(conv1__weight=_like(CONV) * torch.nan), CONV),
    "negative variance": (_with(bn1__running_var=-_like("bn1.running_var")), "bn1.running_var"),
    "huge variance": (_with(bn1__running_var=_like("bn1.running_var") * 3e38), "bn1.running_var"),
    "huge mean": (_with(bn1__running_mean=_like("bn1.running_mean") * 3e38), "bn1.running_mean"),
    "huge weights": (_with(conv1__weight=_like(CONV) * 3e38), CONV),
    "negative counter": (_with(bn1__num_batches_tracked=torch.tensor(-5)), "num_batches_tracked"),
    "other rows": (_with(fc__bias=torch.zeros(7)), "fc.bias"),
    "scalar bias": (_with(fc__bias=torch.tensor(0.0), fc__weight=torch.tensor(0.0)), "fc."),
    "no rows": (_with(fc__bias=torch.zeros(0), fc__weight=torch.zeros(0, 16)), "fc."),
    "many rows": (_with(fc__bias=torch.zeros(1).expand(10**9), fc__weight=torch.zeros(1, 16).expand(10**9, 16)), "fc."),
    "missing": (_with(fc__bias=None), "fc.bias"),
    "extra": (_with(bonus=torch.zeros(2)), "bonus"),
    "mask of twos": (_with(conv1__weight_mask=_like(CONV) * 2), CONV),
    "mask of nan": (_with(conv1__weight_mask=_like(CONV) * torch.nan), CONV),
    "mask of zeros": (_with(conv1__weight_mask=_like(CONV) * 0), CONV),
    "mask alone": (_with(conv1__weight_orig=_like(CONV)), "x.pt"),
    "complex mask": (_with(conv1__weight_mask=_like(CONV, dtype=torch.complex64)), CONV),
    "pickled code": (lambda: pickle.dumps(_Evil()), "x.pt"),
    "pickled code in a dict": (lambda: torch_file({"a": _Evil()}), "x.pt"),
    "a module": (lambda: torch_file(torch.nn.Linear(2, 2)), "x.pt"),
    "deep pickle": (lambda: b"\x80\x02" + b"]" * 20000 + b"." , "x.pt"),
    "pickle asks for gigabytes": (lambda: b"\x80\x04\x8e" + struct.pack("<Q", 2**62), "x.pt"),
    "a picture": (lambda: encoded("PNG"), "x.pt"),
    "own facts are a list": (lambda: torch_file({"state_dict": state(), "zosam": [1]}), "x.pt"),
    "own facts are wrong": (lambda: torch_file({"state_dict": state(), "zosam": {"model": 1}}), "x.pt"),
}  # fmt: skip
_HEADERS: dict[str, Callable[[], bytes]] = {
    "header of 2^62 bytes": lambda: struct.pack("<Q", 2**62) + b"{}",
    "header of 99 MB": lambda: struct.pack("<Q", 99_000_000) + b"{",
    "header is a list": lambda: _header(b"[]"),
    "header is no JSON": lambda: _header(b"{not json"),
    "header is empty": lambda: _header(b"{}"),
    "tensor of 2^60": lambda: _header(
        b'{"a":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4]}}', b"1234"
    ),
    "overlapping": lambda: _header(
        b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},'
        b'"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', b"1234"
    ),
    "unknown type": lambda: _header(b'{"a":{"dtype":"F7","shape":[1],"data_offsets":[0,4]}}', b"1234"),
    "negative shape": lambda: _header(b'{"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}', b"1234"),
    "same name twice": lambda: _header(
        b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},'
        b'"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}', b"1234"
    ),
    "deep header": lambda: _header(b'{"a":' + b"[" * 9000 + b"]" * 9000 + b"}"),
}  # fmt: skip
_OURS: dict[str, Callable[[dict[str, torch.Tensor], dict[str, Any]], object]] = {
    "no mean": lambda t, h: h.pop("mean"),
    "mean of two": lambda t, h: h.update(mean=[0.5, 0.5]),
    "mean far away": lambda t, h: h.update(mean=[1e30, 0, 0]),
    "mean of NaN": lambda t, h: h.update(mean=[float("nan")] * 3),
    "std zero": lambda t, h: h.update(std=[0.0, 0.0, 0.0]),
    "std negative": lambda t, h: h.update(std=[-1, -1, -1]),
    "classes a number": lambda t, h: h.update(classes=3),
    "classes twice": lambda t, h: h.update(classes=["a"] * 10),
    "one class more": lambda t, h: h.update(classes=list("0123456789a")),
    "no image size": lambda t, h: h.pop("image_size"),
    "image size negative": lambda t, h: h.update(image_size=-1),
    "image size a text": lambda t, h: h.update(image_size="32"),
    "image size huge": lambda t, h: h.update(image_size=10**30),
    "width negative": lambda t, h: h["model"].update(width=-1),
    "width a text": lambda t, h: h["model"].update(width="0.25"),
    "width another": lambda t, h: h["model"].update(width=0.5),
    "width huge": lambda t, h: h["model"].update(width=16),
    "model a number": lambda t, h: h.update(model=1),
    "model unknown": lambda t, h: h["model"].update(name="x"),
    "model is code": lambda t, h: h["model"].update(name="os:getpid", allow_code=True),
    "encodings a list": lambda t, h: h.update(encodings=[]),
    "shape absurd": lambda t, h: h["encodings"]["fc.weight"].update(shape=[10**9, 10**9]),
    "shape negative": lambda t, h: h["encodings"]["fc.weight"].update(shape=[-1]),
    "shape swapped": lambda t, h: h["encodings"]["fc.weight"]["shape"].reverse(),
    "no encodings": lambda t, h: h.update(encodings={}),
    "encodings of nothing": lambda t, h: h["encodings"].update(x={"shape": [1]}),
    "int values": lambda t, h: t.update({"fc.weight.values": t["fc.weight.values"].long()}),
    "complex values": lambda t, h: t.update({"fc.weight.values": t["fc.weight.values"].to(torch.complex64)}),
    "NaN values": lambda t, h: t["fc.weight.values"].fill_(torch.nan),
    "fewer values": lambda t, h: t.update({"fc.weight.values": torch.ones(3)}),
    "float mask": lambda t, h: t.update({"fc.weight.mask": t["fc.weight.mask"].float()}),
    "mask of ones": lambda t, h: t["fc.weight.mask"].fill_(255),
    "mask of zeros": lambda t, h: t["fc.weight.mask"].fill_(0),
    "mask longer": lambda t, h: t.update({"fc.weight.mask": torch.zeros(999, dtype=torch.uint8)}),
    "gaps instead": lambda t, h: t.update({"fc.weight.gaps": t.pop("fc.weight.mask")}),
    "weight changed": lambda t, h: t["fc.bias"].add_(1),
    "value changed": lambda t, h: t["fc.weight.values"].mul_(2),
    "a tensor less": lambda t, h: t.pop("bn1.bias"),
    "a tensor more": lambda t, h: t.update(more=torch.ones(1)),
    "dense and sparse": lambda t, h: t.update({"fc.weight": torch.ones(10, 16)}),
    "negative variance": lambda t, h: t["bn1.running_var"].fill_(-1),
}  # fmt: skip
_DETECTED = ("cut", "last")  # what no format overlooks


def cases() -> Iterator[Case]:
    """Yields damaged bytes of each format, then files of the right form and the wrong content."""
    for name, content in checkpoints().items():
        options = NAMED if name.startswith("ours") else NORMAL
        for what, changed in (*cuts(content), *damage(content, seed=len(content))):
            # nothing but our own digest tells a weight from a changed one
            sure = what.startswith(_DETECTED) or name.startswith("ours")
            yield _file(f"{name}: {what}", name, changed, options, "refused" if sure else "either")
        for what, changed in OTHERS.items():
            yield _file(f"{name}: {what}", name, changed, options)
        yield _file(f"{name}: something before it", name, b"junk" * 9 + content, options, "either")
        yield _file(f"{name}: something after it", name, content + b"junk" * 9, options, "either")
    for what, (build, names) in _STATES.items():
        yield Case(f"checkpoints/{what}", _written("x.pt", build, NORMAL), names)
    for what, build in _HEADERS.items():
        yield Case(f"checkpoints/{what}", _written("x.safetensors", build, NORMAL), "x.safetensors")
    for what, change in _OURS.items():
        yield Case(
            f"checkpoints/ours: {what}",
            _written("x.safetensors", _ours(change), []),
            "x.safetensors",
        )
    for text in ("null", "[]", "{", "NaN", '"x"', "[" * 9000 + "]" * 9000, "1" * 9000):
        build = lambda t=text: save(state(), {"format": "zosam-checkpoint-1", "header": t})  # noqa: E731
        yield Case(
            f"checkpoints/our header {text[:4]}",
            _written("x.safetensors", build, []),
            "x.safetensors",
        )


def _file(
    what: str, name: str, content: bytes, options: list[str], outcome: Any = "refused"
) -> Case:
    return Case(f"checkpoints/{what}", _written(name, lambda: content, options), name, outcome)


def _written(name: str, build: Callable[[], bytes], options: list[str]):
    def make(folder: Path) -> list[str]:
        (folder / name).write_bytes(build())
        return ["export", str(folder / name), "--to", str(folder / "y.safetensors"), *options]

    return make


def _ours(
    change: Callable[[dict[str, torch.Tensor], dict[str, Any]], object],
) -> Callable[[], bytes]:
    def build() -> bytes:
        content = checkpoints()["ours.safetensors"]
        length = struct.unpack("<Q", content[:8])[0]
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        tensors, header = load(content), json.loads(metadata["header"])
        change(tensors, header)
        return save(tensors, metadata | {"header": json.dumps(header)})

    return build
