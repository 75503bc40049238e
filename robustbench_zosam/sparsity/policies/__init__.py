"""One sparsifier per module."""
