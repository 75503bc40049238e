from __future__ import annotations

import importlib.metadata

import pytest

from robustbench_zosam.data.registry import DATASETS
from robustbench_zosam.errors import InputError
from robustbench_zosam.metrics import METRICS
from robustbench_zosam.models.registry import MODELS
from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.registry import Entry, Registry
from robustbench_zosam.sparsity.registry import SPARSIFIERS

EVERYTHING = [
    pytest.param(entry, id=f"{registry.noun}-{entry.name}")
    for registry in (DATASETS, MODELS, OPTIMIZERS, SPARSIFIERS, METRICS)
    for entry in registry
]


@pytest.mark.parametrize("entry", EVERYTHING)
def test_every_entry_loads_and_describes_itself_in_one_line(entry: Entry[object]):
    assert callable(entry.load())
    assert 10 < len(entry.summary) < 110
    assert "\n" not in entry.summary


def test_duplicates_and_malformed_names_raise():
    registry = Registry[int]("number")
    registry.add("one", "the first", 1)
    with pytest.raises(ValueError, match="registered already"):
        registry.add("one", "again", 1)
    with pytest.raises(ValueError, match="must match"):
        registry.add("Number One", "spaces", 1)


def test_a_miss_suggests_and_lists():
    registry = Registry[int]("number")
    registry.add("seventeen", "a prime", 17)
    with pytest.raises(InputError, match=r"unknown number 'sevnteen': did you mean seventeen\?"):
        registry.load("sevnteen")
    with pytest.raises(InputError, match="unknown number 'x': Available: seventeen"):
        registry["x"]


def test_third_parties_join_through_entry_points(monkeypatch: pytest.MonkeyPatch):
    class Point:
        def load(self) -> Entry[int]:
            return Entry("foreign", "from another package", 5)

    def found(*, group: str) -> list[Point]:
        assert group == "some.group"
        return [Point()]

    monkeypatch.setattr("robustbench_zosam.registry.entry_points", found)
    registry = Registry[int]("number", "some.group")
    registry.add("own", "from here", 1)
    assert registry.names() == ("own", "foreign")
    assert registry.load("foreign") == 5
    assert "foreign" in registry
    assert len(registry) == 2


def test_the_command_is_declared():
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="zosam-robust")
    assert script.value == "robustbench_zosam.cli:main"
