"""How the process of a cell ends."""

DONE, FAILED, INTERRUPTED = 0, 1, 130
