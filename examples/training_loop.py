"""ZO-SAM and RigL in a training loop of your own.

Any torch model and data will do; here a small residual network learns scikit-learn's digits.

    python examples/training_loop.py
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from robustbench_zosam.config import DataConfig, ModelConfig
from robustbench_zosam.data import DATASETS
from robustbench_zosam.models import build_model
from robustbench_zosam.optim import ZOSAM, make_closure
from robustbench_zosam.sparsity import create_masker

EPOCHS, BATCH = 6, 32

data = DATASETS["digits"].load()(DataConfig(image_size=16, limit=512))
images = torch.from_numpy(data.train.images).float() / 255  # (n, 3, 32, 32) in [0, 1]
labels = torch.from_numpy(data.train.labels)
model = build_model(ModelConfig(width=0.25), len(data.classes), *data.channel_statistics())

# RigL prunes 90 % of the weights now and updates the masks during training; `mask` makes the
# optimizer drive it. For torch's own optimizers: `masker.attach(optimizer)`.
steps = EPOCHS * (len(images) // BATCH)
masker = create_masker("rigl", model, sparsity=0.9, total_steps=steps)
optimizer = ZOSAM(
    model.parameters(), torch.optim.SGD, model=model, mask=masker, rho=0.05, lr=0.1, momentum=0.9
)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
generator = torch.Generator().manual_seed(0)


def losses(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(model(images), labels, reduction="none")


for epoch in range(EPOCHS):
    for batch in torch.randperm(len(images), generator=generator).split(BATCH):
        loss = optimizer.step(make_closure(losses, images[batch], labels[batch]))
        schedule.step()
    print(f"epoch {epoch + 1}: loss {loss:.3f}")

report = masker.report()
print(f"{report.active:,} of {report.maskable:,} weights are active")
print(f"{optimizer.cost.forwards} forward and {optimizer.cost.backwards} backward passes")
