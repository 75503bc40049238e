"""Architectures, the classifier around them, and checkpoints."""

from typing import TYPE_CHECKING

from robustbench_zosam._lazy import lazy_exports
from robustbench_zosam.models.registry import MODELS

if TYPE_CHECKING:
    from robustbench_zosam.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
    from robustbench_zosam.models.classifier import Classifier, build_model
    from robustbench_zosam.models.predict import predict_logits

__all__ = [
    "MODELS",
    "Checkpoint",
    "Classifier",
    "build_model",
    "load_checkpoint",
    "predict_logits",
    "save_checkpoint",
]

__getattr__ = lazy_exports(__name__)
