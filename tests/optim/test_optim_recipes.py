"""The recipes of the documentation, run as they stand."""

import re
import socket
from pathlib import Path

import pytest
import torch
from torch import nn

PAGE = Path(__file__).parents[2] / "docs" / "optimizers" / "recipes.md"
NEEDS = {"Lightning": "lightning", "Hugging Face Trainer": "transformers", "timm": "timm"}
NEEDS |= {"accelerate": "accelerate"}


def recipes():
    """Yields the heading, the number below it and the code of each block."""
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading = section.partition("\n")[0]
        for index, code in enumerate(re.findall(r"^```python\n(.*?)^```", section, re.M | re.S)):
            yield pytest.param(heading, code, id=f"{heading}-{index}".replace(" ", "_"))


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


@pytest.fixture
def group():
    """A process group of this process alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", init_method=address, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("default")  # of other packages
@pytest.mark.parametrize(("heading", "code"), list(recipes()))
def test_it_trains(heading, code, names, request):
    if heading in NEEDS:
        pytest.importorskip(NEEDS[heading])
    if heading == "Hugging Face Trainer":
        pytest.importorskip("accelerate")
        names["model"] = Labelled(names["model"])
    if heading == "timm":
        names["loader"] = [(x.repeat(1, 1, 8, 8), y) for x, y in names["loader"]]
    if heading == "DistributedDataParallel":
        request.getfixturevalue("group")
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


def test_the_recipes_are_all_there():
    assert {param.values[0] for param in recipes()} >= {
        *NEEDS,
        "torch.compile",
        "A gradient scaler",
    }
