"""Whether two suites hold the same images, wherever they lie."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from corruptions.suites import Suite


def content_digest(suite: Suite) -> str:
    """Returns a hash of the labels and of the first, middle and last image of every condition.

    Suites of other corruptions, severities, constants, random draws, textures or limits differ in
    it; copies of one suite on two machines do not.
    """
    digest = hashlib.sha256(np.ascontiguousarray(suite.labels, dtype=np.int64).tobytes())
    last = len(suite) - 1
    for corruption in suite.corruptions:
        for severity in suite.severities:
            digest.update(f"{corruption}/{severity}".encode())
            for place in sorted({0, last // 2, last}):
                images = suite.read(corruption, severity, place, place + 1)
                digest.update(np.ascontiguousarray(images).tobytes())
    return digest.hexdigest()
