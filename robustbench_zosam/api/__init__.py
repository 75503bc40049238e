"""The whole program from Python: measure a model that is here, or run an experiment."""
