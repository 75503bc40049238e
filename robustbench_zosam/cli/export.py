"""`zosam-robust export`: a checkpoint for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robustbench_zosam.cli import options as o
from robustbench_zosam.cli.configuring import build_config


def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="Checkpoint of a run, or a state dict with --model.")
    ],
    to: Annotated[
        Path, typer.Option(metavar="FILE", help="Output file: .safetensors, .pt, .pth or .onnx.")
    ],
    model: o.Model = None,
    assign: o.Assign = None,
) -> None:
    """Write a model as dense weights (safetensors, torch) or as an ONNX network.

    Weights keep their names in the network and are zero where pruned; ONNX includes the input
    normalisation and is checked against the original before it is written.
    """
    settings = build_config(None, assign, model__name=model)
    from robustbench_zosam.models.checkpoints import load_checkpoint
    from robustbench_zosam.models.export import export_checkpoint

    size = settings.data.image_size
    named = settings.model if model else None
    found = load_checkpoint(checkpoint, config=named, image_size=size)
    typer.echo(export_checkpoint(found, to, image_size=size))
