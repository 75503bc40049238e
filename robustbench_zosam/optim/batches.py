"""Mini-batches of any structure: how many examples they have, and parts of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, TypeGuard

from torch import Tensor

from robustbench_zosam.errors import InputError

Rows = slice | Tensor
_CONSTANTS = (str, bytes, bool, int, float, complex, type(None))


def batch_size(batch: object) -> int:
    """Returns the number of examples, which all tensors in the batch share.

    Raises:
        InputError: the batch has no tensors with rows, tensors of several lengths, or something
            whose rows are not known.
    """
    lengths = {len(rows) for rows in _leaves(batch)}
    if len(lengths) != 1:
        found = ", ".join(map(str, sorted(lengths))) or "none"
        raise InputError(f"the batch has tensors of lengths {found}: give tensors of one length")
    return lengths.pop()


def take_rows(batch: Any, rows: Rows) -> Any:
    """Returns a batch of the same structure with some of the examples.

    Args:
        batch: tensors with one row for each example, lists of one thing for each, and any nesting
            of mappings, lists and tuples of them; numbers and words go along as they are.
        rows: a slice, or positions, shape (k,).
    """
    if _is_array(batch):
        return batch if batch.ndim == 0 else batch[rows]
    if isinstance(batch, Mapping):
        parts = {key: take_rows(value, rows) for key, value in batch.items()}
        if not isinstance(batch, MutableMapping):
            return parts
        taken = copy.copy(batch)  # keeps the class, such as a tokenizer's
        taken.update(parts)
        return taken
    if _is_list_of_examples(batch):
        return [batch[i] for i in _positions(rows, len(batch))]
    if isinstance(batch, (list, tuple)):
        return _rebuilt(batch, [take_rows(value, rows) for value in batch])
    return batch


def _is_array(value: object) -> TypeGuard[Tensor]:
    """Returns whether this is a tensor, or another array."""
    return isinstance(value, Tensor) or (hasattr(value, "ndim") and hasattr(value, "__getitem__"))


def _leaves(batch: object) -> Iterator[Any]:
    if _is_array(batch):
        if batch.ndim > 0:
            yield batch
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from _leaves(value)
    elif _is_list_of_examples(batch):
        yield batch
    elif isinstance(batch, (list, tuple)):
        for value in batch:
            yield from _leaves(value)
    elif not isinstance(batch, _CONSTANTS):
        raise InputError(
            f"the batch has a {type(batch).__name__}, whose examples cannot be told apart: give "
            "tensors, in dicts, lists or tuples where wanted"
        )


def _is_list_of_examples(value: object) -> bool:
    """Returns whether this is a list of words or numbers, one for each example."""
    return (
        isinstance(value, list) and len(value) > 0 and all(isinstance(v, _CONSTANTS) for v in value)
    )


def _positions(rows: Rows, count: int) -> Sequence[int]:
    if isinstance(rows, slice):
        return range(count)[rows]
    return rows.tolist()


def _rebuilt(old: Sequence[object], values: list[object]) -> object:
    if isinstance(old, list):
        return values
    make: Callable[..., object] = getattr(type(old), "_make", type(old))  # named tuples
    return make(values)
