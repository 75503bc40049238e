from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from robustbench_zosam.cli import main
from robustbench_zosam.cli.configuring import parse_seeds
from robustbench_zosam.errors import InputError

WITHOUT_TORCH = """
import sys
sys.argv = ["zosam-robust", *{arguments!r}]
from robustbench_zosam.cli import main
try:
    main()
except SystemExit as end:
    assert end.code in (0, None), end.code
heavy = {{"torch", "sklearn", "matplotlib", "pandas"}} & set(sys.modules)
assert not heavy, heavy
"""


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Runs the command line in this process and returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["zosam-robust", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"], ["evaluate", "--help"], ["--version"], ["list", "optimizers"],
        ["list", "sparsifiers", "--json"], ["list", "models"], ["list", "data"],
        ["list", "corruptions"], ["list", "metrics"], ["list", "recipes"],
        ["fetch", "--help"], ["fetch", "--list"],
        ["export", "--help"], ["flatness", "--help"], ["landscape", "--help"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_looking_around_imports_nothing_heavy(arguments: list[str]):
    code = WITHOUT_TORCH.format(arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) > 5 or arguments == ["--version"]


def test_lists_are_json_on_request(monkeypatch: pytest.MonkeyPatch, capsys):
    assert run(monkeypatch, "list", "optimizers", "--json") == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert entries["zo-sam"]["source"].startswith("Ji et al.")
    assert entries["sam"]["backwards"] == "2"


def bad_inputs(folder: Path) -> dict[str, tuple[list[str], str]]:
    (folder / "file").touch()
    (folder / "empty").mkdir()
    (folder / "cut.safetensors").write_bytes(b"\x40\0\0\0\0\0\0\0{")
    torch.save({"conv1.weight": torch.zeros(1)}, folder / "other.pt")
    out = ["--out", str(folder / "out")]
    return {
        "optimizer": (["--optimizer", "sgdd", *out], "unknown optimizer 'sgdd': did you mean sgd"),
        "sparsity": (["--sparsity", "1.2", *out], "sparsities.0 = 1.2"),
        "corruption": (["--corruption", "fogg", *out], "'fogg'"),
        "severity": (["--severity", "6", *out], "suite.severities.0 = 6"),
        "setting": (["--set", "training.epoch=1", *out], "training.epoch is not a known setting"),
        "option": (["--set", "optimizer.zo-sam.query=1", *out], "query"),
        "seeds": (["--seeds", "two", *out], "--seeds 'two' must be"),
        "data": (["--data", "folder:" + str(folder / "absent"), *out], "does not exist"),
        "empty": (["--data", f"folder:{folder / 'empty'}", *out], "images of 0 class(es)"),
        "cifar": (["--data", "cifar10", "--data-root", str(folder), *out], "cifar-10-batches-py"),
        "output": (["--out", str(folder / "file" / "out")], "cannot be written to"),
        "truncated": (["--checkpoint", str(folder / "cut.safetensors"), *out], "truncated"),
        "plain": (["--checkpoint", str(folder / "other.pt"), *out], "name it with --model"),
        "architecture": (
            ["--checkpoint", str(folder / "other.pt"), "--model", "resnet20", *out],
            "does not fit resnet20",
        ),
        "recipe": (["--recipe", "quik", *out], "unknown recipe 'quik': did you mean quick"),
        "config": (["--config", str(folder / "absent.toml"), *out], "cannot be read"),
        "device": (["--device", "cuda:7", *out], "is not available"),
        "rerun": (["--rerun", "nothing*", *out], "matches no cell"),
    }


NAMES = (
    "optimizer", "sparsity", "corruption", "severity", "setting", "option", "seeds", "data",
    "empty", "cifar", "output", "truncated", "plain", "architecture", "recipe", "config", "device",
    "rerun",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_one_sentence_and_exit_code_2(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    arguments, needle = bad_inputs(tmp_path)[name]
    assert run(monkeypatch, "evaluate", *arguments) == 2
    error = capsys.readouterr().err
    sentence = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(sentence) == 1
    assert needle in sentence[0]
    assert "Traceback" not in error


def test_report_and_compare_need_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    assert run(monkeypatch, "report", str(tmp_path)) == 2
    assert "holds no results.json" in capsys.readouterr().err
    assert run(monkeypatch, "compare", "a", "b", "--out", str(tmp_path)) == 2
    assert "holds no results.json" in capsys.readouterr().err


def test_doctor_says_what_is_here(monkeypatch: pytest.MonkeyPatch, capsys):
    assert run(monkeypatch, "doctor") == 0
    text = capsys.readouterr().out
    assert torch.__version__.split("+")[0] in text
    assert "free disk" in text


@pytest.mark.parametrize(("text", "seeds"), [("3", (0, 1, 2)), ("7,", (7,)), ("0, 5", (0, 5))])
def test_seeds_are_a_count_or_a_list(text: str, seeds: tuple[int, ...]):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "0", "-1", "a,b"])
def test_other_seeds_are_refused(text: str):
    with pytest.raises(InputError, match="--seeds"):
        parse_seeds(text)
