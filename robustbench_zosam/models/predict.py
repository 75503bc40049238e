"""Forward passes over whole arrays of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustbench_zosam.data.dataset import Images


def to_unit(images: Tensor) -> Tensor:
    """Returns uint8 images as float32 in [0, 1], the input of every classifier here."""
    return images.to(torch.float32).div_(255)


@torch.inference_mode()
def predict_logits(
    model: nn.Module, images: Images | Tensor, device: torch.device, batch_size: int = 128
) -> Tensor:
    """Returns the logits of all images, in evaluation mode.

    Args:
        model: a classifier; its mode is restored afterwards.
        images: uint8, (n, 3, h, w).
        device: where the model is.
        batch_size: images at a time.

    Returns:
        float32 (n, classes) on the CPU.
    """
    training = model.training
    model.eval()
    whole = images if isinstance(images, Tensor) else torch.from_numpy(images)
    parts = [
        model(to_unit(batch.to(device))).float().cpu() for batch in torch.split(whole, batch_size)
    ]
    model.train(training)
    return torch.cat(parts)
