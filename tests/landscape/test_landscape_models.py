"""Slices through several models, and along given directions: quadratics and hand computations."""

from __future__ import annotations

import copy
import csv
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from robustbench_zosam.errors import DamagedFileWarning, InputError
from robustbench_zosam.flatness import top_eigenvalues
from robustbench_zosam.landscape import (
    Grid,
    RowFile,
    between,
    eigen_span,
    export,
    line,
    plane,
    quadratic,
    three_models,
    trajectory,
)
from robustbench_zosam.landscape.maps import barrier
from robustbench_zosam.landscape.states import weights_of


def shifted(model, amount, seed):
    """The model with noise on its parameters."""
    other, draw = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(amount * torch.randn(p.shape, generator=draw))
    return other


def own_loss(model, weights, images, labels):
    """Loss at these weights with batch norms recalibrated on the images."""
    moved = copy.deepcopy(model)
    moved.load_state_dict(weights, strict=False)
    for module in moved.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
            module.train()
    with torch.no_grad():
        moved(images)
        return F.cross_entropy(moved.eval()(images), labels).item()


class TestGivenDirections:
    def test_curvature_along_eigenvectors_is_the_eigenvalue(self, model, images, labels, masks):
        model.double()
        found = top_eigenvalues(model, images, labels, masks=masks, k=2, steps=60, tol=1e-8)
        result = line(
            model, images, labels, masks=masks, directions=found.vectors, span=1e-3, points=3
        )
        second = (result.losses[:, 0] - 2 * result.losses[:, 1] + result.losses[:, 2]) / 1e-6
        assert second.tolist() == pytest.approx(found.values, rel=1e-3)
        parabola = quadratic(found, result.positions, result.summary.centre)
        slope = (result.losses[:, 2] - result.losses[:, 0]) / 2e-3  # not quite a minimum
        line_part = slope[:, None] * result.positions
        assert np.allclose(result.losses, parabola + line_part, atol=1e-9)
        assert "given" in result.to_dict()["axis"]

    def test_they_are_masked_and_need_be_two_of_the_model(self, model, images, labels, masks):
        dense = {name: torch.ones_like(p) for name, p in model.named_parameters()}
        inside = {n: v * masks.get(n, torch.tensor(True)) for n, v in dense.items()}
        one, two = (
            plane(model, images, labels, masks=masks, points=3, span=0.1, directions=[d, d])
            for d in (dense, inside)
        )
        assert np.array_equal(one.losses, two.losses)
        with pytest.raises(InputError, match="directions are needed"):
            plane(model, images, labels, points=3, directions=[dense])
        with pytest.raises(InputError, match="nose"):
            line(model, images, labels, points=3, directions=[{"nose": torch.ones(1)}] * 2)

    def test_one_span_for_all_models(self, model, images, labels):
        found = [top_eigenvalues(m, images, labels, k=1) for m in (model, shifted(model, 0.3, 1))]
        steepest = max(one.values[0] for one in found)
        assert eigen_span(found, rise=2.0) == pytest.approx((4 / steepest) ** 0.5)
        with pytest.raises(InputError, match="give the span"):
            eigen_span([])


class TestBetween:
    def test_points_are_interpolated_and_recalibrated(self, model, images, labels):
        other = shifted(model, 0.2, 1)
        result = between(model, other, images, labels, points=5, margin=0.25)
        assert result.positions.tolist() == [-0.25, 0, 0.25, 0.5, 0.75, 1, 1.25]
        one, two = weights_of(model), weights_of(other)
        for t, loss in zip(result.positions, result.losses, strict=True):
            weights = {n: (1 - t) * one[n] + t * two[n] for n in one}
            assert loss == pytest.approx(own_loss(model, weights, images, labels), rel=1e-4)
        rises = [
            loss - (1 - t) * result.losses[1] - t * result.losses[5]
            for t, loss in zip(result.positions[1:6], result.losses[1:6], strict=True)
        ]
        assert result.barrier.value == pytest.approx(max(rises), abs=1e-9)
        assert result.mask_overlap is None

    def test_masks_their_overlap_and_a_fixed_one(self, model, images, labels):
        other = shifted(model, 0.2, 1)
        draw = torch.Generator().manual_seed(4)
        shape = model[0].weight.shape
        pair = tuple({"0.weight": torch.rand(shape, generator=draw) < 0.5} for _ in range(2))
        result = between(model, other, images, labels, masks=pair, points=3, margin=0)
        a, b = (m["0.weight"] for m in pair)
        assert result.mask_overlap == pytest.approx(((a & b).sum() / (a | b).sum()).item())
        assert result.sparsities[0] == pytest.approx(1 - a.double().mean().item())
        pruned = weights_of(other)
        pruned["0.weight"] = pruned["0.weight"] * b
        assert result.losses[-1] == pytest.approx(own_loss(model, pruned, images, labels), rel=1e-5)
        fixed = between(
            model, other, images, labels, masks=pair, points=3, margin=0, fixed_mask=True
        )
        pruned["0.weight"] = pruned["0.weight"] * a
        assert fixed.losses[-1] == pytest.approx(own_loss(model, pruned, images, labels), rel=1e-5)

    def test_models_are_bit_identical_afterwards(self, model, images, labels):
        other = shifted(model, 0.2, 1)
        before = [copy.deepcopy(m.state_dict()) for m in (model, other)]
        momenta = model[1].momentum
        between(model, other, images, labels, points=3)
        for state, m in zip(before, (model, other), strict=True):
            assert all(torch.equal(v, m.state_dict()[k]) for k, v in state.items())
        assert model[1].momentum == momenta
        assert not model.training

    def test_a_barrier_by_hand_and_its_error(self):
        t = np.array([-0.5, 0.0, 0.5, 1.0, 1.5])
        values = np.array([[9.0, 9.0], [1.0, 2.0], [4.0, 3.0], [3.0, 2.0], [9.0, 9.0]])
        found = barrier(t, values)
        assert (found.value, found.position) == (1.5, 0.5)
        assert found.se == pytest.approx(np.std([2.0, 1.0], ddof=1) / 2**0.5)
        assert barrier(t[1:4], np.array([[0.0], [-1.0], [0.0]])).value == 0
        assert barrier(t[1:4], np.array([[0.0], [-1.0], [0.0]])).se is None

    def test_other_architectures_are_refused(self, model, images, labels):
        other = copy.deepcopy(model)
        other[5] = nn.Linear(6, 3)
        with pytest.raises(InputError, match="only models of one architecture"):
            between(model, other, images, labels)


class Quadratic(nn.Module):
    """A loss of two weights whose contours are known: the logits' difference is a bowl."""

    def __init__(self, a, b):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([[a, b]]))

    def forward(self, x):
        bowl = (self.w**2).sum().expand(len(x))
        return torch.stack([-bowl, torch.zeros_like(bowl)], 1)


class TestPlanes:
    def test_the_models_lie_where_their_marks_are(self, images):
        labels = torch.zeros(len(images), dtype=torch.int64)
        points = {"one": (0.0, 0.0), "two": (2.0, 0.0), "three": (1.0, 1.0)}
        models = {name: Quadratic(*at) for name, at in points.items()}
        result = three_models(models, images, labels, grid=Grid(points=9, margin=0.5))
        places = {m.name: (m.x, m.y) for m in result.marks}
        assert places["one"] == pytest.approx((0, 0))
        assert places["two"] == pytest.approx((1, 0))
        assert places["three"] == pytest.approx((0.5, 0.5))
        assert result.unit_length == pytest.approx(2)
        assert max(m.off_plane for m in result.marks) < 1e-6
        x, y = np.meshgrid(result.x, result.y)
        expected = np.log1p(np.exp(4 * x**2 + 4 * y**2))
        assert np.allclose(result.losses, expected, rtol=1e-5)
        assert result.marks[1].loss == pytest.approx(np.log1p(np.exp(4.0)), rel=1e-5)

    def test_models_on_a_line_span_no_plane(self, images, labels):
        models = {str(a): Quadratic(a, 0.0) for a in (0.0, 1.0, 2.0)}
        with pytest.raises(InputError, match="one line"):
            three_models(models, images, labels % 2)
        with pytest.raises(InputError, match="three models"):
            three_models({"a": Quadratic(0.0, 0.0)}, images, labels % 2)

    def test_a_training_in_its_principal_plane(self, model, images, labels):
        states = {str(i): weights_of(shifted(model, 0.3 / (i + 1), i)) for i in range(4)}
        states["last"] = weights_of(model)
        result = trajectory(model, states, images, labels, grid=Grid(points=3))
        flat = torch.stack([
            torch.cat([v.flatten() for v in s.values()]) for s in states.values()
        ]).double()
        _, values, vectors = torch.linalg.svd(flat[:-1] - flat[-1], full_matrices=False)
        shares = (values**2 / (values**2).sum()).tolist()
        assert result.explained == pytest.approx(tuple(shares[:2]), rel=1e-4)
        assert result.marks[-1].x == pytest.approx(0, abs=1e-6)
        projected = (flat[0] - flat[-1]) @ vectors[:2].T
        assert abs(result.marks[0].x) == pytest.approx(projected[0].abs().item(), rel=1e-3)
        assert abs(result.marks[0].y) == pytest.approx(projected[1].abs().item(), rel=1e-3)
        for mark in result.marks:
            assert mark.loss == pytest.approx(
                own_loss(model, states[mark.name], images, labels), rel=1e-4
            )
        assert result.to_dict()["caveat"]

    def test_interrupted_maps_go_on(self, images, labels, tmp_path):
        models = {
            n: Quadratic(*at) for n, at in {"a": (0, 0.1), "b": (1, 0.0), "c": (0, 1.0)}.items()
        }
        whole = three_models(models, images, labels % 2, grid=Grid(points=5))
        rows = RowFile(tmp_path / "rows.npz", "key")
        assert rows.finished is None

        class StopError(Exception):
            pass

        def stop(done, total):
            if done == 12:
                raise StopError

        with pytest.raises(StopError):
            three_models(
                models, images, labels % 2, grid=Grid(points=5, on_row=rows.add, progress=stop)
            )
        again = RowFile(tmp_path / "rows.npz", "key")
        assert len(again.finished) == 2
        assert RowFile(tmp_path / "rows.npz", "other key").finished is None
        rest = three_models(
            models,
            images,
            labels % 2,
            grid=Grid(points=5, on_row=again.add, finished=again.finished),
        )
        assert np.array_equal(rest.losses, whole.losses)
        again.remove()
        assert not (tmp_path / "rows.npz").exists()
        (tmp_path / "rows.npz").write_bytes(b"half")
        with pytest.warns(DamagedFileWarning, match="rows"):
            assert RowFile(tmp_path / "rows.npz", "key").finished is None


def test_exports_hold_the_same_numbers(model, images, labels, tmp_path):
    result = line(model, images, labels, points=3, seeds=2)
    arrays, table = export(result, tmp_path / "model.v1")
    assert (arrays.name, table.name) == ("model.v1.npz", "model.v1.csv")
    with np.load(arrays) as stored:
        assert np.array_equal(stored["losses"], result.losses)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [float(row["loss"]) for row in rows] == result.losses.ravel().tolist()
    band = result.to_dict()["band"]
    assert band["low"] == result.losses.min(0).tolist()


def test_results_are_strict_json(model, images, labels):
    other = shifted(model, 0.2, 1)
    with torch.no_grad():
        other[5].weight.fill_(float("nan"))
    written = json.dumps(between(model, other, images, labels, points=3).to_dict(), allow_nan=False)
    assert json.loads(written)["losses"][-1] is None
