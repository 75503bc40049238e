"""Masks of data-parallel processes are decided once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from robustbench_zosam.sparsity import SPARSIFIERS

PROGRAM = Path(__file__).with_name("two_ranks_masks.py")
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no processes"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-W", "ignore", str(PROGRAM), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("name", SPARSIFIERS.names())
def test_ranks_with_other_weights_seeds_and_data_have_the_masks_of_the_first(found, name):
    one, other = found[0][name], found[1][name]
    assert len(one) == len(other)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert name == "dense" or any(not mask.all() for mask in one)


def test_masks_that_differ_are_found_out_on_every_rank(folder):
    for rank in (0, 1):
        assert (
            "the masks of 1 of 2 ranks are not those of rank 0"
            in (folder / f"{rank}.txt").read_text()
        )
