"""Sparsifiers by name."""

from __future__ import annotations

from dataclasses import replace

from robustbench_zosam.options import Choice, Integer, Number, Text
from robustbench_zosam.registry import Registry
from robustbench_zosam.sparsity.info import SparsifierInfo

SPARSIFIERS = Registry("sparsifier", SparsifierInfo, group="zosam_robust.sparsifiers")

_POLICIES = "robustbench_zosam.sparsity.policies"
_INTERVAL = Integer(None, "steps between updates; the published ones if left out", least=1)
_STOP = Number(0.75, "part of training after which the masks stay", above=0, most=1)
_ERK = Choice("erk", "how the layers share the weights", ("uniform", "er", "erk"))
_UNIFORM = replace(_ERK, default="uniform")
_DROP_GROW = {
    "allocation": _ERK,
    "drop_fraction": Number(0.3, "fraction of active weights dropped at first", above=0, below=1),
    "interval": _INTERVAL,
    "stop_fraction": _STOP,
    "tie_noise": Number(1e-5, "standard deviation of noise added before ranking", least=0),
}
_HALF = replace(_DROP_GROW["drop_fraction"], default=0.5)
_GROW_GRAD = Choice(
    "update",
    "gradient that says where to grow: the optimizer's, or at the weights themselves",
    ("update", "clean"),
)
_PER_CLASS = Integer(10, "training images of each class that are looked at", least=1)
_SCOPE = Choice(
    "global",
    "rank all layers together, or fix what each layer keeps",
    ("global", "uniform", "er", "erk"),
)
_LAMBDA_GRAD = Number(0.0, "weight of the gradient in the importance", least=0)
_ROUNDS = {
    "prune_fraction": Number(0.2, "fraction that each pruning removes", above=0, below=1),
    "prunings": Integer(None, "how many; as many as prune_fraction needs if left out", least=1),
    "rewind": Number(1 / 32, "part of the recipe that later rounds begin at", least=0, below=1),
    "budget": Choice(
        "each", "steps of a whole training: for each round, or shared by all", ("each", "shared")
    ),
}


SPARSIFIERS.add(
    SparsifierInfo(
        "dense",
        "keep every weight (control)",
        f"{_POLICIES}.dense:Dense",
        label="dense",
        dynamic=False,
    ),
    SparsifierInfo(
        "random",
        "static random masks of exact counts, ERK densities",
        f"{_POLICIES}.random:Random",
        "Liu et al. 2022, arXiv 2202.02643",
        label="random",
        dynamic=False,
        options={"allocation": _ERK},
    ),
    SparsifierInfo(
        "shuffle",
        "another method's layer densities, at random places (control)",
        f"{_POLICIES}.shuffle:Shuffle",
        "Frankle et al. 2021, arXiv 2009.08576",
        label="shuffle",
        dynamic=False,
        options={"of": Text("snip", "whose densities", "a sparsifier that prunes before training")},
    ),
    SparsifierInfo(
        "small-dense",
        "a narrower dense network with as many weights (control)",
        f"{_POLICIES}.small_dense:SmallDense",
        label="small dense",
        dynamic=False,
    ),
    SparsifierInfo(
        "magnitude",
        "one-shot: prune by magnitude halfway, train on",
        f"{_POLICIES}.magnitude:Magnitude",
        "Han et al. 2015, arXiv 1506.02626",
        label="magnitude",
        dynamic=True,
        options={
            "prune_at": Number(0.5, "part of training after which to prune", least=0, below=1),
            "scope": _SCOPE,
        },
    ),
    SparsifierInfo(
        "gmp",
        "gradual magnitude pruning along a cubic curve",
        f"{_POLICIES}.gmp:GMP",
        "Zhu & Gupta 2017, arXiv 1710.01878",
        label="GMP",
        dynamic=True,
        options={
            "start_fraction": Number(
                0.2, "part of training after which pruning begins", least=0, below=1
            ),
            "stop_fraction": Number(
                0.75, "part of training after which it is complete", above=0, below=1
            ),
            "interval": _INTERVAL,
            "scope": _SCOPE,
        },
    ),
    SparsifierInfo(
        "lth",
        "lottery tickets: train, prune a fifth, rewind the weights, again",
        f"{_POLICIES}.lth:LTH",
        "Frankle et al. 2020, arXiv 1912.05671",
        label="LTH",
        dynamic=True,
        options=_ROUNDS,
    ),
    SparsifierInfo(
        "lrr",
        "train, prune a fifth, rewind the learning rate alone, again",
        f"{_POLICIES}.lrr:LRR",
        "Renda et al. 2020, arXiv 2003.02389",
        label="LRR",
        dynamic=True,
        options=_ROUNDS,
    ),
    SparsifierInfo(
        "snip",
        "before training: keep what the loss is most sensitive to",
        f"{_POLICIES}.snip:SNIP",
        "Lee et al. 2019, arXiv 1810.02340",
        label="SNIP",
        dynamic=False,
        options={"per_class": _PER_CLASS, "rounds": Integer(1, "rounds of pruning", least=1)},
    ),
    SparsifierInfo(
        "grasp",
        "before training: keep what the gradient's norm needs",
        f"{_POLICIES}.grasp:GraSP",
        "Wang et al. 2020, arXiv 2002.07376",
        label="GraSP",
        dynamic=False,
        options={
            "per_class": _PER_CLASS,
            "batches": Integer(1, "batches of such images", least=1),
            "temperature": Number(200.0, "divides the logits", above=0),
        },
    ),
    SparsifierInfo(
        "synflow",
        "before training, without data: keep the flow through every layer",
        f"{_POLICIES}.synflow:SynFlow",
        "Tanaka et al. 2020, arXiv 2006.05467",
        label="SynFlow",
        dynamic=False,
        options={"rounds": Integer(100, "rounds of pruning", least=1)},
    ),
    SparsifierInfo(
        "set",
        "dynamic: drop small weights, grow at random",
        f"{_POLICIES}.set:SET",
        "Mocanu et al. 2018, arXiv 1707.04780",
        label="SET",
        dynamic=True,
        options=_DROP_GROW,
    ),
    SparsifierInfo(
        "dsr",
        "dynamic: one threshold for all layers, grow where most survived",
        f"{_POLICIES}.dsr:DSR",
        "Mostafa & Wang 2019, arXiv 1902.05967",
        label="DSR",
        dynamic=True,
        options={
            "allocation": _UNIFORM,
            "prune_target": Number(
                0.015, "wanted fraction of active weights dropped per update", above=0, below=1
            ),
            "threshold": Number(
                1e-3, "magnitude below which weights are dropped at first", above=0
            ),
            "interval": _INTERVAL,
        },
    ),
    SparsifierInfo(
        "rigl",
        "dynamic: drop small weights, grow where the gradient is large",
        f"{_POLICIES}.rigl:RigL",
        "Evci et al. 2020, arXiv 1911.11134",
        label="RigL",
        dynamic=True,
        options={**_DROP_GROW, "grow_grad": _GROW_GRAD},
    ),
    SparsifierInfo(
        "rigl-itop",
        "dynamic: RigL with rare, large updates until the end",
        f"{_POLICIES}.rigl_itop:RigLITOP",
        "Liu et al. 2021, arXiv 2102.02887",
        label="RigL-ITOP",
        dynamic=True,
        options={
            **_DROP_GROW,
            "drop_fraction": _HALF,
            "drop_floor": Number(0.005, "the fraction at the end", least=0),
            "stop_fraction": replace(_STOP, default=1.0),
            "grow_grad": _GROW_GRAD,
        },
    ),
    SparsifierInfo(
        "mest-em",
        "dynamic: drop by importance and grow at random, less and less",
        f"{_POLICIES}.mest_em:MestEM",
        "Yuan et al. 2021, arXiv 2110.14032",
        label="MEST-EM",
        dynamic=True,
        options={
            "allocation": _UNIFORM,
            "lambda_grad": _LAMBDA_GRAD,
            "interval": _INTERVAL,
        },
    ),
    SparsifierInfo(
        "mest-ems",
        "dynamic: MEST with extra weights until three quarters of training",
        f"{_POLICIES}.mest_ems:MestEMS",
        "Yuan et al. 2021, arXiv 2110.14032",
        label="MEST-EM&S",
        dynamic=True,
        options={
            "extra_density": Number(
                0.05, "extra weights in the first stage, as a fraction", least=0, below=1
            ),
            "allocation": _UNIFORM,
            "lambda_grad": _LAMBDA_GRAD,
            "interval": _INTERVAL,
        },
    ),
    SparsifierInfo(
        "granet",
        "dynamic: gradual pruning with regrowth by gradient",
        f"{_POLICIES}.granet:GraNet",
        "Liu et al. 2021, arXiv 2106.10404",
        label="GraNet",
        dynamic=True,
        options={
            **_DROP_GROW,
            "initial_sparsity": Number(0.5, "sparsity that training starts with", least=0, below=1),
            "start_fraction": Number(
                None,
                "part of training after which pruning begins; 0, or 0.2 in short training runs",
                least=0,
                below=1,
            ),
            "drop_fraction": _HALF,
            "grow_grad": _GROW_GRAD,
        },
    ),
    SparsifierInfo(
        "sr-ste",
        "N of every M weights (2:4 at sparsity 0.5), straight-through",
        f"{_POLICIES}.sr_ste:SRSTE",
        "Zhou et al. 2021, arXiv 2102.04010",
        label="SR-STE",
        dynamic=True,
        options={
            "group": Integer(4, "M, the weights in a group", least=2),
            "decay": Number(2e-4, "pull of the weights left out towards zero", least=0),
        },
    ),
)
