"""The model under measurement: active coordinates, evaluation, and leaving no trace."""
