"""SSAM-F's Fisher information: examples together and one by one make the same sum."""

import copy

import pytest
import torch
from torch import nn

from robustbench_zosam.optim import SSAMF, make_closure


class Branching(nn.Module):
    """Looks at values, for which vmap has no rule."""

    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


def network(extra):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), extra, nn.Flatten(), nn.Linear(64, 5)
    )


def run(extra, *, given, detached=False, **options):
    model = network(copy.deepcopy(extra))
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(8, 3, 6, 6, generator=generator)
    labels = torch.randint(5, (8,), generator=generator)

    def losses(x, y):
        return nn.functional.cross_entropy(model(x), y, reduction="none")

    closure = make_closure(losses, images, labels)
    if detached:
        inner = closure

        def closure(backward=True, examples=None, reduction="mean"):
            return inner(backward, examples, reduction).detach()

    mask = {model[4].weight: torch.rand(model[4].weight.shape, generator=generator) < 0.5}
    optimizer = SSAMF(
        model.parameters(), lr=0.1, model=model if given else None, mask=mask, samples=14, **options
    )
    torch.manual_seed(3)
    for _ in range(2):
        optimizer.step(closure)
        if "fisher" in optimizer.vectors:
            fisher = optimizer.vectors["fisher"]
    return fisher, optimizer, model


@pytest.mark.parametrize(
    "extra", [nn.ReLU(), nn.Dropout(0.5), nn.GroupNorm(2, 4)], ids=["plain", "dropout", "norm"]
)
def test_together_and_one_by_one_agree(extra):
    (one, singly, first), (other, together, second) = (run(extra, given=g) for g in (False, True))
    assert together._model is not None
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-9)
    assert not other[~together.support()[0]].any()
    assert together.cost == singly.cost
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("extra", "detached"), [(Branching(), False), (nn.ReLU(), True)])
def test_what_cannot_run_together_runs_one_by_one(extra, detached):
    one, _, first = run(extra, given=False)
    other, optimizer, second = run(extra, given=True, detached=detached)
    assert optimizer._model is None
    assert torch.equal(one, other)
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)
