"""The JSON Schema of `results.json`, made of the types in `robustbench_zosam.schema`.

It is for other programs, and for the tests; what is read here is checked by `results.form`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import get_original_bases, is_typeddict

from robustbench_zosam import schema
from robustbench_zosam.results.versions import VERSION


def json_schema() -> dict[str, Any]:
    """Returns the JSON Schema of `results.json` of this release."""
    types = {name: kind for name, kind in inspect.getmembers(schema) if is_typeddict(kind)}
    for each in {base for kind in types.values() for base in (kind, *_bases(kind))}:
        # Open for more keys; the docstrings describe the keys.
        each.__pydantic_config__ = ConfigDict(extra="allow", use_attribute_docstrings=True)
    found = TypeAdapter(schema.Results).json_schema()
    for name, described in found["$defs"].items():
        for base in _bases(types[name]):  # pydantic reads the docstrings of the class alone
            for key, inherited in TypeAdapter(base).json_schema()["properties"].items():
                if "description" in inherited:
                    described["properties"][key].setdefault("description", inherited["description"])
    found["title"] = "results.json of zosam-robust"
    found["properties"]["schema"] |= {"minimum": VERSION, "maximum": VERSION}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | found


def _bases(kind: type) -> Iterator[Any]:
    """Yields the TypedDicts that one extends."""
    for base in get_original_bases(kind):
        if is_typeddict(base):
            yield base
            yield from _bases(base)
