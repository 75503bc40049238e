"""Robustness, flatness and cost of sparse networks under distribution shift."""

__version__ = "0.1.0"
