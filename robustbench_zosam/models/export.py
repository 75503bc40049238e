"""Trained models for other programs: dense weights as safetensors or torch file, or ONNX."""

from __future__ import annotations

import importlib
import io
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.files import atomic_path
from robustbench_zosam.models.checkpoints import Checkpoint, describe, save_checkpoint
from robustbench_zosam.models.torch_files import OWN_FACTS

SUFFIXES = (".safetensors", ".pt", ".pth", ".onnx")
OPSET = 18
_TOLERANCE = 1e-3  # of the largest logit


def export_checkpoint(checkpoint: Checkpoint, file: Path, *, image_size: int | None = None) -> str:
    """Writes a model in the format of the file's suffix.

    Args:
        file: `.safetensors` and `.pt` or `.pth` hold dense weights by the network's own names, and
            what predictions need beside them; `.onnx` holds the network with its normalisation,
            from images in [0, 1] to logits.
        image_size: side length in pixels for ONNX, where the checkpoint does not say.

    Returns:
        What was written and how it was checked, in one line.

    Raises:
        InputError: the suffix is unknown, or ONNX's packages or the image size are missing.
    """
    if file.suffix == ".safetensors":
        classes, size = checkpoint.classes, checkpoint.image_size
        save_checkpoint(file, checkpoint.model, checkpoint.config, classes=classes, image_size=size)
    elif file.suffix in {".pt", ".pth"}:
        _to_torch(checkpoint, file)
    elif file.suffix == ".onnx":
        return _to_onnx(checkpoint, file, image_size or checkpoint.image_size)
    else:
        raise InputError(
            f"--to {file} must end in one of {', '.join(SUFFIXES)}, which says the format"
        )
    return f"{file}: dense, {_megabytes(file)}"


def _to_torch(checkpoint: Checkpoint, file: Path) -> None:
    state = {n: v.detach().cpu() for n, v in checkpoint.model.backbone.state_dict().items()}
    facts = _facts(checkpoint) | {"encodings": {}}
    content = io.BytesIO()  # in a file of another name, the archive would have other bytes
    torch.save({"state_dict": state, OWN_FACTS: facts}, content)
    with atomic_path(file) as temporary:
        temporary.write_bytes(content.getbuffer())


def _facts(checkpoint: Checkpoint) -> dict[str, object]:
    return describe(checkpoint.model, checkpoint.config, checkpoint.classes, checkpoint.image_size)


def _to_onnx(checkpoint: Checkpoint, file: Path, image_size: int | None) -> str:
    if image_size is None:
        raise InputError(
            "the checkpoint does not say the size of its images: --set data.image_size=32, "
            "for example"
        )
    onnx, runtime, _ = (_require(name) for name in ("onnx", "onnxruntime", "onnxscript"))
    images = torch.rand(2, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    model = checkpoint.model.eval()
    with warnings.catch_warnings(), atomic_path(file) as temporary:
        warnings.simplefilter("ignore")  # the exporter's remarks on its own internals
        program = torch.onnx.export(
            model,
            (images,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        proto = program.model_proto
        for key, value in _facts(checkpoint).items():
            entry = proto.metadata_props.add()
            entry.key, entry.value = key, str(value)
        onnx.checker.check_model(proto)
        content = proto.SerializeToString()
        difference = _largest_difference(runtime, content, checkpoint, images)
        temporary.write_bytes(content)
    return (
        f"{file}: ONNX opset {OPSET}, {_megabytes(file)}, input images (n, 3, {image_size}, "
        f"{image_size}) in [0, 1]; logits differ from PyTorch's by {difference:.1e} at most"
    )


def _largest_difference(
    runtime: ModuleType, content: bytes, checkpoint: Checkpoint, images: Tensor
) -> float:
    """Returns the largest difference of logits between the exported and the original network."""
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in (images, images[:1]):  # the number of images must be free
        with torch.no_grad():
            ours = checkpoint.model(batch).numpy()
        [theirs] = session.run(["logits"], {"images": batch.numpy()})
        worst = max(worst, float(np.abs(ours - theirs).max()))
        if not worst <= _TOLERANCE * max(float(np.abs(ours).max()), 1.0):
            raise InputError(
                f"the network does not survive its conversion to ONNX (logits differ by {worst:g}):"
                " export it to .safetensors instead"
            )
    return worst


def _require(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(
            f"exporting to ONNX needs {package}, which cannot be imported ({error}): "
            "pip install 'zosam-robust[onnx]'"
        ) from error


def _megabytes(file: Path) -> str:
    return f"{file.stat().st_size / 2**20:.2f} MiB"
