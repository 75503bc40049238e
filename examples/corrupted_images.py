"""Corrupt images as CIFAR-10-C does, and see what is left of a model's accuracy.

python examples/corrupted_images.py
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from corruptions import category, corrupt, names
from robustbench_zosam.config import DataConfig, ModelConfig
from robustbench_zosam.data import DATASETS
from robustbench_zosam.metrics import LabelledPredictions, score
from robustbench_zosam.models import build_model, predict_logits

data = DATASETS["digits"].load()(DataConfig(image_size=16, limit=384))
images = torch.from_numpy(data.train.images).float() / 255
labels = torch.from_numpy(data.train.labels)
model = build_model(ModelConfig(width=0.25), len(data.classes), *data.channel_statistics())
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
generator = torch.Generator().manual_seed(0)
for _ in range(10):
    for batch in torch.randperm(len(images), generator=generator).split(32):
        optimizer.zero_grad()
        F.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()


def accuracy(images: NDArray[np.uint8]) -> float:
    """Takes uint8 images; the classifier normalises them itself."""
    logits = predict_logits(model, images, torch.device("cpu"))
    return score(LabelledPredictions(logits.numpy(), data.test.labels))["accuracy"]


# The result for an image depends only on the image, its index in the data set (`start` is the first
# one's), the name, severity, preset and seed: never on the batch, the threads or the device.
print(f"{'clean':20} {accuracy(data.test.images):6.1%}")
for name in names("common"):
    corrupted = corrupt(data.test.images, name, severity=3, preset="cifar", seed=0, start=0)
    print(f"{name:20} {accuracy(corrupted):6.1%}  {category(name)}")
