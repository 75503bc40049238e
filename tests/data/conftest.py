"""Fixtures of the data tests."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable
from typing import Any, ClassVar

import pytest


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, as in the files published in 2009."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_string(self, value: bytes) -> None:
        if len(value) < 256:
            self.write(pickle.SHORT_BINSTRING + struct.pack("<B", len(value)) + value)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_string


@pytest.fixture
def python2_pickle() -> Callable[[object], bytes]:
    """Pickles with the protocol, the strings and the module names of the published CIFAR files."""

    def dumps(value: object) -> bytes:
        stream = io.BytesIO()
        Python2Pickler(stream, protocol=2).dump(value)
        return stream.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")

    return dumps
