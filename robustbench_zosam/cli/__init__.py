"""The command line; each verb is one file, and none of them computes anything."""

from robustbench_zosam.cli.app import main

__all__ = ["main"]
