"""Precision, layout, compilation, clipping and averaging, alone and together."""

from __future__ import annotations

import functools
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from robustbench_zosam.config import ModelConfig, TrainingConfig
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.errors import InputError
from robustbench_zosam.models import build_model
from robustbench_zosam.optim import create_optimizer
from robustbench_zosam.sparsity import create_masker
from robustbench_zosam.training import Batches, InterruptedTrainingError, TrainingSetup, train
from robustbench_zosam.training.average import Average
from robustbench_zosam.training.setup import train_step

ALL = {"precision": "bf16", "channels_last": True, "clip_norm": 1.0, "ema_decay": 0.9}
TIMES = {"seconds", "images_per_second", "peak_memory_bytes"}


def recipe(**options: Any) -> TrainingConfig:
    return TrainingConfig(**{"epochs": 3, "batch_size": 16, "lr": 0.05} | options)


def make_setup(
    data: Dataset, config: TrainingConfig, optimizer: str = "sgd", device: str = "cpu"
) -> TrainingSetup:
    model = build_model(ModelConfig(width=0.25), 3, *data.channel_statistics()).to(device)
    if config.channels_last:
        model = model.to(memory_format=torch.channels_last)
    feed = Batches(
        data.train,
        batch_size=config.batch_size,
        seed=0,
        device=torch.device(device),
        augment=config.augment,
        flip=True,
        channels_last=config.channels_last,
    )
    total = config.epochs * feed.steps_per_epoch
    masker = create_masker("rigl", model, sparsity=0.7, total_steps=total, interval=3)
    name, _, separate = optimizer.partition(", ")
    chosen = create_optimizer(
        name, model, masker=masker, lr=0.05, steps_per_epoch=6, clip_norm=config.clip_norm,
        **({"reuse": "none"} if separate else {}),
    )  # fmt: skip
    return TrainingSetup(model, masker, chosen, feed, data.validation)


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in TIMES}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def same(one: TrainingSetup, other: TrainingSetup) -> bool:
    states = one.model.state_dict(), other.model.state_dict()
    return all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        *itertools.product(("sgd", "adamw", "sam", "zo-sam"), [ALL]),
        *itertools.product(("sgd",), [{key: ALL[key]} for key in ALL]),
        ("looksam", {**ALL, "label_smoothing": 0.1, "augment": False, "diagnostics": True}),
    ],
    ids=str,
)
def test_a_resumed_run_ends_bit_for_bit_like_an_uninterrupted_one(
    stripes: Dataset, tmp_path: Path, optimizer: str, options: dict[str, Any]
):
    config = recipe(**options)
    whole = make_setup(stripes, config, optimizer)
    record = train(whole, config, resume_file=tmp_path / "a")
    for stop_after in (4, 3, 5):
        countdown = iter(range(stop_after - 1, -1, -1))
        with pytest.raises(InterruptedTrainingError):
            train(
                make_setup(stripes, config, optimizer),
                config,
                resume_file=tmp_path / "b",
                should_stop=lambda left=countdown: next(left) == 0,
            )
    torch.manual_seed(99)  # what happened elsewhere in between does not matter
    pieces = make_setup(stripes, config, optimizer)
    resumed = train(pieces, config, resume_file=tmp_path / "b")
    assert same(whole, pieces)
    for name, mask in whole.masker.masks.items():
        assert torch.equal(mask, pieces.masker.masks[name])
    assert without_times(record) == without_times(resumed)
    assert record["status"] == "done"
    whole.masker.check(whole.optimizer)


def test_state_is_loaded_in_the_layout_of_its_weights(stripes: Dataset):
    config = recipe(channels_last=True)
    one, other = make_setup(stripes, config, "adamw"), make_setup(stripes, config, "adamw")
    train_step(one, config, 0)
    other.optimizer.load_state_dict(
        json_like := {
            **one.optimizer.state_dict(),
            "state": {
                index: {k: v.contiguous() for k, v in state.items()}
                for index, state in one.optimizer.state_dict()["state"].items()
            },
        }
    )
    assert json_like["state"]
    for param in other.model.parameters():
        for value in other.optimizer.slots(param):
            assert value.stride() == param.stride()


@pytest.mark.parametrize("optimizer", ["sam", "zo-sam", "zo-sam, three passes"])
def test_half_precision_is_for_gradients_alone(stripes: Dataset, tmp_path: Path, optimizer: str):
    config = recipe(precision="bf16", epochs=1)
    subject = make_setup(stripes, config, optimizer)
    seen: set[tuple[bool, torch.dtype]] = set()
    last = [m for m in subject.model.modules() if isinstance(m, nn.Linear)][-1]
    last.register_forward_hook(
        lambda module, given, out: seen.add((torch.is_grad_enabled(), out.dtype))
    )
    loss = train_step(subject, config, 0)
    probes = {(False, torch.float32)} if optimizer.endswith("three passes") else set()
    assert seen == {(True, torch.bfloat16)} | probes
    assert loss.dtype == torch.float32
    assert all(p.grad.dtype == torch.float32 for p in subject.model.parameters())
    seen.clear()
    train(subject, config.model_copy(update={"precision": "fp32"}), resume_file=tmp_path / "r")
    assert {dtype for _, dtype in seen} == {torch.float32}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_all_of_it_works_together_on_every_device(stripes: Dataset, tmp_path: Path, device: str):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    config = recipe(**ALL, recalibrate=True, diagnostics=True, schedule="one-cycle")
    for optimizer in ("sgd", "zo-sam"):
        countdown = iter(range(7, -1, -1))
        with pytest.raises(InterruptedTrainingError):
            train(
                make_setup(stripes, config, optimizer, device),
                config,
                resume_file=tmp_path / "r",
                should_stop=lambda left=countdown: next(left) == 0,
            )
        subject = make_setup(stripes, config, optimizer, device)
        record = train(subject, config, resume_file=tmp_path / "r")
        assert (record["status"], record["steps"]) == ("done", 18)
        subject.masker.check(subject.optimizer)
        assert record["averaged"]["validation_accuracy"] > 0.5  # chance is 1/3


def test_half_precision_trains_as_full_precision_does(stripes: Dataset, tmp_path: Path):
    losses = []
    for precision in ("fp32", "bf16"):
        config = recipe(precision=precision)
        record = train(make_setup(stripes, config), config, resume_file=tmp_path / "r")
        losses.append([row["loss"] for row in record["history"]])
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


@pytest.mark.parametrize("augment", [False, True])
def test_channels_last_is_a_layout_and_nothing_else(stripes: Dataset, augment: bool):
    results = []
    for flag in (False, True):
        config = recipe(channels_last=flag, augment=augment)
        subject = make_setup(stripes, config)
        images = subject.batches[0][0]
        assert images.is_contiguous(memory_format=torch.channels_last) or not flag
        loss = train_step(subject, config, 0)
        weights = [p for p in subject.model.parameters() if p.ndim == 4]
        if flag:
            layout = torch.channels_last
            assert all(p.is_contiguous(memory_format=layout) for p in weights)
            assert all(p.grad.is_contiguous(memory_format=layout) for p in weights)
        results.append((images, loss, torch.cat([p.detach().flatten() for p in weights])))
    assert torch.equal(results[0][0], results[1][0])
    assert float(results[0][1]) == pytest.approx(float(results[1][1]), rel=1e-5)
    assert torch.allclose(results[0][2], results[1][2], atol=1e-4)


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compilation that captures graphs, but runs them with torch's own kernels."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))


@pytest.mark.usefixtures("captured")
@pytest.mark.parametrize("optimizer", ["sgd", "zo-sam"])
def test_compilation_changes_no_number(stripes: Dataset, tmp_path: Path, optimizer: str):
    finals = []
    for flag in (False, True):
        config = recipe(compile=flag, epochs=1, precision="bf16")
        subject = make_setup(stripes, config, optimizer)
        record = train(subject, config, resume_file=tmp_path / "r")
        finals.append((subject, without_times(record)))
    assert same(finals[0][0], finals[1][0])
    assert finals[0][1] == finals[1][1]
    counters = [b for n, b in finals[1][0].model.named_buffers() if n.endswith("batches_tracked")]
    assert counters
    assert all(int(counter) == 6 for counter in counters)  # the probes are undone


def test_a_compiler_that_fails_is_one_sentence(
    stripes: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def broken(graph: Any, examples: Any) -> Any:
        raise RuntimeError("no C++ compiler was found")

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=broken))
    config = recipe(compile=True)
    with pytest.raises(InputError, match=r"training\.compile=true, but .*\(.*no C\+\+ compiler"):
        train(make_setup(stripes, config), config, resume_file=tmp_path / "r")


@pytest.mark.slow
def test_compiled_code_trains_and_resumes_like_itself(stripes: Dataset, tmp_path: Path):
    config = recipe(compile=True, **ALL)
    whole, pieces = make_setup(stripes, config, "zo-sam"), make_setup(stripes, config, "zo-sam")
    record = train(whole, config, resume_file=tmp_path / "a")
    countdown = iter(range(7, -1, -1))
    with pytest.raises(InterruptedTrainingError):
        train(
            make_setup(stripes, config, "zo-sam"),
            config,
            resume_file=tmp_path / "b",
            should_stop=lambda: next(countdown) == 0,
        )
    assert without_times(train(pieces, config, resume_file=tmp_path / "b")) == without_times(record)
    assert same(whole, pieces)


def test_the_average_follows_its_definition():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, generator=generator, dtype=torch.float64)
    average, expected = Average([weight], 0.5), weight.clone()
    for update in range(1, 30):
        weight.copy_(torch.randn(5, generator=generator, dtype=torch.float64))
        average.update()
        decay = min(0.5, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * weight
        assert torch.allclose(average.values[0], expected, atol=1e-12)


def test_averaging_changes_the_trained_model_and_not_the_training(stripes: Dataset, tmp_path: Path):
    plain, config = recipe(), recipe(ema_decay=0.8)
    one, other = make_setup(stripes, plain), make_setup(stripes, config)
    without = train(one, plain, resume_file=tmp_path / "r")
    seen: list[list[torch.Tensor]] = [[p.detach().clone() for p in other.model.parameters()]]

    def look() -> bool:
        seen.append([p.detach().clone() for p in other.model.parameters()])
        return False

    record = train(other, config, resume_file=tmp_path / "r", should_stop=look)
    assert without_times(without["history"]) == without_times(record["history"])
    assert "averaged" not in without
    expected = [p.double() for p in seen[0]]
    for update, weights in enumerate(seen[1:], 1):
        decay = min(0.8, (1 + update) / (10 + update))
        expected = [
            decay * e + (1 - decay) * w.double() for e, w in zip(expected, weights, strict=True)
        ]
    for param, value in zip(other.model.parameters(), expected, strict=True):
        mask = other.masker.mask_of(param)
        wanted = value if mask is None else value * mask
        assert torch.allclose(param.double(), wanted, atol=1e-6)
    other.masker.check()
    assert record["averaged"]["updates"] == record["steps"] == 18
    assert 0 <= record["averaged"]["validation_accuracy"] <= 1
    assert record["recalibrated"] > 0


def test_divergence_is_noticed_within_an_epoch_and_written_as_words(
    stripes: Dataset, tmp_path: Path
):
    config = recipe(batch_size=1, lr=1e30, warmup_epochs=0.0, ema_decay=0.9)
    record = train(make_setup(stripes, config), config, resume_file=tmp_path / "r")
    assert (record["status"], record["steps"]) == ("diverged", 50)
    assert record["history"] == []
    assert "averaged" not in record
    json.dumps(record, allow_nan=False)
    assert not (tmp_path / "r").exists()


def test_settings_out_of_range_are_refused():
    for wrong in ({"clip_norm": 0}, {"ema_decay": 1.0}, {"precision": "fp16"}, {"min_lr": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            TrainingConfig(**wrong)
