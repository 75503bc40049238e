"""Taking part in a run that another process has begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from robustbench_zosam.errors import InputError
from robustbench_zosam.loading import load_config
from robustbench_zosam.runs.plan import Plan, make_plan
from robustbench_zosam.runs.run_folder import RunFolder

# What may differ between machines without changing a result.
_LOCAL = ("run.", "data.root", "model.allow_code")


def join_run(out: Path, assignments: Sequence[str], given: Mapping[str, object]) -> Plan:
    """Returns the plan of the run in a folder, for this machine.

    Args:
        out: output folder.
        assignments: `key=value` texts of local settings.
        given: local settings by dotted key; None means not given.

    Raises:
        InputError: there is no run, a setting is not local, or this machine would compute
            something else.
    """
    record = RunFolder(out).read()
    if record is None:
        raise InputError(
            f"{out} holds no run to take part in: begin one with `zosam-robust evaluate --out "
            f"{out}`, or with --prepare to leave its cells to `work`"
        )
    require_local(assignments, out)
    overrides: dict[str, object] = flat(record.config) | {"run.out": str(out)}
    overrides |= {key: value for key, value in given.items() if value is not None}
    plan = make_plan(load_config(None, overrides, assignments), measure=record.measure)
    if plan.record().identity != record.identity:
        raise InputError(
            f"the run in {out} would be another one here ({_difference(plan, out)}): use the same "
            "version and data as where it was begun"
        )
    return plan


def require_local(assignments: Sequence[str], out: Path) -> None:
    """Refuses settings that would change what the run in a folder computes."""
    for text in assignments:
        key = text.partition("=")[0].strip()
        if not key.startswith(_LOCAL) or key == "run.threads":
            raise InputError(
                f"--set {text!r} would change what the run in {out} computes: give here only "
                "run.device, run.workers and their like, data.root and model.allow_code"
            )


def flat(config: Mapping[str, object]) -> dict[str, object]:
    """Returns sections as dotted keys, so that single settings can be laid over them."""
    found: dict[str, object] = {}
    for name, value in config.items():
        if isinstance(value, dict) and name not in {"optimizer", "sparsifier"}:
            found |= {f"{name}.{key}": item for key, item in value.items()}
            if not value:
                found[name] = {}
        else:
            found[name] = value
    return found


def _difference(plan: Plan, out: Path) -> str:
    record = RunFolder(out).read()
    stored = {cell.id for cell in record.cells} if record else set()
    if {cell.id for cell in plan.known_cells} != stored:
        return "its cells have other identities, as with other data or another version"
    return "its suite or version differs"
