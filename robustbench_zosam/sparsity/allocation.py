"""How many weights each layer keeps, for a given sparsity of all of them together.

Sparsity is measured over the layers given: exempt layers are left out and not compensated for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from robustbench_zosam.checks import require_number
from robustbench_zosam.errors import InputError

Shape = Sequence[int]


def target_count(sizes: Sequence[int], sparsity: float) -> int:
    """Returns the number of weights to keep, `round((1 - sparsity) * sum(sizes))`.

    Raises:
        InputError: the sparsity is out of range, or leaves less than one weight per layer.
    """
    require_number("sparsity", sparsity, least=0, below=1)
    target = round((1 - sparsity) * sum(sizes))
    if target < len(sizes):
        raise InputError(
            f"sparsity {sparsity:g} leaves {target} weights for {len(sizes)} layers, "
            "and each needs at least one: lower it"
        )
    return target


def uniform(shapes: Sequence[Shape], sparsity: float) -> tuple[float, ...]:
    """Returns the same density for every layer.

    Args:
        shapes: weight shape of each layer.
        sparsity: fraction to remove, in [0, 1).
    """
    target_count([math.prod(shape) for shape in shapes], sparsity)
    return (1 - sparsity,) * len(shapes)


def er(shapes: Sequence[Shape], sparsity: float) -> tuple[float, ...]:
    """Returns Erdős-Rényi densities: proportional to `(n_in + n_out) / (n_in * n_out)`, at most 1.

    Source: Mocanu et al. 2018 (SET), with the allocation rule of `erk`.

    Args:
        shapes: weight shape of each layer, `(n_out, n_in, ...)`.
        sparsity: fraction to remove, in [0, 1).
    """
    raw = [(shape[0] + shape[1]) / (shape[0] * shape[1]) for shape in shapes]
    return _proportional(shapes, raw, sparsity)


def erk(shapes: Sequence[Shape], sparsity: float, power: float = 1.0) -> tuple[float, ...]:
    """Returns Erdős-Rényi-kernel densities: proportional to (sum of dimensions) / (their product).

    Layers whose density would exceed one are kept dense, and the rest share what remains.

    Source: Evci et al. 2020 (RigL), section 3 and the authors' `get_sparsities_erdos_renyi`.

    Args:
        shapes: weight shape of each layer.
        sparsity: fraction to remove, in [0, 1).
        power: exponent on the proportions.

    Example:
        >>> erk([(8, 8), (64, 64)], 0.5)
        (1.0, 0.4921875)
    """
    raw = [(sum(shape) / math.prod(shape)) ** power for shape in shapes]
    return _proportional(shapes, raw, sparsity)


def _proportional(
    shapes: Sequence[Shape], raw: Sequence[float], sparsity: float
) -> tuple[float, ...]:
    sizes = [math.prod(shape) for shape in shapes]
    left = target_count(sizes, sparsity)
    free = set(range(len(sizes)))
    while free:
        scale = left / sum(raw[i] * sizes[i] for i in free)
        largest = max(raw[i] for i in free)
        if scale * largest <= 1:
            break
        full = {i for i in free if raw[i] == largest}
        left -= sum(sizes[i] for i in full)
        free -= full
    return tuple(scale * raw[i] if i in free else 1.0 for i in range(len(sizes)))


def exact_counts(sizes: Sequence[int], densities: Sequence[float], total: int) -> tuple[int, ...]:
    """Rounds densities to counts that sum exactly to `total`, each between 1 and its size.

    Rounding follows the largest remainders; equal remainders go to the earlier layer.

    Args:
        sizes: number of weights of each layer.
        densities: wanted density of each layer.
        total: number of weights to keep in all.

    Returns:
        The number of weights each layer keeps.

    Raises:
        InputError: no such counts exist.

    Example:
        >>> exact_counts([10, 10, 10], [0.25, 0.25, 0.25], 8)
        (3, 3, 2)
    """
    if not len(sizes) <= total <= sum(sizes):
        raise InputError(
            f"{total} weights cannot be spread over {len(sizes)} layers of {sum(sizes)} weights "
            "with at least one in each: change the sparsity"
        )
    wanted = [density * size for density, size in zip(densities, sizes, strict=True)]
    counts = [min(max(math.floor(w), 1), size) for w, size in zip(wanted, sizes, strict=True)]
    while missing := total - sum(counts):
        step = 1 if missing > 0 else -1
        room = [i for i, n in enumerate(counts) if (n < sizes[i] if step > 0 else n > 1)]
        room.sort(key=lambda i: step * (counts[i] - wanted[i]))
        for i in room[: abs(missing)]:
            counts[i] += step
    return tuple(counts)


ALLOCATIONS = {"uniform": uniform, "er": er, "erk": erk}
