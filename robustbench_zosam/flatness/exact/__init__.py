"""The exact trace of networks that are piecewise linear in each tensor, and the gate before it."""
