"""SynFlow: pruning without data that keeps every layer alive."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity.policy import Start
from robustbench_zosam.sparsity.saliency import Saliency, Scene


class SynFlow(Saliency):
    """Scores by `|w| dR/d|w|`, where R is the sum of outputs of the network of magnitudes.

    R is computed for one image of ones, in double precision: single precision overflows on deep
    networks. Labels and pixels of the training data are not used, the shape of an image is.

    Source: Tanaka et al. 2020, "Pruning neural networks without any data by iteratively conserving
        synaptic flow", algorithm 1.

    Args:
        rounds: how often to score; one round empties layers at high sparsity.
    """

    training: ClassVar[bool] = False
    dtype: ClassVar[torch.dtype | None] = torch.float64

    def __init__(self, rounds: int = 100) -> None:
        super().__init__(rounds)

    @torch.no_grad()
    def arrange(self, scene: Scene, start: Start) -> None:
        """Makes all parameters of the copy positive.

        Args:
            scene: the copy of the model.
        """
        for parameter in scene.model.parameters():
            parameter.abs_()
        for value in scene.initial:
            value.abs_()
        images, _ = start.draw(1)
        scene.data = (torch.ones_like(images[:1], dtype=self.dtype),)

    def scores(self, scene: Scene, start: Start) -> list[Tensor]:
        """Scores by synaptic flow.

        Args:
            scene: the copy of the model.
            start: unused.

        Returns:
            Scores, at least 0.

        Raises:
            InputError: the flow is not finite even in double precision.
        """
        del start
        flow = scene.model(*scene.data).sum()
        if not flow.isfinite():
            raise InputError(
                f"synflow: the flow through this model is {flow.item()}: choose another sparsifier"
            )
        gradients = scene.gradients(flow)
        return [w.detach() * g for w, g in zip(scene.weights, gradients, strict=True)]
