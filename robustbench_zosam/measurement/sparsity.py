"""The sparsity of a trained model, from its masks."""

from __future__ import annotations

from torch import Tensor, nn

from robustbench_zosam.schema import SparseLayer, Sparsity
from robustbench_zosam.sparsity.layers import maskable_layers


def sparsity_facts(model: nn.Module, masks: dict[str, Tensor]) -> Sparsity:
    """Returns both sparsities, of the maskable weights and of all parameters, and each layer's.

    A layer is called collapsed when it is down to the one weight that every sparsifier leaves it.

    Args:
        masks: parameter name to bool mask.
    """
    found = maskable_layers(model, ())
    active = [int(masks[x.name].sum()) if x.name in masks else x.size for x in found]
    layers: list[SparseLayer] = [
        {"name": x.name, "size": x.size, "active": count, "density": count / x.size}
        for x, count in zip(found, active, strict=True)
    ]
    maskable = sum(x.size for x in found)
    zero = maskable - sum(active)
    total = sum(parameter.numel() for parameter in model.parameters())
    return {
        "maskable": zero / max(maskable, 1),
        "total": zero / total,
        "active": maskable - zero,
        "maskable_parameters": maskable,
        "parameters": total,
        "collapsed": [
            x.name for x, count in zip(found, active, strict=True) if count == 1 < x.size
        ],
        "layers": layers,
    }
