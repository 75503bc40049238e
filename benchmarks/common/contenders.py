"""The optimizers that are timed: this package's, and those of `pytorch_optimizer`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from common.peers import install, peer_folder
from robustbench_zosam.optim import OPTIMIZERS, create_optimizer

PEER = "pytorch-optimizer==4.1.0"
PEER_FOLDER = peer_folder("peer-pytorch-optimizer")
STEPS_PER_EPOCH, SINGLES = 391, 16
VARIANTS: dict[str, dict[str, Any]] = {
    "late": {"reuse": "late"},
    "none": {"reuse": "none"},
    "quarter batch": {"probe_fraction": 0.25},
}
THEIRS = {"SAM": "sam", "LookSAM": "looksam", "GSAM": "gsam", "FriendlySAM": "friendly-sam"}


@dataclass
class Contender:
    """One optimizer on one network.

    Attributes:
        label: as the table prints it.
        step: makes one step with a closure.
        rare: prepares a step with what happens once in `period` steps; None if nothing does.
        usual: prepares a step without it.
        period: steps.
        times: how often it happens then.
    """

    label: str
    step: Callable[[Any], Any]
    rare: Callable[[], None] | None = None
    usual: Callable[[], None] = lambda: None
    period: int = 1
    times: float = 1.0


class Meter:
    """A closure that knows how long it ran, and the backward passes that were put off after it."""

    def __init__(self, closure, clock: Callable[[], float]) -> None:
        self.closure, self.clock, self.spent = closure, clock, 0.0
        self._running = False

    def __call__(self, backward=True, examples=None, reduction="mean", fraction=1.0):
        """The loss, as the closure inside gives it."""
        with self._timed():
            return self.closure(
                backward=backward, examples=examples, reduction=reduction, fraction=fraction
            )

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Times the backward passes inside."""
        run = torch.autograd.backward

        def timed(*arguments, **options) -> None:
            with self._timed():
                run(*arguments, **options)

        torch.autograd.backward = timed
        try:
            yield
        finally:
            torch.autograd.backward = run

    @contextmanager
    def _timed(self) -> Iterator[None]:
        if self._running:
            yield
            return
        self._running, begin = True, self.clock()
        try:
            yield
        finally:
            self._running = False
            self.spent += self.clock() - begin


def ours(name: str, model: nn.Module, label: str = "", **options: Any) -> Contender:
    """One of this package's optimizers."""
    if name == "ssam-f":
        options["samples"] = SINGLES
    info = OPTIMIZERS[name]
    lr = info.lr or 1e-3
    optimizer = create_optimizer(name, model, lr=lr, steps_per_epoch=STEPS_PER_EPOCH, **options)
    label = label or info.label

    def set_steps(count: int) -> None:
        optimizer.cost.steps = count

    def new_period() -> None:
        optimizer.period = -1

    found = Contender(label, optimizer.step)
    if name == "looksam":
        found.rare, found.usual, found.period = (
            lambda: set_steps(0),
            lambda: set_steps(1),
            optimizer.interval,
        )
    elif hasattr(optimizer, "period"):
        found.rare = new_period
        found.period = STEPS_PER_EPOCH * getattr(optimizer, "update_epochs", 1)
        found.times = info.defaults["samples"] / SINGLES if name == "ssam-f" else 1.0
    return found


def theirs(name: str, model: nn.Module) -> Contender:
    """One of `pytorch_optimizer`'s, used as its documentation says."""
    import pytorch_optimizer

    base = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 5e-4}
    kind = getattr(pytorch_optimizer, name)
    if name == "GSAM":
        sgd = torch.optim.SGD(model.parameters(), **base)
        schedule = torch.optim.lr_scheduler.ConstantLR(sgd, 1.0)
        radius = pytorch_optimizer.ProportionScheduler(schedule, 1e-3, 0.0, 0.05, 0.05)
        optimizer = kind(model.parameters(), sgd, model, radius)
    else:
        optimizer = kind(model.parameters(), torch.optim.SGD, **base)

    def step(closure) -> None:
        def run():
            optimizer.zero_grad()
            with torch.enable_grad():
                return None, closure()

        if name == "GSAM":
            optimizer.step(run)
        else:
            run()
            optimizer.step(run)

    return Contender(f"{name} of pytorch_optimizer", step)


def builders(peer: bool) -> dict[str, Callable[[nn.Module], Contender]]:
    """All contenders by key, plain SGD first."""
    found: dict[str, Callable[[nn.Module], Contender]] = {
        name: (lambda model, name=name: ours(name, model)) for name in OPTIMIZERS.names()
    }
    for name in ("zo-sam", "zo-sam-guided"):
        for suffix, options in VARIANTS.items():
            label = f"{OPTIMIZERS[name].label}, {suffix}"
            found[f"{name}-{suffix.split()[0]}"] = lambda model, a=(name, label), options=options: (
                ours(a[0], model, a[1], **options)
            )
    for name in THEIRS if peer else ():
        found[f"peer-{name}"] = lambda model, name=name: theirs(name, model)
    return found


def find_peer() -> str | None:
    """Makes `pytorch_optimizer` importable; returns why it is not."""
    sys.path.append(str(PEER_FOLDER))
    if not (PEER_FOLDER / "pytorch_optimizer").is_dir() and (reason := install(PEER_FOLDER, PEER)):
        return f"{PEER} cannot be installed: {reason}"
    try:
        import pytorch_optimizer  # noqa: F401
    except ImportError as error:
        return f"{PEER} cannot be imported: {error}"
    return None
