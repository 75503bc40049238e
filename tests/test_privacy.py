"""What must not reach results, reports and logs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from robustbench_zosam.privacy import redact, redacted, redacted_command
from robustbench_zosam.provenance import command


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    place = tmp_path / "homes" / "ada"
    place.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(place))
    return place


def test_the_home_folder_is_a_tilde_wherever_it_stands(home: Path):
    assert redact(f"{home}/data and folder:{home}/x") == "~/data and folder:~/x"
    assert redact(str(home)) == "~"
    assert redact(f"{home}2/data") == f"{home}2/data"
    assert redact(f"{home}-old") == f"{home}-old"


@pytest.mark.parametrize(
    "text",
    [
        "https://ada:hunter2@host/x.tar",
        "https://hunter2@host/x.tar",
        "s3://bucket/x?X-Amz-Signature=hunter2&part=1",
        "https://host/x?sig=hunter2",
        "model.token=hunter2",
        "HF_TOKEN=hunter2",
        "password: hunter2",
        "api_key=hunter2 more",
        "hf_hunter2hunter2hunter2",
        "ghp_hunter2hunter2hunter2",
    ],
)
def test_secrets_are_hidden(text: str):
    assert "hunter2" not in redact(text)
    assert "hunter2" not in str(redacted({"a": [text, (text,)], "b": 1}))


def test_plain_values_stay():
    value = {"a": [1, None, 0.5, True], "text": "sgd-rigl-0.9 on 10,000 tokens", "b": ("x",)}
    assert redacted(value) == value


def test_the_stored_command_hides_values_of_secret_options(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    line = ["/usr/bin/zosam-robust", "fetch", f"--data-root={home}/d", "--hub-token", "hunter2"]
    monkeypatch.setattr(sys, "argv", [*line, f"{home}/a b"])
    assert command() == "zosam-robust fetch '--data-root=~/d' --hub-token … ~/'a b'"
    assert redacted_command(["x", "--set", "seeds=[1, 2]"]) == "x --set 'seeds=[1, 2]'"
