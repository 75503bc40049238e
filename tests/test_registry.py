from __future__ import annotations

import importlib.metadata
from types import SimpleNamespace

import pytest

from robustbench_zosam.data.registry import DATASETS
from robustbench_zosam.errors import InputError, PluginWarning
from robustbench_zosam.metrics import METRICS
from robustbench_zosam.models.registry import MODELS
from robustbench_zosam.optim.info import OptimizerInfo
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
    registry: Registry[Entry[int]] = Registry("number", Entry)
    registry.add(Entry("one", "the first", 1))
    with pytest.raises(ValueError, match="registered already"):
        registry.add(Entry("one", "again", 1))
    with pytest.raises(ValueError, match="must match"):
        registry.add(Entry("Number One", "spaces", 1))


def test_a_miss_suggests_and_lists():
    registry: Registry[Entry[int]] = Registry("number", Entry)
    registry.add(Entry("seventeen", "a prime", 17))
    with pytest.raises(InputError, match=r"unknown number 'sevnteen': did you mean seventeen\?"):
        registry["sevnteen"]
    with pytest.raises(InputError, match="unknown number 'x': Available: seventeen"):
        registry["x"]


def test_third_parties_join_through_entry_points(monkeypatch: pytest.MonkeyPatch):
    class Point:
        name = "foreign"
        dist = SimpleNamespace(name="abroad", version="1.2")

        def load(self) -> Entry[int]:
            return Entry("foreign", "from another package", 5)

    def found(*, group: str) -> list[Point]:
        assert group == "some.group"
        return [Point()]

    monkeypatch.setattr("robustbench_zosam.registry.entry_points", found)
    registry: Registry[Entry[int]] = Registry("number", Entry, "some.group")
    registry.add(Entry("own", "from here", 1))
    assert registry.names() == ("own", "foreign")
    assert registry["foreign"].load() == 5
    assert "foreign" in registry
    assert len(registry) == 2
    assert (registry.origin("own"), registry.origin("foreign")) == ("zosam-robust", "abroad 1.2")


@pytest.mark.parametrize("error", [ImportError("no x"), RuntimeError("a\nb"), SystemExit(3)])
def test_a_broken_plug_in_costs_nothing_else(monkeypatch: pytest.MonkeyPatch, error):
    class Point:
        name = "broken"
        dist = SimpleNamespace(name="abroad", version="1.2")

        def load(self) -> Entry[int]:
            raise error

    monkeypatch.setattr("robustbench_zosam.registry.entry_points", lambda group: [Point()])
    registry: Registry[Entry[int]] = Registry("number", Entry, "some.group")
    registry.add(Entry("own", "from here", 1))
    with pytest.warns(PluginWarning, match="the number 'broken' of abroad 1.2 cannot be used"):
        assert registry.names() == ("own",)
    with pytest.raises(InputError, match=f"abroad 1.2 cannot be used .{type(error).__name__}"):
        registry["broken"]


def test_what_cannot_be_imported_is_one_sentence():
    with pytest.raises(InputError, match=r"mine cannot be loaded from nowhere:Mine"):
        Entry("mine", "of another package", "nowhere:Mine").load()


def test_a_third_party_optimizer_is_an_optimizer_info(monkeypatch: pytest.MonkeyPatch):
    class Point:
        name = "mine"

        def load(self) -> Entry[str]:
            return Entry("mine", "from another package", "somewhere:Mine")

    monkeypatch.setattr("robustbench_zosam.registry.entry_points", lambda group: [Point()])
    registry = Registry("optimizer", OptimizerInfo, "some.group")
    with pytest.warns(PluginWarning, match="it is Entry, not OptimizerInfo"):
        assert registry.names() == ()


def test_what_is_not_known_of_a_third_party_optimizer_is_said_to_be_unknown():
    info = OptimizerInfo("mine", "from another package", "somewhere:Mine", label="Mine")
    assert info.passes_per_step({"rho": 1}, batch_size=8, steps_per_epoch=2) is None
    assert (info.role, info.defaults, info.compared_with) == ("method", {}, ())
    assert "forwards" not in info.as_dict()


def test_the_command_is_declared():
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="zosam-robust")
    assert script.value == "robustbench_zosam.cli:main"
