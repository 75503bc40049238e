"""Whether tensors fit an architecture, and a sentence saying where they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.errors import InputError

_NAMED = 3  # tensors that a message names of each kind
_COUNTER = ".num_batches_tracked"


def fill_in(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Adds the batch-norm counters that old files lack; they change no prediction."""
    counters = {name: value for name, value in expected.items() if name.endswith(_COUNTER)}
    return counters | dict(state)


def require_fit(
    file: Path, config: ModelConfig, network: nn.Module, state: Mapping[str, Tensor]
) -> None:
    """Refuses tensors that are missing, extra, of another shape, or not finite.

    Raises:
        InputError: naming the first few of each kind.
    """
    expected = network.state_dict()
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
    broken = [name for name, value in state.items() if not value.isfinite().all()]
    if broken:
        raise InputError(
            f"the checkpoint {file} has values in {broken[0]} that are not finite numbers: "
            "its training diverged"
        )


def _count(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    more = ", …" if len(names) > _NAMED else ""
    return f"{len(names)} tensor(s) {what} ({', '.join(names[:_NAMED])}{more})"
