"""Symmetric linear operators: what the algorithms work on."""
