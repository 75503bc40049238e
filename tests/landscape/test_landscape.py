"""Slices of the loss: directions, grids, summaries and what they leave behind."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.landscape import cosine, line, plane, random_direction
from robustbench_zosam.landscape.summary import summarise_lines, summarise_plane
from robustbench_zosam.landscape.surface import assert_centre


@pytest.fixture
def model():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.AvgPool2d(6),
        nn.Flatten(), nn.Linear(6, 4),
    )  # fmt: skip
    net[1].running_mean.normal_()
    net[1].running_var.uniform_(0.5, 1.5)
    return net.eval()


@pytest.fixture
def images():
    return torch.rand(10, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def labels():
    return torch.arange(10) % 4


@pytest.fixture
def masks(model):
    draw = torch.Generator().manual_seed(2)
    return {n: torch.rand(p.shape, generator=draw) < 0.4 for n, p in weights(model).items()}


def weights(model):
    return {n: p for n, p in model.named_parameters() if p.ndim >= 2}


def state(model):
    return [
        *((p.data_ptr(), p.detach().clone(), p.requires_grad, p.grad) for p in model.parameters()),
        *(b.clone() for b in model.buffers()),
        *(m.training for m in model.modules()),
        torch.get_rng_state(),
    ]


def same(one, two):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


class Quadratic(nn.Module):
    """Two classes whose cross-entropy for label 0 is 0.5 |w|^2, so that the slice is a bowl."""

    def __init__(self, size=6):
        super().__init__()
        self.weight = nn.Parameter(torch.full((2, size), 0.0, dtype=torch.float64))
        self.register_buffer("centre", torch.arange(2.0 * size, dtype=torch.float64).view(2, size))

    def forward(self, x):
        value = 0.5 * (self.weight - self.centre).square().sum() + 0.1
        wanted = torch.log(torch.expm1(value))  # softplus(-z) = value for z = -wanted
        return torch.stack([-wanted, torch.zeros_like(wanted)]).expand(len(x), 2)


def bowl():
    net = Quadratic()
    with torch.no_grad():
        net.weight.copy_(net.centre)
    net.weight.requires_grad_(True)
    return net


BOWL = (torch.rand(3, 1, dtype=torch.float64), torch.zeros(3, dtype=torch.int64))


class TestQuadraticBowl:
    def test_the_grid_is_the_bowl_itself(self):
        net = bowl()
        found = plane(net, *BOWL, points=9, span=0.5)
        d1, d2 = (random_direction(weights(net), {}, index=i)["weight"] for i in (0, 1))
        for i, b in enumerate(found.positions):
            for j, a in enumerate(found.positions):
                expected = 0.1 + 0.5 * (a * d1 + b * d2).square().sum().item()
                assert found.losses[i, j] == pytest.approx(expected, rel=1e-9)

    def test_minimum_in_the_middle_and_point_symmetry(self):
        found = plane(bowl(), *BOWL, points=9, span=0.5).losses
        assert np.unravel_index(found.argmin(), found.shape) == (4, 4)
        assert found == pytest.approx(found[::-1, ::-1], rel=1e-9)

    def test_rows_are_aligned_and_axes_exchange(self, monkeypatch):
        # equal orthogonal directions: the grid is symmetric, which a zig-zag walk would break
        one = torch.zeros(2, 6, dtype=torch.float64)
        one[0, 0] = 1.0
        directions = [{"weight": one}, {"weight": one.flip(0)}]
        monkeypatch.setattr("robustbench_zosam.landscape.slices._directions", lambda *_: directions)
        found = plane(bowl(), *BOWL, points=9)
        assert found.losses == pytest.approx(found.losses.T, rel=1e-12)
        assert (found.losses.argmin(1) == 4).all()
        assert (found.losses.argmin(0) == 4).all()
        assert found.cosine == 0

    def test_summary_of_the_bowl(self):
        net = bowl()
        found = line(net, *BOWL, points=201, seeds=1, span=1)
        curvature = random_direction(weights(net), {}, index=0)["weight"].square().sum().item()
        assert found.summary.centre == pytest.approx(0.1)
        assert found.summary.rise[0.5] == pytest.approx(0.125 * curvature, rel=1e-6)
        assert found.summary.half_width == pytest.approx(1 / math.sqrt(curvature), rel=1e-2)
        assert found.summary.negative_curvature == 0
        assert (found.summary.censored, found.summary.rays) == (0, 2)


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


class TestValues:
    def test_line_equals_evaluating_displaced_copies(self, model, images, labels, masks):
        found = line(model, images, labels, masks=masks, points=5, seeds=2, seed=3, chunk=4)
        for index in range(2):
            step = random_direction(weights(model), masks, seed=3, index=index)
            for j, a in enumerate(found.positions):
                moved = copy.deepcopy(model)
                with torch.no_grad():
                    for name, delta in step.items():
                        moved.get_parameter(name).add_(delta, alpha=a)
                    logits = moved(images)
                loss = nn.functional.cross_entropy(logits, labels).item()
                accuracy = (logits.argmax(1) == labels).double().mean().item()
                assert found.losses[index, j] == pytest.approx(loss, rel=1e-5)
                assert found.accuracies[index, j] == pytest.approx(accuracy)

    def test_the_axes_of_the_plane_are_those_of_the_lines(self, model, images, labels):
        lines = line(model, images, labels, points=5, seeds=2)
        found = plane(model, images, labels, points=5)
        assert found.losses[2] == pytest.approx(lines.losses[0], rel=1e-6)
        assert found.losses[:, 2] == pytest.approx(lines.losses[1], rel=1e-6)

    def test_chunk_size_does_not_matter(self, model, images, labels):
        one, two = (plane(model, images, labels, points=3, chunk=c) for c in (3, 64))
        assert one.losses == pytest.approx(two.losses, rel=1e-6)
        assert (one.accuracies == two.accuracies).all()

    def test_pruned_weights_stay(self, model, images, labels, masks):
        seen = []
        pruned = ~masks["0.weight"]
        model[0].register_forward_pre_hook(lambda m, _: seen.append(m.weight[pruned].clone()))
        line(model, images, labels, masks=masks, points=5, seeds=1)
        assert len(seen) == 6
        assert all(torch.equal(values, seen[0]) for values in seen)

    def test_rescaling_before_a_batch_norm_changes_nothing(self, model, images, labels):
        before = line(model, images, labels, points=5, seeds=2)
        with torch.no_grad():
            model[0].weight.mul_(2)
            model[0].bias.mul_(2)
            model[1].running_mean.mul_(2)
            model[1].running_var.mul_(4)
        after = line(model, images, labels, points=5, seeds=2)
        assert after.losses == pytest.approx(before.losses, rel=1e-4)

    def test_a_model_in_training_mode_uses_running_statistics(self, model, images, labels):
        expected = line(model, images, labels, points=3, seeds=1)
        found = line(model.train(), images, labels, points=3, seeds=1)
        assert (found.losses == expected.losses).all()
        assert model.training


class TestPromises:
    @pytest.mark.parametrize("slice_", [line, plane])
    def test_the_model_is_bit_identical_afterwards(self, model, images, labels, masks, slice_):
        model[1].train()
        model[5].bias.requires_grad_(False)
        before = state(model)
        slice_(model, images, labels, masks=masks, points=3)
        assert same(before, state(model))
        model.train()(images).sum().backward()  # and still trainable

    @pytest.mark.parametrize("slice_", [line, plane])
    def test_also_when_the_loop_raises(self, model, images, labels, slice_):
        def stop(done, total):
            if done == 5:
                raise KeyboardInterrupt

        before = state(model)
        with pytest.raises(KeyboardInterrupt):
            slice_(model, images, labels, points=3, progress=stop)
        assert same(before, state(model))

    def test_resuming_gives_the_uninterrupted_result(self, model, images, labels):
        rows, calls = {}, []
        whole = plane(model, images, labels, points=5, on_row=rows.__setitem__)
        kept = np.stack([rows[0], rows[1]])
        resumed = plane(
            model, images, labels, points=5, finished=kept,
            progress=lambda *now: calls.append(now),
        )  # fmt: skip
        assert (resumed.losses == whole.losses).all()
        assert (resumed.accuracies == whole.accuracies).all()
        assert sorted(rows) == [0, 1, 2, 3, 4]
        assert (calls[0], calls[-1], len(calls)) == ((11, 25), (25, 25), 15)

    def test_a_complete_grid_needs_no_evaluation(self, model, images, labels):
        rows = []
        whole = plane(model, images, labels, points=3, on_row=lambda _, row: rows.append(row))
        again = plane(model, images, labels, points=3, finished=np.stack(rows))
        assert (again.losses == whole.losses).all()

    def test_rows_of_another_model_are_caught_at_the_centre(self, model, images, labels):
        with pytest.raises(AssertionError, match="centre"):
            plane(model, images, labels, points=3, finished=np.ones((3, 2, 3)))

    def test_the_centre_is_checked(self):
        assert_centre(math.nan, math.nan)
        assert_centre(1.0, 1.0 + 1e-6)
        for pair in ((1.0, 1.001), (math.inf, 1.0), (1.0, math.nan)):
            with pytest.raises(AssertionError, match="centre"):
                assert_centre(*pair)

    def test_results_are_strict_json_and_tidy(self, model, images, labels):
        lines = line(model, images, labels, points=3, seeds=2)
        grid = plane(model, images, labels, points=3)
        for found in (lines, grid):
            facts = json.loads(json.dumps(found.to_dict(), allow_nan=False))
            assert facts["losses"] == found.losses.tolist()
            assert facts["n"] == 10
            assert facts["nonfinite"] == 0
            assert len({len(column) for column in found.columns().values()}) == 1
            assert set(found.arrays()) == {"positions", "losses", "accuracies"}
        table = grid.columns()
        row = next(i for i in range(9) if (table["first"][i], table["second"][i]) == (1, 0))
        assert table["loss"][row] == grid.losses[1, 2]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"points": 4}, "odd"),
            ({"points": 1}, "at least 3"),
            ({"span": 0.0}, "span"),
            ({"span": math.inf}, "span"),
            ({"seeds": 0}, "seeds"),
            ({"norm": "l7"}, "norm"),
            ({"chunk": 0}, "chunk"),
            ({"masks": {"nose": torch.ones(1, dtype=torch.bool)}}, "no parameter"),
        ],
    )
    def test_wrong_arguments_are_named(self, model, images, labels, options, message):
        with pytest.raises(InputError, match=message):
            line(model, images, labels, **options)

    def test_wrong_rows_and_models_are_named(self, model, images, labels):
        with pytest.raises(InputError, match="finished must have shape"):
            plane(model, images, labels, points=3, finished=np.zeros((1, 2, 5)))
        with pytest.raises(InputError, match="dimension 2"):
            line(nn.Sequential(nn.BatchNorm2d(3), nn.Flatten()), images, labels)
        batch = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), model)
        with pytest.raises(InputError, match="running statistics"):
            line(batch, images, labels)


class TestDivergence:
    def test_cells_that_diverge_stay_raw_and_are_counted(self, model, images, labels):
        with torch.no_grad():
            model[5].weight.mul_(1e38)
        found = line(model, images, labels, points=5, span=4, seeds=2)
        assert found.nonfinite > 0
        facts = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert facts["nonfinite"] == sum(x is None for row in facts["losses"] for x in row)
        assert facts["summary"]["rise"]["1.0"] is None or found.nonfinite < 10

    def test_a_model_that_is_nan_at_its_weights(self, model, images, labels):
        with torch.no_grad():
            model[5].bias[0] = math.nan
        found = plane(model, images, labels, points=3)
        assert found.nonfinite == 9
        facts = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert facts["summary"]["centre"] is None
        assert facts["summary"]["negative_curvature"] is None

    def test_a_constant_model_and_one_class(self, model, images, labels):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()  # every filter has norm 0
        found = plane(model, images, torch.zeros_like(labels), points=3)
        assert found.losses == pytest.approx(math.log(4))
        assert found.summary.half_width == 1
        assert found.summary.censored == found.summary.rays
        assert found.summary.negative_curvature == 0


class TestSummaries:
    grid = np.linspace(-1, 1, 21)

    def test_plane_of_a_round_bowl(self):
        x, y = np.meshgrid(self.grid, self.grid)
        found = summarise_plane(self.grid, 2 + 3 * (x**2 + y**2))
        assert found.centre == 2
        # linear interpolation reads a convex function high, by up to h^2 / 8 * (6 + 6)
        assert found.rise == pytest.approx({0.25: 0.1875, 0.5: 0.75, 1.0: 3.0}, abs=0.02)
        assert found.half_width == pytest.approx(math.sqrt(0.5 / 3), rel=0.02)
        assert found.negative_curvature == 0
        assert found.censored == 0

    def test_saddles_curve_downwards_everywhere(self):
        x, y = np.meshgrid(self.grid, self.grid)
        assert summarise_plane(self.grid, x * y).negative_curvature == 1
        assert summarise_plane(self.grid, x**2 - y**2).negative_curvature == 1

    def test_an_absolute_value_is_read_exactly(self):
        found = summarise_lines(self.grid, np.abs(self.grid)[None] * 2)
        assert found.half_width == pytest.approx(0.25)
        assert found.rise == pytest.approx({0.25: 0.5, 0.5: 1.0, 1.0: 2.0})

    def test_sides_count_separately(self):
        loss = np.where(self.grid > 0, 10 * self.grid, 0)[None]
        found = summarise_lines(self.grid, loss)
        assert (found.censored, found.rays) == (1, 2)
        assert found.half_width == pytest.approx((0.05 + 1) / 2)

    def test_radii_outside_the_slice_are_left_out(self):
        found = summarise_lines(self.grid / 2, self.grid[None] ** 2)
        assert list(found.rise) == [0.25, 0.5]

    def test_a_ray_that_diverges_ends_before(self):
        loss = np.zeros((1, 21))
        loss[0, 15:] = np.inf
        loss[0, 20] = np.nan
        found = summarise_lines(self.grid, loss)
        assert found.half_width == pytest.approx((0.4 + 1) / 2)
        assert not math.isfinite(found.rise[1.0])
        assert found.rise[0.25] == 0
