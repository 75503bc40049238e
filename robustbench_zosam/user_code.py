"""Code of the user's own, named as `package.module:attribute`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from robustbench_zosam.errors import InputError


def require_allowed(what: str, allowed: bool) -> None:
    """Refuses code that nobody has allowed to run.

    Args:
        what: noun and name, for the message.
        allowed: `model.allow_code`.

    Raises:
        InputError: it is not.
    """
    if not allowed:
        raise InputError(
            f"the {what} is code that would run here: add --set model.allow_code=true if you "
            "trust it"
        )


def named(path: str) -> object:
    """Imports what a path names, with the current directory last in the search path."""
    module, _, attribute = path.partition(":")
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        return getattr(importlib.import_module(module), attribute)
    finally:
        sys.path.remove(here)
