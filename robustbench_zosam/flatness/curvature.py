"""The curvature of the loss around one model, bound once and measured in several ways."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import get_args

import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.algorithms.eigenpairs import Resolve
from robustbench_zosam.flatness.algorithms.lanczos import OnStep
from robustbench_zosam.flatness.density import DensityResult, measure_density
from robustbench_zosam.flatness.exact.gate import GateResult, gate
from robustbench_zosam.flatness.exact.sweep import SweepPlan
from robustbench_zosam.flatness.model.active import Masks, Params, resolve
from robustbench_zosam.flatness.model.bound import BoundModel
from robustbench_zosam.flatness.model.guard import accepting, fitting, measuring, unwrap
from robustbench_zosam.flatness.model.network import Data, Network, Predictions, predict
from robustbench_zosam.flatness.operators.derivatives import second_derivatives
from robustbench_zosam.flatness.operators.gauss_newton import Matrix
from robustbench_zosam.flatness.sharpness.family import SharpnessResult, measure_sharpness
from robustbench_zosam.flatness.sharpness.measures import BRIEF, SharpnessMeasure
from robustbench_zosam.flatness.spectrum import EigenResult, measure_eigenvalues
from robustbench_zosam.flatness.trace import MethodChoice, TraceResult
from robustbench_zosam.flatness.trace_methods import TraceMeasurement

_SAMPLES = 128  # random output directions of all images together, at least


class Curvature:
    """The curvature of the mean cross-entropy around one model, over its active coordinates.

    Predictions are made once and the gate is tested once, when first needed, for all measures. The
    model is evaluated in evaluation mode, without TF32 and autocast, and every measure leaves it
    bit-identical; its weights must not change between them. The methods take the arguments of the
    functions `hessian_trace`, `top_eigenvalues`, `spectral_density` and `sharpness`, which measure
    the same for a model of their own.

    Args:
        model: any module mapping images to logits (n, C).
        images: (n, 3, h, w) floating point in [0, 1].
        labels: (n,) int64.
        masks: parameter name to boolean tensor, True where active; None: nothing is pruned.
        params: "all", "weights" (tensors of dimension 2 and more), or "masked-layers".
        chunk: images per pass; None: 16 for predictions and the exact trace, 4 to 32 for estimated
            traces, 32 for eigenvalues and density, 64 for sharpness.
        seed: seed of all draws.
        dtype: type to compute in; that of the model when None.
        verdict: an earlier verdict of the gate on this architecture, to save its cost.

    Raises:
        InputError: an argument is wrong.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from robustbench_zosam.flatness import Curvature
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2, bias=False))
        >>> _ = nn.init.zeros_(model[1].weight)
        >>> images = torch.full((4, 3, 2, 2), 0.5)  # H = (diag(p) - p p^T) x x^T, of rank 1
        >>> curvature = Curvature(model, images, torch.tensor([0, 1, 0, 1]))
        >>> round(curvature.trace().value, 5), round(curvature.eigenvalues().lambda_1, 5)
        (1.5, 1.5)
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        masks: Masks | None = None,
        params: Params = "all",
        chunk: int | None = None,
        seed: int = 0,
        dtype: torch.dtype | None = None,
        verdict: GateResult | None = None,
    ) -> None:
        if dtype is not None and dtype not in (torch.float32, torch.float64):
            raise InputError(f"dtype must be torch.float32 or torch.float64, got {dtype}")
        self._model, self._data = unwrap(model), Data(images, labels)
        self._masks, self._params, self._dtype = masks, params, dtype
        self._chunk, self._seed = chunk, seed
        self._verdict = verdict
        self._predictions: Predictions | None = None

    def trace(
        self,
        *,
        method: MethodChoice = "auto",
        class_threshold: float = 1e-6,
        probes: int = 30,
        output_samples: int | None = None,
        include_pruned: bool = False,
    ) -> TraceResult:
        """Returns the trace of the Hessian, as `hessian_trace` does."""
        if method not in get_args(MethodChoice):
            raise InputError(
                f"method must be one of {', '.join(get_args(MethodChoice))}, got {method!r}"
            )
        if probes < 1:
            raise InputError(f"probes must be at least 1, got {probes}")
        samples = output_samples or max(8, math.ceil(_SAMPLES / len(self._data)))
        plan = SweepPlan(class_threshold, samples, self._seed)
        with self._opened(16, include_pruned) as model:
            few = max(4, len(self._data) // 8)  # of several chunks, each with probes of its own
            chunk = min(32, few) if self._chunk is None else self._chunk
            measured = TraceMeasurement(model, plan, probes, lambda: self._gate(model), chunk)
            return measured.measure(method)

    def eigenvalues(
        self,
        *,
        k: int = 5,
        steps: int = 20,
        tol: float = 1e-3,
        resolve: Resolve = "vectors",
        smallest: bool = True,
        matrix: Matrix = "hessian",
        include_pruned: bool = False,
        on_step: OnStep | None = None,
    ) -> EigenResult:
        """Returns the largest eigenvalues and the smallest, as `top_eigenvalues` does."""
        with self._opened(32, include_pruned) as model:
            return measure_eigenvalues(
                model,
                k=k,
                steps=steps,
                tol=tol,
                resolve=resolve,
                smallest=smallest,
                matrix=matrix,
                on_step=on_step,
            )

    def density(
        self,
        *,
        starts: int = 3,
        steps: int = 60,
        sigma: float | None = None,
        points: int = 513,
        matrix: Matrix = "hessian",
        include_pruned: bool = False,
        on_step: OnStep | None = None,
    ) -> DensityResult:
        """Returns the density of the eigenvalues, as `spectral_density` does."""
        with self._opened(32, include_pruned) as model:
            return measure_density(
                model,
                starts=starts,
                steps=steps,
                sigma=sigma,
                points=points,
                matrix=matrix,
                on_step=on_step,
            )

    def sharpness(
        self,
        measures: Sequence[SharpnessMeasure] = BRIEF,
        *,
        include_pruned: bool = False,
        on_measure: Callable[[int, int], None] | None = None,
    ) -> SharpnessResult:
        """Returns how much the loss rises around the model, as the function `sharpness` does."""
        if not measures:
            raise InputError("measures is empty: name at least one")
        with self._opened(64, include_pruned) as model:
            return measure_sharpness(model, measures, on_measure)

    @contextmanager
    def _opened(self, chunk: int, include_pruned: bool) -> Iterator[BoundModel]:
        """Opens the model for one measurement, and leaves it bit-identical."""
        chunk = chunk if self._chunk is None else self._chunk
        active = resolve(self._model, self._masks, self._params, include_pruned=include_pruned)
        with measuring(self._model), second_derivatives(), fitting(chunk):
            network = Network.of(self._model, self._dtype)
            if self._predictions is None:
                self._predictions = self._predict(network)
            yield BoundModel(
                network,
                self._data,
                active,
                self._predictions,
                self._params,
                include_pruned,
                chunk,
                self._seed,
            )

    def _predict(self, network: Network) -> Predictions:
        with accepting(self._data.images):
            found = predict(network, self._data, 16 if self._chunk is None else self._chunk)
        if not network(self._data.images[:2]).requires_grad:
            raise InputError(
                "the model's logits carry no gradient to its parameters; "
                "remove no_grad or detach from its forward method"
            )
        return found

    def _gate(self, model: BoundModel) -> GateResult:
        if self._verdict is None:
            self._verdict = gate(
                self._model, self._data.images, names=model.active.masks, seed=self._seed
            )
        return self._verdict
