"""Commands shown at the end of each verb's help; the tests parse them."""

from __future__ import annotations

from typing import Final

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "evaluate": (
        "zosam-robust evaluate",
        "zosam-robust evaluate --data cifar10 --data-root DIR --model resnet20 --seeds 5",
        "zosam-robust evaluate --optimizers sgd,zo-sam --sparsities 0.8,0.95 --dry-run",
        "zosam-robust evaluate --checkpoint model.safetensors --suite cifar10-c",
    ),
    "train": ("zosam-robust train --optimizer zo-sam --seeds 0, --epochs 5 --out trained",),
    "work": ("zosam-robust work zosam-robust --device cuda:1",),
    "status": ("zosam-robust status zosam-robust --watch",),
    "merge": ("zosam-robust merge share-1 share-2 --out whole",),
    "plan": ("zosam-robust plan --optimizers sgd,zo-sam --seeds 5",),
    "corrupt": ("zosam-robust corrupt --data digits --corruption fog --out digits-c",),
    "compare": (
        "zosam-robust compare zo-sam-rigl-0.9 sgd-rigl-0.9",
        "zosam-robust compare run-a run-b --page both.html",
    ),
    "report": ("zosam-robust report zosam-robust --export latex",),
    "flatness": ("zosam-robust flatness a.safetensors b.safetensors --data digits",),
    "landscape": ("zosam-robust landscape a.safetensors b.safetensors --directions between",),
    "nzk": ("zosam-robust nzk --data digits --seeds 3",),
    "export": ("zosam-robust export model.safetensors --to model.onnx",),
    "list": ("zosam-robust list optimizers", "zosam-robust list models --json"),
    "fetch": ("zosam-robust fetch --list", "zosam-robust fetch cifar10 --data-root DIR"),
    "doctor": ("zosam-robust doctor --data-root DIR",),
}


def epilog(verb: str) -> str:
    """Returns the examples of a verb, as the end of its help in Markdown."""
    lines = "".join(f"\n\n    {line}" for line in EXAMPLES[verb])
    return f"Examples:{lines}"
