"""What a closure can be asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from weakref import WeakKeyDictionary

from torch import Tensor

from robustbench_zosam.errors import InputError

Closure = Callable[..., Tensor]
"""`closure(backward=True)` -> mean loss; without arguments it is torch's own convention.

Methods that look at single examples call `closure(backward, examples=None, reduction="mean")`:
`examples` are positions in the mini-batch, shape (k,), None for all; with `reduction="none"` the
result is the loss of each example, while the backward pass is still that of their mean. Methods
with `probe_fraction` < 1 call `closure(backward=False, fraction=1.0)`: the mean loss of the first
`ceil(fraction * n)` examples. `make_closure` builds a closure that understands all of it.
"""

_WHY = {
    "examples": "parts of the mini-batch: let the closure take an argument, "
    "closure(backward=True, examples=None, reduction='mean'), and use only these positions",
    "reduction": "the loss of each example: let the closure take an argument, closure("
    "backward=True, examples=None, reduction='mean'), hand it to the loss function, and call "
    "loss.mean().backward()",
    "fraction": "losses of a part of the mini-batch (probe_fraction < 1): let the closure take an "
    "argument, closure(backward=True, fraction=1.0), and use the first ceil(fraction * n) examples",
}


def require_argument(closure: Closure, name: str) -> None:
    """Refuses a closure that does not take an argument a method asks with."""
    if not accepts(closure, name):
        raise InputError(f"this optimizer needs {_WHY[name]}")


_ANY = "**"
_SIGNATURES: WeakKeyDictionary[object, frozenset[str]] = WeakKeyDictionary()


def accepts(closure: Closure, name: str) -> bool:
    """Returns whether a closure takes an argument of this name; looks at each closure once.

    Functions made again and again from the same code, as in a training loop, count as one.
    """
    function = getattr(closure, "__func__", closure)
    plain = isinstance(function, FunctionType) and not function.__dict__
    key = function.__code__ if plain else function
    try:
        names = _SIGNATURES.get(key)
        if names is None:
            names = _SIGNATURES[key] = _argument_names(closure)
    except TypeError:  # without a hash, or out of reach of weak references
        names = _argument_names(closure)
    return name in names or _ANY in names


def _argument_names(closure: Closure) -> frozenset[str]:
    parameters = inspect.signature(closure).parameters.values()
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = {p.name for p in parameters if p.kind in by_name}
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        names.add(_ANY)
    return frozenset(names)
