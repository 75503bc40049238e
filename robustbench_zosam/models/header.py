"""What our checkpoints say beside their tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from robustbench_zosam.config_fields import Deviation, Float, Integer, UnitInterval
from robustbench_zosam.errors import InputError


class Architecture(BaseModel):
    """The architecture in a header, which never says that code may run."""

    name: str
    width: Annotated[Float, Field(gt=0, le=16)]


class SparseTensor(BaseModel):
    """A sparse tensor in a header: what its mask and values do not say."""

    shape: tuple[Annotated[Integer, Field(ge=0, lt=2**40)], ...]


class Header(BaseModel):
    """What predictions need beside the tensors, and whatever else a run adds."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    model: Architecture
    mean: tuple[UnitInterval, UnitInterval, UnitInterval]
    std: tuple[Deviation, Deviation, Deviation]
    classes: tuple[str, ...]
    image_size: Annotated[Integer, Field(ge=1, le=16384)] | None
    encodings: dict[str, SparseTensor]
    sha256: str | None = None
    """Of the tensors as they are stored; not in files of version 0.1.0."""

    @field_validator("classes")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("two classes have the same name")
        return value


def parse_header(file: Path, raw: object) -> Header:
    """Returns a header; one that is damaged is an `InputError`."""
    try:
        return Header.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ").lower()
        raise InputError(
            f"the checkpoint {file} is damaged: {where} in its header: {said}"
        ) from error
