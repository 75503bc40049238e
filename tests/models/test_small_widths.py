"""Networks with few channels, in the memory layout of augmented mini-batches."""

import copy
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from robustbench_zosam.models.residual import projection

NETWORKS = ["digits-resnet", "resnet20", "wrn-22-2"]
PROGRAM = """
import sys
import torch
from robustbench_zosam.models.registry import MODELS

torch.set_num_threads(1)
torch.manual_seed(0)
for name in sys.argv[2:]:
    print(name, flush=True)
    net = MODELS[name].load()(10, width=0.25)
    if sys.argv[1] == "model":
        net = net.to(memory_format=torch.channels_last)
    for _ in range(8):
        images = torch.randn(64, 3, 16, 16).to(memory_format=torch.channels_last)
        net(images).square().mean().backward()
"""


@pytest.mark.parametrize("where", ["model", "images"])
def test_a_step_in_channels_last_memory_stays_in_its_memory(where):
    # in a process of its own, which the allocator ends where memory was overwritten
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, where, *NETWORKS],
        env={"MALLOC_CHECK_": "3", "OMP_NUM_THREADS": "1", **os.environ},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.split()) == (0, NETWORKS), done.stderr


@pytest.mark.parametrize("channels", [3, 7, 8])
def test_taking_the_pixels_first_is_the_convolution_with_a_stride(channels):
    made = projection(channels, 5, 2).double()
    images = torch.randn(2, channels, 7, 6, dtype=torch.float64)
    expected = nn.functional.conv2d(images, made.weight, stride=2)
    assert torch.allclose(made(images), expected, rtol=1e-12)
    assert torch.equal(copy.deepcopy(made)(images), made(images))
