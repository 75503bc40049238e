"""What a forward pass leaves behind, and how to undo it: random numbers and buffers."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.weak import WeakIdKeyDictionary

from robustbench_zosam.errors import InputError


def random_state(device: torch.device) -> list[Tensor]:
    """Returns the state of torch's global generators: the CPU's, and the device's if it has one."""
    states = [torch.get_rng_state()]
    if device.type != "cpu":
        states.append(torch.get_device_module(device).get_rng_state(device))
    return states


def set_random_state(states: list[Tensor], device: torch.device) -> None:
    """Goes back to what `random_state` returned, as far as it is for this kind of device."""
    torch.set_rng_state(states[0])
    if device.type != "cpu" and len(states) > 1:
        torch.get_device_module(device).set_rng_state(states[1], device)


class RngReplay:
    """Gives every pass of a step the same random draws (dropout, stochastic depth, augmentation).

    The state at the end of a step is that after one pass, as under the base optimizer. Covers
    torch's generators of the CPU and of one device, where the model runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._start: list[Tensor] | None = None

    @contextmanager
    def replay(self, *, whole: bool = True) -> Iterator[None]:
        """Runs a pass from the state the first pass started from.

        Args:
            whole: whether the pass is over the whole mini-batch; one over a part, which draws
                fewer numbers, leaves the state as it was before.

        Yields:
            Nothing.
        """
        before = None if whole else random_state(self._device)
        if self._start is None:
            self._start = random_state(self._device)
        else:
            set_random_state(self._start, self._device)
        try:
            yield
        finally:
            if before is not None:
                set_random_state(before, self._device)

    def rewind(self) -> None:
        """Goes back to where the first pass started from, if there was one."""
        if self._start is not None:
            set_random_state(self._start, self._device)


# gradients that a step has left, and their versions
_known: MutableMapping[Tensor, int] = WeakIdKeyDictionary()


def note_gradients(params: Iterable[Tensor]) -> None:
    """Remembers gradients as those of a step that is over."""
    for param in params:
        if param.grad is not None:
            _known[param.grad] = param.grad._version


def has_foreign_gradients(params: Iterable[Tensor]) -> bool:
    """Returns whether there are gradients that no step has left and that are not zero."""
    found = [p.grad for p in params if p.grad is not None]
    foreign = [grad.any() for grad in found if _known.get(grad) != grad._version]
    return bool(foreign) and bool(torch.stack(foreign).any())  # waits for the device once


class BufferGuard:
    """Leaves the buffers of a model as they were: batch-norm statistics and counters, and others.

    Buffers are saved and copied back rather than frozen by a flag, so that the modules compute in
    their own mode (training-mode batch statistics), of whatever class they are, and nesting is
    harmless.

    Args:
        model: whose buffers; None finds them as the modules run, through a global forward
            pre-hook. Give the model where hooks do not fire (`torch.compile`, `torch.jit`): a
            compiled module with buffers that the hook comes across is an `InputError`.
        params: of the model, if known; where no module is seen to run although one has them, and
            buffers, compiled code is suspected.
    """

    def __init__(self, model: nn.Module | None = None, params: Sequence[Tensor] = ()) -> None:
        self._owners = None if model is None else [m for m in model.modules() if m._buffers]
        self._params, self._suspected = list(params), False

    @contextmanager
    def frozen(
        self,
        saved: SavedBuffers | None = None,
        *,
        left: list[tuple[Tensor, Tensor]] | None = None,
    ) -> Iterator[None]:
        """Restores, on leaving, every buffer a pass inside may have changed.

        Args:
            saved: what was saved before the same state was left, to be used and added to.
            left: takes in the buffers and the values that the pass leaves in them.

        Yields:
            Nothing.

        Raises:
            InputError: a compiled module ran, and the model was not given.
        """
        saved = SavedBuffers() if saved is None else saved
        hook = None
        if self._owners is None:
            hook = register_module_forward_pre_hook(saved.meet)
        else:
            saved.extend(self._owners)
        try:
            yield
        finally:
            if hook is not None:
                hook.remove()
            if left is not None:
                left += saved.present()
            saved.restore()
        if self._owners is None and saved.compiled:
            raise InputError(
                "the closure runs a module compiled by torch.compile, whose buffers (batch-norm "
                "statistics) would be updated by every pass: give the whole network to the "
                "optimizer, as in SAM(model.parameters(), model=model)"
            )
        if self._owners is None and not saved.met and not self._suspected:
            self._suspect()

    def _suspect(self) -> None:
        """Warns where compiled code may have run the modules, since none was seen to run."""
        self._suspected = True  # once is enough
        dynamo = sys.modules.get("torch._dynamo")
        if dynamo and dynamo.convert_frame.FRAME_COUNTER and _have_buffers(self._params):
            warnings.warn(
                "no module was seen to run in the closure: if it runs a function compiled by "
                "torch.compile, give the optimizer model=, or every pass updates batch-norm "
                "statistics",
                stacklevel=2,
            )


class SavedBuffers:
    """Copies of buffers, and where they belong."""

    def __init__(self) -> None:
        self.met, self.compiled = False, False
        self._seen: set[nn.Module] = set()
        self._buffers: list[Tensor] = []
        self._copies: list[Tensor] = []

    @property
    def buffers(self) -> list[Tensor]:
        """The buffers that were met, as they are now."""
        return list(self._buffers)

    def meet(self, module: nn.Module, _: object) -> None:
        """Takes the buffers of a module that is about to run, as a forward pre-hook."""
        if torch.compiler.is_compiling():  # traced, and replayed at every run
            self.met = True
            if len(module._buffers) > 0:
                self.compiled = True
            return
        self.met = True
        if "_orig_mod" in module._modules:  # torch.compile's wrapper
            self.compiled |= any(True for _ in module.buffers())
        self.add(module)

    def add(self, module: nn.Module) -> None:
        """Copies the buffers of a module, once."""
        if module._buffers and module not in self._seen:
            self.extend([module])

    def extend(self, modules: list[nn.Module]) -> None:
        """Copies the buffers of modules that were not seen before."""
        new = [module for module in modules if module not in self._seen]
        self._seen.update(new)
        found = [b for m in new for b in m._buffers.values() if b is not None]
        copies = [torch.empty_like(buffer) for buffer in found]
        copy_all(copies, found)
        self._buffers += found
        self._copies += copies

    def present(self) -> list[tuple[Tensor, Tensor]]:
        """Returns the buffers and new copies of what they hold now."""
        values = [torch.empty_like(buffer) for buffer in self._buffers]
        copy_all(values, self._buffers)
        return list(zip(self._buffers, values, strict=True))

    def restore(self) -> None:
        """Brings the copies back."""
        copy_all(self._buffers, self._copies)


def _have_buffers(params: Sequence[Tensor]) -> bool:
    """Returns whether a living module has some of the parameters, and buffers; a slow search."""
    wanted = set(map(id, params))
    modules = [found for found in gc.get_objects() if issubclass(type(found), nn.Module)]
    return any(
        any(True for _ in m.buffers()) and any(id(p) in wanted for p in m.parameters())
        for m in modules
        if "_parameters" in m.__dict__
    )


@torch.no_grad()
def copy_all(targets: list[Tensor], sources: list[Tensor]) -> None:
    """Copies tensors into others, one kernel for each type."""
    targets = [tensor.data for tensor in targets]  # a graph may hold them: see `displace`
    for dtype in {tensor.dtype for tensor in targets}:  # fused copies need one type
        chosen = [i for i, tensor in enumerate(targets) if tensor.dtype == dtype]
        torch._foreach_copy_([targets[i] for i in chosen], [sources[i] for i in chosen])
