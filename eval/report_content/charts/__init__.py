"""Charts as inline SVG, one kind a file, each a struct with ``svg()``."""
