"""Bytes that must never change: a stored suite and a rebuilt one would no longer be the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from corruptions import PRESETS, SEVERITIES, corrupt, registry

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())


def digest(clean, name, preset):
    sha = hashlib.sha256()
    for severity in SEVERITIES:
        sha.update(corrupt(clean, name, severity, preset=preset, seed=1, start=7).tobytes())
    return sha.hexdigest()


def test_every_corruption_has_golden_bytes():
    assert {preset: list(names) for preset, names in GOLDEN.items()} == {
        preset: list(registry.names("all")) for preset in PRESETS
    }


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", registry.names("all"))
def test_bytes_are_the_golden_ones(name, preset, crops):
    clean = np.ascontiguousarray(crops(3, 40, 33))
    assert digest(clean, name, preset) == GOLDEN[preset][name]
