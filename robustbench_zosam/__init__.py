"""Robustness, flatness and cost of sparse networks under distribution shift."""

from typing import TYPE_CHECKING

from robustbench_zosam._lazy import lazy_exports

if TYPE_CHECKING:
    from robustbench_zosam.api.evaluate import evaluate
    from robustbench_zosam.api.experiment import Experiment, experiment
    from robustbench_zosam.api.result import Result, load
    from robustbench_zosam.errors import InputError

__version__ = "0.2.0"
__all__ = ["Experiment", "InputError", "Result", "evaluate", "experiment", "load"]

__getattr__ = lazy_exports(__name__)
