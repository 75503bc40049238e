"""Charts drawn straight to SVG, whose marks say which method and corruption they belong to."""
