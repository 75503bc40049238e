"""Every built-in optimizer has a page that says what the registry says."""

import re
from pathlib import Path

import pytest

from robustbench_zosam.optim import OPTIMIZERS

FOLDER = Path(__file__).parents[2] / "docs" / "optimizers"
BUILT_IN = [x.name for x in OPTIMIZERS if str(x.target).startswith("robustbench_zosam.")]
SECTIONS = ("Update", "Cost", "Defaults", "When to use it", "Unverified")
OTHERS = (
    {},
    {"queries": 3, "probe_fraction": 0.25, "sides": "one", "gamma": 1.0, "alpha": 1.0},
    {"queries": 2, "gamma": 0.25, "interval": 3, "samples": 7, "update_epochs": 2},
    {"ascent_steps": 3, "alpha_step": 0.5, "alpha_max": 1.0},
)
SMALL = {"batch_size": 12, "steps_per_epoch": 10}
WORDS = {None: "none", True: "true", False: "false"}


@pytest.fixture(params=BUILT_IN)
def entry(request):
    return OPTIMIZERS[request.param]


@pytest.fixture
def page(entry):
    file = FOLDER / f"{entry.name}.md"
    assert file.is_file(), f"{entry.name} has no page docs/optimizers/{entry.name}.md"
    return file.read_text(encoding="utf-8")


def test_it_has_all_sections(entry, page):
    assert page.startswith(f"# {entry.label} (`{entry.name}`)\n")
    assert tuple(re.findall(r"^## (.*)$", page, re.MULTILINE)) == SECTIONS


def test_its_defaults_are_those_of_the_registry_each_with_a_source(entry, page):
    table = page.partition("## Defaults")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `([^`|]+)` \| ([^|]+) \|$", table, re.MULTILINE)
    expected = {
        option: WORDS[value] if value is None or isinstance(value, bool) else str(value)
        for option, value in entry.defaults.items()
    }
    assert {option: default for option, default, _ in rows} == expected
    assert all(source.strip() for _, _, source in rows)
    assert expected or "No options of its own" in table


def test_its_cost_is_that_of_the_registry(entry, page):
    cost = page.partition("## Cost")[2].partition("\n## ")[0]
    formulas = [
        re.search(f"{words}: `([^`]+)`", cost)[1]
        for words in ("Forward passes per step", "Backward passes")
    ]
    for given in OTHERS:
        options = {name: value for name, value in given.items() if name in entry.options}
        for size in ({"batch_size": 128, "steps_per_epoch": 391}, SMALL):
            values = entry.defaults | options | size
            said = [eval(formula, {"__builtins__": {}}, values) for formula in formulas]
            assert list(entry.passes_per_step(options, **size)) == pytest.approx(said)


def test_the_index_links_it(entry):
    assert f"[{entry.label}]({entry.name}.md)" in (FOLDER / "README.md").read_text(encoding="utf-8")
