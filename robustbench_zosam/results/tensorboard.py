"""Event files for TensorBoard; needs the package tensorboard, not TensorFlow or torch."""

from __future__ import annotations

import shutil
from pathlib import Path

from robustbench_zosam.results.series import series
from robustbench_zosam.results.writers import optional
from robustbench_zosam.schema import Results


def write_tensorboard(results: Results, folder: Path) -> list[Path]:
    """Writes one log folder per cell; `tensorboard --logdir FOLDER/tensorboard` shows them.

    Args:
        folder: where to write; an older export there is replaced.

    Returns:
        The log folder of each cell.
    """
    proto = "tensorboard.compat.proto"
    events = optional(f"{proto}.event_pb2", "tensorboard")
    summaries = optional(f"{proto}.summary_pb2", "tensorboard")
    files = optional("tensorboard.summary.writer.event_file_writer", "tensorboard")
    written = []
    for cell in results["cells"]:
        logs = folder / "tensorboard" / cell["id"]
        shutil.rmtree(logs, ignore_errors=True)
        writer = files.EventFileWriter(str(logs))
        for name, step, value in series(cell):
            point = summaries.Summary.Value(tag=name, simple_value=value)
            summary = summaries.Summary(value=[point])
            writer.add_event(events.Event(step=step, summary=summary))
        writer.close()
        written.append(logs)
    return written
