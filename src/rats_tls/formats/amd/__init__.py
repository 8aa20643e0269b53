"""formats/amd."""
