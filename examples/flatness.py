"""How flat is a minimum? Trace, largest eigenvalues and sharpness of a trained model.

python examples/flatness.py
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from robustbench_zosam.config import DataConfig, ModelConfig
from robustbench_zosam.data import DATASETS
from robustbench_zosam.flatness import Curvature, SharpnessMeasure
from robustbench_zosam.models import build_model

data = DATASETS["digits"].load()(DataConfig(image_size=16, limit=512))
images = torch.from_numpy(data.train.images).float() / 255
labels = torch.from_numpy(data.train.labels)
model = build_model(ModelConfig(width=0.25), len(data.classes), *data.channel_statistics())
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for _ in range(20):
    optimizer.zero_grad()
    F.cross_entropy(model(images), labels).backward()
    optimizer.step()

# Training images without augmentation, the same ones for all models that are compared. A sparse
# model's `masks` (parameter name to boolean tensor) restrict everything to its active weights.
curvature = Curvature(model, images[:128], labels[:128])
trace = curvature.trace()
print(f"trace of the Hessian: {trace.value:.1f}, standard error {trace.se:.1f} over images")
print(f"by the method {trace.method!r}: {trace.reason}")
print(f"adaptive trace, which no rescaling of weights changes: {trace.adaptive_trace.value:.1f}")
print(f"measured at loss {trace.loss:.3f} and accuracy {trace.accuracy:.3f}")

top = curvature.eigenvalues(k=3)
for value, residual in zip(top.values, top.residuals, strict=True):
    print(f"eigenvalue {value:.2f}, exact to {residual:.2g}")

sam = curvature.sharpness([SharpnessMeasure("sam", rho=0.05)])
print(f"SAM sharpness at radius 0.05: {sam.measures[0].raw.value:.3f}")
