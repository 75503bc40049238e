"""How robust is a model that is here already? Accuracy under corruption, flatness, landscape.

python examples/measure_a_model.py
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from robustbench_zosam import evaluate

digits = load_digits()
images = torch.from_numpy(digits.images).float()[:, None] / 16  # (n, 1, 8, 8) in [0, 1]
images = F.interpolate(images, 16)
labels = torch.from_numpy(digits.target)

model = torch.nn.Sequential(
    torch.nn.Flatten(), torch.nn.Linear(256, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
)
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for _ in range(60):
    optimizer.zero_grad()
    F.cross_entropy(model(images[:1000]), labels[:1000]).backward()
    optimizer.step()

# Any nn.Module, on any device. The training images are those that flatness is a property of.
result = evaluate(
    model,
    data=(images[1000:1200], labels[1000:1200]),
    train=(images[:1000], labels[:1000]),
    corruptions=["contrast", "gaussian_noise", "shot_noise"],
    flatness={"images": 64, "spectrum": True},
    landscape={"images": 32, "grid": 5},
)
print(result.summary()[["metric", "value", "low", "high"]].to_string())
print(result.frame().query("metric == 'accuracy'")[["corruption", "severity", "value"]])
# result.report("model.html"); result.plot("severity")
