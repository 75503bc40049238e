"""One malformed input: how it is made, and what must come of it."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from robustbench_zosam.cli import main
from robustbench_zosam.errors import DamagedFileWarning, InputError

Outcome = Literal["refused", "either", "made good"]
Action = list[str] | Callable[[], object]
"""A command line, or a call of a reader that has none; it must raise an `InputError`."""
SECONDS = 180  # of a machine that may be busy with other things


@dataclass(frozen=True)
class Case:
    """A malformed input.

    Attributes:
        name: "group/what".
        make: writes the files into an empty folder and returns what reads them.
        names: a text that the sentence must hold: the file's name, or the setting.
        outcome: "refused": exit code 2 and one sentence. "either": nothing in the format tells this
            from a sound file, so that it may also be read. "made good": a file of our own, which is
            named in a warning and computed again.
    """

    name: str
    make: Callable[[Path], Action]
    names: str = ""
    outcome: Outcome = "refused"


class HangError(BaseException):
    """A case took too long."""


@contextlib.contextmanager
def watchdog(seconds: int) -> Iterator[None]:
    """Ends what takes too long, with `HangError`."""

    def end(*_: object) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def problem(case: Case, folder: Path, seconds: int = SECONDS) -> str | None:
    """Returns what is wrong with how a case is treated; None where it is treated well."""
    action = case.make(folder)
    try:
        with watchdog(seconds):
            code, said = _call(action)
    except HangError:
        return f"it hangs: {seconds} s"
    except BaseException as error:  # noqa: BLE001 - whatever escapes is what is looked for
        last = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"traceback: {type(error).__name__}: {str(error)[:120]} ({last.filename}:{last.lineno})"
        )
    return judge(case, code, said)


def judge(case: Case, code: int, said: str) -> str | None:
    """Returns what is wrong with an exit code and what was said on standard error."""
    if "Traceback (most recent call last)" in said:
        return f"a traceback is printed: {said.strip().splitlines()[-1][:150]}"
    if code == 0:
        if case.outcome == "refused":
            return "silently accepted"
        if case.outcome == "made good" and case.names not in said:
            return "made good, but no warning names it"
        return None
    if code != 2:
        return f"exit code {code}: {said.strip()[-200:]}"
    if case.outcome == "made good":
        return f"refused: {said.strip()[-200:]}"
    sentences = [line for line in said.splitlines() if line.startswith(("error: ", "│"))]
    if not said.startswith("Usage") and len(sentences) != 1:
        return f"{len(sentences)} sentences: {said.strip()[-200:]}"
    if case.names not in said.replace("\n", " "):
        return f"the sentence does not name {case.names}: {said.strip()[-200:]}"
    return "the sentence is long" if len(said) > 2000 else None


def _call(action: Action) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", DamagedFileWarning)
        if callable(action):
            try:
                action()
            except InputError as error:
                return 2, f"error: {error}\n"
            return 0, err.getvalue()
        before, sys.argv = sys.argv, ["zosam-robust", *action]
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
            return code, err.getvalue()
        finally:
            sys.argv = before
    return 0, err.getvalue()
