"""Whether tensors fit an architecture, and a sentence saying where they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.models.classifier import build_model
from robustbench_zosam.models.naming import origin

_NAMED = 3  # tensors that a message names of each kind
_COUNTER = ".num_batches_tracked"
_VARIANCE = ".running_var"
_LARGEST = 1e18  # beyond it float32 overflows when squared, and no trained network goes there
_DRAWS = {"normal_", "uniform_", "erfinv_", "bernoulli_", "random_"}
_CANNOT = (RuntimeError, NotImplementedError, ValueError, TypeError)

State = Mapping[str, Tensor]


def skeleton(config: ModelConfig, classes: int, image_size: int | None) -> dict[str, Tensor]:
    """Returns names, shapes and types of a network's tensors, without memory for their values.

    Third-party code is built as it is: not all of it can do without values.
    """
    if origin(config.name) == "code":
        return _backbone(config, classes, image_size).state_dict()
    with torch.device("meta"), _NoDraws():
        try:
            return _backbone(config, classes, image_size).state_dict()
        except _CANNOT as error:
            if isinstance(error, InputError):
                raise
    return _backbone(config, classes, image_size).state_dict()


def class_axes(config: ModelConfig, image_size: int | None) -> dict[str, int | None]:
    """Returns the axis of each tensor that has an entry for each class; None for those without."""
    one, two = (skeleton(config, count, image_size) for count in (1, 2))
    found: dict[str, int | None] = {}
    for name, value in one.items():
        sizes = enumerate(zip(value.shape, two[name].shape, strict=True))
        found[name] = next((axis for axis, (a, b) in sizes if a != b), None)
    return found


class _NoDraws(TorchFunctionMode):
    """Leaves out random initialisation, for which the meta device would import half of torch."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        given = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__ and "tensor" in given:
            return given["tensor"]
        if getattr(func, "__name__", "") in _DRAWS and args:
            return args[0]
        return func(*args, **given)


def _backbone(config: ModelConfig, classes: int, image_size: int | None) -> nn.Module:
    return build_model(config, classes, (0,) * 3, (1,) * 3, image_size=image_size).backbone


def fill_in(state: State, expected: State) -> dict[str, Tensor]:
    """Adds the batch-norm counters that old files lack; they change no prediction."""
    counters = {
        name: torch.zeros(value.shape, dtype=value.dtype)
        for name, value in expected.items()
        if name.endswith(_COUNTER)
    }
    return counters | dict(state)


def require_fit(file: Path, config: ModelConfig, expected: State, state: State) -> None:
    """Refuses tensors that are missing, extra, of another shape or type, or no weights.

    Args:
        expected: names, shapes and types, from `skeleton`.

    Raises:
        InputError: naming the first few of each kind.
    """
    shapes = [
        f"{name} has shape {tuple(state[name].shape)}, not {tuple(value.shape)}"
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    ]
    problems = [
        _count([name for name in expected if name not in state], "missing"),
        _count([name for name in state if name not in expected], "not part of it"),
        _count(shapes, "of another shape"),
    ]
    said = "; ".join(problem for problem in problems if problem)
    if said:
        raise InputError(
            f"the checkpoint {file} does not fit {config.name} of width {config.width:g} with the "
            f"classes of the data: {said}: name its architecture with --model, its width with "
            "--set model.width=W, its data with --data"
        )
    for name, value in state.items():
        _require_type(file, name, value, expected[name])
        _require_values(file, name, value.to(expected[name].dtype))


def _require_type(file: Path, name: str, value: Tensor, expected: Tensor) -> None:
    wanted, given = expected.dtype, value.dtype
    fits = given.is_floating_point if wanted.is_floating_point else _is_integer(given)
    if not fits:
        raise InputError(
            f"the checkpoint {file} has {name} of type {given}, not {wanted}: save the weights "
            "that were trained"
        )


def _is_integer(dtype: torch.dtype) -> bool:
    return not (dtype.is_floating_point or dtype.is_complex)


def _require_values(file: Path, name: str, value: Tensor) -> None:
    if not value.isfinite().all():
        raise InputError(
            f"the checkpoint {file} has values in {name} that are not finite numbers: "
            "its training diverged"
        )
    if not value.numel():
        return
    low, high = (float(limit) for limit in value.aminmax())
    positive = name.endswith((_VARIANCE, _COUNTER))
    if (positive and low < 0) or (value.is_floating_point() and max(-low, high) > _LARGEST):
        raise InputError(
            f"the checkpoint {file} has values from {low:.3g} to {high:.3g} in {name}, which no "
            "trained network has: it is damaged"
        )


def require_finite_predictions(file: Path, model: nn.Module, image_size: int | None) -> None:
    """Tries a network on one grey image; without the size of its images nothing is tried.

    Raises:
        InputError: it predicts what is no number.
    """
    if image_size is None:
        return
    with torch.no_grad():
        logits = model(torch.full((1, 3, image_size, image_size), 0.5))
    if not logits.isfinite().all():
        raise InputError(
            f"the checkpoint {file} predicts NaN or infinity for a grey image: it is damaged, or "
            "its training diverged"
        )


def _count(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    more = ", …" if len(names) > _NAMED else ""
    return f"{len(names)} tensor(s) {what} ({', '.join(names[:_NAMED])}{more})"
