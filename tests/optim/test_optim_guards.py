"""Buffers and random numbers are left as they were, whatever the module."""

import pytest
import torch
from torch import nn

from robustbench_zosam.optim import BufferGuard, RngReplay

NORMS = {
    "batch": nn.BatchNorm1d(4),
    "batch, cumulative": nn.BatchNorm1d(4, momentum=None),
    "batch, no statistics": nn.BatchNorm1d(4, track_running_stats=False),
    "instance": nn.InstanceNorm1d(8, track_running_stats=True),
    "spectral": nn.utils.spectral_norm(nn.Linear(4, 4)),
}


class Counter(nn.Module):
    """A custom module whose buffer shapes its output."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.tensor(0))
        self.register_buffer("nothing", None)

    def forward(self, x):
        self.calls += 1
        return x * self.calls


def state(model):
    return {name: value.clone() for name, value in model.named_buffers()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("given", [True, False], ids=["model given", "model found"])
@pytest.mark.parametrize("norm", [*NORMS, "custom"])
def test_buffers_are_left_as_they_were(norm, given):
    model = nn.Sequential(Counter() if norm == "custom" else NORMS[norm], nn.Linear(4, 2))
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    model(x)
    guard = BufferGuard(model if given else None)
    before = state(model)
    with guard.frozen():
        first = model(x)
        with guard.frozen():
            model(2 * x)
        model(3 * x)
    assert same(state(model), before)
    assert torch.equal(model(x), first)
    assert norm == "batch, no statistics" or not same(state(model), before)


@pytest.mark.parametrize("given", [True, False])
def test_buffers_are_restored_after_an_error_and_the_hook_is_gone(given):
    model = nn.Sequential(Counter())

    def fail():
        with BufferGuard(model if given else None).frozen():
            model(torch.ones(1))
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert model[0].calls == 0
    model(torch.ones(1))
    assert model[0].calls == 1


def test_statistics_that_overflow_are_restored_too():
    model = nn.BatchNorm1d(2)
    with BufferGuard(model).frozen():
        model(torch.full((4, 2), torch.inf))
    assert torch.equal(model.running_mean, torch.zeros(2))
    assert model.num_batches_tracked == 0


def test_the_mode_of_the_modules_stays_as_it_is():
    model = nn.BatchNorm1d(2).train()
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0)) * 5
    with BufferGuard(model).frozen():
        assert torch.allclose(model(x).mean(0), torch.zeros(2), atol=1e-5)
        assert model.training


def test_every_pass_draws_the_same_numbers_and_the_stream_advances_once():
    torch.manual_seed(3)
    expected = torch.rand(4)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    replay = RngReplay(torch.device("cpu"))
    for whole in (True, False, True):
        with replay.replay(whole=whole):
            assert torch.equal(torch.rand(4 if whole else 2), expected[: 4 if whole else 2])
    assert torch.equal(torch.get_rng_state(), after)


def test_a_pass_over_a_part_leaves_the_stream_where_the_whole_pass_left_it():
    torch.manual_seed(3)
    torch.rand(4)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    replay = RngReplay(torch.device("cpu"))
    with replay.replay():
        torch.rand(4)
    with replay.replay(whole=False):
        torch.rand(1)
    assert torch.equal(torch.get_rng_state(), after)
