"""What `pyhessian` and `loss-landscapes` are asked, and the surface with a known answer."""

from __future__ import annotations

import argparse
import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from common.peers import install, peer_folder
from robustbench_zosam.measurement.trained_models import TrainedModels

PACKAGES = ("pyhessian==0.1", "loss-landscapes==3.0.6")
PEER_FOLDER = peer_folder("peers-flatness")


@functools.cache
def install_peers() -> str | None:
    """Installs the peers unless they are there; returns why not."""
    if all((PEER_FOLDER / name).is_dir() for name in ("pyhessian", "loss_landscapes")):
        return None
    return install(PEER_FOLDER, *PACKAGES)


class Bowl(nn.Module):
    """Logits whose cross-entropy for class 0 is exactly the squared norm of the weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(6, 8)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the same logits for each image."""
        bowl = self.layer.weight.square().sum()
        logits = torch.stack([torch.zeros_like(bowl), torch.log(torch.expm1(bowl))])
        return logits.expand(len(images), 2)


def misfit(grid: np.ndarray) -> float:
    """Returns how far a grid is from the best quadratic, relative to its range."""
    y, x = np.mgrid[: grid.shape[0], : grid.shape[1]] / grid.shape[0]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1).reshape(-1, 6)
    fitted = terms @ np.linalg.lstsq(terms, grid.ravel(), rcond=None)[0]
    return float(np.abs(fitted - grid.ravel()).max() / np.ptp(grid))


def pyhessian_trace(s: TrainedModels, args: argparse.Namespace) -> dict[str, float]:
    """Hutchinson's estimate by pyhessian, its graph kept for each chunk, which is its best case."""
    from pyhessian import hessian  # type: ignore[import-not-found] # in the folder of the peers

    model = next(iter(s.models.values())).model
    samples = np.zeros(args.probes)
    for images, labels in zip(s.images.split(args.chunk), s.labels.split(args.chunk), strict=True):
        found = hessian(model, nn.CrossEntropyLoss(), data=(images, labels), cuda=False)
        share = len(labels) / len(s.labels)
        # Any other tolerance is passed by a running mean below zero.
        samples += share * np.array(found.trace(maxIter=args.probes, tol=-np.inf))
    return {"value": float(samples.mean()), "probes": args.probes}


def pyhessian_lambda(s: TrainedModels, args: argparse.Namespace) -> dict[str, float]:
    """The largest eigenvalue by pyhessian's power iteration."""
    from pyhessian import hessian

    model = next(iter(s.models.values())).model
    chunks = list(zip(s.images.split(args.chunk), s.labels.split(args.chunk), strict=True))
    found = hessian(model, nn.CrossEntropyLoss(), dataloader=chunks, cuda=False)
    values, _ = found.eigenvalues(maxIter=100, tol=1e-3, top_n=1)
    return {"value": float(values[0])}


def peer_plane(model: nn.Module, inputs: torch.Tensor, target: torch.Tensor, loss, grid: int):
    """Returns a plane by loss-landscapes."""
    import loss_landscapes  # type: ignore[import-not-found] # in the folder of the peers
    import loss_landscapes.metrics  # type: ignore[import-not-found] # idem

    metric = loss_landscapes.metrics.Loss(loss, inputs, target)
    return loss_landscapes.random_plane(
        model, metric, distance=1, steps=grid, normalization="filter", deepcopy_model=True
    )


def peer_grid(s: TrainedModels, args: argparse.Namespace) -> dict[str, float]:
    """A plane of the loss by loss-landscapes."""
    model = next(iter(s.models.values())).model
    with torch.no_grad():
        peer_plane(model, s.images, s.labels, F.cross_entropy, args.grid)
    return {}


def peer_bowl(s: TrainedModels, args: argparse.Namespace) -> dict[str, float]:
    """A plane of an exact quadratic by loss-landscapes."""
    zeros = torch.zeros_like(s.labels[:1])
    with torch.no_grad():
        found = peer_plane(Bowl(), s.images[:1], zeros, F.cross_entropy, args.grid)
    return {"misfit": misfit(np.asarray(found, dtype=np.float64))}
