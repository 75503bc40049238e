"""Runs recipes on two ranks: started by `test_optim_recipes`, which hands over their code."""

import json
import os
import sys

import torch
import torch._dynamo  # noqa: F401 - both processes need it, and fork after it
import torch.distributed as dist
from torch import nn


def train(code, rank):
    """Returns whether the ranks end with the same weights, and not those of the beginning."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3))
    before = model[1].weight.detach().clone()
    generator = torch.Generator().manual_seed(1 + rank)
    loader = [
        (torch.randn(6, 12, generator=generator), torch.randint(3, (6,), generator=generator))
        for _ in range(20)
    ]
    exec(code, {"model": model, "loader": loader, "loss_function": nn.functional.cross_entropy})
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    both = [torch.empty_like(weights) for _ in range(2)]
    dist.all_gather(both, weights)
    return torch.equal(*both) and not torch.equal(model[1].weight, before)


def main(folder, codes):
    torch.set_num_threads(1)
    rank = int(os.fork() == 0)  # imports torch once
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    equal = [train(code, rank) for code in codes]
    dist.destroy_process_group()
    if rank:
        os._exit(0 if all(equal) else 1)
    _, status = os.wait()
    sys.exit(0 if all(equal) and status == 0 else f"the ranks have other weights: {equal}")


if __name__ == "__main__":
    main(sys.argv[1], json.load(sys.stdin))
