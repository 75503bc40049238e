"""The trials by which settings were chosen, on validation images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from robustbench_zosam.config_sweeps import symbol, value_text
from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import linear
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.figures.sweep import positions, setting_axis
from robustbench_zosam.report.panel import HEIGHT, WIDTH, Block, PageTable, Panel
from robustbench_zosam.report.run import MethodView, Run
from robustbench_zosam.schema import MethodTuning, SettingValue, Tuning, TuningTrial

Trials = Sequence[tuple[MethodView, MethodTuning]]


def tuning(run: Run) -> Block | None:
    """Draws the score of each trial; None where nothing was tuned."""
    found = run.results.get("tuning")
    if found is None:
        return None
    methods = [(run.by_id[m["method"]], m) for m in found["methods"] if m["method"] in run.by_id]
    tried = [(view, facts) for view, facts in methods if facts["trials"]]
    keys = list(dict.fromkeys(k for _, m in tried for t in m["trials"] for k in t["values"]))
    return Block(
        "tuning",
        "Tuning",
        " ".join(tuning_sentences(run)),
        f"Scored on {text.count(found['images'], 'validation image')}{_corrupted(found)}, trained "
        f"with {_seeds(found)} that no compared run has. Framed: the chosen setting, on which the "
        "rest of this page rests. No test image was used.",
        tuple(_panel(found, key, tried) for key in keys),
        tuple(view for view, _ in tried),
        (_table(found, methods),),
    )


def tuning_sentences(run: Run) -> Iterator[str]:
    """Yields how settings were tuned, and what is to be said against it; nothing without tuning."""
    found = run.results.get("tuning")
    if found is None:
        return
    idle = [run.by_id[m["method"]].label for m in found["methods"] if not m["trials"]]
    trials = text.count(found["trials"], "trial")
    yield f"Settings were chosen by {found['score']}, with {trials} for each method."
    if idle:
        yield f"Nothing was to be tuned in {text.listed(idle)}, which had their one setting."
    yield from (f"{words}: a wider range may be better." for words in edges(run))
    tied = [run.by_id[m["method"]].label for m in found["methods"] if m["tied"]]
    if tied:
        yield f"Equal scores of {text.listed(tied)} went to the smaller value."


def edges(run: Run) -> Iterator[str]:
    """Yields the choices that lie at the end of their range, as the beginning of a sentence."""
    found = run.results.get("tuning")
    for key in dict.fromkeys(k for m in (found["methods"] if found else ()) for k in m["at_edge"]):
        assert found is not None
        names = [run.by_id[m["method"]].label for m in found["methods"] if key in m["at_edge"]]
        yield f"The best {symbol(key)} of {text.listed(names)} lies at the end of its range"


def _corrupted(found: Tuning) -> str:
    if "corruptions" not in found:
        return ""
    names = text.listed([text.plain(name) for name in found["corruptions"]])
    severities = text.listed([str(each) for each in found.get("severities", [])])
    return f" under {names} at severity {severities}, none of which is in the test"


def _seeds(found: Tuning) -> str:
    seeds = found["seeds"]
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {text.listed([str(s) for s in seeds])}"


def _panel(found: Tuning, key: str, tried: Trials) -> Panel:
    values = [t["values"][key] for _, m in tried for t in m["trials"] if key in t["values"]]
    where = positions(values)
    scale, label = _form(found)
    scores = [t["score"] for _, m in tried for t in m["trials"] if key in t["values"]]
    known = [scale * score for score in scores if score is not None] or [0.0]
    chart = Chart(WIDTH, HEIGHT, setting_axis(symbol(key), values), linear(label, known, least=1))
    told = []
    for i, (view, facts) in enumerate(tried):
        points = [
            (where[t["values"][key]], scale * t["score"], number == facts["chosen"])
            for number, t in enumerate(facts["trials"])
            if key in t["values"] and t["score"] is not None
        ]
        marks = [
            chart.marker(x, y, view, size=1.0 if best else 0.7, kind="framed" if best else "")
            for x, y, best in points
        ]
        if all(len(t["values"]) == 1 for t in facts["trials"]):
            line = sorted((x, y) for x, y, _ in points)
            marks.insert(0, chart.line([x for x, _ in line], [y for _, y in line], view))
        chart.group(view, *marks, shift=3.0 * (i - (len(tried) - 1) / 2))
        told += [f"{view.label}: {_chosen(facts, key)}"] if points else []
    title = f"{text.capital(found['score'])} along {symbol(key)}"
    return Panel(title, chart.svg(f"{title}. Chosen: {'; '.join(told)}."))


def _chosen(facts: MethodTuning, key: str) -> str:
    best = facts["chosen"]
    value = None if best is None else facts["trials"][best]["values"].get(key)
    return "–" if value is None else value_text(value)


def _form(found: Tuning) -> tuple[float, str]:
    """Returns what scores are multiplied by, and the label of their axis."""
    if found["score"] == "validation loss":
        return 1.0, "validation loss"
    return 100.0, f"{found['score']} (%)"


def _table(found: Tuning, methods: Trials) -> PageTable:
    rows: list[tuple[str, ...]] = []
    for view, facts in methods:
        rows += [
            (view.label, _settings(t["values"]), _score(found, t), _note(facts, number))
            for number, t in enumerate(facts["trials"])
        ]
        if not facts["trials"]:
            rows.append((view.label, "–", "–", "nothing to tune: its one setting"))
    head = ("method", "settings", _form(found)[1], "choice")
    return PageTable(f"All trials, {found['trials']} of each method", head, tuple(rows))


def _settings(values: dict[str, SettingValue]) -> str:
    return ", ".join(f"{symbol(key)} = {value_text(value)}" for key, value in values.items())


def _score(found: Tuning, trial: TuningTrial) -> str:
    if trial["score"] is None:
        return "diverged"
    scale, _ = _form(found)
    return f"{scale * trial['score']:.1f}" if scale > 1 else text.number(trial["score"])


def _note(facts: MethodTuning, number: int) -> str:
    if number != facts["chosen"]:
        return ""
    edge = f", at the end of its range ({', '.join(map(symbol, facts['at_edge']))})"
    return "chosen" + (edge if facts["at_edge"] else "")
