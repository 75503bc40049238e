"""The recipes of the documentation, run as they stand."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

PAGE = Path(__file__).parents[2] / "docs" / "optimizers" / "recipes.md"
NEEDS = {"Lightning": "lightning", "Hugging Face Trainer": "transformers", "timm": "timm"}
NEEDS |= {"accelerate": "accelerate"}
RANKS = "DistributedDataParallel"
ATTACHED = """
from robustbench_zosam.optim import S2SAM
from torch.nn.parallel import DistributedDataParallel

parallel = DistributedDataParallel(model)
optimizer = S2SAM(model.parameters(), rho=0.3, lr=0.1)
optimizer.attach(model)
for images, labels in loader:
    optimizer.zero_grad()
    loss_function(parallel(images), labels).backward()
    optimizer.step()
"""


def recipes():
    """Yields the heading and the code of each block."""
    slow = {"Lightning"}  # half a minute to import
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading = section.partition("\n")[0]
        for index, code in enumerate(re.findall(r"^```python\n(.*?)^```", section, re.M | re.S)):
            marks = [pytest.mark.slow] if heading in slow else []
            yield pytest.param(
                heading, code, marks=marks, id=f"{heading}-{index}".replace(" ", "_")
            )


class Labelled(nn.Module):
    """Returns its loss, as the models of transformers do."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images, labels=None):
        logits = self.inner(images)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


@pytest.fixture
def names(network, tmp_path):
    """What the page says that the blocks need."""
    generator = torch.Generator().manual_seed(0)
    batches = [
        (torch.randn(8, 3, 4, 4, generator=generator), torch.randint(10, (8,), generator=generator))
        for _ in range(2)
    ]
    data = [
        {"images": image, "labels": label}
        for images, labels in batches
        for image, label in zip(images, labels, strict=True)
    ]
    return {
        "model": network(),
        "loader": torch.utils.data.DataLoader(batches, batch_size=None),
        "data": data,
        "folder": str(tmp_path),
        "loss_function": nn.functional.cross_entropy,
        "backend": "eager",
    }


@pytest.mark.filterwarnings("default")  # of other packages
@pytest.mark.parametrize(("heading", "code"), [x for x in recipes() if x.values[0] != RANKS])
def test_it_trains(heading, code, names):
    if heading in NEEDS:
        pytest.importorskip(NEEDS[heading])
    if heading == "Hugging Face Trainer":
        pytest.importorskip("accelerate")
        names["model"] = Labelled(names["model"])
    if heading == "timm":
        names["loader"] = [(x.repeat(1, 1, 8, 8), y) for x, y in names["loader"]]
    before = [p.detach().clone() for p in names["model"].parameters()]
    exec(code, names)
    trained = names.get("trainer", names)
    model = trained.model if trained is not names else names["model"]
    assert all(p.isfinite().all() for p in model.parameters())
    if heading != "timm":  # makes its own
        params = names["model"].parameters()
        assert any(not torch.equal(p, b) for p, b in zip(params, before, strict=True))
    optimizer = names.get("optimizer") or names.get("sam") or model.optimizers().optimizer
    assert optimizer.cost.steps == (1 if heading == "accelerate" else 2)
    assert optimizer._away is None


def test_two_ranks_have_equal_weights(tmp_path):
    code = next(x.values[1] for x in recipes() if x.values[0] == RANKS)
    command = [sys.executable, str(Path(__file__).with_name("recipe_on_two_ranks.py")), tmp_path]
    codes = json.dumps([code, ATTACHED])
    done = subprocess.run(command, input=codes, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_recipes_are_all_there():
    assert {param.values[0] for param in recipes()} >= {
        *NEEDS,
        "torch.compile",
        "A gradient scaler",
    }
