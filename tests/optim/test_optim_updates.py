"""ASAM, S2-SAM, Friendly-SAM, GSAM and LookSAM against their formulas written out."""

import pytest
import torch

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import ASAM, GSAM, S2SAM, FriendlySAM, LookSAM


def unit(vector):
    return vector / vector.norm()


def orthogonal(vector, direction):
    return vector - (vector @ unit(direction)) * unit(direction)


def walk(kind, blocks, steps, **options):
    """Steps over two parameter groups; returns points before each step, and the closure."""
    params, closure = blocks()
    groups = [{"params": [p]} for p in params]
    optimizer = kind(groups, lr=0.05, **options)
    starts = []
    for _ in range(steps):
        starts.append(closure.flat())
        optimizer.step(closure)
    return [*starts, closure.flat()], closure, optimizer


def test_asam_scales_the_ball_by_thick_weights(blocks):
    (start, end), closure, _ = walk(ASAM, blocks, 1, rho=0.3, eta=0.01)
    scale = torch.cat([start[:6].abs() + 0.01, torch.ones(4)])
    gradient = closure.gradient(start)
    epsilon = 0.3 * scale**2 * gradient / (scale * gradient).norm()
    assert torch.allclose(closure.passes[1][1] - start, epsilon, rtol=1e-10)
    assert (epsilon / scale).norm().item() == pytest.approx(0.3)
    assert torch.allclose(end, start - 0.05 * closure.gradient(start + epsilon), rtol=1e-10)


def test_asam_with_zero_weights_and_eta_zero_perturbs_nothing_there(blocks):
    params, closure = blocks()
    with torch.no_grad():
        params[0][0].zero_()
    start = closure.flat()
    ASAM(params, lr=0.05, rho=0.3, eta=0.0).step(closure)
    moved = closure.passes[1][1] - start
    assert not moved[:3].any()
    assert moved[3:].all()


def test_s2_sam_perturbs_along_the_perturbed_gradient_of_the_step_before(blocks):
    starts, closure, optimizer = walk(S2SAM, blocks, 3, rho=0.2)
    points = [point for _, point, _ in closure.passes]
    assert len(points) == 3
    assert torch.equal(points[0], starts[0])
    for step in (1, 2):
        expected = starts[step] + 0.2 * unit(closure.gradient(points[step - 1]))
        assert torch.allclose(points[step], expected, rtol=1e-10)
        moved = starts[step] - 0.05 * closure.gradient(points[step])
        assert torch.allclose(starts[step + 1], moved, rtol=1e-10)
    assert optimizer.last_clean_loss is None


def test_friendly_sam_subtracts_the_average_of_the_raw_gradients(blocks):
    starts, closure, _ = walk(FriendlySAM, blocks, 4, rho=0.2, sigma=0.7, decay=0.6)
    average = None
    for step in range(4):
        gradient = closure.gradient(starts[step])
        direction = gradient if average is None else gradient - 0.7 * average
        average = gradient if average is None else 0.6 * average + 0.4 * gradient
        point = starts[step] + 0.2 * unit(direction)
        assert torch.allclose(closure.passes[2 * step + 1][1], point, rtol=1e-9)
        moved = starts[step] - 0.05 * closure.gradient(point)
        assert torch.allclose(starts[step + 1], moved, rtol=1e-9)


@pytest.mark.parametrize("adaptive", [False, True])
def test_gsam_adds_the_orthogonal_part_of_the_clean_gradient(blocks, adaptive):
    (start, end), closure, _ = walk(GSAM, blocks, 1, rho=0.3, alpha=0.8, adaptive=adaptive)
    clean = closure.gradient(start)
    scale = start.abs() if adaptive else torch.ones(10)
    point = start + 0.3 * scale**2 * clean / (scale * clean).norm()
    perturbed = closure.gradient(point)
    expected = perturbed - 0.8 * orthogonal(clean, perturbed)  # over both tensors as one vector
    assert torch.allclose(end, start - 0.05 * expected, rtol=1e-9)


def test_gsams_radius_follows_the_learning_rate(blocks):
    params, closure = blocks()
    optimizer = GSAM(params, lr=0.4, rho=0.3, rho_min=0.1)
    for lr, radius in ((0.4, 0.3), (0.2, 0.2), (0.0, 0.1)):
        optimizer.param_groups[0]["lr"] = lr
        start = closure.flat()
        optimizer.step(closure)
        assert (closure.passes[-1][1] - start).norm().item() == pytest.approx(radius)
    twin = GSAM(blocks()[0], lr=0.1, rho=0.3, rho_min=0.1)
    twin.load_state_dict(optimizer.state_dict())
    assert twin.radius() == pytest.approx(0.1)
    twin.param_groups[0]["lr"] = 0.4
    assert twin.radius() == pytest.approx(0.3)


def test_looksam_adds_the_remembered_part_between_its_sam_steps(blocks):
    starts, closure, optimizer = walk(LookSAM, blocks, 4, rho=0.3, alpha=0.7, interval=3)
    assert [backward for backward, _, _ in closure.passes] == [True] * 6
    clean = closure.gradient(starts[0])
    sam = closure.gradient(starts[0] + 0.3 * unit(clean))
    assert torch.allclose(starts[1], starts[0] - 0.05 * sam, rtol=1e-9)
    sideways = orthogonal(sam, clean)
    for step in (1, 2):
        gradient = closure.gradient(starts[step])
        expected = gradient + 0.7 * gradient.norm() * unit(sideways)
        assert torch.allclose(starts[step + 1], starts[step] - 0.05 * expected, rtol=1e-9)
    again = closure.gradient(starts[3] + 0.3 * unit(closure.gradient(starts[3])))
    assert torch.allclose(starts[4], starts[3] - 0.05 * again, rtol=1e-9)
    assert optimizer.cost.backwards == 6


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (ASAM, {"eta": -0.1}, "eta is -0.1"),
        (GSAM, {"alpha": float("inf")}, "alpha is inf"),
        (GSAM, {"rho_min": -1.0}, "rho_min is -1.0"),
        (GSAM, {"adaptive": 1}, "adaptive is 1: give true or false"),
        (LookSAM, {"interval": 0}, "interval is 0"),
        (FriendlySAM, {"decay": 1.0}, "decay is 1.0"),
        (FriendlySAM, {"sigma": -1.0}, "sigma is -1.0"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(blocks, kind, options, message):
    with pytest.raises(InputError, match=message):
        kind(blocks()[0], lr=0.1, **options)
