"""Where the numbers of a page come from, as terms and descriptions."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup
from typing_extensions import TypedDict

from robustbench_zosam.report import text
from robustbench_zosam.report.run import Run
from robustbench_zosam.schema import Hardware

Term = tuple[str, str]


class Origin(TypedDict):
    """The part of a provenance that all pages show; see `schema.Provenance`."""

    finished: str
    command: str
    versions: dict[str, str]
    commit: str | None
    dirty: bool | None
    hardware: Hardware
    seconds: float


def origin(found: Origin, workers: int | None = None) -> Iterator[Term]:
    """Yields when, by which code and on what numbers were computed."""
    parallel = "" if workers is None else f" with {text.count(workers, 'worker')}"
    yield "Finished", f"{found['finished']}, after {found['seconds']:.0f} s{parallel}"
    if found["commit"]:
        changed = ", with uncommitted changes" if found["dirty"] else ""
        yield "Commit", code(found["commit"]) + changed
    yield "Versions", ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    hardware = found["hardware"]
    parts = [hardware["cpu"]]
    if hardware["cores"]:
        parts.append(text.count(hardware["cores"], "core"))
    if hardware["memory_bytes"]:
        parts.append(f"{hardware['memory_bytes'] / 2**30:.0f} GiB")
    yield "Machine", f"{', '.join(parts)}; computed on {', '.join(hardware['devices'])}"


def materials(run: Run) -> Iterator[Term]:
    """Yields which images a run was trained and tested on."""
    data, suite = run.results["data"], run.results["suite"]
    counts = data["counts"]
    parts = [text.count(counts["train"], "training image")] if "train" in counts else []
    parts += [f"{counts['validation']} for validation"] if "validation" in counts else []
    images = ", ".join([*parts, f"{run.images} for testing"])
    yield "Data", Markup("sha256 ") + code(data["fingerprint"]) + f"; {images}"
    preset = f", preset {suite['preset']}, seed {suite['seed']}" if suite["preset"] else ""
    left_out = f"; left out: {', '.join(suite['left_out'])}" if suite["left_out"] else ""
    notes = "".join(f". {note}" for note in suite.get("notes", []))
    yield "Suite", f"{suite['name']}, {suite['source']}{preset}{left_out}{notes}"


def recipe(run: Run) -> Markup:
    """Returns the recipe of a run and what was changed of it; empty without one."""
    facts = run.results.get("recipe")
    if not facts:
        return Markup("")
    changes = [
        code(key) + f" {change['used']} instead of {change['recipe']}"
        for key, change in facts["changed"].items()
    ]
    changed = Markup("; changed: ") + Markup(", ").join(changes) if changes else Markup("")
    notes = "".join(f" {note[:1].upper()}{note[1:]}." for note in facts["notes"])
    return Markup("Recipe ") + code(facts["name"]) + f" ({facts['source']})" + changed + "." + notes


def code(words: str) -> Markup:
    """Returns words set as code."""
    return Markup("<code>{}</code>").format(text.visible(words))
