"""Options of classes and names: what is refused, and what they mean."""

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import SAM, ZOSAM, RandomPerturbation, create_optimizer


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (SAM, {"rho": -0.1}, "rho is -0.1: give a number >= 0"),
        (SAM, {"rho": float("nan")}, "rho is nan"),
        (SAM, {"rho": "0.1"}, "rho is '0.1'"),
        (SAM, {"lr": -1}, "SGD refuses its options: Invalid learning rate"),
        (SAM, {"momentun": 0.9}, "SGD refuses its options.*momentun"),
        (SAM, {"base": "sgd"}, "base is 'sgd'"),
        (SAM, {"base": torch.optim.LBFGS}, "LBFGS calls the closure itself"),
        (SAM, {"base": SAM}, "SAM calls the closure itself"),
        (RandomPerturbation, {"directions": "normal"}, "directions is 'normal'"),
        (RandomPerturbation, {"seed": -1}, "seed is -1"),
        (ZOSAM, {"queries": 0}, "queries is 0"),
        (ZOSAM, {"queries": 1.5}, "queries is 1.5"),
        (ZOSAM, {"probe_radius": 0.0}, "probe_radius is 0.0"),
        (ZOSAM, {"delta": -1e-3}, "delta is -0.001"),
        (ZOSAM, {"delta": 1e-3, "probe_radius": 0.1}, "both set the probes"),
        (ZOSAM, {"support": "some"}, "support is 'some'"),
        (ZOSAM, {"directions": "cauchy"}, "choose one of gaussian, rademacher, sphere"),
        (ZOSAM, {"mask": {torch.zeros(2): torch.ones(2)}}, "give a bool tensor"),
    ],
)
def test_bad_options_of_a_class_are_refused_in_a_sentence(kind, options, message):
    with pytest.raises(InputError, match=message):
        kind([nn.Parameter(torch.ones(2))], **{"lr": 0.1, **options})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("zosam", {}, "did you mean zo-sam"),
        ("sam", {"roh": 0.1}, "did you mean rho"),
        ("sgd", {"rho": 0.1}, "has no option 'rho'"),
        ("sgd", {"base": "adamw"}, "base is 'adamw': choose one of sgd"),
        ("sam", {"base": "adam"}, "choose one of sgd, adamw"),
        ("sam", {"base": "adamw", "momentum": 0.9}, "has no option 'momentum'"),
        ("adamw", {"lr": -1.0}, "lr is -1.0"),
    ],
)
def test_bad_options_of_a_name_are_refused_in_a_sentence(network, name, options, message):
    with pytest.raises(InputError, match=message):
        create_optimizer(name, network(), **{"lr": 0.1, **options})


def test_an_unknown_option_lists_the_valid_ones(network):
    with pytest.raises(InputError) as caught:
        create_optimizer("zo-sam", network(), lr=0.1, quarries=2)
    for option in ("queries", "rho", "momentum", "weight_decay"):
        assert option in str(caught.value)
    for hidden in ("params", "model", "scaler", "options", "self"):
        assert f" {hidden}" not in str(caught.value).partition("valid options:")[2]


def test_weight_decay_covers_norms_unless_told_otherwise(network):
    model = network()
    (only,) = create_optimizer("sam", model, lr=0.1).param_groups
    assert (only["weight_decay"], only["momentum"]) == (5e-4, 0.9)
    thick, thin = create_optimizer("sam", model, lr=0.1, decay_norms=False).param_groups
    assert (thick["weight_decay"], thin["weight_decay"]) == (5e-4, 0.0)
    assert all(p.ndim > 1 for p in thick["params"])
    assert {p.ndim for p in thin["params"]} == {1}
    assert len(thick["params"]) + len(thin["params"]) == len(list(model.parameters()))


def test_the_base_can_be_chosen(network):
    optimizer = create_optimizer("zo-sam", network(), lr=0.1, base="adamw", betas=(0.5, 0.9))
    assert type(optimizer.base) is torch.optim.AdamW
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.9)
    assert optimizer.param_groups[0]["weight_decay"] == 0.01
