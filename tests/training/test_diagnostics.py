"""Diagnostics against closed forms; and they change nothing."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from robustbench_zosam.config import ModelConfig, TrainingConfig
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.models import build_model
from robustbench_zosam.optim import SAM, GuidedZOSAM, Plain, create_optimizer
from robustbench_zosam.sparsity import create_masker
from robustbench_zosam.training import Batches, InterruptedTrainingError, TrainingSetup, train
from robustbench_zosam.training.diagnostics import is_due, measure, observe, time_to, untouched
from robustbench_zosam.training.recalibrate import recalibrate

PLAIN = TrainingConfig(epochs=2, batch_size=16, lr=0.05)
DIAGNOSED = PLAIN.model_copy(update={"diagnostics": True})


def make_setup(data: Dataset, name: str) -> TrainingSetup:
    model = build_model(ModelConfig(width=0.25), 3, *data.channel_statistics())
    feed = Batches(
        data.train, batch_size=16, seed=0, device=torch.device("cpu"), augment=True, flip=True
    )
    masker = create_masker("rigl", model, sparsity=0.7, total_steps=12, interval=3)
    optimizer = create_optimizer(name, model, masker=masker, lr=0.05, steps_per_epoch=6)
    return TrainingSetup(model, masker, optimizer, feed, data.validation)


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    times = {"seconds", "images_per_second", "peak_memory_bytes", "time_to"}

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if k not in times}
        return [strip(v) for v in value] if isinstance(value, list) else value

    return strip(record)


@pytest.mark.parametrize("name", ["adamw", "zo-sam-guided", "zo-sgd", "looksam"])
def test_diagnostics_leave_the_training_bit_for_bit_as_it_is(
    stripes: Dataset, tmp_path: Path, name: str
):
    subjects = make_setup(stripes, name), make_setup(stripes, name)
    records = [
        train(subject, config, resume_file=tmp_path / "resume")
        for subject, config in zip(subjects, (PLAIN, DIAGNOSED), strict=True)
    ]
    one, other = (subject.model.state_dict() for subject in subjects)
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert subjects[0].masker.events == subjects[1].masker.events
    plain, diagnosed = (without_times(record) for record in records)
    found = diagnosed.pop("diagnostics")
    assert plain.pop("diagnostics").items() <= found.items()
    assert plain == diagnosed
    assert [row["epoch"] for row in found["gradients"]] == [1, 2]
    for row in found["gradients"]:
        assert row["variance"] > 0
        assert (row["cosine"] is None) == (row["displacement"] == 0)
        assert row["backwards"] >= 8  # the clean ones


def test_a_resumed_run_has_the_diagnostics_of_an_uninterrupted_one(
    stripes: Dataset, tmp_path: Path
):
    whole = train(make_setup(stripes, "zo-sam-guided"), DIAGNOSED, resume_file=tmp_path / "a")
    for stop_after in (4, 3):
        countdown = iter(range(stop_after - 1, -1, -1))
        with pytest.raises(InterruptedTrainingError):
            train(
                make_setup(stripes, "zo-sam-guided"),
                DIAGNOSED,
                resume_file=tmp_path / "b",
                should_stop=lambda left=countdown: next(left) == 0,
            )
    resumed = train(make_setup(stripes, "zo-sam-guided"), DIAGNOSED, resume_file=tmp_path / "b")
    assert without_times(whole) == without_times(resumed)


class Quadratic(nn.Module):
    """Losses w'Aw/2 + b_k'w, one for each mini-batch k: gradients Aw + b_k."""

    def __init__(self, size: int = 5, count: int = 6) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        root = torch.randn(size, size, generator=generator, dtype=torch.float64)
        self.matrix = root @ root.T / size
        self.shifts = torch.randn(count, size, generator=generator, dtype=torch.float64)
        self.weight = nn.Parameter(torch.randn(size, generator=generator, dtype=torch.float64))

    def gradients(self, at: torch.Tensor) -> torch.Tensor:
        return at @ self.matrix + self.shifts

    def closures(self) -> list[Any]:
        def build(shift: torch.Tensor) -> Any:
            def closure(backward: bool = True) -> torch.Tensor:
                loss = self.weight @ self.matrix @ self.weight / 2 + shift @ self.weight
                if backward:
                    loss.backward()
                return loss

            return closure

        return [build(shift) for shift in self.shifts]


def scatter(vectors: torch.Tensor) -> float:
    return float(vectors.var(dim=0).sum())  # divides by one less than their number


def test_variances_follow_their_definition():
    problem = Quadratic()
    clean = problem.gradients(problem.weight.detach())
    found = measure(SAM([problem.weight], lr=0.1, rho=0.3), problem, problem.closures())
    moved = 0.3 * clean / clean.norm(dim=1, keepdim=True)
    assert found["clean_variance"] == pytest.approx(scatter(problem.shifts))
    assert found["variance"] == pytest.approx(scatter(clean + moved @ problem.matrix))
    square = float(clean.mean(dim=0).square().sum()) - scatter(clean) / 6
    assert found["clean_square"] == pytest.approx(square)
    assert found["cosine"] == pytest.approx(1)
    assert found["displacement"] == pytest.approx(0.3)
    assert (found["forwards"], found["backwards"]) == (18, 18)


def test_gradients_and_displacements_are_those_of_the_active_weights():
    problem = Quadratic()
    mask = torch.tensor([True, False, True, True, False])
    optimizer = SAM([problem.weight], lr=0.1, rho=0.3, mask={problem.weight: mask})
    seen = observe(optimizer, problem, problem.closures()[0])
    clean = problem.gradients(problem.weight.detach())[0] * mask
    assert torch.allclose(seen.clean, clean)
    assert torch.allclose(seen.displacement, 0.3 * clean / clean.norm())
    assert not seen.used[~mask].any()
    assert float(seen.cosine) == pytest.approx(1)


def test_a_method_that_does_not_perturb_has_no_cosine():
    problem = Quadratic()
    found = measure(Plain([problem.weight], lr=0.1), problem, problem.closures())
    assert found["cosine"] is None
    assert found["displacement"] == 0
    assert found["variance"] == pytest.approx(found["clean_variance"])


def test_each_batch_meets_the_memory_of_the_step_before():
    problem = Quadratic()
    closures = problem.closures()
    optimizer = GuidedZOSAM([problem.weight], lr=0.1, rho=1e-4)
    optimizer.step(closures[0])
    last = problem.weight.grad.clone()
    clean = problem.gradients(problem.weight.detach())
    expected = torch.nn.functional.cosine_similarity(clean, last[None], dim=1).abs().mean()
    found = measure(optimizer, problem, closures)
    assert found["cosine"] == pytest.approx(float(expected), abs=1e-6)


def test_what_is_touched_inside_is_put_back_even_after_an_error():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).eval()
    optimizer = create_optimizer("zo-sam-guided", model, lr=0.1)

    def closure(backward: bool = True) -> torch.Tensor:
        model.train()
        loss = model(torch.rand(8, 3)).square().mean()
        if backward:
            loss.backward()
        return loss

    optimizer.step(closure)
    model.eval()
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict(), torch.get_rng_state()))

    def fail() -> None:
        with untouched(optimizer, model):
            for _ in range(2):
                optimizer.rehearse(closure)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    after = model.state_dict(), optimizer.state_dict(), torch.get_rng_state()
    assert all(torch.equal(before[0][key], after[0][key]) for key in before[0])
    assert before[1]["param_groups"] == after[1]["param_groups"]
    for index, state in before[1]["state"].items():
        later = after[1]["state"][index]
        assert all(torch.equal(value, later[key]) for key, value in state.items())
    assert torch.equal(before[2], after[2])
    assert not model.training


@given(st.integers(1, 500))
def test_about_ten_epochs_are_measured_and_the_last_is_one(epochs: int):
    due = [epoch for epoch in range(1, epochs + 1) if is_due(epoch, epochs)]
    assert due[-1] == epochs
    assert min(epochs, 6) <= len(due) <= 11


def test_the_first_epoch_at_a_target_is_found():
    history = [
        {"epoch": i + 1, "step": 10 * (i + 1), "seconds": i / 2, "validation_accuracy": value}
        for i, value in enumerate((0.3, 0.8, 0.7, 0.9))
    ]
    assert time_to(history, 0.75) == {"target": 0.75, "epoch": 2, "step": 20, "seconds": 0.5}
    assert time_to(history, 0.95) == {"target": 0.95, "epoch": None, "step": None, "seconds": None}
    assert time_to([], 0.5)["epoch"] is None


def test_recalibrated_statistics_are_means_over_the_batches(stripes: Dataset, tmp_path: Path):
    subject = make_setup(stripes, "sgd")
    config = PLAIN.model_copy(update={"recalibrate": True})
    twin = make_setup(stripes, "sgd")
    record = train(subject, config, resume_file=tmp_path / "resume")
    train(twin, config.model_copy(update={"recalibrate": False}), resume_file=tmp_path / "resume")
    first = next(m for m in twin.model.modules() if isinstance(m, nn.BatchNorm2d))
    inputs: list[torch.Tensor] = []
    first.register_forward_pre_hook(lambda _, given: inputs.append(given[0].detach()))
    twin.model.train()
    for step in range(12, 18):
        twin.model(twin.batches[step][0])
    means = torch.stack([x.mean(dim=(0, 2, 3)) for x in inputs]).mean(dim=0)
    found = next(m for m in subject.model.modules() if isinstance(m, nn.BatchNorm2d))
    assert torch.allclose(found.running_mean, means, atol=1e-5)
    assert found.momentum == first.momentum
    assert record["recalibrated"] == sum(
        isinstance(m, nn.BatchNorm2d) for m in subject.model.modules()
    )
    weights = dict(subject.model.named_parameters())
    assert all(torch.equal(weights[key], p) for key, p in twin.model.named_parameters())


def test_a_model_without_batch_norm_is_left_alone(stripes: Dataset):
    assert recalibrate(nn.Linear(2, 2), make_setup(stripes, "sgd").batches, 0) == 0


def test_variances_are_finite_numbers_or_absent():
    problem = Quadratic()

    def broken(backward: bool = True) -> torch.Tensor:
        loss = problem.weight.sum() * math.nan
        if backward:
            loss.backward()
        return loss

    found = measure(Plain([problem.weight], lr=0.1), problem, [broken, broken])
    assert found["variance"] is None
