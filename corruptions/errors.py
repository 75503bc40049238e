"""The error this package raises on purpose."""

from __future__ import annotations


class CorruptionError(ValueError):
    """A mistake in what the caller gave: one sentence saying what, which value, and what to do."""
