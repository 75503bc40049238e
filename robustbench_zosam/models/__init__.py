"""Architectures, the classifier around them, and checkpoints."""

from robustbench_zosam.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from robustbench_zosam.models.classifier import Classifier, build_model
from robustbench_zosam.models.registry import MODELS

__all__ = [
    "MODELS",
    "Checkpoint",
    "Classifier",
    "build_model",
    "load_checkpoint",
    "save_checkpoint",
]
