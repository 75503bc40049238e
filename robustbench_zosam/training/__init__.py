"""The training loop: one recipe for every optimizer and sparsifier, resumable at any step."""

from robustbench_zosam.training.batches import Batches
from robustbench_zosam.training.loop import InterruptedTrainingError, train
from robustbench_zosam.training.schedule import learning_rate
from robustbench_zosam.training.trainee import Trainee

__all__ = ["Batches", "InterruptedTrainingError", "Trainee", "learning_rate", "train"]
