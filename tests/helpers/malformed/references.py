"""Tables of reference errors, as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from malformed.assets import evaluate, photo_options, photos
from malformed.case import Case
from malformed.mutations import OTHERS

_HEAD = "corruption,severity,error\n"
_ROWS = "".join(f"fog,{s},0.{s}\n" for s in range(1, 6))
_TABLES: dict[str, str | bytes] = {
    "no rows": _HEAD,
    "other columns": "a,b,c\n1,2,3\n",
    "column twice": "corruption,severity,error,error\nfog,1,0.5,0.6\n",
    "error 1.5": _HEAD + "fog,1,1.5\n",
    "error -1": _HEAD + "fog,1,-1\n",
    "error NaN": _HEAD + "fog,1,nan\n",
    "error inf": _HEAD + "fog,1,inf\n",
    "error a text": _HEAD + "fog,1,x\n",
    "error missing": _HEAD + "fog,1\n",
    "error in percent": _HEAD + "fog,1,52\n",
    "error with comma": _HEAD + 'fog,1,"0,5"\n',
    "errors all zero": _HEAD + "".join(f"fog,{s},0\n" for s in range(1, 6)),
    "severity 0": _HEAD + _ROWS + "fog,0,0.5\n",
    "severity 6": _HEAD + _ROWS + "fog,6,0.5\n",
    "severity 1.5": _HEAD + "fog,1.5,0.5\n",
    "severity a text": _HEAD + "fog,x,0.5\n",
    "severity of digits elsewhere": _HEAD + "fog,٣,0.5\n",
    "row twice": _HEAD + _ROWS + "fog,1,0.7\n",
    "clean twice": _HEAD + _ROWS + "clean,0,0.1\nclean,0,0.2\n",
    "unknown corruption": _HEAD + _ROWS + "smog,1,0.5\n",
    "empty corruption": _HEAD + _ROWS + ",1,0.5\n",
    "too many fields": _HEAD + "fog,1,0.5,7\n",
    "huge field": _HEAD + "f" * 200000 + ",1,0.5\n",
    "null bytes": _HEAD + "fog,1,0.5\0\n",
    "open quote": _HEAD + '"fog,1,0.5\n',
    "latin-1": (_HEAD + "fog\xe9,1,0.5\n").encode("latin-1"),
    "utf-16": (_HEAD + _ROWS).encode("utf-16"),
    "semicolons": (_HEAD + _ROWS).replace(",", ";"),
}


def cases() -> Iterator[Case]:
    """Yields tables."""
    for what, table in {**_TABLES, **OTHERS}.items():
        yield Case(f"references/{what}", _table(table), "errors.csv")


def _table(table: str | bytes):
    def make(folder: Path) -> list[str]:
        file = folder / "errors.csv"
        file.write_bytes(table if isinstance(table, bytes) else table.encode())
        place = photos(folder / "photos")
        return evaluate(folder, *photo_options(place), "--set", f"suite.reference={file}")

    return make
