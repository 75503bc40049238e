import pytest


@pytest.fixture(scope="session")
def make(runs):
    """Makes results of any size."""
    return runs.make_results


@pytest.fixture(scope="session")
def write(runs):
    """Stores results as a run folder."""
    return runs.write_run


@pytest.fixture(scope="session")
def full(make):
    """Results of six methods, three seeds and all corruptions; not to be changed."""
    return make()
