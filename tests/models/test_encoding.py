from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from robustbench_zosam.models.encoding import decode, encode


def random_mask(size: int, density: float) -> torch.Tensor:
    order = torch.randperm(size, generator=torch.Generator().manual_seed(0))
    return torch.zeros(size, dtype=torch.bool).index_fill(0, order[: round(size * density)], True)


@given(st.lists(st.tuples(st.floats(-5, 5, width=32), st.booleans()), min_size=1, max_size=40))
def test_encoding_is_exact_and_keeps_active_zeros(entries: list[tuple[float, bool]]):
    mask = torch.tensor([active for _, active in entries])
    value = torch.tensor([number for number, _ in entries]).where(mask, torch.zeros(()))
    found, found_mask = decode("w", encode("w", value, mask), (len(entries),))
    assert torch.equal(found, value)
    assert torch.equal(found_mask, mask)


@given(st.lists(st.integers(0, 800), max_size=6), st.integers(0, 800))
def test_gaps_of_any_length_come_back(gaps: list[int], rest: int):
    """Among them 254, 255 and 256, where a gap needs a second byte."""
    active = np.cumsum([gap + 1 for gap in gaps], dtype=np.int64) - 1
    mask = torch.zeros(int(active[-1]) + 1 + rest if gaps else rest, dtype=torch.bool)
    mask[torch.from_numpy(active)] = True
    parts = encode("w", mask.float(), mask)
    assert torch.equal(decode("w", parts, tuple(mask.shape))[1], mask)
    assert parts == {}


@pytest.mark.parametrize("gap", [0, 253, 254, 255, 256, 510, 511])
def test_a_byte_more_for_each_255_inactive_entries(gap: int):
    mask = torch.zeros(20_000, dtype=torch.bool)
    mask[gap] = True
    raw = zlib.decompress(encode("w", mask.float(), mask)["w.gaps"].numpy().tobytes())
    assert list(raw) == [255] * (gap // 255) + [gap % 255]


@pytest.mark.parametrize(
    ("density", "part"), [(0.0, "gaps"), (0.02, "gaps"), (0.1, "gaps"), (0.5, "mask"), (1, "gaps")]
)
def test_the_smaller_of_both_is_kept(density: float, part: str):
    mask = random_mask(9216, density)
    parts = encode("w", mask.float(), mask)
    assert parts.keys() == {f"w.{part}", "w.values"}
    assert len(parts[f"w.{part}"]) <= 9216 // 8
    assert torch.equal(decode("w", parts, (9216,))[1], mask)


@pytest.mark.parametrize("density", [0.1, 0.05, 0.02])
def test_gaps_of_a_random_mask_are_near_its_entropy(density: float):
    mask = random_mask(36_864, density)
    bits = -(density * np.log2(density) + (1 - density) * np.log2(1 - density)) * 36_864
    assert len(encode("w", mask.float(), mask)["w.gaps"]) <= 1.1 * bits / 8


def test_shape_and_type_of_the_values_come_back():
    mask = random_mask(24, 0.5).view(2, 3, 4)
    value = torch.randn(2, 3, 4, dtype=torch.bfloat16).where(mask, torch.zeros(()).bfloat16())
    found, _ = decode("w", encode("w", value, mask), (2, 3, 4))
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, value)


def bytes_of(data: bytes) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(data, dtype=np.uint8).copy())


@pytest.mark.parametrize(
    ("parts", "needle"),
    [
        ({"w.values": torch.ones(2)}, r"w\.mask is missing"),
        ({"w.mask": bytes_of(b"\xc0")}, r"w\.values is missing"),
        ({"w.mask": bytes_of(b"\xc0"), "w.values": torch.ones(1)}, "1 values for 2 active"),
        ({"w.mask": bytes_of(b"\xc0\x00"), "w.values": torch.ones(2)}, "has 2 bytes"),
        ({"w.mask": torch.ones(1), "w.values": torch.ones(2)}, "is of type torch.float32"),
        ({"w.gaps": bytes_of(b"\xc0"), "w.values": torch.ones(2)}, "does not fit its shape"),
        (
            {"w.gaps": bytes_of(zlib.compress(b"\x07")), "w.values": torch.ones(1)},
            "goes on to entry 7",
        ),
        (
            {"w.gaps": bytes_of(zlib.compress(bytes(9))), "w.values": torch.ones(9)},
            "does not fit its shape",
        ),
        (  # a small file that would fill the memory
            {"w.gaps": bytes_of(zlib.compress(bytes(10**7))), "w.values": torch.ones(1)},
            "are not 7 entries",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts: dict[str, torch.Tensor], needle: str):
    with pytest.raises(ValueError, match=needle):
        decode("w", parts, (7,))
