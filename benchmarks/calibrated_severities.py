"""Finds the severity constants of the preset `digits`: about 10, 20, 35, 50 and 60 % errors.

python benchmarks/calibrated_severities.py

Each corruption has one strength here, from weak to strong. Dense networks are trained by SGD on one
half of the training images of the digits, at 16 pixels and with correct labels, and look at the
other half and the validation images; no test image is used. The strengths whose mean error is
nearest to the five targets are printed as `corruptions/calibrated.py` holds them; where the
strongest stays below, the targets shrink in proportion.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

sys.path[:] = [p for p in sys.path if Path(p).resolve() != Path(__file__).resolve().parent]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from corruptions import registry  # noqa: E402
from corruptions.constants import Row  # noqa: E402
from corruptions.engine import run  # noqa: E402
from corruptions.info import ANY  # noqa: E402
from robustbench_zosam.config import DataConfig, ModelConfig, TrainingConfig  # noqa: E402
from robustbench_zosam.data.dataset import Dataset, Split  # noqa: E402
from robustbench_zosam.data.digits import load  # noqa: E402
from robustbench_zosam.models.classifier import Classifier, build_model  # noqa: E402
from robustbench_zosam.optim import create_optimizer  # noqa: E402
from robustbench_zosam.sparsity import create_masker  # noqa: E402
from robustbench_zosam.training import Batches, TrainingSetup, train  # noqa: E402

TARGETS = (0.10, 0.20, 0.35, 0.50, 0.60)
STRENGTHS = np.linspace(0, 1, 41)
SIDE, EPOCHS, SEEDS = 16, 60, (0, 1)
Errors = NDArray[np.float64]


def log(low: float, high: float) -> Callable[[float], float]:
    """Returns a way from one value to another in equal ratios."""
    return lambda t: float(low * (high / low) ** t)


def linear(low: float, high: float) -> Callable[[float], float]:
    """Returns a way from one value to another in equal steps."""
    return lambda t: float(low + (high - low) * t)


def row(*parts: float | Callable[[float], float]) -> Callable[[float], Row]:
    """Returns the constants at a strength; three significant digits, for people to read."""
    return lambda t: tuple(float(f"{part(t) if callable(part) else part:.3g}") for part in parts)


def whole(part: Callable[[float], float]) -> Callable[[float], float]:
    """Returns a way through whole numbers."""
    return lambda t: float(round(part(t)))


PATHS: Mapping[str, Callable[[float], Row]] = {
    "gaussian_noise": row(log(0.03, 1.5)),
    "shot_noise": row(log(100, 0.2)),
    "impulse_noise": row(log(0.01, 0.8)),
    "speckle_noise": row(log(0.1, 6)),
    "gaussian_blur": row(log(0.5, 6)),
    "defocus_blur": row(log(1, 8), 0.1),
    "glass_blur": row(linear(0.4, 1), whole(linear(1, 3)), whole(linear(1, 8))),
    "motion_blur": row(whole(linear(6, 16)), log(1, 16)),
    "zoom_blur": row(0.05, whole(log(2, 60))),
    "snow": row(linear(0.1, 0.6), 0.3, 1.25, linear(0.6, 0.45), 10, 4, linear(0.95, 0.5)),
    "frost": row(0.2, linear(1, 0.3), linear(0.2, 1)),
    "fog": row(16, log(0.2, 12), linear(3, 1.2)),
    "brightness": row(linear(0.05, 0.98)),
    "contrast": row(log(0.8, 0.01)),
    "elastic_transform": row(16, linear(0.02, 0.4), 0.05, linear(0.04, 0.3)),
    "pixelate": row(linear(0.6, 0.12)),
    "jpeg_compression": row(whole(linear(60, 1))),
    "spatter": row(linear(0.62, 0.7), 0.3, linear(0.8, 0.5), 0.68, 0.6, 1),
    "saturate": row(0.3, linear(0, 1)),
}


def trained(data: Dataset, split: Split, seed: int) -> Classifier:
    """Returns a dense network trained by SGD."""
    config = ModelConfig(name="digits-resnet", width=0.5)
    model = build_model(config, len(data.classes), *data.channel_statistics(), seed=seed)
    batches = Batches(
        split, batch_size=64, seed=seed, device=torch.device("cpu"), augment=False, flip=False
    )
    steps = EPOCHS * batches.steps_per_epoch
    masker = create_masker("dense", model, sparsity=0, total_steps=steps, seed=seed)
    optimizer = create_optimizer(
        "sgd", model, masker=masker, lr=0.1, momentum=0.9, weight_decay=5e-4
    )
    setup = TrainingSetup(model, masker, optimizer, batches, data.validation)
    recipe = TrainingConfig(epochs=EPOCHS, warmup_epochs=1.0, augment=False)
    with tempfile.TemporaryDirectory() as folder:
        train(setup, recipe, resume_file=Path(folder) / "state")
    return model.eval()


def judges(data: Dataset) -> list[tuple[Classifier, Split]]:
    """Returns networks, each with images that it has not seen."""
    half = np.arange(len(data.train.labels)) % 2 == 0
    found = []
    for mine in (half, ~half):
        own = Split(data.train.images[mine], data.train.labels[mine])
        others = Split(
            np.concatenate([data.train.images[~mine], data.validation.images]),
            np.concatenate([data.train.labels[~mine], data.validation.labels]),
        )
        found += [(trained(data, own, seed), others) for seed in SEEDS]
    return found


@torch.inference_mode()
def errors(
    name: str, path: Callable[[float], Row], networks: Sequence[tuple[Classifier, Split]]
) -> Errors:
    """Returns the mean error at each strength, made monotone."""
    found: Errors = np.zeros(len(STRENGTHS))
    info = registry.get(name)
    for i, strength in enumerate(STRENGTHS):
        at = replace(info, constants={ANY: (path(strength),) * 5})
        for model, split in networks:
            changed = run(np.asarray(split.images), at, 1, "cifar", seed=i, start=0, textures=None)
            logits = model(torch.from_numpy(changed).float() / 255)
            found[i] += np.mean(logits.argmax(1).numpy() != split.labels) / len(networks)
    return np.maximum.accumulate(found)


def chosen(found: Errors) -> list[int]:
    """Returns five strengths, each stronger than the one before."""
    scale = min(1.0, float(found[-1]) / TARGETS[-1])
    picks = [int(np.abs(found - scale * target).argmin()) for target in TARGETS]
    for before, after in pairwise(range(len(picks))):
        picks[after] = min(max(picks[after], picks[before] + 1), len(found) - len(picks) + after)
    return picks


def main() -> None:
    """Prints the table of each corruption, with the errors found."""
    torch.set_num_threads(1)
    data = load(DataConfig(name="digits", image_size=SIDE))
    networks = judges(data)
    for name, path in PATHS.items():
        found = errors(name, path, networks)
        picks = chosen(found)
        reached = ", ".join(f"{100 * found[i]:.0f}" for i in picks)
        print(f'    "{name}": (  # {reached} %')
        for i in picks:
            print(f"        {path(STRENGTHS[i])},")
        print("    ),", flush=True)


if __name__ == "__main__":
    main()
