"""`zosam-robust corrupt`: a corrupted test suite from clean data."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from robustbench_zosam.cli import options as o
from robustbench_zosam.cli.configuring import build_config, separated


class LayoutName(StrEnum):
    """Layouts of the published suites."""

    AUTO = "auto"
    CIFAR_C = "cifar-c"
    IMAGENET_C = "imagenet-c"


def corrupt(
    out: Annotated[Path, typer.Option(metavar="DIRECTORY", help="Output directory.")],
    data: o.Data = None,
    data_root: o.DataRoot = None,
    limit: o.Limit = None,
    corruption: o.Corruption = None,
    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Severity constants of cifar, tiny-imagenet, imagenet or inception; auto: by "
            "image size.",
        ),
    ] = "auto",
    layout: Annotated[
        LayoutName,
        typer.Option(
            help="Arrays like CIFAR-10-C or class directories of JPEG files like ImageNet-C; auto: "
            "by image size."
        ),
    ] = LayoutName.AUTO,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random draws.")] = 0,
    assign: o.Assign = None,
) -> None:
    """Corrupt a data set's test images at all severities, and write them in a published layout.

    `evaluate --suite OUT` reads the suite, as do other tools that read CIFAR-10-C or ImageNet-C.
    All 19 corruptions are applied unless some are named. The same command resumes an interrupted
    suite.
    """
    settings = build_config(None, assign, data__name=data, data__root=data_root, data__limit=limit)
    from robustbench_zosam.cli.display import Bar
    from robustbench_zosam.robustness.writing import write_suite  # imports torch

    with Bar("corrupting") as bar:
        said = write_suite(
            settings.data,
            out,
            corruptions=tuple(map(str, separated("corruption", corruption or ["all"]))),
            preset=preset,
            layout=layout.value,
            seed=seed,
            on_progress=bar,
        )
    typer.echo(said, err=True)
    typer.echo(out)
