"""The cells of methods: what each computes, under which identities."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.data.prepare import Prepared
from robustbench_zosam.metrics import condition_metrics
from robustbench_zosam.robustness.plan import SuitePlan
from robustbench_zosam.runs.cell_store import CellSpec, Stage
from robustbench_zosam.runs.identity import identity, named_model, training_identity
from robustbench_zosam.runs.methods import Method
from robustbench_zosam.runs.variants import training_of


def make_cells(
    config: ExperimentConfig,
    methods: Sequence[Method],
    seeds: Sequence[int],
    data: Prepared,
    suite: SuitePlan | None,
    device: str,
    threads: int,
) -> tuple[CellSpec, ...]:
    """Returns a cell of each method and seed."""
    return tuple(
        make_cell(config, method, seed, data, suite, device, threads, with_plane=seed == seeds[0])
        for seed in seeds  # seed by seed, so that the first results compare all methods
        for method in methods
    )


def make_cell(
    config: ExperimentConfig,
    method: Method,
    seed: int,
    data: Prepared,
    suite: SuitePlan | None,
    device: str,
    threads: int,
    *,
    with_plane: bool = True,
) -> CellSpec:
    """Returns the cell of a method and a seed; without a suite it is only trained.

    Args:
        with_plane: whether its landscape has a plane, of which the report draws one per method.
    """
    trained = training_identity(config, method, seed, data.facts["fingerprint"], threads)
    identities: dict[Stage, str] = {"training": trained}
    if suite is not None:
        identities["robustness"] = identity(
            trained=trained, suite=suite.identity_parts(), metrics=tuple(condition_metrics())
        )
        if config.flatness.enabled:
            identities["flatness"] = identity(trained=trained, flatness=config.flatness)
        if config.landscape.enabled:
            identities["landscape"] = identity(
                trained=trained, landscape=config.landscape, with_plane=with_plane
            )
    return CellSpec(
        id=f"{method.id}-seed{seed}-{trained[:8]}",
        method=method,
        seed=seed,
        data_file=str(data.file),
        classes=len(data.facts["classes"]),
        model=named_model(config),
        training=training_of(config, method),
        suite=suite,
        flatness=config.flatness,
        landscape=config.landscape,
        with_plane=with_plane,
        identities=identities,
        device=device,
        threads=threads,
        checkpoint_seconds=config.run.checkpoint_seconds,
    )
