"""Networks with few channels, in the memory layout of augmented mini-batches."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import torch
from robustbench_zosam.models.registry import MODELS

torch.set_num_threads(1)
torch.manual_seed(0)
net = MODELS[sys.argv[1]].load()(10, width=float(sys.argv[2]))
for _ in range(20):
    images = torch.randn(64, 3, 16, 16).to(memory_format=torch.channels_last)
    net(images).square().mean().backward()
"""


@pytest.mark.parametrize("model", ["digits-resnet", "resnet20", "wrn-22-2"])
def test_a_step_in_channels_last_memory_stays_in_its_memory(model):
    # in a process of its own, which the allocator ends where memory was overwritten
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, model, "0.25"],
        env={"MALLOC_CHECK_": "3", "OMP_NUM_THREADS": "1", **os.environ},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
