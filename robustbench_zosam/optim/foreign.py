"""Optimizers named by their class, `package.module:Class`: of torch, or of any other package."""

from __future__ import annotations

import inspect

from torch.optim import Optimizer

from robustbench_zosam.checks import constructor_options
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.base import WrappedOptimizer
from robustbench_zosam.optim.info import OptimizerInfo
from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.options import Option, Text
from robustbench_zosam.registry import said
from robustbench_zosam.user_code import named, require_allowed

_SHARED = {"params", "lr", "weight_decay", "momentum"}  # settings of the training
_TRUSTED = "torch.optim."


def register_class(path: str, *, allow_code: bool) -> str:
    """Registers a class among the optimizers and returns the name it goes by there.

    Any `torch.optim.Optimizer` takes its step behind `Plain`, with masks and counters; a class of
    this package's kind, as in `docs/optimizers/README.md`, is taken as it is.

    Args:
        path: `package.module:Class`.
        allow_code: whether modules other than torch's own may be imported.

    Returns:
        The class's name in lower case, with its package before it where that is taken.

    Raises:
        InputError: the code is not allowed, cannot be imported, or is no optimizer.
    """
    module, _, attribute = path.partition(":")
    if not f"{module}.".startswith(_TRUSTED):
        require_allowed(f"optimizer {path}", allow_code)
    name = _short(attribute)
    if name in OPTIMIZERS and OPTIMIZERS[name].target != path:
        name = f"{_short(module.partition('.')[0])}-{name}"
    if name not in OPTIMIZERS:
        OPTIMIZERS.add(_entry(name, path, _load(path)))
    elif OPTIMIZERS[name].target != path:
        raise InputError(
            f"the optimizers {OPTIMIZERS[name].target} and {path} would both be called {name}: run "
            "them in experiments of their own"
        )
    return name


def _short(name: str) -> str:
    return name.lower().replace("_", "-").strip("-")


def _load(path: str) -> type[Optimizer]:
    try:
        found = named(path)
    except Exception as error:
        raise InputError(f"the optimizer {path} cannot be imported: {said(error)}") from error
    if not isinstance(found, type) or not issubclass(found, Optimizer):
        raise InputError(f"{path} is no class of torch.optim.Optimizer")
    return found


def _entry(name: str, path: str, kind: type[Optimizer]) -> OptimizerInfo:
    options: dict[str, Option] = {}
    parameters = inspect.signature(kind).parameters
    for option in constructor_options(kind):
        default = parameters[option].default if option in parameters else None
        plain = default is None or isinstance(default, bool | int | float | str)
        if option not in _SHARED and plain and not issubclass(kind, WrappedOptimizer):
            options[option] = Text(default, f"of {kind.__name__}")
    return OptimizerInfo(
        name,
        f"{kind.__name__} of {path.partition(':')[0]}",
        path,
        path,
        label=kind.__name__ if name == _short(kind.__name__) else f"{kind.__name__} ({path})",
        options=options,
    )
