"""Flatness and loss landscapes of trained models, as a configuration asks for them."""
