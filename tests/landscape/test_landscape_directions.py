"""Random directions and their scales."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robustbench_zosam.errors import InputError
from robustbench_zosam.landscape import cosine, random_direction


def weights(model):
    return {n: p for n, p in model.named_parameters() if p.ndim >= 2}


class TestDirections:
    @settings(max_examples=25, deadline=None)
    @given(density=st.floats(0, 1), seed=st.integers(0, 50))
    def test_filters_get_the_norm_of_the_active_weights(self, density, seed):
        draw = torch.Generator().manual_seed(seed)
        weight = torch.randn(5, 3, 2, 2, generator=draw)
        mask = torch.rand(weight.shape, generator=draw) < density
        found = random_direction({"w": weight}, {"w": mask}, seed=seed)["w"]
        assert (found[~mask] == 0).all()
        own = found.flatten(1).norm(dim=1)
        assert torch.allclose(own, (weight * mask).flatten(1).norm(dim=1), rtol=1e-5)

    def test_vectors_do_not_move_and_pruned_filters_are_zero(self, model, masks):
        masks["0.weight"][2] = False
        found = random_direction(dict(model.named_parameters()), masks)
        assert all((found[n] == 0).all() for n, p in model.named_parameters() if p.ndim < 2)
        assert (found["0.weight"][2] == 0).all()
        assert all(value.isfinite().all() for value in found.values())

    def test_noise_is_shared_by_models_and_independent_of_masks(self, model, masks):
        other = copy.deepcopy(model)
        with torch.no_grad():
            other[0].weight.mul_(3)
        plain = random_direction(weights(model), {}, norm="none")
        sparse = random_direction(weights(other), masks, norm="none")
        for name, mask in masks.items():
            assert torch.equal(sparse[name], plain[name] * mask)
        again = random_direction(dict(reversed(weights(model).items())), {}, norm="none")
        assert all(torch.equal(again[n], plain[n]) for n in plain)

    def test_directions_differ_by_seed_and_index(self, model):
        theta = weights(model)
        base = random_direction(theta, {})
        for other in ({"seed": 1}, {"index": 1}):
            assert abs(cosine(base, random_direction(theta, {}, **other))) < 0.4
        assert cosine(base, base) == pytest.approx(1)

    def test_gaussian_not_positive(self):
        noise = random_direction({"w": torch.ones(100, 100)}, {}, norm="none")["w"]
        assert abs(noise.mean().item()) < 4 / 100  # 4 standard errors: false alarm below 7e-5
        assert noise.std().item() == pytest.approx(1, abs=0.03)

    def test_layer_and_adaptive_norms(self, model, masks):
        theta = weights(model)
        layer = random_direction(theta, masks, norm="layer")
        adaptive = random_direction(theta, masks, norm="adaptive")
        plain = random_direction(theta, masks, norm="none")
        for name, weight in theta.items():
            active = (weight * masks[name]).detach()
            assert layer[name].norm() == pytest.approx(active.norm().item(), rel=1e-5)
            assert torch.allclose(adaptive[name], plain[name] * active.abs())

    def test_an_unknown_norm_is_named(self, model):
        with pytest.raises(InputError, match="norm must be one of"):
            random_direction(weights(model), {}, norm="l7")

    def test_cosine_with_nothing_is_zero(self):
        assert cosine({"w": torch.zeros(2)}, {"w": torch.ones(2)}) == 0
