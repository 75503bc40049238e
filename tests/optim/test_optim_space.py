"""Parameters as one vector."""

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.directions import DISTRIBUTIONS, draw_direction, scale_to
from robustbench_zosam.optim.space import ParameterSpace


def parameters():
    return [
        nn.Parameter(torch.tensor([[1.0, -0.0], [torch.nan, 2e-40]])),
        nn.Parameter(torch.tensor([3.0, torch.inf], dtype=torch.bfloat16)),
        nn.Parameter(torch.randn(2, 3, 2, 2).to(memory_format=torch.channels_last)),
    ]


def bits(params):
    integers = {4: torch.int32, 2: torch.int16}
    return [p.detach().clone().contiguous().view(integers[p.element_size()]) for p in params]


@torch.no_grad()
def test_an_excursion_ends_bit_by_bit_where_it_began():
    params = parameters()
    before = bits(params)
    space = ParameterSpace(params)
    direction = torch.linspace(-1, 1, space.dimension)
    with space.excursion():
        space.displace(direction, 0.1)
        space.displace(direction, 1e8)
        assert not all(torch.equal(a, b) for a, b in zip(bits(params), before, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(bits(params), before, strict=True))


@torch.no_grad()
def test_an_excursion_that_fails_ends_there_too():
    params = parameters()
    before = bits(params)
    space = ParameterSpace(params)

    def fail():
        with space.excursion():
            space.displace(torch.ones(space.dimension))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert all(torch.equal(a, b) for a, b in zip(bits(params), before, strict=True))


@torch.no_grad()
def test_displacements_start_from_where_the_excursion_began():
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    space = ParameterSpace([weight])
    with space.excursion():
        space.displace(torch.tensor([1.0, 0.0]), 0.5)
        space.displace(torch.tensor([0.0, 1.0]), -2.0)
        assert weight.tolist() == [1.0, 0.0]


def test_views_follow_the_logical_order_of_every_layout():
    params = parameters()
    space = ParameterSpace(params)
    vector = torch.arange(space.dimension, dtype=torch.float32)
    assert [view.shape for view in space.views(vector)] == [p.shape for p in params]
    assert all(
        torch.equal(space.view_of(vector, p), v)
        for p, v in zip(params, space.views(vector), strict=True)
    )
    params[2].grad = torch.arange(24.0).view(2, 3, 2, 2).to(memory_format=torch.channels_last)
    gathered = space.gather_gradients()
    assert torch.equal(gathered, torch.cat([torch.zeros(6), torch.arange(24.0)]))


def test_the_vector_is_as_precise_as_the_most_precise_parameter():
    half = nn.Parameter(torch.zeros(2, dtype=torch.bfloat16))
    assert ParameterSpace([half]).dtype == torch.float32
    assert ParameterSpace([half, nn.Parameter(torch.zeros(1).double())]).dtype == torch.float64


def test_the_support_is_what_is_trainable_and_active():
    frozen = nn.Parameter(torch.zeros(2), requires_grad=False)
    masked, free = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(1))
    mask = torch.tensor([True, False, True])
    space = ParameterSpace([frozen, masked, free])
    support = space.support(lambda p: mask if p is masked else None)
    assert support.tolist() == [False, False, True, False, True, True]
    assert ParameterSpace([free]).support(lambda _: None) is None


def test_parameters_that_cannot_share_a_norm_are_refused():
    with pytest.raises(InputError, match=r"type torch\.complex64"):
        ParameterSpace([nn.Parameter(torch.zeros(2, dtype=torch.complex64))])
    with pytest.raises(InputError, match="are on cpu, meta"):
        ParameterSpace([nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2, device="meta"))])


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_directions_are_functions_of_their_key(distribution):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    drawn = [
        draw_direction(torch.zeros(100), distribution, key)
        for key in ((0, 0, 0), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    ]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn[0], drawn[1])
    assert len({tuple(direction.tolist()) for direction in drawn}) == 4


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_directions_have_mean_zero_unit_variance_and_stay_on_their_support(distribution):
    # 40 000 entries: |mean| < 4 standard errors, false alarm 6e-5; variance within 4 of Gaussian's
    support = torch.arange(80_000) % 2 == 0
    direction = draw_direction(torch.zeros(80_000), distribution, (0, 0, 0), support)
    assert not direction[~support].any()
    active = direction[support]
    assert abs(active.mean().item()) < 4 / 200
    assert active.square().mean().item() == pytest.approx(1, abs=4 * (2 / 40_000) ** 0.5)
    if distribution == "rademacher":
        assert set(active.tolist()) == {-1.0, 1.0}
    if distribution == "sphere":
        assert direction.norm().item() == pytest.approx(200, rel=1e-5)


def test_scaling_reaches_the_radius_and_leaves_zero_alone():
    assert scale_to(torch.tensor([3.0, 4.0]), 0.5).norm().item() == pytest.approx(0.5)
    assert scale_to(torch.tensor([3e-15, 4e-15]), 0.5).norm().item() == pytest.approx(0.5)
    assert scale_to(torch.zeros(2), 0.5).tolist() == [0, 0]
