"""What a sharpness result says of itself, and which measures are refused."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness import BRIEF, CAVEATS, FULL, SharpnessMeasure, sharpness


def test_an_overflowing_loss_is_documented(images, labels):
    class Overflow(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor([1.0, 2.0]))

        def forward(self, x):
            return x.mean((1, 2, 3))[:, None] * torch.exp(self.w * 20)

    found = sharpness(
        Overflow(),
        images,
        labels % 2,
        measures=[SharpnessMeasure("worst", 50.0), SharpnessMeasure("lpf", 50.0)],
    )
    written = [json.loads(json.dumps(m.to_dict(), allow_nan=False)) for m in found.measures]
    assert [w["value"] for w in written] == [None, None]
    assert all("not finite" in w["reason"] for w in written)
    settings = ["name", "kind", "rho", "q", "adaptive", "m", "draws", "steps", "source"]
    for told, measured in zip(written, found.measures, strict=True):
        assert {key: told[key] for key in settings} == {
            key: getattr(measured.measure, key) for key in settings
        }


def test_facts_stand_beside_and_json_is_strict(model, images, labels):
    found = sharpness(model, images, labels, measures=[SharpnessMeasure("fisher-rao")])
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert {
        "loss",
        "accuracy",
        "normalised_loss",
        "norm",
        "images",
        "active_dimensions",
    } <= written.keys()
    assert written["measures"][0]["source"].startswith("Liang")
    assert written["measures"][0]["logit_normalised"]["value"] > 0


def test_one_image(model, images, labels):
    found = sharpness(model, images[:1], labels[:1], measures=BRIEF)
    assert all(m.raw.se is None for m in found.measures)


def test_the_families_have_distinct_names_and_caveats_have_sources():
    assert len({m.name for m in FULL}) == len(FULL)
    assert len({m.name for m in BRIEF}) == len(BRIEF)
    assert {m.kind for m in BRIEF} == {m.kind for m in FULL}
    assert all(c["source"] and c["text"].endswith(".") for c in CAVEATS)


@pytest.mark.parametrize(
    ("settings", "needle"),
    [
        ({"kind": "sam"}, "positive rho"),
        ({"kind": "sam", "rho": -1.0}, "positive rho"),
        ({"kind": "nose", "rho": 1.0}, "must be one of"),
        ({"kind": "worst", "rho": 1.0, "q": "1"}, "q must be"),
        ({"kind": "average", "rho": 1.0, "draws": 1}, "draws"),
    ],
)
def test_wrong_measures(settings, needle):
    with pytest.raises(InputError, match=needle):
        SharpnessMeasure(**settings)


def test_no_measures(model, images, labels):
    with pytest.raises(InputError, match="at least one"):
        sharpness(model, images, labels, measures=[])
