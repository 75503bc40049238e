"""Two processes with half of the batch each: they stay together, whatever the method."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import OPTIMIZERS, SAM

PROGRAM = Path(__file__).with_name("two_ranks.py")
spec = importlib.util.spec_from_file_location("two_ranks", PROGRAM)
two_ranks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(two_ranks)

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no processes"),
]


@pytest.fixture(scope="module")
def finals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-W", "ignore", str(PROGRAM), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_the_weights_of_all_ranks_stay_equal(finals):
    one, other = finals
    assert len(one) == 2 * len(OPTIMIZERS.names()) + 2
    for name, weights in one.items():
        assert torch.equal(weights, other[name]), name


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_ranks_that_share_are_one_process_with_all_the_data(finals, name):
    if name == "esam":
        pytest.skip("each rank looks for sensitive examples in its own part")
    weights = two_ranks.train(name, *two_ranks.data(), parallel=False)
    assert torch.allclose(weights, finals[0][f"{name} shared"], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_a_perturbation_of_its_own_makes_a_difference_to_every_method_that_has_one(finals, name):
    one = two_ranks.train(name, *two_ranks.data(), parallel=False, ranks="own")
    same = name in {"sgd", "adamw", "momentum-sam"}  # the momentum is one
    assert torch.allclose(one, finals[0][f"{name} own"], rtol=1e-6, atol=1e-9) == same


def test_other_words_are_refused():
    with pytest.raises(InputError, match="ranks is 'all': choose one of shared, own"):
        SAM([torch.nn.Parameter(torch.ones(2))], lr=0.1, ranks="all")
