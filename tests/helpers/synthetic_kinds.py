"""Made-up methods: what is done in a synthetic run, and what it would measure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.runs.methods import expand
from robustbench_zosam.schema import (
    Landscape,
    MethodFacts,
    Sparsity,
)

Floats = NDArray[np.float64]
Outcomes = NDArray[np.uint8]

GROUPS = {
    "noise": "gaussian_noise shot_noise impulse_noise",
    "blur": "defocus_blur glass_blur motion_blur zoom_blur",
    "weather": "snow frost fog brightness",
    "digital": "contrast elastic_transform pixelate jpeg_compression",
    "extra": "speckle_noise gaussian_blur spatter saturate",
}
CATEGORIES = {name: group for group, names in GROUPS.items() for name in names.split()}
EPOCHS, STEPS = 20, 340


@dataclass(frozen=True)
class Kind:
    """What the random numbers of an optimizer lie around."""

    name: str
    gain: float
    """In accuracy, over SGD."""
    trace: float
    forwards: float
    """Per step."""
    backwards: float
    speed: float
    """SGD's is 1."""


KINDS = (
    Kind("sgd", 0.0, 90.0, 1, 1, 1.0),
    Kind("random-perturbation", 0.006, 76.0, 1, 1, 0.96),
    Kind("sam", 0.02, 41.0, 2, 2, 0.51),
    Kind("zo-sam", 0.013, 66.0, 3, 1, 0.66),
    Kind("s2-sam", 0.007, 70.0, 1, 1, 0.97),
    Kind("asam", 0.018, 45.0, 2, 2, 0.5),
    Kind("gsam", 0.019, 43.0, 2, 2, 0.5),
    Kind("looksam", 0.011, 55.0, 1.2, 1.2, 0.83),
    Kind("esam", 0.012, 50.0, 2, 1.5, 0.55),
    Kind("friendly-sam", 0.02, 42.0, 2, 2, 0.5),
    Kind("xsam", 0.021, 40.0, 2, 2, 0.5),
)


def make_methods(
    kinds: Sequence[Kind], seeds: int, dense: bool, grid: dict[str, list[float]] | None = None
) -> list[MethodFacts]:
    """The methods that a configuration would have, with their labels and roles."""
    config = ExperimentConfig.model_validate({
        "optimizers": [kind.name for kind in kinds],
        "dense_reference": dense,
        "grid": grid or {},
    })
    facts = [method.model_dump(mode="json") for method in expand(config)]
    return [cast("MethodFacts", found | {"seeds": list(range(seeds))}) for found in facts]


def landscape(rng: np.random.Generator, kind: Kind) -> Landscape:
    x, grid = np.linspace(-1, 1, 41), np.linspace(-1, 1, 21)
    lines = [0.05 + kind.trace / 15 * rng.lognormal(0, 0.25) * np.abs(x) ** 1.8 for _ in range(5)]
    plane = 0.05 + kind.trace / 15 * (
        grid[:, None] ** 2 * 1.2 + grid[None] ** 2 + 0.5 * grid[:, None] * grid[None]
    )
    return {
        "line": {
            "positions": x.tolist(),
            "losses": [line.tolist() for line in lines],
            "accuracies": [np.exp(-line / 3).tolist() for line in lines],
            "summary": {"half_width": 3 / kind.trace**0.5},
        },
        "plane": {"positions": grid.tolist(), "losses": plane.tolist(), "summary": {}},
        "norm": "filter",
        "images": 256,
    }


def sparsity(dense: bool) -> Sparsity:
    sizes = {"conv1.weight": 432, "stages.0.weight": 2304, "fc.weight": 640}
    active = sizes if dense else sizes | {"stages.0.weight": 230}
    return {
        "maskable": 0.0 if dense else 0.9,
        "total": 0.0 if dense else 0.62,
        "layers": [
            {"name": name, "size": size, "active": active[name], "density": active[name] / size}
            for name, size in sizes.items()
        ],
    }
