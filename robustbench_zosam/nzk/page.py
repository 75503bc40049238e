"""From `nzk.json` to `nzk.html`."""

from __future__ import annotations

import json
from pathlib import Path

from robustbench_zosam.files import write_text
from robustbench_zosam.nzk import figures
from robustbench_zosam.nzk.coupling import coupling
from robustbench_zosam.nzk.schema import StudyResults
from robustbench_zosam.nzk.verdict import claims, verdict
from robustbench_zosam.nzk.views import VIEWS, load, ratio
from robustbench_zosam.report import text
from robustbench_zosam.report.origin import origin
from robustbench_zosam.report.page import render_page, scripted_names
from robustbench_zosam.report.panel import Block, PageTable


def build_page(folder: Path) -> Path:
    """Writes the page of a stored comparison; computes nothing and needs no torch.

    Args:
        folder: that holds `nzk.json`.

    Returns:
        Path of `nzk.html`.
    """
    file = folder / "nzk.html"
    write_text(file, render(load(folder)))
    return file


def render(results: StudyResults) -> str:
    """Returns the page as text; equal results give equal bytes."""
    contents = {
        "kind": "Neural zeroth-order kernel",
        "title": results["title"],
        "facts": _facts(results),
        "problems": [
            (problem["title"], f"{problem['detail']}; {problem['dimension']} weights")
            for problem in results["problems"]
        ],
        "draws": results["distributions"]["draws"],
        "command": results["provenance"]["command"],
        "origin": tuple(origin(results["provenance"])),
        "data": scripted_names(VIEWS.values()),
        "verdict": verdict(results),
        "blocks": _blocks(results),
        "distributions": _distributions(results),
        "rates": _rates(results),
        "claims": claims(results),
        "config": json.dumps(results["config"], indent=2, ensure_ascii=False),
    }
    return render_page("nzk.html.j2", contents, "robustbench_zosam.nzk")


def _blocks(results: StudyResults) -> tuple[Block, ...]:
    between = coupling(results)
    return (
        figures.speed_ups(results),
        figures.equal_rate(results),
        figures.tuned_rate(results),
        figures.tuning(results),
        figures.kernels(results),
        *([] if between is None else [between]),
    )


def _facts(results: StudyResults) -> str:
    config = results["config"]
    return (
        f"{text.count(len(results['problems']), 'problem')}, "
        f"{text.count(len(config['seeds']), 'seed')}, tuned "
        f"{'' if results['tuning']['seeds'] else 'in theory '}over "
        f"{text.count(results['tuning']['rates'], 'learning rate')} with "
        f"{text.count(config['steps'], 'step')} each."
    )


def _distributions(results: StudyResults) -> PageTable:
    rows = tuple(
        (
            row["distribution"],
            "shared" if row["shared"] else "independent",
            text.number(row["theory"], 4),
            f"{text.number(row['measured'], 4)} ± {text.number(row['se'], 2)}",
            f"{(row['measured'] - row['theory']) / row['se']:+.1f}".replace("-", text.MINUS),
            f"{row['largest_deviation']:.1f}",
        )
        for row in results["distributions"]["rows"]
    )
    return PageTable(
        "Trace of the kernel over that of the tangent kernel, directions of variance 1",
        (
            "distribution", "vectors", "theory", "measured ± SE", "deviation (SE)",
            "largest of 10,000 entries (SE)",
        ),
        rows,
    )  # fmt: skip


def _rates(results: StudyResults) -> PageTable:
    rows = [
        (
            f"{problem['title']}: {VIEWS[update].label}",
            text.number(row["rate"]),
            text.number(row["relative"]) + (" (edge of the grid)" if row["at_edge"] else ""),
            str(problem["tuned"][update]["diverged"]),
        )
        for problem in results["problems"]
        for update, row in problem["tuning"].items()
    ]
    return PageTable(
        "Tuned learning rates",
        ("update", "learning rate", "× λmax(K̄)/n", "seeds that ended above their initial loss"),
        tuple(rows),
    )


def speed_table(results: StudyResults) -> list[tuple[str, str]]:
    """Returns what is compared and the factor, for a terminal."""
    return [
        (
            f"{problem['title']}: {VIEWS[row['fast']].label} against {VIEWS[row['slow']].label}, "
            + ("one learning rate" if row["setting"] == "equal" else "each tuned"),
            ratio(row),
        )
        for problem in results["problems"]
        for row in problem["speed_ups"]
    ]
