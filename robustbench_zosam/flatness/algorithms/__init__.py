"""Algorithms for any symmetric linear operator, from matrix-vector products alone."""
