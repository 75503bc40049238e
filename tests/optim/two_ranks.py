"""Trains with every method on two ranks: run by `test_optim_ranks`, with a folder to write to."""

import os
import sys

import torch
import torch._dynamo  # noqa: F401 - both processes need it, and fork after it
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from robustbench_zosam.optim import OPTIMIZERS, create_optimizer, make_closure

STEPS = {"shared": 20, "own": 6}
SMALL = {"samples": 8, "steps_per_epoch": 5, "update_epochs": 2, "interval": 3}


def train(name, x, y, *, parallel, ranks="shared", **options):
    """Returns the weights after some steps."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    net.register_buffer("unused", torch.zeros(1))
    net = DistributedDataParallel(net) if parallel else net
    known = {key: SMALL[key] for key in OPTIMIZERS[name].options if key in SMALL}
    known |= {"steps_per_epoch": 5}
    radius = {"rho": 0.3} if "rho" in OPTIMIZERS[name].options else {}
    optimizer = create_optimizer(name, net, lr=0.02, ranks=ranks, **known, **radius, **options)

    def losses(inputs, targets):
        return (net(inputs)[:, 0] - targets).square()

    for _ in range(STEPS[ranks]):
        optimizer.step(make_closure(losses, x, y))
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    return x, torch.randn(8, generator=generator, dtype=torch.float64)


def main(folder):
    torch.set_num_threads(1)
    child = os.fork()  # imports torch once
    rank = int(child == 0)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    x, y = (tensor[4 * rank : 4 * rank + 4] for tensor in data())
    finals = {
        f"{name} {mode}": train(name, x, y, parallel=True, ranks=mode)
        for name in OPTIMIZERS.names()
        for mode in ("shared", "own")
    }
    finals["zo-sam late"] = train("zo-sam", x, y, parallel=True, reuse="late")
    finals["zo-sam late own"] = train("zo-sam", x, y, parallel=True, reuse="late", ranks="own")
    for name in ("sam", "xsam", "zo-sam", "s2-sam"):
        net = torch.nn.Linear(3, 1).double()
        dist.broadcast(net.weight.data, 0)
        dist.broadcast(net.bias.data, 0)
        for model, good in ((DistributedDataParallel(net), True), (net, False)):
            check = create_optimizer(name, model, lr=0.1).check(
                make_closure(lambda a, b, model=model: (model(a)[:, 0] - b).square(), x, y)
            )
            assert bool(check["ranks"].advice) != good, str(check)
    torch.save(finals, f"{folder}/{rank}.pt")
    dist.destroy_process_group()
    if child == 0:
        os._exit(0)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main(sys.argv[1])
