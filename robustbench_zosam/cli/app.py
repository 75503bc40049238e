"""The Typer application and the exit codes."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Annotated, TextIO

import typer

from corruptions import ForeignCorruptionWarning
from robustbench_zosam import __version__
from robustbench_zosam.cli.compare import compare
from robustbench_zosam.cli.corrupt import corrupt
from robustbench_zosam.cli.doctor import doctor
from robustbench_zosam.cli.evaluate import evaluate
from robustbench_zosam.cli.examples import epilog
from robustbench_zosam.cli.export import export
from robustbench_zosam.cli.fetch import fetch
from robustbench_zosam.cli.flatness import flatness
from robustbench_zosam.cli.landscape import landscape
from robustbench_zosam.cli.listing import list_entries
from robustbench_zosam.cli.merge import merge
from robustbench_zosam.cli.nzk import nzk
from robustbench_zosam.cli.plan import plan
from robustbench_zosam.cli.report import report
from robustbench_zosam.cli.status import status
from robustbench_zosam.cli.train import train
from robustbench_zosam.cli.work import work
from robustbench_zosam.errors import DamagedFileWarning, InputError, PluginWarning, printable
from robustbench_zosam.registry import OWN

USAGE = 2
_SENTENCES = (DamagedFileWarning, PluginWarning, ForeignCorruptionWarning)

app = typer.Typer(
    name="zosam-robust",
    help=(
        "Does training a sparse network with this optimizer make it more robust under "
        "distribution shift, is it because its minimum is flatter, and what did it cost?\n\n"
        "`zosam-robust evaluate` with no arguments answers this for scikit-learn's digits in a few "
        "minutes. Exit codes: 0 done, 1 some cells (one method with one seed each) failed, 2 "
        "invalid input, 130 interrupted."
    ),
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
_VERBS: dict[str, Callable[..., None]] = {
    "evaluate": evaluate,
    "train": train,
    "work": work,
    "status": status,
    "merge": merge,
    "plan": plan,
    "corrupt": corrupt,
    "compare": compare,
    "report": report,
    "flatness": flatness,
    "landscape": landscape,
    "nzk": nzk,
    "export": export,
    "list": list_entries,
    "fetch": fetch,
    "doctor": doctor,
}
for _verb, _function in _VERBS.items():
    app.command(_verb, epilog=epilog(_verb))(_function)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Takes the options that belong to no command."""


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Shows a warning meant for users as one line, without the place in the code."""
    if issubclass(category, _SENTENCES):
        typer.echo(f"warning: {printable(str(message))}", err=True)
    else:
        stream = file or sys.stderr
        stream.write(warnings.formatwarning(message, category, filename, lineno, line))


def run() -> None:
    """Runs the command line; an input error ends in one sentence and exit code 2."""
    warnings.showwarning = _show_warning
    try:
        app(prog_name=OWN)
    except InputError as error:
        typer.echo(f"error: {printable(str(error))}", err=True)
        sys.exit(USAGE)
