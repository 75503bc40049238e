"""From stored results to `report.html`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from robustbench_zosam.files import write_text
from robustbench_zosam.report import parameters, tables
from robustbench_zosam.report.answers import answers
from robustbench_zosam.report.charts.colours import scale
from robustbench_zosam.report.claims import claim_rows
from robustbench_zosam.report.figures.cost import robustness_against_cost
from robustbench_zosam.report.figures.forest import forest
from robustbench_zosam.report.figures.gallery import sample_gallery, worst_failures
from robustbench_zosam.report.figures.landscape import slices
from robustbench_zosam.report.figures.overview import overview
from robustbench_zosam.report.figures.planes import planes, surfaces
from robustbench_zosam.report.figures.predictions import predictions
from robustbench_zosam.report.figures.scatter import flatness_against_robustness
from robustbench_zosam.report.figures.severity import severity_curves
from robustbench_zosam.report.figures.sweep import sweeps
from robustbench_zosam.report.figures.training import training_curves
from robustbench_zosam.report.figures.tuning import tuning
from robustbench_zosam.report.glossary import glossary
from robustbench_zosam.report.heatmap import difference_map, heat_map
from robustbench_zosam.report.origin import materials, origin, recipe
from robustbench_zosam.report.page import render_page, scripted_names
from robustbench_zosam.report.panel import Block
from robustbench_zosam.report.run import Run, load_run
from robustbench_zosam.report.verdict import facts, question, together, verdict
from robustbench_zosam.results.words import noise_words, order_note


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
    """Returns the page as text; equal results give equal bytes."""
    return render_page("report.html.j2", _contents(run))


def _contents(run: Run) -> dict[str, object]:
    provenance = run.results["provenance"]
    return {
        "kind": "Robustness report",
        "title": run.results["title"],
        "run": run,
        "partial": run.results["data"]["partial"],
        "noise": noise_words(run.results["data"]),
        "data": _embedded(run),
        "config": json.dumps(run.results["config"], indent=2, ensure_ascii=False),
        "question": question(run),
        "facts": facts(run),
        "verdict": verdict(run),
        "answers": answers(run),
        "overview": overview(run),
        "glossary": tuple(glossary(run)),
        "tables": tables.method_tables(run),
        "order": "" if run.ranking is None else order_note(run.ranking),
        "together": together(run),
        "differences": forest(run),
        "heat": heat_map(run),
        "contrast": difference_map(run),
        "severity": severity_curves(run),
        "blocks": _present([
            sweeps(run),
            tuning(run),
            flatness_against_robustness(run),
            planes(run),
            slices(run),
            robustness_against_cost(run),
            predictions(run),
            training_curves(run),
            sample_gallery(run),
            worst_failures(run),
        ]),
        "layers": tables.layers(run),
        "failures": tuple(tables.failures(run)),
        "parameters": parameters.differing(run),
        "common": parameters.common(run),
        "claims": tuple(claim_rows(run.results)),
        "command": provenance["command"],
        "recipe": recipe(run),
        "origin": (*origin(provenance, provenance["workers"]), *materials(run)),
    }


def _embedded(run: Run) -> dict[str, object]:
    """Returns what the scripts need besides what they read from the page itself."""
    return {
        **scripted_names(run.methods, run.corruption_index),
        "scale": scale(),
        "surfaces": surfaces(run),
    }


def _present(blocks: Iterable[Block | None]) -> tuple[Block, ...]:
    return tuple(block for block in blocks if block is not None)
