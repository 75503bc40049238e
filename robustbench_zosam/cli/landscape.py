"""`zosam-robust landscape`: the loss around trained models, and between them."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_zosam.cli import options as o
from robustbench_zosam.cli.configuring import build_config, subject_options
from robustbench_zosam.cli.flatness import Paths, Split, SplitName

if TYPE_CHECKING:
    from robustbench_zosam.schema import (
        LandscapeFile,
        ModelMap,
        ModelPath,
        ModelSlices,
        SliceSummary,
    )


class SliceDirections(StrEnum):
    """Directions of the slices."""

    RANDOM = "random"
    EIGEN = "eigen"
    BETWEEN = "between"
    PLANE = "plane"
    PCA = "pca"


class NormName(StrEnum):
    """Scales of random directions."""

    FILTER = "filter"
    LAYER = "layer"
    NONE = "none"
    ADAPTIVE = "adaptive"


def landscape(
    models: Paths,
    directions: Annotated[
        SliceDirections,
        typer.Option(
            help="random, eigen: around each model; between: from the first model to each other; "
            "plane: through three models; pca: along the checkpoints of one training run, in order."
        ),
    ] = SliceDirections.RANDOM,
    data: o.Data = None,
    data_root: o.DataRoot = None,
    model: o.Model = None,
    images: Annotated[
        int | None, typer.Option(metavar="N", help="Maximum number of images [default: 128].")
    ] = None,
    split: Split = SplitName.TRAIN,
    grid: Annotated[
        int | None,
        typer.Option(metavar="N", help="Points along each axis of a plane, odd [default: 17]."),
    ] = None,
    points: Annotated[
        int | None, typer.Option(metavar="N", help="Points of a line, odd [default: 41].")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="Number of random directions [default: 5].")
    ] = None,
    span: Annotated[
        float | None,
        typer.Option(
            "--range",
            metavar="X",
            help="Largest step [default: where the flattest model's mean line reaches the loss of "
            "chance; along eigenvectors, where the loss has risen by 2].",
        ),
    ] = None,
    statistics_images: Annotated[
        int,
        typer.Option(
            "--bn-images",
            metavar="N",
            min=2,
            help="Training images that batch norms are recalibrated on, between models.",
        ),
    ] = 1024,
    norm: Annotated[NormName, typer.Option(help="Scale of random directions.")] = NormName.FILTER,
    assign: o.Assign = None,
    device: o.Device = None,
    out: Annotated[Path, typer.Option(metavar="DIRECTORY", help="Output directory.")] = Path(
        "zosam-landscape"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Evaluate the loss along directions in weight space: numbers, .npz, .csv and a figure.

    All models share images, directions, range and colour scale. The same command again resumes an
    interrupted plane.
    """
    settings = build_config(
        None,
        assign,
        **subject_options(data, data_root, model, device),
        landscape__images=images,
        landscape__grid=grid,
        landscape__points=points,
        landscape__directions=seeds,
        landscape__span=span,
    )
    from robustbench_zosam.cli.display import Bar
    from robustbench_zosam.files import require_writable
    from robustbench_zosam.measurement.landscape_figure import draw_figure
    from robustbench_zosam.measurement.landscapes import Drawing
    from robustbench_zosam.measurement.trained_models import load_configured

    require_writable(out)
    trained = load_configured(
        models, settings, images=settings.landscape.images, split=split.value,
        seed=settings.landscape.seed,
    )  # fmt: skip
    with Bar("landscape") as bar:
        drawing = Drawing(
            trained,
            settings.landscape,
            out,
            norm.value,
            span,
            lambda _, done, total: bar(done, total),
            statistics_images,
        )
        found = drawing.draw(directions.value)
    figure = draw_figure(found, out / "landscape.png")
    if as_json:
        typer.echo(json.dumps(found, indent=1, allow_nan=False))
        return
    for line in _lines(found):
        typer.echo(line)
    typer.echo(figure)


def _lines(found: LandscapeFile) -> list[str]:
    return [
        line
        for name, facts in found["slices"].items()
        for line in (_of_model(name, facts) if "plane" in facts else _of_several(name, facts))
    ]


def _of_model(name: str, facts: ModelSlices) -> list[str]:
    said = []
    for kind, summary in (
        ("line", facts["line"]["summary"]),
        ("plane", facts["plane"]["summary"]),
    ):
        rise = ", ".join(f"{_said(v)} at {r}" for r, v in summary["rise"].items())
        said.append(
            f"{name} {kind}: loss {_said(summary['centre'])}; mean rise {rise or 'not in range'}; "
            f"half-width {_said(summary['half_width'])}{_interval(summary)}"
            + (f" at least ({summary['censored']} of {summary['rays']} rays beyond the range)"
               if summary["censored"] else "")
        )  # fmt: skip
    return said


def _of_several(name: str, facts: ModelPath | ModelMap) -> list[str]:
    if "marks" in facts:
        return [
            f"{m['name']}: at ({m['x']:.3g}, {m['y']:.3g}), {m['off_plane']:.2g} off the plane, "
            f"loss {_said(m['loss'])}{_own(m['own_loss'])}"
            for m in facts["marks"]
        ]
    loss, error = facts["barrier"], facts["error_barrier"]
    shared = facts["mask_overlap"]
    own, ends = facts["own_losses"], facts["end_losses"]
    return [
        f"{name} {end}: loss {_said(found)}{_own(before)}"
        for end, found, before in zip(("first", "second"), ends, own, strict=True)
    ] + [
        f"{name}: loss barrier {_said(loss['value'])} ± {_said(loss['se'])} nats at "
        f"{loss['position']:.2f}, error barrier {_said(error['value'])}"
        + (f", supports overlap by {shared:.2f}" if shared is not None else "")
    ]


def _interval(summary: SliceSummary) -> str:
    ends = summary.get("half_width_ci95")
    return f" (95 % interval over directions {ends[0]:.3g} to {ends[1]:.3g})" if ends else ""


def _own(loss: float | None) -> str:
    """Says what the loss is before batch norms are recalibrated."""
    return "" if loss is None else f" ({_said(loss)} with the model's own batch-norm statistics)"


def _said(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"
