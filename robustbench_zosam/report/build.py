"""From stored results to `report.html`."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from robustbench_zosam.files import write_text
from robustbench_zosam.report import tables, text
from robustbench_zosam.report.figures.forest import forest
from robustbench_zosam.report.figures.gallery import sample_gallery
from robustbench_zosam.report.figures.landscape import planes, slices
from robustbench_zosam.report.figures.panel import Block
from robustbench_zosam.report.figures.scatter import flatness_against_robustness
from robustbench_zosam.report.figures.severity import severity_curves
from robustbench_zosam.report.figures.training import training_curves
from robustbench_zosam.report.heatmap import heat_map
from robustbench_zosam.report.legend import swatch
from robustbench_zosam.report.run import Run, load_run
from robustbench_zosam.report.style import theme_css
from robustbench_zosam.report.verdict import facts, verdict


def build_report(run_folder: Path) -> Path:
    """Writes the page of a run; needs neither the models nor torch.

    Args:
        run_folder: the output folder, with `results.json` and, where stored, `gallery.npz`.

    Returns:
        Path of `report.html`.
    """
    page = render(load_run(run_folder))
    file = run_folder / "report.html"
    write_text(file, page)
    return file


def render(run: Run) -> str:
    """Returns the page as text; equal results give equal bytes.

    Args:
        run: the stored results.
    """
    environment = Environment(
        loader=PackageLoader("robustbench_zosam.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        plain=text.plain, count=text.count, percent=text.percent, minus=text.minus
    )
    environment.globals["swatch"] = swatch
    script = _asset("report.js")
    return environment.get_template("report.html.j2").render(
        run=run,
        results=run.results,
        style=Markup(theme_css() + _asset("report.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        config=json.dumps(run.results["config"], indent=2, ensure_ascii=False),
        **_contents(run),
    )


def _contents(run: Run) -> dict[str, Any]:
    return {
        "facts": facts(run),
        "verdict": verdict(run),
        "tables": tables.method_tables(run),
        "differences": forest(run),
        "heat": heat_map(run),
        "severity": severity_curves(run),
        "blocks": _present([
            flatness_against_robustness(run),
            slices(run),
            planes(run),
            training_curves(run),
            sample_gallery(run),
        ]),
        "layers": tables.layers(run),
        "failures": tables.failures(run),
    }


def _present(blocks: Iterable[Block | None]) -> tuple[Block, ...]:
    return tuple(block for block in blocks if block is not None)


def _asset(name: str) -> str:
    source = files("robustbench_zosam.report").joinpath("templates", name)
    return re.sub(r"\n\s*\n", "\n", source.read_text(encoding="utf-8"))
