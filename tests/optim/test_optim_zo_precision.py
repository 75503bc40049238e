"""Probes in the precision that is asked for, and the noise of the one that was active."""

import copy

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import OPTIMIZERS, ZOSAM, ZOSGD, GuidedZOSAM

QUERIES = 16


def problem():
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(32, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.Tanh(),
        nn.Linear(64, 5),
    )
    x = torch.randn(64, 32, generator=generator)
    return model, x, torch.randint(5, (64,), generator=generator)


def closure_of(model, x, y, *, half, kinds=None):
    """Opens autocast for every pass, as most training loops do."""

    def closure(backward=True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = model(x)
            loss = nn.functional.cross_entropy(logits, y)
        if kinds is not None:
            kinds.append((backward, logits.dtype))
        if backward:
            loss.backward()
        return loss

    return closure


def wrong_signs(precision):
    """Counts queries whose sign is not that of float64, and those said to be below noise."""
    model, x, y = problem()
    wrong = below = 0
    for seed in range(QUERIES):
        optimizer = ZOSAM(
            model.parameters(),
            lr=0.0,
            rho=1e-3,
            seed=seed,
            reuse="none",
            model=model,
            probe_precision=precision,
        )
        double = copy.deepcopy(model).double()
        exact = ZOSAM(double.parameters(), lr=0.0, rho=1e-3, seed=seed, reuse="none", model=double)
        found, true = [], []
        for one, signs in ((optimizer, found), (exact, true)):
            one._differences = lambda passes, losses, f=one._differences, s=signs: _noted(
                f(passes, losses), s
            )
        direction = optimizer._draw(optimizer.space.zeros(), 0).double()
        optimizer.step(closure_of(model, x, y, half=True))
        exact._draw = lambda out, query, u=direction: u
        exact.step(closure_of(double, x.double(), y, half=False))
        model.zero_grad()
        wrong += found != true
        below += optimizer.diagnostics["below_noise"]
    return wrong, below


def _noted(differences, signs):
    signs.extend(differences.sign().tolist())
    return differences


def test_noise_is_that_of_the_autocast_region_inside_the_closure():
    wrong, below = wrong_signs("same")
    assert wrong > 2
    assert below >= wrong


def test_probes_in_float32_are_right_whatever_the_closure_opens():
    wrong, below = wrong_signs("fp32")
    assert wrong == 0
    assert below < QUERIES


@pytest.mark.parametrize("kind", [ZOSAM, GuidedZOSAM, ZOSGD])
@pytest.mark.parametrize("precision", ["fp32", "tf32", "same", None])
def test_a_closure_that_opens_autocast_probes_as_it_is_told(kind, precision):
    model, x, y = problem()
    kinds = []
    options = {} if precision is None else {"probe_precision": precision}
    if kind is not ZOSGD:
        options["reuse"] = "none"
    optimizer = kind(model.parameters(), lr=0.0, model=model, **options)
    optimizer.step(closure_of(model, x, y, half=True, kinds=kinds))
    wanted = torch.bfloat16 if precision == "same" else torch.float32
    assert [dtype for backward, dtype in kinds if not backward] == [wanted] * 2
    assert [dtype for backward, dtype in kinds if backward] == [torch.bfloat16] * (len(kinds) - 2)
    assert torch.autocast.__enter__.__qualname__ == "autocast.__enter__"


@pytest.mark.parametrize("where", ["outside", "inside", "model", "nowhere"])
@pytest.mark.parametrize("reuse", ["both", "late"])
def test_a_reused_probe_knows_how_coarse_it_was(where, reuse):
    model, x, y = problem()
    if where == "model":
        model, x = model.bfloat16(), x.bfloat16()
    optimizer = ZOSAM(model.parameters(), lr=0.0, rho=1e-2, reuse=reuse, model=model)
    with torch.autocast("cpu", torch.bfloat16, enabled=where == "outside"):
        for _ in range(8):
            optimizer.step(closure_of(model, x, y, half=where == "inside"))
    assert (optimizer.diagnostics["below_noise"] > 2) == (where != "nowhere")
    assert optimizer.probe_precision == "same"


def test_a_precision_of_its_own_takes_three_passes():
    model, x, y = problem()
    optimizer = ZOSAM(model.parameters(), lr=0.0, probe_precision="fp32", model=model)
    optimizer.step(closure_of(model, x, y, half=True))
    expected = OPTIMIZERS["zo-sam"].passes_per_step({"probe_precision": "fp32"})
    assert optimizer.cost.forwards == expected.forwards == 3
    with pytest.raises(InputError, match="reuse is 'both', but with probe_precision 'fp32'"):
        ZOSAM(model.parameters(), lr=0.0, probe_precision="fp32", reuse="both")
    with pytest.raises(InputError, match="probe_precision"):
        ZOSAM(model.parameters(), lr=0.0, probe_precision="fp16")
