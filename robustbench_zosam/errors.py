"""The errors this package raises on purpose."""

from __future__ import annotations


class InputError(ValueError):
    """A mistake in what the user gave: one sentence saying what, which value, and what to do.

    The command line prints it without a traceback and exits with code 2.
    """


class DivergedError(RuntimeError):
    """A training or a measurement left the finite numbers."""
