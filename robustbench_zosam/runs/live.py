"""What a running cell tells of itself: lines in its log, the newest one for whoever asks."""

from __future__ import annotations

import time
from contextlib import suppress

from robustbench_zosam.files import write_text
from robustbench_zosam.provenance import now
from robustbench_zosam.runs.cell_store import CellStore
from robustbench_zosam.schema import HistoryRow

_EVERY = 30.0  # seconds between two lines within an epoch


class Live:
    """Tells how far a cell is, in `log.txt` and, the newest line alone, in `live.txt`.

    A full disk does not end the work: what cannot be told is left out.
    """

    def __init__(self, store: CellStore) -> None:
        self._store = store
        self._told = time.monotonic()

    def tell(self, text: str) -> None:
        """Writes a line to both files."""
        self._told = time.monotonic()
        with suppress(OSError):
            with self._store.log_file.open("a", encoding="utf-8") as log:
                log.write(f"{now()} {text}\n")
            write_text(self._store.live_file, text)

    def epoch(self, row: HistoryRow, epochs: int) -> None:
        """Tells of an epoch that has ended."""
        self.tell(epoch_words(row, epochs))

    def step(self, step: int, steps: int) -> None:
        """Tells of a step, where the last line is half a minute old."""
        if time.monotonic() - self._told > _EVERY:
            self.tell(f"step {step:,} of {steps:,} ({100 * step / steps:.0f} %)")

    def end(self) -> None:
        """Leaves the log alone."""
        with suppress(OSError):
            self._store.live_file.unlink(missing_ok=True)


def epoch_words(row: HistoryRow, epochs: int) -> str:
    """Returns what is said of an epoch.

    Example:
        >>> row = {"epoch": 3, "step": 51, "seconds": 4.0, "lr": 0.08, "loss": 0.5123,
        ...        "validation_accuracy": 0.9123, "validation_loss": 0.3}
        >>> epoch_words(row, 20)
        'epoch 3/20, loss 0.512, validation accuracy 91.2 %'
    """
    accuracy = 100 * row["validation_accuracy"]
    return (
        f"epoch {row['epoch']}/{epochs}, loss {row['loss']:.3g}, "
        f"validation accuracy {accuracy:.1f} %"
    )


def read_live(store: CellStore) -> str:
    """Returns the newest line of a running cell; empty where there is none."""
    try:
        return store.live_file.read_text("utf-8")[:200].strip()
    except (OSError, ValueError):
        return ""
