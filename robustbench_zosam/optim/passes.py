"""The passes of one step: the only place where the closure is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.arithmetic import Precision, Rounding, arithmetic
from robustbench_zosam.optim.asking import Closure, accepts, require_argument
from robustbench_zosam.optim.deferred import Backward, deferred_backward
from robustbench_zosam.optim.guards import BufferGuard, RngReplay, SavedBuffers, copy_all
from robustbench_zosam.optim.per_example import squared_gradients
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


@dataclass
class PreparedGradient:
    """A forward pass whose backward pass is to be decided on.

    Attributes:
        loss: detached.
        calls: the backward passes that the closure asked for.
        left: buffers, and the values that the pass left in them.
    """

    loss: Tensor
    calls: list[Backward]
    left: list[tuple[Tensor, Tensor]]


class Passes:
    """Forward and backward passes of one mini-batch, counted, on the same random draws.

    The first gradient pass updates the buffers (batch-norm statistics); no other pass does.

    Args:
        closure: computes the loss; `closure()` also its gradients.
        params: whose gradients are cleared before each gradient pass.
        cost: counters to advance.
        buffers: guard of the model's buffers.
        device: where the model runs.
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
        accumulate: bool = False,
    ) -> None:
        self._closure = closure
        self._params = list(params)
        self._cost = cost
        self._buffers = buffers
        self._device = device
        self._rng = RngReplay(device)
        self._updated_buffers = False
        self._saved = SavedBuffers()
        self._batch_size = 0
        self._accumulate = accumulate
        self.rounding = Rounding()
        self.watch: Callable[[], None] | None = None

    def gradient(self, examples: Tensor | None = None, *, each: bool = False) -> Tensor:
        """Runs a forward and a backward pass; the gradients of the mean loss are in `grad`.

        Args:
            examples: positions in the mini-batch, (k,); None is all of it.
            each: whether to return the loss of each example, shape (b,) or (k,).

        Returns:
            The loss, detached; the mean unless `each`.
        """
        self._start_gradient()
        with torch.enable_grad():
            if self._updated_buffers:
                with self._buffers.frozen(self._saved):
                    loss = self._run(True, examples, each)
            else:
                loss = self._run(True, examples, each)
                self._updates()
        self._cost.backwards += self._share(examples)
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
            deferred_backward() as calls,
            self._arithmetic("same"),
            nullcontext() if graph else _constant(self._params),
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
        self._cost.backwards += 1
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
            total = squared_gradients(self._closure, model, space, count)
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
            self._arithmetic(precision),
        ):
            value = self._run(False, examples, each, fraction)
        if updates:
            self._updates()
        return value.to(torch.promote_types(value.dtype, torch.float32))

    def _arithmetic(self, precision: Precision) -> AbstractContextManager[None]:
        return arithmetic(precision, self._device, self._params, self.rounding)

    def _run(
        self, backward: bool, examples: Tensor | None, each: bool, fraction: float = 1.0
    ) -> Tensor:
        arguments: dict[str, object] = {}
        held = not backward and not accepts(self._closure, "backward")
        if not backward and not held:
            arguments["backward"] = False
        if examples is not None:
            arguments["examples"] = examples
        if each:
            arguments["reduction"] = "none"
        if fraction < 1:
            arguments["fraction"] = fraction
        for name in arguments:
            require_argument(self._closure, name)
        torch.clear_autocast_cache()  # an open region would use weights cast before they were moved
        with (
            self._rng.replay(whole=examples is None and fraction == 1),
            deferred_backward() if held else nullcontext(),
        ):
            loss = self._closure(**arguments)
        if each and examples is None and isinstance(loss, Tensor):
            self._batch_size = loss.numel()
        self._cost.forwards += fraction if fraction < 1 else self._share(examples)
        value = _losses(loss) if each else _scalar(loss)
        self.rounding.note_loss(value.dtype)
        return value

    def _share(self, examples: Tensor | None) -> float:
        if examples is None:
            return 1
        assert self._batch_size, "the size of the mini-batch is known after a pass over all of it"
        return len(examples) / self._batch_size


@contextmanager
def _constant(params: Sequence[Tensor]) -> Iterator[None]:
    """Builds no graph on the parameters inside, although gradients are enabled."""
    trainable = [p for p in params if p.requires_grad]
    for p in trainable:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trainable:
            p.requires_grad_(True)


def _scalar(loss: object) -> Tensor:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise InputError(
            f"the closure returned {got}: return the mean loss as a tensor of one value"
        )
    return loss.detach().reshape(())


def _losses(losses: object) -> Tensor:
    if not isinstance(losses, Tensor) or losses.ndim != 1:
        got = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
        raise InputError(
            f"the closure returned {got} for reduction='none': return the loss of each example, "
            "a tensor of one dimension"
        )
    return losses.detach()
