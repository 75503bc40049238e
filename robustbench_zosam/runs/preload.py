"""What every cell imports or does for the first time, done once before cells are forked."""

from __future__ import annotations

import encodings.cp437  # noqa: F401 - zip files
from collections.abc import Iterable

import torch
import torch._dynamo  # noqa: F401 - which torch's first optimizer would import
from torch import nn

from robustbench_zosam.data.prepare import facts_form
from robustbench_zosam.machine import has_gpu
from robustbench_zosam.models.registry import MODELS
from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.provenance import versions
from robustbench_zosam.registry import Entry
from robustbench_zosam.runs import cell_process
from robustbench_zosam.runs.cell_arguments import parser
from robustbench_zosam.sparsity.registry import SPARSIFIERS


def preload() -> None:
    """Loads methods and models, the forms of files, and the parts of torch that all use."""
    assert cell_process
    versions()
    parser()
    facts_form()
    registries: tuple[Iterable[Entry[object]], ...] = (MODELS, OPTIMIZERS, SPARSIFIERS)
    for registry in registries:
        for entry in registry:
            if isinstance(entry.target, str) and entry.target.startswith("robustbench_zosam."):
                entry.load()
    if not has_gpu():  # beside one, torch would start threads, which do not survive a fork
        _warm_up()


def _warm_up() -> None:
    """Takes a step of training, in this thread alone, so that cells find all of it linked."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    images, labels = torch.rand(8, 3, 8, 8), torch.randperm(8) % 2
    torch.autograd.backward(nn.functional.cross_entropy(model(images), labels))
    optimizer.step()
    with torch.inference_mode():
        model.eval()(images).softmax(1)
