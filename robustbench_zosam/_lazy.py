"""Packages whose names can be looked at without importing torch."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Callable
from functools import cache
from typing import Any


def lazy_exports(package: str) -> Callable[[str], Any]:
    """Returns a module `__getattr__` that imports a name when it is first used.

    Where from is said once, by the imports of the package under `if TYPE_CHECKING:`.
    """

    @cache
    def homes() -> dict[str, str]:
        tree = ast.parse(inspect.getsource(sys.modules[package]))
        blocks = [node for node in tree.body if isinstance(node, ast.If)]
        imports = [
            node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)
        ]
        return {alias.name: str(node.module) for node in imports for alias in node.names}

    def load(name: str) -> Any:
        if name.startswith("__") or name not in homes():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes()[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return load
