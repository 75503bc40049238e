"""Steps without a closure: what is refused, and what works beside the plain loop."""

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import SAM, ZOSAM, ZOSGD, GuidedZOSAM, Plain, RandomPerturbation

IMAGES = torch.randn(16, 3, 4, 4, generator=torch.Generator().manual_seed(1))
LABELS = torch.randint(10, (16,), generator=torch.Generator().manual_seed(2))


def loss_of(model):
    return nn.functional.cross_entropy(model(IMAGES), LABELS)


class Labelled(nn.Module):
    """Computes its own loss, as the models of transformers do."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images, labels=None):
        return {"loss": nn.functional.cross_entropy(self.inner(images), labels)}


@pytest.mark.parametrize("kind", [ZOSAM, GuidedZOSAM])
def test_a_model_that_computes_its_loss_lets_zero_order_methods_probe(network, kind):
    finals = []
    for closed in (True, False):
        model = Labelled(network())
        optimizer = kind(model.parameters(), rho=0.5, lr=0.1)
        if not closed:
            optimizer.attach(model, loss_of=lambda output: output["loss"])
        torch.manual_seed(0)
        for _ in range(3):

            def closure(model=model):
                loss = model(IMAGES, labels=LABELS)["loss"]
                loss.backward()
                return loss

            if closed:
                optimizer.step(closure)
            else:
                optimizer.zero_grad()
                closure()
                optimizer.step()
        finals.append(model.state_dict())
    assert all(torch.equal(value, finals[1][key]) for key, value in finals[0].items())


def test_a_step_whose_weights_were_not_perturbed_is_refused(network):
    model = network()
    for kind in (RandomPerturbation, ZOSAM):
        optimizer = kind(model.parameters(), lr=0.1)
        loss_of(model).backward()
        with pytest.raises(InputError, match="or perturbed weights"):
            optimizer.step()
        assert optimizer.cost.steps == 0
    optimizer = ZOSAM(model.parameters(), lr=0.1)
    with pytest.raises(InputError, match="chooses its perturbation by losses"):
        optimizer.perturb()
    attachment = optimizer.attach(model)
    loss_of(model).backward()
    with pytest.raises(InputError, match="or perturbed weights"):
        optimizer.step()
    attachment.remove()
    with pytest.raises(InputError, match="none of the optimizer's parameters"):
        optimizer.attach(nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"needs a closure.* or first_step"):
        SAM(model.parameters(), lr=0.1).step()
    with pytest.raises(InputError, match="needs a closure"):
        ZOSGD(model.parameters(), lr=0.1).step()


def test_a_base_optimizer_alone_needs_nothing(network):
    finals = []
    for wrapped in (True, False):
        model = network(dropout=0.0)
        kind = Plain if wrapped else torch.optim.SGD
        optimizer = kind(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.step()
        finals.append(model.state_dict())
    assert all(torch.equal(value, finals[1][key]) for key, value in finals[0].items())


def test_gradients_are_not_unscaled_twice(network):
    model = network()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    optimizer = RandomPerturbation(model.parameters(), lr=0.1, scaler=scaler)
    optimizer.attach(model)
    scaler.scale(loss_of(model)).backward()
    with pytest.raises(InputError, match="unscaled twice"):
        scaler.step(optimizer)


def test_autocast_around_the_pass_sees_the_perturbed_weights(network):
    grads = []
    for region in (True, False):
        model = network(dropout=0.0)
        optimizer = RandomPerturbation(model.parameters(), rho=3.0, lr=0.1)
        optimizer.attach(model)
        with torch.autocast("cpu", torch.bfloat16, enabled=region), torch.no_grad():
            model(IMAGES)  # an open region casts the weights once
            with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16):
                loss_of(model).backward()
        grads.append(model[5].weight.grad.clone())
    assert torch.equal(*grads)
