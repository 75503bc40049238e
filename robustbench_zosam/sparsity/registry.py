"""Sparsifiers by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robustbench_zosam.registry import Registry

if TYPE_CHECKING:
    from robustbench_zosam.sparsity.policy import Policy

SPARSIFIERS: Registry[type[Policy]] = Registry("sparsifier", group="zosam_robust.sparsifiers")

_POLICIES = "robustbench_zosam.sparsity.policies"
_ROUNDS = {"prune_fraction": 0.2, "prunings": None, "rewind": 1 / 32, "budget": "each"}

SPARSIFIERS.add(
    "dense",
    "keep every weight (control)",
    f"{_POLICIES}.dense:Dense",
    label="dense",
    dynamic=False,
    options={},
)
SPARSIFIERS.add(
    "random",
    "static random masks of exact counts, ERK densities",
    f"{_POLICIES}.random:Random",
    source="Liu et al. 2022, arXiv 2202.02643",
    label="random",
    dynamic=False,
    options={"allocation": "erk"},
)
SPARSIFIERS.add(
    "shuffle",
    "another method's layer densities, at random places (control)",
    f"{_POLICIES}.shuffle:Shuffle",
    source="Frankle et al. 2021, arXiv 2009.08576",
    label="shuffle",
    dynamic=False,
    options={
        "of": "snip",
    },
)
SPARSIFIERS.add(
    "small-dense",
    "a narrower dense network with as many weights (control)",
    f"{_POLICIES}.small_dense:SmallDense",
    label="small dense",
    dynamic=False,
    options={},
)
SPARSIFIERS.add(
    "magnitude",
    "one-shot: prune by magnitude halfway, train on",
    f"{_POLICIES}.magnitude:Magnitude",
    source="Han et al. 2015, arXiv 1506.02626",
    label="magnitude",
    dynamic=True,
    options={
        "prune_at": 0.5,
        "scope": "global",
    },
)
SPARSIFIERS.add(
    "gmp",
    "gradual magnitude pruning along a cubic curve",
    f"{_POLICIES}.gmp:GMP",
    source="Zhu & Gupta 2017, arXiv 1710.01878",
    label="GMP",
    dynamic=True,
    options={
        "start_fraction": 0.2,
        "stop_fraction": 0.75,
        "interval": None,
        "scope": "global",
    },
)
SPARSIFIERS.add(
    "lth",
    "lottery tickets: train, prune a fifth, rewind the weights, again",
    f"{_POLICIES}.lth:LTH",
    source="Frankle et al. 2020, arXiv 1912.05671",
    label="LTH",
    dynamic=True,
    options=dict(_ROUNDS),
)
SPARSIFIERS.add(
    "lrr",
    "train, prune a fifth, rewind the learning rate alone, again",
    f"{_POLICIES}.lrr:LRR",
    source="Renda et al. 2020, arXiv 2003.02389",
    label="LRR",
    dynamic=True,
    options=dict(_ROUNDS),
)
SPARSIFIERS.add(
    "snip",
    "before training: keep what the loss is most sensitive to",
    f"{_POLICIES}.snip:SNIP",
    source="Lee et al. 2019, arXiv 1810.02340",
    label="SNIP",
    dynamic=False,
    options={
        "per_class": 10,
        "rounds": 1,
    },
)
SPARSIFIERS.add(
    "grasp",
    "before training: keep what the gradient's norm needs",
    f"{_POLICIES}.grasp:GraSP",
    source="Wang et al. 2020, arXiv 2002.07376",
    label="GraSP",
    dynamic=False,
    options={
        "per_class": 10,
        "batches": 1,
        "temperature": 200.0,
    },
)
SPARSIFIERS.add(
    "synflow",
    "before training, without data: keep the flow through every layer",
    f"{_POLICIES}.synflow:SynFlow",
    source="Tanaka et al. 2020, arXiv 2006.05467",
    label="SynFlow",
    dynamic=False,
    options={
        "rounds": 100,
    },
)
SPARSIFIERS.add(
    "set",
    "dynamic: drop small weights, grow at random",
    f"{_POLICIES}.set:SET",
    source="Mocanu et al. 2018, arXiv 1707.04780",
    label="SET",
    dynamic=True,
    options={
        "allocation": "erk",
        "drop_fraction": 0.3,
        "interval": None,
        "stop_fraction": 0.75,
        "tie_noise": 1e-5,
    },
)
SPARSIFIERS.add(
    "dsr",
    "dynamic: one threshold for all layers, grow where most survived",
    f"{_POLICIES}.dsr:DSR",
    source="Mostafa & Wang 2019, arXiv 1902.05967",
    label="DSR",
    dynamic=True,
    options={
        "allocation": "uniform",
        "prune_target": 0.015,
        "threshold": 1e-3,
        "interval": None,
    },
)
SPARSIFIERS.add(
    "rigl",
    "dynamic: drop small weights, grow where the gradient is large",
    f"{_POLICIES}.rigl:RigL",
    source="Evci et al. 2020, arXiv 1911.11134",
    label="RigL",
    dynamic=True,
    options={
        "allocation": "erk",
        "drop_fraction": 0.3,
        "interval": None,
        "stop_fraction": 0.75,
        "tie_noise": 1e-5,
        "grow_grad": "update",
    },
)
SPARSIFIERS.add(
    "rigl-itop",
    "dynamic: RigL with rare, large updates until the end",
    f"{_POLICIES}.rigl_itop:RigLITOP",
    source="Liu et al. 2021, arXiv 2102.02887",
    label="RigL-ITOP",
    dynamic=True,
    options={
        "drop_fraction": 0.5,
        "drop_floor": 0.005,
        "interval": None,
        "stop_fraction": 1.0,
        "allocation": "erk",
        "tie_noise": 1e-5,
        "grow_grad": "update",
    },
)
SPARSIFIERS.add(
    "mest-em",
    "dynamic: drop by importance and grow at random, less and less",
    f"{_POLICIES}.mest_em:MestEM",
    source="Yuan et al. 2021, arXiv 2110.14032",
    label="MEST-EM",
    dynamic=True,
    options={
        "allocation": "uniform",
        "lambda_grad": 0.0,
        "interval": None,
    },
)
SPARSIFIERS.add(
    "mest-ems",
    "dynamic: MEST with extra weights until three quarters of training",
    f"{_POLICIES}.mest_ems:MestEMS",
    source="Yuan et al. 2021, arXiv 2110.14032",
    label="MEST-EM&S",
    dynamic=True,
    options={
        "extra_density": 0.05,
        "allocation": "uniform",
        "lambda_grad": 0.0,
        "interval": None,
    },
)
SPARSIFIERS.add(
    "granet",
    "dynamic: gradual pruning with regrowth by gradient",
    f"{_POLICIES}.granet:GraNet",
    source="Liu et al. 2021, arXiv 2106.10404",
    label="GraNet",
    dynamic=True,
    options={
        "initial_sparsity": 0.5,
        "start_fraction": None,
        "drop_fraction": 0.5,
        "interval": None,
        "stop_fraction": 0.75,
        "allocation": "erk",
        "tie_noise": 1e-5,
        "grow_grad": "update",
    },
)
SPARSIFIERS.add(
    "sr-ste",
    "N of every M weights (2:4 at sparsity 0.5), straight-through",
    f"{_POLICIES}.sr_ste:SRSTE",
    source="Zhou et al. 2021, arXiv 2102.04010",
    label="SR-STE",
    dynamic=True,
    options={
        "group": 4,
        "decay": 2e-4,
    },
)
