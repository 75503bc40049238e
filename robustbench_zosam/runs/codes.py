"""Exit codes of the process of a cell."""

DONE, FAILED, INTERRUPTED = 0, 1, 130
