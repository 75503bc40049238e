"""Step time and peak memory of every optimizer as a ratio to SGD, beside `pytorch_optimizer`.

Batches of 128 random images on ResNet-20 and ResNet-32, in float32 and under bfloat16 autocast. All
contenders take turns, one step each, within one process and on one thread; only processor time
counts, and the smallest of the rounds is reported, since other load on the machine can only add.
What happens once in a while (LookSAM's ascent, the search of XSAM, the Fisher pass of SSAM-F) is
timed apart and spread over its period at 391 steps per epoch. The optimizer's own work is the step
without the calls of the closure. Peak memory is what a process of its own needs beyond model and
data, in one step. On a GPU both are measured there, and the wall clock counts.

    python benchmarks/optimizers.py [--json FILE] [--quick] [--device cuda] [--channels-last]
        [--only zo-sam,sam] [--models resnet20] [--types bfloat16]
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common.clocks import clock_of
from common.contenders import (
    THEIRS,
    Contender,
    Meter,
    builders,
    find_peer,
)
from torch import nn

from robustbench_zosam.models.resnet import resnet20, resnet32
from robustbench_zosam.optim import make_closure

MODELS = {"resnet20": resnet20, "resnet32": resnet32}
TYPES = ("float32", "bfloat16")
OWN_GOAL, SPECIALS = 0.05, 2


def build_model(name: str, args: argparse.Namespace) -> nn.Module:
    """The network on its device, in its layout."""
    return MODELS[name](10).to(args.device).to(memory_format=args.layout)


def closure_of(model: nn.Module, bf16: bool, args: argparse.Namespace):
    """The closure of a fixed mini-batch."""
    device, generator = torch.device(args.device), torch.Generator().manual_seed(0)
    images = torch.randn(args.batch, 3, 32, 32, generator=generator)
    images = images.to(device, memory_format=args.layout)
    labels = torch.randint(10, (args.batch,), generator=generator).to(device)

    def loss_of(x, y):
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16 and torch.is_grad_enabled()):
            return nn.functional.cross_entropy(model(x), y, reduction="none")

    return make_closure(loss_of, images, labels)


def measure_times(model_name: str, bf16: bool, args: argparse.Namespace) -> dict[str, dict]:
    """Seconds of a step, and of the optimizer's own work in it, by contender."""
    clock = clock_of(torch.device(args.device))
    contenders, meters = {}, {}
    for key, build in args.builders.items():
        torch.manual_seed(0)
        model = build_model(model_name, args)
        contenders[key] = build(model)
        meters[key] = Meter(closure_of(model, bf16, args), clock)
    samples = {key: {"usual": [], "rare": [], "own": []} for key in contenders}

    def turn(key: str, kind: str) -> None:
        meter, contender = meters[key], contenders[key]
        (contender.rare if kind == "rare" else contender.usual)()
        meter.spent, begin = 0.0, clock()
        with meter.watch():
            contender.step(meter)
        total = clock() - begin
        samples[key][kind].append(total)
        if kind == "usual":
            samples[key]["own"].append(total - meter.spent)

    for key in contenders.keys() & {"sgd", "sam", "zo-sam"}:  # the kernels of all passes, once
        contenders[key].step(meters[key])
    for round_number in range(args.rounds):
        for key, contender in contenders.items():
            if contender.rare and round_number < SPECIALS:
                turn(key, "rare")
            turn(key, "usual")
    return {key: _summary(contenders[key], samples[key]) for key in contenders}


def _summary(contender: Contender, samples: dict[str, list[float]]) -> dict[str, Any]:
    usual, own = min(samples["usual"]), min(samples["own"])
    rare = max(min(samples["rare"], default=usual), usual)
    spread = (rare - usual) * contender.times / contender.period
    return {"label": contender.label, "seconds": usual + spread, "usual": usual, "own": own}


def apart(measure: Callable[..., Any], *arguments: Any, device: str) -> Any:
    """Calls a function in a process of its own, so that this one stays small; not for GPUs."""
    if device != "cpu":
        return measure(*arguments)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.write(writer, json.dumps(measure(*arguments)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        found = stream.read()
    os.waitpid(child, 0)
    return json.loads(found)


def peak_memory(model_name: str, bf16: bool, key: str, args: argparse.Namespace) -> float:
    """MiB beyond model and data in a step."""
    device = torch.device(args.device)
    model = build_model(model_name, args)
    contender = args.builders[key](model)
    closure = closure_of(model, bf16, args)
    before = _used(device, reset=True)
    contender.step(closure)
    return (_used(device) - before) / 2**20


def _used(device: torch.device, reset: bool = False) -> int:
    if device.type == "cuda":
        if reset:
            torch.cuda.reset_peak_memory_stats(device)
            return torch.cuda.memory_allocated(device)
        return torch.cuda.max_memory_allocated(device)
    field = "VmRSS" if reset else "VmHWM"
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(next(x for x in status.splitlines() if x.startswith(field)).split()[1])


def report(title: str, times: dict[str, dict], memory: dict[str, float]) -> list[dict]:
    """Prints one table; returns its rows."""
    base, base_memory = times["sgd"]["seconds"], memory["sgd"]
    print(f"\n{title}: a step of SGD takes {base:.3f} s and {base_memory:.0f} MiB")
    print(f"{'optimizer':<34}{'time':>8}{'memory':>8}{'own work':>10}{'theirs / ours':>15}")
    rows = []
    for key, found in times.items():
        row = {
            "optimizer": key,
            "time": found["seconds"] / base,
            "memory": memory[key] / base_memory,
            "own": found["own"] / found["usual"],
        }
        mine = THEIRS.get(key.removeprefix("peer-"))
        if mine is not None:
            row["against_ours"] = found["seconds"] / times[mine]["seconds"]
        rows.append(row)
        ratio = f"{row['against_ours']:>14.2f}x" if mine is not None else ""
        late = " (over 5 %)" if mine is None and row["own"] > OWN_GOAL else ""
        print(
            f"{found['label']:<34}{row['time']:>7.2f}x{row['memory']:>7.2f}x"
            f"{100 * row['own']:>8.1f} %{ratio}{late}",
            flush=True,
        )
    return rows


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="ResNet-20, batch 16, one round")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--channels-last", action="store_true", help="as the recipes train")
    parser.add_argument("--rounds", type=int, default=5, help="steps of each contender")
    parser.add_argument("--only", default="", help="contenders beside SGD, such as zo-sam,sam")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--types", nargs="+", choices=TYPES, default=TYPES)
    args = parser.parse_args()
    args.batch, models = (16, ["resnet20"]) if args.quick else (128, args.models)
    args.rounds = 1 if args.quick else args.rounds
    args.layout = torch.channels_last if args.channels_last else torch.contiguous_format
    torch.set_num_threads(1)
    reason = find_peer()
    args.builders = builders(reason is None)
    if args.only:
        chosen = ("sgd", *args.only.split(","))
        args.builders = {key: args.builders[key] for key in chosen}
    if reason:
        print(f"without the peer: {reason}")
    results = []
    for model_name in models:
        for bf16 in (name == "bfloat16" for name in args.types):
            setting, device = (model_name, bf16), args.device
            memory = {
                key: apart(peak_memory, *setting, key, args, device=device) for key in args.builders
            }
            times = apart(measure_times, *setting, args, device=device)
            title = f"{model_name}, batch {args.batch}, {'bfloat16' if bf16 else 'float32'}"
            rows = report(title, times, memory)
            results.append({"model": model_name, "bf16": bf16, "batch": args.batch, "rows": rows})
    if args.json:
        args.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
