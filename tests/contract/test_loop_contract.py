"""Every optimizer in loops of other people: without a closure, with torch's own, in two calls."""

import copy

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import OPTIMIZERS, create_optimizer
from robustbench_zosam.optim.one_gradient import OneGradient
from robustbench_zosam.optim.two_calls import TwoCalls

ONE = [x.name for x in OPTIMIZERS if issubclass(x.load(), OneGradient)]
TWO = [x.name for x in OPTIMIZERS if issubclass(x.load(), TwoCalls)]
BY_LOSSES = {"zo-sam", "zo-sam-guided"}
PARTS = {"esam", "ssam-f"}  # look at single examples
STEPS = 7


@pytest.fixture
def losses():
    """Builds the loss of a model on the mini-batch of a step."""

    def build(model):
        def loss(step):
            generator = torch.Generator().manual_seed(step)
            images = torch.randn(12, 3, 4, 4, generator=generator)
            labels = torch.randint(10, (12,), generator=generator)
            return nn.functional.cross_entropy(model(images), labels)

        return loss

    return build


def with_closure(loss):
    def closure(backward=True):
        value = loss()
        if backward:
            value.backward()
        return value

    return closure


def end(model, masker, optimizer):
    return {
        "model": model.state_dict(),
        "random": torch.get_rng_state(),
        "masks": masker.state_dict(),
        "optimizer": optimizer.state_dict(),
        "vectors": list(optimizer.vectors.values()),
        "cost": optimizer.cost,
        "counters": optimizer.diagnostics,
    }


def assert_equal(one, other):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        assert one == other


@pytest.mark.parametrize(
    ("form", "sparsifier"), [("attached", "rigl"), ("attached", "lth"), ("asked", "dense")]
)
@pytest.mark.parametrize("name", ONE)
def test_a_step_without_a_closure_is_the_one_with_it_bit_by_bit(
    name, form, sparsifier, setup, losses
):
    ends = []
    options = {"reuse": "none"} if name in BY_LOSSES else {}
    for closed in (True, False):
        model, masker, optimizer = setup(name, sparsifier, steps=STEPS, **options)
        loss = losses(model)
        if form == "attached" and not closed:
            optimizer.attach(model)
        torch.manual_seed(0)
        for step in range(STEPS):
            if closed:
                optimizer.step(with_closure(lambda loss=loss, step=step: loss(step)))
                continue
            optimizer.zero_grad()
            if name in BY_LOSSES:
                optimizer.perturb(lambda loss=loss, step=step: loss(step))
            elif form == "asked":
                optimizer.perturb()
            loss(step).backward()
            assert optimizer.step() is None
        ends.append(end(model, masker, optimizer))
    assert_equal(*ends)


@pytest.mark.parametrize("name", sorted(BY_LOSSES))
@pytest.mark.parametrize("reuse", ["none", "late", "both"])
def test_the_caller_may_make_the_gradient_pass_of_a_zero_order_method(name, reuse, setup, losses):
    ends = []
    for closed in (True, False):
        model, _, optimizer = setup(name, "random", reuse=reuse)
        loss = losses(model)
        torch.manual_seed(0)
        for step in range(STEPS):
            if closed:
                optimizer.step(with_closure(lambda loss=loss, step=step: loss(step)))
            else:
                optimizer.zero_grad()
                optimizer.perturb(lambda loss=loss, step=step: loss(step))
                loss(step).backward()
                optimizer.step()
                assert optimizer.reuse == reuse
        ends.append((model.state_dict(), torch.get_rng_state()))
    assert_equal(*ends)
    assert (optimizer.cost.forwards, optimizer.cost.backwards) == (3 * STEPS, STEPS)


def test_a_method_with_another_form_of_step_says_which(name, setup):
    model, _, optimizer = setup(name)
    if name not in ONE:
        with pytest.raises(InputError, match=r"has no attach\(\): call step\(closure\)"):
            optimizer.attach(model)
        with pytest.raises(InputError, match=r"has no perturb\(\): call step\(closure\)"):
            optimizer.perturb()
    if name not in TWO:
        with pytest.raises(InputError, match=r"has no first_step\(\): call step\(closure\)"):
            optimizer.first_step()
        with pytest.raises(InputError, match=r"has no second_step\(\): call step\(closure\)"):
            optimizer.second_step()


@pytest.mark.parametrize("name", ONE)
def test_closures_work_as_before_with_an_attached_optimizer(name, setup, losses):
    ends = []
    for attached in (False, True):
        model, masker, optimizer = setup(name)
        if attached:
            optimizer.attach(model)
        loss = losses(model)
        torch.manual_seed(0)
        for step in range(3):
            optimizer.step(with_closure(lambda loss=loss, step=step: loss(step)))
        ends.append(end(model, masker, optimizer))
    assert_equal(*ends)


@pytest.mark.parametrize("zeroes", [True, False])
def test_torchs_standard_closure_is_enough(name, zeroes, setup, losses):
    if name in PARTS:
        return
    ends = []
    for standard in (True, False):
        model, masker, optimizer = setup(name, "random")
        loss = losses(model)
        torch.manual_seed(0)
        for step in range(STEPS):

            def closure(loss=loss, step=step, optimizer=optimizer):
                if zeroes:
                    optimizer.zero_grad()
                value = loss(step)
                value.backward()
                return value

            kept = with_closure(lambda loss=loss, step=step: loss(step))
            optimizer.step(closure if standard else kept)
        ends.append(end(model, masker, optimizer))
    assert_equal(*ends)


@pytest.mark.parametrize("name", TWO)
@pytest.mark.parametrize("sparsifier", ["dense", "rigl"])
def test_two_calls_make_the_step_of_a_closure(name, sparsifier, setup, losses):
    ends = []
    options = {"alpha": 0.6} if name == "xsam" else {}
    for closed in (True, False):
        model, masker, optimizer = setup(name, sparsifier, **options)
        model[5].p = 0.0  # the two passes draw their own numbers
        loss = losses(model)
        torch.manual_seed(0)
        for step in range(STEPS):
            if closed:
                optimizer.step(with_closure(lambda loss=loss, step=step: loss(step)))
                continue
            loss(step).backward()
            optimizer.first_step(zero_grad=True)
            loss(step).backward()
            optimizer.second_step(zero_grad=True)
        found = end(model, masker, optimizer)
        if sparsifier == "rigl":  # whose own steps take one pass with a closure, two without
            del found["cost"], found["optimizer"]
        ends.append(found)
    assert_equal(*ends)


@pytest.mark.parametrize("name", ONE)
def test_a_gradient_scaler_makes_the_step(name, network, losses):
    finals = []
    for scaled in (False, True):
        model = network()
        scaler = torch.amp.GradScaler("cpu", enabled=scaled, init_scale=2.0**10)
        optimizer = create_optimizer(name, model, lr=0.05)
        optimizer.attach(model)
        loss = losses(model)
        torch.manual_seed(0)
        for step in range(4):
            optimizer.zero_grad()
            if name in BY_LOSSES:
                optimizer.perturb(lambda loss=loss, step=step: loss(step))
            scaler.scale(loss(step)).backward()
            scaler.step(optimizer)
            scaler.update()
        finals.append(model.state_dict())
    for key, value in finals[0].items():
        torch.testing.assert_close(value, finals[1][key], msg=key)


def test_copies_and_pickles_of_an_attached_model_are_free_of_it(network, losses):
    model = network()
    optimizer = create_optimizer("random-perturbation", model, lr=0.05)
    optimizer.attach(model)
    twin = copy.deepcopy(model)
    before = copy.deepcopy(twin.state_dict())
    losses(twin)(0).backward()
    assert_equal(before["0.weight"], twin.state_dict()["0.weight"])
    assert optimizer._away is None


@pytest.mark.parametrize("name", ["sam"])
def test_calls_that_do_not_belong_together_are_refused(name, setup, losses):
    model, _, optimizer = setup(name)
    before = copy.deepcopy(model.state_dict())
    loss = losses(model)
    with pytest.raises(InputError, match=r"second_step\(\) has no first_step\(\)"):
        optimizer.second_step()
    loss(0).backward()
    optimizer.first_step(zero_grad=True)
    with pytest.raises(InputError, match=r"first_step\(\) was called twice"):
        optimizer.first_step()
    with pytest.raises(InputError, match=r"step\(closure\) after first_step\(\)"):
        optimizer.step(lambda: loss(0))
    with pytest.raises(InputError, match="copy the optimizer between steps"):
        copy.deepcopy(optimizer)
    optimizer.restore()
    assert_equal(before["0.weight"], model.state_dict()["0.weight"])
    loss(0).backward()
    optimizer.first_step(zero_grad=True)
    loss(0).backward()
    optimizer.step()  # of a loop that makes it itself
    assert optimizer.cost.steps == 1


@pytest.mark.parametrize("mark", ["placements", "_fsdp_flattened", "ds_id"])
def test_sharded_parameters_are_refused(mark):
    weight = nn.Parameter(torch.ones(3))
    setattr(weight, mark, True)
    with pytest.raises(InputError, match=r"sharded over devices .* use DistributedDataParallel"):
        OPTIMIZERS["sam"].load()([weight], lr=0.1).step(lambda: weight.sum())
