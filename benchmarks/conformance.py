"""How sparsifiers and counts agree with the formulas of their papers, as a table.

`python benchmarks/conformance.py` computes everything anew, in half a minute.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from robustbench_zosam.measurement.flops import passes_flops
from robustbench_zosam.optim import create_optimizer, make_closure
from robustbench_zosam.sparsity import (
    SPARSIFIERS,
    Start,
    create_masker,
    er,
    erk,
    maskable_layers,
    uniform,
)
from robustbench_zosam.sparsity.flops import forward_flops
from robustbench_zosam.sparsity.policies.schedules import cosine_fraction, cubic_remainder
from robustbench_zosam.sparsity.saliency import ScratchModel

Row = tuple[str, str, str]
STEPS = 400


def network(seed: int = 0) -> nn.Module:
    """Returns a small network in double precision, for which formulas can be written out."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = (nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 4))
        return nn.Sequential(*layers).double()


def examples(per_class: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draws images of four classes."""
    labels = torch.arange(4).repeat_interleave(per_class)
    return torch.randn(len(labels), 12, generator=generator, dtype=torch.double), labels


def start(model: nn.Module) -> Start:
    """Returns what a policy is given."""
    generator = torch.Generator().manual_seed(0)
    return Start(model, maskable_layers(model), 0.5, generator, examples)


def largest(one: Tensor, other: Tensor) -> str:
    """Returns the largest difference, relative to the largest value."""
    return f"{float((one - other).abs().max() / other.abs().max()):.1e}"


def densities() -> Iterator[Row]:
    """Yields allocations against the rule, solved by bisection."""
    with torch.device("meta"):
        nets = [getattr(models, name)() for name in ("resnet18", "resnet50", "vgg16_bn")]
    for name, ours in (("ERK", erk), ("ER", er)):
        worst = 0.0
        for net in nets:
            shapes = [x.shape for x in maskable_layers(net)]
            raw = [sum(s if name == "ERK" else s[:2]) / math.prod(s if name == "ERK" else s[:2])
                   for s in shapes]  # fmt: skip
            sizes = [math.prod(shape) for shape in shapes]
            low, high = 0.0, 1e9
            for _ in range(200):
                scale = (low + high) / 2
                kept = sum(min(1.0, scale * r) * n for r, n in zip(raw, sizes, strict=True))
                low, high = (scale, high) if kept < 0.1 * sum(sizes) else (low, scale)
            found = ours(shapes, 0.9)
            worst = max(worst, *(abs(d - min(1, low * r)) for d, r in zip(found, raw, strict=True)))
        yield f"{name} densities at 90 %, three networks", "largest difference", f"{worst:.1e}"
    kept = uniform([(8, 8), (4, 9)], 0.8)
    yield (
        "uniform densities at 80 %",
        "largest difference",
        f"{max(abs(d - 0.2) for d in kept):.1e}",
    )


def operations() -> Iterator[Row]:
    """Yields counts of operations against torch's, and published ratios."""
    for name, size in (("resnet50", 224), ("vit_b_16", 224), ("mobilenet_v3_small", 224)):
        with torch.device("meta"):
            model, image = getattr(models, name)(), torch.empty(1, 3, size, size)
        forward = forward_flops(model, size)
        with FlopCounterMode(display=False) as counter:
            model.eval()(image)
        difference = forward.dense - counter.get_total_flops()
        yield f"operations of {name}", "difference from `torch.utils.flop_counter`", str(difference)
        if name == "resnet50":
            layers = maskable_layers(model)
            found = erk([x.shape for x in layers], 0.9)
            sparse = forward.at({x.name: d for x, d in zip(layers, found, strict=True)})
            ratio = f"{sparse / forward.dense:.4f} (published: 0.24)"
            yield "ResNet-50, 90 % ERK, 224 pixels (RigL)", "operations / dense", ratio


def schedules() -> Iterator[Row]:
    """Yields schedules against their equations."""
    pairs = [(cubic_remainder(t, 100, 500), (1 - (t - 100) / 400) ** 3) for t in range(100, 501)]
    worst = max(abs(a - b) for a, b in pairs)
    yield "GMP, equation 1", "largest difference of 401 steps", f"{worst:.1e}"
    pairs = [(cosine_fraction(0.3, t, 400), 0.15 * (1 + math.cos(math.pi * t / 400)))
             for t in range(STEPS)]  # fmt: skip
    worst = max(abs(a - b) for a, b in pairs)
    yield "RigL, drop fraction", "largest difference of 400 steps", f"{worst:.1e}"


def saliencies() -> Iterator[Row]:
    """Yields scores against derivatives written out."""
    model = network()
    names = [layer.name for layer in maskable_layers(model)]
    params = {name: value.detach() for name, value in model.named_parameters()}
    weights = [params[name] for name in names]

    def masked_loss(masks: list[Tensor], images: Tensor, labels: Tensor) -> Tensor:
        state = params | {n: params[n] * m for n, m in zip(names, masks, strict=True)}
        return F.cross_entropy(functional_call(model, state, images), labels)

    snip, given = SPARSIFIERS["snip"].load()(), start(model)
    scratch = ScratchModel(given, training=True)
    snip.arrange(scratch, given)
    ones = [torch.ones_like(weight, requires_grad=True) for weight in weights]
    expected = torch.autograd.grad(masked_loss(ones, *scratch.data), ones)
    ours = snip.scores(scratch, given)
    flat = [torch.cat([x.flatten() for x in many]) for many in (ours, expected)]
    yield (
        "SNIP, equation 5: derivative by the mask",
        "relative difference",
        largest(flat[0], flat[1].abs()),
    )

    grasp, given = SPARSIFIERS["grasp"].load()(temperature=1.0), start(model)
    scratch = ScratchModel(given, training=True)
    twin = copy.deepcopy(given.generator)
    twin.set_state(given.generator.get_state())
    halves = grasp._halves(Start(model, given.layers, 0.5, twin, examples))
    ours = grasp.scores(scratch, given)
    total = torch.zeros_like(flat[0])
    hessian = torch.zeros(len(total), len(total), dtype=torch.double)
    shapes = [weight.shape for weight in weights]

    def loss(vector: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        parts = vector.split([shape.numel() for shape in shapes])
        state = {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        return F.cross_entropy(functional_call(model, params | state, images), labels)

    point = torch.cat([weight.flatten() for weight in weights])
    for images, labels in halves:
        total += torch.func.grad(loss)(point, images, labels)
        hessian += torch.func.hessian(loss)(point, images, labels)
    flat_ours = torch.cat([x.flatten() for x in ours])
    yield (
        "GraSP, equation 8: the whole Hessian",
        "relative difference",
        largest(flat_ours, point * (hessian @ total)),
    )

    linear = nn.Sequential(*(nn.Linear(12, 12, bias=False) for _ in range(3))).double()
    synflow, given = SPARSIFIERS["synflow"].load()(), start(linear)
    scratch = ScratchModel(given, training=False, dtype=torch.float64)
    synflow.arrange(scratch, given)
    scratch.apply([torch.ones_like(w, dtype=torch.bool) for w in scratch.weights])
    sums = torch.stack([x.sum() for x in synflow.scores(scratch, given)])
    yield (
        "SynFlow, theorem 1: the flow of every layer is one",
        "relative spread",
        largest(sums, sums.mean().expand(3)),
    )


def training() -> Iterator[Row]:
    """Yields trainings against updates written out."""
    model, twin = network(), network()
    images, labels = examples(4, torch.Generator().manual_seed(1))
    masker = create_masker("sr-ste", model, sparsity=0.5, total_steps=STEPS)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    masker.attach(optimizer)
    dense = [twin[i].weight for i in (0, 2, 4)]
    for _ in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
        masks = [_two_of_four(weight.detach()) for weight in dense]
        state = dict(twin.named_parameters())
        state |= {f"{i}.weight": (w * m) for i, w, m in zip((0, 2, 4), dense, masks, strict=True)}
        leaves = {n: v.detach().requires_grad_() for n, v in state.items()}
        gradients = torch.autograd.grad(
            F.cross_entropy(functional_call(twin, leaves, images), labels), list(leaves.values())
        )
        with torch.no_grad():
            for (name, _), gradient in zip(leaves.items(), gradients, strict=True):
                index = name.split(".")[0]
                step = gradient
                if name.endswith("weight"):
                    place = ("0", "2", "4").index(index)
                    step = gradient + 2e-4 * ~masks[place] * dense[place]  # equation 9
                twin.get_parameter(name).sub_(0.1 * step)
    sparse = torch.cat([(w * _two_of_four(w)).flatten() for w in dense])
    ours = torch.cat([model[i].weight.flatten() for i in (0, 2, 4)])
    yield (
        "SR-STE, equation 9, 400 steps",
        "relative difference of the weights",
        largest(ours.detach(), sparse.detach()),
    )
    groups = (model[2].weight.view(-1, 4) != 0).sum(1)
    yield "SR-STE, 2:4", "groups with other than two weights", str(int((groups != 2).sum()))

    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10))
    masker = create_masker(
        "rigl", net, sparsity=0.8, total_steps=601, interval=5, stop_fraction=1.0
    )
    for _ in range(601):
        for parameter in net.parameters():
            parameter.grad = torch.randn_like(parameter)
        masker.before_update(lambda _: [])
        masker.after_update(lambda _: [])
    forward = forward_flops(net, 4)
    active = forward.at(masker.mean_densities())
    paper = (3 * active * 4 + 2 * active + forward.dense) / 5
    ours = passes_flops(forward, masker, 600, 600) / 600
    yield (
        "RigL, operations of training (appendix H)",
        "relative difference",
        f"{abs(ours / paper - 1):.1e}",
    )

    one, other = network(), network()
    settings = {"lr": 0.1, "momentum": 0.9}
    options = {"sparsity": 0.5, "total_steps": STEPS, "interval": 20}
    wrapped = create_optimizer(
        "sgd", one, masker=create_masker("rigl", one, **options), weight_decay=0.0, **settings
    )
    plain = torch.optim.SGD(other.parameters(), **settings)
    create_masker("rigl", other, **options).attach(plain)

    def losses(x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(one(x), y, reduction="none")

    for _ in range(STEPS):
        wrapped.step(make_closure(losses, images, labels))
        plain.zero_grad()
        F.cross_entropy(other(images), labels).backward()
        plain.step()
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    worst = max(float((a - b).detach().abs().max()) for a, b in pairs)
    yield (
        "RigL by `attach` and by this project's SGD, 400 steps",
        "largest difference of the weights",
        f"{worst:.1e}",
    )


def _two_of_four(weight: Tensor) -> Tensor:
    groups = weight.detach().abs().view(-1, 4)
    mask = torch.zeros_like(groups, dtype=torch.bool)
    return mask.scatter_(1, groups.topk(2, dim=1).indices, value=True).view(weight.shape)


def main() -> None:
    """Prints the table."""
    print("| what | figure | found |\n|---|---|---|")
    for part in (densities, operations, schedules, saliencies, training):
        for row in part():
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
