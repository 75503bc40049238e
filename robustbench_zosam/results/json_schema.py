"""The JSON Schema of `results.json`, made of the types in `robustbench_zosam.schema`.

Nothing is validated when a file is read: the schema is for other programs, and for the tests.
"""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import is_typeddict

from robustbench_zosam import schema
from robustbench_zosam.results.versions import VERSION


def json_schema() -> dict[str, Any]:
    """Returns the JSON Schema of `results.json` of this release."""
    for _, described in inspect.getmembers(schema):
        if is_typeddict(described):  # open for more keys; the docstrings describe the keys
            config = ConfigDict(extra="allow", use_attribute_docstrings=True)
            described.__pydantic_config__ = config
    found = TypeAdapter(schema.Results).json_schema()
    found["title"] = "results.json of zosam-robust"
    found["properties"]["schema"] |= {"minimum": VERSION, "maximum": VERSION}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | found
