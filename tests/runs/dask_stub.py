"""Loaded into the workers of Dask: their cells do what their folder's file `do` says."""

from __future__ import annotations

import os

from robustbench_zosam.runs import server_client

if stub := os.environ.get("ZOSAM_STUB_SERVER"):
    server_client.SERVER = (stub,)
