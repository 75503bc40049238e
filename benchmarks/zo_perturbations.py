"""How well perturbations point along the gradient, on real trainings, and what they cost.

    python benchmarks/zo_perturbations.py            # digits, minutes on one core
    python benchmarks/zo_perturbations.py --epochs 2 --stride 8
    python benchmarks/zo_perturbations.py --scopes    # all weights or the normalisation layers

Every method trains its own network. At every `stride`-th step, before the step is made, the
gradient of its mini-batch is taken at the unperturbed weights, over the active weights, and
compared with the perturbation the method would take. The second table asks, along one training
with SAM, which guesses from past gradients alone would have pointed where.

With `--scopes` all methods meet at the same points of one training of a sparse ResNet-20 with SGD,
on images of 16 pixels: the perturbation of the next mini-batch, as long as a share of the weights
that it moves, its cosine with their gradient and with that of all active weights, and how far the
mini-batch's loss rises. The methods that remember a gradient get the one of the step before.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections import defaultdict

import torch
from common.scopes import compare, cosine

from robustbench_zosam.config import DataConfig, ModelConfig, TrainingConfig
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.data.registry import DATASETS
from robustbench_zosam.models import build_model
from robustbench_zosam.models.predict import predict_logits
from robustbench_zosam.optim import create_optimizer
from robustbench_zosam.sparsity import create_masker
from robustbench_zosam.training import Batches, TrainingSetup
from robustbench_zosam.training.diagnostics import Observation, observe
from robustbench_zosam.training.setup import step_closure, train_step

METHODS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("SGD", "sgd", {}),
    ("Random perturbation", "random-perturbation", {}),
    ("ZO-SAM m=1", "zo-sam", {}),
    ("ZO-SAM m=1, quarter batch", "zo-sam", {"probe_fraction": 0.25}),
    ("ZO-SAM m=4", "zo-sam", {"queries": 4}),
    ("ZO-SAM m=1, dense", "zo-sam", {"support": "dense"}),
    ("S2-SAM", "s2-sam", {}),
    ("Guided m=1", "zo-sam-guided", {}),
    ("Guided m=1, quarter batch", "zo-sam-guided", {"probe_fraction": 0.25}),
    ("Guided m=3", "zo-sam-guided", {"queries": 3}),
    ("SAM", "sam", {}),
)
LAGS, SPANS, DECAYS = (1, 2, 3), (1, 2, 3, 5, 10), (0.5, 0.9)
PHASES = 4


def make(data: Dataset, name: str, options: dict[str, object], args: argparse.Namespace, seed: int):
    """Returns setup and recipe."""
    config = TrainingConfig(epochs=args.epochs)
    device = torch.device("cpu")
    batches = Batches(
        data.train,
        batch_size=config.batch_size,
        seed=seed,
        device=device,
        augment=True,
        flip=data.horizontal_flip,
    )
    model = build_model(ModelConfig(), len(data.classes), *data.channel_statistics(), seed=seed)
    total = config.epochs * batches.steps_per_epoch
    masker = create_masker("rigl", model, sparsity=args.sparsity, total_steps=total, seed=seed)
    optimizer = create_optimizer(name, model, masker=masker, lr=config.lr, seed=seed, **options)
    return TrainingSetup(model, masker, optimizer, batches, data.validation), config


class Guesses:
    """Directions known before a step, and how far each points along its gradient."""

    def __init__(self) -> None:
        self.past: list[torch.Tensor] = []
        self.averages: dict[float, torch.Tensor] = {}
        self.squares: torch.Tensor | None = None
        self.generator = torch.Generator().manual_seed(0)

    def compare(self, seen: Observation) -> dict[str, float]:
        """Returns absolute cosines, once ten gradients are known."""
        if len(self.past) < max(SPANS) or self.squares is None:
            return {}
        g = seen.clean
        noise = torch.randn(g.shape, generator=self.generator) * (self.past[0] != 0)
        found = {f"gradient {lag} step(s) ago": cosine(self.past[lag - 1], g) for lag in LAGS}
        found |= {f"mean, decay {b}": cosine(a, g) for b, a in self.averages.items()}
        found["random"] = cosine(noise, g)
        found["random, scaled by past size"] = cosine(noise * self.squares.sqrt(), g)
        spans = {f"span of the last {k}": self.projected(g, k) for k in SPANS}
        return {key: abs(value) for key, value in found.items()} | spans

    def projected(self, g: torch.Tensor, count: int) -> float:
        """Returns the share of a gradient's length inside the span of the latest ones."""
        basis, _ = torch.linalg.qr(torch.stack(self.past[:count], dim=1))
        return float((basis.T @ g).norm() / g.norm())

    def learn(self, used: torch.Tensor) -> None:
        """Takes in the gradient of a step."""
        self.past = [used, *self.past][: max(SPANS)]
        for decay in DECAYS:
            old = self.averages.get(decay, torch.zeros_like(used))
            self.averages[decay] = torch.lerp(used, old, decay)
        squares = torch.zeros_like(used) if self.squares is None else self.squares
        self.squares = torch.lerp(used.square(), squares, 0.9)


def follow(data: Dataset, name: str, options: dict[str, object], args: argparse.Namespace):
    """Trains with one method; returns cosines and guesses by phase, and facts."""
    cosines: dict[int, list[float]] = defaultdict(list)
    guesses: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    accuracy, seconds, turned = [], [], []
    for seed in range(args.seeds):
        setup, config = make(data, name, options, args, seed)
        total = config.epochs * setup.batches.steps_per_epoch
        known, spent = Guesses(), 0.0
        for step in range(total):
            setup.model.train()
            phase = PHASES * step // total
            if step % args.stride == 0 or args.guesses:
                closure = step_closure(setup, config, step)
                seen = observe(setup.optimizer, setup.model, closure)
                value = float(seen.cosine)
                if math.isfinite(value) and step % args.stride == 0:
                    cosines[phase].append(value)
                if args.guesses:
                    for key, size in known.compare(seen).items():
                        guesses[phase][key].append(size)
                    known.learn(seen.used)
            started = time.process_time()
            train_step(setup, config, step)
            spent += time.process_time() - started
        logits = predict_logits(setup.model, data.validation.images, setup.device)
        hits = logits.argmax(1) == torch.from_numpy(data.validation.labels)
        accuracy.append(float(hits.double().mean()))
        seconds.append(spent / total)
        cost = setup.optimizer.cost
        turned.append(setup.optimizer.diagnostics.get("turned", 0) / cost.steps)
    facts = {
        "ms": 1000 * statistics.median(seconds),
        "forwards": cost.forwards / cost.steps,
        "backwards": cost.backwards / cost.steps,
        "accuracy": statistics.mean(accuracy),
        "turned": statistics.mean(turned),
        "active": setup.optimizer.support()[1],
    }
    return cosines, guesses, facts


def spread(values: list[float]) -> str:
    """Returns mean and standard error."""
    if len(values) < 2:
        return "–"
    error = statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):+.3f} ± {error:.3f}"


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", default="digits")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--stride", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="rows of the first table")
    parser.add_argument("--scopes", action="store_true", help="one training, see above")
    parser.add_argument("--stops", type=int, nargs="+", default=[10, 60, 150], help="its stages")
    parser.add_argument("--batches", type=int, default=8, help="mini-batches at each")
    parser.add_argument("--images", type=int, default=1000, help="training images")
    parser.add_argument("--share", type=float, default=0.02, help="radius / length of the weights")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.scopes:
        compare(args)
        return
    data = DATASETS[args.data].load()(DataConfig(name=args.data))
    args.guesses = False
    phases = " | ".join(f"cosine, quarter {i + 1}" for i in range(PHASES))
    settings = f"{args.epochs} epochs, {args.seeds} seed(s), stride {args.stride}"
    print(f"{args.data}, RigL {args.sparsity:g}, {settings}")
    print(f"\n| method | {phases} | F / B | CPU ms per step | ratio | validation | turned |")
    print("|" + " --- |" * (PHASES + 6))
    base = None
    chosen = [row for row in METHODS if args.only is None or row[0] in args.only]
    for label, name, options in chosen:
        found, _, facts = follow(data, name, options, args)
        base = base or facts["ms"]
        cells = [spread(found[i]) for i in range(PHASES)]
        cells += [f"{facts['forwards']:.2f} / {facts['backwards']:.2f}", f"{facts['ms']:.1f}"]
        cells += [f"{facts['ms'] / base:.2f}", f"{100 * facts['accuracy']:.1f} %"]
        cells += [f"{100 * facts['turned']:.0f} %"]
        print(f"| {label} | {' | '.join(cells)} |", flush=True)
    print(
        f"\n{facts['active']} active weights: one random query has a cosine of "
        f"{math.sqrt(2 / math.pi / facts['active']):.4f} in the mean"
    )
    if args.only is not None:
        return
    args.guesses = True
    _, guesses, _ = follow(data, "sam", {}, args)
    print(f"\n| known before the step | {phases.replace('cosine', '|cosine|')} |")
    print("|" + " --- |" * (PHASES + 1))
    for key in guesses[PHASES - 1]:
        print(f"| {key} | {' | '.join(spread(guesses[i][key]) for i in range(PHASES))} |")


if __name__ == "__main__":
    main()
