"""What the command line understands: completion, plurals, misspellings, printed examples."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest
import typer

from robustbench_zosam.cli import main
from robustbench_zosam.cli.app import app
from robustbench_zosam.cli.configuring import build_config
from robustbench_zosam.cli.examples import EXAMPLES
from robustbench_zosam.errors import InputError

GROUP = typer.main.get_command(app)


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Returns a function that gives what bash is offered for the last word of a command line."""

    def complete(line: str) -> list[str]:
        words = f"zosam-robust {line}"
        monkeypatch.setattr(sys, "argv", ["zosam-robust"])
        monkeypatch.setenv("_ZOSAM_ROBUST_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
        with pytest.raises(SystemExit):
            main()
        return capsys.readouterr().out.split()

    return complete


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("evaluate --optimizer zo-s", ["zo-sam", "zo-sam-guided"]),
        ("evaluate --optimizers sgd,momen", ["sgd,momentum-sam"]),
        ("evaluate --recipe dig", ["digits"]),
        ("evaluate --model digits-r", ["digits-resnet"]),
        ("evaluate --corruption com", ["common"]),
        ("evaluate --set training.ep", ["training.epochs="]),
        ("evaluate --set optimizer.zo-sam.qu", ["optimizer.zo-sam.queries="]),
        ("list eng", ["engines"]),
        ("fetch cifar10-", ["cifar10-c"]),
        ("report x --export par", ["parquet"]),
    ],
)
def test_values_are_completed(completed, line: str, offered: list[str]):
    found = completed(line)
    assert {*offered} <= {*found}
    assert all(value.startswith(line.rpartition(" ")[2]) for value in found)


def test_a_shell_completes_without_torch():
    code = (
        "import os, sys\n"
        "sys.argv = ['zosam-robust']\n"
        "os.environ |= {'_ZOSAM_ROBUST_COMPLETE': 'complete_bash', 'COMP_CWORD': '3',\n"
        "               'COMP_WORDS': 'zosam-robust evaluate --sparsifier rig'}\n"
        "from robustbench_zosam.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "rigl" in done.stdout.split()


def test_the_package_is_a_command():
    line = [sys.executable, "-m", "robustbench_zosam", "list", "optimizer"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "zo-sam" in done.stdout


def test_plurals_and_commas_are_repetitions():
    given = {"optimizers": ["sgd,zo-sam", "sam"], "sparsities": ["0.8,0.9"]}
    config = build_config(None, None, **given, suite__severities=["1,3"])
    assert config.optimizers == ("sgd", "zo-sam", "sam")
    assert config.sparsities == (0.8, 0.9)
    assert config.suite.severities == (1, 3)
    context = GROUP.commands["evaluate"].make_context("evaluate", ["--optimizers", "sgd"])
    assert context.params["optimizer"] == ["sgd"]


@pytest.mark.parametrize(
    ("assignment", "meant"),
    [
        ("optimiser.rho=0.1", "did you mean optimizer?"),
        ("trainin.lr=1", "did you mean training?"),
        ("lr=0.1", "did you mean training.lr?"),
        ("training.epoch=3", "did you mean training.epochs"),
    ],
)
def test_a_misspelt_key_is_answered_with_the_right_one(assignment: str, meant: str):
    with pytest.raises(InputError) as error:
        build_config(None, [assignment])
    assert meant in str(error.value)


def test_a_misspelt_section_of_a_grid_too():
    with pytest.raises(InputError, match=r"did you mean optimizer\.rho\?"):
        build_config(None, None, ["optimiser.rho=0.1,0.2"])


@pytest.mark.parametrize("key", ["sparsities", "suite__severities"])
def test_words_are_no_numbers(key: str):
    with pytest.raises(InputError, match="give "):
        build_config(None, None, **{key: ["many"]})


def test_every_verb_has_examples():
    assert EXAMPLES.keys() == GROUP.commands.keys()


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_printed_examples_are_understood(line: str):
    program, verb, *arguments = shlex.split(line)
    assert program == "zosam-robust"
    GROUP.commands[verb].make_context(verb, arguments)


@pytest.mark.parametrize("verb", EXAMPLES)
def test_options_that_take_a_value_say_what(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["zosam-robust", verb, "--help"])
    with pytest.raises(SystemExit):
        main()
    shown = capsys.readouterr().out
    assert re.findall(r"--\S+ +(?:TEXT|INTEGER|FLOAT|PATH|<(?:str|int|float|path)>)", shown) == []
    assert "Examples:" in shown
