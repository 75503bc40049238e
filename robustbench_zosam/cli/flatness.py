"""`zosam-robust flatness`: the curvature of trained models, side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_zosam.cli import options as o
from robustbench_zosam.cli.configuring import build_config, subject_options

if TYPE_CHECKING:
    from robustbench_zosam.measurement.trained_models import TrainedModels
    from robustbench_zosam.schema import (
        Flatness,
        FlatnessFile,
        LayeredMean,
        SharpnessValue,
        Spectrum,
    )

Paths = Annotated[
    list[Path],
    typer.Argument(
        metavar="MODEL",
        help="Checkpoints, or output folders of `evaluate` or of single training runs.",
    ),
]


class Family(StrEnum):
    """Which sharpness measures."""

    NONE = "none"
    BRIEF = "brief"
    FULL = "full"


class SplitName(StrEnum):
    """Split that the images are taken from."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


Split = Annotated[SplitName, typer.Option(help="Split that the images are taken from.")]


def flatness(
    models: Paths,
    data: o.Data = None,
    data_root: o.DataRoot = None,
    model: o.Model = None,
    images: Annotated[
        int | None, typer.Option(metavar="N", help="Maximum number of images [default: 512].")
    ] = None,
    split: Split = SplitName.TRAIN,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="Of the trace: auto, exact, output-probe, hvp, control-variate or xtrace.",
        ),
    ] = None,
    spectrum: Annotated[bool, typer.Option(help="Outer eigenvalues, by Lanczos iteration.")] = True,
    density: Annotated[
        bool, typer.Option(help="Spectral density; 180 passes over the images.")
    ] = False,
    sharpness: Annotated[
        Family, typer.Option(help="Sharpness measures: none, one or two of each kind, all radii.")
    ] = Family.NONE,
    include_pruned: Annotated[
        bool, typer.Option(help="Also the trace over pruned directions, reported separately.")
    ] = False,
    assign: o.Assign = None,
    device: o.Device = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIRECTORY", help="Directory for flatness.json, .csv and .npz."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Measure Hessian trace, eigenvalues and sharpness of trained models on the same images.

    Everything is measured in the subspace of the active weights, with standard errors over images
    and paired differences between models. Without --data, images come from the data set that the
    models were trained on.
    """
    settings = build_config(
        None,
        [f"flatness.sharpness={_family(sharpness)}", *(assign or [])],
        **subject_options(data, data_root, model, device),
        flatness__images=images,
        flatness__method=method,
        flatness__spectrum=spectrum,
        flatness__density=density,
        flatness__include_pruned=include_pruned,
    )
    from robustbench_zosam.cli.display import Bar
    from robustbench_zosam.files import require_writable
    from robustbench_zosam.measurement.flatness import measure_flatness_of, write_flatness
    from robustbench_zosam.measurement.trained_models import load_configured

    if out is not None:
        require_writable(out)
    trained = load_configured(
        models, settings, images=settings.flatness.images, split=split.value,
        seed=settings.flatness.seed,
    )  # fmt: skip
    with Bar("measuring") as bar:
        found, arrays = measure_flatness_of(trained, settings.flatness, bar)
    if out is not None:
        write_flatness(out, found, arrays)
    if as_json:
        typer.echo(json.dumps(found, indent=1, allow_nan=False))
    else:
        _show(found, trained)
    if out is not None:
        typer.echo(out / "flatness.json", err=as_json)


def _family(family: Family) -> str:
    return "false" if family is Family.NONE else family.value


def _show(found: FlatnessFile, trained: TrainedModels) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    where = f"{found['images']} {found['split']} images of {trained.data.title}"
    table = Table(title=f"Flatness in the active subspace, {where}", title_justify="left")
    table.add_column("measure")
    for name in found["models"]:
        table.add_column(name, justify="right", overflow="fold")
    for label, pick in _LINES:
        texts = [pick(facts) for facts in found["models"].values()]
        if any(texts):
            table.add_row(label, *(text or "–" for text in texts))
    families = [f["sharpness"]["measures"] for f in found["models"].values() if "sharpness" in f]
    for same in zip(*families, strict=True):  # all models have the same measures
        table.add_row(same[0]["name"], *map(_number, same))
    console.print(table)
    for pair in found["pairs"]:
        low, high = pair["ci95"]
        console.print(
            f"{pair['measure']}: {pair['first']} minus {pair['second']}: {pair['mean']:+.4g} "
            f"(95 % interval over images {low:+.4g} to {high:+.4g})",
            highlight=False,
        )
    for caveat in found["caveats"]:
        console.print(f"· {caveat['text']} ({caveat['source']})", highlight=False, style="dim")


def _number(mean: LayeredMean | SharpnessValue | None) -> str:
    if mean is None or mean["value"] is None:
        return "–"
    se = mean["se"]
    return f"{mean['value']:.4g}" + (f" ± {se:.2g}" if se is not None else "")


def _pruned(facts: Flatness) -> str:
    wide = facts.get("with_pruned_directions")
    return _number(wide["trace"]) if wide else ""


def _of_spectrum(pick: Callable[[Spectrum], Sequence[float | None]]) -> Callable[[Flatness], str]:
    """Shows an eigenvalue or ratio and, where there is one, its residual."""

    def show(facts: Flatness) -> str:
        if "spectrum" not in facts:
            return ""
        value, *residual = pick(facts["spectrum"])
        if value is None:
            return ""
        return f"{value:.4g}" + "".join(f" (residual {r:.1g})" for r in residual)

    return show


_LINES: tuple[tuple[str, Callable[[Flatness], str]], ...] = (
    ("loss", lambda f: f"{f['loss']:.4g}"),
    ("accuracy", lambda f: f"{100 * f['accuracy']:.2f} %"),
    ("active parameters", lambda f: f"{f['active_dimensions']:,} of {f['dimensions']:,}"),
    ("adaptive trace ± standard error", lambda f: _number(f["adaptive_trace"])),
    ("trace ± standard error", lambda f: _number(f["trace"])),
    ("trace per active parameter", lambda f: f"{f['trace_per_parameter']:.4g}"),
    ("trace with pruned directions", _pruned),
    ("Fisher trace, empirical", lambda f: _number(f["fisher_empirical"])),
    ("λ1", _of_spectrum(lambda s: (s["lambda_1"], s["residuals"][0]))),
    ("λ1 / λ5", _of_spectrum(lambda s: (s["lambda_1_over_5"],))),
    ("λmin", _of_spectrum(lambda s: (s["smallest"], s["smallest_residual"]))),
    ("method", lambda f: f["method"]),
    ("share left out of Σ p(1 − p)", lambda f: f"{f.get('skipped_mass', 0.0):.1g}"),
)
