"""What every slice promises: nothing left behind, resumable, clear errors, strict results."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.landscape import line, plane
from robustbench_zosam.landscape.surface import assert_centre


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
