"""The passes of one step: the only place where the closure is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.answers import losses_of, scalar_of
from robustbench_zosam.optim.attached import hooks_at_rest
from robustbench_zosam.optim.deferred import (
    PreparedGradient,
    constant,
    deferred_backward,
    losses_alone,
)
from robustbench_zosam.optim.guards import BufferGuard, RngReplay
from robustbench_zosam.optim.ranks import Ranks
from robustbench_zosam.precision import ieee_float32

Closure = Callable[..., Tensor]
"""`closure(backward=True)` -> mean loss; without arguments it is torch's own convention.

Methods that look at single examples call `closure(backward, examples=None, reduction="mean")`:
`examples` are positions in the mini-batch, shape (k,), None for all; with `reduction="none"` the
result is the loss of each example, while the backward pass is still that of their mean. Methods
with `probe_fraction` < 1 call `closure(backward=False, fraction=1.0)`: the mean loss of the first
`ceil(fraction * n)` examples. `make_closure` builds a closure that understands all of it.
"""


@dataclass
class PassCounts:
    """What training has cost so far.

    Attributes:
        forwards: forward passes of a mini-batch, with and without a backward pass; a pass over a
            part of the mini-batch counts as that part.
        backwards: backward passes, likewise.
        steps: optimizer steps, topology updates included.
    """

    forwards: float = 0
    backwards: float = 0
    steps: int = 0


class Passes:
    """Forward and backward passes of one mini-batch, counted, on the same random draws.

    The first gradient pass updates the buffers (batch-norm statistics); no other pass does.

    Args:
        closure: computes the loss; `closure()` also its gradients.
        params: whose gradients are cleared before each gradient pass.
        cost: counters to advance.
        buffers: guard of the model's buffers.
        device: where the model runs.
        ranks: the processes of data-parallel training.
        accumulate: leave the gradients that are there for the first gradient pass to add to.

    Attributes:
        watch: called before each gradient is taken, with the weights where it is taken.
    """

    def __init__(
        self,
        closure: Closure,
        params: Iterable[Tensor],
        cost: PassCounts,
        buffers: BufferGuard,
        device: torch.device,
        *,
        ranks: Ranks | None = None,
        accumulate: bool = False,
    ) -> None:
        self._ranks = Ranks() if ranks is None else ranks
        self.closure = closure
        self._params = list(params)
        self._cost = cost
        self._buffers = buffers
        self.device = device
        self._rng = RngReplay(device)
        self._updated_buffers = False
        self._batch_size = 0
        self._weight = 1.0  # of a pass, in passes of the mini-batch
        self._accumulate = accumulate
        self.watch: Callable[[], None] | None = None

    def gradient(
        self, examples: Tensor | None = None, *, each: bool = False, separate: bool = False
    ) -> Tensor:
        """Runs a forward and a backward pass; the gradients of the mean loss are in `grad`.

        Args:
            examples: positions in the mini-batch, (k,); None is all of it.
            each: whether to return the loss of each example, shape (b,) or (k,).
            separate: leave the gradients of this rank alone, which the caller averages.

        Returns:
            The loss, detached; the mean unless `each`.

        Raises:
            InputError: the closure left no gradients.
        """
        self._start_gradient()
        before = {id(p.grad): p.grad._version for p in self._params if p.grad is not None}
        with torch.enable_grad(), self._ranks.separate(always=separate):
            if self._updated_buffers:
                with self._buffers.frozen():
                    loss = self._run(True, examples, each)
            else:
                loss = self._run(True, examples, each)
        if all(p.grad is None or before.get(id(p.grad)) == p.grad._version for p in self._params):
            raise InputError(
                "the closure left no gradients: let it call loss.backward(), on a loss of the "
                "parameters that this optimizer has"
            )
        self._updated_buffers = True
        self._cost.backwards += self._share(examples) * self._weight
        return loss

    def prepare(self, *, graph: bool = True) -> PreparedGradient | None:
        """Runs the forward pass of a gradient pass, in its precision; its backward pass may follow.

        Buffers are left as they were. The graph stays in memory until its backward pass has run or
        the result is dropped.

        Args:
            graph: False builds none, for a pass that is there for its loss.

        Returns:
            The loss and the backward pass; None where the closure took gradients in another way
            than by `backward`.
        """
        self._clear_gradients()
        with (
            self._buffers.frozen(keep=graph) as buffers,
            torch.enable_grad(),
            self._ranks.separate(),
            deferred_backward() as calls,
            nullcontext() if graph else constant(self._params),
        ):
            loss = self._run(True, None, False)
        if calls:
            return PreparedGradient(loss, calls, buffers)
        self._clear_gradients()
        return None

    def take(self, prepared: PreparedGradient) -> Tensor:
        """Runs the backward pass that was prepared; the weights are where they were then.

        Returns:
            The loss, detached.
        """
        self._start_gradient()
        for call in prepared.calls:
            call()
        if not self._updated_buffers:
            prepared.buffers.exchange()
        self._updated_buffers = True
        self._cost.backwards += self._weight
        return prepared.loss

    def _start_gradient(self) -> None:
        if self.watch is not None:
            self.watch()
        self._clear_gradients()

    def _clear_gradients(self) -> None:
        if self._accumulate:
            self._accumulate = False
            return
        for param in self._params:
            param.grad = None

    def loss(
        self,
        examples: Tensor | None = None,
        *,
        each: bool = False,
        fraction: float = 1.0,
        buffers: bool = False,
        exact: bool = True,
    ) -> Tensor:
        """Returns the loss of a forward pass alone, buffers left as they were.

        The loss is detached, at least in float32; the mean unless `each` (see `gradient`). The
        backward pass of a closure that takes no `backward` is held back.

        Args:
            fraction: of the mini-batch to look at, its first examples.
            buffers: let this pass update the buffers if none of this step has, for methods
                without a gradient pass.
            exact: in full precision: autocast and TF32 are off; an autocast region that the closure
                opens itself is out of reach. Else in the precision of a gradient pass.
        """
        updates = buffers and not self._updated_buffers
        with (
            nullcontext() if updates else self._buffers.frozen(),
            torch.no_grad(),
            self._ranks.separate(),
            _full_precision(self.device) if exact else nullcontext(),
        ):
            value = self._run(False, examples, each, fraction)
        self._updated_buffers |= updates
        return value.to(torch.promote_types(value.dtype, torch.float32))

    def _run(
        self, backward: bool, examples: Tensor | None, each: bool, fraction: float = 1.0
    ) -> Tensor:
        arguments: dict[str, object] = {}
        held = not backward and not accepts(self.closure, "backward")
        if not backward and not held:
            arguments["backward"] = False
        if examples is not None:
            arguments["examples"] = examples
        if each:
            arguments["reduction"] = "none"
        if fraction < 1:
            arguments["fraction"] = fraction
        for name in arguments:
            require_argument(self.closure, name)
        torch.clear_autocast_cache()  # an open region would use weights cast before they were moved
        with (
            self._rng.replay(whole=examples is None and fraction == 1),
            losses_alone(self._params) if held else nullcontext(),
            hooks_at_rest(),
        ):
            loss = self.closure(**arguments)
        if each and examples is None and isinstance(loss, Tensor):
            self._batch_size = loss.numel()
        share = fraction if fraction < 1 else self._share(examples)
        self._cost.forwards += share * self._weight
        return losses_of(loss) if each else scalar_of(loss)

    def part(self, closure: Closure, weight: float) -> Passes:
        """Returns the passes over a part of the mini-batch, each of which counts as that part."""
        part = Passes(
            closure, self._params, self._cost, self._buffers, self.device, ranks=self._ranks
        )
        part.watch, part._weight = self.watch, weight
        part._updated_buffers = self._updated_buffers
        self._updated_buffers = True
        return part

    def rewind(self) -> None:
        """Goes back to the random state of the first pass, for a pass that the caller makes."""
        self._rng.rewind()

    def _share(self, examples: Tensor | None) -> float:
        if examples is None:
            return 1
        assert self._batch_size, "the size of the mini-batch is known after a pass over all of it"
        return len(examples) / self._batch_size


_WHY = {
    "examples": "parts of the mini-batch: let the closure take an argument, "
    "closure(backward=True, examples=None, reduction='mean'), and use only these positions",
    "reduction": "the loss of each example: let the closure take an argument, closure("
    "backward=True, examples=None, reduction='mean'), hand it to the loss function, and call "
    "loss.mean().backward()",
    "fraction": "losses of a part of the mini-batch (probe_fraction < 1): let the closure take an "
    "argument, closure(backward=True, fraction=1.0), and use the first ceil(fraction * n) examples",
}


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Turns autocast off, and reduced precision behind float32."""
    with torch.autocast(device.type, enabled=False), ieee_float32():
        yield


def require_argument(closure: Closure, name: str) -> None:
    """Refuses a closure that takes no argument of this name, in a sentence that says why."""
    if not accepts(closure, name):
        raise InputError(f"this optimizer needs {_WHY[name]}")


def accepts(closure: Closure, name: str) -> bool:
    """Returns whether a closure takes an argument of this name."""
    parameters = inspect.signature(closure).parameters.values()
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return any(
        p.kind is inspect.Parameter.VAR_KEYWORD or (p.name == name and p.kind in by_name)
        for p in parameters
    )
