"""What others must not read in results, reports and logs: home folders, passwords, tokens."""

from __future__ import annotations

import re
import shlex
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TextIO, TypeVar, cast

T = TypeVar("T")
HIDDEN = "…"
_WORDS = r"(?:token|secret|passw(?:or)?d|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
_NAMED = re.compile(rf"(?i)([\w.-]*{_WORDS}[\w.-]*\s*[=:]\s*)([^\s&'\"]+)")
_OPTION = re.compile(rf"(?i)-+[\w.-]*{_WORDS}")
_LOGIN = re.compile(r"(://)[^/\s@]+@")
_SIGNED = re.compile(r"(?i)([?&](?:sig|signature|key|auth|x-amz-[\w-]+|x-goog-[\w-]+)=)[^&\s'\"]+")
_TOKENS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|gh[opsur]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|sk-[\w-]{16,}|xox[abp]-[\w-]{10,}|AKIA[0-9A-Z]{16}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+)"
)


def redact(text: str) -> str:
    """Returns a text with `~` for the home folder, and without passwords and tokens.

    Example:
        >>> redact("https://me:pass@host/x.zip?token=abc&part=2")
        'https://…@host/x.zip?token=…&part=2'
    """
    for home in _homes():
        text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    text = _LOGIN.sub(rf"\1{HIDDEN}@", text)
    text = _SIGNED.sub(rf"\1{HIDDEN}", text)
    text = _NAMED.sub(rf"\1{HIDDEN}", text)
    return _TOKENS.sub(HIDDEN, text)


def redacted(value: T) -> T:
    """Returns nested JSON values with all their texts redacted."""
    if isinstance(value, str):
        return cast("T", redact(value))
    if isinstance(value, dict):
        return cast("T", {key: redacted(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return cast("T", type(value)(redacted(item) for item in value))
    return value


def redacted_command(arguments: Iterable[str]) -> str:
    """Returns a command line as a user would type it, redacted.

    Example:
        >>> redacted_command(["fetch", "--token", "abc", "a b"])
        "fetch --token … 'a b'"
    """
    return " ".join(map(_quoted, _visible(arguments)))


def redact_own_messages() -> None:
    """Redacts the warnings and the uncaught errors that Python prints from now on.

    For processes whose standard error is a log that people pass on.
    """
    warnings.showwarning = _show_warning
    sys.excepthook = _show_error


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    text = warnings.formatwarning(message, category, filename, lineno, line)
    (file or sys.stderr).write(redact(text))


def _show_error(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


def _visible(arguments: Iterable[str]) -> Iterator[str]:
    hide = False
    for argument in arguments:
        yield HIDDEN if hide else redact(argument)
        hide = _OPTION.fullmatch(argument) is not None


def _quoted(text: str) -> str:
    """Quotes for a shell; `~` and the mark of what is hidden stay as they are."""
    if text == HIDDEN:
        return text
    return f"~/{shlex.quote(text[2:])}" if text.startswith("~/") else shlex.quote(text)


def _homes() -> list[str]:
    try:
        home = Path.home()
    except RuntimeError:  # nobody's
        return []
    found = {str(home), str(home.resolve())}
    return sorted((path for path in found if len(path) > 1), key=len, reverse=True)
