"""make_closure: batches of any structure, losses of any shape; right gradients or a refusal."""

from collections import UserDict, namedtuple

import pytest
import torch
from torch import nn
from torch.nn import functional

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import ESAM, SAM, make_closure

N, T, C = 6, 5, 3
Pair = namedtuple("Pair", "x y")


def gradients(model):
    found = torch.cat([p.grad.flatten() for p in model.parameters()])
    model.zero_grad()
    return found


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Linear(4, C).double()


@pytest.fixture
def tokens():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(N, T, 4, generator=generator, dtype=torch.float64)
    return x, torch.randint(C, (N, T), generator=generator)


def loss_of(model, x, y, **options):
    return functional.cross_entropy(model(x).movedim(-1, 1), y, reduction="none", **options)


@pytest.mark.parametrize("micro_batches", [1, 2, 4])
@pytest.mark.parametrize(
    ("pack", "unpack"),
    [
        (lambda x, y: {"x": x, "y": y}, lambda b: (b["x"], b["y"])),
        (lambda x, y: UserDict({"x": x, "y": y}), lambda b: (b.data["x"], b.data["y"])),
        (Pair, lambda b: (b.x, b.y)),
        (lambda x, y: [x, (y,), "name", None, 3], lambda b: (b[0], b[1][0])),
        (
            lambda x, y: {"in": {"x": x}, "y": y.tolist()},
            lambda b: (b["in"]["x"], torch.tensor(b["y"])),
        ),
    ],
    ids=["dict", "own mapping", "named tuple", "nested", "lists"],
)
def test_batches_of_any_structure_give_the_gradient_of_the_mean(
    model, tokens, pack, unpack, micro_batches
):
    x, y = tokens[0][:, 0], tokens[1][:, 0]
    functional.cross_entropy(model(x), y).backward()
    expected = gradients(model)
    closure = make_closure(
        lambda batch: loss_of(model, *unpack(batch)), pack(x, y), micro_batches=micro_batches
    )
    loss = closure()
    assert torch.allclose(gradients(model), expected)
    assert loss == pytest.approx(float(functional.cross_entropy(model(x), y).detach()))
    chosen = torch.tensor([4, 1])
    each = closure(False, examples=chosen, reduction="none")
    assert torch.allclose(each, loss_of(model, x, y)[chosen])
    assert closure(False, fraction=0.5) == pytest.approx(
        float(loss_of(model, x, y)[:3].mean().detach())
    )


@pytest.mark.parametrize("micro_batches", [1, 3])
def test_losses_of_tokens_are_averaged(model, tokens, micro_batches):
    loss_of(model, *tokens).mean().backward()
    expected = gradients(model)
    closure = make_closure(lambda x, y: loss_of(model, x, y), *tokens, micro_batches=micro_batches)
    loss = closure()
    assert torch.allclose(gradients(model), expected)
    each = closure(False, reduction="none")
    assert each.shape == (N,)
    assert each.mean() == pytest.approx(float(loss))


@pytest.mark.parametrize("micro_batches", [1, 4])
def test_weights_of_classes_and_padding_are_in_the_mean(model, tokens, micro_batches):
    x, y = tokens
    y = y.masked_fill(torch.arange(T) >= torch.arange(1, N + 1)[:, None], -100)
    functional.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
    expected = gradients(model)
    padded = make_closure(
        lambda x, y: loss_of(model, x, y), x, y, weights=y != -100, micro_batches=micro_batches
    )
    padded()
    assert torch.allclose(gradients(model), expected)

    x, y, by_class = x[:, 0], tokens[1][:, 0], torch.tensor([1.0, 5.0, 0.5], dtype=torch.float64)
    whole = functional.cross_entropy(model(x), y, weight=by_class)
    whole.backward()
    expected = gradients(model)
    closure = make_closure(
        lambda x, y: loss_of(model, x, y), x, y, weights=by_class[y], micro_batches=micro_batches
    )
    assert closure() == pytest.approx(float(whole.detach()))
    assert torch.allclose(gradients(model), expected)
    assert closure(False, reduction="none").mean() == pytest.approx(float(whole.detach()))


def test_one_number_will_do_where_it_is_the_mean_and_is_refused_where_it_cannot_be(model, tokens):
    def mean(x, y):
        return loss_of(model, x, y).mean()

    mean(*tokens).backward()
    expected = gradients(model)
    make_closure(mean, *tokens)()
    assert torch.allclose(gradients(model), expected)
    SAM(model.parameters(), lr=0.1).step(make_closure(mean, *tokens))
    with pytest.raises(InputError, match="one number for 3 examples"):
        make_closure(mean, *tokens, micro_batches=2)()
    with pytest.raises(InputError, match="one number for 6 examples"):
        ESAM(model.parameters(), lr=0.1).step(make_closure(mean, *tokens))


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        (lambda x: x.flatten(), {"micro_batches": 2}, r"shape \(15,\) for 3 examples"),
        (lambda x: x.T, {}, r"shape \(5, 6\) for 6 examples"),
        (lambda x: 0.5, {}, "returned float"),
        (lambda x: x[:, : int(x[0, 0]) + 1], {"micro_batches": 2}, "in two micro-batches"),
        (lambda x: x[:, 0], {"weights": torch.ones(N, T)}, "losses"),
    ],
)
def test_losses_that_are_not_those_of_examples_are_refused(loss, options, message):
    x = torch.arange(N * T, dtype=torch.float64).view(N, T).remainder(4)
    with pytest.raises(InputError, match=message):
        make_closure(loss, x, **options)(backward=False)


@pytest.mark.parametrize(
    ("batch", "options", "message"),
    [
        (({"x": torch.zeros(3), "y": torch.zeros(4)},), {}, "lengths 3, 4"),
        (({"x": 3},), {}, "lengths none"),
        ((object(),), {}, "a object, whose examples"),
        ((torch.zeros(3),), {"weights": torch.ones(2)}, "there are 3 examples"),
    ],
)
def test_batches_that_have_no_examples_are_refused(batch, options, message):
    with pytest.raises(InputError, match=message):
        make_closure(lambda x: x, *batch, **options)
