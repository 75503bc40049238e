"""`zosam-robust corrupt`: a corrupted suite from clean data."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from robustbench_zosam.cli import options as o


class LayoutName(StrEnum):
    """Layouts of the published suites."""

    AUTO = "auto"
    CIFAR_C = "cifar-c"
    IMAGENET_C = "imagenet-c"


def corrupt(
    out: Annotated[Path, typer.Option(help="Folder to write; an unfinished suite is finished.")],
    data: o.Data = None,
    data_root: o.DataRoot = None,
    limit: o.Limit = None,
    corruption: o.Corruption = None,
    preset: Annotated[
        str,
        typer.Option(
            help="Whose constants: cifar, tiny-imagenet, imagenet, inception; by image size if "
            "auto."
        ),
    ] = "auto",
    layout: Annotated[
        LayoutName,
        typer.Option(help="Arrays as CIFAR-10-C, or class folders of JPEG files as ImageNet-C."),
    ] = LayoutName.AUTO,
    seed: Annotated[int, typer.Option(help="Of the random draws.")] = 0,
    assign: o.Assign = None,
) -> None:
    """Write the corrupted copy of a data set's test images, all severities, in a published layout.

    `evaluate --suite OUT` reads it, as do other tools that read CIFAR-10-C or ImageNet-C. All 19
    corruptions unless some are named. The same command again finishes an interrupted suite.
    """
    settings = o.build_config(
        None, assign, data__name=data, data__root=data_root, data__limit=limit
    )
    from robustbench_zosam.cli.display import Bar
    from robustbench_zosam.robustness.writing import write_suite  # imports torch

    with Bar("corrupting") as bar:
        said = write_suite(
            settings.data,
            out,
            corruptions=tuple(corruption or ("all",)),
            preset=preset,
            layout=layout.value,
            seed=seed,
            on_progress=bar,
        )
    typer.echo(said, err=True)
    typer.echo(out)
