"""The errors this package raises on purpose."""

from __future__ import annotations


class InputError(ValueError):
    """A mistake in what the user gave: one sentence saying what, which value, and what to do.

    The command line prints it without a traceback and exits with code 2.
    """


class DamagedFileWarning(UserWarning):
    """A file that this program wrote is damaged: what was in it is computed again."""


class PluginWarning(UserWarning):
    """Another package registers something that cannot be used; everything else goes on."""


class DivergedError(RuntimeError):
    """A training or a measurement left the finite numbers."""


def printable(text: str, most: int = 1500) -> str:
    r"""Returns a message on one line, without what would steer a terminal.

    Example:
        >>> printable("a\n\x1b[31mb")
        'a \\x1b[31mb'
    """
    line = " ".join(text.split())
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    return shown if len(shown) <= most else f"{shown[:most]}…"
