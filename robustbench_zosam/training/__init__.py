"""The training loop: one recipe for every optimizer and sparsifier, resumable at any step."""

from robustbench_zosam.training.batches import Batches
from robustbench_zosam.training.loop import InterruptedTrainingError, train
from robustbench_zosam.training.schedule import learning_rate
from robustbench_zosam.training.setup import TrainingSetup

__all__ = ["Batches", "InterruptedTrainingError", "TrainingSetup", "learning_rate", "train"]
