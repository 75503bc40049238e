from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustbench_zosam.config import ExperimentConfig, canonical_json
from robustbench_zosam.errors import InputError
from robustbench_zosam.loading import load_config


def test_layers_override_each_other_in_order(tmp_path: Path):
    file = tmp_path / "run.toml"
    file.write_text("seeds = [5]\n[training]\nepochs = 3\nlr = 0.5\n")
    config = load_config(file, {"training.epochs": 4}, ["training.epochs=7", "model.name=resnet20"])
    assert (config.seeds, config.training.epochs, config.training.lr) == ((5,), 7, 0.5)
    assert config.model.name == "resnet20"


def test_assignments_are_toml_values():
    config = load_config(None, None, ["optimizer.zo-sam.queries=4", "sparsities=[0.5, 0.9]"])
    assert config.optimizer == {"zo-sam": {"queries": 4}}
    assert config.sparsities == (0.5, 0.9)


@pytest.mark.parametrize(
    ("assignment", "needle"),
    [
        ("sparsities=[1.2]", "sparsities.0 = 1.2: input should be less than 1"),
        ("training.epochs=0", "training.epochs = 0"),
        ("training.epoch=3", "training.epoch is not a known setting"),
        ("landscape.points=40", "must be odd"),
        ("seeds=[1, 1]", "1 given more than once"),
        ("training.lr=nan", "finite number"),
        ("epochs", "key=value"),
        ("seeds.0=1", "seeds = {'0': 1}"),
        ("run.device.x=1", "run.device = {'x': 1}"),
    ],
)
def test_a_mistake_is_one_sentence(assignment: str, needle: str):
    with pytest.raises(InputError) as caught:
        load_config(None, None, [assignment])
    assert needle in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_section_cannot_be_opened_below_a_value():
    with pytest.raises(InputError, match="title is a value, not a section"):
        load_config(None, {"title": "x"}, ["title.size=1"])


def test_files_that_cannot_be_read_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"absent\.toml cannot be read"):
        load_config(tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_text("seeds = [")
    with pytest.raises(InputError, match=r"bad\.toml is not valid TOML"):
        load_config(tmp_path / "bad.toml")


def test_configuration_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        ExperimentConfig().training.epochs = 3  # type: ignore[misc]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), json_values))
def test_canonical_json_ignores_the_order_of_keys(value: dict[str, object]):
    reversed_keys = dict(reversed(list(value.items())))
    assert canonical_json(value) == canonical_json(reversed_keys)


def test_canonical_json_refuses_nan():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": float("nan")})


@pytest.mark.parametrize("form", ["[model]\nallow_code = true", "model.allow_code = false"])
def test_no_file_lets_code_run(tmp_path: Path, form: str):
    file = tmp_path / "run.toml"
    file.write_text(form)
    with pytest.raises(InputError, match=r"run\.toml sets model\.allow_code, which no file may"):
        load_config(file, None, ["model.allow_code=true"])
    assert load_config(None, None, ["model.allow_code=true"]).model.allow_code


@pytest.mark.parametrize(
    ("assignment", "needle"),
    [
        ("training.lr=true", "give a number"),
        ("training.augment=1", "valid boolean"),
        ("data.name=2020-01-01", "data.name ="),
        ("optimizer.rho=nan", "no finite number"),
        ("optimizer.rho=2020-01-01", "of type date"),
        ("optimizer.rho=" + "9" * 300, "too large"),
        ("optimizer=" + "{a=" * 90 + "1" + "}" * 90, "nested too deeply"),
        ("seeds=" + "[" * 9000, "nested too deeply"),
        ("seeds=[" + "9" * 5000 + "]", "too large"),
        ("sparsities=[0.9, 0.90000001]", "two of them are called 0.9"),
        ("optimizer..rho=1", "write section.key"),
        ("=1", "key=value"),
    ],
)
def test_what_no_setting_can_be_is_one_short_sentence(assignment: str, needle: str):
    with pytest.raises(InputError) as caught:
        load_config(None, None, [assignment])
    assert needle in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_file_may_not_be_nested_without_end(tmp_path: Path):
    file = tmp_path / "run.toml"
    for text in ("seeds = " + "[" * 5000, "optimizer." + "a." * 3000 + "b = 1"):
        file.write_text(text)
        with pytest.raises(InputError, match=r"run\.toml is n"):
            load_config(file)


def test_a_wrong_setting_of_a_file_names_the_file(tmp_path: Path):
    file = tmp_path / "run.toml"
    file.write_text("[training]\nepochs = 0\nlr = 0.1\n")
    with pytest.raises(InputError, match=r"run\.toml: training\.epochs = 0"):
        load_config(file)
    with pytest.raises(InputError, match=r"^training\.lr = -1"):
        load_config(file, {"training.epochs": 1, "training.lr": -1})
