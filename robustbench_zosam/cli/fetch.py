"""`zosam-robust fetch`: downloads data sets and published suites."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from robustbench_zosam.cli.names import complete_downloads
from robustbench_zosam.errors import InputError

if TYPE_CHECKING:
    from robustbench_zosam.fetching import FileProgress

_INTERRUPTED = 130
_QUIET_SECONDS = 15.0


def fetch(
    name: Annotated[
        str | None,
        typer.Argument(help="See `fetch --list`.", autocompletion=complete_downloads),
    ] = None,
    data_root: Annotated[Path, typer.Option(metavar="DIRECTORY", help="Data directory.")] = Path(
        "data"
    ),
    allow_unverified: Annotated[
        bool, typer.Option("--allow-unverified", help="Accept files without a known checksum.")
    ] = False,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Use archives in the data directory, and no network."),
    ] = False,
    show: Annotated[bool, typer.Option("--list", help="List what can be downloaded.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --list: print all properties as JSON.")
    ] = False,
) -> None:
    """Download a data set or published suite, with checksums, mirrors and a disk space check.

    It appears in the data directory under its published name once it is complete. The same command
    resumes an interrupted download.
    """
    if show:
        _show(data_root, as_json)
    else:
        _fetch(name, data_root, allow_unverified, offline)


def _fetch(name: str | None, root: Path, allow_unverified: bool, offline: bool) -> None:
    if name is None:
        raise InputError("fetch needs a name: see `zosam-robust fetch --list`")
    from robustbench_zosam import fetching

    source = fetching.DOWNLOADS[name].load()
    try:
        with _Display() as display:
            found = fetching.fetch(
                name,
                root,
                allow_unverified=allow_unverified,
                offline=offline,
                on_progress=display,
            )
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command resumes the download", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    verb = "is downloaded" if found.new else "was downloaded before"
    typer.echo(f"{name} {verb} (licence: {source.licence})", err=True)
    typer.echo(f"next: {source.use.format(root=root, folder=found.folders[0])}", err=True)
    for folder in found.folders:
        typer.echo(folder)


def _show(root: Path, as_json: bool) -> None:
    from robustbench_zosam.fetching import DOWNLOADS, presence

    rows: list[dict[str, object]] = []
    table = Table(box=None, pad_edge=False)
    for title in ("name", "download", "on disk", "present", ""):
        right = title in {"download", "on disk"}
        table.add_column(title, justify="right" if right else "left", no_wrap=bool(title))
    for entry in DOWNLOADS:
        source = entry.load()
        all_sizes_known = all(part.size is not None for part in source.parts)
        here = all(folder.complete for folder in presence(source, root))
        rows.append({
            "name": entry.name,
            "kind": source.kind,
            "summary": entry.summary,
            "source": entry.source,
            "licence": source.licence,
            "download_bytes": source.download_bytes,
            "all_sizes_known": all_sizes_known,
            "disk_bytes": source.disk_bytes,
            "folders": [folder.name for folder in source.folders],
            "here": here,
        })
        size = _gigabytes(source.download_bytes) + ("" if all_sizes_known else "+")
        disk = _gigabytes(source.disk_bytes)
        table.add_row(entry.name, size, disk, "yes" if here else "", entry.summary)
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        Console().print(table)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


class _Display:
    """Shows progress on standard error: a bar on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        from rich import progress

        self._console = Console(stderr=True)
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=24),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)
        self._shown = ("", "")
        self._spoken = time.monotonic()

    def __enter__(self) -> _Display:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def __call__(self, news: FileProgress) -> None:
        text = f"{news.stage} {news.file}"
        now = time.monotonic()
        if (news.stage, news.file) != self._shown:
            self._shown = (news.stage, news.file)
            self._bar.remove_task(self._task)
            self._task = self._bar.add_task(text, total=news.total)
            self._say(text)
        elif now - self._spoken > _QUIET_SECONDS:
            self._spoken = now
            share = f" ({100 * news.done / news.total:.0f} %)" if news.total else ""
            self._say(f"{text}: {_gigabytes(news.done)}{share}")
        self._bar.update(self._task, completed=news.done, total=news.total)

    def _say(self, text: str) -> None:
        if not self._console.is_terminal:
            self._console.print(text, highlight=False)
