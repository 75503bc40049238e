"""A tiny comparison, run once."""

import pytest

from robustbench_zosam.nzk import StudyConfig, run_study
from robustbench_zosam.nzk.views import load


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("nzk")
    run_study(StudyConfig(data="both", seeds=(0, 1, 2), steps=20, draws=100), out)
    return out


@pytest.fixture(scope="session")
def results(folder):
    """What it has stored; not to be changed."""
    return load(folder)
