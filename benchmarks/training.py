"""Speed of the whole training loop beside the bare step, and beside a torchvision pipeline.

ResNet-20, batches of 128, 90 % sparse. Four contenders take turns, one step each, in one process
and on one thread, on 50,000 random images of CIFAR-10's size:

- bare: forward, backward and SGD on one resident batch, dense, nothing else;
- loop: a step of this package: batch, augmentation, masks (RigL), loss kept for the history;
- dense: the loop without masks;
- pipeline: the loop with RigL, fed by torchvision's transforms v2 and a DataLoader.

Only processor time counts, and ratios are medians over rounds of neighbouring steps, since other
load on the machine meets both. RigL's update, one step in a hundred, is timed apart and spread over
them. The masks' share is the time inside the mask engine's own calls.

    python benchmarks/training.py [--json FILE] [--quick] [--rounds N] [--device cuda]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from common.clocks import Stopwatch, clock_of

from robustbench_zosam.config import ModelConfig, TrainingConfig
from robustbench_zosam.data.dataset import Split
from robustbench_zosam.models import build_model
from robustbench_zosam.models.classifier import Classifier
from robustbench_zosam.optim import create_optimizer
from robustbench_zosam.sparsity import create_masker
from robustbench_zosam.training import Batches, TrainingSetup
from robustbench_zosam.training.setup import train_step

GOAL, MASKS_GOAL = 0.93, 0.03
IMAGES, BATCH, INTERVAL = 50_000, 128, 100
STATISTICS = (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.262)


def random_images(count: int) -> Split:
    """Images of CIFAR-10's size."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    return Split(images, generator.integers(0, 10, count))


def network(device: torch.device) -> Classifier:
    """The same network for each contender."""
    model = build_model(ModelConfig(name="resnet20"), 10, *STATISTICS).to(device)
    return model.to(memory_format=torch.channels_last)


def setup_of(data: Split, sparsifier: str, args: argparse.Namespace) -> TrainingSetup:
    """A training as `zosam-robust train` builds it."""
    model = network(args.device)
    batches = Batches(
        data,
        batch_size=args.batch,
        seed=0,
        device=args.device,
        augment=True,
        flip=True,
        channels_last=True,
    )
    sparsity = 0.0 if sparsifier == "dense" else 0.9
    options = {"interval": INTERVAL} if sparsifier == "rigl" else {}
    masker = create_masker(sparsifier, model, sparsity=sparsity, total_steps=10**6, **options)
    optimizer = create_optimizer("sgd", model, masker=masker, lr=0.01)
    return TrainingSetup(model, masker, optimizer, batches, data)


def bare(data: Split, config: TrainingConfig, args: argparse.Namespace) -> Callable[[int], None]:
    """A step on one batch that lies ready: the least any training must do."""
    model = network(args.device).backbone
    images, labels = Batches(
        data, batch_size=args.batch, seed=0, device=args.device, augment=True, flip=True
    )[0]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def step(_: int) -> None:
        optimizer.zero_grad()  # memory is free for the pass, as in the loop
        with torch.autocast(args.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()

    return step


def loop(setup: TrainingSetup, config: TrainingConfig) -> Callable[[int], None]:
    """The step of the training loop."""
    losses = torch.zeros((), dtype=torch.float64, device=setup.device)

    def step(number: int) -> None:
        setup.model.train()
        losses.add_(train_step(setup, config, number))

    return step


class Loader:
    """The same images through transforms v2 and a DataLoader, by step."""

    def __init__(self, data: Split, like: Batches, args: argparse.Namespace) -> None:
        from torchvision.transforms import v2

        transform = v2.Compose([
            v2.RandomCrop(32, padding=4),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
        ])
        images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)

        class Transformed(torch.utils.data.Dataset):
            def __len__(self) -> int:
                return len(labels)

            def __getitem__(self, index: int):
                return transform(images[index]), labels[index]

        self._loader = torch.utils.data.DataLoader(
            Transformed(), args.batch, shuffle=True, drop_last=True, num_workers=args.workers
        )
        self._device, self.steps_per_epoch = args.device, like.steps_per_epoch
        self._stream = self._endless()

    def _endless(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for images, labels in itertools.chain.from_iterable(itertools.repeat(self._loader)):
            moved = images.to(self._device, memory_format=torch.channels_last)
            yield moved, labels.to(self._device)

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The next mini-batch, whatever the step."""
        return next(self._stream)


class Timed:
    """Mini-batches whose making is timed."""

    def __init__(self, batches: Batches, watch: Stopwatch) -> None:
        self.steps_per_epoch = batches.steps_per_epoch
        self._batch = watch.around(batches.__getitem__)

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The mini-batch of a step."""
        return self._batch(step)


def measure(precision: str, args: argparse.Namespace) -> dict[str, float]:
    """Times all contenders, and the parts of the loop."""
    config = TrainingConfig(batch_size=args.batch, precision=precision, channels_last=True)
    data, clock = random_images(args.images), clock_of(args.device)
    ours = setup_of(data, "rigl", args)
    piped = setup_of(data, "rigl", args)
    piped.batches = Loader(data, piped.batches, args)  # type: ignore[assignment]
    parts = {"masks": Stopwatch(clock), "batch": Stopwatch(clock)}
    for name in ("before_update", "mask_gradients", "after_update"):
        setattr(ours.masker, name, parts["masks"].around(getattr(ours.masker, name)))
    ours.batches = Timed(ours.batches, parts["batch"])  # type: ignore[assignment]
    contenders = {
        "bare": bare(data, config, args),
        "loop": loop(ours, config),
        "dense": loop(setup_of(data, "dense", args), config),
        "pipeline": loop(piped, config),
    }
    rows = []
    for number in range(1, args.rounds + 3):
        row = {}
        for watch in parts.values():
            watch.spent = 0.0
        names = list(contenders)
        first = number % len(names)
        for name in names[first:] + names[:first]:  # nobody always comes after the same one
            begin = clock()
            contenders[name](number)
            row[name] = clock() - begin
        rows.append(row | {name: watch.spent for name, watch in parts.items()})
    rows = rows[2:]  # the first ones choose kernels
    updates = [_update_seconds(ours, config, clock) for _ in range(3)]
    return _summary(rows, min(updates), args.batch)


def _update_seconds(
    setup: TrainingSetup, config: TrainingConfig, clock: Callable[[], float]
) -> float:
    """What a change of the masks takes, beyond the masks' work of any step."""
    masker, batch = setup.masker, setup.batches[0]
    setup.losses(config)(*batch).mean().backward()
    masker.step = INTERVAL
    begin = clock()
    assert masker.before_update(setup.optimizer.slots)
    masker.mask_gradients()  # makes its factors anew
    return clock() - begin


def _summary(rows: list[dict[str, float]], update: float, batch: int) -> dict[str, float]:
    spread = update / INTERVAL
    found = {
        f"{name}_images_per_second": batch / statistics.median(row[name] for row in rows)
        for name in ("bare", "dense", "pipeline")
    }
    usual = statistics.median(row["loop"] for row in rows)
    found["loop_images_per_second"] = batch / (usual + spread)
    for name, extra in (("loop", spread), ("dense", 0.0), ("pipeline", spread)):
        ratios = [row["bare"] / (row[name] + extra) for row in rows]
        found[f"{name}_ratio"] = statistics.median(ratios)
    found["masks_share"] = (statistics.median(r["masks"] for r in rows) + spread) / (usual + spread)
    found["batch_share"] = statistics.median(r["batch"] / r["loop"] for r in rows)
    found["update_seconds"] = update
    return found


def report(precision: str, found: dict[str, float]) -> None:
    """Prints one table."""
    print(f"\n{precision}: images per second, and as a share of the bare step")
    for name in ("bare", "loop", "dense", "pipeline"):
        share = found.get(f"{name}_ratio", 1.0)
        print(f"{name:10}{found[f'{name}_images_per_second']:8.0f}{share:8.3f}")
    late = "" if found["loop_ratio"] >= GOAL else f" (goal {GOAL})"
    many = "" if found["masks_share"] <= MASKS_GOAL else f" (goal {MASKS_GOAL:.0%})"
    print(
        f"the loop runs at {found['loop_ratio']:.3f} of the bare step{late}; of its time "
        f"{found['masks_share']:.1%} for masks{many}, {found['batch_share']:.1%} for batches; "
        f"an update of the masks takes {1000 * found['update_seconds']:.1f} ms"
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="batches of 16, few images and rounds")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--workers", type=int, default=0, help="of the DataLoader")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    args = parser.parse_args()
    args.batch, args.images = (16, 1000) if args.quick else (BATCH, IMAGES)
    args.rounds = 3 if args.quick else args.rounds
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, {args.rounds} rounds", file=sys.stderr)
    results = {}
    for precision in ("fp32", "bf16"):
        results[precision] = measure(precision, args)
        report(precision, results[precision])
    if args.json:
        args.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
