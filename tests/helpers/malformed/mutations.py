"""What happens to bytes: cut, flipped, overwritten, mixed with other formats."""

from __future__ import annotations

import random
from collections.abc import Iterator

OTHERS = {
    "empty": b"",
    "one byte": b"\0",
    "text": b"hello, this is no such file\n",
    "html": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "zeros": bytes(5000),
    "elf": b"\x7fELF\x02\x01\x01" + bytes(200),
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n",
}
"""Whole contents that are something else."""


def cuts(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields the beginning of a file, cut at various places."""
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        yield f"cut at {share:g}", content[: int(len(content) * share)]
    for missing in (1, 4, 8):
        yield f"last {missing} bytes missing", content[:-missing]


def damage(content: bytes, seed: int, count: int = 8) -> Iterator[tuple[str, bytes]]:
    """Yields files with flipped bits and overwritten parts, as drawn by a seed."""
    draw = random.Random(seed)
    for number in range(count):
        changed = bytearray(content)
        for _ in range(1 + number % 3):
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        yield f"bits flipped {number}", bytes(changed)
    for number in range(count // 2):
        changed = bytearray(content)
        start = draw.randrange(max(len(changed) - 64, 1))
        changed[start : start + 64] = draw.randbytes(64)
        yield f"overwritten {number}", bytes(changed)
    head = bytearray(content)
    head[:16] = draw.randbytes(16)
    yield "head overwritten", bytes(head)
