"""Builds masks on two ranks with data of their own: run by `test_sparsity_ranks`, with a folder."""

import os
import sys

import torch
import torch.distributed as dist
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity import SPARSIFIERS, create_masker
from robustbench_zosam.sparsity.masks import MaskSet
from robustbench_zosam.sparsity.ranks import require_same

STEPS = 8
OPTIONS = {name: {"interval": 2} for name in SPARSIFIERS.names()
           if "interval" in SPARSIFIERS[name].options} | {"synflow": {"rounds": 2}}  # fmt: skip


def masks_of(name, rank):
    torch.manual_seed(rank)  # weights and data of its own
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))

    def examples(per_class, generator):
        labels = torch.arange(8).repeat_interleave(per_class + rank)
        return torch.randn(len(labels), 8, generator=generator), labels

    sparsity = 0 if name == "dense" else 0.5
    options = {"total_steps": STEPS, "examples": examples, **OPTIONS.get(name, {})}
    masker = create_masker(name, model, sparsity=sparsity, seed=rank, **options)
    found = [mask.clone() for mask in masker.masks.values()]
    for _ in range(masker.training_steps):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        masker.before_step(lambda _: [])
        masker.before_update(lambda _: [])
        masker.mask_gradients()
        masker.after_update(lambda _: [])
        found += [mask.clone() for mask in masker.masks.values()]
    masker.check()
    return found


def main(folder):
    torch.set_num_threads(1)
    child = os.fork()  # imports torch once
    rank = int(child == 0)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.save({n: masks_of(n, rank) for n in SPARSIFIERS.names()}, f"{folder}/{rank}.pt")
    mine = nn.Parameter(torch.ones(3))
    fixed = MaskSet({mine: torch.tensor([rank == 0, True, False])})
    try:
        require_same([fixed.mask_of(mine)])
        said = "nothing"
    except InputError as error:
        said = str(error)
    with open(f"{folder}/{rank}.txt", "w") as file:
        file.write(said)
    dist.destroy_process_group()
    if rank == 0:
        os.waitpid(child, 0)
    else:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
