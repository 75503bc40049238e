"""The page of models says what the models are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from robustbench_zosam.models import MODELS

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


@pytest.mark.parametrize("name", MODELS.names())
def test_its_row_has_the_counts(name: str):
    row = re.search(rf"^\| `{name}` \| ([\d,]+) \| ([\d,]+) \| \S", PAGE.read_text(), re.MULTILINE)
    assert row, f"{name} has no row in {PAGE.name}"
    info = MODELS[name]
    if info.extra is not None:
        pytest.importorskip(info.extra)
    options = {"image_size": 32} if "image_size" in info.takes else {"width": 1}
    with torch.device("meta" if "width" in options else "cpu"):
        sizes = [(p.numel(), p.ndim) for p in MODELS[name].load()(10, **options).parameters()]
    assert int(row[1].replace(",", "")) == sum(size for size, _ in sizes)
    # positions and tokens of a transformer are three-dimensional, and no layer's weights
    matrices = sum(size for size, dimensions in sizes if dimensions in {2, 4})
    assert int(row[2].replace(",", "")) == matrices
