"""Data sets as uint8 images, in memory or streamed from their files, the same for every source."""

from robustbench_zosam.data.dataset import Dataset, Split
from robustbench_zosam.data.prepare import Prepared, load_dataset, load_prepared, prepare
from robustbench_zosam.data.registry import DATASETS

__all__ = ["DATASETS", "Dataset", "Prepared", "Split", "load_dataset", "load_prepared", "prepare"]
