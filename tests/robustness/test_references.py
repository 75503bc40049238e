from __future__ import annotations

from pathlib import Path
from statistics import fmean

import pytest

import corruptions
from robustbench_zosam.errors import InputError
from robustbench_zosam.robustness.references import (
    ALEXNET,
    Reference,
    find_reference,
    relative_errors,
)


def rows(errors: dict[str, dict[int, float]], clean: float) -> list[dict[str, object]]:
    found = [{"corruption": "clean", "severity": 0, "accuracy": 1 - clean}]
    return found + [
        {"corruption": name, "severity": severity, "accuracy": 1 - error}
        for name, by_severity in errors.items()
        for severity, error in by_severity.items()
    ]


def test_the_reference_itself_has_mce_one():
    assert ALEXNET.clean is not None
    found = relative_errors(rows(ALEXNET.errors, ALEXNET.clean), ALEXNET)
    assert found is not None
    assert found["mce"] == pytest.approx(1)
    assert found["relative_mce"] == pytest.approx(1)


def test_the_published_means_of_alexnet():
    assert set(ALEXNET.errors) == set(corruptions.names("all"))
    means = {name: fmean(errors.values()) for name, errors in ALEXNET.errors.items()}
    published = {"gaussian_noise": 0.886428, "elastic_transform": 0.646056, "saturate": 0.658248}
    for name, value in published.items():
        assert means[name] == pytest.approx(value, abs=1e-6)
    assert fmean(means[name] for name in corruptions.names()) == pytest.approx(0.78899, abs=5e-6)


def test_errors_are_ratios_of_sums_not_means_of_ratios():
    reference = Reference("r", {"fog": {1: 0.2, 2: 0.8}, "snow": {1: 0.5, 2: 0.5}}, clean=0.1)
    found = relative_errors(
        rows({"fog": {1: 0.2, 2: 0.3}, "snow": {1: 0.5, 2: 1}}, 0.05), reference
    )
    assert found is not None
    assert found["ce"] == pytest.approx({"fog": 0.5, "snow": 1.5})
    assert found["mce"] == pytest.approx(1)
    assert found["relative_ce"] == pytest.approx({"fog": 0.4 / 0.8, "snow": 1.4 / 0.8})
    assert found["relative_mce"] == pytest.approx((0.5 + 1.75) / 2)


def test_what_a_reference_lacks_is_left_out_and_named():
    reference = Reference("r", {"fog": {1: 0.2}, "snow": {1: 0.5}})
    found = relative_errors(rows({"fog": {1: 0.1}, "snow": {1: 0.1, 2: 0.1}}, 0.0), reference)
    assert found is not None
    assert found["ce"] == pytest.approx({"fog": 0.5})
    assert found["without"] == ["snow"]
    assert found["relative_mce"] is None
    assert relative_errors(rows({"frost": {1: 0.1}}, 0.0), reference) is None


def test_a_reference_can_be_a_table(tmp_path: Path):
    file = tmp_path / "mine.csv"
    file.write_text("corruption,severity,error\nclean,0,0.1\nfog,1,0.2\nfog,2,0.4\n")
    assert find_reference(str(file)) == Reference("mine", {"fog": {1: 0.2, 2: 0.4}}, 0.1)
    assert find_reference("none") is None
    assert find_reference("alexnet-imagenet-c") is ALEXNET


@pytest.mark.parametrize(
    ("content", "needle"),
    [("corruption,error\nfog,0.1\n", "columns"), ("corruption,severity,error\nfog,1,20\n", "20")],
)
def test_other_tables_are_refused(content: str, needle: str, tmp_path: Path):
    file = tmp_path / "mine.csv"
    file.write_text(content)
    with pytest.raises(InputError, match=needle):
        find_reference(str(file))


def test_unknown_references_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"suite\.reference is 'resnet'"):
        find_reference("resnet")
    with pytest.raises(InputError, match="cannot be read"):
        find_reference(str(tmp_path / "absent.csv"))
