"""formats/intel."""
