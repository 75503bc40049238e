"""Leases: who works on what in a folder that several processes and machines share.

A lease is a small file that its holder makes exclusively and rewrites in place every few seconds.
Whoever sees no new beat for a minute of its own clock may take it over, by making the file of the
next number; of those with one name, the highest number holds. No clocks are compared, no file is
locked, and a holder that slept through its minute finds out before its next save.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from robustbench_zosam.provenance import now
from robustbench_zosam.runs.processes import ProcessName

BEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
_SIZE = 1024  # bytes; fixed, so that a beat needs no room on a full disk
_NUMBERED = re.compile(r"(.+)-(\d{6})")


class LeaseLostError(Exception):
    """Another process has taken the work over."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease, and how far it is.

    Attributes:
        token: differs between any two holders.
        since: when it began, UTC, for people only.
        purpose: what a run-wide lease stands for; empty for a cell's.
        beat: counts up while the holder lives.
    """

    token: str
    process: ProcessName
    since: str
    purpose: str = ""
    beat: int = 0
    stage: str = ""
    done: int = 0
    total: int = 0

    def pack(self) -> bytes:
        """Returns the content of the file."""
        return json.dumps(asdict(self)).encode().ljust(_SIZE - 1) + b"\n"

    @classmethod
    def unpack(cls, content: bytes) -> Holder:
        """Returns the holder in a file; one of an unknown machine while it is half written.

        A file that stays so, as after a power cut, goes stale like that of any other machine.
        """
        try:
            return _HOLDERS.validate_json(content)
        except ValidationError:
            token = f"damaged {hashlib.sha256(content).hexdigest()}"
            return cls(token, ProcessName("an unknown machine", "unknown", 0, ""), "")


_HOLDERS = TypeAdapter(Holder)


def find(folder: Path, name: str = "lease") -> Path | None:
    """Returns the file of the present holder; None where nobody holds the lease."""
    return max(_files(folder, name), default=None)


def names(folder: Path) -> list[str]:
    """Returns the names of all leases in a folder."""
    found = (_NUMBERED.fullmatch(file.name) for file in folder.glob("*-*"))
    return sorted({match[1] for match in found if match})


def read(file: Path | None) -> Holder | None:
    """Returns the holder that a file names; None if there is none."""
    try:
        return None if file is None else Holder.unpack(file.read_bytes())
    except OSError:
        return None


def _files(folder: Path, name: str) -> list[Path]:
    return [file for file in folder.glob(f"{name}-*") if _NUMBERED.fullmatch(file.name)]


class Lease:
    """A lease that this process holds, from `acquire` to `release`."""

    def __init__(self, file: Path, holder: Holder) -> None:
        self.file = file
        self.holder = holder
        self._ended = threading.Event()
        self._writing = threading.Lock()
        threading.Thread(target=self._beat, daemon=True).start()

    @classmethod
    def acquire(
        cls, folder: Path, name: str = "lease", *, takeover: str = "", purpose: str = ""
    ) -> Self | None:
        """Returns a lease; None if another process holds it, or was faster.

        Args:
            takeover: token of a holder that was seen to beat no more.
            purpose: what others are told of it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        before = find(folder, name)
        if before is not None:
            holder = read(before)
            dead = holder is not None and holder.process.is_gone()
            if not dead and (holder is None or holder.token != takeover):
                return None
        number = 1 if before is None else int(before.name[-6:]) + 1
        holder = Holder(secrets.token_hex(8), ProcessName.current(), now(), purpose)
        file = folder / f"{name}-{number:06d}"
        if not _create(file, holder.pack()):
            return None
        if find(folder, name) != file:  # the folder changed while it was being read
            file.unlink(missing_ok=True)
            return None
        for older in _files(folder, name):
            if older < file:
                older.unlink(missing_ok=True)
        return cls(file, holder)

    def check(self) -> None:
        """Raises `LeaseLostError` if another process has taken over; to be called before a save."""
        found = read(self.file)
        mine = found is not None and found.token == self.holder.token
        if not mine or find(self.file.parent, self.file.name[:-7]) != self.file:
            raise LeaseLostError(str(self.file))

    def report(self, stage: str, done: int, total: int) -> None:
        """Takes progress along with the next beat."""
        self.holder = _with(self.holder, stage=stage, done=done, total=total)

    def release(self) -> None:
        """Gives the lease back."""
        self._ended.set()
        with self._writing:
            found = read(self.file)
            if found is not None and found.token == self.holder.token:
                self.file.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.release()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with self._writing, suppress(OSError):  # a full disk must not end the work
                found = read(self.file)
                if self._ended.is_set() or found is None or found.token != self.holder.token:
                    continue
                self.holder = _with(self.holder, beat=self.holder.beat + 1)
                with self.file.open("rb+") as stream:  # never creates it again
                    stream.write(self.holder.pack())


def _with(holder: Holder, **changes: object) -> Holder:
    facts = {**vars(holder), **changes}
    return Holder(**facts)


def _create(file: Path, content: bytes) -> bool:
    """Makes a file with its content, if none has the name; on NFS too, where O_EXCL may repeat."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(content)
        try:
            os.link(temporary, file)
        except FileExistsError:
            return temporary.stat().st_nlink > 1  # an answer that was lost on the way
        except OSError:  # no hard links here
            return _create_directly(file, content)
        return True
    finally:
        temporary.unlink(missing_ok=True)


def _create_directly(file: Path, content: bytes) -> bool:
    try:
        with file.open("xb") as stream:
            stream.write(content)
    except FileExistsError:
        return False
    return True


@dataclass
class _Seen:
    content: bytes
    first: bytes
    quiet: float = 0.0  # seconds of watching without a new beat
    looked: float = 0.0


@dataclass
class Watch:
    """What one observer knows of other processes' leases.

    Time in which the observer itself was stopped does not count against a holder.
    """

    clock: Callable[[], float] = time.monotonic
    patience: float = STALE_SECONDS
    _seen: dict[Path, _Seen] = field(default_factory=dict)

    def state(self, folder: Path, name: str = "lease") -> tuple[str, Holder | None]:
        """Returns "free", "held", "beating" (seen to live), or "stale", and the holder."""
        file = find(folder, name)
        if file is None:
            return "free", None
        try:
            content = file.read_bytes()
        except OSError:
            return "free", None
        holder = Holder.unpack(content)
        if holder.process.is_gone():
            return "stale", holder
        time_now = self.clock()
        seen = self._seen.setdefault(file, _Seen(content, content, looked=time_now))
        if content != seen.content:
            seen.content, seen.quiet = content, 0.0
        else:
            seen.quiet += min(time_now - seen.looked, BEAT_SECONDS)
        seen.looked = time_now
        if seen.quiet >= self.patience:
            return "stale", holder
        return ("held" if seen.content == seen.first else "beating"), holder
