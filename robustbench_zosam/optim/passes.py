"""The passes of one step: the only place where the closure is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.answers import losses_of, scalar_of
from robustbench_zosam.optim.arithmetic import Precision, Rounding, arithmetic
from robustbench_zosam.optim.asking import Closure, accepts, require_argument
from robustbench_zosam.optim.attached import hooks_at_rest
from robustbench_zosam.optim.deferred import (
    PreparedGradient,
    constant,
    deferred_backward,
    losses_alone,
)
from robustbench_zosam.optim.guards import BufferGuard, RngReplay, SavedBuffers, copy_all
from robustbench_zosam.optim.per_example import squared_gradients
from robustbench_zosam.optim.ranks import Ranks
from robustbench_zosam.optim.space import ParameterSpace


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
        rounding: of the losses so far, and of the layers where no gradient was taken at once.
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
        self._saved = SavedBuffers()
        self._batch_size = 0
        self._weight = 1.0  # of a pass, in passes of the mini-batch
        self._accumulate = accumulate
        self.rounding = Rounding()
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
                with self._buffers.frozen(self._saved):
                    loss = self._run(True, examples, each)
            else:
                loss = self._run(True, examples, each)
                self._updates()
        if all(p.grad is None or before.get(id(p.grad)) == p.grad._version for p in self._params):
            raise InputError(
                "the closure left no gradients: let it call loss.backward(), on a loss of the "
                "parameters that this optimizer has"
            )
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
        left: list[tuple[Tensor, Tensor]] = []
        with (
            self._buffers.frozen(self._saved, left=left if graph else None),
            torch.enable_grad(),
            self._ranks.separate(),
            deferred_backward() as calls,
            self._arithmetic("same"),
            nullcontext() if graph else constant(self._params),
        ):
            loss = self._run(True, None, False)
        if calls:
            return PreparedGradient(loss, calls, left)
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
            copy_all([buffer for buffer, _ in prepared.left], [value for _, value in prepared.left])
            self._updates()
        self._cost.backwards += self._weight
        return prepared.loss

    def squared_gradients(
        self, model: nn.Module, space: ParameterSpace, count: int
    ) -> Tensor | None:
        """Returns the sum of the squared gradients of the first examples, as passes of one would.

        Shape (d,), buffers and gradients left as they were; None where examples cannot be run
        together (see `per_example`).
        """
        torch.clear_autocast_cache()
        with self._rng.replay(whole=False):
            total = squared_gradients(self.closure, model, space, count)
        if total is not None:
            self._cost.forwards += count / self._batch_size
            self._cost.backwards += count / self._batch_size
        return total

    def _updates(self) -> None:
        """Notes that a pass has updated the buffers: what was saved of them is out of date."""
        self._updated_buffers = True
        self._saved = SavedBuffers()

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
        precision: Precision = "fp32",
    ) -> Tensor:
        """Returns the loss of a forward pass alone, buffers left as they were.

        The loss is detached, at least in float32; the mean unless `each` (see `gradient`). The
        backward pass of a closure that takes no `backward` is held back.

        Args:
            fraction: of the mini-batch to look at, its first examples.
            buffers: let this pass update the buffers if none of this step has, for methods
                without a gradient pass.
            precision: see `arithmetic`; `"same"` is that of a gradient pass.
        """
        updates = buffers and not self._updated_buffers
        with (
            nullcontext() if updates else self._buffers.frozen(self._saved),
            torch.no_grad(),
            self._ranks.separate(),
            self._arithmetic(precision),
        ):
            value = self._run(False, examples, each, fraction)
        if updates:
            self._updates()
        return value.to(torch.promote_types(value.dtype, torch.float32))

    def _arithmetic(self, precision: Precision) -> AbstractContextManager[None]:
        return arithmetic(precision, self.device, self._params, self.rounding)

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
        value = losses_of(loss) if each else scalar_of(loss)
        self.rounding.note_loss(value.dtype)
        return value

    def part(self, closure: Closure, weight: float) -> Passes:
        """Returns the passes over a part of the mini-batch, each of which counts as that part."""
        part = Passes(
            closure, self._params, self._cost, self._buffers, self.device, ranks=self._ranks
        )
        part.watch, part._weight = self.watch, weight
        part._updated_buffers = self._updated_buffers
        self._updates()
        return part

    def rewind(self) -> None:
        """Goes back to the random state of the first pass, for a pass that the caller makes."""
        self._rng.rewind()

    def _share(self, examples: Tensor | None) -> float:
        if examples is None:
            return 1
        assert self._batch_size, "the size of the mini-batch is known after a pass over all of it"
        return len(examples) / self._batch_size
