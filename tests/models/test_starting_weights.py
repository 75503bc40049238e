"""Training from published weights, from a checkpoint, and from a file of the Hub."""

from __future__ import annotations

import http.server
import threading
import urllib.error
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from robustbench_zosam.config import ExperimentConfig, ModelConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.models import save_checkpoint
from robustbench_zosam.models.classifier import Classifier, build_model
from robustbench_zosam.models.hub import local_file
from robustbench_zosam.models.starting import load_starting_weights
from robustbench_zosam.runs.identity import training_identity
from robustbench_zosam.runs.methods import expand

torchvision_models = pytest.importorskip("torchvision.models")


def build(config: ModelConfig, classes: int, seed: int = 0, size: int = 32) -> Classifier:
    return build_model(config, classes, (0.1,) * 3, (0.9,) * 3, seed=seed, image_size=size)


def equal(model: Classifier, state: dict[str, torch.Tensor], *left_out: str) -> bool:
    own = model.backbone.state_dict()
    return all(torch.equal(own[n], v) for n, v in state.items() if not n.startswith(left_out))


def test_weights_of_torchvision_come_from_its_cache_with_their_normalisation(tmp_path, monkeypatch):
    weights = torchvision_models.get_model_weights("squeezenet1_1").DEFAULT
    source = build(ModelConfig(name="torchvision:squeezenet1_1"), 1000, seed=5)
    state = source.backbone.state_dict()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / weights.url.rpartition("/")[2])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    config = ModelConfig(name="torchvision:squeezenet1_1", pretrained=True)
    same, other = build(config, 1000), build(config, 7)
    before = other.backbone.classifier[1].weight.clone()
    for model in (same, other):
        load_starting_weights(model, config, 32)
        assert model.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
        assert model.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])
    assert equal(same, state, "nothing")
    assert equal(other, state, "classifier.1")
    assert torch.equal(other.backbone.classifier[1].weight, before)


def test_a_network_that_is_away_is_one_sentence(tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    config = ModelConfig(name="torchvision:squeezenet1_1", pretrained=True)
    with pytest.raises(InputError, match=r"weights of torchvision:\S+ cannot be had: .*no"):
        load_starting_weights(build(config, 3), config, 32)


def test_weights_of_timm_keep_what_does_not_depend_on_the_classes(tmp_path, monkeypatch):
    timm = pytest.importorskip("timm")
    kind = "test_resnet"
    source = timm.create_model(kind, pretrained=False, num_classes=1000)
    asked = []

    def create(name, pretrained=False, **options):
        asked.append(pretrained)
        return source if pretrained else timm.models.create_model(name, **options)

    monkeypatch.setattr(timm, "create_model", create)
    config = ModelConfig(name=f"timm:{kind}", pretrained=True)
    model = build(config, 4, size=64)
    load_starting_weights(model, config, 64)
    assert asked == [False, True, *[False] * (len(asked) - 2)]
    assert equal(model, source.state_dict(), "fc.")
    assert model.mean.flatten().tolist() == pytest.approx(list(source.pretrained_cfg["mean"]))


def test_a_checkpoint_of_other_classes_gives_all_but_its_classifier(tmp_path):
    source = build(ModelConfig(), 10, seed=3)
    file = tmp_path / "ten.safetensors"
    save_checkpoint(file, source, ModelConfig(), classes=[str(i) for i in range(10)], image_size=16)
    config = ModelConfig(init=str(file))
    same, other = build(config, 10), build(config, 4)
    for model in (same, other):
        load_starting_weights(model, config, 16)
        assert torch.equal(model.mean, source.mean)
    assert equal(same, source.backbone.state_dict(), "nothing")
    assert equal(other, source.backbone.state_dict(), "fc")
    assert not equal(other, build(config, 4, seed=1).backbone.state_dict(), "nothing")


def test_settings_say_the_normalisation_of_a_state_dict(tmp_path):
    source = build(ModelConfig(), 10, seed=3)
    file = tmp_path / "plain.pt"
    torch.save({"module." + n: v for n, v in source.backbone.state_dict().items()}, file)
    config = ModelConfig(init=str(file), mean=(0.2, 0.3, 0.4), std=(0.5, 0.5, 0.5))
    model = build(config, 10)
    load_starting_weights(model, config, 16)
    assert equal(model, source.backbone.state_dict(), "nothing")
    assert model.mean.flatten().tolist() == pytest.approx([0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (ModelConfig(init="absent.pt"), "absent.pt cannot be read"),
        (ModelConfig(pretrained=True), "digits-resnet has no published weights"),
        (ModelConfig(init="hf:only-an-owner"), "write hf:OWNER/NAME"),
        (ModelConfig(init="hf:a/b/weights.bin"), "only .safetensors files are fetched"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(config, said):
    with pytest.raises(InputError, match=said):
        load_starting_weights(build(config, 10), config, 16)


def test_weights_of_another_network_are_refused(tmp_path):
    file = tmp_path / "wide.pt"
    torch.save(build(ModelConfig(width=2.0), 10).backbone.state_dict(), file)
    config = ModelConfig(init=str(file))
    with pytest.raises(InputError, match="does not fit digits-resnet"):
        load_starting_weights(build(config, 10), config, 16)


def test_the_weights_to_start_from_are_part_of_the_identity(tmp_path):
    found = []
    for seed in (1, 2):
        file = tmp_path / f"{seed}.pt"
        torch.save(build(ModelConfig(), 10, seed=seed).backbone.state_dict(), file)
        found += [file, tmp_path / "copy.pt"] if seed == 1 else [file]
    found[1].write_bytes(found[0].read_bytes())
    configs = [ExperimentConfig()]
    configs += [ExperimentConfig(model=ModelConfig(init=str(file))) for file in found]
    ids = [training_identity(each, expand(each)[1], 0, "data", 1) for each in configs]
    assert ids[1] == ids[2]
    assert len(set(ids)) == 3


class Hub(http.server.BaseHTTPRequestHandler):
    """A repository of the Hub with one file."""

    content = b""

    def do_HEAD(self) -> None:
        found = self.path == "/owner/net/resolve/main/model.safetensors"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(self.content) if found else 0))
        self.send_header("ETag", '"0123456789"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    library = pytest.importorskip("huggingface_hub")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    fetch = partial(library.hf_hub_download, endpoint=address, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(library, "hf_hub_download", fetch)
    yield Hub
    server.shutdown()
    server.server_close()


def test_a_file_of_the_hub_is_a_checkpoint(hub, tmp_path):
    source = build(ModelConfig(), 10, seed=4)
    save_file(source.backbone.state_dict(), tmp_path / "served.safetensors")
    hub.content = (tmp_path / "served.safetensors").read_bytes()
    config = ModelConfig(init="hf:owner/net")
    model = build(config, 10)
    load_starting_weights(model, config, 16)
    assert equal(model, source.backbone.state_dict(), "nothing")
    (method,) = expand(ExperimentConfig(checkpoints=("hf:owner/net",)))
    assert method.label == "owner/net"
    assert method.checkpoint is not None
    assert Path(method.checkpoint).read_bytes() == hub.content
    with pytest.raises(InputError, match="weights of hf:owner/other cannot be had"):
        local_file("hf:owner/other")
