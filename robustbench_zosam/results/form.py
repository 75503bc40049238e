"""Whether stored results are of the form of this release, and free of contradictions."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, cast

from robustbench_zosam.errors import InputError
from robustbench_zosam.results import consistency
from robustbench_zosam.schema import Results

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_LONGEST = 60  # characters of a value in a message


def require_form(tree: object, where: str) -> None:
    """Refuses what is not of the form of `schema.Results`; keys beyond it are left alone.

    Args:
        where: the file, for the message.

    Raises:
        InputError: naming the first place that is wrong, and what stands there.
    """
    from pydantic import ValidationError

    try:
        _adapter().validate_python(tree, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "its content"
        value = repr(first["input"])[:_LONGEST]
        missing = first["type"] == "missing"
        said = "is missing" if missing else f"is {value}: {_lowered(first['msg'])}"
        raise InputError(f"{where} is damaged: {place} {said}: restore it") from error
    except RecursionError:
        raise InputError(f"{where} is damaged: it is nested too deeply") from None
    found = next(consistency.contradictions(cast("Results", tree)), None)
    if found is not None:
        raise InputError(f"{where} is damaged: {found}: restore it")


@functools.cache
def _adapter() -> TypeAdapter[Results]:
    from pydantic import TypeAdapter  # a third of a second for the whole form

    return TypeAdapter(Results)


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
