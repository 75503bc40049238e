"""Sparse models in files, and fine-tuning from them."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import prune

from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity import (
    create_masker,
    from_checkpoint,
    load_sparse,
    masker_from,
    save_sparse,
)


def same(one, other):
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.mark.parametrize("sparsity", [0.5, 0.98])
def test_a_round_trip_is_exact_and_small(sparsity, network, tmp_path):
    model, other = network(), network(seed=1)
    masker = create_masker("random", model, sparsity=sparsity, total_steps=1)
    save_sparse(tmp_path / "a.safetensors", model, masker)
    found = load_sparse(tmp_path / "a.safetensors", other)
    assert same(model, other)
    assert found.masks.keys() == masker.masks.keys()
    assert all(torch.equal(found.masks[n], mask) for n, mask in masker.masks.items())
    dense = sum(4 * p.numel() for p in model.parameters())
    assert (tmp_path / "a.safetensors").stat().st_size < dense * (1 - sparsity) * 1.3 + 3000


def test_what_cannot_be_saved_or_loaded_is_one_sentence(network, tmp_path):
    model = network()
    mask = {"0.weight": torch.zeros_like(model[0].weight, dtype=torch.bool)}
    with pytest.raises(InputError, match=r"0\.weight is not zero off its mask"):
        save_sparse(tmp_path / "a.safetensors", model, mask)
    with pytest.raises(InputError, match="a mask for nothing, which is no tensor"):
        save_sparse(tmp_path / "a.safetensors", model, {"nothing": mask["0.weight"]})
    masker = create_masker("random", model, sparsity=0.5, total_steps=1)
    save_sparse(tmp_path / "a.safetensors", model, masker)
    with pytest.raises(InputError, match="does not fit"):
        load_sparse(tmp_path / "a.safetensors", nn.Linear(2, 2))
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(whole[:-5] + b"spoil")
    with pytest.raises(InputError, match=r"cannot be read .*: restore it"):
        load_sparse(tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="no maskable layer of that"):
        masker_from(network(), {"1.weight": torch.ones(8, dtype=torch.bool)})


def zeros(model, folder):
    create_masker("random", model, sparsity=0.5, total_steps=1)
    torch.save(model.state_dict(), folder / "a.pt")
    return "a.pt"


def safe(model, folder):
    create_masker("random", model, sparsity=0.5, total_steps=1)
    save_file(model.state_dict(), folder / "a.safetensors")
    return "a.safetensors"


def ours(model, folder):
    masker = create_masker("random", model, sparsity=0.5, total_steps=1)
    save_sparse(folder / "a.safetensors", model, masker)
    return "a.safetensors"


def pruned(model, folder):
    for index in (0, 3, 6):
        prune.l1_unstructured(model[index], "weight", 0.5)
    torch.save({"state_dict": model.state_dict()}, folder / "a.pth")
    return "a.pth"


@pytest.mark.parametrize("write", [zeros, safe, ours, pruned])
def test_what_was_pruned_is_fine_tuned_and_stays_pruned(write, network, closure_of, tmp_path):
    source, model = network(), network(seed=1)
    name = write(source, tmp_path)
    images = torch.randn(2, 3, 4, 4)
    masker = from_checkpoint(model, tmp_path / name)
    assert torch.equal(model.eval()(images), source.eval()(images))
    assert masker.report().sparsity_maskable == pytest.approx(0.5, abs=0.01)
    optimizer = torch.optim.AdamW(model.parameters())
    masker.attach(optimizer)
    for _ in range(3):
        closure_of(model.train())()
        optimizer.step()
    masker.check(optimizer)


def test_a_dense_file_is_refused(network, tmp_path):
    torch.save(network().state_dict(), tmp_path / "a.pt")
    with pytest.raises(InputError, match="no masks and no zeros"):
        from_checkpoint(network(), tmp_path / "a.pt")


def test_two_of_four_is_the_layout_of_the_hardware():
    model = nn.Sequential(nn.Linear(64, 64, bias=False)).half()
    create_masker("sr-ste", model, sparsity=0.5, total_steps=1)
    weight = model[0].weight.detach()
    assert ((weight.view(64, 16, 4) != 0).sum(-1) == 2).all()
    if not torch.cuda.is_available() or torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("no sparse tensor cores here")
    weight = weight.cuda()
    packed = torch.sparse.to_sparse_semi_structured(weight)
    assert torch.equal(packed.to_dense(), weight)
    images = torch.randn(64, 64, device="cuda", dtype=torch.half)
    product = torch.nn.functional.linear(images, packed)
    assert torch.allclose(product, images @ weight.T, rtol=1e-2, atol=1e-2)
