"""Experiments: what a run is made of, where its cells are stored, and what executes them."""
