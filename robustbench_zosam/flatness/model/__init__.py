"""The model under measurement: active coordinates, evaluation, and what restores it."""
