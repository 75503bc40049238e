"""The sparsity of a trained model, from its masks and weights."""

from __future__ import annotations

from torch import Tensor, nn

from robustbench_zosam.schema import SparseLayer, Sparsity
from robustbench_zosam.sparsity.layers import MaskableLayer, left_out, maskable_layers
from robustbench_zosam.sparsity.masks import astray


def sparsity_facts(model: nn.Module, masks: dict[str, Tensor]) -> Sparsity:
    """Returns both sparsities, of the maskable weights and of all parameters, and each layer's.

    A layer is called collapsed when it is down to the one weight that every sparsifier leaves it.
    A weight that is not zero counts as active, whatever its mask says.

    Args:
        masks: parameter name to bool mask.
    """
    found = maskable_layers(model, ())
    active = [_active(x, masks.get(x.name)) for x in found]
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
        "left_dense": [
            {"name": x.name, "size": x.size, "reason": x.reason} for x in left_out(model)
        ],
    }


def _active(layer: MaskableLayer, mask: Tensor | None) -> int:
    if mask is None:
        return layer.size
    return int(mask.sum()) + int(astray(layer.weight, mask))
