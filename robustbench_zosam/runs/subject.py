"""What a run is about, in the words that stand at its start."""

from __future__ import annotations

from collections.abc import Iterator

from robustbench_zosam.results.words import noise_words
from robustbench_zosam.runs.plan import Plan

_FEW = 4  # corruptions that a line names one by one


def subject(plan: Plan) -> Iterator[str]:
    """Yields what the run is about, line by line: data, shift and methods."""
    facts = plan.data.facts
    counts = ", ".join(f"{count:,} {name}" for name, count in facts["counts"].items())
    origin = f" ({plan.data_origin})" if plan.data_origin else ""
    yield f"data: {facts['title']}; {len(facts['classes'])} classes; {counts} images{origin}"
    if facts["partial"]:
        yield f"partial: {facts['partial']}"
    if noise := noise_words(facts):
        yield f"label noise: {noise}"
    if plan.suite is not None:
        severities = ", ".join(map(str, plan.suite.severities))
        names = plan.suite.corruptions
        which = ", ".join(names) if len(names) <= _FEW else f"{len(names)} corruptions"
        yield f"shift: {plan.suite.name}, {which}, severity {severities}"
    yield f"methods: {', '.join(method.label for method in plan.methods)}"
