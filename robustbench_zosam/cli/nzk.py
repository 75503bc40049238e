"""`zosam-robust nzk`: zeroth-order descent compared with its kernel theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_zosam.cli import options as o
from robustbench_zosam.cli.configuring import build_config, parse_seeds, subject_options
from robustbench_zosam.errors import InputError

if TYPE_CHECKING:
    from robustbench_zosam.config import ExperimentConfig
    from robustbench_zosam.nzk.study import StudyConfig


def nzk(
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Trained classifiers to study: checkpoints, or output folders of `evaluate` or "
            "`train` [default: small regressions].",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIRECTORY", help="Output directory.")] = Path(
        "zosam-nzk"
    ),
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="`digits`, `synthetic` or `both` [default: both]; of classifiers, their data set.",
        ),
    ] = None,
    data_root: o.DataRoot = None,
    model: o.Model = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Digits to tell apart [default: 3,5]; of classifiers, classes by name or "
            "number, whose images and outputs are taken [default: all].",
        ),
    ] = None,
    outputs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Outputs of each model: 1 (targets 0 and 1) or one for each class (one-hot "
            "targets) [default: 1 for two classes]; any number for `synthetic`.",
        ),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(metavar="N", help="Training images for classifiers [default: 20]."),
    ] = None,
    seeds: Annotated[
        str,
        typer.Option(metavar="N|LIST", help="Number of seeds (`5`) or list of seeds (`0,7,42`)."),
    ] = "10",
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Steps of each tuning run [default: 1000; of classifiers, 100]."
        ),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Random directions per measured kernel [default: 4096; of classifiers, 256].",
        ),
    ] = None,
    assign: o.Assign = None,
    page: Annotated[
        bool, typer.Option("--page", help="Only rebuild the page from OUT/nzk.json.")
    ] = False,
) -> None:
    """Measure the neural zeroth-order kernel, and the speed-up by a single shared random vector.

    Trains small models on digits and synthetic data, or the given classifiers, under squared loss;
    writes OUT/nzk.json and OUT/nzk.html.
    """
    from robustbench_zosam.nzk.page import build_page, speed_table
    from robustbench_zosam.nzk.views import load

    if not page:
        chosen = tuple(part.strip() for part in (classes or "").split(",") if part.strip())
        if models:
            _refuse({"--outputs": outputs}, "the small regressions: choose --classes instead")
            subject = subject_options(data, data_root, model, "cpu")
            config = _classifiers(models, chosen, images, build_config(None, assign, **subject))
        else:
            given = {"--data-root": data_root, "--model": model, "--images": images}
            _refuse(
                {**given, "--set": assign}, "trained classifiers: name one, or leave the option out"
            )
            config = _regressions(data, chosen, outputs)
        _run(
            replace(
                config,
                seeds=parse_seeds(seeds),
                steps=config.steps if steps is None else steps,
                draws=config.draws if draws is None else draws,
            ),
            out,
        )
    for what, factor in speed_table(load(out)):
        typer.echo(f"{what}: {factor}", err=True)
    typer.echo(build_page(out))


def _refuse(given: Mapping[str, object], whose: str) -> None:
    for option, value in given.items():
        if value is not None:
            raise InputError(f"{option} is for {whose}")


def _classifiers(
    models: Sequence[Path], classes: tuple[str, ...], images: int | None, config: ExperimentConfig
) -> StudyConfig:
    from robustbench_zosam.nzk.classifiers import Subject
    from robustbench_zosam.nzk.study import StudyConfig

    found = Subject(tuple(models), classes, config=config)
    if images is not None:
        found = replace(found, images=images)
    return StudyConfig(subject=found, steps=100, draws=256)  # a pass takes a thousand times longer


def _regressions(
    data: str | None, classes: tuple[str, ...], outputs: int | None
) -> StudyConfig:  # fmt: skip
    from robustbench_zosam.nzk.study import StudyConfig

    if not all(part.isascii() and part.isdigit() for part in classes):
        raise InputError(f"--classes {','.join(classes)!r} must be two or more digits (3,5)")
    found = StudyConfig(data or "both", outputs=outputs)
    return replace(found, classes=tuple(map(int, classes))) if classes else found


def _run(config: StudyConfig, out: Path) -> None:
    from robustbench_zosam.nzk.study import run_study

    run_study(config, out, lambda doing: typer.echo(doing, err=True))
