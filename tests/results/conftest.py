"""Synthetic runs, and one of the first version of the format."""

import json
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def small(runs):
    """Four methods and dense SGD, two seeds, three corruptions; not to be changed."""
    made = runs.make_results(kinds=4, seeds=2, corruptions=3, n=60)
    return json.loads(json.dumps(made, allow_nan=False))


@pytest.fixture
def run(runs, small, tmp_path):
    """A run folder with these results."""
    return runs.write_run(tmp_path / "run", small)


@pytest.fixture(scope="session")
def version1():
    """Results as the first version of the format had them."""
    return json.loads((HERE / "version1.json").read_text(encoding="utf-8"))
