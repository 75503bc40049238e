"""Networks with few channels, in the memory layout of augmented mini-batches."""

import copy
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from robustbench_zosam.models.residual import projection

PROGRAM = """
import sys
import torch
from robustbench_zosam.models.registry import MODELS

torch.set_num_threads(1)
torch.manual_seed(0)
net = MODELS[sys.argv[1]].load()(10, width=float(sys.argv[2]))
if sys.argv[3] == "model":
    net = net.to(memory_format=torch.channels_last)
for _ in range(20):
    images = torch.randn(64, 3, 16, 16).to(memory_format=torch.channels_last)
    net(images).square().mean().backward()
"""


@pytest.mark.parametrize("where", ["model", "images"])
@pytest.mark.parametrize("model", ["digits-resnet", "resnet20", "wrn-22-2"])
def test_a_step_in_channels_last_memory_stays_in_its_memory(model, where):
    # in a process of its own, which the allocator ends where memory was overwritten
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, model, "0.25", where],
        env={"MALLOC_CHECK_": "3", "OMP_NUM_THREADS": "1", **os.environ},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("channels", [3, 7, 8])
def test_taking_the_pixels_first_is_the_convolution_with_a_stride(channels):
    made = projection(channels, 5, 2).double()
    images = torch.randn(2, channels, 7, 6, dtype=torch.float64)
    expected = nn.functional.conv2d(images, made.weight, stride=2)
    assert torch.allclose(made(images), expected, rtol=1e-12)
    assert torch.equal(copy.deepcopy(made)(images), made(images))
