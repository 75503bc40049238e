"""What trained networks cost in floating-point operations, sparse and as executed."""

from __future__ import annotations

from robustbench_zosam.schema import InferenceFlops, Sparsity, TrainingFlops
from robustbench_zosam.sparsity import Masker
from robustbench_zosam.sparsity.flops import ForwardFlops
from robustbench_zosam.training.setup import TrainingSetup


def inference_flops(forward: ForwardFlops, sparsity: Sparsity, image_size: int) -> InferenceFlops:
    """Returns the operations for one image.

    Args:
        forward: of the network.
        sparsity: of the trained model.
        image_size: side length in pixels.
    """
    sparse = forward.at({x["name"]: x["density"] for x in sparsity.get("layers", [])})
    return {
        "dense": forward.dense,
        "sparse": sparse,
        "ratio": sparse / max(forward.dense, 1),
        "image_size": image_size,
    }


def training_flops(setup: TrainingSetup, forward: ForwardFlops) -> TrainingFlops:
    """Returns the operations of a training so far, from its passes and densities.

    Densities are averaged over the steps; what a sparsifier looks at before training, the
    optimizer's updates and validation are left out, as usual.

    Source: Evci et al. 2020, "Rigging the Lottery", appendix H.
    """
    cost, batch = setup.optimizer.cost, setup.batches.batch_size
    sparse = batch * passes_flops(forward, setup.masker, cost.forwards, cost.backwards)
    executed = batch * forward.dense * (cost.forwards + 2 * cost.backwards)
    sgd = batch * forward.dense * 3 * cost.steps
    steps = max(cost.steps, 1)
    return {
        "sparse": sparse,
        "executed": executed,
        "sparse_per_step": sparse / steps,
        "executed_per_step": executed / steps,
        "of_sgd": sparse / sgd if sgd else None,
    }


def passes_flops(forward: ForwardFlops, masker: Masker, forwards: float, backwards: float) -> float:
    """Returns the operations for one image of a training's passes, with active weights alone."""
    active = forward.at(masker.mean_densities())
    more = (forward.dense - active) * masker.dense_gradients
    return active * (forwards + 2 * backwards) + more
