"""SynFlow: pruning without data that keeps every layer alive."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity.policy import Start
from robustbench_zosam.sparsity.saliency import Saliency, ScratchModel


class SynFlow(Saliency):
    """Scores by `|w| dR/d|w|`, where R is the sum of outputs of the network of magnitudes.

    R is computed for one image of ones, in double precision: single precision overflows on deep
    networks. Labels and pixels of the training data are not used, the shape of an image is. One
    round empties layers at high sparsity.

    Source: Tanaka et al. 2020, "Pruning neural networks without any data by iteratively conserving
        synaptic flow", algorithm 1.
    """

    training: ClassVar[bool] = False
    dtype: ClassVar[torch.dtype | None] = torch.float64

    def __init__(self, rounds: int = 100) -> None:
        super().__init__(rounds)

    @torch.no_grad()
    def arrange(self, scratch: ScratchModel, start: Start) -> None:
        """Makes all parameters of the copy positive."""
        for parameter in scratch.model.parameters():
            parameter.abs_()
        for value in scratch.initial:
            value.abs_()
        images, _ = start.draw(1)
        scratch.data = (torch.ones_like(images[:1], dtype=self.dtype),)

    def scores(self, scratch: ScratchModel, start: Start) -> list[Tensor]:
        """Returns the synaptic flow; one that is not finite even in float64 is an `InputError`."""
        del start
        flow = scratch.model(*scratch.data).sum()
        if not flow.isfinite():
            raise InputError(
                f"synflow: the flow through this model is {flow.item()}: choose another sparsifier"
            )
        gradients = scratch.gradients(flow)
        return [w.detach() * g for w, g in zip(scratch.weights, gradients, strict=True)]
