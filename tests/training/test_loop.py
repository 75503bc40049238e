from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from robustbench_zosam.config import ModelConfig, TrainingConfig
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.models import build_model
from robustbench_zosam.optim import create_optimizer
from robustbench_zosam.sparsity import create_masker
from robustbench_zosam.training import Batches, InterruptedTrainingError, TrainingSetup, train
from robustbench_zosam.training.average import Average
from robustbench_zosam.training.setup import train_step

CONFIG = TrainingConfig(epochs=4, batch_size=16, lr=0.05)


def make_setup(data: Dataset, optimizer: str = "zo-sam", sparsifier: str = "rigl") -> TrainingSetup:
    model = build_model(ModelConfig(width=0.25), 3, *data.channel_statistics())
    feed = Batches(
        data.train, batch_size=16, seed=0, device=torch.device("cpu"), augment=True, flip=True
    )
    options = {"rigl": {"interval": 5}, "lth": {"prunings": 2, "rewind": 0.1}}.get(sparsifier, {})
    sparsity = 0.0 if sparsifier == "dense" else 0.7
    masker = create_masker(sparsifier, model, sparsity=sparsity, total_steps=24, **options)
    return TrainingSetup(
        model, masker, create_optimizer(optimizer, model, masker=masker, lr=0.05), feed,
        data.validation,
    )  # fmt: skip


def run(subject: TrainingSetup, folder: Path, **options: Any) -> dict[str, Any]:
    return train(subject, CONFIG, resume_file=folder / "resume.safetensors", **options)


def test_a_network_learns_and_says_what_it_cost(stripes: Dataset, tmp_path: Path):
    record = run(make_setup(stripes, "sgd", "dense"), tmp_path)
    assert record["status"] == "done"
    assert record["steps"] == 24
    assert record["history"][-1]["validation_accuracy"] > 0.6  # chance is 1/3
    assert record["history"][-1]["loss"] < record["history"][0]["loss"]
    assert record["cost"]["forwards"] == record["cost"]["backwards"] == 24
    assert [epoch["step"] for epoch in record["history"]] == [6, 12, 18, 24]


RESUMED = [(name, "rigl", (4, 6, 9)) for name in ("sgd", "adamw", "sam", "zo-sam")]
RESUMED += [("random-perturbation", "rigl", (4, 6, 9)), ("sgd", "lth", (1, 23, 9, 13))]


@pytest.mark.parametrize(("optimizer", "sparsifier", "stops"), RESUMED)
def test_a_resumed_run_ends_bit_for_bit_like_an_uninterrupted_one(
    stripes: Dataset, tmp_path: Path, optimizer: str, sparsifier: str, stops: tuple[int, ...]
):
    whole = make_setup(stripes, optimizer, sparsifier)
    record = run(whole, tmp_path)
    for stop_after in stops:  # in the middle of epochs, and around mask updates and rounds
        countdown = iter(range(stop_after - 1, -1, -1))
        with pytest.raises(InterruptedTrainingError):
            run(
                make_setup(stripes, optimizer, sparsifier),
                tmp_path,
                should_stop=lambda left=countdown: next(left) == 0,
            )
    pieces = make_setup(stripes, optimizer, sparsifier)
    resumed = run(pieces, tmp_path)
    assert not (tmp_path / "resume.safetensors").exists()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, pieces.model.state_dict()[name]), name
    for name, mask in whole.masker.masks.items():
        assert torch.equal(mask, pieces.masker.masks[name])
    assert whole.masker.events == pieces.masker.events
    times = {"seconds", "images_per_second", "peak_memory_bytes"}
    for one, other in zip(record["history"], resumed["history"], strict=True):
        assert {k: v for k, v in one.items() if k not in times} == {
            k: v for k, v in other.items() if k not in times
        }
    assert {k: v for k, v in record["cost"].items() if k not in times} == {
        k: v for k, v in resumed["cost"].items() if k not in times
    }


def test_an_average_of_weights_begins_anew_with_each_round(stripes: Dataset):
    subject = make_setup(stripes, "sgd", "lth")
    average = subject.average = Average(list(subject.model.parameters()), 0.9)
    assert subject.epochs == 12  # 24 + 2 * 22 steps of 6 to the epoch
    for step in range(25):
        train_step(subject, CONFIG, step)
    assert average.updates == 1
    for value, parameter in zip(average.values, subject.model.parameters(), strict=True):
        assert torch.equal(value, parameter)


def test_divergence_is_reported_not_written_as_a_number(stripes: Dataset, tmp_path: Path):
    record = train(
        make_setup(stripes, "sgd", "dense"),
        CONFIG.model_copy(update={"lr": 1e30, "warmup_epochs": 0.0}),
        resume_file=tmp_path / "resume",
    )
    assert record["status"] == "diverged"
    assert record["steps"] < 24
    assert all(abs(epoch["loss"]) < float("inf") for epoch in record["history"])


def test_the_random_state_of_others_does_not_matter(stripes: Dataset, tmp_path: Path):
    torch.manual_seed(1)
    first = make_setup(stripes)
    run(first, tmp_path)
    torch.manual_seed(2)
    second = make_setup(stripes)
    run(second, tmp_path)
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])
